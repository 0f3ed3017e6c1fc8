"""What `train` asks of its options and says of its result, apart from the command itself.

Main names: `hyper_parameters`, `description` (what is stored with a model), `tell`.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from symbackprop.cli.lazy import program
from symbackprop.errors import DataError, MalformedError, UnsupportedError

if TYPE_CHECKING:
    from symbackprop.frontends.network import Network
    from symbackprop.training.loop import TrainingResult

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
    text: dict[str, Any], network: Network, numbers: dict[str, float], data: str, result: TrainingResult
) -> dict[str, Any]:
    """What a model file says about itself: the network as it was described, and how well the model did."""
    score = None if result.best is None else result.best.held_out
    run = {"data": data, "epochs": len(result.history), result.metric: score}
    return {"layers": list(network.widths)} | text | {"hyper": numbers} | run


def tell(
    network: Network, data: str, optimizer: str, result: TrainingResult, written: list[str], notes: list[str]
) -> None:
    """The run in a few lines."""
    speed = result.examples / max(result.seconds, 1e-9)
    typer.echo(f"{data}: {result.train_rows} examples to train on, {result.held_out_rows} held out")
    typer.echo(
        f"{widths_text(network)}, {network.cost_name}, {optimizer}: {_count(len(result.history), 'epoch')} in "
        f"{result.seconds:.2f} s ({speed:,.0f} examples/s)"
        + ("" if result.stopped == "epochs" else f", {result.stopped}")
    )
    if result.best is not None:
        score = "" if result.best.held_out is None else f", held-out {score_text(result)}{_last(result)}"
        typer.echo(f"best epoch {result.best.epoch}: cost {result.best.cost:.4g}{score}")
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
    number = f"{last.held_out:.1%}" if result.metric == "accuracy" else f"{last.held_out:.4f}"
    return f" (chosen by it; {number} after the last epoch)"


def score_text(result: TrainingResult) -> str:
    """The best held-out score in words."""
    assert result.best is not None and result.best.held_out is not None, "only called with a held-out score"
    return f"accuracy {result.best.held_out:.1%}" if result.metric == "accuracy" else f"R2 {result.best.held_out:.4f}"
