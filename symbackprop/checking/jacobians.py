"""Derivatives as models for curve fitting return them: Jacobians, without an upstream gradient.

A Jacobian J is right if dout . J is the gradient for every dout. So it is checked as the backward pass that multiplies
it by dout and adds up over the outputs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from symbackprop.errors import MalformedError
from symbackprop.frontends.numpy.dialects import OWN_CODE

OWN_CODE.append(__file__)  # what is made here is rebuilt with the user's code, and is no code of his


def pulled_back(
    forward: Callable[..., Any], backward: Callable[..., Any] | None, shapes: Mapping[str, Any]
) -> tuple[Callable[..., Any], str]:
    """(the backward pass of a function that returns Jacobians, what its results were taken for).

    Args:
        backward: backward(**inputs) returns {input: J}, or a list in the order of the arguments that come last.

    Shapes: J has the axes of the output, then those of the input; of an input with the axes of the output it may
    also be what the function is differentiated entry by entry, with the axes of either.

    Raises:
        MalformedError: there is none.
    """
    if backward is None or not callable(backward):
        raise MalformedError("jacobian=True asks for a function that returns the derivatives",
                             help="check(forward, derivatives, shapes=..., jacobian=True)")  # fmt: skip
    order = [n for n in inspect.signature(forward).parameters if n in shapes]
    own = list(inspect.signature(backward).parameters)

    def pull(dout: Any, **inputs: Any) -> dict[str, Any]:
        found = backward(**{n: v for n, v in inputs.items() if n in own})
        if not isinstance(found, dict):
            found = dict(zip(order[len(order) - len(found) :], found, strict=True))
        result = {}
        for name, jacobian in found.items():
            axes = np.ndim(dout)
            if np.ndim(jacobian) == axes + np.ndim(inputs[name]):
                result[name] = np.tensordot(dout, jacobian, axes)
            else:
                result[name] = dout * jacobian
        return result

    pull.__module__ = backward.__module__
    pull.__name__ = getattr(backward, "__name__", "derivatives")
    return pull, f"took what {pull.__name__} returns for Jacobians, the axes of the output first"


__all__ = ["pulled_back"]
