"""Families: theorems or equations that differ only in their layer numbers, so that one derivation speaks for all.

Layers 2 to 63 of a deep network have the same error-term equation. A family holds such a run, highest layer first
as it is derived. Main name: `families`. This module must not know about documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from symbackprop.expression.build import Expr
from symbackprop.rendering.text import to_text

T = TypeVar("T")
_LAYERED = re.compile(r"\b((?:dJ_d|dJ/d)?(?:W|b|z|a|delta))(\d+)\b")
_SIZE = re.compile(r"\bs_(\d+)\b")


def families(items: Sequence[T], sides: Callable[[T], tuple[Expr, Expr]]) -> list[tuple[T, ...]]:
    """The items grouped by their equation up to layer numbers, in the order of their first members.

    Args:
        sides: the left and the right side of an item.
    """
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(pattern(*sides(item)), []).append(item)
    return [tuple(group) for group in groups.values()]


def pattern(left: Expr, right: Expr) -> str:
    """The equation as text, with each layer number given relative to that of the left side; the input x counts as a1.

    Example:
        >>> from symbackprop.expression.build import Entry, Tensor
        >>> pattern(Entry(Tensor("delta2")), Entry(Tensor("delta3")))
        'delta{+0} = delta{+1}'
    """
    text = re.sub(r"\bx\b", "a1", f"{to_text(left)} = {to_text(right)}")
    first = _LAYERED.search(text)
    if first is None:
        return text
    base = int(first[2])
    relative = _LAYERED.sub(lambda m: f"{m[1]}{{{int(m[2]) - base:+d}}}", text)
    return _SIZE.sub(lambda m: f"s{{{int(m[1]) - base:+d}}}", relative)


def layer_of(left: Expr) -> int | None:
    """The layer number of the entry on a left side, if it has one."""
    match = _LAYERED.search(to_text(left))
    return int(match[2]) if match else None
