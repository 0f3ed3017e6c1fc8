"""Where NumPy's arrays have their numbers, for C: asked once, or read by C itself at each call.

Main names: `aligned`, `WHERE`, `DATA`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from symbackprop.codegen.arguments import Array

LINE = 64  # bytes of a cache line


def aligned(shape: Sequence[int], dtype: Any) -> Array:
    """An array that begins where a cache line does: vectors that lie across two lines cost twice as much."""
    bytes_needed = prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(bytes_needed + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    array: Array = room[start : start + bytes_needed].view(dtype).reshape(shape)
    return array


def address(array: Array) -> int:
    """Where an array's numbers begin."""
    return int(array.__array_interface__["data"][0])


def _begins_with_address() -> bool:
    """True if behind the head of every object NumPy's arrays have the address of their numbers.

    So says NumPy's binary interface. To read it there is ten times as fast as to ask for it.
    """
    array = np.empty(1)
    if sys.implementation.name != "cpython" or type(array).__basicsize__ < object.__basicsize__ + 8:
        return False
    return ctypes.c_void_p.from_address(id(array) + object.__basicsize__).value == address(array)


# What a call says of each array, and how C finds its numbers by that.
WHERE: Callable[[Any], int]
WHERE, DATA = address, "held[k].p"
if _begins_with_address():
    WHERE, DATA = id, f"*(real **)((char *)held[k].p + {object.__basicsize__})"
