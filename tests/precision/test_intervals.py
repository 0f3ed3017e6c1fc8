"""Finite for all inputs in a range, by intervals: what they hold, and when they say nothing."""

import numpy as np
import pytest

from symbackprop.precision.intervals import Interval, Machine, Undecided, boxes

SEED = 7
X = {"x": ("N",)}


def interval(low, high, dtype=np.float64):
    return Interval(low, high, Machine(dtype))


UNARY = (np.exp, np.log, np.sqrt, np.tanh, np.abs, np.log1p, np.expm1, np.cosh, np.sinh, np.sin, np.arctan, np.sign,
         np.square, np.negative, np.reciprocal, np.arcsinh, lambda a: a**3, lambda a: a**-1.5,
         lambda a: a - a.max(axis=1, keepdims=True), lambda a: np.exp(a - a.max(axis=1, keepdims=True)),
         lambda a: a / np.abs(a).max(axis=1, keepdims=True), lambda a: a.sum(axis=1, keepdims=True) + 0 * a,
         lambda a: a.mean(axis=1, keepdims=True), lambda a: (a * a).sum(axis=1, keepdims=True),
         lambda a: np.maximum(a, 0), lambda a: np.minimum(a, 1), lambda a: (a > 0) * a, lambda a: a @ a.T,
         lambda a: 3 * (a - a.max(axis=0)), lambda a: np.clip(a, -2, 2), lambda a: 0.5 * (a - a.max(axis=1)[:, None]))  # fmt: skip
BINARY = (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.logaddexp, np.hypot,
          lambda a, b: np.where(a > b, a, b), lambda a, b: np.where(a <= 1, np.exp(a), b))  # fmt: skip


def program(rng):
    """A random function of two arrays, as a list of steps."""
    steps = [(rng.integers(len(UNARY)), rng.integers(len(BINARY)), rng.random()) for _ in range(rng.integers(2, 7))]

    def run(a, b):
        for one, two, which in steps:
            if which < 0.6:
                a, b = UNARY[one](a), a
            else:
                a = BINARY[two](a, b)
        return a

    return run


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_number_escapes_from_an_interval(dtype):
    """Random programs on random boxes, at random points, the corners and zeros of both signs."""
    rng, told, finite = np.random.default_rng(SEED), 0, 0
    for _ in range(400):
        scale = 10.0 ** rng.integers(-3, 4) if rng.random() < 0.9 else 10.0 ** rng.integers(-150, 150)
        scale = min(scale, 1e30) if dtype is np.float32 else scale
        low = (rng.choice([-1, 0, 0.5], (2, 3)) * scale * rng.random((2, 3))).astype(dtype)
        high = (low + scale * rng.random((2, 3)) * rng.integers(0, 2, (2, 3))).astype(dtype)
        own = program(rng)
        machine = Machine(dtype)
        with np.errstate(all="ignore"):
            try:
                held = own(boxes((2, 3), low, high, machine), boxes((2, 3), low, high, machine))
            except (Undecided, ValueError, TypeError):  # a comparison that is not told, or shapes that do not fit
                continue
            told += 1
            for turn in range(12):
                a, b = (
                    np.where(rng.random((2, 3)) < 0.3, rng.choice([low, high]), low + (high - low) * rng.random((2, 3)))
                    for _ in range(2)
                )
                a, b = (np.clip(v.astype(dtype), low, high) for v in (a, b))
                if turn % 3 == 0:
                    a, b = (np.where((low <= 0) & (high >= 0), dtype(-0.0), v) for v in (a, b))
                value = own(a, b)
                for box, v in zip(np.ravel(held), np.ravel(value), strict=True):
                    if isinstance(box, Interval):
                        finite += box.finite and not box.nan
                        assert box.nan if np.isnan(v) else box.low <= v <= box.high, (box.low, v, box.high, box.nan)
    assert told > 200
    assert finite > 1000
