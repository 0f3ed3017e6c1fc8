"""Rules for a largest or smallest value, away from ties: it is attained once.

[x_j = max_k x_k] marks the one place where the maximum stands: summed over j it is 1. These rules hold wherever no two
entries tie, which is recorded as a condition, since at a tie the forward pass has a kink.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

from symbackprop.expression.build import Expr, Index, Number, Quotient, Remainder, multiply
from symbackprop.expression.sizes import simplify
from symbackprop.normal_form.data import ONE, Atom, Factors, Poly, as_index, constant, of_atom, of_index, subtract
from symbackprop.normal_form.indicators import AT_KINK
from symbackprop.normal_form.rewriter import TermRules, Terms

MAXIMUM_WINDOW = 16
NO_TIES = "the largest (or smallest) value is attained once: no ties"


def sum_of_extremum(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """Sum over j of [x_j = max_k x_k] is 1, if j occurs nowhere else."""
    for atom in factors:
        found = _attained(rules, atom, bound)
        if found is None:
            continue
        _, indices = found
        others = [a for a in factors if a is not atom and a.free & set(indices)]
        if not others and len(set(indices)) == len(indices):
            rules.used[NO_TIES] = None
            rest = {a: e for a, e in factors.items() if a is not atom}
            return [(1, rest, tuple(i for i in bound if i not in indices))]
    return None


def by_position(rules: TermRules, poly: Poly) -> Poly:
    """`poly` with [x_j = max_k x_k] written as [j = argmax_k x_k], for indices j and parts of merged ones, and with
    max_k x_k as x at that place."""
    terms: Terms = []
    for mono, coefficient in poly.terms:
        factors, bound = rules.open_mono(mono)
        part: Terms = [(coefficient, dict(factors), bound)]
        for atom, exponent in dict(factors).items():
            found = _standing(rules, atom, bound)
            if found is not None:
                rules.used[NO_TIES] = None
            if found is not None or atom.kind == "extremum":
                part = [(c, {a: e for a, e in f.items() if a is not atom}, b) for c, f, b in part]
            if atom.kind == "extremum":
                part = rules.times(part, rules.power(_at_its_place(rules, atom), exponent))
            for here, place in found or ():
                part = rules.times(part, rules.delta(subtract(here, place)))
            branch = _standing_on_a_branch(rules, atom) if found is None else None
            if branch is not None:
                rules.used[NO_TIES] = None
                part = [(c, {a: e for a, e in f.items() if a is not atom}, b) for c, f, b in part]
                part = rules.times(part, branch)
        terms += part
    return rules.collect(terms)


def _standing(rules: TermRules, atom: Atom, bound: tuple[Index, ...]) -> list[tuple[Poly, Poly]] | None:
    """The indices at which the atom says that an extremum stands, each with where it stands."""
    indices = (*bound, *sorted(atom.free - set(bound), key=lambda i: (i.name, i.uid)))
    for top, value in _sides(rules, atom) if atom.kind == "zero" else ():
        own = _place(rules, top, value, indices)
        if own is not None and len(own) > 1:
            return list(zip(map(of_index, own), _along_all(rules, top.data[0], own, value), strict=True))
        here = [of_index(own[0])] if own is not None else _places_of_value(rules, top, value)
        if here is not None and len(here) == 1:
            return [(here[0], of_atom(Atom.make("position", top.data, top.args)))]
        everywhere = _positions(rules, top)[1] if here is not None else []
        if here is not None and len(here) == len(everywhere):
            return list(zip(here, everywhere, strict=True))
    return None


def _standing_on_a_branch(rules: TermRules, atom: Atom) -> Poly | None:
    """[v = max_k w_k] for v that is w_i on one side of a threshold and less on the other: [i = argmax_k w_k] there.

    So x_i = max_k |x_k| says that the maximum stands at i and that x_i is not negative. Of an extremum over several
    axes i and k are several indices.
    """
    for top, value in _sides(rules, atom) if atom.kind == "zero" else ():
        branch = _on_a_branch(rules, top, value)
        if branch is not None:
            here, stands = branch
            for index, place in zip(here, _positions(rules, top)[1], strict=True):
                stands = rules.multiply(stands, rules.delta(subtract(index, place)))
            return stands
    return None


def _on_a_branch(rules: TermRules, top: Atom, value: Poly) -> tuple[list[Poly], Poly] | None:
    """(i, where) if v is w_i where that holds and less elsewhere, of max_k w_k; of a minimum more.

    In terms of the difference, v - w_i is c * u * [u > 0] with a number c < 0 (for a minimum c > 0): where u > 0, v is
    none of the w_k, nor more.
    """
    side = -1 if top.data[0] == "max" else 1
    (body, own), _ = _positions(rules, top)
    free = sorted(value.free - top.free, key=lambda i: (i.name, i.uid))
    for chosen in itertools.permutations(free, len(own)):
        if any(i.size is not axis.size for i, axis in zip(chosen, own, strict=True)):
            continue
        here = [of_index(i) for i in chosen]
        gap = subtract(value, rules.substitute(body, dict(zip(own, here, strict=True))))
        for threshold in {a: None for m, _ in gap.terms for a, _ in m.factors if a.kind == "positive"}:
            above, u = rules.single(threshold), rules.definition(threshold)
            below = subtract(ONE, above)
            if _is_multiple(gap, rules.multiply(u, above), side):
                return here, below
            if _is_multiple(gap, rules.multiply(u, below), -side):
                rules.used[AT_KINK] = None
                return here, above
    return None


def _is_multiple(poly: Poly, other: Poly, sign: int) -> bool:
    """True if one is the other times a number of this sign."""
    table = dict(other.terms)
    if table.keys() != {m for m, _ in poly.terms}:
        return False
    ratios = {Fraction(c) / Fraction(table[m]) for m, c in poly.terms}
    return len(ratios) == 1 and (ratios.pop() > 0) == (sign > 0)


def _at_its_place(rules: TermRules, top: Atom) -> Poly:
    """What an extremum is, as the value at the place where it stands."""
    value, places = _positions(rules, top)
    return rules.substitute(value[0], dict(zip(value[1], places, strict=True)))


def _positions(rules: TermRules, top: Atom) -> tuple[tuple[Poly, list[Index]], list[Poly]]:
    """((what an extremum of extrema is taken of, its indices), where each of them stands)."""
    value, indices = of_atom(top), list[Index]()
    while (inner := _as_extremum(value)) is not None and inner.data[0] == top.data[0]:
        indices.append(Index(f"e{len(indices)}", inner.data[1]))  # of square windows, too, they are two
        value = rules.body_at(inner, of_index(indices[-1]))
    if len(indices) == 1:
        return (value, indices), [of_atom(Atom.make("position", top.data, top.args))]
    return (value, indices), _along_all(rules, top.data[0], tuple(indices), value)


def _along_all(rules: TermRules, kind: str, indices: tuple[Index, ...], value: Poly) -> list[Poly]:
    """For each of some indices where it stands in the extremum over all of them, as digits of one long index.

    They are merged in the order of the axes of the first tensor that has them, as argmax does.
    """
    places = [a.args for m, _ in value.terms for a, _ in m.factors if a.kind == "entry"]
    axes = [as_index(p) for p in next((args for args in places if set(map(as_index, args)) >= set(indices)), ())]
    order = sorted(indices, key=lambda i: axes.index(i) if i in axes else indices.index(i))
    unit: Expr = Number(Fraction(1))
    total = simplify(multiply(*(i.size for i in order)), rules.facts)
    long, digits = Index("e", total), dict[Index, Poly]()
    for index in reversed(order):
        digit = long if isinstance(unit, Number) and unit.value == 1 else Quotient(long, unit)
        digits[index] = rules.size_of(digit if index is order[0] else Remainder(digit, index.size))
        unit = simplify(multiply(index.size, unit), rules.facts)
    place = rules.extremum("position", kind, long, rules.substitute(value, digits))
    return [rules.substitute(digits[i], {long: place}) for i in indices]


def chain_of_extrema(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """[x_jk = max_k x_jk] [max_k x_jk = max_jk x] is [x_jk = max_jk x]: a maximum taken in two steps.

    Each maximum must be taken over what stands below it, or what is no more than that, as x is no more than |x|: of
    another row, [x_ik = max_jk x] says less.
    """
    zeros = [a for a in factors if a.kind == "zero"]
    for first in zeros:
        for top, rest in _sides(rules, first):
            for second in zeros:
                if second is first:
                    continue
                for upper, lower in _sides(rules, second):
                    chained = lower is of_atom(top) and upper.data[0] == top.data[0]
                    if chained and _is_value_of(rules, upper, lower) and _is_within(rules, top, rest):
                        kept = {a: e for a, e in factors.items() if a is not first and a is not second}
                        return rules.times([(1, kept, bound)], rules.zero(subtract(rest, of_atom(upper))))
    return None


def _attained(rules: TermRules, atom: Atom, bound: tuple[Index, ...]) -> tuple[Atom, tuple[Index, ...]] | None:
    """(extremum, indices) if the atom says that the extremum stands at these bound indices."""
    if atom.kind != "zero":
        return None
    for top, rest in _sides(rules, atom):
        indices = _place(rules, top, rest, bound)
        if indices is not None:
            return top, indices
    return None


def _sides(rules: TermRules, atom: Atom) -> list[tuple[Atom, Poly]]:
    """For [p = 0] with p = +-(rest - extremum): the extremum and the rest, in every way."""
    gap = rules.definition(atom)
    found = []
    for mono, c in gap.terms:
        if not mono.bound and len(mono.factors) == 1 and mono.factors[0][1] == 1 and c in (1, -1):
            top = mono.factors[0][0]
            if top.kind == "extremum":
                scaled = Poly.make({m: -k * c for m, k in gap.terms})
                found.append((top, subtract(scaled, Poly.make({mono: -1}))))
    return found


def _place(rules: TermRules, top: Atom, value: Poly, bound: tuple[Index, ...]) -> tuple[Index, ...] | None:
    """Bound indices at which the body of the extremum is `value`; several for an extremum of extrema."""
    size = top.data[1]
    for index in bound:
        if index.size is not size or index in top.free:
            continue
        body = rules.body_at(top, of_index(index))
        if body is value:
            return (index,)
        inner = _as_extremum(body)
        if inner is not None and inner.data[0] == top.data[0]:
            deeper = _place(rules, inner, value, tuple(i for i in bound if i is not index))
            if deeper is not None:
                return (index, *deeper)
    return None


def _is_value_of(rules: TermRules, top: Atom, value: Poly) -> bool:
    """True if `value` is the body of the extremum at some place in its range: the extremum is as extreme or more."""
    found = _places_of_value(rules, top, value)
    return found is not None and len(found) == 1


def _is_within(rules: TermRules, top: Atom, value: Poly) -> bool:
    """True if the extremum is as extreme as `value` or more: it is the body at some place, or one branch of that."""
    return _is_value_of(rules, top, value) or _on_a_branch(rules, top, value) is not None


def _places_of_value(rules: TermRules, top: Atom, value: Poly) -> list[Poly] | None:
    """A place in the range of the extremum at which its body is `value`; of an extremum of extrema one for each."""
    size = top.data[1]
    for place in _places(rules, value, size):
        if rules.in_range(place, size) is not ONE:
            continue
        body = rules.body_at(top, place)
        if body is value:
            return [place]
        inner = _as_extremum(body)
        deeper = inner and inner.data[0] == top.data[0] and _places_of_value(rules, inner, value)
        if deeper:
            return [place, *deeper]
    return None


def _places(rules: TermRules, value: Poly, size: Expr) -> list[Poly]:
    """Where an extremum over `size` may take `value`: at one of its indices, a part of a merged one, or a number."""
    found = [of_index(i) for i in value.free if i.size is size]
    if isinstance(size, Number) and size.value <= MAXIMUM_WINDOW:
        found += [constant(k) for k in range(int(size.value))]
    for index in value.free:
        if index.size is not size:
            found.append(rules.size_of(Remainder(index, size)))
            found.append(rules.size_of(Quotient(index, simplify(Quotient(index.size, size), rules.facts))))
    return found


def _as_extremum(poly: Poly) -> Atom | None:
    if len(poly.terms) == 1:
        mono, c = poly.terms[0]
        if (
            c == 1
            and not mono.bound
            and len(mono.factors) == 1
            and mono.factors[0][1] == 1
            and mono.factors[0][0].kind == "extremum"
        ):
            return mono.factors[0][0]
    return None
