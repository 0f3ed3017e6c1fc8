"""What a tensor of a recurrence may be, where it equals no other one: another one in other units at each step, or with
one more added to it.

    be[t,k] = c[t]*u_bar[t,k]         the scaled backward recursion of a hidden Markov model
    num[t,n] = exp(m[t,n])*s[t,n]     a plain sum beside one in units of the exponential of a running maximum
    g[t,n]   = v[t,n] + d[n]          a derivative that is carried with what each step adds, or without
    be[t,k]  = log(exp(-al[t,k])*exp(Z)*al_bar[t,k])        the same recursions in logarithms

The units are a third tensor of fewer axes, or of the same, its inverse, or its exponential; of what is a logarithm,
several of them. Numbers propose, and what they propose is shown by induction elsewhere; nothing here is trusted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.lookalikes import Likeness, Lookalikes
from symbackprop.expression.build import (
    ONE,
    Expr,
    Index,
    Tensor,
    add,
    apply,
    contraction,
    multiply,
    negate,
    number,
    power,
    substitute,
)
from symbackprop.expression.equation import Equation
from symbackprop.expression.functions import EXP, LOG

TOLERANCE = 1e-6
LEAST = 6  # numbers that must have been compared
MOST = 4  # proposals for one tensor
MOST_UNITS = 3  # in one product
Numbers = list[NDArray[Any]]


class Proposal(NamedTuple):
    """A tensor may be this value over the indices of its equation.

    Args:
        ahead: the tensor whose definition leads to that of this one, if there is one.
    """

    value: Expr
    ahead: Tensor | None


class _Unit(NamedTuple):
    """A way from a tensor to units, and from units to the numbers that the tensor must have then."""

    make: Callable[[Expr], Expr]
    numbers: Callable[[NDArray[Any]], NDArray[Any]]


UNITS = (
    _Unit(lambda e: e, lambda a: a),
    _Unit(lambda e: power(e, -1), lambda a: 1 / a),
    _Unit(lambda e: apply(EXP, e), np.exp),
    _Unit(lambda e: apply(EXP, negate(e)), lambda a: np.exp(-a)),
)


class Invariants:
    """Proposals for tensors of recurrences.

    Args:
        alike: the numbers of all tensors, and those that may be found.
        inputs: may be found as well, as units or as what is added.
    """

    def __init__(self, alike: Lookalikes, inputs: Iterable[Tensor]) -> None:
        self._alike, self._inputs = alike, tuple(inputs)

    def _few(self, indices: tuple[Index, ...]) -> Iterator[tuple[Likeness, Numbers]]:
        """What can be read over these indices, inputs among it."""
        shape = tuple(i.size for i in indices)
        yield from self._alike.of_shape(shape)
        for tensor in self._inputs:
            numbers = self._alike.numbers_of(tensor) if tensor.shape == shape else None
            if numbers is not None:
                yield Likeness(tensor, tuple(range(len(shape))), ONE), numbers

    def of(self, own: Equation) -> list[Proposal]:
        """What a tensor may be, the likeliest first."""
        with np.errstate(all="ignore"):
            found = dict.fromkeys(itertools.chain(self._with_one_more(own), self._in_other_units(own)))
            return list(found or itertools.islice(self._as_a_logarithm(own), MOST))[:MOST]

    def _with_one_more(self, own: Equation) -> Iterator[Proposal]:
        """Another tensor and one more, which may have fewer axes."""
        values = self._alike.numbers_of(own.tensor)
        for likeness, others in self._alike.of_shape(own.tensor.shape) if values is not None else ():
            if likeness.other is own.tensor:
                continue
            gaps = [a - b for a, b in zip(values or (), others, strict=True)]
            axes = [k for k in range(len(own.indices)) if any(_varies(g, k) for g in gaps)]
            indices = tuple(own.indices[k] for k in axes)
            wanted = [_without(g, axes) for g in gaps]
            for known, numbers in self._few(indices):
                for sign in (1, -1):
                    if known.other is not likeness.other and _agree(wanted, [sign * n for n in numbers]):
                        more = multiply(number(sign), known.at(indices))
                        yield Proposal(add(likeness.at(own.indices), more), likeness.other)

    def _in_other_units(self, own: Equation) -> Iterator[Proposal]:
        values = self._alike.numbers_of(own.tensor)
        if values is None or not any(v.any() for v in values):
            return
        for likeness, others in self._alike.of_shape(own.tensor.shape):
            if likeness.other is own.tensor:
                continue
            # where the other one is 0 nothing is told: exp(-m)*s is, in units of a first maximum of -1e38
            ratios = [np.where(b == 0, np.nan, a / b) for a, b in zip(values, others, strict=True)]
            if any((r == 0).any() for r in ratios):
                continue
            axes = [k for k in range(len(own.indices)) if any(_varies(r, k) for r in ratios)]
            if axes:
                for unit in self._units(own, [_without(r, axes) for r in ratios], axes, likeness, others):
                    yield Proposal(multiply(unit, likeness.at(own.indices)), likeness.other)

    def _as_a_logarithm(self, own: Equation) -> Iterator[Proposal]:
        """The logarithm of another tensor in units of several."""
        values = self._alike.numbers_of(own.tensor)
        if values is None or not all(np.isfinite(v).all() and v.size for v in values):
            return
        for likeness, others in self._alike.of_shape(own.tensor.shape):
            ratios = [np.exp(a) / b for a, b in zip(values, others, strict=True)]
            if likeness.other is not own.tensor and all(np.isfinite(r).all() for r in ratios):
                for unit in self._product(own.indices, ratios, MOST_UNITS):
                    if unit is not ONE:
                        yield Proposal(apply(LOG, multiply(unit, likeness.at(own.indices))), likeness.other)

    def _product(self, indices: tuple[Index, ...], ratios: Numbers, most: int) -> Iterator[Expr]:
        """Products of so many units that have these numbers; each of them tells how they vary along some axis."""
        axes = [k for k in range(len(indices)) if any(_varies(r, k) for r in ratios)]
        if not axes and _agree(ratios, [np.ones_like(r) for r in ratios]):
            yield ONE
            return
        own, left = tuple(indices[k] for k in axes), [_without(r, axes) for r in ratios]
        for known, numbers in self._few(own) if most else ():
            for unit in UNITS:
                rest = [a / unit.numbers(n) for a, n in zip(left, numbers, strict=True)]
                told = all(np.isfinite(r).all() for r in rest)
                if told and (not own or any(not any(_varies(r, k) for r in rest) for k in range(len(own)))):
                    for more in self._product(own, rest, most - 1):
                        yield multiply(unit.make(known.at(own)), more)

    def _units(
        self, own: Equation, ratios: Numbers, axes: list[int], likeness: Likeness, others: Numbers
    ) -> Iterator[Expr]:
        """The units that have these numbers, over some of the indices of an equation."""
        indices = tuple(own.indices[k] for k in axes)
        for known, numbers in self._few(indices):
            for unit in UNITS:
                if known.other is not likeness.other and _agree(ratios, [unit.numbers(n) for n in numbers]):
                    yield unit.make(known.at(indices))
        if len(axes) < len(own.indices):
            rest = tuple(k for k in range(len(own.indices)) if k not in axes)
            if _agree(ratios, [1 / n.sum(axis=rest) for n in others]):
                yield power(_total(likeness.at(own.indices), [own.indices[k] for k in rest]), -1)


def _total(value: Expr, indices: list[Index]) -> Expr:
    """The sum over these indices."""
    for index in indices:
        value = contraction(index.name, index.size, lambda i, index=index, value=value: substitute(value, {index: i}))  # type: ignore[misc]
    return value


def _varies(values: NDArray[Any], axis: int) -> bool:
    """True unless numbers are the same all along an axis, as far as there are any."""
    low, high = np.nanmin(values, axis=axis, initial=np.inf), np.nanmax(values, axis=axis, initial=-np.inf)
    return bool(np.any(high - low > TOLERANCE * np.abs(high)))


def _without(values: NDArray[Any], axes: list[int]) -> NDArray[Any]:
    """Numbers along these axes, of any place along the others."""
    rest = tuple(k for k in range(values.ndim) if k not in axes)
    return np.asarray(np.nanmax(values, axis=rest, initial=-np.inf)) if rest else values


def _agree(wanted: Numbers, numbers: Numbers) -> bool:
    """Whether numbers are the same where there are any."""
    seen = 0
    for a, b in zip(wanted, numbers, strict=True):
        told = np.isfinite(a)
        if not np.all(np.abs(a - b)[told] <= TOLERANCE * np.abs(a[told])):
            return False
        seen += int(told.sum())
    return seen >= LEAST


__all__ = ["Invariants", "Proposal"]
