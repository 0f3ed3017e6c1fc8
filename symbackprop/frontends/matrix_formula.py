"""Formulas of whole arrays, as a textbook or NumPy writes them, in index notation.

    dJ/dW2 = delta3.T @ a2                       dJ_dW2[i,j] = sum(n, delta3[n,i]*a2[n,j])
    delta2 = (delta3 @ W2) * f_prime(z2)         delta2[n,i] = sum(j, delta3[n,j]*W2[j,i])*f_prime(z2[n,i])

Arrays have the shapes of the scope's tensors; examples are rows. `@` is the matrix product, `*` goes entry by entry,
axes are aligned from the right as in NumPy. Only what has one meaning is read: names, numbers, arithmetic, known
functions, `.T`, `.sum(axis=0)` and `.mean(axis=0)`. Scalar arithmetic is that of `formula`.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from symbackprop.errors import FormulaError, IndexNotationError
from symbackprop.expression.build import (
    Entry,
    Expr,
    Index,
    Tensor,
    contraction,
    divide,
    fresh,
    multiply,
    substitute,
)
from symbackprop.frontends.formula import Reader, Scope, size_text, translated, tree

Combine = Callable[..., ast.expr]


@dataclass(frozen=True)
class ArrayFormula:
    """An array: the value of its entry at `indices`."""

    indices: tuple[Index, ...]
    entry: Expr

    def at(self, indices: Sequence[Expr]) -> Expr:
        """The value of the entry with these indices."""
        return substitute(self.entry, dict(zip(self.indices, indices, strict=True)))


def speaks_of_arrays(left: str, right: str, scope: Scope) -> bool:
    """Whether an equation is one of whole arrays: its left side has axes and no indices, or its right side an `@`.

    Raises:
        FormulaError: the right side is no formula.

    Example:
        >>> speaks_of_arrays("dJ/dW1", "x", Scope())
        False
    """
    nodes = list(ast.walk(tree(translated(right))))
    name = translated(left)
    if name in scope.tensors and scope.tensors[name].shape:
        return True
    return any(isinstance(n, (ast.MatMult, ast.Attribute)) for n in nodes)


def own_indices(tensor: Tensor) -> tuple[Index, ...]:
    """Indices for the entry of a tensor on the left side: n for examples, i and j for units."""
    names = itertools.chain("ijkl", (f"i{k}" for k in itertools.count(1)))
    return tuple(Index("n" if size_text(n) == "m" else next(names), n) for n in tensor.shape)


def read_arrays(text: str, indices: Sequence[Index], scope: Scope) -> Expr:
    """The entry at `indices` of the array that `text` describes.

    Raises:
        FormulaError: not a formula of whole arrays, or an unknown name.
        IndexNotationError: shapes that do not fit.
    """
    source = translated(text)
    node = tree(source)
    reader = _ArrayReader(source, scope)
    found = reader.read(node)
    wanted = tuple(i.size for i in indices)
    if len(found.indices) > len(wanted) or reader.misfit(found, wanted):
        evidence = (f"left:   {_shape_text(wanted)}", f"right:  {_shape_text([i.size for i in found.indices])}")
        raise reader.scalars.fail(
            "the two sides have different shapes", node, kind=IndexNotationError, evidence=evidence
        )
    return found.at(indices[len(wanted) - len(found.indices) :])


class _ArrayReader:
    """Walks the tree of one formula; entries are combined by the reader of index notation, under names of their own."""

    def __init__(self, source: str, scope: Scope) -> None:
        self.scope = scope
        self.scalars = Reader(source, scope)

    def read(self, node: ast.expr) -> ArrayFormula:
        match node:
            case ast.Name(id=name) if name in self.scope.tensors:
                tensor = self.scope.tensors[name]
                indices = tuple(fresh("i", size) for size in tensor.shape)
                return ArrayFormula(indices, Entry(tensor, indices))
            case ast.Attribute(value=inner, attr="T"):
                found = self.read(inner)
                return ArrayFormula(found.indices[::-1], found.entry)
            case ast.BinOp(left=left, op=ast.MatMult(), right=right):
                return self._product(self.read(left), self.read(right), node)
            case ast.BinOp(left=left, op=operator, right=right):
                pair = [self.read(left), self.read(right)]
                return self._entrywise(pair, node, lambda a, b: ast.BinOp(a, operator, b))
            case ast.UnaryOp(op=sign, operand=inner):
                return self._entrywise([self.read(inner)], node, lambda a: ast.UnaryOp(sign, a))
            case ast.Call(func=ast.Attribute(value=inner, attr="sum" | "mean" as name)):
                return self._reduced(self.read(inner), name, node)
            case ast.Call(func=ast.Name() as function, args=args, keywords=[]) if function.id not in ("sum", "Sum"):
                found_all = [self.read(a) for a in args]
                return self._entrywise(found_all, node, lambda *names: ast.Call(function, list(names), []))
            case ast.Constant() | ast.Name():
                return ArrayFormula((), self.scalars.read(node))
            case ast.Subscript() | ast.Call(func=ast.Name()):
                raise self.scalars.fail(
                    "entries and whole arrays stand in one formula",
                    node,
                    help="write every array with its indices, also on the left: dJ/dW2[i,j] = ...",
                )
        raise self.scalars.fail(
            "only names, numbers, + - * / ** @, .T, .sum(axis=0), .mean(axis=0) and known functions are read here",
            node,
            help="index notation says everything: sum(n, delta3[n,i]*a2[n,j])",
        )

    def _entrywise(self, arrays: list[ArrayFormula], node: ast.expr, combine: Combine) -> ArrayFormula:
        """A scalar operation at each entry, axes aligned from the right."""
        if not arrays:
            return ArrayFormula((), self.scalars.read(node))
        longest = max(arrays, key=lambda a: len(a.indices))
        sizes = tuple(i.size for i in longest.indices)
        if any(self.misfit(a, sizes) for a in arrays):
            raise self._unfit(arrays, node)
        indices = tuple(fresh("i", size) for size in sizes)
        entries = [a.at(indices[len(sizes) - len(a.indices) :]) for a in arrays]
        names = {f"entry_{k}": entry for k, entry in enumerate(entries)}
        operation = combine(*(ast.Name(name) for name in names))
        for part in ast.walk(operation):
            ast.copy_location(part, node)
        self.scalars.scope = replace(self.scope, scalars={**self.scope.scalars, **names})
        value = self.scalars.read(operation)
        self.scalars.scope = self.scope
        return ArrayFormula(indices, value)

    def misfit(self, array: ArrayFormula, sizes: Sequence[Expr]) -> bool:
        """Whether the array's axes, aligned from the right, are not of these sizes."""
        return any(i.size is not n for i, n in zip(array.indices[::-1], tuple(sizes)[::-1], strict=False))

    def _product(self, left: ArrayFormula, right: ArrayFormula, node: ast.expr) -> ArrayFormula:
        """left @ right, of matrices and vectors."""
        if not (1 <= len(left.indices) <= 2 and 1 <= len(right.indices) <= 2):
            raise self.scalars.fail(
                "@ multiplies matrices and vectors", node, help="write * for a product with a number"
            )
        *rows, inner = left.indices
        other, *columns = right.indices
        if inner.size is not other.size:
            raise self._unfit([left, right], node)
        name = "n" if size_text(inner.size) == "m" else "j"
        body = contraction(name, inner.size, lambda j: multiply(left.at([*rows, j]), right.at([j, *columns])))
        return ArrayFormula((*rows, *columns), body)

    def _reduced(self, array: ArrayFormula, name: str, node: ast.Call) -> ArrayFormula:
        """x.sum(axis=0), x.mean(axis=0), and without an axis over all of them."""
        given = [*node.args, *(k.value for k in node.keywords if k.arg == "axis")]
        match given:
            case []:
                axes = list(array.indices)
            case [ast.Constant(value=int(axis))] if 0 <= axis < len(array.indices):
                axes = [array.indices[axis]]
            case [ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(axis)))] if 1 <= axis <= len(array.indices):
                axes = [array.indices[-axis]]
            case _:
                raise self.scalars.fail(f"{name} takes one axis of the array", node, help=f"write .{name}(axis=0)")
        if len(given) != len(node.args) + len(node.keywords):
            raise self.scalars.fail(f"{name} takes an axis alone", node, help=f"write .{name}(axis=0)")
        body = array.entry
        for index in axes:
            summed, label = body, "n" if size_text(index.size) == "m" else "j"
            body = contraction(label, index.size, lambda j, i=index, e=summed: substitute(e, {i: j}))  # type: ignore[misc]
            body = divide(body, index.size) if name == "mean" else body
        return ArrayFormula(tuple(i for i in array.indices if i not in axes), body)

    def _unfit(self, arrays: list[ArrayFormula], node: ast.expr) -> FormulaError | IndexNotationError:
        shapes = tuple(f"shape:  {_shape_text([i.size for i in a.indices])}" for a in arrays)
        return self.scalars.fail(
            "the shapes do not fit",
            node,
            kind=IndexNotationError,
            evidence=shapes,
            help="examples are rows here: x, z, a and delta are (m, s), W is (receives, sends)",
        )


def _shape_text(sizes: Sequence[Expr]) -> str:
    return f"({', '.join(map(size_text, sizes))})"
