"""Formulas of whole arrays: NumPy is the oracle of what they mean."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

import symbackprop as sb
from symbackprop.checking.verify import network_scope
from symbackprop.codegen.program import compile_program
from symbackprop.errors import FormulaError, NetworkError, SymbackpropError
from symbackprop.expression.build import Entry, Tensor
from symbackprop.expression.program import Equation, Program
from symbackprop.frontends.matrix_formula import own_indices, read_arrays

NET = sb.Network([3, 5, 4], activation="tanh", cost="squared_error")
SCOPE = network_scope(NET)
RANDOM = np.random.default_rng(3)
VALUES = {
    "x": RANDOM.normal(size=(6, 3)),
    "z2": RANDOM.normal(size=(6, 5)),
    "a2": RANDOM.normal(size=(6, 5)),
    "delta2": RANDOM.normal(size=(6, 5)),
    "delta3": RANDOM.normal(size=(6, 4)),
    "W1": RANDOM.normal(size=(5, 3)),
    "W2": RANDOM.normal(size=(4, 5)),
    "b1": RANDOM.normal(size=5),
}


@pytest.mark.parametrize(
    "left, text",
    [
        ("dJ_dW2", "delta3.T @ a2"),
        ("delta2", "(delta3 @ W2) * (1 - np.tanh(z2)**2)"),
        ("z2", "x @ W1.T + b1"),
        ("dJ_db1", "delta2.sum(axis=0)"),
        ("dJ_db1", "delta2.mean(0) - 2"),
        ("J", "(delta2 * a2).sum() / 3"),
        ("J", "-(a2 + b1).mean(axis=-1).sum()"),
        ("dJ_dW2", "W2 * 0.5 + (a2.T @ delta3).T"),
        ("dJ_db1", "(W1 @ x.T).T.sum(axis=0)"),
        ("delta2", "np.exp(a2) / (1 + np.exp(a2 + b1))"),
    ],
)
def test_read_arrays_means_what_numpy_means(left, text):
    tensor = SCOPE.tensors[left]
    indices = own_indices(tensor)
    value = read_arrays(text.replace("np.", ""), indices, SCOPE)
    inputs = tuple(SCOPE.tensors[name] for name in VALUES)
    out = Tensor("out", tensor.shape)
    program = Program(inputs, (Equation(out, indices, value),), (out,))
    found = compile_program(program)(**VALUES)["out"]
    expected = eval(text, {"np": np, **VALUES})
    assert np.allclose(found, expected)


@pytest.mark.parametrize(
    "claim, status",
    [
        ("dJ/dW2 = delta3.T @ a2", "PROVED"),
        ("dJ/dW2[i,j] = delta3.T @ a2", "PROVED"),
        ("delta2 = (delta3 @ W2) * (1 - a2**2)", "PROVED"),
        ("delta2 = delta3 @ W2", "REFUTED"),
        ("dJ/db1 = delta2.sum(axis=0)", "PROVED"),
        ("dJ/db1 = delta2.mean(axis=0)", "REFUTED"),
        ("J = ((a3 - y)**2).sum() / (2*m)", "PROVED"),
        ("dJ/dW2 = a2.T @ delta3", "MALFORMED"),
        ("delta2 = W2.T @ delta3", "MALFORMED"),
        ("dJ/db1 = sum(n, delta2[n,i])", "MALFORMED"),
        ("delta2 = delta3 @ 2", "MALFORMED"),
        ("delta2 = delta3.foo", "MALFORMED"),
        ("delta2 = delta3.sum(axis=5)", "MALFORMED"),
        ("delta2 = delta9 @ W2", "MALFORMED"),
    ],
)
def test_verify_takes_whole_arrays(claim, status):
    assert sb.verify(NET, claim).status == status


def test_shapes_that_do_not_fit_are_shown():
    verdict = sb.verify(NET, "delta2", "W2.T @ delta3 * f_prime(z2)")
    assert verdict.reason == (
        "the shapes do not fit\n    W2.T @ delta3 * f_prime(z2)\n    ^^^^^^^^^^^^^\n"
        "  shape:  (s_2, s_3)\n  shape:  (m, s_3)\n"
        "help: examples are rows here: x, z, a and delta are (m, s), W is (receives, sends)"
    )


def test_latex_is_answered_by_how_to_write_it():
    verdict = sb.verify(NET, "delta2", r"f'(z) + \sum_j W_{ji} \delta_j")
    assert verdict.status == "MALFORMED"
    assert verdict.reason == (
        "this is LaTeX; a formula is written in Python's syntax\n    f'(z) + \\sum_j W_{ji} \\delta_j\n"
        "            ^^^^\nhelp: \\sum_j W^{(2)}_{ji} \\delta^{(3)}_{nj} is written sum(j, W2[j,i]*delta3[n,j])"
    )


def test_caret_stands_under_the_guilty_part():
    for text, line, guilty in (
        ("a2[n,i] * ζζ + qq[n,i]", "a2[n,i] * ζζ + qq[n,i]", "ζζ"),
        ("(a2[n,i] +\n 3*qq[n,i])", " 3*qq[n,i])", "qq"),
        ("a2[n,i] + delta3[n,i]) + 1", "a2[n,i] + delta3[n,i]) + 1", ")"),
        ("a2[n,i] + delta3[n,i]*", "a2[n,i] + delta3[n,i]*", "*"),
    ):
        shown = sb.verify(NET, "delta2[n,i]", text).reason.splitlines()
        assert shown[1] == "    " + line
        start = shown[2].index("^")
        assert shown[1][start : start + len(guilty)] == guilty


z, h, y = sp.symbols("z h y")


@pytest.mark.parametrize("name", ["sinh", "cosh", "tan", "asinh", "atanh", "arcsinh", "erfc", "log1p", "expm1", "sech"])
def test_functions_of_sympy_are_written_out(name):
    """The oracle is NumPy or SciPy at points, and a complex step for the slope."""
    special = pytest.importorskip("scipy.special")
    function = {"erfc": special.erfc, "sech": lambda t: 1 / np.cosh(t), "asinh": np.arcsinh, "atanh": np.arctanh}.get(
        name, getattr(np, name, None)
    )
    net = sb.Network([1, 1], activation=f"{name}(t/3)", cost="(h - y)**2")
    params = {"W1": np.array([[1.0]]), "b1": np.array([0.25])}
    X, Y = np.array([[0.5], [-0.4]]), np.zeros((2, 1))
    f = sb.compile(net)
    assert np.allclose(f.predict(params, X), function((X + 0.25) / 3))
    slope = np.imag(np.mean(function((X + 0.25 + 1e-30j) / 3) ** 2)) / 1e-30
    assert np.allclose(f(params, X, Y)[1]["b1"], slope)


@pytest.mark.parametrize("given", ["zeta(z)", "LambertW(z)", "zeta", sp.zeta(z), sp.airyai(z) + z, sp.LambertW(z)])
def test_functions_that_cannot_be_written_out_are_refused_by_name(given):
    with pytest.raises((FormulaError, NetworkError), match=r"(zeta|airyai|LambertW) has no counterpart here"):
        sb.Network([3, 4], activation=given, cost="squared_error")
    with pytest.raises(SymbackpropError, match="zeta has no counterpart here"):
        sb.Network([3, 4], cost=sp.zeta(h - y))


def test_shapes_as_text_are_answered_by_tuples():
    def double(x):
        return 2 * x

    def backward(dout, x):
        return {"x": 2 * dout}

    for shape, written in (
        ("N D", '("N", "D")'),
        ("(N, D)", '("N", "D")'),
        ("N", '("N",)'),
        (3, "(3,)"),
        ("4 D", '(4, "D")'),
    ):
        assert f"help: write {written}" in sb.check(double, backward, shapes={"x": shape}).reason


@pytest.mark.parametrize("cast", [False, True])
def test_labels_that_are_not_said_to_be_are_asked_for(cast):
    def pick(x, y):
        return x[np.arange(x.shape[0]), y.astype(int) if cast else y].sum()

    verdict = sb.check(pick, lambda x, y: {"x": x}, shapes={"x": ("N", "C"), "y": ("N",)})
    assert 'help: if y holds class numbers, say so: assume={"y": "labels:C"}' in verdict.reason


def test_entries_of_a_claim_stay_as_they_are():
    assert isinstance(read_arrays("a2", own_indices(SCOPE.tensors["a2"]), SCOPE), Entry)
