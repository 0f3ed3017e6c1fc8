"""What an extremum is taken of has one name wherever it is compared with the extremum.

    m = max(n, f(x[n]))                      ->  b[n] = f(x[n]),  m = max(n, b[n])
    x_bar[n] = where(f(x[n]) == m, g, 0)     ->  x_bar[n] = where(b[n] == m, g, 0)

Equal numbers are asked for, and what is computed again, in other words or with another rounding, is not equal.
Main name: `with_named_bodies`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

from symbackprop.codegen.lowering.share import key
from symbackprop.expression.build import (
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Tensor,
    Where,
    children,
    free_indices,
    nodes_once,
    open_binder,
    rewrite,
)
from symbackprop.expression.program import Equation, Program, unused
from symbackprop.expression.recurrence import clocks_of

MOST_AXES = 4  # in how many orders axes are tried


def with_named_bodies(program: Program) -> Program:
    """The same functions; what is compared with an extremum of it is the array of which that was taken."""
    while (found := _with_one_more(program)) is not None:
        program = found
    return program


def _with_one_more(program: Program) -> Program | None:
    compared = [c for e in program.equations for c in _written_out(e.value)]
    if not compared:
        return None
    steps = clocks_of(program.equations)
    for place, equation in enumerate(program.equations):
        if equation.tensor in steps:
            continue
        for part in _parts(equation.value):
            indices = tuple(sorted(free_indices(part), key=lambda i: (i not in equation.indices, i.uid)))
            if len(indices) > MOST_AXES or not any(_at(part, indices, c) is not None for c in compared):
                continue
            taken = {t.name for t in program.tensors} | {s.name for s in program.parameters}
            tensor = Tensor(unused(f"{equation.tensor.name}_of", taken), tuple(i.size for i in indices))
            own = Equation(tensor, indices, part)
            before, after = program.equations[:place], program.equations[place:]
            renamed = tuple(replace(e, value=_named(e.value, own)) for e in after)
            return replace(program, equations=(*before, own, *renamed))
    return None


def _written_out(value: Expr) -> Iterator[Expr]:
    """What is compared with something for equality, and is no entry."""
    for node in nodes_once(value):
        if isinstance(node, Compare) and node.relation == "==":
            yield from (side for side in (node.left, node.right) if not isinstance(side, Entry) and free_indices(side))


def _parts(value: Expr) -> Iterator[Expr]:
    """What extrema in an expression are taken of, and these themselves where they are not all of it."""
    for node in _everywhere(value):
        if isinstance(node, Extremum):
            if node is not value:
                yield node
            _, body = open_binder(node)
            if not isinstance(body, Entry):
                yield body


def _everywhere(value: Expr) -> Iterator[Expr]:
    """The parts that are asked for at every entry: a branch may speak of places that there are not elsewhere."""
    yield value
    if not isinstance(value, Where):
        for part in children(value):
            yield from _everywhere(part)


def _at(part: Expr, indices: tuple[Index, ...], other: Expr) -> tuple[Index, ...] | None:
    """The indices at which the other expression is `part`, if it is that anywhere."""
    free = free_indices(other)
    if len(free) != len(indices):
        return None
    wanted = key("map", part, indices)
    return next((order for order in permutations(free) if key("map", other, order) == wanted), None)


def _named(value: Expr, own: Equation) -> Expr:
    """The expression with the entry of the new tensor for what it holds, where that is compared or an extremum's."""

    def entry(expr: Expr) -> Expr:
        places = None if isinstance(expr, Entry) else _at(own.value, own.indices, expr)
        return expr if places is None else Entry(own.tensor, places)

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Extremum):
            if (found := entry(node)) is not node:
                return found
            index, body = open_binder(node)
            return Extremum(node.kind, index, entry(body)) if entry(body) is not body else None
        if isinstance(node, Compare) and node.relation == "==":
            return Compare("==", rewrite(entry(node.left), visit), rewrite(entry(node.right), visit))
        return None

    return rewrite(value, visit)
