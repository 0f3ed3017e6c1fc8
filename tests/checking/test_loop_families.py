"""Loops over symbolic lengths as people write them: proved for all sizes, and with a slip no proof is found."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking.budget import Budget
from symbackprop.checking.decide import goal_of, prove
from symbackprop.frontends.numpy.traced import trace_pair

FAMILIES = {}


def family(shapes, wrong, assume=None, where=None):
    """Enter a family: its shapes, and the gradients that are wrong with the slip."""

    def enter(build):
        FAMILIES[build.__name__] = (build, shapes, wrong, assume, where)
        return build

    return enter


def _unproved(name, slip):
    build, shapes, _, assume, where = FAMILIES[name]
    goal = goal_of(trace_pair(*build(slip), shapes, assume, where))
    return goal.question, prove(goal, goal.names, goal.sides.quick, Budget.of(8.0)).unproved


@family({"x": ("T", "D"), "W": ("D", "H"), "U": ("H", "H"), "V": ("H", "K"), "R": ("K", "K")}, ["V"])
def two_layers_in_one_loop(slip):
    def forward(x, W, U, V, R):
        a, b, out = np.zeros(len(U)), np.zeros(len(R)), np.zeros((len(x), len(R)))
        for t in range(len(x)):
            a = np.tanh(x[t] @ W + a @ U)
            b = np.tanh(a @ V + b @ R)
            out[t] = b
        return out

    def backward(dout, x, W, U, V, R):
        A, B = np.zeros((len(x) + 1, len(U))), np.zeros((len(x) + 1, len(R)))
        for t in range(len(x)):
            A[t + 1] = np.tanh(x[t] @ W + A[t] @ U)
            B[t + 1] = np.tanh(A[t + 1] @ V + B[t] @ R)
        dx, dW, dU, dV, dR = (np.zeros_like(v) for v in (x, W, U, V, R))
        da, db = np.zeros(len(U)), np.zeros(len(R))
        for t in range(len(x) - 1, -1, -1):
            zb = (db + dout[t]) * (1 - B[t + 1] ** 2)
            dV += np.outer(A[t if slip else t + 1], zb)
            dR += np.outer(B[t], zb)
            za = (da + zb @ V.T) * (1 - A[t + 1] ** 2)
            dW += np.outer(x[t], za)
            dU += np.outer(A[t], za)
            dx[t] = za @ W.T
            da, db = za @ U.T, zb @ R.T
        return {"x": dx, "W": dW, "U": dU, "V": dV, "R": dR}

    return forward, backward


@family({"x": ("T", "D"), "W": ("D", "H"), "U": ("H", "H"), "h0": ("H",)}, ["x", "W", "U", "h0"])
def caches_as_tuples(slip):
    def forward(x, W, U, h0):
        h, out = h0, []
        for t in range(len(x)):
            h = np.tanh(x[t] @ W + h @ U)
            out.append(h)
        return np.stack(out)

    def backward(dout, x, W, U, h0):
        h, caches = h0, []
        for t in range(len(x)):
            new = np.tanh(x[t] @ W + h @ U)
            caches.append((x[t], h, new))
            h = new
        dx, dW, dU, dh = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros_like(h0)
        for t in reversed(range(len(x))):
            xt, before, after = caches[t]
            dz = (dh + dout[t]) * (1 - (before if slip else after) ** 2)
            dW += np.outer(xt, dz)
            dU += np.outer(before, dz)
            dx[t] = dz @ W.T
            dh = dz @ U.T
        return {"x": dx, "W": dW, "U": dU, "h0": dh}

    return forward, backward


@family({"x": ("T",)}, ["x"])
def product(slip):
    return lambda x: np.prod(x), lambda dout, x: {"x": dout * np.prod(x) / (x**2 if slip else x)}


@family({"x": ("T",)}, ["x"])
def running_product(slip):
    def backward(dout, x):
        out = np.cumprod(x)
        return {"x": np.cumsum((dout * out)[::-1])[::-1] / (1 if slip else x)}

    return lambda x: np.cumprod(x), backward


@family({"x": ("T",)}, ["x"])
def product_from_both_sides(slip):
    def forward(x):
        p = 1.0
        for t in range(len(x)):
            p = p * x[t]
        return p

    def backward(dout, x):
        left, right = np.ones(len(x)), np.ones(len(x))
        for t in range(1, len(x)):
            left[t] = left[t - 1] * x[t if slip else t - 1]
        for t in range(len(x) - 2, -1, -1):
            right[t] = right[t + 1] * x[t + 1]
        return {"x": dout * left * right}

    return forward, backward


@family({"c": ("N",), "x": ()}, ["x"])
def horner(slip):
    def forward(c, x):
        p = 0.0
        for i in range(len(c) - 1, -1, -1):
            p = p * x + c[i]
        return p

    def backward(dout, c, x):
        p, dp = 0.0, 0.0
        for i in range(len(c) - 1, -1, -1):
            if slip:
                p = p * x + c[i]
                dp = dp * x + p
            else:
                dp = dp * x + p
                p = p * x + c[i]
        dc, w = np.zeros_like(c), dout
        for i in range(len(c)):
            dc[i] = w
            w = w * x
        return {"c": dc, "x": dout * dp}

    return forward, backward


@family({"y": ("T", "L")}, ["y"], assume={"y": "pos"})
def paths_through_labels(slip):
    """A recursion over steps with a loop over labels inside, as in connectionist temporal classification."""

    def forward(y):
        T, L = y.shape
        a = np.zeros((T, L))
        a[0, 0] = y[0, 0]
        for t in range(1, T):
            for s in range(L):
                v = a[t - 1, s]
                if s > 0:
                    v = v + a[t - 1, s - 1]
                a[t, s] = v * y[t, s]
        return np.log(a[T - 1, L - 1])

    def backward(dout, y):
        T, L = y.shape
        a, b = np.zeros((T, L)), np.zeros((T, L))
        a[0, 0], b[T - 1, L - 1] = y[0, 0], 1.0
        for t in range(1, T):
            for s in range(L):
                v = a[t - 1, s]
                if s > 0:
                    v = v + a[t - 1, s - 1]
                a[t, s] = v * y[t, s]
        for t in range(T - 2, -1, -1):
            for s in range(L):
                v = b[t + 1, s] * y[t + 1, s]
                if s < L - 1:
                    v = v + b[t + 1, s + 1] * y[t + 1, s if slip else s + 1]
                b[t, s] = v
        return {"y": dout * a * b / y / a[T - 1, L - 1]}

    return forward, backward


@family({"x": ("C", "2*H", "2*W")}, ["x"])
def blocks_of_places(slip):
    def forward(x):
        C, H, W = x.shape
        out = np.zeros((C, H // 2, W // 2))
        for i in range(H // 2):
            for j in range(W // 2):
                out[:, i, j] = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max(axis=(1, 2))
        return out

    def backward(dout, x):
        dx = np.zeros_like(x)
        for i in range(x.shape[1] // 2):
            for j in range(x.shape[2] // 2):
                p = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                m = 1 if slip else p == p.max(axis=(1, 2), keepdims=True)
                dx[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = m * dout[:, i, j][:, None, None]
        return {"x": dx}

    return forward, backward


@family({"x": ("H", "W"), "w": ("KH", "KW")}, ["w"], where="H >= KH, W >= KW")
def kernel_places(slip):
    def forward(x, w):
        (H, W), (KH, KW) = x.shape, w.shape
        out = np.zeros((H - KH + 1, W - KW + 1))
        for p in range(KH):
            for q in range(KW):
                out += x[p : p + H - KH + 1, q : q + W - KW + 1] * w[p, q]
        return out

    def backward(dout, x, w):
        (H, W), (KH, KW) = x.shape, w.shape
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for p in range(KH):
            for q in range(KW):
                dx[p : p + H - KH + 1, q : q + W - KW + 1] += dout * w[p, q]
                dw[KH - 1 - p if slip else p, q] = np.sum(dout * x[p : p + H - KH + 1, q : q + W - KW + 1])
        return {"x": dx, "w": dw}

    return forward, backward


@pytest.mark.parametrize("name", FAMILIES)
def test_prove_meets_loops_as_they_are_written(name):
    assert not _unproved(name, False)[1]


@pytest.mark.parametrize("name", FAMILIES)
def test_prove_does_not_meet_loops_with_a_slip(name):
    assert set(_unproved(name, True)[1]) >= set(FAMILIES[name][2])


def test_check_derives_the_sizes_that_a_loop_inside_a_loop_asks_for():
    """An image smaller than the kernel: the forward makes an array of a negative length."""
    build, shapes, *_ = FAMILIES["kernel_places"]
    verdict = sb.check(*build(False), shapes=shapes)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)
    assert any("H - KH + 1" in note for note in verdict.notes)


ACCUMULATIONS = {
    "max": lambda x: np.maximum.accumulate(x, axis=1),
    "min": lambda x: np.minimum.accumulate(x, axis=1),
    "product": lambda x: np.cumprod(x, axis=1),
}


@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_trace_of_an_accumulation_along_a_symbolic_axis_is_that_of_numpy(name):
    accumulate = ACCUMULATIONS[name]
    run = sb.compile(sb.trace(accumulate, {"x": ("N", "T")}))
    for shape in ((1, 1), (2, 5), (3, 2)):
        x, dout = np.random.default_rng(0).normal(size=(2, *shape))
        assert np.isclose(run(x=x, dout=dout)["J"], np.sum(dout * accumulate(x)))


# --- blocks that overlap, windows, places that were rounded --------------------------------------------------------


def convolution(x, w):
    out = np.zeros(len(x) - len(w) + 1)
    for i in range(len(out)):
        out[i] = np.sum(x[i : i + len(w)] * w)
    return out


def convolution_overwritten(dout, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(len(dout)):
        dx[i : i + len(w)] = dout[i] * w
        dw += dout[i] * x[i : i + len(w)]
    return {"x": dx, "w": dw}


def test_a_loop_that_overwrites_blocks_is_followed_for_all_sizes_and_told():
    verdict = sb.check(convolution, convolution_overwritten, shapes={"x": ("N",), "w": ("K",)}, where="N >= K")
    assert (verdict.status, verdict.wrong) == ("REFUTED", ("x",)), str(verdict)
    assert "+= belongs there" in verdict.diagnosis


def last_of_blocks(v, x):
    out = np.zeros(len(x))
    for i in range(len(v)):
        out[2 * i : 2 * i + 3] = v[i] * x[2 * i : 2 * i + 3]
    return out


def test_of_blocks_that_overlap_the_last_one_stays():
    program = sb.trace(last_of_blocks, {"v": ("K",), "x": ("N",)}, where="N >= 2*K + 1")
    assert len(program.equations) == 1  # NumPy has computed the same, or there would be no program


def pooled(x):
    out = np.zeros((x.shape[0] // 2, x.shape[1] // 2))
    for i in range(len(out)):
        for j in range(out.shape[1]):
            out[i, j] = np.max(x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2])
    return out


def pooled_backward(dout, x):
    dx = np.zeros_like(x)
    for i in range(len(dout)):
        for j in range(dout.shape[1]):
            window = x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            a, b = np.unravel_index(np.argmax(window), window.shape)
            dx[2 * i + a, 2 * j + b] += dout[i, j]
    return {"x": dx}


def test_the_place_of_a_maximum_of_a_square_window_is_proved():
    verdict = sb.check(pooled, pooled_backward, shapes={"x": ("H", "W")}, where="H >= 2, W >= 2")
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)


def sampled(image, at):
    low = np.clip(np.floor(at).astype(int), 0, len(image) - 2)
    return image[low] * (1 - (at - low)) + image[low + 1] * (at - low)


def sampled_backward(dout, image, at, sign=-1):
    low = np.clip(np.floor(at).astype(int), 0, len(image) - 2)
    found = np.zeros_like(image)
    np.add.at(found, low, dout * (1 - (at - low)))
    np.add.at(found, low + 1, dout * (at - low))
    return {"image": found, "at": dout * (image[low + 1] + sign * image[low])}


SAMPLED = {"shapes": {"image": ("W",), "at": ("P",)}, "where": "W >= 2"}


def test_numbers_are_rounded_to_places():
    verdict = sb.check(sampled, sampled_backward, **SAMPLED)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)
    assert "numbers that are rounded to integers stay below 2**52" in verdict.conditions
    wrong = sb.check(sampled, lambda dout, image, at: sampled_backward(dout, image, at, 1), **SAMPLED)
    assert (wrong.status, wrong.wrong) == ("REFUTED", ("at",)), str(wrong)


def test_a_rounded_place_that_may_lie_outside_is_refused():
    def forward(image, at):
        return image[np.floor(at).astype(int)]

    verdict = sb.check(forward, lambda dout, image, at: {"image": 0 * image}, **SAMPLED)
    assert verdict.status == "UNDECIDED"
    assert "may lie outside" in verdict.reason and "np.clip(..., 0, W - 1)" in verdict.reason
