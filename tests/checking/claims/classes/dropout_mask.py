"""Dropout with a stored mask of booleans, a property and a class attribute; the slip forgets the scale."""

import numpy as np

SHAPES = {"x": ("N", "D"), "mask": ("N", "D")}
ASSUME = {"mask": "bern"}


class Layer:
    training = True

    def __call__(self, *a):
        return self.forward(*a)


class Dropout(Layer):
    def __init__(self, p=0.25):
        self.p = p
        self._mask = None

    @property
    def scale(self):
        return 1.0 / (1.0 - self.p)

    def forward(self, x, mask):
        if not self.training or self.p == 0:
            return x
        self._mask = mask == 1
        return np.where(self._mask, x * self.scale, 0.0)

    def backward(self, g):
        if not self.training:
            return g
        out = g.copy()
        out[~self._mask] = 0
        return out * self.scale


def forward(x, mask):
    return Dropout()(x, mask)


def backward(dout, x, mask):
    d = Dropout()
    d(x, mask)
    return {"x": d.backward(dout)}


OLD = "return out * self.scale"
NEW = "return out"
WRONG = ["x"]
