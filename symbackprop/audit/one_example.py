r"""The cost of one example: J = -\frac1m \sum_i [...] + \frac{\lambda}{2m} \sum \Theta^2 for m = 1 and \lambda = 0.

Lectures define the cost of all examples and go on with one, (x, y), whose derivatives are then added up. Main names:
`is_spoken_of`, `for_one_example`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from symbackprop.audit.definitions import Environment
from symbackprop.audit.tree import (
    Big,
    Chain,
    Display,
    Group,
    Node,
    Number,
    Script,
    Scripts,
    Symbol,
    Terms,
    walk,
    with_parts,
)

ONE_EXAMPLE = "the cost is that of one example, without what is added to the mean"
SAID = (
    r"\b(?:one|single|fixed|particular|given(?: an?)?) (?:individual |particular |training |input |data )*"
    r"(?:example|sample|instance|observation|point|case|pattern)\b"
    r"|(?:without|ignor\w+|omit\w*|neglect\w*|disregard\w*|leav\w+ out|dropping)[^.]{0,40}regulari[sz]"
    r"|\\lambda ?= ?0(?!\d)|\$m ?= ?1\$"
)
ALL = r"\b(?:all|\$?m\$?|\$?N\$?|the|whole|entire|over) (?:training )?(?:examples|samples|set|data|batch)\b|vectori[sz]"


def is_spoken_of(words: str) -> bool:
    """True if the words go on with one example, or leave the penalty out, and do not come back to all examples."""
    last = max((m.end() for m in re.finditer(SAID, words, re.I)), default=None)
    return last is not None and re.search(ALL, words[last:], re.I) is None


def for_one_example(env: Environment, displays: Sequence[Display]) -> tuple[Display, ...] | None:
    """The formulas with costs of one example for those of all; None if no cost is a sum over examples."""
    places: dict[tuple[int, int, int], Node] = {}
    for family in env.numerators:
        for d in env.definitions.get(family, ()):
            single = _single(env, d.right) if d.place[0] >= 0 else None
            if single is not None:
                link = env.link(d.place)
                places[d.place[0], link.row, link.link] = single
    if not places:
        return None
    return tuple(_with(f, display, places) for f, display in enumerate(displays))


def _with(f: int, display: Display, places: dict[tuple[int, int, int], Node]) -> Display:
    rows = []
    for row in display.rows:
        chains = []
        for chain in row.chains:
            members = list(chain.members)
            start = len(members) - len(chain.relations)  # a row that begins with = goes on from the one above
            for n, relation in enumerate(chain.relations, start):
                members[n] = places.get((f, row.number, relation.link), members[n])
            chains.append(replace(chain, members=tuple(members)))
        rows.append(replace(row, chains=tuple(chains)))
    return replace(display, rows=tuple(rows))


def _single(env: Environment, right: Node) -> Node | None:
    """What one example adds to a cost."""
    terms, signs = (right.terms, right.signs) if isinstance(right, Terms) else ((right,), ("+",))
    kept = [(t, s) for t, s in zip(terms, signs, strict=True) if any(_letter(env, n) for n in walk(t))]
    if not kept:
        return None
    sums = [n for t, _ in kept for n in walk(t) if isinstance(n, Big) and _letter(env, n)]
    letters = {_letter(env, n) for n in sums}
    number = {n.upper for n in sums if n.upper is not None}
    made = tuple(_unmarked(t, letters, number) for t, _ in kept)
    return made[0] if len(made) == 1 and kept[0][1] == "+" else Terms(made, tuple(s for _, s in kept))


def _letter(env: Environment, node: object) -> str | None:
    """The letter of a sum over examples."""
    if not isinstance(node, Big) or node.operator != "sum" or node.body is None or len(node.lower) != 1:
        return None
    match node.lower[0]:
        case Symbol(name) | Chain((Symbol(name), *_)):
            samples = (m.sample for n in walk(node.body) if isinstance(n, Scripts) and (m := env.names.mention(n)))
            return name if Symbol(name) in samples else None
    return None


def _unmarked(value: Any, letters: set[str | None], number: set[Node]) -> Any:
    """A tree without these sums and without the marks ^{(i)}; their number is 1."""
    if hasattr(value, "span") and value in number:
        return Number("1")
    match value:
        case Big("sum", (Symbol(name) | Chain((Symbol(name), *_)),), _, body) if name in letters and body is not None:
            return Group("(", ")", (_unmarked(body, letters, number),))
        case Scripts(base, below, Script(items), primes):
            marks = tuple(
                i for i in items if not (isinstance(i, Group) and i.items in {(Symbol(n),) for n in letters if n})
            )
            if len(marks) < len(items):
                above = Script(marks, ("",) * (len(marks) - 1)) if marks else None
                plain = _unmarked(base, letters, number)
                return Scripts(plain, below, above, primes) if below or above or primes else plain
    return with_parts(value, lambda part: _unmarked(part, letters, number))


__all__ = ["ONE_EXAMPLE", "for_one_example", "is_spoken_of"]
