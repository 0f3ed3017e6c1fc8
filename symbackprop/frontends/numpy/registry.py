"""The table of NumPy operations that can be traced, by NumPy's name: "exp", "linalg.norm", "add".

The modules that implement operations fill it; arrays, sizes and the stand-in for the `numpy` module look it up. So an
operation is added in one place, and arrays need not import the modules that work on them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes
from symbackprop.frontends.numpy.session import Result, current, guarded

F = TypeVar("F", bound=Callable[..., Any])
OPERATIONS: dict[str, Callable[..., Any]] = {}
METHODS: dict[str, Callable[..., Any]] = {}


def implements(*names: str, method: bool = False) -> Callable[[F], F]:
    """Enter a function under these NumPy names; `method` makes it a method of arrays as well."""

    def enter(function: F) -> F:
        for name in names:
            OPERATIONS[name] = guarded(_of_arrays(function, name), name)
            if method:
                METHODS[name] = guarded(_of_arrays(function, name), name)
        return function

    return enter


def _of_arrays(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """An operation that takes what may be a number only where that comes to the same: entry by entry.

    A result is an array for sure if another operand is one of its shape.
    """
    ufunc = getattr(np, name, None)
    entrywise = (isinstance(ufunc, np.ufunc) and ufunc.signature is None) or name in ("where", "inplace", "setitem")

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        arrays = [a for a in args if issubclass(type(a), Result)]
        if not any(a.may_be_number for a in arrays):
            return function(*args, **options)
        if not entrywise or (name == "setitem" and args[0].may_be_number):
            raise used_as_array()
        result = function(*args, **options)
        if issubclass(type(result), Result):
            result.may_be_number = not any(not a.may_be_number and a.axes == result.axes for a in arrays)
        return result

    return call


def used_as_array() -> Exception:
    """The stop where something is asked of what may be a number that a number answers otherwise, or not at all."""
    what, sizes = "a number that becomes an array later is used as an array", current().sizes
    return NeedsConcreteSizes(what, sizes) if sizes else TraceError(what, help="begin with an array: np.zeros(...)")
