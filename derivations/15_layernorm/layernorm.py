"""Layer normalisation.

Each row is centred and scaled by its own mean and variance, so a change of one entry moves the whole row: the gradient
takes three paths back, one through the mean and one through the variance.
"""

import numpy as np

SHAPES = {"x": ("N", "D"), "gain": ("D",), "bias": ("D",)}


def forward(x, gain, bias, eps=1e-5):
    mu = x.mean(axis=1, keepdims=True)
    c = x - mu
    var = (c**2).mean(axis=1, keepdims=True)
    x_hat = c / np.sqrt(var + eps)
    return gain * x_hat + bias


def backward(dout, x, gain, bias, eps=1e-5):
    root = np.sqrt(x.var(axis=1, keepdims=True) + eps)
    x_hat = (x - x.mean(axis=1, keepdims=True)) / root
    g = dout * gain
    dx = (g - g.mean(axis=1, keepdims=True) - x_hat * (g * x_hat).mean(axis=1, keepdims=True)) / root
    return {"x": dx, "gain": (dout * x_hat).sum(axis=0), "bias": dout.sum(axis=0)}
