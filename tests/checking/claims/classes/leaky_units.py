"""States and caches of all steps on the layer itself, taken from their list one by one; the slip takes the last state."""

import numpy as np

SHAPES = {"x": ("T", "N", "D"), "W": ("D", "H"), "a": ("H",)}


class Leaky:
    def __init__(self, W, a):
        self.W, self.a = W, a
        self.state = self.trace = None

    def __call__(self, x):
        self.state = np.zeros((x.shape[1], self.W.shape[1]))
        self.trace = []
        for t in range(x.shape[0]):
            self.tick(x[t])
        return self.state

    def tick(self, xt):
        pre = xt @ self.W
        self.trace.append((xt, self.state, pre))
        self.state = self.a * self.state + np.tanh(pre)

    def backward(self, ds):
        self.dW, self.da = 0, 0
        dxs = []
        while self.trace:
            xt, before, pre = self.trace.pop()
            dpre = ds * (1 - np.tanh(pre) ** 2)
            self.dW = self.dW + xt.T @ dpre
            self.da = self.da + (ds * before).sum(axis=0)
            dxs.insert(0, dpre @ self.W.T)
            ds = ds * self.a
        return np.stack(dxs)


def forward(x, W, a):
    return Leaky(W, a)(x)


def backward(dout, x, W, a):
    layer = Leaky(W, a)
    layer(x)
    dx = layer.backward(dout)
    return {"x": dx, "W": layer.dW, "a": layer.da}


OLD = "(ds * before).sum(axis=0)"
NEW = "(ds * self.state).sum(axis=0)"
WRONG = ["a"]
