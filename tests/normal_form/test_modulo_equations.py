"""Two tensors are equal under their equations if every entry is: a difference at one entry alone is found."""

import pytest

from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Entry,
    Index,
    Position,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    add,
    apply,
    contraction,
    kronecker,
    multiply,
    number,
    power,
    where,
)
from symbackprop.expression.functions import EXP, LOG, arbitrary
from symbackprop.expression.program import Assumption, Equation, Program
from symbackprop.expression.sizes import Facts
from symbackprop.normal_form.definitions import Definitions
from symbackprop.normal_form.modulo_equations import UNLIMITED, Resolver

N, E = Symbol("N", "size"), Symbol("E", "size")
n, k = Index("n", N), Index("k", number(3))
x, row = Tensor("x", (N,)), Tensor("row", (number(3),))
L, R = Tensor("L", (N,)), Tensor("R", (N,))
f = arbitrary("f")


def at(tensor, *places):
    return Entry(tensor, places)


def meets(left, right, *before, index=n, limit=UNLIMITED, facts=(), kinds=None, expanded=0):
    """Are L = left and R = right equal, after these equations?"""
    tensors = Tensor("L", (index.size,)), Tensor("R", (index.size,))
    equations = [*before, *(Equation(t, (index,), v) for t, v in zip(tensors, (left, right), strict=True))]
    return Resolver(equations, Facts(facts), kinds, limit=limit, expanded=expanded).meets(*tensors)


@pytest.mark.parametrize("expanded", [0, 8])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_difference_at_one_entry_of_a_short_axis_is_found(place, expanded):
    value = at(row, k)
    once = where(Compare("==", k, number(place)), multiply(number(2), value), value)
    assert meets(value, value, index=k, expanded=expanded)
    assert not meets(value, once, index=k, expanded=expanded)
    assert not meets(once, value, index=k, expanded=expanded)


def test_a_sum_over_a_short_axis_is_compared_term_by_term():
    total = contraction("s", number(3), lambda s: at(row, s))
    written = add(*(at(row, number(p)) for p in range(3)))
    assert meets(total, written, index=k, expanded=8)
    assert not meets(total, add(*(at(row, number(p)) for p in (0, 1, 1))), index=k, expanded=8)


@pytest.mark.parametrize("left", [0, 1])
def test_a_difference_at_one_remainder_is_found(left):
    whole = Index("w", multiply(number(2), N))
    y = Tensor("y", (multiply(number(2), N),))
    even = Compare("==", Remainder(whole, number(2)), ZERO)
    half = at(x, Quotient(whole, number(2)))
    branches = where(even, half, multiply(number(2), half)), where(even, multiply(number(2), half), half)
    assert meets(branches[left], branches[left], index=whole)
    assert not meets(branches[left], half, index=whole)
    assert not meets(branches[left], multiply(number(2), half), index=whole)
    assert not meets(branches[0], branches[1], index=whole)
    assert not meets(at(y, whole), half, index=whole)


def test_a_merged_axis_is_compared_for_every_pair_of_digits():
    H = Symbol("H", "size")
    whole = Index("w", multiply(H, E))
    T = Tensor("T", (H, E))
    high, low = Quotient(whole, E), Remainder(whole, E)
    here = at(T, high, low)
    assert meets(multiply(here, add(multiply(E, high), low)), multiply(here, whole), index=whole)
    assert not meets(multiply(here, add(high, low)), multiply(here, whole), index=whole)
    assert not meets(here, at(T, high, ZERO), index=whole)


z, w = Tensor("z", (N,)), Tensor("w", (N,))
CHAIN = (
    Equation(z, (n,), add(at(x, n), power(at(x, n), 2))),
    Equation(w, (n,), add(multiply(at(z, n), at(z, n)), apply(f, at(z, n)))),
)


@pytest.mark.parametrize("limit", [3, UNLIMITED])
def test_named_values_are_opened_where_that_is_needed(limit):
    z_ = add(at(x, n), power(at(x, n), 2))
    assert meets(at(w, n), add(power(z_, 2), apply(f, z_)), *CHAIN, limit=limit)
    assert not meets(at(w, n), add(power(z_, 2), apply(f, at(x, n))), *CHAIN, limit=limit)
    assert not meets(at(w, n), add(power(z_, 2), z_), *CHAIN, limit=limit)
    assert meets(multiply(at(w, n), at(z, n)), multiply(at(z, n), at(w, n)), *CHAIN, limit=limit)


@pytest.mark.parametrize("limit", [1, UNLIMITED])
def test_named_values_of_named_values_are_opened(limit):
    square = Equation(w, (n,), add(multiply(at(z, n), at(z, n)), at(z, n)))
    z_ = add(at(x, n), power(at(x, n), 2))
    assert meets(at(w, n), add(power(z_, 2), z_), CHAIN[0], square, limit=limit)
    assert not meets(at(w, n), add(power(z_, 2), at(x, n)), CHAIN[0], square, limit=limit)


def test_an_entry_is_read_at_its_own_place():
    other = Index("m", N)
    square = Tensor("S", (N, N))
    equation = Equation(square, (n, other), multiply(at(x, n), power(at(x, other), 2)))
    i = Index("i", N)
    assert meets(at(square, i, ZERO), multiply(at(x, i), power(at(x, ZERO), 2)), equation, index=i)
    assert not meets(at(square, i, ZERO), at(square, ZERO, i), equation, index=i)
    assert not meets(at(square, i, i), multiply(at(x, i), power(at(x, ZERO), 2)), equation, index=i)


def test_a_changed_equation_changes_what_depends_on_it_and_nothing_else():
    equations = [*CHAIN, Equation(L, (n,), at(w, n)), Equation(R, (n,), at(z, n))]
    resolver = Resolver(equations, Facts())
    assert not resolver.meets(L, R)
    edited = resolver.edited(Equation(w, (n,), at(z, n)), {w, L})
    assert edited.meets(L, R)
    assert not resolver.meets(L, R)
    again = edited.edited(Equation(z, (n,), at(x, n)), {z, w, L, R})
    assert again.meets(R, R) and again.meets(L, R)
    assert not Resolver([*again.equations.values(), Equation(x, (n,), ONE)], Facts()).meets(L, w) or again.meets(L, w)


def test_identified_tensors_are_one():
    equations = [*CHAIN, Equation(L, (n,), at(w, n)), Equation(R, (n,), at(z, n))]
    resolver = Resolver(equations, Facts())
    assert not resolver.meets(L, R)
    resolver.identify(w, z)
    resolver.identify(L, w)
    assert resolver.meets(L, R)


def test_conditions_of_what_is_known_are_told():
    p = Tensor("p", (N,))
    equations = [
        Equation(L, (n,), apply(LOG, multiply(at(p, n), at(x, n)))),
        Equation(R, (n,), add(apply(LOG, at(p, n)), apply(LOG, at(x, n)))),
    ]
    resolver = Resolver(equations, Facts(), {p: "pos", x: "pos"})
    assert resolver.meets(L, R)
    assert set(resolver.used) == {"entries of p are positive", "entries of x are positive"}
    assert not Resolver(equations, Facts(), {p: "pos"}).meets(L, R)


def test_facts_about_sizes_are_used():
    even = (Compare("==", Remainder(N, number(2)), ZERO),)
    half = multiply(number(2), Quotient(N, number(2)))
    assert meets(multiply(half, at(x, n)), multiply(N, at(x, n)), facts=even)
    assert not meets(multiply(half, at(x, n)), multiply(N, at(x, n)))


# The other way: expressions of a program, its tensors put in one by one.

PROGRAM = Program((x,), (*CHAIN, Equation(Tensor("J"), (), contraction("s", N, lambda s: at(w, s)))), (Tensor("J"),))


def test_tensors_are_put_in_where_the_sides_differ():
    definitions = Definitions(PROGRAM, PROGRAM.equations)
    i = Index("i", N)
    z_ = add(at(x, i), power(at(x, i), 2))
    answer = definitions.equal(at(w, i), add(power(z_, 2), apply(f, z_)))
    assert answer.equal and answer.used == ()
    assert not definitions.equal(at(w, i), add(power(z_, 2), apply(f, at(x, i)))).equal
    assert not definitions.equal(at(z, i), at(z, ZERO)).equal
    assert definitions.equal(apply(EXP, at(z, i)), apply(EXP, z_)).equal
    assert not definitions.equal(at(w, i), add(power(z_, 2), apply(f, z_)), rounds=1).equal


def test_labels_of_a_program_have_their_range():
    label = Tensor("y", (N,), "integer")
    i, count = Index("i", N), contraction("s", E, lambda s: kronecker(s, at(label, Index("i", N))))
    for size, equal in ((E, True), (N, False)):
        program = Program((x, label), CHAIN, (w,), (), (Assumption("labels", label, size),))
        assert Definitions(program, program.equations).equal(count, ONE).equal is equal, i


def test_what_is_known_of_inputs_is_used_and_told_only_if_needed():
    g = Tensor("g", (N,))
    program = Program((x, g), CHAIN, (w,), (), (Assumption("bern", g),))
    definitions, i = Definitions(program, program.equations), Index("i", N)
    assert definitions.equal(power(at(g, i), 2), at(g, i)).used == ("entries of g are 0 or 1",)
    square = multiply(at(g, i), add(at(g, i), ONE))
    assert definitions.equal(square, add(power(at(g, i), 2), at(g, i))).used == ()
    assert not definitions.equal(power(at(x, i), 2), at(x, i)).equal


def test_entries_at_the_place_of_a_maximum_differ_where_their_tensors_do():
    y, z, s = Tensor("y", (N,)), Tensor("z", (N,)), Index("s", N)
    place = Position("max", s, at(x, s))
    assert meets(multiply(at(x, n), at(y, place)), multiply(at(y, place), at(x, n)))
    assert not meets(at(y, place), at(z, place))
    assert not meets(at(y, place), at(y, Position("min", s, at(x, s))))
    assert not meets(at(y, place), multiply(number(2), at(y, place)))
