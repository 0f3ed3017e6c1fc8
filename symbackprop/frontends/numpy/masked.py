"""What a mask selects: x[mask], whose length depends on data. Its entries are kept where they are in x.

Elementwise work, sums, and products that contract the selected axis of both operands need no more than that: what the
mask leaves out is worked out in vain, or counts as 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE
from symbackprop.frontends.numpy.array import Array, array
from symbackprop.frontends.numpy.errors import ShapesDoNotFit
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import axis_indices
from symbackprop.frontends.numpy.symbolic import class_of, stands_for

REDUCED = ("mean", "max", "min", "prod")  # the others but the mean along axes that are not selected
NEW = slice(None)


@stands_for(np.ndarray, "an array selected by a mask")
class Masked:
    """x[mask]: the entries where a mask holds, kept at their places.

    Args:
        inner: an array of all entries.
        source: the mask.
        first: where its axes stand among those of `inner`; they are one axis here.
    """

    __slots__ = ("first", "inner", "source")
    __array_priority__ = 2000
    __class__ = class_of(lambda value: np.ones((1,) * value.ndim, value.inner.dtype))

    def __init__(self, inner: Array, source: Array, first: int = 0) -> None:
        self.inner, self.source, self.first = inner, source, first

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc.__name__ not in OPERATIONS:
            raise TraceError(f"np.{ufunc.__name__} of an array selected by a mask cannot be traced")
        if ufunc.__name__ == "matmul":
            return OPERATIONS["matmul"](*inputs)
        return elementwise_masked(OPERATIONS[ufunc.__name__], *inputs)

    @property
    def mask(self) -> Array:
        """The mask, spread over the axes of `inner`."""
        content, own = self.source.read(), slice(self.first, self.first + self.source.ndim)
        return array(self.inner.axes, lambda i: content(i[own]), "bool")

    @property
    def ndim(self) -> int:
        """The axes of the mask are one."""
        return self.inner.ndim - self.source.ndim + 1

    @property
    def dtype(self) -> Any:
        """NumPy's type."""
        return self.inner.dtype

    @property
    def count(self) -> Any:
        """How many places the mask selects."""
        return OPERATIONS["sum"](self.source)

    @property
    def shape(self) -> tuple[Any, ...]:
        """One of the sizes is a number that depends on the mask."""
        sizes = self.inner.shape
        return (*sizes[: self.first], self.count, *sizes[self.first + self.source.ndim :])

    @property
    def size(self) -> Any:
        """How many entries there are."""
        result = self.count
        for k, n in enumerate(self.shape):
            result = result if k == self.first else result * n
        return result

    @property
    def T(self) -> Masked:
        """With the axes in reverse."""
        if self.ndim > 1 and self.source.ndim > 1:
            raise TraceError("the transpose of what a mask with several axes selects cannot be traced")
        return Masked(self.inner.T, self.source, self.ndim - 1 - self.first) if self.ndim > 1 else self

    def places(self, axes: Any) -> tuple[list[int], bool]:
        """(the axes of `inner` that these are, whether the selected one is among them)."""
        named = range(self.ndim) if axes is None else axes if isinstance(axes, (tuple, list)) else (axes,)
        own = [int(k) % self.ndim for k in named]
        before, after = [k for k in own if k < self.first], [k for k in own if k > self.first]
        selected = range(self.first, self.first + self.source.ndim) if self.first in own else ()
        return [*before, *selected, *(k + self.source.ndim - 1 for k in after)], bool(selected)

    def present(self) -> Array:
        """The entries that the mask selects, and 0 elsewhere."""
        return OPERATIONS["where"](self.mask, self.inner, 0)  # type: ignore[no-any-return]

    def copy(self) -> Masked:
        """Memory of its own; what is selected by a mask is a copy in any case."""
        return Masked(self.inner.copy(), self.source, self.first)

    def dot(self, other: Any) -> Any:
        """The product with another."""
        return OPERATIONS["dot"](self, other)

    def sum(self, axis: Any = None, keepdims: Any = False, **options: Any) -> Any:
        """The sum, along the selected axis of the entries that the mask keeps."""
        return reduced_masked("sum", self, axis, keepdims, **options)

    def __getitem__(self, key: Any) -> Masked:
        items = key if isinstance(key, tuple) else (key,)
        if Ellipsis in [i for i in items if i is Ellipsis]:
            place = next(k for k, i in enumerate(items) if i is Ellipsis)
            named = sum(i is not None and i is not Ellipsis for i in items)
            items = (*items[:place], *[NEW] * (self.ndim - named), *items[place + 1 :])
        if not all(i is None or (isinstance(i, slice) and i == NEW) for i in items):
            raise TraceError("a subscript of an array selected by a mask cannot be traced",
                             help="use np.where, which keeps the entries in place")  # fmt: skip
        seen, first, own = 0, self.first, list[Any]()
        for item in items:
            first += item is None and seen <= self.first
            own += [item] if item is None or seen != self.first else [NEW] * self.source.ndim
            seen += item is not None
        return Masked(self.inner[tuple(own)], self.source, first)


def _reduction(name: str) -> Callable[..., Any]:
    def method(self: Masked, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        return reduced_masked(name, self, axis, keepdims, **options)

    return method


for _name in REDUCED:
    setattr(Masked, _name, _reduction(_name))


def reduced_masked(name: str, value: Masked, axis: Any = None, keepdims: Any = False, **options: Any) -> Any:
    """A sum, a mean, or along the axes that are not selected another reduction."""
    if any(o is not None for o in options.values()):
        raise TraceError(f"np.{name} of an array selected by a mask with {', '.join(options)} cannot be traced")
    axes, selected = value.places(axis)
    if not selected:
        inner = OPERATIONS[name](value.inner, axis=tuple(axes), keepdims=keepdims)
        fewer = 0 if keepdims else sum(k < value.first for k in axes)
        return Masked(inner, value.source, value.first - fewer)
    if name not in ("sum", "mean") or (keepdims and value.source.ndim > 1):
        raise TraceError(f"np.{name} along an axis selected by a mask cannot be traced")
    total = OPERATIONS["sum"](value.present(), axis=tuple(axes), keepdims=keepdims)
    if name == "sum":
        return total
    count = value.count
    for k in axes:
        if not value.first <= k < value.first + value.source.ndim:
            count = count * value.inner.shape[k]
    return OPERATIONS["divide"](total, count)


def _binary(name: str, swapped: bool) -> Callable[[Masked, Any], Masked]:
    def operator(self: Masked, other: Any) -> Masked:
        return elementwise_masked(OPERATIONS[name], *((other, self) if swapped else (self, other)))

    return operator


def _inplace(name: str) -> Callable[[Masked, Any], Masked]:
    def operator(self: Masked, other: Any) -> Masked:
        result = elementwise_masked(OPERATIONS[name], self, other)
        if result.inner.dtype != self.inner.dtype:
            raise TraceError(f"numbers of type {result.inner.dtype} are put into an array of type {self.inner.dtype}")
        if result.ndim != self.ndim:
            raise ShapesDoNotFit("an operation in place changes the number of axes")
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
    """The places where a mask holds, as np.where(mask), np.nonzero and np.triu_indices give them: a subscript only."""

    __slots__ = ("mask",)
    __class__ = class_of(lambda _: (np.zeros(1, int),))

    def __init__(self, mask: Array) -> None:
        self.mask = mask


def elementwise_masked(operation: Callable[..., Any], *operands: Any) -> Masked:
    """An elementwise operation on operands under the same mask, scalars, and arrays along the axes that follow."""
    first, *others = [o for o in operands if isinstance(o, Masked)]
    if any(not same_entries(first.source, o.source) for o in others):
        raise TraceError("two arrays selected by different masks are combined")
    after = _after(first)
    if any(_after(o) != after for o in others):
        raise TraceError("arrays selected by a mask along different axes are combined")
    if any(not isinstance(o, Masked) and as_array(o).ndim > after and as_array(o).axes[-after - 1] is not ONE
           for o in operands):  # fmt: skip
        raise TraceError("an array selected by a mask is combined with a whole array")
    inner = operation(*(o.inner if isinstance(o, Masked) else spread(o, after, first.source.ndim) for o in operands))
    return Masked(inner, first.source, inner.ndim - after - first.source.ndim)


def _after(value: Masked) -> int:
    """How many axes stand behind the selected one."""
    return value.ndim - 1 - value.first


def spread(value: Any, after: int, count: int) -> Any:
    """An array of which one entry goes with all that a mask selects: its axis of length 1 is as many as the mask's."""
    whole = as_array(value)
    if whole.ndim <= after or count == 1:
        return value
    before = whole.ndim - after - 1
    return whole[(*[NEW] * (before + 1), *[None] * (count - 1))]


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
    """A contraction in which selected axes take part: each is summed over where the mask holds, or stays selected.

    Args:
        contract: the contraction of whole arrays.
    """
    sources = {names[o.first]: o.source for o, names in zip(operands, labels, strict=True) if isinstance(o, Masked)}
    for operand, names in zip(operands, labels, strict=True):
        for k, name in enumerate(names):
            if name not in sources:
                continue
            if not isinstance(operand, Masked) or operand.first != k:
                raise TraceError("an array selected by a mask is combined with a whole array")
            if not same_entries(operand.source, sources[name]):
                raise TraceError("two arrays selected by different masks are combined")
    kept = [name for name in output if name in sources]
    if len(kept) > 1:
        raise TraceError("a product of arrays selected by two masks cannot be traced")
    wider = {name: [(name, k) for k in range(source.ndim)] for name, source in sources.items()}

    def wide(names: list[Any]) -> list[Any]:
        return [n for name in names for n in wider.get(name, [name])]

    summed = set(sources) - set(kept)
    arrays = []
    for operand, names in zip(operands, labels, strict=True):
        if isinstance(operand, Masked):
            arrays.append(operand.present() if names[operand.first] in summed else operand.inner)
        else:
            arrays.append(operand)
    result = contract(arrays, [wide(names) for names in labels], wide(output))
    return Masked(result, sources[kept[0]], output.index(kept[0])) if kept else result
