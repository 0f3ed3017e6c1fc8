"""What a round of a loop over a symbolic range finds, where rounds depend on each other.

    state     a number that each round computes from what the round before has left: a tensor with an axis of steps,
              state[0] from before the loop, state[k + 1] from round k
    counter   an integer to which each round adds the same: its value in round k is known
    scattered an array to whose entries rounds add, at places that their numbers name: what a round finds there is what
              those before it have added
    growing   an array of which round k writes the place k + c, or c - k, and reads those that rounds before have
              written: what it holds after the loop is a tensor that is read at these places already

States and growing arrays are recurrences of the program (`expression.recurrence`), whatever the length of the loop.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Entry,
    Expr,
    Index,
    Tensor,
    add,
    mentioned,
    multiply,
    rewrite,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.program import Equation
from symbackprop.frontends.numpy.infinity import finite, is_infinite
from symbackprop.frontends.numpy.session import Content, Session, axis_indices, holds, is_so, places_of, reduced

Indices = tuple[Expr, ...]


@dataclass(frozen=True)
class State:
    """A number from round to round.

    Args:
        tensor: one axis for each loop around this one, that of the steps, those of the number.
        outer: the indices of the loops around.
        index: of this loop.
        before: what it is before the loop.
    """

    tensor: Tensor
    outer: tuple[Index, ...]
    index: Index
    before: Content

    def found(self, indices: Indices) -> Expr:
        """What a round finds; minus infinity, which no tensor holds, by itself in the first."""
        entry = Entry(self.tensor, (*self.outer, self.index, *map(reduced, indices)))
        start = self.before(indices)
        return where(holds("==", self.index, ZERO), start, entry) if is_infinite(start) else entry

    def left(self, indices: Indices) -> Expr:
        """What the loop leaves."""
        return Entry(self.tensor, (*self.outer, self.index.size, *map(reduced, indices)))


@dataclass(frozen=True)
class Counter:
    """An integer to which each round adds the same."""

    before: Content
    more: Expr
    index: Index

    def found(self, indices: Indices) -> Expr:
        """What a round finds."""
        return reduced(add(self.before(indices), multiply(self.index, self.more)))

    def left(self, indices: Indices) -> Expr:
        """What the loop leaves."""
        return reduced(add(self.before(indices), multiply(self.index.size, self.more)))


@dataclass(frozen=True)
class Growing:
    """An array that is written place by place.

    Args:
        tensor: what it holds after the loop, with one axis more for each loop around this one.
        unknown: stands for entries of which is not known whether they are written already.
        axis: along which it is written.
        place: that which the round writes.
        rising: whether later rounds write later places.
        before: what it held before the loop.
        rows: other axes along which the loop writes at one place alone, the same in every round: those of a loop around
            this one. The tensor is without them.
    """

    tensor: Tensor
    unknown: Tensor
    outer: tuple[Index, ...]
    axis: int
    place: Expr
    rising: bool
    before: Content
    rows: tuple[tuple[int, Expr], ...] = ()

    @property
    def own_axis(self) -> int:
        """Which axis of the tensor that is, but for those of loops around."""
        return self.axis - sum(k < self.axis for k, _ in self.rows)

    def found(self, indices: Indices) -> Expr:
        """What a round finds."""
        at = indices[self.axis]
        first, second = (at, self.place) if self.rising else (self.place, at)
        if any(is_so("==", indices[axis], place) is False for axis, place in self.rows):
            return self.before(indices)
        if is_so("<", first, second):
            return self.left(indices)
        if is_so("<=", second, first):
            return self.before(indices)
        return Entry(self.unknown, tuple(map(reduced, indices)))

    def left(self, indices: Indices) -> Expr:
        """What the loop leaves."""
        fixed = dict(self.rows)
        entry = Entry(self.tensor, (*self.outer, *(reduced(i) for k, i in enumerate(indices) if k not in fixed)))
        if not fixed:
            return entry
        here = multiply(*(holds("==", indices[axis], place) for axis, place in self.rows))
        return where(here, entry, self.before(indices))

    def if_there(self, value: Expr) -> Expr:
        """What a round has to say of its place; 0 where a guard leaves that out, since it lies beyond an end."""
        length = self.tensor.shape[len(self.outer) + self.own_axis]
        return where(multiply(holds("<=", ZERO, self.place), holds("<", self.place, length)), value, ZERO)

    def at(self, indices: Indices) -> Indices:
        """Indices of the array in the rows in which the loop writes."""
        fixed = dict(self.rows)
        return tuple(fixed.get(k, i) for k, i in enumerate(indices))

    def in_rows(self, indices: Indices) -> Indices:
        """Indices of the tensor as those of the array."""
        fixed, own = dict(self.rows), iter(indices)
        return tuple(fixed[k] if k in fixed else next(own) for k in range(len(indices) + len(fixed)))


@dataclass(frozen=True)
class Addition:
    """What each round adds to the place that it names.

    Args:
        tensor: one axis for each loop around, that of the rounds, those of the array that no place is named of.
        axis: of the array, along which the round names the place.
        place: that place.
        rows: other axes with a place that is the same in every round.
    """

    tensor: Tensor
    axis: int
    place: Expr
    rows: tuple[tuple[int, Expr], ...]

    @property
    def named(self) -> dict[int, Expr]:
        """The axes of the array of which a place is named."""
        return {self.axis: self.place, **dict(self.rows)}


@dataclass(frozen=True)
class Scattered:
    """An array to which each round adds here and there: where it is read it holds what rounds before have added.

    Args:
        unknown: stands for entries of which no round is told.
        named: by place, what this round finds there, where that has a name.
    """

    unknown: Tensor
    outer: tuple[Index, ...]
    index: Index
    before: Content
    additions: tuple[Addition, ...]
    named: dict[Expr, tuple[Tensor, tuple[Index, ...]]] = field(default_factory=dict, compare=False)

    @property
    def axis(self) -> int | None:
        """The axis along which rounds add, if it is one alone."""
        axes = {a.axis for a in self.additions}
        return axes.pop() if len(axes) == 1 else None

    def found(self, indices: Indices) -> Expr:
        """What a round finds."""
        at = [indices[a.axis] for a in self.additions]
        if any(isinstance(i, Index) and not i.uid for i in at):
            return Entry(self.unknown, tuple(map(reduced, indices)))
        if self.axis is not None and (known := self.named.get(reduced(indices[self.axis]))) is not None:
            tensor, rounds = known
            return Entry(tensor, (*rounds, *(reduced(i) for k, i in enumerate(indices) if k != self.axis)))
        return self._added(indices, self.index)

    def left(self, indices: Indices) -> Expr:
        """What the loop leaves."""
        return self._added(indices, self.index.size)

    def _added(self, indices: Indices, rounds: Expr) -> Expr:
        """What so many rounds have added to what was there."""
        total = self.before(indices)
        for addition in self.additions:
            base = reduced(substitute(addition.place, {self.index: ZERO}))
            rising = reduced(subtract(addition.place, base)) is self.index
            here = indices[addition.axis]
            number = reduced(subtract(here, base) if rising else subtract(base, here))
            told = [holds("<=", ZERO, number), holds("<", number, rounds)]
            told += [holds("==", indices[axis], place) for axis, place in addition.rows]
            rest = (reduced(i) for k, i in enumerate(indices) if k not in addition.named)
            total = add(total, where(multiply(*told), Entry(addition.tensor, (*self.outer, number, *rest)), ZERO))
        return total


Found = State | Counter | Growing | Scattered


def new_state(session: Session, hint: str, shape: tuple[Expr, ...], kind: str, index: Index, before: Content) -> State:
    """A state that is still to be defined."""
    outer = tuple(loop.index for loop in session.loops)
    steps = reduced(add(index.size, ONE))
    tensor = session.new_tensor(f"{hint}_before", (*(i.size for i in outer), steps, *shape), kind)
    return State(tensor, outer, index, before)


def new_growing(
    session: Session, hint: str, shape: tuple[Expr, ...], kind: str, unknown: Tensor, axis: int,
    place: Expr, rising: bool, before: Content, rows: tuple[tuple[int, Expr], ...] = (),
) -> Growing:  # fmt: skip
    """A growing array that is still to be defined."""
    outer, fixed = tuple(loop.index for loop in session.loops), dict(rows)
    own = tuple(n for k, n in enumerate(shape) if k not in fixed)
    tensor = session.new_tensor(hint, (*(i.size for i in outer), *own), kind)
    return Growing(tensor, unknown, outer, axis, place, rising, before, rows)


def new_scattered(
    session: Session, hint: str, shape: tuple[Expr, ...], kind: str, unknown: Tensor, index: Index, before: Content,
    places: list[tuple[int, Expr, tuple[tuple[int, Expr], ...]]],
) -> Scattered:  # fmt: skip
    """An array to which rounds add, of which it is still to be defined what they add."""
    outer, additions = tuple(loop.index for loop in session.loops), list[Addition]()
    for axis, place, rows in places:
        rest = [n for k, n in enumerate(shape) if k != axis and k not in dict(rows)]
        tensor = session.new_tensor(f"{hint}_added", (*(i.size for i in outer), index.size, *rest), kind)
        additions.append(Addition(tensor, axis, place, rows))
    return Scattered(unknown, outer, index, before, tuple(additions))


def define_scattered(
    session: Session, array: Scattered, terms: list[Expr], own: tuple[Index, ...], line: int | None
) -> None:
    """What each round adds to each of the places that it names.

    Args:
        terms: over the indices of the array.
    """
    for addition, term in zip(array.additions, terms, strict=True):
        rest = tuple(i for k, i in enumerate(own) if k not in addition.named)
        there = reduced_places(substitute(term, {own[k]: place for k, place in addition.named.items()}))
        if addition.tensor in mentioned(there):

            def in_round(at: Indices, there: Expr = there, rest: tuple[Index, ...] = rest) -> Expr:
                return substitute(there, dict(zip(rest, at, strict=True)))

            kind, hint = addition.tensor.kind, f"{addition.tensor.name}_next"
            named = session.define(tuple(i.size for i in rest), in_round, kind, None, line, hint=hint)
            there = Entry(named, (*session.rounds.get(named, ()), *places_of(rest)))
        indices = axis_indices(addition.tensor.shape)
        here: dict[Expr, Expr] = dict(zip((*array.outer, array.index, *rest), indices, strict=True))
        session.equations.append(Equation(addition.tensor, indices, reduced_places(substitute(there, here)),
                                          f"line {line}" if line else ""))  # fmt: skip


def define_state(session: Session, state: State, before: Content, after: Content, line: int | None) -> None:
    """state[s] = before where s = 0, else what round s - 1 leaves.

    Minus infinity before the loop is told apart where the state is read: 0 stands for it here.
    """
    indices = axis_indices(state.tensor.shape)
    count = len(state.outer)
    outer, step, own = indices[:count], indices[count], indices[count + 1 :]
    places = places_of(own)
    after = _in_other_words(session, state, _within_the_loop(session, after, places), own, line)
    around: dict[Expr, Expr] = dict(zip(state.outer, outer, strict=True))
    later = substitute(after(places), {**around, state.index: subtract(step, ONE)})
    start = ZERO if is_infinite(before(places)) else substitute(before(places), around)
    value = where(holds("==", step, ZERO), start, reduced_places(later))
    session.equations.append(Equation(state.tensor, indices, value, f"line {line}" if line else ""))


def _within_the_loop(session: Session, after: Content, places: Indices) -> Content:
    """What a round leaves, without the minus infinity of rounds that the loop does not have."""
    if not is_infinite(after(places)):
        return after
    return lambda indices: finite(after(indices), ONE, session.facts_here())


def define_growing(session: Session, array: Growing, written: Content, index: Index, line: int | None) -> None:
    """array[p] = what the round that writes p writes, where there is one, else what stood there before."""
    indices = axis_indices(array.tensor.shape)
    count, axis = len(array.outer), array.own_axis
    outer, own = indices[:count], indices[count:]
    here = own[axis]
    base = reduced(substitute(array.place, {index: ZERO}))
    solution = reduced(subtract(here, base) if array.rising else subtract(base, here))

    def in_round(at: Indices) -> Expr:
        return written(array.in_rows((*at[:axis], array.place, *at[axis:])))

    rest = (*own[:axis], *own[axis + 1 :])
    beside = places_of(rest)
    around: dict[Expr, Expr] = dict(zip(array.outer, outer, strict=True))
    value = in_round(beside)
    if array.tensor in mentioned(value):
        shape = tuple(i.size for i in rest)
        kind = array.tensor.kind
        hint = f"{array.tensor.name}_next"
        tensor = session.define(shape, lambda at: array.if_there(in_round(at)), kind, None, line, hint=hint)
        value = Entry(tensor, (*session.rounds.get(tensor, ()), *beside))
    there = reduced_places(substitute(value, {**around, index: solution}))
    before = array.before(array.in_rows(places_of(own)))
    whole = _where_written(solution, index.size, there, substitute(before, around))
    session.equations.append(Equation(array.tensor, indices, whole, f"line {line}" if line else ""))


def _where_written(solution: Expr, rounds: Expr, there: Expr, before: Expr) -> Expr:
    """What the round of this number has written, and where there is no such round what was there before."""
    first, last = holds("<=", ZERO, solution), holds("<", solution, rounds)
    if last is ONE and is_so("<=", MINUS_ONE, solution):
        return where(holds("==", solution, MINUS_ONE), before, there)
    if first is ONE and is_so("<=", solution, rounds):
        return where(holds("==", solution, rounds), before, there)
    return where(multiply(first, last), there, before)


def _in_other_words(
    session: Session, state: State, after: Content, own: tuple[Index, ...], line: int | None
) -> Content:
    """What a round leaves, as a tensor of its own where it reads the state itself."""
    places = places_of(own)
    if state.tensor not in mentioned(after(places)):
        return after
    shape = tuple(i.size for i in own)
    hint = re.sub(r"_before(_\d+)?$", "", state.tensor.name)
    tensor = session.define(shape, after, state.tensor.kind, None, line, hint=hint)
    if hint != "t":
        session.variables[tensor] = hint
    rounds = session.rounds.get(tensor, ())
    return lambda indices: Entry(tensor, (*rounds, *map(reduced, indices)))


def reduced_places(value: Expr) -> Expr:
    """An expression whose indices of entries are simplified."""

    def meaning(node: Expr) -> Expr | None:
        if isinstance(node, Entry) and node.indices:
            return Entry(node.tensor, tuple(reduced(reduced_places(i)) for i in node.indices))
        return None

    return rewrite(value, meaning)


__all__ = [
    "Counter",
    "Found",
    "Growing",
    "Scattered",
    "State",
    "define_growing",
    "define_scattered",
    "define_state",
    "new_growing",
    "new_scattered",
    "new_state",
    "reduced_places",
]
