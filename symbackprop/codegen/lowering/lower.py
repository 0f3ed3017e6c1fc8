"""Program -> imperative form.

Every equation becomes one elementwise statement, with the sums, extrema and index look-ups inside it taken out into
statements of their own; sums become contractions of two arrays (`contract`). Equal subexpressions are found by
comparing them up to the names of their indices, so that softmax's row sum is computed once. `share` and `prune` do
the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Literal

from symbackprop.codegen.lowering.contract import deltas, distributes, factors_of, grouped, next_pair, opened
from symbackprop.codegen.lowering.form import (
    Contract,
    Form,
    Gather,
    Map,
    Reduce,
    ReduceKind,
    Statement,
    is_plain,
    prune,
    unbound,
)
from symbackprop.codegen.lowering.share import Key, key, share
from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import (
    ONE,
    Add,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Kronecker,
    MatrixEntry,
    Multiply,
    Partial,
    Position,
    Sum,
    Tensor,
    Total,
    Where,
    add,
    children,
    free_indices,
    multiply,
    rebuild,
    where,
)
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.sizes import simplify
from symbackprop.proofs.stable_functions import machine_form


def lower(program: Program, comments: dict[Tensor, str] | None = None) -> Form:
    """The imperative form of `program`, pruned to its outputs.

    Raises:
        UnsupportedError: an arbitrary function, or a derivative that has not been worked out.
    """
    lowering = Lowering(program)
    for equation in program.equations:
        lowering.equation(equation)
    form = Form(program.inputs, tuple(lowering.statements), program.outputs, program.parameters, comments or {})
    form = prune(share(prune(form, form.outputs)), form.outputs)
    return replace(form, parameters=(*form.parameters, *unbound(form)))


class Lowering:
    """The statements so far, and what is known about the tensors they define."""

    def __init__(self, program: Program) -> None:
        self.facts = program.facts
        self.statements: list[Statement] = []
        self.known: dict[Key, Tensor] = {}
        self.names = {t.name for t in program.tensors}
        self.order: list[Index] = []  # the axes of the target, then the bound indices opened so far

    def equation(self, equation: Equation) -> None:
        """Append the statements of one equation; the last one defines its tensor."""
        self.order = list(equation.indices)
        first = len(self.statements)
        value = self.elementwise(machine_form(equation.value))
        if len(self.statements) > first and self.statements[-1].target is value and value.indices == equation.indices:
            # The last temporary is the whole value: let it be the equation's tensor.
            old = self.statements[-1].target.tensor
            self.statements[-1] = replace(self.statements[-1], target=equation.left)
            self.known = {k: equation.tensor if t is old else t for k, t in self.known.items()}
        else:
            self.statements.append(Map(equation.left, value))
            self.known.setdefault(key("map", value, equation.indices), equation.tensor)

    def elementwise(self, expr: Expr, guarded: bool = False) -> Expr:
        """`expr` over plain entries only: what is not elementwise becomes a temporary.

        Args:
            guarded: an index look-up inside may lie outside, since its value is not used there.
        """
        match expr:
            case Entry():
                return expr if self._is_whole(expr) else self._gather(expr, guarded)
            case Sum():
                return self._sum(expr)
            case Extremum() | Position():
                return self._extremum(expr)
            case Where(condition, then, otherwise):
                # Both branches are computed for all entries, so look-ups inside them must not fail.
                return where(
                    self.elementwise(condition, guarded),
                    self.elementwise(then, True),
                    self.elementwise(otherwise, True),
                )
            case Multiply(factors):
                guarded = guarded or any(isinstance(f, (Compare, Kronecker)) for f in factors)
            case MatrixEntry():
                raise UnsupportedError("an inverse or a determinant of a matrix cannot become code yet")
            case Partial() | Total():
                raise UnsupportedError("a derivative that has not been worked out cannot become code")
        parts = children(expr)
        new = tuple(self.elementwise(p, guarded) for p in parts)
        return expr if new == parts else rebuild(expr, new)

    def _is_whole(self, entry: Entry) -> bool:
        """True if the indices run over the whole array: m may range over M + D where an axis has only D."""
        ranges = zip(entry.indices, entry.tensor.shape, strict=True)
        return is_plain(entry) and all(
            i.size is size or simplify(i.size, self.facts) is simplify(size, self.facts)
            for i, size in ranges
            if isinstance(i, Index)
        )

    def _gather(self, entry: Entry, guarded: bool) -> Entry:
        positions = tuple(self.elementwise(i, guarded) for i in entry.indices)
        tag = "guarded" if guarded else "gather"
        value = Entry(entry.tensor, positions)
        return self._temporary(
            tag, value, lambda target: Gather(target, entry.tensor, positions, guarded), entry.tensor.kind
        )

    def _extremum(self, expr: Extremum | Position) -> Entry:
        self.order.append(expr.index)
        operand = self._operand(self.elementwise(expr.body))
        self.order.remove(expr.index)
        kind: ReduceKind = expr.kind
        if isinstance(expr, Position):
            kind = "argmax" if expr.kind == "max" else "argmin"
        value = type(expr)(expr.kind, expr.index, operand)
        sort: Literal["real", "integer"] = "integer" if isinstance(expr, Position) else "real"
        return self._temporary("reduce", value, lambda target: Reduce(target, kind, operand, (expr.index,)), sort)

    def _sum(self, expr: Sum) -> Expr:
        over, body = opened(expr)
        if isinstance(body, Add) and distributes(body):
            return add(*(self._sum_of_product(list(over), factors_of(term)) for term in body.terms))
        return self._sum_of_product(over, factors_of(body))

    def _sum_of_product(self, over: list[Index], factors: list[Expr]) -> Expr:
        """Sum a product: deltas contracted, constant factors in front, the rest by contractions of two arrays."""
        over, factors = deltas(over, factors, self.facts)
        self.order += over
        done = [f for factor in factors for f in factors_of(self.elementwise(factor))]
        used = frozenset[Index]().union(*map(free_indices, done))
        outside = [i.size for i in over if i not in used] + [f for f in done if free_indices(f).isdisjoint(over)]
        inside = [f for f in done if not free_indices(f).isdisjoint(over)]
        total = self._contracted([i for i in over if i in used], inside) if inside else ONE
        del self.order[len(self.order) - len(over) :]
        return multiply(*outside, total)

    def _contracted(self, over: list[Index], factors: list[Expr]) -> Entry:
        arrays: list[Entry] = [self._operand(g) for g in grouped(factors)]
        while len(arrays) > 2:
            first, second, gone = next_pair(arrays, over)
            product = self._product(arrays[first], arrays[second], gone)
            arrays = [a for p, a in enumerate(arrays) if p not in (first, second)] + [product]
            over = [i for i in over if i not in gone]
        if len(arrays) == 2:
            return self._product(arrays[0], arrays[1], over)
        return self._reduced(arrays[0], over)

    def _reduced(self, operand: Entry, over: list[Index]) -> Entry:
        if not over:
            return operand
        value = _summed(over, operand)
        return self._temporary("reduce", value, lambda target: Reduce(target, "sum", operand, tuple(over)))

    def _product(self, left: Entry, right: Entry, over: list[Index]) -> Entry:
        if not over:
            return self._operand(multiply(left, right))
        left = self._reduced(left, [i for i in over if i not in right.indices])
        right = self._reduced(right, [i for i in over if i not in left.indices and i in right.indices])
        over = [i for i in over if i in left.indices and i in right.indices]
        if not over:
            return self._operand(multiply(left, right))
        value = _summed(over, multiply(left, right))
        return self._temporary("contract", value, lambda target: Contract(target, left, right, tuple(over)))

    def _operand(self, value: Expr) -> Entry:
        """`value` as an array: an entry as it stands, anything else by a statement of its own."""
        if isinstance(value, Entry) and self._is_whole(value):
            return value
        return self._temporary("map", value, lambda target: Map(target, value))

    def _temporary(
        self, tag: str, value: Expr, make: Callable[[Entry], Statement], kind: Literal["real", "integer"] = "real"
    ) -> Entry:
        """An array that holds `value`, made by `make(target)` unless an equal one is known."""
        indices = tuple(sorted(free_indices(value), key=self.order.index))
        mark = key(tag, value, indices)
        tensor = self.known.get(mark)
        if tensor is None:
            tensor = self.known[mark] = Tensor(self._name(), tuple(i.size for i in indices), kind)
            self.statements.append(make(Entry(tensor, indices)))
        return Entry(tensor, indices)

    def _name(self) -> str:
        name = next(n for k in count(1) if (n := f"t{k}") not in self.names)
        self.names.add(name)
        return name


def _summed(over: list[Index], body: Expr) -> Expr:
    for index in reversed(over):
        body = Sum(index, body)
    return body
