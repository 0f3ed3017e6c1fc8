"""Huber loss."""

import numpy as np

SHAPES = {"p": ("N", "M"), "t": ("N", "M")}
SLIPS = {
    "sign forgotten": ("d * np.sign(e)", "d", "line {line}: the slope of abs("),
    "not divided": (") / p.size", ")", "line {line}: a factor 1/(N*M) is missing"),
    "threshold": ("np.abs(e) <= d", "np.abs(e) <= 2 * d", "line {line}: the threshold 2 is wrong: 1 belongs there"),
    "half": ("<= d, e,", "<= d, 0.5 * e,", "line {line}: the factor 1/2 does not belong there"),
}


def forward(p, t, delta=1.0):
    a = np.abs(p - t)
    return np.mean(np.where(a <= delta, 0.5 * (p - t) ** 2, delta * (a - 0.5 * delta)))


def backward(p, t, d=1.0):
    e = p - t
    dp = np.where(np.abs(e) <= d, e, d * np.sign(e)) / p.size
    return {"p": dp}
