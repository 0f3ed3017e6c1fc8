"""What somebody meets in the first minutes: what a prompt shows, copies, pickles."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking.verdict import Verdict

NET = sb.Network([3, 5, 4], activation="tanh", cost="squared_error", l2="lambda/(2*m)")


def forward(x, w):
    return np.tanh(x @ w)


def backward(dout, x, w):
    slope = dout * (1 - np.tanh(x @ w) ** 2)
    return {"x": slope @ w.T, "w": x.T @ slope}


SHAPES = {"x": ("N", "D"), "w": ("D", "M")}


def shown_things():
    proof = sb.prove(NET)
    program = sb.trace(forward, SHAPES)
    return {
        "network": NET,
        "program": proof.program,
        "traced": program,
        "equation": proof.program.equations[0],
        "proof": proof,
        "theorem": proof.theorems[-1],
        "derivation": proof.theorems[-1].derivation,
        "step": proof.theorems[0].steps[0],
        "gradient": proof.gradient,
        "verdict": sb.verify(NET, "delta3[n,k]", "(a3[n,k] - y[n,k])/m"),
        "checked": sb.check(forward, backward, shapes=SHAPES),
        "compiled": sb.compile(NET),
        "compiled program": sb.compile(program),
    }


THINGS = shown_things()


@pytest.mark.parametrize("name", THINGS)
def test_repr_is_a_line(name):
    text = repr(THINGS[name])
    assert "\n" not in text and len(text) <= 200
    assert text.startswith(type(THINGS[name]).__name__ + "(")


def test_repr_names_what_it_is():
    assert repr(THINGS["proof"]) == "Proof(PROVED: Gradients of a 3-5-4 network: tanh units, squared error; 8 theorems)"
    assert repr(THINGS["traced"]).startswith("Program(forward: x, w -> ")
    assert repr(THINGS["equation"]) == "Equation(z2[n,i] = sum(j, W1[i,j]*x[n,j]) + b1[i])"
    assert repr(THINGS["checked"]) == "Verdict(PROVED: gradients of forward: x, w; all sizes)"
    assert repr(THINGS["compiled"]) == "CompiledNetwork([3, 5, 4], backend='numpy', dtype='float64')"


def test_print_is_the_long_form():
    proof = THINGS["proof"]
    assert str(proof.program).splitlines()[1:] == ["  " + str(equation) for equation in proof.program.equations]
    theorem = proof.theorems[0]
    assert str(theorem).count("\n") == 1 + 2 * len(theorem.steps) + len(theorem.conditions)
    assert str(theorem.derivation).count("  = ") >= len(theorem.steps)


def test_a_copied_network_equals_its_original():
    for other in (copy.copy(NET), copy.deepcopy(NET), pickle.loads(pickle.dumps(NET))):
        assert other == NET and hash(other) == hash(NET)
    assert sb.Network([3, 5, 4]) == sb.Network([3, 5, 4])
    different = ([3, 5, 5], {}), ([3, 5, 4], {"l2": "lambda"}), ([3, 5, 4], {"reduction": "sum"})
    assert all(sb.Network(layers, **options) != sb.Network([3, 5, 4]) for layers, options in different)
    assert sb.Network([3, 4]) != "Network"


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_compiled_networks_pickle_and_copy(backend):
    f = sb.compile(NET, backend)
    params, X, Y = NET.init(seed=1), np.linspace(-1, 1, 21).reshape(7, 3), np.linspace(0, 1, 28).reshape(7, 4)
    J, grads = f(params, X, Y, lam=0.5)
    for again in (pickle.loads(pickle.dumps(f)), copy.deepcopy(f), copy.copy(f)):
        other, others = again(params, X, Y, lam=0.5)
        assert again.backend == f.backend and other == J and again.source == f.source
        assert all(np.array_equal(others[name], grads[name]) for name in grads)


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_compiled_programs_pickle_and_copy(backend):
    f = sb.compile(sb.trace(lambda x, w: np.tanh(x @ w), SHAPES), backend)
    given = {"x": np.ones((2, 3)), "w": np.full((3, 4), 0.25), "dout": np.ones((2, 4))}
    expected = f(**given)
    for again in (pickle.loads(pickle.dumps(f)), copy.deepcopy(f), copy.copy(f)):
        assert again.backend == f.backend
        found = again(**given)
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_a_verdict_without_a_reason_has_a_repr():
    assert repr(Verdict("UNDECIDED", "J")) == "Verdict(UNDECIDED: J)"
