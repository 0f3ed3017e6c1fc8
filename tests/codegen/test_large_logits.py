"""Formulas of one's own are finite for large |z|, as the named ones are."""

import numpy as np
import pytest

import symbackprop as sb

CROSS_ENTROPY = ["-y*log(h) - (1-y)*log(1-h)", "-(y*log(h) + (1-y)*log(1-h))", "-y*log(h) - log(1-h) + y*log(1-h)"]
TANH = ["(exp(z)-exp(-z))/(exp(z)+exp(-z))", "(1-exp(-2*z))/(1+exp(-2*z))", "(exp(2*z)-1)/(exp(2*z)+1)"]
TENS = (-1e4, -750.0, -20.0, -0.3, 0.0, 2.0, 40.0, 1e4)


def test_a_branch_that_is_not_taken_raises_no_warning():
    f = sb.compile(sb.Network([1, 1], activation="elu", cost="squared_error"))
    for z, expected in ((1000.0, 1000.0), (-1000.0, -1.0)):
        with np.errstate(all="raise", under="ignore"):
            J, grads = f({"W1": np.array([[z]]), "b1": np.zeros(1)}, np.ones((1, 1)), np.zeros((1, 1)))
        assert pytest.approx(expected**2 / 2) == J
        assert grads["b1"].item() == pytest.approx(1000.0 if z > 0 else 0.0)


def results(net, backend, dtype):
    f = sb.compile(net, backend, dtype)
    found = []
    with np.errstate(all="ignore"):
        for z in TENS:
            W, X = np.array([[z]], dtype), np.ones((1, 1), dtype)
            J, grads = f({"W1": W, "b1": np.zeros(1, dtype)}, X, np.zeros((1, 1), dtype))
            found.append([J, *(g.item() for g in grads.values())])
    return np.array(found)


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("own", "named"),
    [(("sigmoid", cost), ("sigmoid", "cross_entropy")) for cost in CROSS_ENTROPY]
    + [((tanh, "squared_error"), ("tanh", "squared_error")) for tanh in TANH],
)
def test_own_formula_is_as_finite_as_the_named_one(own, named, backend, dtype):
    first, second = (
        results(sb.Network([1, 1], activation=a, cost=c), b, d)
        for (a, c), b, d in ((own, backend, dtype), (named, "numpy", "float64"))
    )
    assert np.isfinite(first).all()
    np.testing.assert_allclose(first, second, rtol=1e-12 if dtype == "float64" else 1e-5, atol=1e-6)
