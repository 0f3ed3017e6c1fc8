"""What may be said, and for which sizes: the judge's own decisions, each with what it must not say."""

import math
import random
from dataclasses import replace
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from numpy import empty

import symbackprop as sb
from symbackprop.checking import check, decide, trace_agreement
from symbackprop.checking.budget import SHARES, Share
from symbackprop.checking.question import Examiner, Question
from symbackprop.checking.refute import Search, cross_examine
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.trace_agreement import TraceDiffersError
from symbackprop.checking.verdict import Verdict
from symbackprop.errors import DataError, MalformedError, UnsupportedError
from symbackprop.evaluation.exact import Evaluator
from symbackprop.evaluation.number_types import FLOAT, ball
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, multiply, number
from symbackprop.expression.program import Equation, Program
from symbackprop.frontends.numpy.traced import trace_pair

N = Symbol("N", "size")
n = Index("n", N)
u, V, DU, UP = Tensor("u", (N,)), Tensor("v", (N,)), Tensor("du", (N,)), Tensor("dv", (N,))
ROWS = {"x": ("N", "D")}


def linear(slope, claimed):
    """v = slope * u, and the claim du = claimed * dv."""
    forward = Program((u,), (Equation(V, (n,), multiply(number(slope), Entry(u, (n,)))),), (V,))
    claim = Program((u, UP), (Equation(DU, (n,), multiply(number(claimed), Entry(UP, (n,)))),), (DU,))
    return Question(forward, claim, {"u": (u, DU)}, (UP,))


# Stated sizes.

SIZES = [{"T": 3}, {"T": 4}, {"T": 1}]


def summed(*statuses):
    verdicts = [Verdict(s, f"gradients at {k}") for k, s in enumerate(statuses)]
    traces = [SimpleNamespace(sizes=sizes) for sizes in SIZES]
    stated = check.Stated(("T",), traces, [set() for _ in traces])
    return check._summed_up(verdicts, list(range(len(statuses))), stated, "gradients")


def test_scope_names_the_sizes_that_were_proved_and_no_others():
    assert summed("PROVED", "PROVED", "PROVED").scope == (
        "the stated sizes T = 3 and T = 4 and T = 1 alone; every size of the other axes"
    )


def test_two_proofs_and_an_undecided_third_speak_of_two_sizes():
    answer = summed("PROVED", "PROVED", "UNDECIDED")
    assert answer.status == "PROVED"
    assert answer.scope == "the stated sizes T = 3 and T = 4 alone; every size of the other axes"
    assert answer.notes == ("no proof in time at T = 1, where numbers agree",)


def test_one_proof_and_an_undecided_second_prove_nothing():
    answer = summed("PROVED", "UNDECIDED")
    assert answer.status == "UNDECIDED" and answer.notes == ("proved at T = 3",)
    assert summed("UNDECIDED").status == "UNDECIDED"


def test_a_refuted_third_refutes():
    assert summed("PROVED", "PROVED", "REFUTED").status == "REFUTED"


def test_no_sizes_at_all_prove_nothing():
    answer = check._summed_up([], [], check.Stated(("T",)), "gradients")
    assert answer.status == "UNDECIDED" and "no small sizes of T were found" in answer.reason


def test_sizes_without_a_proof_are_looked_at_beside_thresholds_too(monkeypatch):
    """Random points at all sizes; where a proof is tried it brings points beside thresholds with it, elsewhere not."""
    asked, proved = [], []
    monkeypatch.setattr(check, "_screened", lambda goal, subject, stage, deadline: asked.append((stage, goal)))
    monkeypatch.setattr(
        check, "decide", lambda goal, *rest: proved.append(goal) or Verdict("PROVED", "gradients", scope="")
    )

    def forward(x):
        total = np.ones(x.shape[0])
        for t in range(x.shape[1]):
            for _ in range(t % 2 + 1):  # how many rounds there are depends on another loop's: sizes must be numbers
                total = np.tanh(total + x[:, t])
        return total

    def backward(dout, x):
        dx = np.zeros_like(x)
        states = [np.ones(x.shape[0])]
        places = [t for t in range(x.shape[1]) for _ in range(t % 2 + 1)]
        for t in places:
            states.append(np.tanh(states[-1] + x[:, t]))
        for k, t in reversed(list(enumerate(places))):
            dout = dout * (1 - states[k + 1] ** 2)
            dx[:, t] += dout
        return {"x": dx}

    sb.check(forward, backward, shapes={"x": ("N", "T")})
    sizes = lambda matters: {goal.traced.sizes["T"] for goal in matters}  # noqa: E731
    everywhere = sizes(m for stage, m in asked if stage == "first look")
    beside = sizes(m for stage, m in asked if stage == "directed")
    assert len(everywhere) > len(sizes(proved)) == 3
    assert everywhere == beside | sizes(proved)


def test_sizes_that_the_forward_refuses_are_no_fault_of_the_backward():
    def forward(x):
        if x.shape[1] == 3:
            raise ValueError("three steps are one too few")
        total = np.zeros(x.shape[0])
        for t in range(x.shape[1]):
            total = total + x[:, t]
        return total

    def backward(dout, x):
        dx = np.zeros_like(x)
        for t in range(x.shape[1]):
            dx[:, t] = dout
        return {"x": dx}

    answer = sb.check(forward, backward, shapes={"x": ("N", "T")})
    assert answer.status == "PROVED" and "T = 3" not in answer.scope
    assert any("three steps are one too few" in note and "T = 3" in note for note in answer.notes)


def stated(lengths, lines, elsewhere=(), left_out=()):
    """Traces at these lengths of T, and the lines that ran at each."""
    traces = [SimpleNamespace(sizes={"N": "free", "T": t} if t is None else {"T": t}) for t in lengths]
    out = {reason: [place] for place, reason in left_out}
    return check.Stated(
        ("T",),
        traces,
        [{("no such file", k) for k in ran} for ran in lines],
        {("no such file", k) for k in elsewhere},
        out,
    )


@pytest.mark.parametrize(
    ("lengths", "lines", "elsewhere", "left_out", "proved", "gap"),
    [
        ((2, 3, 1), ({1}, {1}, {1}), (), (), (0, 1), ""),
        ((2, 3), ({1}, {1}), (), (), (0,), "a proof at one choice of sizes proves nothing alone"),
        ((2, 1), ({1}, {1}), (), (), (0,), ""),  # there is no other
        ((2, 1), ({1}, {1}), (), (("T = 3", "too long"),), (0,), "a proof at one choice of sizes proves nothing alone; left out: T = 3: too long"),
        ((1, 2, 3), ({1}, {1}, {1}), (), (), (0,), "an axis of length 1 proves nothing alone"),
        ((1, 2, 3), ({1}, {1}, {1}), (), (), (0, 1), "a proof at one choice of sizes proves nothing alone"),
        ((2, 3, 4), ({1}, {1}, {1, 7, 5}), (), (), (0, 1), "line 5 runs at other sizes only"),
        ((2, 3), ({1}, {1}), (9,), (), (0, 1), "line 9 runs at other sizes only"),
        ((2, 3), ({1, 9}, {1}), (9,), (), (0, 1), ""),
    ],
)  # fmt: skip
def test_proofs_at_stated_sizes_say_what_they_leave_open(lengths, lines, elsewhere, left_out, proved, gap):
    assert stated(lengths, lines, elsewhere, left_out).gap(proved) == gap


def test_what_was_left_out_is_listed_up_to_a_few():
    places = [f"T = {k}" for k in range(12)]
    (note,) = check.Stated(("T",), left_out={"too long": places}).notes()
    shown = note.removeprefix("left out: ").removesuffix(" ...: too long").split("; ")
    assert shown == places[: len(shown)] and 0 < len(shown) < 12
    assert check.Stated(("T",), left_out={"too long": places[:1]}).notes() == ("left out: T = 0: too long",)


def test_scope_tells_given_sizes_from_free_ones():
    names = {"free": ("N", "D"), "one given": ("N", 3), "all given": (2, 3)}
    scopes = {
        name: sb.check(lambda x: x * x, lambda dout, x: 2 * x * dout, shapes={"x": shape}).scope
        for name, shape in names.items()
    }
    assert scopes["free"] == "all sizes"
    assert scopes["one given"] == "all sizes of N, the others as given"
    assert scopes["all given"] == check.GIVEN_SIZES


# Backward passes that are meant to be something else.


def test_a_surrogate_is_told_from_the_gradient_and_from_what_is_not_known():
    forward = lambda x: np.maximum(x, 0) * 2  # noqa: E731
    straight = lambda dout, x: dout  # noqa: E731
    answer = sb.check(forward, straight, shapes=ROWS, intended="surrogate")
    assert answer.status == "SURROGATE" and "x is not the gradient" in answer.diagnosis and not answer.cure
    assert any(note.startswith("instead of it, dx: dout") for note in answer.notes)
    own = sb.check(forward, lambda dout, x: 2 * dout * (x > 0), shapes=ROWS, intended="surrogate")
    assert own.status == "MALFORMED" and "it is the gradient itself" in own.reason and own.scope == ""
    unknown = check.as_intended(Verdict("UNDECIDED", "gradients", notes=("slow",)))
    assert unknown.status == "UNDECIDED"
    assert unknown.notes == ("slow", "declared a surrogate: nothing was found about it")
    assert check.intention("surrogate") and not check.intention(None)
    with pytest.raises(MalformedError, match="intended is 'other'"):
        check.intention("other")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ZeroDivisionError("nothing"), "UNDECIDED"),
        (MalformedError("two names"), "MALFORMED"),
        (UnsupportedError("a C function"), "UNDECIDED"),
    ],
)
def test_neither_a_proof_nor_numbers_is_no_verdict(error, status):
    answer = decide.no_answer(error, "gradients")
    assert answer.status == status and str(error) in answer.reason


# Shapes.


def test_gradient_of_another_rank_or_length_is_malformed_and_the_others_are_examined():
    forward = lambda x, w: x @ w  # noqa: E731
    shapes = {"x": ("N", "D"), "w": ("D", "M")}
    for dw in (lambda d, x: d.T @ x, lambda d, x: (d.T @ x).sum(0)):
        answer = sb.check(forward, lambda dout, x, w, dw=dw: {"x": 2.0 * (dout @ w.T), "w": dw(dout, x)}, shapes=shapes)
        assert answer.status == "MALFORMED" and answer.wrong == ("x", "w")
        assert answer.diagnosis == "the gradient of w has another shape than w"


def test_shapes_that_agree_at_the_sizes_of_the_domain_are_the_same():
    answer = sb.check(
        lambda x: 2.0 * x,
        lambda dout, x: {"x": 2.0 * dout.reshape(x.shape[0], 2, -1).reshape(x.shape[0], -1)},
        shapes=ROWS,
        where="D % 2 == 0",
    )
    assert answer.status == "PROVED", str(answer)


# What is listed.


def two_gradients(x, w):
    return (np.exp(x) * w).sum()


def test_only_what_was_proved_is_listed_as_right(monkeypatch):
    """x is wrong, and of w no proof is found: it is not listed."""
    right_w = lambda x, w: {"x": 2.0 * np.exp(x) * w, "w": np.exp(x)}  # noqa: E731
    shapes = {"x": ("N",), "w": ("N",)}
    answer = sb.check(two_gradients, right_w, shapes=shapes)
    assert answer.status == "REFUTED" and answer.wrong == ("x",) and "proved right: w" in answer.notes
    honest = decide.prove

    def no_proof(goal, names, strategies, deadline):
        found = honest(goal, (), strategies, deadline)
        return decide.Attempt(tuple(names), found.used, "not tried")

    monkeypatch.setattr(decide, "prove", no_proof)
    answer = sb.check(two_gradients, right_w, shapes=shapes)
    assert answer.status == "REFUTED" and answer.wrong == ("x",)
    assert not any("proved right" in note for note in answer.notes)


def test_conditions_of_the_comparison_are_told():
    """p - y is the gradient by z only where the rows of y add up to 1."""

    def cost(z, y):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return -(y * np.log(e / e.sum(axis=1, keepdims=True))).sum()

    def backward(z, y):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return {"z": e / e.sum(axis=1, keepdims=True) - y}

    answer = sb.check(cost, backward, shapes={"z": ("N", "K"), "y": ("N", "K")}, assume={"y": "onehot"})
    assert answer.status == "PROVED" and "the rows of y add up to 1" in answer.conditions


def test_conditions_of_the_forward_are_told():
    def forward(x):
        out = np.empty_like(x)
        out[:, :1] = 2.0 * x[:, :1]
        out[:, 1:] = 2.0 * x[:, 1:]
        return out

    answer = sb.check(forward, lambda dout, x: {"x": 2.0 * dout}, shapes=ROWS)
    assert answer.status == "PROVED"
    assert any("np.empty" in condition for condition in answer.conditions)


def test_an_entry_that_np_empty_left_is_read_at_some_sizes():
    """Columns from the sixth on are never written; smaller arrays show nothing."""

    def backward(dout, x):
        dx = np.empty_like(x)
        dx[:, :1] = 2.0 * dout[:, :1]
        return {"x": dx}

    answer = sb.check(lambda x: 2.0 * x, backward, shapes=ROWS)
    assert answer.status == "MALFORMED" and "np.empty" in str(answer)


def test_zero_times_what_np_empty_left_is_no_zero():
    """In the equations it is; NumPy may find NaN there."""

    def backward(dout, x):
        return {"x": 0.0 * np.empty_like(x) + 2.0 * dout}

    answer = sb.check(lambda x: 2.0 * x, backward, shapes=ROWS)
    assert answer.status == "MALFORMED" and "np.empty" in str(answer)


class Keeping:
    """Where np.empty may stand by other names."""

    new = staticmethod(empty)
    several = (np.zeros, empty)


@pytest.mark.parametrize(
    "maker",
    [
        lambda shape: empty(shape),
        lambda shape: Keeping.new(shape),
        lambda shape: Keeping.several[1](shape),
        lambda shape, other=empty: other(shape),
        lambda shape: partial(empty, dtype=np.float64)(shape),
        lambda shape: getattr(np, "".join(["em", "pty"]))(shape),
    ],
)
def test_it_is_none_either_by_whatever_name_np_empty_has(maker):
    def backward(dout, x):
        return {"x": 0.0 * maker(x.shape) + 2.0 * dout}

    answer = sb.check(lambda x: 2.0 * x, backward, shapes=ROWS)
    assert answer.status == "MALFORMED" and "np.empty" in str(answer)
    assert not np.isnan(np.empty(1 << 23)[:3]).any(), "new memory of the system's is not filled any more"


# Numbers.


def test_cross_examination_finds_what_is_wrong_and_passes_what_is_right():
    assert cross_examine(linear(3, 3)) is True
    found = cross_examine(linear(3, 2))
    assert found is not True and found.entry.name == "u"


def test_cross_examination_without_a_point_says_so(monkeypatch):
    monkeypatch.setattr(Search, "examine", lambda self, point, bits=0: None)
    with pytest.raises(UnsupportedError, match="no point at which the two could be compared"):
        cross_examine(linear(3, 3))


def test_cross_examination_looks_at_two_points(monkeypatch):
    seen = []
    honest = Search.examine
    monkeypatch.setattr(
        Search, "examine", lambda self, point, bits=128: seen.append(point) or honest(self, point, bits)
    )
    assert cross_examine(linear(3, 3)) is True
    assert len(seen) == 2


def test_tiny_slopes_differ_too():
    """No tolerance: 2**-1060 is not 0."""
    question = linear(number(2).value ** -1060, 0)
    point = Sampler(question, random.Random(0)).point({N: 2})
    assert Examiner(question, ball(128)).examine(point).disagreements() == ["u"]


def by_numpy(x):
    """True for NumPy's arrays, False for those of the trace."""
    return hasattr(x, "__array_interface__")


@pytest.mark.parametrize(
    ("odd", "noticed"),
    [
        (lambda a: a.shape[0] == 1, True),
        (lambda a: a.shape[0] > a.shape[1], True),
        (lambda a: a.shape[0] > 1000, False),
    ],
    ids=["one row", "more rows than columns", "sizes that are never tried"],
)
def test_numpy_is_asked_at_several_sizes(odd, noticed):
    """A function that NumPy runs differently at some sizes is noticed, whichever of the small ones these are."""

    def forward(x):
        if by_numpy(x) and odd(x):
            return 3.0 * x
        return 2.0 * x

    answer = sb.check(forward, lambda dout, x: {"x": 2.0 * dout}, shapes=ROWS)
    assert (answer.status != "PROVED") is noticed


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_numpy_is_asked_about_every_gradient(scale):
    """The backward gives NumPy another result than its trace, for the second gradient alone."""

    def backward(dout, x, w):
        dw = (x * dout).sum(0)
        return {"x": w * dout, "w": scale * dw if by_numpy(x) else dw}

    answer = sb.check(lambda x, w: x * w, backward, shapes={"x": ("N", "D"), "w": ("D",)})
    assert (answer.status == "PROVED") is (scale == 1.0)


def test_a_search_ends_with_its_time():
    search = Search(linear(3, 3), 0.0)
    assert search.late() and not search.fits(SimpleNamespace(sizes={N: 2}))
    assert not Search(linear(3, 3), 60.0).late()


def test_trace_of_the_judge_is_that_of_the_user():
    traced = trace_pair(lambda x: 2.0 * x, lambda dout, x: {"x": 2.0 * dout}, ROWS, {}, None, None)
    assert decide.goal_of(traced).names == ("x",)


def test_wide_enclosures_are_vague_and_narrow_ones_are_not():
    question = linear(Fraction(1, 3), Fraction(1, 3))
    point = Sampler(question, random.Random(0)).point({N: 2})
    assert Examiner(question, ball(64)).examine(point).vague()
    assert not Examiner(question, ball(256)).examine(point).vague()


def test_a_result_of_another_shape_is_a_difference_of_the_trace_though_it_holds_nan():
    program = Program((u,), (Equation(V, (n,), Entry(u, (n,))),), (V,))
    evaluator, pair = Evaluator(program, FLOAT), SimpleNamespace(floor=0.0)
    point = Point({N: 3}, {u: np.ones(3)})
    for shape, error, message in (
        (2, TraceDiffersError, "is not what its lines say"),
        (3, MalformedError, "gives nan for x"),
    ):
        with pytest.raises(error, match=message):
            trace_agreement._same(pair, len, evaluator, point, V, "x", np.full(shape, np.nan), np.ones(3))


# What stands beside the verdict.


def test_gradients_that_were_not_returned_are_named_and_no_others():
    answer = sb.check(lambda x, w: x * w, lambda dout, x, w: {"x": dout * w}, shapes={"x": ("N",), "w": ("N",)})
    assert answer.status == "PROVED"
    assert answer.unjudged == ("w",)
    whole = sb.check(lambda x: 2.0 * x, lambda dout, x: {"x": 2.0 * dout}, shapes=ROWS)
    assert whole.notes == ()


def test_an_undecided_first_size_has_no_note_of_proofs():
    assert summed("UNDECIDED").notes == ()


def test_code_that_always_raises_is_at_fault_whatever_the_sizes():
    def raising(x):
        raise KeyError("rows")

    answer = sb.check(raising, lambda dout, x: {"x": dout}, shapes=ROWS)
    assert answer.status == "MALFORMED" and "rows" in answer.reason and "where N" not in answer.reason


def test_no_proof_is_sought_once_a_number_speaks_against_it(monkeypatch):
    """Numbers beside thresholds come between the quick proofs and the patient ones."""
    asked, honest = [], decide.refute

    def blind_at_first(question, *, stage="all", **options):
        return None if stage == "first look" else honest(question, stage=stage, **options)

    def no_proof(goal, names, strategies, deadline):
        asked.append(tuple(strategies))
        return decide.Attempt(tuple(names), (), "not tried")

    monkeypatch.setattr(decide, "refute", blind_at_first)
    monkeypatch.setattr(decide, "prove", no_proof)
    answer = sb.check(lambda x: 2.0 * x, lambda dout, x: {"x": 3.0 * dout}, shapes=ROWS)
    assert answer.status == "REFUTED"
    assert decide.PATIENT not in asked


def test_patient_proofs_are_tried_where_no_number_speaks_against_it(monkeypatch):
    asked, honest = [], decide.prove

    def late(goal, names, strategies, deadline):
        asked.append(tuple(strategies))
        return honest(goal, names, strategies, deadline) if tuple(strategies) == decide.PATIENT else decide.Attempt(
            tuple(names), (), "not tried"
        )  # fmt: skip

    monkeypatch.setattr(decide, "prove", late)
    monkeypatch.setitem(SHARES, "first look", Share(0.05))
    assert sb.check(lambda x: 2.0 * x, lambda dout, x: {"x": 2.0 * dout}, shapes=ROWS).status == "PROVED"
    assert decide.PATIENT in asked


def test_of_many_symbols_each_is_larger_in_turn():
    chosen = list(check._choices(("A", "B", "C", "D")))
    for symbol in "ABCD":
        alone = {s: 5 if s == symbol else 2 for s in "ABCD"}
        assert alone in chosen
    assert len({tuple(c.items()) for c in chosen}) == len(chosen)
    few = list(check._choices(("A", "B")))
    assert few[0]["A"] != few[0]["B"] and any(c["A"] == 1 for c in few) and any(c["B"] == 1 for c in few)
    early = list(check._choices(("A", "B", "C")))[:4]  # a loop over all axes is run for these
    assert all(math.prod(c.values()) <= check.LARGEST_PRODUCT for c in early)


def test_a_point_without_a_tensor_is_refused():
    question = linear(3, 3)
    point = Sampler(question, random.Random(0)).point({N: 2})
    lacking = replace(point, inputs={t: a for t, a in point.inputs.items() if t is not u})
    with pytest.raises(DataError, match="the point has no value for u"):
        Examiner(question, ball(128)).examine(lacking)


@pytest.mark.parametrize(
    "function", [lambda y: np.exp(1000 * y), lambda y: 1 / y], ids=["overflows", "divides by zero"]
)
def test_unwritten_entries_at_which_nothing_can_be_computed_are_no_fault_of_ours(function):
    """np.empty may hold 0 or anything: where one of the two has no value the results are not compared."""

    def forward(x):
        return x + 0 * function(np.empty(x.shape))

    answer = sb.check(forward, lambda dout, x: dout, shapes=ROWS)
    assert answer.status != "REFUTED" and "internal" not in answer.reason


# verify.

NETWORK = sb.Network([3, 5, 4], activation="relu", cost="softmax_cross_entropy")
RECURSION = "sum(j, W2[j,i]*delta3[n,j])"


@pytest.mark.parametrize("slope", ["f_prime(z2[n,i])", "f2_prime(z2[n,i])", "relu_prime(z2[n,i])"])
def test_functions_of_a_network_go_by_their_names(slope):
    assert sb.verify(NETWORK, "delta2[n,i]", f"{RECURSION}*{slope}").status == "PROVED"
    assert sb.verify(NETWORK, "delta2[n,i]", f"{RECURSION}").status == "REFUTED"


def test_function_of_a_single_layer_is_f():
    single = sb.Network([3, 4], activation="tanh", cost="squared_error")
    assert sb.verify(single, "delta2[n,k]", "(a2[n,k] - y[n,k])*f_prime(z2[n,k])/m").status == "PROVED"


def test_f_without_a_number_is_the_function_of_the_layer_that_a_claim_is_about():
    """tanh in layers 2 and 3, a sigmoid in layer 4: of what belongs to no layer's z or a, f is that of the hidden ones."""
    three = sb.Network([2, 3, 4, 2], activation=["tanh", "tanh", "sigmoid"], cost="squared_error")
    status = lambda left, right: sb.verify(three, left, right).status  # noqa: E731
    assert status("delta4[n,k]", "(a4[n,k] - y[n,k])*f_prime(z4[n,k])/m") == "PROVED"
    assert status("delta3[n,i]", "sum(j, W3[j,i]*delta4[n,j])*f_prime(z3[n,i])") == "PROVED"
    assert status("a3[n,i]", "f(z3[n,i])") == "PROVED"
    assert status("dJ/dW2[i,j]", "sum(n, sum(k, W3[k,i]*delta4[n,k])*f_prime(z3[n,i])*a2[n,j])") == "PROVED"


def test_kinks_on_the_way_to_the_cost_are_conditions_and_no_others():
    deep = sb.Network([3, 5, 4, 2], activation="relu", cost="softmax_cross_entropy")
    of = lambda left, right: sb.verify(deep, left, right)  # noqa: E731
    first = of("delta2[n,i]", "sum(j, W2[j,i]*delta3[n,j])*f_prime(z2[n,i])")
    second = of("delta3[n,i]", "sum(j, W3[j,i]*delta4[n,j])*f_prime(z3[n,i])")
    last = of("delta4[n,k]", "h[n,k]*sum(j, y[n,j])/m - y[n,k]/m")
    assert [v.status for v in (first, second, last)] == ["PROVED"] * 3
    kinks = [[c for c in v.conditions if "z" in c] for v in (first, second, last)]
    assert [len(k) for k in kinks] == [2, 1, 0] and "z3" in kinks[1][0]


def test_a_cure_is_proved_and_says_what_was_derived():
    answer = sb.verify(NETWORK, "delta2[n,i]", RECURSION)
    assert answer.status == "REFUTED" and answer.cure
    left, right = answer.cure.split(" = ")
    assert sb.verify(NETWORK, left, right).status == "PROVED"


def test_an_index_that_stands_alone_is_told_and_the_missing_sum_is_found():
    """delta2[n,i] = W2[j,i]*delta3[n,j]*..., without the sum over j; also beside a term of its own, or another slip."""
    alone = sb.verify(NETWORK, "delta2[n,i]", "W2[j,i]*delta3[n,j]*f_prime(z2[n,i])")
    assert alone.status == "REFUTED" and alone.diagnosis == "the sum over j is missing"
    assert "taken at its first value, and wrong there too" in alone.notes[0]
    left, right = alone.cure.split(" = ")
    assert sb.verify(NETWORK, left, right).status == "PROVED"
    scaled = sb.verify(NETWORK, "delta2[n,i]", "2*W2[j,i]*delta3[n,j]*f_prime(z2[n,i])")
    assert scaled.status == "REFUTED" and scaled.diagnosis.startswith("the sum over j is missing, and ")
    assert sb.verify(NETWORK, *scaled.cure.split(" = ")).status == "PROVED"


def test_indices_of_axes_that_do_not_fit_are_malformed_or_wrong_there_too():
    swapped = sb.verify(NETWORK, "dJ/dW2[i,j]", "sum(n, delta3[n,j]*a2[n,i])")
    assert swapped.status == "REFUTED" and "read for axes of equal length, and wrong there too" in " ".join(
        swapped.notes
    )
    whole = sb.verify(NETWORK, "dJ/dW1[i,j]", "sum(n, delta2[n,i]*x[n,j])")
    assert whole.status == "PROVED" and not whole.notes


def test_a_claim_about_what_is_given_is_malformed():
    answer = sb.verify(NETWORK, "W2[i,j]", "0")
    assert answer.status == "MALFORMED" and "nothing to verify" in answer.reason
