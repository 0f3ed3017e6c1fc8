"""What new arrays hold that nobody has written, chosen: any numbers may lie there, NaN as well.

NumPy is given memory that is filled, and PyTorch says which of its operations run: it does not matter by which name
np.empty was called, or whether it was that function. Main name: `unwritten_as`. This module must not
know who computes with these arrays.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import signal
import sys
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from symbackprop.evaluation.numpy_table import OWN_MEMORY, SET_MEMORY, numpy_table

TORCH = ("aten::empty", "aten::new_empty")  # how the names of its operations begin
BYTES = {"zeros": 0, "nan": 0xFF}  # of all bits one it is NaN in all types of floats, and -1 in integers
NAME = b"mem_handler"  # as which Python's capsules hold what follows
_ALLOCATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Memory(ctypes.Structure):
    """How NumPy gets memory for arrays and gives it back, as its binary interface has it."""

    _fields_ = (
        ("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", ctypes.c_void_p),
        ("new", ctypes.c_void_p), ("zeros", ctypes.c_void_p), ("grown", ctypes.c_void_p), ("back", ctypes.c_void_p),
    )  # fmt: skip


@contextlib.contextmanager
def unwritten_as(value: float) -> Iterator[None]:
    """New arrays of this thread hold 0 or NaN where nothing has been written; integers are -1 in place of NaN.

    Where NumPy has another table of functions than is known, its arrays are as they are. Signals come afterwards.
    """
    with contextlib.ExitStack() as undone:
        undone.enter_context(_signals_afterwards())
        if "torch" in sys.modules:
            undone.enter_context(_torch_filled(value))
        table = numpy_table()
        if table is not None:
            give = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[SET_MEMORY])
            undone.callback(give, give(_memory("nan" if np.isnan(value) else "zeros")))
        yield


@contextlib.contextmanager
def _signals_afterwards() -> Iterator[None]:
    """Handlers of signals run at the end: where one raises an exception while memory is filled, as that of Ctrl-C does,
    C is given an address of nothing."""
    if threading.current_thread() is not threading.main_thread():  # no handlers run there
        yield
        return
    came: list[int] = []
    own = {s: h for s in signal.valid_signals() if callable(h := signal.getsignal(s))}
    try:
        for number in own:
            signal.signal(number, lambda n, _: came.append(n))
        yield
    finally:
        for number, handler in own.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


@cache
def _memory(filled_with: str) -> Any:
    """A capsule of NumPy's own memory but that it is filled; it lives for good, since arrays may."""
    own = ctypes.cast(numpy_table()[OWN_MEMORY], ctypes.POINTER(ctypes.py_object))[0]
    pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    memory = _Memory.from_buffer_copy(_Memory.from_address(pointer(own, NAME)))
    byte, new = BYTES[filled_with], _ALLOCATE(memory.new)

    def filled(context: int | None, size: int) -> int | None:
        start: int | None = new(context, size)
        if start is not None:
            ctypes.memset(start, byte, size)
        return start

    function = _ALLOCATE(filled)
    memory.new = ctypes.cast(function, ctypes.c_void_p).value
    for kept in (memory, function):  # arrays that are left when Python ends give their memory back
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
    capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
        ("PyCapsule_New", ctypes.pythonapi)
    )
    return capsule(ctypes.addressof(memory), NAME, None)


def _torch_filled(value: float) -> Any:
    """PyTorch's own operations are looked at, below its functions: so are those in a backward that its engine runs."""
    dispatch: Any = importlib.import_module("torch.utils._python_dispatch")

    class Filled(dispatch.TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, operation: Any, types: Any, given: Any = (), named: Any = None) -> Any:
            found = operation(*given, **(named or {}))
            if operation.name().startswith(TORCH):
                with contextlib.suppress(ValueError, TypeError, RuntimeError):  # no number of its type
                    found.fill_(value)
            return found

    return Filled()
