"""What stands in for `numpy`, `math`, `scipy.special` and Python's builtins while a function is traced.

`np.zeros((N, D))` receives symbolic sizes and no array, so NumPy's own dispatch never sees it: the user's `np` is
replaced by a namespace with functions of the same names. What is missing is refused by name, when it is called.
"""

from __future__ import annotations

import builtins
import math
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

# These fill the table of operations.
import symbackprop.frontends.numpy.assignment
import symbackprop.frontends.numpy.joining
import symbackprop.frontends.numpy.products
import symbackprop.frontends.numpy.reductions
import symbackprop.frontends.numpy.scalar_functions
import symbackprop.frontends.numpy.sorting  # noqa: F401
from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, Symbol
from symbackprop.frontends.numpy.array import Array, scalar
from symbackprop.frontends.numpy.creation import convert_to, to_integer
from symbackprop.frontends.numpy.elementwise import Masked
from symbackprop.frontends.numpy.operands import exact
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.size import Size, SymbolicRange, size

PI = Symbol("pi", "positive")
RANDOM = "random numbers: randomness must come in as an input"


class Refused:
    """Something that cannot be traced; it says so when it is called or looked into."""

    def __init__(self, name: str, help: str | None = None) -> None:
        self._name, self._help = name, help

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Refuse."""
        raise TraceError(f"{self._name} cannot be traced", help=self._help)

    def __getattr__(self, name: str) -> Any:
        return self if name.startswith("_") else Refused(f"{self._name}.{name}", self._help)

    def __getitem__(self, _: Any) -> Any:
        return self()


class Operation:
    """A NumPy function, with the methods of a ufunc: np.add.at, np.maximum.reduce, np.multiply.outer."""

    def __init__(self, name: str, shown: str) -> None:
        self.__name__, self._shown = name, shown

    def __call__(self, *args: Any, **options: Any) -> Any:
        return OPERATIONS[self.__name__](*args, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        inner = f"{self.__name__}.{name}"
        return Operation(inner, f"{self._shown}.{name}") if inner in OPERATIONS else Refused(f"{self._shown}.{name}")


class Namespace:
    """A module whose functions work on symbolic arrays.

    Args:
        module: the real one, for its constants and types.
        prefix: what its functions are called in `OPERATIONS`: "linalg." for np.linalg.
        shown: what the user calls it.
    """

    def __init__(self, module: Any, prefix: str, shown: str) -> None:
        self._module, self._prefix, self._shown = module, prefix, shown

    def __getattr__(self, name: str) -> Any:
        shown = f"{self._shown}.{name}"
        if name in ("random", "rand", "randn"):
            return Refused(shown, RANDOM)
        if self._prefix + name in OPERATIONS:
            return Operation(self._prefix + name, shown)
        if not hasattr(self._module, name):
            raise AttributeError(f"module {self._shown!r} has no attribute {name!r}")
        return self._other(getattr(self._module, name), name, shown)

    def _other(self, value: Any, name: str, shown: str) -> Any:
        if isinstance(value, types.ModuleType):
            return Namespace(value, f"{self._prefix}{name}.", shown)
        if isinstance(value, float):
            return constant(value)
        if isinstance(value, type) and issubclass(value, np.generic):
            return Convert(convert_to(value), value)
        if isinstance(value, type) or value is None or isinstance(value, (int, str)):
            return value
        if name in _CONTEXTS:
            return value
        return Refused(shown, "read the data outside and pass it as an input" if name in _FILES else None)


_CONTEXTS = ("errstate", "seterr", "finfo", "iinfo", "dtype", "result_type", "set_printoptions")
_FILES = ("load", "loadtxt", "genfromtxt", "fromfile", "save", "savez", "savetxt", "memmap")


class Convert:
    """int, float, np.float64, ...: called it converts, as a dtype or in isinstance it is the type itself."""

    def __init__(self, convert: Callable[..., Any], kind: type) -> None:
        self._convert, self.traced_type = convert, kind

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._convert(*args, **options)

    def __eq__(self, other: Any) -> bool:
        """x.dtype == np.float64 and type(x) == float compare the types themselves."""
        other = getattr(other, "traced_type", other)
        return bool(np.dtype(self.traced_type) == other if isinstance(other, np.dtype) else self.traced_type is other)

    def __hash__(self) -> int:
        return hash(self.traced_type)

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's type, which makes np.dtype(np.float64) and x.dtype == np.float64 work."""
        return np.dtype(self.traced_type)


def constant(value: float) -> Any:
    """A float as the number that was meant; pi and e are themselves, infinities stay."""
    if not math.isfinite(value):
        return value
    if value == math.pi:
        return scalar(PI)
    if value == math.e:
        return OPERATIONS["exp"](scalar(ONE))
    return scalar(exact(value))


NUMPY = Namespace(np, "", "np")


class _Math(Namespace):
    """`math`: the functions of NumPy on scalars."""

    def __getattr__(self, name: str) -> Any:
        if name in ("floor", "ceil", "trunc", "prod", "gcd", "factorial", "comb", "isclose"):
            return lambda *args: _math(name, *args)
        if name == "tau":
            return OPERATIONS["multiply"](2, scalar(PI))
        return getattr(NUMPY, {"pow": "power"}.get(name, name)) if name != "erf" else OPERATIONS["special.erf"]


def _math(name: str, *args: Any) -> Any:
    if name == "prod":
        return OPERATIONS["prod"](*args)
    if name == "trunc":
        return to_integer(args[0])
    if name == "floor":
        return to_integer(args[0], down=True)
    if name == "ceil":
        return -to_integer(-args[0], down=True)
    if name == "isclose":
        return math.isclose(*(float(a) for a in args))
    return getattr(math, name)(*(int(a) if isinstance(a, Array) else a for a in args))


MATH = _Math(math, "", "math")


class _WhenImported:
    """A module, once the user's code has imported it: to import scipy.special here would cost everybody time."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        module = sys.modules.get(self._name)
        if module is None:
            raise AttributeError(name)
        return getattr(module, name)


SCIPY_SPECIAL = _WhenImported("scipy.special")
SPECIAL = Namespace(SCIPY_SPECIAL, "special.", "scipy.special")
MODULES = {"numpy": NUMPY, "math": MATH, "scipy.special": SPECIAL}


class _Scipy(Namespace):
    def __getattr__(self, name: str) -> Any:
        return SPECIAL if name == "special" else Refused(f"scipy.{name}")


def by_identity() -> dict[int, Any]:
    """id of NumPy's, SciPy's and math's own functions -> what stands in for them: `from numpy import exp`."""
    table: dict[int, Any] = {id(math.sqrt): MATH.sqrt, id(math.exp): MATH.exp, id(math.log): MATH.log}
    for name in OPERATIONS:
        owner, leaf = (SCIPY_SPECIAL, name[8:]) if name.startswith("special.") else (np, name)
        if "." not in leaf and hasattr(owner, leaf):
            table[id(getattr(owner, leaf))] = Operation(name, leaf)
    return table


# --- builtins -----------------------------------------------------------------------------------------------------


def _len(value: Any) -> Any:
    if isinstance(value, Array):
        if not value.axes:
            raise TypeError("len() of unsized object")
        return size(value.axes[0])
    return builtins.len(value)


def _range(*bounds: Any) -> Any:
    if any(isinstance(b, Size) for b in bounds):
        return SymbolicRange(*bounds)
    return range(*(int(b) for b in bounds))


def _int(value: Any = 0, *base: Any) -> Any:
    return int(value, *base) if base or isinstance(value, str) else to_integer(value)


def _float(value: Any = 0.0) -> Any:
    return OPERATIONS["multiply"](value, 1) if isinstance(value, (Array, Size)) else constant(float(value))


def _round(value: Any, digits: int | None = None) -> Any:
    if isinstance(value, Array):
        raise TraceError("round() of an array cannot be traced")
    return value if isinstance(value, Size) else builtins.round(value, digits)


def _isinstance(value: Any, kinds: Any) -> bool:
    wanted = kinds if isinstance(kinds, tuple) else (kinds,)
    wanted = tuple(_type_of(k) for w in wanted for k in (w if isinstance(w, tuple) else (w,)))
    if isinstance(value, Size):
        return any(k in (int, np.integer, object) for k in wanted)
    if isinstance(value, Array):
        plain = value.scalar
        return any(k in ((float, np.floating, np.float64, np.generic) if plain else (np.ndarray,)) for k in wanted)
    return builtins.isinstance(value, wanted)


def _type(value: Any, *more: Any, **options: Any) -> Any:
    """type(x): the type that the value has when NumPy runs the code, as it is written there."""
    if more:
        return type(value, *more, **options)
    if isinstance(value, Size):
        return _INT
    if isinstance(value, Array):
        return Convert(convert_to(np.float64), np.float64) if value.scalar else np.ndarray
    return {int: _INT, float: _FLOAT}.get(type(value), type(value))


def _type_of(kind: Any) -> Any:
    """The real type behind a stand-in."""
    return getattr(kind, "traced_type", kind)


def _extreme(name: str, array_name: str) -> Callable[..., Any]:
    """max or min: of sizes by proof, of scalars entry by entry, of an array as NumPy does."""
    plain = getattr(builtins, name)

    def extreme(*args: Any, **options: Any) -> Any:
        items = list(args[0]) if builtins.len(args) == 1 and not isinstance(args[0], Array) else list(args)
        if builtins.len(args) == 1 and isinstance(args[0], Array):
            return OPERATIONS[name](args[0])
        if not options and any(isinstance(i, Array) for i in items):
            if any(isinstance(i, Array) and i.ndim for i in items):
                raise TraceError(f"{name}() of arrays, whose truth value is ambiguous", help=f"use np.{array_name}")
            result = items[0]
            for item in items[1:]:
                result = OPERATIONS[array_name](result, item)
            return result
        return plain(items, **options)

    return extreme


def _sum(items: Iterable[Any], start: Any = 0) -> Any:
    if isinstance(items, Array):
        return OPERATIONS["sum"](items, axis=0) + start
    return builtins.sum(items, start)


_INT, _FLOAT = Convert(_int, int), Convert(_float, float)


def shadow_builtins(imported: Callable[..., Any]) -> dict[str, Any]:
    """Python's builtins for traced code.

    Args:
        imported: what `import` inside the function calls.
    """
    files = "read the data outside and pass it as an input"
    return vars(builtins) | {
        "int": _INT,
        "float": _FLOAT,
        "len": _len,
        "range": _range,
        "sum": _sum,
        "max": _extreme("max", "maximum"),
        "min": _extreme("min", "minimum"),
        "round": _round,
        "isinstance": _isinstance,
        "type": Convert(_type, type),
        "print": lambda *_, **__: None,
        "open": Refused("open()", files),
        "input": Refused("input()", files),
        "eval": Refused("eval()"),
        "exec": Refused("exec()"),
        "globals": Refused("globals()"),
        "__import__": imported,
    }


__all__ = ["MODULES", "NUMPY", "Masked", "Refused", "by_identity", "constant", "shadow_builtins"]
