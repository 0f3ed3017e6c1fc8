"""What holds of the judge whatever is asked: without a proof nothing is PROVED, no difference is too small, and what
names and sizes mean does not depend on the case."""

import random

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking import decide
from symbackprop.checking.check import Case, _telling_symbols
from symbackprop.checking.proof_search import Attempt
from symbackprop.checking.question import Question, _places
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.trace_agreement import _Pair
from symbackprop.evaluation.exact import Evaluator
from symbackprop.evaluation.number_types import ball, dual


def relu_backward(mask):
    def backward(dout, x, w):
        g = (dout @ w.T) * mask(x @ w.T)
        return {"x": g @ w, "w": np.maximum(x @ w.T, 0).T @ dout + g.T @ x}

    return backward


def running_sum(x):
    s, y = 0.0, np.zeros_like(x)
    for t in range(len(x)):
        s = 0.5 * s + x[t]
        y[t] = s
    return y


def running_sum_back(dout, x):
    g, dx = 0.0, np.zeros_like(x)
    for t in reversed(range(len(x))):
        g = 0.5 * g + dout[t]
        dx[t] = g
    return {"x": dx}


CORPUS = {
    "product": (lambda x, w: x @ w, lambda dout, x, w: {"x": dout @ w.T, "w": x.T @ dout}, ("N", "D"), ("D", "M")),
    "open": (lambda x, w: np.maximum(x @ w.T, 0) @ w, relu_backward(lambda z: z > 0), ("N", "D"), ("M", "D")),
    "closed": (lambda x, w: np.maximum(x @ w.T, 0) @ w, relu_backward(lambda z: z >= 0), ("N", "D"), ("M", "D")),
    "steps": (running_sum, running_sum_back, ("N",)),
}


def asked(name):
    forward, backward, *shapes = CORPUS[name]
    return forward, backward, dict(zip("xw", shapes, strict=False))


@pytest.mark.parametrize("name", CORPUS)
def test_nothing_is_proved_without_a_proof(name, monkeypatch):
    forward, backward, shapes = asked(name)
    assert sb.check(forward, backward, shapes=shapes).scope == "all sizes"
    monkeypatch.setattr(decide, "search_proof", lambda sides, pairs, *_: Attempt(tuple(pairs), (), "none was found"))
    verdict = sb.check(forward, backward, shapes=shapes, seconds=1.0)
    assert (verdict.status, verdict.scope) == ("UNDECIDED", "")


@pytest.mark.parametrize("claimed", [1e-25, 1e-40, 1e-80, 1e-150])
def test_no_difference_is_too_small(claimed):
    verdict = sb.check(lambda x: x**2, lambda dout, x: {"x": 2 * x * dout + claimed * x * dout}, shapes={"x": ("N",)})
    assert verdict.status == "REFUTED"


@pytest.mark.parametrize(
    "forward, shapes, symbols",
    [
        (lambda x, w: x @ w, {"x": ("N", "D"), "w": ("D", "M")}, {"N", "D", "M"}),
        (lambda x, w: np.concatenate([x, w]), {"x": ("N", "D"), "w": ("M", "D")}, {"N", "M"}),
        (lambda x, w: x[1:] * w, {"x": ("N", "D"), "w": ("D",)}, {"N"}),
    ],
    ids=["none", "sum", "difference"],
)
def test_sizes_to_state_are_those_that_others_are_computed_from_or_all(forward, shapes, symbols):
    case = Case(forward, lambda dout, x, w: {"x": 0 * x, "w": 0 * w}, shapes, {}, None)
    assert set(_telling_symbols(case.trace(None, 20.0))) == symbols


@pytest.mark.parametrize("last", ["sigmoid", "identity", "tanh"])
def test_f_is_the_function_of_the_hidden_layers_whatever_the_last_one_has(last):
    net = sb.Network([3, 4, 2], activation=["tanh", last], cost="squared_error")
    verdict = sb.verify(net, "delta2[n,i]", "sum(j, W2[j,i]*delta3[n,j]) * f_prime(z2[n,i])")
    assert verdict.status == "PROVED"


def asked_about_product():
    case = Case(*CORPUS["product"][:2], {"x": ("N", "D"), "w": ("D", "M")}, {}, None)
    return case.trace(None, 20.0)


@pytest.mark.parametrize("first", [None, (0, 0), (5, 7), (299, 39), 1, 2, -1], ids=str)
def test_each_direction_has_a_number_of_its_own(first):
    traced = asked_about_product()
    names = dict.fromkeys(n for t in traced.forward.inputs for n in t.shape)
    values = dict(zip(names, (300, 40, 2), strict=True))
    tensors = list(traced.forward.inputs)
    forward = Evaluator(traced.forward, dual(ball(128)))
    if isinstance(first, int):  # one that is among those examined
        first = [p for t, p in _places(forward, values, tensors, {}) if t is tensors[0]][first]
    found = _places(forward, values, tensors, {} if first is None else {tensors[0]: first})
    assert sorted(found.values()) == list(range(len(found)))
    assert first is None or (tensors[0], first) in found
    assert {t for t, _ in found} == set(tensors)


def test_enclosures_are_those_of_the_program_that_is_asked():
    traced = asked_about_product()
    question = Question(traced.forward, traced.backward, {}, traced.upstream)
    sampler = Sampler(question, random.Random(0))
    pair = _Pair(None, None, traced, {}, 0.0)
    for point in (sampler.point(sizes) for sizes in sampler.size_choices()[:2]):
        for program in (traced.forward, traced.backward, traced.forward):
            assert set(program.outputs) <= set(pair.enclosed(program, point))
