"""The picture of what is computed from what: forward in an upper row, backward in the row below it, gradients last.

Main names: `flow_figure`, `FLOW` (what its caption says, for a test).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from symbackprop.document.model import Figure, Mark
from symbackprop.rendering.layout import Layout, operator, row
from symbackprop.rendering.notation import Notation, shifted, tensor_layout

_PITCH, _FORWARD, _BACKWARD, _GRADIENTS = 3.6, -1.6, 0.2, 1.9
_MOST = 5  # layers that are drawn
FLOW = (
    "Forward (upper row), the activations of a layer are computed from those of the layer before it; backward (lower "
    "row), its error terms from those of the layer after it, with the same weights. The gradient of weights needs the "
    "activations before them and the error terms after them, and with a penalty the weights; that of biases needs the "
    "error terms alone."
)


def flow_figure(layers: Sequence[str], notation: Notation) -> Figure:
    """The flow through layers with these numbers, the first of which is the input.

    Args:
        layers: "1", "2", ..., or with a symbol for the last: "1", "2", "L".
    """
    shown = list(layers) if len(layers) <= _MOST else [*layers[:2], *layers[-2:]]
    place = {layer: k * _PITCH for k, layer in enumerate(shown)}
    last = shown[-1]
    marks: list[Mark] = []
    for layer in shown:
        above: Layout = tensor_layout(f"a{_number(layer)}", (), notation)
        marks.append(Mark("label", (place[layer], _FORWARD), label=above))
        if layer != shown[0]:
            marks.append(Mark("label", (place[layer], _BACKWARD), label=tensor_layout(_delta(layer), (), notation)))
    for left, right in pairwise(shown):
        here = _adjoining(left, right)
        marks += _between(place[left], place[right], left, notation, here, first=left == shown[0])
    end = place[last] + _PITCH * 0.75
    marks.append(Mark("label", (end, _FORWARD), label=tensor_layout("J", (), notation)))
    marks.append(Mark("arrow", (place[last] + 0.6, _FORWARD), (end - 0.4, _FORWARD)))
    marks.append(Mark("arrow", (end, _FORWARD + 0.5), (place[last] + 0.6, _BACKWARD - 0.1)))
    description = (
        f"Arrows lead from layer to layer up to the cost, and back from the error terms of layer {last} to those of "
        "layer 2; the gradients of the weights stand between the layers that they lead from and to."
    )
    return Figure(tuple(marks), (end, 2 * _GRADIENTS + 1.2), (FLOW,), description, _diagram(shown, notation))


def _between(x: float, to: float, layer: str, notation: Notation, adjoining: bool, *, first: bool) -> list[Mark]:
    """The arrows between two layers, with the weights on them, and the gradients under them."""
    middle = (x + to) / 2
    marks = [Mark("arrow", (x + 0.6, _FORWARD), (to - 0.6, _FORWARD))]
    if not first:
        marks.append(Mark("arrow", (to - 0.6, _BACKWARD), (x + 0.6, _BACKWARD)))
    if not adjoining:
        dots = [Mark("dot", (middle + s, y + 0.28)) for s in (-0.2, 0.0, 0.2) for y in (_FORWARD, _BACKWARD)]
        return [*marks, *(d for d in dots if not first or d.at[1] < 0)]
    weights, biases = (tensor_layout(f"{stem}{layer}", (), notation) for stem in ("W", "b"))
    both = weights if notation.bias_column else row(weights, operator(","), biases)
    marks.append(Mark("label", (middle, _FORWARD - 0.42), label=both))
    if not first:
        marks.append(Mark("label", (middle, _BACKWARD - 0.42), label=weights))
    gradient = tensor_layout(f"dJ_dW{layer}", (), notation)
    marks.append(Mark("label", (middle, _GRADIENTS), label=gradient))
    marks.append(Mark("arrow", (to - 0.35, _BACKWARD + 0.4), (middle + 0.45, _GRADIENTS - 0.35)))
    marks.append(Mark("arrow", (x + 0.1, _FORWARD + 0.45), (middle - 0.45, _GRADIENTS - 0.35)))
    return marks


def _number(layer: str) -> str:
    return layer if layer.isdigit() else f"_{layer}"


def _delta(layer: str) -> str:
    return f"delta{_number(layer)}"


def _diagram(shown: Sequence[str], notation: Notation) -> str:
    """The same as a Mermaid diagram."""
    cost = notation.letters.get("J", "J")
    lines = ["flowchart LR"]
    lines += [f'  a{n}["a({n})"]' for n in shown] + [f'  J["{cost}"]'] + [f'  d{n}["δ({n})"]' for n in shown[1:]]
    lines += [f"  a{a} --> a{b}" for a, b in pairwise(shown)] + [f"  a{shown[-1]} --> J"]
    back = [*shown[1:]][::-1]
    lines += [f"  J --> d{back[0]}"] + [f"  d{a} --> d{b}" for a, b in pairwise(back)]
    weights = notation.letters.get("W", "W")
    for a, b in pairwise(shown):
        if _adjoining(a, b):
            name = f"∂{cost}/∂{weights}({shifted(a, notation.weight_shift)})"
            lines += [f'  g{a}["{name}"]', f"  a{a} --> g{a}", f"  d{b} --> g{a}"]
    return "\n".join(lines)


def _adjoining(left: str, right: str) -> bool:
    """True for the numbers of two layers that follow each other."""
    return left.isdigit() and right.isdigit() and int(right) == int(left) + 1
