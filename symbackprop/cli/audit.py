"""The sub-command audit: every equation of a document, judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from symbackprop.cli import options
from symbackprop.cli.bar import CheckBar
from symbackprop.cli.lazy import audits, audit_report
from symbackprop.cli.show import check_writable, print_json
from symbackprop.errors import DataError


def audit(
    file: Annotated[Path, typer.Argument(help="A document: .md, .tex or .ipynb.", metavar="FILE")],
    form: Annotated[
        Literal["table", "github"], typer.Option("--format", help="github: annotations beside the lines of the file.")
    ] = "table",
    as_json: options.Json = False,
) -> None:
    """Judge every equation of a document. Exit status 0 only if none is REFUTED.

    The document's own definitions say what its letters mean: what z, a and the cost are, where W leads from, what is a
    mean. Each further equation is PROVED for all sizes, REFUTED by numbers, UNDECIDED or NOT UNDERSTOOD; a chain
    a = b = c is judged step by step.

    Examples:
      symbackprop audit notes.md
      symbackprop audit chapter.tex --json
      symbackprop audit notes.md --format github
    """
    if not file.is_file():
        raise DataError("there is no such document", where=str(file), help="give a .md, .tex or .ipynb file")
    with CheckBar() as bar:
        found = audits.audit(file, observer=bar)
    if as_json:
        print_json(audit_report.to_dict(found))
    elif form == "github":
        for line in audit_report.annotations(found):
            typer.echo(line)
    else:
        console = Console()
        console.print(audit_report.table(found))
        typer.echo(", ".join(f"{number} {status.lower()}" for status, number in found.counts().items()))
    raise typer.Exit(1 if found.counts().get("REFUTED") else 0)
