"""Elementwise operations: broadcasting, arithmetic and comparisons, in place or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Expr,
    Kronecker,
    Multiply,
    Number,
    Quotient,
    Remainder,
    add,
    divide,
    multiply,
    negate,
    power,
    subtract,
)
from symbackprop.frontends.numpy.array import Array, array, has_entry
from symbackprop.frontends.numpy.errors import ShapesDoNotFit
from symbackprop.frontends.numpy.infinity import is_infinite, lifted
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS, implements
from symbackprop.frontends.numpy.session import Content, axis_indices, holds, is_so, reduced
from symbackprop.frontends.numpy.size import Size, size_expr

Scalar = Callable[..., Expr]


class Masked:
    """x[mask]: the entries where a mask holds, kept at their places; only elementwise work is done on it."""

    __array_priority__ = 2000

    def __init__(self, inner: Array, mask: Array, source: Array) -> None:
        self.inner, self.mask, self.source = inner, mask, source

    def __iadd__(self, other: Any) -> Masked:
        return elementwise_masked(OPERATIONS["add"], self, other)

    def __isub__(self, other: Any) -> Masked:
        return elementwise_masked(OPERATIONS["subtract"], self, other)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return elementwise_masked(OPERATIONS[ufunc.__name__], *inputs)

    def sum(self) -> Any:
        """The sum of the entries that the mask keeps."""
        return OPERATIONS["sum"](OPERATIONS["where"](self.mask, self.inner, 0))

    def mean(self) -> Any:
        """The mean of the entries that the mask keeps."""
        return self.sum() / self.size

    @property
    def size(self) -> Any:
        """How many entries the mask keeps."""
        return OPERATIONS["sum"](self.mask)


def _masked_binary(name: str, swapped: bool) -> Callable[[Masked, Any], Masked]:
    def operator(self: Masked, other: Any) -> Masked:
        return elementwise_masked(OPERATIONS[name], *((other, self) if swapped else (self, other)))

    return operator


for _symbol, _name in {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power",
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}.items():  # fmt: skip
    setattr(Masked, f"__{_symbol}__", _masked_binary(_name, False))
    setattr(Masked, f"__r{_symbol}__", _masked_binary(_name, True))
setattr(Masked, "__neg__", lambda self: elementwise_masked(OPERATIONS["negative"], self))  # noqa: B010


class Places:
    """The places where a mask holds, as np.where(mask), np.nonzero and np.triu_indices give them: a subscript only."""

    def __init__(self, mask: Array) -> None:
        self.mask = mask


def elementwise_masked(operation: Callable[..., Any], *operands: Any) -> Masked:
    """An elementwise operation on masked operands, all under the same mask, and scalars."""
    first, *others = [o for o in operands if isinstance(o, Masked)]
    if any(not same_entries(first.source, o.source) for o in others):
        raise TraceError("two arrays selected by different masks are combined")
    if any(not isinstance(o, Masked) and as_array(o).ndim for o in operands):
        raise TraceError("an array selected by a mask is combined with a whole array")
    return Masked(operation(*(o.inner if isinstance(o, Masked) else o for o in operands)), first.mask, first.source)


def same_entries(left: Array, right: Array) -> bool:
    """True if two arrays have the same entries, entry by entry the same expression."""
    if left is right:
        return True
    if left.axes != right.axes:
        return False
    indices = axis_indices(left.axes)
    return left.definition(indices) is right.definition(indices)


# --- broadcasting -------------------------------------------------------------------------------------------------


def broadcast_shape(*shapes: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """NumPy's broadcast shape of several shapes; a symbolic size is taken to be equal to itself only.

    Raises:
        ShapesDoNotFit: two sizes are neither provably equal nor 1.
    """
    result: list[Expr] = []
    for k in range(1, max(map(len, shapes), default=0) + 1):
        axis: Expr = ONE
        for shape in shapes:
            other = shape[-k] if k <= len(shape) else ONE
            if axis is ONE:
                axis = other
            elif other is not ONE and other is not axis and is_so("==", axis, other) is not True:
                shown = " and ".join(str(tuple(Size(n) for n in s)) for s in shapes)
                raise ShapesDoNotFit(f"arrays of shapes {shown} are combined")
        result.insert(0, axis)
    return tuple(result)


def stretched(operand: Array, shape: tuple[Expr, ...], nonlinear: bool = False) -> Content:
    """The entries of `operand`, broadcast to `shape`."""
    content, axes = operand.read(nonlinear), operand.axes
    if axes == shape:
        return content
    skip = len(shape) - len(axes)

    def entries(indices: tuple[Expr, ...]) -> Expr:
        return content(tuple(ZERO if n is ONE else i for i, n in zip(indices[skip:], axes, strict=True)))

    return entries


def elementwise(make: Scalar, *operands: Any, kind: str = "real", nonlinear: bool = True) -> Any:
    """make(entries of the operands), entry by entry."""
    if any(isinstance(o, Masked) for o in operands):
        return elementwise_masked(lambda *o: elementwise(make, *o, kind=kind, nonlinear=nonlinear), *operands)
    arrays = [as_array(o) for o in operands]
    shape = broadcast_shape(*(a.axes for a in arrays))
    parts = [stretched(a, shape, nonlinear) for a in arrays]
    summed = not nonlinear and any(a.buffer.summed for a in arrays)
    result = array(shape, lambda indices: _made(make, tuple(p(indices) for p in parts)), kind, summed=summed)
    result.contiguous = all(a.contiguous for a in arrays if a.ndim == len(shape))
    return result


def _made(make: Scalar, values: tuple[Expr, ...]) -> Expr:
    return lifted(make, values) if any(map(is_infinite, values)) else make(*values)


def kind_of_all(*operands: Any) -> str:
    """integer for integers and booleans, else real."""
    kinds = {o.inner.kind if isinstance(o, Masked) else as_array(o).kind for o in operands}
    return "real" if "real" in kinds else "integer"


def is_data(operand: Any) -> bool:
    """True if an operand depends on the arrays that came in, not only on numbers and sizes."""
    if isinstance(operand, Masked):
        return True
    values = as_array(operand)
    return has_entry(values.buffer.content(axis_indices(values.buffer.shape)))


# --- arithmetic ---------------------------------------------------------------------------------------------------


@implements("add")
def _add(left: Any, right: Any, **options: Any) -> Any:
    if _both_bool(left, right):
        return _logical_or(left, right)
    return into(elementwise(add, left, right, kind=kind_of_all(left, right), nonlinear=False), options)


@implements("subtract")
def _subtract(left: Any, right: Any, **options: Any) -> Any:
    if _both_bool(left, right):
        raise TypeError("numpy boolean subtract, the `-` operator, is not supported")
    return into(elementwise(subtract, left, right, kind=kind_of_all(left, right), nonlinear=False), options)


@implements("multiply")
def _multiply(left: Any, right: Any, **options: Any) -> Any:
    kind = "bool" if _both_bool(left, right) else kind_of_all(left, right)
    nonlinear = is_data(left) and is_data(right)
    return into(elementwise(multiply, left, right, kind=kind, nonlinear=nonlinear), options)


def _both_bool(left: Any, right: Any) -> bool:
    return all(isinstance(o, Array) and o.kind == "bool" for o in (left, right))


@implements("divide", "true_divide")
def _divide(left: Any, right: Any, **options: Any) -> Any:
    return into(elementwise(divide, left, right, nonlinear=is_data(right)), options)


def into(result: Any, options: dict[str, Any]) -> Any:
    """Honour out=, and refuse a type that would round the result."""
    target = options.pop("out", None)
    target = target[0] if isinstance(target, tuple) else target
    if options.get("where", True) is not True:
        raise TraceError("the option where= of an elementwise operation cannot be traced")
    if options.get("dtype") is not None and not rounds_nothing(result, options["dtype"]):
        raise TraceError(f"a result is rounded to the type {np.dtype(plain_type(options['dtype']))}")
    if target is None:
        return result
    target[...] = result
    return target


def plain_type(dtype: Any) -> Any:
    """The type itself where a stand-in is given."""
    return getattr(dtype, "traced_type", dtype)


def rounds_nothing(result: Any, dtype: Any) -> bool:
    """True if the entries of `result` fit into the type as they are."""
    kind = as_array(result.inner if isinstance(result, Masked) else result).kind
    return np.dtype(plain_type(dtype)).kind == "f" or kind != "real"


@implements("negative")
def _negative(x: Any) -> Any:
    if isinstance(x, Array) and x.kind == "bool":
        raise TypeError("The numpy boolean negative, the `-` operator, is not supported")
    return elementwise(negate, x, kind=kind_of_all(x), nonlinear=False)


@implements("positive")
def _positive(x: Any) -> Any:
    return elementwise(lambda v: v, x, kind=kind_of_all(x), nonlinear=False)


@implements("floor_divide")
def _floor_divide(left: Any, right: Any) -> Any:
    _only_integers(left, right, "//")
    return elementwise(lambda a, b: reduced(Quotient(a, b)), left, right, kind="integer")


@implements("remainder", "mod")
def _remainder(left: Any, right: Any) -> Any:
    _only_integers(left, right, "%")
    return elementwise(lambda a, b: reduced(Remainder(a, b)), left, right, kind="integer")


def _only_integers(left: Any, right: Any, sign: str) -> None:
    if kind_of_all(left, right) != "integer":
        raise TraceError(f"{sign} of real numbers cannot be traced")


@implements("power", "float_power")
def _power(base: Any, exponent: Any) -> Any:
    kind = kind_of_all(base, exponent)
    if kind == "integer" and (
        size_expr(exponent) is None or is_so("<=", ZERO, size_expr(exponent) or ZERO) is not True
    ):
        kind = "real"
    return elementwise(power, base, exponent, kind=kind)


# --- comparisons --------------------------------------------------------------------------------------------------


def _comparison(relation: Any, swapped: bool = False, denied: bool = False) -> Callable[[Any, Any], Any]:
    """The operation that compares entry by entry; integers are decided where that can be proved."""

    def compare(left: Any, right: Any) -> Any:
        if left is None or right is None:
            return (left is right) != denied
        a, b = (right, left) if swapped else (left, right)
        integers = kind_of_all(a, b) == "integer"

        def make(x: Expr, y: Expr) -> Expr:
            value = holds(relation, x, y) if integers else compared(relation, x, y)
            return subtract(ONE, value) if denied else value

        return elementwise(make, a, b, kind="bool")

    return compare


def compared(relation: Any, left: Expr, right: Expr) -> Expr:
    """The value 0 or 1 of a relation between two real numbers, decided where its form shows it."""
    if isinstance(left, Number) and isinstance(right, Number):
        a, b = left.value, right.value
        return ONE if {"<": a < b, "<=": a <= b, "==": a == b}[relation] else ZERO
    if left is right:
        return ZERO if relation == "<" else ONE
    for side, other, swapped in ((left, right, False), (right, left, True)):
        if isinstance(other, Number) and is_indicator(side):
            at = [(other, v) if swapped else (v, other) for v in (ZERO, ONE)]
            low, high = (compared(relation, *pair) for pair in at)
            return low if low is high else side if high is ONE else subtract(ONE, side)
    return Compare(relation, left, right)


def is_indicator(value: Expr) -> bool:
    """True for an expression whose values are 0 and 1 by its form."""
    if isinstance(value, Multiply):
        return all(map(is_indicator, value.factors))
    return isinstance(value, (Compare, Kronecker))


implements("less")(_comparison("<"))
implements("less_equal")(_comparison("<="))
implements("greater")(_comparison("<", swapped=True))
implements("greater_equal")(_comparison("<=", swapped=True))
implements("equal")(_comparison("=="))
implements("not_equal")(_comparison("==", denied=True))


def truth(x: Any) -> Any:
    """An array of booleans: x itself, or x != 0."""
    kind = x.inner.kind if isinstance(x, Masked) else as_array(x).kind
    return x if kind == "bool" else OPERATIONS["not_equal"](x, 0)


@implements("logical_and")
def _logical_and(left: Any, right: Any) -> Any:
    return elementwise(multiply, truth(left), truth(right), kind="bool")


@implements("logical_or")
def _logical_or(left: Any, right: Any) -> Any:
    return elementwise(
        lambda a, b: subtract(ONE, multiply(subtract(ONE, a), subtract(ONE, b))), truth(left), truth(right), kind="bool"
    )


@implements("logical_not")
def _logical_not(x: Any) -> Any:
    return elementwise(lambda a: subtract(ONE, a), truth(x), kind="bool")


@implements("logical_xor")
def _logical_xor(left: Any, right: Any) -> Any:
    return OPERATIONS["not_equal"](OPERATIONS["multiply"](truth(left), 1), OPERATIONS["multiply"](truth(right), 1))


def _bitwise(name: str, logical: str) -> None:
    @implements(name)
    def operation(*operands: Any) -> Any:
        if any(as_array(o).kind != "bool" for o in operands):
            raise TraceError(f"np.{name} of numbers cannot be traced")
        return OPERATIONS[logical](*operands)


for _bits, _logic in {"and": "and", "or": "or", "xor": "xor"}.items():
    _bitwise(f"bitwise_{_bits}", f"logical_{_logic}")


@implements("invert", "bitwise_not")
def _invert(x: Any) -> Any:
    if as_array(x).kind == "bool":
        return _logical_not(x)
    _only_integers(x, 1, "~")
    return elementwise(lambda a: subtract(negate(a), ONE), x, kind="integer")


# --- in place ---------------------------------------------------------------------------------------------------------


@implements("inplace")
def _inplace(name: str, target: Array, other: Any) -> Array:
    """target op= other: changes the memory that `target` sees."""
    other = as_array(other)
    if broadcast_shape(target.axes, other.axes) != target.axes:
        raise ShapesDoNotFit(f"an array of shape {other.shape} does not fit into one of shape {target.shape}")
    must_hold(target, "real" if name == "divide" else other.kind)
    if name in ("add", "subtract") and target.kind != "bool":
        value = stretched(other if name == "add" else _negative(other), target.axes)
        target.write(value, added=True)
    else:
        target.write(stretched(OPERATIONS[name](target, other), target.axes))
    return target


def must_hold(target: Array, kind: str) -> None:
    """Refuse to put real numbers into an integer array: NumPy would round them or fail."""
    if target.kind in ("integer", "bool") and kind == "real":
        raise TraceError(f"real numbers are assigned to an array of type {target.dtype}", help="make it a float array")
