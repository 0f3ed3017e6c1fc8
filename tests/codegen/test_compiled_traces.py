"""Traced NumPy functions, compiled: outputs' gradients agree with PyTorch's to 1e-12 in double precision."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.calculus.kernel import Kernel
from symbackprop.codegen.c import build as c_build
from symbackprop.errors import ProofError, UnsupportedError


def has_compiler():
    try:
        return bool(c_build.compiler())
    except UnsupportedError:
        return False


def layer_norm(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=-1, keepdims=True)
    return gamma * (x - mu) / np.sqrt(((x - mu) ** 2).mean(axis=-1, keepdims=True) + eps) + beta


def attention(q, k, v):
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True)) @ v


def lstm_cell(x, h, c, Wx, Wh, b):
    H = h.shape[1]
    a = x @ Wx + h @ Wh + b
    i, f, o, g = a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
    cell = 1 / (1 + np.exp(-f)) * c + 1 / (1 + np.exp(-i)) * np.tanh(g)
    return 1 / (1 + np.exp(-o)) * np.tanh(cell), cell


def convolution(x, w, b):
    H, W = x.shape[2] - 2, x.shape[3] - 1  # the window is 3 by 2
    out = b[None, :, None, None]
    for i in range(3):
        for j in range(2):
            out = out + np.einsum("nchw,fc->nfhw", x[:, :, i : i + H, j : j + W], w[:, :, i, j])
    return out


CASES = {
    "layer norm": (layer_norm, {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}, {"N": 6, "D": 9}),
    "attention": (
        attention,
        {"q": ("B", "T", "D"), "k": ("B", "S", "D"), "v": ("B", "S", "E")},
        {"B": 2, "T": 5, "S": 7, "D": 4, "E": 3},
    ),
    "lstm cell": (
        lstm_cell,
        {"x": ("N", "D"), "h": ("N", "H"), "c": ("N", "H"), "Wx": ("D", "4*H"), "Wh": ("H", "4*H"), "b": ("4*H",)},
        {"N": 5, "D": 3, "H": 4},
    ),
    "convolution": (
        convolution,
        {"x": ("N", "C", 7, 6), "w": ("F", "C", 3, 2), "b": ("F",)},
        {"N": 2, "C": 3, "F": 4},
    ),
}


def truth(torch, name, given, upstream):
    """The gradients by PyTorch, from its own layers where it has them."""
    t = {k: torch.from_numpy(v).requires_grad_() for k, v in given.items()}
    if name == "layer norm":
        outputs = [torch.nn.functional.layer_norm(t["x"], t["x"].shape[1:], t["gamma"], t["beta"], 1e-5)]
    elif name == "attention":
        outputs = [torch.nn.functional.scaled_dot_product_attention(t["q"], t["k"], t["v"])]
    elif name == "convolution":
        outputs = [torch.nn.functional.conv2d(t["x"], t["w"], t["b"])]
    else:
        i, f, o, g = (t["x"] @ t["Wx"] + t["h"] @ t["Wh"] + t["b"]).chunk(4, dim=1)
        cell = f.sigmoid() * t["c"] + i.sigmoid() * g.tanh()
        outputs = [o.sigmoid() * cell.tanh(), cell]
    cost = sum((torch.from_numpy(d) * out).sum() for d, out in zip(upstream, outputs, strict=True))
    return cost.item(), dict(zip(given, torch.autograd.grad(cost, list(t.values())), strict=True))


@pytest.mark.parametrize("backend", ["numpy", "c", "jax"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("error")  # no other backend takes over
def test_compiled_trace_agrees_with_pytorch(name, backend):
    torch = pytest.importorskip("torch")
    if backend == "jax":
        pytest.importorskip("jax")
    if backend == "c" and not has_compiler():
        pytest.skip("no C compiler")
    forward, shapes, sizes = CASES[name]
    random = np.random.default_rng(3)
    given = {k: random.normal(size=tuple(eval(str(s), {}, sizes) for s in v)) for k, v in shapes.items()}
    outputs = forward(**given)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    upstream = [random.normal(size=o.shape) for o in outputs]
    names = ["dout"] if len(upstream) == 1 else [f"dout{k}" for k in range(1, len(upstream) + 1)]
    f = sb.compile(sb.trace(forward, shapes=shapes), backend)
    assert f.backend == backend
    found = f(**given, **dict(zip(names, upstream, strict=True)))
    cost, gradients = truth(torch, name, given, upstream)
    assert float(found["J"]) == pytest.approx(cost, rel=1e-12)
    for key, gradient in gradients.items():
        scale = np.abs(gradient.numpy()).max()
        np.testing.assert_allclose(found[f"{key}_bar"], gradient.numpy(), rtol=0, atol=1e-12 * scale)


def test_nothing_becomes_code_that_the_kernel_has_not_replayed(monkeypatch):
    def refuse(self, derivation):
        raise ProofError(f"{derivation.name}: no")

    monkeypatch.setattr(Kernel, "replay", refuse)
    with pytest.raises(ProofError):
        sb.compile(sb.trace(lambda x: np.sum(np.tanh(x) ** 2), shapes={"x": ("N", "D")}))
    with pytest.raises(ProofError):
        sb.compile(sb.Network([2, 7, 1], activation="tanh", cost="squared_error"))
