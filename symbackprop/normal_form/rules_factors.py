"""Rules for the factors of one term: powers of 0/1 data, sums kept as one atom, rows that add up to 1, denominators."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import floor

from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import Index
from symbackprop.normal_form.bound_names import rename_atom
from symbackprop.normal_form.data import (
    UNIT,
    Atom,
    Factors,
    Mono,
    Poly,
    Rational,
    as_constant,
    as_index,
    exact,
    magnitude,
    subtract,
)
from symbackprop.normal_form.rewriter import INDICATORS, TermRules, Terms

MANY_CHOICES = 64  # of indices for those of a leading term, between two looks at the budget


def tidy(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """Powers of indicators and of 0/1 or -1/+1 data; no factor to the power 0."""
    changed: Factors = {}
    for atom, exponent in factors.items():
        new = exponent
        if atom.kind in INDICATORS:
            if exponent < 0:
                raise UnsupportedError("a quotient divides by an indicator, which can be 0")
            new = 1 if exponent else 0
        elif atom.kind == "entry" and exponent not in (0, 1):
            new = _data_power(rules, atom, exponent)
        if new != exponent or not exponent:
            changed[atom] = new
    if not changed:
        return None
    merged = {**factors, **changed}
    return [(1, {a: e for a, e in merged.items() if e}, bound)]


def _data_power(rules: TermRules, atom: Atom, exponent: Rational) -> Rational:
    kind = rules.assumptions.get(atom.data)
    if kind in ("bern", "onehot") and exponent > 0:
        rules.used[f"entries of {atom.data.name} are 0 or 1"] = None
        return 1
    if kind == "pm1" and exact(exponent) == int(exponent):
        rules.used[f"entries of {atom.data.name} are -1 or +1"] = None
        return int(exponent) % 2
    return exponent


def expand_base(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """A sum kept as one atom is multiplied out as soon as its exponent reaches 1.

    The root of a number keeps an exponent between 0 and 1.
    """
    for atom, exponent in factors.items():
        value = as_constant(atom.data[0]) if atom.kind == "base" else None
        if value and not 0 < exponent < 1:
            whole = floor(exponent)
            factors = {**factors, atom: exact(Fraction(exponent) - whole)}
            return [(exact(Fraction(value) ** whole), {a: e for a, e in factors.items() if e}, bound)]
        if atom.kind == "base" and exponent >= 1:
            whole = floor(exponent)
            rest = {a: e for a, e in factors.items() if a is not atom}
            if exponent != whole:
                rest[atom] = exact(Fraction(exponent) - whole)
            terms: Terms = [(1, rest, bound)]
            for _ in range(whole):
                terms = rules.times(terms, rules.definition(atom))
            return terms
    return None


def sum_of_onehot(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """The entries of a one-hot row add up to 1."""
    for atom, exponent in factors.items():
        if (
            atom.kind == "entry"
            and exponent == 1
            and atom.args
            and rules.assumptions.get(atom.data) in ("onehot", "simplex")
        ):
            axis = rules.adding_up[atom.data] % len(atom.args)
            index = as_index(atom.args[axis])
            others = [a for a in factors if a is not atom and index in a.free]
            elsewhere = any(index in arg.free for k, arg in enumerate(atom.args) if k != axis)
            if index not in bound or others or elsewhere:
                continue
            if rules.size_of(index.size) is rules.size_of(atom.data.shape[axis]):
                lines = "rows" if axis == len(atom.args) - 1 else "columns"
                rules.used[f"the {lines} of {atom.data.name} add up to 1"] = None
                rest = {a: e for a, e in factors.items() if a is not atom}
                return [(1, rest, tuple(i for i in bound if i is not index))]
    return None


def one_of_a_row(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """Two entries of a one-hot row are both 1 only if they are the same: y_c*y_k = [c = k]*y_c."""
    hot = [a for a, e in factors.items() if e == 1 and a.kind == "entry" and rules.assumptions.get(a.data) == "onehot"]
    for first, second in itertools.combinations(hot, 2):
        axis = rules.adding_up[first.data] % len(first.args) if first.args else 0
        others = [(a, b) for k, (a, b) in enumerate(zip(first.args, second.args, strict=False)) if k != axis]
        if first.data is second.data and first.args and all(a is b for a, b in others):
            lines = "row" if axis == len(first.args) - 1 else "column"
            rules.used[f"one entry of each {lines} of {first.data.name} is 1"] = None
            rest = {a: e for a, e in factors.items() if a is not second}
            same = rules.delta(subtract(first.args[axis], second.args[axis]))
            return rules.times([(1, rest, bound)], same)
    return None


def fold(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """Where D = c*lead + rest stands in a denominator and `lead` in the numerator, lead = (D - rest)/c."""
    for atom, exponent in factors.items():
        if atom.kind != "base" or exponent >= 0:
            continue
        found = _leading(rules, atom.data[0])
        if found is None:
            continue
        values = rules.parameters(atom, atom.data[0])
        lead, rest = rules.substitute(found[0], values), rules.substitute(found[2], values)
        if len(lead.terms) != 1:
            continue
        (mono, unit), c = lead.terms[0], found[1]
        c = exact(c * unit)
        matched = _match(rules, mono, factors, bound, atom)
        if matched is not None:
            left, indices = matched
            raised = {**left, atom: exact(left.get(atom, 0) + 1)}
            share = exact(Fraction(1) / c)
            lower = rules.times([(exact(-share), left, indices)], rest)
            return [(share, raised, indices), *lower]
        reverse = _fold_back(rules, factors, bound, atom, mono, c, rest)
        if reverse is not None:
            return reverse
    return None


def _fold_back(
    rules: TermRules, factors: Factors, bound: tuple[Index, ...], atom: Atom, lead: Mono, c: Rational, rest: Poly
) -> Terms | None:
    """For D = c*lead + r with a number r: 1/lead = (D/lead - c)/r, so that no power of lead stands beside 1/D."""
    r = as_constant(rest)
    inverse = [(a, -e) for a, e in lead.factors]
    if not r or lead.bound or not all(_divides(factors, a, e, exactly=False) for a, e in inverse):
        return None
    share = exact(Fraction(1) / r)
    raised = {**factors, atom: exact(factors[atom] + 1)}
    lowered = dict(factors)
    for a, e in lead.factors:
        lowered[a] = exact(lowered[a] + e)
    return [(share, raised, bound), (exact(-c * share), lowered, bound)]


def _leading(rules: TermRules, template: Poly) -> tuple[Poly, Rational, Poly] | None:
    """(lead, coefficient, rest) of a template; a lead with few bound indices and a high degree is the best."""
    if template not in rules.folds:
        candidates = [(m, c) for m, c in template.terms if any(a.kind != "symbol" for a, _ in m.factors)]
        candidates = candidates or [(m, c) for m, c in template.terms if m is not UNIT]
        if not candidates:
            rules.folds[template] = None
        else:
            mono, c = min(candidates, key=lambda t: (len(t[0].bound), -_degree(t[0]), t[0].id))
            rest = Poly.make({m: k for m, k in template.terms if m is not mono})
            rules.folds[template] = (Poly.make({mono: 1}), c, rest)
    return rules.folds[template]


def _match(
    rules: TermRules, lead: Mono, factors: Factors, bound: tuple[Index, ...], atom: Atom
) -> tuple[Factors, tuple[Index, ...]] | None:
    """`factors` divided by `lead`, whose bound indices must be bound indices of the term that occur nowhere else."""
    candidates = [[i for i in bound if i.size is b.size and i not in atom.free] for b in lead.bound]
    for k, choice in enumerate(itertools.product(*candidates), start=1):
        if k % MANY_CHOICES == 0:
            rules.check_budget()
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
    return present * exponent > 0 and magnitude(present) >= magnitude(exponent)


def _degree(mono: Mono) -> Rational:
    return exact(sum((Fraction(magnitude(e)) for _, e in mono.factors), Fraction(0)))
