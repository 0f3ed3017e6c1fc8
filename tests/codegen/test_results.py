"""Memory of results that nobody holds any more is given again; what anybody holds is never written over."""

from __future__ import annotations

import copy
import pickle
import weakref

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.codegen.results import LEAST, LINE, MOST, ROOMS, Results

SHAPE = (LEAST // 8 // 64 + 1, 64)
FLOAT = np.dtype(np.float64)


def large() -> Results:
    return Results([("a", SHAPE, FLOAT)])


def start(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_memory_is_given_again_when_nothing_refers_to_it():
    results = large()
    (first,) = results.arrays({})
    place = start(first)
    assert place % LINE == 0 and first.flags.carray
    del first
    assert start(results.arrays({})[0]) == place


@pytest.mark.parametrize("holding", [
    lambda a: a, lambda a: a[3:5], lambda a: a.T.ravel(order="A"), memoryview, lambda a: a.reshape(-1)[::7],
    lambda a: a.ctypes.data_as, lambda a: {"kept": [a[0]]}, iter, lambda a: np.lib.stride_tricks.as_strided(a[1]),
])  # fmt: skip
def test_what_is_held_in_whatever_way_is_not_written_over(holding):
    results = large()
    array = results.arrays({})[0]
    place = start(array)
    held = holding(array)
    del array
    others = [results.arrays({})[0] for _ in range(ROOMS + 2)]
    assert place not in [start(o) for o in others] and len({start(o) for o in others}) == len(others)
    del held


def test_an_array_is_another_object_at_each_call():
    results = large()
    array = results.arrays({})[0]
    gone = weakref.ref(array)
    del array
    again = results.arrays({})[0]
    assert gone() is None and again.shape == SHAPE


def test_copies_own_their_numbers():
    array = large().arrays({})[0]
    array[...] = 1
    for other in (array.copy(), copy.deepcopy(array), pickle.loads(pickle.dumps(array))):
        assert not np.shares_memory(other, array) and (other == array).all()


def test_small_and_very_large_results_are_not_kept():
    for shape in ((3,), (), (MOST // 8 + 1,)):
        array = Results([("a", shape, FLOAT)]).arrays({})[0]
        assert array.flags.owndata and array.shape == shape


def test_what_is_given_takes_the_place_of_a_new_array():
    own = np.empty(SHAPE)
    first, second = Results([("a", SHAPE, FLOAT), ("b", SHAPE, FLOAT)]).arrays({"b": own})
    assert second is own and first is not own


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_results_that_are_kept_stay_what_they_were(backend):
    def forward(x, w):
        return np.tanh(x) * w

    f = sb.compile(sb.trace(forward, shapes={"x": ("N", "D"), "w": ("D",)}), backend)
    random = np.random.default_rng(0)
    w, dout = random.normal(size=64), random.normal(size=SHAPE)
    inputs = [random.normal(size=SHAPE) for _ in range(5)]
    views, copies = [], []
    for x in inputs:
        found = f(x=x, w=w, dout=dout)
        views.append(found["x_bar"][2:4])
        copies.append(found["x_bar"][2:4].copy())
    for view, x, was in zip(views, inputs, copies, strict=True):
        np.testing.assert_array_equal(view, was)
        np.testing.assert_allclose(view, (dout * w / np.cosh(x) ** 2)[2:4], rtol=1e-12)
