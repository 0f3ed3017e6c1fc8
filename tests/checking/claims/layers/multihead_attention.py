"""Multi-head self-attention: projections, heads by reshape and transpose, output projection.

backward          PROVED
backward_wrong_1  REFUTED  x, wq        the path through the queries is missing from dx, and wq has no scale
backward_wrong_2  REFUTED  wo           the heads are not swapped back before they are merged
backward_wrong_3  REFUTED  x, wq, wk    scaled by the full width, not by that of a head
backward_wrong_4  REFUTED  x            the path through the values is missing
"""

import numpy as np

SHAPES = {"x": ("T", "D"), "wq": ("D", "D"), "wk": ("D", "D"), "wv": ("D", "D"), "wo": ("D", "D")}
WHERE = "D % heads == 0"


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def split(a, heads):
    T, D = a.shape
    return a.reshape(T, heads, D // heads).transpose(1, 0, 2)


def merge(a):
    heads, T, E = a.shape
    return a.transpose(1, 0, 2).reshape(T, heads * E)


def forward(x, wq, wk, wv, wo, heads=2):
    q, k, v = (split(x @ w, heads) for w in (wq, wk, wv))
    weights = softmax(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]))
    mixed = weights @ v
    out = merge(mixed) @ wo
    return out, (x, wq, wk, wv, wo, q, k, v, weights, mixed)


def heads_backward(dout, cache, width):
    x, wq, wk, wv, wo, q, k, v, weights, mixed = cache
    dmixed = split(dout @ wo.T, q.shape[0])
    dv = weights.transpose(0, 2, 1) @ dmixed
    dweights = dmixed @ v.transpose(0, 2, 1)
    dscores = weights * (dweights - (dweights * weights).sum(axis=-1, keepdims=True)) / np.sqrt(width)
    return merge(dscores @ k), merge(dscores.transpose(0, 2, 1) @ q), merge(dv)


def assemble(dout, cache, dq, dk, dv):
    x, wq, wk, wv, wo, *_, mixed = cache
    return {
        "x": dq @ wq.T + dk @ wk.T + dv @ wv.T,
        "wq": x.T @ dq,
        "wk": x.T @ dk,
        "wv": x.T @ dv,
        "wo": merge(mixed).T @ dout,
    }


def backward(dout, cache):
    return assemble(dout, cache, *heads_backward(dout, cache, cache[5].shape[-1]))


def backward_wrong_1(dout, cache):
    x, wq, wk, wv, *_ = cache
    dq, dk, dv = heads_backward(dout, cache, cache[5].shape[-1])
    grads = assemble(dout, cache, dq, dk, dv)
    grads["x"] = dk @ wk.T + dv @ wv.T
    grads["wq"] = x.T @ dq * np.sqrt(cache[5].shape[-1])
    return grads


def backward_wrong_2(dout, cache):
    grads = backward(dout, cache)
    mixed = cache[-1]
    grads["wo"] = mixed.reshape(dout.shape).T @ dout
    return grads


def backward_wrong_3(dout, cache):
    return assemble(dout, cache, *heads_backward(dout, cache, dout.shape[-1]))


def backward_wrong_4(dout, cache):
    x, wq, wk, *_ = cache
    grads = backward(dout, cache)
    dq, dk, dv = heads_backward(dout, cache, cache[5].shape[-1])
    grads["x"] = dq @ wq.T
    grads["x"] += dk @ wk.T
    return grads
