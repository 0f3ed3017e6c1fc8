"""Gates of integers, [p >= 0] and [p = 0], by themselves and beside a triangular matrix: held against numbers, all at once.

A gate has the value of what it says at every place and length; and what numbers say at all of these is found.
"""

import itertools
import math
import random

import numpy as np
import pytest
from random_expressions import FACTS, FREE, HE, E, H, M, N, label, point, poly_value, x
from test_parts_of_rules import definite

from symbackprop.expression.build import ONE as UNITY
from symbackprop.expression.build import (
    Entry,
    Index,
    Quotient,
    Remainder,
    add,
    kronecker,
    matrix_entry,
    multiply,
    number,
    power,
)
from symbackprop.expression.build import subtract as less
from symbackprop.normal_form.data import ONE, ZERO, Atom, as_atom, combine, of_index, scale, subtract
from symbackprop.normal_form.data import add as total
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.rewriter import _divided
from symbackprop.normal_form.rules_matrices import keep_triangle

i, j, m, h = FREE
digit, place = Index("d", E), Index("p", HE)
two = number(2)
LENGTHS = list(itertools.product((1, 2, 4), repeat=2))
POINTS = [
    ({**at[0], digit: seed % at[1][E], place: seed % (at[1][E] * at[1][H])}, *at[1:])
    for seed, (n, e) in enumerate(LENGTHS)
    for at in [point(seed, (n, 1 + (seed + e) % 4, 1 + seed % 3, e))]
]
PARTS = [i, j, m, h, digit, place, N, M, E, HE, multiply(E, h), multiply(E, i), multiply(E, N), Entry(label, (i,)),
         Quotient(place, E), Remainder(place, E), Quotient(i, two), Remainder(j, two), UNITY, UNITY, UNITY]  # fmt: skip


def whole_number(r, table):
    """A sum of indices, sizes, digits and labels."""
    parts = r.sample(PARTS, r.choice([1, 2, 2, 3, 4]))
    return table.size_of(add(*(multiply(number(r.choice([1, 1, -1, -1, 2, -3])), part) for part in parts)))


@pytest.mark.parametrize("seed", range(3))
def test_gates_have_the_values_of_what_they_say(seed):
    table, r = Canonical(FACTS), random.Random(seed)
    for _ in range(30):
        p = whole_number(r, table)
        at = [poly_value(p, *here) for here in POINTS]
        gate, equal = table.nonneg(p), table.delta(p)
        assert [poly_value(gate, *here) for here in POINTS] == [int(v >= 0) for v in at], p
        assert [poly_value(equal, *here) for here in POINTS] == [int(v == 0) for v in at], p
        assert total(gate, table.nonneg(subtract(scale(p, -1), ONE))) is ONE
        assert table.delta(scale(p, -2)) is equal
        size = r.choice([N, E, HE, two])
        unit = table.size_of(size)
        within, (high, rest) = table.in_range(p, size), _divided(p, unit)
        for v, here in zip(at, POINTS, strict=True):
            assert poly_value(within, *here) == (0 <= v < poly_value(unit, *here)), (p, size)
        assert total(table.multiply(high, unit), rest) is p and _divided(rest, unit) == (ZERO, rest)


@pytest.mark.parametrize("seed", range(2))
def test_what_a_sum_of_sizes_never_is_is_known(seed):
    """Sizes are at least 1: what that says of the sign of a sum of them is all that can be said."""
    table, r = Canonical(FACTS), random.Random(seed)
    for _ in range(60):
        sign, sizes = r.choice([1, -1]), r.sample([N, M, E, H], r.choice([1, 2, 3]))
        slopes = [r.choice([1, 1, 2, 3]) for _ in sizes]
        least = sum(slopes) + (above := r.randint(-5, 3))
        p = table.size_of(multiply(number(sign), add(number(above), *map(multiply, map(number, slopes), sizes))))
        if sign > 0:
            known = ONE if least >= 0 else subtract(ONE, table.delta(total(p, ONE))) if least == -1 else None
        else:
            known = ZERO if least > 0 else table.delta(p) if least == 0 else None
        gate = table.nonneg(p)
        assert gate is known if known is not None else gate not in (ZERO, ONE), p
        assert (table.delta(p) is ZERO) is (least > 0 or above % math.gcd(*slopes) > 0), p


def test_a_digit_says_in_which_block_a_number_is():
    """0 <= p - E*k < E says that k is p // E, and no more is left of it than that."""
    table = Canonical(FACTS)
    for k, number_ in itertools.product((h, m, i), (i, m, Entry(label, (j,)), add(i, multiply(two, m)))):
        if k in (number_,):
            continue
        found = table.in_range(table.size_of(less(number_, multiply(E, k))), E)
        assert found is table.delta(table.size_of(less(Quotient(number_, E), k)))


# Beside a triangle.

A, B, C = (Index(name, N) for name in "ijk")
GRID = np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij")
AT = dict(zip((A, B, C), GRID, strict=True))
TRIANGLES = {"i,j": (A, B), "i,i": (A, A), "i+1,i": (add(A, UNITY), A), "i,i+1": (A, add(A, UNITY)),
             "i,j+1": (A, add(B, UNITY)), "i+1,j": (add(A, UNITY), B)}  # fmt: skip


def on_grid(poly):
    """A sum of indices, at every place."""
    return sum((c * (AT[mono.factors[0][0].data] if mono.factors else 1) for mono, c in poly.terms), 0 * GRID[0])


def product_of(factors, filled):
    """A product of gates, equalities and a triangle with these entries."""
    values = [filled if a.kind == "matrix" else on_grid(a.args[0]) for a in factors]
    say = {"matrix": lambda v: v, "delta": lambda v: v == 0, "nonneg": lambda v: v >= 0}
    return np.prod([1 + 0 * GRID[0], *(say[a.kind](v) for a, v in zip(factors, values, strict=True))], axis=0)


def said(gates, filled, below):
    """What gates say of each other and of the diagonal, as far as a triangle is filled."""
    whole = product_of(gates, 1) * filled
    if len(gates) == 1:
        yield not whole.any()
        yield not (whole * (below != 0)).any()
    for k, _ in enumerate(gates):
        yield (product_of((*gates[:k], *gates[k + 1 :]), 1) * filled == whole).all()
    yield len(gates) == 2 and not (sum(product_of([g], 1) for g in gates) * filled < filled).any()


@pytest.mark.parametrize("name", TRIANGLES)
def test_gates_beside_a_triangle(name):
    table = Canonical(FACTS)
    of = lambda a, b: add(definite(a, b), multiply(kronecker(a, b), power(Entry(x, (C,)), 2)))  # noqa: E731
    whole = as_atom(table.normal(matrix_entry("cholesky", N, of, (A, B))))
    factor = Atom.make("matrix", whole.data, (*whole.args[:-2], *map(table.size_of, TRIANGLES[name])))
    below = on_grid(subtract(*factor.args[-2:]))
    filled = (below >= 0) * (2 + 3 * GRID[0] + 5 * GRID[1] % 7)
    gates = [Atom.make("nonneg", None, (combine([(1, of_index(a)), (-1, of_index(b)), (c, ONE)]),))
             for a, b in itertools.permutations((A, B, C), 2) for c in (-2, -1, 0, 1, 2)]  # fmt: skip
    beside = Atom.make("delta", None, (table.size_of(add(A, less(UNITY, B))),))
    for some in ((), *((g,) for g in gates), *itertools.combinations(gates, 2), *((g, beside) for g in gates)):
        before = dict.fromkeys((*some, factor), 1)
        new = keep_triangle(table, before, ())
        if new is not None:
            parts = (c * product_of(f, filled) for c, f, _ in new)
            assert (sum(parts, 0 * below) == product_of(before, filled)).all(), before
            assert all(beside in f or beside not in some for _, f, _ in new) and before not in [f for _, f, _ in new]
        elif beside in some:
            assert keep_triangle(table, dict.fromkeys((some[0], factor), 1), ()) is None
        else:
            assert [*said(some, below >= 0, below)] == [*said(some, True, below)], before
