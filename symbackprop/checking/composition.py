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
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum

from symbackprop.calculus.equality import names_that_matter
from symbackprop.calculus.lemmas import Replay, is_view, joined
from symbackprop.checking.budget import SHARES
from symbackprop.checking.explicit_forms import Explicit
from symbackprop.checking.invariants import Invariants, Proposal
from symbackprop.checking.lookalikes import Lookalikes
from symbackprop.checking.other_rounds import Names, counterparts, renamed
from symbackprop.checking.progress import report, tell_on_request
from symbackprop.checking.question import Question
from symbackprop.checking.recipes import Attempted
from symbackprop.checking.verdict import Lemma
from symbackprop.errors import BudgetError, ProofError, SymbackpropError, UnsupportedError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    Add,
    Entry,
    Expr,
    Extremum,
    Index,
    Kronecker,
    Number,
    Position,
    Sum,
    Symbol,
    Tensor,
    Where,
    add,
    entries_once,
    free_indices,
    kronecker,
    mentioned,
    multiply,
    nodes_once,
    power,
    rewrite,
    substitute,
    tensors_in,
    where,
)
from symbackprop.expression.build import ZERO as NOTHING
from symbackprop.expression.program import PART, Equation, Program
from symbackprop.expression.recurrence import Recurrence, equations_of
from symbackprop.expression.shown import enumerated
from symbackprop.expression.sizes import Facts, simplify
from symbackprop.normal_form.cut_points import HIDDEN, CutPoints, divides, tensors_in_term, tensors_of
from symbackprop.normal_form.data import Poly, as_constant, of_index, parameter, subtract
from symbackprop.normal_form.to_expression import expression
from symbackprop.normal_form.work_time import worked

MOST_OPENED, MOST_TERMS = 24, 300
MOST_OF_DERIVED = 8  # where a derivative is sought among others: two that are one differ by a step or two
MOST_AT_FIRST = 14  # where what stands on one side alone is opened
MOST_UNEVEN = 12  # terms of a difference of which each tells what to open next
MOST_BLIND = 3  # tensors that one is compared with, where numbers tell nothing
MOST_LEVELS = 4  # of definitions of the forward pass that are opened one in another: a lemma is about one layer
MOST_TOGETHER, MOST_KEPT = 3, 6  # definitions that are put in together to make a value shorter, and ways to go on
MOST_SCALES = 3  # ways in which a derivative may be that of a scale
MOST_FACTORS = 16  # of what a step adds to a sum
MOST_LACKING = 3  # terms of what a line lacks: more explain nothing
MOST_NODES = 400  # of what a line should compute: more explains nothing either
STEP = parameter(0, Symbol("steps", "size"))
SHARE = 8  # of all that is left, for one lemma, where that is more than what a lemma has
LONGEST_WRITTEN_OUT = 64


class Order(Enum):
    """Beside recurrences: what is opened before what.

    ONE_SIDED: derivatives that stand on one side alone. EAGER: with them those that stand on both, where these are
    computed later. FORWARD: then of those on both sides the forward pass alone. ONCE, TWICE: no tensor of a recurrence
    more often than that. STEPWISE: derivatives of the step itself, then the forward pass at other steps; derivatives
    from other steps stay as they are.
    """

    ONE_SIDED = 1
    EAGER = 2
    FORWARD = 3
    ONCE = 4
    TWICE = 5
    UNEVEN = 6
    STEPWISE = 7


ONE_SIDED, EAGER, FORWARD, ONCE, TWICE, UNEVEN, STEPWISE = Order


class Sums(Enum):
    """Which sums over axes of a few entries are written out.

    NAMED: those that are no longer than the longest of them over whose axis the programs also name entries one by one,
    as a loop does that was followed round by round; than the longest such axis, where nothing is summed over any. ALL,
    NONE: whatever is named.
    """

    NAMED = 1
    ALL = 2
    NONE = 3

    def longest(self, program: Program) -> int:
        """The length up to which sums are written out."""
        if self is Sums.NONE:
            return 0
        if self is Sums.NAMED:
            axes = _summed_and_named(program)
        else:
            axes = {n for e in program.equations for n in e.tensor.shape}
        return min(max(map(_length, axes), default=0), LONGEST_WRITTEN_OUT)


@dataclass(frozen=True)
class ComposedProof:
    """What was proved by lemmas that the replay accepts.

    Args:
        unproved: the names of the pairs that were not proved.
        conditions: what the lemmas make use of.
        reason: why the rest was not proved.
    """

    unproved: tuple[str, ...]
    lemmas: tuple[Lemma, ...] = ()
    conditions: tuple[str, ...] = ()
    reason: str = ""


class Composition:
    """The walk over both programs.

    Args:
        derived: the forward equations and the derived cotangents.
        claimed: the user's backward pass.
        deadline: the work by which it must have ended.
        alike: the numbers of all tensors, where they are known already.
        explicit: whether recurrences are sought to be told as sums over steps.
        sums: which of them are written out.
    """

    def __init__(
        self,
        question: Question,
        derived: Program,
        claimed: Program,
        facts: Facts,
        deadline: float,
        alike: Lookalikes | None = None,
        explicit: bool = False,
        sums: Sums = Sums.NAMED,
    ) -> None:
        self.derived, self.claimed, self.deadline = derived, claimed, deadline
        self._forward = frozenset(e.tensor for e in question.forward.equations)
        self._adjoints = {e.tensor for e in derived.equations if e.tensor not in self._forward}
        read = {t for e in derived.equations for t in tensors_in(e.value)}
        self._unread = self._adjoints - read - set(derived.outputs)  # names that the user's tensors may have, no more
        self._aliens: set[Tensor] = set()
        self._met: set[Tensor] = set()  # derived ones that the user has
        self._last = 0  # the place of the one that was met last
        self._depth: dict[Tensor, int] = {}
        self._reads: dict[Tensor, frozenset[Tensor]] = {}
        self._replaced: dict[Tensor, Equation] = {}
        self._lines: dict[Tensor, Equation] = {}  # the definitions, with each found tensor as what it is
        self.lemmas: dict[Tensor, Lemma] = {}
        self.program = joined(derived, claimed)
        self._order = {t: k for k, t in enumerate(self.program.tensors)}
        self.expanded = sums.longest(self.program)
        self.cuts = CutPoints(facts, derived.known, expanded=self.expanded)
        self._plain: CutPoints | None = None  # with the equations as they are written
        self._names, self._recipes = names_that_matter(self.program), question.told_lemmas.for_another_walk()
        self._alike = Lookalikes(question, self.program.equations) if alike is None else alike.afresh()
        self._invariants = Invariants(self._alike, self.program.inputs)
        self._explicit = Explicit(self._alike.vectors, self._alike.steps, facts, self._shortest)
        self._sums = explicit
        self._walked: int | None = 0  # the first block that was not reached in time; None if all were
        self._before: Composition | None = None  # a walk over nearly the same programs
        self._same: set[Tensor] = set()  # those of which, down to the inputs, it has read the same definitions
        self.replay: Replay[Lemma] | None = None  # the last that accepted what was found here, or before this walk

    @property
    def complete(self) -> bool:
        """Whether the walk has come to its end."""
        return self._walked is None

    def follow(self, earlier: Composition) -> None:
        """Take over what another walk has found of tensors whose definitions are the same, as they are read.

        An equation may be told otherwise there, by a name for what is read here without one.
        """
        self.replay = earlier.replay
        if earlier.expanded == self.expanded:
            self._before = earlier
            self._same = set(self.program.inputs) & set(earlier.program.inputs)

    def _is_as_before(self, own: Equation) -> bool:
        """Whether the walk before this has read the same definition of this tensor, and of all in it."""
        known = None if self._before is None else self._before._lines.get(own.tensor)
        if known is None or known.indices != own.indices or known.value is not own.value:
            return False
        return mentioned(own.value) <= self._same

    def _earlier(self, tensor: Tensor) -> tuple[bool, Lemma | None]:
        """Whether the walk before this tells what a tensor is, and the lemma; None where it is no other one."""
        if self._before is None or tensor not in self._same:
            return False, None
        lemma = self._before.lemmas.get(tensor)
        if lemma is None:
            return self._before.complete, None
        return self._same.issuperset((*tensors_in(lemma.equation.value), *lemma.opened)), lemma

    def walk(self) -> None:
        """Find the user's tensors among the derived ones, as far as the time goes; or go on where it ended."""
        if self._walked is None:
            return
        own = {e.tensor for e in self.derived.equations}
        blocks = self.program.blocks
        begin, self._walked = self._walked, None
        for k, block in enumerate(blocks[begin:], begin):
            report("lines compared", k, len(blocks))
            if self._walked is None and worked() > self.deadline:
                self._walked = k
            self._aliens |= {e.tensor for e in equations_of(block)} - own
            if not isinstance(block, Recurrence):
                self._take(block)
            elif block.equations[0].tensor in own:
                self._take_together(block)
                for equation in block.equations:
                    self._alike.add(equation.tensor)
                self._made_explicit(block)
            else:
                self._by_induction(block)
                self._made_explicit(block)

    def proof(self, pairs: Mapping[str, tuple[Tensor, Tensor | None]]) -> ComposedProof:
        """The walk, and what it proves of claimed tensors: that they are the derived ones, or 0 where there is none."""
        tell_on_request(lambda: self._so_far(pairs))
        self.walk()
        left = [name for name, pair in pairs.items() if not self.proves(*pair)]
        reason = f"the gradient of {left[0]} was not found to be the derived one{self._unmet()}" if left else ""
        if len(left) == len(pairs):
            return ComposedProof(tuple(left), reason=reason)
        lemmas = sorted(self.lemmas.values(), key=lambda lemma: self._order[lemma.equation.tensor])
        try:
            replay = self.replay = Replay(self.program, lemmas, expanded=self.expanded, before=self.replay)
        except ProofError as error:
            return ComposedProof(tuple(pairs), reason=f"the kernel does not accept the proof: {error.what}")
        left = [name for name, pair in pairs.items() if not replay.equal(*pair)]
        return ComposedProof(tuple(left), replay.lemmas, replay.conditions, reason)

    def _so_far(self, pairs: Mapping[str, tuple[Tensor, Tensor | None]]) -> str:
        """Which claimed tensors were met, in words, for who ends the walk before anything was replayed."""
        met = [name for name, pair in pairs.items() if self._met_as(*pair)]
        return f"the kernel has not replayed it yet, but shown to be right: {enumerated(met)}" if met else ""

    def _met_as(self, claimed: Tensor, derived: Tensor | None) -> bool:
        """Whether the walk has found a claimed tensor to be this derived one."""
        if derived is None or claimed not in self._lines:
            return False
        places = self.cuts.places(claimed)
        return self._rewritten(Entry(claimed, places)) is self._rewritten(Entry(derived, places))

    def _unmet(self) -> str:
        """The first of the user's lines that seems to be a derivative, by numbers, and was not proved to be it."""
        for equation in self.program.equations:
            tensor = equation.tensor
            if tensor in self._aliens and tensor not in self._replaced and equation.note:
                seen = [s.other for s in self._alike.of(tensor) if s.other in self._adjoints]
                if seen:
                    return f"; {equation.note} has the numbers of {seen[0].name}, and no proof of that was found"
        return ""

    def read(self, expr: Expr) -> Poly:
        """The normal form of an expression of tensors of either side."""
        return self.cuts.normal(self._rewritten(expr))

    def proves(self, claimed: Tensor, derived: Tensor | None) -> bool:
        """True if a claimed gradient is the derived one, or 0 where there is none."""
        if derived is not None and self._order[derived] > self._order[claimed]:
            claimed, derived = derived, claimed  # a lemma is about the later of two
        places = self.cuts.places(claimed)
        right = NOTHING if derived is None else self._rewritten(Entry(derived, places))
        if self._rewritten(Entry(claimed, places)) is right:
            return True
        own = self._lines.get(claimed)
        if own is None:
            return False
        value = NOTHING if derived is None else Entry(derived, own.indices)
        opened: list[Tensor] | None = []
        if not self._holds(own, self._rewritten(value), ()):
            if derived is not None and self._alike.differ(claimed, derived):
                return False
            opened = self._proved(own, self._rewritten(value))
        if opened is not None:
            self.lemmas[claimed] = Lemma(Equation(claimed, own.indices, value, own.note), tuple(opened))
        return opened is not None

    def lack(self, claimed: Equation, derived: Tensor) -> Expr | None:
        """What must be added to a line of the user's so that it is a derivative, in tensors that the user has.

        None if nothing short was found.
        """
        one = self._one_tensor(claimed, derived)
        if one is not None:
            return one
        tensor, places = claimed.tensor, self.cuts.places(claimed.tensor)
        names: dict[Index, Expr] = dict(zip(places, claimed.indices, strict=True))
        own = self._own_tensors(claimed)
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
                if len(gap.terms) > MOST_TERMS or (known and len(gap.terms) < 2):
                    break
                step = self._step(gap, frozenset()) if gap.terms else None
                if step is None:
                    break
                gap = step[1]
        except (BudgetError, UnsupportedError):
            pass
        if best is None or len(best.terms) > MOST_LACKING:
            return None

        return self._told(expression(self.cuts, best, names), own, claimed)

    def _one_tensor(self, claimed: Equation, derived: Tensor) -> Expr | None:
        """What a line lacks, where that is one tensor that the user has there, as far as numbers tell."""
        own = self._own_tensors(claimed)
        for tensor in self.program.inputs:
            self._alike.add(tensor)
        for likeness in self._alike.of_difference(derived, claimed.tensor):
            other = likeness.other
            if likeness.part is not None or likeness.groups:
                continue
            entry = Entry(other, tuple(claimed.indices[k] for k in likeness.order))
            theirs = other in self._aliens and self._order[other] < self._order[claimed.tensor]
            if other in own or theirs or other not in self._adjoints | self._aliens:
                return self._told(multiply(likeness.factor, entry), own, claimed)
        return None

    def derivative(self, line: Equation, right: Tensor) -> Expr | None:
        """What a line of the user's should compute to be this derivative, in tensors that stand before it.

        None if that is long.
        """
        expr = self._in_own_tensors(self._rewritten(Entry(right, line.indices)), line)
        if expr is None:
            return None
        own = self._own_tensors(line)
        every = (self._told(e, own, line) for e in (expr, self._gathered(expr, line.indices)))
        return min(every, key=lambda e: sum(1 for _ in nodes_once(e)))

    def in_other_rounds(
        self, line: Equation, right: Tensor, factor: Expr, others: Iterable[Tensor]
    ) -> Iterator[tuple[Tensor, Names, Expr]]:
        """What other rounds of a loop compute where they have the like of this derivative, in the names of this round.

        Args:
            factor: of the derivative in every round.
            others: derivatives of other rounds.

        Returns:
            The user's tensor of the other round, what stands for what in this one, and the line as it would be.
        """
        every = self._own_tensors()
        derived = {t: line for t, line in self._lines.items() if t not in self._aliens}
        for other in others:
            found = every[other].equation if other in every else None
            if other is right or found is None or found.value is not multiply(factor, Entry(other, found.indices)):
                continue
            names = counterparts(other, right, derived)
            if not names:
                continue
            value = self._seen_through(self._lines[found.tensor].at(self._lines[other].indices), self._aliens)
            here = None if value is None else renamed(value, names)
            if here is None:
                continue
            table: dict[Expr, Expr] = dict(zip(self._lines[right].indices, line.indices, strict=True))
            told = self._in_own_tensors(substitute(here, table), line)
            if told is not None:
                own = self._own_tensors(line)
                yield found.tensor, _by_user_alone(names, own), self._told(told, own, line)

    def shows(self, line: Equation, right: Expr) -> bool:
        """Whether a line as it would be right is seen to compute this, by what was found of all before it."""
        trial = Tensor(f"{line.tensor.name} as it would be right", line.tensor.shape, line.tensor.kind)
        own = Equation(trial, line.indices, self._rewritten(line.value), line.note)
        self.cuts.define(trial, own.indices, own.value)
        lemma, met, value = self.lemmas.get(line.tensor), self._met, self._rewritten(right)
        if lemma is not None and tensors_in(value) <= tensors_in(lemma.equation.value):
            self._met = met - tensors_in(value)  # a multiple of what the line as it is has met, maybe alone
        try:
            return self._proved(own, value) is not None
        finally:
            self._met = met

    def _in_own_tensors(self, expr: Expr, line: Equation) -> Expr | None:
        """An expression with those derivatives seen through that the user does not have before this line."""
        return self._seen_through(expr, self._adjoints - self._own_tensors(line).keys())

    def _seen_through(self, expr: Expr, tensors: Container[Tensor]) -> Expr | None:
        """An expression with the definitions of these tensors put in; None if it is long."""

        def opened(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor in tensors and node.tensor in self._lines:
                return self._lines[node.tensor].at(node.indices)
            return None

        for _ in range(MOST_OPENED):
            longer = rewrite(expr, opened)
            if longer is expr:
                return expr
            expr = longer
            if sum(1 for _ in nodes_once(expr)) > MOST_NODES:
                break
        return None

    def _gathered(self, expr: Expr, indices: tuple[Index, ...]) -> Expr:
        """The expression as its normal form says it, where equal terms are one."""
        places = tuple(parameter(k, index.size) for k, index in enumerate(indices))
        self._restart()
        try:
            poly = self.cuts.normal(substitute(expr, dict(zip(indices, places, strict=True))))
            return expression(self.cuts, poly, dict(zip(places, indices, strict=True)))
        except (BudgetError, UnsupportedError):
            return expr

    def _told(self, expr: Expr, own: Mapping[Tensor, Lemma], line: Equation) -> Expr:
        """An expression of derived tensors in those that the user has, with what earlier lines compute."""
        table: dict[Expr, Expr] = {}
        for tensor in self._aliens:
            known = self._lines[tensor]
            before = self._order[tensor] < self._order[line.tensor] and not known.note.startswith(PART)
            if before and tensor.shape == line.tensor.shape:
                table.setdefault(known.at(line.indices), Entry(tensor, line.indices))

        return rewrite(rewrite(expr, table.get), lambda node: self._by_user(node, own))

    def _own_tensors(self, line: Equation | None = None) -> dict[Tensor, Lemma]:
        """The derived tensors that the user has, before this line, each with what is known of the first of the user's
        that it is."""
        found: dict[Tensor, Lemma] = {}
        for lemma in self.lemmas.values():
            entries = list(entries_once(lemma.equation.value))
            if lemma.equation.tensor in self._aliens and len(entries) == 1:
                found.setdefault(entries[0].tensor, lemma)
        end = len(self._order) if line is None else self._order[line.tensor]
        return {t: lemma for t, lemma in found.items() if self._order[lemma.equation.tensor] < end}

    def _by_user(self, node: Expr, own: Mapping[Tensor, Lemma]) -> Expr | None:
        """An entry of a derived tensor by the user's tensor that it is, up to the order of axes and a factor."""
        if not isinstance(node, Entry) or node.tensor not in own:
            return None
        equation = own[node.tensor].equation
        (entry,) = (e for e in entries_once(equation.value) if e.tensor is node.tensor)
        places: dict[Expr, Expr] = dict(zip(entry.indices, node.indices, strict=True))
        if not places.keys() >= set(equation.indices):  # at other steps
            return None
        factor = substitute(equation.value, {entry: ONE})
        return multiply(Entry(equation.tensor, tuple(places[i] for i in equation.indices)), power(factor, -1))

    def _rewritten(self, expr: Expr) -> Expr:
        """With each tensor that was found to be another written as that one."""

        def at(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor in self._replaced:
                return self._rewritten(self._replaced[node.tensor].at(node.indices))
            return None

        return rewrite(expr, at)

    def _take(self, equation: Equation) -> None:
        tensor, value = equation.tensor, self._rewritten(equation.value)
        own = self._lines[tensor] = Equation(tensor, equation.indices, value, equation.note)
        self.cuts.define(tensor, own.indices, value)
        if self._is_as_before(own):
            self._same.add(tensor)
        if tensor.kind != "real" or is_view(value):
            self._replaced[tensor] = own
            return
        self._reads[tensor] = frozenset(tensors_in(value))
        self._depth[tensor] = 1 + max((self._depth.get(t, 0) for t in self._reads[tensor]), default=0)
        if worked() > self.deadline:
            return
        if tensor in self._adjoints and self.cuts.clocks and self._explicit.nothing(equation) and self._is_an_end(own):
            return
        if not self._found(own):
            self._alike.add(tensor)

    def _is_an_end(self, own: Equation) -> bool:
        """Whether a derivative beside recurrences is shown to be 0, or what is left of it at the shortest lengths."""
        with self._from_equations():
            left = self._left_over(self.program.by_tensor[own.tensor])
        lemma = None if left is None else self._in_one_step(self.program.by_tensor[own.tensor], left)
        if lemma is None:
            return False
        self.lemmas[own.tensor], self._replaced[own.tensor] = lemma, lemma.equation
        return True

    def _left_over(self, own: Equation) -> Expr | None:
        """What is left of a tensor once each equation was put in: nothing, or what only some sizes have."""
        try:
            left = gap = self.cuts.gap(self._gap(own, NOTHING), self.cuts.normal(NOTHING))
            opened: list[Tensor] = []
            while len(opened) <= MOST_OPENED and len(gap.terms) <= MOST_TERMS:
                if self.cuts.vanishes_everywhere(gap):
                    return NOTHING
                if all(any(a.kind == "delta" for a, _ in mono.factors) for mono, _ in gap.terms):
                    return expression(self.cuts, gap, dict(zip(self.cuts.places(own.tensor), own.indices, strict=True)))
                tensor = self._next(left, self.cuts.normal(NOTHING), gap, ONCE, opened)
                if tensor is None:
                    return None
                left = gap = self.cuts.opened_gap(gap, tensor)
                opened.append(tensor)
        except (BudgetError, UnsupportedError):
            pass
        return None

    # --- recurrences

    def _take_together(self, block: Recurrence) -> None:
        """Define the tensors of a recurrence, each with those that were found to be others written as these."""
        lines = {e.tensor: Equation(e.tensor, e.indices, self._rewritten(e.value), e.note) for e in block.equations}
        self._lines |= lines
        self.cuts.define_block(block, lines.values())
        reads = {tensor: frozenset(tensors_in(line.value)) for tensor, line in lines.items()}
        outside = frozenset().union(*reads.values()) - lines.keys()
        self._reads |= reads
        self._depth |= dict.fromkeys(lines, 1 + max((self._depth.get(t, 0) for t in outside), default=0))

    def _by_induction(self, block: Recurrence) -> None:
        """Find the tensors of a recurrence of the user's.

        Numbers propose what they are; that is supposed of all entries that are computed before an entry, and shown of
        that entry. What cannot be shown is supposed no longer, until all that is supposed has been shown.
        """
        self._take_together(block)
        self._shown_together(block, {e.tensor: self._proposals(e) for e in block.equations})
        for equation in block.equations:
            if equation.tensor not in self._replaced:
                self._alike.add(equation.tensor)

    def _shown_together(
        self, block: Recurrence, proposed: dict[Tensor, list[Proposal]], more: tuple[Order, ...] = ()
    ) -> None:
        """Find what tensors of a recurrence are, of what is proposed for each, the likeliest first."""
        by_tensor = {e.tensor: e for e in block.equations if e.tensor in proposed}
        shown: dict[Tensor, Lemma] = {}
        while worked() < self.deadline:
            supposed = {t: by_tensor[t] for t in by_tensor if proposed[t]}
            for tensor, own in supposed.items():
                value = self._from_its_end(proposed[tensor][0].value)
                self._replaced[tensor] = Equation(tensor, own.indices, value, own.note)
            self._take_together(block)
            shown = {}
            for tensor in supposed:
                beside = tuple(t for t in supposed if t is not tensor)
                first = proposed[tensor][0]
                lemma = self._shown(self._lines[tensor], self._from_its_end(first.value), first.ahead, beside, more)
                if lemma is None:
                    break
                shown[tensor] = lemma
            if len(shown) == len(supposed):
                break
            failed = next(t for t in supposed if t not in shown)
            proposed[failed] = proposed[failed][1:]
            for tensor in supposed:
                self._replaced.pop(tensor, None)
        for tensor in by_tensor:
            if tensor in shown and tensor in self._replaced:
                self.lemmas[tensor] = shown[tensor]
            else:
                self._replaced.pop(tensor, None)
        self._take_together(block)

    def _proposals(self, equation: Equation) -> list[Proposal]:
        """What a tensor of a recurrence may be: another one, or another one in other units."""
        if equation.tensor.kind != "real":
            return []
        found = [Proposal(like.at(equation.indices), like.other) for like in self._alike.of(equation.tensor)]
        return found or self._invariants.of(equation) or list(self._but_for_an_end(equation))

    def _but_for_an_end(self, equation: Equation) -> Iterator[Proposal]:
        """Another tensor but for the step with which the recurrence begins."""
        axis = self.cuts.clocks[equation.tensor][1].axis
        step = equation.indices[axis]
        for last in (False, True):
            for like in self._alike.of_all_but(equation.tensor, axis, last):
                value = like.at(equation.indices)
                if not last:
                    value = substitute(value, {step: add(step, MINUS_ONE)})
                whole = self._with_another_end(equation, value, last)
                if whole is not None:
                    yield Proposal(whole, like.other)

    def _from_its_end(self, value: Expr) -> Expr:
        """A value with entries at ends of recurrences, where these begin, as what they are there."""

        def known(node: Expr) -> Expr | None:
            if not isinstance(node, Entry) or node.tensor not in self.cuts.clocks or free_indices(node):
                return None
            opened = self._begun(node, node.tensor)
            return None if opened is None else expression(self.cuts, opened, {})

        return rewrite(value, known)

    def _begun(self, value: Expr, tensor: Tensor) -> Poly | None:
        """An expression of entries of a recurrence as what they are where that begins; None elsewhere."""
        own = {e.tensor for e in self.cuts.clocks[tensor][0].equations}
        self._restart()
        try:
            opened = self.cuts.normal(value)
            for _ in range(MOST_LEVELS):
                held = self._openable(tensors_of(opened) & own)
                if not held:
                    return opened
                opened = self.cuts.put_in(opened, held[0])
        except SymbackpropError:
            pass
        return None

    def _with_another_end(self, own: Equation, value: Expr, last: bool) -> Expr | None:
        """A value but for the first or the last step, where the tensor is what its recurrence begins with; None where
        it does not begin there."""
        axis = self.cuts.clocks[own.tensor][1].axis
        step, places = own.indices[axis], self.cuts.places(own.tensor)
        end = simplify(add(step.size, MINUS_ONE)) if last else NOTHING
        begun = self._begun(Entry(own.tensor, (*places[:axis], end, *places[axis + 1 :])), own.tensor)
        if begun is None:
            return None
        names: dict[Index, Expr] = dict(zip(places, own.indices, strict=True))
        return where(kronecker(step, end), expression(self.cuts, begun, names), value)

    def _made_explicit(self, block: Recurrence) -> None:
        """Find what tensors of a recurrence are without it: nothing, nothing but at an end, what other states and their
        derivatives tell, or sums over steps.

        Each step is shown under the hypothesis about earlier ones; where that is no help, without it.
        """
        left = [e for e in block.equations if e.tensor.kind == "real" and e.tensor not in self._replaced]
        self._told_by_scales(block, left)
        for equation in left:
            if equation.tensor not in self._replaced and self._explicit.nothing(equation):
                self._is_explicitly(equation, NOTHING, block)
        for equation in left:
            clock = block.clocks[equation.tensor]
            for last in (False, True):
                if equation.tensor in self._replaced or not self._explicit.nothing_but(equation, clock.axis, last):
                    continue
                value = self._with_another_end(equation, NOTHING, last)
                if value is not None and not self._is_explicitly(equation, value, block):
                    self._is_explicitly(equation, value, block, alone=True)
        for equation in left if self._sums else ():
            if equation.tensor not in self._replaced:
                for form in self._explicit.sums(self._lines[equation.tensor], block, self._lines):
                    if worked() > self.deadline or self._is_explicitly(equation, form, block):
                        break

    def _is_explicitly(self, equation: Equation, value: Expr, block: Recurrence, alone: bool = False) -> bool:
        """Whether a tensor of a recurrence is shown to be this; it stands for it from then on.

        Args:
            alone: whether nothing is supposed of earlier steps.
        """
        tensor, value = equation.tensor, self._rewritten(value)
        supposed = Equation(tensor, equation.indices, value, equation.note)
        if alone:
            lemma = self._in_one_step(self.program.by_tensor[tensor], value)
        else:
            self._replaced[tensor] = supposed
            self._take_together(block)
            few = (self._meet(self._lines[tensor], value, order=order) for order in (ONCE, TWICE))
            opened = next((found for found in few if found is not None), None)
            known = None if opened is None else Lemma(supposed, tuple(opened))
            lemma = known or self._shown(self._lines[tensor], value, None, ())
        if lemma is None:
            self._replaced.pop(tensor, None)
        else:
            self._replaced[tensor] = supposed
            self.lemmas[tensor] = lemma
        self._take_together(block)
        return lemma is not None

    def _told_by_scales(self, block: Recurrence, left: Sequence[Equation]) -> None:
        """Find the derivative of what only sets the scale of other states, if there is one; beside it may stand
        derivatives of what sets no scale in the end, which are nothing."""
        bars = self._adjoints & self._lines.keys()
        for equation in left if block.equations[0].tensor in self._adjoints else ():
            forms = list(itertools.islice(self._explicit.scales(equation, block, self._forward, bars), MOST_SCALES))
            if not forms:
                continue
            nothing = [e.tensor for e in left if self._explicit.nothing(e)]
            if nothing:
                proposed = {t: [Proposal(NOTHING, None)] for t in nothing}
                self._shown_together(
                    block, {**proposed, equation.tensor: [Proposal(f, None) for f in forms]}, (STEPWISE,)
                )
            if equation.tensor in self._replaced or any(self._moves_as(equation, form, block) for form in forms):
                return

    def _moves_as(self, equation: Equation, value: Expr, block: Recurrence) -> bool:
        """Whether the derivative of a scale is shown to be this, from the equations as they are written: what stands
        for the states may be long."""
        tensor, found = equation.tensor, self._replaced
        with self._from_equations():
            self._replaced = {tensor: Equation(tensor, equation.indices, value, equation.note)}
            self._take_together(block)
            lemma = self._shown(self._lines[tensor], value, None, (), (STEPWISE,))
            self._replaced = {}
            self._take_together(block)
        assert self._replaced is found
        if lemma is not None:
            self.lemmas[tensor] = lemma = replace(lemma, alone=True, inductive=True)
            self._replaced[tensor] = lemma.equation
        self._take_together(block)
        return lemma is not None

    def _shortest(self, equation: Equation) -> Expr | None:
        """A value with those definitions put in that make it shorter, perhaps some together; None if it is long."""
        places = self.cuts.places(equation.tensor)
        self._restart()
        best = self.cuts.normal(substitute(equation.value, dict(zip(equation.indices, places, strict=True))))
        known, seen = [best], {best}
        for _ in range(MOST_TOGETHER):
            longer = [self.cuts.put_in(p, t) for p in known for t in self._openable(tensors_of(p))]
            known = sorted({p for p in longer if p not in seen and len(p.terms) <= MOST_LACKING}, key=_extent)[
                :MOST_KEPT
            ]
            seen |= set(known)
            best = min((best, *known), key=_extent)
        if _extent(best) > MOST_FACTORS:
            return None
        return expression(self.cuts, best, dict(zip(places, equation.indices, strict=True)))

    def _shown(
        self, own: Equation, other: Expr, ahead: Tensor | None, beside: tuple[Tensor, ...], more: tuple[Order, ...] = ()
    ) -> Lemma | None:
        """That an entry is what it may be, given that those before are what is supposed of them.

        Args:
            ahead: a tensor of the other side that is opened before anything else is tried: one step on either side.
            more: other ways that are tried.
        """
        ways = (ONE_SIDED, *more, UNEVEN, EAGER)
        every = [*itertools.product(dict.fromkeys((ahead, None)), ways), (None, FORWARD)]
        for first, order in every:
            opened = self._meet(own, other, first, order)
            if opened is not None:
                equation = Equation(own.tensor, own.indices, other, own.note)
                return Lemma(equation, tuple(opened), ahead=first is not None, beside=beside)
        return None

    def _in_one_step(self, own: Equation, other: Expr) -> Lemma | None:
        """That an entry is what it may be, from the equations alone, each of them put in once: what lies one step away
        stays as it is, so that it may cancel."""
        with self._from_equations():
            opened = self._meet(own, other, order=ONCE)
        equation = Equation(own.tensor, own.indices, other, own.note)
        return None if opened is None else Lemma(equation, tuple(opened), alone=True)

    @contextmanager
    def _from_equations(self) -> Iterator[None]:
        """Within it, tensors are what their equations say, whatever was found."""
        before = self.cuts, self._replaced
        if self._plain is None:
            self._plain = CutPoints(self.cuts.facts, self.derived.known, expanded=self.expanded)
            for block in self.program.blocks:
                self._plain.define_block(block, equations_of(block))
        self.cuts, self._replaced = self._plain, {}
        try:
            yield
        finally:
            self.cuts, self._replaced = before

    def _found(self, own: Equation) -> bool:
        """Whether the tensor was proved to be a known one."""
        told, known = self._earlier(own.tensor)
        if told and known is None:
            return False
        others = () if known is None else tuple(tensors_in(known.equation.value))
        if told and known is not None and len(others) == 1:
            self._keep(own, known, others[0])
            return True
        alike = self._alike.of(own.tensor)
        if any(s.blind for s in alike):  # what comes after the last one that was found is the likeliest
            left = [s for s in alike if s.other not in self._met and own.tensor in self._aliens]
            alike = sorted(left, key=lambda s: self._order[s.other] < self._last)[:MOST_BLIND]
        for search in (self._at_once, self._lemma) if len(alike) > 1 else (self._lemma,):
            for likeness in alike:
                lemma = search(own, likeness.at(own.indices), likeness.other)
                if lemma is not None:
                    self._keep(own, lemma, likeness.other)
                    return True
                if worked() > self.deadline:
                    return False
        return False

    def _at_once(self, own: Equation, other: Expr, ahead: Tensor) -> Lemma | None:
        """That a tensor is another one, where at most the definition of that one is put in.

        Of several with the same numbers it is the one that is computed alike, which need not be the first: beside a
        normalization, which sends back what has the sum 0, the biases of all blocks have one gradient.
        """
        if self.cuts.clocks:
            return None
        for opened in ((), (ahead,)) if self.cuts.is_defined(ahead) else ((),):
            if self._holds(own, other, opened):
                return Lemma(Equation(own.tensor, own.indices, other, own.note), opened)
        return None

    def _keep(self, own: Equation, lemma: Lemma, other: Tensor) -> None:
        """From now on the tensor stands for the other one."""
        self._replaced[own.tensor] = lemma.equation
        if own.tensor in self._aliens:
            self._met |= {other} - self._unread
            self._last = self._order[other]
        self.lemmas[own.tensor] = lemma

    def _lemma(self, own: Equation, other: Expr, ahead: Tensor) -> Lemma | None:
        """That a tensor is another one; beside recurrences this is tried with that one opened first as well."""
        opened, first = None, None
        ways = ((None, UNEVEN), (None, EAGER), (None, FORWARD), (ahead, ONE_SIDED))
        for first, order in ways if self.cuts.clocks else ():
            opened = self._meet(own, other, first, order)
            if opened is not None:
                break
        else:
            opened = self._proved(own, other) if not self.cuts.clocks else None
        equation = Equation(own.tensor, own.indices, other, own.note)
        return None if opened is None else Lemma(equation, tuple(opened), ahead=first is not None)

    def _restart(self) -> None:
        left, share = self.deadline - worked(), SHARES["lemma about a step" if self.cuts.clocks else "lemma"]
        self.cuts.restart_clock(max(0.01, min(max(share.seconds, left / SHARE), left)))

    def _proved(self, own: Equation, other: Expr) -> list[Tensor] | None:
        """The definitions, beside its own, by which a tensor is seen to be another one; None if it is not."""
        if self.cuts.clocks:  # which entries are opened depends on when they are computed: no pattern tells
            return self._meet(own, other)
        attempt = Attempted(self._recipes, own, other, self._lines, self._names)
        told, certain = attempt.told() or (None, False)
        if certain:
            return told
        self.cuts.used = {}
        if told is not None and self._holds(own, other, told):
            attempt.proved(told, HIDDEN not in self.cuts.used)
            return told
        if attempt.hopeless():
            return None
        opened = self._meet(own, other)
        if opened is None:
            if worked() <= self.deadline:
                attempt.failed()
            return None
        opened = self._fewest(own, other, opened)
        self.cuts.used = {}
        attempt.proved(opened, self._holds(own, other, opened) and HIDDEN not in self.cuts.used)
        return opened

    def _holds(self, own: Equation, other: Expr, opened: Iterable[Tensor]) -> bool:
        """Whether these definitions are enough."""
        try:
            gap = self._gap(own, other)
            for tensor in opened:
                gap = self.cuts.put_in(gap, tensor)
            return self.cuts.vanishes_everywhere(gap)
        except (BudgetError, UnsupportedError):
            return False

    def _fewest(self, own: Equation, other: Expr, opened: list[Tensor]) -> list[Tensor]:
        """Definitions none of which can be left out, as far as the time goes."""
        end = worked() + SHARES["fewer definitions"].seconds
        for k in reversed([k for k, tensor in enumerate(opened) if not self._adds_up(tensor)]):
            fewer = opened[:k] + opened[k + 1 :]
            if worked() <= end and self._holds(own, other, fewer):
                opened = fewer
        return opened

    def _gap(self, own: Equation, other: Expr) -> Poly:
        """The difference between a tensor's definition and what it may equal."""
        places: dict[Expr, Expr] = dict(zip(own.indices, self.cuts.places(own.tensor), strict=True))
        self._restart()
        return subtract(self.cuts.value(own.tensor), self.cuts.normal(substitute(other, places)))

    def _meet(
        self, own: Equation, other: Expr, first: Tensor | None = None, order: Order = EAGER
    ) -> list[Tensor] | None:
        """The tensors that were opened until the two sides met; None if they did not.

        Args:
            first: a tensor of the other side that is opened before anything is looked at.
            order: beside recurrences, what is opened before what.
        """
        opened: list[Tensor] = []
        level: dict[Tensor, int] = {}  # how many definitions had to be opened before a tensor came in sight
        try:
            if self.cuts.clocks:
                return self._meet_in_time(own, other, first, order)
            gap = self._gap(own, other)
            steps, most = 0, MOST_OF_DERIVED if own.tensor in self._adjoints else MOST_OPENED
            while steps <= most and len(gap.terms) <= MOST_TERMS:
                if not _has_a_lone_entry(gap) and self.cuts.vanishes_everywhere(gap):
                    return opened
                step = self._step(gap, frozenset([own.tensor]))
                seen = tensors_of(gap)
                if step is None or (level.get(step[0], 0) > MOST_LEVELS and step[0] in self._forward):
                    return None
                opened.append(step[0])
                gap = step[1]
                deeper = 0 if self._adds_up(step[0]) else 1
                steps += deeper
                level |= dict.fromkeys(tensors_of(gap) - seen - level.keys(), level.get(step[0], 0) + deeper)
        except (BudgetError, UnsupportedError):
            pass
        return None

    def _meet_in_time(self, own: Equation, other: Expr, first: Tensor | None, order: Order) -> list[Tensor] | None:
        """As `_meet`, beside recurrences: of several entries of a tensor those are opened that are computed last."""
        places: dict[Expr, Expr] = dict(zip(own.indices, self.cuts.places(own.tensor), strict=True))
        self._restart()
        cuts, opened = self.cuts, list[Tensor]()
        left, right = cuts.value(own.tensor), cuts.normal(substitute(self._rewritten(other), places))
        if first is not None:
            if not cuts.is_defined(first):
                return None
            right = cuts.put_in(right, first)
            opened.append(first)
        gap = cuts.gap(left, right)
        most = MOST_AT_FIRST if order in (ONE_SIDED, UNEVEN) else MOST_OPENED
        while len(opened) <= most and len(gap.terms) <= (MOST_UNEVEN if order is UNEVEN else MOST_TERMS):
            if cuts.vanishes_everywhere(gap):
                return opened
            tensor = self._next_of_step(own, gap) if order is STEPWISE else self._next(left, right, gap, order, opened)
            if tensor is None:
                return None
            times = cuts.times_beside(gap, tensor)
            left, right = cuts.opened(left, tensor, times), cuts.opened(right, tensor, times)
            gap = cuts.opened_gap(gap, tensor)
            opened.append(tensor)
        return None

    def _next(self, left: Poly, right: Poly, gap: Poly, order: Order, done: Sequence[Tensor]) -> Tensor | None:
        """The tensor to open next.

        The deepest of the user's tensors and of the derivatives that stand on one side alone; else one that makes the
        difference shorter; else a derivative that stands in some terms only, where the sides speak of other steps; else
        one that leads to no other steps; else the deepest of which the sides speak at other steps, or some terms only,
        those of the forward pass before derivatives; else one at an end, where nothing else is left.
        """
        cuts = self.cuts
        limit = {ONCE: 1, TWICE: 2, UNEVEN: 2}.get(order, MOST_OPENED)
        every = tensors_of(gap).difference(t for t in done if t in cuts.clocks and done.count(t) >= limit)
        one_sided = self._openable(every & (tensors_of(left) ^ tensors_of(right)))
        held = [tensors_in_term(m) for m, _ in gap.terms]
        uneven = self._openable(every & (frozenset.union(*held) - frozenset.intersection(*held)))
        if order is UNEVEN:
            one_sided = uneven = uneven if len(held) > 1 else self._openable(every)
        strange, others = (
            [t for t in some if t in self._aliens or t in self._adjoints] for some in (one_sided, uneven)
        )
        if strange:
            later = [t for t in others if t not in strange] if order is EAGER else []
            return self._latest([*strange, *later], gap)
        best: tuple[int, Tensor] | None = None
        for tensor in self._openable(every):
            shorter = cuts.opened_gap(gap, tensor)
            if len(shorter.terms) < (best[0] if best else len(gap.terms)):
                best = len(shorter.terms), tensor
        if best is not None:
            return best[1]
        if order is UNEVEN:
            rest = uneven or [t for t in self._openable(every) if t in self._forward]
            chosen = [t for t in self._openable(every) if self._chooses_among(t, uneven)]
            return self._latest(chosen or rest, gap) if rest else None
        seen = self._openable(t for t in every if order is not FORWARD or t in self._forward)
        others = [t for t in others if t in seen]
        apart = [t for t in seen if cuts.places_in(left, t) != cuts.places_in(right, t)]
        ending = [t for t in seen if t not in cuts.clocks]
        first = [t for t in others if t in apart] or ending or [t for t in apart if t in self._forward]
        rest = first or apart or [t for t in uneven if t in seen]
        rest = rest or [t for t in seen if self._is_at_an_end(t, gap, left)]
        return self._latest(rest, gap) if rest else None

    def _next_of_step(self, own: Equation, gap: Poly) -> Tensor | None:
        """The tensor to open next so that all speak of what the step itself finds."""
        here, axes = of_index(self.cuts.places(own.tensor)[self.cuts.clocks[own.tensor][1].axis]), self._alike.steps

        def strays(tensor: Tensor, poly: Poly) -> list[bool]:
            return [p[axes[tensor]] != here for p in self.cuts.places_in(poly, tensor)] if tensor in axes else []

        every = self._openable(tensors_of(gap))
        bars = [t for t in every if t in self._aliens or t in self._adjoints]
        own_step = [t for t in bars if not all(strays(t, gap)) or t not in axes]
        others = [t for t in every if t not in bars and any(strays(t, gap))]
        if own_step or others:
            return (own_step or others)[0]
        longer = [(self.cuts.opened_gap(gap, t), t) for t in every if t not in bars]
        within = [(p, t) for p, t in longer if not any(any(strays(s, p)) for s in tensors_of(p) if s in self._forward)]
        shorter = [(len(p.terms), k) for k, (p, _) in enumerate(within) if len(p.terms) < len(gap.terms)]
        return within[min(shorter)[1] if shorter else 0][1] if within else None

    def _chooses_among(self, tensor: Tensor, others: Iterable[Tensor]) -> bool:
        """Whether a tensor is one of these, or an entry of one of them here and there: what is read under a guard."""
        waiting, seen = [tensor], set[Tensor]()
        while waiting:
            line = self._lines.get(waiting.pop())
            if line is not None and _only_chooses(line.value):
                new = tensors_in(line.value) - seen
                seen |= new
                waiting += new
        return not seen.isdisjoint(others) or (tensor in others and bool(seen))

    def _is_at_an_end(self, tensor: Tensor, gap: Poly, side: Poly) -> bool:
        """Whether the difference is left at one step alone, of which the sides do not speak as such."""
        return tensor in self.cuts.clocks and not self.cuts.places_in(gap, tensor) <= self.cuts.places_in(side, tensor)

    def _latest(self, tensors: Sequence[Tensor], gap: Poly) -> Tensor:
        """The first of these; of a recurrence the one of which an entry is computed after all others."""
        first = tensors[0]
        if first not in self.cuts.clocks:
            return first
        rivals = [t for t in tensors if self._rank(t) == self._rank(first) and t in self.cuts.clocks]
        every = frozenset.intersection(*(tensors_in_term(m) for m, _ in gap.terms))
        aligned = self.cuts.aligned(gap, every.difference(tensors))
        times = {t: [self._at_one_step(time) for time in self.cuts.times_of(aligned, t)] for t in rivals}
        return next(
            (t for t in rivals if not any(_comes_before(times[t], times[r]) for r in rivals if r is not t)), first
        )

    def _at_one_step(self, time: Poly) -> Poly:
        """A time within a sum over the steps, with one name for their index, whatever the sum is."""
        bound = [i for i in time.free if i.name[0] != "p"]
        return self.cuts.substitute(time, {bound[0]: of_index(STEP)}) if len(bound) == 1 else time

    def _step(self, gap: Poly, own: frozenset[Tensor]) -> tuple[Tensor, Poly] | None:
        """The tensor to open next, and the difference with it opened.

        What stands in every term may cancel as it is; so first those that stand in some terms only, or read such ones:
        the user's that were not found, then cotangents that the user has not, the deepest first. Before another one is
        opened, each tensor is tried on its own: one that makes the difference shorter is the one.
        """
        held = [tensors_in_term(m) for m, _ in gap.terms]
        every, some = frozenset.intersection(*held), frozenset.union(*held)
        uneven = some - every
        uneven |= {t for t in every if self._reads.get(t, frozenset()) & uneven}
        group = self._openable(uneven - own)
        known = self._met & self._adjoints
        unmet = next((t for t in group if t in self._aliens or t in self._adjoints - known), None)
        if unmet is not None:
            for tensor in group if len(gap.terms) <= MOST_LACKING else ():  # one side may read what the other has
                if tensor in known and not (nothing := self.cuts.put_in(gap, tensor)).terms:
                    return tensor, nothing
            return unmet, self.cuts.put_in(gap, unmet)
        every_one = self._openable(some - own)
        best: tuple[Tensor, Poly] | None = None
        for tensor in every_one:
            shorter = self.cuts.put_in(gap, tensor)
            telling = len(gap.terms) == 1 or divides(gap, tensor)  # as it is, what it divides does not get shorter
            if not shorter.terms or (telling and self.cuts.vanishes_everywhere(shorter)):
                return tensor, shorter
            if len(shorter.terms) < len((best[1] if best else gap).terms):
                best = tensor, shorter
        if best is not None or not every_one:
            return best
        # what both sides have is the last to be opened
        first = next((t for t in (*group, *every_one) if t not in known), every_one[0])
        longer = self.cuts.put_in(gap, first)
        if first in self._forward and len(longer.terms) > len(gap.terms):  # unless a part of it is what one side has
            first = next((t for t in group if t in known), first)
        return first, self.cuts.put_in(gap, first)

    def _adds_up(self, tensor: Tensor) -> bool:
        """True for a sum of derivatives up to there and one more: another term of it is no deeper."""
        value = self._lines[tensor].value
        if tensor in self._forward or not isinstance(value, Add):
            return False
        return any(isinstance(t, Entry) and t.tensor.shape == tensor.shape for t in value.terms)

    def _openable(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        found = [t for t in tensors if self.cuts.is_defined(t)]
        return sorted(found, key=lambda t: (*self._rank(t), t.name), reverse=True)

    def _rank(self, tensor: Tensor) -> tuple[bool, bool, int]:
        """What is opened first: the user's tensors, then derivatives, the deepest first."""
        return tensor in self._aliens, tensor in self._adjoints, self._depth.get(tensor, 0)


def _has_a_lone_entry(gap: Poly) -> bool:
    """True if some term is an entry of a tensor that no other term reads: as it is, the difference is not 0."""
    read = Counter(t for mono, _ in gap.terms for t in tensors_in_term(mono))
    for mono, _ in gap.terms:
        if len(mono.factors) == 1 and not mono.bound:
            ((atom, exponent),) = mono.factors
            if atom.kind == "entry" and exponent == 1 and read[atom.data] == 1:
                return True
    return False


def _only_chooses(value: Expr) -> bool:
    """True for entries of other tensors, some here and some there: what is read under a guard computes nothing."""
    if isinstance(value, Where):
        return _only_chooses(value.then) and _only_chooses(value.otherwise)
    return isinstance(value, Entry | Number)


def _by_user_alone(names: Names, own: Mapping[Tensor, Lemma]) -> Names:
    """The same with the tensors that the user has, too, as his."""
    plain = {t: e.tensor for t, lemma in own.items() if (e := lemma.equation).value is Entry(t, e.indices)}

    def visit(node: Expr) -> Expr | None:
        known = plain.get(node.tensor) if isinstance(node, Entry) else None
        return Entry(known, node.indices) if known is not None and isinstance(node, Entry) else None

    return {old: plain.get(new, new) if isinstance(new, Tensor) else rewrite(new, visit) for old, new in names.items()}


def _comes_before(times: Sequence[Poly], others: Sequence[Poly]) -> bool:
    """True if one of the other times is after all of these that are at a known distance from it."""
    for other in others:
        gaps = [g for t in times if (g := as_constant(subtract(other, t))) is not None]
        if gaps and min(gaps) > 0:
            return True
    return False


def _summed_and_named(program: Program) -> set[Expr]:
    """The lengths of axes at which some entry stands at a place that is a number, or is asked whether it does; of these
    the ones over which something is summed, if there are any: what a loop has stacked is told entry by entry."""
    summed, named = set[Expr](), set[Expr]()
    for node in {n for e in program.equations for n in nodes_once(e.value)}:
        match node:
            case Entry(tensor, indices):
                named |= {n for i, n in zip(indices, tensor.shape, strict=True) if isinstance(i, Number)}
            case Kronecker(Number(), Index() as index) | Kronecker(Index() as index, Number()):
                named.add(index.size)
            case Sum(index) | Extremum(_, index) | Position(_, index):
                summed.add(index.size)
    return (summed & named) or named


def _extent(poly: Poly) -> int:
    """How long a polynomial is."""
    return sum(1 + len(mono.factors) for mono, _ in poly.terms)


def _length(size: Expr) -> int:
    return int(size.value) if isinstance(size, Number) else 0
