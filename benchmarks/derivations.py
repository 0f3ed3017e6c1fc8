"""The functions that `proof_time.py` times: each derives all gradients of one network and says how long the result is.

Networks have sigmoid units and half the squared error; `depth` counts layers with the input's. A package that is not
installed raises ImportError.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import sympy as sp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import symbackprop as sb
from symbackprop.expression.build import Expr, children
from symbackprop.proofs.network import network_gradient


def nodes(expr: Expr) -> int:
    return 1 + sum(map(nodes, children(expr)))


def network(depth: int) -> sb.Network:
    widths = [f"s_{k}" for k in range(1, depth + 1)]
    return sb.Network(widths, activation="sigmoid", cost="squared_error")


def derived(depth: int, width: int) -> int:
    """This package, any widths: the equations of the adjoint program, not yet proved."""
    return sum(nodes(e.value) for e in network_gradient(network(depth)).adjoint.equations)


def proved(depth: int, width: int) -> int:
    """This package, any widths: derived, and every step replayed by the kernel."""
    proof = sb.prove(network(depth))
    assert proof.status == "PROVED"
    return len(proof.theorems)


def sympy_sums(depth: int, width: int) -> int:
    """SymPy's own Sum and Indexed, any widths: the cost as one expression, `diff` by an entry of each W and b."""
    m, sizes = sp.Symbol("m", integer=True), sp.symbols(f"s1:{depth + 1}", integer=True)
    x, y, n = sp.IndexedBase("x"), sp.IndexedBase("y"), sp.Symbol("n", integer=True)
    p, q, k = sp.Symbol("p", integer=True), sp.Symbol("q", integer=True), sp.Dummy("k", integer=True)

    def activation(layer: int, i: sp.Expr) -> sp.Expr:
        if layer == 0:
            return x[n, i]
        j = sp.Dummy("j", integer=True)
        W, b = sp.IndexedBase(f"W{layer}"), sp.IndexedBase(f"b{layer}")
        return 1 / (1 + sp.exp(-sp.Sum(W[i, j] * activation(layer - 1, j), (j, 0, sizes[layer - 1] - 1)) - b[i]))

    errors = (activation(depth - 1, k) - y[n, k]) ** 2
    J = sp.Sum(errors, (k, 0, sizes[-1] - 1), (n, 0, m - 1)) / (2 * m)
    places = [sp.IndexedBase(f"{kind}{layer}") for layer in range(1, depth) for kind in "Wb"]
    return sum(int(sp.count_ops(J.diff(t[p, q] if t.name[0] == "W" else t[p]))) for t in places)


def sympy_written_out(depth: int, width: int) -> int:
    """SymPy, every layer `width` units, two examples: every weight a symbol, `diff` by each of them."""
    params: list[sp.Symbol] = []

    def fresh(name: str) -> sp.Symbol:
        params.append(sp.Symbol(name))
        return params[-1]

    layers = []
    for layer in range(1, depth):
        W = [[fresh(f"W{layer}_{i}_{j}") for j in range(width)] for i in range(width)]
        layers.append((W, [fresh(f"b{layer}_{i}") for i in range(width)]))
    J = sp.Integer(0)
    for n in range(2):
        a: list[sp.Expr] = [sp.Symbol(f"x{n}_{i}") for i in range(width)]
        for W, b in layers:
            a = [
                1 / (1 + sp.exp(-sum(w * v for w, v in zip(row, a, strict=True)) - c))
                for row, c in zip(W, b, strict=True)
            ]
        J += sum((v - sp.Symbol(f"y{n}_{i}")) ** 2 for i, v in enumerate(a)) / 4
    return sum(int(sp.count_ops(J.diff(parameter))) for parameter in params)


def tensorgrad(depth: int, width: int) -> int:
    """tensorgrad, any widths, without biases: `Derivative` by each W, simplified; the length of the result's text."""
    tg, functions = importlib.import_module("tensorgrad"), importlib.import_module("tensorgrad.functions")
    m, *sizes = tg.symbols(" ".join(["m", *(f"s{k}" for k in range(1, depth + 1))]))
    weights = [tg.Variable(f"W{k}", a, b) for k, (a, b) in enumerate(itertools.pairwise(sizes), start=1)]
    a = tg.Variable("X", m, sizes[0])
    for W in weights:
        a = functions.sigmoid(a @ W)
    J = functions.frobenius2(a - tg.Variable("Y", m, sizes[-1]))
    return sum(len(str(tg.Derivative(J, W).full_simplify())) for W in weights)


DERIVATIONS: dict[str, Callable[[int, int], int]] = {
    "derived": derived,
    "proved": proved,
    "sympy_sums": sympy_sums,
    "sympy_written_out": sympy_written_out,
    "tensorgrad": tensorgrad,
}
