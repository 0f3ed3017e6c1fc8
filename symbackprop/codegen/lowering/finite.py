"""Which tensors of a program are finite wherever its inputs are, short of overflow and of sums that are 0.

A mask may be there to hide what is not: `where(c, p*log(w), 0)` must not become `where(c, p, 0)*log(w)`. What divides
by a sum of what is nowhere negative, as a softmax and a norm do, is not thought to be hidden: products of whole arrays
would not hide it either. Main name: `FiniteTensors`.
"""

from __future__ import annotations

from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import (
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Kronecker,
    Multiply,
    Number,
    Power,
    Quotient,
    Remainder,
    Sum,
    Symbol,
    Tensor,
    Where,
    children,
)
from symbackprop.expression.functions import ACTIVATIONS, ATAN, COS, ERF, EXP, FUNCTIONS, SIN
from symbackprop.expression.program import Equation, Program
from symbackprop.normal_form.cut_points import CutPoints

SECONDS = 1.0  # for the signs of what stands under roots and in denominators
EVERYWHERE = (ATAN, COS, ERF, EXP, SIN, FUNCTIONS["abs"], *(FUNCTIONS[name] for name in ACTIVATIONS))


class FiniteTensors:
    """Answers for one program."""

    def __init__(self, program: Program) -> None:
        self.lines = {b.tensor: b for b in program.blocks if isinstance(b, Equation)}
        self.unknown = {t for t in program.tensors if t not in self.lines and t not in program.inputs}
        self.table = CutPoints(program.facts, program.known, seconds=SECONDS)
        for line in self.lines.values():
            self.table.define(line.tensor, line.indices, line.value)
        self.known: dict[Tensor, bool] = {}

    def holds(self, tensor: Tensor) -> bool:
        """True if all entries are known to be finite."""
        if tensor not in self.known:
            line = self.lines.get(tensor)
            self.known[tensor] = tensor not in self.unknown and (line is None or self._value(line.value))
        return self.known[tensor]

    def _value(self, value: Expr) -> bool:
        match value:
            case Entry(tensor, _):
                return self.holds(tensor)
            case Number() | Symbol() | Index() | Quotient() | Remainder() | Compare() | Kronecker():
                return True
            case Power(base, Number(exponent)):
                whole = exponent.denominator == 1 and exponent > 0
                return self._value(base) and (whole or self._is_not_negative(base))
            case Apply(function, arguments):
                return function in EVERYWHERE and all(map(self._value, arguments))
            case Where(_, then, otherwise):
                return self._value(then) and self._value(otherwise)
            case Add() | Multiply() | Sum() | Extremum():
                return all(self._value(part) for part in children(value) if not isinstance(part, Index))
        return False

    def _is_not_negative(self, base: Expr) -> bool:
        try:
            return self.table.nonnegative(self.table.normal(base))
        except SymbackpropError:
            return False


__all__ = ["FiniteTensors"]
