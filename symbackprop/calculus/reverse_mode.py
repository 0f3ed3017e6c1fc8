"""Reverse-mode differentiation of a Program, with the steps that justify each cotangent.

For every tensor x that the cost J depends on, last to first, one equation for its cotangent dJ/dx is proposed: each
equation that uses x sends back its own cotangent times the local slope, and the places of x it was read from are
solved for. The chain of steps (chain rule, definition, derivative, Kronecker deltas contracted) goes with it. Nothing
here is trusted: the kernel replays the steps with the rules of `rules`, which know nothing of this module.

`with_cost` makes one scalar cost of outputs that are arrays: upstream gradients meet them, Sum(dout * out).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from symbackprop.calculus.derivation import Derivation, Gradient, Step
from symbackprop.calculus.pull_back import arrive, pull_back
from symbackprop.calculus.rules import partial
from symbackprop.expression.build import (
    ONE,
    Add,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Partial,
    Power,
    Tensor,
    Total,
    add,
    children,
    fresh,
    multiply,
    number,
    substitute,
    sum_over,
    tensors_in,
)
from symbackprop.expression.program import UPSTREAM, Equation, Program, unused
from symbackprop.expression.sizes import NO_FACTS, Facts


def differentiate(
    program: Program,
    *,
    name: Callable[[Tensor], str] = lambda t: f"dJ_d{t.name}",
    wanted: Sequence[Tensor] | None = None,
    places: Mapping[Tensor, tuple[Index, ...]] | None = None,
) -> Gradient:
    """The gradient of a program's cost with respect to its tensors, with a derivation of each.

    Args:
        program: its only output is the cost, of shape ().
        name: the name of a tensor's cotangent.
        wanted: the inputs whose cotangents are outputs of the adjoint program; default: all real inputs.
        places: the indices in which a cotangent is written; default: those of the tensor's equation.

    Raises:
        UnsupportedError: the program has an equation without a derivative rule.
    """
    (cost,) = program.outputs
    facts = program.facts
    active = _active(program, cost)
    cotangents = _cotangents([t for t in program.tensors if t in active and t is not cost], program, name)
    builder = CotangentBuilder(program, Entry(cost), cotangents, facts)
    equations, derivations = [], {}
    for tensor in [t for t in reversed(program.tensors) if t in cotangents]:
        indices = (places or {}).get(tensor) or _places(program, tensor)
        derivation = builder.derive(tensor, indices)
        derivations[tensor] = derivation
        equations.append(Equation(cotangents[tensor], indices, derivation.right))
    inputs = [t for t in (wanted if wanted is not None else program.inputs) if t in cotangents]
    adjoint = Program(
        program.inputs,
        (*program.equations, *equations),
        (cost, *(cotangents[t] for t in inputs)),
        program.parameters,
        program.assumptions,
        program.domain,
        program.conditions,
    )
    return Gradient(program, cotangents, adjoint, derivations)


def _cotangents(active: Sequence[Tensor], program: Program, name: Callable[[Tensor], str]) -> dict[Tensor, Tensor]:
    """A tensor for each derivative, called as `name` says, unless something of the program is called so already."""
    taken = {t.name for t in program.tensors} | {s.name for s in program.parameters}
    found: dict[Tensor, Tensor] = {}
    for tensor in active:
        bar = found[tensor] = Tensor(unused(name(tensor), taken), tensor.shape)
        taken.add(bar.name)
    return found


def _active(program: Program, cost: Tensor) -> set[Tensor]:
    """The real tensors that the cost depends on."""
    needed: set[Tensor] = set()
    waiting = [cost]
    while waiting:
        tensor = waiting.pop()
        if tensor not in needed and (tensor.kind == "real" or tensor is cost):
            needed.add(tensor)
            waiting += tensors_in(program.by_tensor[tensor].value) if tensor in program.by_tensor else ()
    return needed


def _places(program: Program, tensor: Tensor) -> tuple[Index, ...]:
    equation = program.by_tensor.get(tensor)
    if equation is not None:
        return equation.indices
    names = "ijkpqrst"
    return tuple(Index(names[k] if k < len(names) else f"{names[0]}{k}", size) for k, size in enumerate(tensor.shape))


class CotangentBuilder:
    """Makes the derivation of one cotangent after another."""

    def __init__(
        self, program: Program, cost: Entry, cotangents: dict[Tensor, Tensor], facts: Facts = NO_FACTS
    ) -> None:
        self.program, self.cost, self.cotangents, self.facts = program, cost, cotangents, facts
        self.definitions = {bar: tensor for tensor, bar in cotangents.items()}
        self.users: dict[Tensor, list[Equation]] = {t: [] for t in cotangents}
        for equation in program.equations:
            if equation.tensor in cotangents or equation.tensor is cost.tensor:
                for tensor in tensors_in(equation.value) & cotangents.keys():
                    self.users[tensor].append(equation)

    def derive(self, tensor: Tensor, indices: tuple[Index, ...]) -> Derivation:
        """The derivation of the cotangent of `tensor` at `indices`."""
        here = Entry(tensor, indices)
        left = Entry(self.cotangents[tensor], indices)
        lines = [left, Total(self.cost, here)]
        chained, named, slopes, final = [], [], [], []
        for equation in self.users[tensor]:
            running = tuple(fresh(i.name, i.size) for i in equation.indices)
            at: dict[Expr, Expr] = dict(zip(equation.indices, running, strict=True))
            there, value = Entry(equation.tensor, running), substitute(_relevant(equation.value, tensor), at)
            is_cost = equation.tensor is self.cost.tensor
            total = ONE if is_cost else Total(self.cost, there)
            bar = ONE if is_cost else Entry(self.cotangents[equation.tensor], running)
            chained.append(sum_over(running, multiply(total, Partial(there, here))))
            named.append(sum_over(running, multiply(bar, Partial(value, here))))
            slopes.append(sum_over(running, multiply(bar, partial(value, here))))
            for contribution in pull_back(value, bar, tensor, running, self.facts):
                final.append(arrive(contribution, indices, self.facts))
        lines += [add(*chained), add(*named), add(*slopes), add(*final)]
        steps = []
        for (before, after), (rule, reason) in zip(itertools.pairwise(lines), _STEPS, strict=True):
            if before is not after:
                several = "equations" if len(self.users[tensor]) > 1 else "equation"
                said = reason.format(tensor=tensor.name, equations=several, users=self._names(tensor))
                said += _HALVED if rule == "derivative" and _has_halved_square(before) else ""
                steps.append(Step(before, after, rule, said))
        return Derivation(
            f"derivative with respect to {tensor.name}",
            self.program,
            left,
            lines[-1],
            tuple(steps),
            self.definitions,
            cost=self.cost,
        )

    def _names(self, tensor: Tensor) -> str:
        names = [e.tensor.name for e in self.users[tensor]]
        return " and ".join(names) if len(names) < 3 else ", ".join(names[:-1]) + " and " + names[-1]


_STEPS = (
    ("definition_of_delta", "This is what the name stands for."),
    (
        "chain_rule",
        "{tensor} occurs in the {equations} of {users} and nowhere else, so the cost feels it only through there.",
    ),
    ("definition", "The equation is written out; a derivative that has a name is called by it."),
    ("derivative", "Differentiate the equation; every entry other than the one asked for counts as a constant."),
    ("contract_delta", "Only the terms in which the indices agree survive."),
)


_HALVED = " The square brings a 2, which the ½ cancels."


def _has_halved_square(expr: Expr) -> bool:
    """True if some product is half a square of a difference; shared nodes are visited once."""
    seen: set[Expr] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        factors = node.factors if isinstance(node, Multiply) else ()
        squares = [f for f in factors if isinstance(f, Power) and f.exponent is number(2) and isinstance(f.base, Add)]
        if squares and any(isinstance(f, Number) and abs(f.value) == Fraction(1, 2) for f in factors):
            return True
        stack.extend(children(node))
    return False


def _relevant(value: Expr, tensor: Tensor) -> Expr:
    """The terms of a sum that mention the tensor; the others are constants to it."""
    return add(*(t for t in value.terms if tensor in tensors_in(t))) if isinstance(value, Add) else value


def with_cost(
    program: Program, given: tuple[Tensor, ...] = (), others: Iterable[Tensor] = ()
) -> tuple[Program, tuple[Tensor, ...]]:
    """The program with one scalar cost, and the upstream gradients that it takes; none if it has a cost already.

    Args:
        given: the upstream tensors, one for each output, where they exist already.
        others: tensors of programs that this one will be joined with, whose names are not to be used again.
    """
    if not given and len(program.outputs) == 1 and not program.outputs[0].shape:
        return program, ()
    upstream, terms = list[Tensor](), list[Expr]()
    taken = {t.name for t in (*program.tensors, *given, *others)} | {s.name for s in program.parameters}
    for position, output in enumerate(program.outputs, start=1):
        name = unused("dout" if len(program.outputs) == 1 else f"dout{position}", taken)
        own = Tensor(name, output.shape)
        dout = given[position - 1] if given else own
        running = tuple(fresh("pqrstuv"[k] if k < 7 else f"p{k}", size) for k, size in enumerate(output.shape))
        term = multiply(Entry(dout, running), Entry(output, running))
        upstream.append(dout)
        taken.add(dout.name)
        terms.append(sum_over(running, term))
    cost = Tensor(unused("J", taken))
    equation = Equation(cost, (), add(*terms), UPSTREAM)
    extended = replace(
        program, inputs=(*program.inputs, *upstream), equations=(*program.equations, equation), outputs=(cost,)
    )
    return extended, tuple(upstream)
