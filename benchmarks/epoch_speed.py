"""Microseconds for one step of gradient descent, 784-30-10 with batches of 10.

`python benchmarks/epoch_speed.py [--dtype float32]`

One process, one thread, interleaved, the minimum of CPU time over rounds; parameters are compared first.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import gradient_speed as shared  # sets the number of threads, so it comes before NumPy
import numpy as np

WIDTHS, BATCH, ROWS, RATE = (784, 30, 10), 10, 6000, 0.1


def textbook(case: shared.Case, order: np.ndarray) -> Callable[[], np.ndarray]:
    p = {k: v.copy() for k, v in case.params.items()}
    part = shared.Case(WIDTHS, BATCH, case.dtype)
    part.params = p

    def run() -> np.ndarray:
        for name, value in case.params.items():
            p[name][...] = value
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            part.X, part.Y = case.X[rows], case.Y[rows]
            _, grads = shared.textbook(part)()
            for name, gradient in zip(p, grads, strict=True):
                p[name] -= RATE * gradient
        return np.concatenate([v.ravel() for v in p.values()])

    return run


def ours(backend: str) -> Callable[[shared.Case, np.ndarray], Callable[[], np.ndarray]]:
    def make(case: shared.Case, order: np.ndarray) -> Callable[[], np.ndarray]:
        adjoint, predict = shared.codegen_nets.network(len(WIDTHS))
        net = shared.compile_network(adjoint, predict, WIDTHS, backend=backend, dtype=case.dtype)

        def run() -> np.ndarray:
            theta = case.theta.copy()
            net.epoch(theta, case.X, case.Y, order=order, batch=BATCH, rate=RATE, lam=shared.LAM)
            return theta

        return run

    return make


def torch_eager(case: shared.Case, order: np.ndarray) -> Callable[[], np.ndarray]:
    torch = shared.importlib.import_module("torch")
    torch.set_num_threads(1)
    L = len(WIDTHS)
    X, Y, index = torch.from_numpy(case.X), torch.from_numpy(case.Y), torch.from_numpy(order)

    def run() -> np.ndarray:
        p = {k: torch.from_numpy(v.copy()).requires_grad_() for k, v in case.params.items()}
        descent = torch.optim.SGD(p.values(), lr=RATE)
        for start in range(0, len(order), BATCH):
            rows = index[start : start + BATCH]
            a = X[rows]
            for layer in range(1, L):
                z = torch.nn.functional.linear(a, p[f"W{layer}"], p[f"b{layer}"])
                a = torch.sigmoid(z)
            J = torch.nn.functional.binary_cross_entropy_with_logits(z, Y[rows], reduction="sum") / len(rows)
            J = J + shared.LAM / (2 * len(rows)) * sum((p[f"W{layer}"] ** 2).sum() for layer in range(1, L))
            descent.zero_grad()
            J.backward()
            descent.step()
        return np.concatenate([v.detach().numpy().ravel() for v in p.values()])

    return run


CONTESTANTS = {"textbook": textbook, "numpy": ours("numpy"), "c": ours("c"), "torch eager": torch_eager}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    case = shared.Case(WIDTHS, ROWS, options.dtype)
    order = np.random.default_rng(0).permutation(ROWS)
    reference, runs = textbook(case, order)(), {}
    for name, make in CONTESTANTS.items():
        try:
            run = make(case, order)
            error = np.abs(run() - reference).max()
            assert error < (1e-9 if options.dtype == "float64" else 1e-3), f"disagrees: {error:.1e}"
            runs[name] = run
        except ImportError as error:
            print(f"{name}: {error}", file=sys.stderr)
    best = dict.fromkeys(runs, np.inf)
    for _ in range(options.rounds):
        for name, run in runs.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    steps = ROWS / BATCH
    print("| contestant | us a step | textbook / it |\n|---|---|---|")
    for name, seconds in best.items():
        print(f"| {name} | {seconds / steps * 1e6:.1f} | {best['textbook'] / seconds:.1f} |")


if __name__ == "__main__":
    main()
