"""Reverse-mode differentiation of a Program, with the steps that justify each cotangent.

For every tensor x that the cost J depends on, last to first, one equation for its cotangent dJ/dx is proposed: each
equation that uses x sends back its own cotangent times the local slope, and the places of x it was read from are
solved for. The chain of steps (chain rule, definition, derivative, Kronecker deltas contracted) goes with it. Nothing
here is trusted: the kernel replays the steps with the rules of `rules`, which know nothing of this module.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from symbackprop.derivation import Derivation, Gradient, Step
from symbackprop.errors import UnsupportedError
from symbackprop.expression import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Multiply,
    Number,
    Partial,
    Power,
    Quotient,
    Remainder,
    Sum,
    Tensor,
    Total,
    Where,
    add,
    apply,
    children,
    close_sum,
    free_indices,
    fresh,
    kronecker,
    multiply,
    number,
    open_binder,
    power,
    substitute,
    subtract,
    where,
)
from symbackprop.primitives import LOG
from symbackprop.program import Equation, Program
from symbackprop.rules import mentions, partial, tensors_in
from symbackprop.sizes import NO_FACTS, Facts, decide, simplify
from symbackprop.sympy_form import slope


@dataclass(frozen=True)
class Contribution:
    """`cotangent` arrives at the entry `indices` of a tensor, for every value of the `running` indices."""

    indices: tuple[Expr, ...]
    cotangent: Expr
    running: tuple[Index, ...]


def pull_back(expr: Expr, cotangent: Expr, target: Tensor, running: tuple[Index, ...]) -> Iterable[Contribution]:
    """The cotangents that an expression with the given cotangent sends to the entries of `target`."""
    if not mentions(expr, Entry(target)):
        return
    match expr:
        case Entry(_, indices):
            yield Contribution(indices, cotangent, running)
        case Add(terms):
            for term in terms:
                yield from pull_back(term, cotangent, target, running)
        case Multiply(factors):
            for k, factor in enumerate(factors):
                others = multiply(cotangent, *factors[:k], *factors[k + 1 :])
                yield from pull_back(factor, others, target, running)
        case Power(base, exponent):
            falling = multiply(exponent, power(base, subtract(exponent, ONE)))
            yield from pull_back(base, multiply(cotangent, falling), target, running)
            yield from pull_back(exponent, multiply(cotangent, expr, apply(LOG, base)), target, running)
        case Sum():
            index, body = open_binder(expr)
            yield from pull_back(body, cotangent, target, (*running, index))
        case Apply(function, arguments):
            for k, argument in enumerate(arguments):
                local = slope(function, k, arguments)
                yield from pull_back(argument, multiply(cotangent, local), target, running)
        case Where(condition, then, otherwise):
            yield from pull_back(then, where(condition, cotangent, ZERO), target, running)
            yield from pull_back(otherwise, where(condition, ZERO, cotangent), target, running)
        case Extremum():
            index, body = open_binder(expr)
            gate = Compare("==", body, expr)
            yield from pull_back(body, multiply(cotangent, gate), target, (*running, index))
        case Compare():
            return
        case _:
            raise UnsupportedError(f"no derivative rule for {type(expr).__name__}")


def arrive(contribution: Contribution, places: Sequence[Index], facts: Facts = NO_FACTS) -> Expr:
    """The contribution to the entry at `places`: running indices that the places determine are solved for."""
    cotangent, running = contribution.cotangent, list(contribution.running)
    pending = list(zip(contribution.indices, places, strict=True))
    conditions: list[Expr] = []
    progress = True
    while pending and progress:
        progress = False
        for pair in pending:
            solved = _solve(pair, pending, running, facts)
            if solved is None:
                continue
            values, used, guards = solved
            running = [i for i in running if i not in values]
            cotangent = substitute(cotangent, values)
            conditions = [substitute(c, values) for c in conditions] + guards
            pending = [(substitute(i, values), p) for i, p in pending if (i, p) not in used]
            progress = True
            break
    deltas = [kronecker(place, index) for index, place in pending]
    for guard in conditions:
        if guard is not ONE:
            cotangent = where(guard, cotangent, ZERO)
    total = multiply(*deltas, cotangent)
    for index in reversed(running):
        total = close_sum(index, total)
    return total


Pair = tuple[Expr, Index]
Solution = tuple[dict[Expr, Expr], list[Pair], list[Expr]]


def _solve(pair: Pair, pending: list[Pair], running: list[Index], facts: Facts) -> Solution | None:
    """Values of running indices at which the index expression equals its place; the pairs used up; range guards."""
    expr, place = pair
    unknown = [i for i in free_indices(expr) if i in running]
    if not unknown:
        return ({}, [pair], [] if expr is place else [kronecker(place, expr)]) if expr is place else None
    if isinstance(expr, Index):
        return {expr: place}, [pair], _guards(place, expr.size, facts)
    if isinstance(expr, (Quotient, Remainder)) and isinstance(expr.left, Index) and expr.left in running:
        return _solve_merged(expr.left, expr.right, pending, facts)
    for index in unknown:
        rest = substitute(expr, {index: ZERO})
        step = simplify(subtract(substitute(expr, {index: ONE}), rest), facts)
        linear = simplify(subtract(expr, add(multiply(step, index), rest)), facts) is ZERO
        if not linear or free_indices(step):
            continue
        gap = simplify(subtract(place, rest), facts)
        if step is ONE or step is MINUS_ONE:
            if len(unknown) == 1:
                value = simplify(multiply(step, gap), facts)
                return {index: value}, [pair], _guards(value, index.size, facts)
        elif decide("<=", ZERO, rest, facts) and decide("<", rest, step, facts):
            # place = step * index + rest with 0 <= rest < step: quotient and remainder
            value, left = simplify(Quotient(place, step), facts), simplify(Remainder(place, step), facts)
            guards = _guards(value, index.size, facts)
            solved = _solve_remainder(rest, left, running, facts)
            if solved is not None:
                return {index: value, **solved[0]}, [pair], guards + solved[1]
    return None


def _solve_remainder(
    rest: Expr, left: Expr, running: list[Index], facts: Facts
) -> tuple[dict[Expr, Expr], list[Expr]] | None:
    if not any(i in running for i in free_indices(rest)):
        return {}, [kronecker(left, rest)]
    if isinstance(rest, Index):
        return {rest: left}, _guards(left, rest.size, facts)
    for index in free_indices(rest):
        if index not in running:
            continue
        inner = substitute(rest, {index: ZERO})
        step = simplify(subtract(substitute(rest, {index: ONE}), inner), facts)
        if simplify(subtract(rest, add(multiply(step, index), inner)), facts) is not ZERO or free_indices(step):
            continue
        if step is ONE and not any(i in running for i in free_indices(inner)):
            value = simplify(subtract(left, inner), facts)
            return {index: value}, _guards(value, index.size, facts)
        if decide("<=", ZERO, inner, facts) and decide("<", inner, step, facts):
            value = simplify(Quotient(left, step), facts)
            deeper = _solve_remainder(inner, simplify(Remainder(left, step), facts), running, facts)
            if deeper is not None:
                return {index: value, **deeper[0]}, _guards(value, index.size, facts) + deeper[1]
    return None


def _solve_merged(index: Index, radix: Expr, pending: list[Pair], facts: Facts) -> Solution | None:
    """index // radix = p and index % radix = q: index = p * radix + q."""
    high = next(((e, p) for e, p in pending if isinstance(e, Quotient) and e.left is index and e.right is radix), None)
    low = next(((e, p) for e, p in pending if isinstance(e, Remainder) and e.left is index and e.right is radix), None)
    if high is None or low is None:
        return None
    value = simplify(add(multiply(high[1], radix), low[1]), facts)
    return {index: value}, [high, low], _guards(value, index.size, facts)


def _guards(value: Expr, size: Expr, facts: Facts) -> list[Expr]:
    """The conditions 0 <= value < size that are not provable."""
    if isinstance(value, Index) and value.size is size:
        return []
    guards: list[Expr] = []
    if decide("<=", ZERO, value, facts) is not True:
        guards.append(Compare("<=", ZERO, value))
    if decide("<", value, size, facts) is not True:
        guards.append(Compare("<", value, size))
    return guards


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
    facts = facts_of(program)
    active = _active(program, cost)
    cotangents = {t: Tensor(name(t), t.shape) for t in active if t is not cost}
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


def facts_of(program: Program) -> Facts:
    """What a program says about its sizes and labels."""
    ranges = {a.tensor: a.size for a in program.assumptions if a.kind == "labels" and a.size is not None}
    return Facts(program.domain, ranges)


def _active(program: Program, cost: Tensor) -> set[Tensor]:
    """The real tensors that the cost depends on."""
    needed = {cost}
    for equation in reversed(program.equations):
        if equation.tensor in needed:
            needed.update(t for t in tensors_in(equation.value) if t.kind == "real")
    return needed


def _places(program: Program, tensor: Tensor) -> tuple[Index, ...]:
    equation = program.by_tensor.get(tensor)
    if equation is not None:
        return equation.indices
    names = "ijkpqrst"
    return tuple(Index(names[k], size) for k, size in enumerate(tensor.shape))


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
            chained.append(_sum_over(running, multiply(total, Partial(there, here))))
            named.append(_sum_over(running, multiply(bar, Partial(value, here))))
            slopes.append(_sum_over(running, multiply(bar, partial(value, here))))
            for contribution in pull_back(value, bar, tensor, running):
                final.append(arrive(contribution, indices, self.facts))
        lines += [add(*chained), add(*named), add(*slopes), add(*final)]
        steps = []
        for (before, after), (rule, reason) in zip(itertools.pairwise(lines), _STEPS, strict=True):
            if before is not after:
                said = reason.format(tensor=tensor.name, users=self._names(tensor))
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
        "{tensor} occurs in the equation of {users} and nowhere else, so the cost feels it only through there.",
    ),
    ("definition", "Derivatives worked out earlier get their names; each equation is written out."),
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


def _sum_over(indices: Iterable[Index], body: Expr) -> Expr:
    for index in reversed(tuple(indices)):
        body = close_sum(index, body)
    return body


__all__ = ["Contribution", "Number", "arrive", "differentiate", "facts_of", "pull_back"]
