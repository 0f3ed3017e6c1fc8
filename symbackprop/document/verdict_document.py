"""A verdict as a document: the claim as its author wrote it, what was derived, where they part, numbers, and the cure.

Main name: `verdict_document`. This module must not know how a verdict is reached, nor about any output format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from symbackprop.checking.user_lines import ClaimedLine, claimed_lines, helper_lines, told_as, with_users_names
from symbackprop.checking.verdict import GIVEN_SIZES
from symbackprop.document.context import joined, listed, sentence
from symbackprop.document.error_figure import error_figure
from symbackprop.document.model import (
    Block,
    Code,
    Display,
    DisplayedEquality,
    Document,
    Items,
    Listing,
    Paragraph,
    Section,
    Strong,
    Symbolic,
    Table,
    Text,
)
from symbackprop.document.repetition import Stretch, repeated, shown_once, stretches
from symbackprop.document.reproduce import arguments_of, handed_in
from symbackprop.document.story import story
from symbackprop.document.user_code import lines_of, span_of, statement_at
from symbackprop.expression.build import Add, Expr, Tensor, entries_once, tensors_in
from symbackprop.expression.program import UPSTREAM, Equation, Program
from symbackprop.normal_form.renaming import Pattern, pattern
from symbackprop.proofs.line_by_line import identities
from symbackprop.proofs.shortening.unit_axes import factored, letters_for, squeezed, with_letters
from symbackprop.rendering.layout import relation, row
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.notation import NAMES, WEIGHTS, tensor_layout

_MOST = 24  # entries of an array that are shown
_MOST_EQUATIONS = 12  # forward equations that are shown
_MARK = "the first difference"
_MISSED: Text = (Strong("This is claimed wrongly."),)
_MEANING = {
    "PROVED": "The claim holds for all values, by a derivation that was replayed step by step.",
    "REFUTED": "The claim is false: at the numbers below the two sides differ, by more than rounding could explain.",
    "UNDECIDED": "Neither a proof nor a counterexample was found. Agreement of numbers is no proof.",
    "MALFORMED": "The claim does not say anything that could be true or false.",
    "SURROGATE": "The backward pass was declared to be another one than the gradient, and it is: at the numbers below "
    "the two differ.",
}


class VerdictLike(Protocol):
    """What a document needs of a verdict; the members are those of `verdict.Verdict`."""

    status: Any
    subject: str
    scope: str
    conditions: Sequence[str]
    wrong: Sequence[str]
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
    cured: Sequence[Any]
    cure_scope: str
    claims: Mapping[str, Tensor]
    lemmas: Sequence[Any]
    precision: Any


def verdict_document(verdict: Any) -> Document:
    """The document of a verdict."""
    notation = WEIGHTS if verdict.formulas else NAMES
    lead: Text = (
        Strong(verdict.status),
        ": ",
        Code(verdict.subject),
        f", for {verdict.scope}." if verdict.scope else ".",
    )
    parts = (_claim, _line_by_line, _fault, _numbers, _in_floating_point, _derived, _remarks, _again)
    body = tuple(block for part in parts for block in part(verdict))
    return Document(
        f"Verdict on {_title(verdict.subject)}", lead, (Paragraph((_MEANING[verdict.status],)), *body), notation
    )


def _title(subject: str) -> str:
    return subject.partition(":")[0].replace("<lambda>", "a function")


def _claim(verdict: VerdictLike) -> Iterator[Block]:
    """The claim as it was written, with the mathematics of each line where it could be read."""
    lines = lines_of(verdict.written, _numbers_in(verdict.claim)) if verdict.written is not None else ()
    formula = next(((left, right) for kind, left, right in verdict.formulas if kind == "claimed"), None)
    if lines:
        suspect, traced = _suspects(verdict), _traced(verdict)
        shown = {line.number for line in traced}
        rows = []
        for line in lines:
            places = set(range(line.number, line.last + 1))
            read: Text = ("below",) if shown & places else ("—",)
            read = (Symbolic(line.mathematics),) if line.mathematics else read
            number: Text = (str(line.number),)
            if suspect & places:
                number, read = (Strong(str(line.number)),), (Strong(_MARK), " ", *read)
            rows.append((number, (Code(line.code),), read))
        table = Table(("Line", "As written", "As mathematics"), tuple(rows), shares=(0.06, 0.5, 0.36))
        yield Section("The claim", (table, *_in_index_notation(traced, _of_helpers(verdict), suspect)))
    elif formula is not None:
        yield Section("The claim", (Display(((DisplayedEquality(*formula), ()),)),))
    elif verdict.claimed:
        yield Section("The claim", (Paragraph((Code(verdict.claimed),)),))


def _line_by_line(verdict: VerdictLike) -> Iterator[Block]:
    """What the lines of a proved claim compute, each by the lines before it and the derivation."""
    if verdict.lemmas:
        yield from story(verdict)
        return
    lines: list[tuple[int, Symbolic, Text]] = []
    again: list[Symbolic] = []
    for own, value, conditions in _found_equal(verdict):
        number = re.fullmatch(r"line (\d+)", own.note)
        if number is None:
            continue
        left = layout_of(with_users_names(own.left, verdict.called), NAMES)
        right = layout_of(value, NAMES)
        if left == right:
            again.append(Symbolic(tensor_layout(verdict.called.get(own.tensor.name, ""), (), NAMES)))
        else:
            assumed = f", provided {listed(conditions)}" if conditions else ""
            shown = Symbolic(row(left, relation("="), right))
            lines.append((int(number[1]), shown, (f"Line {number[1]}{assumed}.",)))
    if not lines:
        return
    same: Text = (" Computed again as in the forward pass: ", *joined(again, ", "), ".") if again else ()
    intro = (
        "With the lines before it put in, each of these lines was found equal to a quantity of the derivation, by the "
        "normal form; a line that is not listed is put in as it stands. A bar marks the derivative of the cost with "
        "respect to what is under it."
    )
    ordered = tuple((shown, note) for _, shown, note in sorted(lines, key=lambda line: line[0]))
    yield Section("Line by line", (Paragraph((intro, *same)), Display(ordered)))


def _found_equal(verdict: VerdictLike) -> Iterator[tuple[Equation, Expr, Sequence[str]]]:
    """The equations of the claim, each with what it is found to equal."""
    if verdict.status != "PROVED" or verdict.claim is None or verdict.program is None:
        return
    if verdict.scope.startswith(("all sizes", GIVEN_SIZES)):
        found = identities(_spared(verdict), squeezed(verdict.program))
        yield from ((identity.claimed, identity.value, identity.conditions) for identity in found)


def _numbers_in(claim: Program | None) -> list[str]:
    """The tensors of a claim that are single numbers, and the sizes."""
    return [*(t.name for t in claim.tensors if not t.shape), *(s.name for s in claim.sizes)] if claim else []


def _spared(verdict: VerdictLike) -> Program:
    """The claim without axes of length 1, and without indices that are called like something the user has."""
    assert verdict.claim is not None
    names = [Tensor(name) for name in verdict.called.values()]
    return squeezed(with_letters(verdict.claim, letters_for(verdict.claim, (*verdict.claim.inputs, *names))))


def _suspects(verdict: VerdictLike) -> set[int]:
    """The lines of the first difference."""
    return {int(n) for n in re.findall(r"\bline (\d+)", verdict.diagnosis)} if verdict.status != "MALFORMED" else set()


def _traced(verdict: VerdictLike) -> tuple[ClaimedLine, ...]:
    """The lines in index notation, as they were traced."""
    if verdict.claim is None or verdict.written is None:
        return ()
    return claimed_lines(_spared(verdict), verdict.called, span_of(verdict.written))


def _of_helpers(verdict: VerdictLike) -> tuple[ClaimedLine, ...]:
    """What functions compute that are called with gradients."""
    if verdict.claim is None or verdict.written is None or verdict.program is None:
        return ()
    upstream = {t.name for t in handed_in(verdict.program)}
    return helper_lines(_spared(verdict), verdict.called, span_of(verdict.written), upstream)


def _in_index_notation(
    traced: Sequence[ClaimedLine], helpers: Sequence[ClaimedLine], suspects: set[int]
) -> Iterator[Block]:
    """All lines once more; also those that cannot be turned into mathematics as they stand."""
    if not traced:
        return
    arrow = " An arrow gives a new value to a name in use." if any(line.again for line in traced) else ""
    yield Paragraph((f"In index notation the lines say:{arrow}",))
    yield _once(traced, shown_once(_looks(traced)), suspects, "rounds")
    if helpers:
        yield Paragraph(("The functions that they call for gradients compute, in names of their own:",))
        yield _once(helpers, stretches(_looks(helpers)), suspects, "calls")


def _looks(traced: Sequence[ClaimedLine]) -> list[tuple[int, Pattern]]:
    return [(line.number, line.look) for line in traced]


def _once(traced: Sequence[ClaimedLine], found: Iterable[Stretch], suspects: set[int], turns: str) -> Display:
    """Lines with their numbers, those that repeat once."""
    rows: list[tuple[Symbolic, Text]] = []
    for stretch in found:
        rounds = f" So in each of {stretch.times} {turns}." if stretch.times > 1 else ""
        for line in (traced[k] for k in stretch.block(0)):
            note = _numbered(line.number, suspects)
            rows.append((Symbolic(line.mathematics), (*note, rounds) if rounds else note))
    return Display(tuple(rows))


def _numbered(number: int, suspects: set[int]) -> Text:
    """Line 18, and whether it is there that the claim differs from the truth."""
    return (Strong(f"Line {number}: {_MARK}"),) if number in suspects else (f"Line {number}.",)


def _fault(verdict: VerdictLike) -> Iterator[Block]:
    """What is wrong, and what would be right: as mathematics, and as code to put in."""
    if verdict.status == "MALFORMED" or not (verdict.diagnosis or verdict.cure):
        return
    body: list[Block] = [Paragraph((sentence(verdict.diagnosis),))] if verdict.diagnosis else []
    of_sizes = f" {verdict.cure_scope}" if verdict.cure_scope else ""
    cures = [(line.left, line.right, f"Line {line.number}, as it is right{of_sizes}.") for line in verdict.cured]
    cures += [(left, right, "As it is right.") for kind, left, right in verdict.formulas if kind == "cure"]
    if cures:
        body.append(Paragraph(("With this change the claim was proved:",)))
        body.append(Display(tuple((_cured(left, right), (note,)) for left, right, note in cures)))
    elif verdict.cure:
        body.append(Paragraph(("Right would be ", Code(verdict.cure), f", which was proved{of_sizes}.")))
    code = [text for line in verdict.cured if line.code for text in _changed(verdict, line)]
    body += [Paragraph(("In the code:",)), Listing("\n".join(code), "diff")] if code else []
    yield Section("What is wrong, and the cure", tuple(body))


def _cured(left: Expr, right: Expr) -> DisplayedEquality | Symbolic:
    """A line as it would be; where it reads the value that its name had before, it is no equality."""
    own = next(iter(tensors_in(left)))
    read = [e for e in entries_once(right) if e.tensor.name == own.name]
    # another step of a recurrence, h[t - 1], has the name that it is defined by
    if any(e.tensor.shape != own.shape or not any(isinstance(i, Add) for i in e.indices) for e in read):
        return Symbolic(told_as(layout_of(left, NAMES), layout_of(right, NAMES), again=True))
    return DisplayedEquality(left, right)


def _changed(verdict: VerdictLike, cured: Any) -> list[str]:
    """The line as it is and as it would be, marked as in a list of changes."""
    before = statement_at(verdict.written, cured.number) if verdict.written is not None else ""
    old = [f"- {before}"] if before else []
    new, _, sizes = cured.code.partition("  # ")
    return [*old, *(f"+ {size}" for size in sizes.split(", ") if size), f"+ {new}"]


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
    table = Table(
        ("Quantity", "Value"), tuple(((Code(name),), (_minus(value),)) for name, value in rows), shares=(0.3, 0.62)
    )
    intro = (
        "Entries are counted from 0. All numbers are exact in binary, and the two results were enclosed in intervals "
        "that do not meet."
    )
    yield Section("A counterexample", (Paragraph((intro,)), table))


def _in_floating_point(verdict: VerdictLike) -> Iterator[Block]:
    """What floating point makes of it: where digits are lost, what is to blame, a stable form."""
    found = verdict.precision
    if found is None:
        return
    if found.safe is not False:
        yield Section("In floating point", (Paragraph((sentence(found.text.replace("\n", " ")),)),))
        return
    rows = [(name, _written(value)) for name, value in found.witness.items()]
    rows += [(f"{found.entry}, computed", f"{found.computed:.9g}"), (f"{found.entry}, correct", f"{found.exact:.9g}")]
    table = Table(
        ("Quantity", "Value"), tuple(((Code(name),), (_minus(value),)) for name, value in rows), shares=(0.3, 0.62)
    )
    error = "" if math.isinf(found.worst) else f", a relative error of {found.worst:.2g}"
    intro = (
        f"Over the reals the claim holds. In {found.dtype}, at the numbers below: {found.lost}{error}. The correct "
        "value was enclosed by interval arithmetic."
    )
    body: list[Block] = [Paragraph((intro,)), table]
    if found.line:
        body.append(Paragraph((f"What loses it, in line {found.number}: ", Code(found.line))))
    if found.stable:
        body.append(Paragraph(("With this change the function is proved equal, and nothing was found in it:",)))
        body.append(Listing(found.stable))
    figure = error_figure(found.curve, found.dtype)
    yield Section("In floating point", (*body, figure) if figure is not None else tuple(body))


def _written(value: Any) -> str:
    array = np.asarray(value)
    if array.size > _MOST:
        return "array of shape " + " × ".join(str(n) for n in array.shape)
    if array.ndim == 0:
        return f"{float(array):.6g}"
    return "[" + ", ".join(_written(part) for part in array) + "]"


def _minus(text: str) -> str:
    """A number as it is set: with a minus sign, not with a hyphen."""
    return text.replace("-", "−")


def _derived(verdict: VerdictLike) -> Iterator[Block]:
    """What was derived instead: one formula, or the backward pass beside the forward equations it speaks of."""
    found: list[tuple[DisplayedEquality, Text]] = [
        (DisplayedEquality(left, right), ()) for kind, left, right in verdict.formulas if kind == "derived"
    ]
    body: list[Block] = []
    if verdict.program is not None:
        program = squeezed(verdict.program)
        handed = {f"{t.name}_bar" for t in handed_in(program)}
        forward = [e for e in program.equations if "_bar" not in e.tensor.name and e.note != UPSTREAM]
        bars = [e for e in program.equations if "_bar" in e.tensor.name and not e.note and e.tensor.name not in handed]
        wrong = {f"{name}_bar" for name in verdict.wrong}
        found = [
            (DisplayedEquality(e.left, factored(e.value)), _MISSED if e.tensor.name in wrong else ()) for e in bars
        ]
        if len(forward) <= _MOST_EQUATIONS:
            lines = tuple((DisplayedEquality(e.left, e.value), (sentence(e.note),) if e.note else ()) for e in forward)
            body += [Paragraph(("The forward pass, as it was traced:",)), Display(lines)]
        body.append(Paragraph(("A bar marks the derivative of the cost with respect to the entry under it.",)))
    if found:
        looks = [(pattern(e.left, e.right), bool(note)) for e, note in found]
        yield Section("What was derived", (*body, *repeated(found, looks, _inputs_in(verdict, found))))


def _inputs_in(verdict: VerdictLike, found: Sequence[tuple[DisplayedEquality, Text]]) -> list[list[str]]:
    """The parameters in each of some equations."""
    inputs = set(verdict.program.inputs) if verdict.program is not None else set()
    return [sorted({t.name for t in tensors_in(e.right) if t in inputs}) for e, _ in found]


def _remarks(verdict: VerdictLike) -> Iterator[Block]:
    """Conditions, reasons, notes."""
    if verdict.conditions:
        yield Section("Conditions", (Items(tuple((sentence(c),) for c in verdict.conditions)),))
    if verdict.reason:
        yield Section("Why", tuple(Paragraph((Code(line),)) for line in verdict.reason.split("\n") if line.strip()))
    if verdict.notes:
        yield Section("Notes", (Items(tuple((sentence(n),) for n in verdict.notes)),))


def _again(verdict: VerdictLike) -> Iterator[Block]:
    """What was done, and how to do it again."""
    if verdict.status not in ("PROVED", "REFUTED") or verdict.program is None or verdict.written is None:
        return
    forward = re.match(r"gradients of (\w+)", verdict.subject)
    done = {
        "PROVED": "The gradients were derived from the forward pass as it was traced, each step of that replayed by a "
        "small program that knows only the rules; claim and derivation were brought to a normal form that decides "
        f"equality{f', for {verdict.scope}' if verdict.scope else ''}; and the result was cross-examined with exact "
        "numbers at a small point, against derivatives taken forwards there, which share nothing with the derivation.",
        "REFUTED": "The right values come from derivatives taken forwards, along with the forward pass itself, and "
        "not from the derivation; each value was enclosed in an interval.",
    }[verdict.status]
    body: list[Block] = [Paragraph((done,))]
    names = [forward[1] if forward else "", verdict.written.__name__]
    if all(name.isidentifier() for name in names):
        call = f"sb.check({', '.join(names)}, {arguments_of(verdict.program)})"
        body += [Paragraph(("To check it again:",)), Listing(f"import symbackprop as sb\n\nprint({call})")]
    yield Section("What was checked", tuple(body))
