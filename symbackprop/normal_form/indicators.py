"""Indicators of reals, [v > 0] and [v = 0]: each keeps the sign of its argument alone.

What holds away from kinks only is recorded in `used`.
"""

from __future__ import annotations

from symbackprop.normal_form.bound_names import abstract, memoised, remember_symmetries, settle_arguments
from symbackprop.normal_form.data import ONE, ZERO, Atom, Poly, Rational, as_constant, exact, of_atom, scale, subtract
from symbackprop.normal_form.rewriter import INDICATORS
from symbackprop.normal_form.signs import Signs


class Indicators(Signs):
    """The indicators that depend on the signs of reals."""

    @memoised
    def positive(self, value: Poly) -> Poly:
        """1 where value > 0, else 0. Only the sign of the value is kept; factors that are positive are dropped.

        Of v and -v one is kept, 1 - [v > 0] for the other: right wherever v is not 0. The places where it is are
        recorded in `used`, since there the program has a kink.
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
            elif not self.known_positive(atom):
                odd = exact(exponent) == int(exponent) and int(exponent) % 2
                signed = self.multiply(signed, of_atom(atom, 1 if odd else exponent))
        known = self.sign(signed) if signed is not value else None
        if known is not None:
            return gates if known > 0 else ZERO
        return self.multiply(gates, self._positive_atom(signed))

    def _is_zero_or_one(self, atom: Atom) -> bool:
        if atom.kind != "entry" or self.assumptions.get(atom.data) not in ("bern", "onehot"):
            return False
        self.used[f"entries of {atom.data.name} are 0 or 1"] = None
        return True

    def _positive_atom(self, value: Poly) -> Poly:
        (template,), args = abstract((value,))
        (other,), other_args = abstract((scale(value, -1),))
        flipped = other.id < template.id and self.never_flat(value)
        chosen, chosen_args = (other, other_args) if flipped else (template, args)
        data = (chosen,)
        remember_symmetries(data, (chosen,))
        atom = of_atom(Atom.make("positive", data, settle_arguments("positive", data, chosen_args)))
        if flipped:
            self.used["no argument of a branch is exactly at its kink"] = None
            return subtract(ONE, atom)
        return atom

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
        if self.never_flat(value):
            self.used["no argument of a branch is exactly at its kink"] = None
            return ZERO
        (_, mono), core = self.factor(value)
        if core is not ONE and all(self.known_positive(a) for a, _ in mono.factors):
            value = core
        sides = [abstract((side,)) for side in (value, scale(value, -1))]
        data, args = min(sides, key=lambda side: side[0][0].id)
        remember_symmetries(data, data)
        return of_atom(Atom.make("zero", data, settle_arguments("zero", data, args)))


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
