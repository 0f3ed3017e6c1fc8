"""A loss with branches on data in methods, called in loops; the slip forgets the sign of the linear part."""

import numpy as np

SHAPES = {"p": ("N",), "t": ("N",)}


class Huber:
    def __init__(self, delta=1.5):
        self.delta = delta

    def one(self, r):
        a = abs(r)
        if a <= self.delta:
            return 0.5 * r * r
        return self.delta * (a - 0.5 * self.delta)

    def slope(self, r):
        return r if abs(r) <= self.delta else self.delta * (1.0 if r > 0 else -1.0)

    def forward(self, p, t):
        self.r = p - t
        total = 0.0
        for i in range(len(p)):
            total += self.one(self.r[i])
        return total / len(p)

    def backward(self):
        g = np.zeros_like(self.r)
        for i, r in enumerate(self.r):
            g[i] = self.slope(r) / len(self.r)
        return g


def forward(p, t):
    return Huber().forward(p, t)


def backward(p, t):
    loss = Huber()
    loss.forward(p, t)
    g = loss.backward()
    return {"p": g, "t": -g}


OLD = "return r if abs(r) <= self.delta else self.delta * (1.0 if r > 0 else -1.0)"
NEW = "return r if abs(r) <= self.delta else self.delta * 1.0"
WRONG = ["p", "t"]
