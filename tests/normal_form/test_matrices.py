"""Inverses, determinants and Cholesky factors: the node, its numbers, its derivative, and what is known of it."""

from fractions import Fraction
from random import Random

import numpy as np
import pytest

from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.reverse_mode import differentiate, with_cost
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.exact import evaluate, evaluate_expression
from symbackprop.evaluation.number_types import EXACT, FLOAT, TooCloseError, ball
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Entry,
    Index,
    Sum,
    Symbol,
    SymmetricTensor,
    Tensor,
    add,
    apply,
    contraction,
    kronecker,
    matrix_entry,
    multiply,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import LOG
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.sizes import Facts
from symbackprop.normal_form import data
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.text import to_text

N, M = Symbol("N", "size"), Symbol("M", "size")
A, B, X, LAM = Tensor("A", (N, N)), Tensor("B", (N, N)), Tensor("X", (N, M)), Tensor("lam")
C, W = Tensor("C", (N, N, N)), Tensor("w", (N,))
S = SymmetricTensor("S", (N, N))
P, J, K = Index("i", N), Index("j", N), Index("k", N)


def entry(tensor):
    return lambda r, c: Entry(tensor, (r, c))


def gram(r, c):
    return add(
        contraction("m", M, lambda m: multiply(Entry(X, (r, m)), Entry(X, (c, m)))),
        multiply(Entry(LAM), kronecker(r, c)),
    )


def inverse(of, i, j):
    return matrix_entry("inverse", N, of, (i, j))


def factor(of, i, j):
    return matrix_entry("cholesky", N, of, (i, j))


def factor_inverse(of, i, j):
    return matrix_entry("inverse", N, lambda r, c: factor(of, r, c), (i, j))


def summed(body):
    return contraction("k", N, body)


IDENTITIES = {
    "inverse from the right": (summed(lambda k: multiply(Entry(A, (P, k)), inverse(entry(A), k, J))), kronecker(P, J)),
    "inverse from the left": (summed(lambda k: multiply(inverse(entry(A), P, k), Entry(A, (k, J)))), kronecker(P, J)),
    "inverse of a sum": (summed(lambda k: multiply(gram(P, k), inverse(gram, k, J))), kronecker(P, J)),
    "inverse of a transpose": (inverse(lambda r, c: Entry(A, (c, r)), P, J), inverse(entry(A), J, P)),
    "inverse of an inverse": (inverse(lambda r, c: inverse(entry(A), r, c), P, J), Entry(A, (P, J))),
    "inverse of a symmetric sum": (inverse(gram, P, J), inverse(gram, J, P)),
    "inverse of a symmetric input": (inverse(entry(S), P, J), inverse(entry(S), J, P)),
    "inverse of a multiple": (
        inverse(lambda r, c: multiply(number(4), Entry(LAM), Entry(A, (r, c))), P, J),
        multiply(number(Fraction(1, 4)), power(Entry(LAM), -1), inverse(entry(A), P, J)),
    ),
    "inverse of a diagonal": (
        inverse(lambda r, c: multiply(kronecker(r, c), Entry(A, (r, r))), P, J),
        multiply(kronecker(P, J), power(Entry(A, (P, P)), -1)),
    ),
    "resolvent": (  # inv(A) - inv(A + lam) = lam inv(A) inv(A + lam), a step beyond what one rule says
        summed(lambda k: multiply(inverse(gram, P, k), subtract(gram(k, J), multiply(Entry(LAM), kronecker(k, J))))),
        subtract(kronecker(P, J), multiply(Entry(LAM), inverse(gram, P, J))),
    ),
    "square of a factor": (summed(lambda k: multiply(factor(gram, P, k), factor(gram, J, k))), gram(P, J)),
    "square of its inverse": (
        summed(lambda k: multiply(factor_inverse(gram, k, P), factor_inverse(gram, k, J))),
        inverse(gram, P, J),
    ),
    "factor solved": (summed(lambda k: multiply(factor_inverse(gram, P, k), factor(gram, k, J))), kronecker(P, J)),
    "inverse times factor": (
        summed(lambda k: multiply(inverse(gram, P, k), factor(gram, k, J))),
        factor_inverse(gram, J, P),
    ),
    "factor is lower": (multiply(where(Compare("<", P, J), ONE, ZERO), factor(gram, P, J)), ZERO),
    "gate beside a factor": (multiply(where(Compare("<=", J, P), ONE, ZERO), factor(gram, P, J)), factor(gram, P, J)),
    "gate through a factor": (
        multiply(where(Compare("<=", K, J), ONE, ZERO), where(Compare("<=", K, P), ONE, ZERO), factor(gram, P, J)),
        multiply(where(Compare("<=", K, J), ONE, ZERO), factor(gram, P, J)),
    ),
    "logarithms of a factor": (
        summed(lambda k: apply(LOG, factor(gram, k, k))),
        multiply(number(Fraction(1, 2)), matrix_entry("logdet", N, gram)),
    ),
    "logarithm of a determinant": (
        apply(LOG, multiply(number(1), matrix_entry("determinant", N, gram))),
        matrix_entry("logdet", N, gram),
    ),
    "determinant of a transpose": (
        matrix_entry("determinant", N, lambda r, c: Entry(A, (c, r))),
        matrix_entry("determinant", N, entry(A)),
    ),
    "half of a symmetric sum": (
        contraction("p", N, lambda p: summed(lambda k: multiply(
            where(Compare("<=", p, k), ONE, ZERO), inverse(gram, k, p)))),
        multiply(number(Fraction(1, 2)), add(
            contraction("p", N, lambda p: summed(lambda k: inverse(gram, k, p))),
            summed(lambda k: inverse(gram, k, k)))),
    ),
}  # fmt: skip
DIFFERENT = {
    "inverse of another matrix": (inverse(entry(A), P, J), inverse(entry(B), P, J)),
    "inverse transposed": (inverse(entry(A), P, J), inverse(entry(A), J, P)),
    "contracted at the wrong place": (
        summed(lambda k: multiply(inverse(entry(A), P, k), Entry(A, (J, k)))),
        kronecker(P, J),
    ),
    "factor squared the other way": (
        summed(lambda k: multiply(factor(gram, k, P), factor(gram, k, J))),
        gram(P, J),
    ),
    "another matrix in each term": (
        summed(lambda k: multiply(inverse(lambda r, c: Entry(C, (k, r, c)), P, k), Entry(C, (k, k, J)))),
        kronecker(P, J),
    ),
    "diagonal of a factor": (factor(gram, P, P), ZERO),
    "logarithm of another factor in each term": (
        summed(lambda k: apply(LOG, factor(lambda r, c: multiply(Entry(W, (k,)), gram(r, c)), k, k))),
        contraction("p", N, lambda p: multiply(number(Fraction(1, 2)), matrix_entry(
            "logdet", N, lambda r, c: multiply(Entry(W, (p,)), gram(r, c))))),
    ),
    "sign of a multiple": (inverse(lambda r, c: multiply(number(-1), Entry(A, (r, c))), P, J), inverse(entry(A), P, J)),
    "half of a sum that is not symmetric": (
        contraction("p", N, lambda p: summed(lambda k: multiply(
            where(Compare("<=", p, k), ONE, ZERO), inverse(entry(A), k, p)))),
        multiply(number(Fraction(1, 2)), add(
            contraction("p", N, lambda p: summed(lambda k: inverse(entry(A), k, p))),
            summed(lambda k: inverse(entry(A), k, k)))),
    ),
}  # fmt: skip


def values(seed, size=3):
    rng = np.random.default_rng(seed)
    half = rng.integers(-8, 9, (size, size)) / 8
    return {
        A: rng.integers(-8, 9, (size, size)) / 8 + 2 * np.eye(size),
        B: rng.integers(-8, 9, (size, size)) / 8 + 2 * np.eye(size),
        X: rng.integers(-8, 9, (size, 2)) / 8,
        LAM: np.asarray(0.5),
        S: half + half.T + 4 * np.eye(size),
        C: rng.integers(-8, 9, (size, size, size)) / 8 + 2 * np.eye(size),
        W: rng.integers(1, 9, size) / 4,
    }


def numbers(expr, seed):
    return evaluate_expression(expr, (P, J, K), {"N": 3, "M": 2}, values(seed))


@pytest.mark.parametrize("name", IDENTITIES)
def test_what_is_known_of_matrices_is_found_and_true(name):
    left, right = IDENTITIES[name]
    assert Canonical(assumptions={LAM: "pos"}).equal(left, right)
    for seed in range(3):
        np.testing.assert_allclose(numbers(left, seed), numbers(right, seed), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_differs_is_not_found_equal(name):
    left, right = DIFFERENT[name]
    assert not Canonical(assumptions={LAM: "pos"}).equal(left, right)
    assert any(not np.allclose(numbers(left, seed), numbers(right, seed)) for seed in range(3))


@pytest.mark.parametrize("kind", ["inverse", "cholesky", "determinant"])
def test_a_matrix_of_a_few_rows_is_written_out(kind):
    two = number(2)
    matrix = Tensor("A", (two, two))
    first, second = Index("i", two), Index("j", two)
    places = (first, second) if kind in ("inverse", "cholesky") else ()
    whole = matrix_entry(kind, two, lambda r, c: Entry(matrix, (r, c)), places)
    at = [[Entry(matrix, (number(i), number(j))) for j in range(2)] for i in range(2)]
    determinant = subtract(multiply(at[0][0], at[1][1]), multiply(at[0][1], at[1][0]))
    asked = {
        "determinant": (whole, determinant),
        "inverse": (multiply(kronecker(first, ZERO), kronecker(second, ONE), whole, determinant),
                    multiply(kronecker(first, ZERO), kronecker(second, ONE), number(-1), at[0][1])),
        "cholesky": (multiply(kronecker(first, ZERO), kronecker(second, ONE), whole), ZERO),
    }  # fmt: skip
    assert Canonical(expanded=2).equal(*asked[kind])


ENTRIES = {
    "inverse": (lambda a: np.linalg.inv(a), entry(A)),
    "cholesky": (lambda a: np.linalg.cholesky(a @ a.T), None),
    "determinant": (lambda a: np.linalg.det(a), entry(A)),
    "logdet": (lambda a: np.linalg.slogdet(a)[1], entry(A)),
}


def square(r, c):
    return contraction("k", N, lambda k: multiply(Entry(A, (r, k)), Entry(A, (c, k))))


@pytest.mark.parametrize("kind", ENTRIES)
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("field", [FLOAT, ball()], ids=["float", "ball"])
def test_numbers_are_those_of_numpy(kind, size, field):
    function, of = ENTRIES[kind]
    given = np.random.default_rng(size).standard_normal((size, size)) + 2 * np.eye(size)
    places = (P, J) if kind in ("inverse", "cholesky") else ()
    found = evaluate_expression(
        matrix_entry(kind, N, of or square, places), places, {"N": size}, {A: given}, field=field
    )
    np.testing.assert_allclose(np.vectorize(float)(found), function(given), rtol=1e-9, atol=1e-12)
    point = Point({N: size}, {A: given})
    array = Vectors(point).over(matrix_entry(kind, N, of or square, places), places)
    np.testing.assert_allclose(array, function(given), rtol=1e-9, atol=1e-12)


def test_numbers_are_exact_where_they_can_be():
    found = evaluate_expression(inverse(entry(A), P, J), (P, J), {"N": 2}, {A: [[2, 1], [1, 1]]}, field=EXACT)
    assert found.tolist() == [[1, -1], [-1, 2]]


def test_a_determinant_that_is_rounding_alone_is_none():
    singular = np.outer([0.1, 0.3, 0.7], [0.1, 0.2, 0.9])
    with pytest.raises(TooCloseError, match="singular"):
        evaluate_expression(inverse(entry(A), P, J), (P, J), {"N": 3}, {A: singular})


@pytest.mark.parametrize("kind", ENTRIES)
def test_derivatives_are_replayed_and_those_of_differences(kind):
    of = ENTRIES[kind][1] or square
    places = (P, J) if kind in ("inverse", "cholesky") else ()
    out = Tensor("out", (N, N) if places else ())
    program = Program((A,), (Equation(out, places, matrix_entry(kind, N, of, places)),), (out,))
    whole, upstream = with_cost(program)
    gradient = differentiate(whole)
    kernel = Kernel(whole)
    for derivation in gradient.derivations.values():
        kernel.replay(derivation)
    rng = np.random.default_rng(1)
    a = rng.standard_normal((3, 3)) + 2 * np.eye(3)
    given = {"A": a, **{t.name: rng.standard_normal((3, 3)) for t in upstream}}
    found = evaluate(gradient.adjoint, {"N": 3}, given)[gradient.cotangents[A].name]
    function = ENTRIES[kind][0]

    def cost(at):
        return np.sum(given[upstream[0].name] * function(at)) if upstream else function(at)

    step = 1e-6
    for place in np.ndindex(3, 3):
        move = np.zeros((3, 3))
        move[place] = step
        slope = (cost(a + move) - cost(a - move)) / (2 * step)
        assert abs(found[place] - slope) < 1e-6 * max(1, abs(slope))


def test_matrices_are_shown():
    assert to_text(inverse(entry(A), P, J)) == "inv(A)[i,j]"
    assert to_text(matrix_entry("logdet", N, entry(A))) == "logdet(A)"
    assert to_text(inverse(lambda r, c: Entry(A, (c, r)), P, J)) == "inv(A.T)[i,j]"
    assert to_text(factor_inverse(entry(A), P, J)) == "inv(cholesky(A))[i,j]"
    assert to_text(inverse(lambda r, c: multiply(number(2), Entry(A, (c, r))), P, J)) == "inv(r, c, 2*A[c,r])[i,j]"
    assert layout_of(inverse(gram, P, J)) is not None


@pytest.mark.parametrize("seed", range(6))
def test_normal_form_of_symmetric_entries_does_not_depend_on_what_was_made_before(seed, monkeypatch):
    """Atoms are put in order by the numbers that they got when they were made: here these are random."""
    random = Random(seed)
    monkeypatch.setattr(data, "_counter", iter(lambda: random.getrandbits(60), None))
    size = Symbol(f"N{seed}", "size")  # what has it is new
    x, symmetric = Tensor("X", (M, size)), SymmetricTensor("S", (size, size))
    p, q, b, c = (Index(name, size, uid) for name, uid in (("p", 0), ("q", 0), ("b", 9002), ("c", 9003)))
    m = Index("m", M, 9001)

    def product(turned, first, second):
        one = Entry(symmetric, (first, p) if turned else (p, first))
        other = Entry(symmetric, (second, q) if turned else (q, second))
        body = multiply(one, other, Entry(x, (m, first)), Entry(x, (m, second)), where(Compare("<=", p, q), ONE, ZERO))
        return Sum(b, Sum(c, Sum(m, body)))

    canonical = Canonical(Facts())
    forms = {canonical.normal(product(turned, *names)) for turned in (False, True) for names in ((b, c), (c, b))}
    assert len(forms) == 1
