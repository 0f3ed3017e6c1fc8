"""Derivatives without an upstream gradient: lists and Jacobians, as models for curve fitting return them."""

from __future__ import annotations

import numpy as np
import pytest

import symbackprop as sb

CURVE = {"x": ("N",), "amplitude": (), "x_0": (), "fwhm": ()}
FIT = {"p": (2,), "t": ("N",), "y": ("N",)}


def lorentz(x, amplitude, x_0, fwhm):
    return amplitude * (fwhm / 2.0) ** 2 / ((x - x_0) ** 2 + (fwhm / 2.0) ** 2)


def derivatives(x, amplitude, x_0, fwhm):
    half = fwhm / 2.0
    first = half**2 / (half**2 + (x - x_0) ** 2)
    second = amplitude * first * (2 * x - 2 * x_0) / (half**2 + (x - x_0) ** 2)
    return [first, second, 2 * amplitude * first / fwhm * (1 - first)]


def whole_width(x, amplitude, x_0, fwhm):
    first, second, third = derivatives(x, amplitude, x_0, 2 * fwhm)
    return [first, second, third]


def residuals(p, t, y):
    return p[0] * np.exp(-p[1] * t) - y


def columns(p, t):
    return {"p": np.column_stack([np.exp(-p[1] * t), -p[0] * t * np.exp(-p[1] * t)])}


def sign_lost(p, t):
    return {"p": np.column_stack([np.exp(-p[1] * t), p[0] * t * np.exp(-p[1] * t)])}


def softmax(x):
    e = np.exp(x)
    return e / e.sum()


def matrix(x):
    s = softmax(x)
    return {"x": np.diag(s) - np.outer(s, s)}


def diagonal(x):
    return {"x": softmax(x) * (1 - softmax(x))}


def slope(x):
    return {"x": 1 - np.tanh(x) ** 2}


CASES = [
    (lorentz, derivatives, CURVE, ()),
    (lorentz, whole_width, CURVE, ("amplitude", "x_0", "fwhm")),
    (residuals, columns, FIT, ()),
    (residuals, sign_lost, FIT, ("p",)),
    (softmax, matrix, {"x": ("C",)}, ()),
    (softmax, diagonal, {"x": ("C",)}, ("x",)),
    (np.tanh, slope, {"x": ("N", "D")}, ()),
]


@pytest.mark.parametrize(("forward", "backward", "shapes", "wrong"), CASES, ids=lambda v: getattr(v, "__name__", None))
def test_check_judges_jacobians(forward, backward, shapes, wrong):
    assume = {"fwhm": "pos"} if "fwhm" in shapes else None
    own = (lambda x: np.tanh(x)) if forward is np.tanh else forward
    verdict = sb.check(own, backward, shapes=shapes, assume=assume, jacobian=True)
    assert verdict.status == ("REFUTED" if wrong else "PROVED")
    assert verdict.wrong == wrong
    assert any("Jacobians" in note for note in verdict.notes)


def test_derivatives_agree_with_differences():
    rng = np.random.default_rng(1)
    x, point = rng.normal(size=5), {"amplitude": 1.3, "x_0": 0.2, "fwhm": 0.8}
    for name, found in zip(point, derivatives(x, **point), strict=True):
        ends = [lorentz(x, **{**point, name: point[name] + h}) for h in (1e-6, -1e-6)]
        assert np.allclose((ends[0] - ends[1]) / 2e-6, found, atol=1e-7)


def test_check_asks_for_the_function_that_returns_the_derivatives():
    verdict = sb.check(lorentz, shapes=CURVE, jacobian=True)
    assert verdict.status == "MALFORMED"


def test_check_says_which_axes_a_jacobian_has_too_many_of():
    verdict = sb.check(softmax, lambda x: [softmax(x)[:, None, None]], shapes={"x": ("C",)}, jacobian=True)
    assert verdict.status == "MALFORMED"
    assert "another shape" in verdict.diagnosis
