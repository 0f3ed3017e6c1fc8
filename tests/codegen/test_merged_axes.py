"""Generated code of heads and groups: whole arrays are reshaped, sums over heads are products, masks hide what they hid."""

from __future__ import annotations

import numpy as np
import pytest

import symbackprop as sb

SIZES = {"T": 5, "D": 6, "N": 3, "C": 6, "H": 2}


def masked_heads(q, k, v):
    T, D = q.shape
    split = lambda a: a.reshape(T, 3, D // 3).transpose(1, 0, 2)  # noqa: E731
    s = split(q) @ split(k).transpose(0, 2, 1) / np.sqrt(D // 3)
    s = np.where(np.tril(np.ones((T, T), dtype=bool)), s, -np.inf)
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return (p @ split(v)).transpose(1, 0, 2).reshape(T, D)


def groups(x, gain):
    g = x.reshape(len(x), 3, x.shape[1] // 3, x.shape[2])
    y = (g - g.mean(axis=(2, 3), keepdims=True)) / np.sqrt(g.var(axis=(2, 3), keepdims=True) + 1e-5)
    return y.reshape(x.shape) * gain[:, None]


HEADS = {name: ("T", "D") for name in "qkv"}
GROUPS = {"x": ("N", "C", "H"), "gain": ("C",)}
CASES = {"heads": (masked_heads, HEADS, "D % 3 == 0"), "groups": (groups, GROUPS, "C % 3 == 0")}


def differences(forward, arrays, dout):
    """Gradients of the inner product with dout, by central differences."""
    step, found = 1e-6, {}
    for name, array in arrays.items():
        found[name] = np.empty_like(array)
        for place in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = {n: a.copy() for n, a in arrays.items()}
                moved[name][place] += sign * step
                sides.append((forward(**moved) * dout).sum())
            found[name][place] = (sides[0] - sides[1]) / (2 * step)
    return found


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize("case", CASES)
def test_code_of_merged_axes_computes_the_gradients(case, backend):
    forward, shapes, where = CASES[case]
    draw = np.random.default_rng(3)
    arrays = {n: draw.normal(size=[SIZES[axis] for axis in shape]) for n, shape in shapes.items()}
    dout = draw.normal(size=forward(**arrays).shape)
    compiled = sb.compile(sb.trace(forward, shapes, where=where), backend=backend)
    result = compiled(**arrays, dout=dout)
    assert np.isclose(result["J"], (forward(**arrays) * dout).sum())
    for name, wanted in differences(forward, arrays, dout).items():
        assert np.allclose(result[f"{name}_bar"], wanted, atol=1e-7)


def test_heads_are_reshaped_and_their_sums_are_products():
    source = sb.compile(sb.trace(masked_heads, HEADS, where="D % 3 == 0")).source
    plain = source[source.index("def compute(") : source.index("def compute_for(")]
    assert "q.reshape(T, 3, D // 3)" in plain and ".transpose(1, 0, 2).reshape(T, D)" in plain
    assert "np.arange(D)" not in plain and "None, None, None" not in plain  # no places looked up, no array of four axes


def test_the_backward_of_a_masked_softmax_is_the_plain_one():
    def softmax(s):
        s = np.where(np.tril(np.ones((len(s), len(s)), dtype=bool)), s, -np.inf)
        e = np.exp(s - s.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    lines = str(sb.prove(sb.trace(softmax, {"s": ("T", "T")})))
    assert "s_bar[t,i] = out[t,i]*(out_bar[t,i] - sum(i_1, out_bar[t,i_1]*out[t,i_1]))\n" in lines


def test_a_mask_goes_on_hiding_what_is_not_finite():
    def loss(p, w):
        hidden = np.where(np.tril(np.ones((len(p), len(w)), dtype=bool)), p * np.log(w), 0.0)
        return hidden.sum(axis=1)

    compiled = sb.compile(sb.trace(loss, {"p": ("N", "M"), "w": ("M",)}))
    result = compiled(p=np.ones((2, 3)), w=np.array([1.0, 2.0, 0.0]), dout=np.ones(2))
    assert np.isclose(result["J"], np.log(2))
    assert np.isfinite(result["p_bar"]).all()


def test_a_temporary_and_its_target_with_one_name_have_two_buffers():
    def forward(x, w, v):
        lengths = (w * w).sum(axis=1)
        return np.where(lengths > 0, (x @ x.T) / np.sqrt((w * w).sum(axis=1)), 0.0) @ v

    shapes = {"x": ("N", "D"), "w": ("N", "D"), "v": ("N", "H")}
    draw = np.random.default_rng(3)
    arrays = {n: draw.normal(size=[SIZES[axis] for axis in shape]) for n, shape in shapes.items()}
    dout = draw.normal(size=(SIZES["N"], SIZES["H"]))
    result = sb.compile(sb.trace(forward, shapes))(**arrays, dout=dout)
    assert np.isclose(result["J"], (forward(**arrays) * dout).sum())
    for name, wanted in differences(forward, arrays, dout).items():
        assert np.allclose(result[f"{name}_bar"], wanted, atol=1e-6)
