"""Recurrences: equations that read each other, though no entry ever leads back to itself.

    state[s,n] = h0[n] where s = 0, else h[s-1,n]
    h[t,n]     = tanh(x[t,n] + state[t,n])

Each tensor of a recurrence has an axis of steps, and one entry leads to another at a fixed distance along it: from
state[s] to h[s-1], from h[t] to state[t]. If every way from a tensor back to itself goes to an earlier step (or, where
the recurrence runs backwards, to a later one), the entries can be computed one after another, whatever the length, so
the equations have one solution, and what is shown of each entry under the hypothesis that it holds of those computed
before is true of all: induction on the order of computation. `blocks` finds recurrences and makes sure of this.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from symbackprop.errors import IndexNotationError
from symbackprop.expression.build import Expr, Number, Tensor, entries_once, mentioned, subtract
from symbackprop.expression.equation import Equation
from symbackprop.expression.sizes import simplify


@dataclass(frozen=True, eq=False)
class Recurrence:
    """Equations that can only be computed together, step by step.

    Args:
        equations: in the order in which they are computed where they stand at one rank.
        axes: for each tensor, which of its axes holds the steps.
        backwards: True if later steps are computed first.
        ranks: an entry at step s is computed at the time `pace` * s + rank, of a backward recurrence
            `pace` * -s + rank: after all that it reads.
        pace: how far the times of one step and the next are apart.
    """

    equations: tuple[Equation, ...]
    axes: Mapping[Tensor, int]
    backwards: bool
    ranks: Mapping[Tensor, int]
    pace: int

    def slices(self, lengths: Mapping[Tensor, int]) -> Iterator[tuple[Equation, int]]:
        """The equations with the steps at which they are to be computed, in the order of computation.

        Args:
            lengths: how many steps each tensor has.
        """
        sign = -1 if self.backwards else 1
        every = ((e, s) for e in self.equations for s in range(lengths[e.tensor]))
        yield from sorted(every, key=lambda at: sign * self.pace * at[1] + self.ranks[at[0].tensor])


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
    found = (block for block in blocks(equations) if isinstance(block, Recurrence))
    return {tensor: axis for block in found for tensor, axis in block.axes.items()}


@cache
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
    reads = [
        (e, read.tensor, read.indices) for e in equations for read in entries_once(e.value) if read.tensor in own
    ]
    for axes in _axes({}, own, reads):
        far = [(e.tensor, t, _distance(e, axes[e.tensor], places[axes[t]])) for e, t, places in reads]
        for sign in (1, -1):
            ranks = _ranks(own, [(a, b, sign * d) for a, b, d in far if d is not None], len(own) + 1)
            if ranks is not None:
                ordered = tuple(sorted(equations, key=lambda e, ranks=ranks: ranks[e.tensor]))  # type: ignore[misc]
                return Recurrence(ordered, axes, sign < 0, ranks, len(own) + 1)
    raise IndexNotationError(f"an entry of {names} may depend on itself")


def _axes(
    chosen: dict[Tensor, int], own: Mapping[Tensor, Equation], reads: Sequence[tuple[Equation, Tensor, tuple[Expr, ...]]]
) -> Iterator[dict[Tensor, int]]:
    """Choices of an axis for each tensor, along which every entry that is read is at a fixed distance."""
    if len(chosen) == len(own):
        yield chosen
        return
    known = [(e, t, p) for e, t, p in reads if e.tensor in chosen and t not in chosen]
    tensor = known[0][1] if known else next(t for t in own if t not in chosen)
    for axis in range(len(tensor.shape)):
        wider = {**chosen, tensor: axis}
        touched = [(e, t, p) for e, t, p in reads if e.tensor in wider and t in wider and tensor in (e.tensor, t)]
        if all(_distance(e, wider[e.tensor], p[wider[t]]) is not None for e, t, p in touched):
            yield from _axes(wider, own, reads)


def _distance(equation: Equation, axis: int, place: Expr) -> int | None:
    """How many steps further on an entry is read; None if that is no fixed number."""
    gap = simplify(subtract(place, equation.indices[axis]))
    return int(gap.value) if isinstance(gap, Number) and gap.value.denominator == 1 else None


def _ranks(own: Iterable[Tensor], reads: Sequence[tuple[Tensor, Tensor, int]], pace: int) -> dict[Tensor, int] | None:
    """For each tensor a rank: an entry at step s comes after all that it reads, at the time pace * s + rank.

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


__all__ = ["Block", "Recurrence", "blocks", "equations_of", "in_order", "recurrent"]
