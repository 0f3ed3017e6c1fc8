"""Branches that rounding decides: NumPy finds exp(-x**2) == 0 at x = 100, and tanh(x) == 1; of numbers neither is true.

Equations are of real numbers. Where both sides of a comparison round to the same float64, NumPy takes another branch
than they do, on a whole range of inputs; a proof says nothing of what it computes there. This module must not know
what is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.compile import OutOfRangeError
from symbackprop.evaluation.exact import Evaluator, array_of
from symbackprop.evaluation.number_types import FLOAT, Missing, TooCloseError, Value, ball
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    free_indices,
    nodes_once,
)
from symbackprop.expression.program import Equation, Program
from symbackprop.rendering.text import to_text

BITS = 1024  # tanh(300) is told from 1
NEARLY = 2.0**-40  # relative: many times what rounding makes of it
_Sides = tuple[Tensor, Tensor]


class RoundedBranches:
    """The comparisons of a program that rounding may decide."""

    def __init__(self, program: Program) -> None:
        self.sides: dict[Compare, _Sides] = {}
        rounded, equations = _results_of_functions(program), list(program.equations)
        for node in dict.fromkeys(n for e in program.equations for n in nodes_once(e.value) if isinstance(n, Compare)):
            if not _is_exact(node, rounded):
                indices = tuple(free_indices(node))
                shape = tuple(i.size for i in indices)
                sides = tuple(Tensor(f"{side} of {len(self.sides)}", shape) for side in ("left", "right"))
                equations += [Equation(t, indices, v) for t, v in zip(sides, (node.left, node.right), strict=True)]
                self.sides[node] = sides[0], sides[1]
        self.program = replace(program, equations=tuple(equations))
        self._apart: list[Point] = []
        self._needed = _read_by(self.program, (t for sides in self.sides.values() for t in sides))

    @cached_property
    def _floats(self) -> Evaluator:
        return Evaluator(self.program, FLOAT)

    @cached_property
    def _balls(self) -> Evaluator:
        return Evaluator(self.program, ball(BITS))

    def expect(self, points: Sequence[Point]) -> None:
        """Find those of some points of the same sizes at which nothing that is compared is nearly the same.

        Arrays tell that at all of them at once, and the referee is not asked there. What two ways to add the same
        numbers leave of them is nearly the same, too: it is small beside the terms, or beside the inputs.
        """
        if not self.sides:
            return
        near = np.zeros(len(points), dtype=bool)
        try:
            with np.errstate(all="ignore"):
                every = Vectors.of_all(points)
                every.run(e for e in self.program.equations if e.tensor in self._needed)
                faint = NEARLY * np.array([_largest(p) for p in points])
                for node in self.sides:
                    near |= _nearly_the_same(every, node, faint)
        except (SymbackpropError, ArithmeticError, LookupError, ValueError):
            return
        self._apart = [p for p, close in zip(points, near, strict=True) if not close]

    def at(self, point: Point) -> str:
        """A comparison whose sides are different numbers and the same float64 at a point; "" if there is none."""
        if any(point is p for p in self._apart):
            return ""
        ties = [key for key, sides in self._values(self._floats, point) if _same(*sides)] if self.sides else []
        if ties:
            for key, sides in self._values(self._balls, point):
                if key in ties and _differ(*sides):
                    return f"{to_text(key[0].left)} {key[0].relation} {to_text(key[0].right)}"
        return ""

    def _values(
        self, evaluator: Evaluator, point: Point
    ) -> Iterator[tuple[tuple[Compare, tuple[int, ...]], tuple[Value, Value]]]:
        """Both sides of each comparison at each place."""
        with evaluator.field.working():
            given = {
                t: array_of(t, point.inputs[t], point.inputs[t].shape, evaluator.field) for t in self.program.inputs
            }
            try:
                arrays = evaluator.run(point.values(evaluator.field), given, needed=self._needed)
            except (TooCloseError, OutOfRangeError, ZeroDivisionError, OverflowError):
                return
            for node, (left, right) in self.sides.items():
                for place, value in arrays[left].items():
                    yield (node, place), (value, arrays[right][place])


def _largest(point: Point) -> float:
    """The largest of the inputs at a point, and 1 at least."""
    return max([1.0, *(float(np.max(np.abs(a), initial=0.0)) for a in point.inputs.values())])


def _nearly_the_same(every: Vectors, node: Compare, faint: NDArray[np.float64]) -> NDArray[np.bool_]:
    """For each point, whether both sides of a comparison nearly are the same number somewhere, or no numbers.

    Args:
        faint: what counts as nothing at each point.
    """
    places = tuple(free_indices(node))
    terms = [t for s in (node.left, node.right) if isinstance(s, Add) for t in s.terms]
    left, right, *others = (
        np.asarray(every.over(e, places), dtype=np.float64) for e in (node.left, node.right, *terms)
    )
    allowed = faint.reshape((-1, *(1 for _ in places)))
    for side in (left, right, *others):
        allowed = np.maximum(allowed, NEARLY * np.abs(side))
    apart = np.abs(left - right) > allowed  # nan is apart from nothing
    return np.logical_not(apart.reshape((len(faint), -1)).all(axis=1))


def _same(left: Value, right: Value) -> bool:
    return not isinstance(left, Missing) and not isinstance(right, Missing) and float(left) == float(right)


def _differ(left: Value, right: Value) -> bool:
    """True of enclosures that have no number in common."""
    return not isinstance(left, Missing) and not isinstance(right, Missing) and bool(left != right)


def _is_exact(node: Compare, rounded: set[Tensor]) -> bool:
    """True for a comparison of plain numbers, without anything between them that may round to the same.

    Places are whole numbers, whatever is done with them. A sum of two has its sign in floating point, too.
    """
    sides = (node.left, node.right)
    plain = [isinstance(s, Number) or (isinstance(s, Entry) and s.tensor not in rounded) for s in sides]
    if all(plain) or all(map(_is_whole, sides)):
        return True
    if ZERO not in sides:
        return False
    other = sides[0] if sides[1] is ZERO else sides[1]
    terms = other.terms if isinstance(other, Add) else ()
    return len(terms) == 2 and all(isinstance(t, Entry) and t.tensor not in rounded for t in terms)


def _is_whole(expr: Expr) -> bool:
    """True of what is computed from places and sizes alone, without fractions."""
    return all(
        isinstance(n, (Index, Add, Multiply, Quotient, Remainder))
        or (isinstance(n, Symbol) and n.kind == "size")
        or (isinstance(n, Number) and n.value.denominator == 1)
        for n in nodes_once(expr)
    )


def _results_of_functions(program: Program) -> set[Tensor]:
    """The tensors into which a function of real numbers has gone."""
    found: set[Tensor] = set()
    for equation in program.equations:
        for n in nodes_once(equation.value):
            if (isinstance(n, Apply) and n.function.name != "step") or (isinstance(n, Entry) and n.tensor in found):
                found.add(equation.tensor)
    return found


def _read_by(program: Program, tensors: Iterable[Tensor]) -> set[Tensor]:
    """These tensors and all that they are computed from."""
    found, pending = set[Tensor](), list(tensors)
    while pending:
        tensor = pending.pop()
        if tensor not in found and tensor in program.by_tensor:
            found.add(tensor)
            pending += [n.tensor for n in nodes_once(program.by_tensor[tensor].value) if isinstance(n, Entry)]
    return found
