"""One-dimensional convolution with a kernel of three taps: one einsum a tap.

backward          PROVED
backward_wrong_1  REFUTED  x            the taps overwrite each other where they should add up
backward_wrong_2  REFUTED  x            the kernel is flipped
backward_wrong_3  REFUTED  w            the window is one step late
backward_wrong_4  REFUTED  b            the bias is not summed over the positions
"""

import numpy as np

SHAPES = {"x": ("N", "C", "L"), "w": ("F", "C", 3), "b": ("F",)}
WHERE = "L >= 3"


def forward(x, w, b):
    K = w.shape[2]
    steps = x.shape[2] - K + 1
    out = np.zeros((x.shape[0], w.shape[0], steps))
    for k in range(K):
        out += np.einsum("ncl,fc->nfl", x[:, :, k : k + steps], w[:, :, k])
    return out + b[None, :, None]


def backward(dout, x, w, b):
    steps = dout.shape[2]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for k in range(w.shape[2]):
        dx[:, :, k : k + steps] += np.einsum("nfl,fc->ncl", dout, w[:, :, k])
        dw[:, :, k] = np.einsum("nfl,ncl->fc", dout, x[:, :, k : k + steps])
    return {"x": dx, "w": dw, "b": dout.sum(axis=(0, 2))}


def backward_wrong_1(dout, x, w, b):
    grads = backward(dout, x, w, b)
    steps = dout.shape[2]
    dx = np.zeros_like(x)
    for k in range(w.shape[2]):
        dx[:, :, k : k + steps] = np.einsum("nfl,fc->ncl", dout, w[:, :, k])
    grads["x"] = dx
    return grads


def backward_wrong_2(dout, x, w, b):
    grads = backward(dout, x, w, b)
    steps = dout.shape[2]
    dx = np.zeros_like(x)
    for k in range(3):
        dx[:, :, k : k + steps] += np.einsum("nfl,fc->ncl", dout, w[:, :, 2 - k])
    grads["x"] = dx
    return grads


def backward_wrong_3(dout, x, w, b):
    grads = backward(dout, x, w, b)
    steps = dout.shape[2]
    for k in range(1, 3):
        grads["w"][:, :, k] = np.einsum("nfl,ncl->fc", dout, x[:, :, k - 1 : k - 1 + steps])
    return grads


def backward_wrong_4(dout, x, w, b):
    grads = backward(dout, x, w, b)
    grads["b"] = dout.sum(axis=0)[:, 0]
    return grads
