"""The penalty's part of a gradient, taken out of its equations and put on the flat vector of parameters.

    dJ_dW1[i,j] = T1[i,j] + c*W1[i,j]        dJ_dW1 = T1
    dJ_dW2[i,j] = T2[i,j] + c*W2[i,j]   ->   dJ_dW2 = T2
    J = ... + r*c*sum(W1^2 + W2^2)           gradient += shrink * theta, J = ... + r*sum(shrink * theta^2)

`shrink` holds c at each weight and 0 at each bias, so that one call serves all layers. This module must not know
about printers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from symbackprop.codegen.lowering.form import Contract, Form, Map, Statement, reads
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Entry,
    Expr,
    Multiply,
    Number,
    Tensor,
    add,
    entries,
    free_indices,
    multiply,
)

DECAY = Tensor("decay")


@dataclass(frozen=True)
class Penalty:
    """A form without its penalty, and the penalty.

    Args:
        form: its inputs have `DECAY`, the sum of shrink * theta^2, if its cost needs that.
        factors: for each parameter the number c.
        in_cost: whether the cost has its part too.
    """

    form: Form
    factors: tuple[Expr, ...]
    in_cost: bool


def without_penalty(form: Form, parameters: Sequence[Tensor], cost: bool = True) -> Penalty | None:
    """The form without the terms c*W of its gradients, or None if it has no such terms.

    Args:
        parameters: each belongs to the output with an array in the same place.
        cost: take it out of the cost as well, where it is the same in all layers.
    """
    gradients = [t for t in form.outputs if t.shape]
    if len(gradients) != len(parameters):
        return None
    defined = {s.target.tensor: s for s in form.statements}
    sums: dict[Tensor, Tensor] = {}  # the contraction that a gradient now is
    factors: list[Expr] = []
    for parameter, gradient in zip(parameters, gradients, strict=True):
        found = _factor(form, defined[gradient], parameter)
        factors.append(ZERO if found is None else found[1])
        if found is not None:
            sums[found[0]] = gradient
    if not sums:
        return None
    statements = list[Statement]()
    for statement in form.statements:
        if statement.target.tensor in sums:
            target = Entry(sums[statement.target.tensor], statement.target.indices)
            statements.append(replace(statement, target=target))
        elif statement.target.tensor not in sums.values():
            statements.append(statement)
    bare = replace(form, statements=tuple(statements))
    return _cost(bare, parameters, tuple(factors)) if cost else Penalty(bare, tuple(factors), False)


def _factor(form: Form, statement: Statement, parameter: Tensor) -> tuple[Tensor, Expr] | None:
    """(T, c) of target = T + c * parameter, where T is a contraction that nothing else reads."""
    if not isinstance(statement, Map) or not isinstance(statement.value, Add) or len(statement.value.terms) != 2:
        return None
    whole = Entry(parameter, statement.target.indices)
    for total, term in (statement.value.terms, statement.value.terms[::-1]):
        parts = term.factors if isinstance(term, Multiply) else (term,)
        rest = multiply(*(f for f in parts if f is not whole))
        if whole not in parts or free_indices(rest) or any(True for _ in entries(rest)) or not isinstance(total, Entry):
            continue
        makers = [s for s in form.statements if s.target.tensor is total.tensor]
        once = sum(total.tensor in reads(s) for s in form.statements) == 1 and total.tensor not in form.outputs
        if makers and isinstance(makers[0], Contract) and once and total.indices == statement.target.indices:
            return total.tensor, rest
    return None


def _cost(form: Form, parameters: Sequence[Tensor], factors: tuple[Expr, ...]) -> Penalty:
    """Replace the sums of squares in the cost by one term, if all have the same ratio to the gradient's factor."""
    place = next(
        (p for p, s in enumerate(form.statements) if not s.target.indices and s.target.tensor in form.outputs), None
    )
    statement = None if place is None else form.statements[place]
    if place is None or not isinstance(statement, Map) or not isinstance(statement.value, Add):
        return Penalty(form, factors, False)
    squares = {t: p for s in form.statements for t, p in _square(s)}
    terms, ratios, gone = list(statement.value.terms), set[Expr](), set[Tensor]()
    for parameter, factor in zip(parameters, factors, strict=True):
        for term in statement.value.terms if factor is not ZERO else ():
            inside = [e.tensor for e in entries(term)]
            if len(inside) == 1 and squares.get(inside[0]) is parameter:
                terms.remove(term)
                gone.add(inside[0])
                (number, rest), (own, wanted) = _coefficient(term, inside[0]), _coefficient(factor, None)
                ratios.add(Number(number / own) if rest == wanted else factor)
    ratio = next(iter(ratios), ONE)
    count = sum(f is not ZERO for f in factors)
    read_elsewhere = any(not gone.isdisjoint(reads(s)) for s in form.statements if s is not statement)
    if len(gone) != count or len(ratios) != 1 or not isinstance(ratio, Number) or read_elsewhere:
        return Penalty(form, factors, False)
    new = replace(statement, value=add(*terms, multiply(ratio, Entry(DECAY, ()))))
    kept = [new if s is statement else s for s in form.statements if s.target.tensor not in gone]
    return Penalty(replace(form, inputs=(*form.inputs, DECAY), statements=tuple(kept)), factors, True)


def _coefficient(term: Expr, without: Tensor | None) -> tuple[Fraction, Counter[Expr]]:
    """The number in a product, and its other factors but for the tensor `without`."""
    value, rest = Fraction(1), Counter[Expr]()
    for factor in term.factors if isinstance(term, Multiply) else (term,):
        if isinstance(factor, Number):
            value *= factor.value
        elif not isinstance(factor, Entry) or factor.tensor is not without:
            rest[factor] += 1
    return value, rest


def _square(statement: Statement) -> list[tuple[Tensor, Tensor]]:
    """(target, W) of target = sum of W^2."""
    match statement:
        case Contract(target, left, right, _) if left is right and not target.indices:
            return [(target.tensor, left.tensor)]
    return []
