"""Formulas that lose their digits or overflow, and the same functions in a form that does not: one table of rows.

A row takes an expression and gives an equal one, or None where it does not apply. It sees through a tensor to its
equation, so `s * (1 - s)` is known for what it is if `s = 1/(1 + exp(-z))` stands lines above. Rows propose; whoever
uses one proves the result equal.

    1 - sigmoid(z)                      ->  sigmoid(-z)
    sigmoid(z) - y                      ->  (1 - y) sigmoid(z) - y sigmoid(-z)
    1 - tanh(z), 1 - tanh(z)^2          ->  2 sigmoid(-2z), 4 sigmoid(2z) sigmoid(-2z)
    exp(u) / (exp(u) + exp(v))          ->  sigmoid(u - v)
    exp(z[k]) / sum of exp(z[c])        ->  exp(z[k] - M) / sum of exp(z[c] - M), M the largest z (that no mask hides)
    exp(u)^a / (1 + exp(u))^b           ->  sigmoid(u)^a sigmoid(-u)^(b - a), a <= b
    p - y, y one-hot                    ->  (1 - y) p - y sum over j of (1 - y[j]) p[j], or where(y, ..., p)
    (1 + exp(u) + x) / (1 + exp(u))^b   ->  (1 + exp(u))^(1 - b) + x / (1 + exp(u))^b
    exp(u) exp(v), exp(u) / exp(v)      ->  exp(u + v), exp(u - v)
    sigmoid(u) - sigmoid(v)             ->  sigmoid(u) sigmoid(-v) (1 - exp(v - u))
    p (g - sum over j of g[j] p[j])     ->  p sum over j of p[j] (g - g[j]), p a softmax
    p (h/p - sum over j of h[j])        ->  h - p sum over j of h[j]
    log(exp(z[k]) / sum of exp(z[c]))   ->  z[k] - log(sum of exp(z[c]))
    log(1 + exp(u)), log(sigmoid(z))    ->  softplus(u), -softplus(-z)
    log(sum of exp(z[c]))               ->  M + log(sum of exp(z[c] - M)), M the largest z
    exp(u) - 1, log(1 + u), 1 - cos(u)  ->  expm1(u), log1p(u), 2 sin(u/2)^2
    a^2 - b^2, a^2 - 1, a - a^2         ->  (a - b) (a + b), (a - 1) (a + 1), a (1 - a)
    sqrt(a) - sqrt(b)                   ->  (a - b) / (sqrt(a) + sqrt(b))
    (c > 0) f(c), x^q log(x)            ->  where(c > 0, f(where(c > 0, c, 1)), 0)
    mean(a b) - mean(a) mean(b)         ->  mean((a - mean(a)) (b - mean(b)))
    sqrt(sum of x^2)                    ->  M sqrt(sum of (x/M)^2), M the largest |x|
    sum a^2 + sum b^2 - 2 sum a b       ->  sum (a - b)^2
    a sum of f - sum of f b             ->  sum of f (a - b)
    c x - c mean of x                   ->  c (x - mean of x)
    sqrt(a^2 + b^2), log(a^2 + b^2)     ->  hypot(a, b), 2 log(hypot(a, b)), b may be a number
    1 / (a^2 + b^2)                     ->  1 / hypot(a, b) / hypot(a, b)
    a^p / b^p, a / b^2, sqrt(a^p)       ->  (a/b)^p, a / b / b, a^(p/2)

Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), sections 1.7-1.9; Blanchard, Higham & Higham,
"Accurately computing the log-sum-exp and softmax functions", IMA J. Numer. Anal. 41 (2021).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Literal

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
    Power,
    Sum,
    Tensor,
    Where,
    add,
    apply,
    children,
    close_sum,
    extremum,
    factors_of,
    free_indices,
    fresh,
    multiply,
    negate,
    nodes_once,
    number,
    open_binder,
    power,
    rebuild,
    rewrite,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.functions import COS, EXP, FUNCTIONS, LOG, SIN
from symbackprop.expression.program import PART, Assumption, Equation
from symbackprop.proofs.stable_functions import EXPM1, HYPOT, LOG1P

HALF = number(Fraction(1, 2))
_SIGMOID, _TANH = FUNCTIONS["sigmoid"], FUNCTIONS["tanh"]


@dataclass(frozen=True)
class Context:
    """What the rows may look into.

    Args:
        equations: the definitions of tensors.
        assumptions: what is known about inputs.
        logistic: how sigmoid(z) is to be written.
        looked_into: the tensors whose equations the rows have made use of.
    """

    equations: Mapping[Tensor, Equation]
    assumptions: Mapping[Tensor, Assumption] = field(default_factory=dict)
    logistic: Callable[[Expr], Expr] = lambda z: power(add(ONE, apply(EXP, negate(z))), MINUS_ONE)
    looked_into: set[Tensor] = field(default_factory=set, compare=False)

    def opened(self, expr: Expr) -> Expr:
        """The value of an entry's equation, as long as that is one; else the expression itself."""
        while isinstance(expr, Entry) and expr.tensor in self.equations:
            self.looked_into.add(expr.tensor)
            expr = self.equations[expr.tensor].at(expr.indices)
        return expr


Row = Callable[[Expr, Context], Expr | None]


def stable(expr: Expr, context: Context, *, rows: tuple[Row, ...] | None = None) -> Expr:
    """The expression with every row applied that applies, from the outside inwards.

    Example:
        >>> from symbackprop.expression.build import Symbol
        >>> from symbackprop.rendering.text import to_text
        >>> to_text(stable(subtract(apply(EXP, Symbol("u")), ONE), Context({})))
        'expm1(u)'
    """
    rows = ROWS if rows is None else rows
    changed = _at_top(expr, context, rows)
    if changed is not None:
        return changed
    inner = _inside(expr, context, rows)
    changed = _at_top(inner, context, rows) if inner is not expr else None
    return inner if changed is None else changed


def _at_top(expr: Expr, context: Context, rows: tuple[Row, ...]) -> Expr | None:
    """What the first row that applies makes of it, with the other rows put to that; None if none does."""
    for row in rows:
        new = row(expr, context)
        if new is not None and new is not expr:
            return stable(new, context, rows=tuple(r for r in rows if r is not row))
    return None


def _inside(expr: Expr, context: Context, rows: tuple[Row, ...]) -> Expr:
    if isinstance(expr, (Entry, Compare)):
        return expr
    parts = children(expr)
    new = tuple(stable(p, context, rows=rows) for p in parts)
    return expr if new == parts else rebuild(expr, new)


# What an expression is.


def logistic_argument(expr: Expr, context: Context) -> Expr | None:
    """z of sigmoid(z), however it is written; None of anything else."""
    expr = context.opened(expr)
    if isinstance(expr, Apply) and expr.function is _SIGMOID:
        return expr.arguments[0]
    if isinstance(expr, Power) and expr.exponent is MINUS_ONE:
        u = one_plus_exp(expr.base, context)
        return None if u is None else negate(u)
    if isinstance(expr, Multiply) and len(expr.factors) == 2:
        for above, below in (expr.factors, expr.factors[::-1]):
            u = exponent_of(above, context)
            if u is not None and isinstance(below, Power) and below.exponent is MINUS_ONE:
                if one_plus_exp(below.base, context) is u:
                    return u
                for one, other in _two_terms(context.opened(below.base)):
                    v = exponent_of(other, context)
                    if exponent_of(one, context) is u and v is not None:
                        return subtract(u, v)  # exp(u) / (exp(u) + exp(v))
    return None


def exponent_of(expr: Expr, context: Context) -> Expr | None:
    """u of exp(u)."""
    expr = context.opened(expr)
    return expr.arguments[0] if isinstance(expr, Apply) and expr.function is EXP else None


@dataclass(frozen=True)
class Exponential:
    """exp(z) v under a mask: what is added up below a softmax with a mask or with weights.

    Attributes:
        exponent: z.
        mask: where this does not hold, the term is 0.
        hidden: where this holds, the term is 0: the largest z is one that counts.
        weight: v.
    """

    exponent: Expr
    mask: Expr = ONE
    hidden: Expr = ZERO
    weight: Expr = ONE

    def less(self, largest: Expr) -> Expr:
        """The same times exp(-largest): what is hidden may be larger than the largest, and is not raised."""
        raised = apply(EXP, self.shown(subtract(self.exponent, largest), ZERO))
        return multiply(raised, self.weight) if self.weight is not ONE else self.shown(raised, ZERO)

    def largest(self, indices: Sequence[Index]) -> Expr:
        """The largest z along indices of those that are not hidden."""
        z = self.exponent
        return along("max", indices, self.shown(z, along("min", indices, z)))

    def shown(self, value: Expr, otherwise: Expr) -> Expr:
        """A value where the term is not 0."""
        return where(self.hidden, otherwise, where(self.mask, value, otherwise))

    def at(self, places: Mapping[Expr, Expr]) -> Exponential:
        """The same with other indices."""
        return Exponential(*(substitute(part, places) for part in vars(self).values()))


def along(kind: Literal["max", "min"], indices: Sequence[Index], z: Expr) -> Expr:
    """The extremum over several indices; over one that nothing depends on, what it is of."""
    for k in reversed([k for k in indices if k in free_indices(z)]):
        z = extremum(kind, k.name, k.size, partial(_put, z, k))
    return z


def _put(z: Expr, index: Index, place: Expr) -> Expr:
    return substitute(z, {index: place})


def exponential(expr: Expr, context: Context) -> Exponential | None:
    """What exp(z) is multiplied by or hidden with; None if there are no, or several, exponentials."""
    expr = context.opened(expr)
    if isinstance(expr, Where) and expr.otherwise is ZERO:
        z = exponent_of(expr.then, context)
        return None if z is None else Exponential(z, expr.condition)
    factors = factors_of(expr)
    exponents = [exponent_of(f, context) for f in factors]
    found = [u for u in exponents if u is not None]
    if len(found) != 1:
        return None
    others = [f for f, u in zip(factors, exponents, strict=True) if u is None]
    if len(others) == 1:
        mask, hidden = _mask(others[0], context), _mask_of_hidden(others[0], context)
        if mask is not None or hidden is not None:
            return Exponential(found[0], mask or ONE, hidden or ZERO)
    zero = multiply(*(f for f in others if not _is_positive(f, context)))
    hidden = ZERO if zero is ONE else Compare("==", zero, ZERO)
    return Exponential(found[0], hidden=hidden, weight=multiply(*others))


def masks_of(rest: Expr, context: Context, weights: bool) -> tuple[Expr, Expr]:
    """(where it does not hold a factor is 0, where it holds one is), of masks among the factors of a product.

    Args:
        weights: whether other factors count that may be 0.
    """
    mask: Expr = ONE
    hidden: Expr = ZERO
    for factor in factors_of(rest):
        own, other = _mask(factor, context), _mask_of_hidden(factor, context)
        if isinstance(factor, Where) and factor.otherwise is ZERO:
            own = factor.condition
        elif isinstance(factor, Where) and factor.then is ZERO:
            other = factor.condition
        known = context.assumptions.get(factor.tensor) if isinstance(factor, Entry) else None
        zero = isinstance(factor, Entry) and not _is_positive(factor, context)
        if own is not None:
            mask = own if mask is ONE else where(own, mask, ZERO)
        elif other is not None or (zero and (weights or (known is not None and known.kind in ("bern", "onehot")))):
            other = other or Compare("==", factor, ZERO)
            hidden = other if hidden is ZERO else where(other, ONE, hidden)
    return mask, hidden


def _is_positive(expr: Expr, context: Context) -> bool:
    if isinstance(expr, Entry):
        known = context.assumptions.get(expr.tensor)
        return known is not None and known.kind in ("pos", "prob")
    return isinstance(expr, Number) and expr.value > 0


def _mask(expr: Expr, context: Context) -> Expr | None:
    """The condition of a factor that is 0 or 1."""
    expr = context.opened(expr)
    if isinstance(expr, Where) and expr.then is ONE and expr.otherwise is ZERO:
        return expr.condition
    return expr if isinstance(expr, Compare | Kronecker) else None


def _mask_of_hidden(expr: Expr, context: Context) -> Expr | None:
    """The condition of a factor that is 1 minus it."""
    for one, other in _two_terms(context.opened(expr)):
        if one is ONE:
            return _mask(negate(other), context)
    return None


def sum_of_exponentials(expr: Expr, context: Context) -> tuple[Exponential, tuple[Index, ...]] | None:
    """What is added up, over which indices, if the largest exponent is not subtracted already."""
    total = context.opened(expr)
    indices: list[Index] = []
    while isinstance(total, Sum):
        index, total = open_binder(total)
        indices.append(index)
        total = context.opened(total)
    term = exponential(total, context) if indices else None
    return None if term is None or _is_shifted(term.exponent, context) else (term, tuple(indices))


def shifted_sum(term: Exponential, indices: Sequence[Index], largest: Expr) -> Expr:
    """The sum of exponentials, times exp(-largest)."""
    total = term.less(largest)
    for index in reversed(indices):
        total = close_sum(index, total)
    return total


def own_exponential(
    factors: Sequence[Expr], term: Exponential, indices: Sequence[Index], context: Context
) -> tuple[Exponential, tuple[Expr, ...]] | None:
    """A factor exp(z[k]) of those below, with as many of its mask and weights as are there, and the other factors."""
    for several in range(len(factors_of(term.weight)) + 1, 0, -1):
        for chosen in itertools.combinations(range(len(factors)), several):
            own = exponential(multiply(*(factors[k] for k in chosen)), context)
            if own is not None and _is_one_of(own, term, indices):
                return own, tuple(f for k, f in enumerate(factors) if k not in chosen)
    for k, factor in enumerate(factors):
        u = exponent_of(factor, context)
        if u is not None and _is_one_of(Exponential(u), Exponential(term.exponent), indices):
            return Exponential(u), (*factors[:k], *factors[k + 1 :])
    return None


def _is_one_of(own: Exponential, term: Exponential, indices: Sequence[Index]) -> bool:
    """Whether an exponential is the term of a sum at some places."""
    found = {i: None for n in nodes_once(own.exponent) if isinstance(n, Entry) for i in n.indices}
    places = itertools.product(found, repeat=len(indices))
    return any(term.at(dict(zip(indices, place, strict=True))) == own for place in places)


def one_plus_exp(expr: Expr, context: Context) -> Expr | None:
    """u of 1 + exp(u)."""
    expr = context.opened(expr)
    if isinstance(expr, Add) and len(expr.terms) == 2 and ONE in expr.terms:
        return exponent_of(next(t for t in expr.terms if t is not ONE), context)
    return None


def _tanh_argument(expr: Expr, context: Context) -> Expr | None:
    expr = context.opened(expr)
    return expr.arguments[0] if isinstance(expr, Apply) and expr.function is _TANH else None


def _squared(expr: Expr, context: Context) -> Expr | None:
    """a of a^2 or a*a."""
    if isinstance(expr, Power) and expr.exponent is number(2):
        return expr.base
    if isinstance(expr, Multiply) and len(expr.factors) == 2 and expr.factors[0] is expr.factors[1]:
        return expr.factors[0]
    opened = context.opened(expr)
    return _squared(opened, context) if opened is not expr else None


def _two_terms(expr: Expr) -> Iterator[tuple[Expr, Expr]]:
    """Both orders of a sum of two terms."""
    if isinstance(expr, Add) and len(expr.terms) == 2:
        yield expr.terms[0], expr.terms[1]
        yield expr.terms[1], expr.terms[0]


def _pairs(expr: Expr) -> Iterator[tuple[Expr, Expr, list[Expr]]]:
    """Two terms of a sum in either order, and the others."""
    terms = expr.terms if isinstance(expr, Add) else ()
    for one, other in itertools.permutations(terms, 2):
        yield one, other, [t for t in terms if t is not one and t is not other]


# The rows.


def complement(expr: Expr, context: Context) -> Expr | None:
    """1 - sigmoid(z), 1 - 2 sigmoid(z), 1 - tanh(z), 1 + tanh(z), 1 - tanh(z)^2, 1 - (a > b), also negative."""
    for one, other, rest in _pairs(expr):
        if one is not ONE and one is not MINUS_ONE:
            continue
        found = _complement(other if one is ONE else negate(other), context)
        if found is not None:
            return add(found if one is ONE else negate(found), *rest)
    return None


def _complement(other: Expr, context: Context) -> Expr | None:
    """1 + other."""
    z = logistic_argument(negate(other), context)
    if z is not None:
        return context.logistic(negate(z))
    base = _squared(negate(other), context)
    u = None if base is None else _tanh_argument(base, context)
    if u is not None:
        twice = multiply(number(2), u)
        return multiply(number(4), context.logistic(twice), context.logistic(negate(twice)))
    z = logistic_argument(multiply(number(Fraction(-1, 2)), other), context)
    if z is not None:
        return apply(_TANH, multiply(number(Fraction(-1, 2)), z))
    for sign, tanh in ((2, other), (-2, negate(other))):
        u = _tanh_argument(tanh, context)
        if u is not None:
            return multiply(number(2), context.logistic(multiply(number(sign), u)))
    mask = context.opened(negate(other))
    if isinstance(mask, Compare) and mask.relation in ("<", "<="):
        return Compare("<=" if mask.relation == "<" else "<", mask.right, mask.left)
    return None


def logistic_minus(expr: Expr, context: Context) -> Expr | None:
    """sigmoid(z) - y."""
    for one, other in _two_terms(expr):
        z = logistic_argument(one, context)
        y = negate(other)
        if z is not None and not isinstance(y, Number) and logistic_argument(y, context) is None:
            return add(multiply(subtract(ONE, y), one), negate(multiply(y, context.logistic(negate(z)))))
    return None


def logistic_difference(expr: Expr, context: Context) -> Expr | None:
    """sigmoid(u) - sigmoid(v)."""
    for one, other, rest in _pairs(expr):
        u, v = logistic_argument(one, context), logistic_argument(negate(other), context)
        if u is not None and v is not None:
            gap = negate(apply(EXPM1, _expanded(subtract(v, u))))
            return add(multiply(one, context.logistic(negate(v)), gap), *rest)
    return None


def _expanded(expr: Expr) -> Expr:
    """A sum without brackets in it, and without terms that stand in it with both signs."""
    terms: list[Expr] = []
    for term in _flat(expr):
        factors = factors_of(term)
        inner = next((f for f in factors if isinstance(f, Add)), None)
        rest = [f for f in factors if f is not inner]
        terms += [term] if inner is None else [multiply(*rest, t) for t in inner.terms]
    return _gathered(add(*terms))


def onehot_minus(expr: Expr, context: Context) -> Expr | None:
    """c (p - y) with a one-hot y, however the factors c are placed; y may say at which place it is 1."""
    for one, other in itertools.chain(_two_terms(expr), _changed_at_a_place(expr)):
        factors = list(factors_of(negate(other)))
        for y in factors:
            index = _class_index(y, one, context)
            if index is None or not _reads(one):
                continue
            common = [f for f in factors if f is not y]
            p = _without(one, common)
            if p is None or any(index in free_indices(c) for c in common):
                continue
            j = fresh("j", index.size)
            if isinstance(y, Kronecker):
                others = where(substitute(y, {index: j}), ZERO, substitute(p, {index: j}))
                return multiply(*common, where(y, negate(close_sum(j, others)), p))
            kept = multiply(subtract(ONE, y), p)
            return multiply(*common, add(kept, negate(multiply(y, close_sum(j, substitute(kept, {index: j}))))))
    return None


def _changed_at_a_place(expr: Expr) -> Iterator[tuple[Expr, Expr]]:
    """p and what is added to it where an index has one value, as assignments to places are read."""
    if not (isinstance(expr, Where) and isinstance(expr.condition, Kronecker) and isinstance(expr.then, Add)):
        return
    sides = (expr.condition.left, expr.condition.right)
    for index, place in (sides, sides[::-1]):
        there = substitute(expr.otherwise, {index: place}) if isinstance(index, Index) else None
        if there is not None and there in expr.then.terms:
            rest = add(*(t for t in expr.then.terms if t is not there))
            yield expr.otherwise, multiply(rest, expr.condition)


def _class_index(expr: Expr, p: Expr, context: Context) -> Index | None:
    """The index along which something is one-hot; of an identity matrix that along which p has been divided."""
    if isinstance(expr, Kronecker):
        sides = ((expr.left, expr.right), (expr.right, expr.left))
        found = [a for a, b in sides if isinstance(a, Index) and a not in free_indices(b)]
        divisors = [f for f in factors_of(context.opened(p)) if isinstance(f, Power) and f.exponent is MINUS_ONE]
        along = (a for a in found if any(a not in free_indices(d) for d in divisors))
        return next(along, found[0] if found else None)
    if not isinstance(expr, Entry) or expr.tensor not in context.assumptions:
        return None
    known = context.assumptions[expr.tensor]
    index = expr.indices[known.axis] if known.kind == "onehot" else None
    return index if isinstance(index, Index) else None


def _without(expr: Expr, common: list[Expr]) -> Expr | None:
    """A product without some of its factors; None if it has not all of them."""
    left = list(factors_of(expr))
    for factor in common:
        if factor not in left:
            return None
        left.remove(factor)
    return multiply(*left)


def sum_of_onehot(expr: Expr, context: Context) -> Expr | None:
    """The sum over j of c y[j], which is c."""
    if not isinstance(expr, Sum):
        return None
    index, body = open_binder(expr)
    factors = list(factors_of(body))
    for y in factors:
        if _class_index(y, y, context) is index:
            rest = multiply(*(f for f in factors if f is not y))
            return None if index in free_indices(rest) else rest
    return None


def divided_and_multiplied(expr: Expr, context: Context) -> Expr | None:
    """p (g - sum over j of g[j] p[j]), where g was divided by p: that is undone."""
    if not isinstance(expr, Multiply):
        return None
    for p in expr.factors:
        for total in expr.factors:
            if not isinstance(p, Entry) or not isinstance(total, Add):
                continue
            terms = [cancelled(multiply(p, _opened_over(t, p.tensor, context))) for t in total.terms]
            if terms != [multiply(p, t) for t in total.terms]:
                return multiply(*(f for f in expr.factors if f is not p and f is not total), add(*terms))
    return None


def _opened_over(expr: Expr, tensor: Tensor, context: Context) -> Expr:
    """The expression with those tensors put in that are divided by entries of `tensor`, and what cancels gone."""
    if isinstance(expr, Entry) and expr.tensor in context.equations:
        value = context.equations[expr.tensor].at(expr.indices)
        return value if any(_is_inverse(n, tensor) for n in nodes_once(value)) else expr
    if isinstance(expr, Entry):
        return expr
    parts = children(expr)
    new = tuple(_opened_over(q, tensor, context) for q in parts)
    if isinstance(expr, Multiply):
        return cancelled(multiply(*new))
    return expr if new == parts else rebuild(expr, new)


def _is_inverse(node: Expr, tensor: Tensor) -> bool:
    return (
        isinstance(node, Power)
        and node.exponent is MINUS_ONE
        and isinstance(node.base, Entry)
        and node.base.tensor is tensor
    )


def cancelled(expr: Expr) -> Expr:
    """A product without the factors that stand in it with their inverses."""
    left = list(factors_of(expr))
    for factor in list(left):
        inverse = Power(factor, MINUS_ONE)
        if factor in left and inverse in left:
            left.remove(factor)
            left.remove(inverse)
    return multiply(*left)


def _reads(expr: Expr) -> bool:
    return any(isinstance(n, Entry) for n in nodes_once(expr))


def exponential_quotient(expr: Expr, context: Context) -> Expr | None:
    """exp(u)^a / (1 + exp(u))^b, a <= b, also where lines above hold some of the factors."""
    if not isinstance(expr, Multiply):
        return None
    found = _quotient(expr.factors, context)
    if found is None and any(_holds_quotient(f, context) for f in expr.factors):
        factors = [g for f in expr.factors for g in (_opened_once(f, context) if _holds_quotient(f, context) else (f,))]
        found = _quotient(factors, context)
    return found


def _holds_quotient(expr: Expr, context: Context) -> bool:
    """Whether an entry is a product that is divided by 1 + exp(u)."""
    return isinstance(expr, Entry) and any(
        isinstance(f, Power) and one_plus_exp(f.base, context) is not None for f in _opened_once(expr, context)
    )


def _opened_once(expr: Expr, context: Context) -> tuple[Expr, ...]:
    """The factors of an entry's equation."""
    if not (isinstance(expr, Entry) and expr.tensor in context.equations):
        return (expr,)
    context.looked_into.add(expr.tensor)
    return factors_of(context.equations[expr.tensor].at(expr.indices))


def _quotient(factors: Sequence[Expr], context: Context) -> Expr | None:
    for below in factors:
        if not (isinstance(below, Power) and isinstance(below.exponent, Number) and below.exponent.value <= -1):
            continue
        u = one_plus_exp(below.base, context)
        times = below.exponent.value
        for above in factors if u is not None and times.denominator == 1 else ():
            base, count = (above.base, above.exponent) if isinstance(above, Power) else (above, ONE)
            if above is below or exponent_of(base, context) is not u or not isinstance(count, Number):
                continue
            a, b = count.value * sum(f is above for f in factors), -times
            if u is None or a.denominator > 1 or not 0 < a <= b:
                continue
            rest = [f for f in factors if f is not above and f is not below]
            new = [*[context.logistic(u)] * int(a), *[context.logistic(negate(u))] * int(b - a)]
            return multiply(*rest, *new)
    return None


def split_quotient(expr: Expr, context: Context) -> Expr | None:
    """(1 + exp(u) + x) / (1 + exp(u))^b, in two quotients."""
    if not isinstance(expr, Multiply):
        return None
    for below in expr.factors:
        negative = isinstance(below, Power) and isinstance(below.exponent, Number) and below.exponent.value <= -1
        u = one_plus_exp(below.base, context) if negative and isinstance(below, Power) else None
        for total in expr.factors if u is not None else ():
            if not isinstance(total, Add) or len(total.terms) < 3 or ONE not in total.terms:
                continue
            exponential = next((t for t in total.terms if exponent_of(t, context) is u), None)
            if exponential is None or not isinstance(below, Power):
                continue
            rest = add(*(t for t in total.terms if t is not ONE and t is not exponential))
            others = [f for f in expr.factors if f is not total and f is not below]
            return add(multiply(*others, power(below.base, add(below.exponent, ONE))), multiply(*others, rest, below))
    return None


def merged_exponentials(expr: Expr, context: Context) -> Expr | None:
    """exp(u) exp(v) and exp(u) / exp(v), where one is infinite and the other 0."""
    if not isinstance(expr, Multiply):
        return None
    found = [(f, u) for f in expr.factors if (u := _whole_exponent(f, context)) is not None]
    if len(found) < 2:
        return None
    rest = [f for f in expr.factors if f not in [g for g, _ in found]]
    return multiply(*rest, apply(EXP, add(*(u for _, u in found))))


def _whole_exponent(expr: Expr, context: Context) -> Expr | None:
    """k u of exp(u)^k."""
    if isinstance(expr, Power) and isinstance(expr.exponent, Number):
        u = exponent_of(expr.base, context)
        return None if u is None else multiply(expr.exponent, u)
    return exponent_of(expr, context)


def softmax_pull_back(expr: Expr, context: Context) -> Expr | None:
    """p (g - sum over j of g[j] p[j]) for a softmax p: nothing cancels in the sum over j of p[j] (g - g[j])."""
    if not isinstance(expr, Multiply):
        return None
    for p in expr.factors:
        for total in expr.factors:
            if not isinstance(p, Entry) or total is p:
                continue
            for g, other in _two_terms(context.opened(total)):
                inner = context.opened(negate(other))
                inner = inner if isinstance(inner, Sum) else negate(context.opened(other))
                if not isinstance(inner, Sum):
                    continue
                j, body = open_binder(inner)
                places = [i for i in p.indices if isinstance(i, Index) and i.size is j.size]
                for c in places:
                    there: dict[Expr, Expr] = {c: j}
                    if body is multiply(substitute(g, there), substitute(p, there)) or _samefactors_of(
                        body, multiply(substitute(g, there), substitute(p, there))
                    ):
                        rest = [f for f in expr.factors if f is not p and f is not total]
                        value = log_of_quotient(g, context) or g
                        gap = _gathered(add(*_flat(value), *map(negate, _flat(substitute(value, there)))))
                        pairs = multiply(substitute(p, there), gap)
                        return multiply(*rest, p, close_sum(j, pairs))
    return None


def _samefactors_of(left: Expr, right: Expr) -> bool:
    return sorted(map(id, factors_of(left))) == sorted(map(id, factors_of(right)))


def scaled_norm(expr: Expr, context: Context) -> Expr | None:
    """sqrt(c sum of x^2), by the largest |x|."""
    if not (isinstance(expr, Power) and isinstance(expr.exponent, Number) and abs(expr.exponent.value) == HALF.value):
        return None
    averaged = _averaged(context.opened(expr.base))
    if averaged is None:
        return None
    index, body, scale = averaged
    x = _squared(body, context)
    if x is None or index in free_indices(scale):
        return None
    largest = extremum("max", index.name, index.size, lambda i: apply(FUNCTIONS["abs"], substitute(x, {index: i})))
    parts = multiply(close_sum(index, power(multiply(x, power(largest, MINUS_ONE)), 2)), scale)
    sign = ONE if expr.exponent.value > 0 else MINUS_ONE
    return multiply(power(largest, sign), power(parts, expr.exponent))


def exponential_share(expr: Expr, context: Context) -> Expr | None:
    """(c exp(u) + d exp(v)) / (exp(u) + exp(v)) as c sigmoid(u - v) + d sigmoid(v - u), once or several times."""
    if not isinstance(expr, Multiply):
        return None
    for below in expr.factors:
        base, times = _whole_power(below)
        total = context.opened(base) if times < 0 else None
        if not isinstance(total, Add) or len(total.terms) != 2:
            continue
        u, v = (exponent_of(t, context) for t in total.terms)
        if u is None or v is None:
            continue
        shares = {u: context.logistic(subtract(u, v)), v: context.logistic(subtract(v, u))}
        for above in expr.factors:
            found = [_share(t, shares, context) for t in _flat(above)] if above is not below else [None]
            if all(t is not None for t in found):
                rest = [f for f in expr.factors if f is not above and f is not below]
                new = multiply(*rest, power(base, times + 1), add(*(t for t in found if t is not None)))
                return exponential_share(new, context) or new
    return None


def _share(term: Expr, shares: Mapping[Expr, Expr], context: Context) -> Expr | None:
    """c sigmoid(u - v) of c exp(u)."""
    for factor in factors_of(term):
        u = exponent_of(factor, context)
        if u is not None and u in shares:
            return multiply(*(f for f in factors_of(term) if f is not factor), shares[u])
    return None


def shifted_quotient(expr: Expr, context: Context) -> Expr | None:
    """exp(z[k]) / sum of exp(z[c]), with the largest of the z subtracted; the same with a mask or weights on both."""
    if not isinstance(expr, Multiply):
        return None
    for k, below in enumerate(expr.factors):
        found = None
        if isinstance(below, Power) and below.exponent is MINUS_ONE:
            found = sum_of_exponentials(below.base, context)
        own = found and own_exponential((*expr.factors[:k], *expr.factors[k + 1 :]), *found, context)
        if found and own:
            largest = found[0].largest(found[1])
            return multiply(*own[1], own[0].less(largest), power(shifted_sum(*found, largest), MINUS_ONE))
    return None


def hyperbolic_quotient(expr: Expr, context: Context) -> Expr | None:
    """(exp(u) - exp(-u)) / (exp(u) + exp(-u)) as tanh(u)."""
    if not isinstance(expr, Multiply):
        return None
    for below in expr.factors:
        total = context.opened(below.base) if isinstance(below, Power) and below.exponent is MINUS_ONE else None
        if not isinstance(total, Add) or len(total.terms) != 2:
            continue
        u, v = (exponent_of(t, context) for t in total.terms)
        if u is None or v is None or negate(u) is not v:
            continue
        for above in expr.factors:
            for one, other in _two_terms(context.opened(above)):
                if exponent_of(one, context) is u and exponent_of(negate(other), context) is v:
                    return multiply(*(f for f in expr.factors if f not in (above, below)), apply(_TANH, u))
                if exponent_of(one, context) is v and exponent_of(negate(other), context) is u:
                    rest = [f for f in expr.factors if f not in (above, below)]
                    return multiply(*rest, apply(_TANH, v))
    return None


def log_of_quotient(expr: Expr, context: Context) -> Expr | None:
    """log of a softmax, or of a quotient of them."""
    if not (isinstance(expr, Apply) and expr.function is LOG):
        return None
    inner = context.opened(expr.arguments[0])
    if not isinstance(inner, Multiply):
        return None
    terms: list[Expr] = []
    for factor in inner.factors:
        u = exponent_of(factor, context)
        below = isinstance(factor, Power) and factor.exponent is MINUS_ONE
        one = apply(LOG, factor.base if isinstance(factor, Power) and below else factor)
        value = log_of_quotient(one, context) or one
        if u is not None:
            terms.append(u)
        elif below:
            terms.append(negate(value))
        elif value is not one:
            terms.append(value)
        else:
            return None
    return add(*(t for term in terms for t in _flat(term)))


def softplus(expr: Expr, context: Context) -> Expr | None:
    """log(1 + exp(u)), log(exp(u) + exp(v)), the logarithm of sigmoid(z) and of 1 - sigmoid(z)."""
    if not (isinstance(expr, Apply) and expr.function is LOG):
        return None
    inner = context.opened(expr.arguments[0])
    u = one_plus_exp(inner, context)
    if u is not None:
        return apply(FUNCTIONS["softplus"], u)
    z = logistic_argument(inner, context)
    if z is not None:
        return negate(apply(FUNCTIONS["softplus"], negate(z)))
    for one, other in _two_terms(inner):
        z = logistic_argument(negate(other), context) if one is ONE else None
        if z is not None:
            return negate(apply(FUNCTIONS["softplus"], z))
    return _log_of_two(inner, context)


def softplus_difference(expr: Expr, context: Context) -> Expr | None:
    """c softplus(u) - c softplus(-u), which is c u."""
    for one, other, rest in _pairs(expr):
        for plus in factors_of(one):
            if not isinstance(plus, Apply) or plus.function is not FUNCTIONS["softplus"]:
                continue
            u, c = plus.arguments[0], [f for f in factors_of(one) if f is not plus]
            if negate(other) is multiply(*c, apply(plus.function, negate(u))):
                return add(multiply(*c, u), *rest)
    return None


def _log_of_two(total: Expr, context: Context) -> Expr | None:
    """log(c (exp(u) + exp(v)))."""
    scale = [f for f in factors_of(total) if isinstance(f, Number) and f.value > 0]
    sums = [f for f in factors_of(total) if f not in scale]
    inner = context.opened(sums[0]) if len(sums) == 1 else None
    if not isinstance(inner, Add) or len(inner.terms) != 2:
        return None
    u, v = (exponent_of(t, context) for t in inner.terms)
    if u is None or v is None:
        return None
    return add(v, apply(FUNCTIONS["softplus"], subtract(u, v)), *(apply(LOG, f) for f in scale))


def log_sum_exp(expr: Expr, context: Context) -> Expr | None:
    """log(sum of exp(z[c])), with the largest of the z subtracted."""
    if not (isinstance(expr, Apply) and expr.function is LOG):
        return None
    found = sum_of_exponentials(expr.arguments[0], context)
    if found is None:
        return None
    largest = found[0].largest(found[1])
    return add(largest, apply(LOG, shifted_sum(*found, largest)))


def joined_log_sum(expr: Expr, context: Context) -> Expr | None:
    """log(sum of exp(z[c])) + r as log(sum of exp(z[c] + r)): what cancels does so before the logarithm is taken.

    It is for code that adds up by logaddexp, which needs no largest z and keeps the digits of what is near 0.
    """
    if not isinstance(expr, Add):
        return None
    terms = [t for term in expr.terms for t in _with_log_sums(term, context)]
    for k, term in enumerate(terms):
        found = _log_sum_of(term, context)
        if found is None:
            continue
        sign, indices, exponent = found
        rest = [t if sign > 0 else negate(t) for j, t in enumerate(terms) if j != k]
        shown = [_without_parts(t, context) for t in (exponent, *rest)]
        total = apply(EXP, _gathered(add(*(t for term in shown for t in _each(term)))))
        for index in reversed(indices):
            total = close_sum(index, total)
        return apply(LOG, total) if sign > 0 else negate(apply(LOG, total))
    return None


def _without_parts(expr: Expr, context: Context) -> Expr:
    """What stands there for the parts of lines that have no name in the code."""

    def value(node: Expr) -> Expr | None:
        equation = context.equations.get(node.tensor) if isinstance(node, Entry) else None
        if equation is None or not isinstance(node, Entry) or not equation.note.startswith(PART):
            return None
        return _without_parts(equation.at(node.indices), context)

    return rewrite(expr, value)


def _each(term: Expr) -> tuple[Expr, ...]:
    """The terms of a sum, or of the opposite of one."""
    inner = negate(term)
    return tuple(map(negate, inner.terms)) if isinstance(inner, Add) else _flat(term)


def _with_log_sums(term: Expr, context: Context) -> tuple[Expr, ...]:
    """A term, or the terms of the sum that it stands for, if one of these is the logarithm of a sum of exponentials."""
    positive = [f for f in factors_of(term) if f is not MINUS_ONE]
    opened = context.opened(positive[0]) if len(positive) == 1 else term
    terms = _flat(opened)
    if not any(_log_sum_of(t, context) for t in terms):
        return (term,)
    return terms if positive[0] is term else tuple(map(negate, terms))


def _log_sum_of(term: Expr, context: Context) -> tuple[int, list[Index], Expr] | None:
    """(1, k, z) of log(sum of exp(z) over k), (-1, k, z) of its opposite."""
    positive = [f for f in factors_of(term) if f is not MINUS_ONE]
    one = positive[0] if len(positive) == 1 else term
    if not (isinstance(one, Apply) and one.function is LOG):
        return None
    total, indices = context.opened(one.arguments[0]), list[Index]()
    while isinstance(total, Sum):
        index, total = open_binder(total)
        total = context.opened(total)
        indices.append(index)
    exponent = exponent_of(total, context)
    return None if exponent is None or not indices else (1 if one is term else -1, indices, exponent)


def _is_shifted(exponent: Expr, context: Context) -> bool:
    """Whether a largest value is subtracted already."""
    opened = context.opened(exponent)
    seen = [context.opened(n) for n in nodes_once(opened) if isinstance(n, Entry)]
    sums = (n for e in (opened, *seen) for n in nodes_once(e) if isinstance(n, Add))
    return any(isinstance(context.opened(negate(term)), Extremum) for n in sums for term in n.terms)


def near_one(expr: Expr, context: Context) -> Expr | None:
    """exp(u) - 1, 1 - exp(u), log(1 + u), 1 - cos(u)."""
    if isinstance(expr, Apply) and expr.function is LOG:
        for one, other in _two_terms(expr.arguments[0]):
            if one is ONE:
                return apply(LOG1P, other)
    for one, other in _two_terms(expr):
        inner = context.opened(other)
        if one is MINUS_ONE and isinstance(inner, Apply) and inner.function is EXP:
            return apply(EXPM1, inner.arguments[0])
        inner = context.opened(negate(other))
        if one is ONE and isinstance(inner, Apply) and inner.function is EXP:
            return negate(apply(EXPM1, inner.arguments[0]))
        if one is ONE and isinstance(inner, Apply) and inner.function is COS:
            return multiply(number(2), power(apply(SIN, multiply(HALF, inner.arguments[0])), 2))
    return None


def roots(expr: Expr, context: Context) -> Expr | None:
    """sqrt(a) - sqrt(b)."""
    for one, other in _two_terms(expr):
        first, second = context.opened(one), context.opened(negate(other))
        if all(isinstance(r, Power) and r.exponent is HALF for r in (first, second)):
            assert isinstance(first, Power) and isinstance(second, Power)
            above = add(*_flat(first.base), *map(negate, _flat(second.base)))
            above = _gathered(above)
            return multiply(above, power(add(one, negate(other)), MINUS_ONE))
    return None


def _flat(expr: Expr) -> tuple[Expr, ...]:
    return expr.terms if isinstance(expr, Add) else (expr,)


def _gathered(expr: Expr) -> Expr:
    """A sum without the terms that stand in it with both signs."""
    terms = list(_flat(expr))
    for term in list(terms):
        if term in terms and negate(term) in terms and term is not ZERO:
            terms.remove(term)
            terms.remove(negate(term))
    return add(*terms)


def exponential_again(expr: Expr, context: Context) -> Expr | None:
    """1 + e, where e is exp(u) - 1."""
    for one, other in _two_terms(expr):
        for first, second in _two_terms(context.opened(other)) if one is ONE and isinstance(other, Entry) else ():
            if second is MINUS_ONE and exponent_of(first, context) is not None:
                return first
    return None


def difference_of_squares(expr: Expr, context: Context) -> Expr | None:
    """a^2 - b^2, also where one of them is 1, and a - a^2."""
    for one, other in _two_terms(expr):
        b = ONE if other is MINUS_ONE else _squared(negate(other), context)
        a = one if one is ONE else _squared(one, context)
        if b is not None and a is not None:
            return multiply(subtract(a, b), add(a, b))
    return None


def square_from_once(expr: Expr, context: Context) -> Expr | None:
    """a - a^2."""
    for one, other in _two_terms(expr):
        if one is not ONE and _squared(negate(other), context) is one:
            return multiply(one, subtract(ONE, one))
    return None


def weighted_difference(expr: Expr, context: Context) -> Expr | None:
    """a sum over j of f[j] - sum over j of f[j] b[j]."""
    for one, other, rest in _pairs(expr):
        products = _averaged(context.opened(negate(other)))
        for total in factors_of(one) if products is not None else ():
            weights = _averaged(context.opened(total))
            if weights is None or products is None or weights[2] is not products[2]:
                continue
            index, body, scale = products
            f = substitute(weights[1], {weights[0]: index})
            b = _without(body, list(factors_of(f)))
            if b is not None and b is not ONE:
                a = multiply(*(g for g in factors_of(one) if g is not total))
                return add(multiply(close_sum(index, multiply(f, subtract(a, b))), scale), *rest)
    return None


def centred(expr: Expr, context: Context) -> Expr | None:
    """c x[n] - c mean of x: the rounding errors of two large products are those of a small difference."""
    for one, other, rest in _pairs(expr):
        for total in factors_of(other):
            sum_ = context.opened(total)
            if not isinstance(sum_, Sum):
                continue
            index, body = open_binder(sum_)
            for x in factors_of(one):
                places = [i for i in free_indices(x) if i.size is index.size] if isinstance(x, Entry) else []
                n = next((i for i in places if substitute(body, {index: i}) is x), None)
                if n is None:
                    continue
                left = _powers(multiply(*(f for f in factors_of(one) if f is not x)))
                right = _powers(negate(multiply(*(f for f in factors_of(other) if f is not total), index.size)))
                if left == right != {ONE: Fraction(1)} and n not in free_indices(other):
                    gap = subtract(x, _named(multiply(total, power(index.size, MINUS_ONE)), context))
                    found = add(multiply(*(f for f in factors_of(one) if f is not x), gap), *rest)
                    return centred(found, context) or found
    return None


def _powers(expr: Expr) -> dict[Expr, Fraction]:
    """A product by its factors and their exponents; of a number its value."""
    found: dict[Expr, Fraction] = {ONE: Fraction(1)}
    for factor in factors_of(expr):
        if isinstance(factor, Number):
            found[ONE] *= factor.value
        elif isinstance(factor, Power) and isinstance(factor.exponent, Number):
            found[factor.base] = found.get(factor.base, Fraction(0)) + factor.exponent.value
        else:
            found[factor] = found.get(factor, Fraction(0)) + 1
    return {f: e for f, e in found.items() if e != 0}


def _named(mean: Expr, context: Context) -> Expr:
    """The entry of a tensor that is this mean, else the mean itself."""
    free, own = list(free_indices(mean)), _averaged(mean)
    for equation in context.equations.values() if own is not None else ():
        value = _averaged(equation.value)
        if value is None or own is None or len(equation.indices) != len(free):
            continue
        for order in itertools.permutations(free):
            index, body, scale = _averaged(equation.at(order)) or value
            if substitute(body, {index: own[0]}) is own[1] and _powers(scale) == _powers(own[2]):
                context.looked_into.add(equation.tensor)
                return Entry(equation.tensor, tuple(order))
    return mean


def same_choice(expr: Expr, context: Context) -> Expr | None:
    """where(c, a, b) with what a and b choose by the same c."""
    if not isinstance(expr, Where):
        return None
    condition = expr.condition

    def chosen(branch: Expr, first: bool) -> Expr:
        def value(node: Expr) -> Expr | None:
            own = context.opened(node)
            same = isinstance(own, Where) and own.condition is condition
            return (own.then if first else own.otherwise) if same and isinstance(own, Where) else None

        return rewrite(branch, value)

    new = where(condition, chosen(expr.then, True), chosen(expr.otherwise, False))
    return None if new is expr else new


def hypotenuse(expr: Expr, context: Context) -> Expr | None:
    """sqrt(a^2 + b^2), also below, and log(a^2 + b^2) as 2 log(hypot(a, b)); b may be a number."""
    if isinstance(expr, Apply) and expr.function is LOG:
        found = _hypot_of(expr.arguments[0], context)
        return None if found is None else multiply(number(2), apply(LOG, found))
    if not (isinstance(expr, Power) and isinstance(expr.exponent, Number) and abs(expr.exponent.value) == HALF.value):
        return None
    found = _hypot_of(expr.base, context)
    return None if found is None else power(found, ONE if expr.exponent.value > 0 else MINUS_ONE)


def squares_below(expr: Expr, context: Context) -> Expr | None:
    """1 / (a^2 + b^2) as 1 / hypot(a, b)^2, which `divided_twice` divides by twice."""
    base, times = _whole_power(expr)
    found = _hypot_of(base, context) if times < 0 else None
    return None if found is None else power(found, number(2 * times))


def _hypot_of(total: Expr, context: Context) -> Expr | None:
    """hypot(a, b) of a^2 + b^2."""
    total = context.opened(total)
    if not isinstance(total, Add) or len(total.terms) != 2:
        return None
    a, b = (_root(t, context) for t in total.terms)
    return None if a is None or b is None or (_reads(a), _reads(b)) == (False, False) else apply(HYPOT, a, b)


def _root(term: Expr, context: Context) -> Expr | None:
    """a of a^2, also with a positive number before it, or of that alone."""
    term = context.opened(term)
    scale, rest = ONE, term
    if isinstance(term, Number):
        scale, rest = term, ONE
    elif isinstance(term, Multiply) and isinstance(term.factors[0], Number):
        scale, rest = term.factors[0], multiply(*term.factors[1:])
    base = ONE if rest is ONE else _squared(rest, context)
    if base is None or not isinstance(scale, Number) or scale.value <= 0:
        return None
    above, below = math.isqrt(scale.value.numerator), math.isqrt(scale.value.denominator)
    exact = Fraction(above, below)
    return multiply(number(exact) if exact**2 == scale.value else power(scale, HALF), base)


def equal_powers(expr: Expr, context: Context) -> Expr | None:
    """a^p / b^p as (a/b)^p: the powers alone may be 0 or infinite."""
    if not isinstance(expr, Multiply):
        return None
    powers = [(f, *_whole_power(f)) for f in expr.factors if not isinstance(f, Number)]
    for below, b, q in powers:
        if q > -2:
            continue
        for above, a, p in powers:
            if p >= 2 and above is not below:
                times = min(p, -q)
                left = (power(a, p - times), power(b, q + times))
                rest = [f for f in expr.factors if f is not above and f is not below]
                return multiply(*rest, *left, power(multiply(a, power(b, MINUS_ONE)), times))
    return None


def divided_twice(expr: Expr, context: Context) -> Expr | None:
    """a / b^2 as a / b / b."""
    if not isinstance(expr, Multiply):
        return None
    for below in expr.factors:
        b, q = _whole_power(below)
        rest = [f for f in expr.factors if f is not below]
        if -3 <= q <= -2 and any(map(_reads, rest)):
            return Multiply((*rest, *[power(b, MINUS_ONE)] * -q))
    return None


def _whole_power(expr: Expr) -> tuple[Expr, int]:
    """(a, p) of a^p, p a whole number."""
    if isinstance(expr, Power) and isinstance(expr.exponent, Number) and expr.exponent.value.denominator == 1:
        return expr.base, int(expr.exponent.value)
    return expr, 1


def root_of_power(expr: Expr, context: Context) -> Expr | None:
    """(a^p)^q as a^(p q): a^p may be 0 or infinite."""
    if isinstance(expr, Power) and isinstance(expr.exponent, Number) and expr.exponent.value.denominator > 1:
        inner = context.opened(expr.base)
        if isinstance(inner, Power) and isinstance(inner.exponent, Number):
            return power(inner.base, multiply(inner.exponent, expr.exponent))
    return None


def masked(expr: Expr, context: Context) -> Expr | None:
    """(c > 0) f(c), where f(c) may be no number elsewhere; the guard is moved onto the argument."""
    if isinstance(expr, Where) and isinstance(expr.condition, Compare) and expr.otherwise is ZERO:
        inner = _guarded(expr.then, expr.condition)
        return None if inner is expr.then else where(expr.condition, inner, ZERO)
    if not isinstance(expr, Multiply):
        return None
    for mask in expr.factors:
        if isinstance(mask, Compare):
            rest = multiply(*(f for f in expr.factors if f is not mask))
            inner = _guarded(rest, mask)
            if inner is not rest:
                return where(mask, inner, ZERO)
    return None


def _guarded(expr: Expr, condition: Compare) -> Expr:
    """The expression with 1 for what is compared with 0, where the condition does not hold, under what may fail."""
    subjects = [s for s in (condition.left, condition.right) if not isinstance(s, Number)]
    if len(subjects) != 1 or not isinstance(subjects[0], Entry):
        return expr
    subject = subjects[0]
    safe = where(condition, subject, ONE)

    def put(node: Expr) -> Expr:
        if isinstance(node, Where) and node.condition is condition:
            return node
        fails = isinstance(node, Power) and not (isinstance(node.exponent, Number) and node.exponent.value >= 0)
        if fails or (isinstance(node, Apply) and node.function in (EXP, LOG)):
            return (
                substitute(node, {subject: safe})
                if subject in set(nodes_once(node)) and safe not in set(nodes_once(node))
                else node
            )
        if isinstance(node, Entry):
            return node
        parts = children(node)
        new = tuple(map(put, parts))
        return node if new == parts else rebuild(node, new)

    return put(expr)


def power_times_log(expr: Expr, context: Context) -> Expr | None:
    """x^q log(x), whose limit at 0 is 0."""
    if not isinstance(expr, Multiply):
        return None
    for log in expr.factors:
        if not (isinstance(log, Apply) and log.function is LOG and isinstance(log.arguments[0], Entry)):
            continue
        x = log.arguments[0]
        powers = [f for f in expr.factors if f is x or (isinstance(f, Power) and f.base is x)]
        if powers:
            holds = Compare("<", ZERO, x)
            rest = [f for f in expr.factors if f is not log and f not in powers]
            return multiply(*rest, where(holds, multiply(*powers, apply(LOG, where(holds, x, ONE))), ZERO))
    return None


def two_pass_variance(expr: Expr, context: Context) -> Expr | None:
    """c sum of a b - d (sum of a) (sum of b), d = c/n: also with a for b, and with means for sums."""
    for one, other, rest in _pairs(expr):
        products = _averaged(context.opened(one))
        if products is None:
            continue
        index, body, scale = products
        base = _squared(body, context)
        both = (base, base) if base is not None else factors_of(body)
        if len(both) != 2:
            continue
        means: list[Expr] = []
        left = [f for f in (context.opened(negate(other)), negate(other)) if isinstance(f, (Multiply, Power))][:1]
        factors = [g for f in left for h in factors_of(f) for g in _repeated(h, context)]
        scales: list[Expr] = []
        for f in factors:
            own = _averaged(context.opened(f))
            target = both[len(means)] if len(means) < 2 else None
            body_of = None if own is None else substitute(own[1], {own[0]: index})
            if own is None or target is None or (body_of is not target and not (not means and body_of is both[1])):
                scales.append(f)
                continue
            if body_of is not target:
                both = (both[1], both[0])
            means.append(f if _powers(own[2]) == _powers(power(index.size, MINUS_ONE)) else
                         _named(multiply(f, power(index.size, MINUS_ONE)), context))  # fmt: skip
            scales.append(own[2])
        if len(means) == 2 and _powers(multiply(*scales, index.size)) == _powers(scale):
            gaps = [subtract(b, m) for b, m in zip(both, means, strict=True)]
            square = power(gaps[0], 2) if gaps[0] is gaps[1] else multiply(*gaps)
            return add(multiply(close_sum(index, square), scale), *rest)
    return None


def _repeated(expr: Expr, context: Context) -> tuple[Expr, ...]:
    """a, a of a^2."""
    base = _squared(expr, context) if isinstance(expr, (Power, Multiply)) else None
    return (expr,) if base is None else (base, base)


def _averaged(expr: Expr) -> tuple[Index, Expr, Expr] | None:
    """(index, body, factor) of a factor times a sum."""
    factors = expr.factors if isinstance(expr, Multiply) else (expr,)
    sums = [f for f in factors if isinstance(f, Sum)]
    if len(sums) != 1:
        return None
    index, body = open_binder(sums[0])
    return index, body, multiply(*(f for f in factors if f is not sums[0]))


def direct_distance(expr: Expr, context: Context) -> Expr | None:
    """sum a^2 + sum b^2 - 2 sum a b."""
    if not isinstance(expr, Add):
        return None
    found = [(t, _averaged(context.opened(t))) for t in expr.terms]
    for cross, parts in found:
        if parts is None:
            continue
        index, body, scale = parts
        factors = (*factors_of(scale), *factors_of(body))
        rest = [f for f in factors if not isinstance(f, Number)]
        if math.prod(f.value for f in factors if isinstance(f, Number)) != -2 or len(rest) != 2:
            continue
        a, b = rest
        squares = [
            t for t, p in found if t is not cross and p is not None and _is_sum_of_square(p, index, (a, b), context)
        ]
        if len(squares) == 2:
            others = [t for t in expr.terms if t is not cross and t not in squares]
            return add(close_sum(index, power(subtract(a, b), 2)), *others)
    return None


def _is_sum_of_square(parts: tuple[Index, Expr, Expr], index: Index, of: tuple[Expr, Expr], context: Context) -> bool:
    own, body, scale = parts
    base = _squared(substitute(body, {own: index}), context)
    return scale is ONE and base in of


ROWS: tuple[Row, ...] = (
    same_choice,
    complement,
    split_quotient,
    exponential_quotient,
    hyperbolic_quotient,
    exponential_share,
    merged_exponentials,
    shifted_quotient,
    square_from_once,
    logistic_minus,
    logistic_difference,
    divided_and_multiplied,
    softmax_pull_back,
    sum_of_onehot,
    onehot_minus,
    softplus_difference,
    log_of_quotient,
    softplus,
    log_sum_exp,
    exponential_again,
    near_one,
    difference_of_squares,
    roots,
    power_times_log,
    masked,
    two_pass_variance,
    direct_distance,
    weighted_difference,
    centred,
    scaled_norm,
    hypotenuse,
    root_of_power,
    equal_powers,
)


# What costs next to nothing: of these compiled code makes use.
CHEAP: tuple[Row, ...] = (
    complement,
    exponential_quotient,
    hyperbolic_quotient,
    exponential_share,
    logistic_minus,
    softplus_difference,
    log_of_quotient,
    softplus,
    exponential_again,
    near_one,
    centred,
)

__all__ = [
    "CHEAP",
    "ROWS",
    "Context",
    "Exponential",
    "Row",
    "along",
    "cancelled",
    "divided_twice",
    "joined_log_sum",
    "masks_of",
    "same_choice",
    "softplus",
    "squares_below",
    "stable",
]
