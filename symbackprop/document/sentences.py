"""The sentences of a proof document: how tensors are described, and the questions that readers ask.

Each question is a row of a table: when it arises, how it is asked, how it is answered. Adding one never edits the
document's builder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

from symbackprop.document.model import Code, Inline, Symbolic, Text
from symbackprop.expression.build import (
    Add,
    Apply,
    Expr,
    Kronecker,
    Multiply,
    Number,
    Power,
    Sum,
    Symbol,
    Tensor,
    children,
    number,
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
}

_COUNTED = r"(?<=[lL]ayer )[lL](?: ?[+-] ?\d)?(?!\w)|(?<=unit )[ijk](?!\w)|(?<=[01] over )[a-z](?!\w)"
_COUNTED += r"|(?<=ctivation )f(?!\w)|(?<!\w)delta(?= of )"
_BEFORE_A_NAME = "|".join(
    rf"(?<={w} )"
    for w in ("respect to", "[bB]ack to", "equation of", "and", "This is", ",", "entries of", "written with")
)

CONVENTIONS = {
    "weights": (
        "Weights with the number $l$ lead from layer $l$ to layer $l+1$; the first index receives, the second sends. "
        "Indices count from 1, and $n$ numbers the examples."
    ),
    "theta": (
        "Column 0 of $\\Theta$ holds the biases, as if each layer had one more unit whose activation is 1. The one "
        "with number $l$ leads from layer $l$ to layer $l+1$; $p$ receives, $q$ sends. The superscript $(i)$ numbers "
        "the examples, so $i$ never counts units."
    ),
    "nielsen": (
        "Weights with the number $l$ lead from layer $l-1$ to layer $l$: they carry the number of the layer they "
        "feed; $j$ receives, $k$ sends. A superscript $n$ before the layer numbers the examples. The cost is $C$."
    ),
    "weights from 0": (
        "Weights with the number $l$ lead from layer $l$ to layer $l+1$; the first index receives, the second sends. "
        "Indices count from 0, so that column 0 can be that of the biases, and $n$ numbers the examples."
    ),
    "names": "All names are those of the program. Indices count from 0, as in NumPy.",
}


def described(tensor: Tensor, *, any_layer: bool = False) -> str:
    """What a tensor of a network is; "" for other names.

    Args:
        any_layer: speak of layer l instead of the tensor's own.
    """
    cotangent = derivative_name(tensor.name)
    if cotangent:
        return "derivatives of the cost" if any_layer else f"derivative of the cost with respect to {cotangent[1]}"
    stem, layer = split_name(tensor.name)
    layer = "l" if any_layer and layer else layer
    number = int(layer) if layer and layer.isdigit() else None
    following = str(number + 1) if number is not None else f"{layer} + 1"
    if layer is None and "{" in MEANINGS.get(stem, ""):
        return ""
    return MEANINGS.get(stem, "").format(layer=layer, next=following)


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
        rf"(`[^`]*`|\$[^$]*\$|(?<!\w)(?:dJ/d)?(?:{sure})(?:\[[\w,]+\])?(?!\w)"
        rf"|(?:{_BEFORE_A_NAME})(?:{other})(?!\w)|^(?:{other})(?= occurs in )|{_COUNTED})"
    )
    parts: list[Inline] = []
    for place, piece in enumerate(re.split(pattern, text)):
        if place % 2 == 0:
            parts += [piece.replace("!=", "≠").replace("<=", "≤").replace(">=", "≥")] if piece else []
        elif piece[0] == "$":
            parts.append(Symbolic(read_tex(piece[1:-1])))
        elif piece[0] == "`":
            parts.append(Code(piece[1:-1]))
        elif re.fullmatch(_COUNTED.replace("(?<=", "(?:|"), piece) and piece not in names:
            parts.append(Symbolic(_counted(piece, notation)))
        else:
            name, _, indices = piece.rstrip("]").replace("dJ/d", "dJ_d").partition("[")
            shown = [letter(notation.rename.get(i, i)) for i in indices.split(",") if i]
            parts.append(Symbolic(tensor_layout(name, shown, notation)))
    return tuple(parts)


def _counted(text: str, notation: Notation) -> Layout:
    """The letter of a layer, with what is added to it, or of a unit, an activation or an error term."""
    name = notation.rename.get(text) or notation.letters.get(text) or text
    return letter(name) if name.isalpha() else short(name)


def _unmistakable(name: str) -> bool:
    return any(c.isdigit() or c == "_" for c in name) or (len(name) == 1 and name not in "aAI")


@dataclass(frozen=True)
class ReaderQuestion:
    """A question that a reader may have.

    Args:
        arises: given the right side of the cost and all expressions of the chains, whether it does.
    """

    ask: str
    answer: str
    arises: Callable[[Expr, tuple[Expr, ...]], bool]


def holds(expr: Expr, test: Callable[[Expr], bool]) -> bool:
    """True if `test` holds for some node of `expr`; shared nodes are visited once."""
    seen: set[Expr] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        if test(node):
            return True
        seen.add(node)
        stack.extend(children(node))
    return False


def _is_half(node: Expr) -> bool:
    return isinstance(node, Number) and abs(node.value) == Fraction(1, 2)


def _is_logarithm(node: Expr) -> bool:
    return isinstance(node, Apply) and node.function.name == "log"


def _is_square_of_difference(node: Expr) -> bool:
    return isinstance(node, Power) and isinstance(node.base, Add) and node.exponent is number(2)


def _is_mean(node: Expr) -> bool:
    return isinstance(node, Power) and isinstance(node.base, Symbol) and node.base.kind == "size"


def _is_penalty(node: Expr) -> bool:
    return isinstance(node, Symbol) and node.kind != "size"


def _is_path_sum(node: Expr) -> bool:
    return isinstance(node, Sum) and isinstance(node.body, Multiply)


QUESTIONS = (
    ReaderQuestion(
        "Why is there a factor ½ in the cost?",
        "For tidiness only. Differentiating a square brings down a 2, and the ½ cancels it, so no stray factor has "
        "to be carried through the layers. A positive factor in front of the cost scales every gradient by the same "
        "number and moves no minimum; it only changes which step size suits.",
        lambda cost, chains: holds(cost, _is_half),
    ),
    ReaderQuestion(
        "Why average over the examples instead of adding them up?",
        "Again a positive factor, so the minima stay where they are. The mean keeps the size of the gradient "
        "comparable when the number of examples changes, so a step size found on a small batch still works on a "
        "large one. The factor enters once, at the output layer, and travels backwards inside the error terms.",
        lambda cost, chains: holds(cost, _is_mean),
    ),
    ReaderQuestion(
        "What is the second term of the cost for?",
        "It makes large weights expensive, so that of all weights that fit the examples about equally well the small "
        "ones are preferred. It says nothing about the examples, so it does not pass through the error terms: it "
        "adds its own derivative to the gradient of each weight, and nothing to that of a bias. A negative weight "
        "costs as much as a positive one of the same size. Read as probability, it is the logarithm of a prior that "
        "expects weights near zero.",
        lambda cost, chains: holds(cost, _is_penalty),
    ),
    ReaderQuestion(
        "Where does the error term of the output layer come from?",
        "From the chain rule with a single path: the pre-activation of an output unit moves the cost only through its "
        "own activation. So it is the slope of the cost with respect to the activation, times the slope of the "
        "activation itself, taken at $z$. The square gives $a - y$; written as $-(y - a)$ the minus sign is the "
        "derivative of $y - a$ with respect to $a$.",
        lambda cost, chains: holds(cost, _is_square_of_difference),
    ),
    ReaderQuestion(
        "Why has the output layer no slope of its activation left?",
        "The logarithms of the cost bring denominators that are exactly the factors of that slope, so the two cancel "
        "and only activation minus target remains. That is the practical reason for this pairing of cost and output: "
        "a unit that is confidently wrong still learns.",
        lambda cost, chains: holds(cost, _is_logarithm),
    ),
    ReaderQuestion(
        "Where does the sum over the later layer come from?",
        "A unit sends its activation to every unit of the next layer, so a small change in it reaches the cost along "
        "each of those connections at once. Each connection contributes its weight times the error term at its far "
        "end; the total change is their sum. That is why the sum runs over the receiving index of the weights, the "
        "first one, and the weights seem transposed. The index changes because one letter already names the unit in "
        "question; the units of the later layer, which are all visited, need a letter of their own.",
        lambda cost, chains: any(holds(e, _is_path_sum) for e in chains),
    ),
    ReaderQuestion(
        "Why does a sum collapse to a single term?",
        "Two entries of the same array are independent variables, so the derivative of one by the other is 1 when "
        "all their indices agree and 0 otherwise: a Kronecker delta. Under a sum it silences every term but one.",
        lambda cost, chains: any(holds(e, lambda node: isinstance(node, Kronecker)) for e in chains),
    ),
)
