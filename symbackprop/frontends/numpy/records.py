"""Items of a list that are made of several numbers: tuples, lists, dictionaries, and objects of the user's own.

    caches.append({"x": x, "h": h, "rate": 0.5})        {"x": the first array, "h": the second, "rate": 0.5}
    cells.append(cell)                                  an object of the same class, its attributes likewise

What a round of a loop computes differs from item to item and lies in arrays, one for each number of the outline. All
else is the same in every item: what was there before the loop, and what is no symbolic number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from symbackprop.frontends.numpy.state import attributes_of
from symbackprop.frontends.structures import remade


class Varying:
    """Stands in an outline for what differs from item to item."""


class Made(NamedTuple):
    """Stands in an outline for an object of the user's own."""

    kind: type
    attributes: dict[str, Any]


class Same(NamedTuple):
    """Stands in an outline for what is the same in every item."""

    value: Any


NUMBER = Varying()
PLAIN = (int, float, str, bytes, type(None))  # the same in every round: what differs is a stand-in
Outline = Any


def filled(outline: Outline, numbers: Iterator[Any]) -> Any:
    """An item with these numbers."""
    match outline:
        case Varying():
            return next(numbers)
        case Same(value):
            return value
        case Made(kind, attributes):
            made: Any = object.__new__(kind)
            for name, part in attributes.items():
                object.__setattr__(made, name, filled(part, numbers))
            return made
        case dict():
            return {n: filled(part, numbers) for n, part in outline.items()}
    return remade(outline, [filled(part, numbers) for part in outline])


def alike(first: Outline, second: Outline) -> bool:
    """True if items are made in one way."""
    match first, second:
        case Same(a), Same(b):
            return a is b or (type(a) is type(b) and isinstance(a, PLAIN) and a == b)
        case (Varying(), _) | (_, Varying()):
            return first is second
        case Made(a, own), Made(b, other):
            return a is b and alike(own, other)
        case dict(), dict():
            return list(first) == list(second) and all(alike(first[n], second[n]) for n in first)
    plain = isinstance(first, (tuple, list)) and not isinstance(first, (Same, Made))
    return plain and type(first) is type(second) and len(first) == len(second) and all(map(alike, first, second))


class Handed:
    """An item as it was handed to the user's code, which may change it.

    Args:
        when: the loop and its pass, and the place.
    """

    def __init__(self, outline: Outline, numbers: list[Any], when: tuple[Any, ...]) -> None:
        self.value, self.when = filled(outline, iter(numbers)), when
        self._outline, self._numbers = outline, numbers

    @property
    def changed(self) -> bool:
        """Whether it is no longer as it was."""
        return not _is(self.value, self._outline, iter(self._numbers))


def _is(value: Any, outline: Outline, numbers: Iterator[Any]) -> bool:
    match outline:
        case Varying():
            return value is next(numbers)
        case Same(same):
            return value is same
        case Made(kind, attributes):
            return type(value) is kind and _is(attributes_of(value), attributes, numbers)
        case dict():
            return list(value) == list(outline) and all(_is(value[n], outline[n], numbers) for n in outline)
    return len(value) == len(outline) and all(_is(v, o, numbers) for v, o in zip(value, outline, strict=True))


def is_fixed(outline: Outline) -> bool:
    """True for items that cannot be changed: numbers, and tuples of these."""
    match outline:
        case Varying() | Same():
            return True
        case Made():
            return False
        case tuple():
            return all(map(is_fixed, outline))
    return False


class Together:
    """The items of a list: their outline, and for each number in it the array of all items' numbers.

    Args:
        places: those of the items, in a list of which this one is a part.
        handed: items that the user's code may have changed since, by way of the list or any part of it.
    """

    def __init__(self, outline: Outline, arrays: list[Any], places: Any, handed: list[Handed] | None = None) -> None:
        self.outline, self.arrays, self.places = outline, arrays, places
        self.handed: list[Handed] = [] if handed is None else handed

    def part(self, key: slice) -> Together:
        """Some of the items."""
        return Together(self.outline, [a[key] for a in self.arrays], self.places[key], self.handed)


__all__ = ["NUMBER", "PLAIN", "Handed", "Made", "Outline", "Same", "Together", "alike", "filled", "is_fixed"]
