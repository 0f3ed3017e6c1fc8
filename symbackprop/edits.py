"""Edits of one line of a backward pass: what would make a wrong gradient right?

Every line is tried with the slips that people make: a factor or a term too many, a wrong sign or exponent, indices
swapped, another tensor of the same shape, a missing factor. An edit is a cure only if, with it, every wrong gradient
has the normal form of the derived one. This module knows the slips; `mending` says what is made of a cure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from symbackprop.errors import BudgetError, UnsupportedError
from symbackprop.expression import (
    MINUS_ONE,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Power,
    Tensor,
    add,
    children,
    multiply,
    number,
    power,
    rebuild,
)
from symbackprop.program import Equation, Program
from symbackprop.resolve import Resolver
from symbackprop.rules import tensors_in
from symbackprop.sympy_form import slope

MAXIMUM_REPLACEMENTS = 6


@dataclass(frozen=True)
class Edit:
    """A changed line.

    Args:
        words: what was wrong with it.
        equation: the line as it would be right.
    """

    words: str
    equation: Equation


def right_edit(resolver: Resolver, forward: Program, claimed: Program, pairs: dict[Tensor, Tensor]) -> Edit | None:
    """The first edit of one line that makes every claimed tensor (key) equal to the derived one (value).

    Raises:
        BudgetError: the time is up.
    """
    own = {e.tensor for e in forward.equations}
    lines = [e for e in claimed.equations if e.tensor not in own]
    for line in lines:
        if not all(_reaches(lines, line.tensor, target) for target in pairs):
            continue
        downstream = {e.tensor for e in lines if _reaches(lines, line.tensor, e.tensor)}
        for edit in _edits(line, forward, lines):
            resolver.check_budget()
            changed = resolver.edited(edit.equation, downstream)
            try:
                if all(changed.meets(a, b, opened=0) for a, b in pairs.items()):
                    return edit
            except BudgetError:
                raise
            except UnsupportedError:
                continue
    return None


def _reaches(lines: list[Equation], source: Tensor, target: Tensor) -> bool:
    """True if `target` is computed from `source`."""
    found = {source}
    for line in lines:
        if tensors_in(line.value) & found:
            found.add(line.tensor)
    return target in found


def _edits(line: Equation, forward: Program, lines: list[Equation]) -> Iterator[Edit]:
    for words, value in _changes(line, forward, lines):
        if value is not line.value:
            yield Edit(words, Equation(line.tensor, line.indices, value, line.note))


def _changes(line: Equation, forward: Program, lines: list[Equation]) -> Iterator[tuple[str, Expr]]:
    yield from _scaled(line, forward)
    for words, edit in (
        ("a sign is wrong", _signs),
        ("a factor does not belong there", _without_factor),
        ("a term does not belong there", _without_term),
        ("two indices are swapped", _swapped),
        ("an exponent is wrong", _exponents),
        ("a threshold is wrong", _thresholds),
    ):
        for value in _everywhere(line.value, edit):
            yield words, value
    yield from _replaced(line, forward, lines)


def _everywhere(expr: Expr, edit: Callable[[Expr], Iterator[Expr]]) -> Iterator[Expr]:
    """The expression with one node changed, for every node and every change."""
    parts = children(expr)
    for k, part in enumerate(parts):
        if isinstance(expr, Entry):
            break
        for changed in _everywhere(part, edit):
            yield rebuild(expr, (*parts[:k], changed, *parts[k + 1 :]))
    yield from edit(expr)


def _signs(node: Expr) -> Iterator[Expr]:
    if isinstance(node, Add):
        for k, term in enumerate(node.terms):
            yield add(*node.terms[:k], multiply(MINUS_ONE, term), *node.terms[k + 1 :])


def _without_factor(node: Expr) -> Iterator[Expr]:
    if isinstance(node, Multiply):
        for k in range(len(node.factors)):
            yield multiply(*node.factors[:k], *node.factors[k + 1 :])


def _without_term(node: Expr) -> Iterator[Expr]:
    if isinstance(node, Add):
        for k in range(len(node.terms)):
            yield add(*node.terms[:k], *node.terms[k + 1 :])


def _swapped(node: Expr) -> Iterator[Expr]:
    if isinstance(node, Entry):
        for k in range(len(node.indices)):
            for m in range(k + 1, len(node.indices)):
                if node.tensor.shape[k] is node.tensor.shape[m] and node.indices[k] is not node.indices[m]:
                    order = list(node.indices)
                    order[k], order[m] = order[m], order[k]
                    yield Entry(node.tensor, tuple(order))


def _exponents(node: Expr) -> Iterator[Expr]:
    if isinstance(node, Power) and isinstance(node.exponent, Number):
        e = node.exponent.value
        for other in (e - 1, e + 1, e / 2, 2 * e, -e):
            yield power(node.base, other)


def _thresholds(node: Expr) -> Iterator[Expr]:
    if isinstance(node, Compare):
        if node.relation != "==":
            yield Compare("<" if node.relation == "<=" else "<=", node.left, node.right)
        for k, side in enumerate((node.left, node.right)):
            if isinstance(side, Number) and side.value:
                zero = number(0)
                yield Compare(node.relation, zero, node.right) if k == 0 else Compare(node.relation, node.left, zero)


def _scaled(line: Equation, forward: Program) -> Iterator[tuple[str, Expr]]:
    """The whole line times a number, a size, an entry or a slope."""
    for factor in (number(-1), number(2), number(Fraction(1, 2))):
        yield "a factor is wrong", multiply(line.value, factor)
    for size in forward.sizes:
        yield f"a factor 1/{size.name} is missing", multiply(line.value, power(size, -1))
        yield f"a factor 1/{size.name} is too many", multiply(line.value, size)
    for equation in forward.equations:
        value = equation.value
        if isinstance(value, Apply) and equation.tensor.shape == line.tensor.shape:
            local = slope(value.function, 0, value.arguments)
            here = dict(zip(equation.indices, line.indices, strict=True))
            yield f"the slope of {value.function.name} is missing", multiply(line.value, _at(local, here))
    for tensor in (*forward.inputs, *(e.tensor for e in forward.equations)):
        entry = _beside(tensor, line.indices)
        if entry is not None and tensor.kind == "real":
            yield f"a factor {tensor.name} is missing", multiply(line.value, entry)


def _at(expr: Expr, places: dict[Index, Index]) -> Expr:
    if isinstance(expr, Index):
        return places.get(expr, expr)
    parts = children(expr)
    return rebuild(expr, tuple(_at(p, places) for p in parts)) if parts else expr


def _beside(tensor: Tensor, indices: tuple[Index, ...]) -> Entry | None:
    """The entry of `tensor` at those of the line's indices that range over its axes, if that is unambiguous."""
    chosen: list[Index] = []
    for size in tensor.shape:
        fitting = [i for i in indices if i.size is size and i not in chosen]
        if not fitting:
            return None
        chosen.append(fitting[0])
    return Entry(tensor, tuple(chosen))


def _replaced(line: Equation, forward: Program, lines: list[Equation]) -> Iterator[tuple[str, Expr]]:
    """Another tensor of the same shape."""
    before = [e.tensor for e in lines[: lines.index(line)]]
    others = [*forward.inputs, *(e.tensor for e in forward.equations), *before]
    for used in sorted(tensors_in(line.value), key=lambda t: t.name):
        alike = [t for t in others if t.shape == used.shape and t is not used and t.kind == "real"]
        for other in alike[-MAXIMUM_REPLACEMENTS:]:

            def exchange(node: Expr, used: Tensor = used, other: Tensor = other) -> Iterator[Expr]:
                if isinstance(node, Entry) and node.tensor is used:
                    yield Entry(other, node.indices)

            for value in _everywhere(line.value, exchange):
                yield f"{other.name} belongs where {used.name} stands", value
