"""Intervals in place of numbers: a user's functions are run by NumPy on arrays of them.

An interval holds every number that the machine may compute from numbers in those that it is made of, and says whether
it may be no number. What intervals of single entries forget is kept where softmaxes and norms need it: of z - max(z)
that it is not positive and 0 somewhere, of x / max|x| that it is 1 somewhere. Where a comparison is not told, both
branches count. Main names: `Interval`, `Machine`, `boxes`.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

ULPS = 4  # that a function of NumPy's may be off
NEAR = 1e-6  # of its terms, below which a sum may have lost its digits


class Undecided(Exception):
    """An interval does not tell."""


@dataclass
class Machine:
    """A dtype, and what happens to intervals in it.

    Attributes:
        steps: how many operations there were.
        hazards: (what may happen, at which step): "no number", "cancels", "underflows".
    """

    dtype: type[np.floating[Any]]
    steps: int = 0
    hazards: set[tuple[str, int]] = field(default_factory=set)

    def may(self, what: str) -> None:
        """Write down what may happen at this step."""
        self.hazards.add((what, self.steps))

    def widened(self, low: float, high: float) -> tuple[float, float]:
        """The ends with what rounding may add; a sign is never rounded away."""
        with np.errstate(all="ignore"):  # what is beyond the dtype is infinite
            down, up = self.dtype(low), self.dtype(high)
            for _ in range(ULPS):
                down, up = np.nextafter(down, self.dtype(-np.inf)), np.nextafter(up, self.dtype(np.inf))
        below, above = float(down), float(up)
        return (max(below, 0.0) if low >= 0 else below), (min(above, 0.0) if high <= 0 else above)


@dataclass(frozen=True)
class Attained:
    """Of the intervals made of all members of a maximum, one is at least `least` in absolute value.

    Args:
        top: the maximum.
        member: which of its members this interval is made of.
    """

    top: Interval
    member: int
    least: float


class Unknown:
    """A comparison that may be true or false."""

    def __bool__(self) -> bool:
        raise Undecided

    def __and__(self, other: Any) -> Any:
        return False if other is False else self

    def __or__(self, other: Any) -> Any:
        return True if other is True else self

    def __invert__(self) -> Unknown:
        return self

    __rand__, __ror__ = __and__, __or__


UNKNOWN = Unknown()


class Interval:
    """All numbers from `low` to `high`, which may be infinite, and nan if it may be that.

    Attributes:
        members: of a maximum, what it is the largest of.
        size_of: of an absolute value, what it is that of.
        attained: what is known of it and of those beside it.
    """

    __slots__ = ("attained", "high", "low", "machine", "members", "nan", "size_of")

    def __init__(self, low: float, high: float, machine: Machine, *, nan: bool = False) -> None:
        if math.isnan(low) or math.isnan(high):
            low, high, nan = -math.inf, math.inf, True
        self.low, self.high, self.machine, self.nan = low, high, machine, nan
        self.members: tuple[Interval, ...] = ()
        self.size_of: Interval | None = None
        self.attained: Attained | None = None

    def made(self, low: float, high: float, *others: Interval, lost: bool = False) -> Interval:
        """What is computed from this and others; `lost` where it may be no number."""
        self.machine.steps += 1
        nan = lost or self.nan or any(o.nan for o in others)
        if lost:
            self.machine.may("no number")
        if math.isnan(low) or math.isnan(high):
            return Interval(low, high, self.machine)
        if self.low != 0 != self.high and 0 not in (low, high) and min(abs(low), abs(high)) < 1e-300:
            self.machine.may("underflows")
        return Interval(*self.machine.widened(low, high), self.machine, nan=nan)

    def of(self, other: Any) -> Interval:
        """A number as an interval."""
        if isinstance(other, Interval):
            return other
        if isinstance(other, Unknown):
            return Interval(0.0, 1.0, self.machine)
        value = float(other)
        return Interval(value, value, self.machine) if self.machine.dtype(value) == value else Interval(
            *self.machine.widened(value, value), self.machine)  # fmt: skip

    @property
    def finite(self) -> bool:
        """Whether no number in it is infinite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def holds_zero(self) -> bool:
        """Whether 0 is in it."""
        return self.low <= 0 <= self.high

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return _ufunc(ufunc, method, inputs, options)

    def __add__(self, other: Any) -> Interval:
        b = self.of(other)
        lost = (self.low == -math.inf and b.high == math.inf) or (self.high == math.inf and b.low == -math.inf)
        low, high = self.low + b.low, self.high + b.high
        found = self.made(low, high, b, lost=lost)
        if not (self.holds_zero or b.holds_zero):
            least = min(min(abs(i.low), abs(i.high)) for i in (self, b))
            if low < NEAR * least and high > -NEAR * least:
                self.machine.may("cancels")
        return found

    __radd__ = __add__

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low, self.machine, nan=self.nan)

    def __pos__(self) -> Interval:
        return self

    def __sub__(self, other: Any) -> Interval:
        b = self.of(other)
        member = next((k for k, m in enumerate(b.members) if m is self), None)
        if b is self and self.finite:  # the only member
            found = Interval(0.0, 0.0, self.machine, nan=self.nan)
            found.attained = Attained(self, 0, 0.0)
            return found
        if member is None or not (self.finite and b.finite):
            return self + (-b)
        low, _ = self.machine.widened(self.low - b.high, 0.0)
        found = Interval(min(low, 0.0), 0.0, self.machine, nan=self.nan or b.nan)  # the largest itself gives 0
        found.attained = Attained(b, member, 0.0)
        return found

    def __rsub__(self, other: Any) -> Interval:
        return self.of(other) + (-self)

    def __mul__(self, other: Any) -> Interval:
        b = self.of(other)
        lost = any(not one.finite and two.holds_zero for one, two in ((self, b), (b, self)))
        ends = [_product(x, y) for x in (self.low, self.high) for y in (b.low, b.high)]
        same = self is b
        found = self.made(0.0 if same and self.holds_zero else min(ends), max(ends), b, lost=lost and not same)
        if same and self.attained is not None:
            found.attained = Attained(self.attained.top, self.attained.member, self.attained.least**2)
        return self._scaled(b, found)

    def _scaled(self, b: Interval, found: Interval) -> Interval:
        """What is 0 somewhere still is if a number multiplies or divides it."""
        if self.attained is not None and self.attained.least == 0 and b.low == b.high and 0 < b.low < math.inf:
            found.attained = self.attained
        return found

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Interval:
        b = self.of(other)
        member = next((k for k, m in enumerate(b.members) if m is self or m.size_of is self), None)
        if member is not None and all(m.low >= 0 for m in b.members) and self.finite and b.finite:
            bound = 1.0 if b.low > 0 else math.nan  # 0/0 where all are 0
            found = self.made(-bound if self.low < 0 else min(0.0, bound), bound, b, lost=b.low <= 0)
            found.attained = Attained(b, member, 1.0) if b.low > 0 else None
            return found
        if b is self:
            return self.made(1.0, 1.0, lost=b.holds_zero or not b.finite)
        if b.holds_zero:
            return self.made(-math.inf, math.inf, b, lost=self.holds_zero or not self.finite)
        ends = [_quotient(x, y) for x in (self.low, self.high) for y in (b.low, b.high)]
        return self._scaled(b, self.made(min(ends), max(ends), b, lost=not (self.finite or b.finite)))

    def __rtruediv__(self, other: Any) -> Interval:
        return self.of(other) / self

    def __pow__(self, other: Any) -> Interval:
        exponent = self.of(other)
        if exponent.low != exponent.high:
            return (exponent * self.log()).exp()
        power = exponent.low
        if power == 0.5:
            return self.sqrt()
        if power == 2:
            return self * self
        if power != int(power) or abs(power) > 64:
            lost = self.low < 0 or (power < 0 and self.low == 0)
            ends = [math.inf] if lost else [_power(self.low, power), _power(self.high, power)]
            return self.made(0.0 if lost else min(ends), max(ends), lost=lost)
        if power < 0:
            return 1 / self ** (-power)
        ends = [_power(self.low, int(power)), _power(self.high, int(power))]
        return self.made(0.0 if power % 2 == 0 and self.holds_zero else min(ends), max(ends))

    def __rpow__(self, other: Any) -> Interval:
        return self.of(other) ** self

    def __abs__(self) -> Interval:
        low = 0.0 if self.holds_zero else min(abs(self.low), abs(self.high))
        found = Interval(low, max(abs(self.low), abs(self.high)), self.machine, nan=self.nan)
        found.size_of, found.attained = self, self.attained
        return found

    def _told(self, other: Any, sure: Callable[[Interval, Interval], bool], never: Callable[..., bool]) -> Any:
        b = self.of(other)
        if self.nan or b.nan:
            return UNKNOWN
        return True if sure(self, b) else False if never(self, b) else UNKNOWN

    def __lt__(self, other: Any) -> Any:
        return self._told(other, lambda a, b: a.high < b.low, lambda a, b: a.low >= b.high)

    def __le__(self, other: Any) -> Any:
        return self._told(other, lambda a, b: a.high <= b.low, lambda a, b: a.low > b.high)

    def __gt__(self, other: Any) -> Any:
        return self.of(other) < self

    def __ge__(self, other: Any) -> Any:
        return self.of(other) <= self

    def __eq__(self, other: Any) -> Any:
        return self._told(
            other, lambda a, b: a.low == a.high == b.low == b.high, lambda a, b: a.high < b.low or a.low > b.high
        )

    def __ne__(self, other: Any) -> Any:
        found = self == other
        return found if isinstance(found, Unknown) else not found

    __hash__ = None  # type: ignore[assignment]

    def __float__(self) -> float:
        raise Undecided

    def __bool__(self) -> bool:
        raise Undecided

    # Functions of one argument, by NumPy's names.

    def rising(self, function: Callable[[float], float], least: float = -math.inf) -> Interval:
        """All values of a function that rises, and has none below `least`."""
        if self.high < least:
            return self.made(math.nan, math.nan, lost=True)
        return self.made(function(max(self.low, least)), function(self.high), lost=self.low < least)

    def exp(self) -> Interval:
        """All values of exp."""
        found = self.made(_exp(self.low), _exp(self.high))
        if self.attained is not None and self.attained.least == 0 and self.high <= 0:
            found.attained = Attained(self.attained.top, self.attained.member, 1.0)
        return found

    def log(self) -> Interval:
        """All values of log; that of 0 is -inf."""
        return self.rising(lambda v: math.log(v) if v > 0 else -math.inf, 0.0)

    def log1p(self) -> Interval:
        """All values of log1p."""
        return self.rising(lambda v: math.log1p(v) if v > -1 else -math.inf, -1.0)

    def sqrt(self) -> Interval:
        """All values of sqrt."""
        return self.rising(math.sqrt, 0.0)

    def cosh(self) -> Interval:
        """All values of cosh."""
        size = abs(self)
        return self.made(0.5 * _exp(size.low), _exp(size.high))

    def sinh(self) -> Interval:
        """All values of sinh."""
        return self.rising(_sinh)

    def wave(self) -> Interval:
        """All values of sin and cos."""
        return self.made(-1.0, 1.0, lost=not self.finite)

    def sign(self) -> Interval:
        """All signs."""
        return self.made(-1.0 if self.low < 0 else float(self.low > 0), 1.0 if self.high > 0 else -float(self.high < 0))


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _sinh(x: float) -> float:
    try:
        return math.sinh(x)
    except OverflowError:
        return math.copysign(math.inf, x)


def _power(x: float, n: float) -> float:
    try:
        return float(x**n)
    except OverflowError:
        return math.inf if x > 0 or n % 2 == 0 else -math.inf
    except ZeroDivisionError:
        return math.inf


def _product(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y


def _quotient(x: float, y: float) -> float:
    return 0.0 if math.isinf(y) else x / y


def _larger(a: Any, b: Any) -> Any:
    one, two = _both(a, b)
    found = Interval(max(one.low, two.low), max(one.high, two.high), one.machine, nan=one.nan or two.nan)
    found.members = (*(one.members or (one,)), *(two.members or (two,)))
    return found


def _smaller(a: Any, b: Any) -> Any:
    one, two = _both(a, b)
    return Interval(min(one.low, two.low), min(one.high, two.high), one.machine, nan=one.nan or two.nan)


def _both(a: Any, b: Any) -> tuple[Interval, Interval]:
    known = a if isinstance(a, Interval) else b
    return known.of(a), known.of(b)


def _chosen(condition: Any, then: Any, otherwise: Any) -> Any:
    if not isinstance(condition, Unknown):
        return then if condition else otherwise
    if not isinstance(then, Interval) and not isinstance(otherwise, Interval):
        if then == otherwise:
            return then
        raise Undecided
    a, b = _both(then, otherwise)
    return Interval(min(a.low, b.low), max(a.high, b.high), a.machine, nan=a.nan or b.nan)


def _log_of_sum(a: Any, b: Any) -> Any:
    one, two = _both(a, b)
    if not (one.finite and two.finite):
        return one.made(-math.inf, math.inf, two, lost=True)
    ends = [max(x, y) + math.log1p(_exp(-abs(x - y))) for x, y in ((one.low, two.low), (one.high, two.high))]
    return one.made(ends[0], ends[1], two)


def _hypot(a: Any, b: Any) -> Any:
    one, two = map(abs, _both(a, b))
    return one.made(math.hypot(one.low, two.low), math.hypot(one.high, two.high), two)


def _own(name: str) -> Callable[[Any], Any]:
    """A method of intervals; of numbers NumPy's function."""
    method, function = getattr(Interval, name), getattr(np, name, None)
    return lambda v: method(v) if isinstance(v, Interval) else function(v)  # type: ignore[misc]


def _rises(function: Callable[[float], float], name: str) -> Callable[[Any], Any]:
    return lambda v: v.rising(function) if isinstance(v, Interval) else getattr(np, name)(v)


def _expm1(x: float) -> float:
    try:
        return math.expm1(x)
    except OverflowError:
        return math.inf


ONE_ARGUMENT: dict[str, Callable[[Any], Any]] = {
    **{name: _own(name) for name in ("exp", "log", "log1p", "sqrt", "cosh", "sinh", "sign")},
    "expm1": _rises(_expm1, "expm1"), "tanh": _rises(math.tanh, "tanh"), "arctan": _rises(math.atan, "arctan"),
    "arcsinh": _rises(math.asinh, "arcsinh"), "cbrt": _rises(math.cbrt, "cbrt"), "rint": _rises(round, "rint"),
    "floor": _rises(lambda v: v if math.isinf(v) else math.floor(v), "floor"),
    "ceil": _rises(lambda v: v if math.isinf(v) else math.ceil(v), "ceil"),
    "erf": _rises(math.erf, "tanh"), "expit": lambda v: 1 / (1 + ONE_ARGUMENT["exp"](-v)),
    "sin": lambda v: v.wave() if isinstance(v, Interval) else np.sin(v),
    "cos": lambda v: v.wave() if isinstance(v, Interval) else np.cos(v),
    "absolute": abs, "fabs": abs, "negative": operator.neg, "positive": lambda v: v, "conjugate": lambda v: v,
    "square": lambda v: v * v, "reciprocal": lambda v: 1 / v,
    "logical_not": lambda v: ~v if isinstance(v, Unknown) else not v,
    "invert": lambda v: ~v if isinstance(v, Unknown) else not v,
}  # fmt: skip
TWO_ARGUMENTS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "true_divide": operator.truediv, "power": operator.pow, "float_power": operator.pow,
    "less": operator.lt, "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
    "equal": operator.eq, "not_equal": operator.ne, "maximum": _larger, "minimum": _smaller, "fmax": _larger,
    "fmin": _smaller, "logaddexp": _log_of_sum, "hypot": _hypot,
    "logical_and": operator.and_, "logical_or": operator.or_, "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
}  # fmt: skip


def _scalar(function: Callable[..., Any], *values: Any) -> Any:
    """A function of numbers, intervals and comparisons that are not told."""
    machine = next((v.machine for v in values if isinstance(v, Interval)), None)
    if machine is not None and any(isinstance(v, (bool, np.bool_, Unknown)) for v in values):
        values = tuple(v if isinstance(v, Interval) else _mask(v, machine) for v in values)
    if machine is None and any(isinstance(v, Unknown) for v in values) and function not in LOGICAL:
        raise Undecided
    return function(*values)


LOGICAL = (operator.and_, operator.or_, ONE_ARGUMENT["logical_not"], ONE_ARGUMENT["invert"])


def _mask(value: Any, machine: Machine) -> Any:
    """A comparison as the factor that it is in arithmetic."""
    if isinstance(value, Unknown):
        return Interval(0.0, 1.0, machine)
    return Interval(float(value), float(value), machine) if isinstance(value, (bool, np.bool_)) else value


class Boxes(np.ndarray[Any, Any]):
    """An array of intervals, which NumPy's functions take."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return _ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.where and len(args) == 3 and not kwargs:
            return _wrapped(np.frompyfunc(_chosen, 3, 1)(*map(_plain, args)))
        return super().__array_function__(function, types, args, kwargs)


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Boxes) else value


def _wrapped(value: Any) -> Any:
    """An array of intervals, or of plain truth values."""
    if not isinstance(value, np.ndarray):
        return value
    if value.size and all(isinstance(v, (bool, np.bool_)) for v in value.ravel()):
        return value.astype(bool)
    return value.astype(object).view(Boxes)


def _ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    out = options.get("out")
    if options.get("where", True) is not True or isinstance(options.get("initial"), (int, float, Interval)):
        raise Undecided
    plain = [np.asarray(_plain(v), dtype=object) for v in inputs]
    name = ufunc.__name__
    if name == "matmul" and method == "__call__":
        found = _matmul(*plain)
    elif name == "clip":
        found = np.frompyfunc(lambda v, a, b: _smaller(_larger(v, a), b), 3, 1)(*plain)
    elif method == "reduce":
        fold = _total if name == "add" else _fold_of(name)
        found = _reduced(fold, plain[0], options.get("axis", 0), bool(options.get("keepdims", False)))
    elif method in ("__call__", "accumulate"):
        own = np.frompyfunc(_function_of(name, ufunc.nin), ufunc.nin, 1)
        found = own.accumulate(plain[0], axis=options.get("axis", 0)) if method == "accumulate" else own(*plain)
    else:
        raise Undecided(name)
    if out is not None and out[0] is not None:
        out[0][...] = found
        return out[0]
    return _wrapped(found)


def _function_of(name: str, count: int) -> Callable[..., Any]:
    table: dict[str, Any] = ONE_ARGUMENT if count == 1 else TWO_ARGUMENTS
    if name not in table:
        raise Undecided(name)
    return lambda *values: _scalar(table[name], *values)


def _fold_of(name: str) -> Callable[[Iterable[Any]], Any]:
    function = _function_of(name, 2)
    return lambda values: functools.reduce(function, values)


def _total(values: Iterable[Any]) -> Any:
    """A sum; of all that a maximum was taken of, with none that is negative, it is at least what one of them is."""
    terms = list(values)
    found = sum(terms[1:], terms[0]) if terms else 0.0
    known = [t.attained for t in terms if isinstance(t, Interval) and t.attained is not None and t.low >= 0]
    if not isinstance(found, Interval) or len(known) != len(terms):
        return found
    top = known[0].top
    if all(k.top is top for k in known) and {k.member for k in known} == set(range(max(1, len(top.members)))):
        least = min(k.least for k in known)
        low, _ = found.machine.widened(least, least)
        return Interval(max(found.low, low), found.high, found.machine, nan=found.nan)
    return found


def _reduced(fold: Callable[[Iterable[Any]], Any], values: NDArray[Any], axis: Any, keepdims: bool) -> Any:
    """What `fold` makes of all that stands along some axes."""
    axes = tuple(range(values.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(a % values.ndim for a in axes) if values.ndim else ()
    rest = [a for a in range(values.ndim) if a not in axes]
    turned = values.transpose(*rest, *axes).reshape(*(values.shape[a] for a in rest), -1)
    found = np.empty(turned.shape[:-1], dtype=object)
    for place in np.ndindex(*found.shape):
        found[place] = fold(list(turned[place]))
    if keepdims:
        found = found.reshape([1 if a in axes else n for a, n in enumerate(values.shape)])
    return found if found.ndim else found[()]


def _matmul(left: NDArray[Any], right: NDArray[Any]) -> Any:
    times = np.frompyfunc(_function_of("multiply", 2), 2, 1)
    if left.ndim == 1:
        return _reduced(_total, times(left if right.ndim == 1 else left[:, None], right), -min(right.ndim, 2), False)
    if right.ndim == 1:
        return _reduced(_total, times(left, right), -1, False)
    return _reduced(_total, times(left[..., :, :, None], right[..., None, :, :]), -2, False)


def boxes(shape: tuple[int, ...], low: Any, high: Any, machine: Machine) -> NDArray[Any]:
    """An array of intervals between two arrays or numbers."""
    found = np.empty(shape, dtype=object)
    lows, highs = np.broadcast_to(low, shape), np.broadcast_to(high, shape)
    for place in np.ndindex(*shape):
        found[place] = Interval(float(lows[place]), float(highs[place]), machine)
    return found.view(Boxes)


__all__ = ["Boxes", "Interval", "Machine", "Undecided", "boxes"]
