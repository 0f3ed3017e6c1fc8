"""InfoNCE in both directions between two normalised views, in-batch negatives.

backward          PROVED
backward_wrong_1  REFUTED  u, v         the temperature is left out of the backward
backward_wrong_2  REFUTED  u, v         the second direction is missing
backward_wrong_3  REFUTED  u, v         the derivative of the normalisation is missing
backward_wrong_4  REFUTED  v            dscores is not transposed for the second view
"""

import numpy as np

SHAPES = {"u": ("N", "D"), "v": ("N", "D")}


def normalise(x):
    norm = np.sqrt((x**2).sum(axis=1, keepdims=True))
    return x / norm, norm


def log_softmax(s):
    s = s - s.max(axis=1, keepdims=True)
    return s - np.log(np.exp(s).sum(axis=1, keepdims=True))


def forward(u, v, tau=0.1):
    a, _ = normalise(u)
    b, _ = normalise(v)
    s = a @ b.T / tau
    diagonal = np.arange(u.shape[0])
    return -(log_softmax(s)[diagonal, diagonal].mean() + log_softmax(s.T)[diagonal, diagonal].mean()) / 2


def dscores_of(a, b, tau):
    n = a.shape[0]
    s = a @ b.T / tau
    return (np.exp(log_softmax(s)) + np.exp(log_softmax(s.T)).T - 2 * np.eye(n)) / (2 * n)


def through_norm(dx, x, norm):
    return (dx - x * (dx * x).sum(axis=1, keepdims=True)) / norm


def backward(u, v, tau=0.1):
    (a, nu), (b, nv) = normalise(u), normalise(v)
    ds = dscores_of(a, b, tau) / tau
    return {"u": through_norm(ds @ b, a, nu), "v": through_norm(ds.T @ a, b, nv)}


def backward_wrong_1(u, v, tau=0.1):
    (a, nu), (b, nv) = normalise(u), normalise(v)
    ds = dscores_of(a, b, tau)
    return {"u": through_norm(ds @ b, a, nu), "v": through_norm(ds.T @ a, b, nv)}


def backward_wrong_2(u, v, tau=0.1):
    (a, nu), (b, nv) = normalise(u), normalise(v)
    n = u.shape[0]
    ds = (np.exp(log_softmax(a @ b.T / tau)) - np.eye(n)) / n / tau
    return {"u": through_norm(ds @ b, a, nu), "v": through_norm(ds.T @ a, b, nv)}


def backward_wrong_3(u, v, tau=0.1):
    (a, nu), (b, nv) = normalise(u), normalise(v)
    ds = dscores_of(a, b, tau) / tau
    return {"u": ds @ b / nu, "v": ds.T @ a / nv}


def backward_wrong_4(u, v, tau=0.1):
    (a, nu), (b, nv) = normalise(u), normalise(v)
    ds = dscores_of(a, b, tau) / tau
    return {"u": through_norm(ds @ b, a, nu), "v": through_norm(ds @ a, b, nv)}
