"""What has been worked out is not worked out again, and what cannot tell anything is not asked."""

import numpy as np

from symbackprop.checking.diagnosis import rare_branches as rare
from symbackprop.checking.lookalikes import Lookalikes, View
from symbackprop.checking.question import Question
from symbackprop.checking.refute import PRECISIONS, Search, precisions, wrong_gradients
from symbackprop.checking.rounded_branches import RoundedBranches
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import ONE, Tensor, multiply, number
from symbackprop.expression.program import Equation
from symbackprop.frontends.numpy.array import Buffer
from symbackprop.frontends.numpy.traced import trace, trace_pair

ROW = {"x": ("N",)}


def question_of(traced):
    inputs = {t.name: t for t in traced.forward.inputs}
    pairs = {name: (inputs[name], tensor) for name, tensor in traced.gradients.items()}
    return Question(traced.forward, traced.backward, pairs, traced.upstream)


def two_wrong():
    """Both gradients are wrong, and both show it at every point."""
    return trace_pair(
        lambda x, w: x * w, lambda dout, x, w: {"x": 2 * dout * w, "w": 3 * dout * x}, {"x": ("N",), "w": ("N",)}
    )


def test_the_referee_is_asked_only_where_both_sides_of_a_comparison_come_near(monkeypatch):
    program = trace(lambda x: np.where(1 - np.tanh(x) == 0, 7 * x, x), ROW)
    (x,) = program.inputs
    (size,) = x.shape
    near, far, none = (Point({size: 2}, {x: np.array(v)}) for v in ([100.0, 0.5], [0.25, 0.5], [np.nan, 0.5]))
    branches, asked, real = RoundedBranches(program), [], RoundedBranches._values
    monkeypatch.setattr(RoundedBranches, "_values", lambda self, e, p: asked.append(p) or real(self, e, p))
    branches.expect([near, far, none])
    assert branches.at(near) and not branches.at(far)
    assert asked and all(p is near for p in asked)
    branches.at(none)
    assert asked[-1] is none, "where a side is no number nothing is told apart"


def test_what_may_be_left_of_ordinary_numbers_is_near():
    program = trace(lambda x: np.where(1e-20 * np.tanh(x) < 3e-20 * np.exp(x), 7 * x, x), ROW)
    (x,) = program.inputs
    (size,) = x.shape
    branches = RoundedBranches(program)
    branches.expect([Point({size: 2}, {x: np.array([0.25, 0.5])})])
    assert branches.sides and not branches._apart


def test_no_more_points_are_drawn_once_every_branch_was_taken_and_not(monkeypatch):
    traced = trace_pair(lambda x: np.where(x > 0, x, 0), lambda dout, x: {"x": 2 * dout * (x > 0)}, {"x": ("N", "M")})
    ran, real = [], Vectors.run
    monkeypatch.setattr(Vectors, "run", lambda self, lines: ran.append(self._guarded) or real(self, lines))
    assert rare.rare_branches(traced, question_of(traced)) == {}
    assert 0 < sum(ran) < rare.ENOUGH


def test_whether_a_line_computes_anything_is_asked_once(monkeypatch):
    asked, real = [], Buffer._is_idle
    monkeypatch.setattr(Buffer, "_is_idle", lambda self, session: asked.append(self) or real(self, session))
    traced = trace_pair(lambda x: x.T * 2, lambda dout, x: {"x": 2 * dout.T}, {"x": ("N", "M")})
    first = [r.idle() for r in traced.ran]
    count = len(asked)
    assert count and [r.idle() for r in traced.ran] == first and len(asked) == count


def test_no_more_points_are_examined_once_all_are_found_that_floating_point_shows(monkeypatch):
    question, examined, real = question_of(two_wrong()), [], Search.examine
    monkeypatch.setattr(Search, "examine", lambda self, *a: examined.append(a) or real(self, *a))
    point = next(Search(question, 1.0).points("first look"))[0]
    found = wrong_gradients(question, stage="first look", at=[point], most=3, enough={"x", "w"})
    assert found == ["x", "w"] and len(examined) == 1
    assert wrong_gradients(question, ["w", "x"], stage="first look", most=3, enough={"x"}) == ["w", "x"]


def test_floating_point_is_not_asked_again_where_arrays_have_told():
    question = question_of(two_wrong())
    search = Search(question, 1.0)
    point = next(search.points("first look"))[0]
    plain = search._in_floats(point)
    told = plain.__class__(point, plain.number_field, plain.claimed, plain.correct, {})
    question.told_floats[id(point)] = told
    assert search._in_floats(point) is told and Search(question.only(["x"]), 1.0)._in_floats(point) is told


def test_precisions_rise_and_end_with_the_highest():
    for lines in (1, 50, 100, 128, 300, 301, 1000, 10_000):
        for least in PRECISIONS:
            found = precisions(lines, least)
            assert found[-1] == PRECISIONS[-1] and found[0] >= least and found == sorted(set(found))
    assert precisions(20, 128) == [128, 256, 1024]


def test_numbers_of_tensors_are_kept_where_their_equations_are():
    traced = trace_pair(lambda x: np.sin(x), lambda dout, x: {"x": dout * np.cos(x)}, {"x": ("N",)})
    (out,), (own,) = traced.forward.equations, traced.backward.equations[-1:]
    alike = Lookalikes(question_of(traced), tuple({e.tensor: e for e in (out, *traced.backward.equations)}.values()))
    told = Tensor("told", own.tensor.shape)
    same = (*alike._equations, Equation(told, own.indices, own.left))

    def found(alike, tensor):
        alike.add(own.tensor)
        return [(like.other, like.factor) for like in alike.of(tensor)]

    assert found(alike.afresh(), own.tensor) == [(own.tensor, ONE)]
    retold = alike.afresh(same, retold=True)
    assert found(retold, told) == [(own.tensor, ONE)] and alike._seen.profiles
    assert all(v.arrays[own.tensor] is w.arrays[own.tensor] for v, w in zip(alike.vectors, retold.vectors, strict=True))
    twice = Equation(own.tensor, own.indices, multiply(number(2), own.value))
    other = retold.afresh(tuple(twice if e.tensor is own.tensor else e for e in same))
    assert View(own.tensor) in retold._seen.profiles and View(own.tensor) not in other._seen.profiles
    assert found(other, told) == [(own.tensor, ONE)], "which is computed from it"
    assert found(other, out.tensor) == []
