"""What code says about its own differentiation: gradients that are off, values that count as constants.

Source: torch.no_grad, Tensor.detach and jax.lax.stop_gradient: the value is kept, its derivative is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.array import Array, has_entry
from symbackprop.frontends.numpy.inner_derivatives import depends_on_a_leaf, hide
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import assume, axis_indices, current

# "recorded": a forward; "stopped": gradients are off; "ignored": a backward pass, or a reading of a forward in which
# nothing is a constant.
Recording = Literal["recorded", "stopped", "ignored"]
_RECORDING: ContextVar[Recording] = ContextVar("recording", default="recorded")
_OF_A_RULE: ContextVar[bool] = ContextVar("of_a_rule", default=False)
CASTS = "casts between floating types (.float(), .to(...), .astype(...)) count as the identity"
OF_HALF = "numbers in float16 stay below 65504, where it overflows"
CONSTANT = "what is detached, or computed without gradients, counts as constant"


@contextmanager
def gradients(how: Recording) -> Iterator[None]:
    """Whether what is computed inside is differentiated; "ignored" is not left by what the code says."""
    ignored = _RECORDING.get() == "ignored"
    if ignored and how == "stopped":
        hide("code without gradients")
    token = _RECORDING.set("ignored" if ignored else how)
    try:
        yield
    finally:
        _RECORDING.reset(token)


def are_off() -> bool:
    """True inside torch.no_grad()."""
    return _RECORDING.get() == "stopped"


@contextmanager
def of_a_rule() -> Iterator[None]:
    """The forward of a derivative rule, which no framework differentiates."""
    token = _OF_A_RULE.set(True)
    try:
        yield
    finally:
        _OF_A_RULE.reset(token)


def by_its_formula(name: str) -> None:
    """Go on with the formula of a function that has a derivative rule of its own, where only its values count.

    Raises:
        TraceError: it is differentiated here, and so its rule decides, whatever its formula is.
    """
    if _RECORDING.get() == "ignored":
        if current().leaves and not _OF_A_RULE.get():
            assume(f"the derivative rule of {name} is that of its formula")
        return
    if not _OF_A_RULE.get():
        raise TraceError(f"{name} inside a function that is differentiated cannot be traced: it has a rule of its own",
                         help=f"check {name} alone, and write its formula here")  # fmt: skip
    assume(f"the derivative rule of {name} is that of its formula")


def decides_itself() -> bool:
    """True where a function that has a derivative rule of its own is differentiated, so that its rule counts."""
    return _RECORDING.get() == "recorded" and not _OF_A_RULE.get()


def must_be_shown(name: str, shown: bool) -> None:
    """Note that the rule of a function inside another one is that of its formula.

    Raises:
        TraceError: that was not shown.
    """
    if not shown:
        help = f"check {name} alone: inside a function that is differentiated its rule decides"
        raise TraceError(f"that the derivative rule of {name} is that of its formula was not shown", help=help)
    assume(f"where both have a value, the derivative rule of {name} is that of its formula (shown)")


def stopped(value: Array) -> Array:
    """The same numbers with derivative 0."""
    if _RECORDING.get() == "ignored" and depends_on_a_leaf(value):
        hide("what is detached")
    if _RECORDING.get() == "ignored" or value.kind != "real" or not is_data(value):
        return value
    assume(CONSTANT)
    return OPERATIONS["stop_gradient"](value)  # type: ignore[no-any-return]


def is_data(value: Array) -> bool:
    """True if an array depends on what came in."""
    return has_entry(value.buffer.content(axis_indices(value.buffer.shape)))
