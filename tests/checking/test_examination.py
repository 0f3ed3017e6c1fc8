"""Two sides as numbers at one point: what counts as different, how far apart they are, and which entries are asked."""

import itertools
import math
import random
from contextlib import nullcontext
from fractions import Fraction
from types import SimpleNamespace

import flint
import numpy as np
import pytest

from symbackprop.checking import trace_agreement
from symbackprop.checking.proof_search import Sides
from symbackprop.checking.question import Examination, Examiner, Question, _exists, _lost, _places, _some, slopes
from symbackprop.errors import MalformedError
from symbackprop.evaluation.exact import Evaluator
from symbackprop.evaluation.number_types import FLOAT, Missing, ball, dual
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    Entry,
    Index,
    Symbol,
    SymmetricTensor,
    Tensor,
    add,
    apply,
    contraction,
    multiply,
    number,
    power,
)
from symbackprop.expression.functions import FUNCTIONS
from symbackprop.expression.program import Equation, Program

N, M = Symbol("N", "size"), Symbol("M", "size")
n, m = Index("n", N), Index("m", M)
X, W, H, OUT = Tensor("x", (N, M)), Tensor("w", (M,)), Tensor("h", (N, M)), Tensor("out", (N,))
GONE = Missing("divides by zero")


def examined(claimed, correct, negligible=0.0, field=None):
    point = Point({}, {}, {})
    return Examination(point, field or ball(128), claimed, correct, {}, negligible)


def side(values):
    return {(k,): v if isinstance(v, Missing) else flint.arb(v) for k, v in enumerate(values)}


VALUES = (0.0, 1.0, -2.0, 0.5, 3.0, -0.25, 100.0)


@pytest.mark.parametrize("seed", range(40))
def test_the_gap_is_the_largest_difference_beside_the_largest_value(seed):
    r = random.Random(seed)
    correct = [r.choice(VALUES) for _ in range(4)]
    claimed = [v if r.random() < 0.5 else r.choice(VALUES) for v in correct]
    found = examined({"x": side(claimed), "y": side(correct)}, {"x": side(correct), "y": side(correct)})
    gaps = [abs(a - b) for a, b in zip(claimed, correct, strict=True)]
    assert found.disagreements() == (["x"] if any(gaps) else [])
    size, where = found.gap("x")
    if any(gaps):
        assert size == pytest.approx(max(gaps) / max(1e-3, *map(abs, correct)))
        assert gaps[where[0]] == max(gaps)
        assert found.worst("x") == claimed[where[0]]
    else:
        assert (size, where) == (0.0, ()) and math.isnan(found.worst("x"))
    assert found.gap("y") == (0.0, ()) and math.isnan(found.worst("y"))
    assert found.finite() and found.tells()


def test_what_has_no_value_differs_from_what_has_one_and_from_nothing_else():
    one = examined({"x": side([GONE, 1.0])}, {"x": side([2.0, 1.0])})
    assert one.disagreements() == ["x"] and not one.finite() and one.tells()
    assert one.gap("x")[1] == (0,) and one.gap("x")[0] == math.inf and math.isnan(one.worst("x"))
    both = examined({"x": side([GONE, 1.0])}, {"x": side([GONE, 1.0])})
    assert both.disagreements() == [] and not both.finite() and both.tells()
    nowhere = examined({"x": side([1.0]), "y": side([1.0])}, {"x": side([1.0]), "y": side([GONE])})
    assert nowhere.disagreements() == [] and not nowhere.tells()
    infinite = examined({"x": side([math.inf])}, {"x": side([1.0])})
    assert infinite.disagreements() == [] and not infinite.finite()


@pytest.mark.parametrize(
    ("gap", "negligible", "told"), [(0.5, 0.0, True), (0.5, 1.0, False), (1.0, 1.0, False), (1.5, 1.0, True)]
)
def test_differences_up_to_what_is_negligible_show_nothing(gap, negligible, told):
    found = examined({"x": side([1.0 + gap])}, {"x": side([1.0])}, negligible)
    assert (found.disagreements() == ["x"]) is told


def test_overlapping_enclosures_do_not_differ_and_wide_ones_are_vague():
    wide = flint.arb(1, 0.5)
    assert not examined({"x": {(0,): wide}}, {"x": side([1.25])}).disagreements()
    assert examined({"x": {(0,): wide}}, {"x": side([1.25])}).vague()
    assert examined({"x": {(0,): wide}}, {"x": side([1.75])}).disagreements() == ["x"]
    assert not examined({"x": side([1.0, 2.0])}, {"x": side([1.0, 3.0])}).vague()
    small = flint.arb(0, 2.0**-90)  # beside a value of 1 that is vague, at 80 bits it is not
    assert examined({"x": {(0,): small, (1,): flint.arb(1)}}, {"x": side([0.0, 1.0])}).vague()
    assert not examined({"x": {(0,): small, (1,): flint.arb(1)}}, {"x": side([0.0, 1.0])}).vague(80)
    assert examined({"x": side([math.nan])}, {"x": side([1.0])}).vague()
    assert not examined({"x": side([GONE])}, {"x": side([1.0])}).vague()


# The derivative.

PROGRAM = Program(
    (X, W),
    (
        Equation(H, (n, m), apply(FUNCTIONS["tanh"], multiply(Entry(X, (n, m)), Entry(W, (m,))))),
        Equation(OUT, (n,), contraction("k", M, lambda k: add(power(Entry(H, (n, k)), 2), Entry(W, (k,))))),
    ),
    (OUT, H),
)
UP, UP_H = Tensor("dout", (N,)), Tensor("dh", (N, M))


def cost(x, w, up, up_h):
    h = np.tanh(x * w)
    return (up * (h**2 + w).sum(1)).sum() + (up_h * h).sum()


def test_slopes_are_those_of_all_outputs_along_every_path():
    """With respect to inputs by complex steps; of a tensor in the middle by what is computed from it."""
    rng = np.random.default_rng(0)
    x, w, up, up_h = rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=2), rng.normal(size=(2, 3))
    sizes = {N: 2, M: 3}
    point = Point(sizes, {X: x, W: w, UP: up, UP_H: up_h})
    forward = Evaluator(PROGRAM, dual(FLOAT))
    _, found = slopes(forward, point, point.values(FLOAT), [X, W, H], (UP, UP_H))
    for tensor, array in ((X, x), (W, w)):
        for place in np.ndindex(*array.shape):
            moved = array.astype(complex)
            moved[place] += 1e-30j
            wanted = cost(moved if tensor is X else x, moved if tensor is W else w, up, up_h).imag / 1e-30
            assert float(found[tensor][place]) == pytest.approx(wanted)
    h = np.tanh(x * w)
    for place in np.ndindex(2, 3):
        assert float(found[H][place]) == pytest.approx(2 * h[place] * up[place[0]] + up_h[place])


def test_an_even_selection_of_entries_with_the_suspicious_one_is_asked():
    long = Tensor("long", (N,))
    program = Program((long, W), (Equation(OUT, (n,), multiply(number(2), Entry(long, (n,)))),), (OUT,))
    forward = Evaluator(program, dual(FLOAT))
    few = _places(forward, {N: 5, M: 2}, [long, W], {})
    assert [p for t, p in few if t is long] == [(k,) for k in range(5)] and [p for t, p in few if t is W] == [
        (0,),
        (1,),
    ]
    assert sorted(few.values()) == list(range(7))
    many = [p for _, p in _places(forward, {N: 100_000, M: 2}, [long], {})]
    steps = {b[0] - a[0] for a, b in itertools.pairwise(many)}
    assert 1 <= len(many) < 1000 and many[0] == (0,) and (len(steps) == 1 or len(many) == 1)
    told = [p for _, p in _places(forward, {N: 100_000, M: 2}, [long], {long: (4321,)})]
    assert told[0] == (4321,) and len(told) == len(set(told)) and set(told[1:]) <= set(many)
    assert [p for _, p in _places(forward, {N: 5, M: 2}, [long], {long: (3,)})] == [(k,) for k in range(5)]


def test_constants_are_what_both_sides_hold():
    gradient = Tensor("dw", (M,))
    claim = Program((X, W, UP, UP_H), (Equation(gradient, (m,), multiply(number(-3), Entry(W, (m,)))),), (gradient,))
    question = Question(PROGRAM, claim, {"w": (W, gradient)}, (UP, UP_H))
    assert {3.0, 2.0} <= set(question.constants) and question.constants == sorted(question.constants)
    assert 0.0 not in question.constants and question.infinities == []
    assert set(question.given) == {X, W, UP, UP_H}


# NumPy beside the equations.


@pytest.mark.parametrize(
    ("first", "others", "steady"),
    [
        ([1.0, 2.0], [[1.0, 2.0 + 1e-6]] * 3, True),
        ([1.0, 2.0], [[1.0, 2.0], [1.0, 2.1], [1.0, 2.0]], False),
        ([1.0, 2.0], [None] * 3, False),
        (None, [[1.0, 2.0]] * 3, False),
        (None, [None] * 3, True),
        ([1.0, math.nan], [[1.0, 5.0]] * 3, True),  # what has no value is not compared
        ([1.0, 2.0], [[1.0, math.nan]] * 3, False),
    ],
)
def test_what_a_rounding_error_changes_is_not_steady(monkeypatch, first, others, steady):
    found = iter([first, *(other for other in others for _ in ("inputs", "lines"))])
    answer = lambda *_: None if (a := next(found)) is None else {OUT: np.array(a)}  # noqa: E731
    monkeypatch.setattr(trace_agreement, "_evaluated", answer)
    monkeypatch.setattr(trace_agreement, "_enclosed", lambda *_: {})
    point = Point({N: 2}, {X: np.ones((2, 3))})
    assert trace_agreement._steady(SimpleNamespace(program=PROGRAM_OF_ONE), point) is steady


@pytest.mark.parametrize(("exact", "steady"), [(1.0, True), (1.0 + 1e-6, True), (1.1, False)])
def test_what_floats_do_not_hold_is_not_steady(monkeypatch, exact, steady):
    """A line that cancels within itself, lgamma(x + 1) - lgamma(x) at large x, need not answer to a nudge."""
    monkeypatch.setattr(trace_agreement, "_evaluated", lambda *_: {OUT: np.array([1.0, 1.0])})
    monkeypatch.setattr(trace_agreement, "_enclosed", lambda *_: {OUT: {(0,): exact, (1,): 1.0}})
    point = Point({N: 2}, {X: np.ones((2, 3))})
    assert trace_agreement._steady(SimpleNamespace(program=PROGRAM_OF_ONE), point) is steady


PROGRAM_OF_ONE = SimpleNamespace(outputs=(OUT,))


@pytest.mark.parametrize("seed", range(10))
def test_near_is_relative_to_the_largest(seed):
    rng = np.random.default_rng(seed)
    left = rng.normal(size=5) * 10.0 ** rng.integers(-6, 6)
    scale, place = np.abs(left).max(), rng.integers(5)
    for factor, near in ((0.9, True), (1.1, False), (0.0, True), (-1.1, False)):
        moved = left.copy()
        moved[place] += factor * trace_agreement.CLOSE * scale
        assert trace_agreement._near(left, moved) is near


@pytest.mark.parametrize(
    ("asked", "lengths", "missing"),
    [
        ([], 3, [N, M]),
        ([{N: 1, M: 2}], 1, []),
        ([{N: 1, M: 2}, {N: 2, M: 2}, {N: 3, M: 2}], 3, []),  # M has no other length
        ([{N: 1, M: 2}, {N: 2, M: 2}], 3, [N]),
        ([{N: 1, M: 2}, {N: 1, M: 2}], 2, [N]),
    ],
)
def test_sizes_at_which_numpy_has_not_been_asked(asked, lengths, missing):
    telling = [{N: k, M: 2} for k in (1, 2, 3, 4)]
    assert trace_agreement._missing(asked, telling, lengths) == missing


@pytest.mark.parametrize("stopped", ["", "ValueError"])
def test_why_numpy_could_not_be_asked_is_told(monkeypatch, stopped):
    def forward(x):
        return x

    def backward(dout, x):
        return dout

    telling = [{N: k} for k in (1, 2, 3)]
    monkeypatch.setattr(trace_agreement, "_too_large", lambda *_: "")
    told = lambda asked, sizes=telling, back=backward: trace_agreement._unasked(  # noqa: E731
        SimpleNamespace(forward=forward, backward=back, asked=asked, stopped=stopped),
        None,
        sizes,
        3,
    )
    assert told(telling) == ""
    assert "no sizes were found that are small enough" in told([], [])
    assert ("forward raises ValueError" if stopped else "no point was found at which all values are finite") in told([])
    partly = told(telling[:1])
    assert (
        "but at N = 1" in partly and ("elsewhere it raises ValueError" if stopped else "elsewhere no finite") in partly
    )
    assert "forward and backward do what their lines say" in partly
    assert "forward does what its lines say" in told([], back=forward)


@pytest.mark.parametrize("fixed", [True, False])
def test_axes_are_written_out_where_their_lengths_are_given(fixed):
    sides = Sides(Question(PROGRAM, PROGRAM, {}, (UP, UP_H)), PROGRAM, PROGRAM, fixed)
    assert (sides.expanded > 1) is fixed and (sides.expanded == 0) is not fixed


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ([1.0, 2.0], [1.0, 2.0], False),
        ([1.0, 2.0], [1.0, 2.5], True),
        ([1.0, math.nan], [1.0, math.nan], False),
        (None, [1.0, 2.0], False),  # nothing can be computed there: nothing is compared
        ([1.0, 2.0], None, False),
    ],
)
def test_what_an_unwritten_array_holds_is_told_where_a_result_depends_on_it(monkeypatch, first, second, told):
    found = iter([first, second])
    answer = lambda *_: None if (a := next(found)) is None else {OUT: np.array(a)}  # noqa: E731
    monkeypatch.setattr(trace_agreement, "_evaluated", answer)
    monkeypatch.setattr(trace_agreement, "unwritten", lambda program: [])
    with pytest.raises(MalformedError, match=r"np\.empty") if told else nullcontext():
        trace_agreement._only_written((SimpleNamespace(program=PROGRAM_OF_ONE),), Point({N: 2}, {}))


@pytest.mark.parametrize("seed", range(30))
def test_of_many_tensors_some_are_examined_evenly_half_of_them_those_that_are_told(seed):
    r = random.Random(seed)
    wanted = [Tensor(f"t{k}", ()) for k in range(r.randint(1, 40))]
    told = r.sample(wanted, r.randint(0, len(wanted)))
    most = 2 * r.randint(1, 25)
    found = _some(wanted, set(told), most)
    if len(wanted) <= most:
        assert found == wanted
        return
    assert 1 <= len(found) <= most and found == [t for t in wanted if t in found]
    own = [t for t in found if t in told]
    if told:
        assert own and (len(told) > most // 2 or set(told) <= set(found))
    rest = [k for k, t in enumerate(w for w in wanted if w not in told) if t in found]
    if not told and len(rest) > 1:
        assert len({b - a for a, b in itertools.pairwise(rest)}) == 1 and rest[0] == 0


def test_the_slope_of_what_has_no_value_is_lost_along_every_way_that_moves_it():
    field = dual(ball(64))
    slope = field.unit(1, 3) * flint.arb(2)
    lost = _lost(slope, field.unit)
    assert [bool(lost[0, k].is_finite()) for k in range(3)] == [True, False, True] and lost[0, 0] == 0
    floats = dual(FLOAT)
    lost = _lost(np.asarray([[0.0, 2.0, math.nan]]), floats.unit)
    assert [math.isnan(float(lost[0, k])) for k in range(3)] == [False, True, True]
    assert _lost(GONE, field.unit) is GONE
    values = [1.0, flint.arb(1), math.inf, math.nan, flint.arb("inf"), GONE]
    assert [_exists(v) for v in values] == [True, True, False, False, False, False]


def test_a_question_has_an_upstream_gradient_for_each_output_or_none():
    gradient = Tensor("dw", (M,))
    claim = Program((X, W, UP, UP_H), (Equation(gradient, (m,), Entry(W, (m,))),), (gradient,))
    for upstream in ((UP, UP_H), ()):
        assert Question(PROGRAM, claim, {"w": (W, gradient)}, upstream).upstream == upstream
    with pytest.raises(MalformedError, match="1 upstream gradients for 2 outputs"):
        Question(PROGRAM, claim, {"w": (W, gradient)}, (UP,))


def test_numbers_that_no_float_is_are_known_by_the_float_that_the_code_holds():
    gradient = Tensor("dw", (M,))
    numbers = [Fraction(1, 10), Fraction(1, 2), Fraction(10) ** 400, Fraction(-1, 3), Fraction(10000)]
    value = add(*(multiply(number(c), power(Entry(W, (m,)), k)) for k, c in enumerate(numbers, start=1)))
    claim = Program((W,), (Equation(gradient, (m,), value),), (gradient,))
    question = Question(PROGRAM, claim, {"w": (W, gradient)}, (UP, UP_H))
    assert question.rounded[0.1] == Fraction(1, 10) and question.rounded[-0.1] == Fraction(-1, 10)
    assert (
        question.rounded[1 / 3] == Fraction(1, 3) and 0.5 not in question.rounded and math.inf not in question.rounded
    )
    assert question.infinities == [10000.0]


def test_of_a_symmetric_matrix_the_symmetric_part_is_examined():
    examiner = SimpleNamespace(base=ball(64))
    table = {
        (b, k, n_): flint.arb(100 * b + 10 * k + n_) for b in range(2) for k in range(2) for n_ in range(3) if k < 2
    }
    del table[0, 0, 2], table[1, 0, 2]  # an entry of a long matrix that is not among those examined
    symmetric = SymmetricTensor("C", (M, N, N))
    judged = Examiner._judged(examiner, symmetric, table)
    assert set(judged) == {p for p in table if (p[0], p[2], p[1]) in table}
    assert all(bool(v == (table[b, k, n_] + table[b, n_, k]) / 2) for (b, k, n_), v in judged.items())
    assert Examiner._judged(examiner, X, table) is table


def test_a_point_gives_what_nothing_determines():
    """The true gradients that a claim speaks of, and what the forward program defines, are worked out."""
    told, own, gradient = Tensor("dh_true", (N, M)), Tensor("c", (M,)), Tensor("dw", (M,))
    value = multiply(Entry(own, (m,)), contraction("k", N, lambda k: multiply(Entry(told, (k, m)), Entry(H, (k, m)))))
    claim = Program((X, W, H, told, own), (Equation(gradient, (m,), value),), (gradient,))
    question = Question(PROGRAM, claim, {"w": (W, gradient)}, (UP, UP_H), truths={told: H})
    assert question.given == (X, W, UP, UP_H, own)
