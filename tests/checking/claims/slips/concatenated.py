"""Features that are handed on beside what is computed from them, and two halves that are put side by side."""

import numpy as np

SHAPES = {"x": ("N", "D"), "W": ("D", "C"), "U": ("D + C", "C"), "V": ("D + 2*C", "C"), "R": ("2*C", "K")}
SLIPS = {
    "features lost": (
        "dk[:, :m] + dt",
        "dt",
        "line {line}: a part of the path from h (line 19 of the forward pass) through k",
    ),
    "halves interchanged": ("da, db = split(", "db, da = split(", "the beginning and the end of "),
    "mask lost": (" * (z > 0)", "", "0 belongs where z[n,c] < 0"),
}


def forward(x, W, U, V, R):
    z = x @ W
    h = np.concatenate([x, np.maximum(z, 0)], axis=1)
    k = np.concatenate([h, h @ U], axis=1)
    a, b = np.tanh(k @ V), np.sin(z)
    return np.concatenate([a, b], axis=1) @ R


def backward(dout, x, W, U, V, R):
    z = x @ W
    h = np.concatenate([x, np.maximum(z, 0)], axis=1)
    k = np.concatenate([h, h @ U], axis=1)
    a, b = np.tanh(k @ V), np.sin(z)
    n, m, c = x.shape[1], h.shape[1], z.shape[1]

    def split(dc):
        return dc[:, :c], dc[:, c:]

    dc = dout @ R.T
    da, db = split(dc)
    ds = da * (1 - a * a)
    dk = ds @ V.T
    dt = dk[:, m:]
    dh = dk[:, :m] + dt @ U.T
    dr = dh[:, n:]
    dz = dr * (z > 0) + db * np.cos(z)
    dx = dh[:, :n] + dz @ W.T
    ab = np.concatenate([a, b], axis=1)
    return {"x": dx, "W": x.T @ dz, "U": h.T @ dt, "V": k.T @ ds, "R": ab.T @ dout}
