"""Notations: how the tensors, indices and symbols of one and the same equation are written.

`WEIGHTS` is this package's own: z^{(l)}_i = sum_j W^{(l)}_{ij} a^{(l)}_j + b^{(l)}_i, W^{(l)} leads from layer l to l+1.
`THETA` writes the bias as column 0 of Θ^{(l)}, the output as h_Θ(x), and the sample as a superscript (i).
`NIELSEN` writes w^l_{jk}, C, σ; there w^l leads from layer l-1 to l, so that all its layer numbers fit the equations.
`NAMES` keeps the names of a traced program. A notation changes no equation. This module must not know about expressions.

Source: WEIGHTS as in the UFLDL tutorial (Ng et al.); THETA: Ng, Machine Learning (2011), lectures 8-9; NIELSEN: Nielsen,
Neural Networks and Deep Learning (2015), chapter 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from symbackprop.layout import GREEK, Accent, Atom, Layout, Script, operator, row

_LAYERED = re.compile(r"(W|b|z|a|delta)_?(\d+|[lL](?:[+-]\d+)?)")
_DERIVATIVE = re.compile(r"d([A-Za-z]\w*?)_d(\w.*)")
_ACCENTED = re.compile(r"(.+)_(bar|hat|tilde)")
_PER_SAMPLE = frozenset(["z", "a", "delta", "x", "y", "h"])


@dataclass(frozen=True)
class Notation:
    """How names are written.

    Args:
        name: weights, theta, nielsen or names.
        layered: names such as W1, z2, delta3 carry a layer number.
        first: the number of the first entry of an axis as it is shown; NumPy names count from 0.
        sample: where the sample index of z, a, delta, x, y stands.
        rename: names of indices that are shown differently.
        letters: stems that are written with another letter.
        weight_shift: what is added to the layer number of W and b.
        layer_in_parentheses: z^{(l)} or z^l.
        bias_column: b_i is written as column 0 of the weights.
        output_layer: the layer whose activation is written h_Θ(x)_k, or None.
    """

    name: str
    layered: bool = True
    first: Literal[0, 1] = 1
    sample: Literal["subscript", "superscript"] = "subscript"
    rename: Mapping[str, str] = field(default_factory=dict)
    letters: Mapping[str, str] = field(default_factory=dict)
    weight_shift: int = 0
    layer_in_parentheses: bool = True
    bias_column: bool = False
    output_layer: str | None = None


WEIGHTS = Notation("weights")
THETA = Notation(
    "theta",
    sample="superscript",
    rename={"n": "i", "i": "p", "j": "q"},
    letters={"W": "Θ", "b": "Θ"},
    bias_column=True,
)
NIELSEN = Notation(
    "nielsen",
    sample="superscript",
    rename={"i": "j", "j": "k", "k": "i"},
    letters={"W": "w", "J": "C", "f": "σ"},
    weight_shift=1,
    layer_in_parentheses=False,
)
NAMES = Notation("names", layered=False, first=0)
NOTATIONS: dict[str, Notation] = {n.name: n for n in (WEIGHTS, THETA, NIELSEN, NAMES)}


def split_name(name: str) -> tuple[str, str | None]:
    """The stem of a tensor's name and its layer.

    Example:
        >>> split_name("W1"), split_name("delta_l+1"), split_name("x")
        (('W', '1'), ('delta', 'l+1'), ('x', None))
    """
    match = _LAYERED.fullmatch(name)
    return (match[1], match[2]) if match else (name, None)


def derivative_name(name: str) -> tuple[str, str] | None:
    """For a cotangent called dJ_dW1: ("J", "W1"); None for other names."""
    match = _DERIVATIVE.fullmatch(name)
    return (match[1], match[2]) if match else None


def letter(name: str) -> Layout:
    """A name as one letter where it is one: Greek names in Greek, `s_1` with a subscript, `x_hat` with a hat.

    Example:
        >>> letter("lambda")
        Atom(text='λ', kind='variable')
    """
    name = {"lam": "lambda", "lamda": "lambda", "lambda_": "lambda", "eps": "epsilon"}.get(name, name)
    if name in GREEK:
        return Atom("ε" if name == "epsilon" else GREEK[name])
    accent = _ACCENTED.fullmatch(name)
    if accent:
        return Accent(accent[2], letter(accent[1]))  # type: ignore[arg-type]
    base, _, below = name.partition("_")
    if below and (len(base) == 1 or base in GREEK):
        return Script(letter(base), short(below))
    prime = name.rstrip("'")
    if prime != name and prime:
        return Script(letter(prime), None, operator("′" * (len(name) - len(prime))))
    return Atom(name)


def short(text: str) -> Layout:
    """The text of a layer or a subscript: numbers upright, letters italic, + and - as operators."""
    parts: list[Layout] = []
    for piece in re.findall(r"\d+|[A-Za-z]+|.", text):
        if piece.isdigit():
            parts.append(Atom(piece, "number"))
        elif piece in "+-":
            parts.append(operator("+" if piece == "+" else "−"))
        else:
            parts.append(letter(piece))
    return row(*parts)


def shifted(layer: str, by: int) -> str:
    """The number of the layer `by` further on.

    Example:
        >>> shifted("1", 1), shifted("l", 1), shifted("L-1", 1), shifted("l+1", 1)
        ('2', 'l+1', 'L', 'l+2')
    """
    if not by:
        return layer
    if layer.isdigit():
        return str(int(layer) + by)
    offset = int(layer[1:] or 0) + by
    return f"{layer[0]}{offset:+d}" if offset else layer[0]


def is_per_sample(stem: str) -> bool:
    """True for the tensors that have one row for each sample: z, a, delta, x, y, h."""
    return stem in _PER_SAMPLE
