"""Programs for the tests of code generation: dense networks with their adjoints written by hand, as `differentiate` gives them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symbackprop.expression import (
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
from symbackprop.primitives import EXP, FUNCTIONS, LOG, derivative
from symbackprop.program import Equation, Program

m, lam = Symbol("m", "size"), Symbol("lam")
SIGMOID = FUNCTIONS["sigmoid"]


def sizes(layers: int) -> list[Symbol]:
    return [Symbol(f"s_{l}", "size") for l in range(1, layers + 1)]


def network(layers: int, activation: str = "sigmoid", cost: str = "cross_entropy", prime: str = "product") -> tuple[Program, Program]:
    """(adjoint, predict) of a network with symbolic widths; `prime` says how the activation's derivative is written."""
    s = sizes(layers)
    ax = [Index("i", size) for size in s]
    n = Index("n", m)
    x, y = Tensor("x", (m, s[0])), Tensor("y", (m, s[-1]))
    W = {l: Tensor(f"W{l}", (s[l], s[l - 1])) for l in range(1, layers)}
    b = {l: Tensor(f"b{l}", (s[l],)) for l in range(1, layers)}
    a = {1: x} | {l: Tensor(f"a{l}", (m, s[l - 1])) for l in range(2, layers + 1)}
    z = {l: Tensor(f"z{l}", (m, s[l - 1])) for l in range(2, layers + 1)}
    equations = []
    for l in range(2, layers + 1):
        i = ax[l - 1]
        total = contraction("j", s[l - 2], lambda j, l=l, i=i: multiply(Entry(W[l - 1], (i, j)), Entry(a[l - 1], (n, j))))
        equations.append(Equation(z[l], (n, i), add(total, Entry(b[l - 1], (i,)))))
        f = FUNCTIONS[activation] if l < layers else SIGMOID
        value = softmax(z[l], n, i) if l == layers and cost == "softmax_cross_entropy" else apply(f, Entry(z[l], (n, i)))
        equations.append(Equation(a[l], (n, i), value))
    predict = Program((x, *[t for l in W for t in (W[l], b[l])]), tuple(equations), (a[layers],))
    J = Tensor("J")
    squares = [
        contraction("i", s[l], lambda i, l=l: contraction("j", s[l - 1], lambda j: power(Entry(W[l], (i, j)), 2))) for l in W
    ]
    penalty = multiply(lam, power(multiply(number(2), m), -1), add(*squares))
    data = contraction("n", m, lambda n: contraction("k", s[-1], lambda k: _loss(cost, y, a[layers], n, k)))
    equations.append(Equation(J, (), add(multiply(power(m, -1), data), penalty)))
    delta = {l: Tensor(f"delta{l}", (m, s[l - 1])) for l in range(2, layers + 1)}
    for l in range(layers, 1, -1):
        i = ax[l - 1]
        if l == layers:
            value = divide(subtract(Entry(a[l], (n, i)), Entry(y, (n, i))), m)
        else:
            back = contraction("k", s[l], lambda k, l=l, i=i: multiply(Entry(W[l], (k, i)), Entry(delta[l + 1], (n, k))))
            value = multiply(back, _slope(activation, prime, Entry(a[l], (n, i)), Entry(z[l], (n, i))))
        equations.append(Equation(delta[l], (n, i), value))
    outputs = [J]
    for l in range(1, layers):
        i, j = ax[l], Index("j", s[l - 1])
        dW, db = Tensor(f"dJ_dW{l}", W[l].shape), Tensor(f"dJ_db{l}", b[l].shape)
        total = contraction("n", m, lambda n, l=l, i=i, j=j: multiply(Entry(delta[l + 1], (n, i)), Entry(a[l], (n, j))))
        equations.append(Equation(dW, (i, j), add(total, multiply(divide(lam, m), Entry(W[l], (i, j))))))
        equations.append(Equation(db, (i,), contraction("n", m, lambda n, l=l, i=i: Entry(delta[l + 1], (n, i)))))
        outputs += [dW, db]
    inputs = (x, y, *[t for l in W for t in (W[l], b[l])])
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
    for l in range(1, len(widths)):
        given[f"W{l}"] = scale * random.normal(size=(widths[l], widths[l - 1])) / np.sqrt(widths[l - 1])
        given[f"b{l}"] = random.normal(size=widths[l])
    return given


def numbers(widths: list[int], rows: int) -> dict[str, int]:
    return {"m": rows} | {f"s_{l}": w for l, w in enumerate(widths, 1)}


def complex_step(function: Callable[[np.ndarray], complex], theta: np.ndarray) -> np.ndarray:
    """The gradient of an analytic function, exact to rounding."""
    gradient = np.empty(theta.size)
    for p in range(theta.size):
        moved = theta.astype(complex)
        moved[p] += 1e-30j
        gradient[p] = function(moved).imag / 1e-30
    return gradient
