r"""Letters of units that stand for layers: a_j = \sum_i w_{ji} z_i and z_j = h(a_j).

There i, j and k number the units of layers that follow each other, and nothing marks the layer: read literally, a
would be made of itself. Main name: `layers_of_units`, which finds what layer each letter speaks of and writes it above
the quantities of units: a^{(l)}_j = \sum_i w^{(l)}_{ji} z^{(l-1)}_i. A document in which the letters do not agree on
layers, or that marks layers otherwise, is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from symbackprop.audit.tree import (
    Application,
    Big,
    Display,
    Group,
    Link,
    Node,
    Number,
    Product,
    Script,
    Scripts,
    Symbol,
    Terms,
    links,
    walk,
    with_parts,
)

Rewriter = Callable[[Any], Any]


@dataclass(frozen=True)
class Weights:
    """X_j = \\sum_i w_{ji} Y_i: the quantity of a unit, the weights and what they are applied to."""

    made: str
    weights: str
    read: str
    receiver: str
    sender: str
    first: bool  # the receiver is the first index


def layers_of_units(displays: Sequence[Display]) -> Rewriter | None:
    """What writes the layers into a formula; None where the document does not speak so."""
    nodes = [node for display in displays for node in walk(display)]
    closings = _closings(displays)
    found = next((w for w in _weighted(displays) if w.made != w.read and (w.read, w.made) in closings), None)
    if found is None or _marked(nodes, found):
        return None
    offsets = _offsets(nodes, found)
    if offsets is None:
        return None
    units = _units(nodes, offsets, found)
    top = _output_letter(displays, units, offsets)

    def written(node: Any, general: bool) -> Any:
        last = top is not None and not general
        return _rewritten(node, units, found, offsets, "L" if last else "l", top if last and top is not None else 0)

    def rewriter(value: Any) -> Any:
        if isinstance(value, Display):
            return _display(value, found, written)
        return written(value, False)

    return rewriter


def _entry(node: object) -> tuple[str, tuple[str, ...]] | None:
    """The letter of an entry, and those of its indices: w_{ji}."""
    match node:
        case Scripts(Symbol(name, _, accents), Script(items), _, _) if all(isinstance(i, Symbol) for i in items):
            return " ".join((*accents, name)), tuple(i.name for i in items if isinstance(i, Symbol))
    return None


def _weighted(displays: Sequence[Display]) -> Iterator[Weights]:
    for step in _steps(displays):
        left = _entry(step.left)
        if left is None or len(left[1]) != 1:
            continue
        made, (receiver,) = left
        for big in walk(step.right):
            if not isinstance(big, Big) or big.operator != "sum" or not isinstance(big.body, Product):
                continue
            entries = [e for f in big.body.factors if (e := _entry(f)) is not None]
            pairs = [e for e in entries if len(e[1]) == 2 and receiver in e[1]]
            ones = [e for e in entries if len(e[1]) == 1]
            if len(entries) == 2 and len(pairs) == len(ones) == 1:
                (sender,) = ones[0][1]
                if set(pairs[0][1]) == {receiver, sender} and sender != receiver:
                    yield Weights(made, pairs[0][0], ones[0][0], receiver, sender, pairs[0][1][0] == receiver)


def _steps(displays: Sequence[Display]) -> Iterator[Link]:
    for display in displays:
        for step in links(display):
            if step.relation.sign in ("=", ":=", "≡") and step.left is not None:
                yield step


def _closings(displays: Sequence[Display]) -> set[tuple[str, str]]:
    """Which quantity of a unit is made, unit by unit, of which other alone: z and a of z_j = h(a_j)."""
    found = set()
    for step in _steps(displays):
        left = _entry(step.left)
        if left is None or len(left[1]) != 1:
            continue
        inside = {e for n in walk(step.right) if (e := _entry(n)) is not None}
        called = any(isinstance(n, Application | Group) for n in walk(step.right))
        if called and len(inside) == 1:
            ((made, indices),) = inside
            if indices == left[1]:
                found.add((left[0], made))
    return found


def _marked(nodes: Sequence[object], w: Weights) -> bool:
    """True if the quantities carry marks of layers or examples, or numbers of units."""
    for node in nodes:
        if not isinstance(node, Scripts) or not isinstance(node.base, Symbol):
            continue
        if node.base.name not in (w.made, w.weights, w.read):
            continue
        if node.above is not None and not all(isinstance(i, Number) for i in node.above.items):
            return True
        if node.below is not None and any(not isinstance(i, Symbol) for i in node.below.items):
            return True
        if node.below is not None and node.base.name in (w.made, w.read) and len(node.below.items) != 1:
            return True
    return False


def _offsets(nodes: Sequence[object], w: Weights) -> dict[str, int] | None:
    """The layer of each letter, counted from that of the receiver in the definition; None if most do not agree.

    What is said first counts: a claim in which two indices are swapped is to be judged by the others.
    """
    found = {w.receiver: 0, w.sender: -1}
    entries = [e for n in nodes if (e := _entry(n)) is not None and e[0] == w.weights]
    pairs = [e[1] if w.first else e[1][::-1] for e in entries if len(e[1]) == 2]
    for _ in range(len(set(pairs)) + 1):
        for receiver, sender in pairs:
            if sender in found:
                found.setdefault(receiver, found[sender] + 1)
            if receiver in found:
                found.setdefault(sender, found[receiver] - 1)
    sound = sum(found.get(r, 0) == found.get(s, 0) + 1 for r, s in pairs)
    return found if 2 * sound > len(pairs) else None


def _units(nodes: Sequence[object], offsets: dict[str, int], w: Weights) -> frozenset[str]:
    """The letters of quantities that every unit has: with one index, a letter of units, wherever they have any."""
    entries = [e for n in nodes if (e := _entry(n)) is not None and e[0] != w.weights]
    every = {name for name, _ in entries}
    return frozenset(n for n in every if all(len(i) == 1 and i[0] in offsets for name, i in entries if name == n))


def _output_letter(displays: Sequence[Display], units: frozenset[str], offsets: dict[str, int]) -> int | None:
    """The layer of the letter over which a cost adds up its units: that is the last one."""
    for step in _steps(displays):
        if _entry(step.left) is not None:
            continue
        for big in walk(step.right):
            if isinstance(big, Big) and big.operator == "sum" and big.body is not None:
                entries = [e for n in walk(big.body) if (e := _entry(n)) is not None and e[0] in units]
                letters = {i for _, indices in entries for i in indices}
                if len(letters) == 1 and len(entries) > 1:
                    return offsets[letters.pop()]
    return None


def _display(display: Display, w: Weights, written: Callable[[Any, bool], Any]) -> Display:
    """A display with layers: definitions speak of every layer, what else there is of those of its letters."""
    rows = []
    for row in display.rows:
        chains = []
        for chain in row.chains:
            head = _entry(chain.members[0]) if chain.members and not chain.continues else None
            general = head is not None and head[0] in (w.made, w.read) and bool(chain.relations)
            chains.append(written(chain, general))
        rows.append(replace(row, chains=tuple(chains)))
    return replace(display, rows=tuple(rows))


def _layer(base: str, offset: int) -> Node:
    if not offset:
        return Symbol(base)
    return Terms((Symbol(base), Number(str(abs(offset)))), ("+", "+" if offset > 0 else "-"))


def _rewritten(value: Any, units: frozenset[str], w: Weights, offsets: dict[str, int], base: str, start: int) -> Any:
    """The tree with a layer above each quantity of a unit."""
    entry = _entry(value) if hasattr(value, "span") else None
    if entry is not None and (entry[0] in units or entry[0] == w.weights):
        layers = [offsets[letter] for letter in entry[1] if letter in offsets]
        if len(layers) == len(entry[1]):  # weights are those of the layer that they lead to
            mark = Script((Group("(", ")", (_layer(base, max(layers) - start),)),))
            inner = Scripts(value.base, value.below, mark, span=value.span)
            return inner if value.above is None and not value.primes else replace(value, base=inner, below=None)
    return with_parts(value, lambda part: _rewritten(part, units, w, offsets, base, start))


__all__ = ["layers_of_units"]
