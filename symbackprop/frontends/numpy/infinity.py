"""Minus infinity as the value of a masked score, or of a maximum before its first round: it may stand in a branch of
`Where`, and must be gone when it is used.

exp(-inf) = 0, -inf plus a number is -inf, every number is larger, and a maximum passes over it. No equation ever holds
it: what would is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from symbackprop.errors import BudgetError, TraceError, UnsupportedError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Expr,
    Index,
    Multiply,
    Number,
    Position,
    Symbol,
    Where,
    fresh,
    multiply,
    rewrite,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.functions import EXP
from symbackprop.expression.sizes import NO_FACTS, Facts
from symbackprop.normal_form.normal_form import Canonical

MINUS_INFINITY = Symbol("-inf", "real")
DECIDED_SECONDS = 0.5  # for whether a branch is ever taken


def is_infinite(value: Expr) -> bool:
    """True if a branch of `value`, not only something deep inside, is minus infinity."""
    if isinstance(value, Where):
        return is_infinite(value.then) or is_infinite(value.otherwise)
    return value is MINUS_INFINITY


def finite(value: Expr, guard: Expr, facts: Facts) -> Expr:
    """`value` without the branches of minus infinity that are never taken, as a diagonal where i + B is read at i."""
    if not (isinstance(value, Where) and is_infinite(value)):
        return value
    then, otherwise = multiply(guard, value.condition), multiply(guard, subtract(ONE, value.condition))
    try:
        table = Canonical(facts, seconds=DECIDED_SECONDS)
        if table.is_zero(then):
            return finite(value.otherwise, otherwise, facts)
        if table.is_zero(otherwise):
            return finite(value.then, then, facts)
    except (BudgetError, UnsupportedError):
        pass
    return where(value.condition, finite(value.then, then, facts), finite(value.otherwise, otherwise, facts))


def lifted(make: Callable[..., Expr], values: tuple[Expr, ...]) -> Expr:
    """make(values), branch by branch where a branch is minus infinity."""
    for k, value in enumerate(values):
        if isinstance(value, Where) and is_infinite(value):
            before, after = values[:k], values[k + 1 :]
            return where(
                value.condition,
                lifted(make, (*before, value.then, *after)),
                lifted(make, (*before, value.otherwise, *after)),
            )
    result = make(*values)
    if make is where and result in values[1:]:
        return result  # the condition was decided
    return _limit(result) if MINUS_INFINITY in values else result


def _limit(value: Expr) -> Expr:
    """The value of an operation on minus infinity, where it has one."""
    match value:
        case _ if value is MINUS_INFINITY:
            return value
        case Apply(function, (argument,)) if function is EXP and argument is MINUS_INFINITY:
            return ZERO
        case Add(terms) if MINUS_INFINITY in terms:
            return MINUS_INFINITY
        case Multiply(factors) if _positive_multiple(factors):
            return MINUS_INFINITY
        case Where(condition, then, otherwise):
            return where(_settled(condition), then, otherwise)
        case Compare():
            return _settled(value)
    raise TraceError("minus infinity is used in a way that cannot be traced", help="use a finite number such as -1e9")


def _settled(condition: Expr) -> Expr:
    """A condition in which minus infinity is compared with numbers."""

    def meaning(node: Expr) -> Expr | None:
        if not isinstance(node, Compare) or MINUS_INFINITY not in (node.left, node.right):
            return None
        if node.left is node.right:
            return ZERO if node.relation == "<" else ONE
        return ONE if node.left is MINUS_INFINITY and node.relation != "==" else ZERO

    return rewrite(condition, meaning)


def _positive_multiple(factors: tuple[Expr, ...]) -> bool:
    rest = [f for f in factors if f is not MINUS_INFINITY]
    return len(rest) == len(factors) - 1 and all(isinstance(f, Number) and f.value > 0 for f in rest)


def without_infinity(kind: Literal["max", "min"], index: Index, body: Expr) -> Expr:
    """The body of a maximum with its masked entries replaced by one that is not masked.

    That is the first or the last of all, where it is never masked, else the first that is not masked.

    Where all entries are masked NumPy's result is no number, and nothing is claimed about it.
    """
    if kind != "max" or not isinstance(body, Where) or is_infinite(body.then) == is_infinite(body.otherwise):
        return body
    masked = body.then is MINUS_INFINITY
    kept = body.otherwise if masked else body.then
    seen = subtract(ONE, body.condition) if masked else body.condition
    place = fresh(index.name, index.size)
    ends = (end for end in (ZERO, subtract(index.size, ONE)) if _holds(substitute(seen, {index: end})))
    open_place = next(ends, Position("max", place, substitute(seen, {index: place})))
    filler = substitute(kept, {index: open_place})
    return where(body.condition, filler, kept) if masked else where(body.condition, kept, filler)


def _holds(condition: Expr) -> bool:
    """True if a condition is known to be 1, whatever its indices are."""
    try:
        return Canonical(NO_FACTS, seconds=DECIDED_SECONDS).is_zero(subtract(condition, ONE))
    except (BudgetError, UnsupportedError):
        return False
