"""Wrong values on the thresholds of a claim, where the forward pass is smooth: found where NumPy has them."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking.threshold_points import thresholds
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Entry,
    Extremum,
    Index,
    Symbol,
    Tensor,
    subtract,
    where,
)
from symbackprop.expression.program import Equation, Program

ROW = {"x": ("N",)}


def exception(where):
    return lambda dout, x: {"x": np.where(where(dout, x), 5, 2 * x) * dout}


@pytest.mark.parametrize(
    "number", [np.pi, np.e, np.log(2), np.sqrt(2), 2 * np.pi, np.sqrt(2 / np.pi), np.pi / 180, 0.1]
)
def test_check_finds_the_float64_that_a_claim_compares_with(number):
    verdict = sb.check(lambda x: x**2, exception(lambda dout, x: x == number), shapes=ROW)
    assert verdict.status == "REFUTED"
    shown = verdict.counterexample.inputs["x"]
    assert float(number) in np.asarray(shown, dtype=float), "NumPy takes the branch at this point"


@pytest.mark.parametrize(
    "where",
    [
        lambda dout, x: x * x == 2.25,
        lambda dout, x: x**3 == 8,
        lambda dout, x: x.sum() == 17.5,
        lambda dout, x: dout == 0.3,
        lambda dout, x: dout * x == 6.25,
        lambda dout, x: dout.sum() > 1000,
    ],
)
def test_check_finds_points_on_curved_thresholds_and_in_the_upstream_gradient(where):
    assert sb.check(lambda x: x**2, exception(where), shapes=ROW).status == "REFUTED"


@pytest.mark.parametrize("bound", [50.0, 100.0])
def test_check_refutes_a_gradient_that_is_clipped(bound):
    verdict = sb.check(lambda x: 2 * x, lambda dout, x: {"x": 2 * np.clip(dout, -bound, bound)}, shapes=ROW)
    assert verdict.status == "REFUTED"


def test_check_proves_a_forward_with_an_exception_at_pi():
    verdict = sb.check(lambda x: np.where(x == np.pi, 1.0, 3 * x), lambda dout, x: {"x": 3 * dout}, shapes=ROW)
    assert verdict.status == "PROVED"


@pytest.mark.parametrize(
    "exclusive", [lambda x: (x > 0) ^ (x > 1), lambda x: (x > 0) != (x > 1), lambda x: ~((x > 0) == (x > 1))]
)
def test_check_reads_exclusive_conditions(exclusive):
    right = sb.check(lambda x: x * exclusive(x), lambda dout, x: {"x": dout * ((x > 0) & (x <= 1))}, shapes=ROW)
    wrong = sb.check(lambda x: x * exclusive(x), lambda dout, x: {"x": dout * ((x > 0) & (x <= 2))}, shapes=ROW)
    assert (right.status, wrong.status) == ("PROVED", "REFUTED")


def test_only_what_jumps_is_looked_at_on_thresholds():
    n, k, j = Symbol("n", "size"), Index("k", Symbol("n", "size")), Index("j", Symbol("n", "size"))
    x, out = Tensor("x", (n,)), Tensor("out", (n,))
    largest = Extremum("max", j, Entry(x, (j,)))
    shifted = Equation(out, (k,), subtract(Entry(x, (k,)), largest))
    masked = Equation(out, (k,), where(Compare("==", Entry(x, (k,)), largest), ONE, ZERO))
    for equation, jumps in ((shifted, False), (masked, True)):
        found = thresholds(Program((x,), (equation,), (out,)), claimed=True)
        assert found and any(site.jumps for site in found) is jumps


def softmax_of(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_squared(x):
    return (softmax_of(x) ** 2).sum()


def its_slope(x):
    p = softmax_of(x)
    return p * (2 * p - (2 * p * p).sum(axis=1, keepdims=True))


def its_slope_shared_among_ties(x):
    ties = (x == x.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)
    return {"x": its_slope(x) / ties}


def test_a_claim_that_counts_ties_is_wrong_at_ties_where_the_forward_pass_is_smooth():
    verdict = sb.check(softmax_squared, its_slope_shared_among_ties, shapes={"x": ("N", "D")})
    assert verdict.status == "REFUTED"
    x = verdict.counterexample.inputs["x"]
    assert ((x == x.max(axis=1, keepdims=True)).sum(axis=1) > 1).any()
    assert sb.check(softmax_squared, lambda x: {"x": its_slope(x)}, shapes={"x": ("N", "D")}).status == "PROVED"


def test_whoever_asks_for_equality_with_a_maximum_makes_a_branch():
    n = Symbol("n", "size")
    k, j = Index("k", n), Index("j", n)
    x, largest_of, out = Tensor("x", (n,)), Tensor("y", (n,)), Tensor("out", (n,))
    largest = Extremum("max", j, Entry(x, (j,)))
    asked = where(Compare("==", Entry(x, (j,)), largest), ONE, ZERO)
    lines = (Equation(largest_of, (k,), largest), Equation(out, (j,), asked))
    sites = [s for s in thresholds(Program((x,), lines, (out,)), claimed=True) if s.jumps]
    assert sites and all(site.of_branch and site.of_equality for site in sites)
