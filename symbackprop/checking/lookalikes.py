"""Which tensors of two programs are probably equal: up to the order of axes, a sign and a constant factor.

Every tensor gets its numbers at several points. Tensors with the same numbers are proposed to the normal form; numbers
alone prove nothing here.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.question import Question
from symbackprop.checking.sample_points import Sampler
from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Expr, Symbol, Tensor, multiply, number, power
from symbackprop.expression.program import Equation

TOLERANCE = 1e-8
SCALE = 0.5  # of inputs: functions that level off, stacked, leave no digits where numbers are large
POINTS = 6
LARGEST_FACTOR, MOST_SYMBOLS = 64, 3  # of a constant factor: numerator and denominator, and symbols in it
Values = Mapping[Tensor, NDArray[Any]]


@dataclass(frozen=True)
class Likeness:
    """tensor[i, j, ...] is factor * other, whose axes are those at `order`, as far as numbers tell."""

    other: Tensor
    order: tuple[int, ...]
    factor: Expr


class Lookalikes:
    """The numbers of all tensors of some equations at several points.

    Args:
        equations: in an order in which they can be evaluated.
    """

    def __init__(self, question: Question, equations: tuple[Equation, ...]) -> None:
        self._at: list[tuple[Point, Values]] = []
        for point in _points(question):
            vectors = Vectors(point)
            try:
                with np.errstate(all="ignore"):
                    vectors.run(equations)
            except (SymbackpropError, ArithmeticError, LookupError, ValueError):
                continue
            self._at.append((point, vectors.arrays))
        self._sizes = [abs_sums(values) for _, values in self._at]

    def of(self, tensor: Tensor, known: list[Tensor]) -> Iterator[Likeness]:
        """The known tensors that are like this one, those without a factor first."""
        if not all(tensor in values for _, values in self._at):
            return
        for exact in (True, False):
            for other in known:
                if len(other.shape) == len(tensor.shape) and self._plausible(tensor, other, exact):
                    found = self._likeness(tensor, other)
                    if found is not None:
                        yield found

    def _plausible(self, tensor: Tensor, other: Tensor, exact: bool) -> bool:
        """A first look at the sums of absolute values, which no order of axes and no sign changes."""
        pairs = [(sizes.get(tensor), sizes.get(other)) for sizes in self._sizes]
        same = all(
            a is not None and b is not None and abs(a - b) <= 1e-6 * max(abs(a), abs(b), 1e-300) for a, b in pairs
        )
        zeros = all(a is not None and b is not None and (a == 0) == (b == 0) for a, b in pairs)
        return same if exact else zeros and not same

    def _likeness(self, tensor: Tensor, other: Tensor) -> Likeness | None:
        for order in itertools.permutations(range(len(tensor.shape))):
            if other.shape != tuple(tensor.shape[k] for k in order):
                continue
            back = np.argsort(order) if order else ()
            pairs = [(v[tensor], np.transpose(v[other], back) if order else v[other]) for _, v in self._at]
            factor = self._factor([_ratio(a, b) for a, b in pairs])
            if factor is not None:
                return Likeness(other, order, factor)
        return None

    def _factor(self, ratios: list[float | None]) -> Expr | None:
        """The constant factor that has these values at the points; None where there is none, or nothing to tell it by.

        Args:
            ratios: nan where both are 0 and so tell nothing, None where the two are no multiples of each other.
        """
        told = [(p, r) for (p, _), r in zip(self._at, ratios, strict=True) if r is not None and not np.isnan(r)]
        if None in ratios or not told:
            return None
        symbols = [*told[0][0].sizes, *told[0][0].parameters][:8]
        for count in range(MOST_SYMBOLS + 1):
            for chosen in itertools.combinations(symbols, count):
                for signs in itertools.product((1, -1), repeat=count):
                    factor = _constant([r / _monomial(p, chosen, signs) for p, r in told])
                    if factor is not None:
                        powers = (power(s, number(e)) for s, e in zip(chosen, signs, strict=True))
                        return multiply(number(factor), *powers) if chosen else number(factor)
        return None


def _monomial(point: Point, symbols: tuple[Symbol, ...], exponents: tuple[int, ...]) -> float:
    values = {**point.sizes, **point.parameters}
    return float(np.prod([float(values[s]) ** e for s, e in zip(symbols, exponents, strict=True)]))


def _constant(values: list[float]) -> Fraction | None:
    """The simple fraction that all values are."""
    guess = Fraction(values[0]).limit_denominator(LARGEST_FACTOR)
    if not guess or abs(guess.numerator) > LARGEST_FACTOR:
        return None
    return guess if all(abs(v - float(guess)) <= TOLERANCE * abs(float(guess)) for v in values) else None


def _ratio(own: NDArray[Any], other: NDArray[Any]) -> float | None:
    """What `other` is multiplied by to give `own`; nan where both are 0, None where it is no multiple."""
    if own.shape != other.shape or not own.size:
        return None
    largest, place = float(np.max(np.abs(own))), int(np.argmax(np.abs(other)))
    reference = float(other.flat[place])
    if not (np.isfinite(largest) and np.isfinite(reference)) or (largest == 0) != (reference == 0):
        return None
    if largest == 0:
        return float("nan")
    ratio = float(own.flat[place]) / reference
    return ratio if ratio and np.allclose(own, ratio * other, rtol=TOLERANCE, atol=0.1 * TOLERANCE * largest) else None


def abs_sums(values: Values) -> dict[Tensor, float]:
    """The sum of absolute values of each tensor of real numbers."""
    return {t: float(np.sum(np.abs(a))) for t, a in values.items() if a.dtype.kind in "fiu"}


def _points(question: Question) -> Iterator[Point]:
    """Small unequal sizes, some larger; signs mixed, and mostly positive, where more of a rectified net is alive."""
    sampler, rng = Sampler(question, random.Random(7)), np.random.default_rng(5)
    choices = sampler.size_choices()
    for k in range(POINTS if choices else 0):
        point = sampler.point(choices[(k // 2) % len(choices)] if k < POINTS - 1 else choices[-1], scale=SCALE)
        yield (
            replace(point, inputs={t: _mostly_positive(t, a, question, rng) for t, a in point.inputs.items()})
            if (k % 3)
            else point
        )


def _mostly_positive(
    tensor: Tensor, values: NDArray[Any], question: Question, rng: np.random.Generator
) -> NDArray[Any]:
    if values.dtype.kind != "f" or tensor in question.forward.known:
        return values
    signed: NDArray[Any] = np.abs(values) * rng.choice([-1.0, 1.0, 1.0, 1.0], values.shape)
    return signed
