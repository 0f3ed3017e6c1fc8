"""Rewrites that keep a cost finite: logarithms of probabilities become functions of the logits.

    log(a)     with a = sigmoid(z)                  ->  -softplus(-z)
    log(1 - a) with a = sigmoid(z)                  ->  -softplus(z)
    p log(a) + q log(1 - a), p + q free of arrays   ->  p z - (p + q) softplus(z)
    exp(z[k]) / sum over c of exp(z[c])             ->  exp(z[k] - M) / sum over c of exp(z[c] - M),
                                                        M = max over c of z[c]; masks are kept, and M is then
                                                        the largest of those that are not hidden
    log(a)     with a a quotient of this kind       ->  z[k] - M - log(sum over c of exp(z[c] - M))
    log(sum over c of exp(z[c]))                    ->  M + log(sum over c of exp(z[c] - M))

An entry is seen through to its equation. Where the sum of exponentials is a tensor of the program, M and the shifted
sum become tensors too, with equations of their own; the sum itself stays what it is for all that reads it otherwise.
Each rewriting is an identity of real functions: it is made only where the normal form accepts both sides as equal,
given the equations that were looked into.

Source: Goodfellow, Bengio & Courville, Deep Learning (2016), sections 4.1 and 6.2.2.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction

from symbackprop.errors import SymbackpropError
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
    Tensor,
    add,
    apply,
    children,
    close_sum,
    entries,
    multiply,
    negate,
    nodes_once,
    number,
    rebuild,
    substitute,
    subtract,
)
from symbackprop.expression.functions import FUNCTIONS, LOG, is_arbitrary
from symbackprop.expression.program import Equation, Program, unused
from symbackprop.normal_form.modulo_equations import Resolver
from symbackprop.proofs.stable_forms import (
    CHEAP,
    Context,
    largest_exponent,
    masked_exponential,
    shifted_exponential,
    softplus,
    stable,
)
from symbackprop.proofs.stable_functions import applied

_SIGMOID, _SOFTPLUS = FUNCTIONS["sigmoid"], FUNCTIONS["softplus"]
Shifted = tuple[Expr, Expr]  # M, and the sum of exp(z[c] - M)


def stabilise(program: Program) -> Program:
    """The same functions, with logarithms and exponentials in a form that cannot overflow.

    Each right side of the result equals that of `program`, given the equations of the result.
    """
    return _Stabiliser(program).run()


def stabilised_logarithm(program: Program, total: Entry) -> Expr:
    """log(total) in its stable form, where `total` is a tensor of the program that is a sum of exponentials."""
    stabiliser = _Stabiliser(program)
    return stabiliser.logarithm(total) or apply(LOG, total)


def accurate(program: Program) -> Program:
    """The same functions, with forms that keep their digits: expm1 and log1p, sigmoid(-z) for 1 - sigmoid(z).

    As `stabilise`, but for programs that people have written; costs of networks are in such forms.
    """
    equations: list[Equation] = []
    for equation in program.equations:
        context = Context(program.by_tensor, logistic=lambda z: apply(_SIGMOID, z))
        value = stable(equation.value, context, rows=CHEAP)
        if value is not equation.value and not _equal(program, context.looked_into, equation.value, value):
            value = equation.value
        equations.append(replace(equation, value=value))
    return replace(program, equations=tuple(equations))


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
        shifted: for each tensor that is a sum of exponentials the two tensors that stand for M and the shifted sum.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.taken = {t.name for t in program.tensors} | {s.name for s in program.parameters}
        self.equations: dict[Tensor, Equation] = {}
        self.opened: set[Tensor] = set()
        self.shifted: dict[Tensor, tuple[Tensor, Tensor]] = {}

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
        known = {**self.program.by_tensor, **{t: self.equations[t] for pair in self.shifted.values() for t in pair}}
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
            stable = self.logarithm(expr.arguments[0])
            if stable is not None:
                return stable
        if isinstance(expr, Add):
            expr = self.cross_entropy(expr)
        parts = children(expr)
        new = tuple(self.rewrite(p) for p in parts)
        if new != parts:
            expr = _sign_inside(expr, new) or rebuild(expr, new)
        return self.quotient(expr) if isinstance(expr, Multiply) else expr

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
        value = self.seen_through(argument)
        if isinstance(value, Sum):
            parts = self.log_sum_exp(argument)
            return None if parts is None else add(parts[0], apply(LOG, parts[1]))
        return self.log_softmax(value) if isinstance(value, Multiply) else None

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

    # Sums of exponentials.

    def exponential(self, expr: Expr) -> tuple[Expr, Expr] | None:
        """(z, w) of exp(z) w with a mask w, if the largest z is not subtracted already."""
        context = Context(self.program.by_tensor)
        parts = masked_exponential(expr, context)
        if parts is not None:
            self.opened |= context.looked_into
        return parts

    def log_sum_exp(self, total: Expr) -> Shifted | None:
        """(M, the shifted sum) of a sum of exponentials, given as a sum or as an entry of a tensor that is one."""
        value = self.seen_through(total)
        parts = self.exponential(value.body) if isinstance(value, Sum) else None
        if parts is None or self.is_shifted(parts[0]):
            return None
        assert isinstance(value, Sum)
        return self.named(total) if isinstance(total, Entry) else _shifted(value, *parts)

    def named(self, total: Entry) -> Shifted:
        """M and the shifted sum as entries of tensors of their own, like the sum itself."""
        if total.tensor not in self.shifted:
            equation = self.program.by_tensor[total.tensor]
            assert isinstance(equation.value, Sum), "a sum of exponentials"
            pair: list[Tensor] = []
            parts = self.exponential(equation.value.body)
            assert parts is not None, "a sum of exponentials"
            largest, shifted = _shifted(equation.value, *parts)
            for wanted, value, note in (
                ("top", largest, "the largest exponent"),
                ("total", shifted, "the sum of exponentials, shifted"),
            ):
                tensor = Tensor(unused(wanted, self.taken), total.tensor.shape)
                self.taken.add(tensor.name)
                value = substitute(value, {largest: Entry(pair[0], equation.indices)}) if pair else value
                self.equations[tensor] = Equation(tensor, equation.indices, value, note)
                pair.append(tensor)
            self.shifted[total.tensor] = (pair[0], pair[1])
        self.opened |= {total.tensor, *self.shifted[total.tensor]}
        top, rest = self.shifted[total.tensor]
        return Entry(top, total.indices), Entry(rest, total.indices)

    def is_shifted(self, exponent: Expr) -> bool:
        """True if an exponent already has the largest one subtracted."""
        terms = exponent.terms if isinstance(exponent, Add) else ()
        return any(isinstance(self.seen_through(negate(t)), Extremum) for t in terms)

    def softmax_parts(self, product: Multiply) -> tuple[tuple[Expr, Expr], Expr, list[Expr]] | None:
        """(z[k] and its mask, the sum of exponentials below, other factors) of exp(z[k]) / sum of exp(z[c])."""
        for below in product.factors:
            if not (isinstance(below, Power) and below.exponent is MINUS_ONE):
                continue
            total = self.seen_through(below.base)
            parts = self.exponential(total.body) if isinstance(total, Sum) else None
            if parts is None:
                continue
            assert isinstance(total, Sum)
            rest = [f for f in product.factors if f is not below]
            for above in (*((f,) for f in rest), *itertools.combinations(rest, 2)):
                own = self.exponential(multiply(*above))
                if own is not None and _is_instance(own, parts, total.index):
                    return own, below.base, [f for f in rest if f not in above]
        return None

    def with_quotients(self, product: Multiply) -> Multiply:
        """The product with those entries put in that are divided by something."""
        factors: list[Expr] = []
        opened: set[Tensor] = set()
        for factor in product.factors:
            equation = self.program.by_tensor.get(factor.tensor) if isinstance(factor, Entry) else None
            value = equation.at(factor.indices) if equation is not None and isinstance(factor, Entry) else factor
            inner = value.factors if isinstance(value, Multiply) else (value,)
            divided = any(isinstance(f, Power) and f.exponent is MINUS_ONE for f in inner)
            if isinstance(value, Multiply) and self.softmax_parts(value):
                divided = False  # its own equation is made stable
            if equation is not None and divided:
                opened.add(equation.tensor)
                factors += inner
            else:
                factors.append(factor)
        if not opened:
            return product
        self.opened |= opened
        return Multiply(tuple(factors))

    def quotient(self, product: Multiply) -> Expr:
        """A softmax with its exponents shifted, also where its exponentials or its quotient have names."""
        parts = self.softmax_parts(product) or self.softmax_parts(self.with_quotients(product))
        stable = None if parts is None else self.log_sum_exp(parts[1])
        if parts is None or stable is None:
            return product
        largest, total = stable
        return multiply(shifted_exponential(*parts[0], largest), Power(total, MINUS_ONE), *parts[2])

    def log_softmax(self, product: Multiply) -> Expr | None:
        """The logarithm of a softmax."""
        parts = self.softmax_parts(product)
        stable = None if parts is None or parts[2] or parts[0][1] is not ONE else self.log_sum_exp(parts[1])
        if parts is None or stable is None:
            return None
        largest, total = stable
        return subtract(subtract(parts[0][0], largest), apply(LOG, total))


def _sign_inside(expr: Expr, new: tuple[Expr, ...]) -> Expr | None:
    """-y (z - M) as y (M - z), where the sum has come in place of a logarithm: no product with -1 is left."""
    if not isinstance(expr, Multiply) or new[0] is not MINUS_ONE:
        return None
    for place, (before, after) in enumerate(zip(children(expr), new, strict=True)):
        if after is not before and isinstance(after, Add):
            terms = sorted(map(negate, after.terms), key=_is_negative)
            return multiply(*new[1:place], add(*terms), *new[place + 1 :])
    return None


def _is_negative(term: Expr) -> bool:
    first = term.factors[0] if isinstance(term, Multiply) else term
    return isinstance(first, Number) and first.value < 0


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


def _shifted(total: Sum, z: Expr, w: Expr) -> Shifted:
    """(M, sum over c of exp(z[c] - M)) of a sum of exponentials under a mask."""
    largest = largest_exponent(z, w, total.index)
    return largest, close_sum(total.index, shifted_exponential(z, w, largest))


def _is_instance(own: tuple[Expr, Expr], parts: tuple[Expr, Expr], index: Index) -> bool:
    """True if an exponent and its mask are those of a sum at some value of its index."""
    return any(tuple(substitute(p, {index: node}) for p in parts) == own for node in _indices(own[0]))


def _indices(expr: Expr) -> list[Expr]:
    found: dict[Expr, None] = {}
    for node in nodes_once(expr):
        if isinstance(node, Entry):
            found.update(dict.fromkeys(node.indices))
    return list(found)
