"""The relative error of a gradient along the way to the input at which it is lost, on logarithmic axes.

Main name: `error_figure`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from symbackprop.document.model import Figure, Mark
from symbackprop.rendering.layout import Glyph

WIDTH, HEIGHT = 8.0, 3.2  # of the picture inside its axes
LEAST = {"float64": -17, "float32": -9}  # powers of 10
NO_NUMBER = 0.6  # how far above an error of 1 a result that is no number is drawn

Place = tuple[float, float]


def error_figure(curve: Sequence[tuple[float, float]], dtype: str) -> Figure | None:
    """A curve of (factor of the input, relative error there); None where there are too few points.

    Args:
        curve: inf stands for a result that is no number.
    """
    if len(curve) < 3:
        return None
    lowest = LEAST[dtype]
    powers = [math.log10(factor) for factor, _ in curve]
    left, right = min(powers), max(powers)

    def at(power: float, error: float) -> Place:
        return 0.6 + WIDTH * (power - left) / (right - left), HEIGHT * (0.45 - (error - lowest) / -lowest)

    def height(error: float) -> float:
        return max(float(lowest), min(0.0, math.log10(error))) if error > 0 else float(lowest)

    marks = [Mark("line", at(left, lowest), at(right, lowest)), Mark("line", at(left, lowest), at(left, NO_NUMBER))]
    for power in (lowest + 1, lowest // 2, 0):
        marks += [_across(at(left, power)), _label(f"1e{power}" if power else "1", (-0.15, at(left, power)[1]))]
    for power in range(math.ceil(left), math.floor(right) + 1):
        x, y = at(power, lowest)
        marks += [Mark("line", (x, y - 0.08), (x, y + 0.08)), _label(f"{10.0**power:g}", (x, y + 0.4))]
    for finite, run in groupby(curve, key=lambda p: math.isfinite(p[1])):
        points = [at(math.log10(f), height(e) if finite else NO_NUMBER) for f, e in run]
        if len(points) > 1:
            marks.append(Mark("curve" if finite else "dashed", points[0], points=tuple(points)))
    caption = (
        "The relative error (upwards) where all inputs are multiplied by a factor (to the right); a broken line above "
        "1: no finite number."
    )
    return Figure(tuple(marks), (WIDTH + 2.0, HEIGHT + 1.6), (caption,), "Relative error along the way to the input.")


def _across(place: Place) -> Mark:
    return Mark("line", (place[0] - 0.08, place[1]), (place[0] + 0.08, place[1]))


def _label(text: str, place: Place) -> Mark:
    return Mark("label", place, label=Glyph(text.replace("-", "−"), "number"))
