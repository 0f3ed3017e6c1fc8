"""What a claim asks for to have a value: divisors that are not 0, logarithms of what is positive, roots of what is not
negative.

Equal normal forms are equal wherever both sides have values: x**2/x is x where x is not 0, exp(log(x)) is x where x is
positive. The derived gradients have values wherever the forward pass has a derivative; a claim may ask for more. What
is not sure to hold there is a condition of a proof. This module must not know how equality is decided, or who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Literal

from symbackprop.checking.budget import SHARES
from symbackprop.checking.composition import Composition
from symbackprop.checking.question import Question
from symbackprop.checking.threshold_points import thresholds
from symbackprop.errors import BudgetError, SymbackpropError, UnsupportedError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Number,
    Power,
    Tensor,
    Where,
    add,
    children,
    entries_once,
    free_indices,
    negate,
    nodes_once,
    number,
    substitute,
)
from symbackprop.expression.build import subtract as subtract_expr
from symbackprop.expression.functions import OF_POSITIVE, Function, is_arbitrary
from symbackprop.expression.program import PART, Equation, Program
from symbackprop.expression.recurrence import equations_of, recurrent
from symbackprop.expression.sizes import Facts, decide, steady_gap
from symbackprop.expression.sympy_bridge import PLACES, definition
from symbackprop.normal_form.bound_names import abstract
from symbackprop.normal_form.cut_points import CutPoints
from symbackprop.normal_form.data import Atom, Mono, Poly, as_constant, combine, constant, of_atom, scale, subtract
from symbackprop.normal_form.modulo_equations import UNLIMITED, Resolver
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.to_expression import expression
from symbackprop.rendering.text import to_text

Relation = Literal["!=", ">", ">="]
Guard = tuple[Expr, bool]
LONGEST = 80  # of a condition in terms of the inputs; longer ones are told in the user's own
MOST_READINGS = 8  # of a tensor under guards, each told for itself
NAMED = 6  # terms beyond which a tensor stays one atom, where time is short


@dataclass(frozen=True)
class Demand:
    """`value` must stand in this relation to 0, wherever all guards hold (or do not hold)."""

    relation: Relation
    value: Expr
    guards: tuple[Guard, ...] = ()


@dataclass(frozen=True)
class Condition:
    """What a claim asks for beyond what the forward pass does.

    Args:
        open: True if it may fail on a set that matters, so that points must be sought at which it does.
    """

    text: str
    open: bool


# --- what programs ask for


def demands(program: Program, *, differentiable: bool = False, guarded: bool = True) -> list[Demand]:
    """What a program asks for to have values.

    Args:
        differentiable: and derivatives.
        guarded: whether what is asked for under guards alone is told as well. Where it is not, only what is sure to be
            asked for is told: of a tensor of which a part is read, what that part asks for.
    """
    return list(_Walk(program, differentiable, guarded).found)


class _Walk:
    """Collects demands; what is used under a guard alone is asked for there alone.

    From the last equation to the first, so that all readings of a tensor are known when it is come to. One that is read
    in many ways, as in deep models each layer in some, or in part, is asked for everywhere: that is more than is
    needed. Where no more may be told than is needed, some readings are left out.
    """

    def __init__(self, program: Program, differentiable: bool, guarded: bool) -> None:
        self.facts, self.differentiable, self.guarded = program.facts, differentiable, guarded
        self.asked: dict[Demand, None] = {}
        self.seen: set[tuple[Expr, tuple[Guard, ...]]] = set()
        self.readings: dict[Tensor, dict[tuple[Entry, tuple[Guard, ...]], None]] = {}
        self.sure = set(program.outputs)
        self.steps = recurrent(program.equations)  # each step by the one before: what it asks for, all do
        if guarded:
            self.sure |= self.steps.keys()
            for equation in reversed(program.equations):
                if equation.tensor in self.sure:
                    self.sure |= {entry.tensor for entry, _ in _plain_entries(equation.value, self.facts)}
        self.asking: set[Tensor] = set()
        for equation in program.equations:
            if any(e.tensor in self.asking for e in entries_once(equation.value)) or _asks(equation.value):
                self.asking.add(equation.tensor)
        found: list[Iterable[Demand]] = []
        for equation in reversed(program.equations):
            self.asked = {}
            for value, guards in self._uses(equation):
                self.visit(value, guards)
                if not guarded:
                    self._read_surely(value)
            found.append(self.asked)
        self.found = dict.fromkeys(d for asked in reversed(found) for d in asked)

    def _uses(self, equation: Equation) -> list[tuple[Expr, tuple[Guard, ...]]]:
        """What is asked for of a tensor, each with its guards."""
        readings = self.readings.pop(equation.tensor, {})
        if equation.tensor not in self.asking:
            return []
        if self.guarded and len(readings) > MOST_READINGS:
            self.sure |= {equation.tensor, *(entry.tensor for entry, _ in _plain_entries(equation.value, self.facts))}
        if equation.tensor in self.sure:
            return [(equation.value, ())]
        return [(equation.at(entry.indices), guards) for entry, guards in [*readings][:MOST_READINGS]]

    def _read_surely(self, value: Expr) -> None:
        """Which tensors are read whole, and which parts of others."""
        for entry, is_plain in _plain_entries(value, self.facts):
            if _is_whole(entry, self.facts, self.steps.get(entry.tensor)):
                self.sure.add(entry.tensor)
            elif is_plain:
                self.readings.setdefault(entry.tensor, {})[entry, ()] = None

    def visit(self, node: Expr, guards: tuple[Guard, ...]) -> None:
        """Collect what a node asks for."""
        if (node, guards) in self.seen:
            return
        self.seen.add((node, guards))
        match node:
            case Entry(tensor, _):
                if self.guarded and tensor in self.asking and tensor not in self.sure:
                    left = tuple(g for g in guards if not _exists_only_where(node, *g, self.facts))
                    self.readings.setdefault(tensor, {})[node, left] = None
                return
            case Where(condition, then, otherwise):
                self.visit(condition, guards)
                for branch, holds in ((then, True), (otherwise, False)) if self.guarded else ():
                    self.visit(branch, (*guards, (condition, holds)))
                return
            case Power(base, Number(exponent)):
                self._power(base, exponent, guards)
            case Apply(function, (argument,)) if function in OF_POSITIVE:
                self.asked[Demand(">", argument, guards)] = None
            case Apply(function, arguments) if not is_total(function):
                meaning = definition(function)
                assert meaning is not None
                self.visit(substitute(meaning, dict(zip(PLACES, arguments, strict=False))), guards)
        for child in children(node):
            self.visit(child, guards)

    def _power(self, base: Expr, exponent: Fraction, guards: tuple[Guard, ...]) -> None:
        if _is_natural(exponent):
            return
        relation: Relation = "!=" if exponent.denominator == 1 else ">"
        if exponent > (1 if self.differentiable else 0):
            relation = ">="
        if not (isinstance(base, Number) and base.value > 0):
            self.asked[Demand(relation, base, guards)] = None


def _plain_entries(expr: Expr, facts: Facts) -> Iterator[tuple[Entry, bool]]:
    """What is read whatever the conditions are, or wherever there is something to read; True for the former."""
    stack: list[tuple[Expr, tuple[Guard, ...]]] = [(expr, ())]
    seen = set(stack)
    while stack:
        node, guards = stack.pop()
        if isinstance(node, Entry) and all(_exists_only_where(node, *guard, facts) for guard in guards):
            yield node, not guards
        parts = [(part, guards) for part in children(node)]
        if isinstance(node, Where):
            then, otherwise = (*guards, (node.condition, True)), (*guards, (node.condition, False))
            parts = [(node.condition, guards), (node.then, then), (node.otherwise, otherwise)]
        new = [part for part in parts if part not in seen]
        seen.update(new)
        stack.extend(new)


def _is_whole(entry: Entry, facts: Facts, steps: int | None) -> bool:
    """True if all entries of the tensor are read where the indices take all their values.

    Args:
        steps: the axis of which one entry is enough.
    """
    met = set[Index]()
    for axis, (place, size) in enumerate(zip(entry.indices, entry.tensor.shape, strict=True)):
        if axis == steps:
            continue
        terms = place.terms if isinstance(place, Add) else (place,)
        own = [t for t in terms if isinstance(t, Index)]
        first = add(*(t for t in terms if not isinstance(t, Index)))
        if free_indices(first) or any(entries_once(first)) or len({*own} | met) < len(own) + len(met):
            return False
        met.update(own)
        last = add(first, *(add(i.size, MINUS_ONE) for i in own))
        if not (decide("<=", first, ZERO, facts) and decide("<=", size, add(last, ONE), facts)):
            return False
    return True


def _exists_only_where(entry: Entry, condition: Expr, holds: bool, facts: Facts) -> bool:
    """True if a condition on indices holds (or does not) wherever there is this entry, as a margin has it: of an array
    with zeros around it, where(1 <= i, x[i - 1], 0) reads all that there is."""
    if any(e.tensor.kind == "real" for e in entries_once(condition)):
        return False
    match condition:
        case Multiply(factors) if holds:
            return all(_exists_only_where(entry, factor, True, facts) for factor in factors)
        case Where(inner, then, otherwise) if then is ONE and otherwise is ZERO:
            return _exists_only_where(entry, inner, holds, facts)
        case Kronecker(left, right) if not holds:
            return _are_apart(entry, left, right, 1, facts) or _are_apart(entry, right, left, 1, facts)
        case Compare("<" | "<=" as relation, left, right):
            low, high = (left, right) if holds else (right, left)
            return _are_apart(entry, low, high, int((relation == "<") == holds), facts)
    return False


def _are_apart(entry: Entry, low: Expr, high: Expr, by: int, facts: Facts) -> bool:
    """Whether low + by <= high wherever there is this entry."""
    for place, size in zip(entry.indices, entry.tensor.shape, strict=True):
        for known in (place, add(size, MINUS_ONE, negate(place))):  # neither is negative
            rest = steady_gap(high, add(low, known), facts)
            if rest is not None and decide("<=", number(by), rest, facts):
                return True
    return False


def _asks(value: Expr) -> bool:
    """Whether anything in a value, by itself, may have none."""
    return any(
        not is_total(node.function) or node.function in OF_POSITIVE
        if isinstance(node, Apply)
        else isinstance(node, Power) and not (isinstance(node.exponent, Number) and _is_natural(node.exponent.value))
        for node in nodes_once(value)
    )


def _is_natural(exponent: Fraction) -> bool:
    return exponent.denominator == 1 and exponent >= 0


@cache
def is_total(function: Function) -> bool:
    """True if a function has a value everywhere, as far as its definition shows."""
    meaning = definition(function)
    if meaning is None or is_arbitrary(function):
        return True
    asked: dict[Demand, None] = {}
    for node in nodes_once(meaning):
        if isinstance(node, Power) and not (isinstance(node.exponent, Number) and node.exponent.value.denominator == 1):
            return False
        if isinstance(node, Power) and isinstance(node.exponent, Number) and node.exponent.value < 0:
            asked[Demand("!=", node.base)] = None
        if isinstance(node, Apply):
            if node.function in OF_POSITIVE:
                asked[Demand(">", node.arguments[0])] = None
            elif not is_total(node.function):
                return False
    table = Canonical()
    try:
        return all(_Sure(table).holds(d.relation, table.normal(d.value)) for d in asked)
    except SymbackpropError:
        return False


# --- what is sure to hold


class _Sure:
    """What holds wherever a forward pass has a derivative.

    Args:
        table: a normal form that knows the equations.
    """

    def __init__(self, table: Canonical, read: Callable[[Expr], Poly] | None = None) -> None:
        self.table = table
        self.read = table.normal if read is None else read
        self.known: dict[Relation, set[Poly]] = {"!=": set(), ">": set(), ">=": set()}

    def learn(self, relation: Relation, poly: Poly) -> None:
        """This holds, for all values of its indices."""
        self.known[relation].add(_template(poly))
        if relation == ">=":
            return
        (_, mono), core = self.table.factor(poly)
        for part in (*(self._part(a) for a, _ in mono.factors), core):
            self.known["!="] |= {_template(part), _template(scale(part, -1))}

    def holds(self, relation: Relation, poly: Poly, facts: tuple[tuple[Relation, Poly], ...] = ()) -> bool:
        """True if it is sure, given what is known and these facts."""
        value = as_constant(poly)
        if value is not None:
            return value > 0 or (value < 0 and relation == "!=") or (value == 0 and relation == ">=")
        if self._plainly(relation, poly) or self._follows(relation, poly, facts):
            return True
        parts = self.table.split(poly)
        if parts is not None:
            gate, on, off = parts
            ((mono, _),) = gate.terms
            with_it, without = self._facts_of(mono.factors[0][0])
            if with_it and all(self.holds(r, p, facts) for r, p in with_it):  # a guard says that it is 1
                return self.holds(relation, on, facts)
            return self.holds(relation, on, (*facts, *with_it)) and self.holds(relation, off, (*facts, *without))
        return not self.doubtful(relation, poly, facts)

    def doubtful(
        self, relation: Relation, poly: Poly, facts: tuple[tuple[Relation, Poly], ...] = ()
    ) -> list[tuple[Relation, Poly]]:
        """What is not sure: that factors are not 0; of an inequality, that what is not positive for sure is."""
        (coefficient, mono), core = self.table.factor(poly)
        parts = [(self._part(a), e) for a, e in mono.factors]
        parts += [] if as_constant(core) is not None else [(core, 1)]
        if relation == "!=":
            return [("!=", p) for p, _ in parts if not self._never_zero(p, poly, facts)]
        unsure = [(p, e) for p, e in parts if not (p is not poly and self._positive(p, relation, facts))]
        squares = [p for p, e in unsure if e == int(e) and int(e) % 2 == 0]
        rest = [p for p, _ in unsure if p not in squares]
        if rest or coefficient < 0:
            return [(relation, self.table.product(constant(1 if coefficient > 0 else -1), *rest, *squares))]
        return [("!=", p) for p in squares if relation == ">" and not self._never_zero(p, poly, facts)]

    def _part(self, atom: Atom) -> Poly:
        """A factor; of a sum kept as one atom the sum."""
        return self.table.definition(atom) if atom.kind == "base" else of_atom(atom)

    def _never_zero(self, part: Poly, whole: Poly, facts: tuple[tuple[Relation, Poly], ...]) -> bool:
        if self._plainly("!=", part) or self._follows("!=", part, facts):
            return True
        return part is not whole and self.holds("!=", part, facts)

    def _positive(self, part: Poly, relation: Relation, facts: tuple[tuple[Relation, Poly], ...]) -> bool:
        return self._plainly(relation, part) or self._follows(relation, part, facts)

    def _plainly(self, relation: Relation, poly: Poly) -> bool:
        """By the signs of its terms, or because the forward pass asks for it too."""
        template = _template(poly)
        stronger: dict[Relation, tuple[Relation, ...]] = {"!=": ("!=", ">"), ">": (">",), ">=": (">", ">=")}
        if any(template in self.known[r] for r in stronger[relation]):
            return True
        sign = self.table.sign(poly) or self._sign_of_size(poly)
        if sign is not None:
            return sign > 0 or relation == "!="
        sides = (poly, scale(poly, -1)) if relation == "!=" else (poly,)
        return any(self._sum_of_positive(side, strict=relation != ">=") for side in sides)

    def _sum_of_positive(self, poly: Poly, *, strict: bool) -> bool:
        """True if no term is negative and, if that is asked for, one is known to be positive."""
        if not all(c > 0 and self.table.weakly_positive(m) for m, c in poly.terms):
            return False
        return not strict or any(self._known_positive(m) for m, _ in poly.terms)

    def _known_positive(self, mono: Mono) -> bool:
        if _template(Poly.make({mono: 1})) in self.known[">"]:
            return True
        return not mono.bound and all(
            self.table.known_positive(a) or _template(self._part(a)) in self.known[">"] for a, _ in mono.factors
        )

    def _sign_of_size(self, poly: Poly) -> int | None:
        if not all(_is_of_sizes(m) and isinstance(c, int) for m, c in poly.terms):
            return None
        size = self.table.size_expression(poly)
        return 1 if self.table.decided(">", size) else -1 if self.table.decided("<", size) else None

    def _follows(self, relation: Relation, poly: Poly, facts: tuple[tuple[Relation, Poly], ...]) -> bool:
        """From one fact: p = fact, or p = fact + something that is not negative."""
        sides = (poly, scale(poly, -1)) if relation == "!=" else (poly,)
        for side in sides:
            for kind, fact in facts:
                gap = subtract(side, fact)
                if not gap.terms and (kind in (relation, ">")):
                    return True
                if kind == "!=" or not gap.terms:
                    continue
                strict = self.table.sign(gap) == 1
                if strict or (kind == ">" and self._sum_of_positive(gap, strict=False)):
                    return True
        return False

    def _facts_of(self, gate: Atom) -> tuple[tuple[tuple[Relation, Poly], ...], tuple[tuple[Relation, Poly], ...]]:
        """What holds where an indicator is 1, and where it is 0."""
        if gate.kind not in ("positive", "zero"):
            return (), ()
        inside = self.table.definition(gate)
        if gate.kind == "positive":
            return ((">", inside),), ((">=", scale(inside, -1)),)
        return (), (("!=", inside),)

    def facts(self, guards: Iterable[Guard]) -> tuple[tuple[Relation, Poly], ...]:
        """What guards say about reals."""
        return tuple(fact for condition, holds in guards for fact in self._of_guard(condition, holds))

    def _of_guard(self, condition: Expr, holds: bool) -> Iterator[tuple[Relation, Poly]]:
        match condition:
            case Compare(relation, left, right):
                gap = self.read(subtract_expr(right, left))
                if relation == "==":
                    yield from () if holds else (("!=", gap),)
                else:
                    strict = (relation == "<") == holds
                    yield ">" if strict else ">=", gap if holds else scale(gap, -1)
            case Kronecker(left, right):
                yield from () if holds else (("!=", self.read(subtract_expr(right, left))),)
            case Multiply(factors) if holds:
                for factor in factors:
                    yield from self._of_guard(factor, True)
            case Add((Multiply((Number(minus), inner)), Number(one))) if minus == -1 and one == 1:
                yield from self._of_guard(inner, not holds)


def _template(poly: Poly) -> Poly:
    """The polynomial without the names of its indices."""
    return abstract((poly,))[0][0]


def _is_of_sizes(mono: Mono) -> bool:
    return not mono.bound and all(_is_size(a) for a, _ in mono.factors)


def _is_size(atom: Atom) -> bool:
    """True for a size, and for one size divided by another."""
    if atom.kind == "quotient":
        return all(_is_of_sizes(m) for a in atom.args for m, _ in a.terms)
    return atom.kind == "symbol" and bool(atom.data.kind == "size")


# --- conditions


def conditions_of(
    question: Question,
    facts: Facts,
    *,
    expanded: int = 0,
    composition: Composition | None = None,
) -> list[Condition]:
    """What the claim of a question asks for beyond what its forward pass does.

    Args:
        facts: what is known about sizes.
        composition: of a whole model, the lemmas by which it is proved: then tensors stay atoms here too.
    """
    asked = demands(question.claimed)
    if not asked:
        return []
    equations = {e.tensor: e for p in (question.claimed, question.forward) for e in p.equations}
    kinds = question.forward.known
    share = SHARES["conditions"]
    for limit in (UNLIMITED, NAMED) if composition is None else (0,):
        if composition is None:
            table = Resolver(equations.values(), facts, kinds, limit=limit, expanded=expanded, seconds=share.seconds)
            sure = _Sure(table)
        else:
            composition.cuts.restart_clock(share.seconds + share.a_line * len(asked))
            sure = _Sure(composition.cuts, composition.read)
        try:
            _learn(sure, question)
            written = _as_written(question, facts)
            left = [d for d in asked if not _shows(written, d)]
            return [c for demand in left for c in _doubts(sure, demand, question.claimed)]
        except BudgetError:
            continue
    return [Condition(_text_of(demand, demand.value), True) for demand in asked]


def _as_written(question: Question, facts: Facts) -> _Sure:
    """What shows in the user's own terms: 1 + d**2 is positive, whatever d is written out."""
    cuts = CutPoints(facts, question.forward.known, seconds=SHARES["conditions"].seconds)
    for block in question.claimed.blocks:
        cuts.define_block(block, equations_of(block))
    return _Sure(cuts)


def _shows(sure: _Sure, demand: Demand) -> bool:
    try:
        return sure.holds(demand.relation, sure.read(demand.value))
    except SymbackpropError:
        return False


def _learn(sure: _Sure, question: Question) -> None:
    """What the forward pass asks for to have a derivative."""
    for demand in demands(question.forward, differentiable=True, guarded=False):
        sure.learn(demand.relation, sure.read(demand.value))
    for site in thresholds(question.forward):
        if site.of_branch:
            sure.learn("!=", sure.read(site.difference))


def _doubts(sure: _Sure, demand: Demand, claimed: Program) -> Iterator[Condition]:
    try:
        poly = sure.read(demand.value)
        facts = sure.facts(demand.guards)
        if sure.holds(demand.relation, poly, facts):
            return
        parts = sure.doubtful(demand.relation, poly, facts) or [(demand.relation, poly)]
    except UnsupportedError:
        yield Condition(_text_of(demand, demand.value), True)
        return
    for relation, part in parts:
        of_sizes = all(_is_of_sizes(m) for m, _ in part.terms)
        open = not of_sizes and (relation != "!=" or not sure.table.never_flat(part))
        text = _text(sure.table, replace(demand, relation=relation), part)
        own = _text_of(demand, demand.value)
        shorter = len(parts) == 1 and len(own) < len(text) and not _has_parts(demand.value, claimed)
        yield Condition(own if shorter else text, open)


def _has_parts(value: Expr, claimed: Program) -> bool:
    """True if the value mentions a tensor that the user has no name for."""
    lines = claimed.by_tensor
    return any(
        isinstance(n, Entry) and n.tensor in lines and lines[n.tensor].note.startswith(PART) for n in nodes_once(value)
    )


def _text(table: Canonical, demand: Demand, part: Poly) -> str:
    """The condition, solved for what stands alone in it: "x[n,d] != 0", "D != 40"."""
    try:
        solved = _solved(table, part)
        if solved is not None:
            left, right, flipped = solved
            relation = {">": "<", ">=": "<="}.get(demand.relation, demand.relation) if flipped else demand.relation
            return f"{to_text(left)} {relation} {to_text(right)}" + _where(demand)
        shown = expression(table, part, {})
    except SymbackpropError:
        shown = demand.value
    text = _text_of(demand, shown)
    return text if len(text) <= LONGEST else _text_of(demand, demand.value)  # in the user's own terms


def _solved(table: Canonical, part: Poly) -> tuple[Expr, Expr, bool] | None:
    """(u, r, flipped) where part = c*u - c*r for an entry or size u and a number r; flipped if c < 0."""
    rest = [(m, c) for m, c in part.terms if m.factors or m.bound]
    if len(rest) != 1:
        return None
    (mono, c) = rest[0]
    if mono.bound or len(mono.factors) != 1 or mono.factors[0][1] != 1:
        return None
    offset = combine([(1, part), (-c, Poly.make({mono: 1}))])
    right = number(-Fraction(as_constant(offset) or 0) / Fraction(c))
    return expression(table, Poly.make({mono: 1}), {}), right, c < 0


def _text_of(demand: Demand, value: Expr) -> str:
    return f"{to_text(value)} {demand.relation} 0" + _where(demand)


def _where(demand: Demand) -> str:
    """The guards, where there are any."""
    shown = [to_text(c) if holds else f"not {to_text(c)}" for c, holds in demand.guards if c is not ONE]
    return f", where {' and '.join(shown)}" if shown else ""


__all__ = ["Condition", "Demand", "conditions_of", "demands", "is_total"]
