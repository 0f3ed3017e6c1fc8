"""The data of the normal form: atoms, monomials, polynomials; interned, so equality is identity.

A `Poly` is a sum of `coefficient * Mono`; a `Mono` is a contraction over its bound indices of a product of atoms to
rational powers; an `Atom` is a tensor entry, a size, a function value ... with index arguments, themselves polynomials.

A function's argument is stored as a *closed template* over parameters p0, p1, ...; the atom holds the template and the
actual indices. Two things follow: an index can be renamed inside an atom by renaming its arguments alone, whatever the
depth, and a bound index of an inner sum can never meet one of an outer sum, since no name crosses a template's border.

This module knows how these things are stored, not what is true of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, ClassVar

from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import Expr, Index

Rational = int | Fraction
Factors = dict["Atom", Rational]
Term = tuple[Rational, Factors, tuple[Index, ...]]

BOUND, PARAMETER = -1, -2  # uids of canonical bound indices and of template parameters
_counter = itertools.count()


def exact(value: Rational) -> Rational:
    """The same number, as an int where it is one: ints are several times faster than fractions."""
    return value.numerator if value.denominator == 1 else value


def magnitude(value: Rational) -> Rational:
    """The absolute value: `abs` of a union has no type."""
    return value if value >= 0 else -value


class NoValueError(UnsupportedError):
    """A quotient by 0, or a logarithm of 0."""


class Atom:
    """One indivisible factor.

    Attributes:
        kind: "symbol", "index", "entry", "apply", "base", "named", "delta", "nonneg", "positive", "zero", "extremum",
            "position", "matrix" or "quotient".
        data: what it is, without indices (a tensor, a function and templates ...).
        args: the index arguments, polynomials with integer values.
    """

    __slots__ = ("args", "data", "free", "id", "kind", "skeleton")
    _table: ClassVar[dict[Any, Atom]] = {}
    _skeletons: ClassVar[dict[Any, int]] = {}

    kind: str
    data: Any
    args: tuple[Poly, ...]
    free: frozenset[Index]
    id: int
    skeleton: int

    @classmethod
    def make(cls, kind: str, data: Any, args: tuple[Poly, ...] = ()) -> Atom:
        """The atom with these contents."""
        key = (kind, data, args)
        atom = cls._table.get(key)
        if atom is None:
            atom = cls.__new__(cls)
            atom.kind, atom.data, atom.args, atom.id = kind, data, args, next(_counter)
            atom.free = frozenset([data]) if kind == "index" else frozenset().union(*(a.free for a in args))
            # an index atom is anonymous in a skeleton: colour refinement must not see its name
            skeleton = ("index",) if kind == "index" else (kind, data)
            atom.skeleton = cls._skeletons.setdefault(skeleton, len(cls._skeletons))
            cls._table[key] = atom
        return atom

    def __repr__(self) -> str:
        if self.kind == "index":
            return f"{self.data.name}{self.data.uid if self.data.uid > 0 else ''}"
        name = self.data[0] if self.kind == "matrix" else getattr(self.data, "name", None) or self.kind
        return f"{name}{list(self.args)}" if self.args else str(name)


class Mono:
    """A contraction over `bound` of a product of atoms to rational powers: factors sorted, bound indices canonical."""

    __slots__ = ("bound", "factors", "free", "id")
    _table: ClassVar[dict[Any, Mono]] = {}

    factors: tuple[tuple[Atom, Rational], ...]
    bound: tuple[Index, ...]
    free: frozenset[Index]
    id: int

    @classmethod
    def make(cls, factors: tuple[tuple[Atom, Rational], ...], bound: tuple[Index, ...] = ()) -> Mono:
        """The monomial with these contents, which the caller has put in canonical form."""
        key = (factors, bound)
        mono = cls._table.get(key)
        if mono is None:
            mono = cls.__new__(cls)
            mono.factors, mono.bound, mono.id = factors, bound, next(_counter)
            mono.free = frozenset().union(*(a.free for a, _ in factors)) - frozenset(bound)
            cls._table[key] = mono
        return mono

    def __repr__(self) -> str:
        product = "*".join(f"{a!r}" if e == 1 else f"{a!r}^{e}" for a, e in self.factors) or "1"
        return f"S{[i.name for i in self.bound]}({product})" if self.bound else product


class Poly:
    """A sum of coefficients times monomials, sorted; the empty sum is 0."""

    __slots__ = ("free", "id", "terms")
    _table: ClassVar[dict[Any, Poly]] = {}

    terms: tuple[tuple[Mono, Rational], ...]
    free: frozenset[Index]
    id: int

    @classmethod
    def make(cls, table: Mapping[Mono, Rational]) -> Poly:
        """The polynomial with these coefficients; zeros are dropped."""
        terms = tuple(sorted(((m, c) for m, c in table.items() if c), key=lambda t: t[0].id))
        poly = cls._table.get(terms)
        if poly is None:
            poly = cls.__new__(cls)
            poly.terms, poly.id = terms, next(_counter)
            poly.free = frozenset().union(*(m.free for m, _ in terms))
            cls._table[terms] = poly
        return poly

    def __repr__(self) -> str:
        return " + ".join(f"{m!r}" if c == 1 else f"{c}*{m!r}" for m, c in self.terms) or "0"


UNIT = Mono.make(())
ZERO, ONE = Poly.make({}), Poly.make({UNIT: 1})


def constant(value: Rational) -> Poly:
    """The polynomial of a number."""
    return Poly.make({UNIT: exact(value)})


def as_constant(poly: Poly) -> Rational | None:
    """The number that `poly` is, or None."""
    if not poly.terms:
        return 0
    if len(poly.terms) == 1 and poly.terms[0][0] is UNIT:
        return poly.terms[0][1]
    return None


def of_atom(atom: Atom, exponent: Rational = 1) -> Poly:
    """The polynomial of one atom to a power."""
    return Poly.make({Mono.make(((atom, exponent),)): 1})


def of_index(index: Index) -> Poly:
    """The polynomial of an index."""
    return of_atom(Atom.make("index", index))


def as_atom(poly: Poly) -> Atom | None:
    """The atom that `poly` is, or None."""
    if len(poly.terms) == 1:
        mono, coefficient = poly.terms[0]
        if coefficient == 1 and not mono.bound and len(mono.factors) == 1 and mono.factors[0][1] == 1:
            return mono.factors[0][0]
    return None


def as_index(poly: Poly) -> Index | None:
    """The index that `poly` is, or None."""
    atom = as_atom(poly)
    return atom.data if atom is not None and atom.kind == "index" else None


def add(*polys: Poly) -> Poly:
    """The sum."""
    return combine((1, p) for p in polys)


def combine(parts: Iterable[tuple[Rational, Poly]]) -> Poly:
    """The sum of coefficient * polynomial."""
    table: dict[Mono, Rational] = {}
    for factor, poly in parts:
        for mono, coefficient in poly.terms:
            table[mono] = exact(table.get(mono, 0) + factor * coefficient)
    return Poly.make(table)


def scale(poly: Poly, factor: Rational) -> Poly:
    """factor * poly."""
    return poly if factor == 1 else combine([(factor, poly)])


def subtract(left: Poly, right: Poly) -> Poly:
    """left - right."""
    return combine([(1, left), (-1, right)])


def bound_index(position: int, size: Expr) -> Index:
    """The canonical bound index number `position`."""
    return Index(f"b{position}", size, BOUND)


def parameter(position: int, size: Expr) -> Index:
    """The template parameter number `position`."""
    return Index(f"p{position}", size, PARAMETER)
