"""The user's functions run on intervals: a proof that they are finite, and where they may not be.

proved_finite   every entry is the whole range, by turns negative, 0 and positive; if all results are finite
                numbers for all of these, they are for all inputs in the ranges, at the sizes that were run
hazards         parts of the ranges in which something may be no number, cancel or underflow, ever smaller ones:
                points in them are where the search begins
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from symbackprop.checking.sample_points import Sampler, Sizes
from symbackprop.checking.user_run import quietly
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Tensor
from symbackprop.normal_form.work_time import worked
from symbackprop.precision.intervals import Interval, Machine, boxes
from symbackprop.precision.ranges import Range
from symbackprop.precision.user_results import UserCode

LARGEST_UPSTREAM = 1e4
BOUNDED = {"onehot": (0.0, 1.0), "bern": (0.0, 1.0), "pm1": (-1.0, 1.0), "simplex": (0.0, 1.0)}
MOST_PIECES = 90  # of the ranges of all entries together
DEPTH = 24  # cuts on the way to a hazard
MOST_HAZARDS = 6
TO_ZERO = {"float64": 1e-20, "float32": 1e-5}  # of a part that reaches to 0, where it is cut
SEED = 5
Box = dict[Tensor, tuple[float, float]]


def proved_finite(code: UserCode, sampler: Sampler, ranges: Mapping[Tensor, Range], sizes: Sizes, end: float) -> bool:
    """Whether both functions are finite at these sizes, for inputs in the ranges and upstream gradients up to 1e4.

    Args:
        end: on the clock of work, after which nothing is proved.
    """
    base = sampler.point(sizes)
    if _whole(code, sampler, ranges, base) is None:
        return False
    least = float(np.finfo(code.dtype).smallest_subnormal)
    entries = [(t, p) for t in ranges if t in base.inputs for p in np.ndindex(*base.inputs[t].shape)]
    cuts = [_cut(ranges[t], least) for t, _ in entries]
    if not _all_finite(code, sampler, ranges, base, {}):
        if math.prod(map(len, cuts)) > MOST_PIECES:
            cuts = [c if len(c) < 3 else [c[0], (0.0, c[2][1])] for c in cuts]
        if not any(len(c) > 1 for c in cuts) or math.prod(map(len, cuts)) > MOST_PIECES:
            return False
        for pieces in itertools.product(*cuts):
            if worked() > end or not _all_finite(code, sampler, ranges, base, dict(zip(entries, pieces, strict=True))):
                return False
    return True


def _cut(of: Range, least: float) -> list[tuple[float, float]]:
    """A range, cut at 0."""
    if not of.low < 0 < of.high:
        return [of[:2]]
    return [(of.low, -least), (0.0, 0.0), (least, of.high)]


def _all_finite(
    code: UserCode,
    sampler: Sampler,
    ranges: Mapping[Tensor, Range],
    base: Point,
    pieces: Mapping[tuple[Tensor, tuple[int, ...]], tuple[float, float]],
) -> bool:
    """Whether every result is finite on one box."""
    machine = Machine(code.dtype.type)
    own = _whole(code, sampler, ranges, base)
    assert own is not None, "asked before"
    arrays: dict[Tensor, Any] = {}
    for tensor, (low, high) in own.items():
        shape = base.inputs[tensor].shape
        lows, highs = np.full(shape, low), np.full(shape, high)
        for place in np.ndindex(*shape):
            if (tensor, place) in pieces:
                lows[place], highs[place] = pieces[tensor, place]
        arrays[tensor] = boxes(shape, lows, highs, machine)
    results = _results(code, replace(base, inputs={**base.inputs, **arrays}))
    return results is not None and all(map(_is_finite, results))


def _whole(code: UserCode, sampler: Sampler, ranges: Mapping[Tensor, Range], base: Point) -> Box | None:
    """The range of each input; None where one is no interval."""
    found: Box = {}
    for tensor in base.inputs:
        kind = sampler.kinds[tensor].kind if tensor in sampler.kinds else ""
        if tensor in ranges:
            low, high, excluded = ranges[tensor]
            least = float(np.finfo(code.dtype).smallest_subnormal)
            found[tensor] = (low + least if excluded else low, _below_one(high, code) if excluded else high)
        elif tensor in code.question.upstream:
            found[tensor] = (-LARGEST_UPSTREAM, LARGEST_UPSTREAM)
        elif kind in BOUNDED:
            found[tensor] = BOUNDED[kind]
        else:
            return None
    return found


def _below_one(high: float, code: UserCode) -> float:
    """The end of an open range of probabilities."""
    return float(np.nextafter(code.dtype.type(high), code.dtype.type(0))) if high == 1 else high


def _results(code: UserCode, point: Point) -> list[Any] | None:
    """All that both functions return; None where intervals do not tell, or NumPy does not take them."""
    with quietly():
        try:
            outputs, gradients = code.returned(point)
            return [*outputs, *gradients.values()]
        except Exception:  # the user's code may raise anything
            return None


def _is_finite(value: Any) -> bool:
    array = np.asarray(value)
    if array.dtype.kind in "fiub":
        return bool(np.isfinite(array).all())
    return array.dtype == object and all(
        v.finite and not v.nan if isinstance(v, Interval) else isinstance(v, (int, float)) and math.isfinite(v)
        for v in array.ravel()
    )


def hazards(
    code: UserCode, sampler: Sampler, ranges: Mapping[Tensor, Range], sizes: Sizes, end: float
) -> Iterator[Mapping[Tensor, tuple[float, float]]]:
    """Ever smaller parts of the ranges in which something may go wrong: of each kind and place, every second.

    Args:
        end: on the clock of work.
    """
    base = sampler.point(sizes)
    whole: Box = {t: (r.low, r.high) for t, r in ranges.items() if t in base.inputs}
    rng = random.Random(SEED)
    for kind, step in sorted(_hazards(code, base, whole), key=lambda h: (ORDER.index(h[0]), -h[1]))[:MOST_HAZARDS]:
        box = whole
        for depth in range(DEPTH):
            if worked() > end:
                return
            parts = _parts(box, kind, code.dtype.name, rng)
            box = next((h for h in parts if (kind, step) in _hazards(code, base, h)), {})
            if not box:
                break
            if depth % 2:
                yield box


ORDER = ("no number", "cancels", "underflows")


def _hazards(code: UserCode, base: Point, box: Box) -> set[tuple[str, int]]:
    """What may happen where all entries of an input are in one part of its range."""
    machine = Machine(code.dtype.type)
    arrays = {t: boxes(base.inputs[t].shape, low, high, machine) for t, (low, high) in box.items()}
    _results(code, replace(base, inputs={**base.inputs, **arrays}))
    return machine.hazards


def _parts(box: Box, kind: str, dtype: str, rng: random.Random) -> list[Box]:
    """The box cut along its widest side; the part nearest to 0 first where a division is feared."""
    widest = max(box, key=lambda t: (_width(*box[t]), rng.random()))
    low, high = box[widest]
    if low < 0 < high:
        cuts = [0.0]
    elif low == 0 or high == 0:
        cuts = [(low + high) * TO_ZERO[dtype]]
    elif max(low / high, high / low) > 4:
        cuts = [math.copysign(math.sqrt(low / high) * abs(high), high)]
    else:
        cuts = [low + (high - low) * part for part in (1 / 16, 1 / 2, 15 / 16)]
    ends = [low, *cuts, high]
    parts: list[Box] = [{**box, widest: pair} for pair in itertools.pairwise(ends)]
    if kind == "cancels":
        rng.shuffle(parts)
        return parts
    return sorted(parts, key=lambda b: max(map(abs, b[widest])))


def _width(low: float, high: float) -> float:
    """How far a part reaches: of one that holds 0, more than of any other."""
    if low == high:
        return 0.0
    if low <= 0 <= high:
        return 300.0 + math.log10(max(high, -low, 1e-290))
    ratio = abs(math.log10(high / low)) if low > 0 else abs(math.log10(low / high))
    return ratio


__all__ = ["hazards", "proved_finite"]
