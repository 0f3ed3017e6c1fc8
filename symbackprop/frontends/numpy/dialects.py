"""Other libraries that write NumPy's kind of code: each enters a function that knows what stands in for its values.

Nothing is imported here: a dialect looks whether the user's code has imported its library. This module must not know
which libraries there are.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

OWN_CODE: list[str] = []  # folders of libraries whose own Python code is rebuilt with the user's
UNKNOWN = object()  # the answer of a dialect to what is none of its library's


class Unchanging:
    """A context or a decorator that changes no number but its rounding: autocast, named_scope, a profiler's range."""

    def __call__(self, *args: Any, **_: Any) -> Any:
        """A context, or the function that is decorated."""
        return args[0] if len(args) == 1 and isinstance(args[0], FunctionType) else self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


# (the overlay of the session, a value, its name) -> what stands in for it
DIALECTS: list[Callable[[Any, Any, str], Any]] = []


def dialect(stand_in: Callable[[Any, Any, str], Any]) -> Callable[[Any, Any, str], Any]:
    """Enter a function that gives the stand-ins of a library, or `UNKNOWN`."""
    DIALECTS.append(stand_in)
    return stand_in
