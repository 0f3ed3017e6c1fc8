"""A proof about a program with a user's own names, made straight from `differentiate`."""

from __future__ import annotations

from fractions import Fraction

from symbackprop.calculus.reverse_mode import differentiate
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, add, contraction, multiply, power, subtract
from symbackprop.expression.program import Equation, Program
from symbackprop.proofs.theorem import Proof, Theorem


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
        Theorem(f"gradient with respect to {t.name}", d, "PROVED", "all sizes") for t, d in gradient.derivations.items()
    )
    title = "The backward pass of layer normalisation"
    return Proof(title, program, program.equations[-1].value, theorems, gradient)
