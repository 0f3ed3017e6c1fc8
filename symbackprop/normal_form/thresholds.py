"""One rule for two thresholds of the same quantity: [x > 0] [x > 1] is [x > 1], and of [x > 0] and [x < 1] one holds.

Without it `clip`, hinges and piecewise costs, whose branches are decided by several comparisons of one value, would
keep products of indicators that say the same thing in different ways.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

from symbackprop.expression.build import Index
from symbackprop.normal_form.bound_names import memoised
from symbackprop.normal_form.data import ONE, ZERO, Atom, Factors, Poly, Rational, add, combine, exact, subtract
from symbackprop.normal_form.rewriter import TermRules, Terms


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
    k = _ratio(u, v)
    if k is None:
        return None
    rest = combine([(1, v), (-k, u)])
    sign = rules.sign(rest) if rest.terms else 0
    if sign is None:
        return None
    p, q = rules.single(first), rules.single(second)
    if second.kind == "zero" and first.kind == "zero":
        return p if sign == 0 else ZERO
    if second.kind == "zero":  # where v = 0, u is -w/k
        return q if sign * k < 0 else ZERO
    if k > 0:
        return q if sign < 0 else p  # u > 0 makes v > 0 where w >= 0; where w < 0 it is the other way round
    # u > 0 and v > 0 exclude each other where w <= 0; where w > 0 one of them holds
    return subtract(add(p, q), ONE) if sign > 0 else ZERO


def _ratio(u: Poly, v: Poly) -> Rational | None:
    """k such that v - k*u has no term that holds an entry, if there is one."""
    varying = [(m, c) for m, c in u.terms if any(a.free or a.kind == "entry" for a, _ in m.factors)]
    table = dict(v.terms)
    if not varying or varying[0][0] not in table:
        return None
    return exact(Fraction(table[varying[0][0]]) / Fraction(varying[0][1]))
