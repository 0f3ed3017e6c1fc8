"""A cell of a gated recurrent unit."""

import numpy as np

SHAPES = (
    {"x": ("N", "D"), "h": ("N", "H")} | {f"W{g}": ("D", "H") for g in "zrn"} | {f"U{g}": ("H", "H") for g in "zrn"}
)
SLIPS = {
    "update gate turned": ("dout * (h - n)", "dout * (n - h)", "line {line}: a factor -1 is missing"),
    "gate for state": (
        "dr = drh * h",
        "dr = drh * r",
        "line {line}: the factor h[n,h] belongs where the factor r[n,h]",
    ),
    "half a slope": ("dz * z * (1 - z)", "dz * z", "line {line}: the slope of the sigmoid"),
    "carry": ("dh = dout * z + ", "dh = ", "the path from h through out (line 30 of the forward pass) is missing"),
    "reset gate": ("+ drh * r +", "+ drh +", "line {line}: the factor r[n,h] is missing"),
    "gated state": ("(r * h).T @ dan", "h.T @ dan", "line {line}: the factor r[n,h] is missing"),
}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(x, h, Wz, Wr, Wn, Uz, Ur, Un):
    z = sigmoid(x @ Wz + h @ Uz)
    r = sigmoid(x @ Wr + h @ Ur)
    n = np.tanh(x @ Wn + (r * h) @ Un)
    return (1 - z) * n + z * h


def backward(dout, x, h, Wz, Wr, Wn, Uz, Ur, Un):
    z = sigmoid(x @ Wz + h @ Uz)
    r = sigmoid(x @ Wr + h @ Ur)
    n = np.tanh(x @ Wn + (r * h) @ Un)
    dn = dout * (1 - z)
    dz = dout * (h - n)
    dan = dn * (1 - n**2)
    drh = dan @ Un.T
    dr = drh * h
    daz = dz * z * (1 - z)
    dar = dr * r * (1 - r)
    dh = dout * z + drh * r + daz @ Uz.T + dar @ Ur.T
    dx = dan @ Wn.T + daz @ Wz.T + dar @ Wr.T
    dUn = (r * h).T @ dan
    weights = {"Wz": x.T @ daz, "Wr": x.T @ dar, "Wn": x.T @ dan, "Uz": h.T @ daz, "Ur": h.T @ dar, "Un": dUn}
    return {"x": dx, "h": dh} | weights
