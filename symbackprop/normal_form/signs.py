"""Signs of polynomials, and whether one can be 0 on a set that matters.

A sign is known only where it is plain: of positive factors, even powers and sums of such.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from symbackprop.expression.build import ZERO, Compare, Expr, Index, Tensor
from symbackprop.expression.functions import ATAN, DIGAMMA, ERF, EXP, LOG
from symbackprop.expression.sizes import Facts, decide
from symbackprop.normal_form.data import (
    ONE,
    UNIT,
    Atom,
    Mono,
    Poly,
    Rational,
    as_constant,
    combine,
    exact,
    of_atom,
    of_index,
    scale,
    subtract,
)
from symbackprop.normal_form.data import ZERO as NOTHING
from symbackprop.normal_form.rewriter import INDICATORS, TermRules

MONOTONE = (EXP, LOG, ERF, ATAN, DIGAMMA)  # strictly, on their domains


class Signs(TermRules):
    """What is known of signs."""

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
            case "quotient":  # H // E, where E divides H, is at least 1
                return self.decided(">", self.size_expression(of_atom(atom)))
        return False

    def known_nonnegative(self, atom: Atom) -> bool:
        """True if the atom is >= 0 wherever the program is defined."""
        return self.known_positive(atom) or (atom.kind == "extremum" and self._of_absolute_values(atom))

    def _of_absolute_values(self, top: Atom) -> bool:
        """Whether an extremum is that of c*|u|, c > 0: of what is c*u where u > 0, and -c*u elsewhere."""
        body = self.body_at(top, of_index(Index("e", top.data[1])))
        thresholds = {a for m, _ in body.terms for a, _ in m.factors if a.kind == "positive"}
        if len(thresholds) != 1 or any(m.bound for m, _ in body.terms):
            return False
        (threshold,) = thresholds
        below = {m: c for m, c in body.terms if threshold not in dict(m.factors)}
        u = dict(self.definition(threshold).terms)
        ratios = {Fraction(c) / Fraction(u[m]) for m, c in below.items() if m in u}
        if below.keys() != u.keys() or len(ratios) != 1 or ratios.pop() >= 0:
            return False
        folded = self.multiply(Poly.make(below), subtract(ONE, scale(self.single(threshold), 2)))
        return subtract(body, folded) is NOTHING

    def sign(self, poly: Poly) -> int | None:
        """1 if `poly` is provably > 0, -1 if < 0, else None; only the signs of its terms are looked at."""
        signs = {1 if c > 0 else -1 for _, c in poly.terms}
        if len(signs) != 1:
            return self._sign_of_complement(poly) or self._sign_of_count(poly) or self._sign_by_branch(poly)
        weak = [self.weakly_positive(m) for m, _ in poly.terms]
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

    def _sign_of_count(self, poly: Poly) -> int | None:
        """H - (how often something holds among H) is not negative: what is counted may be all."""
        for side in (1, -1):
            parts: list[tuple[Rational, Poly]] = []
            counted = False
            for mono, c in poly.terms:
                counts = mono.factors and all(a.kind in INDICATORS and e == 1 for a, e in mono.factors)
                counts = counts and all(self.decided(">=", self._size_minus_one(i)) for i in mono.bound)
                if c * side < 0 and counts:
                    counted = True
                    every = ONE
                    for index in mono.bound:
                        every = self.multiply(every, self.size_of(index.size))
                    parts.append((c * side, every))
                else:
                    parts.append((c * side, Poly.make({mono: 1})))
            least = combine(parts) if counted else None
            if least is not None and len({c > 0 for _, c in least.terms}) == 1 and self.sign(least) == 1:
                return side
        return None

    def _sign_by_branch(self, poly: Poly) -> int | None:
        """The sign of an integer with two cases, such as the length of a tile of which the last may be shorter."""
        atoms = [a for m, _ in poly.terms for a, _ in m.factors]
        tests = {a for a in atoms if a.kind == "nonneg"}
        if len(tests) != 1 or any(a.kind not in ("index", "symbol", "quotient", "nonneg") for a in atoms):
            return None
        if any(m.bound or any(a.kind == "nonneg" and e != 1 for a, e in m.factors) for m, _ in poly.terms):
            return None
        (test,) = tests
        value, own = self.size_expression(test.args[0]), ((test, 1),)
        otherwise = {m: c for m, c in poly.terms if test not in dict(m.factors)}
        more = [(c, Poly.make({Mono.make(tuple(f for f in m.factors if f not in own), m.bound): 1}))
                for m, c in poly.terms if test in dict(m.factors)]  # fmt: skip
        found = set()
        for told, part in (
            (Compare("<=", ZERO, value), combine([*more, (1, Poly.make(otherwise))])),
            (Compare("<", value, ZERO), Poly.make(otherwise)),
        ):
            facts, e = Facts((*self.facts.domain, told), self.facts.ranges), self.size_expression(part)
            found.add(1 if decide("<", ZERO, e, facts) else -1 if decide("<", e, ZERO, facts) else 0)
        return found.pop() or None if len(found) == 1 else None

    def weakly_positive(self, mono: Mono) -> str:
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
            elif self.known_nonnegative(atom):
                answer = "weak"
            else:
                return ""
        return answer

    def _size_minus_one(self, index: Index) -> Expr:
        return self.size_expression(subtract(self.size_of(index.size), ONE))

    def never_flat(self, value: Poly) -> bool:
        """True if the value is 0 on a set of measure 0 only, whatever its indices are and however many of them agree.

        That is shown by one real tensor T in which, for fixed other tensors, the value is not constant on any open set
        and piecewise analytic. Either T stands in one term only, as a factor or inside a strictly monotone function
        (a power, exp, log, erf) of something that is itself never flat in T. Or the value is a polynomial in T, whose
        terms of highest (or lowest) degree are products of entries and of positive factors with coefficients of one
        sign: then nothing among them can cancel, even where indices coincide. Or one entry of T is no other's equal.
        Or it is a number that is not 0 and terms of other degrees in T, whatever else stands in these: x*T - 6. With
        t*T for T each degree has a power of t of its own, so where such a sum is 0 for all t, the number is 0.
        """
        candidates = {
            a.data: None for m, _ in value.terms for a in _entries(m) if a.kind == "entry" and self._is_free(a.data)
        }
        return any(self._varies_with(tensor, value) for tensor in candidates)

    def _is_free(self, tensor: Tensor) -> bool:
        """True if the entries of the tensor range over an open set."""
        return bool(tensor.kind == "real") and self.assumptions.get(tensor) in (None, "pos", "prob")

    def _varies_with(self, tensor: Tensor, value: Poly) -> bool:
        terms = [(m, c) for m, c in value.terms if any(_mentions(a, tensor) for a, _ in m.factors)]
        if self._inside_one_function(tensor, [m for m, _ in terms]) or self._as_polynomial(tensor, terms):
            return True
        rest = as_constant(subtract(value, Poly.make(dict(terms))))
        return rest not in (None, 0) and 0 not in (self._degree(tensor, m) or 0 for m, _ in terms)

    def _inside_one_function(self, tensor: Tensor, terms: list[Mono]) -> bool:
        """One term c * f(q) with a strictly monotone f, a q that is never flat in T, and a c without T."""
        if len(terms) != 1 or terms[0].bound:
            return False
        inside = [a for a, _ in terms[0].factors if _mentions(a, tensor)]
        others = [a for a, _ in terms[0].factors if not _mentions(a, tensor)]
        if len(inside) != 1 or not all(self._not_zero(a) for a in others):
            return False
        (atom,) = inside
        if atom.kind == "base":
            return self._varies_with(tensor, self.definition(atom))
        if atom.kind == "apply" and atom.data[0] in MONOTONE:
            return self._varies_with(tensor, self.substitute(atom.data[1][0], self.parameters(atom, atom.data[1][0])))
        return False

    def _as_polynomial(self, tensor: Tensor, terms: list[tuple[Mono, Rational]]) -> bool:
        """The terms of highest degree in T, or those of lowest, cannot cancel."""
        by_degree: dict[Rational, list[tuple[Mono, Rational]]] = {}
        for mono, coefficient in terms:
            degree = self._degree(tensor, mono)
            if degree is None:
                return False
            by_degree.setdefault(degree, []).append((mono, coefficient))
        own = [e for m, _ in terms for a, e in m.factors if a.kind == "entry" and a.data is tensor]
        if not own or len({e > 0 for e in own}) > 1:  # x / y, with both of T, may be constant where indices agree
            return False
        ends = {max(by_degree), min(by_degree)}
        return any(self._cannot_cancel(tensor, by_degree[d]) for d in ends) or self._alone(
            tensor, [m for m, _ in terms]
        )

    def _degree(self, tensor: Tensor, mono: Mono) -> Rational | None:
        """The degree of a term in the entries of a tensor; None where these stand inside functions or indices."""
        degree: Rational = 0
        for atom, exponent in mono.factors:
            if atom.kind == "entry" and atom.data is tensor:
                degree = exact(degree + exponent)
            elif _mentions(atom, tensor):
                return None
        return degree

    def _cannot_cancel(self, tensor: Tensor, terms: list[tuple[Mono, Rational]]) -> bool:
        return len({c > 0 for _, c in terms}) == 1 and all(
            all(self._not_zero(a) for a, _ in m.factors)
            and all(self.decided(">=", self._size_minus_one(i)) for i in m.bound)
            for m, _ in terms
        )

    def _alone(self, tensor: Tensor, terms: list[Mono]) -> bool:
        """One entry of T stands in one term only, and no other entry of T can be the same: x_i - x_(i+1)."""
        found = [(m, a) for m in terms for a, _ in m.factors if a.kind == "entry" and a.data is tensor]
        return any(
            not mono.bound
            and all(self._not_zero(a) for a, _ in mono.factors)
            and all(self._apart(own, other) for m, other in found if not (m is mono and other is own))
            for mono, own in found
        )

    def _apart(self, left: Atom, right: Atom) -> bool:
        """True if two entries of one tensor are never the same entry."""
        gaps = [self.size_expression(subtract(a, b)) for a, b in zip(left.args, right.args, strict=True)]
        return any(self.decided("<", gap) or self.decided(">", gap) for gap in gaps)

    def _not_zero(self, atom: Atom) -> bool:
        """True for entries that range over an open set, and for factors that are positive."""
        return (atom.kind == "entry" and self._is_free(atom.data)) or self.known_positive(atom)


def _entries(mono: Mono) -> Iterator[Atom]:
    """The atoms of a monomial and, one in another, those inside of them, each once."""
    waiting, seen = [a for a, _ in mono.factors], set[Atom]()
    while waiting:
        if (atom := waiting.pop()) not in seen:
            seen.add(atom)
            yield atom
            waiting += [a for p in templates_of(atom) for m, _ in p.terms for a, _ in m.factors]


def _mentions(atom: Atom, tensor: Tensor) -> bool:
    """True if an entry of the tensor stands anywhere in the atom; each atom inside is looked at once."""
    waiting, seen = [atom], set[Atom]()
    while waiting:
        if (inner := waiting.pop()) in seen:
            continue
        if inner.kind == "entry" and inner.data is tensor:
            return True
        seen.add(inner)
        waiting += [a for p in (*inner.args, *templates_of(inner)) for m, _ in p.terms for a, _ in m.factors]
    return False


def templates_of(atom: Atom) -> tuple[Poly, ...]:
    """The templates that an atom holds, () for an atom without."""
    data: Any = atom.data
    match atom.kind:
        case "apply":
            return data[1]  # type: ignore[no-any-return]
        case "base" | "positive" | "zero" | "named":
            return data  # type: ignore[no-any-return]
        case "extremum" | "position" | "matrix":
            return (data[2],)
    return ()
