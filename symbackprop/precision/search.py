"""Looks for an input at which the user's code gives no number, or loses its digits.

Every point is first run in the dtype, which costs little; those at which something is no number, or changes with more
digits, are compared with true values first, then all others while there is time. Nothing is reported that was not seen.
Main name: `search`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import flint
import numpy as np

from symbackprop.checking.sample_points import Sizes
from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Symbol, Tensor
from symbackprop.expression.program import Assumption
from symbackprop.normal_form.work_time import worked
from symbackprop.precision.error import Judge, Loss
from symbackprop.precision.exact_values import Exact, ExactValues
from symbackprop.precision.inputs import Inputs
from symbackprop.precision.user_results import Computed

ROUNDS, BESIDE = 3, 5  # of points beside those with the largest errors, and how many of these
MANY, FEW = 40, 6  # points beside each
STARTS, CLIMBERS, STEPS = 40, 4, 50  # points that errors are estimated at, those that are moved on, and how often
COMPARING = 0.1  # seconds for the comparison of those that errors have grown at
SHAKEN = 2.0**-36  # by which inputs are off where it is estimated what rounding errors of theirs make
ROUNDINGS = 30  # of them that explain an error
RUNS = 8  # of the code for each point that is compared, where these are counted
ENOUGH = 3  # points at which all digits are lost
WITHOUT_TRUTH = 60  # points with no number whose truth does not exist either


@dataclass(frozen=True)
class Found:
    """A point at which something is lost."""

    point: Point
    loss: Loss
    computed: Computed
    exact: Exact

    @property
    def rank(self) -> tuple[float, ...]:
        """The worst is the largest: a gradient before an output, and what is lost by every measure."""
        return bool(self.loss.name), min(self.loss.error, self.loss.strict), self.loss.error


@dataclass
class Searched:
    """What a search has seen.

    Args:
        found: the worst, None if nothing was lost.
        compared: points that were compared with true values.
        beyond: points at which a true gradient is larger than any number of the dtype.
        largest: the largest relative error that was no fault.
        explained: points at which rounding the inputs loses as much: a fault only of code that can do better.
        most: points that are compared at most.
    """

    found: Found | None = None
    compared: int = 0
    beyond: int = 0
    largest: float = 0.0
    complaint: str = ""
    most: int | None = None
    lost: list[Found] = field(default_factory=list)
    explained: list[Found] = field(default_factory=list)


class Code(Protocol):
    """What is searched."""

    def at(self, point: Point) -> Computed:
        """What it computes at a point."""

    def with_more_digits(self) -> Code:
        """The same in a wider dtype."""


class Search:
    """A search over one choice of sizes after the other."""

    def __init__(self, code: Code, inputs: Inputs, values: ExactValues, judge: Judge) -> None:
        self.code, self.inputs, self.values, self.judge = code, inputs, values, judge
        self.more = code.with_more_digits()
        self.worst: list[tuple[float, Point]] = []  # the largest error at each point that is no fault
        self.truths: dict[Any, Exact | None] = {}  # true values do not depend on the code: several searches share them

    def run(
        self, end: float, feared: Sequence[Point] = (), *, climbing: float = 0.0, most: int | None = None
    ) -> Searched:
        """Search until a time on the clock of work.

        Args:
            feared: points that come first.
            climbing: seconds of work after it, in which errors are made larger step by step.
            most: points that are compared at most; then no clock says where the search ends before that time.
        """
        result = Searched(most=most)
        sampler = self.inputs.sampler
        choices = sampler.size_choices()[:1]
        for sizes in choices:
            self.judge.prepare(sampler.point(sizes))
            self._at_sizes(itertools.chain(feared, self.inputs.points(sizes)), end, result)
        if not result.lost:
            self._nearby(end, result)
        if not result.lost and climbing and self.inputs.ranges:
            result.most = None
            self._climb(choices[0], worked() + climbing, result)
        if result.lost:
            result.found = max(result.lost, key=lambda f: f.rank)
        result.largest = max((error for error, _ in self.worst), default=0.0)
        return result

    def _climb(self, sizes: Sizes, end: float, result: Searched) -> None:
        """Points at which the error is ever larger: magnitudes of inputs and of their entries are changed, one at a
        time, as long as more digits say that more is lost for each rounding error of the inputs."""
        starts = list(itertools.islice(self.inputs.points(sizes), STARTS))
        ranked = sorted(((self._roundings(p), k) for k, p in enumerate(starts)), reverse=True)
        tops: list[Point] = []
        for count, k in ranked[:CLIMBERS]:
            point = starts[k]
            for _ in range(STEPS):
                if worked() > end:
                    break
                other = self.inputs.moved(point)
                larger = self._roundings(other)
                if larger > count:
                    point, count = other, larger
            if count > ROUNDINGS:
                tops.append(point)
        self._at_sizes(iter(tops), worked() + COMPARING, result)

    def _roundings(self, point: Point) -> float:
        """How many rounding errors of the inputs it would take to lose as much as the code loses: by estimate."""
        computed, more, near = self.code.at(point), self.more.at(point), self.more.at(self.inputs.shaken(point, SHAKEN))
        if computed.failed or more.failed or near.failed or not more.finite:
            return 0.0
        largest = 0.0
        for name, array in computed.gradients.items():
            true, other = more.gradients[name], near.gradients[name]
            with np.errstate(all="ignore"):
                one = self.judge.rounding * (np.abs(other - true) / SHAKEN + np.abs(true))
                counts = np.where(np.abs(true) > self.judge.floor, np.abs(array - true) / one, 0.0)
            largest = max(largest, float(np.max(np.nan_to_num(counts), initial=0.0)))
        return largest

    def _nearby(self, end: float, result: Searched) -> None:
        """Points beside those with the largest errors, which may be larger there: of many, those that more digits
        say to be the worst."""
        for turn in range(ROUNDS):
            ranked = sorted(self.worst, key=lambda w: -w[0])[:BESIDE]
            if not ranked or ranked[0][0] < 1e-4 * self.judge.unsafe:
                return
            count = MANY if ranked[0][0] > 1e-2 * self.judge.unsafe else FEW
            near = [p for _, point in ranked for p in self.inputs.beside(point, count, 8.0**-turn)]
            near.sort(key=self._estimate, reverse=True)
            self._at_sizes(iter(near[: 2 * BESIDE]), end, result)
            if result.lost or worked() > end:
                return

    def _estimate(self, point: Point) -> float:
        """The largest relative error at a point, as more digits tell it."""
        computed = self.code.at(point)
        more = self.more.at(point)
        if computed.failed or more.failed:
            return 0.0
        if not computed.finite:
            return math.inf
        largest = 0.0
        for name, array in computed.gradients.items():
            other = more.gradients[name]
            with np.errstate(all="ignore"):
                size = np.maximum(np.abs(other), self.judge.floor)
                largest = max(largest, float(np.max(np.abs(array - other) / size, initial=0.0)))
        return largest

    def _at_sizes(self, points: Iterator[Point], end: float, result: Searched) -> None:
        ranked: list[tuple[int, int, Point, Computed]] = []
        start = worked()
        for k, point in enumerate(points):
            computed = self.code.at(point)
            if computed.failed:
                result.complaint = computed.failed
                continue
            ranked.append((self._suspicion(point, computed), k, point, computed))
            if worked() > start + 0.4 * (end - start) or (result.most is not None and k >= RUNS * result.most):
                break
        ranked.sort(key=lambda r: r[:2])
        vain = 0
        for suspicion, _, point, computed in ranked:
            if worked() > end or (result.most is not None and result.compared >= result.most):
                return
            if sum(f.rank >= (True, 1.0) for f in result.lost) >= ENOUGH:
                return
            if suspicion == 0 and vain > WITHOUT_TRUTH:
                continue
            exact = self.exact(point)
            if exact is None or self.judge.beyond(exact):
                vain += 1
                result.beyond += exact is not None
                continue
            result.compared += 1
            losses = self.judge.losses(point, computed, exact)
            if not losses and self.judge.explained:
                result.explained.append(Found(point, self.judge.explained[0], computed, exact))
            self.worst.append((self.judge.largest, point))
            if losses:
                result.lost.append(Found(point, losses[0], computed, exact))
                if math.isinf(losses[0].error) and losses[0].name:
                    return

    def again(self, point: Point, *, explained: bool = False) -> Found | None:
        """What is lost at another point, None if nothing is.

        Args:
            explained: whether what rounding the inputs loses counts.
        """
        computed = self.code.at(point)
        if computed.failed:
            return None
        exact = self.exact(point)
        losses = self.judge.losses(point, computed, exact) if exact is not None else []
        losses = losses or (self.judge.explained if explained else [])
        return Found(point, losses[0], computed, exact) if losses and exact is not None else None

    def exact(self, point: Point) -> Exact | None:
        """True values; None where there are none."""
        arrays = tuple((a.shape, a.tobytes()) for a in point.inputs.values())
        key = arrays, tuple(point.parameters.values())
        if key not in self.truths:
            self.truths[key] = self._exact(point)
        return self.truths[key]

    def _exact(self, point: Point) -> Exact | None:
        low = [r.low for t, r in self.inputs.ranges.items() if t in self.values.moved]
        try:
            return self.values.at(point, one_sided=min(low, default=-1.0) >= 0)
        except (SymbackpropError, ArithmeticError):
            return None

    def _suspicion(self, point: Point, computed: Computed) -> int:
        """0 where something is no number, 1 where more digits give another number, 2 elsewhere."""
        if not computed.finite:
            return 0
        more = self.more.at(point)
        if more.failed:
            return 2
        for name, array in computed.gradients.items():
            other = more.gradients[name]
            with np.errstate(all="ignore"):
                if (np.abs(array - other) > 1e-2 * self.judge.unsafe * np.abs(other)).any():
                    return 1
        return 2


def simpler(search: Search, found: Found, end: float, *, explained: bool = False) -> Found:
    """A point with fewer and simpler numbers at which as much is lost."""
    wanted = min(found.loss.error, 1.0)

    def kept(point: Point) -> Found | None:
        if worked() > end:
            return None
        other = search.again(point, explained=explained)
        if other is None or bool(other.loss.name) != bool(found.loss.name):
            return None
        worse = other.loss.error >= 0.5 * wanted and other.loss.strict >= min(0.5 * found.loss.strict, 0.5)
        return other if worse else None

    for change in _changes(search, found.point):
        other = change(found.point)
        if other is not None:
            found = kept(other) or found
    return found


def along(search: Search, found: Found, steps: int = 24) -> Iterator[tuple[float, float]]:
    """(factor, relative error of the lost entry) where all inputs that have a range are multiplied by a factor."""
    ranges = search.inputs.ranges
    for k in range(steps + 1):
        factor = 10.0 ** (3.5 * k / steps - 3)
        moved = {t: a * factor for t, a in found.point.inputs.items() if t in ranges}
        inside = all(ranges[t].holds(float(v)) for t, a in moved.items() for v in np.ravel(a))
        if not inside or not any(a.any() for a in moved.values()):
            continue
        point = replace(
            found.point, inputs={**found.point.inputs, **{t: search.inputs.within(t, a) for t, a in moved.items()}}
        )
        computed, exact = search.code.at(point), search.exact(point)
        if computed.failed or exact is None:
            continue
        name, place = found.loss.name, found.loss.place
        own = float((computed.gradients[name] if name else computed.outputs[0])[place])
        true = (exact.gradients[name] if name else exact.outputs[0])[place].mid()
        size = max(float(abs(true)), search.judge.floor)
        yield factor, float(abs(flint.arb(own) - true)) / size if math.isfinite(own) else math.inf


def _smaller(search: Search, start: Point) -> Iterator[Any]:
    """The point cut down to smaller sizes: its first entries along an axis, or its last."""
    sampler = search.inputs.sampler
    for symbol, length in start.sizes.items():
        for size in range(1, length):
            for last in (False, True):

                def cut(point: Point, s: Symbol = symbol, n: int = size, last: bool = last) -> Point | None:
                    sizes = {**point.sizes, s: n}
                    if point.sizes[s] <= n or not sampler.allowed(sizes):
                        return None
                    arrays = {t: _cut(a, sampler.shape(t, sizes), last) for t, a in point.inputs.items()}
                    kept = all(_as_assumed(sampler.kinds.get(t), a, sizes) for t, a in arrays.items())
                    return replace(point, sizes=sizes, inputs=arrays) if kept else None

                yield cut


def _as_assumed(known: Assumption | None, array: np.ndarray[Any, Any], sizes: Mapping[Symbol, int]) -> bool:
    """Whether rows add up to 1 still, and labels those of a class that is left."""
    if known is None:
        return True
    if known.kind in ("onehot", "simplex"):
        return bool(np.isclose(array.sum(axis=known.axis), 1.0).all())
    if known.kind in ("label", "labels"):
        count = sizes.get(known.size) if isinstance(known.size, Symbol) else None
        return count is None or bool((array < count).all())
    return True


def _cut(array: np.ndarray[Any, Any], shape: tuple[int, ...], last: bool) -> np.ndarray[Any, Any]:
    return np.array(array[tuple(slice(-n, None) if last else slice(n) for n in shape)])


def _changes(search: Search, start: Point) -> Iterator[Any]:
    """Changes of a point, each a function of the point so far."""
    yield from _smaller(search, start)
    tensors = [t for t in start.inputs if t in search.inputs.ranges]
    upstream = search.inputs.question.upstream
    yield lambda p: _with(p, {t: np.ones(p.inputs[t].shape) for t in upstream})
    for tensor in tensors:
        for value in _likely(start.inputs[tensor]):
            yield lambda p, t=tensor, v=value: _with(p, {t: search.inputs.within(t, np.full(p.inputs[t].shape, v))})
    for tensor in tensors:
        for digits in (1, 2, 3):
            yield lambda p, t=tensor, d=digits: _with(p, {t: search.inputs.within(t, _rounded(p.inputs[t], d))})
    for tensor in tensors:
        if start.inputs[tensor].size <= 12:
            for place in np.ndindex(*start.inputs[tensor].shape):  # those that are still there
                for value in (0.0, 1.0):
                    yield lambda p, t=tensor, i=place, v=value: _entry(search, p, t, i, v)


def _likely(array: np.ndarray[Any, Any]) -> list[float]:
    """Numbers that all entries might be."""
    flat = sorted(set(np.ravel(array).tolist()), key=abs)
    return list(dict.fromkeys([1.0, 0.0, *(float(_rounded(np.asarray(v), 1)) for v in (flat[-1:] + flat[:1]))]))


def _rounded(array: np.ndarray[Any, Any], digits: int) -> np.ndarray[Any, Any]:
    return np.asarray(np.vectorize(lambda v: float(f"{v:.{digits - 1}e}"), otypes=[float])(array))


def _entry(search: Search, point: Point, tensor: Tensor, place: tuple[int, ...], value: float) -> Point | None:
    array = point.inputs[tensor].copy()
    if any(k >= n for k, n in zip(place, array.shape, strict=True)) or array[place] in (0.0, value):
        return None
    array[place] = value
    return _with(point, {tensor: search.inputs.within(tensor, array)})


def _with(point: Point, arrays: dict[Tensor, np.ndarray[Any, Any]]) -> Point | None:
    if all(np.array_equal(a, point.inputs[t]) for t, a in arrays.items()):
        return None
    return replace(point, inputs={**point.inputs, **arrays})
