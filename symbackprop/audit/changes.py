r"""What differs between a formula and its repair: the smallest parts of the two trees.

Main names: `changes`, `Change`, `in_words`. One tree is laid upon the other so that most of it stays: parts that
correspond are compared inside, what one of them has more was put in, or left out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from symbackprop.audit.grammar import parse_expression
from symbackprop.audit.tree import (
    Anything,
    Big,
    Derivative,
    Group,
    Product,
    Script,
    Scripts,
    Span,
    Symbol,
    Terms,
    children,
    walk,
)

MOST = 60_000  # pairs of nodes that are compared
WRAPPERS = Product | Terms | Group | Scripts  # in which what stood alone may stand
SPACES = re.compile(r"(?:\s|\\[,;:! ])+$")
BETWEEN = re.compile(r"(?:\s|\\[,;:! ]|\\(?:cdot|odot|times|circ)(?![A-Za-z]))*")


@dataclass(frozen=True, slots=True)
class Change:
    """A part that stands in the place of another.

    Args:
        was: where the other one stands in the formula; empty if it lacks something.
        span: where the part stands in the repair; empty if something is left out.
    """

    was: Span
    span: Span


def changes(formula: str, repair: str) -> tuple[Change, ...]:
    r"""What was changed, from left to right.

    Example:
        >>> changes(r"w_{jk} x_k", r"w_{kj} x_k")
        (Change(was=(3, 5), span=(3, 5)),)
        >>> changes(r"a - y", r"2 (a - y)")
        (Change(was=(0, 0), span=(0, 1)),)
    """
    old, new = parse_expression(formula), parse_expression(repair)
    if old == new:
        return ()
    whole = (Change(old.span, new.span),)
    comparison = _Comparison(formula, repair)
    if comparison.size(old) * comparison.size(new) > MOST:
        return whole
    found = sorted(comparison.compared(old, new)[1] or whole, key=lambda change: (change.span, change.was))
    gone = [formula[c.was[0] : c.was[1]].strip("+- ") for c in found]
    come = [repair[c.span[0] : c.span[1]].strip("+- ") for c in found]
    if any(text and text in come[:k] + come[k + 1 :] for k, text in enumerate(gone)):  # it was moved in these parts
        return (Change(_around(old, [c.was for c in found]), _around(new, [c.span for c in found])),)
    return tuple(found)


def _around(tree: Anything, spans: Sequence[Span]) -> Span:
    """Where the smallest part stands that holds all these places."""
    first, last = min(s[0] for s in spans), max(s[1] for s in spans)
    holding = [n.span for n in walk(tree) if n.span[0] <= first and last <= n.span[1]]
    return min(holding, key=lambda span: span[1] - span[0], default=tree.span)


def in_words(formula: str, repair: str, found: Iterable[Change]) -> str:
    r"""Changes as words: "w_{kj} for w_{jk}; with \sigma'(z); without 2"."""
    old, new = parse_expression(formula), parse_expression(repair)
    told: dict[str, None] = {}
    for change in found:
        indexed = _is_indexed(old, change.was) or _is_indexed(new, change.span)
        one, two = _text(formula, old, change.was, indexed), _text(repair, new, change.span, indexed)
        if one != two:
            told.setdefault(f"{two} for {one}" if one and two else f"with {two}" if two else f"without {one}")
    return "; ".join(told)


def _is_indexed(tree: Anything, span: Span) -> bool:
    """True for a part of a subscript or superscript."""
    scripts = (s for n in walk(tree) if isinstance(n, Scripts) for s in (n.below, n.above) if s is not None)
    return span[0] < span[1] and any(s.span[0] <= span[0] and span[1] <= s.span[1] for s in scripts)


def _text(text: str, tree: Anything, span: Span, indexed: bool) -> str:
    """What stands there; with the letter that has it as an index."""
    if indexed:
        first = span[0] if span[0] < span[1] else span[0] - 1  # what was put in stands behind its letter
        nodes = [n for n in walk(tree) if n.span[0] <= first and span[1] <= n.span[1]]
        whole = [n for n in nodes if isinstance(n, Scripts) and first < n.span[1]]
        ended = [n for n in nodes if isinstance(n, Symbol | Group) and n.span[1] == span[1]]
        span = (whole[-1:] or ended[:1] or [tree])[0].span
    return SPACES.sub("", " ".join(text[span[0] : span[1]].split()))


@dataclass(frozen=True, slots=True)
class _Item:
    """A term or a factor, and where the sign before it stands."""

    node: Anything
    sign: str = ""
    place: Span = (0, 0)

    @property
    def span(self) -> Span:
        """Where it stands, a + or - before it included."""
        node = _span(self.node)
        return (self.place[0], node[1]) if self.sign in ("+", "-") else node


def _span(node: Anything) -> Span:
    """Where a part stands; of a script what it holds."""
    if isinstance(node, Script) and node.items:
        return (node.items[0].span[0], node.items[-1].span[1])
    return node.span


_Found: TypeAlias = tuple[int, tuple[Change, ...]]  # how much differs, and what


class _Comparison:
    """Two trees that are laid one upon the other."""

    def __init__(self, formula: str, repair: str) -> None:
        self.texts = (formula, repair)
        self.known: dict[tuple[int, int], _Found] = {}
        self.sizes: dict[int, int] = {}

    def size(self, node: Anything) -> int:
        """How many letters and numbers there are in a part."""
        if id(node) not in self.sizes:
            self.sizes[id(node)] = sum(self.size(inner) for inner in children(node)) or 1
        return self.sizes[id(node)]

    def compared(self, old: Anything, new: Anything) -> _Found:
        """The least that differs between two parts."""
        key = (id(old), id(new))
        if key not in self.known:
            self.known[key] = (0, ()) if old == new else self._least(old, new)
        return self.known[key]

    def _least(self, old: Anything, new: Anything) -> _Found:
        whole = (self.size(old) + self.size(new), (Change(_span(old), _span(new)),))
        return min((whole, *self._inside(old, new)), key=lambda found: found[0])

    def _inside(self, old: Anything, new: Anything) -> Iterator[_Found]:
        """Ways to keep some of it: part by part, or one of them as a part of the other."""
        if type(old) is type(new) and (found := self._part_by_part(old, new)) is not None:
            yield found
        if isinstance(new, WRAPPERS):
            cost, parts = self._aligned([_Item(old, _first_sign(new))], self._items(new, 1), old, new)
            yield cost + 1, parts
        if isinstance(old, WRAPPERS):
            cost, parts = self._aligned(self._items(old, 0), [_Item(new, _first_sign(old))], old, new)
            yield cost + 1, parts
        if (body := _under(new)) is not None:
            cost, parts = self.compared(old, body)
            head = Change(_start(old), (new.span[0], body.span[0]))
            yield cost + 2 + self.size(new) - self.size(body), (head, *parts)
        if (body := _under(old)) is not None:
            cost, parts = self.compared(body, new)
            head = Change((old.span[0], body.span[0]), _start(new))
            yield cost + 2 + self.size(old) - self.size(body), (head, *parts)

    def _part_by_part(self, old: Anything, new: Anything) -> _Found | None:
        """Two nodes of one kind, field by field; None where they are of another letter, bracket or sign."""
        if isinstance(old, Product | Terms):
            return self._aligned(self._items(old, 0), self._items(new, 1), old, new)
        cost, found = 0, list[Change]()
        for name in old.__dataclass_fields__:
            one, two = getattr(old, name), getattr(new, name)
            if name == "span" or one == two:
                continue
            if isinstance(one, tuple) and isinstance(two, tuple) and all(hasattr(x, "span") for x in (*one, *two)):
                if isinstance(old, Script) and len(one) != len(two):
                    return None
                more, parts = self._sequences(old, one, two, new)
            elif hasattr(one, "span") and hasattr(two, "span"):
                more, parts = self.compared(one, two)
            elif one is None and hasattr(two, "span"):
                more, parts = self.size(two), (Change(_end(old), _span(two)),)
            elif two is None and hasattr(one, "span"):
                more, parts = self.size(one), (Change(_span(one), _end(new)),)
            else:
                return None
            cost, found = cost + more, [*found, *parts]
        return cost, tuple(found)

    def _sequences(self, old: Anything, one: Sequence[Any], two: Sequence[Any], new: Anything) -> _Found:
        """Items of a bracket, members of a chain; indices correspond by their places."""
        if isinstance(old, Script):
            pairs = [self.compared(a, b) for a, b in zip(one, two, strict=True)]
            found = [change for _, parts in pairs for change in parts]
            items = [_Item(n) for n in (*one, *two)]
            return sum(cost for cost, _ in pairs), self._joined(found, items)
        return self._aligned([_Item(n) for n in one], [_Item(n) for n in two], old, new)

    def _items(self, node: Anything, side: int) -> list[_Item]:
        """The parts of a node in their order, each with the sign before it."""
        parts = list(children(node))
        if not isinstance(node, Terms | Product):
            return [_Item(part) for part in parts]
        signs = node.signs if isinstance(node, Terms) else ("", *node.operators)
        found, end = [], node.span[0]
        for sign, part in zip(signs, parts, strict=True):
            between = self.texts[side][end : part.span[0]]
            start = end + len(between) - len(between.lstrip())
            found.append(_Item(part, sign, (start, max(start, end + len(between.rstrip())))))
            end = part.span[1]
        return found

    def _aligned(self, old: list[_Item], new: list[_Item], around_old: Anything, around_new: Anything) -> _Found:
        """Two sequences, of which as much as can be corresponds in this order."""
        best: list[list[_Found]] = [[(0, ())] * (len(new) + 1) for _ in range(len(old) + 1)]
        for i, j in itertools.product(range(len(old) + 1), range(len(new) + 1)):
            ways: list[_Found] = []
            was = _span(old[i - 1].node)[1] if i else around_old.span[0]
            now = _span(new[j - 1].node)[1] if j else around_new.span[0]
            if i and j:
                cost, found = best[i - 1][j - 1]
                more, parts = self._matched(old[i - 1], new[j - 1], len(old) == len(new))
                ways.append((cost + more, (*found, *parts)))
            if j:
                cost, found = best[i][j - 1]
                ways.append((cost + self.size(new[j - 1].node), (*found, Change((was, was), new[j - 1].span))))
            if i:
                cost, found = best[i - 1][j]
                ways.append((cost + self.size(old[i - 1].node), (*found, Change(old[i - 1].span, (now, now)))))
            best[i][j] = min(ways, key=lambda way: way[0], default=(0, ()))
        cost, found = best[-1][-1]
        return cost, self._joined(found, [*old, *new])

    def _matched(self, old: _Item, new: _Item, in_place: bool) -> _Found:
        """Two terms or factors that correspond, and the signs before them."""
        cost, parts = self.compared(old.node, new.node)
        if old.sign == new.sign or not (in_place or {old.sign, new.sign} == {"+", "-"}):
            return cost, parts
        here = old.place if old.place[1] else _start(old.node)
        there = new.place if new.place[1] else _start(new.node)
        return cost + 1, (Change(here, there), *parts)

    def _joined(self, found: Iterable[Change], items: Sequence[_Item]) -> tuple[Change, ...]:
        """Changes of whole items one beside the other as one."""
        places = {place for item in items for place in (item.span, _span(item.node), item.place)}
        joined: list[Change] = []
        before = False
        for change in found:
            whole = all(place[0] == place[1] or place in places for place in (change.was, change.span))
            last = joined[-1] if joined else None
            if (
                last is not None
                and whole
                and before
                and BETWEEN.fullmatch(self.texts[0], last.was[1], max(last.was[1], change.was[0]))
                and BETWEEN.fullmatch(self.texts[1], last.span[1], max(last.span[1], change.span[0]))
            ):
                joined[-1] = Change(_both(last.was, change.was), _both(last.span, change.span))
            else:
                joined.append(change)
            before = whole
        return tuple(joined)


def _both(one: Span, other: Span) -> Span:
    """What two places make together; an empty one counts only beside another."""
    if other[0] == other[1]:
        return one
    return other if one[0] == one[1] else (one[0], other[1])


def _first_sign(node: Anything) -> str:
    return "+" if isinstance(node, Terms) else ""


def _under(node: Anything) -> Anything | None:
    """What stands behind a sum or the sign of a derivative."""
    match node:
        case Big(_, _, _, body):
            return body
        case Derivative(_, "operator", of):
            return of
    return None


def _start(node: Anything) -> Span:
    return (node.span[0], node.span[0])


def _end(node: Anything) -> Span:
    return (node.span[1], node.span[1])


__all__ = ["Change", "changes", "in_words"]
