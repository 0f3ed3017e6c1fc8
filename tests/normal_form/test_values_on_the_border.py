"""Rules where they begin and end: empty ranges, zeros, several rows, coefficients that are not 1, roots of negatives.

The value of each normal form is that of its expression, at points that hold zeros, ones and axes of length 1; and what
a rule is there for is found.
"""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from random_expressions import (
    ASSUMPTIONS,
    BEFORE_LAST,
    EPS,
    FACTS,
    FREE,
    A,
    B,
    E,
    Generator,
    H,
    M,
    N,
    Undefined,
    bernoulli,
    close,
    label,
    onehot,
    point,
    poly_value,
    positive,
    probability,
    signs,
    simplex,
    u,
    value,
    w,
    x,
)

from symbackprop.errors import BudgetError, UnsupportedError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Compare,
    Entry,
    add,
    apply,
    contraction,
    divide,
    extremum,
    multiply,
    negate,
    number,
    power,
    subtract,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, LOG, arbitrary
from symbackprop.normal_form import data
from symbackprop.normal_form.data import Poly, as_constant, scale
from symbackprop.normal_form.normal_form import Canonical

i, j, m, h = FREE
f = arbitrary("f")
two, three, half = number(2), number(3), Fraction(1, 2)
X, U = (lambda k: Entry(x, (k,))), (lambda k: Entry(u, (k,)))
g, s, p, oh = Entry(bernoulli, (i,)), Entry(signs, (i,)), Entry(positive, (i, m)), lambda a, b: Entry(onehot, (a, b))
exp, log = (lambda e: apply(EXP, e)), (lambda e: apply(LOG, e))
above = lambda e: Compare("<", ZERO, e)  # noqa: E731
nothing = lambda e: Compare("==", e, ZERO)  # noqa: E731
over = lambda size, body: contraction("t", size, body)  # noqa: E731


def whole_numbers(seed, sizes):
    """A point whose reals are small whole numbers, many of them 0: what is equal is so exactly."""
    indices, numbers, arrays = point(seed, sizes)
    r = np.random.default_rng(seed)
    for tensor in (x, u, A, B, w):
        arrays[tensor] = r.choice([-2, -1, 0, 1, 2, 3], arrays[tensor].shape)
    return indices, numbers, arrays


LENGTHS = [(1, 1, 1, 1), (1, 2, 1, 1), (2, 1, 1, 2), (2, 3, 2, 1), (3, 2, 1, 2), (4, 3, 2, 2)]
POINTS = [make(seed, sizes) for seed, sizes in enumerate(LENGTHS) for make in (point, whole_numbers)]


def held(expr, known=True, flat=True):
    """The normal form has the value of the expression; at zeros too, unless what is 0 at single points is left out."""
    canonical = Canonical(FACTS, ASSUMPTIONS if known else None)
    normal, compared = canonical.normal(expr), 0
    # which of [v > 0] and [-v > 0] is kept depends on what was made before; as a name for 1 - [v > 0] it has another
    # value where v is 0
    turned = any("below" in sides for sides in canonical.sides.values())
    for k, at in enumerate(POINTS):
        if k % 2 and (turned or not flat):
            continue
        try:
            pair = value(expr, *at), poly_value(normal, *at)
        except (Undefined, OverflowError, ZeroDivisionError):
            continue
        compared += 1
        assert close(*pair), (expr, at[1])
    return compared


def same(left, right, known=True):
    return Canonical(FACTS, ASSUMPTIONS if known else None).equal(left, right)


VALUES = {
    "log of a sum of logs": exp(over(N, lambda t: log(Entry(positive, (t, m))))),
    "exp of a log": exp(multiply(two, log(p))),
    "exp of twice a log beside a sum": exp(add(log(p), over(N, X))),
    "log of a power": log(power(multiply(two, p), 3)),
    "log of a negative multiple": log(multiply(number(-2), negate(p))),
    "log of a sum of exps": log(over(N, lambda t: exp(X(t)))),
    "two rows at once": exp(add(over(M, lambda k: multiply(oh(i, k), Entry(B, (i, k)))), over(M, lambda k: multiply(oh(j, k), Entry(B, (j, k)))))),
    "one row twice": exp(add(over(M, lambda k: multiply(oh(i, k), Entry(B, (i, k)))), over(M, lambda k: multiply(oh(i, k), Entry(w, (k,)))))),
    "a row of all rows": exp(over(N, lambda t: over(M, lambda k: multiply(oh(t, k), Entry(B, (t, k)))))),
    "a row with a sum of its own": exp(over(M, lambda k: multiply(oh(i, k), over(N, lambda t: Entry(B, (t, k)))))),
    "part of a row": apply(f, over(M, lambda k: multiply(oh(i, k), Compare("<=", k, m)))),
    "entries of 0 and 1 under a function": apply(f, add(multiply(g, X(j)), multiply(Entry(bernoulli, (j,)), U(i)))),
    "a root of a multiple": power(multiply(number(-3), X(i)), half),
    "a root of a product": power(multiply(X(i), U(j)), half),
    "a root of a square": power(power(X(i), 2), half),
    "a root of a sum": power(add(multiply(two, p), multiply(two, EPS)), Fraction(3, 2)),
    "a root of numbers": multiply(power(number(8), half), power(number(Fraction(1, 18)), half), power(two, Fraction(1, 3))),
    "a root of nothing": power(subtract(X(i), X(i)), half),
    "a quotient": divide(add(X(i), multiply(two, U(j))), add(multiply(X(i), X(i)), ONE)),
    "a quotient of a negative": divide(X(i), subtract(negate(ONE), add(power(U(i), 2), power(X(j), 2)))),
    "sine of nothing": apply(FUNCTIONS["sin"], ZERO),
    "cosine of nothing": apply(FUNCTIONS["cos"], ZERO),
    "sines of opposites": add(apply(FUNCTIONS["sin"], subtract(X(i), U(j))), apply(FUNCTIONS["sin"], subtract(U(j), X(i)))),
    "cosines of opposites": add(apply(FUNCTIONS["cos"], subtract(X(i), U(j))), apply(FUNCTIONS["cos"], subtract(U(j), X(i)))),
    "a power of data": multiply(power(g, 3), power(s, 3), power(s, -1), power(oh(i, m), 2)),
    "data of several kinds": multiply(g, power(s, 2), Entry(simplex, (i, m)), power(Entry(simplex, (i, m)), 2)),
    "a folded part": multiply(power(add(exp(X(i)), ONE), -2), power(exp(X(i)), 2), U(j)),
    "a part that is not whole": multiply(power(over(N, lambda t: power(X(t), 2)), -1), over(N, lambda t: multiply(power(X(t), 2), U(t)))),
    "a whole part": multiply(power(add(EPS, over(N, lambda t: power(X(t), 2))), -1), over(N, lambda t: power(X(t), 2))),
    "parts of two": multiply(power(add(EPS, over(N, lambda t: over(N, lambda r: multiply(X(t), Entry(A, (t, r)), U(r))))), -1), over(N, lambda t: over(N, lambda r: multiply(X(t), Entry(A, (t, r)), U(r))))),
    "two sums of one": multiply(power(add(EPS, over(N, lambda t: over(N, lambda r: multiply(X(t), X(r))))), -1), over(N, lambda t: multiply(X(t), X(t)))),
    "the size of a sum of rows": over(M, lambda k: multiply(oh(i, k), oh(j, k))),
    "rows beside entries": over(M, lambda k: multiply(oh(i, k), oh(j, k), Entry(B, (i, k)))),
    "a row of its own index": over(N, lambda t: over(M, lambda k: multiply(oh(t, k), X(t)))),
    "a column of rows": over(N, lambda t: oh(t, m)),
    "one of a row": multiply(oh(i, m), oh(i, Entry(label, (i,)))),
    "rows of two": multiply(oh(i, m), oh(j, m), oh(i, m)),
    "a largest one": extremum("max", "e", N, lambda k: multiply(two, X(k))),
}  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", VALUES)
def test_a_normal_form_has_the_value_of_its_expression(name, known):
    assert held(VALUES[name], known)


NUMBERS = (number(Fraction(1, 3)), number(-2))
SIGNED = {
    "a square": (power(X(i), 2), False),
    "a sum of squares that may be empty": (over(BEFORE_LAST, lambda t: power(X(t), 2)), False),
    "a sum of inverses that may be empty": (over(BEFORE_LAST, lambda t: power(add(power(X(t), 2), ONE), -2)), True),
    "inverse squares that may be none": (over(BEFORE_LAST, lambda t: power(X(t), -2)), True),
    "an exponential less one": (subtract(exp(X(i)), ONE), True),
    "twice an exponential less one": (subtract(multiply(two, exp(X(i))), ONE), False),
    "exponentials less one": (subtract(over(N, lambda t: exp(X(t))), ONE), False),
    "an exponential and one": (add(exp(X(i)), ONE), True),
    "a product of exponentials less one": (subtract(multiply(exp(X(i)), exp(U(j))), ONE), True),
    "an exponential times an entry less one": (subtract(multiply(exp(X(i)), U(j)), ONE), False),
    "a sign": (s, True),
    "a sign times an entry": (multiply(s, X(j)), False),
    "signs": (over(N, lambda t: Entry(signs, (t,))), True),
    "two signs": (add(s, Entry(signs, (j,))), True),
    "an entry of 0 or 1": (multiply(g, X(j)), False),
    "two of them": (add(g, Entry(bernoulli, (j,))), True),
    "less of them": (subtract(g, Entry(bernoulli, (j,))), True),
    "a complement": (subtract(ONE, Entry(probability, (i,))), True),
    "what is no complement": (subtract(ONE, multiply(two, Entry(probability, (i,)))), False),
    "a complement of a square": (subtract(ONE, power(Entry(probability, (i,)), 2)), False),
    "a complement of a sum": (subtract(ONE, over(N, lambda t: Entry(probability, (t,)))), False),
    "a complement of none": (subtract(ONE, X(i)), False),
    "a quotient by a square": (multiply(X(i), power(U(j), -2)), False),
    "a quotient": (multiply(X(i), power(U(j), -1)), False),
    "a cube": (power(X(i), 3), False),
    "many factors": (multiply(X(i), U(j), Entry(A, (i, j)), Entry(w, (m,)), Entry(B, (i, m))), False),
    "three factors": (multiply(X(i), U(j), Entry(A, (i, j))), False),
    "more than are counted": (subtract(add(N, ONE), over(N, lambda t: above(X(t)))), True),
    "as many as are counted": (subtract(N, over(N, lambda t: above(X(t)))), True),
    "fewer than are counted": (subtract(over(N, lambda t: above(X(t))), add(N, ONE)), True),
    "counted twice": (subtract(add(N, ONE), multiply(two, over(N, lambda t: above(X(t))))), True),
    "counted over what may be none": (subtract(BEFORE_LAST, over(BEFORE_LAST, lambda t: above(X(t)))), True),
    "counted with weights": (subtract(add(N, ONE), over(N, lambda t: multiply(X(t), above(X(t))))), False),
    "an index": (i, True),
    "indices": (subtract(i, j), True),
    "a product of indices": (multiply(i, subtract(j, ONE)), True),
    "labels": (subtract(Entry(label, (i,)), ONE), True),
    "half a size": (multiply(number(half), subtract(N, ONE)), True),
    "a tile": (add(ONE, multiply(Compare("<=", j, i), subtract(i, j))), True),
    "a tile that may be none": (multiply(Compare("<=", j, i), subtract(i, j)), True),
    "a tile below nothing": (subtract(multiply(Compare("<=", j, i), subtract(j, i)), ONE), True),
    "a sum of indices": (over(N, lambda t: t), True),
    "half of one": (multiply(number(half), Entry(label, (i,))), True),
}  # fmt: skip


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("known", [True, False])
def test_what_is_asked_of_a_sign_has_the_answer_of_numbers(name, known):
    """[v > 0], [v = 0], [v >= 0], the products of two, and functions with a kink, for multiples of either sign."""
    given, exact = SIGNED[name]
    exact = exact and (
        known or name not in {"a sign", "signs", "two signs", "two of them", "less of them", "a complement"}
    )
    compared = 0
    for factor in NUMBERS:
        v = multiply(factor, given)
        for asked in (above(v), Compare("<=", ZERO, v), multiply(above(v), X(i)), apply(FUNCTIONS["relu"], v)):
            compared += held(asked, known, exact)
        compared += held(multiply(above(v), above(add(v, ONE))), known, exact)
        compared += held(multiply(above(v), above(subtract(number(-1), v))), known, exact)
        if exact:
            for asked in (nothing(v), multiply(nothing(v), above(add(v, ONE))), multiply(nothing(v), above(v))):
                compared += held(asked, known)
    assert compared


MIXED = {"a sum of squares that may be empty", "a sum of inverses that may be empty", "inverse squares that may be none",
         "an exponential less one", "a product of exponentials less one", "a sign", "more than are counted",
         "fewer than are counted", "an index", "indices", "a product of indices", "labels", "a tile", "half of one",
         "a tile that may be none", "a tile below nothing"}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in SIGNED if name not in MIXED])
def test_a_positive_factor_does_not_change_a_sign(name):
    v, _ = SIGNED[name]
    for factor in (
        number(Fraction(1, 3)),
        three,
        exp(U(i)),
        p,
        EPS,
        power(add(power(U(i), 2), ONE), -1),
        power(p, half),
    ):
        assert same(above(v), above(multiply(factor, v))), factor
        assert same(nothing(v), nothing(multiply(factor, v)))
    assert same(above(v), above(multiply(v, power(Entry(A, (i, j)), -2))))


def test_a_product_is_nothing_where_a_factor_is():
    a, b = apply(f, X(i)), apply(f, U(j))
    gates = [nothing(e) for e in (a, b)]
    assert same(nothing(multiply(a, b)), subtract(add(*gates), multiply(*gates)))
    assert not same(nothing(multiply(a, b)), gates[0]) and not same(nothing(multiply(a, b)), ZERO)
    assert same(nothing(power(a, 3)), gates[0]) and same(nothing(multiply(power(a, 2), exp(b))), gates[0])
    assert same(nothing(power(add(power(a, 2), power(b, 2)), half)), nothing(add(power(a, 2), power(b, 2))))
    assert same(multiply(gates[0], above(a)), ZERO) and same(multiply(gates[0], above(multiply(two, a))), ZERO)
    assert same(multiply(gates[0], above(add(a, ONE))), gates[0])
    assert same(multiply(gates[0], above(subtract(a, ONE))), ZERO)
    assert not same(above(power(a, half)), ONE)
    assert same(above(multiply(power(a, -2), b)), above(b)) and not same(above(multiply(power(a, -1), b)), above(b))


@pytest.mark.parametrize("negative", [True, False])
def test_an_inverse_has_one_sign_whichever_way_round_it_is_written(negative):
    for v in (
        subtract(X(i), add(U(j), ONE)),
        add(X(i), U(j), EPS),
        subtract(X(i), U(j)),
        add(X(i), subtract(Entry(A, (i, j)), U(j))),
    ):
        turned = negate(v) if negative else add(v, ZERO)
        for exponent in (-1, -2, -3):
            sign = MINUS_ONE if negative and exponent % 2 else ONE
            assert same(power(turned, exponent), multiply(sign, power(v, exponent)))
    assert not same(power(subtract(X(i), U(j)), -1), power(subtract(U(j), X(i)), -1))


def test_functions_of_nothing_and_of_what_has_no_logarithm():
    assert same(apply(FUNCTIONS["cos"], ZERO), ONE) and same(apply(FUNCTIONS["sin"], ZERO), ZERO)
    assert same(power(subtract(X(i), X(i)), half), ZERO)
    for bad in (log(subtract(X(i), X(i))), power(subtract(X(i), X(i)), -1)):
        with pytest.raises(UnsupportedError):
            Canonical(FACTS, ASSUMPTIONS).normal(bad)
    assert not same(log(negate(p)), log(p)) and same(log(multiply(two, p)), add(log(two), log(p)))
    assert same(multiply(log(power(p, 2)), ONE), multiply(two, log(p)))


@pytest.mark.parametrize("seed", range(16))
def test_a_factored_sum_is_its_factors_times_what_is_left(seed):
    normal = Canonical(FACTS, ASSUMPTIONS)
    try:
        poly = normal.normal(Generator(seed).make(FREE, 2))
        if not poly.terms:
            return
        (coefficient, mono), core = normal.factor(poly)
    except (BudgetError, UnsupportedError):
        return
    assert all(e for _, e in mono.factors) and coefficient and not mono.bound
    whole = normal.multiply(Poly.make({mono: coefficient}), core)
    assert normal.vanishes(data.subtract(whole, poly))
    if core is not data.ONE:
        assert normal.factor(core)[0] == (1, data.UNIT)
    assert normal.factor(scale(poly, 3))[1] in (core, scale(core, -1))
    assert as_constant(core) in (None, 1)


def test_common_factors_of_sums_are_found():
    for whole, part in (
        (add(multiply(X(i), U(j)), multiply(two, X(i))), X(i)),
        (add(divide(X(i), U(j)), ONE), power(U(j), -1)),
        (add(multiply(exp(X(i)), U(j)), exp(multiply(two, X(i)))), exp(X(i))),
        (add(multiply(power(X(i), 3), U(j)), power(X(i), 2)), power(X(i), 2)),
    ):
        normal = Canonical(FACTS, ASSUMPTIONS)
        (_, mono), core = normal.factor(normal.normal(whole))
        ((atom, _),) = normal.normal(part).terms[0][0].factors
        assert atom in dict(mono.factors) and core is not data.ONE


@pytest.mark.parametrize(
    ("a", "b"),
    list(itertools.product((X(i), add(X(i), ONE)), (U(j), multiply(number(-2), X(i)), subtract(X(i), EPS)))),
)
def test_products_of_thresholds_have_the_value_of_both(a, b):
    assert held(multiply(above(a), above(b)), True, False)
    assert held(multiply(above(a), Compare("<=", b, ZERO), X(j)), True, False)
    assert E is not H and M is not N


def test_a_quotient_of_two_entries_of_one_tensor_may_always_be_1():
    """x_i/x_j - 1 is 0 wherever i = j, whatever x is."""
    ratio = divide(X(i), X(j))
    normal = Canonical(FACTS)
    assert not normal.never_flat(normal.normal(subtract(ratio, ONE)))
    assert not same(nothing(subtract(ratio, ONE)), ZERO)
    assert normal.never_flat(normal.normal(subtract(multiply(X(i), U(j)), ONE)))
