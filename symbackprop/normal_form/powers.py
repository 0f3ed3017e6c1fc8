"""Powers of polynomials: a power of a sum is a power of its common factor times a power of one atom, the "base"."""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

import sympy as sp

from symbackprop.errors import BudgetError
from symbackprop.expression.build import is_short
from symbackprop.expression.functions import EXP
from symbackprop.normal_form.bound_names import abstract, memoised, remember_symmetries, settle_arguments
from symbackprop.normal_form.data import (
    ONE,
    UNIT,
    ZERO,
    Atom,
    Mono,
    NoValueError,
    Poly,
    Rational,
    as_constant,
    constant,
    exact,
    of_atom,
    scale,
)
from symbackprop.normal_form.indicators import Indicators
from symbackprop.normal_form.rewriter import INDICATORS

LARGEST_FACTOR = 1000  # a number without a prime factor below this stays whole under a root or logarithm


class Powers(Indicators):
    """Powers, and the common factor of a polynomial."""

    @memoised
    def power(self, base: Poly, exponent: Rational) -> Poly:
        """base ** exponent, for a rational exponent."""
        exponent = exact(exponent)
        if exponent == 0:
            return ONE
        if exponent == 1 or base is ONE:
            return base
        if not base.terms:
            if exponent > 0:
                return ZERO
            raise NoValueError("a quotient divides by zero")
        if not all(is_short(c, exponent) for _, c in base.terms):
            raise BudgetError("a power of a number would have thousands of digits")
        if isinstance(exponent, int) and exponent > 0:
            half = self.power(base, exponent // 2)
            square = self.multiply(half, half)
            return self.multiply(square, base) if exponent % 2 else square
        by_branch = self.branchwise(lambda part: self.power(part, exponent), base)
        if by_branch is not None:
            return by_branch
        common, core = self.factor(base)
        return self._power_of_factors(common, core, exponent)

    def _power_of_factors(self, common: tuple[Rational, Mono], core: Poly, exponent: Rational) -> Poly:
        coefficient, mono = common
        integral = isinstance(exponent, int)
        alone = core is ONE and coefficient > 0 and len(mono.factors) == 1
        outside: dict[Atom, Rational] = {}
        inside: dict[Atom, Rational] = {}
        for atom, e in mono.factors:
            plain = integral or self.known_positive(atom) or (e < 0 and self.known_nonnegative(atom))
            plain = plain or (alone and not isinstance(e, int))  # a root has a value of what is no less than 0
            (outside if plain else inside)[atom] = e
        inner = core
        if coefficient < 0 and not integral:
            inner, coefficient = scale(inner, -1), -coefficient
        if inside:
            inner = (
                self.collect([(1, dict(inside), ())])
                if inner is ONE
                else self.multiply(inner, Poly.make({Mono.make(tuple(inside.items())): 1}))
            )
        result = self.collect([(1, {a: exact(e * exponent) for a, e in outside.items()}, ())])
        result = self.multiply(result, self._number_power(coefficient, exponent))
        return result if inner is ONE else self.multiply(result, self._base_atom(inner, exponent))

    def _number_power(self, value: Rational, exponent: Rational) -> Poly:
        """A rational to a rational power: primes with fractional exponents stay atoms."""
        if isinstance(exponent, int):
            return constant(exact(Fraction(value) ** exponent))
        result: Poly = ONE
        value = Fraction(value)
        for part, sign in ((value.numerator, 1), (value.denominator, -1)):
            for prime, count in sp.factorint(part, limit=LARGEST_FACTOR).items():
                e = exact(Fraction(exponent) * sign * int(count))
                whole = e.numerator // e.denominator if isinstance(e, Fraction) else e
                result = self.multiply(result, constant(exact(Fraction(int(prime)) ** whole)))
                if e != whole:
                    atom = Atom.make("base", (constant(int(prime)),))
                    result = self.multiply(result, of_atom(atom, exact(Fraction(e) - whole)))
        return result

    def _base_atom(self, core: Poly, exponent: Rational) -> Poly:
        """core ** exponent for a core without common factor: one atom, with the sign that does not depend on names."""
        value = as_constant(core)
        if value is not None and value > 0:
            return self._number_power(value, exponent)
        if len(core.terms) == 1 and exponent == 1:
            return core
        (template,), args = abstract((core,))
        sign = 1
        if isinstance(exponent, int) and len(core.terms) > 1:
            positive = sum(1 if c > 0 else -1 for _, c in core.terms)
            (other,), other_args = abstract((scale(core, -1),))
            if positive < 0 or (positive == 0 and other.id < template.id):
                template, args, sign = other, other_args, (-1) ** (exponent % 2)
        data = (template,)
        remember_symmetries(data, (template,))
        atom = Atom.make("base", data, settle_arguments("base", data, args))
        return self.collect([(sign, {atom: exponent}, ())])

    @memoised
    def factor(self, poly: Poly) -> tuple[tuple[Rational, Mono], Poly]:
        """((coefficient, monomial), core) with poly = coefficient * monomial * core; the core has no common factor.

        A core of 1 means that `poly` is a single product. Denominators are cleared on the way: 1 - 1/(1+e) is e/(1+e).
        """
        if len(poly.terms) == 1 and not poly.terms[0][0].bound:
            mono, coefficient = poly.terms[0]
            return (coefficient, mono), ONE
        content = _number_content(poly)
        shared = self._common_factors(poly)
        if not shared:
            return (content, UNIT), scale(poly, exact(1 / Fraction(content)))
        inverse = {a: exact(-e) for a, e in shared.items()}
        core = self.collect(self.times([(1, inverse, ())], scale(poly, exact(1 / Fraction(content)))))
        (c, mono), rest = self.factor(core) if core is not poly else ((1, UNIT), core)
        merged = dict(mono.factors)
        for a, e in shared.items():
            merged[a] = exact(merged.get(a, 0) + e)
        kept = tuple(sorted(((a, e) for a, e in merged.items() if e), key=lambda f: f[0].id))
        return (exact(content * c), Mono.make(kept)), rest

    def _common_factors(self, poly: Poly) -> dict[Atom, Rational]:
        """Atoms to pull out of every term: common factors, denominators, and exponentials up to their highest power."""
        tables = [({a: e for a, e in m.factors if not a.free & set(m.bound)}) for m, _ in poly.terms]
        atoms = {a: None for t in tables for a in t}
        shared: dict[Atom, Rational] = {}
        for atom in atoms:
            if atom.kind in INDICATORS and not all(atom in t for t in tables):
                continue
            exponents = [t.get(atom, 0) for t in tables]
            exponential = atom.kind == "apply" and atom.data[0] is EXP
            pulled = max(exponents) if exponential else min(exponents)
            if pulled and (exponential or pulled < 0 or all(atom in t for t in tables)):
                shared[atom] = pulled
        return shared


def _number_content(poly: Poly) -> Rational:
    numerator, denominator = 0, 1
    for _, c in poly.terms:
        f = Fraction(c)
        numerator, denominator = gcd(numerator, f.numerator), lcm(denominator, f.denominator)
    return exact(Fraction(numerator, denominator))
