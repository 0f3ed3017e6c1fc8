"""What a mask selects, x[mask], and windows whose bounds depend on the round of a loop, x[j:min(j + B, N)]: lengths
that depend on data or on rounds. The entries are kept where they are in x.

Elementwise work, sums, extrema, and products that contract the selected axis of both operands need no more than that:
what is left out is worked out in vain, or counts as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, Expr, multiply, subtract
from symbackprop.frontends.numpy.array import Array, View, array
from symbackprop.frontends.numpy.errors import ShapesDoNotFit
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import Content, axis_indices
from symbackprop.frontends.numpy.symbolic import class_of, stands_for

REDUCED = ("mean", "max", "min", "prod")
NEW = slice(None)
BACKWARDS = slice(None, None, -1)
LEFT_OUT = {"sum": 0, "mean": 0, "prod": 1}  # what counts for nothing; for a maximum, what is there already


@dataclass(frozen=True)
class Selection:
    """Which entries of some axes are selected; these are one axis for those who look.

    Args:
        source: the mask, over these axes.
        length: how many places it selects, where that is known otherwise than by counting.
        place: one that it surely selects, where one is known.
    """

    source: Array
    length: Any = None
    place: Expr | None = None

    @property
    def ndim(self) -> int:
        """How many axes are one."""
        return self.source.ndim

    @property
    def count(self) -> Any:
        """How many places are selected."""
        return OPERATIONS["sum"](self.source) if self.length is None else self.length

    def reversed(self) -> Selection:
        """The same places of an axis that is read from its end."""
        (length,) = self.source.axes
        place = None if self.place is None else subtract(subtract(length, ONE), self.place)
        return Selection(self.source[BACKWARDS], self.length, place)

    def same(self, other: Selection) -> bool:
        """Whether it selects the same places."""
        return same_entries(self.source, other.source)


@stands_for(np.ndarray, "an array selected by a mask")
class Masked:
    """x[mask]: the entries where masks hold, kept at their places.

    Args:
        inner: an array of all entries.
        chosen: the selections, each by the axis of `inner` with which it begins.
        view: whether `inner` is the memory of the array that was selected from, as that of a slice is.
    """

    __slots__ = ("chosen", "inner", "view")
    __array_priority__ = 2000
    __class__ = class_of(lambda value: np.ones((1,) * value.ndim, value.inner.dtype))

    def __init__(self, inner: Array, chosen: Mapping[int, Selection], view: bool = False) -> None:
        self.inner, self.chosen, self.view = inner, dict(chosen), view

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc.__name__ not in OPERATIONS:
            raise TraceError(f"np.{ufunc.__name__} of an array selected by a mask cannot be traced")
        if ufunc.__name__ == "matmul":
            return OPERATIONS["matmul"](*inputs)
        return elementwise_masked(OPERATIONS[ufunc.__name__], *inputs)

    @property
    def axes(self) -> list[tuple[int, Selection | None]]:
        """For each axis where it begins in `inner`, and what selects along it."""
        found, at = list[tuple[int, "Selection | None"]](), 0
        while at < self.inner.ndim:
            selection = self.chosen.get(at)
            found.append((at, selection))
            at += 1 if selection is None else selection.ndim
        return found

    @property
    def ndim(self) -> int:
        """The axes of a mask are one."""
        return len(self.axes)

    @property
    def dtype(self) -> Any:
        """NumPy's type."""
        return self.inner.dtype

    @property
    def shape(self) -> tuple[Any, ...]:
        """Some sizes are numbers that depend on the mask, or on the round."""
        sizes = self.inner.shape
        return tuple(sizes[at] if selection is None else selection.count for at, selection in self.axes)

    @property
    def size(self) -> Any:
        """How many entries there are."""
        result: Any = 1
        for n in self.shape:
            result = n * result
        return result

    @property
    def T(self) -> Masked:
        """With the axes in reverse."""
        if self.ndim > 1 and any(s.ndim > 1 for s in self.chosen.values()):
            raise TraceError("the transpose of what a mask with several axes selects cannot be traced")
        last = self.inner.ndim - 1
        return Masked(self.inner.T, {last - at: s for at, s in self.chosen.items()}, self.view) if last else self

    def present(self, among: Iterable[int], left_out: Any = 0) -> Array:
        """The entries that the selections beginning at some axes keep, and a number elsewhere."""
        held = self._held(among)
        if held is None:
            return self.inner
        mask = array(self.inner.axes, held, "bool")
        return OPERATIONS["where"](mask, self.inner, left_out)  # type: ignore[no-any-return]

    def _held(self, among: Iterable[int]) -> Content | None:
        """Whether these selections keep an entry of `inner`; None if there are none."""
        masks = [(at, self.chosen[at].ndim, self.chosen[at].source.read(nonlinear=True)) for at in among]
        return (lambda i: multiply(*(content(i[at : at + n]) for at, n, content in masks))) if masks else None

    def write(self, content: Content) -> None:
        """Replace the entries that are selected, in the memory of `inner`."""
        held, base = self._held(self.chosen), self.inner
        outer = base.through.inverse

        def inverse(indices: tuple[Expr, ...]) -> tuple[Expr, tuple[Expr, ...]]:
            assert outer is not None and held is not None
            seen, own = outer(indices)
            return multiply(seen, held(own)), own

        target = Array(base.buffer, base.axes, View(base.through.forward, inverse if outer else None))
        target.shared = base.shared
        target.write(content)

    def copy(self) -> Masked:
        """Memory of its own; what is selected by a mask is a copy in any case."""
        return Masked(self.inner.copy(), self.chosen)

    def dot(self, other: Any) -> Any:
        """The product with another."""
        return OPERATIONS["dot"](self, other)

    def sum(self, axis: Any = None, keepdims: Any = False, **options: Any) -> Any:
        """The sum, along selected axes of the entries that are kept."""
        return reduced_masked("sum", self, axis, keepdims, **options)

    def __getitem__(self, key: Any) -> Masked:
        items = key if isinstance(key, tuple) else (key,)
        named = sum(i is not None and i is not Ellipsis for i in items)
        place = next((k for k, i in enumerate(items) if i is Ellipsis), len(items))
        items = (*items[:place], *[NEW] * (self.ndim - named), *items[place + 1 :])
        axes, own, chosen, after = iter(self.axes), list[Any](), dict[int, Selection](), 0
        for item in items:
            selection = None if item is None else next(axes)[1]
            if selection is not None:
                if isinstance(item, slice) and item == BACKWARDS and selection.ndim == 1:
                    selection = selection.reversed()
                elif not (isinstance(item, slice) and item == NEW):
                    raise TraceError("a subscript along an axis selected by a mask cannot be traced",
                                     help="use np.where, which keeps the entries in place")  # fmt: skip
                chosen[after] = selection
            elif item is not None and not isinstance(item, slice) and (not isinstance(item, int) or item is True):
                raise TraceError("a subscript of an array selected by a mask cannot be traced",
                                 help="use np.where, which keeps the entries in place")  # fmt: skip
            own += [item] if selection is None or selection.ndim == 1 else [NEW] * selection.ndim
            after += 0 if isinstance(item, int) else 1 if selection is None else selection.ndim
        return Masked(self.inner[tuple(own)], chosen, self.view)


def selected(inner: Array, source: Array, first: int = 0) -> Masked:
    """What a mask selects, whose axes begin at `first`."""
    return Masked(inner, {first: Selection(source)})


def _reduction(name: str) -> Callable[..., Any]:
    def method(self: Masked, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        return reduced_masked(name, self, axis, keepdims, **options)

    return method


for _name in REDUCED:
    setattr(Masked, _name, _reduction(_name))


def reduced_masked(name: str, value: Masked, axis: Any = None, keepdims: Any = False, **options: Any) -> Any:
    """A reduction, along selected axes of the entries that are kept."""
    if any(o is not None for o in options.values()):
        raise TraceError(f"np.{name} of an array selected by a mask with {', '.join(options)} cannot be traced")
    named = range(value.ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    groups, gone = value.axes, {int(k) % value.ndim for k in named}
    reduced = [at for k, (at, selection) in enumerate(groups) if k in gone and selection is not None]
    if any((keepdims and value.chosen[at].ndim > 1) or (name in ("max", "min") and value.chosen[at].place is None)
           for at in reduced):  # fmt: skip
        raise TraceError(f"np.{name} along an axis selected by a mask cannot be traced")
    if name == "min" and reduced:
        turned = Masked(OPERATIONS["negative"](value.inner), value.chosen)
        return OPERATIONS["negative"](reduced_masked("max", turned, axis, keepdims))
    places, chosen, after = list[int](), dict[int, Selection](), 0
    for k, (at, selection) in enumerate(groups):
        width = 1 if selection is None else selection.ndim
        if k in gone:
            places += range(at, at + width)
            width = int(bool(keepdims))
        elif selection is not None:
            chosen[after] = selection
        after += width
    left_out = _repeated(value, reduced) if name == "max" else LEFT_OUT.get(name, 0)
    present = value.present(reduced, left_out) if reduced else value.inner
    whole = "sum" if name == "mean" and reduced else name
    result = OPERATIONS[whole](present, axis=tuple(places), keepdims=bool(keepdims))
    result = Masked(result, chosen) if chosen else result
    if whole is name:
        return result
    sizes, count = value.shape, 1
    for k in sorted(gone):
        count = sizes[k] * count
    return OPERATIONS["divide"](result, count)


def _repeated(value: Masked, axes: Sequence[int]) -> Array:
    """The entry at a place that is surely selected, all along some axes."""
    content, places = value.inner.read(), {at: value.chosen[at].place for at in axes}
    return array(value.inner.axes, lambda i: content(tuple(places.get(k) or p for k, p in enumerate(i))), value.dtype)


def _binary(name: str, swapped: bool) -> Callable[[Masked, Any], Masked]:
    def operator(self: Masked, other: Any) -> Masked:
        return elementwise_masked(OPERATIONS[name], *((other, self) if swapped else (self, other)))

    return operator


def _inplace(name: str) -> Callable[[Masked, Any], Masked]:
    def operator(self: Masked, other: Any) -> Masked:
        result = elementwise_masked(OPERATIONS[name], self, other)
        if result.inner.dtype != self.inner.dtype:
            raise TraceError(f"numbers of type {result.inner.dtype} are put into an array of type {self.inner.dtype}")
        if result.inner.axes != self.inner.axes:
            raise ShapesDoNotFit("an operation in place changes the shape of an array")
        if self.view:
            self.write(result.inner.read())
        else:
            self.inner = result.inner  # for all who hold it
        return self

    return operator


_ARITHMETIC = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power"}
_COMPARING = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}
_LOGICAL = {"and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor"}
for _symbol, _name in (_ARITHMETIC | _COMPARING | _LOGICAL).items():
    setattr(Masked, f"__{_symbol}__", _binary(_name, False))
    if _symbol not in _COMPARING:
        setattr(Masked, f"__r{_symbol}__", _binary(_name, True))
for _symbol, _name in _ARITHMETIC.items():
    setattr(Masked, f"__i{_symbol}__", _inplace(_name))
setattr(Masked, "__neg__", lambda self: elementwise_masked(OPERATIONS["negative"], self))  # noqa: B010
setattr(Masked, "__abs__", lambda self: elementwise_masked(OPERATIONS["absolute"], self))  # noqa: B010
setattr(Masked, "__invert__", lambda self: elementwise_masked(OPERATIONS["invert"], self))  # noqa: B010
setattr(Masked, "__matmul__", lambda self, other: OPERATIONS["matmul"](self, other))  # noqa: B010
setattr(Masked, "__rmatmul__", lambda self, other: OPERATIONS["matmul"](other, self))  # noqa: B010


@stands_for(tuple, "the places where a mask holds")
class Places:
    """The places where a mask holds, as np.where(mask), np.nonzero and np.triu_indices give them.

    It is a subscript, or taken apart, i, j = np.nonzero(mask): along each axis a number for each place, kept there.
    """

    __slots__ = ("apart", "mask")
    __class__ = class_of(lambda _: (np.zeros(1, int),))

    def __init__(self, mask: Array) -> None:
        self.mask = mask
        selection = Selection(mask)
        self.apart = tuple(_Coordinate(self, k, selection) for k in range(mask.ndim))

    def __iter__(self) -> Iterator[Masked]:
        return iter(self.apart)

    def __len__(self) -> int:
        return len(self.apart)

    def __getitem__(self, k: Any) -> Any:
        return self.apart[k]


class _Coordinate(Masked):
    """Of each place where a mask holds its place along one axis."""

    __slots__ = ("along", "places")

    def __init__(self, places: Places, along: int, selection: Selection) -> None:
        super().__init__(array(places.mask.axes, lambda i: i[along], "integer"), {0: selection})
        self.places, self.along = places, along

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "inner" and hasattr(self, "along"):
            raise TraceError("a change in place of what np.nonzero gives cannot be traced", help="write i = i + 1")
        super().__setattr__(name, value)


def all_places(base: Array, key: Any) -> tuple[Array, Any]:
    """(the array, its subscript), where the subscript names all places of a mask, as np.nonzero gives them: the mask.

    Taken apart and in another order, base[j, i], it is the mask on the transposed array.
    """
    if isinstance(key, Places):
        return base, key.mask
    items = key if isinstance(key, tuple) else (key,)
    if not items or not all(isinstance(i, _Coordinate) for i in items):
        return base, key
    places, order = items[0].places, [i.along for i in items]
    if any(i.places is not places for i in items) or sorted(order) != list(range(places.mask.ndim)):
        return base, key
    turned = sorted(range(len(order)), key=order.__getitem__) + list(range(len(order), base.ndim))
    return (base if order == sorted(order) else OPERATIONS["transpose"](base, tuple(turned))), places.mask


def at_places(key: Any) -> tuple[Any, Selection, int] | None:
    """(the subscript of all entries, what selects among them, from which axis on), if numbers of places are in one.

    Raises:
        TraceError: other numbers are beside them.
    """
    items = key if isinstance(key, tuple) else (key,)
    named = [k for k, i in enumerate(items) if isinstance(i, Masked)]
    if not named:
        return None
    masked = [items[k] for k in named]
    selection = masked[0].chosen.get(0)
    plain = all(i.dtype.kind in "iu" and i.ndim == 1 for i in masked) and selection is not None
    beside = [i for i in items if not isinstance(i, (Masked, slice))]
    together = named[-1] - named[0] == len(named) - 1
    if not plain or selection is None or beside or not together:
        raise TraceError("a subscript by what a mask selects cannot be traced beside others",
                         help="use np.where, which keeps the entries in place")  # fmt: skip
    if not all(i.chosen[0].same(selection) for i in masked):
        raise TraceError("two arrays selected by different masks are combined")
    whole = tuple(i.inner if isinstance(i, Masked) else i for i in items)
    return whole, selection, named[0]


def elementwise_masked(operation: Callable[..., Any], *operands: Any) -> Masked:
    """An elementwise operation on operands with the same selections along the axes that they share, and numbers."""
    given = [o if isinstance(o, Masked) else Masked(as_array(o), {}) for o in operands]
    count = max(o.ndim for o in given)
    along: list[Selection | None] = []  # from the last axis to the first
    for k in range(1, count + 1):
        here = [(o, *o.axes[-k]) for o in given if o.ndim >= k]
        found = [selection for _, _, selection in here if selection is not None]
        if any(not found[0].same(other) for other in found[1:]):
            raise TraceError("two arrays selected by different masks are combined")
        if found and any(selection is None and o.inner.axes[at] is not ONE for o, at, selection in here):
            raise TraceError("an array selected by a mask is combined with a whole array")
        along.append(found[0] if found else None)
    chosen, at = dict[int, Selection](), 0
    for selection in reversed(along):
        if selection is not None:
            chosen[at] = selection
        at += 1 if selection is None else selection.ndim
    widened = (
        w if isinstance(o, Masked) or any(s is not None and s.ndim > 1 for s in along) else o
        for o, w in zip(operands, (spread(o, along) for o in given), strict=True)
    )
    return Masked(operation(*widened), chosen)


def spread(value: Masked, along: Sequence[Selection | None]) -> Array:
    """All entries, an axis of length 1 as many as those that a selection has there.

    Args:
        along: the selections of the other side, from the last axis on.
    """
    key = list[Any]()
    for k, (_, own) in enumerate(reversed(value.axes)):
        other = along[k]
        width = 1 if own is None else own.ndim
        key = [*[NEW] * width, *[None] * (0 if other is None else other.ndim - width), *key]
    return value.inner if all(k is not None for k in key) else value.inner[tuple(key)]


def same_entries(left: Array, right: Array) -> bool:
    """True if two arrays have the same entries, entry by entry the same expression."""
    if left is right:
        return True
    if left.axes != right.axes:
        return False
    indices = axis_indices(left.axes)
    return left.definition(indices) is right.definition(indices)


def contract_masked(
    contract: Callable[[list[Any], list[list[Any]], list[Any]], Any],
    operands: list[Any],
    labels: list[list[Any]],
    output: list[Any],
) -> Any:
    """A contraction in which selected axes take part: each is summed over where its mask holds, or stays selected.

    Args:
        contract: the contraction of whole arrays.
    """
    given = [o if isinstance(o, Masked) else Masked(o, {}) for o in operands]
    named = [list(zip(names, o.axes, strict=True)) for o, names in zip(given, labels, strict=True)]
    chosen = {name: s for axes in named for name, (_, s) in axes if s is not None}
    for operand, axes in zip(given, named, strict=True):
        for name, (at, selection) in axes:
            if name in chosen and selection is None and operand.inner.axes[at] is not ONE:
                raise TraceError("an array selected by a mask is combined with a whole array")
            if selection is not None and not selection.same(chosen[name]):
                raise TraceError("two arrays selected by different masks are combined")

    def wide(names: Iterable[Any], own: Mapping[Any, Selection | None]) -> list[Any]:
        widths = ((n, 1 if (s := own.get(n)) is None else s.ndim) for n in names)
        return [(n, k) if n in chosen else n for n, width in widths for k in range(width)]

    arrays, wider = [], []
    for operand, axes in zip(given, named, strict=True):
        arrays.append(operand.present(at for name, (at, s) in axes if s is not None and name not in output))
        wider.append(wide((name for name, _ in axes), {name: s for name, (_, s) in axes}))
    result = contract(arrays, wider, wide(output, chosen))
    kept, at = dict[int, Selection](), 0
    for name in output:
        if name in chosen:
            kept[at] = chosen[name]
        at += chosen[name].ndim if name in chosen else 1
    return Masked(result, kept) if kept else result


def triangle_of(name: str, m: Masked, k: Any) -> Masked:
    """The lower or upper triangle of blocks, each of which the same places of both axes select: their order is that of
    the places."""
    (row, rows), (column, columns) = m.axes[-2:]
    if (rows is None) != (columns is None) or (rows is not None and columns is not None and not rows.same(columns)):
        raise TraceError(f"np.{name} of a block whose rows and columns are selected otherwise cannot be traced")
    if rows is not None and (rows.ndim > 1 or (rows.length is None and k != 0)):
        raise TraceError(f"np.{name} beside the diagonal of what a mask selects cannot be traced")
    if (row, column) != (m.inner.ndim - 2, m.inner.ndim - 1):
        raise TraceError(f"np.{name} of what a mask with several axes selects cannot be traced")
    return Masked(OPERATIONS[name](m.inner, k), m.chosen)


def accumulated_masked(a: Masked, axis: Any, dtype: Any) -> Masked:
    """Sums of what is selected up to each place."""
    if axis is None and a.ndim > 1:
        raise TraceError("np.cumsum of all that is selected along several axes cannot be traced: name the axis")
    at, selection = a.axes[0 if axis is None else axis]
    if selection is not None and selection.ndim > 1:
        raise TraceError("np.cumsum of what a mask with several axes selects cannot be traced")
    whole = a.present([at] if selection is not None else [], 0)
    return Masked(OPERATIONS["cumsum"](whole, at, dtype), a.chosen)
