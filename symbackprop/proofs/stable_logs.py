"""Rewrites that keep a cost finite: logarithms of probabilities become functions of the logits.

    log(a)     with a = sigmoid(z)                  ->  -softplus(-z)
    log(1 - a) with a = sigmoid(z)                  ->  -softplus(z)
    p log(a) + q log(1 - a), p + q free of arrays   ->  p z - (p + q) softplus(z)

An entry is seen through to its equation. Each rewriting is an identity of real functions: it is made only where the
normal form accepts both sides as equal, given the equations that were looked into. What other exponentials would make
infinite is taken to a common scale (`common_scale`).

Source: Goodfellow, Bengio & Courville, Deep Learning (2016), sections 4.1 and 6.2.2.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction

from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Apply,
    Entry,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Number,
    Tensor,
    Where,
    add,
    apply,
    children,
    close_sum,
    entries,
    factors_of,
    free_indices,
    fresh,
    multiply,
    negate,
    number,
    rebuild,
    substitute,
    subtract,
    tensors_in,
    where,
)
from symbackprop.expression.functions import FUNCTIONS, LOG, is_arbitrary
from symbackprop.expression.program import Equation, Program, unused
from symbackprop.normal_form.modulo_equations import Resolver
from symbackprop.proofs.common_scale import scaled, sign_inside
from symbackprop.proofs.stable_forms import CHEAP, Context, onehot_minus, softplus, stable
from symbackprop.proofs.stable_functions import applied

_SIGMOID, _SOFTPLUS = FUNCTIONS["sigmoid"], FUNCTIONS["softplus"]


def stabilise(program: Program) -> Program:
    """The same functions, with logarithms and exponentials in a form that cannot overflow.

    Each right side of the result equals that of `program`, given the equations of the result.
    """
    return scaled(in_logits(program))


def in_logits(program: Program) -> Program:
    """The same functions, with logarithms of logistic functions as functions of their arguments."""
    return _Stabiliser(program).run()


def accurate(program: Program) -> Program:
    """The same functions, with forms that keep their digits: expm1 and log1p, sigmoid(-z) for 1 - sigmoid(z).

    As `stabilise`, but for programs that people have written; costs of networks are in such forms.
    """
    program = in_logits(program)
    equations: list[Equation] = []
    taken = {t.name for t in program.tensors} | {s.name for s in program.parameters}
    for equation in program.equations:
        context = Context(program.by_tensor, logistic=lambda z: apply(_SIGMOID, z))
        value = stable(equation.value, context, rows=CHEAP)
        if value is not equation.value and not _equal(program, context.looked_into, equation.value, value):
            value = equation.value
        equations += without_label(program, replace(equation, value=value), taken)
    return scaled(replace(program, equations=tuple(equations)))


def without_label(program: Program, equation: Equation, taken: set[str]) -> list[Equation]:
    """c (p - [k = y]) for a softmax p as three lines: c p but 0 at the label, its sum, and what is less that there.

    Where p is nearly 1, p - 1 has lost its digits, and the others have not.
    """
    total = next((f for f in factors_of(equation.value) if isinstance(f, Add)), None)
    context = Context(program.by_tensor, program.known)
    form = None if total is None else onehot_minus(total, context)
    chosen = next((f for f in factors_of(form) if isinstance(f, Where)), None) if form is not None else None
    if total is None or form is None or chosen is None or not isinstance(chosen.condition, Kronecker):
        return [equation]
    delta = chosen.condition
    at, place = (delta.left, delta.right) if isinstance(delta.left, Index) else (delta.right, delta.left)
    known = program.known.get(place.tensor) if isinstance(place, Entry) else None
    rest = multiply(*(f for f in (*factors_of(equation.value), *factors_of(form)) if f not in (total, chosen)))
    if known is None or known.kind != "labels" or not isinstance(at, Index) or at in free_indices(rest):
        return [equation]
    kept = where(delta, ZERO, multiply(rest, chosen.otherwise))
    whole = where(delta, negate(close_sum(j := fresh("j", at.size), substitute(kept, {at: j}))), kept)
    read = [t for t in tensors_in(equation.value) if t in program.by_tensor]
    if not _equal(program, read, equation.value, whole):
        return [equation]
    name = equation.tensor.name
    others = Tensor(unused(f"{name}_others", taken), equation.tensor.shape)
    indices = tuple(i for i in equation.indices if i is not at)
    label = Tensor(unused(f"{name}_label", taken), tuple(i.size for i in indices))
    taken |= {others.name, label.name}
    entry = Entry(others, equation.indices)
    return [
        Equation(others, equation.indices, kept, f"{name} but at the label"),
        Equation(label, indices, negate(close_sum(j, substitute(entry, {at: j}))), "its sum"),
        replace(equation, value=where(delta, Entry(label, indices), entry)),
    ]


def _equal(program: Program, opened: Collection[Tensor], before: Expr, after: Expr) -> bool:
    """Whether the normal form finds the two equal, given the equations of some tensors."""
    known = program.by_tensor
    try:
        return Resolver((known[t] for t in opened), program.facts, program.known).equal(before, after)
    except SymbackpropError:
        return False


class _Stabiliser:
    """Rewrites one equation after the other.

    Attributes:
        equations: those of the result so far, by tensor.
        opened: the tensors whose equations the rewriting at hand has made use of.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.equations: dict[Tensor, Equation] = {}
        self.opened: set[Tensor] = set()

    def run(self) -> Program:
        for equation in self.program.equations:
            self.opened = set()
            value = self.rewrite(equation.value)
            if value is not equation.value and not self.accepted(equation.value, value):
                value = equation.value
            self.equations[equation.tensor] = replace(equation, value=value)
        return replace(self.program, equations=tuple(self.equations.values()))

    def accepted(self, before: Expr, after: Expr) -> bool:
        """True if the two are equal wherever the equations that were looked into hold."""
        known = self.program.by_tensor
        kinds = self.program.known
        try:
            return Resolver((known[t] for t in self.opened), self.program.facts, kinds).equal(before, after)
        except SymbackpropError:
            return False

    def rewrite(self, expr: Expr) -> Expr:
        """`expr` in a form that cannot overflow."""
        if isinstance(expr, Apply) and len(expr.arguments) == 2 and not is_arbitrary(expr.function):
            # a cost f(h, y) given as a formula: its logarithms are those of outputs
            expr = applied(expr.function, expr.arguments)
        if isinstance(expr, Apply) and expr.function is LOG:
            logistic = self.logarithm(expr.arguments[0])
            if logistic is not None:
                return logistic
        if isinstance(expr, Add):
            expr = self.cross_entropy(expr)
        parts = children(expr)
        new = tuple(self.rewrite(p) for p in parts)
        if new != parts:
            expr = sign_inside(expr, new) or rebuild(expr, new)
        return expr

    def seen_through(self, expr: Expr) -> Expr:
        """The value of an entry's equation, else `expr` itself."""
        equation = self.program.by_tensor.get(expr.tensor) if isinstance(expr, Entry) else None
        if equation is None or not isinstance(expr, Entry):
            return expr
        self.opened.add(equation.tensor)
        return equation.at(expr.indices)

    def logarithm(self, argument: Expr) -> Expr | None:
        """log(argument), if it is one of those in the table."""
        context = Context(self.program.by_tensor)
        logistic = softplus(apply(LOG, argument), context)
        if logistic is not None:
            self.opened |= context.looked_into
        return logistic

    def cross_entropy(self, total: Add) -> Expr:
        """p log(a) + q log(1 - a) in the logit: one softplus for two logarithms, and exact for p = 0 and p = 1."""
        for one in total.terms:
            for other in total.terms:
                left, right = _times_log(one), _times_log(other)
                if left is None or right is None or one is other:
                    continue
                p, a, q, complement = *left, *right
                value = self.seen_through(a)
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
