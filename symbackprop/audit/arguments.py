r"""Arguments that are counted: in \pi(a \mid s) = e^{h(s, a)} / \sum_b e^{h(s, b)} the letters a, b and s are indices.

A quantity of which some argument is the letter of a sum around it has an entry for each value of its arguments, and so
has one of the same letters, as \pi here. Main name: `counted_arguments`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass, replace
from typing import Any

from symbackprop.audit.names import LAYER_LETTERS
from symbackprop.audit.tree import (
    Big,
    Chain,
    Display,
    Group,
    Node,
    Product,
    Script,
    Scripts,
    Symbol,
    walk,
    with_parts,
)

Called = tuple[Node, int]  # the letter before a bracket, and the number of its arguments


def counted_arguments(displays: Sequence[Display]) -> Callable[[Any], Any] | None:
    r"""What puts \pi_{a, s} for \pi(a \mid s) into a tree; None if no sum runs over such an argument."""
    written = [_rewritten(display, _exponent) for display in displays]
    computed = {called for display in written for called in _computed(display)}
    counted = {called for display in written for called in _counted(display)} - computed
    calls = [call for display in written for node in walk(display) for call in _calls(node)]
    letters = {i for first, group in calls if (first, len(group.items)) in counted for i in group.items}
    counted |= {(first, len(group.items)) for first, group in calls if letters.issuperset(group.items)} - computed
    if not counted:
        return None
    return lambda tree: _rewritten(_rewritten(tree, _exponent), functools.partial(_entries, counted))


def _counted(display: Display) -> Iterator[Called]:
    """What stands in a sum with the sum's letter among its arguments."""
    for node in walk(display):
        letter = _letter(node) if isinstance(node, Big) and node.operator == "sum" else None
        if letter is None or not isinstance(node, Big) or node.body is None:
            continue
        for inner in walk(node.body):
            for first, group in _calls(inner):
                if letter in group.items:
                    yield first, len(group.items)


def _computed(display: Display) -> Iterator[Called]:
    """What stands before arguments that are no letters, h(t + 1), as well: that is a function."""
    for node in walk(display):
        if isinstance(node, Product):
            for operator, first, group in zip(node.operators, node.factors, node.factors[1:], strict=False):
                if not operator and isinstance(group, Group) and _is_letter(first) and not _is_called(first, group):
                    yield first, len(group.items)


def _letter(node: Big) -> Node | None:
    match node.lower:
        case (Chain((letter, *_)),) | (letter,) if _is_index(letter):
            return None if isinstance(letter, Symbol) and letter.name in LAYER_LETTERS else letter
    return None


def _is_index(node: Node) -> bool:
    """True for a and a'."""
    match node:
        case Symbol(_, _, ()) | Scripts(Symbol(_, _, ()), None, None):
            return True
    return False


def _calls(node: object) -> Iterator[tuple[Node, Group]]:
    """Letters with a list of letters in the bracket behind them."""
    if isinstance(node, Product):
        for operator, first, group in zip(node.operators, node.factors, node.factors[1:], strict=False):
            if not operator and isinstance(group, Group) and _is_called(first, group):
                yield first, group


def _is_called(first: Node, group: Group) -> bool:
    plain = all(map(_is_index, group.items))
    return _is_letter(first) and group.opening == "(" and bool(group.items) and plain


def _is_letter(node: Node) -> bool:
    match node:
        case Symbol() | Scripts(Symbol(), _, None, 0):
            return True
    return False


def _rewritten(value: Any, change: Callable[[Any], Any]) -> Any:
    """A tree with each node changed, the inner ones first; no deeper than the grammar lets trees be nested."""
    made = with_parts(value, lambda part: _rewritten(part, change))
    return made if isinstance(made, tuple) or not is_dataclass(made) else change(made)


def _exponent(node: Any) -> Any:
    """e to a product of what stands side by side above it."""
    match node:
        case Scripts(Symbol("e"), None, Script((_, _, *_) as items, separators), 0) if not any(separators):
            return replace(node, above=Script((Product(items, separators),)))
    return node


def _entries(counted: set[Called], node: Any) -> Any:
    """A product with entries for what is counted."""
    if not isinstance(node, Product):
        return node
    factors, operators = [node.factors[0]], list[str]()
    for operator, factor in zip(node.operators, node.factors[1:], strict=True):
        group = factor if not operator and isinstance(factor, Group) and _is_called(factors[-1], factor) else None
        if group is not None and (factors[-1], len(group.items)) in counted:
            factors[-1] = _entry(factors[-1], group)
        else:
            factors.append(factor)
            operators.append(operator)
    return replace(node, factors=tuple(factors), operators=tuple(operators)) if operators else factors[0]


def _entry(first: Node, group: Group) -> Scripts:
    base, known = (first.base, first.below) if isinstance(first, Scripts) else (first, None)
    items = known.items if known is not None else ()
    separators = (*(known.separators if known is not None else ()), *([","] if items else []))
    below = Script((*items, *group.items), (*separators, *[","] * (len(group.items) - 1)))
    return Scripts(base, below, None, span=(first.span[0], group.span[1]))


__all__ = ["counted_arguments"]
