"""NumPy functions that are others put together: each is exactly what NumPy gives, in terms of operations beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, Entry, Symbol, multiply, number, where
from symbackprop.frontends.numpy.accumulations import product
from symbackprop.frontends.numpy.array import array, scalar
from symbackprop.frontends.numpy.dtypes import ROUNDED
from symbackprop.frontends.numpy.elementwise import truth
from symbackprop.frontends.numpy.errors import ShapesDoNotFit
from symbackprop.frontends.numpy.masked import Places
from symbackprop.frontends.numpy.operands import as_array, integer_of
from symbackprop.frontends.numpy.registry import OPERATIONS, implements
from symbackprop.frontends.numpy.session import as_int, axis_indices, current, holds, is_so, must_know
from symbackprop.frontends.numpy.views import axis_of, ravel


def _np(name: str) -> Callable[..., Any]:
    return lambda *args, **options: OPERATIONS[name](*args, **options)


_add, _subtract, _multiply, _divide = _np("add"), _np("subtract"), _np("multiply"), _np("divide")

# --- layout -------------------------------------------------------------------------------------------------------


@implements("flipud")
def _flipud(m: Any) -> Any:
    return OPERATIONS["flip"](m, 0)


@implements("fliplr")
def _fliplr(m: Any) -> Any:
    return OPERATIONS["flip"](m, 1)


@implements("rot90")
def _rot90(m: Any, k: Any = 1, axes: Any = (0, 1)) -> Any:
    base = as_array(m)
    first, second = (axis_of(a, base.ndim) for a in axes)
    turns = int(k) % 4
    if turns == 2:
        return OPERATIONS["flip"](base, (first, second))
    if turns == 0:
        return base
    flipped = OPERATIONS["flip"](base, second) if turns == 1 else base
    turned = OPERATIONS["swapaxes"](flipped, first, second)
    return turned if turns == 1 else OPERATIONS["flip"](turned, second)


@implements("dstack")
def _dstack(tup: Any) -> Any:
    return OPERATIONS["concatenate"]([_atleast_3d(a) for a in tup], 2)


@implements("atleast_3d")
def _atleast_3d(*arrays: Any) -> Any:
    """Arrays with three axes at least: of a vector the middle one is its own."""
    if len(arrays) != 1:
        return tuple(_atleast_3d(a) for a in arrays)
    base = as_array(arrays[0])
    if base.ndim >= 3:
        return base
    keys: dict[int, Any] = {0: (None, None, None), 1: (None, slice(None), None), 2: (slice(None), slice(None), None)}
    return base.reshape(1, 1, 1) if base.ndim == 0 else base[keys[base.ndim]]


@implements("unstack")
def _unstack(x: Any, *, axis: Any = 0) -> Any:
    return tuple(OPERATIONS["moveaxis"](x, axis, 0))


@implements("rollaxis")
def _rollaxis(a: Any, axis: Any, start: Any = 0) -> Any:
    base = as_array(a)
    source, target = axis_of(axis, base.ndim), int(start) + (base.ndim if int(start) < 0 else 0)
    return OPERATIONS["moveaxis"](base, source, target - (source < target))


for _of, _plain in {"tril_indices_from": "tril", "triu_indices_from": "triu"}.items():

    def _indices_from(arr: Any, k: Any = 0, _plain: str = _plain) -> Any:
        base = as_array(arr)
        return OPERATIONS[f"{_plain}_indices"](base.shape[0], k=k, m=base.shape[1])

    implements(_of)(_indices_from)


@implements("diag_indices_from")
def _diag_indices_from(arr: Any) -> Any:
    base = as_array(arr)
    if base.ndim < 2 or any(must_know("==", n, base.axes[0], "np.diag_indices_from") is False for n in base.axes):
        raise TraceError("np.diag_indices_from of an array whose axes differ cannot be traced")
    if base.ndim != 2:
        raise TraceError("np.diag_indices_from of an array with other than two axes cannot be traced")
    return OPERATIONS["diag_indices"](base.shape[0])


@implements("indices")
def _indices(dimensions: Any, dtype: Any = int, sparse: Any = False) -> Any:
    grids = _meshgrid(*(OPERATIONS["arange"](n) for n in dimensions), sparse=sparse, indexing="ij")
    if dtype is not int:
        grids = [OPERATIONS["astype"](g, dtype) for g in grids]
    return tuple(grids) if sparse else OPERATIONS["stack"](grids)


@implements("meshgrid")
def _meshgrid(*xi: Any, copy: Any = True, sparse: Any = False, indexing: Any = "xy") -> Any:
    flat = [ravel(x) for x in xi]
    swapped = indexing == "xy" and len(flat) > 1
    order = [1, 0, *range(2, len(flat))] if swapped else list(range(len(flat)))
    shape = [flat[k].shape[0] for k in order]
    grids = []
    for place, x in zip(order, flat, strict=True):
        own = [x.shape[0] if k == place else 1 for k in range(len(flat))]
        grid = x.reshape(*own)
        grids.append(grid if sparse else OPERATIONS["copy"](OPERATIONS["broadcast_to"](grid, tuple(shape))))
    return tuple(grids)


@implements("fromfunction")
def _fromfunction(function: Any, shape: Any, *, dtype: Any = float, **options: Any) -> Any:
    return function(*_indices(shape, dtype), **options)


@implements("ix_")
def _ix(*args: Any) -> Any:
    parts = [ravel(a) for a in args]
    shapes = [[a.shape[0] if k == j else 1 for k in range(len(parts))] for j, a in enumerate(parts)]
    return tuple(a.reshape(*shape) for a, shape in zip(parts, shapes, strict=True))


@implements("flatnonzero")
def _flatnonzero(a: Any) -> Any:
    return Places(truth(ravel(a)))[0]


@implements("extract")
def _extract(condition: Any, arr: Any) -> Any:
    return ravel(arr)[truth(ravel(condition))]


@implements("copyto")
def _copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    dst[...] = src if where is True else OPERATIONS["where"](where, src, dst)


@implements("putmask")
def _putmask(a: Any, mask: Any, values: Any) -> None:
    """Of numbers alone: an array of values is repeated along the array, which no formula needs."""
    if as_array(values).ndim and as_array(values).axes != as_array(a).axes:
        raise TraceError("np.putmask with an array of another shape cannot be traced", help="use np.where")
    a[...] = OPERATIONS["where"](mask, values, a)


@implements("select")
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    result = default
    for condition, choice in zip(reversed(list(condlist)), reversed(list(choicelist)), strict=True):
        result = OPERATIONS["where"](condition, choice, result)
    return result


# --- numbers ------------------------------------------------------------------------------------------------------


@implements("real", "conj", "conjugate")
def _real(x: Any) -> Any:
    """Of real numbers it is the number."""
    return as_array(x)


@implements("deg2rad", "radians")
def _deg2rad(x: Any) -> Any:
    return _multiply(x, _divide(_pi(), 180))


@implements("rad2deg", "degrees")
def _rad2deg(x: Any) -> Any:
    return _multiply(x, _divide(180, _pi()))


def _pi() -> Any:
    return scalar(Symbol("pi", "positive"), weak=True, rounding=ROUNDED)


@implements("divmod")
def _divmod(x1: Any, x2: Any) -> Any:
    return OPERATIONS["floor_divide"](x1, x2), OPERATIONS["remainder"](x1, x2)


@implements("logaddexp2")
def _logaddexp2(x1: Any, x2: Any) -> Any:
    return OPERATIONS["log2"](_add(OPERATIONS["exp2"](x1), OPERATIONS["exp2"](x2)))


@implements("arcsinh", "asinh")
def _arcsinh(x: Any) -> Any:
    root = OPERATIONS["sqrt"](_add(OPERATIONS["square"](x), 1))
    return OPERATIONS["log"](_add(x, root))


@implements("arctanh", "atanh")
def _arctanh(x: Any) -> Any:
    return _divide(OPERATIONS["log"](_divide(_add(1, x), _subtract(1, x))), 2)


@implements("arccosh", "acosh")
def _arccosh(x: Any) -> Any:
    roots = _multiply(OPERATIONS["sqrt"](_subtract(x, 1)), OPERATIONS["sqrt"](_add(x, 1)))
    return OPERATIONS["log"](_add(x, roots))


@implements("cbrt")
def _cbrt(x: Any) -> Any:
    return _multiply(OPERATIONS["sign"](x), OPERATIONS["power"](OPERATIONS["abs"](x), 1 / 3))


@implements("sinc")
def _sinc(x: Any) -> Any:
    """As NumPy has it, with a tiny number in the place of 0."""
    turned = _multiply(_pi(), OPERATIONS["where"](OPERATIONS["equal"](x, 0), 1e-20, x))
    return _divide(OPERATIONS["sin"](turned), turned)


@implements("vander")
def _vander(x: Any, N: Any = None, increasing: Any = False) -> Any:
    """Powers of the entries, for a number of powers that is known."""
    base = as_array(x)
    count = base.axes[0] if N is None and base.ndim == 1 else integer_of(N)
    powers = as_int(count) if count is not None else None
    if base.ndim != 1 or powers is None:
        raise TraceError("np.vander is traced of a vector, with a number of powers that is known", help="say N=3")
    columns, column = [], OPERATIONS["ones_like"](base)
    for _ in range(powers):
        columns.append(column)
        column = _multiply(column, base)
    return OPERATIONS["stack"](columns if increasing else columns[::-1], 1)


@implements("polyval")
def _polyval(p: Any, x: Any) -> Any:
    result: Any = 0
    for c in as_array(p):
        result = _add(_multiply(result, x), c)
    return result


# --- products and sums --------------------------------------------------------------------------------------------


@implements("vecdot", "linalg.vecdot")
def _vecdot(x1: Any, x2: Any, axis: Any = -1) -> Any:
    return OPERATIONS["sum"](_multiply(x1, x2), axis)


@implements("matvec")
def _matvec(x1: Any, x2: Any) -> Any:
    return OPERATIONS["matmul"](x1, as_array(x2)[..., None])[..., 0]


@implements("vecmat")
def _vecmat(x1: Any, x2: Any) -> Any:
    return OPERATIONS["matmul"](as_array(x1)[..., None, :], x2)[..., 0, :]


@implements("cross", "linalg.cross")
def _cross(a: Any, b: Any, axis: Any = -1) -> Any:
    """Of vectors with three entries."""
    left, right = as_array(a), as_array(b)
    ends = {axis_of(axis, v.ndim) - v.ndim for v in (left, right)}
    if ends != {-1}:
        last = [OPERATIONS["moveaxis"](v, axis, -1) for v in (left, right)]
        return OPERATIONS["moveaxis"](_cross(*last), -1, axis)
    if any(as_int(v.axes[-1]) != 3 for v in (left, right) if v.ndim):
        raise TraceError("np.cross of vectors with other than three entries cannot be traced")
    x, y = ([v[..., k] for k in range(3)] for v in (left, right))
    parts = [_subtract(_multiply(x[i], y[j]), _multiply(x[j], y[i])) for i, j in ((1, 2), (2, 0), (0, 1))]
    return OPERATIONS["stack"](parts, -1)


@implements("trapezoid")
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    base = as_array(y)
    if axis_of(axis, base.ndim) != base.ndim - 1:
        raise TraceError("np.trapezoid along another axis than the last cannot be traced")
    step = dx if x is None else OPERATIONS["diff"](x)
    return OPERATIONS["sum"](_divide(_multiply(step, _add(base[..., 1:], base[..., :-1])), 2.0), -1)


@implements("ediff1d")
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    inner = OPERATIONS["diff"](ravel(ary))
    parts = [p for p in (to_begin, inner, to_end) if p is not None]
    return OPERATIONS["concatenate"]([ravel(p) for p in parts]) if len(parts) > 1 else inner


@implements("multiply.accumulate")
def _multiply_accumulate(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    return _cumprod(array, axis, dtype, out)


@implements("logaddexp.accumulate")
def _logaddexp_accumulate(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    if dtype is not None or out is not None:
        raise TraceError("np.logaddexp.accumulate with dtype= or out= cannot be traced")
    return OPERATIONS["log"](OPERATIONS["cumsum"](OPERATIONS["exp"](array), axis))


@implements("cumprod", "cumulative_prod", "nancumprod", method=True)
def _cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    base = ravel(a) if axis is None else as_array(a)
    k = axis_of(0 if axis is None else axis, base.ndim)
    if base.kind != "real" or dtype is not None or out is not None:
        raise TraceError("np.cumprod of integers, or with dtype= or out=, cannot be traced")
    length = as_int(base.axes[k])
    if length is None:
        return product(base, k).up_to_each()
    content = base.read(nonlinear=True)

    def entries(indices: tuple[Any, ...]) -> Any:
        parts = [content((*indices[:k], number(j), *indices[k + 1 :])) for j in range(length)]
        return multiply(*(where(holds("<=", number(j), indices[k]), part, ONE) for j, part in enumerate(parts)))

    return array(base.axes, entries, base.dtype)


@implements("cumulative_sum")
def _cumulative_sum(x: Any, *, axis: Any = None, dtype: Any = None) -> Any:
    return OPERATIONS["cumsum"](x, axis, dtype)


@implements("cov")
def _cov(m: Any, rowvar: Any = True, bias: Any = False, ddof: Any = None) -> Any:
    """The covariance of the rows of a matrix."""
    base = as_array(m)
    if base.ndim != 2:
        raise TraceError("np.cov of other than a matrix cannot be traced")
    rows = base if rowvar else base.T
    centred = _subtract(rows, OPERATIONS["mean"](rows, 1, keepdims=True))
    lost = int(ddof) if ddof is not None else 0 if bias else 1
    if must_know("<", rows.axes[0], number(2), "whether np.cov gives a number or a matrix"):
        raise TraceError("np.cov of one row cannot be traced")
    return _divide(OPERATIONS["matmul"](centred, centred.T), _subtract(rows.shape[1], lost))


# --- matrices ------------------------------------------------------------------------------------------------------


@implements("linalg.matrix_power")
def _matrix_power(a: Any, n: Any) -> Any:
    count = int(n)
    if not 1 <= count <= 8:
        raise TraceError(f"np.linalg.matrix_power with the exponent {count} cannot be traced")
    result = as_array(a)
    for _ in range(count - 1):
        result = OPERATIONS["matmul"](result, a)
    return result


for _same in ("matmul", "outer", "tensordot", "matrix_transpose"):
    implements(f"linalg.{_same}")(_np(_same))


@implements("linalg.trace")
def _linalg_trace(x: Any, *, offset: Any = 0) -> Any:
    return OPERATIONS["sum"](_linalg_diagonal(x, offset=offset), -1)


@implements("linalg.diagonal")
def _linalg_diagonal(x: Any, *, offset: Any = 0) -> Any:
    return OPERATIONS["diagonal"](x, offset, -2, -1)


@implements("linalg.vector_norm")
def _vector_norm(x: Any, *, axis: Any = None, keepdims: Any = False, ord: Any = 2) -> Any:
    return OPERATIONS["linalg.norm"](ravel(x) if axis is None else x, ord, axis, keepdims)


# --- counting and sliding -----------------------------------------------------------------------------------------


@implements("bincount")
def _bincount(x: Any, weights: Any = None, minlength: Any = 0) -> Any:
    """What falls on each number; all numbers must be below `minlength`, or nobody knows how long the result is."""
    given = as_array(x)
    length = integer_of(minlength)
    read = given.read()(axis_indices(given.axes))
    known = current().facts.ranges.get(read.tensor) if isinstance(read, Entry) else None
    if given.ndim != 1 or length is None or known is None or is_so("<=", known, length) is not True:
        raise TraceError("np.bincount, whose length depends on the data, cannot be traced",
                         help='say how many numbers there are: minlength=C, and assume={"x": "labels:C"}')  # fmt: skip
    total = OPERATIONS["zeros"](minlength, float if weights is not None else int)
    OPERATIONS["add.at"](total, given, 1 if weights is None else weights)
    return total


@implements("correlate")
def _correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    """sum_k a[n + k] v[k], at all n where both stand ("valid"), at as many as the longer has, or where any do."""
    left, right = _sequence(a, "correlate"), _sequence(v, "correlate")
    if _turned(left, right, mode):
        return OPERATIONS["flip"](_correlate(v, a, mode), 0)  # NumPy slides the shorter one, and turns what it found
    length = right.shape[0]
    around = {"valid": (0, 0), "same": (length // 2, length - length // 2 - 1), "full": (length - 1, length - 1)}
    if mode not in around:
        raise TraceError(f"np.correlate with mode={mode!r} cannot be traced", help='mode is "valid", "same" or "full"')
    padded = left if mode == "valid" else OPERATIONS["pad"](left, around[mode])
    return OPERATIONS["matmul"](OPERATIONS["lib.stride_tricks.sliding_window_view"](padded, length), right)


@implements("convolve")
def _convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    left, right = _sequence(a, "convolve"), _sequence(v, "convolve")
    if _turned(left, right, mode):
        left, right = right, left
    return _correlate(left, OPERATIONS["flip"](right, 0), mode)


def _turned(left: Any, right: Any, mode: Any) -> bool:
    """Whether the sequences are to be exchanged: what "full" gives does not depend on it."""
    lengths = left.axes[0], right.axes[0]
    if mode == "full":
        return False
    if mode == "valid" and is_so("<=", *lengths):
        return True
    return must_know("<", *lengths, "which of both sequences is the longer one")


def _sequence(a: Any, name: str) -> Any:
    base = as_array(a)
    if base.ndim > 1:
        raise ShapesDoNotFit(f"np.{name} of an array with {base.ndim} axes; it takes vectors")
    return base if base.ndim else base.reshape(1)
