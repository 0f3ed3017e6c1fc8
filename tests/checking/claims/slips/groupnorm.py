"""Group normalisation over two groups of channels, by reshaping."""

import numpy as np

SHAPES = {"x": ("N", "C"), "w": ("C",)}
WHERE = "C % 2 == 0"
SLIPS = {
    "mean detached": ("d - a - hh * b", "d - hh * b", "through m (line 17 of the forward pass) is missing"),
    "projection": ("hh * b)", "b)", "line {line}: the factor hh["),
    "scale": ("dh = r * (", "dh = (", "the factor r["),
}


def forward(x, w):
    n, c = x.shape
    h = x.reshape(n, 2, c // 2)
    m = h.mean(axis=2, keepdims=True)
    v = ((h - m) ** 2).mean(axis=2, keepdims=True)
    return ((h - m) / np.sqrt(v + 1e-5)).reshape(n, c) * w


def backward(dout, x, w):
    n, c = x.shape
    h = x.reshape(n, 2, c // 2)
    m = h.mean(axis=2, keepdims=True)
    v = ((h - m) ** 2).mean(axis=2, keepdims=True)
    r = 1 / np.sqrt(v + 1e-5)
    hh = (h - m) * r
    d = (dout * w).reshape(n, 2, c // 2)
    a = d.mean(axis=2, keepdims=True)
    b = (d * hh).mean(axis=2, keepdims=True)
    dh = r * (d - a - hh * b)
    return {"x": dh.reshape(n, c), "w": np.sum(dout * hh.reshape(n, c), axis=0)}
