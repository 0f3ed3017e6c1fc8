"""Batch normalisation, back through variance and mean one after the other."""

import numpy as np

SHAPES = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}
SLIPS = {
    "gain forgotten": ("dxhat = dout * gamma", "dxhat = dout", "the factor gamma[d] is missing"),
    "root too little": ("(var + eps) ** -1.5", "(var + eps) ** -0.5", "line {line}: the exponent -1/2 is wrong: -3/2"),
    "sign of the mean": ("dmu = -np.sum", "dmu = np.sum", "line {line}: a factor -1 is missing"),
    "unbiased": ("(x - mu) / n", "(x - mu) / (n - 1)", "line {line}: the size N - 1 is wrong: N belongs there"),
    "mean detached": (" + dmu / n", "", "the path from x through mu (line 18 of the forward pass) is missing"),
    "factor 2": ("dvar * 2 *", "dvar *", "line {line}: a factor 2 is missing"),
    "input for output": ("dout * xhat, axis", "dout * x, axis", "line {line}: xhat belongs where x stands"),
}


def forward(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=0)
    var = x.var(axis=0)
    xhat = (x - mu) / np.sqrt(var + eps)
    return gamma * xhat + beta, (x, mu, var, xhat, gamma, eps)


def backward(dout, cache):
    x, mu, var, xhat, gamma, eps = cache
    n = x.shape[0]
    std = np.sqrt(var + eps)
    dxhat = dout * gamma
    dvar = np.sum(dxhat * (x - mu) * -0.5 * (var + eps) ** -1.5, axis=0)
    dmu = -np.sum(dxhat / std, axis=0)
    dx = dxhat / std + dvar * 2 * (x - mu) / n + dmu / n
    return {"x": dx, "gamma": np.sum(dout * xhat, axis=0), "beta": np.sum(dout, axis=0)}
