"""Rules that bring one term, coefficient * contraction of a product, to normal form.

A rule looks at the factors and bound indices of a term and returns the terms that replace it, or None if it does not apply.
Rules are tried in the order of `TermRules.rules` until none applies; the indices of the result then get canonical names.
What is true of indices (an entry of a one-hot row, a Kronecker delta over a bound index, a range) is said here; products,
powers and functions of whole polynomials are in `algebra`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Container, Iterable, Mapping
from fractions import Fraction
from math import floor

from symbackprop.canonical.naming import canonical_mono, rename_atom, settle_arguments
from symbackprop.canonical.polynomial import (
    ONE,
    UNIT,
    Atom,
    Factors,
    Mono,
    Poly,
    Rational,
    Term,
    as_constant,
    as_index,
    combine,
    constant,
    exact,
    of_index,
    scale,
    subtract,
)
from symbackprop.errors import BudgetError, UnsupportedError
from symbackprop.expression import Expr, Index, Number, Quotient, Tensor
from symbackprop.program import AssumptionKind
from symbackprop.sizes import NO_FACTS, Facts, decide, simplify

INDICATORS = ("delta", "nonneg", "positive", "zero")
SPARE = -3  # uid of the names that a bound index has while a term is being worked on
Terms = list[Term]
Rule = Callable[["TermRules", Factors, tuple[Index, ...]], Terms | None]


class TermRules:
    """The rules, with what is assumed about inputs and sizes, and a budget.

    Args:
        facts: relations between sizes and ranges of labels.
        assumptions: for each input tensor what its entries are known to be.
        seconds: time after which work stops with a BudgetError.
        expanded: sums over a fixed number of values up to this are written out, and such axes compared entry by entry.
    """

    def __init__(
        self,
        facts: Facts = NO_FACTS,
        assumptions: Mapping[Tensor, AssumptionKind] | None = None,
        seconds: float = 20.0,
        *,
        expanded: int = 0,
    ) -> None:
        self.facts, self.expanded = facts, expanded
        self.assumptions = dict(assumptions or {})
        self.used: dict[str, None] = {}  # conditions that a proof made use of, in words
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self._folds: dict[Poly, tuple[Poly, Rational, Poly] | None] = {}

    def written_out(self, size: Expr) -> int:
        """The length of an axis that is written out entry by entry, 0 for others."""
        fixed = isinstance(size, Number) and 1 < size.value <= self.expanded
        return int(size.value) if fixed and isinstance(size, Number) else 0

    def restart_clock(self, seconds: float | None = None) -> None:
        """Start the time budget anew."""
        self.deadline = time.monotonic() + (self.seconds if seconds is None else seconds)

    def check_budget(self) -> None:
        """Raise BudgetError when the time is up."""
        if time.monotonic() > self.deadline:
            raise BudgetError(f"the normal form took longer than its budget of {self.seconds:g} s")

    # What `algebra` provides for whole polynomials.

    def multiply(self, left: Poly, right: Poly) -> Poly:
        """The product."""
        raise NotImplementedError

    def power(self, base: Poly, exponent: Rational) -> Poly:
        """base ** exponent."""
        raise NotImplementedError

    def substitute_atom(self, atom: Atom, values: Mapping[Index, Poly]) -> Poly:
        """The atom with indices replaced."""
        raise NotImplementedError

    def substitute(self, poly: Poly, values: Mapping[Index, Poly]) -> Poly:
        """The polynomial with indices replaced."""
        raise NotImplementedError

    def zero(self, value: Poly) -> Poly:
        """1 where a real value is 0, else 0."""
        raise NotImplementedError

    def body_at(self, top: Atom, place: Poly) -> Poly:
        """What an extremum is taken of, at one value of its index."""
        raise NotImplementedError

    def size_of(self, size: Expr) -> Poly:
        """A size as a polynomial."""
        raise NotImplementedError

    def size_expression(self, poly: Poly) -> Expr:
        """An integer polynomial as an expression."""
        raise NotImplementedError

    # The engine.

    def collect(self, terms: Iterable[Term]) -> Poly:
        """The normal form of a sum of terms."""
        table: dict[Mono, Rational] = {}
        stack = list(terms)
        steps = 0
        while stack:
            steps += 1
            if steps % 64 == 0:
                self.check_budget()
            coefficient, factors, bound = stack.pop()
            for rule in self.rules:
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
        if not _between_indices(difference):
            e = self.size_expression(difference)
            if self._decided("<", e) or self._decided(">", e):
                return constant(0)
        return self.collect([(1, {Atom.make("delta", None, settle_arguments("delta", None, (difference,))): 1}, ())])

    def nonneg(self, value: Poly) -> Poly:
        """1 where an integer is >= 0, else 0; of p and -p - 1 the one with the constant >= 0 is kept."""
        number = as_constant(value)
        if number is not None:
            return ONE if number >= 0 else constant(0)
        e = self.size_expression(value)
        if self._decided(">=", e):
            return ONE
        if self._decided("<", e):
            return constant(0)
        if dict(value.terms).get(UNIT, 0) >= 0:
            return self._single(Atom.make("nonneg", None, (value,)))
        opposite = Atom.make("nonneg", None, (combine([(-1, value), (-1, ONE)]),))
        return subtract(ONE, self._single(opposite))

    def _single(self, atom: Atom) -> Poly:
        return Poly.make({Mono.make(((atom, 1),)): 1})

    def _decided(self, relation: str, e: Expr) -> bool:
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
        index = as_index(value)
        if index is not None and index.size is size:
            return ONE
        digit = self._digit(value, self.size_of(size))
        if digit is not None:
            return digit
        above = self.nonneg(combine([(1, self.size_of(size)), (-1, ONE), (-1, value)]))
        return self.multiply(self.nonneg(value), above)

    def _digit(self, value: Poly, size: Poly) -> Poly | None:
        """For value = i - E*h and size = E the range 0 <= value < E says h = i // E: one delta, no two inequalities."""
        for index in value.free:
            own = Poly.make({m: c for m, c in value.terms if index in m.free})
            if own is self.multiply(scale(size, -1), of_index(index)):
                rest = subtract(value, own)
                high = self.size_of(Quotient(self.size_expression(rest), self.size_expression(size)))
                return self.delta(subtract(of_index(index), high))
        return None

    # The rules.

    def tidy(self, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
        """Powers of indicators and of 0/1 or -1/+1 data; no factor to the power 0."""
        changed: Factors = {}
        for atom, exponent in factors.items():
            new = exponent
            if atom.kind in INDICATORS:
                if exponent < 0:
                    raise UnsupportedError("a quotient divides by an indicator, which can be 0")
                new = 1 if exponent else 0
            elif atom.kind == "entry" and exponent not in (0, 1):
                new = self._data_power(atom, exponent)
            if new != exponent or not exponent:
                changed[atom] = new
        if not changed:
            return None
        merged = {**factors, **changed}
        return [(1, {a: e for a, e in merged.items() if e}, bound)]

    def _data_power(self, atom: Atom, exponent: Rational) -> Rational:
        kind = self.assumptions.get(atom.data)
        if kind in ("bern", "onehot") and exponent > 0:
            self.used[f"entries of {atom.data.name} are 0 or 1"] = None
            return 1
        if kind == "pm1" and exact(exponent) == int(exponent):
            self.used[f"entries of {atom.data.name} are -1 or +1"] = None
            return int(exponent) % 2
        return exponent

    def expand_base(self, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
        """A sum kept as one atom is multiplied out as soon as its exponent reaches 1."""
        for atom, exponent in factors.items():
            if atom.kind == "base" and exponent >= 1:
                whole = floor(exponent)
                rest = {a: e for a, e in factors.items() if a is not atom}
                if exponent != whole:
                    rest[atom] = exact(Fraction(exponent) - whole)
                terms: Terms = [(1, rest, bound)]
                for _ in range(whole):
                    terms = self.times(terms, self.definition(atom))
                return terms
        return None

    def definition(self, atom: Atom) -> Poly:
        """What a base atom stands for."""
        (template,) = atom.data
        return self.substitute(template, self.parameters(atom, template))

    def parameters(self, atom: Atom, template: Poly) -> dict[Index, Poly]:
        """The value of each parameter of the templates of `atom`."""
        from_name = {int(i.name[1:]): i for i in template.free}
        return {index: atom.args[k] for k, index in from_name.items()}

    def contract_delta(self, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
        """Sum over a bound index by a Kronecker delta that carries it; the value must lie in the index's range."""
        for atom in factors:
            if atom.kind != "delta":
                continue
            (gap,) = atom.args
            for index in bound:
                value = solve_for(gap, index)
                if value is not None:
                    rest = {a: e for a, e in factors.items() if a is not atom}
                    remaining = tuple(i for i in bound if i is not index)
                    terms = self.substitute_factors(rest, remaining, {index: value})
                    return self.times(terms, self.in_range(value, index.size))
            split = self._mixed_radix(gap)
            if split is not None:
                rest = {a: e for a, e in factors.items() if a is not atom}
                return self.times(self.times([(1, rest, bound)], self.delta(split[0])), self.delta(split[1]))
        return None

    def _mixed_radix(self, gap: Poly) -> tuple[Poly, Poly] | None:
        """(a, b) if gap = E*a + b with -E < b < E, so that gap = 0 exactly where a = 0 and b = 0."""
        for mono, coefficient in gap.terms:
            indices = [a for a, e in mono.factors if a.kind != "symbol"]
            if len(indices) != 1 or len(mono.factors) + (abs(coefficient) != 1) < 2:
                continue
            unit = tuple(f for f in mono.factors if f[0].kind == "symbol")
            radix = Poly.make({Mono.make(unit): abs(coefficient)})
            quotient: dict[Mono, Rational] = {}
            rest: dict[Mono, Rational] = {}
            for m, c in gap.terms:
                others = tuple(f for f in m.factors if f not in unit)
                if len(others) + len(unit) == len(m.factors) and c % abs(coefficient) == 0 and (others or c == 0):
                    quotient[Mono.make(others)] = exact(Fraction(c) / abs(coefficient))
                else:
                    rest[m] = c
            b = Poly.make(rest)
            if not rest or b is gap:
                continue
            low, high = self.size_expression(combine([(1, b), (1, radix)])), self.size_expression(combine([(1, radix), (-1, b)]))
            if self._decided(">", low) and self._decided(">", high):
                return Poly.make(quotient), b
        return None

    def use_delta(self, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
        """Where a delta of free indices stands, write its other factors with one of the two equal indices."""
        deltas = [a for a in factors if a.kind == "delta"]
        for atom in sorted(deltas, key=lambda a: not _between_indices(a.args[0])):  # the simplest equality first
            (gap,) = atom.args
            for index in sorted(gap.free - set(bound), key=lambda i: (i.name, i.uid), reverse=True):
                value = solve_for(gap, index)
                rest = {a: e for a, e in factors.items() if a is not atom}
                if value is not None and any(index in a.free for a in rest):
                    terms = self.substitute_factors(rest, bound, {index: value})
                    return self.times(terms, self._single(atom))
                if value is not None:
                    break
        return None

    def narrow_range(self, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
        """An inequality for a bound index becomes a shorter range; one that another implies is dropped."""
        inequalities = [a for a in factors if a.kind == "nonneg"]
        for atom in inequalities:
            rest = {a: e for a, e in factors.items() if a is not atom}
            for index in bound:
                new = self._shorter(atom.args[0], index)
                if new is not None:
                    length, shift = new
                    others = tuple(i for i in bound if i is not index)
                    if not any(index in a.free for a in rest):
                        return self.times([(1, rest, others)], length)
                    if length.free:
                        continue  # a range that depends on an index stays an inequality: sizes are never renamed
                    fresh_index = spare(self.size_expression(length), {*bound, *(i for a in factors for i in a.free)})
                    remaining = (*others, fresh_index)
                    return self.substitute_factors(rest, remaining, {index: combine([(1, of_index(fresh_index)), (1, shift)])})
            for other in inequalities:
                if other is not atom and self._decided(">=", self.size_expression(subtract(atom.args[0], other.args[0]))):
                    return [(1, rest, bound)]
                both = combine([(1, atom.args[0]), (1, other.args[0])])
                if other is not atom and self._decided("<", self.size_expression(both)):
                    return []
        return None

    def _shorter(self, value: Poly, index: Index) -> tuple[Poly, Poly] | None:
        """(length, shift) of the range that value >= 0 leaves to the index, if it is a proved part of the old one."""
        bound = solve_for(value, index)
        if bound is None:
            return None
        rising = dict(value.terms)[of_index(index).terms[0][0]] == 1
        size = self.size_of(index.size)
        inside = bound if rising else combine([(1, bound), (1, ONE)])
        low, high = self.size_expression(inside), self.size_expression(subtract(size, inside))
        if not (self._decided(">=", low) and self._decided(">=", high)):
            return None
        return (subtract(size, inside), inside) if rising else (inside, constant(0))

    def decide_by_delta(self, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
        """An inequality that holds, or fails, once an index is replaced by what a delta says that it equals."""
        for atom, other in itertools.product(factors, factors):
            if atom.kind != "delta" or other.kind != "nonneg":
                continue
            for index in atom.args[0].free & other.free:
                value = solve_for(atom.args[0], index)
                if value is None:
                    continue
                verdict = self.nonneg(self.substitute(other.args[0], {index: value}))
                if as_constant(verdict) is not None:
                    return self.times([(1, {a: e for a, e in factors.items() if a is not other}, bound)], verdict)
        return None

    def unused_index(self, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
        """A sum over an index that does not occur is a factor: the size of its axis."""
        for index in bound:
            if not any(index in a.free for a in factors):
                remaining = tuple(i for i in bound if i is not index)
                return self.times([(1, factors, remaining)], self.size_of(index.size))
        return None

    def first_value(self, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
        """A sum over N + 1 values is its first term and a sum over N; one over a single value is its only term."""
        for index in bound:
            size = self.size_of(index.size)
            if dict(size.terms).get(UNIT, 0) < 1 or any(c < 0 for _, c in size.terms):
                continue
            rest = subtract(size, ONE)
            if as_constant(rest):
                continue  # a sum over three values stays a sum
            others = tuple(i for i in bound if i is not index)
            terms = self.substitute_factors(factors, others, {index: constant(0)})
            if rest.terms:
                shorter = spare(self.size_expression(rest), {*bound, *(i for a in factors for i in a.free)})
                following = combine([(1, of_index(shorter)), (1, ONE)])
                terms += self.substitute_factors(factors, (*others, shorter), {index: following})
            return terms
        return None

    def sum_of_onehot(self, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
        """The entries of a one-hot row add up to 1."""
        for atom, exponent in factors.items():
            if atom.kind == "entry" and exponent == 1 and atom.args and self.assumptions.get(atom.data) in ("onehot", "simplex"):
                index = as_index(atom.args[-1])
                others = [a for a in factors if a is not atom and index in a.free]
                elsewhere = any(index in arg.free for arg in atom.args[:-1])
                if index not in bound or others or elsewhere:
                    continue
                if self.size_of(index.size) is self.size_of(atom.data.shape[-1]):
                    self.used[f"the rows of {atom.data.name} add up to 1"] = None
                    rest = {a: e for a, e in factors.items() if a is not atom}
                    return [(1, rest, tuple(i for i in bound if i is not index))]
        return None

    def fold(self, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
        """Where D = c*lead + rest stands in a denominator and `lead` in the numerator, lead = (D - rest)/c."""
        for atom, exponent in factors.items():
            if atom.kind != "base" or exponent >= 0:
                continue
            found = self._leading(atom.data[0])
            if found is None:
                continue
            values = self.parameters(atom, atom.data[0])
            lead, rest = self.substitute(found[0], values), self.substitute(found[2], values)
            if len(lead.terms) != 1:
                continue
            (mono, unit), c = lead.terms[0], found[1]
            c = exact(c * unit)
            matched = match(mono, factors, bound, atom)
            if matched is not None:
                left, indices = matched
                raised = {**left, atom: exact(left.get(atom, 0) + 1)}
                share = exact(Fraction(1) / c)
                lower = self.times([(exact(-share), left, indices)], rest)
                return [(share, raised, indices), *lower]
            reverse = self._fold_back(factors, bound, atom, mono, c, rest)
            if reverse is not None:
                return reverse
        return None

    def _fold_back(
        self, factors: Factors, bound: tuple[Index, ...], atom: Atom, lead: Mono, c: Rational, rest: Poly
    ) -> Terms | None:
        """For D = c*lead + r with a number r: 1/lead = (D/lead - c)/r, so that no power of lead stands beside 1/D."""
        r = as_constant(rest)
        inverse = [(a, -e) for a, e in lead.factors]
        if not r or lead.bound or not all(factors.get(a, 0) * e > 0 and abs(factors[a]) >= abs(e) for a, e in inverse):
            return None
        share = exact(Fraction(1) / r)
        raised = {**factors, atom: exact(factors[atom] + 1)}
        lowered = dict(factors)
        for a, e in lead.factors:
            lowered[a] = exact(lowered[a] + e)
        return [(share, raised, bound), (exact(-c * share), lowered, bound)]

    def _leading(self, template: Poly) -> tuple[Poly, Rational, Poly] | None:
        """(lead, coefficient, rest) of a template; a lead with few bound indices and a high degree is the best."""
        if template not in self._folds:
            candidates = [(m, c) for m, c in template.terms if any(a.kind != "symbol" for a, _ in m.factors)]
            candidates = candidates or [(m, c) for m, c in template.terms if m is not UNIT]
            if not candidates:
                self._folds[template] = None
            else:
                mono, c = min(candidates, key=lambda t: (len(t[0].bound), -sum(abs(e) for _, e in t[0].factors), t[0].id))
                rest = Poly.make({m: k for m, k in template.terms if m is not mono})
                self._folds[template] = (Poly.make({mono: 1}), c, rest)
        return self._folds[template]

    rules: tuple[Rule, ...] = (
        tidy,
        expand_base,
        contract_delta,
        narrow_range,
        decide_by_delta,
        use_delta,
        unused_index,
        first_value,
        sum_of_onehot,
        fold,
    )


def spare(size: Expr, used: Container[Index]) -> Index:
    """The first name for a bound index under work that is not in use."""
    return next(s for k in itertools.count() if (s := Index(f"t{k}", size, SPARE)) not in used)


def _between_indices(difference: Poly) -> bool:
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


def match(lead: Mono, factors: Factors, bound: tuple[Index, ...], atom: Atom) -> tuple[Factors, tuple[Index, ...]] | None:
    """`factors` divided by `lead`, whose bound indices must be bound indices of the term that occur nowhere else."""
    candidates = [[i for i in bound if i.size is b.size and i not in atom.free] for b in lead.bound]
    for choice in itertools.product(*candidates):
        if len(set(choice)) < len(choice):
            continue
        names = dict(zip(lead.bound, choice, strict=True))
        wanted = {rename_atom(a, names): e for a, e in lead.factors}
        chosen = set(choice)
        if all(_divides(factors, a, e, exactly=bool(a.free & chosen)) for a, e in wanted.items()) and all(
            a in wanted for a in factors if a.free & chosen
        ):
            left = dict(factors)
            for a, e in wanted.items():
                left[a] = exact(left[a] - e)
            return {a: e for a, e in left.items() if e}, tuple(i for i in bound if i not in chosen)
    return None


def _divides(factors: Factors, atom: Atom, exponent: Rational, *, exactly: bool) -> bool:
    present = factors.get(atom, 0)
    if exactly:
        return present == exponent
    return present * exponent > 0 and abs(present) >= abs(exponent)


__all__ = ["TermRules", "match", "simplify", "solve_for"]
