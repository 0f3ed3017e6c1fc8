"""Where NumPy's arrays have their numbers, for C: asked once, or read by C itself at each call.

Main names: `aligned`, `WHERE`, `DATA`, `FIELDS`.
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


# The first field of an object's head counts references, the last is its type. Behind the head of an array lie where its
# numbers are, how many axes, their sizes, strides, what owns the numbers, the numbers' type, and flags.
_HEAD = object.__basicsize__
FIELDS = {"COUNT": 0, "TYPE": _HEAD - 8, "DATA": _HEAD, "AXES": _HEAD + 8, "SIZES": _HEAD + 16}
FIELDS |= {"KIND": _HEAD + 40, "FLAGS": _HEAD + 48}
FIELDS |= {"WHOLE": 0x0101, "WRITABLE": 0x0501}  # flags: C-contiguous and aligned; and writable


def has_fields() -> bool:
    """True if arrays have these fields, as NumPy's binary interface says; arrays of several kinds are looked at."""
    if WHERE is not id or np.ndarray.__basicsize__ < FIELDS["FLAGS"] + 4:
        return False
    if not ctypes.sizeof(ctypes.c_void_p) == ctypes.sizeof(ctypes.c_long) == 8:
        return False
    grown = np.empty((2, 3, 4), np.float32)
    odd = np.empty(33, np.uint8)[1:].view(np.float64)
    kinds: list[Array] = [np.empty(5), np.empty((7, 1), np.int64), grown, grown[:, ::2], grown.T, odd]
    return _has_count([np.empty(3)]) and all(map(_has_fields, kinds))


def _has_count(held: list[Array]) -> bool:
    """True if the first field of what only a list holds is 1, and 2 with a view."""
    alone = ctypes.c_int.from_address(id(held[0]) + FIELDS["COUNT"])
    first, view = alone.value, held[0][1:]
    return (first, alone.value, view.base is held[0]) == (1, 2, True)


def _has_fields(array: Array) -> bool:
    start = id(array)
    type_, kind, sizes = (ctypes.c_void_p.from_address(start + FIELDS[f]).value for f in ("TYPE", "KIND", "SIZES"))
    axes, flags = (ctypes.c_int.from_address(start + FIELDS[f]).value for f in ("AXES", "FLAGS"))
    if (type_, kind, axes) != (id(np.ndarray), id(array.dtype), array.ndim) or sizes is None:
        return False
    whole = array.flags.c_contiguous and array.flags.aligned
    shape = tuple((ctypes.c_long * axes).from_address(sizes))
    return shape == array.shape and whole == (flags & FIELDS["WHOLE"] == FIELDS["WHOLE"])


# What a call says of each array, and how C finds its numbers by that.
WHERE: Callable[[Any], int]
WHERE, DATA = address, "held[k].p"
if _begins_with_address():
    WHERE, DATA = id, f"*(real **)((char *)held[k].p + {object.__basicsize__})"
