"""The gallery: every folder of `derivations/` holds a claim.py, and beside it the documents that it gives.

    python -m symbackprop.gallery derivations            rebuild all
    python -m symbackprop.gallery derivations 03         those whose name begins so

A claim.py has a function `exhibit` that returns an `Exhibit`: theorems, and false claims with the numbers that refute
them. The documents hold nothing that differs from one run to the next. This module knows no particular claim.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from symbackprop.claims import Exhibit, Refutation
from symbackprop.document.model import Block, Code, Document, Paragraph, Section, Strong, Table
from symbackprop.document.proof import proof_document
from symbackprop.document.save import save
from symbackprop.errors import DataError
from symbackprop.expression import Index, entries
from symbackprop.notation import NOTATIONS, Notation, split_name
from symbackprop.proof import Proof

FORMATS = (".tex", ".html")


def exhibit_document(exhibit: Exhibit) -> Document:
    """All proofs of an exhibit in one document, then what is refuted."""
    parts = [(p, proof_document(p, notation=_notation(p))) for p in exhibit.proofs]
    body: list[Block] = [Section(d.title, (Paragraph(d.lead), *d.body)) for _, d in parts]
    if exhibit.refutations:
        intro = "Each of these equalities is false: at the numbers given the two sides differ, by interval arithmetic."
        body.append(
            Section("What is not true", (Paragraph((intro,)), *(b for r in exhibit.refutations for b in _refuted(r))))
        )
    return Document(exhibit.title, (exhibit.line,), tuple(body), parts[0][1].notation)


def _notation(proof: Proof) -> Notation:
    """Layer numbers as superscripts, unless there are none or a subscript is computed, which counts from 0."""
    layered = any(split_name(t.name)[1] for t in proof.program.tensors)
    plain = all(
        isinstance(i, Index) for e in proof.program.equations for entry in entries(e.value) for i in entry.indices
    )
    return NOTATIONS["weights" if layered and plain else "names"]


def _refuted(refutation: Refutation) -> Iterator[Block]:
    """The claim, why it fails, and where."""
    yield Paragraph((Strong(refutation.name[:1].upper() + refutation.name[1:] + ". "), Code(refutation.text)))
    yield Paragraph((refutation.remark,))
    found = refutation.counterexample
    entry = found.entry
    place = entry.name + (f"[{','.join(map(str, entry.index))}]" if entry.index else "")
    rows = [(name, str(size)) for name, size in found.sizes.items()]
    rows += [(name, _numbers(value)) for name, value in {**found.inputs, **found.given}.items()]
    rows += [(name, f"{value:g}") for name, value in found.parameters.items()]
    rows += [(name, f"the function {other}") for name, other in found.functions.items()]
    rows += [(f"{place}, claimed", f"{entry.claimed:.6g}"), (f"{place}, correct", f"{entry.correct:.6g}")]
    yield Table(("Quantity", "Value"), tuple(((Code(name),), (value,)) for name, value in rows))


def _numbers(array: object) -> str:
    nested = np.asarray(array)
    if nested.ndim == 0:
        return f"{float(nested):.6g}"
    return "[" + ", ".join(_numbers(part) for part in nested) + "]"


def folders(source: Path, prefixes: Sequence[str] = ()) -> list[Path]:
    """The folders with a claim.py, in the order of their names."""
    found = sorted(path.parent for path in source.glob("*/claim.py"))
    if not found:
        raise DataError("no folder with a claim.py", where=str(source))
    return [f for f in found if not prefixes or f.name.startswith(tuple(prefixes))]


def read_exhibit(folder: Path) -> Exhibit:
    """The exhibit of a folder."""
    made = runpy.run_path(str(folder / "claim.py"))["exhibit"]()
    assert isinstance(made, Exhibit), "exhibit() returns an Exhibit"
    return made


def build(source: Path, target: Path, prefixes: Sequence[str] = ()) -> Iterator[Path]:
    """Write the documents of every folder of `source` below `target`, and the index; yields each file."""
    lines = []
    for folder in folders(source, prefixes):
        exhibit = read_exhibit(folder)
        lines.append((folder.name, exhibit))
        document = exhibit_document(exhibit)
        place = target / folder.name
        place.mkdir(parents=True, exist_ok=True)
        for ending in FORMATS:
            yield save(document, place / f"proof{ending}")
    if not prefixes:
        index = target / "README.md"
        index.write_text(_index(lines), encoding="utf-8")
        yield index


def _index(lines: Iterable[tuple[str, Exhibit]]) -> str:
    intro = (
        "# Derivations\n\nEach folder holds a claim as input (`claim.py`), and its proof as LaTeX and as a page. "
        "Every step was replayed by the kernel; every false claim comes with numbers at which it fails.\n"
        "Rebuild all with `python -m symbackprop.gallery derivations`.\n\n"
        "| folder | what is claimed | theorems | refuted |\n|---|---|---|---|\n"
    )
    rows = [
        f"| [{name}]({name}/) [tex]({name}/proof.tex) [html]({name}/proof.html) | {e.line} "
        f"| {sum(len(p.theorems) for p in e.proofs)} | {len(e.refutations)} |\n"
        for name, e in lines
    ]
    return intro + "".join(rows)


def main(arguments: Sequence[str]) -> int:
    """Rebuild the gallery in place."""
    source = Path(arguments[0] if arguments else "derivations")
    for path in build(source, source, arguments[1:]):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
