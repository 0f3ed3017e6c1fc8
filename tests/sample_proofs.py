"""Proofs for the tests of documents, made straight from `differentiate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from symbackprop.derivation import Derivation, Gradient
from symbackprop.differentiate import differentiate
from symbackprop.expression import (
    Entry,
    Expr,
    Index,
    Number,
    Symbol,
    Tensor,
    add,
    apply,
    contraction,
    multiply,
    number,
    power,
    subtract,
)
from symbackprop.primitives import FUNCTIONS, Function, arbitrary
from symbackprop.program import Equation, Program
from symbackprop.rules import RULES

m, lam = Symbol("m", "size"), Symbol("lam")


@dataclass(frozen=True)
class Theorem:
    name: str
    derivation: Derivation
    status: str = "PROVED"
    scope: str = "all widths and batch sizes"
    conditions: tuple[str, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class Net:
    widths: tuple[Expr, ...]
    activations: tuple[Function, ...]
    depth: int | None


@dataclass(frozen=True)
class Proof:
    title: str
    program: Program
    network: Net | None
    theorems: tuple[Theorem, ...]
    gradient: Gradient
    status: str = "PROVED"
    rules: dict = field(default_factory=lambda: RULES)


def squared_error_net(widths: tuple[Expr, ...], f: Function) -> Program:
    """A dense net with the mean squared error and weight decay."""
    n, last = Index("n", m), len(widths)
    x, y = Tensor("x", (m, widths[0])), Tensor("y", (m, widths[-1]))
    before, inputs, equations, penalty = x, [x], [], []
    for layer in range(1, last):
        sends, receives = widths[layer - 1], widths[layer]
        i = Index("i", receives)
        W, b = Tensor(f"W{layer}", (receives, sends)), Tensor(f"b{layer}", (receives,))
        z, a = Tensor(f"z{layer + 1}", (m, receives)), Tensor(f"a{layer + 1}", (m, receives))
        total = contraction("j", sends, lambda j, W=W, i=i, p=before: multiply(Entry(W, (i, j)), Entry(p, (n, j))))
        equations.append(Equation(z, (n, i), add(total, Entry(b, (i,)))))
        equations.append(Equation(a, (n, i), apply(f, Entry(z, (n, i)))))
        inputs += [W, b]
        penalty.append(
            contraction(
                "i", receives, lambda i, W=W, s=sends: contraction("j", s, lambda j: power(Entry(W, (i, j)), 2))
            )
        )
        before = a
    error = contraction(
        "n",
        m,
        lambda n: contraction("k", widths[-1], lambda k: power(subtract(Entry(before, (n, k)), Entry(y, (n, k))), 2)),
    )
    mean = multiply(number(Fraction(1, 2)), power(m, -1), error)
    cost = Equation(Tensor("J"), (), add(mean, multiply(lam, power(number(2), -1), add(*penalty))))
    return Program((*inputs, y), (*equations, cost), (cost.tensor,), (lam,))


def network_proof(widths: tuple[Expr, ...], f: Function) -> Proof:
    program = squared_error_net(widths, f)
    gradient = differentiate(
        program, name=lambda t: t.name.replace("z", "delta") if t.name[0] == "z" else f"dJ_d{t.name}"
    )
    theorems = []
    for tensor, derivation in gradient.derivations.items():
        kind = {"z": "error term", "W": "weight gradient", "b": "bias gradient", "a": "activation gradient"}.get(
            tensor.name[0]
        )
        if kind:
            layer = tensor.name[1:]
            theorems.append(Theorem(f"{kind} of layer {layer}", derivation))
    net = Net(widths, (f,) * (len(widths) - 1), len(widths))
    return Proof("The gradient of a dense network with squared error", program, net, tuple(theorems), gradient)


def symbolic_proof() -> Proof:
    return network_proof(tuple(Symbol(s, "size") for s in ("s_1", "s_2", "s_3", "K")), arbitrary())


def deep_proof(depth: int) -> Proof:
    return network_proof((*(Number(Fraction(64)) for _ in range(depth - 1)), number(10)), FUNCTIONS["relu"])


def layer_norm_proof() -> Proof:
    """A traced program's proof: names as the user wrote them, no network."""
    N, D, eps = Symbol("N", "size"), Symbol("D", "size"), Symbol("eps", "positive")
    n, i = Index("n", N), Index("i", D)
    x, g, out = Tensor("x", (N, D)), Tensor("gamma", (D,)), Tensor("dout", (N, D))
    mu, var, hat, y = Tensor("mu", (N,)), Tensor("var", (N,)), Tensor("x_hat", (N, D)), Tensor("out", (N, D))
    X = Entry(x, (n, i))
    program = Program(
        (x, g, out),
        (
            Equation(mu, (n,), multiply(power(D, -1), contraction("i", D, lambda i: Entry(x, (n, i)))), "line 3"),
            Equation(
                var,
                (n,),
                multiply(
                    power(D, -1), contraction("i", D, lambda i: power(subtract(Entry(x, (n, i)), Entry(mu, (n,))), 2))
                ),
                "line 4",
            ),
            Equation(
                hat,
                (n, i),
                multiply(subtract(X, Entry(mu, (n,))), power(add(Entry(var, (n,)), eps), Fraction(-1, 2))),
                "line 5",
            ),
            Equation(y, (n, i), multiply(Entry(g, (i,)), Entry(hat, (n, i))), "line 6"),
            Equation(
                Tensor("J"),
                (),
                contraction(
                    "n", N, lambda n: contraction("i", D, lambda i: multiply(Entry(out, (n, i)), Entry(y, (n, i))))
                ),
            ),
        ),
        (Tensor("J"),),
        (eps,),
    )
    gradient = differentiate(program)
    theorems = tuple(
        Theorem(f"gradient with respect to {t.name}", d, scope="all sizes") for t, d in gradient.derivations.items()
    )
    return Proof("The backward pass of layer normalisation", program, None, theorems, gradient)
