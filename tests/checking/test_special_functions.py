"""The gamma function's logarithm and its derivatives, inverse trigonometric functions: values, slopes and verdicts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

import symbackprop as sb
from symbackprop.evaluation.number_types import FLOAT, Dual, ball, dual
from symbackprop.expression.functions import BASIC, derivative

special = pytest.importorskip("scipy.special")
SYMPY = {
    "atan": sp.atan, "lgamma": sp.loggamma, "digamma": lambda x: sp.polygamma(0, x),
    "trigamma": lambda x: sp.polygamma(1, x),
}  # fmt: skip


@pytest.mark.parametrize("name", SYMPY)
@pytest.mark.parametrize("x", [Fraction(1, 8), Fraction(5, 2), Fraction(40)])
def test_a_function_has_the_value_that_sympy_gives(name, x):
    wanted = sp.N(SYMPY[name](sp.Rational(x.numerator, x.denominator)), 25)
    assert abs(FLOAT.functions[name](float(x)) - float(wanted)) < 1e-13 * (1 + abs(float(wanted)))
    field = ball(128)
    with field.working():
        assert abs(float(field.functions[name](field.number(x)) - field.number(Fraction(str(wanted))))) < 1e-20


@pytest.mark.parametrize("name", ["atan", "lgamma", "digamma"])
def test_a_slope_is_that_of_sympy(name):
    z = sp.Symbol("z", positive=True)
    wanted = float(sp.diff(SYMPY[name](z), z).subs(z, sp.Rational(7, 4)))
    assert derivative(BASIC[name]).definition == sp.diff(
        SYMPY[name](sp.Symbol("z", real=True)), sp.Symbol("z", real=True)
    )
    assert abs(dual(FLOAT).functions[name](Dual(1.75, 1.0)).slope - wanted) < 1e-12


@pytest.mark.parametrize("name", ["lgamma", "digamma", "trigamma"])
def test_numbers_that_are_not_positive_have_no_value(name):
    assert np.isnan(FLOAT.functions[name](-0.5))
    assert not hasattr(ball(64).functions[name](-1), "mid")


def counts(mu, a, y):
    r = 1 / a
    shared = special.gammaln(y + r) - special.gammaln(r) - special.gammaln(y + 1)
    return (shared + r * np.log(r / (r + mu)) + y * np.log(mu / (r + mu))).sum()


def counts_backward(mu, a, y):
    r = 1 / a
    by_r = special.digamma(y + r) - special.digamma(r) + np.log(r / (r + mu)) + 1 - (y + r) / (r + mu)
    return {"mu": y / mu - (y + r) / (r + mu), "a": -by_r.sum() / a**2}


def counts_by_r(mu, a, y):
    return {"a": -(a**2) * counts_backward(mu, a, y)["a"]}


def dirichlet(al, p):
    return special.gammaln(al.sum()) - special.gammaln(al).sum() + ((al - 1) * np.log(p)).sum()


def dirichlet_backward(al, p):
    return {"al": special.psi(al.sum()) - special.psi(al) + np.log(p), "p": (al - 1) / p}


def angle(x, y):
    return np.arctan2(y, x)


def angle_backward(dout, x, y):
    r2 = x * x + y * y
    return {"x": -dout * y / r2, "y": dout * x / r2}


def angle_turned(dout, x, y):
    r2 = x * x + y * y
    return {"x": dout * y / r2, "y": dout * x / r2}


def margin(c, m=0.5):
    return np.cos(np.arccos(c) + m)


def margin_backward(dout, c, m=0.5):
    return {"c": dout * np.sin(np.arccos(c) + m) / np.sqrt(1 - c * c)}


def margin_forgotten(dout, c, m=0.5):
    return {"c": dout * np.sin(np.arccos(c)) / np.sqrt(1 - c * c)}


def arcsine(x):
    return np.arcsin(x)


def arcsine_backward(dout, x):
    return {"x": dout / np.sqrt(1 - x**2)}


COUNTS = ({"mu": ("N",), "a": (), "y": ("N",)}, {"mu": "pos", "a": "pos", "y": "pos"})
CASES = [
    (counts, counts_backward, *COUNTS, ()),
    (counts, counts_by_r, *COUNTS, ("a",)),
    (dirichlet, dirichlet_backward, {"al": ("K",), "p": ("K",)}, {"al": "pos", "p": "pos"}, ()),
    (angle, angle_backward, {"x": ("N",), "y": ("N",)}, None, ()),
    (angle, angle_turned, {"x": ("N",), "y": ("N",)}, None, ("x",)),
    (margin, margin_backward, {"c": ("N",)}, None, ()),
    (margin, margin_forgotten, {"c": ("N",)}, None, ("c",)),
    (arcsine, arcsine_backward, {"x": ("N",)}, None, ()),
]


@pytest.mark.parametrize(
    ("forward", "backward", "shapes", "assume", "wrong"), CASES, ids=lambda v: getattr(v, "__name__", None)
)
def test_check_judges_special_functions(forward, backward, shapes, assume, wrong):
    verdict = sb.check(forward, backward, shapes=shapes, assume=assume)
    assert verdict.status == ("REFUTED" if wrong else "PROVED")
    assert verdict.wrong == wrong


def test_check_asks_for_positive_arguments_of_gammaln():
    verdict = sb.check(
        lambda x: special.gammaln(x), lambda dout, x: {"x": dout * special.digamma(x)}, shapes={"x": ("N",)}
    )
    assert verdict.status == "UNDECIDED"
    assert 'assume={"x": "pos"}' in verdict.reason
