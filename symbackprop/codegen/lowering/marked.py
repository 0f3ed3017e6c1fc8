"""One-hot terms by index: softmax minus the labels is an array of which one entry a row is changed.

    target[n,c] = value[n,c] + extra[n] * [c = y[n]]    ->    target = value; target[n,y[n]] += extra[n]

Comparing all classes with the label would write and read a whole array of zeros for it. Main name: `marked`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from symbackprop.codegen.lowering.form import Form, Map, Marked, Statement
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Entry,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Tensor,
    add,
    free_indices,
    multiply,
    nodes_once,
)
from symbackprop.expression.program import Assumption


def marked(form: Form, assumptions: Iterable[Assumption]) -> Form:
    """The form in which labels that lie in their range are positions, where one is all that an expression compares."""
    ranges = {a.tensor: a.size for a in assumptions if a.kind == "labels" and a.size is not None}
    return replace(form, statements=tuple(_marked(s, ranges) for s in form.statements)) if ranges else form


def _marked(statement: Statement, ranges: Mapping[Tensor, Expr]) -> Statement:
    if not isinstance(statement, Map):
        return statement
    found = {node for node in nodes_once(statement.value) if isinstance(node, Kronecker)}
    if len(found) != 1:
        return statement
    (delta,) = found
    for at, place in ((delta.left, delta.right), (delta.right, delta.left)):
        if not isinstance(at, Index) or not isinstance(place, Entry) or at not in statement.target.indices:
            continue
        inside = ranges.get(place.tensor) is at.size and at not in free_indices(place)
        parts = _parted(statement.value, delta) if inside else None
        if parts is not None and at not in free_indices(parts[1]):
            whole = free_indices(parts[0]).issuperset(statement.target.indices) or parts[0] is ZERO
            return Marked(statement.target, parts[0], at, place, parts[1]) if whole else statement
    return statement


def _parted(expr: Expr, delta: Kronecker) -> tuple[Expr, Expr] | None:
    """(value, extra) of an expression that is value + extra * delta; None if it is of another kind."""
    if expr is delta:
        return ZERO, ONE
    if delta not in nodes_once(expr):
        return expr, ZERO
    if isinstance(expr, Add):
        terms = [_parted(term, delta) for term in expr.terms]
        if None in terms:
            return None
        return add(*(t[0] for t in terms if t)), add(*(t[1] for t in terms if t))
    if isinstance(expr, Multiply):
        inside = [f for f in expr.factors if delta in nodes_once(f)]
        parts = _parted(inside[0], delta) if len(inside) == 1 else None
        if parts is None:
            return None
        others = [f for f in expr.factors if f is not inside[0]]
        return multiply(*others, parts[0]), multiply(*others, parts[1])
    return None
