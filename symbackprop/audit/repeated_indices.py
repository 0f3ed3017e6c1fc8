r"""Einstein's convention: y_i = W_{ij} x_j, where an index that stands twice in a term is summed over.

Main names: `convention` (whether a document keeps to it) and `RepeatedIndices`, which writes \sum_j W_{ij} x_j.
An index that stands free in the first member of a chain is not summed in the others, so f'(y_i) \delta_i may be
multiplied entry by entry. A square counts twice, (s_k - t_k)^2; what stands in brackets is summed in them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from symbackprop.audit.extraction import Document
from symbackprop.audit.names import Habits, Names
from symbackprop.audit.notation import NO, YES
from symbackprop.audit.tree import (
    Application,
    Big,
    Chain,
    Derivative,
    Display,
    Fraction,
    Group,
    Node,
    Number,
    Product,
    Script,
    Scripts,
    Symbol,
    Terms,
    links,
    walk,
)

WORDS = (
    r"einstein|summation convention|(?:repeated|dummy|doubled|same|paired) ind(?:ices|ex(?:es)?)[^.]{0,40}\bsum"
    r"|sum\w*[^.]{0,30}\b(?:over|of) (?:all )?(?:repeated|doubled|paired) ind"
)
ENOUGH = 2  # formulas with repeated indices and no sum, where no words say so


def convention(document: Document, displays: Sequence[Display], habits: Habits, choices: Mapping[str, str]) -> str:
    """Why repeated indices are summed over, in words; "" if they are not."""
    chosen = choices.get("einstein", "").lower()
    if chosen in NO:
        return ""
    if chosen in YES:
        return "as is chosen"
    if re.search(WORDS, " ".join(paragraph for _, paragraph in document.prose), re.I):
        return "as the text says"
    if any(isinstance(node, Big) for display in displays for node in walk(display)):
        return ""
    reader = RepeatedIndices(Names(habits))
    repeated = 0
    for display in displays:
        for step in links(display):
            if step.left is not None and step.relation.sign in ("=", ":=", "\u2261"):
                repeated += reader.summed(step.right, reader.free(step.left)) != step.right
    return "as no sums are written" if repeated >= ENOUGH else ""


@dataclass
class RepeatedIndices:
    """Writes the sums over repeated indices."""

    names: Names

    def display(self, display: Display) -> Display:
        """A formula with its sums."""
        rows, kept = [], frozenset[str]()
        for row in display.rows:
            chains = []
            for chain in row.chains:
                if not chain.continues and chain.members:
                    kept = self.free(chain.members[0])
                chains.append(self.chain(chain, kept))
            rows.append(replace(row, chains=tuple(chains)))
        return replace(display, rows=tuple(rows))

    def chain(self, chain: Chain, kept: frozenset[str]) -> Chain:
        """A chain whose first member has these indices."""
        if not chain.relations:
            return chain
        return replace(chain, members=tuple(self.summed(member, kept) for member in chain.members))

    def free(self, node: Node) -> frozenset[str]:
        """The indices of a formula that are not summed over."""
        return frozenset(name for name, times in self._count(node, frozenset()).items() if times == 1)

    def summed(self, node: Node, kept: frozenset[str]) -> Node:
        """A formula with its sums; `kept` are the indices that stand outside of it too."""
        if isinstance(node, Terms):
            return replace(node, terms=tuple(self.summed(term, kept) for term in node.terms))
        here = tuple(name for name, times in self._count(node, kept).items() if times > 1 and name not in kept)
        inside = self._inside(node, kept | set(here))
        if not here:
            return inside
        return Big("sum", tuple(Symbol(name) for name in here), None, inside, span=node.span)

    def _inside(self, node: Node, kept: frozenset[str]) -> Node:
        """A formula with the sums of its parts."""
        match node:
            case Scripts() if self.names.mention(node) is not None:
                return node
            case Product(factors):
                counts = [self._count(factor, kept) for factor in factors]
                found = []
                for k, factor in enumerate(factors):
                    others = {name for j, count in enumerate(counts) if j != k for name in count}
                    found.append(self._part(factor, kept | others))
                return replace(node, factors=tuple(found))
            case Big(body=body) if body is not None:
                return replace(node, body=self.summed(body, kept | _bound(node)))
            case Derivative(of=of) if of is not None:
                by = frozenset(name for variable in node.by for name in self._count(variable, kept))
                return replace(node, of=self.summed(of, kept | by))
        return self._part(node, kept)

    def _part(self, node: Node, kept: frozenset[str]) -> Node:
        """What stands in brackets, or is an argument, is summed there."""
        if isinstance(node, Scripts) and self.names.mention(node) is not None:
            return node
        if isinstance(node, Product | Big | Derivative):
            return self._inside(node, kept)
        changed: dict[str, Any] = {}
        for each in fields(node):
            value = getattr(node, each.name)
            if each.name in ("span", "below", "above", "function", "lower", "upper"):
                continue
            if isinstance(value, tuple) and all(isinstance(item, Node) for item in value):
                changed[each.name] = tuple(self.summed(item, kept) for item in value)
            elif isinstance(value, Node):
                changed[each.name] = self.summed(value, kept)
        return replace(node, **changed) if changed else node

    def _count(self, node: Node, kept: frozenset[str]) -> Counter[str]:
        """How often each index stands in a term; one that is summed over in a part of it does not count."""
        match node:
            case Scripts():
                return self._of_scripts(node, kept)
            case Terms(terms):
                found: Counter[str] = Counter()
                for term in terms:
                    found |= self._open(term, kept)
                return found
            case Group(_, _, items):
                return sum((self._open(item, kept) for item in items), Counter())
            case Application(_, argument) if argument is not None:
                return self._open(argument, kept)
            case Product(factors):
                return sum((self._count(factor, kept) for factor in factors), Counter())
            case Fraction(top, bottom):
                return self._count(top, kept) + self._open(bottom, kept)
            case Derivative(_, _, of, by):
                return sum((self._count(n, kept) for n in ((of, *by) if of is not None else by)), Counter())
            case Big(body=body) if body is not None:
                inner = self._count(body, kept | _bound(node))
                return Counter({name: n for name, n in inner.items() if name not in _bound(node)})
        return Counter()

    def _open(self, node: Node, kept: frozenset[str]) -> Counter[str]:
        return Counter({n: t for n, t in self._count(node, kept).items() if t == 1 or n in kept})

    def _of_scripts(self, node: Scripts, kept: frozenset[str]) -> Counter[str]:
        mention = self.names.mention(node)
        square = node.above is not None and node.above.items == (Number("2"),)
        if mention is None:
            inner = self._count(node.base, kept) + Counter(_letters(node.below))
        else:
            inner = Counter(item.name for item in mention.components if isinstance(item, Symbol))
        return inner + inner if square else inner


def _letters(script: Script | None) -> Iterator[str]:
    """The letters of an index on brackets, (W x)_i."""
    for item in script.items if script is not None else ():
        if isinstance(item, Symbol) and len(item.name) == 1:
            yield item.name


def _bound(node: Big) -> frozenset[str]:
    return frozenset(n.name for low in node.lower for n in walk(low) if isinstance(n, Symbol))


__all__ = ["RepeatedIndices", "convention"]
