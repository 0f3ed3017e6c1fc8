"""Lines that run in the other rounds of a loop, and in the round with the fault do not.

A backward pass of many layers runs the same lines over and over. Where a cure changes one of them in one round alone,
the fault may be a line that this round leaves out: of d = d @ W.T is then said that a slope is missing, and of the line
that multiplies by it elsewhere, that it has no part here.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from symbackprop.expression.build import Tensor
from symbackprop.frontends.numpy.session import Ran

MOST_SKIPPED = 2  # more lines are another branch, not a slip


def skipped_lines(ran: Sequence[Ran], cured: Iterable[Tensor], words: str) -> list[int]:
    """The numbers of the lines that compute something in the like rounds of a loop, and nothing in that of a cure.

    Args:
        ran: the lines that computed something, in the order in which they ran.
        cured: what is computed otherwise in the pass as it would be right.
        words: the diagnosis; where no line is cured, the first that it names is looked at in every round.

    Example:
        >>> d = Tensor("d", ())
        >>> rounds = [Ran(5), Ran(3), Ran(6), Ran(5), Ran(6), Ran(5, d), Ran(3), Ran(6), Ran(5)]
        >>> skipped_lines(rounds, [d], "line 5: a slope is missing")
        [3]
    """
    busy = [r for r in ran if r.tensor is not None or not r.idle()]
    runs = [[*run] for _, run in itertools.groupby(busy, lambda r: r.line)]  # a line may compute several arrays
    lines = [run[0].line for run in runs]
    places = {r.tensor: k for k, run in enumerate(runs) for r in run if r.tensor is not None}
    for place in (places[tensor] for tensor in cured if tensor in places):
        found = _left_out(lines, lines[place], place)
        if found:
            return found
    told = re.search(r"line (\d+)(?! of the forward)", words)
    if not told:
        return []
    return _left_out(lines, int(told[1])) or _itself(lines, int(told[1]))


def _itself(lines: Sequence[int], number: int) -> list[int]:
    """The line itself, where one round of the lines around it leaves it out."""
    how_often = Counter(lines)
    anchors = [line for line, count in how_often.items() if line != number and count == how_often[number] + 1]
    return [number] if any(number in _left_out(lines, line) for line in anchors) else []


def _left_out(lines: Sequence[int], number: int, place: int | None = None) -> list[int]:
    """What one round lacks of what is in all the rounds that have everything else of it."""
    turns = [k for k, line in enumerate(lines) if line == number]
    rounds = [(a, b, frozenset(lines[a + 1 : b])) for a, b in itertools.pairwise(turns)]
    how_often = Counter(own for _, _, own in rounds)
    for start, end, own in rounds:
        if how_often[own] > 1 or (place is not None and not start <= place <= end):
            continue
        fuller = [every for _, _, every in rounds if own < every]
        missing = frozenset.intersection(*fuller) - own if fuller else frozenset()
        if 0 < len(missing) <= MOST_SKIPPED:
            return sorted(missing)
    return []
