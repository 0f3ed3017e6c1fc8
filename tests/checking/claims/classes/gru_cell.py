"""A cell whose weights are keyword arguments put into its dictionary; the slip forgets one path to the state."""

import numpy as np

SHAPES = {"x": ("N", "D"), "h": ("N", "H"), "Wz": ("D", "H"), "Uz": ("H", "H"), "Wh": ("D", "H"), "Uh": ("H", "H")}


def sigmoid(v):
    return 1.0 / (1.0 + np.exp(-v))


class MinimalGRU:
    def __init__(self, **weights):
        self.__dict__.update(weights)
        self.grads = {k: None for k in weights}

    def step(self, x, h):
        self.x, self.h = x, h
        self.z = sigmoid(x @ self.Wz + h @ self.Uz)
        self.c = np.tanh(x @ self.Wh + (self.z * h) @ self.Uh)
        return (1 - self.z) * h + self.z * self.c

    def back(self, dh):
        dc = dh * self.z * (1 - self.c**2)
        dzh = dc @ self.Uh.T
        dz = (dh * (self.c - self.h) + dzh * self.h) * self.z * (1 - self.z)
        self.grads["Wh"], self.grads["Uh"] = self.x.T @ dc, (self.z * self.h).T @ dc
        self.grads["Wz"], self.grads["Uz"] = self.x.T @ dz, self.h.T @ dz
        dprev = dh * (1 - self.z) + dzh * self.z + dz @ self.Uz.T
        return dz @ self.Wz.T + dc @ self.Wh.T, dprev


def forward(x, h, Wz, Uz, Wh, Uh):
    return MinimalGRU(Wz=Wz, Uz=Uz, Wh=Wh, Uh=Uh).step(x, h)


def backward(dout, x, h, Wz, Uz, Wh, Uh):
    cell = MinimalGRU(Wz=Wz, Uz=Uz, Wh=Wh, Uh=Uh)
    cell.step(x, h)
    dx, dh = cell.back(dout)
    return {"x": dx, "h": dh, **cell.grads}


OLD = "dprev = dh * (1 - self.z) + dzh * self.z + dz @ self.Uz.T"
NEW = "dprev = dh * (1 - self.z) + dz @ self.Uz.T"
WRONG = ["h"]
