"""Parts of the line in which a program's inputs are worth trying, and those in which it has finite values.

log(x) has none at random signs, log(1 - x) and sqrt(x - 5) none where log(x) has. Which parts are worth trying the
constants of a program tell; which of them a program asks for is found by trying. This module must not know what is
done with a point.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.expression.build import Apply, Expr, MatrixEntry, Number, Power, Tensor, nodes_once
from symbackprop.expression.functions import OF_POSITIVE
from symbackprop.expression.program import Program
from symbackprop.expression.sympy_bridge import definition

COMBINED = 80  # combinations that are tried where no region does for all inputs
ENOUGH = 3  # regions that are kept, so that points differ
CONSTANTS, EACH = 6, 5  # of a program, and the regions beside each


@dataclass(frozen=True)
class Region:
    """Random numbers of either sign and a size of about 1 are brought to shift + scale * number.

    Args:
        sign: 1 or -1 where all numbers get this sign first; 0 where they keep theirs.
        dominant: whether the diagonals of square matrices are made larger than the rest of their rows.
    """

    name: str
    sign: int = 0
    scale: float = 1.0
    shift: float = 0.0
    dominant: bool = False

    def moved(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Random numbers brought into the region."""
        signed = numbers if not self.sign else self.sign * np.abs(numbers)
        there = np.asarray(self.shift + self.scale * signed)
        if self.dominant and there.ndim > 1 and there.shape[-1] == there.shape[-2]:
            there = there + (there.shape[-1] + 1) * np.abs(there).max(initial=0.0) * np.eye(there.shape[-1])
        return there


ANY = Region("any")
USUAL = (
    ANY,
    Region("positive", 1),
    Region("in (0, 1)", 1, 0.375),
    Region("negative", -1),
    Region("small", 0, 2.0**-6),
    Region("large and positive", 1, 2.0**6),
    Region("large on the diagonal", dominant=True),
)
Assignment = Mapping[Tensor, Region]


def regions(constants: Iterable[float]) -> list[Region]:
    """The usual regions, then those on either side of each constant."""
    found = list(USUAL)
    for c in constants:
        near = max(1.0, c)
        found += [
            Region(f"above {c:g}", 1, near, c),
            Region(f"below -{c:g}", -1, near, -c),
            Region(f"within {c:g}", 0, c / 4),
            Region(f"around {c:g}", 0, c),
            Region(f"just above {c:g}", 1, near / 64, c),
        ]
    return found


def assignments(tensors: Sequence[Tensor], constants: Iterable[float], rng: random.Random) -> Iterator[Assignment]:
    """A region for each input: the same for all first, then mixed."""
    choices = regions(constants)
    for region in choices:
        yield dict.fromkeys(tensors, region)
    if len(tensors) < 2:
        return
    few = choices[: len(USUAL) + EACH * 2]
    if len(few) ** len(tensors) <= COMBINED:
        for mixed in itertools.product(few, repeat=len(tensors)):
            yield dict(zip(tensors, mixed, strict=True))
    else:
        for _ in range(COMBINED):
            yield {t: rng.choice(few) for t in tensors}


def finite_regions(
    tensors: Sequence[Tensor],
    constants: Sequence[float],
    finite: Callable[[Assignment], bool],
    rng: random.Random,
) -> list[Assignment]:
    """Some assignments under which a program has finite values; empty if none was found.

    Args:
        constants: of the program, smallest first.
        finite: whether the program has finite values at a point of this assignment.
    """
    found: list[Assignment] = []
    for k, assignment in enumerate(assignments(tensors, constants[:CONSTANTS], rng)):
        if len(found) == ENOUGH or (found and k > len(USUAL) + EACH * CONSTANTS):
            break
        if finite(assignment) and finite(assignment):  # once may be chance
            found.append(assignment)
    return found


def may_have_no_value(program: Program) -> bool:
    """True if the program holds a logarithm, a root or a Cholesky factor, so that random numbers may not do."""
    return any(_partial(node) for e in program.equations for node in nodes_once(e.value))


def _partial(node: Expr) -> bool:
    match node:
        case Power(_, Number(value)):
            return value.denominator != 1
        case Power() | MatrixEntry("cholesky"):
            return True
        case Apply(function, _):
            meaning = definition(function)
            return function in OF_POSITIVE or (meaning is not None and any(map(_partial, nodes_once(meaning))))
    return False


__all__ = ["ANY", "Assignment", "Region", "assignments", "finite_regions", "may_have_no_value", "regions"]
