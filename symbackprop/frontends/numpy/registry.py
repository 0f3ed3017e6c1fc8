"""The table of NumPy operations that can be traced, by NumPy's name: "exp", "linalg.norm", "add".

The modules that implement operations fill it; arrays, sizes and the stand-in for the `numpy` module look it up. So an
operation is added in one place, and arrays need not import the modules that work on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from symbackprop.frontends.numpy.session import guarded

F = TypeVar("F", bound=Callable[..., Any])
OPERATIONS: dict[str, Callable[..., Any]] = {}
METHODS: dict[str, Callable[..., Any]] = {}


def implements(*names: str, method: bool = False) -> Callable[[F], F]:
    """Enter a function under these NumPy names; `method` makes it a method of arrays as well."""

    def enter(function: F) -> F:
        for name in names:
            OPERATIONS[name] = guarded(function, name, _is_entrywise(name))
            if method:
                METHODS[name] = guarded(function, name, _is_entrywise(name))
        return function

    return enter


def _is_entrywise(name: str) -> bool:
    """Whether an operation comes to the same for a number and for an array of it: entry by entry."""
    ufunc = getattr(np, name, None)
    return (isinstance(ufunc, np.ufunc) and ufunc.signature is None) or name in ("where", "inplace", "setitem")
