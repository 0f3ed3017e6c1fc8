"""The data of the normal form by themselves: numbers, atoms, sums, orders of indices."""

from fractions import Fraction

import pytest

from symbackprop.expression.build import Index, Symbol, Tensor
from symbackprop.normal_form.bound_names import abstract, canonical_mono, settle_arguments
from symbackprop.normal_form.data import (
    ONE,
    ZERO,
    Atom,
    Mono,
    Poly,
    add,
    as_atom,
    as_constant,
    as_index,
    bound_index,
    combine,
    constant,
    exact,
    magnitude,
    of_atom,
    of_index,
    parameter,
    scale,
    subtract,
)
from symbackprop.normal_form.rewriter import between_indices, common_divisor, solve_for, spare

N, M = Symbol("N", "size"), Symbol("M", "size")
i, j, k = (Index(s, N) for s in "ijk")
x, A = Tensor("x", (N,)), Tensor("A", (N, N))


def entry(tensor, *places):
    return Atom.make("entry", tensor, tuple(map(of_index, places)))


@pytest.mark.parametrize("value", [0, 1, -1, 3, -3, Fraction(1, 2), Fraction(-1, 2), Fraction(7, 3)])
def test_magnitude_is_the_absolute_value(value):
    assert magnitude(value) == abs(value)


def test_exact_numbers_are_integers_where_they_can_be():
    assert exact(Fraction(4, 2)) == 2 and isinstance(exact(Fraction(4, 2)), int)
    assert exact(Fraction(1, 2)) == Fraction(1, 2) and exact(3) == 3


def test_sum_of_one_atom_is_no_atom_and_no_index():
    b = bound_index(0, N)
    total = Poly.make({Mono.make(((entry(x, b), 1),), (b,)): 1})
    counted = Poly.make({Mono.make(((Atom.make("index", b), 1),), (b,)): 1})
    assert as_atom(total) is None and as_index(counted) is None
    assert total.free == frozenset() and of_atom(entry(x, i)).free == {i}


def test_atom_alone_is_told_from_multiples_powers_products_and_sums():
    atom, other = entry(x, i), entry(x, j)
    assert as_atom(of_atom(atom)) is atom
    for poly in (
        of_atom(atom, 2),
        scale(of_atom(atom), 2),
        add(of_atom(atom), of_atom(other)),
        add(of_atom(atom), ONE),
        Poly.make({Mono.make(tuple(sorted(((atom, 1), (other, 1)), key=lambda f: f[0].id))): 1}),
        ONE,
        ZERO,
    ):
        assert as_atom(poly) is None
    assert as_index(of_index(i)) is i and as_index(of_atom(atom)) is None


def test_constants_are_told_from_all_others():
    assert as_constant(ZERO) == 0 and as_constant(ONE) == 1 and as_constant(constant(Fraction(1, 2))) == Fraction(1, 2)
    assert as_constant(of_index(i)) is None and as_constant(add(of_index(i), ONE)) is None


def test_sums_cancel_and_keep_their_coefficients():
    a, b = of_index(i), of_index(j)
    assert subtract(a, a) is ZERO and add(a, b) is add(b, a)
    assert combine([(2, a), (-3, b), (1, a)]) is subtract(scale(a, 3), scale(b, 3))
    assert scale(scale(a, 2), Fraction(1, 2)) is a


def test_indices_of_a_sum_have_one_order_whatever_they_are_called():
    def mono(first, second):
        return canonical_mono({entry(A, first, second): 1, entry(x, first): 2}, (first, second))

    assert mono(i, j) is mono(j, i) is mono(k, i)
    assert mono(i, j) is not canonical_mono({entry(A, i, j): 1, entry(x, j): 2}, (i, j))
    other = Index("o", M)
    wide = Tensor("B", (N, M))
    assert (
        canonical_mono({entry(wide, i, other): 1}, (i, other)).bound
        != canonical_mono({entry(A, i, j): 1}, (i, j)).bound
    )


def test_templates_forget_the_names_of_indices_and_remember_their_places():
    one, args = abstract((add(of_atom(entry(x, i)), of_atom(entry(A, i, j))),))
    two, others = abstract((add(of_atom(entry(x, k)), of_atom(entry(A, k, i))),))
    assert one == two
    order = [as_index(a) for a in args]
    assert sorted(order, key=lambda v: v.name) == [i, j]
    assert [as_index(a) for a in others] == [{i: k, j: i}[v] for v in order]
    assert abstract((of_atom(entry(A, i, i)),))[0] != abstract((of_atom(entry(A, i, j)),))[0]


def test_the_index_that_comes_first_takes_the_first_parameter():
    for first in (i, j):
        (template,), args = abstract((of_atom(entry(A, i, j)),), first=(first,))
        names = {i: None, j: None}
        (mono, _), *_ = template.terms
        names[i], names[j] = (as_index(a) for a in mono.factors[0][0].args)
        assert names[first] is parameter(0, N)
        assert [as_index(a) for a in args] == [j if first is i else i]


def test_a_symmetric_template_has_one_order_of_arguments_and_another_has_its_own():
    f = Tensor("f", ())
    symmetric = add(of_atom(entry(x, i)), of_atom(entry(x, j)))
    templates, args = abstract((symmetric,))
    assert settle_arguments("apply", templates, args) == settle_arguments("apply", templates, args[::-1])
    plain, args = abstract((add(of_atom(entry(x, i)), of_atom(entry(A, i, j))),))
    assert settle_arguments("apply", plain, args) == args and settle_arguments("apply", plain, args[::-1]) != args
    assert settle_arguments("entry", f, args[::-1]) == args[::-1]


def test_two_signs_of_a_delta_are_one():
    gap = subtract(of_index(i), of_index(j))
    assert settle_arguments("delta", None, (gap,)) == settle_arguments("delta", None, (scale(gap, -1),))


def test_spare_names_are_not_in_use():
    first = spare(N, set())
    assert spare(N, {first}) is not first and spare(N, {i, j}) is first
    assert spare(M, {first}).size is M


@pytest.mark.parametrize(
    ("poly", "divisor"),
    [
        (add(scale(of_index(i), 4), scale(of_index(j), 6)), 2),
        (add(scale(of_index(i), 4), ONE), 4),
        (add(scale(of_index(i), 3), of_index(j)), 1),
        (scale(of_index(i), Fraction(1, 2)), 1),
        (of_atom(entry(x, i), -1), 1),
        (scale(of_atom(entry(x, i), Fraction(1, 2)), 4), 1),
        (add(scale(of_atom(entry(x, i), Fraction(3, 2)), 2), scale(of_index(j), 2)), 1),
        (scale(of_atom(entry(x, i), 2), 4), 4),
        (add(scale(of_index(i), 2), constant(Fraction(1, 2))), 1),
    ],
)
def test_common_divisor_of_whole_coefficients(poly, divisor):
    assert common_divisor(poly) == divisor


def test_a_difference_of_two_indices_is_told_from_other_sums():
    a, b = of_index(i), of_index(j)
    assert between_indices(subtract(a, b)) and between_indices(add(a, b))
    for other in (a, subtract(a, ONE), subtract(a, scale(b, 2)), subtract(a, of_atom(entry(x, j)))):
        assert not between_indices(other)
    assert not between_indices(subtract(subtract(a, b), of_index(k)))
    assert not between_indices(subtract(a, of_atom(Atom.make("index", j), 2)))


def test_an_index_is_solved_for_where_it_stands_alone():
    a, b = of_index(i), of_index(j)
    assert solve_for(subtract(a, b), i) is b and solve_for(subtract(b, a), i) is b
    assert solve_for(add(a, b, ONE), i) is subtract(scale(b, -1), ONE)
    assert solve_for(subtract(scale(a, 2), b), i) is None and solve_for(b, i) is None
    product = Poly.make(
        {Mono.make(tuple(sorted(((Atom.make("index", i), 1), (Atom.make("index", j), 1)), key=lambda f: f[0].id))): 1}
    )
    assert solve_for(add(a, product), i) is None


def test_canonical_names_are_told_apart_by_their_place_and_axis():
    assert bound_index(0, N) is bound_index(0, N)
    assert len({bound_index(0, N), bound_index(1, N), bound_index(0, M), parameter(0, N)}) == 4


def test_polynomials_show_what_they_are():
    """What a message or a debugger shows: coefficients and exponents other than 1, what is summed over, 0 and 1."""
    own, size = entry(x, i), Atom.make("symbol", N)
    shown = {
        "0": ZERO,
        "1": ONE,
        "3*1": constant(3),
        "x[i]": of_atom(own),
        "x[i]^2": of_atom(own, 2),
        "-2*x[i]": scale(of_atom(own), -2),
        "S['b0'](x[b0])": Poly.make({canonical_mono({own: 1}, (i,)): 1}),
        "i": of_index(i),
        "i7": of_index(Index("i", N, 7)),
        "delta[i]": of_atom(Atom.make("delta", None, (of_index(i),))),
        "N": of_atom(size),
    }
    assert {text: repr(poly) for text, poly in shown.items()} == {text: text for text in shown}
    assert set(repr(Poly.make({Mono.make(((own, 1), (size, 1))): 1})).split("*")) == {"x[i]", "N"}
    assert set(repr(add(of_atom(own), of_atom(size))).split(" + ")) == {"x[i]", "N"}
