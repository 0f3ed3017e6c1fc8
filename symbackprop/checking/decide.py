"""The verdict on a traced forward and backward pass.

The gradients are derived from the forward's equations; numbers look for a disagreement, the normal form for a proof;
what is proved is replayed by the kernel and cross-examined by numbers before it is said. This module must not know
how functions are traced.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from symbackprop.calculus.cotangents import with_cost
from symbackprop.calculus.derivation import Gradient
from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.reverse_mode import differentiate, facts_of
from symbackprop.checking.counterexample import Counterexample
from symbackprop.checking.diagnosis.corrected_line import cured_lines
from symbackprop.checking.diagnosis.diagnose import MAXIMUM_CURE, Mend, Refuted, mends
from symbackprop.checking.question import Question
from symbackprop.checking.refute import Stage, cross_examine, refute, wrong_gradients
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.sweep import sweep
from symbackprop.checking.threshold_points import sites
from symbackprop.checking.verdict import CuredLine, Verdict
from symbackprop.errors import (
    BudgetError,
    MalformedError,
    ProofError,
    SymbackpropError,
    UnsupportedError,
)
from symbackprop.expression.build import ZERO, Index, Tensor
from symbackprop.expression.program import Equation, defined_once, unused
from symbackprop.frontends.numpy.errors import ShapesDoNotFit
from symbackprop.frontends.numpy.traced import Traced
from symbackprop.normal_form.modulo_equations import UNLIMITED, Resolver
from symbackprop.rendering.text import to_text

SCREEN_SECONDS = 0.35  # numbers first: most wrong backward passes show at once
GLANCE_SECONDS = 0.15  # a wrong gradient needs no attempt at a proof
BRANCH_SECONDS = 0.1  # what is proved of programs with branches is examined beside their thresholds too


class Way(NamedTuple):
    """One way to a proof.

    Args:
        limit: how large a tensor may grow before it is kept as one atom.
        sweeping: whether equal intermediates are sought first.
        written_out: whether sums over a fixed number of values are written out though other sizes are free.
    """

    limit: int
    sweeping: bool
    seconds: float
    written_out: bool = False


WHOLE = Way(UNLIMITED, False, 0.2)
SWEEPING = Way(1, True, 1.0)
WRITTEN = Way(UNLIMITED, False, 1.0, True)
PATIENT = (WRITTEN, Way(1, True, 2.0), Way(6, True, 1.0), Way(UNLIMITED, False, 2.0))
PATIENCE_SECONDS = 5.0  # for all of these together
LAST_SECONDS = 2.0  # for numbers once more, where no proof was found
LONG = 36  # equations: beyond that equal intermediates are sought first
WRITTEN_OUT = 8  # where sizes are fixed, axes up to this length are compared entry by entry


def untraced(error: SymbackpropError, subject: str) -> Verdict:
    """The verdict where the functions could not be followed."""
    undecided = isinstance(error, (UnsupportedError, BudgetError)) and not isinstance(error, ShapesDoNotFit)
    return Verdict(
        "UNDECIDED" if undecided else "MALFORMED", subject, reason=str(error), diagnosis="" if undecided else error.what
    )


@dataclass(frozen=True)
class Matter:
    """A traced pair with the derived gradients beside the claimed ones."""

    traced: Traced
    gradient: Gradient
    question: Question

    @property
    def names(self) -> tuple[str, ...]:
        """The gradients that are claimed."""
        return tuple(self.question.pairs)

    def told(self, verdict: Verdict) -> Verdict:
        """The verdict with what a document shows of the matter: the derived equations, and the claimed ones."""
        return replace(verdict, program=self.gradient.adjoint, claim=self.traced.backward, called=self.called)

    @property
    def called(self) -> dict[str, str]:
        """The user's own names, by those of the tensors."""
        return {tensor.name: name for tensor, name in self.traced.variables.items()}


def decide_pair(traced: Traced, subject: str, scope: str, deadline: float) -> Verdict:
    """PROVED, REFUTED, UNDECIDED or MALFORMED.

    Args:
        scope: the sizes of which a proof speaks.
        deadline: the time, as `time.perf_counter` has it, by which there must be an answer.
    """
    try:
        matter = matter_of(traced)
    except SymbackpropError as error:
        return untraced(error, subject)
    subject = f"{subject}: {', '.join(matter.names)}"
    malformed = of_wrong_shape(matter, subject)
    if malformed is not None:
        return malformed
    try:
        found = look(matter, SCREEN_SECONDS, deadline)
    except SymbackpropError as error:
        return no_answer(error, subject)
    return decide(matter, subject, scope, deadline) if found is None else refuted(matter, subject, found, deadline)


def look(matter: Matter, seconds: float, deadline: float, stage: Stage = "first look") -> Counterexample | None:
    """What numbers alone have to say."""
    return refute(matter.question, budget_seconds=min(seconds, time_left(deadline)), stage=stage)


def decide(matter: Matter, subject: str, scope: str, deadline: float) -> Verdict:
    """The verdict on a backward pass in which a first look at random numbers found nothing.

    The quick ways to a proof come before the search for thin regions, the patient ones after it.
    """
    try:
        proof = prove(matter, matter.names, _quick(matter), deadline)
        found = None
        if proof.unproved:
            seconds = min(SCREEN_SECONDS, time_left(deadline))
            found = refute(matter.question.only(proof.unproved), budget_seconds=seconds, stage="directed")
        if found is None and proof.unproved:
            patience = min(deadline, time.perf_counter() + PATIENCE_SECONDS)
            proof = proof.then(prove(matter, proof.unproved, PATIENT, patience))
        if not proof.unproved:
            return _confirmed(matter, subject, scope, proof)
        if found is None:
            found = refute(
                matter.question.only(proof.unproved), budget_seconds=min(LAST_SECONDS, time_left(deadline)), seed=1
            )
        if found is None:
            return Verdict("UNDECIDED", subject, reason=proof.reason, notes=(_tried(proof),))
    except SymbackpropError as error:
        return no_answer(error, subject)
    return refuted(matter, subject, found, deadline)


def no_answer(error: SymbackpropError, subject: str) -> Verdict:
    """The verdict where neither a proof nor numbers could be had."""
    if isinstance(error, MalformedError):
        return Verdict("MALFORMED", subject, reason=str(error), diagnosis=error.what)
    return Verdict("UNDECIDED", subject, reason=str(error))


def time_left(deadline: float) -> float:
    """Seconds until the deadline, a few hundredths at least."""
    return max(0.05, deadline - time.perf_counter())


def matter_of(traced: Traced) -> Matter:
    """Derive the gradients and pair them with the claimed ones."""
    program, upstream = with_cost(traced.forward, traced.upstream, traced.backward.tensors)
    used = {t.name for t in (*program.tensors, *traced.backward.tensors)}
    gradient = differentiate(program, name=lambda t: unused(f"{t.name}_bar", used))
    inputs = {t.name: t for t in traced.forward.inputs}
    pairs = {name: (inputs[name], tensor) for name, tensor in traced.gradients.items()}
    return Matter(traced, gradient, Question(traced.forward, traced.backward, pairs, upstream))


def of_wrong_shape(matter: Matter, subject: str) -> Verdict | None:
    """MALFORMED if a gradient has another shape than its input; the others are examined by numbers all the same."""
    pairs = matter.question.pairs
    misfits = [n for n, (tensor, claimed) in pairs.items() if _shapes_differ(matter.question, tensor, claimed)]
    if not misfits:
        return None
    tensor, claimed = pairs[misfits[0]]
    rest = [n for n in pairs if n not in misfits]
    others = (
        wrong_gradients(matter.question.only(rest), budget_seconds=SCREEN_SECONDS, stage="first look") if rest else []
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

    def then(self, later: Attempt) -> Attempt:
        """This and what was proved later of the rest."""
        return Attempt(later.unproved, tuple(dict.fromkeys((*self.used, *later.used))), later.reason)


def _quick(matter: Matter) -> tuple[Way, ...]:
    long = len(matter.gradient.adjoint.equations) + len(matter.traced.backward.equations) > LONG
    return (SWEEPING, WHOLE) if long else (WHOLE, SWEEPING)


def prove(matter: Matter, names: Iterable[str], ways: Iterable[Way], deadline: float) -> Attempt:
    """Compare each claimed gradient with the derived one, by normal form."""
    left, reason = list(names), ""
    used: dict[str, None] = {}
    for way in ways:
        resolver = _resolver(matter, way.limit, min(way.seconds, time_left(deadline)), way.written_out)
        if way.sweeping:
            sweep(resolver, matter.question, matter.gradient.adjoint, matter.traced.backward)
            resolver.restart_clock(min(way.seconds, time_left(deadline)))
        for name in list(left):
            try:
                equal = resolver.meets(matter.traced.gradients[name], derived(matter, name))
                reason = reason if equal else f"the normal forms of the gradient of {name} differ"
            except (BudgetError, UnsupportedError) as error:
                equal, reason = False, error.what
            if equal:
                left.remove(name)
                used |= resolver.used
        if not left or time.perf_counter() > deadline:
            break
    return Attempt(tuple(left), tuple(used), reason)


def derived(matter: Matter, name: str) -> Tensor:
    """The derived gradient of an input; a tensor of zeros if the cost does not depend on it."""
    tensor = matter.question.pairs[name][0]
    bar = matter.gradient.cotangents.get(tensor)
    return bar if bar is not None else Tensor(unused(f"zeros_{name}", _names(matter)), tensor.shape)


def _names(matter: Matter) -> set[str]:
    """What something of the two programs is called already."""
    return {t.name for t in (*matter.gradient.adjoint.tensors, *matter.traced.backward.tensors)}


def _resolver(matter: Matter, limit: int, seconds: float, written_out: bool = False) -> Resolver:
    program = matter.gradient.program
    kinds = {a.tensor: a.kind for a in program.assumptions}
    equations = defined_once((*matter.gradient.adjoint.equations, *matter.traced.backward.equations))
    for name in matter.names:
        zeros = derived(matter, name)
        if matter.question.pairs[name][0] not in matter.gradient.cotangents:
            equations[zeros] = Equation(zeros, tuple(Index(f"i{k}", n) for k, n in enumerate(zeros.shape)), ZERO)
    expanded = WRITTEN_OUT if written_out or matter.traced.sizes else 0
    return Resolver(equations.values(), facts_of(program), kinds, limit=limit, expanded=expanded, seconds=seconds)


def _confirmed(matter: Matter, subject: str, scope: str, proof: Attempt) -> Verdict:
    """PROVED, after the kernel has replayed the derivation and exact numbers have been asked."""
    try:
        used = dict.fromkeys((*proof.used, *_replayed(matter)))
    except ProofError as error:
        return Verdict("UNDECIDED", subject, reason=f"the kernel does not accept the derivation: {error.what}")
    answer: Counterexample | bool
    try:
        answer = cross_examine(matter.question)
        if answer is True and sites(matter.question):
            seconds = BRANCH_SECONDS / 2 if matter.traced.sizes else BRANCH_SECONDS
            answer = refute(matter.question, budget_seconds=seconds, seed=1, stage="directed") or True
    except UnsupportedError:
        reason = "the normal forms are equal, but no point was found at which numbers could cross-examine the proof"
        return Verdict("UNDECIDED", subject, reason=reason)
    if answer is not True:
        reason = "internal error: the proof and the numbers disagree; please report this case"
        return Verdict(
            "UNDECIDED", subject, reason=reason, counterexample=answer if isinstance(answer, Counterexample) else None
        )
    conditions = tuple(dict.fromkeys((*matter.traced.forward.conditions, *used)))
    notes = _unclaimed(matter.traced)
    return matter.told(Verdict("PROVED", subject, scope=scope, conditions=conditions, notes=notes))


def _replayed(matter: Matter) -> list[str]:
    """The conditions of the derivations, which the kernel accepts; with short axes written out only if need be.

    Raises:
        ProofError: it does not accept them.
    """
    ways = [WRITTEN_OUT] if matter.traced.sizes else [0, WRITTEN_OUT]
    for expanded in ways:
        kernel = Kernel(matter.gradient.program, expanded=expanded)
        try:
            return [c for d in matter.gradient.derivations.values() for c in kernel.replay(d)]
        except ProofError:
            if expanded == ways[-1]:
                raise
    raise AssertionError("there is at least one way")


def _unclaimed(traced: Traced) -> tuple[str, ...]:
    """A note on inputs of which no gradient was returned, though nothing says that they are data."""
    data = {a.tensor for a in traced.forward.assumptions}
    inputs = [t for t in traced.forward.inputs if t.kind == "real" and t not in data]
    missing = [t.name for t in inputs if t.name not in traced.gradients]
    return (f"nothing is said about the gradient of {', '.join(missing)}, which was not returned",) if missing else ()


def _tried(proof: Attempt) -> str:
    return (
        f"not decided: {', '.join(proof.unproved)}; numbers agree at every point tried, which is evidence and no proof"
    )


def refuted(matter: Matter, subject: str, found: Counterexample, deadline: float) -> Verdict:
    """REFUTED, with the gradients that are wrong, those that are proved right, and a cure where one is proved."""
    seen = wrong_gradients(matter.question, budget_seconds=min(GLANCE_SECONDS, time_left(deadline)), stage="first look")
    certain = {found.entry.name, *seen}
    doubtful = [n for n in matter.names if n not in certain]
    proof = prove(matter, doubtful, (*_quick(matter), *PATIENT), min(deadline, time.perf_counter() + 3.0))
    if proof.unproved:
        certain |= {*wrong_gradients(matter.question, proof.unproved, budget_seconds=min(1.0, time_left(deadline)))}
    wrong = [n for n in matter.names if n in certain]
    exists = math.isfinite(found.entry.claimed)
    until = min(deadline, time.perf_counter() + 2.0)
    mend = _mend(matter, wrong, found, until) if exists else None
    nothing = "" if exists else f"{found.entry.name}: no number (nan or infinite) where the gradient is finite"
    right = [n for n in doubtful if n not in proof.unproved]
    notes = (f"proved right: {', '.join(right)}",) if right else ()
    cured = cured_lines(matter.traced.backward, matter.called, mend.lines) if mend else ()
    return matter.told(
        Verdict(
            "REFUTED",
            subject,
            wrong=tuple(wrong),
            diagnosis=mend.words if mend else nothing,
            cure=_cure(mend, cured),
            counterexample=found,
            notes=notes,
            cured=cured,
        )
    )


def _cure(mend: Mend | None, cured: tuple[CuredLine, ...]) -> str:
    """The cure in plain text: of a part of a line the whole line, if that is short."""
    if mend is None:
        return ""
    text = "; ".join(line.text for line in cured)
    parts = [line for line in cured if not line.whole]
    return text if parts and len(text) <= MAXIMUM_CURE else mend.text


def _mend(matter: Matter, wrong: list[str], found: Counterexample, deadline: float) -> Mend | None:
    right = {n: derived(matter, n) for n in wrong}
    case = Refuted(matter.question, matter.traced, matter.gradient, tuple(wrong), right, found)
    try:
        return mends(case, deadline)
    except Exception:  # the refutation stands, whatever becomes of the search for its cause
        return None
