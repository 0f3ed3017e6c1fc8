"""A highway layer: a gate between the layer and its input."""

import numpy as np

SHAPES = {"x": ("N", "D"), "W": ("D", "D"), "V": ("D", "D")}
SLIPS = {
    "gate's other side": ("dout * (h - x)", "dout * h", "the path from t (line 15 of the forward pass) through out"),
    "gate for its complement": ("dout * (1 - t)", "dout * t", "line {line}: 1 - t[n,d] belongs where t[n,d] stands"),
    "no carry": (" + dout * (1 - t)", "", "the path from x through out (line 21 of the forward pass) is missing"),
    "weights interchanged": ("da @ W.T + dg @ V.T", "da @ V.T + dg @ W.T", "line {line}: V and W are interchanged"),
}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(x, W, V):
    t = sigmoid(x @ V)
    h = np.tanh(x @ W)
    return t * h + (1 - t) * x


def backward(dout, x, W, V):
    t = sigmoid(x @ V)
    h = np.tanh(x @ W)
    dt = dout * (h - x)
    da = dout * t * (1 - h**2)
    dg = dt * t * (1 - t)
    dx = da @ W.T + dg @ V.T + dout * (1 - t)
    return {"x": dx, "W": x.T @ da, "V": x.T @ dg}
