"""Finite for all inputs in a range, by intervals: what they hold, and when they say nothing."""

import math

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.precision.intervals import Interval, Undecided

X = {"x": ("N",)}


def interval(low, high, dtype=np.float64):
    return Interval(low, high, dtype)


@pytest.mark.parametrize("seed", range(5))
def test_an_interval_holds_what_the_machine_computes(seed):
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.uniform(0.1, 30, 2))
    box = interval(low, high)
    for x in rng.uniform(low, high, 200):
        for own, held in (
            (1 / (1 + np.exp(-x)), 1 / (1 + np.exp(np.array([-box], dtype=object))[0])),
            (x * x - 3 * x, box * box - 3 * box),
            (np.tanh(x) / np.sqrt(x), box.tanh() / box.sqrt()),
            (np.log1p(x) ** 3, box.log1p() ** 3),
        ):
            assert held.low <= own <= held.high


def test_what_intervals_do_not_tell():
    wide, infinite = interval(-1.0, 1.0), interval(0.0, math.inf)
    for attempt in (
        lambda: 1 / wide,
        lambda: wide.log(),
        lambda: infinite - infinite,
        lambda: infinite * wide,
        lambda: infinite / infinite,
        lambda: wide > 0,
        lambda: wide == 0,
        lambda: float(wide),
    ):
        with pytest.raises(Undecided):
            attempt()
    assert (1 / (1 + infinite)).high <= 1 + 1e-9
    assert interval(1.0, 2.0) > 0


def test_float32_overflows_sooner():
    assert interval(0.0, 80.0, np.float32).exp().finite
    assert not interval(0.0, 100.0, np.float32).exp().finite
    assert interval(0.0, 100.0).exp().finite


def test_a_verdict_says_what_is_proved():
    def forward(x):
        return 1 / (1 + np.exp(-x))

    def backward(dout, x):
        return {"x": dout / (1 + np.exp(-x)) / (1 + np.exp(x))}

    proved = sb.check(forward, backward, shapes=X, precision=True).precision
    assert proved.finite.startswith("N=")
    assert "proved finite by intervals" in proved.text


def test_where_a_branch_hides_nan_intervals_say_nothing():
    def forward(x):
        return np.where(x > 0, np.sqrt(np.abs(x)), 0.0)

    def backward(dout, x):
        return {"x": np.where(x > 0, dout / (2 * np.sqrt(np.abs(x))), 0.0)}

    found = sb.check(forward, backward, shapes=X, precision=True).precision
    assert (found.safe, found.finite) == (True, "")
