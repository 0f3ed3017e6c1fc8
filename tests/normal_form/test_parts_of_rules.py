"""The questions that rules ask, each by itself: what is a digit, an indicator, an integer, a triangle, a place."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from random_expressions import (
    ASSUMPTIONS,
    FACTS,
    FREE,
    HE,
    A,
    B,
    E,
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
    signs,
    u,
    value,
    w,
    x,
)

from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Entry,
    Index,
    Kronecker,
    Position,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    add,
    apply,
    contraction,
    kronecker,
    matrix_entry,
    multiply,
    negate,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import EXP, FLOOR, ROUND, STEP, arbitrary
from symbackprop.normal_form.cut_points import _length_at, divides, symbols_at
from symbackprop.normal_form.data import ONE as UNIT_POLY
from symbackprop.normal_form.data import UNIT, Atom, Poly, constant, of_atom, of_index, scale
from symbackprop.normal_form.data import subtract as minus
from symbackprop.normal_form.modulo_equations import _is_rounded, has_place
from symbackprop.normal_form.normal_form import Canonical, is_indicator, is_integer
from symbackprop.normal_form.rules_indices import alignment, at_edges, in_line
from symbackprop.normal_form.rules_matrices import _compares_indices, is_upper
from symbackprop.normal_form.rules_merged_axes import _coefficient, _digits, exact_parts

i, j, m, h = FREE
f = arbitrary("f")
two, three, half = number(2), number(3), Fraction(1, 2)
X = lambda k: Entry(x, (k,))  # noqa: E731
g, s = Entry(bernoulli, (i,)), Entry(signs, (i,))
other = Tensor("other", (N, M))
LENGTHS = [(1, 1, 1, 1), (2, 1, 2, 2), (3, 2, 1, 2), (5, 3, 2, 2), (7, 2, 2, 3)]


def points():
    for seed, sizes in enumerate(2 * LENGTHS):
        indices, numbers, data = point(seed, sizes)
        rows = np.random.default_rng(seed).integers(0, sizes[1], sizes[0])
        yield indices, numbers, {**data, other: np.eye(sizes[1])[rows]}


POINTS = list(points())


def normal_of(expr, **known):
    table = Canonical(FACTS, known.get("assumptions", {**ASSUMPTIONS, other: "onehot"}))
    return table, table.normal(expr)


def held(expr, poly):
    compared = 0
    for at in POINTS:
        try:
            pair = value(expr, *at), poly_value(poly, *at)
        except (Undefined, OverflowError, ZeroDivisionError):
            continue
        compared += 1
        assert close(*pair), (expr, at[0], at[1])
    return compared


def atom_of(expr):
    _, poly = normal_of(expr)
    (((atom, _),),) = (mono.factors for mono, _ in poly.terms)
    return atom


# Kinds of expressions.

INDICATORS = [Compare("<", i, j), Kronecker(i, j), ZERO, ONE, apply(STEP, X(i)), multiply(Compare("<", i, j), Kronecker(i, m)),
              subtract(ONE, Compare("<", i, j)), multiply(ONE, apply(STEP, X(j)))]  # fmt: skip
NO_INDICATORS = [two, number(half), X(i), i, apply(EXP, X(i)), multiply(two, Compare("<", i, j)), add(Compare("<", i, j), ONE),
                 multiply(Compare("<", i, j), X(i)), subtract(two, Compare("<", i, j)), subtract(ONE, X(i)), number(-1),
                 add(multiply(number(-2), Compare("<", i, j)), ONE), add(Compare("<", i, j), Kronecker(i, j))]  # fmt: skip
INTEGERS = [two, number(-3), N, i, Quotient(i, two), Remainder(i, two), Entry(label, (i,)), add(i, N), multiply(i, j, N), power(i, 2),
            where(Compare("<", i, j), i, N), Position("max", Index("k", N, 5), X(Index("k", N, 5)))]  # fmt: skip
NO_INTEGERS = [number(half), Symbol("eps", "positive"), X(i), add(i, X(i)), multiply(X(i), i), power(i, -1), power(i, half), power(X(i), 2),
               where(Compare("<", i, j), i, X(i)), where(Compare("<", i, j), X(i), i), apply(EXP, i), add(number(half), i)]  # fmt: skip


def test_indicators_are_told_from_other_expressions():
    assert [is_indicator(e) for e in INDICATORS] == [True] * len(INDICATORS)
    assert [is_indicator(e) for e in NO_INDICATORS] == [False] * len(NO_INDICATORS)
    for expr in INDICATORS:
        assert {value(expr, *at) for at in POINTS} <= {0, 1}


def test_integers_are_told_from_other_expressions():
    assert [is_integer(e) for e in INTEGERS] == [True] * len(INTEGERS)
    assert [is_integer(e) for e in NO_INTEGERS] == [False] * len(NO_INTEGERS)


def test_powers_of_zeros_and_ones_are_these_numbers():
    table = Canonical(FACTS, ASSUMPTIONS)
    for exponent in (half, 2, 3, Fraction(3, 2)):
        assert table.equal(power(g, exponent), g)
    assert table.equal(power(s, 2), ONE) and table.equal(power(s, -1), s) and not table.equal(power(g, -1), g)


def test_entries_of_two_tables_are_not_those_of_one():
    """y_m*t_m says nothing where y and t have rows of their own."""
    for expr in (
        multiply(Entry(onehot, (i, m)), Entry(other, (i, m))),
        multiply(Entry(onehot, (i, m)), Entry(other, (i, Entry(label, (i,))))),
        multiply(Entry(onehot, (i, m)), Entry(onehot, (i, Entry(label, (i,))))),
        multiply(Entry(onehot, (i, m)), Entry(onehot, (j, m))),
        contraction("t", M, lambda t: multiply(Entry(onehot, (i, t)), Entry(other, (i, t)))),
        apply(
            EXP,
            contraction("t", M, lambda t: multiply(add(Entry(onehot, (i, t)), Entry(other, (i, t))), Entry(B, (j, t)))),
        ),
    ):
        assert held(expr, normal_of(expr)[1])


# Places and lengths.


@pytest.mark.parametrize(
    ("gap", "told"),
    [
        (subtract(N, ONE), (N, 1)),
        (subtract(number(5), N), (N, 5)),
        (add(negate(N), three), (N, 3)),
        (subtract(multiply(two, N), three), None),
        (subtract(N, M), None),
        (subtract(multiply(N, N), number(4)), None),
        (subtract(multiply(N, M), number(4)), None),
        (subtract(add(N, multiply(N, M)), three), None),
        (subtract(add(N, Quotient(M, two)), three), None),
    ],
)
def test_an_equality_says_which_length_an_axis_has(gap, told):
    _, poly = normal_of(Kronecker(gap, ZERO))
    atoms = [a for mono, _ in poly.terms for a, _ in mono.factors]
    if told is None:
        assert all(_length_at(a) is None for a in atoms)
    else:
        (atom,) = atoms
        assert _length_at(atom) == (atom, told[0], constant(told[1]))


def test_what_is_no_equality_of_sizes_says_no_length():
    for expr in (Kronecker(i, j), Compare("<=", three, N), X(i), N, Kronecker(Entry(label, (i,)), ONE)):
        _, poly = normal_of(expr)
        assert all(_length_at(a) is None for mono, _ in poly.terms for a, _ in mono.factors)
    assert symbols_at(atom_of(N)) == {N} and symbols_at(atom_of(X(i))) <= {N}
    assert symbols_at(atom_of(Entry(x, (subtract(M, ONE),)))) >= {M}


def test_divisions_by_a_tensor_are_seen():
    of = lambda expr: normal_of(expr)[1]  # noqa: E731
    assert divides(of(power(X(i), -1)), x) and divides(of(add(X(i), multiply(X(j), power(X(i), -2)))), x)
    assert divides(of(power(X(i), -half)), x) or not divides(of(power(X(i), half)), x)
    for expr in (
        power(X(i), 2),
        power(Entry(u, (i,)), -1),
        multiply(X(i), power(Entry(u, (i,)), -1)),
        apply(EXP, X(i)),
    ):
        assert not divides(of(expr), x)


def test_rounded_numbers_and_places_are_seen():
    of = lambda expr: normal_of(expr)[1]  # noqa: E731
    rounded = [apply(FLOOR, X(i)), add(apply(ROUND, X(i)), i), multiply(two, apply(FLOOR, multiply(X(i), X(j))))]
    assert [_is_rounded(of(e)) for e in rounded] == [True] * 3
    plain = [X(i), i, apply(EXP, X(i)), multiply(Compare("<=", i, m), X(i)), ZERO, add(i, apply(f, X(i)))]
    assert [_is_rounded(of(e)) for e in plain] == [False] * len(plain)
    table = Canonical(FACTS)
    named = table.named(table.normal(apply(FLOOR, X(i))))
    gate = table.normal(Compare("<=", i, m))
    assert not _is_rounded(named) and _is_rounded(table.multiply(named, gate))
    assert not _is_rounded(table.multiply(table.named(table.normal(apply(EXP, X(i)))), gate))
    k = Index("k", N, 5)
    place = Position("max", k, X(k))
    assert (
        has_place(of(Entry(u, (place,))))
        and has_place(of(add(X(i), Entry(A, (i, place)))))
        and has_place(of(kronecker(i, place)))
    )
    assert not has_place(of(X(i))) and not has_place(of(ZERO)) and not has_place(of(Entry(A, (i, Entry(label, (i,))))))


def test_of_two_equal_labels_the_one_that_is_not_summed_over_is_read():
    for pair in (kronecker, lambda a, b: kronecker(b, a)):
        body = lambda t: multiply(pair(Entry(label, (i,)), Entry(label, (t,))), Entry(w, (Entry(label, (t,)),)), X(t))  # noqa: B023, E731
        _, poly = normal_of(contraction("t", N, body))
        ((mono, _),) = poly.terms
        (read,) = [a for a, _ in mono.factors if a.kind == "entry" and a.data is w]
        assert mono.bound and read.free == {i}


# Matrices.


def definite(a, b):
    return add(contraction("t", M, lambda t: multiply(Entry(B, (a, t)), Entry(B, (b, t)))), kronecker(a, b))


def test_gates_that_compare_indices_of_one_axis():
    gates = {Compare("<=", i, j): True, Compare("<=", j, i): True, Compare("<", i, j): None, Compare("<=", i, m): False,
             Compare("<=", multiply(two, i), j): False, Compare("<=", i, Entry(label, (j,))): False, Compare("<=", two, i): False,
             Compare("<=", N, add(i, j)): False, Compare("<=", i, subtract(N, ONE)): None}  # fmt: skip
    for gate, told in gates.items():
        _, poly = normal_of(gate)
        atoms = [a for mono, _ in poly.terms for a, _ in mono.factors if a.kind == "nonneg"]
        assert told is None or any(_compares_indices(a) for a in atoms) is told, gate


def test_triangles_are_told_by_the_side_on_which_they_are_filled():
    e, gg = Index("e", N), Index("g", N)

    def template(kind, places):
        _, poly = normal_of(matrix_entry(kind, N, definite, places))
        return poly

    assert is_upper(template("cholesky", (e, gg))) is False and is_upper(template("cholesky", (gg, e))) is True
    for poly in (template("inverse", (e, gg)), template("cholesky", (e, e)), template("cholesky", (i, gg)), of_index(e), constant(2),
                 scale(template("cholesky", (e, gg)), 2)):  # fmt: skip
        assert is_upper(poly) is None


# Merged axes.


@pytest.mark.parametrize(
    ("size", "radix", "parts"),
    [(HE, E, (H, E)), (HE, H, (E, H)), (multiply(two, N), two, (N, two)), (N, two, None), (HE, ONE, None), 
     (number(6), two, (three, two)), (number(6), number(4), None), (add(H, E), E, None), (number(6), ZERO, None)],
)  # fmt: skip
def test_an_axis_is_divided_by_what_divides_its_length(size, radix, parts):
    table = Canonical(FACTS)
    index = Index("p0", size)
    assert exact_parts(table, index, table.size_of(radix)) == parts
    assert exact_parts(table, index, of_index(i)) is None


def test_digits_are_found_in_the_order_of_their_weights():
    table = Canonical(FACTS)
    a, b, c = Index("a", H, 91), Index("b", E, 92), Index("c", N, 93)
    gap = lambda e: table.size_of(e)  # noqa: E731
    whole = add(multiply(E, H, c), multiply(E, a), b)
    for sign, rest in itertools.product((1, -1), (i, Entry(label, (i,)), ZERO)):
        told = gap(multiply(number(sign), subtract(whole, rest)))
        assert _digits(table, told, (a, b, c)) == [b, a, c]
    for bad in (
        add(a, b),
        add(multiply(H, a), b),
        add(multiply(E, a), multiply(two, b)),
        a,
        add(multiply(E, a), multiply(b, i)),
        add(multiply(E, power(a, 2)), b),
        i,
    ):
        assert _digits(table, gap(bad), (a, b)) == []
    assert _coefficient(gap(whole), a) is table.size_of(E) and _coefficient(gap(whole), c) is table.size_of(
        multiply(E, H)
    )
    assert _coefficient(gap(subtract(i, a)), a) is constant(-1)
    for bad in (multiply(a, b), multiply(a, a), Quotient(a, two), multiply(a, Entry(label, (i,)))):
        assert _coefficient(gap(add(bad, b)), a) is None
    assert _coefficient(gap(add(i, b)), a) == Poly.make({}) and UNIT is constant(1).terms[0][0]


# First and last steps.


def test_places_that_one_length_leaves_none_of_are_left_out():
    """Of a place below N - 1, [t = N - 2] and [N = 1] are never both so."""
    t = Index("t", subtract(N, ONE))
    for last, length, none in (
        (kronecker(t, subtract(N, two)), ONE, True),
        (kronecker(subtract(N, two), t), ONE, True),
        (kronecker(t, subtract(N, two)), two, False),
        (kronecker(t, ZERO), ONE, True),
        (kronecker(multiply(two, t), subtract(N, ONE)), three, False),
        (kronecker(multiply(two, t), subtract(N, two)), two, False),
    ):
        table, poly = normal_of(multiply(last, kronecker(N, length), X(i)))
        assert (not at_edges(table, poly).terms) is none, (last, length)


def test_a_triangle_is_solved_for_where_its_index_stands_nowhere_else():
    """sum_s L_si L^-1_sj is what it is; with x_s in it, it is no entry of the identity."""
    factor = lambda a, b: matrix_entry("cholesky", N, definite, (a, b))  # noqa: E731
    solved = lambda a, b: matrix_entry("inverse", N, factor, (a, b))  # noqa: E731
    inverse = lambda a, b: matrix_entry("inverse", N, definite, (a, b))  # noqa: E731
    small = [p for p in POINTS if p[1][N] < 4]
    for one, other_ in itertools.product((factor, solved, inverse), repeat=2):
        for more in (ONE, None):
            expr = contraction("s", N, lambda t, a=one, b=other_, c=more: multiply(a(t, i), b(t, j), c or X(t)))
            _, poly = normal_of(expr)
            for at in small:
                try:
                    pair = value(expr, *at), poly_value(poly, *at)
                except Undefined:
                    continue
                assert close(*pair)


def test_sums_over_shifted_places_are_one_where_they_are_the_same():
    long = Tensor("long", (add(N, two),))
    read = lambda k: Entry(long, (k,))  # noqa: E731
    whole = contraction("t", N, lambda t: power(read(add(t, ONE)), 2))
    parts = add(contraction("t", subtract(N, ONE), lambda t: power(read(add(t, two)), 2)), power(read(ONE), 2))
    table, poly = normal_of(subtract(whole, parts))
    assert table.vanishes(in_line(table, poly))
    less = contraction("t", subtract(N, ONE), lambda t: power(read(add(t, two)), 2))
    table, poly = normal_of(subtract(whole, less))
    assert not table.vanishes(in_line(table, poly))


def test_an_index_inside_an_indicator_runs_neither_way():
    """It was reflected for ever: a reflection does not turn the sign of the inner indicator."""
    c, n = Index("c", Symbol("N", "size")), Index("n", Symbol("N", "size"))
    inner = Atom.make("delta", None, (minus(of_index(c), of_index(n)),))
    assert alignment(inner, c) != 0
    assert alignment(Atom.make("delta", None, (minus(UNIT_POLY, of_atom(inner)),)), c) == 0
