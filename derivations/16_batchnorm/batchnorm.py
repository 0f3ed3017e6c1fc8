"""Batch normalisation, as it is trained.

Mean and variance belong to a column, so each example is coupled with all others of the batch; the short form of the
gradient by x that people copy from each other is right.
"""

import numpy as np

SHAPES = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}


def forward(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=0)
    c = x - mu
    var = (c**2).mean(axis=0)
    x_hat = c / np.sqrt(var + eps)
    return gamma * x_hat + beta


def backward(dout, x, gamma, beta, eps=1e-5):
    N = x.shape[0]
    root = np.sqrt(x.var(axis=0) + eps)
    x_hat = (x - x.mean(axis=0)) / root
    dgamma = (dout * x_hat).sum(axis=0)
    dbeta = dout.sum(axis=0)
    dx = gamma / (N * root) * (N * dout - dbeta - x_hat * dgamma)
    return {"x": dx, "gamma": dgamma, "beta": dbeta}
