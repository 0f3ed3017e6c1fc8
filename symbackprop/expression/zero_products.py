"""Products with 0 as code computes them: 0 * log(x) has a value only where log(x) has.

`build.multiply` gives 0, as algebra does; of what a user wrote that would hide what it asks for. Such a product is kept
as log(x) - log(x), which is 0 wherever it has a value.
"""

from __future__ import annotations

from collections.abc import Callable

from symbackprop.expression.build import (
    MINUS_ONE,
    ZERO,
    Add,
    Apply,
    Entry,
    Expr,
    Multiply,
    Number,
    Power,
    Symbol,
    Tensor,
    multiply,
    nodes_once,
    power,
    subtract,
)
from symbackprop.expression.functions import OF_POSITIVE
from symbackprop.expression.sympy_bridge import definition

Meaning = Callable[[Entry], Expr | None]  # what an entry stands for; None for that of an input


def _of_inputs(entry: Entry) -> None:
    return None


def multiply_as_written(left: Expr, right: Expr, meaning: Meaning = _of_inputs) -> Expr:
    """left * right, which is 0 only where both have a value.

    Args:
        meaning: of entries that are computed.
    """
    if left is not ZERO and right is not ZERO:
        return multiply(left, right)
    other = right if left is ZERO else left
    return subtract(other, other) if _asks_for_something(other, meaning, set()) else ZERO


def divide_as_written(left: Expr, right: Expr, meaning: Meaning = _of_inputs) -> Expr:
    """left / right, which is 0 only where both have a value."""
    return multiply_as_written(left, power(right, MINUS_ONE), meaning)


def may_lack_values(expr: Expr) -> bool:
    """True if an expression of given numbers, or its derivative, may have no value somewhere, as far as it shows."""
    powers = (n.exponent for n in nodes_once(expr) if isinstance(n, Power))
    return _asks_for_something(expr, _of_inputs, set()) or any(not isinstance(e, Number) for e in powers)


def _asks_for_something(expr: Expr, meaning: Meaning, seen: set[Tensor]) -> bool:
    """True if an expression may have no value somewhere, as far as its parts show."""
    for node in nodes_once(expr):
        match node:
            case Power(base, Number(exponent)) if exponent.denominator != 1 or exponent < 0:
                if not _is_positive(base):
                    return True
            case Apply(function, (argument,)) if function in OF_POSITIVE:
                if not _is_positive(argument):
                    return True
            case Apply(function, _):
                inside = definition(function)
                if inside is not None and any(_is_partial(n) for n in nodes_once(inside)):
                    return True
            case Entry(tensor, _) if tensor not in seen:
                seen.add(tensor)
                inside = meaning(node)
                if inside is not None and _asks_for_something(inside, meaning, seen):
                    return True
    return False


def _is_partial(node: Expr) -> bool:
    """Logarithms and roots; a quotient in the definition of a function (tanh) has no pole."""
    if isinstance(node, Power):
        return not isinstance(node.exponent, Number) or node.exponent.value.denominator != 1
    return isinstance(node, Apply) and node.function in OF_POSITIVE


def _is_positive(expr: Expr) -> bool:
    """True for positive numbers, sizes, and sums and products of them."""
    match expr:
        case Number(value):
            return value > 0
        case Symbol(_, "size"):
            return True
        case Add(parts) | Multiply(parts):
            return all(map(_is_positive, parts))
    return False
