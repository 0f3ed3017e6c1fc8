"""What is measured: networks, their data, the floor, textbook NumPy and this package. Import before NumPy: it sets the
number of threads.

The floor is the matrix products that no implementation can do without, each written into a buffer that is there.
"""

# ruff: noqa: E402 - the number of threads must be set before NumPy is imported

from __future__ import annotations

import os
import sys
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # the machine's own kernels, not those a test pins
    os.environ.pop(variable, None)
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from collections.abc import Callable

import numpy as np

import symbackprop as sb

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
Result = tuple[float, list[np.ndarray]]


class Case:
    """The arrays of one case, in one precision."""

    def __init__(self, widths: tuple[int, ...], rows: int, dtype: str) -> None:
        random = np.random.default_rng(0)
        self.widths, self.rows, self.dtype = widths, rows, dtype
        self.X = random.normal(size=(rows, widths[0])).astype(dtype)
        labels = random.integers(0, max(2, widths[-1]), rows)
        self.Y = (np.eye(widths[-1])[labels] if widths[-1] > 1 else labels[:, None]).astype(dtype)
        self.net = sb.Network(widths, activation="sigmoid", cost="cross_entropy", l2="lambda/(2*m)")
        params = {name: array.astype(dtype) for name, array in self.net.init(seed=0).items()}
        self.theta = np.concatenate([p.ravel() for p in params.values()])
        self.params, start = {}, 0
        for name, p in params.items():
            self.params[name] = self.theta[start : start + p.size].reshape(p.shape)
            start += p.size


def floor(case: Case) -> Callable[[], object]:
    calls, random = [], np.random.default_rng(1)
    acts, deltas = ([random.normal(size=(case.rows, k)).astype(case.dtype) for k in case.widths] for _ in range(2))
    for layer in range(len(case.widths) - 1):
        W = case.params[f"W{layer + 1}"]
        calls.append((acts[layer], W.T, np.empty_like(acts[layer + 1])))
        calls.append((deltas[layer + 1].T, acts[layer], np.empty_like(W)))
        if layer:
            calls.append((deltas[layer + 1], W, np.empty_like(deltas[layer])))

    def run() -> None:
        for a, b, out in calls:
            np.matmul(a, b, out=out)

    return run


def textbook(case: Case) -> Callable[[], Result]:
    """NumPy as a careful student writes it: vectorised over the batch, the cost from the logits."""
    return lambda: textbook_gradient(case.params, case.X, case.Y)


def textbook_gradient(p: dict[str, np.ndarray], X: np.ndarray, Y: np.ndarray) -> Result:
    a, z, m, L = [X], X, len(X), len(p) // 2 + 1
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


def ours(backend: str, how: str) -> Callable[[Case], Callable[[], object]]:
    """This package: `bind` for the same arrays again, `flat` for a new theta at each call."""

    def make(case: Case) -> Callable[[], object]:
        f = sb.compile(case.net, backend, case.dtype)
        assert f.backend == backend
        if how == "flat":
            return lambda: f.flat(case.theta, case.X, case.Y, lam=LAM)
        out = np.empty_like(case.theta)
        run = f.bind(case.theta, case.X, case.Y, out=out, lam=LAM)
        return lambda: (run(), out)

    return make


def as_vector(result: object) -> np.ndarray:
    """Cost and gradient of any contestant as one vector."""
    J, g = result  # type: ignore[misc]
    parts = [g] if isinstance(g, np.ndarray) else g
    return np.concatenate([[J], *(np.asarray(a).ravel() for a in parts)])
