"""Sorting, argsort as an index, and the way back: proved for all sizes, with what looks right refuted."""

from __future__ import annotations

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.reverse_mode import differentiate, with_cost
from symbackprop.errors import ProofError
from symbackprop.evaluation.exact import evaluate
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, multiply
from symbackprop.expression.program import Equation, Program
from symbackprop.frontends.numpy.traced import trace


def by_sort(x, w):
    return np.sort(x) * w


def by_index(x, w):
    return x[np.argsort(x)] * w


def unsorted_by_assignment(dout, x, w):
    order = np.argsort(x)
    dx = np.zeros_like(x)
    dx[order] = dout * w
    return {"x": dx, "w": dout * x[order]}


def unsorted_by_rank(dout, x, w):
    rank = np.argsort(np.argsort(x))
    return {"x": (dout * w)[rank], "w": dout * np.sort(x)}


def sorted_again(dout, x, w):
    return {"x": (dout * w)[np.argsort(x)], "w": dout * np.sort(x)}


def not_moved(dout, x, w):
    return {"x": dout * w, "w": dout * np.sort(x)}


def rows(x, w):
    return np.take_along_axis(x, np.argsort(x, axis=1), axis=1) @ w


def rows_by_take(dout, x, w):
    order = np.argsort(x, axis=1)
    back = np.argsort(order, axis=1)
    return {
        "x": np.take_along_axis(dout[:, None] * w, back, axis=1),
        "w": np.take_along_axis(x, order, axis=1).T @ dout,
    }


def rows_by_put(dout, x, w):
    order, dx = np.argsort(x, axis=1), np.zeros_like(x)
    np.put_along_axis(dx, order, dout[:, None] * w, axis=1)
    return {"x": dx, "w": np.sort(x, axis=1).T @ dout}


def rows_forwards(dout, x, w):
    order = np.argsort(x, axis=1)
    return {
        "x": np.take_along_axis(dout[:, None] * w, order, axis=1),
        "w": np.take_along_axis(x, order, axis=1).T @ dout,
    }


def largest(x):
    return np.take_along_axis(x, np.argmax(x, axis=1)[:, None], axis=1)[:, 0]


def to_largest(dout, x):
    dx = np.zeros_like(x)
    np.put_along_axis(dx, np.argmax(x, axis=1)[:, None], dout[:, None], axis=1)
    return {"x": dx}


def to_smallest(dout, x):
    dx = np.zeros_like(x)
    np.put_along_axis(dx, np.argmin(x, axis=1)[:, None], dout[:, None], axis=1)
    return {"x": dx}


def row_max(x):
    return x.max(axis=1)


def by_argmax(dout, x):
    dx = np.zeros_like(x)
    dx[np.arange(len(x)), x.argmax(axis=1)] = dout
    return {"x": dx}


def by_argmin(dout, x):
    dx = np.zeros_like(x)
    dx[np.arange(len(x)), x.argmin(axis=1)] = dout
    return {"x": dx}


def chosen_square(x, y):
    return (y[np.arange(len(x)), x.argmax(axis=1)] ** 2).sum()


def chosen_by_mask(x, y):
    return {"x": np.zeros_like(x), "y": 2 * y * (x == x.max(axis=1, keepdims=True))}


def chosen_by_other_mask(x, y):
    return {"x": np.zeros_like(x), "y": 2 * y * (y == y.max(axis=1, keepdims=True))}


VECTOR, ROWS = {"x": ("N",), "w": ("N",)}, {"x": ("N", "D"), "w": ("D",)}
CASES = {
    "sort, assigned back": (by_sort, unsorted_by_assignment, VECTOR, "PROVED"),
    "sort, read back by rank": (by_sort, unsorted_by_rank, VECTOR, "PROVED"),
    "index, assigned back": (by_index, unsorted_by_assignment, VECTOR, "PROVED"),
    "sorted again": (by_sort, sorted_again, VECTOR, "REFUTED"),
    "not moved": (by_index, not_moved, VECTOR, "REFUTED"),
    "rows, take": (rows, rows_by_take, ROWS, "PROVED"),
    "rows, put": (rows, rows_by_put, ROWS, "PROVED"),
    "rows, forwards": (rows, rows_forwards, ROWS, "REFUTED"),
    "largest": (largest, to_largest, {"x": ("N", "C")}, "PROVED"),
    "maximum, by argmax": (row_max, by_argmax, {"x": ("N", "C")}, "PROVED"),
    "maximum, by argmin": (row_max, by_argmin, {"x": ("N", "C")}, "REFUTED"),
    "chosen, by mask": (chosen_square, chosen_by_mask, {"x": ("N", "C"), "y": ("N", "C")}, "PROVED"),
    "chosen, by another mask": (chosen_square, chosen_by_other_mask, {"x": ("N", "C"), "y": ("N", "C")}, "REFUTED"),
    "smallest": (largest, to_smallest, {"x": ("N", "C")}, "REFUTED"),
}


@pytest.mark.parametrize("name", CASES)
def test_sorting_layer(name):
    forward, backward, shapes, expected = CASES[name]
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == expected, str(verdict)
    assert expected == "REFUTED" or verdict.scope == "all sizes"


def test_one_place_of_a_maximum_is_right_where_there_are_no_ties():
    verdict = sb.check(row_max, by_argmax, shapes={"x": ("N", "C")})
    assert any("no ties" in condition for condition in verdict.conditions)


def changed_order(x):
    order = np.argsort(x)
    order[0] = 0
    return x[order]


def shifted_order(x):
    return x[np.argsort(x)[::-1]]


def moved_into(x):
    out = x * 0
    out[np.argsort(x)] += x
    return out


def read_by_rank(x):
    return x[np.argsort(np.argsort(x))]


@pytest.mark.parametrize("function", [changed_order, shifted_order, moved_into, read_by_rank])
def test_orders_mean_what_numpy_means(function):
    """What is known of an argsort is forgotten when it is written to, and does not pass to a view of it."""
    x = np.array([0.5, -2.0, 3.0, 1.25])
    program = trace(function, {"x": (4,)})
    np.testing.assert_allclose(evaluate(program, {}, {"x": x})[program.outputs[0].name], function(x))


def test_kernel_asks_for_an_integer_that_does_change():
    """A tensor is called an integer; the kernel looks at its equation, not at the name."""
    n = Symbol("N", "size")
    i = Index("i", n)
    x, k, out = Tensor("x", (n,)), Tensor("k", (n,), "integer"), Tensor("out", (n,))
    lie = Program(
        (x,), (Equation(k, (i,), Entry(x, (i,))), Equation(out, (i,), multiply(Entry(k, (i,)), Entry(x, (i,))))), (out,)
    )
    program, _ = with_cost(lie, (Tensor("dout", (n,)),))
    gradient = differentiate(program, name=lambda t: f"{t.name}_bar")
    kernel = Kernel(program)
    with pytest.raises(ProofError):
        for derivation in gradient.derivations.values():
            kernel.replay(derivation)


def best_two(s):
    best = np.argsort(s, axis=1)[:, -2:]
    return (np.take_along_axis(s, best, axis=1) ** 2).sum(axis=1)


def to_best_two(dout, s):
    best, d = np.argsort(s, axis=1)[:, -2:], np.zeros_like(s)
    np.put_along_axis(d, best, 2 * np.take_along_axis(s, best, axis=1) * dout[:, None], axis=1)
    return {"s": d}


def to_best_two_exchanged(dout, s):
    best, d = np.argsort(s, axis=1)[:, -2:], np.zeros_like(s)
    np.put_along_axis(d, best[:, ::-1], 2 * np.take_along_axis(s, best, axis=1) * dout[:, None], axis=1)
    return {"s": d}


def best_of_scores(x, w, k):
    scores = x @ w
    best = np.argsort(-scores, axis=1)[:, : k.shape[0]]
    return np.take_along_axis(scores, best, axis=1) * k


def to_best_of_scores(dout, x, w, k):
    scores = x @ w
    best, d = np.argsort(-scores, axis=1)[:, : k.shape[0]], np.zeros_like(scores)
    np.put_along_axis(d, best, dout * k, axis=1)
    return {"x": d @ w.T, "w": x.T @ d, "k": (dout * np.take_along_axis(scores, best, axis=1)).sum(axis=0)}


def two_columns(s, w):
    return s[:, [0, 1]] * w


def to_two_columns(dout, s, w):
    d = np.zeros_like(s)
    np.put_along_axis(d, np.array([[0, 1]]), dout * w, axis=1)
    return {"s": d, "w": dout * s[:, [0, 1]]}


@pytest.mark.parametrize(
    ("forward", "backward", "shapes", "where", "wrong"),
    [
        (best_two, to_best_two, {"s": ("T", "E")}, "E >= 2", ()),
        (best_two, to_best_two_exchanged, {"s": ("T", "E")}, "E >= 2", ("s",)),
        (best_of_scores, to_best_of_scores, {"x": ("T", "D"), "w": ("D", "E"), "k": ("K",)}, "K <= E", ()),
        (two_columns, to_two_columns, {"s": ("T", "E"), "w": ("T", 2)}, "E >= 2", ()),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_check_follows_the_largest_few(forward, backward, shapes, where, wrong):
    verdict = sb.check(forward, backward, shapes=shapes, where=where)
    assert verdict.status == ("REFUTED" if wrong else "PROVED")
    assert verdict.wrong == wrong


def contrastive(z, t=0.5):
    n = z.shape[0] // 2
    s = z @ z.T / t
    np.fill_diagonal(s, -np.inf)
    pair = np.concatenate([np.arange(n, 2 * n), np.arange(n)])
    return (np.log(np.exp(s).sum(axis=1)) - s[np.arange(2 * n), pair]).mean()


def contrastive_backward(z, t=0.5):
    n = z.shape[0] // 2
    s = z @ z.T / t
    np.fill_diagonal(s, -np.inf)
    pair = np.concatenate([np.arange(n, 2 * n), np.arange(n)])
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    p[np.arange(2 * n), pair] -= 1
    return {"z": (p + p.T) @ z / (2 * n * t)}


def contrastive_one_sided(z, t=0.5):
    n = z.shape[0] // 2
    s = z @ z.T / t
    np.fill_diagonal(s, -np.inf)
    pair = np.concatenate([np.arange(n, 2 * n), np.arange(n)])
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    p[np.arange(2 * n), pair] -= 1
    return {"z": 2 * p @ z / (2 * n * t)}


def test_check_reads_beside_a_masked_diagonal():
    assert sb.check(contrastive, contrastive_backward, shapes={"z": ("2*B", "D")}).for_all_sizes
    assert sb.check(contrastive, contrastive_one_sided, shapes={"z": ("2*B", "D")}).wrong == ("z",)
