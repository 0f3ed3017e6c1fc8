"""Sums of branches over neighbouring ranges of one index, as a concatenation leaves them, as one table of cases.

    where(j < H, i_bar[n,j], 0) + where(H <= j, f_bar[n,j-H], 0)

is i_bar[n,j] for j < H and f_bar[n,j-H] from H on. Main names: `pieces_of`, `local`, `cases`.
"""

from __future__ import annotations

from dataclasses import dataclass

from symbackprop.expression.build import (
    MINUS_ONE,
    ZERO,
    Add,
    Compare,
    Expr,
    Index,
    Where,
    add,
    free_indices,
    multiply,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.sizes import NO_FACTS, Facts, simplify
from symbackprop.proofs.shortening.collect import plain_indices


@dataclass(frozen=True)
class Piece:
    """A value for start <= index < end."""

    index: Index
    start: Expr
    end: Expr
    value: Expr


def pieces_of(expr: Expr, facts: Facts = NO_FACTS) -> list[Piece] | None:
    """The terms of a sum that each live on a range of one index, in order; None where they do not tile its axis."""
    terms = expr.terms if isinstance(expr, Add) else (expr,)
    found = [_piece(t, facts) for t in terms]
    if len(terms) < 2 or None in found:
        return None
    pending = [p for p in found if p is not None]
    if len({p.index for p in pending}) != 1:
        return None
    rows: list[Piece] = []
    start: Expr = ZERO
    while pending:
        here = next((p for p in pending if _same(facts, p.start, start)), None)
        if here is None:
            return None
        pending.remove(here)
        rows.append(here)
        start = here.end
    return rows if _same(facts, start, rows[0].index.size) else None


def _same(facts: Facts, left: Expr, right: Expr) -> bool:
    return simplify(subtract(left, right), facts) is ZERO


def local(piece: Piece, facts: Facts = NO_FACTS) -> tuple[Index, Expr]:
    """A new index that counts from the start of a piece's range, and the piece's value in it."""
    index = Index(piece.index.name, simplify(subtract(piece.end, piece.start), facts), piece.index.uid)
    if _same(facts, piece.start, ZERO) and index.size is piece.index.size:
        return index, piece.value
    moved = substitute(piece.value, {piece.index: add(index, piece.start)})
    return index, plain_indices(moved, facts)


def cases(pieces: list[Piece], values: list[Expr], facts: Facts = NO_FACTS) -> Expr:
    """Values in the indices of `local`, as one table of cases."""
    shown = [_back(p, v, facts) for p, v in zip(pieces, values, strict=True)]
    out = shown[-1]
    for piece, value in reversed(list(zip(pieces[:-1], shown[:-1], strict=True))):
        out = where(Compare("<", piece.index, simplify(piece.end, facts)), value, out)
    return out


def _back(piece: Piece, value: Expr, facts: Facts) -> Expr:
    index, _ = local(piece, facts)
    return plain_indices(substitute(value, {index: subtract(piece.index, piece.start)}), facts)


def _piece(term: Expr, facts: Facts) -> Piece | None:
    """The index, the range start <= index < end and the value of nested conditions on one index."""
    index: Index | None = None
    start: Expr = ZERO
    end: Expr | None = None
    while isinstance(term, Where):
        condition = term.condition
        if not isinstance(condition, Compare) or condition.relation == "==" or term.otherwise is not ZERO:
            return None
        upper = condition.relation == "<"
        varying, fixed = (condition.left, condition.right) if upper else (condition.right, condition.left)
        free = free_indices(varying)
        if len(free) != 1 or free_indices(fixed) or (index is not None and index not in free):
            return None
        (index,) = free
        rest = simplify(add(varying, multiply(MINUS_ONE, index)), facts)
        if free_indices(rest):
            return None
        bound = simplify(add(fixed, multiply(MINUS_ONE, rest)), facts)
        start, end = (start, bound) if upper else (bound, end)
        term = term.then
    return None if index is None else Piece(index, start, end or index.size, term)
