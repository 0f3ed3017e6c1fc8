"""Backpropagation in a dense network, as theorems: the error terms, the gradients of weights and biases, for any depth.

`differentiate` derives every cotangent; here the derivatives of activations are put into the error terms, so that the
delta recursion stands as textbooks have it, simpler forms (a - y, a(1 - a)) are proposed and kept only if they are
equal, and the kernel replays everything. A proof for any depth is the output layer, one general layer, and induction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from symbackprop.calculus.derivation import Derivation, Gradient
from symbackprop.calculus.reverse_mode import differentiate
from symbackprop.expression.build import (
    ONE,
    Apply,
    Entry,
    Expr,
    Index,
    Tensor,
    add,
    apply,
    multiply,
    power,
    rewrite,
    substitute,
    subtract,
)
from symbackprop.expression.functions import FUNCTIONS, STEP, Function, derivative
from symbackprop.expression.nodes import collector_paused
from symbackprop.expression.program import Equation, Program
from symbackprop.frontends.network import M, Network, written_out
from symbackprop.proofs.any_depth import prove_any_depth
from symbackprop.proofs.error_terms import (
    ALL_SIZES,
    LONG,
    Work,
    cotangent_name,
    cut_at,
    error_terms,
    slope_of,
    units_of,
)
from symbackprop.proofs.theorem import Proof, Theorem

# Slopes written with the activation a = f(z) instead of z. They are proposals: each is kept only where it is proved.
_SLOPES: dict[str, Callable[[Expr, Expr], Expr]] = {
    "identity": lambda z, a: ONE,
    "sigmoid": lambda z, a: multiply(a, subtract(ONE, a)),
    "tanh": lambda z, a: subtract(ONE, power(a, 2)),
    "relu": lambda z, a: apply(STEP, z),
    "softplus": lambda z, a: apply(FUNCTIONS["sigmoid"], z),
    "silu": lambda z, a: add(a, multiply(apply(FUNCTIONS["sigmoid"], z), subtract(ONE, a))),
}


def prove_network(network: Network) -> Proof:
    """Derive and prove the gradients of a network: for all widths and batch sizes; for all depths if its depth is a
    symbol.

    Raises:
        ProofError: the kernel refused a step (a fault of this package, never of the user).
    """
    start = time.perf_counter()
    with collector_paused():
        proof = prove_any_depth(network) if network.depth else _prove_layers(network)
    return replace(proof, seconds=time.perf_counter() - start)


def _prove_layers(network: Network) -> Proof:
    gradient = network_gradient(network)
    work = Work(gradient.program)
    theorems: list[Theorem] = []
    for tensor, derivation in gradient.derivations.items():
        work.replay(derivation)
        stem, number = tensor.name[0], tensor.name[1:]
        if stem == "z":
            theorems += error_terms(work, network, int(number), derivation)
        elif stem in "Wb":
            theorems.append(work.theorem(*_describe(stem, int(number)), derivation, layer=int(number)))
    theorems += _slopes(work, network) + _stable_cost(work, network)
    widths = "-".join(str(w) for w in network.widths)
    which = f"a {widths} network" if len(widths) <= LONG else f"a network of {len(network.layers)} layers"
    title = f"Gradients of {which}: {units_of(network)}"
    gradient = replace(gradient, adjoint=_adjoint(network, gradient, theorems))
    return Proof(
        title,
        network.program,
        network.program.equations[-1].value,
        tuple(theorems),
        gradient,
        network,
        (),
        0.0,
        network.conditions,
    )


def network_gradient(network: Network) -> Gradient:
    """The cotangents of all tensors of a network, derived; not yet replayed."""
    return differentiate(network.program, name=cotangent_name, wanted=network.parameters)


def _describe(stem: str, number: int) -> tuple[str, str]:
    if stem == "W":
        return (
            f"gradient with respect to W{number}",
            f"What unit j of layer {number} sends (its activation) times what unit i of layer {number + 1} lacks "
            "(its error term).",
        )
    return (f"gradient with respect to b{number}", "A bias is a weight from a unit that always sends 1.")


# Side results: slopes and the stable cost.


def _slopes(work: Work, network: Network) -> list[Theorem]:
    """f'(z) = a(1 - a) and the like, once for each function."""
    theorems, done = [], set()
    for layer in network.layers[1:]:
        function = layer.function
        if (
            function is None
            or function.name in done
            or function.name not in _SLOPES
            or function is FUNCTIONS["identity"]
        ):
            continue
        done.add(function.name)
        derivation = _slope(work, network, layer.number, function)
        if derivation is not None:
            remark = f"The slope of {function.name} from its own value: the forward pass has computed it already."
            theorems.append(work.theorem(f"slope of {function.name}", remark, derivation, layer=layer.number))
    return theorems


def _slope(work: Work, network: Network, number: int, function: Function) -> Derivation | None:
    n, i = Index("n", M), Index("i", network.layers[number - 1].size)
    z, a = Entry(network.pre_activation(number), (n, i)), Entry(network.activations(number), (n, i))
    left = apply(derivative(function), z)
    blank = Derivation(f"slope of {function.name}", work.program, left, left, ())
    reason = f"Differentiate the definition of {function.name} and put in a = {function.name}(z)."
    return work.extend(blank, _SLOPES[function.name](z, a), "equation", reason, [a.tensor])


def _stable_cost(work: Work, network: Network) -> list[Theorem]:
    """The cost computed from the logits equals the cost of the textbook."""
    stable = network.stable_program
    textbook, computed = network.program.equations[-1].value, stable.equations[-1].value
    if textbook is computed:
        return []
    last = len(network.layers)
    z = network.pre_activation(last)
    shown = written_out(cut_at(stable, z), computed)
    left = Entry(Tensor("J"))
    blank = Derivation("stable cost", work.program, left, left, ())
    uses = [e.tensor for e in network.program.equations if e.tensor.name in ("J", f"a{last}", "S")]
    reason = "Write out the output activation."
    if network.cost_name.endswith("cross_entropy"):
        reason = "Write out the output activation; log and exp cancel, and no logarithm of a small number is left."
    derivation = work.extend(blank, shown, "equation", reason, uses)
    if derivation is None:
        return []
    return [
        work.theorem(
            "the cost from the logits",
            "This form is finite for every z: it is the one that the code computes.",
            derivation,
        )
    ]


# The adjoint program that becomes code.


def _adjoint(network: Network, gradient: Gradient, theorems: Sequence[Theorem]) -> Program:
    """Stable forward equations and the proved gradients, in the form that is cheapest to compute."""
    best: dict[Tensor, Derivation] = {}
    for theorem in theorems:
        left = theorem.derivation.left
        if isinstance(left, Entry) and left.tensor in gradient.derivations.values().__iter__().__next__().definitions:
            needs_rows = any("add up to 1" in c for c in theorem.conditions)
            if not needs_rows:
                best[left.tensor] = theorem.derivation
    cheaper: dict[Expr, Expr] = {
        t.derivation.left: t.derivation.right for t in theorems if isinstance(t.derivation.left, Apply)
    }
    equations = []
    for tensor in gradient.derivations:
        bar = gradient.cotangents[tensor]
        if bar in best and isinstance(best[bar].left, Entry):
            left = best[bar].left
            assert isinstance(left, Entry)
            equations.append(
                Equation(
                    bar, tuple(i for i in left.indices if isinstance(i, Index)), _cheaper(best[bar].right, cheaper)
                )
            )
    stable = network.stable_program
    outputs = (Tensor("J"), *(gradient.cotangents[t] for t in network.parameters))
    return Program(
        stable.inputs, (*stable.equations, *equations), outputs, stable.parameters, (), (), stable.conditions
    )


def _cheaper(expr: Expr, slopes: dict[Expr, Expr]) -> Expr:
    """Slopes from activations, where a theorem gives them for this function."""
    patterns = {left.function: (left, right) for left, right in slopes.items() if isinstance(left, Apply)}

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Apply) or node.function not in patterns:
            return None
        left, right = patterns[node.function]
        z, here = left.arguments[0], node.arguments[0]
        if not (isinstance(z, Entry) and isinstance(here, Entry) and here.tensor.name[0] == "z"):
            return None
        number = here.tensor.name[1:]
        table: dict[Expr, Expr] = {
            z: here,
            Entry(Tensor("a" + z.tensor.name[1:], z.tensor.shape), z.indices): Entry(
                Tensor("a" + number, here.tensor.shape), here.indices
            ),
        }
        return substitute(right, table)

    return rewrite(expr, visit)


__all__ = ["ALL_SIZES", "cotangent_name", "network_gradient", "prove_network", "slope_of"]
