"""Layout: transposing, reshaping, repeating, joining and splitting. What NumPy answers with a view is a view here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression import ONE, ZERO, Expr, Quotient, Remainder, add, multiply, number, where
from symbackprop.trace.array import IDENTITY, Array, Buffer, View, array, as_array, integer_of, shape_of
from symbackprop.trace.elementwise import broadcast_shape, stretched
from symbackprop.trace.registry import OPERATIONS, implements
from symbackprop.trace.session import Content, as_int, holds, is_so, minus, product_of, reduced
from symbackprop.trace.size import Size, size
from symbackprop.trace.stops import NeedsConcreteSizes, ShapesDoNotFit, size_symbols

Indices = tuple[Expr, ...]


def axis_of(axis: Any, ndim: int) -> int:
    """A non-negative axis number."""
    number_ = int(axis)
    if not -ndim <= number_ < ndim:
        raise ShapesDoNotFit(f"axis {number_} of an array with {ndim} axes")
    return number_ % ndim


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes meant by None (all), an int or a tuple."""
    if axis is None:
        return tuple(range(ndim))
    items = axis if isinstance(axis, (tuple, list)) else (axis,)
    return tuple(axis_of(a, ndim) for a in items)


def view_of(base: Array, shape: Indices, step: View, *, contiguous: bool) -> Array:
    """A view of `base`; `step` maps the indices of the view to those of `base`."""
    outer = base.view

    def inverse(indices: Indices) -> tuple[Expr, Indices]:
        assert outer.inverse is not None and step.inverse is not None
        seen, middle = outer.inverse(indices)
        also, own = step.inverse(middle)
        return multiply(seen, also), own

    writable = outer.inverse is not None and step.inverse is not None
    view = View(lambda indices: outer.forward(step.forward(indices)), inverse if writable else None)
    result = Array(base.buffer, shape, view)
    result.contiguous = contiguous and base.contiguous
    result.base_version = base.base_version
    return result


@implements("transpose", "permute_dims", method=True)
def transpose(a: Any, *axes: Any) -> Array:
    """a.transpose(), a.transpose(0, 2, 1), np.transpose(a, (0, 2, 1)): a view."""
    base = as_array(a)
    chosen = axes[0] if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))) else axes
    order = tuple(axis_of(k, base.ndim) for k in chosen) if chosen else tuple(reversed(range(base.ndim)))
    if sorted(order) != list(range(base.ndim)):
        raise ShapesDoNotFit(f"transposing an array with {base.ndim} axes by {order}")
    back = tuple(order.index(k) for k in range(base.ndim))
    step = View(lambda i: tuple(i[k] for k in back), lambda i: (ONE, tuple(i[k] for k in order)))
    return view_of(base, tuple(base.axes[k] for k in order), step, contiguous=order == tuple(range(base.ndim)))


@implements("swapaxes", method=True)
def _swapaxes(a: Any, axis1: Any, axis2: Any) -> Array:
    base = as_array(a)
    order = list(range(base.ndim))
    i, j = axis_of(axis1, base.ndim), axis_of(axis2, base.ndim)
    order[i], order[j] = order[j], order[i]
    return transpose(base, tuple(order))


@implements("moveaxis")
def _moveaxis(a: Any, source: Any, destination: Any) -> Array:
    base = as_array(a)
    sources, targets = axes_of(source, base.ndim), axes_of(destination, base.ndim)
    order = [k for k in range(base.ndim) if k not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return transpose(base, tuple(order))


@implements("matrix_transpose")
def _matrix_transpose(a: Any) -> Array:
    return _swapaxes(a, -1, -2)


# --- reshape ------------------------------------------------------------------------------------------------------


@implements("reshape", method=True)
def reshape(a: Any, *shape: Any, order: str = "C", newshape: Any = None) -> Array:
    """The same entries in row-major order under another shape; -1 stands for what is left.

    A view of a contiguous array, else a copy; where NumPy's answer depends on the sizes, changing either in place stops
    the trace if it could be seen.
    """
    base = as_array(a)
    if order != "C":
        raise TraceError(f"reshape with order={order!r} cannot be traced")
    wanted = newshape if newshape is not None else shape[0] if len(shape) == 1 else shape
    return _reshaped(base, _completed(base.axes, shape_of(wanted)))


def _completed(old: Indices, new: Indices) -> Indices:
    """`new` with -1 replaced; the two must have the same number of entries."""
    total = product_of(old)
    if number(-1) in new:
        known = product_of(tuple(n for n in new if n is not number(-1)))
        missing = reduced(Quotient(total, known))
        new = tuple(missing if n is number(-1) else n for n in new)
    same = is_so("==", total, product_of(new))
    if same is not True:
        shapes = f"{tuple(map(Size, old))} to {tuple(map(Size, new))}"
        if same is None and len(size_symbols(total, *new)):
            raise NeedsConcreteSizes(f"reshape from {shapes}", size_symbols(total, *new))
        raise ShapesDoNotFit(f"reshape from {shapes}")
    return new


def _reshaped(base: Array, new: Indices) -> Array:
    groups = _groups(base.axes, new)
    step = View(
        lambda i: _regroup(i, groups, base.axes, new, False), lambda i: (ONE, _regroup(i, groups, base.axes, new, True))
    )
    result = view_of(base, new, step, contiguous=True)
    if base.scalar or base.contiguous:
        return result
    result.base_version = (base.buffer, base.buffer.version)
    content = base.read()
    copy = Array(Buffer(new, lambda i: content(step.forward(i)), base.kind, base.buffer.summed))
    copy.base_version = result.base_version
    return copy


def _groups(old: Indices, new: Indices) -> list[tuple[slice, slice]]:
    """The finest cut of both shapes into stretches with the same number of entries."""
    groups, i, j, a, b = [], 0, 0, 0, 0
    left: Expr = ONE
    right: Expr = ONE
    while i < len(old) or j < len(new):
        if i < len(old) and (left is right or j == len(new) or is_so("<=", left, right) is True):
            left, i = reduced(multiply(left, old[i])), i + 1
        elif j < len(new):
            right, j = reduced(multiply(right, new[j])), j + 1
        else:
            break
        if left is right and left is not ONE:
            groups.append((slice(a, i), slice(b, j)))
            a, b, left, right = i, j, ONE, ONE
    groups.append((slice(a, len(old)), slice(b, len(new))))
    return groups


def _regroup(
    indices: Indices, groups: list[tuple[slice, slice]], old: Indices, new: Indices, back: bool
) -> tuple[Expr, ...]:
    """The indices under the other shape: old ones from new ones, or `back`."""
    result: list[Expr] = []
    for a, b in groups:
        source, target = (a, b) if back else (b, a)
        from_shape, to_shape = ((old, new) if back else (new, old))
        result += unflatten(flatten(indices[source], from_shape[source]), to_shape[target])
    return tuple(result)


def flatten(indices: Indices, shape: Indices) -> Expr:
    """The row-major position of an index tuple."""
    position: Expr = ZERO
    for i, n in zip(indices, shape, strict=True):
        position = add(multiply(position, n), i)
    return reduced(position)


def unflatten(position: Expr, shape: Indices) -> list[Expr]:
    """The index tuple at a row-major position."""
    indices: list[Expr] = []
    for k, n in enumerate(shape):
        rest = product_of(shape[k + 1 :])
        whole = reduced(Quotient(position, rest)) if rest is not ONE else position
        if n is ONE:
            indices.append(ZERO)
        elif all(m is ONE for m in shape[:k]):
            indices.append(whole)
        else:
            indices.append(reduced(Remainder(whole, n)))
    return indices


@implements("ravel", method=True)
def ravel(a: Any, order: str = "C") -> Array:
    """All entries in a row: a view where reshape gives one."""
    base = as_array(a)
    return reshape(base, (size(product_of(base.axes)),), order=order)


@implements("flatten", method=True)
def _flatten_copy(a: Array, order: str = "C") -> Array:
    return copy_of(ravel(a, order))


@implements("copy", "array_copy", "ascontiguousarray", method=True)
def copy_of(a: Any, *_: Any, **__: Any) -> Array:
    """A copy with memory of its own."""
    base = as_array(a)
    result = Array(Buffer(base.axes, base.read(), base.kind, base.buffer.summed), scalar=base.scalar)
    return result


@implements("squeeze", method=True)
def _squeeze(a: Any, axis: Any = None) -> Array:
    base = as_array(a)
    dropped = [k for k in range(base.ndim) if base.axes[k] is ONE] if axis is None else axes_of(axis, base.ndim)
    if any(base.axes[k] is not ONE for k in dropped):
        raise ShapesDoNotFit(f"squeeze of an axis of an array of shape {base.shape} that is not 1")
    return _reshaped(base, tuple(n for k, n in enumerate(base.axes) if k not in dropped))


@implements("expand_dims")
def _expand_dims(a: Any, axis: Any) -> Array:
    base = as_array(a)
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    places = axes_of(axis, base.ndim + count)
    rest = iter(base.axes)
    return _reshaped(base, tuple(ONE if k in places else next(rest) for k in range(base.ndim + count)))


@implements("atleast_1d")
def _atleast_1d(a: Any) -> Array:
    base = as_array(a)
    return base if base.ndim else _reshaped(base, (ONE,))


@implements("atleast_2d")
def _atleast_2d(a: Any) -> Array:
    base = as_array(a)
    return base if base.ndim >= 2 else _reshaped(base, (ONE,) * (2 - base.ndim) + base.axes)


@implements("broadcast_to")
def _broadcast_to(a: Any, shape: Any) -> Array:
    base, wanted = as_array(a), shape_of(shape)
    if broadcast_shape(base.axes, wanted) != wanted:
        raise ShapesDoNotFit(f"an array of shape {base.shape} is broadcast to {shape}")
    skip = len(wanted) - base.ndim
    step = View(lambda i: tuple(ZERO if n is ONE else k for k, n in zip(i[skip:], base.axes, strict=True)), None)
    return view_of(base, wanted, step, contiguous=False)


@implements("broadcast_arrays")
def _broadcast_arrays(*arrays: Any) -> list[Array]:
    shape = tuple(size(n) for n in broadcast_shape(*(as_array(a).axes for a in arrays)))
    return [_broadcast_to(a, shape) for a in arrays]


@implements("flip")
def _flip(a: Any, axis: Any = None) -> Any:
    base = as_array(a)
    axes = axes_of(axis, base.ndim)
    return base[tuple(slice(None, None, -1) if k in axes else slice(None) for k in range(base.ndim))]


# --- joining and splitting ----------------------------------------------------------------------------------------


@implements("concatenate", "concat")
def concatenate(arrays: Any, axis: Any = 0) -> Array:
    """The arrays one after the other along an axis."""
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
            raise ShapesDoNotFit(f"arrays of shapes {parts[0].shape} and {p.shape} are concatenated along axis {k}")
    ends = list(itertools.accumulate((p.axes[k] for p in parts), lambda a, b: reduced(add(a, b))))
    shape = (*parts[0].axes[:k], ends[-1], *parts[0].axes[k + 1 :])
    starts = [ZERO, *ends[:-1]]
    contents = [p.read() for p in parts]

    def entries(indices: Indices) -> Expr:
        pieces = [
            (lambda c=c, s=s: c((*indices[:k], minus(indices[k], s), *indices[k + 1 :])))
            for c, s in zip(contents, starts, strict=True)
        ]
        return choose(indices[k], ends, pieces)

    kind = parts[0].kind if len({p.kind for p in parts}) == 1 else "real"
    return array(shape, entries, kind, summed=any(p.buffer.summed for p in parts))


def choose(index: Expr, ends: Sequence[Expr], pieces: Sequence[Callable[[], Expr]]) -> Expr:
    """The piece in which `index` lies: the first with index < end."""
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
    parts = [as_array(a) for a in arrays]
    if not parts:
        raise ShapesDoNotFit("stack of nothing")
    if any(p.axes != parts[0].axes for p in parts):
        shown = ", ".join(str(p.shape) for p in parts)
        raise ShapesDoNotFit(f"arrays of different shapes are stacked: {shown}")
    k = axis_of(axis, parts[0].ndim + 1)
    contents = [p.read() for p in parts]
    shape = (*parts[0].axes[:k], number(len(parts)), *parts[0].axes[k:])

    def entries(indices: Indices) -> Expr:
        others = indices[:k] + indices[k + 1 :]
        known = as_int(reduced(indices[k]))
        if known is not None:
            return contents[known](others)
        ends = [number(m + 1) for m in range(len(parts))]
        return choose(indices[k], ends, [lambda c=c: c(others) for c in contents])

    kinds = {p.kind for p in parts}
    return array(shape, entries, kinds.pop() if len(kinds) == 1 else "real", summed=any(p.buffer.summed for p in parts))


@implements("hstack")
def _hstack(arrays: Any) -> Array:
    parts = [_atleast_1d(a) for a in arrays]
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@implements("vstack", "row_stack")
def _vstack(arrays: Any) -> Array:
    return concatenate([_atleast_2d(a) for a in arrays], 0)


@implements("column_stack")
def _column_stack(arrays: Any) -> Array:
    parts = [as_array(a) for a in arrays]
    return concatenate([p if p.ndim > 1 else _reshaped(p, (*p.axes, ONE)) for p in parts], 1)


@implements("split", "array_split")
def _split(a: Any, sections: Any, axis: Any = 0) -> list[Any]:
    base = as_array(a)
    k = axis_of(axis, base.ndim)
    if isinstance(sections, (list, tuple, Array)):
        cuts = [integer_of(c) for c in sections]
    else:
        count = int(sections)
        if is_so("==", Remainder(base.axes[k], number(count)), ZERO) is not True:
            raise NeedsConcreteSizes(f"split into {count} equal parts", size_symbols(base.axes[k]))
        part = reduced(Quotient(base.axes[k], number(count)))
        cuts = [reduced(multiply(number(m), part)) for m in range(1, count)]
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
    content, fill = base.read(), as_array(constant_values).read()(())
    shape = tuple(reduced(add(n, low, high)) for n, (low, high) in zip(base.axes, widths, strict=True))

    def entries(indices: Indices) -> Expr:
        inner = tuple(minus(i, low) for i, (low, _) in zip(indices, widths, strict=True))
        inside = [holds("<=", ZERO, i) for i in inner] + [
            holds("<", i, n) for i, n in zip(inner, base.axes, strict=True)
        ]
        condition = multiply(*inside)
        return fill if condition is ZERO else where(condition, content(inner), fill)

    return array(shape, entries, base.kind, summed=base.buffer.summed)


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
    return array(
        shape, lambda i: content((*i[:k], reduced(Quotient(i[k], count)), *i[k + 1 :])), base.kind
    )


@implements("tile")
def _tile(a: Any, reps: Any) -> Array:
    base, counts = as_array(a), list(shape_of(reps))
    ndim = max(base.ndim, len(counts))
    axes = (ONE,) * (ndim - base.ndim) + base.axes
    counts = [ONE] * (ndim - len(counts)) + counts
    content = stretched(base, axes) if base.axes == axes else _reshaped(base, axes).read()

    def entries(indices: Indices) -> Expr:
        return content(tuple(ZERO if n is ONE else reduced(Remainder(i, n)) for i, n in zip(indices, axes, strict=True)))

    return array(tuple(reduced(multiply(n, c)) for n, c in zip(axes, counts, strict=True)), entries, base.kind)


@implements("roll")
def _roll(a: Any, shift: Any, axis: Any = None) -> Array:
    base = as_array(a)
    if axis is None:
        return reshape(_roll(ravel(base), shift, 0), base.shape)
    k, (by,) = axis_of(axis, base.ndim), shape_of(shift)
    content = base.read()
    n = base.axes[k]
    return array(base.axes, lambda i: content((*i[:k], reduced(Remainder(minus(i[k], by), n)), *i[k + 1 :])), base.kind)


def contents_at(base: Array, order: Sequence[int]) -> Content:
    """The entries of `base` with its axes in another order."""
    return transpose(base, tuple(order)).read()


__all__ = ["IDENTITY", "OPERATIONS", "concatenate", "reshape", "stack", "transpose"]
