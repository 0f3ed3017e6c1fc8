"""Axes that are merged from two: heads and their features, groups and their channels.

    o[t,d] = sum(j, p[d//E,t,j]*v[j,d])     ->     t1[t,h,e] = sum(j, p[h,t,j]*v[j,E*h + e]),   o[t,d] = t1[t,d//E,d%E]

An index that is divided by E is written as E*h + e, so that sums over the rest are products of whole arrays. Looking up
all entries of an array in their order, as `t1[t,d//E,d%E]` and `v[j,E*h + e]` do, is a reshape, which costs nothing.
Main names: `divided`, `axes_seen`.
"""

from __future__ import annotations

from symbackprop.expression.build import (
    ZERO,
    Entry,
    Expr,
    Index,
    Quotient,
    Remainder,
    Sum,
    Tensor,
    add,
    free_indices,
    fresh,
    multiply,
    nodes_once,
    rewrite,
    substitute,
    subtract,
)
from symbackprop.expression.program import Equation
from symbackprop.expression.sizes import Facts, quotient, simplify


def divided(equation: Equation, name: str, facts: Facts) -> tuple[Equation, Entry] | None:
    """An equation over the two indices of each merged axis, and the entry of its tensor that the old one is.

    Args:
        name: of the new tensor.

    Returns:
        None if no index is divided by the length of a part of its axis.
    """
    value, indices, places = _in_sums(equation.value, facts), list[Index](), list[Expr]()
    for index in equation.indices:
        parts = _parts(index, value, facts)
        if parts is None:
            indices.append(index)
            places.append(index)
            continue
        outer, inner = parts
        value = _written(value, index, outer, inner, facts)
        indices += [outer, inner]
        places += [Quotient(index, inner.size), Remainder(index, inner.size)]
    if value is equation.value:
        return None
    if len(indices) == len(equation.indices):
        return Equation(equation.tensor, equation.indices, value), equation.left
    tensor = Tensor(name, tuple(i.size for i in indices), equation.tensor.kind)
    return Equation(tensor, tuple(indices), value), Entry(tensor, tuple(places))


def _in_sums(value: Expr, facts: Facts) -> Expr:
    """A value in which sums over merged axes are two sums."""

    def meaning(node: Expr) -> Expr | None:
        if not isinstance(node, Sum):
            return None
        body = rewrite(node.body, meaning)
        parts = _parts(node.index, body, facts)
        if parts is None:
            return None if body is node.body else Sum(node.index, body)
        outer, inner = parts
        return Sum(outer, Sum(inner, _written(body, node.index, outer, inner, facts)))

    return rewrite(value, meaning)


def _parts(index: Index, value: Expr, facts: Facts) -> tuple[Index, Index] | None:
    """The index of parts and the one inside a part, if the index is divided by the length of parts of its axis."""
    for node in nodes_once(value):
        if isinstance(node, Quotient) and node.left is index and not free_indices(node.right):
            count = quotient(index.size, node.right, facts)
            if count is not None:
                return fresh(index.name, count), fresh(index.name, node.right)
    return None


def _written(value: Expr, index: Index, outer: Index, inner: Index, facts: Facts) -> Expr:
    """The value with length*outer + inner for the index."""

    def meaning(node: Expr) -> Expr | None:
        if isinstance(node, (Quotient, Remainder)) and node.left is index and node.right is inner.size:
            return outer if isinstance(node, Quotient) else inner
        return None

    def tidy(node: Expr) -> Expr | None:
        if isinstance(node, Entry) and not free_indices(node).isdisjoint((outer, inner)):
            return Entry(node.tensor, tuple(simplify(rewrite(i, tidy), facts) for i in node.indices))
        return None

    there = substitute(rewrite(value, meaning), {index: add(multiply(inner.size, outer), inner)})
    return rewrite(there, tidy)


def axes_seen(entry: Entry, facts: Facts) -> tuple[Index, ...]:
    """The indices of an entry in the order in which the array has them, if they run over all of it once; else none."""
    found, rest = list[Index](), list(zip(entry.indices, entry.tensor.shape, strict=True))
    while rest:
        place, size = rest.pop(0)
        seen = _axis_seen(place, size, facts)
        if seen is None and rest:
            seen = _merged_seen((place, rest[0][0]), (size, rest[0][1]), facts)
            rest.pop(0)
        if seen is None:
            return ()
        found += seen
    return tuple(found) if len(set(found)) == len(found) else ()


def _axis_seen(place: Expr, size: Expr, facts: Facts) -> list[Index] | None:
    """The index along a whole axis, or the two that it is split into."""
    free = free_indices(place)
    if isinstance(place, Index):
        return [place] if _same(place.size, size, facts) else None
    if len(free) != 2:
        return None
    for inner in free:
        (outer,) = free - {inner}
        linear = add(multiply(inner.size, outer), inner)
        if _same(place, linear, facts) and _same(multiply(inner.size, outer.size), size, facts):
            return [outer, inner]
    return None


def _merged_seen(places: tuple[Expr, Expr], sizes: tuple[Expr, Expr], facts: Facts) -> list[Index] | None:
    """The one index that runs over two whole axes."""
    first, second = places
    if not (isinstance(first, Quotient) and isinstance(second, Remainder)):
        return None
    index = first.left
    same = second.left is index and _same(first.right, sizes[1], facts) and _same(second.right, sizes[1], facts)
    whole = isinstance(index, Index) and _same(index.size, multiply(*sizes), facts)
    return [index] if same and whole and isinstance(index, Index) else None


def _same(left: Expr, right: Expr, facts: Facts) -> bool:
    return left is right or simplify(subtract(left, right), facts) is ZERO


__all__ = ["axes_seen", "divided"]
