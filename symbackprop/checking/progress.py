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
        shown: asked when the work is ended early: what it has shown by then, in words, or "".
    """

    observer: Observer | None = None
    done: dict[str, tuple[int, int]] = field(default_factory=dict)
    shown: Callable[[], str] = str

    def report(self, stage: str, done: int = 0, total: int = 0) -> None:
        """So much of a stage is done."""
        self.done[stage] = done, total
        if self.observer is not None:
            self.observer(stage, done, total)

    @property
    def so_far(self) -> str:
        """What was done, in words: "equations traced, lines compared (412 of 900); shown to be right: W3, b3"."""
        done = ", ".join(
            f"{stage} ({done} of {total})" if total else stage for stage, (done, total) in self.done.items()
        )
        return "; ".join(filter(None, (done, self.shown())))


_watched: ContextVar[Progress | None] = ContextVar("watched", default=None)


@contextmanager
def watched(progress: Progress) -> Iterator[Progress]:
    """Within it, reports go there."""
    before = _watched.set(progress)
    try:
        yield progress
    finally:
        _watched.reset(before)


def tell_on_request(shown: Callable[[], str]) -> None:
    """Whoever watches may ask this for what has been shown so far."""
    progress = _watched.get()
    if progress is not None:
        progress.shown = shown


def report(stage: str, done: int = 0, total: int = 0) -> None:
    """Tell whoever watches how much of a stage is done."""
    progress = _watched.get()
    if progress is not None:
        progress.report(stage, done, total)
