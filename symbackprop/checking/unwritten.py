"""What np.empty leaves in an array, chosen: any numbers may lie there, NaN as well.

Main name: `unwritten_as`. This module must not know who computes with these arrays.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

MAKERS = {"numpy": ("empty", "empty_like"), "torch": ("empty", "empty_like")}
_ONE_AT_A_TIME = threading.RLock()  # the makers stand in modules that all threads share


@contextlib.contextmanager
def unwritten_as(value: float) -> Iterator[list[str]]:
    """Arrays that np.empty and the like of it make hold this number, where it is one of their type.

    To fill them does no harm in another thread: any number may lie there. What was made is told by the names of its
    makers.
    """
    made: list[str] = []
    with _ONE_AT_A_TIME, contextlib.ExitStack() as undone:
        for library, names in MAKERS.items():
            module = sys.modules.get(library)
            for name in names if module else ():
                own = getattr(module, name)
                other = _filling(own, value, made)
                for place in (vars(module), *_with(name, own)):
                    undone.callback(place.__setitem__, name, own)
                    place[name] = other
        yield made


def _with(name: str, maker: Callable[..., Any]) -> list[dict[str, Any]]:
    """The names of modules that have it by this name, as after `from numpy import empty`: all but those of libraries
    that have makers."""
    every = [m for n, m in [*sys.modules.items()] if n.partition(".")[0] not in MAKERS]
    places = (getattr(m, "__dict__", None) for m in every)
    return [place for place in places if type(place) is dict and place.get(name) is maker]


def _filling(maker: Callable[..., Any], value: float, made: list[str]) -> Callable[..., Any]:
    def filled(*arguments: Any, **named: Any) -> Any:
        array = maker(*arguments, **named)
        made.append(maker.__name__)
        with contextlib.suppress(ValueError, TypeError, RuntimeError):  # no number of its type
            array[...] = value
        return array

    return filled
