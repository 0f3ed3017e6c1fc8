"""Cosine similarity of paired rows.

backward          PROVED
backward_wrong_1  REFUTED  u, v         the norms are taken to be constant
backward_wrong_2  REFUTED  v            the projection uses u's norm squared
backward_wrong_3  REFUTED  u, v         upstream gradient is not multiplied into the projection
"""

import numpy as np

SHAPES = {"u": ("N", "D"), "v": ("N", "D")}


def forward(u, v):
    nu = np.sqrt(np.sum(u**2, axis=1))
    nv = np.sqrt(np.sum(v**2, axis=1))
    return np.sum(u * v, axis=1) / (nu * nv)


def norms(u, v):
    nu = np.linalg.norm(u, axis=1, keepdims=True)
    nv = np.linalg.norm(v, axis=1, keepdims=True)
    return nu, nv, (u * v).sum(axis=1, keepdims=True) / (nu * nv)


def backward(dout, u, v):
    nu, nv, s = norms(u, v)
    d = dout[:, None]
    return {"u": d * (v / (nu * nv) - s * u / nu**2), "v": d * (u / (nu * nv) - s * v / nv**2)}


def backward_wrong_1(dout, u, v):
    nu, nv, s = norms(u, v)
    d = dout[:, None]
    return {"u": d * v / (nu * nv), "v": d * u / (nu * nv)}


def backward_wrong_2(dout, u, v):
    nu, nv, s = norms(u, v)
    d = dout[:, None]
    return {"u": d * (v / (nu * nv) - s * u / nu**2), "v": d * (u / (nu * nv) - s * v / nu**2)}


def backward_wrong_3(dout, u, v):
    nu, nv, s = norms(u, v)
    d = dout[:, None]
    return {"u": d * v / (nu * nv) - s * u / nu**2, "v": d * u / (nu * nv) - s * v / nv**2}
