"""Expressions in C: entries as places in row-major arrays, numbers of the type that is used.

Main name: `CWriter`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from symbackprop.codegen.names import Names
from symbackprop.codegen.numpy.expressions import over_and_under
from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import (
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Number,
    Power,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    Where,
    negate,
)

FUNCTION = {"exp": "EXP", "log": "LOG", "sin": "SIN", "cos": "COS", "erf": "ERF", "tanh": "TANH", "abs": "ABS"}
FUNCTION |= {"expm1": "EXPM1", "log1p": "LOG1P"}
FUNCTION |= {"sigmoid": "sigmoid", "tail": "tail", "relu": "relu", "finite_exp": "finite_exp"}
FUNCTION |= {"tanh_beside": "tanh_beside"}


@dataclass
class CWriter:
    """Expressions and loops in C.

    Args:
        single: numbers are floats.
        local: tensors that are a local variable of the innermost loop.
        into: sums that are added to another tensor's array.
    """

    names: Names
    single: bool
    shapes: Mapping[Tensor, tuple[Expr, ...]]
    local: set[Tensor] = field(default_factory=set)
    into: dict[Tensor, Tensor] = field(default_factory=dict)
    rows: Symbol | None = None
    loops: dict[Index, int] = field(default_factory=dict)

    def index(self, index: Index) -> str:
        """The C variable of an index, numbered as they come: the same program has the same text, compiled once."""
        number = self.loops.setdefault(index, len(self.loops) + 1)
        return f"i{number}_{''.join(c for c in index.name if c.isalnum())}"

    def number(self, value: float) -> str:
        """A constant of the number type."""
        return f"{value!r}{'f' if self.single else ''}"

    def integer(self, expr: Expr) -> str:
        """An integer expression: a size, a position."""
        match expr:
            case Number(value):
                return str(value.numerator)
            case Symbol():
                return self.names[expr]
            case Index():
                return self.index(expr)
            case Entry():
                return self.entry(expr)
            case Add(terms):
                return f"({' + '.join(map(self.integer, terms))})"
            case Multiply(factors):
                return f"({' * '.join(map(self.integer, factors))})"
            case Quotient(left, right):
                return f"floor_div({self.integer(left)}, {self.integer(right)})"
            case Remainder(left, right):
                return f"floor_mod({self.integer(left)}, {self.integer(right)})"
        raise UnsupportedError(f"{type(expr).__name__} as a position has no C form")

    def guarded(self, entry: Entry) -> str:
        """An entry, or 0 where a position lies outside the array."""
        pairs = zip(entry.indices, entry.tensor.shape, strict=True)
        asked = [(p, n) for p, n in pairs if not (isinstance(p, Index) and p.size is n)]
        inside = [f"(unsigned long){self.integer(p)} < {self.extent(n)}" for p, n in asked]
        return f"{' && '.join(inside)} ? {self.entry(entry)} : 0" if inside else self.entry(entry)

    def entry(self, entry: Entry) -> str:
        """An entry as a place in its row-major array, or as the local variable that holds it."""
        tensor = self.into.get(entry.tensor, entry.tensor)
        name = self.names[tensor]
        if tensor in self.local or not entry.indices:
            return name
        place = ""
        for position, size in zip(entry.indices, tensor.shape, strict=True):
            text = self.integer(position)
            row = f"({place})" if "+" in place else place
            place = f"{row} * {self.extent(size)} + {text}" if place else text
        return f"{name}[{place}]"

    def extent(self, size: Expr) -> str:
        """The size of an axis inside the block."""
        return "count" if size is self.rows else self.integer(size)

    def value(self, expr: Expr) -> str:
        """A real expression, in parentheses where it needs them."""
        match expr:
            case Number(value):
                return self.number(float(value)) if value >= 0 else f"({self.number(float(value))})"
            case Symbol(_, kind):
                return f"(real){self.names[expr]}" if kind == "size" else self.names[expr]
            case Index():
                return f"(real){self.index(expr)}"
            case Entry():
                return self.entry(expr)
            case Add(terms):
                return f"({self._sum(terms)})"
            case Multiply() | Power():
                return self._product(expr)
            case Apply(function, arguments):
                return f"{FUNCTION[function.name]}({', '.join(map(self.value, arguments))})"
            case Where(condition, then, otherwise):
                return f"({self.value(condition)} != 0 ? {self.value(then)} : {self.value(otherwise)})"
            case Compare(relation, left, right):
                return f"INDICATOR({self.value(left)} {relation} {self.value(right)})"
            case Kronecker(left, right):
                return f"INDICATOR({self.integer(left)} == {self.integer(right)})"
        return f"(real){self.integer(expr)}"

    def _sum(self, terms: tuple[Expr, ...]) -> str:
        out = ""
        for term in terms:
            lead = term.factors[0] if isinstance(term, Multiply) else term
            minus = isinstance(lead, Number) and lead.value < 0
            text = self.value(negate(term) if minus else term)
            out += f" {'-' if minus else '+'} {text}" if out else f"{'-' if minus else ''}{text}"
        return out

    def _product(self, expr: Expr) -> str:
        above, below = over_and_under(expr)
        top = " * ".join(map(self._factor, above)) or self.number(1.0)
        if not below:
            return top if len(above) == 1 else f"({top})"
        return f"({top} / ({' * '.join(map(self._factor, below))}))"

    def _factor(self, expr: Expr) -> str:
        if not isinstance(expr, Power):
            return self.value(expr)
        if isinstance(expr.exponent, Number) and expr.exponent.value == 2:
            return f"SQUARE({self.value(expr.base)})"
        if isinstance(expr.exponent, Number) and expr.exponent.value == 3:
            return f"CUBE({self.value(expr.base)})"
        if (
            isinstance(expr.exponent, Number)
            and expr.exponent.value.denominator == 2
            and expr.exponent.value.numerator == 1
        ):
            return f"SQRT({self.value(expr.base)})"
        return f"POW({self.value(expr.base)}, {self.value(expr.exponent)})"
