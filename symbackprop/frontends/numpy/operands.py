"""What an operand or an argument means: numbers, sizes, lists and NumPy arrays as symbolic arrays, shapes and indices.

A decimal in the user's code is the number that was meant: 0.1 is 1/10 (`exact`).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, ZERO, Expr, Number, number
from symbackprop.expression.constants import read
from symbackprop.frontends.numpy.array import Array, array, scalar
from symbackprop.frontends.numpy.dtypes import EXACT, ROUNDED
from symbackprop.frontends.numpy.infinity import MINUS_INFINITY
from symbackprop.frontends.numpy.opaque import NotUsable
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import assume, reduced
from symbackprop.frontends.numpy.size import Size, SymbolicList, SymbolicRange, size_expr
from symbackprop.frontends.numpy.symbolic import STANDS_FOR
from symbackprop.rendering.text import to_text


def as_array(value: Any) -> Array:
    """Any operand as an array: numbers and sizes are scalars, NumPy arrays and nested lists constants.

    Raises:
        TraceError: it is no number and no array.
    """
    if isinstance(value, Array):
        return value.plain()
    if isinstance(value, Size):
        return scalar(value.expr, "integer", weak=True)
    if isinstance(value, bool):
        return scalar(ONE if value else ZERO, "bool", weak=True)
    if isinstance(value, int):
        return scalar(number(value), "integer", weak=True)
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return scalar(exact(value), value.dtype, rounding=rounding_of(value))
    if isinstance(value, (float, Fraction)):
        return scalar(exact(value), weak=True, rounding=rounding_of(value))
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return _constant_array(value)
    if isinstance(value, SymbolicList):
        return value.alone()  # type: ignore[no-any-return]
    if isinstance(value, (SymbolicRange, range)):
        bounds = value.bounds if isinstance(value, SymbolicRange) else (value.start, value.stop, value.step)
        return OPERATIONS["arange"](*bounds)  # type: ignore[no-any-return]
    if isinstance(value, (list, tuple)):
        return _nested(value)
    if value is None:
        raise TraceError("None is used where an array is needed")
    if isinstance(value, NotUsable):
        raise value.stop()
    if isinstance(value, np.ndarray):
        raise TraceError(f"arrays of type {value.dtype} cannot be traced", help="use arrays of numbers")
    shown = STANDS_FOR.get(type(value))
    raise TraceError(f"{shown or f'a value of type {type(value).__name__}'} is used where an array is needed")


def widened(value: Array, other: Array) -> Array:
    """A number of Python's own beside an array as an array of its shape: 0.0 where the other way has x[t - 1].

    Operations that would tell them apart refuse it: its sum is the number itself, it has no shape.
    """
    if value.axes or not value.buffer.weak or not other.axes:
        return value
    result = array(other.axes, lambda _: value.read()(()), other.dtype)
    result.may_be_number = True
    return result


def _nested(values: list[Any] | tuple[Any, ...]) -> Array:
    if not values:
        return array((ZERO,), lambda _: ZERO)
    return OPERATIONS["stack"]([as_array(v) for v in values])  # type: ignore[no-any-return]


def _constant_array(value: np.ndarray[Any, Any]) -> Array:
    if value.ndim == 0:
        return scalar(exact(value[()]), value.dtype, rounding=rounding_of(value[()]))
    parts = OPERATIONS["stack"]([_constant_array(np.asarray(v)) for v in value])
    result = array(parts.axes, parts.read(), value.dtype)
    result.buffer.rounding = parts.buffer.rounding
    return result


def rounding_of(value: Any) -> int:
    """How far a float is from the number that it was meant to be."""
    if not isinstance(value, (float, np.floating)):
        return EXACT
    meant = exact(value)
    return EXACT if isinstance(meant, Number) and meant.value == Fraction(float(value)) else ROUNDED


def exact(value: Any) -> Expr:
    """The number that a float64 stands for, as `constants.read` has it; a rounding error is noted as a condition.

    Example:
        >>> exact(1e-5), exact(1 / 3)
        (Number(value=Fraction(1, 100000)), Number(value=Fraction(1, 3)))
    """
    if isinstance(value, (np.bool_, np.integer)):
        return number(int(value))
    if not isinstance(value, (float, np.floating)):
        return number(Fraction(value))
    value = shortest(value)
    if value == -np.inf:
        return MINUS_INFINITY
    if not np.isfinite(value):
        raise TraceError(f"the value {value} cannot be traced", help="use a large finite number such as -1e9")
    reading = read(value)
    if not reading.nearest:
        assume(f"{value!r} counts as {to_text(reading.value)}, up to rounding of constants")
    return reading.value


def shortest(value: Any) -> float:
    """A float; one of single precision as its shortest decimal, which is what was written: 0.1, not 0.100000001."""
    if isinstance(value, np.float32) and np.isfinite(value):
        decimal = float(str(value))
        if decimal != float(value):
            assume(f"{decimal!r} in single precision counts as that decimal")
        return decimal
    return float(value)


def integer_of(value: Any) -> Expr | None:
    """The integer expression of an int, a size, or a 0-d integer array; None for anything else."""
    known = size_expr(value)
    if known is None and isinstance(value, Array) and value.ndim == 0 and value.kind == "integer":
        return reduced(value.read()(()))
    if known is None and isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iu":
        return number(int(value))
    return known


def shape_of(value: Any) -> tuple[Expr, ...]:
    """The shape given by an int, a size, or a tuple of them."""
    if isinstance(value, Array) and value.ndim == 1:
        value = list(value)
    items = value if isinstance(value, (tuple, list)) else (value,)
    return tuple(_length(item) for item in items)


def _length(item: Any) -> Expr:
    expr = integer_of(item)
    if expr is None:
        raise TraceError(f"a shape with the entry {item!r}")
    return reduced(expr)
