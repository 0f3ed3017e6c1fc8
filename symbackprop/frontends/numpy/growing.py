"""Lists and dictionaries to which each round of a loop over a symbolic range gives one more item.

    hs = [h0]                          hs = {-1: h0}
    for t in range(T):                 for t in range(T):
        hs.append(f(hs[-1], x[t]))         hs[t] = f(hs[t - 1], x[t])

The items lie along the first axis of an array, that of round k at the place k + c, or c - k where it is put in front.
What a round puts in is the object itself until the round ends, and its numbers from then on. An array from before the
loop is refused, since it may change later; of others that do NumPy has other numbers than the equations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Expr,
    Index,
    Number,
    add,
    number,
    substitute,
    where,
)
from symbackprop.frontends.numpy.array import Array, Buffer
from symbackprop.frontends.numpy.operands import as_array, integer_of
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import Session, holds, is_so, minus, reduced
from symbackprop.frontends.numpy.size import Size, SymbolicList, item_of, size
from symbackprop.frontends.numpy.symbolic import class_of, stands_for

Stop = Callable[[str], Exception]
MIXED = "a list whose items have several shapes or types"


class Items:
    """The items of one list or dictionary during a loop.

    Args:
        start: what it holds before the loop, by place.
        index: of the loop.
        stop: makes what asks for a loop of concrete length.
    """

    def __init__(self, session: Session, start: dict[int, Any], index: Index, stop: Stop) -> None:
        self.session, self.index, self.stop = session, index, stop
        self.start = {k: as_array(v) for k, v in start.items()}
        self.parts: tuple[Items, ...] = ()  # of items that are tuples
        self.array: Array | None = None
        self.first: Expr = number(min(start)) if start else ZERO  # the place that is the first of the array
        self.place: Expr | None = None  # that to which a round puts an item
        self.fresh: list[tuple[Expr, Any]] = []
        self.arms = len(session.arms)  # the branches on data around a round

    def begin(self) -> None:
        """A round begins."""
        self.fresh, self.arms = [], len(self.session.arms)
        for part in self.parts:
            part.begin()

    def put(self, place: Expr, value: Any) -> None:
        """The round puts an item to a place."""
        place = reduced(place)
        if len(self.session.arms) > self.arms:
            raise self.stop("a list that gets items in some rounds alone")
        if self.fresh or (self.place is not None and self.place is not place):
            raise self.stop("a list that gets several items in a round")
        self.place = place
        self.fresh.append((place, value))
        if isinstance(value, Array):  # one tensor, whoever reads it in this round or later
            value.buffer.settle(self.session.variable_of(lambda v: v is value))
        if isinstance(value, tuple) and not self.start:
            self.parts = self.parts or tuple(Items(self.session, {}, self.index, self.stop) for _ in value)
            if len(self.parts) != len(value):
                raise self.stop("a list of tuples of several lengths")
            for part, item in zip(self.parts, value, strict=True):
                part.put(place, item)

    def get(self, place: Expr) -> Any:
        """The item at a place."""
        place = reduced(place)
        for there, value in self.fresh:
            if there is place:
                return value
        if self.parts:
            return tuple(part.get(place) for part in self.parts)
        if isinstance(place, Number) and self.array is None and int(place.value) in self.start:
            return self.start[int(place.value)]
        if self.array is None:
            if not self.start:
                raise self.stop("a list that is read before it has items")
            self.array = self._array(next(iter(self.start.values())), self.index.size)
        return self.array[size(minus(place, self.first))]

    def end(self) -> None:
        """A round ends: the numbers of what it put in are entered."""
        for part in self.parts:
            part.end()
        for place, value in self.fresh if not self.parts else ():
            given = as_array(value)
            if not isinstance(value, Array | Size | int | float | np.generic):
                raise self.stop("a list whose items are no numbers")
            rounds = self._rounds(place)
            if self.array is None or reduced(self.array.axes[0]) is not self._length(rounds):
                self.array = self._array(given, rounds)
            alike = self.array.axes[1:] == given.axes and self.array.buffer.dtype == given.buffer.dtype
            if not alike:
                raise self.stop(MIXED)
            OPERATIONS["setitem"](self.array, size(minus(place, self.first)), given)

    def _rounds(self, place: Expr) -> Expr:
        """How far the places reach that the rounds name; the first of them may come before all others."""
        step = minus(substitute(place, {self.index: add(self.index, ONE)}), place)
        ends = [reduced(substitute(place, {self.index: k})) for k in (ZERO, minus(self.index.size, ONE))]
        if step is MINUS_ONE:
            ends.reverse()
        elif step is not ONE:
            raise self.stop("a dictionary with keys that are not those of the rounds, one after another")
        if is_so("<", ends[0], self.first) or not self.start:
            self.first = ends[0]
        if not is_so("<=", self.first, ends[0]):
            raise self.stop("a dictionary with keys that may come before all others")
        return minus(add(ends[1], ONE), self.first)

    def _length(self, rounds: Expr) -> Expr:
        """How many places there are: those of the rounds, and of what is there before."""
        started = minus(number(max(self.start) + 1), self.first) if self.start else ZERO
        if is_so("<=", started, rounds):
            return reduced(rounds)
        if not is_so("<=", rounds, started):
            raise self.stop("a dictionary with keys beyond those of the rounds")
        return started

    def _array(self, like: Array, rounds: Expr) -> Array:
        """The array of all items, with those that are there before the loop."""
        unwritten = self.session.unwritten()
        starts = {k: (v, v.read()) for k, v in self.start.items()}
        for value, _ in starts.values():
            if value.axes != like.axes or value.buffer.dtype != like.buffer.dtype:
                raise self.stop(MIXED)

        def content(indices: tuple[Expr, ...]) -> Expr:
            result: Expr = unwritten
            for k, (_, entries) in starts.items():
                result = where(holds("==", indices[0], minus(number(k), self.first)), entries(indices[1:]), result)
            return result

        buffer = Buffer((self._length(rounds), *like.axes), content, like.buffer.dtype)
        buffer.born = 0  # for the journal of the loop it is there before
        return Array(buffer)

    @property
    def arrays(self) -> list[Array]:
        """The array of all items, or those of the parts of items that are tuples; none while there is nothing."""
        if self.parts:
            return [array for part in self.parts for array in part.arrays]
        return [] if self.array is None else [self.array]

    @property
    def kept(self) -> Any:
        """What is left after the loop: the array of all items, or a tuple of those of their parts; None of nothing."""
        found = tuple(part.kept for part in self.parts) or self.array
        return None if isinstance(found, tuple) and any(f is None for f in found) else found

    def outlived(self, known: Any) -> bool:
        """True if what was put in is an array that was there before the round, and may change after it."""
        if self.parts:
            return any(part.outlived(known) for part in self.parts)
        return any(isinstance(v, Array) and v.buffer in known for _, v in self.fresh)


def _refused(value: Any, name: str) -> Exception:
    stop: Exception = value.items.stop(f"the method {name} of a list, in a loop over a symbolic range,")
    return stop


@stands_for(list, "a list in a loop over a symbolic range", _refused)
class GrowingList:
    """A list during a loop: how many items it has depends on the round."""

    __slots__ = ("after", "before", "front", "items")
    __class__ = class_of(lambda _: [1])

    def __init__(self, items: Items, before: int) -> None:
        self.items, self.before, self.after, self.front = items, before, 0, False

    def begin(self) -> None:
        """A round begins."""
        self.items.begin()
        self.after = 0

    def append(self, value: Any) -> None:
        """One more item."""
        self.items.put(add(number(self.before), self.items.index), value)
        self.after = 1

    def insert(self, place: Any, value: Any) -> None:
        """One more item in front."""
        if place != 0 or self.before:
            raise self.items.stop("an item that is put into the middle of a list")
        self.items.put(minus(self.items.index.size, add(self.items.index, ONE)), value)
        self.after, self.front = 1, True

    def __getitem__(self, key: Any) -> Any:
        place = None if isinstance(key, slice) else integer_of(key)
        if place is None or self.front:
            raise self.items.stop("a part of a list that grows")
        negative = is_so("<", place, ZERO)
        if negative is None:
            raise self.items.stop("a subscript of a list that may be negative")
        length = add(number(self.before + self.after), self.items.index)
        return self.items.get(add(length, place) if negative else place)

    def length(self) -> Any:
        """len() of it."""
        return size(add(number(self.before + self.after), self.items.index))


@stands_for(dict, "a dictionary in a loop over a symbolic range", _refused)
class GrowingDict:
    """A dictionary during a loop, whose keys are whole numbers."""

    __slots__ = ("items",)
    __class__ = class_of(lambda _: {1: 1})

    def __init__(self, items: Items) -> None:
        self.items = items

    def begin(self) -> None:
        """A round begins."""
        self.items.begin()

    def __getitem__(self, key: Any) -> Any:
        return self.items.get(self._place(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.put(self._place(key), value)

    def _place(self, key: Any) -> Expr:
        known = integer_of(key)
        if known is None:
            raise self.items.stop("a dictionary with keys that are no whole numbers")
        return known


def _no_dict(value: Any, name: str) -> Exception:
    return TraceError(f"{name} of a dictionary of symbolic length cannot be traced")


@stands_for(dict, "a dictionary of symbolic length", _no_dict)
class SymbolicDict:
    """A dictionary of numbers, or of arrays of one shape, whose keys are the places of an array's first axis.

    Args:
        first: the key of the first place.
    """

    __slots__ = ("array", "first")
    __class__ = class_of(lambda _: {1: 1})

    def __init__(self, array: Any, first: Expr) -> None:
        self.array, self.first = array, first

    def __getitem__(self, key: Any) -> Any:
        known = integer_of(key)
        if known is None:
            raise TraceError("a dictionary of symbolic length is asked for a key that is no whole number")
        return item_of(self.array, size(minus(known, self.first)))


def growing(session: Session, value: Any, index: Index, stop: Stop) -> GrowingList | GrowingDict | None:
    """A list or a dictionary as one that may grow from round to round; None for anything else."""
    numeric = (Array, Size, int, float, np.generic)
    if type(value) is list and all(isinstance(v, numeric) for v in value):
        return GrowingList(Items(session, dict(enumerate(value)), index, stop), len(value))
    if type(value) is dict and all(type(k) is int and isinstance(v, numeric) for k, v in value.items()):
        return GrowingDict(Items(session, value, index, stop))
    return None


def grown(value: GrowingList | GrowingDict, before: Any) -> Any:
    """What it is after the loop."""
    items = value.items
    kept = items.kept
    if items.place is None or kept is None:
        return before
    first = items.parts[0].first if items.parts else items.first
    return SymbolicList(kept) if isinstance(value, GrowingList) else SymbolicDict(kept, first)


__all__ = ["GrowingDict", "GrowingList", "SymbolicDict", "growing", "grown"]
