"""Attention with an additive mask."""

import numpy as np

SHAPES = {"q": ("M", "D"), "k": ("N", "D"), "v": ("N", "E"), "m": ("M", "N")}
SLIPS = {
    "row sum of the wrong thing": ("row = (da * a)", "row = da", "line {line}: the factor a[m,n] is missing"),
    "mean for sum": ("(da * a).sum(", "(da * a).mean(", "line {line}: the factor 1/N does not belong there"),
    "softmax taken for a sigmoid": (
        "a * (da - row)",
        "a * (1 - a) * da",
        "line {line}: a[m,n] is differentiated as if",
    ),
    "scale forgotten once": ("ds.T @ q * c", "ds.T @ q", "line {line}: a factor 1/sqrt(D) is missing"),
    "other scale": (
        "c = 1 / np.sqrt(q.shape[1])",
        "c = 1 / np.sqrt(k.shape[0])",
        "the size N is wrong: D belongs there",
    ),
}


def forward(q, k, v, m):
    s = q @ k.T / np.sqrt(k.shape[1])
    s = s + m
    e = np.exp(s - s.max(axis=1, keepdims=True))
    a = e / e.sum(axis=1, keepdims=True)
    return a @ v


def backward(dout, q, k, v, m):
    c = 1 / np.sqrt(q.shape[1])
    s = q @ k.T * c + m
    e = np.exp(s - s.max(axis=1, keepdims=True))
    a = e / e.sum(axis=1, keepdims=True)
    da = dout @ v.T
    row = (da * a).sum(axis=1, keepdims=True)
    ds = a * (da - row)
    dk = ds.T @ q * c
    return {"q": ds @ k * c, "k": dk, "v": a.T @ dout}
