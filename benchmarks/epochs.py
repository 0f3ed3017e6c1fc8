"""One epoch of gradient descent in minibatches, by this package, textbook NumPy and PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from cases import LAM, Case, textbook_gradient
from peers import torch_cost, torch_parts

import symbackprop as sb

WIDTHS, BATCH, RATE = (784, 30, 10), 10, 0.1


def textbook(case: Case, order: np.ndarray) -> Callable[[], np.ndarray]:
    def run() -> np.ndarray:
        p = {name: value.copy() for name, value in case.params.items()}
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            _, grads = textbook_gradient(p, case.X[rows], case.Y[rows])
            for value, gradient in zip(p.values(), grads, strict=True):
                value -= RATE * gradient
        return np.concatenate([v.ravel() for v in p.values()])

    return run


def ours(backend: str) -> Callable[[Case, np.ndarray], Callable[[], np.ndarray]]:
    def make(case: Case, order: np.ndarray) -> Callable[[], np.ndarray]:
        net = sb.compile(case.net, backend, case.dtype)

        def run() -> np.ndarray:
            theta = case.theta.copy()
            net.epoch(theta, case.X, case.Y, order=order, batch=BATCH, rate=RATE, lam=LAM)
            return theta

        return run

    return make


def torch_eager(case: Case, order: np.ndarray) -> Callable[[], np.ndarray]:
    torch, initial, X, Y = torch_parts(case)
    index = torch.from_numpy(order)

    def run() -> np.ndarray:
        p = {name: value.detach().clone().requires_grad_() for name, value in initial.items()}
        descent = torch.optim.SGD(p.values(), lr=RATE)
        for start in range(0, len(order), BATCH):
            rows = index[start : start + BATCH]
            descent.zero_grad()
            torch_cost(torch, p, X[rows], Y[rows]).backward()
            descent.step()
        return np.concatenate([v.detach().numpy().ravel() for v in p.values()])

    return run


EPOCHS = {"textbook": textbook, "numpy": ours("numpy"), "c": ours("c"), "torch eager": torch_eager}
