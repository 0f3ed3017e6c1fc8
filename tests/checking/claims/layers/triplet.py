"""Triplet loss of Euclidean distances, with a margin.

backward          PROVED
backward_wrong_1  REFUTED  a, p, n  squared distances differentiated: the division by the distance is missing
backward_wrong_2  REFUTED  a, p, n  the triplets within the margin are taken to be those with dp > dn
backward_wrong_3  REFUTED  a        the anchor's path through the negative distance is missing
"""

import numpy as np

SHAPES = {"a": ("N", "D"), "p": ("N", "D"), "n": ("N", "D")}


def forward(a, p, n, margin=0.2):
    near, far = np.sqrt(((a - p) ** 2).sum(axis=1)), np.sqrt(((a - n) ** 2).sum(axis=1))
    return np.maximum(near - far + margin, 0).mean()


def directions(a, p, n, margin):
    near, far = np.linalg.norm(a - p, axis=1, keepdims=True), np.linalg.norm(a - n, axis=1, keepdims=True)
    return (near - far + margin > 0) / len(a), (a - p) / near, (a - n) / far


def backward(a, p, n, margin=0.2):
    active, toward, away = directions(a, p, n, margin)
    return {"a": active * (toward - away), "p": -active * toward, "n": active * away}


def backward_wrong_1(a, p, n, margin=0.2):
    active, _, _ = directions(a, p, n, margin)
    return {"a": 2 * active * (n - p), "p": -2 * active * (a - p), "n": 2 * active * (a - n)}


def backward_wrong_2(a, p, n, margin=0.2):
    active, toward, away = directions(a, p, n, 0)
    return {"a": active * (toward - away), "p": -active * toward, "n": active * away}


def backward_wrong_3(a, p, n, margin=0.2):
    active, toward, away = directions(a, p, n, margin)
    return {"a": active * toward, "p": -active * toward, "n": active * away}
