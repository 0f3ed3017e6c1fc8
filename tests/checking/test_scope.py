"""What a PROVED says it is about: the sizes, and the gradients that were returned."""

from __future__ import annotations

import pytest

import symbackprop as sb

OPEN = {"x": ("N", "D"), "w": ("D", "M"), "b": ("M",)}


def forward(x, w, b):
    return x @ w + b


def backward(dout, x, w, b):
    return {"x": dout @ w.T, "w": x.T @ dout, "b": dout.sum(axis=0)}


def without_bias(dout, x, w, b):
    return {"x": dout @ w.T, "w": x.T @ dout}


@pytest.mark.parametrize(
    "shapes, scope",
    [
        (OPEN, "all sizes"),
        ({"x": (2, 3), "w": (3, 4), "b": (4,)}, "the sizes given"),
        ({"x": ("N", 3), "w": (3, "M"), "b": ("M",)}, "all sizes of N, M, the others as given"),
    ],
)
def test_scope_says_which_sizes(shapes, scope):
    verdict = sb.check(forward, backward, shapes=shapes)
    assert (verdict.status, verdict.scope, verdict.for_all_sizes) == ("PROVED", scope, True)
    sb.assert_proved(forward, backward, shapes=shapes)


def test_a_gradient_that_was_not_returned_stands_in_the_second_line():
    verdict = sb.check(forward, without_bias, shapes=OPEN)
    assert str(verdict).splitlines() == [
        "PROVED  gradients of forward: x, w   (all sizes)",
        "  unjudged   no gradient was returned of b",
    ]
    assert verdict.to_dict()["unjudged"] == ["b"]


def test_complete_refuses_a_gradient_that_was_not_returned():
    verdict = sb.check(forward, without_bias, shapes=OPEN, complete=True)
    assert (verdict.status, verdict.unjudged) == ("MALFORMED", ("b",))
    assert verdict.reason == "no gradient was returned of b; what was returned is proved"
    with pytest.raises(AssertionError, match=r"no gradient was returned of b(.|\n)*complete=False"):
        sb.assert_proved(forward, without_bias, shapes=OPEN)
    sb.assert_proved(forward, without_bias, shapes=OPEN, complete=False)


def test_complete_does_not_ask_for_the_gradient_of_data():
    def cost(x, y):
        return ((x - y) ** 2).sum() / 2

    def gradient(x, y):
        return {"x": x - y}

    sb.assert_proved(cost, gradient, shapes={"x": ("N", "K"), "y": ("N", "K")}, assume={"y": "onehot"})


def test_complete_leaves_a_refuted_verdict_alone():
    verdict = sb.check(forward, lambda dout, x, w, b: {"w": 2 * x.T @ dout}, shapes=OPEN, complete=True)
    assert verdict.status == "REFUTED"
