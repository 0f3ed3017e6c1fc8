"""GELU in its tanh form, behind a linear layer.

backward          PROVED
backward_wrong_1  REFUTED  x, w, b      the cubic term's derivative lacks its factor 3
backward_wrong_2  REFUTED  x, w, b      1 - t where it should be 1 - t**2
backward_wrong_3  REFUTED  x            weights not transposed (square in this code's tests)
backward_wrong_4  REFUTED  x, w, b      the slope is taken at the output, not at the input
"""

import numpy as np

SHAPES = {"x": ("N", "D"), "w": ("D", "D"), "b": ("D",)}
C = np.sqrt(2.0 / np.pi)


def forward(x, w, b):
    z = x @ w + b
    return 0.5 * z * (1 + np.tanh(C * (z + 0.044715 * z**3))), (x, w, z)


def gelu_slope(z):
    t = np.tanh(C * (z + 0.044715 * z**3))
    return 0.5 * (1 + t) + 0.5 * z * (1 - t**2) * C * (1 + 3 * 0.044715 * z**2)


def linear_backward(dz, x, w):
    return {"x": dz @ w.T, "w": x.T @ dz, "b": dz.sum(0)}


def backward(dout, cache):
    x, w, z = cache
    return linear_backward(dout * gelu_slope(z), x, w)


def backward_wrong_1(dout, cache):
    x, w, z = cache
    t = np.tanh(C * (z + 0.044715 * z**3))
    slope = 0.5 * (1 + t) + 0.5 * z * (1 - t**2) * C * (1 + 0.044715 * z**2)
    return linear_backward(dout * slope, x, w)


def backward_wrong_2(dout, cache):
    x, w, z = cache
    t = np.tanh(C * (z + 0.044715 * z**3))
    slope = 0.5 * (1 + t) + 0.5 * z * (1 - t) * C * (1 + 3 * 0.044715 * z**2)
    return linear_backward(dout * slope, x, w)


def backward_wrong_3(dout, cache):
    x, w, z = cache
    dz = dout * gelu_slope(z)
    return {"x": dz @ w, "w": x.T @ dz, "b": dz.sum(0)}


def backward_wrong_4(dout, cache):
    x, w, z = cache
    out = 0.5 * z * (1 + np.tanh(C * (z + 0.044715 * z**3)))
    return linear_backward(dout * gelu_slope(out), x, w)
