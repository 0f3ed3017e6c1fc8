"""Other spellings of a formula that is a quotient of polynomials in entries, exponentials, roots and other functions.

Such a formula loses its digits where two large terms cancel, and is nan where the exponentials above and below
overflow. Its factors are found by SymPy; nothing is proved here.

    a^2 - 2 a b + b^2                  ->  (a - b)^2
    (1 + x/r) / (x + r)                ->  1/r
    a - r, r = sqrt(a^2 + c)           ->  -c / (a + r), for a > 0 or everywhere
    P(exp(u)) / Q(exp(u))              ->  where(u > 0, the same in exp(-u), the same in exp(u))

Main name: `quotients`.

Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), sections 1.7 and 1.8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import sympy as sp

from symbackprop.expression.build import (
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Multiply,
    Number,
    Power,
    add,
    apply,
    children,
    multiply,
    negate,
    nodes_once,
    number,
    power,
    rebuild,
    where,
)
from symbackprop.expression.functions import EXP

HALF = Fraction(1, 2)
MOST_NODES = 120  # of a formula that is taken apart
MOST_ATOMS = 8
MOST_DEGREE = 6  # of an exponential


def quotients(expr: Expr) -> Iterator[Expr]:
    """Equal formulas that may keep digits which this one loses, the simplest first.

    Example:
        >>> from symbackprop.expression.build import Symbol
        >>> from symbackprop.rendering.text import to_text
        >>> a, b = Symbol("a"), Symbol("b")
        >>> cube = add(power(a, 2), multiply(number(-2), a, b), power(b, 2))
        >>> [to_text(q) for q in quotients(cube)]
        ['(a - b)**2']
    """
    if sum(1 for _ in nodes_once(expr)) > MOST_NODES:
        return
    atoms = _Atoms()
    form = atoms.read(expr)
    if len(atoms.own) > MOST_ATOMS:
        return
    try:
        factored = sp.factor(sp.together(form))
    except sp.PolynomialError:
        return
    yield atoms.written(factored)
    yield from _conjugates(factored, atoms)
    for symbol, exponent in atoms.exponents.items():
        two = _two_sided(factored, symbol, exponent, atoms)
        if two is not None:
            yield two


@dataclass
class _Atoms:
    """What a formula is a polynomial in, each with a symbol.

    Attributes:
        own: the symbol of each atom.
        exponents: of the symbol of exp(u), the u.
        bases: of the symbol of sqrt(b), the b in SymPy.
    """

    own: dict[Expr, sp.Symbol] = field(default_factory=dict)
    exponents: dict[sp.Symbol, Expr] = field(default_factory=dict)
    bases: dict[sp.Symbol, sp.Expr] = field(default_factory=dict)

    def read(self, expr: Expr) -> sp.Expr:
        """The formula over symbols."""
        match expr:
            case Number(value):
                return sp.Rational(value.numerator, value.denominator)
            case Add(terms):
                return sp.Add(*map(self.read, terms))
            case Multiply(factors):
                return sp.Mul(*map(self.read, factors))
            case Power(base, Number(exponent)) if exponent.denominator == 1:
                return self.read(base) ** int(exponent)
            case Power(base, Number(exponent)) if exponent.denominator == 2:
                root = power(base, number(HALF))
                symbol = self.symbol(root)
                if symbol not in self.bases:
                    self.bases[symbol] = self.read(base)
                return symbol ** int(2 * exponent)
            case Apply(function, (argument,)) if function is EXP:
                return self.exponential(argument)
        return self.symbol(_simpler_inside(expr))

    def symbol(self, atom: Expr) -> sp.Symbol:
        if atom not in self.own:
            self.own[atom] = sp.Symbol(f"a{len(self.own)}", real=True)
        return self.own[atom]

    def exponential(self, argument: Expr) -> sp.Expr:
        """exp(k u) as a power of the first of its kind."""
        for symbol, u in self.exponents.items():
            times = _multiple(argument, u)
            if times is not None:
                return symbol**times
        symbol = self.symbol(apply(EXP, argument))
        self.exponents[symbol] = argument
        return symbol

    def written(self, form: sp.Expr) -> Expr:
        """A formula over symbols as an expression."""
        back = {s: e for e, s in self.own.items()}
        return self._written(form, back)

    def _written(self, form: sp.Expr, back: dict[sp.Symbol, Expr]) -> Expr:
        if form.is_Rational:
            return number(Fraction(int(form.p), int(form.q)))
        if form.is_Add:
            return add(*(self._written(t, back) for t in form.args))
        if form.is_Mul:
            return multiply(*(self._written(f, back) for f in form.args))
        if form.is_Pow and form.exp.is_Integer:
            times = int(form.exp)
            if form.base in self.exponents:
                return apply(EXP, multiply(number(times), self.exponents[form.base]))
            base = self._written(form.base, back)
            return power(base, number(times))
        return back[form]


def _simpler_inside(expr: Expr) -> Expr:
    """A function, a sum over an index or a choice, of quotients in their first form."""
    if isinstance(expr, (Entry, Compare)):
        return expr
    parts = children(expr)
    new = tuple(p if isinstance(p, Compare) else next(quotients(p), p) for p in parts)
    return expr if new == parts else rebuild(expr, new)


def _multiple(argument: Expr, u: Expr) -> int | None:
    """k of k u."""
    (one, first), (two, second) = _coefficient(argument), _coefficient(u)
    times = one / two
    return int(times) if first is second and times.denominator == 1 else None


def _coefficient(expr: Expr) -> tuple[Fraction, Expr]:
    if isinstance(expr, Multiply) and isinstance(expr.factors[0], Number):
        return expr.factors[0].value, multiply(*expr.factors[1:])
    return Fraction(1), expr


def _conjugates(form: sp.Expr, atoms: _Atoms) -> Iterator[Expr]:
    """a + b r, r a root, over a - b r: everywhere, and only where the two terms cancel."""
    for factor in sp.Mul.make_args(form):
        base, times = factor.as_base_exp()
        for root in [r for r in atoms.bases if base.has(r)] if base.is_Add else []:
            linear = sp.Poly(base, root) if base.is_polynomial(root) else None
            if linear is None or linear.degree() != 1:
                continue
            b, a = linear.all_coeffs()
            squares = sp.expand(a**2 - b**2 * atoms.bases[root])
            product = sp.factor(sp.expand(squares.subs({r**2: c for r, c in atoms.bases.items()})))
            if product == 0 or product.has(root) or len(sp.Add.make_args(sp.expand(product))) > 1:
                continue
            other = atoms.written(form / factor * (product / (a - b * root)) ** times)
            yield other
            if b.is_number:
                sign = Compare("<", ZERO, atoms.written(a))
                here = atoms.written(form)
                yield where(sign, here, other) if b > 0 else where(sign, other, here)


def _two_sided(form: sp.Expr, symbol: sp.Symbol, exponent: Expr, atoms: _Atoms) -> Expr | None:
    """A quotient of polynomials in exp(u), in exp(-u) where u > 0: neither overflows."""
    above, below = sp.fraction(sp.together(form))
    if not below.has(symbol) or not (above.is_polynomial(symbol) and below.is_polynomial(symbol)):
        return None
    if sp.degree(above, symbol) > MOST_DEGREE or sp.degree(below, symbol) > MOST_DEGREE:
        return None
    small = sp.Symbol("t", real=True)
    atoms.own[apply(EXP, negate(exponent))] = small
    atoms.exponents[small] = negate(exponent)
    turned = sp.factor(sp.together(form.subs(symbol, 1 / small)))
    left, right = atoms.written(turned), atoms.written(form)
    del atoms.exponents[small], atoms.own[apply(EXP, negate(exponent))]
    return where(Compare("<", ZERO, exponent), left, right)


__all__ = ["quotients"]
