"""What repeats in a long list, block after block, is said once.

Main names: `stretches`, `repeated`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from symbackprop.document.context import joined
from symbackprop.document.model import Block, Code, Display, DisplayedEquality, Paragraph, Symbolic, Text

LONGEST = 400  # of a block
LONG = 30  # lines: a shorter list is shown as it is
NAMED = 6  # names that are told of a block


class Stretch(NamedTuple):
    """`times` blocks of this length, one after another, that look alike; the first begins at `start`."""

    start: int
    length: int
    times: int

    @property
    def end(self) -> int:
        """The place after the last block."""
        return self.start + self.length * self.times

    def block(self, number: int) -> range:
        """The places of one block, the first of which is number 0."""
        first = self.start + number * self.length
        return range(first, first + self.length)


def stretches(looks: Sequence[Hashable]) -> Iterator[Stretch]:
    """The list as stretches in order; what does not repeat is a stretch of one block.

    Args:
        looks: the same for items that look alike.

    Example:
        >>> [tuple(found) for found in stretches("xabababy")]
        [(0, 1, 1), (1, 2, 3), (7, 1, 1)]
    """
    start = place = 0
    while place < len(looks):
        best = max(_repeats(looks, place), key=lambda s: (s.length * (s.times - 1), -s.length), default=None)
        if best is None:
            place += 1
            continue
        if place > start:
            yield Stretch(start, place - start, 1)
        yield best
        start = place = best.end
    if place > start:
        yield Stretch(start, place - start, 1)


def _repeats(looks: Sequence[Hashable], start: int) -> Iterator[Stretch]:
    """The blocks that begin here and come again at once."""
    for length in range(1, min(LONGEST, (len(looks) - start) // 2) + 1):
        block = looks[start : start + length]
        times = 1
        while looks[start + times * length : start + (times + 1) * length] == block:
            times += 1
        if times > 1:
            yield Stretch(start, length, times)


def shown_once(looks: Sequence[Hashable]) -> list[Stretch]:
    """The stretches of a long list; a short one is one stretch."""
    return list(stretches(looks)) if len(looks) > LONG else [Stretch(0, len(looks), 1)] if looks else []


def repeated(
    lines: Sequence[tuple[DisplayedEquality | Symbolic, Text]],
    looks: Sequence[Hashable],
    names: Sequence[Sequence[str]],
) -> Iterator[Block]:
    """Displayed lines, of blocks that repeat the first, with what stands for what in the others.

    Args:
        looks: the same for lines that differ in names alone.
        names: of each line, what a reader knows it by: parameters, gradients.
    """
    for stretch in shown_once(looks):
        yield Display(tuple(lines[k] for k in stretch.block(0)))
        if stretch.times > 1:
            first, *others = (_told(names[k] for k in stretch.block(n)) for n in range(stretch.times))
            yield Paragraph(_again(stretch, first, others))


def _told(names: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(name for each in names for name in each))


def _again(stretch: Stretch, first: Sequence[str], others: Sequence[Sequence[str]]) -> Text:
    """In words: the same 11 more times, with w1_2, b1_2 in the place of w1_1, b1_1; ..."""
    what = "This line comes" if stretch.length == 1 else f"These {stretch.length} lines come"
    times = "once more" if len(others) == 1 else f"{len(others)} more times"
    start: Text = (f"{what} {times}, each time with other tensors of the same shapes",)
    kept = set(first).intersection(*map(set, others))
    first, *others = ([n for n in each if n not in kept] for each in (first, *others))
    if not first or not all(others):
        return (*start, ".")
    shown = [others[0]] if len(others) == 1 else [others[0], others[-1]]
    ways = [_listed(each) for each in shown]
    then: Text = (*ways[0], *((", and at last ", *ways[1]) if len(ways) > 1 else ()))
    return (*start, ": for ", *_listed(first), " there stand ", *then, ".")


def _listed(names: Sequence[str]) -> Text:
    more = (", …",) if len(names) > NAMED else ()
    return (*joined([Code(n) for n in names[:NAMED]], ", "), *more)
