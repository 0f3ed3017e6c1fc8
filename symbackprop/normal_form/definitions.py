"""Which definitions an equality between expressions of a program needs: a proposal, and no judgement.

`checking.claims` has the kernel check what is proposed; documents look for names of a user's tensors with it. What a
verdict rests on is decided elsewhere (`modulo_equations`, `calculus.lemmas`).

Tensors are names to begin with (`cut_points`): delta3 is delta3. Where the two sides differ, a tensor that stands on
one side only is opened, the latest first; activations are tried as their functions beside that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from symbackprop.errors import BudgetError, UnsupportedError
from symbackprop.expression.build import Apply, Expr, Tensor
from symbackprop.expression.program import Equation, Program
from symbackprop.normal_form.cut_points import HIDDEN, CutPoints, tensors_of
from symbackprop.normal_form.data import Poly

MOST_ROUNDS = 60


@dataclass(frozen=True)
class Answer:
    """Whether an equality was shown, and how.

    Args:
        equal: True if shown; False if not (which says nothing).
        used: the conditions that were made use of.
        opened: the tensors whose definitions were put in.
        reason: why not, in words.
    """

    equal: bool
    used: tuple[str, ...] = ()
    opened: tuple[Tensor, ...] = ()
    reason: str = ""


class Definitions:
    """Equalities under one program's equations (and those of its cotangents).

    Args:
        equations: tensors that may be opened, with what they stand for, in the order of computation.
        seconds: budget for each question.
    """

    def __init__(self, program: Program, equations: Iterable[Equation], seconds: float = 8.0) -> None:
        self._equations = {e.tensor: e for e in equations}
        self._order = {tensor: k for k, tensor in enumerate(self._equations)}
        assumed = [{}, program.known] if program.known else [{}]  # what does without has a condition less
        self._tables = [CutPoints(program.facts, known, seconds=seconds) for known in assumed]
        for table in self._tables:
            for equation in self._equations.values():
                table.define(equation.tensor, equation.indices, equation.value)

    def equal(self, left: Expr, right: Expr, *, rounds: int = MOST_ROUNDS) -> Answer:
        """Try to show left = right for all sizes, putting in at most `rounds` - 1 tensors."""
        reason = "the normal forms differ"
        for table in self._tables:
            table.restart_clock()
            try:
                opened = self._opened(table, table.normal(left), table.normal(right), rounds)
                if opened is not None:
                    return Answer(True, _conditions(table, left, right, opened), opened)
            except (BudgetError, UnsupportedError) as error:
                reason = error.what
        return Answer(False, reason=reason)

    def _opened(self, table: CutPoints, left: Poly, right: Poly, rounds: int) -> tuple[Tensor, ...] | None:
        """The definitions with which both sides are the same; None if there are none."""
        opened: list[Tensor] = []
        for _ in range(rounds):
            for extra in dict.fromkeys(((), self._functions_in(left, right))):
                sides = (_put_in(table, side, extra) for side in (left, right))
                if table.vanishes_everywhere(table.gap(*sides)):
                    return (*opened, *extra)
            tensor = self._next(left, right)
            if tensor is None:
                break
            opened.append(tensor)
            left, right = table.put_in(left, tensor), table.put_in(right, tensor)
        return None

    def _functions_in(self, left: Poly, right: Poly) -> tuple[Tensor, ...]:
        """What is a function of something, as activations are."""
        seen = (t for t in tensors_of(left) | tensors_of(right) if t in self._equations)
        return tuple(
            t for t in sorted(seen, key=self._order.__getitem__) if isinstance(self._equations[t].value, Apply)
        )

    def _next(self, left: Poly, right: Poly) -> Tensor | None:
        """The tensor to open next: one that only one side mentions, the last computed; else any that is defined."""
        a, b = tensors_of(left), tensors_of(right)
        for candidates in (a ^ b, a | b):
            known = [t for t in candidates if t in self._order]
            if known:
                return max(known, key=self._order.__getitem__)
        return None


def _put_in(table: CutPoints, side: Poly, tensors: Iterable[Tensor]) -> Poly:
    for tensor in tensors:
        side = table.put_in(side, tensor)
    return side


def _conditions(table: CutPoints, left: Expr, right: Expr, opened: Iterable[Tensor]) -> tuple[str, ...]:
    """What the normal form makes use of to find both sides equal, with these definitions put in."""
    table.used = {}
    sides = (_put_in(table, table.normal(side), opened) for side in (left, right))
    assert table.vanishes_everywhere(table.gap(*sides))
    return tuple(c for c in table.used if c != HIDDEN)
