"""Loops whose rounds depend on each other: right for every length, or refuted.

Each case is a forward pass and a hand-written backward pass with one slip that can be switched on. Steps are counted up
and down, from 1, two back
what is carried stands in names, buffers, lists, dictionaries
in place and not.
"""

import re
from dataclasses import replace

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking.composition import Composition
from symbackprop.checking.decide import goal_of
from symbackprop.checking.lookalikes import Lookalikes
from symbackprop.document.proof_document import proof_document, unbacked
from symbackprop.document.recurrence_section import first_and_later
from symbackprop.expression.build import ONE, add
from symbackprop.frontends.numpy.traced import trace_pair
from symbackprop.rendering.notation import NAMES
from symbackprop.rendering.text import to_text

CASES = {}


def case(shapes, wrong, assume=None, where=None):
    """Enter a case: its shapes, and the gradients that are wrong with the slip."""

    def enter(build):
        CASES[build.__name__] = (build, shapes, wrong, assume, where)
        return build

    return enter


def logistic(a):
    return 1 / (1 + np.exp(-a))


@case({"x": ("T",), "a": ()}, ["a"])
def ema(wrong):
    def forward(x, a):
        m = 0.0
        out = np.zeros_like(x)
        for t in range(len(x)):
            m = a * m + (1 - a) * x[t]
            out[t] = m
        return out

    def backward(dout, x, a):
        ms = np.zeros(len(x) + 1)
        for t in range(len(x)):
            ms[t + 1] = a * ms[t] + (1 - a) * x[t]
        g = 0.0
        dx = np.zeros_like(x)
        da = 0.0
        for t in range(len(x) - 1, -1, -1):
            g = g + dout[t]
            dx[t] = g * (1 - a)
            da += g * (ms[t] - x[t]) if not wrong else g * ms[t]
            g = g * a
        return {"x": dx, "a": np.array(da)}

    return forward, backward


@case({"x": ("T", "N", "D"), "W": ("D", "H"), "U": ("H", "H"), "b": ("H",)}, ["U"])
def rnn_dict(wrong):
    def run(x, W, U, b):
        hs = {}
        hs[-1] = np.zeros((x.shape[1], U.shape[0]))
        for t in range(len(x)):
            hs[t] = np.tanh(x[t] @ W + hs[t - 1] @ U + b)
        return hs

    def forward(x, W, U, b):
        hs = run(x, W, U, b)
        s = 0.0
        for t in range(len(x)):
            s = s + np.sum(hs[t] ** 2)
        return s

    def backward(x, W, U, b):
        hs = run(x, W, U, b)
        dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b)
        dx = np.zeros_like(x)
        dhnext = np.zeros_like(hs[0])
        for t in reversed(range(len(x))):
            dh = 2 * hs[t] + dhnext
            draw = (1 - hs[t] * hs[t]) * dh
            db += draw.sum(0)
            dW += x[t].T @ draw
            dU += (hs[t] if wrong else hs[t - 1]).T @ draw
            dx[t] = draw @ W.T
            dhnext = draw @ U.T
        return {"x": dx, "W": dW, "U": dU, "b": db}

    return forward, backward


@case(
    {
        "x": ("T", "N", "D"),
        "h0": ("N", "H"),
        "Wz": ("D", "H"),
        "Uz": ("H", "H"),
        "Wr": ("D", "H"),
        "Ur": ("H", "H"),
        "Wh": ("D", "H"),
        "Uh": ("H", "H"),
    },
    ["x", "h0", "Wz", "Uz", "Wr", "Ur", "Wh", "Uh"],
)
def gru(wrong):
    def run(x, h0, Wz, Uz, Wr, Ur, Wh, Uh):
        h = h0
        hs = []
        for t in range(len(x)):
            z = logistic(x[t] @ Wz + h @ Uz)
            r = logistic(x[t] @ Wr + h @ Ur)
            c = np.tanh(x[t] @ Wh + (r * h) @ Uh)
            h = (1 - z) * h + z * c
            hs.append(h)
        return np.stack(hs)

    def forward(x, h0, Wz, Uz, Wr, Ur, Wh, Uh):
        return run(x, h0, Wz, Uz, Wr, Ur, Wh, Uh)

    def backward(dout, x, h0, Wz, Uz, Wr, Ur, Wh, Uh):
        H = run(x, h0, Wz, Uz, Wr, Ur, Wh, Uh)
        prev = np.concatenate([h0[None], H[:-1]])
        dWz, dUz, dWr, dUr, dWh, dUh = [np.zeros_like(v) for v in (Wz, Uz, Wr, Ur, Wh, Uh)]
        dx = np.zeros_like(x)
        dh = np.zeros_like(h0)
        for t in reversed(range(len(x))):
            hp = prev[t]
            z = logistic(x[t] @ Wz + hp @ Uz)
            r = logistic(x[t] @ Wr + hp @ Ur)
            c = np.tanh(x[t] @ Wh + (r * hp) @ Uh)
            dh = dh + dout[t]
            dz = dh * (c - hp) * z * (1 - z)
            dc = dh * z * (1 - c**2)
            drh = dc @ Uh.T
            dr = drh * hp * r * (1 - r)
            dWz += x[t].T @ dz
            dUz += hp.T @ dz
            dWr += x[t].T @ dr
            dUr += hp.T @ dr
            dWh += x[t].T @ dc
            dUh += (r * hp).T @ dc
            dx[t] = dz @ Wz.T + dr @ Wr.T + dc @ Wh.T
            dh = dh * (1 - z) + (0 if wrong else drh * r) + dz @ Uz.T + dr @ Ur.T
        return {"x": dx, "h0": dh, "Wz": dWz, "Uz": dUz, "Wr": dWr, "Ur": dUr, "Wh": dWh, "Uh": dUh}

    return forward, backward


@case({"x": ("T",), "a": (), "b": ()}, ["x", "a", "b"])
def iir2(wrong):
    def run(x, a, b):
        y = np.zeros(len(x) + 2)
        for t in range(len(x)):
            y[t + 2] = x[t] + a * y[t + 1] + b * y[t]
        return y

    def forward(x, a, b):
        return run(x, a, b)[2:]

    def backward(dout, x, a, b):
        y = run(x, a, b)
        T = len(x)
        g = np.zeros(T + 2)
        da = db = 0.0
        for t in range(T - 1, -1, -1):
            g[t] = dout[t] + a * g[t + 1] + b * g[t + 2 if not wrong else t + 1]
            da += g[t] * y[t + 1]
            db += g[t] * y[t]
        return {"x": g[:T], "a": np.array(da), "b": np.array(db)}

    return forward, backward


@case(
    {"x": ("T", "N", "D"), "W": ("D", "H"), "U": ("H", "H"), "V": ("H", "C"), "y": ("T", "N")},
    ["V"],
    assume={"y": "labels:C"},
)
def charrnn(wrong):
    def run(x, W, U, V):
        h = np.zeros((x.shape[1], U.shape[0]))
        hs = [h]
        ps = []
        for t in range(len(x)):
            h = np.tanh(x[t] @ W + h @ U)
            hs.append(h)
            s = h @ V
            e = np.exp(s - s.max(1, keepdims=True))
            ps.append(e / e.sum(1, keepdims=True))
        return hs, ps

    def forward(x, W, U, V, y):
        _hs, ps = run(x, W, U, V)
        J = 0.0
        N = x.shape[1]
        for t in range(len(x)):
            J -= np.log(ps[t][np.arange(N), y[t]]).sum()
        return J / N

    def backward(x, W, U, V, y):
        hs, ps = run(x, W, U, V)
        N = x.shape[1]
        dW, dU, dV = np.zeros_like(W), np.zeros_like(U), np.zeros_like(V)
        dx = np.zeros_like(x)
        dnext = np.zeros_like(hs[0])
        for t in reversed(range(len(x))):
            ds = ps[t].copy()
            ds[np.arange(N), y[t]] -= 1
            ds /= N
            dV += hs[t if wrong else t + 1].T @ ds
            dh = ds @ V.T + dnext
            dz = dh * (1 - hs[t + 1] ** 2)
            dW += x[t].T @ dz
            dU += hs[t].T @ dz
            dx[t] = dz @ W.T
            dnext = dz @ U.T
        return {"x": dx, "W": dW, "U": dU, "V": dV}

    return forward, backward


@case({"x": ("T",)}, ["x"])
def cumprod(wrong):
    def forward(x):
        p = 1.0
        out = []
        for t in range(len(x)):
            p = p * x[t]
            out.append(p)
        return np.array(out)

    def backward(dout, x):
        ps = [1.0]
        for t in range(len(x)):
            ps.append(ps[-1] * x[t])
        g = 0.0
        dx = np.zeros_like(x)
        for t in reversed(range(len(x))):
            g = g + dout[t]
            dx[t] = g * ps[t + 1 if wrong else t]
            g = g * x[t]
        return {"x": dx}

    return forward, backward


@case({"x": ("T", "N")}, ["x"])
def momentum_inplace(wrong):
    def forward(x):
        v = np.zeros(x.shape[1])
        s = 0.0
        for t in range(len(x)):
            v *= 0.9
            v += x[t]
            s += np.sum(v**2)
        return s

    def backward(x):
        T = len(x)
        vs = np.zeros_like(x)
        v = np.zeros(x.shape[1])
        for t in range(T):
            v = 0.9 * v + x[t]
            vs[t] = v
        g = np.zeros(x.shape[1])
        dx = np.zeros_like(x)
        for t in reversed(range(T)):
            g = g * (1 if wrong else 0.9) + 2 * vs[t]
            dx[t] = g
        return {"x": dx}

    return forward, backward


@case({"x": ("T", "N", "D"), "W": ("D", "D")}, ["x", "W"])
def residual_time(wrong):
    def forward(x, W):
        h = np.zeros(x.shape[1:])
        for t in range(len(x)):
            h = h + np.maximum(h @ W + x[t], 0)
        return h

    def backward(dout, x, W):
        hs = [np.zeros(x.shape[1:])]
        for xt in x:
            hs.append(hs[-1] + np.maximum(hs[-1] @ W + xt, 0))
        dx, dW, g = np.zeros_like(x), np.zeros_like(W), dout
        for t in reversed(range(len(x))):
            m = (hs[t] @ W + x[t] > 0) * g
            dx[t] = m
            dW += hs[t].T @ m
            g = (0 if wrong else g) + m @ W.T
        return {"x": dx, "W": dW}

    return forward, backward


@case({"r": ("T",), "v": ("T",), "lam": ()}, ["v"])
def gae(wrong):
    def adv(r, v, lam, gamma):
        T = len(r)
        A = np.zeros(T)
        last = 0.0
        for t in reversed(range(T)):
            nxt = v[t + 1] if t + 1 < T else 0.0
            delta = r[t] + gamma * nxt - v[t]
            last = delta + gamma * lam * last
            A[t] = last
        return A

    def forward(r, v, lam, gamma=0.99):
        return adv(r, v, lam, gamma)

    def backward(dout, r, v, lam, gamma=0.99):
        T = len(r)
        A = adv(r, v, lam, gamma)
        g = 0.0
        dr = np.zeros(T)
        dv = np.zeros(T)
        dlam = 0.0
        for t in range(T):
            dv[t] += gamma * g if not wrong else g
            g = dout[t] + gamma * lam * g
            dr[t] = g
            dv[t] -= g
            dlam += g * gamma * (A[t + 1] if t + 1 < T else 0.0)
        return {"r": dr, "v": dv, "lam": np.array(dlam)}

    return forward, backward


@case({"x": ("N", "T", "D"), "W": ("D", "H"), "U": ("H", "H")}, ["x", "W", "U"])
def batch_major_swap(wrong):
    def forward(x, W, U):
        N, T, _D = x.shape
        h = np.zeros((N, U.shape[0]))
        out = np.empty((N, T, U.shape[0]))
        for t in range(T):
            h = logistic(x[:, t, :] @ W + h @ U)
            out[:, t, :] = h
        return out

    def backward(dout, x, W, U):
        N, T, _D = x.shape
        out = forward(x, W, U)
        dx = np.empty_like(x)
        dW = np.zeros_like(W)
        dU = np.zeros_like(U)
        dh = np.zeros((N, U.shape[0]))
        for k in range(T):
            t = T - 1 - k
            dh = dh + dout[:, t]
            dz = dh * out[:, t] * (1 - out[:, t])
            dW += x[:, t].T @ dz
            if t > 0:
                dU += out[:, t - 1].T @ dz
            dx[:, t] = dz @ W.T
            dh = dz @ (U if wrong else U.T)
        return {"x": dx, "W": dW, "U": dU}

    return forward, backward


@case({"x": ("T",), "w": ("K",)}, ["w"])
def nested_sum_in_recurrence(wrong):
    def forward(x, w):
        h = 0.0
        for t in range(len(x)):
            s = 0.0
            for k in range(len(w)):
                s = s + w[k] * h
            h = np.tanh(s + x[t])
        return np.array(h)

    def backward(dout, x, w):
        hs = [0.0]
        for t in range(len(x)):
            hs.append(np.tanh(w.sum() * hs[-1] + x[t]))
        g = dout * 1.0
        dx = np.zeros_like(x)
        dw = np.zeros_like(w)
        for t in reversed(range(len(x))):
            dz = g * (1 - hs[t + 1] ** 2)
            dx[t] = dz
            dw += dz * hs[t + 1 if wrong else t]
            g = dz * w.sum()
        return {"x": dx, "w": dw}

    return forward, backward


@case({"x": ("T",)}, ["x"], where="T >= 2")
def from_one(wrong):
    def forward(x):
        y = np.zeros_like(x)
        y[0] = x[0]
        for t in range(1, len(x)):
            y[t] = 0.5 * y[t - 1] + x[t]
        return y

    def backward(dout, x):
        T = len(x)
        dx = np.zeros_like(x)
        g = 0.0
        for t in range(T - 1, 0, -1):
            g = g * 0.5 + dout[t]
            dx[t] = g
        dx[0] = dout[0] + (0.5 * g if not wrong else g)
        return {"x": dx}

    return forward, backward


@pytest.mark.parametrize("name", CASES)
def test_check_proves_a_recurrence_for_all_sizes(name):
    build, shapes, _, assume, where = CASES[name]
    verdict = sb.check(*build(False), shapes=shapes, assume=assume, where=where)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)
    assert any(note.startswith("sizes are 1 or more; left out: ") and "T = 0" in note for note in verdict.notes)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("no_diagnosis")
def test_check_refutes_a_slip_in_a_recurrence(name):
    build, shapes, wrong, assume, where = CASES[name]
    verdict = sb.check(*build(True), shapes=shapes, assume=assume, where=where)
    assert verdict.status == "REFUTED"
    assert sorted(verdict.wrong) == sorted(wrong)


@pytest.mark.parametrize("slip", ["another step", "the other way round", "another factor"])
def test_composition_shows_no_false_invariant(slip, monkeypatch):
    """Whatever is proposed is shown, step by step, or dropped: here all that is proposed is false."""
    build, shapes, *_ = CASES["ema"]
    goal = goal_of(trace_pair(*build(False), shapes))
    usual = Lookalikes.of

    def falsified(self, tensor):
        found = []
        for likeness in usual(self, tensor):
            match slip:
                case "another step":
                    step = likeness.step or 0
                    found.append(replace(likeness, step=step, start=add(likeness.start, ONE)))
                case "the other way round":
                    found.append(replace(likeness, step=likeness.step or 0, down=not likeness.down))
                case _:
                    found.append(replace(likeness, factor=add(likeness.factor, ONE)))
        return found if len(tensor.shape) else []

    monkeypatch.setattr(Lookalikes, "of", falsified)
    gradient = goal.gradient
    composition = Composition(goal.question, gradient.adjoint, goal.traced.backward, gradient.program.facts, 1e9)
    composition.walk()
    assert not [lemma for lemma in composition.lemmas if lemma.beside]


def exchanged(x):
    a, b = np.zeros_like(x[0]), 3 * x[0]
    for t in range(x.shape[0]):
        a, b = b + x[t], a
    return a + 2 * b


def exchanged_back(dout, x):
    dx = np.zeros_like(x)
    da, db = dout, 2 * dout
    for t in range(x.shape[0] - 1, -1, -1):
        dx[t] = da
        da, db = db, da
    dx[0] = dx[0] + 3 * db
    return {"x": dx}


def one_after_the_other(x):
    a, b = np.zeros_like(x[0]), 3 * x[0]
    for t in range(x.shape[0]):
        a = b + x[t]
        b = a
    return a + 2 * b


def test_check_follows_two_names_that_are_exchanged():
    """The array that b holds before the loop was read in the first pass, and its equation forgotten with that."""
    assert sb.check(exchanged, exchanged_back, shapes={"x": ("T", "D")}).status == "PROVED"
    assert sb.check(one_after_the_other, exchanged_back, shapes={"x": ("T", "D")}).status == "REFUTED"


def test_check_refutes_a_wrong_start():
    def forward(x):
        h, out = 1.0, np.zeros_like(x)
        for t in range(len(x)):
            h = h * x[t]
            out[t] = h
        return out

    def backward(dout, x):
        h, before = 2.0, np.zeros_like(x)  # as if the first state were 2
        for t in range(len(x)):
            before[t] = h
            h = h * x[t]
        g, dx = 0.0, np.zeros_like(x)
        for t in reversed(range(len(x))):
            g = g + dout[t]
            dx[t] = g * before[t]
            g = g * x[t]
        return {"x": dx}

    verdict = sb.check(forward, backward, shapes={"x": ("T",)})
    assert verdict.status == "REFUTED"


def test_check_is_not_fooled_by_an_item_that_changes_after_it_was_put_in():
    """NumPy keeps the array itself in the list: what h += ... does later is seen there."""

    def forward(x):
        h, hs = np.zeros(x.shape[1]), []
        for t in range(len(x)):
            h += x[t]
            hs.append(h)
        return np.array(hs)

    def backward(dout, x):
        g, dx = np.zeros(x.shape[1]), np.zeros_like(x)
        for t in reversed(range(len(x))):
            g = g + dout[t]
            dx[t] = g
        return {"x": dx}

    verdict = sb.check(forward, backward, shapes={"x": ("T", "N")})
    assert verdict.status == "REFUTED"


def test_lemmas_of_a_recurrence_say_what_they_were_shown_with():
    build, shapes, *_ = CASES["ema"]
    lemmas = sb.check(*build(False), shapes=shapes).lemmas
    together = [lemma for lemma in lemmas if lemma.beside]
    assert together
    assert all("induction" in lemma.to_dict() for lemma in together)
    names = {lemma.equation.tensor for lemma in together}
    assert all(set(lemma.beside) <= names for lemma in together)


def test_trace_of_a_recurrence_is_read_as_mathematics():
    def forward(x, a):
        h, out = 0.0, np.zeros_like(x)
        for t in range(len(x)):
            h = a * h + x[t]
            out[t] = h
        return out

    program = sb.trace(forward, shapes={"x": ("T",), "a": ()})
    told = [str(e) for e in program.equations]
    assert told[0] == "h_before[t] = where(kronecker(t, 0), 0, h[t - 1])"
    assert told[1] == "h[t] = a*h_before[t] + x[t]"
    assert len(program.blocks) < len(program.equations)


def elman(x, h0, Wx, Wh):
    h, hs = h0, []
    for t in range(x.shape[0]):
        h = np.tanh(x[t] @ Wx + h @ Wh)
        hs.append(h)
    return np.stack(hs)


def elman_backward(dout, x, h0, Wx, Wh, slip=""):
    h, hs = h0, [h0]
    for t in range(x.shape[0]):
        h = np.tanh(x[t] @ Wx + h @ Wh)
        hs.append(h)
    dWx, dWh, dx, dnext = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(x), np.zeros_like(h0)
    for t in reversed(range(x.shape[0])):
        dh = dout[t] + (0 if slip == "forgotten" else dnext)
        dz = dh * (1 - hs[t if slip == "earlier" else t + 1] ** 2)
        dWx += x[t].T @ dz
        dWh += hs[t].T @ dz
        dx[t] = dz @ Wx.T
        dnext = (dh if slip == "other" else dz) @ (Wh if slip == "turned" else Wh.T)
    return {"x": dx, "h0": dnext, "Wx": dWx, "Wh": dWh}


ELMAN = {"x": ("T", "N", "D"), "h0": ("N", "H"), "Wx": ("D", "H"), "Wh": ("H", "H")}


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        ("forgotten", "step t: what step t + 1 sends back to h (line 6 of the forward pass) is missing"),
        ("earlier", "of the next step belongs there"),
        ("turned", "two indices of Wh are swapped"),
        ("other", "dz belongs where dh stands"),
    ],
)
def test_fault_inside_a_loop_is_named_once_and_its_cure_is_proved_for_every_length(slip, words):
    verdict = sb.check(elman, elman_backward, shapes=ELMAN, fixed={"slip": slip})
    assert verdict.status == "REFUTED"
    assert re.sub(r"line \d+ of the forward", "line 6 of the forward", verdict.diagnosis).endswith(words)
    assert verdict.cure
    assert not verdict.cure_scope  # of no stated sizes
    assert "_before" not in verdict.diagnosis + verdict.cure
    assert "_bar" not in verdict.diagnosis + verdict.cure


def test_prove_of_a_recurrence_writes_its_adjoint_and_the_induction():
    proof = sb.prove(sb.trace(elman, ELMAN))
    document = proof_document(proof, notation=NAMES)
    assert unbacked(document, proof) == ()
    told = {(to_text(left), to_text(right)) for left, right in first_and_later(proof)}
    assert {("h_before[0,n,i]", "h0[n,i]"), ("h_before[t + 1,n,i]", "h[t,n,i]")} <= told
    assert ("h_before_bar[T,n,i]", "0") in told
    assert ("h_before_bar[t,n,i]", "sum(i_1, u_bar[t,n,i_1]*Wh[i,i_1])") in told


def gated(x, h0):
    h, out = h0, []
    for t in range(len(x)):
        z = 1 / (1 + np.exp(-(x[t] + h)))
        c = np.tanh(x[t] * h)
        h = (1 - z) * h + z * c
        out.append(h)
    return np.stack(out)


def gated_backward(dout, x, h0):
    h, kept = h0, []
    for t in range(len(x)):
        z = 1 / (1 + np.exp(-(x[t] + h)))
        c = np.tanh(x[t] * h)
        kept.append((h, z, c))
        h = (1 - z) * h + z * c
    dx, dh = np.zeros_like(x), np.zeros_like(h0)
    for t in reversed(range(len(x))):
        h, z, c = kept[t]
        dh = dh + dout[t]
        dz = dh * (c - h) * z * (1 - z)
        dc = dh * z * (1 - c**2)
        dx[t] = dz + dc * h
        dh = dh * (1 - z) + dz + dc * x[t]
    return {"x": dx, "h0": dh}


def test_a_derivative_that_is_told_by_one_of_its_own_recurrence_is_no_lemma():
    # c_bar = z*h_bar, and h_bar reads c_bar one step later: the kernel takes no lemma by what stands beside it
    verdict = sb.check(gated, gated_backward, shapes={"x": ("T",), "h0": ()})
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes")


def with_states(x, u, h0):
    h, hs = h0, []
    for t in range(len(x)):
        h = np.tanh(u * h + x[t])
        hs.append(h)
    return np.stack(hs), np.stack(hs)


def with_stale_states(dout, cache, x, u, h0):
    dh, du, dx = np.zeros_like(h0), np.zeros_like(u), np.zeros_like(x)
    for t in reversed(range(len(x))):
        dz = (dh + dout[t]) * (1 - cache[t] ** 2)
        dx[t] = dz
        du += dz * cache[t]
        dh = dz * u
    return {"x": dx, "u": du, "h0": dh}


def test_the_state_after_a_step_in_the_place_of_the_one_before_is_told():
    """The states that the forward pass keeps begin after the first step; what the step begins with holds the start."""
    verdict = sb.check(with_states, with_stale_states, shapes={"x": ("T",), "u": (), "h0": ()})
    assert "h_before belongs where h stands" in verdict.diagnosis and verdict.wrong == ("u",)
