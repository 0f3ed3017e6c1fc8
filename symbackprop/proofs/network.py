"""Backpropagation in a dense network, as theorems: the error terms, the gradients of weights and biases, for any depth.

`differentiate` derives every cotangent; here the derivatives of activations are put into the error terms, so that the
delta recursion stands as textbooks have it, simpler forms (a - y, a(1 - a)) are proposed and kept only if they are
equal, and the kernel replays everything. A proof for any depth is the output layer, one general layer, and induction.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from symbackprop.calculus.derivation import Derivation, Gradient
from symbackprop.calculus.reverse_mode import differentiate
from symbackprop.expression.build import (
    ONE,
    Apply,
    Entry,
    Expr,
    Index,
    Tensor,
    apply,
    negate,
    rewrite,
    substitute,
    subtract,
    tensors_in,
)
from symbackprop.expression.functions import FUNCTIONS, LOG, derivative
from symbackprop.expression.nodes import collector_paused
from symbackprop.expression.program import Equation, Program
from symbackprop.frontends.network import Network, written_out
from symbackprop.proofs.any_depth import prove_any_depth
from symbackprop.proofs.common_scale import scaled_logarithm
from symbackprop.proofs.error_terms import (
    LONG,
    PENALTY_ADDS,
    cotangent_name,
    cut_at,
    error_terms,
    slope_of,
    units_of,
)
from symbackprop.proofs.functions import closed_slope, function_lemmas
from symbackprop.proofs.stable_logs import stabilise
from symbackprop.proofs.theorem import Proof, Theorem
from symbackprop.proofs.theorem_maker import ALL_SIZES, TheoremMaker


@lru_cache(maxsize=16)
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
    work = TheoremMaker(gradient.program)
    last = range(1, len(network.layers))
    layers = {network.pre_activation(k + 1): k + 1 for k in last}
    parameters = {t: k for k in last for t in (network.weight(k), network.bias(k))}
    theorems: list[Theorem] = []
    for tensor, derivation in gradient.derivations.items():
        work.replay(derivation)
        if tensor in layers:
            theorems += error_terms(work, network, layers[tensor], derivation)
        elif tensor in parameters:
            number = parameters[tensor]
            theorems.append(work.theorem(*_describe(tensor, network, number), derivation, layer=number))
    stable = stabilise(network.program)
    logits = _has_logits(network, stable)
    theorems = function_lemmas(network, logits=logits) + theorems
    theorems += _stable_cost(work, network, stable) if logits else []
    widths = "-".join(str(w) for w in network.widths)
    named = not all(isinstance(w, int) for w in network.widths)
    which = f"a network with layers {', '.join(map(str, network.widths))}" if named else f"a {widths} network"
    which = which if len(widths) <= LONG else f"a network of {len(network.layers)} layers"
    title = f"Gradients of {which}: {units_of(network)}"
    gradient = replace(gradient, adjoint=_adjoint(work, network, gradient, theorems))
    cost = network.program.equations[-1].value
    return Proof(title, network.program, cost, tuple(theorems), gradient, network, (), 0.0, network.conditions)


def network_gradient(network: Network) -> Gradient:
    """The cotangents of all tensors of a network, derived; not yet replayed."""
    return differentiate(network.program, name=cotangent_name, wanted=network.parameters)


def _describe(parameter: Tensor, network: Network, number: int) -> tuple[str, str]:
    if parameter is network.weight(number):
        return (
            f"gradient with respect to {parameter.name}",
            f"Over the examples is added up what unit j of layer {number} sends (its activation) times how fast the "
            f"cost changes with the pre-activation of unit i of layer {number + 1} (its error term)."
            + (PENALTY_ADDS if network.penalties() else ""),
        )
    return (f"gradient with respect to {parameter.name}", "A bias is a weight from a unit that always sends 1.")


def _stable_cost(work: TheoremMaker, network: Network, stable: Program) -> list[Theorem]:
    """The cost computed from the logits equals the cost of the textbook."""
    last = len(network.layers)
    z, a, S = network.pre_activation(last), network.activations(last), network.denominator
    left, cost = Entry(stable.equations[-1].tensor), network.program.equations[-1].value
    shown = written_out(cut_at(stable, z), stable.equations[-1].value)

    def sigmoid(node: Expr) -> Expr | None:
        if not isinstance(node, Apply) or node.function is not LOG:
            return None
        argument = node.arguments[0]
        for inner in (argument, *(negate(t) for t in getattr(argument, "terms", ()))):
            if not isinstance(inner, Entry) or inner.tensor is not a:
                continue
            here = Entry(z, inner.indices)
            softplus = apply(FUNCTIONS["softplus"], here)
            if argument is inner:
                return subtract(here, softplus)
            if argument is subtract(ONE, inner):
                return negate(softplus)
        return None

    def softmax(node: Expr) -> Expr | None:
        inner = node.arguments[0] if isinstance(node, Apply) and node.function is LOG else None
        if not isinstance(inner, Entry) or inner.tensor is not a:
            return None
        return subtract(Entry(z, inner.indices), apply(LOG, Entry(S, inner.indices[:1])))

    def shifted(node: Expr) -> Expr | None:
        inner = node.arguments[0] if isinstance(node, Apply) and node.function is LOG else None
        if not isinstance(inner, Entry) or inner.tensor is not S:
            return None
        return written_out(cut_at(stable, z), scaled_logarithm(network.program, inner))

    softmax_says = "The logarithm of a quotient; log and exp undo each other."
    shift = "$\\log\\sum_k e^{z_k} = M + \\log\\sum_k e^{z_k - M}$ for every $M$, here the largest of the $z_k$."
    lines: list[tuple[Expr, str, str, tuple[Tensor, ...]]] = [
        (cost, "equation", "The definition of the cost.", (left.tensor,))
    ]
    if network.softmax:
        logarithms = rewrite(cost, softmax)
        lines.append((logarithms, "function", softmax_says, (a, S)))
        lines.append((rewrite(logarithms, shifted), "algebra", shift, (S,)))
    else:
        lines.append((rewrite(cost, sigmoid), "function", "The two logarithms by their lemmas.", (a,)))
    lines.append((shown, "algebra", "Multiply out and gather.", ()))
    derivation = Derivation("the cost from the logits", work.program, left, left, ())
    for after, rule, reason, uses in lines:
        if after is not derivation.right:
            derivation = work.extend(derivation, after, rule, reason, uses) or derivation
    if derivation.right is not shown:
        return []
    remark = (
        "No logarithm of a number that floating point has rounded to 0 can occur in this form: the code computes it."
    )
    return [work.theorem(derivation.name, remark, derivation)]


def _has_logits(network: Network, stable: Program) -> bool:
    """True if every logarithm of the cost could be written in the pre-activations of the output layer."""
    cost = stable.equations[-1].value
    if network.program.equations[-1].value is cost:
        return False
    last = len(network.layers)
    return network.activations(last) not in tensors_in(cost)


# The adjoint program that becomes code.


def _adjoint(work: TheoremMaker, network: Network, gradient: Gradient, theorems: Sequence[Theorem]) -> Program:
    """The forward equations and the gradients, each in the form that is cheapest to compute.

    All of it is about one program: each gradient's equation is what a derivation that the kernel has accepted says,
    and needs nothing to be known about the targets.
    """
    best: dict[Tensor, Derivation] = {}
    for theorem in theorems:
        left = theorem.derivation.left
        if isinstance(left, Entry) and left.tensor in theorem.derivation.definitions and work.is_unconditional(theorem):
            best[left.tensor] = theorem.derivation
    equations = []
    for bar in map(gradient.cotangents.__getitem__, gradient.derivations):
        if bar in best:
            derivation = _cheaper(work, network, best[bar])
            left = derivation.left
            assert isinstance(left, Entry), "a cotangent is an entry"
            indices = tuple(i for i in left.indices if isinstance(i, Index))
            equations.append(Equation(bar, indices, derivation.right))
    return replace(gradient.adjoint, equations=(*network.program.equations, *equations), assumptions=())


def _cheaper(work: TheoremMaker, network: Network, derivation: Derivation) -> Derivation:
    """The derivation with slopes computed from activations, where there is a form for the same function."""
    known = {derivative(layer.function): layer.function for layer in network.layers[1:] if layer.function is not None}
    activations = {network.pre_activation(k): network.activations(k) for k in range(2, len(network.layers) + 1)}
    used: list[Tensor] = []

    def visit(node: Expr) -> Expr | None:
        here = node.arguments[0] if isinstance(node, Apply) and node.function in known else None
        if not isinstance(node, Apply) or not isinstance(here, Entry) or here.tensor not in activations:
            return None
        function, activation = known[node.function], Entry(activations[here.tensor], here.indices)
        closed = closed_slope(function, here)
        if closed is None:
            return None
        used.append(activation.tensor)
        return substitute(closed, {apply(function, here): activation})

    cheaper = rewrite(derivation.right, visit)
    if cheaper is derivation.right:
        return derivation
    reason = "The slopes are computed from the activations."
    return work.extend(derivation, cheaper, "equation", reason, used) or derivation


__all__ = ["ALL_SIZES", "cotangent_name", "network_gradient", "prove_network", "slope_of"]
