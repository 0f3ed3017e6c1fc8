"""A network's gradient written by hand, in plain NumPy: the stand-in that the trainer's tests train."""

from __future__ import annotations

import numpy as np

LINKS = {
    "sigmoid": (lambda z: 0.5 * (1 + np.tanh(0.5 * z)), lambda a: a * (1 - a)),
    "tanh": (np.tanh, lambda a: 1 - a * a),
    "relu": (lambda z: np.maximum(z, 0), lambda a: (a > 0).astype(a.dtype)),
}


def _softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class HandWritten:
    """Mean over examples of the cost, plus lam/2 times the squared weights (no biases).

    cost: cross_entropy (per output unit), softmax_cross_entropy, or squared_error (linear output, 1/2 |h - y|^2).
    """

    def __init__(self, layers, *, cost="cross_entropy", hidden="sigmoid"):
        self.layers, self.cost, (self.f, self.f_prime) = list(layers), cost, LINKS[hidden]
        self.calls = 0

    def init(self, seed=0):
        random = np.random.default_rng(seed)
        params = {}
        for layer, (sends, receives) in enumerate(zip(self.layers, self.layers[1:], strict=False), start=1):
            limit = np.sqrt(6 / (sends + receives))
            params[f"W{layer}"] = random.uniform(-limit, limit, (receives, sends))
            params[f"b{layer}"] = np.zeros(receives)
        return params

    def _forward(self, params, X):
        depth = len(self.layers) - 1
        activations = [X]
        for layer in range(1, depth + 1):
            z = activations[-1] @ params[f"W{layer}"].T + params[f"b{layer}"]
            activations.append(self.f(z) if layer < depth else z)
        return activations

    def predict(self, params, X):
        z = self._forward(params, X)[-1]
        return {"cross_entropy": LINKS["sigmoid"][0], "softmax_cross_entropy": _softmax}.get(self.cost, lambda z: z)(z)

    def __call__(self, params, X, Y, *, lam=0.0):
        self.calls += 1
        *activations, z = self._forward(params, X)
        m = len(X)
        if self.cost == "cross_entropy":
            J = (np.maximum(z, 0) - z * Y + np.log1p(np.exp(-np.abs(z)))).sum() / m
            delta = (LINKS["sigmoid"][0](z) - Y) / m
        elif self.cost == "softmax_cross_entropy":
            h = _softmax(z)
            shifted = z - z.max(axis=1, keepdims=True)
            J = -(Y * (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))).sum() / m
            delta = (h - Y) / m
        else:
            J, delta = 0.5 * ((z - Y) ** 2).sum() / m, (z - Y) / m
        grads = {}
        for layer in range(len(activations), 0, -1):
            W = params[f"W{layer}"]
            J = J + 0.5 * lam * (W**2).sum()
            grads[f"W{layer}"], grads[f"b{layer}"] = delta.T @ activations[layer - 1] + lam * W, delta.sum(axis=0)
            delta = (delta @ W) * self.f_prime(activations[layer - 1])
        return J, grads

    def flat(self, theta, X, Y, *, lam=0.0):
        params, start = {}, 0
        for layer, (sends, receives) in enumerate(zip(self.layers, self.layers[1:], strict=False), start=1):
            params[f"W{layer}"] = theta[start : start + sends * receives].reshape(receives, sends)
            start += sends * receives
            params[f"b{layer}"] = theta[start : start + receives]
            start += receives
        J, grads = self(params, X, Y, lam=lam)
        return J, np.concatenate([grads[name].ravel() for name in params])
