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
from dataclasses import dataclass, replace

from symbackprop.expression.build import Tensor
from symbackprop.frontends.numpy.session import Ran

MOST_SKIPPED = 2  # more lines are another branch, not a slip


@dataclass(frozen=True)
class Skipped:
    """Lines that one round leaves out.

    Args:
        lines: their numbers.
        turn, turns: which round it is, of how many; 0 where that is not known.
    """

    lines: tuple[int, ...] = ()
    turn: int = 0
    turns: int = 0

    @property
    def told(self) -> str:
        """In words, "" if there are none."""
        which = f"round {self.turn} of {self.turns}" if self.turn else "one round"
        told = " and ".join(f"line {number}" for number in self.lines)
        if len(self.lines) == 1:
            return f"{told} has no part in {which} of the loop, as it has in the others"
        return f"{told} have no part in {which} of the loop, as they have in the others" if told else ""


def skipped_lines(ran: Sequence[Ran], cured: Iterable[Tensor], words: str = "") -> Skipped:
    """The lines that compute something in the like rounds of a loop, and nothing in that of a cure.

    Args:
        ran: the lines that computed something, in the order in which they ran.
        cured: what is computed otherwise in the pass as it would be right.
        words: the diagnosis; where no line is cured, the first that it names is looked at in every round.

    Example:
        >>> d = Tensor("d", ())
        >>> rounds = [Ran(5), Ran(3), Ran(6), Ran(5), Ran(6), Ran(5, d), Ran(3), Ran(6), Ran(5)]
        >>> skipped_lines(rounds, [d], "line 5: a slope is missing").lines
        (3,)
    """
    busy = [r for r in ran if r.tensor is not None or not r.idle()]
    runs = [[*run] for _, run in itertools.groupby(busy, lambda r: r.line)]  # a line may compute several arrays
    lines = [run[0].line for run in runs]
    places = {r.tensor: k for k, run in enumerate(runs) for r in run if r.tensor is not None}
    for place in (places[tensor] for tensor in cured if tensor in places):
        found = _left_out(lines, lines[place], place)
        if found.lines:
            return found
    told = re.search(r"line (\d+)(?! of the forward)", words)
    if not told:
        return Skipped()
    found = _left_out(lines, int(told[1]))
    return found if found.lines else _itself(lines, int(told[1]))


def _itself(lines: Sequence[int], number: int) -> Skipped:
    """The line itself, where one round of the lines around it leaves it out."""
    how_often = Counter(lines)
    anchors = [line for line, count in how_often.items() if line != number and count == how_often[number] + 1]
    left_out = (_left_out(lines, line) for line in anchors)
    return next((replace(found, lines=(number,)) for found in left_out if number in found.lines), Skipped())


def _left_out(lines: Sequence[int], number: int, place: int | None = None) -> Skipped:
    """What one round lacks of what is in all the rounds that have everything else of it."""
    turns = [k for k, line in enumerate(lines) if line == number]
    rounds = [(a, b, frozenset(lines[a + 1 : b])) for a, b in itertools.pairwise(turns)]
    how_often = Counter(own for _, _, own in rounds)
    for start, end, own in rounds:
        if how_often[own] > 1 or (place is not None and not start <= place <= end):
            continue
        fuller = [every for _, _, every in rounds if own < every]
        missing = sorted(frozenset.intersection(*fuller) - own) if fuller else []
        if 0 < len(missing) <= MOST_SKIPPED:
            in_order = lines.count(missing[0]) + 1 == len(turns)  # each round has one of either, but for this one
            return Skipped(tuple(missing), *((lines[:start].count(missing[0]) + 1, len(turns)) if in_order else ()))
    return Skipped()
