"""The texts of a check: shapes ("4*H"), domains ("H + 2*pad >= KH, C % G == 0") and assumptions ("labels:C").

They are read by the whitelist of `formula`, narrowed to whole numbers, and never evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from symbackprop.errors import FormulaError, nearest
from symbackprop.expression.build import Expr, Quotient, Remainder, Symbol, Tensor, number, power
from symbackprop.expression.program import Assumption
from symbackprop.expression.sizes import simplify
from symbackprop.frontends.formula import Reader, Scope, tree

LARGEST_POWER = 8
KINDS = ("labels", "label", "onehot", "simplex", "prob", "pos", "bern", "pm1", "symmetric", "spd")


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
    return simplify(SizeReader(text.strip(), known).read(tree(text.strip(), "this is not an expression of sizes")))


def parse_where(text: str, known: Mapping[str, int]) -> tuple[Expr, ...]:
    """Comparisons of sizes, with commas for "and", as `Compare` nodes.

    Raises:
        FormulaError: the text is something else.
    """
    if not isinstance(text, str):
        raise FormulaError(f"where is of type {type(text).__name__}, not text", help=_WHERE)
    text = text.strip().rstrip(",").rstrip()
    if not text:
        return ()
    body = tree(text, "where takes comparisons of sizes", help=_WHERE)
    reader = SizeReader(text, known)
    return tuple(r for item in (body.elts if isinstance(body, ast.Tuple) else [body]) for r in reader.relations(item))


def parse_assumption(text: str, tensor: Tensor, known: Mapping[str, int]) -> Assumption:
    """What is known about an input: one of `KINDS`; "labels:C", "onehot:C" and "simplex:C" name a size.

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
            evidence=["known:  labels:C  label:C  onehot:C  simplex:C  prob  pos  bern  pm1  symmetric  spd"],
            help=f"did you mean {near!r}" if near else None,
        )
    if kind in ("onehot", "simplex"):
        return Assumption(kind, tensor, axis=_axis(text, size, tensor, known))  # type: ignore[arg-type]
    if kind in ("symmetric", "spd") and (len(tensor.shape) < 2 or tensor.shape[-1] is not tensor.shape[-2]):
        raise FormulaError(f"the assumption {text!r}: the last two axes of {tensor.name} are not of one size")
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


_WHERE = 'write comparisons with commas between them, such as "N >= 2, H % 2 == 0"'


class SizeReader(Reader):
    """Reads whole numbers: names are sizes, and // and % are what Python means by them.

    Args:
        known: names that stand for numbers.
    """

    def __init__(self, source: str, known: Mapping[str, int]) -> None:
        super().__init__(source, Scope())
        self.known = known

    def read(self, node: ast.expr) -> Expr:
        """The size that a node stands for."""
        match node:
            case ast.Constant(value=bool() | float()) | ast.Subscript() | ast.Call() | ast.Compare():
                raise self.refused(node)
            case ast.Constant() | ast.Name() | ast.UnaryOp(op=ast.USub() | ast.UAdd()) | ast.BinOp():
                return super().read(node)
        raise self.refused(node)

    def refused(self, node: ast.expr) -> FormulaError:
        """The error for what is no size."""
        return FormulaError(f"{ast.unparse(node)!r} is not an expression of sizes", where=self.source)

    def relations(self, node: ast.expr) -> list[Expr]:
        """The comparisons of `a < b <= c and ...`."""
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            return [r for value in node.values for r in self.relations(value)]
        if not isinstance(node, ast.Compare):
            raise FormulaError(f"{ast.unparse(node)!r} is not a comparison of sizes", where=self.source, help=_WHERE)
        if any(not isinstance(op, (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq)) for op in node.ops):
            raise FormulaError("only <, <=, >, >= and == are read here", where=self.source)
        sides = [self.read(side) for side in (node.left, *node.comparators)]
        return [self._compare(*pair, node) for pair in zip(sides, node.ops, sides[1:], strict=False)]

    def _name(self, name: str, node: ast.expr) -> Expr:
        return number(self.known[name]) if name in self.known else Symbol(name, "size")

    def _binary(self, left: ast.expr, operator: ast.operator, right: ast.expr, node: ast.expr) -> Expr:
        match operator, right:
            case ((ast.Add() | ast.Sub() | ast.Mult()), _):
                return super()._binary(left, operator, right, node)
            case ast.FloorDiv(), _:
                return Quotient(self.read(left), self.read(right))
            case ast.Mod(), _:
                return Remainder(self.read(left), self.read(right))
            case ast.Pow(), ast.Constant(value=int(exponent)) if 0 <= exponent <= LARGEST_POWER:
                return power(self.read(left), exponent)
        raise self.refused(node)
