"""Branches and scalar functions, entry by entry.

max, min, abs and clip become `Where` over a comparison, so that their kinks are visible; exp, log, erf, sin, cos and
tanh are the functions of `primitives`; the rest is written in these.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Expr,
    Number,
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
from symbackprop.expression.functions import ERF, EXP, FUNCTIONS, LOG, Function
from symbackprop.frontends.numpy.array import has_entry
from symbackprop.frontends.numpy.elementwise import Places, compared, elementwise, into, kind_of_all, truth
from symbackprop.frontends.numpy.registry import implements
from symbackprop.frontends.numpy.session import holds

HALF = number(Fraction(1, 2))
TWO = number(2)


# --- branches -----------------------------------------------------------------------------------------------------


@implements("maximum", "fmax")
def _maximum(left: Any, right: Any, **options: Any) -> Any:
    return into(elementwise(lambda a, b: _larger(a, b, a, b), left, right, kind=kind_of_all(left, right)), options)


@implements("minimum", "fmin")
def _minimum(left: Any, right: Any, **options: Any) -> Any:
    return into(elementwise(lambda a, b: _larger(b, a, a, b), left, right, kind=kind_of_all(left, right)), options)


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


@implements("absolute", "abs", "fabs")
def _absolute(x: Any) -> Any:
    return elementwise(lambda v: where(_below(v, ZERO), negate(v), v), x, kind=kind_of_all(x))


@implements("sign")
def _sign(x: Any) -> Any:
    def make(v: Expr) -> Expr:
        return where(_below(ZERO, v), ONE, where(_below(v, ZERO), MINUS_ONE, ZERO))

    return elementwise(make, x, kind=kind_of_all(x))


@implements("heaviside")
def _heaviside(x: Any, at_zero: Any) -> Any:
    def make(v: Expr, h: Expr) -> Expr:
        return where(compared("<", ZERO, v), ONE, where(compared("<", v, ZERO), ZERO, h))

    return elementwise(make, x, at_zero)


@implements("where")
def _where(condition: Any, then: Any = None, otherwise: Any = None) -> Any:
    if then is None or otherwise is None:
        return Places(truth(condition))
    return elementwise(where, truth(condition), then, otherwise, kind=kind_of_all(then, otherwise))


@implements("nonzero")
def _nonzero(a: Any) -> Any:
    return Places(truth(a))


# --- functions ----------------------------------------------------------------------------------------------------


def _function(name: str, make: Callable[[Expr], Expr]) -> None:
    @implements(name)
    def operation(x: Any, **options: Any) -> Any:
        return into(elementwise(make, x), options)


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
