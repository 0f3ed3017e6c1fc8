"""Deep models whose faults lie in helpers, in lists, or in two places at once: each is told with its line and cure."""

import time

import numpy as np

import symbackprop as sb
from symbackprop.checking import decide


def shapes(depth):
    layers = {f"W{k}": ("D", "D") for k in range(depth)} | {f"b{k}": ("D",) for k in range(depth)}
    return {"x": ("N", "D")} | layers


def line_of(function, text):
    """The number of the first line of a function's file that has this text."""
    with open(function.__code__.co_filename) as file:
        return next(k for k, line in enumerate(file, 1) if text in line)


def residual(depth, first=None, second=None):
    """Residual tanh layers; `first` is wrong near the output, `second` near the input."""

    def forward(x, **p):
        for k in range(depth):
            x = x + np.tanh(x @ p[f"W{k}"] + p[f"b{k}"])
        return x

    def backward(dout, x, **p):
        values, slopes = [x], []
        for k in range(depth):
            t = np.tanh(values[-1] @ p[f"W{k}"] + p[f"b{k}"])
            slopes.append(1 - t**2)
            values.append(values[-1] + t)
        g = {}
        for k in reversed(range(depth)):
            dz = dout * slopes[k]
            g[f"W{k}"] = values[k].T @ dz
            if first and k == depth - 2:
                g[f"b{k}"] = dz.mean(axis=0)  # the first fault
            else:
                g[f"b{k}"] = dz.sum(axis=0)
            W = p[f"W{k}"] if second and k == 1 else p[f"W{k}"].T
            dout = dout + dz @ W  # the second fault
        return g | {"x": dout}

    return forward, backward


def test_two_faults_are_told_each_with_its_line_and_cured_together():
    forward, backward = residual(4, first=True, second=True)
    verdict = sb.check(forward, backward, shapes=shapes(4))
    assert verdict.status == "REFUTED" and verdict.wrong == ("b2", "W0", "b0", "x")
    one, two = verdict.diagnosis.split("; and ")
    assert one == f"line {line_of(backward, '# the first fault')}: the factor 1/N does not belong there"
    assert two == f"line {line_of(backward, '# the second fault')}: two indices of W1 are swapped"
    assert sorted(verdict.cure.split("; ")) == [
        "db2[d] = sum(n, dz[n,d])",
        "dout[n,d] = dout_before[n,d] + sum(d_1, dz[n,d_1]*W1[d,d_1])",
    ]


def test_one_fault_is_told_alone():
    forward, backward = residual(4, second=True)
    verdict = sb.check(forward, backward, shapes=shapes(4))
    line = line_of(backward, "# the second fault")
    assert verdict.diagnosis == f"line {line}: two indices of W1 are swapped"
    assert "; and" not in verdict.diagnosis


def helped(depth, fault):
    """Layers whose passes are helpers that each layer calls."""

    def affine_back(d, x, W):
        dx = d @ W if fault == "the helper" else d @ W.T  # the helper
        return dx, x.T @ d, d.mean(axis=0) if fault == "the bias" else d.sum(axis=0)

    def swish(z):
        return z / (1 + np.exp(-z))

    def swish_back(d, z):
        s = 1 / (1 + np.exp(-z))
        return d * (s + z * s * (1 - s))

    def forward(x, **p):
        for k in range(depth):
            x = swish(x @ p[f"W{k}"] + p[f"b{k}"])
        return x

    def backward(dout, x, **p):
        xs, zs = [x], []
        for k in range(depth):
            zs.append(xs[-1] @ p[f"W{k}"] + p[f"b{k}"])
            xs.append(swish(zs[-1]))
        g = {}
        for k in reversed(range(depth)):
            dz = swish_back(dout, zs[k])
            dout, g[f"W{k}"], g[f"b{k}"] = affine_back(dz, xs[k], p[f"W{k}"])
        return g | {"x": dout}

    return forward, backward


def test_a_fault_of_a_helper_is_told_once_for_all_layers_that_call_it():
    forward, backward = helped(3, "the helper")
    verdict = sb.check(forward, backward, shapes=shapes(3))
    line = line_of(backward, "# the helper")
    assert verdict.status == "REFUTED" and verdict.wrong == ("W1", "b1", "W0", "b0", "x")
    assert verdict.diagnosis == f"line {line}, in each of the 3 calls of affine_back: two indices of W2 are swapped"


def test_a_fault_in_what_a_helper_returns_as_several_gradients_is_one():
    forward, backward = helped(3, "the bias")
    verdict = sb.check(forward, backward, shapes=shapes(3))
    assert verdict.wrong == ("b2", "b1", "b0")
    assert "in each of the 3 calls of affine_back: the factor 1/N does not belong there" in verdict.diagnosis
    assert "; b" not in verdict.diagnosis


def deltas_first(depth, fault):
    """All deltas first, then the gradients of the weights from the input on."""

    def forward(x, y, **p):
        for k in range(depth):
            x = np.tanh(x @ p[f"W{k}"] + p[f"b{k}"])
        return 0.5 * ((x - y) ** 2).sum() / len(x)

    def backward(x, y, **p):
        a = [x]
        for k in range(depth):
            a.append(np.tanh(a[-1] @ p[f"W{k}"] + p[f"b{k}"]))
        deltas = [None] * depth
        deltas[-1] = (a[-1] - y) / len(x) * (1 - a[-1] ** 2)  # the last
        for k in range(depth - 2, -1, -1):
            slope = 1 - a[k] ** 2 if fault == "slope" and k == 1 else 1 - a[k + 1] ** 2  # slope
            deltas[k] = deltas[k + 1] @ p[f"W{k + 1}"].T * slope  # the others
        g = {"x": deltas[0] @ p["W0"].T}
        for k in range(depth):
            j = k + 1 if fault == "delta" and k == depth - 2 else k
            g[f"W{k}"] = a[k].T @ deltas[j]  # delta
            g[f"b{k}"] = deltas[k].sum(axis=0)
        return g

    return forward, backward


def test_an_item_of_a_list_is_told_by_the_statement_that_put_it_there():
    forward, backward = deltas_first(3, "delta")
    verdict = sb.check(forward, backward, shapes=shapes(3) | {"y": ("N", "D")})
    here, others, last = (line_of(backward, f"# {text}") for text in ("delta", "the others", "the last"))
    assert verdict.wrong == ("W1",)
    assert verdict.diagnosis == (
        f"line {here}: deltas[k] of line {others} belongs where deltas[-1] of line {last} stands"
    )


def test_a_line_of_one_round_is_looked_through_before_those_of_many():
    forward, backward = deltas_first(3, "slope")
    verdict = sb.check(forward, backward, shapes=shapes(3) | {"y": ("N", "D")})
    assert verdict.diagnosis.startswith(f"line {line_of(backward, '# slope')}: ")
    assert verdict.cure.startswith("slope[n,d] = 1 - ")


def skipping(depth, dropped):
    """Rectified layers, and one value that goes around most of them."""

    def forward(x, **p):
        h = early = np.maximum(x @ p["W0"], 0)
        for k in range(1, depth):
            h = np.maximum(h @ p[f"W{k}"], 0)
        return h + early

    def backward(dout, x, **p):
        h = [x]
        for k in range(depth):
            h.append(np.maximum(h[-1] @ p[f"W{k}"], 0))
        g, d = {}, dout
        for k in reversed(range(depth)):
            if k == 0 and not dropped:
                d = d + dout
            d = d * (h[k + 1] > 0)
            g[f"W{k}"] = h[k].T @ d
            d = d @ p[f"W{k}"].T
        return g | {"x": d}

    return forward, backward


def test_gradients_that_are_0_at_a_point_are_not_each_others():
    forward, backward = skipping(5, dropped=True)
    own = {"x": ("N", "D")} | {f"W{k}": ("D", "D") for k in range(5)}
    verdict = sb.check(forward, backward, shapes=own)
    assert verdict.wrong == ("W0", "x")
    assert "this is the gradient of" not in verdict.diagnosis
    assert "is missing" in verdict.diagnosis or verdict.cure == "d[n,d] = (d as claimed) + dout[n,d]", str(verdict)


def test_a_refutation_stands_where_the_time_ends_the_search_for_its_cause(monkeypatch):
    def endless(*args):
        while True:
            time.sleep(0.01)

    monkeypatch.setattr(decide, "diagnoses", endless)
    forward, backward = residual(2, second=True)
    verdict = sb.check(forward, backward, shapes=shapes(2), seconds=6)
    assert verdict.status == "REFUTED" and verdict.wrong and not verdict.diagnosis


def linear_of_mean(d, x, w):
    return d @ w.T, x.T @ d / len(x)


def two_layers(x, w, v):
    return np.tanh(x @ w) @ v


def two_layers_backward(dout, x, w, v):
    a = np.tanh(x @ w)
    da, dv = linear_of_mean(dout, a, v)
    dx, dw = linear_of_mean(da * (1 - a**2), x, w)
    return {"x": dx, "w": dw, "v": dv}


def test_one_fault_in_two_calls_of_a_helper_is_told_once():
    verdict = sb.check(two_layers, two_layers_backward, shapes={"x": ("N", "D"), "w": ("D", "M"), "v": ("M", "K")})
    assert verdict.status == "REFUTED"
    assert verdict.diagnosis.count("does not belong there") == 1
    assert "in each of the 2 calls of linear_of_mean" in verdict.diagnosis
