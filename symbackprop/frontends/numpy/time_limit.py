"""A time limit on the user's code."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

AGAIN = 0.01  # seconds until the next ring: the user's code may catch everything and go on


class OutOfTime(BaseException):
    """Raised inside the user's code when its time is over."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in this thread after `seconds`, also inside a loop that calls nothing."""
    thread = ctypes.c_ulong(threading.get_ident())
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    fired, over, turn = threading.Event(), threading.Event(), threading.Lock()

    def ring() -> None:
        wait = max(seconds, 0.01)
        while not over.wait(wait):
            wait = AGAIN
            with turn:
                if not over.is_set():
                    fired.set()
                    raise_in(thread, ctypes.py_object(OutOfTime))

    threading.Thread(target=ring, daemon=True).start()
    try:
        yield
    finally:
        with turn:
            over.set()
        if fired.is_set():  # one that has not arrived is taken back; where there is none, CPython 3.11 keeps a flag set
            raise_in(thread, None)
