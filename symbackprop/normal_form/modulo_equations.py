"""The normal form of a program's tensors: every tensor is what its equation makes it, down to the inputs.

Each tensor is normalised once, over its own indices, and instantiated wherever it is used. Equal sub-programs become
the same polynomial, whoever wrote them. A tensor whose polynomial grows beyond a limit is kept as one atom that
stands for it (`named`); such atoms are opened again, largest nesting first, only when two sides have not met without.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cache

from symbackprop.expression.build import Expr, Index, Number, Tensor, substitute
from symbackprop.expression.functions import FLOOR, ROUND
from symbackprop.expression.program import Equation, Known
from symbackprop.expression.recurrence import recurrent
from symbackprop.expression.sizes import Facts
from symbackprop.normal_form.data import Atom, Poly, constant, parameter, subtract
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.rules_extrema import by_position
from symbackprop.normal_form.rules_merged_axes import in_digits
from symbackprop.normal_form.signs import templates_of

UNLIMITED = 10**9
SHORT = 8  # where two tensors do not meet as they stand, axes up to this length are compared entry by entry
MAXIMUM_OPENED, MAXIMUM_TERMS = 200, 20_000


class Resolver(Canonical):
    """A normal form that knows the equations of one or more programs.

    Args:
        equations: tensors with what they stand for; tensors without an equation are inputs.
        limit: number of terms beyond which a tensor stays one atom.
        expanded: as `Canonical` has it.
    """

    def __init__(
        self,
        equations: Iterable[Equation],
        facts: Facts,
        assumptions: Known | None = None,
        *,
        limit: int = UNLIMITED,
        expanded: int = 0,
        seconds: float | None = 20.0,
    ) -> None:
        super().__init__(facts, assumptions, seconds, expanded=expanded)
        self.equations = {e.tensor: e for e in equations}
        self._recurrent = recurrent(self.equations.values())  # these stay atoms: what is shown of them takes induction
        self.limit = limit
        self._values: dict[Tensor, Poly] = {}
        self._entries: dict[tuple[Tensor, tuple[Poly, ...]], Poly] = {}

    def entry(self, tensor: Tensor, args: tuple[Poly, ...]) -> Poly:
        """The value of an entry; inputs stay atoms."""
        if tensor not in self.equations or tensor in self._recurrent:
            return super().entry(tensor, args)
        key = (tensor, args)
        if key not in self._entries:
            template = self.value(tensor)
            places = {p: args[k] for k, p in enumerate(self.places(tensor))}
            self._entries[key] = self.substitute(template, {p: places[p] for p in template.free if p in places})
        return self._entries[key]

    def value(self, tensor: Tensor) -> Poly:
        """The tensor over parameters p0, p1, ... for its indices."""
        if tensor not in self._values:
            equation = self.equations[tensor]
            names: dict[Expr, Expr] = dict(zip(equation.indices, self.places(tensor), strict=True))
            poly = self.normal(substitute(equation.value, names))
            if len(poly.terms) > self.limit or (tensor.kind == "integer" and _is_rounded(poly)):
                poly = self.named(poly)
            self._values[tensor] = poly
        return self._values[tensor]

    def places(self, tensor: Tensor) -> tuple[Index, ...]:
        """The parameters that stand for the indices of a tensor's equation."""
        return tuple(parameter(k, i.size) for k, i in enumerate(self.equations[tensor].indices))

    def identify(self, tensor: Tensor, other: Tensor) -> None:
        """From now on `tensor` is `other`, which has been proved equal to it."""
        self._values[tensor] = self.value(other)
        self._entries.clear()  # what was read off the old value is not to be met again
        self.__dict__.pop("_memo_normal", None)

    def edited(self, equation: Equation, downstream: set[Tensor]) -> Resolver:
        """This resolver with one equation changed; what does not depend on it is kept."""
        table = {**self.equations, equation.tensor: equation}
        other = Resolver(
            table.values(), self.facts, self.known, limit=self.limit, expanded=self.expanded, seconds=self.seconds
        )
        other.deadline = self.deadline
        other._values = {t: v for t, v in self._values.items() if t not in downstream}
        return other

    def meets(self, left: Tensor, right: Tensor, *, opened: int = MAXIMUM_OPENED, terms: int = MAXIMUM_TERMS) -> bool:
        """True if the two tensors, of one shape, are equal for all sizes; False if that could not be shown.

        Args:
            opened: how many named atoms may be opened.
            terms: how large a difference may become.
        """
        tensor = right if right in self.equations else left
        ways = [self._all_places(tensor, self.expanded), self._all_places(tensor, SHORT)]
        ways += self._split_places(left, right, self.places(tensor))
        return any(all(self._meet_at(left, right, at, opened, terms) for at in way) for way in dict.fromkeys(ways))

    def _all_places(self, tensor: Tensor, longest: int) -> tuple[tuple[Poly, ...], ...]:
        """The entries to compare: one with free indices, or one for each value of the axes up to a fixed length."""
        axes = [self._values_of(p, longest) for p in self.places(tensor)]
        return tuple(itertools.product(*axes))

    def _values_of(self, index: Index, longest: int) -> list[Poly]:
        if isinstance(index.size, Number) and 1 < index.size.value <= longest:
            return [constant(k) for k in range(int(index.size.value))]
        return [self.size_of(index)]

    def _split_places(self, left: Tensor, right: Tensor, at: tuple[Index, ...]) -> list[tuple[tuple[Poly, ...], ...]]:
        """Where an index is divided by E, and E divides its range: its quotients with each remainder by itself."""
        places = tuple(self.size_of(p) for p in at)
        sides = (self.entry(left, places), self.entry(right, places))
        digits = [in_digits(self, index, sides) for index in at]
        axes = [d or [place] for d, place in zip(digits, places, strict=True)]
        return [tuple(itertools.product(*axes))] if any(digits) else []

    def _meet_at(self, left: Tensor, right: Tensor, places: tuple[Poly, ...], opened: int, terms: int) -> bool:
        a, b = self.entry(left, places), self.entry(right, places)
        for _ in range(opened):
            gap = self.difference(a, b)
            if self.vanishes(gap):
                return True
            atom = _to_open(a, b)
            if atom is None or len(a.terms) + len(b.terms) > terms:
                return has_place(gap) and self.vanishes(by_position(self, gap))
            self.check_budget()
            a, b = self.unname(a, frozenset([atom])), self.unname(b, frozenset([atom]))
        return self.vanishes(self.difference(a, b))

    def difference(self, left: Poly, right: Poly) -> Poly:
        """left - right."""
        return subtract(left, right)


def has_place(poly: Poly) -> bool:
    """True if a term names the place of a maximum or minimum."""
    return any(_is_placed(t) for m, _ in poly.terms for a, _ in m.factors for t in a.args)


def _is_rounded(poly: Poly) -> bool:
    """True for a number that was rounded, and for one that was clipped afterwards: a place that is told by branches
    would multiply them out wherever it is read."""
    atoms = {a for m, _ in poly.terms for a, _ in m.factors}
    if any(a.kind == "apply" and a.data[0] in (FLOOR, ROUND) for a in atoms):
        return True
    before = any(a.kind == "named" and _is_rounded(a.data[0]) for a in atoms)
    return before and any(a.kind == "nonneg" for a in atoms)


@cache
def _is_placed(place: Poly) -> bool:
    atoms = [a for m, _ in place.terms for a, _ in m.factors]
    return any(a.kind == "position" or any(map(_is_placed, a.args)) for a in atoms)


def _to_open(left: Poly, right: Poly) -> Atom | None:
    """The named atom to open next: the deepest of those on one side only, since what both share may yet cancel."""
    a, b = _named(left), _named(right)
    candidates = (a ^ b) or (a | b)
    return max(candidates, key=lambda x: (nesting(x.data[0]), x.id), default=None)


def _named(poly: Poly) -> set[Atom]:
    return {a for m, _ in poly.terms for a, _ in m.factors if a.kind == "named"}


@cache
def nesting(poly: Poly) -> int:
    """How many functions and named values stand inside each other."""
    return max((1 + nesting(t) for m, _ in poly.terms for a, _ in m.factors for t in templates_of(a)), default=0)


__all__ = ["UNLIMITED", "Atom", "Resolver"]
