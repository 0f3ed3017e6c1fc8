"""Sub-command train: from a data set to a model, its learning curve and its figures."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from symbackprop.cli import options
from symbackprop.cli.lazy import data as data_sets
from symbackprop.cli.lazy import plot as plots
from symbackprop.cli.lazy import progress, storage
from symbackprop.cli.lazy import train as training
from symbackprop.cli.show import check_writable, print_json
from symbackprop.cli.training import (
    check_same_units,
    check_size,
    description,
    hyper_parameters,
    minibatch_note,
    tell,
    widths_text,
)
from symbackprop.errors import MalformedError

if TYPE_CHECKING:
    from symbackprop.training.run import CompiledGradient

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
    holdout: Annotated[float, typer.Option(help="Share of the rows that only scores.", rich_help_panel=RUN)] = 0.2,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better score.", rich_help_panel=RUN)
    ] = None,
    backend: Annotated[str, typer.Option(help="numpy, c or jax.", rich_help_panel=RUN)] = "numpy",
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
    as_json: options.Json = False,
) -> None:
    """Train a network with its proved gradient. Ctrl-C keeps the best model so far, and the exit status is 2.

    A cost that divides by m divides by the rows of a minibatch, also in a penalty such as lambda/(2*m).

    Example: symbackprop train --data digits --layers 64,30,10 --plot curve.png --save model.npz
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
    rows = data_sets.load(data, outputs=network.concrete_widths()[-1], regression=regression)
    model, notes = options.compiled(network, backend, dtype)
    start = network.init(seed)
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
            schedule=schedule,
            momentum=momentum,
            weight_decay=weight_decay,
            patience=patience,
            hyper=numbers,
            checkpoint=checkpoint,
            resume=resume,
            observer=bar,
        )
    text = {"activation": activation, "cost": cost, "l2": l2, "l1": l1, "reduction": reduction}
    facts = description(text, network, numbers, rows.name, result)
    if save is not None:
        storage.save_model(save, result.params, facts)
    if plot is not None and result.history:
        plots.save_learning_curve(plot, result, title=f"{rows.name}, {widths_text(network)}")
    written = [str(path) for path in (save, plot if result.history else None, checkpoint) if path is not None]
    notes += minibatch_note(network, numbers, optimizer, batch_size, result.train_rows)
    if as_json:
        print_json(result.to_dict() | {"network": facts, "files": written, "notes": notes})
    else:
        tell(network, rows.name, optimizer, result, written, notes)
    if result.interrupted:
        kept = f"the best model so far is in {save}" if save else "--save FILE would have kept the best model so far"
        typer.echo(f"error: interrupted in epoch {len(result.history) + 1}; {kept}", err=True)
        raise typer.Exit(2)
