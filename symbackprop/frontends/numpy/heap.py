"""What traced code can reach and change: attributes, dictionaries, lists, sets, free variables and arrays in them.

A branch on data runs both of its arms, each from the same state (`branches`), a loop over a symbolic range its body
several times (`loops`): the state is taken here, compared and put back. Arrays keep their own journal, in
`Session.journals`.
"""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

from symbackprop.frontends.numpy.library import library_of
from symbackprop.frontends.numpy.masked import Masked
from symbackprop.frontends.numpy.session import Session
from symbackprop.frontends.numpy.size import Slots, SymbolicList
from symbackprop.frontends.numpy.state import attributes_of
from symbackprop.frontends.numpy.symbolic import STAND_INS

Items = dict[Any, Any]


class Heap:
    """The mutable objects that the running code of the user's can reach, and what they hold now."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.objects: dict[int, Any] = {}
        self.before: dict[int, Items] = {}
        stack = list(_roots(session))
        while stack:
            value = stack.pop()
            if id(value) in self.objects:
                continue
            if isinstance(value, (tuple, frozenset)):
                self.objects[id(value)] = value
                stack.extend(value)
                continue
            inner = _inside(value)
            if inner is not None:
                self.objects[id(value)] = value
                stack.extend(inner)
                continue
            held = items_of(value)
            if held is not None:
                self.objects[id(value)] = value
                self.before[id(value)] = held
                stack.extend(held.values())

    def references(self, names: tuple[str, ...]) -> tuple[dict[int, list[Any]], set[int]]:
        """(the places that hold a value, by its id; the ids of all values).

        A place is one of these names of the running function, or (object, key). Without what is held elsewhere too,
        where nothing else can be put: in a tuple, or under another name.
        """
        found: dict[int, list[Any]] = {}
        fixed: set[int] = set()
        running = frame = self.session.frame()
        while frame is not None:
            if id(frame.f_code) in self.session.codes:
                for name, value in frame.f_locals.items():
                    if frame is running and name in names:
                        found.setdefault(id(value), []).append(name)
                    else:
                        fixed.add(id(value))
                fixed.update(map(id, frame.f_globals.values()))
            frame = frame.f_back
        for value in self.objects.values():
            inner = value if isinstance(value, (tuple, frozenset)) else _inside(value)
            fixed.update(map(id, inner or ()))
        for key, held in self.before.items():
            for k, value in held.items():
                found.setdefault(id(value), []).append((key, k))
        return {key: places for key, places in found.items() if key not in fixed}, {*found, *fixed}

    def now(self) -> dict[int, Items]:
        """What those objects hold that have changed since."""
        found = {}
        for key, old in self.before.items():
            held = items_of(self.objects[key]) or {}
            if held.keys() != old.keys() or any(held[k] is not v for k, v in old.items()):
                found[key] = held
        return found

    def restore(self, changed: dict[int, Items]) -> None:
        """Give back to these objects what they held at first."""
        for key in changed:
            put(self.objects[key], self.before[key])


def _roots(session: Session) -> Iterator[Any]:
    frame = session.frame()
    while frame is not None:
        if id(frame.f_code) in session.codes:
            yield from frame.f_locals.values()
            yield from frame.f_globals.values()
        frame = frame.f_back


def _inside(value: Any) -> list[Any] | None:
    """What a value that cannot change itself leads to; None for others."""
    match value:
        case types.MethodType():
            return [value.__self__, value.__func__]
        case types.FunctionType():
            defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
            return [*(value.__closure__ or ()), *defaults]
        case functools.partial():
            return [value.func, *value.args, *value.keywords.values()]
    return None


def items_of(value: Any) -> Items | None:
    """What a mutable object holds, by key; None for what is none, or is a stand-in."""
    kind = type(value)
    if isinstance(value, dict):
        own = {("", k): v for k, v in attributes_of(value).items()} if kind is not dict else {}
        return dict.copy(value) | own
    if isinstance(value, list | deque):
        return dict(enumerate(value))
    if isinstance(value, set):
        return dict.fromkeys(value, True)
    if kind is types.CellType:
        try:
            return {"cell_contents": value.cell_contents}
        except ValueError:
            return {}
    if kind is Slots:
        return dict(value.held)
    if kind is SymbolicList:
        return {"front": value.front, "back": value.back, "whole": value.whole}
    if kind is Masked:
        return {"inner": value.inner, "chosen": value.chosen, "view": value.view}
    if (
        isinstance(value, type)
        or kind in STAND_INS
        or (library_of(kind.__module__) and kind is not types.SimpleNamespace)
    ):
        return None
    return attributes_of(value)


def put(value: Any, items: Items) -> None:
    """Let an object hold these and nothing else."""
    if isinstance(value, dict):
        dict.clear(value)
        dict.update(value, {k: v for k, v in items.items() if not _is_attribute(k)})
        for (_, name), held in ((k, v) for k, v in items.items() if _is_attribute(k)):
            object.__setattr__(value, name, held)
    elif type(value) is Slots:
        value.held = dict(items)
    elif isinstance(value, list):
        list.__setitem__(value, slice(None), [items[k] for k in range(len(items))])
    elif isinstance(value, deque):
        value.clear()
        value.extend(items[k] for k in range(len(items)))
    elif isinstance(value, set):
        value.clear()
        value.update(items)
    else:
        fixed = isinstance(value, (types.CellType, SymbolicList))
        for name in attributes_of(value).keys() - items.keys() if not fixed else ():
            object.__delattr__(value, name)
        for name, held in items.items():
            if isinstance(value, types.CellType):
                value.cell_contents = held
            else:
                object.__setattr__(value, name, held)


def _is_attribute(key: Any) -> bool:
    return isinstance(key, tuple) and len(key) == 2 and key[0] == ""


__all__ = ["Heap", "Items", "items_of", "put"]
