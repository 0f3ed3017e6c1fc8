"""A user's own lines of Python as mathematics, as far as latexify reads them without losing anything.

latexify drops keyword arguments (`sum(axis=0)` becomes a sum over nothing), knows no slices and no functions of arrays,
so a line that has one of these stays code. Main name: `lines_of`. This module must not know about verdicts.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from symbackprop.rendering.layout import Layout, relation, row
from symbackprop.rendering.tex_reader import read_tex

_LOSSY = (ast.keyword, ast.Subscript, ast.Lambda, ast.Dict, ast.ListComp, ast.Starred, ast.IfExp)
_FUNCTIONS = frozenset(["exp", "log", "sqrt", "abs", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arctan"])


@dataclass(frozen=True)
class UserLine:
    """One statement: where it stands in its file, what it says, and the mathematics where that could be read.

    Args:
        number, last: the first and the last of its lines.
    """

    number: int
    last: int
    code: str
    mathematics: Layout | None


def lines_of(function: Callable[..., Any]) -> tuple[UserLine, ...]:
    """The statements of a function in order; none if its source cannot be found."""
    try:
        source, start = inspect.getsourcelines(function)
        (tree,) = ast.parse(textwrap.dedent("".join(source))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return ()
    body = getattr(tree, "body", [])
    plain = [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    shift = start - 1
    return tuple(
        UserLine(shift + s.lineno, shift + (s.end_lineno or s.lineno), ast.unparse(s), _mathematics(s)) for s in plain
    )


def span_of(function: Callable[..., Any]) -> range:
    """The lines of its file where a function stands; empty if its source cannot be found."""
    try:
        source, start = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return range(0)
    return range(start, start + len(source))


def _mathematics(statement: ast.stmt) -> Layout | None:
    match statement:
        case ast.Assign(targets=[ast.Name() as name], value=value):
            left, right = _read(name), _read(value)
            return row(left, relation("="), right) if left and right else None
        case ast.Return(value=ast.expr() as value):
            return _read(value)
    return None


def _read(node: ast.expr) -> Layout | None:
    """One expression through latexify."""
    if any(isinstance(part, _LOSSY) or not _is_mathematics(part) for part in ast.walk(node)):
        return None
    from latexify.codegen.expression_codegen import ExpressionCodegen  # 0.14 s, for documents only
    from latexify.exceptions import LatexifyError

    try:
        code = ExpressionCodegen(use_math_symbols=True).visit(_matrices(node))
    except LatexifyError:
        return None
    return read_tex(code.replace(r"\_", "_").replace(r"\mathrm{top}", r"\top").replace(r"\mathrm{", r"\mathit{"))


def _is_mathematics(node: ast.AST) -> bool:
    """Of what is reached by a dot, a transpose and the functions of mathematics; latexify runs other names together."""
    return not isinstance(node, ast.Attribute) or node.attr == "T" or node.attr in _FUNCTIONS


def _matrices(node: ast.expr) -> ast.expr:
    """`w.T` as a power that is written as a transpose."""

    class Transposed(ast.NodeTransformer):
        def visit_Attribute(self, part: ast.Attribute) -> ast.expr:
            self.generic_visit(part)
            if part.attr != "T":
                return part
            return ast.BinOp(part.value, ast.Pow(), ast.Name("top", ast.Load()))

    tree: ast.expr = Transposed().visit(ast.parse(ast.unparse(node), mode="eval").body)
    return ast.fix_missing_locations(tree)
