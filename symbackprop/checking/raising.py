"""Does the user's code fail by itself? NumPy is asked, where a trace was stopped by an exception of the code.

An exception may be the fault of the code, or of a symbolic array that is no real one. Run on real arrays at a few small
sizes, code that always raises the same kind of exception is at fault for certain. This module must not know what is
claimed.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from symbackprop.checking.budget import SHARES
from symbackprop.checking.question import Question
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.user_run import quietly, run
from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.point import Point
from symbackprop.expression.program import Program
from symbackprop.frontends.numpy.time_limit import OutOfTime, alarm
from symbackprop.frontends.numpy.traced import backward_roles, beside_inputs, outputs_and_cache
from symbackprop.frontends.numpy.tracer import Tracer

TRIES = 3


@dataclass(frozen=True)
class Failure:
    """What the code raises wherever it was tried.

    Args:
        of_backward: the forward runs, the backward fails.
    """

    kind: str
    of_backward: bool


def failure(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    shapes: Mapping[str, Any],
    assume: Mapping[str, str],
    where: str | None,
    sizes: Mapping[str, int] | None = None,
) -> Failure | None:
    """The exception that NumPy meets too, at every point tried; None if the code runs, or fails in different ways."""
    try:
        parameters = inspect.signature(forward).parameters.values()
        attributes = {p.name: p.default for p in parameters if p.default is not p.empty}
        tracer = Tracer(shapes, assume, where, sizes, attributes)
        roles = backward_roles(forward, backward, shapes)
    except (SymbackpropError, TypeError, ValueError):
        return None
    inputs = tuple(tracer.inputs.values())
    program = Program(inputs, (), (), (), tracer.assumptions, tracer.domain)
    sampler = Sampler(Question(program, program, {}), random.Random(11))
    found = {_at(forward, backward, roles, sampler.point(s)) for s in sampler.size_choices()[:TRIES]}
    return found.pop() if len(found) == 1 else None


def _at(
    forward: Callable[..., Any], backward: Callable[..., Any], roles: Mapping[str, str], point: Point
) -> Failure | None:
    reached_backward = False
    try:
        with quietly(), alarm(SHARES["run of the user's code"].seconds):
            outputs, cache = outputs_and_cache(run(forward, point.inputs, point), roles)
            upstream = _upstream(outputs)
            given = beside_inputs(roles, upstream if isinstance(upstream, tuple) else (upstream,), cache)
            reached_backward = True
            run(backward, point.inputs, point, **given)
    except OutOfTime:
        return None
    except KeyboardInterrupt:
        raise
    except BaseException as stop:  # whatever the code raises
        return Failure(type(stop).__name__, reached_backward)
    return None


def _upstream(outputs: Any) -> Any:
    """Numbers in the shape of the outputs."""
    if isinstance(outputs, tuple):
        return tuple(_upstream(o) for o in outputs)
    shape = np.shape(outputs)
    return np.linspace(0.5, 1.5, int(np.prod(shape))).reshape(shape)[()]


__all__ = ["Failure", "failure"]
