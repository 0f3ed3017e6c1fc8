"""check: a NumPy backward pass against its forward pass, for every size.

    verdict = check(forward, backward, shapes={"x": ("N", "D"), "w": ("D", "M")})

Both functions are traced into equations, the gradients are derived from the forward's equations, and each gradient
that the backward returns is compared with the derived one by normal form. Before anything is called proved it is
examined by exact numbers; what numbers refute is reported with the point, the gradients that are wrong and, where one
was proved, the cure.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from symbackprop.cotangents import with_cost
from symbackprop.counterexample import Counterexample
from symbackprop.derivation import Gradient
from symbackprop.differentiate import differentiate, facts_of
from symbackprop.errors import (
    BudgetError,
    DataError,
    MalformedError,
    ProofError,
    SymbackpropError,
    TraceError,
    UnsupportedError,
)
from symbackprop.expression import Tensor
from symbackprop.kernel import Kernel
from symbackprop.mending import Mend, mends
from symbackprop.plain import to_text
from symbackprop.program import Equation, Program
from symbackprop.question import Question
from symbackprop.refute import cross_examine, refute, wrong_gradients
from symbackprop.resolve import UNLIMITED, Resolver
from symbackprop.sweeping import sweep
from symbackprop.trace import NeedsConcreteSizes, ShapesDoNotFit, Traced, trace_pair
from symbackprop.verdict import Verdict

BUDGET_SECONDS = 20.0
SCREEN_SECONDS = 0.35  # numbers first: most wrong backward passes show at once
# How large a tensor may grow before it is kept as one atom, whether equal intermediates are sought first, and the
# seconds for it.
ATTEMPTS = ((UNLIMITED, False, 1.0), (1, True, 8.0), (6, True, 4.0), (UNLIMITED, False, 4.0))
LONG = 60  # equations: beyond that equal intermediates are sought first
CONCRETE_SCREENED, CONCRETE_PROVED, MAXIMUM_CHOICES = 5, 3, 80
WRITTEN_OUT = 8  # where sizes are fixed, axes up to this length are compared entry by entry
Shapes = Mapping[str, Sequence[str | int]]


@dataclass(frozen=True)
class Case:
    """What is asked: two functions, shapes, and what is assumed."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    shapes: Shapes
    assume: Mapping[str, str]
    where: str | None

    def trace(self, sizes: Mapping[str, int] | None, seconds: float) -> Traced:
        """Both functions as equations."""
        return trace_pair(self.forward, self.backward, self.shapes, self.assume, self.where, sizes, seconds=seconds)


def check(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *,
    shapes: Shapes,
    assume: Mapping[str, str] | None = None,
    where: str | None = None,
    seconds: float = BUDGET_SECONDS,
) -> Verdict:
    """Is this backward pass the gradient of this forward pass?

    Args:
        forward: takes the inputs by name, returns an array, a tuple of arrays, a scalar, or (out, cache).
        backward: backward(dout, **inputs), backward(**inputs) for a scalar, or backward(dout, cache); returns {name:
        gradient}.
        shapes: input -> shape: {"x": ("N", "D"), "b": ("4*H",), "s": ()}.
        assume: input -> "labels:C", "label:C", "onehot", "prob", "pos", "bern" or "pm1".
        where: comparisons of sizes and keyword defaults; a comma means and: "H + 2*pad >= KH, C % G == 0".
        seconds: time budget; when it is spent the answer is UNDECIDED.

    Returns:
        a Verdict; no exception for anything that the two functions do.

    Example:
        >>> import numpy as np
        >>> def forward(x, w):
        ...     return x @ w
        >>> def backward(dout, x, w):
        ...     return {"x": dout @ w.T, "w": x.T @ dout}
        >>> print(check(forward, backward, shapes={"x": ("N", "D"), "w": ("D", "M")}))
        PROVED  gradients of forward: x, w   (all sizes)
    """
    start = time.perf_counter()
    case = Case(forward, backward, shapes, dict(assume or {}), where)
    verdict = _checked(case, start + seconds)
    return replace(verdict, seconds=time.perf_counter() - start)


def assert_proved(forward: Callable[..., Any], backward: Callable[..., Any], **options: Any) -> None:
    """For test suites: pass if the backward is proved, else fail with the whole story.

    Raises:
        AssertionError: the verdict is not PROVED; the message is the verdict.
    """
    verdict = check(forward, backward, **options)
    if not verdict:
        raise AssertionError("\n" + str(verdict))


def _checked(case: Case, deadline: float) -> Verdict:
    subject = f"gradients of {getattr(case.forward, '__name__', 'forward')}"
    try:
        traced = case.trace(None, deadline - time.perf_counter())
    except NeedsConcreteSizes as stop:
        return _at_concrete_sizes(case, stop, subject, deadline)
    except SymbackpropError as error:
        return _untraced(error, subject)
    return _decide(traced, subject, "all sizes", deadline)


def _untraced(error: SymbackpropError, subject: str) -> Verdict:
    """The verdict where the functions could not be followed."""
    undecided = isinstance(error, (UnsupportedError, BudgetError)) and not isinstance(error, ShapesDoNotFit)
    return Verdict(
        "UNDECIDED" if undecided else "MALFORMED", subject, reason=str(error), diagnosis="" if undecided else error.what
    )


# Sizes that must be numbers.


def _at_concrete_sizes(case: Case, stop: NeedsConcreteSizes, subject: str, deadline: float) -> Verdict:
    """Look at several stated sizes of the symbols that a loop or a branch depends on; the others stay free.

    Numbers first, at all of them: a fault may show only where windows overlap or a sequence is longer. Then proofs at
    the first few.
    """
    symbols = tuple(stop.symbols)
    traces: list[Traced] = []
    try:
        for sizes in _choices(symbols):
            if len(traces) == CONCRETE_SCREENED or time.perf_counter() > deadline - BUDGET_SECONDS / 2:
                break
            traced = _traced_at(case, sizes, deadline)
            if traced is not None:
                traces.append(traced)
    except NeedsConcreteSizes as more:
        if set(more.symbols) <= set(symbols):
            return _untraced(more, subject)
        return _at_concrete_sizes(case, _joined(stop, more), subject, deadline)
    except SymbackpropError as error:
        return _untraced(error, subject)
    verdicts: list[Verdict] = []
    for traced in traces:
        verdict = _screened(traced, subject, deadline)
        if verdict is not None:
            return verdict
    for traced in sorted(traces[:CONCRETE_PROVED], key=lambda t: sum(t.sizes.values())):
        verdicts.append(_decide(traced, subject, "", deadline))
        if verdicts[-1].status != "PROVED":
            break
    return _summed_up(
        verdicts,
        [t.sizes for t in sorted(traces[:CONCRETE_PROVED], key=lambda t: sum(t.sizes.values()))],
        symbols,
        subject,
    )


def _traced_at(case: Case, sizes: Mapping[str, int], deadline: float) -> Traced | None:
    """Both functions at these sizes; None where the domain or the functions refuse them."""
    try:
        return case.trace(sizes, min(10.0, _left(deadline)))
    except (NeedsConcreteSizes, ShapesDoNotFit, BudgetError):
        raise
    except (DataError, TraceError):
        return None


def _screened(traced: Traced, subject: str, deadline: float) -> Verdict | None:
    """The verdict that numbers alone give at these sizes, or None."""
    try:
        matter = _matter(traced)
        subject = f"{subject}: {', '.join(matter.names)}"
        malformed = _of_wrong_shape(matter, subject)
        if malformed is not None:
            return malformed
        found = refute(matter.question, budget_seconds=min(SCREEN_SECONDS, _left(deadline)))
        return None if found is None else _refuted(matter, subject, found, deadline)
    except SymbackpropError:
        return None  # the proof will say what is the matter


def _joined(first: NeedsConcreteSizes, more: NeedsConcreteSizes) -> NeedsConcreteSizes:
    return NeedsConcreteSizes(more.what, tuple(dict.fromkeys((*first.symbols, *more.symbols))))


def _summed_up(verdicts: list[Verdict], sizes: list[dict[str, int]], symbols: tuple[str, ...], subject: str) -> Verdict:
    if not verdicts:
        return Verdict(
            "UNDECIDED", subject, reason=f"no small sizes of {', '.join(symbols)} were found that the functions accept"
        )
    last, proved = verdicts[-1], [s for s, v in zip(sizes, verdicts, strict=False) if v.status == "PROVED"]
    places = " and ".join(", ".join(f"{k} = {v}" for k, v in s.items()) for s in proved)
    if last.status == "PROVED":
        return replace(last, scope=f"{places}; every size of the other axes")
    if last.status == "UNDECIDED" and proved:
        return replace(last, notes=(*last.notes, f"proved at {places}"))
    return last


def _choices(symbols: tuple[str, ...]) -> Iterator[dict[str, int]]:
    """Small unequal sizes: from 3 upwards first, then smaller, then larger."""
    grid = [dict(zip(symbols, values, strict=True)) for values in itertools.product(range(1, 8), repeat=len(symbols))]

    def order(sizes: dict[str, int]) -> tuple[int, int, int]:
        values = list(sizes.values())
        return (sum(v < 2 for v in values), len(values) - len(set(values)), sum((v - 3) ** 2 for v in values))

    ranked = sorted(grid, key=order)
    spread = (
        ranked[:2] + ranked[len(ranked) // 3 : len(ranked) // 3 + 1] + ranked[len(ranked) // 2 : len(ranked) // 2 + 1]
    )
    yield from dict((tuple(s.items()), s) for s in (*spread, *ranked[:MAXIMUM_CHOICES])).values()


# The decision.


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


def _decide(traced: Traced, subject: str, scope: str, deadline: float) -> Verdict:
    try:
        matter = _matter(traced)
    except SymbackpropError as error:
        return _untraced(error, subject)
    subject = f"{subject}: {', '.join(matter.names)}"
    malformed = _of_wrong_shape(matter, subject)
    if malformed is not None:
        return malformed
    try:
        found = refute(matter.question, budget_seconds=min(SCREEN_SECONDS, _left(deadline)))
        if found is None:
            proof = _proved(matter, deadline)
            if not proof.unproved:
                return _confirmed(matter, subject, scope, proof)
            found = refute(matter.question.only(proof.unproved), budget_seconds=min(6.0, _left(deadline)), seed=1)
            if found is None:
                return Verdict("UNDECIDED", subject, reason=proof.reason, notes=(_tried(proof),))
    except MalformedError as error:
        return Verdict("MALFORMED", subject, reason=str(error), diagnosis=error.what)
    except SymbackpropError as error:
        return Verdict("UNDECIDED", subject, reason=str(error))
    return _refuted(matter, subject, found, deadline)


def _left(deadline: float) -> float:
    return max(0.05, deadline - time.perf_counter())


def _matter(traced: Traced) -> Matter:
    """Derive the gradients and pair them with the claimed ones."""
    program, upstream = with_cost(traced.forward, traced.upstream)
    used = {t.name for t in (*program.tensors, *traced.backward.tensors)}
    gradient = differentiate(program, name=lambda t: _unused(f"{t.name}_bar", used))
    inputs = {t.name: t for t in traced.forward.inputs}
    pairs = {name: (inputs[name], tensor) for name, tensor in traced.gradients.items()}
    return Matter(traced, gradient, Question(traced.forward, traced.backward, pairs, upstream))


def _of_wrong_shape(matter: Matter, subject: str) -> Verdict | None:
    """MALFORMED if a gradient has another shape than its input; the others are examined by numbers all the same."""
    pairs = matter.question.pairs
    misfits = [n for n, (tensor, claimed) in pairs.items() if tensor.shape != claimed.shape]
    if not misfits:
        return None
    tensor, claimed = pairs[misfits[0]]
    rest = [n for n in pairs if n not in misfits]
    others = wrong_gradients(matter.question.only(rest), budget_seconds=SCREEN_SECONDS) if rest else []
    error = MalformedError(
        f"the gradient of {misfits[0]} has another shape than {misfits[0]}",
        evidence=[f"{misfits[0]}:  {shape_text(tensor)}", f"d{misfits[0]}:  {shape_text(claimed)}"],
    )
    wrong = tuple(n for n in pairs if n in misfits or n in others)
    return Verdict("MALFORMED", subject, wrong=wrong, reason=str(error), diagnosis=error.what)


def _unused(name: str, used: set[str]) -> str:
    return name if name not in used else next(n for k in itertools.count(2) if (n := f"{name}{k}") not in used)


def shape_text(tensor: Tensor) -> str:
    """A shape as the user would write it."""
    return "(" + ", ".join(to_text(size) for size in tensor.shape) + ("," if len(tensor.shape) == 1 else "") + ")"


@dataclass(frozen=True)
class Attempt:
    """How far the proof came."""

    unproved: tuple[str, ...]
    used: tuple[str, ...]
    reason: str


def _proved(matter: Matter, deadline: float) -> Attempt:
    """Compare each claimed gradient with the derived one, by normal form."""
    left, reason = list(matter.names), ""
    used: dict[str, None] = {}
    long = len(matter.gradient.adjoint.equations) + len(matter.traced.backward.equations) > LONG
    for limit, sweeping, seconds in sorted(ATTEMPTS, key=lambda a: long and not a[1]):
        resolver = _resolver(matter, limit, min(seconds, _left(deadline)))
        if sweeping:
            sweep(resolver, matter.question, matter.gradient.adjoint, matter.traced.backward)
            resolver.restart_clock()
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
    return bar if bar is not None else Tensor(f"zeros_{name}", tensor.shape)


def _resolver(matter: Matter, limit: int, seconds: float) -> Resolver:
    program = matter.gradient.program
    kinds = {a.tensor: a.kind for a in program.assumptions}
    equations: dict[Tensor, Equation] = {
        e.tensor: e for e in (*matter.gradient.adjoint.equations, *matter.traced.backward.equations)
    }
    expanded = WRITTEN_OUT if matter.traced.sizes else 0
    return Resolver(equations.values(), facts_of(program), kinds, limit=limit, expanded=expanded, seconds=seconds)


def _confirmed(matter: Matter, subject: str, scope: str, proof: Attempt) -> Verdict:
    """PROVED, after the kernel has replayed the derivation and exact numbers have been asked."""
    kernel = Kernel(matter.gradient.program, expanded=WRITTEN_OUT if matter.traced.sizes else 0)
    used: dict[str, None] = dict.fromkeys(proof.used)
    try:
        for derivation in matter.gradient.derivations.values():
            used |= dict.fromkeys(kernel.replay(derivation))
    except ProofError as error:
        return Verdict("UNDECIDED", subject, reason=f"the kernel does not accept the derivation: {error.what}")
    answer: Counterexample | bool
    try:
        answer = cross_examine(matter.question)
    except UnsupportedError:
        answer = True
    if answer is not True:
        reason = "internal error: the proof and the numbers disagree; please report this case"
        return Verdict(
            "UNDECIDED", subject, reason=reason, counterexample=answer if isinstance(answer, Counterexample) else None
        )
    conditions = tuple(dict.fromkeys((*matter.traced.forward.conditions, *used)))
    return Verdict("PROVED", subject, scope=scope, conditions=conditions)


def _tried(proof: Attempt) -> str:
    return (
        f"not decided: {', '.join(proof.unproved)}; numbers agree at every point tried, which is evidence and no proof"
    )


def _refuted(matter: Matter, subject: str, found: Counterexample, deadline: float) -> Verdict:
    proof = _proved(matter, min(deadline, time.perf_counter() + 3.0))
    wrong = wrong_gradients(matter.question, proof.unproved or None, budget_seconds=min(1.0, _left(deadline)))
    wrong = wrong or [found.entry.name]
    mend = _mend(matter, wrong, min(deadline, time.perf_counter() + 2.0))
    right = [n for n in matter.names if n not in proof.unproved]
    notes = (f"proved right: {', '.join(right)}",) if right else ()
    return Verdict(
        "REFUTED",
        subject,
        wrong=tuple(wrong),
        diagnosis=mend.words if mend else "",
        cure=mend.text if mend else "",
        counterexample=found,
        notes=notes,
    )


def _mend(matter: Matter, wrong: list[str], deadline: float) -> Mend | None:
    try:
        resolver = _resolver(matter, UNLIMITED, _left(deadline))
        return mends(resolver, matter.traced, matter.gradient, wrong, {n: derived(matter, n) for n in wrong})
    except (BudgetError, UnsupportedError):
        return None


__all__ = ["Program", "TraceError", "assert_proved", "check"]
