"""Row by row: statements that need of each other nothing but their own row share one loop over the rows.

So a row is in the cache from the forward to the backward pass, what only the loop reads is kept for one row, and a
product of many matrices becomes one of two. What is summed over the rows is added up; what needs such a sum comes in a
later loop, and products of whole matrices stay by themselves. Main name: `rowwise`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from symbackprop.codegen.c.loops import is_product
from symbackprop.codegen.lowering.form import (
    Contract,
    Form,
    Gather,
    Loop,
    Map,
    Marked,
    Reduce,
    Statement,
    axes,
    entries_read,
    is_plain,
    reads,
    rewritten,
    substituted,
)
from symbackprop.expression.build import Entry, Expr, Index, Symbol, Tensor, entries, substitute


def rowwise(form: Form) -> Form:
    """The form with loops over rows; as it is if it has loops already."""
    if form.loops:
        return form
    left, statements, loops = list(form.statements), list[Statement](), list[Loop]()
    comments = dict(form.comments)
    while left:
        found = [_Group(left, size) for size in _sizes(left)]
        best = max(found, key=lambda g: len(g.rows), default=None)
        if best is None or not best.is_worth_it:
            statements.append(left.pop(0))
            continue
        step = Symbol(f"row{len(loops) + 1}", "size")
        body, axes_of, said = best.body(step, form, comments)
        comments |= said
        statements += best.before
        first = len(statements)
        statements += body
        sums = frozenset(best.sums)
        loops.append(Loop(step, best.size, False, first, len(statements), axes_of, sums))
        left = best.after
    return replace(form, statements=tuple(statements), loops=tuple(loops), comments=comments)


def _sizes(statements: Sequence[Statement]) -> list[Expr]:
    """The sizes of first axes."""
    found = [s.target.tensor.shape[0] for s in statements if len(s.target.indices) > 1]
    found += [e.tensor.shape[0] for s in statements for e in entries_read(s) if len(e.indices) > 1]
    return list(dict.fromkeys(found))


@dataclass
class _Group:
    """Statements that can share a loop over the rows, what comes before it and what comes after it."""

    statements: Sequence[Statement]
    size: Expr
    before: list[Statement] = field(default_factory=list)
    rows: list[tuple[Statement, Index]] = field(default_factory=list)
    after: list[Statement] = field(default_factory=list)
    sums: set[Tensor] = field(default_factory=set)

    def __post_init__(self) -> None:
        late, made = set[Tensor](), set[Tensor]()
        for statement in self.statements:
            tensor = statement.target.tensor
            if not late.isdisjoint(reads(statement)):
                self.after.append(statement)
                late.add(tensor)
                continue
            row = self._row_of(statement, made)
            if row is not None and self._is_local(statement, row, made):
                self.rows.append((statement, row))
                made.add(tensor)
                if row not in statement.target.indices:
                    self.sums.add(tensor)
            elif made.isdisjoint(reads(statement)):
                self.before.append(statement)
            else:
                self.after.append(statement)
                late.add(tensor)

    def _row_of(self, s: Statement, made: set[Tensor]) -> Index | None:
        """The index of its rows; None if it has none, or is better worked on as a whole."""
        if not isinstance(s, (Map, Reduce, Contract, Gather, Marked)) or not is_plain(s.target):
            return None
        if isinstance(s, Contract) and is_product(s):
            return None
        indices = axes(s.target)
        if indices and indices[0].size is self.size:
            return None if isinstance(s, Marked) and s.at is indices[0] else indices[0]
        over = s.over if isinstance(s, (Contract, Reduce)) else ()
        if isinstance(s, Reduce) and s.kind != "sum":
            return None
        operands = [e for e in entries_read(s) if e.indices]
        leading = [
            i for i in over if i.size is self.size and all(e.indices[0] is i or i not in e.indices for e in operands)
        ]
        return leading[0] if leading and any(len(e.indices) > 1 or e.tensor in made for e in operands) else None

    def _is_local(self, s: Statement, row: Index, made: set[Tensor]) -> bool:
        """True if it reads of the others' rows its own alone, and no sum over them."""
        for entry in entries_read(s):
            if entry.tensor not in made:
                continue
            if entry.tensor in self.sums or not entry.indices or entry.indices[0] is not row:
                return False
        return True

    @property
    def is_worth_it(self) -> bool:
        """True for several statements, some of them over more than the rows, or for products of many matrices."""
        several = any(len(e.indices) > 1 for s, _ in self.rows for e in (s.target, *entries_read(s)))
        many = any(isinstance(s, Contract) and is_product(_at(s, r, Symbol("r", "size"))) for s, r in self.rows)
        return (len(self.rows) > 1 and several) or many

    def body(
        self, step: Symbol, form: Form, comments: Mapping[Tensor | Entry, str]
    ) -> tuple[list[Statement], dict[Tensor, int], dict[Tensor | Entry, str]]:
        """(the statements of one row, which arrays they fill row by row, comments of arrays of one row)."""
        outside = {t for s in (*self.before, *self.after) for t in reads(s)} | set(form.outputs)
        made = [s.target.tensor for s, _ in self.rows if s.target.tensor not in self.sums]
        short = {t: Tensor(t.name, t.shape[1:], t.kind) for t in made if t not in outside}
        said: dict[Tensor | Entry, str] = {short[t]: comments[t] for t in short if t in comments}

        def entry(e: Entry) -> Entry:
            return Entry(short[e.tensor], e.indices[1:]) if e.tensor in short else e

        def value(expr: Expr) -> Expr:
            found: dict[Expr, Expr] = {e: entry(e) for e in entries(expr) if e.tensor in short}
            return substitute(expr, found) if found else expr

        body = [rewritten(_at(s, row, step), entry, value) for s, row in self.rows]
        return body, {t: 0 for t in made if t not in short}, said


def _at(s: Statement, row: Index, step: Symbol) -> Statement:
    """A statement at one row."""
    found = substituted(s, {row: step})
    if isinstance(found, (Contract, Reduce)):
        found = replace(found, over=tuple(i for i in found.over if i is not row))
    return found
