"""A weighted cross-entropy with a branch on a label of 0 and 1; the slip forgets the weight."""

import numpy as np

SHAPES = {"z": ("N",), "y": ("N",)}
ASSUME = {"y": "bern"}


class BCE:
    def __init__(self, pos_weight=3.0):
        self.w = pos_weight

    def forward(self, z, y):
        self.z, self.y = z, y
        self.p = 1 / (1 + np.exp(-z))
        loss = 0.0
        for i in range(len(z)):
            if y[i] == 1:
                loss += -self.w * np.log(self.p[i])
            else:
                loss += -np.log(1 - self.p[i])
        return loss / len(z)

    def backward(self):
        g = np.where(self.y > 0.5, self.w * (self.p - 1), self.p)
        return g / self.z.size


def forward(z, y):
    return BCE().forward(z, y)


def backward(z, y):
    l = BCE()
    l.forward(z, y)
    return {"z": l.backward()}


OLD = "g = np.where(self.y > 0.5, self.w * (self.p - 1), self.p)"
NEW = "g = np.where(self.y > 0.5, self.p - 1, self.p)"
WRONG = ["z"]
