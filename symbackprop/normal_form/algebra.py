"""Sums, products and substitution of polynomials in normal form, integers, and largest and smallest values.

Powers, signs and functions are in `powers`, `signs` and `functions`; the rules for single terms in `ranges`, `factors`,
`merged` and `extrema`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from typing import ClassVar

from symbackprop.errors import BudgetError, UnsupportedError
from symbackprop.expression.build import Add as AddNode
from symbackprop.expression.build import Entry as EntryNode
from symbackprop.expression.build import Expr, Index, Number, Symbol, Tensor, number
from symbackprop.expression.build import Multiply as MultiplyNode
from symbackprop.expression.build import Power as PowerNode
from symbackprop.expression.build import Quotient as QuotientNode
from symbackprop.expression.build import Remainder as RemainderNode
from symbackprop.expression.build import add as add_expr
from symbackprop.expression.build import multiply as multiply_expr
from symbackprop.expression.build import power as power_expr
from symbackprop.expression.sizes import simplify
from symbackprop.normal_form.bound_names import (
    abstract,
    memoised,
    remember_symmetric_places,
    remember_symmetries,
    settle_arguments,
)
from symbackprop.normal_form.data import (
    ONE,
    ZERO,
    Atom,
    Poly,
    Term,
    add,
    as_atom,
    as_index,
    combine,
    constant,
    exact,
    of_atom,
    of_index,
    scale,
    subtract,
)
from symbackprop.normal_form.functions import Functions
from symbackprop.normal_form.indicators import one_threshold
from symbackprop.normal_form.rewriter import INDICATORS, Rule, spare
from symbackprop.normal_form.rules_extrema import chain_of_extrema, sum_of_extremum
from symbackprop.normal_form.rules_factors import expand_base, fold, one_of_a_row, sum_of_onehot, tidy
from symbackprop.normal_form.rules_indices import (
    contract_delta,
    decide_by_delta,
    first_value,
    in_first_block,
    joined_complements,
    name_block,
    narrow_range,
    one_of_equal_labels,
    reflect,
    slide_window,
    unused_index,
    use_delta,
    use_delta_of_sizes,
)
from symbackprop.normal_form.rules_matrices import (
    INVERTIBLE,
    contract_inverse,
    is_upper,
    keep_triangle,
    log_of_triangle,
    order_gates,
    solve_triangle,
    square_triangle,
)
from symbackprop.normal_form.rules_merged_axes import join_digits, solve_mixed_radix, split_merged_index, write_out

MAXIMUM_TERMS = 20_000


class Algebra(Functions):
    """The operations of the normal form under given facts and assumptions."""

    rules: ClassVar[tuple[tuple[str, Rule], ...]] = (
        ("delta", solve_mixed_radix),
        ("", tidy),
        ("base", expand_base),
        ("delta", contract_delta),
        ("nonneg", name_block),
        ("nonneg", narrow_range),
        ("nonneg", in_first_block),
        ("nonneg", slide_window),
        ("delta", join_digits),
        ("delta", decide_by_delta),
        ("delta", use_delta_of_sizes),
        ("delta", use_delta),
        ("delta", one_of_equal_labels),
        ("entry", one_of_a_row),
        ("bound", unused_index),
        ("bound", sum_of_onehot),
        ("bound", split_merged_index),
        ("bound", reflect),
        ("bound", first_value),
        ("base", fold),
        ("zero", chain_of_extrema),
        ("zero", sum_of_extremum),
        ("positive", one_threshold),
        ("matrix", keep_triangle),
        ("matrix", square_triangle),
        ("matrix", solve_triangle),
        ("matrix", contract_inverse),
        ("apply", log_of_triangle),
        ("matrix", order_gates),
        ("bound", write_out),
    )

    def multiply(self, left: Poly, right: Poly) -> Poly:
        """left * right."""
        if left is ONE:
            return right
        if right is ONE:
            return left
        if len(left.terms) * len(right.terms) > MAXIMUM_TERMS:
            raise BudgetError(
                f"a product would have {len(left.terms) * len(right.terms)} terms, more than {MAXIMUM_TERMS}"
            )
        return self.collect(self.times(self.times([(1, {}, ())], left, right.free), right))

    def product(self, *polys: Poly) -> Poly:
        """The product of all."""
        result = ONE
        for poly in polys:
            result = self.multiply(result, poly)
        return result

    def sum_over(self, index: Index, body: Poly) -> Poly:
        """The contraction of `body` over `index`, which is free in it."""
        terms = []
        for mono, coefficient in joined_complements(self, index, body).items():
            factors, bound = self.open_mono(mono)
            terms.append((coefficient, dict(factors), (*bound, index)))
        return self.collect(terms)

    def entry(self, tensor: Tensor, args: tuple[Poly, ...]) -> Poly:
        """An entry of a tensor; here an atom, in `unfold` whatever the tensor stands for."""
        opaque = self._opaque.get(tensor)
        return of_atom(opaque or Atom.make("entry", tensor, settle_arguments("entry", tensor, args)))

    def named(self, value: Poly) -> Poly:
        """One atom that stands for a whole polynomial, until `unname` puts it in."""
        (template,), args = abstract((value,))
        data = (template,)
        remember_symmetries(data, (template,))
        return of_atom(Atom.make("named", data, settle_arguments("named", data, args)))

    def unname(self, poly: Poly, atoms: frozenset[Atom]) -> Poly:
        """`poly` with these named atoms replaced by what they stand for, outside functions."""
        terms: list[Term] = []
        for mono, coefficient in poly.terms:
            factors, bound = self.open_mono(mono)
            table = dict(factors)
            opened = [
                (a, table.pop(a))
                for a in list(table)
                if a in atoms or (a.kind == "named" and a.data in {x.data for x in atoms})
            ]
            values = [self.power(self.definition(a), e) for a, e in opened]
            if any(has_branches(v, bound) for v in values):
                body = self.product(self.collect([(coefficient, table, ())]), *values)
                for index in bound:  # summed anew, so that no branch is read outside of its range
                    body = self.sum_over(index, body)
                terms += [(c, dict(m.factors), m.bound) for m, c in body.terms]
                continue
            part: list[Term] = [(coefficient, table, bound)]
            for value in values:
                part = self.times(part, value)
            terms += part
        return self.collect(terms)

    # Substitution.

    def substitute(self, poly: Poly, values: Mapping[Index, Poly]) -> Poly:
        """`poly` with free indices replaced by integer polynomials."""
        if not poly.free & values.keys():
            return poly
        single = as_index(poly)
        if single is not None:
            return values[single]
        taken = frozenset().union(*(v.free for v in values.values()))
        terms = []
        for mono, coefficient in poly.terms:
            factors, bound = self.open_mono(mono, taken)
            terms += [(coefficient * c, f, b) for c, f, b in self.substitute_factors(dict(factors), bound, values)]
        return self.collect(terms)

    def substitute_atom(self, atom: Atom, values: Mapping[Index, Poly]) -> Poly:
        """`atom` with indices replaced; may simplify."""
        relevant = {i: values[i] for i in atom.free & values.keys()}
        return self._substitute_atom(atom, frozenset(relevant.items()))

    @memoised
    def _substitute_atom(self, atom: Atom, items: frozenset[tuple[Index, Poly]]) -> Poly:
        values = dict(items)
        if atom.kind == "index":
            return values[atom.data]
        args = tuple(self.substitute(a, values) for a in atom.args)
        if atom.kind in ("entry", "delta", "nonneg", "quotient"):
            return self._instantiate(atom, args)
        if self._renamed_only(atom, args):
            return of_atom(Atom.make(atom.kind, atom.data, settle_arguments(atom.kind, atom.data, args)))
        return self._instantiate(atom, args)

    def _renamed_only(self, atom: Atom, args: tuple[Poly, ...]) -> bool:
        """True if the new arguments are distinct plain indices over the same ranges: the template stays as it is."""
        if len({a.id for a in args}) < len(args):
            return False
        for old, new in zip(atom.args, args, strict=True):
            before, after = as_index(old), as_index(new)
            if before is None or after is None or before.size is not after.size:
                return False
        return True

    def _instantiate(self, atom: Atom, args: tuple[Poly, ...]) -> Poly:
        """Build the atom anew from its templates with these arguments."""
        return self.rebuilt(atom, args, lambda template: template)

    def rebuilt(self, atom: Atom, args: tuple[Poly, ...], change: Callable[[Poly], Poly]) -> Poly:
        """The atom with these arguments and its templates changed; may simplify."""

        def fill(template: Poly) -> Poly:
            inner = change(template)
            return self.substitute(inner, {i: args[int(i.name[1:])] for i in inner.free if i.name[0] == "p"})

        match atom.kind, atom.data:
            case (("symbol" | "index"), _):
                return of_atom(atom)
            case "entry", tensor:
                return of_atom(Atom.make("entry", tensor, settle_arguments("entry", tensor, args)))
            case "delta", _:
                return self.delta(args[0])
            case "nonneg", _:
                return self.nonneg(args[0])
            case "quotient", _:
                return self.quotient(args[0], args[1])
            case "apply", (function, templates):
                return self.apply(function, tuple(fill(t) for t in templates))
            case "base", (template,):
                return self._base_atom(fill(template), 1)
            case "named", (template,):
                return self.named(fill(template))
            case "positive", (template,):
                return self.positive(fill(template))
            case "zero", (template,):
                return self.zero(fill(template))
            case (("extremum" | "position"), (kind, size, template)):
                changed = change(template)
                inner = {i: args[int(i.name[1:])] for i in changed.free if i.name[0] == "p"}
                index = spare(size, frozenset().union(*(a.free for a in args)))
                inner |= {i: of_index(index) for i in changed.free if i.name == "e"}
                return self.extremum(atom.kind, kind, index, self.substitute(changed, inner))
            case "matrix", (kind, size, template):
                changed = change(template)
                inner = {i: args[int(i.name[1:])] for i in changed.free if i.name[0] == "p"}
                taken = frozenset().union(*(a.free for a in args))
                row = spare(size, taken)
                column = spare(size, taken | {row})
                inner |= {i: of_index(row if i.name == "e" else column) for i in changed.free if i.name in ("e", "g")}
                places = args[len(args) - 2 :] if kind in PLACED else ()
                return self.matrix_entry(kind, row, column, self.substitute(changed, inner), places)
        raise AssertionError(f"no way to rebuild an atom of kind {atom.kind}")

    # Integers.

    @memoised
    def size_of(self, size: Expr) -> Poly:
        """An integer expression of sizes, indices and integer entries, as a polynomial."""
        return self._integer(simplify(size, self.facts))

    def _integer(self, expr: Expr, *, plain: bool = False) -> Poly:
        """A simplified integer expression; `plain`: with symbols as they are, whatever the facts say of them."""
        match expr:
            case Number(value):
                return constant(exact(value))
            case Symbol():
                return of_atom(Atom.make("symbol", expr)) if plain else self._symbol(expr)
            case Index():
                return ZERO if simplify(expr.size, self.facts) is number(1) else of_index(expr)
            case AddNode(terms):
                return add(*(self._integer(t, plain=plain) for t in terms))
            case MultiplyNode(factors):
                return self.product(*(self._integer(f, plain=plain) for f in factors))
            case PowerNode(base, Number(value)):
                return self.power(self._integer(base, plain=plain), exact(value))
            case EntryNode(tensor, indices):
                return self.entry(tensor, tuple(self.size_of(i) for i in indices))
            case QuotientNode(left, right):  # with symbols written out, D = 2*(D // 2) would hold itself
                parts = (self._integer(left, plain=True), self._integer(right, plain=True))
                return of_atom(Atom.make("quotient", None, parts))
            case RemainderNode(left, right):
                quotient = self._integer(QuotientNode(left, right))
                total, divisor = (self._integer(p, plain=plain) for p in (left, right))
                return subtract(total, self.multiply(divisor, quotient))
        raise UnsupportedError(f"an index or size of the form {type(expr).__name__} is not supported in a proof")

    def _symbol(self, symbol: Symbol) -> Poly:
        """A symbol, or what the facts say that it is: where D % 2 == 0, D is 2*(D // 2)."""
        known = self.facts.replaced.get(symbol)
        if known is None:
            return of_atom(Atom.make("symbol", symbol))
        parts = [self.product(*(self.power(self._integer(a), e) for a, e in m)) for m in known]
        return combine([(exact(c), p) for c, p in zip(known.values(), parts, strict=True)])

    def quotient(self, left: Poly, right: Poly) -> Poly:
        """left // right."""
        return self.size_of(QuotientNode(self.size_expression(left), self.size_expression(right)))

    @memoised
    def size_expression(self, poly: Poly) -> Expr:
        """An integer polynomial as an expression, for `sizes`."""
        return simplify(
            add_expr(
                *(
                    multiply_expr(number(c), *(power_expr(self._atom_expression(a), number(e)) for a, e in m.factors))
                    for m, c in poly.terms
                )
            ),
            self.facts,
        )

    def _atom_expression(self, atom: Atom) -> Expr:
        match atom.kind:
            case "symbol" | "index":
                return atom.data  # type: ignore[no-any-return]
            case "entry":
                return EntryNode(atom.data, tuple(self.size_expression(a) for a in atom.args))
            case "quotient":
                return QuotientNode(self.size_expression(atom.args[0]), self.size_expression(atom.args[1]))
        # Any other integer-valued atom (an indicator, a position) is opaque to the arithmetic of sizes.
        opaque = Tensor(f"#{atom.id}", (), "integer")
        self._opaque[opaque] = atom  # its name comes back as the atom, with the indices that it depends on
        if atom.kind == "position":
            self.facts.ranges[opaque] = atom.data[1]
        return EntryNode(opaque, ())

    # Extrema.

    def extremum(self, sort: str, kind: str, index: Index, body: Poly) -> Poly:
        """The largest or smallest value of `body` over the index, or ("position") where it stands."""
        if index not in body.free and sort == "extremum":
            return body
        bound = Index("e", index.size, BINDER)
        (template,), args = self._abstract_but(self.substitute(body, {index: of_index(bound)}), bound)
        return of_atom(Atom.make(sort, (kind, index.size, template), args))

    def body_at(self, top: Atom, place: Poly) -> Poly:
        """What an extremum is taken of, at one value of its index."""
        _, _, template = top.data
        values = {i: top.args[int(i.name[1:])] for i in template.free if i.name[0] == "p"}
        return self.substitute(template, values | {i: place for i in template.free if i.name == "e"})

    def _abstract_but(self, body: Poly, *bound: Index) -> tuple[tuple[Poly, ...], tuple[Poly, ...]]:
        templates, args = abstract((body,), first=bound)
        # the first parameters are the bound ones: call them by their names again, and shift the others down
        names: dict[Index, Poly] = {}
        for i in templates[0].free:
            if i.name[0] == "p":
                k = int(i.name[1:])
                names[i] = of_index(bound[k] if k < len(bound) else Index(f"p{k - len(bound)}", i.size, i.uid))
        return (self.substitute(templates[0], names),), args

    # Matrices.

    def matrix_entry(self, kind: str, row: Index, column: Index, body: Poly, places: tuple[Poly, ...]) -> Poly:
        """What is made of the matrix with this entry at a row and a column: see `MatrixEntry`.

        A common factor comes out of an inverse; a diagonal matrix has no need of one; of a matrix and its transpose
        the one with the lesser template is kept.
        """
        if self.written_out(row.size):
            return self._written_matrix(kind, row, column, body, places)
        if kind == "cholesky":
            mirrored = self.substitute(body, {row: of_index(column), column: of_index(row)})
            if mirrored is not body:  # what stands above the diagonal is not read
                read = self.nonneg(subtract(of_index(row), of_index(column)))
                body = self.chosen_between(read, body, mirrored)
            return self._matrix_atom(kind, row, column, body, places)
        if kind == "inverse":
            outside, body = self._common_factor(row, column, body)
            inner = as_atom(body)
            if _is_diagonal(body, row, column):
                found = self.power(self.substitute(body, {column: of_index(row)}), -1)
                found = self.multiply(self.delta(subtract(*places)), self.substitute(found, {row: places[0]}))
            elif inner is not None and _is_inverse_at(inner, row, column):
                self.used[INVERTIBLE] = None
                found = self.matrix_at(inner, inner.data[2], *places)
            else:
                found = self._matrix_atom(kind, row, column, body, places)
            return self.multiply(found, self.power(outside, -1))
        return self._matrix_atom(kind, row, column, body, places)

    def chosen_between(self, gate: Poly, then: Poly, otherwise: Poly) -> Poly:
        """`then` where a gate is 1, `otherwise` where it is 0."""
        return add(self.multiply(gate, subtract(then, otherwise)), otherwise)

    def _common_factor(self, row: Index, column: Index, body: Poly) -> tuple[Poly, Poly]:
        """What all entries of a matrix have in common, and the matrix without it."""
        (coefficient, mono), _ = self.factor(body)
        common = {a: e for a, e in mono.factors if not a.free & {row, column} and a.kind not in INDICATORS}
        outside = self.collect([(coefficient, common, ())])
        divided = self.power(outside, -1)
        return outside, self.multiply(body, divided)

    def _written_matrix(self, kind: str, row: Index, column: Index, body: Poly, places: tuple[Poly, ...]) -> Poly:
        """The same for a matrix of a few rows, by minors."""
        every = tuple(range(self.written_out(row.size)))

        @cache
        def at(i: int, j: int) -> Poly:
            return self.substitute(body, {row: constant(i), column: constant(j)})

        @cache
        def minor(rows: tuple[int, ...], columns: tuple[int, ...]) -> Poly:
            parts = [
                ((-1) ** k, self.multiply(at(rows[0], j), minor(rows[1:], columns[:k] + columns[k + 1 :])))
                for k, j in enumerate(columns)
            ]
            return combine(parts) if parts else ONE

        @cache
        def factor(i: int, j: int) -> Poly:
            done = [(-1, self.multiply(factor(i, k), factor(j, k))) for k in range(j)]
            rest = combine([(1, at(i, j)), *done])
            return self.power(rest, Fraction(1, 2)) if i == j else self.multiply(rest, self.power(factor(j, j), -1))

        if kind == "cholesky":
            table = {(i, j): factor(i, j) for i in every for j in every if j <= i}
        else:
            whole = minor(every, every)
            if kind == "determinant":
                return whole
            if kind == "logdet":
                return self.chosen_between(self.positive(whole), self.log(whole), self.log(scale(whole, -1)))
            scaled = self.power(whole, -1)
            without = {i: every[:i] + every[i + 1 :] for i in every}
            table = {
                (i, j): self.multiply(scale(minor(without[j], without[i]), (-1) ** (i + j)), scaled)
                for i in every
                for j in every
            }
        gates = {
            (i, j): self.multiply(*(self.delta(subtract(p, constant(k))) for p, k in zip(places, (i, j), strict=True)))
            for i, j in table
        }
        return add(*(self.multiply(gates[place], value) for place, value in table.items() if gates[place].terms))

    def _matrix_atom(self, kind: str, row: Index, column: Index, body: Poly, places: tuple[Poly, ...]) -> Poly:
        first, second = Index("e", row.size, BINDER), Index("g", row.size, BINDER)
        (template,), args = self._abstract_but(
            self.substitute(body, {row: of_index(first), column: of_index(second)}), first, second
        )
        (other,), other_args = self._abstract_but(
            self.substitute(body, {row: of_index(second), column: of_index(first)}), first, second
        )
        symmetric = other is template and other_args == args
        upper = is_upper(template)  # the inverse of a triangle stays one of the lower triangle
        if kind != "cholesky" and (other.id < template.id if upper is None else upper):
            template, args, places = other, other_args, places[::-1]
        data = (kind, row.size, template)
        if symmetric and kind == "inverse":
            remember_symmetric_places(data, len(args))
        atom = Atom.make("matrix", data, settle_arguments("matrix", data, (*args, *places)))
        return self.collect([(1, {atom: 1}, ())])

    def matrix_at(self, atom: Atom, part: Poly, row: Poly, column: Poly) -> Poly:
        """A part of the entry of the matrix that an atom is made of, at a row and a column."""
        values = {i: atom.args[int(i.name[1:])] for i in part.free if i.name[0] == "p"}
        values |= {i: row if i.name == "e" else column for i in part.free if i.name in ("e", "g")}
        return self.substitute(part, values)

    def product_of_triangle(self, atom: Atom, factor: Atom, places: tuple[Poly, ...]) -> Poly:
        """The entry of A = L L', where `atom` is an entry of L."""
        return self.matrix_at(atom, atom.data[2], *places)

    def inverse_of_product(self, atom: Atom, factor: Atom, places: tuple[Poly, ...]) -> Poly:
        """The entry of inv(A) for A = L L', where `atom` is an entry of L or of inv(L), `factor` that of L in it."""
        row, column = self._two_spare(atom)
        matrix = atom.data[2] if atom is factor else self.matrix_at(factor, factor.data[2], *factor.args[-2:])
        body = self.matrix_at(atom, matrix, of_index(row), of_index(column))
        return self.matrix_entry("inverse", row, column, body, places)

    def inverse_of_triangle(self, factor: Atom, *places: Poly) -> Poly:
        """The entry of inv(L), where the atom is an entry of L."""
        row, column = self._two_spare(factor)
        args = (*factor.args[:-2], of_index(row), of_index(column))
        return self.matrix_entry("inverse", row, column, of_atom(Atom.make("matrix", factor.data, args)), places)

    def logdet_of_triangle(self, factor: Atom) -> Poly:
        """log|det(A)| for the matrix A whose Cholesky factor the atom is an entry of."""
        row, column = self._two_spare(factor)
        body = self.matrix_at(factor, factor.data[2], of_index(row), of_index(column))
        return self.matrix_entry("logdet", row, column, body, ())

    def _two_spare(self, atom: Atom) -> tuple[Index, Index]:
        taken = atom.free
        row = spare(atom.data[1], taken)
        return row, spare(atom.data[1], taken | {row})


PLACED = ("inverse", "cholesky")  # what is made of a matrix and has a row and a column itself
BINDER = -4  # uid of the index that an extremum or a matrix binds


def _is_inverse_at(atom: Atom, row: Index, column: Index) -> bool:
    """True for an entry of an inverse at this row and column, if nothing else in it depends on them."""
    inverse = atom.kind == "matrix" and atom.data[0] == "inverse"
    return (
        inverse
        and atom.args[-2:] == (of_index(row), of_index(column))
        and not any(a.free & {row, column} for a in atom.args[:-2])
    )


def _is_diagonal(body: Poly, row: Index, column: Index) -> bool:
    """True if every term holds [row = column]."""
    gap = settle_arguments("delta", None, (subtract(of_index(row), of_index(column)),))
    delta = Atom.make("delta", None, gap)
    return bool(body.terms) and all(any(a is delta for a, _ in m.factors) for m, _ in body.terms)


def has_branches(poly: Poly, bound: tuple[Index, ...]) -> bool:
    """True if an inequality of one of these indices stands in the polynomial."""
    return any(a.kind == "nonneg" and not a.free.isdisjoint(bound) for m, _ in poly.terms for a, _ in m.factors)
