"""`check`: bad input gets one clear message, and what the functions do never becomes an exception."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking import check

SHAPES = {"x": ("N", "D"), "w": ("D", "M")}
GENERATOR = np.random.default_rng(0)
CALLS = [0.0]


def forward(x, w):
    return x @ w


def backward(dout, x, w):
    return {"x": dout @ w.T, "w": x.T @ dout}


def verdict_on(forward=forward, backward=backward, shapes=SHAPES, **options):
    return sb.check(forward, backward, shapes=shapes, **options)


def recursive(x, w):
    return recursive(x, w)


def endless(x, w):
    while True:
        pass


def remembers(x, w):
    CALLS.append(1.0)
    return x @ w


def exits(x, w):
    raise SystemExit(3)


FORWARDS = {
    "shapes": (lambda x, w: x.T @ w, "MALFORMED", "arrays of shapes (D, N) and (D, M) are multiplied"),
    "nothing": (lambda x, w: None, "MALFORMED", "returns nothing, not an array"),
    "int": (lambda x, w: 3, "MALFORMED", "returns a value of type int, not an array"),
    "list": (lambda x, w: [x @ w], "MALFORMED", "returns a value of type list, not an array"),
    "file": (lambda x, w: x @ w * float(open(os.devnull).read()), "UNDECIDED", "open() cannot be traced"),  # noqa: SIM115
    "load": (lambda x, w: x @ w * np.load("scale.npy"), "UNDECIDED", "np.load cannot be traced"),
    "np.random": (lambda x, w: x @ w * np.random.rand(), "UNDECIDED", "randomness must come in as an input"),
    "generator": (lambda x, w: x @ w * GENERATOR.normal(), "UNDECIDED", "randomness must come in as an input"),
    "random": (lambda x, w: x @ w * random.gauss(0, 1), "UNDECIDED", "randomness must come in as an input"),
    "global": (remembers, "UNDECIDED", "remembers changes the global CALLS"),
    "recursion": (recursive, "UNDECIDED", "recursion without an end"),
    "objects": (lambda x, w: x.astype(object) @ w, "UNDECIDED", "arrays of type object cannot be traced"),
    "branch": (lambda x, w: x @ w if x[0, 0] > 0 else x, "UNDECIDED", "a branch that depends on the data"),
    "exit": (exits, "MALFORMED", "exits raises SystemExit"),
    "svd": (lambda x, w: np.linalg.svd(x @ w)[1], "UNDECIDED", "np.linalg.svd cannot be traced"),
}


@pytest.mark.parametrize("name", FORWARDS)
def test_forward_that_cannot_be_followed_says_why(name):
    function, status, message = FORWARDS[name]
    verdict = verdict_on(forward=function)
    assert verdict.status == status
    assert message in verdict.reason


def test_message_shows_the_line_of_the_user():
    assert "np.linalg.svd(x @ w)" in verdict_on(forward=FORWARDS["svd"][0]).reason


def test_endless_loop_ends_with_the_budget():
    verdict = verdict_on(forward=endless, seconds=0.5)
    assert verdict.status == "UNDECIDED" and "endless ran for more than" in verdict.reason
    assert verdict.seconds < 5


BACKWARDS = {
    "misspelt": (
        lambda dout, x, w: {"x": dout @ w.T, "W": x.T @ dout},
        "names 'W', which is no input",
        "did you mean 'w'",
    ),
    "empty": (lambda dout, x, w: {}, "returns no gradient", "inputs:  x, w"),
    "nothing": (lambda dout, x, w: None, "returns nothing as the gradient of x", ""),
    "none": (lambda dout, x, w: {"x": dout @ w.T, "w": None}, "returns nothing as the gradient of w", ""),
    "shape": (
        lambda dout, x, w: {"x": dout @ w.T, "w": dout.T @ x},
        "the gradient of w has another shape than w",
        "(M, D)",
    ),
    "no upstream": (lambda x, w: {"x": x}, "takes no upstream gradient, but the forward returns an array", ""),
}


@pytest.mark.parametrize("name", BACKWARDS)
def test_backward_of_the_wrong_form_is_malformed(name):
    function, message, evidence = BACKWARDS[name]
    verdict = verdict_on(backward=function)
    assert verdict.status == "MALFORMED"
    assert message in verdict.reason and evidence in verdict.reason


def test_gradient_that_is_missing_is_noted():
    verdict = verdict_on(backward=lambda dout, x, w: {"x": dout @ w.T})
    assert verdict.status == "PROVED"
    assert verdict.unjudged == ("w",)


def test_data_needs_no_gradient():
    def weighted(x, m):
        return x * m

    verdict = sb.check(
        weighted, lambda dout, x, m: {"x": dout * m}, shapes={"x": ("N",), "m": ("N",)}, assume={"m": "bern"}
    )
    assert verdict.status == "PROVED" and verdict.notes == ()


OPTIONS = {
    "prose": ({"where": "x not zero"}, "where takes comparisons of sizes"),
    "is": ({"where": "N is even"}, "only <, <=, >, >= and == are read here"),
    "sum": ({"where": "N + 2"}, "'N + 2' is not a comparison of sizes"),
    "call": ({"where": "__import__('os').system('true')"}, "is not a comparison of sizes"),
    "unknown size": ({"where": "Q >= 2"}, "where names 'Q', which is no size"),
    "contradiction": ({"where": "N >= 3, N <= 2"}, "no sizes are as the domain says"),
    "assumption": ({"assume": {"x": "positive"}}, "unknown assumption 'positive' about x"),
    "assumed input": ({"assume": {"z": "pos"}}, "assume names 'z', which is no input"),
    "missing shape": ({"shapes": {"x": ("N", "D")}}, "shapes does not say the shape of w"),
    "further shape": ({"shapes": {**SHAPES, "z": ("N",)}}, "shapes names 'z', which is no input"),
    "text": ({"shapes": {"x": "ND", "w": ("D", "M")}}, "the shape of x is 'ND', not a tuple"),
    "fraction": ({"shapes": {"x": ("N", 2.5), "w": ("D", "M")}}, "a size is an int or text, not float"),
    "negative": ({"shapes": {"x": ("N", -2), "w": (-2, "M")}}, "the shape of x has an axis of size -2"),
    "function": ({"shapes": {"x": ("N", "sin(D)"), "w": ("D", "M")}}, "'sin(D)' is not an expression of sizes"),
    "clash": ({"forward": lambda x, w, N=3: x @ w}, "N names an axis and a keyword argument"),
    "no function": ({"forward": 3}, "the arguments of 3 cannot be read"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_question_that_makes_no_sense_is_malformed(name):
    options, message = OPTIONS[name]
    verdict = verdict_on(**options)
    assert verdict.status == "MALFORMED"
    assert message in verdict.reason


def test_root_of_a_negative_number_is_no_crash():
    def distance(a, b):
        return np.sqrt(np.sum((a - b) ** 2, axis=1) + 1e-12).mean()

    def root_of_differences(a, b):
        d = np.sqrt(np.sum((a - b) ** 3, axis=1) + 1e-12)
        g = (d > 0)[:, None] * (a - b) / d[:, None] / len(a)
        return {"a": g, "b": -g}

    assert sb.check(distance, root_of_differences, shapes={"a": ("N", "D"), "b": ("N", "D")}).status == "REFUTED"


@pytest.mark.parametrize("rows", [50, "N"])
def test_a_proof_at_other_lengths_is_none_of_those_given(rows):
    """Symbols stand for 50 and 20; what holds up to a length of 10, or beside one length, says nothing of 20."""

    def forward(x, w):
        return ((x @ w) ** 2).sum()

    def backward_of(factor):
        return lambda dout, x, w: {"x": 2 * dout * (x @ w) @ w.T * factor(x.shape[1]), "w": 2 * dout * x.T @ (x @ w)}

    shapes = {"x": (rows, 20), "w": (20, 7)}
    for factor in (lambda d: 2 if d > 10 else 1, lambda d: (d - 20) / (d - 20 + 1e-300)):
        verdict = sb.check(forward, backward_of(factor), shapes=shapes)
        assert verdict.status == "REFUTED" and verdict.wrong == ("x",), str(verdict)
    assert sb.check(forward, backward_of(lambda d: 1 if d > 10 else 2), shapes=shapes).for_all_sizes


@pytest.mark.parametrize(
    ("condition", "excludes"),
    [("n20 != 20", True), ("n20 != 17", False), ("n20 > 30", True), ("n20 > 3", False), ("x[n,n20] != 0", False)],
)
def test_a_condition_may_exclude_the_lengths_that_are_given(condition, excludes):
    assert check._excludes(condition, {"n20": 20}) is excludes


def test_long_axes_of_fixed_length_are_proved_with_symbols():
    def forward(x, w):
        return x @ w

    def right(dout, x, w):
        return {"x": dout @ w.T, "w": x.T @ dout}

    def wrong(dout, x, w):
        return {"x": dout @ w.T, "w": 2 * x.T @ dout}

    shapes = {"x": (1000, 300), "w": (300, 64)}
    verdict = sb.check(forward, right, shapes=shapes)
    assert verdict.status == "PROVED" and "the sizes given are a case of this" in verdict.notes
    verdict = sb.check(forward, wrong, shapes=shapes)
    assert verdict.status == "UNDECIDED" and "REFUTED" in verdict.reason and "n1000" in verdict.reason
