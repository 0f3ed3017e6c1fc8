"""Arrays for what a call returns, in memory that callers have let go of.

The system clears each page of new memory when it is first touched, which for large arrays costs as much as to compute
them. So the memory of the last results is kept, and given again as soon as nothing refers to it any more: no array that
anybody still holds, nor a view of one, is ever written over. Main name: `Results`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LINE = 64  # bytes of a cache line: where each begins
LEAST, MOST = 1 << 16, 1 << 26  # bytes: less comes from memory that is there anyway, more is not kept
ROOMS = 2  # for each result: a caller often holds the last one while the next is computed


def _references(rooms: list[Array], k: int) -> int:
    return sys.getrefcount(rooms[k])


def _counted() -> Callable[[list[Array], int], int] | None:
    """What counts references, where that says when nobody holds an array any more."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    rooms = [np.empty(1)]
    alone, view = _references(rooms, 0), rooms[0][:]
    held = _references(rooms, 0)
    del view
    return _references if (held, _references(rooms, 0)) == (alone + 1, alone) else None


_COUNT = _counted()
_ALONE = _references([np.empty(1)], 0)


def is_kept(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """True if the memory of such an array is kept."""
    return _COUNT is not None and LEAST <= prod(shape) * dtype.itemsize <= MOST


class Results:
    """New arrays at each call; not for two threads at once.

    Args:
        places: name, shape and type of each.

    Attributes:
        rooms: of each the memory that is kept, each room whole; None if none is.
    """

    def __init__(self, places: Sequence[tuple[str, tuple[int, ...], np.dtype[Any]]]) -> None:
        self.places: list[tuple[str, Callable[[], Array]]] = []
        self.rooms: list[list[Array] | None] = []
        for name, shape, dtype in places:
            kept = _Kept(shape, dtype) if is_kept(shape, dtype) else None
            self.places.append((name, partial(np.empty, shape, dtype) if kept is None else kept.array))
            self.rooms.append(None if kept is None else kept.rooms)

    def arrays(self, given: Mapping[str, Array]) -> list[Array]:
        """The arrays in order, of those by name that are given these."""
        if given:
            return [given[name] if name in given else new() for name, new in self.places]
        return [new() for _, new in self.places]


class _Kept:
    """Arrays of one shape, and the memory of the last of them."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype, self.size = shape, dtype, prod(shape) * dtype.itemsize
        self.rooms = list[Array]()
        self.starts = list[int]()

    def array(self) -> Array:
        """A new array, in memory to which nothing else refers."""
        rooms, starts = self.rooms, self.starts
        assert _COUNT is not None, "what is counted is known"
        for k, start in enumerate(starts):
            if _COUNT(rooms, k) == _ALONE:
                return np.ndarray(self.shape, self.dtype, rooms[k], start)
        room = np.empty(self.size + LINE, np.uint8)
        rooms.append(room)
        starts.append(-room.ctypes.data % LINE)
        if len(rooms) > ROOMS:
            del rooms[0], starts[0]
        return np.ndarray(self.shape, self.dtype, room, starts[-1])
