"""The texts of a check: shapes ("4*H"), domains ("H + 2*pad >= KH, C % G == 0") and assumptions ("labels:C").

They are read by a whitelist over Python's syntax tree and never evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, NoReturn

from symbackprop.errors import FormulaError, nearest
from symbackprop.expression.build import (
    Compare,
    Expr,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    add,
    multiply,
    negate,
    number,
    power,
)
from symbackprop.expression.program import Assumption
from symbackprop.expression.sizes import simplify

LARGEST_POWER = 8
KINDS = ("labels", "label", "onehot", "simplex", "prob", "pos", "bern", "pm1")


def parse_size(text: str | int, known: Mapping[str, int]) -> Expr:
    """An integer expression of sizes.

    Args:
        known: names that stand for numbers: fixed sizes and keyword defaults.

    Raises:
        FormulaError: the text is no such expression.

    Example:
        >>> parse_size("4*H", {"H": 3})
        Number(value=Fraction(12, 1))
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return number(text)
    if not isinstance(text, str):
        raise FormulaError(f"a size is an int or text, not {type(text).__name__}")
    return simplify(_expression(_parse(text).body, text, known))


def parse_where(text: str, known: Mapping[str, int]) -> tuple[Expr, ...]:
    """Comparisons of sizes, with commas for "and", as `Compare` nodes.

    Raises:
        FormulaError: the text is something else.
    """
    if not isinstance(text, str):
        raise FormulaError(f"where is of type {type(text).__name__}, not text", help=_WHERE)
    try:
        body = ast.parse(f"({text.strip()},)" if text.strip() else "()", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FormulaError("where takes comparisons of sizes", where=text, help=_WHERE) from None
    assert isinstance(body, ast.Tuple)
    return tuple(relation for item in body.elts for relation in _relations(item, text, known))


def parse_assumption(text: str, tensor: Tensor, known: Mapping[str, int]) -> Assumption:
    """What is known about an input: "labels:C", "onehot", "onehot:C", "simplex:C", "prob", "pos", "bern", "pm1".

    Raises:
        FormulaError: an unknown kind, or labels without a number of classes.
    """
    if not isinstance(text, str):
        raise FormulaError(f"the assumption about {tensor.name} is of type {type(text).__name__}, not text")
    kind, _, size = text.partition(":")
    if kind not in KINDS:
        near = nearest(kind, KINDS)
        raise FormulaError(
            f"unknown assumption {text!r} about {tensor.name}",
            evidence=["known:  labels:C  label:C  onehot:C  simplex:C  prob  pos  bern  pm1"],
            help=f"did you mean {near!r}" if near else None,
        )
    if kind in ("onehot", "simplex"):
        return Assumption(kind, tensor, axis=_axis(text, size, tensor, known))  # type: ignore[arg-type]
    if kind in ("labels", "label"):
        if not size:
            raise FormulaError(f"the assumption {text!r} about {tensor.name} does not say how many classes there are",
                               help="write labels:C, where C is a size")  # fmt: skip
        return Assumption("labels", tensor, parse_size(size, known))
    return Assumption(kind, tensor)  # type: ignore[arg-type]


def _axis(text: str, size: str, tensor: Tensor, known: Mapping[str, int]) -> int:
    """The axis along which entries add up to 1: the one of the size that is named, else the last."""
    if not tensor.shape:
        raise FormulaError(f"{tensor.name} is a scalar, which has no one-hot rows")
    if not size:
        return -1
    wanted = parse_size(size, known)
    places = [k for k, axis in enumerate(tensor.shape) if axis is wanted]
    if len(places) != 1:
        which = "no axis" if not places else "more than one axis"
        raise FormulaError(f"the assumption {text!r}: {which} of {tensor.name} has the size {size}",
                           help="name the size of the axis along which the entries add up to 1")  # fmt: skip
    return places[0]


def _parse(text: str) -> ast.Expression:
    try:
        return ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FormulaError("this is not an expression of sizes", where=text) from None


_WHERE = 'write comparisons with commas between them, such as "N >= 2, H % 2 == 0"'


def _refuse(node: ast.AST, text: str, what: str) -> NoReturn:
    raise FormulaError(what, where=text)


_BINARY: dict[type[ast.operator], Any] = {
    ast.Add: add,
    ast.Sub: lambda a, b: add(a, negate(b)),
    ast.Mult: multiply,
    ast.FloorDiv: Quotient,
    ast.Mod: Remainder,
}


def _expression(node: ast.AST, text: str, known: Mapping[str, int]) -> Expr:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return number(value)
        case ast.Name(id=name):
            return number(known[name]) if name in known else Symbol(name, "size")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return negate(_expression(operand, text, known))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_expression(left, text, known), _expression(right, text, known))  # type: ignore[no-any-return]
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int(exponent))) if (
            0 <= exponent <= LARGEST_POWER
        ):
            return power(_expression(left, text, known), exponent)
    _refuse(node, text, f"{ast.unparse(node)!r} is not an expression of sizes")


def _relations(node: ast.AST, text: str, known: Mapping[str, int]) -> list[Expr]:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return [r for value in node.values for r in _relations(value, text, known)]
    if not isinstance(node, ast.Compare):
        raise FormulaError(f"{ast.unparse(node)!r} is not a comparison of sizes", where=text, help=_WHERE)
    sides = [_expression(side, text, known) for side in (node.left, *node.comparators)]
    relations: list[Expr] = []
    for left, op, right in zip(sides, node.ops, sides[1:], strict=False):
        match op:
            case ast.Lt():
                relations.append(Compare("<", left, right))
            case ast.LtE():
                relations.append(Compare("<=", left, right))
            case ast.Gt():
                relations.append(Compare("<", right, left))
            case ast.GtE():
                relations.append(Compare("<=", right, left))
            case ast.Eq():
                relations.append(Compare("==", left, right))
            case _:
                _refuse(node, text, "only <, <=, >, >= and == are read here")
    return relations
