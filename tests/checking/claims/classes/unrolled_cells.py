"""A cell object for each step, which keeps what its backward needs; the slip forgets the step before."""

import numpy as np

SHAPES = {"x": ("N", "T", "D"), "W": ("D", "H"), "U": ("H", "H")}


class Cell:
    def __init__(self, layer):
        self.layer, self.rate = layer, 0.5

    def run(self, x, h):
        self.cache = {"x": x, "h": h}
        self.out = np.tanh(x @ self.layer.W + self.rate * (h @ self.layer.U))
        return self.out

    def back(self, g):
        dz = g * (1 - self.out**2)
        self.layer.dW += self.cache["x"].T @ dz
        self.layer.dU += self.rate * (self.cache["h"].T @ dz)
        return dz @ self.layer.W.T, self.rate * (dz @ self.layer.U.T)


class Unrolled:
    def __init__(self, W, U):
        self.W, self.U = W, U
        self.dW, self.dU = np.zeros_like(W), np.zeros_like(U)
        self.cells = []

    def forward(self, x):
        h = np.zeros((x.shape[0], self.U.shape[0]))
        for t in range(x.shape[1]):
            self.cells.append(Cell(self))
            h = self.cells[-1].run(x[:, t], h)
        return h

    def backward(self, dh):
        dxs = []
        for cell in reversed(self.cells):
            dx, dh = cell.back(dh)
            dxs.append(dx)
        return np.stack(dxs[::-1], axis=1)


def forward(x, W, U):
    return Unrolled(W, U).forward(x)


def backward(dout, x, W, U):
    layer = Unrolled(W, U)
    layer.forward(x)
    dx = layer.backward(dout)
    return {"x": dx, "W": layer.dW, "U": layer.dU}


OLD = "dx, dh = cell.back(dh)"
NEW = "dx, _ = cell.back(dh)"
WRONG = ["U", "W", "x"]
