"""The sub-command audit: every equation of a document, judged."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from symbackprop.cli import options
from symbackprop.cli.bar import CheckBar
from symbackprop.cli.lazy import audit_documents, audit_report, audits, document_save
from symbackprop.cli.show import INTERRUPTED, check_writable, print_json
from symbackprop.errors import DataError, MalformedError, SymbackpropError


def audit(
    file: Annotated[Path, typer.Argument(help="A document: .md, .tex or .ipynb.", metavar="FILE")],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output", "-o", help="Write a report: .html, .md, .tex or .pdf; may be repeated.", metavar="FILE"
        ),
    ] = None,
    notation: Annotated[
        list[str] | None,
        typer.Option(
            help="A convention, against what is inferred: rows=yes, columns=yes, sigma=tanh.", metavar="NAME=VALUE"
        ),
    ] = None,
    form: Annotated[
        Literal["table", "github"], typer.Option("--format", help="github: annotations beside the lines of the file.")
    ] = "table",
    watch: Annotated[
        bool, typer.Option("--watch", help="Audit again whenever the file is saved, until Ctrl-C.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Judge every equation of a document. Exit status 0 only if none is REFUTED.

    The document's own definitions say what its letters mean: what z, a and the cost are, where W leads from, what is a
    mean. Each further equation is PROVED for all sizes, REFUTED by numbers, UNDECIDED or NOT UNDERSTOOD; a chain
    a = b = c is judged step by step.

    Examples:
      symbackprop audit notes.md
      symbackprop audit chapter.tex --json
      symbackprop audit notes.md -o report.html --notation rows=yes
      symbackprop audit notes.md --format github
      symbackprop audit notes.md --watch
    """
    choices = dict(map(_pair, notation or []))
    files = output or []
    if not watch:
        raise typer.Exit(_audited(file, files, choices, form, as_json)[0])
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            watched, since = [file], time.time_ns()
            try:
                status, watched = _audited(file, files, choices, form, as_json)
                if status == INTERRUPTED:
                    break
            except SymbackpropError as error:  # half a text, while it is being saved
                typer.echo(str(error), err=True)
            typer.echo(f"waiting for {file.name} to change; Ctrl-C ends", err=True)
            _await_change(watched, since)
    raise typer.Exit(0)


def _audited(
    file: Path, files: list[Path], choices: dict[str, str], form: str, as_json: bool
) -> tuple[int, list[Path]]:
    """Audit a document and print what is said of it.

    Returns:
        the exit status, and the files that were read.
    """
    if not file.is_file():
        raise DataError("there is no such document", where=str(file), help="give a .md, .tex or .ipynb file")
    check_writable(*files, read=(file,))
    with CheckBar() as bar:
        found = audits.audit(file, notation=choices, observer=bar)
    for path in files:
        document_save.save(audit_documents.audit_document(found), path)
    if as_json:
        print_json(audit_report.to_dict(found))
    elif form == "github":
        for line in audit_report.github_lines(found):
            typer.echo(line)
    else:
        console = Console()
        for name, words in found.notation.items():
            typer.echo(f"  {name}: {words}")
        for words in found.assumptions:
            typer.echo(f"  taken for granted: {words}")
        if found.judgements:
            console.print(audit_report.table(found))
        else:
            typer.echo(f"{file.name} holds no equations between $, $$, \\( \\) or in an environment for them")
        for path in files:
            typer.echo(f"wrote {path}")
        if found.judgements:
            typer.echo(", ".join(f"{number} {status.lower()}" for status, number in found.counts().items()))
    status = 1 if found.counts().get("REFUTED") else 0
    if found.stopped is not None:
        total = len(found.document.formulas)
        typer.echo(f"{found.stopped} of {total} formulas had been judged", err=True)
        status = INTERRUPTED  # `main` says last what happened
    return status, [file, *(file.parent / n for n, _ in found.document.included)]


def _await_change(paths: list[Path], since: int, pause: float = 0.3) -> None:
    """Wait until one of some files is written after a point in time; one that is away for a moment is waited for."""

    def times() -> list[int]:
        return [path.stat().st_mtime_ns if path.is_file() else -1 for path in paths]

    before = times()
    while -1 in (now := times()) or (now == before and max(now) <= since):
        time.sleep(pause)


def _pair(text: str) -> tuple[str, str]:
    """name=value, taken apart."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip() or not value.strip():
        raise MalformedError(f"a convention is NAME=VALUE, not {text!r}", help="--notation rows=yes")
    return name.strip(), value.strip()
