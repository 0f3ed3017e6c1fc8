"""Sizes that behave like Python's integers: arithmetic is exact, comparisons are proved, or the trace says which sizes
must be fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from symbackprop.expression.build import (
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
    subtract,
)
from symbackprop.expression.sizes import Relation
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, size_symbols
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import as_int, must_know, reduced
from symbackprop.rendering.text import to_text


class Size:
    """A symbolic integer: a size, or something computed from sizes."""

    __slots__ = ("expr",)

    def __init__(self, expr: Expr) -> None:
        self.expr = expr

    def __repr__(self) -> str:
        return to_text(self.expr)

    def __hash__(self) -> int:
        return hash(self.expr)

    def __add__(self, other: Any) -> Any:
        return _both(self, other, add, "add")

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return _both(self, other, subtract, "subtract")

    def __rsub__(self, other: Any) -> Any:
        return _both(other, self, subtract, "subtract")

    def __mul__(self, other: Any) -> Any:
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

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, int) and other >= 0:
            return size(power(self.expr, other))
        return OPERATIONS["power"](self, other)

    def __rpow__(self, other: Any) -> Any:
        return OPERATIONS["power"](other, self)

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


class SymbolicRange:
    """range(n) of a symbolic size: a subscript like np.arange(n), but no loop."""

    def __init__(self, *bounds: Any) -> None:
        self.bounds = bounds

    def __iter__(self) -> Iterator[Any]:
        parts = [e for e in map(size_expr, self.bounds) if e is not None]
        raise NeedsConcreteSizes("a loop over a symbolic range", size_symbols(*parts))

    __reversed__ = __iter__
    __len__ = __iter__


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


def _both(left: Any, right: Any, make: Callable[[Expr, Expr], Expr], name: str) -> Any:
    """The operation on two integers; with a float it is one of real numbers, with an array it is the array's."""
    a, b = size_expr(left), size_expr(right)
    if a is not None and b is not None:
        if make in (Quotient, Remainder) and isinstance(b, Number) and b is ZERO:
            raise ZeroDivisionError("integer division or modulo by zero")
        return size(make(a, b))
    if hasattr(left, "buffer") or hasattr(right, "buffer") or isinstance(left, float) or isinstance(right, float):
        return OPERATIONS[name](left, right)
    return NotImplemented


def _compare(relation: Relation, left: Any, right: Any) -> Any:
    a, b = size_expr(left), size_expr(right)
    if a is not None and b is not None:
        return must_know(relation, a, b, "a branch that depends on the sizes")
    if hasattr(left, "buffer") or hasattr(right, "buffer") or isinstance(left, float) or isinstance(right, float):
        return OPERATIONS[{"<": "less", "<=": "less_equal", "==": "equal"}[relation]](left, right)
    return NotImplemented
