"""A bar on the terminal while a backward pass is checked, for those that take long."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PATIENCE = 1.0  # seconds in which nothing is shown: one layer takes less
REDRAW = 0.1


class CheckBar:
    """How far a check has come: its stage, and how much of it is done; an `Observer` of `check`.

    Nothing is drawn where standard error is no terminal.

    Args:
        console: where to draw; by default standard error, so that --json output stays clean.

    Example::

        with CheckBar() as bar:
            check(forward, backward, shapes=shapes, observer=bar)
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn()
        self._bar = Progress(*columns, console=self._console, auto_refresh=False, transient=True)
        self._stage = ""
        self._due = time.monotonic() + PATIENCE

    def __enter__(self) -> CheckBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar.live.is_started:
            self._bar.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """So much of a stage is done; drawn ten times a second at most."""
        now = time.monotonic()
        if now < self._due or not self._console.is_terminal:
            return
        self._due = now + REDRAW
        self._bar.start()
        if stage != self._stage:
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task(stage, total=total or None)
            self._stage = stage
        self._bar.update(self._bar.task_ids[-1], completed=done)
        self._bar.refresh()
