"""Scalar functions: definitions against their closed forms, slopes against complex step, kinks, and errors."""

import cmath
import math

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from symbackprop.errors import NetworkError
from symbackprop.expression.functions import (
    ACTIVATIONS,
    FUNCTIONS,
    activation,
    arbitrary,
    defined,
    derivative,
    is_arbitrary,
    z,
)

CLOSED = {
    "identity": lambda t: t,
    "sigmoid": lambda t: 1 / (1 + cmath.exp(-t)),
    "tanh": cmath.tanh,
    "relu": lambda t: t if t.real > 0 else 0 * t,
    "leaky_relu": lambda t: t if t.real > 0 else t / 100,
    "softplus": lambda t: cmath.log(1 + cmath.exp(t)),
    "elu": lambda t: t if t.real > 0 else cmath.exp(t) - 1,
    "silu": lambda t: t / (1 + cmath.exp(-t)),
    "gelu_tanh": lambda t: t / 2 * (1 + cmath.tanh(math.sqrt(2 / math.pi) * (t + 0.044715 * t**3))),
    "abs": lambda t: t if t.real > 0 else -t,
    "exp": cmath.exp,
    "sin": cmath.sin,
    "cos": cmath.cos,
}
VALUES = st.floats(-6, 6).filter(lambda t: abs(t) > 1e-3)


def number(definition: sp.Expr, t: float) -> float:
    step = sp.Function("step")
    return float(
        definition.replace(step, lambda a: sp.Integer(1 if a > 0 else 0)).subs(z, t)
        if not definition.has(step)
        else definition.subs(z, sp.Float(t)).replace(step, lambda a: sp.Integer(1 if a > 0 else 0))
    )


@pytest.mark.parametrize("name", CLOSED)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(t=VALUES)
def test_definitions_and_slopes_are_those_of_the_closed_forms(name, t):
    function = FUNCTIONS[name]
    if function.definition is not None:
        assert number(function.definition, t) == pytest.approx(CLOSED[name](complex(t)).real, rel=1e-9, abs=1e-12)
    slope = derivative(function).definition
    assert number(slope, t) == pytest.approx(CLOSED[name](complex(t, 1e-30)).imag / 1e-30, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("t", [-2.0, -0.3, 0.7, 3.0])
def test_gelu_is_z_times_the_normal_distribution(t):
    phi = (1 + math.erf(t / math.sqrt(2))) / 2
    density = math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    assert number(FUNCTIONS["gelu"].definition, t) == pytest.approx(t * phi, rel=1e-12)
    assert number(derivative(FUNCTIONS["gelu"]).definition, t) == pytest.approx(phi + t * density, rel=1e-12)


def test_slope_of_relu_is_the_step_and_0_at_0():
    assert str(derivative(FUNCTIONS["relu"]).definition) == "step(z)"
    assert derivative(derivative(FUNCTIONS["relu"])).definition == 0


def test_kinks_are_where_the_slopes_of_both_sides_differ():
    for name in ACTIVATIONS:
        left, right = (CLOSED.get(name, lambda t: t) for _ in range(2))
        if name not in CLOSED:
            continue
        below, above = left(complex(-1e-9, 1e-30)).imag / 1e-30, right(complex(1e-9, 1e-30)).imag / 1e-30
        assert bool(FUNCTIONS[name].kinks) == (abs(below - above) > 1e-3), name


def test_an_arbitrary_function_has_arbitrary_derivatives():
    f = arbitrary("f")
    assert is_arbitrary(f) and is_arbitrary(derivative(f)) and derivative(f).name == "f_prime"
    assert derivative(f) is derivative(arbitrary("f"))
    g = arbitrary("g", 2)
    assert derivative(g, 0).name == "g_prime1" and derivative(g, 1).name == "g_prime2"


def test_a_users_function_is_differentiated_by_sympy():
    swish = defined("swish", z / (1 + sp.exp(-2 * z)))
    assert sp.simplify(derivative(swish).definition - sp.diff(z / (1 + sp.exp(-2 * z)), z)) == 0


def test_an_unknown_activation_names_the_nearest():
    with pytest.raises(NetworkError) as error:
        activation("sigmiod")
    assert str(error.value) == (
        "unknown activation 'sigmiod'\n"
        "  known:  " + ", ".join(ACTIVATIONS) + "\n"
        "  also:   softmax at the output, f (arbitrary), or a SymPy expression\n"
        "help: did you mean 'sigmoid'"
    )
