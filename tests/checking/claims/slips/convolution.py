"""A convolution along one axis, as a loop over three taps."""

import numpy as np

SHAPES = {"x": ("N", "T"), "w": (3,), "b": ()}
WHERE = "T >= 3"
SLIPS = {
    "taps turned": ("dout * w[k]", "dout * w[2 - k]", "line {line}: axis 0 of w is read backwards"),
    "assigned": ("+= dout * w[k]", "= dout * w[k]", "line {line}: an assignment overwrites what stands there already"),
    "mean": ("dw[k] = np.sum", "dw[k] = np.mean", "line {line}: the factor 1/("),
}


def forward(x, w, b):
    length = x.shape[1] - 2
    out = np.zeros((x.shape[0], length))
    for k in range(3):
        out += x[:, k : length + k] * w[k]
    return out + b


def backward(dout, x, w, b):
    length = x.shape[1] - 2
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for k in range(3):
        dx[:, k : length + k] += dout * w[k]
        dw[k] = np.sum(dout * x[:, k : length + k])
    return {"x": dx, "w": dw, "b": dout.sum()}
