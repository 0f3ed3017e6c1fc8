"""Windows that reach beyond their array, where a library fills them with zeros.

    where(0 <= d - 2, dout[n,d - 2], 0)     ->     t[n,d],   t = dout with two zeros in front

A printer whose library pads prints a guarded look-up at `index + number` so. What is asked of the index to stay inside
need not be asked then. Main names: `padding`, `unasked`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symbackprop.codegen.lowering.form import Contract, Form, Gather, Map, Reduce, Statement
from symbackprop.expression.build import (
    ZERO,
    Add,
    Compare,
    Entry,
    Expr,
    Index,
    Multiply,
    Tensor,
    Where,
    add,
    children,
    entries,
    free_indices,
    negate,
    rebuild,
    substitute,
    subtract,
)
from symbackprop.expression.sizes import simplify

Inside = tuple[tuple[Expr, ...], frozenset[Expr]]  # indices, and what must hold of them where an array is not 0


def padding(gather: Gather) -> list[tuple[Index, Expr, Expr]] | None:
    """For each axis of the source its index in the target, and how much is added before and after (less than 0: cut).

    None if the look-up is no window, or reaches nowhere beyond.
    """
    found = list[tuple[Index, Expr, Expr]]()
    for place, size in zip(gather.positions, gather.source.shape, strict=True):
        free = free_indices(place)
        if len(free) != 1 or any(True for _ in entries(place)):
            return None
        (index,) = free
        offset = simplify(subtract(place, index))
        if free_indices(offset) or any(index is other for other, _, _ in found):
            return None
        found.append((index, simplify(negate(offset)), simplify(subtract(add(index.size, offset), size))))
    return found if gather.guarded else None


def unasked(form: Form) -> Form:
    """The form without the questions that guarded windows answer with 0."""
    inside: dict[Tensor, Inside] = {}
    statements = list[Statement]()
    for statement in form.statements:
        if isinstance(statement, Map):
            statement = replace(statement, value=_unasked(statement.value, inside))
        found = _inside(statement, inside)
        if found:
            inside[statement.target.tensor] = statement.target.indices, found
        statements.append(statement)
    return replace(form, statements=tuple(statements))


def _inside(statement: Statement, known: dict[Tensor, Inside]) -> frozenset[Expr]:
    """What holds of the target's indices wherever it is not 0."""
    target = frozenset(i for i in statement.target.indices if isinstance(i, Index))
    match statement:
        case Gather(_, source, positions, _):
            if padding(statement) is None:
                return frozenset()
            pairs = zip(positions, source.shape, strict=True)
            return frozenset(c for p, size in pairs for c in (Compare("<=", ZERO, p), Compare("<", p, size)))
        case Contract(_, left, right, _):
            found = _of(left, known) | _of(right, known)
        case Reduce(_, "sum", operand, _):
            found = _of(operand, known)
        case Map(_, value):
            found = _where_not_zero(value, known)
        case _:
            return frozenset()
    return frozenset(c for c in found if free_indices(c) <= target)


def _of(entry: Entry, known: dict[Tensor, Inside]) -> frozenset[Expr]:
    if entry.tensor not in known:
        return frozenset()
    indices, conditions = known[entry.tensor]
    now = {i: j for i, j in zip(indices, entry.indices, strict=True) if isinstance(i, Index)}
    return frozenset(substitute(c, now) for c in conditions)


def _where_not_zero(value: Expr, known: dict[Tensor, Inside]) -> frozenset[Expr]:
    """What holds wherever a value is not 0."""
    match value:
        case Entry():
            return _of(value, known)
        case Multiply(factors):
            return frozenset[Expr]().union(*(_where_not_zero(f, known) for f in factors))
        case Add(terms):
            return frozenset.intersection(*(_where_not_zero(t, known) for t in terms))
        case Where(_, then, otherwise) if otherwise is ZERO:
            return _where_not_zero(then, known)
    return frozenset()


def _unasked(value: Expr, known: dict[Tensor, Inside]) -> Expr:
    parts: Sequence[Expr] = children(value)
    new = parts if isinstance(value, Entry) else tuple(_unasked(p, known) for p in parts)
    value = value if new == parts else rebuild(value, tuple(new))
    if isinstance(value, Where) and value.otherwise is ZERO:
        asked = value.condition.factors if isinstance(value.condition, Multiply) else (value.condition,)
        if _where_not_zero(value.then, known).issuperset(asked):
            return value.then
    return value


__all__ = ["padding", "unasked"]
