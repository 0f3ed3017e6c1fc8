"""The kernel: replays a derivation, step by step, and searches for nothing.

A step before = after is accepted if it is an instance of its rule: the rule's meaning is put into both sides (a
derivative becomes its chain-rule sum, a tensor its equation, a name what it stands for) and the two normal forms must
be equal. The kernel does not know who proposed the step. It trusts `canonical`, `rules.partial` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from symbackprop.calculus.derivation import Derivation, Step
from symbackprop.calculus.rules import RULES, partial, tensors_in
from symbackprop.errors import ProofError, SymbackpropError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Entry,
    Expr,
    Index,
    Partial,
    Tensor,
    Total,
    add,
    children,
    close_sum,
    fresh,
    multiply,
    rewrite,
    substitute,
)
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.sizes import Facts
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.renaming import Pattern, pattern

_FORWARDS = ("chain_rule",)  # read from left to right only: its result may hold derivatives of the next tensor


class Kernel:
    """Replays derivations about one program; results that it has accepted may be used by later ones.

    Args:
        hypotheses: equations that may be used as earlier results without proof (the induction hypothesis).
        expanded: as `Canonical` has it, for programs with sizes that are numbers.
    """

    def __init__(
        self, program: Program, hypotheses: Mapping[Tensor, Derivation] | None = None, *, expanded: int = 0
    ) -> None:
        self.program, self.expanded = program, expanded
        labels = {a.tensor: a.size for a in program.assumptions if a.kind == "labels" and a.size is not None}
        kinds = {a.tensor: a.kind for a in program.assumptions}
        self.facts, self.kinds = Facts(program.domain, labels), kinds
        self.accepted: dict[Tensor, Derivation] = dict(hypotheses or {})
        self.definitions: dict[Tensor, tuple[Tensor, Entry]] = {}  # what a name stands for, and of which cost
        self.users: dict[Tensor, list[Equation]] = {t: [] for t in program.tensors}
        for equation in program.equations:
            for tensor in tensors_in(equation.value):
                self.users[tensor].append(equation)
        self._relevant: dict[Tensor, bool] = {}
        self._fitting: set[Expr] = set()
        self._tables: dict[bool, Canonical] = {}
        self._answered: set[Pattern] = set()  # equalities that hold whatever their tensors and sizes are called
        self._names: Mapping[Tensor, Tensor] | None = None
        self._replayed: dict[
            Step, tuple[str, ...]
        ] = {}  # accepted steps with their conditions: true once, true for good

    def replay(self, derivation: Derivation) -> tuple[str, ...]:
        """Accept the derivation; returns the conditions that its steps made use of.

        Raises:
            ProofError: a step is not an instance of its rule, or the steps do not form a chain from left to right.
        """
        self._check_names(derivation)
        here, used = derivation.left, dict[str, None]()
        for number, step in enumerate(derivation.steps, start=1):
            if step.before is not here:
                raise ProofError(f"{derivation.name}: step {number} does not start where the last one ended")
            if step not in self._replayed:
                conditions = self._conditions(step, derivation)
                if conditions is None:
                    raise ProofError(f"{derivation.name}: step {number} is not an instance of the rule {step.rule!r}")
                self._replayed[step] = conditions
            used |= dict.fromkeys(self._replayed[step])
            here = step.after
        if here is not derivation.right:
            raise ProofError(f"{derivation.name}: the steps do not end at the right side")
        if self._may_be_used(derivation):
            assert isinstance(derivation.left, Entry)
            self.accepted[derivation.left.tensor] = derivation
        return tuple(used)

    def _check_names(self, derivation: Derivation) -> None:
        """A name stands for one derivative, of one cost of this program, and is not a tensor of the program itself."""
        name, cost = derivation.name, derivation.cost
        if derivation.program is not self.program:
            raise ProofError(f"{name}: the derivation is about another program")
        if cost.tensor not in self.program.outputs or cost.tensor.shape:
            raise ProofError(f"{name}: {cost.tensor.name} is not a cost of the program")
        known = derivation.definitions == self._names  # derivations of one program share their table of names
        for bar, tensor in () if known else derivation.definitions.items():
            if bar in self.users or bar.shape != tensor.shape:
                raise ProofError(f"{name}: {bar.name} cannot stand for the derivative with respect to {tensor.name}")
            if self.definitions.setdefault(bar, (tensor, cost)) != (tensor, cost):
                raise ProofError(f"{name}: {bar.name} stands for another derivative already")
        if not known:
            self._names = dict(derivation.definitions)
        for side in (derivation.left, *(step.after for step in derivation.steps)):
            if not self._fits(side):
                raise ProofError(f"{name}: an entry has the wrong number of indices, or a derivative is by no entry")

    def _fits(self, expr: Expr) -> bool:
        """True if every entry has as many indices as its tensor has axes; shared parts are looked at once."""
        if expr not in self._fitting:
            own = not isinstance(expr, Entry) or len(expr.indices) == len(expr.tensor.shape)
            if isinstance(expr, (Partial, Total)):
                own = isinstance(expr.variable, Entry) and isinstance(getattr(expr, "cost", expr.variable), Entry)
            if not own or not all(self._fits(c) for c in children(expr)):
                return False
            self._fitting.add(expr)
        return True

    def _may_be_used(self, derivation: Derivation) -> bool:
        """True if the result may be put in for any entry: its tensor must not come back by way of other results."""
        left = derivation.left
        if not isinstance(left, Entry) or len(set(left.indices)) < len(left.indices):
            return False
        if not all(
            isinstance(i, Index) and i.size is size for i, size in zip(left.indices, left.tensor.shape, strict=True)
        ):
            return False
        reached: set[Tensor] = set()
        pending = [derivation.right]
        while pending:
            for tensor in tensors_in(pending.pop()) - reached:
                reached.add(tensor)
                if tensor in self.accepted and tensor is not left.tensor:
                    pending.append(self.accepted[tensor].right)
        return left.tensor not in reached

    def accepts(self, step: Step, derivation: Derivation) -> bool:
        """True if the step is an instance of its rule; a proposal that takes too long to decide is not accepted."""
        try:
            return self._conditions(step, derivation) is not None
        except ProofError:
            return False

    def _conditions(self, step: Step, derivation: Derivation) -> tuple[str, ...] | None:
        """What the step makes use of, if it is an instance of its rule; None if it is not.

        What is known about the inputs is used only where the step fails without, so that no needless condition is
        named.
        """
        if step.rule not in RULES:
            return None
        meaning = self._meaning(step, derivation)
        try:
            before = rewrite(step.before, meaning)
            after = step.after if step.rule in _FORWARDS else rewrite(step.after, meaning)
            before, after = rewrite(before, opaque), rewrite(after, opaque)
            question = None if self.kinds or self.program.domain else pattern(before, after)
            if question in self._answered:
                return ()
            for knowing in (False, True) if self.kinds else (False,):
                table = self._table(knowing)
                if table.equal(before, after):
                    if question is not None and not table.used:
                        self._answered.add(question)
                    return tuple(table.used)
            return None
        except SymbackpropError as error:
            raise ProofError(f"{derivation.name}: {error}") from error

    def _table(self, knowing: bool) -> Canonical:
        """A normal form that has made use of nothing yet; what it remembers of earlier steps rests on no condition."""
        table = self._tables.get(knowing)
        if table is None or table.used:
            table = self._tables[knowing] = Canonical(self.facts, self.kinds if knowing else {}, expanded=self.expanded)
        table.restart_clock()
        return table

    def _meaning(self, step: Step, derivation: Derivation) -> Callable[[Expr], Expr | None]:
        """What the rule allows to be replaced, as a function from a node to its replacement or None."""
        names = derivation.definitions

        def named(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor in names:
                return Total(derivation.cost, Entry(names[node.tensor], node.indices))
            return None

        def chained(node: Expr) -> Expr | None:
            return self.chain_rule(node) if isinstance(node, Total) else None

        def defined(node: Expr) -> Expr | None:
            if isinstance(node, Partial):
                inner = node.expression
                # an entry by an entry of the same tensor is a Kronecker delta, whatever the tensor's own equation
                itself = isinstance(inner, Entry) and inner.tensor is node.variable.tensor
                return partial(inner if itself else self._written_out(inner), node.variable)
            return named(node)

        def values(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor in step.uses and node.tensor in self.program.by_tensor:
                return rewrite(self._written_out(node), values)
            return None

        def earlier(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor in step.uses and node.tensor in self.accepted:
                return rewrite(_instance(self.accepted[node.tensor], node), earlier)
            return None

        table: dict[str, Callable[[Expr], Expr | None]] = {
            "definition_of_delta": named,
            "chain_rule": chained,
            "definition": defined,
            "derivative": defined,
            "equation": values,
            "earlier_result": earlier,
        }
        return table.get(step.rule, lambda node: None)

    def chain_rule(self, total: Total) -> Expr:
        """dJ/dx as the sum over every equation that mentions x; 1 for the cost itself."""
        tensor = total.variable.tensor
        if tensor not in self.users:
            raise ProofError(f"{tensor.name} is not a tensor of the program")
        if total.cost.tensor not in self.program.outputs:
            raise ProofError(f"{total.cost.tensor.name} is not a cost of the program")
        if tensor is total.cost.tensor:
            return ONE
        if tensor in self.program.outputs:
            raise ProofError(f"{tensor.name} is read outside the program: the chain rule does not know by what")
        terms = []
        for equation in self.users[total.variable.tensor]:
            running = tuple(fresh(i.name, i.size) for i in equation.indices)
            there = Entry(equation.tensor, running)
            if not self._matters(equation.tensor, total.cost.tensor):
                continue
            if equation.tensor.kind == "integer" and partial(self._written_out(there), total.variable) is ZERO:
                continue  # a rank or a count: constant wherever it has a derivative
            outer = ONE if equation.tensor is total.cost.tensor else Total(total.cost, there)
            body = multiply(outer, Partial(there, total.variable))
            for index in reversed(running):
                body = close_sum(index, body)
            terms.append(body)
        return add(*terms) if terms else ZERO

    def _matters(self, tensor: Tensor, cost: Tensor) -> bool:
        """True if the cost depends on the tensor: itself, an output that is read elsewhere, or through an equation."""
        if tensor is cost or tensor in self.program.outputs:
            return True
        if tensor not in self._relevant:
            self._relevant[tensor] = any(self._matters(user.tensor, cost) for user in self.users[tensor])
        return self._relevant[tensor]

    def _written_out(self, expr: Expr) -> Expr:
        """The right side of the equation that defines the entry; other expressions as they are."""
        if isinstance(expr, Entry) and expr.tensor in self.program.by_tensor:
            equation = self.program.by_tensor[expr.tensor]
            return substitute(equation.value, dict(zip(equation.indices, expr.indices, strict=True)))
        return expr


def _instance(derivation: Derivation, entry: Entry) -> Expr:
    left = derivation.left
    assert isinstance(left, Entry), "an earlier result defines an entry"
    return substitute(derivation.right, dict(zip(left.indices, entry.indices, strict=True)))


def opaque(node: Expr) -> Expr | None:
    """A derivative as an entry of a tensor of its own, so that the normal form can hold it."""
    if isinstance(node, Total):
        variable = node.variable
        return Entry(
            Tensor(f"total d{node.cost.tensor.name}/d{variable.tensor.name}", variable.tensor.shape), variable.indices
        )
    if isinstance(node, Partial):
        inner = node.expression
        if not isinstance(inner, Entry):
            raise ProofError("the derivative of an expression is carried out by the rule 'derivative' alone")
        shape = (*inner.tensor.shape, *node.variable.tensor.shape)
        name = f"partial d{inner.tensor.name}/d{node.variable.tensor.name}"
        return Entry(Tensor(name, shape), (*inner.indices, *node.variable.indices))
    return None
