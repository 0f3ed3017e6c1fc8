"""Loops whose length depends on the round of the loop around them, and forward passes that not all sizes fit."""

import numpy as np
import pytest

import symbackprop as sb


def pairs(wrong=False):
    def forward(x):
        cost = 0.0
        for i in range(len(x)):
            for j in range(i):
                d = x[i] - x[j]
                cost += 1 / (1 + d @ d)
        return cost

    def backward(dout, x):
        dx = np.zeros_like(x)
        for i in range(len(x)):
            for j in range(i):
                d = x[i] - x[j]
                g = -2 * d / (1 + d @ d) ** 2 * dout
                dx[i] += g
                dx[j] -= 0 if wrong else g
        return {"x": dx}

    return forward, backward, {"x": ("N", "D")}


def upper_triangle(wrong=False):
    def forward(x):
        cost = 0.0
        for i in range(len(x)):
            for j in range(i + 1, len(x)):
                cost += np.exp(-np.sum((x[i] - x[j]) ** 2))
        return cost

    def backward(dout, x):
        d = x[:, None] - x[None]
        w = np.exp(-(d**2).sum(-1))
        return {"x": -(4 if wrong else 2) * dout * (w[:, :, None] * d).sum(1)}

    return forward, backward, {"x": ("N", "D")}


def causal_attention(wrong=False):
    def forward(q, k, v):
        out = np.zeros_like(v)
        for t in range(len(q)):
            s, n = np.zeros(v.shape[1]), 0.0
            for u in range(t + 1):
                e = np.exp(q[t] @ k[u])
                s, n = s + e * v[u], n + e
            out[t] = s / n
        return out

    def backward(do, q, k, v):
        z = np.tril(np.exp(q @ k.T), -1 if wrong else 0) + (np.eye(len(q)) if wrong else 0)
        p = z / z.sum(1, keepdims=True)
        dp = do @ v.T
        dz = p * (dp - (p * dp).sum(1, keepdims=True))
        return {"q": dz @ k, "k": dz.T @ q, "v": p.T @ do}

    return forward, backward, {"q": ("T", "D"), "k": ("T", "D"), "v": ("T", "E")}


def convolution(wrong=False):
    """Fewer columns than the kernel has: no output array can be made."""

    def forward(x, w):
        rows, width, size = len(x), x.shape[1], len(w)
        out = np.zeros((rows, width - size + 1))
        for i in range(width - size + 1):
            out[:, i] = x[:, i : i + size] @ w
        return out

    def backward(dout, x, w):
        dx, dw, size = np.zeros_like(x), np.zeros_like(w), len(w)
        for i in range(dout.shape[1]):
            dx[:, i : i + size] += np.outer(dout[:, i], w[::-1] if wrong else w)
            dw += x[:, i : i + size].T @ dout[:, i]
        return {"x": dx, "w": dw}

    return forward, backward, {"x": ("N", "H"), "w": ("K",)}


CASES = [pairs, upper_triangle, causal_attention, convolution]


@pytest.mark.parametrize("build", CASES)
def test_check_proves_every_length(build):
    forward, backward, shapes = build()
    verdict = sb.check(forward, backward, shapes=shapes)
    assert (verdict.status, verdict.scope, verdict.conditions) == ("PROVED", "all sizes", ()), str(verdict)


@pytest.mark.parametrize("build", CASES)
@pytest.mark.usefixtures("no_diagnosis")
def test_check_refutes_a_slip_at_every_length(build):
    forward, backward, shapes = build(wrong=True)
    assert sb.check(forward, backward, shapes=shapes).status == "REFUTED"


def test_verdict_tells_the_sizes_at_which_the_forward_raises():
    forward, backward, shapes = convolution()
    (note,) = sb.check(forward, backward, shapes=shapes).notes
    assert note == "of sizes with 0 <= H - K + 1: at others the forward raises ValueError"


def test_sizes_are_not_left_out_where_the_forward_only_does_less():
    """range of a negative number is empty: the backward, which sums over all, is wrong there."""

    def forward(x, w):
        total = 0.0
        for i in range(len(x) - len(w)):
            total += x[i] * w[0]
        return total

    def backward(dout, x, w):
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        if len(x) >= len(w):
            dx[: len(x) - len(w)] = dout * w[0]
            dw[0] = dout * x[: len(x) - len(w)].sum()
        else:
            dx[0] = dout
        return {"x": dx, "w": dw}

    verdict = sb.check(forward, backward, shapes={"x": ("N",), "w": ("K",)})
    assert not (verdict.status == "PROVED" and verdict.scope == "all sizes"), str(verdict)


def test_target_of_a_loop_of_varying_length_is_what_its_last_round_had():
    def forward(x):
        total = 0.0
        for i in range(len(x)):
            for j in range(i + 1):
                total += x[j]
            total += j  # i, and not the largest j of all
        return total

    def backward(dout, x):
        return {"x": dout * np.arange(len(x), 0, -1)}

    verdict = sb.check(forward, backward, shapes={"x": ("N",)})
    assert verdict.status == "PROVED", str(verdict)
