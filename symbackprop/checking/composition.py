"""Proofs of whole models: a chain of small equalities between the user's tensors and the derived ones.

Both programs are walked in the order of their equations. Numbers propose which of the user's tensors is which derived
one; the normal form proves it with all tensors as atoms, putting in definitions one level at a time, only where the
difference does not vanish without. What is proved stands for one tensor from then on. So each proof is as long as one
layer, and their number grows as the program does.

Equivalence checkers of circuits work like this, at cut points (Kuehlmann and Krohm, "Equivalence checking using cuts
and heaps", 1997).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from symbackprop.checking.budget import SHARES
from symbackprop.checking.lookalikes import Likeness, Lookalikes
from symbackprop.checking.question import Question
from symbackprop.checking.verdict import Lemma
from symbackprop.errors import BudgetError, UnsupportedError
from symbackprop.expression.build import ZERO as NOTHING
from symbackprop.expression.build import (
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Tensor,
    rewrite,
    substitute,
    tensors_in,
)
from symbackprop.expression.program import Equation, Program, defined_once
from symbackprop.expression.recurrence import Clock, Recurrence, blocks, equations_of
from symbackprop.expression.sizes import Facts
from symbackprop.normal_form.cut_points import CutPoints, tensors_in_term, tensors_of
from symbackprop.normal_form.data import ONE, Poly, as_constant, combine, constant, subtract
from symbackprop.normal_form.modulo_equations import has_place
from symbackprop.normal_form.rules_extrema import by_position
from symbackprop.normal_form.rules_indices import at_edges
from symbackprop.normal_form.rules_merged_axes import in_digits
from symbackprop.normal_form.to_expression import expression
from symbackprop.normal_form.work_time import worked

MOST_OPENED, MOST_TERMS = 24, 300
MOST_LACKING = 3  # terms of what a line lacks: more explain nothing
MOST_ENTRIES = 256  # of short axes, compared one by one
LONGEST_WRITTEN_OUT = 64


class Composition:
    """The walk over both programs.

    Args:
        derived: the forward equations and the derived cotangents.
        claimed: the user's backward pass.
        deadline: the work by which it must have ended.
        alike: the numbers of all tensors, where they are known already.
    """

    def __init__(
        self,
        question: Question,
        derived: Program,
        claimed: Program,
        facts: Facts,
        deadline: float,
        alike: Lookalikes | None = None,
    ) -> None:
        self.derived, self.claimed, self.deadline = derived, claimed, deadline
        forward = {e.tensor for e in question.forward.equations}
        self._adjoints = {e.tensor for e in derived.equations if e.tensor not in forward}
        self._aliens: set[Tensor] = set()
        self._depth: dict[Tensor, int] = {}
        self._reads: dict[Tensor, frozenset[Tensor]] = {}
        self._replaced: dict[Tensor, Equation] = {}
        self.lemmas: list[Lemma] = []
        self._recurrent = False
        self._clocks: dict[Tensor, tuple[Recurrence, Clock]] = {}
        equations = tuple(defined_once((*derived.equations, *claimed.equations)).values())
        longest = max((_length(n) for e in equations for n in e.tensor.shape), default=0)
        self.cuts = CutPoints(facts, derived.known, expanded=min(longest, LONGEST_WRITTEN_OUT))
        self._alike = Lookalikes(question, equations) if alike is None else alike.afresh()

    def walk(self) -> None:
        """Find the user's tensors among the derived ones, as far as the time goes."""
        own = {e.tensor for e in self.derived.equations}
        for block in blocks(self.derived.equations):
            if isinstance(block, Recurrence):
                self._take_together(block)
                for equation in block.equations:
                    self._alike.add(equation.tensor)
            else:
                self._take(block)
        for block in blocks(e for e in self.claimed.equations if e.tensor not in own):
            self._aliens |= {e.tensor for e in equations_of(block)}
            if isinstance(block, Recurrence):
                self._by_induction(block)
            else:
                self._take(block)

    def read(self, expr: Expr) -> Poly:
        """The normal form of an expression of tensors of either side."""
        return self.cuts.normal(self._rewritten(expr))

    def proves(self, claimed: Tensor, derived: Tensor | None) -> bool:
        """True if a claimed gradient is the derived one, or 0 where there is none."""
        places = self.cuts.places(claimed)
        left = self._rewritten(Entry(claimed, places))
        right = NOTHING if derived is None else self._rewritten(Entry(derived, places))
        if left is right:
            return True
        try:
            return self._meet(self.cuts.normal(left), right, None) is not None
        except (BudgetError, UnsupportedError):
            return False

    def lack(self, claimed: Equation, derived: Tensor) -> Expr | None:
        """What must be added to a line of the user's so that it is a derivative, in tensors that the user has.

        None if nothing short was found.
        """
        tensor, places = claimed.tensor, self.cuts.places(claimed.tensor)
        names: dict[Index, Expr] = dict(zip(places, claimed.indices, strict=True))
        own = self._own_tensors()
        self._restart()
        best: Poly | None = None
        try:
            right = self.cuts.normal(self._rewritten(Entry(derived, places)))
            gap = subtract(right, self.cuts.normal(self._rewritten(Entry(tensor, places))))
            for _ in range(MOST_OPENED):
                held = frozenset().union(*(tensors_in_term(m) for m, _ in gap.terms))
                known = not held & self._aliens and not (held & self._adjoints) - own.keys()
                if known and (best is None or len(gap.terms) < len(best.terms)):
                    best = gap
                step = self._step(gap, frozenset()) if 1 < len(gap.terms) <= MOST_TERMS else None
                if step is None:
                    break
                gap = step[1]
        except (BudgetError, UnsupportedError):
            pass
        if best is None or len(best.terms) > MOST_LACKING:
            return None

        def at(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor in own:
                return Entry(own[node.tensor], node.indices)
            return None

        return rewrite(expression(self.cuts, best, names), at)

    def _own_tensors(self) -> dict[Tensor, Tensor]:
        """The derived tensors that the user has, each with the first of the user's that it is."""
        found: dict[Tensor, Tensor] = {}
        for lemma in self.lemmas:
            value = lemma.equation.value
            if isinstance(value, Entry) and value.indices == lemma.equation.indices:
                found.setdefault(value.tensor, lemma.equation.tensor)
        return found

    def _rewritten(self, expr: Expr) -> Expr:
        """With each tensor that was found to be another written as that one."""

        def at(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor in self._replaced:
                return self._rewritten(self._replaced[node.tensor].at(node.indices))
            return None

        return rewrite(expr, at)

    def _take(self, equation: Equation) -> None:
        tensor, value = equation.tensor, self._rewritten(equation.value)
        own = Equation(tensor, equation.indices, value, equation.note)
        if tensor.kind != "real" or _is_view(value):
            self._replaced[tensor] = own
            return
        self._reads[tensor] = frozenset(tensors_in(value))
        self._depth[tensor] = 1 + max((self._depth.get(t, 0) for t in self._reads[tensor]), default=0)
        self.cuts.depends(tensor, self._reads[tensor])
        if worked() > self.deadline:
            return
        self._restart()
        try:
            self.cuts.define(tensor, own.indices, value)
        except (BudgetError, UnsupportedError):
            return
        if not self._found(own):
            self._alike.add(tensor)

    # --- recurrences

    def _take_together(self, block: Recurrence) -> None:
        """Define the tensors of a recurrence, each with those that were found to be others written as these."""
        self._recurrent, equations = True, block.equations
        values = {e.tensor: self._rewritten(e.value) for e in equations}
        outside = frozenset().union(*(tensors_in(v) for v in values.values()))
        self.cuts.depend(values, outside)
        depth = 1 + max((self._depth.get(t, 0) for t in outside - values.keys()), default=0)
        for equation in equations:
            tensor = equation.tensor
            self._reads[tensor] = frozenset(tensors_in(values[tensor]))
            self._depth[tensor] = depth
            self._clocks[tensor] = block, block.clocks[tensor]
            if worked() > self.deadline:
                return
            self._restart()
            try:
                self.cuts.define(tensor, equation.indices, values[tensor])
            except (BudgetError, UnsupportedError):
                continue

    def _by_induction(self, block: Recurrence) -> None:
        """Find the tensors of a recurrence of the user's.

        Numbers propose what they are; that is supposed of all entries that are computed before an entry, and shown of
        that entry. What cannot be shown is supposed no longer, until all that is supposed has been shown.
        """
        equations = block.equations
        proposed = {e.tensor: self._alike.of(e.tensor) for e in equations}
        by_tensor = {e.tensor: e for e in equations}
        opened: dict[Tensor, list[Tensor]] = {}
        while worked() < self.deadline:
            supposed = {t: by_tensor[t] for t in by_tensor if proposed[t]}
            for tensor, own in supposed.items():
                value = proposed[tensor][0].at(own.indices)
                self._replaced[tensor] = Equation(tensor, own.indices, value, own.note)
            self._take_together(block)
            opened = {}
            for tensor, own in supposed.items():
                steps = self._shown(own, proposed[tensor][0]) if self.cuts.is_defined(tensor) else None
                if steps is None:
                    break
                opened[tensor] = steps
            if len(opened) == len(supposed):
                break
            failed = next(t for t in supposed if t not in opened)
            proposed[failed] = proposed[failed][1:]
            for tensor in supposed:
                self._replaced.pop(tensor, None)
        for tensor in by_tensor:
            if tensor in opened and tensor in self._replaced:
                beside = tuple(t for t in opened if t is not tensor)
                self.lemmas.append(Lemma(self._replaced[tensor], tuple(dict.fromkeys(opened[tensor])), beside))
            else:
                self._replaced.pop(tensor, None)
                self._alike.add(tensor)

    def _shown(self, own: Equation, likeness: Likeness) -> list[Tensor] | None:
        """What was opened to show what an entry is, given that those before are what is supposed of them."""
        places: dict[Expr, Expr] = dict(zip(own.indices, self.cuts.places(own.tensor), strict=True))
        left, right = self.cuts.value(own.tensor), substitute(likeness.at(own.indices), places)
        steps = self._meet(left, right, None, likeness.other)  # one step on either side
        return self._meet(left, right, None) if steps is None else steps

    def _found(self, own: Equation) -> bool:
        """Whether the tensor was proved to be a known one."""
        places: dict[Expr, Expr] = dict(zip(own.indices, self.cuts.places(own.tensor), strict=True))
        for likeness in self._alike.of(own.tensor):
            other = likeness.at(own.indices)
            opened = self._meet(self.cuts.value(own.tensor), substitute(other, places), own.tensor)
            if opened is not None:
                self._replaced[own.tensor] = Equation(own.tensor, own.indices, other, own.note)
                if own.tensor in self._aliens:
                    self.lemmas.append(Lemma(self._replaced[own.tensor], tuple(dict.fromkeys(opened))))
                return True
            if worked() > self.deadline:
                break
        return False

    def _restart(self) -> None:
        self.cuts.restart_clock(max(0.01, min(SHARES["lemma"].seconds, self.deadline - worked())))

    def _meet(self, left: Poly, right: Expr, own: Tensor | None, first: Tensor | None = None) -> list[Tensor] | None:
        """The tensors that were opened until the two sides met; None if they did not.

        Args:
            own: the tensor that is being looked for, which is not opened on the other side.
            first: a tensor of the right side that is opened before anything is looked at.
        """
        opened: list[Tensor] = []
        self._restart()
        try:
            there = self.cuts.normal(right)
            if first is not None:
                if not self.cuts.is_defined(first):
                    return None
                there = self.cuts.put_in(there, first)
                opened.append(first)
            if self._recurrent:
                return self._meet_in_time(left, there, opened)
            gap = subtract(left, there)
            while len(opened) <= MOST_OPENED and len(gap.terms) <= MOST_TERMS:
                if self._vanishes(gap):
                    return opened
                step = self._step(gap, frozenset() if own is None else frozenset([own]))
                if step is None:
                    return None
                opened.append(step[0])
                gap = step[1]
        except (BudgetError, UnsupportedError):
            pass
        return None

    def _meet_in_time(self, left: Poly, right: Poly, opened: list[Tensor]) -> list[Tensor] | None:
        """As `_meet`, beside recurrences: of several entries of a tensor those are opened that are computed last."""
        while len(opened) <= MOST_OPENED:
            gap = at_edges(self.cuts, subtract(left, right))
            if self._vanishes(gap):
                return opened
            tensor = self._next(left, right, gap) if len(gap.terms) <= MOST_TERMS else None
            if tensor is None:
                return None
            times = self._times(gap, tensor)
            left, right = self._opened(left, tensor, times), self._opened(right, tensor, times)
            opened.append(tensor)
        return None

    def _next(self, left: Poly, right: Poly, gap: Poly) -> Tensor | None:
        """The tensor to open next.

        The deepest of the user's tensors and of the derivatives that stand on one side alone; else one that makes the
        difference shorter; else a derivative that stands in some terms only, where the sides speak of other steps; else
        one that leads to no other steps; else the deepest of those that stand on one side or in some terms only.
        """
        one_sided = self._openable(tensors_of(left) ^ tensors_of(right))
        held = [tensors_in_term(m) for m, _ in gap.terms]
        uneven = self._openable(frozenset.union(*held) - frozenset.intersection(*held))
        strange, others = (
            [t for t in some if t in self._aliens or t in self._adjoints] for some in (one_sided, uneven)
        )
        if strange:
            return self._latest([*strange, *(t for t in others if t not in strange)], gap)
        best: tuple[int, Tensor] | None = None
        for tensor in self._openable(tensors_of(gap)):
            shorter = at_edges(self.cuts, self._opened(gap, tensor, self._times(gap, tensor)))
            if len(shorter.terms) < (best[0] if best else len(gap.terms)):
                best = len(shorter.terms), tensor
        if best is not None:
            return best[1]
        ending = [t for t in self._openable(tensors_of(gap)) if t not in self._clocks]
        rest = others or ending or self._openable((tensors_of(left) ^ tensors_of(right)) | frozenset(uneven))
        return self._latest(rest, gap) if rest else None

    def _vanishes(self, gap: Poly) -> bool:
        """True if the difference is 0, as it stands or entry by entry along short or merged axes."""
        cuts = self.cuts
        if cuts.vanishes(gap) or (has_place(gap) and cuts.vanishes(by_position(cuts, gap))):
            return True
        axes = []
        for index in gap.free:
            written = range(cuts.written_out(index.size))
            values = [constant(k) for k in written] or in_digits(cuts, index, (gap,))
            axes += [[(index, v) for v in values]] if values else []
        if not axes or math.prod(map(len, axes)) > MOST_ENTRIES:
            return False
        return all(cuts.vanishes(cuts.substitute(gap, dict(at))) for at in itertools.product(*axes))

    def _step(self, gap: Poly, own: frozenset[Tensor]) -> tuple[Tensor, Poly] | None:
        """The tensor to open next, and the difference with it opened.

        What stands in every term may cancel as it is; so first those that stand in some terms only, or read such ones:
        the user's that were not found, then cotangents, the deepest first. Before a tensor of the forward pass is
        opened, each tensor is tried on its own: one that makes the difference shorter is the one.
        """
        held = [tensors_in_term(m) for m, _ in gap.terms]
        every, some = frozenset.intersection(*held), frozenset.union(*held)
        uneven = some - every
        uneven |= {t for t in every if self._reads.get(t, frozenset()) & uneven}
        group = self._openable(uneven - own)
        if group and (group[0] in self._aliens or group[0] in self._adjoints):
            return group[0], self.cuts.put_in(gap, group[0])
        every_one = self._openable(some - own)
        best: tuple[Tensor, Poly] | None = None
        for tensor in every_one:
            shorter = self.cuts.put_in(gap, tensor)
            if not shorter.terms or (len(gap.terms) == 1 and self._vanishes(shorter)):
                return tensor, shorter
            if len(shorter.terms) < len((best[1] if best else gap).terms):
                best = tensor, shorter
        if best is not None or not every_one:
            return best
        first = (group or every_one)[0]
        return first, self.cuts.put_in(gap, first)

    def _latest(self, tensors: Sequence[Tensor], gap: Poly) -> Tensor:
        """The first of these; of a recurrence the one of which an entry is computed after all others."""
        first = tensors[0]
        if first not in self._clocks:
            return first
        rivals = [t for t in tensors if self._rank(t) == self._rank(first) and t in self._clocks]
        times = {t: [self._time(t, p) for p in self.cuts.places_in(gap, t)] for t in rivals}
        for tensor in rivals:
            later = (b for t in rivals if t is not tensor for b in times[t])
            if not any(all(_after(b, a) for a in times[tensor]) for b in later):
                return tensor
        return first

    def _times(self, gap: Poly, tensor: Tensor) -> list[Poly]:
        """When the entries of a tensor that are read are computed; nothing of one that is in no recurrence."""
        return [self._time(tensor, p) for p in self.cuts.places_in(gap, tensor)] if tensor in self._clocks else []

    def _opened(self, side: Poly, tensor: Tensor, times: Sequence[Poly]) -> Poly:
        """A side with a tensor opened: those of its entries after which none of these times comes."""
        if not times:
            return self.cuts.put_in(side, tensor)

        def is_last(places: tuple[Poly, ...]) -> bool:
            own = self._time(tensor, places)
            return not any(_after(other, own) for other in times)

        return self.cuts.put_in(side, tensor, is_last)

    def _time(self, tensor: Tensor, places: tuple[Poly, ...]) -> Poly:
        """When an entry of a recurrence is computed."""
        block, clock = self._clocks[tensor]
        step = combine([(clock.sign, places[clock.axis]), (1, self.cuts.size_of(clock.origin))])
        return combine([(block.pace, step), (block.ranks[tensor], ONE)])

    def _openable(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        found = [t for t in tensors if self.cuts.is_defined(t)]
        return sorted(found, key=lambda t: (*self._rank(t), t.name), reverse=True)

    def _rank(self, tensor: Tensor) -> tuple[bool, bool, int]:
        """What is opened first: the user's tensors, then derivatives, the deepest first."""
        return tensor in self._aliens, tensor in self._adjoints, self._depth[tensor]


def _after(time: Poly, other: Poly) -> bool:
    """True if one time is known to be later than the other."""
    gap = as_constant(subtract(time, other))
    return gap is not None and gap > 0


def _length(size: Expr) -> int:
    return int(size.value) if isinstance(size, Number) else 0


def _is_view(value: Expr) -> bool:
    """True for one entry of a tensor up to a number (a transposition, a slice, a gather, a sign), and for a number."""
    if isinstance(value, Multiply):
        return sum(isinstance(f, Entry) for f in value.factors) == 1 and all(
            isinstance(f, (Entry, Number)) for f in value.factors
        )
    return isinstance(value, (Entry, Number))
