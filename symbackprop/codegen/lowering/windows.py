"""Windows of arrays for a printer that copies them: read by one look-up each, and zeros around what they reach beyond.

    a[n,i,c,k] = x[n,c,i + k],  b[c,k,n,i] = x[n,c,i + k]     ->     what reads b reads a
    a[n,i,c,k] = x[n,c,i + k]     ->     a[n,i,k,c], whole rows of c are copied; or a[n,c,k,i], whole rows of i
    where(0 <= i - k, dout[n,i - k], 0)                       ->     a look-up in dout with zeros in front

Main names: `windowed`, `rows_last`, `as_it_lies`, `is_window`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from symbackprop.codegen.lowering.form import Form, Gather, Statement, axes, is_plain, reads, rewritten
from symbackprop.codegen.lowering.padded import Window, padding, unasked
from symbackprop.codegen.lowering.share import key
from symbackprop.expression.build import Entry, Expr, Index, Number, Tensor, free_indices, rewrite, substitute

Axes = tuple[Index, ...]


def windowed(form: Form, lying: Callable[[Axes, list[Window]], Axes]) -> Form:
    """The form with each window looked up once; what is asked to stay inside is not asked if zeros answer it.

    Args:
        lying: the order in which the axes of a copy lie.
    """
    if form.loops:
        return form
    guarded = [s for s in form.statements if isinstance(s, Gather) and s.guarded and padding(s) is not None]
    if guarded and all(map(is_window, guarded)):
        form = unasked(form)
    return _lying(_once(form), lying)


def is_window(s: Gather) -> bool:
    """True if a look-up reads a window along some axis, or beyond its array by so many places on each side."""
    found = padding(s)
    sides = [side for w in found or () for side in (w.before, w.after)]
    counted = all(isinstance(side, Number) for side in sides)
    return found is not None and s.source.kind == "real" and is_plain(s.target) and (counted or not s.guarded) and all(
        w.index in s.target.indices for w in found
    )  # fmt: skip


def window_axes(found: list[Window]) -> dict[Index, tuple[int, bool]]:
    """For each index the axis of the source along which it runs, and whether backwards."""
    along = {w.index: (axis, False) for axis, w in enumerate(found)}
    return along | {w.inner: (axis, w.backwards) for axis, w in enumerate(found) if w.inner is not None}


def _once(form: Form) -> Form:
    """What is looked up in the same places is one array, whatever the order of its axes."""
    first = list[Gather]()
    same: dict[Tensor, tuple[Tensor, list[int]]] = {}
    kept = list[Statement]()
    for s in form.statements:
        s = _read_through(s, same)
        if isinstance(s, Gather) and is_window(s) and s.target.tensor not in form.outputs:
            found = next((p for g in first if (p := _places(g, s)) is not None), None)
            if found is not None:
                same[s.target.tensor] = found
                continue
            first.append(s)
        kept.append(s)
    return replace(form, statements=tuple(kept))


def _lying(form: Form, lying: Callable[[Axes, list[Window]], Axes]) -> Form:
    """The copies with their axes in another order, for all that read them."""
    same: dict[Tensor, tuple[Tensor, list[int]]] = {}
    statements = list[Statement]()
    for s in form.statements:
        s = _read_through(s, same)
        if isinstance(s, Gather) and is_window(s) and s.target.tensor not in form.outputs:
            old = axes(s.target)
            new = lying(old, padding(s) or [])
            if new != old:
                target = Entry(Tensor(s.target.tensor.name, tuple(i.size for i in new)), new)
                same[s.target.tensor] = target.tensor, [old.index(i) for i in new]
                s = replace(s, target=target)
        statements.append(s)
    return replace(form, statements=tuple(statements))


def rows_last(order: Axes, found: list[Window]) -> Axes:
    """Of the axes behind the last one along which windows slide, those along which nothing slides come last."""
    slides = _slides(found)
    start = max((k + 1 for k, i in enumerate(order) if i in slides), default=len(order))
    whole = {w.index for w in found if w.inner is None}
    block = order[start:]
    return (*order[:start], *(i for i in block if i not in whole), *(i for i in block if i in whole))


def as_it_lies(order: Axes, found: list[Window]) -> Axes:
    """As in the array: the axes along which windows slide come last if one is its last axis, else `rows_last`."""
    slides = _slides(found)
    if found[-1].inner is None:
        return rows_last(order, found)
    return (*(i for i in order if i not in slides), *(i for i in order if i in slides))


def _slides(found: list[Window]) -> set[Index]:
    return {w.index for w in found if w.inner is not None}


def _places(first: Gather, other: Gather) -> tuple[Tensor, list[int]] | None:
    """(the first look-up's tensor, for each of its axes the axis of the other's that it is); None if they differ."""
    if first.source is not other.source or first.guarded != other.guarded:
        return None
    names: dict[Expr, Expr] = {}
    for mine, its in zip(first.positions, other.positions, strict=True):
        own, others = free_indices(mine), set(free_indices(its))
        for index in own:
            twin = next((i for i in others if i.size is index.size), None)
            if twin is None:
                return None
            others.discard(twin)
            names[index] = twin
        if others:
            return None
    order = axes(other.target)
    if set(names.values()) != set(order) or set(names) != set(axes(first.target)):
        return None
    for mine, its in zip(first.positions, other.positions, strict=True):
        if key("map", substitute(mine, names), order) != key("map", its, order):
            return None
    return first.target.tensor, [order.index(names[i]) for i in axes(first.target)]


def _read_through(s: Statement, same: Mapping[Tensor, tuple[Tensor, list[int]]]) -> Statement:
    if same.keys().isdisjoint(reads(s)):
        return s

    def entry(e: Entry) -> Entry:
        if e.tensor not in same:
            return e
        tensor, places = same[e.tensor]
        return Entry(tensor, tuple(e.indices[p] for p in places))

    return rewritten(s, entry, lambda v: rewrite(v, lambda e: entry(e) if isinstance(e, Entry) else None))
