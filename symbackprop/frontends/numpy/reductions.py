"""Reductions: sums, means, variances, extrema and their positions, cumulative sums, sorting, norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Expr,
    Extremum,
    Index,
    Position,
    Sum,
    close_sum,
    free_indices,
    fresh,
    multiply,
    number,
)
from symbackprop.frontends.numpy.accumulations import product
from symbackprop.frontends.numpy.array import Array, array, has_entry, scalar
from symbackprop.frontends.numpy.dtypes import is_finite, sum_type
from symbackprop.frontends.numpy.elementwise import held, integers_fit, into, plain_type, truth
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, ShapesDoNotFit, size_symbols
from symbackprop.frontends.numpy.infinity import without_infinity
from symbackprop.frontends.numpy.masked import Masked, accumulated_masked, reduced_masked
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import METHODS, OPERATIONS, implements
from symbackprop.frontends.numpy.session import (
    as_int,
    as_numpy,
    axis_indices,
    guarded,
    holds,
    index_name,
    is_so,
    must_know,
    product_of,
)
from symbackprop.frontends.numpy.size import size, size_expr
from symbackprop.frontends.numpy.views import axes_of, axis_of, broadcast_to, ravel, reshape

Indices = tuple[Expr, ...]


def _bind(shape: Indices, axes: tuple[int, ...]) -> list[Index]:
    used: set[str] = set()
    bound = []
    for k in axes:
        name = index_name(shape[k], used)
        used.add(name)
        bound.append(fresh(name, shape[k]))
    return bound


def _reduced_shape(shape: Indices, axes: tuple[int, ...], keepdims: bool) -> Indices:
    if keepdims:
        return tuple(ONE if k in axes else n for k, n in enumerate(shape))
    return tuple(n for k, n in enumerate(shape) if k not in axes)


def _full(indices: Indices, bound: Sequence[Expr], axes: tuple[int, ...], ndim: int, keepdims: bool) -> Indices:
    """The indices of the whole array, from those of the result and the bound ones."""
    rest = iter(i for k, i in enumerate(indices) if k not in axes) if keepdims else iter(indices)
    inner = dict(zip(axes, bound, strict=True))
    return tuple(inner[k] if k in inner else next(rest) for k in range(ndim))


@implements("sum", method=True)
def sum_(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
    """np.sum; a mean, a norm and most other reductions are written in it."""
    if isinstance(a, Masked):
        return reduced_masked("sum", a, axis, keepdims, dtype=dtype, out=out, **options)
    if out is not None or options:
        raise TraceError("np.sum with out=, where= or initial= cannot be traced")
    base = as_array(a)
    wanted = _sum_type(base, dtype)
    if wanted.kind == "b":
        return _any(base, axis, keepdims=keepdims)
    axes = axes_of(axis, base.ndim)
    content = base.read(nonlinear=True)

    def entries(indices: Indices) -> Expr:
        bound = _bind(base.axes, axes)
        inner = [ZERO if i.size is ONE else i for i in bound]
        value = content(_full(indices, inner, axes, base.ndim, bool(keepdims)))
        for index in reversed(bound):
            value = value if index.size is ONE else close_sum(index, value)
        return value

    return integers_fit(array(_reduced_shape(base.axes, axes, bool(keepdims)), entries, wanted, summed=True))


def _sum_type(base: Array, dtype: Any) -> np.dtype[Any]:
    """The type in which NumPy adds up (or multiplies), which may be asked for.

    Raises:
        TraceError: real numbers would be rounded to it.
    """
    if dtype is None:
        return sum_type(base.dtype)
    wanted: np.dtype[Any] = np.dtype(plain_type(dtype))
    if base.kind == "real" and wanted.kind != "f":
        raise TraceError(f"a result is rounded to the type {wanted}")
    if base.kind == "integer" and wanted.kind != "f":
        held(array((), lambda _: ZERO, wanted), base)
    return wanted


def _reduce(name: str, reduction: str) -> None:
    """np.add.reduce and the like: the reduction, along the first axis if none is named."""

    @implements(f"{name}.reduce")
    def reduce(a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        adds = {"dtype": dtype} if reduction in ("sum", "prod") else {}
        rest = {} if adds else {"dtype": dtype}
        return into(OPERATIONS[reduction](a, axis, keepdims=keepdims, **adds), {"out": out, **rest})


for _ufunc, _reduction in {
    "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_or": "any", "logical_and": "all",
    "logaddexp": "special.logsumexp",
}.items():  # fmt: skip
    _reduce(_ufunc, _reduction)


def _count(base: Array, axis: Any) -> Expr:
    return product_of(tuple(base.axes[k] for k in axes_of(axis, base.ndim)))


@implements("mean", method=True)
def _mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    if isinstance(a, Masked):
        return reduced_masked("mean", a, axis, keepdims, dtype=dtype, out=out)
    base = as_array(a)
    total = sum_(base, axis, None if base.kind != "integer" else np.float64, keepdims=keepdims)
    return into(OPERATIONS["divide"](total, size(_count(base, axis))), {"out": out, "dtype": dtype})


@implements("average")
def _average(a: Any, axis: Any = None, weights: Any = None, *, keepdims: Any = False) -> Any:
    """The mean, or with weights their weighted mean; weights with one axis go along `axis`."""
    base = as_array(a)
    if weights is None:
        return _mean(base, axis, keepdims=keepdims)
    given = as_array(weights)
    if given.ndim != base.ndim:
        if given.ndim != 1 or axis is None:
            raise ShapesDoNotFit(f"weights of shape {given.shape} for an array of shape {base.shape}")
        k = axis_of(axis, base.ndim)
        given = given[(slice(None), *[None] * (base.ndim - k - 1))]
    given = broadcast_to(given, base.shape)
    total = sum_(OPERATIONS["multiply"](base, given), axis, keepdims=keepdims)
    return OPERATIONS["divide"](total, sum_(given, axis, keepdims=keepdims))


@implements("var", method=True)
def _var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False,
    *, correction: Any = None,
) -> Any:  # fmt: skip
    base = as_array(a)
    less = ddof if correction is None else correction
    mean = _mean(base, axis, keepdims=True)
    squares = OPERATIONS["square"](OPERATIONS["subtract"](base, mean))
    result = OPERATIONS["divide"](sum_(squares, axis, keepdims=keepdims), size(_count(base, axis)) - less)
    return into(result, {"out": out, "dtype": dtype})


@implements("std", method=True)
def _std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, **options: Any) -> Any:
    return into(OPERATIONS["sqrt"](_var(a, axis, ddof=ddof, **options)), {"out": out, "dtype": dtype})


# --- extrema ------------------------------------------------------------------------------------------------------


def _is_empty(base: Array, axes: tuple[int, ...], what: str) -> bool:
    """Whether nothing is reduced: no axis that is must be taken for one that is not."""
    return not all(must_know("<=", ONE, base.axes[k], f"the {what} of what may be empty") for k in axes)


def _extreme(kind: Literal["max", "min"], a: Any, axis: Any, keepdims: Any, of_none: Expr | None = None) -> Array:
    """The largest or smallest entries.

    Args:
        of_none: what that of no entries is; None where NumPy raises.
    """
    base = as_array(a)
    axes = axes_of(axis, base.ndim)
    if _is_empty(base, axes, kind):
        if of_none is None:
            name = f"{kind}imum"
            raise as_numpy(ValueError(f"zero-size array to reduction operation {name} which has no identity"))
        return array(_reduced_shape(base.axes, axes, bool(keepdims)), lambda _: of_none, base.dtype)
    content = base.read(nonlinear=True)

    def entries(indices: Indices) -> Expr:
        bound = _bind(base.axes, axes)
        inner = [ZERO if i.size is ONE else i for i in bound]
        value = content(_full(indices, inner, axes, base.ndim, bool(keepdims)))
        for index in reversed(bound):
            if not _are_one(index, value):
                value = Extremum(kind, index, without_infinity(kind, index, value))
        return value

    return array(_reduced_shape(base.axes, axes, bool(keepdims)), entries, base.dtype, summed=True)


def _are_one(index: Index, value: Expr) -> bool:
    """True if there is one entry along an axis, or all are the same: the largest is no choice, and has its slope.

    That is not said of an axis that may be empty.
    """
    return index.size is ONE or (index not in free_indices(value) and is_so("<", ZERO, index.size) is True)


@implements("max", "amax", method=True)
def _max(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    if isinstance(a, Masked):
        return reduced_masked("max", a, axis, keepdims, out=out)
    return into(_extreme("max", a, axis, keepdims), {"out": out})


@implements("min", "amin", method=True)
def _min(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    if isinstance(a, Masked):
        return reduced_masked("min", a, axis, keepdims, out=out)
    return into(_extreme("min", a, axis, keepdims), {"out": out})


@implements("ptp")
def _ptp(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return OPERATIONS["subtract"](_max(a, axis, keepdims=keepdims), _min(a, axis, keepdims=keepdims))


def _position(kind: Literal["max", "min"], a: Any, axis: Any, keepdims: Any) -> Array:
    base = ravel(a) if axis is None else as_array(a)
    axes = axes_of(0 if axis is None else axis, base.ndim)
    if _is_empty(base, axes, f"arg{kind}"):
        raise as_numpy(ValueError(f"attempt to get arg{kind} of an empty sequence"))
    content = base.read(nonlinear=True)

    def entries(indices: Indices) -> Expr:
        (bound,) = _bind(base.axes, axes)
        value = content(_full(indices, [bound], axes, base.ndim, bool(keepdims)))
        return ZERO if _are_one(bound, value) else Position(kind, bound, value)

    return array(_reduced_shape(base.axes, axes, bool(keepdims)), entries, "integer", summed=True)


@implements("argmax", method=True)
def _argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    return into(_position("max", a, axis, keepdims), {"out": out})


@implements("argmin", method=True)
def _argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    return into(_position("min", a, axis, keepdims), {"out": out})


@implements("any", method=True)
def _any(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return into(_decided(_extreme("max", truth(a), axis, keepdims, ZERO), a), {"out": out})


@implements("all", method=True)
def _all(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return into(_decided(_extreme("min", truth(a), axis, keepdims, ONE), a), {"out": out})


def _decided(result: Array, a: Any) -> Any:
    """A plain truth value where all entries are the same number."""
    values = truth(a).read()
    if any(n is ZERO for n in as_array(a).axes):
        return result
    value = values(tuple(ZERO for _ in as_array(a).axes))
    probe = values(tuple(_bind(as_array(a).axes, tuple(range(as_array(a).ndim)))))
    return scalar(value, "bool") if result.ndim == 0 and probe in (ZERO, ONE) else result


# --- products, cumulative sums ------------------------------------------------------------------------------------


@implements("prod", method=True)
def _prod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    if isinstance(a, (tuple, list)) and axis is None and dtype is None and all(size_expr(v) is not None for v in a):
        exprs = [e for v in a if (e := size_expr(v)) is not None]  # of a shape: NumPy's integer, also of no numbers
        return integers_fit(scalar(product_of(tuple(exprs)), "integer" if exprs else "real"))
    base = as_array(a)
    axes = axes_of(axis, base.ndim)
    content = base.read(nonlinear=True)
    lengths = [as_int(base.axes[k]) for k in axes]
    if None in lengths:
        if len(axes) == 1 and base.kind == "real" and dtype is None:
            return into(_product(base, axes[0], bool(keepdims)), {"out": out})
        raise NeedsConcreteSizes("np.prod over an axis of symbolic size", size_symbols(*(base.axes[k] for k in axes)))
    places: list[list[Expr]] = [[]]
    for n in lengths:
        places = [[*p, number(k)] for p in places for k in range(n or 0)]

    def entries(indices: Indices) -> Expr:
        return multiply(*(content(_full(indices, p, axes, base.ndim, bool(keepdims))) for p in places))

    wanted = _sum_type(base, dtype)
    if wanted.kind == "b":
        return into(_all(base, axis, keepdims=keepdims), {"out": out})
    result = integers_fit(array(_reduced_shape(base.axes, axes, bool(keepdims)), entries, wanted))
    return into(result, {"out": out})


def _product(base: Array, axis: int, keepdims: bool) -> Array:
    total = product(base, axis).total()
    return OPERATIONS["expand_dims"](total, axis) if keepdims else total


@implements("add.accumulate")
def _add_accumulate(a: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    return _cumsum(a, axis, dtype, out)


@implements("cumsum", method=True)
def _cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    if isinstance(a, Masked):
        return accumulated_masked(a, axis, dtype)
    base = ravel(a) if axis is None else as_array(a)
    k = axis_of(0 if axis is None else axis, base.ndim)
    content = base.read(nonlinear=True)

    def entries(indices: Indices) -> Expr:
        (bound,) = _bind(base.axes, (k,))
        before = holds("<=", bound, indices[k])
        return Sum(bound, multiply(before, content((*indices[:k], bound, *indices[k + 1 :]))))

    wanted = _sum_type(base, dtype)
    if wanted.kind == "b":
        raise TraceError("np.cumsum in booleans cannot be traced")
    return into(integers_fit(array(base.axes, entries, wanted, summed=True)), {"out": out})


@implements("diff")
def _diff(a: Any, n: Any = 1, axis: Any = -1) -> Any:
    base = as_array(a)
    if n == 0:
        return base
    before = (slice(None),) * axis_of(axis, base.ndim)
    later, earlier = base[(*before, slice(1, None))], base[(*before, slice(None, -1))]
    step = later != earlier if base.kind == "bool" else later - earlier  # NumPy subtracts no booleans
    return step if n == 1 else _diff(step, n - 1, axis)


# --- norms and exponentials ---------------------------------------------------------------------------------------


@implements("linalg.norm")
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    base = OPERATIONS["multiply"](x, 1.0)
    order = 2 if ord is None or ord == "fro" else ord
    if ord not in (None, "fro") and len(axes_of(axis, base.ndim)) != 1:
        raise TraceError("a matrix norm other than Frobenius cannot be traced")
    if order == 2:
        return OPERATIONS["sqrt"](sum_(OPERATIONS["square"](base), axis, keepdims=keepdims))
    if order == 1:
        return sum_(OPERATIONS["fabs"](base), axis, keepdims=keepdims)
    raise TraceError(f"np.linalg.norm with ord={ord!r} cannot be traced")


@implements("special.logsumexp")
def _logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: Any = False) -> Any:
    if b is not None:
        raise TraceError("logsumexp with b= cannot be traced")
    return OPERATIONS["log"](sum_(OPERATIONS["exp"](a), axis, keepdims=keepdims))


@implements("special.softmax")
def _softmax(x: Any, axis: Any = None) -> Any:
    e = OPERATIONS["exp"](x)
    return OPERATIONS["divide"](e, sum_(e, axis, keepdims=True))


@implements("special.log_softmax")
def _log_softmax(x: Any, axis: Any = None) -> Any:
    return OPERATIONS["subtract"](x, _logsumexp(x, axis, keepdims=True))


@implements("count_nonzero")
def _count_nonzero(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return sum_(truth(a), axis, keepdims=keepdims)


@implements("array_equal")
def _array_equal(a: Any, b: Any, **options: Any) -> bool:
    left, right = as_array(a), as_array(b)
    if left.ndim != right.ndim:
        return False
    if not all(
        must_know("==", m, n, "whether two shapes are equal") for m, n in zip(left.axes, right.axes, strict=True)
    ):
        return False
    return _same_numbers(left, right)


@implements("allclose")
def _allclose(a: Any, b: Any, *_: Any, **__: Any) -> bool:
    left, right = as_array(a), as_array(b)
    if left.axes != right.axes:
        raise TraceError("np.allclose of arrays of different shapes cannot be traced")
    return _same_numbers(left, right)


def _same_numbers(left: Array, right: Array) -> bool:
    """True if the same array is met twice; where the data decide, that is refused."""
    indices = axis_indices(left.axes)
    values = left.read()(indices), right.read()(indices)
    if values[0] is values[1] and is_finite(values[0]):
        return True
    if any(map(has_entry, values)):
        raise TraceError("a branch that depends on the data, not only on sizes")
    return bool(_all(OPERATIONS["equal"](left, right)))


def _item(a: Array, *key: Any) -> Any:
    """A number of Python's own."""
    value = a[key if len(key) != 1 else key[0]] if key else reshape(a, ())
    return scalar(value.read()(()), value.dtype, weak=True, rounding=value.buffer.rounding)


METHODS["item"] = guarded(_item)
