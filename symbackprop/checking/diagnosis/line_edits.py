"""Edits of lines of a backward pass: what a line might have been meant to be.

`edits` puts the slips of `slips` and `substitutes` to every node of a line. A line that a loop runs several times is
several equations; one slip changes them all. `diagnose` finds out which edit is the fault.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from symbackprop.checking.diagnosis.misfits import fits, misplaced, resized
from symbackprop.checking.diagnosis.node_replacements import (
    Found,
    added,
    interchanged,
    lacking,
    multiplied,
    other_parts,
    products,
    replaced,
    scaled,
    turned_sums,
)
from symbackprop.checking.diagnosis.node_slips import (
    SLIPS,
    assignments,
    both,
    constants,
    exponents,
    reordered,
    stands,
    terms,
)
from symbackprop.checking.diagnosis.vocabulary import Change, Vocabulary, same_form, short, value_nodes
from symbackprop.expression.build import (
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Kronecker,
    Multiply,
    Number,
    Power,
    Sum,
    Symbol,
    Tensor,
    Where,
    add,
    children,
    free_indices,
    mentioned,
    multiply,
    negate,
    nodes_once,
    power,
    rebuild,
    substitute,
    tensors_in,
)
from symbackprop.expression.program import Equation
from symbackprop.expression.sizes import decide

COST: dict[Hashable, float] = {
    "sign": 0,  # the commonest: where sums vanish others agree too
    "sign of a term": 0.5,  # of zeros and ones a threshold, or another name, may say the same
    "slope": 2,
    "complement": 1,
    "alone": 1,
    "argument": 1,
    "overwritten by rounds": 1,
}  # small slips, however long they are
ODD = 2  # few people forget to divide by a tensor
MAXIMUM_LEAVES = 60
MAXIMUM_SUBSETS = 24  # of weights that may have been left out together
MAXIMUM_NODES = 1500  # in all rounds of a line: beyond that only how it assigns is questioned


Table = dict[Expr, Change]


@dataclass(frozen=True)
class Edit:
    """A changed line.

    Args:
        words: what is wrong with the line if the edit cures it.
        reverse: what is wrong with a line that the edit makes of a right one.
        equations: the line as it would be, for each of its rounds.
        kind: what kind of slip it is.
        new: what stands where the slip was.
    """

    words: str
    reverse: str
    equations: tuple[Equation, ...]
    kind: Hashable = ""
    new: Expr = ZERO


def cost(kind: Hashable, new: Expr, before: Container[Expr], most: float = math.inf) -> float:
    """How much an edit changes, by the nodes that are new beside those of the line before.

    Args:
        most: beyond that it is not counted.
    """
    if kind in COST:
        return COST[kind]
    found = ODD * (kind == "inverse")
    for node in nodes_once(new):
        found += node not in before
        if found > most:
            break
    return found


def groups(lines: Iterable[Equation], vocabulary: Vocabulary) -> list[list[Equation]]:
    """The equations of each line of the user's code: one, or one for each round of a loop.

    What a helper computes for several layers has the names of the gradients that it is returned as: lines of one form
    are one line then, too.
    """
    table: dict[Hashable, list[Equation]] = {}
    whole: dict[Hashable, list[Equation]] = {}
    for line in lines:
        label = vocabulary.label(line.tensor)
        key = (line.note, line.tensor.shape, label if not isinstance(label, Tensor) else "")
        table.setdefault(key if line.note else line.tensor, []).append(line)
        if line.note:
            whole.setdefault((line.note, len(line.tensor.shape)), []).append(line)
    found = list(table.values())
    alike = (g for g in whole.values() if all(same_form(g[0].value, line.value) for line in g[1:]))
    return [*found, *(g for g in alike if g not in found)]


def edits(
    group: Sequence[Equation],
    vocabulary: Vocabulary,
    *,
    fitting: bool = False,
    worth: Callable[[Hashable, Expr], bool] = lambda kind, new: True,
) -> Iterator[Edit | None]:
    """What the line may have been meant to be, each thing once, likely slips first; None after work in vain.

    Args:
        fitting: whether an index may still stand on an axis of another size.
        worth: whether an edit is looked into, by its kind and what is new.
    """
    size = sum(len(list(nodes_once(e.value))) for e in group)
    sources: Sequence[Callable[[Equation, Vocabulary], Found]] = SOURCES if size <= MAXIMUM_NODES else ()
    fitting = fitting or all(fits(e.value, vocabulary) for e in group)
    yield from _by(sources, group, vocabulary, fitting, worth)


def overwritten(group: Sequence[Equation], vocabulary: Vocabulary) -> Iterator[Edit | None]:
    """The line assigns what it should add, or the other way round."""
    yield from _by((_assigned,), group, vocabulary, all(fits(e.value, vocabulary) for e in group))


def without_path(group: Sequence[Equation], vocabulary: Vocabulary) -> Iterator[Edit | None]:
    """One of the terms of the line is left out: in a derivation, what one path sends back."""

    def dropped(line: Equation, v: Vocabulary) -> Found:
        for change in terms(line.value, v):
            if isinstance(change[0], tuple) and change[0][0] == "term":
                yield line.value, change

    yield from _by((dropped,), group, vocabulary, True)


def without_term(group: Sequence[Equation], vocabulary: Vocabulary) -> Iterator[Edit | None]:
    """The line lacks a gradient as one of its terms."""
    yield from _by((lacking,), group, vocabulary, True)


def _by(
    sources: Sequence[Callable[[Equation, Vocabulary], Found]],
    group: Sequence[Equation],
    vocabulary: Vocabulary,
    fitting: bool,
    worth: Callable[[Hashable, Expr], bool] = lambda kind, new: True,
) -> Iterator[Edit | None]:
    seen: set[tuple[Expr, ...]] = {tuple(e.value for e in group)}
    asked: int | None = None  # how many tests the lines have as they are
    scopes = _scopes(group[0].value) if len(group) == 1 else {}
    for source in sources:
        together: dict[Hashable, Table] = {}
        single: list[Table] = []
        for turn, equation in enumerate(group):
            for node, change in source(equation, vocabulary):
                yield None
                place = _place(equation, node, change[0], vocabulary)
                aligned = len(group) > 1 and place != "anywhere"
                for way in _rounds(node, change[2], turn, vocabulary) if aligned else ("",):
                    together.setdefault((place, change[0], way), {}).setdefault(node, change)
                single.append({node: change})
                for scope in scopes.get(node, ()):
                    tag, words, _ = change
                    single.append({scope: (tag, words, _with(scope, {node: change}))})
        alone = single if len(group) == 1 and len(together) < len(single) else []
        for table in (*together.values(), *alone):
            tag, _, slip = next(iter(table.values()))
            if not worth(_kind(tag), slip):
                yield None
                continue
            edit = _everywhere(group, table)
            if any(map(_is_place, table)):
                asked = _tests(group) if asked is None else asked
                if asked and _tests(edit.equations) < asked:
                    yield None  # a place that a test asks for is no other one: the test is gone
                    continue
            new = edit if fitting else _refitted(edit, vocabulary)
            values = tuple(e.value for e in new.equations) if new is not None else ()
            if values in seen:
                yield None
            else:
                seen.add(values)
                yield new


def _is_place(node: Expr) -> bool:
    """True for what may stand as a place: a size that may be another."""
    return not mentioned(node) and any(isinstance(n, Symbol) and n.kind == "size" for n in nodes_once(node))


def _tests(lines: Iterable[Equation]) -> int:
    """How many tests there are in these lines that are so at some places alone."""
    found = (n for line in lines for n in nodes_once(line.value) if isinstance(n, (Compare, Kronecker)))
    asked = ((n.relation if isinstance(n, Compare) else "==", n.left, n.right) for n in found if not mentioned(n))
    return sum(decide(*test) is None for test in asked)


def double_edits(group: Sequence[Equation], vocabulary: Vocabulary) -> Iterator[Edit | None]:
    """Two slips in one line, of which the first is a sign, or a tensor whose indices or place are wrong."""
    misfit = not all(fits(e.value, vocabulary) for e in group)
    for first in filter(None, edits(group, vocabulary, fitting=True)):
        if first.kind in ("sign", "sign of a term") or (misfit and first.kind in ("swapped", "other", "interchanged")):
            for second in edits(first.equations, vocabulary):
                yield second and replace(
                    second,
                    words=f"{first.words}, and {second.words}",
                    reverse=f"{first.reverse}, and {second.reverse}",
                )


def _refitted(edit: Edit, vocabulary: Vocabulary) -> Edit | None:
    """The edit with each sum over the axis that it runs along now; None if an index stands on one of another size."""
    lines = tuple(replace(e, value=resized(e.value)) for e in edit.equations)
    return replace(edit, equations=lines) if all(fits(e.value, vocabulary) for e in lines) else None


def _rounds(node: Expr, new: Expr, turn: int, vocabulary: Vocabulary) -> Iterator[Hashable]:
    """How the rounds of a line go with those of a variable that comes into it: in order, or in reverse."""
    families = [vocabulary.family(t) for t in mentioned(new) - mentioned(node)]
    several = [f for f in families if len(f) > 1]
    if len(several) != 1:
        yield ""
        return
    places = [several[0].index(t) for t in mentioned(new) - mentioned(node) if t in several[0]]
    if not places:  # another tensor of its name stands for it in every round
        yield ""
        return
    place = places[0]
    yield from (("in order", place - turn), ("in reverse", place + turn))


def _scopes(expr: Expr) -> dict[Expr, list[Expr]]:
    """For entries and numbers that stand in a line more than once, its parts that hold some of them."""
    found: dict[Expr, list[Expr]] = {}
    leaves = [n for n in _with_repeats(expr) if isinstance(n, (Entry, Number))]
    if len(leaves) > MAXIMUM_LEAVES:
        return {}
    for part in value_nodes(expr):
        if isinstance(part, (Multiply, Power)) and part is not expr:
            inside = [n for n in _with_repeats(part) if isinstance(n, (Entry, Number))]
            for leaf in dict.fromkeys(inside):
                if inside.count(leaf) < leaves.count(leaf):
                    found.setdefault(leaf, []).append(part)
    return found


def _with_repeats(expr: Expr) -> Iterator[Expr]:
    yield expr
    if not isinstance(expr, Entry):
        for child in children(expr):
            yield from _with_repeats(child)


def everywhere(lines: Sequence[Equation], vocabulary: Vocabulary) -> Iterator[Edit]:
    """One slip made in several lines: the same tensor is wrong wherever it stands, or a factor is missing."""
    yield from _in_several(lines, vocabulary, (_turned, other_parts, replaced, multiplied, _forward_parts))


def constants_everywhere(lines: Sequence[Equation], vocabulary: Vocabulary) -> Iterator[Edit]:
    """The same number or size is wrong wherever it stands: one variable has it."""
    yield from _in_several(lines, vocabulary, (_constant_nodes,))


def _in_several(
    lines: Sequence[Equation], vocabulary: Vocabulary, sources: Sequence[Callable[[Equation, Vocabulary], Found]]
) -> Iterator[Edit]:
    together: dict[Hashable, Table] = {}
    for equation in lines:
        for source in sources:
            for node, change in source(equation, vocabulary):
                together.setdefault((vocabulary.key(node), change[0]), {}).setdefault(node, change)
    for table in together.values():
        edit = _everywhere(lines, table)
        changed = tuple(e for e, old in zip(edit.equations, lines, strict=True) if e.value is not old.value)
        if len({e.note for e in changed}) > 1:
            yield Edit(edit.words, edit.reverse, changed, edit.kind, edit.new)


def without_weights(lines: Sequence[Equation], vocabulary: Vocabulary) -> Iterator[Edit]:
    """A derivation in which numbers that the chain is multiplied by on its way are left out: all, or those of a path.

    The cotangent of a weight itself keeps its factors: there they are what the weight was multiplied by.
    """
    scalars = [t for t in vocabulary.forward.inputs if not t.shape and t.kind == "real"]
    found: dict[Tensor, list[tuple[Equation, Expr]]] = {t: [] for t in scalars}
    own = {e.tensor for e in lines}
    inner = [e for e in lines if any(mentioned(other.value) & {e.tensor} for other in lines)]
    for tensor in scalars:
        entry = Entry(tensor)
        for line in inner:
            for node in value_nodes(line.value):
                if isinstance(node, Multiply) and entry in node.factors and mentioned(node) & own:
                    found[tensor].append((line, node))
    several = [t for t in scalars if found[t]]
    subsets = (c for n in range(len(several), 1, -1) for c in itertools.combinations(several, n))
    for chosen in itertools.islice(subsets, MAXIMUM_SUBSETS):
        gone = {Entry(t) for t in chosen}
        changed = []
        for line in inner:
            table: dict[Expr, Expr] = {
                n: multiply(*(f for f in n.factors if f not in gone))
                for t in chosen
                for e, n in found[t]
                if e is line and isinstance(n, Multiply)
            }
            value = substitute(line.value, table) if table else line.value
            changed += [replace(line, value=value)] if value is not line.value else []
        names = [vocabulary.called(t) for t in chosen]
        told = f"the factors {', '.join(names[:-1])} and {names[-1]} are missing"
        if changed:
            yield Edit(told, told, tuple(changed), "weights", ZERO)


def without_carry(
    lines: Sequence[Equation], vocabulary: Vocabulary, sources: Mapping[Tensor, Tensor]
) -> Iterator[Edit]:
    """A derivation in which no round of a loop hands anything back to the one before.

    Args:
        sources: what each cotangent is the derivative by.
    """
    order = {e.tensor: k for k, e in enumerate(vocabulary.forward.equations)}
    head = next((f for t in order if len(f := vocabulary.family(t)) > 1), [])  # the line that begins each round
    rounds = {
        bar: sum(order[t] <= order[source] for t in head)
        for bar, source in sources.items()
        if source in order and len(vocabulary.family(source)) > 1
    }
    changed = []
    for line in lines:
        if line.tensor in rounds:
            terms = line.value.terms if isinstance(line.value, Add) else (line.value,)
            kept = [t for t in terms if not any(rounds.get(b, 0) > rounds[line.tensor] for b in mentioned(t))]
            if len(kept) < len(terms):
                changed.append(replace(line, value=add(*kept)))
    if changed:
        told = "what a round of the loop hands back to the round before is missing: the path from one to the next"
        yield Edit(told, told, tuple(changed), "carry", ZERO)


def _forward_parts(line: Equation, vocabulary: Vocabulary) -> Found:
    """A part of the line that is meant to be a part of the forward pass, and is another one."""
    for node in value_nodes(line.value):
        if isinstance(node, (Add, Power, Apply, Entry)) and tensors_in(node):
            for part in vocabulary.parts:
                new = _at_indices(part, node)
                if new is not None and new is not node:
                    yield node, (("part", vocabulary.key(part)), stands(short(new), short(node)), new)


def _at_indices(part: Expr, node: Expr) -> Expr | None:
    """A part of the forward pass over the indices of a node, told apart by their ranges; None if they are not."""
    theirs, own = free_indices(part), free_indices(node)
    table: dict[Expr, Expr] = {}
    for index in theirs:
        fitting = [i for i in own if i.size is index.size]
        if len(fitting) != 1:
            return None
        table[index] = fitting[0]
    return substitute(part, table) if len(table) == len(own) else None


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


def _everywhere(group: Sequence[Equation], table: Table) -> Edit:
    """The lines with some nodes replaced."""
    lines = tuple(Equation(e.tensor, e.indices, _with(e.value, table), e.note) for e in group)
    tag, words, new = next(iter(table.values()))
    return Edit(*words, lines, _kind(tag), new)


def _kind(tag: Hashable) -> Hashable:
    return tag[0] if isinstance(tag, tuple) else tag


def _with(expr: Expr, table: Table) -> Expr:
    """The expression with nodes replaced, but for what stands in an index, and numbers in an exponent."""
    if expr in table:
        return table[expr][2]
    if isinstance(expr, Power) and isinstance(expr.exponent, Number):  # a 3 that it says is not the 3 of a factor
        return power(_with(expr.base, table), expr.exponent)
    parts = () if isinstance(expr, Entry) else children(expr)
    changed = tuple(_with(p, table) for p in parts)
    return expr if changed == parts else rebuild(expr, changed)


_OWN = (
    "only the term of the same index belongs there, not the sum",
    "the sum is missing: only its term of the same index is there",
)


def _place(line: Equation, node: Expr, tag: Hashable, vocabulary: Vocabulary) -> Hashable:
    """Where a slip is made, in a form that is the same in every round: what else stands in a sum does not matter."""
    if isinstance(tag, tuple) and tag[0] in ("step", "backwards"):
        return "anywhere"
    if node is line.value:
        return "the line"
    return type(node).__name__ if isinstance(node, (Add, Multiply)) else vocabulary.key(node)


def _assigned(line: Equation, vocabulary: Vocabulary) -> Found:
    """The line puts its values in the wrong way to where they belong."""
    if isinstance(line.value, Where):
        for change in assignments(line.value):
            yield line.value, change


def _turned(line: Equation, vocabulary: Vocabulary) -> Found:
    """A tensor with the wrong sign wherever it stands: a rotation back is one by the opposite angle."""
    for node in value_nodes(line.value):
        if isinstance(node, Entry) and node.tensor.kind == "real":
            words = both(f"the sign of {vocabulary.called(node.tensor)} is wrong")
            yield node, (("turned", vocabulary.label(node.tensor)), words, negate(node))


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


SOURCES = (
    misplaced, _inside, turned_sums, other_parts, scaled, replaced, interchanged, added, products, multiplied, _turned,
)  # fmt: skip

__all__ = [
    "Edit",
    "constants_everywhere",
    "cost",
    "double_edits",
    "edits",
    "everywhere",
    "groups",
    "moved",
    "overwritten",
    "without_carry",
    "without_term",
    "without_weights",
]
