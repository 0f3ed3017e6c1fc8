"""Sub-command tune: which form of the code is faster where, on this machine."""

from __future__ import annotations

import sys
from dataclasses import asdict, fields
from typing import Annotated

import typer

from symbackprop.cli.lazy import choice, tuning
from symbackprop.errors import DataError


def tune(
    forget: Annotated[bool, typer.Option("--forget", help="Remove what was measured, and measure nothing.")] = False,
) -> None:
    """Measure which form of generated code is faster where, in less than a minute, and keep that for later runs.

    The code itself stays what was proved; only which of its forms runs depends on this. Without it a table for the
    kind of processor decides.

    Examples:
      symbackprop tune
      symbackprop tune --forget
    """
    path = choice.stored_at()
    if forget:
        path.unlink(missing_ok=True)
        typer.echo(f"removed {path}")
        return
    shown = sys.stderr.isatty()
    found = tuning.tuned(lambda question: typer.echo(question, err=True) if shown else None)
    try:
        choice.store(found)
    except OSError as error:
        raise DataError("the choices cannot be stored", where=str(path), help="set XDG_CACHE_HOME") from error
    values = asdict(found)
    for field in fields(found):
        typer.echo(f"{field.name:20} {values[field.name]:>12,}   (usual {field.default:,})")
    typer.echo(f"wrote {path}")
