"""A time limit on the user's code."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OutOfTime(BaseException):
    """Raised inside the user's code when its time is over."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in this thread after `seconds`, also inside a loop that calls nothing."""
    thread = ctypes.c_ulong(threading.get_ident())
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    fired, over, turn = threading.Event(), threading.Event(), threading.Lock()

    def ring() -> None:
        with turn:
            if not over.is_set():
                fired.set()
                raise_in(thread, ctypes.py_object(OutOfTime))

    timer = threading.Timer(max(seconds, 0.01), ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with turn:
            over.set()
        if fired.is_set():  # one that has not arrived is taken back; where there is none, CPython 3.11 keeps a flag set
            raise_in(thread, None)
