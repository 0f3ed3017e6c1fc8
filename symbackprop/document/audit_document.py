"""An audit as a document: how the text was read, each equation with its verdict, and what the wrong ones should be.

Main name: `audit_document`. An equation is shown as its author wrote it, as mathematics where it can be set so.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from symbackprop.audit.audit import Audit, Judgement
from symbackprop.audit.judge import Case, Comparison
from symbackprop.audit.report import sizes_in_words, why
from symbackprop.audit.tree import Span
from symbackprop.document.model import (
    Block,
    Code,
    Display,
    DisplayedEquality,
    Document,
    Items,
    Paragraph,
    Reference,
    Section,
    Strong,
    Symbolic,
    Table,
    Text,
)
from symbackprop.expression.build import Binder, Expr, Index, Symbol, free_indices, nodes_once, substitute
from symbackprop.rendering.layout import Glyph, Layout, Row, broken, row
from symbackprop.rendering.notation import NAMES
from symbackprop.rendering.tex_reader import read_tex

WIDEST = 14.0  # em of a piece in which no line ends
LETTERS = "ijkqrsuv"
EXPLAINED = ("REFUTED", "PROVED", "PROVED IF")
SHOWN = ("REFUTED", "PROVED", "PROVED IF", "UNDECIDED", "NOT UNDERSTOOD")


def audit_document(audit: Audit) -> Document:
    """The document of an audit."""
    counts = audit.counts()
    told = ", ".join(f"{counts[s]} {s.lower()}" for s in SHOWN if s in counts)
    lead: Text = ("The equations of ", Code(audit.document.name), f", judged one by one: {told or 'none is a claim'}.")
    titles = _titles(audit)
    sections = (Section(title, tuple(_explained(audit.judgements[k])), _name(k)) for k, title in titles.items())
    body: tuple[Block, ...] = (*_conventions(audit), *_overview(audit, titles), *sections)
    return Document(f"Audit of {audit.document.name}", lead, body, NAMES)


def _conventions(audit: Audit) -> Iterator[Block]:
    points: list[Text] = [(Code(name), ": ", words, ".") for name, words in audit.notation.items()]
    points += [(f"Taken for granted: {words}.",) for words in audit.assumptions]
    if points:
        yield Section("How it was read", (Items(tuple(points)),))


def _overview(audit: Audit, titles: Mapping[int, str]) -> Iterator[Block]:
    rows = tuple(
        (
            (Reference(str(j.formula.line), _name(k)) if k in titles else str(j.formula.line),),
            shown(j.latex, [c.was for c in j.changes]),
            (Strong(j.status),),
            _why(j),
        )
        for k, j in enumerate(audit.judgements)
        if j.status in SHOWN
    )
    if rows:
        table = Table(("Line", "Equation", "Verdict", "Why"), rows, shares=(0.06, 0.48, 0.14, 0.3))
        yield Section("The equations", (table,))


def _titles(audit: Audit) -> dict[int, str]:
    """What the sections on single equations are called, by the numbers of their judgements."""
    chosen = [k for k, j in enumerate(audit.judgements) if j.status in EXPLAINED and j.ruling is not None]
    of_lines = Counter(audit.judgements[k].formula.line for k in chosen)
    titles, before = dict[int, str](), Counter[int]()
    for k in chosen:
        line = audit.judgements[k].formula.line
        before[line] += 1
        titles[k] = f"Line {line}" + (f", equation {before[line]}" if of_lines[line] > 1 else "")
    return titles


def _name(number: int) -> str:
    """What a section is called where it is referred to."""
    return f"equation-{number + 1}"


def _explained(judgement: Judgement) -> Iterator[Block]:
    """What the two sides are in index notation; why they are equal, or numbers at which they differ."""
    proved = judgement.status != "REFUTED"
    wrong = [c.was for c in judgement.changes]
    yield Paragraph((*shown(judgement.latex, wrong), " is proved." if proved else " is wrong."))
    comparison = judgement.ruling.comparison if judgement.ruling is not None else None
    if comparison is not None:
        yield from _read(_with_free_letters(comparison), proved)
    if proved and judgement.conditions:
        yield Paragraph((f"It is true if {'; '.join(judgement.conditions)}.",))
    if judgement.counterexample is not None:
        entry = judgement.counterexample.entry
        sizes = ", ".join(sizes_in_words(judgement))
        where = f" at {sizes}" if sizes else ""
        yield Paragraph((f"Numbers{where}: the left side is {entry.correct:.6g}, the right side {entry.claimed:.6g}.",))
    if judgement.repair:
        yield Paragraph((Strong("It is proved that "), *_repair(judgement), " is right in its place."))


def _read(comparison: Comparison, proved: bool) -> Iterator[Block]:
    """The equation in index notation, and with which definitions its sides are equal."""
    yield Paragraph(("In index notation it says",))
    yield Display(((DisplayedEquality(comparison.left, comparison.right), ()),))
    if comparison.left is comparison.right or not proved:
        return
    needed = Case(comparison).needed()
    if needed:
        yield Paragraph(("Here, derivatives worked out,",))
        yield Display(tuple((DisplayedEquality(e.left, e.value), ()) for e in needed))
    given = (
        "With this put in, both" if needed else "Both" if needed is not None else "With all definitions put in, both"
    )
    yield Paragraph((f"{given} sides have one and the same normal form.",))


def _with_free_letters(comparison: Comparison) -> Comparison:
    """The same with letters for its places that stand for nothing else."""
    exprs = (comparison.left, comparison.right)
    nodes = [n for e in exprs for n in nodes_once(e)]
    taken = {n.name for n in nodes if isinstance(n, Symbol)} | {n.index.name for n in nodes if isinstance(n, Binder)}
    taken |= {i.name for e in exprs for i in free_indices(e) if i not in comparison.places}
    letters = (x for x in itertools.chain(LETTERS, map("i_{}".format, itertools.count(1))) if x not in taken)
    table: dict[Expr, Index] = {p: Index(next(letters), p.size) for p in comparison.places}
    left, right = (substitute(e, table) for e in exprs)
    return replace(comparison, left=left, right=right, places=tuple(table.values()))


def _why(judgement: Judgement) -> Text:
    """One sentence on a status, with what is right set as mathematics."""
    words = why(replace(judgement, repair=None))
    if not judgement.repair:
        return (words or "—",)
    return (f"{words}. Right: " if words else "Right: ", *_repair(judgement))


def _repair(judgement: Judgement) -> Text:
    """What is right, the change marked."""
    return shown(judgement.repair or "", [c.span for c in judgement.changes])


def shown(latex: str, marked: Sequence[Span] = ()) -> Text:
    """A formula as mathematics in pieces between which a line may end; its text where it holds an environment.

    Args:
        marked: where parts of it stand that stand out.
    """
    plain = latex
    for start, end in sorted(marked, reverse=True):
        if start < end:
            latex = rf"{latex[:start]}\changed{{{latex[start:end]}}}{latex[end:]}"
    text = " ".join(re.sub(r"(?<!\\)&|\\(?:nonumber|notag)\b", " ", latex).split())
    if r"\begin" in text:
        return shown(plain) if marked else (Code(text),)
    try:
        layout = read_tex(text)
    except (ValueError, LookupError, RecursionError):
        return shown(plain) if marked else (Code(text),)
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
