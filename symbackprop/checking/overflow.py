"""Where numbers become too large for floating point, layer upon layer, and what to do about it.

Main name: `overflow`. It says nothing of whether a claim is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Tensor
from symbackprop.expression.program import PART, Equation
from symbackprop.expression.recurrence import blocks, equations_of

HELP = "with factors that keep them in range, as 1/sqrt(D) beside weights, or with fewer layers, it can be examined"


def overflow(equations: Sequence[Equation], called: Mapping[Tensor, str], point: Point) -> str:
    """What is the first to be too large at a point, in words; "" if nothing is.

    Args:
        equations: in an order in which they can be evaluated.
        called: the user's names.
    """
    first = _first(equations, point)
    if first is None:
        return ""
    rounds = [e.tensor for e in equations if e.note == first.note]
    place = first.note.removeprefix(PART) or first.tensor.name
    turn = f" in round {rounds.index(first.tensor) + 1} of {len(rounds)}" if len(rounds) > 1 else ""
    name = f" ({called[first.tensor]})" if first.tensor in called else ""
    sizes = ", ".join(f"{s.name} = {n}" for s, n in point.sizes.items())
    return f"numbers overflow at the points tried, at {sizes} first in {place}{turn}{name}; {HELP}"


def _first(equations: Sequence[Equation], point: Point) -> Equation | None:
    """The first equation, or that of the first recurrence, whose numbers are too large."""
    vectors = Vectors(point)
    for block in blocks(equations):
        own = equations_of(block)
        try:
            with np.errstate(over="raise", divide="ignore", invalid="ignore"):
                vectors.run(own)
        except (FloatingPointError, OverflowError):
            return own[0]
        except (SymbackpropError, ArithmeticError, LookupError):
            return None
    return None
