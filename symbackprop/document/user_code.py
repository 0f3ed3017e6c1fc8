"""A user's own lines of Python as mathematics, as far as latexify reads them without losing anything.

latexify drops keyword arguments (`sum(axis=0)` becomes a sum over nothing), knows no slices and no functions of arrays,
so a line that has one of these stays code. Main name: `lines_of`.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Set
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


def lines_of(function: Callable[..., Any], numbers: Iterable[str] = ()) -> tuple[UserLine, ...]:
    """The statements of a function in order; none if its source cannot be found.

    Args:
        numbers: the names that stand for single numbers; arguments with a number as default are known to.
    """
    try:
        source, start = inspect.getsourcelines(function)
        (tree,) = ast.parse(textwrap.dedent("".join(source))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return ()
    body = getattr(tree, "body", [])
    plain = [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    shift, single = start - 1, {*numbers, *_number_arguments(tree)}
    return tuple(
        UserLine(shift + s.lineno, shift + (s.end_lineno or s.lineno), _in_one_line(s), _mathematics(s, single))
        for s in plain
    )


def _in_one_line(statement: ast.stmt) -> str:
    """A statement; of one that holds others its first line."""
    text = ast.unparse(statement)
    return f"{text.partition(chr(10))[0]} ..." if hasattr(statement, "body") else text


def statement_at(function: Callable[..., Any], number: int) -> str:
    """The innermost statement of a function at a line of its file; "" if none is found there."""
    try:
        source, start = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(source)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return ""
    line = number - start + 1
    around = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and n.lineno <= line <= (n.end_lineno or n.lineno)]
    return _in_one_line(around[-1]) if len(around) > 1 else ""  # one within another comes after it


def span_of(function: Callable[..., Any]) -> range:
    """The lines of its file where a function stands; empty if its source cannot be found."""
    try:
        source, start = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return range(0)
    return range(start, start + len(source))


def _number_arguments(tree: ast.stmt) -> list[str]:
    """The arguments of a function whose default is a number."""
    given = getattr(tree, "args", None)
    if given is None:
        return []
    plain = [*given.posonlyargs, *given.args]
    pairs = [
        *zip(plain[::-1], given.defaults[::-1], strict=False),
        *zip(given.kwonlyargs, given.kw_defaults, strict=True),
    ]
    return [a.arg for a, default in pairs if isinstance(default, ast.Constant)]


def _mathematics(statement: ast.stmt, numbers: Set[str]) -> Layout | None:
    match statement:
        case ast.Assign(targets=[ast.Name() as name], value=value):
            left, right = _read(name, numbers), _read(value, numbers)
            return row(left, relation("="), right) if left and right else None
        case ast.Return(value=ast.expr() as value):
            return _read(value, numbers)
    return None


def _read(node: ast.expr, numbers: Set[str]) -> Layout | None:
    """One expression through latexify."""
    if any(isinstance(part, _LOSSY) or not _is_mathematics(part) for part in ast.walk(node)):
        return None
    from latexify.codegen.expression_codegen import ExpressionCodegen  # 0.14 s, for documents only
    from latexify.exceptions import LatexifyError

    try:
        code = ExpressionCodegen(use_math_symbols=True).visit(_matrices(node, numbers))
    except LatexifyError:
        return None
    code = code.replace(r"\_", "_").replace(rf"\mathrm{{{_GROUP}}}", "")
    for sign, mark in _PRODUCTS.items():
        code = re.sub(rf"(\\cdot )?\\mathrm\{{{sign}\}}( \\cdot)?", mark.replace(chr(92), chr(92) * 2), code)
    return read_tex(code.replace(r"\mathrm{top}", r"\top").replace(r"\mathrm{", r"\mathit{"))


def _is_mathematics(node: ast.AST) -> bool:
    """Of what is reached by a dot, a transpose and the functions of mathematics; latexify runs other names together."""
    return not isinstance(node, ast.Attribute) or node.attr == "T" or node.attr in _FUNCTIONS


_GROUP = "group"
_ENTRIES, _MATRICES = "product_of_entries", "product_of_matrices"
_PRODUCTS = {_ENTRIES: r"\odot", _MATRICES: r"\,"}  # latexify writes one dot for both


def _matrices(node: ast.expr, numbers: Set[str]) -> ast.expr:
    """`w.T` as a power that is written as a transpose; a product of arrays is marked as that of entries or matrices."""

    class Marked(ast.NodeTransformer):
        def visit_Attribute(self, part: ast.Attribute) -> ast.expr:
            self.generic_visit(part)
            if part.attr != "T":
                return part
            return ast.BinOp(part.value, ast.Pow(), ast.Name("top", ast.Load()))

        def visit_BinOp(self, part: ast.BinOp) -> ast.expr:
            single = _is_number(part.left, numbers) or _is_number(part.right, numbers)
            self.generic_visit(part)
            if single or not isinstance(part.op, ast.Mult | ast.MatMult):
                return part
            if isinstance(part.op, ast.Mult):
                return _product(part.left, _ENTRIES, part.right)
            return _product(_grouped(part.left), _MATRICES, _grouped(part.right))

    tree: ast.expr = Marked().visit(ast.parse(ast.unparse(node), mode="eval").body)
    return ast.fix_missing_locations(tree)


def _product(left: ast.expr, sign: str, right: ast.expr) -> ast.expr:
    return ast.BinOp(ast.BinOp(left, ast.Mult(), ast.Name(sign, ast.Load())), ast.Mult(), right)


def _grouped(part: ast.expr) -> ast.expr:
    """A product of entries inside a matrix product, in brackets."""
    inner = part.left if isinstance(part, ast.BinOp) else None
    if isinstance(inner, ast.BinOp) and isinstance(inner.right, ast.Name) and inner.right.id == _ENTRIES:
        return ast.Call(ast.Name(_GROUP, ast.Load()), [part], [])
    return part


def _is_number(node: ast.expr, numbers: Set[str]) -> bool:
    """Whether an expression has no array in it."""
    return all(part.id in numbers for part in ast.walk(node) if isinstance(part, ast.Name))
