"""Points in thin regions: where a comparison of either program is about to change its answer.

A mask `z > 1` in place of `z > 0`, a tolerance used as a mask, a branch below epsilon: such a slip shows only between
two thresholds, where random points seldom fall. Every comparison, every function with a kink and every maximum gives a
difference that is 0 on its threshold; one input, or a whole tensor, is moved along a line until the difference has a
chosen small value on either side, by secants in floating point. The constants of both programs say how small. This
module must not know what is examined at a point.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from symbackprop.checking.question import Question, nearest, to_float
from symbackprop.checking.sample_points import Sampler, movable
from symbackprop.evaluation.compile import Array, Closure, Compiler, OutOfRangeError, State
from symbackprop.evaluation.exact import Evaluator, array_of
from symbackprop.evaluation.number_types import FLOAT, TooCloseError
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Number,
    Position,
    Tensor,
    free_indices,
    nodes_once,
    subtract,
)
from symbackprop.expression.functions import Function, step
from symbackprop.expression.program import Program

DISTANCES = (2.0**-2, 2.0**-7, 2.0**-17, 2.0**-27, 2.0**-37)
SCALES = (2.0**-4, 4.0, 2.0**-8, 16.0, 2.0**-12, 2.0**-17, 64.0, 2.0**-24, 2.0**-34)

LARGEST_INPUT = 2.0**13
LINES, ON_A_THRESHOLD = 12, 3  # that are tried, and the points that are enough


@dataclass(frozen=True)
class Site:
    """A difference that is 0 on the threshold of a comparison, with the indices that are free in it.

    Args:
        of_branch: False for that of an extremum, which is 0 somewhere at every point.
        of_equality: whether it is asked if two numbers are equal.
        jumps: whether something may have another value on either side; where only the values of extrema meet there,
            as that of a softmax is shifted by, all is continuous.
    """

    claimed: bool
    difference: Expr
    indices: tuple[Index, ...]
    of_branch: bool = True
    of_equality: bool = False
    jumps: bool = True


def sites(question: Question) -> list[Site]:
    """The thresholds of both programs that depend on real inputs; of those in both the claim's."""
    found: dict[Expr, Site] = {}
    for program, claimed in ((question.claimed, True), (question.forward, False)):
        for site in thresholds(program, claimed=claimed):
            found.setdefault(site.difference, site)
    return list(found.values())


def thresholds(program: Program, *, claimed: bool = False) -> list[Site]:
    """The thresholds of a program that depend on real inputs."""
    found: dict[Expr, Site] = {}
    for equation in program.equations:
        for node in nodes_once(equation.value):
            for difference in _differences(node):
                if difference in found or _real(difference):
                    branch = not isinstance(node, Extremum | Position)
                    equality = isinstance(node, Compare) and node.relation == "=="
                    jumps = not isinstance(node, Extremum)
                    before = found.get(difference)
                    if before is not None:  # x == max(x) asks about what the maximum is taken of
                        branch, equality = branch or before.of_branch, equality or before.of_equality
                        jumps = jumps or before.jumps
                    indices = tuple(free_indices(difference))
                    found[difference] = Site(claimed, difference, indices, branch, equality, jumps)
    return list(found.values())


def _differences(node: Expr) -> list[Expr]:
    match node:
        case Compare(_, left, right):
            return [subtract(left, right)]
        case Extremum(_, _, body):
            return [subtract(body, node)]
        case Position(kind, index, body):
            return [subtract(body, Extremum(kind, index, body))]
        case Apply(function, (argument,)) if _has_step(function):
            return [argument]
    return []


def _has_step(function: Function) -> bool:
    return function.name == "step" or (
        function.definition is not None and function.definition.has(step, sp.Abs, sp.sign)
    )


def _real(expr: Expr) -> bool:
    return any(isinstance(n, Entry) and n.tensor.kind == "real" for n in nodes_once(expr))


class Director:
    """Moves points of one question towards the thresholds of its programs.

    Args:
        late: true when the time is up; there are no more points then.
    """

    def __init__(
        self,
        question: Question,
        sampler: Sampler,
        rng: random.Random,
        late: Callable[[], bool] = lambda: False,
    ) -> None:
        self.question, self.sampler, self.rng, self.late = question, sampler, rng, late
        self.sites = sites(question)
        self._needed = {s: _readable(question.claimed if s.claimed else question.forward, s) for s in self.sites}
        self._entries: dict[Tensor, tuple[NDArray[Any], Array]] = {}  # the last array of each input and its entries
        self.constants = question.constants
        self._ceiling = min([LARGEST_INPUT, *(c**0.5 / 8 for c in question.infinities)])
        self._ceiling_at_thresholds = max(self._ceiling, 2 * self._largest_compared())
        self._compiled: dict[
            tuple[str, ...], tuple[Evaluator, Evaluator, dict[Site, tuple[Closure, list[Closure]]]]
        ] = {}

    def reasonable(self, point: Point) -> bool:
        """True if no input is so large that a number that stands for infinity (-1e9 in a mask) could be reached.

        Whoever writes such a number means "larger than anything here", and products of two inputs must stay below it.
        """
        return self._below(point, self._ceiling)

    def reasonable_at_thresholds(self, point: Point) -> bool:
        """The same of a point that was led to a threshold: inputs are meant that reach what they are compared with.

        In where(x < 100, x**2, 200*x - 10000) the last number stands for no infinity, and some x is 100 and more.
        """
        return self._below(point, self._ceiling_at_thresholds)

    def _below(self, point: Point, ceiling: float) -> bool:
        given = [a for t, a in point.inputs.items() if t not in self.question.upstream and a.size]
        return all(float(np.abs(a).max()) <= ceiling for a in given)

    def _largest_compared(self) -> float:
        """The largest number that something is compared with, far enough below those that stand for infinity."""
        numbers = [n.value for s in self.sites for n in nodes_once(s.difference) if isinstance(n, Number)]
        least = min((c / 16 for c in self.question.infinities), default=0.0)
        return max((c for n in numbers if (c := abs(nearest(n))) < least), default=0.0)

    def targets(self) -> list[float]:
        """Values that a difference is brought to, on both sides of the threshold."""
        small = [c * f for c in self.constants for f in (0.5, 2.0) if c * f < 16]
        distances = dict.fromkeys([DISTANCES[0], *small[:8], *DISTANCES[1:]])
        return [sign * d for d in distances for sign in (1, -1)]

    def scaled(self, base: Point) -> Iterator[Point]:
        """The point with every real input, then each alone, made larger and smaller; constants give further scales."""
        roots = [s for c in self.constants if not 1e-3 <= c <= 1e3 for s in (c, c**0.5)]
        branching = frozenset().union(*self._needed.values())  # an upstream gradient where the claim branches on it
        tensors = [t for t in self._movable(base) if t not in self.question.upstream or t in branching]
        for scale in (*SCALES[:4], *roots[:6], *SCALES[4:]):
            scale = 2.0 ** round(np.log2(scale))
            for chosen in (tensors, *([t] for t in tensors if len(tensors) > 1)):
                moved = {t: np.asarray(v * scale) if t in chosen else v for t, v in base.inputs.items()}
                if all(movable(self._kind(t), moved[t]) for t in chosen):
                    yield replace(base, inputs=moved)

    def approaches(self, base: Point, given: Mapping[Tensor, Array]) -> Iterator[Point]:
        """Points at which one threshold's difference has a chosen value.

        Args:
            given: values of inputs of the claim that the forward program determines, at `base`.
        """
        settled = {t: {p: to_float(v) for p, v in a.items()} for t, a in given.items()}
        for target in self.targets():
            for site in self.sites:
                if self.late():
                    return
                found = self._reach(site, target, base, settled)
                if found is not None:
                    yield found

    def on_thresholds(self, base: Point, given: Mapping[Tensor, Array]) -> Iterator[Point]:
        """Points on the thresholds of the claim: single entries and whole inputs at 0 and at each constant, all entries
        equal, and entries for which a threshold's difference is 0."""
        tensors = [t for t in (*self.sampler.real_inputs, *self.question.upstream) if self._kind(t) is None]
        base = replace(base, exact=self.question.rounded)
        for value in dict.fromkeys((0.0, *(s * c for c in (*self._compared(), *self.constants[:4]) for s in (1, -1)))):
            for tensor in tensors:
                whole = np.full_like(base.inputs[tensor], value)
                yield replace(base, inputs={**base.inputs, tensor: whole})
                single = base.inputs[tensor].copy()
                single[tuple(self.rng.randrange(n) for n in single.shape)] = value
                yield replace(base, inputs={**base.inputs, tensor: single})
        equal = {t: np.full_like(base.inputs[t], 0.75) for t in tensors}
        yield replace(base, inputs={**base.inputs, **equal})
        settled = {t: {p: to_float(v) for p, v in a.items()} for t, a in given.items()}
        for site in (s for s in self.sites if s.claimed and s.of_branch):
            for start in (base, _at_powers_of_two(base, tensors)):
                tried = (self._exactly_on(site, start, settled) for _ in range(LINES))
                yield from itertools.islice((point for point in tried if point is not None), ON_A_THRESHOLD)

    def crosses(self, site: Site, base: Point, given: Mapping[Tensor, Array]) -> bool:
        """Whether a threshold's difference is found to be a little more than 0, and a little less."""
        settled = {t: {p: to_float(v) for p, v in a.items()} for t, a in given.items()}
        return all(
            any(self._reach(site, sign * DISTANCES[-1], base, settled) is not None for _ in range(LINES))
            for sign in (1, -1)
        )

    def _compared(self) -> list[float]:
        """The numbers that the claim compares something with."""
        numbers = [n.value for s in self.sites if s.claimed for n in nodes_once(s.difference) if isinstance(n, Number)]
        near = dict.fromkeys(abs(nearest(n)) for n in numbers)
        return [c for c in near if 0 < c < LARGEST_INPUT][:4]

    def _exactly_on(self, site: Site, base: Point, settled: Mapping[Tensor, Array]) -> Point | None:
        """One entry or a whole input moved to where a threshold's difference is 0 in floating point."""
        position, line = self._position(site, base), self._line(site, base)
        if position is None or line is None:
            return None
        return self._secant(lambda p: self._value(site, p, position, settled), line, 0.0)

    def _kind(self, tensor: Tensor) -> str | None:
        return self.sampler.kinds[tensor].kind if tensor in self.sampler.kinds else None

    def _reach(self, site: Site, target: float, base: Point, settled: Mapping[Tensor, Array]) -> Point | None:
        """Try a few lines and keep the first that gets there."""
        position = self._position(site, base)
        if position is None:
            return None
        for _ in range(4):
            line = self._line(site, base)
            if line is None:
                return None
            found = self._secant(lambda p: self._value(site, p, position, settled) - target, line, abs(target) / 4)
            if found is not None:
                return found
        return None

    def _secant(
        self, gap: Callable[[Point], float], line: Callable[[float], Point | None], close: float
    ) -> Point | None:
        left, right = 0.0, 2.0**-5
        try:
            start = line(left)
            before = gap(start) if start is not None else np.nan
            for _ in range(12):
                point = line(right)
                if point is None:
                    return None
                after = gap(point)
                if abs(after) <= close:
                    return point
                if not np.isfinite(after) or after == before:
                    return None
                left, right, before = right, right - after * (right - left) / (after - before), after
        except (TooCloseError, OutOfRangeError, ZeroDivisionError, OverflowError):
            return None
        return None

    def _movable(self, base: Point) -> list[Tensor]:
        """The inputs that may have other values than at a point."""
        return [t for t in self.question.given if movable(self._kind(t), base.inputs[t])]

    def _line(self, site: Site, base: Point) -> Callable[[float], Point | None] | None:
        """A direction in input space that a threshold may depend on: one entry, or a tensor's scale."""
        tensors = [t for t in self._movable(base) if t in self._needed[site]]
        if not tensors:
            return None
        tensor = self.rng.choice(tensors)
        array = base.inputs[tensor]
        along = array.copy() if self.rng.random() < 0.2 else np.zeros_like(array)
        if not along.any():
            along[tuple(self.rng.randrange(n) for n in array.shape)] = 1.0
        kind = self._kind(tensor)

        def at(t: float) -> Point | None:
            moved = np.asarray(array + t * along)
            return replace(base, inputs={**base.inputs, tensor: moved}) if movable(kind, moved) else None

        return at

    def _programs(self, base: Point) -> tuple[Evaluator, Evaluator, dict[Site, tuple[Closure, list[Closure]]]]:
        key = tuple(f.name for f in base.functions.values())
        if key not in self._compiled:
            compiler = Compiler(FLOAT, base.functions)
            compiled = {
                s: (compiler.compile(s.difference), [compiler.compile(i.size) for i in s.indices]) for s in self.sites
            }
            pair = [Evaluator(p, FLOAT, base.functions) for p in (self.question.forward, self.question.claimed)]
            self._compiled[key] = (pair[0], pair[1], compiled)
        return self._compiled[key]

    def _position(self, site: Site, base: Point) -> dict[Index, int] | None:
        state = State(dict(base.values(FLOAT)))
        try:
            sizes = [int(size(state)) for size in self._programs(base)[2][site][1]]
        except KeyError:
            return None
        return {i: self.rng.randrange(n) for i, n in zip(site.indices, sizes, strict=True)} if all(sizes) else None

    def _value(self, site: Site, point: Point, position: dict[Index, int], settled: Mapping[Tensor, Array]) -> float:
        forward, claimed, closures = self._programs(point)
        values = point.values(FLOAT)
        program: Program = claimed.program if site.claimed else forward.program
        arrays: dict[Tensor, Array] = dict(settled)
        arrays |= {t: self._array(t, a) for t, a in point.inputs.items()}
        inputs = {t: arrays[t] for t in program.inputs}
        run = (claimed if site.claimed else forward).run(values, inputs, needed=self._needed[site])
        return float(closures[site][0](State(dict(values), run, dict(position))))

    def _array(self, tensor: Tensor, array: NDArray[Any]) -> Array:
        """The entries of an input; along a line only one of them changes."""
        known = self._entries.get(tensor)
        if known is None or known[0] is not array:
            known = self._entries[tensor] = (array, array_of(tensor, array, array.shape, FLOAT))
        return known[1]


def _at_powers_of_two(base: Point, tensors: list[Tensor]) -> Point:
    """The point with powers of 2 for these inputs: a product with one of them is brought to any number exactly."""
    moved = {}
    for t in tensors:
        sizes = np.where(base.inputs[t] == 0, 1.0, np.abs(base.inputs[t]))
        moved[t] = np.sign(base.inputs[t]) * 2.0 ** np.round(np.log2(sizes))
    return replace(base, inputs={**base.inputs, **moved})


def _readable(program: Program, site: Site) -> frozenset[Tensor]:
    """The tensors that the value of a site depends on."""
    found: set[Tensor] = set()
    pending = [site.difference]
    while pending:
        for node in nodes_once(pending.pop()):
            if isinstance(node, Entry) and node.tensor not in found:
                found.add(node.tensor)
                if node.tensor in program.by_tensor:
                    pending.append(program.by_tensor[node.tensor].value)
    return frozenset(found)
