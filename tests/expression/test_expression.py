"""Expressions: interned, exact, and impossible to capture."""

import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_expressions import FREE, Generator, Undefined, close, point, value, values

from symbackprop.errors import BudgetError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Entry,
    Index,
    Kronecker,
    Multiply,
    Number,
    Power,
    Sum,
    Symbol,
    Tensor,
    add,
    children,
    close_sum,
    contraction,
    divide,
    entries,
    free_indices,
    fresh,
    kronecker,
    multiply,
    negate,
    nodes_once,
    number,
    open_binder,
    power,
    rewrite,
    substitute,
    subtract,
    where,
)
from symbackprop.normal_form.normal_form import Canonical

N = Symbol("N", "size")
x, A = Tensor("x", (N,)), Tensor("A", (N, N))
i, j = Index("i", N), Index("j", N)
X = Entry(x, (i,))
SEEDS = st.integers(0, 10**6)


def test_nodes_with_the_same_contents_are_one_node():
    assert Symbol("a") is Symbol("a", "real")
    assert Entry(x, (i,)) is Entry(Tensor("x", (N,)), (Index("i", N, 0),))
    assert add(X, ONE) is add(X, number(1))
    assert number(Fraction(2, 4)) is number(Fraction(1, 2))


def test_numbers_are_exact_and_gathered():
    assert add(ONE, X, number(2)) is add(X, number(3))
    assert multiply(number(2), X, number(Fraction(1, 2))) is X
    assert multiply(ZERO, X) is ZERO and add() is ZERO and multiply() is ONE
    assert negate(negate(X)) is X
    assert divide(X, number(3)) is multiply(number(Fraction(1, 3)), X)


def test_powers_of_numbers_are_exact_and_roots_are_kept():
    assert power(number(2), -3) is number(Fraction(1, 8))
    assert power(X, 0) is ONE and power(X, 1) is X
    assert isinstance(power(number(2), Fraction(1, 2)), Power)
    assert isinstance(power(power(X, 2), Fraction(1, 2)), Power)  # the root of a square is no x
    assert isinstance(power(power(X, Fraction(1, 2)), 2), Power)  # nor is the square of a root, where x is negative
    assert isinstance(power(power(X, -1), -1), Power)
    assert power(power(X, Fraction(1, 2)), 3) is power(X, Fraction(3, 2))
    assert power(power(X, -1), 2) is power(X, -2)
    assert isinstance(power(ZERO, MINUS_ONE), Power)  # 1/0 is not hidden


def test_kronecker_and_where_decide_what_is_plain():
    assert kronecker(i, i) is ONE and kronecker(ONE, ZERO) is ZERO
    assert isinstance(kronecker(i, j), Kronecker)
    assert where(ONE, X, ZERO) is X and where(ZERO, X, ONE) is ONE and where(kronecker(i, j), X, X) is X


def test_bound_indices_are_fresh():
    first, second = (contraction("j", N, lambda t: Entry(x, (t,))) for _ in range(2))
    assert isinstance(first, Sum) and isinstance(second, Sum)
    assert first is not second and first.index is not second.index
    assert free_indices(first) == frozenset()
    assert contraction("j", N, lambda t: ZERO) is ZERO


def test_substitute_renames_a_binder_that_would_capture():
    total = contraction("j", N, lambda t: Entry(A, (i, t)))
    assert isinstance(total, Sum)
    moved = substitute(total, {i: total.index})
    assert isinstance(moved, Sum) and moved.index is not total.index
    assert free_indices(moved) == {total.index}


def test_substitute_leaves_a_bound_index_alone():
    total = contraction("j", N, lambda t: Entry(A, (i, t)))
    assert isinstance(total, Sum)
    assert free_indices(substitute(total, {total.index: j})) == {i}


def test_substitute_is_simultaneous():
    assert substitute(Entry(A, (i, j)), {i: j, j: i}) is Entry(A, (j, i))


def test_substitute_replaces_sizes_of_binders():
    total = substitute(contraction("j", N, lambda t: Entry(x, (t,))), {N: number(3)})
    assert isinstance(total, Sum) and total.index.size is number(3)


def test_a_binder_inside_one_of_the_same_index_is_its_own():
    index = fresh("j", N)
    inner = close_sum(index, Entry(x, (index,)))
    both = close_sum(index, multiply(Entry(x, (index,)), inner))
    free, numbers, data = point(0, (3, 1, 1, 1))
    entry = data[next(t for t in data if t.name == "x")]
    assert close(value(both, free, {**numbers, N: 3}, {x: entry}), entry.sum() ** 2)


def test_rewrite_may_speak_of_indices_bound_around_it():
    total = contraction("j", N, lambda t: Entry(A, (i, t)))
    transposed = rewrite(total, lambda e: Entry(A, e.indices[::-1]) if isinstance(e, Entry) else None)
    assert free_indices(transposed) == {i}
    assert [e.indices[1] for e in entries(transposed)] == [i]


def test_open_binder_gives_a_fresh_index_each_time():
    total = contraction("j", N, lambda t: Entry(x, (t,)))
    assert isinstance(total, Sum)
    (a, body), (b, _) = open_binder(total), open_binder(total)
    assert a is not b and free_indices(body) == {a}


@settings(max_examples=80, deadline=None, derandomize=True)
@given(SEEDS)
def test_substitution_commutes_with_evaluation(seed):
    """The value of e[i := j] is the value of e where i has the value of j, whatever e binds."""
    expr = Generator(seed).make(FREE, 3)
    a, b = FREE[0], FREE[1]
    moved = substitute(expr, {a: b})
    for left, right in values(
        lambda at, sizes, data: value(moved, at, sizes, data),
        lambda at, sizes, data: value(expr, {**at, a: at[b]}, sizes, data),
        seed,
    ):
        assert close(left, right)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(SEEDS)
def test_swapping_two_indices_twice_is_nothing(seed):
    expr = Generator(seed).make(FREE, 2)
    swap = {FREE[0]: FREE[1], FREE[1]: FREE[0]}
    twice = substitute(substitute(expr, swap), swap)
    for left, right in values(lambda *p: value(expr, *p), lambda *p: value(twice, *p), seed):
        assert close(left, right)


@pytest.mark.parametrize("expr", [X, ZERO, kronecker(i, j), power(X, 2)])
def test_substituting_nothing_is_the_same_node(expr):
    assert substitute(expr, {}) is expr and substitute(expr, {Index("q", N): i}) is expr


# What is built has the value, and the domain, of what was asked for.

HERE = Symbol("t")
LEAVES = (HERE, Symbol("s"), ZERO, ONE, MINUS_ONE, number(2), number(Fraction(1, 2)), number(-3), number(4))
EXPONENTS = tuple(number(e) for e in (-3, -2, -1, 0, 1, 2, 3, Fraction(1, 2), Fraction(-1, 2), Fraction(3, 2)))
PLACES_ = [{HERE: a, LEAVES[1]: b} for a in (-2.0, 0.0, 0.5, 3.0) for b in (-1.0, 0.25, 2.0)]


def defined(expr, numbers):
    """The value at some numbers, None where there is none."""
    try:
        return value(expr, {}, numbers, {})
    except (Undefined, OverflowError):
        return None


def raw_and_built(r, depth):
    """An expression of nodes as they are, and the same by the functions that build them."""
    if not depth:
        leaf = r.choice(LEAVES)
        return leaf, leaf
    (a, a_), (b, b_) = raw_and_built(r, depth - 1), raw_and_built(r, r.randrange(depth))
    kind = r.randrange(6)
    if kind < 2:
        e = r.choice(EXPONENTS)
        return Power(a, e), power(a_, e)
    pairs = {
        2: (Add((a, b)), add(a_, b_)),
        3: (Multiply((a, b)), multiply(a_, b_)),
        4: (Add((a, Multiply((MINUS_ONE, b)))), subtract(a_, b_)),
        5: (Multiply((a, Power(b, MINUS_ONE))), divide(a_, b_)),
    }
    return pairs[kind]


@pytest.mark.parametrize("block", range(8))
def test_what_is_built_has_the_value_of_what_was_asked_for(block):
    """A power keeps its domain: where sqrt(x)**2 has no value neither has what is made of it."""
    for seed in range(block * 40, block * 40 + 40):
        r = random.Random(seed)
        raw, built = raw_and_built(r, 3)
        for numbers in PLACES_:
            left, right = defined(raw, numbers), defined(built, numbers)
            if left is None:
                assert right is None or _hidden(raw), (raw, built)
            elif right is not None:
                assert close(left, right)
            assert left is None or right is not None


def _hidden(expr):
    """True where a part without a value is multiplied by 0, raised to 0 or a power of 1: that is built as it is read."""
    return any(
        (isinstance(n, Multiply) and ZERO in n.factors) or (isinstance(n, Power) and (n.exponent is ZERO or n.base is ONE))
        or (isinstance(n, (Multiply, Power)) and any(defined(c, PLACES_[0]) in (0, 1) for c in children(n)))
        for n in nodes_once(expr)
    )  # fmt: skip


def test_powers_of_numbers_with_thousands_of_digits_are_not_written_out():
    """An exponent taken for another number of a program must not keep a search busy for a minute."""
    base = Fraction(8943, 200_000)
    assert isinstance(power(number(base), 1000), Number)
    assert power(number(base), 400_000) is Power(number(base), number(400_000))
    assert power(number(-1), 400_001) is number(-1)
    x = Tensor("x", ())
    assert power(multiply(number(base), Entry(x, ())), 400_000).factors[0] is Power(number(base), number(400_000))
    with pytest.raises(BudgetError, match="thousands of digits"):
        Canonical().normal(power(number(base), 400_000))
