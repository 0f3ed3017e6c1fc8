"""Document -> LaTeX: standalone, for pdflatex and lualatex, with amsmath and amsthm.

A chain of equalities is aligned at its first relation, with the reason beside each line where it fits and under it
where the formula is long; LaTeX itself measures this, and a formula that is wider than the page although it was
broken is set smaller. Main name: `to_latex_document`.
"""

from __future__ import annotations

import itertools
import re
from importlib import resources

from symbackprop.document.model import (
    Block,
    Chain,
    Code,
    Display,
    DisplayedEquality,
    Document,
    Figure,
    Formula,
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
    Symbolic,
    Table,
    Text,
)
from symbackprop.document.sentences import titled
from symbackprop.rendering.layout import Glyph, Layout, broken, relation, row, tall
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.notation import Notation
from symbackprop.rendering.tex import tex_text, to_tex

_QED = r"\qed"
_LIMIT = 33.0  # em that a line of a chain may take before it is broken
_COMPACT_LIMIT = 42.0  # the same where the text is small and the page full


def to_latex_document(document: Document) -> str:
    """The complete LaTeX source of a document."""
    writer = _TexWriter(document.notation, compact=document.compact)
    title = tex_text(document.title)
    parts = [
        rf"\documentclass[{'10pt' if document.compact else '11pt'},{document.paper}paper]{{article}}",
        *([r"\PassOptionsToPackage{nosumlimits}{amsmath}"] if document.compact else []),
        _source("preamble.tex"),
        _source("macros.tex"),
        rf"\proofsettings\geometry{{{'hmargin=18mm,vmargin=9mm' if document.compact else 'margin=25mm'}}}",
        *([r"\compactlayout"] if document.compact else []),
        rf"\hypersetup{{pdftitle={{{title}}}}}",
        r"\begin{document}",
        rf"\documenttitle{{{writer.text(titled(document.title))}}}{{{writer.text(document.lead)}}}",
        *(writer.block(b, 0) for b in document.body),
        r"\end{document}",
    ]
    return "\n\n".join(parts) + "\n"


_FRAGMENT = r"""% To be put into a document with \input. The document loads:
% \usepackage{amsmath,amssymb,amsthm,array,booktabs,longtable,graphicx,tikz,listings}
% Several of these may be put into one document; its own theorem and lemma are used where it has them."""


def to_latex_fragment(document: Document) -> str:
    """A document as a section without a preamble: what it needs is defined at its beginning, once in a document."""
    writer = _TexWriter(document.notation)
    parts = [
        _FRAGMENT,
        "\\ifdefined\\proofsettings\\else\n" + _source("macros.tex") + "\n\\fi",
        r"\begingroup\proofsettings",
        rf"\section{{{writer.text(titled(document.title))}}}",
        writer.text(document.lead),
        *(writer.block(b, 1) for b in document.body),
        r"\par\endgroup",
    ]
    return "\n\n".join(parts) + "\n"


def _source(name: str) -> str:
    return resources.files("symbackprop.document").joinpath(name).read_text(encoding="utf-8").rstrip()


class _TexWriter:
    """Writes blocks and texts in one notation."""

    def __init__(self, notation: Notation, *, compact: bool = False) -> None:
        self.notation = notation
        self.limit = _COMPACT_LIMIT if compact else _LIMIT

    def text(self, text: Text) -> str:
        return "".join(self.inline(p) for p in text)

    def inline(self, part: Inline) -> str:
        match part:
            case str():
                return tex_text(part)
            case Code(code):
                return rf"\codetext{{{_breakable(tex_text(code))}}}"
            case Reference(words, _):
                return tex_text(words)
            case Strong(words):
                return rf"\textbf{{{tex_text(words)}}}"
        return f"${to_tex(formula_layout(part, self.notation))}$"

    def block(self, block: Block, depth: int) -> str:
        match block:
            case Paragraph(text):
                return self.text(text)
            case Display(lines, flowing):
                return self.display(lines, flowing=flowing)
            case Chain(lines):
                return self.chain(lines)
            case ProofBlock((Chain(lines),)):
                return f"\\begin{{derivation}}\n{self.chain(lines, end=_QED)}\n\\end{{derivation}}"
            case Items(points):
                inner = "\n".join(rf"  \item {self.text(p)}" for p in points)
                return f"\\begin{{itemize}}\n{inner}\n\\end{{itemize}}"
            case Table():
                return self.table(block)
            case Figure():
                return self.figure(block)
            case Listing(code, _):
                return _listing(code)
            case Statement(kind, name, body):
                inner, kind = self.body(body, depth), kind.lower()
                head = f"\\pageroom{{{_room(block)}\\baselineskip}}\\begin{{{kind}}}[{{{self.text(name)}}}]\\leavevmode"
                return f"{head}\n{inner}\n\\end{{{kind}}}"
            case ProofBlock(body):
                kind = "longderivation" if isinstance(body[0], Chain) else "proof"
                return f"\\begin{{{kind}}}\n{self.body(body, depth)}\n\\end{{{kind}}}"
            case Section(title, body):
                command = ("section", "subsection", "subsubsection")[min(depth, 2)]
                head = f"\\pageroom{{{_room(block)}\\baselineskip}}\\{command}{{{tex_text(title)}}}"
                return f"{head}\n\n{self.body(body, depth + 1)}"

    def body(self, body: tuple[Block, ...], depth: int) -> str:
        """Blocks one after the other; a formula stays with the words before it."""
        parts = [self.block(b, depth) for b in body]
        stays = (isinstance(a, Paragraph) and isinstance(b, Display | Chain) for a, b in itertools.pairwise(body))
        return "\n\n".join(
            ("\\nopagebreak\n" if keep else "") + part for keep, part in zip((False, *stays), parts, strict=bool(parts))
        )

    def display(self, lines: tuple[tuple[DisplayedEquality | Symbolic, Text], ...], *, flowing: bool) -> str:
        """Formulas with their notes, beside each other where they flow."""
        macro = "formulaitem" if flowing else "displayline"
        parts = [
            rf"\{macro}{{{self.lines(formula_layout(formula, self.notation))}}}{{{self.tall_text(note)}}}"
            for formula, note in lines
        ]
        return "\n".join([r"\begin{formulaflow}", *parts, r"\end{formulaflow}"] if flowing else parts)

    def chain(self, lines: tuple[Line, ...], *, end: str = "") -> str:
        """The lines with their reasons; `end` is added to the last reason."""
        out = [rf"\chainstart{{{to_tex(layout_of(lines[0].before, self.notation))}}}"]
        for number, line in enumerate(lines, start=1):
            formula = self.lines(row(relation("="), layout_of(line.after, self.notation)))
            if number in (2, len(lines)):  # no line stands alone at the foot or at the head of a page
                out.append(r"\par\nopagebreak")
            mark = end if number == len(lines) else ""
            out.append(
                rf"\chainline{{{formula}}}{{\rulename{{{tex_text(line.label)}}} {self.text(line.reason)}{mark}}}"
            )
        return "\n".join([*out, r"\chainend"])

    def lines(self, layout: Layout) -> str:
        """A formula, over several lines if it is long."""
        pieces = broken(layout, self.limit)
        if len(pieces) == 1:
            return to_tex(layout)
        later = r" \\ & \qquad ".join(to_tex(p) for p in pieces)
        return rf"\begin{{aligned}}[t] & {later} \end{{aligned}}"

    def table(self, table: Table) -> str:
        columns = len(table.head)
        head = " & ".join(rf"\textbf{{{tex_text(h)}}}" for h in table.head)
        last = len(table.rows) - 1
        rows = "\n".join(  # a star keeps a row and the next on one page: the first few, and the last few
            " & ".join(self.cell(c) for c in cells) + (r" \\*" if k < 3 or last - 3 <= k < last else r" \\")
            for k, cells in enumerate(table.rows)
        )
        caption = rf"\tablecaption{{{tex_text(table.caption)}}}" + "\n" if table.caption else ""
        shares = table.shares or ((0.22, 0.24, 0.46) if columns == 3 else (round(0.92 / columns, 2),) * columns)
        spec = "".join(rf">{{\raggedright\arraybackslash}}p{{{share}\linewidth}}" for share in shares)
        return (
            f"{caption}{{\\small\\begin{{longtable}}[l]{{@{{}}{spec}@{{}}}}\n\\toprule\n"
            f"{head} \\\\\n\\midrule\n\\endhead\n{rows}\n\\bottomrule\n\\end{{longtable}}}}"
        )

    def cell(self, text: Text) -> str:
        """A cell of a table; a tall formula in it is set full size and given room."""
        tallest = any(tall(formula_layout(p, self.notation)) for p in text if isinstance(p, Mathematics))
        return (r"\tallcell{}" if tallest else "") + self.tall_text(text)

    def tall_text(self, text: Text) -> str:
        """Text with room for fractions of full size."""
        return self.text(text).replace("$\\frac", "$\\displaystyle\\frac")

    def figure(self, figure: Figure) -> str:
        marks = "\n".join("  " + _mark(m) for m in figure.marks)
        picture = f"\\begin{{tikzpicture}}[x=9mm,y=-9mm]\n{marks}\n\\end{{tikzpicture}}\\par\\nopagebreak\\smallskip"
        return f"\\begin{{center}}\n{picture}\n{{\\small {self.text(figure.caption)}}}\n\\end{{center}}"


def _room(block: Block) -> int:
    """How many lines should be free for a block to begin on this page: a heading, and the start of what it heads."""
    match block:
        case Section(body=body):
            return 5 + max([_room(b) for b in body[:2]], default=0)
        case Table(rows=rows):
            return 4 + 2 * min(len(rows), 7)  # as many as are kept together
        case Statement():
            return 13  # the statement and the first line of its proof
    return 4


def _breakable(code: str) -> str:
    """Code that may end a line behind a comma, a bracket or a space."""
    straight = code.replace("--", "-{}-").replace("'", r"\textquotesingle{}")
    return re.sub(r"([,(=] ?)", r"\1\\allowbreak{}", straight)


def _mark(mark: Mark) -> str:
    at = f"({mark.at[0]:g},{mark.at[1]:g})"
    match mark.kind:
        case "line":
            return rf"\draw[black!35, thin] {at} -- ({mark.to[0]:g},{mark.to[1]:g});"
        case "circle":
            return rf"\draw[fill=white] {at} circle [radius=2.6mm];"
        case "dot":
            return rf"\fill {at} circle [radius=0.35mm];"
        case "arrow":
            return rf"\draw[-stealth, semithick] {at} -- ({mark.to[0]:g},{mark.to[1]:g});"
        case "curve" | "dashed":
            style = "thick" if mark.kind == "curve" else "thick, densely dashed"
            through = " -- ".join(f"({x:g},{y:g})" for x, y in mark.points)
            return rf"\draw[{style}] {through};"
    assert mark.label is not None, "a label has something to say"
    return rf"\node at {at} {{{label_tex(mark.label)}}};"


def label_tex(label: Layout) -> str:
    """A label of a picture: words as words, all else as mathematics."""
    if isinstance(label, Glyph) and label.kind == "text":
        return rf"\small {tex_text(label.text)}"
    return f"${to_tex(label)}$"


def formula_layout(part: Formula | DisplayedEquality | Symbolic, notation: Notation) -> Layout:
    """The mathematics of an inline formula or a displayed line."""
    match part:
        case Formula(expr):
            return layout_of(expr, notation)
        case DisplayedEquality(left, right):
            return row(layout_of(left, notation), relation("="), layout_of(right, notation))
        case Symbolic(layout):
            return layout


def _listing(code: str) -> str:
    """Code as it stands. Where its text would mean something to TeX even there, letter by letter.

    A listing ends at the first line that ends one, and ^^5c is a backslash before TeX has looked at anything.
    """
    if r"\end{lstlisting}" not in code and "^^" not in code:
        return f"\\begin{{lstlisting}}\n{code}\n\\end{{lstlisting}}"
    lines = [tex_text(line).replace(" ", r"\ ") or r"\strut" for line in code.split("\n")]
    return "\\begin{quote}\\small\\ttfamily\n" + "\\\\\n".join(lines) + "\n\\end{quote}"
