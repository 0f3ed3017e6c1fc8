"""Slopes at kinks: of max(z, 0) at z = 0 it is a convention, and the derived gradient takes the one that a claim takes.

Branches that meet at their threshold are one function however the threshold is counted: where(z < 0, 0, z) is
where(0 < z, z, 0), and their mean. What is derived of these differs where z is 0, which without a bias may be an open
set: a layer whose inputs are all 0. There each of them is right, for z is 0 nearby as well; but a claim that masks by
z > 0 is, line by line, the one that is derived of the second form.

Nothing here is trusted: what is proved is proved of equations that compute the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Expr,
    Number,
    Where,
    add,
    entries_once,
    multiply,
    nodes_once,
    number,
    rewrite,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.program import Equation, Program
from symbackprop.normal_form.data import scale
from symbackprop.normal_form.normal_form import Canonical, is_integer

Side = Literal["below", "above", "mean"]  # whose slope counts at the threshold
HALF = number(Fraction(1, 2))


def conventions(program: Program) -> tuple[Side, ...]:
    """The conventions that a program's masks follow, the most frequent one first."""
    votes: dict[Side, int] = {}
    signs = [w for w in _branches(program.equations) if _is_sign(w)]
    inside = {w.otherwise for w in signs}
    canonical = Canonical(program.facts, program.known)
    for branch in _branches(program.equations):
        if branch in inside or _meets(branch, canonical):
            continue
        side: Side | None = "mean" if branch in signs else _at_threshold(branch)
        if side is not None:
            votes[side] = votes.get(side, 0) + 1
    return tuple(sorted(votes, key=lambda side: -votes[side]))


def conventions_elsewhere(program: Program) -> dict[Fraction, Side]:
    """The conventions that a program's masks follow at thresholds of an entry other than 0, as the margin of a hinge.

    "below" and "above" are said of the entry.
    """
    found: dict[Fraction, Side] = {}
    canonical = Canonical(program.facts, program.known)
    for branch in _branches(program.equations):
        condition = branch.condition
        assert isinstance(condition, Compare)
        if condition.relation == "==" or _meets(branch, canonical):
            continue
        try:
            told = _threshold(subtract(condition.right, condition.left), canonical)
        except SymbackpropError:
            continue
        if told is not None and told[1]:
            sign, place = told
            found.setdefault(place, "below" if (sign > 0) == (condition.relation == "<") else "above")
    return found


def oriented(program: Program, side: Side | None, elsewhere: Mapping[Fraction, Side] = MappingProxyType({})) -> Program:
    """The program with branches that meet at their threshold written so that their slope there is that of one side.

    Args:
        side: of those at 0, and at thresholds that `elsewhere` does not name; None for no side.
    """
    canonical = Canonical(program.facts, program.known)

    def turned(node: Expr) -> Expr | None:
        return _turned(node, side, elsewhere, canonical) if isinstance(node, Where) else None

    equations = (replace(e, value=rewrite(e.value, turned)) for e in program.equations)
    return replace(program, equations=tuple(equations))


def _branches(equations: Iterable[Equation]) -> Iterator[Where]:
    """The branches that reals decide; a comparison that is used as a number is one between 1 and 0."""
    seen = dict.fromkeys(n for e in equations for n in nodes_once(e.value))
    conditions = {n.condition for n in seen if isinstance(n, Where)}
    for node in seen:
        branch = Where(node, ONE, ZERO) if isinstance(node, Compare) and node not in conditions else node
        if isinstance(branch, Where) and isinstance(branch.condition, Compare) and not _of_integers(branch.condition):
            yield branch


def _of_integers(condition: Compare) -> bool:
    return is_integer(condition.left) and is_integer(condition.right)


def _is_sign(branch: Where) -> bool:
    """True for where(0 < v, a, where(v < 0, b, c))."""
    inner, condition = branch.otherwise, branch.condition
    if not isinstance(inner, Where) or not isinstance(inner.condition, Compare) or not isinstance(condition, Compare):
        return False
    other = inner.condition
    return condition.relation == "<" == other.relation and (condition.left, condition.right) == (
        other.right,
        other.left,
    )


def _at_threshold(branch: Where) -> Side | None:
    """The side whose value a branch has at its threshold, where that is 0: other values do not stay at theirs."""
    condition = branch.condition
    assert isinstance(condition, Compare)
    left, right = condition.left is ZERO, condition.right is ZERO
    if left == right:
        return None
    if condition.relation == "==":
        return "below" if isinstance(branch.then, Number) else None
    return "below" if left == (condition.relation == "<") else "above"


def _meets(branch: Where, canonical: Canonical) -> bool:
    """True if the two values are the same on the threshold."""
    condition = branch.condition
    assert isinstance(condition, Compare)
    gap, step = subtract(condition.right, condition.left), subtract(branch.then, branch.otherwise)
    try:
        height, jump = canonical.normal(gap), canonical.normal(step)
        if not jump.terms:
            return True
        if not height.terms or condition.relation == "==":
            return False
        ratio = Fraction(jump.terms[0][1]) / Fraction(height.terms[0][1])
        if jump is scale(height, ratio):
            return True
        entries = set(entries_once(gap))
        if len(entries) != 1 or len(height.terms) != 1 or _threshold(gap, canonical) is None:
            return False
        return canonical.vanishes(canonical.normal(substitute(step, {entries.pop(): ZERO})))
    except SymbackpropError:
        return False


def _threshold(gap: Expr, canonical: Canonical) -> tuple[int, Fraction] | None:
    """The sign of c, and where the entry has its threshold, if a difference is c*z + w, for one entry z and numbers."""
    every = canonical.normal(gap).terms
    terms = [(m, c) for m, c in every if m.factors]
    if len(terms) != 1 or terms[0][0].bound or len(terms[0][0].factors) != 1:
        return None
    ((atom, exponent),), coefficient = terms[0][0].factors, Fraction(terms[0][1])
    if atom.kind != "entry" or exponent != 1:
        return None
    rest = sum((Fraction(c) for m, c in every if not m.factors), Fraction(0))
    return 1 if coefficient > 0 else -1, -rest / coefficient


def _turned(
    branch: Where, at_zero: Side | None, elsewhere: Mapping[Fraction, Side], canonical: Canonical
) -> Expr | None:
    condition = branch.condition
    if not isinstance(condition, Compare) or condition.relation == "==":
        return None
    if _of_integers(condition) or not _meets(branch, canonical):
        return None
    told = _threshold(subtract(condition.right, condition.left), canonical)
    side = elsewhere.get(told[1], at_zero) if told else None
    if told is None or side is None:
        return None
    sign = told[0]
    up, down = (branch.then, branch.otherwise) if sign > 0 else (branch.otherwise, branch.then)
    low, high = (condition.left, condition.right) if sign > 0 else (condition.right, condition.left)
    below, above = where(Compare("<", low, high), up, down), where(Compare("<", high, low), down, up)
    if side == "mean":
        return multiply(HALF, add(below, above))
    return below if side == "below" else above
