"""The time that a search has worked, which is what its limits count.

Seconds that this thread computed: what else the machine does must not decide how far a search comes, so a verdict is
the same on a busy machine, only later. The clock on the wall ends the whole (`frontends.numpy.time_limit`).
"""

from __future__ import annotations

import time


def worked() -> float:
    """Seconds that this thread has computed; a deadline is such a number."""
    return time.thread_time()
