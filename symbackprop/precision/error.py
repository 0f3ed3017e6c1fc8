"""How wrong a computed gradient is, and whether its code is to blame.

An entry's error is relative to the entry. It is the code's fault only if it is far larger than what inputs and upstream
gradients that are off by a rounding error would make of the true value: then the question itself has no more digits.
Where several upstream gradients come into an entry, which may cancel there for some of them, the error must also be
large beside the largest derivative in that gradient, and so where the entry is 0; of a gradient that is a sum, as over
examples, beside what is added up. Main name: `Judge`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import flint
import numpy as np

from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Tensor
from symbackprop.precision.exact_values import Entries, Exact, ExactValues
from symbackprop.precision.user_results import Computed, Floats

UNSAFE = {"float64": 1e-8, "float32": 1e-3}  # a relative error above this is reported
FLOOR = {"float64": 1e-295, "float32": 1e-36}  # errors up to this size count as none: there numbers are subnormal
MARGIN = 1.01
ROUNDINGS = 200  # rounding errors of the inputs that a code's own may add up to
ADDED = 8  # rounding errors of its terms that a sum may be off, which cancel in it: no order of adding loses less
MOST_ROWS = 24  # derivatives of single outputs that are asked for
BITS = 1280


@dataclass(frozen=True)
class Loss:
    """An entry that is lost.

    Args:
        name: of the input whose gradient it is; "" of an output of the forward pass.
        place: of the entry.
        error: relative; inf where the code gives no finite number.
        strict: the error beside the largest derivative of all.
    """

    name: str
    place: tuple[int, ...]
    computed: float
    exact: float
    error: float
    strict: float = math.inf


class Judge:
    """Compares what the user's code computed with true values.

    Args:
        values: true values.
        free: the inputs whose entries may be off by a rounding error.
        dtype: float64 or float32.
        beside_largest: whether an entry may lose digits that are nothing beside the largest derivative.
        jumps: whether what is computed may jump, as a number of a branch or a place does: then it is asked on both
            sides, as far away as inputs may be off.
    """

    def __init__(
        self,
        values: ExactValues,
        free: tuple[Tensor, ...],
        dtype: np.dtype[np.floating],
        *,
        beside_largest: bool = False,
        jumps: bool = False,
    ) -> None:
        self.beside_largest = beside_largest
        self.steps = ((1, ROUNDINGS), *(((ROUNDINGS, 1), (-ROUNDINGS, 1)) if jumps else ()))
        self.values, self.free, self.name = values, free, dtype.name
        info = np.finfo(dtype)
        self.most, self.rounding = float(info.max), float(info.eps)
        self.unsafe, self.floor = UNSAFE[self.name] * MARGIN, FLOOR[self.name]
        self.largest = 0.0  # the largest relative error at the last point that was no fault
        self.explained: list[Loss] = []  # what is lost there, but not more than by rounding the inputs
        self.several: frozenset[str] = frozenset()

    def prepare(self, point: Point) -> None:
        """Find out into which gradients several upstream gradients come, at sizes that are not 1."""
        if self.beside_largest:
            self.several = frozenset(self.values.question.pairs)
            return
        exact = self.values.at(point)
        rows = self._rows(point, exact) if exact is not None else None
        if exact is None or rows is None:
            self.several = frozenset(self.values.question.pairs)
            return
        counts = {
            n: max((sum(row[n][p] != 0 for _, row in rows) for p in e), default=0) for n, e in exact.gradients.items()
        }
        self.several = frozenset(n for n, count in counts.items() if count > 1)

    def losses(self, point: Point, computed: Computed, exact: Exact) -> list[Loss]:
        """What is lost at a point, gradients first and the worst of them; empty if nothing is, or if a truth is beyond
        the dtype."""
        self.largest, self.explained = 0.0, []
        if self.beyond(exact):
            return []
        found = list(self._not_finite(computed, exact))
        known = any(loss.name for loss in found)  # where an output alone is lost, a gradient may be, too
        suspects = [] if known or self._tiny(point) else list(self._far(computed, exact))
        if suspects:
            found += self._faults(point, suspects, exact)
        if (found or self.explained) and not self.values.agrees(point, exact):
            self.explained = []
            return []
        return sorted(found, key=lambda loss: (not loss.name, -min(loss.error, loss.strict)))

    def beyond(self, exact: Exact) -> bool:
        """Whether a true gradient is larger than any number of the dtype."""
        return any(abs(v) > self.most for e in exact.gradients.values() for v in e.values())

    def _tiny(self, point: Point) -> bool:
        """Whether products of inputs may be no normal numbers any more: there only what is no number counts."""
        return any(((a != 0) & (np.abs(a) < self.floor**0.5)).any() for a in point.inputs.values())

    def _not_finite(self, computed: Computed, exact: Exact) -> Iterator[Loss]:
        for name, entries in exact.gradients.items():
            for place, value in entries.items():
                own = float(computed.gradients[name][place])
                if not math.isfinite(own):
                    yield Loss(name, place, own, float(value.mid()), math.inf)
        for own_array, entries in zip(computed.outputs, exact.outputs, strict=False):
            for place, value in entries.items():
                own = float(own_array[place])
                if not math.isfinite(own) and abs(value) < self.most:
                    yield Loss("", place, own, float(value.mid()), math.inf)

    def _far(self, computed: Computed, exact: Exact) -> Iterator[Loss]:
        for name, entries in exact.gradients.items():
            array: Floats = computed.gradients[name]
            for place, value in entries.items():
                own, true = float(array[place]), value.mid()
                gap = float(abs(flint.arb(own) - true))
                if gap > self.floor:
                    size = abs(float(true))
                    error = gap / max(size, self.floor)
                    if error > self.unsafe:
                        yield Loss(name, place, own, float(true), error)
                    else:
                        self.largest = max(self.largest, error)

    def _faults(self, point: Point, suspects: list[Loss], exact: Exact) -> list[Loss]:
        """The suspects that neither cancelling upstream gradients nor rounded inputs explain."""
        rows = self._rows(point, exact)
        if rows is None:
            return []
        sizes = [abs(w) for w, _ in rows]
        largest = max((abs(float(v)) for _, row in rows for e in row.values() for v in e.values()), default=0.0)
        scale = max(max(sizes) * largest, self.floor)
        found: list[Loss] = []
        added = self.values.magnitudes(point)
        for loss in suspects:
            gap = abs(loss.computed - loss.exact)
            if loss.name in added and gap <= ADDED * self.rounding * abs(float(added[loss.name][loss.place])):
                continue
            nothing = abs(loss.exact) <= self.floor  # beside which every rounding error is large
            if (loss.name in self.several or nothing) and (gap <= self.unsafe * scale or not largest):
                continue
            terms = [abs(float(row[loss.name][loss.place]) * w) for w, row in rows]
            if gap > ROUNDINGS * self.rounding * sum(terms):
                found.append(replace(loss, strict=gap / scale))
        faults = self._beyond_noise(point, found, exact)
        if any(f.name in self.several for f in faults):
            for other in self._other_signs(point):
                near = self._gradients(other, exact)
                if near is not None:
                    faults = self._beyond_noise(other, faults, replace(exact, gradients=near))
        self.explained = [f for f in found if f not in faults and f.strict > self.unsafe]
        return faults

    def _rows(self, point: Point, exact: Exact) -> list[tuple[float, Mapping[str, Entries]]] | None:
        """(upstream gradient, the derivatives of that output alone) for each output."""
        upstream = self.values.question.upstream
        if not upstream:
            return [(1.0, exact.gradients)]
        places = [(t, p) for t in upstream for p in np.ndindex(*point.inputs[t].shape)]
        if len(places) > MOST_ROWS:
            return None
        rows: list[tuple[float, Mapping[str, Entries]]] = []
        for tensor, place in places:
            single = {t: np.zeros(point.inputs[t].shape) for t in upstream}
            single[tensor][place] = 1.0
            at = replace(point, inputs={**point.inputs, **single})
            row = self._gradients(at, exact)
            if row is None:
                return None
            rows.append((float(point.inputs[tensor][place]), row))
        return rows

    def _beyond_noise(self, point: Point, losses: list[Loss], exact: Exact) -> list[Loss]:
        """What is larger than inputs that are off by some rounding errors explain."""
        noise = self._noise(point, losses, exact)
        return [f for f, n in zip(losses, noise, strict=True) if abs(f.computed - f.exact) > n]

    def _other_signs(self, point: Point) -> Iterator[Point]:
        """The point with other signs of upstream gradients: what rounded inputs change may cancel for those given,
        as in the sum over two examples of what batch normalisation makes of them, which is 0 whatever they are."""
        upstream = self.values.question.upstream
        count = sum(point.inputs[t].size for t in upstream)
        for length in (1, 2) if count > 2 else (1,):
            signs, moved = iter([(-1.0) ** (k // length) for k in range(count)]), dict(point.inputs)
            for tensor in upstream:
                array = np.abs(point.inputs[tensor])
                moved[tensor] = array * np.array([next(signs) for _ in range(array.size)]).reshape(array.shape)
            yield replace(point, inputs=moved)
        yield replace(point, inputs={t: np.abs(a) if t in upstream else a for t, a in point.inputs.items()})

    def _noise(self, point: Point, losses: list[Loss], exact: Exact) -> list[float]:
        """By how much true values change, added up, when inputs are off by some rounding errors."""
        noise = [0.0] * len(losses)
        if not losses:
            return noise
        for tensor in self.free:
            for place in np.ndindex(*point.inputs[tensor].shape):
                largest = [0.0] * len(losses)
                for step, times in self.steps:
                    moved = point.inputs[tensor].copy()
                    moved[place] += step * self.rounding * (abs(moved[place]) or 1.0)
                    near = self._gradients(replace(point, inputs={**point.inputs, tensor: moved}), exact)
                    if near is None:
                        continue
                    for k, loss in enumerate(losses):
                        # a slope that is 0 may be so by symmetry, and its first change, too: those beside it are asked
                        places = exact.gradients[loss.name] if abs(loss.exact) <= self.floor else [loss.place]
                        gaps = (abs(near[loss.name][p].mid() - exact.gradients[loss.name][p].mid()) for p in places)
                        largest[k] = max(largest[k], times * float(max(gaps)))
                noise = [n + more for n, more in zip(noise, largest, strict=True)]
        return noise

    def _gradients(self, point: Point, exact: Exact) -> Mapping[str, Entries] | None:
        if exact.limit:
            found = self.values.at(point)
            return None if found is None else found.gradients
        return self.values.gradients_at(point, BITS)
