"""The same value in fewer words: said in those tensors of the forward pass that make it short.

The equations of the program, solved for their parts (`relations`), are put in one after the other, the result is
collected (`collect`), and what is shorter is kept. Sums that are always 0 or always 1, such as those of deviations from
a mean or of a row of probabilities, are found by asking the kernel. Main names: `Rewriter`, `Rewritten`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from symbackprop.calculus.derivation import Derivation, Step
from symbackprop.calculus.kernel import Kernel
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Entry,
    Expr,
    Multiply,
    Sum,
    Tensor,
    add,
    close_sum,
    free_indices,
    fresh,
    multiply,
    open_binder,
    rewrite,
    tensors_in,
)
from symbackprop.expression.program import PART, Program
from symbackprop.normal_form.work_time import worked
from symbackprop.proofs.shortening.collect import Tidier
from symbackprop.proofs.shortening.concatenation import cases, local, pieces_of
from symbackprop.proofs.shortening.factor import size_of
from symbackprop.proofs.shortening.random_points import RandomPoints
from symbackprop.proofs.shortening.relations import Relation, relations_of, slopes_by_value
from symbackprop.proofs.shortening.unit_axes import factored

_UNFOLDED = 8  # tensors whose equations may be needed to show what a sum is
_SHORT = 10  # how long what stands for an unnamed tensor may be


@dataclass(frozen=True)
class Rewritten:
    """A value said in other words.

    Args:
        used: the tensors whose equations were used.
        sums: in words, the sums that are always 0 or always 1 and were worked out.
        trail: the values on the way, each with the tensors whose equations lead to it, and why; () for cases.
    """

    value: Expr
    used: tuple[Tensor, ...]
    sums: tuple[str, ...]
    trail: tuple[tuple[Expr, tuple[Tensor, ...], str], ...] = ()


class Rewriter:
    """Finds other words for expressions about one program.

    Args:
        kernel: decides what sums are; its program is the one spoken of.
        example: any derivation about the program: in its names the questions are asked.
        deadline: the `worked()` after which no more words are looked for.
        points: what a sum is there is asked before the kernel is.
    """

    def __init__(self, kernel: Kernel, example: Derivation, deadline: float, points: RandomPoints) -> None:
        self.kernel, self.example, self.deadline, self.points = kernel, example, deadline, points
        self.program: Program = kernel.program
        self.facts = kernel.program.facts
        names = {i.size: i.name for e in reversed(self.program.equations) for i in e.indices}
        self.tidier = Tidier(names, self.facts)
        self.sums: dict[tuple[Tensor, int], tuple[Expr, list[Tensor]] | None] = {}
        self.tidied: dict[Expr, Rewritten] = {}
        self.relations = self._relations()

    def _relations(self) -> tuple[Relation, ...]:
        """What the equations say, and of what the user gave no name also what it is in terms of the named tensors."""
        found = relations_of(self.program)
        unnamed = {e.tensor for e in self.program.equations if e.note.startswith(PART)}
        folds = [r for r in found if not isinstance(r.pattern, Entry) and r.tensor not in unnamed]
        solved = [r for r in found if isinstance(r.pattern, Entry) and r.tensor not in unnamed]
        more: list[Relation] = []
        for relation in found:
            if isinstance(relation.pattern, Entry) and relation.pattern.tensor is relation.tensor:
                meaning, uses = relation.meaning, relation.uses
                for fold in folds:
                    if (folded := fold.put_into(meaning)) is not meaning:
                        meaning, uses = folded, (*uses, *fold.uses)
                for other in solved:
                    if (said := other.put_into(meaning)) is not meaning:
                        short = self.tidier.short(said)
                        if size_of(short) <= _SHORT:
                            more.append(replace(relation, meaning=short, uses=(*uses, *other.uses)))
        return (*found, *more)

    def shortest(self, expr: Expr) -> Rewritten:
        """The shortest words that are found; each case of a concatenation is looked at by itself."""
        pieces = pieces_of(expr, self.facts)
        if pieces is None:
            return self._shortest_of(expr)
        found = [self._shortest_of(local(p, self.facts)[1]) for p in pieces]
        used = tuple(dict.fromkeys(t for w in found for t in w.used))
        sums = tuple(dict.fromkeys(s for w in found for s in w.sums))
        return Rewritten(cases(pieces, [w.value for w in found], self.facts), used, sums)

    def _shortest_of(self, expr: Expr) -> Rewritten:
        """The shortest expression reached by relations, one after the other."""
        best = self._tidied(slopes_by_value(expr))
        progress = True
        while progress and worked() < self.deadline:
            progress = False
            starts = (best.value,) if best.used else (best.value, expr)  # collecting may hide what a relation fits
            for relation, start in itertools.product(self.relations, starts):
                other = relation.put_into(start)
                if other in (expr, best.value):
                    continue
                short = self._tidied(slopes_by_value(other))
                if size_of(short.value) >= size_of(other):
                    short = Rewritten(other, (), short.sums)
                if size_of(short.value) < size_of(best.value):
                    used = tuple(dict.fromkeys((*best.used, *relation.uses)))
                    known = tuple(dict.fromkeys((*best.sums, *short.sums)))
                    collected = () if short.value is other else ((short.value, (), ""),)
                    trail = (*best.trail, (other, relation.uses, relation.says), *collected)
                    best = Rewritten(short.value, used, known, trail)
                    progress = True
        return best

    def _tidied(self, expr: Expr) -> Rewritten:
        """`expr` with like terms collected, and sums of single tensors that are known to be 0 or 1."""
        known = self.tidied.get(expr)
        if known is None:
            told: dict[str, None] = {}
            short = self.tidier.short(expr, lambda e: self._known_sums(e, told))
            known = self.tidied[expr] = Rewritten(short, (), tuple(told) if short is not expr else ())
        return known

    def _known_sums(self, expr: Expr, told: dict[str, None]) -> Expr:
        """`expr` with every sum of one tensor's entries that is always 0 or always 1 worked out."""

        def visit(node: Expr) -> Expr | None:
            if not isinstance(node, Sum):
                return None
            index, body = open_binder(node)
            body = factored(self._known_sums(body, told))
            if isinstance(body, Add):
                return add(*(self._known_sums(close_sum(index, t), told) for t in body.terms))
            factors = body.factors if isinstance(body, Multiply) else (body,)
            inside = [f for f in factors if index in free_indices(f)]
            if len(inside) == 1 and isinstance(inside[0], Entry):
                entry = inside[0]
                places = [k for k, i in enumerate(entry.indices) if i is index]
                others = [i for k, i in enumerate(entry.indices) if k not in places]
                if len(places) == 1 and not any(index in free_indices(i) for i in others):
                    value = self._sum(entry.tensor, places[0])
                    if value is not None:
                        worth = "0" if value is ZERO else "1"
                        told[f"the entries of {entry.tensor.name} add up to {worth} over {index.name}"] = None
                        return multiply(value, *(f for f in factors if f is not entry))
            return close_sum(index, body)

        return rewrite(expr, visit)

    def _sum(self, tensor: Tensor, axis: int) -> Expr | None:
        """What the entries of a tensor add up to along an axis, if that is always 0 or always 1."""
        key = (tensor, axis)
        if key not in self.sums:
            self.sums[key] = self._sum_of(tensor, axis)
        known = self.sums[key]
        return None if known is None else known[0]

    def _sum_of(self, tensor: Tensor, axis: int) -> tuple[Expr, list[Tensor]] | None:
        """The sum, and the tensors whose equations show it."""
        equation = self.program.by_tensor.get(tensor)
        if equation is None:
            return None
        index = fresh(equation.indices[axis].name, equation.indices[axis].size)
        places = tuple(index if k == axis else i for k, i in enumerate(equation.indices))
        total = close_sum(index, Entry(tensor, places))
        values = [v for v in (ZERO, ONE) if self.points.may_be(total, v)] if isinstance(total, Sum) else [ZERO, ONE]
        for uses in self.needed_by([tensor]) if values else ():
            for value in values:
                if self.kernel.accepts(Step(total, value, "equation", "", tuple(uses)), self.example):
                    return value, uses
        return None

    def needed_by(self, tensors: list[Tensor]) -> Iterator[list[Tensor]]:
        """The tensors, then with what they are computed from, and so on, as far as is worth trying."""
        uses = list(tensors)
        while True:
            yield list(uses)
            new = [
                t
                for u in uses
                if u in self.program.by_tensor
                for t in tensors_in(self.program.by_tensor[u].value)
                if t in self.program.by_tensor and t not in uses
            ]
            if not new or len(uses) + len(new) > _UNFOLDED:
                return
            uses += dict.fromkeys(new)

    def needed(self, sums: tuple[str, ...]) -> list[Tensor]:
        """The tensors whose equations show what the sums are."""
        summed = self.summed(sums)
        known = [found[1] for (t, _), found in self.sums.items() if found is not None and t in summed]
        return list(dict.fromkeys(t for uses in known for t in uses))

    def summed(self, sums: tuple[str, ...]) -> list[Tensor]:
        """The tensors whose entries are summed."""
        names = {s.removeprefix("the entries of ").partition(" ")[0] for s in sums}
        return list(dict.fromkeys(t for (t, _), found in self.sums.items() if found is not None and t.name in names))
