"""The kernel: replays a derivation, step by step, and searches for nothing.

A step before = after is accepted if it is an instance of its rule: the rule's meaning is put into both sides
(`meaning`), and they must be equal for all sizes and values (`equality`). The kernel does not know who proposed the
step, and nothing but a replay changes what it has accepted.

It trusts, beside itself: `meaning` (what each rule replaces, the chain rule), `rules.partial` (differentiation, node by
node, with SymPy's `diff` for scalar functions), `equality` and with it the room `normal_form` (two expressions with one
normal form are equal), and the nodes and sizes of the room `expression`. It does not trust `reverse_mode`, `proofs` or
anything else that proposes steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from symbackprop.calculus.derivation import Derivation, Step
from symbackprop.calculus.equality import Equality
from symbackprop.calculus.meaning import DerivativeTensor, Meaning
from symbackprop.errors import ProofError, SymbackpropError
from symbackprop.expression.build import Entry, Expr, Index, Partial, Tensor, Total, children, tensors_in
from symbackprop.expression.program import Program


class Kernel:
    """Replays derivations about one program; results that it has accepted may be used by later ones.

    Args:
        hypotheses: equations that may be used as earlier results without proof (the induction hypothesis).
        expanded: as `Canonical` has it, for programs with sizes that are numbers.
    """

    def __init__(
        self, program: Program, hypotheses: Mapping[Tensor, Derivation] | None = None, *, expanded: int = 0
    ) -> None:
        if any(isinstance(t, DerivativeTensor) for t in program.tensors):
            raise ProofError("a tensor of the program is a derivative, of which nothing is known")
        self.program = program
        self._accepted: dict[Tensor, Derivation] = dict(hypotheses or {})
        self._meaning, self._equality = Meaning(program, self._accepted), Equality(program, expanded)
        self._names: dict[Tensor, tuple[Tensor, Entry]] = {}  # what a name stands for, and of which cost
        self._last: tuple[Mapping[Tensor, Tensor], Entry] | None = None  # the table of names that was checked last
        self._mentioned = {t for d in self._accepted.values() for t in tensors_in(d.right)}  # by accepted results
        self._fitting: set[Expr] = set()
        self._replayed: dict[Step, tuple[str, ...]] = {}  # steps with their conditions: true once, true for good

    @property
    def accepted(self) -> Mapping[Tensor, Derivation]:
        """For each name of a derivative the last result that was accepted of it, to be read only."""
        return MappingProxyType(self._accepted)

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
        if isinstance(derivation.left, Entry) and self._may_be_used(derivation.left, derivation.right):
            self._accepted[derivation.left.tensor] = derivation
            self._mentioned |= tensors_in(derivation.right)
        return tuple(used)

    def accepts(self, step: Step, derivation: Derivation) -> bool:
        """True if the step would be replayed: for those who propose."""
        try:
            return self._conditions(step, derivation) is not None
        except ProofError:
            return False

    @contextmanager
    def unrecorded(self) -> Iterator[None]:
        """What is accepted inside may not be used afterwards."""
        before = dict(self._accepted)
        try:
            yield
        finally:
            self._accepted.clear()
            self._accepted.update(before)

    def _conditions(self, step: Step, derivation: Derivation) -> tuple[str, ...] | None:
        """What the step makes use of, if it is an instance of its rule; None if it is not."""
        try:
            sides = self._meaning.sides(step, derivation)
            return None if sides is None else self._equality.conditions(*sides)
        except SymbackpropError as error:
            raise ProofError(f"{derivation.name}: {error}") from error

    def _check_names(self, derivation: Derivation) -> None:
        """A name stands for one derivative, of one cost of this program, and is not a tensor of the program itself."""
        name, cost, tensors = derivation.name, derivation.cost, self._meaning.users
        if derivation.program is not self.program:
            raise ProofError(f"{name}: the derivation is about another program")
        if cost.tensor not in self.program.outputs or cost.tensor.shape:
            raise ProofError(f"{name}: {cost.tensor.name} is not a cost of the program")
        if self._last != (derivation.definitions, cost):  # derivations of one program share their table of names
            for bar, tensor in derivation.definitions.items():
                if bar in tensors or isinstance(bar, DerivativeTensor) or bar.shape != tensor.shape:
                    raise ProofError(
                        f"{name}: {bar.name} cannot stand for the derivative with respect to {tensor.name}"
                    )
                if self._names.setdefault(bar, (tensor, cost)) != (tensor, cost):
                    raise ProofError(f"{name}: {bar.name} stands for another derivative already")
            self._last = dict(derivation.definitions), cost
        for side in (derivation.left, *(step.after for step in derivation.steps)):
            if not self._fits(side):
                raise ProofError(f"{name}: an entry has the wrong number of indices, or a derivative is by no entry")

    def _fits(self, expr: Expr) -> bool:
        """True if every entry has as many indices as its tensor has axes; shared parts are looked at once."""
        if expr not in self._fitting:
            own = not isinstance(expr, Entry) or len(expr.indices) == len(expr.tensor.shape)
            own = own and not (isinstance(expr, Entry) and isinstance(expr.tensor, DerivativeTensor))
            if isinstance(expr, (Partial, Total)):
                own = isinstance(expr.variable, Entry) and isinstance(getattr(expr, "cost", expr.variable), Entry)
            if not own or not all(self._fits(c) for c in children(expr)):
                return False
            self._fitting.add(expr)
        return True

    def _may_be_used(self, left: Entry, right: Expr) -> bool:
        """True if the result may be put in for any entry: its tensor must not come back by way of other results."""
        if len(set(left.indices)) < len(left.indices):
            return False
        axes = zip(left.indices, left.tensor.shape, strict=True)
        if not all(isinstance(i, Index) and i.size is size for i, size in axes):
            return False
        reached: set[Tensor] = set()
        pending = [right]
        while pending and (left.tensor in self._mentioned or not reached):  # what nobody mentions does not come back
            for tensor in tensors_in(pending.pop()) - reached:
                reached.add(tensor)
                if tensor in self._accepted and tensor is not left.tensor:
                    pending.append(self._accepted[tensor].right)
        return left.tensor not in reached
