"""Joining, splitting, padding and repeating arrays."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, ZERO, Expr, Number, Quotient, Remainder, add, multiply, number, where
from symbackprop.frontends.numpy.array import Array, array
from symbackprop.frontends.numpy.dtypes import joint_type
from symbackprop.frontends.numpy.elementwise import held
from symbackprop.frontends.numpy.errors import (
    NeedsConcreteSizes,
    NeverFits,
    ShapesDoNotFit,
    dividing,
    divisions,
    size_symbols,
)
from symbackprop.frontends.numpy.operands import as_array, integer_of, shape_of
from symbackprop.frontends.numpy.registry import OPERATIONS, implements
from symbackprop.frontends.numpy.session import as_int, holds, is_so, minus, must_know, reduced
from symbackprop.frontends.numpy.size import SymbolicList, size
from symbackprop.frontends.numpy.views import atleast_1d, atleast_2d, axis_of, maybe_copy, ravel, reshape, reshaped

MANY = 8  # pieces, beyond which each is told by few comparisons
Indices = tuple[Expr, ...]


# --- joining and splitting ----------------------------------------------------------------------------------------


@implements("concatenate", "concat")
def concatenate(arrays: Any, axis: Any = 0) -> Array:
    """The arrays one after the other along an axis."""
    rows = _rows(arrays)
    if rows is not None:
        return _concatenated(rows, axis)
    parts = [as_array(a) for a in arrays]
    if axis is None:
        parts, axis = [ravel(p) for p in parts], 0
    if not parts:
        raise ShapesDoNotFit("concatenate of nothing")
    k = axis_of(axis, parts[0].ndim)
    for p in parts[1:]:
        if p.ndim != parts[0].ndim or any(
            i != k and is_so("==", m, n) is not True for i, (m, n) in enumerate(zip(parts[0].axes, p.axes, strict=True))
        ):
            what = f"arrays of shapes {parts[0].shape} and {p.shape} are concatenated along axis {k}"
            raise ShapesDoNotFit(what, sizes=(*parts[0].axes, *p.axes))
    ends = list(itertools.accumulate((p.axes[k] for p in parts), lambda a, b: reduced(add(a, b))))
    shape = (*parts[0].axes[:k], ends[-1], *parts[0].axes[k + 1 :])
    starts = [ZERO, *ends[:-1]]
    contents = [p.read() for p in parts]

    def entries(indices: Indices) -> Expr:
        pieces = [
            partial(c, (*indices[:k], minus(indices[k], s), *indices[k + 1 :]))
            for c, s in zip(contents, starts, strict=True)
        ]
        return choose(indices[k], ends, pieces)

    return array(shape, entries, _joint(parts), summed=any(p.buffer.summed for p in parts))


def _rows(arrays: Any) -> Array | None:
    """A sequence of symbolic length as an array: its parts lie along the first axis; None for other sequences."""
    rows = arrays.alone() if isinstance(arrays, SymbolicList) else arrays
    return rows if isinstance(rows, Array) and rows.axes and as_int(rows.axes[0]) is None else None


def _concatenated(rows: Array, axis: Any) -> Array:
    """The parts of an array one after the other: its first axis and the one along which they lie become one."""
    if axis is None:
        return ravel(rows)
    k = axis_of(axis, rows.ndim - 1)
    turned = OPERATIONS["moveaxis"](rows, 0, k)
    joint = reduced(multiply(turned.axes[k], turned.axes[k + 1]))
    return reshaped(turned, (*turned.axes[:k], joint, *turned.axes[k + 2 :]))


def _joint(parts: Sequence[Array]) -> np.dtype[Any]:
    return joint_type(*((p.dtype, False) for p in parts))


def choose(index: Expr, ends: Sequence[Expr], pieces: Sequence[Callable[[], Expr]]) -> Expr:
    """The piece in which `index` lies: the first with index < end; of many it is found by halves."""
    if len(pieces) > MANY:
        half = len(pieces) // 2
        inside = holds("<", index, ends[half - 1])
        parts = [(ends[:half], pieces[:half]), (ends[half:], pieces[half:])]
        if inside in (ONE, ZERO):
            return choose(index, *parts[inside is ZERO])
        return where(inside, *(choose(index, *part) for part in parts))
    for position, (end, piece) in enumerate(zip(ends, pieces, strict=True)):
        inside = ONE if position == len(pieces) - 1 else holds("<", index, end)
        if inside is ZERO:
            continue
        if inside is ONE:
            return piece()
        return where(inside, piece(), choose(index, ends[position + 1 :], pieces[position + 1 :]))
    raise AssertionError("the last piece takes what is left")


@implements("stack")
def stack(arrays: Any, axis: Any = 0) -> Array:
    """The arrays along a new axis."""
    rows = _rows(arrays)
    if rows is not None:
        return OPERATIONS["copy"](OPERATIONS["moveaxis"](rows, 0, axis))  # type: ignore[no-any-return]
    parts = [as_array(a) for a in arrays]
    if not parts:
        raise ShapesDoNotFit("stack of nothing")
    if any(p.axes != parts[0].axes for p in parts):
        shown = ", ".join(str(p.shape) for p in parts)
        raise ShapesDoNotFit(
            f"arrays of different shapes are stacked: {shown}", sizes=(n for p in parts for n in p.axes)
        )
    k = axis_of(axis, parts[0].ndim + 1)
    contents = [p.read() for p in parts]
    shape = (*parts[0].axes[:k], number(len(parts)), *parts[0].axes[k:])

    def entries(indices: Indices) -> Expr:
        others = indices[:k] + indices[k + 1 :]
        known = as_int(reduced(indices[k]))
        if known is not None:
            return contents[known](others)
        ends = [number(m + 1) for m in range(len(parts))]
        return choose(indices[k], ends, [partial(c, others) for c in contents])

    result = array(shape, entries, _joint(parts), summed=any(p.buffer.summed for p in parts))
    result.buffer.rounding = max(p.buffer.rounding for p in parts)
    return result


@implements("hstack")
def _hstack(arrays: Any) -> Array:
    rows = _rows(arrays)
    if rows is not None and rows.ndim > 1:
        return _concatenated(rows, 0 if rows.ndim == 2 else 1)
    parts = [atleast_1d(a) for a in arrays]
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@implements("vstack", "row_stack")
def _vstack(arrays: Any) -> Array:
    rows = _rows(arrays)
    if rows is not None and rows.ndim > 1:
        return as_array(OPERATIONS["copy"](rows)) if rows.ndim == 2 else _concatenated(rows, 0)
    return concatenate([atleast_2d(a) for a in arrays], 0)


@implements("column_stack")
def _column_stack(arrays: Any) -> Array:
    parts = [as_array(a) for a in arrays]
    return concatenate([p if p.ndim > 1 else reshaped(p, (*p.axes, ONE)) for p in parts], 1)


@implements("r_")
def _one_after_the_other(*items: Any) -> Array:
    """np.r_[a, b]: along the first axis; a number is an array of one."""
    parts = _no_slices("np.r_", items)
    return concatenate([p if p.ndim else reshaped(p, (ONE,)) for p in parts], 0)


@implements("c_")
def _side_by_side(*items: Any) -> Array:
    """np.c_[a, b]: along the last axis; an array with one axis, or none, is a column."""
    parts = _no_slices("np.c_", items)
    return concatenate([p if p.ndim > 1 else reshaped(p, ((*p.axes, ONE, ONE)[:2])) for p in parts], -1)


def _no_slices(shown: str, items: Any) -> list[Array]:
    if any(isinstance(i, (slice, str)) for i in items):
        raise TraceError(f"{shown} of a slice or a text cannot be traced", help="use np.arange and np.concatenate")
    return [as_array(i) for i in items]


@implements("split")
def _split(a: Any, sections: Any, axis: Any = 0) -> list[Any]:
    base = as_array(a)
    k = axis_of(axis, base.ndim)
    if isinstance(sections, (list, tuple, Array)):
        return _cut(base, [integer_of(c) for c in sections], k)
    count = int(sections)
    fits = is_so("==", Remainder(base.axes[k], number(count)), ZERO)
    if fits is None:
        questions = divisions(Remainder(base.axes[k], number(count)))
        what, symbols = f"split into {count} equal parts", size_symbols(base.axes[k])
        raise NeedsConcreteSizes(what, symbols, questions, help=dividing(questions))
    if fits is False:
        raise NeverFits(f"axis {k} of an array of shape {base.shape} is split into {count} equal parts")
    part = reduced(Quotient(base.axes[k], number(count)))
    return _cut(base, [reduced(multiply(number(m), part)) for m in range(1, count)], k)


@implements("array_split")
def _array_split(a: Any, sections: Any, axis: Any = 0) -> list[Any]:
    base = as_array(a)
    k = axis_of(axis, base.ndim)
    if isinstance(sections, (list, tuple, Array)) or is_so("==", Remainder(base.axes[k], number(int(sections))), ZERO):
        return _split(base, sections, k)
    length = base.axes[k]
    if not isinstance(length, Number):
        raise NeedsConcreteSizes(f"split into {int(sections)} parts", size_symbols(length))
    part, longer = divmod(int(length.value), int(sections))  # the first ones are longer by 1
    return _cut(base, [number(m * part + min(m, longer)) for m in range(1, int(sections))], k)


def _cut(base: Array, cuts: Sequence[Expr | None], k: int) -> list[Any]:
    """The parts of an array between places of an axis."""
    bounds = [ZERO, *cuts, base.axes[k]]
    whole = (slice(None),) * k
    return [base[(*whole, slice(size(a or ZERO), size(b or ZERO)))] for a, b in itertools.pairwise(bounds)]


@implements("hsplit")
def _hsplit(a: Any, sections: Any) -> list[Any]:
    return _split(a, sections, 1 if as_array(a).ndim > 1 else 0)


@implements("vsplit")
def _vsplit(a: Any, sections: Any) -> list[Any]:
    return _split(a, sections, 0)


@implements("append")
def _append(a: Any, values: Any, axis: Any = None) -> Array:
    return concatenate([a, values], axis)


# --- padding and repeating ----------------------------------------------------------------------------------------


@implements("pad")
def _pad(a: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0, **options: Any) -> Array:
    base = as_array(a)
    if mode != "constant" or options:
        raise TraceError(f"np.pad with mode={mode!r} cannot be traced")
    widths = [(shape_of(p[0])[0], shape_of(p[1])[0]) for p in _pairs(pad_width, base.ndim)]
    content, fill = base.read(), held(base, as_array(constant_values)).read()(())
    shape = tuple(reduced(add(n, low, high)) for n, (low, high) in zip(base.axes, widths, strict=True))

    def entries(indices: Indices) -> Expr:
        inner = tuple(minus(i, low) for i, (low, _) in zip(indices, widths, strict=True))
        inside = [holds("<=", ZERO, i) for i in inner] + [
            holds("<", i, n) for i, n in zip(inner, base.axes, strict=True)
        ]
        condition = multiply(*inside)
        return fill if condition is ZERO else where(condition, content(inner), fill)

    return array(shape, entries, base.dtype, summed=base.buffer.summed)


def _pairs(pad_width: Any, ndim: int) -> list[tuple[Any, Any]]:
    """(before, after) for every axis, from any of NumPy's short forms."""
    if not isinstance(pad_width, (tuple, list)):
        return [(pad_width, pad_width)] * ndim
    if len(pad_width) == 2 and not isinstance(pad_width[0], (tuple, list)):
        return [(pad_width[0], pad_width[1])] * ndim
    pairs = [tuple(p) * (2 if len(p) == 1 else 1) if isinstance(p, (tuple, list)) else (p, p) for p in pad_width]
    return [(p[0], p[1]) for p in (pairs * ndim if len(pairs) == 1 else pairs)]


@implements("repeat", method=True)
def _repeat(a: Any, repeats: Any, axis: Any = None) -> Array:
    base = ravel(a) if axis is None else as_array(a)
    k = axis_of(0 if axis is None else axis, base.ndim)
    (count,) = shape_of(repeats)
    content = base.read()
    shape = (*base.axes[:k], reduced(multiply(base.axes[k], count)), *base.axes[k + 1 :])
    return array(shape, lambda i: content((*i[:k], reduced(Quotient(i[k], count)), *i[k + 1 :])), base.dtype)


@implements("tile")
def _tile(a: Any, reps: Any) -> Array:
    base, counts = as_array(a), list(shape_of(reps))
    ndim = max(base.ndim, len(counts))
    axes = (ONE,) * (ndim - base.ndim) + base.axes
    counts = [ONE] * (ndim - len(counts)) + counts
    content = reshaped(base, axes).read()

    def entries(indices: Indices) -> Expr:
        return content(
            tuple(ZERO if n is ONE else reduced(Remainder(i, n)) for i, n in zip(indices, axes, strict=True))
        )

    return array(tuple(reduced(multiply(n, c)) for n, c in zip(axes, counts, strict=True)), entries, base.dtype)


@implements("roll")
def _roll(a: Any, shift: Any, axis: Any = None) -> Array:
    base = as_array(a)
    if axis is None:
        return reshape(_roll(ravel(base), shift, 0), base.shape)
    k, (by,) = axis_of(axis, base.ndim), shape_of(shift)
    content = base.read()
    n = base.axes[k]
    return array(
        base.axes, lambda i: content((*i[:k], reduced(Remainder(minus(i[k], by), n)), *i[k + 1 :])), base.dtype
    )


# --- windows ------------------------------------------------------------------------------------------------------


@implements("lib.stride_tricks.sliding_window_view")
def _sliding_window_view(x: Any, window_shape: Any, axis: Any = None, **options: Any) -> Array:
    """All stretches of a length: windows[.., i, .., k] = x[.., i + k, ..], the windows' axes last."""
    base, lengths = as_array(x), shape_of(window_shape)
    if options:
        raise TraceError(f"sliding_window_view with {', '.join(options)} cannot be traced")
    axes = range(base.ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    places = [axis_of(a, base.ndim) for a in axes]
    if len(places) != len(lengths):
        raise ShapesDoNotFit(f"{len(lengths)} lengths of windows for {len(places)} axes")
    shape = list(base.axes)
    for k, length in zip(places, lengths, strict=True):
        if not must_know("<=", length, shape[k], "the window may be longer than the axis"):
            raise ShapesDoNotFit("the window is longer than the axis")
        shape[k] = reduced(add(minus(shape[k], length), ONE))
    content = base.read()

    def entries(indices: Indices) -> Expr:
        moved = list(indices[: base.ndim])
        for k, offset in zip(places, indices[base.ndim :], strict=True):
            moved[k] = reduced(add(moved[k], offset))
        return content(tuple(moved))

    return maybe_copy(base, array((*shape, *lengths), entries, base.dtype))  # NumPy's is a view
