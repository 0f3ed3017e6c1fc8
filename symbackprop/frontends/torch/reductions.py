"""torch's sums, means, extrema, norms and products of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS as N
from symbackprop.frontends.torch.arithmetic import scaled
from symbackprop.frontends.torch.tensor import cast, function, number, numpy_type


class Extremes(NamedTuple):
    """What max, min, sort and topk along an axis return."""

    values: Any
    indices: Any


def axes(dim: Any) -> Any:
    """None for all, an axis, or several."""
    if isinstance(dim, (tuple, list)):
        return tuple(dim) or None
    return dim


def _reduction(name: str, operation: str) -> None:
    @function(name)
    def reduce(
        input: Any, dim: Any = None, keepdim: Any = False, *, dtype: Any = None, axis: Any = None, **options: Any
    ) -> Any:
        result = N[operation](
            as_array(input), axis=axes(dim if axis is None else axis), keepdims=options.pop("keepdims", keepdim)
        )
        if options:
            raise TraceError(f"torch.{name} with {', '.join(options)} cannot be traced")
        return cast(result, dtype)


for _name, _operation in {
    "sum": "sum", "mean": "mean", "amax": "amax", "amin": "amin", "any": "any", "all": "all", "nansum": "nansum",
    "nanmean": "nanmean", "logsumexp": "special.logsumexp", "count_nonzero": "count_nonzero", "prod": "prod",
    "argmax": "argmax", "argmin": "argmin",
}.items():  # fmt: skip
    _reduction(_name, _operation)


def _extreme(name: str, between: str) -> Callable[..., Any]:
    def extreme(input: Any, dim: Any = None, keepdim: Any = False, *, other: Any = None) -> Any:
        if isinstance(dim, Array) or other is not None:
            return N[between](input, dim if other is None else other)
        if dim is None:
            return N[name](input)
        return Extremes(*(N[n](input, axis=dim, keepdims=keepdim) for n in (name, f"arg{name}")))

    return function(name)(extreme)


_extreme("max", "maximum")
_extreme("min", "minimum")


def _moments(name: str) -> Callable[..., Any]:
    def moment(input: Any, dim: Any = None, unbiased: Any = True, keepdim: Any = False, **options: Any) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        correction = options.get("correction", 1 if unbiased else 0)
        return N[name](input, axis=axes(dim), ddof=correction, keepdims=keepdim)

    return moment


variance, deviation = function("var")(_moments("var")), function("std")(_moments("std"))


@function("var_mean")
def _var_mean(input: Any, dim: Any = None, *args: Any, keepdim: Any = False, **options: Any) -> Any:
    mean = N["mean"](input, axis=axes(None if isinstance(dim, bool) else dim), keepdims=keepdim)
    return variance(input, dim, *args, keepdim=keepdim, **options), mean


@function("std_mean")
def _std_mean(input: Any, dim: Any = None, *args: Any, keepdim: Any = False, **options: Any) -> Any:
    mean = N["mean"](input, axis=axes(None if isinstance(dim, bool) else dim), keepdims=keepdim)
    return deviation(input, dim, *args, keepdim=keepdim, **options), mean


@function("norm", "linalg.norm", "linalg.vector_norm")
def norm(input: Any, p: Any = 2, dim: Any = None, keepdim: Any = False, *, ord: Any = None, dtype: Any = None) -> Any:
    """The norm of all entries, or along axes; p is 1, 2 or infinity."""
    order = p if ord is None else ord
    known = number(order)
    order = int(known) if known is not None and known.denominator == 1 else order
    base = as_array(input)
    whole = N["ravel"](base) if dim is None else base
    at = None if dim is None else axes(dim)
    if order in ("fro", 2, None):
        squares = N["sum"](N["square"](whole), axis=at, keepdims=keepdim)
        return N["sqrt"](squares)
    sizes = N["absolute"](whole)
    if order == 1:
        return N["sum"](sizes, axis=at, keepdims=keepdim)
    if order == float("inf"):
        return N["max"](sizes, axis=at, keepdims=keepdim)
    if isinstance(order, int) and order > 2:
        return N["power"](N["sum"](N["power"](sizes, order), axis=at, keepdims=keepdim), N["divide"](1, order))
    raise TraceError(f"the norm of order {order!r} cannot be traced")


@function("dist")
def _dist(input: Any, other: Any, p: Any = 2) -> Any:
    return norm(N["subtract"](input, other), p)


@function("cumsum")
def _cumsum(input: Any, dim: Any, *, dtype: Any = None) -> Any:
    return N["cumsum"](cast(as_array(input), dtype), dim, dtype=numpy_type(dtype, None))


@function("sort")
def _sort(input: Any, dim: Any = -1, descending: Any = False, stable: Any = False) -> Any:
    if not descending:
        return Extremes(N["sort"](input, dim), N["argsort"](input, dim))
    turned = N["negative"](input)
    return Extremes(N["negative"](N["sort"](turned, dim)), N["argsort"](turned, dim))


@function("argsort")
def _argsort(input: Any, dim: Any = -1, descending: Any = False, stable: Any = False) -> Any:
    return N["argsort"](N["negative"](input) if descending else input, dim)


def _running_extreme(name: str, operation: str) -> None:
    """cummax and cummin: the values; which entry it is depends on how ties are told apart, and is not followed."""

    @function(name)
    def running(input: Any, dim: Any) -> Any:
        return Extremes(N[f"{operation}.accumulate"](input, axis=dim), None)


_running_extreme("cummax", "maximum")
_running_extreme("cummin", "minimum")


@function("logcumsumexp")
def _logcumsumexp(input: Any, dim: Any) -> Any:
    return N["logaddexp.accumulate"](input, dim)


@function("cumprod")
def _cumprod(input: Any, dim: Any, *, dtype: Any = None) -> Any:
    return N["cumprod"](cast(as_array(input), dtype), dim)


@function("topk")
def _topk(input: Any, k: Any, dim: Any = -1, largest: Any = True, sorted: Any = True) -> Any:
    values, places = _sort(input, dim, descending=largest)
    axis = as_array(input).ndim + dim if dim < 0 else dim
    first = (*(slice(None),) * axis, slice(0, k))
    return Extremes(N["getitem"](values, first), N["getitem"](places, first))


@function("diff")
def _diff(input: Any, n: Any = 1, dim: Any = -1, prepend: Any = None, append: Any = None) -> Any:
    ends = {k: v for k, v in (("prepend", prepend), ("append", append)) if v is not None}
    return N["diff"](input, n, dim, **ends)


@function("bincount")
def _bincount(input: Any, weights: Any = None, minlength: Any = 0) -> Any:
    return N["bincount"](input, weights, minlength)


# --- products ------------------------------------------------------------------------------------------------------


@function("matmul", "linalg.matmul")
def matmul(input: Any, other: Any) -> Any:
    """The product of matrices, over leading axes of batches."""
    return N["matmul"](input, other)


def _of_axes(name: str, left: int, right: int) -> Callable[..., Any]:
    """mm, bmm and mv take numbers of axes that matmul does not insist on."""

    def product(input: Any, other: Any) -> Any:
        a, b = as_array(input), as_array(other)
        if (a.ndim, b.ndim) != (left, right):
            raise TraceError(f"torch.{name} of tensors with {a.ndim} and {b.ndim} axes")
        return N["matmul"](a, b)

    return function(name)(product)


for _name, _left, _right in (("mm", 2, 2), ("bmm", 3, 3), ("mv", 2, 1), ("dot", 1, 1), ("vdot", 1, 1)):
    _of_axes(_name, _left, _right)


@function("inner")
def _inner(input: Any, other: Any) -> Any:
    return N["inner"](input, other)


@function("outer", "ger")
def _outer(input: Any, other: Any) -> Any:
    return N["outer"](input, other)


@function("kron")
def _kron(input: Any, other: Any) -> Any:
    return N["kron"](input, other)


@function("tensordot")
def _tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    return N["tensordot"](a, b, dims)


@function("addmm", "baddbmm", "addmv")
def _addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    return N["add"](scaled(input, beta), scaled(N["matmul"](mat1, mat2), alpha))


@function("addr")
def _addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    return N["add"](scaled(input, beta), scaled(N["outer"](vec1, vec2), alpha))


@function("einsum")
def _einsum(equation: Any, *operands: Any) -> Any:
    flat = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    return N["einsum"](equation, *flat)


@function("cross", "linalg.cross")
def _cross(input: Any, other: Any, dim: Any = -1) -> Any:
    return N["cross"](input, other, axis=dim)


@function("linalg.vecdot")
def _vecdot(x: Any, y: Any, *, dim: Any = -1) -> Any:
    return N["sum"](N["multiply"](x, y), axis=dim)


@function("linalg.multi_dot", "chain_matmul")
def _multi_dot(tensors: Any, *more: Any) -> Any:
    return N["linalg.multi_dot"]([tensors, *more] if more else list(tensors))


@function("trace")
def _trace(input: Any) -> Any:
    return N["trace"](input)


@function("cdist")
def _cdist(x1: Any, x2: Any, p: Any = 2.0, **_: Any) -> Array:
    """The distances of the rows of two matrices, or of stacks of them."""
    if p not in (1, 2):
        raise TraceError(f"torch.cdist with p={p} cannot be traced")
    apart = N["subtract"](N["expand_dims"](x1, -2), N["expand_dims"](x2, -3))
    if p == 1:
        return N["sum"](N["absolute"](apart), axis=-1)  # type: ignore[no-any-return]
    return N["sqrt"](N["sum"](N["multiply"](apart, apart), axis=-1))  # type: ignore[no-any-return]


__all__ = ["Extremes", "axes", "deviation", "matmul", "norm", "variance"]
