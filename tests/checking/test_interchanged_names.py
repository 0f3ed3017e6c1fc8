"""Two names that stand for each other's tensors, and cures that say which value of a name they read."""

import numpy as np
import pytest

import symbackprop as sb

SCALE = 420


def line_with(text):
    with open(__file__, encoding="utf-8") as source:
        return next(k for k, line in enumerate(source, 1) if text in line)


def gated():
    """Blocks x + (a * tanh(b)) of which one confuses the derivatives with respect to a and b."""

    def forward(x, A0, B0, A1, B1):
        for A, B in ((A0, B0), (A1, B1)):
            x = x + (x @ A) * np.tanh(x @ B)
        return x

    def backward(dout, x, A0, B0, A1, B1):
        saved = []
        for A, B in ((A0, B0), (A1, B1)):
            a, t = x @ A, np.tanh(x @ B)
            saved.append((x, A, B, a, t))
            x = x + a * t
        d, g = dout, {}
        for k in (1, 0):
            x, A, B, a, t = saved[k]
            da = d * t
            db = d * a * (1 - t**2)
            if k == 1:
                da, db = db, da  # in one round
            g[f"A{k}"], g[f"B{k}"] = x.T @ da, x.T @ db
            d = d + da @ A.T + db @ B.T
        return {"x": d, **g}

    return forward, backward, {"x": ("N", "D"), **dict.fromkeys(("A0", "B0", "A1", "B1"), ("D", "D"))}


def skipping():
    """Two layers down and two up, each with what stands beside it; the halves of what comes back are confused."""

    def run(x, V, W):
        h, downs, ups = x, [], []
        for k in (0, 1):
            h = np.tanh(h @ V[k])
            downs.append(h)
        for k in (1, 0):
            c = np.concatenate([h, downs[k]], axis=1)
            h = np.tanh(c @ W[k])
            ups.append((c, h))
        return downs, ups, h

    def forward(x, V0, V1, W0, W1):
        return run(x, (V0, V1), (W0, W1))[2]

    def backward(dout, x, V0, V1, W0, W1):
        V, W = (V0, V1), (W0, W1)
        downs, ups, _ = run(x, V, W)
        d, g, beside = dout, {}, []
        for k in (0, 1):
            c, h = ups[1 - k]
            dz = d * (1 - h**2)
            g[f"W{k}"] = c.T @ dz
            dc = dz @ W[k].T
            D = x.shape[1]
            a, b = dc[:, :D], dc[:, D:]
            if k == 0:
                a, b = b, a  # the halves
            d = a
            beside.append(b)
        for k in (1, 0):
            d = d + beside[k]
            dz = d * (1 - downs[k] ** 2)
            g[f"V{k}"] = (downs[0] if k else x).T @ dz
            d = dz @ V[k].T
        return {"x": d, **g}

    shapes = {"x": ("N", "D"), **dict.fromkeys(("V0", "V1"), ("D", "D")), **dict.fromkeys(("W0", "W1"), ("2*D", "D"))}
    return forward, backward, shapes


@pytest.mark.parametrize(
    ("case", "place", "names"),
    [
        (gated, "# in one round", "da and db"),
        pytest.param(skipping, "# the halves", "a and b", marks=pytest.mark.slow),
    ],
)
def test_names_in_each_others_place_are_told_and_cured(case, place, names):
    forward, backward, shapes = case()
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "REFUTED" and verdict.diagnosis == f"line {line_with(place)}: {names} are interchanged"
    assert verdict.cure and "(proved)" in str(verdict), str(verdict)


def test_a_cure_says_which_value_of_a_name_it_reads():
    def forward(x, W):
        return np.tanh(x) @ W * 2

    def backward(dout, x, W):
        d = dout * 2
        dW = np.tanh(x).T @ d
        d = d @ W
        return {"x": d * (1 - np.tanh(x) ** 2), "W": dW}

    verdict = sb.check(forward, backward, shapes={"x": ("N", "D"), "W": ("D", "D")})
    assert verdict.cure == "d[n,d] = sum(d_1, d_before[n,d_1]*W[d,d_1])"


def test_numbers_that_overflow_on_the_way_choose_no_cure():
    """Of e/e.sum() the derivation has e/e.sum()**2, whose square may be beyond all numbers."""

    def forward(x, W, V):
        e = np.exp(SCALE * np.tanh(x @ W))
        return (e / e.sum(axis=1, keepdims=True)) @ V

    def backward(dout, x, W, V):
        t = np.tanh(x @ W)
        e = np.exp(SCALE * t)
        p = e / e.sum(axis=1, keepdims=True)
        dp = dout @ V.T
        ds = p * (dp - (p * dp).sum(axis=1, keepdims=True))
        dt = SCALE * ds
        return {"x": dt @ W.T, "W": x.T @ dt, "V": p.T @ dout}

    verdict = sb.check(forward, backward, shapes={"x": ("N", "D"), "W": ("D", "E"), "V": ("E", "F")})
    assert "(proved)" in str(verdict), str(verdict)
