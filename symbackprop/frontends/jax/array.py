"""A symbolic jax.Array: a symbolic array that never changes in place; `x.at[...]` makes another one."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.differentiation import CASTS
from symbackprop.frontends.numpy.dtypes import interval
from symbackprop.frontends.numpy.opaque import Opaque
from symbackprop.frontends.numpy.registry import METHODS, OPERATIONS
from symbackprop.frontends.numpy.session import as_numpy, assume, axis_indices, guarded, places_of


def jax() -> Any:
    """The module, which the user's code has imported."""
    return sys.modules["jax"]


class JaxArray(Array):
    """A symbolic jax.Array."""

    __slots__ = ()
    own_operators = True

    def exemplar(self) -> Any:
        """A real array of the same type; the value of a Python number stays one."""
        if self.buffer.weak:
            return super().exemplar()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where JAX has no integers of 64 bits it takes narrower ones, and says so
            return jax().numpy.ones((1,) * self.ndim, dtype=self.buffer.dtype)

    def plain(self) -> Array:
        """The array as NumPy's, on the same memory."""
        return bare(self)  # type: ignore[no-any-return]

    def like(self, value: Array) -> Array:
        """Another array as one of this library's."""
        return dressed(value)  # type: ignore[no-any-return]

    @property
    def at(self) -> Any:
        """x.at[key].set(value) and its like."""
        return _At(self)

    @property
    def T(self) -> Any:
        """The transposed array."""
        return dressed(OPERATIONS["transpose"](bare(self)))

    @property
    def mT(self) -> Any:
        """The array with the last two axes exchanged."""
        return dressed(OPERATIONS["matrix_transpose"](bare(self)))

    @property
    def real(self) -> Any:
        """The array itself: there are no complex numbers here."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name in METHODS:
            method = METHODS[name]
            if name == "astype" and self.kind == "real":
                assume(CASTS)
            return lambda *args, **options: dressed(method(bare(self), *map(bare, args), **_plain(options)))
        raise _missing(self, name)

    def __getitem__(self, key: Any) -> Any:
        return dressed(OPERATIONS["getitem"](bare(self), bare(key)))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise as_numpy(TypeError("JAX arrays are immutable: use x.at[idx].set(y)"))

    def __iter__(self) -> Iterator[Any]:
        return iter([dressed(part) for part in bare(self)])


def _missing(value: Any, name: str) -> Exception:
    if hasattr(jax().Array, name) or hasattr(np.ndarray, name):
        return TraceError(f"the array method .{name} cannot be traced")
    return as_numpy(AttributeError(f"'Array' object has no attribute '{name}'"))


for _name in ("__getattr__", "__getitem__", "__setitem__", "__iter__"):
    setattr(JaxArray, _name, guarded(getattr(JaxArray, _name)))


def bare(value: Any) -> Any:
    """A JAX array as a plain one on the same memory; those inside tuples, lists and slices alike."""
    if isinstance(value, JaxArray):
        plain = Array(value.buffer, value.axes, value.through, scalar=value.scalar)
        plain.contiguous = True
        return plain
    if type(value) in (tuple, list):
        return type(value)(map(bare, value))
    return {k: bare(v) for k, v in value.items()} if type(value) is dict else value


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    return {n: bare(v) for n, v in options.items()}


WIDE = "integers of JAX have 64 bits (jax_enable_x64), or stay below 2**31"


def _beyond_int32(value: Array) -> bool:
    """Whether integers may be larger than those that JAX has without jax_enable_x64."""
    low, high = interval(value.read()(places_of(axis_indices(value.axes))))
    return low < -(2**31) or high >= 2**31


def dressed(value: Any) -> Any:
    """Arrays as JAX arrays, those inside tuples and lists alike; a number of Python's own stays one."""
    if isinstance(value, Array) and not isinstance(value, JaxArray):
        made = JaxArray(value.buffer, value.axes, value.through, scalar=value.scalar)
        made.contiguous = True
        if value.buffer.dtype == np.int64 and _beyond_int32(value):
            assume(WIDE)
        return made
    if type(value) is dict:
        return {k: dressed(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(*map(dressed, value)) if hasattr(value, "_fields") else type(value)(map(dressed, value))
    return value


class _At:
    """x.at"""

    def __init__(self, array: JaxArray) -> None:
        self._array = array

    def __getitem__(self, key: Any) -> Any:
        return _Place(self._array, bare(key))


class _Place:
    """x.at[key]: what can be put there, as an array of its own; labels lie inside the axis, so modes say nothing."""

    def __init__(self, array: JaxArray, key: Any) -> None:
        self._array, self._key = array, key

    @guarded
    def get(self, **_: Any) -> Any:
        """The entries there."""
        return self._array[self._key]

    @guarded
    def set(self, values: Any, **_: Any) -> Any:
        """The array with these values there."""
        return self._changed(lambda a: OPERATIONS["setitem"](a, self._key, bare(values)))

    @guarded
    def add(self, values: Any, **_: Any) -> Any:
        """The array with these values added there, as often as a place occurs."""
        return self._changed(lambda a: OPERATIONS["add.at"](a, self._key, bare(values)))

    @guarded
    def multiply(self, values: Any, **_: Any) -> Any:
        """The array with the entries there multiplied."""
        there = OPERATIONS["getitem"](bare(self._array), self._key)
        return self.set(OPERATIONS["multiply"](there, bare(values)))

    mul = multiply

    def _changed(self, change: Callable[[Array], Any]) -> Any:
        copy = OPERATIONS["copy"](bare(self._array))
        copy = Array(copy.buffer, copy.axes, copy.through)
        change(copy)
        return dressed(copy)

    def __getattr__(self, name: str) -> Any:
        raise TraceError(f"x.at[...].{name} cannot be traced")


@guarded
def call(name: str, *args: Any, **options: Any) -> Any:
    """An operation of `frontends.numpy` on JAX arrays."""
    unknown = next((a for a in args if isinstance(a, Opaque)), None)
    if unknown is not None:
        return unknown
    return dressed(OPERATIONS[name](*map(bare, args), **_plain(options)))


def _operator(name: str, swapped: bool) -> Callable[[JaxArray, Any], Any]:
    def operator(self: JaxArray, other: Any) -> Any:
        return call(name, *((other, self) if swapped else (self, other)))

    return operator


def _enter_operators() -> None:
    """Of an immutable array x += y is x = x + y."""
    pairs = {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
        "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
        "xor": "bitwise_xor",
    }  # fmt: skip
    for symbol, name in pairs.items():
        for prefix, swapped in (("", False), ("r", True), ("i", False)):
            setattr(JaxArray, f"__{prefix}{symbol}__", _operator(name, swapped))
    for symbol, name in {
        "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
    }.items():  # fmt: skip
        setattr(JaxArray, f"__{symbol}__", _operator(name, False))
    for symbol, name in {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}.items():
        setattr(JaxArray, f"__{symbol}__", functools.partialmethod(_unary, name))


def _unary(self: JaxArray, name: str) -> Any:
    return call(name, self)


_enter_operators()
