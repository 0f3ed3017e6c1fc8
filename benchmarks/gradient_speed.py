"""One loss and gradient, every contestant that is installed: `python benchmarks/gradient_speed.py [--json FILE]`.

All in one process, one thread, interleaved rounds, the minimum of the process's CPU time. The outputs are compared
before anything is timed. Ratios are to the floor: the necessary matrix products alone, each written into a buffer
that is already there.
"""

# ruff: noqa: E402 - the number of threads must be set before NumPy is imported

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # the machine's own kernels, not those a test pins
    os.environ.pop(variable, None)
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import codegen_nets

from symbackprop.codegen import compile_network

CASES = {
    "XOR 2-2-1, m=4": ((2, 2, 1), 4),
    "3-5-5-4, m=32": ((3, 5, 5, 4), 32),
    "784-30-10, m=10": ((784, 30, 10), 10),
    "784-100-10, m=128": ((784, 100, 10), 128),
    "ten hidden of 64, m=128": ((64, *[64] * 10, 10), 128),
    "400-25-10, m=5000": ((400, 25, 10), 5000),
    "784-512-512-10, m=256": ((784, 512, 512, 10), 256),
    "2048-2048-10, m=512": ((2048, 2048, 10), 512),
}
LAM = 1.0


class Case:
    """The arrays of one case, in one precision."""

    def __init__(self, widths: tuple[int, ...], rows: int, dtype: str) -> None:
        given = codegen_nets.arrays(list(widths), rows)
        self.widths, self.rows, self.dtype = widths, rows, dtype
        self.X, self.Y = given["x"].astype(dtype), given["y"].astype(dtype)
        self.theta = np.concatenate(
            [given[f"{n}{layer}"].ravel() for layer in range(1, len(widths)) for n in "Wb"]
        ).astype(dtype)
        self.params, start = {}, 0
        for layer in range(1, len(widths)):
            for name, shape in ((f"W{layer}", (widths[layer], widths[layer - 1])), (f"b{layer}", (widths[layer],))):
                stop = start + int(np.prod(shape))
                self.params[name] = self.theta[start:stop].reshape(shape)
                start = stop


def floor(case: Case) -> Callable[[], object]:
    """The products that no implementation can do without."""
    w, m = case.widths, case.rows
    calls = []
    random = np.random.default_rng(1)
    acts = [random.normal(size=(m, k)).astype(case.dtype) for k in w]
    deltas = [random.normal(size=(m, k)).astype(case.dtype) for k in w]
    for layer in range(len(w) - 1):
        W = case.params[f"W{layer + 1}"]
        calls.append((acts[layer], W.T, np.empty_like(acts[layer + 1])))
        calls.append((deltas[layer + 1].T, acts[layer], np.empty_like(W)))
        if layer:
            calls.append((deltas[layer + 1], W, np.empty_like(deltas[layer])))

    def run() -> None:
        for a, b, out in calls:
            np.matmul(a, b, out=out)

    return run


def textbook(case: Case) -> Callable[[], tuple[float, list[np.ndarray]]]:
    """NumPy as a careful student writes it: vectorised over the batch, costs from logits."""
    p, X, Y, m, L = case.params, case.X, case.Y, case.rows, len(case.widths)

    def run() -> tuple[float, list[np.ndarray]]:
        a, z = [X], None
        for layer in range(1, L):
            z = a[-1] @ p[f"W{layer}"].T + p[f"b{layer}"]
            a.append(1 / (1 + np.exp(-z)))
        J = (np.maximum(z, 0) - z * Y + np.log1p(np.exp(-np.abs(z)))).sum() / m
        J += LAM / (2 * m) * sum((p[f"W{layer}"] ** 2).sum() for layer in range(1, L))
        delta, grads = (a[-1] - Y) / m, []
        for layer in range(L - 1, 0, -1):
            grads += [delta.sum(axis=0), delta.T @ a[layer - 1] + LAM / m * p[f"W{layer}"]]
            if layer > 1:
                delta = (delta @ p[f"W{layer}"]) * a[layer - 1] * (1 - a[layer - 1])
        return J, grads[::-1]

    return run


def ours(backend: str, how: str) -> Callable[[Case], Callable[[], object]]:
    def make(case: Case) -> Callable[[], object]:
        adjoint, predict = codegen_nets.network(len(case.widths))
        net = compile_network(adjoint, predict, case.widths, backend=backend, dtype=case.dtype)
        if how == "bind":
            out = np.empty_like(case.theta)
            step = net.bind(case.theta, case.X, case.Y, out=out, lam=LAM)
            return lambda: (step(), out)
        if how == "flat":
            return lambda: net.flat(case.theta, case.X, case.Y, lam=LAM)
        return lambda: net(case.params, case.X, case.Y, lam=LAM)

    return make


def torch_eager(case: Case) -> Callable[[], object]:
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    L, m = len(case.widths), case.rows
    X, Y = torch.from_numpy(case.X), torch.from_numpy(case.Y)
    p = {k: torch.from_numpy(v.copy()).requires_grad_() for k, v in case.params.items()}

    def run() -> tuple[float, list[object]]:
        a = X
        for layer in range(1, L):
            z = torch.nn.functional.linear(a, p[f"W{layer}"], p[f"b{layer}"])
            a = torch.sigmoid(z)
        J = torch.nn.functional.binary_cross_entropy_with_logits(z, Y, reduction="sum") / m
        J = J + LAM / (2 * m) * sum((p[f"W{layer}"] ** 2).sum() for layer in range(1, L))
        return J.item(), [g.numpy() for g in torch.autograd.grad(J, list(p.values()))]

    return run


def jax_jit(case: Case) -> Callable[[], object]:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    jnp, L, m = jax.numpy, len(case.widths), case.rows

    def cost(p: dict[str, object], X: object, Y: object) -> object:
        a = X
        for layer in range(1, L):
            z = a @ p[f"W{layer}"].T + p[f"b{layer}"]
            a = jax.nn.sigmoid(z)
        J = (jnp.maximum(z, 0) - z * Y + jnp.log1p(jnp.exp(-jnp.abs(z)))).sum() / m
        return J + LAM / (2 * m) * sum((p[f"W{layer}"] ** 2).sum() for layer in range(1, L))

    f = jax.jit(jax.value_and_grad(cost))
    p = {k: jnp.asarray(v) for k, v in case.params.items()}
    X, Y = jnp.asarray(case.X), jnp.asarray(case.Y)

    def run() -> tuple[float, list[np.ndarray]]:
        J, g = jax.block_until_ready(f(p, X, Y))
        return float(J), [np.asarray(g[k]) for k in case.params]

    return run


CONTESTANTS: dict[str, Callable[[Case], Callable[[], object]]] = {
    "floor": floor,
    "textbook": textbook,
    "numpy bind": ours("numpy", "bind"),
    "numpy flat": ours("numpy", "flat"),
    "numpy dict": ours("numpy", "dict"),
    "c bind": ours("c", "bind"),
    "c flat": ours("c", "flat"),
    "torch eager": torch_eager,
    "jax jit": jax_jit,
}


def gradient(result: object) -> np.ndarray:
    """The gradient of any contestant as one vector, the cost in front."""
    J, g = result  # type: ignore[misc]
    parts = [g] if isinstance(g, np.ndarray) else list(g.values()) if isinstance(g, dict) else g
    return np.concatenate([[J], *(np.asarray(a).ravel() for a in parts)])


def measure(case: Case, names: list[str], seconds: float) -> dict[str, float]:
    """Minimum CPU microseconds a call of each contestant that is installed."""
    runs = {}
    reference = gradient(textbook(case)())
    for name in names:
        try:
            run = CONTESTANTS[name](case)
            if name != "floor":
                error = np.abs(gradient(run()) - reference).max() / np.abs(reference).max()
                assert error < (1e-11 if case.dtype == "float64" else 1e-4), f"{name} disagrees: {error:.1e}"
        except Exception as error:  # a contestant that is not installed, or that this version cannot build
            print(
                f"  {name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", file=sys.stderr
            )
            continue
        runs[name] = run
    repeats, best = {}, dict.fromkeys(runs, np.inf)
    for name, run in runs.items():
        start = time.process_time()
        run()
        run()
        once = (time.process_time() - start) / 2
        repeats[name] = max(1, min(20000, int(seconds / 20 / max(once, 1e-6))))
    stop = time.perf_counter() + seconds * len(runs)
    rounds = 0
    while rounds < 5 or time.perf_counter() < stop:
        rounds += 1
        for name, run in runs.items():
            start = time.process_time()
            for _ in range(repeats[name]):
                run()
            best[name] = min(best[name], (time.process_time() - start) / repeats[name])
    return {name: value * 1e6 for name, value in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--only", help="part of a case's name")
    parser.add_argument("--contestants", default=",".join(CONTESTANTS))
    parser.add_argument("--seconds", type=float, default=1.0, help="for each contestant and case")
    options = parser.parse_args()
    names = options.contestants.split(",")
    print(f"| case | floor us | {' | '.join(n for n in names if n != 'floor')} |")
    print("|" + "---|" * (len(names) + 1))
    found = {}
    for title, (widths, rows) in CASES.items():
        if options.only and options.only not in title:
            continue
        times = measure(Case(widths, rows, options.dtype), names, options.seconds)
        found[title] = times
        ratios = [f"{times[n] / times['floor']:.2f}" if n in times else "-" for n in names if n != "floor"]
        print(f"| {title} | {times['floor']:.1f} | {' | '.join(ratios)} |", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
