"""What each rule of proof means: the table from its name to what it allows to be replaced.

    definition_of_delta   a name by the derivative that it stands for
    chain_rule            a derivative of the cost by the sum over all equations that use the variable
    definition,
    derivative            a partial derivative of an entry by that of its equation, worked out; names likewise
    equation, function,
    algebra, assumption   entries of the tensors that the step names, by their equations
    earlier_result,
    induction             entries of the names that the step names, by what was accepted of them

A step is an instance of its rule if both sides are equal after these replacements: the other rules replace nothing.
What is left of a derivative becomes an entry of a `DerivativeTensor`, which is known by what is differentiated and by
what, not by its text: no tensor of a program can be taken for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from symbackprop.calculus.derivation import Derivation, Step
from symbackprop.calculus.rules import RULES, partial
from symbackprop.errors import ProofError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Entry,
    Expr,
    Partial,
    Tensor,
    Total,
    add,
    close_sum,
    fresh,
    multiply,
    rewrite,
    substitute,
    tensors_in,
)
from symbackprop.expression.program import Equation, Program

_FORWARDS = ("chain_rule",)  # read from left to right only: its result may hold derivatives of the next tensor
Replacement = Callable[[Expr], Expr | None]


@dataclass(frozen=True, eq=False)
class DerivativeTensor(Tensor):
    """A derivative as a tensor of its own: `of` is what is differentiated and by what."""

    of: tuple[Tensor, ...] = ()


class Meaning:
    """The rules for one program.

    Args:
        accepted: for each name of a derivative the result that has been accepted of it.
    """

    def __init__(self, program: Program, accepted: Mapping[Tensor, Derivation]) -> None:
        self.program, self.accepted = program, accepted
        self.users: dict[Tensor, list[Equation]] = {t: [] for t in program.tensors}
        for equation in program.equations:
            for tensor in tensors_in(equation.value):
                self.users[tensor].append(equation)
        self._relevant: set[Tensor] | None = None

    def sides(self, step: Step, derivation: Derivation) -> tuple[Expr, Expr] | None:
        """Both sides of a step with the meaning of its rule put in, free of derivatives; None for an unknown rule.

        Raises:
            ProofError: a derivative is left that no rule can mean.
        """
        if step.rule not in RULES:
            return None
        meaning = self._replacement(step, derivation)
        before = rewrite(step.before, meaning)
        after = step.after if step.rule in _FORWARDS else rewrite(step.after, meaning)
        return rewrite(before, opaque), rewrite(after, opaque)

    def _replacement(self, step: Step, derivation: Derivation) -> Replacement:
        def named(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor in derivation.definitions:
                return Total(derivation.cost, Entry(derivation.definitions[node.tensor], node.indices))
            return None

        def chained(node: Expr) -> Expr | None:
            return self.chain_rule(node) if isinstance(node, Total) else None

        def defined(node: Expr) -> Expr | None:
            if not isinstance(node, Partial):
                return named(node)
            inner = node.expression
            # an entry by an entry of the same tensor is a Kronecker delta, whatever the tensor's own equation
            itself = isinstance(inner, Entry) and inner.tensor is node.variable.tensor
            return partial(inner if itself else self._written_out(inner), node.variable)

        open_: list[Tensor] = []  # a tensor that leads back to itself, as in a recurrence, is written out once

        def values(node: Expr) -> Expr | None:
            if not isinstance(node, Entry) or node.tensor not in step.uses or node.tensor in open_:
                return None
            if node.tensor not in self.program.by_tensor:
                return None
            open_.append(node.tensor)
            found = rewrite(self._written_out(node), values)
            open_.pop()
            return found

        def earlier(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor in step.uses and node.tensor in self.accepted:
                return rewrite(_instance(self.accepted[node.tensor], node), earlier)
            return None

        table: dict[str, Replacement] = {
            "definition_of_delta": named,
            "chain_rule": chained,
            "definition": defined,
            "derivative": defined,
            "equation": values,
            "function": lambda node: defined(node) if isinstance(node, Partial) else values(node),
            "algebra": values,
            "assumption": values,
            "earlier_result": earlier,
            "induction": earlier,
        }
        return table.get(step.rule, lambda node: None)

    def chain_rule(self, total: Total) -> Expr:
        """dJ/dx as the sum over every equation that mentions x; 1 for the cost itself."""
        tensor, cost = total.variable.tensor, total.cost.tensor
        if tensor not in self.users:
            raise ProofError(f"{tensor.name} is not a tensor of the program")
        if cost not in self.program.outputs:
            raise ProofError(f"{cost.name} is not a cost of the program")
        if tensor is cost:
            return ONE
        if tensor in self.program.outputs:
            raise ProofError(f"{tensor.name} is read outside the program: the chain rule does not know by what")
        return add(*(self._path(equation, total) for equation in self.users[tensor]))

    def _path(self, equation: Equation, total: Total) -> Expr:
        """What one equation that uses the variable sends back."""
        if not self._matters(equation.tensor):
            return ZERO
        running = tuple(fresh(i.name, i.size) for i in equation.indices)
        there = Entry(equation.tensor, running)
        if _is_constant(equation, total.variable):
            return ZERO
        outer = ONE if equation.tensor is total.cost.tensor else Total(total.cost, there)
        body: Expr = multiply(outer, Partial(there, total.variable))
        for index in reversed(running):
            body = close_sum(index, body)
        return body

    def _matters(self, tensor: Tensor) -> bool:
        """True if an output depends on the tensor: what no output depends on, or by ranks alone, moves no cost."""
        if self._relevant is None:
            self._relevant = set()
            waiting = list(self.program.outputs)
            while waiting:
                output = waiting.pop()
                if output not in self._relevant:
                    self._relevant.add(output)
                    waiting += self._moving(output)
        return tensor in self._relevant

    def _moving(self, output: Tensor) -> Iterator[Tensor]:
        """The tensors that the equation of a tensor depends on, but for those on which ranks alone do."""
        equation = self.program.by_tensor.get(output)
        if equation is None:
            return
        for tensor in tensors_in(equation.value):
            whole = tensor.kind == "integer"  # nothing is differentiated by it
            if whole or not _is_constant(equation, Entry(tensor, tuple(fresh("i", n) for n in tensor.shape))):
                yield tensor

    def _written_out(self, expr: Expr) -> Expr:
        """The right side of the equation that defines the entry; other expressions as they are."""
        if isinstance(expr, Entry) and expr.tensor in self.program.by_tensor:
            return self.program.by_tensor[expr.tensor].at(expr.indices)
        return expr


def _is_constant(equation: Equation, variable: Entry) -> bool:
    """True for a rank or a count: constant wherever it has a derivative."""
    return equation.tensor.kind == "integer" and partial(equation.value, variable) is ZERO


def _instance(derivation: Derivation, entry: Entry) -> Expr:
    left = derivation.left
    assert isinstance(left, Entry), "an earlier result defines an entry"
    return substitute(derivation.right, dict(zip(left.indices, entry.indices, strict=True)))


def opaque(node: Expr) -> Expr | None:
    """A derivative as an entry of a tensor of its own, so that the normal form can hold it."""
    if isinstance(node, Total):
        cost, variable = node.cost.tensor, node.variable
        name = f"total d{cost.name}/d{variable.tensor.name}"
        return Entry(DerivativeTensor(name, variable.tensor.shape, "real", (cost, variable.tensor)), variable.indices)
    if isinstance(node, Partial):
        inner, variable = node.expression, node.variable
        if not isinstance(inner, Entry):
            raise ProofError("the derivative of an expression is carried out by the rule 'derivative' alone")
        shape = (*inner.tensor.shape, *variable.tensor.shape)
        name = f"partial d{inner.tensor.name}/d{variable.tensor.name}"
        held = DerivativeTensor(name, shape, "real", (inner.tensor, variable.tensor, inner.tensor))
        return Entry(held, (*inner.indices, *variable.indices))
    return None
