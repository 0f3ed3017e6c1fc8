"""Axes that are empty at some sizes, as x[1:] is where N = 1: an extremum of nothing raises, a mean of nothing is nan."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.evaluation.number_types import NO_NUMBER, POLE

SHAPES = {"x": ("N",)}


def steps(x):
    return ((x[1:] - x[:-1]) ** 2).sum()


def slopes(dout, x):
    g = 2 * dout * (x[1:] - x[:-1])
    dx = np.zeros_like(x)
    dx[1:] += g
    dx[:-1] -= g
    return dx, g


def along(more):
    def backward(dout, x):
        dx, g = slopes(dout, x)
        return {"x": dx + more(g)}

    return backward


def test_check_proves_what_is_right_where_nothing_is_left():
    verdict = sb.check(steps, along(lambda g: 0 * g.sum()), shapes=SHAPES)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes")


@pytest.mark.parametrize(
    "more, status",
    [
        (lambda g: 0 * np.max(g), "MALFORMED"),
        (lambda g: 0 * np.argmin(g), "MALFORMED"),
        (lambda g: 1.0 * np.all(g == g + 1), "REFUTED"),
        (lambda g: g.mean() - g.sum() / len(g), "REFUTED"),
        (lambda g: np.sqrt(g.var() + 1) - np.sqrt(((g - g.mean()) ** 2).mean() + 1), "REFUTED"),
    ],
    ids=["max", "argmin", "all", "mean", "var"],
)
def test_check_looks_where_an_axis_is_empty(more, status):
    assert sb.check(steps, along(more), shapes=SHAPES).status == status


def test_check_derives_the_domain_of_a_forward_that_raises_of_nothing():
    verdict = sb.check(
        lambda x: np.max(x[1:]) - x[0],
        lambda dout, x: {"x": dout * np.concatenate([[-1.0], 1.0 * (x[1:] == np.max(x[1:]))])},
        shapes=SHAPES,
    )
    assert verdict.status == "PROVED"
    assert any("at others the forward raises ValueError" in note for note in verdict.notes)


def test_stated_sizes_of_which_nothing_comes_out_are_left_out():
    def backward(dout, x):
        dx = np.zeros_like(x)
        dx[2:] += dout * x[:-2]
        dx[:-2] += dout * x[2:]
        return {"x": dx}

    verdict = sb.check(lambda x: x[2:] * x[:-2], backward, shapes=SHAPES)
    assert verdict.status == "PROVED"
    assert any("what the forward returns is empty" in note for note in verdict.notes)


def head(x, w):
    y = np.zeros(len(x))
    y[: len(w)] = w
    return x * y


def test_a_slice_that_ends_at_minus_nothing_is_empty():
    def backward(dout, x, w):
        y = np.zeros(len(x))
        y[: len(w)] = w
        return {"x": dout * y, "w": (dout * x)[: -(len(x) - len(w))]}

    assert sb.check(head, backward, shapes={"x": ("N",), "w": ("K",)}, where="N >= K").status == "MALFORMED"


@pytest.mark.parametrize("factor, status", [(lambda n: max(n - 1, 1), "PROVED"), (lambda n: n - 1, "REFUTED")])
def test_linspace_of_one_number_is_its_start(factor, status):
    def backward(dout, x):
        return {"x": dout * np.arange(len(x)) / factor(len(x))}

    assert sb.check(lambda x: x * np.linspace(0, 1, len(x)), backward, shapes=SHAPES).status == status


def test_no_number_is_what_nothing_times_infinity_is():
    assert (0 * POLE) is NO_NUMBER
    assert (POLE * 0.0) is NO_NUMBER
    assert (POLE * 2) is POLE
    assert (POLE * POLE) is POLE
    assert (0 * NO_NUMBER) is NO_NUMBER


@pytest.mark.parametrize("most, told", [(None, True), (40, False)])
def test_check_derives_no_domain_from_a_few_sizes_that_raise(most, told):
    def forward(x, w):
        if len(x) < len(w) and (most is None or len(w) < most):
            raise ValueError("too short")
        return w.sum() if len(x) < len(w) else (x[: len(w)] * w).sum()

    def backward(dout, x, w):
        dx = np.zeros_like(x)
        dx[: len(w)] = dout * w
        return {"x": dx, "w": dout * x[: len(w)]}

    verdict = sb.check(forward, backward, shapes={"x": ("N",), "w": ("K",)})
    assert any("at others the forward raises" in note for note in verdict.notes) is told
