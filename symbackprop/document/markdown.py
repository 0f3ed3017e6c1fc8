"""Document -> Markdown, with `$` and `$$` for code hosts. Main name: `to_markdown`."""

from __future__ import annotations

import re

from symbackprop.document.model import (
    Block,
    Chain,
    Code,
    Display,
    Document,
    Figure,
    Inline,
    Items,
    Line,
    Listing,
    Paragraph,
    ProofBlock,
    Reference,
    Section,
    Statement,
    Strong,
    Table,
    Text,
)
from symbackprop.document.sentences import titled
from symbackprop.document.tex import formula_layout
from symbackprop.rendering.layout import Layout, broken, relation, row
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.notation import Notation
from symbackprop.rendering.tex import to_tex

_LIMIT = 40.0  # em: a formula wider than this is broken
_SPECIAL = str.maketrans({c: "\\" + c for c in "\\`*_[]<>|#$"})


def to_markdown(document: Document) -> str:
    """The complete Markdown text of a document."""
    writer = _MarkdownWriter(document.notation)
    title = writer.text(titled(document.title))
    parts = [f"# {title}", writer.text(document.lead), *(writer.block(b, 2) for b in document.body)]
    return "\n\n".join(parts) + "\n"


def _words(text: str) -> str:
    return text.translate(_SPECIAL)


def _ticks(code: str, least: int) -> str:
    """What encloses code: more backticks in a row than there are inside."""
    return "`" * max(least, *(len(run) + 1 for run in re.findall("`+", code)), 1)


class _MarkdownWriter:
    """Writes blocks in one notation; statements are numbered as they come."""

    def __init__(self, notation: Notation) -> None:
        self.notation = notation
        self.numbers: dict[str, int] = {}

    def text(self, text: Text) -> str:
        return "".join(self.inline(p) for p in text)

    def inline(self, part: Inline) -> str:
        match part:
            case str():
                return _words(part)
            case Code(code):
                ticks = _ticks(code, 1)
                return f"{ticks}{code}{ticks}" if ticks == "`" else f"{ticks} {code} {ticks}"
            case Reference(words, _):
                return _words(words)
            case Strong(words):
                bare = words.strip()  # a mark beside a space would not count as one
                return words.replace(bare, f"**{_words(bare)}**")
        return f"${to_tex(formula_layout(part, self.notation))}$"

    def block(self, block: Block, level: int) -> str:
        match block:
            case Paragraph(text):
                return self.text(text)
            case Display(lines):
                return "\n\n".join(
                    _display(formula_layout(f, self.notation)) + (f"\n\n{self.text(note)}" if note else "")
                    for f, note in lines
                )
            case Chain(lines):
                return self.chain(lines)
            case Items(points):
                return "\n".join(f"- {self.text(p)}" for p in points)
            case Table(head, rows, caption, _):
                table = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head))]
                table += [f"| {' | '.join(self.text(c).replace(chr(10), ' ') for c in cells)} |" for cells in rows]
                return (f"{_words(caption)}\n\n" if caption else "") + "\n".join(table)
            case Figure(drawing=drawing, description=description):
                return (
                    f"```mermaid\n{drawing}\n```\n\n*{_words(description)}*" if drawing else f"*{_words(description)}*"
                )
            case Listing(code, language):
                fence = _ticks(code, 3)
                return f"{fence}{language}\n{code}\n{fence}"
            case Statement(kind, name, body):
                number = self.numbers[kind] = self.numbers.get(kind, 0) + 1
                return f"**{kind} {number}** ({self.text(name)}).\n\n{self.body(body, level)}"
            case ProofBlock(body):
                return f"*Proof.*\n\n{self.body(body, level)}\n\n∎"
            case Section(title, body):
                return f"{'#' * level} {_words(title)}\n\n{self.body(body, min(level + 1, 6))}"

    def body(self, body: tuple[Block, ...], level: int) -> str:
        return "\n\n".join(self.block(b, level) for b in body)

    def chain(self, lines: tuple[Line, ...]) -> str:
        parts = [_display(layout_of(lines[0].before, self.notation))]
        for line in lines:
            parts.append(_display(row(relation("="), layout_of(line.after, self.notation))))
            parts.append(f"*{_words(line.label)}.* {self.text(line.reason)}")
        return "\n\n".join(parts)


def _display(layout: Layout) -> str:
    pieces = broken(layout, _LIMIT)
    if len(pieces) == 1:
        return f"$$\n{to_tex(layout)}\n$$"
    inner = " \\\\\n&\\qquad ".join(to_tex(p) for p in pieces)
    return f"$$\n\\begin{{aligned}}\n&{inner}\n\\end{{aligned}}\n$$"
