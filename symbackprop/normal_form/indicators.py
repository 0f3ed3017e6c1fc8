"""Indicators of reals, [v > 0] and [v = 0]: each keeps the sign of its argument alone.

What holds away from kinks only is recorded in `used`.

Two thresholds of one quantity meet in one rule: [x > 0] [x > 1] is [x > 1], and of [x > 0] and [x < 1] one holds.
Without it `clip`, hinges and piecewise costs would keep products of indicators that say the same thing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction

from symbackprop.expression.build import Index
from symbackprop.normal_form.bound_names import abstract, memoised, remember_symmetries, settle_arguments
from symbackprop.normal_form.data import (
    ONE,
    ZERO,
    Atom,
    Factors,
    Poly,
    Rational,
    add,
    as_constant,
    combine,
    exact,
    of_atom,
    scale,
    subtract,
)
from symbackprop.normal_form.rewriter import INDICATORS, TermRules, Terms
from symbackprop.normal_form.signs import Signs

AT_KINK = "no argument of a branch is exactly at its kink"


class Indicators(Signs):
    """The indicators that depend on the signs of reals."""

    @memoised
    def positive(self, value: Poly) -> Poly:
        """1 where value > 0, else 0. Only the sign of the value is kept; factors that are positive are dropped.

        Of v and -v one is kept, 1 - [v > 0] for the other. Where only one of the two is ever asked for this is a name
        for it; where both are it is right wherever v is not 0, and `used` says that the program has a kink there.
        """
        number = as_constant(value)
        if number is not None:
            return ONE if number > 0 else ZERO
        if _is_integer(value):
            return self.nonneg(subtract(value, ONE))
        by_branch = self.branchwise(self.positive, value) if len(value.terms) > 1 else None
        if by_branch is not None:
            return by_branch
        sign = self.sign(value)
        if sign is not None:
            return ONE if sign > 0 else ZERO
        (coefficient, mono), core = self.factor(value)
        signed = core if coefficient > 0 else scale(core, -1)
        gates: Poly = ONE
        for atom, exponent in mono.factors:
            if atom.kind in INDICATORS or self._is_zero_or_one(atom):
                gates = self.multiply(gates, of_atom(atom))
            elif not self.known_positive(atom) and not _positive_where_it_exists(exponent):
                odd = exact(exponent) == int(exponent) and int(exponent) % 2
                signed = self.multiply(signed, of_atom(atom, 1 if odd else exponent))
        known = self.sign(signed) if signed is not value else None
        if known is not None:
            return gates if known > 0 else ZERO
        return self.multiply(gates, self._positive_atom(signed))

    def _by_value(self, function: Callable[[Poly], Poly], value: Poly) -> Poly | None:
        """function(a + b*y) = y*function(a + b) + (1 - y)*function(a) for one entry y of an input of zeros and ones."""
        atoms = {a: e for m, _ in value.terms for a, e in m.factors}
        if len(atoms) != 1 or any(m.bound for m, _ in value.terms):
            return None
        ((atom, exponent),) = atoms.items()
        if exponent != 1 or not self._is_zero_or_one(atom):
            return None
        rest = sum(Fraction(c) for m, c in value.terms if not m.factors)
        slope = sum(Fraction(c) for m, c in value.terms if m.factors)
        on, off = (function(scale(ONE, exact(v))) if v else function(ZERO) for v in (rest + slope, rest))
        return add(self.multiply(of_atom(atom), subtract(on, off)), off)

    def _is_zero_or_one(self, atom: Atom) -> bool:
        """True for an entry of an input that holds zeros and ones; that this is assumed is recorded."""
        if atom.kind != "entry" or self.assumptions.get(atom.data) not in ("bern", "onehot"):
            return False
        self.used[f"entries of {atom.data.name} are 0 or 1"] = None
        return True

    def _is_sign(self, atom: Atom) -> bool:
        if atom.kind != "entry" or self.assumptions.get(atom.data) != "pm1":
            return False
        self.used[f"entries of {atom.data.name} are -1 or 1"] = None
        return True

    def _positive_atom(self, value: Poly) -> Poly:
        if len(value.terms) == 1:
            (mono, coefficient) = value.terms[0]
            atoms = mono.factors
            if not mono.bound and len(atoms) == 1 and atoms[0][1] == 1 and self._is_sign(atoms[0][0]):
                sign = of_atom(atoms[0][0], 1)
                return scale(add(ONE, sign if coefficient > 0 else scale(sign, -1)), Fraction(1, 2))
        (template,), args = abstract((value,))
        (other,), other_args = abstract((scale(value, -1),))
        flipped = other.id < template.id and self.never_flat(value)
        chosen, chosen_args = (other, other_args) if flipped else (template, args)
        data = (chosen,)
        remember_symmetries(data, (chosen,))
        atom = of_atom(Atom.make("positive", data, settle_arguments("positive", data, chosen_args)))
        self.seen_as(data, "below" if flipped else "above")
        return subtract(ONE, atom) if flipped else atom

    def seen_as(self, data: tuple[Poly, ...], side: str) -> None:
        """Record from which side of its kink an indicator was asked for; both say that nothing is at the kink."""
        sides = self.sides.setdefault(data, set())
        sides.add(side)
        if len(sides) > 1:
            self.used[AT_KINK] = None

    def zero(self, value: Poly) -> Poly:
        """1 where a real value is 0, else 0: a value that is 0 at isolated points only counts as never 0."""
        number = as_constant(value)
        if number is not None:
            return ZERO if number else ONE
        if _is_integer(value):
            return self.delta(value)
        by_branch = self.branchwise(self.zero, value) or self._by_value(self.zero, value)
        if by_branch is not None:
            return by_branch
        if self.sign(value) is not None:
            return ZERO
        if self.never_flat(value):
            self.used[AT_KINK] = None
            return ZERO
        (_, mono), core = self.factor(value)
        if core is not ONE and all(self.known_positive(a) for a, _ in mono.factors):
            value = core
        sides = [abstract((side,)) for side in (value, scale(value, -1))]
        data, args = min(sides, key=lambda side: side[0][0].id)
        remember_symmetries(data, data)
        return of_atom(Atom.make("zero", data, settle_arguments("zero", data, args)))


def _positive_where_it_exists(exponent: Rational) -> bool:
    """True for 1/sqrt(v), 1/v**2 and the like: where they have a value it is above 0."""
    e = Fraction(exponent)
    return e < 0 and (e.denominator % 2 == 0 or e.numerator % 2 == 0)


def _is_integer(poly: Poly) -> bool:
    """True for a polynomial of sizes, indices and labels with whole coefficients."""
    return all(
        isinstance(c, int) and not m.bound and all(_is_integer_power(a, e) for a, e in m.factors) for m, c in poly.terms
    )


def _is_integer_power(atom: Atom, exponent: Rational) -> bool:
    if not isinstance(exponent, int) or exponent < 0:
        return False
    match atom.kind:
        case "symbol":
            return bool(atom.data.kind == "size")
        case "entry":
            return bool(atom.data.kind == "integer")
    return atom.kind in ("index", "quotient")


def one_threshold(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """A product of indicators of u and of v = k*u + w, for a number k and a w of known sign, has no product left."""
    indicators = [a for a in factors if a.kind in ("positive", "zero")]
    for first, second in itertools.combinations(indicators, 2):
        product = _product(rules, first, second)
        if product is not None:
            rest = {a: e for a, e in factors.items() if a is not first and a is not second}
            return rules.times([(1, rest, bound)], product)
    return None


@memoised
def _product(rules: TermRules, first: Atom, second: Atom) -> Poly | None:
    if first.kind == "zero":
        first, second = second, first
    u, v = rules.definition(first), rules.definition(second)
    k = _ratio(u, v)
    if k is None:
        return None
    rest = combine([(1, v), (-k, u)])
    sign = rules.sign(rest) if rest.terms else 0
    if sign is None:
        return None
    p, q = rules.single(first), rules.single(second)
    if second.kind == "zero" and first.kind == "zero":
        return p if sign == 0 else ZERO
    if second.kind == "zero":  # where v = 0, u is -w/k
        return q if sign * k < 0 else ZERO
    if k > 0:
        return q if sign < 0 else p  # u > 0 makes v > 0 where w >= 0; where w < 0 it is the other way round
    # u > 0 and v > 0 exclude each other where w <= 0; where w > 0 one of them holds
    return subtract(add(p, q), ONE) if sign > 0 else ZERO


def _ratio(u: Poly, v: Poly) -> Rational | None:
    """k such that v - k*u has no term that holds an entry, if there is one."""
    varying = [(m, c) for m, c in u.terms if any(a.free or a.kind == "entry" for a, _ in m.factors)]
    table = dict(v.terms)
    if not varying or varying[0][0] not in table:
        return None
    return exact(Fraction(table[varying[0][0]]) / Fraction(varying[0][1]))
