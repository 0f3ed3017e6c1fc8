"""Faults that were made in deriving: small numbers, bounds and weights that were overlooked, rounds cut apart."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking import decide
from symbackprop.checking.budget import SHARES
from symbackprop.checking.diagnosis.compare import Diagnosis


def cross_entropy(p, y):
    return -(y * np.log(p + 1e-7) + (1 - y) * np.log(1 - p + 1e-7)).mean()


def cross_entropy_without_eps(p, y):
    return {"p": (p - y) / (p * (1 - p)) / p.size}


def sigmoid_cross_entropy(z, y):
    p = 1 / (1 + np.exp(-z))
    return -(y * np.log(p + 1e-7) + (1 - y) * np.log(1 - p + 1e-7)).sum()


def sigmoid_cross_entropy_without_eps(z, y):
    return {"z": 1 / (1 + np.exp(-z)) - y}


def clipped_square(x):
    return (np.clip(x, -1, 1) ** 2).sum()


def clipped_square_felt_everywhere(x):
    return {"x": 2 * np.clip(x, -1, 1)}


def huber(x, y, delta=1.0):
    r = x - y
    return np.where(np.abs(r) < delta, 0.5 * r * r, delta * np.abs(r) - 0.5 * delta**2).sum()


def huber_sign_beyond_the_cutoff(x, y, delta=1.0):
    r = x - y
    g = np.where(np.abs(r) < delta, r, delta * np.sign(y - x))
    return {"x": g, "y": -g}


def normalised(x, eps=1e-5):
    return x / (np.sqrt((x * x).sum(axis=1, keepdims=True)) + eps)


def normalised_with_eps_everywhere(dout, x, eps=1e-5):
    norm = np.sqrt((x * x).sum(axis=1, keepdims=True)) + eps
    return {"x": (dout * norm**2 - (x * dout).sum(axis=1, keepdims=True) * x) / norm**3}


def normalised_with_eps_in_a_power(dout, x, eps=1e-5):
    norm = np.sqrt((x * x).sum(axis=1, keepdims=True)) + eps
    return {"x": dout / norm - x * (x * dout).sum(axis=1, keepdims=True) / norm**3}


def lorentz(x, a, c, w):
    return a * (w / 2.0) ** 2 / ((x - c) ** 2 + (w / 2.0) ** 2)


def lorentz_with_the_whole_width(dout, x, a, c, w):
    da = w**2 / (w**2 + (x - c) ** 2)
    dc = a * da * (2 * x - 2 * c) / (w**2 + (x - c) ** 2)
    return {"a": (dout * da).sum(), "c": (dout * dc).sum(), "w": (dout * 2 * a * da / w * (1 - da)).sum()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slope(x):
    return sigmoid(x) * (1 - sigmoid(x))


def graph(I, w1, w2, w3, w4, w5):  # noqa: E741
    return sigmoid(sigmoid(sigmoid(I * w1 + 1) * w2 + 1) * w4 + sigmoid(sigmoid(I * w1 + 1) * w3 + 1) * w5 + 1)


def graph_without_weights(I, w1, w2, w3, w4, w5):  # noqa: E741
    first = sigmoid(I * w1 + 1)
    outer = slope(sigmoid(first * w2 + 1) * w4 + sigmoid(first * w3 + 1) * w5 + 1)
    return {
        "w1": outer * (slope(first * w2 + 1) * slope(I * w1 + 1) * I + slope(first * w3 + 1) * slope(I * w1 + 1) * I)
    }


def rounds(xs, W, h0):
    h, states = h0, []
    for t in range(xs.shape[0]):
        h = np.tanh(W @ h + xs[t])
        states.append(h)
    return np.stack(states)


def rounds_cut_apart(dout, xs, W, h0):
    h, states = h0, []
    for t in range(xs.shape[0]):
        before, h = h, np.tanh(W @ h + xs[t])
        states.append((before, h))
    dW = np.zeros_like(W)
    for t in reversed(range(xs.shape[0])):
        before, h = states[t]
        da = dout[t] * (1 - h**2)
        dW = dW + np.outer(da, before)
    return {"W": dW}


def grouped(x, groups=2):
    assert x.shape[1] % groups == 0
    g = x.reshape(len(x), groups, x.shape[1] // groups)
    away = g - g.mean(2, keepdims=True)
    return (away * (g * g).mean(2, keepdims=True)).reshape(x.shape)


def grouped_over_all_channels(dout, x, groups=2):
    g = x.reshape(len(x), groups, x.shape[1] // groups)
    away, square = g - g.mean(2, keepdims=True), (g * g).mean(2, keepdims=True)
    count = x.shape[1]
    d = dout.reshape(g.shape)
    dsquare = 2 * g * (d * away).sum(2, keepdims=True) / count
    dmean = -(d * square).sum(2, keepdims=True) / count
    return {"x": (d * square + dsquare + dmean).reshape(x.shape)}


def repulsion(pos):
    energy = 0.0
    for i in range(len(pos)):
        for j in range(i + 1, len(pos)):
            r = pos[i] - pos[j]
            energy += 1 / (r @ r)
    return energy


def repulsion_in_a_wrong_power(pos):
    dpos = np.zeros_like(pos)
    for i in range(len(pos)):
        for j in range(i + 1, len(pos)):
            r = pos[i] - pos[j]
            r2 = r @ r
            force = 2 * r / r2
            dpos[i] -= force
            dpos[j] += force
    return {"pos": dpos}


def unit(x):
    return x / np.maximum(np.sqrt((x * x).sum(1, keepdims=True)), 1e-12)


def unit_backward(dout, x):
    norm = np.maximum(np.sqrt((x * x).sum(1, keepdims=True)), 1e-12)
    y = x / norm
    return {"x": (dout - y * (dout * y).sum(1, keepdims=True)) / norm}


def unit_backward_over_twice(dout, x):
    return {"x": unit_backward(dout, x)["x"] / 2}


def unit_backward_of_small_rows(dout, x):
    """What the backward pass alone asks is said, too: beyond 10^6 it is wrong as well."""
    norm = np.sqrt((x * x).sum(1, keepdims=True))
    y = x / norm
    return {"x": np.where(x < 1e6, (dout - y * (dout * y).sum(1, keepdims=True)) / norm, 0.0)}


def between(x):
    return np.minimum(np.maximum(x, -50), 60)


def between_without_the_lower_end(dout, x):
    return {"x": dout * (x <= 60)}


NORM = "sqrt(sum(d, x[n,d]*x[n,d])) >= 1e-12"


ROW, SCALARS = {"x": ("N",)}, dict.fromkeys(("I", "w1", "w2", "w3", "w4", "w5"), ())
FAULTS = [
    (cross_entropy, cross_entropy_without_eps, {"p": ("N", "C"), "y": ("N", "C")}, {"p": "prob"}, "no small number"),
    (sigmoid_cross_entropy, sigmoid_cross_entropy_without_eps, {"z": ("N",), "y": ("N",)}, {"y": "bern"}, "no small"),
    (clipped_square, clipped_square_felt_everywhere, ROW, None, "it is 0 where x[i] < -1"),
    (huber, huber_sign_beyond_the_cutoff, {"x": ("N",), "y": ("N",)}, None, "the sign is wrong"),
    (normalised, normalised_with_eps_everywhere, {"x": ("N", "D")}, None, "without 1/100000 once"),
    (normalised, normalised_with_eps_in_a_power, {"x": ("N", "D")}, None, "without 1/100000 once"),
    (lorentz, lorentz_with_the_whole_width, {"x": ("N",), "a": (), "c": (), "w": ()}, {"w": "pos"},
     "w**2/4 belongs where w**2 stands"),
    (unit, unit_backward, {"x": ("N", "D")}, None, f"right wherever {NORM} (proved); elsewhere"),
    (unit, unit_backward_over_twice, {"x": ("N", "D")}, None, f"it is right wherever {NORM} (proved); elsewhere"),
    (unit, unit_backward_of_small_rows, {"x": ("N", "D")}, None, f"x[n,d] < 1000000 and {NORM} (proved)"),
    (between, between_without_the_lower_end, ROW, None, "right wherever x[n] >= -50 (proved)"),
    (grouped, grouped_over_all_channels, {"x": ("N", "C")}, None, "the size C is wrong: C//2 belongs there"),
    (repulsion, repulsion_in_a_wrong_power, {"pos": ("N", "D")}, None, "-2 belongs there"),
    (graph, graph_without_weights, SCALARS, None, "the factors w2, w3, w4 and w5 are missing"),
    (rounds, rounds_cut_apart, {"xs": (3, "H"), "W": ("H", "H"), "h0": ("H",)}, None, "hands back to the round before"),
]  # fmt: skip


@pytest.fixture
def patience(monkeypatch):
    """What is found is asserted, not how soon."""
    for task in SHARES:
        if "edits" in task or task in ("cause", "comparison", "another forward pass", "whole cure"):
            monkeypatch.setitem(SHARES, task, SHARES[task]._replace(seconds=3 * SHARES[task].seconds))


@pytest.mark.parametrize(("forward", "backward", "shapes", "assume", "words"), FAULTS)
def test_faults_of_derivation_are_named(forward, backward, shapes, assume, words, patience):
    verdict = sb.check(forward, backward, shapes=shapes, assume=assume)
    assert verdict.status == "REFUTED"
    assert words in verdict.diagnosis


def test_nothing_is_right_but_for_rare_branches_before_all_faults_are_cured(monkeypatch):
    causes = [None, Diagnosis("one fault", "dx = 0", others=(Diagnosis("another fault"),))]
    monkeypatch.setattr(decide, "_cause", lambda *args: causes.pop(0))
    verdict = sb.check(between, lambda dout, x: {"x": 3 * dout}, shapes=ROW)
    assert verdict.status == "REFUTED" and not causes
    assert verdict.diagnosis == "one fault; and another fault"
