"""check: a NumPy backward pass against its forward pass, for every size.

    verdict = check(forward, backward, shapes={"x": ("N", "D"), "w": ("D", "M")})

Both functions are traced into equations, the gradients are derived from the forward's equations, and each gradient that the
backward returns is compared with the derived one by normal form. Before anything is called proved it is examined by exact numbers;
what numbers refute is reported with the point, the gradients that are wrong and, where one was proved, the cure.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from symbackprop.counterexample import Counterexample
from symbackprop.derivation import Gradient
from symbackprop.differentiate import differentiate, facts_of
from symbackprop.errors import BudgetError, MalformedError, ProofError, SymbackpropError, TraceError, UnsupportedError
from symbackprop.expression import Tensor
from symbackprop.kernel import Kernel
from symbackprop.mending import Mend, mends
from symbackprop.program import Equation, Program
from symbackprop.proving import with_cost
from symbackprop.question import Question
from symbackprop.refute import cross_examine, refute, wrong_gradients
from symbackprop.resolve import UNLIMITED, Resolver
from symbackprop.trace import NeedsConcreteSizes, ShapesDoNotFit, Traced, trace_pair
from symbackprop.verdict import Verdict

BUDGET_SECONDS = 20.0
SCREEN_SECONDS = 0.35  # numbers first: most wrong backward passes show at once
LIMITS = (UNLIMITED, 1, 6)  # how large a tensor may grow before it is kept as one atom, in the order of trial
CONCRETE_CHOICES = 3
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
        backward: backward(dout, **inputs), backward(**inputs) for a scalar, or backward(dout, cache); returns {name: gradient}.
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
    return Verdict("UNDECIDED" if undecided else "MALFORMED", subject, reason=str(error), diagnosis="" if undecided else error.what)


# Sizes that must be numbers.


def _at_concrete_sizes(case: Case, stop: NeedsConcreteSizes, subject: str, deadline: float) -> Verdict:
    """Prove it at several stated sizes of the symbols that a loop or a branch depends on; the others stay free."""
    symbols = tuple(stop.symbols)
    last: Verdict | None = None
    proved: list[dict[str, int]] = []
    for sizes in itertools.islice(_choices(case, symbols), CONCRETE_CHOICES):
        if time.perf_counter() > deadline:
            break
        try:
            traced = case.trace(sizes, deadline - time.perf_counter())
        except NeedsConcreteSizes as more:
            if set(more.symbols) <= set(symbols):
                return _untraced(more, subject)
            return _at_concrete_sizes(case, _joined(stop, more), subject, deadline)
        except SymbackpropError as error:
            last = _untraced(error, subject)
            continue
        last = _decide(traced, subject, "", deadline)
        if last.status != "PROVED":
            break
        proved.append(sizes)
    return _summed_up(proved, last, symbols, subject)


def _joined(first: NeedsConcreteSizes, more: NeedsConcreteSizes) -> NeedsConcreteSizes:
    return NeedsConcreteSizes(more.what, tuple(dict.fromkeys((*first.symbols, *more.symbols))))


def _summed_up(proved: list[dict[str, int]], last: Verdict | None, symbols: tuple[str, ...], subject: str) -> Verdict:
    if last is None:
        return Verdict("UNDECIDED", subject, reason=f"no small sizes of {', '.join(symbols)} were found that the functions accept")
    if last.status == "PROVED":
        places = ["(" + ", ".join(f"{k}={v}" for k, v in sizes.items()) + ")" for sizes in proved]
        return replace(last, scope=f"every size of the other axes, at {' and '.join(places)}")
    if last.status == "UNDECIDED" and proved:
        note = "proved at " + ", ".join(str(s) for s in proved) + ", undecided at the next sizes"
        return replace(last, notes=(*last.notes, note))
    return last


def _choices(case: Case, symbols: tuple[str, ...]) -> Iterator[dict[str, int]]:
    """Small unequal sizes first; those that the domain or the functions refuse are skipped by the caller."""
    grid = [dict(zip(symbols, values, strict=True)) for values in itertools.product(range(1, 7), repeat=len(symbols))]

    def order(sizes: dict[str, int]) -> tuple[int, int, int]:
        values = list(sizes.values())
        return (sum(v == 1 for v in values), len(values) - len(set(values)), sum(abs(v - 3) for v in values))

    refused = 0
    for sizes in sorted(grid, key=order):
        try:
            case.trace(sizes, 5.0)
        except NeedsConcreteSizes:
            yield sizes
        except SymbackpropError:
            refused += 1
            if refused > 60:
                return
        else:
            yield sizes


# The decision.


@dataclass(frozen=True)
class Matter:
    """A traced pair with the derived gradients beside the claimed ones."""

    traced: Traced
    gradient: Gradient
    question: Question
    missing: tuple[str, ...]

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
    for name, (tensor, claimed) in pairs.items():
        if tensor.shape != claimed.shape:
            raise _wrong_shape(name, tensor, claimed)
    question = Question(traced.forward, traced.backward, pairs, upstream)
    return Matter(traced, gradient, question, ())


def _unused(name: str, used: set[str]) -> str:
    return name if name not in used else next(n for k in itertools.count(2) if (n := f"{name}{k}") not in used)


def _wrong_shape(name: str, tensor: Tensor, claimed: Tensor) -> MalformedError:
    from_shape = [" x ".join(size_text(s) for s in t.shape) or "scalar" for t in (tensor, claimed)]
    return MalformedError(
        f"the gradient of {name} has another shape than {name}", evidence=[f"{name}:  {from_shape[0]}", f"gradient:  {from_shape[1]}"]
    )


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
    for limit in LIMITS:
        resolver = _resolver(matter, limit, min(6.0, _left(deadline)))
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
    equations: dict[Tensor, Equation] = {e.tensor: e for e in (*matter.gradient.adjoint.equations, *matter.traced.backward.equations)}
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
        return Verdict("UNDECIDED", subject, reason=reason, counterexample=answer if isinstance(answer, Counterexample) else None)
    conditions = tuple(dict.fromkeys((*matter.traced.forward.conditions, *used)))
    return Verdict("PROVED", subject, scope=scope, conditions=conditions)


def _tried(proof: Attempt) -> str:
    return f"not decided: {', '.join(proof.unproved)}; numbers agree at every point tried, which is evidence and no proof"


def _refuted(matter: Matter, subject: str, found: Counterexample, deadline: float) -> Verdict:
    proof = _proved(matter, min(deadline, time.perf_counter() + 3.0))
    wrong = wrong_gradients(matter.question, proof.unproved or None, budget_seconds=min(1.0, _left(deadline)))
    wrong = wrong or [found.entry.name]
    mend = _mend(matter, wrong, min(deadline, time.perf_counter() + 2.0))
    right = [n for n in matter.names if n not in proof.unproved]
    notes = (f"proved right: {', '.join(right)}",) if right else ()
    return Verdict("REFUTED", subject, wrong=tuple(wrong), diagnosis=mend.words if mend else "", cure=mend.text if mend else "",
                   counterexample=found, notes=notes)


def _mend(matter: Matter, wrong: list[str], deadline: float) -> Mend | None:
    try:
        resolver = _resolver(matter, UNLIMITED, _left(deadline))
        return mends(resolver, matter.traced, matter.gradient, wrong, {n: derived(matter, n) for n in wrong})
    except (BudgetError, UnsupportedError):
        return None


def size_text(size: Any) -> str:
    """A size as the user would write it."""
    return getattr(size, "name", None) or str(getattr(size, "value", size))


__all__ = ["Program", "TraceError", "assert_proved", "check"]
