"""Canonical names for indices: of bound indices in a monomial, and of the parameters of a template.

Two contractions that differ in the names and order of their bound indices must become the same object. Indices are
first told apart by colour refinement (where does the index occur, and next to which colours?), then the least of the
remaining orderings is taken. A template that is symmetric in its parameters remembers the permutations that leave it
unchanged, so that f(i, j) and f(j, i) are one atom when f is symmetric.

Everything here is a pure renaming: no rule of algebra is used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from symbackprop.errors import BudgetError
from symbackprop.expression.build import Index, SymmetricTensor
from symbackprop.normal_form.data import (
    Atom,
    Factors,
    Mono,
    Poly,
    Rational,
    as_index,
    bound_index,
    of_index,
    parameter,
    scale,
)

MAXIMUM_ORDERINGS = 5040
ANONYMOUS = -5  # uid of bound indices while the free ones around them are put in order
TEMPLATED = (
    "apply",
    "base",
    "named",
    "positive",
    "zero",
    "matrix",
)  # atoms whose data are templates over all arguments
T = TypeVar("T")
Renaming = dict[Index, Index]
_SYMMETRIES: dict[Any, tuple[tuple[int, ...], ...]] = {}
_renamed: dict[Any, Atom] = {}


def rename_atom(atom: Atom, names: Renaming) -> Atom:
    """`atom` with indices renamed; the renaming is injective and keeps sizes, so nothing can simplify."""
    moved = tuple((i, names[i]) for i in sorted(atom.free & names.keys(), key=_index_key))
    if not moved:
        return atom
    key = (atom, moved)
    found = _renamed.get(key)
    if found is None:
        if atom.kind == "index":
            found = Atom.make("index", names[atom.data])
        else:
            args = tuple(rename_poly(a, names) for a in atom.args)
            found = Atom.make(atom.kind, atom.data, settle_arguments(atom.kind, atom.data, args))
        _renamed[key] = found
    return found


def rename_poly(poly: Poly, names: Renaming) -> Poly:
    """`poly` with free indices renamed. The new names must not be canonical bound names."""
    if not (poly.free & names.keys()):
        return poly
    single = as_index(poly)
    if single is not None:
        return of_index(names[single])
    table: dict[Mono, Rational] = {}
    for mono, coefficient in poly.terms:
        inner = {i: names[i] for i in mono.free & names.keys()}
        new = canonical_mono({rename_atom(a, inner): e for a, e in mono.factors}, mono.bound) if inner else mono
        table[new] = table.get(new, 0) + coefficient
    return Poly.make(table)


def settle_arguments(kind: str, data: Any, args: tuple[Poly, ...]) -> tuple[Poly, ...]:
    """The least of the argument orders that a symmetric template allows; of a delta's two signs the lesser."""
    if kind == "delta":
        return (min(args[0], scale(args[0], -1), key=lambda a: a.id),)
    if kind == "entry" and isinstance(data, SymmetricTensor):
        return (*args[:-2], *sorted(args[-2:], key=lambda a: a.id))
    symmetries = _SYMMETRIES.get(data) if kind in TEMPLATED else None
    if not symmetries:
        return args
    return min((tuple(args[k] for k in p) for p in symmetries), key=lambda a: tuple(x.id for x in a))


def canonical_mono(factors: Factors, bound: Sequence[Index]) -> Mono:
    """The monomial of these factors, its bound indices (all of which occur) in canonical order and names."""
    if not bound:
        return Mono.make(_sorted(factors))
    best: tuple[Any, Mono] | None = None
    for order in _orderings(bound, list(factors.items())):
        names = {v: bound_index(k, v.size) for k, v in enumerate(order)}
        renamed = _sorted({rename_atom(a, names): e for a, e in factors.items()})
        key = tuple((a.id, e) for a, e in renamed)
        if best is None or key < best[0]:
            best = (key, Mono.make(renamed, tuple(names[v] for v in order)))
    assert best is not None
    return best[1]


def _sorted(factors: Factors) -> tuple[tuple[Atom, Rational], ...]:
    return tuple(sorted(factors.items(), key=lambda f: f[0].id))


def abstract(polys: tuple[Poly, ...], first: Sequence[Index] = ()) -> tuple[tuple[Poly, ...], tuple[Poly, ...]]:
    """Closed templates of `polys` over parameters p0, p1, ..., and the actual arguments.

    Args:
        first: indices that take the first parameters, in this order (the index that an extremum binds).
    """
    free = frozenset().union(*(p.free for p in polys)) - frozenset(first)
    weighted, anonymous = _occurrences(polys, len(free) > 1)
    best: tuple[Any, list[tuple[Index, ...]], tuple[Poly, ...]] | None = None
    for order in _orderings(sorted(free, key=_index_key), weighted, anonymous):
        names = {v: parameter(k, v.size) for k, v in enumerate([*first, *order])}
        templates = tuple(rename_poly(p, names) for p in polys)
        key = tuple(t.id for t in templates)
        if best is None or key < best[0]:
            best = (key, [order], templates)
        elif key == best[0]:
            best[1].append(order)
    assert best is not None
    _, orders, templates = best
    if len(orders) > 1 and not first:
        position = {v: k for k, v in enumerate(orders[0])}
        _SYMMETRIES[templates] = tuple(tuple(position[v] for v in order) for order in orders)
    return templates, tuple(of_index(v) for v in min(orders, key=lambda o: tuple(of_index(v).id for v in o)))


def _occurrences(polys: tuple[Poly, ...], needed: bool) -> tuple[list[tuple[Atom, Any]], tuple[Index, ...]]:
    """The atoms of `polys` with their weights, and the indices bound in them, each with a name of its own.

    Which bound index is called b0 depends on the names of the free ones, so colours must not: these are refined too.
    """
    found: list[tuple[Atom, Any]] = []
    anonymous: list[Index] = []
    if not needed:
        return found, ()
    for k, poly in enumerate(polys):
        for mono, c in poly.terms:
            names = {b: Index(f"a{len(anonymous) + n}", b.size, ANONYMOUS) for n, b in enumerate(mono.bound)}
            anonymous += names.values()
            found += [(rename_atom(a, names), (e, c, k)) for a, e in mono.factors]
    return found, tuple(anonymous)


def remember_symmetries(data: Any, templates: tuple[Poly, ...]) -> None:
    """Let atoms with this data use the symmetries of its templates."""
    if templates in _SYMMETRIES:
        _SYMMETRIES[data] = _SYMMETRIES[templates]


def remember_symmetric_places(data: Any, outside: int) -> None:
    """Let atoms with this data have their last two arguments, after those `outside`, in either order."""
    first = tuple(range(outside))
    _SYMMETRIES[data] = ((*first, outside, outside + 1), (*first, outside + 1, outside))


def _orderings(
    indices: Sequence[Index], factors: Iterable[tuple[Atom, Any]], anonymous: Sequence[Index] = ()
) -> Iterable[tuple[Index, ...]]:
    """The orders of `indices` that colour refinement, with the anonymous ones, cannot tell apart; one at least."""
    if len(indices) <= 1:
        return [tuple(indices)]
    colours = _refine([*indices, *anonymous], list(factors))
    classes: dict[Any, list[Index]] = {}
    for index in indices:
        classes.setdefault(colours[index], []).append(index)
    groups = [classes[c] for c in sorted(classes)]
    if math.prod(math.factorial(len(g)) for g in groups) > MAXIMUM_ORDERINGS:
        raise BudgetError(f"a term has {len(indices)} interchangeable bound indices: too many orders to try")
    choices = itertools.product(*(itertools.permutations(g) for g in groups))
    return (tuple(itertools.chain(*choice)) for choice in choices)


def _refine(indices: Sequence[Index], factors: list[tuple[Atom, Any]]) -> dict[Index, int]:
    """Colours of the indices, numbers that do not depend on names: equal numbers are not (yet) told apart."""
    members = frozenset(indices)
    occurrences = [(a, w, _places(a, members)) for a, w in factors if a.free & members]
    colours = _ranks({i: (_size_key(i),) for i in indices})
    for _ in range(len(indices)):
        seen: dict[Index, list[Any]] = {i: [] for i in indices}
        for atom, weight, places in occurrences:
            colouring = tuple(sorted((place, colours[i]) for place, i in places))
            for place, index in places:
                seen[index].append((atom.skeleton, str(weight), _fixed_arguments(atom, members), place, colouring))
        new = _ranks({i: (colours[i], tuple(sorted(seen[i]))) for i in indices})
        if new == colours:
            break
        colours = new
        if len(set(colours.values())) == len(indices):
            break
    return colours


def _fixed_arguments(atom: Atom, members: frozenset[Index]) -> tuple[int, ...]:
    """The arguments without any of `members`; in no order where the order says nothing."""
    fixed = [-1 if a.free & members else a.id for a in atom.args]
    return tuple(sorted(fixed) if _is_symmetric(atom) else fixed)


def _is_symmetric(atom: Atom) -> bool:
    """True if some other order of the arguments is the same entry."""
    return atom.data in _SYMMETRIES if atom.kind in TEMPLATED else isinstance(atom.data, SymmetricTensor)


def _places(atom: Atom, members: frozenset[Index]) -> list[tuple[int, Index]]:
    """Where each index of `members` stands: the number of the argument; 1000 more when inside a compound argument."""
    if atom.kind == "index":
        return [(0, atom.data)]
    symmetric, places = _is_symmetric(atom), []
    for k, arg in enumerate(atom.args):
        inside = arg.free & members
        plain = as_index(arg) is not None
        places += [((0 if symmetric else k) + (0 if plain else 1000), i) for i in inside]
    return places


def _ranks(keys: dict[Index, Any]) -> dict[Index, int]:
    order = {key: rank for rank, key in enumerate(sorted(set(keys.values())))}
    return {index: order[key] for index, key in keys.items()}


_size_numbers: dict[Any, int] = {}


def _size_key(index: Index) -> int:
    return _size_numbers.setdefault(index.size, len(_size_numbers))


def _index_key(index: Index) -> tuple[str, int, int]:
    return (index.name, index.uid, _size_key(index))


def memoised(function: Callable[..., T]) -> Callable[..., T]:
    """Remember results of a method by its arguments, per instance, each with the conditions that it rests on.

    Whoever asks again makes use of the conditions again.
    """
    name = "_memo_" + function.__name__

    def wrapper(self: Any, *arguments: Any) -> T:
        memo = self.__dict__.setdefault(name, {})
        known = memo.get(arguments)
        if known is None:
            outside, self.used = self.used, {}
            try:
                value = function(self, *arguments)
            finally:
                used, self.used = self.used, outside
                outside.update(used)
            known = memo[arguments] = value, used
        elif known[1]:
            self.used.update(known[1])
        return known[0]  # type: ignore[no-any-return]

    return wrapper
