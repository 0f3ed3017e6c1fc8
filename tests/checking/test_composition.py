"""Whole models: proofs composed of lemmas, and faults placed between cut points."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.calculus.lemmas import joined
from symbackprop.checking.composition import Composition, Sums
from symbackprop.checking.decide import goal_of
from symbackprop.frontends.numpy.traced import trace_pair

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


def vanishing_net(depth, factor):
    """Layers that scale by a tiny factor: in a few of them numbers run out of range."""

    def forward(x, **p):
        for k in range(depth):
            x = factor * np.tanh(x @ p[f"W{k}"])
        return x

    def backward(dout, x, **p):
        values = [x]
        for k in range(depth):
            values.append(factor * np.tanh(values[-1] @ p[f"W{k}"]))
        g, d = {}, dout
        for k in reversed(range(depth)):
            d = d * (1 - (values[k + 1] / factor) ** 2) * factor
            g[f"W{k}"] = values[k].T @ d
            d = d @ p[f"W{k}"].T
        return {**g, "x": d}

    return forward, backward, {"x": ("N", "H"), **{f"W{k}": ("H", "H") for k in range(depth)}}


def test_gradients_that_run_out_of_range_are_proved():
    """Numbers propose nothing where all of them are 0; what comes next in line does."""
    forward, backward, shapes = vanishing_net(5, 2.0**-240)
    assert sb.check(forward, backward, shapes=shapes, seconds=300).status == "PROVED"


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


def pooled(x, w, b, V):
    y = x[:, None, :] * w[:, None]
    r = np.maximum(y + b[:, None], 0)
    p = r.reshape(len(x), len(b), 4, 2).mean(axis=3)
    return p.reshape(len(x), -1) @ V


def pooled_back(dout, x, w, b, V):
    z = x[:, None, :] * w[:, None] + b[:, None]
    p = np.maximum(z, 0).reshape(len(x), len(b), 4, 2).mean(axis=3)
    dp = (dout @ V.T).reshape(p.shape)
    dz = np.repeat(dp, 2, axis=2) / 2 * (z > 0)
    db, dV = dz.sum((0, 2)), p.reshape(len(x), -1).T @ dout
    return {"x": (dz * w[:, None]).sum(1), "w": (dz * x[:, None, :]).sum((0, 2)), "b": db, "V": dV}


def test_a_lemma_opens_what_the_user_has_before_what_he_has_not():
    """The derivative of y stands on the user's side; with that put in both sides are one, and the pooling stays closed."""
    traced = trace_pair(pooled, pooled_back, {"x": ("N", 8), "w": ("G",), "b": ("G",), "V": ("4*G", "K")})
    goal = goal_of(traced)
    facts = goal.gradient.program.facts
    composition = Composition(goal.question, goal.gradient.adjoint, traced.backward, facts, 1e9)
    pairs = {name: (traced.gradients[name], goal.derived[name]) for name in goal.names}
    assert not composition.proof(pairs).unproved
    (lemma,) = [m for t, m in composition.lemmas.items() if t is traced.gradients["b"]]
    assert [t.name for t in lemma.opened] == ["b_bar", "y_bar"]
    assert composition.expanded == 0, "no entry of an axis that is summed over is named by itself"


def test_sums_are_written_out_where_a_loop_went_over_their_axis():
    def forward(x, w):
        return sum(x * w[k] for k in range(3))

    def backward(dout, x, w):
        return {"x": dout * w.sum(), "w": np.full(3, (dout * x).sum())}

    traced = trace_pair(forward, backward, {"x": ("N", 8), "w": (3,)})
    looped, both = traced.forward, joined(traced.forward, traced.backward)
    assert [kind.longest(both) for kind in (Sums.NAMED, Sums.ALL, Sums.NONE)] == [3, 8, 0]
    assert Sums.NAMED.longest(looped) == 3, "what the loop names counts where nothing is summed over it"
