"""sizes: the canonical form keeps the value, and `decide` is never wrong, held against brute force."""

import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thinning import EVERYTHING

from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Compare,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Power,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    add,
    multiply,
    number,
    substitute,
    subtract,
)
from symbackprop.expression.size_trials import trials
from symbackprop.expression.sizes import Facts, decide, simplify, steady_gap

H, E, N = (Symbol(name, "size") for name in "HEN")
h, e, q = Index("h", H), Index("e", E), Index("q", multiply(H, E))
LABEL = Entry(Tensor("y", (), "integer"))
EVEN = Facts([Compare("==", Remainder(H, number(2)), ZERO)])


def value(expr: Expr, at: dict[Expr, int]) -> int:
    match expr:
        case Number(v):
            return int(v)
        case Add(nodes):
            return sum(value(n, at) for n in nodes)
        case Multiply(nodes):
            product = 1
            for n in nodes:
                product *= value(n, at)
            return product
        case Power(base, exponent):
            return value(base, at) ** value(exponent, at)
        case Quotient(left, right):
            return value(left, at) // value(right, at)
        case Remainder(left, right):
            return value(left, at) % value(right, at)
        case Compare(relation, left, right):
            a, b = value(left, at), value(right, at)
            return int({"<": a < b, "<=": a <= b, "==": a == b}[relation])
    return at[expr]


ATOMS = st.sampled_from([H, E, N, h, e, q, LABEL, ONE, number(2), number(3), number(-1)])


def _grow(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    pair = st.tuples(inner, inner)
    divisors = st.sampled_from([H, E, number(2), number(3), multiply(number(2), E), add(H, ONE)])
    return st.one_of(
        pair.map(lambda p: add(*p)),
        pair.map(lambda p: subtract(*p)),
        pair.map(lambda p: multiply(*p)),
        st.tuples(inner, divisors).map(lambda p: Quotient(*p)),
        st.tuples(inner, divisors).map(lambda p: Remainder(*p)),
    )


EXPRESSIONS = st.recursive(ATOMS, _grow, max_leaves=6)
DOMAINS = st.lists(
    st.sampled_from(
        [
            Compare("<=", number(2), H),
            Compare("<", E, H),
            Compare("==", Remainder(H, number(2)), ZERO),
            Compare("==", Remainder(H, E), ZERO),
            Compare("==", Remainder(add(H, ONE), number(3)), ZERO),
            Compare("==", N, E),
            Compare("<=", add(E, ONE), add(N, H)),
        ]
    ),
    max_size=3,
)
POINTS = [
    {H: a, E: b, N: c, h: i, e: j, q: k, LABEL: y}
    for a, b, c in itertools.product((1, 2, 4, 5, 8), (1, 2, 3), (1, 2, 3))
    for i in {0, a - 1}
    for j in {0, b - 1}
    for k in {0, a * b // 2, a * b - 1}
    for y in {0, a - 1}
]


DOMAIN_CHOICES: list[list[Expr]] = [
    [],
    [Compare("<", E, H)],
    [Compare("<=", E, H), Compare("<=", number(2), H)],
    [Compare("==", Remainder(H, number(2)), ZERO)],
    [Compare("==", Remainder(H, E), ZERO)],
    [Compare("==", N, E), Compare("<=", E, H)],
]


def allowed(domain: list[Expr]) -> list[dict[Expr, int]]:
    return [p for p in POINTS if all(value(f, p) for f in domain)]


@settings(max_examples=80, deadline=None)
@given(EXPRESSIONS, DOMAINS)
def test_simplify_keeps_the_value_and_is_idempotent(expr: Expr, domain: list[Expr]) -> None:
    facts = Facts(domain, {LABEL.tensor: H})
    simple = simplify(expr, facts)
    for point in allowed(domain):
        assert value(simple, point) == value(expr, point)
    assert simplify(simple, facts) is simple


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["<", "<=", "=="]), EXPRESSIONS, EXPRESSIONS, DOMAINS)
def test_decide_is_never_wrong(relation, left: Expr, right: Expr, domain: list[Expr]) -> None:
    answer = decide(relation, left, right, Facts(domain, {LABEL.tensor: H}))
    if answer is not None:
        for point in allowed(domain):
            assert bool(value(Compare(relation, left, right), point)) is answer


@pytest.mark.slow
def test_decide_is_never_wrong_about_neighbours() -> None:
    """Pairs that are nearly the same are often decided, and a proof that is wrong by one shows there."""
    r = random.Random(3)
    leaves = [H, E, N, h, e, q, LABEL, ONE, number(2)]
    facts = [(d, Facts(d, {LABEL.tensor: H}), allowed(d)) for d in DOMAIN_CHOICES]
    decided = 0
    rounds = 900 if EVERYTHING else 250
    for _ in range(rounds):
        domain, known, points = r.choice(facts)
        left = _built(r, leaves, r.choice([2, 2, 3]))
        old, new = r.choice([(r.choice(leaves[:3]), r.choice(leaves[:3])), (r.choice(leaves[3:7]), r.choice(leaves))])
        right = add(substitute(left, {old: new}), number(r.choice([-1, 0, 0, 1])))  # a divisor stays a size
        relation = r.choice(["<", "<=", "=="])
        answer = decide(relation, left, right, known)
        if answer is not None:
            decided += 1
            for point in r.sample(points, 25) + points[:: len(points) // 10]:
                assert bool(value(Compare(relation, left, right), point)) is answer, (domain, relation, left, right)
    assert decided > 0.6 * rounds


def _built(r: random.Random, leaves: list[Expr], depth: int) -> Expr:
    if depth == 0 or r.random() < 0.2:
        return r.choice(leaves)
    first = _built(r, leaves, depth - 1)
    divisor = r.choice([H, E, number(2), number(3), multiply(number(2), E), add(H, ONE)])
    match r.randrange(5):
        case 0 | 1:
            return add(first, _built(r, leaves, depth - 1))
        case 2:
            return multiply(first, _built(r, leaves, depth - 1))
        case 3:
            return Quotient(first, divisor)
    return r.choice([Remainder, Quotient])(subtract(first, r.choice(leaves)), divisor)


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, EXPRESSIONS, EXPRESSIONS)
def test_simplify_gives_equal_polynomials_one_node(a: Expr, b: Expr, c: Expr) -> None:
    assert simplify(multiply(a, add(b, c))) is simplify(add(multiply(c, a), multiply(b, a)))


FACTORS = st.lists(st.sampled_from([H, E, N, number(2), number(3), add(H, ONE)]), min_size=1, max_size=3)
DIVISIBLE = st.lists(
    st.tuples(st.sampled_from([H, E, N, multiply(H, E), add(H, ONE)]), FACTORS)
    .map(lambda p: (p[0], multiply(*p[1])))
    .filter(lambda p: p[0] is not p[1])
    .map(lambda p: Compare("==", Remainder(*p), ZERO)),
    max_size=3,
)


@pytest.mark.slow
@settings(max_examples=30 if EVERYTHING else 6, deadline=None)
@given(EXPRESSIONS, st.lists(FACTORS, min_size=1, max_size=3), DIVISIBLE)
def test_simplify_ends_whatever_divides_what(expr: Expr, divisors: list[list[Expr]], domain: list[Expr]) -> None:
    """Common factors are taken out and nested quotients are opened; neither undoes the other for ever."""
    facts = Facts(domain, {LABEL.tensor: H})
    nested = expr
    for factors in divisors:
        nested = Quotient(nested, multiply(*factors))
    simple = simplify(nested, facts)
    assert simplify(simple, facts) is simple
    for point in allowed(domain):
        assert value(simple, point) == value(nested, point)


def test_simplify_of_a_multiple_of_a_known_divisor() -> None:
    facts = Facts([Compare("==", Remainder(H, E), ZERO)])
    assert simplify(Quotient(H, multiply(number(2), E)), facts) is Quotient(Quotient(H, E), number(2))
    assert simplify(Quotient(H, multiply(E, N)), facts) is simplify(Quotient(Quotient(H, E), N), facts)


def test_simplify_divides_what_divides() -> None:
    assert simplify(Quotient(multiply(number(2), E), number(2))) is E
    assert simplify(Quotient(add(multiply(h, E), e), E)) is h
    assert simplify(Remainder(add(multiply(h, E), e), E)) is e
    assert simplify(add(ONE, Quotient(subtract(H, number(2)), ONE))) is simplify(subtract(H, ONE))
    assert simplify(add(multiply(Quotient(q, E), E), Remainder(q, E))) is q


def test_simplify_uses_a_known_divisor() -> None:
    half = Quotient(H, number(2))
    assert simplify(multiply(half, number(2)), EVEN) is H
    assert simplify(half, EVEN) is half
    assert simplify(Remainder(H, number(2)), EVEN) is ZERO
    grouped = Facts([Compare("==", Remainder(N, E), ZERO)])
    assert simplify(multiply(E, Quotient(N, E)), grouped) is N


def test_simplify_uses_a_known_equality() -> None:
    assert simplify(subtract(H, N), Facts([Compare("==", H, N)])) is ZERO


def test_decide_knows_the_ranges_of_indices_quotients_and_labels() -> None:
    assert decide("<", add(multiply(h, E), e), multiply(H, E)) is True
    assert decide("<", Quotient(q, E), H) is True
    assert decide("<", Remainder(q, E), E) is True
    assert decide("<", LABEL, H, Facts((), {LABEL.tensor: H})) is True
    assert decide("<=", number(2), H, EVEN) is True
    assert decide("==", H, E) is None
    assert decide("==", H, add(H, E)) is False


def test_number_of_a_fraction_is_left_alone() -> None:
    assert simplify(multiply(Number(Fraction(1, 2)), H)) is multiply(Number(Fraction(1, 2)), H)


def test_a_quotient_of_a_quotient_is_one_quotient() -> None:
    whole = Index("w", multiply(N, H, E))
    assert simplify(Quotient(Quotient(whole, E), H)) is simplify(Quotient(whole, multiply(H, E)))
    assert simplify(Quotient(add(multiply(q, E), e), multiply(H, E, E))) is simplify(Quotient(q, multiply(H, E)))
    bit = Index("b", number(2))
    assert simplify(Quotient(add(multiply(number(2), h), bit), number(6))) is simplify(Quotient(h, number(3)))
    inner = subtract(Quotient(whole, E), multiply(H, Quotient(whole, multiply(H, E))))
    assert decide("<=", ZERO, inner) is True
    assert decide("<", inner, H) is True


def test_a_quotient_of_what_a_fact_divides_ends() -> None:
    """With H = E * (H // E) the two ways to write H // (2 * E) led to each other for ever."""
    divides = Facts([Compare("==", Remainder(H, E), ZERO)])
    half = simplify(Quotient(H, multiply(number(2), E)), divides)
    assert half is simplify(Quotient(Quotient(H, E), number(2)), divides)
    assert decide("<=", multiply(number(2), E, half), H, divides) is True


def test_an_index_times_what_may_be_negative_has_no_upper_end() -> None:
    """y may be -5: h * y is 0 at h = 0, although (H - 1) * y is negative."""
    product = multiply(h, LABEL)
    assert decide("<=", Quotient(product, number(3)), Quotient(multiply(subtract(H, ONE), LABEL), number(3))) is None


def test_trials_hold_what_is_known_and_refuse_nothing_true() -> None:
    domain = [Compare("==", Remainder(H, number(2)), ZERO), Compare("<=", E, H)]
    found = trials(domain, {LABEL.tensor: E})
    assert len(found) > 3
    for trial in found:
        at = {x: trial.value(x) for x in (H, E, h, e, q, LABEL)}
        assert at[H] % 2 == 0 and at[E] <= at[H] and all(0 <= at[i] < at[n] for i, n in ((h, H), (e, E), (LABEL, E)))
        assert 0 <= at[q] < at[H] * at[E]
        assert trial.value(Quotient(q, E)) == at[q] // at[E] and trial.value(Remainder(q, E)) == at[q] % at[E]
    gap = {((h, 1),): Fraction(1), ((e, 1),): Fraction(-1)}
    assert any(t.negative(gap) for t in found) and any(t.negative({m: -c for m, c in gap.items()}) for t in found)
    assert not any(t.negative({((H, 1),): Fraction(1), ((h, 1),): Fraction(-1)}) for t in found)
    assert not trials([Compare("<", H, ONE)], {})


def test_simplify_divides_what_a_division_leaves() -> None:
    """2*H*H by H + 1 leaves -2*H, which is divided once more."""
    h = Symbol("H", "size")
    expr = Quotient(multiply(h, add(h, h)), add(h, number(1)))
    assert simplify(simplify(expr)) is simplify(expr)


CHAIN = Facts([Compare("<=", E, H), Compare("<=", H, N)])


def test_decide_is_never_wrong_about_products_of_sizes_in_a_chain() -> None:
    rng, decided = random.Random(4), 0
    places = [(i, j, k) for k in range(1, 6) for j in range(1, k + 1) for i in range(1, j + 1)]
    for _ in range(150):
        terms = [multiply(N, H), multiply(N, E), multiply(H, E), multiply(E, E), N, H, E, ONE]
        expr = add(*(multiply(number(rng.choice((-1, 0, 0, 1))), t) for t in terms))
        if decide("<=", ZERO, expr, CHAIN):
            decided += 1
            assert all(value(expr, {E: i, H: j, N: k}) >= 0 for i, j, k in places)
    assert decided > 10


def test_decide_multiplies_what_it_knows_by_differences_of_sizes() -> None:
    rows, columns = (subtract(a, subtract(b, ONE)) for a, b in ((N, H), (H, E)))
    i, j = Index("i", rows), Index("j", columns)
    assert decide("<", add(multiply(i, columns), j), multiply(rows, columns), CHAIN)
    assert simplify(Quotient(add(multiply(i, columns), j), columns), CHAIN) is i


def test_decide_knows_how_often_a_window_fits() -> None:
    facts = Facts([Compare("<=", E, H)])
    fits = add(Quotient(subtract(H, E), number(2)), ONE)
    assert decide("<=", ONE, fits, facts)
    assert decide("<=", add(multiply(number(2), Index("i", fits)), E), H, facts)
    assert decide("<=", ONE, add(Quotient(subtract(H, E), number(2)), ONE)) is None


def test_decide_finds_short_proofs_where_long_ones_go_round_in_circles() -> None:
    h, k = Symbol("H", "size"), Symbol("K", "size")
    facts = Facts([Compare("<=", k, h)])
    rounds = add(Quotient(add(h, multiply(number(-1), k)), number(2)), number(1))
    assert decide("<=", number(0), rounds, facts) is True
    assert decide("<=", k, add(Quotient(add(h, k), number(2)), number(1)), facts) is True


def test_simplify_divides_what_ends_in_a_remainder() -> None:
    i, j = Index("i", Symbol("H", "size")), Index("j", Symbol("W", "size"))
    digits = add(multiply(number(2), i), Remainder(j, number(2)))
    assert simplify(Quotient(digits, number(4))) is simplify(Quotient(i, number(2)))


@pytest.mark.parametrize(("first", "shift", "second"), list(itertools.product((2, 3), (-2, -1, 0, 1), (2, 3, 5))))
def test_what_divides_a_quotient_is_known_of_the_whole(first, shift, second):
    """H % a == 0 and (H // a + e) % b == 0: what is simplified by it has its value at all such H."""
    part = add(Quotient(H, number(first)), number(shift))
    facts = Facts(
        [Compare("==", Remainder(H, number(first)), ZERO), Compare("==", Remainder(part, number(second)), ZERO)]
    )
    assert simplify(Remainder(H, number(first)), facts) is ZERO
    assert simplify(Remainder(part, number(second)), facts) is ZERO
    shown = [H, part, Quotient(part, number(second)), Quotient(H, number(second)), Quotient(add(H, ONE), number(4))]
    lengths = [n for n in range(1, 200) if n % first == 0 and (n // first + shift) % second == 0]
    assert len(lengths) > 3
    for expr, n in itertools.product(shown, lengths):
        assert value(simplify(expr, facts), {H: n}) == value(expr, {H: n}), expr


def test_steady_gap_is_the_difference_where_only_sizes_are_left() -> None:
    i, x = Index("i", N), Tensor("x", (N,))
    assert steady_gap(add(i, multiply(number(2), N)), add(i, N)) is N
    assert steady_gap(add(i, ONE), i) is ONE
    assert steady_gap(add(i, N), N) is None, "an index is left"
    assert steady_gap(add(Entry(x, (i,)), N), N) is None, "an entry is left"
    assert steady_gap(Entry(x, (i,)), Entry(x, (i,))) is ZERO


@pytest.mark.parametrize("by", range(3, 7))
def test_simplify_writes_a_turned_quotient_with_the_smaller_coefficient(by):
    """(3 - i) // 4 was (3*i + 3) // 4 - i, which is -(i // 4): the block of an index that counts from the end."""
    index, last = Index("i", H), number(by - 1)
    turned = simplify(Quotient(subtract(last, index), number(by)))
    plain = simplify(multiply(number(-1), Quotient(index, number(by))))
    assert turned is plain
    for place in range(4 * by):
        assert value(turned, {index: place}) == (by - 1 - place) // by
