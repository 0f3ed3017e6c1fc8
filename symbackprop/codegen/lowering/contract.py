"""How a sum of a product becomes contractions of two arrays: pure decisions about factors and their indices.

    deltas      sum over j of [j == e] * A[j]      ->  A[e], where e lies inside the axis
    grouped     factors over the same axes         ->  one elementwise product; a smaller one joins a larger one
    next_pair   more than two arrays               ->  the two whose product has the fewest axes come first

This module must not know about statements.
"""

from __future__ import annotations

from collections.abc import Sequence

from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Compare,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Number,
    Power,
    Sum,
    free_indices,
    multiply,
    negate,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.sizes import Facts, Relation, decide, simplify

Indices = frozenset[Index]


def opened(expr: Sum) -> tuple[list[Index], Expr]:
    """The indices of sums directly inside one another, and the body of the innermost."""
    over, body = [expr.index], expr.body
    while isinstance(body, Sum):
        over.append(body.index)
        body = body.body
    return over, body


def factors_of(body: Expr) -> list[Expr]:
    """The factors of a product, with squares written out: a sum of squares is an inner product."""
    found: list[Expr] = []
    for factor in body.factors if isinstance(body, Multiply) else (body,):
        exponent = factor.exponent if isinstance(factor, Power) else None
        if isinstance(factor, Power) and isinstance(exponent, Number) and exponent.value == 2:
            found += factors_of(factor.base) * 2
        elif isinstance(factor, Multiply):
            found += factors_of(factor)
        else:
            found.append(factor)
    return found


def distributes(body: Expr) -> bool:
    """True for a sum of terms no single factor of which has all the indices: each term is better summed by itself."""
    if not isinstance(body, Add):
        return False
    return all(free_indices(factor) != free_indices(body) for term in body.terms for factor in factors_of(term))


def deltas(over: list[Index], factors: list[Expr], facts: Facts) -> tuple[list[Index], list[Expr]]:
    """Contract every Kronecker delta that fixes an index summed over.

    A value outside the axis gives 0: unless it is proved to lie inside, the factors with the index get a condition.
    """
    for position, factor in enumerate(factors):
        if not isinstance(factor, Kronecker):
            continue
        for index in over:
            value = _solved(factor, index)
            if value is not None:
                rest = [f for p, f in enumerate(factors) if p != position]
                return deltas([i for i in over if i is not index], _at(rest, index, value, facts), facts)
    return over, factors


def _solved(factor: Kronecker, index: Index) -> Expr | None:
    """The value of `index` at which the two sides are equal, if it occurs linearly with coefficient 1 or -1."""
    if factor.left is index or factor.right is index:
        value = factor.right if factor.left is index else factor.left
        return None if index in free_indices(value) else value
    gap = subtract(factor.left, factor.right)
    if index not in free_indices(gap):
        return None
    at_zero = substitute(gap, {index: ZERO})
    slope = simplify(subtract(substitute(gap, {index: ONE}), at_zero))
    straight = simplify(subtract(gap, multiply(slope, index)))
    if index in free_indices(straight) or slope not in (ONE, MINUS_ONE):
        return None
    return simplify(straight if slope is MINUS_ONE else negate(straight))


def _at(factors: list[Expr], index: Index, value: Expr, facts: Facts) -> list[Expr]:
    """The factors at index = value, guarded where the value may lie outside the axis."""
    bounds: tuple[tuple[Relation, Expr, Expr], ...] = (("<=", ZERO, value), ("<", value, index.size))
    inside = [Compare(r, low, high) for r, low, high in bounds if decide(r, low, high, facts) is not True]
    if not inside:
        return [substitute(f, {index: value}) for f in factors]
    condition = multiply(*inside)
    touched = [index in free_indices(f) for f in factors]
    new = [
        where(condition, substitute(f, {index: value}), ZERO) if t else f for f, t in zip(factors, touched, strict=True)
    ]
    return new if any(touched) else [*new, where(condition, ONE, ZERO)]


def grouped(factors: Sequence[Expr]) -> list[Expr]:
    """Few arrays instead of many factors: those over the same axes are multiplied, then smaller ones join larger ones.

    Two arrays are what a contraction takes, so two stay two.
    """
    groups = list(factors)
    while len(groups) > 2:
        pair = _joinable(groups)
        if pair is None:
            break
        small, large = pair
        product = multiply(groups[large], groups[small])
        groups = [product if p == large else g for p, g in enumerate(groups) if p != small]
    return groups


def _joinable(groups: list[Expr]) -> tuple[int, int] | None:
    free = [free_indices(g) for g in groups]
    pairs = [(s, g) for s in range(len(groups)) for g in range(len(groups)) if s != g and free[s] <= free[g]]
    return min(pairs, key=lambda p: (len(free[p[1]]) - len(free[p[0]]), p[0]), default=None)


def next_pair(groups: Sequence[Expr], over: Sequence[Index]) -> tuple[int, int, list[Index]]:
    """The two arrays to contract first, and the indices that this sums away."""
    free = [free_indices(g) for g in groups]
    best: tuple[tuple[int, int], int, int, list[Index]] | None = None
    for first in range(len(groups)):
        for second in range(first + 1, len(groups)):
            elsewhere = frozenset[Index]().union(*(f for p, f in enumerate(free) if p not in (first, second)))
            both = free[first] | free[second]
            gone = [i for i in over if i in both and i not in elsewhere]
            score = (len(both) - len(gone), -len(gone))
            if best is None or score < best[0]:
                best = (score, first, second, gone)
    assert best is not None, "two arrays are needed"
    return best[1:]
