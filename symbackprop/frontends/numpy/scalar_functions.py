"""Branches and scalar functions, entry by entry.

max, min, abs and clip become `Where` over a comparison, so that their kinks are visible; exp, log, erf, sin, cos and
tanh are the functions of `expression.functions`; the rest is written in these.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Expr,
    Extremum,
    Number,
    Where,
    add,
    apply,
    divide,
    multiply,
    negate,
    nodes_once,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import (
    ATAN,
    DIGAMMA,
    ERF,
    EXP,
    FLOOR,
    FUNCTIONS,
    LGAMMA,
    LOG,
    ROUND,
    STOP_GRADIENT,
    TRIGAMMA,
    Function,
)
from symbackprop.expression.sympy_bridge import PI
from symbackprop.frontends.numpy.array import Array, has_entry
from symbackprop.frontends.numpy.dtypes import is_finite
from symbackprop.frontends.numpy.elementwise import compared, elementwise, into, joint_type_of, truth
from symbackprop.frontends.numpy.infinity import MINUS_INFINITY
from symbackprop.frontends.numpy.masked import Masked, Places, elementwise_masked
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS, implements
from symbackprop.frontends.numpy.session import assume, axis_indices, holds, value_of
from symbackprop.rendering.text import to_text

HALF = number(Fraction(1, 2))
TWO = number(2)
STANDS_FOR_INFINITY = -10_000  # exp of a constant below this is 0 in float64, with room for a sum to spare


# --- branches -----------------------------------------------------------------------------------------------------


@implements("maximum")
def _maximum(left: Any, right: Any, **options: Any) -> Any:
    return into(elementwise(lambda a, b: _larger(a, b, a, b), left, right, name="maximum"), options)


@implements("minimum")
def _minimum(left: Any, right: Any, **options: Any) -> Any:
    return into(elementwise(lambda a, b: _larger(b, a, a, b), left, right, name="minimum"), options)


@implements("fmax")
def _fmax(left: Any, right: Any, **options: Any) -> Any:
    """The larger, or the one that is a number: the maximum where both are."""
    _must_be_finite("fmax", left, right)
    return _maximum(left, right, **options)


@implements("fmin")
def _fmin(left: Any, right: Any, **options: Any) -> Any:
    _must_be_finite("fmin", left, right)
    return _minimum(left, right, **options)


def _must_be_finite(name: str, *operands: Any) -> None:
    """Refuse what asks whether its operands are numbers, where they may be nan or infinite.

    Raises:
        TraceError: an operand is not finite by its form.
    """
    for operand in operands:
        values = as_array(operand.inner if isinstance(operand, Masked) else operand)
        if not is_finite(values.read()(axis_indices(values.axes))):
            raise TraceError(f"np.{name} of what may be nan or infinite cannot be traced",
                             help="state the domain of the forward pass instead")  # fmt: skip


def _below(left: Expr, right: Expr) -> Expr:
    """The value 0 or 1 of left < right, decided by the sizes where only they are in it."""
    numbers = isinstance(left, Number) and isinstance(right, Number)
    sizes = not numbers and not has_entry(left) and not has_entry(right)
    return holds("<", left, right) if sizes else compared("<", left, right)


def _larger(left: Expr, right: Expr, then_left: Expr, then_right: Expr) -> Expr:
    """then_right if left < right, else then_left."""
    return where(_below(left, right), then_right, then_left)


@implements("clip", method=True)
def _clip(x: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if min is None else min, a_max if max is None else max
    result = x if low is None else _maximum(x, low)
    return into(result if high is None else _minimum(result, high), {"out": out})


@implements("fabs")
def _fabs(x: Any) -> Any:
    return _absolute(OPERATIONS["multiply"](x, 1.0))


@implements("absolute", "abs")
def _absolute(x: Any) -> Any:
    return elementwise(lambda v: where(_below(v, ZERO), negate(v), v), x, name="absolute")


@implements("sign")
def _sign(x: Any) -> Any:
    def make(v: Expr) -> Expr:
        return where(_below(ZERO, v), ONE, where(_below(v, ZERO), MINUS_ONE, ZERO))

    return elementwise(make, x, name="sign")


@implements("heaviside")
def _heaviside(x: Any, at_zero: Any) -> Any:
    def make(v: Expr, h: Expr) -> Expr:
        return where(compared("<", ZERO, v), ONE, where(compared("<", v, ZERO), ZERO, h))

    return elementwise(make, x, at_zero, name="heaviside")


@implements("where")
def _where(condition: Any, then: Any = None, otherwise: Any = None) -> Any:
    if then is None or otherwise is None:
        return Places(truth(condition))
    if any(isinstance(o, Masked) for o in (condition, then, otherwise)):
        return elementwise_masked(_where, condition, then, otherwise)
    kind = joint_type_of(as_array(then), as_array(otherwise))
    return elementwise(where, truth(condition), then, otherwise, kind=kind)


@implements("nonzero")
def _nonzero(a: Any) -> Any:
    return Places(truth(a))


# --- functions ----------------------------------------------------------------------------------------------------


def _function(name: str, make: Callable[[Expr], Expr]) -> None:
    @implements(name)
    def operation(x: Any, **options: Any) -> Any:
        result = elementwise(make, x, name=name)
        inner = result.inner if isinstance(result, Masked) else result
        if name != "square" and inner.kind != "real":
            raise TraceError(f"np.{name} of integers gives integers, which cannot be traced")
        return into(result, options)


def _call(function: Function) -> Callable[[Expr], Expr]:
    return lambda v: apply(function, v)


def _exp(v: Expr) -> Expr:
    if isinstance(v, Where) and (_far_below_zero(v.then) or _far_below_zero(v.otherwise)):
        return where(v.condition, _exp(v.then), _exp(v.otherwise))
    if _far_below_zero(v):
        assume(f"exp({to_text(v)}) counts as 0, as it is in float64")
        return ZERO
    masked = _masked_score(v)
    if masked is not None:
        score, lowest = masked
        assume(f"exp({to_text(lowest)} - the largest) counts as 0, as it is in float64 above {to_text(lowest)}")
        parts = (ZERO if p is lowest else apply(EXP, v) for p in (score.then, score.otherwise))
        return where(score.condition, *parts)
    return ONE if v is ZERO else apply(EXP, v)


def _far_below_zero(v: Expr) -> bool:
    """True for a constant that stands for minus infinity: people write -1e9 in masks."""
    return isinstance(v, Number) and v.value < STANDS_FOR_INFINITY


def _masked_score(v: Expr) -> tuple[Where, Expr] | None:
    """(where(mask, score, -1e9), -1e9) if `v` is that minus a maximum, as a softmax takes it."""
    whole = value_of(v)
    if not isinstance(whole, Add) or len(whole.terms) != 2:
        return None
    for term, other in (whole.terms, whole.terms[::-1]):
        score, shift = value_of(term), value_of(negate(other))
        if isinstance(score, Where) and isinstance(shift, Extremum) and shift.kind == "max":
            lowest = next((p for p in (score.then, score.otherwise) if _far_below_zero(p)), None)
            if lowest is not None and lowest in nodes_once(value_of(shift.body)):
                return score, lowest
    return None


def _log(v: Expr) -> Expr:
    return ZERO if v is ONE else apply(LOG, v)


def _plus_exp(v: Expr, sign: Expr) -> Expr:
    """(exp(v) + sign * exp(-v)) / 2."""
    return multiply(HALF, add(_exp(v), multiply(sign, _exp(negate(v)))))


def _arcsine(v: Expr) -> Expr:
    return apply(ATAN, divide(v, power(subtract(ONE, power(v, 2)), HALF)))


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
    "special.gammaln": _call(LGAMMA),
    "special.digamma": _call(DIGAMMA),
    "arctan": _call(ATAN),
    "arcsin": _arcsine,
    "arccos": lambda v: subtract(multiply(HALF, PI), _arcsine(v)),
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
for _title, _same in {"atan": "arctan", "asin": "arcsin", "acos": "arccos", "special.psi": "special.digamma",
                      "special.loggamma": "special.gammaln"}.items():  # fmt: skip
    implements(_title)(OPERATIONS[_same])


# --- constant between jumps


def _jumping(name: str, make: Callable[[Expr], Expr]) -> None:
    @implements(name)
    def operation(x: Any, decimals: int = 0, **options: Any) -> Any:
        values = as_array(x)
        if values.kind != "real" or decimals:
            raise TraceError(f"np.{name} of integers, or to {decimals} decimals, cannot be traced")
        if has_entry(values.read()(axis_indices(values.axes))):
            assume(f"no argument of {name} is at a jump")
        return into(elementwise(make, x), options)


def _truncated(v: Expr) -> Expr:
    return where(_below(v, ZERO), negate(apply(FLOOR, negate(v))), apply(FLOOR, v))


for _title, _make in {
    "floor": _call(FLOOR), "ceil": lambda v: negate(apply(FLOOR, negate(v))), "rint": _call(ROUND),
    "round": _call(ROUND), "around": _call(ROUND), "trunc": _truncated, "fix": _truncated,
}.items():  # fmt: skip
    _jumping(_title, _make)


@implements("stop_gradient")
def _stop_gradient(x: Any) -> Any:
    """The same numbers, as constants: detach, lax.stop_gradient."""
    if as_array(x).kind != "real":
        return x
    return elementwise(_call(STOP_GRADIENT), x, nonlinear=False)


def _log_add_exp(a: Expr, b: Expr) -> Expr:
    if MINUS_INFINITY in (a, b):  # the other one
        return where(_below(a, b), b, a)
    return _log(add(_exp(a), _exp(b)))


@implements("logaddexp")
def _logaddexp(left: Any, right: Any) -> Any:
    return elementwise(_log_add_exp, left, right, name="logaddexp")


@implements("arctan2", "atan2")
def _arctan2(left: Any, right: Any) -> Any:
    """The angle of (right, left), but for the negative half of the first axis: 2*arctan(y/(r + x))."""

    def angle(y: Expr, x: Expr) -> Expr:
        r = power(add(power(x, 2), power(y, 2)), HALF)
        return multiply(TWO, apply(ATAN, divide(y, add(r, x))))

    return elementwise(angle, left, right, name="arctan2")


@implements("special.polygamma")
def _polygamma(n: Any, x: Any) -> Any:
    orders = {0: DIGAMMA, 1: TRIGAMMA}
    if not isinstance(n, int) or n not in orders:
        raise TraceError("special.polygamma of an order other than 0 and 1 cannot be traced")
    return elementwise(_call(orders[n]), x, name="special.digamma")


@implements("hypot")
def _hypot(left: Any, right: Any) -> Any:
    return elementwise(lambda a, b: power(add(power(a, 2), power(b, 2)), HALF), left, right, name="hypot")


@implements("isnan", "isinf", "isneginf", "isposinf")
def _never(x: Any) -> Any:
    _must_be_finite("isnan", x)
    return elementwise(lambda v: ZERO, x, kind="bool")


@implements("isfinite")
def _always(x: Any) -> Any:
    _must_be_finite("isfinite", x)
    return elementwise(lambda v: ONE, x, kind="bool")


@implements("nan_to_num")
def _nan_to_num(x: Any, copy: Any = True, *_values: Any, **_: Any) -> Any:
    _must_be_finite("nan_to_num", x)
    if isinstance(x, Array) and not copy:  # nothing is changed in it, and it is what is returned
        return x
    return elementwise(lambda v: v, x, name="positive", nonlinear=False)


def _without_nan(name: str, plain: str) -> None:
    @implements(name)
    def reduction(a: Any, *args: Any, **options: Any) -> Any:
        _must_be_finite(name, a)
        return OPERATIONS[plain](a, *args, **options)


for _plain in ("sum", "mean", "var", "std", "max", "min", "prod", "cumsum", "argmax", "argmin"):
    _without_nan(f"nan{_plain}", _plain)
