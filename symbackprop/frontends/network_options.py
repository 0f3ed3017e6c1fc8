"""Reading the description of a network: widths, activations, cost; each mistake gets one message.

Text is parsed by `formula`, never evaluated. This module knows what may be said, not what is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import sympy as sp

from symbackprop.errors import NetworkError, nearest
from symbackprop.expression.build import Symbol
from symbackprop.expression.functions import (
    ACTIVATIONS,
    ARGUMENTS,
    FUNCTIONS,
    WRITTEN_OUT,
    Function,
    activation,
    arbitrary,
    defined,
)
from symbackprop.expression.sympy_bridge import PLACES, from_sympy, to_sympy
from symbackprop.frontends.formula import UNKNOWN_OF_SYMPY, Scope, parse

COSTS = ("squared_error", "cross_entropy", "softmax_cross_entropy")
MAXIMUM_WIDTH, MAXIMUM_DEPTH = 10**8, 2000
Activation: TypeAlias = str | sp.Expr | Function
_RESERVED = re.compile(r"(?:[xyhJmnS]|lam|top|[WbzaR]\d+|delta\d*|f|f_prime|sum|pi)\Z")


def read_widths(layers: Sequence[int | str] | str) -> list[int | str]:
    """Widths from a list or from text such as "3,5,4" or "s_1,s_2,K".

    Raises:
        NetworkError: says which layer is wrong.
    """
    text = layers if isinstance(layers, str) else ",".join(str(w) for w in layers)
    parts = [p.strip() for p in layers.split(",")] if isinstance(layers, str) else list(layers)
    widths: list[int | str] = []
    for number_, part in enumerate(parts, start=1):
        widths.append(_read_width(part, number_, text))
    if len(widths) < 2:
        raise NetworkError("a network has at least two layers, input and output", where=text, help="for example 3,5,4")
    if len(widths) > MAXIMUM_DEPTH:
        raise NetworkError(
            f"{len(widths)} layers are more than {MAXIMUM_DEPTH}", help='use depth="L" for a theorem about any depth'
        )
    return widths


def _read_width(part: object, number_: int, text: str) -> int | str:
    if isinstance(part, (bool, float)):
        raise NetworkError(f"the width of layer {number_} is {part!r}, not a whole number", where=text)
    if isinstance(part, (int, np.integer)) or (isinstance(part, str) and re.fullmatch(r"[+-]?\d+", part)):
        width = int(part)
        if width < 1:
            raise NetworkError(
                f"layer {number_} has {width} units", where=text, help="every layer has at least one unit"
            )
        if width > MAXIMUM_WIDTH:
            raise NetworkError(
                f"layer {number_} has {width} units, more than {MAXIMUM_WIDTH}",
                where=text,
                help="use a symbol for any width",
            )
        return width
    if isinstance(part, str) and not part:
        raise NetworkError(f"the width of layer {number_} is missing", where=text, help="write widths as 3,5,4")
    if isinstance(part, str) and re.fullmatch(r"[A-Za-z]\w*", part):
        if _RESERVED.match(part):
            raise NetworkError(
                f"{part!r} has a meaning of its own and cannot name a width", where=text, help=f"call it s_{number_}"
            )
        return part
    raise NetworkError(
        f"the width of layer {number_}, {part!r}, is neither a whole number nor a name",
        where=text,
        help="write widths as 3,5,4",
    )


def read_cost(cost: str | sp.Expr) -> tuple[Function | None, str]:
    """The user's own cost as a function of h and y (None for a known one), and its name.

    Raises:
        NetworkError: an unknown name, or an expression without h.
    """
    if isinstance(cost, str):
        name = cost.replace("-", "_")
        if name in COSTS:
            return None, name
        near = nearest(name, COSTS)
        if re.fullmatch(r"\w+", name):
            raise NetworkError(
                f"unknown cost {cost!r}",
                evidence=["known:  " + ", ".join(COSTS) + ", or an expression in h and y"],
                help=f"did you mean {near!r}" if near else None,
            )
        symbols_ = {"h": Symbol("z"), "y": Symbol("y")}
        expression = to_sympy(
            parse(cost, Scope(scalars=symbols_)), {Symbol("z"): ARGUMENTS[0], Symbol("y"): ARGUMENTS[1]}
        )
    else:
        by_name = {s.name: s for s in cost.free_symbols}
        if "h" not in by_name:
            raise NetworkError("the cost must be an expression in the symbols h and y", where=str(cost))
        expression = cost.subs(
            {by_name[n]: s for n, s in (("h", ARGUMENTS[0]), ("y", ARGUMENTS[1])) if n in by_name}, simultaneous=True
        )
        _read_through(expression)
    return Function("cost", 2, expression, _kinks(expression), latex="c"), "cost"


def read_activations(given: Activation | Sequence[Activation], depth: int, cost: str) -> list[Function | None]:
    """One function for each layer after the input; None for a softmax."""
    if isinstance(given, (list, tuple)):
        if len(given) != depth - 1:
            raise NetworkError(
                f"{len(given)} activations for {depth - 1} layers after the input",
                evidence=["list:   hidden ..., output"],
            )
        several = list(given)
    else:
        several = [given] * (depth - 1)
        if cost == "softmax_cross_entropy":
            several[-1] = "softmax"
    for number_, name in enumerate(several[:-1], start=2):
        if name == "softmax":
            raise NetworkError(
                f"softmax in hidden layer {number_} is not supported",
                evidence=["known:  " + ", ".join(ACTIVATIONS)],
                help="softmax is supported at the output",
            )
    if cost == "softmax_cross_entropy" and several[-1] != "softmax":
        raise NetworkError(
            f"softmax_cross_entropy needs a softmax at the output, not {several[-1]}",
            help='write activation=[..., "softmax"]',
        )
    return [None if a == "softmax" else read_activation(a) for a in several]


def split_top_level(text: str) -> list[str]:
    """Split at the commas that stand outside parentheses.

    Example:
        >>> split_top_level("max(z, 0), sigmoid")
        ['max(z, 0)', 'sigmoid']
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def split_activations(text: str, count: int) -> str | list[str]:
    """One activation, or one for each of `count` layers; of two, the first is that of all hidden layers."""
    parts = split_top_level(text)
    if len(parts) == 1:
        return parts[0]
    return [parts[0]] * (count - 1) + [parts[1]] if len(parts) == 2 and count > 2 else parts


def read_activation(given: Activation) -> Function:
    """An activation from its name, a formula in one symbol, or a SymPy expression.

    Raises:
        NetworkError: unknown, or more than one symbol.
    """
    if isinstance(given, Function):
        return given
    if isinstance(given, str):
        if re.fullmatch(r"[fgh]\d*", given):
            return arbitrary(given)
        if given in WRITTEN_OUT or given in UNKNOWN_OF_SYMPY:
            return read_activation(f"{given}(z)")
        if re.fullmatch(r"\w+", given) and not re.fullmatch(r"z", given):
            return activation(given)
        words = [w for w in dict.fromkeys(re.findall(r"[A-Za-z_]\w*\b(?!\s*\()", given)) if w != "pi"]
        if len(words) != 1:
            raise NetworkError(
                "an activation is a formula in one symbol", where=given, help="for example z/(1 + exp(-z))"
            )
        expression = to_sympy(parse(given, Scope(scalars={words[0]: Symbol("z")})), {Symbol("z"): ARGUMENTS[0]})
        return _defined_activation(expression)
    symbols_ = list(getattr(given, "free_symbols", ()))
    if len(symbols_) != 1:
        raise NetworkError("an activation is a SymPy expression in one symbol", where=str(given))
    return _defined_activation(_read_through(given.subs(symbols_[0], ARGUMENTS[0])))


def _read_through(expression: sp.Expr) -> sp.Expr:
    """The user's expression, provided every function in it can be read."""
    from_sympy(expression, dict(zip(ARGUMENTS, PLACES, strict=True)))
    return expression


def _defined_activation(expression: sp.Expr) -> Function:
    for name in ACTIVATIONS:
        if FUNCTIONS[name].definition == expression:
            return FUNCTIONS[name]
    return defined("phi", expression, kinks=_kinks(expression), latex=r"\phi")


def _kinks(expression: sp.Expr) -> tuple[sp.Expr, ...]:
    """Arguments of Max, Abs, sign and Piecewise conditions: where they vanish, the function may have a kink."""
    found: dict[sp.Expr, None] = {}
    for node in sp.preorder_traversal(expression):
        if isinstance(node, (sp.Max, sp.Min)):
            found.update(dict.fromkeys(a - b for k, a in enumerate(node.args) for b in node.args[k + 1 :]))
        elif isinstance(node, (sp.Abs, sp.sign, sp.Heaviside)):
            found[node.args[0]] = None
        elif isinstance(node, sp.core.relational.Relational):
            found[node.lhs - node.rhs] = None
    return tuple(found)
