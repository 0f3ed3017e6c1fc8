"""The verdict on a traced forward and backward pass.

The gradients are derived from the forward's equations; numbers look for a disagreement, the normal form for a proof;
what is proved is replayed by the kernel and cross-examined by numbers before it is said. This module must not know
how functions are traced.
"""

from __future__ import annotations

import ast
import math
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np

from symbackprop.calculus.derivation import Gradient
from symbackprop.calculus.equality import WRITTEN_OUT
from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.reverse_mode import differentiate, with_cost
from symbackprop.checking.budget import SHARES, Budget
from symbackprop.checking.counterexample import Counterexample
from symbackprop.checking.diagnosis.calls import destination, with_calls
from symbackprop.checking.diagnosis.corrected_line import cured_lines
from symbackprop.checking.diagnosis.diagnose import MAXIMUM_CURE, Diagnosis, Refuted, diagnoses
from symbackprop.checking.diagnosis.rare_branches import RareBranch, rare_branches, without
from symbackprop.checking.diagnosis.search import SYMMETRIC_PART
from symbackprop.checking.diagnosis.skipped_lines import skipped_lines
from symbackprop.checking.domains import conditions_of
from symbackprop.checking.kinks import conventions, conventions_elsewhere, oriented
from symbackprop.checking.lookalikes import Places
from symbackprop.checking.overflow import overflow
from symbackprop.checking.partial_sums import with_inner_sums, with_partial_sums
from symbackprop.checking.progress import report
from symbackprop.checking.proof_search import (
    COMPOSED,
    LONG,
    PATIENT,
    WHOLE,
    Attempt,
    Sides,
    Strategy,
    search_proof,
)
from symbackprop.checking.question import Examination, Question
from symbackprop.checking.refute import (
    AT_A_GLANCE,
    Stage,
    cross_examine,
    refute,
    refute_at_small_sizes,
    refute_beside_ties,
    refute_on_thresholds,
    refute_outside,
    wrong_gradients,
)
from symbackprop.checking.rounded_constants import ROUNDING, rounded_to, without_rounding
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.threshold_points import sites
from symbackprop.checking.user_lines import numbered
from symbackprop.checking.verdict import CuredLine, Verdict
from symbackprop.errors import (
    BudgetError,
    MalformedError,
    ProofError,
    SymbackpropError,
    UnsupportedError,
)
from symbackprop.evaluation.number_types import FLOAT
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    ZERO,
    Entry,
    Expr,
    Index,
    Symbol,
    SymmetricTensor,
    Tensor,
    add,
    multiply,
    nodes_once,
    number,
)
from symbackprop.expression.program import Equation, defined_once, unused
from symbackprop.expression.recurrence import Recurrence, in_order
from symbackprop.expression.shown import enumerated
from symbackprop.frontends.numpy.errors import ShapesDoNotFit
from symbackprop.frontends.numpy.time_limit import OutOfTime, alarm
from symbackprop.frontends.numpy.traced import Traced
from symbackprop.normal_form.indicators import AT_KINK
from symbackprop.normal_form.rules_extrema import NO_TIES
from symbackprop.normal_form.work_time import is_counted
from symbackprop.rendering.text import to_text

SLIGHT = 1e-3  # a relative difference that rounded constants make
UNEXAMINED = "the normal forms are equal, but no point was found at which numbers could cross-examine the proof"
DISAGREES = "internal error: the proof and the numbers disagree; please report this case"
BESIDE_BRANCHES = 20  # points beside thresholds, after those on them
BESIDE_TIES = 12  # points at which entries may always be equal that a largest one is taken of
MOST_SUSPICIOUS = 3  # points
MOST_RARE = 4  # branches of which each is asked about by itself
MAXIMUM_WRITTEN = 40  # characters of the user's code in a sentence
_TERMS = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant)
BEYOND = 2.0  # seconds that the search for a cause may take too long, where a step of it does not look at the clock
ENOUGH_POINTS = 3  # in floating point, where one exact point of a whole model takes seconds


Easier = Callable[[], Verdict | None]


def untraced(error: SymbackpropError, subject: str) -> Verdict:
    """The verdict where the functions could not be followed."""
    undecided = isinstance(error, (UnsupportedError, BudgetError)) and not isinstance(error, ShapesDoNotFit)
    return Verdict(
        "UNDECIDED" if undecided else "MALFORMED", subject, reason=str(error), diagnosis="" if undecided else error.what
    )


@dataclass(frozen=True)
class ProofGoal:
    """A traced pair with the derived gradients beside the claimed ones.

    Args:
        formula: the left side, where what is claimed is a formula: a backward pass of one line.
    """

    traced: Traced
    gradient: Gradient
    question: Question
    formula: Entry | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The gradients that are claimed."""
        return tuple(self.question.pairs)

    def with_names(self, verdict: Verdict) -> Verdict:
        """The verdict with what a document shows of the matter: the derived equations, and the claimed ones.

        Of a formula it shows the formula.
        """
        if self.formula is not None:
            return verdict
        program = self.gradient.adjoint
        if verdict.lemmas:  # which may speak of partial sums
            own = (e for e in self.sides.derived.equations if e.tensor in program.by_tensor or e.value is not ZERO)
            program = replace(program, equations=tuple(own))
        return replace(
            verdict,
            notes=(*verdict.notes, self.traced.reading) if self.traced.reading else verdict.notes,
            program=program,
            claim=self.traced.backward,
            called=self.called,
            claims=self.traced.gradients,
            evidence=(self.gradient, self.question),
        )

    @property
    def is_long(self) -> bool:
        """True for whole models, of which equal intermediates are sought first."""
        return self.sides.is_long

    @cached_property
    def derived(self) -> dict[str, Tensor]:
        """By name, the derived gradient of each input; a tensor of zeros if the cost does not depend on it."""
        taken = {t.name for t in (*self.gradient.adjoint.tensors, *self.traced.backward.tensors)}
        found: dict[str, Tensor] = {}
        for name, (tensor, _) in self.question.pairs.items():
            bar = self.gradient.cotangents.get(tensor)
            symmetric = bar is not None and isinstance(tensor, SymmetricTensor)
            if bar is None or symmetric:
                bar = Tensor(unused(f"{'symmetric' if symmetric else 'zeros'}_{name}", taken), tensor.shape)
            found[name] = bar
        return found

    @cached_property
    def sides(self) -> Sides:
        """Both programs, the derived one with an equation for each gradient that is 0."""
        adjoint = self.gradient.adjoint
        added = []
        for name, bar in self.derived.items():
            tensor, _ = self.question.pairs[name]
            if bar in adjoint.by_tensor:
                continue
            if tensor in self.gradient.cotangents:
                added.append(symmetric_part(bar, self.gradient.cotangents[tensor]))
            else:
                added.append(Equation(bar, tuple(Index(f"i{k}", n) for k, n in enumerate(bar.shape)), ZERO))
        derived = replace(adjoint, equations=(*adjoint.equations, *added)) if added else adjoint
        derived = with_partial_sums(derived, self.gradient.program.by_tensor)
        if len(derived.equations) + len(self.traced.backward.equations) > LONG:
            derived = with_inner_sums(derived, self.gradient.program.by_tensor)
        by_name = self.formula is not None
        return Sides(self.question, derived, self.traced.backward, bool(self.traced.sizes), by_name)

    @cached_property
    def suspicious(self) -> tuple[Point, ...]:
        """Points at which floating point shows a gradient of a whole model to be wrong: there exact numbers are asked.

        One point costs so much there that it must be chosen.
        """
        inputs = {claimed: tensor for tensor, claimed in self.question.pairs.values()}
        for _, places in self._disagreements:
            self.question.told_entries.update({inputs[t]: place for t, place in places.items()})
        points = tuple(point for point, _ in self._disagreements[:MOST_SUSPICIOUS])
        for point in points:
            if (floats := self._in_floats(point)) is not None:
                self.question.told_floats[id(point)] = floats
        return points

    @cached_property
    def _disagreements(self) -> list[tuple[Point, Places]]:
        if not self.is_long or self.formula is not None:
            return []
        moving = self.gradient.cotangents
        pairs = {claimed: self.derived[n] for n, (tensor, claimed) in self.question.pairs.items() if tensor in moving}
        return self.sides.alike.disagreements(pairs.items())

    @property
    def seen_wrong(self) -> frozenset[str]:
        """The gradients of a whole model that floating point shows to be wrong."""
        shown = {t for _, places in self._disagreements for t in places}
        return frozenset(n for n, (_, claimed) in self.question.pairs.items() if claimed in shown)

    def _in_floats(self, point: Point) -> Examination | None:
        """Both sides in floating point at a point at which they have been compared; None where some have no numbers."""
        values = self.sides.alike.values_at(point)
        pairs = {n: (claimed, self.derived[n]) for n, (_, claimed) in self.question.pairs.items()}
        if any(t not in values for pair in pairs.values() for t in pair):
            return None
        claimed, derived = ({n: dict(np.ndenumerate(values[pair[k]])) for n, pair in pairs.items()} for k in range(2))
        return Examination(point, FLOAT, claimed, derived, {})

    @property
    def seen_alike(self) -> bool:
        """True for a whole model in which floating point shows all gradients to be right, as far as it can."""
        pairs = self.question.pairs.items()
        moving = all(tensor in self.gradient.cotangents for _, (tensor, _) in pairs)
        if self.sides.length <= LONG or self.formula is not None or not moving or self.suspicious:
            return False
        both = [t for name, (_, claimed) in pairs for t in (claimed, self.derived[name])]
        return self.sides.alike.points_of(both) >= ENOUGH_POINTS

    @property
    def called(self) -> dict[str, str]:
        """The user's own names, by those of the tensors."""
        return {tensor.name: name for tensor, name in self.traced.variables.items()}


class Look(NamedTuple):
    """A stage of the judgement: numbers that may refute.

    Args:
        share: of the budget.
        seed: another one for another choice of points.
        points: after how many that show nothing it is given up; None for as many as there are.
    """

    stage: Stage
    share: str
    seed: int = 0
    points: int | None = None


class Tries(NamedTuple):
    """A stage of the judgement: strategies that may prove what is left.

    Args:
        strategies: none for the quick ones, in the order that suits the goal.
        share: of the budget, for all of them together; "" for what each of them has.
    """

    strategies: tuple[Strategy, ...] = ()
    share: str = ""


PROVED_RIGHT = "proved right"
GLANCE = Look("first look", "first look", points=AT_A_GLANCE)
FIRST_LOOK = Look("first look", "first look")
# The quick ways to a proof come before the search for thin regions, the patient ones after it.
PATIENTLY = (Look("directed", "directed look"), Tries(PATIENT, "patient"), Look("all", "last look", 1))
CLOSER = (Tries(), *PATIENTLY)
STAGES = (GLANCE, Tries(), FIRST_LOOK._replace(seed=2), *PATIENTLY)


def decide_pair(traced: Traced, subject: str, scope: str, budget: Budget, easier: Easier | None = None) -> Verdict:
    """PROVED, REFUTED, UNDECIDED or MALFORMED.

    Args:
        scope: the sizes of which a proof speaks.
        easier: a proof of more than is asked, which may be easier, or None; sought once numbers have looked.
    """
    try:
        goal = goal_of(traced)
    except SymbackpropError as error:
        return untraced(error, subject)
    subject = f"{subject}: {enumerated(goal.names)}"
    malformed = of_wrong_shape(goal, subject)
    if malformed is not None:
        return malformed
    if easier is not None and look(goal, goal.names, FIRST_LOOK, budget) is None and (proved := easier()) is not None:
        return proved
    return decide(goal, subject, scope, budget, STAGES)


def confirm_pair(traced: Traced, subject: str, budget: Budget) -> Verdict:
    """PROVED or UNDECIDED: the quick ways to a proof alone, with all that is asked of one before it is said."""
    goal = goal_of(traced)
    if of_wrong_shape(goal, subject) is not None:
        return Verdict("UNDECIDED", subject, reason="a gradient has another shape than its input")
    proof = prove(goal, goal.names, goal.sides.quick, budget)
    if proof.unproved:
        return Verdict("UNDECIDED", subject, reason=proof.reason)
    return _confirmed(goal, subject, "all sizes", proof, budget)


def decide(
    goal: ProofGoal, subject: str, scope: str, budget: Budget, stages: Sequence[Look | Tries] = CLOSER
) -> Verdict:
    """The verdict on what is claimed: numbers that refute and strategies that prove, in turn.

    What is proved is cross-examined before it is said; of what is refuted a cause is sought.

    Args:
        stages: the cheap ones first.
    """
    proof = Attempt(goal.names, (), "")
    found = None
    try:
        for stage in stages:
            if isinstance(stage, Look):
                found = look(goal, proof.unproved, stage, budget)
                if found is not None:
                    break
            elif not (stage.share and goal.sides.is_long):  # a whole model is not compared as a whole
                strategies = stage.strategies or goal.sides.quick
                part = budget.part(stage.share) if stage.share else budget
                proof = proof.then(prove(goal, proof.unproved, strategies, part))
                if not proof.unproved:
                    return _confirmed(goal, subject, scope, proof, budget)
                turned = None if stage.strategies or goal.formula else _with_slopes_of_claim(goal.traced)
                if turned is not None:
                    other = _goal(turned)
                    again = prove(other, other.names, other.sides.quick, budget)
                    if not again.unproved:
                        return _confirmed(other, subject, scope, again, budget)
    except (SymbackpropError, ArithmeticError) as error:
        return no_answer(error, subject)
    if found is None:
        right = [n for n in goal.names if n not in proof.unproved]
        told = [f"shown to be right so far, {len(right)} of {len(goal.names)}: {enumerated(right)}"] if right else []
        notes = (*told, _tried(proof))
        return Verdict("UNDECIDED", subject, reason=proof.reason, notes=notes, lemmas=proof.lemmas)
    turned = None if goal.formula else _with_slopes_of_claim(goal.traced)
    # the slopes at kinks are a convention: a cure need not change them
    return refuted(goal if turned is None else _goal(turned), subject, found, budget, scope)


def look(goal: ProofGoal, names: Sequence[str], stage: Look, budget: Budget) -> Counterexample | None:
    """What numbers alone have to say of some gradients."""
    question = goal.question if len(names) == len(goal.names) else goal.question.only(names)
    at = goal.suspicious if stage.stage == "first look" else ()
    if stage.stage == "first look" and goal.seen_alike:
        return None
    report("exact numbers")
    seconds = budget.part(stage.share).left
    return refute(question, budget_seconds=seconds, seed=stage.seed, stage=stage.stage, at=at, most=stage.points)


def no_answer(error: SymbackpropError | ArithmeticError, subject: str) -> Verdict:
    """The verdict where neither a proof nor numbers could be had."""
    if isinstance(error, ArithmeticError):
        return Verdict("UNDECIDED", subject, reason=f"no point could be examined: {error}")
    if isinstance(error, MalformedError):
        return Verdict("MALFORMED", subject, reason=str(error), diagnosis=error.what)
    return Verdict("UNDECIDED", subject, reason=str(error))


def goal_of(traced: Traced) -> ProofGoal:
    """Derive the gradients and pair them with the claimed ones; of a whole model with its own slopes at kinks."""
    whole = 2 * len(traced.forward.equations) + len(traced.backward.equations) > LONG
    return _goal((_with_slopes_of_claim(traced) or traced) if whole else traced)


def _with_slopes_of_claim(traced: Traced) -> Traced | None:
    """The same with branches written so that their slopes at kinks are those of the claim; None if they are."""
    side = next(iter(conventions(traced.backward)), None)
    elsewhere = conventions_elsewhere(traced.backward)
    if side is None and not elsewhere:
        return None
    forward, backward = (oriented(p, side, elsewhere) for p in (traced.forward, traced.backward))
    if forward.equations == traced.forward.equations:
        return None
    forward = replace(forward, conditions=(*forward.conditions, AT_KINK))  # there the slope is a convention
    repeated = traced.repeated and oriented(traced.repeated, side, elsewhere)
    return replace(traced, forward=forward, backward=backward, repeated=repeated)


def _goal(traced: Traced) -> ProofGoal:
    traced = _with_symmetric_parts(traced)
    program, upstream = with_cost(traced.forward, traced.upstream, traced.backward.tensors)
    used = {t.name for t in (*program.tensors, *traced.backward.tensors)}
    gradient = differentiate(program, name=lambda t: unused(f"{t.name}_bar", used))
    inputs = {t.name: t for t in traced.forward.inputs}
    pairs = {name: (inputs[name], tensor) for name, tensor in traced.gradients.items()}
    question = Question(traced.forward, traced.backward, pairs, upstream, told_sizes=traced.telling)
    return ProofGoal(traced, gradient, question)


def symmetric_part(tensor: Tensor, gradient: Tensor) -> Equation:
    """A tensor as the symmetric part of another: half of it and of its transpose."""
    indices = tuple(Index("pqrstuij"[k - len(tensor.shape)], n) for k, n in enumerate(tensor.shape))
    turned = (*indices[:-2], indices[-1], indices[-2])
    both = add(Entry(gradient, indices), Entry(gradient, turned))
    return Equation(tensor, indices, multiply(number(Fraction(1, 2)), both), SYMMETRIC_PART)


def _with_symmetric_parts(traced: Traced) -> Traced:
    """With the symmetric part of what is claimed of a symmetric input: that alone says how the cost moves."""
    inputs = {t.name: t for t in traced.forward.inputs}
    taken = {t.name for t in (*traced.forward.tensors, *traced.backward.tensors)}
    found, added = dict(traced.gradients), []
    for name, claimed in traced.gradients.items():
        if isinstance(inputs[name], SymmetricTensor) and claimed.shape == inputs[name].shape:
            found[name] = Tensor(unused(f"symmetric_d{name}", taken), claimed.shape)
            added.append(symmetric_part(found[name], claimed))
    if not added:
        return traced
    backward = replace(traced.backward, equations=(*traced.backward.equations, *added), outputs=tuple(found.values()))
    return replace(traced, backward=backward, gradients=found)


def _symmetric_inputs(traced: Traced) -> tuple[str, ...]:
    """What is said of symmetric inputs and their gradients."""
    kinds = {a.tensor: a.kind for a in traced.forward.assumptions}
    told = {"symmetric": "symmetric", "spd": "symmetric and positive definite"}
    return tuple(
        f"{t.name} is {told[kinds[t]]}, and its gradient is judged by its symmetric part, (G + G^T)/2: no other part "
        "of it says how symmetric matrices move the cost"
        for t in traced.forward.inputs
        if isinstance(t, SymmetricTensor) and t in kinds
    )


def of_wrong_shape(goal: ProofGoal, subject: str) -> Verdict | None:
    """MALFORMED if a gradient has another shape than its input; the others are examined by numbers all the same."""
    pairs = goal.question.pairs
    misfits = [n for n, (tensor, claimed) in pairs.items() if _shapes_differ(goal.question, tensor, claimed)]
    if not misfits:
        return None
    tensor, claimed = pairs[misfits[0]]
    rest = [n for n in pairs if n not in misfits]
    seconds = SHARES["first look"].seconds
    others = wrong_gradients(goal.question.only(rest), budget_seconds=seconds, stage="first look") if rest else []
    error = MalformedError(
        f"the gradient of {misfits[0]} has another shape than {misfits[0]}",
        evidence=[f"{misfits[0]}:  {shape_text(tensor)}", f"d{misfits[0]}:  {shape_text(claimed)}"],
    )
    wrong = tuple(n for n in pairs if n in misfits or n in others)
    return Verdict("MALFORMED", subject, wrong=wrong, reason=str(error), diagnosis=error.what)


def _shapes_differ(question: Question, tensor: Tensor, claimed: Tensor) -> bool:
    """True if there are sizes in the domain at which the shapes differ: (T, D) is (T, 2*E) where D == 2*E."""
    if tensor.shape == claimed.shape:
        return False
    if len(tensor.shape) != len(claimed.shape):
        return True
    sampler = Sampler(question, random.Random(0))
    return any(sampler.shape(tensor, s) != sampler.shape(claimed, s) for s in sampler.size_choices())


def shape_text(tensor: Tensor) -> str:
    """A shape as the user would write it."""
    return "(" + ", ".join(to_text(size) for size in tensor.shape) + ("," if len(tensor.shape) == 1 else "") + ")"


def prove(goal: ProofGoal, names: Iterable[str], strategies: Iterable[Strategy], budget: Budget) -> Attempt:
    """Compare each claimed gradient with the derived one, by normal form."""
    pairs = {name: (goal.traced.gradients[name], goal.derived[name]) for name in names}
    return search_proof(goal.sides, pairs, strategies, budget)


def _confirmed(goal: ProofGoal, subject: str, scope: str, proof: Attempt, budget: Budget) -> Verdict:
    """PROVED, after NumPy has run both functions, the kernel replayed the derivation, and exact numbers were asked."""
    unproved = proof.reason if proof.unproved else goal.traced.unasked or _not_repeated(goal, budget)
    if proof.unproved or unproved:
        return Verdict("UNDECIDED", subject, reason=unproved)
    try:
        used = dict.fromkeys((*proof.used, *_replayed(goal)))
    except ProofError as error:
        return Verdict("UNDECIDED", subject, reason=f"the kernel does not accept the derivation: {error.what}")
    facts = goal.gradient.program.facts
    composition = proof.composition if goal.is_long else None
    asked = conditions_of(goal.question, facts, expanded=goal.sides.expanded, composition=composition)
    report("cross-examination by numbers")
    try:
        # of a whole model one point is asked with bounds on every error; floating point has seen it at several others
        answer = cross_examine(goal.question, points=1 if goal.is_long else 2)
        open = any(c.open for c in asked) or NO_TIES in used
        found: Counterexample | None = None
        if answer is True:
            found, unmet = _where_it_does_not_hold(goal, open, AT_KINK in used or NO_TIES in used)
            if unmet:
                return Verdict(
                    "UNDECIDED", subject, reason=f"rounding decides whether {unmet}, where the claim is another"
                )
        elif asked and not math.isfinite(answer.entry.claimed):
            found = answer
        if answer is True and found is None and sites(goal.question):
            share = SHARES["branches at stated sizes" if goal.traced.sizes else "branches"]
            beside = refute(goal.question, budget_seconds=share.seconds, seed=1, stage="directed", most=BESIDE_BRANCHES)
            answer = beside or True
    except (UnsupportedError, ArithmeticError):
        told = _out_of_range(goal)
        return Verdict("UNDECIDED", subject, reason=f"{UNEXAMINED}: {told}" if told else UNEXAMINED)
    if found is not None:
        return refuted(goal, subject, found, budget)
    if answer is not True:
        return Verdict("UNDECIDED", subject, reason=DISAGREES, counterexample=answer)
    read = (*goal.traced.forward.conditions, *goal.traced.backward.conditions)
    about = _symmetric_inputs(goal.traced)
    conditions = tuple(dict.fromkeys((*read, *about, *used, *(c.text for c in asked))))
    unjudged = _unjudged(goal.traced) if goal.formula is None else ()
    verdict = Verdict("PROVED", subject, scope=scope, conditions=conditions, unjudged=unjudged, lemmas=proof.lemmas)
    return goal.with_names(replace(verdict, notes=_without_steps(goal)))


def _out_of_range(goal: ProofGoal) -> str:
    """Where numbers are too large at an ordinary point, in words; "" if they are not."""
    sampler = Sampler(goal.question, random.Random(7))
    sizes = next(iter(sampler.size_choices()), None)
    traced = goal.traced
    lines = defined_once((*traced.forward.equations, *traced.backward.equations)).values()
    return "" if sizes is None else overflow(tuple(lines), traced.variables, sampler.point(sizes))


def _without_steps(goal: ProofGoal) -> tuple[str, ...]:
    """The lengths of recurrences, which are never 0: what the code does without a step is not spoken of."""
    found = [b for b in (*goal.traced.forward.blocks, *goal.traced.backward.blocks) if isinstance(b, Recurrence)]
    lengths = [t.shape[axis] for b in found for t, clock in b.clocks.items() for axis in clock.axes]
    names = sorted({n.name for length in lengths for n in nodes_once(length) if isinstance(n, Symbol)})
    return (f"sizes are 1 or more; left out: {enumerated([f'{n} = 0' for n in names])}",) if names else ()


def _not_repeated(goal: ProofGoal, budget: Budget) -> str:
    """Why it is not proved that a rule's forward returns what the function does; "" if it is, or there is none."""
    forward, repeated = goal.traced.forward, goal.traced.repeated
    if repeated is None:
        return ""
    pairs = {t.name: (t, own) for t, own in zip(repeated.outputs, forward.outputs, strict=True)}
    sides = Sides(goal.question, forward, repeated, bool(goal.traced.sizes))
    if not search_proof(sides, pairs, (WHOLE, COMPOSED), budget).unproved:
        return ""
    return "it is not proved that the forward of the rule returns what the function itself returns"


def _where_it_does_not_hold(goal: ProofGoal, open: bool, at_kinks: bool) -> tuple[Counterexample | None, str]:
    """A point at which the claim has no value, or a wrong one: where it asks for more than the forward pass, on a
    threshold, or where an axis is empty. Equal normal forms say nothing of such points. And a branch of which rounding
    decides.

    Args:
        open: whether what it asks for may fail on a set that matters.
        at_kinks: whether the proof leaves out what is on thresholds.
    """
    seconds = SHARES["outside"].seconds
    found = None if goal.seen_alike else refute_at_small_sizes(goal.question, SHARES["first look"].seconds)
    if found is not None:
        return found, ""
    found, unmet = refute_on_thresholds(goal.question, seconds, at_kinks)
    found = found or refute_beside_ties(goal.question, seconds, 1 if goal.is_long else BESIDE_TIES)
    if found is None and open:
        found = refute_outside(goal.question, seconds)
    return found, unmet


def _replayed(goal: ProofGoal) -> list[str]:
    """The conditions of the derivations, which the kernel accepts; with short axes written out only if need be.

    Raises:
        ProofError: it does not accept them.
    """
    strategies = [WRITTEN_OUT] if goal.traced.sizes else [0, WRITTEN_OUT]
    for expanded in strategies:
        kernel = Kernel(goal.gradient.program, expanded=expanded)
        try:
            return list(_conditions_of_replay(kernel, goal.gradient))
        except ProofError:
            if expanded == strategies[-1]:
                raise
    raise AssertionError("there is at least one way")


def _conditions_of_replay(kernel: Kernel, gradient: Gradient) -> Iterator[str]:
    for k, derivation in enumerate(gradient.derivations.values()):
        report("derivatives replayed by the kernel", k, len(gradient.derivations))
        yield from kernel.replay(derivation)


def _unjudged(traced: Traced) -> tuple[str, ...]:
    """The inputs of which no gradient was returned, though nothing says that they are data."""
    data = {a.tensor for a in traced.forward.assumptions}
    inputs = [t for t in traced.forward.inputs if t.kind == "real" and t not in data]
    return tuple(t.name for t in inputs if t.name not in traced.gradients)


def _tried(proof: Attempt) -> str:
    return (
        f"not decided: {enumerated(proof.unproved)}; numbers agree at every point tried, which is evidence and no proof"
    )


def refuted(goal: ProofGoal, subject: str, found: Counterexample, budget: Budget, scope: str | None = None) -> Verdict:
    """REFUTED, with the gradients that are wrong, those that are proved right, and a cure where one is proved.

    PROVED up to rounding where the claim's constants are the right ones but for a rounding error of float64.

    Args:
        scope: of a proof; None where none is asked for.
    """
    if goal.formula is None and abs(found.entry.difference) <= SLIGHT * abs(found.entry.correct):
        told = _up_to_rounding(goal, subject, found, budget, scope)
        if told is not None:
            return told
    seconds = budget.part("which are wrong").left
    certain = {found.entry.name}
    if len(goal.names) > 1:
        certain |= {
            *wrong_gradients(
                goal.question,
                budget_seconds=seconds,
                stage="first look",
                at=goal.suspicious,
                most=AT_A_GLANCE,
                enough=goal.seen_wrong,
            )
        }
    doubtful = [n for n in goal.names if n not in certain]
    lines = goal.sides.length if goal.is_long else 0
    patient = () if goal.is_long else PATIENT  # a whole model is not compared as a whole
    proof = prove(goal, doubtful, (*goal.sides.quick, *patient), budget.part("which are right", lines))
    if proof.unproved:
        seconds = budget.part("which of the unproved are wrong").left
        certain |= {*wrong_gradients(goal.question, proof.unproved, budget_seconds=seconds)}
    wrong = [n for n in goal.names if n in certain]
    exists = math.isfinite(found.entry.claimed)
    lines = len(goal.traced.backward.equations) if goal.is_long else 0
    report("the cause")
    sought = exists and not budget.spent
    cause = _cause(goal, wrong, found, budget, lines) if sought else None
    if sought and goal.formula is None and not budget.spent:
        cause = _but_for_rare_branches(goal, wrong, found, cause, budget.part("without rare branches", lines))
    nothing = "" if exists else f"{found.entry.name}: no number (nan or infinite) where the gradient is finite"
    right = [n for n in doubtful if n not in proof.unproved]
    at = f" at {stated}" if (stated := sizes_in_words(goal.traced.sizes)) else ""
    notes: tuple[str, ...] = (f"{PROVED_RIGHT}{at}: {enumerated(right)}",) if right else ()
    notes += _left_open(goal, [n for n in goal.names if n not in (*wrong, *right)], budget)
    notes += _symmetric_inputs(goal.traced)
    cured = cured_lines(goal.traced.backward, goal.called, cause.lines) if cause else ()
    names = _unknown_to_the_user(goal)
    strange = names - numbered(goal.called)
    cured = tuple(line for line in cured if not strange & _identifiers(line.text))
    return goal.with_names(
        Verdict(
            "REFUTED",
            subject,
            wrong=tuple(wrong),
            diagnosis=_in_words(goal, cause) if cause else nothing,
            cure=_cure(goal, cause, cured, names),
            counterexample=found,
            notes=notes,
            cured=cured,
            formulas=_cure_of_formula(goal, cause),
            cure_scope=stated,
        )
    )


def _left_open(goal: ProofGoal, names: Sequence[str], budget: Budget) -> tuple[str, ...]:
    """What is said of gradients that are neither proved right nor seen to be wrong, beside others that are wrong."""
    if not names:
        return ()
    open_names, notes = list(names), list[str]()
    if goal.formula is None and not budget.spent and (rare := rare_branches(goal.traced, goal.question)):
        try:
            ordinary = _goal(without(goal.traced, rare))
            part = budget.part("without rare branches")
            open_names = list(prove(ordinary, names, ordinary.sides.quick, part).unproved)
        except SymbackpropError:
            pass
        right = [n for n in names if n not in open_names]
        wherever = " and ".join(dict.fromkeys(b.text for b in rare))
        notes += [f"{enumerated(right)}: right wherever {wherever} (proved); elsewhere not decided"] if right else []
    notes += [f"not decided: {enumerated(open_names)}"] if open_names else []
    return tuple(notes)


def sizes_in_words(sizes: Mapping[str, int]) -> str:
    """Sizes that are stated, as verdicts name them."""
    return ", ".join(f"{name} = {n}" for name, n in sizes.items())


def _cure_of_formula(goal: ProofGoal, cause: Diagnosis | None) -> tuple[tuple[str, Expr, Expr], ...]:
    """The formula as it would be right, where one was claimed."""
    if goal.formula is None or cause is None or not cause.lines:
        return ()
    return (("cure", goal.formula, cause.lines[0].value),)


def _identifiers(text: str) -> set[str]:
    """The names of tensors in a formula or a sentence: an index may be called as a tensor is."""
    named = re.findall(r"(?:(?<=factor )|(?<=factors )|(?<=[/*]))[A-Za-z_]\w*", text)
    named += re.findall(r"[A-Za-z_]\w*(?= belongs where | stands\b)", text)
    return (
        {*named} | set(re.findall(r"[A-Za-z_]\w*(?=\[| as claimed|$)", text)) | set(re.findall(r"^[A-Za-z_]\w*", text))
    )


def _unknown_to_the_user(goal: ProofGoal) -> set[str]:
    """Names of tensors that the user's code does not have: t_bar, t_11."""
    traced = goal.traced
    programs = (goal.gradient.program, goal.gradient.adjoint, traced.forward, traced.backward)
    own = {*goal.called.values(), *(t.name for t in (*traced.forward.inputs, *traced.upstream))}
    own |= {f"d{name}" for name in goal.names}
    return {t.name for program in programs for t in program.tensors} - own


def _explained(goal: ProofGoal, words: str, names: set[str]) -> str:
    """The words, with what the user wrote for each name that his code does not have, or what such a name stands for."""
    forward = {e.tensor.name: e for e in goal.gradient.program.equations}
    lines = forward | {e.tensor.name: e for e in goal.traced.backward.equations}
    told = []
    for name in sorted(n for n in names & _identifiers(words) if n in lines):
        written = lines[name].written
        put = destination(goal.traced.ran, lines[name].tensor, written)
        words = re.sub(rf"\b{name}(?= belongs where | stands\b)", put or name, words)
        if name not in _identifiers(words):
            continue
        if 0 < len(written) <= MAXIMUM_WRITTEN:
            term = written if isinstance(ast.parse(written, mode="eval").body, _TERMS) else f"({written})"
            words = term.join(re.split(rf"\b{name}\b", words))
            if name in forward:  # in the backward pass its names may stand for something else
                told.append(f"{written} is {lines[name].note}")
        else:
            told.append(f"{name} is {written or to_text(lines[name].value)}, {lines[name].note}")
    return f"{words}, where {'; '.join(told)}" if told else words


def _in_words(goal: ProofGoal, cause: Diagnosis) -> str:
    """What is wrong, each fault by itself."""
    faults: dict[str, Diagnosis] = {}
    for fault in cause.faults:  # one line of a helper may be wrong in several of its calls
        before = faults.setdefault(fault.words, fault)
        if before is not fault:
            faults[fault.words] = replace(before, lines=(*before.lines, *fault.lines))
    return "; and ".join(dict.fromkeys(_fault_in_words(goal, fault) for fault in faults.values()))


def _fault_in_words(goal: ProofGoal, cause: Diagnosis) -> str:
    """What is wrong; first which of the user's lines the round of a loop with the fault leaves out, if it does."""
    words = _explained(goal, cause.words, _unknown_to_the_user(goal))
    before = goal.traced.backward.by_tensor
    changed = {e.tensor for e in cause.lines if e.tensor in before and e.value is not before[e.tensor].value}
    words = with_calls(words, goal.traced.ran, changed or set(cause.at))
    skipped = skipped_lines(goal.traced.ran, [e.tensor for e in cause.lines], cause.words)
    left_out = skipped.told
    if not left_out:
        return words
    if cause.text and any(words.startswith(f"line {n}: ") for n in skipped.lines):
        return left_out  # that this line should be another one says less
    there = re.sub(r"^(line \d+): (\w+) should be", r"there \2 (\1) should be", words)
    return f"{left_out}; {there}"


def _up_to_rounding(
    goal: ProofGoal, subject: str, found: Counterexample, budget: Budget, scope: str | None
) -> Verdict | None:
    """The verdict on a claim that is right but for rounded constants; None on others."""
    claimed, rounded = without_rounding(goal.traced.forward, goal.traced.backward)
    if not rounded or budget.spent:
        return None
    try:
        exact = goal_of(replace(goal.traced, backward=claimed))
        proof = prove(exact, exact.names, exact.sides.quick, budget.part("without rounding"))
        if proof.unproved:
            return None
        verdict = _confirmed(exact, subject, scope or "", proof, budget)
    except SymbackpropError:
        return None
    if verdict.status != "PROVED":
        return None
    worst = max(r.error for r in rounded)
    if worst <= ROUNDING:
        conditions = (*verdict.conditions, *(f"{r.text}, up to rounding of constants" for r in rounded))
        return None if scope is None else replace(verdict, conditions=conditions)
    words = f"right up to constants rounded to {rounded_to(rounded)}: {'; '.join(r.text for r in rounded)}"
    others = wrong_gradients(goal.question, [n for n in goal.names if n != found.entry.name])
    wrong = tuple(n for n in goal.names if n == found.entry.name or n in others)
    return goal.with_names(Verdict("REFUTED", subject, wrong=wrong, diagnosis=words, counterexample=found))


def _but_for_rare_branches(
    goal: ProofGoal, wrong: Sequence[str], found: Counterexample, cause: Diagnosis | None, budget: Budget
) -> Diagnosis | None:
    """The cause, if nothing or something else is wrong where no rare branch of the forward pass is taken."""
    rare = rare_branches(goal.traced, goal.question)
    if not rare:
        return cause
    traced = without(goal.traced, rare)
    try:
        ordinary = _goal(traced)
        proof = prove(ordinary, wrong, ordinary.sides.quick, budget)
    except SymbackpropError:
        return cause
    if not proof.unproved:
        words = _right_wherever(_needed(goal, rare, wrong, budget))
        return replace(cause, words=f"{words}: {cause.words}") if cause and cause.text else Diagnosis(words)
    if cause is not None and cause.text:
        return cause
    plain = _cause(ordinary, list(proof.unproved), found, budget, 0)
    if plain is None or not plain.text:
        return cause
    words = "; and ".join(dict.fromkeys(fault.words for fault in plain.faults))
    lines = (*traced.forward.equations, *traced.backward.equations, *plain.lines)  # a cure may speak of either pass
    own = {e.tensor: e for e in lines}
    try:
        cured = replace(traced, backward=replace(traced.backward, equations=in_order(own.values())))
        mended = not prove(_goal(cured), wrong, ordinary.sides.quick, budget).unproved
    except SymbackpropError:
        mended = False
    if not mended or not plain.lines:  # of several faults some are left
        return Diagnosis(words)
    return Diagnosis(f"{words}; with {plain.text} it is {_right_wherever(rare)}")


def _needed(
    goal: ProofGoal, rare: Mapping[RareBranch, bool], names: Sequence[str], budget: Budget
) -> Mapping[RareBranch, bool]:
    """Those of rare branches without which the claim is not proved: it may know the others, or have its own."""
    texts = dict.fromkeys(b.text for b in rare)  # both passes ask the same
    for text in texts if len(texts) <= MOST_RARE else ():
        fewer = {b: holds for b, holds in rare.items() if b.text != text}
        try:
            ordinary = _goal(without(goal.traced, fewer))
            if fewer and not prove(ordinary, names, ordinary.sides.quick, budget).unproved:
                rare = fewer
        except SymbackpropError:
            continue
    return rare


def _right_wherever(rare: Iterable[RareBranch]) -> str:
    """Where a claim is right, and that it is not elsewhere."""
    rare = list(rare)
    wherever = " and ".join(dict.fromkeys(b.text for b in rare))
    places = " and ".join(dict.fromkeys(b.place for b in rare if b.of_forward))
    own = " and ".join(dict.fromkeys(b.place for b in rare if not b.of_forward))
    told = {b.text for b in rare if b.of_forward}
    if all(b.of_forward or b.text in told for b in rare):
        otherwise = f"elsewhere the forward pass takes another branch ({places}), and this is not its slope"
    else:  # what the claim alone branches on
        passes = [f"the forward pass takes another branch ({places})"] if places else []
        otherwise = f"elsewhere {' or '.join([*passes, f'the backward pass does ({own})'])}, and this is not the slope"
    return f"right wherever {wherever} (proved); {otherwise}"


def _cure(goal: ProofGoal, cause: Diagnosis | None, cured: tuple[CuredLine, ...], unknown: set[str]) -> str:
    """The cure in plain text: of a part of a line the whole line, if that is short; in names that the user knows."""
    if cause is None:
        return ""
    text = "; ".join(line.text for line in cured)
    parts = [line for line in cured if not line.whole]
    known = not unknown & _identifiers(cause.text)
    told = _explained(goal, cause.text, unknown)
    if text and len(text) <= MAXIMUM_CURE and (parts or (not known and len(text) <= len(told))):
        return text
    return told if known or len(told) <= MAXIMUM_CURE else ""


def _cause(goal: ProofGoal, wrong: list[str], found: Counterexample, budget: Budget, lines: int) -> Diagnosis | None:
    right = {n: goal.derived[n] for n in wrong}
    case = Refuted(goal.sides, goal.traced, goal.gradient, tuple(wrong), right, found, formula=goal.formula)
    budget = budget.sooner()
    one, several = budget.part("cause", lines), budget.part("several causes", lines)
    try:
        with alarm(one.left + several.left + BEYOND, budget.wall) if not is_counted() else nullcontext():
            return diagnoses(case, one, several)
    except (Exception, OutOfTime):  # the refutation stands, whatever becomes of the search for its cause
        return Diagnosis(case.suspected[0]) if case.suspected else None
