"""Recurrences: equations that read each other, though no entry ever leads back to itself.

    state[s,n] = h0[n] where s = 0, else h[s-1,n]
    h[t,n]     = tanh(x[t,n] + state[t,n])

Each tensor of a recurrence has an axis of steps, and a clock along it: step s is at the time s + origin, or, where the
steps run backwards, -s + origin. A table of which each entry reads its neighbours along two axes has a clock along its
diagonals: the entry [i,j] is at the time i + j. One entry leads to another at a fixed distance in time: from state[s]
to h[s-1], from h[t] to state[t]. If every way from a tensor back to itself leads to an earlier time, the entries can be
computed one after another, whatever the length, so the equations have one solution, and what is shown of each entry
under the hypothesis that it holds of those computed before is true of all: induction on the order of computation.
`blocks` finds recurrences and makes sure of this.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from symbackprop.errors import IndexNotationError
from symbackprop.expression.build import (
    ZERO,
    Expr,
    Number,
    Tensor,
    add,
    entries_once,
    mentioned,
    negate,
)
from symbackprop.expression.equation import Equation
from symbackprop.expression.sizes import steady_gap


@dataclass(frozen=True)
class Clock:
    """How the steps of a tensor run.

    Args:
        axis: the one that holds the steps.
        sign: -1 if they run backwards.
        origin: an integer expression; step s is at the time sign * s + origin.
        across: another axis along which the entries of a step read each other, and its sign: a table of which each
            entry reads its neighbours is computed along its diagonals, and its places along both axes add up.
    """

    axis: int
    sign: int
    origin: Expr
    across: tuple[int, int] | None = None

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that the time depends on."""
        return (self.axis,) if self.across is None else (self.axis, self.across[0])

    @property
    def signs(self) -> tuple[int, ...]:
        """The signs of these."""
        return (self.sign,) if self.across is None else (self.sign, self.across[1])

    def time(self, places: tuple[Expr, ...]) -> Expr:
        """The time of an entry."""
        return add(*(places[a] if s > 0 else negate(places[a]) for a, s in zip(self.axes, self.signs, strict=True)),
                   self.origin)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Recurrence:
    """Equations that can only be computed together, step by step.

    Args:
        equations: in the order in which they are computed at one time.
        clocks: of each tensor.
        ranks: an entry at the time t comes at `pace` * t + rank: after all that it reads.
        pace: how far one time and the next are apart.
    """

    equations: tuple[Equation, ...]
    clocks: Mapping[Tensor, Clock]
    ranks: Mapping[Tensor, int]
    pace: int

    def slices(
        self, lengths: Mapping[Tensor, tuple[int, ...]], origins: Mapping[Tensor, int]
    ) -> Iterator[tuple[Equation, tuple[int, ...]]]:
        """The equations with the steps at which they are to be computed, in the order of computation.

        Args:
            lengths: how many places each tensor has along the axes of its clock.
            origins: the values of their clocks' origins.
        """

        def when(at: tuple[Equation, tuple[int, ...]]) -> int:
            tensor = at[0].tensor
            steps = zip(self.clocks[tensor].signs, at[1], strict=True)
            return self.pace * (sum(sign * step for sign, step in steps) + origins[tensor]) + self.ranks[tensor]

        every = ((e, at) for e in self.equations for at in itertools.product(*map(range, lengths[e.tensor])))
        yield from sorted(every, key=when)


Block = Equation | Recurrence


def blocks(equations: Iterable[Equation]) -> tuple[Block, ...]:
    """The equations in an order in which they can be computed, those that read each other as one recurrence.

    Raises:
        IndexNotationError: an entry may depend on itself.
    """
    return _blocks(tuple(equations))


def in_order(equations: Iterable[Equation]) -> tuple[Equation, ...]:
    """The same equations, so that each reads only earlier ones or its own recurrence.

    Raises:
        IndexNotationError: an entry may depend on itself.
    """
    return tuple(itertools.chain.from_iterable(equations_of(block) for block in blocks(equations)))


def equations_of(block: Block) -> tuple[Equation, ...]:
    """The equations of a block."""
    return block.equations if isinstance(block, Recurrence) else (block,)


def recurrent(equations: Iterable[Equation]) -> dict[Tensor, int]:
    """The tensors of recurrences, each with the axis that holds its steps.

    Raises:
        IndexNotationError: an entry may depend on itself.
    """
    return {tensor: clock.axis for tensor, clock in clocks_of(equations).items()}


def clocks_of(equations: Iterable[Equation]) -> dict[Tensor, Clock]:
    """The tensors of recurrences, each with its clock.

    Raises:
        IndexNotationError: an entry may depend on itself.
    """
    found = (block for block in blocks(equations) if isinstance(block, Recurrence))
    return {tensor: clock for block in found for tensor, clock in block.clocks.items()}


@lru_cache(maxsize=1024)  # searches try many programs once
def _blocks(equations: tuple[Equation, ...]) -> tuple[Block, ...]:
    position = {e.tensor: k for k, e in enumerate(equations)}
    reads = [sorted(position[t] for t in mentioned(e.value) if t in position) for e in equations]
    if all(not r or r[-1] < k for k, r in enumerate(reads)):
        return equations
    return tuple(
        equations[c[0]] if len(c) == 1 and c[0] not in reads[c[0]] else _recurrence([equations[k] for k in c])
        for c in _components(reads)
    )


def _components(reads: Sequence[Sequence[int]]) -> list[list[int]]:
    """Those that lead to each other, by way of what they read; after what they read themselves (Tarjan)."""
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    waiting: set[int] = set()
    found: list[list[int]] = []
    for root in range(len(reads)):
        if root in number:
            continue
        path = [(root, iter(reads[root]))]
        number[root] = low[root] = len(number)
        stack.append(root)
        waiting.add(root)
        while path:
            node, rest = path[-1]
            other = next((k for k in rest if k not in number or k in waiting), None)
            if other is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == number[node]:
                    at = stack.index(node)
                    found.append(sorted(stack[at:]))
                    waiting -= set(stack[at:])
                    del stack[at:]
            elif other in number:
                low[node] = min(low[node], number[other])
            else:
                number[other] = low[other] = len(number)
                stack.append(other)
                waiting.add(other)
                path.append((other, iter(reads[other])))
    return found


def _recurrence(equations: Sequence[Equation]) -> Recurrence:
    """These equations, which lead to each other, as a recurrence."""
    own = {e.tensor: e for e in equations}
    names = ", ".join(t.name for t in own)
    for equation in equations:
        if equation.tensor in mentioned(equation.value):
            raise IndexNotationError(f"the equation for {equation.tensor.name} reads {equation.tensor.name} itself")
    reads = [(e, read.tensor, read.indices) for e in equations for read in entries_once(e.value) if read.tensor in own]
    for clocks in itertools.chain(_clocks({}, own, reads, 1), _clocks({}, own, reads, 2)):
        far = [(e.tensor, t, _distance(e, clocks[e.tensor], clocks[t], places)) for e, t, places in reads]
        for sign in (1, -1):
            ranks = _ranks(own, [(a, b, sign * d) for a, b, d in far if d is not None], len(own) + 1)
            if ranks is not None:
                ordered = tuple(sorted(equations, key=lambda e, ranks=ranks: ranks[e.tensor]))  # type: ignore[misc]
                run = {
                    t: Clock(c.axis, sign * c.sign, c.origin if sign > 0 else negate(c.origin), _turned(c.across, sign))
                    for t, c in clocks.items()
                }
                return Recurrence(ordered, run, ranks, len(own) + 1)
    raise IndexNotationError(f"an entry of {names} may depend on itself")


def _turned(across: tuple[int, int] | None, sign: int) -> tuple[int, int] | None:
    return None if across is None else (across[0], sign * across[1])


Read = tuple[Equation, Tensor, tuple[Expr, ...]]


def _clocks(
    chosen: dict[Tensor, Clock], own: Mapping[Tensor, Equation], reads: Sequence[Read], axes: int
) -> Iterator[dict[Tensor, Clock]]:
    """Clocks for all tensors along so many axes, by which every entry that is read is at a fixed distance in time."""
    if len(chosen) == len(own):
        yield chosen
        return
    known = next(((e, t, p) for e, t, p in reads if e.tensor in chosen and t not in chosen), None)
    tensor = known[1] if known else next(t for t in own if t not in chosen)
    for clock in _candidates(len(tensor.shape), axes, first=not chosen):
        if known is not None:  # set so that this entry is read at the time at which it is needed
            equation, _, places = known
            gap = steady_gap(chosen[equation.tensor].time(equation.indices), clock.time(places))
            if gap is None:
                continue
            clock = replace(clock, origin=gap)
        wider = {**chosen, tensor: clock}
        touched = [(e, t, p) for e, t, p in reads if e.tensor in wider and t in wider and tensor in (e.tensor, t)]
        if all(_distance(e, wider[e.tensor], wider[t], p) is not None for e, t, p in touched):
            yield from _clocks(wider, own, reads, axes)


def _candidates(count: int, axes: int, first: bool) -> Iterator[Clock]:
    """Clocks along one axis or two of so many; of the first tensor the steps run up along the first of them."""
    signs = (1,) if first else (1, -1)
    if axes == 1:
        yield from (Clock(axis, sign, ZERO) for axis in range(count) for sign in signs)
        return
    for axis, across in itertools.combinations(range(count), 2):
        yield from (Clock(axis, sign, ZERO, (across, other)) for sign in signs for other in (1, -1))


def _distance(equation: Equation, own: Clock, other: Clock, places: tuple[Expr, ...]) -> int | None:
    """How much later an entry is that is read; None if that is no fixed number."""
    gap = steady_gap(other.time(places), own.time(equation.indices))
    return int(gap.value) if isinstance(gap, Number) and gap.value.denominator == 1 else None


def _ranks(own: Iterable[Tensor], reads: Sequence[tuple[Tensor, Tensor, int]], pace: int) -> dict[Tensor, int] | None:
    """For each tensor a rank, by which an entry at the time t comes, at pace * t + rank, after all that it reads.

    None if there are none: then some way leads back to the same step, or to a later one.
    """
    ranks = dict.fromkeys(own, 0)
    for _ in range(len(ranks) + 1):
        moved = False
        for tensor, read, distance in reads:
            least = ranks[read] + pace * distance + 1
            if ranks[tensor] < least:
                ranks[tensor], moved = least, True
        if not moved:
            return ranks
    return None


__all__ = ["Block", "Clock", "Recurrence", "blocks", "clocks_of", "equations_of", "in_order", "recurrent"]
