"""One-dimensional convolution, a kernel of any length, as an einsum over sliding windows of the padded input.

backward          PROVED
backward_wrong_1  REFUTED  x            the kernel is not flipped
backward_wrong_2  REFUTED  w            correlated with the output's own window
backward_wrong_3  REFUTED  w, b         averaged over the batch
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SHAPES = {"x": ("N", "C", "L"), "w": ("F", "C", "K"), "b": ("F",)}
WHERE = "L >= K"


def forward(x, w, b):
    windows = sliding_window_view(x, w.shape[2], axis=2)
    return np.einsum("nctk,fck->nft", windows, w) + b[:, None]


def full_windows(dout, K):
    padded = np.pad(dout, ((0, 0), (0, 0), (K - 1, K - 1)))
    return sliding_window_view(padded, K, axis=2)


def backward(dout, x, w, b):
    K = w.shape[2]
    dw = np.einsum("nft,nctk->fck", dout, sliding_window_view(x, K, axis=2))
    dx = np.einsum("nflk,fck->ncl", full_windows(dout, K), w[:, :, ::-1])
    return {"x": dx, "w": dw, "b": dout.sum(axis=(0, 2))}


def backward_wrong_1(dout, x, w, b):
    grads = backward(dout, x, w, b)
    grads["x"] = np.einsum("nflk,fck->ncl", full_windows(dout, w.shape[2]), w)
    return grads


def backward_wrong_2(dout, x, w, b):
    grads = backward(dout, x, w, b)
    windows = sliding_window_view(x, w.shape[2], axis=2)
    grads["w"] = np.einsum("nft,nctk->fck", dout, windows[:, :, :, ::-1])
    return grads


def backward_wrong_3(dout, x, w, b):
    grads = backward(dout, x, w, b)
    grads["w"] = grads["w"] / len(x)
    grads["b"] = grads["b"] / len(x)
    return grads
