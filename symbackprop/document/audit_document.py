"""An audit as a document: how the text was read, each equation with its verdict, and what the wrong ones should be.

Main name: `audit_document`. An equation is shown as its author wrote it, as mathematics where it can be set so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from symbackprop.audit.audit import Audit, Judgement
from symbackprop.audit.report import sizes_in_words, why
from symbackprop.document.model import (
    Block,
    Code,
    Display,
    DisplayedEquality,
    Document,
    Items,
    Paragraph,
    Section,
    Strong,
    Symbolic,
    Table,
    Text,
)
from symbackprop.rendering.layout import Glyph, Layout, Row, broken, row
from symbackprop.rendering.notation import NAMES
from symbackprop.rendering.tex_reader import read_tex

WIDEST = 14.0  # em of a piece in which no line ends
SHOWN = ("REFUTED", "PROVED", "PROVED IF", "UNDECIDED", "NOT UNDERSTOOD")


def audit_document(audit: Audit) -> Document:
    """The document of an audit."""
    counts = audit.counts()
    told = ", ".join(f"{counts[s]} {s.lower()}" for s in SHOWN if s in counts)
    lead: Text = ("The equations of ", Code(audit.document.name), f", judged one by one: {told or 'none is a claim'}.")
    body: tuple[Block, ...] = (*_conventions(audit), *_overview(audit), *_refuted(audit))
    return Document(f"Audit of {audit.document.name}", lead, body, NAMES)


def _conventions(audit: Audit) -> Iterator[Block]:
    points: list[Text] = [(Code(name), ": ", words, ".") for name, words in audit.notation.items()]
    points += [(f"Taken for granted: {words}.",) for words in audit.assumptions]
    if points:
        yield Section("How it was read", (Items(tuple(points)),))


def _overview(audit: Audit) -> Iterator[Block]:
    rows = tuple(
        ((str(j.formula.line),), shown(j.latex), (Strong(j.status),), _why(j))
        for j in audit.judgements
        if j.status in SHOWN
    )
    if rows:
        table = Table(("Line", "Equation", "Verdict", "Why"), rows, shares=(0.06, 0.48, 0.14, 0.3))
        yield Section("The equations", (table,))


def _refuted(audit: Audit) -> Iterator[Block]:
    """Of each refuted equation what its two sides are in index notation, and numbers at which they differ."""
    for j in audit.judgements:
        if j.status == "REFUTED":
            yield Section(f"Line {j.formula.line}", tuple(_case(j)))


def _case(judgement: Judgement) -> Iterator[Block]:
    yield Paragraph((*shown(judgement.latex), " is wrong."))
    comparison = judgement.ruling.comparison if judgement.ruling is not None else None
    if comparison is not None:
        yield Paragraph(("In index notation it says",))
        yield Display(((DisplayedEquality(comparison.left, comparison.right), ()),))
    if judgement.counterexample is not None:
        entry = judgement.counterexample.entry
        sizes = ", ".join(sizes_in_words(judgement))
        where = f" at {sizes}" if sizes else ""
        yield Paragraph((f"Numbers{where}: the left side is {entry.correct:.6g}, the right side {entry.claimed:.6g}.",))
    if judgement.repair:
        yield Paragraph((Strong("It is proved that "), *shown(judgement.repair), " is right in its place."))


def _why(judgement: Judgement) -> Text:
    """One sentence on a status, with what is right set as mathematics."""
    words = why(replace(judgement, repair=None))
    if not judgement.repair:
        return (words or "—",)
    return (f"{words}. Right: " if words else "Right: ", *shown(judgement.repair))


def shown(latex: str) -> Text:
    """A formula as mathematics in pieces between which a line may end; its text where it holds an environment."""
    text = " ".join(re.sub(r"(?<!\\)&|\\(?:nonumber|notag)\b", " ", latex).split())
    if r"\begin" in text:
        return (Code(text),)
    try:
        layout = read_tex(text)
    except (ValueError, LookupError, RecursionError):
        return (Code(text),)
    pieces = [Symbolic(line) for side in _sides(layout) for line in broken(side, WIDEST)]
    return tuple(part for piece in pieces for part in (" ", piece))[1:]


def _sides(layout: Layout) -> Iterator[Layout]:
    """The members of a chain, each from the second on with its relation in front."""
    side: list[Layout] = []
    for part in layout.parts if isinstance(layout, Row) else (layout,):
        if isinstance(part, Glyph) and part.kind == "relation" and side:
            yield row(*side)
            side = []
        side.append(part)
    yield row(*side)
