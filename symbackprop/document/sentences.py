"""The words of a proof document: how tensors are described, and how a sentence becomes text with mathematics.

What is said about a network's mathematics, with the check behind each sentence, is in `questions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from symbackprop.document.model import Code, Inline, Symbolic, Text
from symbackprop.expression.build import (
    Tensor,
)
from symbackprop.rendering.layout import Layout
from symbackprop.rendering.notation import Notation, derivative_name, letter, short, split_name, tensor_layout
from symbackprop.rendering.tex_reader import read_tex

MEANINGS = {
    "Theta": "weights of layer {layer}, with the biases in column 0",
    "W": "weights from layer {layer} to layer {next}: row receives, column sends",
    "b": "biases of layer {next}",
    "z": "pre-activations of layer {layer}, one row for each example",
    "a": "activations of layer {layer}, one row for each example",
    "delta": "error terms of layer {layer}: the derivative of the cost with respect to its pre-activations",
    "x": "inputs, one row for each example",
    "y": "targets, one row for each example",
    "h": "outputs of the network, one row for each example",
    "J": "cost",
    "d": "what the backward pass computes for layer {layer}, one row for each example",
    "E": "the cost without the penalty on W_l, as a function of the pre-activations of layer $l+1$ "
    "and of what comes after; another one for each $l$",
    "R": "the penalties of all layers; no activation occurs in them",
    "S": "denominators of the softmax, one for each example",
}

_SIZE = r"(?<!\w)s_\d+(?!\w)"  # the width of a layer
_COUNTED = r"(?<=[lL]ayer )[lL](?: ?[+-] ?\d)?(?!\w)|(?<=unit )[ijk](?!\w)|(?<=[01] over )[a-z](?!\w)"
_COUNTED += r"|(?<=ctivation )f(?!\w)|(?<!\w)delta(?= of )"
_BEFORE_A_NAME = "|".join(
    rf"(?<={w} )"
    for w in (
        "respect to",
        "[bB]ack to",
        "equation of",
        "equations of",
        "and",
        "This is",
        ",",
        "entries of",
        "written with",
    )
)

CONVENTIONS = {
    "weights": (
        "Weights with the number $l$ lead from layer $l$ to layer $l+1$; the first index receives, the second sends. "
        "Indices count from 1, and $n$ numbers the examples."
    ),
    "theta": (
        "Column 0 of $\\Theta$ holds the biases, as if each layer had one more unit whose activation is 1. The one "
        "with number $l$ leads from layer $l$ to layer $l+1$; $p$ receives, $q$ sends. The superscript $(i)$ numbers "
        "the examples. The array written $\\Theta^{(l)}$ is meant without its column 0, that of the biases, which is "
        "written by itself."
    ),
    "nielsen": (
        "Weights with the number $l$ lead from layer $l-1$ to layer $l$: they carry the number of the layer they "
        "feed; $j$ receives, $k$ sends, and $i$ counts the units of the output layer. A superscript $n$ before the "
        "layer numbers the examples. The cost is $C$; what the code calls f is written $\\sigma$."
    ),
    "weights from 0": (
        "Weights with the number $l$ lead from layer $l$ to layer $l+1$; the first index receives, the second sends. "
        "Indices count from 0, so that column 0 can be that of the biases, and $n$ numbers the examples."
    ),
}


def described(tensor: Tensor, *, any_layer: bool = False, weight_shift: int = 0) -> str:
    """What a tensor of a network is; "" for other names.

    Args:
        any_layer: speak of layer l instead of the tensor's own.
        weight_shift: 1 where weights and biases have the number of the layer that they lead to, and l is that number.
    """
    cotangent = derivative_name(tensor.name)
    if cotangent:
        return (
            "derivatives of the cost"
            if any_layer
            else f"derivative of {_called(cotangent[0])} with respect to {cotangent[1]}"
        )
    stem, layer = split_name(tensor.name)
    layer = "l" if any_layer and layer else layer
    number = int(layer) if layer and layer.isdigit() else None
    following = str(number + 1) if number is not None else f"{layer} + 1"
    if any_layer and weight_shift and stem in ("W", "b"):
        layer, following = "l - 1", "l"
    meaning = MEANINGS.get(stem, "")
    if layer is None and ("{layer}" in meaning or "{next}" in meaning):
        return ""
    return meaning.replace("{layer}", str(layer)).replace("{next}", following)


def _called(cost: str) -> str:
    return "the cost" if cost == "J" else cost


def spelled(text: str, known: Iterable[Tensor], notation: Notation) -> Text:
    """A sentence in which the names of tensors are written as mathematics, `code` as code, and $formulas$ as such.

    A bare word is taken for a tensor only if it cannot be an English one: it has a digit or an underscore, or is one
    letter other than the article, or it stands where a name is expected. The letters of layers and units are known by
    the word before them.
    """
    names = sorted((t.name for t in known), key=len, reverse=True)
    sure = "|".join(re.escape(n) for n in names if _unmistakable(n)) or "$^"
    other = "|".join(re.escape(n) for n in names if not _unmistakable(n)) or "$^"
    pattern = (
        rf"(`[^`]*`|\$[^$]*\$|(?<![\w'])(?:dJ/d)?(?:{sure})(?:\[[\w,]+\])?(?!\w)"
        rf"|(?:{_BEFORE_A_NAME})(?:{other})(?!\w)|^(?:{other})(?= occurs in )|{_SIZE}|{_COUNTED})"
    )
    parts: list[Inline] = []
    for place, piece in enumerate(re.split(pattern, text)):
        if place % 2 == 0:
            parts += [piece.replace("!=", "≠").replace("<=", "≤").replace(">=", "≥")] if piece else []
        elif piece[0] == "$":
            parts.append(Symbolic(read_tex(piece[1:-1])))
        elif piece[0] == "`":
            parts.append(Code(piece[1:-1]))
        elif re.fullmatch(_SIZE, piece) and piece not in names:
            parts.append(Symbolic(letter(piece)))
        elif re.fullmatch(_COUNTED.replace("(?<=", "(?:|"), piece) and piece not in names:
            parts.append(Symbolic(_counted(piece, notation)))
        else:
            name, _, indices = piece.rstrip("]").replace("dJ/d", "dJ_d").partition("[")
            shown = [letter(notation.rename.get(i, i)) for i in indices.split(",") if i]
            parts.append(Symbolic(tensor_layout(name, shown, notation)))
    return tuple(parts)


def titled(title: str) -> Text:
    """A title with its names of sizes as mathematics: a network with layers s_1, s_2, K.

    Example:
        >>> [type(part).__name__ for part in titled("layers s_1, K")]
        ['str', 'Symbolic', 'str', 'Symbolic']
    """
    parts = re.split(r"\b([A-Za-z]_\w+\b|[A-Z](?=[,:]|$))", title)
    return tuple(p if k % 2 == 0 else Symbolic(letter(p)) for k, p in enumerate(parts) if p)


def _counted(text: str, notation: Notation) -> Layout:
    """The letter of a layer, with what is added to it, or of a unit, an activation or an error term."""
    name = notation.rename.get(text) or notation.letters.get(text) or text
    return letter(name) if name.isalpha() else short(name)


def _unmistakable(name: str) -> bool:
    return any(c.isdigit() or c == "_" for c in name) or (len(name) == 1 and name not in "aAI")
