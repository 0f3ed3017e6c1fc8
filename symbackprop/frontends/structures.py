"""Arrays in tuples, named tuples, lists and dictionaries, as parameters come: visited, counted, replaced; and gradients
by the names under which they are returned, in a dictionary or a record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator
from types import SimpleNamespace
from typing import Any

from symbackprop.errors import MalformedError


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


def members_of(value: Any) -> dict[str, Any] | None:
    """The members of a record by name: of a dictionary, a named tuple, a data class, a namespace; None of all else."""
    if isinstance(value, dict):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return dict(vars(value)) if isinstance(value, SimpleNamespace) else None


def input_named(key: Any, inputs: Collection[str]) -> str:
    """The input whose gradient has this name; the name itself if there is none.

    Example:
        >>> input_named("dW", ["W"]), input_named("W_grad", ["W"]), input_named("loss", ["W"])
        ('W', 'W', 'loss')
    """
    name = str(key)
    options = (name, name.removeprefix("d").lstrip("_"), name.removeprefix("grad_"), name.removesuffix("_grad"))
    return next((n for n in options if n in inputs), name)


def by_input(returned: Any, inputs: Collection[str]) -> Any:
    """What a backward pass returns, by the names of inputs, if it says names; else as it is, in the inputs' order.

    A named tuple is a tuple: it is taken in order if its names are others.
    """
    members = members_of(returned)
    if members is None:
        return returned
    named = {k: input_named(k, inputs) for k in members}
    if isinstance(returned, tuple) and not all(n in inputs for n in named.values()):
        return returned
    twice = next((n for n in named.values() if list(named.values()).count(n) > 1), None)
    if twice is not None:
        keys = ", ".join(str(k) for k, n in named.items() if n == twice)
        raise MalformedError(f"the backward returns two gradients of {twice}: {keys}")
    return {named[k]: v for k, v in members.items()}


__all__ = ["by_input", "input_named", "leaves_of", "like", "mapped", "members_of", "remade"]
