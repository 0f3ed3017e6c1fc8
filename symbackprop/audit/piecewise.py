r"""Values by cases, indicators, and matrices written out: formulas that hold values side by side.

    f'(x) = \begin{cases} 1 & x > 0 \\ 0 & \text{otherwise} \end{cases},   \mathbb{1}[y < 1],   \begin{pmatrix} a & b \end{pmatrix}

A condition is a mask, 1 where it holds and else 0. Main names: `by_cases`, `mask`, `written_matrix`. What the parts of a
formula are is asked of a `Reader`.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from symbackprop.audit.arrays import Algebra, Array, Axis, Misfit, NotRead, scalar
from symbackprop.audit.scope import Reading, Scope
from symbackprop.audit.tree import (
    Anything,
    Cases,
    Chain,
    Condition,
    Group,
    Matrix,
    Node,
    Number,
    Scripts,
    Symbol,
    Text,
    walk,
)
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Expr,
    add,
    kronecker,
    multiply,
    number,
    subtract,
    where,
)

THRESHOLDS = "no quantity lies at a threshold of the cases"
COVERED = "one of the cases holds"
OTHERWISE = ("otherwise", "else")
COMPLEMENTS = {"<": {"≥"}, "≤": {">"}, ">": {"≤"}, "≥": {"<"}, "=": {"≠"}, "≠": {"="}}
NEARLY = {"<": {">", "≥"}, "≤": {"≥"}, ">": {"<", "≤"}, "≥": {"≤"}}  # complements but for the threshold


class Reader(Protocol):
    """What reads the parts of a formula."""

    algebra: Algebra
    reading: Reading
    conditions: dict[str, None]

    def array(self, node: Node, scope: Scope) -> Array:
        """What a formula is."""
        ...

    def equal_indices(self, left: Node, right: Node, scope: Scope) -> Expr:
        """1 where two indices agree."""
        ...

    def index_value(self, item: Node, axis: Axis, scope: Scope) -> Expr:
        """The number that an index is."""
        ...

    def is_index(self, node: Node, scope: Scope) -> bool:
        """True for a letter that numbers entries."""
        ...


def by_cases(reader: Reader, node: Cases, scope: Scope) -> Array:
    """The value of the first case whose condition holds; the last case is what is left.

    Raises:
        NotRead: a condition is not understood, or nothing says that one of the cases holds.
    """
    values = [reader.array(v, scope) for v in node.values]
    if not values or any(c is None for c in node.conditions[:-1]):
        raise NotRead("values by cases without their conditions")
    if not _exhaustive(node.conditions) and scope.claim is not None:
        reader.conditions[COVERED] = None
    masks = [condition_mask(reader, c, scope) for c in node.conditions[:-1] if c is not None]
    found = values[-1]
    for value, held in zip(reversed(values[:-1]), reversed(masks), strict=True):
        found = reader.algebra.each(where, held, value, found)
    return found


def _exhaustive(conditions: Sequence[Condition | None]) -> bool:
    """True if the last condition is what the others leave, a threshold aside."""
    last = conditions[-1]
    if last is None or last.words.strip().lower() in OTHERWISE:
        return True
    chains = [c.parts[0] for c in conditions if c is not None and len(c.parts) == 1]
    match chains:
        case [Chain() as first, Chain() as second]:
            if first.members == second.members and len(first.relations) == len(second.relations) == 1:
                one, two = first.relations[0], second.relations[0]
                return two.sign in COMPLEMENTS.get(one.sign, set()) | NEARLY.get(one.sign, set())
    return False


def condition_mask(reader: Reader, condition: Condition, scope: Scope) -> Array:
    """1 where all parts of a condition hold, entry by entry."""
    if not condition.parts:
        raise NotRead(f"the condition \u201c{condition.words.strip()}\u201d is not understood")
    return reader.algebra.each(multiply, *(mask(reader, part, scope) for part in condition.parts))


def mask(reader: Reader, node: Node, scope: Scope) -> Array:
    """1 where a chain of relations holds, else 0; of arrays, z > 0, entry by entry."""
    if not isinstance(node, Chain) or not node.relations or node.continues:
        raise NotRead("a condition that is no relation")
    steps = zip(node.members, node.relations, node.members[1:], strict=False)
    return reader.algebra.each(multiply, *(_relation(reader, a, r.sign, b, scope) for a, r, b in steps))


def _relation(reader: Reader, left: Node, sign: str, right: Node, scope: Scope) -> Array:
    if reader.is_index(left, scope) or reader.is_index(right, scope):
        return scalar(_between_indices(reader, left, sign, right, scope))
    sides = reader.array(left, scope), reader.array(right, scope)
    return reader.algebra.each(lambda one, two: _compared(one, sign, two, reader.reading.ties), *sides)


def _between_indices(reader: Reader, left: Node, sign: str, right: Node, scope: Scope) -> Expr:
    if sign == "=":
        return reader.equal_indices(left, right, scope)
    if sign == "≠":
        return subtract(ONE, reader.equal_indices(left, right, scope))
    axis = Axis(("compared", id(left), id(right), scope.claim), 1)
    one, two = (reader.index_value(side, axis, scope) for side in (left, right))
    return _compared(one, sign, two, False)


def _compared(left: Expr, sign: str, right: Expr, ties: bool) -> Expr:
    strict: Literal["<", "<="] = "<"
    loose: Literal["<", "<="] = "<=" if not ties else "<"
    match sign:
        case "<":
            return Compare(strict, left, right)
        case ">":
            return Compare(strict, right, left)
        case "≤":
            return Compare(loose, left, right)
        case "≥":
            return Compare(loose, right, left)
        case "=":
            return Compare("==", left, right)
        case "≠":
            return subtract(ONE, Compare("==", left, right))
    raise NotRead(f"the relation {sign} in a condition")


def thresholds_in(node: Anything) -> bool:
    """True if a quantity is compared with another in a condition or an indicator."""
    for inner in walk(node):
        parts = inner.conditions if isinstance(inner, Cases) else (inner,) if isinstance(inner, Group | Scripts) else ()
        for part in parts:
            if part is not None and any(isinstance(n, Chain) and _is_loose(n) for n in walk(part)):
                return True
    return False


def _is_loose(chain: Chain) -> bool:
    return any(r.sign in ("≤", "≥", "<", ">") for r in chain.relations)


def indicator_of(node: Node) -> bool:
    r"""True for the 1 of an indicator: \mathbb{1}, \mathbf{1}, \mathbb{I}, I, and the numeral."""
    if isinstance(node, Number):
        return node.text == "1"
    return isinstance(node, Symbol) and (node.name == "1" or (node.name == "I" and node.font != "bold"))


def subscripted_indicator(node: Scripts) -> Chain | None:
    r"""The chain of 1_{x > 0}, \mathbb{1}_{\{x > 0\}}."""
    if node.below is None or len(node.below.items) != 1 or node.above is not None or not indicator_of(node.base):
        return None
    return relation_in(node.below.items[0])


def relation_in(node: Node) -> Chain | None:
    """A chain of relations, in brackets or without."""
    if isinstance(node, Group) and len(node.items) == 1:
        node = node.items[0]
    return node if isinstance(node, Chain) and node.relations and not node.continues else None


def written_matrix(reader: Reader, node: Matrix, scope: Scope) -> Array:
    """A matrix, a column or a row whose entries are written out.

    Raises:
        NotRead: an entry is left out, or is no number.
    """
    rows = [[cell for cell in row] for row in node.rows if not all(c == Text("") for c in row)]
    if not rows or len({len(row) for row in rows}) != 1:
        raise NotRead("a matrix whose rows are not equally long")
    if any(c == Text("") for row in rows for c in row):
        raise NotRead("a matrix with entries left out")
    cells = [[reader.array(cell, scope) for cell in row] for row in rows]
    if any(c.rank for row in cells for c in row):
        raise NotRead("a matrix of matrices")
    entries = [[c.at() for c in row] for row in cells]
    if node.kind in ("vmatrix", "Vmatrix"):
        return scalar(_determinant(entries))
    column, along = Axis(("written", id(node), 0)), Axis(("written", id(node), 1))
    reader.algebra.lengths.fix(column.key, len(entries))
    reader.algebra.lengths.fix(along.key, len(entries[0]))
    if len(entries) == 1 and len(entries[0]) > 1:
        return Array((along,), lambda j: _chosen(j, entries[0]), True)
    if len(entries[0]) == 1:
        return Array((column,), lambda i: _chosen(i, [row[0] for row in entries]))
    return Array((column, along), lambda i, j: _chosen(i, [_chosen(j, row) for row in entries]))


def _chosen(place: Expr, entries: Sequence[Expr]) -> Expr:
    """The entry at a place."""
    found = entries[-1]
    for k in range(len(entries) - 2, -1, -1):
        found = where(kronecker(place, number(k)), entries[k], found)
    return found


def _determinant(entries: list[list[Expr]]) -> Expr:
    if len(entries) != len(entries[0]):
        raise Misfit("a determinant is one of a square matrix")
    if len(entries) == 1:
        return entries[0][0]
    found: list[Expr] = []
    for k, top in enumerate(entries[0]):
        minor = [[*row[:k], *row[k + 1 :]] for row in entries[1:]]
        term = multiply(top, _determinant(minor))
        found.append(subtract(ZERO, term) if k % 2 else term)
    return add(*found)


__all__ = [
    "THRESHOLDS",
    "by_cases",
    "indicator_of",
    "mask",
    "relation_in",
    "subscripted_indicator",
    "thresholds_in",
    "written_matrix",
]
