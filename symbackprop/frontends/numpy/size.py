"""Sizes that behave like Python's integers: arithmetic is exact, comparisons are proved, or the trace says which sizes
must be fixed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NoReturn

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Expr,
    Number,
    Quotient,
    Remainder,
    add,
    multiply,
    negate,
    number,
    power,
    substitute,
    subtract,
)
from symbackprop.expression.sizes import Relation
from symbackprop.frontends.numpy.dtypes import EXACT, near_integer, needs_floats
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, size_symbols
from symbackprop.frontends.numpy.records import Handed, Together, filled, is_fixed
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import as_int, as_numpy, asked_by_user, current, is_so, must_know, reduced
from symbackprop.frontends.numpy.symbolic import class_of, stands_for
from symbackprop.rendering.text import to_text


def _needs_number(value: Any, name: str) -> Exception:
    parts = [e for e in map(size_expr, getattr(value, "bounds", (value,))) if e is not None]
    parts += [value.length] if isinstance(value, (SymbolicItems, SymbolicIterator, SymbolicList, Slots)) else []
    return NeedsConcreteSizes("a number is needed here, not a symbolic size", size_symbols(*parts))


@stands_for(int, "a symbolic size", _needs_number)
class Size:
    """A symbolic integer: a size, or something computed from sizes. What is not answered here for all sizes (its hash,
    its text, its bits) asks for concrete ones."""

    __slots__ = ("expr",)
    __class__ = class_of(lambda _: 1)

    def __init__(self, expr: Expr) -> None:
        self.expr = expr

    def __repr__(self) -> str:
        if asked_by_user():
            raise _needs_number(self, "__repr__")
        return to_text(self.expr)

    def __hash__(self) -> int:
        raise _needs_number(self, "__hash__")

    def __copy__(self) -> Size:
        return self

    def __deepcopy__(self, _: Any) -> Size:
        return self

    @property
    def real(self) -> Size:
        """The size itself, as of every integer."""
        return self

    @property
    def numerator(self) -> Size:
        """The size itself, as of every integer."""
        return self

    @property
    def imag(self) -> int:
        """0, as of every integer."""
        return 0

    @property
    def denominator(self) -> int:
        """1, as of every integer."""
        return 1

    def __add__(self, other: Any) -> Any:
        return _both(self, other, add, "add")

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return _both(self, other, subtract, "subtract")

    def __rsub__(self, other: Any) -> Any:
        return _both(other, self, subtract, "subtract")

    def __mul__(self, other: Any) -> Any:
        if type(other) is list and len(other) == 1 and other[0] is None:
            return Slots(self.expr)
        if isinstance(other, (list, tuple)):
            _concrete(self.expr, "a sequence is repeated a symbolic number of times")
        return _both(self, other, multiply, "multiply")

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        return _both(self, other, Quotient, "floor_divide")

    def __rfloordiv__(self, other: Any) -> Any:
        return _both(other, self, Quotient, "floor_divide")

    def __mod__(self, other: Any) -> Any:
        return _both(self, other, Remainder, "remainder")

    def __rmod__(self, other: Any) -> Any:
        return _both(other, self, Remainder, "remainder")

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __truediv__(self, other: Any) -> Any:
        return OPERATIONS["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return OPERATIONS["divide"](other, self)

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        if modulus is not None:
            raise _needs_number(self, "__pow__")
        if isinstance(other, int) and other >= 0:
            return size(power(self.expr, other))
        return OPERATIONS["power"](self, other)

    def __rpow__(self, other: Any, modulus: Any = None) -> Any:
        if modulus is not None:
            raise _needs_number(self, "__rpow__")
        return OPERATIONS["power"](other, self)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        if name not in OPERATIONS:
            raise TraceError(f"np.{name} cannot be traced")
        return OPERATIONS[name](*inputs, **options)

    def __neg__(self) -> Any:
        return size(negate(self.expr))

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __lt__(self, other: Any) -> Any:
        return _compare("<", self, other)

    def __le__(self, other: Any) -> Any:
        return _compare("<=", self, other)

    def __gt__(self, other: Any) -> Any:
        return _compare("<", other, self)

    def __ge__(self, other: Any) -> Any:
        return _compare("<=", other, self)

    def __eq__(self, other: Any) -> Any:
        return _compare("==", self, other)

    def __ne__(self, other: Any) -> Any:
        answer = _compare("==", self, other)
        return answer if answer is NotImplemented else not answer

    def __bool__(self) -> bool:
        return not must_know("==", self.expr, ZERO, "a branch on a size")

    def __index__(self) -> int:
        return _concrete(self.expr, "a number is needed here, not a symbolic size")

    def __int__(self) -> int:
        return _concrete(self.expr, "a number is needed here, not a symbolic size")

    def __float__(self) -> float:
        return float(_concrete(self.expr, "a number is needed here, not a symbolic size"))


def _deferring(operator: Callable[..., Any]) -> Callable[..., Any]:
    """An operator that leaves the answer to arrays that have operators of their own, as those of torch and JAX."""

    def deferring(self: Size, other: Any, *rest: Any) -> Any:
        return NotImplemented if getattr(type(other), "own_operators", False) else operator(self, other, *rest)

    return deferring


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    for _side in ("", "r"):
        setattr(Size, f"__{_side}{_name}__", _deferring(getattr(Size, f"__{_side}{_name}__")))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Size, f"__{_name}__", _deferring(getattr(Size, f"__{_name}__")))


@stands_for(range, "a range of symbolic length", _needs_number)
class SymbolicRange:
    """range(n) of a symbolic size: a subscript like np.arange(n), but no loop."""

    __slots__ = ("bounds",)
    __class__ = class_of(lambda _: range(1))

    def __init__(self, *bounds: Any) -> None:
        self.bounds = bounds

    def __iter__(self) -> Iterator[Any]:
        parts = [e for e in map(size_expr, self.bounds) if e is not None]
        raise NeedsConcreteSizes("a loop over a symbolic range", size_symbols(*parts))

    def __getitem__(self, key: Any) -> Any:
        """range(n)[::-1], range(n)[1:]: the numbers in an array; range(n)[0]: one of them."""
        return OPERATIONS["arange"](*self.bounds)[key]

    def __eq__(self, other: object) -> bool:
        raise _needs_number(self, "__eq__")

    def __hash__(self) -> int:
        raise _needs_number(self, "__hash__")

    def __repr__(self) -> str:
        raise _needs_number(self, "__repr__")


@stands_for(enumerate, "a sequence of symbolic length", _needs_number)
class SymbolicItems:
    """What a loop goes through: how many items, and which one comes in a round.

    Args:
        start: the first item, where they are integers one after another.
    """

    __slots__ = ("item", "length", "start")
    __class__ = class_of(lambda _: enumerate(()))

    def __init__(self, length: Expr, item: Callable[[Expr], Any], start: Expr | None = None) -> None:
        self.length, self.item, self.start = length, item, start

    def __iter__(self) -> Iterator[Any]:
        raise NeedsConcreteSizes("a loop over a symbolic range", size_symbols(self.length))


@stands_for(enumerate, "an iterator of symbolic length", _needs_number)
class SymbolicIterator:
    """What gives its items once: zip(x, y), reversed(x).

    Args:
        items: those that are left.
        numbers: the arrays whose numbers are items or in them.
    """

    __slots__ = ("items", "numbers", "spent")
    __class__ = class_of(lambda _: enumerate(()))

    def __init__(self, items: SymbolicItems | SymbolicList, numbers: Sequence[Any] = ()) -> None:
        self.items, self.numbers, self.spent = items, numbers, False

    @property
    def length(self) -> Expr:
        """How many items it has at first."""
        return self.items.length

    def taken(self) -> SymbolicItems | SymbolicList:
        """All items.

        Raises:
            NeedsConcreteSizes: they were taken before.
        """
        if self.spent:
            raise NeedsConcreteSizes("an iterator that is gone through more than once", size_symbols(self.length))
        self.spent = True
        return self.items

    def listed(self) -> SymbolicItems | SymbolicList:
        """A list of the items: numbers are what they are now."""
        items, now = self.taken(), [(a.buffer, a.buffer.version) for a in self.numbers]
        if isinstance(items, SymbolicList):
            return items

        def item(place: Expr) -> Any:
            if any(buffer.version != version for buffer, version in now):
                raise NeedsConcreteSizes(
                    "a list of the numbers of an array that is changed later", size_symbols(items.length)
                )
            return items.item(place)

        return SymbolicItems(items.length, item, items.start)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.taken())


@stands_for(list, "a list of symbolic length", _needs_number)
class SymbolicList:
    """A list of symbolic length: of numbers, of arrays of one shape, or of what is made of these.

    Args:
        whole: the items lie along the first axis of an array, or of several.
    """

    __slots__ = ("back", "front", "whole")
    __class__ = class_of(lambda _: [1])

    def __init__(self, whole: Any) -> None:
        self.whole = whole
        self.front: Any = 0  # how many items are taken from the front, and from the end
        self.back: Any = 0

    def __iter__(self) -> Iterator[Any]:
        return iter(self.alone())

    def left(self) -> Any:
        """What holds the items that are left."""
        if type(self.front) is type(self.back) is int and self.front == self.back == 0:
            return self.whole
        return _part(self.whole, slice(self.front, size(_length(self.whole)) - self.back))

    @property
    def length(self) -> Expr:
        """How many items are left."""
        return _length(self.left())

    def alone(self) -> Any:
        """The one array that holds the items."""
        left = self.left()
        if isinstance(left, Together):
            raise TraceError("a list of tuples, of symbolic length, cannot be traced where an array is needed")
        return left

    def pop(self, place: Any = -1) -> Any:
        """Take the last item, or the first one, from the list."""
        if place != -1 and place != 0:
            raise TraceError("an item out of the middle of a list of symbolic length cannot be taken")
        if place == 0:
            self.front = self.front + 1
            return self._item(self.whole, self.front - 1)
        self.back = self.back + 1
        return self._item(self.whole, size(_length(self.whole)) - self.back)

    def append(self, value: Any) -> None:
        """One more item; in rounds and arms it is a list of another length that they leave."""
        session = current()
        if session.loops or session.arms:
            raise _needs_number(self, "append")
        self.whole, self.front, self.back = self._joined(self, [value]).whole, 0, 0

    def __add__(self, other: Any) -> SymbolicList:
        return self._joined(self, other)

    def __radd__(self, other: Any) -> SymbolicList:
        return self._joined(other, self)

    def _joined(self, *lists: Any) -> SymbolicList:
        """The items of lists, one after the other: arrays of one shape and type."""
        own = self.alone()
        found = [own if v is self else _array_of(v, own) for v in lists if type(v) is not list or v]
        if any(array is None for array in found):
            raise _needs_number(self, "__add__")
        held = [own, *(v for items in lists if type(items) is list for v in items)]
        return SymbolicList(joined_items(found, held))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return SymbolicList(_part(self.left(), key))
        return self._item(self.left(), key)

    def _item(self, items: Any, key: Any) -> Any:
        if not isinstance(items, Together):
            return items[key]
        if is_fixed(items.outline):
            return filled(items.outline, iter([a[key] for a in items.arrays]))
        session = current()
        place = reduced(items.places[key].read()(()))
        loop = session.loops[-1] if session.loops else None
        when = (loop, session.passes, place)
        for earlier in items.handed:
            if earlier.when == when:
                return earlier.value
            if earlier.changed and not (earlier.when[::2] == when[::2] and _once(session.loops, place)):
                raise self._changed()
            if earlier.when[:2] == when[:2] and is_so("==", earlier.when[2], place) is not False:
                raise self._changed()  # it may be the same item, of which each would have a copy
        found = Handed(items.outline, [a[key] for a in items.arrays], when)
        items.handed.append(found)
        return found.value

    def _changed(self) -> Exception:
        return NeedsConcreteSizes(
            "an item of a list of symbolic length that may be changed, and is read again", size_symbols(self.length)
        )


def joined_items(arrays: list[Any], held: list[Any]) -> Any:
    """The items of several arrays in one, which may be views of what is `held` as it is now."""
    whole = OPERATIONS["concatenate"](arrays)
    views = (v for v in held if hasattr(v, "buffer") and not v.scalar)
    whole.shared = tuple((v.buffer, v.buffer.version) for v in views)
    return whole


def _array_of(items: Any, like: Any) -> Any:
    """The items of a list as an array; None unless they are like those of another one."""
    if isinstance(items, SymbolicList):
        array = items.alone()
    elif type(items) is list and all(hasattr(v, "buffer") or type(v) is float for v in items):
        rows = [OPERATIONS["asarray"](v) for v in items]
        array = OPERATIONS["stack"](rows) if all(r.axes == like.axes[1:] for r in rows) else None
    else:
        array = None
    fits = array is not None and array.axes[1:] == like.axes[1:] and array.dtype == like.dtype
    return array if fits else None


def _length(items: Any) -> Expr:
    """How many items lie in an array, or in several."""
    length: Expr = (items.arrays[0] if isinstance(items, Together) else items).axes[0]
    return length


def _part(items: Any, key: slice) -> Any:
    return items.part(key) if isinstance(items, Together) else items[key]


def _once(loops: list[Any], place: Expr) -> bool:
    """True if no two rounds of the loops that run name the same place."""
    if len(loops) != 1:
        return False
    index = loops[0].index
    step = reduced(subtract(substitute(place, {index: add(index, ONE)}), place))
    return step is ONE or step is MINUS_ONE


@stands_for(list, "a list of symbolic length that is not filled yet", _needs_number)
class Slots:
    """[None] * n: a list that a loop is to fill."""

    __slots__ = ("held", "length")
    __class__ = class_of(lambda _: [1])

    def __init__(self, length: Expr) -> None:
        self.length = length
        self.held: dict[int, Any] = {}  # what is put to places that are numbers

    def __getitem__(self, key: Any) -> Any:
        return self.held[self._place(key)]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.held[self._place(key)] = value

    def _place(self, key: Any) -> int:
        known = as_int(key.expr) if isinstance(key, Size) else key
        if type(known) is not int or is_so("<", number(known), self.length) is not True or known < 0:
            raise _needs_number(self, "__getitem__")
        return known


def size(expr: Expr) -> Any:
    """An `int` where the expression is a number, else a `Size`."""
    simple = reduced(expr)
    known = as_int(simple)
    return Size(simple) if known is None else known


def size_expr(value: object) -> Expr | None:
    """The integer expression of an `int` or a `Size`, None for anything else."""
    if isinstance(value, Size):
        return value.expr
    if isinstance(value, bool) or not hasattr(value, "__index__") or hasattr(value, "shape"):
        return None
    return number(value.__index__())


def _concrete(expr: Expr, why: str) -> NoReturn:
    raise NeedsConcreteSizes(why, size_symbols(expr))


def _is_symbolic(value: Any) -> bool:
    return hasattr(value, "buffer") or isinstance(value, float)


def _both(left: Any, right: Any, make: Callable[[Expr, Expr], Expr], name: str) -> Any:
    """The operation on two integers; with a float it is one of real numbers, with an array it is the array's."""
    a, b = _integer(left), _integer(right)
    if a is not None and b is not None:
        if make in (Quotient, Remainder) and _is_zero(b):
            raise as_numpy(ZeroDivisionError("integer division or modulo by zero"))
        return size(make(a, b))
    if _is_symbolic(left) or _is_symbolic(right):
        return OPERATIONS[name](left, right)
    return _neither(left, right)


def _is_zero(divisor: Expr) -> bool:
    """True if a division raises; where an exception may be caught that must be known."""
    if divisor is ZERO or isinstance(divisor, Number) or not current().may_catch():
        return divisor is ZERO
    return must_know("==", divisor, ZERO, "a division by zero, where an exception may be caught")


def _integer(value: Any) -> Expr | None:
    """The integer of an int, a Size or a bool, which counts as a number in Python."""
    return number(int(value)) if isinstance(value, bool) else size_expr(value)


_NO_NUMBERS = (str, bytes, list, tuple, dict, set, frozenset, type(None), type(Ellipsis))


def _neither(left: Any, right: Any) -> Any:
    """What Python makes of a size beside something else: it asks the other; of other numbers nothing is said here."""
    other = right if isinstance(left, Size) else left
    if isinstance(other, _NO_NUMBERS):
        return NotImplemented
    raise TraceError(f"a size and a value of type {type(other).__name__} cannot be traced")


def _compare(relation: Relation, left: Any, right: Any) -> Any:
    for a, b in ((left, right), (right, left)):
        if isinstance(a, Size) and isinstance(b, float) and not math.isfinite(b):
            values = (1, b) if a is left else (b, 1)  # a size is finite
            return {"<": values[0] < values[1], "<=": values[0] <= values[1], "==": False}[relation]
    low, high = _bound(left, relation != "<"), _bound(right, relation == "<")
    if relation == "==" and (low is None) == (high is None) and (_broken(left) or _broken(right)):
        return False
    if low is not None and high is not None:
        return must_know(relation, low, high, "a branch that depends on the sizes")
    if _is_symbolic(left) or _is_symbolic(right):
        return OPERATIONS[{"<": "less", "<=": "less_equal", "==": "equal"}[relation]](left, right)
    return _neither(left, right)


def _bound(value: Any, up: bool) -> Expr | None:
    """The integer that takes the place of a number in a comparison with integers: the next one up or down."""
    exact = _integer(value)
    if exact is not None:
        return exact
    known = _fraction(value)
    return None if known is None else number(math.ceil(known) if up else math.floor(known))


def _fraction(value: Any) -> Fraction | None:
    """The number that a decimal is, None for anything else; how floats round must not matter."""
    if isinstance(value, float):
        return Fraction(value)
    if not hasattr(value, "buffer") or value.axes or value.kind != "real":
        return None
    constant = value.constant()
    if not isinstance(constant, Number):
        return None
    if value.buffer.rounding > EXACT and near_integer(float(constant.value)):
        raise needs_floats("a comparison", constant)
    return constant.value


def _broken(value: Any) -> bool:
    known = _fraction(value)
    return known is not None and known.denominator != 1
