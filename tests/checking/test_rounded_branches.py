"""Branches that NumPy takes because both sides round to the same float64: a proof about real numbers says nothing there."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking.rounded_branches import RoundedBranches

ROW = {"x": ("N",)}


def backward(where):
    return lambda dout, x: {"x": 2 * x * dout * np.where(where(x), 5, 1)}


@pytest.mark.parametrize(
    "where",
    [
        lambda x: np.exp(-(x**2)) == 0,
        lambda x: np.exp(-x) <= 0,
        lambda x: np.tanh(x) == 1,
        lambda x: np.tanh(x) >= 1,
        lambda x: 1 / (1 + np.exp(-x)) == 1,
        lambda x: x + 1e-9 == x,
    ],
)
def test_check_does_not_prove_what_rounding_decides_otherwise(where):
    values = np.array([1e13, 30.0, -30.0, -1e13])
    assert where(values).any(), "NumPy takes the branch"
    verdict = sb.check(lambda x: x**2, backward(where), shapes=ROW)
    assert verdict.status == "UNDECIDED"
    assert "rounding decides" in verdict.reason


def entropy(x):
    p = np.exp(-(x**2))
    return np.where(p == 0, 0, p * np.log(np.where(p == 0, 1, p)))


def entropy_back(dout, x):
    p = np.exp(-(x**2))
    return {"x": np.where(p == 0, 0, -2 * x * dout * (np.log(np.where(p == 0, 1, p)) + 1) * p)}


@pytest.mark.parametrize(
    "forward, backward",
    [
        (entropy, entropy_back),
        (lambda x: np.maximum(np.tanh(x), 0), lambda dout, x: {"x": dout * (x > 0) * (1 - np.tanh(x) ** 2)}),
        (lambda x: np.abs(np.exp(-x)), lambda dout, x: {"x": -dout * np.exp(-x)}),
    ],
)
def test_check_proves_what_rounding_does_not_change(forward, backward):
    assert sb.check(forward, backward, shapes=ROW).status == "PROVED"


def test_check_does_not_prove_of_a_forward_what_rounding_decides_otherwise():
    def forward(x):
        return np.where(1 / (1 + np.exp(-x)) == 1, 7 * x, x)

    assert forward(np.array([50.0])) == 350
    assert sb.check(forward, lambda dout, x: {"x": dout}, shapes=ROW).status == "UNDECIDED"


@pytest.mark.parametrize(
    "where, value",
    [
        (lambda x: x**2 == 2, None),
        (lambda x: x * 3 == 1, 1 / 3),
        (lambda x: x + 0.1 == 0.3, 0.3 - 0.1),
        (lambda x: np.exp(x) == 2, None),
    ],
    ids=["root", "third", "tenths", "log 2"],
)
def test_check_does_not_prove_what_an_equation_decides_that_no_float_meets_exactly(where, value):
    assert value is None or where(value), "NumPy takes the branch"
    verdict = sb.check(lambda x: x**2, backward(where), shapes=ROW)
    assert verdict.status == "UNDECIDED"
    assert verdict.reason.startswith("rounding decides whether")


@pytest.mark.parametrize(
    "holds",
    [
        lambda x: x.astype(np.float32) == x,
        lambda x: x / 49 * 49 == x,
        lambda x: (x + 0.1) - 0.1 == x,
        lambda x: np.abs(x / 3 * 3 - x / 7 * 7) <= 0,
        lambda x: np.float32(1) * x.astype(np.float32).astype(float) >= x,
        lambda x: np.exp(np.log(np.abs(x))) <= np.abs(x),
    ],
    ids=["float32", "49", "tenth", "difference", "there and back", "exp log"],
)
def test_check_does_not_prove_what_holds_of_numbers_of_few_digits_alone(holds):
    x = np.random.default_rng(0).standard_normal(200)
    assert not holds(x).all(), "NumPy does not take the branch"
    verdict = sb.check(lambda x: x * holds(x), lambda dout, x: {"x": dout}, shapes=ROW)
    assert verdict.status != "PROVED"


def test_what_most_numbers_near_one_meet_is_asked_of_small_ones():
    for c in (0.1, 0.001):

        def meets(x, c=c):
            return (x + c) - c == x

        assert 0.8 < meets(np.random.default_rng(0).standard_normal(200)).mean() < 1
        verdict = sb.check(lambda x: x * meets(x), lambda dout, x: {"x": dout}, shapes=ROW)
        assert verdict.status == "UNDECIDED"
        verdict = sb.check(lambda x: 3 * x, lambda dout, x: {"x": 3 * dout * meets(x)}, shapes=ROW)
        assert verdict.status != "PROVED"


@pytest.mark.parametrize(
    ("forward", "decides"),
    [
        (lambda x, b: np.where(np.arange(len(x)) - 2 < len(x) - 3, x, b), False),
        (lambda x, b: np.where(x + b > 0, x, b), False),
        (lambda x, b: np.where(np.exp(x) > 0, x, b), True),
        (lambda x, b: np.where(x + 1e-9 - b > 0, x, b), True),
    ],
)
def test_rounding_decides_no_comparison_of_places_and_no_sign_of_a_sum_of_two(forward, decides):
    program = sb.trace(forward, {"x": ("N",), "b": ("N",)})
    assert bool(RoundedBranches(program).sides) is decides


def test_the_sign_of_a_sum_of_two_is_right_in_floating_point():
    tiny = np.concatenate([2.0 ** np.arange(-1074, -1060), 1.0 + 2.0 ** -np.arange(40, 53.0), [0.0, 2.0**60]])
    values = np.concatenate([tiny, -tiny])
    for a in values:
        for b in values:
            assert (a + b == 0) == (a == -b) and (a + b < 0) == (a < -b)
