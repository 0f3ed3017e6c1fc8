"""Branches on data and loops over symbolic ranges: the equations give what NumPy gives; what cannot be merged says so."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

from symbackprop.errors import SymbackpropError, TraceError
from symbackprop.evaluation.exact import evaluate
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes
from symbackprop.frontends.numpy.traced import trace
from symbackprop.rendering.text import to_text

SHAPES = {"x": ("N", "D"), "u": ("N",), "w": ("D",), "s": (), "y": ("N",), "m": ("N", "D"), "p": ("N",)}
ASSUME = {"y": "labels:D", "m": "bern", "p": "pm1"}
SIZES = ({"N": 4, "D": 3}, {"N": 2, "D": 5}, {"N": 1, "D": 2})


def drawn(name, sizes, rng):
    shape = tuple(sizes[n] for n in SHAPES[name])
    if name == "y":
        return rng.integers(0, sizes["D"], shape)
    if name in ("m", "p"):
        return (rng.random(shape) < 0.5) * (2.0 if name == "p" else 1.0) - (name == "p")
    return rng.standard_normal(shape) if shape else float(rng.standard_normal())


def same_as_numpy(function, sizes=None):
    """The program, after it has been evaluated beside the function."""
    names = list(function.__code__.co_varnames[: function.__code__.co_argcount])
    known = {n: a for n, a in ASSUME.items() if n in names}
    program = trace(function, {n: SHAPES[n] for n in names}, known, None, sizes)
    used = {n.name for n in program.sizes}
    for seed, lengths in enumerate(SIZES if sizes is None else [{**SIZES[0], **sizes}]):
        for turn in range(4):
            inputs = {n: drawn(n, lengths, np.random.default_rng(10 * seed + turn)) for n in names}
            found = evaluate(program, {n: v for n, v in lengths.items() if n in used}, inputs)
            right = function(**{n: np.copy(v)[()] for n, v in inputs.items()})
            for tensor, value in zip(program.outputs, right if isinstance(right, tuple) else (right,), strict=True):
                np.testing.assert_allclose(np.asarray(found[tensor.name], float), value, rtol=1e-9, atol=1e-9)
    return program


class Counter:
    def __init__(self):
        self.total, self.hits, self.kept = 0.0, 0, {"last": 0.0}

    def add(self, v):
        if v > 0:
            self.total += v
            self.hits += 1
            self.kept["last"] = v


def either_way(s):
    if s > 0.3:
        return s * s
    if s > 0:
        return -s
    return 3.0 + s


def names_and_arrays(s, w):
    out = np.zeros_like(w)
    if s > 0:
        out[0] = s
        scale = 2.0
    else:
        out[1:] = w[1:]
        scale = s
    return out * scale


def attributes(u):
    c = Counter()
    for i in range(len(u)):
        c.add(u[i])
    return c.total / max(c.hits, 1)


def nested(s, w):
    a = 1.0
    if s > 0:
        if w[0] > 0:
            a = w[0] * s
        elif w[0] > -1 and s < 1:
            a = w[0] - 1
    return a + (s if not s > 0.5 else 0.5)


def chained(s):
    return s if -0.5 < s < 0.5 else (1.0 if s > 0 or s < -2 else -1.0)


def tuples(s, w):
    a, b = (s, w) if s > 0 else (-s, 2 * w)
    return a * b


def skips(x, y):
    total = 0.0
    for i in range(x.shape[0]):
        if y[i] == 0:
            continue
        total += x[i, y[i]] ** 2
    return total


def two_loops(x, y):
    out = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(x.shape[1]):
            if j != y[i]:
                out[i, j] = max(0, x[i, j] - x[i, y[i]] + 1)
    return out


def rows(x, w):
    out = np.empty_like(x)
    for i, row in enumerate(x):
        out[i] = np.tanh(row * w)
    return out


def backwards(x, u):
    out = np.zeros_like(u)
    for i in reversed(range(len(u))):
        out[i] = x[i].sum() * u[i]
    return out


def together(x, u):
    total = np.zeros(x.shape[1])
    for row, a in zip(x, u, strict=True):
        total += a * row
    return total


def latched(u):
    seen = 0.0
    for v in u:
        if v > 0:
            seen = 1.0
    return seen


def scattered(x, y):
    out = np.zeros(x.shape[1])
    for i in range(len(y)):
        out[y[i]] += x[i, 0]
    return out


def last_one(x):
    for row in x:
        kept = row * 2
    return kept


def listed(x, w):
    return np.array([np.dot(row, w) for row in x])


def filtered(u):
    return sum(v * v for v in u if v > 0)


def counted(u):
    return len([v for v in u if v > 0]) * 1.0


def doubly(x):
    return sum(sum(v for v in row if v > 0) for row in x)


def binary(m, x):
    a = np.where(m == 1, x, 0) + np.where(m != 0, x, 1) + (m > 0.5) * x
    return a + np.where(m == 0, x, 2)


def signs(p, u):
    return np.where(p == 1, u, 2 * u) + (p < 0) * u + np.where(p >= 0, 1, u)


def helper_in_arm(u):
    def pulled(k):
        return u[k] ** 2 if u[k] > 0 else -u[k]

    total = 0.0
    for k in range(len(u)):
        total = total + pulled(k)
    return total


def outside(w, y):
    out = np.zeros(len(w) - 1)
    for i in range(len(y)):
        if y[i] < len(out):
            out[y[i]] += np.exp(w[y[i]])
        if y[i] > 0:
            out[y[i] - 1] -= 2 * np.exp(w[y[i] - 1])
    return out


def read_twice_in_an_arm(s, u):
    a = s * u
    out = a + 1
    if s > 0:
        out[0] = np.exp(out[0]) + out[0]
    return out * a


def written_in_an_arm_and_read_again(u, s):
    out, total = np.zeros(len(u)), 0.0
    for k in range(len(u)):
        if k < len(u) - 1:
            out[k] = u[k + 1] * s
        total += out[k]
    return total


def changed_in_an_arm_by_what_stands_before(u):
    out = np.ones(3 * len(u))
    for k in range(0, len(u), 2):
        if k > 1:
            out[k // 2] *= out[k - 1]
        if u[k] > 0:
            out[k : k + 2] = u[k] * np.array([1.0, 2.0])
    return out


def functions_of_the_last(w):
    scaled = [lambda v: k * v for k in (1.0, 2.0, 3.0)]  # noqa: B023
    return scaled[0](w)


FOR_ALL = [
    either_way, names_and_arrays, attributes, nested, chained, tuples, skips, two_loops, rows, backwards, together,
    latched, scattered, outside, read_twice_in_an_arm, last_one, listed, filtered, counted, doubly, binary, signs, helper_in_arm,
    functions_of_the_last, written_in_an_arm_and_read_again, changed_in_an_arm_by_what_stands_before,
]  # fmt: skip


@pytest.mark.parametrize("function", FOR_ALL, ids=lambda f: f.__name__)
def test_trace_gives_what_numpy_gives_for_all_sizes(function):
    same_as_numpy(function)


@pytest.mark.parametrize("function", [skips, two_loops, attributes, filtered, rows], ids=lambda f: f.__name__)
def test_trace_at_stated_sizes_gives_the_same(function):
    same_as_numpy(function, {"N": 3})


@pytest.mark.parametrize("sizes", [{"N": 3, "D": 2}, {"D": 2}, {"N": 1}], ids=str)
def test_arms_that_read_what_is_not_there_elsewhere(sizes):
    same_as_numpy(outside, sizes)


def recurrence(u):
    h = 0.0
    for v in u:
        h = np.tanh(h + v)
    return h


def grows(u):
    kept = []
    for v in u:
        kept.append(v)
    return sum(kept)


def stops_early(u):
    total = 0.0
    for v in u:
        if total > 1:
            break
        total = total + v
    return total


def neighbours(u):
    out = np.zeros_like(u)
    for i in range(len(u) - 1):
        out[i + 1] = out[i] + u[i]
    return out


def from_none(x):
    total, previous = 0.0, None
    for row in x:
        if previous is not None:
            total = total + np.sum((row - previous) ** 2)
        previous = row
    return total


def by_a_method_from_none(x):
    class Cell:
        def __init__(self):
            self.h = None

        def step(self, row):
            if self.h is None:
                self.h = np.zeros_like(row)
            self.h = np.tanh(row + 0.5 * self.h)
            return self.h

    cell, out = Cell(), np.zeros_like(x)
    for t in range(len(x)):
        out[t] = cell.step(x[t])
    return out


def none_for_two_rounds(u):
    last, before, total = None, None, 0.0
    for v in u:
        total = total + v * (1.0 if before is None else before)
        before, last = last, v
    return total


def none_in_a_list(u):
    last, kept, total = None, [], 0.0
    for k in range(len(u)):
        kept.append(last)
        last = u[k]
        total = total + (0.0 if kept[k] is None else last * kept[k])
    return total


def counted_down(u):
    h, t = 0.0, len(u) - 1
    while t >= 0:
        h = 0.5 * h + u[t]
        t -= 1
    return h * t


def counted_while_any(u):
    h, t = 0.0, len(u)
    while t:
        t = t - 1
        h = 0.5 * h + u[t]
    return h


def counted_to_an_end_that_moves(u):
    total, k, end = 0.0, 0, len(u)
    while k < end:
        total, end = total + u[k], end - 1
        k += 1
    return total


def else_of_a_loop(u):
    h = 0.0
    for v in u:
        h = 0.5 * h + v
    else:
        h = 3 * h
    return h


def folded(u, x):
    h = functools.reduce(lambda h, v: 0.5 * h + v, u, 1.0)
    return h * functools.reduce(lambda a, row: a * row, x)


def accumulated(u):
    return np.array(list(itertools.accumulate(u, lambda h, v: 0.5 * h + v)))


def lists_joined(x, w):
    h, kept = w, []
    for row in x:
        h = 0.5 * h + row
        kept.append(h)
    earlier = [w] + kept[:-1]  # noqa: RUF005
    kept.append(2 * h)
    return np.stack(kept), np.stack(earlier)


def from_a_number(x):
    total = 0
    for row in x:
        total = total + row
    return total


def another_function(u):
    """Rounds after the first that takes place far outside of what is tried are others."""
    total, slope = 0.0, lambda v: 2 * v
    for k in range(len(u)):
        total = total + slope(u[k])
        if k * k == 10**8:
            slope = lambda v: 3 * v  # noqa: E731
    return total


def another_attribute(u):
    counter = Counter()
    for v in u:
        counter.add(v * v)
        if hasattr(counter, "late"):
            counter.total += 1.0
        counter.late = "late"
    return counter.total


def used_up(u):
    kept, total = {"first": 3.0}, 0.0
    for v in u:
        total = total + v * kept.pop("first", 1.0)
    return total


def blocks_that_overlap(u):
    """What is written depends on the place in the block; the tests for that do not say which round writes an entry."""
    out = np.zeros(len(u) + 2)
    for k in range(len(u)):
        out[k : k + 3] = u[k] * np.array([1.0, 2.0, 3.0])
    return out


class Held:
    """What loops give to the lists and dictionaries of an object."""

    def __init__(self):
        self.items, self.named, self.few = [], {"kept": []}, [2.0]

    def put(self, v):
        self.items.append({"v": v, "twice": 2 * v, "rate": 0.5})
        self.named["kept"].append(v)


def taken_from_both_ends(u):
    held, first, last = Held(), 0.0, 0.0
    for v in u:
        held.put(v)
    for k in range(len(u)):
        item = held.items.pop()
        first = first + item["rate"] * item["twice"] * u[k]
        last = last * 0.5 + held.named["kept"].pop(0)
    return first + len(held.items), last


def until_nothing_is_left(u):
    held, total = Held(), 0.0
    for v in u:
        held.put(v)
    while len(held.items) > 0:
        total = 0.5 * total + held.items.pop()["v"]
    return total


def short_lists_that_do_not_grow(u):
    held, total = Held(), 0.0
    for v in u:
        held.few[0] = held.few[0] + v
        total = total + v * len(held.few) * sum(1.0 for _ in held.few)
    return total, held.few[-1]


def listed_in_steps(u):
    held = Held()

    def step(v):
        held.few[0] = np.tanh(held.few[0] + v)
        held.put(v)
        return held.few[0], 2 * v

    outs = [step(v) for v in u]
    total = 0.0
    for k in range(len(u)):
        h, twice = outs[k]
        total = total + h * twice
    return total, held.items[0]["v"]


def filled_place_by_place(u):
    states = [None] * (len(u) + 1)
    states[0] = 0.5
    back = [None] * len(u)
    for t in range(len(u)):
        states[t + 1] = np.tanh(states[t] + u[t])
    for t in reversed(range(len(u))):
        back[t] = u[t] * states[t + 1]
    return states[len(u)], np.array(back)


def pairs_after_a_first_one(u):
    h = 0.5 * u[0]
    kept = [(h, u[0])]
    for v in u:
        h = np.tanh(kept[-1][0] + v)
        kept.append((h, v))
    return kept[-1][0], kept[1][1]


def filled_in_some_places(u):
    states = [None] * (len(u) + 2)
    for t in range(len(u)):
        states[t + 1] = u[t]
    return states[1]


def two_names_of_a_list(u):
    held = Held()
    items = held.named["kept"]
    for v in u:
        held.put(v)
        items.append(v)
    return sum(items)


def one_object_in_two_lists(u):
    held, others, total = Held(), [], 0.0
    for v in u:
        held.put(v)
        others.append(held.items[-1])
    for item in held.items:
        item["v"] = 0.0
    for item in others:
        total = total + item["v"]
    return total


def a_list_in_items_of_another(u):
    held = Held()
    for v in u:
        held.put(v)
        held.items[-1]["all"] = held.named["kept"]
    return held.items[0]["all"][-1]


def items_that_are_changed(u):
    held, total = Held(), 0.0
    for v in u:
        held.put(v)
    for k in range(len(u)):
        held.items[k]["v"] = held.items[k]["v"] + 1.0
    for k in range(len(u)):
        total = total + held.items[k]["v"]
    return total


def the_item_before_is_changed(u):
    held = Held()
    held.items.append({"v": 1.0, "twice": 2.0, "rate": 0.5})
    for v in u:
        held.items[-1]["v"] = v
        held.put(v)
    return held.items[0]["v"]


def taken_by_twos(u):
    held, total = Held(), 0.0
    for v in u:
        held.put(v)
    while held.items:
        total = total + held.items.pop()["v"]
        if held.items:
            held.items.pop()
    return total


FOLLOWED = [
    recurrence,
    grows,
    neighbours,
    blocks_that_overlap,
    from_a_number,
    taken_from_both_ends,
    until_nothing_is_left,
    short_lists_that_do_not_grow,
    listed_in_steps,
    pairs_after_a_first_one,
    filled_place_by_place,
    from_none,
    by_a_method_from_none,
    counted_down,
    counted_while_any,
    else_of_a_loop,
    folded,
    accumulated,
    lists_joined,
]  # states, lists and arrays that each round reads: recurrences
CHANGED = [
    filled_in_some_places,
    two_names_of_a_list,
    one_object_in_two_lists,
    a_list_in_items_of_another,
    items_that_are_changed,
    the_item_before_is_changed,
    taken_by_twos,
]
CARRIED = [
    another_function,
    another_attribute,
    used_up,
    none_for_two_rounds,
    none_in_a_list,
    counted_to_an_end_that_moves,
]


@pytest.mark.parametrize("function", [*CARRIED, *CHANGED, stops_early], ids=lambda f: f.__name__)
def test_rounds_that_depend_on_each_other_ask_for_concrete_sizes(function):
    with pytest.raises(NeedsConcreteSizes) as caught:
        same_as_numpy(function)
    assert caught.value.symbols == ("N",)


@pytest.mark.parametrize("function", FOLLOWED, ids=lambda f: f.__name__)
def test_rounds_that_make_a_recurrence_are_followed_for_all_sizes(function):
    same_as_numpy(function)


@pytest.mark.parametrize("function", [*CARRIED, *FOLLOWED], ids=lambda f: f.__name__)
def test_rounds_that_depend_on_each_other_are_followed_at_a_stated_size(function):
    same_as_numpy(function, {"N": 3})


class Keeper:
    def __init__(self, width):
        self.state, self.kept = np.zeros(width), []

    def step(self, row):
        self.state *= 0.5
        self.state = self.state + row
        self.kept.append(self.state)

    def drain(self):
        total = 0.0
        while self.kept:
            total = total + np.sum(self.kept.pop())
        return total


def halves_the_item_before(x):
    h, kept = np.zeros(x.shape[1]), []
    for row in x:
        h *= 0.5
        h = h + row
        kept.append(h)
    return kept[0]


def halves_the_item_before_in_a_method(x):
    keeper = Keeper(x.shape[1])
    for row in x:
        keeper.step(row)
    return keeper.drain()


def halves_the_item_before_in_slots(x):
    h, kept = np.zeros(x.shape[1]), [None] * len(x)
    for t in range(len(x)):
        h *= 0.5
        h = h + x[t]
        kept[t] = h
    return kept[0]


def halves_the_item_before_the_last(x):
    g = h = np.zeros(x.shape[1])
    kept = []
    for row in x:
        g *= 0.5
        g = h
        h = 2 * row
        kept.append(h)
    return kept[0]


def halves_the_item_before_by_a_reshape(x):
    h, kept = np.zeros((x.shape[1], 1)), []
    for row in x:
        h *= 0.5
        h = h + row[:, None]
        kept.append(h.reshape(-1))
    return kept[0]


def the_last_item_by_its_name(x):
    kept = []
    for row in x:
        h = 2 * row
        kept.append(h)
    h += 1
    return kept[-1]


def the_name_of_the_last_item(x):
    kept = []
    for row in x:
        h = 2 * row
        kept.append(h)
    last = kept[-1]
    last += 1
    return h


def the_name_of_the_last_item_in_a_loop(x):
    kept = []
    for row in x:
        h = 2 * row
        kept.append(h)
    total = 0.0
    for t in range(len(x)):
        total = total + np.sum(h)
        v = kept[len(x) - 1 - t]
        v += 1
    return total


def the_last_item_in_a_loop(x):
    kept = []
    for row in x:
        h = 2 * row
        kept.append(h)
    total = 0.0
    for t in range(len(x)):
        total = total + np.sum(kept[t])
        h += 1
    return total


def items_of_two_lists(x):
    kept, others = [], []
    for row in x:
        h = 2 * row
        kept.append(h)
        others.append(h)
    v = kept[0]
    v += 1
    return others[0]


def one_array_twice_in_an_item(x):
    kept = []
    for row in x:
        h = 2 * row
        kept.append((h, h))
    v, other = kept[0]
    v += 1
    return other


def one_list_twice_in_an_item(x):
    kept = []
    for row in x:
        h = [2 * row]
        kept.append((h, h))
    v, other = kept[0]
    v[0] = v[0] + 1
    return other[0]


def items_of_a_part(x):
    kept = []
    for row in x:
        kept.append({"h": 2 * row})
    others = kept[:]
    for item in kept:
        item["h"] = item["h"] + 1
    return others[0]["h"]


def the_first_item_is_changed(x):
    kept = [np.ones(x.shape[1])]
    for row in x:
        v = kept[-1]
        h = v * row
        v += 1
        kept.append(h)
    return kept[0]


def the_first_item_is_changed_by_its_name(x):
    h = 2 * x[0]
    kept = [h]
    for t in range(len(x)):
        h += 1
        kept.append(kept[t] * x[t])
    return kept[-1]


def the_first_item_is_changed_afterwards(x):
    h = np.ones(x.shape[1])
    kept = [h]
    for row in x:
        kept.append(kept[-1] * row)
    h += 1
    return kept[0]


ITEMS_CHANGED = [
    halves_the_item_before,
    halves_the_item_before_in_a_method,
    halves_the_item_before_in_slots,
    halves_the_item_before_the_last,
    halves_the_item_before_by_a_reshape,
    the_last_item_by_its_name,
    the_name_of_the_last_item,
    the_name_of_the_last_item_in_a_loop,
    the_last_item_in_a_loop,
    items_of_two_lists,
    one_array_twice_in_an_item,
    one_list_twice_in_an_item,
    items_of_a_part,
    the_first_item_is_changed,
    the_first_item_is_changed_by_its_name,
    the_first_item_is_changed_afterwards,
]


@pytest.mark.parametrize("function", ITEMS_CHANGED, ids=lambda f: f.__name__)
def test_items_that_are_changed_by_another_name_are_refused(function):
    with pytest.raises(TraceError, match=r"changed in place|an item of a list|may be changed|several times|may change"):
        same_as_numpy(function)


def one_list_in_two_objects(x):
    first, second = Keeper(2), Keeper(2)
    second.kept = first.kept
    for row in x:
        first.kept.append(2 * row)
    total = second.drain()
    return total + np.sum(x) * len(first.kept)


def items_from_the_front(x):
    kept = [{"h": x[0]}]
    for row in x:
        kept.append({"h": 2 * row})
    first, second = kept.pop(0), kept[0]
    return first["h"], second["h"]


def items_beside_each_other(x):
    kept, total = [], 0.0
    for row in x:
        kept.append({"h": 2 * row, "g": row * row})
    for item, before in zip(kept[1:], kept[:-1], strict=True):
        total = total + np.sum(item["h"] * before["g"])
    for item in kept[::-1]:
        total = 0.5 * total + np.sum(item["h"])
    return total


def arrays_that_are_changed_before_they_are_items(x):
    h, kept, dx = np.zeros(x.shape[1]), [], np.zeros_like(x)
    for row in x:
        h = 0.5 * h
        h += row
        kept.append(h)
        h[0] += 1
    h = 2 * h
    for t in reversed(range(len(x))):
        v = kept.pop()
        v *= 3
        dx[t] += v
    return dx


@pytest.mark.parametrize(
    "function",
    [
        one_list_in_two_objects,
        items_from_the_front,
        items_beside_each_other,
        arrays_that_are_changed_before_they_are_items,
    ],
    ids=lambda f: f.__name__,
)
def test_items_that_no_other_name_changes_are_followed(function):
    same_as_numpy(function)


def breaks(w):
    total = 0.0
    for k in range(2):
        if w[k] > 0:
            break
        total = total + w[k]
    return total


def raises(s):
    if s < 0:
        raise ValueError("negative")
    return s


def lists_differ(s):
    kept = []
    if s > 0:
        kept.append(s)
    return sum(kept) + s


def none_or_number(s):
    found = None
    if s > 0:
        found = s
    return 0.0 if found is None else found


def unset(s):
    if s > 0:
        a = s
    return a


def caught_in_an_arm(s):
    try:
        if s > 0:
            raise KeyError(s)
        s = s + 1
    except KeyError:
        s = s - 1
    return s


def while_data(s):
    while s > 1:
        s = s / 2
    return s


def shared(s, w):
    v = w if s > 0 else 2 * w
    v += 1
    return v


def attribute_appears(s):
    c = Counter()
    if s > 0:
        c.extra = s
    return s


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (breaks, "'break' on one way of a branch on data cannot be traced"),
        (raises, "raises ValueError: negative, on one way of a branch on data"),
        (lists_differ, "a branch on data leaves a list of another length on each of its ways"),
        (none_or_number, "found, on which the two ways of the branch on data in line"),
        (unset, "a, on which the two ways of the branch on data in line"),
        (caught_in_an_arm, "on one way of a branch on data is caught"),
        (while_data, "a branch that depends on the data, not only on sizes"),
        (shared, "an array that cannot be written"),
        (attribute_appears, "a branch on data leaves other contents of a Counter"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_what_cannot_be_merged_is_refused_with_its_line(function, message):
    with pytest.raises((TraceError, SymbackpropError)) as caught:
        same_as_numpy(function)
    assert message in str(caught.value)
    assert "line " in str(caught.value)


def test_the_users_own_objects_stay_as_they_are():
    layer = Counter()

    def function(s):
        layer.add(s)
        return s

    trace(function, {"s": ()})
    assert (layer.total, layer.hits, layer.kept) == (0.0, 0, {"last": 0.0})
    assert vars(Counter)["add"].__globals__["np"] is np


def last_of_overlapping_windows(x):
    out = np.zeros_like(x)
    for n in range(x.shape[0]):
        for t in range(x.shape[1] - 2):
            k = np.argmax(x[n, t : t + 3])
            out[n, t + k] = x[n, t]
    return out


def test_of_loops_that_read_each_other_the_innermost_asks_for_a_concrete_length_first():
    shapes = {"x": ("N", "T")}
    with pytest.raises(NeedsConcreteSizes) as caught:
        trace(last_of_overlapping_windows, shapes, where="T >= 3")
    assert caught.value.symbols == ("T",)
    program = trace(last_of_overlapping_windows, shapes, where="T >= 3", sizes={"T": 4})
    assert [to_text(n) for n in program.inputs[0].shape] == ["N", "4"]
