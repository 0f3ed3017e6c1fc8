"""Make a counterexample small: fewer entries first, then simpler numbers, as long as it still refutes.

Simpler are small whole numbers, and then those of few binary digits: a number that a search has brought close to a
threshold ends well away from it, unless the claim is wrong there alone. What counts as "still refutes" is a function of
the caller. This module must not know about claims.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.sample_points import Sampler, Sizes, movable
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Tensor
from symbackprop.normal_form.work_time import worked

GRIDS = (1.0, 2.0, 4.0, 16.0)
SIMPLE = (1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5)
ENTRIES_EACH = 24  # numbers are simplified one by one in arrays up to this size
DIGITS = (2, 3, 4, 6, 8, 10, 13, 17, 22)  # binary ones, of which a number is tried to be made
SHORT = 6  # a number of so few is not looked at again


def shrink(point: Point, sampler: Sampler, refutes: Callable[[Point], bool], seconds: float) -> Point:
    """The smallest, simplest point found in the time given; at worst the point itself."""
    deadline = worked() + seconds
    cut: Point | None = point
    while cut is not None:  # first to leading entries and then to the last of these: to any stretch of them
        point = cut
        cut = next((p for p in _smaller(point, sampler) if worked() > deadline or refutes(p)), None)
        if worked() > deadline:
            return point
    for attempt in _simpler(point, sampler):
        if worked() > deadline:
            break
        changed = attempt(point)
        if changed is not None and refutes(changed):
            point = changed
    return point


def _smaller(point: Point, sampler: Sampler) -> Iterator[Point]:
    """The point cut down to smaller sizes, smallest first."""
    ranges = [list(range(1, point.sizes[s] + 1)) for s in sampler.symbols]
    if np.prod([len(r) for r in ranges] or [1], dtype=float) > 3000:
        ranges = [r[:2] + r[-1:] if len(r) > 2 else r for r in ranges]
    every = [dict(zip(sampler.symbols, v, strict=True)) for v in itertools.islice(itertools.product(*ranges), 3000)]
    allowed = [s for s in every if s != point.sizes and sampler.allowed(s)]
    for sizes in sorted(allowed, key=lambda s: (sampler.entries(s), max(s.values())))[:60]:
        for last in (False, True):
            cut = {t: _cut(t, a, sizes, sampler, last) for t, a in point.inputs.items()}
            yield replace(point, sizes=sizes, inputs=cut)


def _cut(tensor: Tensor, array: NDArray[Any], sizes: Sizes, sampler: Sampler, last: bool) -> NDArray[Any]:
    """The leading entries, or the last; labels stay in range and one-hot rows keep their one."""
    shape = sampler.shape(tensor, sizes)
    kind = sampler.kinds[tensor].kind if tensor in sampler.kinds else None
    if any(new > old for new, old in zip(shape, array.shape, strict=True)):
        return sampler.draw(tensor, sizes)
    kept = zip(shape, array.shape, strict=True)
    part = np.array(array[tuple(slice(old - new, old) if last else slice(new) for new, old in kept)])
    if kind in ("onehot", "simplex"):
        rows = np.moveaxis(part, sampler.kinds[tensor].axis, -1)
        rows[..., 0] = 1.0 - rows[..., 1:].sum(axis=-1)
    classes = sampler.classes(tensor, sizes)
    return np.asarray(part % classes) if classes is not None else part


def _simpler(point: Point, sampler: Sampler) -> Iterator[Callable[[Point], Point | None]]:
    """Changes worth trying: round a whole array to a coarse grid, then single entries to the simplest numbers."""

    def kind_of(tensor: Tensor) -> str | None:
        return sampler.kinds[tensor].kind if tensor in sampler.kinds else None

    def rounded(tensor: Tensor, grid: float) -> Callable[[Point], Point | None]:
        def change(current: Point) -> Point | None:
            array = current.inputs[tensor]
            return _with(current, tensor, np.asarray(np.round(array * grid) / grid), kind_of(tensor))

        return change

    def entry(tensor: Tensor, position: tuple[int, ...], value: float) -> Callable[[Point], Point | None]:
        def change(current: Point) -> Point | None:
            array = current.inputs[tensor].copy()
            if abs(array[position]) in (1.0, 2.0) or array[position] == value:
                return None
            array[position] = value
            return _with(current, tensor, array, kind_of(tensor))

        return change

    def shortened(
        tensor: Tensor, position: tuple[int, ...], digits: int, towards: int
    ) -> Callable[[Point], Point | None]:
        def change(current: Point) -> Point | None:
            value = float(current.inputs[tensor][position])
            if value == _short(value, SHORT, 0) or value == _short(value, digits, 0):
                return None
            array = current.inputs[tensor].copy()
            array[position] = _short(value, digits, towards)
            return _with(current, tensor, array, kind_of(tensor))

        return change

    real = [t for t, a in point.inputs.items() if movable(kind_of(t), a)]
    for grid in GRIDS:
        for tensor in real:
            yield rounded(tensor, grid)
    few = [t for t in real if point.inputs[t].size <= ENTRIES_EACH]
    for tensor in few:
        for position in np.ndindex(*point.inputs[tensor].shape):
            for value in SIMPLE:
                yield entry(tensor, position, value)
    for tensor in few:
        for position in np.ndindex(*point.inputs[tensor].shape):
            for digits, towards in itertools.product(DIGITS, (0, -1, 1)):
                yield shortened(tensor, position, digits, towards)


def _short(value: float, digits: int, towards: int) -> float:
    """A number of so many binary digits next to this one: the nearest, the one below or the one above."""
    fraction, exponent = math.frexp(value)
    scaled = math.ldexp(fraction, digits)
    whole = round(scaled) if not towards else math.floor(scaled) if towards < 0 else math.ceil(scaled)
    return math.ldexp(whole, exponent - digits)


def _with(point: Point, tensor: Tensor, array: NDArray[Any], kind: str | None) -> Point | None:
    """The point with one array replaced; None if nothing changes or the numbers are not allowed."""
    if not movable(kind, array) or np.array_equal(array, point.inputs[tensor]):
        return None
    return replace(point, inputs={**point.inputs, tensor: array})
