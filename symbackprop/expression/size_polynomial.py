"""Polynomials with rational coefficients over any nodes as atoms: a dictionary from monomials to coefficients.

The arithmetic below `sizes`. Whole coefficients are `int`, which is ten times as fast as `Fraction` and equal to it;
two of them are divided by `ratio` alone, never by `/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache
from math import gcd

from symbackprop.expression.build import Expr, Index, Quotient, Symbol

Monomial = tuple[tuple[Expr, int], ...]
Coefficient = int | Fraction
Polynomial = dict[Monomial, Coefficient]
CONSTANT: Monomial = ()
MOST_STEPS = 200  # of a long division
UNIT: Polynomial = {CONSTANT: 1}


def ratio(left: Coefficient, right: Coefficient) -> Coefficient:
    """left / right, exactly."""
    if isinstance(left, int) and isinstance(right, int) and not left % right:
        return left // right
    quotient = Fraction(left) / right
    return quotient.numerator if quotient.denominator == 1 else quotient


@cache
def name_of(node: Expr) -> str:
    """A text that orders atoms the same way in every run of the same program."""
    kind = {Symbol: "0", Index: "1", Quotient: "2"}.get(type(node), "3")
    if isinstance(node, Symbol):
        return kind + node.name
    return kind + (f"{node.name},{node.uid}" if isinstance(node, Index) else repr(node))


def order(monomial: Monomial) -> tuple[int, list[tuple[str, int]]]:
    """By degree, then by name: the key in which the terms of a polynomial are ordered."""
    return sum(e for _, e in monomial), [(name_of(a), e) for a, e in monomial]


def constant_of(value: Coefficient) -> Polynomial:
    """The polynomial that is a number."""
    return {CONSTANT: ratio(value, 1)} if value else {}


def atom_of(node: Expr) -> Polynomial:
    """The polynomial that is one atom."""
    return {((node, 1),): 1}


def as_atom(polynomial: Polynomial) -> Expr | None:
    """The atom that a polynomial is, None for anything else."""
    if len(polynomial) == 1:
        ((monomial, coefficient),) = polynomial.items()
        if coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1:
            return monomial[0][0]
    return None


def plus(left: Polynomial, right: Polynomial) -> Polynomial:
    """left + right."""
    total = dict(left)
    for monomial, coefficient in right.items():
        value = total.get(monomial, 0) + coefficient
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    return total


def negative(polynomial: Polynomial) -> Polynomial:
    """-polynomial."""
    return {m: -c for m, c in polynomial.items()}


def minus(left: Polynomial, right: Polynomial) -> Polynomial:
    """left - right."""
    return plus(left, negative(right))


def join(left: Monomial, right: Monomial) -> Monomial:
    """The product of two monomials."""
    if not left or not right:
        return left or right
    powers = dict(left)
    for atom, exponent in right:
        powers[atom] = powers.get(atom, 0) + exponent
    return tuple(sorted(powers.items(), key=lambda item: name_of(item[0])))


def without(monomial: Monomial, part: Monomial) -> Monomial | None:
    """monomial / part, or None if it does not divide."""
    powers = dict(monomial)
    for atom, exponent in part:
        left = powers.get(atom, 0) - exponent
        if left < 0:
            return None
        powers[atom] = left
    return tuple((a, e) for a, e in powers.items() if e)


def times(left: Polynomial, right: Polynomial) -> Polynomial:
    """left * right."""
    total: Polynomial = {}
    for m, c in left.items():
        for n, d in right.items():
            monomial = join(m, n)
            total[monomial] = total.get(monomial, 0) + c * d
    return {m: c for m, c in total.items() if c}


def replace(polynomial: Polynomial, atom: Expr, value: Polynomial) -> Polynomial:
    """`polynomial` with `atom` replaced by `value`."""
    total: Polynomial = {}
    for monomial, coefficient in polynomial.items():
        term: Polynomial = {tuple(f for f in monomial if f[0] is not atom): coefficient}
        for _ in range(dict(monomial).get(atom, 0)):
            term = times(term, value)
        total = plus(total, term)
    return total


def long_division(total: Polynomial, divisor: Polynomial) -> tuple[Polynomial, Polynomial]:
    """(q, r) with total = divisor * q + r, integers in q, and no term of r a multiple of the divisor's lead.

    Each step takes away the largest term that is left and puts smaller ones there, which are looked at in their turn:
    2*H*H by H + 1 leaves -2*H, and that leaves 2.
    """
    lead = max(divisor, key=order)
    quotient: Polynomial = {}
    rest = dict(total)
    seen: set[Monomial] = set()
    while len(seen) < MOST_STEPS:
        monomial = max((m for m in rest if m not in seen), key=order, default=None)
        if monomial is None:
            break
        seen.add(monomial)
        factor, coefficient = without(monomial, lead), rest[monomial]
        whole = coefficient // divisor[lead] if factor is not None else 0
        if factor is not None and whole:
            part: Polynomial = {factor: whole}
            quotient = plus(quotient, part)
            rest = minus(rest, times(divisor, part))
    return quotient, rest


def exact_quotient(total: Polynomial, divisor: Polynomial) -> Polynomial | None:
    """total / divisor, where that is a polynomial with integers; None else.

    The largest terms, in an order that products keep, are the product of the largest ones.
    """
    if not divisor:
        return None
    atoms = sorted({a for m in (*total, *divisor) for a, _ in m}, key=name_of)

    def key(monomial: Monomial) -> tuple[int, ...]:
        powers = dict(monomial)
        return (sum(powers.values()), *(powers.get(a, 0) for a in atoms))

    lead, quotient, rest = max(divisor, key=key), Polynomial(), total
    for _ in range(MOST_STEPS):
        if not rest:
            return quotient
        largest = max(rest, key=key)
        factor, size = without(largest, lead), ratio(rest[largest], divisor[lead])
        if factor is None or size.denominator != 1:
            return None
        quotient = plus(quotient, {factor: size})
        rest = minus(rest, times(divisor, {factor: size}))
    return None


def fold(polynomial: Polynomial, product: Polynomial, shown: Polynomial) -> Polynomial:
    """Write `product` (one term) as `shown`, which equals it, as often as it stands in `polynomial`."""
    ((part, size),) = product.items()
    for monomial in sorted(polynomial, key=order, reverse=True):
        factor = without(monomial, part)
        count = polynomial.get(monomial, 0) // size if factor is not None else 0
        if factor is not None and count:
            polynomial = plus(minus(polynomial, {monomial: count * size}), times(shown, {factor: count}))
    return polynomial


def factorings(product: Polynomial, total: Polynomial) -> Iterator[tuple[Polynomial, Polynomial]]:
    """(E, F) with E * F = product, for a product of atoms: E is one of them, or a number in `total`."""
    if len(product) != 1:
        return
    ((monomial, coefficient),) = product.items()
    for atom, _ in monomial:
        rest = without(monomial, ((atom, 1),))
        if rest is not None and (rest or coefficient != 1):
            yield atom_of(atom), {rest: coefficient}
    if coefficient.denominator == 1:
        shared = {gcd(int(coefficient), int(c)) for c in total.values() if c.denominator == 1}
        for unit in sorted(shared - {1} if monomial else shared - {1, int(coefficient)}):
            yield constant_of(unit), {monomial: ratio(coefficient, unit)}


def without_common_factor(total: Polynomial, divisor: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Numbers with the same integer quotient and no common factor: (4 * h + 1) // 6 is (2 * h) // 3."""
    slopes = [c for m, c in total.items() if m]
    if any(c.denominator != 1 for c in (*slopes, *divisor.values())):
        return total, divisor
    common = gcd(*(c.numerator for c in (*slopes, *divisor.values())))
    constant = total.get(CONSTANT, 0) // common
    smaller = {m: ratio(c, common) for m, c in total.items() if m} | ({CONSTANT: constant} if constant else {})
    return smaller, {m: ratio(c, common) for m, c in divisor.items()}


def shifted(polynomial: Polynomial, shifts: Mapping[Expr, Coefficient]) -> Polynomial:
    """`polynomial` with each atom written as its shift plus itself."""
    for atom, low in shifts.items():
        if low:
            polynomial = replace(polynomial, atom, plus(atom_of(atom), {CONSTANT: low}))
    return polynomial


def tightened(polynomial: Polynomial) -> Polynomial:
    """The same inequality over the integers, divided by the common factor: 2 * q - 1 >= 0 becomes q - 1 >= 0."""
    slopes = [c for m, c in polynomial.items() if m]
    if not slopes or any(c.denominator != 1 for c in polynomial.values()):
        return polynomial
    common = gcd(*(c.numerator for c in slopes))
    tight = {m: ratio(c, common) for m, c in polynomial.items() if m}
    constant = polynomial.get(CONSTANT, 0) // common
    return tight | {CONSTANT: constant} if constant else tight
