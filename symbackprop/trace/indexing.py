"""Subscripts: reading and assigning, with slices, None, Ellipsis, integers, integer arrays and boolean masks.

Slices and integers give views. Integer arrays are copies when read; when assigned, NumPy's rule for a place that is named
twice holds: the last value wins (and `np.add.at` adds them all). A mask keeps its entries in place (`Masked`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression import (
    MINUS_ONE,
    ONE,
    ZERO,
    Compare,
    Entry,
    Expr,
    Index,
    Position,
    Quotient,
    Remainder,
    Sum,
    add,
    contraction,
    fresh,
    multiply,
    number,
    where,
)
from symbackprop.trace.array import Array, View, array, as_array, integer_of, nodes
from symbackprop.trace.elementwise import Masked, broadcast_shape, must_hold, same_entries, stretched
from symbackprop.trace.layout import transpose, view_of
from symbackprop.trace.registry import implements
from symbackprop.trace.session import (
    Content,
    axis_indices,
    holds,
    index_name,
    is_so,
    minus,
    must_know,
    reduced,
)
from symbackprop.trace.size import Size
from symbackprop.trace.stops import NeedsConcreteSizes, ShapesDoNotFit, size_symbols

Indices = tuple[Expr, ...]


@dataclass(frozen=True)
class Picked:
    """An axis at one place."""

    place: Expr


@dataclass(frozen=True)
class Ranged:
    """An axis at start, start + step, ...: `length` places."""

    start: Expr
    step: int
    length: Expr


@dataclass(frozen=True)
class Chosen:
    """An axis at the places that an integer array says."""

    places: Array


Part = Picked | Ranged | Chosen | None  # None: a new axis


def parts_of(base: Array, key: Any) -> list[Part]:
    """The subscript, one part for each axis of `base` and each new axis."""
    items = list(key) if isinstance(key, tuple) else [key]
    items = [_as_item(i) for i in items]
    used = sum(i is not None and i is not Ellipsis for i in items)
    if used > base.ndim:
        raise ShapesDoNotFit(f"{used} subscripts for an array with {base.ndim} axes")
    if not any(i is Ellipsis for i in items):
        items.append(Ellipsis)
    at = next(k for k, i in enumerate(items) if i is Ellipsis)
    items[at : at + 1] = [slice(None)] * (base.ndim - used)
    axes = iter(base.axes)
    return [None if i is None else _part(i, next(axes)) for i in items]


def _as_item(item: Any) -> Any:
    if isinstance(item, (list, np.ndarray)) or (isinstance(item, tuple) and not isinstance(item, slice)):
        return as_array(item)
    return item


def _part(item: Any, size: Expr) -> Part:
    if isinstance(item, slice):
        return _ranged(item, size)
    place = integer_of(item)
    if place is not None:
        return Picked(_place(place, size))
    if isinstance(item, Array) and item.kind == "integer":
        return Chosen(item)
    raise TraceError(f"a subscript of type {type(item).__name__}" if not isinstance(item, Array) else "a real subscript")


def _place(place: Expr, size: Expr) -> Expr:
    """A place inside the axis: from the end if negative, and provably inside."""
    if is_so("<", place, ZERO) is True:
        place = reduced(add(place, size))
    for relation, low, high in (("<=", ZERO, place), ("<", place, size)):
        answer = is_so(relation, low, high)  # type: ignore[arg-type]
        if answer is False:
            raise ShapesDoNotFit(f"subscript {Size(place)!r} of an axis of size {Size(size)!r}")
        if answer is None and size_symbols(place, size) and not _is_label(place):
            raise NeedsConcreteSizes(f"subscript {Size(place)!r} of an axis of size {Size(size)!r}", size_symbols(place, size))
    return place


def _is_label(place: Expr) -> bool:
    """True for a place that comes from data: that it lies inside is an assumption about the data."""
    return any(isinstance(n, (Entry, Position)) for n in nodes(place))


def _ranged(item: slice, size: Expr) -> Ranged:
    step = 1 if item.step is None else int(item.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    if step > 0:
        start = _bound(item.start, size, ZERO)
        stop = _bound(item.stop, size, size)
        span = minus(stop, start)
        if not must_know("<=", ZERO, span, "the bounds of a slice"):
            span = ZERO
        return Ranged(start, step, reduced(Quotient(add(span, number(step - 1)), number(step))))
    last = minus(size, ONE)
    start = last if item.start is None else _place_or_end(item.start, size)
    stop = MINUS_ONE if item.stop is None else _bound(item.stop, size, size)
    span = minus(start, stop)
    if not must_know("<=", ZERO, span, "the bounds of a slice"):
        span = ZERO
    by = number(-step)
    return Ranged(start, step, reduced(Quotient(add(span, by, MINUS_ONE), by)))


def _place_or_end(bound: Any, size: Expr) -> Expr:
    """The start of a slice that runs backwards: at most size - 1."""
    return minus(_bound(add_one(bound), size, size), ONE)


def add_one(bound: Any) -> Any:
    """bound + 1, but None where that would wrap around from -1."""
    return None if bound is None or (isinstance(bound, int) and bound == -1) else bound + 1


def _bound(bound: Any, size: Expr, default: Expr) -> Expr:
    """A bound of a slice, counted from the end if negative, and clipped to the axis."""
    if bound is None:
        return default
    place = integer_of(bound)
    if place is None:
        raise TraceError(f"a slice bound of type {type(bound).__name__}")
    if must_know("<", place, ZERO, "the bounds of a slice"):
        place = reduced(add(place, size))
        if must_know("<", place, ZERO, "the bounds of a slice"):
            return ZERO
    return place if must_know("<=", place, size, "the bounds of a slice") else size


# --- reading ------------------------------------------------------------------------------------------------------


@implements("getitem")
def _getitem(base: Array, key: Any) -> Any:
    mask = _mask_in(key)
    if mask is not None:
        return Masked(array(base.axes, base.read(), base.kind), _whole_mask(base, key, mask))
    parts = parts_of(base, key)
    if any(isinstance(p, Chosen) for p in parts):
        return _gather(base, parts)
    result = _sliced(base, parts)
    if result.ndim == 0 and not (isinstance(key, tuple) and any(k is Ellipsis for k in key)):
        content = base.read()
        forward = _forward(parts)
        return array((), lambda _: content(forward(())), base.kind, summed=base.buffer.summed)
    return result


def _sliced(base: Array, parts: Sequence[Part]) -> Array:
    """The view that a subscript of slices, integers and new axes selects."""
    shape = tuple(ONE if p is None else p.length for p in parts if p is None or isinstance(p, Ranged))
    whole = [p is None or isinstance(p, Picked) or (p.step == 1 and p.length is n) for p, n in _with_sizes(base, parts)]
    # Leading axes may be cut, or picked, without breaking contiguity; after a whole axis nothing may.
    cut = max((k for k, w in enumerate(whole) if not w), default=-1)
    leading = all(p is None or isinstance(p, Picked) for p in parts[:cut]) if cut >= 0 else True
    picked = [k for k, p in enumerate(parts) if isinstance(p, Picked)]
    kept = [k for k, p in enumerate(parts) if isinstance(p, Ranged)]
    contiguous = leading and not (picked and kept and max(picked) > min(kept))
    return view_of(base, shape, View(_forward(parts), lambda i: _inverse(parts, i)), contiguous=contiguous)


def _with_sizes(base: Array, parts: Sequence[Part]) -> list[tuple[Any, Expr]]:
    axes = iter(base.axes)
    return [(p, ONE if p is None else next(axes)) for p in parts]


def _forward(parts: Sequence[Part]) -> Any:
    def forward(indices: Indices) -> Indices:
        own, result = iter(indices), []
        for part in parts:
            if part is None:
                next(own)
            elif isinstance(part, Picked):
                result.append(part.place)
            elif isinstance(part, Ranged):
                result.append(reduced(add(part.start, multiply(number(part.step), next(own)))))
        return tuple(result)

    return forward


def _inverse(parts: Sequence[Part], indices: Indices) -> tuple[Expr, Indices]:
    """(is the place seen, the indices of the view that see it)."""
    places, seen, own = iter(indices), [], []
    for part in parts:
        if part is None:
            own.append(ZERO)
        elif isinstance(part, Picked):
            seen.append(holds("==", next(places), part.place))
        elif isinstance(part, Ranged):
            inside, index = _within(part, next(places))
            seen += inside
            own.append(index)
    return multiply(*seen) if seen else ONE, tuple(own)


def _within(part: Ranged, place: Expr) -> tuple[list[Expr], Expr]:
    """Conditions under which `place` is in the range, and its number there."""
    offset = minus(place, part.start) if part.step > 0 else minus(part.start, place)
    by = number(abs(part.step))
    index = reduced(Quotient(offset, by))
    conditions = [holds("<=", ZERO, offset), holds("<", index, part.length)]
    if abs(part.step) > 1:
        conditions.append(holds("==", reduced(Remainder(offset, by)), ZERO))
    return conditions, index


def _gather(base: Array, parts: Sequence[Part]) -> Array:
    """Integer-array indexing: a copy whose axes of the chosen places stand where NumPy puts them."""
    shape, at, chosen = _gathered_shape(parts)
    places = [stretched(c, chosen) for c in _choices(parts)]
    content = base.read()

    def entries(indices: Indices) -> Expr:
        picked = iter([p(indices[at : at + len(chosen)]) for p in places])
        rest = iter(indices[:at] + indices[at + len(chosen) :])
        full: list[Expr] = []
        for part in parts:
            if part is None:
                next(rest)
            elif isinstance(part, Ranged):
                full.append(reduced(add(part.start, multiply(number(part.step), next(rest)))))
            else:
                full.append(reduced(next(picked)))
        return content(tuple(full))

    return array(shape, entries, base.kind, summed=base.buffer.summed)


def _choices(parts: Sequence[Part]) -> list[Array]:
    """The integer arrays of a subscript; a plain integer counts as one."""
    result = []
    for p in parts:
        if isinstance(p, Chosen):
            result.append(p.places)
        elif isinstance(p, Picked):
            place = p.place
            result.append(array((), lambda _, place=place: place, "integer"))
    return result


def _gathered_shape(parts: Sequence[Part]) -> tuple[Indices, int, Indices]:
    """(shape, where the axes of the chosen places begin, their shape)."""
    chosen = broadcast_shape(*(c.axes for c in _choices(parts)))
    numbers = [k for k, p in enumerate(parts) if isinstance(p, (Chosen, Picked))]
    adjacent = numbers == list(range(numbers[0], numbers[-1] + 1))
    at = sum(not isinstance(p, (Chosen, Picked)) for p in parts[: numbers[0]]) if adjacent else 0
    rest = [ONE if p is None else p.length for p in parts if p is None or isinstance(p, Ranged)]
    return (*rest[:at], *chosen, *rest[at:]), at, chosen


# --- assigning ----------------------------------------------------------------------------------------------------


@implements("setitem")
def _setitem(base: Array, key: Any, value: Any) -> None:
    mask = _mask_in(key)
    if mask is not None:
        _assign_mask(base, _whole_mask(base, key, mask), value)
        return
    parts = parts_of(base, key)
    given = as_array(value)
    must_hold(base, given.kind)
    if any(isinstance(p, Chosen) for p in parts):
        _scatter(base, parts, given)
        return
    target = _sliced(base, parts)
    if given.buffer is target.buffer and given.axes == target.axes:
        indices = axis_indices(given.axes)
        if given.view.forward(indices) == target.view.forward(indices):
            return  # x[s] += v: already done in place
    target.write(stretched(_fitted(given, target.axes), target.axes))


def _fitted(given: Array, shape: Indices) -> Array:
    """`given` without leading axes of size 1, and able to fill `shape`."""
    while given.ndim > len(shape) and given.axes[0] is ONE:
        given = given[0]
    if broadcast_shape(given.axes, shape) != shape:
        shown = tuple(Size(n) for n in shape)
        raise ShapesDoNotFit(f"an array of shape {given.shape} is assigned to a place of shape {shown}")
    return given


def _scatter(base: Array, parts: Sequence[Part], given: Array, added: bool = False) -> None:
    """Assign (or add, np.add.at) at the places that integer arrays name."""
    shape, at, chosen = _gathered_shape(parts)
    value = stretched(_fitted(given, shape), shape)
    places = [stretched(c, chosen) for c in _choices(parts)]
    finder = _Finder(parts, places, chosen, at)
    if base.view.inverse is None:
        raise TraceError("assignment to an array that cannot be written (a broadcast view)")
    step = view_of(base, base.axes, View(lambda i: i, lambda i: (ONE, i)), contiguous=base.contiguous)
    if added:
        step.write(lambda indices: finder.total(indices, value), added=True)
        return
    old = base.read()
    step.write(lambda indices: finder.last(indices, value, old))


class _Finder:
    """Which of the chosen places lead to a given entry of the array."""

    def __init__(self, parts: Sequence[Part], places: list[Content], chosen: Indices, at: int) -> None:
        self.parts, self.places, self.chosen, self.at = parts, places, chosen, at

    def split(self, indices: Indices) -> tuple[Indices, list[Expr], list[Expr]]:
        """(the entry's indices on chosen axes, conditions of the other axes, the value's indices there)."""
        own, conditions, rest, places = [], [], [], iter(indices)
        for part in self.parts:
            if part is None:
                rest.append(ZERO)
            elif isinstance(part, Ranged):
                inside, index = _within(part, next(places))
                conditions += inside
                rest.append(index)
            else:
                own.append(next(places))
        return tuple(own), conditions, rest

    def solve(self, own: Indices) -> tuple[list[Expr], list[Index]]:
        """Values for the chosen axes: an index read off an axis that is numbered in order (arange), else a fresh one."""
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

    def last(self, indices: Indices, value: Content, old: Content) -> Expr:
        """The last value whose place is this entry, or what was there."""
        own, conditions, rest = self.split(indices)
        values, unknown = self.solve(own)
        if not unknown:
            named = multiply(*conditions, self.matches(own, values))
            return where(named, value(self._indices(values, rest)), old(indices)) if named is not ZERO else old(indices)
        if len(unknown) > 1:
            raise TraceError("an assignment to places named by an integer array with two axes")
        n = unknown[0].size
        named = contraction(unknown[0].name, n, lambda i: self._match_at(own, values, unknown[0], i))
        last = fresh(unknown[0].name, n)
        position = Position("max", last, multiply(self._match_at(own, values, unknown[0], last), add(last, ONE)))
        at = [position if v is unknown[0] else v for v in values]
        hit = multiply(*conditions, Compare("<", ZERO, named))
        return where(hit, value(self._indices(at, rest)), old(indices))

    def _match_at(self, own: Indices, values: list[Expr], unknown: Index, index: Expr) -> Expr:
        return self.matches(own, [index if v is unknown else v for v in values])


def _contains(expr: Expr, indices: Sequence[Index]) -> bool:
    return any(n in indices for n in nodes(expr))


@implements("add.at")
def _add_at(target: Array, key: Any, value: Any) -> None:
    _accumulate(target, key, as_array(value))


@implements("subtract.at")
def _subtract_at(target: Array, key: Any, value: Any) -> None:
    _accumulate(target, key, -as_array(value))


def _accumulate(target: Array, key: Any, value: Array) -> None:
    mask = _mask_in(key)
    parts = [] if mask is not None else parts_of(target, key)
    if not any(isinstance(p, Chosen) for p in parts):
        target[key] += value
        return
    must_hold(target, value.kind)
    _scatter(target, parts, value, added=True)


# --- masks --------------------------------------------------------------------------------------------------------


def _mask_in(key: Any) -> Array | None:
    items = key if isinstance(key, tuple) else (key,)
    masks = [i for i in items if isinstance(i, Array) and i.kind == "bool"]
    if masks and (len(items) > 1 and any(not (isinstance(i, slice) and i == slice(None)) and i is not Ellipsis
                                         for i in items if i is not masks[0])):  # fmt: skip
        raise TraceError("a mask beside other subscripts cannot be traced")
    return masks[0] if masks else None


def _whole_mask(base: Array, key: Any, mask: Array) -> Array:
    """The mask, spread over all axes of `base`."""
    items = key if isinstance(key, tuple) else (key,)
    before = next(k for k, i in enumerate(items) if i is mask)
    if any(i is Ellipsis for i in items[:before]):
        before = base.ndim - mask.ndim
    if base.axes[before : before + mask.ndim] != mask.axes:
        raise ShapesDoNotFit(f"a mask of shape {mask.shape} on an array of shape {base.shape}")
    content = mask.read()
    return array(base.axes, lambda i: content(i[before : before + mask.ndim]), "bool")


def _assign_mask(base: Array, mask: Array, value: Any) -> None:
    given = value.inner if isinstance(value, Masked) else as_array(value)
    must_hold(base, given.kind)
    if isinstance(value, Masked) and not same_entries(value.mask, mask):
        raise TraceError("entries selected by one mask are assigned through another")
    if not isinstance(value, Masked) and given.ndim:
        raise TraceError("an array is assigned through a mask", help="use np.where")
    condition, content, old = mask.read(nonlinear=True), stretched(given, base.axes), base.read()
    base.write(lambda i: where(condition(i), content(i), old(i)))


@implements("take", method=True)
def _take(a: Any, indices: Any, axis: Any = None) -> Any:
    base = as_array(a)
    if axis is None:
        return base.ravel()[as_array(indices)]
    return base[(slice(None),) * (int(axis) % base.ndim) + (as_array(indices),)]


@implements("take_along_axis")
def _take_along_axis(a: Any, indices: Any, axis: Any) -> Any:
    base, places = as_array(a), as_array(indices)
    k = int(axis) % base.ndim
    content, at = base.read(), places.read()
    shape = tuple(places.axes[j] if j == k else n for j, n in enumerate(base.axes))
    source = stretched(places, shape) if places.axes != shape else at
    return array(shape, lambda i: content((*i[:k], reduced(source(i)), *i[k + 1 :])), base.kind)


@implements("diagonal", method=True)
def diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Array:
    """The entries at i, i of two axes, as the last axis."""
    base = as_array(a)
    i, j = int(axis1) % base.ndim, int(axis2) % base.ndim
    rest = [k for k in range(base.ndim) if k not in (i, j)]
    moved = transpose(base, (*rest, i, j))
    if offset != 0 or base.axes[i] is not base.axes[j]:
        raise TraceError("np.diagonal with an offset, or of an array that is not square, cannot be traced")
    content = moved.read()
    return array(moved.axes[:-1], lambda k: content((*k, k[-1])), base.kind, summed=base.buffer.summed)

