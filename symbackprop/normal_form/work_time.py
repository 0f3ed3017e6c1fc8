"""The time that a search has worked, which is what its limits count.

Seconds that this thread computed: what else the machine does must not decide how far a search comes, so a verdict is
the same on a busy machine, only later. The clock on the wall ends the whole (`frontends.numpy.time_limit`). Where even
a faster machine must find the same, as in a printed exercise, looks at the clock are counted instead of seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

TICK = 1e-3  # seconds that a look stands for where looks are counted


class _Count(threading.local):
    """What has been counted in this thread; None where seconds are."""

    ticks: int | None = None


_count = _Count()


def worked() -> float:
    """Seconds that this thread has computed; a deadline is such a number."""
    if _count.ticks is None:
        return time.thread_time()
    _count.ticks += 1
    return _count.ticks * TICK


def is_counted() -> bool:
    """True where looks are counted instead of seconds."""
    return _count.ticks is not None


@contextmanager
def counted() -> Iterator[None]:
    """Within it, time passes by being looked at: what a search finds depends on what it does alone."""
    before, _count.ticks = _count.ticks, 0
    try:
        yield
    finally:
        _count.ticks = before
