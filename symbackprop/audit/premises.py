r"""What the words around a formula suppose: "If $A$ is symmetric, ...", "let $S$ be a symmetric matrix".

A supposition of a condition ("if", "for", "when") holds for the formula that it stands at; one that is stated holds from
there on. Main name: `symmetric`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from symbackprop.audit.definitions import Environment
from symbackprop.audit.extraction import Document, Formula
from symbackprop.audit.grammar import parse_expression

CONDITIONAL = r"\b(?:if|when|whenever|where|for|in case|provided|given|unless|suppose|supposing|as long as)\b"
NOT_SO = r"\b(?:not|non|no|anti|skew|asymmetric|nonsymmetric)\b[- ]?|\basymmetric|\bnonsymmetric"
ANY = "*"  # the words name no matrix


@dataclass(frozen=True)
class Supposed:
    """Matrices that are symmetric, for one formula: by what stands at it, and by what was stated before."""

    here: frozenset[str]
    before: frozenset[str]

    def covers(self, family: str) -> bool:
        """True if the words speak of this matrix."""
        return bool({family, ANY} & (self.here | self.before))

    def sure(self, family: str) -> bool:
        """True if it was stated once for all, by name."""
        return family in self.before


def symmetric(document: Document, env: Environment, formula: Formula) -> Supposed:
    """What is supposed of a formula's matrices."""
    last = re.split(r"(?<=[.!?])\s+", formula.before.strip())[-1]
    first = re.split(r"(?<=[.!?])\s+", formula.after.strip())[0] if formula.after else ""
    if not re.match(rf"[\s,;]*(?:{CONDITIONAL}|with|since|because|as)", first, re.I):
        first = ""
    here = _named(env, last) | _named(env, first)
    before: set[str] = set()
    for line, paragraph in document.prose:
        if line > formula.line:
            break
        for sentence in re.split(r"(?<=[.!?])\s+", paragraph):
            if not re.search(CONDITIONAL, _upto(sentence), re.I):
                before |= _named(env, sentence)
    return Supposed(frozenset(here), frozenset(before))


def _upto(sentence: str) -> str:
    """A sentence as far as it comes to symmetry."""
    return re.split(r"symmetric|\\(?:top|intercal)|\^\{?T", sentence)[0]


def _named(env: Environment, sentence: str) -> set[str]:
    """The matrices that a sentence calls symmetric."""
    found: set[str] = set()
    for clause in re.split(r";|, (?=but\b|while\b|and let\b)", sentence):
        for side, other in re.findall(r"\$\s*([^$=]+?)\s*=\s*([^$=]+?)\s*\$", clause):
            found |= {f for f in (_family(env, side), _family(env, other)) if f and _flips(env, side, other)}
        if not re.search(r"\bsymmetric\b", clause, re.I) or re.search(NOT_SO, clause, re.I):
            continue
        names = {f for text in re.findall(r"\$([^$]{1,24})\$", clause) for part in re.split(r",|\\in", text)[:3]
                 if (f := _family(env, part))}  # fmt: skip
        found |= names or {ANY}
    return found


def _family(env: Environment, text: str) -> str | None:
    mention = env.names.mention(parse_expression(text))
    return mention.family if mention is not None and mention.plain and not mention.components else None


def _flips(env: Environment, one: str, other: str) -> bool:
    """True for A = A^T."""
    first, second = (env.names.mention(parse_expression(text)) for text in (one, other))
    same = first is not None and second is not None and first.family == second.family
    return same and first is not None and second is not None and first.transposed != second.transposed


__all__ = ["Supposed", "symmetric"]
