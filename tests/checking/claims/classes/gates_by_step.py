"""Gates and states in dictionaries by the number of the step, which the layer holds; the slip reads a step too late."""

import numpy as np

SHAPES = {"x": ("T", "N", "D"), "U": ("D", "H"), "V": ("D", "H")}


class Gated:
    def __init__(self, U, V):
        self.U, self.V = U, V

    def forward(self, x):
        self.x, self.g = x, {}
        self.h = {-1: np.zeros((x.shape[1], self.U.shape[1]))}
        for t in range(len(x)):
            self.advance(t)
        return self.h[len(x) - 1]

    def advance(self, t):
        self.g[t] = 1 / (1 + np.exp(-(self.x[t] @ self.U)))
        self.h[t] = self.g[t] * self.h[t - 1] + (1 - self.g[t]) * (self.x[t] @ self.V)

    def backward(self, dh):
        dx, dU, dV = (np.zeros_like(v) for v in (self.x, self.U, self.V))
        for t in reversed(range(len(self.x))):
            dg = dh * (self.h[t - 1] - self.x[t] @ self.V) * self.g[t] * (1 - self.g[t])
            dv = dh * (1 - self.g[t])
            dU += self.x[t].T @ dg
            dV += self.x[t].T @ dv
            dx[t] = dg @ self.U.T + dv @ self.V.T
            dh = dh * self.g[t]
        return {"x": dx, "U": dU, "V": dV}


def forward(x, U, V):
    return Gated(U, V).forward(x)


def backward(dout, x, U, V):
    layer = Gated(U, V)
    layer.forward(x)
    return layer.backward(dout)


OLD = "(self.h[t - 1] - self.x[t] @ self.V)"
NEW = "(self.h[t] - self.x[t] @ self.V)"
WRONG = ["U", "x"]
