"""The spelling of formulas: which names there are, how text becomes Python's syntax tree, where an index stands.

Text is parsed, never evaluated. Main names: `Scope`, `translated`, `tree`, `split_equation`, `axes_of`. This module
must not know what a formula means.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from symbackprop.errors import FormulaError
from symbackprop.expression.build import Expr, Index, Symbol, Tensor
from symbackprop.expression.functions import FUNCTIONS, Function

MAXIMUM_LENGTH = 10_000
MAXIMUM_DEPTH = 200  # levels of nesting; a sum of n terms has n
_KEYWORDS = {"lambda": "lam", "λ": "lam", "δ": "delta", "σ": "sigmoid", "ε": "eps"}


@dataclass(frozen=True)
class Scope:
    """What the names of a formula mean.

    Args:
        tensors: by name; a tensor of shape () is written without subscript.
        scalars: sizes and hyper-parameters by name.
        functions: by name, beside those of `primitives`.
        indices: free indices, fixed by the left side.
        widths: the length of an axis in numbers, where the user gave it; SymPy sums may say 5 instead of s_2.
        arithmetic: whether a subscript may be computed, W[i,j+1], and indices may be compared, as in where(j < 1, ...).
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    scalars: Mapping[str, Expr] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)
    indices: Mapping[str, Index] = field(default_factory=dict)
    widths: Mapping[Expr, int] = field(default_factory=dict)
    arithmetic: bool = False

    def names(self) -> list[str]:
        """All names that may stand in a formula."""
        return [
            *self.tensors,
            *self.scalars,
            *self.functions,
            *FUNCTIONS,
            *self.indices,
            "sum",
            "sqrt",
            "where",
            "kronecker",
        ]


def translated(text: str) -> str:
    """`text` with Greek letters and dJ/dW1[...] in the spelling that Python's parser takes."""
    if not text.strip():
        raise FormulaError("the formula is empty")
    if len(text) > MAXIMUM_LENGTH:
        raise FormulaError(f"the formula has {len(text)} characters, more than {MAXIMUM_LENGTH}")
    text = re.sub(r"\bdJ\s*/\s*d(?=[A-Za-z])", "dJ_d", text)
    for word, name in _KEYWORDS.items():
        text = re.sub(rf"\b{word}(?![A-Za-z])", name, text) if word.isascii() else text.replace(word, name)
    return text.strip()


def tree(source: str) -> ast.expr:
    """Python's syntax tree of a formula, of limited depth.

    Raises:
        FormulaError: it is not a formula, or nested too deeply.
    """
    first_line = source.split("\n")[0]
    try:
        parsed = ast.parse(source, mode="eval").body
    except (RecursionError, MemoryError):
        raise FormulaError(f"the formula is nested deeper than {MAXIMUM_DEPTH} levels") from None
    except (SyntaxError, ValueError) as error:
        column = (getattr(error, "offset", None) or 1) - 1
        raise FormulaError("this is not a formula", where=first_line, span=(column, column + 1)) from None
    level: list[ast.AST] = [parsed]
    for _ in range(MAXIMUM_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return parsed
    raise FormulaError(f"the formula is nested deeper than {MAXIMUM_DEPTH} levels")


def split_equation(text: str) -> tuple[str, str]:
    """The two sides of "left = right".

    Raises:
        FormulaError: there is no = or more than one.
    """
    sides = re.split(r"(?<![=<>!])=(?!=)", text)
    if len(sides) != 2:
        raise FormulaError("an equation has one = sign", where=text, help='write it as "delta2[n,i] = ..."')
    return sides[0].strip(), sides[1].strip()


def axes_of(node: ast.AST, name: str, tensors: Mapping[str, Tensor]) -> Iterator[Expr]:
    """The sizes of the axes at which the index `name` stands."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sum":
        for binder in node.args[:-1]:
            inner = binder.elts[0] if isinstance(binder, ast.Tuple) and binder.elts else binder
            inner = inner.left if isinstance(inner, ast.Compare) else inner
            if isinstance(inner, ast.Name) and inner.id == name:
                return
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        tensor = tensors.get(node.value.id)
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if tensor is not None and len(parts) == len(tensor.shape):
            for part, size in zip(parts, tensor.shape, strict=True):
                if isinstance(part, ast.Name) and part.id == name:
                    yield size
    for child in ast.iter_child_nodes(node):
        yield from axes_of(child, name, tensors)


def size_text(size: Expr) -> str:
    """A size by its name."""
    return size.name if isinstance(size, Symbol) else str(size)
