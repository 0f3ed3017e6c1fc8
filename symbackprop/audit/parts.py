r"""Parts of a document that define quantities anew: "now let $E$ be the cross-entropy", in a section of its own.

A second equation for a quantity is a claim about it, unless the words, or a new heading and the words, say that it is
now something else. From there on a part begins: it keeps what was defined before and is not replaced. Main names:
`parts`, `Part`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from symbackprop.audit.definitions import DEFINES, Environment
from symbackprop.audit.extraction import Document, sentences
from symbackprop.audit.tree import Derivative, Display, Link, links

ANEW = (
    r"\b(?:now|instead|alternatively|redefin\w+|this time|henceforth|from (?:here|now|this point) on(?:wards?)?"
    r"|changes? (?:of )?(?:the )?notation|different (?:cost|loss|notation)|for this section|in this section)\b"
)
LET = r"\b(?:let|suppose|consider|take|define|denote|set|write|with|computes?|is (?:now )?given by|use[sd]?|becomes?)\b"

SAYS_ITSELF = r"\$[^$]*=[^$]*\$.*[.!?]$"  # a whole sentence with an equation of its own, of which its words speak


@dataclass(frozen=True)
class Part:
    """The formulas from `first` up to, not including, `end`.

    Args:
        replaced: the families that are defined anew in it, or in a part between.
    """

    first: int
    end: int
    replaced: frozenset[str] = frozenset()


def parts(document: Document, env: Environment) -> list[Part]:
    """Where quantities are defined anew; one part that holds everything in most documents."""
    defined: dict[str, int] = {}
    starts: list[tuple[int, set[str]]] = [(0, set())]
    for f, display in enumerate(env.displays):
        for k, step in enumerate(links(display)):
            family = _defines(env, step)
            if family is None:
                continue
            before = defined.get(family)
            claimed = (f, k) not in env.roles
            marked = (
                step.left is not None and (head := env.head(step.left)) is not None and head.mention.layer is not None
            )
            named = any(d.slope for d in env.definitions.get(family, ()))
            if claimed and before is not None and before >= 0 and _anew(document, before, f, not marked and not named):
                if starts[-1][0] and _closely(document, starts[-1][0], f) and family not in starts[-1][1]:
                    starts[-1][1].add(family)
                else:
                    starts.append((_beginning(document, f), {family}))
                defined[family] = f
            elif before is None:
                defined[family] = f
    found = []
    for n, (first, families) in enumerate(starts):
        end = starts[n + 1][0] if n + 1 < len(starts) else len(document.formulas)
        found.append(Part(first, end, frozenset(families)))
    return found


def _closely(document: Document, first: int, f: int) -> bool:
    """True if a formula stands in the paragraph in which a part began."""
    one, two = document.formulas[first], document.formulas[f]
    return one.headings == two.headings and two.line - one.line <= 4


def _beginning(document: Document, f: int) -> int:
    """The first formula of the paragraph in running text in which a quantity is defined anew."""
    while f and not document.formulas[f].display and not document.formulas[f - 1].display:
        before, here = document.formulas[f - 1], document.formulas[f]
        if before.headings != here.headings or here.line - before.line > 2:
            break
        f -= 1
    return f


def _defines(env: Environment, step: Link) -> str | None:
    """The family of a quantity alone on the left, of which the right side is no derivative."""
    if step.left is None or step.relation.sign not in DEFINES or isinstance(step.right, Derivative):
        return None
    head = env.head(step.left)
    if head is None or not head.mention.plain:
        return None
    family = head.mention.family
    if family in env.functions:
        return family if head.arguments and env.functions[family] is not None else None
    return family if env.definitions.get(family) else None


def _anew(document: Document, first: int, f: int, opening: bool = True) -> bool:
    """True if the words before a formula say that a quantity is now something else.

    Args:
        opening: the formula with which a section opens, without words, says so too.
    """
    before, here = document.formulas[first], document.formulas[_led_by(document, f)]
    told = sentences(here.before)
    last = " ".join(s for s in told[-2:] if not re.search(SAYS_ITSELF, s))
    sentence = told[-1]
    if re.search(ANEW, last if here.display else sentence, re.I):
        return True
    if before.headings == here.headings:
        return False
    opens = opening and not here.before.strip() and here.display and document.formulas[f - 1].headings != here.headings
    return opens or re.search(LET, sentence, re.I) is not None


def _led_by(document: Document, f: int) -> int:
    """The formula that stands first in a list of them, "let $$a$$ and $$b$$": its words lead to all."""
    while f and re.fullmatch(r"\W*(?:and|with)?\W*", document.formulas[f].before):
        one, two = document.formulas[f - 1], document.formulas[f]
        if one.headings != two.headings or one.latex.rstrip(" ~\\,").endswith("."):
            break
        f -= 1
    return f


def seen_from(part: Part, every: Sequence[Part], displays: Sequence[Display], env: Environment) -> tuple[Display, ...]:
    """A document's formulas as they stand in a part: of the earlier ones what they define, as far as it holds on."""
    found: list[Display] = []
    for f, display in enumerate(displays):
        if part.first <= f < part.end:
            found.append(display)
            continue
        own = next(p for p in every if p.first <= f < p.end)
        gone = {name for p in every if own.first < p.first <= part.first for name in p.replaced}
        found.append(_definitions_of(f, display, env, gone, own.replaced) if f < part.first else Display(()))
    return tuple(found)


def _definitions_of(f: int, display: Display, env: Environment, gone: set[str], anew: frozenset[str]) -> Display:
    kept = set()
    for k, step in enumerate(links(display)):
        head = env.head(step.left) if step.left is not None else None
        if head is None or head.mention.family in gone:
            continue
        if head.mention.family in anew or env.roles.get((f, k)) in ("DEFINITION", "NOTATION"):
            kept.add((step.row, step.link))
    rows = []
    for row in display.rows:
        chains = tuple(c for c in row.chains if any((row.number, r.link) in kept for r in c.relations))
        rows.append(replace(row, chains=chains))
    return replace(display, rows=tuple(rows))


__all__ = ["Part", "parts", "seen_from"]
