"""Batch normalisation of images: statistics over batch, height and width, by a reshape or by axes.

backward          PROVED
backward_wrong_1  REFUTED  x            the number of entries of a channel is taken to be N
backward_wrong_2  REFUTED  gamma        not summed over the height
backward_wrong_3  REFUTED  x            the path through the variance is missing
"""

import numpy as np

SHAPES = {"x": ("N", "C", "H", "W"), "gamma": ("C",), "beta": ("C",)}


def forward(x, gamma, beta, eps=1e-5):
    N, C, H, W = x.shape
    rows = x.transpose(0, 2, 3, 1).reshape(-1, C)
    out = gamma * (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + eps) + beta
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2)


def statistics(x, eps):
    axes = (0, 2, 3)
    std = np.sqrt(x.var(axis=axes, keepdims=True) + eps)
    return axes, (x - x.mean(axis=axes, keepdims=True)) / std, std


def backward(dout, x, gamma, beta, eps=1e-5):
    N, C, H, W = x.shape
    axes, xhat, std = statistics(x, eps)
    dxhat, M = dout * gamma.reshape(1, C, 1, 1), N * H * W
    total, along = dxhat.sum(axis=axes, keepdims=True), (dxhat * xhat).sum(axis=axes, keepdims=True)
    dx = (M * dxhat - total - xhat * along) / M / std
    return {"x": dx, "gamma": (dout * xhat).sum(axis=axes), "beta": dout.sum(axis=axes)}


def backward_wrong_1(dout, x, gamma, beta, eps=1e-5):
    axes, xhat, std = statistics(x, eps)
    dxhat, M = dout * gamma.reshape(1, -1, 1, 1), x.shape[0]
    total, along = dxhat.sum(axis=axes, keepdims=True), (dxhat * xhat).sum(axis=axes, keepdims=True)
    dx = (M * dxhat - total - xhat * along) / M / std
    return {"x": dx, "gamma": (dout * xhat).sum(axis=axes), "beta": dout.sum(axis=axes)}


def backward_wrong_2(dout, x, gamma, beta, eps=1e-5):
    axes, xhat, std = statistics(x, eps)
    grads = backward(dout, x, gamma, beta, eps)
    return grads | {"gamma": (dout * xhat)[:, :, 0].sum(axis=(0, 2))}


def backward_wrong_3(dout, x, gamma, beta, eps=1e-5):
    axes, xhat, std = statistics(x, eps)
    dxhat = dout * gamma.reshape(1, -1, 1, 1)
    return backward(dout, x, gamma, beta, eps) | {"x": (dxhat - dxhat.mean(axis=axes, keepdims=True)) / std}
