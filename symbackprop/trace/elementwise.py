"""Elementwise operations: broadcasting, arithmetic, comparisons, and the scalar functions.

max, min, abs and clip become `Where` over a comparison, so that their kinks are visible; exp, log, erf, sin, cos and tanh
are the functions of `primitives`; the rest is written in these.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression import (
    MINUS_ONE,
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
    apply,
    divide,
    multiply,
    negate,
    number,
    power,
    subtract,
    where,
)
from symbackprop.primitives import ERF, EXP, FUNCTIONS, LOG, Function
from symbackprop.trace.array import Array, array, as_array, has_entry
from symbackprop.trace.registry import OPERATIONS, implements
from symbackprop.trace.session import Content, axis_indices, holds, is_so, reduced
from symbackprop.trace.size import Size, size_expr
from symbackprop.trace.stops import ShapesDoNotFit

Scalar = Callable[..., Expr]
HALF = number(Fraction(1, 2))
TWO = number(2)


class Masked:
    """x[mask]: the entries where a mask holds, kept at their places; only elementwise work is done on it."""

    __array_priority__ = 2000

    def __init__(self, inner: Array, mask: Array) -> None:
        self.inner, self.mask = inner, mask

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
Masked.__neg__ = lambda self: elementwise_masked(OPERATIONS["negative"], self)  # type: ignore[attr-defined]


def elementwise_masked(operation: Callable[..., Any], *operands: Any) -> Masked:
    """An elementwise operation on masked operands, all under the same mask, and scalars."""
    masks = [o.mask for o in operands if isinstance(o, Masked)]
    if any(not same_entries(masks[0], m) for m in masks[1:]):
        raise TraceError("two arrays selected by different masks are combined")
    if any(not isinstance(o, Masked) and as_array(o).ndim for o in operands):
        raise TraceError("an array selected by a mask is combined with a whole array")
    return Masked(operation(*(o.inner if isinstance(o, Masked) else o for o in operands)), masks[0])


def same_entries(left: Array, right: Array) -> bool:
    """True if two arrays have the same entries, entry by entry the same expression."""
    if left.axes != right.axes:
        return False
    indices = axis_indices(left.axes)
    return left.read()(indices) is right.read()(indices)


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
    result = array(shape, lambda indices: make(*(p(indices) for p in parts)), kind, summed=summed)
    result.contiguous = all(a.contiguous for a in arrays if a.ndim == len(shape))
    return result


def _kind(*operands: Any) -> str:
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
    return _into(elementwise(add, left, right, kind=_kind(left, right), nonlinear=False), options)


@implements("subtract")
def _subtract(left: Any, right: Any, **options: Any) -> Any:
    return _into(elementwise(subtract, left, right, kind=_kind(left, right), nonlinear=False), options)


@implements("multiply")
def _multiply(left: Any, right: Any, **options: Any) -> Any:
    kind = "bool" if _both_bool(left, right) else _kind(left, right)
    nonlinear = is_data(left) and is_data(right)
    return _into(elementwise(multiply, left, right, kind=kind, nonlinear=nonlinear), options)


def _both_bool(left: Any, right: Any) -> bool:
    return all(isinstance(o, Array) and o.kind == "bool" for o in (left, right))


@implements("divide", "true_divide")
def _divide(left: Any, right: Any, **options: Any) -> Any:
    return _into(elementwise(divide, left, right, nonlinear=is_data(right)), options)


def _into(result: Any, options: dict[str, Any]) -> Any:
    """Honour out=, the only option that changes what an elementwise operation does."""
    target = options.pop("out", None)
    target = target[0] if isinstance(target, tuple) else target
    if options.get("where", True) is not True:
        raise TraceError("the option where= of an elementwise operation cannot be traced")
    if target is None:
        return result
    target[...] = result
    return target


@implements("negative")
def _negative(x: Any) -> Any:
    return elementwise(negate, x, kind=_kind(x), nonlinear=False)


@implements("positive")
def _positive(x: Any) -> Any:
    return elementwise(lambda v: v, x, kind=_kind(x), nonlinear=False)


@implements("floor_divide")
def _floor_divide(left: Any, right: Any) -> Any:
    _only_integers(left, right, "//")
    return elementwise(lambda a, b: reduced(Quotient(a, b)), left, right, kind="integer")


@implements("remainder", "mod")
def _remainder(left: Any, right: Any) -> Any:
    _only_integers(left, right, "%")
    return elementwise(lambda a, b: reduced(Remainder(a, b)), left, right, kind="integer")


def _only_integers(left: Any, right: Any, sign: str) -> None:
    if _kind(left, right) != "integer":
        raise TraceError(f"{sign} of real numbers cannot be traced")


@implements("power", "float_power")
def _power(base: Any, exponent: Any) -> Any:
    kind = _kind(base, exponent)
    if kind == "integer" and (size_expr(exponent) is None or is_so("<=", ZERO, size_expr(exponent) or ZERO) is not True):
        kind = "real"
    return elementwise(power, base, exponent, kind=kind)


# --- comparisons --------------------------------------------------------------------------------------------------


def _comparison(relation: Any, swapped: bool = False, denied: bool = False) -> Callable[[Any, Any], Any]:
    """The operation that compares entry by entry; integers are decided where that can be proved."""

    def compare(left: Any, right: Any) -> Any:
        if left is None or right is None:
            return (left is right) != denied
        a, b = (right, left) if swapped else (left, right)
        integers = _kind(a, b) == "integer"

        def make(x: Expr, y: Expr) -> Expr:
            value = holds(relation, x, y) if integers else _real_comparison(relation, x, y)
            return subtract(ONE, value) if denied else value

        return elementwise(make, a, b, kind="bool")

    return compare


def _real_comparison(relation: Any, left: Expr, right: Expr) -> Expr:
    if isinstance(left, Number) and isinstance(right, Number):
        a, b = left.value, right.value
        return ONE if {"<": a < b, "<=": a <= b, "==": a == b}[relation] else ZERO
    if left is right:
        return ZERO if relation == "<" else ONE
    for side, other, swapped in ((left, right, False), (right, left, True)):
        if isinstance(other, Number) and is_indicator(side):
            at = [(other, v) if swapped else (v, other) for v in (ZERO, ONE)]
            low, high = (_real_comparison(relation, *pair) for pair in at)
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


# --- branches -----------------------------------------------------------------------------------------------------


@implements("maximum", "fmax")
def _maximum(left: Any, right: Any, **options: Any) -> Any:
    return _into(elementwise(lambda a, b: _larger(a, b, a, b), left, right, kind=_kind(left, right)), options)


@implements("minimum", "fmin")
def _minimum(left: Any, right: Any, **options: Any) -> Any:
    return _into(elementwise(lambda a, b: _larger(b, a, a, b), left, right, kind=_kind(left, right)), options)


def _larger(left: Expr, right: Expr, then_left: Expr, then_right: Expr) -> Expr:
    """then_right if left < right, else then_left."""
    integers = not has_entry(left) and not has_entry(right)
    below = holds("<", left, right) if integers else _real_comparison("<", left, right)
    return where(below, then_right, then_left)


@implements("clip", method=True)
def _clip(x: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if min is None else min, a_max if max is None else max
    result = x if low is None else _maximum(x, low)
    return _into(result if high is None else _minimum(result, high), {"out": out})


@implements("absolute", "abs", "fabs")
def _absolute(x: Any) -> Any:
    return elementwise(lambda v: where(_real_comparison("<", v, ZERO), negate(v), v), x, kind=_kind(x))


@implements("sign")
def _sign(x: Any) -> Any:
    def make(v: Expr) -> Expr:
        return where(_real_comparison("<", ZERO, v), ONE, where(_real_comparison("<", v, ZERO), MINUS_ONE, ZERO))

    return elementwise(make, x, kind=_kind(x))


@implements("heaviside")
def _heaviside(x: Any, at_zero: Any) -> Any:
    def make(v: Expr, h: Expr) -> Expr:
        return where(_real_comparison("<", ZERO, v), ONE, where(_real_comparison("<", v, ZERO), ZERO, h))

    return elementwise(make, x, at_zero)


@implements("where")
def _where(condition: Any, then: Any = None, otherwise: Any = None) -> Any:
    if then is None or otherwise is None:
        raise TraceError("np.where(condition) alone, whose shape depends on the data, cannot be traced")
    return elementwise(where, truth(condition), then, otherwise, kind=_kind(then, otherwise))


# --- functions ----------------------------------------------------------------------------------------------------


def _function(name: str, make: Callable[[Expr], Expr]) -> None:
    @implements(name)
    def operation(x: Any, **options: Any) -> Any:
        return _into(elementwise(make, x), options)


def _call(function: Function) -> Callable[[Expr], Expr]:
    return lambda v: apply(function, v)


def _exp(v: Expr) -> Expr:
    return ONE if v is ZERO else apply(EXP, v)


def _log(v: Expr) -> Expr:
    return ZERO if v is ONE else apply(LOG, v)


def _plus_exp(v: Expr, sign: Expr) -> Expr:
    """(exp(v) + sign * exp(-v)) / 2."""
    return multiply(HALF, add(_exp(v), multiply(sign, _exp(negate(v)))))


_FUNCTIONS: dict[str, Callable[[Expr], Expr]] = {
    "exp": _exp,
    "log": _log,
    "tanh": _call(FUNCTIONS["tanh"]),
    "sin": _call(FUNCTIONS["sin"]),
    "cos": _call(FUNCTIONS["cos"]),
    "tan": lambda v: divide(apply(FUNCTIONS["sin"], v), apply(FUNCTIONS["cos"], v)),
    "special.erf": _call(ERF),
    "special.erfc": lambda v: subtract(ONE, apply(ERF, v)),
    "special.expit": _call(FUNCTIONS["sigmoid"]),
    "sqrt": lambda v: power(v, HALF),
    "square": lambda v: power(v, 2),
    "reciprocal": lambda v: power(v, MINUS_ONE),
    "log1p": lambda v: _log(add(ONE, v)),
    "expm1": lambda v: subtract(_exp(v), ONE),
    "log2": lambda v: divide(_log(v), _log(TWO)),
    "log10": lambda v: divide(_log(v), _log(number(10))),
    "exp2": lambda v: power(TWO, v),
    "sinh": lambda v: _plus_exp(v, MINUS_ONE),
    "cosh": lambda v: _plus_exp(v, ONE),
}
for _title, _make in _FUNCTIONS.items():
    _function(_title, _make)


@implements("logaddexp")
def _logaddexp(left: Any, right: Any) -> Any:
    return elementwise(lambda a, b: _log(add(_exp(a), _exp(b))), left, right)


@implements("hypot")
def _hypot(left: Any, right: Any) -> Any:
    return elementwise(lambda a, b: power(add(power(a, 2), power(b, 2)), HALF), left, right)


@implements("isnan", "isinf")
def _never(x: Any) -> Any:
    return elementwise(lambda v: ZERO, x, kind="bool")


@implements("isfinite")
def _always(x: Any) -> Any:
    return elementwise(lambda v: ONE, x, kind="bool")


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
