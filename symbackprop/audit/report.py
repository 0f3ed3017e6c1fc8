"""An audit as data, as a table on the terminal, and as annotations for continuous integration.

Main names: `to_dict` (what `--json` prints), `table`, `github_lines`.
"""

from __future__ import annotations

import re
from typing import Any

from rich.table import Table
from rich.text import Text

from symbackprop.audit.audit import Audit, Judgement
from symbackprop.audit.changes import in_words

COLOURS = {"PROVED": "green", "PROVED IF": "green", "REFUTED": "bold red", "UNDECIDED": "yellow",
           "NOT UNDERSTOOD": "magenta", "DEFINITION": "dim", "NOTATION": "dim"}  # fmt: skip
ORDER = tuple(COLOURS)
LONGEST = 90
MOST_SIZES = 6  # that are told of one counterexample


def to_dict(audit: Audit) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        "document": audit.document.name,
        "notation": audit.notation,
        "assumptions": audit.assumptions,
        "equations": [_entry(j) for j in audit.judgements],
        "counts": {s: n for s in ORDER if (n := audit.counts().get(s))},
    }


def _entry(judgement: Judgement) -> dict[str, Any]:
    formula, found = judgement.formula, judgement.counterexample
    numbers = None
    if found is not None:
        numbers = {
            "sizes": dict(found.sizes),
            "values": {n: v.tolist() for n, v in found.inputs.items() if n != "probe"},
            "functions": dict(found.functions),
            "left": found.entry.correct,
            "right": found.entry.claimed,
        }
    return {
        "line": formula.line, "col": formula.col, "row": judgement.row, "link": judgement.link,
        "latex": judgement.latex,
        "status": judgement.status, "conditions": list(judgement.conditions), "reason": judgement.reason,
        "repair": judgement.repair or judgement.mended, "repair_status": "PROVED" if judgement.repair else None,
        "changes": [
            {"was": list(c.was), "was_latex": _slice(judgement.latex, c.was), "span": list(c.span),
             "latex": _slice(judgement.repair or "", c.span)} for c in judgement.changes
        ],
        "oddities": list(judgement.oddities), "counterexample": numbers,
    }  # fmt: skip


def _slice(text: str, span: tuple[int, int]) -> str:
    return text[span[0] : span[1]]


def sizes_in_words(judgement: Judgement) -> list[str]:
    """The sizes of a counterexample as a reader of the document knows them: n = 2, X is 1 by 3, w has 3 entries."""
    found = judgement.counterexample
    if found is None:
        return []
    letters = set(re.findall(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])", judgement.latex))
    words = [f"{name} = {value}" for name, value in found.sizes.items() if _is_named(name)]
    if len(words) == len(found.sizes):
        return words
    for name, values in found.inputs.items():
        shown = name.removesuffix(" each")
        if name == "probe" or not re.fullmatch(r"[A-Za-z]+(?: [A-Za-z]+)?(?:_\w+)?(?:\^\([^()]*\))?", shown):
            continue
        if values.ndim == 2 and shown.upper() in letters and shown not in letters:
            shown = shown.upper()  # X, whose entries the document writes x_{ij}
        if values.ndim == 1:
            words.append(f"{shown} has {values.shape[0]} {'entry' if values.shape[0] == 1 else 'entries'}")
        elif values.ndim > 1:
            words.append(f"{shown} is {' by '.join(map(str, values.shape))}")
    return words[:MOST_SIZES]


def _is_named(size: str) -> bool:
    """True for a size that the document itself names."""
    return not size.startswith(("size ", "range"))


def table(audit: Audit) -> Table:
    """The judgements as rows with the numbers of their lines."""
    found = Table(title=audit.document.name, expand=False)
    for head in ("line", "equation", "status", "why"):
        found.add_column(head, overflow="fold")
    for j in audit.judgements:
        if j.status in ("DEFINITION", "NOTATION") and not j.oddities:
            continue
        said = Text(why(j))
        start = said.plain.find(j.repair) if j.repair else -1
        for change in j.changes if start >= 0 else ():
            said.stylize("bold underline", start + change.span[0], start + change.span[1])
        found.add_row(str(j.formula.line), Text(_short(j.latex)), Text(j.status, style=COLOURS[j.status]), said)
    return found


def why(judgement: Judgement) -> str:
    """One sentence on a status."""
    parts = [judgement.reason] if judgement.reason else []
    if judgement.conditions and judgement.status == "PROVED IF":
        parts.append("if " + "; ".join(judgement.conditions))
    if judgement.counterexample is not None and not judgement.reason:
        entry = judgement.counterexample.entry
        sizes = ", ".join(sizes_in_words(judgement))
        at = f" where {sizes}" if sizes else ""
        parts.append(f"left {entry.correct:.6g}, right {entry.claimed:.6g}{at}")
    if judgement.repair:
        changed = in_words(judgement.latex, judgement.repair, judgement.changes)
        parts.append(f"right: {judgement.repair}" + (f" ({changed})" if changed else ""))
    if judgement.status not in ("PROVED", "PROVED IF"):
        parts += [words for words in judgement.oddities if words not in judgement.reason]
    if judgement.mended:
        parts.append(f"read as {judgement.mended}")
    return ". ".join([*parts[:1], *(words[:1].upper() + words[1:] for words in parts[1:])])


def _short(latex: str) -> str:
    text = " ".join(latex.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "\u2026"


def github_lines(audit: Audit) -> list[str]:
    """A line for each refuted equation, in the form that GitHub shows beside the file."""
    found = []
    for j in audit.judgements:
        level = {"REFUTED": "error", "UNDECIDED": "notice", "NOT UNDERSTOOD": "notice"}.get(j.status)
        if level is not None:
            file = j.formula.file or audit.document.name
            words = f"{j.status}: {' '.join(j.latex.split())}. {why(j)}".replace("%", "%25").replace("\n", "%0A")
            found.append(f"::{level} file={file},line={j.formula.line},col={j.formula.col}::{words}")
    return found
