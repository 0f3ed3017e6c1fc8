"""Slopes of a branch that is not taken: they may be infinite, and then zero times one of them is not zero.

    where(c, g, 0)*s             ->  where(c, g*s, 0)
    d*s, where d is where(c, g, 0)   ->  where(c, d*s, 0)

The two are the same function wherever s is a number. where(x > 0, sqrt(x), 0) has the slope 0 at x <= 0, though that of
the root is infinite or none there. Main name: `masked_slopes`.
"""

from __future__ import annotations

from dataclasses import replace

from symbackprop.expression.build import (
    ZERO,
    Apply,
    Entry,
    Expr,
    Index,
    MatrixEntry,
    Multiply,
    Number,
    Power,
    Sum,
    Symbol,
    Where,
    children,
    entries,
    free_indices,
    multiply,
    rebuild,
    substitute,
    where,
)
from symbackprop.expression.program import Program

_FINITE = ("sigmoid", "tanh", "sin", "cos", "erf", "relu", "abs", "step")  # functions that are finite everywhere


def masked_slopes(program: Program) -> Program:
    """The same functions; what a zero would multiply where it may be infinite is chosen away instead.

    Example:
        >>> from symbackprop.expression.build import Compare, Symbol, Tensor, power
        >>> from symbackprop.expression.program import Equation
        >>> N = Symbol("N", "size")
        >>> i, x, y = Index("i", N), Tensor("x", (N,)), Tensor("y", (N,))
        >>> a = Entry(x, (i,))
        >>> slope = multiply(where(Compare("<", ZERO, a), a, ZERO), power(a, -1))
        >>> isinstance(masked_slopes(Program((x,), (Equation(y, (i,), slope),), (y,))).equations[0].value, Where)
        True
    """
    if not any(_has_where(e.value) for e in program.equations):
        return program
    masks = _Masks(program)
    return replace(program, equations=tuple(replace(e, value=masks.rewritten(e.value)) for e in program.equations))


def _has_where(expr: Expr) -> bool:
    return isinstance(expr, Where) or any(map(_has_where, children(expr)))


class _Masks:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.known: dict[object, bool] = {}  # tensors that may be infinite

    def rewritten(self, expr: Expr, summed: bool = False) -> Expr:
        """`expr` with its products masked; inside a sum a factor with further indices stays what it is, a factor."""
        parts = children(expr)
        new = tuple(self.rewritten(p, summed or isinstance(expr, Sum)) for p in parts)
        expr = expr if new == parts else rebuild(expr, new)
        if not isinstance(expr, Multiply):
            return expr
        for position, factor in enumerate(expr.factors):
            mask = self._mask(factor)
            if mask is None:
                continue
            others = [*expr.factors[:position], *expr.factors[position + 1 :]]
            inside = [o for o in others if self.may_be_infinite(o)]
            inside = [o for o in inside if not summed or free_indices(o) <= free_indices(factor)]
            if not inside:
                continue
            condition, is_then = mask
            outside = [o for o in others if all(o is not i for i in inside)]
            if isinstance(factor, Where):
                factor = factor.then if is_then else factor.otherwise
            value = multiply(factor, *inside)
            chosen = where(condition, value, ZERO) if is_then else where(condition, ZERO, value)
            return self.rewritten(multiply(*outside, chosen), summed) if outside else chosen
        return expr

    def _mask(self, expr: Expr) -> tuple[Expr, bool] | None:
        """(a condition, which of its answers it is without which `expr` is 0); None if there is none."""
        match expr:
            case Where(condition, _, otherwise) if otherwise is ZERO:
                return condition, True
            case Where(condition, then, _) if then is ZERO:
                return condition, False
            case Multiply(factors):
                return next((m for m in map(self._mask, factors) if m is not None), None)
            case Entry(tensor, indices) if tensor in self.program.by_tensor:
                equation = self.program.by_tensor[tensor]
                if any(e.tensor is tensor for e in entries(equation.value)):
                    return None
                found = self._mask(equation.value)
                if found is None or not free_indices(found[0]) <= set(equation.indices):
                    return None
                table: dict[Expr, Expr] = dict(zip(equation.indices, indices, strict=True))
                return substitute(found[0], table), found[1]
        return None

    def may_be_infinite(self, expr: Expr) -> bool:
        """True unless the value is finite wherever the inputs are."""
        match expr:
            case Number() | Symbol() | Index():
                return False
            case Entry(tensor, _):
                if tensor not in self.program.by_tensor:
                    return False
                if tensor not in self.known:
                    self.known[tensor] = False  # of a recurrence: decided by the rest of it
                    self.known[tensor] = self.may_be_infinite(self.program.by_tensor[tensor].value)
                return self.known[tensor]
            case Power(base, exponent):
                whole = isinstance(exponent, Number) and exponent.value > 0 and exponent.value.denominator == 1
                return self.may_be_infinite(base) if whole else bool(free_indices(base))
            case Apply(function, arguments):
                return function.name not in _FINITE or any(map(self.may_be_infinite, arguments))
            case MatrixEntry():
                return True
        return any(map(self.may_be_infinite, children(expr)))
