"""Group normalisation of images, channels in groups by a reshape.

backward          PROVED
backward_wrong_1  REFUTED  x            means over height and width only, not over the channels of the group
backward_wrong_2  REFUTED  x            the number of entries of a group is taken to be C*H*W
backward_wrong_3  REFUTED  gamma, beta  not summed over the batch, but averaged
backward_wrong_4  REFUTED  x            gamma is left out of dxhat
"""

import numpy as np

SHAPES = {"x": ("N", "C", "H", "W"), "gamma": ("C",), "beta": ("C",)}
WHERE = "C % groups == 0"


def normalise(x, groups, eps):
    N, C, H, W = x.shape
    grouped = x.reshape(N, groups, C // groups, H, W)
    mean = grouped.mean(axis=(2, 3, 4), keepdims=True)
    inv_std = 1 / np.sqrt(grouped.var(axis=(2, 3, 4), keepdims=True) + eps)
    return (grouped - mean) * inv_std, inv_std


def forward(x, gamma, beta, groups=2, eps=1e-5):
    xhat = normalise(x, groups, eps)[0].reshape(x.shape)
    return xhat * gamma.reshape(1, -1, 1, 1) + beta.reshape(1, -1, 1, 1)


def backward(dout, x, gamma, beta, groups=2, eps=1e-5):
    xhat, inv_std = normalise(x, groups, eps)
    dxhat = (dout * gamma[None, :, None, None]).reshape(xhat.shape)
    axes = (2, 3, 4)
    dx = dxhat - dxhat.mean(axis=axes, keepdims=True) - xhat * (dxhat * xhat).mean(axis=axes, keepdims=True)
    dx = (dx * inv_std).reshape(x.shape)
    dgamma = (dout * xhat.reshape(x.shape)).sum(axis=(0, 2, 3))
    return {"x": dx, "gamma": dgamma, "beta": dout.sum(axis=(0, 2, 3))}


def backward_wrong_1(dout, x, gamma, beta, groups=2, eps=1e-5):
    grads = backward(dout, x, gamma, beta, groups, eps)
    xhat, inv_std = normalise(x, groups, eps)
    dxhat = (dout * gamma[None, :, None, None]).reshape(xhat.shape)
    axes = (3, 4)
    dx = dxhat - dxhat.mean(axis=axes, keepdims=True) - xhat * (dxhat * xhat).mean(axis=axes, keepdims=True)
    grads["x"] = (dx * inv_std).reshape(x.shape)
    return grads


def backward_wrong_2(dout, x, gamma, beta, groups=2, eps=1e-5):
    grads = backward(dout, x, gamma, beta, groups, eps)
    N, C, H, W = x.shape
    M = C * H * W
    xhat, inv_std = normalise(x, groups, eps)
    dxhat = (dout * gamma[None, :, None, None]).reshape(xhat.shape)
    total, along = dxhat.sum(axis=(2, 3, 4), keepdims=True), (dxhat * xhat).sum(axis=(2, 3, 4), keepdims=True)
    grads["x"] = (inv_std / M * (M * dxhat - total - xhat * along)).reshape(x.shape)
    return grads


def backward_wrong_3(dout, x, gamma, beta, groups=2, eps=1e-5):
    grads = backward(dout, x, gamma, beta, groups, eps)
    N = x.shape[0]
    grads["gamma"] /= N
    grads["beta"] /= N
    return grads


def backward_wrong_4(dout, x, gamma, beta, groups=2, eps=1e-5):
    grads = backward(dout, x, gamma, beta, groups, eps)
    xhat, inv_std = normalise(x, groups, eps)
    dxhat = dout.reshape(xhat.shape)
    axes = (2, 3, 4)
    dx = dxhat - dxhat.mean(axis=axes, keepdims=True) - xhat * (dxhat * xhat).mean(axis=axes, keepdims=True)
    grads["x"] = (dx * inv_std).reshape(x.shape)
    return grads
