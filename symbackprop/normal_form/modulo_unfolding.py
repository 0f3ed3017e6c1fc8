"""Which equations of a program an equality about its tensors needs: a proposal, and no judgement.

`checking.claims` has the kernel check what is proposed; documents look for names of a user's tensors with it. What a
verdict rests on is decided elsewhere (`modulo_equations`, `cut_points`).

Tensors are opaque names to begin with: delta3 is delta3. Where the two sides differ, a tensor that stands on one side
only is replaced by its equation, latest first; then activations by their functions. So the normal form stays small,
whatever the depth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from symbackprop.errors import BudgetError, UnsupportedError
from symbackprop.expression.build import Apply, Entry, Expr, Tensor, rewrite, tensors_in
from symbackprop.expression.program import Equation, Program
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.work_time import worked

MAXIMUM_ROUNDS = 60


@dataclass(frozen=True)
class Answer:
    """Whether an equality was shown, and how.

    Args:
        equal: True if shown; False if not (which says nothing).
        used: the conditions that were made use of.
        unfolded: the tensors whose equations were put in.
        reason: why not, in words.
    """

    equal: bool
    used: tuple[str, ...] = ()
    unfolded: tuple[Tensor, ...] = ()
    reason: str = ""


class Unfolder:
    """Equalities under one program's equations (and those of its cotangents).

    Args:
        equations: tensors that may be replaced, with what they stand for, in the order of computation.
        seconds: budget for each question.
    """

    def __init__(self, program: Program, equations: Iterable[Equation], seconds: float = 8.0) -> None:
        self.equations: dict[Tensor, Equation] = {e.tensor: e for e in equations}
        self.order = {tensor: k for k, tensor in enumerate(self.equations)}
        self.facts = program.facts
        self.kinds = program.known
        self.seconds = seconds

    def equal(self, left: Expr, right: Expr, *, rounds: int = MAXIMUM_ROUNDS) -> Answer:
        """Try to show left = right for all sizes, putting in at most `rounds` - 1 tensors."""
        deadline = worked() + self.seconds
        unfolded: list[Tensor] = []
        reason = "the normal forms differ"
        for _ in range(rounds):
            for pair, extra in self._views(left, right):
                used, why = self._compare(*pair, deadline)
                if used is not None:
                    return Answer(True, used, (*unfolded, *extra))
                reason = why or reason
            tensor = self._next(left, right)
            if tensor is None or worked() > deadline:
                break
            unfolded.append(tensor)
            left, right = self.put_in(left, [tensor]), self.put_in(right, [tensor])
        return Answer(False, unfolded=tuple(unfolded), reason=reason)

    def _views(self, left: Expr, right: Expr) -> list[tuple[tuple[Expr, Expr], tuple[Tensor, ...]]]:
        """The pair as it is, and with values of scalar functions (activations) written out."""
        cheap = [t for t in tensors_in(left) | tensors_in(right) if self._is_cheap(t)]
        plain = ((left, right), ())
        if not cheap:
            return [plain]
        return [plain, ((self.put_in(left, cheap), self.put_in(right, cheap)), tuple(cheap))]

    def _is_cheap(self, tensor: Tensor) -> bool:
        equation = self.equations.get(tensor)
        return equation is not None and isinstance(equation.value, Apply)

    def _next(self, left: Expr, right: Expr) -> Tensor | None:
        """The tensor to put in next: one that only one side mentions, the last computed; else any that is defined."""
        a, b = tensors_in(left), tensors_in(right)
        for candidates in (a ^ b, a | b):
            known = [t for t in candidates if t in self.order]
            if known:
                return max(known, key=lambda t: self.order[t])
        return None

    def put_in(self, expr: Expr, tensors: Iterable[Tensor]) -> Expr:
        """Replace entries of the tensors by their equations, once."""
        wanted = set(tensors)

        def equation(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor in wanted:
                defining = self.equations[node.tensor]
                return defining.at(node.indices)
            return None

        return rewrite(expr, equation)

    def _compare(self, left: Expr, right: Expr, deadline: float) -> tuple[tuple[str, ...] | None, str]:
        """The conditions used if the normal forms are equal, else None and a reason."""
        attempts = [Canonical(self.facts, seconds=self.seconds)]
        if self.kinds:
            attempts.append(Canonical(self.facts, self.kinds, seconds=self.seconds))
        for canonical in attempts:
            canonical.restart_clock(max(0.0, deadline - worked()))
            try:
                if canonical.equal(left, right):
                    return tuple(canonical.used), ""
            except (BudgetError, UnsupportedError) as error:
                return None, error.what
        return None, ""
