"""Softmax with a temperature and smoothed labels."""

import numpy as np

SHAPES = {"x": ("N", "C"), "t": ("N", "C")}
ASSUME = {"t": "onehot"}
SLIPS = {
    "hard labels": (
        "q = (1 - eps) * t + eps / x.shape[1]",
        "q = t",
        "target[n,c] belongs where the factor t[n,c] stands",
    ),
    "rows for classes": (
        "t + eps / x.shape[1]",
        "t + eps / x.shape[0]",
        "line {line}: the size N is wrong: C belongs there",
    ),
    "too much": ("q = (1 - eps) * t", "q = t", "target[n,c] belongs where the factor q[n,c] stands"),
    "no temperature": ("(tau * x.shape[0])", "x.shape[0]", "line {line}: a factor 1/2 is missing"),
    "hot for cold": (
        "/ (tau * x.shape[0])",
        "* tau / x.shape[0]",
        "line {line}: the number 2 is wrong: 1/2 belongs there",
    ),
    "mean over classes": (
        "(tau * x.shape[0])",
        "(tau * x.shape[1])",
        "line {line}: the size C is wrong: N belongs there",
    ),
}


def forward(x, t, tau=2.0, eps=0.1):
    z = x / tau
    z = z - z.max(axis=1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    target = t - eps * t + eps / x.shape[1]
    return -(target * logp).sum() / x.shape[0]


def backward(x, t, tau=2.0, eps=0.1):
    z = x / tau
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    q = (1 - eps) * t + eps / x.shape[1]
    dx = (p - q) / (tau * x.shape[0])
    return {"x": dx}
