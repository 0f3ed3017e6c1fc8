"""The normal form with tensors as atoms."""

import math

import pytest

from symbackprop.expression.build import (
    Add,
    Apply,
    Compare,
    Entry,
    Index,
    Kronecker,
    Multiply,
    Number,
    Sum,
    Symbol,
    Tensor,
    Where,
    add,
    contraction,
    multiply,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import FUNCTIONS
from symbackprop.expression.program import Equation
from symbackprop.expression.recurrence import blocks
from symbackprop.expression.sizes import Facts
from symbackprop.normal_form.cut_points import CutPoints, is_after, tensors_of
from symbackprop.normal_form.data import Poly, as_constant
from symbackprop.normal_form.data import subtract as subtract_poly
from symbackprop.normal_form.rules_indices import in_line
from symbackprop.normal_form.to_expression import expression

N, H = Symbol("N", "size"), Symbol("H", "size")
N_, H_ = Index("n", N), Index("h", H)
X, W, B = Tensor("x", (N, H)), Tensor("W", (H, H)), Tensor("b", (H,))
Z, A = Tensor("z", (N, H)), Tensor("a", (N, H))
U, K = Tensor("U", (H, H)), Index("k", H)
ZERO = number(0)


def dense(bias=True):
    body = contraction("k", H, lambda k: multiply(Entry(X, (N_, k)), Entry(W, (k, H_))))
    return add(body, Entry(B, (H_,))) if bias else body


@pytest.fixture
def cuts():
    found = CutPoints(Facts())
    found.define(Z, (N_, H_), dense())
    z = Entry(Z, (N_, H_))
    found.define(A, (N_, H_), where(Compare("<", z, ZERO), ZERO, z))
    return found


def test_terms_without_the_tensor_are_left_as_they_are(cuts, monkeypatch):
    opened, real = [], CutPoints.open_mono
    poly = cuts.normal(add(Entry(Z, (N_, H_)), contraction("k", H, lambda k: Entry(U, (k, H_))), Entry(A, (N_, H_))))
    right = cuts.put_in(cuts.put_in(poly, A), Z)
    cuts.value(Z)
    monkeypatch.setattr(CutPoints, "open_mono", lambda self, mono, *a: opened.append(mono) or real(self, mono, *a))
    once = cuts.put_in(poly, Z)
    assert not any(tensors_of(Poly.make({m: 1})) <= {U} for m in opened)
    assert cuts.put_in(once, A) is right or cuts.vanishes(subtract_poly(cuts.put_in(cuts.put_in(once, A), Z), right))


def test_tensors_stay_atoms_until_they_are_put_in(cuts):
    poly = cuts.normal(Apply(FUNCTIONS["tanh"], (Entry(A, (N_, H_)),)))
    assert tensors_of(poly) == {A}
    opened = cuts.put_in(poly, A)
    assert tensors_of(opened) == {Z}
    assert tensors_of(cuts.put_in(opened, Z)) == {X, W, B}


def test_put_in_is_the_normal_form_of_the_substituted_expression(cuts):
    expr = add(power(Entry(Z, (N_, H_)), 2), Apply(FUNCTIONS["exp"], (Entry(Z, (N_, H_)),)))
    direct = add(power(dense(), 2), Apply(FUNCTIONS["exp"], (dense(),)))
    assert cuts.put_in(cuts.normal(expr), Z) is cuts.normal(direct)


def test_put_in_reaches_bound_indices(cuts):
    total = contraction("m", N, lambda m: Entry(Z, (m, H_)))
    written = contraction(
        "m",
        N,
        lambda m: add(contraction("k", H, lambda k: multiply(Entry(X, (m, k)), Entry(W, (k, H_)))), Entry(B, (H_,))),
    )
    assert cuts.put_in(cuts.normal(total), Z) is cuts.normal(written)


def test_layer_with_a_bias_of_its_own_is_never_flat(cuts):
    assert cuts.never_flat(cuts.normal(Entry(Z, (N_, H_))))


def test_rectified_layer_is_flat(cuts):
    """It is 0 on an open set, so that [a = 0] is no 0."""
    assert not cuts.never_flat(cuts.normal(Entry(A, (N_, H_))))
    assert cuts.normal(Compare("==", Entry(A, (N_, H_)), ZERO)).terms


def test_a_number_beside_terms_of_other_degrees_is_not_cancelled(cuts):
    """a W - 6 is 0 almost nowhere, though a may be 0 on an open set; a W alone is 0 there, and W_n/W_m - 1 where n = m."""
    product = contraction("k", H, lambda k: multiply(Entry(A, (N_, k)), Entry(U, (k, H_))))
    assert cuts.never_flat(cuts.normal(subtract(product, number(6))))
    assert not cuts.never_flat(cuts.normal(product))
    quotient = multiply(Entry(U, (H_, H_)), power(Entry(U, (K, K)), -1))
    assert not cuts.never_flat(cuts.normal(subtract(multiply(Entry(A, (N_, H_)), quotient), number(6))))


def test_difference_with_its_own_definition_is_flat(cuts):
    """z - x W - b is 0 everywhere, though W stands in it and z looks free."""
    gap = cuts.normal(subtract(Entry(Z, (N_, H_)), dense()))
    assert not cuts.never_flat(gap)
    assert cuts.normal(Compare("==", subtract(Entry(Z, (N_, H_)), dense()), ZERO)).terms


def test_readers_of_one_input_do_not_vary_apart():
    """u = 2 s and v = s + s are equal everywhere, though each for itself is never flat: no input is u's own."""
    cuts, s, u, v = CutPoints(Facts()), Tensor("s", (N,)), Tensor("u", (N,)), Tensor("v", (N,))
    cuts.define(u, (N_,), multiply(number(2), Entry(s, (N_,))))
    cuts.define(v, (N_,), add(Entry(s, (N_,)), Entry(s, (N_,))))
    assert cuts.never_flat(cuts.normal(Entry(u, (N_,))))
    assert not cuts.never_flat(cuts.normal(subtract(Entry(u, (N_,)), Entry(v, (N_,)))))


def test_sum_of_exponentials_is_positive():
    cuts, s, total = CutPoints(Facts()), Tensor("s", (N,)), Tensor("total", ())
    cuts.define(total, (), contraction("m", N, lambda m: Apply(FUNCTIONS["exp"], (Entry(s, (m,)),))))
    assert cuts.normal(Compare("<", ZERO, Entry(total, ()))) is cuts.normal(number(1))


def test_tensor_that_cannot_be_opened_is_no_input(cuts):
    """One for which no time was left may be anything that is computed from its inputs: a rectified layer, or -x."""
    other = Tensor("other", (N, H))
    cuts.depends(other, [Z])
    own, x = Entry(other, (N_, H_)), Entry(X, (N_, H_))
    assert not cuts.never_flat(cuts.normal(own))
    assert not cuts.never_flat(cuts.normal(add(own, x)))
    assert cuts.never_flat(cuts.normal(x))


def test_places_are_found_in_sums_functions_and_indices(cuts):
    """Where an entry is read inside of a function its place is told as it is seen from outside."""
    k = Index("k", H)
    inside = Apply(FUNCTIONS["tanh"], (add(Entry(Z, (N_, H_)), multiply(number(2), Entry(Z, (N_, k)))),))
    found = cuts.places_in(cuts.normal(multiply(inside, Entry(X, (N_, H_)))), Z)
    at = lambda *places: tuple(cuts.size_of(p) for p in places)  # noqa: E731
    assert found == {at(N_, H_), at(N_, k)}
    assert cuts.places_in(cuts.normal(inside), A) == set()


# Recurrences.

T = Symbol("T", "size")
U, STEP, STATE = Tensor("u", (T,)), Tensor("h", (T,)), Tensor("state", (add(T, number(1)),))
t, s = Index("t", T), Index("s", add(T, number(1)))
ONE_ = number(1)


@pytest.fixture
def steps():
    """h[t] = tanh(u[t] + state[t]); state[s] = 0 where s = 0, else h[s - 1]."""
    step = Equation(STEP, (t,), Apply(FUNCTIONS["tanh"], (add(Entry(U, (t,)), Entry(STATE, (t,))),)))
    before = Equation(STATE, (s,), where(Kronecker(s, ZERO), ZERO, Entry(STEP, (subtract(s, ONE_),))))
    (block,) = blocks((step, before))
    found = CutPoints(Facts())
    found.define_block(block, (step, before))
    return found, block


def test_entries_of_a_recurrence_are_opened_last_ones_first(steps):
    cuts_, block = steps
    now, before = Entry(STEP, (t,)), Entry(STEP, (subtract(t, ONE_),))
    poly = cuts_.normal(multiply(now, before))
    times = cuts_.times_of(poly, STEP)
    assert len(times) == 2 and cuts_.times_of(poly, U) == []
    assert abs(as_constant(subtract_poly(*times))) == block.pace
    opened = cuts_.opened(poly, STEP)
    assert tensors_of(opened) == {STEP, STATE, U}
    assert cuts_.places_in(opened, STEP) == {(cuts_.size_of(subtract(t, ONE_)),)}  # h[t] is opened, h[t - 1] is not
    alone = cuts_.normal(before)
    assert cuts_.opened(alone, STEP, times) is alone  # beside h[t], which comes later
    assert U in tensors_of(cuts_.opened(alone, STEP))


@pytest.mark.parametrize(("distance", "after"), [(1, True), (0, False), (-1, False)])
def test_a_time_is_after_another_where_their_distance_is_known(steps, distance, after):
    cuts_, _ = steps
    time = cuts_.time_of(STEP, (cuts_.size_of(t),))
    assert is_after(cuts_.time_of(STEP, (cuts_.size_of(add(t, number(distance))),)), time) is after
    assert not is_after(cuts_.time_of(STEP, (cuts_.size_of(Index("r", T)),)), time)


def test_gates_at_the_first_and_last_step_are_told_in_one_way(steps):
    cuts_, _ = steps
    last = subtract(T, ONE_)
    for gate, other in (
        (Compare("<=", ONE_, t), subtract(ONE_, Kronecker(t, ZERO))),
        (Compare("<", t, last), subtract(ONE_, Kronecker(t, last))),
        (Compare("<=", t, ZERO), Kronecker(t, ZERO)),
        (Compare("<=", last, t), Kronecker(t, last)),
    ):
        assert not cuts_.gap(cuts_.normal(gate), cuts_.normal(other)).terms
        assert cuts_.gap(cuts_.normal(gate), cuts_.normal(Compare("<=", number(2), t))).terms
    here, there = Entry(U, (t,)), Entry(U, (subtract(last, t),))
    for gate, other in (
        (Kronecker(t, ZERO), Compare("<=", ONE_, t)),
        (Kronecker(ZERO, t), Compare("<", ZERO, t)),
        (Kronecker(t, last), Compare("<", t, last)),
        (Kronecker(subtract(last, t), ZERO), Compare("<=", t, subtract(T, number(2)))),
    ):
        told = add(multiply(gate, here), multiply(other, there))
        assert cuts_.normal(where(gate, here, there)) is cuts_.normal(told)
    for gate in (Kronecker(t, ONE_), Compare("<", t, last), multiply(Kronecker(t, ZERO), Compare("<", ZERO, here))):
        plain = CutPoints(Facts())  # other gates are what they are without recurrences
        assert cuts_.normal(where(gate, here, there)) is plain.normal(where(gate, here, there))


def test_a_difference_is_told_at_its_edges_beside_recurrences_alone(steps):
    """[t <= 0] is [t = 0], also in what comes of putting in a tensor."""
    cuts_, _ = steps
    plain, y = CutPoints(Facts()), Tensor("y", (T,))
    gate = multiply(Compare("<=", t, ZERO), Entry(U, (t,)))
    for found in (cuts_, plain):
        found.define(y, (t,), gate)
        told = {found.opened_gap(found.normal(Entry(y, (t,))), y), found.gap(found.normal(gate), found.normal(ZERO))}
        assert told == {found.normal(multiply(Kronecker(t, ZERO), Entry(U, (t,))) if found is cuts_ else gate)}


def _extended(node, at):
    """The value of an expression over N = 5 whose vectors are polynomials of the place, also beyond their ends."""
    match node:
        case Number(value):
            return value
        case Symbol():
            return 5
        case Index():
            return at[node]
        case Entry(tensor, (place,)):
            k = _extended(place, at)
            return k**3 - 4 * k + 3 if tensor.name == "f" else 2 * k * k + k - 7
        case Add(terms):
            return sum(_extended(t, at) for t in terms)
        case Multiply(factors):
            return math.prod(_extended(f, at) for f in factors)
        case Kronecker(left, right):
            return int(_extended(left, at) == _extended(right, at))
        case Compare(relation, left, right):
            a, b = _extended(left, at), _extended(right, at)
            return int(a < b if relation == "<" else a <= b)
        case Where(condition, then, otherwise):
            return _extended(then if _extended(condition, at) else otherwise, at)
        case Sum(index, body):
            return sum(_extended(body, {**at, index: k}) for k in range(int(_extended(index.size, at))))
    raise AssertionError(node)


@pytest.mark.parametrize("length", [0, -1])
@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 1), (-1, 0), (-2, -1), (2, 1)])
def test_in_line_keeps_the_value_of_sums_whatever_stands_beyond_the_ends(length, first, second):
    cuts = CutPoints(Facts())
    f, g = Tensor("f", (N,)), Tensor("g", (N,))

    def summand(i):
        return multiply(Entry(f, (add(i, number(first)),)), Entry(g, (add(i, number(second)),)))

    poly = cuts.normal(contraction("i", add(N, number(length)), summand))
    told = in_line(cuts, poly)
    assert _extended(expression(cuts, told, {}), {}) == _extended(expression(cuts, poly, {}), {})


def test_vanishes_everywhere_meets_shifted_sums():
    """sum(i < N - 1, f[i + 1]) is sum(i < N, f[i]) - f[0], and no more."""
    cuts, f, n = CutPoints(Facts()), Tensor("f", (N,)), Index("n", N)
    h, before = Tensor("h", (N,)), Tensor("h_before", (N,))
    (block,) = blocks(
        [
            Equation(before, (n,), where(Kronecker(n, ZERO), ZERO, Entry(h, (subtract(n, number(1)),)))),
            Equation(h, (n,), add(Entry(before, (n,)), Entry(f, (n,)))),
        ]
    )
    cuts.define_block(block, block.equations)
    shifted = contraction("i", subtract(N, number(1)), lambda i: Entry(f, (add(i, number(1)),)))
    whole = contraction("i", N, lambda i: Entry(f, (i,)))
    gap = cuts.normal(subtract(subtract(whole, shifted), Entry(f, (ZERO,))))
    assert cuts.vanishes_everywhere(gap)
    assert not cuts.vanishes_everywhere(cuts.normal(subtract(whole, shifted)))
