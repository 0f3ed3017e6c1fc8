"""The document model: what a document says, before it is LaTeX, HTML or Markdown.

Mathematics is kept as expressions, not as text: `Formula`, `DisplayedEquality` and `Chain` hold nodes, and the
writers lay them out in the document's notation. So `equations` can take every displayed equality back out and compare
it with what was proved. `Symbolic` holds mathematics that states no equality of its own: a shape, a name, a general
law.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from symbackprop.expression.build import Expr
from symbackprop.proofs.theorem import Paper
from symbackprop.rendering.layout import Layout
from symbackprop.rendering.notation import WEIGHTS, Notation


@dataclass(frozen=True)
class Formula:
    """An expression inside a sentence."""

    expr: Expr


@dataclass(frozen=True)
class DisplayedEquality:
    """left = right: a statement that must have been proved, or an equation of the program."""

    left: Expr
    right: Expr


@dataclass(frozen=True)
class Symbolic:
    """Mathematics that is not one of the proof's equalities: a shape, a matrix form, a law in general letters."""

    layout: Layout


@dataclass(frozen=True)
class Code:
    """A name or a line of a programming language."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Words that stand out."""

    text: str


@dataclass(frozen=True)
class Reference:
    """Words that lead to a section of the same document, where a page can be clicked."""

    words: str
    section: str


Mathematics = Formula | DisplayedEquality | Symbolic
Inline = str | Mathematics | Code | Strong | Reference
Text = tuple[Inline, ...]


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: Text


@dataclass(frozen=True)
class Display:
    """Formulas on lines of their own, each with a short note beside it.

    Args:
        flowing: where room is scarce several may stand on a line, each followed by its note.
    """

    lines: tuple[tuple[DisplayedEquality | Symbolic, Text], ...]
    flowing: bool = False


@dataclass(frozen=True)
class Line:
    """One line of a chain: before = after, with the rule and the reason.

    Args:
        label: the rule as it is called in the document.
    """

    before: Expr
    after: Expr
    label: str
    reason: Text


@dataclass(frozen=True)
class Chain:
    """A chain of equalities: lines[0].before = lines[0].after = lines[1].after = ..."""

    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Items:
    """A list of points."""

    points: tuple[Text, ...]


@dataclass(frozen=True)
class Table:
    """Cells of text under a head.

    Args:
        shares: how much of a line each column takes; by default the same, or what suits a table of symbols.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    caption: str = ""
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Mark:
    """One thing in a picture; y points down, two units of a layer are 1 apart.

    Args:
        kind: circle, dot, line, arrow, label, curve or dashed (a broken curve).
        at: where; for a line or an arrow its start.
        to: the end of a line or an arrow.
        label: what stands there; mathematics, or words.
        points: what a curve passes through.
    """

    kind: str
    at: tuple[float, float]
    to: tuple[float, float] = (0.0, 0.0)
    label: Layout | None = None
    points: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Figure:
    """A picture; `description` is read aloud to those who cannot see it.

    Args:
        drawing: the same as a Mermaid diagram, which code hosts draw inside Markdown.
    """

    marks: tuple[Mark, ...]
    size: tuple[float, float]
    caption: Text
    description: str
    drawing: str = ""


@dataclass(frozen=True)
class Listing:
    """Lines of a program or of a terminal."""

    text: str
    language: str = "python"


@dataclass(frozen=True)
class Statement:
    """A theorem, lemma or definition: numbered, with a name."""

    kind: str
    name: Text
    body: tuple[Block, ...]


@dataclass(frozen=True)
class ProofBlock:
    """The proof of the statement before it."""

    body: tuple[Block, ...]


@dataclass(frozen=True)
class Section:
    """A titled part; sections inside sections are subsections.

    Args:
        name: what a `Reference` calls it, letters, digits and hyphens.
    """

    title: str
    body: tuple[Block, ...]
    name: str = ""


Block = Paragraph | Display | Chain | Items | Table | Figure | Listing | Statement | ProofBlock | Section


@dataclass(frozen=True)
class Document:
    """A whole document.

    Args:
        lead: one or two sentences under the title: what is claimed, and its status.
        notation: how the mathematics is written.
        compact: set small, for one page.
        paper: the size of its pages.
    """

    title: str
    lead: Text
    body: tuple[Block, ...]
    notation: Notation = field(default=WEIGHTS)
    compact: bool = False
    paper: Paper = "a4"


def blocks(body: tuple[Block, ...]) -> Iterator[Block]:
    """All blocks, those inside others too, in reading order."""
    for block in body:
        yield block
        if isinstance(block, Section | Statement | ProofBlock):
            yield from blocks(block.body)


def texts(block: Block) -> Iterator[Text]:
    """The running texts directly in a block."""
    match block:
        case Paragraph(text):
            yield text
        case Items(points):
            yield from points
        case Table(rows=rows):
            for row in rows:
                yield from row
        case Display(lines):
            for formula, note in lines:
                yield (formula, *note)
        case Chain(steps):
            for line in steps:
                yield line.reason
        case Figure(caption=caption):
            yield caption


def equations(document: Document) -> tuple[DisplayedEquality, ...]:
    """Every equality that the document displays, in reading order.

    A chain a = b = c gives a = b and b = c.
    """
    found: list[DisplayedEquality] = [part for part in document.lead if isinstance(part, DisplayedEquality)]
    for block in blocks(document.body):
        if isinstance(block, Chain):
            found += [DisplayedEquality(line.before, line.after) for line in block.lines]
        found += [part for text in texts(block) for part in text if isinstance(part, DisplayedEquality)]
    return tuple(found)


def plain_words(text: Text) -> str:
    """The words and code of a text, without its mathematics: for titles and descriptions."""
    return "".join(p if isinstance(p, str) else getattr(p, "text", "") for p in text)
