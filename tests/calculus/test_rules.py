"""The derivative of an expression: each rule in exact form, at random points, with its side condition."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_expressions import FREE, REALS, Generator, Undefined, point, value

from symbackprop.calculus.rules import RULES, mentions, partial
from symbackprop.errors import SymbackpropError, UnsupportedError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Compare,
    Entry,
    Index,
    Position,
    Symbol,
    Tensor,
    add,
    apply,
    contraction,
    divide,
    extremum,
    free_indices,
    kronecker,
    multiply,
    number,
    power,
    where,
)
from symbackprop.expression.functions import EXP, LOG, arbitrary, derivative
from symbackprop.normal_form.normal_form import Canonical

N, M = Symbol("N", "size"), Symbol("M", "size")
x, A, y = Tensor("x", (N,)), Tensor("A", (N, M)), Tensor("y", (N,), "integer")
i, j, p, q, m = Index("i", N), Index("j", N), Index("p", N), Index("q", N), Index("m", M)
X = lambda a: Entry(x, (a,))  # noqa: E731
P, f = X(p), arbitrary("f")


def same(left, right):
    return Canonical().equal(left, right)


@pytest.mark.parametrize(
    ("expr", "slope"),
    [
        (X(i), kronecker(i, p)),
        (number(3), ZERO),
        (Entry(A, (i, m)), ZERO),
        (add(X(i), X(j)), add(kronecker(i, p), kronecker(j, p))),
        (multiply(X(i), X(j)), add(multiply(kronecker(i, p), X(j)), multiply(X(i), kronecker(j, p)))),
        (power(X(i), 3), multiply(number(3), power(X(i), 2), kronecker(i, p))),
        (power(X(i), Fraction(-1, 2)), multiply(number(Fraction(-1, 2)), power(X(i), Fraction(-3, 2)), kronecker(i, p))),
        (divide(ONE, X(i)), multiply(MINUS_ONE, power(X(i), -2), kronecker(i, p))),
        (contraction("t", N, lambda t: power(X(t), 2)), multiply(number(2), P)),
        (apply(f, X(i)), multiply(apply(derivative(f), X(i)), kronecker(i, p))),
        (apply(LOG, X(i)), divide(kronecker(i, p), X(i))),
        (apply(EXP, X(i)), multiply(apply(EXP, X(i)), kronecker(i, p))),
        (where(kronecker(i, j), X(i), ZERO), where(kronecker(i, j), kronecker(i, p), ZERO)),
        (Compare("<", X(i), X(j)), ZERO),
        (extremum("max", "t", N, X), Compare("==", P, extremum("max", "t", N, X))),
        (power(number(2), X(i)), multiply(power(number(2), X(i)), apply(LOG, number(2)), kronecker(i, p))),
    ],
    ids=["entry", "number", "other tensor", "sum", "product", "power", "root", "quotient", "contraction", "function", "log", "exp", "where",
         "compare", "extremum", "exponent"],
)  # fmt: skip
def test_partial_is_the_textbook_slope(expr, slope):
    result = partial(expr, P)
    assert same(result, slope)
    assert free_indices(result) <= free_indices(expr) | {p}


def test_functions_of_two_arguments_follow_both():
    g = arbitrary("g", 2)
    slope = partial(apply(g, X(i), power(X(i), 2)), P)
    here = (X(i), power(X(i), 2))
    both = add(apply(derivative(g, 0), *here), multiply(number(2), X(i), apply(derivative(g, 1), *here)))
    assert same(slope, multiply(both, kronecker(i, p)))


def test_indices_are_no_values():
    """x[y[n]] does not move with y: labels are not differentiated."""
    label = Entry(y, (i,))
    assert not mentions(X(label), Entry(y, (p,)))
    assert partial(X(label), Entry(y, (p,))) is ZERO
    assert same(partial(X(label), P), kronecker(label, p))


def test_a_sum_is_not_captured_by_the_variable():
    total = contraction("p", N, lambda t: multiply(X(t), X(i)))
    slope = add(X(i), multiply(kronecker(i, p), contraction("t", N, X)))
    assert same(partial(total, P), slope)


def test_a_binder_is_not_captured_by_its_own_index():
    """The slope of sum_t x_t by x at an index that is the very node t: 1, not the sum of [t = t]."""
    total = contraction("t", N, X)
    assert same(partial(total, X(total.index)), ONE)
    top = extremum("max", "t", N, X)
    assert same(partial(top, X(top.index)), Compare("==", X(top.index), top))


def test_a_node_without_a_rule_is_refused():
    with pytest.raises(UnsupportedError, match="no derivative rule for Position"):
        partial(Position("max", j, X(j)), P)


def test_every_rule_is_a_row_with_a_statement_and_a_source():
    for name, rule in RULES.items():
        assert rule.name == name and rule.statement.endswith(".") and rule.source


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_partial_is_the_slope_along_one_entry(seed):
    """Against a central difference, at sizes (2, 2, 2, 2), where the expression is smooth."""
    expr = Generator(seed).make(FREE, 3)
    tensor = next((t for t in REALS if t.shape and mentions(expr, Entry(t, (None,) * len(t.shape)))), None)
    if tensor is None:
        return
    places = tuple(Index(f"v{k}", size) for k, size in enumerate(tensor.shape))
    try:
        slope = partial(expr, Entry(tensor, places))
    except SymbackpropError:
        return
    indices, sizes, data = point(seed, (2, 2, 2, 2))
    place = tuple(int(c) for c in np.random.default_rng(seed).integers(0, data[tensor].shape))
    at = {**indices, **dict(zip(places, place, strict=True))}
    try:
        exact = value(slope, at, sizes, data)
        steps = [central(expr, at, sizes, data, tensor, place, h) for h in (1e-4, 5e-5)]
    except (Undefined, OverflowError):
        return
    scale = 1 + abs(exact) + abs(steps[0])
    if math.isfinite(scale) and scale < 1e5 and abs(steps[0] - steps[1]) < 1e-6 * scale:  # away from kinks and poles
        assert abs(exact - steps[1]) < 2e-6 * scale * 10


def central(expr, at, sizes, data, tensor, place, h):
    moved = []
    for sign in (1, -1):
        array = data[tensor].copy()
        array[place] += sign * h
        moved.append(value(expr, at, sizes, {**data, tensor: array}))
    return (moved[0] - moved[1]) / (2 * h)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_the_derivative_is_linear(seed):
    first, second = Generator(seed).make(FREE, 2), Generator(seed + 1).make(FREE, 2)
    variable = Entry(Tensor("x", (Symbol("N", "size"),)), (Index("v", Symbol("N", "size")),))
    both = add(multiply(number(3), first), multiply(number(-2), second))
    try:
        left = partial(both, variable)
        right = add(multiply(number(3), partial(first, variable)), multiply(number(-2), partial(second, variable)))
        assert Canonical(seconds=3.0).equal(left, right)
    except SymbackpropError:
        return
