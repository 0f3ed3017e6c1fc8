"""Polynomials of sizes: each operation is held against the values of what goes in and what comes out."""

import itertools
import random
from fractions import Fraction
from math import gcd, prod

import pytest

from symbackprop.expression.build import Quotient, Symbol
from symbackprop.expression.size_polynomial import (
    CONSTANT,
    UNIT,
    as_atom,
    atom_of,
    constant_of,
    factorings,
    fold,
    join,
    long_division,
    minus,
    negative,
    order,
    plus,
    replace,
    shifted,
    tightened,
    times,
    without,
    without_common_factor,
)

A, B, C = (Symbol(name, "size") for name in "ABC")
Q = Quotient(A, B)
ATOMS = (A, B, Q)
POINTS = [dict(zip((A, B, Q, C), p, strict=True)) for p in itertools.product((1, 2, 5), (1, 3), (0, 1, 4), (7,))]
CASES = range(40)


def value(polynomial, at):
    return sum(c * prod(at[a] ** e for a, e in m) for m, c in polynomial.items())


def monomial(r, most=2):
    return join(*(((a, r.randint(1, most)),) if r.random() < 0.5 else () for a in r.sample(ATOMS, 2)))


def polynomial(r, numbers=(-6, -4, -3, -2, -1, 1, 2, 3, 4, 6, 12), terms=4):
    return {monomial(r): Fraction(r.choice(numbers)) for _ in range(r.randint(1, terms))}


@pytest.mark.parametrize("seed", range(40))
def test_arithmetic_is_that_of_values(seed):
    r = random.Random(seed)
    left, right = polynomial(r), polynomial(r)
    if r.random() < 0.5:  # terms that cancel
        right = plus(right, {m: -c for m, c in list(left.items())[:1]})
    results = plus(left, right), minus(left, right), times(left, right), negative(left)
    for at in POINTS:
        a, b = value(left, at), value(right, at)
        assert [value(p, at) for p in results] == [a + b, a - b, a * b, -a]
    assert all(all(p.values()) for p in results)
    assert minus(left, left) == {} and times(left, UNIT) == left and plus(left, {}) == left
    assert times(left, right) == times(right, left)


@pytest.mark.parametrize("seed", range(40))
def test_without_is_the_inverse_of_join(seed):
    r = random.Random(seed)
    one, other = monomial(r), monomial(r)
    assert dict(without(join(one, other), other) or ()) == dict(one)
    assert join(one, other) == join(other, one)
    divides = all(dict(one).get(a, 0) >= e for a, e in other)
    assert (without(one, other) is not None) is divides


def test_as_atom_is_one_atom_alone():
    assert as_atom(atom_of(A)) is A
    others = (
        UNIT,
        {},
        plus(atom_of(A), UNIT),
        times(atom_of(A), atom_of(A)),
        times(atom_of(A), atom_of(B)),
        times(atom_of(A), constant_of(2)),
        negative(atom_of(A)),
    )
    assert [as_atom(p) for p in others] == [None] * len(others)
    assert constant_of(0) == {} and constant_of(Fraction(1, 2)) == {CONSTANT: Fraction(1, 2)}


@pytest.mark.parametrize("seed", range(40))
def test_replace_and_shifted_are_values_at_other_points(seed):
    r = random.Random(seed)
    whole, new = polynomial(r), polynomial(r, terms=2)
    moved = {a: Fraction(r.randint(-1, 2)) for a in r.sample(ATOMS, 2)}
    for at in POINTS:
        assert value(replace(whole, A, new), at) == value(whole, {**at, A: value(new, at)})
        assert value(shifted(whole, moved), at) == value(whole, {a: at[a] + moved.get(a, 0) for a in at})


@pytest.mark.parametrize("seed", CASES)
def test_long_division_leaves_nothing_that_could_be_divided(seed):
    r = random.Random(seed)
    divisor = polynomial(r, terms=2)
    total = plus(times(divisor, polynomial(r, (1, 2, -3), 2)), polynomial(r, terms=2))
    quotient, rest = long_division(total, divisor)
    assert plus(times(divisor, quotient), rest) == total
    assert all(c.denominator == 1 for c in quotient.values())
    lead = max(divisor, key=order)
    assert all(without(m, lead) is None or c // divisor[lead] == 0 for m, c in rest.items())


@pytest.mark.parametrize("seed", CASES)
def test_a_common_factor_does_not_change_the_quotient(seed):
    r = random.Random(seed)
    total, divisor = polynomial(r, (-6, -4, 2, 4, 6, 12)), polynomial(r, (2, 4, 6), 2)
    total = plus(total, constant_of(r.randint(-5, 5)))
    less, by = without_common_factor(total, divisor)
    for at in POINTS:
        if value(divisor, at) > 0:
            assert value(total, at) // value(divisor, at) == value(less, at) // value(by, at)
    slopes = [c for m, c in less.items() if m]
    assert gcd(*(int(c) for c in (*slopes, *by.values()))) == 1
    assert all(less.values())


@pytest.mark.parametrize("broken", [0, 1])
def test_a_common_factor_of_fractions_is_not_looked_for(broken):
    """(A/2 + 1) // 2 is not (A/2) // 2, nor is 2 // (A/2 + ...) made smaller."""
    parts = [{((A, 1),): Fraction(2), CONSTANT: Fraction(1)}, {CONSTANT: Fraction(4), ((B, 1),): Fraction(2)}]
    parts[broken] = {m: c / 4 for m, c in parts[broken].items()}
    assert without_common_factor(*parts) == tuple(parts)


@pytest.mark.parametrize("seed", CASES)
def test_tightened_says_the_same_of_integers(seed):
    r = random.Random(seed)
    factor = r.choice((1, 2, 3))
    loose = plus(times(constant_of(factor), polynomial(r, terms=2)), constant_of(r.randint(-5, 5)))
    tight = tightened(loose)
    for at in POINTS:
        assert (value(loose, at) >= 0) == (value(tight, at) >= 0)
    slopes = [int(c) for m, c in tight.items() if m]
    assert not slopes or gcd(*slopes) == 1
    assert all(tight.values())


def test_tightened_leaves_fractions_and_numbers():
    for kept in ({CONSTANT: Fraction(-3)}, {}, {((A, 1),): Fraction(2), CONSTANT: Fraction(-1, 2)}):
        assert tightened(kept) == kept


@pytest.mark.parametrize("seed", CASES)
def test_factorings_have_the_product(seed):
    r = random.Random(seed)
    product, total = {monomial(r): Fraction(r.choice((1, 2, 4, 6)))}, polynomial(r, (2, 3, 4, 6, -4))
    found = list(factorings(product, total))
    assert all(times(unit, other) == product for unit, other in found)
    ((own, coefficient),) = product.items()
    # every atom, unless it is all there is, and every number that the product shares with a term
    atoms = {as_atom(unit) for unit, _ in found} - {None}
    assert atoms == {a for a, e in own if len(own) > 1 or e > 1 or coefficient != 1}
    shared = {gcd(int(coefficient), int(c)) for c in total.values()} - ({1} if own else {1, int(coefficient)})
    assert {int(unit[CONSTANT]) for unit, _ in found if CONSTANT in unit} == shared
    assert not list(factorings(plus(product, {((C, 1),): Fraction(1)}), total))


@pytest.mark.parametrize("seed", CASES)
def test_fold_writes_a_product_as_what_it_is(seed):
    """A == k*Q: each k*Q in it becomes A, and less than k of them stay."""
    r = random.Random(seed)
    k, whole = r.choice((1, 2, 3)), polynomial(r)
    product = {((Q, 1),): Fraction(k)}
    folded = fold(whole, product, atom_of(A))
    for at in POINTS:
        here = {**at, A: k * at[Q]}
        assert value(folded, here) == value(whole, here)
    assert all(0 <= c < k for m, c in folded.items() if dict(m).get(Q) == 1 and A not in dict(m))
    assert all(folded.values())
