"""Document -> HTML: one self-contained file, MathML for the formulas, no script, nothing loaded from elsewhere.

A long formula is broken before its plus and minus signs; what is still too wide scrolls inside its own box, so the
page itself never scrolls sideways. Main names: `to_html`, `fragment` (for notebooks).
"""

from __future__ import annotations

import itertools
import math
import re
from html import escape
from importlib import resources

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
    Mark,
    Mathematics,
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
from symbackprop.rendering.layout import Glyph, Layout, Script, broken, parts_of, relation, row
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.mathml import to_mathml
from symbackprop.rendering.notation import Notation

_LIMIT = 34.0  # em: a formula wider than this is broken
_UNIT = 36  # pixels of a picture for a unit of its model


def to_html(document: Document) -> str:
    """The complete HTML page of a document."""
    style = resources.files("symbackprop.document").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(document.title)}</title>\n<style>\n{style}@page {{ size: {document.paper}; }}\n</style>\n"
        "</head>\n<body>\n"
        f"<main>\n{fragment(document)}\n</main>\n</body>\n</html>\n"
    )


def fragment(document: Document) -> str:
    """The body of a document, to stand inside another page."""
    writer = _HtmlWriter(document.notation)
    parts = [
        f"<header>\n<h1>{writer.text(titled(document.title))}</h1>\n<p>{writer.text(document.lead)}</p>\n</header>",
        *(writer.block(b, 2) for b in document.body),
    ]
    return "\n".join(parts)


class _HtmlWriter:
    """Writes blocks in one notation; statements are numbered as they come."""

    def __init__(self, notation: Notation) -> None:
        self.notation = notation
        self.numbers: dict[str, int] = {}

    def text(self, text: Text) -> str:
        """Running text; a point or a comma stays on the line of the formula before it."""
        out = ""
        for before, part in itertools.pairwise(("", *text)):
            written = self.inline(part)
            mark = re.match(r"[.,;:)?]+", written) if isinstance(part, str) else None
            if mark and isinstance(before, Mathematics):
                start = out.rindex("<math>")
                out = f'{out[:start]}<span class="tied">{out[start:]}{mark[0]}</span>{written[mark.end() :]}'
            else:
                out += written
        return out

    def inline(self, part: Inline) -> str:
        match part:
            case str():
                return escape(part, quote=False)
            case Code(code):
                return f"<code>{escape(code, quote=False)}</code>"
            case Strong(words):
                return f"<strong>{escape(words, quote=False)}</strong>"
            case Reference(words, section):
                return f'<a href="#{escape(section)}">{escape(words, quote=False)}</a>'
        return f"<math>{to_mathml(formula_layout(part, self.notation))}</math>"

    def block(self, block: Block, level: int) -> str:
        match block:
            case Paragraph(text):
                return f"<p>{self.text(text)}</p>"
            case Display(lines):
                rows = "\n".join(
                    self.step(self.formula(formula_layout(f, self.notation)), self.text(note)) for f, note in lines
                )
                return f'<div class="display">\n{rows}\n</div>'
            case Chain(lines):
                return self.chain(lines)
            case Items(points):
                inner = "\n".join(f"<li>{self.text(p)}</li>" for p in points)
                return f"<ul>\n{inner}\n</ul>"
            case Table():
                return self.table(block)
            case Figure():
                return _figure(block, self.text(block.caption))
            case Listing(code, _):
                return f'<pre tabindex="0"><code>{escape(code, quote=False)}</code></pre>'
            case Statement():
                return self.statement(block, level)
            case ProofBlock(body):
                head, end = '<p class="proof-head">Proof.</p>', '<p class="qed" aria-label="end of proof">∎</p>'
                return f'<div class="proof">\n{head}\n{self.body(body, level)}\n{end}\n</div>'
            case Section(title, body, name):
                opening = f'<section id="{escape(name)}">' if name else "<section>"
                return (
                    f"{opening}\n<h{level}>{escape(title)}</h{level}>\n{self.body(body, min(level + 1, 6))}\n</section>"
                )

    def body(self, body: tuple[Block, ...], level: int) -> str:
        return "\n".join(self.block(b, level) for b in body)

    def statement(self, block: Statement, level: int) -> str:
        number = self.numbers[block.kind] = self.numbers.get(block.kind, 0) + 1
        title = f"<h{level}>{block.kind} {number} <span>({self.text(block.name)})</span></h{level}>"
        return f'<div class="statement">\n{title}\n{self.body(block.body, level)}\n</div>'

    def chain(self, lines: tuple[Line, ...]) -> str:
        rows = [self.step(self.formula(layout_of(lines[0].before, self.notation)), "", "left")]
        for line in lines:
            formula = self.formula(row(relation("="), layout_of(line.after, self.notation)))
            rows.append(self.step(formula, f"<em>{escape(line.label)}.</em> {self.text(line.reason)}"))
        return '<div class="chain">\n' + "\n".join(rows) + "\n</div>"

    def formula(self, layout: Layout) -> str:
        """A displayed formula, over several lines if it is long."""
        first, *more = (to_mathml(p) for p in broken(layout, _LIMIT))
        later = (f'<math display="block" class="more">{p}</math>' for p in more)
        return f'<math display="block">{first}</math>{"".join(later)}'

    def step(self, formula: str, note: str, kind: str = "") -> str:
        side = f'<div class="why">{note}</div>' if note else ""
        return f'<div class="step {kind}"><div class="formula" tabindex="0">{formula}</div>{side}</div>'.replace(
            ' "', '"'
        )

    def table(self, table: Table) -> str:
        head = "".join(f'<th scope="col">{escape(h)}</th>' for h in table.head)
        rows = "\n".join("<tr>" + "".join(f"<td>{self.text(c)}</td>" for c in cells) + "</tr>" for cells in table.rows)
        caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
        return (
            f'<div class="table" tabindex="0">\n<table>{caption}\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
        )


def _figure(figure: Figure, caption: str) -> str:
    wide, high = figure.size
    box = f"{-_UNIT} {-_UNIT * (high + 1.2) / 2:.0f} {_UNIT * (wide + 2):.0f} {_UNIT * (high + 1.6):.0f}"
    marks = "\n".join(_mark(m) for m in figure.marks)
    return (
        f'<figure>\n<svg viewBox="{box}" role="img" aria-label="{escape(figure.description)}" '
        f'style="max-width:{_UNIT * (wide + 2):.0f}px">\n{marks}\n</svg>\n<figcaption>{caption}</figcaption>\n</figure>'
    )


def _mark(mark: Mark) -> str:
    x, y = (round(_UNIT * c, 1) for c in mark.at)
    match mark.kind:
        case "line":
            to = [round(_UNIT * c, 1) for c in mark.to]
            return f'<line x1="{x:g}" y1="{y:g}" x2="{to[0]:g}" y2="{to[1]:g}"/>'
        case "circle":
            return f'<circle class="unit" cx="{x:g}" cy="{y:g}" r="10"/>'
        case "dot":
            return f'<circle class="dot" cx="{x:g}" cy="{y:g}" r="1.7"/>'
        case "arrow":
            return f'<path class="arrow" d="{_arrow(mark)}"/>'
        case "curve" | "dashed":
            through = " ".join(f"{_UNIT * u:.1f},{_UNIT * v:.1f}" for u, v in mark.points)
            return f'<polyline class="{mark.kind}" points="{through}"/>'
    assert mark.label is not None, "a label has something to say"
    return f'<text x="{x:g}" y="{y + 4:g}">{_svg_words(mark.label)}</text>'


def _arrow(mark: Mark) -> str:
    """A line with a head, as the path of an SVG."""
    (x, y), (u, v) = ((_UNIT * a, _UNIT * b) for a, b in (mark.at, mark.to))
    length = math.hypot(u - x, v - y)
    along, across = ((u - x) / length, (v - y) / length), ((y - v) / length, (u - x) / length)
    sides = [(u - 7 * along[0] + s * across[0], v - 7 * along[1] + s * across[1]) for s in (-3.2, 3.2)]
    (a, b), (c, d) = sides
    return f"M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}M{a:.1f} {b:.1f}L{u:.1f} {v:.1f}L{c:.1f} {d:.1f}"


def _svg_words(layout: Layout, shift: float = 0.0) -> str:
    """A label in SVG text: scripts are small and shifted, letters slanted."""
    if isinstance(layout, Script) and isinstance(layout.above, Glyph) and set(layout.above.text) == {"′"}:
        return _svg_words(layout.base) + layout.above.text
    if isinstance(layout, Script):
        out = _svg_words(layout.base)
        for part, by in ((layout.above, -5.0), (layout.below, 4.0)):
            if part is not None:
                out += (
                    f'<tspan dy="{by:g}" font-size="75%">{_svg_words(part)}</tspan><tspan dy="{-by:g}">\u200b</tspan>'
                )
        return out
    if isinstance(layout, Glyph):
        text = escape(f" {layout.text} " if layout.kind == "relation" else layout.text)
        return f'<tspan font-style="italic">{text}</tspan>' if layout.kind == "variable" else text
    left, right = getattr(layout, "left", ""), getattr(layout, "right", "")
    return left + "".join(_svg_words(p) for p in parts_of(layout)) + right
