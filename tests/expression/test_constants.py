"""A float64 is the exact number that it is nearest to; mpmath has the numbers."""

import math
import random
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking.rounded_constants import without_rounding
from symbackprop.expression.build import number
from symbackprop.expression.constants import read
from symbackprop.expression.sympy_bridge import to_sympy
from symbackprop.frontends.numpy.traced import trace_pair

VECTOR = {"x": ("N",)}
mpmath.mp.dps = 60


def exactly(value):
    return mpmath.mpf(str(to_sympy(read(value).value).evalf(50)))


NAMED = {
    "1/3": mpmath.mpf(1) / 3,
    "sqrt 2": mpmath.sqrt(2),
    "1/sqrt 2": 1 / mpmath.sqrt(2),
    "pi": mpmath.pi,
    "pi/180": mpmath.pi / 180,
    "e": mpmath.e,
    "log 2": mpmath.log(2),
    "1/log 2": 1 / mpmath.log(2),
    "log 10": mpmath.log(10),
    "1/log 10": 1 / mpmath.log(10),
    "sqrt(2/pi)": mpmath.sqrt(2 / mpmath.pi),
    "1/sqrt(2 pi)": 1 / mpmath.sqrt(2 * mpmath.pi),
    "2/sqrt pi": 2 / mpmath.sqrt(mpmath.pi),
    "log(2 pi)/2": mpmath.log(2 * mpmath.pi) / 2,
    "pi e": mpmath.pi * mpmath.e,
}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("sign", [1, -1])
def test_read_knows_the_numbers_in_use(name, sign):
    assert abs(exactly(sign * float(NAMED[name])) - sign * NAMED[name]) < mpmath.mpf(10) ** -45


@pytest.mark.parametrize("value", [1e-34, 1.0545718176461565e-34, 6.02214076e23, 5e-324, 1.7976931348623157e308])
def test_read_takes_no_number_for_zero_or_another(value):
    assert read(value).value is number(Fraction(repr(value)))


def test_read_leaves_random_numbers_alone():
    rng = random.Random(4)
    values = [rng.uniform(-3, 3) for _ in range(60)]
    assert all(read(v).value is number(Fraction(repr(v))) for v in values)


@pytest.mark.parametrize("value", [1 - 0.9, 0.1 + 0.2, math.nextafter(1 / 3, 1), math.nextafter(math.pi, 4)])
def test_read_says_where_a_float_misses_by_a_rounding_error(value):
    assert not read(value).nearest


def test_check_tells_that_a_constant_counts_as_another_up_to_rounding():
    verdict = sb.check(lambda x: 0.1 * x, lambda dout, x: {"x": 0.09999999999999998 * dout}, shapes=VECTOR)
    assert verdict.status == "PROVED"
    assert verdict.conditions == ("0.09999999999999998 counts as 1/10, up to rounding of constants",)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_slope(c, product):
    def backward(dout, x):
        t = np.tanh(c * (x + 0.044715 * x**3))
        return {"x": dout * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (c + product * x * x))}

    return backward


def test_check_proves_both_spellings_of_a_constant():
    verdict = sb.check(gelu, gelu_slope(0.7978845608028654, 3 * 0.044715 * 0.7978845608028654), shapes=VECTOR)
    assert verdict.status == "PROVED"
    assert all("up to rounding of constants" in c for c in verdict.conditions)


def test_check_says_to_which_place_a_constant_is_rounded():
    verdict = sb.check(gelu, gelu_slope(0.7978845608028654, 0.1070322243), shapes=VECTOR)
    assert verdict.status == "REFUTED"
    words = "right up to constants rounded to 1e-10: 0.1070322243 stands for 3*0.044715*sqrt(2/pi)"
    assert verdict.diagnosis == words


def test_check_says_nothing_of_rounding_where_a_sign_is_wrong():
    def backward(dout, x):
        return {"x": x * 0.3989422804 * np.exp(-0.5 * x * x) * dout}

    verdict = sb.check(lambda x: np.exp(-x * x / 2) / np.sqrt(2 * np.pi), backward, shapes=VECTOR)
    assert verdict.status == "REFUTED"
    assert "rounded" not in verdict.diagnosis


def test_without_rounding_leaves_short_decimals_alone():
    pair = trace_pair(lambda x: x / 3, lambda dout, x: {"x": 0.33 * dout}, VECTOR)
    assert without_rounding(pair.forward, pair.backward) == (pair.backward, ())


@pytest.mark.parametrize("wrong", [lambda dout, x: {"x": 0 * dout}, lambda dout, x: {"x": 2e-34 * dout}])
def test_check_takes_no_tiny_constant_for_zero(wrong):
    verdict = sb.check(lambda x: 1e-34 * x, wrong, shapes=VECTOR)
    assert verdict.status in ("REFUTED", "MALFORMED")


@pytest.mark.parametrize(
    "forward",
    [lambda x: np.exp(x - 20000), lambda x: np.log(1 + np.exp(x - 20000)), lambda x: 1 / (1 + np.exp(20000 - x))],
)
def test_exp_of_what_varies_is_no_zero(forward):
    """A wrong proof would be there at once; the rest of the time is a search for numbers, all of which are zero."""
    assert sb.check(forward, lambda dout, x: {"x": 0 * dout}, shapes=VECTOR, seconds=2).status != "PROVED"


def test_exp_of_a_masks_constant_counts_as_zero_and_says_so():
    def forward(x, m):
        return np.where(m > 0, np.exp(x), np.exp(-1e9))

    def backward(dout, x, m):
        return {"x": dout * np.where(m > 0, np.exp(x), 0)}

    verdict = sb.check(forward, backward, shapes={"x": ("N",), "m": ("N",)}, assume={"m": "bern"})
    assert verdict.status == "PROVED"
    assert "exp(-1000000000) counts as 0, as it is in float64" in verdict.conditions
