"""Backpropagation in a dense network, as theorems: the error terms, the gradients of weights and biases, for any depth.

`differentiate` derives every cotangent; here the derivatives of activations are put into the error terms, so that the
delta recursion stands as textbooks have it, simpler forms (a - y, a(1 - a)) are proposed and kept only if they are equal, and
the kernel replays everything. A proof for any depth is the output layer, one general layer, and induction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import sympy as sp

from symbackprop.canonical import Canonical
from symbackprop.derivation import Derivation, Gradient, Step
from symbackprop.differentiate import CotangentBuilder, differentiate
from symbackprop.errors import BudgetError, UnsupportedError
from symbackprop.expression import (
    ONE,
    Apply,
    Entry,
    Expr,
    Index,
    Symbol,
    Tensor,
    add,
    apply,
    contraction,
    divide,
    free_indices,
    multiply,
    negate,
    power,
    rewrite,
    substitute,
    subtract,
)
from symbackprop.kernel import Kernel
from symbackprop.network import M, Network, written_out
from symbackprop.plain import to_text
from symbackprop.primitives import ARGUMENTS, EXP, FUNCTIONS, STEP, Function, derivative
from symbackprop.program import Equation, Program
from symbackprop.proof import Proof, Theorem
from symbackprop.rules import tensors_in
from symbackprop.sizes import Facts

ALL_SIZES = "all sizes"
# Slopes written with the activation a = f(z) instead of z. They are proposals: each is kept only where it is proved.
_SLOPES: dict[str, Callable[[Expr, Expr], Expr]] = {
    "identity": lambda z, a: ONE,
    "sigmoid": lambda z, a: multiply(a, subtract(ONE, a)),
    "tanh": lambda z, a: subtract(ONE, power(a, 2)),
    "relu": lambda z, a: apply(STEP, z),
    "softplus": lambda z, a: apply(FUNCTIONS["sigmoid"], z),
    "silu": lambda z, a: add(a, multiply(apply(FUNCTIONS["sigmoid"], z), subtract(ONE, a))),
}


def cotangent_name(tensor: Tensor) -> str:
    """delta2 for z2, dJ_dW1 for W1."""
    return "delta" + tensor.name[1:] if tensor.name[0] == "z" else f"dJ_d{tensor.name}"


def prove_network(network: Network) -> Proof:
    """Derive and prove the gradients of a network: for all widths and batch sizes; for all depths if its depth is a symbol.

    Raises:
        ProofError: the kernel refused a step (a fault of this package, never of the user).
    """
    start = time.perf_counter()
    proof = _prove_any_depth(network) if network.depth else _prove_layers(network)
    return replace(proof, seconds=time.perf_counter() - start)


def _prove_layers(network: Network) -> Proof:
    gradient = network_gradient(network)
    work = _Work(gradient.program)
    theorems: list[Theorem] = []
    for tensor, derivation in gradient.derivations.items():
        work.replay(derivation)
        stem, number = tensor.name[0], tensor.name[1:]
        if stem == "z":
            theorems += _error_terms(work, network, int(number), derivation)
        elif stem in "Wb":
            theorems.append(work.theorem(*_describe(stem, int(number)), derivation, layer=int(number)))
    theorems += _slopes(work, network) + _stable_cost(work, network)
    title = f"Gradients of {network!r}"
    gradient = replace(gradient, adjoint=_adjoint(network, gradient, theorems))
    return Proof(title, network.program, network.program.equations[-1].value, tuple(theorems), gradient, network, (), 0.0, network.conditions)


def network_gradient(network: Network) -> Gradient:
    """The cotangents of all tensors of a network, derived; not yet replayed."""
    return differentiate(network.program, name=cotangent_name, wanted=network.parameters)


def _describe(stem: str, number: int) -> tuple[str, str]:
    if stem == "W":
        return (
            f"gradient with respect to W{number}",
            f"What unit j of layer {number} sends (its activation) times what unit i of layer {number + 1} lacks (its error term).",
        )
    return (f"gradient with respect to b{number}", "A bias is a weight from a unit that always sends 1.")


class _Work:
    """A kernel with its program, and the making of theorems from what it has accepted."""

    def __init__(self, program: Program) -> None:
        self.program, self.kernel = program, Kernel(program)

    def replay(self, derivation: Derivation) -> tuple[str, ...]:
        return self.kernel.replay(derivation)

    def theorem(self, name: str, remark: str, derivation: Derivation, *, layer: int | str | None = None) -> Theorem:
        """A theorem, after the kernel has accepted every step."""
        used = self.replay(derivation)
        conditions = tuple(dict.fromkeys((*_kinks(derivation), *used)))
        return Theorem(name, replace(derivation, name=name, conditions=conditions), "PROVED", ALL_SIZES, conditions, remark, layer)

    def extend(self, derivation: Derivation, after: Expr, rule: str, reason: str, uses: Sequence[Tensor] = ()) -> Derivation | None:
        """The derivation with one more step, or None if the kernel does not accept it."""
        step = Step(derivation.right, after, rule, reason, tuple(uses))
        longer = replace(derivation, right=after, steps=(*derivation.steps, step))
        try:
            accepted = self.kernel.accepts(step, longer)
        except (BudgetError, UnsupportedError):
            return None
        return longer if accepted else None


def _kinks(derivation: Derivation) -> tuple[str, ...]:
    """The points that the functions in a derivation exclude."""
    found: dict[str, None] = {}
    for step in derivation.steps:
        for node in _applications(step.after):
            if node.function.primitive_of is None or not all(isinstance(a, Entry) for a in node.arguments):
                continue
            places = {s: sp.Symbol(to_text(a)) for s, a in zip(ARGUMENTS, node.arguments, strict=False)}
            found.update(dict.fromkeys(f"{k.subs(places, simultaneous=True)} != 0" for k in node.function.kinks))
    return tuple(found)


def _applications(expr: Expr) -> list[Apply]:
    found: list[Apply] = []

    def look(node: Expr) -> Expr | None:
        if isinstance(node, Apply):
            found.append(node)
        return None

    rewrite(expr, look)
    return found


# Error terms.


def _error_terms(work: _Work, network: Network, number: int, derivation: Derivation) -> list[Theorem]:
    """The theorem about delta of one layer, and for the output layer its special form."""
    last = number == len(network.layers)
    inner = _with_inner(work, derivation, cut=0 if last else 1)
    name = "error term of the output layer" if last else f"error term of layer {number}"
    remark = (
        "How fast the cost changes with the weighted input of an output unit."
        if last
        else f"The sum runs over layer {number + 1}, since each unit of layer {number} feeds every unit there; f' is taken at z, where the derivative of f is."
    )
    theorems = [work.theorem(name, remark, _tidied(work, inner, network, number), layer=number)]
    if last:
        for form, title, why in _output_forms(network):
            special = _special_form(work, network, inner, form, why)
            if special is not None:
                theorems.append(work.theorem(title, why, special, layer=number))
    # later results use the general form, which needs no condition
    work.kernel.accepted[theorems[0].derivation.left.tensor] = theorems[0].derivation  # type: ignore[attr-defined]
    return theorems


def _with_inner(work: _Work, derivation: Derivation, cut: int) -> Derivation:
    """Put in the derivatives of the tensors between this pre-activation and the next (activation, softmax denominator)."""
    inner = [t for t in tensors_in(derivation.right) if t.name.startswith("dJ_d")]
    if not inner:
        return derivation
    put_in = sorted(inner, key=lambda t: t.name)
    every = [t for t in work.kernel.accepted if t.name.startswith("dJ_d") and t.name[4] not in "Wb"]

    def earlier(node: Expr) -> Expr | None:
        if isinstance(node, Entry) and node.tensor in every:
            known = work.kernel.accepted[node.tensor]
            assert isinstance(known.left, Entry)
            return rewrite(substitute(known.right, dict(zip(known.left.indices, node.indices, strict=True))), earlier)
        return None

    names = " and ".join(t.name.replace("dJ_d", "dJ/d") for t in put_in)
    longer = work.extend(derivation, rewrite(derivation.right, earlier), "earlier_result", f"Put in {names}, worked out above.", every)
    assert longer is not None, "an accepted result put into itself"
    return longer


def _tidied(work: _Work, derivation: Derivation, network: Network, number: int) -> Derivation:
    """(sum over the next layer) * f'(z), in this order; for the output layer as it is."""
    if number == len(network.layers) or network.layers[number - 1].function is None:
        return derivation
    left = derivation.left
    assert isinstance(left, Entry)
    n, i = left.indices
    W, delta = network.weight(number), Tensor(f"delta{number + 1}", network.pre_activation(number + 1).shape)
    total = contraction("j", W.shape[0], lambda j: multiply(Entry(W, (j, i)), Entry(delta, (n, j))))
    form = multiply(total, slope_of(network, number, Entry(network.pre_activation(number), left.indices)))
    return work.extend(derivation, form, "algebra", "The slope does not depend on the summed index: take it out of the sum.") or derivation


def slope_of(network: Network, number: int, z: Expr) -> Expr:
    """f'(z) of layer `number`."""
    function = network.layers[number - 1].function
    assert function is not None
    return ONE if function is FUNCTIONS["identity"] else apply(derivative(function), z)


def _special_form(work: _Work, network: Network, derivation: Derivation, form: Expr, why: str) -> Derivation | None:
    equations = [e.tensor for e in network.program.equations if e.tensor.name in (f"a{len(network.layers)}", "S")]
    return work.extend(derivation, form, "equation", why, equations)


def _output_forms(network: Network) -> list[tuple[Expr, str, str]]:
    """Proposals for the error term of the output layer: simplest last."""
    last = len(network.layers)
    n, k = Index("n", M), Index("k", network.layers[-1].size)
    a, y = Entry(network.activations(last), (n, k)), Entry(network.y, (n, k))
    scale = (lambda e: divide(e, M)) if network.reduction == "mean" else (lambda e: e)
    forms: list[tuple[Expr, str, str]] = []
    function = network.layers[-1].function
    if function is not None and function is not FUNCTIONS["identity"]:
        slope = apply(derivative(function), Entry(network.pre_activation(last), (n, k)))
        forms.append((scale(negate(multiply(subtract(y, a), slope))), "output layer: error times slope",
                      "The square loses its factor 2 to the 1/2 in the cost: that is all the 1/2 is for."))
    if network.softmax:
        total = contraction("k", k.size, lambda j: Entry(network.y, (n, j)))
        forms.append((scale(subtract(multiply(a, total), y)), "output layer: softmax, any targets",
                      "Every logit moves every output through the common denominator; the terms add up to this."))
    forms.append((scale(subtract(a, y)), "output layer: activation minus target",
                  "The slope of the output activation cancels against the denominators that the logarithms bring."))
    return forms


# Side results: slopes and the stable cost.


def _slopes(work: _Work, network: Network) -> list[Theorem]:
    """f'(z) = a(1 - a) and the like, once for each function."""
    theorems, done = [], set()
    for layer in network.layers[1:]:
        function = layer.function
        if function is None or function.name in done or function.name not in _SLOPES or function is FUNCTIONS["identity"]:
            continue
        done.add(function.name)
        derivation = _slope(work, network, layer.number, function)
        if derivation is not None:
            remark = f"The slope of {function.name} from its own value: the forward pass has computed it already."
            theorems.append(work.theorem(f"slope of {function.name}", remark, derivation, layer=layer.number))
    return theorems


def _slope(work: _Work, network: Network, number: int, function: Function) -> Derivation | None:
    n, i = Index("n", M), Index("i", network.layers[number - 1].size)
    z, a = Entry(network.pre_activation(number), (n, i)), Entry(network.activations(number), (n, i))
    left = apply(derivative(function), z)
    blank = Derivation(f"slope of {function.name}", work.program, left, left, ())
    reason = f"Differentiate the definition of {function.name} and put in a = {function.name}(z)."
    return work.extend(blank, _SLOPES[function.name](z, a), "equation", reason, [a.tensor])


def _stable_cost(work: _Work, network: Network) -> list[Theorem]:
    """The cost computed from the logits equals the cost of the textbook."""
    stable = network.stable_program
    textbook, computed = network.program.equations[-1].value, stable.equations[-1].value
    if textbook is computed:
        return []
    last = len(network.layers)
    z = network.pre_activation(last)
    shown = written_out(_cut(stable, z), computed)
    left = Entry(Tensor("J"))
    blank = Derivation("stable cost", work.program, left, left, ())
    uses = [e.tensor for e in network.program.equations if e.tensor.name in ("J", f"a{last}", "S")]
    reason = "Write out the output activation; log and exp cancel, and no logarithm of a small number is left."
    derivation = work.extend(blank, shown, "equation", reason, uses)
    if derivation is None:
        return []
    return [work.theorem("the cost from the logits", "This form is finite for every z: it is the one that the code computes.", derivation)]


def _cut(program: Program, z: Tensor) -> Program:
    """The equations after `z`, which becomes an input."""
    position = next(k for k, e in enumerate(program.equations) if e.tensor is z)
    later = program.equations[position + 1 :]
    return Program((*program.inputs, z), later, program.outputs, program.parameters)


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
    cheaper = {t.derivation.left: t.derivation.right for t in theorems if isinstance(t.derivation.left, Apply)}
    equations = []
    for tensor in gradient.derivations:
        bar = gradient.cotangents[tensor]
        if bar in best and isinstance(best[bar].left, Entry):
            left = best[bar].left
            assert isinstance(left, Entry)
            equations.append(Equation(bar, tuple(i for i in left.indices if isinstance(i, Index)), _cheaper(best[bar].right, cheaper)))
    stable = network.stable_program
    outputs = (Tensor("J"), *(gradient.cotangents[t] for t in network.parameters))
    return Program(stable.inputs, (*stable.equations, *equations), outputs, stable.parameters, (), (), stable.conditions)


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
        table: dict[Expr, Expr] = {z: here, Entry(Tensor("a" + z.tensor.name[1:], z.tensor.shape), z.indices): Entry(Tensor("a" + number, here.tensor.shape), here.indices)}
        return substitute(right, table)

    return rewrite(expr, visit)


# Any depth.


def _prove_any_depth(network: Network) -> Proof:
    """Output layer, general layer, induction."""
    L = network.depth
    base, step = _output_fragment(network, str(L)), _layer_fragment(network)
    theorems = _base_theorems(network, base, str(L)) + _step_theorems(step)
    title = f"Backpropagation in a network of any depth {L}: {network.layers[1].function or 'f'} units, cost {network.cost_name}"
    return Proof(title, base, base.equations[-1].value, tuple(theorems), None, network, (base, step), 0.0, network.conditions)


def _output_fragment(network: Network, L: str) -> Program:
    """The last layer of a network, its pre-activation an input; tensors are numbered L."""
    last = len(network.layers)
    program = _cut(network.program, network.pre_activation(last))
    size = Symbol("K", "size")
    names = {network.layers[-1].size: size}
    tensors: dict[Tensor, Tensor] = {}
    for tensor in program.tensors:
        shape = tuple(substitute(s, names) for s in tensor.shape)
        stem, number = tensor.name[0], tensor.name[1:]
        tensors[tensor] = Tensor(f"{stem}_{L}" if number == str(last) else tensor.name, shape)
    kept = {t for e in program.equations for t in tensors_in(e.value)}
    penalties = {network.weight(k) for k in range(1, last)}
    equations = []
    for equation in program.equations:
        value = equation.value
        if equation.tensor.name == "J":
            value = _without(value, penalties)
        indices = tuple(Index(i.name, substitute(i.size, names)) for i in equation.indices)
        value = substitute(_retensored(value, tensors), {**names, **dict(zip(equation.indices, indices, strict=True))})
        equations.append(Equation(tensors[equation.tensor], indices, value, equation.note))
    inputs = tuple(tensors[t] for t in program.inputs if t in kept and t not in penalties)
    assumptions = tuple(replace(a, tensor=tensors[a.tensor]) for a in network.assumptions)
    return Program(inputs, tuple(equations), (Tensor("J"),), program.parameters, assumptions)


def _without(cost: Expr, weights: set[Tensor]) -> Expr:
    """The terms of a cost that mention none of the weights."""
    terms = cost.terms if hasattr(cost, "terms") else (cost,)
    return add(*(t for t in terms if not tensors_in(t) & weights))


def _retensored(expr: Expr, tensors: dict[Tensor, Tensor]) -> Expr:
    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Entry) and node.tensor in tensors:
            return Entry(tensors[node.tensor], tuple(_retensored(i, tensors) for i in node.indices))
        return None

    return rewrite(expr, visit)


def _layer_fragment(network: Network) -> Program:
    """One general layer l: a_l = f(z_l), z_l+1 = W_l a_l + b_l, and the penalty on W_l; what follows z_l+1 is not listed."""
    here, there = Symbol("s_l", "size"), Symbol("s_l+1", "size")
    n, i, k = Index("n", M), Index("i", here), Index("i", there)
    z, a, W, b = Tensor("z_l", (M, here)), Tensor("a_l", (M, here)), Tensor("W_l", (there, here)), Tensor("b_l", (there,))
    following, rest = Tensor("z_l+1", (M, there)), Tensor("E")
    function = network.layers[1].function
    assert function is not None
    weighted = contraction("j", here, lambda j: multiply(Entry(W, (k, j)), Entry(a, (n, j))))
    equations = [
        Equation(a, (n, i), apply(function, Entry(z, (n, i))), "activation of layer l"),
        Equation(following, (n, k), add(weighted, Entry(b, (k,))), "pre-activation of layer l + 1"),
    ]
    penalties = [_retensored(p, {network.weight(1): W}) for p in network.penalties()[: _per_layer(network)]]
    sizes: dict[Expr, Expr] = {network.layers[0].size: here, network.layers[1].size: there}
    equations.append(Equation(Tensor("J"), (), add(Entry(rest), *(substitute(p, sizes) for p in penalties)), "E is the rest of the cost"))
    return Program((z, W, b, rest), tuple(equations), (Tensor("J"), following), network.program.parameters)


def _per_layer(network: Network) -> int:
    return (network.l1 is not None) + (network.l2 is not None)


def _base_theorems(network: Network, base: Program, L: str) -> list[Theorem]:
    work = _Work(base)
    gradient = differentiate(base, name=cotangent_name, places={t: (Index("n", M), Index("k", t.shape[1])) for t in base.inputs if len(t.shape) == 2})
    z = next(t for t in base.inputs if t.name == f"z_{L}")
    for tensor, derivation in gradient.derivations.items():
        if tensor is not base.inputs[1 if base.inputs[0] is z else 0]:
            work.replay(derivation)
    inner = _with_inner(work, gradient.derivations[z], 0)
    theorems = [work.theorem("base: error term of the output layer", "The induction starts where the cost is known: at the last layer.", inner, layer=L)]
    a, S = Tensor(f"a_{L}", z.shape), Tensor("S", (M,))
    last = len(network.layers)
    names = {network.activations(last): a, network.pre_activation(last): z, network.y: Tensor("y", z.shape)}
    K: dict[Expr, Expr] = {network.layers[-1].size: z.shape[1]}
    for form, title, why in _output_forms(network):
        shape = substitute(_retensored(form, names), {**K, Index("k", network.layers[-1].size): Index("k", z.shape[1])})
        special = work.extend(inner, shape, "equation", why, [t for t in (a, S) if t in base.by_tensor])
        if special is not None:
            theorems.append(work.theorem("base: " + title, why, special, layer=L))
    return theorems


def _step_theorems(step: Program) -> list[Theorem]:
    z, W, b, _ = step.inputs
    following, a = step.outputs[1], step.equations[0].tensor
    cotangents = {t: Tensor(cotangent_name(t), t.shape) for t in (z, W, b, a, following)}
    builder = CotangentBuilder(step, Entry(step.outputs[0]), cotangents)
    work = _Work(step)
    n, i, j = Index("n", M), Index("i", z.shape[1]), Index("j", z.shape[1])
    k = Index("i", W.shape[0])
    work.replay(builder.derive(a, (n, i)))
    inner = _with_inner(work, builder.derive(z, (n, i)), 1)
    total = contraction("j", W.shape[0], lambda r: multiply(Entry(W, (r, i)), Entry(cotangents[following], (n, r))))
    slope = step.equations[0].value
    assert isinstance(slope, Apply)
    form = multiply(total, apply(derivative(slope.function), Entry(z, (n, i))))
    delta = work.extend(inner, form, "algebra", "The slope does not depend on the summed index: take it out of the sum.") or inner
    return [
        work.theorem("step: error term of a general layer",
                     "From delta of layer l + 1 to delta of layer l. With the base, induction downwards from L gives every layer.", delta, layer="l"),
        work.theorem("gradient of the weights of a general layer", "Activation of the sender times error term of the receiver.", builder.derive(W, (k, j)), layer="l"),
        work.theorem("gradient of the biases of a general layer", "A bias is a weight from a unit that always sends 1.", builder.derive(b, (k,)), layer="l"),
    ]


__all__ = ["ALL_SIZES", "Canonical", "EXP", "Facts", "cotangent_name", "free_indices", "network_gradient", "prove_network", "slope_of"]
