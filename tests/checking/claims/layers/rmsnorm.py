"""Root-mean-square normalisation of sequences, with a weight.

backward          PROVED
backward_wrong_1  REFUTED  x            the sum is not divided by the width
backward_wrong_2  REFUTED  x            eps is left out of the backward's root
backward_wrong_3  REFUTED  weight       dweight uses x before it is normalised
backward_wrong_4  REFUTED  weight       dweight is summed over the batch only, then averaged over time
"""

import numpy as np

SHAPES = {"x": ("B", "T", "D"), "weight": ("D",)}


def rms(x, eps):
    return np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + eps)


def forward(x, weight, eps=1e-6):
    return x / rms(x, eps) * weight


def backward(dout, x, weight, eps=1e-6):
    D = x.shape[-1]
    r = rms(x, eps)
    g = dout * weight
    dx = g / r - x * np.sum(g * x, axis=-1, keepdims=True) / (D * r**3)
    return {"x": dx, "weight": np.sum(dout * x / r, axis=(0, 1))}


def backward_wrong_1(dout, x, weight, eps=1e-6):
    r = rms(x, eps)
    g = dout * weight
    dx = g / r - x * np.sum(g * x, axis=-1, keepdims=True) / r**3
    return {"x": dx, "weight": np.sum(dout * x / r, axis=(0, 1))}


def backward_wrong_2(dout, x, weight, eps=1e-6):
    r, bare = rms(x, eps), rms(x, 0.0)
    g = dout * weight
    dx = g / r - x * np.mean(g * x, axis=-1, keepdims=True) / (r * bare**2)
    return {"x": dx, "weight": np.sum(dout * x / r, axis=(0, 1))}


def backward_wrong_3(dout, x, weight, eps=1e-6):
    grads = backward(dout, x, weight, eps)
    grads["weight"] = np.einsum("btd,btd->d", dout, x)
    return grads


def backward_wrong_4(dout, x, weight, eps=1e-6):
    grads = backward(dout, x, weight, eps)
    grads["weight"] = np.sum(dout * x / rms(x, eps), axis=0).mean(axis=0)
    return grads
