"""Functions of what has no name: a slope that one round forgets is told, though the forward pass has no such tensor."""

from types import SimpleNamespace

import numpy as np

import symbackprop as sb
from symbackprop.checking.budget import Budget
from symbackprop.checking.diagnosis import diagnose
from symbackprop.expression.build import ONE
from symbackprop.normal_form.work_time import worked


def spread():
    """Blocks tanh(up(x, w)) of windows that do not overlap; of one block the slope is forgotten."""

    def up(h, w):
        y = np.zeros((h.shape[0], 2 * h.shape[1], w.shape[2]))
        for k in range(2):
            y[:, k::2] += h @ w[k]
        return y

    def down(x):
        return x[:, ::2] + 2 * x[:, 1::2]

    def forward(x, w0, w1, w2):
        for w in (w0, w1, w2):
            x = np.tanh(up(down(x), w))
        return x

    def backward(dout, x, w0, w1, w2):
        ws, xs = (w0, w1, w2), [x]
        for w in ws:
            xs.append(np.tanh(up(down(xs[-1]), w)))
        d, g = dout, {}
        for i in (2, 1, 0):
            if i != 1:
                d = d * (1 - xs[i + 1] ** 2)  # the slope
            h, dw = down(xs[i]), np.zeros_like(ws[i])
            dh = np.zeros_like(h)
            for k in range(2):
                dw[k] = np.einsum("nlc,nld->cd", h, d[:, k::2])
                dh += d[:, k::2] @ ws[i][k].T
            g[f"w{i}"] = dw
            d = np.zeros_like(x)
            d[:, ::2] = dh
            d[:, 1::2] = 2 * dh
        return {"x": d, **g}

    return forward, backward, {"x": ("N", "2*L", "C"), **{f"w{i}": (2, "C", "C") for i in range(3)}}


def line_with(text):
    with open(__file__, encoding="utf-8") as source:
        return next(k for k, line in enumerate(source, 1) if text in line)


def test_slope_of_what_has_no_name_is_told_and_cured():
    forward, backward, shapes = spread()
    v = sb.check(forward, backward, shapes=shapes)
    assert v.status == "REFUTED"
    assert sorted(v.wrong) == ["w0", "w1", "x"]
    assert f"line {line_with('# the ' + 'slope')} has no part in round 2 of 3 of the loop" in v.diagnosis
    argument = f"part of line {line_with('x = np.tanh(up(' + 'down(x), w))')} of the forward pass"
    assert f"should be the derivative with respect to {argument}" in v.diagnosis
    assert "(proved)" in str(v)
    assert "_bar[" not in str(v)


def test_slips_leave_time_for_what_the_derivation_says(monkeypatch):
    left = {}

    def nothing(*_, **__):
        return iter(())

    def recorded(name, place):
        def search(*given):
            left.setdefault(name, given[place].left)
            return iter(())

        return search

    for name in ("_cures", "_in_other_rounds", "search_between", "_called", "_meant"):
        monkeypatch.setattr(diagnose, name, nothing)
    monkeypatch.setattr(diagnose, "_does_less", lambda *_: False)
    monkeypatch.setattr(diagnose, "_slips_between", recorded("slips", 3))
    monkeypatch.setattr(diagnose, "_lacking", recorded("what is lacking", 5))
    case = SimpleNamespace(traced=SimpleNamespace(gradients={}), derived={}, wrong=())
    fault = SimpleNamespace(line=SimpleNamespace(note="line 1"), again=(), factor=ONE)
    diagnose._between_cuts(case, None, fault, Budget.of(10.0))
    assert left["slips"] < 6 < left["what is lacking"]


def test_half_of_nothing_is_nothing():
    assert Budget(worked() - 1).half().spent
