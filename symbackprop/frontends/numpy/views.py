"""Layout: transposing, reshaping, repeating, joining and splitting. What NumPy answers with a view is a view here."""

from __future__ import annotations

from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, ZERO, Expr, Quotient, Remainder, add, multiply, number
from symbackprop.frontends.numpy.array import Array, Buffer, View
from symbackprop.frontends.numpy.elementwise import broadcast_shape
from symbackprop.frontends.numpy.errors import (
    NeedsConcreteSizes,
    NeverFits,
    ShapesDoNotFit,
    dividing,
    divisions,
    size_symbols,
)
from symbackprop.frontends.numpy.masked import Masked
from symbackprop.frontends.numpy.operands import as_array, shape_of
from symbackprop.frontends.numpy.registry import METHODS, implements
from symbackprop.frontends.numpy.session import is_so, must_know, product_of, quotient_of, reduced
from symbackprop.frontends.numpy.size import Size, size
from symbackprop.rendering.text import to_text

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
    axes = tuple(axis_of(a, ndim) for a in items)
    if len(set(axes)) < len(axes):
        raise ShapesDoNotFit(f"an axis is named twice: axis={axis}")
    return axes


def view_of(base: Array, shape: Indices, step: View, *, contiguous: bool, ordered: bool | None = None) -> Array:
    """A view of `base`; `step` maps the indices of the view to those of `base`. Of a scalar it is a copy.

    Args:
        ordered: whether its axes come in the order of the base, if that is more than `contiguous` says.
    """
    if base.scalar:
        base = copy_of(base)
    outer = base.through

    def inverse(indices: Indices) -> tuple[Expr, Indices]:
        assert outer.inverse is not None and step.inverse is not None
        seen, middle = outer.inverse(indices)
        also, own = step.inverse(middle)
        return multiply(seen, also), own

    writable = outer.inverse is not None and step.inverse is not None
    view = View(
        lambda indices: outer.forward(step.forward(indices)), inverse if writable else None, outer.wraps + step.wraps
    )
    result = Array(base.buffer, shape, view)
    result.contiguous = contiguous and base.contiguous
    result.ordered = (contiguous if ordered is None else ordered) and base.ordered
    result.shared = base.shared
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
    return reshaped(base, _completed(base.axes, shape_of(wanted)))


def _completed(old: Indices, new: Indices) -> Indices:
    """`new` with -1 replaced; the two must have the same number of entries."""
    total = product_of(old)
    if number(-1) in new:
        known = product_of(tuple(n for n in new if n is not number(-1)))
        filled = all(is_so("<=", ONE, n) for n in old)
        missing = (quotient_of(total, known) if filled else None) or reduced(Quotient(total, known))
        new = tuple(missing if n is number(-1) else n for n in new)
    same = is_so("==", total, product_of(new))
    if same is not True:
        shapes = f"{tuple(map(Size, old))} to {tuple(map(Size, new))}"
        if same is None and len(size_symbols(total, *new)):
            unsure = [to_text(n) for n in old if is_so("<=", ONE, n) is None]  # of no entries -1 cannot be told
            questions = [(f"1 <= {n}", f"1 > {n}") for n in unsure]
            parts = divisions(*new)  # heads, groups: D // H each
            what, symbols = f"reshape from {shapes}", size_symbols(total, *new)
            raise NeedsConcreteSizes(what, symbols, (*questions, *parts), help=dividing(parts))
        raise (NeverFits if same is False else ShapesDoNotFit)(f"reshape from {shapes}")
    return new


def reshaped(base: Array, new: Indices) -> Array:
    """`base` under another shape with as many entries."""
    groups = _groups(base.axes, new)
    step = View(
        lambda i: _regroup(i, groups, base.axes, new, False), lambda i: (ONE, _regroup(i, groups, base.axes, new, True))
    )
    result = view_of(base, new, step, contiguous=True)
    if base.scalar or base.contiguous:
        return result
    content = base.read()
    copy = Array(Buffer(new, lambda i: content(step.forward(i)), base.dtype, base.buffer.summed))
    return maybe_copy(base, copy)


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
        from_shape, to_shape = (old, new) if back else (new, old)
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


@implements("copy")
def copy_of(a: Any, order: str = "K", subok: bool = False) -> Array:
    """np.copy: memory of its own, laid out as the original."""
    if order not in ("C", "K", "A"):
        raise TraceError(f"a copy with order={order!r} cannot be traced")
    base = as_array(a)
    result = Array(Buffer(base.axes, base.read(), base.dtype, base.buffer.summed), scalar=base.scalar)
    result.contiguous = result.ordered = base.ordered or order == "C"
    return result


def _row_major_copy(a: Array, order: str = "C") -> Array:
    return copy_of(a, order)


METHODS["copy"] = _row_major_copy


@implements("ascontiguousarray")
def _ascontiguousarray(a: Any, dtype: Any = None) -> Array:
    base = atleast_1d(a)
    return base if base.contiguous else maybe_copy(base, copy_of(base, "C"))


def maybe_copy(base: Array, result: Array) -> Array:
    """`result`, of which it is not known whether it shares the memory of `base`."""
    result.shared = ((base.buffer, base.buffer.version),)
    return result


@implements("squeeze", method=True)
def _squeeze(a: Any, axis: Any = None) -> Array:
    base = as_array(a)
    if axis is None:  # an axis of symbolic size would go as well where the size is 1
        dropped: tuple[int, ...] = tuple(k for k in range(base.ndim) if must_know("==", base.axes[k], ONE, "squeeze()"))
    else:
        dropped = axes_of(axis, base.ndim)
    if any(base.axes[k] is not ONE for k in dropped):
        raise ShapesDoNotFit(f"squeeze of an axis of an array of shape {base.shape} that is not 1")
    return reshaped(base, tuple(n for k, n in enumerate(base.axes) if k not in dropped))


@implements("expand_dims")
def _expand_dims(a: Any, axis: Any) -> Array:
    base = as_array(a)
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    places = axes_of(axis, base.ndim + count)
    rest = iter(base.axes)
    return reshaped(base, tuple(ONE if k in places else next(rest) for k in range(base.ndim + count)))


@implements("atleast_1d")
def atleast_1d(*arrays: Any) -> Any:
    """Arrays with one axis at least."""
    if len(arrays) != 1:
        return tuple(map(atleast_1d, arrays))
    base = as_array(arrays[0])
    return base if base.ndim else reshaped(base, (ONE,))


@implements("atleast_2d")
def atleast_2d(*arrays: Any) -> Any:
    """Arrays with two axes at least."""
    if len(arrays) != 1:
        return tuple(map(atleast_2d, arrays))
    base = as_array(arrays[0])
    return base if base.ndim >= 2 else reshaped(base, (ONE,) * (2 - base.ndim) + base.axes)


@implements("broadcast_to")
def broadcast_to(a: Any, shape: Any) -> Array:
    """A view that repeats axes of size 1; it cannot be written."""
    base, wanted = as_array(a), shape_of(shape)
    if broadcast_shape(base.axes, wanted) != wanted:
        raise ShapesDoNotFit(f"an array of shape {base.shape} is broadcast to {shape}")
    skip = len(wanted) - base.ndim
    step = View(lambda i: tuple(ZERO if n is ONE else k for k, n in zip(i[skip:], base.axes, strict=True)), None)
    return view_of(base, wanted, step, contiguous=False)


@implements("broadcast_arrays")
def _broadcast_arrays(*arrays: Any) -> list[Array]:
    shape = tuple(size(n) for n in broadcast_shape(*(as_array(a).axes for a in arrays)))
    return [broadcast_to(a, shape) for a in arrays]


@implements("flip")
def _flip(a: Any, axis: Any = None) -> Any:
    base = a if isinstance(a, Masked) else as_array(a)
    axes = axes_of(axis, base.ndim)
    return base[tuple(slice(None, None, -1) if k in axes else slice(None) for k in range(base.ndim))]
