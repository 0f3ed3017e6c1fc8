"""A rule for sums that run backwards: over i < N, f(N - 1 - i) is summed as f(i).

Reversed slices, flipped kernels and cumulative sums from the end read N - 1 - i. The map i -> N - 1 - i is a bijection
of the range, so either way of writing the sum is right; the one is kept in which an index runs the way of the entries
that it reads, and against the other side of the inequalities that it stands in.
"""

from __future__ import annotations

from symbackprop.expression.build import Index
from symbackprop.normal_form.data import ONE, Atom, Factors, Poly, combine, of_index
from symbackprop.normal_form.rewriter import TermRules, Terms, spare

_ALIGNMENTS: dict[tuple[Atom | Poly, Index], int] = {}


def reflect(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """A bound index that runs backwards more often than forwards is reflected.

    If it is as often the one as the other, the first tensor that tells decides. A reflection turns all signs, so no
    index is reflected twice, and the sum of all alignments never falls: the rule comes to an end.
    """
    for index in bound:
        if (sum(alignment(atom, index) for atom in factors) or _of_first_tensor(factors, index)) < 0:
            fresh = spare(index.size, {*bound, *(i for a in factors for i in a.free)})
            mirrored = combine([(1, rules.size_of(index.size)), (-1, ONE), (-1, of_index(fresh))])
            others = tuple(i for i in bound if i is not index)
            return rules.substitute_factors(factors, (*others, fresh), {index: mirrored})
    return None


def _of_first_tensor(factors: Factors, index: Index) -> int:
    """The alignment in the entries of one tensor, the first by name in which the index has one."""
    totals: dict[str, int] = {}
    for atom in factors:
        if atom.kind == "entry":
            totals[atom.data.name] = totals.get(atom.data.name, 0) + alignment(atom, index)
    return next((totals[name] for name in sorted(totals) if totals[name]), 0)


def alignment(atom: Atom, index: Index) -> int:
    """Above 0 if the index runs forwards in the atom, below 0 if it runs backwards, 0 if neither can be said."""
    if index not in atom.free:
        return 0
    if (atom, index) not in _ALIGNMENTS:
        _ALIGNMENTS[atom, index] = _alignment(atom, index)
    return _ALIGNMENTS[atom, index]


def _alignment(atom: Atom, index: Index) -> int:
    if atom.kind in ("delta", "nonneg"):
        (gap,) = atom.args
        own = _sign(gap, index)
        return -own * sum(_sign(gap, other) for other in gap.free if other is not index)
    if atom.kind == "entry":
        return sum(_sign(a, index) for a in atom.args)
    signs = {k: _sign(a, index) for k, a in enumerate(atom.args)}
    templates = [t for t in (atom.data if isinstance(atom.data, tuple) else ()) if isinstance(t, Poly)]
    templates += [t for group in _groups(atom) for t in group if isinstance(t, Poly)]
    return sum(sign * _within(t, f"p{k}") for k, sign in signs.items() if sign for t in templates)


def _groups(atom: Atom) -> list[tuple[object, ...]]:
    """The tuples inside the data of an atom: the templates of a function's arguments."""
    return [part for part in atom.data if isinstance(part, tuple)] if isinstance(atom.data, tuple) else []


def _within(template: Poly, name: str) -> int:
    """The way in which a parameter runs in a template, as -1, 0 or 1."""
    parameter = next((i for i in template.free if i.name == name), None)
    if parameter is None:
        return 0
    if (template, parameter) not in _ALIGNMENTS:
        total = sum(alignment(atom, parameter) for mono, _ in template.terms for atom, _ in mono.factors)
        _ALIGNMENTS[template, parameter] = (total > 0) - (total < 0)
    return _ALIGNMENTS[template, parameter]


def _sign(poly: Poly, index: Index) -> int:
    """The sign with which the index stands in an integer polynomial, on its own or times a size."""
    signs = {1 if c > 0 else -1 for m, c in poly.terms if index in m.free}
    return signs.pop() if len(signs) == 1 else 0
