"""The parts that sizes are proved with, each held against what it is: exact division, bounds of atoms, linear programs."""

import itertools
import random
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog
from test_size_polynomial import ATOMS, POINTS, A, B, polynomial
from test_size_polynomial import value as at_values
from test_sizes import DOMAIN_CHOICES, LABEL, E, H, N, allowed, e, h, q, value

from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Entry,
    Index,
    Kronecker,
    Position,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    add,
    kronecker,
    multiply,
    negate,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.size_polynomial import (
    CONSTANT,
    UNIT,
    atom_of,
    constant_of,
    exact_quotient,
    minus,
    plus,
    times,
)
from symbackprop.expression.sizes import (
    Facts,
    _bounds,
    _has_solution,
    _largest,
    _nested,
    _polynomial,
    _without_remainders,
    cancels,
    decided,
    is_combination,
    quotient,
    relevant,
)

two, three = number(2), number(3)
FACTS = [(domain, Facts(domain, {LABEL.tensor: H}), allowed(domain)[::7]) for domain in DOMAIN_CHOICES]


def evaluated(poly, at):
    """The value of a polynomial at a point that knows the sizes and the indices."""
    return sum(c * value(multiply(*(power(a, k) for a, k in m), ONE), at) for m, c in poly.items())


# Division.


@pytest.mark.parametrize("seed", range(30))
def test_a_product_is_divided_by_its_factors_and_by_nothing_else(seed):
    r = random.Random(seed)
    divisor, other = polynomial(r), polynomial(r)
    product = times(divisor, other)
    assert exact_quotient(product, divisor) == other
    assert exact_quotient({}, divisor) == {}
    assert exact_quotient(product, {}) is None
    more = plus(product, polynomial(r, terms=2))
    found = exact_quotient(more, divisor)
    if found is not None:
        assert times(divisor, found) == more and all(c.denominator == 1 for c in found.values())
    lead = [c for m, c in divisor.items() if m]
    if lead:  # what is left has a lower degree than the divisor, which therefore does not divide it
        assert exact_quotient(plus(product, UNIT), divisor) is None
    assert exact_quotient(product, times(divisor, constant_of(7))) is None


def test_the_quotient_of_sizes_is_that_of_polynomials():
    assert quotient(multiply(add(H, ONE), E), E) is add(H, ONE)
    assert quotient(add(multiply(H, E), E), add(H, ONE)) is E
    assert quotient(multiply(two, H), two) is H
    assert quotient(H, two) is None and quotient(H, E) is None and quotient(E, multiply(H, E)) is None
    assert quotient(H, N, Facts([Compare("==", H, multiply(N, E))])) is E


# Bounds of atoms.

MIXED = (
    H, E, h, e, q, LABEL, Quotient(q, E), Quotient(h, two), Quotient(add(h, e), three), Quotient(subtract(h, e), two),
    Quotient(subtract(H, multiply(three, E)), two), Quotient(LABEL, E), Quotient(add(H, E), E), Quotient(H, two),
    Quotient(multiply(two, h), subtract(E, H)), Quotient(negate(H), two), Quotient(H, E),
)  # fmt: skip


@pytest.mark.parametrize("atom", MIXED, ids=str)
def test_what_is_said_of_an_atom_holds_wherever_the_facts_do(atom):
    for _, facts, points in FACTS:
        low, known = _bounds(atom, facts)
        for at in points:
            try:
                here = value(atom, at)
            except ZeroDivisionError:
                continue
            assert low is None or low <= here
            assert all(evaluated(p, at) >= 0 for p in known)


def test_atoms_are_told_from_below_as_well_as_they_can_be():
    facts = FACTS[0][1]
    least = {H: 1, h: 0, LABEL: 0, Quotient(q, E): 0, Quotient(add(h, E), E): 1, Quotient(subtract(h, e), E): -1,
             Quotient(add(H, E), E): 1, Kronecker(h, e): 0, Compare("<", h, e): 0, Position(0, h): 0}  # fmt: skip
    for atom, low in least.items():
        assert _bounds(atom, facts)[0] == low, atom
    unknown = Entry(Tensor("any", (), "integer")), Symbol("t"), Quotient(h, subtract(H, E))
    assert [_bounds(a, facts) for a in (*unknown, Quotient(subtract(h, multiply(three, E)), E))][:3] == [(None, [])] * 3
    assert _bounds(Quotient(subtract(h, multiply(three, E)), E), facts)[0] is None
    one = atom_of(Kronecker(h, e))
    assert _bounds(Kronecker(h, e), facts)[1] == [minus(UNIT, one)]
    assert _bounds(Index("i", H), facts)[1] == [minus(minus(atom_of(H), atom_of(Index("i", H))), UNIT)]


@pytest.mark.parametrize("seed", range(12))
def test_the_largest_value_of_a_sum_is_no_smaller_than_any(seed):
    r = random.Random(seed)
    unknown = Entry(Tensor("any", (), "integer"))
    atoms = [h, e, q, LABEL, H, E, unknown]
    for _ in range(6):
        parts = [multiply(number(r.choice([-2, -1, 1, 3])), *r.sample(atoms, r.choice([1, 1, 2]))) for _ in range(3)]
        _, facts, points = r.choice(FACTS)
        total = _polynomial(add(*parts, power(h, 2)), facts)
        most = _largest(total, facts)
        for at, w in itertools.product(r.sample(points, min(10, len(points))), (-3, 2)):
            here = {**at, unknown: w}
            assert evaluated(most, here) >= evaluated(total, here)


def test_the_largest_value_of_an_index_is_its_last():
    facts = FACTS[0][1]
    for given, most in (
        (add(multiply(two, h), negate(e)), subtract(multiply(two, H), two)),
        (multiply(h, e), multiply(subtract(H, ONE), subtract(E, ONE))),
        (multiply(h, h), multiply(subtract(H, ONE), subtract(H, ONE))),
        (multiply(H, LABEL), multiply(H, subtract(H, ONE))),
        (subtract(H, multiply(h, E)), H),
    ):
        assert _largest(_polynomial(given, facts), facts) == _polynomial(most, facts)


@pytest.mark.parametrize("seed", range(12))
def test_remainders_are_told_apart(seed):
    r = random.Random(seed)
    facts = FACTS[0][1]
    low = [r.choice([Remainder(q, E), Remainder(h, two), Remainder(add(h, e), three)]) for _ in range(2)]
    rest = add(multiply(number(r.choice([2, 3])), r.choice([h, e])), r.choice([ZERO, Quotient(q, H)]))
    whole, digits = _without_remainders(_polynomial(add(rest, *dict.fromkeys(low)), facts), facts)
    assert whole == _polynomial(rest, facts)
    assert digits == _polynomial(add(*dict.fromkeys(low)), facts)


def test_quotients_by_a_multiple_are_quotients_of_the_finer_ones():
    facts = FACTS[0][1]
    fine, coarse, other = Quotient(q, E), Quotient(q, multiply(E, H)), Quotient(h, multiply(E, H))
    known = _nested([fine, coarse, other, h], facts)
    assert len(known) == 2
    for at in FACTS[0][2]:
        assert all(evaluated(p, at) >= 0 for p in known)
    left = minus(atom_of(fine), times(atom_of(H), atom_of(coarse)))
    assert known == [left, minus(minus(atom_of(H), left), UNIT)]
    assert _nested([Quotient(q, two), Quotient(q, three)], facts) == []
    assert _nested([Quotient(q, subtract(H, E)), Quotient(q, multiply(two, subtract(H, E)))], facts) == []


# What a comparison asks.


def test_what_is_known_is_answered_and_the_rest_stays():
    x = Tensor("x", (H,))
    place = Compare("<", h, H)
    assert decided(where(place, Entry(x, (h,)), ZERO)) is Entry(x, (h,))
    assert decided(where(Compare("<=", H, h), ONE, Entry(x, (h,)))) is Entry(x, (h,))
    assert decided(kronecker(add(h, H), h)) is ZERO
    assert decided(Compare("<=", h, e)) is Compare("<=", h, e)
    assert decided(Compare("<=", add(h, ZERO, h), e)) is Compare("<=", multiply(two, h), e)
    assert decided(Compare("<", h, e), Facts([Compare("<=", H, ONE), Compare("<=", two, E)])) is Compare("<", h, e)
    assert decided(Kronecker(e, h)) in (Kronecker(e, h), Kronecker(h, e))
    assert decided(Entry(x, (Quotient(multiply(two, h), two),))) is Entry(x, (h,))
    asked = Compare("<", Entry(x, (h,)), ZERO)
    assert decided(asked) is asked, "what depends on data is not a question about sizes"
    assert decided(Compare("<", E, H), Facts([Compare("<", E, H)])) is ONE
    assert decided(Compare("==", E, H), Facts([Compare("<", E, H)])) is ZERO


@pytest.mark.parametrize("seed", range(10))
def test_answers_keep_the_value(seed):
    r = random.Random(seed)
    atoms = [h, e, H, E, q, ONE, LABEL, Quotient(q, E)]
    for _ in range(8):
        _, facts, points = r.choice(FACTS)
        gates = [
            r.choice([lambda a, b: Compare("<", a, b), lambda a, b: Compare("<=", a, b), Kronecker])(
                add(r.choice(atoms), r.choice([ZERO, ONE, negate(E)])), r.choice(atoms)
            )
            for _ in range(2)
        ]
        expr = add(multiply(two, gates[0]), negate(gates[1]))
        answered = decided(expr, facts)
        for at in r.sample(points, min(20, len(points))):
            assert truth(answered, at) == truth(expr, at)


def truth(expr, at):
    if isinstance(expr, Kronecker):
        return int(value(expr.left, at) == value(expr.right, at))
    parts = getattr(expr, "terms", None), getattr(expr, "factors", None)
    if parts[0] is not None:
        return sum(truth(t, at) for t in parts[0])
    if parts[1] is not None:
        return int(np.prod([truth(f, at) for f in parts[1]]))
    return value(expr, at)


# Linear programs.


@pytest.mark.parametrize("seed", range(60))
def test_a_linear_program_has_a_solution_where_another_solver_finds_one(seed):
    r = random.Random(seed)
    rows, columns = r.choice([(1, 2), (2, 2), (2, 3), (3, 3), (3, 5), (4, 4)])
    matrix = [[r.choice([-2, -1, -1, 0, 0, 1, 1, 2]) for _ in range(columns)] for _ in range(rows)]
    right = [r.choice([0, 0, 1, 2, 3]) for _ in range(rows)]
    if r.random() < 0.4:  # one that surely has a solution, in which many are 0
        solution = [r.choice([0, 0, 1, 2]) for _ in range(columns)]
        right = [sum(a * x for a, x in zip(row, solution, strict=True)) for row in matrix]
        matrix = [[-a for a in row] if b < 0 else row for row, b in zip(matrix, right, strict=True)]
        right = [abs(b) for b in right]
    other = linprog([0] * columns, A_eq=np.array(matrix, float), b_eq=np.array(right, float), method="highs")
    found = _has_solution([[Fraction(c) for c in (*row, b)] for row, b in zip(matrix, right, strict=True)])
    assert found is (other.status == 0)


@pytest.mark.parametrize("seed", range(40))
def test_a_combination_is_found_where_there_is_one(seed):
    """goal = sum of multiples of what is known + coefficients that are >= 0, and 0 where an atom may be negative."""
    r = random.Random(seed)
    known = [polynomial(r, (-3, -2, -1, 1, 2)) for _ in range(r.choice([1, 2, 3]))]
    free = {r.choice(ATOMS)} if r.random() < 0.5 else set()
    goal = polynomial(r, (-2, -1, 1, 2))
    if r.random() < 0.6:
        goal = {}
        for p in known:
            goal = plus(goal, times(constant_of(Fraction(r.choice([0, 1, 2]), r.choice([1, 2]))), p))
        goal = plus(goal, {m: abs(c) for m, c in polynomial(r).items() if not any(a in free for a, _ in m)})
    monomials = list(dict.fromkeys(m for p in (goal, *known) for m in p))
    sides = [[float(p.get(m, 0)) for p in known] for m in monomials]
    tied = [k for k, m in enumerate(monomials) if any(a in free for a, _ in m)]
    loose = [k for k in range(len(monomials)) if k not in tied]
    target = [float(goal.get(m, 0)) for m in monomials]
    pick = lambda rows, of: np.array([of[k] for k in rows], float) if rows else None  # noqa: E731
    other = linprog(
        [0] * len(known), A_ub=pick(loose, sides), b_ub=pick(loose, target), A_eq=pick(tied, sides),
        b_eq=pick(tied, target), method="highs",
    )  # fmt: skip
    assert is_combination(goal, known, free) is (other.status == 0)


@pytest.mark.parametrize("seed", range(20))
def test_what_cancels_is_not_negative(seed):
    """A proof by subtraction: at every point at which all that is known is >= 0 the goal is."""
    r = random.Random(seed)
    part = constant_of(Fraction(1, r.choice([1, 3])))
    known = [times(part, polynomial(r, (-2, -1, 1, 2), 2)) for _ in range(2)]
    pieces = [
        times(r.choice([*known, UNIT]), r.choice([UNIT, atom_of(A), atom_of(B), constant_of(2)])) for _ in range(2)
    ]
    goal = plus(*pieces)
    free = {r.choice(ATOMS)} if r.random() < 0.3 else set()
    if not free:
        assert cancels(goal, known, free)
    against = (times(constant_of(Fraction(-1, 3)), p) for p in known)
    for moved in (goal, minus(goal, UNIT), minus({}, goal), *against):
        if cancels(moved, known, free):
            signs = [-1, 1] if free else [1]
            for at, sign in itertools.product(POINTS, signs):
                here = {a: (sign if a in free else 1) * n for a, n in at.items()}
                if all(at_values(p, here) >= 0 for p in known):
                    assert at_values(moved, here) >= 0


@pytest.mark.parametrize("part", [Fraction(1, 3), Fraction(1), Fraction(5, 2)])
def test_a_part_of_an_atom_has_the_sign_of_the_atom(part):
    some, less = times(constant_of(part), atom_of(A)), times(constant_of(-part), atom_of(A))
    assert cancels(some, [], set()) and not cancels(less, [], set()) and not cancels(some, [], {A})
    assert cancels(less, [minus({}, atom_of(A))], {A}) and not cancels(some, [minus({}, atom_of(A))], {A})


def test_relevant_are_those_that_share_an_atom_directly_or_through_others():
    a, b, c, d = (Symbol(n, "size") for n in "abcd")
    ab, bc, dd = minus(atom_of(a), atom_of(b)), minus(atom_of(b), atom_of(c)), minus(atom_of(d), UNIT)
    near = lambda p: {frozenset(x.items()) for x in relevant(p, [bc, dd, ab])}  # noqa: E731
    told = lambda *ps: {frozenset(p.items()) for p in ps}  # noqa: E731
    assert near(atom_of(a)) == told(ab, bc)
    assert near(atom_of(c)) == told(ab, bc)
    assert near(times(atom_of(d), atom_of(d))) == told(dd)
    assert near(UNIT) == set()
    assert {CONSTANT: Fraction(1)} == UNIT
