"""What one round of a loop computes, in the names of another round.

Both passes of a deep model run the same lines round after round. The definitions of two like tensors, followed back
side by side, tell which tensor, size and index of the one round stands for which of the other. Main names:
`counterparts`, `renamed`.
"""

from __future__ import annotations

from collections.abc import Mapping

from symbackprop.expression.build import (
    BINDERS,
    Entry,
    Expr,
    Index,
    Symbol,
    Tensor,
    children,
    mentioned,
    rebound,
    rebuild,
)
from symbackprop.expression.nodes import fresh
from symbackprop.expression.program import Equation
from symbackprop.normal_form.renaming import Rows

MOST_OPENED = 60  # definitions that are followed back

Names = Mapping[Expr | Tensor, Expr | Tensor]


def counterparts(first: Tensor, second: Tensor, lines: Mapping[Tensor, Equation]) -> Names:
    """What stands for what, with the definitions of both tensors followed back as far as they differ in names alone.

    Returns:
        For each node of the first the one of the second; nothing if these two differ already.

    Example:
        >>> from symbackprop.expression.build import Index, Symbol
        >>> n = Symbol("n", "size")
        >>> i, (a, b, c, d) = Index("i", n), (Tensor(name, (n,)) for name in "abcd")
        >>> lines = {a: Equation(a, (i,), Entry(b, (i,))), c: Equation(c, (i,), Entry(d, (i,)))}
        >>> counterparts(a, c, lines)[b].name
        'd'
    """
    left, right = Rows(), Rows()
    waiting, opened = [(first, second)], set[Tensor]()
    while waiting and len(opened) < MOST_OPENED:
        a, b = waiting.pop(0)
        opened.add(a)
        longer = (left.with_more(lines[a].left, lines[a].value), right.with_more(lines[b].left, lines[b].value))
        if longer[0].pattern == longer[1].pattern:
            left, right = longer
            pairs = zip(left.numbers, right.numbers, strict=True)
            waiting = [(a, b) for a, b in pairs if isinstance(a, Tensor) and isinstance(b, Tensor)]
            waiting = [(a, b) for a, b in waiting if a not in opened and a in lines and b in lines]
    names: dict[Expr | Tensor, Expr | Tensor] = dict(zip(left.numbers, right.numbers, strict=True))
    computed = {line.value: tensor for tensor, line in reversed([*lines.items()])}
    for tensor, line in lines.items() if names else ():  # and what is computed from these
        if tensor not in names and mentioned(line.value) <= names.keys():
            value = renamed(line.value, names)
            if value in computed:
                names[tensor] = computed[value]
    return names


def renamed(expr: Expr, names: Names) -> Expr | None:
    """An expression of one round as the other round has it; None if it speaks of what has no counterpart there."""
    known = names.get(expr)
    if isinstance(known, Expr):
        return known
    if isinstance(expr, Entry) and expr.tensor not in names:
        return None
    if isinstance(expr, Index):
        return _renamed_index(expr, names)
    if isinstance(expr, BINDERS):
        index = _renamed_index(expr.index, names)
        index = fresh(index.name, index.size)
        body = renamed(expr.body, {**names, expr.index: index})
        return None if body is None else rebound(expr, index, body)
    parts = [renamed(part, names) for part in children(expr)]
    if any(part is None for part in parts):
        return None
    new = rebuild(expr, tuple(part for part in parts if part is not None))
    other = names.get(new.tensor) if isinstance(new, Entry) else None
    return Entry(other, new.indices) if isinstance(new, Entry) and isinstance(other, Tensor) else new


def _renamed_index(index: Index, names: Names) -> Index:
    """The index over the size of the other round, called after it where it was called after its own."""
    size = renamed(index.size, names)
    if size is None or size is index.size:
        return index
    if isinstance(index.size, Symbol) and isinstance(size, Symbol) and index.name == index.size.name.lower():
        return Index(size.name.lower(), size, index.uid)
    return Index(index.name, size, index.uid)


__all__ = ["Names", "counterparts", "renamed"]
