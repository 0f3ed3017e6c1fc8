"""What a derivative adds up, one user after another: a weight that many layers share, a memory that all of them read.

A backward pass adds up as it goes, last layer first. The sums up to there are named, so that each of the user's is
found among them, and what is added next is all that a proof looks at. The derived equation stays as it is; that it is
the last of these sums is a lemma.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from symbackprop.expression.build import (
    ZERO,
    Add,
    Entry,
    Expr,
    Index,
    Multiply,
    Sum,
    Tensor,
    Where,
    add,
    contraction,
    entries_once,
    free_indices,
    substitute,
)
from symbackprop.expression.program import Equation, Program, unused
from symbackprop.expression.recurrence import recurrent

MANY = 5  # terms: fewer are compared at once


def with_partial_sums(derived: Program, forward: Collection[Tensor]) -> Program:
    """The program with names for the partial sums of long derivatives, each before the derivative itself.

    Args:
        forward: the tensors of the forward pass, whose sums are left alone.
    """
    if recurrent(derived.equations):
        return derived
    used = {t.name for t in derived.tensors}
    equations: list[Equation] = []
    for equation in derived.equations:
        if equation.tensor not in forward:
            equations += _partial_sums(equation, used)
        equations.append(equation)
    return replace(derived, equations=tuple(equations))


def with_inner_sums(derived: Program, forward: Collection[Tensor]) -> Program:
    """The program with names for sums that a mask or a slope is put on: the derivative after an activation, where only
    that before it has a name, since the forward pass gives none to the activation.

    Args:
        forward: as `with_partial_sums` has it.
    """
    if recurrent(derived.equations):
        return derived
    used = {t.name for t in derived.tensors}
    equations: list[Equation] = []
    for equation in derived.equations:
        inner = _inner_sum(equation.value) if equation.tensor not in forward else None
        if inner is not None and inner is not equation.value and _reads_within(inner):
            name = unused(f"{equation.tensor.name}_inner", used)
            used.add(name)
            equations.append(Equation(Tensor(name, equation.tensor.shape), equation.indices, inner, equation.note))
        equations.append(equation)
    return replace(derived, equations=tuple(equations))


def _inner_sum(value: Expr) -> Expr | None:
    """What is summed, without what it is multiplied by and without conditions that do not depend on the sum's index."""
    match value:
        case Where(_, then, otherwise) if ZERO in (then, otherwise):
            return _inner_sum(otherwise if then is ZERO else then)
        case Multiply(factors):
            sums = [f for f in factors if isinstance(f, Sum)]
            return sums[0] if len(sums) == 1 else None
        case Sum(index, body):
            while isinstance(body, Where) and ZERO in (body.then, body.otherwise):
                if index in free_indices(body.condition):
                    return value
                body = body.otherwise if body.then is ZERO else body.then
            return (
                value
                if body is value.body
                else contraction(index.name, index.size, lambda i: substitute(body, {index: i}))
            )
    return None


def _reads_within(inner: Expr) -> bool:
    """True if every entry has a place on each axis: of a longer index a condition had said where there is one."""
    places = ((i, size) for e in entries_once(inner) for i, size in zip(e.indices, e.tensor.shape, strict=True))
    return all(size is i.size if isinstance(i, Index) else not free_indices(i) for i, size in places)


def _partial_sums(equation: Equation, used: set[str]) -> Iterator[Equation]:
    """The sums of the last two terms, of the last three, ..., of all."""
    terms = equation.value.terms if isinstance(equation.value, Add) else ()
    if len(terms) < MANY:
        return
    *rest, sum_so_far = terms
    for term in reversed(rest):
        name = unused(f"{equation.tensor.name}_sum", used)
        used.add(name)
        tensor = Tensor(name, equation.tensor.shape)
        yield Equation(tensor, equation.indices, add(sum_so_far, term), equation.note)
        sum_so_far = Entry(tensor, equation.indices)
