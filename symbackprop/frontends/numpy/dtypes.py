"""NumPy's types: which type a result has, and whether its numbers are those of the reals and the integers.

The equations speak of real numbers and of integers. Of NumPy's types float32, float64 and longer ones stand for the
reals. An integer type stands for the integers as long as nothing wraps: every integer result has a bound, worked out
for sizes up to 2**20 and axes up to 2**53, and where the bound does not fit into the type that NumPy gives the result,
it is refused by name. A boolean result is what NumPy makes of it: a sum of booleans is "or", a product is "and".
float16 and complex numbers are refused.

Which type a result has is asked of NumPy itself, by running the operation on an example of each operand's type.
Python's own int, float and bool (`weak`) take part in that as Python's numbers do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Kronecker,
    Multiply,
    Number,
    Position,
    Quotient,
    Remainder,
    Sum,
    Symbol,
    Where,
    add,
    multiply,
    nodes_once,
    number,
)
from symbackprop.expression.functions import ATAN, ERF, FLOOR, FUNCTIONS, ROUND
from symbackprop.expression.nodes import Power
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, size_symbols
from symbackprop.frontends.numpy.session import UNWRITTEN, Session, current, is_so, minus

LARGEST_SIZE = 2**20
LARGEST_AXIS = 2**53  # no array is longer, whatever product of sizes its length is: there is no such memory
Interval = tuple[float, float]
ANYTHING: Interval = (-math.inf, math.inf)
DEFAULTS: dict[str, np.dtype[Any]] = {
    "real": np.dtype(np.float64),
    "integer": np.dtype(np.int64),
    "bool": np.dtype(np.bool_),
}


def as_dtype(kind: str | np.dtype[Any]) -> np.dtype[Any]:
    """NumPy's type for real, integer or bool, or the type itself."""
    return DEFAULTS[kind] if isinstance(kind, str) else kind


def kind_of_type(dtype: np.dtype[Any]) -> str:
    """real, integer or bool.

    Raises:
        TraceError: numbers of this type are none of these.
    """
    if dtype.kind == "b":
        return "bool"
    if dtype.kind in "iu":
        return "integer"
    if dtype.kind == "f" and dtype.itemsize >= 4:
        return "real"
    if dtype.kind == "f":
        raise TraceError(f"numbers of type {dtype} cannot be traced, since they overflow at 65504",
                         help="work in float32 or float64")  # fmt: skip
    raise TraceError(f"arrays of type {dtype} cannot be traced")


# --- the type of a result -----------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def example(dtype: np.dtype[Any], weak: bool, dimensions: int) -> Any:
    """A number or an array that has this type when NumPy runs the code.

    Args:
        weak: it is Python's own int, float or bool.
        dimensions: of an array; -1 for a scalar.
    """
    if weak:
        return {"b": bool, "i": int, "f": float}[dtype.kind](1)
    return dtype.type(1) if dimensions < 0 else np.ones((1,) * dimensions, dtype)


@lru_cache(maxsize=4096)
def ufunc_type(name: str, *operands: tuple[np.dtype[Any], bool]) -> np.dtype[Any]:
    """The type that the ufunc gives operands of these types.

    Raises:
        TypeError: NumPy has no such operation.
    """
    function = getattr(np, name, None)
    if function is None:  # of scipy: computed in double precision, unless all are narrower
        return np.result_type(np.float64, *(d for d, _ in operands))
    with np.errstate(all="ignore"):
        return np.asarray(function(*(_operand(dtype, weak) for dtype, weak in operands))).dtype


def _operand(dtype: np.dtype[Any], weak: bool) -> Any:
    return example(dtype, True, -1) if weak else np.ones(1, dtype)


@lru_cache(maxsize=4096)
def joint_type(*operands: tuple[np.dtype[Any], bool]) -> np.dtype[Any]:
    """The type that holds them all: of np.where, of a product of arrays."""
    return np.result_type(*(_operand(dtype, weak) for dtype, weak in operands))


@lru_cache(maxsize=256)
def sum_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in which np.sum, np.cumsum and np.prod add up numbers of a type."""
    return np.add.reduce(np.ones(1, dtype), keepdims=True).dtype if dtype.kind != "b" else np.dtype(np.int64)


# --- bounds of integers -------------------------------------------------------------------------------------------


ROUNDED_BELOW = 2.0**52
BELOW_2_52 = "numbers that are rounded to integers stay below 2**52"


def interval(value: Expr) -> Interval:
    """Bounds of an expression for all sizes up to `LARGEST_SIZE`, infinite where none are known."""
    session = current()
    known = session.intervals.get(value)
    if known is None:
        session.intervals[value] = ANYTHING  # for a value within itself
        known = session.intervals[value] = _interval(value, session)
    return known  # type: ignore[return-value]


def _interval(value: Expr, session: Session) -> Interval:
    match value:
        case Number(v):
            return (float(v), float(v))
        case Symbol(name, kind):
            return (1.0, float(LARGEST_SIZE)) if kind == "size" else (0.0, 0.0) if _unwritten(name) else ANYTHING
        case Index(_, size, _) | Position(_, Index(_, size, _), _):
            return (0.0, max(min(interval(size)[1], LARGEST_AXIS) - 1, 0.0))
        case Entry(tensor, _) if tensor in session.facts.ranges:
            return (0.0, interval(session.facts.ranges[tensor])[1] - 1)
        case Entry(tensor, _) if tensor in session.values:
            return interval(session.values[tensor])
        case Compare() | Kronecker():
            return (0.0, 1.0)
        case Add(terms):
            parts = [interval(t) for t in terms]
            return (sum(p[0] for p in parts), sum(p[1] for p in parts))
        case Multiply(factors):
            result: Interval = (1.0, 1.0)
            for factor in factors:
                result = _product(result, interval(factor))
            return result
        case Power(base, Number(e)) if e.denominator == 1 and 0 < e <= 64:
            low, high = interval(base)
            ends = [_times_itself(low, int(e)), _times_itself(high, int(e)), *([0.0] if low < 0 < high else [])]
            return (min(ends), max(ends))
        case Quotient(left, right):
            return _quotient(interval(left), interval(right))
        case Remainder(_, right) if interval(right)[0] > 0:
            return (0.0, interval(right)[1] - 1)
        case Where(condition, then, otherwise):
            a, b = interval(then), interval(otherwise)
            larger = _picks(condition, then, otherwise)
            if larger is not None:
                pick = max if larger else min
                return (pick(a[0], b[0]), pick(a[1], b[1]))
            return (min(a[0], b[0]), max(a[1], b[1]))
        case Extremum(_, _, body):
            return interval(body)
        case Apply(function) if function in (FLOOR, ROUND):
            return (-ROUNDED_BELOW, ROUNDED_BELOW)  # BELOW_2_52 is assumed where such become integers
        case Sum(index, body):
            low, high = interval(body)
            count = interval(index.size)[1]
            return (min(_times(count, low), low), max(_times(count, high), high))
    return ANYTHING


def is_whole(value: Expr) -> bool:
    """True for a real expression whose values are integers by its form."""
    match value:
        case Number(v):
            return v.denominator == 1
        case Symbol(_, kind):
            return kind == "size"
        case Apply(function):
            return function in (FLOOR, ROUND)
        case Entry(tensor, _):
            known = current().values.get(tensor)
            return tensor.kind == "integer" or (known is not None and is_whole(known))
        case Add(terms) | Multiply(terms):
            return all(map(is_whole, terms))
        case Where(_, then, otherwise):
            return is_whole(then) and is_whole(otherwise)
        case Extremum(_, _, body) | Sum(_, body):
            return is_whole(body)
    return isinstance(value, (Index, Position, Compare, Kronecker, Quotient, Remainder))


def ends(value: Expr) -> tuple[Expr | None, Expr | None]:
    """(no value is below this, none above that), in sizes alone, where clipping tells; None where nothing does."""
    match value:
        case Entry(tensor, _) if tensor in current().facts.ranges:
            return ZERO, minus(current().facts.ranges[tensor], ONE)
        case Entry(tensor, _) if tensor in current().values:
            return ends(current().values[tensor])
        case Index(_, size, _) | Position(_, Index(_, size, _), _):
            return ZERO, minus(size, ONE)
        case Compare() | Kronecker():
            return ZERO, ONE
        case Add(terms):
            parts = [ends(t) for t in terms]
            lows, highs = [p[0] for p in parts if p[0]], [p[1] for p in parts if p[1]]
            whole = len(parts)
            return add(*lows) if len(lows) == whole else None, add(*highs) if len(highs) == whole else None
        case Multiply((Number(v), rest)) if v < 0:
            low, high = ends(rest)
            turned = [None if end is None else multiply(number(v), end) for end in (high, low)]
            return turned[0], turned[1]
        case Multiply(factors):
            given = [f for f in factors if any(isinstance(n, (Entry, Apply)) for n in nodes_once(f))]
            sizes = [f for f in factors if f not in given]
            if len(given) == 1 and all(is_so("<=", ZERO, f) is True for f in sizes):
                low, high = ends(given[0])
                return low and multiply(*sizes, low), high and multiply(*sizes, high)
        case Where(condition, then, otherwise):
            return _ends_of_choice(condition, then, otherwise)
    return (None, None) if any(isinstance(n, (Entry, Apply)) for n in nodes_once(value)) else (value, value)


def _ends_of_choice(condition: Expr, then: Expr, otherwise: Expr) -> tuple[Expr | None, Expr | None]:
    """The ends of a choice; of the larger of two numbers neither is above it, of the smaller neither below."""
    (a_low, a_high), (b_low, b_high) = ends(then), ends(otherwise)
    lows, highs = (a_low, b_low), (a_high, b_high)
    larger = _picks(condition, then, otherwise)
    if larger:
        return _of_two(lows, largest=True) or a_low or b_low, _of_two(highs, largest=True)
    if larger is False:
        return _of_two(lows, largest=False), _of_two(highs, largest=False) or a_high or b_high
    return _of_two(lows, largest=False), _of_two(highs, largest=True)


def _picks(condition: Expr, then: Expr, otherwise: Expr) -> bool | None:
    """True if a choice is the larger of two numbers, False if it is the smaller; None if it is neither by its form."""
    if not isinstance(condition, Compare) or condition.relation == "==":
        return None
    if {condition.left, condition.right} != {then, otherwise}:
        return None
    return then is condition.right


def _of_two(pair: tuple[Expr | None, Expr | None], *, largest: bool) -> Expr | None:
    """The larger, or the smaller, of two sizes, where it is known which that is."""
    a, b = pair
    if a is None or b is None:
        return None
    below = is_so("<=", a, b)
    if below is True:
        return b if largest else a
    return (a if largest else b) if is_so("<=", b, a) is True else None


def _unwritten(name: str) -> bool:
    return name.startswith(UNWRITTEN)


def _times(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def _times_itself(a: float, exponent: int) -> float:
    return math.prod([a] * exponent)


def _product(a: Interval, b: Interval) -> Interval:
    ends = [_times(x, y) for x in a for y in b]
    return (min(ends), max(ends))


def _quotient(total: Interval, divisor: Interval) -> Interval:
    """Of a floor division by something positive."""
    if divisor[0] < 1:
        return ANYTHING
    return (total[0] if total[0] < 0 else 0.0, max(total[1], 0.0))


def must_fit(values: Iterable[Expr], dtype: np.dtype[Any], is_nonnegative: Callable[[Expr], bool]) -> None:
    """Refuse integers that may lie beyond their type, where NumPy's wrap around.

    Args:
        is_nonnegative: a proof that an expression is not below 0, for unsigned types.
    """
    limits = np.iinfo(dtype)
    for value in values:
        low, high = interval(value)
        below = low < limits.min and not (limits.min == 0 and is_nonnegative(value))
        if not below and high <= limits.max:
            continue
        what = f"integers of type {dtype} wrap around beyond {limits.max if high > limits.max else limits.min}"
        if math.isfinite(low) and math.isfinite(high):
            raise TraceError(what, evidence=[f"these may lie between {_told(low)} and {_told(high)}"],
                             help="use a wider type, or floats")  # fmt: skip
        raise TraceError(what, help="use a wider type, or floats")


def _told(bound: float) -> str:
    return str(int(bound)) if abs(bound) < 1e9 else f"{bound:.1e}"


# --- numbers that are none ----------------------------------------------------------------------------------------

_BOUNDED = frozenset({ERF, ATAN, FUNCTIONS["tanh"], FUNCTIONS["sigmoid"], FUNCTIONS["sin"], FUNCTIONS["cos"]})


def is_finite(value: Expr) -> bool:
    """True if a value can neither be nan nor infinite by its form: an input, or what is bounded.

    An input is a finite number, that is what a verdict speaks of. Sums and products of such may overflow: of them
    nothing is said here, since code that asks for nan asks about floats.
    """
    session = current()
    match value:
        case Number() | Index() | Compare() | Kronecker() | Position():
            return True
        case Symbol(_, kind):
            return kind != "real" or value.name == "pi"
        case Entry(tensor, _):
            return tensor not in session.values or is_finite(session.values[tensor])
        case Multiply((Number(), rest)):
            return is_finite(rest)
        case Apply(function, (argument,)):
            return function in _BOUNDED and is_finite(argument)
        case Where(_, then, otherwise):
            return is_finite(then) and is_finite(otherwise)
        case Extremum(_, _, body):
            return is_finite(body)
        case Add(terms) | Multiply(terms):
            return all(interval(t) != ANYTHING for t in terms)
    return interval(value) != ANYTHING


# --- numbers that are rounded -------------------------------------------------------------------------------------

EXACT, DIVIDED, ROUNDED = 0, 1, 2  # how far floats may be from the number: not at all, a quotient's rounding, further
NEAR = 1e-9


def near_integer(value: float) -> bool:
    """True if rounding might have brought a number to the other side of an integer."""
    return abs(value - round(value)) < NEAR * max(1.0, abs(value))


def needs_floats(what: str, *values: Expr) -> TraceError:
    """The stop where the answer depends on how floats round."""
    symbols = size_symbols(*values)
    if symbols:
        return NeedsConcreteSizes(f"{what} depends on how floats round", symbols)
    return TraceError(f"{what} depends on how floats round", help="use integer arithmetic, such as N * 29 // 100")
