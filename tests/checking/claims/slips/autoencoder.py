"""The cost of a variational autoencoder, its noise an input."""

import numpy as np

SHAPES = {"mu": ("N", "Z"), "lv": ("N", "Z"), "eps": ("N", "Z"), "W": ("Z", "D")}
SLIPS = {
    "prior forgotten": (
        "dmu = dz + mu",
        "dmu = dz",
        "in the derivative with respect to mu, the term mu[i,j] is missing",
    ),
    "half forgotten": ("eps * 0.5 * s", "eps * s", "line {line}: a factor 1/2 is missing"),
    "sign": ("(np.exp(lv) - 1)", "(1 - np.exp(lv))", "line {line}: a sign is wrong"),
    "no chain": ("dz * eps * 0.5 * s", "dz * 0.5 * s", "line {line}: the factor eps[n,z] is missing"),
}


def forward(mu, lv, eps, W):
    r = (mu + np.exp(0.5 * lv) * eps) @ W
    return 0.5 * np.sum(r**2) - 0.5 * np.sum(1 + lv - mu**2 - np.exp(lv))


def backward(mu, lv, eps, W):
    s = np.exp(0.5 * lv)
    z = mu + s * eps
    dr = z @ W
    dz = dr @ W.T
    dmu = dz + mu
    dlv = dz * eps * 0.5 * s + 0.5 * (np.exp(lv) - 1)
    return {"mu": dmu, "lv": dlv, "W": z.T @ dr}
