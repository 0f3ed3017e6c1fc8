"""The exact number that a float64 stands for: 0.1 is 1/10, 0.7978845608028654 is sqrt(2/pi).

A program's constants are float64. One that is the nearest float64 of a number in use is that number, however it was
spelled: short decimals, fractions, square roots, and rational multiples of pi, e, log 2, log 10, their roots, inverses
and products. One that misses such a number by a rounding error of its computation (1 - 0.9 misses 1/10) counts as it
too, which is a condition that must be told. Every other float64 stands for itself.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

import flint
import numpy as np
from numpy.typing import NDArray

from symbackprop.expression.build import ONE, Expr, apply, multiply, number, power
from symbackprop.expression.functions import EXP, LOG
from symbackprop.expression.sympy_bridge import PI

ROUNDING = Fraction(4, 10**16)  # relative: what one or two operations in float64 lose
SHORT = 15  # decimals with fewer digits are what was meant
FRACTION, ROOT, MULTIPLE = 10_000, 1000, 360  # the largest denominators
FEW_DIGITS = 12  # of a decimal that a float64 may just miss
BITS = 300


@dataclass(frozen=True)
class ConstantReading:
    """What a float64 stands for.

    Args:
        value: the number.
        nearest: True if the float64 is the one nearest to it; False if it misses it by a rounding error.
    """

    value: Expr
    nearest: bool = True


@lru_cache(maxsize=4096)
def read(value: float) -> ConstantReading:
    """The exact number that a finite float64 stands for.

    Example:
        >>> read(0.1).value, read(1 / 3).value
        (Number(value=Fraction(1, 10)), Number(value=Fraction(1, 3)))
        >>> read(1 - 0.9)
        ConstantReading(value=Number(value=Fraction(1, 10)), nearest=False)
        >>> read(1.0545718176461565e-34).value
        Number(value=Fraction(2109143635292313, 20000000000000000000000000000000000000000000000000))
    """
    if value < 0:
        found = read(-value)
        return ConstantReading(multiply(number(-1), found.value), found.nearest)
    if significant_digits(value) < SHORT:
        return ConstantReading(number(Fraction(repr(value))))
    for nearest in (True, False):
        found_value = _recognised(value, nearest)
        if found_value is not None:
            return ConstantReading(found_value, nearest)
    return ConstantReading(number(Fraction(repr(value))))


def significant_digits(value: float) -> int:
    """How many digits Python needs to write a float."""
    return len(repr(value).split("e")[0].replace(".", "").strip("-0"))


def _recognised(value: float, nearest: bool) -> Expr | None:
    """A number in use that the float64 is nearest to, or misses by a rounding error."""
    if not nearest:
        decimal = Fraction(f"{value:.{FEW_DIGITS}g}")
        if _stands_for(value, decimal, nearest):
            return number(decimal)
    exact = Fraction(value)
    if not 2.0**-64 < value < 2.0**64:  # no number in use is so small or large and no short decimal
        return None
    fraction = exact.limit_denominator(FRACTION)
    if _stands_for(value, fraction, nearest):
        return number(fraction)
    square = (exact * exact).limit_denominator(ROOT)
    if square > 0 and _stands_for(value, _root(square), nearest):
        return power(number(square), number(Fraction(1, 2)))
    for expr, base in _likely(value):
        multiple = (exact / base).limit_denominator(MULTIPLE)
        if _stands_for(value, multiple * base, nearest):
            return multiply(number(multiple), expr)
    return None


def _likely(value: float) -> list[tuple[Expr, Fraction]]:
    """The bases of which the value may be a multiple by a fraction of small denominator, as far as floats tell."""
    bases, sizes = _bases()
    ratios = value / sizes[:, None] * np.arange(1, MULTIPLE + 1)
    near = (np.abs(ratios - np.round(ratios)) <= 1e-14 * ratios).any(axis=1)
    return [bases[k] for k in np.flatnonzero(near)]


def _root(square: Fraction) -> Fraction:
    with flint.ctx.workprec(BITS):
        return _approximate(flint.arb(_fmpq(square)).sqrt())


def _stands_for(value: float, wanted: Fraction, nearest: bool) -> bool:
    if wanted <= 0:
        return False
    if nearest:
        return float(wanted) == value
    return abs(Fraction(value) - wanted) <= ROUNDING * wanted


@cache
def _bases() -> tuple[tuple[tuple[Expr, Fraction], ...], NDArray[np.float64]]:
    """Products of powers of pi, e, log 2, log 10 and roots of small integers, the plainest first; and as floats."""
    half = Fraction(1, 2)
    e, log2, log10 = apply(EXP, ONE), apply(LOG, number(2)), apply(LOG, number(10))
    with flint.ctx.workprec(BITS):
        values = {PI: flint.arb.pi(), e: flint.arb.const_e(), log2: flint.arb(2).log(), log10: flint.arb(10).log()}
        found: list[tuple[int, Expr, Fraction]] = []
        plain = (Fraction(0), Fraction(1), Fraction(-1))
        rooted = (*plain, half, -half)
        for powers in itertools.product((*rooted, Fraction(2), Fraction(-2)), rooted, plain, plain):
            used = [(base, p) for base, p in zip(values, powers, strict=True) if p]
            if not used or len(used) > 2:
                continue
            for root in (1, 2, 3, 5, 6, 7, 10):
                size = flint.arb(root).sqrt()
                for base, p in used:
                    size *= values[base] ** flint.arb(_fmpq(p))
                expr = multiply(power(number(root), number(half)), *(power(b, number(p)) for b, p in used))
                found.append((len(used) + (root > 1), expr, _approximate(size)))
        found.append((1, apply(LOG, multiply(number(2), PI)), _approximate((2 * flint.arb.pi()).log())))
    bases = tuple((expr, size) for _, expr, size in sorted(found, key=lambda f: f[0]))
    return bases, np.array([float(size) for _, size in bases])


def _fmpq(value: Fraction) -> flint.fmpq:
    return flint.fmpq(value.numerator, value.denominator)


def _approximate(value: flint.arb) -> Fraction:
    """The middle of a ball."""
    mantissa, exponent = value.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


__all__ = ["ConstantReading", "read", "significant_digits"]
