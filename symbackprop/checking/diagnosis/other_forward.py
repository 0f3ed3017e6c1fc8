"""A forward pass that has the gradients that were claimed: another one, which tells what was overlooked in this one.

Who differentiates log(p + eps) as log(p), or what a clip lets through as if it let all through, has the gradient of a
forward pass without the eps, or without the bounds. Such passes are made by one change, in every place that it fits;
their gradients are derived as any other, compared in numbers, and proved to be what is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from symbackprop.calculus.reverse_mode import differentiate, with_cost
from symbackprop.checking.budget import Budget
from symbackprop.checking.diagnosis.compare import Diagnosis
from symbackprop.checking.diagnosis.numeric_filter import FAILURES, SAME, Refuted, same
from symbackprop.checking.diagnosis.vocabulary import short, value_nodes
from symbackprop.checking.proof_search import Strategy, search_proof
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    ZERO,
    Add,
    Entry,
    Expr,
    Multiply,
    Number,
    Tensor,
    Where,
    add,
    alike,
    number,
    rewrite,
    tensors_in,
)
from symbackprop.expression.program import Program
from symbackprop.normal_form.modulo_equations import UNLIMITED

LARGEST_EPSILON = Fraction(1, 100)
MOST_CHANGES = 16
PROOF = (Strategy(UNLIMITED, "whole cure"),)


@dataclass(frozen=True)
class Change:
    """One node of the forward pass and what stands for it in the other.

    Args:
        words: what was done as if: "as if 1e-08 were not added".
    """

    old: Expr
    new: Expr
    words: str


def of_another_forward(case: Refuted, points: list[Point], budget: Budget) -> Iterator[Diagnosis]:
    """The changes of the forward pass after which some of the wrong gradients would be right, the widest first."""
    if case.formula is not None:
        return
    left = budget.part("another forward pass")
    for change in _changes(case.traced.forward):
        if left.spent:
            return
        names = _explained(case, change, points, left)
        if names:
            whose = "" if len(names) == len(case.wrong) else f"{', '.join(names)}: "
            yield Diagnosis(f"{whose}differentiated {change.words}")


def _changes(program: Program) -> list[Change]:
    """What may have been overlooked: small numbers that are added, branches, and factors inside of functions."""
    found: dict[tuple[Expr, Expr], Change] = {}
    for line in program.equations:
        for node in value_nodes(line.value):
            for new, words in _simpler(node):
                change = Change(node, new, f"as if {words} ({line.note} of the forward pass)")
                found.setdefault((node, new), change)
    every = list(found.values())
    epsilons = [c for c in every if isinstance(c.old, Add)]
    together = [Change(ZERO, ZERO, "as if no small number were added in the forward pass")] if len(epsilons) > 1 else []
    return [*together, *every][:MOST_CHANGES]


def _simpler(node: Expr) -> Iterator[tuple[Expr, str]]:
    match node:
        case Add(terms):
            last = terms[-1]  # numbers are gathered there: 1 - p + 1e-7 is 10000001/10000000 - p
            near = round(last.value) if isinstance(last, Number) else 0
            gap = last.value - near if isinstance(last, Number) else Fraction(0)
            if 0 < abs(gap) <= LARGEST_EPSILON:
                bare = add(*terms[:-1], number(near))
                yield bare, f"{short(number(gap))} were not added to {short(bare)}"
        case Where(_, then, otherwise):
            for branch, other in ((then, otherwise), (otherwise, then)):
                if tensors_in(branch) and not tensors_in(other):
                    yield branch, f"{short(branch)} were never {short(other)}"
                    for inner, words in _simpler(branch) if isinstance(branch, Where) else ():
                        yield inner, f"{words} nor {short(other)}"
        case Multiply((Number() as factor, *rest)) if len(rest) == 1 and factor.value != -1:
            yield rest[0], f"{short(rest[0])} stood where {short(node)} stands"


def _explained(case: Refuted, change: Change, points: list[Point], budget: Budget) -> list[str]:
    """The wrong gradients that are those of the changed forward pass."""
    forward = _apart(case.traced.forward, change)
    program, _ = with_cost(forward, case.traced.upstream, case.traced.backward.tensors)
    try:
        gradient = differentiate(program)
    except FAILURES:
        return []
    inputs = {t.name: t for t in forward.inputs}
    pairs: dict[str, tuple[Tensor, Tensor]] = {}
    for name in case.wrong:
        bar = gradient.cotangents.get(inputs[name])
        if bar is not None:
            pairs[name] = (case.traced.gradients[name], bar)
    lines = (*gradient.adjoint.equations, *case.traced.forward.equations, *case.own_lines)
    with np.errstate(all="ignore"):
        for point in points:
            values = Vectors(point)
            try:
                values.run(lines)
            except FAILURES:
                return []
            pairs = {n: p for n, p in pairs.items() if _agree(values, *p)}
    if not pairs or budget.spent:
        return []
    sides = replace(case.sides, derived=_beside(gradient.adjoint, case.traced.forward), before=None, by_name=True)
    proof = search_proof(sides, pairs, PROOF, budget)
    return [n for n in pairs if n not in proof.unproved]


def _agree(values: Vectors, claimed: Tensor, other: Tensor) -> bool:
    left, right = values.arrays[claimed], values.arrays[other]
    return bool(left.shape == right.shape and np.all(np.isfinite(right)) and same(left, right, SAME))


def _beside(adjoint: Program, forward: Program) -> Program:
    """The other pass with its gradients, and this forward pass, of which the claim may speak."""
    return replace(adjoint, equations=(*adjoint.equations, *forward.equations))


def _apart(program: Program, change: Change) -> Program:
    """The program with the change made everywhere, its tensors by names of their own."""
    table: Mapping[Tensor, Tensor] = {
        e.tensor: alike(e.tensor, f"{e.tensor.name} of another pass", e.tensor.shape) for e in program.equations
    }

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Entry) and node.tensor in table:
            return Entry(table[node.tensor], tuple(rewrite(i, visit) for i in node.indices))
        if node is change.old and node is not ZERO:
            return rewrite(change.new, visit)
        if change.old is ZERO and isinstance(node, Add):  # every small number
            bare = next((new for new, _ in _simpler(node)), None)
            return None if bare is None else rewrite(bare, visit)
        return None

    equations = tuple(replace(e, tensor=table[e.tensor], value=rewrite(e.value, visit)) for e in program.equations)
    return replace(program, equations=equations, outputs=tuple(table.get(t, t) for t in program.outputs))


__all__ = ["of_another_forward"]
