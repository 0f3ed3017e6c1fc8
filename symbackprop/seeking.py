"""The search for edits with which a refuted backward pass agrees with the derivation, by numbers.

Lines are taken in an order in which the fault is likely to be met: those that can be cured at all, then slips made in
several lines, then lines whose values are what they should be. This module must not know how a cure is proved or said.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from symbackprop.edits import Edit, edits, everywhere, groups, moved
from symbackprop.expression import Tensor
from symbackprop.program import Equation
from symbackprop.screening import Refuted, Response, Trials
from symbackprop.vectors import mentioned
from symbackprop.vocabulary import Vocabulary

Stage = Literal["likely", "several", "unlikely"]


class Search:
    """Lines that may be edited, and what is to come of it.

    Args:
        goals: each tensor (key) is to get the value of another.
        variables: what the user calls the tensors.
        trusted: tensors whose lines seem to be right.
        derivation: whether they are the lines of the derived cotangents, in which a slip is looked for, not a cure.
    """

    def __init__(
        self,
        case: Refuted,
        trials: Trials,
        lines: Sequence[Equation],
        goals: Mapping[Tensor, Tensor],
        variables: dict[Tensor, str],
        trusted: frozenset[Tensor] = frozenset(),
        derivation: bool = False,
    ) -> None:
        self.trials, self.lines, self.goals, self.trusted = trials, tuple(lines), goals, trusted
        self.variables = variables
        self.before = {e.tensor: e.value for e in lines}
        self.vocabulary = Vocabulary(
            case.traced.forward, case.traced.upstream, lines, variables, trials.alike, derivation
        )
        self._wanted = {a: b for a, b in goals.items() if a is not b}
        self._suspects = [
            g
            for g in groups(lines, self.vocabulary)
            if g[0].tensor.kind == "real" and self._wanted.keys() <= downstream(lines, defined(g))
        ]

    def agreeing(self, stage: Stage, end: float) -> Iterator[Edit]:
        """Edits with which numbers agree with every goal, until the time is up."""
        for edit in self._candidates(stage):
            if time.perf_counter() > end:
                return
            if edit is not None and self.trials.agree(edit.equations, self.lines, self.goals):
                yield edit

    def changed(self, edit: Edit) -> Equation:
        """The first line of an edit that is not what it was."""
        return next((e for e in edit.equations if e.value is not self.before[e.tensor]), edit.equations[0])

    def responses(self) -> Iterator[tuple[list[Equation], Response]]:
        """Each line on which every goal depends, with how the goals answer to it, where they do so linearly."""
        for group in self._suspects:
            response = self.trials.response(group, self.lines, self._wanted)
            if response is not None:
                yield group, response

    def _candidates(self, stage: Stage) -> Iterator[Edit | None]:
        if stage == "several":
            kept = {a for a, b in self.goals.items() if a is b}
            free = [e for e in self.lines if not downstream(self.lines, {e.tensor}) & kept]
            return itertools.chain(everywhere(free, self.vocabulary), moved(free, self.vocabulary))
        unlikely = stage == "unlikely"
        return self._promising(g for g in self._suspects if (defined(g) <= self.trusted) == unlikely)

    def _promising(self, suspects: Iterable[list[Equation]]) -> Iterator[Edit | None]:
        """Edits of lines at which a cure is possible; None for one that is none at first sight."""
        for group in suspects:
            response = self.trials.response(group, self.lines, self._wanted)
            if response is None:
                yield from edits(group, self.vocabulary)
            elif response.curable:
                for edit in edits(group, self.vocabulary):
                    yield edit if self.trials.promising(edit.equations, response) else None


def defined(group: Iterable[Equation]) -> set[Tensor]:
    """The tensors of some lines."""
    return {e.tensor for e in group}


def downstream(lines: Sequence[Equation], sources: set[Tensor]) -> set[Tensor]:
    """The sources and all that is computed from them."""
    found = set(sources)
    for line in lines:
        if mentioned(line.value) & found:
            found.add(line.tensor)
    return found


__all__ = ["Search", "Stage", "defined", "downstream"]
