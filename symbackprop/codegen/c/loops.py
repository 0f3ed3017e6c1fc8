"""Loops for C: elementwise statements and reductions over the same axes share one loop nest.

A statement joins an earlier nest over axes of the same sizes if everything that it reads is known by then; a
temporary that only its own nest reads never becomes an array. A term added to a sum over all rows is its starting
value (`folded`), so that the matrix product adds to it in place. This module must not know how C is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from symbackprop.codegen.lowering.form import Contract, Form, Gather, Map, Reduce, Statement, axes, reads
from symbackprop.expression.build import Add, Entry, Expr, Index, Tensor, add, entries, substitute


@dataclass
class Nest:
    """Loops over `order`, and the statements in the innermost one, all written in these indices."""

    order: tuple[Index, ...]
    statements: list[Statement] = field(default_factory=list)


Task = Nest | Contract


def is_product(s: Statement) -> bool:
    """True for a contraction of two matrices, or of a matrix and a vector, over one index."""
    if not isinstance(s, Contract) or len(s.over) != 1 or not s.target.indices:
        return False
    if "integer" in (s.left.tensor.kind, s.right.tensor.kind):
        return False
    left, right = axes(s.left), axes(s.right)
    shared = [i for i in axes(s.target) if i in left and i in right]
    return not shared and len(left) == 2 and len(right) == 2


def nest_axes(s: Statement) -> tuple[Index, ...]:
    """The axes that a statement loops over, outermost first."""
    match s:
        case Reduce(_, _, operand, _):
            return axes(operand)
        case Contract(target, left, _, over):
            if not target.indices:
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
        if is_product(statement):
            assert isinstance(statement, Contract)
            tasks.append(statement)
            made[statement.target.tensor] = len(tasks) - 1
            continue
        order = nest_axes(statement)
        sizes = [i.size for i in order]
        first = max((_first(t, statement, made[t], written) for t in reads(statement) if t in made), default=0)
        place = _place(tasks, sizes, first, needed)
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
    here = [e for e in entries_of(statement) if e.tensor is tensor]
    same = all(tuple(order.index(i) for i in axes(e)) == written.get(tensor) for e in here)
    return place if same else place + 1


def entries_of(statement: Map | Contract | Reduce) -> list[Entry]:
    """The entries that a statement reads."""
    match statement:
        case Map(_, value):
            return list(entries(value))
        case Contract(_, left, right, _):
            return [left, right]
    return [statement.operand]


def _place(tasks: list[Task], sizes: list[Expr], first: int, needed: list[int]) -> int | None:
    """The first nest that has these sizes and does not run before what the statement needs."""
    for place in range(first, len(tasks)):
        task = tasks[place]
        if not isinstance(task, Nest) or [i.size for i in task.order] != sizes or not sizes:
            continue
        if all(p < place or isinstance(tasks[p], Nest) for p in needed):
            return place
    return None


def renamed(statement: Statement, names: dict[Index, Index]) -> Statement:
    """The statement with other indices."""
    table: dict[Expr, Expr] = {old: new for old, new in names.items()}

    def entry(e: Entry) -> Entry:
        found = substitute(e, table)
        assert isinstance(found, Entry)
        return found

    target = entry(statement.target)
    match statement:
        case Map(_, value):
            return Map(target, substitute(value, table))
        case Gather(_, source, positions, guarded):
            return Gather(target, source, tuple(substitute(p, table) for p in positions), guarded)
        case Reduce(_, kind, operand, over):
            return Reduce(target, kind, entry(operand), tuple(names[i] for i in over))
        case Contract(_, left, right, over):
            return Contract(target, entry(left), entry(right), tuple(names[i] for i in over))


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
