"""The numbers that `check` looks at: how soon, how many, and at which points."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from thinning import EVERYTHING

import symbackprop as sb
from symbackprop.checking.decide import goal_of
from symbackprop.checking.refute import CLEAR, Search, refute
from symbackprop.frontends.numpy.traced import trace_pair


def hinge_of_distance(a, p):
    near = np.sqrt(((a - p) ** 2).sum(axis=1))
    return np.maximum(near - 1, 0).sum()


def doubled(a, p):
    near = np.linalg.norm(a - p, axis=1, keepdims=True)
    return {"a": 2 * (near > 1) * (a - p) / near}


def search_for(forward, backward, shapes):
    return Search(goal_of(trace_pair(forward, backward, shapes, {}, None, None)).question, 30.0)


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
    question = goal_of(traced).question
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


def convolution_by_columns(x, w):
    n, h, width = x.shape
    k = w.shape[0]
    rows, columns = h - k + 1, width - k + 1
    patches = np.zeros((n, k, k, rows, columns))
    for i in range(k):
        for j in range(k):
            patches[:, i, j] = x[:, i : i + rows, j : j + columns]
    flat = patches.transpose(0, 3, 4, 1, 2).reshape(n * rows * columns, -1)
    return (flat @ w.reshape(-1)).reshape(n, rows, columns)


def columns_put_back(dout, x, w, turned=False):
    n, h, width = x.shape
    k = w.shape[0]
    rows, columns = h - k + 1, width - k + 1
    patches, dx = np.zeros((n, k, k, rows, columns)), np.zeros_like(x)
    for i in range(k):
        for j in range(k):
            patches[:, i, j] = x[:, i : i + rows, j : j + columns]
    flat, d = patches.transpose(0, 3, 4, 1, 2).reshape(n * rows * columns, -1), dout.reshape(-1)
    back = (d[:, None] * w.reshape(-1)).reshape(n, rows, columns, k, k).transpose(0, 3, 4, 1, 2)
    for i in range(k):
        for j in range(k):
            a, b = (j, i) if turned else (i, j)
            dx[:, a : a + rows, b : b + columns] += back[:, i, j]
    return {"x": dx, "w": (flat.T @ d).reshape(w.shape)}


def columns_put_back_turned(dout, x, w):
    return columns_put_back(dout, x, w, turned=True)


@pytest.mark.skipif(not EVERYTHING, reason="nine seconds: runs with SYMBACKPROP_EVERYTHING=1")
def test_convolution_by_columns_is_proved_at_stated_sizes_at_least():
    options = {"shapes": {"x": ("N", "H", 3), "w": (2, 2)}, "where": "H >= 2"}
    right = sb.check(convolution_by_columns, columns_put_back, **options)
    assert right.status == "PROVED" and ("all sizes" in right.scope or "H = " in right.scope)
    wrong = sb.check(convolution_by_columns, columns_put_back_turned, **options)
    assert wrong.status == "REFUTED" and wrong.wrong == ("x",)


def test_input_that_the_cost_does_not_depend_on_has_a_zero_gradient():
    def chosen(x, y):
        return (y[np.arange(len(x)), x.argmax(axis=1)] ** 2).sum()

    def backward(x, y):
        places = np.arange(len(x)), np.argmax(x, axis=1)
        dy = np.zeros_like(y)
        dy[places] = 2 * y[places]
        return {"x": np.zeros_like(x), "y": dy}

    def ones(x, y):
        return backward(x, y) | {"x": np.ones_like(x)}

    shapes = {"x": ("N", "C"), "y": ("N", "C")}
    assert sb.check(chosen, backward, shapes=shapes).status == "PROVED"
    assert sb.check(chosen, ones, shapes=shapes).wrong == ("x",)
