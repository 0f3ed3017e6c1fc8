"""The decisions of the judge, each by itself: what is said for whatever the parts answer that are asked.

The parts are stood in for, so every combination of their answers comes up, also those that no case is known for.
"""

import itertools
import math
import random
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import pytest

from symbackprop.checking import check, decide
from symbackprop.checking.budget import Budget
from symbackprop.checking.check import Case, Stated
from symbackprop.checking.raising import Failure
from symbackprop.checking.verdict import CuredLine, Verdict
from symbackprop.errors import (
    BudgetError,
    DataError,
    FormulaError,
    MalformedError,
    ProofError,
    TraceError,
    UnsupportedError,
)
from symbackprop.expression.build import ONE, ZERO, Entry, Symbol, SymmetricTensor, Tensor, add, apply, multiply, number
from symbackprop.expression.functions import EXP, STOP_GRADIENT
from symbackprop.expression.program import UPSTREAM, Equation, Program
from symbackprop.frontends.numpy.errors import CodeRaisesError, NeedsConcreteSizes, NeverFits, ShapesDoNotFit
from symbackprop.frontends.numpy.time_limit import OutOfTime
from symbackprop.frontends.numpy.traced import Traced
from symbackprop.frontends.passes import Pass

STATUSES = ("PROVED", "REFUTED", "UNDECIDED", "MALFORMED")
BUDGET = Budget.of(1000.0)
N, M = Symbol("N", "size"), Symbol("M", "size")


def said(status, **parts):
    parts = {"scope": "all sizes", **parts} if status == "PROVED" else parts
    return Verdict(status, "gradients", **parts)


def asked(forward=lambda x: x, shapes=None, assume=None, where=None):
    return Case(forward, lambda dout, x: dout, shapes or {"x": ("N", "M")}, assume or {}, where)


def stand_in(monkeypatch, module, **parts):
    """Functions of a module that give, or raise, these things; each call is written down."""
    calls = {name: [] for name in parts}

    def fake(name, answer):
        def called(*arguments, **options):
            calls[name].append((*arguments, *options.values()))
            given = answer(*arguments, **options) if callable(answer) else answer
            if isinstance(given, BaseException):
                raise given
            return given

        return called

    for name, answer in parts.items():
        monkeypatch.setattr(module, name, fake(name, answer))
    return calls


def traced_as(monkeypatch, answer):
    """What following the code of a case gives, or raises."""
    return stand_in(monkeypatch, Case, trace=answer)["trace"]


# The way of a question.


@pytest.mark.parametrize("freed", [None, *STATUSES])
@pytest.mark.parametrize("checked", STATUSES)
@pytest.mark.parametrize("symbols", [None, "PROVED"])
def test_symbols_for_lengths_are_tried_first_where_they_help_and_last_where_nothing_else_does(
    monkeypatch, freed, checked, symbols
):
    make = lambda name, status: None if status is None else said(status, reason=name)  # noqa: E731
    same = lambda case, verdict, budget: verdict  # noqa: E731
    calls = stand_in(
        monkeypatch, check, _freed=make("freed", freed), _checked=make("checked", checked),
        _with_symbols=make("symbols", symbols), _read_twice=same, _of_symmetric=same, _with_judged_code=same,
    )  # fmt: skip
    first = ("freed", freed) if freed else ("checked", checked)
    wanted = ("symbols", symbols) if first[1] == "UNDECIDED" and symbols else first
    answer = check.judged(asked(), BUDGET)
    assert (answer.reason, answer.status) == wanted
    assert bool(calls["_checked"]) is (freed is None)
    assert bool(calls["_with_symbols"]) is (first[1] == "UNDECIDED")


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(("length", "free"), [(10, True), (check.TOO_LARGE, True), (check.TOO_LARGE, False)])
def test_arrays_that_are_too_large_for_numbers_are_not_examined_by_them(monkeypatch, status, length, free):
    general = (asked(shapes={"x": ("n10",)}), None) if free else None
    calls = stand_in(monkeypatch, check, _with_free_axes=general, _checked=said(status, notes=("own",)))
    answer = check._freed(asked(shapes={"x": (length,), "w": ("N",)}), BUDGET)
    assert bool(calls["_checked"]) is free
    if not free or (status != "PROVED" and length < check.TOO_LARGE):
        assert answer is None
    elif status == "PROVED":
        assert answer.status == "PROVED" and answer.notes == ("own", check.CASE_OF_THIS)
    else:
        assert answer.status == "UNDECIDED" and status in answer.reason and "n10" in answer.reason


@pytest.mark.parametrize("codes", [("a", "b"), ("a", ""), ("", "")])
@pytest.mark.parametrize("verdict", ["PROVED", "UNDECIDED", UnsupportedError("no")], ids=str)
@pytest.mark.parametrize("written", [True, False])
def test_code_is_shown_only_where_the_function_with_all_of_it_is_proved(monkeypatch, codes, verdict, written):
    x = Entry(Tensor("x", ()))
    lines = tuple(CuredLine(k, x, x, code) for k, code in enumerate(codes))
    judged = said(verdict) if isinstance(verdict, str) else verdict
    changed = (lambda dout, x: dout) if written else None
    calls = stand_in(monkeypatch, check, edited=lambda function, lines, returned: changed, confirmed=judged)
    answer = check._with_judged_code(asked(), said("REFUTED", cured=lines), BUDGET)
    kept = verdict == "PROVED" and written
    assert [line.code for line in answer.cured] == [c if kept else "" for c in codes]
    assert [line.number for line in answer.cured] == [0, 1]
    if calls["confirmed"]:
        assert calls["confirmed"][0][0].backward is changed
        assert calls["edited"][0][1] == {k: c for k, c in enumerate(codes) if c}
    assert bool(calls["edited"]) is any(codes)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("unrecorded", [True, False])
@pytest.mark.parametrize(("some", "every"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("other", ["PROVED", "UNDECIDED", UnsupportedError("no")], ids=str)
def test_what_is_detached_is_read_both_ways_where_a_backward_fits_the_other(
    monkeypatch, status, unrecorded, some, every, other
):
    class Forward(Pass):
        def __init__(self):
            pass

        __name__ = "forward"
        without_constants = staticmethod(lambda: plain)

    Forward.unrecorded = unrecorded
    plain, judged = object(), said("MALFORMED", reason="judged anew")
    calls = stand_in(
        monkeypatch, check, _has_constants=some, _all_constant=every, judged=judged,
        confirmed=said(other) if isinstance(other, str) else other,
    )  # fmt: skip
    verdict = said(status)
    answer = check._read_twice(replace(asked(), forward=Forward()), verdict, BUDGET)
    if status != "REFUTED" or not unrecorded or not some:
        assert answer is verdict and not calls["judged"] and not calls["confirmed"]
    elif every:
        assert answer is judged and calls["judged"][0][0].forward is plain
    else:
        assert calls["confirmed"][0][0].forward is plain
        if other == "PROVED":
            assert (answer.status, answer.scope) == ("UNDECIDED", "") and "detaches something" in answer.reason
        else:
            assert answer is verdict


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("other", STATUSES)
@pytest.mark.parametrize(
    ("names", "wrong"), [((), ("C",)), (("C",), ("C",)), (("C",), ("x",)), (("C", "S"), ("C",)), (("C",), ("C", "x"))]
)
def test_symmetric_matrices_are_looked_at_where_a_backward_is_meant_for_them(monkeypatch, status, other, names, wrong):
    calls = stand_in(monkeypatch, check, transposable=names, _checked=said(other, notes=("own",)))
    program = Program((), (), ())
    for known in (program, None):
        verdict = said(status, wrong=wrong, program=known)
        answer = check._of_symmetric(asked(assume={"x": "pos"}), verdict, BUDGET)
        looked = status == "REFUTED" and known is not None and names and not set(wrong) <= set(names)
        if not looked:
            assert answer is verdict
            continue
        assert calls["_checked"][-1][0].assume == {"x": "pos", **dict.fromkeys(names, "symmetric")}
        if other == "REFUTED":
            assert answer.status == "REFUTED" and len(answer.notes) == 2
        elif other == "PROVED":
            assert answer.status == "UNDECIDED" and answer.scope == "" and "assume={'C': 'symmetric'}" in answer.reason
        else:
            assert answer is verdict


def program_of(*values, inputs=(), note=""):
    """A program of scalars, the last of which is the cost: each value may read those before it."""
    tensors = [Tensor(f"t{k}", ()) for k in range(len(values))]
    made = [v([Entry(t) for t in tensors[:k]]) for k, v in enumerate(values)]
    lines = [
        Equation(t, (), v, note if k == len(made) - 1 else "")
        for k, (t, v) in enumerate(zip(tensors, made, strict=True))
    ]
    return Program(tuple(inputs), tuple(lines), (tensors[-1],))


A, B, LABEL = Tensor("a", ()), Tensor("b", ()), Tensor("label", (), "integer")
detached = lambda e: apply(STOP_GRADIENT, e)  # noqa: E731


@pytest.mark.parametrize(
    ("values", "note", "some", "every"),
    [
        ([lambda t: multiply(Entry(A), Entry(B))], "", False, False),
        ([lambda t: multiply(Entry(A), detached(Entry(B)))], "", True, False),
        ([lambda t: apply(EXP, detached(multiply(Entry(A), Entry(B))))], "", True, True),
        ([lambda t: detached(Entry(A)), lambda t: apply(EXP, t[0])], "", True, True),
        ([lambda t: detached(Entry(A)), lambda t: add(t[0], Entry(B))], "", True, False),
        ([lambda t: apply(EXP, Entry(A)), lambda t: detached(t[0]), lambda t: t[1]], "", True, True),
        ([lambda t: apply(EXP, Entry(A)), lambda t: add(t[0], t[0])], "", False, False),
        ([lambda t: detached(Entry(A)), lambda t: multiply(t[0], Entry(LABEL))], "", True, True),
        ([lambda t: detached(Entry(A)), lambda t: multiply(t[0], Entry(B))], UPSTREAM, True, True),
        ([lambda t: Entry(A), lambda t: multiply(t[0], detached(Entry(B)))], UPSTREAM, True, False),
        ([lambda t: number(3)], "", False, True),
        ([lambda t: detached(Entry(A)), *[lambda t: multiply(t[-1], apply(EXP, t[-1]))] * 50], "", True, True),
    ],
)
def test_what_depends_on_inputs_but_through_constants_is_told_apart(values, note, some, every):
    """Of a cost that weighs outputs with an upstream gradient, the weights are no inputs."""
    verdict = said("REFUTED", program=program_of(*values, inputs=(A, B, LABEL), note=note))
    assert check._has_constants(verdict) is some
    assert check._all_constant(verdict) is every
    assert not check._has_constants(said("REFUTED")) and not check._all_constant(said("REFUTED"))


# Where the code cannot be followed for all sizes.

STOPS = {
    "sizes": NeedsConcreteSizes("a loop", ("N",), (("N == 1", "N > 1"),)),
    "shapes": ShapesDoNotFit("two shapes", questions=(("N % 2 == 0", "N % 2 > 0"),)),
    "raises": CodeRaisesError("a key", "KeyError"),
    "other": TraceError("something else"),
}


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("answers", list(itertools.product((True, False), repeat=3)))
def test_each_stop_of_a_trace_has_its_own_way_on(monkeypatch, stop, answers):
    known, apart, divided = answers
    at_sizes, own, inner = said("PROVED", scope="N = 3"), MalformedError("its own fault"), []
    traced_as(monkeypatch, STOPS[stop])
    honest = check._checked

    def checked(case, budget, cases=0):
        if case.where == "N > 1":
            inner.append(case)
            return said("REFUTED", notes=("inner",))
        return honest(case, budget, cases)

    stand_in(
        monkeypatch, check, _checked=checked, _domain=("N > 1", "a note") if known else None,
        _by_cases=said("PROVED", reason="by cases") if apart else None, _at_concrete_sizes=at_sizes,
        _where_it_divides=said("PROVED", reason="divides") if divided else None,
    )  # fmt: skip
    monkeypatch.setattr(check, "_own_fault", lambda *_: own if divided else None)
    answer = honest(asked(), BUDGET)
    if stop == "sizes":
        if known:
            assert answer.status == "REFUTED" and answer.notes == ("inner", "a note")
        else:
            assert answer.reason == "by cases" if apart else answer is at_sizes
        assert honest(asked(), BUDGET, check.MOST_CASES) is at_sizes if not known else True
    elif stop == "shapes":
        assert (answer.status, answer.reason) == ("PROVED", "divides") if divided else answer.status == "MALFORMED"
    elif stop == "raises":
        assert answer.status == ("MALFORMED" if divided else "UNDECIDED")
        assert ("its own fault" if divided else "a key") in answer.reason
    else:
        assert answer.status == "UNDECIDED" and "something else" in answer.reason


@pytest.mark.parametrize("whole", STATUSES)
@pytest.mark.parametrize("stated", STATUSES)
@pytest.mark.parametrize("symbols", [("N",), ()])
def test_sizes_are_stated_where_nothing_is_known_for_all_of_them(monkeypatch, whole, stated, symbols):
    backward = SimpleNamespace(equations=[None] * check.LONGEST_STATED)
    traced_as(monkeypatch, SimpleNamespace(backward=backward))
    first, second = said(whole, reason="whole"), said(stated, reason="stated")
    parts = {"decide_pair": first, "_telling_symbols": symbols, "_at_concrete_sizes": second, "_scope": "all sizes"}
    calls = stand_in(monkeypatch, check, **parts)
    answer = check._checked(asked(), BUDGET)
    tried = whole == "UNDECIDED" and bool(symbols)
    assert bool(calls["_at_concrete_sizes"]) is tried
    assert answer is (second if tried and stated in ("PROVED", "REFUTED") else first)
    late = check._checked(asked(), Budget.of(1.0))  # a search that has taken this long is not begun again
    assert late is first
    backward.equations.append(None)
    assert check._checked(asked(), BUDGET) is first  # a whole model is not easier at stated sizes


@pytest.mark.parametrize("found", [None, Failure("ValueError", True), Failure("ValueError", False)], ids=str)
@pytest.mark.parametrize("raises", [True, False])
def test_a_domain_is_where_the_forward_raises_elsewhere(monkeypatch, found, raises):
    calls = stand_in(monkeypatch, check, failure=found, _raises=raises)
    stop = NeedsConcreteSizes("a loop", ("H",), (("H >= K", "H < K"),))
    answer = check._domain(asked(where="K > 1"), stop, BUDGET)
    assert calls["failure"][0][-1] == "K > 1, H < K"
    if found is not None and not found.of_backward and raises:
        assert answer == ("K > 1, H >= K", "of sizes with H >= K: at others the forward raises ValueError")
        assert calls["_raises"][0][0].where == "K > 1, H < K" and calls["_raises"][0][1] == "ValueError"
    else:
        assert answer is None
    assert check._domain(asked(), NeedsConcreteSizes("a loop"), BUDGET) is None


@pytest.mark.parametrize(
    ("given", "raises"),
    [
        (CodeRaisesError("a key", "KeyError"), True),
        (CodeRaisesError("a key", "ValueError"), False),
        (NeverFits("shapes", KeyError), True),
        (NeverFits("shapes", ValueError), False),
        (ShapesDoNotFit("shapes", KeyError), False),
        (UnsupportedError("no"), False),
        (SimpleNamespace(), False),
    ],
)
def test_code_raises_where_its_trace_says_so(monkeypatch, given, raises):
    traced_as(monkeypatch, given)
    assert check._raises(asked(), "KeyError", BUDGET) is raises


@pytest.mark.parametrize("status", STATUSES)
def test_shapes_that_fit_where_sizes_divide_are_a_condition(monkeypatch, status):
    calls = stand_in(monkeypatch, check, _checked=said(status, conditions=("own",), notes=("noted",)))
    stop = ShapesDoNotFit("halves", questions=(("N % 2 == 0", "N % 2 > 0"), ("M % 2 == 0", "M % 2 > 0")))
    answer = check._where_it_divides(asked(where="N > 1"), stop, BUDGET, 0)
    tried = [call[0].where for call in calls["_checked"]]
    if status in ("PROVED", "REFUTED"):
        assert tried == ["N > 1, N % 2 == 0"]
        assert answer.conditions == (("N % 2 == 0", "own") if status == "PROVED" else ())
        assert answer.notes == ("noted", "not asked about sizes without N % 2 == 0: halves")
    else:
        assert answer is None and tried == ["N > 1, N % 2 == 0", "N > 1, M % 2 == 0"]


@pytest.mark.parametrize("general", [*STATUSES, "PROVED at some"])
@pytest.mark.parametrize("special", [*STATUSES, "PROVED at some"])
def test_a_size_of_one_has_a_proof_of_its_own_or_nothing_is_said(monkeypatch, general, special):
    def verdict(name, what):
        scope = {"scope": "N = 3"} if what.endswith("some") else {}
        return said(what.split()[0], **scope, conditions=(name, "both"), notes=(name,))

    one, other = verdict("general", general), verdict("special", special)
    calls = stand_in(monkeypatch, check, _checked=lambda case, *_: one if case.where else other)
    stop = NeedsConcreteSizes("a branch", ("N",), (("N == 1", "N > 1"),))
    answer = check._by_cases(asked(), stop, BUDGET, 2)
    assert [(c[0].where, c[2]) for c in calls["_checked"]][:1] == [("N > 1", 3)]
    if general == "REFUTED":
        assert answer is one
    elif general != "PROVED":
        assert answer is None and len(calls["_checked"]) == 1
    elif special == "REFUTED":
        assert answer is other
    elif special != "PROVED":
        assert answer is None
    else:
        assert calls["_checked"][1][0].shapes == {"x": ("1", "M")} and calls["_checked"][1][2] == 3
        assert answer.conditions == ("general", "both", "special") and answer.status == "PROVED"
        assert answer.notes[:2] == ("general", "special") and "N = 1" in answer.notes[2]
    for questions in ((), (("N == 2", "N > 2"),), (("K == 1", "K > 1"),), (("N*M == 1", "N*M > 1"),)):
        assert check._by_cases(asked(), NeedsConcreteSizes("a branch", ("N",), questions), BUDGET, 0) is None


def test_one_is_put_for_a_size_wherever_it_stands_and_nowhere_else():
    case = asked(
        shapes={"x": ("N", "2*N", "NN", 3), "w": ["N"], "s": "N"}, assume={"x": "labels:N", "w": "pos"}, where="N > NK"
    )
    put = check._with_number(case, "N", 1)
    assert put.shapes == {"x": ("1", "2*1", "NN", 3), "w": ("1",), "s": "1"}
    assert put.assume == {"x": "labels:1", "w": "pos"} and put.where == "1 > NK"
    assert check._with_number(asked(), "K", 1).where is None


@pytest.mark.parametrize(
    "found", [None, *(Failure(k, b) for k in ("KeyError", "ValueError") for b in (True, False))], ids=str
)
@pytest.mark.parametrize("sizes", [None, {"N": 3}])
def test_what_code_raises_is_its_own_fault_where_numpy_meets_it_too(monkeypatch, found, sizes):
    stand_in(monkeypatch, check, failure=found)
    fault = check._own_fault(asked(), CodeRaisesError("a key", "KeyError", where="line 3"), sizes)
    if found is None or found.kind != "KeyError" or (sizes and not found.of_backward):
        assert fault is None
    else:
        assert fault.what == "a key" + (", where N = 3" if sizes else "")


# Stated sizes.


def unused_lines(monkeypatch):
    class Lines(set):
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *_: None  # noqa: E731

    monkeypatch.setattr(check, "lines_that_run", lambda functions: Lines({("file", 7)}))


def outputs_of(*shapes):
    outputs = tuple(SimpleNamespace(shape=s) for s in shapes)
    return SimpleNamespace(forward=SimpleNamespace(outputs=outputs), sizes={"T": 3})


@pytest.mark.parametrize(
    ("given", "traced", "left_out"),
    [
        (outputs_of((number(3),)), 1, ()),
        (outputs_of((number(3), ZERO)), 0, ("what the forward returns is empty",)),
        (outputs_of((number(3),), (ZERO,)), 0, ("what the forward returns is empty",)),
        (outputs_of(()), 1, ()),
        (DataError("outside"), 0, ()),
    ],
)
def test_sizes_that_can_be_followed_are_kept(monkeypatch, given, traced, left_out):
    unused_lines(monkeypatch)
    traced_as(monkeypatch, given)
    stated = Stated(("T",))
    check._trace_at(asked(), {"T": 3}, BUDGET, stated)
    assert (len(stated.traces), len(stated.lines), tuple(stated.left_out)) == (traced, traced, left_out)
    assert all(places == ["T = 3"] for places in stated.left_out.values())


@pytest.mark.parametrize("stop", [NeedsConcreteSizes("more", ("K",)), BudgetError("late")], ids=["sizes", "time"])
def test_what_ends_the_work_at_one_choice_of_sizes_ends_all_of_it(monkeypatch, stop):
    unused_lines(monkeypatch)
    traced_as(monkeypatch, stop)
    with pytest.raises(type(stop)):
        check._trace_at(asked(), {"T": 3}, BUDGET, Stated(("T",)))


@pytest.mark.parametrize("kind", ["raises", "shapes", "other"])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("refused", [None, Failure("KeyError", True), Failure("KeyError", False)], ids=str)
def test_sizes_that_are_refused_are_told_with_the_reason(monkeypatch, kind, own, refused):
    unused_lines(monkeypatch)
    stops = {"raises": CodeRaisesError("a key", "KeyError", where="line 3", help="mend it"),
             "shapes": ShapesDoNotFit("two shapes"), "other": TraceError("something", where="line 3")}  # fmt: skip
    traced_as(monkeypatch, stops[kind])
    calls = stand_in(monkeypatch, check, _own_fault=MalformedError("its own") if own else None, failure=refused)
    monkeypatch.setattr(
        check, "_own_fault", lambda *_: calls["_own_fault"].append(1) or (MalformedError("its own") if own else None)
    )
    stated = Stated(("T",))
    work = lambda: check._trace_at(asked(), {"T": 3}, BUDGET, stated)  # noqa: E731
    if kind == "raises" and own:
        with pytest.raises(MalformedError, match="its own"):
            work()
        return
    if kind == "shapes" and (refused is None or refused.of_backward):
        with pytest.raises(ShapesDoNotFit):
            work()
        return
    work()
    work()
    assert bool(calls["_own_fault"]) is (kind == "raises")
    assert stated.elsewhere == ({("file", 7)} if refused is None else set())
    ((reason, places),) = stated.left_out.items()
    assert places == ["T = 3", "T = 3"]
    assert reason == {"raises": "a key (line 3): mend it", "shapes": "two shapes", "other": "something (line 3)"}[kind]
    stated.left_out = {"another reason": ["T = 9"], **stated.left_out}
    work()  # told with what was said of the same line, and where no line is known with nothing else
    assert stated.left_out["another reason"] == ["T = 9"]


@pytest.mark.parametrize("more", [None, ("T",), ("T", "K")])
def test_sizes_are_stated_until_there_are_enough_or_more_must_be(monkeypatch, more):
    found = said("PROVED", notes=("decided",))

    def at(case, sizes, budget, stated):
        if more and (set(sizes) != {"T", "K"} or more == ("T",)):
            raise NeedsConcreteSizes("a loop", more)
        stated.traces.append(sizes)

    calls = stand_in(monkeypatch, check, _trace_at=at, _decided_at=found)
    answer = check._at_concrete_sizes(asked(), NeedsConcreteSizes("a loop", ("T",)), "gradients", BUDGET)
    if more == ("T",):
        assert answer.status in ("UNDECIDED", "MALFORMED") and "a loop" in answer.reason and not calls["_decided_at"]
    else:
        assert answer.status == "PROVED" and answer.notes == ("decided", "not for all sizes: a loop")
        (stated, *_) = calls["_decided_at"][0]
        assert len(stated.traces) == check.CONCRETE_SCREENED
        assert stated.symbols == (("T", "K") if more else ("T",))


def test_of_many_symbols_each_gets_sizes_of_its_own(monkeypatch):
    def at(case, sizes, budget, stated):
        stated.traces.append(sizes)

    calls = stand_in(monkeypatch, check, _trace_at=at, _decided_at=said("PROVED"))
    check._at_concrete_sizes(asked(), NeedsConcreteSizes("a loop", "ABCDEF"), "gradients", BUDGET)
    assert len(calls["_decided_at"][0][0].traces) == 6 + 4
    stand_in(monkeypatch, check, _trace_at=MalformedError("nothing"))
    assert check._at_concrete_sizes(asked(), NeedsConcreteSizes("a loop", "A"), "g", BUDGET).status == "MALFORMED"


@pytest.mark.parametrize("statuses", list(itertools.product(STATUSES, repeat=2)))
@pytest.mark.parametrize("refuted_at", [None, ("first look", 4), ("directed", 4)])
def test_numbers_come_first_at_all_sizes_and_proofs_at_the_smallest(monkeypatch, statuses, refuted_at):
    sizes = [3, 5, 2, 7, 9]
    stated = Stated(("T",), [SimpleNamespace(sizes={"T": n}) for n in sizes], [set() for _ in sizes])
    goal = lambda traced: SimpleNamespace(traced=traced, names=("x", "w"), question=traced.sizes["T"])  # noqa: E731
    no = said("REFUTED", reason="numbers", wrong=("x",))
    seen, proofs = [], iter((*statuses, "PROVED"))

    def screened(goal, subject, stage, budget):
        seen.append((stage, goal.traced.sizes["T"]))
        return no if refuted_at and (stage, goal.traced.sizes["T"]) == (refuted_at[0], sizes[refuted_at[1]]) else None

    calls = stand_in(
        monkeypatch, check, goal_of=goal, _screened=screened, decide=lambda *_: said(next(proofs)),
        _summed_up=lambda verdicts, order, *_: (verdicts, order),
        wrong_gradients=lambda question, left, **_: left if question == 7 else (),
    )  # fmt: skip
    answer = check._decided_at(stated, "gradients", BUDGET)
    if refuted_at:
        assert (answer.status, answer.wrong, answer.reason) == ("REFUTED", ("x", "w"), "numbers")
        assert not calls["decide"]
        return
    everywhere = [("first look", n) for n in sizes] + [("directed", n) for n in sizes[check.CONCRETE_PROVED :]]
    assert seen == everywhere
    assert [call[0].traced.sizes["T"] for call in calls["decide"]] == [2, 3, 5][: len(answer[0])]
    expected = 1 if statuses[0] != "PROVED" else 2 if statuses[1] != "PROVED" else 3
    assert len(answer[0]) == expected and answer[1] == [2, 0, 1]


def test_no_sizes_and_sizes_that_cannot_be_asked_decide_nothing(monkeypatch):
    stand_in(monkeypatch, check, goal_of=UnsupportedError("no derivative"))
    stated = Stated(("T",), [SimpleNamespace(sizes={"T": 3})], [set()])
    assert "no derivative" in check._decided_at(stated, "gradients", BUDGET).reason
    assert check._decided_at(Stated(("T",)), "gradients", BUDGET).status == "UNDECIDED"


@pytest.mark.parametrize("stage", ["first look", "directed"])
@pytest.mark.parametrize("malformed", [True, False])
@pytest.mark.parametrize("seen", [True, False, UnsupportedError("no")], ids=str)
def test_numbers_at_stated_sizes_refute_or_say_nothing(monkeypatch, stage, malformed, seen):
    bad, no = said("MALFORMED"), said("REFUTED")
    point = seen if isinstance(seen, Exception) else object() if seen else None
    stand_in(monkeypatch, check, of_wrong_shape=bad if malformed else None, look=point, refuted=no)
    answer = check._screened(SimpleNamespace(names=("x",)), "gradients", stage, BUDGET)
    assert answer is (bad if malformed and stage == "first look" else no if seen is True else None)


# Choices of sizes.


@pytest.mark.parametrize("symbols", ["T", "TK", "TKM", "ABCD", "ABCDE"])
def test_choices_of_sizes_are_many_small_and_unlike(symbols):
    found = list(check._choices(tuple(symbols)))
    assert len({tuple(c.items()) for c in found}) == len(found)
    assert all(set(c) == set(symbols) and all(n >= 1 for n in c.values()) for c in found)
    first, second = found[:2]
    assert 1 not in (*first.values(), *second.values()) and first != second
    few = len(symbols) <= check.FEW
    if few:
        assert len(set(first.values())) == len(symbols) and 3 in first.values()
        assert 7 in {max(c.values()) for c in found} and all(
            max(c.values()) <= 7 for c in found[:7]
        )  # larger ones last
    else:
        larger = [c for c in found[: 3 + 2 * len(symbols)] if check.LARGER in c.values()]
        assert [next(s for s, n in c.items() if n == check.LARGER) for c in larger] == [*symbols, *symbols]
        assert [sorted(c.values())[0] for c in larger] == [2] * len(symbols) + [3] * len(symbols)
    ones = [c for c in found[:14] if 1 in c.values()]
    assert len([c for c in ones if list(c.values()).count(1) == 1]) >= min(2, len(symbols))
    if len(symbols) > 1:
        assert dict.fromkeys(symbols, 2) in found[:16]
    assert sum(math.prod(c.values()) <= check.LARGEST_PRODUCT for c in found[:40]) >= min(7, len(found)) - 2


def test_choices_meet_either_side_of_each_question():
    questions = [("T > K", "T <= K"), ("T == 6", "T != 6")]
    found = list(check._choices(("T", "K"), questions[:1]))[:8]
    assert any(c["T"] > c["K"] for c in found) and any(c["T"] <= c["K"] for c in found)
    assert {"T": 6} in list(check._choices(("T",), (("T == 6", "T < 6"),)))[:7]


@pytest.mark.parametrize("seed", range(10))
def test_a_relation_is_met_where_numbers_meet_it(seed):
    r = random.Random(seed)
    sizes = {"T": r.randint(1, 5), "K": r.randint(1, 5)}
    for text in ("T > K", "T <= K", "T % 2 == 0", "T == K", "T > 1, K > 1", "T + K >= 6", "T > 2, T < 4"):
        assert check._meets(text, sizes) is all(eval(part, {}, dict(sizes)) for part in text.split(","))
    assert not check._meets("T > Q", sizes) and not check._meets("nothing (", sizes)


def test_sizes_are_ranked_by_ones_likeness_and_size():
    of = lambda *sizes: dict(zip("TKMN", sizes, strict=False))  # noqa: E731
    ranked = [of(3, 2), of(3, 4), of(2, 4), of(3, 3), of(2, 2), of(3, 1), of(1, 1)]
    assert [check._near_three(s)[0] for s in ranked] == [0] * 5 + [1, 2]
    assert sorted(reversed(ranked), key=check._near_three)[0] in ranked[:2]
    assert check._near_three(of(3, 3)) == (0, 1, 0) and check._near_three(of(2, 5)) == (0, 0, 5)
    assert check._few_entries(of(2, 2, 2, 3)) == (0, 24, 3) and check._few_entries(of(1, 2, 1, 3))[0] == 2
    assert [check._alike(of(*s)) for s in ((1, 2, 3), (2, 2, 3), (2, 2, 2), (2, 2, 3, 3))] == [0, 1, 3, 2]


def test_the_symbols_of_two_stops_are_joined():
    one = NeedsConcreteSizes("one", ("T",), (("T > 1", "T == 1"),))
    other = NeedsConcreteSizes("other", ("K", "T"), (("K > 1", "K == 1"), ("T > 1", "T == 1")))
    both = check._joined(one, other)
    assert both.symbols == ("T", "K") and both.what == "other"
    assert both.questions == (("T > 1", "T == 1"), ("K > 1", "K == 1"))


# What ends the work.


@pytest.mark.parametrize(
    ("stop", "status", "words"),
    [
        (OutOfTime(), "UNDECIDED", "no answer within 5 s"),
        (OverflowError("large"), "UNDECIDED", "too large to be examined (OverflowError)"),
        (RecursionError("deep"), "UNDECIDED", "too large to be examined (RecursionError)"),
        (MemoryError("much"), "UNDECIDED", "too large to be examined (MemoryError)"),
        (KeyError("name"), "UNDECIDED", "internal error: KeyError"),
        (SystemExit(3), "UNDECIDED", "internal error: SystemExit"),
        (MalformedError("two names"), "MALFORMED", "two names"),
        (UnsupportedError("a C function"), "UNDECIDED", "a C function"),
        (ShapesDoNotFit("two shapes"), "MALFORMED", "two shapes"),
        (FormulaError("a word"), "MALFORMED", "a word"),
    ],
)
@pytest.mark.parametrize("begun", [True, False])
def test_whatever_ends_the_work_is_told(monkeypatch, stop, status, words, begun):
    def ended(case, budget):
        if begun:
            check.report("equations traced")
        raise stop

    monkeypatch.setattr(check, "judged", ended)
    monkeypatch.setattr(check, "within", lambda seconds, work: work())
    answer = check.answer(asked(), 5.0)
    assert answer.status == status and words in answer.reason
    if isinstance(stop, OutOfTime):
        assert ("by then: equations traced" in answer.reason) is begun


@pytest.mark.parametrize("begun", [True, False])
def test_who_interrupts_the_work_is_told_how_far_it_was(monkeypatch, begun):
    def ended(case, budget):
        if begun:
            check.report("equations traced")
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "judged", ended)
    monkeypatch.setattr(check, "within", lambda seconds, work: work())
    with pytest.raises(KeyboardInterrupt) as told:
        check.answer(asked(), 5.0)
    assert ("by then: equations traced" in str(told.value)) is begun


def test_what_was_not_returned_is_a_fault_of_what_is_proved():
    whole, lacking = said("PROVED"), said("PROVED", unjudged=("w",))
    assert check.complete(whole) is whole
    assert check.complete(lacking).status == "MALFORMED" and "returned of w" in check.complete(lacking).reason
    for status in STATUSES[1:]:
        verdict = said(status, unjudged=("w",))
        assert check.complete(verdict) is verdict


# Before PROVED is said.

GOOD = {
    "repeated": "", "replayed": ["replayed"], "asked": (), "cross": True, "outside": (None, ""), "beside": None,
    "unproved": (), "unasked": "",
}  # fmt: skip


class Found:
    """A disagreement, and whether the claim has a value there."""

    def __init__(self, claimed):
        self.entry = SimpleNamespace(claimed=claimed, name="x", correct=2.0, difference=1.0)

    def __repr__(self):
        return f"Found({self.entry.claimed})"


def confirmed(monkeypatch, *, sites=True, long=False, sizes=None, formula=None, **parts):
    given = {**GOOD, **parts}
    refute = lambda *_, **__: given["beside"]  # noqa: E731
    honest = decide._where_it_does_not_hold
    calls = stand_in(
        monkeypatch, decide, _not_repeated=given["repeated"], _replayed=given["replayed"],
        conditions_of=given["asked"], cross_examine=given["cross"],
        _where_it_does_not_hold=given["outside"], sites=[1] if sites else [], refute=refute,
        refuted=said("REFUTED", reason="a point"), _symmetric_inputs=("about",), _unjudged=("w",),
        _out_of_range=given.get("large", ""),
    )  # fmt: skip
    assert callable(honest)
    side = SimpleNamespace(conditions=("read",), blocks=())
    traced = SimpleNamespace(unasked=given["unasked"], forward=side, backward=side, sizes=sizes or {})
    goal = SimpleNamespace(
        traced=traced, gradient=SimpleNamespace(program=SimpleNamespace(facts=None)), is_long=long, formula=formula,
        sides=SimpleNamespace(expanded=0), question=object(), with_names=lambda verdict: verdict,
    )  # fmt: skip
    proof = decide.Attempt(given["unproved"], ("used",), "no proof")
    return decide._confirmed(goal, "gradients", "all sizes", proof, BUDGET), calls


def test_what_every_line_of_defence_lets_pass_is_proved_with_all_its_conditions(monkeypatch):
    asked_for = (SimpleNamespace(open=False, text="x != 0"),)
    answer, calls = confirmed(monkeypatch, asked=asked_for)
    assert (answer.status, answer.scope) == ("PROVED", "all sizes")
    assert answer.conditions == ("read", "about", "used", "replayed", "x != 0")
    assert answer.unjudged == ("w",)
    assert len(calls["refute"]) == 1 and calls["cross_examine"][0][-1] == 2
    assert confirmed(monkeypatch, formula=object())[0].unjudged == ()
    assert not confirmed(monkeypatch, sites=False)[1]["refute"]
    assert confirmed(monkeypatch, long=True)[1]["cross_examine"][0][-1] == 1


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"unproved": ("x",)}, "no proof"),
        ({"unasked": "NumPy could not be asked"}, "NumPy could not be asked"),
        ({"repeated": "the rule's forward"}, "the rule's forward"),
        ({"replayed": ProofError("a step")}, "the kernel does not accept the derivation: a step"),
        ({"cross": UnsupportedError("no point")}, decide.UNEXAMINED),
        ({"cross": ZeroDivisionError("no point")}, decide.UNEXAMINED),
        ({"cross": Found(1.0)}, decide.DISAGREES),
        ({"outside": (None, "x == 0")}, "rounding decides whether x == 0, where the claim is another"),
        ({"beside": Found(1.0)}, decide.DISAGREES),
        ({"outside": UnsupportedError("no point")}, decide.UNEXAMINED),
        ({"cross": Found(float("nan"))}, decide.DISAGREES),
    ],
    ids=str,
)
def test_each_line_of_defence_alone_keeps_a_claim_from_being_proved(monkeypatch, parts, reason):
    answer, _ = confirmed(monkeypatch, **parts)
    assert (answer.status, answer.reason, answer.scope) == ("UNDECIDED", reason, "")


def test_why_no_point_was_found_is_told_where_numbers_overflow(monkeypatch):
    answer, _ = confirmed(monkeypatch, cross=UnsupportedError("no point"), large="too large")
    assert answer.reason == f"{decide.UNEXAMINED}: too large"


def test_a_point_without_a_value_refutes_where_the_proof_asks_for_more(monkeypatch):
    asked_for = (SimpleNamespace(open=True, text="x > 0"),)
    for parts in ({"cross": Found(float("nan")), "asked": asked_for}, {"outside": (Found(1.0), "")}):
        answer, _ = confirmed(monkeypatch, **parts)
        assert (answer.status, answer.reason) == ("REFUTED", "a point")
    assert confirmed(monkeypatch, cross=Found(1.0), asked=asked_for)[0].status == "UNDECIDED"


@pytest.mark.parametrize(
    ("used", "open", "kinks"), [((), False, False), ((decide.NO_TIES,), True, True), ((decide.AT_KINK,), False, True)]
)
def test_what_a_proof_leaves_out_is_looked_for(monkeypatch, used, open, kinks):
    _, calls = confirmed(monkeypatch, replayed=list(used))
    assert calls["_where_it_does_not_hold"][0][1:] == (open, kinks)
    wide = (SimpleNamespace(open=True, text="x > 0"),)
    assert confirmed(monkeypatch, replayed=list(used), asked=wide)[1]["_where_it_does_not_hold"][0][1] is True


@pytest.mark.parametrize("where", ["small", "thresholds", "ties", "outside", "nowhere"])
@pytest.mark.parametrize("open", [True, False])
@pytest.mark.parametrize("long", [True, False])
def test_a_claim_is_asked_on_thresholds_beside_ties_and_where_it_may_have_no_value(monkeypatch, where, open, long):
    points = {name: object() if name == where else None for name in ("small", "thresholds", "ties", "outside")}
    calls = stand_in(
        monkeypatch, decide, refute_on_thresholds=(points["thresholds"], "unmet"),
        refute_beside_ties=points["ties"], refute_outside=points["outside"], refute_at_small_sizes=points["small"],
    )  # fmt: skip
    goal = SimpleNamespace(question=object(), is_long=long, seen_alike=False)
    found, unmet = decide._where_it_does_not_hold(goal, open, False)
    if where == "small":
        assert found is points["small"] and not calls["refute_on_thresholds"]
        seen = SimpleNamespace(question=object(), is_long=long, seen_alike=True)
        assert decide._where_it_does_not_hold(seen, open, False) == (None, "unmet"), "floating point has looked there"
        return
    assert unmet == "unmet"
    assert found is (None if where == "nowhere" or (where == "outside" and not open) else points[where])
    if where != "thresholds":
        assert calls["refute_beside_ties"][0][-1] == (1 if long else decide.BESIDE_TIES)


@pytest.mark.parametrize("sizes", [{}, {"T": 3}])
@pytest.mark.parametrize("fails", [0, 1, 2])
def test_the_kernel_writes_axes_out_only_if_need_be(monkeypatch, sizes, fails):
    made = []

    class Kernel:
        def __init__(self, program, expanded):
            made.append(expanded)

        def replay(self, derivation):
            if len(made) <= fails:
                raise ProofError("a step")
            return (f"of {derivation}",)

    monkeypatch.setattr(decide, "Kernel", Kernel)
    gradient = SimpleNamespace(program=None, derivations={1: "x", 2: "w"})
    goal = SimpleNamespace(traced=SimpleNamespace(sizes=sizes), gradient=gradient)
    ways = [decide.WRITTEN_OUT] if sizes else [0, decide.WRITTEN_OUT]
    if fails >= len(ways):
        with pytest.raises(ProofError):
            decide._replayed(goal)
    else:
        assert decide._replayed(goal) == ["of x", "of w"]
    assert made == ways[: fails + 1]


@pytest.mark.parametrize("stages", ["look", "tries", "look tries", "tries look", "tries tries"])
@pytest.mark.parametrize("point", [True, False])
@pytest.mark.parametrize("proved", [True, False])
@pytest.mark.parametrize("long", [True, False])
def test_the_stages_are_gone_through_until_one_decides(monkeypatch, stages, point, proved, long):
    found, done = object() if point else None, decide.Attempt((), (), "")
    open_ = decide.Attempt(("x",), (), "no proof")
    calls = stand_in(
        monkeypatch, decide, look=found, prove=done if proved else open_, _confirmed=said("PROVED"),
        refuted=said("REFUTED"), _with_slopes_of_claim=None,
    )  # fmt: skip
    sides = SimpleNamespace(is_long=long, quick=("quick",))
    goal = SimpleNamespace(names=("x", "w"), sides=sides, formula=None, traced=None)
    table = {"look": decide.FIRST_LOOK, "tries": decide.Tries((), "patient")}
    answer = decide.decide(goal, "gradients", "all sizes", BUDGET, [table[s] for s in stages.split()])
    order = [s for s in stages.split() if not (s == "tries" and long)]
    wanted = next((s for s in order if (point if s == "look" else proved)), None)
    assert answer.status == {"look": "REFUTED", "tries": "PROVED", None: "UNDECIDED"}[wanted]
    if wanted is None:
        tried = "tries" in order
        assert answer.reason == ("no proof" if tried else "")
        assert any("shown to be right so far, 1 of 2: w" in note for note in answer.notes) is tried
        assert any("not decided" in note for note in answer.notes)
    for call in calls["prove"]:
        assert call[2] == ("quick",)
    plain = decide.decide(goal, "gradients", "all sizes", BUDGET, [decide.Tries()])
    assert plain.status == ("PROVED" if proved else "UNDECIDED"), "without a share of its own it is tried of any model"


@pytest.mark.parametrize("error", [UnsupportedError("no"), MalformedError("two"), ZeroDivisionError("none")], ids=str)
def test_what_stops_a_stage_is_the_answer(monkeypatch, error):
    stand_in(monkeypatch, decide, look=error)
    goal = SimpleNamespace(names=("x",), sides=SimpleNamespace(is_long=False, quick=()), formula=None, traced=None)
    answer = decide.decide(goal, "gradients", "all sizes", BUDGET, [decide.FIRST_LOOK])
    assert answer.status == ("MALFORMED" if isinstance(error, MalformedError) else "UNDECIDED")


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("formula", [None, object()], ids=["backward", "formula"])
def test_branches_are_turned_to_those_of_the_claim_where_it_is_not_proved(monkeypatch, again, turned, formula):
    other = SimpleNamespace(names=("x",), sides=SimpleNamespace(quick=("its own",)))
    open_, done = decide.Attempt(("x",), (), "no proof"), decide.Attempt((), (), "")
    calls = stand_in(
        monkeypatch, decide, _with_slopes_of_claim=object() if turned else None, _goal=other, _confirmed=said("PROVED"),
        prove=lambda goal, *_: done if goal is other and again else open_,
    )  # fmt: skip
    goal = SimpleNamespace(
        names=("x",), sides=SimpleNamespace(is_long=False, quick=("quick",)), formula=formula, traced=None
    )
    answer = decide.decide(goal, "gradients", "all sizes", BUDGET, [decide.Tries()])
    ways = turned and formula is None
    assert answer.status == ("PROVED" if again and ways else "UNDECIDED")
    if answer.status == "PROVED":
        assert calls["_confirmed"][0][0] is other
    stated = decide.decide(goal, "gradients", "all sizes", BUDGET, [decide.Tries(("named",))])
    assert stated.status == "UNDECIDED", "after the quick ways alone"


@pytest.mark.parametrize("stage", ["first look", "directed"])
@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("names", [("x", "w"), ("w",)])
def test_numbers_are_asked_of_what_is_left_where_floats_have_not_said_enough(monkeypatch, stage, alike, names):
    calls = stand_in(monkeypatch, decide, refute="found")
    part = object()
    question = SimpleNamespace(only=lambda kept: (part, kept))
    goal = SimpleNamespace(question=question, names=("x", "w"), suspicious=("here",), seen_alike=alike)
    found = decide.look(goal, names, decide.Look(stage, "first look", 5, 4), BUDGET)
    if stage == "first look" and alike:
        assert found is None and not calls["refute"]
        return
    assert found == "found"
    ((asked_of, _, seed, given, at, most),) = calls["refute"]
    assert asked_of is question if len(names) == 2 else asked_of == (part, names)
    assert (seed, given, at, most) == (5, stage, ("here",) if stage == "first look" else (), 4)


@pytest.mark.parametrize("shape", [True, False])
@pytest.mark.parametrize("unproved", [(), ("x",)])
def test_a_claim_is_confirmed_by_a_proof_alone(monkeypatch, shape, unproved):
    goal = SimpleNamespace(names=("x",), sides=SimpleNamespace(quick=()))
    stand_in(
        monkeypatch, decide, goal_of=goal, of_wrong_shape=said("MALFORMED") if shape else None,
        prove=decide.Attempt(unproved, (), "no proof"), _confirmed=said("PROVED"),
    )  # fmt: skip
    answer = decide.confirm_pair(None, "gradients", BUDGET)
    assert answer.status == ("UNDECIDED" if shape or unproved else "PROVED")
    assert answer.reason == ("a gradient has another shape than its input" if shape else "no proof" if unproved else "")


@pytest.mark.parametrize("repeated", [None, SimpleNamespace(outputs=(ONE,))], ids=["none", "a rule's"])
@pytest.mark.parametrize("unproved", [(), ("t",)])
def test_the_forward_of_a_rule_must_be_proved_to_return_what_the_function_does(monkeypatch, repeated, unproved):
    if repeated:
        repeated = SimpleNamespace(outputs=(SimpleNamespace(name="t"),))
    stand_in(monkeypatch, decide, search_proof=decide.Attempt(unproved, (), ""), Sides=object())
    traced = SimpleNamespace(forward=SimpleNamespace(outputs=(SimpleNamespace(name="o"),)), repeated=repeated, sizes={})
    told = decide._not_repeated(SimpleNamespace(traced=traced, question=None), BUDGET)
    assert bool(told) is (repeated is not None and bool(unproved))


# Symbols for all lengths.


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("questions", [0, 1, 3, 20])
@pytest.mark.parametrize("where", [None, "n3 > 1"])
def test_what_the_code_asks_of_lengths_is_answered_by_those_that_they_have(monkeypatch, status, questions, where):
    texts = [
        ("n3 < n4", "n3 >= n4"),
        ("n3 % 2 == 0", "n3 % 2 == 1"),
        ("n4 > 2", "n4 <= 2"),
        *((f"n3 > -{k}", f"n3 <= -{k}") for k in range(20)),
    ]
    asked_for = []

    def trace(case, sizes, seconds):
        asked_for.append(case.where)
        if len(asked_for) <= questions:
            raise NeedsConcreteSizes("a branch", ("n3",), (texts[len(asked_for) - 1],))
        return SimpleNamespace()

    monkeypatch.setattr(Case, "trace", trace)
    calls = stand_in(monkeypatch, check, decide_pair=said(status, notes=("own",)), _scope="all sizes")
    answer = check._with_symbols(asked(shapes={"x": (3, 4, "N")}, where=where), BUDGET)
    if questions >= check.MOST_QUESTIONS:
        assert answer is None and len(asked_for) == check.MOST_QUESTIONS
        return
    answers = ["n3 < n4", "n3 % 2 == 1", "n4 > 2"]
    assert asked_for == [", ".join([where] * bool(where) + answers[:k]) or None for k in range(questions + 1)]
    assert len(calls["decide_pair"]) == 1
    if status != "PROVED":
        assert answer is None
    else:
        assert answer.notes == ("own", check.CASE_OF_THIS)
        assert answer.scope == "all sizes of N, the others as given"


def test_a_length_of_which_nothing_can_be_answered_is_a_number_again(monkeypatch):
    shapes = []

    def trace(case, sizes, seconds):
        shapes.append(case.shapes)
        if len(shapes) < 3:
            raise NeedsConcreteSizes("a loop", ("n3",) if len(shapes) == 1 else ("n5", "q"), ())
        return SimpleNamespace()

    monkeypatch.setattr(Case, "trace", trace)
    stand_in(monkeypatch, check, decide_pair=said("PROVED"), _scope="all sizes")
    assert check._with_symbols(asked(shapes={"x": (3, 4, 5)}), BUDGET).scope == "the sizes given"
    assert [s["x"] for s in shapes] == [("n3", "n4", "n5"), (3, "n4", "n5"), (3, "n4", 5)]
    for stop in (NeedsConcreteSizes("a loop", ("q",), ()), UnsupportedError("no")):
        traced_as(monkeypatch, stop)
        assert check._with_symbols(asked(shapes={"x": (3, 4)}), BUDGET) is None
    traced_as(monkeypatch, NeedsConcreteSizes("a loop", ("n3",), ()))
    assert check._with_symbols(asked(shapes={"x": (3,)}), BUDGET) is None, "no symbol is left"
    assert check._with_symbols(asked(), BUDGET) is None, "there are no lengths"


# What is refuted.


@pytest.mark.parametrize("rounded", [(), (1e-17,), (1e-17, 1e-9)])
@pytest.mark.parametrize("proved", [True, False])
@pytest.mark.parametrize("status", ["PROVED", "UNDECIDED", "error"])
@pytest.mark.parametrize("scope", [None, "all sizes"])
def test_constants_that_are_rounded_are_told(monkeypatch, rounded, proved, status, scope):
    told = [SimpleNamespace(error=e, text=f"c{k}") for k, e in enumerate(rounded)]
    exact = SimpleNamespace(names=("x",), sides=SimpleNamespace(quick=()))
    proof = decide.Attempt(() if proved else ("x",), (), "")
    calls = stand_in(
        monkeypatch, decide, without_rounding=(None, told), goal_of=exact, prove=proof, rounded_to="1e-9",
        _confirmed=UnsupportedError("no") if status == "error" else said(status, conditions=("own",)), replace=lambda given, **parts: replace(given, **parts) if isinstance(given, Verdict) else given,
        wrong_gradients=["w"],
    )  # fmt: skip
    traced = SimpleNamespace(forward=None, backward=None)
    goal = SimpleNamespace(traced=traced, question=None, names=("x", "w", "b"), with_names=lambda v: v)
    found = Found(1.0)
    answer = decide._up_to_rounding(goal, "gradients", found, BUDGET, scope)
    if not rounded or not proved or status != "PROVED":
        assert answer is None
    elif max(rounded) <= decide.ROUNDING:
        assert (answer is None) is (scope is None)
        assert scope is None or answer.conditions == ("own", "c0, up to rounding of constants")
        assert calls["_confirmed"][0][2] == (scope or "")
    else:
        assert answer.status == "REFUTED" and answer.wrong == ("x", "w") and "c0; c1" in answer.diagnosis
        assert calls["wrong_gradients"][0][1] == ["w", "b"]
    assert decide._up_to_rounding(goal, "gradients", found, Budget(-1.0), scope) is None


@pytest.mark.parametrize("text", ["dx", "d" * (decide.MAXIMUM_CURE - 3), "d" * decide.MAXIMUM_CURE])
@pytest.mark.parametrize("whole", [True, False, None])
@pytest.mark.parametrize("known", [True, False])
def test_a_cure_is_told_in_full_lines_and_names_that_are_known(monkeypatch, text, whole, known):
    zero = Entry(Tensor("y", ()))
    lines = () if whole is None else (CuredLine(1, Entry(Tensor(text, ())), zero, whole=whole),)
    monkeypatch.setattr(decide, "_explained", lambda goal, words, unknown: f"{words}, where t is 0")
    cause = SimpleNamespace(text="t[i] is 2*x")
    answer = decide._cure(None, cause, lines, set() if known else {"t"})
    shown = lines[0].text if lines else ""
    if shown and len(shown) <= decide.MAXIMUM_CURE and (not whole or not known):
        assert answer == shown
    else:
        assert answer == "t[i] is 2*x, where t is 0"
    assert decide._cure(None, None, lines, set()) == ""
    long = SimpleNamespace(text="t[i] is " + "x" * decide.MAXIMUM_CURE)
    assert bool(decide._cure(None, long, (), {"t"})) is False and decide._cure(None, long, (), set())


@pytest.mark.parametrize("kind", ["symmetric", "spd", None])
def test_of_a_symmetric_matrix_the_symmetric_part_is_judged(kind):
    """Half of the gradient and of its transpose, at each place."""
    C = SymmetricTensor("C", (N, N))
    claimed = Tensor("dC", (N, N))
    line = decide.symmetric_part(Tensor("part", (N, N)), claimed)
    p, q = line.indices
    assert line.value is multiply(number(Fraction(1, 2)), add(Entry(claimed, (p, q)), Entry(claimed, (q, p))))
    stack = decide.symmetric_part(Tensor("part", (M, N, N)), Tensor("dS", (M, N, N)))
    b, p, q = stack.indices
    assert [i.size for i in stack.indices] == [M, N, N] and len({i.name for i in stack.indices}) == 3
    assert stack.value is multiply(
        number(Fraction(1, 2)),
        add(Entry(Tensor("dS", (M, N, N)), (b, p, q)), Entry(Tensor("dS", (M, N, N)), (b, q, p))),
    )
    forward = Program((C, A), (), ())
    other = Tensor("da", ())
    backward = Program((claimed,), (Equation(other, (), number(1)),), (other,))
    traced = Traced(forward, backward, (), {"C": claimed, "a": other})
    found = decide._with_symmetric_parts(traced)
    assert found.gradients["a"] is other and found.gradients["C"] is not claimed
    assert set(found.backward.outputs) == set(found.gradients.values())
    assert found.backward.by_tensor[found.gradients["C"]].value.factors[0] is number(Fraction(1, 2))
    flat = Traced(forward, backward, (), {"C": Tensor("dC", (N,)), "a": other})
    assert decide._with_symmetric_parts(flat) is flat, "what has another shape is told as it is"
    known = (SimpleNamespace(tensor=C, kind=kind),) if kind else ()
    told = decide._symmetric_inputs(SimpleNamespace(forward=SimpleNamespace(inputs=(C, A), assumptions=known)))
    assert [t.split(",")[0] for t in told] == (
        [] if kind is None else [{"symmetric": "C is symmetric", "spd": "C is symmetric and positive definite"}[kind]]
    )


def test_inputs_that_are_data_need_no_gradient():
    inputs = (A, B, LABEL, Tensor("c", ()))
    data = (SimpleNamespace(tensor=B),)
    traced = SimpleNamespace(forward=SimpleNamespace(inputs=inputs, assumptions=data), gradients={"a": None})
    assert decide._unjudged(traced) == ("c",)


def test_shapes_are_told_as_the_user_would_write_them():
    assert [decide.shape_text(Tensor("x", s)) for s in ((), (N,), (N, number(3)))] == ["()", "(N,)", "(N, 3)"]


def test_a_proof_of_lengths_as_one_of_these_is_of_all_sizes_and_excludes_none_of_them():
    given, proved = asked(shapes={"x": ("N", 4)}), said("PROVED")
    for told in (proved, replace(proved, conditions=("n4 != 5",))):
        assert check._of_given_lengths(told, given).status == "PROVED"
    for changed in ({"scope": "N = 3"}, {"status": "UNDECIDED"}, {"conditions": ("n4 != 4",)}):
        assert check._of_given_lengths(replace(proved, **changed), given) is None
