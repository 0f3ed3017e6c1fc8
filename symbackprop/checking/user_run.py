"""The user's own functions, run by NumPy at a point: quietly, on copies, with a cache handed on where there is one.

This module must not know what a result is compared with.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import traceback
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from symbackprop.checking.replay_script import Passes
from symbackprop.errors import MalformedError
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Tensor
from symbackprop.frontends.numpy.library import library_of
from symbackprop.frontends.numpy.session import line_text
from symbackprop.frontends.numpy.traced import backward_roles
from symbackprop.frontends.passes import framework_of


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Nothing that the code prints or warns of is shown."""
    with np.errstate(all="ignore"), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def run(function: Callable[..., Any], inputs: Iterable[Tensor], point: Point, **given: Any) -> Any:
    """What a function returns for copies of the inputs that it takes, by name; a ufunc takes them by place."""
    values = arguments(function, inputs, point)
    return function(*values.values()) if isinstance(function, np.ufunc) else function(**values, **given)


def arguments(function: Callable[..., Any], inputs: Iterable[Tensor], point: Point) -> dict[str, Any]:
    """Copies of the inputs that the function takes, by name, since it may write into them."""
    if isinstance(function, np.ufunc):
        return {t.name: handed(t, point) for t in inputs}
    names, takes_any = _names_of(function) if isinstance(function, types.FunctionType) else _names(function)
    return {t.name: handed(t, point) for t in inputs if takes_any or t.name in names}


def _names(function: Callable[..., Any]) -> tuple[frozenset[str], bool]:
    """The names that a function takes, and whether it takes any."""
    parameters = inspect.signature(function).parameters
    return frozenset(parameters), any(p.kind is p.VAR_KEYWORD for p in parameters.values())


_names_of = functools.lru_cache(maxsize=32)(_names)  # a search runs a function a thousand times


def handed(tensor: Tensor, point: Point) -> Any:
    """An array of its own; of a scalar the NumPy scalar, as indexing or a reduction would give it."""
    return point.inputs[tensor].copy()[()]


def run_again(forward: Callable[..., Any], backward: Callable[..., Any], fixed: Mapping[str, Any]) -> Passes:
    """How a script that knows nothing of this package runs two functions: from their file, if it can import them."""
    places = [_place(f) for f in (forward, backward)]
    known = [p for p in places if p is not None]
    together = len(known) == 2 and known[0][0] == known[1][0]
    try:
        roles = backward_roles(forward, backward, inspect.signature(forward).parameters)
    except (MalformedError, ValueError, TypeError):
        roles = {}
    return Passes(*((known[0][0], known[0][1], known[1][1]) if together else ("", "", "")), roles, dict(fixed))


def _place(function: Callable[..., Any]) -> tuple[str, str] | None:
    """The file of a function and its name there; None where it cannot be imported, or NumPy does not run it."""
    name = getattr(function, "__qualname__", "")
    if framework_of(function) != "NumPy" or not name.isidentifier() or not inspect.isfunction(function):
        return None
    try:
        file = inspect.getsourcefile(function)
    except TypeError:
        return None
    return (str(Path(file).resolve()), name) if file is not None and Path(file).is_file() else None


def user_line(error: BaseException) -> str | None:
    """The innermost line of the user's own code from which an exception comes: "line 14: y = x @ self.W"."""
    frames = [f for f in traceback.walk_tb(error.__traceback__) if library_of(f[0].f_globals.get("__name__")) is None]
    return line_text(frames[-1][0].f_code.co_filename, frames[-1][1]) if frames else None


def numbers_written(function: Callable[..., Any]) -> set[float]:
    """The sizes of the numbers in a function's code, other than 0: something may happen beside each of them."""
    found: set[float] = set()
    pending: list[Any] = [getattr(inspect.unwrap(function), "__code__", None)]
    while pending:
        code = pending.pop()
        for value in getattr(code, "co_consts", ()):
            if isinstance(value, types.CodeType):
                pending.append(value)
            elif isinstance(value, int | float) and not isinstance(value, bool) and value and np.isfinite(value):
                found.add(abs(float(value)))
    return found
