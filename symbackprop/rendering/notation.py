"""Notations: how the tensors, indices and symbols of one and the same equation are written.

`WEIGHTS` is this package's own: z^{(l)}_i = sum_j W^{(l)}_{ij} a^{(l)}_j + b^{(l)}_i, W^{(l)} leads from l to l+1.
`WEIGHTS_FROM_0` counts units from 0, for equations that compute with indices.
`THETA` writes the bias as column 0 of Θ^{(l)}, the output as h_Θ(x), and the sample as a superscript (i).
`NIELSEN` writes w^l_{jk}, C, σ; there w^l leads from layer l-1 to l, so its layer numbers are one higher.
`NAMES` keeps the names of a traced program. A notation changes no equation. Nothing here knows expressions.

Source: WEIGHTS as in the UFLDL tutorial (Ng et al.); THETA: Ng, Machine Learning (2011), lectures 8-9; NIELSEN:
Nielsen, Neural Networks and Deep Learning (2015), chapter 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from symbackprop.expression.functions import Function
from symbackprop.rendering.layout import (
    GREEK,
    Accent,
    Fence,
    Fraction,
    Glyph,
    Layout,
    Row,
    Script,
    operator,
    relation,
    row,
)

_LAYERED = re.compile(r"(W|b|z|a|d|delta|Theta)_?(\d+|[lL](?:[+-]\d+)?)")
_ANY_LAYERED = re.compile(r"([A-Za-z])(\d+)")
_DERIVATIVE = re.compile(r"d([A-Za-z]\w*?)_d(\w.*)")
_ACCENTED = re.compile(r"(.+)_(bar|hat|tilde)")
_ACCENT_BEFORE = re.compile(r"(bar|hat|tilde) (.+)")
_OF_EACH = re.compile(r"(.+) each")
_SLOPE = re.compile(r"d ([^/]+)/d ([^/]+)")
_LENGTH = re.compile(r"size (\d+) of (.+)")
_RAISED = re.compile(r"(.+)\^\((.+)\)")
_PER_SAMPLE = frozenset(["z", "a", "d", "delta", "x", "y", "h"])


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
        letters_of_units: further letters for a unit index whose own is in use; primes after these.
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
    letters_of_units: str = "ijkpqr"
    output_layer: str | None = None

    def another(self, name: str, attempt: int) -> str:
        """Another name for an index whose own is in use: the next free letter for a unit, a prime for the rest."""
        place = self.letters_of_units.find(name)
        following = self.letters_of_units[place + 1 :] if place >= 0 else ""
        if attempt <= len(following):
            return following[attempt - 1]
        return name + "'" * (attempt - len(following))


WEIGHTS = Notation("weights")
THETA = Notation(
    "theta",
    sample="superscript",
    rename={"n": "i", "i": "p", "j": "q"},
    letters={"W": "Θ", "b": "Θ"},
    bias_column=True,
    letters_of_units="pqrtu",
)
NIELSEN = Notation(
    "nielsen",
    sample="superscript",
    rename={"i": "j", "j": "k", "k": "i"},
    letters={"W": "w", "J": "C", "f": "σ"},
    weight_shift=1,
    layer_in_parentheses=False,
    letters_of_units="jkpqr",
)
WEIGHTS_FROM_0 = replace(WEIGHTS, name="weights from 0", first=0)
NAMES = Notation("names", layered=False, first=0, letters_of_units="")
NOTATIONS: dict[str, Notation] = {n.name: n for n in (WEIGHTS, THETA, NIELSEN, NAMES)}


def split_name(name: str) -> tuple[str, str | None]:
    """The stem of a tensor's name and its layer.

    Example:
        >>> split_name("W1"), split_name("delta_l+1"), split_name("x")
        (('W', '1'), ('delta', 'l+1'), ('x', None))
    """
    match = _LAYERED.fullmatch(name) or _ANY_LAYERED.fullmatch(name)
    return (match[1], match[2]) if match else (name, None)


def derivative_name(name: str) -> tuple[str, str] | None:
    """For a cotangent called dJ_dW1: ("J", "W1"); None for other names."""
    match = _DERIVATIVE.fullmatch(name)
    return (match[1], match[2]) if match else None


def letter(name: str) -> Layout:
    """A name as one letter where it is one: Greek names in Greek, `s_1` with a subscript, `x_hat` with a hat.

    Example:
        >>> letter("lambda")
        Glyph(text='λ', kind='variable')
    """
    name = {"lam": "lambda", "lamda": "lambda", "lambda_": "lambda", "eps": "epsilon"}.get(name, name)
    of_document = _of_document(name)
    if of_document is not None:
        return of_document
    if name in GREEK:
        return Glyph("ε" if name == "epsilon" else GREEK[name])
    accent = _ACCENTED.fullmatch(name)
    if accent:
        inner = letter(accent[1])
        if isinstance(inner, Script):  # the mark stands over the letter, not over its subscript
            return Script(Accent(accent[2], inner.base), inner.below, inner.above)  # type: ignore[arg-type]
        return Accent(accent[2], inner)  # type: ignore[arg-type]
    base, _, below = name.partition("_")
    if below and (len(base) == 1 or base in GREEK or (base.isalpha() and len(below) == 1)):
        return Script(letter(base), short(below))
    prime = name.rstrip("'")
    if prime != name and prime:
        return Script(letter(prime), None, operator("′" * (len(name) - len(prime))))
    return Glyph(name)


def _of_document(name: str) -> Layout | None:
    """A name that an audit has made of what a document writes: "W^(2)", "hat y", "y each", "d h/d z", "size 1 of h"."""
    match = _SLOPE.fullmatch(name)
    if match:
        return Fence("(", derivative_layout(letter(match[1]), letter(match[2])), ")")
    match = _OF_EACH.fullmatch(name)
    if match:  # its first index says of which example
        return letter(match[1])
    match = _RAISED.fullmatch(name)
    if match:
        layer = letter(match[2]) if "_" in match[2] else short(match[2])
        return Script(letter(match[1]), None, Fence("(", layer, ")"))
    match = _ACCENT_BEFORE.fullmatch(name)
    if match:
        return Accent(match[1], letter(match[2]))  # type: ignore[arg-type]
    match = _LENGTH.fullmatch(name)
    if match:
        axis = () if match[1] == "1" else (Glyph(match[1], "number"),)
        return Script(Glyph("n"), separated([letter(match[2]), *axis]))
    return None


def short(text: str) -> Layout:
    """The text of a layer or a subscript: numbers upright, letters italic, + and - as operators."""
    parts: list[Layout] = []
    for piece in re.findall(r"\d+|[A-Za-z]+|\S", text):
        if piece.isdigit():
            parts.append(Glyph(piece, "number"))
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


def function_layout(function: Function, notation: Notation = WEIGHTS) -> Layout:
    """The name of a function: f, σ, relu, f′."""
    if function.primitive_of is not None:
        inner, argument = function.primitive_of
        base = function_layout(inner, notation)
        if function.arity == 1:
            return _primed(base)
        return Script(base, row(operator(","), Glyph(str(argument + 1), "number")))
    return _from_tex_name(notation.letters.get(function.latex, function.latex) or function.name)


def _primed(base: Layout) -> Layout:
    if isinstance(base, Script) and isinstance(base.above, Glyph):
        return Script(base.base, base.below, operator(base.above.text + "′"))
    if isinstance(base, Script):
        return Script(base.base, base.below, operator("′"))
    return Script(base, None, operator("′"))


def _from_tex_name(code: str) -> Layout:
    r"""The forms in which `Function.latex` is written: \sigma, \operatorname{relu}, f', \operatorname{gelu}_{\tanh}."""
    if code.endswith("'"):
        return _primed(_from_tex_name(code[:-1]))
    match = re.fullmatch(r"(.+)_\{([<>]?)(.*)\}", code)
    if match:
        below = _from_tex_name(match[3])
        return Script(_from_tex_name(match[1]), row(relation(match[2]), below) if match[2] else below)
    match = re.fullmatch(r"\\(operatorname|mathrm|mathbf)\{(.*)\}", code)
    if match:
        return Glyph(match[2], "bold" if match[1] == "mathbf" else "function")
    if code.startswith("\\"):
        greek = letter(code[1:])
        return greek if greek != Glyph(code[1:]) else Glyph(code[1:], "function")
    return short(code)


def tensor_layout(name: str, indices: Sequence[Layout], notation: Notation = WEIGHTS) -> Layout:
    """The tensor called `name` with indices that are already laid out; a whole tensor without any."""
    cotangent = derivative_name(name)
    if cotangent:
        return derivative_layout(
            tensor_layout(cotangent[0], (), notation), tensor_layout(cotangent[1], indices, notation)
        )
    if not notation.layered:
        return _scripted(letter(name), subscript(indices), None)
    stem, layer = split_name(name)
    if stem == "b" and notation.bias_column:
        return _scripted(letter("Theta"), subscript([*indices, Glyph("0", "number")]), _level(layer, notation))
    if layer is not None and stem in ("W", "b"):
        layer = shifted(layer, notation.weight_shift)
    sample: Layout | None = None
    if stem in _PER_SAMPLE and len(indices) == 2 and notation.sample == "superscript":
        sample, indices = indices[0], indices[1:]
    below = subscript(indices)
    if notation.bias_column and (stem == "h" or (stem == "a" and layer is not None and layer == notation.output_layer)):
        point = _scripted(letter("x"), None, _above(None, sample, notation))
        return _scripted(row(Script(letter("h"), letter("Theta")), Fence("(", point, ")")), below, None)
    return _scripted(letter(notation.letters.get(stem, stem)), below, _above(layer, sample, notation))


def _level(layer: str | None, notation: Notation) -> Layout | None:
    if layer is None:
        return None
    return Fence("(", short(layer), ")") if notation.layer_in_parentheses else short(layer)


def _above(layer: str | None, sample: Layout | None, notation: Notation) -> Layout | None:
    """Layer and sample as one superscript: (2)(i), or i,2."""
    level = _level(layer, notation)
    if sample is None:
        return level
    if not notation.layer_in_parentheses:
        return separated([sample, level]) if level else sample
    wrapped = Fence("(", sample, ")")
    return row(level, wrapped) if level else wrapped


def subscript(indices: Sequence[Layout]) -> Layout | None:
    """Indices side by side; with commas where one of them is more than a letter."""
    if not indices:
        return None
    single = all(
        (isinstance(p, Glyph) and len(p.text) == 1) or (isinstance(p, Script) and p.below is None) for p in indices
    )
    return row(*indices) if single else separated(indices)


def derivative_layout(top: Layout | None, bottom: Layout, *, direct: bool = False) -> Layout:
    """The fraction of a partial derivative; without `top` the operator alone.

    Args:
        direct: by one equation alone, all other tensors held fixed: written with a hat on both ∂.
    """
    curly: Layout = Accent("hat", Glyph("∂")) if direct else Glyph("∂")
    return Fraction(row(curly, top) if top else curly, row(curly, bottom))


def separated(parts: Sequence[Layout]) -> Layout:
    """Parts with commas between them."""
    out: list[Layout] = []
    for part in parts:
        out += [operator(","), part] if out else [part]
    return row(*out)


def _scripted(base: Layout, below: Layout | None, above: Layout | None) -> Layout:
    if below is None and above is None:
        return base
    if isinstance(base, Script) and base.below and not base.above and below:  # c_next at n, j: one subscript
        return Script(base.base, row(base.below, operator(","), below), above)
    if isinstance(base, Script) and base.above and not base.below and not above:  # W^{(2)} at k, j
        return Script(base.base, below, base.above)
    return Script(Row((base,)) if isinstance(base, Script) else base, below, above)
