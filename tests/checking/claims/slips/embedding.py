"""Rows of a table, looked up."""

import numpy as np

SHAPES = {"E": ("V", "D"), "idx": ("N",), "W": ("D", "H")}
ASSUME = {"idx": "labels:V"}
SLIPS = {
    "assigned": (
        "np.add.at(dE, idx, de)",
        "dE[idx] = de",
        "line {line}: a place that is named more than once counts once",
    ),
    "added once": (
        "np.add.at(dE, idx, de)",
        "dE[idx] += de",
        "line {line}: a place that is named more than once counts once",
    ),
    "not squared": ("(1 - t**2)", "(1 - t)", "line {line}: "),
}


def forward(E, idx, W):
    return np.tanh(E[idx] @ W)


def backward(dout, E, idx, W):
    e = E[idx]
    t = np.tanh(e @ W)
    da = dout * (1 - t**2)
    de = da @ W.T
    dE = np.zeros_like(E)
    np.add.at(dE, idx, de)
    return {"E": dE, "W": e.T @ da}
