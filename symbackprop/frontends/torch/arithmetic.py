"""torch's functions entry by entry: arithmetic, comparisons, exponentials, casts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.differentiation import stopped
from symbackprop.frontends.numpy.namespace import constant
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS as N
from symbackprop.frontends.numpy.session import product_of
from symbackprop.frontends.numpy.size import size
from symbackprop.frontends.torch.tensor import cast, function, torch

_UNARY = {
    "exp": "exp", "log": "log", "sqrt": "sqrt", "tanh": "tanh", "sin": "sin", "cos": "cos", "tan": "tan",
    "abs": "absolute", "absolute": "absolute", "neg": "negative", "negative": "negative", "positive": "positive",
    "sign": "sign", "sgn": "sign", "square": "square", "reciprocal": "reciprocal", "log1p": "log1p",
    "expm1": "expm1", "log2": "log2", "log10": "log10", "exp2": "exp2", "erf": "special.erf", "erfc": "special.erfc",
    "lgamma": "special.gammaln", "digamma": "special.digamma", "gammaln": "special.gammaln",
    "psi": "special.digamma", "arcsin": "arcsin", "arccos": "arccos", "arctan": "arctan", "arcsinh": "arcsinh",
    "arccosh": "arccosh", "arctanh": "arctanh", "deg2rad": "deg2rad", "rad2deg": "rad2deg",
    "asin": "arcsin", "acos": "arccos", "atan": "arctan",
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "sigmoid": "special.expit",
    "expit": "special.expit", "sinh": "sinh", "cosh": "cosh",
    "logical_not": "logical_not", "bitwise_not": "invert", "isnan": "isnan", "isinf": "isinf", "isfinite": "isfinite",
    "floor": "floor", "ceil": "ceil", "round": "round", "trunc": "trunc", "fix": "trunc",
}  # fmt: skip
_BINARY = {
    "mul": "multiply", "multiply": "multiply", "pow": "power", "float_power": "float_power", "maximum": "maximum",
    "minimum": "minimum", "fmax": "fmax", "fmin": "fmin", "eq": "equal", "ne": "not_equal", "not_equal": "not_equal",
    "lt": "less", "less": "less", "le": "less_equal", "less_equal": "less_equal", "gt": "greater",
    "greater": "greater", "ge": "greater_equal", "greater_equal": "greater_equal", "logical_and": "logical_and",
    "logical_or": "logical_or", "logical_xor": "logical_xor", "remainder": "remainder",
    "floor_divide": "floor_divide", "bitwise_and": "bitwise_and", "bitwise_or": "bitwise_or",
    "logaddexp": "logaddexp", "hypot": "hypot", "atan2": "arctan2", "arctan2": "arctan2",
    "logaddexp2": "logaddexp2", "bitwise_xor": "bitwise_xor", "equal": "array_equal", "heaviside": "heaviside",
}  # fmt: skip


def _plainly(name: str, operation: str, operands: int) -> None:
    if operands == 1:

        @function(name)
        def unary(input: Any, **options: Any) -> Any:
            return N[operation](input, **options)
    else:

        @function(name)
        def binary(input: Any, other: Any = None, **options: Any) -> Any:
            return N[operation](input, options.pop("exponent", other), **options)


for _name, _operation in _UNARY.items():
    _plainly(_name, _operation, 1)
for _name, _operation in _BINARY.items():
    _plainly(_name, _operation, 2)


def scaled(value: Any, factor: Any) -> Any:
    """factor * value, without a product by 1."""
    return value if isinstance(factor, int) and factor == 1 else N["multiply"](value, factor)


@function("add")
def _add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    return N["add"](input, scaled(other, alpha))


@function("sub", "subtract")
def _sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    return N["subtract"](input, scaled(other, alpha))


@function("rsub")
def _rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    return N["subtract"](other, scaled(input, alpha))


@function("div", "divide", "true_divide")
def _div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return N["divide"](input, other)
    return N["floor" if rounding_mode == "floor" else "trunc"](N["divide"](input, other))


@function("rsqrt")
def _rsqrt(input: Any) -> Any:
    return N["reciprocal"](N["sqrt"](input))


@function("logit")
def _logit(input: Any, eps: Any = None) -> Any:
    p = input if eps is None else N["clip"](input, eps, N["subtract"](1, eps))
    return N["subtract"](N["log"](p), N["log"](N["subtract"](1, p)))


@function("xlogy")
def _xlogy(input: Any, other: Any) -> Any:
    return N["multiply"](input, N["log"](other))


@function("xlog1py")
def _xlog1py(input: Any, other: Any) -> Any:
    return N["multiply"](input, N["log1p"](other))


@function("entr")
def _entr(input: Any) -> Any:
    return N["negative"](N["multiply"](input, N["log"](input)))


@function("ndtr")
def _ndtr(input: Any) -> Any:
    """The distribution function of the normal distribution."""
    return N["multiply"](constant(0.5), N["add"](1, N["special.erf"](N["divide"](input, N["sqrt"](as_array(2.0))))))


@function("allclose")
def _allclose(input: Any, other: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: Any = False) -> Any:
    return N["allclose"](input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


@function("sinc", "erfinv", "fmod")
def _missing(*_: Any, **__: Any) -> Any:
    raise TraceError("this function of torch has no counterpart here")


@function("where")
def _where(condition: Any, input: Any = None, other: Any = None) -> Any:
    if input is None or other is None:
        return N["nonzero"](condition)
    return N["where"](condition, input, other)


@function("clamp", "clip")
def _clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    return N["clip"](input, min, max)


@function("clamp_min")
def _clamp_min(input: Any, min: Any) -> Any:
    return N["clip"](input, min, None)


@function("clamp_max")
def _clamp_max(input: Any, max: Any) -> Any:
    return N["clip"](input, None, max)


@function("addcmul")
def _addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    return N["add"](input, scaled(N["multiply"](tensor1, tensor2), value))


@function("addcdiv")
def _addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    return N["add"](input, scaled(N["divide"](tensor1, tensor2), value))


@function("lerp")
def _lerp(input: Any, end: Any, weight: Any) -> Any:
    return N["add"](input, N["multiply"](weight, N["subtract"](end, input)))


@function("masked_fill")
def _masked_fill(input: Any, mask: Any, value: Any) -> Any:
    return N["where"](mask, value, input)


@function("nan_to_num")
def _nan_to_num(input: Any, *args: Any, **options: Any) -> Any:
    return N["nan_to_num"](input)


# --- copies and casts ----------------------------------------------------------------------------------------------


def _itself(input: Any, *_: Any, **__: Any) -> Any:
    return input


function("cuda", "cpu", "pin_memory", "requires_grad", "resolve_conj", "resolve_neg", "share_memory")(_itself)


@function("detach")
def _detach(input: Array) -> Array:
    """A view of the same memory, of which no gradient is asked."""
    return stopped(input)


@function("retain_grad", "register_hook")
def _of_autograd(*_: Any, **__: Any) -> Any:
    return None


@function("clone")
def _clone(input: Any, **_: Any) -> Any:
    return N["copy"](input)


@function("to", "type")
def _to(input: Any, *args: Any, dtype: Any = None, **_: Any) -> Any:
    for wanted in (*args, dtype):
        if isinstance(wanted, Array):
            input = _as_type_of(input, wanted)
        elif isinstance(wanted, torch().dtype):
            input = cast(input, wanted)
    return input


@function("type_as")
def _as_type_of(input: Any, other: Any) -> Any:
    wanted = as_array(other).dtype
    return cast(input, torch().float64 if wanted.kind == "f" else getattr(torch(), str(wanted)))


def _cast_to(name: str, dtype: str) -> Callable[..., Any]:
    def to(input: Any, *_: Any, **__: Any) -> Any:
        return cast(input, getattr(torch(), dtype))

    return function(name)(to)


for _name, _dtype in {
    "float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "long": "int64",
    "int": "int32", "bool": "bool", "short": "int16", "byte": "uint8", "char": "int8",
}.items():  # fmt: skip
    _cast_to(_name, _dtype)


@function("is_floating_point")
def _is_floating_point(input: Any) -> bool:
    return as_array(input).kind == "real"


@function("is_complex")
def _is_complex(input: Any) -> bool:
    return False


@function("dim", "ndimension")
def _dim(input: Any) -> int:
    return as_array(input).ndim


@function("numel", "nelement")
def _numel(input: Any) -> Any:
    return size(product_of(as_array(input).axes))


@function("item")
def _item(input: Array) -> Any:
    return input.item()


@function("tolist")
def _tolist(input: Any) -> Any:
    return N["tolist"](input)


@function("is_contiguous")
def _is_contiguous(input: Array, **_: Any) -> bool:
    return input.contiguous


@function("get_device")
def _get_device(input: Array) -> int:
    return -1


__all__ = ["scaled"]
