"""Proofs for some stated sizes: said in the first line, with what was left out, and never from empty loops alone."""

import math

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking.budget import SHARES
from symbackprop.checking.verdict import Verdict
from symbackprop.normal_form.work_time import worked

ROWS = {"x": ("T", "D")}


def late_squares(x):
    def beyond(t):
        return 0.0 * x[0] if t >= x.shape[0] else x[t] ** 2 + beyond(t + 1)

    return beyond(3)


def late_squares_by_a_loop(x):
    total = 0.0 * x[0]
    for t in range(3, x.shape[0]):
        total = total + x[t] ** 2
    return total


def late_slopes(factor):
    def backward(dout, x):
        dx = np.zeros_like(x)
        for t in range(3, x.shape[0]):
            dx[t] = factor * x[t] * dout
        return {"x": dx}

    return backward


def test_check_says_in_the_first_line_that_sizes_are_stated():
    verdict = sb.check(late_squares, late_slopes(2), shapes=ROWS)
    assert verdict.status == "PROVED"
    assert not verdict.for_all_sizes
    first = str(verdict).splitlines()[0]
    assert "the stated sizes T = 2 and T = 3 and T = 4 alone; every size of the other axes" in first


def test_check_says_what_stands_in_the_way_of_all_sizes():
    verdict = sb.check(late_squares, late_slopes(2), shapes=ROWS)
    (why,) = [note for note in verdict.notes if note.startswith("not for all sizes: ")]
    assert why.startswith("not for all sizes: a branch that depends on the sizes (line ")
    assert "if t >= x.shape[0]" in why


def test_check_asks_stated_sizes_however_long_a_proof_for_all_of_them_was_sought(monkeypatch):
    """Loops over tiles are hard for all sizes and easy at stated ones; the search took more than a share of its own."""
    spent = []

    def searched(traced, subject, *_):
        spent.append(2 * SHARES["stated sizes"].seconds)
        return Verdict("UNDECIDED", subject, reason="no proof was found")

    monkeypatch.setattr("symbackprop.checking.check.decide_pair", searched)
    monkeypatch.setattr("symbackprop.checking.budget.worked", lambda: worked() + sum(spent))
    squares = lambda x: np.sum(x**2, axis=0)  # noqa: E731
    verdict = sb.check(squares, lambda dout, x: {"x": 2 * x * dout}, shapes=ROWS)
    assert verdict.status == "PROVED" and "stated sizes" in verdict.scope
    assert spent


def test_check_proves_few_small_sizes_by_themselves_and_all_beyond_in_general():
    verdict = sb.check(late_squares_by_a_loop, late_slopes(2), shapes=ROWS)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes")
    assert "T = 1 and T = 2, of which the code asks, has a proof of its own" in verdict.notes

    def wrong_for_two(dout, x):
        return {"x": late_slopes(2)(dout, x)["x"] + (x if len(x) == 2 else 0.0 * x)}

    found = sb.check(late_squares_by_a_loop, wrong_for_two, shapes=ROWS)
    assert found.status == "REFUTED"
    assert found.counterexample.inputs["x"].shape[0] == 2


@pytest.mark.parametrize("asked", [lambda n: n % 10 < 3, lambda n: n % 10 == 1])
def test_check_does_not_take_a_question_that_small_sizes_answer_alike_for_one_about_small_sizes(asked):
    """Sizes of 11 answer as 1 does, and that a remainder is not 1 does not say that it is larger."""

    def forward(x):
        return x**2 if asked(len(x)) else x**3

    def backward(dout, x):
        return {"x": dout * (2 * x if len(x) < 10 and asked(len(x)) else 3 * x**2 if len(x) % 10 else x)}

    assert sb.check(forward, backward, shapes={"x": ("T",)}).scope != "all sizes"


def test_check_looks_where_a_loop_is_not_empty():
    assert sb.check(late_squares, late_slopes(3), shapes=ROWS).status == "REFUTED"


def test_assert_proved_asks_whether_stated_sizes_do():
    with pytest.raises(AssertionError) as caught:
        sb.assert_proved(late_squares, late_slopes(2), shapes=ROWS)
    assert "stated_sizes=True" in str(caught.value)
    sb.assert_proved(late_squares, late_slopes(2), shapes=ROWS, stated_sizes=True)


def test_assert_proved_asks_nothing_about_a_proof_for_all_sizes():
    sb.assert_proved(lambda x: x**2, lambda dout, x: {"x": 2 * x * dout}, shapes=ROWS)


def hinge(W, X, y):
    loss = 0.0
    for i in range(X.shape[0]):
        scores = X[i] @ W
        for j in range(W.shape[1]):
            if j != y[i]:
                margin = scores[j] - scores[y[i]] + 1
                if margin < 0:
                    break
                loss += margin
    return loss / X.shape[0]


def hinge_without_the_label(W, X, y):
    dW = np.zeros_like(W)
    for i in range(X.shape[0]):
        scores = X[i] @ W
        for j in range(W.shape[1]):
            if j != y[i]:
                if scores[j] - scores[y[i]] + 1 < 0:
                    break
                dW[:, j] += X[i]
    return {"W": dW / X.shape[0]}


def test_an_axis_of_length_one_proves_nothing_alone():
    shapes = {"W": ("D", "C"), "X": ("N", "D"), "y": ("N",)}
    verdict = sb.check(hinge, hinge_without_the_label, shapes=shapes, assume={"y": "labels:C"})
    assert verdict.status == "UNDECIDED"
    assert "proves nothing alone" in verdict.reason and "left out" in verdict.reason


def untraced_later(x):
    total = 0.0 * x[0]
    for t in range(x.shape[0]):
        total = total + (np.linalg.svd(x)[1].sum() if t >= 2 else x[t])
    return total


def test_sizes_at_which_nothing_could_be_followed_are_told_and_count():
    def backward(dout, x):
        dx = np.zeros_like(x)
        for t in range(min(2, x.shape[0])):
            dx[t] = dout
        return {"x": dx}

    verdict = sb.check(untraced_later, backward, shapes=ROWS)
    assert verdict.status == "UNDECIDED"
    assert any("left out: T = 3" in note and "np.linalg.svd" in note for note in verdict.notes)


def even(x):
    assert x.shape[0] % 2 == 0, "an even number of rows is needed"
    total = 0.0 * x[0]
    for t in range(x.shape[0]):
        total = total + x[t] ** 2
    return total


def test_sizes_that_the_functions_refuse_are_left_out():
    def backward(dout, x):
        dx = np.zeros_like(x)
        for t in range(x.shape[0]):
            dx[t] = 2 * x[t] * dout
        return {"x": dx}

    verdict = sb.check(even, backward, shapes=ROWS)
    assert verdict.status == "PROVED"
    assert "of sizes with T%2 == 0: at others the forward raises AssertionError" in verdict.notes


def test_a_cure_found_at_stated_sizes_says_at_which():
    verdict = sb.check(late_squares, late_slopes(3), shapes=ROWS)
    if verdict.cure:
        assert "(proved, T = " in str(verdict)
    assert not any(line.code for line in verdict.cured)


# Code that handles what lies outside an axis.


def sixth_or_first(x):
    try:
        chosen = x[5]
    except IndexError:
        chosen = x[0]
    return chosen * x.sum()


def slope_of_sixth_or_first(dout, x, place=5):
    try:
        chosen = x[place]
    except IndexError:
        place = 0
        chosen = x[place]
    dx = np.ones_like(x) * dout * chosen
    dx[place] += dout * x.sum()
    return {"x": dx}


def slope_of_the_first(dout, x):
    dx = np.ones_like(x) * dout * x[0]
    dx[0] += dout * x.sum()
    return {"x": dx}


@pytest.mark.parametrize(
    ("shape", "where", "scope"),
    [
        ((3,), None, "the sizes given"),
        ((8,), None, "the sizes given"),
        (("N",), "N >= 6", "all sizes"),
        (("N",), "N <= 5", "all sizes"),
        (("N",), None, "the stated sizes N = 2 and N = 3 and N = 4 alone; every size of the other axes"),
    ],
)
def test_code_may_catch_an_index_outside_an_axis(shape, where, scope):
    verdict = sb.check(sixth_or_first, slope_of_sixth_or_first, shapes={"x": shape}, where=where)
    assert (verdict.status, verdict.scope) == ("PROVED", scope)


@pytest.mark.parametrize(("shape", "status"), [((3,), "PROVED"), ((6,), "REFUTED"), (("N",), "REFUTED")])
def test_a_handler_is_entered_where_the_index_is_outside_alone(shape, status):
    where = None if isinstance(shape[0], int) else "N >= 6"
    assert sb.check(sixth_or_first, slope_of_the_first, shapes={"x": shape}, where=where).status == status


def until_the_end(x):
    total, place = 0.0, 0
    while True:
        try:
            total = total + place * x[place] ** 2
        except IndexError:
            return total
        place += 1


def some_or_all(x):
    try:
        chosen = x[[0, -4]]
    except IndexError:
        chosen = x
    return chosen.sum()


def written_or_not(x):
    y = x.copy()
    try:
        y[np.array([[1, 3]])] = 0
    except IndexError:
        y[0] = 0
    return y.sum()


def of_two_axes(x):
    try:
        chosen = x[:, 0]
    except IndexError:
        chosen = x
    return chosen.sum()


HANDLED = {
    "a loop until the end": (until_the_end, lambda x: 2 * np.arange(x.shape[0]) * x),
    "an array of places": (some_or_all, lambda x: np.ones(3)),
    "written to an array of places": (written_or_not, lambda x: np.array([0.0, 1, 1])),
    "too many subscripts": (of_two_axes, lambda x: np.ones(3)),
}


@pytest.mark.parametrize("name", HANDLED)
def test_code_may_catch_what_numpy_says_of_any_subscript(name):
    forward, slope = HANDLED[name]
    assert sb.check(forward, lambda x: {"x": slope(x)}, shapes={"x": (3,)}).status == "PROVED"
    assert sb.check(forward, lambda x: {"x": slope(x) + 1}, shapes={"x": (3,)}).status == "REFUTED"


def test_an_index_outside_an_axis_restricts_the_sizes_or_is_a_fault():
    def sixth(x):
        return x[5]

    def backward(dout, x):
        dx = np.zeros_like(x)
        dx[5] = dout
        return {"x": dx}

    verdict = sb.check(sixth, backward, shapes={"x": ("N",)})
    assert verdict.scope.startswith("the stated sizes N = 6 and N = 7")
    assert any("index 5 is out of bounds for axis 0 with size 3" in note for note in verdict.notes)
    small = sb.check(sixth, backward, shapes={"x": (3,)})
    assert small.status == "MALFORMED" and "index 5 is out of bounds for axis 0 with size 3" in small.reason


# Python's own numbers raise where NumPy's do not, at some sizes alone.

AT_SOME_SIZES = {
    "//": lambda n: 10 // (n - 5),
    "%": lambda n: 10 % (n - 5),
    "divmod": lambda n: divmod(10, n - 5),
    "/": lambda n: 1 / (n - 5),
    "a size over another": lambda n: n / (n - 5),
    "a float over a size": lambda n: 1.0 / (n - 5),
    "over half a size": lambda n: 1 / (n / 2 - 2.5),
    "a negative power": lambda n: (n - 5) ** -1,
    "an overflow": lambda n: 10.0 ** (70 * n),
    "math.sqrt": lambda n: math.sqrt(n - 5),
    "math.log": lambda n: math.log(n - 2),
    "math.pow": lambda n: math.pow(n - 5, -1),
    "math.exp": lambda n: math.exp(200 * n),
    "the step of a range": lambda n: range(0, 3, n - 5),
}


@pytest.mark.parametrize("name", AT_SOME_SIZES)
def test_an_exception_that_some_sizes_raise_is_not_overlooked_where_it_is_caught(name):
    def backward(dout, x):
        try:
            AT_SOME_SIZES[name](x.shape[0])
        except (ZeroDivisionError, ValueError, OverflowError):
            return {"x": dout}
        return {"x": 2 * dout}

    verdict = sb.check(lambda x: 2 * x, backward, shapes={"x": ("N",)})
    assert verdict.scope != "all sizes"
    assert verdict.status in ("REFUTED", "UNDECIDED")


def test_sizes_that_divide_are_no_doubt_where_nothing_is_raised():
    def factor(rows, columns):
        return 1 / rows + rows**0.5 / columns + 1.0 / (rows * columns) + math.sqrt(2.0) + rows // columns + rows**-0.5

    def forward(x):
        with np.errstate(divide="ignore"):
            return x * factor(*x.shape)

    def backward(dout, x):
        with np.errstate(divide="ignore"):
            return {"x": dout * factor(*x.shape)}

    verdict = sb.check(forward, backward, shapes={"x": ("N", "D")})
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes")


def test_a_division_by_a_number_of_pythons_own_that_data_decide_is_refused_where_it_is_caught():
    def forward(x):
        try:
            return x * (1 / float(np.maximum(x[0], 0)))
        except ZeroDivisionError:
            return x

    verdict = sb.check(forward, lambda dout, x: {"x": dout}, shapes={"x": ("N",)})
    assert verdict.status == "UNDECIDED"
    assert "where an exception may be caught" in verdict.reason


def slopes_unless(raises, kinds=ValueError):
    """2*x where `raises` does, 5*x where it does not."""

    def backward(dout, x):
        try:
            raises(x)
            factor = 5
        except kinds:
            factor = 2
        return {"x": factor * x * dout}

    return backward


MISFITS = [
    (lambda x: x.reshape(-1, 7), ValueError),
    (lambda x: x @ np.ones((3, 4)), ValueError),
    (lambda x: x + np.ones(3), ValueError),
    (lambda x: np.split(x, 3, axis=1), ValueError),
    (lambda x: np.concatenate([x, np.ones((1, 3))]), ValueError),
    (lambda x: x[np.ones((3, 3), dtype=bool)], IndexError),
]


@pytest.mark.parametrize("raises, kind", MISFITS)
def test_check_lets_code_catch_shapes_that_do_not_fit(raises, kind):
    with pytest.raises(kind):
        raises(np.ones((2, 4)))
    raises(np.ones((3, 3)) if kind is IndexError else np.ones((7, 3)))
    verdict = sb.check(lambda x: x**2, slopes_unless(raises, kind), shapes=ROWS, seconds=60)
    assert verdict.status == "REFUTED" or not verdict.for_all_sizes
    assert verdict.status != "MALFORMED"


def test_check_sees_the_branch_of_a_caught_misfit():
    assert sb.check(lambda x: x**2, slopes_unless(lambda x: x + np.ones(3)), shapes=ROWS).status == "REFUTED"
    fitting = sb.check(lambda x: x**2, slopes_unless(lambda x: x + np.ones(3)), shapes={"x": ("T", 5)})
    assert fitting.status == "PROVED"


def test_check_calls_a_misfit_that_nobody_catches_malformed():
    verdict = sb.check(lambda x: x @ np.ones((3, 4)), lambda dout, x: {"x": dout}, shapes={"x": ("T", 5)})
    assert verdict.status == "MALFORMED"


def thirds(x):
    parts = np.split(x, 3, axis=1)
    return 2 * parts[0] + parts[2]


def thirds_back(dout, x):
    return {"x": np.concatenate([2 * dout, 0 * dout, dout], axis=1)}


def test_check_leaves_out_sizes_that_the_functions_refuse():
    verdict = sb.check(thirds, thirds_back, shapes=ROWS)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes")
    assert "of sizes with D%3 == 0: at others the forward raises ValueError" in verdict.notes
    assert sb.check(thirds, thirds_back, shapes={"x": ("T", 7)}).status == "MALFORMED"


def uneven(x):
    parts = np.array_split(x, 3, axis=1)
    return 2 * parts[0].sum(axis=1) + parts[2].sum(axis=1)


def uneven_back(dout, x):
    dx = np.zeros_like(x)
    parts = np.array_split(dx, 3, axis=1)
    parts[0][...], parts[2][...] = 2 * dout[:, None], dout[:, None]
    return {"x": dx}


@pytest.mark.parametrize("width", [3, 7, 8])
def test_array_split_makes_the_first_parts_longer(width):
    assert sb.check(uneven, uneven_back, shapes={"x": ("T", width)}).status == "PROVED"
