"""The gallery: every folder of `derivations/` holds a claim.py, and beside it the documents that it gives.

A folder with formulas.txt instead holds formulas of someone else's page, each at the line at which it stands there, and
the report of their audit.

A claim.py has a function `exhibit` that returns an `Exhibit`: theorems, false claims with the numbers that refute
them, verdicts on code. The documents hold nothing that differs from one run to the next; each has a picture of its
first page, which is drawn anew when the .tex has changed and LaTeX is installed. This module knows no particular claim.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np

from derivations.build.first_page import first_page, hash_of, missing_tools, source_of
from symbackprop.audit.audit import Audit, audit
from symbackprop.checking.claims import Exhibit, Refutation
from symbackprop.checking.verdict import Verdict
from symbackprop.document.audit_document import audit_document
from symbackprop.document.context import sentence
from symbackprop.document.model import (
    Block,
    Display,
    Document,
    Listing,
    Paragraph,
    Section,
    Strong,
    Symbolic,
    Table,
    Text,
)
from symbackprop.document.proof_document import numpy_lines, proof_document
from symbackprop.document.reproduce import command_of
from symbackprop.document.save import save
from symbackprop.document.sentences import spelled
from symbackprop.document.verdict_document import verdict_document
from symbackprop.errors import DataError
from symbackprop.expression.build import Index, entries
from symbackprop.proofs.theorem import Proof, Theorem
from symbackprop.rendering.layout import Glyph, relation, row
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.notation import (
    NAMES,
    NOTATIONS,
    WEIGHTS,
    WEIGHTS_FROM_0,
    Notation,
    letter,
    split_name,
    tensor_layout,
)
from symbackprop.rendering.tex import to_tex

DERIVATIONS = Path(__file__).resolve().parents[1]
PATIENCE = 10.0  # of audits: what is found must not depend on the machine
FORMATS = (".tex", ".html", ".md")
PICTURE = "proof.png"
FORMULAS = "formulas.txt"
_IN_A_ROW = 3


def exhibit_document(exhibit: Exhibit, folder: str = "") -> Document:
    """All proofs of an exhibit in one document, then what is refuted, then what hand-written code is worth.

    Args:
        folder: the name of its folder, for the command that runs it again.
    """
    notation = NOTATIONS[exhibit.notation] if exhibit.notation else _notation(exhibit.proofs)
    command = f"python -m derivations.build {folder}" if folder else ""
    parts = [_part(p, notation, command if p is exhibit.proofs[-1] else "") for p in exhibit.proofs]
    lead, body = spelled(exhibit.line, (), notation), list[Block]()
    if len(parts) == 1:
        lead, body = (*lead, " ", *parts[0].lead), list(parts[0].body)
    else:
        told: set[Block] = set()
        for proof, document in zip(exhibit.proofs, parts, strict=True):
            title = sentence(proof.title.partition(": ")[2]).removesuffix(".") or document.title
            body.append(Section(title, (Paragraph(document.lead), *_without_told(document.body, told))))
    if exhibit.refutations:
        which = "Each of these equalities" if len(exhibit.refutations) > 1 else "This equality"
        intro = f"{which} is false: at the numbers given the two sides differ, by interval arithmetic."
        told_false = (b for r in exhibit.refutations for b in _refuted(r, notation))
        body.append(Section("What is not true", (Paragraph((intro,)), *told_false)))
    body += [_judged(v, folder) for v in exhibit.verdicts]
    return Document(exhibit.title, lead, tuple(body), parts[0].notation if len(parts) == 1 else notation)


def _part(proof: Proof, notation: Notation, command: str) -> Document:
    """The document of one proof, with the generated lines where code can be generated and how to prove it again."""
    code = numpy_lines(proof) if proof.network is not None or proof.program.lines else {}
    return proof_document(proof, notation=notation, code=code, command=command_of(proof.network) or command)


def _without_told(body: Sequence[Block], told: set[Block]) -> Iterator[Block]:
    """The sections of a later part; of its rules and functions only those that no earlier part has shown."""
    for section in body:
        if isinstance(section, Section) and section.title == "Functions":
            if section not in told:
                yield section
            told.add(section)
        elif isinstance(section, Section) and section.title == "Rules":
            intro, *rules = section.body
            new = [b for b in rules if b not in told]
            told.update(rules)
            if new:
                yield replace(section, body=(intro, *new))
        else:
            yield section


def _judged(verdict: Verdict, folder: str) -> Section:
    """A backward pass written by hand, and what became of it."""
    document = verdict_document(verdict)
    shown = {b.title: b for b in document.body if isinstance(b, Section)}
    claim = (*shown["The claim"].body, *(shown[t] for t in ("Line by line",) if t in shown))
    file = f"derivations/{folder}/{verdict.subject}" if folder else verdict.subject
    again = (Paragraph(("To check it again:",)), Listing(f"symbackprop check {file}", "sh"))
    return Section("The backward pass written by hand", (Paragraph(document.lead), *claim, *again))


def _notation(proofs: Sequence[Proof]) -> Notation:
    """Layer numbers as superscripts where there are any; indices count from 0 where one is computed."""
    if not any(split_name(t.name)[1] for p in proofs for t in p.program.tensors):
        return NAMES
    values = [e.value for p in proofs for e in p.program.equations]
    plain = all(isinstance(i, Index) for value in values for entry in entries(value) for i in entry.indices)
    return WEIGHTS if plain else WEIGHTS_FROM_0


def _refuted(refutation: Refutation, notation: Notation) -> Iterator[Block]:
    """The claim, why it fails, and where."""
    yield Paragraph((Strong(refutation.name[:1].upper() + refutation.name[1:] + "."),))
    sides = (layout_of(side, notation) for side in (refutation.left, refutation.claimed))
    yield Display(((Symbolic(row(next(sides), relation("="), next(sides))), ()),))
    yield Paragraph(spelled(refutation.remark, (), notation))
    found = refutation.counterexample
    entry = found.entry
    place = Symbolic(
        tensor_layout(entry.name, [Glyph(str(i + notation.first), "number") for i in entry.index], notation)
    )
    rows: list[tuple[Text, Text]] = [((Symbolic(letter(n)),), (str(size),)) for n, size in found.sizes.items()]
    arrays = {**found.inputs, **found.given}
    rows += [((Symbolic(tensor_layout(n, (), notation)),), (_numbers(value),)) for n, value in arrays.items()]
    rows += [((Symbolic(letter(n)),), (_number(value),)) for n, value in found.parameters.items()]
    rows += [((Symbolic(letter(n)),), (f"the function {other}",)) for n, other in found.functions.items()]
    rows += [((place, ", claimed"), (_number(entry.claimed),)), ((place, ", correct"), (_number(entry.correct),))]
    yield Table(("Quantity", "Value"), tuple(rows), shares=(0.25, 0.67))


def _numbers(array: object) -> str:
    nested = np.asarray(array)
    if nested.ndim == 0:
        return _number(float(nested))
    return "[" + ", ".join(_numbers(part) for part in nested) + "]"


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def folders(source: Path, prefixes: Sequence[str] = ()) -> list[Path]:
    """The folders with a claim.py, in the order of their names."""
    found = sorted(path.parent for path in source.glob("*/claim.py"))
    if not found:
        raise DataError("no folder with a claim.py", where=str(source))
    return [f for f in found if not prefixes or f.name.startswith(tuple(prefixes))]


def audited(source: Path, prefixes: Sequence[str] = ()) -> list[Path]:
    """The folders with formulas of a page, in the order of their names."""
    found = sorted(path.parent for path in source.glob(f"*/{FORMULAS}"))
    return [f for f in found if not prefixes or f.name.startswith(tuple(prefixes))]


def read_exhibit(folder: Path) -> Exhibit:
    """The exhibit of a folder."""
    made = runpy.run_path(str(folder / "claim.py"))["exhibit"]()
    assert isinstance(made, Exhibit), "exhibit() returns an Exhibit"
    return made


def shown_theorem(folder: Path, exhibit: Exhibit) -> Theorem:
    """The theorem that stands for the exhibit in the index: the one that its claim.py calls SHOWN.

    Raises:
        DataError: there is none of that name.
    """
    name = runpy.run_path(str(folder / "claim.py"))["SHOWN"]
    found = [t for p in exhibit.proofs for t in p.theorems if t.name == name]
    if not found:
        raise DataError(f"no theorem is called {name!r}", where=str(folder))
    return found[-1]


def _in_a_line(theorem: Theorem, exhibit: Exhibit) -> str:
    """A theorem as a formula for a cell of a Markdown table."""
    notation = NOTATIONS[exhibit.notation] if exhibit.notation else _notation(exhibit.proofs)
    sides = (to_tex(layout_of(side, notation)) for side in (theorem.derivation.left, theorem.derivation.right))
    return f"${' = '.join(' '.join(side.split()) for side in sides)}$".replace("|", "\\vert ")


def build(source: Path, target: Path, prefixes: Sequence[str] = ()) -> Iterator[Path]:
    """Write the documents of every folder of `source` below `target`, and the index; yields each file."""
    lines: list[tuple[str, Exhibit, str]] = []
    for folder in folders(source, prefixes):
        exhibit = read_exhibit(folder)
        lines.append((folder.name, exhibit, _in_a_line(shown_theorem(folder, exhibit), exhibit)))
        document = exhibit_document(exhibit, folder.name)
        place = target / folder.name
        place.mkdir(parents=True, exist_ok=True)
        for ending in FORMATS:
            yield save(document, place / f"proof{ending}")
    reports: list[tuple[str, Audit]] = []
    for folder in audited(source, prefixes):
        reports.append((folder.name, audit(folder / FORMULAS, "md", patience=PATIENCE)))
        place = target / folder.name
        place.mkdir(parents=True, exist_ok=True)
        for ending in FORMATS:
            yield save(audit_document(reports[-1][1]), place / f"audit{ending}")
    if not prefixes:
        index = target / "README.md"
        index.write_text(_index(lines) + _reports(reports), encoding="utf-8")
        yield index


def _index(exhibits: Sequence[tuple[str, Exhibit, str]]) -> str:
    """The page that shows them all: pictures side by side, then a table."""
    intro = (
        "# Derivations\n\nEach folder holds a claim as input (`claim.py`, and for layers the NumPy code that it is "
        "about), and its proof as LaTeX, as a page and as Markdown, which code hosts render.\nEvery step was replayed by the kernel; every false claim comes "
        "with numbers at which it fails.\nRebuild all with `python -m derivations.build`.\n\n"
    )
    table = "| folder | in one line | what is claimed | theorems | refuted |\n|---|---|---|---|---|\n" + "".join(
        f"| [{name}]({name}/) [tex]({name}/proof.tex) [html]({name}/proof.html) [md]({name}/proof.md) | {formula} "
        f"| {e.line} | {sum(len(p.theorems) for p in e.proofs)} | {len(e.refutations)} |\n"
        for name, e, formula in exhibits
    )
    return intro + table + "\n" + _pictures(exhibits)


def _reports(reports: Sequence[tuple[str, Audit]]) -> str:
    """The table of audits."""
    intro = (
        "\n## Pages of others, audited\n\nEach folder holds the formulas of a page that others learn from, at the lines at "
        "which they stand there, and what is said of each.\n\n"
        "| folder | proved | refuted | read as, or noticed |\n|---|---|---|---|\n"
    )
    rows = []
    for name, found in reports:
        counts = found.counts()
        proved = counts.get("PROVED", 0) + counts.get("PROVED IF", 0)
        odd = sum(bool(j.mended or j.oddities) for j in found.judgements)
        links = " ".join(f"[{e[1:]}]({name}/audit{e})" for e in FORMATS)
        rows.append(f"| {name} {links} | {proved} | {counts.get('REFUTED', 0)} | {odd} |\n")
    return intro + "".join(rows)


def _pictures(exhibits: Sequence[tuple[str, Exhibit, str]]) -> str:
    """The first pages, a few to a row."""
    cells = [
        f'<td align="center"><a href="{name}/proof.html"><img src="{name}/{PICTURE}" width="260" '
        f'alt="first page: {escape(e.title)}"></a><br>{escape(e.title)}</td>\n'
        for name, e, _ in exhibits
    ]
    rows = ("".join(cells[k : k + _IN_A_ROW]) for k in range(0, len(cells), _IN_A_ROW))
    return "<table>\n" + "".join(f"<tr>\n{row}</tr>\n" for row in rows) + "</table>\n"


def draw(source: Path, prefixes: Sequence[str] = ()) -> Iterator[Path]:
    """Draw the first page of every document whose picture shows another source; yields each picture drawn."""
    for folder in folders(source, prefixes):
        tex, picture = (folder / name for name in ("proof.tex", PICTURE))
        text = tex.read_text(encoding="utf-8")
        if not picture.exists() or source_of(picture.read_bytes()) != hash_of(text):
            picture.write_bytes(first_page(text))
            yield picture


def main(prefixes: Sequence[str], source: Path = DERIVATIONS) -> int:
    """Rebuild the gallery in place: the folders whose names begin so, all if no beginning is given."""
    for path in build(source, source, prefixes):
        print(path)
    missing = missing_tools()
    if missing:
        print(f"the pictures are as they were: {' and '.join(missing)} not found", file=sys.stderr)
        return 0
    for path in draw(source, prefixes):
        print(path)
    return 0
