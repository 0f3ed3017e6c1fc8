"""jax.nn, jax.lax and what jax.numpy has beyond NumPy, in the operations of `frontends.numpy`.

Source: the formulas of JAX's documentation of each function.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.frontends.jax.array import bare, dressed
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.differentiation import stopped
from symbackprop.frontends.numpy.dtypes import kind_of_type
from symbackprop.frontends.numpy.namespace import constant
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS as N
from symbackprop.frontends.numpy.session import guarded

NN: dict[str, Callable[..., Any]] = {}
LAX: dict[str, Callable[..., Any]] = {}
LINALG: dict[str, Callable[..., Any]] = {}
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


# --- jax.lax -------------------------------------------------------------------------------------------------------

_SAME = {
    "exp": "exp", "log": "log", "tanh": "tanh", "sin": "sin", "cos": "cos", "tan": "tan", "sqrt": "sqrt",
    "square": "square", "abs": "absolute", "neg": "negative", "sign": "sign", "floor": "floor", "ceil": "ceil",
    "log1p": "log1p", "expm1": "expm1", "erf": "special.erf", "erfc": "special.erfc", "logistic": "special.expit",
    "lgamma": "special.gammaln", "digamma": "special.digamma", "atan": "arctan", "asin": "arcsin", "acos": "arccos",
    "atan2": "arctan2", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh",
    "reciprocal": "reciprocal", "exp2": "exp2", "sinh": "sinh", "cosh": "cosh",
    "add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "pow": "power", "max": "maximum",
    "min": "minimum", "rem": "remainder", "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal",
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


@_enter(LAX, "stop_gradient")
def _stop_gradient(x: Any) -> Any:
    return [stopped(as_array(v)) for v in x] if isinstance(x, (tuple, list)) else stopped(as_array(x))


_enter(LAX, "broadcasted_iota")(_iota_shape)
_enter(LAX, "iota")(_iota)
_enter(LAX, "cumsum")(lambda operand, axis=0, reverse=False: _running_sum(operand, axis, reverse))


def _running_sum(operand: Any, axis: Any = None, reverse: Any = False, dtype: Any = None) -> Any:
    base = as_array(operand)
    if base.kind == "integer" and dtype is None:
        dtype = base.dtype  # NumPy's would be a wider one
    if not reverse:
        return N["cumsum"](base, axis, dtype=dtype)
    return N["flip"](N["cumsum"](N["flip"](base, axis), axis, dtype=dtype), axis)


_enter(JNP, "cumsum")(lambda a, axis=None, dtype=None: _running_sum(a, axis, False, dtype))


def cast(value: Any, dtype: Any) -> Array:
    """Numbers of another floating type are the same numbers."""
    base = as_array(value)
    return base if kind_of_type(base.dtype) == "real" and dtype is float else N["astype"](base, dtype)


__all__ = ["JNP", "LAX", "NN", "cast", "sigmoid"]
