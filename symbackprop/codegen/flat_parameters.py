"""A network's arrays: their names, shapes and places in the flat vector, and the check of what a caller gives.

Nothing is broadcast: Y of shape (m,) for one output unit is refused, with the way to write it. NaN passes through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import prod
from operator import itemgetter
from typing import Any

import numpy as np

from symbackprop.codegen.arguments import (
    REMEMBERED,
    Array,
    Shapes,
    as_array,
    as_number,
    is_whole,
    same_names,
    size_value,
)
from symbackprop.errors import DataError, UnsupportedError
from symbackprop.expression.build import Expr, Symbol, Tensor
from symbackprop.expression.program import Program
from symbackprop.rendering.text import to_text

OWN = {"out", "order", "batch", "rate"}  # arguments of flat, bind and epoch


class FlatLayout:
    """What a compiled network takes.

    Args:
        adjoint: its inputs are x, y and the parameters in the order of the flat vector.
        widths: units of each layer, or the name of a size left open.
    """

    def __init__(
        self, adjoint: Program, widths: Sequence[int | str], dtype: np.dtype[Any], hyper: tuple[str, ...]
    ) -> None:
        for name in OWN.intersection(hyper):
            raise UnsupportedError(
                f"a hyper-parameter cannot be called {name}: that is an argument of the compiled function",
                help=f"give it another name, such as {name}_1",
            )
        self.x, self.y, *parameters = adjoint.inputs
        assert (self.x.name, self.y.name) == ("x", "y"), "a network's first inputs are x and y"
        self.parameters = parameters
        self.names = [p.name for p in parameters]
        self.dtype, self.hyper = dtype, hyper
        rows = self.x.shape[0]
        assert isinstance(rows, Symbol), "the number of examples is a symbol"
        self.rows = rows
        axes = [self.x.shape[1], *(p.shape[0] for p in parameters if len(p.shape) == 2)]
        self.known = {a: w for a, w in zip(axes, widths, strict=True) if isinstance(a, Symbol) and isinstance(w, int)}
        self.shapes = [self._shape(p) for p in parameters]
        self.inputs = size_value(self.x.shape[1], self.known)
        self.units = size_value(self.y.shape[1], self.known)
        starts = np.cumsum([0, *(prod(s) if s else 0 for s in self.shapes)]).tolist()
        self.places = [(a, b, s) for a, b, s in zip(starts, starts[1:], self.shapes, strict=False)]
        self.length = starts[-1]
        self.is_known = None not in self.shapes
        self.widest = max((s[0] for s in self.shapes if s), default=1)
        self.named_shapes = [(n, s) for n, s in zip(self.names, self.shapes, strict=True) if s is not None]
        self._hyper_set = set(hyper)
        self._fitting: set[Shapes] = set()  # shapes of all arrays that were looked at

    def _shape(self, tensor: Tensor) -> tuple[int, ...] | None:
        sizes = [size_value(s, self.known) for s in tensor.shape]
        known = tuple(s for s in sizes if s is not None)
        return known if len(known) == len(sizes) else None

    @cached_property
    def pick(self) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
        """The parameters of a dictionary, in order."""
        found = itemgetter(*self.names)
        return found if len(self.names) > 1 else lambda params: (found(params),)

    def numbers(self, hyper: Mapping[str, Any]) -> list[float]:
        """The hyper-parameters in order.

        Raises:
            DataError: one is missing, unknown, or not a number.
        """
        if hyper.keys() != self._hyper_set:
            same_names("hyper-parameter", self.hyper, hyper)
        found = [hyper[name] for name in self.hyper]
        for value in found:
            if type(value) is not float:
                return [as_number(f"hyper-parameter {n}", v) for n, v in zip(self.hyper, found, strict=True)]
        return found

    def data(self, X: Any, Y: Any) -> tuple[Array, Array]:
        """X and Y as arrays of the code's type; each fault is named with its axis."""
        x = self._matrix("X", X, self.inputs, "first", self.x)
        y = self._matrix("Y", Y, self.units, "last", self.y)
        if len(x) != len(y):
            raise DataError(f"X has {len(x)} rows, Y has {len(y)} (axis {to_text(self.rows)}, the examples)")
        return x, y

    def _matrix(self, name: str, value: Any, width: int | None, layer: str, tensor: Tensor) -> Array:
        if type(value) is np.ndarray and value.dtype is self.dtype and is_whole(value):
            shape = value.shape
            if len(shape) == 2 and shape[0] and shape[1] == width:
                return value  # most calls end here: for small nets the checks must not cost more than the work
        array = as_array(name, value, tensor, self.dtype)
        if array.ndim != 2:
            help = f"write {name}.reshape(-1, 1)" if array.ndim == 1 and width == 1 else None
            if array.ndim == 1 and name == "Y" and np.asarray(value).dtype.kind in "iu" and width not in (None, 1):
                help = f"labels become rows with a single 1: np.eye({width})[Y]"
            shape = f"({to_text(tensor.shape[0])}, {to_text(tensor.shape[1])})"
            raise DataError(f"{name} has the shape {array.shape}, but {shape} is needed", help=help)
        if not len(array):
            raise DataError(f"{name} has no rows (axis {to_text(self.rows)}, the examples)")
        if width is not None and array.shape[1] != width:
            raise DataError(
                f"{name} has {array.shape[1]} columns, the network's {layer} layer has {width} units"
                f" (axis {to_text(tensor.shape[1])})"
            )
        return array

    def arguments(self, params: Mapping[str, Any], X: Any, Y: Any) -> list[Array]:
        """Data and parameters in the order in which the code takes them."""
        if type(params) is dict and len(params) == len(self.names):
            arrays = [X, Y, *map(params.get, self.names)]
            dtype = self.dtype
            for (
                array
            ) in arrays:  # most calls end after this: for small nets the checks must not cost more than the work
                if type(array) is not np.ndarray or array.dtype is not dtype:
                    break
                if not array.flags.carray and not is_whole(array):
                    break
            else:
                if tuple([a.shape for a in arrays]) in self._fitting:
                    return arrays
        self._check_names(params)
        arrays = self._with_parameters(self.data(X, Y), params)
        if len(self._fitting) < REMEMBERED:
            self._fitting.add(tuple([a.shape for a in arrays]))
        return arrays

    def without_targets(self, params: Mapping[str, Any], X: Any) -> list[Array]:
        """The same without Y."""
        self._check_names(params)
        return self._with_parameters([self._matrix("X", X, self.inputs, "first", self.x)], params)

    def _check_names(self, params: Mapping[str, Any]) -> None:
        if (
            not isinstance(params, Mapping)
            or len(params) != len(self.names)
            or any(n not in params for n in self.names)
        ):
            same_names("parameter", self.names, params)

    def _with_parameters(self, data: Sequence[Array], params: Mapping[str, Any]) -> list[Array]:
        arrays = [as_array(t.name, params[t.name], t, self.dtype) for t in self.parameters]
        self._check(data, arrays)
        return [*data, *arrays]

    def _check(self, data: Sequence[Array], arrays: Sequence[Array]) -> None:
        for tensor, array, shape in zip(self.parameters, arrays, self.shapes, strict=True):
            if array.shape == shape:
                continue
            if shape is not None or array.ndim != len(tensor.shape):
                raise self._wrong_shape(tensor, array, shape)
        if None in self.shapes:
            self._agree(data, arrays)

    def _agree(self, data: Sequence[Array], arrays: Sequence[Array]) -> None:
        """Sizes left open must be the same wherever they occur."""
        found: dict[Expr, tuple[int, str]] = {}
        for tensor, array in zip([self.x, self.y][: len(data)] + self.parameters, [*data, *arrays], strict=True):
            for axis, size in enumerate(tensor.shape):
                value, origin = found.setdefault(size, (array.shape[axis], tensor.name))
                if value != array.shape[axis]:
                    raise DataError(
                        f"{tensor.name} has size {array.shape[axis]} along axis {to_text(size)},"
                        f" but {origin} has {value}"
                    )

    @staticmethod
    def _wrong_shape(tensor: Tensor, array: Array, shape: tuple[int, ...] | None) -> DataError:
        named = f"({', '.join(to_text(s) for s in tensor.shape)}{',' * (len(tensor.shape) == 1)})"
        wanted = named if shape is None or named == str(shape) else f"{named} = {shape}"
        return DataError(f"{tensor.name} has the shape {array.shape}, but {wanted} is needed")

    def vector(self, theta: Any) -> Array:
        """The flat vector as an array of the code's type."""
        if None in self.shapes:
            raise UnsupportedError("a flat vector needs the width of every layer", help="give the widths as numbers")
        array = as_array("theta", theta, Tensor("theta"), self.dtype)
        if array.shape != (self.length,):
            named = ", ".join(f"{n} {s}" for n, s in zip(self.names, self.shapes, strict=True))
            raise DataError(
                f"theta has the shape {array.shape}, but ({self.length},) is needed", evidence=[f"it holds: {named}"]
            )
        return array

    def views(self, theta: Array) -> list[Array]:
        """The parameters inside the flat vector, without a copy."""
        return [theta[a:b] if len(s) == 1 else theta[a:b].reshape(s) for a, b, s in self.places if s is not None]

    def output(self, out: Array, *inputs: Array) -> Array:
        """`out`, if a gradient can be written to it."""
        fits = isinstance(out, np.ndarray) and out.shape == (self.length,) and out.dtype == self.dtype
        if not fits or not out.flags.c_contiguous or not out.flags.writeable:
            raise DataError(f"out must be a writable contiguous {self.dtype} array of shape ({self.length},)")
        if any(np.may_share_memory(out, i) for i in inputs):
            raise DataError("out shares memory with an input, which would be overwritten while it is read")
        return out

    def outputs(self, arrays: Sequence[Array]) -> int:
        """K, the units of the last layer."""
        return self.units if self.units is not None else int(arrays[-1].shape[0])
