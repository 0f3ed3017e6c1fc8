"""The story of a backward pass that was proved by lemmas: what each line computes, in the order of the run.

Main name: `story`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from symbackprop.checking.user_lines import with_users_names
from symbackprop.document.context import joined, listed
from symbackprop.document.model import Block, Paragraph, Section, Symbolic, Text
from symbackprop.document.repetition import repeated
from symbackprop.expression.build import Entry, Tensor, entries_once
from symbackprop.expression.program import PART, Equation, Program
from symbackprop.normal_form.renaming import pattern
from symbackprop.rendering.layout import relation, row
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.notation import NAMES, tensor_layout

_BAR = "_bar"
_INTRO = (
    "These equalities are the proof: each was found by the normal form, with definitions put in level by level, and "
    "was replayed by itself. A bar marks the derivative of the cost with respect to what is under it."
)


class Proved(Protocol):
    """What the story needs of a verdict."""

    program: Program | None
    lemmas: Sequence[Any]
    called: Mapping[str, str]
    claims: Mapping[str, Tensor]


def story(verdict: Proved) -> Iterator[Block]:
    """The section; nothing for a verdict without lemmas about the user's own lines."""
    program = verdict.program
    if program is None:  # of a formula there is no backward pass to tell
        return
    places = _places(program, verdict.called)
    gradients = {tensor: name for name, tensor in verdict.claims.items()}
    rows: list[tuple[Symbolic, Text]] = []
    looks, names = [], []
    again: dict[str, None] = {}
    for lemma in verdict.lemmas:
        own: Equation = lemma.equation
        number = re.fullmatch(r"line (\d+)", own.note)
        if own.tensor in program.by_tensor or number is None:
            continue
        source = next((e.tensor.name for e in entries_once(own.value) if e.tensor.name.endswith(_BAR)), "")
        if not source:
            again[verdict.called.get(own.tensor.name, own.tensor.name)] = None
            continue
        left = layout_of(with_users_names(own.left, verdict.called), NAMES)
        right = layout_of(own.value, NAMES)
        what = places.get(source.removesuffix(_BAR), "what is computed on the way")
        share = "" if isinstance(own.value, Entry) else "up to a factor, "
        assumed = f", provided {listed(lemma.conditions)}" if lemma.conditions else ""
        note = f"Line {number[1]}: {share}the derivative with respect to {what}{assumed}."
        rows.append((Symbolic(row(left, relation("="), right)), (note,)))
        looks.append((number[1], pattern(own.left, own.value)))
        names.append([f"d{gradients[own.tensor]}"] if own.tensor in gradients else [])
    if not rows:
        return
    same: Text = ()
    if again:
        shown = [Symbolic(tensor_layout(name, (), NAMES)) for name in again]
        same = (" Computed again as in the forward pass: ", *joined(shown, ", "), ".")
    yield Section("The backward pass, line by line", (Paragraph((_INTRO, *same)), *repeated(rows, looks, names)))


def _places(program: Program, called: Mapping[str, str]) -> dict[str, str]:
    """For each tensor of the forward pass where it comes from: "x of line 64 of the forward pass (value 2 of 12)"."""
    found = {t.name: f"the input {t.name}" for t in program.inputs}
    times: dict[str, list[str]] = {}
    for equation in program.equations:
        times.setdefault(equation.note, []).append(equation.tensor.name)
    for equation in program.equations:
        name, line = equation.tensor.name, equation.note.removeprefix(PART)
        if name.endswith(_BAR) or not line.startswith("line "):
            continue
        own = called.get(name, "a part" if line != equation.note else "the result")
        alike = times[equation.note]
        found[name] = f"{own} of {line} of the forward pass"
        found[name] += f" (value {alike.index(name) + 1} of {len(alike)})" if len(alike) > 1 else ""
    return found
