"""Arguments of compiled code: shapes, types and hyper-parameters, each fault named with its axis.

An array must have exactly the shape its tensor says: nothing is broadcast. Real arrays may be of any real type and
layout and are converted (float16 and integers exactly, float64 to float32 where that is the code's type); integer
tensors need integers. NaN and infinity pass through, as in NumPy. An axis may be empty only where nothing is
divided by its size; m = 0 is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.errors import DataError, nearest
from symbackprop.expression.build import Add, Expr, Multiply, Number, Power, Quotient, Remainder, Symbol, Tensor
from symbackprop.expression.program import Assumption, symbols
from symbackprop.rendering.text import to_text

Array = NDArray[Any]

Shapes = tuple[tuple[int, ...], ...]  # of all arrays of a call
REMEMBERED = 256  # shapes of arguments that are not looked at again


@dataclass(frozen=True)
class Signature:
    """What a compiled function takes.

    Args:
        inputs: tensors, in the order of the arguments.
        parameters: names of the hyper-parameters.
        dtype: the type of real arrays in the code.
        assumptions: label tensors have their range checked.
    """

    inputs: tuple[Tensor, ...]
    parameters: tuple[str, ...]
    dtype: np.dtype[Any]
    assumptions: tuple[Assumption, ...] = ()
    _fitting: dict[Shapes, dict[Symbol, int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # shapes that were looked at and found to fit, with the sizes that they say

    def bind(self, given: Mapping[str, Any]) -> tuple[Shapes, list[Array], list[float]]:
        """The shapes, the arrays and the hyper-parameters in the order in which the code takes them.

        Raises:
            DataError: something is missing, unknown, or of the wrong shape or type.
        """
        if given.keys() != self._names:
            same_names(
                "array", [t.name for t in self.inputs], {k: v for k, v in given.items() if k not in self.parameters}
            )
            same_names("hyper-parameter", self.parameters, {k: v for k, v in given.items() if k in self.parameters})
        names, kinds = self._arrays
        arrays = [given[name] for name in names]
        for array, kind in zip(arrays, kinds, strict=True):  # most calls pass here: it must not cost more than the work
            if type(array) is not np.ndarray or array.dtype is not kind or not (array.flags.carray or is_whole(array)):
                arrays = [as_array(t.name, a, t, self.dtype) for t, a in zip(self.inputs, arrays, strict=True)]
                break
        shapes = tuple([a.shape for a in arrays])
        sizes = self._fitting.get(shapes)
        if sizes is None:
            sizes = self.sizes(arrays)
        numbers: list[float] = []
        if self.parameters:
            numbers = [as_number(f"hyper-parameter {name}", given[name]) for name in self.parameters]
            if self._told:
                sizes, numbers = self._with_told(sizes, numbers, arrays)
        for assumption, place in self._labels:
            _check_labels(assumption, arrays[place], sizes)
        return shapes, arrays, numbers

    @cached_property
    def _told(self) -> dict[int, Symbol]:
        """Which hyper-parameters are sizes that no array tells by itself: a and b of an axis of size a + b."""
        said = [size for t in self.inputs for size in t.shape]
        said += [a.size for a, _ in self._labels if a.size is not None]
        named = {symbol.name: symbol for size in said for symbol in symbols(size)}
        return {k: named[name] for k, name in enumerate(self.parameters) if name in named}

    def _with_told(
        self, sizes: Mapping[Symbol, int], numbers: Sequence[float], arrays: Sequence[Array]
    ) -> tuple[dict[Symbol, int], list[float]]:
        """The sizes and the hyper-parameters where some of these are sizes, which every array must agree with."""
        found, whole = dict(sizes), list(numbers)
        for k, symbol in self._told.items():
            if numbers[k] < 1 or not numbers[k].is_integer():
                what = f"hyper-parameter {symbol.name} is a size: a whole number of at least 1"
                raise DataError(f"{what}, not {numbers[k]}")
            found[symbol] = whole[k] = int(numbers[k])
        _check_shapes(self.inputs, arrays, found, {})
        return found, whole

    @cached_property
    def _arrays(self) -> tuple[list[str], list[np.dtype[Any]]]:
        """The names of the arrays, and their types."""
        integers = np.dtype(np.int64)
        return [t.name for t in self.inputs], [integers if t.kind == "integer" else self.dtype for t in self.inputs]

    @cached_property
    def _labels(self) -> list[tuple[Assumption, int]]:
        """What is assumed of labels, and which arrays they are."""
        found = [a for a in self.assumptions if a.kind == "labels" and a.tensor in self.inputs]
        return [(a, self.inputs.index(a.tensor)) for a in found]

    @cached_property
    def _names(self) -> Set[str]:
        return {*(t.name for t in self.inputs), *self.parameters}

    def places(self, out: Any, outputs: Sequence[Tensor], arrays: Sequence[Array]) -> dict[str, Array]:
        """The arrays into which a caller wants outputs to be written.

        Raises:
            DataError: one is no output's, does not fit, or shares memory with an input or another one.
        """
        if not isinstance(out, Mapping):
            raise DataError(f"out is a dictionary of arrays by the names of outputs, not {type(out).__name__}",
                            help="out={name: array}")  # fmt: skip
        made, sizes, found = {t.name: t for t in outputs}, self.sizes(arrays), dict[str, Array]()
        for name, array in out.items():
            if name not in made:
                near = nearest(str(name), list(made))
                raise DataError(
                    f"out names {name!r}, which is no output", evidence=[f"known: {', '.join(made)}"],
                    help=f"did you mean {near}?" if near else None,
                )  # fmt: skip
            dtype = np.dtype(np.int64) if made[name].kind == "integer" else self.dtype
            shape = tuple(size_value(s, sizes) for s in made[name].shape)
            fits = type(array) is np.ndarray and array.shape == shape and array.dtype == dtype
            if not fits or not array.flags.carray:
                raise DataError(f"out[{name!r}] must be a writable contiguous {dtype} array of shape {shape}")
            for other, second in (*zip((t.name for t in self.inputs), arrays, strict=True), *found.items()):
                if np.may_share_memory(array, second):
                    raise DataError(f"out[{name!r}] shares memory with {other}")
            found[name] = array
        return found

    def sizes(self, arrays: Sequence[Array]) -> dict[Symbol, int]:
        """The size of every axis; every array must agree with it."""
        shapes = tuple([a.shape for a in arrays])
        found = self._fitting.get(shapes)
        if found is None:
            found = self._sizes_of(arrays)
            if len(self._fitting) < REMEMBERED:
                self._fitting[shapes] = found
        return found

    def _sizes_of(self, arrays: Iterable[Array]) -> dict[Symbol, int]:
        sizes: dict[Symbol, int] = {}
        origin: dict[Symbol, str] = {}
        pairs = list(zip(self.inputs, arrays, strict=True))
        for tensor, array in pairs:
            if array.ndim != len(tensor.shape):
                raise DataError(f"{tensor.name} has {array.ndim} axes, but {shape_text(tensor)} is needed")
            for axis, size in enumerate(tensor.shape):
                if isinstance(size, Symbol) and size not in sizes:
                    sizes[size], origin[size] = array.shape[axis], tensor.name
        for tensor, array in pairs:
            _solve_multiples(tensor, array, sizes)
        _check_shapes(self.inputs, arrays, sizes, origin)
        return sizes


def _check_shapes(
    tensors: Iterable[Tensor], arrays: Iterable[Array], sizes: Mapping[Symbol, int], origin: Mapping[Symbol, str]
) -> None:
    """Raise a DataError for the first axis that is empty or disagrees with the sizes, which have an origin."""
    for tensor, array in zip(tensors, arrays, strict=True):
        for axis, size in enumerate(tensor.shape):
            wanted = size_value(size, sizes)
            if array.shape[axis] == 0:
                raise DataError(
                    f"{tensor.name} is empty: axis {to_text(size)} has size 0",
                    help="the equations are proved for sizes of at least 1",
                )
            if wanted is not None and array.shape[axis] != wanted:
                from_where = f" (given by {origin[size]})" if isinstance(size, Symbol) and size in origin else ""
                raise DataError(
                    f"{tensor.name} has size {array.shape[axis]} along axis {axis}, which is axis {to_text(size)}"
                    f" of size {wanted}{from_where}",
                    evidence=[f"needed: {shape_text(tensor)}", f"given:  {array.shape}"],
                )


def shape_text(tensor: Tensor) -> str:
    """The shape in names: (m, s_1)."""
    return f"({', '.join(to_text(s) for s in tensor.shape)}{',' * (len(tensor.shape) == 1)})"


def as_array(name: str, value: Any, tensor: Tensor, dtype: np.dtype[Any]) -> Array:
    """`value` as a C-contiguous array of the code's type; the very same object if it is one already."""
    if type(value) is np.ndarray and value.dtype == dtype and is_whole(value) and tensor.kind == "real":
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise DataError(f"{name} is a masked array, whose mask would be lost", help=f"fill it: {name}.filled(0.0)")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        raise DataError(f"{name} is not an array: its rows have different lengths") from None
    if tensor.kind == "integer":
        if array.dtype == np.int64 and is_whole(array):
            return array
        if array.dtype.kind not in "iu":  # booleans as places are a mask in NumPy, no 0 and 1
            help = f"{name}.astype(int), if they stand for 0 and 1" if array.dtype.kind == "b" else None
            raise DataError(f"{name} has type {array.dtype}, but its entries are integers", help=help)
        return _whole(array, np.dtype(np.int64))
    if array.dtype.kind not in "fiub":
        what = f"is {type(value).__name__}" if not array.ndim and array.dtype == object else f"has type {array.dtype}"
        raise DataError(f"{name} {what}, but its entries are real numbers")
    return _whole(array, dtype)


def is_whole(array: Array) -> bool:
    """True if the numbers lie one after the other, each where numbers of its size begin."""
    flags = array.flags
    return flags.c_contiguous and flags.aligned


def _whole(array: Array, dtype: np.dtype[Any]) -> Array:
    found = np.ascontiguousarray(array, dtype).reshape(array.shape)
    return found if found.flags.aligned else found.copy()


def as_number(name: str, value: Any) -> float:
    """A hyper-parameter, or the rate of a step, as a float."""
    if isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.complexfloating)):
        try:
            return float(value)
        except OverflowError:
            raise DataError(f"{name} is too large a number") from None
    raise DataError(f"{name} must be a number, not {type(value).__name__}")


def size_value(size: Expr, sizes: Mapping[Symbol, int]) -> int | None:
    """The value of an integer expression, or None if it has a symbol of unknown value."""
    match size:
        case Number(value):
            return int(value)
        case Symbol():
            return sizes.get(size)
        case Add(parts) | Multiply(parts):
            values = [size_value(p, sizes) for p in parts]
            if any(v is None for v in values):
                return None
            known = [v for v in values if v is not None]
            return sum(known) if isinstance(size, Add) else int(np.prod(known))
        case Quotient(left, right) | Remainder(left, right) | Power(left, right):
            a, b = size_value(left, sizes), size_value(right, sizes)
            if a is None or b is None:
                return None
            return a // b if isinstance(size, Quotient) else a % b if isinstance(size, Remainder) else int(a**b)
    return None


def _solve_multiples(tensor: Tensor, array: Array, sizes: dict[Symbol, int]) -> None:
    """Read H from an axis of size 4*H where nothing else tells it."""
    for axis, size in enumerate(tensor.shape):
        match size:
            case Multiply((Number(value), Symbol() as symbol)) if symbol not in sizes:
                quotient, rest = divmod(array.shape[axis], int(value))
                if rest:
                    raise DataError(
                        f"{tensor.name} has size {array.shape[axis]} along axis {axis}, not a multiple of {value}"
                    )
                sizes[symbol] = quotient


def _check_labels(assumption: Assumption, array: Array, sizes: Mapping[Symbol, int]) -> None:
    bound = None if assumption.size is None else size_value(assumption.size, sizes)
    if not array.size:
        return
    if bound is None:  # nothing says where they end
        if (low := int(array.min())) < 0:
            raise DataError(f"{assumption.tensor.name} holds the label {low}, but labels run from 0")
        return
    flat = array.ravel().view(np.uint64)  # in which what is below 0 is very large
    if flat[flat.argmax()] < bound:  # for few labels faster than max()
        return
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= bound:
        raise DataError(
            f"{assumption.tensor.name} holds the label {low if low < 0 else high}, but labels run from 0 to {bound - 1}"
        )


def same_names(what: str, wanted: Iterable[str], given: Mapping[str, Any]) -> None:
    """Raise a DataError for the first name that is missing or unknown, or if these are no names at all."""
    if not isinstance(given, Mapping):
        raise DataError(f"a dictionary of {what}s is needed, not {type(given).__name__}")
    wanted = list(wanted)
    for name in wanted:
        if name not in given:
            raise DataError(f"missing {what} {name}", help=f"pass {name}=...")
    for name in given:
        if name not in wanted:
            near = nearest(name, wanted)
            known = ", ".join(wanted) or "none"
            raise DataError(
                f"unknown {what} {name}", evidence=[f"known: {known}"], help=f"did you mean {near}?" if near else None
            )
