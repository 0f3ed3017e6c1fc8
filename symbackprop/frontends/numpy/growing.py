"""Lists and dictionaries to which each round of a loop over a symbolic range gives one more item.

    hs = [h0]                          hs = {-1: h0}
    for t in range(T):                 for t in range(T):
        hs.append(f(hs[-1], x[t]))         hs[t] = f(hs[t - 1], x[t])

The items lie along the first axis of an array, that of round k at the place k + c, or c - k where it is put in front.
What a round puts in is the object itself until the round ends, and its numbers from then on. An array from before the
loop is refused, since it may change later; of others that do NumPy has other numbers than the equations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from symbackprop.frontends.numpy.library import library_of
from symbackprop.frontends.numpy.opaque import NotYetThere
from symbackprop.frontends.numpy.operands import as_array, integer_of
from symbackprop.frontends.numpy.records import NUMBER, PLAIN, Handed, Made, Outline, Same, Together, alike
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.sequences import number_of
from symbackprop.frontends.numpy.session import Session, holds, is_so, minus, reduced
from symbackprop.frontends.numpy.size import Size, Slots, SymbolicList, size
from symbackprop.frontends.numpy.state import attributes_of
from symbackprop.frontends.numpy.symbolic import STANDS_FOR, class_of, stands_for
from symbackprop.frontends.structures import remade

Stop = Callable[[str], Exception]
NUMERIC = (Array, Size, int, float, np.generic)
STRUCTURES = (tuple, list, dict)
CHANGED = "an item of a list that a later round changes"
MIXED = "a list whose items have several shapes or types"


class Items:
    """The items of one list or dictionary during a loop.

    Args:
        start: what it holds before the loop, by place.
        index: of the loop.
        stop: makes what asks for a loop of concrete length.
    """

    def __init__(
        self, session: Session, start: dict[int, Any], index: Index, stop: Stop, there: Callable[[Any], bool]
    ) -> None:
        self.session, self.index, self.stop, self.there = session, index, stop, there
        self.given = start
        self.parts: tuple[Items, ...] = ()  # the numbers of items that are made of several
        self.outline: Outline = None  # and how these are made
        made = {k: self._apart(v, lambda _: False) for k, v in start.items() if is_made(v)}
        if made:
            columns = zip(*(numbers for _, numbers in made.values()), strict=True)
            self._take_apart(next(iter(made.values()))[0], [dict(zip(made, c, strict=True)) for c in columns])
        self.start = {} if made else {k: as_array(v) for k, v in start.items()}
        for value in self.start.values():
            self._settle(value)  # its equation comes before those of the rounds
        self.array: Array | None = None
        self.first: Expr = number(min(start)) if start else ZERO  # the place that is the first of the array
        self.place: Expr | None = None  # that to which a round puts an item
        self.fresh: list[tuple[Expr, Any]] = []
        self.handed: list[Handed] = []  # items of earlier rounds that this one reads
        self.arms = len(session.arms)  # the branches on data around a round
        self.missed = False  # whether the round has read an item before it was known what items are
        self.version = 0  # of the array as the round begins

    def _apart(self, value: Any, there: Callable[[Any], bool]) -> tuple[Outline, list[Any]]:
        def is_number(part: Any) -> bool:
            if isinstance(part, _Grows):
                raise self.stop("a list that grows, and is held by an item of another one")
            return isinstance(part, NUMERIC) and not isinstance(part, PLAIN)

        return taken_apart(value, is_number, there)

    def _take_apart(self, outline: Outline, starts: list[dict[int, Any]]) -> None:
        """Keep the numbers of items by themselves."""
        self.outline = outline
        self.parts = tuple(Items(self.session, start, self.index, self.stop, self.there) for start in starts)

    def begin(self) -> None:
        """A round begins."""
        self.fresh, self.handed, self.arms, self.missed = [], [], len(self.session.arms), False
        self.version = 0 if self.array is None else self.array.buffer.version
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
        for item in value if isinstance(value, tuple) else (value,):
            self._settle(item)

    def _settle(self, value: Any) -> None:
        """Let an array be one tensor, whoever reads it in this round or later."""
        if isinstance(value, Array):
            if value.absent is not None:
                raise self.stop("a list that gets None in the first round, and numbers later")
            value.buffer.settle(self.session.variable_of(lambda v: v is value))

    def get(self, place: Expr) -> Any:
        """The item at a place."""
        place = reduced(place)
        for there, value in self.fresh:
            if there is place:
                return value
        if self.parts:
            self.handed.append(Handed(self.outline, [part.get(place) for part in self.parts], (place,)))
            return self.handed[-1].value
        if isinstance(place, Number) and self.array is None and int(place.value) in self.given:
            return self.given[int(place.value)]
        if self.array is None:
            if not self.start and len(self.session.arms) > self.arms:
                self.missed = True
                return NotYetThere("a list that is read before it has items", None)
            if not self.start:
                raise self.stop("a list that is read before it has items")
            self.array = self._array(next(iter(self.start.values())), self.index.size)
        return self.array[size(minus(place, self.first))]

    def end(self) -> None:
        """A round ends: the numbers of what it put in are entered."""
        if any(h.changed for h in self.handed) or (self.array is not None and self.array.buffer.version > self.version):
            raise self.stop(CHANGED)
        for place, value in self.fresh if not self.start else ():
            if is_made(value):
                outline, numbers = self._apart(value, self.there)
                if not self.given and not (self.parts and alike(outline, self.outline)):
                    self._take_apart(outline, [{} for _ in numbers])
                if not self.parts or not alike(outline, self.outline):
                    raise self.stop("a list whose items are made in several ways")
                for part, item in zip(self.parts, numbers, strict=True):
                    part.put(place, item)
        for part in self.parts:
            part.end()
        for place, value in self.fresh if not self.parts else ():
            given = as_array(value)
            if not isinstance(value, NUMERIC):
                raise self.stop("a list whose items are no numbers")
            rounds = self._rounds(place)
            if self.array is None or reduced(self.array.axes[0]) is not self._length(rounds):
                self.array = self._array(given, rounds)
            fits = self.array.axes[1:] == given.axes and self.array.buffer.dtype == given.buffer.dtype
            if not fits:
                raise self.stop(MIXED)
            OPERATIONS["setitem"](self.array, size(minus(place, self.first)), given)
        if self.missed and self.array is None and not self.parts:  # else there is another pass, which reads the item
            raise self.stop("a list that is read before it has items")

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
        loop = next(loop for loop in self.session.loops if loop.index is self.index)
        buffer.born = loop.journal.start - 1  # for the journal of that loop it is there before, for those around it not
        return Array(buffer)

    @property
    def arrays(self) -> list[Array]:
        """The array of all items, or those of the parts of items that are tuples; none while there is nothing."""
        if self.parts:
            return [array for part in self.parts for array in part.arrays]
        return [] if self.array is None else [self.array]

    def leaves(self) -> list[Items]:
        """The lists of numbers of which it consists: itself, or those of the parts of items."""
        return [leaf for part in self.parts for leaf in part.leaves()] if self.parts else [self]

    def held(self) -> list[Array]:
        """The arrays that are items, as the user's code may hold them elsewhere too."""
        return [v for v in (*self.start.values(), *(v for _, v in self.fresh)) if isinstance(v, Array)]

    @property
    def kept(self) -> Any:
        """What is left after the loop: the array of all items, or those of their parts; None of none."""
        if not self.parts:
            return self.array
        found = [part.kept for part in self.parts]
        if any(f is None for f in found):
            return None
        return Together(self.outline, found, OPERATIONS["arange"](size(found[0].axes[0])))

    def outlived(self, known: Any) -> bool:
        """True if what was put in is an array that was there before the round, and may change after it."""
        if self.parts:
            return any(part.outlived(known) for part in self.parts)
        return any(isinstance(v, Array) and not v.scalar and v.buffer in known for _, v in self.fresh)


def _refused(value: Any, name: str) -> Exception:
    stop: Exception = value.entries.stop(f"the method {name} of a list, in a loop over a symbolic range,")
    return stop


class _Grows:
    """What lists and dictionaries that may grow have in common.

    One that an object holds is not known to grow until a round gives it an item: as long it answers as the list that
    it is before the loop, and the round is run again if that was not so.

    Args:
        known: that it grows.
    """

    __slots__ = ("asked", "entries", "known", "other", "written")

    def __init__(self, entries: Items, known: bool) -> None:
        self.entries, self.known = entries, known
        self.asked = False  # as one that does not grow
        self.other = False  # as no list is asked that does not grow
        self.written: dict[Any, Any] = {}  # what is put in the place of items that are there before the loop

    def begin(self) -> None:
        """A round begins."""
        self.entries.begin()
        self.asked = self.other = False
        self.written = {}

    @property
    def grew(self) -> bool:
        """Whether a round has given it an item."""
        return self.entries.place is not None

    def now_known(self) -> bool | None:
        """What the round has shown: True if it grows and this was known; False if not, and it must run again; None if
        it does not grow, and must run again with the list itself."""
        if not self.grew:
            return True if self.known or not (self.written or self.other) else None
        told = self.known or not self.asked
        self.known = True
        return told and not self.written

    def _plain(self) -> dict[Any, Any]:
        """What it holds before the loop; asked of one that is known to grow, that is no answer."""
        if self.known or self.grew:
            raise self.entries.stop("the items of a list that grows in a loop over a symbolic range")
        self.asked = True
        return {**self.entries.given, **self.written}


@stands_for(list, "a list in a loop over a symbolic range", _refused)
class GrowingList(_Grows):
    """A list during a loop: how many items it has depends on the round."""

    __slots__ = ("after", "before", "front")
    __class__ = class_of(lambda _: [1])

    def __init__(self, entries: Items, before: int, known: bool) -> None:
        super().__init__(entries, known)
        self.before, self.after, self.front = before, 0, False

    def begin(self) -> None:
        """A round begins."""
        super().begin()
        self.after = 0

    def append(self, value: Any) -> None:
        """One more item."""
        self.entries.put(add(number(self.before), self.entries.index), value)
        self.after = 1

    def insert(self, place: Any, value: Any) -> None:
        """One more item in front."""
        if place != 0 or self.before:
            raise self.entries.stop("an item that is put into the middle of a list")
        self.entries.put(minus(self.entries.index.size, add(self.entries.index, ONE)), value)
        self.after, self.front = 1, True

    def __getitem__(self, key: Any) -> Any:
        place = None if isinstance(key, slice) else integer_of(key)
        if not self.known and not self.grew and (isinstance(place, Number) or isinstance(key, slice)):
            return list(self._plain().values())[key]
        if place is None or self.front:
            raise self.entries.stop("a part of a list that grows")
        negative = is_so("<", place, ZERO)
        if negative is None:
            raise self.entries.stop("a subscript of a list that may be negative")
        self.other = True
        length = add(number(self.before + self.after), self.entries.index)
        return self.entries.get(add(length, place) if negative else place)

    def __setitem__(self, key: Any, value: Any) -> None:
        place = None if isinstance(key, slice) else integer_of(key)
        if not isinstance(place, Number) or not -self.before <= place.value < self.before:
            raise self.entries.stop("an item that is put into the place of another one")
        held, k = self._plain(), int(place.value) % self.before
        if held[k] is not value:
            self.written[k] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self._plain().values())

    def length(self) -> Any:
        """len() of it."""
        if not self.known and not self.grew:
            return len(self._plain())
        return number_of(reduced(add(number(self.before + self.after), self.entries.index)))


@stands_for(dict, "a dictionary in a loop over a symbolic range", _refused)
class GrowingDict(_Grows):
    """A dictionary during a loop, whose keys are whole numbers."""

    __slots__ = ()
    __class__ = class_of(lambda _: {1: 1})

    def __getitem__(self, key: Any) -> Any:
        if not self.known and not self.grew and type(key) in (int, str):
            return self._plain()[key]
        self.other = True
        return self.entries.get(self._place(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        if not self.known and type(key) in (int, str):
            if self._plain().get(key) is not value:
                self.written[key] = value
            return
        self.entries.put(self._place(key), value)

    def __contains__(self, key: Any) -> bool:
        return key in self._plain()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._plain())

    def get(self, key: Any, default: Any = None) -> Any:
        """The item at a key, or something else."""
        return self._plain().get(key, default)

    def keys(self) -> Any:
        """Its keys."""
        return self._plain().keys()

    def values(self) -> Any:
        """Its items."""
        return self._plain().values()

    def items(self) -> Any:
        """Its keys and items."""
        return self._plain().items()

    def length(self) -> Any:
        """len() of it."""
        return len(self._plain())

    def _place(self, key: Any) -> Expr:
        known = integer_of(key)
        if known is None:
            raise self.entries.stop("a dictionary with keys that are no whole numbers")
        return known


@stands_for(list, "a list in a loop over a symbolic range", _refused)
class GrowingSlots(GrowingDict):
    """A list that has its length, and is filled place by place: [None] * n.

    Args:
        whole: how long it is.
    """

    __slots__ = ("whole",)
    __class__ = class_of(lambda _: [1])

    def __init__(self, entries: Items, whole: Expr) -> None:
        super().__init__(entries, known=True)
        self.whole = whole

    def length(self) -> Any:
        """len() of it."""
        return size(self.whole)

    def _place(self, key: Any) -> Expr:
        known = super()._place(key)
        negative = is_so("<", known, ZERO)
        if negative is None:
            raise self.entries.stop("a subscript of a list that may be negative")
        return reduced(add(self.whole, known)) if negative else known


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

    def __init__(self, array: SymbolicList, first: Expr) -> None:
        self.array, self.first = array, first

    def __getitem__(self, key: Any) -> Any:
        known = integer_of(key)
        if known is None:
            raise TraceError("a dictionary of symbolic length is asked for a key that is no whole number")
        return self.array[size(minus(known, self.first))]


def taken_apart(
    value: Any, is_number: Callable[[Any], bool], there: Callable[[Any], bool]
) -> tuple[Outline, list[Any]]:
    """An item as its outline and the numbers in it.

    Args:
        is_number: whether a value may differ from item to item.
        there: whether it was there before the loop.
    """
    numbers: list[Any] = []

    def outline(part: Any, inside: tuple[int, ...]) -> Outline:
        if id(part) in inside or not (is_number(part) or is_made(part)) or (inside and there(part)):
            return Same(part)
        if is_number(part):
            numbers.append(part)
            return NUMBER
        around = (*inside, id(part))
        if isinstance(part, dict):
            return {n: outline(v, around) for n, v in part.items()}
        if isinstance(part, (tuple, list)):
            return remade(part, [outline(v, around) for v in part])
        return Made(type(part), {n: outline(v, around) for n, v in attributes_of(part).items()})

    return outline(value, ()), numbers


def mutable_parts(value: Any, there: Callable[[Any], bool]) -> list[int]:
    """The ids of the lists, dictionaries and objects of which an item consists, as often as it holds them.

    Args:
        there: whether it was there before the loop.
    """
    found: list[int] = []

    def visit(part: Any, inside: tuple[int, ...]) -> None:
        if id(part) in inside or not is_made(part) or (inside and there(part)):
            return
        held = part if isinstance(part, (tuple, list)) else part.values() if isinstance(part, dict) else None
        if not isinstance(part, tuple):
            found.append(id(part))
        for inner in attributes_of(part).values() if held is None else held:
            visit(inner, (*inside, id(part)))

    visit(value, ())
    return found


def is_made(value: Any) -> bool:
    """True for a tuple, a list, a dictionary, and for an object of the user's own."""
    kind = type(value)
    if kind in (list, dict) or isinstance(value, tuple):
        return True
    of_user = not (isinstance(value, (type, list, dict, set, *PLAIN)) or kind in STANDS_FOR)
    return of_user and not library_of(kind.__module__)


def growing(
    session: Session, value: Any, index: Index, stop: Stop, there: Callable[[Any], bool], known: bool
) -> GrowingList | GrowingDict | None:
    """A list or a dictionary as one that may grow from round to round; None for anything else.

    Args:
        there: whether a value was there before the loop.
        known: that it grows.
    """
    if type(value) is Slots:
        return GrowingSlots(Items(session, value.held, index, stop, there), value.length)
    if type(value) not in (list, dict) or not all(type(k) is int for k in (value if type(value) is dict else ())):
        return None
    start = value if type(value) is dict else dict(enumerate(value))
    if not all(isinstance(v, NUMERIC) for v in start.values()):
        outlines = [taken_apart(v, lambda leaf: isinstance(leaf, NUMERIC), lambda _: False)[0] for v in start.values()]
        if not all(type(v) in STRUCTURES for v in start.values()) or not all(alike(o, outlines[0]) for o in outlines):
            return None
    items = Items(session, start, index, stop, there)
    return GrowingList(items, len(value), known) if type(value) is list else GrowingDict(items, known)


def grown(value: GrowingList | GrowingDict, before: Any) -> Any:
    """What it is after the loop."""
    items = value.entries
    kept = items.kept
    if items.place is None or kept is None:
        return before
    first = items.parts[0].first if items.parts else items.first
    found = SymbolicList(kept)
    if isinstance(value, GrowingSlots):
        if first is not ZERO or reduced(found.length) is not reduced(value.whole):
            raise items.stop("a list that is filled in some places alone")
        return found
    return found if isinstance(value, GrowingList) else SymbolicDict(found, first)


__all__ = ["CHANGED", "GrowingDict", "GrowingList", "SymbolicDict", "growing", "grown", "mutable_parts"]
