"""Elementwise statements with fewer passes: common factors once, powers by roots that are known.

    a[n,d]*b[n,d] + a[n,d]*c[n,d]       ->  a[n,d]*(b[n,d] + c[n,d])
    (v[n] + 1)^-2 where r[n] = (v[n] + 1)^-1 is there  ->  r[n]^2
    e/(1 + e) where e = exp(u)          ->  1 - 1/(1 + e), which is finite where e is not

Main name: `factored`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from symbackprop.codegen.lowering.form import Form, Map, Marked, Statement, axes, is_plain
from symbackprop.codegen.lowering.share import Key, key
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    Add,
    Apply,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Power,
    Tensor,
    Where,
    add,
    children,
    free_indices,
    multiply,
    negate,
    number,
    power,
    rebuild,
    substitute,
)


def factored(form: Form) -> Form:
    """The form with its elementwise statements in fewer operations."""
    return _Factoring(form).run()


@dataclass
class Monomial:
    """A product of powers, with a number in front."""

    number: Fraction
    powers: dict[Expr, Fraction]

    def expression(self) -> Expr:
        """The product."""
        return multiply(number(self.number), *(power(b, number(e)) for b, e in self.powers.items()))


class _Factoring:
    def __init__(self, form: Form) -> None:
        self.form = form
        self.made: dict[Tensor, Statement] = {s.target.tensor: s for s in form.statements}
        self.held: dict[Key, tuple[Tensor, Fraction]] = {}  # by its base, a tensor that is a power of it
        self.order: tuple[Index, ...] = ()

    def run(self) -> Form:
        statements = list[Statement]()
        for statement in self.form.statements:
            if isinstance(statement, (Map, Marked)) and is_plain(statement.target) and statement.target.indices:
                self.order = axes(statement.target)
                statement = replace(statement, value=self.simpler(statement.value))
                self._note(statement)
            statements.append(statement)
        return replace(self.form, statements=tuple(statements))

    def _note(self, statement: Statement) -> None:
        if not isinstance(statement, Map) or not isinstance(statement.value, Power):
            return
        base, exponent = statement.value.base, statement.value.exponent
        if isinstance(exponent, Number) and free_indices(base) == frozenset(axes(statement.target)):
            self.held.setdefault(key("map", base, axes(statement.target)), (statement.target.tensor, exponent.value))

    def simpler(self, expr: Expr) -> Expr:
        """The same value, from the inside out."""
        if not isinstance(expr, (Add, Multiply, Power, Apply, Where)):
            return expr
        parts = children(expr)
        new = tuple(self.simpler(p) for p in parts)
        expr = expr if new == parts else rebuild(expr, new)
        if isinstance(expr, Add):
            return self._sum([self.monomial(t) for t in expr.terms], expr)
        if isinstance(expr, (Multiply, Power)):
            found = self.monomial(expr).expression()
            return expr if Counter(_factors(found)) == Counter(_factors(expr)) else found
        return expr

    def monomial(self, term: Expr) -> Monomial:
        """A term as a product of powers, by what is held, and e/(1 + e) as 1 - 1/(1 + e)."""
        coefficient, powers = Fraction(1), dict[Expr, Fraction]()
        for factor in _factors(term):
            if isinstance(factor, Number):
                coefficient *= factor.value
                continue
            base, exponent = factor, Fraction(1)
            if isinstance(factor, Power) and isinstance(factor.exponent, Number):
                base, exponent = self._by_root(factor.base, factor.exponent.value)
            powers[base] = powers.get(base, Fraction(0)) + exponent
        powers = {b: e for b, e in powers.items() if e}
        for base in list(powers):
            grown = self._one_plus(base, powers[base])
            times = min(powers.get(grown, 0), abs(powers[base])) if grown is not None else 0
            if grown is None or times < 1 or times.denominator != 1:
                continue
            for b, change in ((grown, -times), (base, times if powers[base] < 0 else -times)):
                powers[b] += change
            inverse = base if isinstance(base, Entry) else power(base, MINUS_ONE)
            rest = add(ONE, negate(inverse))
            powers[rest] = powers.get(rest, Fraction(0)) + times
        return Monomial(coefficient, {b: e for b, e in powers.items() if e})

    def _by_root(self, base: Expr, exponent: Fraction) -> tuple[Expr, Fraction]:
        free = free_indices(base)
        own = tuple(i for i in self.order if i in free)
        found = self.held.get(key("map", base, own)) if own and len(own) == len(free) else None
        if found is None or (exponent / found[1]).denominator != 1 or exponent / found[1] < 1:
            return base, exponent
        return Entry(found[0], own), exponent / found[1]

    def _one_plus(self, base: Expr, exponent: Fraction) -> Expr | None:
        """The exponential e, if the power is one of 1/(1 + e)."""
        whole = base
        if isinstance(base, Entry) and exponent > 0:
            maker = self.made.get(base.tensor)
            if not isinstance(maker, Map) or not isinstance(maker.value, Power) or maker.value.exponent != MINUS_ONE:
                return None
            table: dict[Expr, Expr] = dict(zip(maker.target.indices, base.indices, strict=True))
            whole = substitute(maker.value.base, table)
        elif exponent > 0:
            return None
        if not isinstance(whole, Add) or len(whole.terms) != 2 or ONE not in whole.terms:
            return None
        other = whole.terms[1 - whole.terms.index(ONE)]
        value = other
        if isinstance(other, Entry):
            maker = self.made.get(other.tensor)
            value = maker.value if isinstance(maker, Map) else other
        return other if isinstance(value, Apply) and value.function.name == "exp" else None

    def _sum(self, terms: list[Monomial], whole: Expr | None = None) -> Expr:
        """The sum of the terms, with what several of them share in front of their sum."""
        shared = self._most_shared(terms)
        if shared is None:
            return add(*(t.expression() for t in terms)) if whole is None else self._kept(whole, terms)
        base, least = shared
        inside = [t for t in terms if _has(t, base, least)]
        others = [t for t in terms if not _has(t, base, least)]
        product = multiply(power(base, number(least)), self._sum([_divided(t, base, least) for t in inside]))
        return add(product, self._sum(others)) if others else product

    @staticmethod
    def _kept(whole: Expr, terms: list[Monomial]) -> Expr:
        """The sum as it stood, unless a term has changed."""
        assert isinstance(whole, Add), "a sum has terms"
        new = [t.expression() for t in terms]
        same = all(Counter(_factors(a)) == Counter(_factors(b)) for a, b in zip(new, whole.terms, strict=True))
        return whole if same else add(*new)

    def _most_shared(self, terms: list[Monomial]) -> tuple[Expr, Fraction] | None:
        """(a base, the power of it) that most terms have, of those with most axes; None if no two share one."""
        found: dict[tuple[Expr, bool], list[Fraction]] = {}
        for term in terms:
            for base, exponent in term.powers.items():
                if free_indices(base):
                    found.setdefault((base, exponent > 0), []).append(exponent)
        several = {k: e for k, e in found.items() if len(e) > 1}
        if not several:
            return None
        (base, positive), exponents = max(several.items(), key=lambda i: (len(i[1]), len(free_indices(i[0][0]))))
        return base, (min(exponents) if positive else max(exponents))


def _factors(expr: Expr) -> Iterable[Expr]:
    """The factors of a product, powers of products taken apart."""
    if isinstance(expr, Multiply):
        for factor in expr.factors:
            yield from _factors(factor)
    elif isinstance(expr, Power) and isinstance(expr.base, Multiply) and _is_whole(expr.exponent):
        for factor in expr.base.factors:
            yield from _factors(power(factor, expr.exponent))
    elif isinstance(expr, Power) and isinstance(expr.base, Power) and _is_whole(expr.exponent):
        yield power(expr.base.base, multiply(expr.base.exponent, expr.exponent))
    else:
        yield expr


def _is_whole(exponent: Expr) -> bool:
    return isinstance(exponent, Number) and exponent.value.denominator == 1


def _has(term: Monomial, base: Expr, least: Fraction) -> bool:
    exponent = term.powers.get(base, Fraction(0))
    return exponent * least > 0 and abs(exponent) >= abs(least)


def _divided(term: Monomial, base: Expr, exponent: Fraction) -> Monomial:
    powers: Mapping[Expr, Fraction] = {b: e - exponent * (b is base) for b, e in term.powers.items()}
    return Monomial(term.number, {b: e for b, e in powers.items() if e})
