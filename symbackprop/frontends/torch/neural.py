"""torch.nn.functional: activations, normalisations, losses, attention; in the operations of `frontends.numpy`.

Source: the formulas of torch's documentation of each function.
"""

from __future__ import annotations

import math
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.namespace import constant
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS as N
from symbackprop.frontends.numpy.session import assume, must_know
from symbackprop.frontends.torch.layout import dropped
from symbackprop.frontends.torch.reductions import norm
from symbackprop.frontends.torch.tensor import cast, function, number


def _decimal(value: Any) -> Any:
    """A default of torch's own, as the decimal number that it is."""
    return constant(value) if isinstance(value, float) else value


# --- activations ---------------------------------------------------------------------------------------------------


@function("relu")
def relu(input: Any, inplace: Any = False) -> Any:
    """max(x, 0)."""
    return N["maximum"](input, 0)


@function("relu6")
def _relu6(input: Any, inplace: Any = False) -> Any:
    return N["clip"](input, 0, 6)


@function("hardtanh")
def _hardtanh(input: Any, min_val: Any = -1, max_val: Any = 1, inplace: Any = False) -> Any:
    return N["clip"](input, _decimal(min_val), _decimal(max_val))


@function("hardsigmoid")
def _hardsigmoid(input: Any, inplace: Any = False) -> Any:
    return N["divide"](_relu6(N["add"](input, 3)), 6)


@function("hardswish")
def _hardswish(input: Any, inplace: Any = False) -> Any:
    return N["multiply"](input, _hardsigmoid(input))


@function("threshold")
def _threshold(input: Any, threshold: Any, value: Any, inplace: Any = False) -> Any:
    return N["where"](N["greater"](input, threshold), input, value)


@function("leaky_relu")
def leaky_relu(input: Any, negative_slope: Any = 0.01, inplace: Any = False) -> Any:
    """x where it is positive, else a multiple of it."""
    return N["where"](N["greater"](input, 0), input, N["multiply"](input, _decimal(negative_slope)))


@function("prelu")
def _prelu(input: Any, weight: Any) -> Any:
    base, slope = as_array(input), as_array(weight)
    if slope.ndim and base.ndim > 1:
        slope = N["reshape"](slope, (slope.shape[0], *[1] * (base.ndim - 2)))
    return N["where"](N["greater"](base, 0), base, N["multiply"](slope, base))


@function("elu")
def elu(input: Any, alpha: Any = 1.0, inplace: Any = False) -> Any:
    """x where it is positive, else alpha (exp(x) - 1)."""
    return N["where"](N["greater"](input, 0), input, N["multiply"](_decimal(alpha), N["expm1"](input)))


@function("celu")
def _celu(input: Any, alpha: Any = 1.0, inplace: Any = False) -> Any:
    a = _decimal(alpha)
    return N["where"](N["greater"](input, 0), input, N["multiply"](a, N["expm1"](N["divide"](input, a))))


@function("selu")
def _selu(input: Any, inplace: Any = False) -> Any:
    scale, alpha = constant(1.0507009873554805), constant(1.6732632423543772)
    return N["multiply"](scale, elu(input, alpha))


@function("silu")
def silu(input: Any, inplace: Any = False) -> Any:
    """x sigmoid(x)."""
    return N["multiply"](input, N["special.expit"](input))


@function("logsigmoid")
def logsigmoid(input: Any) -> Any:
    """log sigmoid(x)."""
    return N["negative"](N["log1p"](N["exp"](N["negative"](input))))


@function("softplus")
def softplus(input: Any, beta: Any = 1.0, threshold: Any = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta; the linear part beyond the threshold is its rounding."""
    assume("softplus beyond its threshold counts as the logarithm that it rounds")
    if number(beta) == 1:
        return N["log1p"](N["exp"](input))
    return N["divide"](N["log1p"](N["exp"](N["multiply"](_decimal(beta), input))), _decimal(beta))


@function("softsign")
def _softsign(input: Any) -> Any:
    return N["divide"](input, N["add"](1, N["absolute"](input)))


@function("tanhshrink")
def _tanhshrink(input: Any) -> Any:
    return N["subtract"](input, N["tanh"](input))


@function("softshrink")
def _softshrink(input: Any, lambd: Any = 0.5) -> Any:
    far = N["subtract"](N["absolute"](input), _decimal(lambd))
    return N["multiply"](N["sign"](input), N["maximum"](far, 0))


@function("hardshrink")
def _hardshrink(input: Any, lambd: Any = 0.5) -> Any:
    return N["where"](N["greater"](N["absolute"](input), _decimal(lambd)), input, 0.0)


@function("mish")
def _mish(input: Any, inplace: Any = False) -> Any:
    return N["multiply"](input, N["tanh"](softplus(input)))


@function("gelu")
def gelu(input: Any, approximate: str = "none") -> Any:
    """x times the normal distribution's function, or its approximation by tanh."""
    if approximate == "tanh":
        scale = N["sqrt"](N["divide"](2, constant(math.pi)))
        inner = N["multiply"](scale, N["add"](input, N["multiply"](constant(0.044715), N["power"](input, 3))))
        return N["multiply"](N["multiply"](constant(0.5), input), N["add"](1, N["tanh"](inner)))
    erf = N["special.erf"](N["divide"](input, N["sqrt"](as_array(2.0))))
    return N["multiply"](N["multiply"](constant(0.5), input), N["add"](1, erf))


@function("glu")
def _glu(input: Any, dim: Any = -1) -> Any:
    first, second = N["split"](input, 2, dim)
    return N["multiply"](first, N["special.expit"](second))


@function("softmax")
def softmax(input: Any, dim: Any = None, _stacklevel: Any = 3, dtype: Any = None) -> Any:
    """exp(x) over its sum."""
    return N["special.softmax"](cast(input, dtype), _named(dim, "softmax"))


@function("softmin")
def _softmin(input: Any, dim: Any = None, _stacklevel: Any = 3, dtype: Any = None) -> Any:
    return softmax(N["negative"](input), dim, dtype=dtype)


@function("log_softmax")
def log_softmax(input: Any, dim: Any = None, _stacklevel: Any = 3, dtype: Any = None) -> Any:
    """The logarithm of softmax."""
    return N["special.log_softmax"](cast(input, dtype), _named(dim, "log_softmax"))


def _named(dim: Any, what: str) -> Any:
    if dim is None:
        raise TraceError(f"{what} without dim cannot be traced", help="say along which axis: dim=-1")
    return dim


@function("_softmax_backward_data")
def _softmax_backward(grad_output: Any, output: Any, dim: Any, input_dtype: Any = None) -> Any:
    row = N["sum"](N["multiply"](grad_output, output), axis=dim, keepdims=True)
    return N["multiply"](output, N["subtract"](grad_output, row))


@function("dropout", "alpha_dropout", "feature_dropout", "dropout1d", "dropout2d", "dropout3d")
def _dropout(input: Any, p: Any = 0.5, training: Any = True, inplace: Any = False) -> Any:
    if training and number(p) != 0:
        return dropped()
    return input


# --- layers --------------------------------------------------------------------------------------------------------


@function("linear")
def _linear(input: Any, weight: Any, bias: Any = None) -> Any:
    product = N["matmul"](input, N["transpose"](weight))
    return product if bias is None else N["add"](product, bias)


@function("bilinear")
def _bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    product = N["einsum"]("...i,kij,...j->...k", input1, weight, input2)
    return product if bias is None else N["add"](product, bias)


@function("embedding")
def _embedding(input: Any, weight: Any, padding_idx: Any = None, max_norm: Any = None, *args: Any, **_: Any) -> Any:
    if max_norm is not None:
        raise TraceError("an embedding with max_norm cannot be traced")
    return N["getitem"](weight, as_array(input))


def _last_axes(input: Any, shape: Any, what: str) -> tuple[int, ...]:
    """The axes of a normalized_shape, whose sizes must be those of the input."""
    base = as_array(input)
    wanted = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    found = tuple(range(base.ndim - len(wanted), base.ndim))
    for n, k in zip(as_array(N["zeros"](wanted)).axes, found, strict=True):
        if not must_know("==", n, base.axes[k], f"whether the normalized_shape of {what} is that of the input"):
            raise TraceError(f"{what} over other sizes than those of the input")
    return found


def _affine(value: Any, weight: Any, bias: Any) -> Any:
    value = value if weight is None else N["multiply"](value, weight)
    return value if bias is None else N["add"](value, bias)


def _normalized(input: Any, axes: Any, eps: Any) -> Any:
    mean = N["mean"](input, axis=axes, keepdims=True)
    spread = N["sqrt"](N["add"](N["var"](input, axis=axes, keepdims=True), _decimal(eps)))
    return N["divide"](N["subtract"](input, mean), spread)


@function("layer_norm", "native_layer_norm")
def _layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: Any = 1e-5) -> Any:
    return _affine(_normalized(input, _last_axes(input, normalized_shape, "layer_norm"), eps), weight, bias)


@function("rms_norm")
def _rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: Any = None) -> Any:
    axes = _last_axes(input, normalized_shape, "rms_norm")
    eps = constant(2.0**-52) if eps is None else _decimal(eps)
    square = N["add"](N["mean"](N["square"](input), axis=axes, keepdims=True), eps)
    return _affine(N["divide"](input, N["sqrt"](square)), weight, None)


def _per_channel(value: Any, ndim: int) -> Any:
    """A vector over channels, laid along the second axis."""
    return None if value is None else N["reshape"](value, (as_array(value).shape[0], *[1] * (ndim - 2)))


@function("batch_norm")
def _batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: Any = False,
    momentum: Any = 0.1, eps: Any = 1e-5,
) -> Any:  # fmt: skip
    base = as_array(input)
    if training:
        result = _normalized(base, tuple(k for k in range(base.ndim) if k != 1), eps)
    else:
        mean, var = _per_channel(running_mean, base.ndim), _per_channel(running_var, base.ndim)
        result = N["divide"](N["subtract"](base, mean), N["sqrt"](N["add"](var, _decimal(eps))))
    return _affine(result, _per_channel(weight, base.ndim), _per_channel(bias, base.ndim))


@function("group_norm")
def _group_norm(input: Any, num_groups: Any, weight: Any = None, bias: Any = None, eps: Any = 1e-5) -> Any:
    base = as_array(input)
    grouped = N["reshape"](base, (base.shape[0], num_groups, base.shape[1] // num_groups, *base.shape[2:]))
    flat = _normalized(grouped, tuple(range(2, grouped.ndim)), eps)
    return _affine(N["reshape"](flat, base.shape), _per_channel(weight, base.ndim), _per_channel(bias, base.ndim))


@function("instance_norm")
def _instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: Any = True, momentum: Any = 0.1, eps: Any = 1e-5,
) -> Any:  # fmt: skip
    base = as_array(input)
    result = _normalized(base, tuple(range(2, base.ndim)), eps)
    return _affine(result, _per_channel(weight, base.ndim), _per_channel(bias, base.ndim))


@function("normalize")
def _normalize(input: Any, p: Any = 2.0, dim: Any = 1, eps: Any = 1e-12, out: Any = None) -> Any:
    return N["divide"](input, N["maximum"](norm(input, p, dim, True), _decimal(eps)))


@function("cosine_similarity")
def _cosine_similarity(x1: Any, x2: Any, dim: Any = 1, eps: Any = 1e-8) -> Any:
    product = N["sum"](N["multiply"](x1, x2), axis=dim)
    lengths = [N["maximum"](norm(x, 2, dim), _decimal(eps)) for x in (x1, x2)]
    return N["divide"](product, N["multiply"](*lengths))


@function("scaled_dot_product_attention")
def _attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: Any = 0.0, is_causal: Any = False,
    scale: Any = None, **_: Any,
) -> Any:  # fmt: skip
    q, k = as_array(query), as_array(key)
    if number(dropout_p) != 0:
        dropped()
    factor = N["reciprocal"](N["sqrt"](N["multiply"](q.shape[-1], 1.0))) if scale is None else scale
    scores = N["multiply"](N["matmul"](q, N["swapaxes"](k, -2, -1)), factor)
    if is_causal:
        scores = N["where"](N["tri"](q.shape[-2], k.shape[-2], dtype=bool), scores, -math.inf)
    if attn_mask is not None:
        mask = as_array(attn_mask)
        scores = N["where"](mask, scores, -math.inf) if mask.kind == "bool" else N["add"](scores, mask)
    return N["matmul"](N["special.softmax"](scores, -1), value)


# --- losses --------------------------------------------------------------------------------------------------------


def _reduced(value: Any, reduction: str) -> Any:
    if reduction == "none":
        return value
    return N["mean" if reduction == "mean" else "sum"](value)


def _no_weight(weight: Any, what: str) -> None:
    if weight is not None:
        raise TraceError(f"{what} with weights cannot be traced")


@function("mse_loss")
def _mse(input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
         weight: Any = None) -> Any:  # fmt: skip
    _no_weight(weight, "mse_loss")
    return _reduced(N["square"](N["subtract"](input, target)), reduction)


@function("l1_loss")
def _l1(input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
        weight: Any = None) -> Any:  # fmt: skip
    _no_weight(weight, "l1_loss")
    return _reduced(N["absolute"](N["subtract"](input, target)), reduction)


@function("smooth_l1_loss")
def _smooth_l1(input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
               beta: Any = 1.0) -> Any:  # fmt: skip
    r = N["absolute"](N["subtract"](input, target))
    half, beta = constant(0.5), _decimal(beta)
    near = N["divide"](N["multiply"](half, N["square"](r)), beta)
    return _reduced(N["where"](N["less"](r, beta), near, N["subtract"](r, N["multiply"](half, beta))), reduction)


@function("huber_loss")
def _huber(input: Any, target: Any, reduction: str = "mean", delta: Any = 1.0, weight: Any = None) -> Any:
    _no_weight(weight, "huber_loss")
    r = N["absolute"](N["subtract"](input, target))
    half, delta = constant(0.5), _decimal(delta)
    far = N["multiply"](delta, N["subtract"](r, N["multiply"](half, delta)))
    near = N["multiply"](half, N["square"](r))
    return _reduced(N["where"](N["less_equal"](r, delta), near, far), reduction)


@function("binary_cross_entropy")
def _bce(input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
         reduction: str = "mean") -> Any:  # fmt: skip
    assume("the logarithms in binary_cross_entropy are above -100, where torch cuts them off")
    first = N["multiply"](target, N["log"](input))
    second = N["multiply"](N["subtract"](1, target), N["log"](N["subtract"](1, input)))
    value = N["negative"](N["add"](first, second))
    return _reduced(value if weight is None else N["multiply"](value, weight), reduction)


@function("binary_cross_entropy_with_logits")
def _bce_with_logits(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean", pos_weight: Any = None,
) -> Any:  # fmt: skip
    positive = N["multiply"](target, softplus(N["negative"](input)))
    positive = positive if pos_weight is None else N["multiply"](positive, pos_weight)
    value = N["add"](positive, N["multiply"](N["subtract"](1, target), softplus(input)))
    return _reduced(value if weight is None else N["multiply"](value, weight), reduction)


@function("nll_loss")
def nll_loss(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: Any = -100,
    reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Minus the chosen entries along the second axis; a label that is ignored does not count."""
    base, labels = as_array(input), as_array(target)
    axis = 1 if base.ndim > 1 else 0
    picked = N["take_along_axis"](base, N["expand_dims"](labels, axis), axis)
    value = N["negative"](N["reshape"](picked, labels.shape))
    kept = None
    if weight is not None:
        kept = N["getitem"](weight, labels)
    if not (isinstance(ignore_index, int) and ignore_index < 0):
        counted = N["not_equal"](labels, ignore_index)
        kept = counted if kept is None else N["multiply"](kept, counted)
    if kept is None:
        return _reduced(value, reduction)
    value = N["multiply"](value, kept)
    return N["divide"](N["sum"](value), N["sum"](kept)) if reduction == "mean" else _reduced(value, reduction)


@function("cross_entropy")
def _cross_entropy(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: Any = -100,
    reduce: Any = None, reduction: str = "mean", label_smoothing: Any = 0.0,
) -> Any:  # fmt: skip
    base, labels = as_array(input), as_array(target)
    axis = 1 if base.ndim > 1 else 0
    logs = N["special.log_softmax"](base, axis)
    smooth = number(label_smoothing) != 0
    if labels.kind == "integer" and not smooth:
        return nll_loss(logs, labels, weight, ignore_index=ignore_index, reduction=reduction)
    _no_weight(weight, "cross_entropy with probabilities or smoothing")
    if labels.kind == "integer":
        if not (isinstance(ignore_index, int) and ignore_index < 0):
            raise TraceError("cross_entropy with label_smoothing and ignore_index cannot be traced")
        first = nll_loss(logs, labels, reduction="none")
    else:
        first = N["negative"](N["sum"](N["multiply"](labels, logs), axis=axis))
    if smooth:
        uniform = N["negative"](N["mean"](logs, axis=axis))
        if labels.kind != "integer":
            uniform = N["multiply"](uniform, N["sum"](labels, axis=axis))
        rest = N["subtract"](1, label_smoothing)
        first = N["add"](N["multiply"](rest, first), N["multiply"](label_smoothing, uniform))
    return _reduced(first, reduction)


@function("kl_div")
def _kl_div(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    log_target: Any = False,
) -> Any:  # fmt: skip
    weights, logs = (N["exp"](target), target) if log_target else (target, N["log"](target))
    value = N["multiply"](weights, N["subtract"](logs, input))
    if reduction == "batchmean":
        return N["divide"](N["sum"](value), as_array(input).shape[0])
    return _reduced(value, reduction)


@function("pairwise_distance")
def pairwise_distance(x1: Any, x2: Any, p: Any = 2.0, eps: Any = 1e-6, keepdim: Any = False) -> Any:
    """The norm of x1 - x2 + eps along the last axis."""
    return norm(N["add"](N["subtract"](x1, x2), _decimal(eps)), p, -1, keepdim)


@function("triplet_margin_loss")
def _triplet_margin(
    anchor: Any, positive: Any, negative: Any, margin: Any = 1.0, p: Any = 2.0, eps: Any = 1e-6, swap: Any = False,
    size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = N["minimum"](far, pairwise_distance(positive, negative, p, eps))
    return _reduced(_hinge(N["add"](N["subtract"](near, far), _decimal(margin))), reduction)


def _hinge(value: Any) -> Any:
    return N["maximum"](value, 0)


@function("margin_ranking_loss")
def _margin_ranking(
    input1: Any, input2: Any, target: Any, margin: Any = 0.0, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    apart = N["multiply"](N["negative"](target), N["subtract"](input1, input2))
    return _reduced(_hinge(N["add"](apart, _decimal(margin))), reduction)


@function("hinge_embedding_loss")
def _hinge_embedding(
    input: Any, target: Any, margin: Any = 1.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    far = _hinge(N["subtract"](_decimal(margin), input))
    return _reduced(N["where"](N["equal"](target, 1), input, far), reduction)


@function("soft_margin_loss")
def _soft_margin(input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Any:
    return _reduced(softplus(N["negative"](N["multiply"](target, input))), reduction)


@function("poisson_nll_loss")
def _poisson(
    input: Any, target: Any, log_input: Any = True, full: Any = False, size_average: Any = None, eps: Any = 1e-8,
    reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    if full:
        raise TraceError("poisson_nll_loss with full=True cannot be traced")
    if log_input:
        value = N["subtract"](N["exp"](input), N["multiply"](target, input))
    else:
        value = N["subtract"](input, N["multiply"](target, N["log"](N["add"](input, _decimal(eps)))))
    return _reduced(value, reduction)


@function("embedding_bag")
def _embedding_bag(
    input: Any, weight: Any, offsets: Any = None, max_norm: Any = None, norm_type: Any = 2,
    scale_grad_by_freq: Any = False, mode: Any = "mean", sparse: Any = False, per_sample_weights: Any = None,
    include_last_offset: Any = False, padding_idx: Any = None,
) -> Any:  # fmt: skip
    rows = as_array(input)
    if offsets is not None or max_norm is not None or padding_idx is not None or rows.ndim != 2:
        raise TraceError("embedding_bag with offsets, max_norm or padding_idx cannot be traced")
    taken = N["getitem"](weight, rows)
    if per_sample_weights is not None:
        taken = N["multiply"](taken, N["expand_dims"](per_sample_weights, -1))
    return N[mode](taken, axis=1)


__all__ = ["Array", "elu", "gelu", "leaky_relu", "log_softmax", "logsigmoid", "nll_loss", "relu", "silu", "softmax"]
