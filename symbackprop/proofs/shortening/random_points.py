"""What random points say of a backward pass: which sums are always 0, and where a form has no value.

What goes back to the largest score of a softmax adds up to 0; that it does at one point is a proposal, which the kernel
has to accept. And a root that stands in front of the mask that hid it has no value where the mask was closed: such a
form is equal wherever it has a value, but none that one would write. Main name: `RandomPoints`.
"""

from __future__ import annotations

import itertools
from functools import cached_property

import numpy as np

from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import ZERO, Expr, Number, Sum, Symbol, rewrite
from symbackprop.expression.program import Equation, Program, symbols

SMALL_SIZES = (3, 4, 2, 5, 6, 8)
MOST_TRIED = 500  # choices of sizes
ROUNDING = 1e-11
LOOSE = 1e-6  # of what is asked of the kernel anyway


class RandomPoints:
    """One program at random points, one of positive inputs and one of any.

    Args:
        program: of one with assumptions about its inputs nothing is told.
    """

    def __init__(self, program: Program) -> None:
        self.program = program

    @cached_property
    def _positive(self) -> Vectors | None:
        return self._drawn(0.3, 1.7)

    @cached_property
    def _any(self) -> Vectors | None:
        return self._drawn(-1.5, 1.5)

    def _drawn(self, low: float, high: float) -> Vectors | None:
        sizes = None if self.program.assumptions else _sizes(self.program)
        if sizes is None:
            return None
        lengths, draw = Vectors(Point(sizes, {})), np.random.default_rng(5)
        inputs = {t: draw.uniform(low, high, [int(lengths.value(n)[0]) for n in t.shape]) for t in self.program.inputs}
        point = Vectors(Point(sizes, inputs, {s: draw.uniform(0.3, 1.7) for s in self.program.parameters}))
        try:
            with np.errstate(all="ignore"):
                point.run(self.program.equations)
        except (SymbackpropError, KeyError):  # an arbitrary function has no numbers
            return None
        return point

    def without(self, expr: Expr, earlier: list[Equation]) -> Expr:
        """The expression with 0 for each sum that is 0 at the point; outer ones first.

        Args:
            earlier: what the cotangents in it are.
        """
        point = self._positive
        if point is None:
            return expr

        def meaning(node: Expr) -> Expr | None:
            return ZERO if isinstance(node, Sum) and self._is_zero(point, node) else None

        try:
            with np.errstate(all="ignore"):
                point.run(earlier)
                return rewrite(expr, meaning)
        except (SymbackpropError, KeyError):
            return expr

    def may_be(self, total: Sum, value: Number) -> bool:
        """False if a sum over the program's tensors has another value at the point: nobody need be asked then."""
        point = self._positive
        if point is None:
            return True
        try:
            with np.errstate(all="ignore"):
                terms, found = point.value(total.body)[0], point.value(total)[0]
        except (SymbackpropError, KeyError):
            return True
        far = np.abs(found - float(value.value)) > LOOSE * (1 + np.max(np.abs(terms), initial=0))
        return not bool(np.any(far))  # NaN is not far from anything

    def loses_values(self, before: Expr, after: Expr, earlier: list[Equation]) -> bool:
        """True if one expression has a value somewhere where the other, which is to take its place, has none."""
        point = self._any
        if point is None:
            return False
        try:
            with np.errstate(all="ignore"):
                point.run(earlier)
                old, new = (point.value(e)[0] for e in (before, after))
        except (SymbackpropError, KeyError):
            return False
        return bool(np.sum(np.isfinite(old)) > np.sum(np.isfinite(new))) if old.shape == new.shape else False

    @staticmethod
    def _is_zero(point: Vectors, node: Sum) -> bool:
        terms, total = point.value(node.body)[0], point.value(node)[0]
        return bool(np.all(np.abs(total) <= ROUNDING * (1 + np.max(np.abs(terms), initial=0))))


def _sizes(program: Program) -> dict[Symbol, int] | None:
    """Small sizes that its domain allows, unequal ones first."""
    names = [s for t in program.inputs for n in t.shape for s in symbols(n)]
    names = list(dict.fromkeys([*names, *(s for r in program.domain for s in symbols(r))]))
    for chosen in itertools.islice(itertools.product(SMALL_SIZES, repeat=len(names)), MOST_TRIED):
        sizes = dict(zip(names, chosen, strict=True))
        point = Vectors(Point(sizes, {}))
        if all(point.value(relation)[0] for relation in program.domain):
            return sizes
    return None


__all__ = ["RandomPoints"]
