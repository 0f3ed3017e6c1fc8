"""The engine that brings one term, coefficient * contraction of a product, to normal form, and indicators of integers.

A rule looks at the factors and bound indices of a term and returns the terms that replace it, or None if it does not
apply. Rules are tried in the order of `rules` until none applies; the indices of the result then get canonical names.
What is true of indices is said in `ranges`, of factors in `factors`; products, powers and functions of whole
polynomials are in `algebra`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Container, Iterable, Mapping
from fractions import Fraction
from typing import ClassVar

from symbackprop.errors import BudgetError
from symbackprop.expression.build import Expr, Index, Number, Quotient, Tensor
from symbackprop.expression.program import Known
from symbackprop.expression.sizes import NO_FACTS, Facts, decide
from symbackprop.normal_form.bound_names import canonical_mono, rename_atom, settle_arguments
from symbackprop.normal_form.data import (
    ONE,
    UNIT,
    Atom,
    Factors,
    Mono,
    Poly,
    Rational,
    Term,
    as_atom,
    as_constant,
    as_index,
    combine,
    constant,
    exact,
    of_index,
    scale,
    subtract,
)
from symbackprop.normal_form.work_time import worked

INDICATORS = ("delta", "nonneg", "positive", "zero")
HEAVY = 32  # factors times bound indices of a term that counts as more than one
STEPS = 8  # between two looks at the clock of this thread, which is not for nothing
SPARE = -3  # uid of the names that a bound index has while a term is being worked on
Terms = list[Term]
Rule = Callable[["TermRules", Factors, tuple[Index, ...]], Terms | None]


class TermRules:
    """The rules, with what is assumed about inputs and sizes, and a budget.

    Args:
        facts: relations between sizes and ranges of labels.
        assumptions: for each input tensor what its entries are known to be.
        seconds: time after which work stops with a BudgetError; None where it is counted instead.
        most: how many steps (expressions read, 64 terms collected) work may take; None for any number.
        expanded: sums over a fixed number of values up to this are written out, and such axes compared entry by entry.
    """

    def __init__(
        self,
        facts: Facts = NO_FACTS,
        assumptions: Known | None = None,
        seconds: float | None = 20.0,
        *,
        expanded: int = 0,
        most: int | None = None,
    ) -> None:
        self.facts, self.expanded = facts, expanded
        self.known = dict(assumptions or {})
        known = self.known.items()
        self.assumptions: dict[Tensor, str] = {t: a if isinstance(a, str) else a.kind for t, a in known}
        self.adding_up = {t: -1 if isinstance(a, str) else a.axis for t, a in known}  # along which axis
        self.used: dict[str, None] = {}  # conditions that a proof made use of, in words
        self.sides: dict[tuple[Poly, ...], set[str]] = {}  # from which side of its kink an indicator was asked for
        self.seconds, self.most = seconds, most
        self.restart_clock()
        self.leads: dict[Poly, tuple[Mono, Rational, Poly] | None] = {}  # of matrices, by their templates
        self.folds: dict[Poly, tuple[Poly, Rational, Poly] | None] = {}
        self._opaque: dict[Tensor, Atom] = {}  # names under which atoms are shown to the arithmetic of sizes

    def written_out(self, size: Expr) -> int:
        """The length of an axis that is written out entry by entry, 0 for others."""
        fixed = isinstance(size, Number) and 1 < size.value <= self.expanded
        return int(size.value) if fixed and isinstance(size, Number) else 0

    def restart_clock(self, seconds: float | None = None) -> None:
        """Start the budget anew."""
        seconds = self.seconds if seconds is None else seconds
        self.deadline = math.inf if seconds is None else worked() + seconds
        self.work = 0

    def check_budget(self) -> None:
        """Count a step; raise BudgetError when the budget is used up."""
        self.work += 1
        if self.most is not None and self.work > self.most:
            raise BudgetError(f"the normal form took more than its budget of {self.most} steps")
        if self.work % STEPS == 0 and self.deadline < math.inf and worked() > self.deadline:
            raise BudgetError(f"the normal form took longer than its budget of {self.seconds:g} s")

    # Each with what must be there for it to apply: a kind of atom, a "bound" index, or "" for nothing.
    rules: ClassVar[tuple[tuple[str, Rule], ...]] = ()

    # What `algebra` provides for whole polynomials.

    def multiply(self, left: Poly, right: Poly) -> Poly:
        """The product."""
        raise NotImplementedError

    def product(self, *polys: Poly) -> Poly:
        """The product of all."""
        raise NotImplementedError

    def sum_over(self, index: Index, body: Poly) -> Poly:
        """The contraction over an index that is free in the body."""
        raise NotImplementedError

    def power(self, base: Poly, exponent: Rational) -> Poly:
        """base ** exponent."""
        raise NotImplementedError

    def substitute_atom(self, atom: Atom, values: Mapping[Index, Poly]) -> Poly:
        """The atom with indices replaced."""
        raise NotImplementedError

    def rebuilt(self, atom: Atom, args: tuple[Poly, ...], change: Callable[[Poly], Poly]) -> Poly:
        """The atom with these arguments and its templates changed."""
        raise NotImplementedError

    def substitute(self, poly: Poly, values: Mapping[Index, Poly]) -> Poly:
        """The polynomial with indices replaced."""
        raise NotImplementedError

    def zero(self, value: Poly) -> Poly:
        """1 where a real value is 0, else 0."""
        raise NotImplementedError

    def sign(self, poly: Poly) -> int | None:
        """1 if the polynomial is known to be > 0, -1 if < 0."""
        raise NotImplementedError

    def definition(self, atom: Atom) -> Poly:
        """What stands inside an atom of one template."""
        (template,) = atom.data
        return self.substitute(template, self.parameters(atom, template))

    def extremum(self, sort: str, kind: str, index: Index, body: Poly) -> Poly:
        """The largest or smallest value of the body over the index, or ("position") where it stands."""
        raise NotImplementedError

    def body_at(self, top: Atom, place: Poly) -> Poly:
        """What an extremum is taken of, at one value of its index."""
        raise NotImplementedError

    def matrix_at(self, atom: Atom, part: Poly, row: Poly, column: Poly) -> Poly:
        """A part of the entry of the matrix that an atom is made of, at a row and a column."""
        raise NotImplementedError

    def product_of_triangle(self, atom: Atom, factor: Atom, places: tuple[Poly, ...]) -> Poly:
        """The entry of the product of a Cholesky factor with its transpose."""
        raise NotImplementedError

    def inverse_of_product(self, atom: Atom, factor: Atom, places: tuple[Poly, ...]) -> Poly:
        """The entry of the inverse of that."""
        raise NotImplementedError

    def inverse_of_triangle(self, factor: Atom, *places: Poly) -> Poly:
        """The entry of the inverse of a Cholesky factor."""
        raise NotImplementedError

    def logdet_of_triangle(self, factor: Atom) -> Poly:
        """The logarithm of the determinant of what has this Cholesky factor."""
        raise NotImplementedError

    def size_of(self, size: Expr) -> Poly:
        """A size as a polynomial."""
        raise NotImplementedError

    def size_expression(self, poly: Poly) -> Expr:
        """An integer polynomial as an expression."""
        raise NotImplementedError

    def factor(self, poly: Poly) -> tuple[tuple[Rational, Mono], Poly]:
        """The common factor of a polynomial, and what is left."""
        raise NotImplementedError

    def branchwise(self, function: Callable[[Poly], Poly], value: Poly) -> Poly | None:
        """A function of a value that has branches."""
        raise NotImplementedError

    # The engine.

    def collect(self, terms: Iterable[Term]) -> Poly:
        """The normal form of a sum of terms."""
        table: dict[Mono, Rational] = {}
        stack = list(terms)
        steps = 0
        while stack:
            coefficient, factors, bound = stack.pop()
            steps += 1 + len(factors) * len(bound) // HEAVY
            if steps >= 64:
                steps = 0
                self.check_budget()
            present = {"", *(atom.kind for atom in factors), *(["bound"] if bound else [])}
            for needed, rule in self.rules:
                if needed not in present:
                    continue
                new = rule(self, factors, bound)
                if new is not None:
                    stack += [(exact(coefficient * c), f, b) for c, f, b in new if c]
                    break
            else:
                mono = canonical_mono(factors, bound)
                table[mono] = exact(table.get(mono, 0) + coefficient)
        return Poly.make(table)

    def times(self, terms: Terms, poly: Poly, taken: frozenset[Index] = frozenset()) -> Terms:
        """Each term times each term of `poly`, whose bound indices get spare names, none of them in `taken`."""
        result = []
        for coefficient, factors, bound in terms:
            here = taken.union(bound, *(a.free for a in factors)) if any(m.bound for m, _ in poly.terms) else taken
            for mono, other in poly.terms:
                pairs, new_bound = self.open_mono(mono, here)
                merged = dict(factors)
                for atom, exponent in pairs:
                    merged[atom] = exact(merged.get(atom, 0) + exponent)
                result.append((exact(coefficient * other), merged, bound + new_bound))
        return result

    def open_mono(
        self, mono: Mono, taken: frozenset[Index] = frozenset()
    ) -> tuple[Iterable[tuple[Atom, Rational]], tuple[Index, ...]]:
        """The factors of `mono` with its bound indices renamed away from those in use, and these new names.

        No polynomial may have a canonical bound name free, so a term under work always carries spare names.
        """
        if not mono.bound:
            return mono.factors, ()
        used = set(taken | mono.free)
        names: dict[Index, Index] = {}
        for index in mono.bound:
            names[index] = spare(index.size, used)
            used.add(names[index])
        return [(rename_atom(a, names), e) for a, e in mono.factors], tuple(names.values())

    def substitute_factors(self, factors: Factors, bound: tuple[Index, ...], values: Mapping[Index, Poly]) -> Terms:
        """The terms that the product becomes when indices are replaced."""
        kept = {a: e for a, e in factors.items() if not a.free & values.keys()}
        terms: Terms = [(1, kept, bound)]
        taken = frozenset().union(*(a.free for a in factors), *(v.free for v in values.values()))
        for atom, exponent in factors.items():
            if atom not in kept:
                terms = self.times(terms, self.power(self.substitute_atom(atom, values), exponent), taken)
        return terms

    # Indicators of integers.

    def delta(self, difference: Poly) -> Poly:
        """1 where an integer is 0, else 0."""
        value = as_constant(difference)
        if value is not None:
            return ONE if value == 0 else constant(0)
        common = common_divisor(difference)
        if common > 1:
            if dict(difference.terms).get(UNIT, 0) % common:
                return constant(0)
            return self.delta(scale(difference, Fraction(1, common)))
        if not between_indices(difference):
            e = self.size_expression(difference)
            if self.decided("<", e) or self.decided(">", e):
                return constant(0)
        return self.collect([(1, {Atom.make("delta", None, settle_arguments("delta", None, (difference,))): 1}, ())])

    def nonneg(self, value: Poly) -> Poly:
        """1 where an integer is >= 0, else 0; of p and -p - 1 the one with the constant >= 0 is kept.

        A size that is never more than 0, as 1 - T, is >= 0 where it is 0.
        """
        number = as_constant(value)
        if number is not None:
            return ONE if number >= 0 else constant(0)
        e = self.size_expression(value)
        if self.decided(">=", e):
            return ONE
        if self.decided("<", e):
            return constant(0)
        if not value.free:
            for zero in (value, combine([(-1, value), (-1, ONE)])):
                if self.decided(">=", self.size_expression(scale(zero, -1))):
                    return self.delta(zero) if zero is value else subtract(ONE, self.delta(zero))
        high = self._high_digit(value)
        if high is not None:
            return self.nonneg(high)
        if dict(value.terms).get(UNIT, 0) >= 0:
            return self.single(Atom.make("nonneg", None, (value,)))
        opposite = Atom.make("nonneg", None, (combine([(-1, value), (-1, ONE)]),))
        return subtract(ONE, self.single(opposite))

    def _high_digit(self, value: Poly) -> Poly | None:
        """A where the integer is E*A + r with 0 <= r < E: the sign is that of A, as of the first digit of a number."""
        for low in sorted(value.free, key=lambda i: (i.name, i.uid)):
            unit = self.size_of(low.size)
            if len(unit.terms) != 1 or unit.terms[0][0] is UNIT:
                continue
            high, rest = _divided(value, unit)
            if not high.terms or low not in rest.free or len(rest.terms) > 2:
                continue
            for carried in (0, 1):
                digit = self.size_expression(combine([(1, rest), (carried, unit)]))
                below = self.size_expression(combine([(1, rest), (carried - 1, unit)]))
                if self.decided(">=", digit) and self.decided("<", below):
                    return combine([(1, high), (-carried, ONE)])
        return None

    def single(self, atom: Atom) -> Poly:
        """The polynomial of one atom that no rule applies to."""
        return Poly.make({Mono.make(((atom, 1),)): 1})

    def decided(self, relation: str, e: Expr) -> bool:
        """True if `e` is proved to stand in this relation to 0."""
        zero = self.size_expression(constant(0))
        match relation:
            case "<":
                return decide("<", e, zero, self.facts) is True
            case ">":
                return decide("<", zero, e, self.facts) is True
            case _:
                return decide("<=", zero, e, self.facts) is True

    def in_range(self, value: Poly, size: Expr) -> Poly:
        """The indicator that 0 <= value < size."""
        index, place = as_index(value), as_atom(value)
        if index is not None and index.size is size:
            return ONE
        if place is not None and place.kind == "position" and place.data[1] is size:
            return ONE
        digit = self.digit(value, self.size_of(size))
        if digit is not None:
            return digit
        above = self.nonneg(combine([(1, self.size_of(size)), (-1, ONE), (-1, value)]))
        return self.multiply(self.nonneg(value), above)

    def digit(self, value: Poly, size: Poly) -> Poly | None:
        """For value = r - E*s and size = E the range 0 <= value < E says s = r // E: one delta, no two inequalities."""
        if len(size.terms) != 1:
            return None
        own, _ = _divided(Poly.make({m: c for m, c in value.terms if m.free}), size)
        s = scale(own, -1)
        r = subtract(value, scale(self.multiply(size, s), -1)) if own.terms else value
        if not s.free or not r.free:
            return None
        return self.delta(subtract(s, self.size_of(Quotient(self.size_expression(r), self.size_expression(size)))))

    # What an atom stands for.

    def parameters(self, atom: Atom, template: Poly) -> dict[Index, Poly]:
        """The value of each parameter of the templates of `atom`."""
        from_name = {int(i.name[1:]): i for i in template.free}
        return {index: atom.args[k] for k, index in from_name.items()}


def _divided(value: Poly, unit: Poly) -> tuple[Poly, Poly]:
    """What of `value` is a multiple of a unit of one term, divided by it, and the rest."""
    (mono, e), high, rest = unit.terms[0], dict[Mono, Rational](), dict[Mono, Rational]()
    for own, c in value.terms:
        powers = dict(own.factors)
        left = {a: exact(powers.get(a, 0) - k) for a, k in mono.factors}
        if all(k >= 0 for k in left.values()) and Fraction(c) % Fraction(e) == 0:
            factors = sorted(((a, k) for a, k in (powers | left).items() if k), key=lambda f: f[0].id)
            high[Mono.make(tuple(factors))] = exact(Fraction(c) / Fraction(e))
        else:
            rest[own] = c
    return Poly.make(high), Poly.make(rest)


def spare(size: Expr, used: Container[Index]) -> Index:
    """The first name for a bound index under work that is not in use."""
    return next(s for k in itertools.count() if (s := Index(f"t{k}", size, SPARE)) not in used)


def common_divisor(whole: Poly) -> int:
    """The largest number that divides every coefficient but the constant one of an integer; 1 for other polynomials."""
    numbers = [c for m, c in whole.terms if m is not UNIT]
    powers = [e for m, _ in whole.terms for _, e in m.factors]
    if not all(isinstance(c, int) for _, c in whole.terms) or not all(isinstance(e, int) and e > 0 for e in powers):
        return 1
    return math.gcd(*(int(c) for c in numbers))


def between_indices(difference: Poly) -> bool:
    """True for i - j: both indices can be 0, so nothing about it can be decided."""
    return len(difference.terms) == 2 and all(
        abs(c) == 1 and len(m.factors) == 1 and m.factors[0][0].kind == "index" and m.factors[0][1] == 1
        for m, c in difference.terms
    )


def solve_for(gap: Poly, index: Index) -> Poly | None:
    """The value of `index` where gap = 0, if gap is +index or -index plus something without it.

    For the inequality gap >= 0 the same value is the border.
    """
    if index not in gap.free:
        return None
    own = of_index(index).terms[0][0]
    coefficient = dict(gap.terms).get(own, 0)
    if coefficient not in (1, -1):
        return None
    rest = Poly.make({m: c for m, c in gap.terms if m is not own})
    return None if index in rest.free else scale(rest, -coefficient)
