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


def normal_density(x, cov):
    return -0.5 * (np.linalg.slogdet(cov)[1] + x @ np.linalg.solve(cov, x))


def density_slopes(sign, scale=1.0):
    def backward(dout, x, cov):
        inverse = np.linalg.inv(cov)
        solved = inverse @ x
        return {"x": -scale * dout * solved, "cov": sign * 0.5 * dout * (np.outer(solved, solved) - inverse)}

    return backward


MOMENTS = {"x": ("D",), "cov": ("D", "D")}


def test_what_holds_for_symmetric_matrices_alone_is_asked_back():
    """At a matrix that is not symmetric the derivative by x is another one, which nobody means who writes a density."""
    verdict = sb.check(normal_density, density_slopes(1), shapes=MOMENTS)
    assert verdict.status == "UNDECIDED"
    assert "assume={'cov': 'symmetric'}" in verdict.reason
    assert sb.check(normal_density, density_slopes(1), shapes=MOMENTS, assume={"cov": "spd"}).status == "PROVED"


def test_what_is_wrong_for_symmetric_matrices_is_refuted_at_one():
    verdict = sb.check(normal_density, density_slopes(-1), shapes=MOMENTS)
    assert (verdict.status, tuple(verdict.wrong)) == ("REFUTED", ("cov",))
    cov = verdict.counterexample.inputs["cov"]
    assert np.array_equal(cov, cov.T)


def test_a_transpose_that_is_forgotten_is_refuted_where_the_forward_tells_matrices_from_their_transposes():
    verdict = sb.check(
        lambda a, b: np.linalg.solve(a, b),
        lambda dout, a, b: {"b": np.linalg.solve(a, dout)},
        shapes={"a": ("D", "D"), "b": ("D", "M")},
    )
    assert verdict.status == "REFUTED"


def fitted(A, b):
    return np.linalg.lstsq(A, b, rcond=None)[0]


def fitted_slopes(residuals):
    def backward(dout, A, b):
        turned = np.linalg.pinv(A)
        w = turned @ b
        own = np.outer(b - A @ w, np.linalg.inv(A.T @ A) @ dout) if residuals else 0
        return {"b": turned.T @ dout, "A": own - np.outer(turned.T @ dout, w)}

    return backward


FIT = {"shapes": {"A": ("N", "D"), "b": ("N",)}, "where": "N >= D"}


def test_least_squares_are_those_of_matrices_of_full_rank():
    verdict = sb.check(fitted, fitted_slopes(True), **FIT)
    assert verdict.for_all_sizes
    assert "a matrix whose pseudo-inverse is taken has full rank" in verdict.conditions
    assert tuple(sb.check(fitted, fitted_slopes(False), **FIT).wrong) == ("A",)


def test_eigenvalues_are_refused_with_what_to_do():
    verdict = sb.check(lambda a: np.linalg.eigvalsh(a), lambda dout, a: {"a": a}, shapes={"a": ("D", "D")})
    assert "give them, and the vectors, as inputs" in verdict.reason


def factor(A):
    return np.linalg.cholesky(A)


def factor_backward(dout, A, on_diagonal=0.5):
    L = np.linalg.cholesky(A)
    half = np.tril(L.T @ np.tril(dout))
    half[np.diag_indices(len(half))] *= 0.5
    B = np.linalg.inv(L)
    S = B.T @ half @ B
    S = S + S.T
    return {"A": np.tril(S, -1) + on_diagonal * np.diag(np.diag(S))}


def test_a_factor_is_asked_for_where_the_matrix_is_positive_definite():
    """Random matrices are not, and only the triangle that is read counts."""
    assert sb.check(factor, factor_backward, shapes=SQUARE).status == "PROVED"
    assert sb.check(factor, lambda dout, A: factor_backward(dout, A, 1.0), shapes=SQUARE).wrong == ("A",)
