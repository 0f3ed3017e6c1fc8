"""Batched scaled dot-product attention with a causal mask of -inf.

backward          PROVED
backward_wrong_1  REFUTED  q, k         the row sum of the softmax's derivative is missing
backward_wrong_2  REFUTED  q, k, v      the backward recomputes the weights without the mask
backward_wrong_3  REFUTED  q, k, v      the mask of the backward hides the diagonal too
backward_wrong_4  REFUTED  q            dq lacks the scale
"""

import numpy as np

SHAPES = {"q": ("B", "T", "D"), "k": ("B", "T", "D"), "v": ("B", "T", "E")}


def weights_of(q, k, offset=1):
    T, D = q.shape[1:]
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(D)
    hidden = np.triu(np.ones((T, T), dtype=bool), k=offset)
    scores = np.where(hidden, -np.inf, scores)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True)


def forward(q, k, v):
    return weights_of(q, k) @ v


def _backward(dout, q, k, v, weights):
    dweights = dout @ v.transpose(0, 2, 1)
    dscores = weights * (dweights - (dweights * weights).sum(axis=-1, keepdims=True))
    dscores /= np.sqrt(q.shape[-1])
    return {"q": dscores @ k, "k": dscores.swapaxes(1, 2) @ q, "v": weights.swapaxes(1, 2) @ dout}


def backward(dout, q, k, v):
    return _backward(dout, q, k, v, weights_of(q, k))


def backward_wrong_1(dout, q, k, v):
    weights = weights_of(q, k)
    dscores = weights * (dout @ v.transpose(0, 2, 1)) / np.sqrt(q.shape[-1])
    return {"q": dscores @ k, "k": dscores.swapaxes(1, 2) @ q, "v": weights.swapaxes(1, 2) @ dout}


def backward_wrong_2(dout, q, k, v):
    scores = np.exp(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]))
    return _backward(dout, q, k, v, scores / scores.sum(axis=-1, keepdims=True))


def backward_wrong_3(dout, q, k, v):
    T = q.shape[1]
    scores = np.exp(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])) * np.tril(np.ones((T, T)), k=-1)
    return _backward(dout, q, k, v, scores / (scores.sum(axis=-1, keepdims=True) + 1e-9))


def backward_wrong_4(dout, q, k, v):
    grads = backward(dout, q, k, v)
    grads["q"] = grads["q"] * np.sqrt(q.shape[-1])
    return grads
