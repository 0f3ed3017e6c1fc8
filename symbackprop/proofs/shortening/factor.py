"""Expressions as one writes them by hand: common factors in front, factors and terms in a reading order.

Main names: `gathered`, `in_reading_order`, `size_of`. Nothing here changes the value of an expression.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from symbackprop.expression.build import (
    BINDERS,
    ONE,
    Add,
    Apply,
    Entry,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Number,
    Power,
    Sum,
    Symbol,
    add,
    children,
    close_sum,
    entries_once,
    multiply,
    nodes_once,
    number,
    open_binder,
    power,
)
from symbackprop.proofs.shortening.relations import by_value
from symbackprop.proofs.shortening.unit_axes import factored

_RANKS = (Number, Symbol, Kronecker, Entry, Apply, Add, Sum)  # what stands before what in a product
_SLOPE = 6


def size_of(expr: Expr) -> int:
    """How much there is to read: entries, symbols, operations; the indices of an entry count only if computed."""
    if isinstance(expr, Entry):
        return 2 + sum(not isinstance(i, Index | Number) for i in expr.indices)
    own = 2 if isinstance(expr, BINDERS) else 0 if isinstance(expr, Number) and abs(expr.value) == 1 else 1
    if isinstance(expr, Apply) and by_value(expr.function) is not None:
        own = _SLOPE  # the slope of a function whose values are known already
    return own + sum(size_of(c) for c in children(expr))


def _weight(term: Expr) -> int:
    """Terms without a sum first, then shorter sums before longer ones."""
    return size_of(term) if any(isinstance(n, Sum) for n in nodes_once(term)) else 0


def in_reading_order(expr: Expr, original: Expr) -> Expr:
    """Factors in the order in which `original` has them, sums last; terms with a sum after those without."""
    places = {e.tensor: k for k, e in reversed(list(enumerate(entries_once(original))))}

    def rank(factor: Expr) -> tuple[int, int]:
        base, _ = _base(factor)
        kind = next((k for k, types in enumerate(_RANKS) if isinstance(base, types)), len(_RANKS))
        return kind, places.get(base.tensor, -1) if isinstance(base, Entry) else 0

    def visit(node: Expr) -> Expr:
        if isinstance(node, Sum):
            return close_sum(node.index, visit(node.body))
        if isinstance(node, Power):
            return power(visit(node.base), node.exponent)
        if isinstance(node, Multiply):
            return multiply(*sorted((visit(f) for f in node.factors), key=rank))
        if isinstance(node, Add):
            return add(*sorted((visit(t) for t in node.terms), key=_weight))
        return node

    return visit(expr)


def gathered(expr: Expr) -> Expr:
    """`expr` with what all terms of a sum have in common in front of it; inner sums first.

    Example:
        >>> from symbackprop.expression.build import Symbol
        >>> a, b, c = (Symbol(s) for s in "abc")
        >>> gathered(add(multiply(a, b), multiply(a, c))) is multiply(a, add(b, c))
        True
    """
    match expr:
        case Sum():
            index, body = open_binder(expr)
            return factored(close_sum(index, gathered(body)))
        case Multiply(factors):
            return multiply(*(gathered(f) for f in factors))
        case Power(base, exponent):
            return power(gathered(base), exponent)
        case Add(terms):
            return _common_in_front(tuple(gathered(t) for t in terms))
    return expr


def _common_in_front(terms: tuple[Expr, ...]) -> Expr:
    tables = [_exponents(t) for t in terms]
    common: dict[Expr, Fraction] = {}
    for base in tables[0]:
        least = [t.get(base, Fraction(0)) for t in tables]
        if all(e > 0 for e in least):
            common[base] = min(least)
        elif all(e < 0 for e in least):
            common[base] = max(least)
    content = _content([_coefficient(t) for t in terms])
    if not common and content == 1:
        return add(*terms)
    rest = add(*(_cancelled(t, common, content) for t in terms))
    return multiply(number(content), *(power(b, e) for b, e in common.items()), rest)


def _cancelled(term: Expr, common: Mapping[Expr, Fraction], content: Fraction) -> Expr:
    factors = []
    left = dict(common)
    for factor in term.factors if isinstance(term, Multiply) else (term,):
        base, exponent = _base(factor)
        if base in left:
            exponent -= left.pop(base)
            factors.append(power(base, exponent) if exponent else ONE)
        else:
            factors.append(factor)
    return multiply(number(1 / content), *factors)


def _base(factor: Expr) -> tuple[Expr, Fraction]:
    if isinstance(factor, Power) and isinstance(factor.exponent, Number):
        return factor.base, factor.exponent.value
    return factor, Fraction(1)


def _exponents(term: Expr) -> dict[Expr, Fraction]:
    factors = term.factors if isinstance(term, Multiply) else (term,)
    return dict(_base(f) for f in factors if not isinstance(f, Number | Sum))


def _coefficient(term: Expr) -> Fraction:
    leading = term.factors[0] if isinstance(term, Multiply) else term
    return leading.value if isinstance(leading, Number) else Fraction(1)


def _content(coefficients: list[Fraction]) -> Fraction:
    """The size that all coefficients have, -1 times it if all are negative; 1 where they differ."""
    sizes = {abs(c) for c in coefficients}
    if len(sizes) != 1:
        return Fraction(1)
    (size,) = sizes
    return -size if all(c < 0 for c in coefficients) else size
