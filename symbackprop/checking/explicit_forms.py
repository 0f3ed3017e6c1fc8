"""What the tensors of a recurrence are without it, as numbers propose it.

    s[t] = s[t-1]*exp(m[t-1] - m[t]) + e[t]      is      exp(-m[t]) * sum(i <= t, e[i]*exp(m[i]))

A recurrence that is linear in one tensor, X[t] = a[t]*X[t-1] + b[t], is a sum over the earlier steps if its factors
telescope: if a[t] is g[t]/g[t-1] for some g that is at hand, then X[t]/g[t] grows by b[t]/g[t] with each step. With
a = 1 these are running sums; with exp(-m) the rescaled sums of an online softmax, and the derivatives of either; with
powers discounted sums, with 1/(t+1) running means.
Which g it may be, and which tensors are 0, numbers tell. That what is proposed solves the recurrence is shown by
induction elsewhere; nothing here is trusted.

What only sets the scale of other states moves the result by what these move it:

    m_bar[t] = s[t]*s_bar[t] + sum(e, o[t,e]*o_bar[t,e])      of sums s and o in units of exp(m)

by Euler's theorem on homogeneous functions, since the states matter as exp(m)*s and exp(m)*o alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.arrays import Vectors
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Compare,
    Entry,
    Expr,
    Index,
    Multiply,
    Tensor,
    Where,
    add,
    apply,
    contraction,
    entries_once,
    free_indices,
    fresh,
    kronecker,
    multiply,
    negate,
    nodes_once,
    number,
    power,
    rewrite,
    substitute,
    subtract,
    tensors_in,
    where,
)
from symbackprop.expression.equation import Equation
from symbackprop.expression.functions import EXP
from symbackprop.expression.recurrence import Recurrence
from symbackprop.expression.sizes import Facts, simplify

MOST_INLINED = 6  # definitions of the same recurrence that are put in for one another
MOST_NODES = 400
TOLERANCE = 1e-7
INFINITE = 1e6  # what is larger stands for infinity
FAINT = 1e-11  # beside what a number is computed from: rounding
MOST_PRODUCTS = 64  # of states with derivatives, that may be what a scale moves
LEAST_STEPS = 3  # that numbers must have seen, beside those at either end
FAILURES = (SymbackpropError, ArithmeticError, LookupError, ValueError)
Numbers = NDArray[Any]


@dataclass(frozen=True)
class Linear:
    """X[t] = factor[t] * X[before t] + rest[t], each over the indices of the equation."""

    own: Equation
    axis: int
    up: bool
    factor: Expr
    rest: Expr

    @property
    def step(self) -> Index:
        """The index of the steps."""
        return self.own.indices[self.axis]

    @property
    def last(self) -> Expr:
        """The largest step."""
        return simplify(subtract(self.step.size, ONE))


def linear(own: Equation, block: Recurrence, lines: Mapping[Tensor, Equation], facts: Facts) -> Linear | None:
    """A tensor's recurrence, if it is linear in the entry of the step before with the same other indices."""
    tensor, clock = own.tensor, block.clocks[own.tensor]
    others = {e.tensor for e in block.equations} - {tensor}
    if clock.across is not None:
        return None

    def put_in(node: Expr) -> Expr | None:
        if not isinstance(node, Entry) or (node.tensor not in others and node.tensor is not tensor):
            return None
        places = tuple(simplify(p, facts) for p in node.indices)
        return lines[node.tensor].at(places) if node.tensor in others else Entry(tensor, places)

    value = own.value
    for _ in range(MOST_INLINED):
        value = rewrite(value, put_in)
        if not tensors_in(value) & others or sum(1 for _ in nodes_once(value)) > MOST_NODES:
            break
    step = own.indices[clock.axis]
    before = simplify((subtract if clock.sign > 0 else add)(step, ONE), facts)
    entry = Entry(tensor, tuple(before if i is step else i for i in own.indices))
    read = {e for e in entries_once(value) if e.tensor is tensor}
    if tensors_in(value) & others or read != {entry}:
        return None
    parts = _parts(value, entry)
    return None if parts is None else Linear(own, clock.axis, clock.sign > 0, *parts)


def _parts(value: Expr, entry: Entry) -> tuple[Expr, Expr] | None:
    """(a, b) with value = a*entry + b."""
    if value is entry:
        return ONE, ZERO
    if not any(n is entry for n in nodes_once(value)):
        return ZERO, value
    match value:
        case Add(terms):
            found = [_parts(t, entry) for t in terms]
            known = [f for f in found if f is not None]
            return (add(*(a for a, _ in known)), add(*(b for _, b in known))) if len(known) == len(found) else None
        case Multiply(factors):
            holding = [f for f in factors if any(n is entry for n in nodes_once(f))]
            inner = _parts(holding[0], entry) if len(holding) == 1 else None
            rest = [f for f in factors if f is not holding[0]]
            return None if inner is None else (multiply(inner[0], *rest), multiply(inner[1], *rest))
        case Where(condition, then, otherwise):
            if any(n is entry for n in nodes_once(condition)):
                return None
            one, other = _parts(then, entry), _parts(otherwise, entry)
            if one is None or other is None:
                return None
            return where(condition, one[0], other[0]), where(condition, one[1], other[1])
    return None


class Explicit:
    """Proposals for the tensors of recurrences.

    Args:
        vectors: the numbers of all tensors, at several points.
        steps: the tensors that have steps, each with the axis that holds them.
        shorter: makes an expression shorter by definitions that are put in; None if it stays long.
    """

    def __init__(
        self,
        vectors: Sequence[Vectors],
        steps: Mapping[Tensor, int],
        facts: Facts,
        shorter: Callable[[Equation], Expr | None],
    ) -> None:
        self._vectors, self._steps, self._facts, self._shorter = vectors, steps, facts, shorter

    def nothing(self, own: Equation) -> bool:
        """True if a tensor may be 0 everywhere."""
        return bool(self._vectors) and all(self._vanishes(v, own) for v in self._vectors)

    def nothing_but(self, own: Equation, axis: int, last: bool) -> bool:
        """True if a tensor may be 0 at all steps but the first, or but the last."""
        rest = slice(None, -1) if last else slice(1, None)
        return bool(self._vectors) and all(
            self._vanishes(v, own, (slice(None),) * axis + (rest,)) for v in self._vectors
        )

    def sums(self, own: Equation, block: Recurrence, lines: Mapping[Tensor, Equation]) -> Iterator[Expr]:
        """What a tensor of a recurrence may be, over the indices of its equation.

        Args:
            lines: the equations up to this one as they are read now.
        """
        form = linear(own, block, lines, self._facts) if self._vectors else None
        if form is None:
            return
        try:
            ends = self._ends(form)
            if ends is None:
                return
            for scale in self._scales(form, lines):
                value = self._summed(form, scale, once=ends[0], forgets=ends[1])
                if value is not None:
                    yield value
        except FAILURES:
            return

    def scales(
        self, own: Equation, block: Recurrence, forward: Container[Tensor], bars: Container[Tensor]
    ) -> Iterator[Expr]:
        """What the derivative of a scale may be: products of states with their derivatives, one or the sum of two.

        Args:
            forward, bars: the tensors of the forward pass, and the derivatives up to this one.
        """
        axis, wanted = block.clocks[own.tensor].axis, self._flat(own.tensor)
        if wanted is None or not np.abs(wanted).max(initial=0.0) > INFINITE**-1:
            return
        states = [t for t, k in self._steps.items() if t in forward and t.kind == "real" and k < len(t.shape)]
        together = {e.tensor for e in block.equations}  # a lemma speaks of what is known before the recurrence
        others = [t for t in self._steps if t in bars and t.kind == "real" and t not in together]
        found: list[tuple[Expr, Numbers]] = []
        for state, bar in itertools.product(states, others):
            if state.shape == bar.shape and self._steps[state] == self._steps[bar]:
                known = self._contracted(own, axis, state, bar)
                if known is not None and np.abs(known[1]).max(initial=0.0) > INFINITE**-1:
                    found.append(known)
        near = TOLERANCE * float(np.abs(wanted).max())
        for count in (1, 2):
            for chosen in itertools.combinations(found[:MOST_PRODUCTS], count):
                if np.abs(sum(n for _, n in chosen) - wanted).max() <= near:
                    yield add(*(e for e, _ in chosen))

    # --- numbers

    def _flat(self, tensor: Tensor) -> Numbers | None:
        """The numbers of a tensor at all points; None where there are none."""
        arrays = [v.arrays[tensor] for v in self._vectors if tensor in v.arrays]
        flat = np.concatenate([a.ravel() for a in arrays]) if arrays else np.zeros(0)
        told = len(arrays) == len(self._vectors) and flat.size > LEAST_STEPS and bool(np.isfinite(flat).all())
        return flat if told else None

    def _contracted(self, own: Equation, axis: int, state: Tensor, bar: Tensor) -> tuple[Expr, Numbers] | None:
        """A state times its derivative at a step, summed over the axes that only they have, with its numbers."""
        kept: list[int] = []
        for k, size in enumerate(own.tensor.shape):
            free = [j for j, n in enumerate(state.shape) if n is size and j not in kept]
            place = next((j for j in free if (j == self._steps[state]) == (k == axis)), None)
            if place is None:
                return None
            kept.append(place)
        if kept != sorted(kept):
            return None
        rest = tuple(j for j in range(len(state.shape)) if j not in kept)
        products = [v.arrays[state] * v.arrays[bar] for v in self._vectors if {state, bar} <= v.arrays.keys()]
        if len(products) < len(self._vectors):
            return None
        names: list[Expr] = [ONE] * len(state.shape)
        for k, j in enumerate(kept):
            names[j] = own.indices[k]
        bound = {j: fresh("e", state.shape[j]) for j in rest}
        value = multiply(*(Entry(t, tuple(bound.get(j, n) for j, n in enumerate(names))) for t in (state, bar)))
        for index in bound.values():
            value = contraction(
                index.name,
                index.size,
                lambda i, index=index, value=value: substitute(value, {index: i}),  # type: ignore[misc]
            )
        return value, np.concatenate([p.sum(axis=rest).ravel() for p in products])

    def _vanishes(self, vectors: Vectors, own: Equation, part: tuple[slice, ...] = ()) -> bool:
        """True if a tensor, or a part of it, is 0 up to the rounding of what it is computed from."""
        if own.tensor not in vectors.arrays:
            return False
        values = [np.abs(vectors.arrays[t]) for t in tensors_in(own.value) if t in vectors.arrays and t.kind == "real"]
        scale = max((float(v[v < INFINITE].max(initial=0.0)) for v in values), default=0.0)
        return float(np.abs(vectors.arrays[own.tensor][part]).max(initial=0.0)) <= FAINT * scale

    def _over(self, vectors: Vectors, form: Linear, value: Expr) -> Numbers:
        """Numbers along the steps, in the order of computation, of all other indices together."""
        with np.errstate(all="ignore"):
            array = np.moveaxis(np.asarray(vectors.over(value, form.own.indices), dtype=float), form.axis, 0)
        array = array if form.up else array[::-1]
        return array.reshape(len(array), -1)

    def _ends(self, form: Linear) -> tuple[bool, bool] | None:
        """(whether only the first step adds something, whether the last one forgets those before)."""
        once, forgets, seen = True, True, 0
        for vectors in self._vectors:
            factor, rest = self._over(vectors, form, form.factor), self._over(vectors, form, form.rest)
            if np.any(factor[0]):
                return None
            once &= not np.any(rest[1:])
            forgets &= not np.any(factor[-1])
            gone = [k for k in range(1, len(factor)) if not np.any(factor[k])]
            if not set(gone) <= {len(factor) - 1} and not (gone[0] == 1 and not np.any(rest[0]) and len(gone) <= 2):
                return None
            seen = max(seen, len(factor))
        return (once, forgets) if seen > LEAST_STEPS else None

    def _scales(self, form: Linear, lines: Mapping[Tensor, Equation]) -> Iterator[Callable[[Expr], Expr]]:
        """Those g of which the factor is the ratio from step to step, as functions of the step."""
        for scale in (lambda _: ONE, *self._elementary(form)):
            if self._is_ratio(form, scale):
                yield scale
        for tensor, axis in self._steps.items():
            known = tensor in lines and tensor.kind == "real" and tensor is not form.own.tensor
            if not known or tensor.shape[axis] is not form.step.size:
                continue
            places = self._places(tensor, axis, form)
            if places is None:
                continue
            for make in MAKERS:

                def scale(
                    at: Expr, tensor: Tensor = tensor, axis: int = axis, places: tuple[Expr, ...] = places,
                    make: Callable[[Expr], Expr] = make,
                ) -> Expr:  # fmt: skip
                    return make(Entry(tensor, (*places[:axis], at, *places[axis + 1 :])))

                if self._is_ratio(form, scale):
                    yield scale

    def _elementary(self, form: Linear) -> Iterator[Callable[[Expr], Expr]]:
        """Those g of which the factor itself tells: powers, and ratios of steps."""
        factor = _only_branch(form.factor)
        if form.step not in free_indices(factor):
            start = ZERO if form.up else form.last
            yield lambda at: power(factor, subtract(at, start) if form.up else subtract(start, at))
            return
        for make, more in itertools.product((_itself, _inverse), (1, 2, 0)):
            yield lambda at, make=make, more=more: make(add(at, number(more)))  # type: ignore[misc]

    def _places(self, tensor: Tensor, axis: int, form: Linear) -> tuple[Expr, ...] | None:
        """The indices at which another tensor is read beside this one; None where they do not fit."""
        free = [i for k, i in enumerate(form.own.indices) if k != form.axis]
        places: list[Expr] = []
        for k, size in enumerate(tensor.shape):
            index = form.step if k == axis else next((i for i in free if i.size is size), None)
            if index is None:
                return None
            if k != axis:
                free.remove(index)
            places.append(index)
        return tuple(places)

    def _is_ratio(self, form: Linear, scale: Callable[[Expr], Expr]) -> bool:
        """True if the factor is g[t]/g[t-1] wherever it is not 0."""
        try:
            for vectors in self._vectors:
                factor = self._over(vectors, form, form.factor)
                g = self._over(vectors, form, scale(form.step))
                with np.errstate(all="ignore"):
                    gap = np.abs(factor[1:] * g[:-1] / g[1:] - 1)
                if not np.all((gap <= TOLERANCE) | (factor[1:] == 0)):
                    return False
        except FAILURES:
            return False
        return True

    # --- formulas

    def _summed(self, form: Linear, scale: Callable[[Expr], Expr], once: bool, forgets: bool) -> Expr | None:
        """What all steps up to this one have added, in units of the scale; None if that is long.

        Args:
            once: only the first step adds something.
            forgets: the last step holds what it adds alone.
        """
        step, share = form.step, multiply(form.rest, power(scale(form.step), -1))
        first, last = (ZERO, form.last) if form.up else (form.last, ZERO)
        added = self._short(form, share, first if once else step)
        at_last = self._short(form, form.rest, last) if forgets else ZERO
        if added is None or at_last is None:
            return None

        def summand(at: Index) -> Expr:
            earlier = Compare("<=", at, step) if form.up else Compare("<=", step, at)
            return where(earlier, substitute(added, {step: at}), ZERO)

        total = added if once else contraction(step.name, step.size, summand)
        value = multiply(scale(step), total)
        return where(kronecker(step, last), at_last, value) if forgets else value

    def _short(self, form: Linear, value: Expr, at: Expr) -> Expr | None:
        """A value at a step, written as short as it goes."""
        return self._shorter(Equation(form.own.tensor, form.own.indices, substitute(value, {form.step: at})))


def _only_branch(value: Expr) -> Expr:
    """The one branch of an expression that is not 0."""
    match value:
        case Where(_, then, otherwise) if ZERO in (then, otherwise):
            return _only_branch(then if otherwise is ZERO else otherwise)
        case Multiply(factors):
            return multiply(*map(_only_branch, factors))
    return value


def _itself(value: Expr) -> Expr:
    return value


def _inverse(value: Expr) -> Expr:
    return power(value, -1)


def _exp(value: Expr) -> Expr:
    return apply(EXP, value)


def _exp_of_negative(value: Expr) -> Expr:
    return apply(EXP, negate(value))


MAKERS = (_exp, _exp_of_negative, _itself, _inverse)
__all__ = ["Explicit"]
