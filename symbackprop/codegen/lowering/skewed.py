"""Tables of which each entry reads its neighbours, as recurrences along their diagonals.

    h[i,j] = tanh(x[i,j] + h[i-1,j] + h[i,j-1])

    h_diagonal[d,j] = tanh(x[d-j,j] + h_diagonal[d-1,j] + h_diagonal[d-1,j-1])     where 0 <= d - j < H
    h[i,j]          = h_diagonal[i+j,j]

All entries of one diagonal are computed at once, from those of the diagonals before it: one loop over the diagonals is
left, each of its rounds works on whole vectors (Lamport, "The parallel execution of DO loops", 1974). Main name:
`skewed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Compare,
    Entry,
    Expr,
    Tensor,
    add,
    fresh,
    multiply,
    rewrite,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.recurrence import Clock, Recurrence, equations_of
from symbackprop.expression.sizes import Facts, simplify


def skewed(program: Program) -> Program:
    """The same program, in which no recurrence has a clock along two axes."""
    if not any(_runs_across(block) for block in program.blocks):
        return program
    taken = {t.name for t in program.tensors}
    equations = chain.from_iterable(
        _Skew(block, program.facts, taken).equations() if _runs_across(block) else equations_of(block)  # type: ignore[arg-type]
        for block in program.blocks
    )
    return replace(program, equations=tuple(equations))


def _runs_across(block: object) -> bool:
    return isinstance(block, Recurrence) and any(c.across is not None for c in block.clocks.values())


class _Skew:
    """One recurrence along diagonals.

    Args:
        taken: names that no tensor may have.
    """

    def __init__(self, block: Recurrence, facts: Facts, taken: set[str]) -> None:
        self._block, self._facts = block, facts
        self._tables = {t: self._table(t, clock, taken) for t, clock in block.clocks.items()}

    def equations(self) -> Iterator[Equation]:
        """Those of the diagonals, then what each table has of them."""
        yield from map(self._along_diagonals, self._block.equations)
        for equation in self._block.equations:
            yield replace(equation, value=self._read(equation.left))

    def _table(self, tensor: Tensor, clock: Clock, taken: set[str]) -> Tensor:
        """The tensor of the diagonals of another one."""
        name = f"{tensor.name}_diagonal"
        while name in taken:
            name += "_"
        taken.add(name)
        first, second = clock.axes
        count = self._simple(add(tensor.shape[first], tensor.shape[second], MINUS_ONE))
        shape = tuple(count if k == first else n for k, n in enumerate(tensor.shape))
        return Tensor(name, shape, tensor.kind)

    def _along_diagonals(self, equation: Equation) -> Equation:
        """What stands in each place of each diagonal; beyond the ends of the table there is nothing."""
        tensor = equation.tensor
        clock, table = self._block.clocks[tensor], self._tables[tensor]
        first, second = clock.axes
        diagonal = fresh(equation.indices[first].name, table.shape[first])
        row = self._simple(subtract(diagonal, self._along(clock, tensor, equation.indices[second])))
        value = rewrite(substitute(equation.value, {equation.indices[first]: row}), self._from_diagonals)
        inside = multiply(Compare("<=", ZERO, row), Compare("<", row, tensor.shape[first]))
        indices = tuple(diagonal if k == first else i for k, i in enumerate(equation.indices))
        return Equation(table, indices, where(inside, value, ZERO), equation.note)

    def _along(self, clock: Clock, tensor: Tensor, place: Expr) -> Expr:
        """How far a place of the second axis moves the diagonal."""
        second, sign = clock.axes[1], clock.signs[0] * clock.signs[1]
        return place if sign > 0 else subtract(subtract(tensor.shape[second], ONE), place)

    def _read(self, entry: Entry) -> Entry:
        """An entry of a table as one of its diagonals."""
        clock = self._block.clocks[entry.tensor]
        first, second = clock.axes
        diagonal = self._simple(add(entry.indices[first], self._along(clock, entry.tensor, entry.indices[second])))
        places = (diagonal if k == first else self._simple(p) for k, p in enumerate(entry.indices))
        return Entry(self._tables[entry.tensor], tuple(places))

    def _from_diagonals(self, node: Expr) -> Expr | None:
        return self._read(node) if isinstance(node, Entry) and node.tensor in self._tables else None

    def _simple(self, place: Expr) -> Expr:
        return simplify(place, self._facts)


__all__ = ["skewed"]
