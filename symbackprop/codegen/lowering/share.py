"""Common subexpressions: what several statements compute is computed once.

A function value that occurs in more than one place (sigmoid(z2) in the activation and again in its derivative) gets
a statement of its own, or is read from the tensor that already holds it. Products and sums are cheap and stay where
they are written.

Two expressions have one `key` if they are the same array, whatever their indices are called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count

from symbackprop.codegen.lowering.form import Form, Map, Statement, axes, is_plain, subexpressions
from symbackprop.expression.build import (
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Multiply,
    Number,
    Position,
    Power,
    Sum,
    Symbol,
    Tensor,
    children,
    entries_once,
    free_indices,
    rebuild,
)

Key = tuple[object, ...]


def key(tag: str, value: Expr, indices: tuple[Index, ...]) -> Key:
    """What `value` is as an array with the axes `indices`.

    Example:
        >>> from symbackprop.expression.build import Tensor
        >>> n = Symbol("n", "size")
        >>> i, j, x = Index("i", n), Index("j", n), Tensor("x", (n,))
        >>> key("map", Entry(x, (i,)), (i,)) == key("map", Entry(x, (j,)), (j,))
        True
    """
    names: dict[Index, object] = {index: position for position, index in enumerate(indices)}
    return (tag, tuple(i.size for i in indices), _structure(value, names, 0))


def _structure(expr: Expr, names: dict[Index, object], depth: int) -> object:
    match expr:
        case Index():
            return ("index", names[expr], expr.size)
        case Number() | Symbol():
            return expr
        case Sum(index, body) | Extremum(_, index, body) | Position(_, index, body):
            kind = "" if isinstance(expr, Sum) else expr.kind
            inner = names | {index: ("bound", depth)}
            return (type(expr), kind, index.size, _structure(body, inner, depth + 1))
    parts = tuple(_structure(c, names, depth) for c in children(expr))
    match expr:
        case Add() | Multiply():  # the order of terms does not matter, how often each occurs does
            return (type(expr), frozenset((part, parts.count(part)) for part in parts))
        case Entry(own, _) | Apply(own, _) | Compare(own, _, _):
            return (type(expr), own, parts)
    return (type(expr), parts)


def share(form: Form, costly: Callable[[Expr], bool] | None = None, taken: Iterable[str] = ()) -> Form:
    """`form` with each costly subexpression computed once.

    Args:
        costly: which are; functions, roots and quotients over arrays if left out.
        taken: names of what is not in the form yet, as of arrays in which the steps of a loop will lie.
    """
    return _Sharing(form, costly or _is_costly, taken).run()


def is_sum(expr: Expr) -> bool:
    """A sum over an array: worth an array of its own where each operation is a pass through memory."""
    return isinstance(expr, Add) and any(e.indices for e in entries_once(expr))


def _is_costly(expr: Expr) -> bool:
    """A function, a root or a quotient over an array: worth an array of its own where it is used twice."""
    if isinstance(expr, Power):
        return bool(free_indices(expr)) and not (isinstance(expr.exponent, Number) and expr.exponent.value == 2)
    return isinstance(expr, Apply) and bool(free_indices(expr))


class _Sharing:
    def __init__(self, form: Form, costly: Callable[[Expr], bool], taken: Iterable[str]) -> None:
        self.form, self.costly = form, costly
        self.uses: Counter[Key] = Counter()
        for statement in form.statements:
            if isinstance(statement, Map):
                order = axes(statement.target)
                self.uses.update(self._key(e, order) for e in subexpressions(statement.value) if self.costly(e))
        self.holds: dict[Key, Tensor] = {}
        self.names = {s.target.tensor.name for s in form.statements} | {t.name for t in form.inputs} | {*taken}
        self.statements: list[Statement] = []

    def run(self) -> Form:
        for statement in self.form.statements:
            if isinstance(statement, Map):
                order = axes(statement.target)
                value = self._shared(statement.value, order, root=True)
                whole = is_plain(statement.target) and free_indices(statement.value) == frozenset(order)
                if self.costly(statement.value) and whole:
                    self.holds.setdefault(self._key(statement.value, order), statement.target.tensor)
                statement = replace(statement, value=value)
            self.statements.append(statement)
        return replace(self.form, statements=tuple(self.statements))

    @staticmethod
    def _key(expr: Expr, order: tuple[Index, ...]) -> Key:
        free = free_indices(expr)
        return key("map", expr, tuple(i for i in order if i in free))

    def _shared(self, expr: Expr, order: tuple[Index, ...], root: bool = False) -> Expr:
        if self.costly(expr):
            mark, free = self._key(expr, order), free_indices(expr)
            indices = tuple(i for i in order if i in free)
            if mark not in self.holds and not root and self.uses[mark] > 1:
                self._hoist(expr, indices, mark)
            if mark in self.holds:
                return Entry(self.holds[mark], indices)
        new = tuple(self._shared(c, order) for c in children(expr))
        return expr if new == children(expr) else rebuild(expr, new)

    def _hoist(self, expr: Expr, indices: tuple[Index, ...], mark: Key) -> None:
        name = next(n for k in count(1) if (n := f"u{k}") not in self.names)
        self.names.add(name)
        parts = children(expr)
        value = rebuild(expr, tuple(self._shared(c, indices) for c in parts))
        tensor = Tensor(name, tuple(i.size for i in indices))
        self.statements.append(Map(Entry(tensor, indices), value))
        self.holds[mark] = tensor
