"""What a claim says exactly on the threshold of a branch, where the forward pass may be smooth all the same.

relu(x) - relu(-x) is x, at 0 as well; a claim of (x > 0) + (x < 0) is wrong there, and there alone. Where the forward
pass has a slope from either side, and it is the same one, that is its slope, whatever its branches say.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import flint
import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.question import Examination, Question, given_entries, to_float
from symbackprop.checking.threshold_points import Site
from symbackprop.evaluation.compile import Array, Compiler, OutOfRangeError, State
from symbackprop.evaluation.exact import Evaluator
from symbackprop.evaluation.number_types import Missing, TooCloseError, Value, ball
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Apply, Tensor, nodes_once
from symbackprop.expression.functions import STOP_GRADIENT

FIELD = ball(256)
STEPS = (2.0**-30, -(2.0**-30), 2.0**-40, -(2.0**-40))
SMOOTH, PLAIN = 1e-6, 1e-3  # slopes that are one, and those that certainly are not
ENTRIES = 3  # of an input, along which slopes are taken
Floats = NDArray[Any]
UNUSABLE = (TooCloseError, OutOfRangeError, ZeroDivisionError)


class AtKinks:
    """Both programs of a question, at points on thresholds.

    Args:
        movable: the inputs of which single entries may be moved.
        equalities: thresholds of the claim at which it asks whether two numbers are equal.
    """

    def __init__(
        self, question: Question, movable: Sequence[Tensor], equalities: Sequence[Site], rng: random.Random
    ) -> None:
        self.question, self.movable, self.rng = question, movable, rng
        self.unmet = list(equalities)
        lines = question.forward.equations
        constants = any(
            isinstance(n, Apply) and n.function is STOP_GRADIENT for e in lines for n in nodes_once(e.value)
        )
        self._has_slopes = not question.truths and not constants  # what counts as a constant has a slope all the same
        self._forward, self._claimed = Evaluator(question.forward, FIELD), Evaluator(question.claimed, FIELD)
        with FIELD.working():
            compiler = Compiler(FIELD)
            self._closures = {
                s: (compiler.compile(s.difference), [compiler.compile(i.size) for i in s.indices]) for s in equalities
            }

    def wrong(self, point: Point) -> Examination | None:
        """The claim beside a slope that it is not, where the forward pass is smooth; thresholds met are noted."""
        if not self._has_slopes or point.functions:
            self.unmet = []
            return None
        with FIELD.working():
            try:
                arrays, cost = self._cost(point)
                given = {
                    t: arrays[t] if t in arrays else given_entries(t, point, FIELD)
                    for t in self._claimed.program.inputs
                }
                claims = self._claimed.run(point.values(FIELD), given)
                self._meet(point, claims)
                return None if self.question.infinities else self._compared(point, cost, claims)
            except UNUSABLE:
                return None

    def wrong_beside_ties(self, point: Point) -> Examination | None:
        """The claim beside a slope that it is not, at a point of no threshold: entries that are always equal, as those
        of x*x.T are, may all be the largest, and be counted as many times."""
        if not self._has_slopes or point.functions or self.question.infinities:
            return None
        with FIELD.working():
            try:
                arrays, cost = self._cost(point)
                given = {
                    t: arrays[t] if t in arrays else given_entries(t, point, FIELD)
                    for t in self._claimed.program.inputs
                }
                claims = self._claimed.run(point.values(FIELD), given)
                along = self._along_a_direction(point, cost, claims)
                return None if along else self._compared(point, cost, claims, math.inf)
            except UNUSABLE:
                return None

    def _along_a_direction(self, point: Point, cost: Value, claims: dict[Tensor, Array]) -> bool:
        """Whether all claims together are the slope along a random direction, as far as there is one."""
        asked = [(t, claims[c]) for t, c in self.question.pairs.values() if t in self.movable]
        way = {t: self._direction(point.inputs[t]) for t, _ in asked}
        slope = self._slope(point, way, cost)
        entries = [(way[t][p], v) for t, claim in asked for p, v in claim.items()]
        if slope is None or any(isinstance(v, Missing) for _, v in entries):
            return True
        claimed = math.fsum(float(w) * to_float(v) for w, v in entries)
        return abs(claimed - to_float(slope)) <= PLAIN * max(1.0, abs(to_float(slope)))

    def _cost(self, point: Point) -> tuple[dict[Tensor, Array], Value]:
        inputs = {t: given_entries(t, point, FIELD) for t in self._forward.program.inputs}
        arrays = self._forward.run(point.values(FIELD), inputs)
        total: Value = 0
        for place, output in enumerate(self._forward.program.outputs):
            upstream = self.question.upstream
            weights = given_entries(upstream[place], point, FIELD) if upstream else None
            for position, entry in arrays[output].items():
                total = total + (entry * weights[position] if weights else entry)
        return arrays, total

    def _meet(self, point: Point, arrays: dict[Tensor, Array]) -> None:
        """Strike off the thresholds that are met exactly."""
        state = State(dict(point.values(FIELD)), arrays)
        for site in list(self.unmet):
            closure, sizes = self._closures[site]
            for position in np.ndindex(*(int(n(state)) for n in sizes)):
                state.index.update(zip(site.indices, position, strict=True))
                value = closure(state)
                if not isinstance(value, Missing) and value == 0:
                    self.unmet.remove(site)
                    break

    def _compared(
        self, point: Point, cost: Value, claims: dict[Tensor, Array], most: float = ENTRIES
    ) -> Examination | None:
        if not self._is_smooth(point, cost):
            return None
        for name, (tensor, claim) in self.question.pairs.items():
            if tensor not in self.movable:
                continue
            for position in self._entries(point, tensor, most):
                unit = np.zeros_like(point.inputs[tensor])
                unit[position] = 1.0
                slope = self._slope(point, {tensor: unit}, cost)
                claimed = claims[claim].get(position)
                if slope is None or claimed is None or isinstance(claimed, Missing):
                    continue
                gap = abs(to_float(claimed) - to_float(slope))
                if math.isfinite(gap) and gap > PLAIN * max(1.0, abs(to_float(slope))):
                    return Examination(point, FIELD, {name: claims[claim]}, {name: {position: slope}}, {})
        return None

    def _entries(self, point: Point, tensor: Tensor, most: float) -> Iterator[tuple[int, ...]]:
        """Some entries of an input, first those that stand alone: one that was moved to a threshold."""
        array = point.inputs[tensor]
        values, counts = np.unique(np.abs(array), return_counts=True)
        rare = dict(zip(values.tolist(), counts.tolist(), strict=True))
        places = list(np.ndindex(*array.shape))
        self.rng.shuffle(places)
        places.sort(key=lambda p: (float(array[p]) not in (0.0, 1.0, -1.0), rare[abs(float(array[p]))]))
        yield from places[: int(min(most, len(places)))]

    def _is_smooth(self, point: Point, cost: Value) -> bool:
        """Whether the cost is as good as linear around a point, in whatever direction all inputs move together."""
        first, second = ({t: self._direction(point.inputs[t]) for t in self.movable} for _ in range(2))
        both = {t: first[t] + second[t] for t in self.movable}
        slopes = [self._slope(point, way, cost) for way in (first, second, both)]
        if any(s is None for s in slopes):
            return False
        one, other, together = (to_float(s) for s in slopes if s is not None)
        return abs(one + other - together) <= SMOOTH * max(1.0, abs(one), abs(other))

    def _direction(self, array: Floats) -> Floats:
        return np.array([self.rng.randint(-8, 8) / 8 for _ in range(array.size)]).reshape(array.shape)

    def _slope(self, point: Point, way: Mapping[Tensor, Floats], cost: Value) -> Value | None:
        """The slope along a direction, where it is the same on both sides and at two distances."""
        found = []
        for step in STEPS:
            moved = {t: point.inputs[t] + step * way[t] for t in way}
            if any((moved[t] - step * way[t] != point.inputs[t]).any() for t in way):
                return None
            there = self._cost(replace(point, inputs={**point.inputs, **moved}))[1]
            if isinstance(there, Missing) or isinstance(cost, Missing):
                return None
            found.append(flint.arb(there - cost) / flint.arb(step))
        plain = [to_float(s) for s in found]
        scale = max(1.0, *map(abs, plain))
        return found[-1] if max(plain) - min(plain) <= SMOOTH * scale else None


__all__ = ["AtKinks"]
