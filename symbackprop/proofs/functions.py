"""What is known about the scalar functions of a network, derived from their definitions line by line.

    sigma'(z) = sigma(z) (1 - sigma(z)),  softplus'(z) = sigma(z),  log sigma(z) = z - softplus(z)
    the slope of a softmax: a[p] (kronecker(p, k) - a[k])

Each holds for every z and is cited where it is used. A derivation begins with the definition; the lines after it are
proposals that the kernel replays, and one that it does not accept is left out. Main name: `function_lemmas`.
"""

from __future__ import annotations

from collections.abc import Sequence

from symbackprop.calculus.derivation import Derivation
from symbackprop.calculus.rules import partial
from symbackprop.expression.build import (
    ONE,
    Apply,
    Entry,
    Expr,
    Index,
    Partial,
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
    substitute,
    subtract,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, LOG, Function, derivative
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.sympy_bridge import PI, PLACES, definition
from symbackprop.frontends.network import M, Network
from symbackprop.proofs.theorem import Theorem
from symbackprop.proofs.theorem_maker import TheoremMaker
from symbackprop.rendering.text import to_text

Line = tuple[Expr, str, str]  # the expression, the rule, the reason
_Z = Entry(Tensor("z"))
_SIGMOID, _SOFTPLUS = FUNCTIONS["sigmoid"], FUNCTIONS["softplus"]
_LONG = 300  # characters of a slope that is worked out on the page


def functions_of(network: Network, *, logits: bool = False) -> tuple[Function, ...]:
    """The scalar functions that the equations of a network are written with, each after those that it is made of."""
    found: dict[Function, None] = {}
    for layer in network.layers[1:]:
        if layer.function is not None:
            found.update(dict.fromkeys((*_NEEDS.get(layer.function.name, ()), layer.function)))
    if logits and _SIGMOID in found:
        found[_SOFTPLUS] = None
    for equation in network.program.equations:
        for node in nodes_once(equation.value):
            if isinstance(node, Apply):
                found[node.function] = None
    return tuple(f for f in found if f.definition is not None)


_NEEDS = {"silu": (_SIGMOID,), "softplus": (_SIGMOID,)}


def function_lemmas(network: Network, *, logits: bool = False) -> list[Theorem]:
    """The slope of each function that a layer applies, and for a cost in the logits the logarithms of a sigmoid.

    Args:
        logits: the cost is to be written in the pre-activations of the output layer.
    """
    lemmas = []
    for function in functions_of(network):
        if function.arity == 1 and function is not FUNCTIONS["identity"]:
            lemmas += _slope(function)
    if logits and _SIGMOID in functions_of(network):
        lemmas += _logarithms()
    return lemmas


def closed_slope(function: Function, z: Expr) -> Expr | None:
    """f'(z) as its lemma has it, written with values of functions; None where there is no such form."""
    f = apply(function, z)
    match function.name:
        case "sigmoid":
            return multiply(f, subtract(ONE, f))
        case "tanh":
            return subtract(ONE, power(f, 2))
        case "softplus":
            return apply(_SIGMOID, z)
        case "silu":
            return add(f, multiply(apply(_SIGMOID, z), subtract(ONE, f)))
        case "relu":
            return apply(FUNCTIONS["step"], z)
    return None


def _about(function: Function) -> TheoremMaker:
    """A kernel for a program that applies the function to one number z."""
    z, a = Tensor("z"), Tensor("a")
    return TheoremMaker(Program((z,), (Equation(a, (), apply(function, _Z)),), (a,)))


def _chain(work: TheoremMaker, left: Expr, lines: Sequence[Line]) -> Derivation:
    """left = line = line ..., without the lines that the kernel does not accept."""
    derivation = Derivation("", work.program, left, left, (), cost=Entry(work.program.outputs[0]))
    for after, rule, reason in lines:
        if after is not derivation.right:
            derivation = work.extend(derivation, after, rule, reason) or derivation
    return derivation


def _slope(function: Function) -> list[Theorem]:
    """f' from the definition of f."""
    meaning = definition(function)
    if meaning is None:
        return []
    value = substitute(meaning, {PLACES[0]: _Z})
    if len(to_text(partial(value, _Z))) > _LONG:
        return []
    left = apply(derivative(function), _Z)
    name = "the function" if function.name == "phi" else function.name
    kinks = " Away from its jump the step is constant." if _has_step(value) else ""
    lines: list[Line] = [
        (Partial(value, _Z), "function", "The derivative of the definition."),
        (partial(value, _Z), "derivative", "The rules for sums, products, powers and the exponential." + kinks),
        *_IN_BETWEEN.get(function.name, ()),
    ]
    closed = closed_slope(function, _Z)
    if closed is not None:
        lines.append((closed, "function", _LAST.get(function.name, f"The definition of {function.name}.")))
    work = _about(function)
    derivation = _chain(work, left, lines)
    return [work.theorem(f"slope of {name}", _remark(function, derivation.right), derivation)]


def _has_step(expr: Expr) -> bool:
    return any(isinstance(n, Apply) and n.function is FUNCTIONS["step"] for n in nodes_once(expr))


def _remark(function: Function, slope: Expr) -> str:
    """What the forward pass has already computed of it."""
    used = {n.function for n in nodes_once(slope) if isinstance(n, Apply)}
    if used == {function} and function.name in ("sigmoid", "tanh"):
        return "The slope follows from the value alone, which the forward pass has computed already."
    return ""


def _e(expr: Expr) -> Expr:
    return apply(EXP, expr)


_MINUS = _e(negate(_Z))
_INVERSE = divide(ONE, add(ONE, _MINUS))
_TWICE = _e(multiply(number(-2), _Z))
_QUOTIENT = divide(subtract(ONE, _TWICE), add(ONE, _TWICE))
_SIGMA = apply(_SIGMOID, _Z)
_HALF = divide(ONE, number(2))
_IN_BETWEEN: dict[str, tuple[Line, ...]] = {
    "sigmoid": (
        (
            multiply(_INVERSE, divide(_MINUS, add(ONE, _MINUS))),
            "algebra",
            "The square is written as a product.",
        ),
        (
            multiply(_INVERSE, subtract(ONE, _INVERSE)),
            "algebra",
            "One factor is $e^{-z}/(e^{-z}+1)$, and its numerator is its denominator less 1.",
        ),
    ),
    "tanh": ((subtract(ONE, power(_QUOTIENT, 2)), "algebra", "Both are $4e^{-2z}/(1+e^{-2z})^2$."),),
    "softplus": ((_INVERSE, "algebra", "Divide numerator and denominator by $e^z$."),),
    "silu": (
        (
            add(_SIGMA, multiply(_Z, apply(derivative(_SIGMOID), _Z))),
            "function",
            "The definition of sigmoid, and its derivative, which stands in the proof of its slope.",
        ),
        (add(_SIGMA, multiply(_Z, _SIGMA, subtract(ONE, _SIGMA))), "function", "The slope of sigmoid, by its lemma."),
    ),
    "gelu": (
        (
            add(
                multiply(_HALF, add(ONE, apply(FUNCTIONS["erf"], divide(_Z, power(number(2), _HALF))))),
                multiply(
                    _Z, _e(divide(negate(power(_Z, 2)), number(2))), power(multiply(number(2), PI), negate(_HALF))
                ),
            ),
            "algebra",
            "The exponent is $-z^2/2$.",
        ),
    ),
}
_LAST = {
    "silu": "$z\\,\\sigma(z)$ is the value of the function.",
    "softplus": "The definition of sigmoid.",
    "relu": "The definition of the step.",
}


def _logarithms() -> list[Theorem]:
    """log sigma(z) and log(1 - sigma(z)) by softplus."""
    plus = _e(_Z)
    work = _about(_SIGMOID)
    of_value = _chain(
        work,
        apply(LOG, _SIGMA),
        [
            (apply(LOG, _INVERSE), "function", "The definition of sigmoid."),
            (apply(LOG, divide(plus, add(ONE, plus))), "algebra", "Multiply numerator and denominator by $e^z$."),
            (
                subtract(_Z, apply(LOG, add(ONE, plus))),
                "algebra",
                "The logarithm of a quotient.",
            ),
            (subtract(_Z, apply(_SOFTPLUS, _Z)), "function", "The definition of softplus."),
        ],
    )
    of_rest = _chain(
        work,
        apply(LOG, subtract(ONE, _SIGMA)),
        [
            (apply(LOG, subtract(ONE, _INVERSE)), "function", "The definition of sigmoid."),
            (
                apply(LOG, divide(ONE, add(ONE, plus))),
                "algebra",
                "Over one denominator, then numerator and denominator times $e^z$.",
            ),
            (negate(apply(LOG, add(ONE, plus))), "algebra", "The logarithm of a reciprocal."),
            (negate(apply(_SOFTPLUS, _Z)), "function", "The definition of softplus."),
        ],
    )
    names = "logarithm of sigmoid", "logarithm of 1 less sigmoid"
    return [work.theorem(n, "", d) for n, d in zip(names, (of_value, of_rest), strict=True)]


def softmax_slope(work: TheoremMaker, z: Tensor, a: Tensor, S: Tensor) -> Theorem:
    """How output p of a softmax changes with logit k: a_p ([p = k] - a_k).

    Args:
        work: a kernel for a program that holds the equations of the softmax a and of its denominator S.
    """
    size = z.shape[1]
    n, p, k = Index("n", M), Index("p", size), Index("k", size)

    def e(i: Expr) -> Expr:
        return _e(Entry(z, (n, i)))

    total = contraction("r", size, e)
    value, variable = divide(e(p), total), Entry(z, (n, k))
    left = Partial(value, variable)
    a_p, a_k = Entry(a, (n, p)), Entry(a, (n, k))
    lines: list[tuple[Expr, str, str, tuple[Tensor, ...]]] = [
        (partial(value, variable), "derivative", "The quotient rule; the exponential is its own derivative.", ()),
        (
            subtract(divide(multiply(e(p), kronecker(p, k)), total), divide(multiply(e(p), e(k)), power(total, 2))),
            "contract_delta",
            "Of the sum in the denominator only the term of unit k depends on this variable.",
            (),
        ),
        (
            subtract(multiply(a_p, kronecker(p, k)), multiply(a_p, a_k)),
            "function",
            "Each exponential over the sum is an activation.",
            (a, S),
        ),
        (multiply(a_p, subtract(kronecker(p, k), a_k)), "algebra", "Take out the common factor.", ()),
    ]
    derivation = Derivation("slope of softmax", work.program, left, left, ())
    for after, rule, reason, uses in lines:
        derivation = work.extend(derivation, after, rule, reason, uses) or derivation
    remark = (
        "All outputs of an example change with each of its logits, through the common denominator: this slope is a "
        "matrix. Here the denominator is written out, so the derivative is the total one."
    )
    return work.theorem("slope of softmax", remark, derivation)
