"""An equation that says something else on each part of an axis, as one equation for each part.

    z[n,j] = where(j < H, a[n,j], b[n,j - H]),  0 <= j < 2*H      ->  a[n,j] for the first H, b[n,j] for the rest

What is joined, padded or taken apart along an axis becomes a few whole arrays, in place of a question at each entry.
Main name: `pieces`.
"""

from __future__ import annotations

import itertools
from functools import cmp_to_key

from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Compare,
    Expr,
    Index,
    Kronecker,
    add,
    entries_once,
    free_indices,
    fresh,
    negate,
    nodes_once,
    substitute,
    subtract,
)
from symbackprop.expression.equation import Equation
from symbackprop.expression.sizes import Facts, decide, decided, simplify

MOST = 6  # parts: beyond, to ask at each entry is shorter


def pieces(equation: Equation, facts: Facts, but: Index | None) -> tuple[Index, list[tuple[Index, Expr]]] | None:
    """(an index, for each part of its range an index of its own and the value); None if nothing is asked about one.

    Args:
        but: an index that is left whole.
    """
    for index in equation.indices:
        if index is but:
            continue
        asked = [n for n in nodes_once(equation.value) if isinstance(n, (Compare, Kronecker))]
        asked = [n for n in asked if free_indices(n) == {index} and not any(True for _ in entries_once(n))]
        places = _sorted([p for n in asked for p in _places(n, index)], index, facts) if asked else None
        if places is None or not 2 < len(places) <= MOST + 1:
            continue
        found = list[tuple[Index, Expr]]()
        for low, high in itertools.pairwise(places):
            part = fresh(index.name, simplify(subtract(high, low), facts))
            found.append((part, decided(substitute(equation.value, {index: add(part, low)}), facts)))
        return index, found
    return None


def _places(node: Compare | Kronecker, index: Index) -> list[Expr]:
    """Where along the index the answer changes."""
    gap = subtract(node.right, node.left)
    at_zero = substitute(gap, {index: ZERO})
    slope = simplify(subtract(substitute(gap, {index: ONE}), at_zero))
    root = at_zero if slope is MINUS_ONE else negate(at_zero)
    straight = add(at_zero, index) if slope is ONE else subtract(at_zero, index)
    if slope not in (ONE, MINUS_ONE) or simplify(subtract(gap, straight)) is not ZERO:
        return []
    if isinstance(node, Kronecker) or node.relation == "==":
        return [root, add(root, ONE)]
    later = (node.relation == "<") == (slope is ONE)  # j <= c changes after c, c <= j at c
    return [add(root, ONE) if later else root]


def _sorted(places: list[Expr], index: Index, facts: Facts) -> list[Expr] | None:
    """The places inside the range, with its ends, in order; None if that is not known."""
    inside = {simplify(p, facts): None for p in places}
    found = [p for p in inside if decide("<=", p, ZERO, facts) is not True]
    found = [p for p in found if decide("<=", index.size, p, facts) is not True]
    every = [ZERO, *found, simplify(index.size, facts)]
    for k, a in enumerate(every):
        if any(decide("<=", a, b, facts) is None and decide("<=", b, a, facts) is None for b in every[k + 1 :]):
            return None

    def compared(a: Expr, b: Expr) -> int:
        return -1 if decide("<=", a, b, facts) else 1

    return sorted(every, key=cmp_to_key(compared))
