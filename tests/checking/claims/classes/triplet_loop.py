"""A loop that skips inactive rows; the slip turns the sign of one gradient."""

import numpy as np

SHAPES = {"a": ("N", "D"), "p": ("N", "D"), "n": ("N", "D")}


class Triplet:
    margin = 0.5

    def forward(self, a, p, n):
        self.a, self.p, self.n = a, p, n
        loss = 0
        self.active = np.zeros(len(a))
        for i in range(a.shape[0]):
            m = np.sum((a[i] - p[i]) ** 2) - np.sum((a[i] - n[i]) ** 2) + self.margin
            if m <= 0:
                continue
            self.active[i] = 1
            loss += m
        return loss / a.shape[0]

    def backward(self):
        N = self.a.shape[0]
        s = self.active[:, None] * 2 / N
        return s * (self.n - self.p), s * (self.p - self.a), s * (self.a - self.n)


def forward(a, p, n):
    return Triplet().forward(a, p, n)


def backward(a, p, n):
    t = Triplet()
    t.forward(a, p, n)
    da, dp, dn = t.backward()
    return {"a": da, "p": dp, "n": dn}


OLD = "return s * (self.n - self.p), s * (self.p - self.a), s * (self.a - self.n)"
NEW = "return s * (self.p - self.n), s * (self.p - self.a), s * (self.a - self.n)"
WRONG = ["a"]
