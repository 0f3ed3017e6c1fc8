"""A sum over a comprehension with a filter on a label; the slip forgets the true class."""

import numpy as np

SHAPES = {"s": ("C",), "y": ()}
ASSUME = {"y": "labels:C"}


class Hinge:
    def __call__(self, s, y):
        self.s, self.y = s, y
        return sum(max(0, s[j] - s[y] + 1) for j in range(len(s)) if j != y)

    def grad(self):
        g = np.zeros_like(self.s)
        for j in range(len(self.s)):
            if j != self.y and self.s[j] - self.s[self.y] + 1 > 0:
                g[j] += 1
                g[self.y] -= 1
        return g


def forward(s, y):
    return Hinge()(s, y)


def backward(s, y):
    h = Hinge()
    h(s, y)
    return {"s": h.grad()}


OLD = "g[self.y] -= 1"
NEW = "pass"
WRONG = ["s"]
