"""Which tensors of two programs are probably equal: up to the order of axes, a sign and a constant factor.

Every tensor gets its numbers at several points. Tensors with the same numbers are proposed to the normal form; numbers
alone prove nothing here.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.question import Question
from symbackprop.checking.sample_points import Sampler, with_tiles
from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    add,
    mentioned,
    multiply,
    negate,
    number,
    power,
    subtract,
)
from symbackprop.expression.program import Equation
from symbackprop.expression.recurrence import Recurrence, blocks, clocks_of
from symbackprop.expression.sizes import simplify

TOLERANCE = 1e-6  # generous: what saturates loses digits, and numbers only propose
INFINITE = 1e6  # what is larger stands for infinity, and everything else is small beside it
PLAIN = 1e-6  # a relative difference that is no rounding
TINY = 1e-250  # less is as good as 0: products of many factors run out of range there
NOISE = 1e-14  # what rounding leaves of ordinary numbers that cancel
SMALL = 16.0  # that inputs are divided by
FAINT = 1e-8  # sums of numbers that may be what is left of ordinary ones, without digits
SAME = 10 * TOLERANCE  # relative: of sums
SCALE = 0.5  # of inputs: functions that level off, stacked, leave no digits where numbers are large
POINTS = 6
STEPS = 5  # of a recurrence that walks in tiles, at one point
MOST_RESHAPED = 6  # ways in which the axes of one tensor fall into others
MOST_PARTS = 8  # of an axis: the gates of a cell, the queries, keys and values of a layer
LARGEST_FACTOR, MOST_SYMBOLS = 64, 3  # of a constant factor: numerator and denominator, and symbols in it
FAILURES = (SymbackpropError, ArithmeticError, LookupError, ValueError)
Values = Mapping[Tensor, NDArray[Any]]
Places = dict[Tensor, tuple[int, ...]]  # an entry of each


@dataclass(frozen=True)
class Group:
    """Axes of a tensor, in their order, and what they become: one axis stays, falls into two, or is made of two.

    Args:
        old, new: their sizes.
        inner: of two, a tensor and its axis that is as long as the second.
    """

    old: tuple[Expr, ...]
    new: tuple[Expr, ...]
    inner: tuple[Tensor, int] | None = None

    def places(self, new: list[Expr]) -> tuple[Expr, ...]:
        """The places in the old axes; those in the new ones are taken from the list."""
        here = [new.pop(0) for _ in self.new]
        if len(here) == len(self.old):
            return (*here,)
        if len(self.old) == 1:
            return (simplify(add(multiply(self.new[1], here[0]), here[1])),)
        (place,) = here
        return simplify(Quotient(place, self.old[1])), simplify(Remainder(place, self.old[1]))

    def lengths(self, lengths: list[int], values: Values) -> tuple[int, ...]:
        """How long the new axes are; those of the old ones are taken from the list."""
        here = [lengths.pop(0) for _ in self.old]
        if self.inner is None or len(self.old) == 2:
            return (math.prod(here),)
        tensor, axis = self.inner
        inner = np.asarray(values[tensor]).shape[axis]
        return here[0] // inner, inner


@dataclass(frozen=True)
class Likeness:
    """tensor[i, j, ...] is factor * other, whose axes are those at `order`, as far as numbers tell.

    Args:
        step: the axis of the other whose steps are counted otherwise: from `start` on, or down from there.
        blind: whether numbers tell nothing, since they have run out of range.
        part: an axis of the other and the place at which the part begins that this is.
        turned: other axes whose places are counted down, each with its last place.
        groups: what axes of a reshaped tensor become, where the order is that of the new ones.
    """

    other: Tensor
    order: tuple[int, ...]
    factor: Expr
    step: int | None = None
    start: Expr = ZERO
    down: bool = False
    blind: bool = False
    part: tuple[int, Expr] | None = None
    turned: tuple[tuple[int, Expr], ...] = ()
    groups: tuple[Group, ...] = ()

    def at(self, indices: tuple[Index, ...]) -> Expr:
        """What the entry with these indices is."""
        places: list[Expr] = [indices[k] for k in self.order]
        if self.step is not None:
            places[self.step] = (subtract if self.down else add)(self.start, places[self.step])
        for axis, last in self.turned:
            places[axis] = subtract(last, places[axis])
        if self.part is not None:
            axis, first = self.part
            places[axis] = add(first, places[axis])
        if self.groups:
            places = [place for group in self.groups for place in group.places(places)]
        return multiply(self.factor, Entry(self.other, tuple(places)))


@dataclass(frozen=True)
class View:
    """A tensor, or all but the first or the last of its steps, or one of the equal parts of an axis.

    Args:
        axis: that of the steps.
        first, last: how many are left out at either end.
        part: an axis, which part of it, and how many there are: the gates of a cell lie side by side.
        groups: what the axes become, where they are reshaped.
    """

    tensor: Tensor
    axis: int | None = None
    first: int = 0
    last: int = 0
    part: tuple[int, int, int] | None = None
    groups: tuple[Group, ...] = ()

    @property
    def shape(self) -> tuple[Expr, ...]:
        """The shape of what is left."""
        if self.groups:
            return tuple(size for group in self.groups for size in group.new)
        gone, sizes = self.first + self.last, list(self.tensor.shape)
        if self.axis is not None and gone:
            sizes[self.axis] = simplify(add(sizes[self.axis], number(-gone)))
        if self.part is not None:
            axis, _, count = self.part
            sizes[axis] = simplify(Quotient(sizes[axis], number(count)))
        return tuple(sizes)

    @property
    def tensors(self) -> set[Tensor]:
        """Those that its numbers are taken from."""
        return {self.tensor, *(group.inner[0] for group in self.groups if group.inner is not None)}

    @property
    def begins(self) -> tuple[int, Expr] | None:
        """The axis of the part and the place at which it begins."""
        if self.part is None:
            return None
        axis, k, count = self.part
        return axis, simplify(multiply(number(k), Quotient(self.tensor.shape[axis], number(count))))

    def of(self, values: Values) -> NDArray[Any]:
        """The numbers of what is left."""
        array = np.asarray(values[self.tensor])
        if self.groups:
            lengths = list(array.shape)
            return array.reshape([n for group in self.groups for n in group.lengths(lengths, values)])
        if self.part is not None:
            axis, k, count = self.part
            array = np.split(array, count, axis)[k]
        if self.axis is None or not self.first + self.last:
            return array
        places = slice(self.first, array.shape[self.axis] - self.last)
        return array[(slice(None),) * self.axis + (places,)]


@dataclass(frozen=True)
class _Seen:
    """What was worked out of numbers, for whoever asks again.

    Args:
        profiles: of what may be found, each with whether digits are lost in it.
        likenesses: of a tensor and what may be found, those that are none included.
    """

    profiles: dict[View, tuple[NDArray[np.float64] | None, bool]] = field(default_factory=dict)
    likenesses: dict[tuple[Tensor, View], Likeness | None] = field(default_factory=dict)

    def of_those(self, tensors: Set[Tensor]) -> _Seen:
        """What rests on the numbers of these tensors alone."""
        views = {view for view in self.profiles if view.tensors <= tensors}
        likenesses = {(t, v): like for (t, v), like in self.likenesses.items() if t in tensors and v in views}
        return _Seen({view: self.profiles[view] for view in views}, likenesses)


class Lookalikes:
    """The numbers of all tensors of some equations at several points, and those tensors that may be found.

    Args:
        equations: in an order in which they can be evaluated.
    """

    def __init__(self, question: Question, equations: tuple[Equation, ...]) -> None:
        self._vectors: list[tuple[Point, Vectors]] = []
        self._tell_of(equations)
        steps = {tensor.shape[axis] for tensor, axis in self._steps.items()}
        outputs = question.forward.outputs
        read = {t for e in equations for t in mentioned(e.value)}
        results = (*outputs, *(e.tensor for e in equations if e.tensor not in read))
        for point, vectors in _numbers(_points(question, steps) if equations else (), equations):
            if vectors is None or not _finite(vectors, results):  # layer upon layer, numbers run out of range
                nearer = small(point, question)
                others = _numbers_at(nearer, equations)
                if others is not None and (vectors is None or _finite(others, results)):
                    point, vectors = nearer, others
            if vectors is not None:
                self._vectors.append((point, vectors))
        told = [v for v in self._vectors if _finite(v[1], outputs)]
        self._vectors = told or self._vectors  # where the forward has no value nothing is said
        self._at: list[tuple[Point, Values]] = [(point, vectors.arrays) for point, vectors in self._vectors]
        self._seen = _Seen()
        self._forget()

    def _tell_of(self, equations: tuple[Equation, ...]) -> None:
        """Note what shapes and steps the tensors of these equations have."""
        self._equations = equations
        self._clocks = clocks_of(equations)
        self._steps = {tensor: clock.axis for tensor, clock in self._clocks.items()}
        self._pairs = _pairs(e.tensor for e in equations)
        clocks = [c for block in blocks(equations) if isinstance(block, Recurrence) for c in block.clocks.items()]
        self._lengths = {tensor.shape[axis] for tensor, clock in clocks for axis in clock.axes}

    @property
    def vectors(self) -> list[Vectors]:
        """The numbers of all tensors at each point."""
        return [vectors for _, vectors in self._vectors]

    @property
    def steps(self) -> Mapping[Tensor, int]:
        """The tensors of recurrences, each with the axis that holds its steps."""
        return self._steps

    def afresh(self, equations: tuple[Equation, ...] = (), *, retold: bool = False) -> Lookalikes:
        """The same numbers, with no tensor that may be found yet.

        Args:
            equations: other ones, some of them changed, in an order in which they can be evaluated.
            retold: whether these say the same, so that what has numbers keeps them.
        """
        other = Lookalikes.__new__(Lookalikes)
        other.__dict__.update(self.__dict__)
        known = {e.tensor: e for e in self._equations}
        new = {e.tensor: e for e in equations if e.tensor not in known}
        edits = new if retold else {e.tensor: e for e in equations if known.get(e.tensor) != e}
        if edits and known:  # of those that have names for each other there are no numbers
            other._equations, other._vectors = equations, []
            if new:
                other._tell_of(equations)
            lines = tuple(new.values()) if retold else equations
            for point, vectors in self._vectors:
                try:
                    with np.errstate(all="ignore"):
                        other._vectors.append((point, vectors.edited(edits, lines)))
                except FAILURES:
                    continue
            other._at = [(point, vectors.arrays) for point, vectors in other._vectors]
            other._seen = self._seen.of_those(self._kept_by(other))
        other._forget()
        return other

    def _kept_by(self, other: Lookalikes) -> set[Tensor]:
        """The tensors of which the other has the same numbers, at the same points."""
        same = len(self._at) == len(other._at) and (self._clocks, self._lengths) == (other._clocks, other._lengths)
        both = zip(self._at, other._at, strict=True) if same else ()
        kept = [{t for t, a in ours.items() if theirs.get(t) is a} for (_, ours), (_, theirs) in both]
        return set.intersection(*kept) if kept else set()

    def _forget(self) -> None:
        """No tensor may be found yet."""
        self._known: list[View] = []
        self._profiles: list[NDArray[np.float64]] = []
        self._by_shape: list[list[tuple[float, int]]] = [[] for _ in self._at]  # at each point, in order
        self._shaped: dict[tuple[Expr, ...], list[tuple[Likeness, list[NDArray[Any]]]]] = {}
        self._void: dict[tuple[Expr, ...], list[Tensor]] = {}  # those that are 0 at all points
        self._vanishing = False  # whether some numbers are so small that digits are lost

    def add(self, tensor: Tensor) -> None:
        """From now on the tensor may be found."""
        self._shaped = {}
        views = [View(tensor)]
        if tensor in self._steps:
            views = [View(tensor, self._steps[tensor], *ends) for ends in ((0, 0), (1, 0), (0, 1))]
        parts = [replace(v, part=part) for part in _parts(tensor) for v in views]
        shaped = [View(tensor, groups=groups) for groups in self._reshaped(tensor)]
        for view in [*views, *parts, *shaped]:
            profile = self._profile(view)
            if profile is not None and not profile.any():
                if view is views[0] and view.axis is None:
                    self._void.setdefault(tensor.shape, []).append(tensor)
            elif profile is not None:
                for order, shape in zip(self._by_shape, profile[1], strict=True):
                    bisect.insort(order, (float(shape), len(self._known)))
                self._known.append(view)
                self._profiles.append(profile)

    def of(self, tensor: Tensor) -> list[Likeness]:
        """The tensors that may be found and are like this one, those without a factor first."""
        own = self._profile(View(tensor))
        if own is None:
            return []
        if not own.any():
            return self._in_line(tensor)
        faint = own[0] < FAINT
        # what is left of large numbers that cancel tells little
        unsure = (faint if not faint.all() else ~faint)[:, None]
        near = self._near(own[1], int(np.argmin(unsure)))
        if not near:
            return []
        sums, shapes = np.array([self._profiles[k] for k in near]).transpose(1, 2, 0)
        alike = (unsure | np.isclose(shapes, own[1][:, None], rtol=SAME, atol=0)).all(axis=0)
        same = alike & (unsure | np.isclose(sums, own[0][:, None], rtol=SAME, atol=0)).all(axis=0)
        order = [*np.flatnonzero(same), *np.flatnonzero(alike & ~same)]
        views = [self._known[near[k]] for k in order]
        likenesses = self._seen.likenesses
        for view in (v for v in views if (tensor, v) not in likenesses):
            likenesses[tensor, view] = self._likeness(tensor, view, own[0])
        told = (f for v in views if (f := likenesses[tensor, v]) is not None)
        return sorted(told, key=lambda f: (f.factor is not ONE, f.step is not None, bool(f.groups)))

    def numbers_of(self, tensor: Tensor) -> list[NDArray[Any]] | None:
        """The numbers of a tensor at all points; None where it has none."""
        if tensor.kind != "real" or not self._at or not all(tensor in values for _, values in self._at):
            return None
        return [np.asarray(values[tensor], dtype=np.float64) for _, values in self._at]

    def of_shape(self, shape: tuple[Expr, ...]) -> list[tuple[Likeness, list[NDArray[Any]]]]:
        """What may be found and can be read over indices of this shape, each with its numbers at all points."""
        if shape not in self._shaped:
            self._shaped[shape] = [found for view in self._known for found in self._read_over(view, shape)]
        return self._shaped[shape]

    def _read_over(self, view: View, shape: tuple[Expr, ...]) -> Iterator[tuple[Likeness, list[NDArray[Any]]]]:
        if len(view.shape) != len(shape) or view.part is not None or view.groups:
            return
        for order in itertools.permutations(range(len(shape))):
            if view.shape != tuple(shape[k] for k in order):
                continue
            for step, down, others in self._ways(view):
                start = subtract(view.shape[step], ONE) if down and step is not None else ZERO
                first = simplify(add(start, number(view.first)))
                likeness = Likeness(view.tensor, order, ONE, step, first, down, turned=_ends(view, others))
                flipped = (*others, step) if down and step is not None else others
                yield likeness, [_turned(view.of(v), order, flipped) for _, v in self._at]

    def _reshaped(self, tensor: Tensor) -> Iterator[tuple[Group, ...]]:
        """The ways in which the axes of a tensor fall into two, or two are one, as elsewhere they do."""
        if tensor in self._steps or not self._pairs:
            return

        def ways(sizes: tuple[Expr, ...]) -> Iterator[tuple[Group, ...]]:
            if not sizes:
                yield ()
                return
            (first, *_), second = sizes, sizes[:2]
            here = [Group((first,), (first,))]
            here += [Group((first,), pair, inner) for pair, (whole, inner) in self._pairs.items() if whole is first]
            if second in self._pairs:
                here.append(Group(second, (self._pairs[second][0],)))
            for group in here:
                yield from ((group, *rest) for rest in ways(sizes[len(group.old) :]))

        every = (way for way in ways(tensor.shape) if any(len(g.old) != len(g.new) for g in way))
        yield from itertools.islice(every, MOST_RESHAPED)

    def _in_line(self, tensor: Tensor) -> list[Likeness]:
        """Where numbers have run out of range, as deep inside a model whose gradients vanish: all of one shape."""
        if not self._vanishing:
            return []
        places = tuple(range(len(tensor.shape)))
        return [Likeness(other, places, ONE, blind=True) for other in self._void.get(tensor.shape, ())]

    def _near(self, shapes: NDArray[np.float64], point: int) -> list[int]:
        """What may be found and is like this at one point, in the order in which it came."""
        order, shape = self._by_shape[point], float(shapes[point])
        start, end = (bisect.bisect(order, (shape * (1 + side * 2 * SAME), side * len(order))) for side in (-1, 1))
        return sorted(k for _, k in order[start:end])

    def of_difference(self, left: Tensor, right: Tensor) -> list[Likeness]:
        """The tensors that may be found and are like left - right; nothing else is remembered of that."""
        gap = Tensor(f"{left.name} - {right.name}", left.shape)
        known = all(left in v and right in v for _, v in self._at)
        return self._of_numbers(gap, [v[left] - v[right] for _, v in self._at]) if known else []

    def of_all_but(self, tensor: Tensor, axis: int, last: bool) -> list[Likeness]:
        """The tensors that may be found and are like this one without its first step, or without its last.

        Args:
            axis: that of the steps.
        """
        view = View(tensor, axis, int(not last), int(last))
        rest = Tensor(f"part of {tensor.name}", view.shape)
        known = all(tensor in v and v[tensor].shape[axis] for _, v in self._at)
        return self._of_numbers(rest, [view.of(v) for _, v in self._at]) if known else []

    def _of_numbers(self, tensor: Tensor, numbers: list[NDArray[Any]]) -> list[Likeness]:
        """As `of`, for a tensor that has these numbers and is forgotten again."""
        before = self._at, self._seen
        try:
            self._at = [(p, {**v, tensor: own}) for (p, v), own in zip(self._at, numbers, strict=True)]
            self._seen = _Seen()
            return self.of(tensor)
        finally:
            self._at, self._seen = before

    def differ(self, left: Tensor, right: Tensor) -> bool:
        """True if two tensors plainly have other numbers at every point that tells.

        What is left of 0 tells nothing: of the bias of keys, which moves all scores of a row alike, the gradient is 0.
        At some points there may be no digits left: where a softmax has levelled off.
        """
        told = [(v[left], v[right]) for _, v in self._at if left in v and right in v]
        told = [(a, b) for a, b in told if max(_largest(a), _largest(b)) > NOISE]
        return bool(told) and all(_farthest(a, b) is not None for a, b in told)

    def points_of(self, tensors: Iterable[Tensor]) -> int:
        """At how many points all of these have numbers."""
        every = list(tensors)
        return sum(all(t in values and np.isfinite(values[t]).all() for t in every) for _, values in self._at)

    def values_at(self, point: Point) -> Values:
        """The numbers at one of the points; none at others."""
        return next((values for place, values in self._at if place is point), {})

    def disagreements(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> list[tuple[Point, Places]]:
        """Points at which tensors that should be equal plainly differ: the first of each, and where they differ most.

        Each point comes with what differs there and at none before it, the point at which most do first.
        """
        pairs = list(pairs)
        shown = []
        for point, values in self._at:
            places = {a: place for a, b in pairs if (place := _farthest(values.get(a), values.get(b))) is not None}
            shown.append((point, places))
        found: list[tuple[Point, Places]] = []
        seen: set[Tensor] = set()
        while shown:
            point, places = max(shown, key=lambda s: len(s[1].keys() - seen))
            new = {t: p for t, p in places.items() if t not in seen}
            if not new:
                break
            found.append((point, new))
            seen |= new.keys()
        return found

    def _profile(self, view: View) -> NDArray[np.float64] | None:
        """The sum of absolute values at each point, which no order of axes and no sign changes, and that sum in units
        of the largest, which no factor changes; None where there are no numbers."""
        known = self._seen.profiles.get(view)
        if known is None:
            known = self._seen.profiles[view] = self._profiled(view)
        profile, vanishing = known
        self._vanishing |= vanishing
        return profile

    def _profiled(self, view: View) -> tuple[NDArray[np.float64] | None, bool]:
        """The profile, and whether some numbers are so small that digits are lost."""
        numbers = [values for _, values in self._at]
        if view.tensor.kind != "real" or not numbers or not all(view.tensors <= v.keys() for v in numbers):
            return None, False
        arrays = [np.abs(np.asarray(view.of(v), dtype=np.float64)) for v in numbers]
        sums = np.array([float(a.sum()) for a in arrays])
        largest = np.array([float(a.max(initial=0.0)) for a in arrays])
        if not np.isfinite(sums).all():
            return None, False
        vanishing = bool(((largest > 0) & (largest < TINY)).any())
        sums = np.where(largest < TINY, 0, sums)
        return np.array([sums, np.where(largest > 0, sums / np.where(largest > 0, largest, 1), 0)]), vanishing

    def _likeness(self, tensor: Tensor, view: View, sums: NDArray[np.float64]) -> Likeness | None:
        """How the tensor is like a view of another.

        Args:
            sums: of its absolute values at the points; where they are faint beside others they tell nothing.
        """
        told = sums >= FAINT if (sums >= FAINT).any() else np.ones_like(sums, dtype=bool)
        other, shape = view.tensor, view.shape
        if len(shape) != len(tensor.shape):
            return None
        opposite, ways = self._opposite(tensor, other), tuple(self._ways(view))
        for order in itertools.permutations(range(len(tensor.shape))):
            if shape != tuple(tensor.shape[k] for k in order):
                continue
            for step, down, others in sorted(ways, key=lambda way: not way[1]) if opposite else ways:
                flipped = (*others, step) if down and step is not None else others
                ratios: list[float] = []
                for (_, values), tells in zip(self._at, told, strict=True):
                    view_there = _turned(view.of(values), order, flipped) if tells else None
                    ratio = float("nan") if view_there is None else _ratio(values[tensor], view_there)
                    if ratio is None:
                        break
                    ratios.append(ratio)
                if len(ratios) < len(self._at):
                    continue
                factor = self._factor(ratios)
                if factor is None and {tensor, other} <= self._steps.keys():
                    factor = self._in_units_of_an_end(other, ratios)
                if factor is None:
                    continue
                if step is None:
                    ends = _ends(view, others)
                    return Likeness(other, order, factor, part=view.begins, turned=ends, groups=view.groups)
                start = subtract(shape[step], ONE) if down else ZERO
                first = simplify(add(start, number(view.first)))
                return Likeness(other, order, factor, step, first, down, False, view.begins, _ends(view, others))
        return None

    def _opposite(self, tensor: Tensor, other: Tensor) -> bool:
        """Whether two tensors of recurrences are computed from opposite ends.

        Numbers that stay the same from some step on are those of either direction; an induction goes one of them.
        """
        return {tensor, other} <= self._clocks.keys() and self._clocks[tensor].sign != self._clocks[other].sign

    def _ways(self, view: View) -> Iterator[tuple[int | None, bool, tuple[int, ...]]]:
        """The axis whose steps are counted otherwise, whether they are counted from the last one down, and another axis
        whose places are."""
        yield (view.axis if view.first else None), False, ()
        others = [k for k, n in enumerate(view.shape) if n in self._lengths and k != view.axis]
        if view.axis is not None:
            yield view.axis, True, ()
            yield from ((view.axis, True, (k,)) for k in others)
            yield from ((view.axis if view.first else None, False, (k,)) for k in others)
        else:
            yield from ((k, True, ()) for k in others)
            yield from ((k, True, (j,)) for j, k in itertools.combinations(others, 2))

    def _in_units_of_an_end(self, other: Tensor, ratios: list[float]) -> Expr | None:
        """The factor c/other[end], for an entry at an end and a number c.

        A recursion that begins with 1 is one that begins with what comes from above, in units of that.
        """
        if any(np.isnan(r) for r in ratios):
            return None
        for corner in itertools.product((0, -1), repeat=len(other.shape)):
            ends = [float(np.asarray(values[other])[corner]) for _, values in self._at]
            constant = _constant([r * end for r, end in zip(ratios, ends, strict=True)])
            if constant is not None:
                places = (simplify(subtract(n, ONE)) if k else ZERO for k, n in zip(corner, other.shape, strict=True))
                return multiply(number(constant), power(Entry(other, tuple(places)), -1))
        return None

    def _factor(self, ratios: list[float]) -> Expr | None:
        """The constant factor that has these values at the points; None where there is none, or nothing to tell it by.

        Args:
            ratios: nan where they tell nothing.
        """
        told = [(p, r) for (p, _), r in zip(self._at, ratios, strict=True) if not np.isnan(r)]
        if not told:
            return None
        found = _simple([p for p, _ in told], [r for _, r in told], 1)
        if found is None and len({r > 0 for _, r in told}) == 1:  # 1/sqrt(E), by its square
            root = _simple([p for p, _ in told], [r * r for _, r in told], 2)
            found = root if root is None or told[0][1] > 0 else negate(root)
        return found


def _numbers(points: Iterable[Point], equations: tuple[Equation, ...]) -> Iterator[tuple[Point, Vectors | None]]:
    """The numbers of all tensors at each point; at points of the same sizes, which follow each other, at once."""
    for _, group in itertools.groupby(points, key=lambda p: p.sizes):
        several = [*group]
        every = _numbers_side_by_side(several, equations) if len(several) > 1 else None
        for k, point in enumerate(several):
            yield point, _numbers_at(point, equations) if every is None else every.only(k)


def _numbers_side_by_side(points: list[Point], equations: Iterable[Equation]) -> Vectors | None:
    """The numbers at several points, as trials; None where there are none at all of them at once."""
    try:
        vectors = Vectors.of_all(points, beyond=0.0)
        with np.errstate(all="ignore"):
            vectors.run(equations)
    except FAILURES:
        return None
    return vectors


def _numbers_at(point: Point, equations: Iterable[Equation]) -> Vectors | None:
    """The numbers of all tensors at a point; None where there are none."""
    vectors = Vectors(point, beyond=0.0)  # what a guard leaves out may be read beside it: a product with 0
    try:
        with np.errstate(all="ignore"):
            vectors.run(equations)
    except FAILURES:
        return None
    return vectors


def _finite(vectors: Vectors, tensors: Iterable[Tensor]) -> bool:
    """Whether all of these that have numbers have finite ones."""
    return all(np.isfinite(vectors.arrays[t]).all() for t in tensors if t in vectors.arrays)


def _simple(points: list[Point], values: list[float], root: int) -> Expr | None:
    """The root of a simple fraction times powers of some sizes and parameters, where that has these values.

    Few points are of few sizes: sqrt(E) is meant where sqrt(3) and sqrt(6/T) have these values, too.
    """
    symbols = [*points[0].sizes, *points[0].parameters][:8]
    known = [{s: float(({**p.sizes, **p.parameters})[s]) for s in symbols} for p in points]
    best: tuple[int, Fraction, tuple[tuple[Symbol, int], ...]] | None = None
    for count in range(MOST_SYMBOLS + 1):
        if best is not None and best[0] <= 2**count:
            break
        for chosen in itertools.combinations(symbols, count):
            for signs in itertools.product((1, -1), repeat=count):
                ones = (math.prod(at[s] ** e for s, e in zip(chosen, signs, strict=True)) for at in known)
                factor = _constant([v / one for v, one in zip(values, ones, strict=True)])
                if factor is None:
                    continue
                size = abs(factor.numerator) * factor.denominator * 2**count
                if best is None or size < best[0]:
                    best = size, factor, tuple(zip(chosen, signs, strict=True))
    if best is None:
        return None
    powers = (power(s, number(Fraction(e, root))) for s, e in best[2])
    return multiply(power(number(best[1]), number(Fraction(1, root))), *powers)


def _parts(tensor: Tensor) -> Iterator[tuple[int, int, int]]:
    """The axes that have equal parts, as one of length 4*H has, each with every part and their number."""
    for axis, size in enumerate(tensor.shape):
        count = size.factors[0] if isinstance(size, Multiply) else None
        if isinstance(count, Number) and count.value.denominator == 1 and 1 < count.value <= MOST_PARTS:
            yield from ((axis, k, int(count.value)) for k in range(int(count.value)))


def _pairs(tensors: Iterable[Tensor]) -> dict[tuple[Expr, ...], tuple[Expr, tuple[Tensor, int]]]:
    """Sizes of axes side by side that are one axis of another tensor, each with that one's and where the second is."""
    every = list(tensors)
    sizes, found = {n for t in every for n in t.shape}, dict[tuple[Expr, ...], tuple[Expr, tuple[Tensor, int]]]()
    for tensor in every:
        for axis, pair in enumerate(itertools.pairwise(tensor.shape), 1):
            whole = simplify(multiply(*pair))
            if ONE not in pair and whole in sizes:
                found.setdefault(pair, (whole, (tensor, axis)))
    return found


def _ends(view: View, axes: tuple[int, ...]) -> tuple[tuple[int, Expr], ...]:
    """Some axes with their last places."""
    return tuple((k, simplify(subtract(view.shape[k], ONE))) for k in axes)


def _turned(values: NDArray[Any], order: tuple[int, ...], flipped: tuple[int, ...]) -> NDArray[Any]:
    """The other's numbers in this order of axes; along some of its axes from the last place to the first."""
    turned = np.flip(values, flipped) if flipped else values
    return np.transpose(turned, np.argsort(order)) if order else turned


def _constant(values: list[float]) -> Fraction | None:
    """The simple fraction that all values are."""
    if any(abs(v - values[0]) > 3 * TOLERANCE * abs(values[0]) for v in values):
        return None  # nor any other one, which is told sooner
    guess = Fraction(values[0]).limit_denominator(LARGEST_FACTOR)
    if not guess or abs(guess.numerator) > LARGEST_FACTOR:
        return None
    return guess if all(abs(v - float(guess)) <= TOLERANCE * abs(float(guess)) for v in values) else None


def _ratio(own: NDArray[Any], other: NDArray[Any]) -> float | None:
    """What `other` is multiplied by to give `own`; nan where both are 0, None where it is no multiple."""
    if own.shape != other.shape or not own.size:
        return None
    sizes = np.abs(own)
    largest, place = float(sizes.max()), int(np.abs(other).argmax())
    reference = float(other.flat[place])
    if max(largest, abs(reference)) < TINY:
        return float("nan")
    if not (math.isfinite(largest) and math.isfinite(reference)) or (largest == 0) != (reference == 0):
        return None
    ratio = float(own.flat[place]) / reference
    usual = largest if largest < INFINITE else float(sizes[sizes < INFINITE].max(initial=0.0)) or largest
    multiple = ratio * other
    allowed = TOLERANCE * (usual + np.abs(multiple))
    return ratio if ratio and bool((np.abs(own - multiple) <= allowed).all()) else None


def _largest(values: NDArray[Any]) -> float:
    return float(np.max(np.abs(values), initial=0.0))


def _farthest(claimed: NDArray[Any] | None, right: NDArray[Any] | None) -> tuple[int, ...] | None:
    """The entry at which two arrays plainly differ most, None if they do nowhere."""
    if claimed is None or right is None or claimed.shape != right.shape or not np.isfinite(claimed).all():
        return None
    gaps, scale = np.abs(claimed - right), max(_largest(right), _largest(claimed))
    if not np.isfinite(scale) or scale < TINY or not gaps.size or float(gaps.max()) <= PLAIN * scale:
        return None
    return tuple(int(k) for k in np.unravel_index(int(np.argmax(gaps)), gaps.shape))


def _points(question: Question, steps: Collection[Expr]) -> Iterator[Point]:
    """Small unequal sizes, some larger; signs mixed, and mostly positive, where more of a rectified net is alive.

    Args:
        steps: how many steps recurrences have, which walk in tiles: at the last point there are several of each.
    """
    sampler, rng = Sampler(question, random.Random(7)), np.random.default_rng(5)
    choices = sampler.size_choices()
    for k in range(POINTS if choices else 0):
        sizes = choices[(k // 2) % len(choices)] if k < POINTS - 1 else choices[-1]
        if k == POINTS - 1:
            sizes = with_tiles(sizes, steps, STEPS, sampler.allowed)
        point = sampler.point(sizes, scale=SCALE)
        yield mostly_positive(point, question, rng) if k % 3 else point


def mostly_positive(point: Point, question: Question, rng: np.random.Generator) -> Point:
    """A point with mostly positive inputs, where more of a rectified net is alive."""
    inputs = {t: _mostly_positive(t, a, question, rng) for t, a in point.inputs.items()}
    return replace(point, inputs=inputs)


def small(point: Point, question: Question) -> Point:
    """A point with small inputs, where less of an exponential is saturated."""
    free = {t for t, a in point.inputs.items() if a.dtype.kind == "f" and t not in question.forward.known}
    return replace(point, inputs={t: a / SMALL if t in free else a for t, a in point.inputs.items()})


def _mostly_positive(
    tensor: Tensor, values: NDArray[Any], question: Question, rng: np.random.Generator
) -> NDArray[Any]:
    if values.dtype.kind != "f" or tensor in question.forward.known:
        return values
    signed: NDArray[Any] = np.abs(values) * rng.choice([-1.0, 1.0, 1.0, 1.0], values.shape)
    return signed
