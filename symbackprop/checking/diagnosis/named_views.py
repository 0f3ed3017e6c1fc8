"""A name that is bound to a part of an array: d = dxp[:, 1:-1], where d should be that and what goes around the layer.

A part of an array as it is is no equation, so no line stands for the name, and what reads it reads the array. Where
other rounds of the loop read what a line computes, this line has computed nothing here but the part: given an equation
of its own, it is a line like those of the other rounds. Main name: `with_named_views`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from symbackprop.checking.diagnosis.numeric_filter import Refuted
from symbackprop.expression.build import (
    ZERO,
    Add,
    Entry,
    Expr,
    Index,
    Quotient,
    Tensor,
    entries_once,
    free_indices,
    mentioned,
    multiply,
    rewrite,
    substitute,
)
from symbackprop.expression.program import PART, Equation, unused
from symbackprop.expression.recurrence import in_order
from symbackprop.expression.sizes import Facts, decide


def with_named_views(case: Refuted) -> Refuted:
    """The same with equations for parts of arrays where other rounds of a loop have what a named line computes, and for
    arrays that are read with their axes split or merged, which as such may be a derivative."""
    called, lines = case.traced.variables, {e.tensor: e for e in case.own_lines}
    rounds: dict[str, list[Equation]] = {}
    for line in lines.values():
        rounds.setdefault(line.note, []).append(line)
    taken = {t.name for t in (*case.sides.derived.tensors, *case.traced.backward.tensors)}
    views: dict[Tensor, Equation] = {}
    facts = case.gradient.program.facts
    for line in lines.values():
        for entry in entries_once(line.value):
            array, running = entry.tensor, running_along(entry) if entry.tensor in lines else ()
            if not running or not _is_inside(entry, facts) or any(_of_view(entry, view) for view in views.values()):
                continue
            named = array if _reshaped(entry) else read_instead(array, line, rounds[line.note], lines)
            if (named is not None and named in called and len(named.shape) == len(running)) or named is array:
                own = Tensor(unused(called.get(named, named.name), taken), tuple(i.size for i in running), array.kind)
                taken.add(own.name)
                views[own] = Equation(own, running, entry, lines[named].note)
                if named in called:
                    called = {**called, own: called[named]}
                if named is not array:
                    called = {**called, **name_elsewhere(array, lines, called)}
    if not views:
        return case

    def visit(node: Expr) -> Expr | None:
        found = next((v for v in views.values() if isinstance(node, Entry) and _of_view(node, v)), None)
        return Entry(found.tensor, running_along(node)) if found is not None and isinstance(node, Entry) else None

    backward = case.traced.backward
    changed = (replace(e, value=rewrite(e.value, visit)) for e in backward.equations)
    backward = replace(backward, equations=in_order((*changed, *views.values())))
    return replace(
        case, sides=case.sides.with_views(backward), traced=replace(case.traced, backward=backward, variables=called)
    )


def running_along(entry: Entry) -> tuple[Index, ...]:
    """The indices that run along an array that is read in part or with other axes, in the order of its axes; none if
    the whole is read, or other places than of such an array."""
    within = [_digits(place) for place in entry.indices]
    running = tuple(dict.fromkeys(i for free in within for i in free))
    whole = running == entry.indices and tuple(i.size for i in running) == entry.tensor.shape
    once = _reshaped(entry) or sum(map(len, within)) == len(running)
    return running if once and all(len(free) <= 2 for free in within) and not whole else ()


def _is_inside(entry: Entry, facts: Facts) -> bool:
    """True if all places that the indices run through are places of the array: what is read beyond is no part, nor is
    what repeats entries, as b[n,c//8,0] of one number a group."""
    array, places = entry.tensor.shape, zip(entry.indices, entry.tensor.shape, strict=True)
    read = multiply(*(i.size for i in running_along(entry)))
    once = not _reshaped(entry) or decide("<=", read, multiply(*array), facts)
    return bool(once) and all(decide("<=", ZERO, p, facts) and decide("<", p, size, facts) for p, size in places)


def _digits(place: Expr) -> list[Index]:
    """The indices in a place, the last digit last: i and c of C*i + c."""
    terms = place.terms if isinstance(place, Add) else (place,)
    ordered = sorted(terms, key=lambda term: isinstance(term, Index))
    return [i for term in ordered for i in sorted(free_indices(term), key=lambda i: (i.name, i.uid))]


def _reshaped(entry: Entry) -> bool:
    """True if two axes of the array are read as one, or one as two."""
    within = [_digits(place) for place in entry.indices]
    merged = {i for place in entry.indices if isinstance(place, Quotient) for i in free_indices(place)}
    return any(len(free) > 1 for free in within) or bool(merged)


def _of_view(entry: Entry, view: Equation) -> bool:
    """True if an entry reads this part of this array."""
    running = running_along(entry) if isinstance(view.value, Entry) and view.value.tensor is entry.tensor else ()
    if [i.size for i in running] != [i.size for i in view.indices]:
        return False
    return substitute(view.value, dict(zip(view.indices, running, strict=True))) is entry


def read_instead(
    tensor: Tensor, line: Equation, rounds: list[Equation], lines: Mapping[Tensor, Equation]
) -> Tensor | None:
    """What this line reads in the other rounds in the place of a tensor that another line computes, if that is one
    line's in most of them."""

    def read(equation: Equation) -> dict[str, list[Tensor]]:
        found: dict[str, list[Tensor]] = {}
        for own in mentioned(equation.value) & lines.keys():
            found.setdefault(lines[own].note, []).append(own)
        return found

    here, elsewhere = read(line), list[Tensor]()
    for other in rounds:
        there = read(other)
        if other is line or lines[tensor].note in there:
            continue
        more = [own for note in there.keys() - here.keys() for own in there[note]]
        if len(more) == 1 and not lines[more[0]].note.startswith(PART):
            elsewhere += more
    notes = Counter(lines[t].note for t in elsewhere).most_common(2)
    told = notes and (len(notes) == 1 or notes[0][1] > notes[1][1])
    return next(t for t in elsewhere if lines[t].note == notes[0][0]) if told else None


def name_elsewhere(tensor: Tensor, lines: Mapping[Tensor, Equation], called: Mapping[Tensor, str]) -> dict[Tensor, str]:
    """What the user calls an array in the rounds that give no other name to a part of it."""
    alike = (t for t, e in lines.items() if e.note == lines[tensor].note and t is not tensor and t in called)
    names = {called[t] for t in alike}
    return dict.fromkeys([tensor], names.pop()) if len(names) == 1 else {}
