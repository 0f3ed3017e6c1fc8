"""Axes that are merged from two: heads and their features, groups and their channels.

    o[t,d] = sum(j, p[d//E,t,j]*v[j,d])     ->     t1[h,t,e] = sum(j, p[h,t,j]*v[j,E*h + e]),   o[t,d] = t1[d//E,t,d%E]

An index that is divided by E is written as E*h + e, so that sums over the rest are products of whole arrays. Looking up
all entries of an array, as `t1[d//E,t,d%E]` and `v[j,E*h + e]` do, is a reshape, perhaps after a transposition.
Main names: `divided`, `digits`.
"""

from __future__ import annotations

from collections.abc import Callable

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


def divided(equation: Equation, name: Callable[[], str], facts: Facts) -> tuple[Equation, Entry] | None:
    """An equation over the two indices of each merged axis, and the entry of its tensor that the old one is.

    Args:
        name: makes one for a new tensor.

    Returns:
        None if no index is divided by the length of a part of its axis.
    """
    value, indices, places = _in_sums(equation.value, facts), list[Index](), list[Expr]()
    outermost, parts_of_them = list[Index](), list[Expr]()
    for index in equation.indices:
        parts = _parts(index, value, facts)
        if parts is None:
            indices.append(index)
            places.append(index)
            continue
        outer, inner = parts
        value = _written(value, index, outer, inner, facts)
        batched = any(isinstance(n, Sum) and outer in free_indices(n) for n in nodes_once(value))
        (outermost if batched else indices).append(outer)
        (parts_of_them if batched else places).append(Quotient(index, inner.size))
        indices.append(inner)
        places.append(Remainder(index, inner.size))
    if value is equation.value:
        return None
    if len(indices) + len(outermost) == len(equation.indices):
        return Equation(equation.tensor, equation.indices, value), equation.left
    indices, places = [*outermost, *indices], [*parts_of_them, *places]  # of products of many matrices these come first
    tensor = Tensor(name(), tuple(i.size for i in indices), equation.tensor.kind)
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


def digits(entry: Entry, facts: Facts) -> tuple[Expr, ...]:
    """How a look-up of all entries sees the axes of its array, in their order; () if it is no such look-up.

    An index for a whole axis; two for one that it splits, the outer one first; d//E and d%E for two that it merges.
    """
    found = list[Expr]()
    for place, size in zip(entry.indices, entry.tensor.shape, strict=True):
        seen = _digits_of(place, size, facts)
        if seen is None:
            return ()
        found += seen
    merged = {n.left for n in found if isinstance(n, Quotient)}
    plain = [n for n in found if isinstance(n, Index)]
    once = len(set(found)) == len(found) and merged.isdisjoint(plain)
    pairs = all(_is_pair(i, found, facts) for i in merged)
    return tuple(found) if once and pairs and len(found) == len(plain) + 2 * len(merged) else ()


def _digits_of(place: Expr, size: Expr, facts: Facts) -> list[Expr] | None:
    free = free_indices(place)
    if isinstance(place, Index):
        return [place] if _same(place.size, size, facts) else None
    if isinstance(place, (Quotient, Remainder)) and isinstance(place.left, Index) and not free_indices(place.right):
        whole = multiply(size, place.right) if isinstance(place, Quotient) else place.left.size
        fits = isinstance(place, Quotient) or _same(place.right, size, facts)
        return [place] if fits and _same(place.left.size, whole, facts) else None
    if len(free) != 2:
        return None
    for inner in free:
        (outer,) = free - {inner}
        linear = add(multiply(inner.size, outer), inner)
        if _same(place, linear, facts) and _same(multiply(inner.size, outer.size), size, facts):
            return [outer, inner]
    return None


def _is_pair(index: Expr, found: list[Expr], facts: Facts) -> bool:
    """True if an index is both divided by a length and taken by the remainder, once each."""
    above = [n.right for n in found if isinstance(n, Quotient) and n.left is index]
    below = [n.right for n in found if isinstance(n, Remainder) and n.left is index]
    return len(above) == len(below) == 1 and _same(above[0], below[0], facts)


def _same(left: Expr, right: Expr, facts: Facts) -> bool:
    return left is right or simplify(subtract(left, right), facts) is ZERO


__all__ = ["digits", "divided"]
