"""A residual block with dropout, its mask an input."""

import numpy as np

SHAPES = {"x": ("N", "D"), "mask": ("N", "H"), "W1": ("D", "H"), "W2": ("H", "D")}
ASSUME = {"mask": "bern"}
SLIPS = {
    "scale forgotten": ("dh * mask / 0.8", "dh * mask", "a factor 5/4 is missing"),
    "no way around": (
        "dx = dout + da",
        "dx = da",
        "the path from x through out (line 21 of the forward pass) is missing",
    ),
    "around twice": ("dx = dout + da", "dx = 2 * dout + da", "line {line}: the factor 2 does not belong there"),
    "branch of the other": ("* (a > 0)", "* (a > 1)", "line {line}: the threshold 1 is wrong: 0 belongs there"),
}


def forward(x, mask, W1, W2):
    h = np.maximum(x @ W1, 0) * mask / 0.8
    return x + h @ W2


def backward(dout, x, mask, W1, W2):
    a = x @ W1
    h = np.maximum(a, 0) * mask / 0.8
    dh = dout @ W2.T
    da = dh * mask / 0.8 * (a > 0)
    dx = dout + da @ W1.T
    return {"x": dx, "W1": x.T @ da, "W2": h.T @ dout}
