"""The second half of a proof document: induction, whole batches, code, questions, conditions, and what was checked.

Each function gives the blocks of one section, or none where there is nothing to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symbackprop.document.any_depth_code import loop_module
from symbackprop.document.context import Context, sentence, sides
from symbackprop.document.matrix_form import form_layout, matrix_form, matrix_name
from symbackprop.document.model import (
    Block,
    Code,
    Display,
    DisplayedEquality,
    Items,
    Listing,
    Paragraph,
    Section,
    Strong,
    Symbolic,
    Text,
)
from symbackprop.document.sentences import QUESTIONS
from symbackprop.expression.build import Entry, Expr, Tensor
from symbackprop.expression.functions import Function
from symbackprop.proofs.shortening.unit_axes import factored
from symbackprop.rendering.layout import operator, relation, row
from symbackprop.rendering.notation import Notation, function_layout
from symbackprop.rendering.text import to_text


def induction(about: Context) -> tuple[Block, ...]:
    """Why one step for a general layer is enough."""
    network = about.proof.network
    if network is None or (network.depth is None and len(network.layers) < 3):
        return ()
    text = (
        "The error term of the output layer is computed from the cost alone. Each earlier one is computed from the "
        "one after it by the same equation, whatever the number of the layer. So the result for the last layer "
        "carries over to the layer before it, from there to the one before that, and so on down to layer 2: by "
        "induction it holds for every layer, and for every depth. The gradients of weights and biases need only the "
        "error term of the layer they feed."
    )
    return (Section("From layer to layer", (Paragraph((text,)),)),)


def batch(about: Context) -> tuple[Block, ...]:
    """Each theorem about a network for whole arrays, with shapes."""
    if about.proof.network is None:
        return ()
    lines: list[tuple[DisplayedEquality | Symbolic, Text]] = []
    for theorem in (g[0] for g in about.groups):
        left, right = sides(theorem)
        form = matrix_form(right, left.indices) if isinstance(left, Entry) else None
        if form is None or not isinstance(left, Entry):
            continue
        whole = row(matrix_name(left.tensor, about.notation), relation("="), form_layout(form, about.notation))
        lines.append((DisplayedEquality(left, right), (Symbolic(whole), ", ", about.shape(left.tensor))))
    if not lines:
        return ()
    intro: Text = (
        "All entries at once, with the shape of the result. Capitals stand for whole arrays, ",
        Symbolic(operator("⊙")),
        " multiplies entry by entry, and a bold 1 is a column of ones, which adds up or repeats.",
    )
    return (Section("For a whole batch", (Paragraph(intro), Display(tuple(lines)))),)


def listing(about: Context, code: Mapping[Tensor, str]) -> tuple[Block, ...]:
    """The generated lines beside the equations they compute."""
    forms: dict[Tensor, list[tuple[Entry, Expr]]] = {}
    for left, right in (sides(g[0]) for g in about.groups):
        if isinstance(left, Entry):
            forms.setdefault(left.tensor, []).append((left, right))
    lines: list[tuple[DisplayedEquality | Symbolic, Text]] = [
        (DisplayedEquality(*_computed(about, found)), (Code(code[tensor]),))
        for tensor, found in forms.items()
        if tensor in code
    ]
    if not lines:
        return ()
    intro = "The generated NumPy lines, each beside the equality that it computes."
    body: list[Block] = [Paragraph((intro,)), Display(tuple(lines))]
    network = about.proof.network
    module = loop_module(about.proof, about.equations) if network is not None and network.depth is not None else ""
    if module:
        whole = "Put together for any number of layers; the error terms travel backwards in the second loop."
        body += [Paragraph((whole,)), Listing(module)]
    return (Section("The same equations as code", tuple(body)),)


def _computed(about: Context, forms: Sequence[tuple[Entry, Expr]]) -> tuple[Entry, Expr]:
    """Of several forms of a gradient the one that the code computes."""
    gradient = about.proof.gradient
    equation = gradient.adjoint.by_tensor.get(forms[0][0].tensor) if gradient is not None else None
    written = (equation.value, factored(equation.value)) if equation is not None else ()
    texts = [to_text(e) for e in written]  # two sums are never the same node
    return next((form for form in forms if to_text(form[1]) in texts), forms[-1])


def questions(about: Context) -> tuple[Block, ...]:
    """The questions that this proof may raise, answered."""
    chains = tuple(s.after for t in about.proof.theorems for s in t.derivation.steps)
    if about.proof.network is None or not about.proof.program.outputs:
        return ()
    name = about.proof.program.outputs[0].name
    costs = [e.value for e in about.equations if e.tensor.name == name]  # for any depth: of the last and of each layer
    asked = [q for q in QUESTIONS if any(q.arises(cost, chains) for cost in costs)]
    points = tuple((Strong(q.ask + " "), *about.words(q.answer)) for q in asked)
    return (Section("Questions a reader may have", (Items(points),)),) if points else ()


def conditions(about: Context) -> tuple[Block, ...]:
    """Where the equalities hold, and what is agreed at kinks."""
    found = [*about.proof.program.conditions, *about.proof.conditions]
    for theorem in about.proof.theorems:
        found += [*theorem.conditions, *theorem.derivation.conditions]
    points = [about.words(sentence(c)) for c in dict.fromkeys(found)]
    network = about.proof.network
    if network is not None:
        points += [
            _kink(f, about.notation)
            for f in dict.fromkeys(x.function for x in network.layers)
            if f is not None and f.kinks
        ]
    if not points:
        return ()
    return (Section("Conditions", (Paragraph(("The equalities hold wherever:",)), Items(tuple(points)))),)


def checked(about: Context, command: str, checks: Sequence[str], *, brief: bool = False) -> tuple[Block, ...]:
    """How many steps were replayed, what else was tried, and how to do it again."""
    steps = sum(len(t.derivation.steps) for t in about.proof.theorems)
    count = f"{_count(steps, 'step')} in {_count(len(about.proof.theorems), 'derivation')}"
    if brief:
        again: Text = (" To run it again: ", Code(command.split("\n")[-1])) if command else ()
        return (Paragraph((f"Checked: {count}, each replayed by a program that knows only the rules.", *again)),)
    text = (
        f"{count}. A small program, which knows the rules but not how the derivations were found, replayed each step: "
        "it either applied the named rule itself or reduced both sides to a normal form that decides equality for "
        "all sizes."
    )
    body: list[Block] = [Paragraph((text,))]
    if checks:
        body.append(Items(tuple(about.words(c) for c in checks)))
    if command:
        body += [
            Paragraph(("To run all of this again:",)),
            Listing(command, "sh" if command.startswith("symbackprop ") else "python"),
        ]
    return (Section("What was checked", tuple(body)),)


def _count(number: int, noun: str) -> str:
    """1 step, 2 steps."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _kink(function: Function, notation: Notation) -> Text:
    return (
        Symbolic(function_layout(function, notation)),
        "has a kink: there the slope is taken to be the one of the branch that its definition uses at that point, "
        "and the equalities are claimed away from it.",
    )
