"""Where a largest value stands: [x_j = max_k x_k] is [j = argmax_k x_k], on every axis and on branches, and no more."""

import itertools
import random

import numpy as np
import pytest
from random_expressions import FACTS, FREE, A, B, G, H, M, N, Undefined, close, point, poly_value, u, value, w, x

from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Entry,
    Extremum,
    Index,
    Position,
    add,
    apply,
    contraction,
    extremum,
    fresh,
    kronecker,
    multiply,
    negate,
    number,
    power,
    where,
)
from symbackprop.expression.functions import FUNCTIONS
from symbackprop.normal_form.data import subtract as gap_of
from symbackprop.normal_form.indicators import AT_KINK
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.rules_extrema import NO_TIES, by_position

i, j, m, _h = FREE


def whole_numbers(seed, sizes):
    """A point at which data are different whole numbers: what is equal is so exactly."""
    indices, numbers, data = point(seed, sizes)
    r = np.random.default_rng(seed)
    for tensor in (x, u, A, B, w, G):
        size = data[tensor].size
        chosen = r.choice(np.arange(1, 40 + 2 * size), size, replace=False) * r.choice([-1, 1], size)
        data[tensor] = chosen.reshape(data[tensor].shape)
    return indices, numbers, data


POINTS = [whole_numbers(seed, sizes) for seed, sizes in enumerate([(2, 2, 1, 1), (3, 2, 1, 1), (2, 3, 1, 1)])]
absolute = lambda e: apply(FUNCTIONS["abs"], e)  # noqa: E731
same = lambda a, b: Compare("==", a, b)  # noqa: E731


def place_of(kind, size, body):
    index = fresh("k", size)
    return Position(kind, index, body(index))


def table():
    return Canonical(FACTS)


def held(expr):
    """The normal form by positions has the value of the expression, wherever no two entries tie."""
    normal = table()
    told = by_position(normal, normal.normal(expr))
    compared = 0
    for indices, sizes, data in POINTS:
        try:
            pair = value(expr, indices, sizes, data), poly_value(told, indices, sizes, data)
        except Undefined:
            continue
        assert close(*pair), expr
        compared += 1
    return normal, told, compared


def alike(left, right):
    normal = table()
    sides = [by_position(normal, normal.normal(e)) for e in (left, right)]
    return normal.vanishes(by_position(normal, gap_of(*sides)))


BODIES = {
    "vector": ((N,), lambda k: Entry(x, (k,))),
    "negative": ((N,), lambda k: negate(Entry(x, (k,)))),
    "row": ((M,), lambda k: Entry(B, (i, k))),
    "sum": ((N,), lambda k: add(Entry(x, (k,)), Entry(u, (k,)))),
    "matrix": ((N, M), lambda k, r: Entry(B, (k, r))),
    "square": ((N, N), lambda k, r: Entry(A, (k, r))),
    "turned": ((N, N), lambda k, r: Entry(A, (r, k))),
    "cube": ((N, N), lambda k, r: Entry(G, (k, i, r))),
    "outer": ((N, M), lambda k, r: multiply(Entry(x, (k,)), Entry(w, (r,)))),
}


def largest(kind, sizes, body):
    """The extremum over these axes, the first outermost."""
    if not sizes:
        return body()
    return extremum(kind, "e", sizes[0], lambda k: largest(kind, sizes[1:], lambda *rest: body(k, *rest)))


def at(sizes):
    return [Index(f"t{n}", size) for n, size in enumerate(sizes)]


@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize("name", BODIES)
def test_an_entry_that_is_the_largest_stands_where_the_largest_does(kind, name):
    sizes, body = BODIES[name]
    here = at(sizes)
    top = largest(kind, sizes, body)
    gates = same(body(*here), top), same(top, body(*here))
    rng = random.Random(name)
    stood = 0
    for places in itertools.product(range(3), *(range(2) for _ in sizes[1:])):
        for indices, lengths, _ in POINTS:
            for t, k in zip(here, places, strict=True):
                indices[t] = k % int(value(t.size, {}, lengths, {}))
        for gate in gates if not any(places) else gates[:1]:
            normal, told, compared = held(gate)
            stood += sum(value(gate, *p) for p in POINTS)
            assert compared and NO_TIES in normal.used
            assert not any(a.kind in ("zero", "extremum") for mono, _ in told.terms for a, _ in mono.factors)
        if all(k == places[0] for k in places):
            weighted = multiply(gates[0], power(top, rng.choice([1, 2])), add(ONE, Entry(u, (j,))))
            assert held(weighted)[2]
    assert stood
    if len(sizes) == 1:
        assert alike(gates[0], kronecker(here[0], place_of(kind, sizes[0], body)))
        assert not alike(gates[0], kronecker(here[0], place_of("min" if kind == "max" else "max", sizes[0], body)))


@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize("name", ["vector", "row", "sum", "matrix", "square"])
def test_a_largest_value_is_what_stands_at_its_place(kind, name):
    sizes, body = BODIES[name]
    top = largest(kind, sizes, body)
    for expr in (
        top,
        power(top, 2),
        multiply(top, Entry(u, (j,))),
        contraction("t", N, lambda t: multiply(top, Entry(x, (t,)))),
    ):
        _, told, compared = held(expr)
        assert compared and not any(a.kind == "extremum" for mono, _ in told.terms for a, _ in mono.factors)
    if len(sizes) == 1:
        assert alike(top, body(place_of(kind, sizes[0], body)))


def branches(t):
    a, b = Entry(x, (t,)), Entry(u, (t,))
    return {
        "magnitude": absolute(a), "other way": absolute(negate(a)), "relu": apply(FUNCTIONS["relu"], a),
        "larger": where(Compare("<", a, b), b, a), "twice": multiply(number(2), absolute(a)),
        "smaller": where(Compare("<", a, b), a, b),
        "beside": add(absolute(a), b),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize("name", branches(i))
@pytest.mark.parametrize("sign", [1, -1])
def test_a_branch_of_the_largest_says_on_which_side_it_stands(kind, name, sign):
    """x_i = max_k |x_k| where the maximum stands at i and x_i is not negative."""
    top = extremum(kind, "e", N, lambda k: branches(k)[name])
    sides = [multiply(number(sign), Entry(x, (i,))), multiply(number(2 * sign), Entry(x, (i,))), Entry(u, (i,)),
             add(multiply(number(sign), Entry(x, (i,))), Entry(u, (i,)))]  # fmt: skip
    for side in sides:
        for k in range(4):
            for indices, sizes, _ in POINTS:
                indices[i] = k % sizes[N]
            held(same(side, top))


def test_the_branch_of_a_magnitude_is_found():
    top = extremum("max", "e", N, lambda k: absolute(Entry(x, (k,))))
    place = place_of("max", N, lambda k: absolute(Entry(x, (k,))))
    a = Entry(x, (i,))
    stands = kronecker(i, place)
    for sign, gate in ((1, Compare("<=", ZERO, a)), (-1, Compare("<=", a, ZERO))):
        left = same(multiply(number(sign), a), top)
        normal = table()
        told = by_position(normal, normal.normal(left))
        assert any(atom.kind == "delta" for mono, _ in told.terms for atom, _ in mono.factors)
        assert NO_TIES in normal.used
        assert alike(left, multiply(stands, gate)) or alike(
            left, multiply(stands, Compare("<", ZERO, multiply(number(sign), a)))
        )
    matrix = largest("max", (N, M), lambda k, r: absolute(Entry(B, (k, r))))
    normal = table()
    told = by_position(normal, normal.normal(same(Entry(B, (i, m)), matrix)))
    assert not any(atom.kind == "zero" for mono, _ in told.terms for atom, _ in mono.factors)
    closed = Compare("<", ZERO, a)
    other = extremum(
        "max", "e", N, lambda k: multiply(Entry(x, (k,)), where(Compare("<", Entry(x, (k,)), ZERO), ZERO, ONE))
    )
    normal = table()
    by_position(normal, normal.normal(multiply(closed, same(a, other))))
    assert AT_KINK not in normal.used or NO_TIES in normal.used


NOTHING = {
    "of another row": same(Entry(B, (j, m)), largest("max", (M,), lambda k: Entry(B, (i, k)))),
    "of another vector": same(Entry(u, (i,)), largest("max", (N,), lambda k: Entry(x, (k,)))),
    "of twice": same(multiply(number(2), Entry(x, (i,))), largest("max", (N,), lambda k: Entry(x, (k,)))),
    "of the diagonal": same(Entry(A, (i, i)), largest("max", (N,), lambda k: Entry(A, (k, i)))),
    "of some": same(Entry(x, (i,)), largest("max", (H,), lambda k: Entry(x, (add(k, ZERO),)))),
    "of two kinds": same(
        Entry(B, (i, m)), extremum("max", "e", N, lambda k: extremum("min", "r", M, lambda r: Entry(B, (k, r))))
    ),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_says_nothing_of_a_place_keeps_its_value(name):
    gate = NOTHING[name]
    values = 0
    for k in range(4):
        for indices, sizes, _ in POINTS:
            indices[i], indices[j], indices[m] = k % sizes[N], (k + 1) % sizes[N], k % sizes[M]
        values += held(gate)[2]
    assert values or name == "of some"


def test_both_readings_of_a_position_are_told_apart():
    first, second = (place_of("max", N, lambda k, t=t: Entry(t, (k,))) for t in (x, u))
    assert not alike(kronecker(i, first), kronecker(i, second))
    assert alike(kronecker(i, first), kronecker(first, i))
    assert isinstance(largest("max", (N,), lambda k: Entry(x, (k,))), Extremum)
