"""Training: a compiled gradient and a data set in, the best parameters and the story of the run out.

`train` walks down the cost by minibatches (the rules of `optimizers`) or by L-BFGS on all rows (SciPy). It holds out
some rows, scores them after each epoch, keeps the best parameters, stops early if asked, writes checkpoints from which
a run goes on to the very same numbers, and survives Ctrl-C. The same seed gives the same numbers, bit for bit.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from symbackprop.errors import DataError, MalformedError
from symbackprop.training.data import DataSet, Rows, split_three
from symbackprop.training.optimizers import RULES, SCHEDULES, OptimizerState, UpdateRule, choose
from symbackprop.training.parameters import Array, Params, Shapes, flatten, shapes_of, views, weight_mask, widths
from symbackprop.training.run import (
    CompiledGradient,
    DivergenceError,
    EpochGradient,
    EpochRecord,
    Observer,
    Run,
    Settings,
    accuracy,
    evaluate,
)
from symbackprop.training.storage import Checkpoint, load_checkpoint, load_model, save_checkpoint, save_model

__all__ = [
    "CompiledGradient",
    "DivergenceError",
    "EpochRecord",
    "Observer",
    "TrainingResult",
    "accuracy",
    "load_model",
    "save_model",
    "train",
]


REPORT = 1 << 17
"""After so many rows a model that goes through an epoch by itself comes back to say how far it is."""


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What came out of a run.

    Attributes:
        params: the parameters after the best epoch: the best held-out score, ties by the lower cost; without a
            hold-out, the lowest cost.
        best: the figures of that epoch; its score is a little optimistic, since the epoch was chosen by it
            (`history[-1].held_out` was not chosen). None if the run was interrupted in its first epoch.
        history: the figures of each epoch.
        metric: what `held_out` is: "accuracy" or "R2".
        stopped: "epochs", "patience", "converged", "stalled" (L-BFGS finds no lower point) or "interrupted".
        train_rows, held_out_rows: how many examples were used for what.
        examples: examples processed in this call.
        seconds: how long this call took.
        test_rows, test_score: rows that were looked at once, after the run, and the score on them.
    """

    params: Params
    best: EpochRecord | None
    history: tuple[EpochRecord, ...]
    metric: str
    stopped: str
    train_rows: int
    held_out_rows: int
    examples: int
    seconds: float
    test_rows: int = 0
    test_score: float | None = None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the run."""
        return self.stopped == "interrupted"

    def to_dict(self) -> dict[str, Any]:
        """Everything but the parameters, for JSON."""
        kept = replace(self, params={})
        return {name: value for name, value in asdict(kept).items() if name != "params"} | {
            "interrupted": self.interrupted
        }


def train(
    model: CompiledGradient,
    data: DataSet,
    *,
    initial: Mapping[str, Array],
    optimizer: str = "adam",
    learning_rate: float | None = None,
    epochs: int = 100,
    batch_size: int = 32,
    seed: int = 0,
    holdout: float = 0.2,
    test: float = 0.0,
    schedule: str = "cosine",
    momentum: float = 0.9,
    weight_decay: float = 0.01,
    patience: int | None = None,
    hyper: Mapping[str, float] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    observer: Observer | None = None,
    held_out_cost: bool = False,
) -> TrainingResult:
    """Fit the parameters of a network to a data set.

    Args:
        model: cost, gradient and outputs of the network. For sgd, one that has `epoch` goes through each epoch by
            itself if the data are of its type.
        data: the examples; never copied as a whole by a minibatch method.
        initial: the parameters to start from; they are not changed.
        optimizer: adam, adamw, momentum, nesterov, sgd, or lbfgs, which takes all rows at once
            and counts its iterations as epochs.
        learning_rate: by default the optimizer's own; unused by lbfgs.
        holdout: the share of the rows, of each class, that only scores.
        test: the share of the rows, of each class, that neither trains nor chooses the epoch: its score is honest.
        schedule: of the learning rate: constant, cosine, exponential, linear, step.
        momentum: the share of the velocity that stays, for momentum and nesterov.
        weight_decay: how much adamw shrinks the weights.
        patience: stop after so many epochs without a better score.
        hyper: hyper-parameters of the cost, e.g. {"lam": 0.1}. A cost that divides by m divides by the rows of a
            minibatch: for the minimiser of all rows, scale lam by batch_size / rows.
        checkpoint: a file that is rewritten after each epoch.
        resume: go on from the checkpoint.
        observer: is told how it goes.
        held_out_cost: work out the cost of the held-out rows after each epoch too, which takes a little time.

    Scale:
        the costs in the history are per minibatch, as the model defines them (mean or sum over examples).

    Raises:
        MalformedError: a setting out of range or unknown.
        DataError: data that do not fit the network, a checkpoint that cannot be used or written.
        DivergenceError: the cost grew out of bounds.
    """
    rule = None if optimizer == "lbfgs" else choose({**RULES, "lbfgs": None}, optimizer, "optimizer")
    choose(SCHEDULES, schedule, "learning-rate schedule")
    rate = learning_rate if learning_rate is not None else rule.rate if rule else 1.0
    settings = Settings(
        optimizer,
        rate,
        epochs,
        batch_size,
        seed,
        holdout,
        schedule,
        momentum,
        weight_decay,
        patience,
        dict(hyper or {}),
        test,
    )
    if rule is None and checkpoint is not None:
        raise MalformedError("lbfgs cannot go on from a checkpoint", help="leave out checkpoint, or choose adam")
    if resume and checkpoint is None:
        raise MalformedError("resume needs a checkpoint to go on from", help="name its file as checkpoint")
    shapes = shapes_of(initial)
    _check_fit(data, shapes)
    kept, held, tested = split_three(data, holdout, test, seed)
    run = Run(model, data, settings, shapes, flatten(initial), kept, held, observer, held_out_cost)
    if observer:
        observer.start(epochs, len(kept))
    try:
        # an overflow on the way to divergence is reported once, as that
        with np.errstate(over="ignore", invalid="ignore"):
            stopped = _descend(run, rule, checkpoint, resume) if rule else _minimize(run)
    except KeyboardInterrupt:
        stopped = "interrupted"
    return _result(run, stopped, flatten(initial), tested)


def _check_fit(data: DataSet, shapes: Shapes) -> None:
    """The data have one column for each input and output unit."""
    layers = widths(shapes)
    for name, what, columns, units in (
        ("X", "input", data.X.shape[1], layers[0]),
        ("Y", "output", data.Y.shape[1], layers[-1]),
    ):
        if columns != units:
            raise DataError(
                f"the data set does not fit the network's {what} layer",
                where=data.name,
                evidence=[f"{name}: {columns} columns", f"{what} units: {units}"],
                help=f"use layers {','.join(map(str, [data.X.shape[1], *layers[1:-1], data.Y.shape[1]]))}",
            )


def _descend(run: Run, rule: UpdateRule, checkpoint: str | Path | None, resume: bool) -> str:
    """Epochs of minibatches in random order; why it stopped."""
    settings = run.settings
    random = np.random.default_rng([settings.seed, 1])
    decay = settings.weight_decay * weight_mask(run.shapes)
    state = rule.start(run.theta, momentum=settings.momentum, decay=decay)
    if resume and checkpoint is not None:
        _restore(run, state, random, checkpoint)
    schedule = SCHEDULES[settings.schedule]
    model = run.model if settings.optimizer == "sgd" and isinstance(run.model, EpochGradient) else None
    if run.theta.dtype != run.data.X.dtype or not run.data.X.flags.c_contiguous:
        model = None  # it would convert all rows at once
    targets = run.data.Y.astype(run.theta.dtype, copy=False)
    while len(run.history) < settings.epochs and not run.out_of_patience():
        epoch = len(run.history) + 1
        rate = settings.learning_rate * schedule((epoch - 1) / settings.epochs)
        order, total = random.permutation(run.kept), 0.0
        if model is not None:
            total = _whole_epoch(run, model, targets, state, order, rate)
        for start in range(0, len(order) if model is None else 0, settings.batch_size):
            X, Y = run.gather(order[start : start + settings.batch_size])
            cost, gradient = run.gradient(run.theta, X, Y, epoch)
            state.steps += 1
            rule.step(run.theta, gradient, state, rate)
            total += cost * len(X)
            if run.observer:
                run.observer.batch(epoch, start + len(X), cost)
        run.finish_epoch(run.theta, total / len(order), rate)
        if checkpoint is not None:
            _store(run, state, random, checkpoint)
    return "patience" if run.out_of_patience() else "epochs"


def _whole_epoch(
    run: Run, model: EpochGradient, targets: Array, state: OptimizerState, order: Rows, rate: float
) -> float:
    """An epoch of gradient descent by the model itself; the sum of the rows' costs.

    The first batch of a run is a call of its own, since its cost is what a diverging run is known by; after that the
    model is left only now and then, for the progress bar.
    """
    settings, epoch, total, start = run.settings, len(run.history) + 1, 0.0, 0
    while start < len(order):
        batches = 1 if run.first_cost is None else max(1, REPORT // settings.batch_size)
        rows = order[start : start + batches * settings.batch_size]
        cost = model.epoch(
            run.theta, run.data.X, targets, order=rows, batch=settings.batch_size, rate=rate, **settings.hyper
        )
        run.count(cost, len(rows), epoch)
        state.steps += -(-len(rows) // settings.batch_size)
        total, start = total + cost * len(rows), start + len(rows)
        if run.observer:
            run.observer.batch(epoch, start, cost)
    return total


def _minimize(run: Run) -> str:
    """L-BFGS on all training rows; why it stopped."""
    kind = run.theta.dtype
    whole = len(run.held) == 0 and kind == run.data.X.dtype
    X, Y = (run.data.X, run.data.Y) if whole else run.gather(run.kept)

    def value(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        cost, gradient = run.gradient(theta.astype(kind, copy=False), X, Y, len(run.history) + 1)
        # SciPy computes in float64 and keeps the gradient while it asks for the next
        return cost, np.array(gradient, dtype=np.float64)

    def iteration(intermediate_result: OptimizeResult[Any]) -> None:
        run.theta = np.array(intermediate_result.x, dtype=kind)
        if run.finish_epoch(run.theta, float(intermediate_result.fun), 0.0):
            raise StopIteration

    found = minimize(
        value,
        run.theta.astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        callback=iteration,
        options={"maxiter": run.settings.epochs, "maxfun": 20 * run.settings.epochs, "ftol": 1e-12, "gtol": 1e-8},
    )
    if run.out_of_patience():
        return "patience"
    if len(run.history) >= run.settings.epochs:
        return "epochs"
    return "converged" if found.success else "stalled"


def _store(run: Run, state: OptimizerState, random: np.random.Generator, path: str | Path) -> None:
    """Write where the run stands."""
    rows = [[r.cost, _or_nan(r.held_out), r.learning_rate, r.seconds, _or_nan(r.held_out_cost)] for r in run.history]
    assert run.best is not None, "a checkpoint is written after an epoch, and an epoch leaves a best"
    save_checkpoint(
        path,
        Checkpoint(
            settings=json.loads(json.dumps(run.settings.fingerprint(run.data, run.model))),
            shapes=run.shapes,
            epoch=len(run.history),
            random=dict(random.bit_generator.state),
            steps=state.steps,
            theta=run.theta,
            best=run.best,
            slots=state.slots,
            history=np.array(rows),
        ),
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _restore(run: Run, state: OptimizerState, random: np.random.Generator, path: str | Path) -> None:
    """Go to where a checkpoint stands."""
    found = load_checkpoint(path, shapes=run.shapes, settings=run.settings.fingerprint(run.data, run.model))
    random.bit_generator.state = found.random
    state.steps = found.steps
    state.slots[:] = found.slots
    run.theta[:] = found.theta
    run.best = found.best
    for epoch, (cost, score, rate, seconds, *others) in enumerate(found.history.tolist(), start=1):
        held_out_cost = _or_none(others[0]) if others else None  # files of before have four columns
        run.remember(EpochRecord(epoch, cost, _or_none(score), rate, seconds, held_out_cost))
    run.started -= run.history[-1].seconds


def _result(run: Run, stopped: str, initial: Array, tested: Rows) -> TrainingResult:
    """The end of a run, however it came; the test rows are looked at here for the first time."""
    theta = run.best if run.best is not None else run.theta if np.isfinite(run.theta).all() else initial
    params = views(theta, run.shapes)
    return TrainingResult(
        params=params,
        best=run.leader,
        history=tuple(run.history),
        metric="accuracy" if run.data.classes else "R2",
        stopped=stopped,
        train_rows=len(run.kept),
        held_out_rows=len(run.held),
        examples=run.examples,
        seconds=time.perf_counter() - run.started,
        test_rows=len(tested),
        test_score=evaluate(run.model, params, run.data, tested) if len(tested) else None,
    )
