"""Finite for all inputs in a range, by intervals: what they hold, and when they say nothing."""

import math

import numpy as np
import pytest

import symbackprop as sb
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
    for _ in range(150):
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
    assert told > 70
    assert finite > 400


def test_what_intervals_do_not_tell():
    wide, infinite = interval(-1.0, 1.0), interval(0.0, math.inf)
    for lost in (wide.log(), infinite - interval(0.0, math.inf), infinite * wide, infinite / interval(1.0, math.inf)):
        assert lost.nan
    assert not (1 / wide).finite
    for attempt in (lambda: bool(wide > 0), lambda: bool(wide == 0), lambda: float(wide)):
        with pytest.raises(Undecided):
            attempt()
    assert (1 / (1 + infinite)).high <= 1 + 1e-9
    assert interval(1.0, 2.0) > 0


def test_float32_overflows_sooner():
    assert interval(0.0, 80.0, np.float32).exp().finite
    assert not interval(0.0, 100.0, np.float32).exp().finite
    assert interval(0.0, 100.0).exp().finite


def sigmoid(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))


def sigmoid_slope(dout, x):
    return {"x": dout / (1 + np.exp(-x)) / (1 + np.exp(x))}


def layer(x, w):
    return np.tanh(x @ w)


def layer_slopes(dout, x, w):
    g = dout / np.cosh(x @ w) ** 2
    return {"x": g @ w.T, "w": x.T @ g}


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_slope(dout, x):
    p = softmax(x)
    return {"x": (p[:, :, None] * p[:, None, :] * (dout[:, :, None] - dout[:, None, :])).sum(axis=2)}


def norm(x):
    c = x - x.mean(axis=1, keepdims=True)
    return c / np.sqrt((c**2).mean(axis=1, keepdims=True) + 1e-5)


def norm_slope(dout, x):
    c = x - x.mean(axis=1, keepdims=True)
    root = np.sqrt((c**2).mean(axis=1, keepdims=True) + 1e-5)
    h, g = c / root, dout - dout.mean(axis=1, keepdims=True)
    return {"x": (g - h * (dout * h).mean(axis=1, keepdims=True)) / root}


FINITE = [
    (sigmoid, sigmoid_slope, X, {}),
    (layer, layer_slopes, {"x": ("N", "D"), "w": ("D", "M")}, {"ranges": {"x": (-10, 10), "w": (-3, 3)}}),
    (softmax, softmax_slope, {"x": ("N", "C")}, {}),
    (norm, norm_slope, {"x": ("N", "D")}, {"ranges": {"x": (-10, 10)}, "where": "D >= 3"}),
]


@pytest.mark.parametrize(("forward", "backward", "shapes", "options"), FINITE)
def test_a_verdict_says_what_is_proved(forward, backward, shapes, options):
    found = sb.check(forward, backward, shapes=shapes, precision=True, **options).precision
    assert found.finite.startswith("N="), found.text
    assert "proved finite by intervals" in found.text
    rng, sizes = np.random.default_rng(SEED), {"N": 3, "D": 4, "C": 4, "M": 2}
    ranges = options.get("ranges", {})
    for turn in range(200):  # no counterexample to it
        inputs = {}
        for name, shape in shapes.items():
            low, high = ranges.get(name, (-1e4, 1e4))
            ends = rng.choice([low, high, 0.0, -0.0, 5e-324, 1e-200], [sizes[n] for n in shape])
            inputs[name] = (
                ends if turn % 2 else np.where(rng.random(ends.shape) < 0.5, rng.uniform(low, high, ends.shape), ends)
            )
        with np.errstate(all="ignore"):
            out = forward(**inputs)
            slopes = backward(rng.choice([-1e4, 1e4, 0.0], out.shape), **inputs)
        assert all(np.isfinite(a).all() for a in (out, *slopes.values()))


def test_where_a_branch_hides_nan():
    def root(x):
        return np.where(x > 0, np.sqrt(np.abs(x)), 0.0)

    def root_slope(dout, x):
        return {"x": np.where(x > 0, dout / (2 * np.sqrt(np.abs(x))), 0.0)}

    def later(x):
        return np.where(x > 1, np.sqrt(np.abs(x - 1)), 0.0)

    def later_slope(dout, x):
        return {"x": np.where(x > 1, dout / (2 * np.sqrt(np.abs(x - 1))), 0.0)}

    at_zero = sb.check(root, root_slope, shapes=X, precision=True).precision  # told apart: the ranges are cut at 0
    assert (at_zero.safe, at_zero.finite) == (True, "N=2")
    elsewhere = sb.check(later, later_slope, shapes=X, precision=True).precision
    assert (elsewhere.safe, elsewhere.finite) == (True, "")


def test_intervals_lead_to_what_patterns_miss():
    """A distance of two inputs that differ by less than a square can tell."""

    def forward(x, c):
        return np.sqrt(((x - c) ** 2 / 3).sum(axis=1))

    def backward(dout, x, c):
        d = x - c
        return {"x": (dout / np.sqrt((d**2 / 3).sum(axis=1)))[:, None] * d / 3}

    found = sb.check(forward, backward, shapes={"x": ("N", "D"), "c": ("D",)}, precision=True).precision
    assert found.safe is False
