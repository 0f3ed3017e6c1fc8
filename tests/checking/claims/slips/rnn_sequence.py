"""A recurrent net over four steps, back through time."""

import numpy as np

SHAPES = {"x": (4, "N", "D"), "h": ("N", "H"), "W": ("D", "H"), "U": ("H", "H"), "b": ("H",)}
SLIPS = {
    "old state": ("hs[t + 1] ** 2", "hs[t] ** 2", "line {line}: out of the next round belongs there"),
    "overwritten": ("dW += x", "dW = x", "the terms of the rounds are not added up: only"),
    "turned": ("dh = da @ U.T", "dh = da @ U", "line {line}: two indices of U are swapped"),
    "new state": (
        "hs[t].T",
        "hs[t + 1].T",
        "line {line}: dU should be the derivative with respect to U; "
        "in the derivative with respect to U, h of the previous round belongs there",
    ),
}


def forward(x, h, W, U, b):
    for t in range(4):
        h = np.tanh(x[t] @ W + h @ U + b)
    return h


def backward(dout, x, h, W, U, b):
    hs = [h]
    for t in range(4):
        hs.append(np.tanh(x[t] @ W + hs[-1] @ U + b))
    dW, dU, db, dx = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b), np.zeros_like(x)
    dh = dout
    for t in reversed(range(4)):
        da = dh * (1 - hs[t + 1] ** 2)
        dW += x[t].T @ da
        dU += hs[t].T @ da
        db += da.sum(axis=0)
        dx[t] = da @ W.T
        dh = da @ U.T
    return {"x": dx, "h": dh, "W": dW, "U": dU, "b": db}
