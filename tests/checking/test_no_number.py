"""A backward pass that gives no number where the gradient is finite is wrong, whatever its algebra says."""

import math
from fractions import Fraction

import flint
import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking.question import true_gradient
from symbackprop.evaluation.number_types import TooCloseError, ball, dual
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Symbol

ROWS = {"x": ("N", "D")}


def twice(x):
    return 2.0 * x


@pytest.mark.parametrize(
    "factor",
    [
        lambda x: np.exp(np.log(x)) / x,
        lambda x: np.sqrt(x) * np.sqrt(x) / x,
        lambda x: (x**3) ** (1 / 3) / x,
        lambda x: np.maximum(x, 0) / np.maximum(x, 0),
        lambda x: np.log(x**2) + 1 - 2 * np.log(x),
    ],
)
def test_roots_and_logarithms_of_negative_numbers_and_zero_over_zero(factor):
    def backward(dout, x):
        return {"x": 2.0 * dout * factor(x)}

    verdict = sb.check(twice, backward, shapes=ROWS)
    assert verdict.status == "REFUTED", str(verdict)
    found = verdict.counterexample
    with np.errstate(all="ignore"):
        claimed = backward(found.upstream, **found.inputs)["x"]
    assert not np.isfinite(claimed[found.entry.index])
    assert math.isnan(found.entry.claimed) and math.isfinite(found.entry.correct)
    assert "no number" in verdict.diagnosis and not verdict.cure


def test_a_mask_times_nan_is_nan():
    def forward(x):
        return np.where(x > 0, np.sqrt(np.abs(x)), 0.0)

    def masked(dout, x):
        return {"x": dout * (x > 0) * 0.5 / np.sqrt(x)}

    def chosen(dout, x):
        return {"x": dout * np.where(x > 0, 0.5 / np.sqrt(np.abs(x)), 0.0)}

    assert sb.check(forward, masked, shapes=ROWS).status == "REFUTED"
    assert sb.check(forward, chosen, shapes=ROWS).status == "PROVED"


@pytest.mark.parametrize(
    ("kind", "factor"),
    [
        ("bern", lambda y: y / y),
        ("pm1", lambda y: np.sqrt(y) * np.sqrt(y) / y),
        ("onehot", lambda y: y.sum(0) / y.sum(0)),
    ],
)
def test_what_is_assumed_of_an_input_includes_zeros_and_minus_ones(kind, factor):
    verdict = sb.check(
        lambda x, y: x * y,
        lambda dout, x, y: {"x": dout * y * factor(y)},
        shapes={"x": ("N", "C"), "y": ("N", "C")},
        assume={"y": kind},
    )
    assert verdict.status == "REFUTED", str(verdict)


def test_where_the_forward_is_no_number_either_nothing_is_wrong():
    verdict = sb.check(lambda x: np.log(x), lambda dout, x: {"x": dout * np.exp(-np.log(x))}, shapes=ROWS)
    assert verdict.status == "PROVED", str(verdict)


def test_the_inverse_of_an_infinite_value_decides_nothing():
    field = ball(128)
    pole = field.power(0, -1)
    assert repr(pole + flint.arb(1)) == repr(pole * 0) == "no number"
    with pytest.raises(TooCloseError):
        field.power(pole, -1)
    with pytest.raises(TooCloseError):
        field.functions["exp"](pole)
    with pytest.raises(TooCloseError):
        field.compare(pole, pole)


def test_nothing_is_decided_by_a_value_that_does_not_exist():
    field = dual(ball(128))
    root = field.power(-2, Fraction(1, 2))
    assert repr(0 * root) == "no number"
    with pytest.raises(TooCloseError):
        field.compare(root, 0)


def test_a_saturated_loss_shows_nothing_until_it_is_told_apart_from_infinity():
    """log(1 - a) for an a that is 1 up to the working precision: its slope is not 0, but unknown."""

    def cost(x, y):
        a = 1 / (1 + np.exp(-x))
        return -(y * np.log(a) + (1 - y) * np.log(1 - a)).sum()

    program = sb.trace(cost, {"x": ("N",), "y": ("N",)}, {"y": "bern"})
    x, y = program.inputs
    (n,) = (s for s in x.shape if isinstance(s, Symbol))
    point = Point({n: 2}, {x: np.array([140.0, 1.0]), y: np.array([0.0, 1.0])})
    rough, fine = (true_gradient(program, point, x, bits=bits)[0,] for bits in (128, 512))
    assert not rough.is_finite()
    assert abs(float(fine.mid()) - 1) < 1e-12


def behind(mask, value):
    return np.where(mask, value, 0.0)


ROOTS = {
    "root": (
        lambda w, p: behind(w > 0, p * np.sqrt(np.maximum(w, 0))),
        lambda dout, w, p: (behind(w > 0, dout * p / (2 * np.sqrt(np.maximum(w, 0)))), behind(w > 0, np.sqrt(w))),
    ),
    "logarithm": (
        lambda w, p: behind(w > 0, p * np.log(np.maximum(w, 0))),
        lambda dout, w, p: (behind(w > 0, dout * p / np.where(w > 0, w, 1)), behind(w > 0, np.log(w))),
    ),
    "quotient": (
        lambda w, p: behind(w > 0, p / np.maximum(w, 0)),
        lambda dout, w, p: (behind(w > 0, -dout * p / np.where(w > 0, w, 1) ** 2), behind(w > 0, 1 / w)),
    ),
}


@pytest.mark.parametrize("name", ROOTS)
def test_what_one_branch_has_no_value_of_may_stand_behind_a_mask(name):
    forward, parts = ROOTS[name]

    def backward(dout, w, p):
        dw, slope = parts(dout, w, p)
        return {"w": dw, "p": (dout * slope).sum(axis=0)}

    def beside(dout, w, p):
        dw, slope = parts(dout, np.maximum(w, 0), p)
        return {"w": dw, "p": (dout * (w > 0) * (slope + 1 / np.maximum(w, 0) - 1 / np.maximum(w, 0))).sum(axis=0)}

    shapes = {"w": ("N", "D"), "p": ("D",)}
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.for_all_sizes, str(verdict)
    assert sb.check(forward, beside, shapes=shapes).status == "REFUTED"  # 0 times nan is nan


MASKED = {
    "root": lambda w, p, v: np.where(w > 0, p * np.sqrt(w), 0.0) @ v,
    "root of a maximum": lambda w, p, v: np.where(w > 0, p * np.sqrt(np.maximum(w, 0)), 0.0) @ v,
    "quotient": lambda w, p, v: np.where(w > 0, p / w, 0.0) @ v,
    "power": lambda w, p, v: np.where(w > 0, p * w**1.5, p) @ v,
    "nested": lambda w, p, v: np.where(w > 0, np.where(w < 1, p * np.sqrt(w * (1 - w)), p * np.log(w)), 0.0) @ v,
}


@pytest.mark.parametrize("name", MASKED)
def test_derived_code_has_numbers_wherever_the_forward_has(name):
    """Of where(w > 0, p*sqrt(w), 0) the derivative by p is 0 where w is negative: the root stays behind the mask."""
    forward = MASKED[name]
    compute = sb.compile(
        sb.trace(lambda w, p, v: forward(w, p, v).sum(), {"w": ("N", "D"), "p": ("D",), "v": ("D", "M")})
    )
    rng = np.random.default_rng(0)
    w = np.array([[0.5, 0.0, -1.0], [2.0, -0.2, 0.3]])
    p, v = rng.normal(size=3), rng.normal(size=(3, 2))
    with np.errstate(all="ignore"):
        found = compute(w=w, p=p, v=v)
        wanted = [(forward(w, p + 1e-6 * e, v) - forward(w, p - 1e-6 * e, v)).sum() / 2e-6 for e in np.eye(3)]
    assert all(np.isfinite(value).all() for value in found.values())
    assert np.allclose(found["p_bar"], wanted, atol=1e-6)
