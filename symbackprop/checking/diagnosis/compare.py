"""Faults that show when a claimed gradient A is put beside the derived one B: a factor (B = r*A), a term (B = A + t), a
transposition, another input's gradient, a path through the forward pass, a branch.

Each is said only where normal forms agree.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from symbackprop.calculus.derivation import Gradient
from symbackprop.errors import BudgetError, UnsupportedError
from symbackprop.expression.build import Add, Entry, Expr, Index, Tensor, tensors_in
from symbackprop.expression.program import Equation
from symbackprop.expression.recurrence import recurrent
from symbackprop.frontends.numpy.traced import Traced
from symbackprop.normal_form.data import ONE, Mono, Poly, Rational, combine, constant, exact, scale, subtract
from symbackprop.normal_form.modulo_equations import Resolver
from symbackprop.normal_form.rewriter import INDICATORS
from symbackprop.normal_form.to_expression import expression
from symbackprop.rendering.text import to_text

MAXIMUM_TEXT = 160  # longer formulas cure nothing
MAXIMUM_TERMS = 3
MAXIMUM_RATIOS = 40
MAXIMUM_PAIRED = 40  # terms on each side that are put beside each other
MAXIMUM_FACTORS = 3  # that are missing in different terms
MAXIMUM_FORGOTTEN = 3  # of which one missing factor is a product


@dataclass(frozen=True)
class Diagnosis:
    """A fault and its cure.

    Args:
        words: what is wrong.
        text: the gradient as it would be right, "" if no short cure was proved.
        lines: equations of the backward pass as they would be right, if the cure changes some.
        alone: whether the words say what to write, in whatever names the cure is.
        others: what else is wrong, where one fault is not all: each was found with those before it mended.
        at: what the line computes that the words name, where no line is changed.
    """

    words: str
    text: str = ""
    lines: tuple[Equation, ...] = ()
    alone: bool = False
    others: tuple[Diagnosis, ...] = ()
    at: tuple[Tensor, ...] = ()

    @property
    def faults(self) -> tuple[Diagnosis, ...]:
        """Each fault by itself, with the lines that it changes."""
        later = {e.tensor for fault in self.others for e in fault.lines}
        own = tuple(e for e in self.lines if e.tensor not in later)
        return (replace(self, lines=own, others=()), *self.others)


def compared(comparison: Comparison, wrong: Sequence[str]) -> Iterator[Diagnosis]:
    """What the comparison of each wrong gradient with the right one shows, with a cure if there is one."""
    for look in (
        comparison.factor,
        comparison.transposed,
        comparison.other_gradient,
        comparison.path,
        comparison.factors_of_terms,
        comparison.term,
        comparison.branch,
    ):
        for name in wrong:
            try:
                comparison.resolver.check_budget()
                cause = look(name)
            except BudgetError:
                return
            except UnsupportedError:
                continue
            if cause is not None:
                yield cause


class Comparison:
    """One refuted backward pass."""

    def __init__(
        self,
        resolver: Resolver,
        traced: Traced,
        gradient: Gradient,
        derived: Mapping[str, Tensor],
    ) -> None:
        self.resolver, self.traced, self.gradient, self.derived = resolver, traced, gradient, derived
        self.inputs = {t.name: t for t in traced.forward.inputs}
        self._steps = set(recurrent(resolver.equations.values()))  # what they are made of, no normal form tells

    def sides(self, name: str) -> tuple[Poly, Poly, dict[Index, Expr]]:
        """Claimed and derived gradient over parameters, and what these are called."""
        claimed, right = self.traced.gradients[name], self.derived[name]
        known = claimed if claimed in self.resolver.equations else right
        if known not in self.resolver.equations:
            return constant(0), constant(0), {}
        places = self.resolver.places(known)
        values = tuple(self.resolver.size_of(p) for p in places)
        called: dict[Index, Expr] = dict(zip(places, self.resolver.equations[known].indices, strict=True))
        return self.resolver.entry(claimed, values), self.resolver.entry(right, values), called

    def _has_steps(self, poly: Poly) -> bool:
        return any(a.kind == "entry" and a.data in self._steps for m, _ in poly.terms for a, _ in m.factors)

    def same(self, left: Poly, right: Poly) -> bool:
        """True if the two are equal."""
        return self.resolver.vanishes(self.resolver.difference(left, right))

    def text(self, poly: Poly, called: Mapping[Index, Expr]) -> str:
        """The polynomial for the reader, "" if it is too long."""
        words = to_text(expression(self.resolver, poly, called))
        return words if len(words) <= MAXIMUM_TEXT else ""

    def factor(self, name: str) -> Diagnosis | None:
        """B = r * A."""
        a, b, called = self.sides(name)
        if not b.terms:
            return Diagnosis(f"{name}: its gradient is zero", f"d{name} = 0")
        if not a.terms:
            return Diagnosis(f"{name}: the gradient is missing (zero is returned)")
        for ratio in _ratios(a, b):
            if self.same(self.resolver.multiply(ratio, a), b):
                return self._factor_words(name, ratio, called)
        return None

    def _factor_words(self, name: str, ratio: Poly, called: Mapping[Index, Expr]) -> Diagnosis | None:
        for mono, _ in ratio.terms:
            over, under = ({a.data for a, e in mono.factors if a.kind == "entry" and e * s > 0} for s in (1, -1))
            if over & under or not self._steps.isdisjoint(over | under):
                return None  # one entry of a tensor over another: not a factor that anybody forgot
        words, inverse = self.text(ratio, called), self.text(self.resolver.power(ratio, -1), called)
        if words == "-1":
            return Diagnosis(f"{name}: wrong sign", f"d{name} = -(d{name} as claimed)")
        if words and (not inverse or len(words) <= len(inverse)):
            return Diagnosis(f"{name}: missing factor {words}", f"d{name} = (d{name} as claimed) * {_bracketed(words)}")
        if inverse:
            return Diagnosis(
                f"{name}: factor {inverse} too many", f"d{name} = (d{name} as claimed) / {_bracketed(inverse)}"
            )
        return Diagnosis(f"{name}: a factor is wrong")

    def transposed(self, name: str) -> Diagnosis | None:
        """B[i,j] = A[j,i]."""
        a, b, called = self.sides(name)
        places = list(called)
        for k, first in enumerate(places):
            for second in places[k + 1 :]:
                if first.size is second.size:
                    swap = {first: self.resolver.size_of(second), second: self.resolver.size_of(first)}
                    if self.same(self.resolver.substitute(a, swap), b):
                        return Diagnosis(f"{name}: two axes are swapped", f"d{name} = (d{name} as claimed) transposed")
        return None

    def independent_entries(self, name: str) -> Diagnosis | None:
        """A = 2*B - [i = j]*B: the derivative by the entries on one side of the diagonal of a symmetric matrix."""
        a, b, called = self.sides(name)
        if not b.terms:
            return None
        first, second = (self.resolver.size_of(p) for p in list(called)[-2:])
        same = self.resolver.delta(subtract(first, second))
        twice = combine([(2, b), (-1, self.resolver.multiply(same, b))])
        if not self.same(a, twice):
            return None
        words = f"{name}: this is the derivative by the independent entries of a symmetric matrix, 2*G - diag(G)"
        return Diagnosis(words, f"d{name} = (d{name} as claimed)/2, and its diagonal as claimed")

    def other_gradient(self, name: str) -> Diagnosis | None:
        """A is the gradient of another input."""
        claimed = self.traced.gradients[name]
        for other, tensor in self.inputs.items():
            bar = self.gradient.cotangents.get(tensor)
            if (
                other != name
                and bar is not None
                and tensor.shape == claimed.shape
                and self.resolver.meets(claimed, bar)
            ):
                return Diagnosis(
                    f"{name}: this is the gradient of {other}", f"d{name} is not d{other}: they are interchanged"
                )
        return None

    def factors_of_terms(self, name: str) -> Diagnosis | None:
        """A = a1 + a2 + ... and B = r1*a1 + r2*a2 + ..., each factor r for as many terms as can be."""
        a, b, called = self.sides(name)
        if not 2 <= len(a.terms) == len(b.terms) <= MAXIMUM_PAIRED:
            return None
        factors = _paired(dict(a.terms), dict(b.terms))
        told = [self.text(f, called) for f in factors if f is not ONE]
        if not told or not all(told):
            return None
        if len(factors) == 1:
            return None
        where = "each in one of its terms" if len(told) > 1 else "in one of its terms"
        return Diagnosis(f"{name}: a factor is missing: {' and '.join(told)}, {where}")

    def path(self, name: str) -> Diagnosis | None:
        """B is A and the contribution of one more path through the program."""
        tensor = self.inputs.get(name)  # the name of a formula is no input's
        derivation = None if tensor is None else self.gradient.derivations.get(tensor)
        if derivation is None or not isinstance(derivation.right, Add):
            return None
        a, b, called = self.sides(name)
        missing = self.resolver.difference(b, a)
        left = derivation.left
        assert isinstance(left, Entry)
        own: dict[Index, Poly] = {
            i: self.resolver.size_of(p) for i, p in zip(left.indices, called, strict=False) if isinstance(i, Index)
        }
        for term in derivation.right.terms:
            part = self.resolver.substitute(self.resolver.normal(term), own)
            if self.same(part, missing):
                return self._path_words(name, term)
        return None

    def _path_words(self, name: str, term: Expr) -> Diagnosis:
        """The path by the user's line that it goes through."""
        sources = {bar: t for t, bar in self.gradient.cotangents.items()}
        lines = self.gradient.program.by_tensor
        through = [lines[sources[t]] for t in tensors_in(term) if t in sources and sources[t] in lines]
        if not through:
            words = to_text(term)
            return Diagnosis(
                f"{name}: a path through the forward pass is missing", f"d{name} = (d{name} as claimed) + {words}"
            )
        places = ", ".join(dict.fromkeys(e.note or e.tensor.name for e in through))
        called = ", ".join(dict.fromkeys(self.traced.variables.get(e.tensor, e.tensor.name) for e in through))
        text = f"d{name} = (d{name} as claimed) + what {called} ({places}) sends back to {name}"
        return Diagnosis(f"{name}: the path through {called} ({places} of the forward pass) is missing", text)

    def term(self, name: str) -> Diagnosis | None:
        """B = A + t for a short t."""
        a, b, called = self.sides(name)
        gap = self.resolver.difference(b, a)
        if not gap.terms or len(gap.terms) > MAXIMUM_TERMS or self._has_steps(gap):
            return None
        words, opposite = self.text(gap, called), self.text(scale(gap, -1), called)
        known = {m for m, _ in b.terms}
        if words and all(m in known for m, _ in gap.terms):
            return Diagnosis(f"{name}: missing term {words}", f"d{name} = (d{name} as claimed) + {_bracketed(words)}")
        if opposite:
            return Diagnosis(
                f"{name}: spurious term {opposite}", f"d{name} = (d{name} as claimed) - {_bracketed(opposite)}"
            )
        return None

    def branch(self, name: str) -> Diagnosis | None:
        """A and B differ in one branch only."""
        a, b, called = self.sides(name)
        gap = self.resolver.difference(b, a)
        for mono, _ in gap.terms:
            for atom, _ in mono.factors:
                if atom.kind not in INDICATORS or atom.free & set(mono.bound):
                    continue
                for value, holds in ((1, "not "), (0, "")):
                    rest = [
                        (c, {x: e for x, e in m.factors if x is not atom}, m.bound)
                        for m, c in gap.terms
                        if value or atom not in dict(m.factors)
                    ]
                    if not self.resolver.collect(rest).terms:
                        condition = self.text(Poly.make({Mono.make(((atom, 1),)): 1}), called)
                        return (
                            Diagnosis(f"{name}: wrong only where {holds}{_condition(condition)}") if condition else None
                        )
        return None


def _ratios(a: Poly, b: Poly) -> Iterator[Poly]:
    """Candidates for r in b = r*a: quotients of single terms in which the bound indices cancel."""
    first, c = min(a.terms, key=lambda t: (len(t[0].bound), len(t[0].factors), t[0].id))
    seen: set[Poly] = set()
    for mono, d in b.terms[:MAXIMUM_RATIOS]:
        if mono.bound != first.bound:
            continue
        table: dict[object, Rational] = {atom: e for atom, e in mono.factors}
        for atom, e in first.factors:
            table[atom] = exact(table.get(atom, 0) - e)
        rest = tuple(sorted(((x, e) for x, e in table.items() if e), key=lambda f: f[0].id))  # type: ignore[attr-defined]
        if any(x.free & set(mono.bound) for x, _ in rest):  # type: ignore[attr-defined]
            continue
        ratio = Poly.make({Mono.make(rest): exact(Fraction(d) / Fraction(c))})  # type: ignore[arg-type]
        if ratio not in seen:
            seen.add(ratio)
            yield ratio


def _paired(left: dict[Mono, Rational], right: dict[Mono, Rational]) -> list[Poly]:
    """Factors that take all terms on the left to those on the right, the commonest first; [] if there are not few."""
    found: list[Poly] = []
    while left:
        ways: dict[Poly, list[tuple[Mono, Mono]]] = {}
        for (m, c), (n, d) in itertools.product(left.items(), right.items()):
            ratio = _quotient(m, c, n, d)
            if ratio is not None and not any(m is a or n is b for a, b in ways.get(ratio, [])):
                ways.setdefault(ratio, []).append((m, n))
        if not ways or len(found) == MAXIMUM_FACTORS:
            return []
        best = max(ways, key=lambda r: (len(ways[r]), -_size(r)))
        found.append(best)
        for m, n in ways[best]:
            del left[m], right[n]
    return found


def _size(ratio: Poly) -> int:
    return sum(len(m.factors) for m, _ in ratio.terms)


def _quotient(m: Mono, c: Rational, n: Mono, d: Rational) -> Poly | None:
    """d*n / (c*m) as one term of few factors that somebody may have forgotten, None where it is none."""
    if m.bound and m.bound != n.bound:
        return None
    over, under = dict(n.factors), dict(m.factors)
    factors = {a: exact(over.get(a, 0) - under.get(a, 0)) for a in over | under}
    rest = tuple(sorted(((a, e) for a, e in factors.items() if e), key=lambda f: f[0].id))
    if len(rest) > MAXIMUM_FORGOTTEN or any(e < 0 and a.kind == "entry" for a, e in rest):
        return None
    held = frozenset().union(*(a.free for a, _ in rest))
    if m.bound:
        return None if held & set(m.bound) else Poly.make({Mono.make(rest): exact(Fraction(d) / Fraction(c))})
    inside = frozenset().union(*(a.free for a in under)) & set(n.bound)
    if inside or not set(n.bound) <= held:
        return None
    return Poly.make({Mono.make(rest, n.bound): exact(Fraction(d) / Fraction(c))})


def _bracketed(text: str) -> str:
    return text if re.fullmatch(r"[\w.\[\],/]+", text) and "/" not in text else f"({text})"


def _condition(text: str) -> str:
    """The condition inside where(condition, 1, 0)."""
    match = re.fullmatch(r"where\((.*), 1, 0\)", text)
    return match[1] if match else f"{text} is 1"
