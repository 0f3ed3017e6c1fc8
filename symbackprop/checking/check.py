"""check: a NumPy backward pass against its forward pass, for every size.

    verdict = check(forward, backward, shapes={"x": ("N", "D"), "w": ("D", "M")})

Both functions are traced into equations, the gradients are derived from the forward's equations, and each gradient
that the backward returns is compared with the derived one by normal form. Before anything is called proved it is
examined by exact numbers; what numbers refute is reported with the point, the gradients that are wrong and, where one
was proved, the cure.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from symbackprop.checking.decide import (
    Matter,
    decide,
    decide_pair,
    look,
    matter_of,
    of_wrong_shape,
    refuted,
    time_left,
    untraced,
)
from symbackprop.checking.freeing import freed
from symbackprop.checking.raising import failure
from symbackprop.checking.refute import Stage
from symbackprop.checking.trace_agreement import agree_with_numpy
from symbackprop.checking.verdict import Verdict
from symbackprop.errors import (
    BudgetError,
    DataError,
    MalformedError,
    SymbackpropError,
    TraceError,
)
from symbackprop.expression.build import Number, Symbol
from symbackprop.expression.program import symbols as symbols_of
from symbackprop.frontends.numpy.errors import CodeRaisesError, NeedsConcreteSizes, ShapesDoNotFit
from symbackprop.frontends.numpy.traced import Traced, trace_pair
from symbackprop.frontends.numpy.tracer import name_of

BUDGET_SECONDS = 20.0
CONCRETE_SCREENED, CONCRETE_PROVED, MAXIMUM_CHOICES = 6, 3, 80
ENOUGH = 2  # proofs at stated sizes
FEW, MAXIMUM_GRID = 3, 10_000  # symbols, and choices of their values
LARGER = 5  # where windows of 3 overlap that are 2 apart
LARGEST_PRODUCT = 64  # of stated sizes: a loop over all of them is run that often
STATED_SECONDS = 9.0  # for proofs at stated sizes where there is none for all
MOST_SYMBOLS = 4  # that are fixed then
TOO_LARGE = 20_000  # entries of inputs of fixed sizes
CONCRETE_SECONDS = 0.12  # for numbers at each of several stated sizes
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
        """Both functions as equations, which give what NumPy gives."""
        traced = trace_pair(self.forward, self.backward, self.shapes, self.assume, self.where, sizes, seconds=seconds)
        agree_with_numpy(traced, self.forward, self.backward, choices=2 if sizes else 4)
        return traced.written()


def judged(case: Case, deadline: float) -> Verdict:
    """With symbols for long axes of a fixed length, if that is enough; else as the sizes are given."""
    general = _freed(case, deadline)
    return _checked(case, deadline) if general is None else general


def _freed(case: Case, deadline: float) -> Verdict | None:
    """The verdict where long axes of a fixed length are symbols, if that is enough; None where there are none."""
    found = freed(case.shapes, case.assume)
    if found is None:
        return None
    general = replace(case, shapes=found[0], assume=found[1])
    verdict = _checked(general, time.perf_counter() + time_left(deadline) / 2)
    if verdict.status == "PROVED":
        return replace(verdict, notes=(*verdict.notes, "the sizes given are a case of this"))
    if sum(math.prod(n for n in shape if isinstance(n, int)) for shape in case.shapes.values()) < TOO_LARGE:
        return None
    subject = f"gradients of {name_of(case.forward)}"
    reason = (
        "arrays of this size cannot be examined by exact numbers; with a symbol for each long axis the answer is "
        f"{verdict.status}: give shapes such as {next(iter(found[0].items()))}"
    )
    return Verdict("UNDECIDED", subject, reason=reason)


def _checked(case: Case, deadline: float) -> Verdict:
    subject = f"gradients of {name_of(case.forward)}"
    try:
        traced = case.trace(None, deadline - time.perf_counter())
    except NeedsConcreteSizes as stop:
        return _at_concrete_sizes(case, stop, subject, deadline)
    except CodeRaisesError as error:
        return untraced(_own_fault(case, error, None) or error, subject)
    except SymbackpropError as error:
        return untraced(error, subject)
    verdict = decide_pair(traced, subject, "all sizes", deadline)
    if verdict.status != "UNDECIDED":
        return verdict
    symbols = _telling_symbols(traced)
    if not symbols or time.perf_counter() > deadline - STATED_SECONDS / 4:
        return verdict
    why = NeedsConcreteSizes("a proof for all sizes", symbols)
    stated = _at_concrete_sizes(case, why, subject, min(deadline, time.perf_counter() + STATED_SECONDS))
    return stated if stated.status in ("PROVED", "REFUTED") else verdict


def _telling_symbols(traced: Traced) -> tuple[str, ...]:
    """The size symbols to fix where no proof for all sizes was found: those that sizes are computed from, or all."""
    shapes = [n for p in (traced.forward, traced.backward) for t in p.tensors for n in t.shape]
    computed = [s for n in shapes if not isinstance(n, (Symbol, Number)) for s in symbols_of(n)]
    found = computed or [s for n in shapes for s in symbols_of(n)]
    return tuple(dict.fromkeys(s.name for s in found if s.kind == "size"))[:MOST_SYMBOLS]


def _own_fault(case: Case, error: CodeRaisesError, sizes: Mapping[str, int] | None) -> MalformedError | None:
    """The error of code that raises on NumPy's arrays too, whatever their sizes; None if it does not."""
    found = failure(case.forward, case.backward, case.shapes, case.assume, case.where, sizes)
    if found is None or found.kind != error.kind or (sizes and not found.of_backward):
        return None  # a forward that refuses some sizes restricts the domain
    return MalformedError(error.what + (f", where {_at(sizes)}" if sizes else ""), where=error.where)


# Sizes that must be numbers.


def _at_concrete_sizes(case: Case, stop: NeedsConcreteSizes, subject: str, deadline: float) -> Verdict:
    """Look at several stated sizes of the symbols that a loop or a branch depends on; the others stay free.

    Numbers first, at all of them: a fault may show only where windows overlap or a sequence is longer. Then proofs at
    the first few.
    """
    symbols = tuple(stop.symbols)
    traces: list[Traced] = []
    refused: list[str] = []
    start = time.perf_counter()
    try:
        for sizes in _choices(symbols):
            if (
                len(traces) == max(CONCRETE_SCREENED, len(symbols) + 3)
                or time.perf_counter() > deadline - (deadline - start) / 2
            ):
                break
            traced = _traced_at(case, sizes, deadline, refused)
            if traced is not None:
                traces.append(traced)
    except NeedsConcreteSizes as more:
        if set(more.symbols) <= set(symbols):
            return untraced(more, subject)
        return _at_concrete_sizes(case, _joined(stop, more), subject, deadline)
    except SymbackpropError as error:
        return untraced(error, subject)
    verdict = _decided_at(traces, symbols, subject, deadline)
    return replace(verdict, notes=(*verdict.notes, *refused[:1]))


def _decided_at(traces: list[Traced], symbols: tuple[str, ...], subject: str, deadline: float) -> Verdict:
    """Numbers at all of these sizes, proofs at the first few."""
    matters: list[Matter] = []
    for traced in traces:
        try:
            matters.append(matter_of(traced))
        except SymbackpropError as error:
            return untraced(error, subject)
    named = f"{subject}: {', '.join(matters[0].names)}" if matters else subject
    stages: list[tuple[Stage, list[Matter]]] = [("first look", matters), ("directed", matters[CONCRETE_PROVED:])]
    for stage, some in stages:
        for matter in some:
            verdict = _screened(matter, named, stage, deadline)
            if verdict is not None:
                return verdict
    verdicts: list[Verdict] = []
    proved = sorted(matters[:CONCRETE_PROVED], key=lambda m: sum(m.traced.sizes.values()))
    for matter in proved:
        verdicts.append(decide(matter, named, "", deadline))
        if verdicts[-1].status != "PROVED":
            break
    return _summed_up(verdicts, [m.traced.sizes for m in proved], symbols, subject)


def _traced_at(case: Case, sizes: Mapping[str, int], deadline: float, refused: list[str]) -> Traced | None:
    """Both functions at these sizes; None where the domain or the functions refuse them, which is noted."""
    try:
        return case.trace(sizes, min(10.0, time_left(deadline)))
    except (NeedsConcreteSizes, ShapesDoNotFit, BudgetError):
        raise
    except CodeRaisesError as error:
        own = _own_fault(case, error, sizes)
        if own is not None:
            raise own from None
        refused.append(f"left out where {error.what}: {_at(sizes)}")
        return None
    except (DataError, TraceError):
        return None


def _screened(matter: Matter, subject: str, stage: Stage, deadline: float) -> Verdict | None:
    """The verdict that numbers alone give at these sizes, or None."""
    try:
        malformed = of_wrong_shape(matter, subject) if stage == "first look" else None
        if malformed is not None:
            return malformed
        found = look(matter, CONCRETE_SECONDS, deadline, stage)
    except SymbackpropError:
        return None  # the proof will say what is the matter
    return None if found is None else refuted(matter, subject, found, deadline)


def _joined(first: NeedsConcreteSizes, more: NeedsConcreteSizes) -> NeedsConcreteSizes:
    return NeedsConcreteSizes(more.what, tuple(dict.fromkeys((*first.symbols, *more.symbols))))


def _summed_up(verdicts: list[Verdict], sizes: list[dict[str, int]], symbols: tuple[str, ...], subject: str) -> Verdict:
    if not verdicts:
        return Verdict(
            "UNDECIDED", subject, reason=f"no small sizes of {', '.join(symbols)} were found that the functions accept"
        )
    last, proved = verdicts[-1], [s for s, v in zip(sizes, verdicts, strict=False) if v.status == "PROVED"]
    places = " and ".join(_at(s) for s in proved)
    if last.status == "PROVED":
        return replace(last, scope=f"{places}; every size of the other axes")
    if last.status == "UNDECIDED" and len(proved) >= ENOUGH:
        note = f"no proof in time at {_at(sizes[len(proved)])}, where numbers agree"
        earlier = verdicts[len(proved) - 1]
        return replace(earlier, scope=f"{places}; every size of the other axes", notes=(*earlier.notes, note))
    if last.status == "UNDECIDED" and proved:
        return replace(last, notes=(*last.notes, f"proved at {places}"))
    return last


def _at(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {n}" for name, n in sizes.items())


def _choices(symbols: tuple[str, ...]) -> Iterator[dict[str, int]]:
    """Small unequal sizes from 3 upwards first, two larger ones, each size 1 in turn, then the others.

    Of more than `FEW` symbols the products grow fast: there sizes of 2 come first, then each is larger in turn.
    """
    few = len(symbols) <= FEW
    values = itertools.islice(itertools.product(range(1, 8 if few else 4), repeat=len(symbols)), MAXIMUM_GRID)
    grid = [dict(zip(symbols, v, strict=True)) for v in values]
    ranked = sorted(grid, key=_near_three if few else _few_entries)
    small = [s for s in ranked if math.prod(s.values()) <= LARGEST_PRODUCT]
    spread = [small[len(small) // 3], small[len(small) // 2]]
    if not few:
        spread = [{n: LARGER if n == symbol else rest for n in symbols} for rest in (2, 3) for symbol in symbols]
    ones = [next(s for s in ranked if s[symbol] == 1) for symbol in symbols]
    chosen = (*ranked[:2], *spread, *ones[:2], *small[:MAXIMUM_CHOICES], *ranked[:MAXIMUM_CHOICES])
    yield from dict((tuple(s.items()), s) for s in chosen).values()


def _near_three(sizes: Mapping[str, int]) -> tuple[int, int, int]:
    values = sizes.values()
    return sum(v < 2 for v in values), len(values) - len(set(values)), sum((v - 3) ** 2 for v in values)


def _few_entries(sizes: Mapping[str, int]) -> tuple[int, int, int]:
    return sum(v < 2 for v in sizes.values()), math.prod(sizes.values()), _alike(sizes)


def _alike(sizes: Mapping[str, int]) -> int:
    """How many pairs of sizes are equal: a swapped pair of axes shows only where they differ."""
    return sum(a == b for a, b in itertools.combinations(sizes.values(), 2))
