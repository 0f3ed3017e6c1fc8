"""A container of layers with slots, an enumeration and a dataclass of settings; the slip squares the weights of a decay."""

import numpy as np
from dataclasses import dataclass, field
from enum import Enum

SHAPES = {"x": ("N", "D"), "y": ("N", "M"), "w1": ("D", "H"), "w2": ("H", "M")}


class Act(Enum):
    TANH = "tanh"
    SIG = "sigmoid"


@dataclass
class Config:
    act: Act = Act.SIG
    decay: float = 0.01
    names: list = field(default_factory=lambda: ["w1", "w2"])


class Linear:
    __slots__ = ("w", "x", "dw", "decay")

    def __init__(self, w, decay):
        self.w, self.decay = w, decay

    def __call__(self, x):
        self.x = x
        return x @ self.w

    def pull(self, g):
        self.dw = self.x.T @ g + self.decay * self.w
        return g @ self.w.T


class Activation:
    def __init__(self, kind):
        self.kind = kind

    def __call__(self, z):
        self.out = np.tanh(z) if self.kind is Act.TANH else 1 / (1 + np.exp(-z))
        return self.out

    def pull(self, g):
        if self.kind == Act.TANH:
            return g * (1 - self.out**2)
        return g * self.out * (1 - self.out)


class Sequential:
    def __init__(self, *layers):
        self.layers = layers

    def __call__(self, x):
        for l in self.layers:
            x = l(x)
        return x

    def pull(self, g):
        for l in reversed(self.layers):
            g = l.pull(g)
        return g

    def penalty(self, decay):
        return sum(0.5 * decay * np.sum(l.w**2) for l in self.layers if isinstance(l, Linear))


def build(w1, w2, config=Config()):
    return Sequential(Linear(w1, config.decay), Activation(config.act), Linear(w2, config.decay))


def forward(x, y, w1, w2):
    net = build(w1, w2)
    return 0.5 * np.sum((net(x) - y) ** 2) / len(x) + net.penalty(0.01)


def backward(x, y, w1, w2):
    net = build(w1, w2)
    r = (net(x) - y) / x.shape[0]
    net.pull(r)
    return dict(zip(Config().names, (net.layers[0].dw, net.layers[2].dw)))


OLD = "self.dw = self.x.T @ g + self.decay * self.w"
NEW = "self.dw = self.x.T @ g + self.decay * self.w * self.w"
WRONG = ["w1", "w2"]
