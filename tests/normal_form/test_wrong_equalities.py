"""Equalities that look right and are not: at some point their sides differ, so the normal form may not call them equal.

Each row is first shown to be wrong by plain arithmetic at small points, which knows nothing of the normal form.
"""

import random
from fractions import Fraction

import numpy as np
import pytest
from random_expressions import Undefined, poly_value, value

from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Compare,
    Entry,
    Index,
    Kronecker,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    add,
    apply,
    close_sum,
    contraction,
    divide,
    extremum,
    free_indices,
    kronecker,
    multiply,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import COS, EXP, FUNCTIONS, LOG, STEP, arbitrary
from symbackprop.expression.program import Assumption
from symbackprop.expression.sizes import Facts
from symbackprop.normal_form.normal_form import Canonical

N, M, E, H = (Symbol(s, "size") for s in "NMEH")
t = Symbol("t")
i, j, k, m = Index("i", N), Index("j", N), Index("k", N), Index("m", M)
long = Index("c", add(N, number(2)))
x, y, z, g, h, f = (Tensor(s, (N,)) for s in "xyzghf")
v, label = Tensor("v", (M,)), Tensor("l", (N,), "integer")
A, B, S = Tensor("A", (N, N)), Tensor("B", (N, M)), Tensor("S", (M, M))
half, two, three = number(Fraction(1, 2)), number(2), number(3)


def at(tensor, *places):
    return Entry(tensor, places)


def over(size, body):
    return contraction("s", size, body)


def largest(tensor, size=N, kind="max"):
    return extremum(kind, "e", size, lambda e: at(tensor, e))


def attained(tensor, size=N, place=lambda s: s):
    """The sum over s of [tensor_s = max tensor]."""
    return over(size, lambda s: Compare("==", at(tensor, place(s)), largest(tensor)))


def above(left, right=ZERO):
    return Compare("<", right, left)


def point(seed, kinds, domain):
    """Sizes, indices and integer data, without ties in a tensor; data of a kind as the kind has them."""
    rng, r = np.random.default_rng(seed), random.Random(seed)
    sizes = {N: r.randint(1, 4), M: r.randint(1, 4), E: r.randint(1, 3), H: r.randint(1, 3), t: r.choice([-1, 0.5, 2])}
    if not all(value(d, {}, sizes, {}) for d in domain):
        return None
    data = {}
    for tensor in (x, y, z, g, h, f, v, label, A, B, S):
        shape = tuple(sizes[s] for s in tensor.shape)
        count = int(np.prod(shape))
        kind = kinds.get(tensor)
        plain = (rng.permutation(count + 4)[:count] - (0 if tensor is label else 2)).reshape(shape)
        rows = rng.integers(0, shape[-1], shape[:-1])
        data[tensor] = {
            None: plain,
            "pos": np.abs(plain) + 1,
            "bern": plain % 2,
            "pm1": 2 * (plain % 2) - 1,
            "prob": (np.abs(plain) + 1.0) / 12,
            "onehot": np.eye(shape[-1], dtype=int)[rows],
            "simplex": (np.eye(shape[-1])[rows] + 1) / (1 + shape[-1]),
            "labels": plain % sizes[M],
        }[kind]
    return {i: r.randrange(sizes[N]), j: r.randrange(sizes[N]), k: r.randrange(sizes[N]), m: r.randrange(sizes[M]),
            long: r.randrange(sizes[N] + 2)}, sizes, data  # fmt: skip


def differ(left, right, kinds, domain):
    """True if the two have different values somewhere; False if they agree wherever both exist."""
    examined = 0
    for seed in range(200):
        here = point(seed, kinds, domain)
        if here is None:
            continue
        try:
            pair = value(left, *here), value(right, *here)
        except (Undefined, OverflowError, TypeError):
            continue
        examined += 1
        if abs(pair[0] - pair[1]) > 1e-6 * (1 + abs(pair[0])):
            return True
    assert examined, "no point at which both exist"
    return False


def table(kinds=None, domain=()):
    return Canonical(Facts(domain, {label: M}), kinds)


def rational(base, exponent):
    return power(base, number(exponent))


ties = {"kinds": {g: "bern", h: "bern", f: "bern"}}
signs = {"kinds": {g: "pm1", h: "pm1"}}
hot = {"kinds": {B: "onehot"}}
ROWS = {
    # indices and ranges
    "sum over another range": (over(M, lambda s: t), multiply(N, t), {}),
    "an index beyond the short axis": (over(M, lambda s: kronecker(s, i)), ONE, {}),
    "a digit beyond its range": (
        over(H, lambda a: over(E, lambda b: kronecker(add(multiply(E, a), b), i))),
        ONE,
        {},
    ),
    "half of an index beyond the axis": (
        over(N, lambda s: multiply(kronecker(multiply(two, s), m), add(s, ONE))),
        multiply(kronecker(Remainder(m, two), ZERO), add(Quotient(m, two), ONE)),
        {},
    ),
    "twice an index is not the index": (
        over(N, lambda s: multiply(kronecker(multiply(two, s), m), at(x, s))),
        over(N, lambda s: multiply(kronecker(s, m), at(x, s))),
        {},
    ),
    "a window past the end": (
        over(N, lambda s: multiply(Compare("<=", s, long), Compare("<", subtract(long, s), three), s)),
        over(three, lambda q: subtract(long, q)),
        {},
    ),
    "a window of another length": (
        over(N, lambda s: multiply(Compare("<=", s, i), Compare("<", subtract(i, s), three))),
        three,
        {},
    ),
    "both bounds leave one place": (multiply(Compare("<=", i, j), Compare("<=", j, i)), ZERO, {}),
    "an offset that can reach the radix": (
        kronecker(add(multiply(E, i), j), add(multiply(E, k), multiply(two, j))),
        multiply(kronecker(i, k), kronecker(j, multiply(two, j))),
        {},
    ),
    "the complement of another multiple": (
        over(N, lambda s: subtract(multiply(two, at(x, s)), multiply(Compare("<", s, M), at(x, s)))),
        multiply(two, over(N, lambda s: multiply(Compare("<=", M, s), at(x, s)))),
        {"domain": (Compare("<=", M, N),)},
    ),
    "the complement added": (
        over(N, lambda s: add(at(x, s), multiply(Compare("<", s, M), at(x, s)))),
        over(N, lambda s: multiply(Compare("<=", M, s), at(x, s))),
        {"domain": (Compare("<=", M, N),)},
    ),
    "the range added": (
        over(N, lambda s: add(at(x, s), multiply(Compare("<=", M, s), at(x, s)))),
        over(N, lambda s: multiply(Compare("<", s, M), at(x, s))),
        {"domain": (Compare("<=", M, N),)},
    ),
    "the range added twice": (
        over(N, lambda s: add(at(x, s), multiply(Compare("<", s, M), at(x, s)))),
        multiply(two, over(N, lambda s: multiply(Compare("<", s, M), at(x, s)))),
        {"domain": (Compare("<=", M, N),)},
    ),
    "a digit beyond its range, the higher one first": (
        over(E, lambda b: over(H, lambda a: kronecker(add(multiply(E, a), b), i))),
        ONE,
        {},
    ),
    "the first of a sum that may be empty": (
        over(add(subtract(N, M), ONE), lambda s: at(x, s)),
        add(at(x, ZERO), over(subtract(N, M), lambda s: at(x, add(s, ONE)))),
        {"domain": (Compare("<=", M, add(N, ONE)),)},
    ),
    "strictly below": (over(N, lambda s: Compare("<", s, i)), add(i, ONE), {}),
    "at most": (over(N, lambda s: Compare("<=", s, i)), i, {}),
    "a count that goes beyond": (over(N, lambda s: Compare("<=", M, s)), subtract(N, M), {}),
    "counted backwards": (over(N, lambda s: multiply(s, at(x, s))), over(N, lambda s: multiply(subtract(N, s), at(x, s))), {}),
    "a sum kept inside": (power(over(N, lambda s: at(x, s)), 2), over(N, lambda s: power(at(x, s), 2)), {}),
    "a product of sums on the diagonal": (
        multiply(over(N, lambda s: at(x, s)), over(N, lambda s: at(A, s, i))),
        over(N, lambda s: multiply(at(x, s), at(A, s, i))),
        {},
    ),
    # extrema
    "attained by another tensor": (
        over(N, lambda s: multiply(Compare("==", at(x, s), largest(x)), at(y, s))),
        over(N, lambda s: multiply(Compare("==", at(z, s), largest(z)), at(y, s))),
        {},
    ),
    "attained beyond the range": (attained(x, M), ONE, {"domain": (Compare("<=", M, N),)}),
    "attained on the diagonal": (
        over(N, lambda s: Compare("==", at(A, s, s), extremum("max", "e", N, lambda e: at(A, e, s)))),
        ONE,
        {},
    ),
    "attained twice as far": (attained(x, N, lambda s: Remainder(multiply(two, s), N)), ONE, {}),
    "attained with a weight": (
        over(N, lambda s: multiply(Compare("==", at(x, s), largest(x)), at(y, s))),
        at(y, i),
        {},
    ),
    "the least is not the largest": (largest(x), largest(x, kind="min"), {}),
    "the largest of the least": (
        extremum("max", "a", N, lambda a: extremum("min", "b", N, lambda b: at(A, a, b))),
        extremum("min", "b", N, lambda b: extremum("max", "a", N, lambda a: at(A, a, b))),
        {},
    ),
    "the largest of the least at its places": (
        over(N, lambda a: over(N, lambda b: multiply(
            Compare("==", at(A, a, b), extremum("min", "e", N, lambda e: at(A, a, e))),
            Compare("==", extremum("min", "e", N, lambda e: at(A, a, e)), extremum("max", "r", N, lambda r: extremum("min", "e", N, lambda e: at(A, r, e)))),
            at(A, b, a)))),
        over(N, lambda a: over(N, lambda b: multiply(
            Compare("==", at(A, a, b), extremum("max", "r", N, lambda r: extremum("min", "e", N, lambda e: at(A, r, e)))),
            at(A, b, b)))),
        {},
    ),
    "captured by the largest": (
        over(N, lambda a: multiply(at(x, a), extremum("max", "e", N, lambda e: at(A, a, e)))),
        over(N, lambda a: multiply(at(x, a), extremum("max", "e", N, lambda e: at(A, e, e)))),
        {},
    ),
    "the largest over a shorter range": (largest(x), largest(x, M), {"domain": (Compare("<=", M, N),)}),
    # 0/1, -1/+1 and one-hot data
    "an even power of -1/+1 data": (power(at(g, i), 2), at(g, i), {"kinds": {g: "pm1"}}),
    "an odd power of -1/+1 data": (power(at(g, i), 3), ONE, {"kinds": {g: "pm1"}}),
    "one-hot rows with another factor": (
        over(M, lambda s: multiply(at(B, i, s), at(v, s))),
        over(M, lambda s: multiply(at(B, j, s), at(v, s))),
        {"kinds": {B: "onehot"}},
    ),
    "one-hot rows with any factor": (
        over(M, lambda s: multiply(at(B, i, s), at(v, s))), over(M, lambda s: at(v, s)), {"kinds": {B: "onehot"}},
    ),
    "one-hot rows on the diagonal": (over(M, lambda s: at(S, s, s)), ONE, {"kinds": {S: "onehot"}}),
    "columns of one-hot rows": (over(N, lambda s: at(B, s, m)), ONE, {"kinds": {B: "onehot"}}),
    "squares of a simplex": (over(M, lambda s: power(at(B, i, s), 2)), ONE, {"kinds": {B: "simplex"}}),
    "roots of a simplex": (over(M, lambda s: rational(at(B, i, s), Fraction(1, 2))), ONE, {"kinds": {B: "simplex"}}),
    "part of a one-hot row": (over(N, lambda s: at(B, i, s)), ONE, {"kinds": {B: "onehot"}, "domain": (Compare("<=", N, M),)}),
    "probabilities of a row": (over(M, lambda s: at(B, i, s)), ONE, {"kinds": {B: "prob"}}),
    "the inverse of a probability is above 1": (above(ONE, divide(ONE, at(g, i))), ONE, {"kinds": {g: "prob"}}),
    "a quotient by a difference has no sign": (
        above(add(apply(EXP, at(z, i)), divide(number(9), subtract(at(x, i), at(y, i))))),
        ONE,
        {},
    ),
    "a sum that may be empty is never 0": (Kronecker(over(subtract(N, ONE), lambda s: at(x, s)), ZERO), ZERO, {}),
    "a product above 0 where its factors are": (above(multiply(at(x, i), at(y, i))), multiply(above(at(x, i)), above(at(y, i))), {}),
    "0/1 data below 1": (above(ONE, at(g, i)), ONE, ties),
    "0/1 data above 0": (above(at(g, i)), ONE, ties),
    "two entries of a simplex row": (
        multiply(at(B, i, m), over(M, lambda s: multiply(at(B, i, s), at(v, s)))), multiply(at(B, i, m), at(v, m)),
        {"kinds": {B: "simplex"}},
    ),
    "two entries of one-hot rows": (multiply(at(B, i, m), at(B, j, m)), at(B, i, m), hot),
    "the log of what 0/1 data choose": (
        apply(EXP, over(M, lambda s: multiply(at(B, i, s), at(v, s)))),
        over(M, lambda s: multiply(at(B, i, s), apply(EXP, at(v, s)))), {"kinds": {B: "bern"}},
    ),
    "what a one-hot row chooses in a part of its range": (
        apply(EXP, over(N, lambda s: multiply(at(B, i, s), at(v, s)))),
        over(N, lambda s: multiply(at(B, i, s), apply(EXP, at(v, s)))),
        {"kinds": {B: "onehot"}, "domain": (Compare("<=", N, M),)},
    ),
    "a sum without its summands": (over(N, lambda s: divide(at(x, s), add(ONE, power(at(x, s), 2)))),
                                   over(N, lambda s: divide(at(x, i), add(ONE, power(at(x, s), 2)))), {}),
    "a simplex squared": (power(at(B, i, m), 2), at(B, i, m), {"kinds": {B: "simplex"}}),
    "a label as its place": (at(v, at(label, i)), at(v, at(label, j)), {"kinds": {label: "labels"}}),
    "a label is no class": (kronecker(at(label, i), m), kronecker(at(label, j), m), {"kinds": {label: "labels"}}),
    # powers, exponentials and logarithms
    "exp of a squared logarithm": (apply(EXP, power(apply(LOG, at(x, i)), 2)), at(x, i), {}),
    "exp of a logarithm halved": (apply(EXP, multiply(half, apply(LOG, at(x, i)))), at(x, i), {}),
    "log of a product of any sign": (
        apply(LOG, multiply(at(x, i), at(x, j))),
        add(apply(LOG, multiply(at(x, i), at(x, i))), multiply(two, apply(LOG, at(x, j)))),
        {},
    ),
    "log of a sum": (apply(LOG, add(at(g, i), ONE)), add(apply(LOG, at(g, i)), ONE), {"kinds": {g: "pos"}}),
    "root of a square": (rational(power(at(x, i), 2), Fraction(1, 2)), at(x, i), {}),
    "root of a negated square": (rational(power(subtract(at(x, i), ONE), 2), Fraction(1, 2)), subtract(at(x, i), ONE), {}),
    "an odd function": (apply(FUNCTIONS["sin"], subtract(at(x, i), at(x, j))), apply(FUNCTIONS["sin"], subtract(at(x, j), at(x, i))), {}),
    "cos of minus": (apply(COS, at(x, i)), multiply(MINUS_ONE, apply(COS, multiply(MINUS_ONE, at(x, i)))), {}),
    "a power of a difference": (
        power(subtract(at(x, i), at(x, j)), -3),
        power(subtract(at(x, j), at(x, i)), -3),
        {},
    ),
    "an even power of a difference": (
        power(subtract(at(x, i), at(x, j)), -2), multiply(MINUS_ONE, power(subtract(at(x, j), at(x, i)), -2)), {},
    ),
    "a sum of shares": (over(N, lambda s: power(add(power(at(x, s), 2), ONE), -1)), ONE, {}),
    "a sum of shares, each 1": (over(N, lambda s: power(add(power(at(x, s), 2), ONE), -1)), N, {}),
    "a sum of shares as a share of the sum": (
        over(N, lambda s: power(add(power(at(x, s), 2), ONE), -1)),
        power(add(over(N, lambda s: power(at(x, s), 2)), ONE), -1),
        {},
    ),
    "a weighted share": (
        multiply(over(N, lambda s: multiply(at(x, s), at(y, s))), power(add(over(N, lambda s: at(x, s)), number(40)), -1)),
        multiply(over(N, lambda s: multiply(at(x, s), at(z, s))), power(add(over(N, lambda s: at(x, s)), number(40)), -1)),
        {},
    ),
    "a weighted share as the weight of one": (
        multiply(over(N, lambda s: multiply(at(x, s), at(y, s))), power(add(over(N, lambda s: at(x, s)), number(40)), -1)),
        multiply(at(y, i), subtract(ONE, multiply(number(40), power(add(over(N, lambda s: at(x, s)), number(40)), -1)))),
        {},
    ),
    "a share of squares": (
        multiply(over(N, lambda s: power(at(x, s), 2)), power(add(over(N, lambda s: at(x, s)), number(40)), -1)),
        multiply(at(x, i), subtract(ONE, multiply(number(40), power(add(over(N, lambda s: at(x, s)), number(40)), -1)))),
        {},
    ),
    "shares of different rows": (
        over(N, lambda s: multiply(at(A, s, s), power(add(over(N, lambda r: at(A, s, r)), number(99)), -1))),
        over(N, lambda s: subtract(ONE, multiply(number(99), power(add(over(N, lambda r: at(A, s, r)), number(99)), -1)))),
        {},
    ),
    # signs and indicators
    "step at an index of 0": (apply(STEP, i), ONE, {}),
    "step of a difference of indices": (apply(STEP, subtract(i, j)), Compare("<=", j, i), {}),
    "a real number is no integer": (above(t), Compare("<=", ONE, t), {}),
    "half a size is no integer": (
        above(subtract(multiply(half, N), ONE)), Compare("<=", two, multiply(half, N)), {},
    ),
    "a real number is not positive": (above(t), ONE, {}),
    "a square is not positive": (above(power(at(x, i), 2)), ONE, {}),
    "an even factor of a sign": (
        above(multiply(power(at(x, i), 2), at(y, i))), above(multiply(at(x, i), at(y, i))), {},
    ),
    "an odd factor of a sign": (above(multiply(at(x, i), at(y, i))), above(at(y, i)), {}),
    "a sign of -1/+1 data": (above(multiply(at(g, i), at(x, i))), multiply(at(g, i), above(at(x, i))), {"kinds": {g: "pm1"}}),
    "one of two 0/1 entries is larger": (
        add(above(at(g, i), at(h, i)), above(at(h, i), at(g, i))), ONE, ties,
    ),
    "0/1 entries are never equal": (Compare("==", at(g, i), at(h, i)), ZERO, ties),
    "0/1 data times a logarithm is never 0": (Kronecker(multiply(at(g, i), apply(LOG, at(x, i))), ZERO), ZERO, {"kinds": {g: "bern", x: "pos"}}),
    "0/1 data times a value is never 0": (Compare("==", multiply(at(g, i), at(x, i)), ZERO), ZERO, ties),
    "a factor that can be 0 in an equation": (
        Compare("==", multiply(at(f, i), subtract(at(g, i), at(h, i))), ZERO),
        Compare("==", at(g, i), at(h, i)),
        ties,
    ),
    "entries of one tensor are never equal": (Compare("==", at(x, i), at(x, j)), ZERO, {}),
    "the smaller index has the smaller entry": (
        add(above(at(x, i), at(x, j)), above(at(x, j), at(x, i))), ONE, {},
    ),
    "two thresholds that leave a gap": (
        multiply(Compare("==", add(at(g, i), at(h, i)), ONE), above(add(at(g, i), at(h, i)), ONE)),
        Compare("==", add(at(g, i), at(h, i)), ONE),
        ties,
    ),
    "a value between two thresholds": (
        multiply(above(at(x, i)), above(ONE, multiply(half, at(x, i)))), ZERO, {},
    ),
    "the higher of two thresholds": (multiply(above(at(x, i)), above(at(x, i), ONE)), above(at(x, i)), {}),
    "one of two thresholds": (
        multiply(above(at(x, i), ONE), above(multiply(MINUS_ONE, at(x, i)))), above(at(x, i), ONE), {},
    ),
    "relu is not its argument": (apply(FUNCTIONS["relu"], at(x, i)), at(x, i), {}),
    "a real condition": (where(at(x, i), ONE, ZERO), at(x, i), {}),
    "the branch not taken": (where(above(at(x, i)), at(y, i), at(z, i)), where(above(at(x, i)), at(z, i), at(y, i)), {}),
    "a function of a sum of gated terms": (
        power(over(N, lambda s: multiply(above(at(x, s)), at(y, s))), -2),
        over(N, lambda s: multiply(above(at(x, s)), power(at(y, s), -2))),
        {},
    ),
    "exp of a sum of gated terms": (
        apply(EXP, over(N, lambda s: multiply(above(at(x, s)), multiply(number(Fraction(1, 50)), at(y, s))))), ONE, {},
    ),
    "one of many gates is open": (
        apply(STEP, over(N, lambda s: above(at(x, s)))), ONE, {},
    ),
    "one over an indicator": (power(above(at(x, i)), MINUS_ONE), ZERO, {}),
    "a low digit that carries": (
        over(E, lambda b: Compare("<=", multiply(E, j), add(multiply(E, i), multiply(two, b)))),
        multiply(E, Compare("<=", j, i)),
        {},
    ),
    "a low digit that borrows": (
        over(E, lambda b: Compare("<=", multiply(E, j), add(multiply(E, i), multiply(number(-2), b)))),
        multiply(E, Compare("<", j, i)),
        {},
    ),
    "the sign of an inverse cube": (above(power(at(x, i), -3)), ONE, {}),
    "0/1 data above a half": (above(at(g, i), half), ZERO, {"kinds": {g: "bern"}}),
    "0/1 data equal to 1": (Compare("==", at(g, i), ONE), ZERO, {"kinds": {g: "bern"}}),
    "twice 0/1 data equal to 1": (Compare("==", multiply(two, at(g, i)), ONE), at(g, i), {"kinds": {g: "bern"}}),
}  # fmt: skip


@pytest.mark.parametrize(("left", "right", "given"), ROWS.values(), ids=ROWS.keys())
def test_normal_form_does_not_call_different_values_equal(left, right, given):
    kinds, domain = given.get("kinds", {}), given.get("domain", ())
    assert differ(left, right, kinds, domain), "the row is no wrong equality"
    try:
        said = table(kinds, domain).equal(left, right)
    except SymbackpropError:
        return  # refused with a reason: nothing wrong was said
    assert not said


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_normal_form_frees_no_index(row, side):
    """An index that a rule forgets to sum over would be read at any value."""
    *sides, given = row
    try:
        normal = table(given.get("kinds", {}), given.get("domain", ())).normal(sides[side])
    except SymbackpropError:
        return
    assert normal.free <= free_indices(sides[side])


@pytest.mark.parametrize(
    ("left", "right", "kind"),
    [
        (divide(ONE, at(g, i)), at(g, i), "bern"),
        (divide(ONE, at(g, i)), at(g, i), "onehot"),
        (rational(at(g, i), Fraction(5, 2)), at(g, i), "pm1"),
        (rational(at(g, i), Fraction(1, 2)), ONE, "pm1"),
        (power(above(at(x, i)), MINUS_ONE), above(at(x, i)), None),
    ],
    ids=["1/0 is not 0", "1/0 is not 0, one-hot", "a root of -1", "another root of -1", "one over an indicator"],
)
def test_normal_form_does_not_call_a_value_equal_to_one_that_does_not_exist(left, right, kind):
    try:
        assert not table({g: kind} if kind else None).equal(left, right)
    except SymbackpropError:
        return


# What stands beside them and is equal, with exactly the conditions that it needs.


def share(numerator, e):
    """y_numerator x_e / (y_i + sum x)."""
    return multiply(at(y, numerator), at(x, e), power(add(at(y, i), over(N, lambda s: at(x, s))), -1))


def odd_times_even(value_):
    return multiply(apply(FUNCTIONS["sin"], value_), apply(COS, value_))


KINK = "no argument of a branch is exactly at its kink"
SHORT = (Compare("<=", M, N),)
RIGHT = {
    "a delta between axes of two lengths": (
        over(N, lambda s: multiply(kronecker(s, m), apply(EXP, at(x, s)))),
        apply(EXP, at(x, m)),
        {"domain": SHORT},
        [],
    ),
    "a function of an entry of the shorter axis, squared": (
        over(N, lambda s: multiply(kronecker(s, m), apply(arbitrary("f"), add(at(x, s), at(y, s))))),
        apply(arbitrary("f"), add(at(y, m), at(x, m))),
        {"domain": SHORT},
        [],
    ),
    "places where a size is told": (
        multiply(kronecker(N, ONE), kronecker(subtract(N, ONE), i), at(x, subtract(N, ONE))),
        multiply(kronecker(i, ZERO), kronecker(N, ONE), at(x, ZERO)),
        {},
        [],
    ),
    "a probability is below 1": (above(ONE, at(g, i)), ONE, {"kinds": {g: "prob"}}, ["entries of g lie between 0 and 1"]),
    "a probability is above 0": (above(at(g, i)), ONE, {"kinds": {g: "prob"}}, ["entries of g are positive"]),
    "a positive entry": (above(at(g, i)), ONE, {"kinds": {g: "pos"}}, ["entries of g are positive"]),
    "0/1 data squared": (power(at(g, i), 2), at(g, i), {"kinds": {g: "bern"}}, ["entries of g are 0 or 1"]),
    "-1/+1 data squared": (power(at(g, i), 2), ONE, {"kinds": {g: "pm1"}}, ["entries of g are -1 or +1"]),
    "-1/+1 data in a denominator": (divide(at(x, i), at(g, i)), multiply(at(x, i), at(g, i)), {"kinds": {g: "pm1"}}, ["entries of g are -1 or +1"]),
    "rows of a one-hot table": (over(M, lambda s: at(B, i, s)), ONE, {"kinds": {B: "onehot"}}, ["the rows of B add up to 1"]),
    "neighbours differ": (Kronecker(at(x, i), at(x, add(i, ONE))), ZERO, {}, [KINK]),
    "a value equal to 1 is above 0": (
        multiply(Kronecker(add(at(g, i), at(h, i)), ONE), above(add(at(g, i), at(h, i)))),
        Kronecker(add(at(g, i), at(h, i)), ONE),
        signs,
        [],
    ),
    "a value equal to 1 and to 2, beside a threshold": (
        multiply(above(at(x, j)), Kronecker(add(at(g, i), at(h, i)), ONE), Kronecker(add(at(g, i), at(h, i)), two)), ZERO, signs, [],
    ),
    "a value equal to 1, said twice": (
        multiply(above(at(x, j)), Kronecker(add(at(g, i), at(h, i)), ONE), Kronecker(multiply(three, add(at(g, i), at(h, i))), three)),
        multiply(above(at(x, j)), Kronecker(add(at(g, i), at(h, i)), ONE)),
        signs,
        [],
    ),
    "a value equal to 1 is not above 2": (
        multiply(Kronecker(add(at(g, i), at(h, i)), ONE), above(add(at(g, i), at(h, i)), two)), ZERO, signs, [],
    ),
    "a value equal to 1 is not below 0": (
        multiply(Kronecker(add(at(g, i), at(h, i)), ONE), above(ZERO, add(at(g, i), at(h, i)))), ZERO, signs, [],
    ),
    "a value equal to 1 is below 2": (
        multiply(Kronecker(add(at(g, i), at(h, i)), ONE), above(two, add(at(g, i), at(h, i)))),
        Kronecker(add(at(g, i), at(h, i)), ONE),
        signs,
        [],
    ),
    "exp of 0/1 data times a value": (
        apply(EXP, multiply(at(g, i), at(x, i))), add(ONE, multiply(at(g, i), subtract(apply(EXP, at(x, i)), ONE))),
        {"kinds": {g: "bern"}}, ["entries of g are 0 or 1"],
    ),
    "a quotient by 0/1 data, shifted": (
        power(add(at(x, i), multiply(at(g, i), at(y, i))), -1),
        add(divide(at(g, i), add(at(x, i), at(y, i))), divide(subtract(ONE, at(g, i)), at(x, i))),
        {"kinds": {g: "bern"}}, ["entries of g are 0 or 1"],
    ),
    "two entries of a one-hot row": (
        multiply(at(B, i, m), over(M, lambda s: multiply(at(B, i, s), at(y, i), at(v, s)))),
        multiply(at(B, i, m), at(y, i), at(v, m)), hot, ["one entry of each row of B is 1"],
    ),
    "the log of what a one-hot row chooses": (
        apply(LOG, over(M, lambda s: multiply(at(B, i, s), apply(EXP, at(v, s))))),
        over(M, lambda s: multiply(at(B, i, s), at(v, s))), hot, ["one entry of each row of B is 1"],
    ),
    "a power of what a one-hot row chooses, and of the rest": (
        power(subtract(at(x, i), over(M, lambda s: multiply(at(B, i, s), at(v, s)))), -2),
        over(M, lambda s: multiply(at(B, i, s), power(subtract(at(x, i), at(v, s)), -2))),
        hot, ["one entry of each row of B is 1"],
    ),
    "a denominator under a sum": (
        over(N, lambda s: divide(multiply(at(y, s), power(at(z, s), 4)),
                                 multiply(t, power(add(power(t, 2), power(at(z, s), 2)), 2)))),
        over(N, lambda s: multiply(at(y, s), add(
            power(t, -1),
            divide(multiply(number(-2), t), add(power(t, 2), power(at(z, s), 2))),
            divide(power(t, 3), power(add(power(t, 2), power(at(z, s), 2)), 2))))), {}, [],
    ),
    "a product above 0": (
        above(multiply(at(x, i), subtract(at(y, i), at(y, j)))),
        add(multiply(above(at(x, i)), above(at(y, i), at(y, j))), multiply(above(ZERO, at(x, i)), above(at(y, j), at(y, i)))),
        {}, [KINK],
    ),
    "0/1 data equal to 1": (Compare("==", at(g, i), ONE), at(g, i), {"kinds": {g: "bern"}}, ["entries of g are 0 or 1"]),
    "0/1 data equal to 0": (
        Compare("==", at(g, i), ZERO), subtract(ONE, at(g, i)), {"kinds": {g: "bern"}}, ["entries of g are 0 or 1"],
    ),
    "an index and the next one": (Compare("<=", i, add(i, ONE)), ONE, {}, []),
    "an index and one before it": (Compare("<=", add(i, two), i), ZERO, {}, []),
    "one over a root is positive": (above(rational(at(x, i), Fraction(-1, 2))), ONE, {}, []),
    "one over a square is positive": (above(power(at(x, i), -2)), ONE, {}, []),
    "roots in denominators": (
        add(
            rational(add(power(at(x, i), 2), ONE), Fraction(-3, 2)),
            multiply(power(at(x, i), 2), rational(add(power(at(x, i), 2), ONE), Fraction(-3, 2))),
        ),
        rational(add(power(at(x, i), 2), ONE), Fraction(-1, 2)),
        {},
        [],
    ),
    "a denominator whose terms become alike": (
        over(N, lambda s: multiply(kronecker(s, i), power(add(at(x, i), at(x, s)), -1))),
        multiply(half, power(at(x, i), -1)),
        {},
        [],
    ),
    "step of an index": (apply(STEP, i), Compare("<=", ONE, i), {}, []),
    "step of a difference": (apply(STEP, subtract(i, j)), Compare("<", j, i), {}, []),
    "digits of a merged axis": (
        over(H, lambda a: over(E, lambda b: kronecker(add(multiply(E, a), b), i))), ONE,
        {"domain": (Compare("==", N, multiply(H, E)),)}, [],
    ),
    "digits of a merged axis, the higher one first": (
        over(E, lambda b: over(H, lambda a: multiply(kronecker(add(multiply(E, a), b), i), at(x, i)))),
        at(x, i),
        {"domain": (Compare("==", N, multiply(H, E)),)},
        [],
    ),
    "log of positive factors": (
        apply(LOG, multiply(at(x, i), at(x, j))), add(apply(LOG, at(x, i)), apply(LOG, at(x, j))), {"kinds": {x: "pos"}},
        ["entries of x are positive"],
    ),
    "exp of a logarithm": (apply(EXP, apply(LOG, at(x, i))), at(x, i), {}, []),
    "exp of minus two hundred": (
        multiply(apply(EXP, subtract(at(x, i), number(200))), apply(EXP, number(200))), apply(EXP, at(x, i)), {}, [],
    ),
    "a share in a maximum, of an index that becomes another": (
        over(N, lambda s: multiply(kronecker(s, i), extremum("max", "e", N, lambda e: share(s, e)))),
        extremum("max", "e", N, lambda e: share(i, e)),
        {},
        [],
    ),
    "a root of positive factors": (
        rational(multiply(power(at(g, i), 2), at(h, i), add(power(at(x, i), 2), ONE)), Fraction(1, 2)),
        multiply(at(g, i), rational(at(h, i), Fraction(1, 2)), rational(add(power(at(x, i), 2), ONE), Fraction(1, 2))),
        {"kinds": {g: "pos", h: "pos"}},
        ["entries of g are positive", "entries of h are positive"],
    ),
    "a common factor of a denominator": (
        over(N, lambda s: multiply(at(z, s), power(add(multiply(at(x, s), at(y, i)), multiply(at(x, s), at(y, j))), -1))),
        multiply(over(N, lambda s: divide(at(z, s), at(x, s))), power(add(at(y, i), at(y, j)), -1)),
        {},
        [],
    ),
    "two spellings of a sigmoid, summed": (
        over(N, lambda s: divide(multiply(at(y, s), apply(EXP, at(x, s))), add(ONE, apply(EXP, at(x, s))))),
        over(N, lambda s: divide(at(y, s), add(ONE, apply(EXP, multiply(MINUS_ONE, at(x, s)))))),
        {},
        [],
    ),
    "a negative denominator, summed": (
        over(N, lambda s: divide(at(y, s), multiply(number(-2), at(x, s), add(at(x, s), ONE)))),
        multiply(number(Fraction(-1, 2)), over(N, lambda s: divide(at(y, s), multiply(add(ONE, at(x, s)), at(x, s))))),
        {},
        [],
    ),
    "a difference in a denominator, summed": (
        over(N, lambda s: power(subtract(at(x, s), at(y, s)), -3)),
        multiply(MINUS_ONE, over(N, lambda s: power(subtract(at(y, s), at(x, s)), -3))),
        {},
        [],
    ),
    "numbers under roots, summed": (
        over(N, lambda s: multiply(at(x, s), rational(number(12), Fraction(1, 2)))),
        multiply(two, rational(three, Fraction(1, 2)), over(N, lambda s: at(x, s))),
        {},
        [],
    ),
    "an odd and an even function of minus, summed": (
        over(N, lambda s: odd_times_even(subtract(at(x, s), at(y, s)))),
        multiply(MINUS_ONE, over(N, lambda s: odd_times_even(subtract(at(y, s), at(x, s))))),
        {},
        [],
    ),
    "odd places of a longer axis": (
        over(N, lambda s: multiply(kronecker(add(multiply(two, s), ONE), m), at(x, s))),
        over(N, lambda s: multiply(kronecker(Remainder(m, two), ONE), kronecker(s, Quotient(m, two)), at(x, s))),
        {"domain": (Compare("<=", M, multiply(two, N)),)},
        [],
    ),
    "weighted rows of shares": (
        over(N, lambda r: over(N, lambda s: multiply(
            at(y, r), apply(EXP, at(A, r, s)), power(over(N, lambda q: apply(EXP, at(A, r, q))), -1)))),
        over(N, lambda s: at(y, s)),
        {},
        [],
    ),
    "weighted shares of a part": (
        over(N, lambda r: multiply(at(y, r), at(x, r), power(add(at(x, r), at(z, r)), -1))),
        over(N, lambda r: subtract(at(y, r), multiply(at(y, r), at(z, r), power(add(at(x, r), at(z, r)), -1)))),
        {},
        [],
    ),
    "the first of a sum": (
        over(add(N, ONE), lambda s: multiply(s, s)), over(N, lambda s: power(add(s, ONE), 2)), {}, [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("left", "right", "given", "conditions"), RIGHT.values(), ids=RIGHT.keys())
def test_normal_form_finds_equal_what_is_equal_and_names_its_conditions(left, right, given, conditions):
    kinds, domain = given.get("kinds", {}), given.get("domain", ())
    normal = table(kinds, domain)
    assert normal.equal(left, right)
    assert list(normal.used) == conditions


@pytest.mark.parametrize(("twice", "once"), [(x, z), (z, x), (y, g), (g, y)])
def test_a_symmetric_body_of_a_maximum_does_not_mix_the_indices_of_a_quotient(twice, once):
    """1 + x_a x_b z_e is symmetric in a and b, though not in e: as the body of max_e and as a denominator."""
    below = lambda a, b, e: add(ONE, multiply(at(twice, a), at(twice, b), at(once, e)))  # noqa: E731
    quotient = lambda a, b, e: power(below(a, b, e), -1)  # noqa: E731
    top = lambda a, b: extremum("max", "e", N, lambda e: below(a, b, e))  # noqa: E731
    moving, normal = Index("s", N), Canonical()
    for a, b, e in ((i, j, k), (j, i, k), (k, j, i), (i, k, j), (j, k, i), (k, i, j)):
        share_ = quotient(moving, b, e)
        wanted, other = normal.normal(quotient(b, a, e)), normal.normal(quotient(a, e, b))
        normal.normal(share_)
        normal.normal(top(a, b))  # its template may be the quotient's, with the index of the maximum for the first
        moved = normal.normal(close_sum(moving, multiply(kronecker(moving, a), share_)))
        assert moved is wanted and moved is not other


def test_a_row_beyond_the_range_of_a_maximum_is_none_of_its_values():
    """Of five rows the largest of the first three is taken: with ties, the fourth may equal it without being there."""
    sizes, row = {N: 5, M: 3}, lambda a: extremum("max", "e", N, lambda e: at(A, a, e))
    place = Quotient(i, Quotient(N, M))
    top = extremum("max", "r", M, row)
    steps = multiply(Compare("==", at(A, place, j), row(place)), Compare("==", row(place), top))
    whole = Compare("==", at(A, place, j), top)
    data = {A: np.array([[0, 0, 0, 0, 0]] * 2 + [[1, 0, 0, 0, 0], [1, 2, 0, 0, 0], [0, 0, 0, 0, 0]])}
    here = {i: 3, j: 0}, sizes, data
    assert (value(steps, *here), value(whole, *here)) == (0, 1)
    assert not table(domain=(Compare("<=", M, N),)).equal(steps, whole)


def test_a_sum_is_not_captured_by_the_sums_that_it_is_multiplied_with():
    one = over(N, lambda s: multiply(at(x, s), at(A, s, i)))
    two_ = over(N, lambda s: multiply(at(y, s), at(A, s, i)))
    three_ = over(N, lambda s: multiply(at(z, s), at(A, s, i)))
    captured = over(N, lambda s: multiply(at(x, s), at(y, s), at(z, s), power(at(A, s, i), 3)))
    normal = Canonical()
    assert normal.equal(multiply(one, two_, three_), multiply(three_, multiply(two_, one)))
    assert not normal.equal(multiply(one, two_, three_), captured)
    assert not normal.equal(multiply(one, one), over(N, lambda s: power(multiply(at(x, s), at(A, s, i)), 2)))


@pytest.mark.parametrize("names", ["pq", "qp", "ab", "ba", "xq", "qx"])
def test_a_denominator_inside_a_sum_is_not_cleared_outside_of_it(names):
    """sum_s 1/p_s times sum_s q_s is not N sum_s q_s/p_s."""
    p, q = (Tensor(name, (N,)) for name in names)
    inverse = lambda s: power(add(at(p, s), ONE), MINUS_ONE)  # noqa: E731
    product = multiply(over(N, inverse), over(N, lambda s: at(q, s)))
    assert not table().equal(product, multiply(N, over(N, lambda s: multiply(inverse(s), at(q, s)))))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_axis_that_is_written_out_is_looked_at_at_every_place(place):
    row = Tensor("row", (three,))
    r = Index("r", three)
    once = where(Compare("==", r, number(place)), multiply(two, at(row, r)), at(row, r))
    written = Canonical(Facts(), expanded=8)
    assert written.equal(multiply(once, two), add(once, once))
    assert not written.equal(once, at(row, r))


@pytest.mark.parametrize(
    ("axis", "others"), [(-1, (0, 1)), (2, (0, 1)), (0, (1, 2)), (1, (0, 2)), (-2, (0, 2)), (-3, (1, 2))]
)
def test_two_entries_of_one_row_exclude_each_other_and_of_two_rows_do_not(axis, others):
    """y[i, j, c] y[i, j, d] is [c = d] y[i, j, c] along the axis of the ones; y[i, j, c] y[k, j, d] is what it is."""
    hot_ = Tensor("hot", (N, N, N))
    known = {hot_: Assumption("onehot", hot_, axis=axis)}
    c, d, own = Index("c", N), Index("d", N), axis % 3

    def entry(first, second, place):
        places = {others[0]: first, others[1]: second, own: place}
        return Entry(hot_, tuple(places[a] for a in range(3)))

    whole = multiply(entry(i, j, c), entry(i, j, d))
    once = multiply(kronecker(c, d), entry(i, j, c))
    normal = Canonical(assumptions=known)
    assert normal.equal(whole, once)
    lines = "row" if own == 2 else "column"
    assert list(normal.used) == [f"one entry of each {lines} of hot is 1"]
    total = over(N, lambda s: entry(i, j, s))
    assert Canonical(assumptions=known).equal(total, ONE)
    for other in (entry(k, j, d), entry(i, k, d), entry(j, i, d)):
        pair = multiply(entry(i, j, c), other)
        assert not Canonical(assumptions=known).equal(pair, multiply(kronecker(c, d), entry(i, j, c)))
        assert not Canonical(assumptions=known).equal(pair, multiply(kronecker(c, d), other))
    assert not Canonical(assumptions=known).equal(over(N, lambda s: entry(s, j, c)), ONE)
    assert not Canonical(assumptions=known).equal(over(N, lambda s: entry(s, j, s)), ONE)


@pytest.mark.parametrize("count", [2, 3])
def test_a_place_in_a_block_tells_the_block_and_the_place(count):
    """sum_s [k*s + l_s = m] x_s, for l_s from 0 to k - 1, is x of block m // k, where l says m % k, if there is one."""
    k_ = number(count)
    chosen = over(N, lambda s: multiply(kronecker(add(multiply(k_, s), at(label, s)), m), at(x, s)))
    block = Quotient(m, k_)
    there = where(Compare("<", block, N), multiply(kronecker(at(label, block), Remainder(m, k_)), at(x, block)), ZERO)
    known = Facts((), {label: k_})
    assert Canonical(known).equal(chosen, there)
    for other in (
        where(Compare("<", block, N), at(x, block), ZERO),
        multiply(kronecker(at(label, block), Remainder(m, k_)), at(x, block)),
        where(Compare("<", block, N), multiply(kronecker(at(label, block), ZERO), at(x, block)), ZERO),
    ):
        assert not Canonical(known).equal(chosen, other)
    longer_ = Facts((), {label: number(count + 1)})  # places beyond the block: two blocks may say the same m
    assert not Canonical(longer_).equal(chosen, there)
    table_, r = Canonical(known), random.Random(count)
    poly = table_.normal(chosen)
    for seed in range(60):
        here = point(seed, {}, ())
        indices, sizes, data = here
        data[label] = np.array([r.randrange(count) for _ in range(sizes[N])])
        for place in range(sizes[M]):
            at_place = {**indices, m: place}
            try:
                assert abs(value(chosen, at_place, sizes, data) - poly_value(poly, at_place, sizes, data)) < 1e-9
            except Undefined:  # a block that is not there is asked for its place beside the test that it is there
                continue


@pytest.mark.parametrize("by", [two, three, E], ids=["2", "3", "E"])
def test_an_axis_falls_apart_only_where_a_length_divides_it(by):
    """sum_s x[s // k] is k sum_b x[b] where k divides N; elsewhere the last block is shorter."""
    whole = over(N, lambda s: at(x, Quotient(s, by)))
    blocks = multiply(by, over(Quotient(N, by), lambda b: at(x, b)))
    assert Canonical(Facts((Compare("==", Remainder(N, by), ZERO),))).equal(whole, blocks)
    assert not Canonical().equal(whole, blocks)
    places = over(N, lambda s: multiply(at(x, Quotient(s, by)), Remainder(s, by)))
    assert Canonical().equal(places, over(N, lambda s: multiply(Remainder(s, by), at(x, Quotient(s, by)))))
