"""Exponentials that overflow, taken out of products, quotients, sums and logarithms: each value at a scale of its own.

A value is written as exp(shift) * rest, where the shift is a sum of exponents and of largest exponents:

    exp(u)                       shift u, rest 1
    a b, a^k                     shifts are added and multiplied by k
    sum over c of a[c]           shift the largest of those of the a[c], rest sum of exp(shift[c] - shift) rest[c]
    a + b, where(c, a, b)        shift the larger of the two
    log(a)                       shift + log(rest): without a scale

So numerator and denominator of a softmax, its square, 1 + sum of exp(z), (s - e)/s and their slopes, whatever names
their parts have, end as exp(shift) * rest with a shift that is 0 or known to be negative, and that is computed: the
identity holds for any shift. Tensors whose value has no such form are read at their scale by those that need it.
Each rewriting is made only where the normal form accepts both sides as equal, given how the tensors that are read are
scaled. What is finite as it stands is left alone.

Source: Blanchard, Higham & Higham, "Accurately computing the log-sum-exp and softmax functions", IMA J. Numer. Anal. 41
(2021), for one sum.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Kronecker,
    Multiply,
    Number,
    Position,
    Power,
    Sum,
    Tensor,
    Where,
    add,
    apply,
    children,
    close_sum,
    entries_once,
    factors_of,
    free_indices,
    fresh,
    multiply,
    negate,
    nodes_once,
    number,
    open_binder,
    power,
    rebound,
    rebuild,
    rewrite,
    substitute,
    where,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, LOG
from symbackprop.expression.program import Equation, Program, unused
from symbackprop.normal_form.modulo_equations import Resolver
from symbackprop.proofs.stable_forms import Context, Exponential, along, cancelled, masks_of
from symbackprop.proofs.stable_functions import EXPM1, LOG1P
from symbackprop.rendering.text import to_text

_RELU, _ABS = FUNCTIONS["relu"], FUNCTIONS["abs"]
SECONDS = 2.0  # for the proof of one line
MOST_STEPS = 200  # of the search for a sign
MODEST = 30  # a number that may stand in an exponent
FOLDED, OPEN, NOT_ZERO = range(3)  # what is asked of a scale: see `_Scaling.scale`
SHORT = 8  # nodes of a rest that gets no name
Linear = Mapping[Expr, Fraction]  # a sum of numbers times what is no sum
Hidden = tuple[tuple[Expr, bool], ...]  # conditions, and which of their answers makes a term 0


@dataclass(frozen=True)
class Scaled:
    """exp(shift) * rest."""

    shift: Linear
    rest: Expr

    def times(self, other: Scaled) -> Scaled:
        """The product."""
        return Scaled(_sum(self.shift, other.shift), multiply(self.rest, other.rest))

    @property
    def whole(self) -> Expr:
        """The value."""
        return multiply(apply(EXP, _written(self.shift)), self.rest) if self.shift else self.rest

    def to(self, exponent: Number) -> Scaled:
        """The power."""
        rest, times = self.rest, exponent.value
        if isinstance(rest, Power) and rest.exponent is MINUS_ONE and times < 0:
            rest, times = rest.base, -times
        return Scaled(_sum((self.shift, exponent.value)), power(rest, number(times)))


def _sum(*parts: Linear | tuple[Linear, Fraction]) -> Linear:
    found: dict[Expr, Fraction] = {}
    for part in parts:
        linear, times = part if isinstance(part, tuple) else (part, Fraction(1))
        for atom, k in linear.items():
            found[atom] = found.get(atom, Fraction(0)) + times * k
    return {a: k for a, k in found.items() if k}


def _written(linear: Linear) -> Expr:
    ordered = sorted(linear.items(), key=lambda item: (item[1] < 0, to_text(item[0])))
    return add(*(multiply(number(k), a) for a, k in ordered))


def scaled(program: Program) -> Program:
    """The same functions, with exponentials that cannot overflow where the result does not.

    Example:
        >>> from symbackprop.expression.build import Symbol
        >>> x, y = Tensor("x", (Symbol("N", "size"),)), Tensor("y", (Symbol("N", "size"),))
        >>> n = Index("n", Symbol("N", "size"))
        >>> e = apply(EXP, Entry(x, (n,)))
        >>> s = Tensor("s", ())
        >>> total = Equation(s, (), close_sum(n, e))
        >>> made = scaled(Program((x,), (total, Equation(y, (n,), multiply(e, Power(Entry(s, ()), MINUS_ONE)))), (y,)))
        >>> [e.tensor.name for e in made.equations]
        ['s', 'top', 'total', 'y']
    """
    return _Scaling(program).run()


def scaled_logarithm(program: Program, total: Entry) -> Expr:
    """log(total) at a scale, over the tensors of `scaled(program)`, where `total` is one of the program."""
    scaling = _Scaling(program)
    scaling.run()
    return scaling.with_names(scaling.scale(apply(LOG, total), FOLDED).rest)


class _Scaling:
    """Rewrites one equation after the other.

    Attributes:
        equations: those of the result so far, by tensor.
        tainted: the tensors of the program in which there is an exponential that may overflow.
        safe: those of them that are finite as the result has them.
        found: how a tensor is scaled, over the indices of its equation; under True with nothing left in it that may
            underflow. None where it has no scale.
        made: tensors, how they are scaled, and the same before the rest had a name.
        rests: the tensors that are rests or masks: what a proof may have to look into.
        signs: conditions, and the same without a scale, which is positive.
        given: what is negative in the branch that is looked at.
        used: the tensors that the rewriting at hand has read at their scale.
        bound: the bound indices of largest exponents.
        largest: the largest exponents that have names.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.context = Context(program.by_tensor, {a.tensor: a for a in program.assumptions})
        self.taken = {t.name for t in program.tensors} | {s.name for s in program.parameters}
        self.equations: dict[Tensor, Equation] = {}
        self.tainted: set[Tensor] = set()
        self.safe: set[Tensor] = set()
        self.found: dict[tuple[Tensor, int], Scaled | None] = {}
        self.made: list[tuple[Tensor, Scaled, Scaled]] = []
        self.rests: set[Tensor] = set()
        self.given: list[Linear] = []
        self.signs: dict[Expr, Expr] = {}
        self.used: dict[Tensor, Equation] = {}
        self.bound: dict[tuple[int, str, Expr], Index] = {}
        self.largest: dict[Tensor, Equation] = {}

    def run(self) -> Program:
        own = {e.tensor for b in self.program.blocks if isinstance(b, Equation) for e in (b,)}
        for equation in self.program.equations:
            if isinstance(equation.value, Extremum):
                self.largest[equation.tensor] = equation
            value = equation.value
            if equation.tensor in own and self.is_tainted(value):
                self.tainted.add(equation.tensor)
                value = self.line(equation)
            self.equations[equation.tensor] = replace(equation, value=value)
        return replace(self.program, equations=tuple(self.equations.values())) if self.tainted else self.program

    def is_tainted(self, value: Expr) -> bool:
        return any(
            node.tensor in self.tainted if isinstance(node, Entry) else self.may_overflow(node)
            for node in nodes_once(value)
        )

    def may_overflow(self, node: Expr) -> bool:
        """Also whether all of a sum of exponentials may underflow, since none of them is known to be 1."""
        if not isinstance(node, Apply) or not (node.function is EXP or node.function == EXPM1):
            return False
        shift = self.linear(node.arguments[0])
        known = any(isinstance(n, Extremum) or (isinstance(n, Apply) and n.function is not EXP)
                    for atom in shift for n in nodes_once(atom))  # fmt: skip
        return self.below_zero(shift) is None or (not known and any(map(free_indices, shift)))

    def line(self, equation: Equation) -> Expr:
        """The right side of an equation, in a form that is as finite as what it is."""
        before = equation.value
        for way in (partial(self.scale, unfold=FOLDED), partial(self.scale, unfold=OPEN), self.spread):
            self.used = {}
            whole = way(before)
            after = None if whole is None else self.folded(whole)
            if after is not None and (after is before or self.accepted(before, after)):
                self.safe.add(equation.tensor)
                return self.with_names(after)
        if self.cancels(before):
            self.used = {}
            whole = self.scale(before, FOLDED)
            if self.accepted(before, whole.whole):
                return self.with_names(whole.whole)
        return before

    def spread(self, value: Expr) -> Scaled | None:
        """The value with products multiplied out, each term at a scale that is 0 or negative."""
        terms: list[Expr] = []
        for term in self.products(value):
            for unfold in (FOLDED, OPEN):
                folded = self.folded(self.scale(term, unfold))
                if folded is not None:
                    terms.append(folded)
                    break
            else:
                return None
        return Scaled({}, add(*terms))

    def products(self, value: Expr) -> Iterator[Expr]:
        """The terms of a sum, and of a product of sums, names of what has a scale seen through."""
        if isinstance(value, Add):
            for term in value.terms:
                yield from self.products(term)
            return
        factors = [g for f in factors_of(value) for g in factors_of(self.seen_through(f))]
        total = next((f for f in factors if isinstance(f, Add) and self.is_tainted(f)), None)
        rest = [f for f in factors if f is not total]
        if total is not None:
            for term in total.terms:
                yield from self.products(multiply(*rest, term))
            return
        for delta in (f for f in factors if isinstance(f, Kronecker)):
            for index, place in ((delta.left, delta.right), (delta.right, delta.left)):
                if isinstance(index, Index):
                    others = [f if f is delta else substitute(f, {index: place}) for f in factors]
                    yield multiply(*others)
                    return
        yield multiply(*factors)

    def seen_through(self, expr: Expr) -> Expr:
        """The value of what is not finite as it stands."""
        if not isinstance(expr, Entry) or expr.tensor not in self.tainted - self.safe:
            return expr
        equation = self.program.by_tensor[expr.tensor]
        if not isinstance(equation.value, Add | Multiply):
            return expr
        self.used[expr.tensor] = equation
        value = equation.at(expr.indices)
        return multiply(*(self.seen_through(f) for f in value.factors)) if isinstance(value, Multiply) else value

    def cancels(self, value: Expr) -> bool:
        """Whether something large may be divided by something large, or multiplied by something small."""
        for node in nodes_once(value):
            if isinstance(node, Multiply) and sum(self.is_tainted(f) for f in node.factors) > 1:
                return True
            if isinstance(node, Power) and self.is_tainted(node.base):
                return True
        return False

    def accepted(self, before: Expr, after: Expr) -> bool:
        """True if the two are equal, given how the tensors that were read are scaled."""
        used = [replace(e, value=self.with_names(rewrite(e.value, self.signs.get))) for e in self.used.values()]
        before = rewrite(before, self.signs.get)
        before, after = self.with_names(before), self.with_names(after)
        seen = dict.fromkeys(n.tensor for e in (before, after, *(e.value for e in used)) for n in entries_once(e))
        for tensor in (t for t in list(seen) if t in self.rests):
            seen.update(dict.fromkeys(n.tensor for n in entries_once(self.equations[tensor].value)))
        rests = [self.equations[t] for t in seen if t in self.rests]
        return self.are_equal(before, after, used) or (bool(rests) and self.are_equal(before, after, [*used, *rests]))

    def are_equal(self, before: Expr, after: Expr, known: Sequence[Equation]) -> bool:
        try:
            resolver = Resolver(known, self.program.facts, self.program.known, seconds=SECONDS)
            return resolver.equal(before, after)
        except SymbackpropError:
            return False

    def folded(self, form: Scaled) -> Expr | None:
        """The value, if its scale is 0 or can be said to be negative."""
        if not form.shift:
            return form.rest
        hidden = self.below_zero(form.shift)
        if hidden is None or not all(self.is_zero_where(c, form.rest) for c, answer in hidden if answer):
            return None
        exponent = _written(form.shift)
        for condition, answer in hidden:
            exponent = where(condition, ZERO, exponent) if answer else where(condition, exponent, ZERO)
        return multiply(apply(EXP, exponent), form.rest)

    def is_zero_where(self, condition: Expr, rest: Expr) -> bool:
        """Whether a rest is 0 where its weights are: a proof that leaves single points out does not say."""
        points = [n for n in nodes_once(condition) if isinstance(n, Compare) and n.relation == "=="]
        places = [(part, p.right) for p in points for part in (factors_of(p.left) if p.right is ZERO else (p.left,))]
        return all(substitute(self.opened(rest), {part: value}) is ZERO for part, value in places)

    def opened(self, rest: Expr) -> Expr:
        """A rest, for its name."""
        known = self.equations.get(rest.tensor) if isinstance(rest, Entry) and rest.tensor in self.rests else None
        return known.at(rest.indices) if known is not None and isinstance(rest, Entry) else rest

    def finite(self, form: Scaled) -> Scaled:
        """Without a scale, where it can be."""
        own = self.folded(form)
        return form if own is None else Scaled({}, own)

    # How a value is scaled.

    def scale(self, expr: Expr, unfold: int) -> Scaled:
        """The value by its scale.

        Args:
            unfold: FOLDED leaves what is finite as it is, OPEN does not, since it may be 0 beside what is infinite;
                what is NOT_ZERO is divided by.
        """
        if not self.is_tainted(expr):
            return Scaled({}, expr)
        match expr:
            case Entry():
                return self.entry(expr, unfold)
            case Apply(function, (argument,)) if function is EXP:
                exponent = self.value(argument)
                shift = self.linear(exponent)
                safe = not unfold and self.below_zero(shift) is not None
                return Scaled({}, apply(EXP, exponent)) if safe else Scaled(shift, ONE)
            case Apply(function, (argument,)) if function == EXPM1:
                shift = self.linear(self.value(argument))
                top: Linear = {apply(_RELU, _written(shift)): Fraction(1)}
                low, high = _sum(shift, (top, Fraction(-1))), _sum((top, Fraction(-1)))  # one of the two is 0
                rest = add(apply(EXPM1, _written(low)), negate(apply(EXPM1, _written(high))))
                return Scaled({}, expr) if self.below_zero(shift) is not None else Scaled(top, rest)
            case Apply(function, (argument,)) if function is LOG:
                form = self.scale(argument, NOT_ZERO)
                return Scaled({}, add(_written(form.shift), _log(form.rest)))
            case Apply(function, (argument,)) if function == LOG1P:
                return Scaled({}, self.log_of_one_and(self.scale(argument, NOT_ZERO)))
            case Apply(function, (argument,)) if function is _ABS:
                form = self.scale(argument, unfold)
                return Scaled(form.shift, apply(function, form.rest))
            case Multiply(factors):
                form = Scaled({}, ONE)
                forms = [self.scale(f, unfold) for f in factors]
                for part in forms:
                    form = form.times(part)
                if not form.shift:
                    return Scaled({}, sign_inside(expr, tuple(f.rest for f in forms)) or cancelled(form.rest))
                return Scaled(form.shift, cancelled(form.rest))
            case Power(base, Number() as exponent):
                if exponent.value < 0 and not unfold and self.is_above_one(base):
                    return Scaled({}, expr)
                return self.scale(base, NOT_ZERO if exponent.value < 0 else unfold).to(exponent)
            case Add(terms):
                return self.added([self.scale(t, unfold) for t in terms])
            case Where(condition, _, otherwise):
                return self.chosen(self.condition(condition), *self.branches(expr, unfold), otherwise)
            case Compare():
                return Scaled({}, self.condition(expr))
            case Sum():
                return self.summed(expr, unfold)
        if isinstance(expr, Extremum):
            return self.extreme(expr, unfold)
        parts = children(expr)
        new = tuple(self.value(p) for p in parts)
        return Scaled({}, expr if new == parts else rebuild(expr, new))

    def value(self, expr: Expr) -> Expr:
        """A value that nothing is multiplied with."""
        if not self.is_tainted(expr):
            return expr
        form = self.scale(expr, False)
        folded = self.folded(form)
        return form.whole if folded is None else folded

    def log_of_one_and(self, form: Scaled) -> Expr:
        """log(1 + exp(u) r), which is relu(u) + log1p(exp(-relu(u)) - 1 + exp(u - relu(u)) r)."""
        folded = self.folded(form)
        if folded is not None:
            return apply(LOG1P, folded)
        top: Linear = {apply(_RELU, _written(form.shift)): Fraction(1)}
        rest = self.less(form, top)
        return add(_written(top), apply(LOG1P, add(apply(EXPM1, negate(_written(top))), rest)))

    def condition(self, expr: Expr) -> Expr:
        """exp(u) r < 0 as r < 0: what is compared may underflow. Equality depends on roundings and stays."""
        if not isinstance(expr, Compare) or expr.relation == "==" or not self.is_tainted(expr):
            return expr
        if expr not in self.signs:
            gap = add(expr.left, negate(expr.right))
            form = self.scale(gap, NOT_ZERO)
            right = bool(form.shift) and self.accepted(gap, form.whole)
            self.signs[expr] = Compare(expr.relation, form.rest, ZERO) if right else expr
        return self.signs[expr]

    def is_above_one(self, expr: Expr) -> bool:
        """Whether a sum is a number that is not small, and exponentials."""
        value = self.context.opened(expr)
        if not isinstance(value, Add) or not any(
            isinstance(t, Number) and t.value > Fraction(1, 8) for t in value.terms
        ):
            return False
        return all(isinstance(t, Number) or _is_exponential(self.context.opened(t)) for t in value.terms)

    def entry(self, expr: Entry, unfold: int) -> Scaled:
        tensor = expr.tensor
        if tensor in self.safe and not unfold:
            return Scaled({}, expr)
        form = self.scaled(tensor, unfold)
        if form is None:
            return Scaled({}, expr)
        equation = self.program.by_tensor[tensor]
        self.used[tensor] = replace(equation, value=form.whole)
        places: dict[Expr, Expr] = dict(zip(equation.indices, expr.indices, strict=True))
        return Scaled(_sum(*(({substitute(a, places): Fraction(1)}, k) for a, k in form.shift.items())),
                      substitute(form.rest, places))  # fmt: skip

    def scaled(self, tensor: Tensor, unfold: int) -> Scaled | None:
        """How a tensor is scaled; its rest is a tensor, too, unless it is short."""
        key = tensor, unfold
        if key not in self.found:
            outer, self.used = self.used, {}
            self.found[key] = self.scaled_anew(self.program.by_tensor[tensor], unfold)
            self.used = outer
        return self.found[key]

    def scaled_anew(self, equation: Equation, unfold: int) -> Scaled | None:
        form = self.scale(equation.value, unfold)
        if not form.shift and equation.tensor in self.safe:
            return None
        if not self.accepted(equation.value, form.whole):
            return None
        nodes = list(nodes_once(form.rest))
        if len(nodes) <= SHORT and not any(isinstance(n, Sum | Extremum | Apply) for n in nodes):
            return form
        same = next((f for t, f, r in self.made if t is equation.tensor and self.alike(r, form)), None)
        if same is not None:
            return same
        total = isinstance(form.rest, Sum)
        self.name_largest(equation, form.shift)
        name = unused("total" if total else f"{equation.tensor.name}_scaled", self.taken)
        note = "the sum of exponentials, shifted" if total else f"{equation.tensor.name}, scaled"
        tensor = Tensor(name, equation.tensor.shape)
        self.taken.add(name)
        self.equations[tensor] = Equation(tensor, equation.indices, self.with_names(form.rest), note)
        found = Scaled(form.shift, Entry(tensor, equation.indices))
        self.rests.add(tensor)
        self.made.append((equation.tensor, found, form))
        return found

    def alike(self, one: Scaled, other: Scaled) -> bool:
        return one.shift == other.shift and self.canonical(one.rest) is self.canonical(other.rest)

    def name_largest(self, equation: Equation, shift: Linear) -> None:
        """Names for the largest exponents, for those who read the code."""
        for atom in shift:
            free = free_indices(atom)
            if isinstance(atom, Extremum) and free == set(equation.indices) and self.with_names(atom) is atom:
                tensor = Tensor(unused("top", self.taken), equation.tensor.shape)
                self.taken.add(tensor.name)
                self.largest[tensor] = Equation(tensor, equation.indices, atom, "the largest exponent")
                self.equations[tensor] = self.largest[tensor]

    def canonical(self, expr: Expr, depth: int = 0) -> Expr:
        """The same with bound indices that what is equal has in common."""
        if isinstance(expr, Entry) or not any(isinstance(n, Extremum | Sum | Position) for n in nodes_once(expr)):
            return expr
        if isinstance(expr, Extremum | Sum | Position):
            key = depth, expr.index.name, expr.index.size
            index = self.bound.setdefault(key, fresh(expr.index.name, expr.index.size))
            return rebound(expr, index, self.canonical(substitute(expr.body, {expr.index: index}), depth + 1))
        parts = children(expr)
        new = tuple(self.canonical(p, depth) for p in parts)
        return expr if new == parts else rebuild(expr, new)

    def with_names(self, expr: Expr) -> Expr:
        """The expression with the tensors that are largest exponents."""

        def name(node: Expr) -> Expr | None:
            if not isinstance(node, Extremum):
                return None
            free = tuple(free_indices(node))
            for tensor, equation in self.largest.items():
                if len(free) != len(equation.indices):
                    continue
                for order in itertools.permutations(free):
                    if self.canonical(equation.at(order)) is self.canonical(node) and tensor in self.equations:
                        return Entry(tensor, order)
            return None

        return rewrite(expr, name)

    def added(self, parts: Sequence[Scaled]) -> Scaled:
        """A sum at the largest scale of its terms."""
        if any(not p.shift for p in parts):
            parts = [self.finite(p) for p in parts]
        common: Linear | None = None
        for part in parts:
            common = part.shift if common is None else self.larger(common, part.shift)
        assert common is not None, "a sum of nothing"
        return Scaled(common, add(*(self.less(p, common) for p in parts)))

    def larger(self, one: Linear, other: Linear) -> Linear:
        gap = _sum(one, (other, Fraction(-1)))
        if not gap or self.below_zero(gap) == ():
            return other
        if self.below_zero(_sum((gap, Fraction(-1)))) == ():
            return one
        return _sum(other, {apply(_RELU, _written(gap)): Fraction(1)})

    def less(self, part: Scaled, common: Linear) -> Expr:
        gap = _sum(part.shift, (common, Fraction(-1)))
        return multiply(apply(EXP, _written(gap)), part.rest) if gap else part.rest

    def branches(self, expr: Where, unfold: int) -> tuple[Scaled, Scaled]:
        """The two branches, each where it is taken."""
        found, outer = [], self.given
        for branch, sign in ((expr.then, 1), (expr.otherwise, -1)):
            condition = expr.condition
            if isinstance(condition, Compare) and condition.relation in ("<", "<="):
                gap = _sum(self.linear(condition.left), (self.linear(condition.right), Fraction(-1)))
                self.given = [*outer, _sum((gap, Fraction(sign)))]
            found.append(self.scale(branch, unfold))
            self.given = outer
        return found[0], found[1]

    def chosen(self, condition: Expr, then: Scaled, otherwise: Scaled, plain: Expr) -> Scaled:
        if not then.shift or not otherwise.shift:
            then, otherwise = map(self.finite, (then, otherwise))
        if ZERO in (then.rest, plain) or then.shift == otherwise.shift:
            common = otherwise.shift if then.rest is ZERO else then.shift
            return Scaled(common, where(condition, then.rest, otherwise.rest))
        shift = where(condition, _written(then.shift), _written(otherwise.shift))
        return Scaled({shift: Fraction(1)}, where(condition, then.rest, otherwise.rest))

    def summed(self, expr: Expr, unfold: int) -> Scaled:
        """A sum over indices, at the scale of its largest term that nothing hides."""
        indices: list[Index] = []
        while isinstance(expr, Sum):
            index, expr = open_binder(expr)
            indices.append(index)
        form = self.scale(_at_outer_index(expr, indices), unfold)
        folded = None if unfold else self.folded(form)
        inner = {a: k for a, k in form.shift.items() if not free_indices(a).isdisjoint(indices)}
        outer = {a: k for a, k in form.shift.items() if a not in inner}
        if folded is None and inner and not unfold:
            folded = self.folded(Scaled(inner, form.rest))
        elif folded is not None:
            outer = {}
        if folded is not None:
            return Scaled(outer, _summed(indices, folded))
        if not inner:
            return Scaled(outer, _summed(indices, form.rest))
        self.context.looked_into.clear()
        mask, hidden = masks_of(form.rest, self.context, unfold == NOT_ZERO)
        if mask is not ONE or hidden is not ZERO:
            self.rests |= self.context.looked_into - self.tainted
        term = Exponential(_written(inner), mask, hidden)
        times = Fraction(1)
        if len(inner) == 1 and mask is ONE and hidden is ZERO:
            ((atom, k),) = inner.items()
            term, times = Exponential(atom if k > 0 else negate(atom)), abs(k)
        parts = (term.exponent, term.mask, term.hidden)
        largest = term.largest([i for i in indices if any(i in free_indices(p) for p in parts)])
        top = _sum((self.linear(largest), times))
        gap = term.shown(_written(_sum(inner, (top, Fraction(-1)))), ZERO)
        return Scaled(_sum(outer, top), _summed(indices, multiply(apply(EXP, gap), form.rest)))

    def extreme(self, expr: Extremum, unfold: int) -> Scaled:
        index, body = open_binder(expr)
        form = self.scale(body, unfold)
        inner = {a: k for a, k in form.shift.items() if index in free_indices(a)}
        outer = {a: k for a, k in form.shift.items() if a not in inner}
        top = self.linear(along("max", (index,), _written(inner))) if inner else {}
        gap = _sum(inner, (top, Fraction(-1)))
        rest = multiply(apply(EXP, _written(gap)), form.rest) if inner else form.rest
        return Scaled(_sum(outer, top), along(expr.kind, (index,), rest))

    # What is known about exponents.

    def linear(self, expr: Expr) -> Linear:
        """An exponent as a sum; what is the largest of something is opened."""
        expr = self.with_largest(expr)
        match expr:
            case Number(value):
                return {ONE: value} if value else {}
            case Add(terms):
                return _sum(*map(self.linear, terms))
            case Multiply(factors):
                inner = next((f for f in factors if isinstance(f, Add)), None)
                rest = multiply(*(f for f in factors if f is not inner))
                if inner is not None:
                    return _sum(*(self.linear(multiply(rest, t)) for t in inner.terms))
                if isinstance(factors[0], Number):
                    return _sum((self.linear(multiply(*factors[1:])), factors[0].value))
        return {self.canonical(expr): Fraction(1)}

    def with_largest(self, expr: Expr) -> Expr:
        equation = (
            self.program.by_tensor.get(expr.tensor) or self.equations.get(expr.tensor)
            if isinstance(expr, Entry)
            else None
        )
        if equation is None or not isinstance(expr, Entry):
            return expr
        value = equation.at(expr.indices)
        if isinstance(value, Extremum):
            return value
        if isinstance(value, Entry):
            opened = self.with_largest(value)
            return opened if opened is not value else expr
        if isinstance(value, Add):
            parts = [self.with_largest(negate(t) if _is_negative(t) else t) for t in value.terms]
            if any(isinstance(p, Extremum) for p in parts):
                return value
        return expr

    def below_zero(self, shift: Linear) -> Hidden | None:
        """Under which conditions a scale is not known to be negative; None if it is not."""
        self.steps = 0
        return self.search(shift, ())

    def search(self, shift: Linear, hidden: Hidden) -> Hidden | None:
        self.steps += 1
        unknown = [a for a, k in shift.items() if (k > MODEST if a is ONE else k > 0 or not _is_positive(a))]
        if not unknown:
            return hidden
        atom = max(unknown, key=lambda a: shift[a])
        if self.steps > MOST_STEPS:
            return None
        if shift[atom] < 0:
            for bound, conditions in self.below(atom, add(*shift)):
                change = (bound, shift[atom]), ({atom: Fraction(1)}, -shift[atom])
                found = self.search(_sum(shift, *change), (*hidden, *conditions))
                if found is not None:
                    return found
        for top, k in shift.items():
            for bound, conditions in self.below(top, atom) if k < 0 else ():
                share = bound.get(atom, Fraction(0))
                if share * shift[atom] <= 0:
                    continue
                times = min(-k, shift[atom] / share)
                found = self.search(_sum(shift, ({top: Fraction(1)}, times), (bound, -times)), (*hidden, *conditions))
                if found is not None:
                    return found
        for known in self.given:
            share = known.get(atom, Fraction(0))
            if share * shift[atom] > 0:
                found = self.search(_sum(shift, (known, -shift[atom] / share)), hidden)
                if found is not None:
                    return found
        for one in (atom, *(a for a in unknown if a is not atom and isinstance(a, Extremum))):
            found = self.search_branches(shift, one, hidden)
            if found is not None:
                return found
        return None

    def search_branches(self, shift: Linear, atom: Expr, hidden: Hidden) -> Hidden | None:
        """The same where a positive term is one of several."""
        if shift[atom] < 0:
            return None
        rest = {a: k for a, k in shift.items() if a is not atom}
        if isinstance(atom, Extremum):
            _, body = open_binder(atom)
            return self.search(_sum(rest, (self.linear(body), shift[atom])), hidden)
        if isinstance(atom, Where):
            branches = (atom.then, atom.otherwise)
        elif isinstance(atom, Apply) and atom.function is _RELU:
            branches = (atom.arguments[0], ZERO)
        else:
            return None
        for branch in branches:
            found = self.search(_sum(rest, (self.linear(branch), shift[atom])), hidden)
            if found is None:
                return None
            hidden = found
        return hidden

    def below(self, top: Expr, atom: Expr) -> Iterator[tuple[Linear, Hidden]]:
        """What is not larger than a largest exponent."""
        if isinstance(top, Apply) and top.function is _RELU:
            yield from self.lower(self.linear(top.arguments[0]), atom)
        indices: list[Index] = []
        while isinstance(top, Extremum) and top.kind == "max":
            index, top = open_binder(top)
            indices.append(index)
        if not indices:
            return
        found = {i: None for n in (atom, *nodes_once(atom)) if isinstance(n, Entry) for i in n.indices}
        for place in itertools.product(found, repeat=len(indices)):
            body = substitute(top, dict(zip(indices, place, strict=True)))
            for value, conditions in _branches(body):
                yield self.linear(value), conditions
            if isinstance(body, Where):
                yield {body: Fraction(1)}, ()

    def lower(self, bound: Linear, atom: Expr) -> Iterator[tuple[Linear, Hidden]]:
        """A bound, and those below it."""
        yield bound, ()
        for top, k in bound.items():
            if k > 0 and isinstance(top, Apply | Extremum):
                rest = {a: c for a, c in bound.items() if a is not top}
                for inner, hidden in self.below(top, atom):
                    yield _sum(rest, (inner, k)), hidden
                if isinstance(top, Apply) and top.function is _RELU:
                    yield rest, ()


def _branches(body: Expr) -> Iterator[tuple[Expr, Hidden]]:
    """The values of a choice, and where each is not taken."""
    if not isinstance(body, Where):
        yield body, ()
        return
    for value, answer in ((body.then, False), (body.otherwise, True)):
        for inner, hidden in _branches(value):
            yield inner, ((body.condition, answer), *hidden)


def _is_positive(expr: Expr) -> bool:
    if isinstance(expr, Apply):
        return expr.function in (_RELU, _ABS, EXP)
    if isinstance(expr, Power) and isinstance(expr.exponent, Number):
        return expr.exponent.value % 2 == 0
    if isinstance(expr, Sum):
        return _is_positive(open_binder(expr)[1])
    if isinstance(expr, Multiply):
        return all(map(_is_positive, expr.factors)) or (len(expr.factors) == 2 and expr.factors[0] is expr.factors[1])
    return expr is ONE or (isinstance(expr, Number) and expr.value > 0)


def sign_inside(expr: Expr, new: tuple[Expr, ...]) -> Expr | None:
    """-y (z - M) as y (M - z), where the sum has come in place of a logarithm: no product with -1 is left."""
    if not isinstance(expr, Multiply) or new[0] is not MINUS_ONE:
        return None
    for place, (before, after) in enumerate(zip(children(expr), new, strict=True)):
        if after is not before and isinstance(after, Add):
            terms = sorted(map(negate, after.terms), key=_is_negative)
            return multiply(*new[1:place], add(*terms), *new[place + 1 :])
    return None


def _is_negative(term: Expr) -> bool:
    first = term.factors[0] if isinstance(term, Multiply) else term
    return isinstance(first, Number) and first.value < 0


def _is_exponential(expr: Expr) -> bool:
    """Whether a value is an exponential or a sum of them, times a positive number."""
    if isinstance(expr, Sum):
        return _is_exponential(open_binder(expr)[1])
    rest = [f for f in factors_of(expr) if not (isinstance(f, Number) and f.value > 0)]
    return len(rest) == 1 and isinstance(rest[0], Apply) and rest[0].function is EXP


def _summed(indices: Sequence[Index], body: Expr) -> Expr:
    for index in reversed(indices):
        body = close_sum(index, body)
    return body


def _at_outer_index(term: Expr, indices: Sequence[Index]) -> Expr:
    """[n = y[c]] f(y[c]) of a sum over c as [n = y[c]] f(n): its scale is that at n."""
    for delta in (f for f in factors_of(term) if isinstance(f, Kronecker)):
        for index, place in ((delta.left, delta.right), (delta.right, delta.left)):
            if isinstance(index, Index) and index not in indices and isinstance(place, Entry):
                return multiply(*(f if f is delta else substitute(f, {place: index}) for f in factors_of(term)))
    return term


def _log(rest: Expr) -> Expr:
    """log(rest), 1/a as -log(a)."""
    if isinstance(rest, Power) and isinstance(rest.exponent, Number) and rest.exponent.value < 0:
        return negate(apply(LOG, power(rest.base, number(-rest.exponent.value))))
    return ZERO if rest is ONE else apply(LOG, rest)


__all__ = ["scaled", "scaled_logarithm", "sign_inside"]
