"""Assigning through subscripts.

NumPy's rule for a place that an integer array names twice holds: the last value wins, and `np.add.at` adds them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Expr,
    Index,
    Position,
    Sum,
    add,
    contraction,
    fresh,
    multiply,
    nodes_once,
    where,
)
from symbackprop.frontends.numpy.array import IDENTITY, Array
from symbackprop.frontends.numpy.elementwise import broadcast_shape, held, integers_fit, stretched
from symbackprop.frontends.numpy.errors import ShapesDoNotFit
from symbackprop.frontends.numpy.masked import Masked, Selection, all_places, at_places, elementwise_masked, spread
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS, implements
from symbackprop.frontends.numpy.session import (
    Content,
    as_numpy,
    axis_indices,
    holds,
    index_name,
    minus,
    must_know,
    product_of,
)
from symbackprop.frontends.numpy.size import Size
from symbackprop.frontends.numpy.sorting import permuted
from symbackprop.frontends.numpy.subscripts import (
    Chosen,
    Part,
    Ranged,
    choices,
    gathered_shape,
    mask_in,
    mask_place,
    order_in,
    parts_of,
    sliced,
    windows_in,
    within,
)
from symbackprop.frontends.numpy.views import unflatten, view_of

Indices = tuple[Expr, ...]


# --- assigning ----------------------------------------------------------------------------------------------------


@implements("setitem")
def _setitem(base: Array, key: Any, value: Any) -> None:
    base, key = all_places(base, key)
    if at_places(key) is not None:
        raise TraceError("an assignment to places that a mask selects along some axes cannot be traced",
                         help="if they are to be added up, write np.add.at(x, i, v)")  # fmt: skip
    mask = mask_in(key)
    if mask is not None:
        _assign_selected(Masked(base, {mask_place(base, key, mask): Selection(mask)}), value)
        return
    windows = windows_in(base, key)
    if windows is not None:
        _assign_selected(windows, value)
        return
    parts = parts_of(base, key)
    given = held(base, as_array(value))
    if any(isinstance(p, Chosen) for p in parts):
        _scatter(base, parts, given)
        return
    target = sliced(base, parts)
    if given.buffer is target.buffer and given.axes == target.axes:
        indices = axis_indices(given.axes)
        if given.through.forward(indices) == target.through.forward(indices):
            return  # x[s] += v: already done in place
    target.write(stretched(_fitted(given, target.axes), target.axes))
    integers_fit(target)


@implements("fill_diagonal")
def _fill_diagonal(a: Array, val: Any, wrap: Any = False) -> None:
    """Write into the entries whose indices are all equal, in place."""
    base, given = as_array(a), held(a, as_array(val))
    if base.ndim < 2:
        raise as_numpy(ValueError("array must be at least 2-d"))
    square = base.ndim == 2 or all(n is base.axes[0] for n in base.axes)
    if not square or wrap:
        raise TraceError("np.fill_diagonal with wrap=, or of more than two axes of unequal lengths, cannot be traced")
    if given.ndim > 1:
        raise TraceError("np.fill_diagonal with an array of several axes cannot be traced", help="write x.ravel()")
    shorter = base.axes[0]
    if base.ndim == 2 and must_know("<", base.axes[1], base.axes[0], "the length of a diagonal"):
        shorter = base.axes[1]
    value = stretched(_fitted(given, (shorter,)), (shorter,))
    old = base.read()

    def entries(i: Indices) -> Expr:
        return where(multiply(*(holds("==", i[0], k) for k in i[1:])), value((i[0],)), old(i))

    base.write(entries)


def _fitted(given: Array, shape: Indices) -> Array:
    """`given` without leading axes of size 1, and able to fill `shape`."""
    while given.ndim > len(shape) and given.axes[0] is ONE:
        given = given[0]
    if broadcast_shape(given.axes, shape) != shape:
        shown = tuple(Size(n) for n in shape)
        what = f"an array of shape {given.shape} is assigned to a place of shape {shown}"
        raise ShapesDoNotFit(what, sizes=(*given.axes, *shape))
    return given


def _scatter(base: Array, parts: Sequence[Part], given: Array, added: bool = False) -> None:
    """Assign (or add, np.add.at) at the places that integer arrays name."""
    shape, at, chosen = gathered_shape(parts)
    value = stretched(_fitted(given, shape), shape)
    places = [stretched(c, chosen) for c in choices(parts)]
    finder = _Finder(parts, places, chosen, at)
    if base.through.inverse is None:
        raise TraceError("assignment to an array that cannot be written (a broadcast view)")
    step = view_of(base, base.axes, IDENTITY, contiguous=base.contiguous)
    if added:
        step.write(lambda indices: finder.total(indices, value), added=True)
        return
    old = base.read()
    order = order_in(parts, base.axes)
    if order is not None:
        ordered = permuted(value, at, chosen[0], lambda i: order.rank((i[at],)), not order.is_rank)
        step.write(lambda indices: finder.everywhere(indices, ordered, old))
        return
    step.write(lambda indices: finder.last(indices, value, old))


class _Finder:
    """Which of the chosen places lead to a given entry of the array."""

    def __init__(self, parts: Sequence[Part], places: list[Content], chosen: Indices, at: int) -> None:
        self.parts, self.places, self.chosen, self.at = parts, places, chosen, at

    def split(self, indices: Indices) -> tuple[Indices, list[Expr], list[Expr]]:
        """(the entry's indices on chosen axes, conditions of the other axes, the value's indices there)."""
        own: list[Expr] = []
        conditions: list[Expr] = []
        rest: list[Expr] = []
        places = iter(indices)
        for part in self.parts:
            if part is None:
                rest.append(ZERO)
            elif isinstance(part, Ranged):
                inside, index = within(part, next(places))
                conditions += inside
                rest.append(index)
            else:
                own.append(next(places))
        return tuple(own), conditions, rest

    def solve(self, own: Indices) -> tuple[list[Expr], list[Index]]:
        """Values for the chosen axes: an index read off an axis numbered in order (arange), or a fresh one."""
        values: list[Expr] = []
        unknown: list[Index] = []
        probes = tuple(fresh(index_name(n, set()), n) for n in self.chosen)
        for probe, n in zip(probes, self.chosen, strict=True):
            value: Expr | None = ZERO if n is ONE else None
            for k, place in enumerate(self.places):
                offset = minus(place(probes), probe)
                if value is None and not _contains(offset, probes):
                    value = minus(own[k], offset)
            if value is None:
                unknown.append(probe)
            values.append(probe if value is None else value)
        return values, unknown

    def matches(self, own: Indices, values: list[Expr]) -> Expr:
        """1 if the places at `values` are `own` (and `values` are in range)."""
        ranges = [
            c
            for v, n in zip(values, self.chosen, strict=True)
            if not isinstance(v, Index) or v.size is not n
            for c in (holds("<=", ZERO, v), holds("<", v, n))
        ]
        return multiply(*ranges, *(holds("==", o, p(tuple(values))) for o, p in zip(own, self.places, strict=True)))

    def _indices(self, values: Sequence[Expr], rest: Sequence[Expr]) -> Indices:
        return (*rest[: self.at], *values, *rest[self.at :])

    def total(self, indices: Indices, value: Content) -> Expr:
        """The sum of all values whose place is this entry."""
        own, conditions, rest = self.split(indices)
        values, unknown = self.solve(own)
        body = where(self.matches(own, values), value(self._indices(values, rest)), ZERO)
        if unknown:  # a Kronecker delta times the value: the form that contracts
            body = multiply(self.matches(own, values), value(self._indices(values, rest)))
        for index in unknown:
            body = ZERO if body is ZERO else Sum(index, body)
        return where(multiply(*conditions), body, ZERO)

    def everywhere(self, indices: Indices, value: Content, old: Content) -> Expr:
        """The value at this entry, where the chosen places are a whole axis in some order."""
        own, conditions, rest = self.split(indices)
        new = value(self._indices(own, rest))
        return where(multiply(*conditions), new, old(indices)) if conditions else new

    def last(self, indices: Indices, value: Content, old: Content) -> Expr:
        """The last value whose place is this entry, or what was there."""
        own, conditions, rest = self.split(indices)
        values, unknown = self.solve(own)
        if not unknown:
            named = multiply(*conditions, self.matches(own, values))
            return where(named, value(self._indices(values, rest)), old(indices)) if named is not ZERO else old(indices)
        sizes = tuple(n.size for n in unknown)  # of several axes the last place counts in row-major order
        n = product_of(sizes)
        named = contraction(unknown[0].name, n, lambda i: self._match_at(own, values, unknown, i))
        last = fresh(unknown[0].name, n)
        position = Position("max", last, multiply(self._match_at(own, values, unknown, last), add(last, ONE)))
        table = dict(zip(unknown, unflatten(position, sizes), strict=True))
        at = [table[v] if isinstance(v, Index) and v in table else v for v in values]
        hit = multiply(*conditions, Compare("<", ZERO, named))
        return where(hit, value(self._indices(at, rest)), old(indices))

    def _match_at(self, own: Indices, values: list[Expr], unknown: list[Index], index: Expr) -> Expr:
        table = dict(zip(unknown, unflatten(index, tuple(n.size for n in unknown)), strict=True))
        return self.matches(own, [table[v] if isinstance(v, Index) and v in table else v for v in values])


def _contains(expr: Expr, indices: Sequence[Index]) -> bool:
    return any(n in indices for n in nodes_once(expr))


@implements("add.at")
def _add_at(target: Array, key: Any, value: Any) -> None:
    _accumulate(target, key, value if isinstance(value, Masked) else as_array(value))


@implements("subtract.at")
def _subtract_at(target: Array, key: Any, value: Any) -> None:
    _accumulate(target, key, OPERATIONS["negative"](value))


def _accumulate(target: Array, key: Any, value: Any) -> None:
    target, key = all_places(target, key)
    named = at_places(key)
    if named is not None:
        key, selection, _ = named
        given = (
            value if isinstance(value, Masked) else elementwise_masked(OPERATIONS["add"], value, _nothing(selection))
        )
        if list(given.chosen) != [0] or not given.chosen[0].same(selection):
            raise TraceError("numbers are added at places that another mask selects")
        value = given.present([0])
    mask = mask_in(key)
    parts = [] if mask is not None else parts_of(target, key)
    if not any(isinstance(p, Chosen) for p in parts):
        target[key] += value
        return
    if target.kind == "bool":
        raise TraceError("np.add.at of booleans cannot be traced", help="count in an integer array")
    _scatter(target, parts, held(target, value), added=True)
    integers_fit(target)


def _nothing(selection: Selection) -> Masked:
    """0 at each place that is selected."""
    return Masked(OPERATIONS["zeros"](selection.source.shape), {0: selection})


def _assign_selected(target: Masked, value: Any) -> None:
    """Write into what is selected of an array: numbers, or what is selected in the same way."""
    given = value if isinstance(value, Masked) else Masked(as_array(value), {})
    given = Masked(held(target.inner, given.inner), given.chosen)
    if isinstance(value, Masked) and value.view and value.inner.buffer is target.inner.buffer:
        indices = axis_indices(target.inner.axes)
        if value.inner.through.forward(indices) == target.inner.through.forward(indices):
            return  # x[s] += v: already done in place
    for (at, theirs), (_, own) in zip(reversed(given.axes), reversed(target.axes), strict=False):
        if theirs is not None and (own is None or not theirs.same(own)):
            raise TraceError("entries selected by one mask are assigned through another")
        if theirs is None and own is not None and given.inner.axes[at] is not ONE:
            raise TraceError("an array is assigned through a mask", help="use np.where")
    wide = spread(given, [own for _, own in reversed(target.axes)] + [None] * given.ndim)
    target.write(stretched(_fitted(wide, target.inner.axes), target.inner.axes))
    integers_fit(target.inner)
