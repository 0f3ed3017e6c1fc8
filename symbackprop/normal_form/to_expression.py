"""Normal forms back into expressions, so that a difference or a factor can be shown.

The result is for the reader: bound indices get letters, atoms of sums become the sums again. This module adds no rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Position,
    Quotient,
    add,
    fresh,
    kronecker,
    matrix_entry,
    multiply,
    number,
    power,
    sum_over,
    where,
)
from symbackprop.normal_form.algebra import PLACED
from symbackprop.normal_form.data import Atom, Mono, Poly, Rational
from symbackprop.normal_form.normal_form import Canonical

_LETTERS = "ijklrstuvw"


def expression(canonical: Canonical, poly: Poly, names: Mapping[Index, Expr]) -> Expr:
    """`poly` as an expression.

    Args:
        names: what the free indices (parameters p0, p1, ...) are called.

    Raises:
        UnsupportedError: an atom that cannot be written.
    """
    return _ExpressionWriter(canonical, dict(names)).poly(poly)


class _ExpressionWriter:
    def __init__(self, canonical: Canonical, names: dict[Index, Expr]) -> None:
        self.canonical, self.names = canonical, names

    def poly(self, poly: Poly) -> Expr:
        return add(*(self._term(m, c) for m, c in poly.terms))

    def _term(self, mono: Mono, coefficient: Rational) -> Expr:
        factors, bound = self.canonical.open_mono(mono)
        renamed = {b: fresh(_LETTERS[k % len(_LETTERS)], b.size) for k, b in enumerate(bound)}
        inner = _ExpressionWriter(
            self.canonical, self.names | renamed
        )  # a sum inside a factor binds the same names anew
        product = multiply(number(Fraction(coefficient)), *(power(inner._atom(a), Fraction(e)) for a, e in factors))
        return sum_over(renamed.values(), product)

    def _atom(self, atom: Atom) -> Expr:
        match atom.kind:
            case "symbol":
                symbol: Expr = atom.data
                return symbol
            case "index":
                index: Index = atom.data
                return self.names.get(index, index)
            case "entry":
                return Entry(atom.data, tuple(self.poly(a) for a in atom.args))
            case "delta":
                return kronecker(self.poly(atom.args[0]), ZERO)
            case "nonneg":
                return where(Compare("<=", ZERO, self.poly(atom.args[0])), ONE, ZERO)
            case "quotient":
                return Quotient(self.poly(atom.args[0]), self.poly(atom.args[1]))
            case "base" | "named":
                return self.poly(self.canonical.definition(atom))
            case "positive":
                self.canonical.seen_as(atom.data, "above")
                return where(Compare("<", ZERO, self.poly(self.canonical.definition(atom))), ONE, ZERO)
            case "zero":
                return where(Compare("==", self.poly(self.canonical.definition(atom)), ZERO), ONE, ZERO)
            case "apply":
                function, templates = atom.data
                values = [self.canonical.substitute(t, self.canonical.parameters(atom, t)) for t in templates]
                return Apply(function, tuple(self.poly(v) for v in values))
            case "extremum" | "position":
                return self._extremum(atom)
            case "matrix":
                return self._matrix_entry(atom)
        raise UnsupportedError(f"an atom of kind {atom.kind} cannot be written")

    def _matrix_entry(self, atom: Atom) -> Expr:
        kind, size, template = atom.data
        places = tuple(self.poly(a) for a in atom.args[len(atom.args) - 2 :]) if kind in PLACED else ()

        def entry(row: Expr, column: Expr) -> Expr:
            marks = []
            for shown in (row, column):
                assert isinstance(shown, Index), "rows and columns are indices"
                marks.append(Index(f"m{shown.uid}", size))
                self.names[marks[-1]] = shown
            return self.poly(self.canonical.matrix_at(atom, template, *map(self.canonical.size_of, marks)))

        return matrix_entry(kind, size, entry, places)

    def _extremum(self, atom: Atom) -> Expr:
        kind, size, _ = atom.data
        index = fresh(_LETTERS[0], size)
        marker = Index(f"m{index.uid}", size)
        self.names[marker] = index
        body = self.poly(self.canonical.body_at(atom, self.canonical.size_of(marker)))
        return Extremum(kind, index, body) if atom.kind == "extremum" else Position(kind, index, body)
