"""Laws of sizes and quotients: what follows from what is known is found, and nothing that small numbers deny."""

import itertools
import random

import pytest
from test_sizes import LABEL, E, H, N, allowed, e, h, q, value

from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Index,
    Quotient,
    Remainder,
    Symbol,
    add,
    multiply,
    negate,
    number,
    power,
    subtract,
)
from symbackprop.expression.sizes import Facts, decide, simplify

two, three = number(2), number(3)
ATOMS = (h, e, q, LABEL)
DOMAINS = (
    [],
    [],
    [Compare("<=", E, H)],
    [Compare("<", E, H), Compare("<=", two, E)],
    [Compare("==", Remainder(H, two), ZERO)],
    [Compare("==", Remainder(H, E), ZERO)],
    [Compare("==", Remainder(H, two), ONE)],
    [Compare("==", Remainder(H, three), two)],
    [Compare("==", N, E)],
    [Compare("==", multiply(two, N), H)],
    [Compare("==", add(N, E), H)],
    [Compare("==", Remainder(add(H, ONE), three), ZERO)],
    [Compare("==", H, multiply(E, N)), Compare("<=", two, N)],
)


def facts(domain):
    return Facts(domain, {LABEL.tensor: H})


def points(domain, r, most=60):
    found = allowed(domain)
    return r.sample(found, min(most, len(found)))


@pytest.mark.parametrize("seed", range(20))
def test_simplify_of_digits_keeps_the_value(seed):
    """(u*F*a + u*b + c) // (u*F), // u, % F ..., for digits that fit and digits that do not."""
    r = random.Random(seed)
    pieces = [*ATOMS, ZERO, ONE, number(-1), add(h, e), negate(e), multiply(two, e), E, subtract(E, ONE)]
    for _ in range(3):
        domain = r.choice(DOMAINS)
        known, some = facts(domain), points(domain, r, 12)
        unit, more = r.choice([E, E, two, N, three]), r.choice([H, N, two, E])
        high, middle, low = (r.choice(pieces) for _ in range(3))
        total, whole = add(multiply(unit, more, high), multiply(unit, middle), low), multiply(unit, more)
        for expr in (
            Quotient(total, whole),
            Remainder(total, whole),
            Quotient(Quotient(total, unit), more),
            Remainder(Quotient(total, unit), more),
            Quotient(Remainder(total, whole), unit),
        ):
            simple = simplify(expr, known)
            assert all(value(simple, p) == value(expr, p) for p in some)


@pytest.mark.parametrize("name", ["EH", "HE"])
def test_simplify_finds_every_digit(name):
    """Of E*F*a + E*b + c with b below F and c below E: a, b and c, at every place and of every length."""
    E_, F = (Symbol(n, "size") for n in name)
    a, b, c = Index("a", N), Index("b", F), Index("c", E_)
    for unit, more in ((E_, F), (E_, number(3)), (number(2), F), (number(2), number(3))):
        b, c = Index("b", more), Index("c", unit)
        whole = multiply(unit, more)
        total = add(multiply(whole, a), multiply(unit, b), c)
        assert simplify(Quotient(total, whole)) is a
        assert simplify(Remainder(Quotient(total, unit), more)) is b
        assert simplify(Quotient(Remainder(total, whole), unit)) is b
        assert simplify(Remainder(total, unit)) is c
        assert simplify(Quotient(Quotient(total, unit), more)) is a
        assert simplify(Quotient(subtract(total, ONE), whole)) is not a  # of -1 it is -1
        assert simplify(Quotient(add(total, ONE), whole)) is not a
        assert simplify(Quotient(add(multiply(more, a), c, b), more)) is not simplify(add(a, ZERO))


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_what_is_known_equal_is_one_expression(domain):
    known = facts(domain)
    for fact in domain:
        if fact.relation == "==":
            assert simplify(fact.left, known) is simplify(fact.right, known)
            assert decide("==", fact.left, fact.right, known) is True
        else:
            assert decide(fact.relation, fact.left, fact.right, known) is True
    odd = any(isinstance(f.left, Remainder) and f.right is not ZERO for f in domain)  # of 2*(H // 2) + 1 it is not seen
    for size in (E, N) if odd else (H, E, N):  # every size is 1 at least, also one that stands for something else
        assert decide("<=", ONE, size, known) is True
        assert decide("<", size, ONE, known) is False
    assert decide("<", H, ONE, known) is not True
    for p in points(domain, random.Random(0)):
        for symbol, poly in known.replaced.items():
            total = sum(c * value(multiply(*(power(a, k) for a, k in m), ONE), p) for m, c in poly.items())
            assert total == value(symbol, p)


TOTALS = (h, e, q, add(h, e), H, multiply(H, E), LABEL, subtract(H, ONE), multiply(two, h), add(multiply(E, h), e))


@pytest.mark.parametrize("by", [two, three, E, H], ids=["2", "3", "E", "H"])
@pytest.mark.parametrize("domain", [DOMAINS[0], DOMAINS[2]], ids=["free", "E <= H"])
def test_what_a_quotient_is_is_known(by, domain):
    known, missed = facts(domain), 0
    for total in TOTALS:
        part, rest = Quotient(total, by), Remainder(total, by)
        below = multiply(by, part)
        for relation, left, right in (
            ("<=", below, total),
            ("<", total, add(below, by)),
            ("<=", ZERO, part),
            ("<=", part, total),
            ("<", rest, by),
            ("<=", ZERO, rest),
            ("<=", rest, total),
            ("==", add(below, rest), total),
        ):
            said = decide(relation, left, right, known)
            assert said is not False
            missed += said is None
            if said and relation != "==":
                opposite = ("<", right, left) if relation == "<=" else ("<=", right, left)
                assert decide(*opposite, known) is False
    assert missed <= 1, missed


@pytest.mark.parametrize("seed", range(10))
def test_decide_denies_nothing_and_says_nothing_that_numbers_deny(seed):
    """Sums of quotients, of one total and of several, beside what they are made of."""
    r = random.Random(seed)
    for _ in range(8):
        domain = r.choice(DOMAINS)
        total = r.choice(TOTALS)
        pieces = [total, Quotient(total, two), Quotient(total, E), Quotient(r.choice(TOTALS), r.choice([two, E])), r.choice([E, H, N]), ONE,
                  Quotient(total, multiply(two, E)), Quotient(negate(total), E), Remainder(total, r.choice([two, E]))]  # fmt: skip
        chosen = r.sample(pieces, 3)
        left = add(*(multiply(number(r.choice([-2, -1, 1, 2, 3])), p) for p in chosen[:2]))
        right = add(multiply(number(r.choice([-1, 0, 1, 2])), chosen[2]), number(r.choice([-1, 0, 0, 1])))
        relation = r.choice(["<", "<=", "=="])
        said = decide(relation, left, right, facts(domain))
        if said is not None:
            holds = {value(Compare(relation, left, right), p) for p in points(domain, r, 80)}
            assert holds <= {int(said)}


@pytest.mark.parametrize("names", list(itertools.permutations("ABK")))
def test_decide_finds_sums_of_what_is_known(names):
    """A goal that is a sum of known inequalities, with positive factors, and of things that are not negative."""
    r = random.Random("".join(names))
    A, B, K = (Symbol(n, "size") for n in names)
    a, b = Index("a", A), Index("b", B)
    gaps = [subtract(B, A), subtract(K, add(A, B)), subtract(multiply(two, B), K), subtract(K, multiply(A, two))]
    plain = [
        a,
        b,
        subtract(subtract(A, ONE), a),
        subtract(subtract(B, ONE), b),
        subtract(K, ONE),
        multiply(a, b),
        subtract(A, ONE),
    ]
    missed = 0
    for _ in range(12):
        known = [r.choice(gaps)]
        domain = Facts([Compare("<=", ZERO, g) for g in known])
        pieces = [multiply(number(r.choice([1, 2])), g) for g in known]
        pieces += [multiply(number(r.choice([1, 2])), p) for p in r.sample(plain, r.choice([0, 1, 2]))]
        goal = add(*pieces)
        said = decide("<=", ZERO, goal, domain)
        assert said is not False
        missed += said is None
    assert missed <= 2, missed
