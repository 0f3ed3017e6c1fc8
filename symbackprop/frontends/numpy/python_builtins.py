"""Python's builtins for traced code: what asks for a type is answered by an example, what asks for an address, a text
or a file is refused, and lengths, ranges and conversions keep sizes symbolic."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, ZERO
from symbackprop.frontends.numpy.array import Array, scalar
from symbackprop.frontends.numpy.creation import to_integer
from symbackprop.frontends.numpy.dtypes import EXACT, near_integer, needs_floats
from symbackprop.frontends.numpy.growing import GrowingDict, GrowingList, SymbolicDict
from symbackprop.frontends.numpy.masked import Masked, Places
from symbackprop.frontends.numpy.namespace import TypeStandIn, constant, plain, type_stand_in
from symbackprop.frontends.numpy.opaque import NotUsable, Opaque, Refused
from symbackprop.frontends.numpy.operands import integer_of
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import as_int, as_numpy, current, guarded, must_know, reduced
from symbackprop.frontends.numpy.size import Size, Slots, SymbolicItems, SymbolicList, SymbolicRange, size
from symbackprop.frontends.numpy.symbolic import STAND_INS, class_of, stands_for, told_type

SYMBOLIC = (
    Array,
    Size,
    Masked,
    Places,
    SymbolicRange,
    SymbolicItems,
    Slots,
    SymbolicList,
    SymbolicDict,
    GrowingList,
    GrowingDict,
    *NotUsable,
)


def is_symbolic(value: Any) -> bool:
    """True for a stand-in of the tracer."""
    return builtins.isinstance(value, SYMBOLIC)


# --- lengths and numbers ------------------------------------------------------------------------------------------


def _len(value: Any) -> Any:
    if isinstance(value, (GrowingList, GrowingDict)):
        return value.length()
    if isinstance(value, (SymbolicList, Slots)):
        return size(value.length)
    if isinstance(value, Array):
        if not value.axes:
            raise as_numpy(TypeError("len() of unsized object"))
        return size(value.axes[0])
    return value.shape[0] if isinstance(value, Masked) else len(value)


def _range(*bounds: Any) -> Any:
    exprs = [None if isinstance(b, float) else integer_of(b) for b in bounds]
    if any(e is None for e in exprs):
        return range(*bounds)
    known = [as_int(reduced(e)) for e in exprs if e is not None]
    if len(bounds) == 3 and known[2] is None and current().may_catch():
        must_know("==", exprs[2] or ZERO, ZERO, "the step of a range, where an exception may be caught")
    return SymbolicRange(*bounds) if None in known else range(*(k for k in known if k is not None))


def _int(value: Any = 0, *base: Any, **options: Any) -> Any:
    plainly = base or options or isinstance(value, (str, bytes))
    return int(value, *base, **options) if plainly else value if isinstance(value, Opaque) else to_integer(value)


def _float(value: Any = 0.0) -> Any:
    if isinstance(value, Opaque):
        return value
    if not isinstance(value, (Array, Size)):
        return constant(float(value))
    if isinstance(value, Array) and value.axes:
        raise TraceError("float() of an array with axes cannot be traced", help="take the entry: x[0]")
    result = OPERATIONS["multiply"](value, scalar(ONE))
    result.buffer.weak, result.buffer.rounding = True, value.buffer.rounding if isinstance(value, Array) else EXACT
    return result


def _round(value: Any, digits: int | None = None) -> Any:
    if isinstance(value, Size) and digits is None:
        return value
    if not is_symbolic(value):
        return round(value, digits)
    known = value.constant() if isinstance(value, Array) and not value.axes else None
    number = getattr(known, "value", None)
    if number is None or digits is not None:
        raise TraceError("round() of a symbolic number cannot be traced")
    if value.buffer.rounding != EXACT and near_integer(float(2 * number)):
        raise needs_floats("round()")
    return round(number)


def _sum(items: Iterable[Any], start: Any = 0) -> Any:
    items = items.alone() if isinstance(items, SymbolicList) else items
    if isinstance(items, Array):
        return OPERATIONS["sum"](items, axis=0) + start
    if isinstance(items, Masked):
        return items.sum(axis=0) + start
    return sum(items, start)


def _extreme(name: str, array_name: str) -> Callable[..., Any]:
    """max or min: of sizes by proof, of scalars entry by entry, of an array as NumPy does."""
    plain_extreme = getattr(builtins, name)

    def extreme(*args: Any, **options: Any) -> Any:
        args = tuple(a.alone() if isinstance(a, SymbolicList) else a for a in args)
        if len(args) == 1 and isinstance(args[0], Array):
            if options or args[0].ndim != 1:
                raise TraceError(f"{name}() of an array with other than one axis cannot be traced")
            return OPERATIONS[name](args[0])
        items = list(args[0]) if len(args) == 1 else list(args)
        if not options and any(isinstance(i, Array) for i in items):
            if any(isinstance(i, Array) and i.ndim for i in items):
                raise TraceError(f"{name}() of arrays, whose truth value is ambiguous", help=f"use np.{array_name}")
            result = items[0]
            for item in items[1:]:
                result = OPERATIONS[array_name](result, item)
            return result
        return plain_extreme(items, **options)

    return extreme


def _pow(base: Any, exponent: Any, modulus: Any = None) -> Any:
    if modulus is not None and any(map(is_symbolic, (base, exponent, modulus))):
        raise TraceError("pow() with a modulus cannot be traced")
    return pow(base, exponent, modulus)


# --- types and attributes -----------------------------------------------------------------------------------------


def _kinds(wanted: Any) -> Any:
    """The types asked for, without stand-ins."""
    if isinstance(wanted, tuple):
        return tuple(map(_kinds, wanted))
    if isinstance(wanted, NotUsable):
        raise wanted.stop()
    return wanted.traced_type if type(wanted) is TypeStandIn else wanted


def _isinstance(value: Any, kinds: Any) -> bool:
    return isinstance(plain(value), _kinds(kinds))


def _issubclass(kind: Any, kinds: Any) -> bool:
    return issubclass(_kinds(kind), _kinds(kinds))


def _type(value: Any, *more: Any, **options: Any) -> Any:
    """type(x): the type that the value has when NumPy runs the code, as it is written there."""
    return type(value, *more, **options) if more else told_type(plain(value))


def _hasattr(value: Any, name: str) -> bool:
    if isinstance(value, SYMBOLIC):
        return hasattr(plain(value), name)
    return hasattr(value, name)


def _getattr(value: Any, name: str, *default: Any) -> Any:
    if isinstance(value, SYMBOLIC) and not isinstance(value, NotUsable) and not hasattr(plain(value), name):
        if default:
            return default[0]
        raise as_numpy(AttributeError(f"'{type(plain(value)).__name__}' object has no attribute '{name}'"))
    found = getattr(value, name, *default)
    return STAND_INS.get(found, found) if isinstance(found, type) else found


def _callable(value: Any) -> bool:
    return callable(plain(value)) if isinstance(value, SYMBOLIC) else callable(value)


def _only_real(name: str) -> Callable[..., Any]:
    """A builtin that is refused for symbolic values: its answer depends on addresses, or on how they are made."""
    real = getattr(builtins, name)

    def answer(*args: Any, **options: Any) -> Any:
        if not args or any(map(is_symbolic, args)):
            raise TraceError(f"{name}() cannot be traced")
        return real(*args, **options)

    return answer


@stands_for(int, "an address")
class Address:
    """id(x): it tells objects apart, and is no number, since it differs at each run."""

    __slots__ = ("_of",)
    __class__ = class_of(lambda _: 1)

    def __init__(self, of: Any) -> None:
        self._of = of

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Address):
            raise TraceError("an address is compared with a number")
        return self._of is other._of

    def __hash__(self) -> int:
        return object.__hash__(self._of)


def _id(value: Any) -> Any:
    if isinstance(value, (Size, int, float, str)):
        raise TraceError("id() of a number or a text cannot be traced")
    return Address(value)


def _hash(value: Any) -> int:
    """The hash of numbers alone: that of text differs at each start of Python."""
    if isinstance(value, (*SYMBOLIC, int, float)):
        return hash(value)
    raise TraceError("hash() cannot be traced")


def _print(*_: Any, file: Any = None, **__: Any) -> None:
    if file is not None and not isinstance(file, NotUsable):
        raise TraceError("print() into a file cannot be traced")


def _locals() -> dict[str, Any]:
    """locals(): the names of the function that asks, without those that rewriting has put there."""
    frame = current().frame()
    held = frame.f_locals if frame is not None else {}
    return {n: v for n, v in held.items() if not (n.startswith("__") and n.endswith("__"))}


def shadow_builtins(imported: Callable[..., Any]) -> dict[str, Any]:
    """Python's builtins for traced code.

    Args:
        imported: what `import` inside the function calls.
    """
    files = "read the data outside and pass it as an input"
    shadows: dict[str, Callable[..., Any]] = {
        "len": _len, "range": _range, "sum": _sum, "max": _extreme("max", "maximum"),
        "min": _extreme("min", "minimum"), "round": _round, "pow": _pow, "isinstance": _isinstance,
        "issubclass": _issubclass, "hasattr": _hasattr, "getattr": _getattr, "callable": _callable, "hash": _hash,
        "id": _id, "print": _print, "locals": _locals, **{n: _only_real(n) for n in ("vars", "dir", "memoryview")},
    }  # fmt: skip
    refused = ("eval", "exec", "globals", "compile", "breakpoint", "help", "exit", "quit")
    return (
        vars(builtins)
        | {name: guarded(function) for name, function in shadows.items()}
        | {name: Refused(f"{name}()") for name in refused}
        | {"open": Refused("open()", files), "input": Refused("input()", files)}
        | {"int": _INT, "float": _FLOAT, "type": type_stand_in(type, guarded(_type)), "__import__": imported}
    )


_INT, _FLOAT = type_stand_in(int, guarded(_int)), type_stand_in(float, guarded(_float))
