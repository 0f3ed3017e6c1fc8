"""Small graphs of functions and their derivatives, drawn from the definitions.

A curve is the values of the definition at many points; it is broken at kinks and jumps, and where it leaves the frame.
Main name: `function_figure`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import sympy as sp

from symbackprop.document.model import Figure, Mark
from symbackprop.evaluation.exact import evaluate_expression
from symbackprop.expression.build import Entry, Index, Tensor, apply, number
from symbackprop.expression.functions import FUNCTIONS, Function, derivative, z
from symbackprop.rendering.layout import Glyph, operator, row
from symbackprop.rendering.notation import Notation, function_layout

REACH, LOWEST, HIGHEST = 4.0, -1.5, 2.25  # the frame: |z| and the values that are shown
STEP = 1 / 16
_ACROSS, _UP = 0.45, 0.8  # units of the picture for a unit of z and of the value
_PITCH, _ROW = 4.6, 4.2
_IN_A_ROW = 3
_BESIDE = 1e-9  # how near to a kink a curve is drawn

Point = tuple[float, float]


def function_figure(functions: Sequence[Function], notation: Notation) -> Figure | None:
    """A graph for each function of one argument that has a definition; None if there is none."""
    functions = [f for f in functions if f is not FUNCTIONS["identity"]]
    if not functions:
        return None
    marks: list[Mark] = []
    rows = (len(functions) - 1) // _IN_A_ROW + 1
    for place, function in enumerate(functions):
        across, down = place % _IN_A_ROW, place // _IN_A_ROW
        centre = (across * _PITCH + REACH * _ACROSS - 0.5, (down - (rows - 1) / 2) * _ROW + 0.3)
        marks += _graph(function, centre, notation)
    width = min(len(functions), _IN_A_ROW) * _PITCH - (_PITCH - 2 * REACH * _ACROSS) - 1.0
    names = ", ".join(f.name for f in functions)
    described = (
        f"Graphs of {names} and the derivatives" if len(functions) > 1 else f"Graphs of {names} and its derivative"
    )
    several = "Each function (solid line) and its" if len(functions) > 1 else "The function (solid line) and its"
    caption = f"{several} derivative (broken line), drawn from the definition{'s' if len(functions) > 1 else ''}."
    return Figure(tuple(marks), (width, rows * _ROW - 0.6), (caption,), f"{described}, from −4 to 4.")


def _graph(function: Function, centre: Point, notation: Notation) -> list[Mark]:
    """Axes with two ticks, the two curves, and a line that names them."""

    def at(point: Point) -> Point:
        return centre[0] + _ACROSS * point[0], centre[1] - _UP * point[1]

    slope = derivative(function)
    marks = [
        Mark("line", at((-REACH - 0.2, 0.0)), at((REACH + 0.2, 0.0))),
        Mark("line", at((0.0, LOWEST)), at((0.0, HIGHEST))),
    ]
    for x in (-2, 2):
        marks += [Mark("line", at((x, -0.08)), at((x, 0.08))), _number(x, at((x, -0.42)))]
    marks += [Mark("line", at((-0.15, 1.0)), at((0.15, 1.0))), _number(1, at((-0.6, 1.0)))]
    for kind, drawn in (("dashed", slope), ("curve", function)):
        curves = segments(drawn, function.kinks)
        marks += [Mark(kind, at(points[0]), points=tuple(map(at, points))) for points in curves]
    names = row(
        function_layout(function, notation), operator(","), Glyph(" ", "text"), function_layout(slope, notation)
    )
    return [*marks, Mark("label", at((0.0, LOWEST - 0.5)), label=names)]


def _number(value: int, at: Point) -> Mark:
    text = str(value).replace("-", "−")
    return Mark("label", at, label=Glyph(text, "number"))


def segments(function: Function, kinks: Sequence[sp.Expr]) -> tuple[tuple[Point, ...], ...]:
    """The pieces of a curve that lie inside the frame: (z, value) at many points.

    Args:
        kinks: expressions that vanish where the curve may bend or jump; it is broken there.
    """
    breaks = sorted({r for kink in kinks for r in _roots(sp.lambdify(z, kink))})
    grid = [k * STEP for k in range(round(-REACH / STEP), round(REACH / STEP) + 1)]
    edges = [-REACH, *breaks, REACH]
    pieces = []
    for left, right in pairwise(edges):
        inner = [x for x in grid if left + _BESIDE < x < right - _BESIDE]
        ends = [left + _BESIDE if left in breaks else left], [right - _BESIDE if right in breaks else right]
        places = [*ends[0], *inner, *ends[1]]
        pieces += list(_inside(list(zip(places, _values(function, places), strict=True))))
    return tuple(pieces)


def _values(function: Function, places: Sequence[float]) -> list[float]:
    """The function at all these places."""
    index = Index("p", number(len(places)))
    tensor = Tensor("z", (index.size,))
    values = evaluate_expression(apply(function, Entry(tensor, (index,))), (index,), {}, {tensor: places})
    return [float(value) for value in values]


def _roots(kink: Callable[[float], float]) -> Iterator[float]:
    """Where a continuous expression changes its sign or is 0, on the shown axis."""
    grid = [k * STEP for k in range(round(-REACH / STEP), round(REACH / STEP) + 1)]
    yield from (x for x in grid if kink(x) == 0)
    for left, right in pairwise(grid):
        if kink(left) * kink(right) < 0:
            low, high = left, right
            for _ in range(50):
                middle = (low + high) / 2
                low, high = (middle, high) if kink(low) * kink(middle) > 0 else (low, middle)
            yield (low + high) / 2


def _inside(points: Sequence[Point]) -> Iterator[tuple[Point, ...]]:
    """The runs of points whose values are in the frame, each with at least two."""
    run: list[Point] = []
    for point in points:
        if LOWEST <= point[1] <= HIGHEST:
            run.append(point)
        else:
            if len(run) > 1:
                yield tuple(run)
            run = []
    if len(run) > 1:
        yield tuple(run)
