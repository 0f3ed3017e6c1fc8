"""Inputs at which floating point is likely to fail, the likely ones first.

Saturated units and the ends of the range, zeros and zero rows, equal and nearly equal entries far from 0, one entry
that is much larger than the others, mixed magnitudes, both sides of every constant of the code, and some at random. All
are numbers of the dtype within the range. Main name: `Inputs`.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.question import Question
from symbackprop.checking.sample_points import Sampler, Sizes
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Tensor
from symbackprop.precision.ranges import Range

Floats = NDArray[Any]
SATURATED = {
    "float64": (40.0, 25.0, 800.0, 710.0, 400.0, 100.0, 20.0, 5.0),
    "float32": (12.0, 10.0, 100.0, 89.0, 50.0, 20.0, 5.0, 30.0),
}
LARGE = (1e4, 3e3, 1e3)
SMALL = {"float64": (1e-3, 1e-9, 1e-6, 1e-20, 1e-100, 1e-200), "float32": (1e-2, 1e-4, 1e-8, 1e-12, 1e-20, 1e-35)}
STEPS = (1.0, 3.0, 7.0, 2.0, 5.0, 11.0, 4.0, 9.0)  # unequal distances of entries
NOISE = {"float64": (1e-3, 2.0, 1e-6), "float32": (1e-1, 2.0, 1e-2)}
LEVELS = {"float64": (9e3, 1e3, 20.0, 1.0, 1e2), "float32": (9e3, 1e2, 1.0, 1e3)}
WEIGHTS = (1.0, -2.0, 0.5, 1.5, -0.75, 0.625, -1.25, 1.75)  # upstream gradients that do not cancel
LAST_DIGITS = {"float64": 1e-11, "float32": 1e-4}
RANDOM = 60
SEED = 11
Draw = Callable[[Tensor, tuple[int, ...]], Floats]


class Inputs:
    """Points of one question.

    Args:
        ranges: of the inputs that may be any numbers of an interval; the others are drawn as is assumed of them.
        dtype: all entries are numbers of it.
        weights: further upstream gradients.
    """

    def __init__(
        self,
        question: Question,
        sampler: Sampler,
        ranges: Mapping[Tensor, Range],
        dtype: np.dtype[Any],
        weights: Collection[Tensor] = (),
    ) -> None:
        self.weights = frozenset((*question.upstream, *weights))
        self.question, self.sampler, self.ranges, self.dtype = question, sampler, ranges, dtype
        self.rng = random.Random(SEED)

    def points(self, sizes: Sizes) -> Iterator[Point]:
        """Points of these sizes."""
        base = self.sampler.point(sizes)
        free = [t for t in self.ranges if t in base.inputs]
        seen: set[bytes] = set()
        for turn, draw in enumerate(self._draws(free)):
            inputs = dict(base.inputs)
            for tensor in inputs:
                shape = self.sampler.shape(tensor, sizes)
                if tensor in self.ranges:
                    inputs[tensor] = self.within(tensor, draw(tensor, shape))
                elif tensor in self.weights:
                    inputs[tensor] = self._upstream(shape, turn)
                else:
                    inputs[tensor] = self._assumed(tensor, sizes, inputs, turn)
            key = b"".join(np.ascontiguousarray(a).tobytes() for a in inputs.values())
            if key not in seen:
                seen.add(key)
                yield Point(sizes, inputs, base.parameters, base.functions, self._exact())

    def inside(self, box: Mapping[Tensor, tuple[float, float]], sizes: Sizes) -> Iterator[Point]:
        """Points in a part of the ranges: at random in it, and at one of its corners."""
        for corner in (False, True):
            point = self.sampler.point(sizes)
            inputs = dict(point.inputs)
            for tensor in inputs:
                shape = self.sampler.shape(tensor, sizes)
                if tensor in box:
                    low, high = box[tensor]
                    parts = [
                        self.rng.choice((0.0, 1.0)) if corner else self.rng.random() for _ in range(math.prod(shape))
                    ]
                    inputs[tensor] = self.within(tensor, low + (high - low) * np.array(parts).reshape(shape))
                elif tensor in self.weights:
                    inputs[tensor] = self._upstream(shape, 0)
            yield Point(sizes, inputs, point.parameters, point.functions, self._exact())

    def beside(self, point: Point, count: int, spread: float) -> Iterator[Point]:
        """Points near another: nearer to a number or further away from it, all entries alike or each by its own.

        The numbers are 0, the ends of the range, 1 and -1, and the mean of the entries; or only last digits change, on
        which it depends how rounding errors add up.
        """
        for k in range(count):
            moved = dict(point.inputs)
            for tensor in self.ranges:
                array = point.inputs[tensor]
                around = (0.0, 0.0, *self.ranges[tensor][:2], 1.0, -1.0, float(array.mean()) if array.size else 0.0)
                factors = [self.rng.uniform(-1, 1) for _ in range(array.size if k % 2 else 1)]
                change = np.resize(np.array(factors), array.shape)
                if k % 4 == 3:
                    values = array * (1 + change * LAST_DIGITS[self.dtype.name])
                else:
                    centre = around[k % len(around)]
                    values = centre + (array - centre) * 2.0 ** (change * spread)
                moved[tensor] = self.within(tensor, values)
            yield replace(point, inputs=moved)

    def moved(self, point: Point) -> Point:
        """The point with an input, or an entry of one, of another magnitude; now and then of the other sign."""
        tensor = self.rng.choice([t for t in self.ranges if point.inputs[t].size] or list(self.ranges))
        array = point.inputs[tensor].copy()
        factor = 2.0 ** (self.rng.uniform(-1, 1) * self.rng.choice((0.25, 2.0, 8.0, 24.0)))
        factor *= -1 if self.rng.random() < 0.1 else 1
        if array.size > 1 and self.rng.random() < 0.5:
            array.flat[self.rng.randrange(array.size)] *= factor
        else:
            array = array * factor
        return replace(point, inputs={**point.inputs, tensor: self.within(tensor, array)})

    def shaken(self, point: Point, size: float) -> Point:
        """The point with all entries of inputs off by relative errors of a size: for arithmetic with more digits."""
        wide = {
            t: point.inputs[t] * (1 + size * np.array([self.rng.choice((-1, 1)) * self.rng.uniform(0.5, 1)
                                                      for _ in range(point.inputs[t].size)],
                                                     dtype=np.longdouble).reshape(point.inputs[t].shape))
            for t in self.ranges if t in point.inputs
        }  # fmt: skip
        return replace(point, inputs={**point.inputs, **wide})

    def within(self, tensor: Tensor, values: Floats) -> Floats:
        """Values brought into the range of an input, as numbers of the dtype."""
        low, high, excluded = self.ranges[tensor]
        array = np.asarray(np.clip(np.asarray(values, dtype=np.float64), low, high))
        if excluded:
            least = SMALL[self.dtype.name][-1]
            upper = high - 2 * float(np.finfo(self.dtype).eps) if high < 2 else high
            array = np.clip(array, low + least, upper)
        return np.asarray(array, dtype=self.dtype).astype(np.float64)

    def _exact(self) -> Mapping[float, Any]:
        return self.question.rounded if self.dtype == np.float64 else {}

    def _upstream(self, shape: tuple[int, ...], turn: int) -> Floats:
        """Ones, or weights that do not cancel."""
        if turn % 2 == 0:
            return np.ones(shape)
        weights = itertools.cycle(WEIGHTS)
        return np.array([next(weights) for _ in range(int(np.prod(shape)))]).reshape(shape)

    def _assumed(self, tensor: Tensor, sizes: Sizes, inputs: Mapping[Tensor, Floats], turn: int) -> Floats:
        """Labels and the like; those of classes are by turns those of the largest entry, and others."""
        drawn = self.sampler.draw(tensor, sizes)
        kind = self.sampler.kinds[tensor].kind if tensor in self.sampler.kinds else None
        if kind == "bern" and turn % 3 < 2:
            return np.full(drawn.shape, float(turn % 3 == 0))
        if kind == "onehot" and turn % 3 < 2:
            like = [a for t, a in inputs.items() if t in self.ranges and a.shape == drawn.shape]
            if like:
                axis = self.sampler.kinds[tensor].axis
                place = np.argmax(like[0], axis=axis) if turn % 3 == 0 else np.argmin(like[0], axis=axis)
                one = np.zeros(drawn.shape)
                np.put_along_axis(one, np.expand_dims(place, axis), 1.0, axis)
                return one
        return np.asarray(drawn.astype(self.dtype).astype(np.float64) if drawn.dtype.kind == "f" else drawn)

    # Patterns: each gives a tensor's entries by its shape.

    def _draws(self, tensors: Sequence[Tensor]) -> Iterator[Draw]:
        """Each pattern for all inputs at once, then each alone beside mild ones, then mixed, in turn."""
        patterns = list(self._patterns())
        mild: Draw = self._mild
        yield mild
        for k, pattern in enumerate(patterns):
            yield pattern
            if len(tensors) > 1:
                for own in tensors:
                    yield _by_tensor({t: pattern if t is own else mild for t in tensors})
                other = patterns[(7 * k + 3) % len(patterns)]
                yield _by_tensor({t: (pattern, other)[i % 2] for i, t in enumerate(tensors)})
        for _ in range(RANDOM):
            any_of = (*patterns, self._logarithmic, self._logarithmic, self._wide)
            yield _by_tensor({t: self.rng.choice(any_of) for t in tensors})

    def _patterns(self) -> Iterator[Draw]:
        name = self.dtype.name
        scalars = self._scalars()
        yield from (_full(v) for v in scalars[:12])
        for large in (*SATURATED[name][:4], LARGE[0]):
            yield _first(large)
            yield _first(-large)
        for level in LEVELS[name]:
            for noise in NOISE[name]:
                yield _level(level, noise)
                yield _cluster(level, noise)
        yield from (_full(v) for v in scalars[12:])
        yield _zero_row
        for small in SMALL[name]:
            yield _first(small, 1.0)
            yield _ramp(small)
        for large in (*SATURATED[name], *LARGE):
            yield _ramp(large)
            yield _first(large, 1.0)
            yield _first(-large, large)

    def _scalars(self) -> list[float]:
        """Numbers that whole inputs may have: 0, saturated, the ends, small ones, both sides of constants."""
        name = self.dtype.name
        ends = dict.fromkeys(e for r in self.ranges.values() for e in (r.low, r.high))
        both = [s * v for v in (*SATURATED[name][:2], *SATURATED[name][2:4]) for s in (1, -1)]
        rest = [s * v for v in (*LARGE, *SMALL[name], *SATURATED[name][4:], 1.0, 0.5) for s in (1, -1)]
        inner = [r.low + (r.high - r.low) * f for r in self.ranges.values() for f in (0.5, 0.01, 0.99)]
        beside = [
            s * c * f for c in self.question.constants[:6] if c < LARGE[0] for s in (1, -1) for f in (1.0, 0.75, 1.25)
        ]
        near = [1 + s * v for v in (*SMALL[name][:3], float(np.finfo(self.dtype).eps)) for s in (1, -1)]
        return list(dict.fromkeys([0.0, *both, *ends, 1.0, *rest, *near, *inner, *beside]))

    def _mild(self, tensor: Tensor, shape: tuple[int, ...]) -> Floats:
        count = int(np.prod(shape))
        signs = (1, -1) if self.ranges[tensor].low < 0 else (1,)
        values = [self.rng.uniform(0.1, 3.0) * self.rng.choice(signs) for _ in range(count)]
        low, high, _ = self.ranges[tensor]
        if not low <= 1.0 <= high or high - low < 2:
            values = [low + (high - low) * self.rng.uniform(0.1, 0.9) for _ in range(count)]
        return np.array(values).reshape(shape)

    def _logarithmic(self, tensor: Tensor, shape: tuple[int, ...]) -> Floats:
        count, (low, high, _) = int(np.prod(shape)), self.ranges[tensor]
        largest = np.log10(max(abs(low), abs(high), 1e-3))
        least = np.log10(SMALL[self.dtype.name][-1])
        return np.array([
            self.rng.choice((-1, 1)) * 10.0 ** self.rng.uniform(self.rng.choice((least, -12, -3)), largest)
            for _ in range(count)
        ]).reshape(shape)  # fmt: skip

    def _wide(self, tensor: Tensor, shape: tuple[int, ...]) -> Floats:
        low, high, _ = self.ranges[tensor]
        scale = self.rng.choice((1.0, 1e-1, 1e-2, 4e-3))
        count = int(np.prod(shape))
        return np.array([self.rng.uniform(low, high) * scale for _ in range(count)]).reshape(shape)


def _by_tensor(draws: Mapping[Tensor, Draw]) -> Draw:
    """Of each tensor what its own pattern gives."""
    return lambda tensor, shape: draws[tensor](tensor, shape)


def _full(value: float) -> Draw:
    return lambda tensor, shape: np.full(shape, value)


def _first(value: float, rest: float = 0.0) -> Draw:
    """One value at the first place of each row, another everywhere else."""

    def draw(tensor: Tensor, shape: tuple[int, ...]) -> Floats:
        array = np.full(shape, rest)
        array[(*[slice(None)] * (len(shape) - 1), slice(0, 1)) if shape else ()] = value
        return array

    return draw


def _ramp(value: float) -> Draw:
    """Unequal multiples of a value of both signs."""

    def draw(tensor: Tensor, shape: tuple[int, ...]) -> Floats:
        return _noise(shape) * value

    return draw


def _level(level: float, noise: float) -> Draw:
    """All entries near one number."""
    return lambda tensor, shape: level + noise * _noise(shape, tensor.name)


def _cluster(level: float, noise: float) -> Draw:
    """Rows that are near one another, with entries that are not: of several inputs near the same row."""

    def draw(tensor: Tensor, shape: tuple[int, ...]) -> Floats:
        row = level * _noise(shape[-1:]) if shape else np.asarray(level)
        return row + noise * _noise(shape, tensor.name)

    return draw


def _zero_row(tensor: Tensor, shape: tuple[int, ...]) -> Floats:
    array = _noise(shape, tensor.name) * 2.0
    if shape:
        array[0] = 0.0
    return array


def _noise(shape: tuple[int, ...], name: str = "") -> Floats:
    """Unequal numbers of size about 1."""
    count = int(np.prod(shape))
    shift = sum(map(ord, name)) % 7
    values = [((3 * k + shift) % 11 + 0.5 + k / 64) / 11 * (1 if (k * 5 + shift) % 3 else -1) for k in range(count)]
    return np.array(values).reshape(shape)
