"""Mathematics as it is laid out, before it is LaTeX or MathML.

A `Layout` is a tree of atoms, rows, fractions, scripts, big operators and fences. It knows how things stand beside each
other, not what they mean. `row`, `operator` and `word` make the common ones; `tex` and `mathml` write
them; `width` estimates how wide one will be and `broken` breaks it into lines. Nothing here knows expressions.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

Kind = Literal["variable", "number", "operator", "relation", "function", "text", "bold", "opening", "closing"]


class Layout:
    """Base of all layout nodes."""

    __slots__ = ()


@dataclass(frozen=True)
class Glyph(Layout):
    """One symbol, number, name or piece of running text, in Unicode."""

    text: str
    kind: Kind = "variable"


@dataclass(frozen=True)
class Row(Layout):
    """Parts beside each other."""

    parts: tuple[Layout, ...]


@dataclass(frozen=True)
class Fraction(Layout):
    """`top` over `bottom`."""

    top: Layout
    bottom: Layout


@dataclass(frozen=True)
class Root(Layout):
    """A square root."""

    body: Layout


@dataclass(frozen=True)
class Script(Layout):
    """`base` with a subscript, a superscript, or both."""

    base: Layout
    below: Layout | None = None
    above: Layout | None = None


@dataclass(frozen=True)
class Accent(Layout):
    """`base` under a bar, a hat or a tilde."""

    mark: Literal["bar", "hat", "tilde"]
    base: Layout


@dataclass(frozen=True)
class Big(Layout):
    """An operator with limits under and over it: a sum, a maximum."""

    symbol: str
    under: Layout
    over: Layout | None = None


@dataclass(frozen=True)
class Fence(Layout):
    """`body` between a left and a right bracket; an empty string is no bracket."""

    left: str
    body: Layout
    right: str


@dataclass(frozen=True)
class Cases(Layout):
    """A brace and lines `value, condition`."""

    lines: tuple[tuple[Layout, Layout], ...]


@dataclass(frozen=True)
class Grid(Layout):
    """Cells in rows and columns, without a bracket."""

    lines: tuple[tuple[Layout, ...], ...]


@dataclass(frozen=True)
class Marked(Layout):
    """A part that stands out: what was changed."""

    body: Layout


TIMES = Glyph("\u2062", "operator")  # invisible: screen readers say "times", the eye sees a thin space
EMPTY = Row(())


def row(*parts: Layout) -> Layout:
    """Parts beside each other; rows inside rows are opened."""
    flat: list[Layout] = []
    for part in parts:
        flat += part.parts if isinstance(part, Row) else [part]
    return flat[0] if len(flat) == 1 else Row(tuple(flat))


def operator(text: str) -> Glyph:
    """A binary operator: + − · ⊙."""
    return Glyph(text, "operator")


def relation(text: str) -> Glyph:
    """A relation: = < ≤ ≠."""
    return Glyph(text, "relation")


def word(text: str) -> Glyph:
    """Running text inside mathematics."""
    return Glyph(text, "text")


def _greek_name(char: str) -> str:
    """The English name of a Greek letter, capitalised for a capital; Unicode spells lambda without its b."""
    name = unicodedata.name(char).split()[3].lower().replace("lamda", "lambda")
    return name.capitalize() if char.isupper() else name


GREEK = {_greek_name(char): char for char in "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"}


def parts_of(layout: Layout) -> tuple[Layout, ...]:
    """The layouts directly inside `layout`."""
    match layout:
        case Row(parts):
            return parts
        case Fraction(a, b):
            return (a, b)
        case Root(a) | Accent(_, a) | Fence(_, a, _) | Marked(a):
            return (a,)
        case Script(a, b, c):
            return tuple(p for p in (a, b, c) if p is not None)
        case Big(_, a, over):
            return (a, over) if over else (a,)
        case Cases(lines) | Grid(lines):
            return tuple(cell for line in lines for cell in line)
    return ()


def tall(layout: Layout) -> bool:
    """True if brackets around `layout` have to grow."""
    return isinstance(layout, Fraction | Big | Cases | Grid | Root) or any(tall(p) for p in parts_of(layout))


def has_fence(layout: Layout) -> bool:
    """True if round brackets stand inside `layout`, so that a pair around it should differ; not in scripts."""
    if isinstance(layout, Script):
        return has_fence(layout.base)
    if isinstance(layout, Fence) and layout.left == "(":
        return True
    return any(has_fence(p) for p in parts_of(layout))


_ADVANCE = {
    "operator": 1.0,
    "relation": 1.2,
    "number": 0.5,
    "text": 0.46,
    "variable": 0.55,
    "function": 0.52,
    "bold": 0.58,
    "opening": 0.6,
    "closing": 0.6,
}


def width(layout: Layout) -> float:
    """About how wide `layout` is, in em: an estimate for breaking lines, a few percent on the large side."""
    match layout:
        case Glyph(text, kind):
            return 0.17 if layout is TIMES else 0.45 if text == "," else _ADVANCE[kind] * len(text)
        case Row(parts):
            return sum(width(p) for p in parts)
        case Fraction(top, bottom):
            return max(width(top), width(bottom)) + 0.25
        case Root(body):
            return width(body) + 0.85
        case Script(base, below, above):
            return width(base) + 0.72 * max(width(p) if p else 0.0 for p in (below, above)) + 0.05
        case Accent(_, base) | Marked(base):
            return width(base)
        case Big(symbol, under, over):
            head = 1.45 if len(symbol) == 1 else 0.55 * len(symbol)
            return max(head, *(0.72 * width(p) for p in (under, over) if p)) + 0.17
        case Fence(_, body, _):
            return width(body) + (1.0 if tall(body) else 0.8)
        case Cases(lines) | Grid(lines):
            return max(sum(width(cell) + 1.0 for cell in line) for line in lines) + 0.5
    return 0.0


def broken(layout: Layout, limit: float) -> tuple[Layout, ...]:
    """`layout` in lines of at most `limit` em where that is possible: each later line begins with + or −.

    A tall bracket that would not fit on a line is opened, and its inside broken too.
    """
    if not isinstance(layout, Row) or width(layout) <= limit:
        return (layout,)
    lines: list[list[Layout]] = [[]]
    for chunk in _chunks(layout.parts, limit):
        used = sum(width(p) for p in lines[-1])
        if lines[-1] and used + sum(width(p) for p in chunk) > limit:
            lines.append([])
        lines[-1] += chunk
    return tuple(row(*line) for line in lines)


def _begins_after(part: Layout) -> bool:
    """True for an equals sign or a bracket: a sign after it belongs to the first term."""
    return isinstance(part, Glyph) and part.kind in ("relation", "opening")


def _chunks(parts: tuple[Layout, ...], limit: float) -> list[list[Layout]]:
    """The pieces between the places where a line may end: before a plus or minus that stands between two terms."""
    chunks: list[list[Layout]] = [[]]
    for part in parts:
        if isinstance(part, Glyph) and part.text in ("+", "−") and chunks[-1] and not _begins_after(chunks[-1][-1]):
            chunks.append([])
        if isinstance(part, Fence) and tall(part.body) and width(row(*chunks[-1], part)) > limit:
            body = part.body.parts if isinstance(part.body, Row) else (part.body,)
            first, *rest = _chunks(body, limit)
            chunks[-1] += [Glyph(part.left, "opening"), *first]
            chunks += rest
            chunks[-1].append(Glyph(part.right, "closing"))
        else:
            chunks[-1].append(part)
    return chunks
