"""Which lines of the user's code run: at sizes where a loop is empty its body does not, and nothing is said of it.

This module must not know why somebody asks.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Line = tuple[str, int]


@contextmanager
def lines_that_run(functions: Iterable[Callable[..., Any]]) -> Iterator[set[Line]]:
    """The lines that run inside, in the files of these functions; a debugger's own tracing rests meanwhile."""
    files = {name for f in functions if (name := _file_of(f))}
    found: set[Line] = set()

    def line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            found.add((frame.f_code.co_filename, frame.f_lineno))
        return line

    def call(frame: FrameType, event: str, _: Any) -> Any:
        return line if frame.f_code.co_filename in files else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        yield found
    finally:
        sys.settrace(before)


def _file_of(function: Any) -> str | None:
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    code = code or getattr(vars(type(function)).get("__call__"), "__code__", None)
    return None if code is None else str(code.co_filename)


__all__ = ["Line", "lines_that_run"]
