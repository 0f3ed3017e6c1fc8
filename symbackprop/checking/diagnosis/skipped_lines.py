"""Lines that take part in the other rounds of a loop, and in the round with the fault do not.

A backward pass of many layers runs the same lines over and over. Where a cure changes one of them in one round alone,
the fault may be a line that this round leaves out: of d = d @ W.T is then said that a slope is missing, and of the line
that multiplies by it elsewhere, that it has no part here.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from symbackprop.expression.program import PART, Equation, Program

MOST_SKIPPED = 2  # more lines are another branch, not a slip


def skipped_lines(backward: Program, cured: Iterable[Equation], words: str) -> list[int]:
    """The numbers of the lines that have a part in the like rounds of a loop, and none in that of a cured line.

    Args:
        backward: in the order in which its lines ran.
        cured: lines of it as they would be right.
        words: the diagnosis; where no line is cured, the one that it begins with is looked at in every round.

    Example:
        >>> from symbackprop.expression.build import ONE, Tensor
        >>> ran = [(5, "d"), (3, "d_2"), (5, "d_3"), (5, "d_4"), (3, "d_5"), (5, "d_6"), (3, "d_7"), (5, "x")]
        >>> lines = [Equation(Tensor(name, ()), (), ONE, f"line {k}") for k, name in ran]
        >>> skipped_lines(Program((), tuple(lines), ()), [lines[2]], "line 5: a slope is missing")
        [3]
    """
    lines = [_Line(e, e.tensor in backward.outputs) for e in backward.equations]
    places = {e.tensor: k for k, e in enumerate(backward.equations)}
    for place in (places[e.tensor] for e in cured if e.tensor in places):
        found = _left_out(lines, lines[place].number, place)
        if found:
            return found
    told = re.match(r"(?:part of )?line (\d+)", words)
    return _left_out(lines, int(told[1])) if told else []


class _Line:
    """The number of a line that ran; the gradients are computed last, whenever their lines ran."""

    def __init__(self, equation: Equation, late: bool) -> None:
        found = re.search(r"line (\d+)$", equation.note)
        self.number = int(found[1]) if found else 0
        self.whole, self.late = not equation.note.startswith(PART), late


def _left_out(lines: Sequence[_Line], number: int, place: int | None = None) -> list[int]:
    """What one round lacks of what is in all the rounds that have everything else of it."""
    turns = [k for k, line in enumerate(lines) if line.number == number and line.whole]
    rounds = [
        (a, b, frozenset(line.number for line in lines[a + 1 : b] if line.number and not line.late))
        for a, b in itertools.pairwise(turns)
    ]
    how_often = Counter(own for _, _, own in rounds)
    for start, end, own in rounds:
        if how_often[own] > 1 or (place is not None and not start <= place <= end):
            continue
        fuller = [every for _, _, every in rounds if own < every]
        missing = frozenset.intersection(*fuller) - own if fuller else frozenset()
        if 0 < len(missing) <= MOST_SKIPPED:
            return sorted(missing)
    return []
