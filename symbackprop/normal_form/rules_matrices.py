"""What is known of inverses, determinants and Cholesky factors of matrices of any size.

An entry of inv(A) is an atom that holds A's entry as a template over its row and column, with what makes it an inverse:

    sum(j, inv(A)[i,j] * A[j,k]) = [i = k] = sum(j, A[i,j] * inv(A)[j,k])

read as a rule about the leading term of A = c*lead + rest: sum(j, inv(A)[i,j] * lead[j,k]) is ([i = k] - sum(j,
inv(A)[i,j] * rest[j,k])) / c. The leading term has the highest degree of those with both the row and the column, so it
divides none of the others and the rule comes to an end. A Cholesky factor L of A is lower triangular, and so is its
inverse, and

    sum(k, L[i,k] * L[j,k]) = A[i,j],    sum(k, inv(L)[k,i] * inv(L)[k,j]) = inv(A)[i,j],
    sum(k, inv(A)[i,k] * L[k,j]) = inv(L)[j,i],    sum(i, log(L[i,i])) = log|det(A)| / 2.

A gate [i >= j] that keeps half of a sum which is the same when i and j change places is half of the sum.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

from symbackprop.expression.build import Index
from symbackprop.expression.functions import LOG
from symbackprop.normal_form.bound_names import canonical_mono, rename_atom
from symbackprop.normal_form.data import (
    ONE,
    Atom,
    Factors,
    Mono,
    Poly,
    Rational,
    as_atom,
    as_constant,
    as_index,
    combine,
    exact,
    magnitude,
    of_index,
    scale,
    subtract,
)
from symbackprop.normal_form.rewriter import TermRules, Terms

Bound = tuple[Index, ...]
Lead = tuple[Mono, Rational, Poly]
INVERTIBLE = "a matrix that is inverted has an inverse"
FACTORED = "a matrix that has a Cholesky factor is symmetric and positive definite"


def contract_inverse(rules: TermRules, factors: Factors, bound: Bound) -> Terms | None:
    """sum(j, inv(A)[i,j] * A[j,k]) = [i = k], and the same from the other side."""
    for atom, exponent in factors.items():
        if atom.kind != "matrix" or atom.data[0] != "inverse" or exponent != 1:
            continue
        for side in (-1, -2):
            index = as_index(atom.args[side])
            if index in bound and all(index not in a.free for a in (*atom.args[:-2], atom.args[-3 - side])):
                found = _contracted(rules, factors, bound, atom, index, side)
                if found is not None:
                    return found
    return None


def _contracted(rules: TermRules, factors: Factors, bound: Bound, atom: Atom, index: Index, side: int) -> Terms | None:
    """The contraction over `index`, the last place of the inverse or (side -2) the one before."""
    lead = _leading(rules, atom)
    if lead is None:
        return None
    mono, c, rest = lead
    others = {a: e for a, e in factors.items() if a is not atom}
    if not {_sort(a) for a, _ in mono.factors} <= {_sort(a) for a in others}:
        return None
    for place in _places(others, index):
        row, column = (of_index(index), place) if side == -1 else (place, of_index(index))
        shown = rules.matrix_at(atom, Poly.make({mono: 1}), row, column)
        if len(shown.terms) != 1:
            continue
        own, unit = shown.terms[0]
        left = _divided(rules, others, own, bound, index)
        if left is None:
            continue
        rules.used[INVERTIBLE] = None
        share = exact(Fraction(1) / (Fraction(c) * Fraction(unit)))
        kept, free = left
        gap = rules.delta(subtract(atom.args[-3 - side], place))
        whole = rules.times([(share, kept, tuple(i for i in free if i is not index))], gap)
        lower = rules.times([(exact(-share), {**kept, atom: 1}, free)], rules.matrix_at(atom, rest, row, column))
        return [*whole, *lower]
    return None


def _sort(atom: Atom) -> tuple[str, object]:
    """What an atom is, whatever stands in it: entries of one tensor are alike."""
    return atom.kind, atom.data if atom.kind == "entry" else None


def _leading(rules: TermRules, atom: Atom) -> Lead | None:
    """(lead, coefficient, rest) of the entry of a matrix, None if no term has both a row and a column."""
    template: Poly = atom.data[2]
    if template not in rules.leads:
        both = [
            (m, c)
            for m, c in template.terms
            if {"e", "g"} <= {i.name for i in m.free} and not any(a.kind == "delta" for a, _ in m.factors)
        ]
        if both:
            mono, c = min(both, key=lambda t: (-_degree(t[0]), len(t[0].bound), t[0].id))
            rules.leads[template] = mono, c, Poly.make({m: k for m, k in template.terms if m is not mono})
        else:
            rules.leads[template] = None
    return rules.leads[template]


def _degree(mono: Mono) -> Fraction:
    return sum((Fraction(magnitude(e)) for _, e in mono.factors), Fraction(0))


def _places(factors: Factors, index: Index) -> list[Poly]:
    """What may stand at the other place of a factor that has `index` at one: an index of this range, or what is read.

    Where the entry of the matrix is a sum, that place stands in another factor.
    """
    found: dict[Poly, None] = {}
    for atom in factors:
        plain = sorted((i for i in atom.free if i.size is index.size), key=lambda i: (i.name, i.uid))
        found |= dict.fromkeys(of_index(i) for i in plain)
        found |= dict.fromkeys(a for a in atom.args if as_index(a) is None)
    return [p for p in found if index not in p.free]


def _divided(
    rules: TermRules, factors: Factors, lead: Mono, bound: Bound, index: Index
) -> tuple[Factors, Bound] | None:
    """`factors` without `lead`, after which neither `index` nor what `lead` sums over may be left."""
    choices = [[i for i in bound if i.size is b.size and i is not index] for b in lead.bound]
    for choice in itertools.product(*choices):
        rules.check_budget()
        if len(set(choice)) < len(choice):
            continue
        gone = {index, *choice}
        names = dict(zip(lead.bound, choice, strict=True))
        left = dict(factors)
        for a, e in lead.factors:
            own = rename_atom(a, names) if names else a
            have = left.get(own, 0)
            if have * e <= 0 or magnitude(have) < magnitude(e):
                break
            left[own] = exact(have - e)
        else:
            left = {a: e for a, e in left.items() if e}
            if not any(a.free & gone for a in left):
                return left, tuple(i for i in bound if i not in choice)
    return None


def _triangle(atom: Atom) -> tuple[Atom, bool] | None:
    """The Cholesky factor that the atom is an entry of, and whether it is one of its inverse."""
    if atom.kind != "matrix":
        return None
    if atom.data[0] == "cholesky":
        return atom, False
    if atom.data[0] != "inverse" or is_upper(atom.data[2]) is not False:
        return None
    inner = as_atom(atom.data[2])
    assert inner is not None, "the matrix is one atom"
    return inner, True


def _names(args: tuple[Poly, ...]) -> tuple[str, str]:
    """The names of a row and a column that are plain indices."""
    first, second = (as_index(a) for a in args)
    return first.name if first is not None else "", second.name if second is not None else ""


def keep_triangle(rules: TermRules, factors: Factors, bound: Bound) -> Terms | None:
    """L[i,j] is 0 for j > i: a gate that says i >= j is 1 beside it, one that says j >= i says j = i.

    Two gates of which, for i >= j, one is always 1, have the product g + h - 1.
    """
    gates = [a for a in factors if a.kind == "nonneg"]
    for atom in factors:
        if _triangle(atom) is None:
            continue
        below = subtract(atom.args[-2], atom.args[-1])  # i - j
        if _never_negative(combine([(-1, below), (-1, ONE)])):
            return []
        for gate in gates if below.terms else ():
            asked, rest = gate.args[0], {a: e for a, e in factors.items() if a is not gate}
            if _never_negative(subtract(asked, below)):
                return [(1, rest, bound)]
            if asked is scale(below, -1):
                return rules.times([(1, rest, bound)], rules.delta(below))
            if _never_negative(combine([(-1, asked), (-1, below), (-1, ONE)])):
                return []
        for one, other in itertools.permutations(gates, 2) if below.terms else ():
            alone, others = ({a: e for a, e in factors.items() if a is not g} for g in (one, other))
            if _never_negative(combine([(1, one.args[0]), (-1, below), (-1, other.args[0])])):
                return [(1, alone, bound)]  # j >= k says i >= k
            if _never_negative(combine([(1, one.args[0]), (1, other.args[0]), (-1, below), (1, ONE)])):
                neither = {a: e for a, e in alone.items() if a is not other}
                return [(1, alone, bound), (1, others, bound), (-1, neither, bound)]
    return None


def _never_negative(value: Poly) -> bool:
    """True for a number that is not negative: where indices are left, nothing is asked about their ranges."""
    number = as_constant(value)
    return number is not None and number >= 0


def square_triangle(rules: TermRules, factors: Factors, bound: Bound) -> Terms | None:
    """sum(k, L[i,k] * L[j,k]) = A[i,j], and for inverses sum(k, inv(L)[k,i] * inv(L)[k,j]) = inv(A)[i,j]."""
    found = [(a, t) for a, e in factors.items() if (t := _triangle(a)) is not None and e in (1, 2)]
    for (first, one), (second, other) in itertools.combinations_with_replacement(found, 2):
        if first.data != second.data or first.args[:-2] != second.args[:-2]:
            continue
        if (first is second) != (factors[first] == 2):
            continue
        side = -2 if one[1] else -1  # where the index that is summed over stands
        index = as_index(first.args[side])
        rest = {a: e for a, e in factors.items() if a not in (first, second)}
        outside = (*first.args[:-2], first.args[-3 - side], second.args[-3 - side])
        if index not in bound or second.args[side] is not first.args[side] or one[1] is not other[1]:
            continue
        if any(index in a.free for a in rest) or any(index in a.free for a in outside):
            continue
        rules.used[FACTORED] = None
        left = tuple(i for i in bound if i is not index)
        made = rules.inverse_of_product if one[1] else rules.product_of_triangle
        return rules.times([(1, rest, left)], made(first, one[0], outside[-2:]))
    return None


def solve_triangle(rules: TermRules, factors: Factors, bound: Bound) -> Terms | None:
    """sum(k, inv(A)[i,k] * L[k,j]) = inv(L)[j,i]."""
    own = [a for a, e in factors.items() if e == 1 and a.kind == "matrix" and a.data[0] == "cholesky"]
    inverses = [a for a, e in factors.items() if e == 1 and a.kind == "matrix" and a.data[0] == "inverse"]
    for factor, inverse in itertools.product(own, inverses):
        index = as_index(factor.args[-2])
        if index not in bound or any(index in a.free for a in (*factor.args[:-2], factor.args[-1], *inverse.args[:-2])):
            continue
        rest = {a: e for a, e in factors.items() if a not in (factor, inverse)}
        if any(index in a.free for a in rest):
            continue
        for side in (-1, -2):
            other = inverse.args[-3 - side]
            if inverse.args[side] is not factor.args[-2] or index in other.free:
                continue
            shown = rules.inverse_of_product(factor, factor, (other, factor.args[-2]))
            if len(shown.terms) != 1:
                continue
            (mono, c), left = shown.terms[0], tuple(i for i in bound if i is not index)
            scaled = dict(mono.factors)
            if mono.bound or scaled.pop(inverse, 0) != 1 or any(index in a.free for a in scaled):
                continue
            for a, e in scaled.items():
                rest[a] = exact(rest.get(a, 0) - e)
            rules.used[FACTORED] = None
            kept = {a: e for a, e in rest.items() if e}
            share = exact(Fraction(1) / Fraction(c))
            return rules.times([(share, kept, left)], rules.inverse_of_triangle(factor, factor.args[-1], other))
    return None


def log_of_triangle(rules: TermRules, factors: Factors, bound: Bound) -> Terms | None:
    """sum(i, log(L[i,i])) = log|det(A)| / 2."""
    for atom, exponent in factors.items():
        if atom.kind != "apply" or atom.data[0] is not LOG or exponent != 1:
            continue
        inner = as_atom(rules.substitute(atom.data[1][0], rules.parameters(atom, atom.data[1][0])))
        if inner is None or inner.kind != "matrix" or inner.data[0] != "cholesky":
            continue
        index = as_index(inner.args[-1])
        rest = {a: e for a, e in factors.items() if a is not atom}
        alone = inner.args[-1] is inner.args[-2] and not any(index in a.free for a in rest)
        alone = alone and not any(index in a.free for a in inner.args[:-2])
        if index in bound and alone:
            rules.used[FACTORED] = None
            left = tuple(i for i in bound if i is not index)
            return rules.times([(exact(Fraction(1, 2)), rest, left)], rules.logdet_of_triangle(inner))
    return None


def order_gates(rules: TermRules, factors: Factors, bound: Bound) -> Terms | None:
    """Of [i >= j] and [j >= i] = 1 + [i = j] - [i >= j] beside the same factors one is kept.

    Where the two are the same sum, since the factors do not change when i and j change places, it is half of the sum
    without a gate and of its diagonal.
    """
    for gate in factors:
        if gate.kind != "nonneg" or not _compares_indices(gate):
            continue
        rest = {a: e for a, e in factors.items() if a is not gate}
        mirrored = Atom.make("nonneg", None, (scale(gate.args[0], -1),))
        same = rules.delta(gate.args[0])
        if mirrored in rest:
            return rules.times([(1, {a: e for a, e in rest.items() if a is not mirrored}, bound)], same)
        swapped: Factors = {**rest, mirrored: 1}
        here, there = canonical_mono(factors, bound), canonical_mono(swapped, bound)
        if here is there:
            half = exact(Fraction(1, 2))
            return [(half, rest, bound), *rules.times([(half, rest, bound)], same)]
        if there.id < here.id:
            return [(1, rest, bound), *rules.times([(1, rest, bound)], same), (-1, swapped, bound)]
    return None


def _compares_indices(gate: Atom) -> bool:
    """True if the gate says i >= j of two indices with one range."""
    terms = gate.args[0].terms
    if len(terms) != 2 or {c for _, c in terms} != {1, -1}:
        return False
    first, second = (as_index(Poly.make({m: 1})) for m, _ in terms)
    return first is not None and second is not None and first.size is second.size


def is_upper(template: Poly) -> bool | None:
    """True if a matrix is a Cholesky factor turned over, False if it is one as it stands, None if neither."""
    atom = as_atom(template)
    if atom is None or atom.kind != "matrix" or atom.data[0] != "cholesky":
        return None
    return {("e", "g"): False, ("g", "e"): True}.get(_names(atom.args[-2:]))


__all__ = [
    "contract_inverse",
    "is_upper",
    "keep_triangle",
    "log_of_triangle",
    "order_gates",
    "solve_triangle",
    "square_triangle",
]
