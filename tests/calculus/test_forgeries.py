"""Forged derivations about small programs: each would prove something false if one check of the kernel were missing.

The programs are so small that the truth is plain: J = x has the slope 1.
"""

import itertools

import pytest

from symbackprop.calculus.derivation import Derivation, Step
from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.meaning import opaque
from symbackprop.errors import ProofError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Entry,
    Index,
    Partial,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    Total,
    add,
    contraction,
    extremum,
    multiply,
    number,
)
from symbackprop.expression.program import Assumption, Equation, Program
from symbackprop.normal_form.renaming import pattern

N, M, P = (Symbol(s, "size") for s in "NMP")
i, j, k = Index("i", N), Index("j", N), Index("k", M)
J, E = Tensor("J"), Tensor("E")
x, c, bar = Tensor("x"), Tensor("c"), Tensor("x_bar")


def cost(value, *inputs, **known):
    """J = value."""
    return Program(inputs, (Equation(J, (), value),), (J,), **known)


def derivation(program, expressions, rules, definitions=None, uses=(), of=J):
    """A chain through these expressions, a rule for each link."""
    links = zip(itertools.pairwise(expressions), rules, strict=True)
    steps = tuple(Step(a, b, r, "", uses if r in ("earlier_result", "equation") else ()) for (a, b), r in links)
    return Derivation("claim", program, expressions[0], expressions[-1], steps, definitions or {}, cost=Entry(of))


def slope(program, left, variable, right, definitions):
    """The name `left` of dJ/d(variable), derived to be `right`."""
    chain = [left, Total(Entry(J), variable), Partial(Entry(J), variable), right]
    return derivation(program, chain, ["definition_of_delta", "chain_rule", "derivative"], definitions)


def by_algebra(program, left, right, of=J):
    return derivation(program, [left, right], ["algebra"], of=of)


def refuses(kernel, claim):
    with pytest.raises(ProofError):
        kernel.replay(claim)


# Results that may not be used elsewhere.


def test_a_result_on_the_diagonal_is_not_used_off_it():
    """J = sum S_ab W_ab: dJ/dS_ii = W_ii is true, dJ/dS_ij = W_jj is not."""
    S, W, name = Tensor("S", (N, N)), Tensor("W", (N, N)), Tensor("S_bar", (N, N))
    value = contraction("a", N, lambda a: contraction("b", N, lambda b: multiply(Entry(S, (a, b)), Entry(W, (a, b)))))
    program = cost(value, S, W)
    kernel = Kernel(program)
    kernel.replay(slope(program, Entry(name, (i, i)), Entry(S, (i, i)), Entry(W, (i, i)), {name: S}))
    assert name not in kernel.accepted
    chain = [Entry(name, (i, j)), Entry(W, (j, j))]
    refuses(kernel, derivation(program, chain, ["earlier_result"], {name: S}, (name,)))


@pytest.mark.parametrize("places", [(ZERO, j), (i, ZERO), (k, j), (i, k)])
def test_a_result_about_some_rows_or_columns_is_not_used_elsewhere(places):
    """J = sum S_ab W_ab: dJ/dS_0j = W_0j is true, dJ/dS_ij = W_0j is not; k runs over fewer places."""
    S, W, name = Tensor("S", (N, N)), Tensor("W", (N, N)), Tensor("S_bar", (N, N))
    value = contraction("a", N, lambda a: contraction("b", N, lambda b: multiply(Entry(S, (a, b)), Entry(W, (a, b)))))
    kernel = Kernel(cost(value, S, W, domain=(Compare("<=", M, N),)))
    claim = slope(kernel.program, Entry(name, places), Entry(S, places), Entry(W, places), {name: S})
    kernel.replay(claim)
    assert name not in kernel.accepted


def test_a_result_off_the_diagonal_is_used_everywhere():
    S, W, name = Tensor("S", (N, N)), Tensor("W", (N, N)), Tensor("S_bar", (N, N))
    value = contraction("a", N, lambda a: contraction("b", N, lambda b: multiply(Entry(S, (a, b)), Entry(W, (a, b)))))
    program = cost(value, S, W)
    kernel = Kernel(program)
    kernel.replay(slope(program, Entry(name, (i, j)), Entry(S, (i, j)), Entry(W, (i, j)), {name: S}))
    chain = [Entry(name, (j, j)), Entry(W, (j, j))]
    assert kernel.replay(derivation(program, chain, ["earlier_result"], {name: S}, (name,))) == ()


def test_a_result_for_a_shorter_axis_is_not_used_for_the_whole():
    """J = the sum of the first M of N entries: its slope is 1 there, not everywhere."""
    row, name = Tensor("r", (N,)), Tensor("r_bar", (N,))
    value = contraction("a", M, lambda a: Entry(row, (a,)))
    program = cost(value, row, domain=(Compare("<=", M, N),))
    kernel = Kernel(program)
    kernel.replay(slope(program, Entry(name, (k,)), Entry(row, (k,)), ONE, {name: row}))
    assert name not in kernel.accepted
    refuses(kernel, derivation(program, [Entry(name, (i,)), ONE], ["earlier_result"], {name: row}, (name,)))


def test_a_result_at_a_number_is_not_used_elsewhere():
    row, name = Tensor("r", (N,)), Tensor("r_bar", (N,))
    program = cost(Entry(row, (ZERO,)), row)
    kernel = Kernel(program)
    kernel.replay(slope(program, Entry(name, (ZERO,)), Entry(row, (ZERO,)), ONE, {name: row}))
    assert name not in kernel.accepted


def test_a_result_in_terms_of_itself_by_way_of_another_is_not_kept():
    """u_bar = v_bar and v_bar = u_bar are true; kept both, they would define neither."""
    u, v = Tensor("u"), Tensor("v")
    names = {Tensor("u_bar"): u, Tensor("v_bar"): v}
    (ub, vb), program = names, cost(add(Entry(u), Entry(v)), u, v)
    kernel = Kernel(program)

    def same(left, right, one, other):
        variables = [Entry(one), Entry(other)]
        chain = [
            Entry(left),
            Total(Entry(J), variables[0]),
            Partial(Entry(J), variables[0]),
            Partial(Entry(J), variables[1]),
            Total(Entry(J), variables[1]),
            Entry(right),
        ]
        rules = ["definition_of_delta", "chain_rule", "derivative", "derivative", "definition_of_delta"]
        return chain, rules

    chain, rules = same(ub, vb, u, v)
    with pytest.raises(ProofError):  # the chain rule is read from left to right only
        kernel.replay(derivation(program, chain, rules, names))
    kernel.replay(slope(program, Entry(ub), Entry(u), ONE, names))
    chain = [Entry(vb), Entry(ub)]
    refuses(kernel, derivation(program, chain, ["earlier_result"], names, (ub,)))
    assert vb not in kernel.accepted


def test_the_hypothesis_of_another_tensor_is_not_put_in():
    u, v = Tensor("u"), Tensor("v")
    names = {Tensor("u_bar"): u, Tensor("v_bar"): v}
    (ub, vb), program = names, cost(add(multiply(number(2), Entry(u)), Entry(v)), u, v)
    kernel = Kernel(program)
    kernel.replay(slope(program, Entry(ub), Entry(u), number(2), names))
    refuses(kernel, derivation(program, [Entry(vb), number(2)], ["earlier_result"], names, (ub, vb)))
    refuses(kernel, derivation(program, [Entry(ub), number(2)], ["earlier_result"], names, (vb,)))


# Two outputs.


def two_costs():
    """J = x, E = 2 x."""
    equations = (Equation(J, (), Entry(x)), Equation(E, (), multiply(number(2), Entry(x))))
    return Program((x,), equations, (J, E)), Total(Entry(J), Entry(x)), Total(Entry(E), Entry(x))


@pytest.mark.parametrize(
    "names",
    [
        {bar: x},
        {bar: x, Tensor("E_bar"): E},
    ],
    ids=["the same table", "a longer table"],
)
def test_a_name_stands_for_the_slope_of_one_cost(names):
    """x_bar is dJ/dx; that it is also dE/dx would make 1 = 2."""
    program, of_j, of_e = two_costs()
    kernel = Kernel(program)
    kernel.replay(derivation(program, [Entry(bar), of_j], ["definition_of_delta"], {bar: x}))
    rules = ["definition_of_delta", "earlier_result"]
    refuses(kernel, derivation(program, [of_e, Entry(bar), of_j], rules, names, (bar,), of=E))


def test_slopes_of_two_costs_are_two_things():
    program, of_j, of_e = two_costs()
    refuses(Kernel(program), by_algebra(program, of_j, of_e))
    refuses(Kernel(program), by_algebra(program, of_e, of_j, of=E))


def test_slopes_by_two_tensors_are_two_things():
    w = Tensor("w")
    program = cost(multiply(Entry(x), Entry(w)), x, w)
    left, right = Partial(Entry(J), Entry(x)), Partial(Entry(J), Entry(w))
    refuses(Kernel(program), by_algebra(program, left, right))
    refuses(Kernel(program), by_algebra(program, Total(Entry(J), Entry(x)), Total(Entry(J), Entry(w))))


def test_an_output_that_is_read_outside_has_no_chain_rule():
    """y is returned beside J = y: what is made of it elsewhere also moves with it."""
    y = Tensor("y")
    program = Program((x,), (Equation(y, (), Entry(x)), Equation(J, (), Entry(y))), (J, y))
    total, part = Total(Entry(J), Entry(y)), Partial(Entry(J), Entry(y))
    refuses(Kernel(program), derivation(program, [total, part, ONE], ["chain_rule", "derivative"]))


def test_a_path_through_another_output_is_a_path():
    """J = x + y and y = x, which is returned too: dJ/dx has both paths."""
    y = Tensor("y")
    program = Program((x,), (Equation(y, (), Entry(x)), Equation(J, (), add(Entry(x), Entry(y)))), (J, y))
    total, part = Total(Entry(J), Entry(x)), Partial(Entry(J), Entry(x))
    refuses(Kernel(program), derivation(program, [total, part], ["chain_rule"]))


def test_a_path_through_an_integer_that_has_a_slope_is_a_path():
    """y = x, said to be an integer, and J = y x: without the path through y the slope would be x."""
    y = Tensor("y", (), "integer")
    program = Program((x,), (Equation(y, (), Entry(x)), Equation(J, (), multiply(Entry(y), Entry(x)))), (J,))
    total, part = Total(Entry(J), Entry(x)), Partial(Entry(J), Entry(x))
    refuses(Kernel(program), derivation(program, [total, part], ["chain_rule"]))


def test_a_path_through_a_count_is_none():
    y = Tensor("y", (), "integer")
    program = Program(
        (x,), (Equation(y, (), Compare("<", ZERO, Entry(x))), Equation(J, (), multiply(Entry(y), Entry(x)))), (J,)
    )
    total, part = Total(Entry(J), Entry(x)), Partial(Entry(J), Entry(x))
    assert Kernel(program).replay(derivation(program, [total, part], ["chain_rule"])) == ()


def test_a_tensor_that_the_cost_does_not_feel_has_slope_zero_and_others_do_not():
    y = Tensor("y")
    program = Program((x, c), (Equation(y, (), Entry(c)), Equation(J, (), Entry(x))), (J,))
    zero = derivation(program, [Total(Entry(J), Entry(c)), ZERO], ["chain_rule"])
    assert Kernel(program).replay(zero) == ()
    refuses(Kernel(program), derivation(program, [Total(Entry(J), Entry(x)), ZERO], ["chain_rule"]))


def test_the_slope_of_the_cost_by_itself_is_one():
    program = cost(Entry(x), x)
    total = Total(Entry(J), Entry(J))
    assert Kernel(program).replay(derivation(program, [total, ONE], ["chain_rule"])) == ()
    refuses(Kernel(program), derivation(program, [total, ZERO], ["chain_rule"]))


def test_an_entry_by_an_entry_of_its_own_tensor_is_a_delta():
    """dy_i/dy_j is [i = j], though y has an equation in which it does not occur."""
    y = Tensor("y", (N,))
    row = Tensor("r", (N,))
    value = contraction("a", N, lambda a: Entry(y, (a,)))
    program = Program((row,), (Equation(y, (i,), Entry(row, (i,))), Equation(J, (), value)), (J,))
    part = Partial(Entry(y, (i,)), Entry(y, (j,)))
    claim = derivation(program, [part, Compare("==", i, j)], ["derivative"])
    assert Kernel(program).replay(claim) == ()
    refuses(Kernel(program), derivation(program, [part, ZERO], ["derivative"]))


def test_an_output_with_axes_is_no_cost():
    """r_0 + ... + r_N-1 moves by 1 with x; r = (x, x, ...) has no slope of its own to speak of."""
    row = Tensor("r", (N,))
    program = Program((x,), (Equation(row, (i,), Entry(x)), Equation(J, (), Entry(x))), (J, row))
    claim = Derivation("claim", program, Entry(x), Entry(x), (), cost=Entry(row, (i,)))
    with pytest.raises(ProofError, match="r is not a cost of the program"):
        Kernel(program).replay(claim)
    refuses(Kernel(program), Derivation("claim", program, Entry(x), Entry(x), (), cost=Entry(x)))


def test_a_derivative_is_not_given_another_meaning():
    """The kernel's own name of dJ/dx stands for nothing else."""
    w = Tensor("w")
    program = cost(multiply(Entry(x), Entry(w)), x, w)
    own = opaque(Total(Entry(J), Entry(x))).tensor
    claim = derivation(program, [Total(Entry(J), Entry(w)), Total(Entry(J), Entry(w))], ["algebra"], {own: w})
    with pytest.raises(ProofError, match="cannot stand for the derivative with respect to w"):
        Kernel(program).replay(claim)


def test_a_derivative_of_a_formula_is_worked_out():
    program = cost(Entry(x), x, c)
    part = Partial(add(multiply(number(3), Entry(x)), Entry(c)), Entry(x))
    assert Kernel(program).replay(derivation(program, [part, number(3)], ["derivative"])) == ()
    refuses(Kernel(program), derivation(program, [part, number(4)], ["derivative"]))
    other = Partial(Entry(c), Entry(x))
    assert Kernel(program).replay(derivation(program, [other, ZERO], ["derivative"])) == ()


# Steps and their ends.


def test_the_last_step_ends_at_what_is_claimed():
    program = cost(Entry(x), x)
    chain = derivation(program, [Entry(x), add(Entry(x), ZERO)], ["algebra"])
    false = Derivation("claim", program, Entry(x), multiply(number(2), Entry(x)), chain.steps, cost=Entry(J))
    refuses(Kernel(program), false)
    refuses(Kernel(program), Derivation("claim", program, Entry(x), Entry(c), (), cost=Entry(J)))


def test_each_step_starts_where_the_last_one_ended():
    program = cost(Entry(x), x, c)
    steps = (
        Step(Entry(x), Entry(x), "algebra", ""),
        Step(Entry(c), Entry(c), "algebra", ""),
    )
    refuses(Kernel(program), Derivation("claim", program, Entry(x), Entry(c), steps, cost=Entry(J)))


def test_a_step_is_replayed_with_its_own_rule():
    """What one rule allows is not remembered for another."""
    y = Tensor("y")
    program = Program((x,), (Equation(y, (), Entry(x)), Equation(J, (), Entry(y))), (J,))
    kernel = Kernel(program)
    chain = [Entry(y), Entry(x)]
    kernel.replay(derivation(program, chain, ["equation"], uses=(y,)))
    refuses(kernel, derivation(program, chain, ["algebra"]))
    refuses(kernel, derivation(program, chain, ["equation"], uses=()))


def test_a_derivative_of_what_is_no_entry_is_refused():
    program = cost(Entry(x), x)
    odd = Total(add(Entry(J), ONE), Entry(x))
    with pytest.raises(ProofError, match="a derivative is by no entry"):
        Kernel(program).replay(by_algebra(program, odd, odd))


def test_kernel_asked_beforehand_accepts_what_it_would_replay():
    program = cost(Entry(x), x, c)
    right, wrong = Step(Entry(x), add(Entry(x), ZERO), "algebra", ""), Step(Entry(x), Entry(c), "algebra", "")
    odd = Step(Total(Entry(c), Entry(x)), ONE, "chain_rule", "")
    claim = by_algebra(program, Entry(x), Entry(x))
    assert [Kernel(program).accepts(step, claim) for step in (right, wrong, odd)] == [True, False, False]


def test_an_input_has_no_equation_to_put_in():
    program = cost(Entry(x), x, c)
    assert Kernel(program).replay(derivation(program, [Entry(x), Entry(x)], ["equation"], uses=(x,))) == ()
    refuses(Kernel(program), derivation(program, [Entry(x), Entry(c)], ["equation"], uses=(x,)))


# Conditions, and what is remembered from step to step.


def total_of_row(tensor, place=i):
    return contraction("s", M, lambda s: Entry(tensor, (place, s)))


def test_conditions_are_told_at_every_replay():
    y = Tensor("y", (N, M))
    program = cost(ONE, y, assumptions=(Assumption("simplex", y),))
    kernel = Kernel(program)
    claim = by_algebra(program, total_of_row(y), ONE)
    first = kernel.replay(claim)
    assert first == ("the rows of y add up to 1",)
    assert kernel.replay(claim) == first
    assert kernel.replay(by_algebra(program, total_of_row(y, j), ONE)) == first


def test_conditions_of_one_step_are_not_those_of_the_next():
    y, g = Tensor("y", (N, M)), Tensor("g", (N,))
    program = cost(ONE, y, g, assumptions=(Assumption("simplex", y), Assumption("bern", g)))
    kernel = Kernel(program)
    kernel.replay(by_algebra(program, total_of_row(y), ONE))
    square = by_algebra(program, multiply(Entry(g, (i,)), Entry(g, (i,))), Entry(g, (i,)))
    assert kernel.replay(square) == ("entries of g are 0 or 1",)
    assert kernel.replay(by_algebra(program, add(ONE, ONE), number(2))) == ()


def test_a_step_that_holds_without_what_is_known_names_no_condition():
    g = Tensor("g", (N,))
    program = cost(ONE, g, c, assumptions=(Assumption("bern", g),))
    here = Entry(g, (i,))
    left, right = multiply(here, add(here, Entry(c))), add(multiply(here, here), multiply(here, Entry(c)))
    assert Kernel(program).replay(by_algebra(program, left, right)) == ()


def test_conditions_of_one_step_are_not_those_of_the_next_without_assumptions():
    row = Tensor("r", (N,))
    program = cost(ONE, row)
    kernel = Kernel(program)
    assert kernel.replay(by_algebra(program, attained(row), ONE)) != ()
    assert kernel.replay(by_algebra(program, add(ONE, ONE), number(2))) == ()


def attained(tensor):
    top = extremum("max", "u", N, lambda u: Entry(tensor, (u,)))
    return contraction("s", N, lambda s: Compare("==", Entry(tensor, (s,)), top))


def test_what_holds_under_a_condition_is_not_remembered_without_it():
    row, other = Tensor("r", (N,)), Tensor("q", (N,))
    program = cost(ONE, row, other)
    kernel = Kernel(program)
    told = kernel.replay(by_algebra(program, attained(row), ONE))
    assert told == ("the largest (or smallest) value is attained once: no ties",)
    assert kernel.replay(by_algebra(program, attained(other), ONE)) == told


def test_what_holds_of_one_range_is_not_remembered_of_another():
    """The sum of c over N values is N c; that over M values is not."""
    program = cost(Entry(c), c)
    kernel = Kernel(program)
    right = multiply(N, Entry(c))
    assert kernel.replay(by_algebra(program, contraction("s", N, lambda s: Entry(c)), right)) == ()
    refuses(kernel, by_algebra(program, contraction("s", M, lambda s: Entry(c)), right))


def test_what_holds_by_the_domain_is_not_remembered_of_other_sizes():
    """N is even, P need not be."""
    program = cost(Entry(c), c, domain=(Compare("==", Remainder(N, number(2)), ZERO),))
    kernel = Kernel(program)
    half = lambda size: multiply(number(2), Quotient(size, number(2)), Entry(c))  # noqa: E731
    assert kernel.replay(by_algebra(program, half(N), multiply(N, Entry(c)))) == ()
    refuses(kernel, by_algebra(program, half(P), multiply(P, Entry(c))))


def test_what_is_known_of_one_input_is_not_remembered_of_another():
    y, z = Tensor("y", (N, M)), Tensor("z", (N, M))
    program = cost(ONE, y, z, assumptions=(Assumption("simplex", y),))
    kernel = Kernel(program)
    kernel.replay(by_algebra(program, total_of_row(y), ONE))
    refuses(kernel, by_algebra(program, total_of_row(z), ONE))


def test_entries_of_a_simplex_add_up_along_their_last_axis_alone():
    y = Tensor("y", (N, M, P))
    program = cost(ONE, y, assumptions=(Assumption("simplex", y),))
    along = lambda size, places: contraction("s", size, lambda s: Entry(y, places(s)))  # noqa: E731
    last, middle = along(P, lambda s: (i, k, s)), along(M, lambda s: (i, s, Index("p", P)))
    assert Kernel(program).replay(by_algebra(program, last, ONE)) == ("the rows of y add up to 1",)
    refuses(Kernel(program), by_algebra(program, middle, ONE))


def test_labels_lie_in_their_range_and_other_integers_need_not():
    """sum over k < M of [k = label_i] is 1 for labels below M only."""
    label = Tensor("y", (N,), "integer")
    count = contraction("s", M, lambda s: Compare("==", s, Entry(label, (i,))))
    known = cost(ONE, label, assumptions=(Assumption("labels", label, M),))
    assert Kernel(known).replay(by_algebra(known, count, ONE)) == ()
    others = [(), (Assumption("labels", label, P),), (Assumption("pos", label, M),)]
    for unknown in (cost(ONE, label, assumptions=a) for a in others):
        refuses(Kernel(unknown), by_algebra(unknown, count, ONE))


def two_steps(inner, outer):
    """[T_ab = inner_s T_as] [inner_s T_as = outer_r inner_s T_rs] and [T_ab = outer_r inner_s T_rs]."""
    T, a, b = Tensor("T", (N, M)), Index("a", N), Index("b", M)
    row = lambda r: extremum(inner, "s", M, lambda s: Entry(T, (r, s)))  # noqa: E731
    top = extremum(outer, "r", N, row)
    same = lambda left, right: Compare("==", left, right)  # noqa: E731
    return T, multiply(same(Entry(T, (a, b)), row(a)), same(row(a), top)), same(Entry(T, (a, b)), top)


def test_what_holds_of_maxima_is_not_remembered_of_minima():
    T, left, right = two_steps("max", "max")
    program = cost(ONE, T)
    kernel = Kernel(program)
    assert kernel.replay(by_algebra(program, left, right)) == ()
    _, left, right = two_steps("max", "min")
    refuses(kernel, by_algebra(program, left, right))


# Patterns: what is forgotten is names alone.

ROW, GRID = Tensor("r", (N,)), Tensor("G", (N, N))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((contraction("s", N, lambda s: Entry(c)), N), (contraction("s", M, lambda s: Entry(c)), N)),
        ((Entry(ROW, (i,)), N), (Entry(ROW, (Index("i", M),)), N)),
        (
            (extremum("max", "s", N, lambda s: Entry(ROW, (s,))),),
            (extremum("min", "s", N, lambda s: Entry(ROW, (s,))),),
        ),
        ((Compare("<", i, j),), (Compare("<=", i, j),)),
        (
            (contraction("s", N, lambda s: contraction("t", N, lambda t: Entry(GRID, (s, t)))),),
            (contraction("s", N, lambda s: contraction("t", N, lambda t: Entry(GRID, (t, t)))),),
        ),
        ((number(2),), (number(3),)),
        ((Entry(GRID, (i, j)), Entry(GRID, (j, i))), (Entry(GRID, (i, j)), Entry(GRID, (i, j)))),
    ],
    ids=["range of a sum", "range of an index", "max and min", "relation", "binder", "number", "order of indices"],
)
def test_pattern_keeps_what_is_no_name(left, right):
    assert pattern(*left) != pattern(*right)
