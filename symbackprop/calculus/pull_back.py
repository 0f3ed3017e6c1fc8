"""Where a cotangent goes: what an expression sends back to the entries that it read, and how the places are solved for.

An entry x[e(i)] that was read at running indices i sends its cotangent back to the place p with e(i) = p. Where that
can be solved for i, no sum over i is left. Nothing here is trusted: the kernel replays the steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from symbackprop.calculus.rules import matrix_slope, mentions
from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import (
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
    Kronecker,
    MatrixEntry,
    Multiply,
    Power,
    Quotient,
    Remainder,
    Sum,
    Tensor,
    Where,
    add,
    apply,
    entries_once,
    free_indices,
    kronecker,
    multiply,
    nodes_once,
    open_binder,
    power,
    rewrite,
    substitute,
    subtract,
    sum_over,
    where,
)
from symbackprop.expression.functions import LOG
from symbackprop.expression.sizes import NO_FACTS, Facts, decide, simplify
from symbackprop.expression.sympy_bridge import slope
from symbackprop.expression.zero_products import may_lack_values


@dataclass(frozen=True)
class Contribution:
    """`cotangent` arrives at the entry `indices` of a tensor, for every value of the `running` indices.

    Args:
        at: the values of indices that ran until a condition on the way set them.
    """

    indices: tuple[Expr, ...]
    cotangent: Expr
    running: tuple[Index, ...]
    at: Mapping[Expr, Expr] = field(default_factory=dict)


def pull_back(
    expr: Expr, cotangent: Expr, target: Tensor, running: tuple[Index, ...], facts: Facts = NO_FACTS
) -> Iterable[Contribution]:
    """The cotangents that an expression with the given cotangent sends to the entries of `target`."""
    if not mentions(expr, Entry(target)):
        return
    match expr:
        case Entry(_, indices):
            yield Contribution(indices, cotangent, running)
        case Add(terms):
            for term in terms:
                yield from pull_back(term, cotangent, target, running, facts)
        case Multiply(factors):
            for k, factor in enumerate(factors):
                others = multiply(cotangent, *factors[:k], *factors[k + 1 :])
                yield from pull_back(factor, others, target, running, facts)
        case Power(base, exponent):
            falling = multiply(exponent, power(base, subtract(exponent, ONE)))
            yield from pull_back(base, multiply(cotangent, falling), target, running, facts)
            yield from pull_back(exponent, multiply(cotangent, expr, apply(LOG, base)), target, running, facts)
        case Sum():
            index, body = open_binder(expr)
            yield from pull_back(body, cotangent, target, (*running, index), facts)
        case Apply(function, arguments):
            for k, argument in enumerate(arguments):
                local = slope(function, k, arguments)
                yield from pull_back(argument, multiply(cotangent, local), target, running, facts)
        case Where(condition, then, otherwise):
            places = {i for e in entries_once(then) if e.tensor is target for i in e.indices}
            at, rest = _pinned(condition, tuple(i for i in running if i not in places), facts)
            left = tuple(i for i in running if i not in at)
            gate, then, inner = (substitute(e, at) for e in (rest, then, cotangent))
            for part in _behind(gate, True, then, inner, target, left, facts):
                yield replace(part, at={**at, **part.at})
            yield from _behind(condition, False, otherwise, cotangent, target, running, facts)
        case Extremum():
            index, body = open_binder(expr)
            gate = Compare("==", body, expr)
            yield from pull_back(body, multiply(cotangent, gate), target, (*running, index), facts)
        case MatrixEntry():
            over, local, entry = matrix_slope(expr)
            yield from pull_back(entry, multiply(cotangent, local), target, (*running, *over), facts)
        case Compare():
            return
        case _:
            raise UnsupportedError(f"no derivative rule for {type(expr).__name__}")


def _behind(
    gate: Expr, open: bool, value: Expr, cotangent: Expr, target: Tensor, running: tuple[Index, ...], facts: Facts
) -> Iterable[Contribution]:
    """What a branch sends back where it is taken, and nothing elsewhere.

    What has no value everywhere stays within: of where(w > 0, p*sqrt(w), 0) no root is taken of what is below 0.
    """

    def gated(expr: Expr, at: Mapping[Expr, Expr]) -> Expr:
        here = substitute(gate, at)
        return where(here, expr, ZERO) if open else where(here, ZERO, expr)

    if not may_lack_values(value):
        yield from pull_back(value, gated(cotangent, {}), target, running, facts)
        return
    for part in pull_back(value, cotangent, target, running, facts):
        yield replace(part, cotangent=gated(part.cotangent, part.at))


def _pinned(condition: Expr, running: tuple[Index, ...], facts: Facts) -> tuple[dict[Expr, Expr], Expr]:
    """The running indices that a condition sets to one value of their range, and what is left of the condition.

    An entry that is written by itself, out[:, 0, t] = v, feels the cotangent of that entry alone: said so, no sum over
    all entries is left, nor what was written to other entries later. An index that names the entry of the target is
    solved for as it is: h_before[t] feels h[t] where t is the last, not h[T - 1], which no order of steps allows.
    """
    at: dict[Expr, Expr] = {}
    rest: list[Expr] = []
    for factor in condition.factors if isinstance(condition, Multiply) else (condition,):
        pin = _pin(factor, running, facts)
        if pin is None or pin[0] in at:
            rest.append(factor)
        else:
            at[pin[0]] = pin[1]
    return at, multiply(*rest)


def _pin(factor: Expr, running: tuple[Index, ...], facts: Facts) -> tuple[Index, Expr] | None:
    if isinstance(factor, Kronecker):
        for index, value in ((factor.left, factor.right), (factor.right, factor.left)):
            if (
                isinstance(index, Index)
                and index in running
                and not any(i in running for i in free_indices(value))
                and not _guards(value, index.size, facts)
            ):
                return index, value
    return None


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
    cotangent = _decided(cotangent, facts)
    deltas = [kronecker(place, index) for index, place in pending]
    for guard in conditions:
        if guard is not ONE:
            cotangent = where(guard, cotangent, ZERO)
    total = multiply(*deltas, cotangent)
    total = sum_over(running, total)
    return total


def _decided(expr: Expr, facts: Facts) -> Expr:
    """An expression in which what is asked of sizes and indices alone is answered where that is known for all."""

    def answer(node: Expr) -> Expr | None:
        if not isinstance(node, Where) or not isinstance(node.condition, Kronecker | Compare):
            return None
        test = node.condition
        relation = "==" if isinstance(test, Kronecker) else test.relation
        if any(isinstance(n, Entry) for n in nodes_once(test)):
            return None
        known = decide(relation, test.left, test.right, facts)
        return None if known is None else _decided(node.then if known else node.otherwise, facts)

    return rewrite(expr, answer)


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
        if step is ONE or step is MINUS_ONE:
            if len(unknown) == 1:
                value = simplify(multiply(step, simplify(subtract(place, rest), facts)), facts)
                return {index: value}, [pair], _guards(value, index.size, facts)
            continue
        first = substitute(rest, dict.fromkeys(unknown, ZERO))
        for start in (ZERO, first) if rest is not first else (ZERO,):
            low, gap = simplify(subtract(rest, start), facts), simplify(subtract(place, start), facts)
            if decide("<=", ZERO, low, facts) and decide("<", low, step, facts):
                # place - start = step * index + low with 0 <= low < step: quotient and remainder
                value, left = simplify(Quotient(gap, step), facts), simplify(Remainder(gap, step), facts)
                guards = _guards(value, index.size, facts)
                solved = _solve_remainder(low, left, running, facts)
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
