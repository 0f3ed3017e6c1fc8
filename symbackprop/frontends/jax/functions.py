"""jax.nn, jax.lax and what jax.numpy has beyond NumPy, in the operations of `frontends.numpy`.

Source: the formulas of JAX's documentation of each function.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.frontends.jax.array import bare, dressed
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.differentiation import stopped
from symbackprop.frontends.numpy.dtypes import interval, kind_of_type
from symbackprop.frontends.numpy.namespace import constant
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS as N
from symbackprop.frontends.numpy.session import axis_indices, guarded

NN: dict[str, Callable[..., Any]] = {}
LAX: dict[str, Callable[..., Any]] = {}
LINALG: dict[str, Callable[..., Any]] = {}
OPS: dict[str, Callable[..., Any]] = {}
SPECIAL: dict[str, Callable[..., Any]] = {}
JNP: dict[str, Callable[..., Any]] = {}  # functions of jax.numpy that do otherwise than those of NumPy


def _enter(table: dict[str, Callable[..., Any]], *names: str) -> Callable[[Any], Any]:
    def enter(make: Any) -> Any:
        @functools.wraps(make)
        def run(*args: Any, **options: Any) -> Any:
            return dressed(make(*map(bare, args), **{n: bare(v) for n, v in options.items()}))

        table.update(dict.fromkeys(names, guarded(run)))
        return make

    return enter


def _number(value: Any) -> Any:
    return constant(value) if isinstance(value, float) else value


# --- jax.numpy.linalg ----------------------------------------------------------------------------------------------


@_enter(LINALG, "cholesky")
def _cholesky(a: Any, *, upper: Any = False, symmetrize_input: Any = True) -> Any:
    """The lower factor, of (a + a')/2 unless that is not wanted."""
    turned = N["swapaxes"](a, -1, -2)
    read = N["divide"](N["add"](a, turned), 2) if symmetrize_input else a
    return N["linalg.cholesky"](read, upper=upper)


# --- jax.nn --------------------------------------------------------------------------------------------------------


@_enter(NN, "softmax")
def _softmax(x: Any, axis: Any = -1, where: Any = None, **_: Any) -> Any:
    if where is not None:
        x = N["where"](where, x, -math.inf)
    return N["special.softmax"](x, axis)


@_enter(NN, "log_softmax")
def _log_softmax(x: Any, axis: Any = -1, where: Any = None, **_: Any) -> Any:
    return N["special.log_softmax"](x, axis)


@_enter(NN, "logsumexp")
def _logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: Any = False, **_: Any) -> Any:
    return N["special.logsumexp"](a, axis, b, keepdims)


@_enter(NN, "sigmoid")
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return N["special.expit"](x)


@_enter(NN, "relu")
def _relu(x: Any) -> Any:
    return N["maximum"](x, 0)


@_enter(NN, "relu6")
def _relu6(x: Any) -> Any:
    return N["clip"](x, 0, 6)


@_enter(NN, "silu", "swish")
def _silu(x: Any) -> Any:
    return N["multiply"](x, sigmoid(x))


@_enter(NN, "softplus")
def _softplus(x: Any) -> Any:
    return N["log1p"](N["exp"](x))


@_enter(NN, "log_sigmoid")
def _log_sigmoid(x: Any) -> Any:
    return N["negative"](_softplus(N["negative"](x)))


@_enter(NN, "mish")
def _mish(x: Any) -> Any:
    return N["multiply"](x, N["tanh"](_softplus(x)))


@_enter(NN, "soft_sign")
def _soft_sign(x: Any) -> Any:
    return N["divide"](x, N["add"](1, N["absolute"](x)))


@_enter(NN, "tanh")
def _tanh(x: Any) -> Any:
    return N["tanh"](x)


@_enter(NN, "gelu")
def _gelu(x: Any, approximate: Any = True) -> Any:
    half = constant(0.5)
    if approximate:
        inner = N["add"](x, N["multiply"](constant(0.044715), N["power"](x, 3)))
        inner = N["multiply"](N["sqrt"](N["divide"](2, constant(math.pi))), inner)
        return N["multiply"](N["multiply"](half, x), N["add"](1, N["tanh"](inner)))
    erf = N["special.erf"](N["divide"](x, N["sqrt"](as_array(2.0))))
    return N["multiply"](N["multiply"](half, x), N["add"](1, erf))


@_enter(NN, "leaky_relu")
def _leaky_relu(x: Any, negative_slope: Any = 0.01) -> Any:
    return N["where"](N["greater_equal"](x, 0), x, N["multiply"](_number(negative_slope), x))


@_enter(NN, "elu")
def _elu(x: Any, alpha: Any = 1.0) -> Any:
    return N["where"](N["greater"](x, 0), x, N["multiply"](_number(alpha), N["expm1"](x)))


@_enter(NN, "celu")
def _celu(x: Any, alpha: Any = 1.0) -> Any:
    alpha = _number(alpha)
    return N["where"](N["greater"](x, 0), x, N["multiply"](alpha, N["expm1"](N["divide"](x, alpha))))


@_enter(NN, "selu")
def _selu(x: Any) -> Any:
    return N["multiply"](constant(1.0507009873554805), _elu(x, 1.6732632423543772))


@_enter(NN, "hard_tanh")
def _hard_tanh(x: Any) -> Any:
    return N["clip"](x, -1, 1)


@_enter(NN, "hard_sigmoid")
def _hard_sigmoid(x: Any) -> Any:
    return N["divide"](_relu6(N["add"](x, 3)), 6)


@_enter(NN, "hard_silu", "hard_swish")
def _hard_silu(x: Any) -> Any:
    return N["multiply"](x, _hard_sigmoid(x))


@_enter(NN, "glu")
def _glu(x: Any, axis: Any = -1) -> Any:
    first, second = N["split"](x, 2, axis)
    return N["multiply"](first, sigmoid(second))


@_enter(NN, "one_hot")
def _one_hot(x: Any, num_classes: Any, *, dtype: Any = None, axis: Any = -1) -> Any:
    if axis != -1:
        raise TraceError("jax.nn.one_hot along another axis than the last cannot be traced")
    return N["astype"](N["equal"](N["expand_dims"](x, -1), N["arange"](num_classes)), float)


@_enter(NN, "standardize")
def _standardize(x: Any, axis: Any = -1, epsilon: Any = 1e-5, **_: Any) -> Any:
    mean = N["mean"](x, axis=axis, keepdims=True)
    spread = N["add"](N["var"](x, axis=axis, keepdims=True), _number(epsilon))
    return N["divide"](N["subtract"](x, mean), N["sqrt"](spread))


@_enter(NN, "identity")
def _identity(x: Any) -> Any:
    return x


@_enter(NN, "squareplus")
def _squareplus(x: Any, b: Any = 4) -> Any:
    root = N["sqrt"](N["add"](N["square"](x), _number(b)))
    return N["multiply"](constant(0.5), N["add"](x, root))


@_enter(NN, "log1mexp")
def _log1mexp(x: Any) -> Any:
    return N["log1p"](N["negative"](N["exp"](N["negative"](x))))


@_enter(NN, "dot_product_attention")
def _attention(query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, *, scale: Any = None,
               is_causal: Any = False, **options: Any) -> Any:  # fmt: skip
    """Attention over (batch, time, heads, width), as many heads of keys as of queries."""
    q, k, v = (N["swapaxes"](as_array(x), -2, -3) for x in (query, key, value))
    if any(n is not m for n, m in zip(q.axes[:-2], k.axes[:-2], strict=True)) or any(
        options.get(n) is not None for n in ("query_seq_lengths", "key_value_seq_lengths", "local_window_size")
    ):
        raise TraceError("dot_product_attention with grouped heads, lengths or windows cannot be traced")
    factor = N["reciprocal"](N["sqrt"](N["multiply"](q.shape[-1], 1.0))) if scale is None else _number(scale)
    scores = N["multiply"](N["matmul"](q, N["swapaxes"](k, -2, -1)), factor)
    scores = scores if bias is None else N["add"](scores, bias)
    if is_causal:
        scores = N["where"](N["tri"](q.shape[-2], k.shape[-2], dtype=bool), scores, -math.inf)
    if mask is not None:
        scores = N["where"](mask, scores, -math.inf)
    return N["swapaxes"](N["matmul"](N["special.softmax"](scores, -1), v), -2, -3)


# --- jax.scipy.special ---------------------------------------------------------------------------------------------


@_enter(SPECIAL, "xlogy")
def _xlogy(x: Any, y: Any) -> Any:
    return N["multiply"](x, N["log"](y))


@_enter(SPECIAL, "xlog1py")
def _xlog1py(x: Any, y: Any) -> Any:
    return N["multiply"](x, N["log1p"](y))


@_enter(SPECIAL, "entr")
def _entr(x: Any) -> Any:
    return N["negative"](_xlogy(x, x))


@_enter(SPECIAL, "rel_entr")
def _rel_entr(p: Any, q: Any) -> Any:
    return N["multiply"](p, N["log"](N["divide"](p, q)))


@_enter(SPECIAL, "kl_div")
def _kl_div(p: Any, q: Any) -> Any:
    return N["add"](N["subtract"](_rel_entr(p, q), p), q)


@_enter(SPECIAL, "logit")
def _logit(x: Any) -> Any:
    return N["log"](N["divide"](x, N["subtract"](1, x)))


@_enter(SPECIAL, "ndtr")
def _ndtr(x: Any) -> Any:
    erf = N["special.erf"](N["divide"](x, N["sqrt"](as_array(2.0))))
    return N["multiply"](constant(0.5), N["add"](1, erf))


# --- jax.ops -------------------------------------------------------------------------------------------------------


@_enter(OPS, "segment_sum")
def _segment_sum(data: Any, segment_ids: Any, num_segments: Any = None, **_: Any) -> Any:
    """Rows added up by label; those of a label below 0 are left out, as are those of one that is too large."""
    rows, labels = as_array(data), as_array(segment_ids)
    if num_segments is None:
        raise TraceError("segment_sum without num_segments has a length that depends on the data",
                         help="say how many there are: num_segments=...")  # fmt: skip
    result = N["zeros"]((num_segments, *rows.shape[1:]))
    if interval(labels.read()(axis_indices(labels.axes)))[0] < 0:
        outside = N["reshape"](N["less"](labels, 0), (*labels.shape, *(1,) * (rows.ndim - labels.ndim)))
        rows, labels = N["where"](outside, 0, rows), N["maximum"](labels, 0)
    N["add.at"](result, labels, rows)
    return result


# --- jax.lax -------------------------------------------------------------------------------------------------------

_SAME = {
    "exp": "exp", "log": "log", "tanh": "tanh", "sin": "sin", "cos": "cos", "tan": "tan", "sqrt": "sqrt",
    "square": "square", "abs": "absolute", "neg": "negative", "sign": "sign", "floor": "floor", "ceil": "ceil",
    "log1p": "log1p", "expm1": "expm1", "erf": "special.erf", "erfc": "special.erfc", "logistic": "special.expit",
    "lgamma": "special.gammaln", "digamma": "special.digamma", "atan": "arctan", "asin": "arcsin", "acos": "arccos",
    "atan2": "arctan2", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh",
    "reciprocal": "reciprocal", "exp2": "exp2", "sinh": "sinh", "cosh": "cosh",
    "add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "pow": "power", "max": "maximum",
    "min": "minimum", "round": "round", "cbrt": "cbrt", "is_finite": "isfinite", "bitwise_and": "bitwise_and",
    "bitwise_or": "bitwise_or", "bitwise_xor": "bitwise_xor", "bitwise_not": "invert",
    "rem": "remainder", "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal",
    "gt": "greater", "ge": "greater_equal", "dot": "dot", "batch_matmul": "matmul",
}  # fmt: skip


def _same(operation: str) -> Callable[..., Any]:
    return lambda *args, **_: N[operation](*args)


for _name, _operation in _SAME.items():
    _enter(LAX, _name)(_same(_operation))


@_enter(LAX, "rsqrt")
def _rsqrt(x: Any, **_: Any) -> Any:
    return N["reciprocal"](N["sqrt"](x))


@_enter(LAX, "integer_pow")
def _integer_pow(x: Any, y: Any) -> Any:
    return N["power"](x, y)


@_enter(LAX, "select")
def _select(pred: Any, on_true: Any, on_false: Any) -> Any:
    return N["where"](pred, on_true, on_false)


@_enter(LAX, "clamp")
def _clamp(minimum: Any, x: Any, maximum: Any) -> Any:
    return N["clip"](x, minimum, maximum)


@_enter(LAX, "optimization_barrier")
def _barrier(operand: Any) -> Any:
    return operand


@_enter(LAX, "convert_element_type")
def _convert(operand: Any, new_dtype: Any) -> Any:
    return N["astype"](as_array(operand), new_dtype)


@_enter(LAX, "expand_dims")
def _expand_dims(array: Any, dimensions: Any) -> Any:
    return N["expand_dims"](array, tuple(dimensions))


@_enter(LAX, "reshape")
def _reshape(operand: Any, new_sizes: Any, **_: Any) -> Any:
    return N["reshape"](operand, tuple(new_sizes))


@_enter(LAX, "transpose")
def _transpose(operand: Any, permutation: Any) -> Any:
    return N["transpose"](operand, tuple(permutation))


@_enter(LAX, "broadcast_in_dim")
def _broadcast_in_dim(operand: Any, shape: Any, broadcast_dimensions: Any) -> Any:
    base = as_array(operand)
    own: list[Any] = [1] * len(shape)
    for k, n in zip(broadcast_dimensions, base.shape, strict=True):
        own[k] = n
    return N["broadcast_to"](N["reshape"](base, tuple(own)), tuple(shape))


@_enter(LAX, "concatenate")
def _concatenate(operands: Any, dimension: Any) -> Any:
    return N["concatenate"](list(operands), dimension)


def _iota(dtype: Any, size: Any) -> Any:
    return N["astype"](N["arange"](size), dtype)


def _iota_shape(dtype: Any, shape: Any, dimension: Any) -> Any:
    base = _iota(dtype, shape[dimension])
    own: list[Any] = [1] * len(shape)
    own[dimension] = shape[dimension]
    return N["broadcast_to"](N["reshape"](base, tuple(own)), tuple(shape))


def _along(operand: Any, axis: Any, places: Any) -> tuple[Any, tuple[Any, ...]]:
    base = as_array(operand)
    k = axis + base.ndim if axis < 0 else axis
    return base, (*(slice(None),) * k, places)


@_enter(LAX, "slice")
def _slice(operand: Any, start_indices: Any, limit_indices: Any, strides: Any = None) -> Any:
    steps = [None] * len(start_indices) if strides is None else strides
    return N["getitem"](operand, tuple(map(slice, start_indices, limit_indices, steps)))


@_enter(LAX, "slice_in_dim")
def _slice_in_dim(operand: Any, start_index: Any, limit_index: Any, stride: Any = 1, axis: Any = 0) -> Any:
    return N["getitem"](*_along(operand, axis, slice(start_index, limit_index, stride)))


@_enter(LAX, "dynamic_index_in_dim")
def _dynamic_index_in_dim(operand: Any, index: Any, axis: Any = 0, keepdims: Any = True) -> Any:
    place = index if isinstance(index, Array) else _start(index, 1, as_array(operand).shape[axis])
    return _index_in_dim(operand, place, axis, keepdims)


@_enter(LAX, "index_in_dim")
def _index_in_dim(operand: Any, index: Any, axis: Any = 0, keepdims: Any = True) -> Any:
    taken = N["getitem"](*_along(operand, axis, index))
    return N["expand_dims"](taken, axis) if keepdims else taken


@_enter(LAX, "dynamic_slice_in_dim")
def _dynamic_slice_in_dim(operand: Any, start_index: Any, slice_size: Any, axis: Any = 0) -> Any:
    start = _start(start_index, slice_size, as_array(operand).shape[axis])
    return N["getitem"](*_along(operand, axis, slice(start, start + slice_size)))


@_enter(LAX, "dynamic_slice")
def _dynamic_slice(operand: Any, start_indices: Any, slice_sizes: Any) -> Any:
    starts = map(_start, start_indices, slice_sizes, as_array(operand).shape)
    return N["getitem"](operand, tuple(slice(s, s + n) for s, n in zip(starts, slice_sizes, strict=True)))


@_enter(LAX, "dynamic_update_slice_in_dim")
def _dynamic_update_slice_in_dim(operand: Any, update: Any, start_index: Any, axis: Any) -> Any:
    new = as_array(update)
    start = _start(start_index, new.shape[axis], as_array(operand).shape[axis])
    result, places = _along(N["copy"](operand), axis, slice(start, start + new.shape[axis]))
    N["setitem"](result, places, new)
    return result


@_enter(LAX, "dynamic_update_slice")
def _dynamic_update_slice(operand: Any, update: Any, start_indices: Any) -> Any:
    result, new = N["copy"](operand), as_array(update)
    starts = map(_start, start_indices, new.shape, result.shape)
    N["setitem"](result, tuple(slice(s, s + n) for s, n in zip(starts, new.shape, strict=True)), new)
    return result


def _start(start: Any, length: Any, whole: Any) -> Any:
    """Where a slice of some length begins: counted from the end if negative, and moved to where all of it is inside."""
    if isinstance(start, (Array, float)):
        raise TraceError("a slice whose start depends on the data cannot be traced")
    place = start + whole if start < 0 else start
    if place < 0:
        return 0
    return whole - length if place + length > whole else place


@_enter(LAX, "pad")
def _pad(operand: Any, padding_value: Any, padding_config: Any) -> Any:
    if any(not (isinstance(n, int) and n >= 0) or inner != 0 for low, high, inner in padding_config
           for n in (low, high)):  # fmt: skip
        raise TraceError("lax.pad with inner or negative padding cannot be traced")
    return N["pad"](operand, [(low, high) for low, high, _ in padding_config], constant_values=padding_value)


@_enter(LAX, "rev")
def _rev(operand: Any, dimensions: Any) -> Any:
    return N["flip"](operand, tuple(dimensions))


@_enter(LAX, "squeeze")
def _squeeze(array: Any, dimensions: Any) -> Any:
    return N["squeeze"](array, tuple(dimensions))


@_enter(LAX, "split")
def _split(operand: Any, sizes: Any, axis: Any = 0) -> Any:
    return N["split"](operand, [sum(sizes[: k + 1]) for k in range(len(sizes) - 1)], axis)


@_enter(LAX, "full")
def _full(shape: Any, fill_value: Any, dtype: Any = None, **_: Any) -> Any:
    return N["full"](shape, fill_value, dtype)


@_enter(LAX, "full_like")
def _full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Any = None, **_: Any) -> Any:
    return N["full"](as_array(x).shape if shape is None else shape, fill_value, dtype or as_array(x).dtype)


@_enter(LAX, "select_n")
def _select_n(which: Any, *cases: Any) -> Any:
    if len(cases) != 2:
        raise TraceError("lax.select_n of other than two cases cannot be traced")
    return N["where"](which, cases[1], cases[0])


@_enter(LAX, "dot_general")
def _dot_general(lhs: Any, rhs: Any, dimension_numbers: Any, **_: Any) -> Any:
    """A product summed over some axes, along others axes of batches, which come first."""
    (sums, batches), a, b = dimension_numbers, as_array(lhs), as_array(rhs)
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    left = [next(letters) for _ in range(a.ndim)]
    right = [next(letters) for _ in range(b.ndim)]
    for pairs in (sums, batches):
        for i, j in zip(*pairs, strict=True):
            right[j] = left[i]
    shared = [left[i] for i in batches[0]]
    summed = {left[i] for i in sums[0]} | set(shared)
    rest = [c for c in (*left, *right) if c not in summed]
    return N["einsum"](f"{''.join(left)},{''.join(right)}->{''.join((*shared, *rest))}", a, b)


def _reduce(name: str, operation: str) -> None:
    _enter(LAX, name)(lambda operand, axes, **_: N[operation](operand, axis=tuple(axes)))


for _name, _operation in {"reduce_sum": "sum", "reduce_max": "max", "reduce_min": "min", "reduce_prod": "prod",
                          "reduce_and": "all", "reduce_or": "any"}.items():  # fmt: skip
    _reduce(_name, _operation)


@_enter(LAX, "argmax")
def _argmax(operand: Any, axis: Any, index_dtype: Any = int) -> Any:
    return N["argmax"](operand, axis=axis)


@_enter(LAX, "argmin")
def _argmin(operand: Any, axis: Any, index_dtype: Any = int) -> Any:
    return N["argmin"](operand, axis=axis)


@_enter(LAX, "sort")
def _sort(operand: Any, dimension: Any = -1, **options: Any) -> Any:
    if isinstance(operand, (tuple, list)):
        raise TraceError("lax.sort of several arrays cannot be traced")
    return N["sort"](operand, dimension)


@_enter(LAX, "top_k")
def _top_k(operand: Any, k: Any) -> Any:
    turned = N["negative"](operand)
    first = (..., slice(0, k))
    return N["getitem"](N["negative"](N["sort"](turned)), first), N["getitem"](N["argsort"](turned), first)


@_enter(LAX, "stop_gradient")
def _stop_gradient(x: Any) -> Any:
    return [stopped(as_array(v)) for v in x] if isinstance(x, (tuple, list)) else stopped(as_array(x))


_enter(LAX, "broadcasted_iota")(_iota_shape)
_enter(LAX, "iota")(_iota)
for _name, _operation in {"cumprod": "cumprod", "cummax": "maximum.accumulate", "cummin": "minimum.accumulate",
                          "cumlogsumexp": "logaddexp.accumulate"}.items():  # fmt: skip
    _enter(LAX, _name)(
        lambda operand, axis=0, reverse=False, by=_operation: (
            N["flip"](N[by](N["flip"](operand, axis), axis=axis), axis) if reverse else N[by](operand, axis=axis)
        )
    )
_enter(LAX, "cumsum")(lambda operand, axis=0, reverse=False: _running_sum(operand, axis, reverse))


def _running_sum(operand: Any, axis: Any = None, reverse: Any = False, dtype: Any = None) -> Any:
    base = as_array(operand)
    if base.kind == "integer" and dtype is None:
        dtype = base.dtype  # NumPy's would be a wider one
    if not reverse:
        return N["cumsum"](base, axis, dtype=dtype)
    return N["flip"](N["cumsum"](N["flip"](base, axis), axis, dtype=dtype), axis)


_enter(JNP, "cumsum")(lambda a, axis=None, dtype=None: _running_sum(a, axis, False, dtype))


def _of_types(name: str) -> None:
    """A question about types, which is NumPy's: all floating types are the reals."""

    def type_of(value: Any) -> Any:
        if isinstance(value, Array):
            return value.dtype
        return np.float64 if isinstance(value, float) else getattr(value, "traced_type", value)

    JNP[name] = guarded(lambda *args: getattr(np, name)(*map(type_of, args)))


for _name in ("result_type", "promote_types", "issubdtype", "can_cast"):
    _of_types(_name)


def cast(value: Any, dtype: Any) -> Array:
    """Numbers of another floating type are the same numbers."""
    base = as_array(value)
    return base if kind_of_type(base.dtype) == "real" and dtype is float else N["astype"](base, dtype)


__all__ = ["JNP", "LAX", "NN", "OPS", "SPECIAL", "cast", "sigmoid"]
