"""Rules for merged axes: where index // E occurs, the index is E * quotient + remainder, and E * h + e = i is solved.

A reshape that merges two axes reads x[n, j // E, j % E] over one long index j. Summed over, j falls apart into its
quotient and its remainder, whose ranges are the two axes. This module knows indices only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from symbackprop.expression.build import Expr, Index, Number, Quotient, Remainder, multiply
from symbackprop.expression.sizes import simplify
from symbackprop.normal_form.data import (
    ONE,
    Atom,
    Factors,
    Mono,
    Poly,
    Rational,
    as_atom,
    as_index,
    combine,
    constant,
    of_atom,
    of_index,
    parameter,
    scale,
)
from symbackprop.normal_form.rewriter import TermRules, Terms, spare

LOW = 1000  # the parameters of the lower digits of indices: no tensor has so many axes
SHORT = 8  # digits up to this range are written out


def split_merged_index(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """A bound index that is divided by E, where E divides its range, becomes two indices."""
    for index in bound:
        for radix in radices(factors, index):
            parts = exact_parts(rules, index, radix)
            if parts is None:
                continue
            taken = {*bound, *(i for a in factors for i in a.free)}
            high = spare(parts[0], taken)
            low = spare(parts[1], taken | {high})
            value = combine([(1, rules.multiply(rules.size_of(parts[1]), of_index(high))), (1, of_index(low))])
            remaining = (*(i for i in bound if i is not index), high, low)
            return rules.substitute_factors(factors, remaining, {index: value})
    return None


def in_digits(rules: TermRules, index: Index, polys: Iterable[Poly]) -> list[Poly]:
    """Every value of a parameter that these divide by E, where E divides its range, as E * high + low; [] for others.

    A short E is written out, one low digit after another.
    """
    atoms: Factors = dict.fromkeys((a for poly in polys for m, _ in poly.terms for a, _ in m.factors), 1)
    parts = [x for r in radices(atoms, index) if (x := exact_parts(rules, index, r))]
    if not parts:
        return []
    (count, unit), place = parts[0], int(index.name[1:])
    high, by = of_index(parameter(place, count)), rules.size_of(unit)
    if isinstance(unit, Number) and unit.value <= SHORT:
        lows = [constant(k) for k in range(int(unit.value))]
    else:
        lows = [of_index(parameter(LOW + place, unit))]
    return [combine([(1, rules.multiply(by, high)), (1, low)]) for low in lows]


def exact_parts(rules: TermRules, index: Index, radix: Poly) -> tuple[Expr, Expr] | None:
    """(size / E, E) if E divides the size of the index."""
    if radix.free:
        return None
    unit = rules.size_expression(radix)
    if isinstance(unit, Number) and unit.value <= 1:
        return None
    count = simplify(Quotient(index.size, unit), rules.facts)
    whole = simplify(multiply(count, unit), rules.facts)
    return (count, unit) if whole is simplify(index.size, rules.facts) else None


def radices(factors: Factors, index: Index) -> list[Poly]:
    """The divisors of quotients of the index, as they occur anywhere in index arguments."""
    found: dict[Poly, None] = {}
    for atom in factors:
        if index in atom.free:
            _look(atom, index, found)
    return list(found)


def _look(atom: Atom, index: Index, found: dict[Poly, None]) -> None:
    if atom.kind == "quotient" and as_index(atom.args[0]) is index:
        found[atom.args[1]] = None
    for arg in atom.args:
        for mono, _ in arg.terms:
            for inner, _ in mono.factors:
                if index in inner.free and inner.kind != "index":
                    _look(inner, index, found)


def solve_mixed_radix(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """A delta that says i = E*h + e, with e below E: h is i // E and e is i % E; likewise for more digits."""
    for atom in factors:
        if atom.kind != "delta":
            continue
        digits = _digits(rules, atom.args[0], bound)
        if len(digits) < 2:
            continue
        values, condition = _solved(rules, atom.args[0], digits)
        rest = {a: e for a, e in factors.items() if a is not atom}
        remaining = tuple(i for i in bound if i not in digits)
        return rules.times(rules.substitute_factors(rest, remaining, values), condition)
    return None


def join_digits(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """[v // E = a] [v % E = b] says that v = E*a + b, for a place v that is no index and a b from 0 to E - 1."""
    deltas = [a for a in factors if a.kind == "delta" and a.free.isdisjoint(bound)]
    for first, second in itertools.permutations(deltas, 2):
        (high,), (low,) = first.args, second.args
        for quotient, sign in _alone(high):
            place, by = quotient.args
            own = as_atom(place)
            other = None if own is None or own.kind == "index" else _coefficient_of(low, own)
            if other is None:
                continue
            digit = combine([(1, place), (-1, rules.multiply(by, of_atom(quotient))), (-other, low)])
            if own in _atoms(digit) or quotient in _atoms(digit) or own in _atoms(high):
                continue
            within = [("<", combine([(1, digit), (-1, by)])), (">=", digit)]
            if all(rules.decided(relation, rules.size_expression(p)) for relation, p in within):
                whole = rules.multiply(by, combine([(1, of_atom(quotient)), (-sign, high)]))
                rest = {a: e for a, e in factors.items() if a not in (first, second)}
                return rules.times([(1, rest, bound)], rules.delta(combine([(1, whole), (1, digit), (-1, place)])))
    return None


def _alone(gap: Poly) -> list[tuple[Atom, int]]:
    """The quotients that stand in a gap by themselves, with the coefficient 1 or -1."""
    found = [(m.factors[0][0], c) for m, c in gap.terms if len(m.factors) == 1 and m.factors[0][1] == 1]
    return [(a, int(c)) for a, c in found if a.kind == "quotient" and c in (1, -1)]


def _coefficient_of(gap: Poly, atom: Atom) -> int | None:
    """1 or -1 if the atom stands in the gap by itself with that coefficient."""
    return next((int(c) for m, c in gap.terms if m.factors == ((atom, 1),) and c in (1, -1)), None)


def _atoms(poly: Poly) -> set[Atom]:
    return {a for m, _ in poly.terms for a, _ in m.factors}


def _digits(rules: TermRules, gap: Poly, bound: tuple[Index, ...]) -> list[Index]:
    """The bound indices of `gap`, lowest digit first, if the coefficients are 1, E, E*F, ... for ranges E, F."""
    inside = [i for i in bound if i in gap.free]
    places = {i: _coefficient(gap, i) for i in inside}
    if len(inside) < 2 or None in places.values():
        return []
    for sign in (1, -1):
        wanted, digits = constant(sign), []
        while True:
            found = next((i for i in inside if i not in digits and places[i] is wanted), None)
            if found is None:
                break
            digits.append(found)
            wanted = rules.multiply(wanted, rules.size_of(found.size))
        if len(digits) == len(inside):
            return digits
    return []


def _coefficient(gap: Poly, index: Index) -> Poly | None:
    """What `index` is multiplied by, if `gap` is linear in it and the rest is sizes."""
    table: dict[Mono, Rational] = {}
    for mono, c in gap.terms:
        if index not in mono.free:
            continue
        own = [(a, e) for a, e in mono.factors if index in a.free]
        others = tuple(f for f in mono.factors if f not in own)
        if len(own) != 1 or own[0][0].kind != "index" or own[0][1] != 1 or any(a.free for a, _ in others):
            return None
        table[Mono.make(others)] = c
    return Poly.make(table)


def _solved(rules: TermRules, gap: Poly, digits: list[Index]) -> tuple[dict[Index, Poly], Poly]:
    """The value of each digit, and the condition that the highest lies in its range."""
    lowest = _coefficient(gap, digits[0])
    sign = 1 if lowest is ONE else -1
    without = Poly.make({m: c for m, c in gap.terms if not m.free & set(digits)})
    rest = rules.size_expression(scale(without, -sign))
    values: dict[Index, Poly] = {}
    for digit in digits[:-1]:
        values[digit] = rules.size_of(Remainder(rest, digit.size))
        rest = simplify(Quotient(rest, digit.size), rules.facts)
    highest = rules.size_of(rest)
    values[digits[-1]] = highest
    return values, rules.in_range(highest, digits[-1].size)


def write_out(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """A sum over a fixed number of values, term by term, where that is asked for."""
    for index in bound:
        count = rules.written_out(index.size)
        if count:
            others = tuple(i for i in bound if i is not index)
            return [t for k in range(count) for t in rules.substitute_factors(factors, others, {index: constant(k)})]
    return None
