"""Comprehensions over symbolic ranges, loops that count by themselves, and functions that call the user's again and
again."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Expr,
    Number,
    add,
    entries_once,
    fresh,
    substitute,
)
from symbackprop.frontends.numpy.array import Array, Journal, array
from symbackprop.frontends.numpy.branches import condition_of, kept
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, size_symbols
from symbackprop.frontends.numpy.growing import growing, is_made
from symbackprop.frontends.numpy.heap import Heap
from symbackprop.frontends.numpy.loops import Loop
from symbackprop.frontends.numpy.masked import selected
from symbackprop.frontends.numpy.operands import as_array, integer_of
from symbackprop.frontends.numpy.recurrences import (
    reduced_places,
)
from symbackprop.frontends.numpy.registry import OPERATIONS, implements
from symbackprop.frontends.numpy.sequences import (
    enumerated,
    index_name,
    items_of_symbolic_length,
    reversed_items,
    zipped,
)
from symbackprop.frontends.numpy.session import (
    axis_indices,
    current,
    guarded,
    is_so,
    minus,
    must_know,
    places_of,
)
from symbackprop.frontends.numpy.size import (
    Size,
    SymbolicItems,
    SymbolicIterator,
    SymbolicList,
    SymbolicRange,
    joined_items,
)
from symbackprop.frontends.numpy.views import axis_of


def _listed(items: Any, value: Callable[..., Any], test: Callable[..., Any] | None, spread: bool, as_list: bool) -> Any:
    """[value(x) for x in items if test(x)]

    Args:
        spread: an item is handed over as several arguments.
    """

    def call(function: Callable[..., Any], item: Any) -> Any:
        return function(*item) if spread else function(item)

    symbolic = items_of_symbolic_length(items)
    if symbolic is not None:
        return _Round(symbolic).listed(lambda item: call(value, item), test and (lambda item: call(test, item)))
    found: list[tuple[Expr | None, Any]] = []
    for item in items:
        asked = True if test is None else call(test, item)
        condition = condition_of(asked)
        if condition is not None or asked:
            found.append((condition, call(value, item)))
    result = kept(found)
    return iter(result) if isinstance(result, list) and not as_list else result


def _kept(items: Any) -> Any:
    """The items of a generator, each of which is computed when it is taken, and taken once."""
    if isinstance(items, SymbolicList):
        raise NeedsConcreteSizes("a generator that is not emptied at once", size_symbols(items.length))
    return items


class _Round:
    """The one round of a comprehension over a symbolic range, which changes nothing."""

    def __init__(self, items: SymbolicItems) -> None:
        self.session, self.items = current(), items
        self.place = self.session.place()
        self.index = fresh(index_name(self.session), items.length)

    def stop(self, why: str = "a comprehension over a symbolic range") -> Exception:
        """What asks for concrete length."""
        return NeedsConcreteSizes(why, size_symbols(self.index.size), where=self.place)

    def listed(self, value: Callable[[Any], Any], test: Callable[[Any], Any] | None) -> Any:
        """The values as an array, under a mask where there is a filter."""
        heap, journal, memory = Heap(self.session), Journal(self.place), self.session.memory()
        self.session.journals.append(journal)
        self.session.loops.append(self)
        item = self.items.item(self.index)
        asked: Any = True if test is None else test(item)
        condition = condition_of(asked)
        result = value(item) if condition is not None or asked else None
        if result is None and test is None:
            raise self.stop()
        if self.session.journals.pop() is not journal:
            raise self.stop("a comprehension over a symbolic range that is left by an exception")
        changed = heap.now()
        if journal.before or changed or is_made(result):
            if test is not None:
                raise self.stop("a comprehension over a symbolic range that changes something")
            heap.restore(changed)
            for buffer, state in journal.before.items():
                buffer.restore(state)
            self.session.recall(memory)
            self.session.loops.pop()
            return _Listing(self.items).listed(value)
        if result is not None and not isinstance(result, (Array, Size, int, float, np.generic)):
            raise self.stop()
        values = self._along(as_array(0.0 if result is None else result))
        found: Any = SymbolicList(values)
        if condition is not None or result is None:
            if values.ndim > 1:
                raise self.stop()
            mask = self._along(array((), lambda _: ZERO if condition is None else condition, "bool"))
            found = selected(values, mask)
        self.session.loops.pop()
        return found

    def _along(self, value: Array) -> Array:
        """The values of all rounds, along a first axis."""
        content = value.read()
        own = axis_indices(value.axes)
        entry_ = content(places_of(own))
        if self.session.carried and any(e.tensor in self.session.carried for e in entries_once(entry_)):
            raise self.stop()

        def entries(indices: tuple[Expr, ...]) -> Expr:
            return reduced_places(
                substitute(entry_, {self.index: indices[0], **dict(zip(own, indices[1:], strict=True))})
            )

        return array((self.index.size, *value.axes), entries, value.dtype)


class _Listing(Loop):
    """A comprehension whose rounds change something, or whose values are tuples: a loop that puts them into a list."""

    def __init__(self, items: SymbolicItems) -> None:
        super().__init__(items, ("values",), True, ())
        self.values: Any = []

    def _locals(self) -> dict[Any, Any]:
        return {"values": self.values}

    def _find_growing(self) -> None:
        super()._find_growing()
        made = growing(self.session, [], self.index, self.stop, self._was_there, True)
        assert made is not None, "an empty list may grow"
        self.growing["values"] = made

    def listed(self, value: Callable[[Any], Any]) -> Any:
        """The list of the values."""
        for item in self:
            self.values = self.before("values")
            self.values.append(value(item))
        return self.after("values")


# --- functions of NumPy that call the user's, again and again -----------------------------------------------------


@implements("apply_along_axis")
def _apply_along_axis(func1d: Any, axis: Any, arr: Any, *args: Any, **options: Any) -> Any:
    base = as_array(arr)
    place = axis_of(axis, base.ndim)
    result = as_array(_applied(lambda row: func1d(row, *args, **options), OPERATIONS["moveaxis"](base, place, -1)))
    new = result.ndim - (base.ndim - 1)  # the axes of what the function gives come in place of the one it takes
    order = [*range(place), *range(base.ndim - 1, base.ndim - 1 + new), *range(place, base.ndim - 1)]
    return OPERATIONS["transpose"](result, tuple(order)) if result.ndim else result


def _applied(function: Callable[[Any], Any], values: Array, kept: int = 1) -> Any:
    """The function of every part with `kept` axes, along the axes before."""
    if values.ndim == kept:
        return function(values)
    rows = _listed(values, lambda row: _applied(function, row, kept), None, False, True)
    return OPERATIONS["array"](rows)


@implements("vectorize")
def _vectorize(pyfunc: Any, otypes: Any = None, **options: Any) -> Any:
    """A function of scalars, called for each entry; the type of its results must be said, since NumPy takes that of the
    first one."""
    kinds = [getattr(t, "traced_type", t) for t in otypes] if isinstance(otypes, (list, tuple)) else [otypes]
    if kinds not in ([float], ["d"], [np.float64]) or options:
        raise TraceError("np.vectorize without otypes=[float] cannot be traced",
                         help="say the type of the results: NumPy takes that of the first entry")  # fmt: skip

    def call(*operands: Any) -> Any:
        arrays = OPERATIONS["broadcast_arrays"](*operands)
        if len(arrays) == 1:
            return _applied(lambda v: OPERATIONS["multiply"](pyfunc(v[()]), 1.0), arrays[0], 0)
        together = OPERATIONS["stack"](arrays, -1)
        return _applied(lambda v: OPERATIONS["multiply"](pyfunc(*(v[k] for k in range(len(arrays)))), 1.0), together)

    return guarded(call)


def _as_list(make: Any, items: Any) -> Any:
    """list(x) of symbolic length: numbers are what they are now, rows are views."""
    if make is list and isinstance(items, SymbolicIterator):
        return items.listed()  # list(enumerate(x)): gone through by a loop
    if make is not list or items_of_symbolic_length(items) is None:
        return make(items)
    base = as_array(items)
    return SymbolicList(OPERATIONS["copy"](base) if base.ndim == 1 else base)


def _until_empty(items: Callable[[], Any], test: Callable[[], Any]) -> Any:
    """The rounds of `while items:`, as many as there are items in a list of symbolic length."""
    held = items()
    found = items_of_symbolic_length(held) if isinstance(held, SymbolicList) else None
    return SymbolicItems(found.length, lambda _: None) if found else _rounds(test)


def _rounds(test: Callable[[], Any]) -> Iterator[None]:
    while test():
        yield None


def _emptied(items: Any) -> None:
    """Refuse a list of symbolic length that its loop has not emptied: the loop has other rounds than it has items."""
    if isinstance(items, SymbolicList) and is_so("==", items.length, ZERO) is not True:
        raise NeedsConcreteSizes("a loop that goes on until a list is empty", size_symbols(items.length))


def _counted(
    relation: str,
    test: Callable[[], Any],
    counter: Callable[[], Any],
    bound: Callable[[], Any],
    step: Callable[[], Any],
) -> Any:
    """The rounds of `while counter < bound:`, whose body adds a number to the counter; its value in each."""
    ends = [integer_of(counter()), integer_of(bound())]
    if any(e is None for e in ends) or all(isinstance(e, Number) for e in ends):
        return _values(test, counter)
    beyond = {"<=": 1, ">=": -1}.get(relation, 0)
    return items_of_symbolic_length(SymbolicRange(counter(), bound() + beyond, step()))


def _values(test: Callable[[], Any], counter: Callable[[], Any]) -> Iterator[Any]:
    while test():
        yield counter()


def _known_to_be(wanted: bool) -> Callable[[Any], None]:
    """Refuse a loop over a symbolic range whose test is not known to be this in each round."""

    def check(test: Any) -> None:
        value = test.read()(()) if isinstance(test, Array) else test.expr if isinstance(test, Size) else None
        zero = not test if value is None else is_so("==", value, ZERO)
        if zero is None or zero is wanted:
            assert value is not None, "Python has just asked the same"
            raise NeedsConcreteSizes("a `while` whose test is not known in each round", size_symbols(value))

    return check


class _Folding(Loop):
    """A function of what it gave before and of an item, for one item after the other: functools.reduce."""

    def __init__(self, items: SymbolicItems) -> None:
        super().__init__(items, ("value",), True, ())

    def _locals(self) -> dict[Any, Any]:
        return {"value": self.value}

    def folded(self, function: Callable[[Any, Any], Any], value: Any) -> Any:
        """What the function gives at last."""
        self.value = value
        for item in self:
            self.value = function(self.before("value"), item)
        return self.after("value")


class _Accumulating(_Listing):
    """The same, with all that the function gave on the way: itertools.accumulate."""

    def _locals(self) -> dict[Any, Any]:
        return {"values": self.values, "value": self.value}

    def accumulated(self, function: Callable[[Any, Any], Any], value: Any) -> Any:
        """The list of these."""
        self.names, self.value = ("values", "value"), value
        for item in self:
            self.values, self.value = self.before("values"), function(self.before("value"), item)
            self.values.append(self.value)
        return self.after("values")


_NONE = object()


def _begun(items: Any, initial: Any) -> tuple[SymbolicItems | None, Any]:
    """(what a fold over a symbolic length goes through, the value with which it begins); None of other lengths."""
    found = items_of_symbolic_length(items)
    if found is None or initial is not _NONE:
        return found, initial
    must_know("<=", ONE, found.length, "the length of what is folded")
    return SymbolicItems(minus(found.length, ONE), lambda i: found.item(add(i, ONE))), found.item(ZERO)


def _reduce(function: Callable[[Any, Any], Any], items: Any, initial: Any = _NONE) -> Any:
    """functools.reduce"""
    found, value = _begun(items, initial)
    if found is None:
        return functools.reduce(function, items, *(() if initial is _NONE else (initial,)))
    return _Folding(found).folded(function, value)


def _accumulate(items: Any, func: Any = None, *, initial: Any = None) -> Any:
    """itertools.accumulate"""
    function = OPERATIONS["add"] if func is None else func
    found, value = _begun(items, _NONE if initial is None else initial)
    if found is None:
        return itertools.accumulate(items, function, initial=initial)
    rest = _Accumulating(found).accumulated(function, value)
    arrays = [OPERATIONS["stack"]([value]), OPERATIONS["array"](rest)]
    return SymbolicIterator(SymbolicList(joined_items(arrays, [value, rest.alone()])))


FOLDS: dict[int, Callable[..., Any]] = {
    id(functools.reduce): guarded(_reduce),
    id(itertools.accumulate): guarded(_accumulate),
}
LOOP_HELPERS: dict[str, Callable[..., Any]] = {
    "__as_list__": guarded(_as_list),
    "__loop__": guarded(Loop),
    "__until_empty__": guarded(_until_empty),
    "__emptied__": guarded(_emptied),
    "__counted__": guarded(_counted),
    "__goes_on__": guarded(_known_to_be(True)),
    "__ends__": guarded(_known_to_be(False)),
    "__listed__": guarded(_listed),
    "__kept__": guarded(_kept),
    "zip": guarded(zipped),
    "enumerate": guarded(enumerated),
    "reversed": guarded(reversed_items),
}
__all__ = ["FOLDS", "LOOP_HELPERS"]
