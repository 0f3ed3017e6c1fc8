"""Arrays in tuples, lists and dictionaries, in JAX's order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def leaves_of(value: Any) -> list[Any]:
    """The arrays of a result, in JAX's order: dictionaries by their keys."""
    if isinstance(value, dict):
        return [leaf for n in sorted(value) for leaf in leaves_of(value[n])]
    if isinstance(value, (tuple, list)):
        return [leaf for v in value for leaf in leaves_of(v)]
    return [] if value is None else [value]


def like(value: Any, leaves: Iterator[Any]) -> Any:
    """The same structure with other leaves."""
    if isinstance(value, dict):
        filled = {n: like(value[n], leaves) for n in sorted(value)}
        return {n: filled[n] for n in value}
    if isinstance(value, (tuple, list)):
        parts = [like(v, leaves) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return None if value is None else next(leaves)


__all__ = ["leaves_of", "like"]
