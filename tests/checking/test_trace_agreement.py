"""What is traced is what NumPy computes, or nothing is said."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.expression.build import multiply, number
from symbackprop.frontends.numpy.elementwise import elementwise
from symbackprop.frontends.numpy.registry import OPERATIONS

ROWS = {"x": ("N", "D")}
GENERATOR = np.random.default_rng(0)


class Noise:
    """A helper object, which the trace runs as it is."""

    def __call__(self, x):
        return x * GENERATOR.random()


noise = Noise()


def twice(x):
    return 2.0 * x


def gradient_of_twice(dout, x):
    return {"x": 2.0 * dout}


def test_an_operation_with_the_wrong_meaning_is_noticed(monkeypatch):
    monkeypatch.setitem(OPERATIONS, "sinh", lambda x: elementwise(lambda v: multiply(number(2), v), x))
    verdict = sb.check(lambda x: np.sinh(x), gradient_of_twice, shapes=ROWS)
    assert verdict.status == "UNDECIDED"
    assert "when NumPy runs it" in verdict.reason and "by NumPy" in verdict.reason


def test_an_operation_with_the_wrong_meaning_in_the_backward_is_noticed(monkeypatch):
    monkeypatch.setitem(OPERATIONS, "sinh", lambda x: elementwise(lambda v: multiply(number(2), v), x))
    verdict = sb.check(twice, lambda dout, x: {"x": np.sinh(dout)}, shapes=ROWS)
    assert verdict.status == "UNDECIDED"


def test_numbers_that_change_from_run_to_run_decide_nothing():
    verdict = sb.check(lambda x: noise(x), lambda dout, x: {"x": dout}, shapes=ROWS)
    assert verdict.status == "UNDECIDED"
    assert verdict.counterexample is None


def test_a_backward_that_fails_only_in_numpy_is_not_proved():
    def backward(dout, x):
        if hasattr(x, "__array_interface__"):
            raise ValueError("only for real arrays")
        return {"x": 2.0 * dout}

    verdict = sb.check(twice, backward, shapes=ROWS)
    assert verdict.status == "MALFORMED"
    assert "only for real arrays" in verdict.reason and "N = " in verdict.reason


def test_a_label_that_is_no_place_of_the_axis():
    def backward(dout, x, centers, y):
        np.add.at(x, y, -dout)
        return {"x": x}

    shapes = {"x": ("N", "D"), "centers": ("C", "D"), "y": ("N",)}
    verdict = sb.check(lambda x, centers, y: x - centers[y], backward, shapes=shapes, assume={"y": "labels:C"})
    assert verdict.status == "MALFORMED" and "IndexError" in verdict.reason


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e6])
def test_right_ones_are_still_proved(scale):
    verdict = sb.check(lambda x: scale * np.exp(x), lambda dout, x: {"x": scale * dout * np.exp(x)}, shapes=ROWS)
    assert verdict.status == "PROVED", str(verdict)


def test_what_the_functions_print_is_not_shown(capsys):
    def forward(x):
        print("hello")
        return 2.0 * x

    assert sb.check(forward, gradient_of_twice, shapes=ROWS).status == "PROVED"
    assert capsys.readouterr().out == ""


def test_the_users_arrays_are_not_changed_by_a_backward_that_writes_into_its_arguments():
    def backward(dout, x):
        dout *= 2.0
        return {"x": dout}

    assert sb.check(twice, backward, shapes=ROWS).status == "PROVED"


def test_code_whose_result_rounding_decides_is_not_said_to_differ():
    def backward(dout, x):
        off = np.mean(x - x.mean(axis=0), axis=0)
        return {"x": 2.0 * dout + 1e-3 / off}

    verdict = sb.check(twice, backward, shapes=ROWS)
    assert "when NumPy runs it" not in verdict.reason
    assert verdict.status != "PROVED"
