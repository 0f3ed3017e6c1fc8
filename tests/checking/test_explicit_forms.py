"""Recurrences that add up to something: a backward pass without steps of its own is met, and a wrong one is not."""

from dataclasses import replace

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.calculus.lemmas import Replay
from symbackprop.checking.composition import Composition
from symbackprop.checking.decide import goal_of
from symbackprop.checking.explicit_forms import Explicit
from symbackprop.errors import ProofError
from symbackprop.expression.build import ZERO, add, multiply, number
from symbackprop.frontends.numpy.traced import trace_pair
from symbackprop.normal_form.work_time import worked

CASES = {}


def case(shapes, wrong):
    """Enter a case: its shapes, and the gradients that are wrong with the slip."""

    def enter(build):
        CASES[build.__name__] = (build, shapes, wrong)
        return build

    return enter


@case({"q": ("N", "D"), "k": ("M", "D"), "v": ("M", "E")}, ["q", "k"])
def attention_by_keys(wrong):
    """Running maximum, rescaled sum and rescaled weighted value, for all queries at once."""

    def forward(q, k, v):
        m, s, o = np.full(len(q), -np.inf), np.zeros(len(q)), np.zeros((len(q), v.shape[1]))
        for j in range(len(k)):
            z = q @ k[j]
            new = np.maximum(m, z)
            r, e = np.exp(m - new), np.exp(z - new)
            s, o, m = s * r + e, o * r[:, None] + e[:, None] * v[j], new
        return o / s[:, None]

    def backward(do, q, k, v):
        z = q @ k.T
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p = p / p.sum(axis=1, keepdims=True)
        dp = do @ v.T
        dz = p * (dp - (dp if wrong else p * dp).sum(axis=1, keepdims=True))
        return {"q": dz @ k, "k": dz.T @ q, "v": p.T @ do}

    return forward, backward


@case({"x": ("T",)}, ["x"])
def log_sum_exp(wrong):
    def forward(x):
        m, s = -np.inf, 0.0
        for t in range(len(x)):
            new = max(m, x[t])
            s = s * np.exp(m - new) + np.exp(x[t] - new)
            m = new
        return m + np.log(s)

    def backward(dout, x):
        e = np.exp(x - x.max())
        return {"x": dout * e / (e[1:] if wrong else e).sum()}

    return forward, backward


@case({"x": ("T", "N")}, ["x"])
def prefix_means(wrong):
    def forward(x):
        s, out = np.zeros(x.shape[1]), np.zeros_like(x)
        for t in range(len(x)):
            s = s + x[t]
            out[t] = s / (t + 1)
        return out

    def backward(dout, x):
        w = dout / len(x) if wrong else dout / np.arange(1, len(x) + 1)[:, None]
        return {"x": np.cumsum(w[::-1], axis=0)[::-1]}

    return forward, backward


@case({"z": ("T",), "w": ()}, ["z", "w"])
def softmax_of_sums(wrong):
    """The steps are the backward's alone."""

    def forward(z, w):
        e = np.exp(z * w - (z * w).max())
        return np.cumsum(e / e.sum())

    def backward(dout, z, w):
        e = np.exp(z * w - (z * w).max())
        p = e / e.sum()
        dp, total = np.zeros_like(p), 0.0
        for t in range(len(z) - 1, -1, -1):
            if not wrong:
                total = total + dout[t]
            dp[t] = total
            if wrong:
                total = total + dout[t]
        dz = p * (dp - p @ dp)
        return {"z": dz * w, "w": dz @ z}

    return forward, backward


@case({"x": ("T",)}, ["x"])
def largest(wrong):
    def forward(x):
        m = -np.inf
        for t in range(len(x)):
            m = max(m, x[t])
        return m

    def backward(dout, x):
        return {"x": dout * ((x >= x.mean()) if wrong else (x == x.max()))}

    return forward, backward


@case({"x": ("T",)}, ["x"])
def smallest_from_the_first(wrong):
    def forward(x):
        m = x[0]
        for t in range(1, len(x)):
            if x[t] < m:
                m = x[t]
        return m * m

    def backward(dout, x):
        m = x.max() if wrong else x.min()
        return {"x": 2 * m * dout * (x == m)}

    return forward, backward


@case({"x": ("T", "D")}, ["x"])
def logarithms_of_running_sums(wrong):
    """The derivative of a running maximum, which only sets the scale of a sum, is that sum times its derivative."""

    def forward(x):
        m, s, y = x[0], np.zeros(x.shape[1]), np.zeros_like(x)
        for t in range(len(x)):
            new = np.maximum(m, x[t])
            s = s * np.exp(m - new) + np.exp(x[t] - new)
            m = new
            y[t] = m + np.log(s)
        return y

    def backward(dout, x):
        sums, s, g, dx = np.zeros_like(x), np.zeros(x.shape[1]), np.zeros(x.shape[1]), np.zeros_like(x)
        for t in range(len(x)):
            s = s + np.exp(x[t])
            sums[t] = s
        for t in reversed(range(len(x))):
            g = g + dout[t] / sums[t]
            dx[t] = np.exp(x[t]) * (dout[t] / sums[t] if wrong else g)
        return {"x": dx}

    return forward, backward


@pytest.mark.parametrize("name", CASES)
def test_check_proves_what_a_recurrence_adds_up_to(name):
    build, shapes, _ = CASES[name]
    verdict = sb.check(*build(False), shapes=shapes)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("no_diagnosis")
def test_check_refutes_a_slip_beside_a_recurrence(name):
    build, shapes, wrong = CASES[name]
    verdict = sb.check(*build(True), shapes=shapes)
    assert verdict.status == "REFUTED"
    assert sorted(verdict.wrong) == sorted(wrong)


@pytest.mark.parametrize("slip", ["one more", "twice"])
def test_composition_shows_no_false_sum(slip, monkeypatch):
    """What is proposed is shown, step by step, or dropped: here all that is proposed is false."""
    build, shapes, _ = CASES["log_sum_exp"]
    goal, usual, seen = goal_of(trace_pair(*build(False), shapes)), Explicit.sums, []

    def falsified(self, own, block, lines):
        for form in usual(self, own, block, lines):
            seen.append(own.tensor)
            yield add(form, number(1)) if slip == "one more" else multiply(number(2), form)

    monkeypatch.setattr(Explicit, "sums", falsified)
    facts, derived = goal.gradient.program.facts, goal.gradient.adjoint
    composition = Composition(goal.question, derived, goal.traced.backward, facts, worked() + 1, explicit=True)
    composition.walk()
    assert seen
    assert not set(seen) & composition.lemmas.keys()


@pytest.mark.parametrize("slip", ["one more", "twice"])
def test_composition_shows_no_false_derivative_of_a_scale(slip, monkeypatch):
    build, shapes, _ = CASES["logarithms_of_running_sums"]
    goal, usual, seen = goal_of(trace_pair(*build(False), shapes)), Explicit.scales, []

    def falsified(self, own, *rest):
        for form in usual(self, own, *rest):
            seen.append(own.tensor)
            yield add(form, number(1)) if slip == "one more" else multiply(number(2), form)

    monkeypatch.setattr(Explicit, "scales", falsified)
    facts, derived = goal.gradient.program.facts, goal.gradient.adjoint
    composition = Composition(goal.question, derived, goal.traced.backward, facts, worked() + 4)
    composition.walk()
    assert seen
    assert not [m for m in composition.lemmas.values() if m.equation.tensor in seen and m.equation.value is not ZERO]


def test_replay_accepts_the_derivative_of_a_scale_and_no_other():
    """Shown alone, under the hypothesis that it holds at earlier steps: not for twice that, and not without it."""

    def forward(x):
        m, s = x[0], 0.0
        for v in x:
            if v > m:
                s, m = s * np.exp(m - v) + 1.0, v
            else:
                s = s + np.exp(v - m)
        return m + np.log(s)

    goal = goal_of(trace_pair(forward, lambda dout, x: {"x": dout * np.exp(x - forward(x))}, {"x": ("T",)}))
    facts, derived = goal.gradient.program.facts, goal.gradient.adjoint
    composition = Composition(goal.question, derived, goal.traced.backward, facts, 1e9)
    composition.walk()
    (scale,) = [m for m in composition.lemmas.values() if m.inductive]
    assert Replay(composition.program, [scale]).lemmas
    twice = replace(scale.equation, value=multiply(number(2), scale.equation.value))
    for wrong in (replace(scale, equation=twice), replace(scale, inductive=False)):
        with pytest.raises(ProofError):
            Replay(composition.program, [wrong])


@pytest.mark.parametrize(("start", "kind"), [(2.0, "max"), (-3.0, "max"), (2.0, "min"), (-3.0, "min")])
def test_trace_of_a_running_extremum_begins_with_what_was_before(start, kind):
    def forward(x):
        m = start
        for t in range(len(x)):
            m = max(m, x[t]) if kind == "max" else min(m, x[t])
        return m

    run = sb.compile(sb.trace(forward, {"x": ("T",)}))
    for x in (np.array([1.0, -5.0]), np.array([4.0]), np.array([0.5, 2.5, -1.0])):
        assert run(x=x)["out"] == forward(x)


def test_check_refuses_minus_infinity_that_is_not_gone():
    def forward(x):
        m, out = -np.inf, np.zeros_like(x)
        for t in range(len(x)):
            out[t] = m
            m = max(m, x[t])
        return out

    verdict = sb.check(forward, lambda dout, x: {"x": np.zeros_like(x)}, shapes={"x": ("T",)})
    assert verdict.status in ("UNDECIDED", "MALFORMED"), str(verdict)
