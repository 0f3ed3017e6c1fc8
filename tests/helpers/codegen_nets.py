"""Programs for the tests of code generation: dense networks with their adjoints written by hand, as `differentiate` gives them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    Entry,
    Expr,
    Index,
    Symbol,
    Tensor,
    add,
    apply,
    contraction,
    divide,
    multiply,
    negate,
    number,
    power,
    subtract,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, LOG, derivative
from symbackprop.expression.program import Equation, Program

m, lam = Symbol("m", "size"), Symbol("lam")
SIGMOID = FUNCTIONS["sigmoid"]


def sizes(layers: int) -> list[Symbol]:
    return [Symbol(f"s_{layer}", "size") for layer in range(1, layers + 1)]


def network(
    layers: int, activation: str = "sigmoid", cost: str = "cross_entropy", prime: str = "product"
) -> tuple[Program, Program]:
    """(adjoint, predict) of a network with symbolic widths; `prime` says how the activation's derivative is written."""
    s = sizes(layers)
    ax = [Index("i", size) for size in s]
    n = Index("n", m)
    x, y = Tensor("x", (m, s[0])), Tensor("y", (m, s[-1]))
    W = {layer: Tensor(f"W{layer}", (s[layer], s[layer - 1])) for layer in range(1, layers)}
    b = {layer: Tensor(f"b{layer}", (s[layer],)) for layer in range(1, layers)}
    a = {1: x} | {layer: Tensor(f"a{layer}", (m, s[layer - 1])) for layer in range(2, layers + 1)}
    z = {layer: Tensor(f"z{layer}", (m, s[layer - 1])) for layer in range(2, layers + 1)}
    equations = []
    for layer in range(2, layers + 1):
        i = ax[layer - 1]
        total = contraction(
            "j",
            s[layer - 2],
            lambda j, layer=layer, i=i: multiply(Entry(W[layer - 1], (i, j)), Entry(a[layer - 1], (n, j))),
        )
        equations.append(Equation(z[layer], (n, i), add(total, Entry(b[layer - 1], (i,)))))
        f = FUNCTIONS[activation] if layer < layers else SIGMOID
        value = (
            softmax(z[layer], n, i)
            if layer == layers and cost == "softmax_cross_entropy"
            else apply(f, Entry(z[layer], (n, i)))
        )
        equations.append(Equation(a[layer], (n, i), value))
    predict = Program((x, *[t for layer in W for t in (W[layer], b[layer])]), tuple(equations), (a[layers],))
    J = Tensor("J")
    squares = [
        contraction(
            "i",
            s[layer],
            lambda i, layer=layer: contraction("j", s[layer - 1], lambda j: power(Entry(W[layer], (i, j)), 2)),
        )
        for layer in W
    ]
    penalty = multiply(lam, power(multiply(number(2), m), -1), add(*squares))
    data = contraction("n", m, lambda n: contraction("k", s[-1], lambda k: _loss(cost, y, a[layers], n, k)))
    equations.append(Equation(J, (), add(multiply(power(m, -1), data), penalty)))
    delta = {layer: Tensor(f"delta{layer}", (m, s[layer - 1])) for layer in range(2, layers + 1)}
    for layer in range(layers, 1, -1):
        i = ax[layer - 1]
        if layer == layers:
            value = divide(subtract(Entry(a[layer], (n, i)), Entry(y, (n, i))), m)
        else:
            back = contraction(
                "k",
                s[layer],
                lambda k, layer=layer, i=i: multiply(Entry(W[layer], (k, i)), Entry(delta[layer + 1], (n, k))),
            )
            value = multiply(back, _slope(activation, prime, Entry(a[layer], (n, i)), Entry(z[layer], (n, i))))
        equations.append(Equation(delta[layer], (n, i), value))
    outputs = [J]
    for layer in range(1, layers):
        i, j = ax[layer], Index("j", s[layer - 1])
        dW, db = Tensor(f"dJ_dW{layer}", W[layer].shape), Tensor(f"dJ_db{layer}", b[layer].shape)
        total = contraction(
            "n", m, lambda n, layer=layer, i=i, j=j: multiply(Entry(delta[layer + 1], (n, i)), Entry(a[layer], (n, j)))
        )
        equations.append(Equation(dW, (i, j), add(total, multiply(divide(lam, m), Entry(W[layer], (i, j))))))
        equations.append(
            Equation(db, (i,), contraction("n", m, lambda n, layer=layer, i=i: Entry(delta[layer + 1], (n, i))))
        )
        outputs += [dW, db]
    inputs = (x, y, *[t for layer in W for t in (W[layer], b[layer])])
    return Program(inputs, tuple(equations), tuple(outputs), (lam,)), predict


def softmax(z: Tensor, n: Index, i: Index) -> Expr:
    total = contraction("c", z.shape[1], lambda c: apply(EXP, Entry(z, (n, c))))
    return multiply(apply(EXP, Entry(z, (n, i))), power(total, -1))


def _slope(activation: str, prime: str, a: Entry, z: Entry) -> Expr:
    if prime == "product" and activation == "sigmoid":
        return multiply(a, subtract(ONE, a))
    return apply(derivative(FUNCTIONS[activation]), z)


def _loss(cost: str, y: Tensor, a: Tensor, n: Index, k: Index) -> Expr:
    target, h = Entry(y, (n, k)), Entry(a, (n, k))
    if cost == "softmax_cross_entropy":
        return negate(multiply(target, apply(LOG, h)))
    one = multiply(target, apply(LOG, h))
    other = multiply(subtract(ONE, target), apply(LOG, subtract(ONE, h)))
    return add(multiply(MINUS_ONE, one), multiply(MINUS_ONE, other))


def arrays(widths: list[int], rows: int, seed: int = 0, scale: float = 1.0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    given = {"x": random.normal(size=(rows, widths[0])), "y": np.eye(widths[-1])[random.integers(0, widths[-1], rows)]}
    if widths[-1] == 1:
        given["y"] = random.integers(0, 2, (rows, 1)).astype(float)
    for layer in range(1, len(widths)):
        given[f"W{layer}"] = scale * random.normal(size=(widths[layer], widths[layer - 1])) / np.sqrt(widths[layer - 1])
        given[f"b{layer}"] = random.normal(size=widths[layer])
    return given


def numbers(widths: list[int], rows: int) -> dict[str, int]:
    return {"m": rows} | {f"s_{layer}": w for layer, w in enumerate(widths, 1)}


def complex_step(function: Callable[[np.ndarray], complex], theta: np.ndarray) -> np.ndarray:
    """The gradient of an analytic function, exact to rounding."""
    gradient = np.empty(theta.size)
    for p in range(theta.size):
        moved = theta.astype(complex)
        moved[p] += 1e-30j
        gradient[p] = function(moved).imag / 1e-30
    return gradient
