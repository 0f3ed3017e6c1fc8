"""The floor of a value between bounds: what is told of it is what it is at every point, on the bounds as well."""

import itertools
import random
from fractions import Fraction

import pytest

from symbackprop.evaluation.exact import evaluate_expression
from symbackprop.evaluation.number_types import EXACT
from symbackprop.expression.build import (
    ZERO,
    Apply,
    Compare,
    Entry,
    Tensor,
    add,
    apply,
    multiply,
    nodes_once,
    number,
    subtract,
    where,
)
from symbackprop.expression.functions import FLOOR
from symbackprop.normal_form.indicators import AT_KINK
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.to_expression import expression

X, Y = Tensor("x", ()), Tensor("y", ())
x, y = Entry(X, ()), Entry(Y, ())
POINTS = [Fraction(k, 4) for k in range(-14, 15)]


def at(value, a, b=Fraction(1, 3)):
    return evaluate_expression(value, (), {}, {X: a, Y: b}, field=EXACT)


def between(value, low, high, strict, inner, below, above):
    """inner where low <= value <= high (or <), else the others."""
    first = Compare("<" if strict[0] else "<=", number(low), value)
    second = Compare("<" if strict[1] else "<=", value, number(high))
    return where(first, where(second, inner, above), below)


def kept(table, value, point, gates):
    """Whether a normal form speaks of a point: what is exactly at a kink it may leave out, and says so."""
    return AT_KINK not in table.used or all(at(gate, point) != 0 for gate in gates)


@pytest.mark.parametrize("seed", range(60))
def test_floor_between_bounds_keeps_its_value(seed):
    r = random.Random(seed)
    scale, shift = r.choice([1, -1, 2, Fraction(1, 2), -3]), r.choice([0, 0, 1, Fraction(1, 2), Fraction(-5, 4)])
    low = Fraction(r.randint(-4, 2), 2)
    high = low + Fraction(r.randint(0, 5), 2)
    gate = multiply(number(r.choice([1, -1, 2])), x)
    inner = add(multiply(number(scale), x), number(shift))
    others = [r.choice([ZERO, y, number(Fraction(3, 2)), inner]) for _ in range(2)]
    value = apply(FLOOR, between(gate, low, high, (r.random() < 0.5, r.random() < 0.5), inner, *others))
    table = Canonical()
    told = expression(table, table.normal(value), {})
    gates = [subtract(gate, number(bound)) for bound in (low, high)]
    gates += [subtract(inner, number(k)) for k in range(-20, 20)]
    for point in POINTS:
        if kept(table, value, point, gates):
            assert at(told, point) == at(value, point), point


@pytest.mark.parametrize("k, scale", [*itertools.product([-2, 0, 1], [1, 2, Fraction(1, 3), -1])])
def test_floor_between_neighbours_is_a_number(k, scale):
    inner = multiply(number(scale), x)
    table = Canonical()
    value = apply(FLOOR, between(inner, k, k + 1, (False, True), inner, number(9), number(7)))
    told = expression(table, table.normal(value), {})
    assert not any(isinstance(n, Apply) and n.function is FLOOR for n in nodes_once(told))
    for point in POINTS:
        if (scale * point).denominator != 1:
            assert at(told, point) == (k if k <= scale * point < k + 1 else 9 if scale * point < k else 7), point
