"""A time limit on the user's code, and on whatever calls it."""

from __future__ import annotations

import ctypes
import gc
import math
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any, TypeVar

from symbackprop.errors import MalformedError

T = TypeVar("T")

AGAIN = 0.01  # seconds until the next ring: the user's code may catch everything and go on
PATIENCE = 20


def as_seconds(value: Any) -> float:
    """A time that a user allows.

    Raises:
        MalformedError: it is no positive number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise MalformedError(f"seconds is {value!r}, not a positive number", help="leave it out, or write seconds=20")
    return value


class OutOfTime(BaseException):
    """Raised inside the user's code when its time is over."""


@contextmanager
def alarm(seconds: float, at_most: float = math.inf) -> Iterator[None]:
    """Raise `OutOfTime` in this thread after `seconds` of its work, also inside a loop that calls nothing.

    What sleeps, or waits for a busy machine, has `PATIENCE` times as long.

    Args:
        at_most: seconds on the wall, after which it ends whatever it has worked.
    """
    watched, thread = threading.current_thread(), threading.get_ident()
    fired, over, turn = threading.Event(), threading.Event(), threading.Lock()
    seconds = max(seconds, 0.01)
    clock = _work_of(thread)
    first, began = clock(), time.monotonic()

    def ring() -> None:
        patience = min(PATIENCE * seconds, max(at_most, 0.0))
        wait = min(seconds, patience)
        while not over.wait(min(wait, threading.TIMEOUT_MAX)):
            left = seconds - (clock() - first)
            if left > 0 and (rest := began + patience - time.monotonic()) > 0:
                wait = max(min(left, rest), AGAIN)
                continue
            wait = AGAIN
            with turn:
                if not watched.is_alive():  # it was ended in the middle of this; its number may be another thread's
                    return
                if not over.is_set():
                    fired.set()
                    _interrupt(thread)

    threading.Thread(target=ring, daemon=True).start()
    try:
        try:
            yield
        finally:
            _silence(over, turn, fired)
    finally:
        _silence(over, turn, fired)  # it may have rung again on the way into the first one


def _work_of(thread: int) -> Callable[[], float]:
    """What another thread has computed, in seconds; the time that has passed where the system does not say."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.monotonic
    clock = time.pthread_getcpuclockid(thread)

    def worked() -> float:
        try:
            return time.clock_gettime(clock)
        except OSError:  # it has ended
            return math.inf

    return worked


def _silence(over: threading.Event, turn: threading.Lock, fired: threading.Event | None = None) -> None:
    """End an alarm that rings in this thread; one that has not arrived is replaced by one that is caught here."""
    while not over.is_set():
        with suppress(OutOfTime), turn:
            over.set()
    if fired is None or fired.is_set():
        with suppress(OutOfTime):
            _raise_in(threading.get_ident())


def _raise_in(thread: int) -> None:
    """Raise `OutOfTime` in a thread, as soon as it runs Python again."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(OutOfTime))


def _interrupt(thread: int) -> None:
    """Raise `OutOfTime` in another thread.

    While it waits there, in a thread that sleeps, CPython 3.11 keeps a flag up for all threads, and one that runs under
    `sys.settrace` then enters no function any more. An exception that this thread raises in itself takes the flag down;
    the other thread puts it up again when it wakes.
    """
    _raise_in(thread)
    with suppress(OutOfTime):
        _raise_in(threading.get_ident())


GRACE = 0.3  # seconds in which work that was told to end may still give an answer


def within(seconds: float, work: Callable[[], T]) -> T:
    """work(), in a thread of its own that is left behind if it does not end.

    Code of the user's may sleep or compute in C, where no exception reaches it; whoever waits for it is not held up.

    Raises:
        OutOfTime: there was no answer after `seconds`.
    """
    answers: list[tuple[T | None, BaseException | None]] = []
    over, turn = threading.Event(), threading.Lock()
    before = sys.stdout, warnings.filters[:], gc.isenabled()

    def run() -> None:
        try:
            answers.append((work(), None))
        except BaseException as error:
            answers.append((None, error))
        finally:
            # its number may soon be that of another thread, which would be ended in its place, or never begin
            _silence(over, turn)

    def quietly() -> None:
        with suppress(OutOfTime):  # of one that is told to end once more while it ends nobody waits for an answer
            run()

    thread = threading.Thread(target=copy_context().run, args=(quietly,), daemon=True)
    thread.start()
    try:
        thread.join(min(seconds, threading.TIMEOUT_MAX))
    finally:
        if thread.is_alive():
            _end(thread, over, turn)
        if not answers:  # it is left behind, with all that it has changed for a while
            sys.stdout = before[0]
            warnings.filters[:] = before[1]  # type: ignore[index]
            if before[2]:
                gc.enable()
    if not answers:
        raise OutOfTime
    answer, error = answers[0]
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]


def _end(thread: threading.Thread, over: threading.Event, turn: threading.Lock) -> None:
    """Raise `OutOfTime` in a thread, unless its work is over, and give it a moment to end."""
    for _ in range(5):
        with turn:
            if not over.is_set():
                _interrupt(thread.ident or 0)
        thread.join(GRACE / 5)
        if not thread.is_alive():
            return
