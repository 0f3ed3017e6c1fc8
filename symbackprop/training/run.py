"""A run of training: what it was asked to do, how it is scored, what it has found so far.

`Settings` are checked, `Run` keeps the figures and the best parameters whatever the method of descent is, `accuracy`
and `evaluate` score. What a gradient must offer (`CompiledGradient`) and who is told of progress (`Observer`) is
defined here. This module walks nowhere itself: the methods are in `loop`.
"""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from symbackprop.errors import DataError, MalformedError
from symbackprop.training.data import BLOCK, DataSet, Rows
from symbackprop.training.parameters import Array, Params, Shapes, views

EXPLODED = 1e4
"""A cost this many times that of the first minibatch (or of 1) will not come back: the run has diverged."""


class DivergenceError(DataError):
    """The cost became infinite or no number; the message says in which epoch."""


class CompiledGradient(Protocol):
    """What `train` needs of a compiled network. Arrays that it returns may be reused by its next call.

    Shapes:
        theta: flat, W1, b1, W2, b2, ... each row-major. X: (m, s_1). Y: (m, K).
    """

    def flat(self, theta: Array, X: Array, Y: Array, /, **hyper: float) -> tuple[float, Array]:
        """The cost of these rows and its gradient, flat."""
        ...

    def predict(self, params: Params, X: Array, /) -> Array:
        """The activations of the last layer. Shapes: (m, K)."""
        ...


@runtime_checkable
class EpochGradient(CompiledGradient, Protocol):
    """A compiled network that goes through an epoch of gradient descent by itself."""

    def epoch(
        self, theta: Array, X: Array, Y: Array, /, *, order: Rows, batch: int, rate: float, **hyper: float
    ) -> float:
        """Change theta by a step after each batch of the rows in `order`; the mean cost of these rows."""
        ...


@dataclass(frozen=True)
class EpochRecord:
    """The figures of one epoch.

    Attributes:
        epoch: 1, 2, ...
        cost: mean over the epoch's minibatches of the cost each had when its gradient was taken.
        held_out: accuracy, or R2 for regression, on the held-out rows; None without any.
        learning_rate: the rate of this epoch; 0 for L-BFGS, which chooses its own steps.
        seconds: since the start of the run.
        held_out_cost: mean over minibatches of the held-out rows of the cost after the epoch, where it was asked for;
            None without.
    """

    epoch: int
    cost: float
    held_out: float | None
    learning_rate: float
    seconds: float
    held_out_cost: float | None = None


class Observer(Protocol):
    """Is told how a run goes on: a progress bar, a log."""

    def start(self, epochs: int, rows: int) -> None:
        """The run begins: at most `epochs` epochs of `rows` rows."""
        ...

    def batch(self, epoch: int, rows: int, cost: float) -> None:
        """In this epoch `rows` rows are done; the last minibatch had this cost."""
        ...

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is over."""
        ...


@dataclass(frozen=True)
class Settings:
    """What the run was asked to do, checked."""

    optimizer: str
    learning_rate: float
    epochs: int
    batch_size: int
    seed: int
    holdout: float
    schedule: str
    momentum: float
    weight_decay: float
    patience: int | None
    hyper: dict[str, float]
    test: float = 0.0

    def __post_init__(self) -> None:
        wrong = [
            f"{name} = {getattr(self, name)}, but it must be {wanted}"
            for name, holds, wanted in (
                ("learning_rate", 0 < self.learning_rate < math.inf, "a positive number"),
                ("epochs", self.epochs >= 1, "at least 1"),
                ("batch_size", self.batch_size >= 1, "at least 1"),
                ("seed", self.seed >= 0, "at least 0"),
                ("momentum", 0 <= self.momentum < 1, "at least 0 and less than 1"),
                ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"),
                ("patience", self.patience is None or self.patience >= 1, "at least 1"),
            )
            if not holds
        ]
        if wrong:
            raise MalformedError("a training setting is out of range", evidence=wrong)

    def fingerprint(self, data: DataSet, model: object) -> dict[str, Any]:
        """What must be equal for a checkpoint to go on: all but patience, and epochs if no schedule depends on it.

        The generated code stands for activations, cost, penalties, backend and precision.
        """
        facts = {name: value for name, value in asdict(self).items() if name != "patience"}
        if self.schedule == "constant":
            del facts["epochs"]
        if not self.test:
            del facts["test"]
        rows = zlib.crc32(np.ascontiguousarray(data.Y).tobytes(), zlib.crc32(np.array(data.X[:BLOCK]).tobytes()))
        code = zlib.crc32(getattr(model, "source", "").encode())
        return facts | {"data": [*data.X.shape, data.Y.shape[1], rows], "generated code": f"{code:08x}"}


@dataclass(eq=False)
class Run:
    """A run under way: what it works on, and what it has found so far.

    `leader` is the best epoch so far, `gained` the best score and the epoch that first had it; `watched` says whether
    the cost on the held-out rows is worked out too.
    """

    model: CompiledGradient
    data: DataSet
    settings: Settings
    shapes: Shapes
    theta: Array
    kept: Rows
    held: Rows
    observer: Observer | None
    watched: bool = False
    history: list[EpochRecord] = field(default_factory=list)
    best: Array | None = None
    leader: EpochRecord | None = None
    gained: tuple[float, int] = (-math.inf, 0)
    first_cost: float | None = None
    examples: int = 0
    started: float = field(default_factory=time.perf_counter)

    def gather(self, rows: Rows) -> tuple[Array, Array]:
        """These rows of X and Y, in the precision of theta; the only rows that are copied."""
        kind = self.theta.dtype
        return self.data.X[rows].astype(kind, copy=False), self.data.Y[rows].astype(kind, copy=False)

    def gradient(self, theta: Array, X: Array, Y: Array, epoch: int) -> tuple[float, Array]:
        """Cost and gradient on these rows, provided the cost is a finite number."""
        cost, gradient = self.model.flat(theta, X, Y, **self.settings.hyper)
        self.count(float(cost), len(X), epoch)
        return float(cost), gradient

    def count(self, cost: float, rows: int, epoch: int) -> None:
        """Take note of the cost of so many rows, provided it is a finite number."""
        if not math.isfinite(cost):
            raise self.diverged(epoch, cost)
        if self.first_cost is None:
            self.first_cost = cost
        self.examples += rows

    def diverged(self, epoch: int, cost: float) -> DivergenceError:
        """The message for a run that went out of bounds."""
        evidence = [f"epoch: {epoch}", f"cost:  {cost:g}", f"learning rate: {self.settings.learning_rate:g}"]
        return DivergenceError(
            "training diverged", evidence=evidence, help="lower the learning rate, or scale the inputs to about 1"
        )

    def finish_epoch(self, theta: Array, cost: float, rate: float) -> bool:
        """Score the held-out rows, remember the figures and the best parameters; whether patience has run out."""
        epoch = len(self.history) + 1
        if cost > EXPLODED * max(1.0, abs(self.first_cost or 0.0)) or not np.isfinite(theta).all():
            raise self.diverged(epoch, cost)
        score = evaluate(self.model, views(theta, self.shapes), self.data, self.held) if len(self.held) else None
        record = EpochRecord(epoch, cost, score, rate, time.perf_counter() - self.started, self._held_out_cost(theta))
        if self.remember(record):
            self.best = theta.copy()
        if self.observer:
            self.observer.epoch(record)
        return self.out_of_patience()

    def _held_out_cost(self, theta: Array) -> float | None:
        """The cost of the held-out rows, in minibatches as those that train; None where nobody asked."""
        if not self.watched or not len(self.held):
            return None
        size, total = self.settings.batch_size, 0.0
        for start in range(0, len(self.held), size):
            X, Y = self.gather(self.held[start : start + size])
            total += float(self.model.flat(theta, X, Y, **self.settings.hyper)[0]) * len(X)
        return total / len(self.held)

    def remember(self, record: EpochRecord) -> bool:
        """Add the figures of an epoch; whether it is the best so far."""
        self.history.append(record)
        score, leads = merit(record)[0], self.leader is None or merit(record) > merit(self.leader)
        if leads:
            self.leader = record
        if score > self.gained[0]:
            self.gained = score, record.epoch
        return leads

    def out_of_patience(self) -> bool:
        """Whether the score has not improved for `patience` epochs."""
        patience = self.settings.patience
        return patience is not None and bool(self.history) and self.history[-1].epoch - self.gained[1] >= patience


def accuracy(outputs: Array, Y: Array) -> float:
    """The share of rows whose class is right: the largest output, or the side of 1/2 if there is one output unit.

    Shapes:
        outputs, Y: (m, K).

    Example:
        >>> accuracy(np.array([[0.9, 0.2], [0.6, 0.7]]), np.array([[1.0, 0.0], [1.0, 0.0]]))
        0.5
    """
    if Y.shape[1] == 1:
        return float(np.mean((outputs > 0.5) == (Y > 0.5)))
    return float(np.mean(np.argmax(outputs, axis=1) == np.argmax(Y, axis=1)))


def evaluate(model: CompiledGradient, params: Params, data: DataSet, rows: Rows) -> float:
    """The score on these rows, taken in blocks: accuracy, or for regression R2, the share of the variance explained."""
    kind = params["W1"].dtype
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    outputs = np.concatenate([model.predict(params, data.X[block].astype(kind, copy=False)) for block in blocks])
    Y = data.Y[rows]
    if data.classes:
        return accuracy(outputs, Y)
    return r_squared(outputs, Y)


def r_squared(outputs: Array, Y: Array) -> float:
    """R2, the share of the variance of the targets that the outputs explain. Shapes: both (m, K)."""
    residual, total = float(((outputs - Y) ** 2).sum()), float(((Y - Y.mean(axis=0)) ** 2).sum())
    return 1.0 - residual / total if total > 0 else float(residual == 0)


def merit(record: EpochRecord) -> tuple[float, float]:
    """What makes an epoch better than another: first its score, then its cost."""
    return (-record.cost if record.held_out is None else record.held_out, -record.cost)
