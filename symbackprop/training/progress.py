"""Progress: a bar on the terminal while a network is trained.

`TrainingBar` is an `Observer` of `train`: a context manager that shows cost, held-out score, speed and the time left.
Only the command line imports it; the trainer knows nothing of terminals.
"""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from symbackprop.training.run import EpochRecord

REDRAW = 0.1
"""Seconds between two drawings; a small network does thousands of minibatches in one of them."""


class TrainingBar:
    """A progress bar for a training run.

    Args:
        metric: the name of the held-out score, "accuracy" or "R2".
        console: where to draw; by default standard error, so that --json output stays clean.

    Example::

        with TrainingBar() as bar:
            train(model, data, initial=params, observer=bar)
    """

    def __init__(self, *, metric: str = "accuracy", console: Console | None = None) -> None:
        self._metric = metric
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=12),
            TextColumn("cost [bold]{task.fields[cost]}[/]"),
            TextColumn("{task.fields[score]}"),
            TextColumn("[dim]{task.fields[speed]}[/]"),
            TimeRemainingColumn(compact=True),
            console=console or Console(stderr=True),
            auto_refresh=False,
        )
        self._task = self._bar.add_task(
            "training", total=None, start=False, epoch=0, epochs="?", cost="", score="", speed=""
        )
        self._rows = 0
        self._first_epoch = 0
        self._started = self._drawn = time.perf_counter()

    def __enter__(self) -> TrainingBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.refresh()
        self._bar.stop()

    def start(self, epochs: int, rows: int) -> None:
        """The run begins."""
        self._rows, self._first_epoch = rows, 0
        self._started = self._drawn = time.perf_counter()
        self._bar.update(self._task, total=epochs * rows, epochs=epochs)
        self._bar.start_task(self._task)

    def batch(self, epoch: int, rows: int, cost: float) -> None:
        """Some rows of an epoch are done; drawn ten times a second at most."""
        now = time.perf_counter()
        if now - self._drawn >= REDRAW:
            self._draw(epoch, rows, cost, now)

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is over; its score is shown from now on."""
        if record.held_out is not None:
            share = f"{record.held_out:.1%}" if self._metric == "accuracy" else f"R² {record.held_out:.3f}"
            self._bar.update(self._task, score=f"held-out [bold]{share}[/]")
        self._draw(record.epoch, self._rows, record.cost, time.perf_counter())

    def _draw(self, epoch: int, rows: int, cost: float, now: float) -> None:
        """Bring the bar to `rows` rows of `epoch`."""
        # a run that goes on from a checkpoint starts at a later epoch, whose rows took none of this run's time
        self._first_epoch = self._first_epoch or epoch
        done = (epoch - self._first_epoch) * self._rows + rows
        rate = done / max(now - self._started, 1e-9)
        speed = (f"{rate / 1000:.0f}k" if rate >= 10_000 else f"{rate:.0f}") + " examples/s"
        before = (epoch - 1) * self._rows
        self._bar.update(self._task, completed=before + rows, epoch=epoch, cost=f"{cost:.3g}", speed=speed)
        if now - self._drawn >= REDRAW:
            self._bar.refresh()
            self._drawn = now
