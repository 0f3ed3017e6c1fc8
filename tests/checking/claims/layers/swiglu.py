"""SwiGLU feed-forward block: (silu(x Wg) * (x Wu)) Wd.

backward          PROVED
backward_wrong_1  REFUTED  x, wg        silu's slope is taken to be the sigmoid's
backward_wrong_2  REFUTED  x            the path through the gate is missing
backward_wrong_3  REFUTED  wu, wg, x    gate and up branches exchanged
backward_wrong_4  REFUTED  x, wg        the term z*s*(1 - s) has the wrong sign
"""

import numpy as np

SHAPES = {"x": ("N", "D"), "wg": ("D", "F"), "wu": ("D", "F"), "wd": ("F", "D")}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(x, wg, wu, wd):
    gate, up = x @ wg, x @ wu
    hidden = gate * sigmoid(gate) * up
    return hidden @ wd, (x, wg, wu, wd, gate, up, hidden)


def silu_slope(z):
    s = sigmoid(z)
    return s + z * s * (1 - s)


def _backward(dout, cache, slope):
    x, wg, wu, wd, gate, up, hidden = cache
    dhidden = dout @ wd.T
    dgate = dhidden * up * slope
    dup = dhidden * gate * sigmoid(gate)
    return {"x": dgate @ wg.T + dup @ wu.T, "wg": x.T @ dgate, "wu": x.T @ dup, "wd": hidden.T @ dout}


def backward(dout, cache):
    return _backward(dout, cache, silu_slope(cache[4]))


def backward_wrong_1(dout, cache):
    s = sigmoid(cache[4])
    return _backward(dout, cache, s * (1 - s))


def backward_wrong_2(dout, cache):
    x, wg, wu, wd, gate, up, hidden = cache
    grads = backward(dout, cache)
    grads["x"] = dout @ wd.T * gate * sigmoid(gate) @ wu.T
    return grads


def backward_wrong_3(dout, cache):
    x, wg, wu, wd, gate, up, hidden = cache
    return _backward(dout, (x, wg, wu, wd, up, gate, hidden), silu_slope(up))


def backward_wrong_4(dout, cache):
    s = sigmoid(cache[4])
    return _backward(dout, cache, s - cache[4] * s * (1 - s))
