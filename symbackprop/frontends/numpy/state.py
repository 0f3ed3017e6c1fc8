"""What outlives a call: globals, defaults, closures, attributes of objects. A result must not depend on it.

Globals, default arguments, closures and class attributes that traced code changes are refused. Objects are allowed to
keep things (a layer keeps its input, or running means) as long as what they held before does not reach a result: the
trace is made once more with an unknown number in each place that the first one changed, and both must agree.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from symbackprop.expression.build import BINDERS, Expr, Index, children
from symbackprop.frontends.numpy.opaque import Opaque


class Place(NamedTuple):
    """An attribute of one of the user's objects, or a key of one of its dictionaries.

    Args:
        owner: the id of the user's own object, which lives as long as his function.
        shown: what messages call it.
    """

    owner: int
    key: Any
    shown: str
    created: bool


class SharedState:
    """Everything that outlives the calls of one session.

    Args:
        unknown: places whose first content is opaque.
    """

    def __init__(self, unknown: Iterable[Place] = ()) -> None:
        self._unknown = {(p.owner, p.key): p for p in unknown}
        self._globals: list[tuple[str, Callable[[], bool]]] = []  # a name, and whether it has changed
        self._objects: list[tuple[Any, Callable[[], dict[Any, Any]], dict[Any, Any]]] = []
        self._kept: list[Any] = []

    # --- unknown places

    def is_unknown(self, owner: Any, key: Any) -> bool:
        """True for a place that calls change."""
        return (id(owner), key) in self._unknown

    def created(self, owner: Any) -> list[Any]:
        """The keys that an earlier call would have left in an object."""
        return [p.key for p in self._unknown.values() if p.owner == id(owner) and p.created]

    def opaque(self, owner: Any, key: Any) -> Opaque:
        """What such a place holds before a call."""
        shown = self._unknown[id(owner), key].shown
        return Opaque(shown, "a result must depend on the arguments alone: do not keep it between calls")

    def changed_places(self) -> list[Place]:
        """The places of objects that the calls have changed."""
        found = []
        for owner, contents, before in self._objects:
            for key, value in contents().items():
                if key not in before or not _same(before[key], value):
                    kind = type(owner).__name__
                    shown = f"the entry {key!r} of a dictionary" if kind == "dict" else f"the attribute {key} of {kind}"
                    found.append(Place(id(owner), key, f"{shown}, which the call changes,", key not in before))
        return found

    def changed_global(self) -> str | None:
        """The name of a global that the calls have changed."""
        return next((name for name, changed in self._globals if changed()), None)

    # --- watching

    def watch_object(self, owner: Any, new: Any) -> None:
        """An object of the user's, and its copy."""
        self._objects.append((owner, lambda: attributes_of(new), dict(attributes_of(new))))

    def watch_dict(self, name: str, owner: dict[Any, Any], new: dict[Any, Any]) -> None:
        """A dictionary; one with a name must not change."""
        before = dict(new)
        if name:
            self._globals.append((name, lambda: not _same_dict(before, new)))
        else:
            self._objects.append((owner, lambda: new, before))

    def watch_sequence(self, name: str, new: Any) -> None:
        """A list or a set, which must not change."""
        before = set(new) if isinstance(new, set) else list(new)
        self._globals.append((name or f"a {type(new).__name__} of an object", lambda: not _same_items(before, new)))

    def watch_array(self, name: str, new: NDArray[Any]) -> None:
        """An array, which must not change in place."""
        before = new.copy()
        self._globals.append((name or "an array of an object", lambda: not _same_array(before, new)))

    def watch_cell(self, name: str, cell: types.CellType) -> None:
        """A variable of the scope around a function."""
        before = cell.cell_contents
        self._globals.append((name, lambda: not _same(before, cell.cell_contents)))

    def watch_class(self, kind: type) -> None:
        """The attributes of a class; `copy` keeps the names of its slots there, which changes nothing."""

        def held() -> dict[str, Any]:
            return {n: v for n, v in vars(kind).items() if n != "__slotnames__"}

        before = held()
        self._globals.append((f"class {kind.__name__}", lambda: not _same_dict(before, held())))

    def watch_function(self, function: types.FunctionType) -> None:
        """The attributes of a function."""
        before = dict(vars(function))
        self._globals.append((function.__name__, lambda: not _same_dict(before, vars(function))))


def numbered(value: Expr, bound: dict[Index, int]) -> Any:
    """An expression as nested tuples, in which bound indices are numbers: equal where only their names differ."""
    if isinstance(value, Index):
        return bound.get(value, value)
    if isinstance(value, BINDERS):
        size = numbered(value.index.size, bound)
        inner = numbered(value.body, {**bound, value.index: len(bound)})
        return (type(value), getattr(value, "kind", ""), size, inner)
    parts = children(value)
    if not parts:
        return value
    told = [getattr(value, name, None) for name in ("tensor", "function", "relation", "kind")]
    return (type(value), *told, *(numbered(p, bound) for p in parts))


def attributes_of(value: Any) -> dict[str, Any]:
    """The attributes that an object holds itself, in its dictionary or in slots."""
    slots = [n for c in type(value).__mro__ for n, v in vars(c).items() if isinstance(v, types.MemberDescriptorType)]
    return {n: getattr(value, n) for n in slots if hasattr(value, n)} | getattr(value, "__dict__", {})


def _same(before: Any, now: Any) -> bool:
    if before is now:
        return True
    return type(before) is type(now) and isinstance(now, (bool, int, float, str, bytes)) and bool(before == now)


def _same_dict(before: dict[Any, Any], now: dict[Any, Any]) -> bool:
    return before.keys() == now.keys() and all(_same(v, now[k]) for k, v in before.items())


def _same_items(before: Any, now: Any) -> bool:
    if isinstance(now, set):
        return bool(before == now)
    return len(before) == len(now) and all(map(_same, before, now))


def _same_array(before: NDArray[Any], now: NDArray[Any]) -> bool:
    return bool(np.array_equal(before, now, equal_nan=before.dtype.kind == "f"))
