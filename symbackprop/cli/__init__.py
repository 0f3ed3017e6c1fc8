"""The command line: prove, verify, check, audit, train, predict, export, tune, demo.

    symbackprop prove --layers 3,5,5,4 --cost cross-entropy -o proof.html

Main name: `main`. Exit status: 0 done (for claims: all PROVED), 1 some claim is not PROVED, 2 a mistake in the input or
an interrupted training, 130 interrupted elsewhere. A mistake is one message on standard error, never a traceback. The
sub-commands stand in modules of their own, and what takes long to import loads in the one that needs it (`lazy`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

import symbackprop
from symbackprop.cli.audit import audit
from symbackprop.cli.demo import demo
from symbackprop.cli.export import export
from symbackprop.cli.predict import predict
from symbackprop.cli.show import help_text
from symbackprop.cli.train import train
from symbackprop.cli.tune import tune
from symbackprop.cli.verdicts import check, prove, verify
from symbackprop.errors import SymbackpropError

app = typer.Typer(
    help="Derives a neural network's gradients, proves them for every size, checks yours, and runs them fast.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (prove, verify, check, audit, train, predict, export, tune, demo):
    app.command(help=help_text(command))(command)


def _version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        typer.echo(f"symbackprop {symbackprop.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the sub-command."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status.

    Args:
        arguments: the words after the program's name; by default those of the process.
    """
    try:
        app(arguments, prog_name="symbackprop")
    except SystemExit as end:
        if end.code == 130:  # typer's own answer to Ctrl-C
            typer.echo("error: interrupted", err=True)
        raise
    except SymbackpropError as error:
        typer.echo(f"error: {error}", err=True)
    except MemoryError:
        typer.echo("error: not enough memory for arrays of this size", err=True)
    sys.exit(2)
