"""Whole arrays at a point against the evaluator that follows the definitions entry by entry."""

from __future__ import annotations

import random

import numpy as np
import pytest

from symbackprop.calculus.reverse_mode import differentiate
from symbackprop.checking.question import Question
from symbackprop.checking.sample_points import Sampler
from symbackprop.errors import UnsupportedError
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.exact import evaluate
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, contraction, multiply, number
from symbackprop.expression.program import Equation, Program
from symbackprop.frontends.numpy.traced import trace

SHAPES = {"x": ("N", "D"), "w": ("D", "D"), "y": ("N",)}


def softmax_picked(x, w, y):
    s = x @ w / np.sqrt(x.shape[1])
    p = np.exp(s - s.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    return p[np.arange(x.shape[0]), y]


def branches(x, w, y):
    a = np.where(x > 0.5, np.tanh(x @ w), np.maximum(x, -1.0) ** 2)
    return np.concatenate([a[:, :1], np.abs(a[:, 1:])], axis=1).T


def gathered(x, w, y):
    out = np.zeros_like(w)
    out[y] += 1 / (1 + np.exp(-x))
    return out * w[::-1]


def halves(x, w, y):
    return np.argmax(x, axis=1) * x[:, 0] + np.sort(x, axis=1)[:, -1] + np.cumsum(x, axis=0)[:, 0]


PROGRAMS = {f.__name__: f for f in (softmax_picked, branches, gathered, halves)}


@pytest.fixture(params=PROGRAMS)
def program(request):
    return trace(PROGRAMS[request.param], SHAPES, {"y": "labels:D"})


def point(program, seed):
    sampler = Sampler(Question(program, program, {}), random.Random(seed))
    return sampler.point(sampler.size_choices()[seed % 2])


def named(program, at):
    sizes = {s.name: n for s, n in at.sizes.items()}
    return evaluate(program, sizes, {t.name: a for t, a in at.inputs.items()})


@pytest.mark.parametrize("seed", range(4))
def test_arrays_are_those_of_the_evaluator(program, seed):
    at = point(program, seed)
    found = Vectors(at)
    found.run(program.equations)
    right = named(program, at)
    assert program.equations
    for equation in program.equations:
        assert found.arrays[equation.tensor].shape == right[equation.tensor.name].shape
        np.testing.assert_allclose(found.arrays[equation.tensor], right[equation.tensor.name], rtol=1e-12, atol=1e-14)


def test_adjoint_of_a_cost_is_that_of_the_evaluator():
    program = trace(lambda x, w, y: softmax_picked(x, w, y).sum(), SHAPES, {"y": "labels:D"})
    gradient = differentiate(program, name=lambda t: f"{t.name}_bar")
    at = point(program, 1)
    found = Vectors(at)
    found.run(gradient.adjoint.equations)
    right = named(gradient.adjoint, at)
    for tensor in gradient.cotangents.values():
        np.testing.assert_allclose(found.arrays[tensor], right[tensor.name], rtol=1e-10, atol=1e-12)


def test_edited_lines_change_what_depends_on_them_and_nothing_else(program):
    first, last = program.equations[0], program.equations[-1]
    doubled = Equation(first.tensor, first.indices, multiply(number(2), first.value))
    at = point(program, 0)
    found = Vectors(at)
    found.run(program.equations)
    before = {e.tensor: found.arrays[e.tensor].copy() for e in program.equations}
    after = found.edited({first.tensor: doubled}, program.equations)
    inputs, equations = program.inputs, (doubled, *program.equations[1:])
    right = named(Program(inputs, equations, program.outputs, assumptions=program.assumptions), at)
    np.testing.assert_allclose(after.arrays[last.tensor], right[last.tensor.name], rtol=1e-12, atol=1e-14)
    for tensor, array in before.items():
        np.testing.assert_array_equal(found.arrays[tensor], array)


def test_trials_side_by_side_are_what_each_gives_alone(program):
    first, last = program.equations[0], program.equations[-1]
    if first is last:
        pytest.skip("one line")
    at = point(program, 0)
    found = Vectors(at)
    found.run(program.equations)
    base = found.arrays[first.tensor].astype(float)
    trials = np.stack([base, 2 * base, base + 0.125])
    together = found.changed({first.tensor: trials}, program.equations, trials=True)
    for k, trial in enumerate(trials):
        alone = found.changed({first.tensor: trial}, program.equations)
        row = together.arrays[last.tensor]
        row = row[k] if last.tensor in together.trials else row
        np.testing.assert_allclose(row, alone.arrays[last.tensor], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("beyond, guarded", [(np.nan, False), (0.0, True)])
def test_points_side_by_side_are_what_each_is_alone(program, beyond, guarded):
    points = [point(program, seed) for seed in (0, 2, 4)]
    every = Vectors.of_all(points, beyond, guarded=guarded)
    every.run(program.equations)
    for k, at in enumerate(points):
        alone, found = Vectors(at, beyond, guarded=guarded), every.only(k)
        alone.run(program.equations)
        assert alone.arrays.keys() == found.arrays.keys() and not found.trials
        for tensor, array in alone.arrays.items():
            np.testing.assert_allclose(found.arrays[tensor], array, rtol=1e-14, atol=0)
        last = program.equations[-1]  # one point alone can be asked for more, and for what it would be otherwise
        np.testing.assert_allclose(found.over(last.value, last.indices), alone.arrays[last.tensor], rtol=1e-14, atol=0)
    with pytest.raises(UnsupportedError):
        Vectors.of_all([points[0], point(program, 1)])


def test_a_product_with_something_infinite_is_guarded_whatever_the_sum_of_it_is():
    n = Symbol("N", "size")
    i, x, y, out = Index("i", n), Tensor("x", (n,)), Tensor("y", (n,)), Tensor("out", (n,))
    line = Equation(out, (i,), multiply(Entry(x, (i,)), Entry(y, (i,))))
    for own, right in [
        ([np.inf, -np.inf, 2.0], [0, 0, 2]),
        ([np.nan, 1.0, 2.0], [0, 0, 2]),
        ([1e308, 1.0, 2.0], [0, 0, 2]),
    ]:
        found = Vectors(Point({n: 3}, {x: np.array(own), y: np.array([0.0, 0.0, 1.0])}), guarded=True)
        with np.errstate(all="ignore"):
            found.run([line])
        np.testing.assert_array_equal(found.arrays[out], right)


def test_entries_outside_are_no_number():
    n = Symbol("N", "size")
    i, x, out = Index("i", n), Tensor("x", (n,)), Tensor("out", (n,))
    beyond = Equation(out, (i,), Entry(x, (number(9),)))
    found = Vectors(Point({n: 3}, {x: np.array([1.0, 2.0, 4.0])}))
    found.run([beyond])
    assert np.isnan(found.arrays[out]).all()


def test_very_large_arrays_are_refused():
    n = Symbol("N", "size")
    x, out = Tensor("x", (n,)), Tensor("out", (n,))
    i = Index("i", n)
    value = contraction(
        "j", n, lambda j: contraction("k", n, lambda k: multiply(Entry(x, (i,)), Entry(x, (j,)), Entry(x, (k,))))
    )
    found = Vectors(Point({n: 200}, {x: np.ones(200)}))
    with pytest.raises(UnsupportedError, match="very large"):
        found.run([Equation(out, (i,), value)])
