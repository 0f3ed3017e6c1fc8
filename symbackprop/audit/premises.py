r"""What the words around a formula suppose: "If $A$ is symmetric, ...", "let $S$ be a symmetric matrix".

What is supposed by a condition ("if", "for", "when") holds for the formula that it stands at; what is stated holds
from there on. Main name: `symmetric`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from symbackprop.audit.definitions import Environment
from symbackprop.audit.extraction import Document, Formula
from symbackprop.audit.grammar import parse_expression

CONDITIONAL = r"\b(?:if|when|whenever|where|for|in case|provided|given|unless|suppose|supposing|as long as)\b"
NOT_SO = r"\b(?:not|non|no|anti|skew|without being)(?: (?:necessarily|always|in general))?"
NAME = r"\$([^$]+)\$"
LIST = r"((?:\$[^$]+\$(?:\s*,?\s*and\s+|\s*,\s*))*\$[^$]+\$)([^$.;]{0,40})"
GAP = r"(?:[ -](?:and(?= (?:invertible|positive|real|square))|(?!and\b|with\b|for\b)[a-z-]+)){0,5}"
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
    """The matrices that a sentence calls symmetric: the nearest to the word, or several where they share its verb."""
    found: set[str] = set()
    for side, other in re.findall(r"\$\s*([^$=]+?)\s*=\s*([^$=]+?)\s*\$", sentence):
        found |= {f for f in (_family(env, side), _family(env, other)) if f and _flips(env, side, other)}
    for match in re.finditer(r"\bsymmetric\b", sentence, re.I):
        before, after = sentence[: match.start()], sentence[match.end() :]
        if re.search(NOT_SO + r"\W*$", before, re.I):
            continue
        behind = re.match(rf"{GAP}(?:\s*\$[^$]*\\times[^$]*\$)?{GAP}\s*{NAME}", after)
        names = _families(env, behind[1]) if behind is not None else set()
        if not names and (ahead := re.search(rf"{LIST}$", before)) is not None:
            several = re.search(r"\b(?:are|be|both)\b|matrices", ahead[2] + after[:30]) is not None
            parts = re.findall(NAME, ahead[1])
            names = {f for part in (parts if several else parts[-1:]) for f in _families(env, part)}
        found |= names or {ANY}
    return found


def _families(env: Environment, text: str) -> set[str]:
    """The letters before what they are said to be: $A, B \\in \\mathbb{R}^{n \\times n}$."""
    return {f for part in re.split(r"\\in\b|=|\\succ", text)[0].split(",") if (f := _family(env, part))}


def _family(env: Environment, text: str) -> str | None:
    mention = env.names.mention(parse_expression(text))
    return mention.family if mention is not None and mention.plain and not mention.components else None


def _flips(env: Environment, one: str, other: str) -> bool:
    """True for A = A^T."""
    first, second = (env.names.mention(parse_expression(text)) for text in (one, other))
    same = first is not None and second is not None and first.family == second.family
    return same and first is not None and second is not None and first.transposed != second.transposed


__all__ = ["Supposed", "symmetric"]
