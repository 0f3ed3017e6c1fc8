"""Cosine similarity of rows."""

import numpy as np

SHAPES = {"a": ("N", "D"), "b": ("N", "D")}
SLIPS = {
    "projection": (
        " - c * a / na**2",
        "",
        "the path from a through na (line 24 of the forward pass)",
    ),
    "not squared": ("c * a / na**2", "c * a / na", "line {line}: "),
    "other norm": ("c * a / na**2", "c * a / nb**2", "line {line}: na belongs where nb stands"),
    "sign": ("- c * a", "+ c * a", "line {line}: a sign is wrong"),
    "same vector twice": (
        "(a / (na * nb)",
        "(b / (na * nb)",
        "line {line}: the factor a[n,d] belongs where the factor b[n,d]",
    ),
}


def forward(a, b):
    na = np.sqrt((a * a).sum(axis=1))
    nb = np.sqrt((b * b).sum(axis=1))
    return (a * b).sum(axis=1) / (na * nb)


def backward(dout, a, b):
    na = np.sqrt((a * a).sum(axis=1, keepdims=True))
    nb = np.sqrt((b * b).sum(axis=1, keepdims=True))
    c = (a * b).sum(axis=1, keepdims=True) / (na * nb)
    d = dout[:, None]
    da = d * (b / (na * nb) - c * a / na**2)
    db = d * (a / (na * nb) - c * b / nb**2)
    return {"a": da, "b": db}
