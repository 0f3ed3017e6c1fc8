"""Arrays in tuples, named tuples, lists and dictionaries, as parameters come: visited, counted, replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def leaves_of(value: Any) -> list[Any]:
    """The arrays of a structure, in JAX's order: dictionaries by their keys."""
    if isinstance(value, dict):
        return [leaf for n in sorted(value) for leaf in leaves_of(value[n])]
    if isinstance(value, (tuple, list)):
        return [leaf for v in value for leaf in leaves_of(v)]
    return [] if value is None else [value]


def like(value: Any, leaves: Iterator[Any]) -> Any:
    """The same structure with other leaves, in the order of `leaves_of`."""
    if isinstance(value, dict):
        filled = {n: like(value[n], leaves) for n in sorted(value)}
        return {n: filled[n] for n in value}
    if isinstance(value, (tuple, list)):
        return remade(value, [like(v, leaves) for v in value])
    return None if value is None else next(leaves)


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The same structure with the function of each leaf; None stays."""
    if isinstance(value, dict):
        return {n: mapped(function, v) for n, v in value.items()}
    if isinstance(value, (tuple, list)):
        return remade(value, [mapped(function, v) for v in value])
    return None if value is None else function(value)


def remade(value: Any, parts: list[Any]) -> Any:
    """A list or a tuple of the same kind with other members."""
    kind = type(value)
    if hasattr(value, "_fields"):
        return kind(*parts)
    return kind(parts) if kind in (tuple, list) else tuple(parts) if isinstance(value, tuple) else parts


__all__ = ["leaves_of", "like", "mapped", "remade"]
