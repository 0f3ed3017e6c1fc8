"""The numbers that `check` looks at: how soon, how many, and at which points."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.deciding import matter_of
from symbackprop.refute import CLEAR, Search, refute
from symbackprop.trace import trace_pair


def hinge_of_distance(a, p):
    near = np.sqrt(((a - p) ** 2).sum(axis=1))
    return np.maximum(near - 1, 0).sum()


def doubled(a, p):
    near = np.linalg.norm(a - p, axis=1, keepdims=True)
    return {"a": 2 * (near > 1) * (a - p) / near}


def search_for(forward, backward, shapes):
    return Search(matter_of(trace_pair(forward, backward, shapes, {}, None, None)).question, 30.0)


def test_point_at_which_the_backward_also_divides_by_zero_is_second_choice():
    """Row 0 has distance 0: inactive, so the forward is differentiable there, but the user's row 0 is nan."""
    search = search_for(hinge_of_distance, doubled, {"a": ("N", "D"), "p": ("N", "D")})
    point = search.sampler.point(dict(zip(search.sampler.symbols, (2, 1), strict=True)))
    values = {"a": np.array([[1.0], [4.0]]), "p": np.array([[1.0], [2.0]])}
    found = search.examine(replace(point, inputs={t: values[t.name] for t in point.inputs}))
    assert found.disagreements() == ["a"] and not found.finite()
    assert search.strength(found, ["a"]) < CLEAR
    values["p"][0] = 0.5
    elsewhere = search.examine(replace(point, inputs={t: values[t.name] for t in point.inputs}))
    assert search.strength(elsewhere, ["a"]) >= CLEAR


def many_windows(x, w):
    out = np.zeros((x.shape[0], x.shape[1] - 2))
    for t in range(x.shape[1] - 2):
        out[:, t] = np.maximum(x[:, t : t + 3], 0) @ w
    return out


def many_windows_backward(dout, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for t in range(x.shape[1] - 2):
        active = x[:, t : t + 3] > 0
        dx[:, t : t + 3] += dout[:, t : t + 1] * w * active
        dw += np.maximum(x[:, t : t + 3], 0).T @ dout[:, t]
    return {"x": dx, "w": dw}


def test_directed_points_end_with_the_time():
    """Twenty windows of three thresholds each: a pass over all of them takes far longer than the time given."""
    traced = trace_pair(many_windows, many_windows_backward, {"x": ("N", 22), "w": (3,)}, {}, None, None)
    question = matter_of(traced).question
    start = time.perf_counter()
    assert refute(question, budget_seconds=0.2, stage="directed") is None
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("longest", [4, 5])
def test_fault_of_long_sequences_alone_is_found_though_short_ones_are_right(longest):
    """Sizes at which nothing is proved are examined all the same."""

    def forward(x):
        total = x[:, 0] * 1.0
        for t in range(1, x.shape[1]):
            total = total * x[:, t]
        return total

    def backward(dout, x):
        dx = np.zeros_like(x)
        for t in range(x.shape[1]):
            rest = dout * 1.0
            for u in range(x.shape[1]):
                if u != t:
                    rest = rest * x[:, u]
            dx[:, t] = rest * (2.0 if t >= longest - 1 else 1.0)
        return {"x": dx}

    verdict = sb.check(forward, backward, shapes={"x": ("N", "T")})
    assert verdict.status == "REFUTED" and verdict.counterexample.inputs["x"].shape[1] >= longest
