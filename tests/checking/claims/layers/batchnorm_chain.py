"""Batch normalisation, training mode, backward by way of mean and variance (the form of the paper).

backward          PROVED
backward_wrong_1  REFUTED  x            dmean lacks the sum over the batch of dxhat
backward_wrong_2  REFUTED  x            the derivative of the variance lacks its factor 2
backward_wrong_3  REFUTED  gamma        dgamma uses x minus its mean, not the normalised x
backward_wrong_4  REFUTED  x            the variance path multiplies by inv_std**2 where it should be inv_std**3
"""

import numpy as np

SHAPES = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}


def forward(x, gamma, beta, eps=1e-5):
    mu = np.mean(x, axis=0)
    var = np.var(x, axis=0)
    inv_std = 1.0 / np.sqrt(var + eps)
    xhat = (x - mu) * inv_std
    out = gamma * xhat + beta
    cache = (x, xhat, mu, inv_std, gamma)
    return out, cache


def backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    N = x.shape[0]
    dxhat = dout * gamma
    dvar = np.sum(dxhat * (x - mu), axis=0) * -0.5 * inv_std**3
    dmu = -np.sum(dxhat, axis=0) * inv_std + dvar * np.mean(-2.0 * (x - mu), axis=0)
    dx = dxhat * inv_std + dvar * 2.0 * (x - mu) / N + dmu / N
    return {"x": dx, "gamma": np.sum(dout * xhat, axis=0), "beta": np.sum(dout, axis=0)}


def backward_wrong_1(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    N = x.shape[0]
    dxhat = dout * gamma
    dvar = np.sum(dxhat * (x - mu), axis=0) * -0.5 * inv_std**3
    dmu = dvar * np.mean(-2.0 * (x - mu), axis=0)
    dx = dxhat * inv_std + dvar * 2.0 * (x - mu) / N + dmu / N
    return {"x": dx, "gamma": np.sum(dout * xhat, axis=0), "beta": np.sum(dout, axis=0)}


def backward_wrong_2(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    N = x.shape[0]
    dxhat = dout * gamma
    dvar = np.sum(dxhat * (x - mu), axis=0) * -0.5 * inv_std**3
    dmu = -np.sum(dxhat, axis=0) * inv_std
    dx = dxhat * inv_std + dvar * (x - mu) / N + dmu / N
    return {"x": dx, "gamma": np.sum(dout * xhat, axis=0), "beta": np.sum(dout, axis=0)}


def backward_wrong_3(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    grads = backward(dout, cache)
    grads["gamma"] = np.sum(dout * (x - mu), axis=0)
    return grads


def backward_wrong_4(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    N = x.shape[0]
    dxhat = dout * gamma
    dvar = np.sum(dxhat * (x - mu), axis=0) * -0.5 * inv_std**2
    dmu = -np.sum(dxhat, axis=0) * inv_std
    dx = dxhat * inv_std + dvar * 2.0 * (x - mu) / N + dmu / N
    return {"x": dx, "gamma": np.sum(dout * xhat, axis=0), "beta": np.sum(dout, axis=0)}
