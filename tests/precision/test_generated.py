"""Generated code obeys what is asked of users: every program here is searched in both dtypes, on NumPy."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.precision.generated import precision_of_code


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def ratio(x):
    e = np.exp(x)
    return e / (1 + e)


def tanh(x):
    return np.tanh(x)


def softplus(x):
    return np.log(1 + np.exp(x))


def expm1(x):
    return np.expm1(np.minimum(x, 80))


def log1p(x):
    return np.log1p(x**2)


def silu(x):
    return x / (1 + np.exp(-x))


def cross_entropy(z, y):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return -(y * np.log(e / e.sum(axis=1, keepdims=True))).sum(axis=1)


def layer_norm(z):
    c = z - z.mean(axis=1, keepdims=True)
    return c / np.sqrt((c**2).mean(axis=1, keepdims=True) + 1e-3)


PROGRAMS = [
    (sigmoid, {"x": ("N",)}, {}),
    (ratio, {"x": ("N",)}, {}),
    (tanh, {"x": ("N",)}, {}),
    (softplus, {"x": ("N",)}, {}),
    (expm1, {"x": ("N",)}, {}),
    (log1p, {"x": ("N",)}, {}),
    (silu, {"x": ("N",)}, {}),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("function", "shapes", "assume"), PROGRAMS, ids=[f.__name__ for f, _, _ in PROGRAMS])
def test_compiled_gradients_are_safe(function, shapes, assume, dtype):
    found = precision_of_code(sb.trace(function, shapes, assume), dtype)
    assert found.safe is True, found.text
