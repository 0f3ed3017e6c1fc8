"""A recurrence as a loop: what stands before it, what each of its rounds computes, and where each step is stored.

    h_before[t,n] = h0[n] where t = 0, else h[t-1,n]        h_before[0,n]   = h0[n]
    u[t,n]        = x[t,n] + h_before[t,n]             ->   for t in 0 .. T-1:
    h[t,n]        = tanh(u[t,n])                                u[t,n]            = x[t,n] + h_before[t,n]
                                                                h_before[t+1,n]   = tanh(u[t,n])

First steps that read nothing of the recurrence are computed before the loop, and what they ask about the step is
decided. What is a copy of another tensor's step is stored once, in an array that may have a step more than the tensor:
here h[t] is h_before[t+1]. Main name: `loop_of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Entry,
    Expr,
    Index,
    Number,
    Tensor,
    add,
    entries_once,
    fresh,
    mentioned,
    negate,
    number,
    rewrite,
    substitute,
    subtract,
)
from symbackprop.expression.equation import Equation
from symbackprop.expression.recurrence import Recurrence
from symbackprop.expression.sizes import Facts, decided, simplify

MOST_STARTS = 3  # steps before the loop: a filter of order three has so many


@dataclass(frozen=True)
class Assignment:
    """One equation in the loop: `tensor` is the array of what it gives in each round, `target` is where that is stored.

    Args:
        tensor: its axis of steps has the size of the loop; step k is that of the round k.
        target: an entry of the storage, at the round k.
        beyond: the first or last rounds may be more than the equation has steps; what they give is not used.
        equation: the one that it comes from.
    """

    tensor: Tensor
    indices: tuple[Index, ...]
    target: Entry
    value: Expr
    beyond: bool
    equation: Equation


@dataclass(frozen=True)
class LoopPlan:
    """A recurrence as a loop over `index`.

    Args:
        starts: entries of storages before the loop, with their values and equations.
        body: in the order of computation.
        places: for tensors that have no array of their own, where in a storage they lie.
        axes: of each storage the axis of steps.
    """

    index: Index
    backwards: bool
    starts: tuple[tuple[Entry, Expr, Equation], ...]
    body: tuple[Assignment, ...]
    places: tuple[tuple[Entry, Entry], ...]
    axes: Mapping[Tensor, int]


def loop_of(block: Recurrence, facts: Facts, taken: Iterable[str]) -> LoopPlan:
    """The loop that computes a recurrence.

    Args:
        taken: names that no storage may have.

    Raises:
        UnsupportedError: its tensors begin or end at times that are no fixed number apart.
    """
    steps = [_Steps(e, block, facts) for e in block.equations]
    found = _Planner(steps, facts, set(taken), together=True).plan()
    if found is None:
        found = _Planner(steps, facts, set(taken), together=False).plan()
    if found is None:  # what is computed before the loop would be needed in it too early
        for s in steps:
            s.starts = []
        found = _Planner(steps, facts, set(taken), together=False).plan()
    if found is None:  # what is needed of the next step of a tensor is computed a round earlier
        later = {t: rank // block.pace for t, rank in block.ranks.items()}
        found = _Planner(steps, facts, set(taken), together=False, later=later).plan()
    if found is None:
        names = ", ".join(e.tensor.name for e in block.equations)
        raise UnsupportedError(f"no code for a recurrence that reads its steps at places of no fixed distance: {names}")
    return found


class _Steps:
    """When the steps of one equation come, and how many of them need nothing of the recurrence."""

    def __init__(self, equation: Equation, block: Recurrence, facts: Facts) -> None:
        clock = block.clocks[equation.tensor]
        if clock.across is not None:
            raise UnsupportedError(f"no code for a recurrence along two axes: {equation.tensor.name}")
        self.equation, self.axis, self.sign = equation, clock.axis, clock.sign
        self.step, self.origin = equation.indices[clock.axis], clock.origin
        self.length = self.step.size
        last = subtract(self.length, ONE)
        self.first_step = ZERO if clock.sign > 0 else last
        self.start, self.end = (
            simplify(clock.time(substituted), facts)
            for place in ((ZERO, last) if clock.sign > 0 else (last, ZERO))
            for substituted in [tuple(place if i is self.step else i for i in equation.indices)]
        )
        self.starts: list[tuple[Expr, Expr]] = []
        own = set(block.clocks)
        for count in range(MOST_STARTS + 1):
            place = simplify(add(self.first_step, number(count * clock.sign)), facts)
            value = decided(substitute(equation.value, {self.step: place}), facts)
            if mentioned(value) & own:
                break
            self.starts.append((place, value))
        else:
            self.starts = []


class _Planner:
    """The loop for a choice of the steps before it.

    Args:
        together: all tensors begin in the first round; else at the times that the clocks of the recurrence say.
        later: by how many rounds tensors are later than these times.
    """

    def __init__(
        self, steps: list[_Steps], facts: Facts, taken: set[str], *, together: bool,
        later: Mapping[Tensor, int] | None = None,
    ) -> None:  # fmt: skip
        self.steps = {s.equation.tensor: s for s in steps}
        self.facts, self.taken = facts, taken
        first = self._extreme([s.start for s in steps], largest=False) if not together else None
        # the times of the first round
        late = later or dict.fromkeys(self.steps, 0)
        self.zero = {t: add(first or s.start, number(len(s.starts) - late[t])) for t, s in self.steps.items()}
        rounds = [subtract(s.end, self.zero[s.equation.tensor]) for s in steps]
        count = simplify(add(self._extreme(rounds, largest=True), ONE), facts)
        self.backwards = steps[0].sign < 0
        self.index = fresh(steps[0].step.name, count)
        self.round: Expr = subtract(subtract(count, ONE), self.index) if self.backwards else self.index
        self.values: dict[Tensor, Expr] = {}
        self.wholes: dict[Tensor, Tensor] = {}
        self.copies: set[Tensor] = set()
        self.places = {t: self._place(s) for t, s in self.steps.items()}
        self.storages = {t: self._storage(s) for t, s in self.steps.items()}

    def _extreme(self, times: list[Expr], largest: bool) -> Expr:
        best = times[0]
        for time in times[1:]:
            gap = self._number(subtract(time, best))
            best = time if (gap > 0) == largest and gap else best
        return best

    def _number(self, expr: Expr) -> int:
        gap = simplify(expr, self.facts)
        if not isinstance(gap, Number) or gap.value.denominator != 1:
            names = ", ".join(t.name for t in self.steps)
            raise UnsupportedError(
                f"no code for a recurrence whose tensors have steps of different ranges: {names}",
                help="let the loop fill each array from its first step to its last",
            )
        return int(gap.value)

    def _place(self, s: _Steps) -> Expr:
        """The step that is computed in the round k."""
        time = add(self.round, self.zero[s.equation.tensor])
        gone = subtract(time, s.origin)
        return simplify(gone if s.sign > 0 else negate(gone), self.facts)

    def _storage(self, s: _Steps) -> tuple[Tensor, int, int]:
        """(the array with a place for each round, how far its places are moved, how many there are beyond the last)."""
        tensor, place = s.equation.tensor, self.places[s.equation.tensor]
        first, last = (substitute(place, {self.index: k}) for k in (ZERO, subtract(self.index.size, ONE)))
        rising = self._number(subtract(substitute(place, {self.index: ONE}), first)) > 0
        low, high = (first, last) if rising else (last, first)
        front = max(0, -self._number(low))
        beyond = max(0, self._number(subtract(high, subtract(s.length, ONE))))
        if not front and not beyond:
            return tensor, 0, 0
        shape = tuple(
            simplify(add(size, number(front + beyond)), self.facts) if a == s.axis else size
            for a, size in enumerate(tensor.shape)
        )
        return Tensor(self._unused(f"{tensor.name}_all"), shape, tensor.kind), front, beyond

    def _unused(self, wanted: str) -> str:
        while wanted in self.taken:
            wanted += "_"
        self.taken.add(wanted)
        return wanted

    def stored(self, entry: Entry) -> Entry:
        """The entry of a storage that holds an entry of the recurrence."""
        storage, front, _ = self.storages[entry.tensor]
        if storage is entry.tensor:
            return entry
        axis = self.steps[entry.tensor].axis
        places = [add(p, number(front)) if a == axis else p for a, p in enumerate(entry.indices)]
        return Entry(storage, tuple(simplify(p, self.facts) for p in places))

    def plan(self) -> LoopPlan | None:
        """The loop; None if no order of its body computes everything before it is read."""
        for tensor, s in self.steps.items():
            self.values[tensor] = decided(substitute(s.equation.value, {s.step: self.places[tensor]}), self.facts)
        order = self._order()
        if order is None:
            return None
        merged = self._merge_copies()
        self.copies = set(merged.values())
        body = tuple(self._assignment(t, merged) for t in order if t not in merged.values())
        starts = tuple(
            (self.stored(self._entry(s, place)), value, s.equation)
            for s in self.steps.values()
            for place, value in s.starts
        )
        whole = [(s.equation.left, self.stored(s.equation.left)) for s in self.steps.values()]
        whole += [(Entry(a.tensor, a.indices), a.target) for a in body]
        places = {left.tensor: (left, right) for left, right in whole if left.tensor is not right.tensor}
        axes = {self.storages[t][0]: s.axis for t, s in self.steps.items()}
        return LoopPlan(self.index, self.backwards, starts, body, tuple(places.values()), axes)

    def _entry(self, s: _Steps, place: Expr) -> Entry:
        tensor, indices = s.equation.tensor, s.equation.indices
        return Entry(tensor, (*indices[: s.axis], place, *indices[s.axis + 1 :]))

    def _lag(self, read: Entry) -> int | None:
        """How many rounds ago an entry was computed; None if that is no fixed number."""
        s = self.steps[read.tensor]
        place = read.indices[s.axis]
        gap = simplify(subtract(self.places[read.tensor], place), self.facts)
        if not isinstance(gap, Number):
            return None
        rising = s.sign > 0
        return int(gap.value) if rising else -int(gap.value)

    def _order(self) -> list[Tensor] | None:
        """The tensors, each after those that it reads in the same round."""
        now: dict[Tensor, set[Tensor]] = {t: set() for t in self.steps}
        for tensor, value in self.values.items():
            for read in entries_once(value):
                if read.tensor in self.steps:
                    lag = self._lag(read)
                    if lag is None or lag < 0:
                        return None
                    if not lag:
                        now[tensor].add(read.tensor)
        try:
            return list(TopologicalSorter(now).static_order())
        except CycleError:
            return None

    def _merge_copies(self) -> dict[Tensor, Tensor]:
        """By tensor the copy of its step in whose storage it lies, as h lies in h_before."""
        merged: dict[Tensor, Tensor] = {}
        for copy, value in self.values.items():
            s = self.steps[copy]
            if not isinstance(value, Entry) or value.tensor not in self.steps or value.tensor in merged:
                continue
            other = self.steps[value.tensor]
            same = s.axis == other.axis and self._entry(s, value.indices[s.axis]).indices == value.indices
            known = other.starts or s.sign != other.sign or copy.kind != value.tensor.kind
            if not same or known or self._lag(value) != 0 or copy in merged:
                continue
            storage, front, beyond = self.storages[copy]
            gap = simplify(subtract(self.places[copy], self.places[value.tensor]), self.facts)
            if isinstance(gap, Number) and int(gap.value) + front >= 0:
                merged[value.tensor] = copy
                self.storages[value.tensor] = (storage, front + int(gap.value), beyond)
        return merged

    def _assignment(self, tensor: Tensor, merged: Mapping[Tensor, Tensor]) -> Assignment:
        s = self.steps[tensor]
        indices = (*s.equation.indices[: s.axis], self.index, *s.equation.indices[s.axis + 1 :])
        value = rewrite(self.values[tensor], self._read)
        _, front, after = self.storages[tensor]
        beyond = max(front, after) > 0 and tensor not in merged
        return Assignment(self._whole(tensor), indices, self._target(tensor), value, beyond, s.equation)

    def _target(self, tensor: Tensor) -> Entry:
        """Where a round stores what it computes."""
        return self.stored(self._entry(self.steps[tensor], self.places[tensor]))

    def _whole(self, tensor: Tensor) -> Tensor:
        """The array of what the rounds compute of a tensor."""
        if tensor not in self.wholes:
            s, target = self.steps[tensor], self._target(tensor)
            found = tensor
            if self.places[tensor] is not self.index or s.length is not self.index.size:
                size = (self.index.size,)
                shape = (*tensor.shape[: s.axis], *size, *tensor.shape[s.axis + 1 :])
                found = Tensor(self._unused(f"{tensor.name}_next"), shape, tensor.kind)
            if target.indices[s.axis] is self.index and target.tensor.shape[s.axis] is self.index.size:
                found = target.tensor
            self.wholes[tensor] = found
        return self.wholes[tensor]

    def _read(self, node: Expr) -> Expr | None:
        """An entry of the recurrence as this round has computed it, or where an earlier round has stored it."""
        if not isinstance(node, Entry) or node.tensor not in self.steps:
            return None
        if self._lag(node) or node.tensor in self.copies:
            return self.stored(node)
        axis = self.steps[node.tensor].axis
        return Entry(self._whole(node.tensor), (*node.indices[:axis], self.index, *node.indices[axis + 1 :]))
