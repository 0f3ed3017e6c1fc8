"""What a mask selects: rows, columns, pixels; the labels are checked against central differences."""

from __future__ import annotations

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.frontends.numpy.traced import trace_pair

SIZES = {"N": 4, "D": 3, "H": 3, "W": 2, "T": 4, "E": 4, "K": 2, "B": 2}


def margins(w, X, y):
    m = y * (X @ w)
    near = m < 1
    return np.sum(1 - m[near]) / len(y)


def margins_by_rows(w, X, y):
    near = y * (X @ w) < 1
    return {"w": -(X[near].T @ y[near]) / len(y)}


def margins_over_the_near(w, X, y):
    near = y * (X @ w) < 1
    return {"w": -(X[near].T @ y[near]) / near.sum()}


def fit(X, w, t):
    keep = t > 0
    return ((X[keep] @ w - 1) ** 2).sum()


def fit_by_broadcasting(X, w, t):
    keep = t > 0
    e = 2 * (X[keep] @ w - 1)
    dX = np.zeros_like(X)
    dX[keep] = e[:, None] * w
    return {"X": dX, "w": (e[:, None] * X[keep]).sum(axis=0)}


def fit_by_einsum(X, w, t):
    keep = t > 0
    e = 2 * (X[keep] @ w - 1)
    dX = np.zeros_like(X)
    dX[keep] = np.outer(e, w)
    return {"X": dX, "w": np.einsum("n,nd->d", e, X[keep])}


def fit_of_the_others(X, w, t):
    keep = t > 0
    e = 2 * (X[keep] @ w - 1)
    dX = np.zeros_like(X)
    dX[keep] = e[:, None] * w
    return {"X": dX, "w": 2 * (X[~keep].T @ (X[~keep] @ w - 1))}


def pixels(x, m):
    return (x[m > 0] ** 2).mean()


def pixels_by_count(x, m):
    keep = m > 0
    d = np.zeros_like(x)
    d[keep] = 2 * x[keep] / keep.sum()
    return {"x": d}


def pixels_by_size(x, m):
    keep = m > 0
    d = np.zeros_like(x)
    d[keep] = 2 * x[keep] / x.size
    return {"x": d}


def columns(X, w, t):
    return X.T[:, t > 0].sum(axis=1) @ w


def columns_by_assignment(X, w, t):
    keep = t > 0
    d = np.zeros_like(X.T)
    d[:, keep] = w[:, None]
    return {"X": d.T, "w": X.T[:, keep].sum(axis=1)}


def huber(w, X, y):
    r = y - X @ w
    far = np.abs(r) > 1
    return 0.5 * np.dot(r[~far], r[~far]) + np.sum(np.abs(r[far]) - 0.5)


def huber_by_parts(w, X, y):
    r = y - X @ w
    far = np.abs(r) > 1
    return {"w": -np.dot(r[~far], X[~far]) - np.dot(np.sign(r[far]), X[far])}


def huber_signs_forgotten(w, X, y):
    r = y - X @ w
    far = np.abs(r) > 1
    return {"w": -np.dot(r[~far], X[~far]) - X[far].sum(axis=0)}


def apart(X, w, t):
    i, j = np.triu_indices(len(X), 1)
    return np.sum((X[i] - X[j]) ** 2)


def apart_added_up(X, w, t):
    i, j = np.triu_indices(len(X), k=1)
    d, dX = 2 * (X[i] - X[j]), np.zeros_like(X)
    np.add.at(dX, i, d)
    np.subtract.at(dX, j, d)
    return {"X": dX}


def apart_one_sided(X, w, t):
    i, j = np.triu_indices(len(X), k=1)
    dX = np.zeros_like(X)
    np.add.at(dX, i, 2 * (X[i] - X[j]))
    return {"X": dX}


def ranked(X, w, t):
    s = X @ w
    better, worse = np.nonzero(t[:, None] > t[None, :])
    return np.log1p(np.exp(s[worse] - s[better])).sum()


def ranked_by_pairs(X, w, t):
    s = X @ w
    places = np.where(t[:, None] > t[None, :])
    p = 1 / (1 + np.exp(s[places[0]] - s[places[1]]))
    return {"w": (p[:, None] * (X[places[1]] - X[places[0]])).sum(axis=0)}


def ranked_the_other_way(X, w, t):
    return {"w": -ranked_by_pairs(X, w, t)["w"]}


def mirrored(x, m):
    i, j = np.tril_indices(len(x), -1)
    S = np.zeros_like(x)
    S[i, j], S[j, i] = x[i, j], x[i, j]
    return np.sum(S * m)


def mirrored_by_masks(x, m):
    return {"x": np.tril(m + m.T, -1)}


def mirrored_once(x, m):
    i, j = np.tril_indices(len(x), -1)
    dx = np.zeros_like(x)
    dx[i, j] = m[j, i]
    return {"x": dx}


LINE = {"w": ("D",), "X": ("N", "D"), "y": ("N",)}
ROWS = {"X": ("N", "D"), "w": ("D",), "t": ("N",)}
IMAGE = {"x": ("H", "W"), "m": ("H", "W")}
SQUARE = {"x": ("N", "N"), "m": ("N", "N")}
CASES = [
    (margins, margins_by_rows, LINE, ()),
    (margins, margins_over_the_near, LINE, ("w",)),
    (fit, fit_by_broadcasting, ROWS, ()),
    (fit, fit_by_einsum, ROWS, ()),
    (fit, fit_of_the_others, ROWS, ("w",)),
    (pixels, pixels_by_count, IMAGE, ()),
    (pixels, pixels_by_size, IMAGE, ("x",)),
    (columns, columns_by_assignment, ROWS, ()),
    (huber, huber_by_parts, LINE, ()),
    (huber, huber_signs_forgotten, LINE, ("w",)),
    (apart, apart_added_up, ROWS, ()),
    (apart, apart_one_sided, ROWS, ("X",)),
    (ranked, ranked_by_pairs, ROWS, ()),
    (ranked, ranked_the_other_way, ROWS, ("w",)),
    (mirrored, mirrored_by_masks, SQUARE, ()),
    (mirrored, mirrored_once, SQUARE, ("x",)),
]


def wrong_by_differences(forward, backward, shapes):
    """The gradients that central differences show to be wrong, at a few points."""
    found = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        point = {n: 1.5 * rng.normal(size=[SIZES[a] for a in shape]) for n, shape in shapes.items()}
        for name, gradient in backward(**point).items():
            step = rng.normal(size=point[name].shape)
            ends = [forward(**{**point, name: point[name] + h * step}) for h in (1e-6, -1e-6)]
            if abs((ends[0] - ends[1]) / 2e-6 - (gradient * step).sum()) > 1e-4:
                found.add(name)
    return found


@pytest.mark.parametrize(("forward", "backward", "shapes", "wrong"), CASES, ids=lambda v: getattr(v, "__name__", None))
def test_check_follows_what_a_mask_selects(forward, backward, shapes, wrong):
    assert wrong_by_differences(forward, backward, shapes) == set(wrong)
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == ("REFUTED" if wrong else "PROVED")
    assert verdict.wrong == wrong
    assert wrong or verdict.scope == "all sizes"


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        (lambda X, w, t: X[t > 0] * X, "combined with a whole array"),
        (lambda X, w, t: X[t > 0] + X[t < 0], "different masks"),
        (lambda X, w, t: X[t > 0][0], "a subscript of an array selected by a mask"),
        (lambda X, w, t: X[t > 0] @ X[t > 1].T, "returns an array selected by a mask"),
        (lambda X, w, t: X[np.nonzero(t > 0)[0], 0], "a subscript by what a mask selects"),
        (lambda X, w, t: X[np.nonzero(t > 0)[0]] + X[np.nonzero(t < 0)[0]], "different masks"),
        (lambda X, w, t: np.cumsum(X[t > 0]), "an array selected by a mask is used where an array is needed"),
    ],
)
def test_check_refuses_what_a_mask_selects_by_name(forward, said):
    verdict = sb.check(forward, lambda dout, X, w, t: {"X": X}, shapes=ROWS)
    assert verdict.status == "UNDECIDED"
    assert said in verdict.reason


@pytest.mark.parametrize(("count", "status"), [(len, "PROVED"), (lambda i: 1, "REFUTED")])
def test_places_of_a_flat_mask_are_as_many_as_it_has(count, status):
    def forward(x):
        i = np.flatnonzero(x > 0)
        return np.mean(x[i] ** 2)

    def backward(x):
        i = np.flatnonzero(x > 0)
        d = np.zeros_like(x)
        d[i] = 2 * x[i] / count(i)
        return {"x": d}

    assert sb.check(forward, backward, shapes={"x": ("N",)}).status == status


def steps_between(c, y):
    total = 0.0
    for i in range(len(y)):
        if y[i] > 0:
            total += np.exp(c[y[i] - 1])
    return total


def steps_between_slope(c, y):
    g = np.zeros_like(c)
    for i in range(len(y)):
        if y[i] > 0:
            j = y[i] - 1
            g[j] += np.exp(c[j])
    return {"c": g}


def test_where_a_label_is_known_to_be_positive_the_place_before_it_is_none_from_the_end():
    traced = trace_pair(steps_between, steps_between_slope, {"c": ("K",), "y": ("N",)}, {"y": "labels:K"})
    assert "%" not in "".join(map(str, (*traced.forward.equations, *traced.backward.equations)))
