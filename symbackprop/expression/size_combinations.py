"""Sums of known inequalities: goal = l1*p1 + l2*p2 + ... + something whose coefficients are all >= 0, with l >= 0.

A window that fits once more is told by two halves: 2*((H - K)//2) >= H - K - 1 and H >= K give (H - K)//2 >= 0. Which
multiples do is a linear program; it is solved with exact fractions, by the simplex method with Bland's rule.
"""

from __future__ import annotations

from fractions import Fraction

from symbackprop.expression.build import Expr
from symbackprop.expression.size_polynomial import Monomial, Polynomial

MOST_ROWS, MOST_COLUMNS, MOST_PIVOTS = 40, 60, 80
NONE = Fraction(0)


def is_combination(goal: Polynomial, known: list[Polynomial], free: set[Expr]) -> bool:
    """True if goal >= 0 is such a sum of the known polynomials, each of which is >= 0.

    Args:
        free: atoms that may be negative: their terms must cancel.

    Example:
        >>> from symbackprop.expression.build import Symbol
        >>> from symbackprop.expression.size_polynomial import UNIT, atom_of, minus, plus
        >>> h, k = (atom_of(Symbol(name, "size")) for name in "HK")
        >>> is_combination(minus(h, k), [minus(plus(h, h), plus(k, k))], set())
        True
    """
    monomials: dict[Monomial, None] = dict.fromkeys(m for p in (goal, *known) for m in p)
    if len(monomials) > MOST_ROWS or len(known) > MOST_COLUMNS:
        return False
    rows = []
    for k, monomial in enumerate(monomials):
        slack = [Fraction(int(j == k)) for j in range(len(monomials))]
        if any(a in free for a, _ in monomial):
            slack[k] = NONE
        row = [*(p.get(monomial, NONE) for p in known), *slack, goal.get(monomial, NONE)]
        rows.append([-c for c in row] if row[-1] < 0 else row)
    return _has_solution(rows)


def _has_solution(rows: list[list[Fraction]]) -> bool:
    """Whether some x >= 0 solves rows[k][:-1] . x = rows[k][-1], where the right sides are >= 0.

    What each row lacks is made up by a variable of its own; their sum is made as small as it gets.
    """
    columns = len(rows[0]) - 1
    basis: list[int] = [columns + k for k in range(len(rows))]
    cost = [sum((row[j] for row in rows), NONE) for j in range(columns + 1)]  # how fast a column lowers what lacks
    for _ in range(MOST_PIVOTS):
        if cost[-1] == 0:
            return True
        entering = next((j for j in range(columns) if cost[j] > 0), None)
        if entering is None:
            return False
        able = [k for k, row in enumerate(rows) if row[entering] > 0]
        if not able:
            return False
        leaving = min(able, key=lambda k: (rows[k][-1] / rows[k][entering], basis[k]))
        pivot = rows[leaving][entering]
        rows[leaving] = [c / pivot for c in rows[leaving]]
        for k, row in enumerate(rows):
            if k != leaving and row[entering]:
                factor = row[entering]
                rows[k] = [a - factor * b for a, b in zip(row, rows[leaving], strict=True)]
        factor = cost[entering]
        cost = [a - factor * b for a, b in zip(cost, rows[leaving], strict=True)]
        basis[leaving] = entering
    return False
