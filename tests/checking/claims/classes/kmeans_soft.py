"""Distances filled in by two loops; the slip keeps the last term of a sum."""

import numpy as np

SHAPES = {"x": ("N", "D"), "c": ("K", "D")}


class Centers:
    def __init__(self, c):
        self.c = c

    def distances(self, x):
        N, K = len(x), len(self.c)
        d = np.empty((N, K))
        for i in range(N):
            for k in range(K):
                diff = x[i] - self.c[k]
                d[i, k] = diff @ diff
        return d

    def forward(self, x):
        self.x = x
        e = np.exp(-self.distances(x))
        self.s = e.sum(axis=1)
        self.r = e / self.s[:, None]
        return -np.log(self.s).sum()

    def backward(self):
        dc = np.zeros_like(self.c)
        for k in range(self.c.shape[0]):
            for i in range(self.x.shape[0]):
                dc[k] += 2 * self.r[i, k] * (self.c[k] - self.x[i])
        return dc


def forward(x, c):
    return Centers(c).forward(x)


def backward(x, c):
    m = Centers(c)
    m.forward(x)
    return {"c": m.backward()}


OLD = "dc[k] += 2 * self.r[i, k] * (self.c[k] - self.x[i])"
NEW = "dc[k] = 2 * self.r[i, k] * (self.c[k] - self.x[i])"
WRONG = ["c"]
