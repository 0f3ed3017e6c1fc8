"""The pattern of expressions: what is left of them when tensors, sizes, symbols and indices lose their names.

Two pairs of expressions with one pattern are renamings of each other: a bijection of names takes the one to the
other. What holds of a pair for all values, whatever its tensors are called, holds of the other. Layer after layer of a
deep network asks the same question under other names, and need ask it once.

Everything here is a pure renaming: no rule of algebra is used.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from symbackprop.expression.build import (
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Family,
    Index,
    MatrixEntry,
    Number,
    Position,
    Sum,
    Symbol,
    Tensor,
    children,
)

Pattern = tuple[tuple[Any, ...], ...]


def pattern(*expressions: Expr, fixed: Container[Symbol | Tensor] = ()) -> Pattern:
    """Equal for expressions that differ in names alone.

    Every distinct node is a row of its own, with the rows of what is in it: a name that occurs twice is one row.

    Args:
        fixed: tensors and symbols that keep their names, because something is known of them.

    Example:
        >>> from symbackprop.expression.build import add
        >>> n = Symbol("n", "size")
        >>> i, x, y = Index("i", n), Tensor("x", (n,)), Tensor("y", (n,))
        >>> a, b = Entry(x, (i,)), Entry(y, (i,))
        >>> pattern(a, a) == pattern(b, b), pattern(a, a) == pattern(a, b), pattern(a, b) == pattern(b, a)
        (True, False, True)
    """
    rows = Rows(fixed)
    rows.add(*expressions)
    return rows.pattern


class Rows:
    """The pattern of expressions that are looked at one after another.

    Args:
        fixed: as `pattern` has it.
        any_number: whether a number is a row as a name is, whatever its value: then equal patterns are no renamings.
    """

    def __init__(self, fixed: Container[Symbol | Tensor] = (), any_number: bool = False) -> None:
        self.fixed, self.any_number = fixed, any_number
        self.numbers: dict[Any, int] = {}  # of the distinct nodes so far
        self.rows: list[tuple[Any, ...]] = []
        self.top: list[int] = []

    def add(self, *expressions: Expr) -> None:
        """Look at further expressions."""
        self.top += [self.of(e) for e in expressions]

    def with_more(self, *expressions: Expr) -> Rows:
        """These and further expressions, beside what was looked at here."""
        longer = Rows(self.fixed, self.any_number)
        longer.numbers, longer.rows, longer.top = dict(self.numbers), [*self.rows], [*self.top]
        longer.add(*expressions)
        return longer

    @property
    def pattern(self) -> Pattern:
        """The pattern of all expressions so far, in this order."""
        return (*self.rows, tuple(self.top))

    def tensor(self, number: int) -> Tensor | None:
        """The tensor with this number, if it is one."""
        node = next((n for n, k in self.numbers.items() if k == number), None)
        return node if isinstance(node, Tensor) else None

    def of(self, node: Expr | Tensor) -> int:
        """The number of a node, after those of all that is in it."""
        found = self.numbers.get(node)
        if found is None:
            row = self._row(node)
            found = self.numbers[node] = len(self.rows)
            self.rows.append(row)
        return found

    def _row(self, node: Expr | Tensor) -> tuple[Any, ...]:
        if isinstance(node, (Symbol, Tensor)) and node in self.fixed:
            return (node,)
        if isinstance(node, Tensor):
            return (Tensor, node.kind, *map(self.of, node.shape))
        inside = map(self.of, children(node))
        match node:
            case Number() if self.any_number:
                return (Number,)
            case Number(own) | Symbol(_, own):
                return (type(node), own)
            case Index(_, size, _):
                return (Index, self.of(size))
            case Entry(tensor, _):
                return (Entry, self.of(tensor), *inside)
            case Apply(own, _) | Compare(own, _, _):
                return (type(node), own, *inside)
            case Sum(index, _) | Family(index, _):
                return (type(node), self.of(index), *inside)
            case MatrixEntry(kind, _, _):
                return (MatrixEntry, kind, *inside)
            case Extremum(kind, index, _) | Position(kind, index, _):
                return (type(node), kind, self.of(index), *inside)
        return (type(node), *inside)
