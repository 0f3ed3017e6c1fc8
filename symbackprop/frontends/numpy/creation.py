"""Arrays made from nothing but sizes: zeros, eye, arange, triangles; and conversions of type."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Entry,
    Expr,
    Number,
    Quotient,
    Remainder,
    add,
    multiply,
    number,
    power,
    rewrite,
    where,
)
from symbackprop.frontends.numpy.array import Array, Buffer, array, has_entry, scalar
from symbackprop.frontends.numpy.dtypes import (
    BELOW_2_52,
    ROUNDED,
    as_dtype,
    is_whole,
    kind_of_type,
    near_integer,
    needs_floats,
)
from symbackprop.frontends.numpy.elementwise import held, integers_fit, plain_type
from symbackprop.frontends.numpy.masked import Masked, Places, triangle_of
from symbackprop.frontends.numpy.operands import as_array, exact, integer_of, shape_of
from symbackprop.frontends.numpy.registry import OPERATIONS, implements
from symbackprop.frontends.numpy.session import (
    as_int,
    as_numpy,
    assume,
    axis_indices,
    current,
    entry,
    holds,
    is_so,
    minus,
    must_know,
    product_of,
    reduced,
    value_of,
)
from symbackprop.frontends.numpy.size import Size, SymbolicList, size
from symbackprop.frontends.numpy.subscripts import diagonal, labels_help
from symbackprop.frontends.numpy.views import copy_of, flatten, unflatten

Indices = tuple[Expr, ...]


def type_of(dtype: Any, default: str | np.dtype[Any] = "real") -> np.dtype[Any]:
    """NumPy's type for what stands behind dtype=: a type, its stand-in, its name, or nothing.

    Raises:
        TraceError: numbers of that type cannot be traced.
    """
    found = as_dtype(default) if dtype is None else np.dtype(getattr(dtype, "traced_type", dtype))
    kind_of_type(found)
    return found


def filled(shape: Indices, value: Expr, kind: str | np.dtype[Any]) -> Array:
    """An array of one value, with memory of its own (also when it is 0-d)."""
    if any(is_so("<", n, ZERO) for n in shape):
        raise as_numpy(ValueError("negative dimensions are not allowed"))
    return Array(Buffer(shape, lambda _: value, kind))


def _row_major(order: Any) -> None:
    """Refuse column-major memory, which changes what is a view."""
    if order not in ("C", "K", "A", None):
        raise TraceError(f"order={order!r} cannot be traced")


def _maker(name: str, value: Expr | None) -> None:
    """zeros, ones and empty; without a value each array holds a number of its own, of which nothing is known."""

    @implements(name)
    def make(shape: Any, dtype: Any = None, order: str = "C") -> Array:
        _row_major(order)
        return filled(shape_of(shape), current().unwritten() if value is None else value, type_of(dtype))

    @implements(f"{name}_like")
    def make_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None) -> Array:
        _row_major(order)
        base = as_array(a)
        entry = current().unwritten() if value is None else value
        result = filled(base.axes if shape is None else shape_of(shape), entry, type_of(dtype, base.dtype))
        result.contiguous = result.ordered = base.ordered
        return result


for _title, _value in {"zeros": ZERO, "ones": ONE}.items():
    _maker(_title, _value)
_maker("empty", None)


@implements("drawn")
def _drawn(shape: Any, what: str, help: str | None) -> Array:
    """Random numbers: an array of unknown entries, which may be computed with and overwritten."""
    session = current()
    tensor = session.new_tensor("drawn", shape_of(shape))
    session.drawn[tensor] = TraceError(f"{what} cannot be traced", where=session.place(), help=help)
    result = Array(Buffer(tensor.shape, entry(tensor)))
    result.buffer.settled = True
    return result


@implements("full")
def _full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> Array:
    _row_major(order)
    fill = as_array(fill_value)
    return _filled_with(fill, shape_of(shape), type_of(dtype, fill.dtype))


@implements("full_like")
def _full_like(a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True) -> Array:
    _row_major(order)
    base = as_array(a)
    return _filled_with(as_array(fill_value), base.axes, type_of(dtype, base.dtype))


def _filled_with(fill: Array, shape: Indices, dtype: np.dtype[Any]) -> Array:
    """An array of one value, which must fit into it as it is."""
    if fill.ndim:
        raise TraceError("np.full with an array cannot be traced")
    result = filled(shape, ZERO, dtype)
    value = held(result, fill).read()(())
    return filled(shape, value, dtype)


@implements("eye", "identity")
def _eye(n: Any, m: Any = None, k: Any = 0, dtype: Any = None, M: Any = None) -> Array:
    rows, columns = shape_of(n)[0], shape_of(n if m is None and M is None else m if M is None else M)[0]
    offset = integer_of(k) or ZERO
    return _fresh((rows, columns), lambda i: holds("==", reduced(add(i[0], offset)), i[1]), type_of(dtype))


def _fresh(shape: Indices, content: Callable[[Indices], Expr], kind: str | np.dtype[Any]) -> Array:
    return integers_fit(Array(Buffer(shape, content, kind)))


@implements("arange")
def _arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Array:
    low, high = (0, start) if stop is None else (start, stop)
    length, entry = progression(low, high, step)
    return _fresh((length,), lambda i: entry(i[0]), type_of(dtype, "integer"))


def progression(start: Any, stop: Any, step: Any) -> tuple[Expr, Callable[[Expr], Expr]]:
    """The integers from start to stop as range counts them: how many, and which comes at a place."""
    a, b, by = integer_of(start), integer_of(stop), integer_of(step)
    if a is None or b is None or by is None or not isinstance(by, Number):
        raise TraceError("np.arange of numbers that are not integers cannot be traced")
    if by.value < 0:
        length = reduced(Quotient(add(minus(a, b), number(-by.value - 1)), number(-by.value)))
    else:
        length = reduced(Quotient(add(minus(b, a), number(by.value - 1)), by))
    if not must_know("<=", ZERO, length, "the length of np.arange"):
        length = ZERO
    return length, lambda i: reduced(add(a, multiply(by, i)))


@implements("linspace")
def _linspace(start: Any, stop: Any, num: Any = 50) -> Any:
    (count,) = shape_of(num)
    last = minus(count, ONE)
    alone = holds("==", last, ZERO)  # one number: it is the start
    parts = _fresh((count,), lambda i: where(alone, ZERO, multiply(i[0], power(last, -1))), "real")
    result = start + (as_array(stop) - start) * parts
    result.buffer.rounding = ROUNDED
    return result


REFUSED = ("ogrid", "mgrid")


@implements(*REFUSED)
def _unsupported_grid(*_: Any, **__: Any) -> Any:
    raise TraceError("grids of indices cannot be traced", help="use np.arange and broadcasting")


def _triangle(name: str, lower: bool) -> None:
    @implements(name)
    def triangle(m: Any, k: Any = 0) -> Array | Masked:
        if isinstance(m, Masked):
            return triangle_of(name, m, k)
        base, offset = as_array(m), integer_of(k) or ZERO
        content = base.read()

        def entries(i: Indices) -> Expr:
            diagonal_ = reduced(add(i[-2], offset))
            kept = holds("<=", i[-1], diagonal_) if lower else holds("<=", diagonal_, i[-1])
            return multiply(kept, content(i))

        return array(base.axes, entries, base.dtype, summed=base.buffer.summed)


_triangle("tril", True)
_triangle("triu", False)


@implements("tri")
def _tri(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Array:
    rows, columns = shape_of(n)[0], shape_of(n if m is None else m)[0]
    offset = integer_of(k) or ZERO
    return _fresh((rows, columns), lambda i: holds("<=", i[1], reduced(add(i[0], offset))), type_of(dtype))


def _triangle_places(name: str, lower: bool) -> None:
    @implements(name)
    def places(n: Any, k: Any = 0, m: Any = None) -> Places:
        rows, columns = shape_of(n)[0], shape_of(n if m is None else m)[0]
        offset = integer_of(k) or ZERO

        def inside(i: Indices) -> Expr:
            diagonal_ = reduced(add(i[0], offset))
            return holds("<=", i[1], diagonal_) if lower else holds("<=", diagonal_, i[1])

        return Places(_fresh((rows, columns), inside, "bool"))


_triangle_places("tril_indices", True)
_triangle_places("triu_indices", False)


@implements("diag_indices")
def _diag_indices(n: Any) -> tuple[Array, Array]:
    return _arange(n), _arange(n)


@implements("diag")
def _diag(v: Any, k: Any = 0) -> Any:
    base = as_array(v)
    if base.ndim == 2:
        return diagonal(base, k)
    if base.ndim != 1:
        raise TraceError(f"np.diag takes a vector or a matrix, not an array of {base.ndim} axes")
    return _diagflat(base, k)


@implements("diagflat")
def _diagflat(v: Any, k: Any = 0) -> Array:
    base = as_array(v).ravel()
    (n,) = base.axes
    content = base.read()
    if k == 0:
        return array((n, n), lambda i: multiply(holds("==", i[0], i[1]), content((i[0],))), base.dtype)
    size_ = reduced(add(n, number(abs(int(k)))))
    result = OPERATIONS["zeros"]((size(size_), size(size_)), base.dtype)
    rows = OPERATIONS["arange"](size(n))
    OPERATIONS["setitem"](result, (rows, rows + int(k)) if k > 0 else (rows - int(k), rows), base)
    return result  # type: ignore[no-any-return]


@implements("array")
def _array(value: Any, dtype: Any = None, copy: Any = True, order: Any = "K", ndmin: Any = 0, **options: Any) -> Array:
    if options or int(ndmin):
        raise TraceError(f"np.array with {', '.join(options) or 'ndmin'} cannot be traced")
    if not copy:
        return _asarray(value, dtype)
    return _whole(_converted(copy_of(value), dtype))


def _whole(base: Array) -> Array:
    """An array, also of a scalar."""
    return Array(base.buffer) if base.scalar else base


@implements("asarray", "asanyarray")
def _asarray(value: Any, dtype: Any = None, order: Any = "K", *, copy: Any = None) -> Array:
    """The array itself if it has that type already, else a copy."""
    _row_major(order)
    if copy:
        return _whole(_converted(copy_of(value), dtype))
    base = as_array(value)
    same = dtype is None or np.dtype(plain_type(dtype)) == base.dtype
    return base if same and not base.scalar else _whole(_converted(copy_of(base), dtype))


@implements("astype", method=True)
def _astype(
    a: Any, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: Any = True
) -> Array:
    _row_major(order)
    if not np.can_cast(as_array(a).dtype, type_of(dtype), casting):  # type: ignore[arg-type]
        raise TraceError(f"astype with casting={casting!r} cannot be traced")
    return _converted(copy_of(a), dtype) if copy else _asarray(a, dtype)


def _converted(base: Array, dtype: Any) -> Array:
    wanted = type_of(dtype, base.dtype)
    if wanted == base.dtype:
        return base
    if wanted.kind == "b":
        return OPERATIONS["not_equal"](base, 0)  # type: ignore[no-any-return]
    if wanted.kind in "iu" and base.kind == "real":
        return _whole_numbers(base, wanted)
    given = held(filled(base.axes, ZERO, wanted), base)
    result = array(base.axes, given.read(), wanted, summed=base.buffer.summed)
    result.buffer.rounding = base.buffer.rounding
    return result


def _whole_numbers(base: Array, wanted: np.dtype[Any]) -> Array:
    """Real numbers without their fractions, as np.floor(x).astype(int) has them.

    Raises:
        TraceError: they are an input, which holds whole numbers most likely, or hang on sizes alone.
    """
    probe = base.read()(axis_indices(base.axes))
    if (isinstance(probe, Entry) and probe.tensor not in current().values) or not has_entry(probe):
        raise TraceError("real numbers are rounded to integers", help=labels_help(base))
    assume(BELOW_2_52)
    content = base.buffer.content if is_whole(probe) else OPERATIONS["trunc"](base).read()
    seen = base.through.forward if is_whole(probe) else lambda i: i

    def rounded(node: Expr) -> Expr | None:
        """Of what was rounded before, the formula: an equation of real numbers says nothing of their slope, 0."""
        own = isinstance(node, Entry) and node.tensor.kind == "real" and is_whole(node)
        return rewrite(value_of(node), rounded) if own else None

    result = array(base.axes, lambda i: rewrite(content(seen(i)), rounded), wanted)
    result.buffer.settle(None)
    return result


def convert_to(dtype: Any) -> Callable[..., Any]:
    """np.float64, np.int64, ...: called like functions; a number becomes NumPy's."""

    def convert(value: Any = 0, *more: Any) -> Any:
        if more or isinstance(value, (str, bytes)):
            return as_array(dtype(value, *more))
        base = copy_of(value)
        result = _converted(base, dtype)
        if not result.ndim:
            return scalar(result.read()(()), result.dtype, rounding=result.buffer.rounding)
        return result

    return convert


@implements("unravel_index")
def _unravel_index(position: Any, shape: Any) -> tuple[Any, ...]:
    base, sizes = as_array(position), shape_of(shape)
    content = base.read()

    def along(k: int) -> Array:
        return array(base.axes, lambda i: unflatten(content(i), sizes)[k], "integer")

    return tuple(along(k) for k in range(len(sizes)))


@implements("ravel_multi_index")
def _ravel_multi_index(places: Any, shape: Any) -> Array:
    bases, sizes = [as_array(p) for p in places], shape_of(shape)
    contents = [b.read() for b in bases]
    return array(bases[0].axes, lambda i: flatten(tuple(c(i) for c in contents), sizes), "integer")


@implements("shape")
def _shape(a: Any) -> tuple[Any, ...]:
    return as_array(a).shape


@implements("size")
def _size(a: Any, axis: Any = None) -> Any:
    base = as_array(a)
    return size(product_of(base.axes)) if axis is None else base.shape[axis]


@implements("ndim")
def _ndim(a: Any) -> int:
    return as_array(a).ndim


@implements("fill", method=True)
def _fill(a: Array, value: Any) -> None:
    a[...] = value


@implements("tolist", method=True)
def _tolist(a: Array) -> Any:
    if a.ndim == 1 and as_int(a.axes[0]) is None:
        return SymbolicList(copy_of(a))
    return a if a.ndim == 0 else [_tolist(row) for row in a]


def to_integer(value: Any, down: bool = False) -> Any:
    """int(value): of a size or a label it is the thing itself; a quotient of sizes is rounded towards 0, or `down`.

    NumPy and Python round floats: 0.29 * 100 is below 29. So of a number that is not exact as a float, or a quotient of
    whole numbers (which rounds to the right side), only that much is said which rounding cannot change.
    """
    if isinstance(value, Size):
        return value
    if not isinstance(value, Array):
        return math.floor(value) if down else int(value)
    if value.ndim:
        raise TraceError("int() of an array with axes cannot be traced", help="take the entry: x[0]")
    content = reduced(value.read()(()))
    if value.kind != "real":
        return scalar(content, "integer", weak=True) if has_entry(content) else size(content)
    if isinstance(content, Number):
        if value.buffer.rounding == ROUNDED and near_integer(float(content.value)):
            raise needs_floats("int()", content)
        return math.floor(content.value) if down else int(content.value)
    scale = _scale(content)
    if scale is None and has_entry(content):
        raise TraceError("int() of a real number that depends on data or roots")
    if scale is None or value.buffer.rounding == ROUNDED:
        raise needs_floats("int()", content)
    whole = reduced(multiply(number(scale), content))
    rounded = size(Quotient(whole, number(scale)))
    if down or must_know("<=", ZERO, whole, "int() of what may be negative"):
        return rounded
    return -size(Quotient(reduced(multiply(number(-1), whole)), number(scale)))


def _scale(content: Expr) -> int | None:
    """The denominator of a polynomial of sizes with rational coefficients, None for anything else."""
    terms = getattr(content, "terms", (content,))
    scale = 1
    for term in terms:
        factors = getattr(term, "factors", (term,))
        for f in factors:
            if isinstance(f, Number):
                scale = scale * f.value.denominator
            elif not _integral(f):
                return None
    return scale


def _integral(factor: Expr) -> bool:
    return isinstance(factor, (Quotient, Remainder)) or getattr(factor, "kind", "") == "size"


__all__ = ["convert_to", "exact", "filled", "to_integer"]
