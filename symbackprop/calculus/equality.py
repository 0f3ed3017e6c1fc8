"""Equality of the two sides of a step, for all sizes and values: the normal form, and what it has answered already.

Layer after layer of a deep network asks the same question under other names. An equality that was shown without any
assumption, in a program without relations between its sizes, holds for every renaming of tensors and sizes, so it is
remembered by its pattern. Work is counted, not timed: the answer does not depend on the machine.
"""

from __future__ import annotations

from symbackprop.expression.build import Expr
from symbackprop.expression.program import Program
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.renaming import Pattern, pattern

MOST = 20_000  # steps of the normal form for one question; the largest of the gallery takes fewer than 100


class Equality:
    """Equality under what a program says of its inputs and sizes.

    Args:
        expanded: as `Canonical` has it, for programs with sizes that are numbers.
    """

    def __init__(self, program: Program, expanded: int = 0) -> None:
        self.facts, self.kinds = program.facts, program.known
        self.expanded = expanded
        self._nameless = not self.kinds and not program.domain
        self._shown: set[Pattern] = set()
        self._tables: dict[bool, Canonical] = {}

    def conditions(self, left: Expr, right: Expr) -> tuple[str, ...] | None:
        """What the equality makes use of, in words; None if it could not be shown.

        What is known about the inputs is used only where it is needed, so that no needless condition is named.

        Raises:
            UnsupportedError, BudgetError: the normal form does not know a construct, or needs too many steps.
        """
        question = pattern(left, right) if self._nameless else None
        if question in self._shown:
            return ()
        for knowing in (False, True) if self.kinds else (False,):
            table = self._table(knowing)
            if table.equal(left, right):
                if question is not None and not table.used:
                    self._shown.add(question)
                return tuple(table.used)
        return None

    def _table(self, knowing: bool) -> Canonical:
        """A normal form that has made use of nothing yet; what it remembers of earlier steps rests on no condition."""
        table = self._tables.get(knowing)
        if table is None or table.used:
            kinds = self.kinds if knowing else {}
            table = self._tables[knowing] = Canonical(self.facts, kinds, None, expanded=self.expanded, most=MOST)
        table.restart_clock()
        return table
