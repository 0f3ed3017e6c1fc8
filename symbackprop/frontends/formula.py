"""Text formulas in Python's expression syntax, read by a whitelist and never evaluated.

    delta2[n,i] = sum(j, W2[j,i]*delta3[n,j]) * f_prime(z2[n,i])

A `Scope` says which tensors, scalars and functions there are. A sum's index ranges over the axis that its place in a
tensor demands; `sum(j < s_2 + 1, ...)` gives the range by hand. SymPy expressions are read in the form in which SymPy
prints them: `Sum(W2[j, i]*delta3[n, j], (j, 1, s_3))`. Python's parser reads the text, this module walks its tree and
refuses every node that is not arithmetic, a subscript or a call of a known function.

`parse` refuses a formula whose indices do not fit. `read_claim` reads it all the same and says what does not fit,
since a claim with a swapped index can still be refuted by numbers where the two axes are equally long.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from symbackprop.errors import FormulaError, IndexNotationError
from symbackprop.expression.build import Expr, Index
from symbackprop.frontends.formula_reader import Reader
from symbackprop.frontends.formula_syntax import Scope, split_equation, translated, tree


def parse(text: str, scope: Scope) -> Expr:
    """The expression that `text` describes.

    Raises:
        FormulaError: not a formula, or an unknown name (the nearest known one is named).
        IndexNotationError: an index is used on two different axes, or its range cannot be told.

    Example:
        >>> from symbackprop.expression.build import Symbol
        >>> parse("3*lambda", Scope(scalars={"lam": Symbol("lam")}))
        Multiply(factors=(Number(value=Fraction(3, 1)), Symbol(name='lam', kind='real')))
    """
    source = translated(text)
    return Reader(source, scope).read(tree(source))


@dataclass(frozen=True)
class Reading:
    """A claim as far as it can be understood.

    Args:
        value: the expression.
        strays: indices that are neither free on the left nor summed over.
        clashes: pairs of axes that one index runs over.
        partial: the length of a sum that is said aloud, and that of the axis it runs over, where they differ.
        problem: the first thing that does not fit, None if all is well.
    """

    value: Expr
    strays: tuple[Index, ...]
    clashes: tuple[tuple[Expr, Expr], ...]
    problem: IndexNotationError | None
    partial: tuple[tuple[Expr, Expr], ...] = ()


def read_claim(text: str, scope: Scope) -> Reading:
    """Like `parse`, but indices that do not fit are noted, not refused.

    Raises:
        FormulaError: not a formula, or an unknown name.
        IndexNotationError: the range of an index cannot be told.
    """
    source = translated(text)
    reader = Reader(source, scope, lenient=True)
    value = reader.read(tree(source))
    return Reading(
        value,
        tuple(reader.strays.values()),
        tuple(dict.fromkeys(reader.clashes)),
        reader.problem,
        tuple(dict.fromkeys(reader.partial)),
    )


def left_indices(text: str, scope: Scope) -> tuple[str, tuple[Index, ...]]:
    """The tensor's name and the free indices of a left side such as delta2[n,i].

    Raises:
        FormulaError: not a name with distinct indices in brackets.
        IndexNotationError: the wrong number of indices.
    """
    source = translated(text)
    node = tree(source)
    if isinstance(node, ast.Name):
        name, subscripts = node.id, []
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        name = node.value.id
        subscripts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    else:
        raise FormulaError("the left side must be one entry, such as delta2[n,i] or dJ/dW1[i,j]", where=source)
    reader = Reader(source, scope)
    tensor = reader.tensor(name, node)
    names = [s.id for s in subscripts if isinstance(s, ast.Name)]
    if len(names) != len(subscripts) or len(set(names)) != len(names):
        raise FormulaError("the indices of the left side must be distinct names", where=source)
    reader.check_rank(tensor, len(names), node)
    return name, tuple(Index(i, size) for i, size in zip(names, tensor.shape, strict=True))


__all__ = ["Reading", "Scope", "left_indices", "parse", "read_claim", "split_equation", "translated"]
