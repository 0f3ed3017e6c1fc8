"""A loop over the entries that were seen; the slip doubles the penalty."""

import numpy as np

SHAPES = {"U": ("A", "K"), "V": ("B", "K"), "R": ("A", "B"), "seen": ("A", "B")}
ASSUME = {"seen": "bern"}


class Factorization:
    def __init__(self, U, V, reg=0.1):
        self.U, self.V, self.reg = U, V, reg

    def loss(self, R, seen):
        total = 0.0
        for i in range(R.shape[0]):
            for j in range(R.shape[1]):
                if seen[i, j] > 0:
                    e = R[i, j] - self.U[i] @ self.V[j]
                    total += e**2
        return 0.5 * total + 0.5 * self.reg * (np.sum(self.U**2) + np.sum(self.V**2))

    def gradients(self, R, seen):
        E = seen * (R - self.U @ self.V.T)
        return {"U": -E @ self.V + self.reg * self.U, "V": -E.T @ self.U + self.reg * self.V}


def forward(U, V, R, seen):
    return Factorization(U, V).loss(R, seen)


def backward(U, V, R, seen):
    return Factorization(U, V).gradients(R, seen)


OLD = 'return {"U": -E @ self.V + self.reg * self.U, "V": -E.T @ self.U + self.reg * self.V}'
NEW = 'return {"U": -E @ self.V + 2 * self.reg * self.U, "V": -E.T @ self.U + self.reg * self.V}'
WRONG = ["U"]
