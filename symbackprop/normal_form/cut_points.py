"""The normal form with every tensor as an atom, whose definition is put in where that is asked for.

Two deep programs that compute the same are compared tensor by tensor: what stands inside a tensor stays out of sight,
so a normal form is as long as one equation, whatever the depth. `put_in` opens one tensor by one level, also inside
functions.

A tensor is no free variable, though: a rectified layer is 0 on an open set. So what the normal form knows of reals that
vary freely (`never_flat`) holds here for inputs alone, and for tensors that have a parameter of their own.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from symbackprop.errors import BudgetError, SymbackpropError
from symbackprop.expression.build import (
    Expr,
    Index,
    Symbol,
    Tensor,
    entries_once,
    free_indices,
    mentioned,
    multiply,
    negate,
    number,
    substitute,
    tensors_in,
)
from symbackprop.expression.build import add as add_expr
from symbackprop.expression.build import subtract as subtract_expr
from symbackprop.expression.program import Equation, Known, symbols
from symbackprop.expression.recurrence import Clock, Recurrence
from symbackprop.expression.sizes import Facts, simplify
from symbackprop.normal_form.algebra import has_branches
from symbackprop.normal_form.bound_names import memoised
from symbackprop.normal_form.data import (
    ONE,
    Atom,
    Mono,
    Poly,
    Rational,
    Term,
    add,
    as_constant,
    combine,
    constant,
    of_atom,
    of_index,
    parameter,
    scale,
    subtract,
)
from symbackprop.normal_form.modulo_equations import has_place
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.rules_extrema import by_position
from symbackprop.normal_form.rules_indices import at_edges, entry_by_entry, in_line
from symbackprop.normal_form.rules_merged_axes import in_digits
from symbackprop.normal_form.signs import templates_of

Chosen = Callable[[tuple[Poly, ...]], bool] | None
NOWHERE: Mapping[Index, Poly] = {}
MOST_LEVELS = 3  # of definitions that are opened to find a parameter of a tensor's own
MOST_SEEN_THROUGH = 3  # definitions, to find that something is nowhere negative: each may ask about several
MOST_NESTED = 24  # definitions that are read one for another, to find a sign
MOST_ENTRIES = 256  # of short axes, compared one by one
HIDDEN = "what tensors are computed from"  # among the conditions used: an answer that looked into definitions


@dataclass(frozen=True)
class Reading:
    """When an equation of a recurrence reads an entry of an input: at the place p, at sign * p + since.

    Args:
        rank: of the tensor that the equation defines.
    """

    sign: int
    since: Expr
    rank: int


class TensorSets:
    """Sets of tensors as numbers, a bit for each: a deep program has a large set for each of its tensors."""

    def __init__(self) -> None:
        self._bits: dict[Tensor, int] = {}
        self._tensors: list[Tensor] = []

    def of(self, tensors: Iterable[Tensor]) -> int:
        """The set of these."""
        found = 0
        for tensor in tensors:
            if tensor not in self._bits:
                self._bits[tensor] = 1 << len(self._tensors)
                self._tensors.append(tensor)
            found |= self._bits[tensor]
        return found

    def tensors(self, some: int) -> Iterator[Tensor]:
        """The tensors of a set."""
        while some:
            lowest = some & -some
            yield self._tensors[lowest.bit_length() - 1]
            some ^= lowest


def joined(sets: Iterable[int]) -> int:
    """All tensors of some sets."""
    return functools.reduce(operator.or_, sets, 0)


class CutPoints(Canonical):
    """A normal form of expressions of tensors that are defined one after another.

    Args:
        seconds, expanded: as `TermRules` has them.
    """

    def __init__(
        self,
        facts: Facts,
        assumptions: Known | None = None,
        *,
        seconds: float | None = 20.0,
        expanded: int = 0,
        most: int | None = None,
    ) -> None:
        super().__init__(facts, assumptions, seconds, expanded=expanded, most=most)
        self._definitions: dict[Tensor, Expr] = {}  # over the places of the tensor
        self._values: dict[Tensor, Poly | None] = {}  # None where there is none within the budget
        self._sets = TensorSets()
        self._inputs: dict[Tensor, int] = {}  # all that a tensor is computed from, and itself
        self._nested = 0  # definitions that are being read for a sign
        self._failures = 0  # of these, how many were not read to the end
        self._signs: dict[tuple[Tensor, str, int], tuple[bool, dict[str, None]]] = {}
        self.clocks: dict[Tensor, tuple[Recurrence, Clock]] = {}
        self._readings: dict[int, dict[Tensor, list[dict[int, Reading]]]] = {}  # by recurrence and input

    def places(self, tensor: Tensor) -> tuple[Index, ...]:
        """The parameters that stand for the indices of a tensor."""
        return tuple(parameter(k, size) for k, size in enumerate(tensor.shape))

    def depends(self, tensor: Tensor, on: Iterable[Tensor]) -> None:
        """Say what a tensor is computed from; it is no input, whether it can be opened or not."""
        self._inputs[tensor] = self._inputs_of(on) | self._sets.of([tensor])

    def define_block(self, block: Equation | Recurrence, lines: Iterable[Equation]) -> None:
        """Say what the tensors of an equation or a recurrence are, before they are used.

        Args:
            lines: the equations of the block, perhaps with other names for what they read. Of a recurrence, what was
                found out with other definitions is forgotten.
        """
        lines = list(lines)
        if isinstance(block, Recurrence):
            self._depend(block, frozenset().union(*(tensors_in(line.value) for line in lines)))
        for line in lines:
            self.define(line.tensor, line.indices, line.value)

    def _depend(self, block: Recurrence, on: Iterable[Tensor]) -> None:
        """Say what the tensors of a recurrence are computed from, beside each other."""
        own = {e.tensor for e in block.equations}
        if not self.clocks:  # from now on gates are read in another way
            self.__dict__.pop("_memo_normal", None)
        self.clocks |= {t: (block, block.clocks[t]) for t in own}
        self._inputs |= dict.fromkeys(own, self._inputs_of(frozenset(on) - own) | self._sets.of(own))
        for tensor in own:
            self._values.pop(tensor, None)
        self._signs.clear()
        self.__dict__.pop("_memo_never_flat", None)
        self._note_reads(block, frozenset(on) - own)

    def _note_reads(self, block: Recurrence, outside: Iterable[Tensor]) -> None:
        """Note when a recurrence reads each entry of its inputs: what is computed before does not depend on it."""
        own, found = {e.tensor for e in block.equations}, dict[Tensor, list[dict[int, Reading]]]()
        read = [(e, entry) for e in block.equations for entry in entries_once(e.value) if entry.tensor not in own]
        for equation, entry in read:
            clock = block.clocks[equation.tensor]
            step, times = equation.indices[clock.axis], dict[int, Reading]()
            for axis, place in enumerate(entry.indices if clock.across is None else ()):
                for sign in (1, -1):
                    start = simplify(subtract_expr(place, step if sign > 0 else negate(step)), self.facts)
                    if not free_indices(start) and not mentioned(start):  # place = start + sign * step
                        since = add_expr(clock.origin, multiply(number(-clock.sign * sign), start))
                        times[axis] = Reading(clock.sign * sign, since, block.ranks[equation.tensor])
            found.setdefault(entry.tensor, []).append(times)
        whenever = joined(self._inputs.get(t, 0) for t in (*outside, *found))
        self._readings[id(block)] = {t: times for t, times in found.items() if not self._sets.of([t]) & whenever}

    def define(self, tensor: Tensor, indices: tuple[Index, ...], value: Expr) -> None:
        """Say what a tensor is, before it is used; it is read when it is opened first."""
        if tensor not in self.clocks:
            self.depends(tensor, tensors_in(value))
        self._values.pop(tensor, None)
        if tensor in self._definitions:
            self._signs.clear()
        self._definitions[tensor] = substitute(value, dict(zip(indices, self.places(tensor), strict=True)))

    def is_defined(self, tensor: Tensor) -> bool:
        """True if the tensor can be opened, as far as is known."""
        return tensor in self._definitions and self._values.get(tensor, ()) is not None

    def value(self, tensor: Tensor) -> Poly:
        """The normal form of a tensor over its places.

        Raises:
            BudgetError, UnsupportedError: it has none; from then on the tensor is an atom that cannot be opened.
        """
        known = self._values.get(tensor)
        if known is None:
            try:
                known = self._values[tensor] = self.normal(self._definitions[tensor])
            except SymbackpropError:
                self._values[tensor] = None
                raise
        return known

    def _inputs_of(self, tensors: Iterable[Tensor]) -> int:
        """What these are computed from, down to inputs."""
        return joined(self._inputs.get(t) or self._sets.of([t]) for t in tensors)

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
        kept: dict[Mono, Rational] = {}  # terms without the tensor are what they were
        for mono, coefficient in poly.terms:
            if not self.clocks and tensor not in tensors_in_term(mono):
                kept[mono] = coefficient
                continue
            factors, bound = self.open_mono(mono)
            table = dict(factors)
            opened = [(a, table.pop(a)) for a in list(table) if tensor in tensors_at(a)]
            names = inside
            if chosen is not None and bound:  # entries are chosen by places as `places_in` tells them
                names = {**inside, **{i: of_index(b) for i, b in zip(bound, mono.bound, strict=True)}}
            values = [self.power(self._put_in_atom(a, tensor, chosen, names), e) for a, e in opened]
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
        new = self.collect(terms)
        return add(Poly.make(kept), new) if kept else new

    def _put_in_atom(self, atom: Atom, tensor: Tensor, chosen: Chosen, inside: Mapping[Index, Poly]) -> Poly:
        args = tuple(self.put_in(a, tensor, chosen, inside) for a in atom.args)
        there = tuple(self._seen(a, inside) for a in args) if chosen is not None else ()
        if atom.kind == "entry" and atom.data is tensor and (chosen is None or chosen(there)):
            template = self.value(tensor)
            places = zip(self.places(tensor), args, strict=True)
            return self.substitute(template, {p: a for p, a in places if p in template.free})

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

    # --- recurrences

    def gap(self, left: Poly, right: Poly) -> Poly:
        """The difference; beside recurrences with what is said of first and last steps said in one way."""
        return self._at_its_edges(subtract(left, right)) if self.clocks else subtract(left, right)

    def _at_its_edges(self, poly: Poly) -> Poly:
        """What is said of first and last steps said in one way, and of terms that only one length has with that length:
        [T = 1]*f[T - 2] is [T = 1]*f[-1]."""
        poly = at_edges(self, poly)
        terms: list[Term] = []
        for mono, coefficient in poly.terms:
            length = next((found for a, _ in mono.factors if (found := _length_at(a)) is not None), None)
            factors, bound = self.open_mono(mono)
            if length is None or any(length[1] in symbols(i.size) for i in bound):
                terms.append((coefficient, dict(factors), bound))
                continue
            where_so, symbol, value = length
            there = [self.power(self._at_length(a, symbol, value), e) for a, e in factors if a is not where_so]
            body = self.product(self.collect([(coefficient, {where_so: 1}, ())]), *there)
            for index in bound:
                body = self.sum_over(index, body)
            terms += [(c, dict(f), b) for m, c in body.terms for f, b in [self.open_mono(m)]]
        return self.collect(terms)

    def _at_length(self, atom: Atom, symbol: Symbol, value: Poly) -> Poly:
        """An atom where a size has this value; as it is where it sums over an axis of that size."""
        if atom.kind == "symbol" and atom.data is symbol:
            return value
        if symbol not in symbols_at(atom):
            return of_atom(atom)

        def change(poly: Poly) -> Poly:
            if any(symbol in symbols(i.size) for mono, _ in poly.terms for i in mono.bound):
                return poly
            terms: list[Term] = []
            for mono, coefficient in poly.terms:
                factors, bound = self.open_mono(mono)
                part: list[Term] = [(coefficient, {}, bound)]
                for a, e in factors:
                    part = self.times(part, self.power(self._at_length(a, symbol, value), e))
                terms += part
            return self.collect(terms)

        return self.rebuilt(atom, tuple(change(a) for a in atom.args), change)

    def opened(self, side: Poly, tensor: Tensor, times: Sequence[Poly] | None = None) -> Poly:
        """A polynomial with a tensor put in; of a recurrence only its entries that are computed after all others.

        Args:
            times: when the others are computed; those of `side` where nothing is given.
        """
        if tensor not in self.clocks:
            return self.put_in(side, tensor)
        others = self.times_beside(side, tensor) if times is None else times

        def is_last(places: tuple[Poly, ...]) -> bool:
            own = self.time_of(tensor, places)
            return not any(is_after(other, own) for other in others)

        return self.put_in(side, tensor, is_last)

    def opened_gap(self, gap: Poly, tensor: Tensor) -> Poly:
        """A difference with a tensor put in, as `opened` does, and as `gap` says it."""
        opened = self.opened(gap, tensor)
        return self._at_its_edges(opened) if self.clocks else opened

    def aligned(self, gap: Poly, beside: frozenset[Tensor]) -> Poly:
        """A difference whose sums run through the same steps, as far as the places tell at which these are read."""
        return in_line(self, gap, lambda atom: tensors_at(atom) <= beside)

    def times_of(self, poly: Poly, tensor: Tensor) -> list[Poly]:
        """When the entries of a tensor that are read are computed; nothing of one that is in no recurrence."""
        return [self.time_of(tensor, p) for p in self.places_in(poly, tensor)] if tensor in self.clocks else []

    def times_beside(self, poly: Poly, tensor: Tensor) -> list[Poly]:
        """When the entries of a tensor are computed; and those of its recurrence, if not all of its own come before."""
        own = self.times_of(poly, tensor)
        if not own:
            return own
        beside = [e.tensor for e in self.clocks[tensor][0].equations if e.tensor is not tensor]
        others = [time for t in beside for time in self.times_of(poly, t)]
        return own if all(any(is_after(o, a) for o in others) for a in own) else [*own, *others]

    def time_of(self, tensor: Tensor, places: tuple[Poly, ...]) -> Poly:
        """When an entry of a recurrence is computed."""
        block, clock = self.clocks[tensor]
        steps = [(sign, places[axis]) for axis, sign in zip(clock.axes, clock.signs, strict=True)]
        step = combine([*steps, (1, self.size_of(clock.origin))])
        return combine([(block.pace, step), (block.ranks[tensor], ONE)])

    def chosen(self, gate: Poly, then: Poly, otherwise: Poly) -> Poly:
        """As `Canonical` has it; what recurrences ask of their first and last steps becomes an inequality, which a sum
        over the steps takes for a shorter range."""
        other = self.elsewhere(gate) if self.clocks else None
        if other is None:
            return super().chosen(gate, then, otherwise)
        return add(self.multiply(gate, then), self.multiply(other, otherwise))

    def vanishes_everywhere(self, gap: Poly) -> bool:
        """True if a difference is 0, as it stands or entry by entry along short or merged axes."""
        if self._vanishes_in_line(gap) or (has_place(gap) and self.vanishes(by_position(self, gap))):
            return True
        axes = []
        for index in gap.free:
            written = range(self.written_out(index.size))
            values = [constant(k) for k in written] or in_digits(self, index, (gap,))
            axes += [[(index, v) for v in values]] if values else []
        if not axes or math.prod(map(len, axes)) > MOST_ENTRIES:
            return False
        return all(self._vanishes_in_line(self.substitute(gap, dict(at))) for at in itertools.product(*axes))

    def _vanishes_in_line(self, gap: Poly) -> bool:
        """True if a difference is 0, beside recurrences also once its sums run through the same steps, or those over a
        few values are written out."""
        if self.vanishes(gap):
            return True
        ways = (in_line, entry_by_entry) if self.clocks else ()
        return any((other := way(self, gap)) != gap and self.vanishes(other) for way in ways)

    # What varies freely.

    def _is_free(self, tensor: Tensor) -> bool:
        self.used[HIDDEN] = None
        return tensor not in self._inputs and super()._is_free(tensor)

    def known_positive(self, atom: Atom) -> bool:
        """As `Signs` has it; a tensor is positive if what it stands for is."""
        if atom.kind == "entry" and self.is_defined(atom.data):
            self.used[HIDDEN] = None
            return self._nested < MOST_NESTED and self._has(atom.data, "positive")
        return super().known_positive(atom)

    def known_nonnegative(self, atom: Atom) -> bool:
        """As `Signs` has it; a tensor is not negative if what it stands for is not."""
        if atom.kind == "entry" and self.is_defined(atom.data):
            self.used[HIDDEN] = None
            return self._nested < MOST_SEEN_THROUGH and self._has(atom.data, "nonnegative")
        return super().known_nonnegative(atom)

    def _has(self, tensor: Tensor, sign: Literal["positive", "nonnegative"]) -> bool:
        """Whether what a tensor stands for has a sign; remembered with its conditions.

        Sums of squares of what is divided by such sums, layer after layer, ask for it again and again.
        """
        key = tensor, sign, self._nested
        known = self._signs.get(key)
        if known is None:
            outside, failures = self.used, self._failures
            self.used, self._nested = {}, self._nested + 1
            try:
                value = self.value(tensor)
                holds = self.sign(value) == 1 if sign == "positive" else self.nonnegative(value)
            except SymbackpropError:
                holds, self._failures = False, self._failures + 1
            finally:
                used, self.used, self._nested = self.used, outside, self._nested - 1
            known = holds, used
            if failures == self._failures:  # what time ended may be found another time
                self._signs[key] = known
        self.used.update(known[1])
        return known[0]

    @memoised
    def never_flat(self, value: Poly) -> bool:
        """As `Signs` has it, by an input of which no tensor in sight depends, but for those that were put in."""
        return self._varies(value, MOST_LEVELS)

    def _varies(self, value: Poly, levels: int) -> bool:
        self.used[HIDDEN] = None
        seen = tensors_of(value)
        hidden = {t: self._inputs[t] for t in seen if t in self._inputs}
        within = joined(hidden.values())
        for free in (t for t in seen if self._is_free(t)):
            outside = not self._sets.of([free]) & within
            if (outside or self._is_read_later(free, hidden, value)) and self._varies_with(free, value):
                return True
        if not levels:
            return False
        for tensor, inputs in hidden.items():
            others = joined(i for t, i in hidden.items() if t is not tensor)
            own = any(self._is_free(t) for t in self._sets.tensors(inputs & ~others))
            if own and self.is_defined(tensor):
                try:
                    found = self._varies(self.put_in(value, tensor), levels - 1)
                except BudgetError:
                    continue
                if found:
                    return True
        return False

    def _is_read_later(self, free: Tensor, hidden: Mapping[Tensor, int], value: Poly) -> bool:
        """True if all that depends on an input here is computed before the entries of it that stand here are read."""
        places = self.places_in(value, free)
        for tensor in (t for t, inputs in hidden.items() if inputs & self._sets.of([free])):
            if tensor not in self.clocks:
                return False
            block, _ = self.clocks[tensor]
            readings = self._readings.get(id(block), {}).get(free)
            if not readings:
                return False
            times = [self.time_of(tensor, p) for p in self.places_in(value, tensor)]
            axes = set(readings[0]).intersection(*readings)
            if not any(
                all(
                    is_after(self._read_at(block, r[axis], p[axis]), t) for r in readings for p in places for t in times
                )
                for axis in axes
            ):
                return False
        return True

    def _read_at(self, block: Recurrence, reading: Reading, place: Poly) -> Poly:
        step = combine([(reading.sign, place), (1, self.size_of(reading.since))])
        return combine([(block.pace, step), (reading.rank, ONE)])


def is_after(time: Poly, other: Poly) -> bool:
    """True if one time is known to be later than the other."""
    gap = as_constant(subtract(time, other))
    return gap is not None and gap > 0


@functools.cache
def tensors_of(poly: Poly) -> frozenset[Tensor]:
    """The tensors that stand in a polynomial, also inside functions and indices."""
    return frozenset().union(*(tensors_at(a) for m, _ in poly.terms for a, _ in m.factors))


@functools.cache
def tensors_at(atom: Atom) -> frozenset[Tensor]:
    """The tensors that stand in an atom."""
    own = frozenset([atom.data]) if atom.kind == "entry" else frozenset[Tensor]()
    return own.union(*(tensors_of(p) for p in (*atom.args, *templates_of(atom))))


@functools.cache
def symbols_at(atom: Atom) -> frozenset[Symbol]:
    """The sizes that stand in an atom."""
    own = frozenset([atom.data]) if atom.kind == "symbol" else frozenset[Symbol]()
    inner = (a for p in (*atom.args, *templates_of(atom)) for m, _ in p.terms for a, _ in m.factors)
    return own.union(*(symbols_at(a) for a in inner))


def _length_at(atom: Atom) -> tuple[Atom, Symbol, Poly] | None:
    """(the atom, a size, the value it has) for an equality that says which value a size has."""
    if atom.kind != "delta" or atom.free:
        return None
    (gap,) = atom.args
    alone = [(*m.factors[0], c) for m, c in gap.terms if len(m.factors) == 1]
    found = [(a, c) for a, e, c in alone if a.kind == "symbol" and e == 1]
    if len(found) != 1 or len(gap.terms) > 2 or abs(found[0][1]) != 1:
        return None
    (symbol, slope) = found[0]
    value = as_constant(subtract(scale(of_atom(symbol), slope), gap))
    return None if value is None else (atom, symbol.data, constant(value * slope))


@functools.cache
def tensors_in_term(mono: Mono) -> frozenset[Tensor]:
    """The tensors that stand in one term."""
    return frozenset().union(*(tensors_at(a) for a, _ in mono.factors))


def divides(poly: Poly, tensor: Tensor) -> bool:
    """True if some term is divided by an entry of the tensor."""
    return any(a.kind == "entry" and a.data is tensor and e < 0 for m, _ in poly.terms for a, e in m.factors)
