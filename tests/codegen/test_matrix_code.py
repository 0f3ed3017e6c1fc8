"""Code for inverses, determinants and Cholesky factors: NumPy's own functions and differences say what is right."""

from __future__ import annotations

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking.generated_code import examined_code


def gaussian(x, mean, cov):
    d = x - mean
    return 0.5 * np.sum(d * np.linalg.solve(cov, d.T).T) + 0.5 * x.shape[0] * np.linalg.slogdet(cov)[1]


def whitened(x, cov):
    lower = np.linalg.cholesky(cov)
    z = np.linalg.solve(lower, x)
    return 0.5 * np.sum(z * z) + np.sum(np.log(np.diag(lower)))


def batches(a, b):
    return np.sum(np.linalg.inv(a) @ b) + np.sum(np.linalg.det(a))


def chained(a, b):
    return np.sum(np.linalg.inv(np.linalg.inv(a) @ b + a).T * a)


SIZES = {"N": 3, "D": 4, "B": 2, "M": 5}
CASES = [
    (gaussian, {"x": ("N", "D"), "mean": ("D",), "cov": ("D", "D")}, {"cov": "spd"}),
    (whitened, {"x": ("D",), "cov": ("D", "D")}, {"cov": "spd"}),
    (batches, {"a": ("B", "D", "D"), "b": ("B", "D", "M")}, {}),
    (chained, {"a": ("D", "D"), "b": ("D", "D")}, {}),
]


@pytest.mark.parametrize(("function", "shapes", "assume"), CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_compile_of_matrices_gives_values_and_slopes(function, shapes, assume):
    rng = np.random.default_rng(5)
    inputs = {n: rng.normal(size=[SIZES[s] for s in shape]) for n, shape in shapes.items()}
    if "cov" in inputs:
        inputs["cov"] = inputs["cov"] @ inputs["cov"].T + np.eye(4)
    code = sb.compile(sb.trace(function, shapes, assume))
    assert "np.linalg." in code.source
    found = code(**inputs)
    assert np.allclose(found["out"], function(**inputs), rtol=1e-10)
    for name, value in inputs.items():
        step = rng.normal(size=value.shape)
        step = step + step.T if name == "cov" else step
        ends = [function(**{**inputs, name: value + h * step}) for h in (1e-6, -1e-6)]
        assert np.isclose((ends[0] - ends[1]) / 2e-6, np.sum(step * found[f"{name}_bar"]), rtol=1e-5, atol=1e-6)


def test_compile_of_matrices_in_c_is_refused_by_name():
    program = sb.trace(lambda a: np.sum(np.linalg.inv(a)), {"a": ("D", "D")})
    with pytest.warns(RuntimeWarning, match="the inverse of a matrix has no C form"):
        assert examined_code(program, "c", "float64").backend == "numpy"
