"""One step of an LSTM, four gates in one affine map, both outputs with upstream gradients.

backward          PROVED
backward_wrong_1  REFUTED  x, h, c, Wx, Wh, b  the hidden output's path into the cell state is missing
backward_wrong_2  REFUTED  x, h, Wx, Wh, b     the candidate's slope is a sigmoid's
backward_wrong_3  REFUTED  x, h, Wx, Wh, b     input and forget gates' gradients are written into each other's place
backward_wrong_4  REFUTED  c                   the forget gate is left out of the carried gradient
"""

import numpy as np

SHAPES = {"x": ("N", "D"), "h": ("N", "H"), "c": ("N", "H"), "Wx": ("D", "4*H"), "Wh": ("H", "4*H"), "b": ("4*H",)}


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


class Cell:
    def forward(self, x, h, c, Wx, Wh, b):
        H = h.shape[1]
        a = x.dot(Wx) + h.dot(Wh) + b
        i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H])
        g = np.tanh(a[:, 3 * H :])
        c_next = f * c + i * g
        t = np.tanh(c_next)
        return (o * t, c_next), (x, h, c, Wx, Wh, i, f, o, g, t)


forward = Cell().forward


def affine(da, dc, cache):
    x, h, c, Wx, Wh, i, f, o, g, t = cache
    return {"x": da @ Wx.T, "h": da @ Wh.T, "c": dc * f, "Wx": x.T @ da, "Wh": h.T @ da, "b": da.sum(axis=0)}


def gates(dnh, dc, cache):
    x, h, c, Wx, Wh, i, f, o, g, t = cache
    N, H = dc.shape
    da = np.zeros((N, 4 * H))
    da[:, :H] = dc * g * i * (1 - i)
    da[:, H : 2 * H] = dc * c * f * (1 - f)
    da[:, 2 * H : 3 * H] = dnh * t * o * (1 - o)
    da[:, 3 * H :] = dc * i * (1 - g**2)
    return da


def backward(dout, cache):
    dnh, dnc = dout
    o, t = cache[7], cache[9]
    dc = dnc + dnh * o * (1 - t**2)
    return affine(gates(dnh, dc, cache), dc, cache)


def backward_wrong_1(dout, cache):
    dnh, dnc = dout
    return affine(gates(dnh, dnc, cache), dnc, cache)


def backward_wrong_2(dout, cache):
    dnh, dnc = dout
    i, o, g, t = cache[5], cache[7], cache[8], cache[9]
    dc = dnc + dnh * o * (1 - t**2)
    da = gates(dnh, dc, cache)
    da[:, 3 * dc.shape[1] :] = dc * i * g * (1 - g)
    return affine(da, dc, cache)


def backward_wrong_3(dout, cache):
    dnh, dnc = dout
    o, t = cache[7], cache[9]
    dc = dnc + dnh * o * (1 - t**2)
    H = dc.shape[1]
    da = gates(dnh, dc, cache)
    da = np.hstack((da[:, H : 2 * H], da[:, :H], da[:, 2 * H :]))
    return affine(da, dc, cache)


def backward_wrong_4(dout, cache):
    dnh, dnc = dout
    o, t = cache[7], cache[9]
    dc = dnc + dnh * o * (1 - t**2)
    grads = affine(gates(dnh, dc, cache), dc, cache)
    grads["c"] = dc
    return grads
