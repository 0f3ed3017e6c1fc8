"""Numbers that become too large for floating point: where, and what to do."""

import numpy as np

import symbackprop as sb
from symbackprop.checking.overflow import overflow
from symbackprop.checking.trace_agreement import agree_with_numpy
from symbackprop.evaluation.point import Point
from symbackprop.frontends.numpy.traced import trace, trace_pair


def layers(depth, plus=0):
    """exp upon exp; each of them is in range where what comes from below is small."""

    def forward(x, **W):
        for k in range(depth):
            x = np.exp(x @ W[f"W{k}"] + plus)
        return x

    def backward(dout, x, **W):
        saved, d, g = [], dout, {}
        for k in range(depth):
            saved.append(x)
            x = np.exp(x @ W[f"W{k}"] + plus)
        for k in reversed(range(depth)):
            dz = d * x
            x = saved[k]
            g[f"W{k}"], d = x.T @ dz, dz @ W[f"W{k}"].T
        return {"x": d, **g}

    return forward, backward, {"x": ("N", "D"), **{f"W{k}": ("D", "D") for k in range(depth)}}


def test_the_first_that_overflows_is_told_with_its_round():
    program = trace(layers(3)[0], layers(3)[2])
    inputs = {t: np.full((1, 1), 3.0) for t in program.inputs}
    point = Point({s: 1 for t in program.inputs for s in t.shape}, inputs)
    _, second, _ = (e.tensor for e in program.equations if e.note == "line 17")
    told = overflow(program.equations, {second: "x"}, point)
    assert told.startswith(
        "numbers overflow at the points tried, at N = 1, D = 1 first in line 17 in round 2 of 3 (x); "
    )
    assert overflow(program.equations, {}, Point(point.sizes, {t: 0 * a for t, a in inputs.items()})) == ""


def test_numbers_that_overflow_are_no_quotients_by_nothing():
    program = trace(lambda x: 1 / np.log(x * 0), {"x": ("N",)})
    (x,) = program.inputs
    assert overflow(program.equations, {}, Point({x.shape[0]: 1}, {x: np.ones(1)})) == ""


def test_layers_that_overflow_are_asked_about_where_inputs_are_small():
    forward, backward, shapes = layers(6)
    assert sb.check(forward, backward, shapes=shapes).for_all_sizes


def test_why_numpy_could_not_be_asked_about_a_deep_model_is_told():
    forward, backward, shapes = layers(5, plus=6)
    reason = agree_with_numpy(trace_pair(forward, backward, shapes), forward, backward)
    assert "could not be asked" in reason and "elsewhere numbers overflow at the points" in reason
    assert "in round" in reason and "or with fewer layers" in reason


def test_a_gradient_that_is_wrong_in_a_rare_branch_beside_a_wrong_one_is_told():
    def forward(x, w, u):
        s = np.where(np.sum(x * x) > 1e30, 3 * x, x)
        return s * w + u

    def backward(dout, x, w, u):
        s = np.where(np.sum(x * x) > 1e30, 3 * x, x)
        return {"x": dout * w, "w": 2 * dout * s, "u": dout}

    verdict = sb.check(forward, backward, shapes={"x": ("N",), "w": ("N",), "u": ("N",)})
    assert verdict.wrong == ("w",) and "proved right: u" in verdict.notes
    assert "x: right wherever sum(n, x[n]*x[n]) <= 1e+30 (proved); elsewhere not decided" in verdict.notes
