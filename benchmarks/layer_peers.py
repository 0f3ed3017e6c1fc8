"""The traced layers by PyTorch and JAX, with their own functions for layers and their own differentiation."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


def _torch_forward(torch: Any, name: str, t: Mapping[str, Any]) -> Any:
    F = torch.nn.functional
    x = t.get("x")
    if name == "LayerNorm":
        return F.layer_norm(x, x.shape[1:], t["gamma"], t["beta"], 1e-5)
    if name == "RMSNorm":
        return F.rms_norm(x, x.shape[1:], t["gamma"], 1e-6)
    if name == "BatchNorm":
        return F.batch_norm(x, None, None, t["gamma"], t["beta"], training=True, eps=1e-5)
    if name == "GELU":
        return F.gelu(x, approximate="tanh")
    if name == "SwiGLU":
        return (F.silu(x @ t["Wg"]) * (x @ t["Wu"])) @ t["Wd"]
    if name == "softmax cross-entropy":
        return F.cross_entropy(t["z"], t["y"])
    if name == "attention":
        return F.scaled_dot_product_attention(t["q"][None], t["k"][None], t["v"][None])[0]
    if name == "GRU cell":
        z = torch.sigmoid(x @ t["Wz"] + t["h"] @ t["Uz"] + t["bz"])
        r = torch.sigmoid(x @ t["Wr"] + t["h"] @ t["Ur"] + t["br"])
        n = torch.tanh(x @ t["Wh"] + r * (t["h"] @ t["Uh"]) + t["bh"])
        return (1 - z) * n + z * t["h"]
    return F.conv2d(x, t["w"], t["b"])


def _by_torch(compiled: bool, name: str, arrays: Arrays) -> Callable[[], object]:
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    given = {k: torch.from_numpy(a.copy()) for k, a in arrays.items()}
    dout = given.pop("dout", None)
    wanted = {k: t.requires_grad_() for k, t in given.items() if t.is_floating_point()}
    if compiled:
        torch.compiler.reset()  # or the layers before this one count as recompilations of it

    def cost() -> Any:
        out = _torch_forward(torch, name, given)
        return out if dout is None else (dout * out).sum()

    cost = torch.compile(cost) if compiled else cost

    def run() -> object:
        J = cost()
        return {"J": J.item(), **dict(zip(wanted, torch.autograd.grad(J, list(wanted.values())), strict=True))}

    return run


def _jax_forward(jax: Any, name: str, t: Mapping[str, Any]) -> Any:
    np_, nn, x = jax.numpy, jax.nn, t.get("x")
    if name in ("LayerNorm", "BatchNorm"):
        axis = 1 if name == "LayerNorm" else 0
        mu = x.mean(axis=axis, keepdims=True)
        var = ((x - mu) ** 2).mean(axis=axis, keepdims=True)
        return t["gamma"] * (x - mu) * jax.lax.rsqrt(var + 1e-5) + t["beta"]
    if name == "RMSNorm":
        return t["gamma"] * x * jax.lax.rsqrt((x**2).mean(axis=1, keepdims=True) + 1e-6)
    if name == "GELU":
        return nn.gelu(x, approximate=True)
    if name == "SwiGLU":
        return (nn.silu(x @ t["Wg"]) * (x @ t["Wu"])) @ t["Wd"]
    if name == "softmax cross-entropy":
        return -np_.take_along_axis(nn.log_softmax(t["z"]), t["y"][:, None], axis=1).mean()
    if name == "attention":
        return nn.softmax(t["q"] @ t["k"].T / np_.sqrt(t["q"].shape[1]).astype(t["q"].dtype)) @ t["v"]
    if name == "GRU cell":
        z = nn.sigmoid(x @ t["Wz"] + t["h"] @ t["Uz"] + t["bz"])
        r = nn.sigmoid(x @ t["Wr"] + t["h"] @ t["Ur"] + t["br"])
        n = np_.tanh(x @ t["Wh"] + r * (t["h"] @ t["Uh"]) + t["bh"])
        return (1 - z) * n + z * t["h"]
    out = jax.lax.conv_general_dilated(x, t["w"], (1, 1), "VALID")
    return out + t["b"][None, :, None, None]


def _by_jax(name: str, arrays: Arrays) -> Callable[[], object]:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    given = {k: jax.numpy.asarray(a) for k, a in arrays.items()}
    dout = given.pop("dout", None)
    wanted = {k: a for k, a in given.items() if k != "y"}
    fixed = {k: a for k, a in given.items() if k == "y"}

    def cost(wanted: Any, fixed: Any, dout: Any) -> Any:
        out = _jax_forward(jax, name, {**wanted, **fixed})
        return out if dout is None else (dout * out).sum()

    f = jax.jit(jax.value_and_grad(cost))

    def run() -> object:
        J, gradients = jax.block_until_ready(f(wanted, fixed, dout))
        return {"J": float(J), **gradients}

    return run


def torch_eager(name: str, arrays: Arrays) -> Callable[[], object]:
    return _by_torch(False, name, arrays)


def torch_compiled(name: str, arrays: Arrays) -> Callable[[], object]:
    return _by_torch(True, name, arrays)


PEERS: dict[str, Callable[[str, Arrays], Callable[[], object]]] = {
    "torch eager": torch_eager,
    "torch.compile": torch_compiled,
    "jax jit": _by_jax,
}
