"""One step of a GRU whose reset gate acts after the product: three gates in each of two affine maps, split and joined.

backward          PROVED
backward_wrong_1  REFUTED  h, Wh  the candidate's gradient reaches the hidden map without its reset gate
backward_wrong_2  REFUTED  h, Wh  the carried state is left out of the update gate's gradient
backward_wrong_3  REFUTED  x, h, Wh  the candidate's slope is a sigmoid's
"""

import numpy as np

SHAPES = {"x": ("N", "3*H"), "h": ("N", "H"), "Wh": ("3*H", "H")}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def step(x, h, Wh):
    xr, xz, xn = np.split(x, 3, axis=1)
    hr, hz, hn = np.split(h @ Wh.T, 3, axis=1)
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    return r, z, np.tanh(xn + r * hn), hn


def forward(x, h, Wh):
    r, z, n, hn = step(x, h, Wh)
    return (1 - z) * n + z * h


def gates(dout, h, r, z, n, hn):
    dn = dout * (1 - z) * (1 - n**2)
    return dn * hn * r * (1 - r), dout * (h - n) * z * (1 - z), dn


def backward(dout, x, h, Wh):
    r, z, n, hn = step(x, h, Wh)
    dr, dz, dn = gates(dout, h, r, z, n, hn)
    dg = np.concatenate([dr, dz, dn * r], axis=1)
    return {"x": np.concatenate([dr, dz, dn], axis=1), "h": dg @ Wh + dout * z, "Wh": dg.T @ h}


def backward_wrong_1(dout, x, h, Wh):
    dg = np.concatenate(gates(dout, h, *step(x, h, Wh)), axis=1)
    return {"x": dg, "h": dg @ Wh + dout * step(x, h, Wh)[1], "Wh": dg.T @ h}


def backward_wrong_2(dout, x, h, Wh):
    r, z, n, hn = step(x, h, Wh)
    dr, dz, dn = gates(dout, 0 * h, r, z, n, hn)
    dg = np.concatenate([dr, dz, dn * r], axis=1)
    right = backward(dout, x, h, Wh)
    return {"x": right["x"], "h": dg @ Wh + dout * z, "Wh": dg.T @ h}


def backward_wrong_3(dout, x, h, Wh):
    r, z, n, hn = step(x, h, Wh)
    dn = dout * (1 - z) * n * (1 - n)
    dr, dz = dn * hn * r * (1 - r), dout * (h - n) * z * (1 - z)
    dg = np.concatenate([dr, dz, dn * r], axis=1)
    return {"x": np.concatenate([dr, dz, dn], axis=1), "h": dg @ Wh + dout * z, "Wh": dg.T @ h}
