"""Products and running extrema along an axis of symbolic length: recurrences, one step a place.

before[t] = 1 where t = 0, else after[t - 1]
after[t]  = before[t]*x[t]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, ZERO, Compare, Entry, Expr, add, fresh, multiply, where
from symbackprop.frontends.numpy.array import Array, array
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, size_symbols
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.recurrences import State, define_state, new_state
from symbackprop.frontends.numpy.registry import implements
from symbackprop.frontends.numpy.session import Content, current, reduced
from symbackprop.frontends.numpy.views import axis_of

Step = Callable[[Expr, Expr], Expr]


class _Steps:
    """The places of an axis as the rounds of a loop."""

    def __init__(self, length: Expr) -> None:
        self.index = fresh("k", length)

    def stop(self, why: str = "an accumulation along an axis of symbolic length") -> Exception:
        """What asks for an axis of concrete length."""
        return NeedsConcreteSizes(why, size_symbols(self.index.size))


class Accumulated:
    """What has been accumulated before each place of an axis, and after the last one."""

    def __init__(self, values: Array, axis: int, step: Step, start: Content) -> None:
        session, self._axis, self._values = current(), axis, values
        steps, content = _Steps(values.axes[axis]), values.read(nonlinear=True)
        self._shape = (*values.axes[:axis], *values.axes[axis + 1 :])
        self._state: State = new_state(session, "t", self._shape, "real", steps.index, start)

        def after(indices: tuple[Expr, ...]) -> Expr:
            return step(self._state.found(indices), content((*indices[:axis], steps.index, *indices[axis:])))

        session.loops.append(steps)
        define_state(session, self._state, start, after, session.line())
        session.loops.pop()

    def total(self) -> Array:
        """After the last place."""
        return array(self._shape, self._state.left, self._values.dtype)

    def up_to_each(self) -> Array:
        """Up to each place."""
        k, state = self._axis, self._state

        def entries(indices: tuple[Expr, ...]) -> Expr:
            place = reduced(add(indices[k], ONE))
            return Entry(state.tensor, (*state.outer, place, *map(reduced, (*indices[:k], *indices[k + 1 :]))))

        return array(self._values.axes, entries, self._values.dtype)


def product(values: Array, axis: int) -> Accumulated:
    """The products along an axis."""
    return Accumulated(values, axis, multiply, lambda _: ONE)


def _extreme_so_far(a: Any, axis: Any, options: dict[str, Any], larger: bool) -> Array:
    base = as_array(a)
    k = axis_of(axis, base.ndim)
    if base.kind != "real" or options:
        raise TraceError(
            "np.maximum.accumulate and np.minimum.accumulate of other than an array of reals cannot be traced"
        )
    content = base.read(nonlinear=True)

    def step(before: Expr, value: Expr) -> Expr:
        pair = (before, value) if larger else (value, before)
        return where(Compare("<", *pair), value, before)

    def start(indices: tuple[Expr, ...]) -> Expr:
        return content((*indices[:k], ZERO, *indices[k:]))

    return Accumulated(base, k, step, start).up_to_each()


@implements("maximum.accumulate")
def _maximum_accumulate(array: Any, axis: Any = 0, **options: Any) -> Array:
    return _extreme_so_far(array, axis, options, larger=True)


@implements("minimum.accumulate")
def _minimum_accumulate(array: Any, axis: Any = 0, **options: Any) -> Array:
    return _extreme_so_far(array, axis, options, larger=False)


__all__ = ["Accumulated", "product"]
