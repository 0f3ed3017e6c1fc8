"""Whether a user's functions are finite for all inputs in the ranges: they are run by NumPy on intervals.

Each entry of an input is the whole range. A sum or a product of intervals holds every number that the machine may
compute from numbers in them; it may be infinite, as exp(-x) is, as long as no result can be nan. Whatever intervals
cannot decide (a comparison, a difference of two infinite numbers, a division by what may be 0) ends the attempt, and
nothing is said. What is proved is proved for arrays of the sizes that were run. Main name: `proved_finite`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from symbackprop.checking.sample_points import Sampler, Sizes
from symbackprop.checking.user_run import handed, outputs_and_cache, quietly, run
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Tensor
from symbackprop.precision.ranges import Range
from symbackprop.precision.user_results import UserCode, listed, named

ULPS = 4  # that a function of NumPy's may be off
LARGEST_UPSTREAM = 1e4
BOUNDED = {"onehot": (0.0, 1.0), "bern": (0.0, 1.0), "pm1": (-1.0, 1.0)}


class Undecided(Exception):
    """An interval does not tell."""


class Interval:
    """All numbers from `low` to `high`, which may be infinite; none of them is nan."""

    __slots__ = ("dtype", "high", "low")

    def __init__(self, low: float, high: float, dtype: type[np.floating[Any]]) -> None:
        if math.isnan(low) or math.isnan(high):
            raise Undecided
        self.low, self.high, self.dtype = low, high, dtype

    def made(self, low: float, high: float) -> Interval:
        """The interval, widened by what rounding may add; a sign is never rounded away."""
        if math.isnan(low) or math.isnan(high):
            raise Undecided
        with np.errstate(all="ignore"):  # what is beyond the dtype is infinite
            down, up = self.dtype(low), self.dtype(high)
            for _ in range(ULPS):
                down, up = np.nextafter(down, self.dtype(-np.inf)), np.nextafter(up, self.dtype(np.inf))
        below, above = float(down), float(up)
        below = max(below, 0.0) if low >= 0 else below
        above = min(above, 0.0) if high <= 0 else above
        return Interval(below, above, self.dtype)

    def of(self, other: Any) -> Interval:
        """A number as an interval."""
        if isinstance(other, Interval):
            return other
        value = float(other)
        return Interval(value, value, self.dtype) if self.dtype(value) == value else self.made(value, value)

    @property
    def finite(self) -> bool:
        """Whether no number in it is infinite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __add__(self, other: Any) -> Interval:
        b = self.of(other)
        if (self.low == -math.inf and b.high == math.inf) or (self.high == math.inf and b.low == -math.inf):
            raise Undecided
        return self.made(self.low + b.low, self.high + b.high)

    __radd__ = __add__

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low, self.dtype)

    def __pos__(self) -> Interval:
        return self

    def __sub__(self, other: Any) -> Interval:
        return self + (-self.of(other))

    def __rsub__(self, other: Any) -> Interval:
        return self.of(other) + (-self)

    def __mul__(self, other: Any) -> Interval:
        b = self.of(other)
        for one, two in ((self, b), (b, self)):
            if not one.finite and two.low <= 0 <= two.high:
                raise Undecided  # 0 times infinity
        ends = [x * y for x in (self.low, self.high) for y in (b.low, b.high)]
        return self.made(min(ends), max(ends))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Interval:
        b = self.of(other)
        if b.low <= 0 <= b.high or not (self.finite or b.finite):
            raise Undecided
        ends = [x / y for x in (self.low, self.high) for y in (b.low, b.high)]
        return self.made(min(ends), max(ends))

    def __rtruediv__(self, other: Any) -> Interval:
        return self.of(other) / self

    def __pow__(self, other: Any) -> Interval:
        if isinstance(other, Interval):
            raise Undecided
        power = float(other)
        if power == 0.5:
            return self.sqrt()
        if power != int(power) or abs(power) > 64:
            raise Undecided
        if power < 0:
            return 1 / self ** (-power)
        ends = [_power(self.low, int(power)), _power(self.high, int(power))]
        low = 0.0 if power % 2 == 0 and self.low <= 0 <= self.high else min(ends)
        return self.made(low, max(ends))

    def __abs__(self) -> Interval:
        low = 0.0 if self.low <= 0 <= self.high else min(abs(self.low), abs(self.high))
        return Interval(low, max(abs(self.low), abs(self.high)), self.dtype)

    def __lt__(self, other: Any) -> bool:
        b = self.of(other)
        if self.high < b.low:
            return True
        if self.low >= b.high:
            return False
        raise Undecided

    def __gt__(self, other: Any) -> bool:
        return self.of(other) < self

    def __le__(self, other: Any) -> bool:
        return not self.of(other) < self

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __eq__(self, other: Any) -> bool:
        raise Undecided

    def __ne__(self, other: Any) -> bool:
        raise Undecided

    __hash__ = None  # type: ignore[assignment]

    def __float__(self) -> float:
        raise Undecided

    def __bool__(self) -> bool:
        raise Undecided

    # NumPy calls these for its functions of the same names.

    def exp(self) -> Interval:
        """All values of exp."""
        return self.made(_exp(self.low), _exp(self.high))

    def expm1(self) -> Interval:
        """All values of expm1."""
        return self.made(max(-1.0, _exp(self.low) - 1), _exp(self.high) - 1)

    def log(self) -> Interval:
        """All values of log."""
        if self.low <= 0:
            raise Undecided
        return self.made(math.log(self.low), math.log(self.high))

    def log1p(self) -> Interval:
        """All values of log1p."""
        if self.low <= -1:
            raise Undecided
        return self.made(math.log1p(self.low), math.log1p(self.high))

    def sqrt(self) -> Interval:
        """All values of sqrt."""
        if self.low < 0:
            raise Undecided
        return self.made(math.sqrt(self.low), math.sqrt(self.high))

    def tanh(self) -> Interval:
        """All values of tanh."""
        return self.made(math.tanh(self.low), math.tanh(self.high))

    def cosh(self) -> Interval:
        """All values of cosh."""
        size = abs(self)
        return self.made(0.5 * _exp(size.low), _exp(size.high))

    def sin(self) -> Interval:
        """All values of sin."""
        return self.made(-1.0, 1.0)

    cos = sin


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _power(x: float, n: int) -> float:
    try:
        return x**n
    except OverflowError:
        return math.inf if x > 0 or n % 2 == 0 else -math.inf


def proved_finite(code: UserCode, sampler: Sampler, ranges: Mapping[Tensor, Range], sizes: Sizes) -> bool:
    """Whether both functions are finite at these sizes, for inputs in the ranges and upstream gradients up to 1e4."""
    point = _intervals(code, sampler, ranges, sizes)
    if point is None:
        return False
    inputs = code.question.forward.inputs
    with quietly():
        try:
            outputs, cache = outputs_and_cache(run(code.forward, inputs, point), code.roles)
            upstream = tuple(handed(t, point) for t in code.question.upstream)
            one = upstream[0] if len(upstream) == 1 else upstream
            others = {n: cache if role == "cache" else one for n, role in code.roles.items()}
            returned = run(code.backward, inputs, point, **others)
            gradients = [named(returned, n, k) for k, n in enumerate(code.question.pairs)]
            return all(map(_is_finite, (*listed(outputs), *gradients)))
        except Exception:  # an interval does not tell, or NumPy does not take one
            return False


def _intervals(code: UserCode, sampler: Sampler, ranges: Mapping[Tensor, Range], sizes: Sizes) -> Point | None:
    """The point at which every entry is all that it may be; None where an input is no interval."""
    dtype = code.dtype.type
    base = sampler.point(sizes)
    arrays: dict[Tensor, Any] = {}
    for tensor, array in base.inputs.items():
        kind = sampler.kinds[tensor].kind if tensor in sampler.kinds else ""
        if tensor in ranges:
            low, high, _ = ranges[tensor]
        elif tensor in code.question.upstream:
            low, high = -LARGEST_UPSTREAM, LARGEST_UPSTREAM
        elif kind in BOUNDED:
            low, high = BOUNDED[kind]
        else:
            return None
        arrays[tensor] = np.full(array.shape, None, dtype=object)
        for place in np.ndindex(*array.shape):
            arrays[tensor][place] = Interval(low, high, dtype)
    return replace(base, inputs=arrays)


def _is_finite(value: Any) -> bool:
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return bool(np.isfinite(array).all())
    return array.dtype == object and all(isinstance(v, Interval) and v.finite for v in array.ravel())


__all__ = ["Interval", "Undecided", "proved_finite"]
