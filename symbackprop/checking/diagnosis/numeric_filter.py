"""Numbers at a few points for a refuted backward pass: which changes of its lines would agree with the derivation?

A change is looked at with floating point first, at a point where the fault shows and then at others. What disagrees is
out; what agrees is worth an attempt at a proof.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from symbackprop.calculus.derivation import Gradient
from symbackprop.checking.counterexample import Counterexample
from symbackprop.checking.lookalikes import mostly_positive, small
from symbackprop.checking.proof_search import Sides
from symbackprop.checking.question import Question
from symbackprop.checking.sample_points import Sampler
from symbackprop.errors import SymbackpropError, UnsupportedError
from symbackprop.evaluation.arrays import TRIAL, Numbers, Vectors
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Entry, Expr, Index, Tensor
from symbackprop.expression.program import Equation
from symbackprop.frontends.numpy.traced import Traced

NOTHING = 1e-12
NEAR = 1e-6
SAME = 1e-9  # relative to the largest entry
FAINT = 1e-12  # gradients where everything is saturated are rounding errors
DIM = 1e-4  # and where much is, they have few digits
VAST = 1e100  # beyond it powers and products overflow, within a line where no array shows it
PLAIN = 1e-7  # a relative difference that is no rounding
MAXIMUM_TRIALS = 160
POINTS, DRAWN, LARGER = 3, 6, 6
FAILURES = (SymbackpropError, ArithmeticError, LookupError, ValueError, TypeError)


@dataclass(frozen=True)
class Refuted:
    """A backward pass with wrong gradients.

    Args:
        sides: the derived gradients beside the claimed ones.
        wrong: the names of the wrong ones.
        derived: by name, the tensor of each claimed gradient's right value.
        found: where the disagreement was found.
        set_aside: wrong gradients of which nothing is asked.
        formula: the left side, where what is claimed is a formula.
        suspected: what numbers show and nothing has proved so far, for where the time is up before a proof is.
    """

    sides: Sides
    traced: Traced
    gradient: Gradient
    wrong: tuple[str, ...]
    derived: Mapping[str, Tensor]
    found: Counterexample | None = None
    set_aside: frozenset[str] = frozenset()
    formula: Entry | None = None
    suspected: list[str] = field(default_factory=list)

    @property
    def question(self) -> Question:
        """What was asked."""
        return self.sides.question

    @cached_property
    def own_names(self) -> frozenset[str]:
        """What the user calls something, the gradients included."""
        traced = self.traced
        own = {*traced.variables.values(), *(t.name for t in (*traced.forward.inputs, *traced.upstream))}
        return frozenset(own | {f"d{name}" for name in self.question.pairs})

    def unknown(self, text: str, numbered: Set[str] = frozenset()) -> bool:
        """True if a formula speaks of a tensor for which the user has no name, nor one of these."""
        programs = (self.gradient.program, self.gradient.adjoint, self.traced.forward, self.traced.backward)
        named = set(re.findall(r"[A-Za-z_]\w*(?=\[)", text)) - numbered
        return any(t.name in named for program in programs for t in program.tensors if t.name not in self.own_names)

    @property
    def inputs(self) -> frozenset[Tensor]:
        """The inputs of the forward pass."""
        return frozenset(self.traced.forward.inputs)

    @property
    def right(self) -> frozenset[str]:
        """The names of the gradients that are right."""
        return frozenset(self.traced.gradients) - set(self.wrong) - self.set_aside

    @property
    def own_lines(self) -> tuple[Equation, ...]:
        """What the backward pass computes itself."""
        forward = set(self.traced.forward.by_tensor)
        return tuple(e for e in self.traced.backward.equations if e.tensor not in forward)

    @property
    def derived_lines(self) -> tuple[Equation, ...]:
        """The equations of the derived cotangents."""
        forward = set(self.traced.forward.by_tensor)
        return tuple(e for e in self.sides.derived.equations if e.tensor not in forward)


@dataclass(frozen=True)
class Response:
    """By how much the goals move when the entries of some tensors move, and how far they are from what they should be.

    Args:
        curable: whether some other value of the tensors would reach the goals.
        cured: the values with which it does, if there is only one such.

    Shapes: `rows` has a row for each entry of the tensors and a column for each entry of the goals, `lack` its columns.
    """

    rows: Numbers
    lack: Numbers
    curable: bool
    cured: Vectors | None


def _moved(bench: Vectors, tensors: Sequence[Tensor], moves: Numbers) -> dict[Tensor, Numbers]:
    """Tensors with a step added to their entries."""
    given, start = {}, 0
    for tensor in tensors:
        array = bench.arrays[tensor]
        given[tensor] = array + moves[start : start + array.size].reshape(array.shape)
        start += array.size
    return given


def same(left: Numbers, right: Numbers, tolerance: float = SAME) -> bool:
    """True if two arrays are equal up to rounding."""
    if left.shape != right.shape:
        return False
    scale = float(np.max(np.abs(right), initial=0.0))
    return bool(np.all(np.abs(left - right) <= tolerance * scale))  # nan is equal to nothing


class Trials:
    """Both passes at a few points; the first is one where every wrong gradient is plainly wrong, if there is such.

    Raises:
        UnsupportedError: no point was found at which the fault shows in floating point.
    """

    def __init__(self, case: Refuted) -> None:
        self.case = case
        forward = case.traced.forward.equations
        self.lines = tuple(dict.fromkeys((*forward, *case.derived_lines, *case.own_lines)))
        self._tensors = tuple(line.tensor for line in self.lines)
        self._alike: dict[Tensor, Hashable] = {}
        self.benches: list[Vectors] = []
        others: list[Vectors] = []
        points, known = self._points(), list[Vectors | None]()  # each of a whole model takes a while
        for least, alive in ((DIM, True), (DIM, False), (FAINT, False)):
            for bench in itertools.chain(tuple(known), self._benches(points, known)):
                if len(self.benches) == POINTS or (self.benches and len(self.benches) + len(others) >= POINTS):
                    break
                if (
                    bench is None
                    or self._faint(bench, least)
                    or self._silent(bench)
                    or (alive and (self._partly_silent(bench) or self._vast(bench)))
                ):
                    continue
                (self.benches if self._shows(bench) else others).append(bench)
            if self.benches:
                break
            others = []
        if not self.benches:
            raise UnsupportedError("the fault does not show in floating point")
        self.benches += others

    def _points(self) -> Iterator[Point]:
        """Random points of small sizes, those where more of a rectified net is alive, those where less is saturated,
        that of the counterexample."""
        with np.errstate(all="ignore"):
            sampler = Sampler(self.case.question, random.Random(7))
            choices = [s for s in sampler.size_choices() if min(s.values(), default=2) >= 2][:2]
            for k in range(DRAWN if choices else 0):
                yield sampler.point(choices[k % len(choices)])
            rng = np.random.default_rng(5)
            for k in range(DRAWN if choices else 0):
                yield mostly_positive(sampler.point(choices[k % len(choices)]), self.case.question, rng)
            for k in range(DRAWN if choices else 0):
                yield small(sampler.point(choices[k % len(choices)]), self.case.question)
            found = self.case.found
            if found is not None:
                yield _point_of(found, self.case.question, sampler)

    def _benches(self, points: Iterator[Point], known: list[Vectors | None]) -> Iterator[Vectors | None]:
        """Both passes at the points that are left; each is kept.

        Mostly the first ones are enough. Where they are not, many more may be needed: these are taken side by side.
        """
        while several := [*itertools.islice(points, 1 if len(known) < DRAWN else DRAWN)]:
            found = [self._bench(several[0])] if len(several) == 1 else self._side_by_side(several)
            known += found
            yield from found

    def _side_by_side(self, points: Sequence[Point]) -> list[Vectors | None]:
        """Both passes at some points, at all those of the same sizes at once."""
        found: dict[int, Vectors | None] = {}
        by_sizes: dict[tuple[int, ...], list[int]] = {}
        for k, point in enumerate(points):
            by_sizes.setdefault(tuple(point.sizes.values()), []).append(k)
        for places in by_sizes.values():
            try:
                every = Vectors.of_all([points[k] for k in places], beyond=0.0, guarded=True)
                self._run(every)
            except FAILURES:
                found |= {k: self._bench(points[k]) for k in places}
            else:
                found |= {k: self._if_finite(every.only(trial)) for trial, k in enumerate(places)}
        return [found[k] for k in range(len(points))]

    def _bench(self, point: Point) -> Vectors | None:
        try:
            bench = Vectors(point, beyond=0.0, guarded=True)
            self._run(bench)
        except FAILURES:
            return None
        return self._if_finite(bench)

    def _run(self, bench: Vectors) -> None:
        for name, tensor in self.case.derived.items():
            if tensor not in self.case.sides.derived.by_tensor:
                other = self.case.question.pairs[name][0]
                bench.arrays[tensor] = np.zeros(bench.arrays[other].shape)
                bench.trials |= {tensor} if other in bench.trials else set()
        with np.errstate(all="ignore"):
            bench.run(self.lines)

    def _if_finite(self, bench: Vectors) -> Vectors | None:
        goals = [bench.arrays[t] for t in (*self.case.derived.values(), *self.case.traced.gradients.values())]
        return bench if all(np.all(np.isfinite(g)) for g in goals) else None

    def _faint(self, bench: Vectors, least: float) -> bool:
        """True where a right gradient is below what is left to compare: everything is saturated."""
        scales = [float(np.max(np.abs(bench.arrays[t]), initial=0.0)) for t in self.case.derived.values()]
        return any(0 < scale < least for scale in scales)

    def _silent(self, bench: Vectors) -> bool:
        """True where all gradients that are wrong somewhere are 0, right or wrong: there nothing is alive."""
        claimed, derived = self.case.traced.gradients, self.case.derived
        return not any(np.any(bench.arrays[t]) for n in self.case.wrong for t in (claimed[n], derived[n]))

    def _partly_silent(self, bench: Vectors) -> bool:
        """True where a gradient is 0 that is not so everywhere: behind a layer of which no unit is alive all are."""
        moving = [t for t in self.case.derived.values() if t in self.case.sides.derived.by_tensor]
        return not all(np.any(bench.arrays[t]) for t in moving)

    def _vast(self, bench: Vectors) -> bool:
        """True where something grows so that right formulas may have wrong numbers: exp(s) without a shift."""
        return any(np.any((np.abs(a) > VAST) & np.isfinite(a)) for a in map(bench.arrays.__getitem__, self._tensors))

    def _shows(self, bench: Vectors) -> bool:
        claimed, derived = self.case.traced.gradients, self.case.derived
        return all(not same(bench.arrays[claimed[n]], bench.arrays[derived[n]], PLAIN) for n in self.case.wrong)

    @cached_property
    def larger(self) -> list[Vectors]:
        """More points, of larger sizes: what follows no rule there may seem to at the small ones."""
        found = []
        sampler = Sampler(self.case.question, random.Random(11))
        choices = sorted(sampler.size_choices(), key=lambda s: -min(s.values(), default=0))[:2]
        for k in range(LARGER if choices else 0):
            bench = self._bench(sampler.point(choices[k % len(choices)]))
            if bench is not None and not self._faint(bench, FAINT):
                found.append(bench)
        return found

    def alike(self, tensor: Tensor) -> Hashable:
        """The same for tensors of one shape whose values agree at the first point."""
        known = self._alike.get(tensor)
        if known is None:
            array = self.benches[0].arrays.get(tensor)
            if array is None or tensor in self.benches[0].trials:
                known = tensor
            else:
                scale = float(np.max(np.abs(array), initial=0.0)) or 1.0
                with np.errstate(invalid="ignore"):  # what a guard leaves out may be infinite
                    rounded = np.round(array / scale, 8)
                known = (tensor.shape, np.format_float_scientific(scale, 7), rounded.tobytes())
            self._alike[tensor] = known
        return known

    def equal(self, left: Tensor, right: Tensor) -> bool:
        """True if two tensors agree at every point, and not because nothing is there."""
        pairs = [(b.arrays[left], b.arrays[right]) for b in self.benches]
        return all(same(a, b) for a, b in pairs) and any(np.any(a) for a, _ in pairs)

    def like(self, tensors: Iterable[Tensor]) -> frozenset[Tensor]:
        """Tensors of the backward pass that have the value of one of these."""
        known = {self.alike(t) for t in tensors}
        return frozenset(e.tensor for e in self.case.own_lines if self.alike(e.tensor) in known)

    def nothing(self, expr: Expr, indices: tuple[Index, ...], beside: Tensor) -> bool:
        """True if an expression is 0 everywhere at every point, up to rounding, beside the tensor it is part of."""
        try:
            with np.errstate(all="ignore"):
                values = [(b.over(expr, indices), b.arrays[beside]) for b in self.benches]
        except FAILURES:
            return False
        return all(np.max(np.abs(v), initial=0.0) <= NOTHING * np.max(np.abs(w), initial=0.0) for v, w in values)

    @property
    def telling(self) -> bool:
        """True if the fault shows at more than one point."""
        return sum(self._shows(b) for b in self.benches) > 1

    def agree(
        self, edits: Iterable[Equation], lines: Sequence[Equation], goals: Mapping[Tensor, Tensor], points: int = POINTS
    ) -> bool:
        """True if with some of `lines` replaced every tensor (key) gets the value that another (value) has now.

        At one point digits may be lost, as of 1 - p where p is near 1.
        """
        table = {e.tensor: e for e in edits}
        inexact = 0
        with np.errstate(all="ignore"):
            try:
                for bench in self.benches[:points]:
                    after = bench.edited(table, lines)
                    pairs = [(after.arrays[a], bench.arrays[b]) for a, b in goals.items()]
                    if all(same(one, other) for one, other in pairs):
                        continue
                    inexact += 1
                    if 2 * inexact >= min(points, len(self.benches)) or not all(same(a, b, NEAR) for a, b in pairs):
                        return False
            except FAILURES:
                return False
        return True

    def response(
        self, group: Sequence[Equation], lines: Sequence[Equation], goals: Mapping[Tensor, Tensor]
    ) -> Response | None:
        """How the goals answer to these tensors at the first point; None where they do not do so linearly."""
        bench = self.benches[0]
        tensors = [e.tensor for e in group]
        if sum(bench.arrays[t].size for t in tensors) > MAXIMUM_TRIALS:
            return None
        with np.errstate(all="ignore"):
            try:
                rows = self._responses(bench, tensors, lines, goals, 1.0)
                half = self._responses(bench, tensors, lines, goals, 0.5)
            except FAILURES:
                return None
            if not (np.all(np.isfinite(rows)) and np.allclose(rows, 2 * half, rtol=1e-7, atol=1e-9)):
                return None
        lack = np.concatenate([(bench.arrays[b] - bench.arrays[a]).ravel() for a, b in goals.items()])
        weights, _, rank, _ = np.linalg.lstsq(rows.T, lack, rcond=1e-10)
        curable = bool(np.max(np.abs(rows.T @ weights - lack)) <= NEAR * np.max(np.abs(lack)))
        cured = None
        if curable and rank == len(rows):
            with np.errstate(all="ignore"):
                cured = bench.changed(_moved(bench, tensors, weights), lines)
        return Response(rows, lack, curable, cured)

    def promising(self, edit: Sequence[Equation], response: Response) -> bool:
        """False if an edit of these lines cannot reach the goals at the first point: cheaper than `agree`."""
        if response.cured is None and len(edit) > 1:
            return True
        bench = response.cured or self.benches[0]
        with np.errstate(all="ignore"):
            try:
                moves = [(bench.over(e.value, e.indices) - bench.arrays[e.tensor]).ravel() for e in edit]
            except FAILURES:
                return False
            if response.cured is not None:  # where the goals are met, the right line gives what stands there
                scale = [np.max(np.abs(bench.arrays[e.tensor]), initial=0.0) for e in edit]
                return all(np.max(np.abs(m), initial=0.0) <= NEAR * c for m, c in zip(moves, scale, strict=True))
            reached = moves[0] @ response.rows
        return bool(np.max(np.abs(reached - response.lack)) <= NEAR * np.max(np.abs(response.lack)))

    @staticmethod
    def _responses(
        bench: Vectors, tensors: Sequence[Tensor], lines: Sequence[Equation], goals: Mapping[Tensor, Tensor], by: float
    ) -> Numbers:
        """By how much every goal moves when an entry moves: one row for each entry."""
        total = sum(bench.arrays[t].size for t in tensors)
        given, start = {}, 0
        for tensor in tensors:
            array = bench.arrays[tensor]
            moves = np.zeros((total, array.size))
            moves[np.arange(start, start + array.size), np.arange(array.size)] = by
            given[tensor] = array.astype(float) + moves.reshape((total, *array.shape))
            start += array.size
        after = bench.changed(given, lines, trials=True)
        rows = []
        for goal in goals:
            moved = after.arrays[goal] - bench.arrays[goal]
            rows.append(np.broadcast_to(moved, (total, *bench.arrays[goal].shape)).reshape((total, -1)))
        return np.concatenate(rows, axis=1)


def _point_of(found: Counterexample, question: Question, sampler: Sampler) -> Point:
    """The point of a counterexample."""
    by_name = {t.name: a for t, a in zip(question.upstream, _upstream(found), strict=False)} | found.inputs
    return Point(
        {s: found.sizes[s.name] for s in sampler.symbols if s.name in found.sizes},
        {t: np.asarray(by_name[t.name]) for t in question.given},
        {s: found.parameters[s.name] for s in sampler.parameters if s.name in found.parameters},
        sampler.point(dict(sampler.size_choices()[0])).functions if found.functions else {},
    )


def _upstream(found: Counterexample) -> tuple[Numbers, ...]:
    up = found.upstream
    return () if up is None else up if isinstance(up, tuple) else (up,)


__all__ = ["TRIAL", "Refuted", "Trials", "same"]
