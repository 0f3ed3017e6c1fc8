"""Functions of polynomials. Each brings its algebra: exp(a + b) = exp a * exp b; log of a positive product is a sum.

An atom of a function of a sum holds a closed template, so nothing is ever renamed inside.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

import sympy as sp

from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import Expr, Index, Tensor
from symbackprop.expression.functions import ATAN, COS, ERF, EXP, FLOOR, LOG, SIN, STEP, Function
from symbackprop.normal_form.bound_names import abstract, memoised, remember_symmetries, settle_arguments
from symbackprop.normal_form.data import (
    ONE,
    ZERO,
    Atom,
    Mono,
    NoValueError,
    Poly,
    Rational,
    add,
    as_atom,
    as_constant,
    as_index,
    combine,
    constant,
    magnitude,
    of_atom,
    of_index,
    scale,
    subtract,
)
from symbackprop.normal_form.indicators import ratios
from symbackprop.normal_form.powers import LARGEST_FACTOR, Powers
from symbackprop.normal_form.rewriter import INDICATORS, Terms

MOST_STEPS = 2  # of a floor between two bounds
CLASS = -5  # uid of the class of which one-hot rows are split
Row = tuple[Tensor, tuple[Poly, ...], Expr]
Bound = tuple[Rational, bool] | None  # a number, and whether it is never reached


class Functions(Powers):
    """exp, log, the basic and the arbitrary functions, by branches where the argument has any."""

    def apply(self, function: Function, arguments: tuple[Poly, ...]) -> Poly:
        """function(arguments), for a basic or an arbitrary function."""
        (first, *_) = arguments
        if function is EXP:
            return self.exp(first)
        if function is LOG:
            return self.log(first)
        if function is STEP:
            return self.positive(first)
        if function is FLOOR:
            return self._floor(first, ())
        if function in (ERF, ATAN, SIN, COS):
            return self._odd_or_even(function, first)
        return self._applied(function, arguments)

    def _applied(self, function: Function, arguments: tuple[Poly, ...]) -> Poly:
        if len(arguments) == 1:
            by_branch = self.branchwise(lambda part: self.apply(function, (part,)), arguments[0])
            if by_branch is not None:
                return by_branch
        templates, args = abstract(arguments)
        data = (function, templates)
        remember_symmetries(data, templates)
        return of_atom(Atom.make("apply", data, settle_arguments("apply", data, args)))

    def _floor(self, value: Poly, known: tuple[tuple[Atom, bool], ...]) -> Poly:
        """The floor, by branches; between near bounds it is a number, and 1 more above the next one.

        Args:
            known: the gates of branches outside, and whether they are open.
        """
        parts = self.split(value)
        if parts is not None:
            gate, on, off = parts
            ((atom, _),) = gate.terms[0][0].factors
            a, b = (self._floor(part, (*known, (atom, held))) for part, held in ((on, True), (off, False)))
            return add(self.multiply(gate, subtract(a, b)), b)
        number = as_constant(value)
        if number is not None:
            return constant(floor(number))
        low, high = self._between(value, known)
        if low is not None and high is not None:
            least, most = floor(low[0]), ceil(high[0]) - 1 if high[1] else floor(high[0])
            steps = [self.positive(subtract(constant(k), value)) for k in range(least + 1, most + 1)]
            if len(steps) <= MOST_STEPS:
                return combine([(1, constant(most)), *((-1, step) for step in steps)])
        return self._applied(FLOOR, (value,))

    def _between(self, value: Poly, known: tuple[tuple[Atom, bool], ...]) -> tuple[Bound, Bound]:
        """The largest lower and the smallest upper bound of a value that gates tell, each with whether it is strict.

        What is nowhere negative tells one as well.
        """
        low: Bound = None
        high: Bound = None
        if len(value.terms) == 1 and self._is_nonnegative(value.terms[0][0]):
            low, high = ((0, False), None) if value.terms[0][1] > 0 else (None, (0, False))
        for atom, held in known:
            k = next(iter(ratios(self.definition(atom), value)), None) if atom.kind == "positive" else None
            rest = as_constant(combine([(1, value), (-k, self.definition(atom))])) if k else None
            if k is None or rest is None:
                continue
            if (k > 0) == held:
                low = max(low or (rest, held), (rest, held))
            else:
                high = min(high or (rest, held), (rest, held), key=lambda b: (b[0], not b[1]))
        return low, high

    def _is_nonnegative(self, mono: Mono) -> bool:
        return not mono.bound and all(e == 1 and self.known_nonnegative(a) for a, e in mono.factors)

    def nonnegative(self, value: Poly, known: tuple[tuple[Atom, bool], ...] = ()) -> bool:
        """True if a value is >= 0 in each of its branches."""
        parts = self.split(value)
        if parts is not None:
            gate, on, off = parts
            ((atom, _),) = gate.terms[0][0].factors
            return all(self.nonnegative(part, (*known, (atom, held))) for part, held in ((on, True), (off, False)))
        number = as_constant(value)
        if number is not None:
            return number >= 0
        low, _ = self._between(value, known)
        return (low is not None and low[0] >= 0) or all(c > 0 and self.weakly_positive(m) for m, c in value.terms)

    def _odd_or_even(self, function: Function, argument: Poly) -> Poly:
        if not argument.terms:
            return ONE if function is COS else ZERO
        here, there = abstract((argument,))[0][0], abstract((scale(argument, -1),))[0][0]
        if there.id < here.id:
            return scale(self._applied(function, (scale(argument, -1),)), 1 if function is COS else -1)
        return self._applied(function, (argument,))

    @memoised
    def exp(self, argument: Poly) -> Poly:
        """exp of a sum is the product of the exps of its terms; exp(c * log t) = t ** c."""
        by_branch = self.branchwise(self.exp, argument)
        if by_branch is not None:
            return by_branch
        result: Poly = ONE
        for mono, coefficient in argument.terms:
            inner = self._log_argument(mono)
            if inner is not None:
                result = self.multiply(result, self.power(inner, coefficient))
            else:
                templates, args = abstract((Poly.make({mono: 1}),))
                data = (EXP, templates)
                remember_symmetries(data, templates)
                atom = Atom.make("apply", data, settle_arguments("apply", data, args))
                result = self.multiply(result, of_atom(atom, coefficient))
        return result

    def _log_argument(self, mono: Mono) -> Poly | None:
        """t if the monomial is log(t), else None."""
        if len(mono.factors) == 1 and not mono.bound:
            atom, exponent = mono.factors[0]
            if exponent == 1 and atom.kind == "apply" and atom.data[0] is LOG:
                (template,) = atom.data[1]
                return self.substitute(template, self.parameters(atom, template))
        return None

    @memoised
    def log(self, argument: Poly) -> Poly:
        """log of a product of positive factors is the sum of their logs; log(exp(t)) = t."""
        by_branch = self.branchwise(self.log, argument)
        if by_branch is not None:
            return by_branch
        if not argument.terms:
            raise NoValueError("a logarithm of zero")
        (coefficient, mono), core = self.factor(argument)
        whole = self._log_of_determinant(coefficient, mono) if core is ONE else None
        if whole is not None:
            return whole
        if coefficient <= 0 or not all(self.known_positive(a) for a, _ in mono.factors):
            return self._applied(LOG, (argument,))
        parts: list[tuple[Rational, Poly]] = [(1, self._log_of_number(coefficient))]
        parts += [(e, self._log_of_atom(a)) for a, e in mono.factors]
        if core is not ONE:
            parts.append((1, self._applied(LOG, (core,))))
        return combine(parts)

    def _log_of_determinant(self, coefficient: Rational, mono: Mono) -> Poly | None:
        """log(c*det(A)): where it has a value the product is positive, so it is log|c| + log|det(A)|."""
        open_ = [(a, e) for a, e in mono.factors if not self.known_positive(a)]
        if len(open_) != 1 or open_[0][0].kind != "matrix" or open_[0][0].data[0] != "determinant":
            return None
        ((determinant, e),) = open_
        parts: list[tuple[Rational, Poly]] = [(1, self._log_of_number(magnitude(coefficient)))]
        parts += [(k, self._log_of_atom(a)) for a, k in mono.factors if a is not determinant]
        logarithm = Atom.make("matrix", ("logdet", *determinant.data[1:]), determinant.args)
        return combine([*parts, (e, of_atom(logarithm))])

    def _log_of_number(self, value: Rational) -> Poly:
        parts = []
        for part, sign in ((Fraction(value).numerator, 1), (Fraction(value).denominator, -1)):
            parts += [
                (sign * int(n), self._applied(LOG, (constant(int(p)),)))
                for p, n in sp.factorint(part, limit=LARGEST_FACTOR).items()
            ]
        return combine(parts)

    def _log_of_atom(self, atom: Atom) -> Poly:
        if atom.kind == "apply" and atom.data[0] is EXP:
            (template,) = atom.data[1]
            return self.substitute(template, self.parameters(atom, template))
        if atom.kind == "base":
            return (
                self.log(self.definition(atom))
                if len(atom.data[0].terms) == 1
                else self._applied(LOG, (self.definition(atom),))
            )
        return self._applied(LOG, (of_atom(atom),))

    # Branches.

    def split(self, value: Poly) -> tuple[Poly, Poly, Poly] | None:
        """(g, a, b) with value = g*a + (1 - g)*b for a g of 0 or 1 that stands outside its sums, or None.

        Such a g is an indicator, or an entry of an input that holds zeros and ones. A function of the value is
        g*f(a) + (1 - g)*f(b).
        """
        gates = [
            atom
            for mono, _ in value.terms
            for atom, e in mono.factors
            if atom.free.isdisjoint(mono.bound) and (atom.kind in INDICATORS or (e == 1 and self._is_zero_or_one(atom)))
        ]
        if not gates:
            return None
        found = ((g, self._beside(g, gates)) for g in gates)
        gate, (same, opposite) = next(((g, pair) for g, pair in found if any(pair)), (gates[0], (None, None)))
        on, off = [], []
        for m, c in value.terms:
            held = {a for a, _ in m.factors}
            factors = {a: e for a, e in m.factors if a not in (gate, same, opposite)}
            if opposite not in held:
                on.append((c, factors, m.bound))
            if gate not in held and same not in held:
                off.append((c, factors, m.bound))
        return of_atom(gate), self.collect(on), self.collect(off)

    def _beside(self, gate: Atom, gates: list[Atom]) -> tuple[Atom | None, Atom | None]:
        """Those inequalities among some indicators that hold where an equality does, and where it does not: [i <= 0]
        and [i >= 1] are [i = 0] and its opposite, where i is never negative."""
        if gate.kind != "delta" or all(g.kind != "nonneg" for g in gates):
            return None, None
        other = self.elsewhere(of_atom(gate))
        same = next((g for g in gates if other is not None and subtract(ONE, of_atom(g)) == other), None)
        return same, next((g for g in gates if of_atom(g) == other), None)

    def elsewhere(self, gate: Poly) -> Poly | None:
        """[i >= 1] for [i = 0] where i is never negative, and so on; None for other gates."""
        atom = as_atom(gate)
        if atom is None or atom.kind != "delta":
            return None
        for sign in (1, -1):
            distance = scale(atom.args[0], sign)
            if self.decided(">=", self.size_expression(distance)):
                return self.nonneg(subtract(distance, ONE))
        return None

    def branchwise(self, function: Callable[[Poly], Poly], value: Poly) -> Poly | None:
        """function(value) by branches, if the value has any; a one-hot row has as many as classes."""
        parts = self.split(value)
        if parts is None:
            return self._by_class(function, value)
        gate, on, off = parts
        data = gate.terms[0][0].factors[0][0].kind == "entry"
        try:
            a, b = _value_if_any(function, on), _value_if_any(function, off)
        except UnsupportedError:
            if data:  # log(y*p) has a value, if at all, at y = 1 alone
                return None
            raise
        if a is not None and b is not None:
            return add(self.multiply(gate, subtract(a, b)), b)
        if data:
            return None
        if a is None and b is None:
            raise NoValueError("neither of two branches has a value")
        return b if a is None else a  # where it has a value at all: 1/sqrt(max(z, 0)) is 1/sqrt(z)

    def _by_class(self, function: Callable[[Poly], Poly], value: Poly) -> Poly | None:
        """f(sum_k y_k*a_k + b) = sum_k y_k*f(a_k + b) for a one-hot row y that stands in sums over all classes."""
        rows = (self._row(a, e, m.bound) for m, _ in value.terms if m.bound for a, e in m.factors)
        row = next((r for r in rows if r is not None), None)
        if row is None:
            return None
        tensor, others, size = row
        chosen = next(i for k in itertools.count() if (i := Index(f"o{k}", size, CLASS)) not in value.free)
        axis = self.adding_up[tensor] % (len(others) + 1)
        entry = of_atom(Atom.make("entry", tensor, (*others[:axis], of_index(chosen), *others[axis:])))
        try:
            each = function(self.collect([t for m, c in value.terms for t in self._at_class(c, m, row, chosen)]))
        except UnsupportedError:
            return None
        self.used[f"one entry of each {'row' if axis == len(others) else 'column'} of {tensor.name} is 1"] = None
        return self.sum_over(chosen, self.multiply(entry, each))

    def _at_class(self, coefficient: Rational, mono: Mono, row: Row, chosen: Index) -> Terms:
        """A term where the entry of the row at one class is 1: what that entry stands with, instead of the sum."""
        pairs, bound = self.open_mono(mono, frozenset([chosen]))
        factors = dict(pairs)
        own = [a for a, e in factors.items() if self._row(a, e, bound) == row]
        if len(own) != 1:
            return [(coefficient, factors, bound)]
        index = as_index(own[0].args[self.adding_up[row[0]] % len(own[0].args)])
        assert index is not None, "the class of such a row is summed over"
        rest = {a: e for a, e in factors.items() if a is not own[0]}
        left = tuple(i for i in bound if i is not index)
        terms = self.substitute_factors(rest, left, {index: of_index(chosen)})
        return [(coefficient * c, f, b) for c, f, b in terms]

    def _row(self, atom: Atom, exponent: Rational, bound: tuple[Index, ...]) -> Row | None:
        """(y, the other indices, the number of classes) of a one-hot entry whose class is summed over, else None."""
        if atom.kind != "entry" or exponent != 1 or self.assumptions.get(atom.data) != "onehot" or not atom.args:
            return None
        axis = self.adding_up[atom.data] % len(atom.args)
        index = as_index(atom.args[axis])
        others = (*atom.args[:axis], *atom.args[axis + 1 :])
        if index not in bound or any(not a.free.isdisjoint(bound) for a in others):
            return None
        assert index is not None
        whole = self.size_of(index.size) is self.size_of(atom.data.shape[axis])
        return (atom.data, others, index.size) if whole else None


def _value_if_any(function: Callable[[Poly], Poly], value: Poly) -> Poly | None:
    try:
        return function(value)
    except NoValueError:
        return None
