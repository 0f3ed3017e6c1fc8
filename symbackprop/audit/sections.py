r"""Sections that stand by themselves: their letters mean what they themselves say, whatever these mean elsewhere.

Notes go from one subject to the next: w is a vector of weights in one section and a kernel in another, and x the
argument of one function beside the data x_i of another. Sections, and within them formulas, are one group where one of
them speaks of what only the other defines. Main names: `groups`, `alone`.
"""

from __future__ import annotations

from collections.abc import Iterable

from symbackprop.audit.definitions import Environment, mentions_in
from symbackprop.audit.extraction import Document
from symbackprop.audit.tree import Display, links


def groups(document: Document, env: Environment) -> list[frozenset[int]]:
    """The formulas that depend on each other: sections first, then formulas by themselves; see the module.

    Formulas are known by their numbers. A group in which nothing is defined is left out, and so is one of all formulas.
    """
    headings: dict[tuple[str, ...], list[int]] = {}
    for f, formula in enumerate(document.formulas):
        headings.setdefault(formula.headings, []).append(f)
    sections = _connected(env, list(headings.values()))
    return list(dict.fromkeys((*sections, *_connected(env, [[f] for f in range(len(env.displays))]))))


def _connected(env: Environment, pieces: list[list[int]]) -> list[frozenset[int]]:
    """Pieces of a document joined where one speaks of what only the other defines."""
    own = [_defined(env, piece) for piece in pieces]
    homes: dict[str, list[int]] = {}
    for n, families in enumerate(own):
        for family in families:
            homes.setdefault(family, []).append(n)
    joined = list(range(len(pieces)))

    def root(n: int) -> int:
        while joined[n] != n:
            joined[n] = n = joined[joined[n]]
        return n

    for n, piece in enumerate(pieces):
        for family in _mentioned(env, piece) - own[n]:
            for other in homes.get(family, ()):
                joined[root(n)] = root(other)
    found: dict[int, set[int]] = {}
    for n, piece in enumerate(pieces):
        found.setdefault(root(n), set()).update(piece)
    speaking = [g for g in found.values() if any(links(env.displays[f]) for f in g)]
    return [frozenset(g) for g in speaking if len(speaking) > 1 and _defined(env, g)]


def alone(document: Document, env: Environment, group: frozenset[int]) -> tuple[Display, ...]:
    """A document of which only the formulas of a group are read, and what is noted under the same headings."""
    under = {document.formulas[f].headings for f in group}

    def kept(f: int) -> bool:
        roles = {env.roles.get((f, k)) for k, _ in enumerate(links(env.displays[f]))}
        return f in group or (roles <= {"NOTATION"} and document.formulas[f].headings in under)

    return tuple(display if kept(f) else Display(()) for f, display in enumerate(env.displays))


def _defined(env: Environment, formulas: Iterable[int]) -> set[str]:
    """The families of which a section has equations, as definitions or as further ones."""
    found = set()
    for f in formulas:
        for step in links(env.displays[f]):
            head = (
                env.head(step.left) if step.left is not None and step.relation.sign in ("=", ":=", "≡", "≜") else None
            )
            if head is not None and head.mention.plain:
                family = head.mention.family
                if env.definitions.get(family) or env.functions.get(family) is not None:
                    found.add(family)
    return found


def _mentioned(env: Environment, formulas: Iterable[int]) -> set[str]:
    sides = (side for f in formulas for step in links(env.displays[f]) for side in (step.left, step.right))
    return set().union(*(mentions_in(env, side) for side in sides if side is not None))


__all__ = ["alone", "groups"]
