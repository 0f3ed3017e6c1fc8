"""What a claim asks for beyond its forward pass: a condition of the verdict, or a refutation."""

from collections import Counter

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking import refute
from symbackprop.checking.domains import demands
from symbackprop.frontends.numpy.traced import trace

ROWS, VECTOR = {"x": ("N", "D")}, {"x": ("N",)}


def square(x):
    return x**2


CONDITIONS = {
    "x over x": (lambda x: x**3, lambda dout, x: {"x": 3 * dout * x**3 / x}, ROWS, "x[n,d] != 0"),
    "away from 0": (square, lambda dout, x: {"x": 2 * dout * x * (x - 2) / (x - 2)}, VECTOR, "x[n] != 2"),
    "a size": (square, lambda dout, x: {"x": 2 * dout * x * (x.shape[1] - 40) / (x.shape[1] - 40)}, ROWS, "D != 40"),
    "twice the inverse": (square, lambda dout, x: {"x": 2 * dout * (x**-1) ** -1}, VECTOR, "x[n] != 0"),
    "log of a square": (lambda x: x**3, lambda dout, x: {"x": 3 * dout * np.exp(np.log(x * x))}, VECTOR, "x[n] != 0"),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_check_tells_the_smallest_excluded_set(name):
    forward, backward, shapes, condition = CONDITIONS[name]
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "PROVED"
    assert verdict.conditions == (condition,)


NEEDLESS = {
    "the forward divides too": (np.log, lambda dout, x: {"x": dout / x}, VECTOR, {}),
    "the root of the forward": (
        lambda x: np.sqrt((x * x).sum(axis=1)),
        lambda dout, x: {"x": dout[:, None] * x / np.sqrt((x * x).sum(axis=1, keepdims=True))},
        ROWS,
        {},
    ),
    "a clipped divisor": (
        lambda x: x**3,
        lambda dout, x: {"x": 3 * dout * x * x * (np.exp(x) + 1) / (np.exp(x) + 1)},
        VECTOR,
        {},
    ),
    "what is assumed": (square, lambda dout, x: {"x": 2 * dout * np.exp(np.log(x))}, VECTOR, {"assume": {"x": "pos"}}),
    "the domain of sizes": (
        square,
        lambda dout, x: {"x": 2 * dout * x * (x.shape[0] - 1) / (x.shape[0] - 1)},
        ROWS,
        {"where": "N >= 2"},
    ),
}


@pytest.mark.parametrize("name", NEEDLESS)
def test_check_names_no_needless_condition(name):
    forward, backward, shapes, options = NEEDLESS[name]
    verdict = sb.check(forward, backward, shapes=shapes, **options)
    assert verdict.status == "PROVED"
    assert not any("!=" in c or "> 0" in c for c in verdict.conditions if "positive" not in c)


OPEN = {
    "exp of log": lambda dout, x: {"x": 2 * dout * (np.exp(np.log(x + 1000)) - 1000)},
    "square of a root": lambda dout, x: {"x": 2 * dout * (np.sqrt(x + 1000) ** 2 - 1000)},
    "product of roots": lambda dout, x: {"x": 2 * dout * ((x + 30) ** 0.5 * (x + 30) ** 0.5 - 30)},
    "far away": lambda dout, x: {"x": 2 * dout * (np.exp(np.log(x + 1e6)) - 1e6)},
}


@pytest.mark.parametrize("name", OPEN)
def test_check_refutes_what_has_no_value_on_an_open_set(name):
    verdict = sb.check(square, OPEN[name], shapes=VECTOR)
    assert verdict.status == "REFUTED"
    point = verdict.counterexample
    with np.errstate(all="ignore"):
        claimed = OPEN[name](point.upstream, point.inputs["x"])["x"]
    assert np.isnan(claimed).any()


PARTS = {
    "all but the first": (lambda x: np.log(x)[1:].sum(), lambda k, n: k >= 1, VECTOR),
    "a margin, but not the last": (lambda x: np.pad(np.log(x), 1)[:-2].sum(), lambda k, n: k < n - 1, VECTOR),
    "every second": (lambda x: np.log(x)[::2].sum(), lambda k, n: k % 2 == 0, {"x": ("2*N",)}),
}


@pytest.mark.parametrize("name", PARTS)
def test_check_refutes_what_has_no_value_beside_the_part_that_the_forward_reads(name):
    logarithms, is_read, shapes = PARTS[name]

    def forward(x):
        return (x**2).sum() + logarithms(x)

    def backward(dout, x):
        n = x.shape[0]
        return {"x": dout * (2 * np.exp(np.log(x)) + np.where(is_read(np.arange(n), n), 1 / x, 0))}

    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "REFUTED"
    point = verdict.counterexample
    with np.errstate(all="ignore"):
        assert np.isnan(backward(point.upstream, point.inputs["x"])["x"]).any()
        assert np.isfinite(forward(point.inputs["x"])).all()


ON_A_THRESHOLD = {
    "at 0": (square, lambda dout, x: {"x": dout * np.where(x == 0, 5, 2 * x)}, VECTOR),
    "at 3": (square, lambda dout, x: {"x": dout * np.where(x == 3, 5, 2 * x)}, VECTOR),
    "at a square": (square, lambda dout, x: {"x": dout * np.where(x * x == 4, 5, 2 * x)}, VECTOR),
    "at a number that no float is": (square, lambda dout, x: {"x": dout * np.where(x == 0.1, 5, 2 * x)}, VECTOR),
    "at a negative one": (square, lambda dout, x: {"x": dout * np.where(x == -0.7, 5, 2 * x)}, VECTOR),
    "by a difference": (square, lambda dout, x: {"x": dout * np.where(x - 0.1 == 0, 5, 2 * x)}, VECTOR),
    "by a distance": (square, lambda dout, x: {"x": dout * np.where(abs(x - 0.1) <= 0, 5, 2 * x)}, VECTOR),
    "by two inequalities": (square, lambda dout, x: {"x": dout * np.where((x >= 0.3) & (x <= 0.3), 5, 2 * x)}, VECTOR),
    "beside many constants": (
        lambda x: 0.01 * np.tanh(x) + 0.02 * x + 0.03 * x**2 + 0.04 * x**3,
        lambda dout, x: {
            "x": dout * np.where(x == 0.7, 0, 0.01 * (1 - np.tanh(x) ** 2) + 0.02 + 0.06 * x + 0.12 * x**2)
        },
        VECTOR,
    ),
    "at an upstream gradient": (square, lambda dout, x: {"x": np.where(dout == 0.3, 5, 2 * dout * x)}, VECTOR),
    "where two agree": (
        lambda x, y: x * y,
        lambda dout, x, y: {"x": dout * np.where(x == y, 5, y), "y": dout * x},
        {"x": ("N",), "y": ("N",)},
    ),
}


@pytest.mark.parametrize("name", ON_A_THRESHOLD)
def test_check_refutes_a_wrong_value_where_the_forward_is_smooth(name):
    forward, backward, shapes = ON_A_THRESHOLD[name]
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "REFUTED"
    point = verdict.counterexample
    plain = backward(point.upstream, **point.inputs)
    assert all(np.allclose(plain[n], point.claimed[n], 1e-12) for n in plain)  # NumPy takes the same branch there
    assert point.entry.claimed != point.entry.correct


EXCLUDED = {  # the forward is not smooth there: no value is a wrong one
    "a jump": (lambda x: np.where(x == 0.1, 5, x), lambda dout, x: {"x": dout}),
    "a jump that the backward knows": (
        lambda x: np.where(x == 0.1, 5, x),
        lambda dout, x: {"x": dout * np.where(x == 0.1, 0, 1)},
    ),
    "a corner": (lambda x: np.abs(x - 0.3), lambda dout, x: {"x": dout * np.sign(x - 0.3)}),
}


@pytest.mark.parametrize("name", EXCLUDED)
def test_check_says_that_a_threshold_of_the_forward_is_left_out(name):
    verdict = sb.check(*EXCLUDED[name], shapes=VECTOR)
    assert verdict.status == "PROVED"
    assert verdict.conditions == ("no argument of a branch is exactly at its kink",)


@pytest.mark.parametrize("slope", [lambda x: x > 0, lambda x: x >= 0])
def test_check_takes_any_convention_at_a_kink(slope):
    verdict = sb.check(lambda x: np.maximum(x, 0), lambda dout, x: {"x": dout * slope(x)}, shapes=VECTOR)
    assert verdict.status == "PROVED"


def test_check_does_not_take_ties_on_an_open_set_for_none():
    def places(x, y):
        clipped = np.maximum(x, -1000)
        return y * (clipped == clipped.max(axis=1, keepdims=True)).sum(axis=1)

    def backward(dout, x, y):
        return {"x": 0 * x, "y": dout}

    verdict = sb.check(places, backward, shapes={"x": ("N", "D"), "y": ("N",)})
    assert verdict.status == "REFUTED"


def test_demands_are_asked_under_their_guards_alone():
    def forward(x):
        inverse = 1 / x
        return np.where(x > 0, inverse, 0)

    (demand,) = demands(trace(forward, {"x": ("N",)}))
    assert demand.relation == "!=" and len(demand.guards) == 1


NET = sb.Network([3, 5, 4], activation="sigmoid", cost="cross_entropy")


def test_verify_tells_what_a_formula_asks_for():
    verdict = sb.verify(NET, "delta3[n,k]", "(a3[n,k] - y[n,k])*z3[n,k]/z3[n,k]/m")
    assert (verdict.status, verdict.conditions) == ("PROVED", ("z3[n,k] != 0",))


@pytest.mark.parametrize("factor", ["exp(log(z3[n,k]))/z3[n,k]", "sqrt(z3[n,k] + 5)**2/(z3[n,k] + 5)"])
def test_verify_refutes_what_has_no_value_on_an_open_set(factor):
    verdict = sb.verify(NET, "delta3[n,k]", f"(a3[n,k] - y[n,k])*({factor})/m")
    assert verdict.status == "REFUTED"
    assert np.isnan(verdict.counterexample.entry.claimed)


def test_a_point_that_was_held_up_does_not_end_the_search(monkeypatch):
    """A collection of garbage in a large process took a second of the thread once, and the claim was PROVED."""
    clock, seen, examined = [0.0], Counter(), refute.Search._examined

    def held_up(search, point, bits):
        seen[search] += 1
        clock[0] += 0.9 if seen[search] == 3 else 0.001
        return examined(search, point, bits)

    monkeypatch.setattr(refute, "worked", lambda: clock[0])
    monkeypatch.setattr(refute.Search, "_examined", held_up)
    test_verify_refutes_what_has_no_value_on_an_open_set("sqrt(z3[n,k] + 5)**2/(z3[n,k] + 5)")


def test_halves_of_halves_are_proved_for_all_sizes_that_divide():
    def halved(x):
        return x.reshape(len(x) // 2, 2).mean(axis=1)

    def forward(x):
        return halved(halved(x))

    def backward(dout, x):
        return np.repeat(np.repeat(dout, 2) / 2, 2) / 2

    verdict = sb.check(forward, backward, shapes={"x": ("H",)})
    assert verdict.for_all_sizes and "H//2%2 == 0" in str(verdict)
    wrong = sb.check(forward, lambda dout, x: np.repeat(dout, 4) / 2, shapes={"x": ("H",)})
    assert wrong.status == "REFUTED"


def test_a_size_that_divides_beside_a_number_is_written_out_once():
    """H is 4 times a quotient of H - 2, and 2; that quotient is not written out in its turn."""

    def forward(x):
        return x[2:].reshape((len(x) - 2) // 4, 4).sum(axis=1)

    def backward(dout, x):
        dx = np.zeros_like(x)
        dx[2:] = np.repeat(dout, 4)
        return dx

    verdict = sb.check(forward, backward, shapes={"x": ("H",)}, where="(H - 2) % 4 == 0, H > 2")
    assert verdict.status == "PROVED" and "H = 10" in verdict.scope  # one size alone would prove nothing


def largest_of_equal_entries(a, x):
    return np.sum(x * (a[:, None] + np.zeros_like(x)).max(axis=1, keepdims=True))


@pytest.mark.parametrize("times", [1, 2])
def test_the_largest_of_entries_that_are_always_equal_has_their_slope(times):
    """Its derivative along one of them, as many times as there are, would be right of no point."""

    def slopes(a, x):
        return times * x.sum(axis=1), np.broadcast_to(a[:, None], x.shape)

    verdict = sb.check(largest_of_equal_entries, slopes, shapes={"a": ("N",), "x": ("N", "M")})
    assert verdict.status == ("PROVED" if times == 1 else "REFUTED")


def read_at_margins(depth):
    """Layers that divide, each of which reads the one before from beyond its ends, where 0 stands."""

    def forward(x, w):
        for _ in range(depth):
            padded = np.pad(x, 1)
            x = padded[:-2] * w[0] + padded[1:-1] * w[1] + padded[2:] * w[2]
            x = x / (1 + x**2)
        return x

    return trace(forward, {"x": ("N",), "w": (3,)})


def spread_out(depth):
    """Layers that divide, each of which spreads the one before, with 0 between its entries."""

    def forward(x, w):
        for _ in range(depth):
            longer = np.zeros(2 * len(x))
            longer[::2] += x * w[0]
            longer[1::2] += x * w[1]
            x = longer / (1 + longer**2)
        return x

    return trace(forward, {"x": ("N",), "w": (2,)})


@pytest.mark.parametrize("layers", [read_at_margins, spread_out])
@pytest.mark.parametrize("guarded", [True, False])
def test_demands_of_deep_models_grow_as_their_depth(layers, guarded):
    """Each layer is read under guards of its own; told for all ways through all layers, these are 3 ** 12 or more."""
    found = demands(layers(12), guarded=guarded)
    assert 1 <= len(found) <= 60
    assert guarded or not any(d.guards for d in found)


def of_margins(x):
    inverse = 1 / x
    return np.pad(inverse, 1)


def of_others(x):
    distances = x[:, None] - x
    return np.where(np.eye(len(x)), 0, 1 / distances)


def of_all_but_the_first(x):
    inverse = 1 / x
    return np.where(np.arange(len(x)) >= 1, inverse, 0)


@pytest.mark.parametrize("forward, guards", [(of_margins, 0), (of_others, 1), (of_all_but_the_first, 1)])
def test_what_stands_wherever_there_is_an_entry_is_no_guard(forward, guards):
    (demand,) = demands(trace(forward, {"x": ("N",)}))
    assert len(demand.guards) == guards
