"""Other packages on the same cases; each function imports its package, so what is not installed is left out."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from cases import LAM, Case, Result


def _torch() -> Any:
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    return torch


def torch_cost(torch: Any, p: dict[str, Any], X: Any, Y: Any) -> Any:
    a, z, L = X, X, len(p) // 2 + 1
    for layer in range(1, L):
        z = torch.nn.functional.linear(a, p[f"W{layer}"], p[f"b{layer}"])
        a = torch.sigmoid(z)
    J = torch.nn.functional.binary_cross_entropy_with_logits(z, Y, reduction="sum") / len(X)
    return J + LAM / (2 * len(X)) * sum((p[f"W{layer}"] ** 2).sum() for layer in range(1, L))


def torch_parts(case: Case) -> tuple[Any, dict[str, Any], Any, Any]:
    torch = _torch()
    p = {k: torch.from_numpy(v.copy()).requires_grad_() for k, v in case.params.items()}
    return torch, p, torch.from_numpy(case.X), torch.from_numpy(case.Y)


def torch_eager(case: Case) -> Callable[[], Result]:
    torch, p, X, Y = torch_parts(case)

    def run() -> Result:
        J = torch_cost(torch, p, X, Y)
        return J.item(), [g.numpy() for g in torch.autograd.grad(J, list(p.values()))]

    return run


def torch_compiled(case: Case) -> Callable[[], Result]:
    torch, p, X, Y = torch_parts(case)
    torch.compiler.reset()  # or the cases before this one count as recompilations of it
    cost = torch.compile(lambda: torch_cost(torch, p, X, Y))

    def run() -> Result:
        J = cost()
        return J.item(), [g.numpy() for g in torch.autograd.grad(J, list(p.values()))]

    return run


def array_cost(np_like: Any, p: dict[str, Any], X: Any, Y: Any) -> Any:
    z, a, L = X, X, len(p) // 2 + 1
    for layer in range(1, L):
        z = np_like.dot(a, p[f"W{layer}"].T) + p[f"b{layer}"]
        a = 1 / (1 + np_like.exp(-z))
    J = np_like.sum(np_like.maximum(z, 0) - z * Y + np_like.log1p(np_like.exp(-np_like.abs(z)))) / len(X)
    return J + LAM / (2 * len(X)) * sum(np_like.sum(p[f"W{layer}"] ** 2) for layer in range(1, L))


def jax_jit(case: Case) -> Callable[[], Result]:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    f = jax.jit(jax.value_and_grad(lambda p, X, Y: array_cost(jax.numpy, p, X, Y)))
    p, X, Y = {k: jax.numpy.asarray(v) for k, v in case.params.items()}, *map(jax.numpy.asarray, (case.X, case.Y))

    def run() -> Result:
        J, g = jax.block_until_ready(f(p, X, Y))
        return float(J), [np.asarray(g[k]) for k in case.params]

    return run


def autograd(case: Case) -> Callable[[], Result]:
    package, numpy = importlib.import_module("autograd"), importlib.import_module("autograd.numpy")
    f = package.value_and_grad(lambda p: array_cost(numpy, p, case.X, case.Y))

    def run() -> Result:
        J, g = f(case.params)
        return J, [g[k] for k in case.params]

    return run


def sklearn(case: Case) -> Callable[[], Result]:
    """The function that MLPClassifier hands to L-BFGS."""
    network = importlib.import_module("sklearn.neural_network")
    warnings = importlib.import_module("warnings")
    w, layers = case.widths, range(1, len(case.widths))
    model = network.MLPClassifier(w[1:-1], activation="logistic", solver="lbfgs", alpha=LAM, max_iter=1)
    targets = np.random.default_rng(0).integers(0, 2, (50, w[-1])) if w[-1] > 1 else np.arange(50) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(np.random.default_rng(0).normal(size=(50, w[0])).astype(case.dtype), targets)
    packed = np.concatenate(
        [case.params[f"W{k}"].T.ravel() for k in layers] + [case.params[f"b{k}"].ravel() for k in layers]
    )
    acts = [case.X, *(np.empty((case.rows, k), case.dtype) for k in w[1:])]
    deltas = [np.empty_like(a) for a in acts[1:]]
    coefs = [np.empty_like(case.params[f"W{k}"].T, order="C") for k in layers]
    biases = [np.empty_like(case.params[f"b{k}"]) for k in layers]

    def run() -> Result:
        J, _ = model._loss_grad_lbfgs(packed, case.X, case.Y, None, acts, deltas, coefs, biases)
        return J, [g for pair in zip((c.T for c in coefs), biases, strict=True) for g in pair]

    return run


PEERS: dict[str, Callable[[Case], Callable[[], Result]]] = {
    "torch eager": torch_eager,
    "torch.compile": torch_compiled,
    "jax jit": jax_jit,
    "autograd": autograd,
    "scikit-learn": sklearn,
}
