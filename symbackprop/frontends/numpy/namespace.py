"""What stands in for `numpy`, `math`, `scipy.special` and Python's builtins while a function is traced.

`np.zeros((N, D))` receives symbolic sizes and no array, so NumPy's own dispatch never sees it: the user's `np` is
replaced by a namespace with functions of the same names. What is missing is refused by name, when it is called.
"""

from __future__ import annotations

import contextlib
import math
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import symbackprop.frontends.numpy.assignment
import symbackprop.frontends.numpy.composed
import symbackprop.frontends.numpy.joining
import symbackprop.frontends.numpy.matrices
import symbackprop.frontends.numpy.products
import symbackprop.frontends.numpy.reductions
import symbackprop.frontends.numpy.scalar_functions
import symbackprop.frontends.numpy.sorting  # noqa: F401
from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, Symbol
from symbackprop.frontends.numpy.array import Array, exemplar, has_entry, scalar
from symbackprop.frontends.numpy.creation import convert_to, to_integer
from symbackprop.frontends.numpy.dtypes import ROUNDED
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, size_symbols
from symbackprop.frontends.numpy.masked import Masked, Places
from symbackprop.frontends.numpy.opaque import RANDOM, NotUsable, Refused, Source, first_opaque
from symbackprop.frontends.numpy.operands import as_array, exact, rounding_of
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import as_numpy, asked_by_user, current, guarded, hands_on
from symbackprop.frontends.numpy.size import Size, SymbolicRange
from symbackprop.frontends.numpy.symbolic import STAND_INS

# These fill the table of operations.

PI = Symbol("pi", "positive")


class Operation:
    """A NumPy function, with the methods of a ufunc: np.add.at, np.maximum.reduce, np.multiply.outer."""

    def __init__(self, name: str, shown: str) -> None:
        self.__name__, self._shown = name, shown

    @hands_on
    def __call__(self, *args: Any, **options: Any) -> Any:
        """The operation; of unknown numbers it is unknown."""
        unknown = first_opaque(args)
        if unknown is not None:
            return unknown(*args[1:] if args[0] is unknown else args, **options)
        ufunc = getattr(np, self.__name__, None)
        if isinstance(ufunc, np.ufunc) and ufunc.nout == 1 and len(args) == ufunc.nin + 1:
            args, options["out"] = args[:-1], args[-1]
        return OPERATIONS[self.__name__](*args, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not asked_by_user():
            raise AttributeError(name)
        inner = f"{self.__name__}.{name}"
        return Operation(inner, f"{self._shown}.{name}") if inner in OPERATIONS else Refused(f"{self._shown}.{name}")


class Brackets:
    """np.r_ and np.c_, which are called by what stands in brackets."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    def __getitem__(self, items: Any) -> Any:
        return self._operation(*(items if isinstance(items, tuple) else (items,)))


_SPECTRUM = "eigenvalues and singular values are followed by no rule: give them, and the vectors, as inputs"
_INSTEAD = {**{f"linalg.{n}": _SPECTRUM for n in ("eig", "eigh", "eigvals", "eigvalsh", "svd", "svdvals")},
            "linalg.qr": "of a matrix of full rank R is np.linalg.cholesky(A.T @ A).T up to signs, and Q is A @ inv(R)",
            "linalg.tensorinv": "reshape, and use np.linalg.inv",
            "linalg.tensorsolve": "reshape, and use np.linalg.solve"}  # fmt: skip


def refuse_replaced(value: Any, libraries: Sequence[str], shown: str) -> None:
    """Refuse a function that somebody has put in the place of a library's own.

    Raises:
        TraceError: it comes from none of these libraries.
    """
    home = str(getattr(value, "__module__", None) or libraries[0]).partition(".")[0]
    if isinstance(value, types.FunctionType) and home not in libraries:
        raise TraceError(f"{shown} is not the library's own: {home} has put another function there",
                         help="call that function by a name of its own")  # fmt: skip


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
        refuse_replaced(getattr(self._module, name, None), ("numpy", "scipy", "array_api_compat"), shown)
        if name in ("random", "rand", "randn"):
            return Source(shown, RANDOM)
        if self._prefix + name in ("r_", "c_"):
            return Brackets(Operation(name, shown))
        if self._prefix + name in OPERATIONS:
            return Operation(self._prefix + name, shown)
        if not hasattr(self._module, name):
            raise as_numpy(AttributeError(f"module {self._shown!r} has no attribute {name!r}"))
        return self._other(getattr(self._module, name), name, shown)

    @guarded
    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            raise TraceError(f"an assignment to {self._shown}.{name} cannot be traced")
        object.__setattr__(self, name, value)

    def _other(self, value: Any, name: str, shown: str) -> Any:
        if isinstance(value, types.ModuleType):
            return Namespace(value, f"{self._prefix}{name}.", shown)
        if isinstance(value, float):
            return constant(value)
        if isinstance(value, type) and value in STAND_INS:
            return STAND_INS[value]
        if isinstance(value, type) and issubclass(value, np.generic):
            return type_stand_in(value, convert_to(value))
        if name in _CONTEXTS:
            return _CONTEXTS[name]
        if isinstance(value, type(np.s_)):  # np.s_[i:j] is the subscript itself, whatever stands in it
            return value
        if isinstance(value, type) and name not in _REAL_TYPES and not issubclass(value, Exception):
            return type_stand_in(value, Refused(shown).__call__)
        if isinstance(value, type) or value is None or isinstance(value, (int, str)) or name in _REAL_TYPES:
            return value
        help = "read the data outside and pass it as an input" if name in _FILES else _INSTEAD.get(self._prefix + name)
        return Refused(shown, help)


_REAL_TYPES = ("finfo", "iinfo", "dtype", "result_type", "promote_types", "can_cast", "issubdtype", "set_printoptions",
               "ndindex", "isdtype")  # fmt: skip
_FILES = ("load", "loadtxt", "genfromtxt", "fromfile", "save", "savez", "savetxt", "memmap")


class _FloatingPoint:
    """np.errstate: nothing is printed while tracing; what turns an overflow into an exception is refused."""

    def __init__(self, shown: str, answer: Any) -> None:
        self._shown, self._answer = shown, answer

    @guarded
    def __call__(self, *args: Any, **options: Any) -> Any:
        """The context, or what was set before."""
        if any(v not in (None, "ignore", "warn", "print") for v in (*args, *options.values())):
            raise TraceError(f"{self._shown} that raises exceptions cannot be traced",
                             help="ask for the domain before the operation")  # fmt: skip
        return self._answer()


_CONTEXTS = {
    "errstate": _FloatingPoint("np.errstate", contextlib.nullcontext),
    "seterr": _FloatingPoint("np.seterr", dict),
}


class TypeStandIn(type):
    """int, float, np.float64, ...: called it converts, as a dtype or in isinstance it is the type itself."""

    traced_type: type
    _convert: Callable[..., Any]

    def __new__(cls, *args: Any) -> Any:
        """A stand-in; a class that traced code derives from one is refused."""
        if len(args) != 2:
            raise _not_derived(args[1][0])
        bases = (args[0],) if args[0] in (int, float) else ()  # so that `case int(n):` binds n to the number itself
        return super().__new__(cls, args[0].__name__, bases, {"__module__": args[0].__module__})

    def __init__(cls, *args: Any) -> None:
        type.__setattr__(cls, "traced_type", args[0])
        type.__setattr__(cls, "_convert", staticmethod(guarded(args[1])))

    def __call__(cls, *args: Any, **options: Any) -> Any:
        """Convert a value to the type."""
        return cls._convert(*args, **options)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(plain(value), cls.traced_type)

    def __subclasscheck__(cls, kind: Any) -> bool:
        return issubclass(getattr(kind, "traced_type", kind), cls.traced_type)

    def __eq__(cls, other: Any) -> bool:
        """x.dtype == np.float64 and type(x) == float compare the types themselves."""
        other = getattr(other, "traced_type", other)
        return bool(np.dtype(cls.traced_type) == other if isinstance(other, np.dtype) else cls.traced_type is other)

    def __hash__(cls) -> int:
        return hash(cls.traced_type)

    def __repr__(cls) -> str:
        return repr(cls.traced_type)

    def __getattribute__(cls, name: str) -> Any:
        if name.startswith("_") or name in ("traced_type", "dtype", "mro"):
            return type.__getattribute__(cls, name)
        if not hasattr(cls.traced_type, name):
            raise as_numpy(AttributeError(f"type object '{cls.__name__}' has no attribute '{name}'"))
        return Refused(f"{cls.__name__}.{name}")

    @property
    def dtype(cls) -> np.dtype[Any]:
        """NumPy's type, which makes np.dtype(np.float64) and x.dtype == np.float64 work."""
        return np.dtype(cls.traced_type)


@guarded
def _not_derived(kind: type) -> Exception:
    raise TraceError(f"a class derived from {kind.__name__} cannot be traced")


def operation_of(function: Any) -> Any:
    """The operation that stands in for a function of NumPy, wherever it was imported from; None for others."""
    home, name = getattr(function, "__module__", None), getattr(function, "__name__", None)
    if type(function).__module__ != "numpy" or not isinstance(home, str) or not isinstance(name, str):
        return None
    own = f"{home.removeprefix('numpy').strip('.')}.{name}".strip(".")
    return Operation(own, f"np.{own}") if own in OPERATIONS else None


def type_stand_in(kind: type, convert: Callable[..., Any]) -> Any:
    """The one stand-in of a type, so that `type(x) is float` holds where it does."""
    if kind not in STAND_INS:
        STAND_INS[kind] = TypeStandIn(kind, convert)
    return STAND_INS[kind]


def plain(value: Any) -> Any:
    """A real value of the type that a symbolic one stands for; a real value is itself.

    Raises:
        TraceError: nothing is known of its type.
    """
    if isinstance(value, Array):
        return exemplar(value)
    if isinstance(value, Masked):
        return np.ones((1,) * value.ndim, value.inner.dtype)
    if isinstance(value, NotUsable):
        raise value.stop()
    for kind, real in ((Size, 1), (SymbolicRange, range(1)), (Places, (np.zeros(1, int),))):
        if isinstance(value, kind):
            return real
    return value


def constant(value: float) -> Any:
    """A float as the number that was meant; pi and e are themselves, infinities stay."""
    if not math.isfinite(value):
        return value
    if value == math.pi:
        return scalar(PI, weak=True, rounding=ROUNDED)
    if value == math.e:
        return scalar(OPERATIONS["exp"](scalar(ONE)).read()(()), weak=True, rounding=ROUNDED)
    return scalar(exact(value), weak=True, rounding=rounding_of(value))


NUMPY = Namespace(np, "", "np")


class _Math(Namespace):
    """`math`: the functions of NumPy on scalars."""

    def __getattr__(self, name: str) -> Any:
        if not hasattr(math, name):
            raise as_numpy(AttributeError(f"module 'math' has no attribute {name!r}"))
        if name in ("floor", "ceil", "trunc", "prod", "gcd", "factorial", "comb", "isclose"):
            return guarded(lambda *args: _math(name, *args))
        if name == "tau":
            return OPERATIONS["multiply"](2, scalar(PI))
        special = {"erf": "special.erf", "erfc": "special.erfc", "lgamma": "special.gammaln"}
        own = {"pow": "power"}.get(name, name)
        if name not in special and not hasattr(np, own):
            return Refused(f"math.{name}")
        found = OPERATIONS[special[name]] if name in special else getattr(NUMPY, own)
        return _raising(found, name) if name in _RAISE else found


_RAISE = (
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "exp",
    "exp2",
    "expm1",
    "pow",
    "cosh",
    "sinh",
    "fmod",
    "acos",
    "asin",
)


def _raising(function: Any, name: str) -> Any:
    """A function of `math`, which raises where NumPy gives nan or infinity: nobody may catch that."""

    def call(*args: Any) -> Any:
        if current().may_catch():
            _where_one_may_be_caught(name, args)
        return function(*args)

    return guarded(call)


def _where_one_may_be_caught(name: str, args: tuple[Any, ...]) -> None:
    """Raise what `math` raises of these numbers; data and symbolic sizes are refused."""
    if all(isinstance(a, (int, float)) for a in args):
        try:
            getattr(math, name)(*args)
        except (ValueError, OverflowError) as error:
            raise as_numpy(error) from None
        return
    values = [as_array(a).read()(()) for a in args if isinstance(a, (int, float, Size)) or not getattr(a, "axes", 1)]
    if any(map(has_entry, values)):
        raise TraceError(f"math.{name} of data, which may raise an exception, where one may be caught",
                         help=f"use np.{name}, and state the domain")  # fmt: skip
    if size_symbols(*values):
        raise NeedsConcreteSizes(f"math.{name} of a size, where an exception may be caught", size_symbols(*values))


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
    return getattr(math, name)(*(int(a) if isinstance(a, (Array, Size)) else a for a in args))


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
SCIPY_LINALG = _WhenImported("scipy.linalg")
SOLVERS = Namespace(SCIPY_LINALG, "scipy.linalg.", "scipy.linalg")
MODULES = {"numpy": NUMPY, "math": MATH, "scipy.special": SPECIAL, "scipy.linalg": SOLVERS}


class _Scipy:
    def __getattr__(self, name: str) -> Any:
        return MODULES.get(f"scipy.{name}") or Refused(f"scipy.{name}")


SCIPY = _Scipy()


def by_identity() -> dict[int, Any]:
    """id of NumPy's, SciPy's and math's own functions -> what stands in for them: `from numpy import exp`."""
    table: dict[int, Any] = {id(math.sqrt): MATH.sqrt, id(math.exp): MATH.exp, id(math.log): MATH.log}
    owners = {"special.": SCIPY_SPECIAL, "scipy.linalg.": SCIPY_LINALG, "linalg.": np.linalg}
    for name in OPERATIONS:
        prefix = next((p for p in owners if name.startswith(p)), "")
        owner, leaf = owners.get(prefix, np), name[len(prefix) :]
        if "." not in leaf and hasattr(owner, leaf):
            table[id(getattr(owner, leaf))] = Operation(name, leaf)
    return table


for _kind in (np.ndarray, np.float64, np.float32, np.int64, np.int32, np.bool_):
    type_stand_in(_kind, Refused("np.ndarray()").__call__ if _kind is np.ndarray else convert_to(_kind))
