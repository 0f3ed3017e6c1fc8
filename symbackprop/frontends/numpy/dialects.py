"""Other libraries that write NumPy's kind of code: each enters a function that knows what stands in for its values.

Nothing is imported here: a dialect looks whether the user's code has imported its library. This module must not know
which libraries there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OWN_CODE: list[str] = []  # folders of libraries whose own Python code is rebuilt with the user's
UNKNOWN = object()  # the answer of a dialect to what is none of its library's
# (the overlay of the session, a value, its name) -> what stands in for it
DIALECTS: list[Callable[[Any, Any, str], Any]] = []


def dialect(stand_in: Callable[[Any, Any, str], Any]) -> Callable[[Any, Any, str], Any]:
    """Enter a function that gives the stand-ins of a library, or `UNKNOWN`."""
    DIALECTS.append(stand_in)
    return stand_in
