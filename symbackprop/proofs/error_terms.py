"""The error terms of a dense network as theorems, each replayed by the kernel: what every depth has in common.

Main names: `TheoremMaker` (a kernel that makes theorems), `error_terms`, `output_forms`. Simpler forms are proposals:
each is kept only where the kernel accepts it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import sympy as sp

from symbackprop.calculus.derivation import Derivation, Step
from symbackprop.calculus.kernel import Kernel
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
    Tensor,
    add,
    apply,
    contraction,
    divide,
    multiply,
    negate,
    nodes_once,
    power,
    rewrite,
    substitute,
    subtract,
    tensors_in,
)
from symbackprop.expression.functions import ARGUMENTS, FUNCTIONS, derivative
from symbackprop.expression.program import Program
from symbackprop.expression.sympy_bridge import PLACES, definition
from symbackprop.frontends.network import M, Network
from symbackprop.proofs.theorem import Theorem
from symbackprop.rendering.text import to_text

ALL_SIZES = "all sizes"
LONG = 24  # characters that the widths may take in a title


def cotangent_name(tensor: Tensor) -> str:
    """delta2 for z2, dJ_dW1 for W1."""
    return "delta" + tensor.name[1:] if tensor.name[0] == "z" else f"dJ_d{tensor.name}"


class TheoremMaker:
    """A kernel with its program, and the making of theorems from what it has accepted."""

    def __init__(self, program: Program) -> None:
        self.program, self.kernel = program, Kernel(program)

    def replay(self, derivation: Derivation) -> tuple[str, ...]:
        """Have the kernel accept a derivation; returns the conditions that it makes use of."""
        return self.kernel.replay(derivation)

    def theorem(self, name: str, remark: str, derivation: Derivation, *, layer: int | str | None = None) -> Theorem:
        """A theorem, after the kernel has accepted every step."""
        used = self.replay(derivation)
        conditions = tuple(dict.fromkeys((*_kinks(derivation), *used)))
        return Theorem(
            name, replace(derivation, name=name, conditions=conditions), "PROVED", ALL_SIZES, conditions, remark, layer
        )

    def result(self, entry: Entry) -> Expr:
        """What the kernel has accepted of the tensor, at the indices of `entry`."""
        known = self.kernel.accepted[entry.tensor]
        assert isinstance(known.left, Entry), "an accepted result defines an entry"
        return substitute(known.right, dict(zip(known.left.indices, entry.indices, strict=True)))

    def put_in(
        self, derivation: Derivation, bars: Sequence[Tensor], named: Sequence[Tensor] | None = None
    ) -> Derivation:
        """The derivation with accepted results in the place of these derivatives.

        Args:
            named: those of them that the reason names; default: all.
        """

        def earlier(node: Expr) -> Expr | None:
            return rewrite(self.result(node), earlier) if isinstance(node, Entry) and node.tensor in bars else None

        names = " and ".join(t.name.replace("dJ_d", "dJ/d") for t in named or bars)
        after, reason = rewrite(derivation.right, earlier), f"Put in {names}, worked out above."
        longer = self.extend(derivation, after, "earlier_result", reason, bars)
        assert longer is not None, "an accepted result put into itself"
        return longer

    def extend(
        self, derivation: Derivation, after: Expr, rule: str, reason: str, uses: Sequence[Tensor] = ()
    ) -> Derivation | None:
        """The derivation with one more step, or None if the kernel does not accept it."""
        step = Step(derivation.right, after, rule, reason, tuple(uses))
        longer = replace(derivation, right=after, steps=(*derivation.steps, step))
        return longer if self.kernel.accepts(step, longer) else None


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


def is_unconditional(theorem: Theorem) -> bool:
    """True if the theorem excludes kinks at most, and takes nothing about the inputs for granted."""
    return set(theorem.conditions) <= set(_kinks(theorem.derivation))


def _applications(expr: Expr) -> list[Apply]:
    found: list[Apply] = []

    def look(node: Expr) -> Expr | None:
        if isinstance(node, Apply):
            found.append(node)
        return None

    rewrite(expr, look)
    return found


# Error terms.


def error_terms(work: TheoremMaker, network: Network, number: int, derivation: Derivation) -> list[Theorem]:
    """The theorem about delta of one layer, and for the output layer its special form."""
    last = number == len(network.layers)
    inner = with_inner(work, derivation, cut=0 if last else 1)
    name = "error term of the output layer" if last else f"error term of layer {number}"
    remark = (
        "How fast the cost changes with the weighted input of an output unit."
        if last
        else f"The sum runs over layer {number + 1}, since each unit of layer {number} feeds every unit there; "
        "f' is taken at z, where the derivative of f is."
    )
    theorems = [work.theorem(name, remark, _tidied(work, inner, network, number), layer=number)]
    if last:
        if network.softmax and network.cost_name != "softmax_cross_entropy":
            theorems.append(_by_activations(work, network, derivation))
        for form, title, why in output_forms(network):
            special = _special_form(work, network, inner, form, why)
            if special is not None:
                theorems.append(work.theorem(title, why, special, layer=number))
    # later results use the general form, which needs no condition
    work.replay(theorems[0].derivation)
    return theorems


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
    return (
        work.extend(
            derivation, form, "algebra", "The slope does not depend on the summed index: take it out of the sum."
        )
        or derivation
    )


def slope_of(network: Network, number: int, z: Expr) -> Expr:
    """f'(z) of layer `number`."""
    function = network.layers[number - 1].function
    assert function is not None
    return ONE if function is FUNCTIONS["identity"] else apply(derivative(function), z)


def _special_form(
    work: TheoremMaker, network: Network, derivation: Derivation, form: Expr, why: str
) -> Derivation | None:
    opened = (network.activations(len(network.layers)), network.denominator)
    return work.extend(derivation, form, "equation", why, [t for t in opened if t in work.program.by_tensor])


def output_forms(network: Network) -> list[tuple[Expr, str, str]]:
    """Proposals for the error term of the output layer: simplest last."""
    last = len(network.layers)
    n, k = Index("n", M), Index("k", network.layers[-1].size)
    a, y = Entry(network.activations(last), (n, k)), Entry(network.y, (n, k))
    scale = (lambda e: divide(e, M)) if network.reduction == "mean" else (lambda e: e)
    forms: list[tuple[Expr, str, str]] = []
    function = network.layers[-1].function
    if function is not None and function is not FUNCTIONS["identity"]:
        slope = apply(derivative(function), Entry(network.pre_activation(last), (n, k)))
        forms.append(
            (
                scale(negate(multiply(subtract(y, a), slope))),
                "output layer: error times slope",
                "The same with the target first: the factor 2 of the square and the 1/2 of the cost have cancelled.",
            )
        )
    if network.softmax:
        total = contraction("k", k.size, lambda j: Entry(network.y, (n, j)))
        forms.append(
            (
                scale(subtract(multiply(a, total), y)),
                "output layer: softmax, any targets",
                "Every logit moves every output through the common denominator; the terms add up to this.",
            )
        )
    forms.append(
        (
            scale(subtract(a, y)),
            "output layer: activation minus target",
            "The slope of the output activation cancels against the denominators that the logarithms bring.",
        )
    )
    return forms


def _by_activations(work: TheoremMaker, network: Network, derivation: Derivation) -> Theorem:
    """The error term of a softmax from its activations and the rate g of the cost: a g - a (sum of a g).

    No exponential and no denominator of the softmax is left, so this is what becomes code.
    """
    a, S = network.activations(len(network.layers)), network.denominator
    bars = {tensor: bar for bar, tensor in derivation.definitions.items()}
    left = derivation.left
    assert isinstance(left, Entry), "an error term is an entry"
    n, k = left.indices
    assert isinstance(k, Index), "the places of an error term are free"

    def form(weighted: Callable[[Entry], Expr]) -> Expr:
        total = contraction("k", k.size, lambda p: weighted(Entry(a, (n, p))))
        return subtract(weighted(Entry(a, (n, k))), multiply(Entry(a, (n, k)), total))

    def rate(here: Entry) -> Expr:
        return work.result(Entry(bars[a], here.indices))

    why = (
        "Every logit moves every output through the common denominator: output p changes with logit k at the rate "
        "a_p([p = k] - a_k)."
    )
    proved = work.put_in(derivation, [bars[S]])
    named = form(lambda here: multiply(here, Entry(bars[a], here.indices)))
    shorter = work.extend(proved, named, "equation", "exp(z) over its denominator is the activation. " + why, [a])
    assert shorter is not None, "the slope of a softmax"
    shorter = work.put_in(shorter, [bars[a]])
    cancelled = form(lambda here: _times(here, rewrite(rate(here), _written)))
    shorter = work.extend(shorter, cancelled, "algebra", "What the rate divides by a cancels.") or shorter
    return work.theorem("output layer: softmax", why, shorter, layer=len(network.layers))


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
    """The activations and the cost in words: "tanh units, squared error"."""
    named = [("softmax" if x.function is None else x.function.name) for x in network.layers[1:]]
    hidden, output = list(dict.fromkeys(named[:-1])) or named[-1:], named[-1]
    units = "any activation f" if hidden == ["f"] else f"{' and '.join(hidden)} units"
    units += f", {output} output" if [output] != hidden else ""
    cost = network.cost_name.replace("cross_entropy", "cross-entropy").replace("_", " ")
    return f"{units}, {cost}"
