"""The oracle of the fuzzer: tangents against differences, and what neither may claim."""

import random

import fuzz
import numpy as np
import pytest
import trace_fuzz
from helpers.tangents import Tangents


def drawn(seed):
    r = random.Random(seed)
    return next(fuzz.variants(fuzz.program(r, 1 + seed % 4), r))


def upstream(case, values, seed):
    forward, _ = case.functions("functions")
    return np.random.default_rng(seed).normal(size=np.shape(forward(**values))).astype(np.longdouble)


@pytest.mark.parametrize("seed", range(40))
def test_gradient_agrees_with_differences(seed):
    case = drawn(seed)
    values = fuzz.point(case, fuzz.SIZES[seed % 5], 1.0, seed)
    with np.errstate(all="ignore"):
        dout = upstream(case, values, seed)
        for name, tangent in fuzz.gradient(case, values, dout).items():
            for place in np.ndindex(*tangent.shape):
                by_differences = fuzz.slope(case, values, dout, name, place).value
                if np.isfinite(by_differences) and np.isfinite(tangent[place]):
                    assert abs(tangent[place] - by_differences) <= 1e-8 * (1 + abs(tangent).max())


def one_line(forward, backward, name="x"):
    fuzz.OPERATIONS["tried"] = fuzz.Operation(("*",), "*", forward, (backward,))
    return fuzz.Case((fuzz.Line("h0", (name,), "tried"),))


@pytest.fixture(autouse=True)
def untried():
    yield
    fuzz.OPERATIONS.pop("tried", None)


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e12])
def test_is_wrong_is_not_deceived_by_jumps(scale):
    """Differences across many jumps of floor see its slope on average, which it has nowhere."""
    right = one_line(f"np.floor({scale} * {{a}}) + {{a}}", "{d}")
    values, dout = {"x": np.linspace(0.1, 0.7, 6, dtype=np.longdouble).reshape(3, 2)}, np.ones((3, 2), np.longdouble)
    assert not fuzz.is_wrong(right, 0)
    assert not np.isfinite(fuzz.slope(right, values, dout, "x", (0, 0)).value) or scale == 1.0
    assert fuzz.is_wrong(one_line(f"np.floor({scale} * {{a}}) + {{a}}", f"{1 + scale} * {{d}}"), 0)


@pytest.mark.parametrize(
    "forward", ["np.maximum({a}, 0)", "np.abs({a})", "np.floor({a})", "np.where({a} > 0, {a}, 1.0)"]
)
def test_gradient_claims_nothing_where_a_branch_turns(forward):
    case = one_line(forward, "{d}", "v")
    found = fuzz.gradient(case, {"v": np.array([0.0, 0.5], np.longdouble)}, np.ones(2, np.longdouble))["v"]
    assert np.isnan(found[0]) and np.isfinite(found[1])
    assert fuzz.slope(case, {"v": np.array([0.0, 0.5], np.longdouble)}, np.ones(2), "v", (0,)).kink


def test_tangents_follow_views():
    x = Tangents.inputs({"x": np.arange(3.0)})["x"]
    y = x + 0
    part = y[1:]
    part *= 3
    assert np.array_equal(y.tangent, np.diag([1.0, 3.0, 3.0]))


def test_kept_adds_up_what_ran_at_once(tmp_path):
    results = tmp_path / "results.jsonl"
    arguments = ["--results", str(results)]
    assert fuzz.main(["--seeds", "3:5", *arguments]) == 0
    once = results.read_text()
    assert fuzz.main(["--seeds", "4:6", *arguments]) == 0
    results.write_text(results.read_text() + once)  # the same seeds by another process
    (tally,), seeds = fuzz.kept(results)[0].values(), fuzz.kept(results)[1]
    assert seeds == {3, 4, 5} and tally.forwards == 3 and not tally.wrong


def test_is_wrong_counts_what_is_no_number_where_that_is_asked():
    """0 times infinity, where the forward takes no notice of the entry."""
    forward = "np.where({a} > 0, np.sqrt(np.where({a} > 0, {a}, 1.0)), 0.0)"
    case = one_line(forward, "({d} * ({a} > 0)) * (0.5 / np.sqrt(np.maximum({a}, 0)))")
    assert not fuzz.is_wrong(case, 0)
    assert fuzz.is_wrong(case, 0, no_number=True)


@pytest.mark.filterwarnings("ignore")
def test_random_loops_are_traced_as_numpy_runs_them():
    found = trace_fuzz.fuzz(seed=1, programs=100)
    assert found.followed >= 15
    assert not found.wrong, found.wrong[0]
