"""Backpropagation in a dense network, as theorems: the error terms, the gradients of weights and biases, for any depth.

`differentiate` derives every cotangent; here the derivatives of activations are put into the error terms, so that the
delta recursion stands as textbooks have it, simpler forms (a - y, a(1 - a)) are proposed and kept only if they are
equal, and the kernel replays everything. A proof for any depth is the output layer, one general layer, and induction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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
    TheoremMaker,
    cotangent_name,
    cut_at,
    error_terms,
    is_unconditional,
    slope_of,
    units_of,
)
from symbackprop.proofs.stable_logs import stabilise
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
    theorems += _slopes(work, network) + _stable_cost(work, network)
    widths = "-".join(str(w) for w in network.widths)
    which = f"a {widths} network" if len(widths) <= LONG else f"a network of {len(network.layers)} layers"
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
            f"What unit j of layer {number} sends (its activation) times what unit i of layer {number + 1} lacks "
            "(its error term).",
        )
    return (f"gradient with respect to {parameter.name}", "A bias is a weight from a unit that always sends 1.")


# Side results: slopes and the stable cost.


def _slopes(work: TheoremMaker, network: Network) -> list[Theorem]:
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


def _slope(work: TheoremMaker, network: Network, number: int, function: Function) -> Derivation | None:
    n, i = Index("n", M), Index("i", network.layers[number - 1].size)
    z, a = Entry(network.pre_activation(number), (n, i)), Entry(network.activations(number), (n, i))
    left = apply(derivative(function), z)
    blank = Derivation(f"slope of {function.name}", work.program, left, left, ())
    reason = f"Differentiate the definition of {function.name} and put in a = {function.name}(z)."
    return work.extend(blank, _SLOPES[function.name](z, a), "equation", reason, [a.tensor])


def _stable_cost(work: TheoremMaker, network: Network) -> list[Theorem]:
    """The cost computed from the logits equals the cost of the textbook."""
    stable = stabilise(network.program)
    cost = stable.equations[-1]
    if network.program.equations[-1].value is cost.value:
        return []
    last = len(network.layers)
    shown = written_out(cut_at(stable, network.pre_activation(last)), cost.value)
    left = Entry(cost.tensor)
    blank = Derivation("stable cost", work.program, left, left, ())
    reason = "Write out the output activation."
    if network.cost_name.endswith("cross_entropy"):
        reason = "Write out the output activation; log and exp cancel, and no logarithm of a small number is left."
    uses = [cost.tensor, network.activations(last), network.denominator]
    derivation = work.extend(blank, shown, "equation", reason, [t for t in uses if t in work.program.by_tensor])
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


def _adjoint(work: TheoremMaker, network: Network, gradient: Gradient, theorems: Sequence[Theorem]) -> Program:
    """The forward equations and the gradients, each in the form that is cheapest to compute.

    All of it is about one program: each gradient's equation is what a derivation that the kernel has accepted says,
    and needs nothing to be known about the targets.
    """
    best: dict[Tensor, Derivation] = {}
    for theorem in theorems:
        left = theorem.derivation.left
        if isinstance(left, Entry) and left.tensor in theorem.derivation.definitions and is_unconditional(theorem):
            best[left.tensor] = theorem.derivation
    slopes = [t.derivation for t in theorems if isinstance(t.derivation.left, Apply)]
    equations = []
    for bar in map(gradient.cotangents.__getitem__, gradient.derivations):
        if bar in best:
            derivation = _cheaper(work, network, best[bar], slopes)
            left = derivation.left
            assert isinstance(left, Entry), "a cotangent is an entry"
            indices = tuple(i for i in left.indices if isinstance(i, Index))
            equations.append(Equation(bar, indices, derivation.right))
    return replace(gradient.adjoint, equations=(*network.program.equations, *equations), assumptions=())


def _cheaper(work: TheoremMaker, network: Network, derivation: Derivation, slopes: Sequence[Derivation]) -> Derivation:
    """The derivation with slopes computed from activations, where a theorem does so for the same function."""
    known = {d.left.function: d for d in slopes if isinstance(d.left, Apply)}
    activations = {network.pre_activation(k): network.activations(k) for k in range(2, len(network.layers) + 1)}
    used: list[Tensor] = []

    def visit(node: Expr) -> Expr | None:
        here = node.arguments[0] if isinstance(node, Apply) and node.function in known else None
        if not isinstance(node, Apply) or not isinstance(here, Entry) or here.tensor not in activations:
            return None
        slope = known[node.function]
        assert isinstance(slope.left, Apply), "a slope is a function of z"
        z = slope.left.arguments[0]
        assert isinstance(z, Entry), "a slope is a function of z"
        used.append(activations[here.tensor])
        a = Entry(activations[z.tensor], z.indices)
        return substitute(slope.right, {z: here, a: Entry(activations[here.tensor], here.indices)})

    cheaper = rewrite(derivation.right, visit)
    if cheaper is derivation.right:
        return derivation
    reason = "The slopes are computed from the activations."
    return work.extend(derivation, cheaper, "equation", reason, used) or derivation


__all__ = ["ALL_SIZES", "cotangent_name", "network_gradient", "prove_network", "slope_of"]
