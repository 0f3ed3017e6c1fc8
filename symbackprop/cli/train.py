"""Sub-command train: from a data set to a model, its learning curve and its figures."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import numpy as np
import typer

from symbackprop.cli import options
from symbackprop.cli.lazy import data as data_sets
from symbackprop.cli.lazy import model as models
from symbackprop.cli.lazy import plot as plots
from symbackprop.cli.lazy import progress, storage
from symbackprop.cli.lazy import report as reports
from symbackprop.cli.lazy import train as training
from symbackprop.cli.show import check_writable, print_json
from symbackprop.errors import MalformedError

if TYPE_CHECKING:
    from symbackprop.training.run import CompiledGradient
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from symbackprop.cli.lazy import program
from symbackprop.errors import DataError, UnsupportedError

if TYPE_CHECKING:
    from symbackprop.codegen.network import CompiledNetwork
    from symbackprop.frontends.network import Network
    from symbackprop.training.data import DataSet, Rows
    from symbackprop.training.loop import TrainingResult
    from symbackprop.training.report import ClassReport

RUN = "The run"
FILES = "Files"


def train(
    layers: options.NumericLayers,
    data: Annotated[
        str,
        typer.Option(
            help="digits (bundled), or a file: .npz with X and y or Y, .csv with the label last; or a "
            "folder with X.npy and y.npy, which may be larger than memory.",
            metavar="DATA",
            rich_help_panel=FILES,
        ),
    ] = "digits",
    activation: options.Activation = "sigmoid",
    cost: options.Cost = "cross-entropy",
    l2: options.L2 = None,
    l1: options.L1 = None,
    reduction: options.Reduction = "mean",
    lam: Annotated[
        float | None, typer.Option(help="The number lambda of the penalties.", rich_help_panel=options.PANEL)
    ] = None,
    hyper: Annotated[
        list[str] | None,
        typer.Option(
            help="Another number of the cost; may be repeated.", metavar="NAME=NUMBER", rich_help_panel=options.PANEL
        ),
    ] = None,
    regression: Annotated[
        bool, typer.Option("--regression", help="Targets are numbers, not classes.", rich_help_panel=FILES)
    ] = False,
    epochs: Annotated[int, typer.Option(help="Passes over the training rows.", rich_help_panel=RUN)] = 100,
    optimizer: Annotated[
        str, typer.Option(help="adam, adamw, momentum, nesterov, sgd or lbfgs.", rich_help_panel=RUN)
    ] = "adam",
    learning_rate: Annotated[
        float | None, typer.Option(help="By default the optimizer's own.", rich_help_panel=RUN)
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Rows of a minibatch, the m of its cost.", rich_help_panel=RUN)] = 32,
    schedule: Annotated[
        str, typer.Option(help="constant, cosine, exponential, linear or step.", rich_help_panel=RUN)
    ] = "cosine",
    momentum: Annotated[float, typer.Option(help="For momentum and nesterov.", rich_help_panel=RUN)] = 0.9,
    weight_decay: Annotated[float, typer.Option(help="For adamw.", rich_help_panel=RUN)] = 0.01,
    seed: Annotated[int, typer.Option(help="Same seed, same numbers.", rich_help_panel=RUN)] = 0,
    holdout: Annotated[
        float, typer.Option(help="Share of the rows that chooses the epoch.", rich_help_panel=RUN)
    ] = 0.2,
    test: Annotated[
        float, typer.Option(help="Share of the rows that is looked at once, after the run.", rich_help_panel=RUN)
    ] = 0.0,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better score.", rich_help_panel=RUN)
    ] = None,
    backend: Annotated[str, typer.Option(help="numpy, c, jax or torch.", rich_help_panel=RUN)] = "numpy",
    dtype: Annotated[Literal["float64", "float32"], typer.Option(help="Precision.", rich_help_panel=RUN)] = "float64",
    initial: Annotated[
        Path | None, typer.Option(help="Start from this model.", metavar="MODEL.npz", rich_help_panel=FILES)
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Rewritten after each epoch.", metavar="FILE.npz", rich_help_panel=FILES)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.", rich_help_panel=FILES)] = False,
    save: Annotated[
        Path | None, typer.Option(help="Write the best model.", metavar="MODEL.npz", rich_help_panel=FILES)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the learning curve: .png, .svg, .pdf or .jpg.", metavar="FILE", rich_help_panel=FILES),
    ] = None,
    standardize: Annotated[
        bool,
        typer.Option(
            "--standardize", help="Scale inputs to mean 0 and deviation 1; kept in the model.", rich_help_panel=FILES
        ),
    ] = False,
    delimiter: options.Delimiter = None,
    decimal: options.Decimal = ".",
    encoding: options.Encoding = "utf-8",
    missing: options.Missing = "refuse",
    report: Annotated[
        bool, typer.Option("--report", help="Print how well each class does, and which it is taken for.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Train a network with its proved gradient. Ctrl-C keeps the best model so far, and the exit status is 2.

    A cost that divides by m divides by the rows of a minibatch, also in a penalty such as lambda/(2*m).

    Examples:
      symbackprop train --layers 64,30,10 --plot curve.png --save model.npz
      symbackprop train --layers 64,30,10 --optimizer lbfgs --epochs 30
    """
    check_writable(save, plot, checkpoint, read=[Path(data)])
    if plot is not None:
        plots.picture_format(plot)
    network = options.describe(layers, activation, cost, l2, l1, reduction)
    check_size(network)
    if regression and network.cost_name.endswith("cross_entropy"):
        raise MalformedError(
            "cross-entropy is a cost of classes, not of numbers", help="with --regression use --cost squared-error"
        )
    numbers = hyper_parameters(network, lam, hyper or [])
    form = options.table_format(delimiter, decimal, encoding, missing)
    rows = data_sets.load(data, outputs=network.concrete_widths()[-1], regression=regression, form=form)
    model, notes = options.compiled(network, backend, dtype)
    start = network.init(seed)
    kept, held, tested = data_sets.split_three(rows, holdout, test, seed)
    scaling = models.scaling_of(in_memory(rows)[kept]) if standardize else None
    if scaling is not None:
        rows = dataclasses.replace(rows, X=scaling(rows.X))
    if initial is not None:
        start, was = storage.load_model(initial, layers=list(network.concrete_widths()))
        check_same_units(initial, was, activation)
    with contextlib.ExitStack() as stack:
        bar = (
            stack.enter_context(progress.TrainingBar(metric="R2" if regression else "accuracy"))
            if sys.stderr.isatty()
            else None
        )
        result = training.train(
            cast("CompiledGradient", model),
            rows,
            initial={name: array.astype(dtype) for name, array in start.items()},
            optimizer=optimizer,
            learning_rate=learning_rate,
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            holdout=holdout,
            test=test,
            schedule=schedule,
            momentum=momentum,
            weight_decay=weight_decay,
            patience=patience,
            hyper=numbers,
            checkpoint=checkpoint,
            resume=resume,
            observer=bar,
            held_out_cost=plot is not None,
        )
    text = {"activation": activation, "cost": cost, "l2": l2, "l1": l1, "reduction": reduction}
    facts = description(text, network, numbers, rows, result)
    if scaling is not None:
        facts["scaling"] = scaling.to_dict()
    told = report_on(model, result, rows, tested if len(tested) else held) if report else None
    if save is not None:
        storage.save_model(save, result.params, facts)
    if plot is not None and result.history:
        plots.save_learning_curve(plot, result, title=f"{rows.name}, {widths_text(network)}")
    written = [str(path) for path in (save, plot if result.history else None, checkpoint) if path is not None]
    notes += minibatch_note(network, numbers, optimizer, batch_size, result.train_rows)
    if as_json:
        print_json(
            result.to_dict()
            | {
                "network": facts,
                "files": written,
                "notes": notes,
                **({} if told is None else {"report": told.to_dict()}),
            }
        )
    else:
        tell(network, rows.name, optimizer, result, written, notes)
        if told is not None:
            typer.echo(f"\n{told}")
    if result.interrupted:
        fate = f"the best model so far is in {save}" if save else "--save FILE would have kept the best model so far"
        typer.echo(f"error: interrupted in epoch {len(result.history) + 1}; {fate}", err=True)
        raise typer.Exit(2)


def in_memory(rows: DataSet) -> Any:
    """The inputs, provided they are not left on disk.

    Raises:
        UnsupportedError: they are.
    """
    if isinstance(rows.X, np.memmap):
        raise UnsupportedError("inputs that stay on disk are not scaled", help="scale X.npy itself")
    return rows.X


def report_on(model: CompiledNetwork, result: TrainingResult, rows: DataSet, chosen: Rows) -> ClassReport:
    """How each class does on some rows.

    Raises:
        MalformedError: there are no classes, or no rows to look at.
    """
    if not rows.classes or not len(chosen):
        raise MalformedError("--report needs classes, and rows that were held out", help="--holdout 0.2, or --test 0.2")
    kind = result.params["W1"].dtype
    outputs = model.predict(result.params, rows.X[chosen].astype(kind))
    found = (outputs[:, 0] > 0.5).astype(np.intp) if outputs.shape[1] == 1 else np.argmax(outputs, axis=1)
    return reports.class_report(rows.labels[chosen], found, rows.classes)


MAXIMUM_PARAMETERS = 2 * 10**8
"""More would need over ten gigabytes with Adam's two moments."""


def check_size(network: Network) -> None:
    """The parameters fit into a common memory."""
    units = network.concrete_widths()
    count = sum((sends + 1) * receives for sends, receives in pairwise(units))
    if count > MAXIMUM_PARAMETERS:
        raise UnsupportedError(
            f"the network has {count} parameters, more than {MAXIMUM_PARAMETERS}, too many to train here"
        )


def hyper_parameters(network: Network, lam: float | None, others: list[str]) -> dict[str, float]:
    """The numbers that the cost needs, all of them and no others.

    Raises:
        MalformedError: one is missing, unknown or not a finite number.
    """
    given = {} if lam is None else {"lam": lam}
    for text in others:
        name, number = (part.strip() for part in text.partition("=")[::2])
        try:
            if not name or name in given:
                raise ValueError(name)
            given[name] = float(number)
        except ValueError:
            raise MalformedError(
                "a number of the cost is written NAME=NUMBER, once for each", where=text, help="--hyper mu=0.1"
            ) from None
    wanted = [symbol.name for symbol in network.hyper_parameters]
    for name in wanted:
        if name not in given:
            option = "--lam 0.1" if name == "lam" else f"--hyper {name}=0.1"
            raise MalformedError(f"the cost needs a number for {name}", help=f"for example {option}")
    for name, value in given.items():
        if name not in wanted:
            known = ", ".join(wanted) or "none"
            raise MalformedError(
                f"the cost has no {name}",
                evidence=[f"its numbers:  {known}"],
                help='a penalty is added by --l2 "lambda/(2*m)"',
            )
        if not math.isfinite(value):
            raise MalformedError(f"{name} must be a finite number, not {value}")
    return given


def check_same_units(path: Path, was: dict[str, Any], activation: str) -> None:
    """See that a model that a run starts from was trained with these activations; its cost may have been another.

    Raises:
        DataError: it was trained with others.
    """
    before = was.get("activation", activation)
    if before != activation:
        raise DataError(
            "the model was trained with other activations, so its parameters mean something else here",
            where=str(path),
            evidence=[f"in the file:  {before}", f"this network: {activation}"],
            help=f"--activation {before}",
        )


def minibatch_note(network: Network, numbers: dict[str, float], optimizer: str, batch: int, rows: int) -> list[str]:
    """What the m of a penalty is in a minibatch, and the lambda that would give the minimiser of all rows."""
    divides = any(
        symbol.name == "m"
        for penalty in (network.l1, network.l2)
        if penalty is not None
        for symbol in program.symbols(penalty)
    )
    if not divides or optimizer == "lbfgs" or batch >= rows or not any(numbers.values()):
        return []
    return [
        f"m is the {batch} rows of a minibatch, so lambda/m is {rows / batch:.3g} times what it is over all {rows} rows"
    ]


def widths_text(network: Network) -> str:
    """The layers in words: 64-30-10."""
    return "-".join(map(str, network.widths))


def description(
    text: dict[str, Any], network: Network, numbers: dict[str, float], rows: DataSet, result: TrainingResult
) -> dict[str, Any]:
    """What a model file says about itself: the network as it was described, and how well the model did."""
    score = None if result.best is None else result.best.held_out
    run = {"data": rows.name, "classes": list(rows.classes), "epochs": len(result.history), result.metric: score}
    return {"layers": list(network.widths)} | text | {"hyper": numbers} | run


def tell(
    network: Network, data: str, optimizer: str, result: TrainingResult, written: list[str], notes: list[str]
) -> None:
    """The run in a few lines."""
    speed = result.examples / max(result.seconds, 1e-9)
    others = f", {result.test_rows} to test" if result.test_rows else ""
    typer.echo(f"{data}: {result.train_rows} examples to train on, {result.held_out_rows} held out{others}")
    typer.echo(
        f"{widths_text(network)}, {network.cost_name}, {optimizer}: {_count(len(result.history), 'epoch')} in "
        f"{result.seconds:.2f} s ({speed:,.0f} examples/s)"
        + ("" if result.stopped == "epochs" else f", {result.stopped}")
    )
    if result.best is not None:
        score = "" if result.best.held_out is None else f", held-out {score_text(result)}{_last(result)}"
        typer.echo(f"best epoch {result.best.epoch}: cost {result.best.cost:.4g}{score}")
    if result.test_score is not None:
        score = _number(result.metric, result.test_score)
        typer.echo(f"{result.metric} on the {result.test_rows} test examples, which chose nothing: {score}")
    for path in written:
        typer.echo(f"wrote {path}")
    for note in notes:
        typer.echo(f"note: {note}")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _last(result: TrainingResult) -> str:
    """The best epoch was chosen by its score, so that one is a little optimistic; the last epoch's is not."""
    last = result.history[-1]
    if last is result.best or last.held_out is None:
        return ""
    return f" (chosen by it; {_number(result.metric, last.held_out)} after the last epoch)"


def _number(metric: str, score: float) -> str:
    return f"{score:.1%}" if metric == "accuracy" else f"{score:.4f}"


def score_text(result: TrainingResult) -> str:
    """The best held-out score in words."""
    assert result.best is not None and result.best.held_out is not None, "only called with a held-out score"
    return f"accuracy {result.best.held_out:.1%}" if result.metric == "accuracy" else f"R2 {result.best.held_out:.4f}"
