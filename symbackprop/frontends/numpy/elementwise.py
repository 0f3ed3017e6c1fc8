"""Elementwise operations: broadcasting, arithmetic and comparisons, in place or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Compare,
    Entry,
    Expr,
    Kronecker,
    Multiply,
    Number,
    Power,
    Quotient,
    Remainder,
    Symbol,
    add,
    multiply,
    negate,
    nodes_once,
    number,
    power,
    subtract,
)
from symbackprop.expression.zero_products import divide_as_written, multiply_as_written
from symbackprop.frontends.numpy.array import Array, array, has_entry
from symbackprop.frontends.numpy.dtypes import (
    DIVIDED,
    EXACT,
    NEAR,
    ROUNDED,
    as_dtype,
    joint_type,
    must_fit,
    needs_floats,
    ufunc_type,
)
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, ShapesDoNotFit, size_symbols
from symbackprop.frontends.numpy.infinity import is_infinite, lifted
from symbackprop.frontends.numpy.masked import Masked, elementwise_masked
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS, implements
from symbackprop.frontends.numpy.session import (
    Content,
    as_numpy,
    assume,
    axis_indices,
    current,
    holds,
    is_so,
    places_of,
    reduced,
    value_of,
)
from symbackprop.frontends.numpy.size import Size
from symbackprop.rendering.text import to_text

Scalar = Callable[..., Expr]
SMALL_EXPONENT = 8  # of a size no overflow


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
                raise ShapesDoNotFit(f"arrays of shapes {shown} are combined", sizes=(axis, other))
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


def elementwise(
    make: Scalar, *operands: Any, name: str = "", kind: str | np.dtype[Any] = "real", nonlinear: bool = True
) -> Any:
    """make(entries of the operands), entry by entry.

    Args:
        name: the ufunc that this is, which says what type the result has.
        kind: the type of the result where no ufunc says it.
    """
    if any(isinstance(o, Masked) for o in operands):
        return elementwise_masked(
            lambda *o: elementwise(make, *o, name=name, kind=kind, nonlinear=nonlinear), *operands
        )
    arrays = [as_array(o) for o in operands]
    dtype = type_by(name, *arrays) if name else as_dtype(kind)
    shape = broadcast_shape(*(a.axes for a in arrays))
    parts = [stretched(a, shape, nonlinear) for a in arrays]
    summed = not nonlinear and any(a.buffer.summed for a in arrays)
    result = array(shape, lambda indices: _made(make, tuple(p(indices) for p in parts)), dtype, summed=summed)
    result.contiguous = result.ordered = all(a.ordered for a in arrays if a.ndim == len(shape))
    result.buffer.weak = all(a.buffer.weak for a in arrays) and name in _OF_PYTHON
    result.buffer.rounding = _rounding(name, arrays)
    return integers_fit(result)


MINUS_TWO = number(-2)
_OF_PYTHON = {"add", "subtract", "multiply", "divide", "negative", "positive", "power"}  # operators of numbers


def type_by(name: str, *arrays: Array) -> np.dtype[Any]:
    """The type that NumPy gives the result of a ufunc."""
    return ufunc_type(name, *((a.dtype, a.buffer.weak) for a in arrays))


def integers_fit(result: Array) -> Array:
    """The array, whose integers are those that NumPy's type holds.

    Raises:
        TraceError: they might wrap around.
    """
    if result.kind == "integer":
        shape = result.buffer.shape
        value = result.buffer.content(places_of(axis_indices(shape)))
        must_fit([value], result.dtype, lambda v: is_so("<=", ZERO, v) is True)
    return result


def _rounding(name: str, arrays: Sequence[Array]) -> int:
    """How far floats are from the numbers of a result: sums and dyadic factors round nothing of the size of ours."""
    worst = max((a.buffer.rounding for a in arrays), default=EXACT)
    if name in ("add", "subtract", "negative", "positive") or (
        all(a.kind != "real" for a in arrays) and name != "divide"
    ):
        return worst
    if name in ("multiply", "divide") and len(arrays) == 2:
        factor = arrays[1] if name == "divide" else next((a for a in arrays if _dyadic(a)), arrays[1])
        if _dyadic(factor) or (name == "multiply" and worst == EXACT):
            return worst
        return DIVIDED if name == "divide" and worst == EXACT else ROUNDED
    return ROUNDED


def _dyadic(a: Array) -> bool:
    """True for the number 2**k, up to its sign."""
    value = a.constant()
    if not isinstance(value, Number) or not value.value:
        return False
    n, d = abs(value.value.numerator), value.value.denominator
    return n & (n - 1) == 0 and d & (d - 1) == 0


def _made(make: Scalar, values: tuple[Expr, ...]) -> Expr:
    return lifted(make, values) if any(map(is_infinite, values)) else make(*values)


def _kind_of(operand: Any) -> str:
    return operand.inner.kind if isinstance(operand, Masked) else as_array(operand).kind


def kind_of_all(*operands: Any) -> str:
    """integer for integers and booleans, else real."""
    kinds = set(map(_kind_of, operands))
    return "real" if "real" in kinds else "integer"


def is_data(operand: Any) -> bool:
    """True if an operand depends on the arrays that came in, not only on numbers and sizes."""
    if isinstance(operand, Masked):
        return True
    values = as_array(operand)
    return has_entry(values.buffer.content(axis_indices(values.buffer.shape)))


# --- arithmetic ---------------------------------------------------------------------------------------------------


def _type_of(name: str, *operands: Any) -> np.dtype[Any]:
    return type_by(name, *(o.inner if isinstance(o, Masked) else as_array(o) for o in operands))


@implements("add")
def _add(left: Any, right: Any, **options: Any) -> Any:
    if _type_of("add", left, right).kind == "b":
        return into(_logical_or(left, right), options)
    return into(elementwise(add, left, right, name="add", nonlinear=False), options)


@implements("subtract")
def _subtract(left: Any, right: Any, **options: Any) -> Any:
    return into(elementwise(subtract, left, right, name="subtract", nonlinear=False), options)


@implements("multiply")
def _multiply(left: Any, right: Any, **options: Any) -> Any:
    nonlinear = is_data(left) and is_data(right)
    return into(elementwise(_product, left, right, name="multiply", nonlinear=nonlinear), options)


@implements("divide", "true_divide")
def _divide(left: Any, right: Any, **options: Any) -> Any:
    if not options:
        _division_raises(left, right)
    return into(elementwise(_quotient, left, right, name="divide", nonlinear=is_data(right)), options)


def _product(left: Expr, right: Expr) -> Expr:
    return multiply_as_written(left, right, current().meaning)


def _quotient(left: Expr, right: Expr) -> Expr:
    return divide_as_written(left, right, current().meaning)


def _division_raises(left: Any, right: Any) -> None:
    """Python's own numbers raise an exception where they are divided by 0, and NumPy's do not."""
    if not (_is_own(left) and _is_own(right)):
        return
    divisor = as_array(right).read()(())
    if divisor is ZERO:
        raise as_numpy(ZeroDivisionError("division by zero"))
    if not _is_positive(divisor):
        _must_be_known("a division of Python's own numbers", divisor)


def _power_raises(base: Any, exponent: Any) -> None:
    """Python's own numbers raise an exception where a power is too large, or one of 0 with a negative exponent."""
    if not (_is_own(base) and _is_own(exponent)):
        return
    below, above = as_array(base).read()(()), as_array(exponent).read()(())
    if not (_is_positive(below) and isinstance(above, Number) and abs(above.value) <= SMALL_EXPONENT):
        _must_be_known("a power of Python's own numbers", below, above)


def _is_own(value: Any) -> bool:
    return bool(as_array(value).buffer.weak)


def _must_be_known(what: str, *values: Expr) -> None:
    """Where an exception may be caught it must be known whether there is one.

    Raises:
        NeedsConcreteSizes: that depends on sizes.
        TraceError: it depends on data.
    """
    if not current().may_catch():
        return
    if any(map(has_entry, values)):
        raise TraceError(f"{what} that depends on data, where an exception may be caught",
                         help="use NumPy's numbers, and state the domain")  # fmt: skip
    if size_symbols(*values):
        raise NeedsConcreteSizes(f"{what}, where an exception may be caught", size_symbols(*values))


def _is_positive(value: Expr) -> bool:
    """True for a number above 0 and whatever is made of sizes and such numbers without a minus."""
    match value:
        case Number(known):
            return known > 0
        case Symbol(_, "size" | "positive"):
            return True
        case Add(parts) | Multiply(parts):
            return all(_is_positive(p) for p in parts) or is_so("<", ZERO, value) is True
        case Power(base, Number()):
            return _is_positive(base)
    return False


def into(result: Any, options: dict[str, Any]) -> Any:
    """Honour out= and dtype= where they round nothing; other options than those that only tune are refused."""
    target = options.pop("out", None)
    target = target[0] if isinstance(target, tuple) else target
    if options.pop("where", True) is not True:
        raise TraceError("the option where= of an elementwise operation cannot be traced")
    dtype = options.pop("dtype", None)
    unknown = options.keys() - {"casting", "order", "subok"}
    if unknown:
        raise TraceError(f"the option {', '.join(sorted(unknown))} cannot be traced")
    if dtype is not None:
        result = _in_type(result, np.dtype(plain_type(dtype)))
    if target is None:
        return result
    if not np.can_cast(as_array(result).dtype, target.dtype, "same_kind"):
        raise TraceError(f"a result of type {as_array(result).dtype} is put into an array of type {target.dtype}")
    target[...] = result
    return target


def _in_type(result: Any, dtype: np.dtype[Any]) -> Any:
    """A result that NumPy works out in another type, with the same numbers."""
    values = as_array(result.inner if isinstance(result, Masked) else result)
    if values.dtype == dtype:
        return result
    if dtype.kind != "f" or values.kind == "bool" or isinstance(result, Masked):
        raise TraceError(f"a result is rounded to the type {dtype}")
    return array(values.axes, values.read(), dtype, summed=values.buffer.summed)


def plain_type(dtype: Any) -> Any:
    """The type itself where a stand-in is given."""
    return getattr(dtype, "traced_type", dtype)


@implements("negative")
def _negative(x: Any, **options: Any) -> Any:
    return into(elementwise(negate, x, name="negative", nonlinear=False), options)


@implements("positive")
def _positive(x: Any, **options: Any) -> Any:
    return into(elementwise(lambda v: v, x, name="positive", nonlinear=False), options)


@implements("floor_divide")
def _floor_divide(left: Any, right: Any) -> Any:
    _only_integers(left, right, "//")
    return elementwise(lambda a, b: reduced(Quotient(a, _nonzero(b))), left, right, name="floor_divide")


@implements("remainder", "mod")
def _remainder(left: Any, right: Any) -> Any:
    _only_integers(left, right, "%")
    return elementwise(lambda a, b: reduced(Remainder(a, _nonzero(b))), left, right, name="remainder")


def _nonzero(divisor: Expr) -> Expr:
    """The divisor of integers, of which NumPy makes 0 where it is 0."""
    if is_so("<", ZERO, divisor) is not True and is_so("<", divisor, ZERO) is not True:
        raise TraceError("a division of integers by what may be 0 cannot be traced")
    return divisor


def _only_integers(left: Any, right: Any, sign: str) -> None:
    if kind_of_all(left, right) != "integer":
        raise TraceError(f"{sign} of real numbers cannot be traced")


@implements("power", "pow")
def _power(base: Any, exponent: Any, **options: Any) -> Any:
    if not options:
        _power_raises(base, exponent)
    if kind_of_all(base, exponent) == "real":
        return into(elementwise(power, base, exponent, name="power"), options)
    least = is_so("<=", ZERO, as_array(exponent).read()(axis_indices(as_array(exponent).axes)))
    if as_array(base).buffer.weak and as_array(exponent).buffer.weak and least is not True:
        return elementwise(power, base, exponent)  # Python's 2 ** -1 is 0.5
    if least is not True:
        raise TraceError("NumPy raises integers to no negative powers", help="make the base a float")
    return into(elementwise(power, base, exponent, name="power"), options)


@implements("float_power")
def _float_power(base: Any, exponent: Any) -> Any:
    return elementwise(power, base, exponent, name="float_power")


# --- comparisons --------------------------------------------------------------------------------------------------


def _comparison(relation: Any, swapped: bool = False, denied: bool = False) -> Callable[[Any, Any], Any]:
    """The operation that compares entry by entry; integers are decided where that can be proved."""

    def compare(left: Any, right: Any) -> Any:
        if left is None or right is None:
            raise TraceError("an array is compared with None, entry by entry", help="use `is None`")
        a, b = (right, left) if swapped else (left, right)
        if relation == "==" and _kind_of(a) == _kind_of(b) == "bool":
            return _logical_xor(a, b) if denied else _logical_not(_logical_xor(a, b))
        integers = kind_of_all(a, b) == "integer"
        rounded = any(not isinstance(o, Masked) and as_array(o).buffer.rounding > EXACT for o in (a, b))

        def make(x: Expr, y: Expr) -> Expr:
            if rounded and isinstance(x, Number) and isinstance(y, Number) and _close(x, y):
                raise needs_floats("a comparison of numbers", x, y)
            value = holds(relation, x, y) if integers else compared(relation, x, y)
            return subtract(ONE, value) if denied else value

        return elementwise(make, a, b, kind="bool")

    return compare


def _close(x: Number, y: Number) -> bool:
    return abs(x.value - y.value) <= NEAR * max(abs(x.value), abs(y.value))


def compared(relation: Any, left: Expr, right: Expr) -> Expr:
    """The value 0 or 1 of a relation between two real numbers, decided where its form shows it."""
    if isinstance(left, Number) and isinstance(right, Number):
        a, b = left.value, right.value
        return ONE if {"<": a < b, "<=": a <= b, "==": a == b}[relation] else ZERO
    if left is right:
        return ZERO if relation == "<" else ONE
    two_valued = _of_two_values(relation, left, right)
    if two_valued is not None:
        return two_valued
    for side, other, swapped in ((left, right, False), (right, left, True)):
        if isinstance(other, Number) and is_indicator(side):
            at = [(other, v) if swapped else (v, other) for v in (ZERO, ONE)]
            low, high = (compared(relation, *pair) for pair in at)
            return low if low is high else side if high is ONE else subtract(ONE, side)
    return Compare(relation, left, right)


def _of_two_values(relation: Any, left: Expr, right: Expr) -> Expr | None:
    """y == 1, y != 0 and y > 0.5 of an input that has two values alone: all of them are [y > 0], or what it is not."""
    for side, other, swapped in ((left, right, False), (right, left, True)):
        inner = value_of(side)
        values = current().two_valued.get(inner.tensor) if isinstance(inner, Entry) else None
        if values is not None and isinstance(other, Number):
            at = [(other, number(v)) if swapped else (number(v), other) for v in values]
            low, high = (compared(relation, *pair) for pair in at)
            above = Compare("<", ZERO, inner)
            return low if low is high else above if high is ONE else subtract(ONE, above)
    return None


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
    return elementwise(lambda a, b: add(a, b, multiply(MINUS_TWO, a, b)), truth(left), truth(right), kind="bool")


def _bitwise(name: str, logical: str) -> None:
    @implements(name)
    def operation(*operands: Any) -> Any:
        if any(isinstance(o, Masked) or as_array(o).kind != "bool" for o in operands):
            raise TraceError(f"np.{name} of numbers cannot be traced")
        return OPERATIONS[logical](*operands)


for _bits, _logic in {"and": "and", "or": "or", "xor": "xor"}.items():
    _bitwise(f"bitwise_{_bits}", f"logical_{_logic}")


@implements("invert", "bitwise_not")
def _invert(x: Any) -> Any:
    if as_array(x).kind == "bool":
        return _logical_not(x)
    _only_integers(x, 1, "~")
    return elementwise(lambda a: subtract(negate(a), ONE), x, name="invert")


# --- in place ---------------------------------------------------------------------------------------------------------


@implements("inplace")
def _inplace(name: str, target: Array, other: Any) -> Array:
    """target op= other: changes the memory that `target` sees."""
    other = as_array(other)
    if broadcast_shape(target.axes, other.axes) != target.axes:
        what = f"an array of shape {other.shape} does not fit into one of shape {target.shape}"
        raise ShapesDoNotFit(what, sizes=(*other.axes, *target.axes))
    joint = type_by(name, target, other) if name != "matmul" else joint_type_of(target, other)
    if not np.can_cast(joint, target.dtype, "same_kind"):
        what = "real numbers" if joint.kind == "f" else f"numbers of type {joint}"
        raise TraceError(f"{what} are assigned to an array of type {target.dtype}", help="make it a float array")
    if name in ("add", "subtract") and target.kind != "bool":
        value = stretched(other if name == "add" else _negative(other), target.axes)
        target.write(value, added=True)
    else:
        target.write(stretched(OPERATIONS[name](target, other), target.axes))
    integers_fit(target)
    return target


def joint_type_of(*arrays: Array) -> np.dtype[Any]:
    """The type that holds all of them, as NumPy has it."""
    return joint_type(*((a.dtype, a.buffer.weak) for a in arrays))


def _rounded_to_single(given: Array) -> None:
    """Note the numbers written in the code that single precision rounds; data are real numbers in any precision."""
    value = given.read()(axis_indices(given.axes))
    if has_entry(value):
        return
    for node in nodes_once(value):
        if isinstance(node, Number) and Fraction(float(np.float32(float(node.value)))) != node.value:
            assume(f"{to_text(node)} in single precision counts as that number, up to rounding of constants")


def held(target: Array, given: Array) -> Array:
    """What stands in an array once `given` is assigned to it: itself, or its truth value in an array of booleans.

    Raises:
        TraceError: NumPy would round or wrap it.
    """
    if target.dtype == np.float32 and given.dtype != np.float32:
        _rounded_to_single(given)
    if target.kind == "real" or given.kind == "bool":
        return given
    if given.kind == "real":
        raise TraceError(f"real numbers are assigned to an array of type {target.dtype}", help="make it a float array")
    if target.kind == "bool":
        return truth(given)  # type: ignore[no-any-return]
    value = given.read()(axis_indices(given.axes))
    must_fit([value], target.dtype, lambda v: is_so("<=", ZERO, v) is True)
    return given
