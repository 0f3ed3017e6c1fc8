"""The imperative form: a short list of array statements into which every Program is lowered, and that every printer
reads.

Each statement writes one array. Its target and operands are entries with plain, distinct indices, `z2[n,i]`, so an
array's axes are known by name and a transpose costs nothing: it is the printer that lines the axes up. Inside the
loop of a recurrence they may also have positions without indices, `h[t + 1,n,i]` at the step t, which are no axes.

    Map       target[n,i] = elementwise expression of entries over a subset of the target's indices
    Contract  target[n,i] = sum over j of left[n,j] * right[i,j]
    Reduce    target[n]   = sum, max, min, argmax or argmin over k of operand[n,k]
    Gather    target[n,j] = source[y[n], j + H]
    OfMatrix  target[i,j] = entry i, j of the inverse of matrix[i,j]
    Marked    target[n,c] = value, and extra[n] more, or in its stead, where c is y[n]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from symbackprop.expression.build import (
    Entry,
    Expr,
    Index,
    MatrixKind,
    Multiply,
    Number,
    Symbol,
    Tensor,
    children,
    entries,
    free_indices,
    substitute,
)
from symbackprop.expression.program import symbols
from symbackprop.rendering.text import to_text

ReduceKind = Literal["sum", "max", "min", "argmax", "argmin"]


@dataclass(frozen=True)
class Map:
    """target = an elementwise expression; entries inside it use the target's indices only."""

    target: Entry
    value: Expr


@dataclass(frozen=True)
class Contract:
    """target = sum over the indices `over` of left * right."""

    target: Entry
    left: Entry
    right: Entry
    over: tuple[Index, ...]


@dataclass(frozen=True)
class Reduce:
    """target = the reduction of operand over the indices `over`."""

    target: Entry
    kind: ReduceKind
    operand: Entry
    over: tuple[Index, ...]


@dataclass(frozen=True)
class Gather:
    """target = source[positions]; where `guarded`, a position may lie outside and is clipped: its value is not used.

    Args:
        whole: of a look-up of every entry, once, how it sees the axes of the source (`merged.digits`).
    """

    target: Entry
    source: Tensor
    positions: tuple[Expr, ...]
    guarded: bool = False
    whole: tuple[Expr, ...] = ()


@dataclass(frozen=True)
class Join:
    """target = the parts one after the other along the axis of the target's index `along`.

    Args:
        parts: over the target's indices, but for one of their own, of the part's size, in the place of `along`.
    """

    target: Entry
    parts: tuple[Entry, ...]
    along: Index


@dataclass(frozen=True)
class OfMatrix:
    """target = what is made of each whole matrix: its inverse or lower Cholesky factor, its determinant or the
    logarithm of its magnitude.

    Args:
        places: the indices of rows and columns, in the matrix and in a target that has them.
    """

    target: Entry
    kind: MatrixKind
    matrix: Entry
    places: tuple[Index, Index]


@dataclass(frozen=True)
class Marked:
    """target = value, an elementwise expression or 0, and `extra` more, or instead, where the index `at` is `place`.

    Neither the place nor `extra` has that index. In `lowering.marked` a Map becomes one.
    """

    target: Entry
    value: Expr
    at: Index
    place: Expr
    extra: Expr
    instead: bool = False


Statement = Map | Contract | Reduce | Gather | Join | OfMatrix | Marked


@dataclass(frozen=True)
class Loop:
    """The statements number `first` to `last` - 1 of a form run for each step, the others once.

    Args:
        step: runs from 0 to count - 1, or from count - 1 down to 0.
        axes: of arrays that the loop fills step by step, their axis of steps; what else its statements define is known
            for one step alone.
        sums: tensors to which each step adds.
    """

    step: Symbol
    count: Expr
    backwards: bool
    first: int
    last: int
    axes: Mapping[Tensor, int]
    sums: frozenset[Tensor] = frozenset()


@dataclass(frozen=True)
class Form:
    """Statements in an order in which they can run.

    Args:
        inputs: arrays given from outside.
        outputs: arrays that are returned.
        parameters: scalars given from outside.
        comments: for the tensors of the Program, or the entries of a recurrence at one step, their equation as text.
        loops: of its recurrences, in order.
    """

    inputs: tuple[Tensor, ...]
    statements: tuple[Statement, ...]
    outputs: tuple[Tensor, ...]
    parameters: tuple[Symbol, ...]
    comments: Mapping[Tensor | Entry, str]
    loops: tuple[Loop, ...] = ()


def comment_of(form: Form, statement: Statement) -> str | None:
    """The equation that a statement completes, if it stands beside it."""
    return form.comments.get(statement.target, form.comments.get(statement.target.tensor))


def equation_text(left: Entry, value: Expr) -> str:
    """The equation on one line, as it stands in comments: letters of its names that could end a comment are dropped."""
    return "".join(c if c.isprintable() else "?" for c in f"{to_text(left)} = {to_text(value)}")


def axes(entry: Entry) -> tuple[Index, ...]:
    """The axes of an entry, in order; a position at the step of a loop is none."""
    found = tuple(i for i in entry.indices if isinstance(i, Index))
    assert len(found) == len(entry.indices) or not any(
        free_indices(i) for i in entry.indices if not isinstance(i, Index)
    ), "an entry of the imperative form has plain indices"
    return found


def is_plain(entry: Entry) -> bool:
    """True if the indices are distinct `Index` nodes, so that the whole array is meant."""
    return len(set(entry.indices)) == len(entry.indices) and all(isinstance(i, Index) for i in entry.indices)


@lru_cache(maxsize=1 << 14)
def reads(statement: Statement) -> tuple[Tensor, ...]:
    """The tensors that a statement reads, each once, in order."""
    match statement:
        case Map(_, value):
            found: Iterable[Tensor] = (e.tensor for e in entries(value))
        case Contract(_, left, right, _):
            found = (left.tensor, right.tensor)
        case Reduce(_, _, operand, _) | OfMatrix(_, _, operand, _):
            found = (operand.tensor,)
        case Gather(_, source, positions, _):
            found = (source, *(e.tensor for p in positions for e in entries(p)))
        case Join(_, parts, _):
            found = (p.tensor for p in parts)
        case Marked(_, value, _, place, extra, _):
            found = (e.tensor for part in (value, place, extra) for e in entries(part))
    return tuple(dict.fromkeys(found))


def entries_read(statement: Statement) -> list[Entry]:
    """The entries that a statement reads; of a look-up the one that it looks up comes first."""
    match statement:
        case Map(_, value):
            return list(entries(value))
        case Contract(_, left, right, _):
            return [left, right]
        case Reduce(_, _, operand, _) | OfMatrix(_, _, operand, _):
            return [operand]
        case Gather(_, source, positions, _):
            return [Entry(source, positions), *(e for p in positions for e in entries(p))]
        case Join(_, parts, _):
            return list(parts)
        case Marked(_, value, _, place, extra, _):
            return [e for part in (value, place, extra) for e in entries(part)]


def rewritten(statement: Statement, entry: Callable[[Entry], Entry], value: Callable[[Expr], Expr]) -> Statement:
    """The statement with other entries, and other values."""
    target = entry(statement.target)
    match statement:
        case Map(_, old):
            return Map(target, value(old))
        case Contract(_, left, right, over):
            return Contract(target, entry(left), entry(right), over)
        case Reduce(_, kind, operand, over):
            return Reduce(target, kind, entry(operand), over)
        case OfMatrix(_, kind, matrix, places):
            return OfMatrix(target, kind, entry(matrix), places)
        case Gather(_, source, positions, guarded, whole):
            found = entry(Entry(source, tuple(map(value, positions))))
            return Gather(target, found.tensor, found.indices, guarded, tuple(map(value, whole)))
        case Join(_, parts, along):
            return Join(target, tuple(map(entry, parts)), along)
        case Marked(_, old, at, place, extra, instead):
            return Marked(target, value(old), at, value(place), value(extra), instead)


def substituted(statement: Statement, table: Mapping[Expr, Expr]) -> Statement:
    """The statement with other indices, all of them replaced at once: two may change places."""

    def value(expr: Expr) -> Expr:
        return substitute(expr, table)

    def entry(e: Entry) -> Entry:
        return Entry(e.tensor, tuple(map(value, e.indices)))

    if isinstance(statement, Gather):  # what it looks up is an entry whose positions are values
        places = tuple(map(value, statement.positions))
        whole = tuple(map(value, statement.whole))
        return replace(statement, target=entry(statement.target), positions=places, whole=whole)
    return rewritten(statement, entry, value)


def all_symbols(statement: Statement) -> list[Symbol]:
    """The hyper-parameters and sizes that running a statement may need."""
    found: dict[Symbol, None] = dict.fromkeys(s for p in statement.target.indices for s in symbols(p))
    indices = list(axes(statement.target))
    match statement:
        case Map(_, value):
            found.update(dict.fromkeys(symbols(value)))
        case Contract(_, _, _, over) | Reduce(_, _, _, over):
            indices += over
            found.update(dict.fromkeys(s for e in entries_read(statement) for s in symbols(e)))
        case Join() | OfMatrix():
            indices += [i for p in entries_read(statement) for i in axes(p)]
        case Marked(_, value, _, place, extra, _):
            found.update(dict.fromkeys(s for e in (value, place, extra) for s in symbols(e)))
        case Gather(_, source, positions, _):
            found.update(dict.fromkeys(s for e in (*positions, *source.shape) for s in symbols(e)))
    found.update(dict.fromkeys(s for i in indices for s in symbols(i.size)))
    return list(found)


def prune(form: Form, outputs: tuple[Tensor, ...]) -> Form:
    """The form that computes only `outputs`: value-only and gradient-only variants come from this."""
    needed, kept = set(outputs), list[Statement]()
    for statement in reversed(form.statements):
        if statement.target.tensor in needed:
            kept.append(statement)
            needed.update(reads(statement))
    return replace(form, statements=tuple(reversed(kept)), outputs=outputs)


def only(form: Form, places: Iterable[int], outputs: tuple[Tensor, ...]) -> Form:
    """The form with some of its statements alone, in order."""
    chosen = sorted(places)
    loops = list[Loop]()
    for loop in form.loops:
        inside = [k for k, p in enumerate(chosen) if loop.first <= p < loop.last]
        if inside:
            made = {form.statements[p].target.tensor for p in chosen}
            kept = {t: axis for t, axis in loop.axes.items() if t in made}
            loops.append(replace(loop, first=inside[0], last=inside[-1] + 1, axes=kept))
    statements = tuple(form.statements[p] for p in chosen)
    used = {s for statement in statements for s in all_symbols(statement)}
    used |= {s for loop in loops for s in symbols(loop.count)}
    parameters = tuple(p for p in form.parameters if p in used)
    return replace(form, statements=statements, outputs=outputs, parameters=parameters, loops=tuple(loops))


def soon(form: Form) -> Form:
    """The form with each array output as soon as it can be: what it reads is in the cache then, and free afterwards.

    A temporary that one such output alone reads goes with it.
    """
    readers = Counter(t for s in form.statements for t in reads(s))
    made = {s.target.tensor: s for s in form.statements}
    moved, wanted = set[Tensor](), [t for t in form.outputs if t.shape and not readers[t]]
    while wanted:
        tensor = wanted.pop()
        if tensor in made:
            moved.add(tensor)
            wanted += [t for t in reads(made[tensor]) if readers[t] == 1 and t not in form.outputs]
    known, order = set(form.inputs), list[Statement]()
    waiting = [s for s in form.statements if s.target.tensor in moved]
    for statement in form.statements:
        if statement.target.tensor not in moved:
            order.append(statement)
            known.add(statement.target.tensor)
        for other in list(waiting):
            if known.issuperset(reads(other)):
                waiting.remove(other)
                order.append(other)
                known.add(other.target.tensor)
    return replace(form, statements=tuple(order))


def size_sources(inputs: Iterable[Tensor]) -> dict[Symbol, tuple[Tensor, int, int]]:
    """For each size symbol an input's axis that tells it, and what to divide by: an axis may have the size 4*H."""
    found: dict[Symbol, tuple[Tensor, int, int]] = {}
    places = [(t, axis, size) for t in inputs for axis, size in enumerate(t.shape)]
    for tensor, axis, size in places:
        if isinstance(size, Symbol):
            found.setdefault(size, (tensor, axis, 1))
    for tensor, axis, size in places:
        match size:
            case Multiply((Number(value), Symbol() as symbol)) if value.denominator == 1:
                found.setdefault(symbol, (tensor, axis, value.numerator))
    return found


def unbound(form: Form) -> list[Symbol]:
    """Symbols in the statements that are no parameters, no sizes of an input's axis and no steps of a loop."""
    known = set(form.parameters) | set(size_sources(form.inputs)) | {loop.step for loop in form.loops}
    used = [s for statement in form.statements for s in all_symbols(statement)]
    return list(dict.fromkeys(s for s in used if s not in known))


def subexpressions(expr: Expr) -> Iterable[Expr]:
    """All nodes inside `expr`, itself first."""
    yield expr
    for child in children(expr):
        yield from subexpressions(child)
