"""What the printers decide alike: the sign of a term, what goes under a fraction bar, the names of bound indices.

An expression keeps the order in which it was made; readers expect `1 - a` where the node is `-1*a + 1`. Such
decisions are made here once, for plain text and for mathematics. Nothing here changes the value of what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from symbackprop.expression.build import (
    BINDERS,
    MINUS_ONE,
    ONE,
    Entry,
    Expr,
    Family,
    Index,
    MatrixEntry,
    Multiply,
    Number,
    Power,
    Sum,
    Symbol,
    children,
    close_sum,
    free_indices,
    multiply,
    number,
    power,
)


def signed(expr: Expr) -> tuple[bool, Expr]:
    """Whether a minus sign stands in front of `expr`, and `expr` without it.

    Example:
        >>> signed(number(-3))
        (True, Number(value=Fraction(3, 1)))
    """
    leading = expr.factors[0] if isinstance(expr, Multiply) else expr
    if isinstance(leading, Number) and leading.value < 0:
        inside, rest = signed(multiply(MINUS_ONE, expr))  # -(-x) is read as x
        return not inside, rest
    factors = expr.factors if isinstance(expr, Multiply) else (expr,)
    for place, factor in enumerate(factors):
        if isinstance(factor, Sum) and signed(factor.body)[0]:  # sum(j, -x) is read as -sum(j, x)
            flipped = close_sum(factor.index, signed(factor.body)[1])
            return True, multiply(*factors[:place], flipped, *factors[place + 1 :])
    return False, expr


def ordered_terms(terms: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """The terms of a sum, led by one without a minus sign if there is one: `1 - a`, not `-a + 1`.

    A leading sum keeps its place: a cost -1/m sum(...) + penalty is read in that order.
    """
    if _binds(terms[0]):
        return terms
    for place, term in enumerate(terms):
        if not signed(term)[0]:
            return (term, *terms[:place], *terms[place + 1 :])
    return terms


def _binds(term: Expr) -> bool:
    """True for a sum or a product that has a sum among its factors."""
    return isinstance(term, BINDERS) or (
        isinstance(term, Multiply) and any(isinstance(f, BINDERS) for f in term.factors)
    )


def whole_matrix(expr: MatrixEntry) -> tuple[Entry | MatrixEntry, bool] | None:
    """What has the matrix as a whole, and whether it is turned over.

    That is an entry T[..., r, c] or T[..., c, r] whose other places are free of both, or an entry of an inverse or a
    factor at the row and the column; None for a matrix that is made entry by entry.
    """
    row, inner = expr.matrix.index, expr.matrix.body
    if not isinstance(inner, Family) or not isinstance(inner.body, Entry | MatrixEntry):
        return None
    body, pair = inner.body, (row, inner.index)
    if isinstance(body, MatrixEntry):
        free = free_indices(body.matrix) & set(pair)
        return None if free or body.places not in (pair, pair[::-1]) else (body, body.places != pair)
    outer, places = body.indices[:-2], body.indices[-2:]
    free = frozenset().union(*(free_indices(i) for i in outer)) & set(pair)
    return None if free or places not in (pair, pair[::-1]) else (body, places != pair)


def over_and_under(expr: Expr) -> tuple[tuple[Expr, ...], tuple[Expr, ...]]:
    """The factors above and below the fraction bar; a number such as 3/2 gives one to each side."""
    over: list[Expr] = []
    under: list[Expr] = []
    for factor in expr.factors if isinstance(expr, Multiply) else (expr,):
        if isinstance(factor, Number):
            over += [number(factor.value.numerator)] if factor.value.numerator != 1 else []
            under += [number(factor.value.denominator)] if factor.value.denominator != 1 else []
        elif isinstance(factor, Power) and signed(factor.exponent)[0]:
            under.append(power(factor.base, signed(factor.exponent)[1]))
        else:
            over.append(factor)
    return tuple(over) or (ONE,), tuple(under)


def is_root(expr: Expr) -> bool:
    """True for a square root."""
    return isinstance(expr, Power) and isinstance(expr.exponent, Number) and expr.exponent.value == Fraction(1, 2)


@dataclass(frozen=True)
class IndexNames:
    """The names of the indices at one place of an expression; no two are alike.

    Args:
        names: how each index in sight is shown.
        taken: further names that a bound index must not take: those of the symbols around.
        another: a name's variant number 1, 2, ...: j' or j_1.
        rename: names that the notation replaces.
    """

    names: Mapping[Index, str]
    taken: frozenset[str]
    another: Callable[[str, int], str]
    rename: Mapping[str, str]

    def enter(self, index: Index) -> IndexNames:
        """The scope inside a binder of `index`: its own name, or a variant if that one is in use."""
        used = self.taken | set(self.names.values())
        wanted = name = self.rename.get(index.name, index.name)
        attempt = 0
        while name in used:
            attempt += 1
            name = self.another(wanted, attempt)
        return IndexNames({**self.names, index: name}, self.taken, self.another, self.rename)


def scope_of(expr: Expr, another: Callable[[str, int], str], rename: Mapping[str, str] | None = None) -> IndexNames:
    """The scope of a whole expression: its free indices, in the order of their names and numbers."""
    scope = IndexNames({}, _symbol_names(expr), another, rename or {})
    for index in sorted(free_indices(expr), key=lambda i: (i.uid, i.name)):
        scope = scope.enter(index)
    return scope


def _symbol_names(expr: Expr) -> frozenset[str]:
    """The names of the symbols inside `expr`; shared parts are visited once."""
    seen: set[Expr] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(children(node))
    return frozenset(node.name for node in seen if isinstance(node, Symbol))
