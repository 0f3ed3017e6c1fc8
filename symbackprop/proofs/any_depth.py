"""The theorem for any depth: the output layer, one general layer, and induction downwards from the last.

The layer number L, or l, is part of the tensors' names, so nothing in a proof depends on how many layers there are.
Main name: `prove_any_depth`.
"""

from collections.abc import Iterable
from dataclasses import replace

from symbackprop.calculus.derivation import Derivation, Gradient
from symbackprop.calculus.reverse_mode import CotangentBuilder, differentiate
from symbackprop.expression.build import (
    Apply,
    Entry,
    Expr,
    Index,
    Symbol,
    Tensor,
    add,
    apply,
    contraction,
    multiply,
    rewrite,
    substitute,
    tensors_in,
)
from symbackprop.expression.functions import derivative
from symbackprop.expression.program import Equation, Program
from symbackprop.frontends.network import M, Network
from symbackprop.proofs.error_terms import (
    PENALTY_ADDS,
    Output,
    cotangent_name,
    cut_at,
    output_theorems,
    units_of,
    with_inner,
)
from symbackprop.proofs.functions import function_lemmas
from symbackprop.proofs.theorem import Proof, Theorem
from symbackprop.proofs.theorem_maker import TheoremMaker

PENALTIES = Tensor("R")  # the penalties of all layers, in the fragment of the last


def prove_any_depth(network: Network) -> Proof:
    """Output layer, general layer, induction."""
    L = network.depth
    base, step = _output_fragment(network, str(L)), _layer_fragment(network)
    first, lemmas = _base_theorems(network, base, str(L))
    general, further = _step_theorems(step)
    induction = [
        _induction(base, next(t for t in first if t.name == _OUTPUT), lemmas.values(), str(L)),
        _induction(step, general[0], further.values(), "l"),
    ]
    names = {t: bar for d in (*lemmas.values(), *further.values()) for bar, t in d.definitions.items()}
    gradient = Gradient(base, names, base, lemmas | further)
    title = f"Backpropagation in a network of any depth: {units_of(network)}"
    theorems = (*function_lemmas(network), *first, *general, *induction)
    cost = base.equations[-1].value
    return Proof(title, base, cost, theorems, gradient, network, (base, step), 0.0, network.conditions)


def _output_fragment(network: Network, L: str) -> Program:
    """The last layer of a network, its pre-activation an input; tensors are numbered L."""
    last = len(network.layers)
    program = cut_at(network.program, network.pre_activation(last))
    size = Symbol("K", "size")
    names: dict[Expr, Expr] = {network.layers[-1].size: size}
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
        if equation.tensor.name == "J" and penalties & tensors_in(value):
            value = add(_without(value, penalties), Entry(PENALTIES))
        indices = tuple(Index(i.name, substitute(i.size, names)) for i in equation.indices)
        value = substitute(_retensored(value, tensors), {**names, **dict(zip(equation.indices, indices, strict=True))})
        equations.append(
            Equation(tensors[equation.tensor], indices, value, equation.note.replace(f"layer {last}", f"layer {L}"))
        )
    inputs = tuple(tensors[t] for t in program.inputs if t in kept and t not in penalties)
    inputs += (PENALTIES,) if penalties & kept else ()
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
    """One general layer l: a_l = f(z_l), z_l+1 = W_l a_l + b_l, the penalty on W_l; what follows is not listed."""
    here, there = Symbol("s_l", "size"), Symbol("s_l+1", "size")
    n, i, k = Index("n", M), Index("i", here), Index("i", there)
    z, a, W, b = (
        Tensor("z_l", (M, here)),
        Tensor("a_l", (M, here)),
        Tensor("W_l", (there, here)),
        Tensor("b_l", (there,)),
    )
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
    equations.append(
        Equation(
            Tensor("J"),
            (),
            add(Entry(rest), *(substitute(p, sizes) for p in penalties)),
            "cost, for each layer; E has no penalty on W_l",
        )
    )
    return Program((z, W, b, rest), tuple(equations), (Tensor("J"), following), network.program.parameters)


def _per_layer(network: Network) -> int:
    return (network.l1 is not None) + (network.l2 is not None)


_OUTPUT = "error term of the output layer"


def _base_theorems(network: Network, base: Program, L: str) -> tuple[list[Theorem], dict[Tensor, Derivation]]:
    work = TheoremMaker(base)
    gradient = differentiate(
        base,
        name=cotangent_name,
        places={t: (Index("n", M), Index("k", t.shape[1])) for t in base.inputs if len(t.shape) == 2},
    )
    z = next(t for t in base.inputs if t.name == f"z_{L}")
    for tensor, derivation in gradient.derivations.items():
        if tensor is not base.inputs[1 if base.inputs[0] is z else 0]:
            work.replay(derivation)
    y = next(t for t in base.inputs if t.name == "y")
    output = Output(z, Tensor(f"a_{L}", z.shape), Tensor("S", (M,)), y)
    theorems = [replace(t, layer=L) for t in output_theorems(work, network, gradient.derivations[z], output)]
    start = "The induction starts where the cost is known: at the last layer."
    theorems = [replace(t, remark=start) if t.name == _OUTPUT else t for t in theorems]
    return theorems, {t: d for t, d in gradient.derivations.items() if t in base.by_tensor}


def _step_theorems(step: Program) -> tuple[list[Theorem], dict[Tensor, Derivation]]:
    z, W, b, _ = step.inputs
    following, a = step.outputs[1], step.equations[0].tensor
    cotangents = {t: Tensor(cotangent_name(t), t.shape) for t in (z, W, b, a, following)}
    builder = CotangentBuilder(step, Entry(step.outputs[0]), cotangents)
    work = TheoremMaker(step)
    n, i, j = Index("n", M), Index("i", z.shape[1]), Index("j", z.shape[1])
    k = Index("i", W.shape[0])
    lemma = builder.derive(a, (n, i))
    work.replay(lemma)
    inner = with_inner(work, builder.derive(z, (n, i)), 1)
    total = contraction("j", W.shape[0], lambda r: multiply(Entry(W, (r, i)), Entry(cotangents[following], (n, r))))
    slope = step.equations[0].value
    assert isinstance(slope, Apply)
    form = multiply(total, apply(derivative(slope.function), Entry(z, (n, i))))
    delta = work.extend(inner, form, "algebra", "The weight first, and the summed index renamed.") or inner
    theorems = [
        work.theorem(
            "error term of a general layer",
            "From delta of layer l + 1 to delta of layer l.",
            delta,
            layer="l",
        ),
        work.theorem(
            "gradient of the weights of a general layer",
            "Over the examples is added up the activation of the sender times the error term of the receiver."
            + (PENALTY_ADDS if W in tensors_in(step.equations[-1].value) else ""),
            builder.derive(W, (k, j)),
            layer="l",
        ),
        work.theorem(
            "gradient of the biases of a general layer",
            "A bias is a weight from a unit that always sends 1.",
            builder.derive(b, (k,)),
            layer="l",
        ),
    ]
    return theorems, {a: lemma}


def _induction(fragment: Program, proved: Theorem, lemmas: Iterable[Derivation], layer: str) -> Theorem:
    """What the backward recursion computes for a layer is the derivative of the cost: base or step of the induction.

    d is what is computed, by the same equation as the error term. For layer l, that d_l+1 is delta_l+1 is the
    hypothesis: the kernel may use it and knows nothing else about layer l + 1.
    """
    delta, value = proved.derivation.left, proved.derivation.right
    assert isinstance(delta, Entry)
    following = next((t for t in tensors_in(value) if t.name == "delta_l+1"), None)
    computed = Tensor(f"d_{layer}", delta.tensor.shape)
    inputs, hypotheses = fragment.inputs, {}
    if following is not None:
        before = Tensor("d_l+1", following.shape)
        place = Entry(following, (Index("n", M), Index("i", following.shape[1])))
        right = Entry(before, place.indices)
        hypotheses[following] = replace(proved.derivation, left=place, right=right, steps=())
        inputs = (*inputs, before)
        value = _retensored(value, {following: before})
    indices = tuple(i for i in delta.indices if isinstance(i, Index))
    equation = Equation(computed, indices, value, f"what the backward pass computes for layer {layer}")
    program = replace(fragment, inputs=inputs, equations=(*fragment.equations, equation))
    work = TheoremMaker(program, {t: replace(d, program=program) for t, d in hypotheses.items()})
    for derivation in (*lemmas, proved.derivation):
        work.replay(replace(derivation, program=program))
    here = replace(proved.derivation, program=program, right=delta, steps=())
    lines: list[tuple[Expr, str, str, tuple[Tensor, ...]]] = [
        (proved.derivation.right, "earlier_result", f"This is “{proved.name}” above.", (delta.tensor,))
    ]
    if following is not None:
        said = "The hypothesis: for layer l + 1 the error term is what was computed."
        lines.append((value, "induction", said, (following,)))
    said = f"This is what is computed for layer {layer}."
    lines.append((Entry(computed, delta.indices), "equation", said, (computed,)))
    for after, rule, reason, uses in lines:
        longer = work.extend(here, after, rule, reason, uses)
        assert longer is not None, "a line of the induction"
        here = longer
    name = "step of the induction: layer l, if layer l + 1" if following else f"base of the induction: layer {layer}"
    return work.theorem(name, "", here, layer=layer)
