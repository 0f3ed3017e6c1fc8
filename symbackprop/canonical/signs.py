"""Signs of polynomials, and the indicators that depend on them: [v > 0] and [v = 0] of real values.

A sign is known only where it is plain: of positive factors, even powers and sums of such. An indicator keeps the sign
of its argument alone. What holds away from kinks only is recorded in `used`.
"""

from __future__ import annotations

from typing import Any

from symbackprop.canonical.naming import abstract, memoised, remember_symmetries, settle_arguments
from symbackprop.canonical.polynomial import (
    ONE,
    UNIT,
    ZERO,
    Atom,
    Mono,
    Poly,
    Rational,
    as_constant,
    exact,
    of_atom,
    scale,
    subtract,
)
from symbackprop.canonical.terms import INDICATORS, TermRules
from symbackprop.expression import Expr, Index, Tensor
from symbackprop.primitives import EXP


class Signs(TermRules):
    """What is known of signs, and the indicators of reals."""

    def known_positive(self, atom: Atom) -> bool:
        """True if the atom is > 0 wherever the program is defined."""
        match atom.kind:
            case "symbol":
                return atom.data.kind in ("size", "positive")
            case "apply":
                return atom.data[0] is EXP
            case "entry":
                positive = self.assumptions.get(atom.data) in ("pos", "prob")
                if positive:
                    self.used[f"entries of {atom.data.name} are positive"] = None
                return positive
            case "base":
                return self.sign(atom.data[0]) == 1
        return False

    def sign(self, poly: Poly) -> int | None:
        """1 if `poly` is provably > 0, -1 if < 0, else None; only the signs of its terms are looked at."""
        signs = {1 if c > 0 else -1 for _, c in poly.terms}
        if len(signs) != 1:
            return self._sign_of_complement(poly)
        weak = [self._weakly_positive(m) for m, _ in poly.terms]
        if not all(weak) or not any(w == "strict" for w in weak):
            return None
        return signs.pop()

    def _sign_of_complement(self, poly: Poly) -> int | None:
        """1 - p for a probability p is positive; other sums of mixed signs are not looked into."""
        if (len(poly.terms) == 2 and poly.terms[0][0] is UNIT) or (len(poly.terms) == 2 and poly.terms[1][0] is UNIT):
            table = dict(poly.terms)
            number = table.pop(UNIT)
            ((mono, c),) = table.items()
            if number == -c and len(mono.factors) == 1 and not mono.bound:
                atom, e = mono.factors[0]
                if e == 1 and atom.kind == "entry" and self.assumptions.get(atom.data) == "prob":
                    self.used[f"entries of {atom.data.name} lie between 0 and 1"] = None
                    return 1 if number > 0 else -1
        return None

    def _weakly_positive(self, mono: Mono) -> str:
        """ "strict" if the monomial is > 0, "weak" if >= 0, "" if its sign is not known."""
        # a sum over a range that may be empty is 0 there
        answer = "strict" if all(self.decided(">=", self._size_minus_one(i)) for i in mono.bound) else "weak"
        for atom, exponent in mono.factors:
            if self.known_positive(atom):
                continue
            if (exponent == int(exponent) and int(exponent) % 2 == 0) or atom.kind in INDICATORS:
                answer = "weak"
            elif atom.kind == "base" and exponent != int(exponent):
                answer = "weak"  # an even root is not negative
            else:
                return ""
        return answer

    def _size_minus_one(self, index: Index) -> Expr:
        return self.size_expression(subtract(self.size_of(index.size), ONE))

    # Indicators of reals.

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

    def never_flat(self, value: Poly) -> bool:
        """True if the value is 0 on a set of measure 0 only, whatever its indices are and however many of them agree.

        That is shown by one real tensor T: the terms that mention T are products of entries and of positive factors,
        all with coefficients of one sign, and T stands in them as a factor, to powers of one sign. Then nothing among
        them can cancel, even where indices coincide, and for fixed other tensors the value is not constant in T.
        """
        candidates = {
            a.data: None for m, _ in value.terms for a, _ in m.factors if a.kind == "entry" and self._is_free(a.data)
        }
        return any(self._varies_with(tensor, value) for tensor in candidates)

    def _is_free(self, tensor: Tensor) -> bool:
        """True if the entries of the tensor range over an open set."""
        return bool(tensor.kind == "real") and self.assumptions.get(tensor) in (None, "pos", "prob")

    def _varies_with(self, tensor: Tensor, value: Poly) -> bool:
        signs = set()
        for mono, coefficient in value.terms:
            if not any(_mentions(a, tensor) for a, _ in mono.factors):
                continue
            power = 0
            for atom, exponent in mono.factors:
                if atom.kind == "entry" and atom.data is tensor:
                    power += 1 if exponent > 0 else -1
                    signs.add((coefficient > 0, exponent > 0))
                elif _mentions(atom, tensor) or not (
                    (atom.kind == "entry" and self._is_free(atom.data)) or self.known_positive(atom)
                ):
                    return False
            if not power or not all(self.decided(">=", self._size_minus_one(i)) for i in mono.bound):
                return False
        return len(signs) == 1


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


def _mentions(atom: Atom, tensor: Tensor) -> bool:
    """True if an entry of the tensor stands anywhere in the atom."""
    if atom.kind == "entry" and atom.data is tensor:
        return True
    inside = (*atom.args, *templates_of(atom))
    return any(_mentions(a, tensor) for p in inside for m, _ in p.terms for a, _ in m.factors)


def templates_of(atom: Atom) -> tuple[Poly, ...]:
    """The templates that an atom holds, () for an atom without."""
    data: Any = atom.data
    match atom.kind:
        case "apply":
            return data[1]  # type: ignore[no-any-return]
        case "base" | "positive" | "zero" | "named":
            return data  # type: ignore[no-any-return]
        case "extremum" | "position":
            return (data[2],)
    return ()
