"""Functions with caches inside a layer class; the slip averages a bias gradient."""

import numpy as np

SHAPES = {"x": ("N", "D"), "w": ("D", "M"), "b": ("M",)}


def affine_forward(x, w, b):
    out = x.reshape(x.shape[0], -1).dot(w) + b
    cache = (x, w, b)
    return out, cache


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


class LeakyLayer:
    slope = 0.1

    def __init__(self, w, b):
        self.w, self.b = w, b
        self.grads = {}

    def forward(self, x):
        a, self.fc_cache = affine_forward(x, self.w, self.b)
        self.a = a
        return np.maximum(self.slope * a, a)

    def backward(self, dout):
        da = dout * np.where(self.a > 0, 1.0, self.slope)
        dx, self.grads["w"], self.grads["b"] = affine_backward(da, self.fc_cache)
        return dx


def forward(x, w, b):
    return LeakyLayer(w, b).forward(x)


def backward(dout, x, w, b):
    l = LeakyLayer(w, b)
    l.forward(x)
    dx = l.backward(dout)
    return {"x": dx, **l.grads}


OLD = "db = np.sum(dout, axis=0)"
NEW = "db = np.mean(dout, axis=0)"
WRONG = ["b"]
