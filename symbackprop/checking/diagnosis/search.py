"""The search for edits with which a refuted backward pass agrees with the derivation, by numbers.

Lines are taken in an order in which the fault is likely to be met: those that can be cured at all, then slips made in
several lines, then lines whose values are what they should be.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from symbackprop.checking.budget import Budget
from symbackprop.checking.diagnosis.line_edits import (
    Edit,
    constants_everywhere,
    cost,
    double_edits,
    edits,
    everywhere,
    groups,
    moved,
    overwritten,
    without_carry,
    without_path,
    without_term,
    without_weights,
)
from symbackprop.checking.diagnosis.numeric_filter import Refuted, Response, Trials
from symbackprop.checking.diagnosis.vocabulary import Vocabulary
from symbackprop.expression.build import (
    MINUS_ONE,
    Apply,
    Entry,
    Expr,
    Multiply,
    Power,
    Tensor,
    entries_once,
    mentioned,
    multiply,
    nodes_once,
    power,
    rewrite,
)
from symbackprop.expression.program import PART, Equation

SYMMETRIC_PART = "symmetric part"  # the note of an equation that is nobody's line
Stage = Literal["likely", "plausible", "several", "unlikely", "double"]

Cost = tuple[float, bool]
NAMELESS = 2
SIGNS = ("sign", "sign of a term")
NO_EDIT: Cost = (math.inf, True)  # what any edit costs less than
FREE: Cost = (0, False)  # what none costs less than

FEW = 20  # lines, whose edits are soon tried


class EditSearch:
    """Lines that may be edited, and what is to come of it.

    Args:
        goals: each tensor (key) is to get the value of another.
        variables: what the user calls the tensors.
        trusted: tensors whose lines seem to be right: they have the values of the forward pass.
        derived: tensors that have the value of some derivative.
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
        derived: frozenset[Tensor] = frozenset(),
        derivation: bool = False,
    ) -> None:
        self.trials, self.lines, self.goals = trials, tuple(lines), goals
        self.trusted, self.derived = trusted, derived
        self.variables = variables
        self._sources = {bar: t for t, bar in case.gradient.cotangents.items()}
        self.before = {e.tensor: e.value for e in lines}
        self.vocabulary = Vocabulary(
            case.traced.forward,
            case.traced.upstream,
            lines,
            variables,
            trials.alike,
            derivation,
            case.formula is not None,
        )
        self._least = NO_EDIT
        self._answers: dict[tuple[Tensor, ...], Response | None] = {}
        self._names = {n for n in case.own_names if " " not in n}  # z of line 48 is the local variable of a helper
        self._wanted = {a: b for a, b in goals.items() if a is not b}
        every = groups(lines, self.vocabulary)
        every += [[line] for g in every if len(g) > 1 and not derivation for line in g if [line] not in every]
        reached = [
            (g, downstream(lines, defined(g)))
            for g in every
            if g[0].tensor.kind == "real" and g[0].note != SYMMETRIC_PART
        ]
        right = {a for a, b in goals.items() if a is b}
        # what is right depends on few of the lines that are wrong; a line of one round is soon looked through
        reached.sort(key=lambda pair: (len(pair[1] & right), len(pair[0])))
        self._suspects = [g for g, found in reached if self._wanted.keys() <= found]

    def agreeing(self, stage: Stage, budget: Budget) -> Iterator[tuple[Edit, Budget]]:
        """Edits with which numbers agree with every goal, the smallest change first, and what a proof of each may take.

        They are looked for until the time is up. Once there is one, only a smaller change is looked for; whoever asks
        for more gets larger ones too.
        """
        found = self._found(stage, budget, smaller=True)
        yield from _with_shares(found, budget)
        if found:
            known = {e.equations for e in found}
            larger = [e for e in self._found(stage, budget, smaller=False) if e.equations not in known]
            yield from _with_shares(larger, budget)

    def _found(self, stage: Stage, budget: Budget, smaller: bool) -> list[Edit]:
        """Those that are found in time, sorted.

        Args:
            smaller: whether those that change more than one that was found are passed over.
        """
        found: list[Edit] = []
        left = budget.part(f"{stage} edits", max(0, len(self.lines) - FEW))
        self._least = NO_EDIT
        for edit in self._candidates(stage):
            if left.spent or self._least == FREE:
                break
            if edit is not None and self.trials.agree(edit.equations, self.lines, self.goals):
                found.append(edit)
                left = left.part("a better edit")
                if smaller:
                    self._least = min(self._least, self._cost(edit))
        self._least = NO_EDIT
        return sorted(found, key=self._cost)

    def _cost(self, edit: Edit) -> Cost:
        return self._costs_in(edit.equations)(edit.kind, edit.new)

    def _costs_in(self, lines: Sequence[Equation]) -> Callable[[Hashable, Expr], Cost]:
        """How much an edit of these lines changes; of what a line computes on the way less can be said than of it.

        What the user has no name for is hardly what he meant to write, but for a sign.
        """
        known = {n for line in lines for n in nodes_once(self.before[line.tensor])}
        inside = lines[0].note.startswith(PART)

        def costs(kind: Hashable, new: Expr) -> Cost:
            changes = cost(kind, new, known, self._least[0])
            named = (
                kind in SIGNS
                or changes > self._least[0]
                or all(self.variables.get(t, t.name) in self._names for t in mentioned(new))
            )
            return changes + (0 if named else NAMELESS), inside

        return costs

    def changed(self, edit: Edit) -> Equation:
        """The first line of an edit that is not what it was."""
        return next((e for e in edit.equations if e.value is not self.before[e.tensor]), edit.equations[0])

    def responses(self) -> Iterator[tuple[list[Equation], Response]]:
        """Each line on which every goal depends, with how the goals answer to it, where they do so linearly."""
        for group in self._suspects:
            response = self._response(group)
            if response is not None:
                yield group, response

    def _response(self, group: Sequence[Equation]) -> Response | None:
        """How the goals answer to some lines; worked out once, though each stage asks."""
        tensors = tuple(e.tensor for e in group)
        if tensors not in self._answers:
            self._answers[tensors] = self.trials.response(group, self.lines, self._wanted)
        return self._answers[tensors]

    def _candidates(self, stage: Stage) -> Iterator[Edit | None]:
        if stage == "several":
            kept = {a for a, b in self.goals.items() if a is b}
            free = [e for e in self.lines if not downstream(self.lines, {e.tensor}) & kept]
            lacking = () if self.vocabulary.derivation else self._promising(self._suspects, without_term)
            ways = (constants_everywhere, everywhere, moved)
            first, *others = (way(free, self.vocabulary) for way in ways)
            return itertools.chain(first, lacking, *others)
        if stage == "double":
            return self._promising(self._suspects, double_edits)
        suspects = [g for g in self._suspects if self._rank(g) == stage]
        found = self._promising(suspects, self._smaller)
        if self.vocabulary.derivation:
            if stage != "likely":
                return found
            carried = without_carry(self.lines, self.vocabulary, self._sources)
            paths = self._promising(suspects, without_path, linear=False)  # the commonest slip, before all others
            return itertools.chain(carried, without_weights(self.lines, self.vocabulary), paths, found)
        assigned = self._promising(suspects, overwritten, linear=False)  # as nothing is in a derivation
        # what one path sends back is a derivative, though not the one that is wanted
        lacking = self._promising(suspects, without_term) if stage == "plausible" else ()
        return itertools.chain(assigned, lacking, found)

    def _rank(self, group: list[Equation]) -> Stage:
        if defined(group) <= self.trusted:
            return "unlikely"
        return "plausible" if defined(group) <= self.derived else "likely"

    def _smaller(self, group: Sequence[Equation], vocabulary: Vocabulary) -> Iterator[Edit | None]:
        """Edits of a line that change less than those that were found."""
        costs = self._costs_in(group)
        return edits(group, vocabulary, worth=lambda kind, new: costs(kind, new) < self._least)

    def _promising(
        self,
        suspects: Iterable[list[Equation]],
        edits_of: Callable[[Sequence[Equation], Vocabulary], Iterator[Edit | None]],
        linear: bool = True,
    ) -> Iterator[Edit | None]:
        """Edits of lines at which a cure is possible; None for one that is none at first sight.

        Args:
            linear: whether the goals answer to such an edit as to any other change of the line. What one step of a
                recurrence leaves, the next ones find: of such edits nothing is seen at first sight.
        """
        for group in suspects:
            response = self._response(group)
            if response is None:
                yield from edits_of(group, self.vocabulary)
            elif response.curable:
                for edit in edits_of(group, self.vocabulary):
                    tried = not linear or (edit and self.trials.promising(edit.equations, response))
                    yield edit if tried else None


def _with_shares(edits: Sequence[Edit], budget: Budget) -> Iterator[tuple[Edit, Budget]]:
    """Each with half of what is left while others wait: that numbers agree may be chance, and a proof may take long."""
    for k, edit in enumerate(edits, 1):
        yield edit, budget if k == len(edits) else budget.half()


def folded(case: Refuted, trials: Trials) -> tuple[Equation, ...]:
    """The lines of the backward pass with functions that the forward pass has a name for under that name.

    tanh(t[n,h]) becomes h[n,h] where the forward pass says so of a tensor with the value of t; the powers of a product
    are powers of its factors. The values stay what they were.
    """
    named: dict[Hashable, Tensor] = {}
    for line in case.traced.forward.equations:
        value = line.value
        if isinstance(value, Apply) and all(a is Entry(a.tensor, line.indices) for a in entries_once(value)):
            source = next(iter(mentioned(value)), None)
            if source is not None and value.arguments[0] is Entry(source, line.indices):
                named[value.function, trials.alike(source)] = line.tensor

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Apply) and isinstance(node.arguments[0], Entry):
            entry = node.arguments[0]
            tensor = named.get((node.function, trials.alike(entry.tensor)))
            return None if tensor is None else Entry(tensor, entry.indices)
        if isinstance(node, Power) and isinstance(node.base, Multiply) and node.exponent is MINUS_ONE:
            return multiply(*(power(rewrite(f, visit), -1) for f in node.base.factors))
        return None

    return tuple(Equation(e.tensor, e.indices, rewrite(e.value, visit), e.note) for e in case.own_lines)


def defined(group: Iterable[Equation]) -> set[Tensor]:
    """The tensors of some lines."""
    return {e.tensor for e in group}


def downstream(lines: Sequence[Equation], sources: set[Tensor]) -> set[Tensor]:
    """The sources and all that is computed from them."""
    found, before = set(sources), -1
    while len(found) > before:  # a step leads to the next, whose line may stand before its own
        before = len(found)
        found |= {line.tensor for line in lines if mentioned(line.value) & found}
    return found


__all__ = ["SYMMETRIC_PART", "EditSearch", "Stage", "defined", "downstream"]
