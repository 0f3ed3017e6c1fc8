"""torch's functions that move entries: reshaping, joining, cutting, gathering and scattering, and new tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.opaque import RANDOM
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS as N
from symbackprop.frontends.numpy.session import as_int, must_know, reduced
from symbackprop.frontends.numpy.size import Size, size, size_expr
from symbackprop.frontends.torch.tensor import cast, function, numpy_type, torch


def dims(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sizes or axes, given one by one or as one sequence."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given


def _axis(input: Any, dim: Any) -> int:
    return int(dim) % max(as_array(input).ndim, 1)


def _product(sizes: Any) -> Any:
    total: Any = 1
    for n in sizes:
        total = total * n
    return total


# --- shapes --------------------------------------------------------------------------------------------------------


@function("view", "reshape")
def _view(input: Any, *shape: Any, **options: Any) -> Any:
    if len(shape) == 1 and isinstance(shape[0], torch().dtype):
        return cast(input, shape[0])
    return N["reshape"](input, dims(shape) if shape else tuple(options["shape"]))


@function("view_as", "reshape_as")
def _view_as(input: Any, other: Any) -> Any:
    return N["reshape"](input, as_array(other).shape)


@function("permute")
def _permute(input: Any, *order: Any, **options: Any) -> Any:
    return N["transpose"](input, dims(order) if order else tuple(options["dims"]))


@function("transpose", "swapaxes", "swapdims")
def _transpose(input: Any, dim0: Any, dim1: Any) -> Any:
    return N["swapaxes"](input, dim0, dim1)


@function("t")
def _t(input: Array) -> Any:
    if input.ndim > 2:
        raise TraceError(f"t() of a tensor with {input.ndim} axes cannot be traced", help="use transpose(-2, -1)")
    return N["transpose"](input)


@function("adjoint")
def _adjoint(input: Any) -> Any:
    return N["swapaxes"](input, -2, -1)


@function("movedim", "moveaxis")
def _movedim(input: Any, source: Any, destination: Any) -> Any:
    return N["moveaxis"](input, source, destination)


@function("unsqueeze")
def _unsqueeze(input: Any, dim: Any) -> Any:
    return N["expand_dims"](input, dim)


@function("squeeze")
def _squeeze(input: Any, dim: Any = None) -> Any:
    """Axes of size 1 go; torch leaves an axis of another size as it is."""
    base = as_array(input)
    if dim is None:
        return N["squeeze"](base)
    wanted = dim if isinstance(dim, (tuple, list)) else (dim,)
    found = tuple(k for k in wanted if must_know("==", base.axes[k], ONE, "whether squeeze() drops an axis"))
    return N["squeeze"](base, found) if found else base


@function("flatten")
def _flatten(input: Any, start_dim: Any = 0, end_dim: Any = -1) -> Any:
    base = as_array(input)
    first, last = _axis(base, start_dim), _axis(base, end_dim)
    return N["reshape"](base, (*base.shape[:first], _product(base.shape[first : last + 1]), *base.shape[last + 1 :]))


@function("unflatten")
def _unflatten(input: Any, dim: Any, sizes: Any) -> Any:
    base, k = as_array(input), _axis(input, dim)
    known = _product(n for n in sizes if not (isinstance(n, int) and n == -1))
    sizes = tuple(base.shape[k] // known if isinstance(n, int) and n == -1 else n for n in sizes)
    return N["reshape"](base, (*base.shape[:k], *sizes, *base.shape[k + 1 :]))


@function("expand", "broadcast_to")
def _expand(input: Any, *shape: Any, **options: Any) -> Any:
    base = as_array(input)
    wanted = dims(shape) if shape else tuple(options["size"])
    skip = len(wanted) - base.ndim
    kept = tuple(base.shape[k - skip] if isinstance(n, int) and n == -1 else n for k, n in enumerate(wanted))
    return N["broadcast_to"](base, kept)


@function("expand_as")
def _expand_as(input: Any, other: Any) -> Any:
    return N["broadcast_to"](input, as_array(other).shape)


@function("repeat", "tile")
def _repeat(input: Any, *counts: Any) -> Any:
    return N["tile"](input, dims(counts))


@function("repeat_interleave")
def _repeat_interleave(input: Any, repeats: Any, dim: Any = None) -> Any:
    return N["repeat"](input, repeats, dim)


@function("contiguous")
def _contiguous(input: Array, **_: Any) -> Any:
    return input if input.contiguous or not input.ndim else N["ascontiguousarray"](input)


@function("ravel")
def _ravel(input: Any) -> Any:
    return N["ravel"](input)


@function("broadcast_tensors")
def _broadcast_tensors(*tensors: Any) -> Any:
    return tuple(N["broadcast_arrays"](*tensors))


@function("flip")
def _flip(input: Any, *axes: Any, **options: Any) -> Any:
    return N["flip"](input, dims(axes) if axes else tuple(options["dims"]))


@function("roll")
def _roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    if isinstance(shifts, (tuple, list)):
        for by, k in zip(shifts, dims, strict=True):
            input = N["roll"](input, by, k)
        return input
    return N["roll"](input, shifts, dims[0] if isinstance(dims, (tuple, list)) else dims)


# --- joining and cutting -------------------------------------------------------------------------------------------


@function("cat", "concat", "concatenate")
def _cat(tensors: Any, dim: Any = 0) -> Any:
    return N["concatenate"](tensors, dim)


@function("stack")
def _stack(tensors: Any, dim: Any = 0) -> Any:
    return N["stack"](tensors, dim)


def _piece(base: Array, k: int, start: Any, stop: Any) -> Any:
    return N["getitem"](base, (*(slice(None),) * k, slice(start, stop)))


@function("chunk")
def _chunk(input: Any, chunks: Any, dim: Any = 0) -> Any:
    base, k = as_array(input), _axis(input, dim)
    if as_int(base.axes[k]) is None:
        return tuple(N["split"](base, chunks, k))
    return _split(base, -(-int(base.shape[k]) // int(chunks)), k)


@function("split")
def _split(input: Any, split_size: Any, dim: Any = 0) -> Any:
    base, k = as_array(input), _axis(input, dim)
    if not isinstance(split_size, (tuple, list)):
        count = reduced(size_expr(-(-base.shape[k] // split_size)))  # type: ignore[arg-type]
        if as_int(count) is None:
            raise TraceError("split() into pieces of which the number depends on the sizes cannot be traced",
                             help="use chunk, or give the lengths")  # fmt: skip
        ends = [split_size * (n + 1) for n in range(int(as_int(count) or 0))]
    else:
        ends = [_product([1]) * sum(split_size[: n + 1], start=0) for n in range(len(split_size))]
    ends[-1] = base.shape[k]
    return tuple(_piece(base, k, start, stop) for start, stop in zip([0, *ends[:-1]], ends, strict=True))


@function("unbind")
def _unbind(input: Any, dim: Any = 0) -> Any:
    moved = N["moveaxis"](input, dim, 0)
    return tuple(N["getitem"](moved, k) for k in range(len(moved)))


@function("select")
def _select(input: Any, dim: Any, index: Any) -> Any:
    return N["getitem"](input, (*(slice(None),) * _axis(input, dim), index))


@function("narrow")
def _narrow(input: Any, dim: Any, start: Any, length: Any) -> Any:
    return _piece(as_array(input), _axis(input, dim), start, start + length)


@function("diagonal")
def _diagonal(input: Any, offset: Any = 0, dim1: Any = 0, dim2: Any = 1) -> Any:
    return N["diagonal"](input, offset, dim1, dim2)


@function("diag")
def _diag(input: Any, diagonal: Any = 0) -> Any:
    return N["diag"](input, diagonal)


@function("diag_embed")
def _diag_embed(input: Any) -> Any:
    base = as_array(input)
    return N["multiply"](N["expand_dims"](base, -1), N["eye"](base.shape[-1]))


def _triangle(name: str) -> Callable[..., Any]:
    def triangle(input: Any, diagonal: Any = 0) -> Any:
        base = as_array(input)
        kept = N["astype"](N[name](N["ones"](base.shape[-2:]), diagonal), bool)
        if base.kind == "bool":
            return N["logical_and"](kept, base)
        return N["where"](kept, base, N["zeros_like"](base))

    return function(name)(triangle)


_triangle("tril")
_triangle("triu")


@function("pad")
def _pad(input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    base = as_array(input)
    if mode != "constant":
        raise TraceError(f"F.pad with mode={mode!r} cannot be traced")
    widths: list[Any] = [(0, 0)] * base.ndim
    for k in range(len(pad) // 2):
        widths[base.ndim - 1 - k] = (pad[2 * k], pad[2 * k + 1])
    return N["pad"](base, widths, constant_values=0 if value is None else value)


@function("unfold")
def _unfold(input: Any, dimension: Any, size: Any, step: Any) -> Any:
    base, k = as_array(input), _axis(input, dimension)
    windows = N["lib.stride_tricks.sliding_window_view"](base, size, k)
    return N["getitem"](windows, (*(slice(None),) * k, slice(None, None, step)))


# --- gathering and scattering --------------------------------------------------------------------------------------


@function("gather", "take_along_dim")
def _gather(input: Any, dim: Any, index: Any, **_: Any) -> Any:
    return N["take_along_axis"](input, index, dim)


@function("index_select")
def _index_select(input: Any, dim: Any, index: Any) -> Any:
    return N["take"](input, index, axis=dim)


def _places(base: Array, dim: Any, index: Any) -> tuple[Any, ...]:
    """The subscript of the places x[i][index[i][j]] that scatter and gather speak of."""
    at, k = as_array(index), _axis(base, dim)
    key = []
    for j, n in enumerate(at.shape):
        shape = [1] * at.ndim
        shape[j] = n
        key.append(at if j == k else N["reshape"](N["arange"](n), tuple(shape)))
    return tuple(key)


def _spread(src: Any, index: Any) -> Any:
    """What is scattered: a number for every place, or the beginning of a tensor."""
    values, at = as_array(src), as_array(index)
    if values.ndim and values.axes != at.axes:
        return N["getitem"](values, tuple(slice(n) for n in at.shape))
    return values


@function("scatter")
def _scatter(input: Any, dim: Any, index: Any, src: Any = None, *, value: Any = None, reduce: Any = None) -> Any:
    given = value if src is None else src
    if reduce == "add":
        return _scatter_add(input, dim, index, given)
    if reduce is not None:
        raise TraceError(f"scatter with reduce={reduce!r} cannot be traced")
    result = N["copy"](input)
    if as_array(index).axes[_axis(result, dim)] is ONE:
        N["put_along_axis"](result, index, _spread(given, index), dim)
    else:
        N["setitem"](result, _places(result, dim, index), _spread(given, index))
    return result


@function("scatter_add")
def _scatter_add(input: Any, dim: Any, index: Any, src: Any) -> Any:
    result = N["copy"](input)
    N["add.at"](result, _places(result, dim, index), _spread(src, index))
    return result


def _along(dim: int, index: Any) -> Any:
    return (*(slice(None),) * dim, index) if dim else index


@function("index_add")
def _index_add(input: Any, dim: Any, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    result = N["copy"](input)
    values = source if isinstance(alpha, int) and alpha == 1 else N["multiply"](source, alpha)
    N["add.at"](result, _along(_axis(result, dim), index), values)
    return result


@function("index_copy")
def _index_copy(input: Any, dim: Any, index: Any, source: Any) -> Any:
    result = N["copy"](input)
    N["setitem"](result, _along(_axis(result, dim), index), source)
    return result


@function("index_fill")
def _index_fill(input: Any, dim: Any, index: Any, value: Any) -> Any:
    return _index_copy(input, dim, index, value)


@function("index_put")
def _index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    result = N["copy"](input)
    N["add.at" if accumulate else "setitem"](result, tuple(indices), values)
    return result


@function("masked_select")
def _masked_select(input: Any, mask: Any) -> Any:
    return N["getitem"](input, mask)


@function("select_scatter")
def _select_scatter(input: Any, src: Any, dim: Any, index: Any) -> Any:
    result = N["copy"](input)
    N["setitem"](result, _along(_axis(result, dim), index), src)
    return result


@function("slice_scatter")
def _slice_scatter(input: Any, src: Any, dim: Any = 0, start: Any = None, end: Any = None, step: Any = 1) -> Any:
    result = N["copy"](input)
    N["setitem"](result, _along(_axis(result, dim), slice(start, end, step)), src)
    return result


@function("fill_diagonal")
def _fill_diagonal(input: Any, fill_value: Any, wrap: Any = False) -> Any:
    result = N["copy"](input)
    N["fill_diagonal"](result, fill_value, wrap)
    return result


@function("fliplr")
def _fliplr(input: Any) -> Any:
    return N["fliplr"](input)


@function("flipud")
def _flipud(input: Any) -> Any:
    return N["flipud"](input)


@function("rot90")
def _rot90(input: Any, k: Any = 1, dims: Any = (0, 1)) -> Any:
    return N["rot90"](input, k, tuple(dims))


@function("diagflat")
def _diagflat(input: Any, offset: Any = 0) -> Any:
    return N["diagflat"](input, offset)


@function("take")
def _take(input: Any, index: Any) -> Any:
    return N["take"](input, index)


@function("one_hot")
def _one_hot(tensor: Any, num_classes: Any = -1) -> Any:
    if isinstance(num_classes, int) and num_classes < 0:
        raise TraceError("F.one_hot without num_classes cannot be traced", help="give the number of classes")
    return N["astype"](N["equal"](N["expand_dims"](tensor, -1), N["arange"](num_classes)), int)


@function("nonzero")
def _nonzero(input: Any, as_tuple: bool = False) -> Any:
    if as_tuple:
        return N["nonzero"](input)
    raise TraceError("torch.nonzero gives a tensor whose shape depends on the data", help="use torch.where or a mask")


# --- new tensors ---------------------------------------------------------------------------------------------------


def _maker(name: str, value: Any) -> None:
    def of(shape: Any, dtype: Any) -> Any:
        kind = numpy_type(dtype, float)
        return N["empty"](shape, dtype=kind) if value is None else N["full"](shape, value, dtype=kind)

    def like(input: Any, dtype: Any = None, **_: Any) -> Any:
        base = as_array(input)
        return N[f"{name}_like"](base, dtype=numpy_type(dtype, None))

    @function(name)
    def make(*shape: Any, size: Any = None, dtype: Any = None, **_: Any) -> Any:
        return of(dims(shape) if shape else tuple(size if size is not None else ()), dtype)

    function(f"{name}_like")(like)

    @function(f"new_{name}")
    def new(input: Any, *shape: Any, size: Any = None, dtype: Any = None, **_: Any) -> Any:
        kind = numpy_type(dtype, as_array(input).dtype)
        wanted = dims(shape) if shape else tuple(size)
        return N["empty"](wanted, dtype=kind) if value is None else N["full"](wanted, value, dtype=kind)


_maker("zeros", 0)
_maker("ones", 1)
_maker("empty", None)


@function("full")
def _full(size: Any, fill_value: Any, dtype: Any = None, **_: Any) -> Any:
    return _filled(tuple(size), fill_value, numpy_type(dtype, None))


@function("full_like")
def _full_like(input: Any, fill_value: Any, dtype: Any = None, **_: Any) -> Any:
    base = as_array(input)
    return _filled(base.shape, fill_value, numpy_type(dtype, base.dtype))


@function("new_full")
def _new_full(input: Any, size: Any, fill_value: Any, dtype: Any = None, **_: Any) -> Any:
    return _filled(tuple(size), fill_value, numpy_type(dtype, as_array(input).dtype))


def _filled(shape: Any, value: Any, kind: Any) -> Any:
    """A tensor of one value; of -inf too, which masks are made of."""
    if isinstance(value, float):
        return N["copy"](N["broadcast_to"](as_array(value), shape))
    return N["full"](shape, value, dtype=kind)


@function("fill")
def _fill(input: Any, value: Any) -> Any:
    return N["copy"](N["broadcast_to"](N["astype"](as_array(value), as_array(input).dtype), as_array(input).shape))


@function("zero")
def _zero(input: Any) -> Any:
    return N["zeros_like"](input)


@function("copy")
def _copy(input: Any, src: Any, non_blocking: bool = False) -> Any:
    return N["copy"](N["broadcast_to"](src, as_array(input).shape))


@function("eye")
def _eye(n: Any, m: Any = None, dtype: Any = None, **_: Any) -> Any:
    return N["eye"](n, m, dtype=numpy_type(dtype, float))


@function("arange")
def _arange(*bounds: Any, start: Any = 0, end: Any = None, step: Any = 1, dtype: Any = None, **_: Any) -> Any:
    bounds = bounds if end is None else (*(bounds or (start,)), end)
    made = N["arange"](*(bounds if len(bounds) != 2 else (*bounds, step)))
    return made if dtype is None else N["astype"](made, numpy_type(dtype, int))


@function("tensor", "as_tensor", "scalar_tensor", "from_numpy", "asarray")
def _tensor(data: Any, dtype: Any = None, **_: Any) -> Any:
    return N["array"](data, dtype=numpy_type(dtype, None))


@function("new_tensor")
def _new_tensor(input: Any, data: Any, dtype: Any = None, **_: Any) -> Any:
    return N["array"](data, dtype=numpy_type(dtype, None))


@function("rand", "randn", "rand_like", "randn_like", "bernoulli", "randperm", "randint", "multinomial", "normal",
          "uniform", "exponential", "random", "manual_seed", "seed")  # fmt: skip
def random(*_: Any, **__: Any) -> Any:
    """What draws numbers.

    Raises:
        TraceError: always.
    """
    raise TraceError("random numbers cannot be traced", help=RANDOM)


def dropped() -> Any:
    """Dropout while a module is trained.

    Raises:
        TraceError: always.
    """
    help = "module.eval(), training=False or p=0 turns it off; or multiply by a mask that comes in as an input"
    raise TraceError("dropout draws random numbers, which cannot be traced", help=help)


__all__ = ["Size", "dims", "dropped", "random", "size"]
