"""Equations that read each other at earlier steps: which of them have one solution, and in what order it is computed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbackprop.errors import IndexNotationError
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.exact import evaluate
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Compare,
    Entry,
    Index,
    Kronecker,
    Multiply,
    Symbol,
    Tensor,
    add,
    multiply,
    number,
    subtract,
    where,
)
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.recurrence import Recurrence, blocks, in_order, recurrent
from symbackprop.expression.sizes import NO_FACTS
from symbackprop.normal_form.cut_points import CutPoints

T = Symbol("T", "size")
X, START = Tensor("x", (T,)), Tensor("h0")
STATE, H = Tensor("state", (add(T, ONE),)), Tensor("h", (T,))
S, K = Index("s", add(T, ONE)), Index("t", T)


def states(distance=-1):
    """state[s] = h0 where s = 0, else h[s - 1]; h[t] = x[t] * state[t] + 1."""
    step = Equation(H, (K,), add(multiply(Entry(X, (K,)), Entry(STATE, (K,))), ONE))
    before = Entry(H, (add(S, number(distance)),))
    return step, Equation(STATE, (S,), where(Kronecker(S, ZERO), Entry(START), before))


def test_blocks_finds_what_reads_each_other():
    (block,) = blocks(states())
    assert isinstance(block, Recurrence)
    assert {e.tensor for e in block.equations} == {STATE, H}
    order = [(e.tensor.name, *s) for e, s in block.slices({STATE: (4,), H: (3,)}, {STATE: 0, H: 0})]
    assert order == [("state", 0), ("h", 0), ("state", 1), ("h", 1), ("state", 2), ("h", 2), ("state", 3)]


@pytest.mark.parametrize("distance", [0, 1, 2])
def test_blocks_refuses_what_depends_on_itself_or_on_both_sides(distance):
    step, before = states(distance)
    if distance == 0:  # state[s] reads h[s], which reads state[s]
        with pytest.raises(IndexNotationError, match="may depend on itself"):
            blocks((step, before))
        return
    (block,) = blocks((step, before))  # only later steps are read: the recurrence runs backwards
    assert all(clock.sign == -1 for clock in block.clocks.values())
    both = Equation(STATE, (S,), add(Entry(H, (add(S, MINUS_ONE),)), Entry(H, (add(S, number(distance)),))))
    with pytest.raises(IndexNotationError, match="may depend on itself"):
        blocks((step, both))


@pytest.mark.parametrize(
    "place", [S, number(0), Multiply((number(2), S)), subtract(T, S)], ids=["itself", "fixed", "twice", "mirrored"]
)
def test_blocks_refuses_a_tensor_that_reads_itself(place):
    with pytest.raises(IndexNotationError):
        blocks([Equation(STATE, (S,), add(Entry(STATE, (place,)), ONE))])


def test_blocks_refuses_distances_that_are_not_fixed():
    step, _ = states()
    doubled = Equation(STATE, (S,), Entry(H, (Multiply((number(2), S)),)))
    with pytest.raises(IndexNotationError, match="may depend on itself"):
        blocks((step, doubled))


def test_blocks_finds_steps_that_run_against_each_other():
    """g[p] = n[T - 1 - p]; n[k] = x[k] + g[T - k]: the rounds of a loop that goes down fill an array from its end."""
    g, n = Tensor("g", (add(T, ONE),)), Tensor("n", (T,))
    written = Equation(g, (S,), where(Compare("<", S, T), Entry(n, (subtract(subtract(T, ONE), S),)), ZERO))
    made = Equation(n, (K,), add(Entry(X, (K,)), Entry(g, (subtract(T, K),))))
    (block,) = blocks((written, made))
    assert block.clocks[g].sign == -block.clocks[n].sign
    values = evaluate(Program((X,), (written, made), (g,)), {"T": 4}, {"x": [1.0, 2.0, 4.0, 8.0]})
    assert values["g"].tolist() == [15.0, 7.0, 3.0, 1.0, 0.0]


def test_in_order_leaves_what_is_in_order():
    first, second = Equation(H, (K,), Entry(X, (K,))), Equation(Tensor("J"), (), Entry(H, (ZERO,)))
    assert in_order((first, second)) == (first, second) == in_order((second, first))
    assert recurrent((first, second)) == {}


def test_a_program_may_not_read_ahead_outside_of_a_recurrence():
    step, _ = states()
    with pytest.raises(IndexNotationError, match="before it is defined"):
        Program((X, START), (Equation(Tensor("J"), (), Entry(H, (ZERO,))), step.__class__(H, (K,), Entry(X, (K,)))), ())


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 5), st.integers(0, 10_000))
def test_both_evaluators_compute_a_recurrence_as_a_loop_does(length, seed):
    rng = np.random.default_rng(seed)
    x, h0 = rng.normal(size=length), float(rng.normal())
    program = Program((X, START), states(), (H,))
    h, told = h0, []
    for t in range(length):
        h = x[t] * h + 1
        told.append(h)
    assert np.allclose(evaluate(program, {"T": length}, {"x": x, "h0": h0})["h"], told)
    vectors = Vectors(Point({T: length}, {X: x, START: np.asarray(h0)}))
    vectors.run(program.equations)
    assert np.allclose(vectors.arrays[H], told)
    moved = vectors.changed({START: np.asarray([h0, h0 + 1])}, program.equations, trials=True)
    assert np.allclose(moved.arrays[H][0], told)
    assert moved.arrays[H].shape == (2, length)


def test_what_is_computed_before_an_entry_is_read_does_not_depend_on_it():
    """x[t] varies freely beside state[t], but not beside h[t], nor beside state[t + 1], which have read it."""
    step = Equation(H, (K,), add(Entry(X, (K,)), Entry(STATE, (K,))))
    before = Equation(STATE, (S,), where(Kronecker(S, ZERO), Entry(START), Entry(H, (add(S, MINUS_ONE),))))
    (block,) = blocks((step, before))
    cuts = CutPoints(NO_FACTS)
    cuts.define_block(block, block.equations)
    free = cuts.normal(add(Entry(X, (K,)), Entry(STATE, (K,))))
    assert cuts.never_flat(free)
    for later in (Entry(H, (K,)), Entry(STATE, (add(K, ONE),))):
        nothing = subtract(later, add(Entry(X, (K,)), Entry(STATE, (K,))))  # 0, once definitions are put in
        assert not cuts.never_flat(cuts.normal(nothing))
    ahead = subtract(Entry(STATE, (add(K, number(2)),)), Entry(X, (K,)))  # depends on x[t] and on x[t + 1]
    assert not cuts._is_read_later(X, {STATE: cuts._inputs[STATE]}, cuts.normal(ahead))
