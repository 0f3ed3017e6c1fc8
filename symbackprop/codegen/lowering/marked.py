"""One-hot terms by index: softmax minus the labels is an array of which one entry a row is changed.

    target[n,c] = value[n,c] + extra[n] * [c = y[n]]    ->    target = value; target[n,y[n]] += extra[n]
    target[n,c] = extra[n] where c = y[n], else value   ->    target = value; target[n,y[n]] = extra[n]

Comparing all classes with the label would write and read a whole array of zeros for it. Main name: `marked`.

A product with such an array adds rows up where they belong, as the gradient of a look-up does (`added_up`):

    target[v,d] = sum over n of [v = y[n]] * a[n,d]         ->    target = 0; target[y[n],d] += a[n,d] for each n
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from symbackprop.codegen.lowering.form import Contract, Form, Map, Marked, Statement, only, reads, rewritten
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
    Where,
    add,
    factors_of,
    free_indices,
    multiply,
    nodes_once,
    rewrite,
    substitute,
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
        instead = _instead(statement.value, delta) if inside else None
        parts = instead or (_parted(statement.value, delta) if inside else None)
        if parts is not None and at not in free_indices(parts[1]):
            whole = free_indices(parts[0]).issuperset(statement.target.indices) or parts[0] is ZERO
            return Marked(statement.target, parts[0], at, place, parts[1], instead is not None) if whole else statement
    return statement


def added_up(form: Form) -> Form:
    """The form in which a product with an array that has a single 1 for each label adds up at the labels.

    Where a place is marked several times, all of it is added: for printers whose library does that.
    """
    ones = {s.target.tensor: s for s in form.statements if isinstance(s, Marked) and _is_of_ones(s)}
    new = [_added_up(s, ones) for s in form.statements]
    read = {t for s in new for t in reads(s)} | set(form.outputs)
    gone = [p for p, s in enumerate(new) if s.target.tensor in ones and s.target.tensor not in read]
    changed = replace(form, statements=tuple(new))
    return only(changed, set(range(len(new))) - set(gone), form.outputs) if gone else form


def in_place(form: Form) -> Form:
    """The form in which an array that is changed at marks, and not read any more, is what is made of it."""
    statements = list(form.statements)
    for position, s in enumerate(statements):
        if not isinstance(s, Marked) or not isinstance(s.value, Entry) or s.value.indices != s.target.indices:
            continue
        before, after = s.value.tensor, s.target.tensor
        outside = before in (*form.inputs, *form.outputs)
        if outside or any(before in reads(other) for other in statements[position + 1 :]):
            continue
        entry, value = partial(_renamed, before, after), partial(rewrite, meaning=partial(_entry_of, before, after))
        statements[: position + 1] = [rewritten(other, entry, value) for other in statements[: position + 1]]
    return replace(form, statements=tuple(statements))


def _renamed(before: Tensor, after: Tensor, entry: Entry) -> Entry:
    return Entry(after, entry.indices) if entry.tensor is before else entry


def _entry_of(before: Tensor, after: Tensor, node: Expr) -> Expr | None:
    return Entry(after, node.indices) if isinstance(node, Entry) and node.tensor is before else None


def _is_of_ones(s: Marked) -> bool:
    return s.value is ZERO and s.extra is ONE and not s.instead


def _added_up(statement: Statement, ones: Mapping[Tensor, Marked]) -> Statement:
    if not isinstance(statement, Contract):
        return statement
    for one, other in ((statement.left, statement.right), (statement.right, statement.left)):
        if one.tensor not in ones:
            continue
        own = ones[one.tensor]
        now = dict(zip(own.target.indices, one.indices, strict=True))
        at, place = now[own.at], substitute(own.place, now)
        rest = tuple(i for i in other.indices if i not in statement.over)
        whole = set(one.indices) == {at, *statement.over} and set(statement.over) <= set(other.indices)
        if isinstance(at, Index) and whole and at not in rest and statement.target.indices == (at, *rest):
            return Marked(statement.target, ZERO, at, place, other)
    return statement


def _instead(expr: Expr, delta: Kronecker) -> tuple[Expr, Expr] | None:
    """(value, extra) of an expression that is extra where the delta is 1, and value elsewhere."""
    factors = factors_of(expr)
    chosen = next((f for f in factors if isinstance(f, Where) and f.condition is delta), None)
    if chosen is None or any(delta in nodes_once(f) for f in factors if f is not chosen):
        return None
    rest = [f for f in factors if f is not chosen]
    return multiply(*rest, chosen.otherwise), multiply(*rest, chosen.then)


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
