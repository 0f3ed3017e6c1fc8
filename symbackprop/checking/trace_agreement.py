"""The user's own functions, run by NumPy, beside what was traced.

A verdict speaks of the traced equations; this module makes sure that they say what NumPy does. Both functions run on
copies of a few small arrays, and their results must be those of the equations. A difference is a fault of the trace, or
code whose results depend on more than its arguments; either way nothing may be said. This module must not know how
functions are traced, or what is claimed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.question import Point, Question
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.user_run import arguments, handed, outputs_and_cache, quietly
from symbackprop.errors import MalformedError, UnsupportedError
from symbackprop.evaluation.compile import Array, OutOfRangeError
from symbackprop.evaluation.exact import Evaluator, array_of, to_numpy
from symbackprop.evaluation.number_types import FLOAT, TooCloseError
from symbackprop.expression.build import Tensor
from symbackprop.frontends.numpy.traced import Traced, backward_roles, unwritten
from symbackprop.frontends.numpy.tracer import name_of

CHOICES = 4  # sizes that are tried: unequal ones first, then some with a size of 1
LARGEST = 100_000  # numbers: points that hold more are left out, since the referee is slow
CLOSE = 1e-4  # relative to the largest entry: user code may work in float32
Floats = NDArray[Any]


class TraceDiffersError(UnsupportedError):
    """The equations are not what NumPy computes."""


@dataclass(frozen=True)
class _Pair:
    """The user's functions, and the question that their trace answers."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    traced: Traced
    roles: Mapping[str, str]


def agree_with_numpy(
    traced: Traced, forward: Callable[..., Any], backward: Callable[..., Any], *, choices: int = CHOICES
) -> None:
    """Run both functions by NumPy at a few points and compare the results with the traced equations.

    Args:
        choices: how many choices of sizes are tried.

    Raises:
        TraceDiffersError: they differ.
        MalformedError: the backward fails where its trace does not, or reads what np.empty left there.
    """
    inputs = {t.name: t for t in traced.forward.inputs}
    pairs = {name: (inputs[name], tensor) for name, tensor in traced.gradients.items()}
    question = Question(traced.forward, traced.backward, pairs, traced.upstream)
    sampler = Sampler(question, random.Random(7))
    programs = Evaluator(traced.forward, FLOAT), Evaluator(traced.backward, FLOAT)
    pair = _Pair(forward, backward, traced, backward_roles(backward, list(inputs)))
    try:
        _examine(pair, programs, sampler, choices)
    except (MalformedError, TraceDiffersError) as error:
        fixed = [f"where   {', '.join(f'{name} = {n}' for name, n in traced.sizes.items())}"] if traced.sizes else []
        raise type(error)(error.what, evidence=[*fixed, *error.evidence], help=error.help) from None


def _examine(pair: _Pair, programs: tuple[Evaluator, Evaluator], sampler: Sampler, choices: int) -> None:
    telling = sampler.size_choices()
    if any(unwritten(e.program) for e in programs):
        for sizes in [s for s in telling if sampler.entries(s) <= LARGEST]:
            _only_written(programs, sampler.point(sizes))
    for sizes in [s for s in telling if sampler.entries(s) <= LARGEST][:choices]:
        _compare(pair, programs, sampler.point(sizes))


def _only_written(programs: tuple[Evaluator, Evaluator], point: Point) -> None:
    """Whatever np.empty arrays hold, the results are the same.

    Raises:
        MalformedError: they are not.
    """
    for evaluator in programs:
        garbage = unwritten(evaluator.program)
        first, second = (
            _evaluated(evaluator, replace(point, parameters={**point.parameters, **dict.fromkeys(garbage, value)}))
            for value in (0.0, 1.75)
        )
        if first is None or second is None:
            continue
        for tensor in evaluator.program.outputs:
            if not np.array_equal(first[tensor], second[tensor], equal_nan=True):
                what = f"entries of an np.empty array are read before they are written: {tensor.name}"
                raise MalformedError(what, evidence=[f"sizes:  {_sizes(point.sizes)}"], help="use np.zeros")


def _compare(pair: _Pair, programs: tuple[Evaluator, Evaluator], point: Point) -> None:
    """One point; one at which the forward fails, or rounding decides, says nothing."""
    try:
        _run_both(pair, programs, point)
    except TraceDiffersError:
        if all(_steady(p, point) for p in programs):
            raise


def _steady(evaluator: Evaluator, point: Point) -> bool:
    """False if inputs that differ by a rounding error give quite another result: code that divides by x - x."""
    nudged = {t: a * (1 + 2.0**-40) if a.dtype.kind == "f" else a for t, a in point.inputs.items()}
    first, second = _evaluated(evaluator, point), _evaluated(evaluator, replace(point, inputs=nudged))
    if first is None or second is None:
        return first is second
    return all(_near(first[t], second[t]) for t in evaluator.program.outputs)


def _near(left: Floats, right: Floats) -> bool:
    exists = np.isfinite(left)
    scale = max(1.0, float(np.abs(left[exists]).max(initial=0.0)))
    return bool(np.all(np.abs(left - right)[exists] <= CLOSE * scale))


def _run_both(pair: _Pair, programs: tuple[Evaluator, Evaluator], point: Point) -> None:
    with quietly():
        try:
            result = pair.forward(**arguments(pair.forward, pair.traced.forward.inputs, point))
        except Exception:
            return
        outputs, cache = outputs_and_cache(result, pair.roles)
        expected = _evaluated(programs[0], point)
        if expected is None:
            return
        wanted = [expected[t] for t in pair.traced.forward.outputs]
        plain = [_plain(v) for v in _listed(outputs)]
        if not all(np.isfinite(v).all() for v in plain):
            return
        for given, needed, tensor in zip(plain, wanted, pair.traced.forward.outputs, strict=False):
            _same(pair.forward, tensor.name, given, needed, point.sizes)
        expected = _evaluated(programs[1], point)
        if expected is None:
            return
        returned = _run_backward(pair, point, cache)
        for name, tensor in pair.traced.gradients.items():
            value = _of_name(returned, name, pair.traced)
            if value is not None:
                _same(pair.backward, name, _plain(value), expected[tensor], point.sizes)


def _run_backward(pair: _Pair, point: Point, cache: Any) -> Any:
    upstream = tuple(handed(t, point) for t in pair.traced.upstream)
    given = {n: cache if role == "cache" else _one(upstream) for n, role in pair.roles.items()}
    try:
        return pair.backward(**arguments(pair.backward, pair.traced.forward.inputs, point), **given)
    except Exception as error:
        what = f"{name_of(pair.backward)} fails when NumPy runs it: {type(error).__name__}: {error}"
        raise MalformedError(what, evidence=[f"sizes:  {_sizes(point.sizes)}"]) from None


def _evaluated(evaluator: Evaluator, point: Point) -> dict[Tensor, Floats] | None:
    """All tensors of a program, as floats; None where they have no value."""
    values = dict(point.values(FLOAT))
    given = {t: array_of(t, point.inputs[t], point.inputs[t].shape, FLOAT) for t in evaluator.program.inputs}
    try:
        arrays: dict[Tensor, Array] = evaluator.run(values, given)
    except (TooCloseError, OutOfRangeError, ZeroDivisionError, OverflowError):
        return None
    return {t: to_numpy(a, evaluator.shape(t, values), FLOAT) for t, a in arrays.items()}


def _listed(result: Any) -> list[Any]:
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _one(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else values


def _of_name(returned: Any, name: str, traced: Traced) -> Any:
    """The gradient of an input, by its name with or without a "d", or by its place."""
    if isinstance(returned, dict):
        return next((v for k, v in returned.items() if k in (name, f"d{name}", f"d_{name}")), None)
    return _listed(returned)[list(traced.gradients).index(name)]


def _plain(value: Any) -> Floats:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TraceDiffersError(f"NumPy's result is no array of numbers: {value!r}") from None


def _same(function: Callable[..., Any], name: str, given: Floats, needed: Floats, sizes: Mapping[Any, int]) -> None:
    """Raise unless both have the same shape and nearly the same entries."""
    evidence = [f"sizes:  {_sizes(sizes)}"]
    if np.isnan(given).any() and given.shape == needed.shape and np.isfinite(needed).all():
        raise MalformedError(f"{name_of(function)} gives nan for {name} when NumPy runs it", evidence=evidence)
    what = f"the result of {name_of(function)} when NumPy runs it is not what its lines say: {name}"
    help = "a result must depend on the arguments alone; if it does, please report this case"
    if given.shape != needed.shape:
        raise TraceDiffersError(
            what, evidence=[*evidence, f"shape:  {given.shape} by NumPy, {needed.shape} as traced"], help=help
        )
    exists = np.isfinite(needed)
    scale = max(1.0, float(np.abs(needed[exists]).max(initial=0.0)))
    far = exists & ~(np.abs(given - needed) <= CLOSE * scale)
    if far.any():
        at = tuple(int(k) for k in np.argwhere(far)[0])
        values = f"{name}{list(at) if at else ''}:  {given[at]:.6g} by NumPy, {needed[at]:.6g} as traced"
        raise TraceDiffersError(what, evidence=[*evidence, values], help=help)


def _sizes(sizes: Mapping[Any, int]) -> str:
    return ", ".join(f"{s.name} = {n}" for s, n in sizes.items()) or "those given"


__all__ = ["TraceDiffersError", "agree_with_numpy"]
