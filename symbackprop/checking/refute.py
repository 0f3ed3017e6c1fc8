"""Exact refutation: a point at which a claimed gradient certainly is not the gradient.

`refute` looks at random points of telling sizes, then where constants, scales and thresholds of the two programs say
that something may hide, and compares enclosures: a difference of one part in 10**30 is found, and no tolerance passes
anything. A refutation is only ever said at a point where the forward program is differentiable. `wrong_gradients` says
which claims are wrong, `cross_examine` puts a proved claim to the same test. This module must not know how claims are
proved.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from symbackprop.checking.at_kinks import AtKinks
from symbackprop.checking.budget import SHARES
from symbackprop.checking.counterexample import Counterexample, counterexample
from symbackprop.checking.question import Examination, Examiner, Question, to_float
from symbackprop.checking.regions import CONSTANTS, assignments
from symbackprop.checking.rounded_constants import compared_as_floats
from symbackprop.checking.sample_points import Sampler, Sizes
from symbackprop.checking.shrink import shrink
from symbackprop.checking.threshold_points import Director
from symbackprop.errors import MalformedError, UnsupportedError
from symbackprop.evaluation.compile import OutOfRangeError
from symbackprop.evaluation.number_types import FLOAT, Field, TooCloseError, ball
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Extremum, nodes_once
from symbackprop.normal_form.work_time import worked
from symbackprop.rendering.text import to_text

PRECISIONS = (128, 256, 1024)
PLAIN = 1e-6  # a relative disagreement that is no rounding of floating point
CLEAR = 1e-3  # a relative disagreement that anyone sees in floating point; a smaller one is improved on for a while
DEEP = 1000  # equations of a backward pass: along them enclosures widen so far that only the highest precision is left
A_BLOCK, BITS_OF_A_BLOCK = 128, 64  # equations, and by how much the enclosures of a transformer widen along them
LARGE = 300  # equations: where the lowest precision is not enough, the next one seldom is
SCALE_OF_DEEP = 0.25  # with digits, and where large weights make it chaotic not even that
HOPELESS = 100  # so many points in a row at which nothing could be compared: there is no use in more
AT_A_GLANCE = 4  # points: at one of them most wrong claims are plainly wrong
MOST_NEGATED = 12  # entries of an input, each negated by itself
Stage = Literal["first look", "directed", "all"]
UNUSABLE = (TooCloseError, OutOfRangeError, ZeroDivisionError)  # at such a point there is nothing to compare


class Search:
    """The state of one search: compiled programs, the random numbers, the time that is left."""

    _needed = 0  # bits, for narrow enclosures at the points that are kept

    def __init__(self, question: Question, seconds: float, seed: int = 0) -> None:
        self.question = question
        self.rng = random.Random(seed)
        self.sampler = Sampler(question, self.rng)
        self.deadline = worked() + seconds
        self._examiners: dict[tuple[str, ...], Examiner] = {}
        self._pace: float | None = None  # seconds for each number held, of the points examined so far

    def late(self) -> bool:
        """True once the budget is spent."""
        return worked() > self.deadline

    def fits(self, point: Point) -> bool:
        """True if the point can be expected to be done in time, as far as the earlier ones tell.

        The first one compiles, and any may be held up once: the fastest tells.
        """
        pace = 0.0 if self._pace is None else self._pace
        return worked() + pace * self.sampler.entries(dict(point.sizes)) <= self.deadline

    def examine(self, point: Point, bits: int = PRECISIONS[0]) -> Examination | None:
        """Both sides, at rising precision until enclosures are narrow; None where nothing can be compared."""
        start = worked()
        found = self._examined(point, bits)
        if bits == PRECISIONS[0]:
            pace = (worked() - start) / self.sampler.entries(dict(point.sizes))
            self._pace = pace if self._pace is None else min(self._pace, pace)
        return found

    def examined_once(self, point: Point, bits: int) -> Examination | None:
        """As `examine`, of a point that is kept: whoever asks the same question of it has the answer.

        What one point of a whole model needed of precision, the next ones need, too.
        """
        told, key = self.question.told_points, (id(point), bits, tuple(self.question.pairs))
        if key not in told:
            found = self.examine(point, max(bits, self._needed))
            told[key] = point, found
            self._needed = max(self._needed, (found and found.number_field.bits) or 0)
        return told[key][1]

    def _examined(self, point: Point, bits: int) -> Examination | None:
        for precision in precisions(len(self.question.claimed.equations), bits):
            try:
                found = self._examiner(point, ball(precision)).examine(point)
            except UNUSABLE:
                continue  # a narrower enclosure may tell a small distance from a kink
            if precision == PRECISIONS[-1] or not found.vague():
                return found
        return None

    def _examiner(self, point: Point, number_field: Field) -> Examiner:
        key = (number_field.name, *(f.name for f in point.functions.values()))
        if key not in self._examiners:
            self._examiners[key] = Examiner(self.question, number_field, point.functions)
        return self._examiners[key]

    def strength(self, found: Examination, names: Iterable[str]) -> float:
        """How plainly the claim fails: the largest relative gap that floating point shows too, else a tiny number."""
        gaps = {name: found.gap(name) for name in names}
        plain = any(gap > PLAIN for gap, _ in gaps.values()) and found.finite()
        floats = self._in_floats(found.point) if plain else None
        best = 0.0
        for name, (gap, where) in gaps.items():
            shown = gap > PLAIN and floats is not None and _shown(found, floats, name, where)
            best = max(best, gap if shown else min(gap, 1.0) * 1e-9)
        return best

    def _in_floats(self, point: Point) -> Examination | None:
        """Both sides in plain floating point; None where some value is no number there.

        A point at which some slope is 0/0 refutes, but convinces nobody.
        """
        try:
            plain = self.question.told_floats.get(id(point)) or self._examiner(point, FLOAT).examine(point)
        except UNUSABLE:
            return None
        every = (v for side in (plain.claimed, plain.correct) for array in side.values() for v in array.values())
        return plain if all(math.isfinite(to_float(v)) for v in every) else None

    def points(self, stage: Stage = "all", at: Sequence[Point] = ()) -> Iterator[tuple[Point, int]]:
        """Points with the precision to begin with, from likely to exotic, until the time is up; first those of `at`."""
        yield from ((point, PRECISIONS[0]) for point in at)
        choices = self.sampler.size_choices()
        if not choices:
            return
        if stage != "directed":
            yield from self._first_look(choices)
        if stage != "first look":
            yield from self._directed(choices)

    def _first_look(self, choices: list[Sizes]) -> Iterator[tuple[Point, int]]:
        """Random points at every choice of sizes, by turns."""
        large = len(self.question.claimed.equations) > LARGE
        yield self.sampler.point(choices[0]), PRECISIONS[0 if large else -1]
        for sizes in (*choices, *choices, *choices[:1] * 3):
            yield self.sampler.point(sizes), PRECISIONS[0]

    def _directed(self, choices: list[Sizes]) -> Iterator[tuple[Point, int]]:
        """Points at other scales, on both sides of thresholds, and with a scale for each input."""
        director = Director(self.question, self.sampler, self.rng, self.late)
        while not self.late():
            sizes = self._sizes(choices)
            base = self.sampler.point(sizes)
            for point in filter(director.reasonable, director.scaled(base)):
                yield point, PRECISIONS[0]
            if (settled := self.settled(base)) is not None:
                for point in filter(director.reasonable_at_thresholds, director.approaches(base, settled.settled)):
                    yield point, PRECISIONS[0]
            for _ in range(5):
                spread = self.sampler.point(self._sizes(choices), spread=True)
                if director.reasonable(spread):
                    yield spread, PRECISIONS[0]

    def settled(self, base: Point) -> Examination | None:
        """Both sides at a point, for the values that the forward program determines; None where there are none."""
        try:
            return self._examiner(base, ball(PRECISIONS[0])).examine(base)
        except UNUSABLE:
            return None

    def _sizes(self, choices: list[Sizes]) -> Sizes:
        return choices[0] if self.rng.random() < 0.4 else self.rng.choice(choices)


def precisions(lines: int, least: int) -> list[int]:
    """The precisions to try, the lowest that may be enough first: along the lines of a program enclosures widen.

    Args:
        lines: of the claim.
        least: the lowest that is asked for.

    Example:
        >>> precisions(20, 128), precisions(500, 128)
        ([128, 256, 1024], [384, 1024])
    """
    widened = (lines + A_BLOCK // 2) // A_BLOCK * BITS_OF_A_BLOCK
    first = max(least, min(PRECISIONS[0] + widened, PRECISIONS[-1]))
    return [first, *(b for b in PRECISIONS if b > first and not (lines > LARGE and b == PRECISIONS[1]))]


def _shown(found: Examination, floats: Examination, name: str, where: tuple[int, ...]) -> bool:
    """True if plain floating point gives the claimed value too, up to a tenth of the disagreement."""
    exact = [to_float(side[name][where]) for side in (found.claimed, found.correct)]
    near = [to_float(side[name][where]) for side in (floats.claimed, floats.correct)]
    allowed = abs(exact[0] - exact[1]) / 10
    return all(abs(a - b) <= allowed for a, b in zip(exact, near, strict=True))


def refute(
    question: Question,
    *,
    budget_seconds: float = 5.0,
    seed: int = 0,
    stage: Stage = "all",
    small: bool = True,
    shrink_seconds: float = SHARES["a smaller example"].seconds,
    at: Sequence[Point] = (),
    most: int | None = None,
) -> Counterexample | None:
    """A counterexample to the claim that every pair of the question is right, or None if none was found in time.

    Args:
        stage: "first look" for some random points at telling sizes, "directed" for what comes after them.
        small: shrink it, for at most `shrink_seconds`.
        at: points that are examined first, whatever they cost: floating point has shown a disagreement there.
        most: after how many points that show nothing it is given up.

    Raises:
        MalformedError: a claimed gradient has another shape than its tensor, and no other is refuted.
    """
    search = Search(question, budget_seconds, seed)
    best: Examination | None = None
    misshapen: dict[str, Examination] = {}
    strongest, patience, longer = 0.0, math.inf, SHARES["a clearer disagreement"].seconds
    unusable, looked = 0.0, 0
    for point, bits in search.points(stage, at):
        if best is None and looked == most:
            break
        now = worked()
        expected = any(point is p for p in at)
        if not expected and (now > patience or search.late()):
            break
        if not expected and not search.fits(point):
            continue
        found = search.examined_once(point, bits) if expected else search.examine(point, bits)
        if found is None:
            unusable += 1
            if unusable == HOPELESS:
                break
            continue
        unusable, looked = -math.inf, looked + 1
        if found.misshapen:
            misshapen = dict.fromkeys(found.misshapen, found) | misshapen
            patience = min(patience, now + longer)
        names = [n for n in found.disagreements() if n not in misshapen]
        if not names:
            continue
        strength = search.strength(found, names)
        if best is None or strength > strongest:
            best, strongest, patience = found, strength, min(patience, now + longer)
        if strongest >= CLEAR:
            break
    if best is None:
        if misshapen:
            raise _wrong_shape(next(iter(misshapen.values())))
        return None
    return counterexample(question, _shrunk(search, best, strongest, shrink_seconds) if small else best)


def refute_at_small_sizes(question: Question, seconds: float) -> Counterexample | None:
    """A point at which the claim is wrong or has no value where a size is 1, or all sizes are the same.

    There an axis may be empty, as that of x[1:], and a mean over it has no value: of that normal forms do not speak.

    Raises:
        MalformedError: a claimed gradient has another shape than its tensor there.
    """
    search = Search(question, seconds)
    for sizes in search.sampler.size_choices():
        if 1 not in sizes.values() and len(set(sizes.values())) != 1:
            continue
        point = search.sampler.point(sizes)
        if search.late():
            return None
        found = search.examine(point) if search.fits(point) else None
        if found is not None and found.misshapen:
            raise _wrong_shape(found)
        if found is not None and found.disagreements():
            return counterexample(question, found)
    return None


def refute_outside(question: Question, seconds: float) -> Counterexample | None:
    """A point at which the claim has no value though the gradient has one, sought beside the program's constants.

    For claims that ask for more than the forward pass does: log(x + 1000) has no value for x < -1000, and log(x) none
    where the one entry is negative of which the forward pass reads no logarithm.
    """
    search = Search(question, seconds)
    for sizes in search.sampler.size_choices()[:1]:
        assigned = assignments(search.sampler.real_inputs, question.constants[:CONSTANTS], search.rng)
        plain = (search.sampler.point(sizes) for _ in range(2))
        moved = (search.sampler.moved(search.sampler.point(sizes), assignment) for assignment in assigned)
        for point in itertools.chain(plain, moved, _with_one_negated(search, sizes)):
            if search.late() or not search.fits(point):
                return None
            found = search.examine(point)
            if found is not None and found.disagreements():
                name = found.disagreements()[0]
                return counterexample(question, _shrunk(search, found, search.strength(found, [name]), seconds / 2))
    return None


def _with_one_negated(search: Search, sizes: Sizes) -> Iterator[Point]:
    """An ordinary point with another sign of one entry, of each input at one of some places."""
    for tensor in search.sampler.real_inputs:
        assumed = search.sampler.kinds.get(tensor)
        point = search.sampler.point(sizes)
        own = point.inputs[tensor]
        for place in itertools.islice(np.ndindex(own.shape), MOST_NEGATED if assumed is None else 0):
            one = own.copy()
            one[place] = -one[place]
            yield replace(point, inputs={**point.inputs, tensor: one})


def refute_on_thresholds(
    question: Question, seconds: float, at_kinks: bool = False
) -> tuple[Counterexample | None, str]:
    """A point exactly on a threshold at which the claim has a wrong value, though the forward pass is smooth.

    There random points never fall. A claim without a value on a threshold is no counterexample: that excludes no more
    than the threshold. A claim that jumps nowhere, as one of a softmax, is looked at nowhere: what it is beside a
    threshold it is on it.

    Args:
        at_kinks: whether the proof leaves out what is on thresholds of the forward pass too.

    Returns:
        the counterexample, and an equation of which the claim makes a branch, and which numbers come near to from both
        sides, but none was found to meet; "" if there is none.
    """
    forward, claimed = compared_as_floats(question.forward), compared_as_floats(question.claimed)
    search = Search(replace(question, forward=forward, claimed=claimed), seconds)
    question = search.question
    director = Director(question, search.sampler, search.rng, search.late)
    if not any((site.claimed and site.jumps) or at_kinks for site in director.sites):
        return None, ""
    equalities = [s for s in director.sites if s.claimed and s.of_equality] if at_kinks else []
    kinks = AtKinks(question, search.sampler.real_inputs, equalities, search.rng)
    for sizes in search.sampler.size_choices()[:1]:
        base = search.sampler.point(sizes)
        settled = search.settled(base)
        given = {} if settled is None else settled.settled
        for point in director.on_thresholds(base, given):
            if search.late() or not search.fits(point):
                return None, ""
            found = search.examine(point)
            if at_kinks and (found is None or kinks.unmet):
                beside = kinks.wrong(point)
                found = beside if found is None else found
            if found is not None and any(math.isfinite(found.worst(name)) for name in found.disagreements()):
                return counterexample(question, found), ""
        for site in kinks.unmet:
            if director.crosses(site, base, given):
                return None, f"{to_text(site.difference)} == 0"
    return None, ""


def refute_beside_ties(question: Question, seconds: float, points: int) -> Counterexample | None:
    """A point at which the claim is no slope of the forward pass, where that takes a largest of several entries.

    Its derivative counts each entry that is the largest. That is right where no two entries tie, and some always do.

    Args:
        points: how many are looked at.
    """
    if not any(isinstance(n, Extremum) for e in question.forward.equations for n in nodes_once(e.value)):
        return None
    search = Search(question, seconds)
    kinks = AtKinks(question, search.sampler.real_inputs, [], search.rng)
    for sizes in itertools.islice(itertools.cycle(search.sampler.size_choices()[:4]), points):
        point = search.sampler.point(sizes)
        found = kinks.wrong_beside_ties(point) if search.fits(point) and not search.late() else None
        if found is not None:
            return counterexample(question, found)
    return None


def _wrong_shape(found: Examination) -> MalformedError:
    name, (given, needed) = next(iter(found.misshapen.items()))
    sizes = ", ".join(f"{s.name} = {n}" for s, n in found.point.sizes.items())
    return MalformedError(
        f"the gradient of {name} has the wrong shape",
        evidence=[f"claimed: {given}", f"needed:  {needed}"] + ([f"sizes:   {sizes}"] if sizes else []),
    )


def _shrunk(search: Search, found: Examination, strength: float, seconds: float) -> Examination:
    """The same disagreement at a smaller point."""
    names = found.disagreements()
    name = max(names, key=lambda n: found.gap(n)[0])
    kept: list[Examination] = [found]

    def refutes(point: Point) -> bool:
        again = search.examine(point, found.number_field.bits or PRECISIONS[0])
        if again is None or name not in again.disagreements():
            return False
        if search.strength(again, [name]) < min(CLEAR, strength / 2):
            return False
        kept.append(again)
        return True

    shrink(found.point, search.sampler, refutes, seconds)
    return kept[-1]


def wrong_gradients(
    question: Question,
    names: Iterable[str] | None = None,
    *,
    budget_seconds: float = 1.0,
    seed: int = 0,
    stage: Stage = "all",
    at: Sequence[Point] = (),
    most: int | None = None,
    enough: Collection[str] = (),
) -> list[str]:
    """The names of the pairs that are certainly wrong, in their order.

    Args:
        names: the pairs in doubt; all by default. Leave out those that are proved: a right pair costs the whole budget.
        stage, at, most: as `refute` has them.
        enough: with these no others are sought: floating point has shown them, and others nowhere. Those that it does
            not show at all are asked about where no proof of them is found.
    """
    left = list(question.pairs if names is None else names)
    order, wrong = list(left), set[str]()
    search, looked = Search(question.only(left), budget_seconds, seed), 0
    for point, bits in search.points(stage, at):
        expected = any(point is p for p in at)
        if not left or looked == most or (search.late() and not expected):
            break
        if enough and wrong.issuperset(enough):
            break
        found = search.examined_once(point, bits) if expected else search.examine(point, bits)
        if found is not None:
            looked += 1
            wrong |= {*found.disagreements(), *found.misshapen}
            left = [n for n in left if n not in wrong]
    return [n for n in order if n in wrong]


def cross_examine(
    question: Question, *, sizes: Sizes | None = None, seed: int = 0, points: int = 2
) -> Literal[True] | Counterexample:
    """Put a claim that was proved to the test at one small unequal size: True, or the disagreement.

    Raises:
        MalformedError: a claimed gradient has another shape than its tensor.
        UnsupportedError: no point could be examined (no sizes in the domain, or every point tried is on a kink).
    """
    search = Search(question, SHARES["cross-examination"].seconds, seed)
    choices = [sizes] if sizes is not None else search.sampler.size_choices()[:2]
    examined = 0
    deep = len(question.claimed.equations) > DEEP
    for attempt in range(8 * points):
        if not choices or examined == points:
            break
        scale = SCALE_OF_DEEP / 2 ** (attempt % 4) if deep else 1.0
        point = search.sampler.point(choices[attempt // (4 * points) % len(choices)], scale=scale)
        found = search.examine(point, PRECISIONS[2 if deep else 1])
        if found is None:
            continue
        if found.misshapen:
            raise _wrong_shape(found)
        if found.disagreements():
            return counterexample(question, found)
        examined += found.tells()
    if not examined:
        raise UnsupportedError("no point at which the two could be compared was found")
    return True
