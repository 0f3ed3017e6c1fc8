"""Scaled dot-product attention.

backward          PROVED
backward_wrong_1  REFUTED  q, k         the row sum of the softmax's derivative is missing
backward_wrong_2  REFUTED  k            dscores is not transposed (the shapes agree for as many queries as keys)
backward_wrong_3  REFUTED  q, k         the scale 1/sqrt(d) is left out of the backward
backward_wrong_4  REFUTED  v            the gradient of v uses the scores, not their softmax
backward_wrong_5  REFUTED  q, k         the row sum runs over the queries, not over the keys
"""

import numpy as np

SHAPES = {"q": ("T", "D"), "k": ("T", "D"), "v": ("T", "E")}


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def forward(q, k, v):
    scale = 1.0 / np.sqrt(q.shape[-1])
    weights = softmax(q @ k.T * scale)
    return weights @ v, (q, k, v, weights, scale)


def backward(dout, cache):
    q, k, v, weights, scale = cache
    dweights = dout @ v.T
    dscores = weights * (dweights - np.sum(dweights * weights, axis=-1, keepdims=True)) * scale
    return {"q": dscores @ k, "k": dscores.T @ q, "v": weights.T @ dout}


def backward_wrong_1(dout, cache):
    q, k, v, weights, scale = cache
    dscores = weights * (dout @ v.T) * scale
    return {"q": dscores @ k, "k": dscores.T @ q, "v": weights.T @ dout}


def backward_wrong_2(dout, cache):
    q, k, v, weights, scale = cache
    dweights = dout @ v.T
    dscores = weights * (dweights - np.sum(dweights * weights, axis=-1, keepdims=True)) * scale
    return {"q": dscores @ k, "k": dscores @ q, "v": weights.T @ dout}


def backward_wrong_3(dout, cache):
    q, k, v, weights, _ = cache
    dweights = dout @ v.T
    dscores = weights * (dweights - np.sum(dweights * weights, axis=-1, keepdims=True))
    return {"q": dscores @ k, "k": dscores.T @ q, "v": weights.T @ dout}


def backward_wrong_4(dout, cache):
    q, k, v, weights, scale = cache
    grads = backward(dout, cache)
    grads["v"] = (q @ k.T * scale).T @ dout
    return grads


def backward_wrong_5(dout, cache):
    q, k, v, weights, scale = cache
    dweights = dout @ v.T
    dscores = weights * (dweights - np.sum(dweights * weights, axis=0, keepdims=True)) * scale
    return {"q": dscores @ k, "k": dscores.T @ q, "v": weights.T @ dout}
