"""Equality of the two sides of a step, for all sizes and values: the normal form, and what it has answered already.

Layer after layer of a deep network asks the same question under other names. An equality holds for every renaming of
tensors and sizes that leaves alone those of which something is assumed, so it is remembered by its pattern. Work is
counted, not timed: the answer does not depend on the machine.
"""

from __future__ import annotations

from symbackprop.expression.build import Add, Expr, Symbol, Tensor
from symbackprop.expression.program import Program, symbols
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.renaming import Pattern, pattern

MOST = 20_000  # steps of the normal form for one question; the largest of the gallery takes fewer than 100
WRITTEN_OUT = 8  # where sizes are fixed, axes up to this length are compared entry by entry


class Equality:
    """Equality under what a program says of its inputs and sizes.

    Args:
        expanded: as `Canonical` has it, for programs with sizes that are numbers.
    """

    def __init__(self, program: Program, expanded: int = 0) -> None:
        self.facts, self.kinds = program.facts, program.known
        self.expanded = expanded
        self._names = names_that_matter(program)
        self._shown: dict[Pattern, tuple[str, ...]] = {}
        self._tables: dict[bool, Canonical] = {}

    def conditions(self, left: Expr, right: Expr) -> tuple[str, ...] | None:
        """What the equality makes use of, in words; None if it could not be shown.

        What is known about the inputs is used only where it is needed, so that no needless condition is named.

        Raises:
            UnsupportedError, BudgetError: the normal form does not know a construct, or needs too many steps.
        """
        question = pattern(left, right, fixed=self._names)
        if question in self._shown:
            return self._shown[question]
        by_term = self._by_term(left, right)
        if by_term is not None:
            return self._shown.setdefault(question, by_term)
        for knowing in (False, True) if self.kinds else (False,):
            table = self._table(knowing)
            if table.equal(left, right):
                return self._shown.setdefault(question, tuple(table.used))
        return None

    def _by_term(self, left: Expr, right: Expr) -> tuple[str, ...] | None:
        """What the equalities of their terms make use of, for sums of equally many terms that are equal one by one."""
        if not (isinstance(left, Add) and isinstance(right, Add) and len(left.terms) == len(right.terms)):
            return None
        used: dict[str, None] = {}
        for ours, theirs in zip(left.terms, right.terms, strict=True):
            found = self.conditions(ours, theirs)
            if found is None:
                return None
            used |= dict.fromkeys(found)
        return tuple(used)

    def _table(self, knowing: bool) -> Canonical:
        """A normal form that has made use of nothing yet."""
        if knowing not in self._tables:
            kinds = self.kinds if knowing else {}
            self._tables[knowing] = Canonical(self.facts, kinds, None, expanded=self.expanded, most=MOST)
        table = self._tables[knowing]
        table.used = {}
        table.restart_clock()
        return table


def names_that_matter(program: Program) -> frozenset[Symbol | Tensor]:
    """The tensors and sizes of which a program says something: what holds of others, holds of them by any name."""
    sizes = {s for relation in program.domain for s in symbols(relation)}
    sizes |= {s for a in program.assumptions if a.size is not None for s in symbols(a.size)}
    return frozenset(sizes) | {t for t in program.tensors if t.kind != "real" or t in program.known}
