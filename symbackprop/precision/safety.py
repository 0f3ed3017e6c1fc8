"""The doors: is a proved backward pass, or a forward pass alone, finite and accurate in floating point?

    precision_of(verdict, case, ranges, dtype, seconds)
    precision_of_forward(program, case, sizes, ranges, dtype, seconds)

First a directed search (`search`), then, of what was found, the expression to blame (`blame`) and a stable form that is
proved equal (`cures`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from symbackprop.checking.check import Case
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.verdict import Precision, Verdict
from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import Tensor
from symbackprop.expression.nodes import collector_paused
from symbackprop.expression.program import Program
from symbackprop.frontends.numpy.time_limit import OutOfTime, within
from symbackprop.normal_form.work_time import worked
from symbackprop.precision.blame import blamed
from symbackprop.precision.cures import Lines, cure_of, cure_of_forward
from symbackprop.precision.error import Judge
from symbackprop.precision.exact_values import ExactValues, OutputValues
from symbackprop.precision.inputs import Inputs
from symbackprop.precision.interval_runs import hazards, proved_finite
from symbackprop.precision.ranges import Range, ranges_of
from symbackprop.precision.search import Found, Search, Searched, along, simpler
from symbackprop.precision.user_results import ForwardCode, UserCode

SEARCH = 1.0  # seconds of work for all of it, and a third of what the proof took
FEARED, FOUND, SIMPLE = 0.1, 0.5, 0.65  # of it, by when hazards are told, the search ends, and the witness is simple
LEAST = {"float64": 1e-300, "float32": 1e-40}  # errors up to this size count as none
SEED = 3
PROVING = 0.2  # seconds for the proof that all is finite
PATIENCE = 20.0  # seconds on the wall for one of work: other programs run, too
SHRINKING = 0.2
CLIMBING = 0.25  # seconds after the search in which errors are made larger step by step
NO_TRUTH = "no point was found at which the true value could be told"
CURES = 3.0  # seconds for stable forms, of which as many are tried as are counted: for the clock on the wall


@collector_paused()
def precision_of(
    verdict: Verdict,
    case: Case,
    stated: Mapping[str, tuple[float, float]],
    dtype: np.dtype[Any],
    seconds: float,
) -> Precision:
    """What floating point makes of a proved backward pass.

    Args:
        stated: ranges of inputs, by name.
        seconds: of work, for the search.
    """
    if verdict.evidence is None or verdict.status != "PROVED":
        return Precision(None, dtype=dtype.name, reason=f"nothing is searched where the verdict is {verdict.status}")
    gradient, question = verdict.evidence

    def subject() -> _Subject:
        values = ExactValues(question, gradient, LEAST[dtype.name])
        code = UserCode(case.forward, case.backward, question, dtype)
        sampler = Sampler(question, random.Random(SEED))
        ranges = ranges_of(question.forward.inputs, sampler.kinds, stated)
        return _Subject(code, values, sampler, ranges, partial(cure_of, verdict, code, case))

    return _told(subject, dtype, seconds)


@collector_paused()
def precision_of_forward(
    program: Program,
    case: Case,
    sizes: Mapping[str, int],
    stated: Mapping[str, tuple[float, float]],
    dtype: np.dtype[Any],
    seconds: float,
) -> Precision:
    """What floating point makes of a forward pass alone: of all that it returns.

    Args:
        program: its equations.
        case: the forward pass in the place of both.
        sizes: those that are fixed.
        stated: ranges of inputs, by name.
        seconds: of work, for the search.
    """

    def subject() -> _Subject:
        values = OutputValues(program, LEAST[dtype.name])
        code = ForwardCode(case.forward, case.backward, values.question, dtype)
        sampler = Sampler(values.question, random.Random(SEED))
        ranges = ranges_of(program.inputs, sampler.kinds, stated)
        values.moved = frozenset(ranges)
        return _Subject(code, values, sampler, ranges, partial(cure_of_forward, code, case, sizes))

    found = _told(subject, dtype, seconds)
    return replace(found, name="", output=found.name if len(program.outputs) > 1 else "")


class _Subject(NamedTuple):
    """What is searched, and how a stable form of it is found."""

    code: UserCode
    values: ExactValues
    sampler: Sampler
    ranges: Mapping[Tensor, Range]
    cure: Callable[[Search, Found], Lines | None]

    def stable(self, search: Search, found: Found) -> str | None:
        """The changed lines; None if none are known."""
        lines = self.cure(search, found)
        return "\n".join(lines.values()) if lines else None


def _told(subject: Callable[[], _Subject], dtype: np.dtype[Any], seconds: float) -> Precision:
    """What the search of a subject says, whatever the user's code does."""
    seen: list[Precision] = []
    try:
        return within(PATIENCE * (seconds + CURES), lambda: _searched(subject(), seconds, seen))
    except OutOfTime:
        if seen:
            return seen[0]
        return Precision(None, dtype=dtype.name, reason=f"no answer within {seconds:.1f} s")
    except SymbackpropError as error:
        return Precision(None, dtype=dtype.name, reason=error.what)
    except Exception as error:  # the user's code may raise anything
        if seen:  # no stable form, but what was seen to fail does
            return seen[0]
        reason = f"internal error: {type(error).__name__}: {error}; please report this case"
        return Precision(None, dtype=dtype.name, reason=reason)


def _searched(subject: _Subject, seconds: float, seen: list[Precision]) -> Precision:
    """Search, then blame and cure what was found, which is put into `seen` as soon as it is known."""
    start = worked()
    code, values, sampler, ranges, _ = subject
    dtype = code.dtype
    inputs = Inputs(code.question, sampler, ranges, dtype)
    judge = Judge(values, tuple(ranges), dtype, jumps=isinstance(code, ForwardCode))
    search = Search(code, inputs, values, judge)
    sizes = next(iter(sampler.size_choices()))
    feared = hazards(code, sampler, ranges, sizes, start + FEARED * seconds)
    first = [p for box in feared for p in inputs.inside(box, sizes)]
    result = search.run(start + FOUND * seconds, first, climbing=CLIMBING)
    over = _over(ranges)
    if result.found is None:
        if not result.compared:
            why = result.complaint or NO_TRUTH
            what = "value" if isinstance(code, ForwardCode) else "gradient"
            why = f"wherever it was tried, a true {what} is beyond {dtype.name}" if result.beyond else why
            return Precision(None, dtype=dtype.name, reason=why, over=over)
        better = _avoidable(subject, search, result, over)
        if better is not None:
            return better
        finite = ", ".join(f"{s.name}={n}" for s, n in sizes.items()) or "the sizes are as given"
        finite = finite if proved_finite(code, sampler, ranges, sizes, worked() + PROVING) else ""
        return Precision(True, result.largest, dtype=dtype.name, over=over, points=result.compared, finite=finite)
    found = simpler(search, result.found, start + SIMPLE * seconds)
    unsafe = _unsafe(code, found, result, search, over)
    seen.append(unsafe)
    return replace(unsafe, stable=subject.stable(search, found))


def _avoidable(subject: _Subject, search: Search, result: Searched, over: str) -> Precision | None:
    """What rounding the inputs would lose as well, where a stable form does not lose it: 1 - x^2 near 1."""
    if not result.explained:
        return None
    worst = max(result.explained, key=lambda f: f.rank)
    found = simpler(search, worst, worked() + SHRINKING, explained=True)
    stable = subject.stable(search, found)
    return replace(_unsafe(subject.code, found, result, search, over), stable=stable) if stable else None


def _unsafe(code: UserCode, found: Found, result: Searched, search: Search, over: str) -> Precision:
    """What was found, with the expression to blame."""
    loss = found.loss
    dtype = code.dtype
    witness = {t.name: a.astype(dtype) if a.dtype.kind == "f" else a for t, a in found.point.inputs.items()}
    upstream = search.values.question.upstream
    if len(upstream) == 1:
        witness["dout"] = witness.pop(upstream[0].name)
    guilty = blamed(code, found)
    return Precision(
        False,
        loss.error,
        witness,
        curve=tuple(along(search, found)),
        line=guilty.text if guilty is not None else "",
        number=guilty.number if guilty is not None else 0,
        dtype=dtype.name,
        name=loss.name,
        place=loss.place,
        computed=loss.computed,
        exact=loss.exact,
        over=over,
        points=result.compared,
    )


def _over(ranges: Mapping[Tensor, Range]) -> str:
    """The ranges in words."""
    return ", ".join(f"{r.low:g} {'<' if r.open else '<='} {t.name} <= {r.high:g}" for t, r in ranges.items())


__all__ = ["SEARCH", "precision_of", "precision_of_forward"]
