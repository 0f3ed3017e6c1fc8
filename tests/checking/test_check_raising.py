"""Code that raises: MALFORMED where NumPy meets the same exception, whatever the sizes; sizes that a forward refuses."""

from __future__ import annotations

import numpy as np
import pytest

import symbackprop as sb

MATRIX = {"x": ("N", "D")}


def twice(x):
    return 2 * x


def not_implemented(dout, x):
    raise ValueError("not implemented for this layer")


def wants_vectors(x):
    if x.ndim != 1:
        raise ValueError("x must be a vector")
    return 2 * x


def asserts(x):
    assert x.ndim == 1, "x must be a vector"
    return 2 * x


def misspelt(dout, x):
    return {"x": 2 * douts}  # noqa: F821


def wrong_key(dout, x):
    return {"x": dout * {"scale": 2}["factor"]}


def divides_by_zero(dout, x):
    return {"x": dout * (2 / (x.ndim - 2))}


def right(dout, x):
    return {"x": 2 * dout}


def no_such_shape(x):
    return x.reshape(-2)


CASES = {
    "raise in the backward": (twice, not_implemented, "ValueError: not implemented", "raise ValueError"),
    "raise in the forward": (wants_vectors, right, "ValueError: x must be a vector", "raise ValueError"),
    "assert": (asserts, right, "AssertionError: x must be a vector", "assert x.ndim == 1"),
    "misspelt name": (twice, misspelt, "NameError: name 'douts'", "2 * douts"),
    "wrong key": (twice, wrong_key, "KeyError: 'factor'", '["factor"]'),
    "division by zero": (twice, divides_by_zero, "ZeroDivisionError", "x.ndim - 2"),
    "no such shape": (no_such_shape, right, "reshape", "x.reshape(-2)"),
}


@pytest.mark.parametrize("name", CASES)
def test_code_that_always_raises_is_malformed(name):
    forward, backward, message, line = CASES[name]
    verdict = sb.check(forward, backward, shapes=MATRIX)
    assert verdict.status == "MALFORMED", str(verdict)
    assert message in verdict.reason and line in verdict.reason


def test_exception_that_numpy_does_not_raise_is_no_fault_of_the_code():
    """A symbolic array has no memory: what fails only while it is traced says nothing of the code."""

    def by_memory(dout, x):
        if not isinstance(x.ctypes.data, int):
            raise TypeError("no memory")
        return {"x": 2 * dout}

    assert sb.check(twice, by_memory, shapes=MATRIX).status == "UNDECIDED"


def product(x, w):
    if x.shape[1] != w.shape[0]:
        raise ValueError("inner sizes differ")
    return x @ w


def product_backward(dout, x, w):
    return {"x": dout @ w.T, "w": x.T @ dout}


def test_shape_test_that_holds_is_no_hindrance():
    verdict = sb.check(product, product_backward, shapes={"x": ("N", "D"), "w": ("D", "M")})
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes")


def test_sizes_that_the_forward_refuses_are_left_out_and_noted():
    verdict = sb.check(product, product_backward, shapes={"x": ("N", "D"), "w": ("K", "M")})
    assert verdict.status == "PROVED", str(verdict)
    assert "D = 2, K = 2" in verdict.scope
    assert any("inner sizes differ" in note and "D = 2, K = 3" in note for note in verdict.notes)


def running_sum(x):
    total = np.zeros(x.shape[0])
    for t in range(x.shape[1]):
        total = total + x[:, t]
    return total


def test_backward_that_fails_at_one_size_alone_is_malformed_there():
    def first_two_apart(dout, x):
        dx = np.zeros_like(x)
        for t in range(x.shape[1]):
            dx[:, t] = dout
        if x.shape[1] == 1:
            raise IndexError("a sequence has two steps")
        return {"x": dx}

    verdict = sb.check(running_sum, first_two_apart, shapes={"x": ("N", "T")})
    assert verdict.status == "MALFORMED" and "T = 1" in verdict.reason
    assert sb.check(running_sum, first_two_apart, shapes={"x": ("N", "T")}, where="T >= 2").status == "PROVED"
