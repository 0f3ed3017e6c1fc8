"""Subscripts: slices, None, Ellipsis, integers, integer arrays and boolean masks, and reading through them.

Slices and integers give views, integer arrays copies. A mask keeps its entries in place (`Masked`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Apply,
    Compare,
    Entry,
    Expr,
    Number,
    Position,
    Quotient,
    Remainder,
    Where,
    add,
    free_indices,
    multiply,
    nodes_once,
    number,
    rewrite,
    where,
)
from symbackprop.expression.functions import FLOOR, ROUND
from symbackprop.frontends.numpy.array import Array, Order, View, Wrap, array, order_of, scalar
from symbackprop.frontends.numpy.dtypes import ends, interval
from symbackprop.frontends.numpy.elementwise import broadcast_shape, stretched
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, ShapesDoNotFit, size_symbols
from symbackprop.frontends.numpy.masked import Masked, Selection, all_places, at_places, selected
from symbackprop.frontends.numpy.operands import as_array, integer_of
from symbackprop.frontends.numpy.registry import implements
from symbackprop.frontends.numpy.session import (
    as_int,
    as_numpy,
    at_each_case,
    axis_indices,
    current,
    holds,
    is_so,
    minus,
    must_know,
    reduced,
)
from symbackprop.frontends.numpy.size import Size, SymbolicList, SymbolicRange
from symbackprop.frontends.numpy.sorting import permuted
from symbackprop.frontends.numpy.views import maybe_copy, transpose, view_of
from symbackprop.rendering.text import to_text

Indices = tuple[Expr, ...]
SHORT = 64  # entries of an integer array of which each is compared with the axis


@dataclass(frozen=True)
class Picked:
    """An axis at one place; `wrap` where some rounds of a loop count it from the end."""

    place: Expr
    wrap: Wrap | None = None


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
        shown = f"array is {base.ndim}-dimensional, but {used} were indexed"
        raise as_numpy(IndexError(f"too many indices for array: {shown}"))
    if not any(i is Ellipsis for i in items):
        items.append(Ellipsis)
    at = next(k for k, i in enumerate(items) if i is Ellipsis)
    items[at : at + 1] = [slice(None)] * (base.ndim - used)
    axes = iter(enumerate(base.axes))
    return [None if i is None else _part(i, *next(axes)) for i in items]


def _as_item(item: Any) -> Any:
    if isinstance(item, (list, range, SymbolicList, SymbolicRange, np.ndarray)) or (
        isinstance(item, tuple) and not isinstance(item, slice)
    ):
        return as_array(item)
    return item


def _part(item: Any, axis: int, size: Expr) -> Part:
    if isinstance(item, slice):
        return _ranged(item, size)
    if isinstance(item, Array) and item.kind == "integer" and not item.ndim:
        _must_be_clipped(item, size)
    place = integer_of(item)
    if place is not None:
        wrap = _wrapped(place, size)
        return Picked(_place(place, axis, size)) if wrap is None else Picked(wrap.place, wrap)
    if isinstance(item, Array) and item.kind == "integer":
        for value in _numbers_of(item):
            _place(value, axis, size, ask=False)
        _must_be_clipped(item, size)
        return Chosen(_from_the_end(item, size))
    if not isinstance(item, Array):
        raise TraceError(f"a subscript of type {type(item).__name__}")
    raise TraceError("a real subscript", help=labels_help(item, size))


def labels_help(item: Array, size: Expr | None = None) -> str | None:
    """What to say where an input is used as labels; None if `item` is no input's array."""
    value = item.read()(axis_indices(item.axes))
    if not isinstance(value, Entry):
        return None
    classes = "C" if size is None else to_text(size)
    return f'if {value.tensor.name} holds class numbers, say so: assume={{"{value.tensor.name}": "labels:{classes}"}}'


def _must_be_clipped(places: Array, size: Expr) -> None:
    """Places that numbers were rounded to lie inside the axis, and become an equation.

    Raises:
        TraceError: they may lie outside.
    """
    probe = places.buffer.content(places.through.forward(axis_indices(places.axes)))  # asked of, not read: no use
    if not _is_rounded(probe):
        return
    low, high = ends(probe)
    if low is None or high is None or is_so("<=", ZERO, low) is not True or is_so("<", high, size) is not True:
        last = to_text(minus(size, ONE))
        raise TraceError(f"numbers that are rounded to places of an axis of {to_text(size)} may lie outside of it",
                         help=f"np.clip(..., 0, {last}) keeps them inside")  # fmt: skip
    if any(isinstance(n, Apply) for n in nodes_once(probe)):
        places.buffer.settle("place")


def _is_rounded(value: Expr) -> bool:
    """True of what is computed from a number that was rounded."""
    known = current().values
    for node in nodes_once(value):
        if isinstance(node, Apply) and node.function in (FLOOR, ROUND):
            return True
        meaning = known.get(node.tensor) if isinstance(node, Entry) and node.tensor.kind == "integer" else None
        if meaning is not None and _is_rounded(meaning):
            return True
    return False


def _from_the_end(places: Array, size: Expr) -> Array:
    """The places, counted from the end where they may be negative."""
    content = places.read()
    if not _may_be_negative(content(axis_indices(places.axes))):
        return places
    return array(places.axes, lambda i: reduced(Remainder(content(i), size)), "integer")


def _may_be_negative(place: Expr) -> bool:
    """True unless bounds are known; what was rounded lies inside, or has been refused."""
    if interval(place)[0] >= 0 or _is_rounded(place):
        return False
    low, _ = ends(place)
    if low is not None and is_so("<=", ZERO, low) is True:
        return False
    return is_so("<=", ZERO, _by_lines(place)) is not True


def _by_lines(place: Expr) -> Expr:
    """A place by what the lines are that compute it, as j = y[i] - 1: of y[i] something may be known."""
    lines = {e.tensor: e for e in current().equations if e.tensor.kind == "integer"}

    def value(node: Expr) -> Expr | None:
        return lines[node.tensor].at(node.indices) if isinstance(node, Entry) and node.tensor in lines else None

    return rewrite(place, value) if lines else place


def _numbers_of(places: Array) -> list[Expr]:
    """The entries of an integer array that are known numbers, where it is short."""
    lengths = [as_int(n) for n in places.axes]
    if any(n is None for n in lengths) or math.prod(n for n in lengths if n is not None) > SHORT:
        return []
    content = places.read()
    positions = itertools.product(*(range(n) for n in lengths if n is not None))
    values = [reduced(content(tuple(number(k) for k in p))) for p in positions]
    return [v for v in values if isinstance(v, Number)]


def _place(given: Expr, axis: int, size: Expr, *, ask: bool = True) -> Expr:
    """A place inside the axis: from the end if negative, and provably inside; or not certainly outside.

    Args:
        ask: whether it must be known to lie inside.

    Raises:
        IndexError: it lies outside, whatever the sizes are, as NumPy says; code may catch it.
        NeedsConcreteSizes: that depends on the sizes.
    """
    place = reduced(add(given, size)) if is_so("<", given, ZERO) is True else given
    if place is given and _is_label(given) and _may_be_negative(given):
        place = reduced(Remainder(given, size))
    for relation, low, high in (("<=", ZERO, place), ("<", place, size)):
        answer = is_so(relation, low, high)  # type: ignore[arg-type]
        if answer is False:
            what = f"index {Size(given)!r} is out of bounds for axis {axis} with size {Size(size)!r}"
            raise as_numpy(IndexError(what))
        if ask and answer is None and size_symbols(place, size) and not _is_label(place):
            raise NeedsConcreteSizes(
                f"subscript {Size(place)!r} of an axis of size {Size(size)!r}", size_symbols(place, size)
            )
    return place


def _wrapped(place: Expr, size: Expr) -> Wrap | None:
    """How a place counts from the end in some rounds of a loop alone; None if it does in all, or in none, or may lie
    outside."""
    in_loop = any(loop.index in free_indices(place) for loop in current().loops)
    if not in_loop or _is_label(place) or is_so("<=", ZERO, place) is not None:
        return None
    from_end = reduced(add(place, size))
    if is_so("<=", ZERO, from_end) is not True or is_so("<", place, size) is not True:
        return None
    whole = reduced(Remainder(place, size))
    if is_so("<=", MINUS_ONE, place):
        return Wrap(whole, holds("==", place, MINUS_ONE), minus(size, ONE), place)
    return Wrap(whole, holds("<", place, ZERO), from_end, place)


def _is_label(place: Expr) -> bool:
    """True for a place that comes from data: that it lies inside is an assumption about the data."""
    return any(isinstance(n, (Entry, Position)) for n in nodes_once(place))


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
    base, key = all_places(base, key)
    named = at_places(key)
    if named is not None:
        all_entries, selection, at = named
        return Masked(_getitem(base, all_entries), {at: selection})
    mask = mask_in(key)
    if mask is not None:
        return selected(array(base.axes, base.read(), base.dtype), mask, mask_place(base, key, mask))
    windows = windows_in(base, key)
    if windows is not None:
        return windows
    parts = parts_of(base, key)
    if any(isinstance(p, Chosen) for p in parts):
        return _gather(base, parts)
    result = sliced(base, parts)
    if result.ndim == 0 and not (isinstance(key, tuple) and any(k is Ellipsis for k in key)):
        content = base.read()
        forward = _forward(parts)
        for wrap in result.through.wraps[len(base.through.wraps) :]:
            content = wrap.apart(content)
        return array((), lambda _: content(forward(())), base.dtype, summed=base.buffer.summed)
    return result


def sliced(base: Array, parts: Sequence[Part]) -> Array:
    """The view that a subscript of slices, integers and new axes selects."""
    shape = tuple(ONE if p is None else p.length for p in parts if p is None or isinstance(p, Ranged))
    whole = [p is None or isinstance(p, Picked) or (p.step == 1 and p.length is n) for p, n in _with_sizes(base, parts)]
    # Leading axes may be cut, or picked, without breaking contiguity; after a whole axis nothing may.
    cut = max((k for k, w in enumerate(whole) if not w), default=-1)
    leading = all(p is None or isinstance(p, Picked) for p in parts[:cut]) if cut >= 0 else True
    leading = leading and all(not isinstance(p, Ranged) or p.step == 1 for p in parts)
    picked = [k for k, p in enumerate(parts) if isinstance(p, Picked)]
    kept = [k for k, p in enumerate(parts) if isinstance(p, Ranged)]
    contiguous = leading and not (picked and kept and max(picked) > min(kept))
    ordered = all(not isinstance(p, Ranged) or p.step > 0 for p in parts)
    wraps = tuple(p.wrap for p in parts if isinstance(p, Picked) and p.wrap is not None)
    step = View(_forward(parts), lambda i: _inverse(parts, i), wraps)
    return view_of(base, shape, step, contiguous=contiguous, ordered=ordered)


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
    places = iter(indices)
    seen: list[Expr] = []
    own: list[Expr] = []
    for part in parts:
        if part is None:
            own.append(ZERO)
        elif isinstance(part, Picked):
            seen.append(_is_at(part, next(places)))
        elif isinstance(part, Ranged):
            inside, index = within(part, next(places))
            seen += inside
            own.append(index)
    return multiply(*seen) if seen else ONE, tuple(own)


def _is_at(part: Picked, place: Expr) -> Expr:
    """The value 0 or 1 of "this is the place"."""
    if part.wrap is None:
        return holds("==", place, part.place)
    return where(part.wrap.negative, *(holds("==", place, p) for p in (part.wrap.from_end, part.wrap.given)))


def within(part: Ranged, place: Expr) -> tuple[list[Expr], Expr]:
    """Conditions under which `place` is in the range, and its number there.

    Of a range that starts at a number the place itself is divided, so that 1::2 is what is odd, at place // 2.
    """
    by = number(abs(part.step))
    start = as_int(part.start)
    if part.step > 1 and start is not None:
        first, index = number(start // part.step), reduced(Quotient(place, by))
        own = minus(index, first)
        conditions = [holds("==", reduced(Remainder(place, by)), number(start % part.step))]
        return [*conditions, holds("<=", first, index), holds("<", own, part.length)], own
    offset = minus(place, part.start) if part.step > 0 else minus(part.start, place)
    index = reduced(Quotient(offset, by))
    low = holds("<=", part.start, place) if part.step > 0 else holds("<=", place, part.start)
    conditions = [low, holds("<", index, part.length)]
    if abs(part.step) > 1:
        conditions.append(holds("==", reduced(Remainder(offset, by)), ZERO))
    return conditions, index


def _gather(base: Array, parts: Sequence[Part]) -> Array:
    """Integer-array indexing: a copy whose axes of the chosen places stand where NumPy puts them."""
    shape, at, chosen = gathered_shape(parts)
    order = order_in(parts, base.axes)
    if order is not None and all(p is None or isinstance(p, (Chosen, Picked)) or p.step == 1 for p in parts):
        whole = sliced(base, [slice_of(n) if isinstance(p, Chosen) else p for p, n in _with_sizes(base, parts)])
        entries = permuted(whole.read(), at, chosen[0], lambda i: order.rank((i[at],)), order.is_rank)
        return array(shape, entries, base.dtype, summed=True)
    places = [stretched(c, chosen) for c in choices(parts)]
    content = base.read()

    def gathered(indices: Indices) -> Expr:
        picked = iter([p(indices[at : at + len(chosen)]) for p in places])
        rest = iter(indices[:at] + indices[at + len(chosen) :])
        full: list[Expr] = []
        for part in parts:
            if part is None:
                next(rest)
            elif isinstance(part, Ranged):
                full.append(reduced(add(part.start, multiply(number(part.step), next(rest)))))
            else:
                full.append(next(picked))
        return at_each_case(content, tuple(full))

    return array(shape, gathered, base.dtype, summed=base.buffer.summed)


def slice_of(size: Expr) -> Ranged:
    """A whole axis."""
    return Ranged(ZERO, 1, size)


def order_in(parts: Sequence[Part], axes: Indices) -> Order | None:
    """The permutation of a whole axis that a subscript with one integer array is, if it is known to be one."""
    if any(isinstance(p, Picked) for p in parts) or sum(isinstance(p, Chosen) for p in parts) != 1:
        return None
    sizes = iter(axes)
    for part in parts:
        size = ONE if part is None else next(sizes)
        if isinstance(part, Chosen) and part.places.axes == (size,):
            return order_of(part.places)
    return None


def choices(parts: Sequence[Part]) -> list[Array]:
    """The integer arrays of a subscript; a plain integer counts as one."""
    result = []
    for p in parts:
        if isinstance(p, Chosen):
            result.append(p.places)
        elif isinstance(p, Picked):
            result.append(scalar(p.place, "integer"))
    return result


def gathered_shape(parts: Sequence[Part]) -> tuple[Indices, int, Indices]:
    """(shape, where the axes of the chosen places begin, their shape)."""
    chosen = broadcast_shape(*(c.axes for c in choices(parts)))
    numbers = [k for k, p in enumerate(parts) if isinstance(p, (Chosen, Picked))]
    adjacent = numbers == list(range(numbers[0], numbers[-1] + 1))
    at = sum(not isinstance(p, (Chosen, Picked)) for p in parts[: numbers[0]]) if adjacent else 0
    rest = [ONE if p is None else p.length for p in parts if p is None or isinstance(p, Ranged)]
    return (*rest[:at], *chosen, *rest[at:]), at, chosen


# --- windows ------------------------------------------------------------------------------------------------------


def windows_in(base: Array, key: Any) -> Masked | None:
    """What slices select whose bounds depend on the round of a loop, so that no number says how long they are; None if
    there are none: x[j:min(j + B, N)], x[max(0, t - k):t + 1]."""
    items = [*key] if isinstance(key, tuple) else [key]
    named = sum(i is not None and i is not Ellipsis for i in items)
    if not any(isinstance(i, slice) for i in items) or named > base.ndim:
        return None
    place = next((k for k, i in enumerate(items) if i is Ellipsis), len(items))
    items = [*items[:place], *[slice(None)] * (base.ndim - named), *items[place + 1 :]]
    sizes, chosen, after = iter(base.axes), dict[int, Selection](), 0
    for k, item in enumerate(items):
        size = ONE if item is None else next(sizes)
        found = _window(item, size) if isinstance(item, slice) else None
        if found is not None:
            chosen[after], items[k] = found, slice(None)
        after += item is None or isinstance(item, slice)
    if not chosen:
        return None
    if any(not (i is None or isinstance(i, slice) or integer_of(i) is not None) for i in items):
        raise TraceError("a slice whose length depends on the round of a loop, beside an array of places")
    return Masked(sliced(base, parts_of(base, tuple(items))), chosen, view=True)


def _window(item: slice, size: Expr) -> Selection | None:
    """The places of a slice whose bounds depend on the round of a loop; None if its length does not, or nothing is
    known of it."""
    if item.step not in (None, 1):
        return None
    bounds = [None if b is None else integer_of(b) for b in (item.start, item.stop)]
    if all(b is None or not free_indices(b) for b in bounds):
        return None
    start, stop = (default if b is None else b for b, default in zip(bounds, (ZERO, size), strict=True))
    lows, highs = _sides(start, "max"), _sides(stop, "min")
    if not any(_known(ZERO, low) for low in lows) or not all(_known(ZERO, high) for high in highs):
        return None
    if not any(_known(high, size) for high in highs):
        highs = [*highs, size]
    if len(lows) == len(highs) == 1 and not free_indices(length := minus(highs[0], lows[0])) and _known(ZERO, length):
        return None  # as long in each round

    def held_at(indices: Indices) -> Expr:
        (i,) = indices
        return multiply(*(holds("<=", low, i) for low in lows), *(holds("<", i, high) for high in highs))

    surely = all(_known(add(low, ONE), high) for low in lows for high in highs)
    end = stop if highs[-1] is not size or stop is size else where(holds("<", size, stop), size, stop)  # as min has it
    count = scalar(minus(end, start), "integer", weak=True) if surely else None
    candidates = (*lows, *(minus(high, ONE) for high in highs))
    plain = (
        e for e in candidates if all(_known(low, e) for low in lows) and all(_known(add(e, ONE), h) for h in highs)
    )
    return Selection(array((size,), held_at, "bool"), count, next(plain, start) if surely else None)


def _known(low: Expr, high: Expr) -> bool:
    """Whether low <= high for all sizes and rounds."""
    return is_so("<=", low, high) is True


def _sides(value: Expr, kind: str) -> list[Expr]:
    """The integers of which one is the largest, or the smallest."""
    if isinstance(value, Where) and isinstance(value.condition, Compare):
        small, large = (value.otherwise, value.then) if kind == "max" else (value.then, value.otherwise)
        if value.condition.relation == "<" and (value.condition.left, value.condition.right) == (small, large):
            return [*_sides(value.then, kind), *_sides(value.otherwise, kind)]
    return [value]


# --- masks --------------------------------------------------------------------------------------------------------


def mask_in(key: Any) -> Array | None:
    """The mask of a subscript, if it has one."""
    items = key if isinstance(key, tuple) else (key,)
    masks = [i for i in items if isinstance(i, Array) and i.kind == "bool"]
    if masks and (len(items) > 1 and any(not (isinstance(i, slice) and i == slice(None)) and i is not Ellipsis
                                         for i in items if i is not masks[0])):  # fmt: skip
        raise TraceError("a mask beside other subscripts cannot be traced")
    return masks[0] if masks else None


def mask_place(base: Array, key: Any, mask: Array) -> int:
    """Which axis of `base` is the first of the mask's."""
    items = key if isinstance(key, tuple) else (key,)
    before = next(k for k, i in enumerate(items) if i is mask)
    if any(i is Ellipsis for i in items[:before]):
        before = base.ndim - mask.ndim
    if base.axes[before : before + mask.ndim] != mask.axes:
        raise ShapesDoNotFit(f"a mask of shape {mask.shape} on an array of shape {base.shape}", IndexError)
    return before


@implements("take", method=True)
def _take(a: Any, indices: Any, axis: Any = None) -> Any:
    base = as_array(a)
    if axis is None:
        return base.ravel()[as_array(indices)]
    return base[(slice(None),) * (int(axis) % base.ndim) + (as_array(indices),)]


@implements("diagonal", method=True)
def diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Array:
    """The entries at i, i + offset of two axes, as the last axis."""
    base, shift = as_array(a), integer_of(offset)
    if shift is None:
        raise TraceError("the offset of np.diagonal must be an integer")
    i, j = int(axis1) % base.ndim, int(axis2) % base.ndim
    rest = [k for k in range(base.ndim) if k not in (i, j)]
    moved = transpose(base, (*rest, i, j))
    rows, columns = moved.axes[-2:]
    right = must_know("<=", ZERO, shift, "whether np.diagonal starts in the first row or in the first column")
    first, second = (ZERO, shift) if right else (minus(ZERO, shift), ZERO)
    below, beside = minus(rows, first), minus(columns, second)
    shorter = must_know("<=", below, beside, "how long a diagonal is")
    if must_know("<", below if shorter else beside, ZERO, "whether a diagonal is empty"):
        raise TraceError("np.diagonal with an offset beyond the array")
    content = moved.read()
    result = array(
        (*moved.axes[:-2], below if shorter else beside),
        lambda k: content((*k[:-1], reduced(add(k[-1], first)), reduced(add(k[-1], second)))),
        base.dtype,
        summed=base.buffer.summed,
    )
    return maybe_copy(base, result)  # NumPy's is a view that cannot be written
