"""The picture of a network: layers as columns of circles, dots where a width or the depth is symbolic or large.

Main name: `network_figure`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from symbackprop.document.model import Figure, Mark
from symbackprop.expression.build import Expr, Number
from symbackprop.rendering.layout import Layout, relation, row, word
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.notation import Notation, shifted, short, tensor_layout
from symbackprop.rendering.text import to_text

_STEP = 2.6  # between two columns
_MOST = 5  # circles that a column shows


@dataclass(frozen=True)
class _Column:
    """One layer as it is drawn: its number, its width, and the heights of its circles and dots."""

    layer: str
    width: Expr
    x: float
    circles: tuple[float, ...]
    dots: tuple[float, ...]


def network_figure(widths: Sequence[Expr], notation: Notation, *, any_depth: bool = False) -> Figure:
    """The figure of a network with these widths; with `any_depth` a gap stands before the last layer."""
    columns, gaps = _columns(widths, any_depth)
    marks: list[Mark] = []
    reach = max(y for column in columns for y in column.circles) + 0.9
    for left, right in pairwise(columns):
        if right.x - left.x < _STEP * 1.2:
            marks += [Mark("line", (left.x, a), (right.x, b)) for a in left.circles for b in right.circles]
    for column in columns:
        marks += [Mark("circle", (column.x, y)) for y in column.circles]
        marks += [Mark("dot", (column.x, y)) for y in column.dots]
        marks += _labels(column, reach, notation)
    marks += [Mark("dot", (x + shift, 0.0)) for x in gaps for shift in (-0.3, 0.0, 0.3)]
    caption = (
        "The network: each circle is a unit, each line a weight. Below each layer stand its number and its width",
        "; dots stand for units or layers that are not drawn." if gaps or any(c.dots for c in columns) else ".",
    )
    return Figure(
        tuple(marks),
        (columns[-1].x, 2 * reach + 0.8),
        caption,
        _described(widths, any_depth),
        _diagram(columns, notation),
    )


def _columns(widths: Sequence[Expr], any_depth: bool) -> tuple[list[_Column], list[float]]:
    last = len(widths) - 1
    shown = list(range(len(widths))) if len(widths) <= 6 else [0, 1, 2, last - 1, last]
    columns: list[_Column] = []
    gaps: list[float] = []
    x = 0.0
    for place, layer in enumerate(shown):
        if place and (layer != shown[place - 1] + 1 or (any_depth and layer == last)):
            gaps.append(x - _STEP / 2 + 0.5)
            x += 1.0
        name = "L" if any_depth and layer == last else str(layer + 1)
        circles, dots = _heights(widths[layer])
        columns.append(_Column(name, widths[layer], x, circles, dots))
        x += _STEP
    return columns, gaps


def _heights(width: Expr) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Where circles and dots stand: all units of a narrow layer; two, dots, and the last one of another."""
    if isinstance(width, Number) and width.value <= _MOST:
        count = int(width.value)
        return tuple(k - (count - 1) / 2 for k in range(count)), ()
    return (-1.5, -0.6, 1.5), (0.2, 0.45, 0.7)


def _labels(column: _Column, reach: float, notation: Notation) -> list[Mark]:
    above: Layout
    if column.layer == "1":
        above = row(tensor_layout("x", (), notation), relation("="), tensor_layout("a1", (), notation))
    else:
        above = tensor_layout(f"a{column.layer}", (), notation)
    below = row(layout_of(column.width, notation), word(" unit" if _is_one(column.width) else " units"))
    name = word(f"layer {column.layer}") if column.layer.isdigit() else row(word("layer "), short(column.layer))
    x = column.x
    return [
        Mark("label", (x, -reach), label=above),
        Mark("label", (x, reach), label=name),
        Mark("label", (x, reach + 0.55), label=below),
    ]


def _is_one(width: Expr) -> bool:
    return isinstance(width, Number) and width.value == 1


def _described(widths: Sequence[Expr], any_depth: bool) -> str:
    names = [to_text(w) for w in widths]
    depth = "any number of layers" if any_depth else f"{len(widths)} layers"
    return f"A fully connected network of {depth}, with widths {', '.join(names)} from input to output."


def _diagram(columns: Sequence[_Column], notation: Notation) -> str:
    """The layers as the boxes of a Mermaid diagram, an arrow for each weight matrix."""
    boxes = [
        f'  l{c.layer}["layer {c.layer}: {to_text(c.width)} unit{"" if _is_one(c.width) else "s"}"]' for c in columns
    ]
    arrows = []
    for left, right in pairwise(columns):
        adjoining = right.x - left.x < _STEP * 1.2
        label = _parameters(left.layer, notation) if adjoining else "…"
        arrows.append(f'  l{left.layer} {"-->" if adjoining else "-.->"}|"{label}"| l{right.layer}')
    return "\n".join(["flowchart LR", *boxes, *arrows])


def _parameters(layer: str, notation: Notation) -> str:
    """What leads from a layer to the next, as plain text: W1, b1; w2, b2 where they have the number of the next."""
    number = shifted(layer, notation.weight_shift)
    weights = f"{notation.letters.get('W', 'W')}{number}"
    return weights if notation.bias_column else f"{weights}, {notation.letters.get('b', 'b')}{number}"
