"""Claims whose constants are those of the forward pass, rounded: 0.1070322243 for 3 * 0.044715 * sqrt(2/pi).

The constants of a claim are compared with products of those of the forward pass; each that comes near one is replaced
by it. Whether the claim with these constants is right is for others to prove.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

import flint

from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.compile import Compiler, State
from symbackprop.evaluation.number_types import ball
from symbackprop.expression.build import (
    Add,
    Apply,
    Compare,
    Expr,
    Multiply,
    Number,
    Power,
    Symbol,
    children,
    multiply,
    nodes_once,
    number,
    power,
    rewrite,
)
from symbackprop.expression.constants import ROUNDING
from symbackprop.expression.program import Equation, Program
from symbackprop.rendering.text import to_text

COARSEST = Fraction(1, 10**4)
DIGITS = 5  # a decimal with fewer is what was meant
MOST, FACTOR = 8, 24  # constants of the forward pass, and the rational factors beside them
BITS = 200
_Product = tuple[tuple[Expr, int], ...]


@dataclass(frozen=True)
class Rounded:
    """A constant of a claim that is another one rounded.

    Args:
        written, exact: what the claim has, and what it stands for.
        error: the relative difference.
    """

    written: Expr
    exact: Expr
    error: Fraction
    spelled: str

    @property
    def text(self) -> str:
        """In words."""
        return f"{to_decimal(self.written)} stands for {self.spelled}"


def without_rounding(forward: Program, claimed: Program) -> tuple[Program, tuple[Rounded, ...]]:
    """The claim with its constants as the forward pass has them; and which were rounded."""
    known = _constants((e.value for e in forward.equations), digits=1)
    table = _products({expr: _value(expr) for expr in known[:MOST]})
    found: dict[Expr, Rounded] = {}
    for written in _constants((e.value for e in claimed.equations), digits=DIGITS):
        if isinstance(written, Number) and written not in known:
            rounded = _nearest(written, table)
            if rounded is not None:
                found[written] = rounded
    if not found:
        return claimed, ()
    lines = tuple(
        Equation(e.tensor, e.indices, rewrite(e.value, lambda n: found[n].exact if n in found else None), e.note)
        for e in claimed.equations
    )
    changed = Program(
        claimed.inputs, lines, claimed.outputs, claimed.parameters, claimed.assumptions, claimed.domain,
        claimed.conditions, claimed.name, claimed.lines,
    )  # fmt: skip
    return changed, tuple(found.values())


def compared_as_floats(program: Program) -> Program:
    """The program as NumPy has it at a point on a threshold: x == pi compares with the float64 nearest to pi.

    No float64 is on the threshold of another constant than a rational one, so that nothing could be found there.
    """
    changed = [replace(e, value=rewrite(e.value, _with_floats)) for e in program.equations]
    same = all(new.value is old.value for new, old in zip(changed, program.equations, strict=True))
    return program if same else replace(program, equations=tuple(changed))


def _with_floats(node: Expr) -> Expr | None:
    """A comparison with the constants in it rounded to float64; None for other nodes."""
    if not isinstance(node, Compare):
        return None
    return Compare(node.relation, rewrite(node.left, _as_float), rewrite(node.right, _as_float))


def _as_float(node: Expr) -> Expr | None:
    if isinstance(node, Number) or not _is_constant(node):
        return None
    return number(Fraction(float(_value(node))))


def rounded_to(constants: Iterable[Rounded]) -> str:
    """The place to which the coarsest of them is rounded: 0.333 is 1/3 rounded to 1e-3."""
    return f"1e{max(_place(r) for r in constants)}"


def _place(rounded: Rounded) -> int:
    """The exponent of the last decimal place, or of the first that is wrong by more than two."""
    assert isinstance(rounded.written, Number)
    value = abs(rounded.written.value)
    last = next(k for k in itertools.count() if (value * 10**k).denominator == 1)
    return max(-last, math.ceil(math.log10(value * rounded.error / 2)))


def to_decimal(expr: Expr) -> str:
    """A constant as a decimal, where it is one."""
    return repr(float(expr.value)) if isinstance(expr, Number) else to_text(expr)


def _constants(expressions: Iterable[Expr], digits: int) -> list[Expr]:
    """The largest constant parts of expressions that are no plain numbers, each once.

    Args:
        digits: decimals with fewer are plain.
    """
    found: dict[Expr, None] = {}
    stack = list(expressions)
    seen: set[Expr] = set()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if _is_constant(node):
            if not _is_plain(node, digits):
                found[node] = None
        else:
            stack.extend(children(node))
    return list(found)


def _is_constant(node: Expr) -> bool:
    allowed = (Number, Add, Multiply, Power, Apply, Symbol)
    return all(isinstance(n, allowed) and (not isinstance(n, Symbol) or n.name == "pi") for n in nodes_once(node))


def _is_plain(node: Expr, digits: int) -> bool:
    """True for integers, short decimals and simple fractions."""
    if not isinstance(node, Number):
        return False
    value = abs(node.value)
    return value.denominator <= FACTOR or (value.numerator < 10 ** (digits - 1) and _is_decimal(value.denominator))


def _is_decimal(denominator: int) -> bool:
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1


def _value(expr: Expr) -> Fraction:
    """A constant to many digits."""
    field = ball(BITS)
    with field.working():
        value = Compiler(field).compile(expr)(State({}))
        mantissa, exponent = flint.arb(value).mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _products(known: dict[Expr, Fraction]) -> list[tuple[_Product, Fraction]]:
    """The constants, and products of up to three of them or their inverses; 1 for the rational factor alone."""
    powers = [(e, p, v**p) for e, v in known.items() if v for p in (1, -1)]
    found: dict[Fraction, _Product] = {Fraction(1): ()}
    for size in (1, 2, 3):
        for chosen in itertools.combinations_with_replacement(powers, size):
            value = math.prod((v for _, _, v in chosen), start=Fraction(1))
            found.setdefault(value, tuple((e, p) for e, p, _ in chosen))
    return [(product, value) for value, product in found.items()]


def _spelled(factor: Fraction, product: _Product) -> str:
    """A product as one would write it, its decimals not multiplied out."""
    above = [str(factor.numerator)] if abs(factor.numerator) != 1 or not product else []
    above += [to_decimal(e) for e, p in product if p > 0]
    below = [str(factor.denominator)] if factor.denominator != 1 else []
    below += [to_decimal(e) for e, p in product if p < 0]
    text = "/".join(["*".join(above) or "1", *below])
    return f"-{text}" if factor.numerator == -1 and product else text


def _nearest(written: Expr, table: list[tuple[_Product, Fraction]]) -> Rounded | None:
    """The product nearest to a constant, times a simple fraction; None if none is near."""
    try:
        value = _value(written)
    except (SymbackpropError, ArithmeticError, TypeError):
        return None
    best: Rounded | None = None
    for product, size in table:
        factor = (value / size).limit_denominator(FACTOR)
        if not factor or abs(factor) > FACTOR:
            continue
        error = abs(value / (factor * size) - 1)
        if error <= COARSEST and (best is None or error < best.error):
            exact = multiply(number(factor), *(power(e, p) for e, p in product))
            best = Rounded(written, exact, error, _spelled(factor, product))
    return best if best is not None and best.error else None


__all__ = ["ROUNDING", "Rounded", "rounded_to", "without_rounding"]
