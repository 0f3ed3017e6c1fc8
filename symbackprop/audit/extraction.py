r"""Formulas of a document: Markdown, LaTeX or a notebook -> LaTeX with exact places.

Main name: `extract`. Macros are expanded and the escapes of Markdown removed; each character of a formula still knows
where in the file it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from symbackprop.audit.tree import Note


@dataclass(frozen=True, slots=True)
class Formula:
    r"""A formula of a document.

    `latex` is what stands between the delimiters, macros expanded, escapes removed: what `grammar.parse` reads, and
    what spans count in. `delimiter`: "$", "$$", "\\(", "\\[", "```math", or the name of an environment ("align*").
    `line` and `col` (from 1) are where the opening delimiter stands; in a notebook `line` counts through all cells
    joined by line breaks, `cell` (from 0) and `cell_line` say the place in its cell. `file` is the file it stands in
    (an \input's may be another). `before` and `after` are the prose around it, without markup, inline formulas as
    $...$: back to the display or blank line before, on to the next. `headings` are the headings it stands under,
    outermost first. `places[k]` is the offset of `latex[k]` in the text of `file`.
    """

    latex: str
    display: bool
    delimiter: str
    line: int
    col: int
    before: str = ""
    after: str = ""
    headings: tuple[str, ...] = ()
    file: str = ""
    cell: int | None = None
    cell_line: int | None = None
    places: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    r"""A document's formulas in their order, and what was odd in it.

    `text` is what was read (a notebook: its cells joined by line breaks). `prose` is the whole text without formulas'
    delimiters removed: paragraphs in order, with inline formulas as $...$, as (line, paragraph). `front_matter` is what
    stands between the first two lines of ---. `notes` say what could not be read, each with its offset in `text`: an
    \input that was not followed, a macro that calls itself, an environment that does not end, pictures.
    """

    name: str
    kind: str
    text: str
    formulas: tuple[Formula, ...]
    prose: tuple[tuple[int, str], ...] = ()
    front_matter: str = ""
    notes: tuple[Note, ...] = ()


def extract(source: Path | str, kind: str | None = None) -> Document:
    """The formulas of a document.

    Args:
        source: a path, or the text itself where it is a `str`.
        kind: "md", "tex" or "ipynb"; by default the path's ending, and "md" for a text.

    Returns:
        The document; one that cannot be read has no formulas and a note.
    """
    raise NotImplementedError


def position(document: Document, formula: Formula, offset: int) -> tuple[int, int]:
    """Line and column (from 1) in the formula's file of an offset in its `latex`, such as a span's start."""
    raise NotImplementedError
