"""Rewrites that keep a cost finite: logarithms of probabilities become functions of the logits.

    log(a)     with a = sigmoid(z)                  ->  -softplus(-z)
    log(1 - a) with a = sigmoid(z)                  ->  -softplus(z)
    p log(a) + q log(1 - a), p + q free of arrays   ->  p z - (p + q) softplus(z)
    exp(z[k]) / sum over c of exp(z[c])             ->  exp(z[k] - M) / sum over c of exp(z[c] - M),
                                                        M = max over c of z[c]
    log(a)     with a a quotient of this kind       ->  z[k] - M - log(sum over c of exp(z[c] - M))
    log(sum over c of exp(z[c]))                    ->  M + log(sum over c of exp(z[c] - M))

Each is an identity of real functions (the network's theorems state them); only rounding changes. An entry is seen
through to its equation. This module must not know about statements or printers.

Source: Goodfellow, Bengio & Courville, Deep Learning (2016), sections 4.1 and 6.2.2.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from symbackprop.codegen.lowering.stable_functions import applied
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    Add,
    Apply,
    Entry,
    Expr,
    Extremum,
    Index,
    Multiply,
    Number,
    Power,
    Sum,
    add,
    apply,
    children,
    close_sum,
    entries,
    extremum,
    multiply,
    negate,
    number,
    rebuild,
    substitute,
    subtract,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, LOG, is_arbitrary
from symbackprop.expression.program import Equation, Program

_SIGMOID, _SOFTPLUS = FUNCTIONS["sigmoid"], FUNCTIONS["softplus"]


def stabilise(program: Program) -> tuple[Equation, ...]:
    """The equations of `program` with logarithms and exponentials in a form that cannot overflow."""
    return tuple(replace(e, value=_rewrite(e.value, program)) for e in program.equations)


def _rewrite(expr: Expr, program: Program) -> Expr:
    if isinstance(expr, Apply) and len(expr.arguments) == 2 and not is_arbitrary(expr.function):
        expr = applied(
            expr.function, expr.arguments
        )  # a cost f(h, y) given as a formula: its logarithms are those of outputs
    parts = children(expr)
    if isinstance(expr, Apply) and expr.function is LOG:
        stable = _logarithm(expr.arguments[0], program)
        if stable is not None:
            return stable
    if isinstance(expr, Add):
        expr = _cross_entropy(expr, program)
        parts = children(expr)
    new = tuple(_rewrite(p, program) for p in parts)
    expr = expr if new == parts else rebuild(expr, new)
    return _quotient(expr) if isinstance(expr, Multiply) else expr


def _seen_through(expr: Expr, program: Program) -> Expr:
    """The value of an entry's equation, else `expr` itself."""
    equation = program.by_tensor.get(expr.tensor) if isinstance(expr, Entry) else None
    if equation is None or not isinstance(expr, Entry):
        return expr
    return substitute(equation.value, dict(zip(equation.indices, expr.indices, strict=True)))


def _logarithm(argument: Expr, program: Program) -> Expr | None:
    value = _seen_through(argument, program)
    if isinstance(value, Apply) and value.function is _SIGMOID:
        return negate(apply(_SOFTPLUS, negate(value.arguments[0])))
    if isinstance(value, Sum):
        parts = None if _is_shifted(value, program) else _log_sum_exp(value)
        return None if parts is None else add(parts[0], apply(LOG, parts[1]))
    if isinstance(value, Multiply):
        return _log_softmax(value)
    return _log_of_complement(value, program)


def _log_of_complement(value: Expr, program: Program) -> Expr | None:
    """log(1 - sigmoid(z))."""
    if not (isinstance(value, Add) and len(value.terms) == 2 and ONE in value.terms):
        return None
    other = negate(value.terms[0] if value.terms[1] is ONE else value.terms[1])
    inner = _seen_through(other, program)
    if isinstance(inner, Apply) and inner.function is _SIGMOID:
        return negate(apply(_SOFTPLUS, inner.arguments[0]))
    return None


def _cross_entropy(total: Add, program: Program) -> Expr:
    """p log(a) + q log(1 - a) in the logit: one softplus instead of two logarithms, and exact for p = 0 and p = 1."""
    for one in total.terms:
        for other in total.terms:
            left, right = _times_log(one), _times_log(other)
            if left is None or right is None or one is other:
                continue
            p, a, q, complement = *left, *right
            value = _seen_through(a, program)
            if not (isinstance(value, Apply) and value.function is _SIGMOID):
                continue
            if complement is not subtract(ONE, a) and complement is not add(ONE, negate(a)):
                continue
            weight = expanded(add(p, q))
            if next(iter(entries(weight)), None) is None:
                z = value.arguments[0]
                rest = [t for t in total.terms if t is not one and t is not other]
                return add(multiply(p, z), negate(multiply(weight, apply(_SOFTPLUS, z))), *rest)
    return total


def _times_log(term: Expr) -> tuple[Expr, Expr] | None:
    """(p, a) of p log(a)."""
    factors = term.factors if isinstance(term, Multiply) else (term,)
    for factor in factors:
        if isinstance(factor, Apply) and factor.function is LOG:
            return multiply(*(f for f in factors if f is not factor)), factor.arguments[0]
    return None


def expanded(expr: Expr) -> Expr:
    """Products of sums multiplied out and equal terms gathered."""
    gathered: dict[tuple[Expr, ...], Fraction] = {}
    for coefficient, factors in _terms(expr):
        name = tuple(sorted(factors, key=id))
        gathered[name] = gathered.get(name, Fraction(0)) + coefficient
    return add(*(multiply(number(c), *factors) for factors, c in gathered.items()))


def _terms(expr: Expr) -> list[tuple[Fraction, tuple[Expr, ...]]]:
    if isinstance(expr, Add):
        return [t for term in expr.terms for t in _terms(term)]
    if isinstance(expr, Multiply):
        products: list[tuple[Fraction, tuple[Expr, ...]]] = [(Fraction(1), ())]
        for factor in expr.factors:
            products = [(c * d, f + g) for c, f in products for d, g in _terms(factor)]
        return products
    return [(expr.value, ())] if isinstance(expr, Number) else [(Fraction(1), (expr,))]


def _log_sum_exp(total: Sum) -> tuple[Expr, Expr] | None:
    """(M, sum over c of exp(z[c] - M)) of a sum of exponentials."""
    body = total.body
    if not (isinstance(body, Apply) and body.function is EXP):
        return None
    logits = body.arguments[0]

    def renamed(index: Index) -> Expr:
        return substitute(logits, {total.index: index})

    largest = extremum("max", total.index.name, total.index.size, renamed)
    return largest, close_sum(total.index, apply(EXP, subtract(logits, largest)))


def _is_shifted(total: Sum, program: Program) -> bool:
    """True if the exponents already have their largest value subtracted."""
    exponent = total.body.arguments[0] if isinstance(total.body, Apply) else total.body
    terms = exponent.terms if isinstance(exponent, Add) else ()
    return any(isinstance(_seen_through(negate(t), program), Extremum) for t in terms)


def _softmax_parts(product: Multiply) -> tuple[Expr, Sum, list[Expr]] | None:
    """(z[k], the sum of exponentials below, the other factors) if `product` holds exp(z[k]) / sum of exp(z[c])."""
    for below in product.factors:
        if isinstance(below, Power) and below.exponent is MINUS_ONE and isinstance(below.base, Sum):
            total = below.base
            if not (isinstance(total.body, Apply) and total.body.function is EXP):
                continue
            for above in product.factors:
                if isinstance(above, Apply) and above.function is EXP and _is_instance(above, total):
                    return above.arguments[0], total, [f for f in product.factors if f is not below and f is not above]
    return None


def _is_instance(above: Apply, total: Sum) -> bool:
    """True if `above` is the body of `total` at some value of its index."""
    return any(substitute(total.body, {total.index: node}) is above for node in _indices(above))


def _indices(expr: Expr) -> list[Expr]:
    found: dict[Expr, None] = {}
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Entry):
            found.update(dict.fromkeys(node.indices))
        stack.extend(children(node))
    return list(found)


def _quotient(product: Multiply) -> Expr:
    parts = _softmax_parts(product)
    stable = None if parts is None else _log_sum_exp(parts[1])
    if parts is None or stable is None:
        return product
    largest, total = stable
    return multiply(apply(EXP, subtract(parts[0], largest)), Power(total, MINUS_ONE), *parts[2])


def _log_softmax(product: Multiply) -> Expr | None:
    parts = _softmax_parts(product)
    stable = None if parts is None or parts[2] else _log_sum_exp(parts[1])
    if parts is None or stable is None:
        return None
    largest, total = stable
    return subtract(subtract(parts[0], largest), apply(LOG, total))
