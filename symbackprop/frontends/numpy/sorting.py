"""Sorting, and the orders that it gives: an argsort is a permutation, whose inverse is the rank of each entry.

Everything is written with ranks: sorted values are x[j] summed over the j of rank i, and so is x[argsort(x)]; what is
assigned at an argsort is read at the rank. Then sorting and its inverse meet in one form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Expr,
    Number,
    Sum,
    add,
    close_sum,
    fresh,
    multiply,
    number,
    subtract,
    where,
)
from symbackprop.frontends.numpy.array import Array, Order, array, order_of
from symbackprop.frontends.numpy.elementwise import held, stretched
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import implements
from symbackprop.frontends.numpy.session import Content, at_each_case, axis_indices, holds, index_name, reduced
from symbackprop.frontends.numpy.views import axis_of, ravel

Indices = tuple[Expr, ...]


def permuted(content: Content, axis: int, size: Expr, rank: Callable[[Indices], Expr], by_rank: bool) -> Content:
    """Entries in another order along an axis, as a sum with one term, which is what its derivative is too.

    Args:
        rank: the rank of the entry at an index tuple.
        by_rank: entry i is that of the place rank(i); else that of the place whose rank is i.
    """

    def entries(indices: Indices) -> Expr:
        other = fresh(index_name(size, set()), size)
        place = _at(indices, axis, other)
        match = holds("==", rank(indices), other) if by_rank else holds("==", rank(place), indices[axis])
        return Sum(other, multiply(match, content(place)))

    return entries


def _at(indices: Indices, axis: int, place: Expr) -> Indices:
    return (*indices[:axis], place, *indices[axis + 1 :])


def _ranks(base: Array, axis: int) -> Content:
    """Where each entry stands after sorting, ties in their order."""
    base.buffer.settle("key")  # an entry is compared with itself, too: there it must be one and the same number
    content, size = base.read(nonlinear=True), base.axes[axis]

    def entries(indices: Indices) -> Expr:
        bound = fresh(index_name(size, set()), size)
        own, other = content(indices), content(_at(indices, axis, bound))
        earlier = multiply(Compare("==", other, own), holds("<", bound, indices[axis]))
        return Sum(bound, add(Compare("<", other, own), earlier))

    ranks = array(base.axes, entries, "integer", summed=True)
    ranks.buffer.settle("rank")
    return ranks.read()


def _sorted_axis(a: Any, axis: Any) -> tuple[Array, int]:
    base = ravel(a) if axis is None else as_array(a)
    return base, axis_of(-1 if axis is None else axis, base.ndim)


@implements("sort")
def _sort(a: Any, axis: Any = -1, kind: Any = None, stable: Any = None) -> Array:
    base, k = _sorted_axis(a, axis)
    return array(base.axes, permuted(base.read(), k, base.axes[k], _ranks(base, k), False), base.dtype, summed=True)


@implements("argsort", method=True)
def _argsort(a: Any, axis: Any = -1, kind: Any = None, stable: Any = None) -> Array:
    base, k = _sorted_axis(a, axis)
    known = order_of(base)
    if known is not None and known.axis == k and not known.is_rank:  # what sorts a permutation is its inverse
        result = array(base.axes, known.rank, "integer", summed=True)
        result.buffer.order = Order(k, known.rank, True)
        return result
    rank = _ranks(base, k)
    result = array(base.axes, permuted(lambda i: i[k], k, base.axes[k], rank, False), "integer", summed=True)
    result.buffer.order = Order(k, rank, False)
    return result


def _stretch(places: Array, base: Array, axis: int) -> tuple[Content, Expr] | None:
    """(the ranks, the first of them) where places are a stretch of an argsort of `base`'s axis: argsort(x)[:, -2:]."""
    order = places.buffer.order
    if order is None or order.axis != axis or order.is_rank or places.buffer.shape != base.axes:
        return None
    indices = axis_indices(places.axes)
    if len(indices) != len(base.axes):
        return None
    start = places.through.forward(_at(indices, axis, ZERO))[axis]
    along = _at(indices, axis, reduced(add(start, indices[axis])))
    return (order.rank, start) if places.through.forward(indices) == along else None


@implements("take_along_axis")
def _take_along_axis(a: Any, indices: Any, axis: Any) -> Any:
    base, places = as_array(a), as_array(indices)
    k = axis_of(axis, base.ndim)
    content, at, order = base.read(), places.read(), order_of(places)
    if order is not None and order.axis == k and places.axes == base.axes:
        entries = permuted(content, k, base.axes[k], order.rank, order.is_rank)
        return array(base.axes, entries, base.dtype, summed=True)
    stretch = _stretch(places, base, k)
    if stretch is not None:
        rank, start = stretch
        chosen = permuted(content, k, base.axes[k], rank, False)
        shown = lambda i: chosen(_at(i, k, reduced(add(start, i[k]))))  # noqa: E731
        return array(places.axes, shown, base.dtype, summed=True)
    shape = tuple(places.axes[j] if j == k else n for j, n in enumerate(base.axes))
    source = stretched(places, shape) if places.axes != shape else at
    return array(shape, lambda i: at_each_case(content, _at(i, k, source(i))), base.dtype)


@implements("put_along_axis")
def _put_along_axis(a: Array, indices: Any, values: Any, axis: Any) -> None:
    places, given = as_array(indices), as_array(values)
    k = axis_of(axis, a.ndim)
    given = held(a, given)
    order, old = order_of(places), a.read()
    if order is not None and order.axis == k and places.axes == a.axes:
        a.write(permuted(stretched(given, a.axes), k, a.axes[k], order.rank, not order.is_rank))
        return
    count = places.axes[k]
    shape = _at(a.axes, k, count)
    place, value = stretched(places, shape), stretched(given, shape)
    stretch = _stretch(places, a, k)
    if stretch is not None:
        a.write(_at_ranks(old, value, k, count, stretch))
        return
    if not isinstance(count, Number):
        raise TraceError("np.put_along_axis at a symbolic number of places cannot be traced")

    def entries(i: Indices) -> Expr:
        result = old(i)
        for j in range(int(count.value)):  # of a place that is named twice the last value stays
            here = _at(i, k, number(j))
            result = where(holds("==", i[k], place(here)), value(here), result)
        return result

    a.write(entries)


def _at_ranks(old: Content, value: Content, axis: int, count: Expr, stretch: tuple[Content, Expr]) -> Content:
    """What stands where the values are put at the places of `count` ranks, the first of them given; each has one."""
    rank, start = stretch

    def entries(i: Indices) -> Expr:
        bound = fresh(index_name(count, set()), count)
        hit = holds("==", rank(i), reduced(add(start, bound)))
        rest = multiply(subtract(ONE, close_sum(bound, hit)), old(i))
        return add(close_sum(bound, multiply(hit, value(_at(i, axis, bound)))), rest)

    return entries
