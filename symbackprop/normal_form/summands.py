"""What stands under the sums of a polynomial: it is 0 if its summands are.

Denominators are cleared outside of sums alone. Where an index that is summed over stands in one, the terms are compared
under one sum: sum_n u[n]*f(n) = 0 because f(n) = 0. Which of the bound indices of two terms is the same is told by an
entry that all of them hold once (an upstream gradient), or by the length of its range.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator

from symbackprop.expression.build import Index, Tensor
from symbackprop.normal_form.bound_names import rename_atom
from symbackprop.normal_form.data import Mono, Poly, Rational, Term, as_index
from symbackprop.normal_form.rewriter import TermRules

OPENED = -6  # uid of indices that were summed over
Place = tuple[Hashable, tuple[Index, ...]]  # what terms of one group share, and their indices in its order


def under_sums(rules: TermRules, poly: Poly) -> Iterator[list[Poly]]:
    """Lists of polynomials: where all of one list are 0, so is `poly`. Nothing if no sum holds a denominator."""
    if not any(_divided(m) for m, _ in poly.terms):
        return
    outside = Poly.make({m: c for m, c in poly.terms if not m.bound})
    terms = [(m, c) for m, c in poly.terms if m.bound]
    for places in (*_by_entry([m for m, _ in terms]), _by_length([m for m, _ in terms])):
        if places is not None:
            yield [outside, *_groups(rules, terms, places)]


def _divided(mono: Mono) -> bool:
    return any(a.kind == "base" and e < 0 and not a.free.isdisjoint(mono.bound) for a, e in mono.factors)


def _by_entry(monos: list[Mono]) -> Iterator[list[Place] | None]:
    """For each tensor of which every term holds one entry: the indices that are summed over where it has them."""
    held = [_linear(m) for m in monos]
    for tensor in dict.fromkeys(t for table in held for t in table):
        if all(tensor in table for table in held):
            yield [table[tensor] for table in held]


def _linear(mono: Mono) -> dict[Tensor, Place]:
    """The tensors of which a term holds one entry, as a factor, with a bound index among its own."""
    entries = [(a, e) for a, e in mono.factors if a.kind == "entry"]
    found: dict[Tensor, Place] = {}
    for atom, exponent in entries:
        places = [as_index(arg) for arg in atom.args]
        own = tuple(i for i in places if i is not None and i in mono.bound)
        once = exponent == 1 and sum(a.data is atom.data for a, _ in entries) == 1
        if own and once and len(set(own)) == len(own):
            shape = tuple(None if i in own else arg.id for i, arg in zip(places, atom.args, strict=True))
            if all(i in own or arg.free.isdisjoint(mono.bound) for i, arg in zip(places, atom.args, strict=True)):
                found[atom.data] = (shape, own)
    return found


def _by_length(monos: list[Mono]) -> list[Place] | None:
    """The indices over ranges of different lengths; None if a term sums twice over one."""
    if any(len({i.size for i in m.bound}) < len(m.bound) for m in monos):
        return None
    ordered = [tuple(sorted(m.bound, key=lambda i: repr(i.size))) for m in monos]
    return [(tuple(i.size for i in own), own) for own in ordered]


def _groups(rules: TermRules, terms: list[tuple[Mono, Rational]], places: list[Place]) -> list[Poly]:
    """The sum of the terms of each group, their indices free."""
    taken = frozenset().union(*(m.free for m, _ in terms))
    groups: dict[Hashable, list[Term]] = {}
    for (mono, coefficient), (shape, own) in zip(terms, places, strict=True):
        sizes = tuple(i.size for i in own)
        names = [next(i for k in itertools.count() if (i := Index(f"s{k}_{n}", size, OPENED)) not in taken)
                 for n, size in enumerate(sizes)]  # fmt: skip
        factors, bound = rules.open_mono(mono, taken | frozenset(names))
        # the bound indices have kept their order
        moved = {bound[mono.bound.index(i)]: name for i, name in zip(own, names, strict=True)}
        table = {rename_atom(a, moved): e for a, e in factors}
        left = tuple(i for i in bound if i not in moved)
        groups.setdefault((shape, sizes), []).append((coefficient, table, left))
    return [rules.collect(group) for group in groups.values()]
