"""The normal form with every tensor as an atom, whose definition is put in where that is asked for.

Two deep programs that compute the same are compared tensor by tensor: what stands inside a tensor stays out of sight,
so a normal form is as long as one equation, whatever the depth. `put_in` opens one tensor by one level, also inside
functions.

A tensor is no free variable, though: a rectified layer is 0 on an open set. So what the normal form knows of reals that
vary freely (`never_flat`) holds here for inputs alone, and for tensors that have a parameter of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache

from symbackprop.errors import BudgetError
from symbackprop.expression.build import Expr, Index, Tensor, substitute, tensors_in
from symbackprop.expression.program import Known
from symbackprop.expression.sizes import Facts
from symbackprop.normal_form.algebra import has_branches
from symbackprop.normal_form.bound_names import memoised
from symbackprop.normal_form.data import ONE, Atom, Mono, Poly, Term, add, parameter, scale, subtract
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.signs import templates_of

Chosen = Callable[[tuple[Poly, ...]], bool] | None
NOWHERE: Mapping[Index, Poly] = {}
MOST_LEVELS = 3  # of definitions that are opened to find a parameter of a tensor's own


class CutPoints(Canonical):
    """A normal form of expressions of tensors that are defined one after another.

    Args:
        seconds, expanded: as `TermRules` has them.
    """

    def __init__(
        self, facts: Facts, assumptions: Known | None = None, *, seconds: float | None = 20.0, expanded: int = 0
    ) -> None:
        super().__init__(facts, assumptions, seconds, expanded=expanded)
        self._templates: dict[Tensor, tuple[tuple[Index, ...], Poly]] = {}
        self._inputs: dict[Tensor, frozenset[Tensor]] = {}
        self._known_positive: dict[Tensor, bool] = {}
        self._recurrent: frozenset[Tensor] = frozenset()

    def places(self, tensor: Tensor) -> tuple[Index, ...]:
        """The parameters that stand for the indices of a tensor."""
        return tuple(parameter(k, size) for k, size in enumerate(tensor.shape))

    def depends(self, tensor: Tensor, on: Iterable[Tensor]) -> None:
        """Say what a tensor is computed from; it is no input, whether it can be opened or not."""
        self._inputs[tensor] = self._inputs_of(frozenset(on)) | {tensor}

    def depend(self, tensors: Iterable[Tensor], on: Iterable[Tensor]) -> None:
        """Say what the tensors of a recurrence are computed from, beside each other.

        What was found out with other definitions of theirs is forgotten.
        """
        own = frozenset(tensors)
        inputs = self._inputs_of(frozenset(on) - own) | own
        self._inputs |= dict.fromkeys(own, inputs)
        self._recurrent |= own
        for tensor in own:
            self._templates.pop(tensor, None)
        self._known_positive.clear()
        self.__dict__.pop("_memo_never_flat", None)

    def define(self, tensor: Tensor, indices: tuple[Index, ...], value: Expr) -> Poly:
        """Say what a tensor is, before it is used: its normal form, over its places.

        Raises:
            BudgetError, UnsupportedError: it has none; the tensor remains an atom that cannot be opened.
        """
        if tensor not in self._recurrent:
            self.depends(tensor, tensors_in(value))
        places = self.places(tensor)
        poly = self.normal(substitute(value, dict(zip(indices, places, strict=True))))
        self._templates[tensor] = (places, poly)
        if tensor not in self._recurrent:
            self._inputs[tensor] = self._inputs_of(tensors_of(poly))
        return poly

    def is_defined(self, tensor: Tensor) -> bool:
        """True if the tensor can be opened."""
        return tensor in self._templates

    def value(self, tensor: Tensor) -> Poly:
        """The normal form of a tensor over its places."""
        return self._templates[tensor][1]

    def _inputs_of(self, tensors: frozenset[Tensor]) -> frozenset[Tensor]:
        """What these are computed from, down to inputs."""
        return frozenset().union(*(self._inputs.get(t, frozenset([t])) for t in tensors))

    def put_in(self, poly: Poly, tensor: Tensor, chosen: Chosen = None, inside: Mapping[Index, Poly] = NOWHERE) -> Poly:
        """`poly` with every entry of the tensor replaced by what it is, wherever it stands.

        Args:
            chosen: whether to open an entry, by its places; all are opened where it is None.
            inside: what the parameters of a template stand for, where `poly` is one.
        """
        if tensor not in tensors_of(poly):
            return poly
        self.check_budget()
        terms: list[Term] = []
        for mono, coefficient in poly.terms:
            factors, bound = self.open_mono(mono)
            table = dict(factors)
            opened = [(a, table.pop(a)) for a in list(table) if tensor in tensors_at(a)]
            values = [self.power(self._put_in_atom(a, tensor, chosen, inside), e) for a, e in opened]
            if any(has_branches(v, bound) for v in values):
                body = self.product(self.collect([(coefficient, table, ())]), *values)
                for index in bound:  # summed anew, so that no branch is read outside of its range
                    body = self.sum_over(index, body)
                terms += [(c, dict(f), b) for m, c in body.terms for f, b in [self.open_mono(m)]]
                continue
            part: list[Term] = [(coefficient, table, bound)]
            for value in values:
                part = self.times(part, value)
            terms += part
        return self.collect(terms)

    def _put_in_atom(self, atom: Atom, tensor: Tensor, chosen: Chosen, inside: Mapping[Index, Poly]) -> Poly:
        args = tuple(self.put_in(a, tensor, chosen, inside) for a in atom.args)
        there = tuple(self._seen(a, inside) for a in args) if chosen is not None else ()
        if atom.kind == "entry" and atom.data is tensor and (chosen is None or chosen(there)):
            places, template = self._templates[tensor]
            return self.substitute(template, {p: a for p, a in zip(places, args, strict=True) if p in template.free})

        def change(template: Poly) -> Poly:
            known = {i: there[int(i.name[1:])] for i in template.free if i.name[0] == "p"} if there else NOWHERE
            return self.put_in(template, tensor, chosen, known)

        return self.rebuilt(atom, args, change)

    def _seen(self, value: Poly, inside: Mapping[Index, Poly]) -> Poly:
        """A value in a template as it is seen from outside."""
        known = {i: inside[i] for i in value.free if i in inside}
        return self.substitute(value, known) if known else value

    def places_in(self, poly: Poly, tensor: Tensor, inside: Mapping[Index, Poly] = NOWHERE) -> set[tuple[Poly, ...]]:
        """The places at which entries of a tensor are read."""
        found: set[tuple[Poly, ...]] = set()
        for mono, _ in poly.terms:
            for atom, _ in mono.factors:
                if tensor not in tensors_at(atom):
                    continue
                args = tuple(self._seen(a, inside) for a in atom.args)
                if atom.kind == "entry" and atom.data is tensor:
                    found.add(args)
                for inner in atom.args:
                    found |= self.places_in(inner, tensor, inside)
                for template in templates_of(atom):
                    known = {i: args[int(i.name[1:])] for i in template.free if i.name[0] == "p"}
                    found |= self.places_in(template, tensor, known)
        return found

    def chosen(self, gate: Poly, then: Poly, otherwise: Poly) -> Poly:
        """As `Canonical` has it; what recurrences ask of their first and last steps becomes an inequality, which a sum
        over the steps takes for a shorter range."""
        other = self._elsewhere(gate) if self._recurrent else None
        if other is None:
            return super().chosen(gate, then, otherwise)
        return add(self.multiply(gate, then), self.multiply(other, otherwise))

    def _elsewhere(self, gate: Poly) -> Poly | None:
        """[i >= 1] for [i = 0] where i is never negative, and so on; None for other gates."""
        ((mono, coefficient), *rest) = gate.terms or ((None, 0),)
        if rest or coefficient != 1 or mono is None or len(mono.factors) != 1:
            return None
        ((atom, _),) = mono.factors
        if atom.kind != "delta":
            return None
        for sign in (1, -1):
            distance = scale(atom.args[0], sign)
            if self.decided(">=", self.size_expression(distance)):
                return self.nonneg(subtract(distance, ONE))
        return None

    # What varies freely.

    def _is_free(self, tensor: Tensor) -> bool:
        return tensor not in self._inputs and super()._is_free(tensor)

    def known_positive(self, atom: Atom) -> bool:
        """As `Signs` has it; a tensor is positive if what it stands for is."""
        if atom.kind == "entry" and atom.data in self._templates:
            return self._positive(atom.data)
        return super().known_positive(atom)

    def _positive(self, tensor: Tensor) -> bool:
        """Whether what a tensor stands for is positive; of one that comes back on the way nothing is known."""
        if tensor not in self._known_positive:
            self._known_positive[tensor] = False
            self._known_positive[tensor] = self.sign(self.value(tensor)) == 1
        return self._known_positive[tensor]

    @memoised
    def never_flat(self, value: Poly) -> bool:
        """As `Signs` has it, by an input of which no tensor in sight depends, but for those that were put in."""
        return self._varies(value, MOST_LEVELS)

    def _varies(self, value: Poly, levels: int) -> bool:
        seen = tensors_of(value)
        hidden = {t: self._inputs[t] for t in seen if t in self._inputs}
        within = frozenset().union(*hidden.values())
        if any(self._varies_with(t, value) for t in seen if self._is_free(t) and t not in within):
            return True
        if not levels:
            return False
        for tensor, inputs in hidden.items():
            others = frozenset().union(*(i for t, i in hidden.items() if t is not tensor))
            own = any(self._is_free(t) for t in inputs - others)
            if own and self.is_defined(tensor):
                try:
                    found = self._varies(self.put_in(value, tensor), levels - 1)
                except BudgetError:
                    continue
                if found:
                    return True
        return False


@cache
def tensors_of(poly: Poly) -> frozenset[Tensor]:
    """The tensors that stand in a polynomial, also inside functions and indices."""
    return frozenset().union(*(tensors_at(a) for m, _ in poly.terms for a, _ in m.factors))


@cache
def tensors_at(atom: Atom) -> frozenset[Tensor]:
    """The tensors that stand in an atom."""
    own = frozenset([atom.data]) if atom.kind == "entry" else frozenset[Tensor]()
    return own.union(*(tensors_of(p) for p in (*atom.args, *templates_of(atom))))


@cache
def tensors_in_term(mono: Mono) -> frozenset[Tensor]:
    """The tensors that stand in one term."""
    return frozenset().union(*(tensors_at(a) for a, _ in mono.factors))
