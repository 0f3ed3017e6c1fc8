"""Which statements can run on a block of rows at a time.

A tall batch is worked on block by block, so that a block's activations stay in the cache from the forward to the
backward pass; what is summed over the rows is added up. That is right if nothing that belongs to a row needs a sum
over all rows. This module must not know about printers.
"""

from __future__ import annotations

from dataclasses import dataclass

from symbackprop.codegen.lowering.form import Contract, Form, Gather, Reduce, Statement, axes, reads
from symbackprop.expression.build import Index, Symbol, Tensor


@dataclass(frozen=True)
class Split:
    """A form's statements: before the loop over blocks of rows, inside it, and after it.

    Args:
        sums: tensors that the loop adds up.
    """

    before: tuple[Statement, ...]
    loop: tuple[Statement, ...]
    after: tuple[Statement, ...]
    sums: frozenset[Tensor]


def split_rows(form: Form, rows: Symbol) -> Split | None:
    """The three parts for the axis of size `rows`, or None if blocks would compute something else."""
    if any(rows in t.shape[1:] for t in form.inputs) or any(rows in t.shape for t in form.outputs):
        return None
    before, loop, after = list[Statement](), list[Statement](), list[Statement]()
    late, sums = set[Tensor](), set[Tensor]()
    for statement in form.statements:
        over = _over(statement)
        has_row = [i for i in (*axes(statement.target), *over) if i.size is rows]
        if not has_row:
            needs_sum = not late.isdisjoint(reads(statement))
            (after if needs_sum else before).append(statement)
            late |= {statement.target.tensor} if needs_sum else set()
            continue
        summed = any(i.size is rows for i in over)
        plain_sum = isinstance(statement, Contract) or (isinstance(statement, Reduce) and statement.kind == "sum")
        first = not summed and statement.target.indices[0] is not has_row[0]
        if len(has_row) > 1 or first or (summed and not plain_sum) or not late.isdisjoint(reads(statement)):
            return None
        if isinstance(statement, Gather) and statement.source.shape and rows in statement.source.shape:
            return None
        loop.append(statement)
        if summed:
            sums.add(statement.target.tensor)
            late.add(statement.target.tensor)
    return Split(tuple(before), tuple(loop), tuple(after), frozenset(sums)) if loop else None


def _over(statement: Statement) -> tuple[Index, ...]:
    return statement.over if isinstance(statement, (Contract, Reduce)) else ()
