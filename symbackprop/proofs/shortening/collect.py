"""Expressions made short: like terms collected, common factors in front, sums over the names of their axes.

The normal form does the algebra; this module writes its result as one would by hand. What it returns is a proposal, to
be checked by whoever shows it. Main name: `Tidier`. It must not know about programs or proofs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import (
    MINUS_ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Kronecker,
    Multiply,
    Number,
    Position,
    Power,
    Sum,
    Tensor,
    Where,
    add,
    close_sum,
    free_indices,
    fresh,
    kronecker,
    multiply,
    nodes_once,
    rewrite,
    substitute,
    where,
)
from symbackprop.expression.sizes import NO_FACTS, Facts, simplify
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.to_expression import expression
from symbackprop.proofs.shortening.factor import gathered, in_reading_order, size_of
from symbackprop.proofs.shortening.unit_axes import factored

Known = Callable[[Expr], Expr]
_HEAVY = 400  # nodes beyond which an expression is left as it is


class Tidier:
    """Brings expressions about one program to a short form.

    Args:
        names: what an index over an axis of a size is called.
        facts: what is known about sizes.
    """

    def __init__(self, names: Mapping[Expr, str], facts: Facts = NO_FACTS) -> None:
        self.names, self.facts = names, facts
        self.opaque: dict[Expr, Tensor] = {}
        self.bases: frozenset[Expr] = frozenset()  # what stands under a root

    def short(self, expr: Expr, known: Known = lambda expr: expr) -> Expr:
        """The shortest form that is found; `expr` itself where nothing is gained.

        Args:
            known: works out sums that are known, once all is expanded.
        """
        expr = plain_indices(expr, self.facts)
        if size_of(expr) > _HEAVY:
            return expr
        if any(isinstance(t, Where) for t in _terms(expr)):
            return add(*(self._in_branches(t, known) for t in _terms(expr)))
        return self._short(expr, known)

    def _short(self, expr: Expr, known: Known) -> Expr:
        self.bases = frozenset(_bases_of_roots(expr))
        written = self._expanded(expr)
        if written is None:
            return expr
        worked_out = known(written)
        if worked_out is not written:
            written = self._expanded(worked_out) or worked_out
        ordered = in_reading_order(gathered(factored(written)), expr)
        return min((ordered, expr), key=size_of)

    def _expanded(self, expr: Expr) -> Expr | None:
        """`expr` as a sum of products; None if it has no normal form, or none in time."""
        try:
            poly = Canonical(self.facts, seconds=2.0).normal(rewrite(expr, self._hide))
            written = expression(Canonical(self.facts, seconds=2.0), poly, {})
        except SymbackpropError:
            return None
        return rewrite(self._named(written), self._reveal)

    def _in_branches(self, term: Expr, known: Known) -> Expr:
        if isinstance(term, Where):
            branches = (self._in_branches(b, known) for b in (term.then, term.otherwise))
            return where(term.condition, *branches)
        return self._short(term, known)

    # Function values, extrema and what stands under a root are atoms here: their own normal forms would not read as
    # what the user wrote.

    def _hide(self, node: Expr) -> Expr | None:
        if not isinstance(node, Apply | Extremum | Position | Compare | Where) and node not in self.bases:
            return None
        places = tuple(sorted(free_indices(node), key=lambda i: (i.name, i.uid)))
        pattern = substitute(node, {p: Index(f"#{k}", p.size) for k, p in enumerate(places)})
        tensor = self.opaque.setdefault(pattern, Tensor(f"#{len(self.opaque)}", tuple(p.size for p in places)))
        return Entry(tensor, places)

    def _reveal(self, node: Expr) -> Expr | None:
        if not isinstance(node, Entry) or not node.tensor.name.startswith("#"):
            return None
        pattern = next(p for p, t in self.opaque.items() if t is node.tensor)
        return substitute(
            pattern,
            {Index(f"#{k}", i): p for k, (i, p) in enumerate(zip(node.tensor.shape, node.indices, strict=True))},
        )

    def _named(self, expr: Expr) -> Expr:
        """Bound indices called as the program calls those of the same axis; deltas with both of their sides."""

        def visit(node: Expr) -> Expr | None:
            if isinstance(node, Sum):
                index = fresh(self.names.get(node.index.size, node.index.name), node.index.size)
                return close_sum(index, rewrite(substitute(node.body, {node.index: index}), visit))
            if (
                isinstance(node, Kronecker)
                and isinstance(node.left, Add)
                and len(node.left.terms) == 2
                and node.right is ZERO
            ):
                plus = [t for t in node.left.terms if not _negative(t)]
                minus = [multiply(MINUS_ONE, t) for t in node.left.terms if _negative(t)]
                if len(plus) == 1:
                    ends = sorted((plus[0], minus[0]), key=lambda e: not isinstance(e, Index))
                    return kronecker(*ends)
            return None

        return rewrite(expr, visit)


def plain_indices(expr: Expr, facts: Facts = NO_FACTS) -> Expr:
    """`expr` with computed indices simplified: z[n, j - H + H] is z[n, j]."""

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Entry):
            return None
        return Entry(node.tensor, tuple(i if isinstance(i, Index) else simplify(i, facts) for i in node.indices))

    return rewrite(expr, visit)


def _terms(expr: Expr) -> tuple[Expr, ...]:
    return expr.terms if isinstance(expr, Add) else (expr,)


def _bases_of_roots(expr: Expr) -> Iterator[Expr]:
    for node in nodes_once(expr):
        if not isinstance(node, Power) or not isinstance(node.base, Add) or not isinstance(node.exponent, Number):
            continue
        if node.exponent.value.denominator != 1:
            yield node.base


def _negative(term: Expr) -> bool:
    return isinstance(term, Multiply) and isinstance(term.factors[0], Number) and term.factors[0].value < 0
