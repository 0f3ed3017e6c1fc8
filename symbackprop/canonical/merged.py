"""Rules for merged axes: where index // E occurs, the index is E * quotient + remainder.

A reshape that merges two axes reads x[n, j // E, j % E] over one long index j. Summed over, j falls apart into its quotient and
its remainder, whose ranges are the two axes. This module knows indices only.
"""

from __future__ import annotations

from symbackprop.canonical.polynomial import Atom, Factors, Poly, as_index, combine, of_index
from symbackprop.canonical.terms import TermRules, Terms, spare
from symbackprop.expression import Expr, Index, Number, Quotient, multiply
from symbackprop.sizes import simplify


def split_merged_index(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """A bound index that is divided by E, where E divides its range, becomes two indices."""
    for index in bound:
        for radix in _radices(factors, index):
            parts = _exact_parts(rules, index, radix)
            if parts is None:
                continue
            taken = {*bound, *(i for a in factors for i in a.free)}
            high = spare(parts[0], taken)
            low = spare(parts[1], taken | {high})
            value = combine([(1, rules.multiply(rules.size_of(parts[1]), of_index(high))), (1, of_index(low))])
            remaining = (*(i for i in bound if i is not index), high, low)
            return rules.substitute_factors(factors, remaining, {index: value})
    return None


def _exact_parts(rules: TermRules, index: Index, radix: Poly) -> tuple[Expr, Expr] | None:
    """(size / E, E) if E divides the size of the index."""
    if radix.free:
        return None
    unit = rules.size_expression(radix)
    if isinstance(unit, Number) and unit.value <= 1:
        return None
    count = simplify(Quotient(index.size, unit), rules.facts)
    whole = simplify(multiply(count, unit), rules.facts)
    return (count, unit) if whole is simplify(index.size, rules.facts) and not isinstance(count, Quotient) else None


def _radices(factors: Factors, index: Index) -> list[Poly]:
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
