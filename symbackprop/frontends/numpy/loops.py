"""Loops over a symbolic range whose rounds do not depend on each other, but for what they add up.

The body runs with a symbolic index in place of a number. Whatever it changes holds an unknown number before the round
(`carried`): the body is run again until no more is found to change. What a place holds after the round says what it
holds after the loop: its old number and something more is a sum over the rounds; what is written in one round alone, at
the place that the round's index names, is read off at that index; what does not depend on rounds before is that of the
last. Anything else asks for a loop of concrete length.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from symbackprop.errors import IndexNotationError, TraceError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Number,
    Quotient,
    Remainder,
    Tensor,
    Where,
    add,
    contraction,
    entries_once,
    extremum,
    free_indices,
    fresh,
    multiply,
    nodes_once,
    number,
    rewrite,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.program import symbols
from symbackprop.expression.recurrence import blocks
from symbackprop.expression.sizes import decided
from symbackprop.frontends.numpy.array import SHARED, Array, Buffer, Journal, array, has_entry
from symbackprop.frontends.numpy.dtypes import joint_type
from symbackprop.frontends.numpy.elementwise import integers_fit
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, size_symbols
from symbackprop.frontends.numpy.growing import CHANGED, GrowingDict, GrowingList, growing, grown, mutable_parts
from symbackprop.frontends.numpy.growing import Items as Entries
from symbackprop.frontends.numpy.heap import Heap, Items, put
from symbackprop.frontends.numpy.infinity import MINUS_INFINITY, is_infinite
from symbackprop.frontends.numpy.opaque import Unsettled
from symbackprop.frontends.numpy.operands import as_array, widened
from symbackprop.frontends.numpy.recurrences import (
    Counter,
    Found,
    Growing,
    Scattered,
    State,
    define_growing,
    define_scattered,
    define_state,
    new_growing,
    new_scattered,
    new_state,
    reduced_places,
)
from symbackprop.frontends.numpy.round_values import (
    Extreme,
    added_to,
    as_latched,
    as_running,
    cases,
    gathered,
    increment,
    reads,
)
from symbackprop.frontends.numpy.sequences import (
    index_name,
    items_of_symbolic_length,
    number_of,
)
from symbackprop.frontends.numpy.session import (
    Content,
    axis_indices,
    current,
    defined_as,
    entry,
    guarded,
    holds,
    is_so,
    minus,
    places_of,
    reduced,
    value_of,
)
from symbackprop.frontends.numpy.size import Size, Slots, SymbolicItems

MOST_PASSES = 8
GROWS = "an object that grows or shrinks in a loop over a symbolic range"
ANOTHER = "a list that grows in some rounds, and is another one in others"
_UNSET = object()
_NUMERIC = (Array, Size, int, float, np.generic)


class Loop:
    """One `for` as it runs."""

    def __init__(self, items: Any, names: tuple[str, ...], simple: bool, targets: tuple[str, ...]) -> None:
        self.items, self.names, self.targets, self.session = items, names, targets, current()
        found = items_of_symbolic_length(items) if simple else None
        self.merges = found is not None
        if found is not None:
            self.symbolic = found
            self._held: Expr = ONE
            most = self._over_rounds(found.length, largest=True)
            self.index = fresh(index_name(self.session), most)
            if most is not found.length:
                self._make_even(found)

    def _over_rounds(self, value: Expr, *, largest: bool) -> Expr:
        """The largest, or smallest, that a number is in any round of the loops around."""
        for outer in (loop.index for loop in self.session.loops):
            slope = minus(substitute(value, {outer: add(outer, ONE)}), value)
            if slope is ZERO or free_indices(slope):
                continue
            rises = is_so("<", ZERO, slope)
            if rises is not None:
                value = reduced(substitute(value, {outer: minus(outer.size, ONE) if rises is largest else ZERO}))
        return value

    def _make_even(self, items: SymbolicItems) -> None:
        """Go through as many rounds as there are at most, where their number depends on the round of a loop around, as
        that of range(i) does; what a round too many would do is left out (`inside`)."""
        if items.start is None or items.start is (low := self._over_rounds(items.start, largest=False)):
            self._held = holds("<", self.index, items.length)
            return
        low = ZERO if is_so("<=", ZERO, low) else low  # the places of an axis, so that sums over parts of it meet
        high = self._over_rounds(reduced(add(items.start, items.length)), largest=True)
        self.index = fresh(self.index.name, minus(high, low))
        place = reduced(add(low, self.index))
        self.symbolic = SymbolicItems(self.index.size, lambda i: number_of(reduced(add(low, i))))
        self._held = multiply(
            holds("<=", items.start, place), holds("<", place, reduced(add(items.start, items.length)))
        )

    @guarded
    def inside(self) -> Any:
        """Whether the loop has this round."""
        if not self.merges or self._held is ONE:
            return True
        return array((), lambda _: self._held, "bool")

    def __iter__(self) -> Iterator[Any]:
        return _Guarded(self._passes()) if self.merges else iter(self.items)

    @guarded
    def join(self) -> bool:
        """Whether names must be given what they hold after the loop."""
        return self.merges

    @guarded
    def before(self, name: str) -> Any:
        """What a name holds before a round."""
        value = self.start.get(name, _UNSET)
        return self._unsettled(name) if value is _UNSET else value

    @guarded
    def after(self, name: str) -> Any:
        """What a name holds after the loop."""
        return self.final[name]

    def must_not_be_left(self, word: str) -> None:
        """Refuse a jump out of the loop: how many rounds there are then depends on more than sizes."""
        raise self.stop(f"{word!r} in a loop over a symbolic range")

    def stop(self, why: str = "a loop over a symbolic range, in which rounds depend on each other") -> Exception:
        """What asks for a loop of concrete length."""
        return NeedsConcreteSizes(why, size_symbols(self.index.size), where=self.place)

    # --- the passes

    def _passes(self) -> Iterator[Any]:
        session = self.session
        self.place, self.innermost = session.place(), self.index
        if any(free_indices(self.index.size)):
            raise self.stop("a loop whose length depends on the round of another")
        self.heap, self.origin = Heap(session), self._locals()
        self.carried: dict[Any, tuple[Tensor, Array]] = {}  # name, (object, key) or buffer -> the unknown number
        self.lost: set[Any] = set()  # names and (object, key) that hold something else in each round, but no number
        self.absent: set[Any] = set()  # those that are None before the loop, and numbers after each round
        self.journal = Journal(self.place, settling=True)
        self.growing: dict[Any, GrowingList | GrowingDict] = {}  # by name, or (object, key)
        self.plain: set[int] = set()  # lists that an object holds, and that do not grow
        self._find_growing()
        self.found: dict[Any, Found] = {}  # for a place that is carried: what a round finds there, once that is known
        self.made: dict[tuple[Any, int], Array] = {}  # the arrays of the items of lists
        self.stand_ins: dict[Any, Array] = {}  # by place: what a round finds there
        self.origins: dict[Any, set[Any]] = {}  # by place: what that may be an item or a view of
        self.doubted: set[Buffer] = set()  # from before the loop: some round changes an array that may lie there
        memory = session.memory()
        for _ in range(MOST_PASSES):
            self._prepare()
            session.journals.append(self.journal)
            session.loops.append(self)
            yield self.symbolic.item(self.index)
            for items in self._all_growing():
                items.entries.end()
            self._must_lie_in_one_list()
            if session.loops[-1] is not self or session.journals.pop() is not self.journal:
                raise self.stop("a loop that is left by an exception")
            names, objects = self._locals(), self.heap.now()
            self._must_not_change_items()
            found = self._found_to_grow(objects)
            if found is not None:
                self._undo(objects, memory)
                if not all(self._let_grow(value, known=True) for value in found):
                    raise self.stop(GROWS)
                memory = session.memory()
                continue
            (changed, lost), written = self._changed(names, objects), self._written()
            complete = not self._new(changed) and lost <= self.lost and not written and not self._arrived()
            complete &= not self._shares_more(names, objects)
            needed = {} if self.found or not complete else self._needed(names, objects)
            if complete and not needed:
                self._must_be_there(names, objects)
                self._close(names, objects)
                session.loops.pop()
                self._make_sure_of_order()
                return
            self._undo(objects, memory)
            if complete:
                self.found = {place: self._finding(place, value) for place, value in needed.items()}
                continue
            for place, (old, dtype, weak) in changed.items():
                kept = Array(Buffer(old.axes, old.read(), dtype), scalar=not old.axes)
                kept.buffer.weak, kept.may_be_number = weak, old.may_be_number
                self.carried[place] = (self._unknown(old.axes, kept.kind, kept.buffer.content), kept)
            self.lost |= lost
            for buffer in written:
                self.carried[buffer] = (self._unknown(buffer.shape, buffer.kind, buffer.content), Array(buffer))
            memory = session.memory()  # with the equations of what was read just now: it was there before the loop
        raise self.stop()

    def _undo(self, objects: Mapping[int, Items], memory: tuple[Any, ...]) -> None:
        """Let everything be as it was before the round."""
        self.session.loops.pop()
        self.heap.restore(dict(objects))
        for buffer, state in self.journal.before.items():
            buffer.restore(state)
        self.session.recall(memory)

    def _find_growing(self) -> None:
        """The lists and dictionaries that the loop may give items to: those of which its own lines say so, and those
        that an object holds, as long as they are short."""
        self.referred, self.there = self.heap.references(self.names)
        for name in self.names:
            value = self.origin.get(name)
            self._let_grow(value, known=type(value) is list and not value)
        for held in list(self.heap.before.values()):
            for value in held.values():
                if type(value) is Slots or (type(value) in (list, dict) and len(value) <= 1):
                    self._let_grow(value, known=False)

    def _let_grow(self, value: Any, *, known: bool) -> bool:
        """Put a list or a dictionary that may grow into all places that hold this one; False where that cannot be."""
        may_grow = type(value) in (list, dict, Slots) and id(value) not in self.plain
        places = self.referred.get(id(value)) if may_grow else None
        made = growing(self.session, value, self.index, self.stop, self._was_there, known) if places else None
        if places and made is not None:
            self.growing |= dict.fromkeys(places, made)
        return made is not None

    def _was_there(self, value: Any) -> bool:
        """True for what the user's code can reach before the loop."""
        return id(value) in self.there

    def _all_growing(self) -> list[GrowingList | GrowingDict]:
        return list({id(g): g for g in self.growing.values()}.values())

    def _must_lie_in_one_list(self) -> None:
        """Refuse an object that a round puts into several lists: what is changed by way of one shows in the others."""
        items = [v for g in self._all_growing() for _, v in g.entries.fresh]
        put_in = [part for v in items for part in mutable_parts(v, self._was_there)]
        if len(set(put_in)) < len(put_in):
            raise self.stop("an object that is put into lists several times")

    # --- arrays that share their memory

    def _leaves(self) -> list[Entries]:
        """The lists of numbers that grow."""
        return [leaf for g in self._all_growing() if g.grew for leaf in g.entries.leaves()]

    def _memory(self) -> None:
        """Note what the arrays of this round may be: `reached` tells it of their buffers."""
        self.reached: dict[Buffer, set[Any]] = {a.buffer: self.origins[p] for p, a in self.stand_ins.items()}
        for leaf in self._leaves():
            for held in (*leaf.held(), *leaf.arrays):
                for buffer in held.memory():
                    self.reached[buffer] = self.reached.get(buffer, set()) | {leaf}

    def _origins(self, value: Any) -> set[Any]:
        """What a value may be: an item of lists that grow, or a view of some memory."""
        found: set[Any] = set()
        left: list[Any] = value.memory() if isinstance(value, Array) else []
        while left:
            origin = left.pop()
            if origin not in found:
                found.add(origin)
                left.extend(self.reached.get(origin, ()))
        return found

    def _must_not_change_items(self) -> None:
        """Refuse rounds that change what is an item since an earlier round, or since before the loop."""
        self._memory()
        changed = [a for a in self.stand_ins.values() if a.buffer.version or a.buffer.doubt]
        memory = {origin for a in changed for origin in self._origins(a)}
        self.doubts = {m for m in memory if isinstance(m, Buffer) and m.born < self.journal.start}
        self.doubts |= {b for b, state in self.journal.before.items() if b.doubt and not state["doubt"]}
        known = self.journal.before.items()
        rewritten = {b for b, state in known if b.version != state["version"]} | self.doubts
        held = [origin for leaf in self._leaves() for a in leaf.held() for origin in self._origins(a)]
        if any(isinstance(m, Entries) for m in memory) or any(m in rewritten for m in held):
            raise self.stop(CHANGED)

    def _shares_more(self, names: Items, objects: Mapping[int, Items]) -> bool:
        """Whether a round has shown that it may find an item of a list, or memory from before the loop, where this was
        not known of it."""
        new = self.doubts - self.doubted
        self.doubted |= new
        places = [p for p in self.carried if not isinstance(p, Buffer)]
        for place in places:
            known = self.origins.setdefault(place, set())
            origins = self._origins(self._original(place)) | self._origins(self._now(place, names, objects))
            more = {o for o in origins if isinstance(o, Entries) or o.born < self.journal.start} - known
            known |= more
            new |= more
        return bool(new)

    def _share(self, result: Any, origins: set[Any]) -> None:
        """Note what else may lie in the memory of an array, after the loop."""
        if isinstance(result, Array) and not result.scalar:
            before = [o for o in origins if isinstance(o, Buffer) and o.born < self.journal.start]
            others = [a.buffer for a, theirs in self.sharing if theirs & origins]
            shared = dict.fromkeys(b for b in (*before, *others) if b is not result.buffer)
            result.shared = tuple((b, b.version) for b in shared)
            self.sharing.append((result, origins))

    def _found_to_grow(self, objects: Mapping[int, Items]) -> list[Any] | None:
        """The lists that a round has given items to, and that were not taken for such; None if all is as it was taken
        to be."""
        found, again = [], False
        for key, items in objects.items():
            value = self.heap.objects[key]
            if type(value) is list and len(items) > len(self.heap.before[key]):
                found.append(value)
        for grows in self._all_growing():
            shown = grows.now_known()
            if shown is None:
                gone = [place for place, g in self.growing.items() if g is grows]
                self.plain.add(id(self._original(gone[0])))
                for place in gone:
                    del self.growing[place]
            again |= not shown
        return found if found or again else None

    def _original(self, place: Any) -> Any:
        return self.origin[place] if isinstance(place, str) else self.heap.before[place[0]][place[1]]

    def _now(self, place: Any, names: Items, objects: Mapping[int, Items]) -> Any:
        """What a name, or a place of an object, holds after the round."""
        return names.get(place) if isinstance(place, str) else objects.get(place[0], self._held_by(place[0]))[place[1]]

    def _arrived(self) -> bool:
        """True if the array of a list was made in this round: the next one writes to it."""
        made = {(name, k): array for name, g in self.growing.items() for k, array in enumerate(g.entries.arrays)}
        new = any(array is not self.made.get(place) for place, array in made.items())
        self.made = made
        for name in dict.fromkeys(name for name, _ in made):
            if self.growing[name].entries.outlived(self.journal.before.keys()):
                shown = name if isinstance(name, str) else name[1]
                raise self.stop(f"an array that is put into {shown} and may change afterwards")
        return new

    def _locals(self) -> Items:
        frame = self.session.frame()
        held = frame.f_locals if frame is not None else {}
        return {n: held[n] for n in self.names if n in held}

    def _prepare(self) -> None:
        """Put unknown numbers where a round finds what the rounds before have left."""
        self.session.passes += 1
        self.start: Items = dict(self.origin)
        self.held: dict[int, Items] = {}
        for place, grows in self.growing.items():
            self._hold(place, grows)
        self.stand_ins = {}
        for place, (tensor, old) in self.carried.items():
            content = self._as_found_by_name(place) if place in self.found else entry(tensor)
            if isinstance(place, Buffer):
                place.changes()
                place.content = place.unsettled = content
                place.settled, place.uses = True, 0
                place.version += 1  # rounds before have written it
                continue
            unknown = Array(Buffer(old.axes, content, old.dtype), scalar=not old.axes)
            unknown.buffer.weak, unknown.buffer.settled = old.buffer.weak, True
            unknown.may_be_number = old.may_be_number
            unknown.absent = holds("==", self.index, ZERO) if place in self.absent else None
            self._hold(place, unknown)
            self.stand_ins[place] = unknown
            self.origins.setdefault(place, set())
        for buffer in self.doubted:
            self.journal.note(buffer)
            buffer.changes()
            buffer.doubt = SHARED
        for grows in self._all_growing():
            grows.begin()
        for place in self.lost:
            self._hold(place, self._unsettled(place if isinstance(place, str) else str(place[1])))
        for key, held in self.held.items():
            put(self.heap.objects[key], held)

    def _as_found_by_name(self, place: Any) -> Content:
        """What a round finds at such a place; what rounds before have added to what it reads gets a name."""
        found = self.found[place]
        if not isinstance(found, Scattered) or (axis := found.axis) is None:
            return found.found
        found.named.clear()

        def content(indices: tuple[Expr, ...]) -> Expr:
            value, at = found.found(indices), reduced(indices[axis])
            known = found.named.pop(at, None)
            if known is not None and known[0] in self.session.values:  # it may have been in a pass that was undone
                found.named[at] = known
                return value
            value = found.found(indices)
            if free_indices(at) != {self.index}:
                return value

            def row(rest: tuple[Expr, ...]) -> Expr:
                return found.found((*rest[:axis], at, *rest[axis:]))

            shape = tuple(n for k, n in enumerate(found.unknown.shape) if k != axis)
            whole = row(places_of(axis_indices(shape)))
            if isinstance(whole, Entry) or self.session.is_carried(whole):
                return value
            hint = f"{self._name_of(place)}_found"
            tensor = self.session.define(shape, row, found.unknown.kind, None, self.session.line(), hint=hint)
            found.named[at] = tensor, self.session.rounds.get(tensor, ())
            return found.found(indices)

        return content

    def _hold(self, place: Any, value: Any) -> None:
        """Let a name, or a place of an object, hold this before the round."""
        if isinstance(place, str):
            self.start[place] = value
        else:
            key, name = place
            self.held.setdefault(key, dict(self.heap.before[key]))[name] = value

    def _changed(
        self, names: Items, objects: Mapping[int, Items]
    ) -> tuple[dict[Any, tuple[Array, Any, bool]], set[Any]]:
        """What names and objects hold that a round changes: numbers, as (the number before the loop, its type, weak),
        and the places of all else, such as None that becomes a number: no one value stands for what they hold."""
        found: dict[Any, tuple[Any, Any]] = {}
        for name, value in names.items():
            if name in self.growing and value is not self.growing[name]:
                raise self.stop(ANOTHER)
            if value is not self.start.get(name, _UNSET) and name in self.origin:
                found[name] = (self.origin[name], value)
        for key, items in objects.items():
            before = self.heap.before[key]
            if items.keys() != before.keys():  # `in` and `hasattr` would answer otherwise in the first round
                raise self.stop(GROWS)
            for k, value in items.items():
                if (key, k) in self.growing and value is not self.growing[key, k]:
                    raise self.stop(ANOTHER)
                if value is not self.held.get(key, before)[k]:
                    found[key, k] = (before[k], value)
        result, lost = {}, set(found)
        for place, (old, value) in found.items():
            if old is None and isinstance(value, Array) and is_so("<=", ONE, self.index.size):
                self.absent.add(place)
                old = array(value.axes, lambda _: ZERO, value.dtype)  # nothing reads it: `_must_be_there`
            if isinstance(old, _NUMERIC) and isinstance(value, _NUMERIC):
                b = as_array(value)
                a = widened(as_array(old), b)
                if a.axes == b.axes and (place not in self.carried or self.carried[place][0].shape == b.axes):
                    dtype = joint_type((a.dtype, a.buffer.weak), (b.dtype, b.buffer.weak))
                    result[place] = (a, dtype, a.buffer.weak and b.buffer.weak)
                    lost.discard(place)
        return result, lost

    def _new(self, changed: Mapping[Any, tuple[Array, Any, bool]]) -> bool:
        """True unless all of this is carried already, with its type."""
        return any(
            place not in self.carried or (k := self.carried[place][1]).dtype != dtype or k.buffer.weak != weak
            for place, (_, dtype, weak) in changed.items()
        )

    def _written(self) -> list[Buffer]:
        """The arrays that a round writes, as far as they are not carried yet."""
        known = self.journal.before.items()
        return [b for b, state in known if b.version != state["version"] and b not in self.carried]

    def _unknown(self, shape: tuple[Expr, ...], kind: str, before: Content) -> Tensor:
        self.session.unknowns += 1
        tensor = Tensor(f"carried {self.session.unknowns}", shape, "integer" if kind == "integer" else "real")
        self.session.carried.add(tensor)
        self.session.values[tensor] = before(axis_indices(shape))
        return tensor

    # --- after the loop

    def _must_be_there(self, names: Items, objects: Mapping[int, Items]) -> None:
        """Refuse a first round that leaves of None what there was before: it may be None in later rounds as well."""
        states = {f.tensor if isinstance(f := self.found.get(p), State) else self.carried[p][0] for p in self.absent}
        for place in self.carried if states else ():
            content, shape = self._left(place, names, objects)
            if self._reads(substitute(content(axis_indices(shape)), {self.index: ZERO}), states):
                raise self.stop("a name that may be None in the second round still")

    def _reads(self, value: Expr, tensors: set[Tensor]) -> bool:
        """Whether a value is computed from one of some tensors, by way of what else is computed."""
        waiting, seen = [value], set[Entry]()
        while waiting:
            new = [read for read in entries_once(waiting.pop()) if read not in seen]
            if any(read.tensor in tensors for read in new):
                return True
            seen.update(new)
            waiting += [inside for read in new if (inside := defined_as(read)) is not None]
        return False

    def _close(self, names: Items, objects: Mapping[int, Items]) -> None:
        for buffer in list(self.journal.before):
            if buffer in self.carried:
                self._close_buffer(buffer)
        self.grown: dict[int, Any] = {}  # what lists are after the loop, each in all places that hold it
        self.sharing: list[tuple[Array, set[Any]]] = []
        for leaf in self._leaves():
            self._share(leaf.array, {leaf, *(o for a in leaf.held() for o in self._origins(a))})
        for key, items in objects.items():
            before = self.heap.before[key]
            put(self.heap.objects[key], {k: self._closed((key, k), v, before.get(k, _UNSET)) for k, v in items.items()})
        self.final = {n: self._closed(n, names.get(n, _UNSET), self.origin.get(n, _UNSET)) for n in self.names}

    def _make_sure_of_order(self) -> None:
        """Refuse rounds of nested loops that read each other so that no clock tells in which order.

        The innermost one is asked to be of concrete length first: an image is walked so, for all sizes of a batch.
        """
        if self.session.loops:
            self.session.loops[-1].innermost = self.innermost
        elif self.found:
            try:
                blocks(self.session.equations)
            except IndexNotationError as error:
                what = "loops inside of each other, whose rounds read each other in no plain order"
                raise NeedsConcreteSizes(what, size_symbols(self.innermost.size), where=self.place) from error

    def _close_buffer(self, buffer: Buffer) -> None:
        tensor, _ = self.carried[buffer]
        before = self.journal.before[buffer]
        if buffer in self.found:
            content, summed = self._as_found(buffer, buffer.content, before["content"], buffer.shape), False
        else:
            content, summed = self._content(tensor, buffer.content, before["content"], buffer.shape)
        buffer.content = buffer.unsettled = content
        buffer.settled, buffer.order, buffer.uses, buffer.summed = False, None, 0, summed
        for journal in self.session.journals:
            journal.note_as(buffer, before)

    def _closed(self, place: Any, value: Any, before: Any) -> Any:
        """What a name, or a place of an object, holds after the loop."""
        if isinstance(value, GrowingList | GrowingDict) and value is self.growing.get(place):
            if id(value) not in self.grown:
                self.grown[id(value)] = grown(value, before)
            return self.grown[id(value)]
        if value is before:
            return self._unsettled(str(place)) if value is _UNSET else value
        if not isinstance(value, _NUMERIC) or (self._held is not ONE and place in self.targets):
            return self._unsettled(str(place))
        given = as_array(value)
        known = self.carried.get(place)
        try:
            if known and place in self.found:
                content = self._as_found(place, given.read(), known[1].buffer.content, given.axes)
                summed = False
            else:
                content, summed = self._content(
                    known[0] if known else None, given.read(), known[1].buffer.content if known else None, given.axes
                )
        except TraceError:  # also of an item of a list, or of what stands in its place on the other way of a branch
            return self._unsettled(str(place))
        result = array(given.axes, content, given.dtype, summed=summed)
        result.buffer.weak, result.buffer.rounding = given.buffer.weak, given.buffer.rounding
        self._share(result, self._origins(value))
        return integers_fit(result)

    # --- rounds that depend on each other

    def _needed(self, names: Items, objects: Mapping[int, Items]) -> dict[Any, Expr]:
        """The places of which a round reads what the rounds before have left, in ways that no sum tells; with what they
        hold after the round."""
        values: dict[Any, Expr] = {}
        olds: dict[Any, Entry] = {}
        for place in self.carried:
            content, shape = self._left(place, names, objects)
            at = places_of(axis_indices(shape))
            olds[place] = Entry(self.carried[place][0], at)
            value = self._at_own_place(rewrite(content(at), lambda n: self._renamed(n, {})))
            values[place] = self._gathered(self._with_untouched(value, olds[place], self._before(place)), olds[place])
        owners = {tensor: place for place, (tensor, _) in self.carried.items()}
        reads = {p: {t for t in self._read(v) if t in owners} for p, v in values.items()}
        crossed = {owners[t] for p, tensors in reads.items() for t in tensors if owners[t] is not p}
        found = {}
        for place, (tensor, _) in self.carried.items():
            if place not in crossed and tensor not in reads[place]:
                continue
            if place in crossed or not self._is_simple(values[place], olds[place]):
                found[place] = values[place]
        return found

    def name_place(self, buffer: Buffer) -> None:
        """Name what the round has written to its place of a growing array, once arms of a branch have: it may be read
        again and again."""
        found = self.found.get(buffer)
        if not isinstance(found, Growing):
            return
        content, axis, place, fixed = buffer.content, found.axis, found.place, dict(found.rows)
        value = content(found.at((*(own := axis_indices(buffer.shape))[:axis], place, *own[axis + 1 :])))
        if isinstance(value, Entry) or not has_entry(value) or self.session.is_carried(value):
            return
        shape = tuple(n for k, n in enumerate(buffer.shape) if k != axis and k not in fixed)

        def in_place(at: tuple[Expr, ...]) -> Expr:
            here = found.in_rows((*at[: found.own_axis], place, *at[found.own_axis :]))
            return found.if_there(content(here))

        line = self.session.line()
        tensor = self.session.define(shape, in_place, buffer.kind, None, line, hint=f"{found.tensor.name}_next")
        rounds = self.session.rounds.get(tensor, ())

        def named(indices: tuple[Expr, ...]) -> Expr:
            at = tuple(reduced(i) for k, i in enumerate(indices) if k != axis and k not in fixed)
            here = multiply(*(holds("==", indices[k], p) for k, p in ((axis, place), *found.rows)))
            return where(here, Entry(tensor, (*rounds, *at)), content(indices))

        buffer.content = buffer.unsettled = named

    def _read(self, value: Expr) -> set[Tensor]:
        """The tensors that a value is computed from, also by way of what loops inside this one leave."""
        own = {e.tensor for e in entries_once(value)}
        return own.union(*(self.session.pending.get(t, ()) for t in own))

    def _before(self, place: Any) -> Content:
        """What a place holds before the loop."""
        if isinstance(place, Buffer):
            return self.journal.before[place]["content"]  # type: ignore[no-any-return]
        return self.carried[place][1].buffer.content

    def _with_untouched(self, value: Expr, old: Entry, before: Content) -> Expr:
        """What a round leaves, with entries that no round writes as they are before the loop: those of other rows."""
        written = self._rows(value, old)

        def meaning(node: Expr) -> Expr | None:
            if not isinstance(node, Entry) or node.tensor is not old.tensor or node is old:
                return None
            elsewhere = any(is_so("==", node.indices[axis], place) is False for axis, place in written.items())
            return before(node.indices) if elsewhere else None

        return rewrite(value, meaning) if written else value

    @staticmethod
    def _gathered(value: Expr, old: Entry) -> Expr:
        """What a round leaves, as the old number and all that it adds, where it adds at places that may be one."""
        if not any(reads(n, old.tensor) and n is not old for n in nodes_once(value)):
            return value
        more = gathered(value, old)
        return value if more is None else add(old, more)

    def _rows(self, value: Expr, old: Entry) -> dict[int, Expr]:
        """The axes along which a round writes at one place that is the same in every round, with that place."""
        if not isinstance(value, Where) or value.otherwise is not old:
            return {}
        factors = value.condition.factors if isinstance(value.condition, Multiply) else (value.condition,)
        found: dict[int, Expr] = {}
        for axis, index in enumerate(old.indices):
            for f in factors:
                if isinstance(f, Kronecker) and index in (f.left, f.right):
                    place = f.right if f.left is index else f.left
                    if self.index not in free_indices(place):
                        found[axis] = place
        return found

    def _left(self, place: Any, names: Items, objects: Mapping[int, Items]) -> tuple[Content, tuple[Expr, ...]]:
        """What a place holds after the round."""
        if isinstance(place, Buffer):
            return place.content, place.shape
        value = self._now(place, names, objects)
        if not isinstance(value, _NUMERIC):
            raise self.stop()
        given = as_array(value)
        return given.read(), given.axes

    def _held_by(self, key: int) -> Items:
        return self.held.get(key, self.heap.before[key])

    def _is_simple(self, value: Expr, old: Entry) -> bool:
        """True for a sum, for what a condition sets, and for what is written at the place of the round."""
        if any(e.tensor is old.tensor and e is not old for e in entries_once(value)):
            return False
        if any(old.tensor in self.session.pending.get(e.tensor, ()) for e in entries_once(value)):
            return False
        more, latched = increment(value, old), as_latched(value, old)
        if more is not None or (latched is not None and self.index not in free_indices(latched[1])):
            return True
        if as_running(value, old) is not None or self._set_last(value, old) is not None:
            return True
        return any(True for _ in self._written_in(value, old)) or self._overlapping(value, old) is not None

    def _finding(self, place: Any, value: Expr) -> Found:
        """What a round finds at such a place, told by what it leaves there."""
        tensor, old = self.carried[place]
        session, is_buffer = self.session, isinstance(place, Buffer)
        before = self._before(place)
        shape = place.shape if is_buffer else old.axes
        hint = place if isinstance(place, str) else self._name_of(place)
        own = axis_indices(shape)
        entry_ = Entry(tensor, places_of(own))
        if is_buffer and (at := self._written_at(value, entry_, own)) is not None:
            rows = tuple((k, row) for k, row in self._rows(value, entry_).items() if k != at[0])
            return new_growing(session, hint, shape, tensor.kind, tensor, *at, before, rows)
        added = self._additions(increment(value, entry_), own) if is_buffer else None
        if added is not None:
            places = [at for at, _ in added]
            return new_scattered(session, hint, shape, tensor.kind, tensor, self.index, before, places)
        more = increment(value, entry_) if tensor.kind == "integer" else None
        if more is not None and self.index not in free_indices(more) and not has_entry(more):
            return Counter(before, more, self.index)
        return new_state(session, hint, shape, tensor.kind, self.index, before)

    def _additions(
        self, more: Expr | None, own: tuple[Index, ...]
    ) -> list[tuple[tuple[int, Expr, tuple[tuple[int, Expr], ...]], Expr]] | None:
        """What a round adds to an array, term by term: (the axis, the place that the round names along it, what places
        it names along others) and the term there; None where a term names no place."""
        found = []
        for term in () if more is None else cases(more, own):
            tests = [n for n in nodes_once(term) if isinstance(n, Kronecker)]
            named = [(n, at) for n in tests if (at := self._named_by(n, own)) is not None]
            rows = [(n, at) for n in tests if (at := self._row_of(n, own)) is not None]
            if not named:
                return None
            node, (axis, place) = named[0]
            ones = {node, *(n for n, (k, _) in rows if k != axis)}
            if rewrite(term, lambda n, node=node: ZERO if n is node else None) is not ZERO:  # type: ignore[misc]
                return None
            there = rewrite(term, lambda n, ones=ones: ONE if n in ones else None)  # type: ignore[misc]
            found.append(((axis, place, tuple(sorted({k: p for _, (k, p) in rows if k != axis}.items()))), there))
        return found or None

    def _named_by(self, node: Expr, own: tuple[Index, ...]) -> tuple[int, Expr] | None:
        """(the axis, the place) that a test names by the number of the round."""
        solution = self._solved(node)
        named = [i for i in own if solution is not None and i in free_indices(solution)]
        if solution is None or len(named) != 1:
            return None
        base = reduced(substitute(solution, {named[0]: ZERO}))
        if minus(solution, named[0]) is base:
            return own.index(named[0]), minus(self.index, base)
        if reduced(add(solution, named[0])) is base:
            return own.index(named[0]), minus(base, self.index)
        return None

    def _row_of(self, node: Kronecker, own: tuple[Index, ...]) -> tuple[int, Expr] | None:
        """(the axis, the place) that a test names in the same way in every round."""
        for index, place in ((node.left, node.right), (node.right, node.left)):
            if index in own and not free_indices(place) & {self.index, *own}:
                return own.index(index), place
        return None

    def _name_of(self, place: Any) -> str:
        if isinstance(place, Buffer):
            names = (n for (n, _), array in self.made.items() if array.buffer is place)
            named = next(names, None)
            return (
                (self._name_of(named) if isinstance(named, tuple) else named)
                or self.session.variable_of(lambda v: isinstance(v, Array) and v.buffer is place)
                or "t"
            )
        return str(place[1]) if str(place[1]).isidentifier() else "t"

    def _written_at(self, value: Expr, old: Entry, own: tuple[Index, ...]) -> tuple[int, Expr, bool] | None:
        """(the axis, the place, whether it rises) where a round writes at the one place that its index names."""
        for solution, _, _ in self._written_in(value, old):
            named = [i for i in own if i in free_indices(solution)]
            if len(named) != 1:
                continue
            base = reduced(substitute(solution, {named[0]: ZERO}))  # the round k is p + base, or base - p
            rising = minus(solution, named[0]) is base
            if not rising and reduced(add(solution, named[0])) is not base:
                continue  # a block of places
            return own.index(named[0]), minus(self.index, base) if rising else minus(base, self.index), rising
        return None

    def _as_found(self, place: Any, left: Content, before: Content, shape: tuple[Expr, ...]) -> Content:
        """What such a place holds after the loop; its equation is written."""
        found, line = self.found[place], self.session.line()
        own, unknown = axis_indices(shape), self.carried[place][0]

        def after(indices: tuple[Expr, ...]) -> Expr:  # an entry that is named by now may be known
            return rewrite(left(indices), lambda n: found.found(n.indices) if reads(n, unknown) else None)  # type: ignore[attr-defined]

        value = after(places_of(own))
        if isinstance(found, Scattered):
            return self._as_added(found, left(places_of(own)), own, unknown)
        if isinstance(found, Growing | State):
            at = found.at(places_of(own)) if isinstance(found, Growing) else places_of(own)
            around = self._carried_around(reduced_places(array(shape, after).read()(at)), before(at))
            if around:
                return self._pending(found, around, before(at))
        if isinstance(found, Growing):
            tensor, _ = self.carried[place]
            if self._written_at(self._at_own_place(value), Entry(tensor, places_of(own)), own) is None:
                raise self.stop()
            there = array(shape, after).read()
            written = reduced_places(there(found.at((*own[: found.axis], found.place, *own[found.axis + 1 :]))))
            if self.session.is_carried(written):
                raise self.stop()
            define_growing(self.session, found, after, self.index, line)
            if MINUS_INFINITY in symbols(self.session.equations[-1].value):
                raise self.stop("minus infinity in an array whose places are computed from each other")
        elif isinstance(found, State):
            if self.session.is_carried(value):
                raise self.stop()
            define_state(self.session, found, before, after, line)
        return found.left

    def _as_added(self, found: Scattered, value: Expr, own: tuple[Index, ...], unknown: Tensor) -> Content:
        """What rounds leave that add to an array; the equations of what they add are written."""
        added = self._additions(added_to(value, Entry(unknown, places_of(own)), found), own)
        wanted = [(a.axis, a.place, a.rows) for a in found.additions]
        if added is None or [at for at, _ in added] != wanted:
            raise self.stop()
        terms = [term for _, term in added]
        around = self._carried_around(*terms)
        if around:
            additions = tuple(
                replace(a, tensor=self._waiting(a.tensor, around, term))
                for a, term in zip(found.additions, terms, strict=True)
            )
            return replace(found, additions=additions).left
        if self.session.is_carried(add(*terms)):
            raise self.stop()
        define_scattered(self.session, found, terms, own, self.session.line())
        return found.left

    def _carried_around(self, *values: Expr) -> set[Tensor]:
        """The unknown numbers of loops around this one that stand in some values."""
        carried, pending = self.session.carried, self.session.pending
        read = {e.tensor for v in values for e in entries_once(v) if e.tensor in carried and not self._mine(e.tensor)}
        return read.union(*(pending.get(t, ()) for t in read))

    def _pending(self, found: Growing | State, around: set[Tensor], before: Expr) -> Content:
        """What the loop leaves, as long as a loop around it does not know yet what its rounds find: unknown numbers,
        which show that loop where they stand."""
        return replace(found, tensor=self._waiting(found.tensor, around, before)).left

    def _waiting(self, tensor: Tensor, around: set[Tensor], like: Expr) -> Tensor:
        """Unknown numbers in place of a tensor that cannot be defined yet."""
        unknown = self._unknown(tensor.shape, tensor.kind, lambda _: like)
        self.session.pending[unknown] = frozenset(around)
        return unknown

    def _content(
        self, tensor: Tensor | None, content: Content, before: Content | None, shape: tuple[Expr, ...]
    ) -> tuple[Content, bool]:
        """The entries after the loop, and whether they are sums."""
        own = axis_indices(shape)
        at = places_of(own)
        value = content(at)
        value = self._at_own_place(rewrite(value, lambda n: self._renamed(n, {})))
        if tensor is not None and before is not None:
            value = self._gathered(self._with_untouched(value, Entry(tensor, at), before), Entry(tensor, at))
        unknown = [e for e in entries_once(value) if e.tensor in self.session.carried and self._mine(e.tensor)]
        summed = False
        if not unknown:
            final = self._last(value)
        else:
            old = Entry(tensor, at) if tensor is not None else None
            if before is None or any(e is not old for e in unknown):
                raise self.stop()
            assert old is not None
            more, latched, running = increment(value, old), as_latched(value, old), as_running(value, old)
            last = self._set_last(value, old)
            if last is not None:
                final = last
            elif running is not None:
                final = self._extreme(*running, before(at))
            elif latched is not None and self.index not in free_indices(latched[1]):
                count = contraction(self.index.name, self.index.size, lambda k: self._at(latched[0], k))
                final = where(Compare("<", ZERO, count), latched[1], before(at))
            elif more is not None:
                final = add(before(at), contraction(self.index.name, self.index.size, lambda k: self._at(more, k)))
                summed = True
            else:
                final = self._owned(value, old, before(at), own)
        final = reduced(final) if not any(isinstance(n, Entry) for n in nodes_once(final)) else final
        return (lambda i: substitute(final, dict(zip(own, i, strict=True)))), summed

    def _extreme(self, kind: Extreme, value: Expr, start: Expr) -> Expr:
        """The largest, or smallest, of what was before and what all rounds have."""
        if start is MINUS_INFINITY and kind == "max":
            if is_so("<=", ONE, self.index.size) is not True:
                raise self.stop("a loop that may be empty")
            return extremum(kind, self.index.name, self.index.size, lambda k: self._at(value, k))
        if is_infinite(start):
            raise self.stop("a running maximum that begins with minus infinity in places")
        begins = self._at(value, MINUS_ONE) is start  # x[0] before a loop over x[1:]

        def each(k: Expr) -> Expr:
            there = self._at(value, minus(k, ONE))
            return there if begins else where(holds("==", k, ZERO), start, there)

        return extremum(kind, self.index.name, reduced(add(self.index.size, ONE)), each)

    def _at_own_place(self, value: Expr) -> Expr:
        """where(i == y, P[y], ...) is where(i == y, P[i], ...)."""

        def meaning(node: Expr) -> Expr | None:
            if not isinstance(node, Where):
                return None
            factors = node.condition.factors if isinstance(node.condition, Multiply) else (node.condition,)
            equal: dict[Expr, Expr] = {}
            for f in factors:
                if isinstance(f, Kronecker):
                    own, other = (
                        (f.left, f.right) if isinstance(f.left, Index) and not f.left.uid else (f.right, f.left)
                    )
                    if isinstance(own, Index) and not own.uid:
                        equal |= {other: own, reduced(value_of(other)): own}
            then = rewrite(node.then, lambda n: self._renamed(n, equal)) if equal else node.then
            return where(node.condition, self._at_own_place(then), self._at_own_place(node.otherwise))

        return rewrite(value, meaning)

    def _renamed(self, node: Expr, equal: Mapping[Expr, Expr]) -> Expr | None:
        if isinstance(node, Entry) and self._mine(node.tensor):
            places = zip(node.indices, node.tensor.shape, strict=True)
            return Entry(node.tensor, tuple(ZERO if n is ONE else equal.get(i, i) for i, n in places))
        return None

    def _mine(self, tensor: Tensor) -> bool:
        return any(t is tensor for t, _ in self.carried.values())

    def _at(self, value: Expr | None, index: Expr) -> Expr:
        assert value is not None
        return reduced_places(substitute(value, {self.index: index}))

    def _last(self, value: Expr) -> Expr:
        if self.index not in free_indices(value):
            if is_so("<=", ONE, self.index.size) is not True:
                raise self.stop("a loop that may be empty")
            return value
        if is_so("<=", ONE, self.index.size) is not True:
            raise self.stop("a loop that may be empty")
        return self._at(value, minus(self.index.size, ONE))

    def _set_last(self, value: Expr, old: Entry) -> Expr | None:
        """What the last round sets, whatever was there before; None if it may keep something of that."""
        if is_so("<=", ONE, self.index.size) is not True:
            return None
        last = decided(self._at(value, minus(self.index.size, ONE)), self.session.facts_here())
        return None if any(reads(n, old.tensor) for n in nodes_once(last)) else last

    def _owned(self, value: Expr, old: Entry, before: Expr, own: tuple[Index, ...]) -> Expr:
        """The entry that is written in one round alone: the one whose index the place names."""
        for solution, mine, only in self._written_in(value, old):
            there = rewrite(value, lambda n, mine=mine: ONE if n in mine else None)  # type: ignore[misc]
            there = reduced_places(substitute(there, {self.index: solution, old: before}))
            if isinstance(only, Kronecker):  # a division without rest
                there = reduced_places(rewrite(there, lambda n, only=only: ZERO if n is only.left else None))  # type: ignore[misc]
            inside = multiply(only, holds("<=", ZERO, solution), holds("<", solution, self.index.size))
            return where(inside, there, before)
        tests = self._overlapping(value, old)
        if tests is None:
            raise self.stop()
        return self._overwritten(value.then, tests, before)  # type: ignore[attr-defined]

    def _overlapping(self, value: Expr, old: Entry) -> tuple[list[Expr], list[Expr]] | None:
        """(the tests on which it hangs whether a round writes the entry, those that end to hold) where rounds write
        blocks that overlap, x[k:k + 3] = ...: each test begins to hold once, or ends to hold once. None elsewhere."""
        if not isinstance(value, Where) or value.otherwise is not old or any(n is old for n in nodes_once(value.then)):
            return None
        factors = value.condition.factors if isinstance(value.condition, Multiply) else (value.condition,)
        rising = {f: self._tendency(f) for f in factors if self.index in free_indices(f)}
        if not rising or None in rising.values() or any(n is old for n in nodes_once(value.condition)):
            return None
        return list(factors), [f for f, rises in rising.items() if not rises]

    def _overwritten(self, new: Expr, tests: tuple[list[Expr], list[Expr]], before: Expr) -> Expr:
        """What the last of the rounds leaves that write the entry: if any later one writes it, the next one does, as
        far as the tests say that end to hold."""
        factors, ending = tests
        following = add(self.index, ONE)
        again = multiply(holds("<", following, self.index.size), *(self._at(t, following) for t in ending))
        writes = multiply(*(f for f in factors if self.index in free_indices(f)))
        others = [f for f in factors if self.index not in free_indices(f)]
        latest = where(multiply(writes, subtract(ONE, again)), new, ZERO)
        last = contraction(self.index.name, self.index.size, lambda k: self._at(latest, k))
        count = contraction(self.index.name, self.index.size, lambda k: self._at(writes, k))
        return where(multiply(*others, Compare("<", ZERO, count)), last, before)

    def _tendency(self, test: Expr) -> bool | None:
        """True if a test that holds in one round holds in the next, False if one that fails goes on to; else None."""
        if not isinstance(test, Compare) or test.relation == "==" or has_entry(test):
            return None
        gap = minus(test.right, test.left)
        step = minus(substitute(gap, {self.index: add(self.index, ONE)}), gap)
        return None if free_indices(step) else is_so("<", ZERO, step)

    def _written_in(self, value: Expr, old: Entry) -> Iterator[tuple[Expr, set[Expr], Expr]]:
        """(the round, the tests that ask for it, whether there is one) where the entry is what it was in all other
        rounds."""
        tests = {n: s for n in nodes_once(value) if (s := self._solved(n)) is not None}
        groups = [(s, {n for n, other in tests.items() if other is s}) for s in dict.fromkeys(tests.values())]
        for solution, mine in groups:  # these hold together or not at all
            if self._without(value, mine) is old:
                yield solution, mine, ONE
        for solution, mine in self._blocks(value):
            if all(self._without(value, {n}) is old for n in mine):
                yield solution, mine, ONE
        for node in nodes_once(value):
            strided = self._at_a_stride(node)
            if strided is not None and self._without(value, {node}) is old:
                round_, whole = _divided(*strided)
                yield round_, {node}, holds("==", whole, ZERO)

    @staticmethod
    def _without(value: Expr, failing: set[Expr]) -> Expr:
        """The entry where tests do not hold."""
        return rewrite(value, lambda n: ZERO if n in failing else None)

    def _blocks(self, value: Expr) -> Iterator[tuple[Expr, set[Expr]]]:
        """(the round, the tests that ask for it) where rounds write blocks of places: E*k <= i and i < E*k + E."""
        gaps: dict[Expr, Expr] = {}
        for node in nodes_once(value):
            if isinstance(node, Compare) and node.relation != "==" and self.index in free_indices(node):
                gap = minus(minus(node.right, node.left), ONE if node.relation == "<" else ZERO)
                if not any(isinstance(n, Entry) for n in nodes_once(gap)):
                    gaps[node] = gap
        for (first, above), (last, below) in itertools.permutations(gaps.items(), 2):
            length = reduced(add(above, below, ONE))  # (i - E*k - a) + (E*k + a + E - 1 - i) + 1
            step = minus(above, substitute(above, {self.index: add(self.index, ONE)}))
            if step is length and not free_indices(length) and is_so("<=", ONE, length) is True:
                yield reduced(Quotient(substitute(above, {self.index: ZERO}), length)), {first, last}

    def _solved(self, node: Expr) -> Expr | None:
        """The round in which two integers are equal, which the other indices name."""
        found = self._at_a_stride(node)
        return found[0] if found is not None and found[1] is ONE else None

    def _at_a_stride(self, node: Expr) -> tuple[Expr, Expr] | None:
        """(a, b) where two integers are equal in the round a/b, if that is a whole number; b is a number above 0."""
        if not isinstance(node, Kronecker) or self.index not in free_indices(node):
            return None
        difference = minus(node.left, node.right)
        step = minus(substitute(difference, {self.index: add(self.index, ONE)}), difference)
        rest = reduced(substitute(difference, {self.index: ZERO}))
        if not isinstance(step, Number) or not step.value or self.index in free_indices(rest) or has_entry(difference):
            return None
        return (reduced(multiply(MINUS_ONE, rest)), step) if step.value > 0 else (rest, number(-step.value))

    def _unsettled(self, name: str) -> Unsettled:
        return _LoopUnsettled(name, self)


def _divided(value: Expr, stride: Expr) -> tuple[Expr, Expr]:
    """(value // stride, what leaves no rest where value leaves none); (2*n - i) // 2 is n - i // 2 there."""
    base = reduced(substitute(value, dict.fromkeys(free_indices(value), ZERO)))
    fewer = minus(base, value)
    if isinstance(fewer, Index) and reduced(multiply(stride, Quotient(base, stride))) is base:
        return minus(Quotient(base, stride), Quotient(fewer, stride)), reduced(Remainder(fewer, stride))
    return reduced(Quotient(value, stride)), reduced(Remainder(value, stride))


class _LoopUnsettled(Unsettled):
    """What rounds leave that no formula tells: whoever uses it needs a loop of concrete length."""

    def __init__(self, name: str, loop: Loop) -> None:
        super().__init__(name)
        self._loop = loop

    def stop(self) -> Any:
        """The error that asks for it."""
        return self._loop.stop()

    @guarded
    def __call__(self, *_: Any, **__: Any) -> Any:
        """Refuse."""
        raise self.stop()


class _Guarded:
    """The passes of a loop: what stops them is remembered by the session."""

    def __init__(self, passes: Iterator[Any]) -> None:
        self._passes = passes

    def __iter__(self) -> Any:
        return self

    @guarded
    def __next__(self) -> Any:
        try:
            return next(self._passes)
        except StopIteration as end:
            end.as_numpy = True  # type: ignore[attr-defined]
            raise


__all__ = ["Loop"]
