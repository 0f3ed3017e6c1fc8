"""NumPy beside the equations, each step by itself: where it is asked, what counts as the same, and what is said."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from symbackprop.checking import trace_agreement as module
from symbackprop.checking.regions import ANY, Region
from symbackprop.checking.trace_agreement import TraceDiffersError
from symbackprop.errors import MalformedError, UnsupportedError
from symbackprop.evaluation.exact import Evaluator
from symbackprop.evaluation.number_types import FLOAT, Missing, TooCloseError, ball
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, apply, multiply, number
from symbackprop.expression.functions import EXP, FUNCTIONS
from symbackprop.expression.program import Equation, Program
from symbackprop.frontends.numpy.traced import trace_pair

N, M = Symbol("N", "size"), Symbol("M", "size")
n = Index("n", N)
X, OUT, UP = Tensor("x", (N,)), Tensor("out", (N,)), Tensor("dout", (N,))
GONE = Missing("divides by zero")
TWICE = Program((X,), (Equation(OUT, (n,), multiply(number(2), Entry(X, (n,)))),), (OUT,))
NOTHING = Program((), (), ())


def twice(x):
    return 2.0 * x


def back(dout, x):
    return {"x": 2.0 * dout}


def pair_of(forward=twice, backward=back, sizes=None, floor=0.0, asked=(), **more):
    traced = SimpleNamespace(
        sizes=sizes or {}, forward=SimpleNamespace(inputs=(X,), outputs=(OUT,)), upstream=(UP,), gradients={"x": OUT}
    )
    evaluators = (SimpleNamespace(program=TWICE), SimpleNamespace(program=NOTHING))
    parts = {"forward": forward, "backward": backward, "traced": traced, "roles": {"dout": "upstream"},
             "programs": (TWICE, NOTHING), "evaluators": evaluators, "floor": floor, "asked": list(asked), "stopped": "", "enclosed": lambda *_: {}}  # fmt: skip
    return SimpleNamespace(**{**parts, **more})


CHOICES = [{N: k, M: k % 2 + 2} for k in (3, 4, 5, 1, 2, 6)]


def sampler_of(choices=CHOICES, entries=lambda sizes: 10 * sizes[N]):
    return SimpleNamespace(
        size_choices=lambda: choices, entries=entries, point=lambda sizes: ("at", sizes[N]), real_inputs=(X,),
        moved=lambda point, assignment: (*point, assignment), question=SimpleNamespace(constants=[1.0]), regions=None,
    )  # fmt: skip


# Where it is asked.


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("works", ["all", "none", "odd", "large"])
def test_numpy_is_asked_at_several_sizes_and_lengths_of_each_axis(monkeypatch, fixed, works):
    tried, sought = [], []
    good = {"all": lambda k: True, "none": lambda k: False, "odd": lambda k: k % 2, "large": lambda k: k > 4}[works]

    def ask(pair, sampler, sizes):
        tried.append(sizes[N])
        if good(sizes[N]):
            pair.asked.append(sizes)

    monkeypatch.setattr(module, "_ask_at", ask)
    monkeypatch.setattr(module, "_seek", lambda *_: sought.append(1))
    monkeypatch.setattr(module, "_ask_with_all_digits", lambda *_: "")
    monkeypatch.setattr(module, "_extremes", lambda *_: "")
    monkeypatch.setattr(module, "unwritten", lambda program: [])
    monkeypatch.setattr(module, "_too_large", lambda *_: "")
    pair = pair_of(sizes={"N": 3} if fixed else None)
    told = module._examine(pair, sampler_of(), 2)
    assert bool(sought) is (works == "none")
    wanted = {
        ("all", True): [3, 4], ("all", False): [3, 4, 5], ("none", True): [3, 4, 5, 1, 2, 6], ("none", False): [3, 4, 5, 1, 2, 6],
        ("odd", True): [3, 4, 1], ("odd", False): [3, 4, 5, 1], ("large", True): [3, 4, 5, 6], ("large", False): [3, 4, 5, 1, 2, 6],
    }  # fmt: skip
    lengths = 1 if fixed else 3
    enough = {s: len({a[s] for a in pair.asked}) >= min(lengths, {N: 6, M: 2}[s]) for s in (N, M)}
    assert (told == "") is all(enough.values())
    if works in ("all", "none"):
        assert tried == wanted[works, fixed]
    else:
        assert tried[:2] == [3, 4] and (set(tried) == {3, 4, 5, 1, 2, 6} or all(enough.values()))


def test_points_that_are_too_large_are_left_out(monkeypatch):
    tried, given = [], []
    monkeypatch.setattr(
        module, "_ask_at", lambda pair, sampler, sizes: tried.append(sizes[N]) or pair.asked.append(sizes)
    )
    monkeypatch.setattr(module, "_ask_with_all_digits", lambda pair, sampler, sizes: given.append(sizes[N]) or "")
    monkeypatch.setattr(module, "_extremes", lambda pair, sampler, sizes: given.append(sizes[N]) or "by rounding")
    monkeypatch.setattr(module, "unwritten", lambda program: [])
    sampler = sampler_of(
        entries=lambda sizes: {3: module.LARGEST + 1, 4: module.LARGEST, 5: 150, 1: 250, 2: 40, 6: 90}[sizes[N]]
    )
    assert module._examine(pair_of(), sampler, 6) == "by rounding"
    assert tried == [4, 5, 1, 2, 6] and given == [5, 2], "of those the largest of few numbers, and the smallest"
    nothing = sampler_of(entries=lambda sizes: module.LARGEST + 1)
    assert "no sizes were found" in module._examine(pair_of(), nothing, 6)
    few = sampler_of(choices=[{N: 3}], entries=lambda sizes: module.SEVERAL + 1)
    given.clear()
    module._examine(pair_of(sizes={"N": 3}), few, 1)
    assert given == [3, 3]


def test_unwritten_arrays_are_looked_at_wherever_there_are_any(monkeypatch):
    looked = []
    monkeypatch.setattr(module, "_ask_at", lambda pair, sampler, sizes: pair.asked.append(sizes))
    monkeypatch.setattr(module, "_ask_with_all_digits", lambda *_: "digits")
    monkeypatch.setattr(module, "_extremes", lambda *_: "extremes")
    monkeypatch.setattr(module, "_only_written", lambda programs, point: looked.append(point))
    for found in ([], [1]):
        monkeypatch.setattr(module, "unwritten", lambda program, found=found: found if program is NOTHING else [])
        assert module._examine(pair_of(), sampler_of(), 6) == "digits"
        assert len(looked) == (len(CHOICES) if found else 0)


@pytest.mark.parametrize("answers", list(itertools.product((True, False), repeat=4)))
def test_a_choice_of_sizes_has_a_few_points_and_a_small_one(monkeypatch, answers):
    shown = iter(answers)
    monkeypatch.setattr(module, "small", lambda point, question: point)
    monkeypatch.setattr(module, "_as_arrays", lambda pair, point: point)
    monkeypatch.setattr(module, "_compare", lambda pair, point, needed: point is needed and next(shown))
    pair = pair_of()
    module._ask_at(pair, sampler_of(), {N: 3})
    assert pair.asked == ([{N: 3}] if any(answers) else [])


@pytest.mark.parametrize("finite", [True, False])
@pytest.mark.parametrize("same", [True, False])
def test_finite_values_are_sought_and_asked_for_elsewhere(monkeypatch, finite, same):
    asked, sampler = [], sampler_of()
    monkeypatch.setattr(module, "assignments", lambda *_: iter(range(1000)))
    monkeypatch.setattr(module, "_forward_is_finite", lambda pair, point: finite and point[2] == 7)
    monkeypatch.setattr(module, "_compare", lambda pair, point: same)
    monkeypatch.setattr(module, "_ask_at", lambda pair, sampler, sizes: asked.append(sizes))
    module._seek(pair_of(), sampler, CHOICES)
    assert (sampler.regions == [7]) is (finite and same)
    assert asked == (CHOICES[: 2 * module.CHOICES] if finite and same else [])


@pytest.mark.parametrize(
    ("result", "finite"),
    [
        ([1.0, 2.0], True),
        ([1.0, math.inf], False),
        ((np.ones(2), [math.nan]), False),
        ({"a": 1.0}, True),
        (ValueError(), False),
    ],
)
def test_a_forward_is_finite_where_all_that_it_returns_is(result, finite):
    def forward(x):
        if isinstance(result, Exception):
            raise result
        return result

    assert module._forward_is_finite(pair_of(forward), Point({N: 2}, {X: np.ones(2)})) is finite


@pytest.mark.parametrize("compares", [True, False])
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_inputs_with_all_their_digits_show_what_rounding_decides(monkeypatch, compares, same, asked):
    points = []
    monkeypatch.setattr(module, "_as_arrays", lambda pair, point: {})
    monkeypatch.setattr(module, "_compare", lambda pair, point, extreme, needed: points.append(point) or asked)
    monkeypatch.setattr(module, "RoundedBranches", lambda program: SimpleNamespace(sides=compares))
    monkeypatch.setattr(module, "_as_real_numbers", lambda *_: same)
    sampler = sampler_of()
    sampler.point = lambda sizes: Point({N: 2}, {X: np.array([1.0, -0.5])})
    told = module._ask_with_all_digits(pair_of(), sampler, {N: 3})
    assert bool(told) is (compares and not same and asked)
    assert len(points) == (1 if told else min(len(module.SCALES), 1 + module.SEVERAL // 30))
    for point, scale in zip(points, module.SCALES, strict=False):
        moved = point.inputs[X] / np.array([1.0, -0.5]) / scale
        assert ((moved <= 1) & (moved >= 1 - module.ALL_DIGITS)).all() and (moved < 1).any()


def test_what_no_digit_tells_apart_is_equal():
    def compare(left, right):
        if left == right == "close":
            raise TooCloseError("near")
        return 5

    field = module._or_equal(ball(64))
    assert field.compare(field.number(1), field.number(2)) != 0
    loose = module._or_equal(module.replace(ball(64), compare=compare))
    assert loose.compare("close", "close") == 0 and loose.compare(1, 2) == 5


@pytest.mark.parametrize("told", ["", "x == 0"])
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_either_side_of_each_constant_and_of_every_magnitude_is_asked(monkeypatch, told, same, asked):
    seen = []
    monkeypatch.setattr(module, "numbers_written", lambda f: {3.0, 2.0**41} if f is twice else {5.0, 2.0**40})
    monkeypatch.setattr(
        module,
        "regions",
        lambda constants: seen.append(constants) or [ANY, *(Region(f"beside {c:g}", 1, c) for c in constants)],
    )
    monkeypatch.setattr(
        module,
        "RoundedBranches",
        lambda program: SimpleNamespace(
            at=lambda point: told if program is NOTHING else "", expect=lambda points: expected.append(len(points))
        ),
    )
    points, expected = [], []

    def compare(pair, point, extreme, needed):
        assert needed == f"at {point[2][X].name}"
        points.append(point[2][X].name)
        return asked

    monkeypatch.setattr(module, "_side_by_side", lambda pair, points: [f"at {p[2][X].name}" for p in points])
    monkeypatch.setattr(module, "_compare", compare)
    monkeypatch.setattr(module, "_as_real_numbers", lambda *_: same)
    answer = module._extremes(pair_of(), sampler_of(), {N: 3})
    assert seen == [[1.0, 3.0, 5.0]], "what is larger than the largest magnitude is left out"
    assert bool(answer) is (asked and bool(told) and not same)
    assert len(expected) == 2 and expected[0] >= len(points), "both passes know at which points they will be asked"
    if answer:
        assert told in answer and points[-1] in answer and len(points) == 1
    else:
        assert points[:3] == ["beside 1", "beside 3", "beside 5"]
        assert set(points[3:]) == {f"near {m:g}" for m in (*module.MAGNITUDES, *module.SATURATED)} | {
            f"near {-m:g}" for m in module.SATURATED
        }
    points.clear()
    module._extremes(pair_of(), sampler_of(entries=lambda sizes: module.EXTREME_ENTRIES), {N: 3})
    assert len(points) == (1 if answer else 8), "of large points the first few"


def traced_pair(forward, backward, **shapes):
    traced = trace_pair(forward, backward, shapes, {}, None, None, seconds=20)
    roles = module.roles_as_traced(forward, backward, list(shapes), traced.upstream)
    return module._Pair(forward, backward, traced, roles, 1e-4)


def shifted(x, w):
    return np.tanh(x @ w) + 2.0 ** x.shape[0]


def shifted_back(dout, x, w):
    d = dout * (1 - np.tanh(x @ w) ** 2)
    return {"x": d @ w.T, "w": x.T @ d}


def points_of(pair, count):
    random = np.random.default_rng(3)
    tensors = (*pair.traced.forward.inputs, *pair.traced.upstream)
    sizes = {"N": 2, "D": 3, "E": 4}
    symbols = {s: sizes[s.name] for t in tensors for s in t.shape}
    return [
        Point(symbols, {t: random.normal(size=[symbols[s] for s in t.shape]) for t in tensors}) for _ in range(count)
    ]


def test_extreme_points_are_evaluated_side_by_side_as_the_referee_does():
    pair = traced_pair(shifted, shifted_back, x=("N", "D"), w=("D", "E"))
    points = points_of(pair, 3)
    for point, found in zip(points, module._side_by_side(pair, points), strict=True):
        for evaluator in pair.evaluators:
            for tensor, values in module._evaluated(evaluator, point).items():
                assert np.allclose(found[tensor], values, rtol=1e-12, atol=0)
    other = module.replace(points[1], parameters={Symbol("c"): 2.0})
    assert module._side_by_side(pair, [points[0], other]) == [{}, {}], "of other parameters the referee is asked"


def test_where_arrays_do_not_give_what_the_code_does_the_referee_is_asked(monkeypatch):
    pair = traced_pair(shifted, shifted_back, x=("N", "D"), w=("D", "E"))
    (point,) = points_of(pair, 1)
    (right,) = module._side_by_side(pair, [point])
    asked, referee = [], module._evaluated
    monkeypatch.setattr(module, "_evaluated", lambda *a: asked.append(a) or referee(*a))
    assert module._run_both(pair, point, right) and not asked
    for tensor in right:
        for value in (right[tensor] + 1, right[tensor] * np.nan, right[tensor][:1, :1]):
            asked.clear()
            assert module._run_both(pair, point, {**right, tensor: value}) and len(asked) == 2


def test_at_ordinary_points_arrays_are_asked_first_as_far_as_they_are_finite_all_the_way(monkeypatch):
    pair = traced_pair(shifted, shifted_back, x=("N", "D"), w=("D", "E"))
    (point,) = points_of(pair, 1)
    arrays, referee = module._as_arrays(pair, point), module._evaluated
    for evaluator in pair.evaluators:
        for tensor, values in referee(evaluator, point).items():
            assert np.allclose(arrays[tensor], values, rtol=1e-12, atol=0)
    asked = []
    monkeypatch.setattr(module, "_evaluated", lambda *a: asked.append(a) or referee(*a))
    module._ask_at(pair, SimpleNamespace(point=lambda sizes: point), point.sizes)
    assert pair.asked == [point.sizes] and not asked
    inverse = traced_pair(lambda x: 1 / (1 / x), lambda dout, x: {"x": dout}, x=("N",))
    (x,) = inverse.traced.forward.inputs
    at = Point({x.shape[0]: 2}, {t: np.array([2.0, 0.0]) for t in (x, *inverse.traced.upstream)})
    assert module._as_arrays(inverse, at) == {}, "1/(1/0) is 0 for floats alone"


def test_a_trace_that_differs_at_extreme_points_alone_is_found_though_arrays_are_asked_first():
    def forward(x):
        with np.errstate(all="ignore"):
            return x * x + (0.0 if float(np.abs(x).max()) < 2**19 else 1e30)

    pair = traced_pair(twice_of_square, back_of_square, x=("N",))
    (tensor,), (up,) = pair.traced.forward.inputs, pair.traced.upstream
    point = Point({tensor.shape[0]: 2}, {tensor: np.array([2.0**20, 3.0]), up: np.ones(2)})
    (needed,) = module._side_by_side(pair, [point])
    assert module._compare(pair, point, extreme=True, needed=needed)
    pair.forward = forward
    with pytest.raises(TraceDiffersError):
        module._compare(pair, point, extreme=True, needed=needed)


def twice_of_square(x):
    return x * x


def back_of_square(dout, x):
    return {"x": 2 * dout * x}


def test_of_programs_that_compute_with_integers_the_referee_is_asked():
    k, label = Tensor("k", (N,), "integer"), Entry(Tensor("k", (N,), "integer"), (n,))
    counted = Program((k,), (Equation(OUT, (n,), multiply(label, label)),), (OUT,))
    looked_up = Program((k, X), (Equation(OUT, (n,), Entry(X, (label,))),), (OUT,))
    assert module._counts(counted) and not module._counts(looked_up) and not module._counts(TWICE)


# What is the same.


@pytest.mark.parametrize(
    ("near", "exact", "floor", "same"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0, True),
        ([1.0, 2.0], [1.0, 2.19], 0.0, True),
        ([1.0, 2.0], [1.0, 2.3], 0.0, False),
        ([0.0, 2.0], [0.3, 2.0], 0.0, False),
        ([0.0, 2.0], [0.3, 2.0], 0.5, True),
        ([1.0, math.nan], [1.0, 2.0], 0.0, True),
        ([1.0, 5.0], [1.0, None], 0.0, True),
        ([1.0, 100.0], [math.inf, 100.0], 0.0, True),
    ],
)
def test_results_are_those_of_real_numbers_by_and_large(monkeypatch, near, exact, floor, same):
    monkeypatch.setattr(
        module, "_evaluated", lambda program, point: {OUT: np.array(near)} if program.program is TWICE else None
    )
    table = {(k,): GONE if v is None else v for k, v in enumerate(exact)}
    monkeypatch.setattr(module, "_enclosed", lambda program, point, balls: {OUT: table})
    assert module._as_real_numbers(pair_of(floor=floor), None) is same


@pytest.mark.parametrize("extreme", [True, False])
@pytest.mark.parametrize("outcome", [True, False, TraceDiffersError("differs"), MalformedError("fails")], ids=str)
@pytest.mark.parametrize("steady", [(True, True), (True, False), (False, False)])
def test_a_difference_counts_where_rounding_decides_nothing(monkeypatch, extreme, outcome, steady):
    answers = iter(steady)

    def both(pair, point, needed):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(module, "_run_both", both)
    monkeypatch.setattr(module, "_steady", lambda program, point: next(answers))
    raises = (isinstance(outcome, TraceDiffersError) and all(steady)) or (
        isinstance(outcome, MalformedError) and not extreme
    )
    if raises:
        with pytest.raises(type(outcome)):
            module._compare(pair_of(), None, extreme=extreme)
    else:
        assert module._compare(pair_of(), None, extreme=extreme) is (outcome is True)


def evaluator():
    return Evaluator(TWICE, FLOAT)


@pytest.mark.parametrize(
    ("given", "needed", "balls", "outcome"),
    [
        ([1.0, 2.0], [1.0, 2.0], None, True),
        ([1.0, 2.0 + 1.9e-4], [1.0, 2.0], None, True),
        ([1.0, 2.0 + 2.1e-4], [1.0, 2.0], None, TraceDiffersError),
        ([1.0, 3.0], [1.0, 2.0], [1.0, 3.0], True),  # floats of the equations went wrong: balls tell
        ([1.0, 3.0], [1.0, 2.0], [1.0, 2.0], TraceDiffersError),
        ([1.0, 2.0], [1.0, math.inf], None, False),
        ([1.0, math.inf], [1.0, 2.0], None, TraceDiffersError),
        ([math.nan, 2.0], [1.0, 2.0], None, MalformedError),
        ([math.nan, 2.0], [math.nan, 2.0], None, False),
        ([1.0, 2.0], [1.0, math.nan], [1.0, GONE], TraceDiffersError),  # a number where there certainly is none
        ([1.0, 2.0], [1.0, math.nan], [1.0, 2.0], False),
        ([1.0], [1.0, 2.0], None, TraceDiffersError),
        ([[1.0, 2.0]], [1.0, 2.0], None, TraceDiffersError),
    ],
)
def test_a_result_is_the_same_up_to_rounding(given, needed, balls, outcome):
    table = {} if balls is None else {(k,): v for k, v in enumerate(balls)}
    pair = pair_of(enclosed=lambda program, point: {OUT: table})
    work = lambda: module._same(  # noqa: E731
        pair, twice, evaluator(), Point({N: 2}, {X: np.ones(2)}), OUT, "out", np.array(given), np.array(needed)
    )
    if isinstance(outcome, bool):
        assert work() is outcome
    else:
        with pytest.raises(outcome):
            work()


def test_small_differences_beside_small_constants_count():
    def compared(floor):
        return module._same(
            pair_of(floor=floor),
            twice,
            evaluator(),
            Point({N: 1}, {X: np.ones(1)}),
            OUT,
            "out",
            np.array([1e-6]),
            np.array([2e-6]),
        )

    assert compared(1e-4) is True
    with pytest.raises(TraceDiffersError, match=r"out") as told:
        compared(0.0)
    assert "out[0]:  1e-06 by NumPy, 2e-06 as traced" in told.value.evidence[1]


@pytest.mark.parametrize("gamma", [True, False])
def test_gammas_are_read_at_positive_numbers_alone(gamma):
    of = [f for name, f in FUNCTIONS.items() if f in module.OF_POSITIVE[1:]]
    program = Program((X,), (Equation(OUT, (n,), apply(of[0] if gamma and of else EXP, Entry(X, (n,)))),), (OUT,))
    assert module._has_gamma(program) is bool(gamma and of)
    error = UnsupportedError if gamma and of else TraceDiffersError
    pair = pair_of(enclosed=lambda *_: {OUT: {(0,): GONE}})
    with pytest.raises(error) as told:
        module._same(
            pair,
            twice,
            Evaluator(program, FLOAT),
            Point({N: 1}, {X: np.ones(1)}),
            OUT,
            "out",
            np.array([1.0]),
            np.array([math.nan]),
        )
    assert isinstance(told.value, TraceDiffersError) is not bool(gamma and of)


@pytest.mark.parametrize("entries", [{(0,): 1.5, (1,): GONE}, {}])
def test_enclosed_entries_as_floats(entries):
    found = module._floats(entries, (2,))
    assert bool(found[0] == 1.5) is bool(entries) and np.isnan(found[1])
    asked = np.array([False, True])
    pair = pair_of(enclosed=lambda *_: {OUT: entries})
    assert module._missing_there(pair, evaluator(), None, OUT, asked).tolist() == [False, bool(entries)]
    assert not module._missing_there(pair, evaluator(), None, OUT, np.array([False, False])).any()
    assert not module._missing_there(pair, evaluator(), None, OUT, np.array([True, False])).any()


# One run of both.


@pytest.mark.parametrize("forward", ["runs", "raises", "inf"])
@pytest.mark.parametrize("first", ["value", None])
@pytest.mark.parametrize("second", ["value", None])
@pytest.mark.parametrize("wrong", ["", "out", "x"])
def test_both_functions_are_run_and_compared(monkeypatch, forward, first, second, wrong):
    def function(x):
        if forward == "raises":
            raise ValueError("no\nsuch thing")
        return np.full(2, math.inf) if forward == "inf" else 2.0 * x

    pair, compared = pair_of(function), []
    values = iter([first, second])
    monkeypatch.setattr(module, "_evaluated", lambda *_: None if next(values) is None else {OUT: np.ones(2)})
    monkeypatch.setattr(
        module, "_same", lambda pair, f, program, point, tensor, name, *_: compared.append(name) or name != wrong
    )
    inside = []
    monkeypatch.setattr(module, "_must_read_inside", lambda f, program, point: inside.append(f))
    found = module._run_both(pair, Point({N: 2}, {X: np.ones(2), UP: np.ones(2)}))
    assert len(inside) == (forward == "runs" and not (first and second))
    assert found is (forward == "runs" and bool(first and second) and not wrong)
    assert pair.stopped == ("ValueError: no such thing" if forward == "raises" else "")
    if forward == "runs" and first:
        assert compared == (["out", "x"] if second else ["out"])
    else:
        assert compared == []


def test_a_backward_that_fails_for_numpy_alone_is_at_fault():
    def broken(dout, x):
        raise KeyError("name")

    with pytest.raises(MalformedError, match="broken fails when NumPy runs it: KeyError"):
        module._run_backward(pair_of(backward=broken), Point({N: 2}, {X: np.ones(2), UP: np.ones(2)}), None)
    seen = {}

    def told(dout, memory, x):
        seen.update(dout=dout, memory=memory)
        return {"x": dout}

    pair = pair_of(backward=told, roles={"dout": "upstream", "memory": "cache"})
    module._run_backward(pair, Point({N: 2}, {X: np.ones(2), UP: np.ones(2)}), "kept")
    assert seen["memory"] == "kept" and seen["dout"].shape == (2,)
    assert module.beside_inputs({"dout": "upstream"}, (1, 2), None) == {"dout": (1, 2)}
    assert module.beside_inputs({"dy": "upstream", "dh": "upstream", "kept": "cache"}, (1, 2), 3) == {
        "dy": 1, "dh": 2, "kept": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("returned", "named"),
    [
        ({"x": 1, "w": 2}, {"x": 1, "w": 2}),
        ({"dx": 1, "d_w": 2}, {"x": 1, "w": 2}),
        ({"dd": 1}, {"d": 1}),
        ((1, 2), {"x": 1, "w": 2}),
        ([1], {"x": 1}),
        (5, {"x": 5}),
    ],
)
def test_gradients_are_told_by_name_or_place(returned, named):
    inputs = [SimpleNamespace(name=name) for name in "xwd"]
    traced = SimpleNamespace(gradients={"x": X, "w": OUT}, forward=SimpleNamespace(inputs=inputs))
    assert module._by_name(returned, traced) == named


def test_a_result_that_is_no_array_is_another_than_the_trace():
    assert module._plain([1, 2]).dtype == np.float64
    for bad in ("text", [[1], [1, 2]], object()):
        with pytest.raises(TraceDiffersError, match="no array of numbers"):
            module._plain(bad)
    assert module._listed({"a": 1, "b": 2}) == [1, 2] and module._listed((1,)) == [1] and module._listed(3) == [3]
    assert module._sizes({N: 3, M: 2}) == "N = 3, M = 2" and module._sizes({}) == "those given"


@pytest.mark.parametrize("fixed", [{}, {"N": 3}])
@pytest.mark.parametrize(
    "error",
    [MalformedError("fault", evidence=["own"]), TraceDiffersError("other", evidence=["own"])],
    ids=lambda e: type(e).__name__,
)
def test_fixed_sizes_are_told_with_what_went_wrong(monkeypatch, fixed, error):
    def failing(*_):
        raise error

    monkeypatch.setattr(module, "_examine", failing)
    monkeypatch.setattr(module, "Question", lambda *_, **told: SimpleNamespace(constants=[]))
    monkeypatch.setattr(module, "Sampler", lambda *_: None)
    monkeypatch.setattr(module, "Evaluator", lambda *_: None)
    traced = SimpleNamespace(
        forward=SimpleNamespace(inputs=(X,)), backward=None, gradients={}, upstream=(), sizes=fixed, telling=[]
    )
    with pytest.raises(type(error)) as told:
        module.agree_with_numpy(traced, twice, back)
    assert list(told.value.evidence) == [*(["where   N = 3"] if fixed else []), "own"]


@pytest.mark.parametrize("unasked", ["", "NumPy could not be asked"])
def test_a_program_that_numpy_could_not_be_asked_about_has_a_condition(monkeypatch, unasked):
    monkeypatch.setattr(module, "agree_with_numpy", lambda traced, f, g: unasked)
    program = module.replace(TWICE, function=twice, conditions=("own",))
    found = module.compared_with_numpy(program, {})
    assert found.conditions == (("own", unasked) if unasked else ("own",))
