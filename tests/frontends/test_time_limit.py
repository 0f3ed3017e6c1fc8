"""The time limit on the user's code, and expressions with shared parts."""

from __future__ import annotations

import cProfile
import sys
import threading
import time
from contextlib import suppress

import pytest

from symbackprop.expression.build import Entry, Index, Symbol, Tensor, add, apply, entries_once, multiply
from symbackprop.expression.functions import EXP
from symbackprop.expression.program import Equation, Program
from symbackprop.frontends.numpy import time_limit
from symbackprop.frontends.numpy.time_limit import OutOfTime, alarm, within


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


def test_code_that_sleeps_on_does_not_stop_what_is_followed_line_by_line():
    """An exception that waits for a sleeping thread made all functions hang that ran under `sys.settrace`."""
    awake = threading.Event()

    def sleeps():
        with alarm(0.01):
            awake.wait()

    def followed():
        sys.settrace(lambda *_: None)
        try:
            return [(lambda: k)() for k in range(1000)]
        finally:
            sys.settrace(None)

    with pytest.raises(OutOfTime):
        within(0.1, sleeps)
    assert within(10, followed) == list(range(1000))
    awake.set()


def test_program_with_shared_parts_is_read_in_the_time_of_its_distinct_nodes():
    n = Symbol("N", "size")
    i, x = Index("i", n), Tensor("x", (n,))
    value = Entry(x, (i,))
    for _ in range(60):
        value = multiply(add(value, apply(EXP, value)), value)
    Program((x,), (Equation(Tensor("y", (n,)), (i,), value),), ())
    assert [e.tensor for e in entries_once(value)] == [x]


def test_an_alarm_rings_no_longer_when_what_it_watched_is_over():
    """It rings every hundredth of a second; one that arrived on the way out kept the next ones coming, elsewhere."""
    for _ in range(40):
        with pytest.raises(OutOfTime), alarm(0.0):
            while True:
                pass
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        pass


def test_an_alarm_ends_with_the_thread_that_it_watched(monkeypatch):
    """That thread's number is soon another one's, which would be ended in its place."""
    monkeypatch.setattr(time_limit, "_silence", lambda *_: None)  # as if it had been ended in the middle of this

    def work():
        with suppress(OutOfTime), alarm(0.02):
            pass

    before = set(threading.enumerate())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    end = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < end:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


def test_what_sleeps_ends_when_the_time_on_the_wall_is_over():
    start = time.monotonic()
    with pytest.raises(OutOfTime), alarm(60, at_most=0.1):
        while True:
            time.sleep(0.01)
    assert time.monotonic() - start < 30
