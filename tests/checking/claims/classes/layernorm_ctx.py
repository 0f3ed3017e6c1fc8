"""A tape in a context manager, closures as backward functions; the slip drops a factor in a mean."""

import numpy as np
from contextlib import contextmanager

SHAPES = {"x": ("N", "D"), "g": ("D",), "b": ("D",)}


class Tape:
    def __init__(self):
        self.steps, self.on = [], False

    @contextmanager
    def record(self):
        self.on = True
        yield self
        self.on = False

    def add(self, f):
        if self.on:
            self.steps.append(f)

    def back(self, grad):
        while self.steps:
            grad = self.steps.pop()(grad)
        return grad


class LayerNorm:
    def __init__(self, g, b, tape, eps=1e-5):
        self.g, self.b, self.tape, self.eps = g, b, tape, eps

    def __call__(self, x):
        mu = x.mean(-1, keepdims=True)
        inv = 1 / np.sqrt(x.var(-1, keepdims=True) + self.eps)
        hat = (x - mu) * inv

        def pull(grad):
            self.dg, self.db = (grad * hat).sum(0), grad.sum(0)
            d = grad * self.g
            return inv * (d - d.mean(-1, keepdims=True) - hat * (d * hat).mean(-1, keepdims=True))

        self.tape.add(pull)
        return hat * self.g + self.b


def forward(x, g, b):
    return LayerNorm(g, b, Tape())(x)


def backward(dout, x, g, b):
    tape = Tape()
    ln = LayerNorm(g, b, tape)
    with tape.record():
        ln(x)
    dx = tape.back(dout)
    return {"x": dx, "g": ln.dg, "b": ln.db}


OLD = "return inv * (d - d.mean(-1, keepdims=True) - hat * (d * hat).mean(-1, keepdims=True))"
NEW = "return inv * (d - d.mean(-1, keepdims=True) - hat * d.mean(-1, keepdims=True))"
WRONG = ["x"]
