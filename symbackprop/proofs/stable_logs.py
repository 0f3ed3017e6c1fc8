"""Rewrites that keep a cost finite: logarithms of probabilities become functions of the logits.

    log(a)     with a = sigmoid(z)                  ->  -softplus(-z)
    log(1 - a) with a = sigmoid(z)                  ->  -softplus(z)
    p log(a) + q log(1 - a), p + q free of arrays   ->  p z - (p + q) softplus(z)
    exp(z[k]) / sum over c of exp(z[c])             ->  exp(z[k] - M) / sum over c of exp(z[c] - M),
                                                        M = max over c of z[c]; masks and weights are kept, and
                                                        M is then the largest of those that are not hidden
    exp(z) (a / S + b / T), S and T such sums       ->  each term by its own; names of names are seen through
    log(a)     with a a quotient of this kind       ->  z[k] - M - log(sum over c of exp(z[c] - M))
    log(sum over c of exp(z[c]))                    ->  M + log(sum over c of exp(z[c] - M))

An entry is seen through to its equation. Where the sum of exponentials is a tensor of the program, M and the shifted
sum become tensors too, with equations of their own; the sum itself stays what it is for all that reads it otherwise.
Each rewriting is an identity of real functions: it is made only where the normal form accepts both sides as equal,
given the equations that were looked into.

Source: Goodfellow, Bengio & Courville, Deep Learning (2016), sections 4.1 and 6.2.2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import (
    MINUS_ONE,
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
    Power,
    Sum,
    Tensor,
    add,
    apply,
    children,
    entries,
    factors_of,
    multiply,
    negate,
    number,
    rebuild,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.functions import FUNCTIONS, LOG, is_arbitrary
from symbackprop.expression.program import Equation, Program, unused
from symbackprop.normal_form.modulo_equations import Resolver
from symbackprop.proofs.stable_forms import (
    CHEAP,
    Context,
    Exponential,
    merged_exponentials,
    own_exponential,
    shifted_sum,
    softplus,
    stable,
    sum_of_exponentials,
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

    def context(self) -> Context:
        """What the forms may look into."""
        return Context(self.program.by_tensor, {a.tensor: a for a in self.program.assumptions}, looked_into=self.opened)

    def log_sum_exp(self, total: Expr) -> Shifted | None:
        """(M, the shifted sum) of a sum of exponentials, given as a sum or as an entry of a tensor that is one."""
        found = sum_of_exponentials(total, self.context())
        if found is None:
            return None
        return self.named(total) if isinstance(total, Entry) else _shifted(*found)

    def named(self, total: Entry) -> Shifted:
        """M and the shifted sum as entries of tensors of their own, like the sum itself."""
        if total.tensor not in self.shifted:
            equation = self.program.by_tensor[total.tensor]
            found = sum_of_exponentials(equation.value, self.context())
            assert found is not None, "a sum of exponentials"
            pair: list[Tensor] = []
            largest, shifted = _shifted(*found)
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

    def softmax_parts(self, factors: Sequence[Expr]) -> tuple[Exponential, Expr, tuple[Expr, ...]] | None:
        """exp(z[k]), the sum of exponentials below, and other factors, of exp(z[k]) / sum of exp(z[c])."""
        for k, below in enumerate(factors):
            if not (isinstance(below, Power) and below.exponent is MINUS_ONE):
                continue
            found = sum_of_exponentials(below.base, self.context())
            own = found and own_exponential((*factors[:k], *factors[k + 1 :]), *found, self.context())
            if own:
                return own[0], below.base, own[1]
        return None

    def with_quotients(self, product: Expr) -> Iterator[Expr]:
        """The factors of a product, those entries put in that are divided by something, whatever names that has."""
        for factor in factors_of(product):
            equation = self.program.by_tensor.get(factor.tensor) if isinstance(factor, Entry) else None
            value = equation.at(factor.indices) if equation is not None and isinstance(factor, Entry) else factor
            inner = list(self.with_quotients(value)) if value is not factor else [factor]
            divided = any(isinstance(f, Power) and f.exponent is MINUS_ONE for f in inner)
            if equation is None or not divided or self.softmax_parts(inner):  # its own equation is made stable
                yield factor
            else:
                self.opened.add(equation.tensor)
                yield from inner

    def quotient(self, product: Multiply) -> Expr:
        """A softmax with its exponents shifted, also where its exponentials or its quotient have names."""
        parts = self.softmax_parts(product.factors) or self.softmax_parts(list(self.with_quotients(product)))
        stable = None if parts is None else self.log_sum_exp(parts[1])
        if parts is None or stable is None:
            return self.distributed(product) or self.merged(product) or product
        largest, total = stable
        return multiply(parts[0].less(largest), Power(total, MINUS_ONE), *parts[2])

    def distributed(self, product: Multiply) -> Expr | None:
        """An exponential times a sum whose terms are divided by sums of exponentials, each by its own."""
        for k, factor in enumerate(product.factors):
            before = set(self.opened)
            parts = factors_of(self.seen_through(factor))
            total = next((f for f in parts if isinstance(f, Add)), None)
            rest = (*product.factors[:k], *product.factors[k + 1 :], *(f for f in parts if f is not total))
            terms = [Multiply((*rest, *factors_of(t))) for t in total.terms] if total is not None and rest else []
            new = [self.quotient(term) for term in terms]
            if terms and all(after is not before for before, after in zip(terms, new, strict=True)):
                return add(*new)
            self.opened = before
        return None

    def merged(self, product: Multiply) -> Expr | None:
        """exp(u) / exp(v) as one exponential, which is not raised where a factor is 0."""
        mask = next((f for f in product.factors if isinstance(f, Kronecker)), ONE)
        rest = multiply(*(f for f in product.factors if f is not mask))
        value = merged_exponentials(rest, self.context())
        return None if value is None else where(mask, value, ZERO)

    def log_softmax(self, product: Multiply) -> Expr | None:
        """The logarithm of a softmax."""
        parts = self.softmax_parts(product.factors)
        if parts is None or parts[2] or parts[0] != Exponential(parts[0].exponent):
            return None
        stable = self.log_sum_exp(parts[1])
        if stable is None:
            return None
        largest, total = stable
        return subtract(subtract(parts[0].exponent, largest), apply(LOG, total))


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


def _shifted(term: Exponential, indices: Sequence[Index]) -> Shifted:
    """(M, sum over c of exp(z[c] - M)) of a sum of exponentials."""
    largest = term.largest(indices)
    return largest, shifted_sum(term, indices, largest)
