"""A backward pass made short: cotangents in closed form, by means of what the forward pass has computed already.

Reverse mode gives every tensor its own cotangent, so a layer's gradient comes as a chain of small equations. Here the
results of the chain are put into each other, and said in those intermediate tensors that make them short: for a
normalised row that of its input is (g - mean(g) - xhat mean(g xhat))/std. Nothing is known about layers: the
equations of the program are solved for their parts (`relations`), the normal form collects (`collect`), the shortest
result wins, and the kernel has to accept every line. Main name: `shortened`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from symbackprop.calculus.derivation import Derivation, Gradient, Step
from symbackprop.calculus.kernel import Kernel
from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import (
    MINUS_ONE,
    Add,
    Entry,
    Expr,
    Index,
    Multiply,
    Sum,
    Tensor,
    add,
    close_sum,
    free_indices,
    multiply,
    nodes_once,
    open_binder,
    rewrite,
    substitute,
    tensors_in,
)
from symbackprop.expression.program import Equation, Program
from symbackprop.normal_form.work_time import worked
from symbackprop.proofs.shortening.factor import size_of
from symbackprop.proofs.shortening.random_points import RandomPoints
from symbackprop.proofs.shortening.rewrite import Rewriter, Rewritten
from symbackprop.proofs.shortening.unit_axes import factored
from symbackprop.rendering.conventions import signed

MOST_EQUATIONS = 40  # a longer program is left in the steps of reverse mode
SECONDS = 2.0  # for looking; what was found by then counts
_ROUNDS = 6
_COLLECTED = "Like terms are collected, and what they share stands in front."
_ZEROS = "Sums that are 0, by the equations of what is summed, are left out."
_KEPT = 3  # what it costs a reader to keep one more cotangent in mind


@dataclass(frozen=True)
class _Form:
    """A value of a cotangent, and the steps that lead to it."""

    value: Expr
    steps: tuple[Step, ...]


def shortened(gradient: Gradient, kernel: Kernel) -> dict[Tensor, Derivation]:
    """For each tensor its derivation, longer by the steps to a closed form where one is found.

    Args:
        gradient: its derivations have been replayed by the kernel.
        kernel: accepts or refuses each proposed step; the closed forms become its earlier results.
    """
    if len(gradient.program.equations) > MOST_EQUATIONS:
        return dict(gradient.derivations)
    if not gradient.derivations:
        return {}
    search = _Search(gradient, kernel)
    return {tensor: search.derivation(tensor) for tensor in gradient.derivations}


class _Search:
    def __init__(self, gradient: Gradient, kernel: Kernel) -> None:
        self.gradient, self.kernel, self.program = gradient, kernel, gradient.program
        self.order = {t: k for k, t in enumerate(self.program.tensors)}
        self.forms: dict[Tensor, Derivation] = {}  # by bar
        self.deadline = worked() + SECONDS
        self.points = RandomPoints(self.program)
        self.rewording = Rewriter(kernel, next(iter(gradient.derivations.values())), self.deadline, self.points)

    def derivation(self, tensor: Tensor) -> Derivation:
        """The derivation of one tensor's cotangent, with its closed form at the end if that shortens the whole."""
        derivation = self.gradient.derivations[tensor]
        best = self._best(derivation) if worked() < self.deadline else None
        if best is not None and self.points.loses_values(derivation.right, best.value, self._earlier()):
            best = None  # a mask hid where a factor has no value
        if best is not None:
            longer = replace(derivation, right=best.value, steps=(*derivation.steps, *best.steps))
            try:
                self.kernel.replay(longer)
                derivation = longer
            except SymbackpropError:
                pass
        assert isinstance(derivation.left, Entry), "a cotangent is an entry"
        self.forms[derivation.left.tensor] = derivation
        return derivation

    def _best(self, derivation: Derivation) -> _Form | None:
        """The form with the least to read, itself and all it rests on; a longer chain only if it gains something."""
        first, *others = self._forms(derivation)
        best = first
        for form in others:
            if self._cost(form.value) < self._cost(best.value) and (_collected(form) or not _puts_in(form)):
                best = form
        return best if best.steps else None

    def _forms(self, derivation: Derivation) -> Iterator[_Form]:
        """The cotangent as it is, in other words, and with one earlier result after the other put in."""
        form = _Form(derivation.right, ())
        yield form
        form = self._said_shorter(form, derivation)
        yield form
        assert isinstance(derivation.left, Entry), "a cotangent is an entry"
        for _ in range(_ROUNDS):
            bar = self._nearest(form.value, derivation.left)
            if bar is None or worked() > self.deadline:
                return
            put = self._put_in(form.value, bar)
            reason = f"The derivative with respect to {derivation.definitions[bar].name} is put in."
            form = _Form(put, (*form.steps, Step(form.value, put, "earlier_result", reason, (bar,))))
            form = self._said_shorter(self._without_zeros(form, derivation), derivation)
            yield form

    def _nearest(self, expr: Expr, left: Entry) -> Tensor | None:
        """Of the cotangents in `expr` that of the tensor that is computed first: it rests on the others.

        A matrix product keeps its name: written out in each place it would hide what happens, and be done again.
        So does what rests on `left` itself, as steps of a recurrence do: no equation reads its own tensor.
        """
        axes = set(left.tensor.shape)
        known = [(t, self.forms[t].right) for t in tensors_in(expr) if t in self.forms]
        bars = [t for t, form in known if self._sums_over(form) <= axes and left.tensor not in tensors_in(form)]
        return min(bars, key=lambda b: self.order[self.forms[b].definitions[b]], default=None)

    def _sums_over(self, expr: Expr) -> set[Expr]:
        return {node.index.size for node in nodes_once(expr) if isinstance(node, Sum)}

    def _put_in(self, expr: Expr, bar: Tensor) -> Expr:
        form = self.forms[bar]
        assert isinstance(form.left, Entry)
        left = form.left

        def visit(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor is bar:
                return substitute(form.right, dict(zip(left.indices, node.indices, strict=True)))
            return None

        return _signs_in_front(rewrite(expr, visit))

    def _cost(self, expr: Expr) -> int:
        """What there is to read: the expression, and once each what the cotangents in it are."""
        reached: set[Tensor] = set()
        pending = [expr]
        total = size_of(expr)
        while pending:
            for bar in (t for t in tensors_in(pending.pop()) if t in self.forms):
                if bar not in reached:
                    reached.add(bar)
                    pending.append(self.forms[bar].right)
                    total += size_of(self.forms[bar].right) + _KEPT
        return total

    # Other words for the same value.

    def _earlier(self) -> list[Equation]:
        """What the cotangents are whose forms are known."""
        found = list[Equation]()
        for tensor, form in self.forms.items():
            if isinstance(form.left, Entry):
                indices = tuple(i for i in form.left.indices if isinstance(i, Index))
                found.append(Equation(tensor, indices, form.right))
        return found

    def _without_zeros(self, form: _Form, derivation: Derivation) -> _Form:
        """The form without sums that are always 0, if the kernel accepts that by the equations of what is summed."""
        left = self.points.without(form.value, self._earlier())
        if left is form.value:
            return form
        summed = [t for t in tensors_in(form.value) if t in self.program.by_tensor]
        for uses in self.rewording.needed_by(summed):
            step = Step(form.value, left, "equation", _ZEROS, tuple(uses))
            if self.kernel.accepts(step, derivation):
                return _Form(left, (*form.steps, step))
        return form

    def _said_shorter(self, form: _Form, derivation: Derivation) -> _Form:
        """The form with its value in fewer words, if the kernel accepts that."""
        words = self.rewording.shortest(form.value)
        if _length(words.value) >= _length(form.value):
            return form
        return self._by_trail(form, words, derivation) or self._at_once(form, words, derivation) or form

    def _by_trail(self, form: _Form, words: Rewritten, derivation: Derivation) -> _Form | None:
        """The form by way of the values on the trail: what is replaced, then what is collected."""
        if words.sums:
            return None
        steps: list[Step] = []
        here = form.value
        for value, uses, said in words.trail:
            rule, reason = ("equation", said) if uses else ("algebra", _COLLECTED)
            if uses and isinstance(here, Add) and isinstance(value, Multiply):
                reason += " What the terms share stands in front."
            step = Step(here, value, rule, reason, uses)
            if not self.kernel.accepts(step, derivation):
                return None
            steps.append(step)
            here = value
        return _Form(here, (*form.steps, *steps)) if steps else None

    def _at_once(self, form: _Form, words: Rewritten, derivation: Derivation) -> _Form | None:
        shown = self._sums_shown(form, words, derivation)
        for start in (shown, form) if shown is not None else (form,):
            for uses in _growing(words.used, self.rewording.needed(words.sums)):
                rule = "equation" if uses else "algebra"
                step = Step(start.value, words.value, rule, _reason(words.used, words.sums), tuple(uses))
                if self.kernel.accepts(step, derivation):
                    return _Form(words.value, (*start.steps, step))
        return None

    def _sums_shown(self, form: _Form, words: Rewritten, derivation: Derivation) -> _Form | None:
        """The form with a sum that is always 0 or always 1 taken apart: by itself, then with what it adds up put in."""
        here, steps = form.value, list(form.steps)
        for tensor in self.rewording.summed(words.sums):
            apart, opened = _apart(here, tensor), _opened(here, tensor, self.kernel.program)
            lines = [
                (apart, "algebra", (), f"The sum over the entries of {tensor.name} stands by itself."),
                (opened, "equation", (tensor,), f"The equation of {tensor.name} is put in, and its terms are summed."),
            ]
            for value, rule, uses, reason in lines:
                step = Step(here, value, rule, reason, uses)
                if value is here:
                    continue
                if not self.kernel.accepts(step, derivation):
                    return None
                steps.append(step)
                here = value
        return None if here is form.value else _Form(here, tuple(steps))


def _apart(expr: Expr, tensor: Tensor) -> Expr:
    """`expr` with each sum over terms, one of which has an entry of the tensor, written as a sum of sums."""

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Sum) or tensor not in tensors_in(node.body):
            return None
        index, body = open_binder(node)
        inner = factored(rewrite(body, visit))
        terms = inner.terms if isinstance(inner, Add) else (inner,)
        return add(*(_summed(index, t) for t in terms))

    return rewrite(expr, visit)


def _opened(expr: Expr, tensor: Tensor, program: Program) -> Expr:
    """`_apart`, and in each sum of single entries of the tensor what its equation says, summed term by term."""

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Sum) and isinstance(node.body, Entry) and node.body.tensor is tensor:
            index, body = open_binder(node)
            assert isinstance(body, Entry), "a renamed entry is an entry"
            value = program.by_tensor[tensor].at(body.indices)
            terms = value.terms if isinstance(value, Add) else (value,)
            return add(*(_summed(index, t) for t in terms))
        return None

    return rewrite(_apart(expr, tensor), visit)


def _summed(index: Index, term: Expr) -> Expr:
    """The sum of a term over an index, which is the size of the axis times a term that does not depend on it."""
    return factored(close_sum(index, term)) if index in free_indices(term) else multiply(index.size, term)


def _growing(used: tuple[Tensor, ...], sums: list[Tensor]) -> Iterator[list[Tensor]]:
    """Sets of tensors whose equations may be needed, the smallest first."""
    first = list(used)
    yield first
    if sums:
        yield list(dict.fromkeys((*first, *sums)))


def _reason(used: tuple[Tensor, ...], sums: tuple[str, ...]) -> str:
    told = " and ".join(sums)
    if told:
        return told[0].upper() + told[1:] + (f"; the rest is written with {_listed(used)}." if used else ".")
    if used:
        return f"This is written with {_listed(used)}, and like terms are collected."
    return _COLLECTED


def _listed(tensors: tuple[Tensor, ...]) -> str:
    return " and ".join(t.name for t in tensors)


def _signs_in_front(expr: Expr) -> Expr:
    """`expr` with the minus signs inside of sums in front of them, where two cancel."""

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Sum):
            inner = rewrite(node.body, visit)
            negative, body = signed(inner)
            return multiply(MINUS_ONE, close_sum(node.index, body)) if negative else close_sum(node.index, inner)
        return None

    return rewrite(expr, visit)


def _length(expr: Expr) -> int:
    """The size; of two that are as long a product reads better than a sum."""
    return 2 * size_of(expr) - isinstance(expr, Multiply)


def _collected(form: _Form) -> bool:
    """True if the last step made the value shorter: to put one result into another is no gain by itself."""
    return form.steps[-1].rule != "earlier_result"


def _puts_in(form: _Form) -> bool:
    return any(s.rule == "earlier_result" for s in form.steps)


def short_adjoint(gradient: Gradient) -> Program:
    """The adjoint program with each cotangent as its derivation ends, and without those that nothing needs."""
    adjoint = gradient.adjoint
    bars = {b: t for t, b in gradient.cotangents.items()}
    pending, needed = list(adjoint.outputs), set[Tensor]()
    values = {b: gradient.derivations[t].right for b, t in bars.items() if t in gradient.derivations}
    while pending:
        bar = pending.pop()
        if bar in values and bar not in needed:
            needed.add(bar)
            pending += tensors_in(values[bar])
    kept = [e for e in adjoint.equations if e.tensor not in bars or e.tensor in needed]
    equations = tuple(replace(e, value=values[e.tensor]) if e.tensor in needed else e for e in kept)
    return replace(adjoint, equations=equations)


__all__ = ["short_adjoint", "shortened"]
