"""GELU with the error function.

backward          PROVED
backward_wrong_1  REFUTED  x            the density is not divided by sqrt(2 pi)
backward_wrong_2  REFUTED  x            the term x*density is missing
backward_wrong_3  REFUTED  x            derivative of the tanh form, which is another function
"""

import numpy as np
from scipy.special import erf

SHAPES = {"x": ("N", "D")}


def forward(x):
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))


def backward(dout, x):
    cdf = 0.5 * (1.0 + erf(x / np.sqrt(2.0)))
    pdf = np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)
    return {"x": dout * (cdf + x * pdf)}


def backward_wrong_1(dout, x):
    cdf = 0.5 * (1.0 + erf(x / np.sqrt(2.0)))
    return {"x": dout * (cdf + x * np.exp(-0.5 * x * x))}


def backward_wrong_2(dout, x):
    return {"x": dout * 0.5 * (1.0 + erf(x / np.sqrt(2.0)))}


def backward_wrong_3(dout, x):
    c = np.sqrt(2.0 / np.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    return {"x": dout * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * c * (1 + 3 * 0.044715 * x**2))}
