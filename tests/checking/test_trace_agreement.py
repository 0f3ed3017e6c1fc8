"""What is traced is what NumPy computes, or nothing is said."""

import numpy as np
import pytest

import symbackprop as sb
import symbackprop.frontends.numpy.traced  # registers the operations that tests replace
from symbackprop.checking import trace_agreement
from symbackprop.checking.trace_agreement import _steady
from symbackprop.evaluation.exact import Evaluator
from symbackprop.evaluation.number_types import FLOAT
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import multiply, number
from symbackprop.frontends.numpy.elementwise import elementwise
from symbackprop.frontends.numpy.registry import OPERATIONS

ROWS = {"x": ("N", "D")}
GENERATOR = np.random.default_rng(0)


class Noise:
    """A helper object, which the trace runs as it is."""

    def __call__(self, x):
        return x * GENERATOR.random()


noise = Noise()


def twice(x):
    return 2.0 * x


def gradient_of_twice(dout, x):
    return {"x": 2.0 * dout}


def test_an_operation_with_the_wrong_meaning_is_noticed(monkeypatch):
    monkeypatch.setitem(OPERATIONS, "sinh", lambda x: elementwise(lambda v: multiply(number(2), v), x))
    verdict = sb.check(lambda x: np.sinh(x), gradient_of_twice, shapes=ROWS)
    assert verdict.status == "UNDECIDED"
    assert "when NumPy runs it" in verdict.reason and "by NumPy" in verdict.reason


def test_an_operation_with_the_wrong_meaning_in_the_backward_is_noticed(monkeypatch):
    monkeypatch.setitem(OPERATIONS, "sinh", lambda x: elementwise(lambda v: multiply(number(2), v), x))
    verdict = sb.check(twice, lambda dout, x: {"x": np.sinh(dout)}, shapes=ROWS)
    assert verdict.status == "UNDECIDED"


def test_numbers_that_change_from_run_to_run_decide_nothing():
    verdict = sb.check(lambda x: noise(x), lambda dout, x: {"x": dout}, shapes=ROWS)
    assert verdict.status == "UNDECIDED"
    assert verdict.counterexample is None


def test_a_backward_that_fails_only_in_numpy_is_not_proved():
    def backward(dout, x):
        if hasattr(x, "__array_interface__"):
            raise ValueError("only for real arrays")
        return {"x": 2.0 * dout}

    verdict = sb.check(twice, backward, shapes=ROWS)
    assert verdict.status == "MALFORMED"
    assert "only for real arrays" in verdict.reason


def test_a_label_that_is_no_place_of_the_axis():
    def backward(dout, x, centers, y):
        np.add.at(x, y, -dout)
        return {"x": x}

    shapes = {"x": ("N", "D"), "centers": ("C", "D"), "y": ("N",)}
    verdict = sb.check(lambda x, centers, y: x - centers[y], backward, shapes=shapes, assume={"y": "labels:C"})
    assert verdict.status == "MALFORMED" and "IndexError" in verdict.reason


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e6])
def test_right_ones_are_still_proved(scale):
    verdict = sb.check(lambda x: scale * np.exp(x), lambda dout, x: {"x": scale * dout * np.exp(x)}, shapes=ROWS)
    assert verdict.status == "PROVED", str(verdict)


def test_what_the_functions_print_is_not_shown(capsys):
    def forward(x):
        print("hello")
        return 2.0 * x

    assert sb.check(forward, gradient_of_twice, shapes=ROWS).status == "PROVED"
    assert capsys.readouterr().out == ""


def test_the_users_arrays_are_not_changed_by_a_backward_that_writes_into_its_arguments():
    def backward(dout, x):
        dout *= 2.0
        return {"x": dout}

    assert sb.check(twice, backward, shapes=ROWS).status == "PROVED"


def test_code_whose_result_rounding_decides_is_not_said_to_differ():
    def backward(dout, x):
        off = np.mean(x - x.mean(axis=0), axis=0)
        return {"x": 2.0 * dout + 1e-3 / off}

    verdict = sb.check(twice, backward, shapes=ROWS)
    assert "when NumPy runs it" not in verdict.reason
    assert verdict.status != "PROVED"


# The net is never empty.

VECTOR = {"x": ("N",)}


def logs(x):
    return 2 * np.log(x).sum()


DIFFERENT_WHERE_FINITE = {
    "products of booleans": (logs, lambda x: {"x": (np.ones(2, bool) @ np.ones(2, bool)) / x}, ROWS),
    "the class of an argument": (logs, lambda x: {"x": (2 if x.__class__.__name__ != "ndarray" else 3) / x}, ROWS),
    "above a constant": (
        lambda x: x * ((x > 0).astype(np.uint8) * 200 + (x > 50).astype(np.uint8) * 200),
        lambda dout, x: {"x": dout * (200.0 * (x > 0) + 200.0 * (x > 50))},
        ROWS,
    ),
    "nan below a constant": (
        lambda x: np.where(np.isnan(np.log(x + 50)), 0, np.log(x + 50)),
        lambda dout, x: {"x": dout / (x + 50)},
        ROWS,
    ),
}


@pytest.mark.parametrize("name", DIFFERENT_WHERE_FINITE)
def test_numpy_is_asked_where_the_functions_are_finite_and_beside_every_constant(name):
    forward, backward, shapes = DIFFERENT_WHERE_FINITE[name]
    assert sb.check(forward, backward, shapes=shapes).status in ("UNDECIDED", "REFUTED", "MALFORMED")


FINITE_SOMEWHERE = {
    "positive": (lambda x: np.log(x), lambda dout, x: {"x": dout / x}),
    "below one": (lambda x: np.log(1 - x), lambda dout, x: {"x": -dout / (1 - x)}),
    "above five": (lambda x: np.log(x - 5), lambda dout, x: {"x": dout / (x - 5)}),
    "below minus five": (lambda x: np.log(-x - 5), lambda dout, x: {"x": dout / (x + 5)}),
    "in (-1, 1)": (lambda x: np.sqrt(1 - x * x), lambda dout, x: {"x": -dout * x / np.sqrt(1 - x * x)}),
    "a ufunc": (np.log, lambda dout, x: {"x": dout / x}),
}


@pytest.mark.parametrize("name", FINITE_SOMEWHERE)
def test_points_are_sought_where_random_ones_are_not_finite(name):
    forward, backward = FINITE_SOMEWHERE[name]
    assert sb.check(forward, backward, shapes=VECTOR).status == "PROVED"


@pytest.mark.parametrize("name", ["positive", "below one", "above five", "below minus five", "in (-1, 1)"])
def test_a_wrong_factor_is_refuted_where_the_forward_is_finite(name):
    forward, backward = FINITE_SOMEWHERE[name]
    verdict = sb.check(forward, lambda dout, x: {"x": 2 * backward(dout, x)["x"]}, shapes=VECTOR)
    assert verdict.status == "REFUTED"
    assert np.isfinite(forward(verdict.counterexample.inputs["x"])).all()


def test_a_forward_that_is_nowhere_finite_decides_nothing():
    verdict = sb.check(lambda x: np.log(-x * x - 1), lambda dout, x: {"x": 2 * dout * x / (x * x + 1)}, shapes=VECTOR)
    assert verdict.status == "UNDECIDED"
    assert "NumPy could not be asked" in verdict.reason


def test_numpy_runs_at_three_lengths_of_every_axis(monkeypatch):
    seen = []

    def forward(x, w):
        return x @ w

    def run(function, inputs, point, **more):
        if function is forward:
            seen.append(tuple(point.sizes[s] for s in sorted(point.sizes, key=lambda s: s.name)))
        return by_numpy(function, inputs, point, **more)

    by_numpy = trace_agreement.run
    monkeypatch.setattr(trace_agreement, "run", run)

    def backward(dout, x, w):
        return {"x": dout @ w.T, "w": x.T @ dout}

    assert sb.check(forward, backward, shapes={"x": ("N", "D"), "w": ("D", "M")})
    assert all(len({s[k] for s in seen}) >= 3 for k in range(3))
    assert any(len(set(s)) == 3 for s in seen)


def test_a_tiny_difference_is_noticed_where_all_numbers_are_tiny(monkeypatch):
    monkeypatch.setitem(OPERATIONS, "sinh", lambda x: elementwise(lambda v: multiply(number(2), v), x))
    verdict = sb.check(lambda x: 1e-20 * np.sinh(x), lambda dout, x: {"x": 2e-20 * dout}, shapes=VECTOR)
    assert verdict.status == "UNDECIDED"


# One function alone.


def test_trace_compares_with_numpy(monkeypatch):
    monkeypatch.setitem(OPERATIONS, "sinh", lambda x: elementwise(lambda v: multiply(number(2), v), x))
    with pytest.raises(trace_agreement.TraceDiffersError, match="is not what its lines say"):
        sb.trace(lambda x: np.sinh(x), VECTOR)


def test_what_numpy_could_not_be_asked_is_a_condition_of_what_is_proved():
    program = sb.trace(lambda x: np.log(-1.0 - x**2), VECTOR)
    (condition,) = program.conditions
    assert condition.startswith("NumPy could not be asked whether <lambda> does what its lines say")
    assert all(condition in theorem.conditions for theorem in sb.prove(program).theorems)


def test_a_trace_that_numpy_confirms_has_no_condition():
    assert sb.trace(lambda x: np.log(1.0 + x**2), VECTOR).conditions == ()


def in_single_precision(make):
    return sb.check(lambda x: 0.1 * x, lambda dout, x: {"x": dout * make(x)}, shapes={"x": ("N",)})


@pytest.mark.parametrize(
    "make",
    [
        lambda x: np.float32(0.1),
        lambda x: np.array(0.1, np.float32),
        lambda x: np.full(x.shape, 0.1, dtype=np.float32),
        lambda x: np.asarray([0.1], dtype=np.float32),
    ],
)
def test_a_constant_that_single_precision_rounds_is_a_condition(make):
    verdict = in_single_precision(make)
    assert verdict.status == "PROVED"
    assert any("1/10 in single precision" in c for c in verdict.conditions)


def test_a_constant_that_single_precision_holds_is_none():
    verdict = sb.check(lambda x: 0.5 * x, lambda dout, x: {"x": dout * np.float32(0.5)}, shapes={"x": ("N",)})
    assert (verdict.status, verdict.conditions) == ("PROVED", ())


def test_an_input_that_the_forward_changes_in_place_is_told():
    def forward(x):
        y = x * x
        x += 1
        return y

    verdict = sb.check(forward, lambda dout, x: {"x": 2 * dout * x}, shapes={"x": ("N",)})
    assert verdict.status == "PROVED"
    assert any("is given x as it was before forward changed it in place" in c for c in verdict.conditions)
    kept = sb.check(lambda x: (forward(x), x), lambda dout, cache: {"x": 2 * dout * cache}, shapes={"x": ("N",)})
    assert kept.status == "REFUTED"  # by the cache it is the changed one


def test_a_line_for_which_there_is_no_code_is_refuted_all_the_same():
    def backward(dout, x):
        return {"x": dout * np.trunc(x / 2)}

    verdict = sb.check(lambda x: x * np.floor(x / 2), backward, shapes={"x": ("N",)})
    assert verdict.status == "REFUTED"


def test_what_rounding_leaves_of_a_slope_that_has_levelled_off_is_not_steady():
    def slope(x):
        y = np.tanh(x)
        return 1 - y**2

    program = sb.trace(slope, shapes={"x": ("N",)})
    (x,), (size,) = program.inputs, {n for t in program.inputs for n in t.shape}

    def steady(value):
        return _steady(Evaluator(program, FLOAT), Point({size: 1}, {x: np.array([value])}))

    assert steady(0.5) and not steady(18.0)


def test_places_that_a_line_has_computed_count_from_the_end_where_they_are_negative():
    def forward(x, i):
        j = i - 1
        return x[j]

    def backward(dout, x, i):
        j = i - 1
        d = np.zeros_like(x)
        np.add.at(d, j, dout)
        return {"x": d}

    def only_inside(dout, x, i):  # x[-1] is the last entry, and has a gradient too
        d = np.zeros_like(x)
        np.add.at(d, i - 1, dout * (i > 0))
        return {"x": d}

    given = {"shapes": {"x": ("V",), "i": ("N",)}, "assume": {"i": "labels:V"}}
    assert sb.check(forward, backward, **given).for_all_sizes
    assert sb.check(forward, only_inside, **given).status == "REFUTED"


def test_one_label_counts_from_the_end_where_it_is_negative():
    def backward(dout, x, y):
        d = np.zeros_like(x)
        if y > 0:
            d[y - 1] = dout
        return {"x": d}

    shapes = {"x": ("V",), "y": ()}
    assert sb.check(lambda x, y: x[y - 1], backward, shapes=shapes, assume={"y": "label:V"}).status == "REFUTED"


def test_lines_that_read_outside_an_array_where_the_code_does_not_are_no_trace_of_it(monkeypatch):
    """As if places of np.take_along_axis were not counted from the end."""
    from symbackprop.frontends.numpy import subscripts

    monkeypatch.setattr(subscripts, "_from_the_end", lambda places, size: places)

    def backward(dout, x, i):
        d = np.zeros_like(x)
        np.add.at(d, i - 1, dout * (i > 0))
        return {"x": d}

    given = {"shapes": {"x": ("V",), "i": ("N",)}, "assume": {"i": "labels:V"}}
    verdict = sb.check(lambda x, i: x[i - 1], backward, **given)
    assert verdict.status == "UNDECIDED"
    assert "and its lines have none" in verdict.reason
