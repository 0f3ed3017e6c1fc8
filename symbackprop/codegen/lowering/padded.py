"""Windows that reach beyond their array, where a library fills them with zeros.

    where(0 <= d - 2, dout[n,d - 2], 0)     ->     t[n,d],   t = dout with two zeros in front

A printer whose library pads prints a guarded look-up at `index + number` so, and one at `index + other index` as
windows that slide along the padded axis. What is asked of the index to stay inside need not be asked then.
Main names: `padding`, `unasked`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from symbackprop.codegen.lowering.form import Contract, Form, Gather, Map, Reduce, Statement
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Compare,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Tensor,
    Where,
    add,
    children,
    entries,
    free_indices,
    multiply,
    negate,
    rebuild,
    substitute,
    subtract,
)
from symbackprop.expression.sizes import simplify

Inside = tuple[tuple[Expr, ...], frozenset[Expr]]  # indices, and what must hold of them where an array is not 0


@dataclass(frozen=True)
class Window:
    """One axis of a source, as a look-up sees it.

    Args:
        index: along the axis.
        before: how many zeros are added in front; less than 0: what is cut off.
        after: the same at the end.
        inner: the index inside windows that slide along the axis, if there are such.
        backwards: whether they are read from their end.
    """

    index: Index
    before: Expr
    after: Expr
    inner: Index | None = None
    backwards: bool = False


def padding(gather: Gather) -> list[Window] | None:
    """The axes of the source; None if the look-up is no window, or a slice without any ado."""
    pairs = zip(gather.positions, gather.source.shape, strict=True)
    found = [_window(place, size) for place, size in pairs]
    windows = [w for w in found if w is not None]
    seen = [i for w in windows for i in (w.index, w.inner) if i is not None]
    if len(windows) < len(found) or len(set(seen)) < len(seen):
        return None
    return windows if gather.guarded or any(w.inner for w in windows) else None


def _window(place: Expr, size: Expr) -> Window | None:
    """index + number, or index + inner + number, or index - inner + number."""
    free = sorted(free_indices(place), key=lambda i: (*_longest_first(i.size), i.name))
    if not 1 <= len(free) <= 2 or any(True for _ in entries(place)):
        return None
    slopes = [simplify(subtract(substitute(place, {i: ONE}), substitute(place, {i: ZERO}))) for i in free]
    offset = substitute(place, dict.fromkeys(free, ZERO))
    if slopes[0] is MINUS_ONE and len(free) == 2:
        free, slopes = free[::-1], slopes[::-1]
    linear = add(*(multiply(s, i) for s, i in zip(slopes, free, strict=True)), offset)
    if slopes[0] is not ONE or slopes[-1] not in (ONE, MINUS_ONE) or simplify(subtract(place, linear)) is not ZERO:
        return None
    index, inner = free[0], free[1] if len(free) == 2 else None
    longer = subtract(inner.size, ONE) if inner is not None else ZERO  # how far windows reach beyond the index
    backwards = slopes[-1] is MINUS_ONE
    first, last = (subtract(offset, longer), offset) if backwards else (offset, add(offset, longer))
    after = simplify(subtract(add(index.size, last), size))
    return Window(index, simplify(negate(first)), after, inner, backwards)


def _longest_first(size: Expr) -> tuple[bool, int]:
    """Windows slide along the longer one of two axes, which is that of any length."""
    return (True, -size.value.numerator) if isinstance(size, Number) else (False, 0)


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
            if padding(statement) is None or not statement.guarded:
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
    now: dict[Expr, Expr] = {i: j for i, j in zip(indices, entry.indices, strict=True) if isinstance(i, Index)}
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


__all__ = ["Window", "padding", "unasked"]
