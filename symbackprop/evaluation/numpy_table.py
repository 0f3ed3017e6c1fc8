"""NumPy's functions for C, of the running process.

Its table is a stable binary interface: a place that means something means that in all versions since it came. Main
name: `numpy_table`.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from typing import Any

import numpy as np

# Where the table has its version, the type of arrays, PyArray_NewFromDescr, PyArray_EquivTypes, PyArray_SetBaseObject,
# PyDataMem_SetHandler and its default; the versions in which they are there.
VERSION, ARRAY_TYPE, NEW_ARRAY, SAME_KIND, SET_BASE, SET_MEMORY, OWN_MEMORY = 0, 2, 94, 182, 282, 304, 306
VERSIONS = (1, 2)


def numpy_table() -> Any:
    """The addresses by place; None if the table is not one that is known."""
    if sys.implementation.name != "cpython":
        return None
    try:
        module = importlib.import_module("numpy._core._multiarray_umath")
    except ImportError:  # before version 2
        module = importlib.import_module("numpy.core._multiarray_umath")
    prototype = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    get = prototype(("PyCapsule_GetPointer", ctypes.pythonapi))
    table = (ctypes.c_void_p * (OWN_MEMORY + 1)).from_address(get(module._ARRAY_API, None))
    version = ctypes.CFUNCTYPE(ctypes.c_uint)(table[VERSION] or 0)()
    return table if table[ARRAY_TYPE] == id(np.ndarray) and version >> 24 in VERSIONS else None
