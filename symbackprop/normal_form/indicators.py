"""Indicators of reals, [v > 0] and [v = 0]: each keeps the sign of its argument alone.

What holds away from kinks only is recorded in `used`.

Two thresholds of one quantity meet in one rule: [x > 0] [x > 1] is [x > 1], and of [x > 0] and [x < 1] one holds.
Without it `clip`, hinges and piecewise costs would keep products of indicators that say the same thing.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

from symbackprop.expression.build import Index
from symbackprop.expression.functions import EXP
from symbackprop.normal_form.bound_names import abstract, memoised, remember_symmetries, settle_arguments
from symbackprop.normal_form.data import (
    ONE,
    UNIT,
    ZERO,
    Atom,
    Factors,
    Mono,
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
MOST_FACTORS = 3  # of which a product above 0 is written by the signs of each


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
        logarithm = self._beside_one(value)
        if logarithm is not None:
            return self.positive(logarithm)
        if all(self.weakly_positive(m) for m, _ in value.terms) and len({c > 0 for _, c in value.terms}) == 1:
            if value.terms[0][1] < 0:
                return ZERO
            mono = value.terms[0][0]
            plain = len(value.terms) == 1 and not mono.bound  # a sum may be over nothing, and 0
            if plain and all(self.known_positive(a) or _positive_where_it_exists(e) for a, e in mono.factors):
                return ONE
            nothing = self.zero(value)
            if nothing.terms:  # what is 0 at isolated points only is not positive there
                return subtract(ONE, nothing)
        (coefficient, mono), core = self.factor(value)
        gates: Poly = ONE
        parts = [core if coefficient > 0 else scale(core, -1)]
        for atom, exponent in mono.factors:
            if atom.kind in INDICATORS or self._is_zero_or_one(atom):
                gates = self.multiply(gates, of_atom(atom))
            elif not self.known_positive(atom) and not _positive_where_it_exists(exponent):
                odd = exact(exponent) == int(exponent) and int(exponent) % 2
                parts.append(self.collect([(1, {atom: 1 if odd else exponent}, ())]))
        if not 2 < len(parts) + (as_constant(parts[0]) is None) <= MOST_FACTORS + 1:
            parts = [self.product(*parts)]
        one = len(parts) == 1
        return self.multiply(gates, self._positive_part(parts[0]) if one else self._positive_product(parts))

    def _positive_product(self, parts: list[Poly]) -> Poly:
        """1 where the product of these is above 0: where an even number of them is below."""
        above, below = ONE, ZERO
        for part in parts:
            up, down = (self._positive_part(scale(part, sign)) for sign in (1, -1))
            above, below = (
                add(self.multiply(above, up), self.multiply(below, down)),
                add(self.multiply(above, down), self.multiply(below, up)),
            )
        return above

    def _positive_part(self, part: Poly) -> Poly:
        sign = self.sign(part)
        return self._positive_atom(part) if sign is None else ONE if sign > 0 else ZERO

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
        by_branch = self.branchwise(self.zero, value)
        if by_branch is not None:
            return by_branch
        if self.sign(value) is not None:
            return ZERO
        logarithm = self._beside_one(value)
        if logarithm is not None:
            return self.zero(logarithm)
        if self.never_flat(value):
            self.used[AT_KINK] = None
            return ZERO
        (_, mono), core = self.factor(value)
        if core is ONE and not mono.bound:
            by_factor = self._zero_by_factor(mono)
            if by_factor is not None:
                return by_factor
        if core is not ONE and all(self.known_positive(a) or _positive_where_it_exists(e) for a, e in mono.factors):
            value = core
        sides = [abstract((side,)) for side in (value, scale(value, -1))]
        data, args = min(sides, key=lambda side: side[0][0].id)
        remember_symmetries(data, data)
        return of_atom(Atom.make("zero", data, settle_arguments("zero", data, args)))

    def _beside_one(self, value: Poly) -> Poly | None:
        """k*u where the value is k*(exp(u) - 1), which has the same sign; None for other values."""
        table = dict(value.terms)
        number = table.pop(UNIT, 0)
        if len(table) != 1 or not number:
            return None
        ((mono, c),) = table.items()
        powers = [(a, e) for a, e in mono.factors if a.kind == "apply" and a.data[0] is EXP]
        if c != -number or mono.bound or len(powers) < len(mono.factors):
            return None
        return scale(
            combine([(e, self.substitute(a.data[1][0], self.parameters(a, a.data[1][0]))) for a, e in powers]), c
        )

    def _zero_by_factor(self, mono: Mono) -> Poly | None:
        """A product is 0 where a factor is, a root where what stands under it is; None for one plain factor."""
        parts = [(a, e) for a, e in mono.factors if not self.known_positive(a) and exact(e) > 0]
        if len(parts) == 1 and parts[0][1] == 1 and parts[0][0].kind != "base":
            return None
        apart: Poly = ONE
        for atom, _ in parts:
            inside = self.definition(atom) if atom.kind == "base" else of_atom(atom)
            apart = self.multiply(apart, subtract(ONE, self.zero(inside)))
        return subtract(ONE, apart)


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
    for k in ratios(u, v):
        rest = combine([(1, v), (-k, u)])
        sign = rules.sign(rest) if rest.terms else 0
        if sign is not None:
            return _product_of(rules, first, second, k, sign)
    return None


def _product_of(rules: TermRules, first: Atom, second: Atom, k: Rational, sign: int) -> Poly:
    """The product for v = k*u + w, where w has this sign."""
    p, q = rules.single(first), rules.single(second)
    if second.kind == "zero" and first.kind == "zero":
        return p if sign == 0 else ZERO
    if second.kind == "zero":  # where v = 0, u is -w/k
        return q if sign * k < 0 else ZERO
    if k > 0:
        return q if sign < 0 else p  # u > 0 makes v > 0 where w >= 0; where w < 0 it is the other way round
    # u > 0 and v > 0 exclude each other where w <= 0; where w > 0 one of them holds
    return subtract(add(p, q), ONE) if sign > 0 else ZERO


def ratios(u: Poly, v: Poly) -> list[Rational]:
    """Each k with which a term that holds an entry, or an index, is gone from v - k*u."""
    table = dict(v.terms)
    varying = [(m, c) for m, c in u.terms if m in table and any(a.free or a.kind == "entry" for a, _ in m.factors)]
    return list(dict.fromkeys(exact(Fraction(table[m]) / Fraction(c)) for m, c in varying))
