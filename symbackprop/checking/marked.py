"""Backward passes that say which forward pass they belong to.

    @sb.gradient_of(forward, shapes={"x": ("N", "D")})
    def backward(dout, x): ...

The mark changes nothing; `symbackprop.pytest_plugin` collects what carries it. Loads nothing else of the package, so
that a module of layers may be marked at no cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
ATTRIBUTE = "__gradient_of__"


@dataclass(frozen=True)
class GradientOf:
    """What a backward pass is claimed to be the gradient of.

    Args:
        forward: the forward pass.
        options: as `api.assert_proved` takes them.
    """

    forward: Callable[..., Any]
    options: Mapping[str, Any]


def gradient_of(
    forward: Callable[..., Any],
    *,
    shapes: Mapping[str, Sequence[str | int]],
    assume: Mapping[str, str] | None = None,
    where: str | None = None,
    **options: Any,
) -> Callable[[F], F]:
    """Mark a backward pass as the gradient of `forward`, for pytest to judge.

    Args:
        forward, shapes, assume, where: as `check` takes them.
        options: `seconds`, `stated_sizes` and `complete`, as `assert_proved` takes them.

    Returns:
        a decorator that returns the backward pass itself.

    Example:
        >>> @gradient_of(lambda x: x**2, shapes={"x": ("N",)})
        ... def backward(dout, x):
        ...     return {"x": 2 * x * dout}
        >>> backward(3.0, 5.0)
        {'x': 30.0}
    """
    claim = GradientOf(forward, {"shapes": shapes, "assume": assume, "where": where, **options})

    def mark(backward: F) -> F:
        setattr(backward, ATTRIBUTE, claim)
        return backward

    return mark


def claim_of(thing: Any) -> GradientOf | None:
    """What `gradient_of` has claimed of a function, if it has."""
    claim = getattr(thing, "__dict__", {}).get(ATTRIBUTE) if callable(thing) else None
    return claim if isinstance(claim, GradientOf) else None
