"""What code says about its own differentiation: gradients that are off, values that count as constants.

Source: torch.no_grad, Tensor.detach and jax.lax.stop_gradient: the value is kept, its derivative is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from symbackprop.frontends.numpy.array import Array, has_entry
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import assume, axis_indices

# "recorded": a forward; "stopped": gradients are off; "ignored": a backward pass, or a reading of a forward in which
# nothing is a constant.
Recording = Literal["recorded", "stopped", "ignored"]
_RECORDING: ContextVar[Recording] = ContextVar("recording", default="recorded")
CONSTANT = "what is detached, or computed without gradients, counts as constant"


@contextmanager
def gradients(how: Recording) -> Iterator[None]:
    """Whether what is computed inside is differentiated; "ignored" is not left by what the code says."""
    token = _RECORDING.set("ignored" if _RECORDING.get() == "ignored" else how)
    try:
        yield
    finally:
        _RECORDING.reset(token)


def are_off() -> bool:
    """True inside torch.no_grad()."""
    return _RECORDING.get() == "stopped"


def stopped(value: Array) -> Array:
    """The same numbers with derivative 0."""
    if _RECORDING.get() == "ignored" or value.kind != "real" or not is_data(value):
        return value
    assume(CONSTANT)
    return OPERATIONS["stop_gradient"](value)  # type: ignore[no-any-return]


def is_data(value: Array) -> bool:
    """True if an array depends on what came in."""
    return has_entry(value.buffer.content(axis_indices(value.buffer.shape)))
