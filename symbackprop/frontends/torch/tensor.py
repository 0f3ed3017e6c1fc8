"""A symbolic torch.Tensor, and the table of torch's functions: each is written in the operations of `frontends.numpy`.

A tensor is a symbolic array with torch's names. Operations are given plain arrays, and what they return becomes tensors
again. What is detached, or computed while gradients are off, has derivative 0 from there on.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import Number
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.differentiation import CASTS, OF_HALF, are_off, is_data, stopped
from symbackprop.frontends.numpy.inner_derivatives import leaf, leaf_of
from symbackprop.frontends.numpy.opaque import Opaque
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import as_numpy, assume, guarded
from symbackprop.frontends.numpy.size import size

F = TypeVar("F", bound=Callable[..., Any])
FUNCTIONS: dict[str, Callable[..., Any]] = {}  # by torch's name, methods and functions alike
_IN_MEMORY: Any = vars(Array)["contiguous"]  # the slot under the method of that name


def torch() -> Any:
    """The module, which the user's code has imported."""
    return sys.modules["torch"]


# --- tensors -------------------------------------------------------------------------------------------------------


class Shape(tuple[Any, ...]):
    """torch.Size, of symbolic sizes."""

    __slots__ = ()

    def numel(self) -> Any:
        """The number of entries."""
        return functools.reduce(lambda a, b: a * b, self, 1)


class Tensor(Array):
    """A symbolic torch.Tensor."""

    __slots__ = ()
    own_operators = True

    def exemplar(self) -> Any:
        """A real tensor of the same type."""
        return torch().ones((1,) * self.ndim, dtype=self.dtype)

    def plain(self) -> Array:
        """The array as NumPy's, on the same memory."""
        return bare(self)  # type: ignore[no-any-return]

    def like(self, value: Array) -> Array:
        """Another array as one of this library's."""
        return dressed(value)  # type: ignore[no-any-return]

    @property
    def shape(self) -> Any:
        """The sizes of the axes."""
        return Shape(size(n) for n in self.axes)

    def size(self, dim: Any = None) -> Any:
        """x.size(), x.size(0)."""
        return self.shape if dim is None else self.shape[dim]

    @property
    def dtype(self) -> Any:
        """torch's type: single and half precision count as double."""
        return torch().float64 if self.kind == "real" else getattr(torch(), str(self.buffer.dtype))

    @property
    def device(self) -> Any:
        """The processor."""
        return torch().device("cpu")

    @property
    def layout(self) -> Any:
        """Dense."""
        return torch().strided

    @property
    def contiguous(self) -> Any:
        """x.contiguous(); how an array lies in memory is asked of `bare(x)`."""
        return functools.partial(call, "contiguous", self)

    @contiguous.setter
    def contiguous(self, value: bool) -> None:
        _IN_MEMORY.__set__(self, value)

    is_cuda = is_sparse = is_quantized = is_mps = is_nested = is_leaf = False
    grad_fn = None

    @property
    def requires_grad(self) -> bool:
        """Any tensor may be differentiated."""
        return True

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        """x.requires_grad = True: from here on the code may ask for derivatives by it."""
        if wanted and self.kind == "real" and leaf_of(self) is None:
            made = leaf(bare(self)).values
            self.buffer, self.through, self.axes = made.buffer, made.through, made.axes

    @property
    def grad(self) -> Any:
        """What `.backward()` has added up."""
        own = leaf_of(self)
        return None if own is None else dressed(own.gradient)

    @grad.setter
    def grad(self, value: Any) -> None:
        own = leaf_of(self)
        if own is None:
            raise TraceError("an assignment to .grad of a tensor that is no leaf cannot be traced")
        own.gradient = None if value is None else bare(value)

    @property
    def data(self) -> Any:
        """The same numbers, detached."""
        return dressed(stopped(bare(self)))

    @property
    def T(self) -> Any:
        """The transposed view."""
        return call("permute", self, *reversed(range(self.ndim)))

    @property
    def mT(self) -> Any:
        """The view with the last two axes exchanged."""
        return call("transpose", self, -2, -1)

    @property
    def H(self) -> Any:
        """The transposed view of real numbers."""
        return call("transpose", self, -2, -1)

    @property
    def real(self) -> Any:
        """The tensor itself: there are no complex numbers here."""
        return self

    def numpy(self, *, force: bool = False) -> Any:
        """NumPy's array on the same memory."""
        return bare(self)

    def __getattr__(self, name: str) -> Any:
        if name in FUNCTIONS:
            return functools.partial(call, name, self)
        if name.endswith("_") and not name.startswith("_") and name[:-1] in FUNCTIONS:
            return functools.partial(_in_place, name[:-1], self)
        if hasattr(torch().Tensor, name):
            raise TraceError(f"the tensor method .{name} cannot be traced")
        raise as_numpy(AttributeError(f"'Tensor' object has no attribute '{name}'"))

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __getitem__(self, key: Any) -> Any:
        return dressed(OPERATIONS["getitem"](bare(self), _key(key)))

    def __setitem__(self, key: Any, value: Any) -> None:
        _write(self, lambda a: OPERATIONS["setitem"](a, _key(key), bare(value)))

    def __iter__(self) -> Iterator[Any]:
        return iter([dressed(part) for part in bare(self)])

    def __copy__(self) -> Any:
        return call("clone", self)

    def __deepcopy__(self, _: Any) -> Any:
        return call("clone", self)

    @classmethod
    def __torch_function__(cls, function: Any, _: Any, args: Any = (), options: Any = None) -> Any:
        name = getattr(function, "__name__", str(function))
        if name not in FUNCTIONS:
            raise TraceError(f"torch.{name} cannot be traced")
        return call(name, *args, **(options or {}))


for _name in ("__getattr__", "__getitem__", "__setitem__", "__iter__"):
    setattr(Tensor, _name, guarded(getattr(Tensor, _name)))


def _key(key: Any) -> Any:
    """A subscript with plain arrays; a list of numbers and slices is a tuple of them."""
    if isinstance(key, tuple):
        return tuple(map(_key, key))
    return bare(key)


def bare(value: Any) -> Any:
    """A tensor as a plain array on the same memory; tensors inside tuples and lists alike; other values as they are."""
    if isinstance(value, Tensor):
        plain = Array(value.buffer, value.axes, value.through)
        plain.contiguous = _IN_MEMORY.__get__(value)
        plain.shared = value.shared
        return plain
    if type(value) in (tuple, list):
        return type(value)(map(bare, value))
    return {k: bare(v) for k, v in value.items()} if type(value) is dict else value


def dressed(value: Any) -> Any:
    """Arrays as tensors, those inside tuples and lists alike; a number of Python's own stays one."""
    if type(value) is dict:
        return {k: dressed(v) for k, v in value.items()}
    if isinstance(value, Tensor) or not isinstance(value, (Array, tuple, list)):
        return value
    if isinstance(value, Array):
        if are_off():
            value = stopped(value)
        if value.buffer.dtype == np.int64 and not value.buffer.shape:
            value.buffer.weak = True  # a tensor without axes leaves the type of one with axes as it is
        result = Tensor(value.buffer, value.axes, value.through)
        result.contiguous, result.shared = value.contiguous, value.shared
        return result
    if hasattr(value, "_fields"):
        return type(value)(*map(dressed, value))
    return type(value)(map(dressed, value)) if type(value) in (tuple, list) else value


def _write(tensor: Tensor, change: Callable[[Array], Any]) -> None:
    """Change a tensor in place."""
    if are_off() and is_data(tensor):
        raise TraceError("a change in place where gradients are off cannot be traced")
    plain = bare(tensor)
    change(plain)
    tensor.contiguous, tensor.shared = plain.contiguous, plain.shared


# --- functions -----------------------------------------------------------------------------------------------------


def function(*names: str) -> Callable[[F], F]:
    """Enter a function under torch's names; it is given plain arrays."""

    def enter(make: F) -> F:
        FUNCTIONS.update(dict.fromkeys(names, make))
        return make

    return enter


@guarded
def call(name: str, *args: Any, **options: Any) -> Any:
    """A function of torch, by its name; `out` is written and returned."""
    out = options.pop("out", None)
    unknown = next((a for a in args if isinstance(a, Opaque)), None)
    if unknown is not None:
        return unknown
    given = {n: bare(v) for n, v in options.items()}
    result = dressed(FUNCTIONS[name](*map(bare, args), **given))
    if out is None:
        return result
    _write(out, lambda a: OPERATIONS["setitem"](a, ..., bare(result)))
    return out


@guarded
def _in_place(name: str, tensor: Tensor, *args: Any, **options: Any) -> Tensor:
    """x.mul_(y): the method without the underscore, written back."""
    if name == "requires_grad":
        tensor.requires_grad = all((*args, *options.values()))
    if name in ("requires_grad", "detach", "share_memory"):
        return tensor
    result = call(name, tensor, *args, **options)
    if result.axes != tensor.axes:
        if name not in ("squeeze", "unsqueeze", "t", "transpose"):
            raise as_numpy(RuntimeError(f"the result of {name}_ does not have the shape of the tensor"))
        raise TraceError(f"the tensor method .{name}_ cannot be traced")
    _write(tensor, lambda a: OPERATIONS["setitem"](a, ..., OPERATIONS["copy"](bare(result))))
    return tensor


def _operator(name: str, swapped: bool) -> Callable[[Tensor, Any], Any]:
    def operator(self: Tensor, other: Any) -> Any:
        if isinstance(other, Opaque):
            return other
        left, right = (other, self) if swapped else (self, other)
        return dressed(OPERATIONS[name](bare(left), bare(right)))

    return guarded(operator)


def _inplace_operator(name: str) -> Callable[[Tensor, Any], Any]:
    def operator(self: Tensor, other: Any) -> Any:
        _write(self, lambda a: OPERATIONS["inplace"](name, a, bare(other)))
        return self

    return guarded(operator)


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor",
}  # fmt: skip
for _symbol, _name in _OPERATORS.items():
    setattr(Tensor, f"__{_symbol}__", _operator(_name, False))
    setattr(Tensor, f"__r{_symbol}__", _operator(_name, True))
    setattr(Tensor, f"__i{_symbol}__", _inplace_operator(_name))
for _symbol, _name in {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}.items():  # fmt: skip
    setattr(Tensor, f"__{_symbol}__", _operator(_name, False))
for _symbol, _name in {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}.items():

    def _unary(self: Tensor, name: str = _name) -> Any:
        return dressed(OPERATIONS[name](bare(self)))

    setattr(Tensor, f"__{_symbol}__", guarded(_unary))


def number(value: Any) -> Fraction | None:
    """The number that an argument is, None for one that depends on data or sizes, or is none."""
    if isinstance(value, (int, float)):
        return Fraction(value) if math.isfinite(value) else None
    known = value.constant() if isinstance(value, Array) else None
    return known.value if isinstance(known, Number) else None


def cast(value: Array, dtype: Any) -> Array:
    """The numbers in another of torch's types: reals stay what they are."""
    if dtype is None:
        return value
    if dtype.is_complex:
        raise TraceError(f"numbers of type {dtype} cannot be traced")
    if dtype.is_floating_point and value.kind == "real":
        if dtype is not torch().float64:
            assume(CASTS)
        if dtype is torch().float16:
            assume(OF_HALF)
        return value
    wanted = numpy_type(dtype, None)
    return value if value.buffer.dtype == wanted else OPERATIONS["astype"](value, wanted)


def numpy_type(dtype: Any, default: Any) -> Any:
    """NumPy's type for torch's, or the default; integers of a few bits wrap around in both."""
    if dtype is None:
        return default
    return float if dtype.is_floating_point else np.dtype(str(dtype).removeprefix("torch."))
