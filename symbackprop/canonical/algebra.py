"""Products, powers and functions of polynomials in normal form.

Every function brings its algebra here: exp(a + b) = exp a * exp b; log of a product where the factors are known to be
positive; a power of a sum is a power of its common factor times a power of one atom, the "base"; indicators of reals keep
the sign of their argument alone. An atom of a function of a sum holds a closed template, so nothing is ever renamed inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import sympy as sp

from symbackprop.canonical.extrema import chain_of_extrema, sum_of_extremum
from symbackprop.canonical.merged import solve_mixed_radix, split_merged_index, write_out
from symbackprop.canonical.naming import abstract, memoised, remember_symmetries, settle_arguments
from symbackprop.canonical.polynomial import (
    ONE,
    UNIT,
    ZERO,
    Atom,
    Mono,
    Poly,
    Rational,
    Term,
    add,
    as_constant,
    as_index,
    combine,
    constant,
    exact,
    of_atom,
    of_index,
    scale,
    subtract,
)
from symbackprop.canonical.terms import INDICATORS, TermRules, spare
from symbackprop.errors import BudgetError, UnsupportedError
from symbackprop.expression import Expr, Index, Number, Symbol, Tensor
from symbackprop.expression import Add as AddNode
from symbackprop.expression import Entry as EntryNode
from symbackprop.expression import Multiply as MultiplyNode
from symbackprop.expression import Power as PowerNode
from symbackprop.expression import Quotient as QuotientNode
from symbackprop.expression import Remainder as RemainderNode
from symbackprop.expression import add as add_expr
from symbackprop.expression import multiply as multiply_expr
from symbackprop.expression import number
from symbackprop.expression import power as power_expr
from symbackprop.primitives import BASIC, COS, ERF, EXP, LOG, SIN, STEP, Function
from symbackprop.sizes import simplify

MAXIMUM_TERMS = 20_000
LARGEST_FACTOR = 1000  # a number without a prime factor below this stays whole under a root or logarithm
STANDS_FOR_INFINITY = -10_000  # exp of a constant below this is 0 in float64: people write -1e9 for minus infinity
_SENSITIVE = ("delta", "nonneg", "quotient", "index", "position")


class Algebra(TermRules):
    """The operations of the normal form under given facts and assumptions."""

    rules = (solve_mixed_radix, *TermRules.rules, split_merged_index, chain_of_extrema, sum_of_extremum, write_out)

    def multiply(self, left: Poly, right: Poly) -> Poly:
        """left * right."""
        if left is ONE:
            return right
        if right is ONE:
            return left
        if len(left.terms) * len(right.terms) > MAXIMUM_TERMS:
            raise BudgetError(f"a product would have {len(left.terms) * len(right.terms)} terms, more than {MAXIMUM_TERMS}")
        return self.collect(self.times(self.times([(1, {}, ())], left, right.free), right))

    def product(self, *polys: Poly) -> Poly:
        """The product of all."""
        result = ONE
        for poly in polys:
            result = self.multiply(result, poly)
        return result

    def sum_over(self, index: Index, body: Poly) -> Poly:
        """The contraction of `body` over `index`, which is free in it."""
        terms = []
        for mono, coefficient in body.terms:
            factors, bound = self.open_mono(mono)
            terms.append((coefficient, dict(factors), (*bound, index)))
        return self.collect(terms)

    def entry(self, tensor: Tensor, args: tuple[Poly, ...]) -> Poly:
        """An entry of a tensor; here an atom, in `unfold` whatever the tensor stands for."""
        return of_atom(Atom.make("entry", tensor, args))

    def named(self, value: Poly) -> Poly:
        """One atom that stands for a whole polynomial, until `unname` puts it in."""
        (template,), args = abstract((value,))
        data = (template,)
        remember_symmetries(data, (template,))
        return of_atom(Atom.make("named", data, settle_arguments("named", data, args)))

    def unname(self, poly: Poly, atoms: frozenset[Atom]) -> Poly:
        """`poly` with these named atoms replaced by what they stand for, outside functions."""
        terms: list[Term] = []
        for mono, coefficient in poly.terms:
            factors, bound = self.open_mono(mono)
            table = dict(factors)
            opened = [(a, table.pop(a)) for a in list(table) if a in atoms or (a.kind == "named" and a.data in {x.data for x in atoms})]
            part: list[Term] = [(coefficient, table, bound)]
            for atom, exponent in opened:
                part = self.times(part, self.power(self.definition(atom), exponent))
            terms += part
        return self.collect(terms)

    # Substitution.

    def substitute(self, poly: Poly, values: Mapping[Index, Poly]) -> Poly:
        """`poly` with free indices replaced by integer polynomials."""
        if not poly.free & values.keys():
            return poly
        single = as_index(poly)
        if single is not None:
            return values[single]
        taken = frozenset().union(*(v.free for v in values.values()))
        terms = []
        for mono, coefficient in poly.terms:
            factors, bound = self.open_mono(mono, taken)
            terms += [(coefficient * c, f, b) for c, f, b in self.substitute_factors(dict(factors), bound, values)]
        return self.collect(terms)

    def substitute_atom(self, atom: Atom, values: Mapping[Index, Poly]) -> Poly:
        """`atom` with indices replaced; may simplify."""
        relevant = {i: values[i] for i in atom.free & values.keys()}
        return self._substitute_atom(atom, frozenset(relevant.items()))

    @memoised
    def _substitute_atom(self, atom: Atom, items: frozenset[tuple[Index, Poly]]) -> Poly:
        values = dict(items)
        if atom.kind == "index":
            return values[atom.data]
        args = tuple(self.substitute(a, values) for a in atom.args)
        match atom.kind:
            case "entry":
                return of_atom(Atom.make("entry", atom.data, args))
            case "delta":
                return self.delta(args[0])
            case "nonneg":
                return self.nonneg(args[0])
            case "quotient":
                return self.quotient(args[0], args[1])
        if self._renamed_only(atom, args):
            return of_atom(Atom.make(atom.kind, atom.data, settle_arguments(atom.kind, atom.data, args)))
        return self._instantiate(atom, args)

    def _renamed_only(self, atom: Atom, args: tuple[Poly, ...]) -> bool:
        """True if the new arguments are distinct plain indices over the same ranges: the template stays as it is."""
        if len({a.id for a in args}) < len(args):
            return False
        for old, new in zip(atom.args, args, strict=True):
            before, after = as_index(old), as_index(new)
            if before is None or after is None or before.size is not after.size:
                return False
        return True

    def _instantiate(self, atom: Atom, args: tuple[Poly, ...]) -> Poly:
        """Build the atom anew from its templates with these arguments."""

        def fill(template: Poly) -> Poly:
            return self.substitute(template, {i: args[int(i.name[1:])] for i in template.free if i.name[0] == "p"})

        match atom.kind, atom.data:
            case "apply", (function, templates):
                return self.apply(function, tuple(fill(t) for t in templates))
            case "base", (template,):
                return self._base_atom(fill(template), 1)
            case "named", (template,):
                return self.named(fill(template))
            case "positive", (template,):
                return self.positive(fill(template))
            case "zero", (template,):
                return self.zero(fill(template))
            case ("extremum" | "position"), (kind, size, template):
                inner = {i: args[int(i.name[1:])] for i in template.free if i.name[0] == "p"}
                index = spare(size, frozenset().union(*(a.free for a in args)))
                inner |= {i: of_index(index) for i in template.free if i.name == "e"}
                return self.extremum(atom.kind, kind, index, self.substitute(template, inner))
        raise AssertionError(f"no way to rebuild an atom of kind {atom.kind}")

    # Integers.

    @memoised
    def size_of(self, size: Expr) -> Poly:
        """An integer expression of sizes, indices and integer entries, as a polynomial."""
        return self._integer(simplify(size, self.facts))

    def _integer(self, expr: Expr) -> Poly:
        match expr:
            case Number(value):
                return constant(exact(value))
            case Symbol():
                return of_atom(Atom.make("symbol", expr))
            case Index():
                return ZERO if simplify(expr.size, self.facts) is number(1) else of_index(expr)
            case AddNode(terms):
                return add(*(self._integer(t) for t in terms))
            case MultiplyNode(factors):
                return self.product(*(self._integer(f) for f in factors))
            case PowerNode(base, Number(value)):
                return self.power(self._integer(base), exact(value))
            case EntryNode(tensor, indices):
                return self.entry(tensor, tuple(self.size_of(i) for i in indices))
            case QuotientNode(left, right):
                return of_atom(Atom.make("quotient", None, (self._integer(left), self._integer(right))))
            case RemainderNode(left, right):
                quotient = self._integer(QuotientNode(left, right))
                return subtract(self._integer(left), self.multiply(self._integer(right), quotient))
        raise UnsupportedError(f"an index or size of the form {type(expr).__name__} is not supported in a proof")

    def quotient(self, left: Poly, right: Poly) -> Poly:
        """left // right."""
        return self.size_of(QuotientNode(self.size_expression(left), self.size_expression(right)))

    @memoised
    def size_expression(self, poly: Poly) -> Expr:
        """An integer polynomial as an expression, for `sizes`."""
        return simplify(
            add_expr(
                *(
                    multiply_expr(number(c), *(power_expr(self._atom_expression(a), number(e)) for a, e in m.factors))
                    for m, c in poly.terms
                )
            ),
            self.facts,
        )

    def _atom_expression(self, atom: Atom) -> Expr:
        match atom.kind:
            case "symbol" | "index":
                return atom.data  # type: ignore[no-any-return]
            case "entry":
                return EntryNode(atom.data, tuple(self.size_expression(a) for a in atom.args))
            case "quotient":
                return QuotientNode(self.size_expression(atom.args[0]), self.size_expression(atom.args[1]))
        # Any other integer-valued atom (an indicator, a position) is opaque to the arithmetic of sizes.
        return EntryNode(Tensor(f"#{atom.id}", (), "integer"), ())

    # Powers.

    @memoised
    def power(self, base: Poly, exponent: Rational) -> Poly:
        """base ** exponent, for a rational exponent."""
        exponent = exact(exponent)
        if exponent == 0:
            return ONE
        if exponent == 1 or base is ONE:
            return base
        if not base.terms:
            if exponent > 0:
                return ZERO
            raise UnsupportedError("a quotient divides by zero")
        if isinstance(exponent, int) and exponent > 0:
            half = self.power(base, exponent // 2)
            square = self.multiply(half, half)
            return self.multiply(square, base) if exponent % 2 else square
        by_branch = self.branchwise(lambda part: self.power(part, exponent), base)
        if by_branch is not None:
            return by_branch
        common, core = self.factor(base)
        return self._power_of_factors(common, core, exponent)

    def _power_of_factors(self, common: tuple[Rational, Mono], core: Poly, exponent: Rational) -> Poly:
        coefficient, mono = common
        integral = isinstance(exponent, int)
        outside: dict[Atom, Rational] = {}
        inside: dict[Atom, Rational] = {}
        for atom, e in mono.factors:
            (outside if integral or self.known_positive(atom) else inside)[atom] = e
        inner = core
        if coefficient < 0 and not integral:
            inner, coefficient = scale(inner, -1), -coefficient
        if inside:
            inner = self.collect([(1, dict(inside), ())]) if inner is ONE else self.multiply(inner, Poly.make({Mono.make(tuple(inside.items())): 1}))
        result = self.collect([(1, {a: exact(e * exponent) for a, e in outside.items()}, ())])
        result = self.multiply(result, self._number_power(coefficient, exponent))
        return result if inner is ONE else self.multiply(result, self._base_atom(inner, exponent))

    def _number_power(self, value: Rational, exponent: Rational) -> Poly:
        """A rational to a rational power: primes with fractional exponents stay atoms."""
        if isinstance(exponent, int):
            return constant(exact(Fraction(value) ** exponent))
        result: Poly = ONE
        value = Fraction(value)
        for part, sign in ((value.numerator, 1), (value.denominator, -1)):
            for prime, count in sp.factorint(part, limit=LARGEST_FACTOR).items():
                e = exact(Fraction(exponent) * sign * int(count))
                whole = e.numerator // e.denominator if isinstance(e, Fraction) else e
                result = self.multiply(result, constant(exact(Fraction(int(prime)) ** whole)))
                if e != whole:
                    atom = Atom.make("base", (constant(int(prime)),))
                    result = self.multiply(result, of_atom(atom, exact(Fraction(e) - whole)))
        return result

    def _base_atom(self, core: Poly, exponent: Rational) -> Poly:
        """core ** exponent for a core without common factor: one atom, with the sign that does not depend on names."""
        value = as_constant(core)
        if value is not None and value > 0:
            return self._number_power(value, exponent)
        if len(core.terms) == 1 and exponent == 1:
            return core
        (template,), args = abstract((core,))
        sign = 1
        if isinstance(exponent, int) and len(core.terms) > 1:
            positive = sum(1 if c > 0 else -1 for _, c in core.terms)
            (other,), other_args = abstract((scale(core, -1),))
            if positive < 0 or (positive == 0 and other.id < template.id):
                template, args, sign = other, other_args, (-1) ** (exponent % 2)
        data = (template,)
        remember_symmetries(data, (template,))
        atom = Atom.make("base", data, settle_arguments("base", data, args))
        return self.collect([(sign, {atom: exponent}, ())])

    @memoised
    def factor(self, poly: Poly) -> tuple[tuple[Rational, Mono], Poly]:
        """((coefficient, monomial), core) with poly = coefficient * monomial * core; the core has no common factor.

        A core of 1 means that `poly` is a single product. Denominators are cleared on the way, so 1 - 1/(1 + e) is e/(1 + e).
        """
        if len(poly.terms) == 1 and not poly.terms[0][0].bound:
            mono, coefficient = poly.terms[0]
            return (coefficient, mono), ONE
        content = _number_content(poly)
        shared = self._common_factors(poly)
        if not shared:
            return (content, UNIT), scale(poly, exact(1 / Fraction(content)))
        inverse = {a: exact(-e) for a, e in shared.items()}
        core = self.collect(self.times([(1, inverse, ())], scale(poly, exact(1 / Fraction(content)))))
        (c, mono), rest = self.factor(core) if core is not poly else ((1, UNIT), core)
        merged = dict(mono.factors)
        for a, e in shared.items():
            merged[a] = exact(merged.get(a, 0) + e)
        kept = tuple(sorted(((a, e) for a, e in merged.items() if e), key=lambda f: f[0].id))
        return (exact(content * c), Mono.make(kept)), rest

    def _common_factors(self, poly: Poly) -> dict[Atom, Rational]:
        """Atoms to pull out of every term: common factors, denominators, and exponentials up to their highest power."""
        tables = [({a: e for a, e in m.factors if not a.free & set(m.bound)}) for m, _ in poly.terms]
        atoms = {a: None for t in tables for a in t}
        shared: dict[Atom, Rational] = {}
        for atom in atoms:
            if atom.kind in INDICATORS and not all(atom in t for t in tables):
                continue
            exponents = [t.get(atom, 0) for t in tables]
            exponential = atom.kind == "apply" and atom.data[0] is EXP
            pulled = max(exponents) if exponential else min(exponents)
            if pulled and (exponential or pulled < 0 or all(atom in t for t in tables)):
                shared[atom] = pulled
        return shared

    # Functions.

    def apply(self, function: Function, arguments: tuple[Poly, ...]) -> Poly:
        """function(arguments), for a basic or an arbitrary function."""
        (first, *_) = arguments
        if function is EXP:
            return self.exp(first)
        if function is LOG:
            return self.log(first)
        if function is STEP:
            return self.positive(first)
        if function in (ERF, SIN, COS):
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
            if mono is UNIT and coefficient < STANDS_FOR_INFINITY:
                self.used[f"exp({coefficient}) counts as 0, as it is in float64"] = None
                return ZERO
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
            raise UnsupportedError("a logarithm of zero")
        (coefficient, mono), core = self.factor(argument)
        if coefficient <= 0 or not all(self.known_positive(a) for a, _ in mono.factors):
            return self._applied(LOG, (argument,))
        parts = [(1, self._log_of_number(coefficient))]
        parts += [(e, self._log_of_atom(a)) for a, e in mono.factors]
        if core is not ONE:
            parts.append((1, self._applied(LOG, (core,))))
        return combine(parts)

    def _log_of_number(self, value: Rational) -> Poly:
        parts = []
        for part, sign in ((Fraction(value).numerator, 1), (Fraction(value).denominator, -1)):
            parts += [(sign * int(n), self._applied(LOG, (constant(int(p)),))) for p, n in sp.factorint(part, limit=LARGEST_FACTOR).items()]
        return combine(parts)

    def _log_of_atom(self, atom: Atom) -> Poly:
        if atom.kind == "apply" and atom.data[0] is EXP:
            (template,) = atom.data[1]
            return self.substitute(template, self.parameters(atom, template))
        if atom.kind == "base":
            return self.log(self.definition(atom)) if len(atom.data[0].terms) == 1 else self._applied(LOG, (self.definition(atom),))
        return self._applied(LOG, (of_atom(atom),))

    def known_positive(self, atom: Atom) -> bool:
        """True if the atom is > 0 wherever the program is defined."""
        match atom.kind:
            case "symbol":
                return atom.data.kind in ("size", "positive")
            case "apply":
                return atom.data[0] is EXP
            case "entry":
                positive = self.assumptions.get(atom.data) in ("pos", "prob")
                if positive:
                    self.used[f"entries of {atom.data.name} are positive"] = None
                return positive
            case "base":
                return self.sign(atom.data[0]) == 1
        return False

    def sign(self, poly: Poly) -> int | None:
        """1 if `poly` is provably > 0, -1 if < 0, else None; only the signs of its terms are looked at."""
        signs = {1 if c > 0 else -1 for _, c in poly.terms}
        if len(signs) != 1:
            return self._sign_of_complement(poly)
        weak = [self._weakly_positive(m) for m, _ in poly.terms]
        if not all(weak) or not any(w == "strict" for w in weak):
            return None
        return signs.pop()

    def _sign_of_complement(self, poly: Poly) -> int | None:
        """1 - p for a probability p is positive; other sums of mixed signs are not looked into."""
        if len(poly.terms) == 2 and poly.terms[0][0] is UNIT or (len(poly.terms) == 2 and poly.terms[1][0] is UNIT):
            table = dict(poly.terms)
            number = table.pop(UNIT)
            ((mono, c),) = table.items()
            if number == -c and len(mono.factors) == 1 and not mono.bound:
                atom, e = mono.factors[0]
                if e == 1 and atom.kind == "entry" and self.assumptions.get(atom.data) == "prob":
                    self.used[f"entries of {atom.data.name} lie between 0 and 1"] = None
                    return 1 if number > 0 else -1
        return None

    def _weakly_positive(self, mono: Mono) -> str:
        """"strict" if the monomial is > 0, "weak" if >= 0, "" if its sign is not known."""
        # a sum over a range that may be empty is 0 there
        answer = "strict" if all(self._decided(">=", self._size_minus_one(i)) for i in mono.bound) else "weak"
        for atom, exponent in mono.factors:
            if self.known_positive(atom):
                continue
            if exponent == int(exponent) and int(exponent) % 2 == 0 or atom.kind in INDICATORS:
                answer = "weak"
            elif atom.kind == "base" and exponent != int(exponent):
                answer = "weak"  # an even root is not negative
            else:
                return ""
        return answer

    def _size_minus_one(self, index: Index) -> Expr:
        return self.size_expression(subtract(self.size_of(index.size), ONE))

    # Indicators of reals.

    @memoised
    def positive(self, value: Poly) -> Poly:
        """1 where value > 0, else 0. Only the sign of the value is kept; factors that are positive are dropped.

        Of v and -v one is kept, 1 - [v > 0] for the other: right wherever v is not 0. The places where it is are recorded
        in `used`, since there the program has a kink.
        """
        number = as_constant(value)
        if number is not None:
            return ONE if number > 0 else ZERO
        if _is_integer(value):
            return self.nonneg(subtract(value, ONE))
        by_branch = self.branchwise(self.positive, value) if len(value.terms) > 1 else None
        if by_branch is not None:
            return by_branch
        sign = self.sign(value)
        if sign is not None:
            return ONE if sign > 0 else ZERO
        (coefficient, mono), core = self.factor(value)
        signed = core if coefficient > 0 else scale(core, -1)
        gates: Poly = ONE
        for atom, exponent in mono.factors:
            if atom.kind in INDICATORS or self._is_zero_or_one(atom):
                gates = self.multiply(gates, of_atom(atom))
            elif not self.known_positive(atom):
                odd = exact(exponent) == int(exponent) and int(exponent) % 2
                signed = self.multiply(signed, of_atom(atom, 1 if odd else exponent))
        known = self.sign(signed) if signed is not value else None
        if known is not None:
            return gates if known > 0 else ZERO
        return self.multiply(gates, self._positive_atom(signed))

    def _is_zero_or_one(self, atom: Atom) -> bool:
        if atom.kind != "entry" or self.assumptions.get(atom.data) not in ("bern", "onehot"):
            return False
        self.used[f"entries of {atom.data.name} are 0 or 1"] = None
        return True

    def _positive_atom(self, value: Poly) -> Poly:
        (template,), args = abstract((value,))
        (other,), other_args = abstract((scale(value, -1),))
        flipped = other.id < template.id and self.never_flat(value)
        chosen, chosen_args = (other, other_args) if flipped else (template, args)
        data = (chosen,)
        remember_symmetries(data, (chosen,))
        atom = of_atom(Atom.make("positive", data, settle_arguments("positive", data, chosen_args)))
        if flipped:
            self.used["no argument of a branch is exactly at its kink"] = None
            return subtract(ONE, atom)
        return atom

    def zero(self, value: Poly) -> Poly:
        """1 where a real value is 0, else 0: a value that is 0 at isolated points only counts as never 0."""
        number = as_constant(value)
        if number is not None:
            return ZERO if number else ONE
        if _is_integer(value):
            return self.delta(value)
        by_branch = self.branchwise(self.zero, value)
        if by_branch is not None:
            return by_branch
        if self.sign(value) is not None:
            return ZERO
        if self.never_flat(value):
            self.used["no argument of a branch is exactly at its kink"] = None
            return ZERO
        (_, mono), core = self.factor(value)
        if core is not ONE and all(self.known_positive(a) for a, _ in mono.factors):
            value = core
        sides = [abstract((side,)) for side in (value, scale(value, -1))]
        data, args = min(sides, key=lambda side: side[0][0].id)
        remember_symmetries(data, data)
        return of_atom(Atom.make("zero", data, settle_arguments("zero", data, args)))

    def never_flat(self, value: Poly) -> bool:
        """True if the value is 0 on a set of measure 0 only, whatever its indices are and however many of them agree.

        That is shown by one real tensor T: the terms that mention T are products of entries and of positive factors, all
        with coefficients of one sign, and T stands in them as a factor, to powers of one sign. Then nothing among them
        can cancel, even where indices coincide, and for fixed other tensors the value is not constant in T.
        """
        candidates = {a.data: None for m, _ in value.terms for a, _ in m.factors if a.kind == "entry" and self._is_free(a.data)}
        return any(self._varies_with(tensor, value) for tensor in candidates)

    def _is_free(self, tensor: Tensor) -> bool:
        """True if the entries of the tensor range over an open set."""
        return bool(tensor.kind == "real") and self.assumptions.get(tensor) in (None, "pos", "prob")

    def _varies_with(self, tensor: Tensor, value: Poly) -> bool:
        signs = set()
        for mono, coefficient in value.terms:
            if not any(_mentions(a, tensor) for a, _ in mono.factors):
                continue
            power = 0
            for atom, exponent in mono.factors:
                if atom.kind == "entry" and atom.data is tensor:
                    power += 1 if exponent > 0 else -1
                    signs.add((coefficient > 0, exponent > 0))
                elif _mentions(atom, tensor) or not (
                    (atom.kind == "entry" and self._is_free(atom.data)) or self.known_positive(atom)
                ):
                    return False
            if not power or not all(self._decided(">=", self._size_minus_one(i)) for i in mono.bound):
                return False
        return len(signs) == 1

    def extremum(self, sort: str, kind: str, index: Index, body: Poly) -> Poly:
        """The largest or smallest value of `body` over the index, or ("position") where it stands."""
        if index not in body.free and sort == "extremum":
            return body
        named = self.substitute(body, {index: of_index(Index("e", index.size, -4))})
        bound = Index("e", index.size, -4)
        (template,), args = self._abstract_but(named, bound)
        return of_atom(Atom.make(sort, (kind, index.size, template), args))

    def body_at(self, top: Atom, place: Poly) -> Poly:
        """What an extremum is taken of, at one value of its index."""
        _, _, template = top.data
        values = {i: top.args[int(i.name[1:])] for i in template.free if i.name[0] == "p"}
        return self.substitute(template, values | {i: place for i in template.free if i.name == "e"})

    def split(self, value: Poly) -> tuple[Poly, Poly, Poly] | None:
        """(g, a, b) with value = g*a + (1 - g)*b for an indicator g that stands outside its sums, or None.

        A function of such a value is g*f(a) + (1 - g)*f(b).
        """
        for mono, _ in value.terms:
            for atom, _ in mono.factors:
                if atom.kind in INDICATORS and not atom.free & set(mono.bound):
                    on, off = [], []
                    for m, c in value.terms:
                        factors = {a: e for a, e in m.factors if a is not atom}
                        on.append((c, factors, m.bound))
                        if len(factors) == len(m.factors):
                            off.append((c, factors, m.bound))
                    return of_atom(atom), self.collect(on), self.collect(off)
        return None

    def branchwise(self, function: Callable[[Poly], Poly], value: Poly) -> Poly | None:
        """function(value) by branches, if the value has any."""
        parts = self.split(value)
        if parts is None:
            return None
        gate, on, off = parts
        a, b = function(on), function(off)
        return add(self.multiply(gate, subtract(a, b)), b)

    def _abstract_but(self, body: Poly, bound: Index) -> tuple[tuple[Poly, ...], tuple[Poly, ...]]:
        templates, args = abstract((body,), first=(bound,))
        # parameter 0 is the bound one: call it e again, and shift the others down
        names: dict[Index, Poly] = {}
        for i in templates[0].free:
            if i.name[0] == "p":
                k = int(i.name[1:])
                names[i] = of_index(bound if k == 0 else Index(f"p{k - 1}", i.size, i.uid))
        return (self.substitute(templates[0], names),), args


def _is_integer(poly: Poly) -> bool:
    """True for a polynomial of sizes, indices and labels with whole coefficients."""
    return all(isinstance(c, int) and not m.bound and all(_is_integer_power(a, e) for a, e in m.factors) for m, c in poly.terms)


def _is_integer_power(atom: Atom, exponent: Rational) -> bool:
    if not isinstance(exponent, int) or exponent < 0:
        return False
    match atom.kind:
        case "symbol":
            return bool(atom.data.kind == "size")
        case "entry":
            return bool(atom.data.kind == "integer")
    return atom.kind in ("index", "quotient")


def _mentions(atom: Atom, tensor: Tensor) -> bool:
    """True if an entry of the tensor stands anywhere in the atom."""
    if atom.kind == "entry" and atom.data is tensor:
        return True
    inside = (*atom.args, *_templates(atom))
    return any(_mentions(a, tensor) for p in inside for m, _ in p.terms for a, _ in m.factors)


def _number_content(poly: Poly) -> Rational:
    numerator, denominator = 0, 1
    for _, c in poly.terms:
        f = Fraction(c)
        numerator, denominator = gcd(numerator, f.numerator), lcm(denominator, f.denominator)
    return exact(Fraction(numerator, denominator))


def _templates(atom: Atom) -> tuple[Poly, ...]:
    data: Any = atom.data
    match atom.kind:
        case "apply":
            return data[1]  # type: ignore[no-any-return]
        case "base" | "positive" | "zero" | "named":
            return data  # type: ignore[no-any-return]
        case "extremum" | "position":
            return (data[2],)
    return ()
