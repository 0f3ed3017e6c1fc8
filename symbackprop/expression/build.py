"""Expressions in index notation: a handful of frozen, interned nodes and the few functions that make them.

An expression is the value of one entry of a tensor: `Sum(j, W1[i,j] * a1[n,j]) + b1[i]`. Nodes are data: two nodes with
the same contents are the same object, so `is`, `==` and hashing cost nothing. Equality of nodes is equality of
*representation*; equality of meaning is `Canonical.equal`.

SymPy is the language at the boundary (`sympy_bridge`); inside, these nodes replace SymPy's `Sum` and `Indexed`, since
its sums capture indices under `subs` and have no normal form, and since differentiating a deep net with them costs
seconds
where this costs milliseconds (measured in benchmarks/).

A bound index is always fresh: `contraction` and `extremum` take a function of the index, never an index, and
`substitute` renames a binder that would capture. This module must not know about programs, rules or proofs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from operator import attrgetter
from typing import Any, Literal

from symbackprop.expression.functions import Function
from symbackprop.expression.nodes import (
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Family,
    Index,
    Kronecker,
    MatrixEntry,
    Multiply,
    Number,
    Partial,
    Position,
    Power,
    Quotient,
    Remainder,
    Sum,
    Symbol,
    SymmetricTensor,
    Tensor,
    Total,
    Where,
    alike,
    fresh,
)

Binder = Sum | Extremum | Position | Family
BINDERS = (Sum, Extremum, Position, Family)
MatrixKind = Literal["inverse", "cholesky", "determinant", "logdet"]


def number(value: int | Fraction) -> Number:
    """The node of an exact number."""
    return Number(Fraction(value))


ZERO, ONE, MINUS_ONE = number(0), number(1), number(-1)


def add(*terms: Expr) -> Expr:
    """The sum, flattened, with its numbers gathered and zeros dropped."""
    constant, rest = Fraction(0), []
    for term in _flatten(Add, terms):
        if isinstance(term, Number):
            constant += term.value
        else:
            rest.append(term)
    if constant:
        rest.append(number(constant))
    return rest[0] if len(rest) == 1 else Add(tuple(rest)) if rest else ZERO


def multiply(*factors: Expr) -> Expr:
    """The product, flattened, with its numbers gathered in front and ones dropped; 0 if a factor is 0."""
    constant, rest = Fraction(1), []
    for factor in _flatten(Multiply, factors):
        if isinstance(factor, Number):
            constant *= factor.value
        else:
            rest.append(factor)
    if constant == 0:
        return ZERO
    if constant != 1 or not rest:
        rest.insert(0, number(constant))
    return rest[0] if len(rest) == 1 else Multiply(tuple(rest))


def _flatten(kind: type[Add] | type[Multiply], nodes: Iterable[Expr]) -> Iterable[Expr]:
    for node in nodes:
        if isinstance(node, kind):
            yield from node.terms if isinstance(node, Add) else node.factors
        else:
            yield node


def factors_of(expr: Expr) -> tuple[Expr, ...]:
    """The factors of a product; of anything else itself."""
    return expr.factors if isinstance(expr, Multiply) else (expr,)


def negate(expr: Expr) -> Expr:
    """-expr."""
    return multiply(MINUS_ONE, expr)


def subtract(left: Expr, right: Expr) -> Expr:
    """left - right."""
    return add(left, negate(right))


def divide(left: Expr, right: Expr) -> Expr:
    """left / right."""
    return multiply(left, power(right, MINUS_ONE))


LONGEST_NUMBER = 65_536  # bits


def is_short(base: Fraction | int, exponent: Fraction | int) -> bool:
    """True if base ** exponent can be written out: a slip of a hand must not make a number of a million digits."""
    bits = max((abs(n) - 1).bit_length() for n in base.as_integer_ratio())
    return bits == 0 or -LONGEST_NUMBER <= bits * exponent <= LONGEST_NUMBER


def power(base: Expr, exponent: Expr | int | Fraction) -> Expr:
    """base ** exponent, exact for numbers with an integer exponent, unless that has thousands of digits."""
    e = number(exponent) if isinstance(exponent, (int, Fraction)) else exponent
    if e is ONE:
        return base
    if e is ZERO:
        return ONE
    if base is ONE:
        return ONE
    if (
        isinstance(base, Number)
        and isinstance(e, Number)
        and e.value.denominator == 1
        and (base.value or e.value > 0)
        and is_short(base.value, e.value)
    ):
        return number(base.value**e.value.numerator)
    if (
        isinstance(base, Multiply)
        and isinstance(e, Number)
        and e.value.denominator == 1
        and isinstance(base.factors[0], Number)
    ):
        return multiply(power(base.factors[0], e), power(multiply(*base.factors[1:]), e))
    if isinstance(base, Power) and isinstance(e, Number) and e.value.denominator == 1:
        inner = base.exponent
        if isinstance(inner, Number) and _asks_for_as_much(inner.value, inner.value * e.value):
            return power(base.base, number(inner.value * e.value))
    return Power(base, e)


def _asks_for_as_much(inner: Fraction, outer: Fraction) -> bool:
    """True if x**outer has a value only where x**inner has: sqrt(x)**2 is not written x, which has one everywhere."""
    root = inner.denominator == 1 or outer.denominator != 1
    return root and (inner >= 0 or outer < 0)


def contraction(name: str, size: Expr, body: Callable[[Index], Expr]) -> Expr:
    """sum over a fresh index of `body(index)`: the only way to write a sum, so no index can be captured."""
    index = fresh(name, size)
    return close_sum(index, body(index))


def close_sum(index: Index, body: Expr) -> Expr:
    """Sum `body` over a fresh index; a body of 0 sums to 0."""
    return ZERO if body is ZERO else Sum(index, body)


def extremum(kind: Literal["max", "min"], name: str, size: Expr, body: Callable[[Index], Expr]) -> Expr:
    """The extremum over a fresh index of `body(index)`."""
    index = fresh(name, size)
    return Extremum(kind, index, body(index))


def matrix_entry(
    kind: MatrixKind, size: Expr, entry: Callable[[Expr, Expr], Expr], places: tuple[Expr, ...] = ()
) -> MatrixEntry:
    """What is made of the square matrix whose entry at row r and column c is `entry(r, c)`; see `MatrixEntry`."""
    row, column = fresh("r", size), fresh("c", size)
    return MatrixEntry(kind, Family(row, Family(column, entry(row, column))), places)


def open_matrix(expr: MatrixEntry) -> tuple[Index, Index, Expr]:
    """Fresh indices for the rows and the columns of a matrix, and its entry in them."""
    row, inner = open_binder(expr.matrix)
    assert isinstance(inner, Family), "a matrix is a family of rows, each a family of entries"
    column, entry = open_binder(inner)
    return row, column, entry


def kronecker(left: Expr, right: Expr) -> Expr:
    """1 if left equals right, else 0; decided at once where the two are the same node or two numbers."""
    if left is right:
        return ONE
    if isinstance(left, Number) and isinstance(right, Number):
        return ZERO
    return Kronecker(left, right)


def where(condition: Expr, then: Expr, otherwise: Expr) -> Expr:
    """`then` if the condition is 1, else `otherwise`."""
    if condition is ONE or then is otherwise:
        return then
    return otherwise if condition is ZERO else Where(condition, then, otherwise)


def apply(function: Function, *arguments: Expr) -> Expr:
    """function(arguments)."""
    return Apply(function, arguments)


_CHILDREN: dict[type[Expr], Callable[[Any], tuple[Expr, ...]]] = {
    Entry: attrgetter("indices"),
    Add: attrgetter("terms"),
    Multiply: attrgetter("factors"),
    Apply: attrgetter("arguments"),
    Power: attrgetter("base", "exponent"),
    Where: attrgetter("condition", "then", "otherwise"),
    Partial: attrgetter("expression", "variable"),
    Total: attrgetter("cost", "variable"),
    MatrixEntry: lambda node: (node.matrix, *node.places),
    **{kind: attrgetter("left", "right") for kind in (Kronecker, Compare, Quotient, Remainder)},
    **{kind: lambda binder: (binder.body,) for kind in BINDERS},
    **{kind: lambda leaf: () for kind in (Number, Symbol, Index)},
}


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside `expr`; the bound index of a binder is not one of them."""
    return _CHILDREN[type(expr)](expr)  # a table: no other function is called as often


def rebuild(expr: Expr, parts: tuple[Expr, ...]) -> Expr:
    """`expr` with its children replaced, through the constructors."""
    match expr:
        case Entry(tensor, _):
            return Entry(tensor, parts)
        case Add():
            return add(*parts)
        case Multiply():
            return multiply(*parts)
        case Power():
            return power(*parts)
        case Apply(function, _):
            return Apply(function, parts)
        case Kronecker():
            return kronecker(*parts)
        case Compare(relation, _, _):
            return Compare(relation, *parts)
        case Where():
            return where(*parts)
        case Quotient() | Remainder():
            return type(expr)(*parts)
        case Partial() | Total():
            assert isinstance(parts[1], Entry), "a derivative is taken with respect to an entry"
            return type(expr)(parts[0], parts[1])  # type: ignore[arg-type]
        case Sum() | Extremum() | Position() | Family():
            return rebound(expr, expr.index, parts[0])
        case MatrixEntry(kind, _, _):
            assert isinstance(parts[0], Family), "a matrix is a family of rows"
            return MatrixEntry(kind, parts[0], parts[1:])
    return expr


def rebound(binder: Binder, index: Index, body: Expr) -> Expr:
    """The same kind of binder over another index and body."""
    match binder:
        case Sum():
            return close_sum(index, body)
        case Family():
            return Family(index, body)
    return type(binder)(binder.kind, index, body)


_FREE: dict[Expr, frozenset[Index]] = {}


def free_indices(expr: Expr) -> frozenset[Index]:
    """The indices of `expr` that no binder inside it binds."""
    known = _FREE.get(expr)
    if known is None:
        if isinstance(expr, Index):
            known = frozenset([expr])
        else:
            known = frozenset().union(*(free_indices(c) for c in children(expr)))
            if isinstance(expr, BINDERS):
                known -= {expr.index}
        _FREE[expr] = known
    return known


def substitute(expr: Expr, replacements: Mapping[Expr, Expr]) -> Expr:
    """Replace nodes (indices, symbols, entries) at once; a binder that would capture is renamed.

    Example:
        >>> n = Symbol("n", "size")
        >>> i, x = Index("i", n), Tensor("x", (n,))
        >>> s = contraction("j", n, lambda j: multiply(Entry(x, (j,)), Entry(x, (i,))))
        >>> captured = substitute(s, {i: s.index})
        >>> captured.index is s.index
        False
    """
    if not replacements:
        return expr
    incoming = frozenset().union(*(free_indices(v) for v in replacements.values()))
    return _Substitution(dict(replacements), incoming).run(expr)


class _Substitution:
    """One simultaneous replacement, with a memo so that shared parts are visited once."""

    def __init__(self, table: dict[Expr, Expr], incoming: frozenset[Index]) -> None:
        self.table, self.incoming = table, incoming
        self.memo: dict[Expr, Expr] = {}

    def run(self, expr: Expr) -> Expr:
        if expr in self.table:
            return self.table[expr]
        done = self.memo.get(expr)
        if done is None:
            done = self.memo[expr] = self._binder(expr) if isinstance(expr, BINDERS) else self._plain(expr)
        return done

    def _plain(self, expr: Expr) -> Expr:
        parts = children(expr)
        new = tuple(self.run(p) for p in parts)
        return expr if new == parts else rebuild(expr, new)

    def _binder(self, expr: Binder) -> Expr:
        index, body = expr.index, expr.body
        size = self.run(index.size)
        if index in self.table or index in self.incoming or size is not index.size:
            renamed = fresh(index.name, size)
            inner = {k: v for k, v in self.table.items() if k is not index} | {index: renamed}
            body = substitute(body, inner)
            index = renamed
        else:
            body = self.run(body)
        return rebound(expr, index, body)


def rewrite(expr: Expr, meaning: Callable[[Expr], Expr | None]) -> Expr:
    """Replace nodes from the outside in; a replacement is not looked into again.

    Unlike `substitute`, a replacement may speak of the indices bound around it: W1[i,j] inside a sum over j may become
    anything about that j.
    """
    new = meaning(expr)
    if new is not None:
        return new
    if isinstance(expr, (Partial, Total)):
        return expr  # what a derivative is taken of and by are names, not values
    parts = children(expr)
    changed = tuple(rewrite(p, meaning) for p in parts)
    return expr if changed == parts else rebuild(expr, changed)


def open_binder(expr: Binder) -> tuple[Index, Expr]:
    """A fresh index and the body of `expr` in it."""
    index = fresh(expr.index.name, expr.index.size)
    return index, substitute(expr.body, {expr.index: index})


def entries(expr: Expr) -> Iterable[Entry]:
    """All entries inside `expr`, in order, each as often as it occurs."""
    if isinstance(expr, Entry):
        yield expr
    for child in children(expr):
        yield from entries(child)


def nodes_once(expr: Expr) -> Iterable[Expr]:
    """The nodes of `expr` in order, each once, however often it is shared: the time is that of the distinct nodes."""
    seen: set[Expr] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            yield node
            stack.extend(reversed(children(node)))


def entries_once(expr: Expr) -> Iterable[Entry]:
    """The distinct entries inside `expr`, in order."""
    return (node for node in nodes_once(expr) if isinstance(node, Entry))


__all__ = [
    "BINDERS",
    "MINUS_ONE",
    "ONE",
    "ZERO",
    "Add",
    "Apply",
    "Binder",
    "Compare",
    "Entry",
    "Expr",
    "Extremum",
    "Family",
    "Index",
    "Kronecker",
    "MatrixEntry",
    "MatrixKind",
    "Multiply",
    "Number",
    "Partial",
    "Position",
    "Power",
    "Quotient",
    "Remainder",
    "Sum",
    "Symbol",
    "SymmetricTensor",
    "Tensor",
    "Total",
    "Where",
    "add",
    "alike",
    "apply",
    "children",
    "close_sum",
    "contraction",
    "divide",
    "entries",
    "entries_once",
    "extremum",
    "free_indices",
    "fresh",
    "kronecker",
    "matrix_entry",
    "multiply",
    "negate",
    "nodes_once",
    "number",
    "open_binder",
    "open_matrix",
    "power",
    "rebound",
    "rebuild",
    "rewrite",
    "substitute",
    "subtract",
    "where",
]


_TENSORS: dict[Expr, frozenset[Tensor]] = {}


def tensors_in(expr: Expr) -> frozenset[Tensor]:
    """The tensors whose entries occur in `expr` as values, not as indices."""
    known = _TENSORS.get(expr)
    if known is None:
        own: frozenset[Tensor] = frozenset([expr.tensor]) if isinstance(expr, Entry) else frozenset()
        parts = () if isinstance(expr, Entry) else children(expr)
        known = _TENSORS[expr] = own.union(*(tensors_in(c) for c in parts))
    return known


_MENTIONED: dict[Expr, frozenset[Tensor]] = {}


def mentioned(expr: Expr) -> frozenset[Tensor]:
    """Every tensor inside, those that stand in an index included."""
    known = _MENTIONED.get(expr)
    if known is None:
        known = frozenset[Tensor]().union(*(mentioned(c) for c in children(expr)))
        if isinstance(expr, Entry):
            known |= {expr.tensor}
        _MENTIONED[expr] = known
    return known


def sum_over(indices: Iterable[Index], body: Expr) -> Expr:
    """The sum of `body` over each of these indices, which become bound; the first is the outermost."""
    for index in reversed(tuple(indices)):
        body = close_sum(index, body)
    return body
