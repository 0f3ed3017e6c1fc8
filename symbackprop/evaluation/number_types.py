"""Number types for the slow evaluator: floats, exact fractions, interval balls, and dual numbers over any of them.

A `Field` says how numbers of one type are made, compared and put into the basic functions; `+`, `-` and `*` are the
type's own. Two rules keep every answer honest: a comparison that the numbers cannot decide raises `TooCloseError`, and
a value that does not exist is a nan, as in IEEE arithmetic, and never decides a comparison.

A number that no direction of differentiation moves is a plain number of the base field, never a `Dual` with slope 0, so
"locally constant" is a fact about the type. This module must not know about expressions.

Source: forward mode with dual numbers: Griewank & Walther, Evaluating Derivatives (2008), section 3.1; balls:
Johansson, "Arb: efficient arbitrary-precision midpoint-radius interval arithmetic", IEEE Trans. Computers 66 (2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import flint
import numpy as np

from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import is_short

Value = Any  # int, float, Fraction, flint.arb or Dual: what `+` and `*` join is the numbers' own business
Exact = int | float | Fraction


class TooCloseError(ArithmeticError):
    """Two values whose enclosures overlap were compared, or a kink or a tie is too near to differentiate."""


@dataclass(frozen=True, eq=False)
class Field:
    """One number type.

    Args:
        number: makes a number from an exact one; a float stands for the dyadic number that it is.
        functions: the basic functions of one argument, by name.
        power: base ** exponent for a fixed exponent.
        compare: -1, 0 or 1; raises `TooCloseError` where the numbers cannot tell.
        pi: makes the constant pi.
        bits: working precision of a ball; None for the other types.
        unit: (k, n) -> the k-th unit vector of length n, the slope of a dual number over this field.
    """

    name: str
    number: Callable[[Exact], Value]
    functions: Mapping[str, Callable[[Value], Value]]
    power: Callable[[Value, Fraction], Value]
    compare: Callable[[Value, Value], int]
    pi: Callable[[], Value]
    bits: int | None = None
    unit: Callable[[int, int], Any] | None = None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Set flint's precision, which is global, for the time of an evaluation."""
        before = flint.ctx.prec
        flint.ctx.prec = self.bits or before
        try:
            with np.errstate(all="ignore"):  # slopes of floats are arrays; inf and nan are answers, not warnings
                yield
        finally:
            flint.ctx.prec = before


def to_fraction(value: Exact) -> Fraction:
    """The exact value of a finite number."""
    return Fraction(value)


# Floats: IEEE arithmetic, so an overflow is inf and a value that does not exist is nan, never an exception.


def _ieee(function: Callable[[float], float], overflow: float = math.inf) -> Callable[[float], float]:
    def call(x: float) -> float:
        try:
            return function(x)
        except OverflowError:
            return overflow
        except ValueError:
            return math.nan

    return call


def _float_power(base: float, exponent: Fraction) -> float:
    power = exponent.numerator if exponent.denominator == 1 else float(exponent)
    try:
        result = float(base) ** power
    except ZeroDivisionError:
        return math.inf
    except OverflowError:
        return -math.inf if base < 0 and exponent.numerator % 2 else math.inf
    return math.nan if isinstance(result, complex) else float(result)


def _float_compare(left: float, right: float) -> int:
    if math.isnan(left) or math.isnan(right):
        raise TooCloseError("a value that does not exist was compared")
    return int(left > right) - int(left < right)


def _float_log(x: float) -> float:
    return math.log(x) if x else -math.inf


def _float_unit(place: int, length: int) -> Any:
    slope = np.zeros((1, length))
    slope[0, place] = 1.0
    return slope


_FLOAT_FUNCTIONS = {
    "exp": _ieee(math.exp),
    "log": _ieee(_float_log),
    "erf": math.erf,
    "atan": math.atan,
    "lgamma": lambda x: math.lgamma(x) if x > 0 else math.nan,
    "digamma": lambda x: float(flint.arb(x).digamma()) if x > 0 else math.nan,
    "trigamma": lambda x: float(_ball_trigamma(flint.arb(x))) if x > 0 else math.nan,
    "sin": _ieee(math.sin),
    "cos": _ieee(math.cos),
    "floor": lambda x: float(math.floor(x)) if math.isfinite(x) else x,
    "round": lambda x: float(round(x)) if math.isfinite(x) else x,
}
FLOAT = Field("float", float, _FLOAT_FUNCTIONS, _float_power, _float_compare, lambda: math.pi, unit=_float_unit)


# Fractions: whatever stays rational.


def _irrational(name: str) -> Callable[[Fraction], Fraction]:
    at_zero = {"exp": 1, "cos": 1, "sin": 0, "erf": 0, "atan": 0}

    def call(x: Fraction) -> Fraction:
        if x == 0 and name in at_zero:
            return Fraction(at_zero[name])
        if x == 1 and name == "log":
            return Fraction(0)
        raise UnsupportedError(f"{name}({x}) is not a rational number")

    return call


def _fraction_power(base: Fraction, exponent: Fraction) -> Fraction:
    base = Fraction(base)
    if base == 0 and exponent < 0:
        raise UnsupportedError("division by zero in exact arithmetic")
    if not is_short(base, exponent):
        raise UnsupportedError(f"{base} ** ({exponent}) is too long in exact arithmetic")
    if exponent.denominator == 1:
        return base**exponent.numerator
    if exponent.denominator == 2 and base >= 0:
        root = Fraction(math.isqrt(base.numerator), math.isqrt(base.denominator))
        if root * root == base:
            return root**exponent.numerator
    raise UnsupportedError(f"{base} ** ({exponent}) is not a rational number")


def _no_pi() -> Fraction:
    raise UnsupportedError("pi is not a rational number")


EXACT = Field(
    "exact",
    to_fraction,
    {name: _irrational(name) for name in _FLOAT_FUNCTIONS}
    | {"floor": lambda x: Fraction(math.floor(x)), "round": lambda x: Fraction(round(x))},
    _fraction_power,
    lambda left, right: (left > right) - (left < right),
    _no_pi,
)


# Balls: midpoint and radius, rounded outwards, so the true value is always inside.


class Missing:
    """What certainly is no finite number: the root or the logarithm of a negative number, or one divided by zero.

    A nan ball only says that nothing is known. This says more, and so does whatever is added to it or multiplied with
    it, as with NumPy's nan and inf (inf times 0 is nan); what a function makes of inf is left open.
    """

    __slots__ = ("infinite",)

    def __init__(self, infinite: bool) -> None:
        self.infinite = infinite

    def __repr__(self) -> str:
        return "no number"

    def _stay(self, other: Any = None) -> Missing:
        return self

    def _times(self, other: Any) -> Missing:
        return NO_NUMBER if not isinstance(other, Missing) and other == 0 else self

    __add__ = __radd__ = __sub__ = __rsub__ = _stay
    __mul__ = __rmul__ = _times
    __neg__ = __pos__ = __abs__ = __getitem__ = _stay

    def applied(self) -> Missing:
        """What a function makes of it.

        Raises:
            TooCloseError: it may be a number, as exp(-inf) is.
        """
        if self.infinite:
            raise TooCloseError("a function of an infinite value")
        return self


NO_NUMBER, POLE = Missing(False), Missing(True)


def exists(value: Value) -> bool:
    """True of a number; False of what is none, is infinite, or may be either."""
    if isinstance(value, Dual):
        return exists(value.value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, Missing) and (not isinstance(value, flint.arb) or value.is_finite())


def _ball_function(function: Callable[[flint.arb], flint.arb]) -> Callable[[Value], Value]:
    return lambda x: x.applied() if isinstance(x, Missing) else function(flint.arb(x))


def _ball_log(value: Value) -> Value:
    if isinstance(value, Missing):
        return value.applied()
    x = flint.arb(value)
    return NO_NUMBER if x < 0 else POLE if x == 0 else x.log()


def _ball_trigamma(x: flint.arb) -> flint.arb:
    """The Hurwitz zeta function at 2 and x."""
    return flint.arb(2).zeta(x)


def _of_positive(function: Callable[[flint.arb], flint.arb]) -> Callable[[Value], Value]:
    """A function that is taken at positive numbers alone."""

    def call(value: Value) -> Value:
        if isinstance(value, Missing):
            return value.applied()
        x = flint.arb(value)
        if x > 0:
            return function(x)
        if x <= 0:
            return NO_NUMBER
        raise TooCloseError("an enclosure that holds 0, below which there is no value")

    return call


def _ball_floor(x: flint.arb) -> flint.arb:
    """The largest integer below, where it is one for the whole ball."""
    found = x.floor().unique_fmpz()
    if found is None:
        raise TooCloseError("an enclosure that holds a jump of floor")
    return flint.arb(found)


def _ball_round(x: flint.arb) -> flint.arb:
    """The nearest integer, where it is one for the whole ball; of an exact half the even one."""
    twice = 2 * x
    exact_half = twice.unique_fmpz() if twice.is_exact() and twice.is_integer() else None
    if exact_half is not None and exact_half % 2:
        return flint.arb(2 * ((int(exact_half) + 1) // 4))
    return _ball_floor(x + flint.arb(1) / 2)


def _ball_number(value: Exact) -> flint.arb:
    return _ball_fraction(value, flint.ctx.prec) if isinstance(value, Fraction) else flint.arb(value)


@lru_cache(maxsize=4096)
def _ball_fraction(value: Fraction, bits: int) -> flint.arb:
    """One ball for one number at one precision: that two of them are equal is known by identity alone."""
    return flint.arb(flint.fmpq(value.numerator, value.denominator))


def _ball_power(base: Value, exponent: Fraction) -> Value:
    if isinstance(base, Missing):
        return 1 if exponent == 0 else base if exponent > 0 else base.applied()
    x = flint.arb(base)
    if exponent < 0 and x == 0:
        return POLE
    if exponent.denominator > 1 and x < 0:
        return NO_NUMBER
    if exponent.denominator == 1:
        return x**exponent.numerator
    if exponent.denominator == 2:
        root: flint.arb = x.sqrt() if exponent > 0 else x.rsqrt()
        return root ** abs(exponent.numerator)
    return x.root(exponent.denominator) ** exponent.numerator


def _ball_compare(left: Value, right: Value) -> int:
    if isinstance(left, Missing) or isinstance(right, Missing):
        raise TooCloseError("a value that does not exist was compared")
    if left is right:
        return 0
    if left < right:
        return -1
    if left > right:
        return 1
    if left == right:  # only for exact numbers: two balls of positive radius never test equal
        return 0
    raise TooCloseError(f"{left} and {right} overlap")


def _ball_unit(place: int, length: int) -> flint.arb_mat:
    slope = flint.arb_mat(1, length)
    slope[0, place] = 1
    return slope


@cache
def ball(bits: int = 128) -> Field:
    """Interval arithmetic with midpoints of `bits` bits."""
    functions = {
        "exp": _ball_function(flint.arb.exp),
        "log": _ball_log,
        "erf": _ball_function(flint.arb.erf),
        "sin": _ball_function(flint.arb.sin),
        "cos": _ball_function(flint.arb.cos),
        "atan": _ball_function(flint.arb.atan),
        "lgamma": _of_positive(flint.arb.lgamma),
        "digamma": _of_positive(flint.arb.digamma),
        "trigamma": _of_positive(_ball_trigamma),
        "floor": _ball_function(_ball_floor),
        "round": _ball_function(_ball_round),
    }
    return Field(
        f"ball({bits})",
        _ball_number,
        functions,
        _ball_power,
        _ball_compare,
        flint.arb.pi,
        bits,
        _ball_unit,
    )


# Dual numbers: a value and its slope along every direction at once.


def held(value: Value) -> Value:
    """The value as a number that nothing moves."""
    return value.value if isinstance(value, Dual) else value


class Dual:
    """value + slope * epsilon with epsilon ** 2 = 0; `slope` is a vector of the base field."""

    __array_ufunc__ = None  # a NumPy scalar on the left must leave the sum to us
    __slots__ = ("slope", "value")

    def __init__(self, value: Value, slope: Any) -> None:
        self.value, self.slope = value, slope

    def __add__(self, other: Value) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.slope + other.slope)
        return Dual(self.value + other, self.slope)

    __radd__ = __add__

    def __neg__(self) -> Dual:
        return Dual(-self.value, self.slope * -1)

    def __sub__(self, other: Value) -> Dual:
        return self.__add__(-other)

    def __rsub__(self, other: Value) -> Dual:
        return self.__neg__().__add__(other)

    def __mul__(self, other: Value) -> Dual | int:
        if isinstance(other, Dual):
            return Dual(self.value * other.value, self.slope * other.value + other.slope * self.value)
        if other == 0:  # an exact zero that nothing moves: the product is locally constant
            return 0
        return Dual(self.value * other, self.slope * other)

    __rmul__ = __mul__


def _no_third() -> Value:
    raise UnsupportedError("the third derivative of the logarithm of the gamma function is not known here")


def as_place(value: Value) -> int:
    """A whole number as a place in an array.

    Raises:
        TooCloseError: an enclosure holds another number, too.
    """
    if isinstance(value, int):
        return value
    if isinstance(value, Dual):
        return as_place(value.value)
    if isinstance(value, flint.arb):
        found = value.unique_fmpz()
        if found is None:
            raise TooCloseError("an enclosure that holds more than one place")
        return int(found)
    return int(value)


def _lifted(base: Field) -> dict[str, Callable[[Value], Value]]:
    """The basic functions on dual numbers, by the chain rule."""
    f = base.functions

    def erf_slope(x: Value) -> Value:
        return f["exp"](-(x * x)) * base.power(base.pi(), Fraction(-1, 2)) * 2

    slopes: dict[str, Callable[[Value, Value], Value]] = {
        "exp": lambda x, value: value,
        "log": lambda x, value: base.power(x, Fraction(-1)),
        "erf": lambda x, value: erf_slope(x),
        "sin": lambda x, value: f["cos"](x),
        "cos": lambda x, value: -f["sin"](x),
        "atan": lambda x, value: base.power(x * x + 1, Fraction(-1)),
        "lgamma": lambda x, value: f["digamma"](x),
        "digamma": lambda x, value: f["trigamma"](x),
        "trigamma": lambda x, value: _no_third(),
    }

    def jumping(name: str, shift: Fraction) -> Callable[[Value], Value]:
        """A function that is constant between its jumps, which are at the integers, moved by `shift`."""

        def call(x: Value) -> Value:
            if not isinstance(x, Dual):
                return f[name](x)
            moved = x.value + base.number(shift)
            if base.compare(moved, f["floor"](moved)) == 0:
                raise TooCloseError(f"a jump of {name}")
            return f[name](x.value)

        return call

    def lift(name: str) -> Callable[[Value], Value]:
        function, slope = f[name], slopes[name]

        def call(x: Value) -> Value:
            if not isinstance(x, Dual):
                return function(x)
            value = function(x.value)
            return Dual(value, x.slope * slope(x.value, value))

        return call

    jumps = {"floor": jumping("floor", Fraction(0)), "round": jumping("round", Fraction(1, 2))}
    return {name: lift(name) for name in slopes} | jumps


@cache
def dual(base: Field) -> Field:
    """Dual numbers over `base`: comparing two that are equal, but may move apart, is a kink."""

    def power(x: Value, exponent: Fraction) -> Value:
        if not isinstance(x, Dual):
            return base.power(x, exponent)
        if exponent == 0:
            return 1
        slope = base.power(x.value, exponent - 1) * base.number(exponent)
        return Dual(base.power(x.value, exponent), x.slope * slope)

    def compare(left: Value, right: Value) -> int:
        if left is right:
            return 0
        moving = isinstance(left, Dual) or isinstance(right, Dual)
        order = base.compare(
            left.value if isinstance(left, Dual) else left, right.value if isinstance(right, Dual) else right
        )
        if order == 0 and moving:
            raise TooCloseError("a kink or a tie")
        return order

    return Field(f"dual({base.name})", base.number, _lifted(base), power, compare, base.pi, base.bits, base.unit)
