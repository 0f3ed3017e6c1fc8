"""The error terms of a dense network as theorems, each replayed by the kernel: what every depth has in common.

Main names: `error_terms`, `output_theorems`. Simpler forms are proposals: each is kept only where the kernel accepts
it, line by line.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from symbackprop.calculus.derivation import Derivation
from symbackprop.expression.build import (
    ONE,
    Add,
    Apply,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Power,
    Symbol,
    Tensor,
    add,
    apply,
    contraction,
    divide,
    kronecker,
    multiply,
    negate,
    nodes_once,
    number,
    power,
    rewrite,
    substitute,
    subtract,
    tensors_in,
)
from symbackprop.expression.functions import FUNCTIONS, Function, derivative
from symbackprop.expression.program import Program
from symbackprop.expression.sympy_bridge import PLACES, definition
from symbackprop.frontends.network import M, Network
from symbackprop.proofs.functions import closed_slope, softmax_slope
from symbackprop.proofs.theorem import Theorem
from symbackprop.proofs.theorem_maker import TheoremMaker
from symbackprop.rendering.conventions import signed
from symbackprop.rendering.text import to_text

PENALTY_ADDS = " The penalty adds its own derivative."  # to the gradient of weights
LONG = 24  # characters that the widths may take in a title


def cotangent_name(tensor: Tensor) -> str:
    """delta2 for z2, dJ_dW1 for W1."""
    return "delta" + tensor.name[1:] if tensor.name[0] == "z" else f"dJ_d{tensor.name}"


# Error terms.


def error_terms(work: TheoremMaker, network: Network, number: int, derivation: Derivation) -> list[Theorem]:
    """The theorem about delta of one layer, and for the output layer its special forms."""
    z, a = network.pre_activation(number), network.activations(number)
    if number == len(network.layers):
        theorems = output_theorems(work, network, derivation, Output(z, a, network.denominator, network.y))
    else:
        inner = with_inner(work, derivation, cut=1)
        theorems = [work.theorem(f"error term of layer {number}", "", _tidied(work, inner, network, number))]
        theorems = [replace(theorems[0], remark=_remark(network, number))]
    # later results use the general form, which needs no condition
    work.replay(next(t for t in theorems if t.name.startswith("error term")).derivation)
    return [replace(t, layer=number) for t in theorems]


def _remark(network: Network, number: int) -> str:
    """What a reader should know about the error term of a hidden layer."""
    remark = f"The sum runs over layer {number + 1}, since each unit of layer {number} feeds every unit there"
    function = network.layers[number - 1].function
    return remark + ("." if function is FUNCTIONS["identity"] else "; the slope is taken at $z$, not at $a$.")


@dataclass(frozen=True)
class Output:
    """The tensors of an output layer: pre-activations, activations, denominators of a softmax, targets."""

    z: Tensor
    a: Tensor
    S: Tensor
    y: Tensor


def output_theorems(work: TheoremMaker, network: Network, derivation: Derivation, tensors: Output) -> list[Theorem]:
    """The error term of the output layer, and the simpler forms that the kernel accepts, simplest last."""
    remark = "How fast the cost changes with the pre-activation of an output unit in one example."
    name = "error term of the output layer"
    if network.softmax:
        general = _by_activations(work, network, derivation, tensors)
        slope = softmax_slope(work, tensors.z, tensors.a, tensors.S)
        forms = _softmax_forms(network, tensors)
        theorems = [slope, work.theorem(name, remark, general)]
    else:
        general = with_inner(work, derivation, cut=0)
        forms = _elementwise_forms(network, general, tensors)
        theorems = [work.theorem(name, remark, general)]
    for title, lines in forms:
        special = general
        for line in lines:
            special = _further(work, special, line)
        if lines and special.right is lines[-1].after and special is not general:
            theorems.append(work.theorem(title, "", special))
    return theorems


@dataclass(frozen=True)
class Proposal:
    """A line that the kernel may accept after the one before."""

    after: Expr
    rule: str
    reason: str
    uses: tuple[Tensor, ...] = ()


def _further(work: TheoremMaker, derivation: Derivation, line: Proposal) -> Derivation:
    """The derivation with one more line, or as it is if the kernel does not accept it."""
    if line.after is derivation.right:
        return derivation
    uses = [t for t in line.uses if t in work.program.by_tensor]
    return work.extend(derivation, line.after, line.rule, line.reason, uses) or derivation


def with_inner(work: TheoremMaker, derivation: Derivation, cut: int) -> Derivation:
    """Put in the derivatives of what lies between this pre-activation and the next."""
    inner = [t for t in tensors_in(derivation.right) if t.name.startswith("dJ_d")]
    if not inner:
        return derivation
    every = [t for t in work.kernel.accepted if t.name.startswith("dJ_d") and t.name[4] not in "Wb"]
    return work.put_in(derivation, every, sorted(inner, key=lambda t: t.name))


def _tidied(work: TheoremMaker, derivation: Derivation, network: Network, number: int) -> Derivation:
    """(sum over the next layer) * f'(z), in this order; for the output layer as it is."""
    if number == len(network.layers) or network.layers[number - 1].function is None:
        return derivation
    left = derivation.left
    assert isinstance(left, Entry)
    n, i = left.indices
    bars = {tensor: bar for bar, tensor in derivation.definitions.items()}
    W, delta = network.weight(number), bars[network.pre_activation(number + 1)]
    total = contraction("j", W.shape[0], lambda j: multiply(Entry(W, (j, i)), Entry(delta, (n, j))))
    form = multiply(total, slope_of(network, number, Entry(network.pre_activation(number), left.indices)))
    return work.extend(derivation, form, "algebra", "The weight first, and the summed index renamed.") or derivation


def slope_of(network: Network, number: int, z: Expr) -> Expr:
    """f'(z) of layer `number`."""
    function = network.layers[number - 1].function
    assert function is not None
    return ONE if function is FUNCTIONS["identity"] else apply(derivative(function), z)


def _scaled(network: Network, expr: Expr) -> Expr:
    return divide(expr, M) if network.reduction == "mean" else expr


def _elementwise_forms(network: Network, general: Derivation, of: Output) -> list[tuple[str, list[Proposal]]]:
    """Proposals where each output depends on its own pre-activation alone."""
    assert isinstance(general.left, Entry)
    here = general.left.indices
    a, y, z = (Entry(t, here) for t in (of.a, of.y, of.z))
    function = network.layers[-1].function
    assert function is not None, "a softmax is not elementwise"
    forms: list[tuple[str, list[Proposal]]] = []
    slope = apply(derivative(function), z)
    if function is not FUNCTIONS["identity"]:
        first = _scaled(network, negate(multiply(subtract(y, a), slope)))
        turned = "The same with the target first: $a - y = -(y - a)$."
        forms.append(("output layer: error times slope", [Proposal(first, "algebra", turned)]))
    last = _scaled(network, subtract(a, y))
    if function is FUNCTIONS["identity"]:
        lines = [Proposal(last, "function", "The slope of the identity is 1.")]
    elif function is FUNCTIONS["sigmoid"]:
        lines = [*_cancelled(network, general, z, a, y), Proposal(last, "algebra", "Multiplied out, $a y$ cancels.")]
    else:
        lines = []
    return [*forms, ("output layer: activation minus target", lines)]


def _cancelled(network: Network, general: Derivation, z: Entry, a: Entry, y: Entry) -> list[Proposal]:
    """The slope of a sigmoid against the denominators of the cross-entropy."""
    sigmoid = FUNCTIONS["sigmoid"]
    closed = closed_slope(sigmoid, z)
    assert closed is not None, "the slope of a sigmoid"
    slope = substitute(closed, {apply(sigmoid, z): a})
    known = substitute(general.right, {apply(derivative(sigmoid), z): slope})
    rest = subtract(multiply(subtract(ONE, y), a), multiply(y, subtract(ONE, a)))
    why = "Each denominator cancels a factor of the slope; as values of sigmoid, $a$ and $1 - a$ are above 0."
    return [
        Proposal(known, "function", "The slope of sigmoid by its lemma, its value being the activation.", (a.tensor,)),
        Proposal(_scaled(network, rest), "algebra", why, (a.tensor,)),
    ]


def _softmax_forms(network: Network, of: Output) -> list[tuple[str, list[Proposal]]]:
    """Proposals for a softmax with the cross-entropy of a distribution."""
    n, k = Index("n", M), Index("k", of.z.shape[1])
    a, y = Entry(of.a, (n, k)), Entry(of.y, (n, k))
    total = contraction("k", k.size, lambda j: Entry(of.y, (n, j)))
    any_targets = Proposal(
        _scaled(network, subtract(multiply(a, total), y)),
        "algebra",
        "What does not depend on the summed unit is taken out of the sum.",
    )
    given = Proposal(_scaled(network, subtract(a, y)), "assumption", "The targets of an example add up to 1.")
    return [
        ("output layer: softmax, any targets", [any_targets]),
        ("output layer: activation minus target", [any_targets, given]),
    ]


def _by_activations(work: TheoremMaker, network: Network, derivation: Derivation, of: Output) -> Derivation:
    """The error term of a softmax from its activations and the rate g of the cost: a g - a (sum of a g).

    No exponential and no denominator of the softmax is left, so this is what becomes code.
    """
    a, S = of.a, of.S
    bars = {tensor: bar for bar, tensor in derivation.definitions.items()}
    left = derivation.left
    assert isinstance(left, Entry), "an error term is an entry"
    n, k = left.indices
    assert isinstance(k, Index), "the places of an error term are free"

    def form(weighted: Callable[[Entry], Expr]) -> Expr:
        own = weighted(Entry(a, (n, k)))
        sign = -1 if signed(own)[0] else 1  # a sum of -y is taken away as a sum of y is added
        total = contraction("k", k.size, lambda p: multiply(number(sign), weighted(Entry(a, (n, p)))))
        return add(own, multiply(number(-sign), Entry(a, (n, k)), total))

    def rate(here: Entry) -> Expr:
        return work.result(Entry(bars[a], here.indices))

    proved = work.put_in(derivation, [bars[S]])
    named = form(lambda here: multiply(here, Entry(bars[a], here.indices)))
    sent = contraction(
        "k", k.size, lambda p: _sent_back(Entry(bars[a], (n, p)), Entry(a, (n, p)), Entry(a, (n, k)), p, k)
    )
    why = (
        "Each exponential over the denominator is an activation: what every output sends back, by the slope of softmax."
    )
    shorter = work.extend(proved, sent, "function", why, [a])
    assert shorter is not None, "the slope of a softmax"
    why = "The bracket keeps one term; the factor that does not depend on the summed unit is taken out."
    shorter = work.extend(shorter, named, "contract_delta", why)
    assert shorter is not None, "the sum over the outputs"
    shorter = work.put_in(shorter, [bars[a]])
    cancelled = form(lambda here: _times(here, rewrite(rate(here), _written)))
    divided = any(
        isinstance(n, Power) and isinstance(n.base, Entry) and n.base.tensor is a for n in nodes_once(shorter.right)
    )
    why = "The activation cancels; as a value of softmax it is above 0." if divided else "The factors in another order."
    return work.extend(shorter, cancelled, "algebra", why, [a] if divided else []) or shorter


def _sent_back(rate: Expr, output: Expr, own: Expr, p: Expr, k: Expr) -> Expr:
    """dJ/da_p times the slope a_p ([p = k] - a_k) of a softmax."""
    return multiply(rate, output, subtract(kronecker(p, k), own))


def _times(a: Entry, rate: Expr) -> Expr:
    """a * rate, cancelled where the rate divides by a: a * (-y/a) is -y, also where a is 0."""
    if not any(isinstance(n, Power) and n.base is a and _is_negative(n.exponent) for n in nodes_once(rate)):
        return multiply(rate, a)
    if isinstance(rate, Add):
        return add(*(_times(a, term) for term in rate.terms))
    factors = rate.factors if isinstance(rate, Multiply) else (rate,)
    for factor in factors:
        others = [f for f in factors if f is not factor]
        if isinstance(factor, Add):
            return add(*(_times(a, multiply(*others, term)) for term in factor.terms))
        if isinstance(factor, Power) and factor.base is a and isinstance(factor.exponent, Number):
            return multiply(*others, power(a, factor.exponent.value + 1))
    return multiply(rate, a)


def _is_negative(exponent: Expr) -> bool:
    return isinstance(exponent, Number) and exponent.value < 0


def _written(node: Expr) -> Expr | None:
    """A function of two arguments, such as the rate of a cost given as a formula, written out where it has no kinks."""
    if not isinstance(node, Apply) or len(node.arguments) != 2 or node.function.kinks:
        return None
    meaning = definition(node.function)
    return None if meaning is None else substitute(meaning, dict(zip(PLACES, node.arguments, strict=True)))


def cut_at(program: Program, z: Tensor) -> Program:
    """The equations after `z`, which becomes an input."""
    position = next(k for k, e in enumerate(program.equations) if e.tensor is z)
    later = program.equations[position + 1 :]
    return Program((*program.inputs, z), later, program.outputs, program.parameters)


def units_of(network: Network) -> str:
    """The activations and the cost in words: "tanh units, squared error"; formulas of the user's as they are read."""
    named = [_spoken(layer.function) for layer in network.layers[1:]]
    hidden, output = list(dict.fromkeys(named[:-1])) or named[-1:], named[-1]
    units = "any activation f" if hidden == ["f"] else f"{' and '.join(hidden)} units"
    units += f", {output} output" if [output] != hidden else ""
    cost = network.cost_name.replace("cross_entropy", "cross-entropy").replace("_", " ")
    meaning = definition(network.cost_function) if network.cost_function is not None else None
    if meaning is not None:
        cost = f"cost `{to_text(substitute(meaning, {PLACES[0]: Symbol('h'), PLACES[1]: Symbol('y')}))}`"
    return f"{units}, {cost}"


def _spoken(function: Function | None) -> str:
    """The name of an activation, or for a user's own its formula."""
    if function is None:
        return "softmax"
    meaning = definition(function) if function.name == "phi" else None
    return function.name if meaning is None else f"`{to_text(meaning)}`"
