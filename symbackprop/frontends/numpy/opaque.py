"""What stands in for things that traced code may hold but not use: unknown numbers, their sources, and what is refused.

`Opaque` is a number or an array of which nothing is known, such as a random draw: it can be computed with and stored,
and whatever depends on it is opaque; a branch on it, its text, or a result that holds it stop the trace, with the line
where it came from. `Source` makes such. `Refused` stops the trace when it is used at all. `Ignored` is what only speaks
to people, such as a logger.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import asked_by_user, current, guarded
from symbackprop.frontends.numpy.symbolic import STANDS_FOR, stands_for

RANDOM = "random numbers: randomness must come in as an input"


def _stop(value: Any, _: str = "") -> Exception:
    return value.stop()  # type: ignore[no-any-return]


@stands_for(np.ndarray, "an unknown number", _stop)
class Opaque:
    """A number or array of which nothing is known.

    Args:
        what: where it comes from, "np.random.randn".
        help: what to do about it.
    """

    __slots__ = ("help", "what", "where")
    __array_priority__ = 3000

    def __init__(self, what: str, help: str | None) -> None:
        self.what, self.help, self.where = what, help, current().place()

    def stop(self) -> TraceError:
        """The error that says why it cannot be used."""
        return TraceError(f"{self.what} cannot be traced", where=self.where, help=self.help)

    def __getattr__(self, name: str) -> Any:
        if not asked_by_user() or name.startswith("__"):
            raise AttributeError(name)
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        pass  # it stays unknown

    def __call__(self, *args: Any, **options: Any) -> Any:
        """A method of an unknown array."""
        if "out" in options or any(is_mutable(a) for a in args):
            raise self.stop()
        return self

    def __copy__(self) -> Opaque:
        return self

    def __deepcopy__(self, _: Any) -> Opaque:
        return self

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            raise self.stop()
        return self


class NotYetThere(Opaque):
    """An item of a list that grows, read on one way of a branch before any pass of the loop has shown what its items
    are: the other way tells what the pass goes on with, and the next pass reads the item."""

    __slots__ = ()


def _same(self: Opaque, *_: Any) -> Opaque:
    return self


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    for _side in ("", "r", "i"):
        setattr(Opaque, f"__{_side}{_name}__", guarded(_same))
for _name in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "pos", "abs", "invert", "getitem"):
    setattr(Opaque, f"__{_name}__", guarded(_same))


STANDS_FOR[NotYetThere] = STANDS_FOR[Opaque]


def is_mutable(value: Any) -> bool:
    """True for what a function might change in place; a number that a symbolic array stands for is not."""
    if isinstance(value, Opaque) or getattr(value, "scalar", False):
        return False
    return isinstance(value, (set, np.ndarray)) or hasattr(type(value), "__setitem__")


@stands_for(np.ndarray, "what cannot be traced", _stop)
class Refused:
    """Something that cannot be traced; it says so when it is called or used."""

    def __init__(self, name: str, help: str | None = None) -> None:
        self._name, self._help = name, help

    def stop(self) -> TraceError:
        """The error that names it."""
        return TraceError(f"{self._name} cannot be traced", help=self._help)

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Refuse."""
        raise self.stop()

    def __getattr__(self, name: str) -> Any:
        if not asked_by_user():
            raise AttributeError(name)
        raise TraceError(f"{self._name}.{name} cannot be traced", help=self._help)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, _: Any) -> Any:
        return self


class Unsettled(Refused):
    """What a name, or a place of an object, holds after a branch on data that sets it on one way alone."""


class Source(Refused):
    """A module, generator or function whose numbers differ at each run: what it gives is opaque.

    What it is handed must be numbers, sizes and words: a list or an array might be shuffled in place.
    """

    def __getattr__(self, name: str) -> Any:
        if not asked_by_user():
            raise AttributeError(name)
        return Source(f"{self._name}.{name}", self._help)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """A draw, or another generator."""
        leaf = self._name.rpartition(".")[2]
        if any(map(is_mutable, (*args, *options.values()))) or leaf in _IN_PLACE:
            raise self.stop()
        if leaf in _GENERATORS:
            return Source(self._name, self._help)
        if leaf in _SILENT:
            return None
        shape = _shape_drawn(leaf, args, options)
        return Opaque(self._name, self._help) if not shape else OPERATIONS["drawn"](shape, self._name, self._help)


def _shape_drawn(leaf: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The shape of an array of real draws, None where it is not known: NumPy's usual functions, as they are called."""
    if leaf in ("rand", "randn"):
        return args
    place = _PLACE_OF_SIZE.get(leaf)
    if place is None or options.keys() - {"size", "loc", "scale", "low", "high"}:
        return None
    return options.get("size", args[place] if len(args) > place else None)


_PLACE_OF_SIZE = {"random": 0, "random_sample": 0, "standard_normal": 0, "normal": 2, "uniform": 2, "laplace": 2}
_GENERATORS = {"default_rng", "RandomState", "Generator", "Random", "SystemRandom", "SeedSequence", "PCG64", "MT19937",
               "Philox", "SFC64", "PRNGKey", "spawn"}  # fmt: skip
_SILENT = {"seed", "set_state", "setstate", "sleep"}
_IN_PLACE = {"shuffle", "__setstate__", "readinto"}
_source_call = guarded(Source.__call__)
Source.__call__ = _source_call  # type: ignore[method-assign]


class Ignored:
    """What only speaks to people: a logger, a stream. It may be called; nobody may ask what it answers."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Nothing happens."""
        return self

    def __getattr__(self, name: str) -> Any:
        if not asked_by_user() or name.startswith("__"):
            raise AttributeError(name)
        return Ignored(f"{self._name}.{name}")

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def stop(self) -> TraceError:
        """The error that names it."""
        return TraceError(f"what {self._name} answers cannot be traced")


stands_for(np.ndarray, "a logger", _stop)(Ignored)


def first_opaque(values: Any) -> Opaque | None:
    """The first unknown number among arguments."""
    return next((v for v in values if isinstance(v, Opaque)), None)


NotUsable = (Opaque, Refused, Ignored)
