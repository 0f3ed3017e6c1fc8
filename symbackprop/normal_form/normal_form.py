"""Expressions into the normal form, and the question whether two expressions are equal for all sizes.

>>> from symbackprop.expression.build import Entry, Index, Symbol, Tensor, contraction, multiply
>>> n = Symbol("N", "size")
>>> W, x, i = Tensor("W", (n, n)), Tensor("x", (n,)), Index("i", n)
>>> left = contraction("j", n, lambda j: multiply(Entry(W, (i, j)), Entry(x, (j,))))
>>> right = contraction("k", n, lambda k: multiply(Entry(x, (k,)), Entry(W, (i, k))))
>>> Canonical().equal(left, right)
True
"""

from __future__ import annotations

import itertools
from functools import cache

from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import (
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Kronecker,
    MatrixEntry,
    Multiply,
    Number,
    Position,
    Power,
    Quotient,
    Remainder,
    Sum,
    Symbol,
    Where,
    free_indices,
    fresh,
    nodes_once,
    open_matrix,
    substitute,
)
from symbackprop.expression.build import subtract as subtract_expr
from symbackprop.expression.functions import BASIC, LOG, STEP
from symbackprop.expression.sympy_bridge import PLACES, definition
from symbackprop.normal_form.algebra import Algebra
from symbackprop.normal_form.bound_names import memoised
from symbackprop.normal_form.data import ONE, Atom, Mono, Poly, Rational, add, combine, constant, exact, scale, subtract
from symbackprop.normal_form.rewriter import INDICATORS
from symbackprop.normal_form.rules_indices import at_edges, by_blocks, by_either
from symbackprop.normal_form.summands import under_sums

MANY_TERMS = 24  # of several branches: what does not vanish branch by branch is not cleared as a whole beyond that


class Canonical(Algebra):
    """The normal form under given facts and assumptions (see `TermRules` for the arguments)."""

    def equal(self, left: Expr, right: Expr) -> bool:
        """True if the two are equal for all sizes and values; False if that could not be shown."""
        return self.vanishes_at_each(subtract(self.normal(left), self.normal(right)))

    def vanishes_at_each(self, difference: Poly) -> bool:
        """True if the polynomial is 0; over axes that are written out, for each value of the index by itself."""
        axes = [i for i in difference.free if self.written_out(i.size)]
        if not axes or not difference.terms:
            return self.vanishes(difference)
        values = itertools.product(*(range(self.written_out(i.size)) for i in axes))
        return all(
            self.vanishes(self.substitute(difference, dict(zip(axes, map(constant, v), strict=True)))) for v in values
        )

    def is_zero(self, expr: Expr) -> bool:
        """True if `expr` is 0 for all sizes and values; False if that could not be shown."""
        return self.vanishes(self.normal(expr))

    def vanishes(self, difference: Poly) -> bool:
        """True if the polynomial is 0, after clearing denominators, those that stand under its sums too.

        Branches are looked at one by one where that is enough: the denominators of one do not matter to the others.
        Sums over what is before and what is behind an index meet where both are said in one way.
        """
        told = at_edges(self, difference)
        if self._vanishes(difference) or (told is not difference and self._vanishes(told)):
            return True
        blocks = by_blocks(self, told)
        if blocks is not told and self._vanishes(at_edges(self, blocks)):
            return True
        either = by_either(self, difference)
        return either is not difference and self._vanishes(either)

    def _vanishes(self, difference: Poly) -> bool:
        branches = _branches(difference)
        if len(branches) > 1:
            if all(self._vanishes_whole(branch) for branch in branches):
                return True
            if len(difference.terms) > MANY_TERMS:
                return False
        return self._vanishes_whole(difference)

    def _vanishes_whole(self, difference: Poly) -> bool:
        for _ in range(8):
            if not difference.terms:
                return True
            cleared = self._clear(difference)
            if cleared is None:
                break
            difference = cleared
        return not difference.terms or any(all(map(self.vanishes, parts)) for parts in under_sums(self, difference))

    def _clear(self, poly: Poly) -> Poly | None:
        """`poly` times the denominators that it is divided by, or None if there are none."""
        lowest: dict[Atom, int] = {}
        for mono, _ in poly.terms:
            for atom, exponent in mono.factors:
                if atom.kind == "base" and exponent < 0 and not atom.free & set(mono.bound):
                    lowest[atom] = min(
                        lowest.get(atom, 0),
                        int(-(-exponent // 1)) if exponent == int(exponent) else int(exponent // 1) + 1,
                    )
        wanted = {a: -e for a, e in lowest.items() if e < 0}
        if not wanted:
            return None
        return self.collect(self.times([(1, {a: exact(e) for a, e in wanted.items()}, ())], poly))

    @memoised
    def normal(self, expr: Expr) -> Poly:
        """The normal form of an expression; free indices stay free.

        Raises:
            UnsupportedError: the expression divides by zero or holds a construct without a normal form.
            BudgetError: the time or term budget ran out.
        """
        self.check_budget()
        case = case_of_place(expr)
        if case is not None:
            then, otherwise = (substitute(expr, {case: v}) for v in (case.then, case.otherwise))
            return self.normal(Where(case.condition, then, otherwise))
        match expr:
            case Number(value):
                return scale(ONE, exact(value))
            case Symbol():
                return self._symbol(expr)
            case Index():
                return self.size_of(expr)
            case Entry(tensor, indices):
                return self.entry(tensor, tuple(self.size_of(i) for i in indices))
            case Add(terms):
                return add(*(self.normal(t) for t in terms))
            case Multiply(factors):
                return self.product(*(self.normal(f) for f in factors))
            case Power():
                return self._power(expr)
            case Sum(index, _):
                return self._sum(expr, index)
            case Apply():
                return self._apply(expr)
            case Kronecker(left, right):
                if not (is_integer(left) and is_integer(right)):
                    return self.zero(self.normal(subtract_expr(left, right)))
                return self.delta(subtract(self.size_of(left), self.size_of(right)))
            case Compare():
                return self._compare(expr)
            case Where(condition, then, otherwise):
                gate, a, b = self._gate(condition), self.normal(then), self.normal(otherwise)
                return self.chosen(gate, a, b)
            case Quotient() | Remainder():
                return self.size_of(expr)
            case Extremum(kind, index, body) | Position(kind, index, body):
                sort = "extremum" if isinstance(expr, Extremum) else "position"
                return self.extremum(sort, kind, index, self.normal(body))
            case MatrixEntry(kind, _, places):
                row, column, entry = open_matrix(expr)
                at = tuple(self.size_of(p) for p in places)
                return self.matrix_entry(kind, row, column, self.normal(entry), at)
        raise UnsupportedError(f"{type(expr).__name__} has no normal form")

    def chosen(self, gate: Poly, then: Poly, otherwise: Poly) -> Poly:
        """`then` where a gate is 1, `otherwise` where it is 0."""
        return self.chosen_between(gate, then, otherwise)

    def _integer(self, expr: Expr, *, plain: bool = False) -> Poly:
        """As `Algebra` has it; an index may also be where an extremum stands."""
        return self.normal(expr) if isinstance(expr, Position) else super()._integer(expr, plain=plain)

    def _gate(self, condition: Expr) -> Poly:
        """A condition as a value 0 or 1: any other value than 0 counts as 1."""
        if is_indicator(condition):
            return self.normal(condition)
        if is_integer(condition):
            return subtract(ONE, self.delta(self.size_of(condition)))
        return subtract(ONE, self.zero(self.normal(condition)))

    def _sum(self, expr: Sum, index: Index) -> Poly:
        if free_indices(index.size):
            raise UnsupportedError(f"the range of the index {index.name} depends on another index")
        return self.sum_over(index, self.normal(expr.body))

    def _power(self, expr: Power) -> Poly:
        base, exponent = self.normal(expr.base), self.normal(expr.exponent)
        if not exponent.terms:
            return ONE
        if len(exponent.terms) == 1 and not exponent.terms[0][0].factors:
            return self.power(base, exponent.terms[0][1])
        # a symbolic exponent: b ** e = exp(e * log b), for b > 0
        self.used["the base of a power with a symbolic exponent is positive"] = None
        return self.exp(self.multiply(exponent, self.apply(LOG, (base,))))

    def _apply(self, expr: Apply) -> Poly:
        function = expr.function
        meaning = definition(function)
        if meaning is not None and function.name not in BASIC:
            return self.normal(substitute(meaning, dict(zip(PLACES, expr.arguments, strict=False))))
        return self.apply(function, tuple(self.normal(a) for a in expr.arguments))

    def _compare(self, expr: Compare) -> Poly:
        if is_integer(expr.left) and is_integer(expr.right):
            gap = subtract(self.size_of(expr.right), self.size_of(expr.left))
            match expr.relation:
                case "==":
                    return self.delta(gap)
                case "<":
                    return self.nonneg(subtract(gap, ONE))
                case _:
                    return self.nonneg(gap)
        gap = self.normal(subtract_expr(expr.right, expr.left))
        match expr.relation:
            case "==":
                return self.zero(gap)
            case "<":
                return self.positive(gap)
            case _:
                return subtract(ONE, self.positive(scale(gap, -1)))


def _branches(poly: Poly) -> list[Poly]:
    """The terms of a polynomial by the indicators that they hold."""
    parts: dict[frozenset[Atom], dict[Mono, Rational]] = {}
    for mono, c in poly.terms:
        key = frozenset(a for a, _ in mono.factors if a.kind in INDICATORS)
        parts.setdefault(key, {})[mono] = c
    return [Poly.make(part) for part in parts.values()]


@cache
def case_of_place(expr: Expr) -> Where | None:
    """What tells an index, or an integer that is divided, by cases: x[where(c, i, j)] is where(c, x[i], x[j])."""
    match expr:
        case Entry(_, places):
            inside: tuple[Expr, ...] = places
        case Kronecker(left, right) | Compare(_, left, right) if is_integer(left) and is_integer(right):
            inside = (left, right)
        case Quotient(left, right) | Remainder(left, right):
            inside = (left, right)
        case _:
            return None
    return next((n for place in inside for n in nodes_once(place) if isinstance(n, Where)), None)


def is_indicator(expr: Expr) -> bool:
    """True for expressions that can only be 0 or 1."""
    match expr:
        case Compare() | Kronecker():
            return True
        case Number(value):
            return value in (0, 1)
        case Apply(function, _):
            return function is STEP
        case Multiply(parts):
            return all(is_indicator(p) for p in parts)
        case Add((Multiply((Number(minus), inner)), Number(one))):
            return minus == -1 and one == 1 and is_indicator(inner)
    return False


def is_integer(expr: Expr) -> bool:
    """True for expressions of sizes, indices and integer tensors, whose values are integers."""
    match expr:
        case Number(value):
            return value.denominator == 1
        case Symbol(_, kind):
            return kind == "size"
        case Index() | Quotient() | Remainder() | Position():
            return True
        case Entry(tensor, _):
            return tensor.kind == "integer"
        case Add(parts) | Multiply(parts):
            return all(is_integer(p) for p in parts)
        case Power(base, Number(value)):
            return value.denominator == 1 and value >= 0 and is_integer(base)
        case Where(_, then, otherwise):
            return is_integer(then) and is_integer(otherwise)
    return False


__all__ = ["Canonical", "Mono", "combine", "fresh", "is_integer"]
