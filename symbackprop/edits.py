"""Edits of lines of a backward pass: what a line might have been meant to be.

`edits` puts the slips of `slips` and `substitutes` to every node of a line. A line that a loop runs several times is
several equations; one slip changes them all. `mending` finds out which edit is the fault.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from symbackprop.expression import (
    Add,
    Entry,
    Expr,
    Multiply,
    Sum,
    Tensor,
    Where,
    add,
    nodes_once,
    rewrite,
    substitute,
)
from symbackprop.program import Equation
from symbackprop.slips import SLIPS, assignments, both, constants, exponents, reordered
from symbackprop.substitutes import Found, added, interchanged, multiplied, replaced, scaled
from symbackprop.vocabulary import Vocabulary, Words, short, value_nodes

MAXIMUM_NODES = 1500  # in all rounds of a line: beyond that only how it assigns is questioned


@dataclass(frozen=True)
class Edit:
    """A changed line.

    Args:
        words: what is wrong with the line if the edit cures it.
        reverse: what is wrong with a line that the edit makes of a right one.
        equations: the line as it would be, for each of its rounds.
    """

    words: str
    reverse: str
    equations: tuple[Equation, ...]


def groups(lines: Iterable[Equation], vocabulary: Vocabulary) -> list[list[Equation]]:
    """The equations of each line of the user's code: one, or one for each round of a loop."""
    table: dict[Hashable, list[Equation]] = {}
    for line in lines:
        label = vocabulary.label(line.tensor)
        key = (line.note, line.tensor.shape, label if not isinstance(label, Tensor) else "")
        table.setdefault(key if line.note else line.tensor, []).append(line)
    return list(table.values())


def edits(group: Sequence[Equation], vocabulary: Vocabulary) -> Iterator[Edit]:
    """What the line may have been meant to be, each thing once, likely slips first."""
    seen: set[tuple[Expr, ...]] = {tuple(e.value for e in group)}
    size = sum(len(list(nodes_once(e.value))) for e in group)
    sources = (_assigned, _inside, scaled, replaced, interchanged, added) if size <= MAXIMUM_NODES else (_assigned,)
    for source in sources:
        together: dict[Hashable, dict[Expr, tuple[Words, Expr]]] = {}
        single: list[tuple[Equation, Expr, Words, Expr]] = []
        for equation in group:
            for node, (tag, words, new) in source(equation, vocabulary):
                place = _place(equation, node, vocabulary)
                together.setdefault((place, tag), {}).setdefault(node, (words, new))
                single.append((equation, node, words, new))
        found = [_everywhere(group, table) for table in together.values()]
        if len(group) == 1 and len(found) < len(single):
            found += [_everywhere(group, {node: (words, new)}) for _, node, words, new in single]
        for edit in found:
            values = tuple(e.value for e in edit.equations)
            if values not in seen:
                seen.add(values)
                yield edit


def everywhere(lines: Sequence[Equation], vocabulary: Vocabulary) -> Iterator[Edit]:
    """One slip made in several lines: the same number, size or tensor is wrong wherever it stands."""
    together: dict[Hashable, dict[Expr, tuple[Words, Expr]]] = {}
    for equation in lines:
        for source in (_constant_nodes, replaced, multiplied):
            for node, (tag, words, new) in source(equation, vocabulary):
                together.setdefault((vocabulary.key(node), tag), {}).setdefault(node, (words, new))
    for table in together.values():
        edit = _everywhere(lines, table)
        changed = tuple(e for e, old in zip(edit.equations, lines, strict=True) if e.value is not old.value)
        if len({e.note for e in changed}) > 1:
            yield Edit(edit.words, edit.reverse, changed)


def _constant_nodes(line: Equation, vocabulary: Vocabulary) -> Found:
    for node in value_nodes(line.value):
        for slip in (constants, exponents, reordered):
            for change in slip(node, vocabulary):
                yield node, change


def moved(lines: Sequence[Equation], vocabulary: Vocabulary) -> Iterator[Edit]:
    """A term of one line that belongs into a later one, or into another branch of what is computed from it."""
    for k, line in enumerate(lines):
        for node in value_nodes(line.value):
            terms = node.terms if isinstance(node, Add) else ()
            for term in terms:
                if not isinstance(term, Entry) or not set(term.indices) <= set(line.indices):
                    continue
                rest = add(*(t for t in terms if t is not term))
                without = Equation(line.tensor, line.indices, substitute(line.value, {node: rest}), line.note)
                for later in lines[k + 1 :]:
                    if later.tensor.shape == term.tensor.shape:
                        there = substitute(term, dict(zip(line.indices, later.indices, strict=False)))
                        value = add(later.value, there)
                        words = both(f"the term {short(term)} belongs into {later.note}, not into {line.note}")
                        yield Edit(*words, (without, Equation(later.tensor, later.indices, value, later.note)))


def _everywhere(group: Sequence[Equation], table: dict[Expr, tuple[Words, Expr]]) -> Edit:
    def visit(node: Expr) -> Expr | None:
        return table[node][1] if node in table else None

    lines = tuple(Equation(e.tensor, e.indices, rewrite(e.value, visit), e.note) for e in group)
    return Edit(*next(iter(table.values()))[0], lines)


_OWN = (
    "only the term of the same index belongs there, not the sum",
    "the sum is missing: only its term of the same index is there",
)


def _place(line: Equation, node: Expr, vocabulary: Vocabulary) -> Hashable:
    """Where a slip is made, in a form that is the same in every round: what else stands in a sum does not matter."""
    if node is line.value:
        return "the line"
    return type(node).__name__ if isinstance(node, (Add, Multiply)) else vocabulary.key(node)


def _assigned(line: Equation, vocabulary: Vocabulary) -> Found:
    """The line puts its values in the wrong way to where they belong."""
    if isinstance(line.value, Where):
        for change in assignments(line.value):
            yield line.value, change


def _inside(line: Equation, vocabulary: Vocabulary) -> Found:
    """One node of the line is wrong in itself."""
    for node in value_nodes(line.value):
        for slip in SLIPS:
            for change in slip(node, vocabulary):
                yield node, change
        if isinstance(node, Sum):
            for index in line.indices:
                if index.size is node.index.size:
                    own = substitute(node.body, {node.index: index})
                    yield node, ("own", _OWN, own)


__all__ = ["Edit", "edits", "everywhere", "groups", "moved"]
