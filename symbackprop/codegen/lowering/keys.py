"""Keys: equal for expressions that are the same array, whatever their indices are called.

This module must not know about statements.
"""

from __future__ import annotations

from symbackprop.expression.build import (
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Multiply,
    Number,
    Position,
    Sum,
    Symbol,
    children,
)

Key = tuple[object, ...]


def key(tag: str, value: Expr, indices: tuple[Index, ...]) -> Key:
    """What `value` is as an array with the axes `indices`.

    Example:
        >>> from symbackprop.expression.build import Tensor
        >>> n = Symbol("n", "size")
        >>> i, j, x = Index("i", n), Index("j", n), Tensor("x", (n,))
        >>> key("map", Entry(x, (i,)), (i,)) == key("map", Entry(x, (j,)), (j,))
        True
    """
    names: dict[Index, object] = {index: position for position, index in enumerate(indices)}
    return (tag, tuple(i.size for i in indices), _structure(value, names, 0))


def _structure(expr: Expr, names: dict[Index, object], depth: int) -> object:
    match expr:
        case Index():
            return ("index", names[expr], expr.size)
        case Number() | Symbol():
            return expr
        case Sum(index, body) | Extremum(_, index, body) | Position(_, index, body):
            kind = "" if isinstance(expr, Sum) else expr.kind
            inner = names | {index: ("bound", depth)}
            return (type(expr), kind, index.size, _structure(body, inner, depth + 1))
    parts = tuple(_structure(c, names, depth) for c in children(expr))
    match expr:
        case Add() | Multiply():  # the order of terms does not matter, how often each occurs does
            return (type(expr), frozenset((part, parts.count(part)) for part in parts))
        case Entry(own, _) | Apply(own, _) | Compare(own, _, _):
            return (type(expr), own, parts)
    return (type(expr), parts)
