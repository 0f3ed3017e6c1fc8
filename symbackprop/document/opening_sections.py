"""The first half of a proof document: what is claimed, in which notation, about which equations, by which rules.

Each function gives the blocks of one section, or none where there is nothing to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from symbackprop.document.context import Context, joined, label, runs, sentence, sides
from symbackprop.document.layer_families import families, layer_of
from symbackprop.document.model import (
    Block,
    Display,
    DisplayedEquality,
    Inline,
    Paragraph,
    Section,
    Strong,
    Symbolic,
    Table,
    Text,
)
from symbackprop.document.network_figure import network_figure
from symbackprop.document.protocols import NetworkLike, TheoremLike
from symbackprop.document.sentences import CONVENTIONS
from symbackprop.expression.build import Entry, Expr, Tensor, number, tensors_in
from symbackprop.expression.program import Equation
from symbackprop.rendering.layout import Atom, relation, row
from symbackprop.rendering.notation import derivative_layout, letter
from symbackprop.rendering.tex_reader import read_tex

_MOST = 6  # equations of a family that are all written out


def claims(about: Context, *, brief: bool = False) -> tuple[Block, ...]:
    """All theorems at a glance; a single one speaks for itself."""
    if len(about.groups) == 1 and not brief:
        return ()
    groups = [g for g in about.groups if _is_needed(about, g[0])]
    lines = tuple((DisplayedEquality(*sides(group[0])), _span(about, group)) for group in groups)
    if brief:
        return (Section("What is proved", (Display(lines),)),)
    intro = "Each of these equalities is derived below, and each step of each derivation was checked by machine."
    if len(groups) < len(about.groups):
        intro += " In this order they are the whole backward pass; what else is derived below leads to them."
    return (Section("What is proved", (Paragraph((intro,)), Display(lines))),)


def _is_needed(about: Context, theorem: TheoremLike) -> bool:
    """In a user's own program: whether the backward pass, as it is at last, computes this."""
    gradient, left = about.proof.gradient, theorem.derivation.left
    if about.notation.layered or gradient is None or not isinstance(left, Entry) or left.tensor not in about.bars:
        return True
    return left.tensor in gradient.adjoint.by_tensor


def _span(about: Context, group: Sequence[TheoremLike]) -> Text:
    if len(group) == 1:
        return about.words(sentence(group[0].name))
    layers = sorted(n for t in group[1:] if (n := layer_of(t.derivation.left)) is not None)
    return (*about.words(sentence(group[0].name)), f" In the same way for {runs(layers)}.")


def notation_table(about: Context) -> tuple[Block, ...]:
    """Every symbol with its shape; the layers of one letter share a row."""
    kinds: dict[str, list[Tensor]] = {}
    for tensor in (t for t in about.tensors if t not in about.bars):
        kinds.setdefault(re.sub(r"\d+$", "", tensor.name) if about.notation.layered else tensor.name, []).append(tensor)
    rows: list[tuple[Text, ...]] = []
    for kind in kinds.values():
        kind.sort(key=lambda t: layer_of(Entry(t)) or 0)
        shown = (kind[0], kind[-1]) if len(kind) > 2 else tuple(kind)
        between = ", …, " if len(kind) > 2 else ", "
        shapes = [about.shape(t) for t in shown]
        rows.append(
            (
                joined([Symbolic(about.name(t)) for t in shown], between),
                joined(shapes if len(set(shapes)) > 1 else shapes[:1], between),
                about.meaning(kind),
            )
        )
    table = Table(("Symbol", "Shape", "Meaning"), tuple(rows))
    return (
        Section(
            "Notation",
            (
                Paragraph((*about.words(CONVENTIONS[about.notation.name]), *_widths(about.proof.network))),
                table,
                *_bars(about),
            ),
        ),
    )


def setting(about: Context) -> tuple[Block, ...]:
    """What a backward pass computes, and what the upstream gradient is."""
    if not about.upstream:
        return ()
    outputs = [t for t in about.tensors if t in _outputs(about)]
    names = joined([Symbolic(about.name(t)) for t in outputs], " and ")
    handed = joined([Symbolic(about.name(t)) for t in about.upstream], " and ")
    text: Text = (
        "The function returns ",
        *names,
        ". Whatever is computed from that later, up to a final cost ",
        Symbolic(letter("J")),
        ", sends back how fast the cost changes with each returned entry: the upstream gradient ",
        *handed,
        ". A backward pass turns it into the derivatives of the same cost with respect to the inputs. For this it is "
        "enough to know the cost to first order in what is returned, and so the sum of entries times upstream "
        "gradients may stand in for it, with the upstream gradient held constant.",
    )
    return (Section("The setting", (Paragraph(text),)),)


def _outputs(about: Context) -> set[Tensor]:
    """What the cost that stands in for the rest is computed from, other than the upstream gradients."""
    return set(tensors_in(about.proof.program.equations[-1].value)) - set(about.upstream)


def _bars(about: Context) -> tuple[Block, ...]:
    """What a bar over a letter means."""
    first = next((t for t in about.proof.program.inputs if t in about.bars.values()), None)
    if first is None:
        return ()
    bar = next(b for b, t in about.bars.items() if t is first)
    meaning = row(about.name(bar), relation("="), derivative_layout(about.name(about.cost), about.name(first)))
    text: Text = ("A bar marks a derivative of the cost, entry by entry: ", Symbolic(meaning), " has the shape of ")
    return (Paragraph((*text, Symbolic(about.name(first)), ".")),)


def forward(about: Context, *, brief: bool = False) -> tuple[Block, ...]:
    """The equations that are differentiated, and a picture of the network."""
    groups = families(about.equations, lambda e: (e.left, e.value))
    lines: list[tuple[DisplayedEquality | Symbolic, Text]] = []
    for equation in _in_order_of_lines(about):
        group = next(g for g in groups if equation in g)
        elided = len(group) > 1 and (brief or len(group) > _MOST)
        if not elided or equation is group[0]:
            note = _forward_note(about, equation, group if elided else (), brief=brief)
            lines.append((DisplayedEquality(equation.left, equation.value), note))
    blocks: list[Block] = [Display(tuple(lines))]
    network = about.proof.network
    if network is not None and not brief:
        blocks.insert(0, network_figure(widths_of(network), about.notation, any_depth=network.depth is not None))
    return (Section("Forward equations", tuple(blocks)),)


def _in_order_of_lines(about: Context) -> Sequence[Equation]:
    """A user's equations in the order of the lines that compute them; any others as they are."""
    places = [re.search(r"line (\d+)", e.note) for e in about.equations]
    if about.notation.layered:
        return about.equations
    numbered = [
        (int(p[1]) if p else len(about.equations) + 10**6, e) for p, e in zip(places, about.equations, strict=True)
    ]
    return [e for _, e in sorted(numbered, key=lambda pair: pair[0])]


def _forward_note(about: Context, equation: Equation, group: Sequence[Equation], *, brief: bool) -> Text:
    """Where an equation comes from, the layers it also speaks for, or its shape."""
    code = about.code(equation) if not brief else None
    note: list[Inline] = list(about.words(sentence(equation.note)[:-1])) if equation.note and not brief else []
    if code is not None:
        note = [code, f", {equation.note}"]
    if equation.indices and not brief:
        note += [", ", about.shape(equation.tensor)] if note else [about.shape(equation.tensor)]
    layers = [n for e in group[1:] if (n := layer_of(e.left)) is not None]
    note += [f"{'; in' if note else 'In'} the same way for {runs(layers)}"] if layers else []
    return (*note, ".") if note else ()


def rules(about: Context) -> tuple[Block, ...]:
    """The rules that the derivations use, each once."""
    used = dict.fromkeys(s.rule for t in about.proof.theorems for s in t.derivation.steps)
    blocks: list[Block] = []
    if not about.notation.layered:
        used.pop("definition_of_delta", None)  # the notation has told what a bar means
    for rule in (about.proof.rules[name] for name in used if name in about.proof.rules):
        says: list[Inline] = [Strong(label(rule.name, about.notation) + ". "), rule.statement]
        says += [f" Condition: {rule.condition}."] if rule.condition else []
        says += [f" ({rule.source}.)"] if rule.source not in ("", "definition") else []
        blocks.append(Paragraph(tuple(says)))
        blocks += [Display(((Symbolic(read_tex(rule.latex)), ()),))] if rule.latex else []
    if not blocks:
        return ()
    return (Section("Rules", (Paragraph(("These are all the rules that the derivations use.",)), *blocks)),)


def widths_of(network: NetworkLike) -> tuple[Expr, ...]:
    """The widths of a network's layers, as numbers or symbols."""
    return tuple(number(layer.width) if isinstance(layer.width, int) else layer.size for layer in network.layers)


def _widths(network: NetworkLike | None) -> Text:
    """The sizes that are numbers in this network; the proof does not depend on them."""
    known = [layer for layer in network.layers if isinstance(layer.width, int)] if network else []
    if not known:
        return ()
    sizes = [row(letter(layer.size.name), relation("="), Atom(str(layer.width), "number")) for layer in known]
    return (" Here ", *joined([Symbolic(s) for s in sizes], ", "), ", but nothing below depends on these numbers.")
