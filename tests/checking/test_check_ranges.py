"""`check` where sums run backwards, over parts of a range, over parts of a divisible axis, or up to a fixed length."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import symbackprop as sb


def squared_sums(x, y):
    return np.sum((np.cumsum(x, axis=1) - y) ** 2)


def squared_sums_backward(x, y):
    d = 2 * (np.cumsum(x, axis=1) - y)
    return {"x": np.cumsum(d[:, ::-1], axis=1)[:, ::-1], "y": -d}


def squared_sums_forwards(x, y):
    d = 2 * (np.cumsum(x, axis=1) - y)
    return {"x": np.cumsum(d, axis=1), "y": -d}


def transposed(x, w):
    out = np.zeros((x.shape[0], w.shape[1], x.shape[2] + 2))
    for k in range(3):
        out[:, :, k : k + x.shape[2]] += np.einsum("ncl,cf->nfl", x, w[:, :, k])
    return out


def transposed_backward(dout, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for k in range(3):
        part = dout[:, :, k : k + x.shape[2]]
        dx += np.einsum("nfl,cf->ncl", part, w[:, :, k])
        dw[:, :, k] = np.einsum("ncl,nfl->cf", x, part)
    return {"x": dx, "w": dw}


def transposed_overwritten(dout, x, w):
    grads = transposed_backward(dout, x, w)
    grads["x"] = np.einsum("nfl,cf->ncl", dout[:, :, 2:], w[:, :, 2])
    return grads


def smoothed(x, w):
    padded, steps = np.pad(x, ((0, 0), (1, 1))), x.shape[1]
    return w[0] * padded[:, :steps] + w[1] * padded[:, 1 : steps + 1] + w[2] * padded[:, 2:]


def smoothed_backward(dout, x, w):
    padded, steps = np.pad(x, ((0, 0), (1, 1))), x.shape[1]
    dpadded = np.zeros_like(padded)
    for k in range(3):
        dpadded[:, k : k + steps] += w[k] * dout
    return {"x": dpadded[:, 1:-1], "w": np.array([np.sum(dout * padded[:, k : k + steps]) for k in range(3)])}


def smoothed_one_late(dout, x, w):
    grads = smoothed_backward(dout, x, w)
    padded, steps = np.pad(x, ((0, 0), (1, 1))), x.shape[1]
    grads["w"] = np.array([np.sum(dout * padded[:, :steps]) for k in range(3)])
    return grads


def windows(x, w):
    return sliding_window_view(x, w.shape[0]) @ w


def windows_backward(dout, x, w):
    return {"w": sliding_window_view(x, w.shape[0]).T @ dout}


def windows_reversed(dout, x, w):
    return {"w": sliding_window_view(x, w.shape[0])[:, ::-1].T @ dout}


def halves(x, w):
    return (x.reshape(2, x.shape[0] // 2) @ w).sum()


def halves_backward(x, w):
    return {"x": np.tile(w, 2), "w": x.reshape(2, -1).sum(axis=0)}


def halves_repeated(x, w):
    return {"x": np.repeat(w, 2), "w": x.reshape(2, -1).sum(axis=0)}


CASES = {
    "cumulative sum": (
        squared_sums,
        squared_sums_backward,
        squared_sums_forwards,
        "x",
        {"x": ("N", "T"), "y": ("N", "T")},
        None,
    ),
    "transposed": (
        transposed,
        transposed_backward,
        transposed_overwritten,
        "x",
        {"x": ("N", "C", "L"), "w": ("C", "F", 3)},
        None,
    ),
    "padded": (smoothed, smoothed_backward, smoothed_one_late, "w", {"x": ("N", "T"), "w": (3,)}, None),
    "windows": (windows, windows_backward, windows_reversed, "w", {"x": ("L",), "w": ("K",)}, "L >= K"),
    "halves": (halves, halves_backward, halves_repeated, "x", {"x": ("D",), "w": ("D//2",)}, "D % 2 == 0"),
}


@pytest.mark.parametrize("name", CASES)
def test_right_is_proved_for_all_sizes_and_wrong_is_refuted(name):
    forward, right, wrong, gradient, shapes, where = CASES[name]
    verdict = sb.check(forward, right, shapes=shapes, where=where)
    assert verdict.status == "PROVED" and verdict.for_all_sizes, str(verdict)
    verdict = sb.check(forward, wrong, shapes=shapes, where=where)
    assert (verdict.status, verdict.wrong) == ("REFUTED", (gradient,)), str(verdict)
