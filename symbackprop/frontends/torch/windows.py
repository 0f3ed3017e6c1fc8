"""torch's convolutions, pooling and recurrent cells, in the operations of `frontends.numpy`.

Source: the formulas of torch's documentation of each function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS as N
from symbackprop.frontends.torch.tensor import function


def _each(value: Any, count: int) -> tuple[Any, ...]:
    """A number for each axis."""
    if isinstance(value, (tuple, list)):
        return tuple(value) * (count if len(value) == 1 else 1)
    return (value,) * count


def _windows(input: Any, lengths: tuple[Any, ...], stride: Any, padding: Any, fill: Any = 0, dilation: Any = 1) -> Any:
    """The stretches of these lengths along the last axes: their places, then the places inside them."""
    base, count = as_array(input), len(lengths)
    apart = _each(dilation, count)
    if padding == "same":
        over = [(n - 1) * d for n, d in zip(lengths, apart, strict=True)]
        widths = [(n // 2, n - n // 2) for n in over]
    else:
        widths = [(w, w) for w in _each(0 if padding == "valid" else padding, count)]
    if any(not (isinstance(w, int) and w == 0) for both in widths for w in both):
        base = N["pad"](base, [*[(0, 0)] * (base.ndim - count), *widths], constant_values=fill)
    axes = tuple(range(base.ndim - count, base.ndim))
    wide = tuple(n if isinstance(d, int) and d == 1 else (n - 1) * d + 1 for n, d in zip(lengths, apart, strict=True))
    cut = N["lib.stride_tricks.sliding_window_view"](base, wide, axes)
    if wide != tuple(lengths):
        cut = N["getitem"](cut, (..., *(slice(None, None, d) for d in apart)))
    steps = _each(stride, count)
    if all(isinstance(s, int) and s == 1 for s in steps):
        return cut
    return N["getitem"](cut, (*(slice(None),) * axes[0], *(slice(None, None, s) for s in steps)))


def _is_one(value: Any) -> bool:
    return isinstance(value, int) and value == 1


def _in_groups(array: Any, groups: Any, axis: int) -> Any:
    """An axis taken apart into groups, and what is in a group."""
    shape = array.shape
    return N["reshape"](array, (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :]))


def _together(array: Any, axis: int) -> Any:
    """An axis of groups and the next one as one axis."""
    shape = array.shape
    return N["reshape"](array, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def _convolution(name: str, count: int) -> Callable[..., Any]:
    places, inside = "xyz"[:count], "ijk"[:count]

    def convolution(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                    groups: Any = 1) -> Any:  # fmt: skip
        x, w = as_array(input), as_array(weight)
        cut = _windows(x, w.shape[2:], stride, padding, dilation=dilation)
        if _is_one(groups):
            result = N["einsum"](f"nc{places}{inside},oc{inside}->no{places}", cut, w)
        else:
            cut, w = _in_groups(cut, groups, 1), _in_groups(w, groups, 0)
            result = _together(N["einsum"](f"ngc{places}{inside},goc{inside}->ngo{places}", cut, w), 1)
        if bias is None:
            return result
        return N["add"](result, N["reshape"](bias, (as_array(bias).shape[0], *[1] * count)))

    return function(name)(convolution)


def _spread(input: Any, strides: tuple[Any, ...]) -> Any:
    """The entries of the last axes with strides - 1 zeros between them."""
    if all(isinstance(s, int) and s == 1 for s in strides):
        return input
    first = input.ndim - len(strides)
    lengths = [(n - 1) * s + 1 for n, s in zip(input.shape[first:], strides, strict=True)]
    result = N["zeros"]((*input.shape[:first], *lengths))
    N["setitem"](result, (*(slice(None),) * first, *(slice(None, None, s) for s in strides)), input)
    return result


def _transposed_convolution(name: str, count: int) -> Callable[..., Any]:
    places, inside = "xyz"[:count], "ijk"[:count]

    def convolution(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
                    output_padding: Any = 0, groups: Any = 1, dilation: Any = 1) -> Any:  # fmt: skip
        x, w = as_array(input), as_array(weight)
        spread = _spread(x, _each(stride, count))
        apart, widths, added = (_each(v, count) for v in (dilation, padding, output_padding))
        edges = [((k - 1) * d - p, (k - 1) * d - p + more)
                 for k, d, p, more in zip(w.shape[2:], apart, widths, added, strict=True)]  # fmt: skip
        padded = N["pad"](spread, [(0, 0), (0, 0), *edges])
        mirrored = N["flip"](w, tuple(range(2, 2 + count)))
        cut = _windows(padded, w.shape[2:], 1, 0, dilation=dilation)
        if _is_one(groups):
            result = N["einsum"](f"nc{places}{inside},co{inside}->no{places}", cut, mirrored)
        else:
            cut, mirrored = _in_groups(cut, groups, 1), _in_groups(mirrored, groups, 0)
            result = _together(N["einsum"](f"ngc{places}{inside},gco{inside}->ngo{places}", cut, mirrored), 1)
        if bias is None:
            return result
        return N["add"](result, N["reshape"](bias, (as_array(bias).shape[0], *[1] * count)))

    return function(name)(convolution)


def _derivatives_of_convolution(count: int) -> None:
    """torch.nn.grad: the gradients of a convolution with respect to its input and its weight."""
    name = f"conv{count}d"
    places, inside = "xyz"[:count], "ijk"[:count]

    @function(f"grad.{name}_input")
    def of_input(input_size: Any, weight: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                 groups: Any = 1) -> Any:  # fmt: skip
        g, w = as_array(grad_output), as_array(weight)
        steps, widths, apart = (_each(v, count) for v in (stride, padding, dilation))
        rest = [length - ((n - 1) * s - 2 * p + (k - 1) * d + 1) for length, n, s, p, d, k in
                zip(input_size[2:], g.shape[2:], steps, widths, apart, w.shape[2:], strict=True)]  # fmt: skip
        return transposed(g, w, None, steps, widths, tuple(rest), groups, apart)

    @function(f"grad.{name}_weight")
    def of_weight(input: Any, weight_size: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                  groups: Any = 1) -> Any:  # fmt: skip
        cut, g = _windows(as_array(input), tuple(weight_size[2:]), stride, padding, dilation=dilation), grad_output
        if _is_one(groups):
            return N["einsum"](f"nc{places}{inside},no{places}->oc{inside}", cut, as_array(g))
        cut, g = _in_groups(cut, groups, 1), _in_groups(as_array(g), groups, 1)
        return _together(N["einsum"](f"ngc{places}{inside},ngo{places}->goc{inside}", cut, g), 0)

    transposed = _transposed_convolution(f"conv_transpose{count}d", count)


def _maximum_pooling(name: str, count: int) -> None:
    @function(name)
    def pooling(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                ceil_mode: Any = False, return_indices: Any = False) -> Any:  # fmt: skip
        if ceil_mode or return_indices:
            raise TraceError(f"{name} with ceil_mode or return_indices cannot be traced")
        steps = kernel_size if stride in (None, []) else stride
        cut = _windows(input, _each(kernel_size, count), steps, padding, -math.inf, dilation)
        return _over_windows("max", cut, count)


def _average_pooling(name: str, count: int) -> None:
    @function(name)
    def pooling(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: Any = False,
                count_include_pad: Any = True, divisor_override: Any = None) -> Any:  # fmt: skip
        if ceil_mode:
            raise TraceError(f"{name} with ceil_mode cannot be traced")
        how = (_each(kernel_size, count), kernel_size if stride in (None, []) else stride, padding)
        cut = _windows(input, *how)
        if divisor_override is not None:
            return N["divide"](_over_windows("sum", cut, count), divisor_override)
        if count_include_pad:
            return _over_windows("mean", cut, count)
        inside = _windows(N["ones"](as_array(input).shape), *how)
        return N["divide"](_over_windows("sum", cut, count), _over_windows("sum", inside, count))


def _over_windows(reduction: str, cut: Any, count: int) -> Any:
    return N[reduction](cut, axis=tuple(range(cut.ndim - count, cut.ndim)))


for _count in (1, 2, 3):
    _convolution(f"conv{_count}d", _count)
    _derivatives_of_convolution(_count)
    _maximum_pooling(f"max_pool{_count}d", _count)
    _average_pooling(f"avg_pool{_count}d", _count)


def _adaptive(count: int) -> None:
    """An average over the whole axes, where one entry is asked for."""

    @function(f"adaptive_avg_pool{count}d")
    def pooling(input: Any, output_size: Any) -> Any:
        wanted = _each(output_size, count)
        if any(not (isinstance(n, int) and n == 1) for n in wanted):
            raise TraceError(f"adaptive_avg_pool{count}d to another size than 1 cannot be traced")
        return N["mean"](input, axis=tuple(range(-count, 0)), keepdims=True)


for _count in (1, 2, 3):
    _adaptive(_count)


@function("pixel_shuffle")
def _pixel_shuffle(input: Any, upscale_factor: Any) -> Any:
    base, r = as_array(input), upscale_factor
    *lead, c, h, w = base.shape
    n = len(lead)
    parts = N["reshape"](base, (*lead, c // (r * r), r, r, h, w))
    order = (*range(n + 1), n + 3, n + 1, n + 4, n + 2)
    return N["reshape"](N["transpose"](parts, order), (*lead, c // (r * r), h * r, w * r))


@function("pixel_unshuffle")
def _pixel_unshuffle(input: Any, downscale_factor: Any) -> Any:
    base, r = as_array(input), downscale_factor
    *lead, c, h, w = base.shape
    n = len(lead)
    parts = N["reshape"](base, (*lead, c, h // r, r, w // r, r))
    order = (*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    return N["reshape"](N["transpose"](parts, order), (*lead, c * r * r, h // r, w // r))


@function("channel_shuffle")
def _channel_shuffle(input: Any, groups: Any) -> Any:
    base = as_array(input)
    n, c, *rest = base.shape
    parts = N["swapaxes"](N["reshape"](base, (n, groups, c // groups, *rest)), 1, 2)
    return N["reshape"](parts, (n, c, *rest))


@function("interpolate", "upsample_nearest")
def _interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: Any = "nearest", *_: Any, **__: Any
) -> Any:
    base = as_array(input)
    factors = _each(scale_factor, base.ndim - 2)
    whole = [int(f) for f in factors if isinstance(f, (int, float)) and f == int(f)]
    if size is not None or mode != "nearest" or len(whole) != len(factors):
        raise TraceError("interpolate otherwise than to the nearest entry, by a whole scale_factor, cannot be traced")
    for k, factor in enumerate(whole):
        base = N["repeat"](base, factor, axis=2 + k)
    return base


@function("functional.unfold")
def _columns(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of an image as columns, not Tensor.unfold, which takes an axis."""
    lengths = _each(kernel_size, 2)
    cut = N["moveaxis"](_windows(input, lengths, stride, padding, dilation=dilation), (-2, -1), (-4, -3))
    *lead, channels, kh, kw, oh, ow = cut.shape
    return N["reshape"](cut, (*lead, channels * kh * kw, oh * ow))


@function("functional.fold")
def _from_columns(
    input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """The image to which columns add up: what the windows have at each place."""
    base, lengths = as_array(input), _each(kernel_size, 2)
    steps, widths, apart, whole = (_each(v, 2) for v in (stride, padding, dilation, output_size))
    if not all(isinstance(n, int) for n in (*lengths, *steps, *widths, *apart)):
        raise TraceError("fold with a kernel of symbolic size cannot be traced")
    counts = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(whole, widths, apart, lengths, steps, strict=True)
    ]
    *lead, rows, _ = base.shape
    parts = N["reshape"](base, (*lead, rows // (lengths[0] * lengths[1]), *lengths, *counts))
    result = N["zeros"]((*parts.shape[:-4], *(n + 2 * p for n, p in zip(whole, widths, strict=True))))
    for i in range(lengths[0]):
        for j in range(lengths[1]):
            first = (i * apart[0], j * apart[1])
            at = (..., *(slice(f, f + (n - 1) * s + 1, s) for f, n, s in zip(first, counts, steps, strict=True)))
            N["setitem"](
                result,
                at,
                N["add"](N["getitem"](result, at), N["getitem"](parts, (..., i, j, slice(None), slice(None)))),
            )
    inner = (..., *(slice(p, p + n) for p, n in zip(widths, whole, strict=True)))
    return N["getitem"](result, inner)


# --- recurrent cells -----------------------------------------------------------------------------------------------


def _affine(input: Any, weight: Any, bias: Any) -> Any:
    product = N["matmul"](input, N["transpose"](weight))
    return product if bias is None else N["add"](product, bias)


@function("lstm_cell")
def _lstm_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    h, c = hx
    gates = N["add"](_affine(input, w_ih, b_ih), _affine(h, w_hh, b_hh))
    i, f, g, o = N["split"](gates, 4, 1)
    sigmoid = N["special.expit"]
    new = N["add"](N["multiply"](sigmoid(f), c), N["multiply"](sigmoid(i), N["tanh"](g)))
    return N["multiply"](sigmoid(o), N["tanh"](new)), new


@function("gru_cell")
def _gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    r, z, n = N["split"](_affine(input, w_ih, b_ih), 3, 1)
    rh, zh, nh = N["split"](_affine(hx, w_hh, b_hh), 3, 1)
    sigmoid = N["special.expit"]
    reset, update = sigmoid(N["add"](r, rh)), sigmoid(N["add"](z, zh))
    new = N["tanh"](N["add"](n, N["multiply"](reset, nh)))
    return N["add"](N["multiply"](N["subtract"](1, update), new), N["multiply"](update, hx))


def _plain_cell(name: str, activation: Callable[[Any], Any]) -> Callable[..., Any]:
    def cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        return activation(N["add"](_affine(input, w_ih, b_ih), _affine(hx, w_hh, b_hh)))

    return function(name)(cell)


_plain_cell("rnn_tanh_cell", lambda v: N["tanh"](v))
_plain_cell("rnn_relu_cell", lambda v: N["maximum"](v, 0))
