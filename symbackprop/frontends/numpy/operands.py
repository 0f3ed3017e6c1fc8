"""What an operand or an argument means: numbers, sizes, lists and NumPy arrays as symbolic arrays, shapes and indices.

A decimal in the user's code is the number that was meant: 0.1 is 1/10 (`exact`).
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, ZERO, Expr, multiply, number, power
from symbackprop.frontends.numpy.array import Array, array, scalar
from symbackprop.frontends.numpy.infinity import MINUS_INFINITY
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import reduced
from symbackprop.frontends.numpy.size import Size, SymbolicRange, size_expr

ROUNDING = Fraction(1, 2**53)  # of one operation on numbers of size 1


def as_array(value: Any) -> Array:
    """Any operand as an array: numbers and sizes are scalars, NumPy arrays and nested lists constants.

    Raises:
        TraceError: it is no number and no array.
    """
    if isinstance(value, Array):
        return value
    if isinstance(value, Size):
        return scalar(value.expr, "integer")
    if isinstance(value, (bool, np.bool_)):
        return scalar(ONE if value else ZERO, "bool")
    if isinstance(value, (int, np.integer)):
        return scalar(number(int(value)), "integer")
    if isinstance(value, (float, np.floating, Fraction)):
        return scalar(exact(value))
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return _constant_array(value)
    if isinstance(value, (SymbolicRange, range)):
        bounds = value.bounds if isinstance(value, SymbolicRange) else (value.start, value.stop, value.step)
        return OPERATIONS["arange"](*bounds)  # type: ignore[no-any-return]
    if isinstance(value, (list, tuple)):
        return _nested(value)
    if value is None:
        raise TraceError("None is used where an array is needed")
    raise TraceError(f"a value of type {type(value).__name__} is used where an array is needed")


def _nested(values: list[Any] | tuple[Any, ...]) -> Array:
    if not values:
        return array((ZERO,), lambda _: ZERO)
    return OPERATIONS["stack"]([as_array(v) for v in values])  # type: ignore[no-any-return]


def _constant_array(value: np.ndarray[Any, Any]) -> Array:
    kind = {"b": "bool", "f": "real"}.get(value.dtype.kind, "integer")
    if value.ndim == 0:
        return scalar(exact(value.item()), kind)
    parts = OPERATIONS["stack"]([_constant_array(np.asarray(v)) for v in value])
    return array(parts.axes, parts.read(), kind)


def exact(value: Any) -> Expr:
    """The number that was meant by a decimal: 0.1 is 1/10, and a float with all its digits may be p/q or its root.

    Example:
        >>> exact(1e-5), exact(1 / 3)
        (Number(value=Fraction(1, 100000)), Number(value=Fraction(1, 3)))
    """
    if not isinstance(value, (float, np.floating)):
        return number(Fraction(value))
    value = float(value)
    if value == -np.inf:
        return MINUS_INFINITY
    if not np.isfinite(value):
        raise TraceError(f"the value {value} cannot be traced", help="use a large finite number such as -1e9")
    if len(repr(value).strip("-0.").replace(".", "").split("e")[0]) < 15:
        return number(Fraction(repr(value)))
    near = Fraction(value).limit_denominator(10000)
    if abs(near - Fraction(value)) <= ROUNDING * (1 + abs(near)):  # 1 - 0.9, which Python works out, is 1/10
        return number(near)
    square = Fraction(value * value).limit_denominator(1000)
    if square > 0 and float(square) ** 0.5 == abs(value) and isqrt(square.denominator) <= 1000:
        root = power(number(square), number(Fraction(1, 2)))
        return root if value > 0 else multiply(number(-1), root)
    return number(Fraction(repr(value)))


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
