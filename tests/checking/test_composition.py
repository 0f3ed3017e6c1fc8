"""Whole models: proofs composed of lemmas, and faults placed between cut points."""

import numpy as np
import pytest

import symbackprop as sb

DEPTH = 8


def dense_shapes(depth, width="H"):
    return {f"{n}{k}": s for k in range(depth) for n, s in (("W", (width, width)), ("b", (width,)))}


def tanh_net(depth=DEPTH, shared=False, skip=False):
    """A stack of tanh layers; with one weight for all, or with the input added at the end."""

    def name(letter, k):
        return f"{letter}0" if shared else f"{letter}{k}"

    def forward(x, **p):
        a = x
        for k in range(depth):
            a = np.tanh(a @ p[name("W", k)] + p[name("b", k)])
        return a + x if skip else a

    def backward(dout, x, **p):
        values = [x]
        for k in range(depth):
            values.append(np.tanh(values[-1] @ p[name("W", k)] + p[name("b", k)]))
        g = {n: np.zeros_like(v) for n, v in p.items()}
        d = dout
        for k in reversed(range(depth)):
            d = d * (1 - values[k + 1] ** 2)
            g[name("W", k)] += values[k].T @ d
            g[name("b", k)] += d.sum(axis=0)
            d = d @ p[name("W", k)].T
        g["x"] = d + dout if skip else d
        return g

    return forward, backward, {"x": ("N", "H"), **dense_shapes(1 if shared else depth)}


def relu_net(mask, depth=DEPTH):
    """A stack of rectified layers with the squared error, divided by the batch at the very end."""

    def run(x, p):
        zs, values = [], [x]
        for k in range(depth):
            zs.append(values[-1] @ p[f"W{k}"] + p[f"b{k}"])
            values.append(np.maximum(zs[-1], 0))
        return zs, values

    def forward(x, y, **p):
        return 0.5 * np.sum((run(x, p)[1][-1] - y) ** 2) / len(x)

    def backward(x, y, **p):
        zs, values = run(x, p)
        g, d = {}, values[-1] - y
        for k in reversed(range(depth)):
            d = d * mask(zs[k], values[k + 1])
            g[f"W{k}"], g[f"b{k}"] = (values[k].T @ d) / len(x), d.sum(axis=0) / len(x)
            d = d @ p[f"W{k}"].T
        return g

    return forward, backward, {"x": ("N", "H"), "y": ("N", "H"), **dense_shapes(depth)}


def layernorm_net(depth=3, fault=None):
    """Residual blocks around a layer norm, with its closed backward pass."""

    def norm(x):
        c = x - x.mean(axis=1, keepdims=True)
        r = 1 / np.sqrt((c**2).mean(axis=1, keepdims=True) + 1e-5)
        return c * r, r

    def forward(x, **p):
        for k in range(depth):
            x = x + np.tanh(norm(x)[0] @ p[f"W{k}"])
        return x

    def backward(dout, x, **p):
        saved = []
        for k in range(depth):
            h, r = norm(x)
            t = np.tanh(h @ p[f"W{k}"])
            saved.append((h, r, t))
            x = x + t
        g, d = {}, dout
        for k in reversed(range(depth)):
            h, r, t = saved[k]
            dz = d * (1 - t * t)
            g[f"W{k}"] = h.T @ dz
            dh = dz @ p[f"W{k}"].T
            inner = dh - dh.mean(axis=1, keepdims=True) - h * (dh * h).mean(axis=1, keepdims=True)
            d = inner * r if fault == "skip" and k == 1 else d + inner * r
        g["x"] = d
        return g

    return forward, backward, {"x": ("N", "H"), **{f"W{k}": ("H", "H") for k in range(depth)}}


@pytest.mark.parametrize("options", [{}, {"shared": True}, {"skip": True}], ids=["plain", "shared", "skip"])
def test_deep_stack_is_proved_for_all_sizes(options):
    forward, backward, shapes = tanh_net(**options)
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "PROVED" and verdict.scope == "all sizes", str(verdict)
    assert verdict.lemmas, "a deep proof is a chain of lemmas"


def test_lemmas_name_the_users_tensors_and_lines():
    forward, backward, shapes = tanh_net()
    verdict = sb.check(forward, backward, shapes=shapes)
    first = verdict.lemmas[0]
    assert "line" in first.equation.note and " = " in first.text
    told = [m.equation.tensor for m in verdict.lemmas]
    assert len(told) == len(set(told))


def test_layer_norm_in_residual_blocks_is_proved():
    forward, backward, shapes = layernorm_net()
    assert sb.check(forward, backward, shapes=shapes).for_all_sizes


@pytest.mark.parametrize("mask", [lambda z, a: z > 0, lambda z, a: a > 0, lambda z, a: z >= 0], ids=["z", "a", "kink"])
def test_masks_of_rectified_layers_are_the_slopes(mask):
    """a > 0 is opened by one level, not down to the inputs; a factor 1/N at the end is found in front."""
    forward, backward, shapes = relu_net(mask)
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.for_all_sizes, str(verdict)


@pytest.mark.parametrize("mask", [lambda z, a: a >= 0, lambda z, a: a != 0], ids=["always", "right"])
@pytest.mark.usefixtures("no_diagnosis")
def test_a_rectified_layer_is_no_free_variable(mask):
    """a >= 0 holds everywhere, and a == 0 on an open set: what holds of free variables holds not of such tensors."""
    forward, backward, shapes = relu_net(mask)
    verdict = sb.check(forward, backward, shapes=shapes)
    right = mask(np.array([-1.0, 1.0]), np.array([0.0, 1.0])).tolist() == [False, True]
    assert verdict.status in (("PROVED", "UNDECIDED") if right else ("REFUTED",)), str(verdict)


def test_missing_skip_is_placed_in_its_line_and_cured():
    forward, backward, shapes = layernorm_net(depth=4, fault="skip")
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "REFUTED" and set(verdict.wrong) == {"W0", "x"}
    assert "should be the derivative" in verdict.diagnosis and "d as claimed" in verdict.cure


@pytest.mark.usefixtures("no_diagnosis")
def test_wrong_gradients_of_a_deep_stack_are_named_exactly():
    forward, right, shapes = tanh_net()

    def backward(dout, x, **p):
        g = right(dout, x, **p)
        g["b3"] = g["b3"] / len(x)
        return g

    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "REFUTED" and verdict.wrong == ("b3",)
