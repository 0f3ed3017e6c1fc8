"""Forward-mode derivatives through plain NumPy code: arrays that carry their derivative along many directions at once.

    x = Tangents.inputs({"x": x, "w": w})        # a direction for each entry of each of them
    forward(**x).tangent                         # the derivative of each entry of the result by each entry of the inputs

The code runs as it is, with its views and assignments. Where a branch is near the point at which it turns (equal sides
of a comparison, a whole number under `floor`, two largest entries), the directions that lead across are `doubtful`:
there the result may have no derivative, and none is claimed.

Nothing here knows of the package: it is what verdicts are compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NEAR = 1e-12  # relative: a branch so near its turn is not told from one on it


@dataclass
class Record:
    """What happened on the way.

    Args:
        directions: how many there are.
        doubtful: along which of them a branch may turn at this very point.
        branches: which way each branch went, in the order of the program.
    """

    directions: int
    doubtful: Any = None
    branches: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.doubtful = np.zeros(self.directions, dtype=bool)

    def turn(self, gap: Any, scale: Any, tangent: Any) -> None:
        """A branch that turns where `gap` is 0, of quantities as large as `scale`."""
        near = ~(np.abs(gap) > NEAR * (1 + scale))
        if near.any():
            self.doubtful |= (np.asarray(tangent)[near] != 0).any(axis=0)

    def went(self, way: Any) -> Any:
        """Keep which way a branch went."""
        self.branches.append(np.asarray(way).tobytes())
        return way


class Tangents(np.lib.mixins.NDArrayOperatorsMixin):
    """An array and its tangent, which has one more axis at the end: the direction."""

    def __init__(self, value: Any, tangent: Any, record: Record) -> None:
        self.value, self.tangent, self.record = np.asarray(value), np.asarray(tangent), record

    @staticmethod
    def inputs(values: Mapping[str, Any]) -> dict[str, Tangents]:
        """Arrays with a direction for each entry, in the order of the mapping."""
        sizes = [np.size(a) for a in values.values()]
        eye, record, found, first = np.eye(sum(sizes), dtype=np.longdouble), Record(sum(sizes)), {}, 0
        for (name, value), size in zip(values.items(), sizes, strict=True):
            tangent = eye[first : first + size].reshape(*np.shape(value), sum(sizes))
            found[name] = Tangents(np.array(value), tangent.copy(), record)
            first += size
        return found

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    dtype = property(lambda self: self.value.dtype)
    T = property(lambda self: np.transpose(self))

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, place: Any) -> Tangents:
        return Tangents(self.value[place], self.tangent[place], self.record)

    def __setitem__(self, place: Any, new: Any) -> None:
        other = self.of(new)
        self.value[place] = other.value
        self.tangent[place] = other.tangent

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, out: Any = None) -> Any:
        rule = UFUNCS.get(ufunc) if method == "__call__" else None
        if rule is None:
            return NotImplemented
        result = rule(*(self.of(o) for o in operands))
        if out is None or not isinstance(result, Tangents):
            return result
        out[0].value[...], out[0].tangent[...] = result.value, result.tangent
        return out[0]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        rule = FUNCTIONS.get(function)
        return NotImplemented if rule is None else rule(*args, **kwargs)

    def of(self, other: Any) -> Tangents:
        """Another operand: a constant has no tangent."""
        if isinstance(other, Tangents):
            return other
        value = np.asarray(other)
        return Tangents(value, np.zeros((*value.shape, self.record.directions), dtype=np.longdouble), self.record)

    def copy(self) -> Tangents:
        """One that shares nothing."""
        return Tangents(self.value.copy(), self.tangent.copy(), self.record)

    def reshape(self, *shape: Any) -> Tangents:
        """As NumPy's."""
        value = self.value.reshape(*shape)
        return Tangents(value, self.tangent.reshape(*value.shape, -1), self.record)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tangents:
        """As NumPy's."""
        return _reduced(self, np.sum, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tangents:
        """As NumPy's."""
        return _reduced(self, np.mean, axis, keepdims)

    def var(self, axis: Any = None) -> Tangents:
        """As NumPy's."""
        return ((self - self.mean(axis, True)) ** 2).mean(axis)

    def argmax(self, axis: int) -> Any:
        """As NumPy's; in doubt where another entry is as large."""
        where = self.value.argmax(axis=axis)
        top = _along(self, where, axis)
        gap = top - self
        self.record.turn(gap.value, np.abs(self.value), gap.tangent)
        return self.record.went(where)

    def max(self, axis: int, keepdims: bool = False) -> Tangents:
        """As NumPy's."""
        top = _along(self, self.argmax(axis), axis)
        return top if keepdims else top[(*[slice(None)] * (axis % self.ndim), 0)]


def _along(a: Tangents, where: Any, axis: int) -> Tangents:
    """The entries at these places of an axis, which stays with length 1."""
    at = np.expand_dims(where, axis)
    axis %= a.ndim
    return Tangents(np.take_along_axis(a.value, at, axis), np.take_along_axis(a.tangent, at[..., None], axis), a.record)


def _reduced(a: Tangents, function: Callable[..., Any], axis: Any, keepdims: bool) -> Tangents:
    axes = tuple(range(a.ndim)) if axis is None else (axis % a.ndim,)
    return Tangents(
        function(a.value, axis=axes, keepdims=keepdims), function(a.tangent, axis=axes, keepdims=keepdims), a.record
    )


def _each(value: Callable[..., Any], slope: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A function of one number, by its derivative as a function of the number and the value."""

    def rule(a: Tangents) -> Tangents:
        result = value(a.value)
        return Tangents(result, _times(slope(a.value, result), a.tangent), a.record)

    return rule


def _times(slope: Any, tangent: Any) -> Any:
    """slope * tangent; what does not change adds nothing, however steep."""
    product = np.asarray(slope)[..., None] * tangent
    return np.where(np.broadcast_to(tangent, product.shape) == 0, 0, product)


def _bilinear(function: Callable[..., Any], left: Callable[..., Any], right: Callable[..., Any]) -> Callable[..., Any]:
    def rule(a: Tangents, b: Tangents) -> Tangents:
        value = function(a.value, b.value)
        return Tangents(value, left(a.tangent, b.value) + right(a.value, b.tangent), a.record)

    return rule


def _divide(a: Tangents, b: Tangents) -> Tangents:
    value = a.value / b.value
    return Tangents(value, _times(1 / b.value, a.tangent) - _times(value / b.value, b.tangent), a.record)


def _power(a: Tangents, b: Tangents) -> Tangents:
    if b.tangent.any():
        raise NotImplementedError("an exponent that varies")
    return Tangents(a.value**b.value, _times(b.value * a.value ** (b.value - 1), a.tangent), a.record)


def _compared(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(a: Tangents, b: Tangents) -> Any:
        _doubt(a, b)
        return a.record.went(function(a.value, b.value))

    return rule


def _doubt(a: Tangents, b: Tangents) -> None:
    gap = a.value - b.value
    scale = np.broadcast_to(np.abs(a.value) + np.abs(b.value), gap.shape)
    a.record.turn(gap, scale, a.tangent - b.tangent)


def _maximum(a: Tangents, b: Tangents) -> Tangents:
    return _where((a > b) | np.isnan(a.value), a, b)


def _minimum(a: Tangents, b: Tangents) -> Tangents:
    return _where((a < b) | np.isnan(a.value), a, b)


def _absolute(a: Tangents) -> Tangents:
    return _where(a > 0, a, a * -1)


def _where(condition: Any, a: Any, b: Any) -> Any:
    one = a if isinstance(a, Tangents) else b
    a, b = one.of(a), one.of(b)
    chosen = np.where(condition, a.value, b.value)
    return Tangents(chosen, np.where(np.asarray(condition)[..., None], a.tangent, b.tangent), one.record)


def _flat(function: Callable[..., Any], turns: Callable[[Any], Any]) -> Callable[..., Any]:
    """A function that is constant between its jumps; `turns` is 0 at each."""

    def rule(a: Tangents) -> Tangents:
        a.record.turn(turns(a.value), np.abs(a.value), a.tangent)
        return a.of(a.record.went(function(a.value)))

    return rule


def _clip(a: Tangents, low: Any, high: Any) -> Any:
    return _minimum(_maximum(a, a.of(low)), a.of(high))


def _concatenate(arrays: Any, axis: int = 0) -> Tangents:
    one = next(a for a in arrays if isinstance(a, Tangents))
    parts = [one.of(a) for a in arrays]
    axis %= one.ndim
    return Tangents(
        np.concatenate([p.value for p in parts], axis), np.concatenate([p.tangent for p in parts], axis), one.record
    )


def _cumsum(a: Tangents, axis: int) -> Tangents:
    return Tangents(np.cumsum(a.value, axis), np.cumsum(a.tangent, axis % a.ndim), a.record)


def _transpose(a: Tangents) -> Tangents:
    return Tangents(a.value.T, a.tangent.transpose(*reversed(range(a.ndim)), a.ndim), a.record)


def _einsum(spec: str, a: Any, b: Any) -> Tangents:
    one = a if isinstance(a, Tangents) else b
    (left, right), result = spec.split("->")[0].split(","), spec.split("->")[1]
    return _bilinear(
        lambda p, q: np.einsum(spec, p, q),
        lambda t, q: np.einsum(f"{left}Z,{right}->{result}Z", t, q),
        lambda p, t: np.einsum(f"{left},{right}Z->{result}Z", p, t),
    )(one.of(a), one.of(b))


def _matmul_left(t: Any, b: Any) -> Any:
    return np.moveaxis(np.matmul(np.moveaxis(t, -1, 0), b), 0, -1)


def _matmul_right(a: Any, t: Any) -> Any:
    return np.matmul(a, t) if t.ndim == 2 else np.moveaxis(np.matmul(a, np.moveaxis(t, -1, 0)), 0, -1)


_multiply = _bilinear(np.multiply, lambda t, b: _times(b, t), lambda a, t: _times(a, t))
UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: lambda a, b: Tangents(a.value + b.value, a.tangent + b.tangent, a.record),
    np.subtract: lambda a, b: Tangents(a.value - b.value, a.tangent - b.tangent, a.record),
    np.negative: lambda a: Tangents(-a.value, -a.tangent, a.record),
    np.multiply: _multiply,
    np.divide: _divide,
    np.power: _power,
    np.square: lambda a: a * a,
    np.matmul: _bilinear(np.matmul, _matmul_left, _matmul_right),
    np.exp: _each(np.exp, lambda a, y: y),
    np.log: _each(np.log, lambda a, y: 1 / a),
    np.sqrt: _each(np.sqrt, lambda a, y: 0.5 / y),
    np.tanh: _each(np.tanh, lambda a, y: 1 - y * y),
    np.sin: _each(np.sin, lambda a, y: np.cos(a)),
    np.cos: _each(np.cos, lambda a, y: -np.sin(a)),
    np.maximum: _maximum,
    np.minimum: _minimum,
    np.absolute: _absolute,
    np.floor: _flat(np.floor, lambda a: a - np.rint(a)),
    np.rint: _flat(np.rint, lambda a: a - np.floor(a) - 0.5),
    **{f: _compared(f) for f in (np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal)},
}
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.clip: _clip,
    np.round: UFUNCS[np.rint],
    np.concatenate: _concatenate,
    np.cumsum: _cumsum,
    np.transpose: _transpose,
    np.einsum: _einsum,
    np.outer: lambda a, b: (a if isinstance(a, Tangents) else np.asarray(a))[:, None] * b,
    np.zeros_like: lambda a: a.of(np.zeros_like(a.value)),
    np.shape: lambda a: a.shape,
}
