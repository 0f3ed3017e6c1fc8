"""Loops for C: elementwise statements and reductions over the same axes share one loop nest.

A statement joins an earlier nest over axes of the same sizes if everything that it reads is known by then; a
temporary that only its own nest reads never becomes an array. A term added to a sum over all rows is its starting
value (`folded`), so that the matrix product adds to it in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from symbackprop.codegen.lowering.form import (
    Contract,
    Form,
    Gather,
    Join,
    Map,
    Marked,
    Reduce,
    Statement,
    axes,
    entries_read,
    reads,
    substituted,
)
from symbackprop.expression.build import ZERO, Add, Entry, Expr, Index, Tensor, add, entries


@dataclass
class Nest:
    """Loops over `order`, and the statements in the innermost one, all written in these indices."""

    order: tuple[Index, ...]
    statements: list[Statement] = field(default_factory=list)


Task = Nest | Contract | Join


@dataclass(frozen=True)
class Matrix:
    """An array, or what a step of a loop has of it, as a matrix: neighbouring axes count as one.

    Args:
        offset: the entry at which it begins.
        above, across: the axes along its columns and along its rows.
        lead: the sizes whose product is the distance of two rows.
    """

    offset: Entry
    above: tuple[Index, ...]
    across: tuple[Index, ...]
    lead: tuple[Expr, ...]


def as_matrix(entry: Entry, group: tuple[Index, ...]) -> Matrix | None:
    """The entry's array as a matrix, one side of which has the axes of the group; None if it is none."""
    places = [a for a, i in enumerate(entry.indices) if i in group]
    others = [a for a, i in enumerate(entry.indices) if isinstance(i, Index) and i not in group]
    if not places or not others:
        return None
    above, across = (places, others) if places[0] < others[0] else (others, places)
    last = len(entry.indices) - 1
    whole = above == list(range(above[0], above[-1] + 1)) and across == list(range(across[0], last + 1))
    if not whole or above[-1] > across[0] or across[-1] != last:
        return None
    offset = Entry(entry.tensor, tuple(ZERO if isinstance(i, Index) else i for i in entry.indices))
    own = entry.indices[above[0] : above[-1] + 1], entry.indices[across[0] :]
    named = [tuple(i for i in side if isinstance(i, Index)) for side in own]
    return Matrix(offset, named[0], named[1], entry.tensor.shape[above[-1] + 1 :])


def as_product(s: Statement) -> tuple[Matrix, Matrix, Matrix] | None:
    """(target, first, second) of a contraction that is a product of two matrices; None if it is none."""
    if not isinstance(s, Contract) or "integer" in (s.left.tensor.kind, s.right.tensor.kind):
        return None
    order, left, right = axes(s.target), axes(s.left), axes(s.right)
    alone = [i for i in order if (i in left) != (i in right)]
    if len(alone) < len(order) or not order:
        return None
    first, second = (s.left, s.right) if order[0] in left else (s.right, s.left)
    rows = tuple(i for i in order if i in axes(first))
    target, a, b = as_matrix(s.target, rows), as_matrix(first, rows), as_matrix(second, s.over)
    if target is None or a is None or b is None or target.above != rows or s.target.indices[-1] not in axes(second):
        return None
    columns, over = target.across, b.above if b.above != target.across else b.across
    fits = {a.above, a.across} == {rows, over} and {b.above, b.across} == {over, columns}
    return (target, a, b) if fits and target.lead == s.target.tensor.shape[-len(columns) :] else None


def is_product(s: Statement) -> bool:
    """True for a contraction that is a product of two matrices, of which neighbouring axes may be one."""
    return as_product(s) is not None


def nest_axes(s: Statement) -> tuple[Index, ...]:
    """The axes that a statement loops over, outermost first."""
    match s:
        case Reduce(_, _, operand, _):
            return axes(operand)
        case Contract(target, left, _, over):
            if not axes(target):
                return axes(left)
            return axes(target) + tuple(over)
    return axes(s.target)


def nests(statements: Iterable[Statement]) -> list[Task]:
    """Matrix products, and nests of everything else, in an order in which they can run."""
    tasks: list[Task] = []
    made: dict[Tensor, int] = {}  # the task after which a tensor is complete
    written: dict[Tensor, tuple[int, ...]] = {}  # the loops whose indices an elementwise target has, by number
    for statement in statements:
        needed = [made[t] for t in reads(statement) if t in made]
        if isinstance(statement, Join) or (isinstance(statement, Contract) and is_product(statement)):
            tasks.append(statement)
            made[statement.target.tensor] = len(tasks) - 1
            continue
        if isinstance(statement, Marked):  # the value of each entry first, and then what is added to some
            if statement.value is not statement.target:
                tasks.append(Nest(axes(statement.target), [Map(statement.target, statement.value)]))
            rest = tuple(i for i in axes(statement.target) if i is not statement.at)
            tasks.append(Nest(rest, [statement]))
            made[statement.target.tensor] = len(tasks) - 1
            continue
        order = nest_axes(statement)
        sizes = [i.size for i in order]
        first = max((_first(t, statement, made[t], written) for t in reads(statement) if t in made), default=0)
        alone = isinstance(statement, Reduce) and statement.kind in ("max", "min")
        place = None if alone else _place(tasks, sizes, first, needed)
        if place is None:
            tasks.append(Nest(order))
            place = len(tasks) - 1
        nest = tasks[place]
        assert isinstance(nest, Nest)
        nest.statements.append(renamed(statement, dict(zip(order, nest.order, strict=True))))
        made[statement.target.tensor] = place
        if isinstance(statement, (Map, Gather)):
            written[statement.target.tensor] = tuple(order.index(i) for i in axes(statement.target))
    return tasks


def _first(tensor: Tensor, statement: Statement, place: int, written: dict[Tensor, tuple[int, ...]]) -> int:
    """The first task in which the statement can read `tensor`, which the task number `place` makes.

    In the same nest only if it reads the very entry that was just computed: not a sum, and not the transpose.
    """
    order = nest_axes(statement)
    if isinstance(statement, Gather) or (isinstance(statement, Reduce) and statement.kind in ("argmax", "argmin")):
        return place + 1  # it reads other entries as well
    here = [e for e in entries_read(statement) if e.tensor is tensor]
    same = all(tuple(order.index(i) for i in axes(e)) == written.get(tensor) for e in here)
    return place if same else place + 1


def _place(tasks: list[Task], sizes: list[Expr], first: int, needed: list[int]) -> int | None:
    """The first nest that has these sizes and does not run before what the statement needs."""
    for place in range(first, len(tasks)):
        task = tasks[place]
        if not isinstance(task, Nest) or [i.size for i in task.order] != sizes or not sizes:
            continue
        if isinstance(task.statements[0], Reduce) and task.statements[0].kind in ("max", "min"):
            continue  # by a function of its own
        if all(p < place or isinstance(tasks[p], Nest) for p in needed):
            return place
    return None


def renamed(statement: Statement, names: Mapping[Index, Index]) -> Statement:
    """The statement with other indices."""
    table: dict[Expr, Expr] = {old: new for old, new in names.items()}
    found = substituted(statement, table)
    if isinstance(found, (Reduce, Contract)):
        return replace(found, over=tuple(names[i] for i in found.over))
    return found


def folded(form: Form, sums: frozenset[Tensor], late: set[Tensor]) -> tuple[list[Map], dict[Tensor, Tensor]]:
    """(starting values, which sum adds to which of them): target = T + rest becomes target = rest, target += T's parts.

    Args:
        sums: contractions that are added up over the rows.
        late: tensors that are known only after the rows; a starting value must not need them.
    """
    starts, into = list[Map](), dict[Tensor, Tensor]()
    for statement in form.statements:
        if not isinstance(statement, Map) or not isinstance(statement.value, Add):
            continue
        target = statement.target
        for term in statement.value.terms:
            if not isinstance(term, Entry) or term.tensor not in sums or term.indices != target.indices:
                continue
            rest = add(*(t for t in statement.value.terms if t is not term))
            once = sum(term.tensor in reads(s) for s in form.statements) == 1
            if once and late.isdisjoint(e.tensor for e in entries(rest)):
                starts.append(replace(statement, value=rest))
                into[term.tensor] = target.tensor
                break
    return starts, into
