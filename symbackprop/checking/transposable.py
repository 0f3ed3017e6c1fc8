"""Which matrices a forward pass cannot tell from their transposes: those of which symmetric ones may be meant.

log det C + x^T C^-1 x is written for covariances, and its gradient by hand is one for symmetric matrices. What is found
here, by numbers, decides which question is asked beside the one that was asked, and never an answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from symbackprop.checking.budget import SHARES
from symbackprop.checking.question import Question
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.user_run import arguments, quietly
from symbackprop.expression.build import MatrixEntry, Tensor, nodes_once
from symbackprop.expression.program import Program
from symbackprop.frontends.numpy.time_limit import OutOfTime, alarm

TRIES = 2  # choices of sizes
ALIKE = 1e-9  # relative


def transposable(forward: Callable[..., Any], program: Program) -> tuple[str, ...]:
    """The names of the square matrices without an assumption whose transposes give the same outputs.

    Only of a forward pass with inverses, determinants or Cholesky factors.
    """
    if not any(isinstance(n, MatrixEntry) for e in program.equations for n in nodes_once(e.value)):
        return ()
    told = {a.tensor for a in program.assumptions}
    square = [t for t in program.inputs if len(t.shape) >= 2 and t.shape[-1] is t.shape[-2] and t not in told]
    try:
        with quietly(), alarm(SHARES["run of the user's code"].seconds):
            return tuple(t.name for t in square if _is_alike(forward, program, t))
    except OutOfTime:
        return ()
    except KeyboardInterrupt:
        raise
    except BaseException:  # whatever the code raises
        return ()


def _is_alike(forward: Callable[..., Any], program: Program, matrix: Tensor) -> bool:
    sampler = Sampler(Question(program, program, {}), random.Random(17))
    for sizes in sampler.size_choices()[:TRIES]:
        given = arguments(forward, program.inputs, sampler.point(sizes))
        turned = {**given, matrix.name: np.swapaxes(given[matrix.name], -1, -2).copy()}
        one, other = (np.hstack([np.ravel(v) for v in _outputs(forward(**values))]) for values in (given, turned))
        if not np.allclose(one, other, rtol=ALIKE, atol=ALIKE):
            return False
    return True


def _outputs(result: Any) -> list[Any]:
    found = result if isinstance(result, tuple) else (result,)
    return [v for v in found if isinstance(v, (np.ndarray, float, np.floating))]


__all__ = ["transposable"]
