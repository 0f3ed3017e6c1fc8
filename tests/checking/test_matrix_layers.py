"""Backward passes through inverses, determinants and Cholesky factors, right and wrong, for all sizes."""

import numpy as np
import pytest

import symbackprop as sb

SQUARE = {"A": ("N", "N")}
REGRESSION = {"X": ("N", "D"), "y": ("N",)}
GAUSSIAN = {"x": ("N", "D"), "mean": ("D",), "cov": ("D", "D")}


def inverse(A):
    return np.linalg.inv(A)


def inverse_backward(dout, A):
    B = np.linalg.inv(A)
    return {"A": -B.T @ dout @ B.T}


def inverse_transposes_forgotten(dout, A):
    B = np.linalg.inv(A)
    return {"A": -B @ dout @ B}


def log_determinant(A):
    return np.linalg.slogdet(A)[1]


def log_determinant_backward(A):
    return {"A": np.linalg.inv(A).T}


def log_determinant_not_transposed(A):
    return {"A": np.linalg.inv(A)}


def least_squares(X, y):
    weights = np.linalg.solve(X.T @ X, X.T @ y)
    return 0.5 * np.sum((y - X @ weights) ** 2)


def least_squares_backward(X, y):
    weights = np.linalg.inv(X.T @ X) @ X.T @ y
    rest = y - X @ weights
    return {"X": -np.outer(rest, weights), "y": rest}


def least_squares_sign(X, y):
    weights = np.linalg.inv(X.T @ X) @ X.T @ y
    rest = y - X @ weights
    return {"X": np.outer(rest, weights), "y": rest}


def gaussian_process(X, y, noise):
    K = X @ X.T + noise * np.eye(len(y))
    L = np.linalg.cholesky(K)
    alpha = np.linalg.solve(L.T, np.linalg.solve(L, y))
    return 0.5 * y @ alpha + np.sum(np.log(np.diag(L)))


def gaussian_process_backward(X, y, noise):
    inverse_of_K = np.linalg.inv(X @ X.T + noise * np.eye(len(y)))
    alpha = inverse_of_K @ y
    inner = inverse_of_K - np.outer(alpha, alpha)
    return {"X": inner @ X, "y": alpha, "noise": 0.5 * np.trace(inner)}


def gaussian_process_trace_forgotten(X, y, noise):
    inverse_of_K = np.linalg.inv(X @ X.T + noise * np.eye(len(y)))
    alpha = inverse_of_K @ y
    inner = inverse_of_K - np.outer(alpha, alpha)
    return {"X": inner @ X, "y": alpha, "noise": -0.5 * alpha @ alpha}


def gaussian(x, mean, cov):
    away = x - mean
    return -0.5 * np.sum(away @ np.linalg.inv(cov) * away) - 0.5 * len(x) * np.linalg.slogdet(cov)[1]


def gaussian_backward(x, mean, cov):
    precision = np.linalg.inv(cov)
    solved = (x - mean) @ precision
    return {"x": -solved, "mean": solved.sum(0), "cov": 0.5 * solved.T @ solved - 0.5 * len(x) * precision}


def gaussian_count_forgotten(x, mean, cov):
    precision = np.linalg.inv(cov)
    solved = (x - mean) @ precision
    return {"x": -solved, "mean": solved.sum(0), "cov": 0.5 * solved.T @ solved - 0.5 * precision}


def by_independent_entries(A):
    G = np.linalg.inv(A)
    return {"A": 2 * G - np.diag(np.diag(G))}


def one_triangle(x, P):
    return {"x": P @ x, "P": 0.5 * np.outer(x, x)}


def quadratic(x, P):
    return 0.5 * x @ P @ x


def stacked(A, b):
    return np.linalg.solve(A, b)


def stacked_backward(dout, A, b):
    x = np.linalg.solve(A, b)
    db = np.linalg.solve(np.swapaxes(A, -1, -2), dout)
    return {"A": -db @ np.swapaxes(x, -1, -2), "b": db}


NOISE, DEFINITE = {"noise": "pos"}, {"cov": "spd"}
PROCESS = {**REGRESSION, "noise": ()}
STACK = {"A": ("B", "N", "N"), "b": ("B", "N", "M")}
RIGHT = [
    (inverse, inverse_backward, SQUARE, None),
    (log_determinant, log_determinant_backward, SQUARE, None),
    (log_determinant, log_determinant_not_transposed, SQUARE, {"A": "symmetric"}),
    (least_squares, least_squares_backward, REGRESSION, None),
    (gaussian_process, gaussian_process_backward, PROCESS, NOISE),
    (gaussian, gaussian_backward, GAUSSIAN, DEFINITE),
    (quadratic, one_triangle, {"x": ("N",), "P": ("N", "N")}, {"P": "symmetric"}),
    (stacked, stacked_backward, STACK, None),
]
WRONG = [
    (inverse, inverse_transposes_forgotten, SQUARE, None, ["A"], "two indices of A are swapped"),
    (log_determinant, log_determinant_not_transposed, SQUARE, None, ["A"], "two indices of A are swapped"),
    (least_squares, least_squares_sign, REGRESSION, None, ["X"], "sign"),
    (gaussian_process, gaussian_process_trace_forgotten, PROCESS, NOISE, ["noise"], ""),
    (gaussian, gaussian_backward, GAUSSIAN, None, ["x", "mean", "cov"], ""),
    (gaussian, gaussian_count_forgotten, GAUSSIAN, DEFINITE, ["cov"], "N"),
    (log_determinant, by_independent_entries, SQUARE, {"A": "symmetric"}, ["A"], "independent entries"),
]


@pytest.mark.parametrize(("forward", "backward", "shapes", "assume"), RIGHT)
def test_right_ones_are_proved_for_all_sizes(forward, backward, shapes, assume):
    verdict = sb.check(forward, backward, shapes=shapes, assume=assume)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), verdict
    told = " ".join(verdict.conditions)
    assert ("judged by its symmetric part" in told) == (assume is not None and "noise" not in assume)


@pytest.mark.parametrize(("forward", "backward", "shapes", "assume", "names", "words"), WRONG)
def test_wrong_ones_are_refuted(forward, backward, shapes, assume, names, words):
    verdict = sb.check(forward, backward, shapes=shapes, assume=assume)
    assert (verdict.status, sorted(verdict.wrong)) == ("REFUTED", sorted(names)), verdict
    assert words in verdict.diagnosis
    for name in (assume or {}).keys() & verdict.counterexample.inputs.keys() - {"noise"}:
        matrix = verdict.counterexample.inputs[name]
        assert np.array_equal(matrix, matrix.T)


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [(("N", "M"), "symmetric", "not of one size"), (("N",), "spd", "not of one size"), (("N", "N"), "sdp", "did you")],
)
def test_a_symmetric_input_is_square(shape, kind, message):
    verdict = sb.check(lambda A: A.sum(), lambda A: {"A": np.ones_like(A)}, shapes={"A": shape}, assume={"A": kind})
    assert verdict.status == "MALFORMED"
    assert message in str(verdict)
