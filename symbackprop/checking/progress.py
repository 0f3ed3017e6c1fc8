"""How far an answer has come: what a bar shows, and what is told where time ends the work.

    with watched(Progress(bar)) as progress:     # whoever waits
        ...                                      # whoever works: report("lemmas", 120, 900)

Who works reports to whoever watches in this context, and never knows whether anybody does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

Observer = Callable[[str, int, int], None]


@dataclass
class Progress:
    """What was reported.

    Args:
        observer: is told of each report: the stage, how much of it is done, and of how much (0 where nobody knows).
        done: by stage, the last report.
    """

    observer: Observer | None = None
    done: dict[str, tuple[int, int]] = field(default_factory=dict)

    def report(self, stage: str, done: int = 0, total: int = 0) -> None:
        """So much of a stage is done."""
        self.done[stage] = done, total
        if self.observer is not None:
            self.observer(stage, done, total)

    @property
    def so_far(self) -> str:
        """What was done, in words: "equations traced, lines compared (412 of 900)"."""
        return ", ".join(
            f"{stage} ({done} of {total})" if total else stage for stage, (done, total) in self.done.items()
        )


_watched: ContextVar[Progress | None] = ContextVar("watched", default=None)


@contextmanager
def watched(progress: Progress) -> Iterator[Progress]:
    """Within it, reports go there."""
    before = _watched.set(progress)
    try:
        yield progress
    finally:
        _watched.reset(before)


def report(stage: str, done: int = 0, total: int = 0) -> None:
    """Tell whoever watches how much of a stage is done."""
    progress = _watched.get()
    if progress is not None:
        progress.report(stage, done, total)
