"""What sub-commands print: verdicts with their counts, JSON, and the exit status that follows.

Main names: `finish` (verdicts), `print_json`, `check_writable`. Words in colour only on a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from symbackprop.errors import DataError

if TYPE_CHECKING:
    from symbackprop.checking.verdict import Verdict

COLOURS = {"PROVED": "green", "REFUTED": "red", "UNDECIDED": "yellow", "MALFORMED": "magenta"}
GRAVITY = ("REFUTED", "MALFORMED", "UNDECIDED", "PROVED")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def coloured(story: str) -> str:
    """A verdict or proof with the colour of its first word."""
    status, _, rest = story.partition(" ")
    return f"{typer.style(status, fg=COLOURS[status], bold=True)} {rest}" if status in COLOURS else story


def finish(verdicts: Sequence[Verdict], *, as_json: bool) -> NoReturn:
    """Print verdicts, the four counts last, and exit: status 0 only if all are PROVED."""
    counts = {status: sum(v.status == status for v in verdicts) for status in COLOURS}
    worst = next(status for status in GRAVITY if counts[status])
    if as_json:
        print_json({"status": worst, "counts": counts, "verdicts": [v.to_dict() for v in verdicts]})
    else:
        for verdict in verdicts:
            typer.echo(coloured(str(verdict)))
        typer.echo(", ".join(f"{number} {status.lower()}" for status, number in counts.items()))
    raise typer.Exit(0 if worst == "PROVED" else 1)


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
