"""Two names of a backward pass that stand for each other's tensors: dq, dk = dk, dq.

Both are right as they are, so no line computes anything wrong, and no value that one of them could have mends what is
computed of both. With one read for the other wherever they are read, every gradient is right. The same is tried of two
parts of an array, as the gradient of a concatenation has. Main name: `interchanged`.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from symbackprop.checking.diagnosis.cut_fault import wrong_readers
from symbackprop.checking.diagnosis.misread_names import statements_around
from symbackprop.checking.diagnosis.named_views import running_along
from symbackprop.checking.diagnosis.numeric_filter import Refuted, Trials
from symbackprop.expression.build import Entry, Expr, Index, Tensor, entries_once, mentioned, rewrite, substitute
from symbackprop.expression.program import PART, Equation
from symbackprop.frontends.numpy.session import Ran
from symbackprop.rendering.text import to_text

MOST_PAIRS = 60  # that are looked at; those that are computed one after the other come first


@dataclass(frozen=True)
class Interchange:
    """Two tensors, or parts of one, in each other's place.

    Args:
        place: the line that interchanges them, or else the one that computes the second.
        names: what the user calls them.
        lines: what is computed of them, as it would be right.
    """

    place: str
    names: tuple[str, str]
    lines: tuple[Equation, ...]


def interchanged(case: Refuted, trials: Trials) -> Iterator[Interchange]:
    """Pairs of which numbers show that all gradients are right where each is read for the other."""
    goals = {case.traced.gradients[n]: case.derived[n] for n in case.wrong}
    goals |= {t: t for n, t in case.traced.gradients.items() if n in case.right}
    turns = {line.tensor: k for k, line in enumerate(case.own_lines)}
    pairs = itertools.combinations(_read_wrongly(case, trials), 2)
    fitting = [(a, b) for a, b in pairs if [i.size for i in _along(a)] == [i.size for i in _along(b)]]
    fitting.sort(key=lambda pair: abs(turns[pair[0].tensor] - turns[pair[1].tensor]))
    for first, second in fitting[:MOST_PAIRS]:
        both = {first.tensor, second.tensor}
        readers = [e for e in case.own_lines[max(map(turns.__getitem__, both)) + 1 :] if mentioned(e.value) & both]
        lines = [replace(e, value=_exchanged(e.value, first, second)) for e in readers]
        lines = [new for new, old in zip(lines, readers, strict=True) if new.value is not old.value]
        if lines and trials.agree(lines, case.own_lines, goals):
            yield _told(case, first, second, lines)


def _read_wrongly(case: Refuted, trials: Trials) -> list[Entry]:
    """Arrays that are right, and parts of them, as they are read by lines of which nothing right is computed."""
    found: list[Entry] = []
    forward = trials.like(case.traced.forward.tensors)
    for tensor, readers in wrong_readers(case, case.own_lines).items():
        for entry in (e for line in readers for e in entries_once(line.value) if e.tensor is tensor):
            if tensor not in forward and _along(entry) and not any(_read_as(entry, f, f) for f in found):
                found.append(entry)
    return found


def _along(entry: Entry) -> tuple[Index, ...]:
    """The indices along an array or a part of it, in the order of its axes; none if other places of it are read."""
    whole = tuple(i for i in entry.indices if isinstance(i, Index))
    if len(set(whole)) == len(entry.tensor.shape) and tuple(i.size for i in whole) == entry.tensor.shape:
        return whole
    return running_along(entry)


def _read_as(entry: Expr, read: Entry, other: Entry) -> Expr | None:
    """`other` at the places of an entry that reads what `read` reads; None of others."""
    if not isinstance(entry, Entry) or entry.tensor is not read.tensor:
        return None
    here, there = _along(entry), _along(read)
    if [i.size for i in here] != [i.size for i in there]:
        return None
    same = substitute(read, dict(zip(there, here, strict=True))) is entry
    return substitute(other, dict(zip(_along(other), here, strict=True))) if same else None


def _exchanged(value: Expr, first: Entry, second: Entry) -> Expr:
    """What a line computes, with each read for the other."""
    return rewrite(value, lambda node: _read_as(node, first, second) or _read_as(node, second, first))


def _told(case: Refuted, first: Entry, second: Entry, lines: list[Equation]) -> Interchange:
    """The line and the names of two that are interchanged: of the statement that does it, if there is one."""
    called, ran = case.traced.variables, case.traced.ran
    tensors = sorted({first.tensor, second.tensor}, key=[e.tensor for e in case.own_lines].index)
    runs = [r for r in ran if r.tensor in tensors and r.calls]
    names = [_name(first, called), _name(second, called)]
    statements = [*_interchanges(runs[-1])] if runs else []
    if len(runs) == len({first.tensor, second.tensor}) == 2:  # else what a name stands for is a part, and not known
        statements = [s for s in statements if {*s[1:]} == {*names}]
    if len(statements) == 1:
        ((number, *names),) = statements
        place = f"line {number}"
    else:
        place = case.traced.backward.by_tensor[tensors[-1]].note.removeprefix(PART)
    return Interchange(place, (names[0], names[1]), tuple(lines))


def _interchanges(run: Ran) -> Iterator[tuple[int, str, str]]:
    """The statements a, b = b, a after a line, in its function: their line and both names."""
    for node in statements_around(run):
        match node:
            case ast.Assign(
                targets=[ast.Tuple(elts=[ast.Name(id=a), ast.Name(id=b)])],
                value=ast.Tuple(elts=[ast.Name(id=c), ast.Name(id=d)]),
            ) if (a, b) == (d, c) and a != b and node.lineno > run.line:
                yield node.lineno, a, b


def _name(entry: Entry, called: Mapping[Tensor, str]) -> str:
    """What the user calls an array; of a part of one, or of what has no name, the entries."""
    tensor, name = entry.tensor, called.get(entry.tensor)
    if name is not None and _along(entry) == entry.indices:
        return name
    return to_text(Entry(Tensor(name or tensor.name, tensor.shape, tensor.kind), entry.indices))
