"""The time limit on the user's code, and expressions with shared parts."""

from __future__ import annotations

import cProfile
import time

import pytest

from symbackprop.expression.build import Entry, Index, Symbol, Tensor, add, apply, entries_once, multiply
from symbackprop.expression.functions import EXP
from symbackprop.expression.program import Equation, Program
from symbackprop.frontends.numpy.time_limit import OutOfTime, alarm


def test_alarm_stops_a_loop_that_calls_nothing():
    start = time.monotonic()
    with pytest.raises(OutOfTime), alarm(0.1):
        while True:
            pass
    assert time.monotonic() - start < 5


def test_alarm_that_did_not_ring_leaves_nothing_behind():
    with alarm(60):
        pass
    profile = cProfile.Profile()
    assert profile.runcall(sorted, [2, 1]) == [1, 2]


def test_program_with_shared_parts_is_read_in_the_time_of_its_distinct_nodes():
    n = Symbol("N", "size")
    i, x = Index("i", n), Tensor("x", (n,))
    value = Entry(x, (i,))
    for _ in range(60):
        value = multiply(add(value, apply(EXP, value)), value)
    Program((x,), (Equation(Tensor("y", (n,)), (i,), value),), ())
    assert [e.tensor for e in entries_once(value)] == [x]
