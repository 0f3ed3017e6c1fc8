"""The verdict on a traced forward and backward pass.

The gradients are derived from the forward's equations; numbers look for a disagreement, the normal form for a proof;
what is proved is replayed by the kernel and cross-examined by numbers before it is said. This module must not know
how functions are traced.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from symbackprop.calculus.derivation import Gradient
from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.reverse_mode import differentiate, with_cost
from symbackprop.checking.composition import Composition
from symbackprop.checking.counterexample import Counterexample
from symbackprop.checking.diagnosis.corrected_line import cured_lines
from symbackprop.checking.diagnosis.diagnose import MAXIMUM_CURE, Diagnosis, Refuted, diagnoses
from symbackprop.checking.domains import conditions_of
from symbackprop.checking.lookalikes import Lookalikes
from symbackprop.checking.question import Question
from symbackprop.checking.refute import (
    Stage,
    cross_examine,
    refute,
    refute_on_thresholds,
    refute_outside,
    wrong_gradients,
)
from symbackprop.checking.rounded_constants import ROUNDING, rounded_to, without_rounding
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.threshold_points import sites
from symbackprop.checking.verdict import CuredLine, Lemma, Verdict
from symbackprop.errors import (
    BudgetError,
    MalformedError,
    ProofError,
    SymbackpropError,
    UnsupportedError,
)
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import ZERO, Index, Tensor
from symbackprop.expression.program import Equation, defined_once, unused
from symbackprop.frontends.numpy.errors import ShapesDoNotFit
from symbackprop.frontends.numpy.traced import Traced
from symbackprop.normal_form.modulo_equations import UNLIMITED, Resolver
from symbackprop.normal_form.rules_extrema import NO_TIES
from symbackprop.normal_form.work_time import worked
from symbackprop.rendering.text import to_text

SCREEN_SECONDS = 0.35  # numbers first: most wrong backward passes show at once
CAUSE_SECONDS, CAUSE_A_LINE = 2.0, 0.02  # for the cause of what is refuted, and more for each line of a whole model
GLANCE_SECONDS = 0.15  # a wrong gradient needs no attempt at a proof
DOMAIN_SECONDS, OUTSIDE_SECONDS = 0.5, 1.5  # for what a claim asks for, and for points at which it does not hold
BRANCH_SECONDS = 0.1  # what is proved of programs with branches is examined beside their thresholds too


class Strategy(NamedTuple):
    """One way to a proof.

    Args:
        limit: how large a tensor may grow before it is kept as one atom; 0 for a composed proof, tensor by tensor.
        seconds: of work; 0 for as much as the length of the programs asks for.
        written_out: whether sums over a fixed number of values are written out though other sizes are free.
    """

    limit: int
    seconds: float
    written_out: bool = False


WHOLE = Strategy(UNLIMITED, 0.2)
COMPOSED = Strategy(0, 0)
WRITTEN = Strategy(UNLIMITED, 1.0, True)
PATIENT = (WRITTEN, Strategy(6, 1.0), Strategy(UNLIMITED, 2.0))
PATIENCE_SECONDS = 5.0  # for all of these together
SLIGHT, ROUNDED_SECONDS = 1e-3, 2.0  # a relative difference that rounded constants make; and for a proof without
LINE_SECONDS = 0.15  # for each equation of a composed proof
LAST_SECONDS = 2.0  # for numbers once more, where no proof was found
LONG = 36  # equations: beyond that a composed proof is sought first
MOST_SUSPICIOUS = 3  # points
WRITTEN_OUT = 8  # where sizes are fixed, axes up to this length are compared entry by entry


def untraced(error: SymbackpropError, subject: str) -> Verdict:
    """The verdict where the functions could not be followed."""
    undecided = isinstance(error, (UnsupportedError, BudgetError)) and not isinstance(error, ShapesDoNotFit)
    return Verdict(
        "UNDECIDED" if undecided else "MALFORMED", subject, reason=str(error), diagnosis="" if undecided else error.what
    )


@dataclass(frozen=True)
class ProofGoal:
    """A traced pair with the derived gradients beside the claimed ones."""

    traced: Traced
    gradient: Gradient
    question: Question

    @property
    def names(self) -> tuple[str, ...]:
        """The gradients that are claimed."""
        return tuple(self.question.pairs)

    def with_names(self, verdict: Verdict) -> Verdict:
        """The verdict with what a document shows of the matter: the derived equations, and the claimed ones."""
        return replace(
            verdict,
            program=self.gradient.adjoint,
            claim=self.traced.backward,
            called=self.called,
            claims=self.traced.gradients,
        )

    @property
    def is_long(self) -> bool:
        """True for whole models, of which equal intermediates are sought first."""
        return self.length > LONG

    @property
    def length(self) -> int:
        """How many equations both sides have."""
        return len(self.gradient.adjoint.equations) + len(self.traced.backward.equations)

    @property
    def composing(self) -> float:
        """Seconds of work for a composed proof."""
        return 1.0 + LINE_SECONDS * self.length

    @cached_property
    def alike(self) -> Lookalikes:
        """The numbers of all tensors of both programs, at several points."""
        equations = defined_once((*self.gradient.adjoint.equations, *self.traced.backward.equations))
        return Lookalikes(self.question, tuple(equations.values()))

    @cached_property
    def suspicious(self) -> tuple[Point, ...]:
        """Points at which floating point shows a gradient of a whole model to be wrong: there exact numbers are asked.

        One point costs so much there that it must be chosen.
        """
        if not self.is_long:
            return ()
        bars = {n: self.gradient.cotangents.get(tensor) for n, (tensor, _) in self.question.pairs.items()}
        pairs = {self.question.pairs[n][1]: bar for n, bar in bars.items() if bar is not None}
        inputs = {claimed: tensor for tensor, claimed in self.question.pairs.values()}
        found = self.alike.disagreements(pairs.items())
        for _, places in found:
            self.question.told_entries.update({inputs[t]: place for t, place in places.items()})
        return tuple(point for point, _ in found[:MOST_SUSPICIOUS])

    @property
    def called(self) -> dict[str, str]:
        """The user's own names, by those of the tensors."""
        return {tensor.name: name for tensor, name in self.traced.variables.items()}


def decide_pair(traced: Traced, subject: str, scope: str, deadline: float) -> Verdict:
    """PROVED, REFUTED, UNDECIDED or MALFORMED.

    Args:
        scope: the sizes of which a proof speaks.
        deadline: the work, as `worked` counts it, by which there must be an answer.
    """
    try:
        goal = goal_of(traced)
    except SymbackpropError as error:
        return untraced(error, subject)
    subject = f"{subject}: {', '.join(goal.names)}"
    malformed = of_wrong_shape(goal, subject)
    if malformed is not None:
        return malformed
    try:
        found = first_refutation(goal, SCREEN_SECONDS, deadline)
    except SymbackpropError as error:
        return no_answer(error, subject)
    return decide(goal, subject, scope, deadline) if found is None else refuted(goal, subject, found, deadline, scope)


def confirm_pair(traced: Traced, subject: str, deadline: float) -> Verdict:
    """PROVED or UNDECIDED: the quick ways to a proof alone, with all that is asked of one before it is said."""
    goal = goal_of(traced)
    if of_wrong_shape(goal, subject) is not None:
        return Verdict("UNDECIDED", subject, reason="a gradient has another shape than its input")
    proof = prove(goal, goal.names, _quick(goal), deadline)
    if proof.unproved:
        return Verdict("UNDECIDED", subject, reason=proof.reason)
    return _confirmed(goal, subject, "all sizes", proof, deadline)


def first_refutation(
    goal: ProofGoal, seconds: float, deadline: float, stage: Stage = "first look"
) -> Counterexample | None:
    """What numbers alone have to say."""
    seconds = min(seconds, time_left(deadline))
    return refute(goal.question, budget_seconds=seconds, stage=stage, at=goal.suspicious)


def decide(goal: ProofGoal, subject: str, scope: str, deadline: float) -> Verdict:
    """The verdict on a backward pass in which a first look at random numbers found nothing.

    The quick ways to a proof come before the search for thin regions, the patient ones after it.
    """
    try:
        proof = prove(goal, goal.names, _quick(goal), deadline)
        found = None
        if proof.unproved:
            seconds = min(SCREEN_SECONDS, time_left(deadline))
            found = refute(goal.question.only(proof.unproved), budget_seconds=seconds, stage="directed")
        if found is None and proof.unproved and not goal.is_long:
            patience = min(deadline, worked() + PATIENCE_SECONDS)
            proof = proof.then(prove(goal, proof.unproved, PATIENT, patience))
        if not proof.unproved:
            return _confirmed(goal, subject, scope, proof, deadline)
        if found is None:
            found = refute(
                goal.question.only(proof.unproved), budget_seconds=min(LAST_SECONDS, time_left(deadline)), seed=1
            )
        if found is None:
            return Verdict("UNDECIDED", subject, reason=proof.reason, notes=(_tried(proof),))
    except SymbackpropError as error:
        return no_answer(error, subject)
    return refuted(goal, subject, found, deadline, scope)


def no_answer(error: SymbackpropError, subject: str) -> Verdict:
    """The verdict where neither a proof nor numbers could be had."""
    if isinstance(error, MalformedError):
        return Verdict("MALFORMED", subject, reason=str(error), diagnosis=error.what)
    return Verdict("UNDECIDED", subject, reason=str(error))


def time_left(deadline: float) -> float:
    """Seconds until the deadline, a few hundredths at least."""
    return max(0.05, deadline - worked())


def goal_of(traced: Traced) -> ProofGoal:
    """Derive the gradients and pair them with the claimed ones."""
    program, upstream = with_cost(traced.forward, traced.upstream, traced.backward.tensors)
    used = {t.name for t in (*program.tensors, *traced.backward.tensors)}
    gradient = differentiate(program, name=lambda t: unused(f"{t.name}_bar", used))
    inputs = {t.name: t for t in traced.forward.inputs}
    pairs = {name: (inputs[name], tensor) for name, tensor in traced.gradients.items()}
    return ProofGoal(traced, gradient, Question(traced.forward, traced.backward, pairs, upstream))


def of_wrong_shape(goal: ProofGoal, subject: str) -> Verdict | None:
    """MALFORMED if a gradient has another shape than its input; the others are examined by numbers all the same."""
    pairs = goal.question.pairs
    misfits = [n for n, (tensor, claimed) in pairs.items() if _shapes_differ(goal.question, tensor, claimed)]
    if not misfits:
        return None
    tensor, claimed = pairs[misfits[0]]
    rest = [n for n in pairs if n not in misfits]
    others = (
        wrong_gradients(goal.question.only(rest), budget_seconds=SCREEN_SECONDS, stage="first look") if rest else []
    )
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


@dataclass(frozen=True)
class Attempt:
    """How far the proof came."""

    unproved: tuple[str, ...]
    used: tuple[str, ...]
    reason: str
    composition: Composition | None = None
    lemmas: tuple[Lemma, ...] = ()

    def then(self, later: Attempt) -> Attempt:
        """This and what was proved later of the rest."""
        used = tuple(dict.fromkeys((*self.used, *later.used)))
        composition = later.composition or self.composition
        told = (
            self.reason if self.composition is not None else ""
        )  # a composed proof knows the line at which it stopped
        return Attempt(later.unproved, used, told or later.reason, composition, later.lemmas or self.lemmas)


def _quick(goal: ProofGoal) -> tuple[Strategy, ...]:
    return (COMPOSED, WHOLE) if goal.is_long else (WHOLE, COMPOSED)


def prove(goal: ProofGoal, names: Iterable[str], strategies: Iterable[Strategy], deadline: float) -> Attempt:
    """Compare each claimed gradient with the derived one, by normal form."""
    proof = Attempt(tuple(names), (), "")
    for strategy in strategies:
        until = min(deadline, worked() + (strategy.seconds or goal.composing))
        step = _at_once(goal, proof, strategy, until) if strategy.limit else _composed(goal, proof, until)
        proof = proof.then(step)
        if not proof.unproved or worked() > deadline:
            break
    return proof


def _at_once(goal: ProofGoal, so_far: Attempt, strategy: Strategy, deadline: float) -> Attempt:
    """By the normal forms of whole gradients, down to the inputs."""
    resolver = _resolver(goal, strategy.limit, time_left(deadline), strategy.written_out)
    left, reason, used = list(so_far.unproved), so_far.reason, dict[str, None]()
    for name in so_far.unproved:
        try:
            equal = resolver.meets(goal.traced.gradients[name], derived(goal, name))
            reason = reason if equal else f"the normal forms of the gradient of {name} differ"
        except (BudgetError, UnsupportedError) as error:
            equal, reason = False, error.what
        except RecursionError:
            equal, reason = False, "the program is too deep for the normal form of whole gradients"
        if equal:
            left.remove(name)
            used |= resolver.used
    return Attempt(tuple(left), tuple(used), reason)


def _composed(goal: ProofGoal, so_far: Attempt, deadline: float) -> Attempt:
    """By a chain of lemmas about the user's tensors."""
    gradient = goal.gradient
    facts, claimed = gradient.program.facts, goal.traced.backward
    composition = Composition(goal.question, gradient.adjoint, claimed, facts, deadline, goal.alike)
    cotangents, inputs = gradient.cotangents, goal.question.pairs
    proof = composition.proof({n: (goal.traced.gradients[n], cotangents.get(inputs[n][0])) for n in so_far.unproved})
    return Attempt(proof.unproved, proof.conditions, proof.reason, composition, proof.lemmas)


def derived(goal: ProofGoal, name: str) -> Tensor:
    """The derived gradient of an input; a tensor of zeros if the cost does not depend on it."""
    tensor = goal.question.pairs[name][0]
    bar = goal.gradient.cotangents.get(tensor)
    return bar if bar is not None else Tensor(unused(f"zeros_{name}", _names(goal)), tensor.shape)


def _names(goal: ProofGoal) -> set[str]:
    """What something of the two programs is called already."""
    return {t.name for t in (*goal.gradient.adjoint.tensors, *goal.traced.backward.tensors)}


def _resolver(goal: ProofGoal, limit: int, seconds: float, written_out: bool = False) -> Resolver:
    program = goal.gradient.program
    kinds = program.known
    equations = defined_once((*goal.gradient.adjoint.equations, *goal.traced.backward.equations))
    for name in goal.names:
        zeros = derived(goal, name)
        if goal.question.pairs[name][0] not in goal.gradient.cotangents:
            equations[zeros] = Equation(zeros, tuple(Index(f"i{k}", n) for k, n in enumerate(zeros.shape)), ZERO)
    expanded = WRITTEN_OUT if written_out else _expanded(goal)
    return Resolver(equations.values(), program.facts, kinds, limit=limit, expanded=expanded, seconds=seconds)


def _expanded(goal: ProofGoal) -> int:
    return WRITTEN_OUT if goal.traced.sizes else 0


def _confirmed(goal: ProofGoal, subject: str, scope: str, proof: Attempt, deadline: float) -> Verdict:
    """PROVED, after NumPy has run both functions, the kernel replayed the derivation, and exact numbers were asked."""
    unproved = goal.traced.unasked or _not_repeated(goal, deadline)
    if unproved:
        return Verdict("UNDECIDED", subject, reason=unproved)
    try:
        used = dict.fromkeys((*proof.used, *_replayed(goal)))
    except ProofError as error:
        return Verdict("UNDECIDED", subject, reason=f"the kernel does not accept the derivation: {error.what}")
    facts = goal.gradient.program.facts
    composition = proof.composition if goal.is_long else None
    asked = conditions_of(goal.question, facts, DOMAIN_SECONDS, expanded=_expanded(goal), composition=composition)
    try:
        # of a whole model one point is asked with bounds on every error; floating point has seen it at several others
        answer = cross_examine(goal.question, points=1 if goal.is_long else 2)
        open = any(c.open for c in asked) or NO_TIES in used
        found: Counterexample | None = None
        if answer is True:
            found = _where_it_does_not_hold(goal, open)
        elif asked and not math.isfinite(answer.entry.claimed):
            found = answer
        if answer is True and found is None and sites(goal.question):
            answer = refute(goal.question, budget_seconds=_branch_seconds(goal), seed=1, stage="directed") or True
    except UnsupportedError:
        reason = "the normal forms are equal, but no point was found at which numbers could cross-examine the proof"
        return Verdict("UNDECIDED", subject, reason=reason)
    if found is not None:
        return refuted(goal, subject, found, deadline)
    if answer is not True:
        reason = "internal error: the proof and the numbers disagree; please report this case"
        return Verdict("UNDECIDED", subject, reason=reason, counterexample=answer)
    read = (*goal.traced.forward.conditions, *goal.traced.backward.conditions)
    conditions = tuple(dict.fromkeys((*read, *used, *(c.text for c in asked))))
    unjudged = _unjudged(goal.traced)
    verdict = Verdict("PROVED", subject, scope=scope, conditions=conditions, unjudged=unjudged, lemmas=proof.lemmas)
    return goal.with_names(verdict)


def _not_repeated(goal: ProofGoal, deadline: float) -> str:
    """Why it is not proved that a rule's forward returns what the function does; "" if it is, or there is none."""
    forward, repeated = goal.traced.forward, goal.traced.repeated
    if repeated is None:
        return ""
    equations = defined_once((*forward.equations, *repeated.equations)).values()
    pairs = list(zip(repeated.outputs, forward.outputs, strict=True))
    seconds = min(WHOLE.seconds, time_left(deadline))
    resolver = Resolver(equations, forward.facts, forward.known, limit=UNLIMITED, expanded=_expanded(goal),
                        seconds=seconds)  # fmt: skip
    try:
        if all(resolver.meets(*pair) for pair in pairs):
            return ""
    except (BudgetError, UnsupportedError):
        pass
    until = min(deadline, worked() + goal.composing)
    composition = Composition(goal.question, forward, repeated, forward.facts, until)
    if not composition.proof({right.name: (own, right) for own, right in pairs}).unproved:
        return ""
    return "it is not proved that the forward of the rule returns what the function itself returns"


def _where_it_does_not_hold(goal: ProofGoal, open: bool) -> Counterexample | None:
    """A point at which the claim has no value, or a wrong one: where it asks for more than the forward pass, or on a
    threshold of its own. Equal normal forms say nothing of such points.

    Args:
        open: whether what it asks for may fail on a set that matters.
    """
    found = refute_on_thresholds(goal.question, OUTSIDE_SECONDS)
    if found is None and open:
        found = refute_outside(goal.question, OUTSIDE_SECONDS)
    return found


def _branch_seconds(goal: ProofGoal) -> float:
    return BRANCH_SECONDS / 2 if goal.traced.sizes else BRANCH_SECONDS


def _replayed(goal: ProofGoal) -> list[str]:
    """The conditions of the derivations, which the kernel accepts; with short axes written out only if need be.

    Raises:
        ProofError: it does not accept them.
    """
    strategies = [WRITTEN_OUT] if goal.traced.sizes else [0, WRITTEN_OUT]
    for expanded in strategies:
        kernel = Kernel(goal.gradient.program, expanded=expanded)
        try:
            return [c for d in goal.gradient.derivations.values() for c in kernel.replay(d)]
        except ProofError:
            if expanded == strategies[-1]:
                raise
    raise AssertionError("there is at least one way")


def _unjudged(traced: Traced) -> tuple[str, ...]:
    """The inputs of which no gradient was returned, though nothing says that they are data."""
    data = {a.tensor for a in traced.forward.assumptions}
    inputs = [t for t in traced.forward.inputs if t.kind == "real" and t not in data]
    return tuple(t.name for t in inputs if t.name not in traced.gradients)


def _tried(proof: Attempt) -> str:
    return (
        f"not decided: {', '.join(proof.unproved)}; numbers agree at every point tried, which is evidence and no proof"
    )


def refuted(goal: ProofGoal, subject: str, found: Counterexample, deadline: float, scope: str | None = None) -> Verdict:
    """REFUTED, with the gradients that are wrong, those that are proved right, and a cure where one is proved.

    PROVED up to rounding where the claim's constants are the right ones but for a rounding error of float64.

    Args:
        scope: of a proof; None where none is asked for.
    """
    if abs(found.entry.difference) <= SLIGHT * abs(found.entry.correct):
        told = _up_to_rounding(goal, subject, found, deadline, scope)
        if told is not None:
            return told
    seconds = min(GLANCE_SECONDS, time_left(deadline))
    seen = wrong_gradients(goal.question, budget_seconds=seconds, stage="first look", at=goal.suspicious)
    certain = {found.entry.name, *seen}
    doubtful = [n for n in goal.names if n not in certain]
    proof = prove(goal, doubtful, (*_quick(goal), *PATIENT), min(deadline, worked() + 3.0))
    if proof.unproved:
        certain |= {*wrong_gradients(goal.question, proof.unproved, budget_seconds=min(1.0, time_left(deadline)))}
    wrong = [n for n in goal.names if n in certain]
    exists = math.isfinite(found.entry.claimed)
    lines = len(goal.traced.backward.equations) if goal.is_long else 0
    until = min(deadline, worked() + CAUSE_SECONDS + CAUSE_A_LINE * lines)
    cause = _cause(goal, wrong, found, until) if exists else None
    nothing = "" if exists else f"{found.entry.name}: no number (nan or infinite) where the gradient is finite"
    right = [n for n in doubtful if n not in proof.unproved]
    notes = (f"proved right: {', '.join(right)}",) if right else ()
    cured = cured_lines(goal.traced.backward, goal.called, cause.lines) if cause else ()
    names = _unknown_to_the_user(goal)
    cured = tuple(line for line in cured if not names & _identifiers(line.text))
    return goal.with_names(
        Verdict(
            "REFUTED",
            subject,
            wrong=tuple(wrong),
            diagnosis=_explained(goal, cause.words, names) if cause else nothing,
            cure=_cure(cause, cured, names),
            counterexample=found,
            notes=notes,
            cured=cured,
            cure_scope=", ".join(f"{name} = {n}" for name, n in goal.traced.sizes.items()),
        )
    )


def _identifiers(text: str) -> set[str]:
    """The names of tensors in a formula: an index may be called as a tensor is."""
    return set(re.findall(r"[A-Za-z_]\w*(?=\[| as claimed|$)", text)) | set(re.findall(r"^[A-Za-z_]\w*", text))


def _unknown_to_the_user(goal: ProofGoal) -> set[str]:
    """Names of tensors that the user's code does not have: t_bar, t_11."""
    traced = goal.traced
    programs = (goal.gradient.program, goal.gradient.adjoint, traced.forward, traced.backward)
    own = {*goal.called.values(), *(t.name for t in (*traced.forward.inputs, *traced.upstream))}
    own |= {f"d{name}" for name in goal.names}
    return {t.name for program in programs for t in program.tensors} - own


def _explained(goal: ProofGoal, words: str, names: set[str]) -> str:
    """The words, with what a name stands for that the user's code does not have."""
    lines = {e.tensor.name: e for p in (goal.gradient.program, goal.traced.backward) for e in p.equations}
    unknown = sorted(n for n in names & _identifiers(words) if n in lines)
    told = [f"{n} is {to_text(lines[n].value)}, {lines[n].note}" for n in unknown]
    return f"{words}, where {'; '.join(told)}" if told else words


def _up_to_rounding(
    goal: ProofGoal, subject: str, found: Counterexample, deadline: float, scope: str | None
) -> Verdict | None:
    """The verdict on a claim that is right but for rounded constants; None on others."""
    claimed, rounded = without_rounding(goal.traced.forward, goal.traced.backward)
    if not rounded or worked() > deadline:
        return None
    try:
        exact = goal_of(replace(goal.traced, backward=claimed))
        proof = prove(exact, exact.names, _quick(exact), min(deadline, worked() + ROUNDED_SECONDS))
        if proof.unproved:
            return None
        verdict = _confirmed(exact, subject, scope or "", proof, deadline)
    except SymbackpropError:
        return None
    if verdict.status != "PROVED":
        return None
    worst = max(r.error for r in rounded)
    if worst <= ROUNDING:
        conditions = (*verdict.conditions, *(f"{r.text}, up to rounding of constants" for r in rounded))
        return None if scope is None else replace(verdict, conditions=conditions)
    words = f"right up to constants rounded to {rounded_to(rounded)}: {'; '.join(r.text for r in rounded)}"
    return goal.with_names(
        Verdict("REFUTED", subject, wrong=(found.entry.name,), diagnosis=words, counterexample=found)
    )


def _cure(cause: Diagnosis | None, cured: tuple[CuredLine, ...], unknown: set[str]) -> str:
    """The cure in plain text: of a part of a line the whole line, if that is short; in names that the user knows."""
    if cause is None:
        return ""
    text = "; ".join(line.text for line in cured)
    parts = [line for line in cured if not line.whole]
    fits = text and len(text) <= MAXIMUM_CURE
    known = not unknown & _identifiers(cause.text)
    return text if fits and (parts or not known) else cause.text if known else ""


def _cause(goal: ProofGoal, wrong: list[str], found: Counterexample, deadline: float) -> Diagnosis | None:
    right = {n: derived(goal, n) for n in wrong}
    alike = goal.alike if goal.is_long else None
    case = Refuted(goal.question, goal.traced, goal.gradient, tuple(wrong), right, found, alike=alike)
    try:
        return diagnoses(case, deadline)
    except Exception:  # the refutation stands, whatever becomes of the search for its cause
        return None
