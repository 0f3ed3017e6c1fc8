"""What sub-commands print: verdicts with their counts, JSON, and the exit status that follows.

Main names: `finish` (verdicts), `print_json`, `check_writable`. Words in colour only on a terminal.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.markup import escape

from symbackprop.errors import DataError, MalformedError
from symbackprop.expression.shown import row

if TYPE_CHECKING:
    from symbackprop.checking.verdict import Verdict
    from symbackprop.expression.program import Program

COLOURS = {"PROVED": "green", "REFUTED": "red", "UNDECIDED": "yellow", "MALFORMED": "magenta",
           "SURROGATE": "cyan"}  # fmt: skip
INTERRUPTED = 130  # exit status
GRAVITY = ("REFUTED", "MALFORMED", "UNDECIDED", "SURROGATE", "PROVED")


def help_text(command: Callable[..., Any]) -> str:
    """A sub-command's docstring as its help: paragraphs flow, examples keep their lines, brackets are brackets."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    flowing = [p if p.startswith("Example") else " ".join(p.split()) for p in paragraphs]
    return escape("\n\n".join(flowing))


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def coloured(story: str) -> str:
    """A verdict or proof with the colour of its first word."""
    status, _, rest = story.partition(" ")
    return f"{typer.style(status, fg=COLOURS[status], bold=True)} {rest}" if status in COLOURS else story


def check_documents(output: Sequence[Path], claims: int) -> None:
    """See that each claim's document has a file, and that it can be written.

    Raises:
        MalformedError: several claims, and not one file for each.
    """
    if output and claims > 1 and len(output) != claims:
        raise MalformedError(
            f"{claims} claims, but {len(output)} files for their documents", help="give one --output for each claim"
        )
    check_writable(*output)


def finish(
    verdicts: Sequence[Verdict], *, output: Sequence[Path], as_json: bool, alone: Sequence[Program] = ()
) -> NoReturn:
    """Print verdicts, the four counts last, and exit: status 0 only if all are PROVED.

    Args:
        output: documents to write: any number for one verdict, or one for each.
        alone: forward passes without a verdict, with what floating point makes of them: status 0 only if nothing was
            found.
    """
    counts = {status: sum(v.status == status for v in verdicts) for status in COLOURS}
    if not counts["SURROGATE"]:
        del counts["SURROGATE"]  # nobody declared one
    worst = next((status for status in GRAVITY if counts.get(status)), None)
    if as_json:
        _save(verdicts, output)
        files = {"files": [str(path) for path in output]} if output else {}
        searched = [{"subject": p.name, "precision": p.precision.to_dict()} for p in alone]
        forwards = {"forwards": searched} if searched else {}
        print_json({"status": worst, "counts": counts, "verdicts": [v.to_dict() for v in verdicts]} | forwards | files)
    else:
        for verdict in verdicts:
            typer.echo(coloured(str(verdict)))
        for program in alone:
            inputs, outputs = (", ".join(t.name for t in some) for some in (program.inputs, program.outputs))
            typer.echo(f"{program.name}: {inputs} -> {outputs}   (no backward)")
            typer.echo("\n".join(row("precision", program.precision.text)))
        _save(verdicts, output)  # after the verdicts are told, so that a file that cannot be written loses none
        for path in output:
            typer.echo(f"wrote {path}")
        if verdicts:
            typer.echo(", ".join(f"{number} {status.lower()}" for status, number in counts.items()))
    raise typer.Exit(0 if worst in ("PROVED", None) and all(p.precision.safe for p in alone) else 1)


def interrupted(verdicts: Sequence[Verdict], told: str) -> NoReturn:
    """Print what was decided before Ctrl-C, and how far the rest has come; exit with 130, as all commands do then."""
    for verdict in verdicts:
        typer.echo(coloured(str(verdict)), err=True)
    typer.echo(told, err=True)
    raise typer.Exit(INTERRUPTED)  # `main` says last what happened


def _save(verdicts: Sequence[Verdict], output: Sequence[Path]) -> None:
    for path, verdict in zip(output, cycle(verdicts), strict=False):
        verdict.save(path)


def check_writable(*paths: Path | None, read: Sequence[Path] = ()) -> None:
    """See that files can be written there, before the work that fills them.

    Args:
        read: files that the command reads, which must not be replaced; names of no file do not count.

    Raises:
        DataError: a folder in place of the file, no such folder, one file for two ends.
    """
    used = [path.resolve() for path in read if path.exists()]
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise DataError("the file to write is a folder", where=str(path))
        if not path.parent.is_dir():
            raise DataError(
                "cannot write the file: there is no such folder", where=str(path), evidence=[f"folder:  {path.parent}"]
            )
        if path.resolve() in used:
            raise DataError(
                "one file for two ends: what is there would be lost", where=str(path), help="name another file"
            )
        used.append(path.resolve())
