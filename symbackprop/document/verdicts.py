"""A verdict as a document: the claim as its author wrote it, what was derived, where they part, numbers, and the cure.

Main name: `verdict_document`. This module must not know how a verdict is reached, nor about any output format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from symbackprop.document.claimed import ClaimedLine, claimed_lines
from symbackprop.document.context import sentence
from symbackprop.document.model import (
    Block,
    Code,
    Display,
    Document,
    Equality,
    Items,
    Paragraph,
    Section,
    Strong,
    Symbolic,
    Table,
    Text,
)
from symbackprop.document.user_code import lines_of, span_of
from symbackprop.expression import Expr
from symbackprop.notation import NAMES, WEIGHTS
from symbackprop.program import UPSTREAM, Program
from symbackprop.readable import factored, squeezed
from symbackprop.rules import tensors_in

_MOST = 24  # entries of an array that are shown
_MEANING = {
    "PROVED": "The claim holds for all values, by a derivation that was replayed step by step.",
    "REFUTED": "The claim is false: at the numbers below the two sides differ, by more than rounding could explain.",
    "UNDECIDED": "Neither a proof nor a counterexample was found. Agreement of numbers is no proof.",
    "MALFORMED": "The claim does not say anything that could be true or false.",
}


class VerdictLike(Protocol):
    """What a document needs of a verdict; the members are those of `verdict.Verdict`."""

    status: Any
    subject: str
    scope: str
    conditions: Sequence[str]
    diagnosis: str
    cure: str
    reason: str
    claimed: str
    notes: Sequence[str]
    counterexample: Any
    formulas: Sequence[tuple[str, Expr, Expr]]
    program: Program | None
    written: Callable[..., Any] | None
    claim: Program | None
    called: Mapping[str, str]


def verdict_document(verdict: Any) -> Document:
    """The document of a verdict."""
    notation = WEIGHTS if verdict.formulas else NAMES
    lead: Text = (
        Strong(verdict.status),
        ": ",
        Code(verdict.subject),
        f", for {verdict.scope}." if verdict.scope else ".",
    )
    body = (*_claim(verdict), *_fault(verdict), *_numbers(verdict), *_derived(verdict), *_remarks(verdict))
    return Document(
        f"Verdict on {_title(verdict.subject)}", lead, (Paragraph((_MEANING[verdict.status],)), *body), notation
    )


def _title(subject: str) -> str:
    return subject.partition(":")[0].replace("<lambda>", "a function")


def _claim(verdict: VerdictLike) -> Iterator[Block]:
    """The claim as it was written, with the mathematics of each line where it could be read."""
    lines = lines_of(verdict.written) if verdict.written is not None else ()
    formula = next(((left, right) for kind, left, right in verdict.formulas if kind == "claimed"), None)
    if lines:
        suspect = {int(n) for n in re.findall(r"\bline (\d+)", verdict.diagnosis)}
        rows = []
        for line in lines:
            read: Text = (Symbolic(line.mathematics),) if line.mathematics else ("code only",)
            mark: Text = (Strong("here"),) if line.number in suspect else ()
            rows.append(((str(line.number),), (Code(line.code),), (*read, *((" ", *mark) if mark else ()))))
        table = Table(("Line", "As written", "As mathematics"), tuple(rows), shares=(0.06, 0.5, 0.36))
        yield Section("The claim", (table, *_traced(verdict)))
    elif formula is not None:
        yield Section("The claim", (Display(((Equality(*formula), ()),)),))
    elif verdict.claimed:
        yield Section("The claim", (Paragraph((Code(verdict.claimed),)),))


def _traced(verdict: VerdictLike) -> Iterator[Block]:
    """The lines once more, in index notation, as they were traced."""
    known = "Lines that cannot be turned into mathematics as they stand, without loss, are shown as code only"
    traced: tuple[ClaimedLine, ...] = ()
    if verdict.claim is not None and verdict.written is not None:
        traced = claimed_lines(verdict.claim, verdict.called, span_of(verdict.written))
    if not traced:
        yield Paragraph((f"{known}.",))
        return
    arrow = " (an arrow gives a new value to a name in use)" if any(line.again for line in traced) else ""
    yield Paragraph((f"{known}. In index notation{arrow} the lines say:",))
    yield Display(tuple((Symbolic(line.mathematics), (f"Line {line.number}.",)) for line in traced))


def _fault(verdict: VerdictLike) -> Iterator[Block]:
    """What is wrong, and what would be right."""
    said = [(sentence(verdict.diagnosis),)] if verdict.diagnosis and verdict.status != "MALFORMED" else []
    cure: list[Text] = [("Right would be ", Code(verdict.cure), ", which was proved.")] if verdict.cure else []
    points = (*said, *cure)
    if points:
        yield Section("What is wrong, and the cure", tuple(Paragraph(p) for p in points))


def _numbers(verdict: VerdictLike) -> Iterator[Block]:
    """The counterexample as a table."""
    found = verdict.counterexample
    if found is None:
        return
    place = found.entry.name + (f"[{','.join(map(str, found.entry.index))}]" if found.entry.index else "")
    rows = [(name, str(size)) for name, size in found.sizes.items()]
    rows += [(name, _written(value)) for name, value in {**found.inputs, **found.given}.items()]
    rows += [(name, f"{value:g}") for name, value in found.parameters.items()]
    rows += [(name, f"the function {other}") for name, other in found.functions.items()]
    upstream = found.upstream if isinstance(found.upstream, tuple) else (found.upstream,)
    rows += [("dout", _written(u)) for u in upstream if u is not None]
    rows += [(f"{place}, claimed", f"{found.entry.claimed:.8g}"), (f"{place}, correct", f"{found.entry.correct:.8g}")]
    table = Table(("Quantity", "Value"), tuple(((Code(name),), (value,)) for name, value in rows), shares=(0.3, 0.62))
    intro = (
        "Entries are counted from 0. All numbers are exact in binary, and the two results were enclosed in intervals "
        "that do not meet."
    )
    yield Section("A counterexample", (Paragraph((intro,)), table))


def _written(value: Any) -> str:
    array = np.asarray(value)
    if array.size > _MOST:
        return "array of shape " + " × ".join(str(n) for n in array.shape)
    if array.ndim == 0:
        return f"{float(array):.6g}"
    return "[" + ", ".join(_written(part) for part in array) + "]"


def _derived(verdict: VerdictLike) -> Iterator[Block]:
    """What was derived instead: one formula, or the backward pass."""
    found = [(left, right) for kind, left, right in verdict.formulas if kind == "derived"]
    if verdict.program is not None:
        program = squeezed(verdict.program)
        costs = [e.value for e in program.equations if e.note == UPSTREAM]
        handed = {f"{t.name}_bar" for cost in costs for t in tensors_in(cost) & set(program.inputs)}
        bars = [e for e in program.equations if "_bar" in e.tensor.name and not e.note and e.tensor.name not in handed]
        found = [(e.left, factored(e.value)) for e in bars]
    if found:
        text = (
            "A bar marks the derivative of the cost with respect to the entry under it."
            if verdict.program is not None
            else ""
        )
        body: list[Block] = [Paragraph((text,))] if text else []
        yield Section("What was derived", (*body, Display(tuple((Equality(*f), ()) for f in found))))


def _remarks(verdict: VerdictLike) -> Iterator[Block]:
    """Conditions, reasons, notes."""
    if verdict.conditions:
        yield Section("Conditions", (Items(tuple((sentence(c),) for c in verdict.conditions)),))
    if verdict.reason:
        yield Section("Why", tuple(Paragraph((Code(line),)) for line in verdict.reason.split("\n") if line.strip()))
    if verdict.notes:
        yield Section("Notes", (Items(tuple((sentence(n),) for n in verdict.notes)),))
