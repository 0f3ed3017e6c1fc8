"""Batch normalisation at test time, parameters and statistics in dictionaries; the slip squares the normalised input."""

import numpy as np

SHAPES = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",), "mean": ("D",), "var": ("D",)}
ASSUME = {"var": "pos"}


class BN:
    def __init__(self, d, eps=1e-5):
        self.params = {"gamma": np.ones(d), "beta": np.zeros(d)}
        self.running = dict(mean=np.zeros(d), var=np.ones(d))
        self.grads, self.cache, self.eps, self.mode = {}, None, eps, "test"

    def forward(self, x):
        if self.mode == "train":
            raise NotImplementedError
        elif self.mode == "test":
            hat = (x - self.running["mean"]) / np.sqrt(self.running["var"] + self.eps)
            self.cache = hat
            return self.params["gamma"] * hat + self.params["beta"]
        else:
            raise ValueError(f"bad mode {self.mode}")

    def backward(self, d):
        self.grads["gamma"] = np.einsum("nd,nd->d", d, self.cache)
        self.grads["beta"] = d.sum(0)
        return d * self.params["gamma"] / np.sqrt(self.running["var"] + self.eps)


def make(gamma, beta, mean, var):
    bn = BN(len(gamma))
    bn.params.update(gamma=gamma, beta=beta)
    bn.running.update(mean=mean, var=var)
    return bn


def forward(x, gamma, beta, mean, var):
    return make(gamma, beta, mean, var).forward(x)


def backward(dout, x, gamma, beta, mean, var):
    bn = make(gamma, beta, mean, var)
    bn.forward(x)
    return {"x": bn.backward(dout), **bn.grads}


OLD = 'self.grads["gamma"] = np.einsum("nd,nd->d", d, self.cache)'
NEW = 'self.grads["gamma"] = np.einsum("nd,nd->d", d, self.cache ** 2)'
WRONG = ["gamma"]
