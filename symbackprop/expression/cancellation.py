"""Proofs of p >= 0 for polynomials in atoms that are >= 0: what is negative is cancelled against known inequalities.

The arithmetic below `sizes`. This module knows nothing of what an atom is worth.
"""

from __future__ import annotations

from symbackprop.expression.build import Expr
from symbackprop.expression.size_polynomial import Polynomial, minus, order, times, without

# How many subtractions of known inequalities are tried, and how many terms a goal may have.
SEARCH_LIMIT = 60
LARGEST_GOAL = 40


def relevant(polynomial: Polynomial, inequalities: list[Polynomial]) -> list[Polynomial]:
    """The inequalities that share an atom with `polynomial`, directly or through others."""
    atoms = {a for m in polynomial for a, _ in m}
    waiting, found = list(inequalities), []
    while near := [p for p in waiting if any(a in atoms for m in p for a, _ in m)]:
        found += near
        waiting = [p for p in waiting if not any(p is q for q in near)]
        atoms |= {a for p in near for m in p for a, _ in m}
    return found


def cancels(goal: Polynomial, known: list[Polynomial], free: set[Expr]) -> bool:
    """True if goal >= 0 is proved from known inequalities (each >= 0), for atoms that are >= 0 unless they are free."""
    return _search(goal, known, free, [SEARCH_LIMIT], set())


def _search(
    goal: Polynomial, known: list[Polynomial], free: set[Expr], budget: list[int], seen: set[frozenset[object]]
) -> bool:
    """Subtract multiples of `known` inequalities until every term is positive in atoms that are >= 0."""
    bad = [(m, c) for m, c in goal.items() if c < 0 or any(a in free for a, _ in m)]
    if not bad:
        return True
    state = frozenset(goal.items())
    if state in seen or budget[0] <= 0 or len(goal) > LARGEST_GOAL:
        return False
    seen.add(state)
    budget[0] -= 1
    monomial, coefficient = max(bad, key=lambda item: order(item[0]))
    for inequality in known:
        for part, size in inequality.items():
            factor = without(monomial, part)
            # The multiple must be positive: the same sign, times atoms that are >= 0.
            if factor is None or (size < 0) != (coefficient < 0) or any(a in free for a, _ in factor):
                continue
            multiple = times(inequality, {factor: coefficient / size})
            if _search(minus(goal, multiple), known, free, budget, seen):
                return True
    return False
