r"""What the words around a formula suppose: "If $A$ is symmetric, ...", "let $S$ be a symmetric matrix".

What is supposed by a condition ("if", "for", "when") holds for the formula that it stands at; what is stated holds
from there on. Main names: `Suppositions`, `special`, `fixed`.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, replace

from symbackprop.audit.definitions import Environment
from symbackprop.audit.extraction import Document, Formula, sentences
from symbackprop.audit.grammar import parse_expression
from symbackprop.audit.tree import Derivative, Link, Node, Number, Scripts, Symbol, Terms, links, walk

CONDITIONAL = r"\b(?:if|when|whenever|for|in case|provided|given|unless|as long as)\b"
NOT_SO = r"\b(?:not|no|non|never|neither|nor|without|cannot|anti|skew)\b|n't\b"
STATED = r"\b(?:let|assum\w*|suppos\w*|denote\w*|consider|be|is|are|with|where)\b"
NAME = r"\$([^$]+)\$"
LIST = r"((?:\$[^$]+\$(?:\s*,?\s*and\s+|\s*,\s*))*\$[^$]+\$)([^$.;]{0,40})"
GAP = r"(?:[ -](?:and(?= (?:invertible|positive|real|square))|(?!and\b|with\b|for\b)[a-z-]+)){0,5}"
SYMMETRIC = "symmetric|diagonal"
SPECIAL = r"diagonal|orthogonal|orthonormal|unitary|idempotent|triangular|skew-symmetric|antisymmetric|unit(?= vector)"
CUE = r"\b(?:assum\w*|suppos\w*|such that|subject to|constrain\w*|satisf\w*|with|where|let|require\w*|so that)\b"
SOUGHT = (
    r"\b(?:(?:set|sets|setting|equat\w+|put|putting)\b[^.]{0,60}\b(?:zero|0)\b|\b0\$? ?[,.]?$|vanish\w*"
    r"|normal equations?|first[- ]order conditions?|optimality|stationar\w+|at the (?:optim|minim|maxim)\w+|subject to"
    r"|solv\w+)"
)  # words of a point that is looked for
FIXED = r"\b(?:fixed|fix|fixing|constant)\b"
ANY = "*"  # the words name no matrix


@dataclass(frozen=True)
class Supposed:
    """Matrices that are symmetric, for one formula.

    Args:
        here: by what stands at it, or was assumed before.
        before: by what was stated before.
        once: by a condition at an earlier formula, of which one cannot say how far it reaches.
    """

    here: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    once: frozenset[str] = frozenset()

    def covers(self, family: str) -> bool:
        """True if the words speak of this matrix."""
        return bool({family, ANY} & (self.here | self.before))

    def sure(self, family: str) -> bool:
        """True if it was stated once for all, by name."""
        return family in self.before


class Suppositions:
    """Which matrices a document's words call symmetric; each of its sentences is read once."""

    def __init__(self, document: Document, env: Environment) -> None:
        self.env = env
        self.lines: list[int] = []
        self.told: list[Supposed] = [Supposed()]  # up to that line
        for line, paragraph in sorted(document.prose, key=lambda told: told[0]):
            known = self.told[-1]
            for sentence in sentences(paragraph):
                known = _with(known, env, sentence)
            self.lines.append(line)
            self.told.append(known)

    def at(self, formula: Formula) -> Supposed:
        """What is supposed of a formula's matrices."""
        last = sentences(formula.before)[-1]
        first = sentences(formula.after)[0] if formula.after else ""
        if not re.match(rf"[\s,;]*(?:{CONDITIONAL}|with|since|because|as)", first, re.I):
            first = ""
        known = self.told[bisect.bisect_right(self.lines, formula.line)]
        return replace(known, here=known.here | _named(self.env, last) | _named(self.env, first))


def _with(known: Supposed, env: Environment, sentence: str) -> Supposed:
    """What is supposed when one more sentence was read."""
    named = frozenset(_named(env, sentence))
    if not named:
        return known
    conditional = re.search(CONDITIONAL, _upto(sentence), re.I) is not None
    if not conditional and re.search(r"\b(?:assum|suppos)", sentence, re.I):
        return replace(known, here=known.here | named)
    if not conditional and re.search(STATED, sentence, re.I):
        return replace(known, before=known.before | named)
    return replace(known, once=known.once | named)


def _upto(sentence: str) -> str:
    """A sentence as far as it comes to symmetry."""
    return re.split(r"symmetric|\\(?:top|intercal)|\^\{?T", sentence)[0]


def special(document: Document, env: Environment) -> set[str]:
    """Quantities of which the document supposes what a judge cannot use: an orthogonal Q, u with |u| = 1."""
    found: set[str] = set()
    for _, paragraph in document.prose:
        for sentence in sentences(paragraph):
            found |= _named(env, sentence, SPECIAL) - {ANY}
    for formula, display in zip(document.formulas, env.displays, strict=True):
        for step in links(display):
            if supposes(env, formula, step) and not _mirrored(env, step):
                found |= _given(env, step)
    return found


def fixed(document: Document, env: Environment, formula: Formula) -> frozenset[str]:
    """The quantities that the words before a formula hold fixed, by name: "holding $A$ constant"."""
    last = sentences(document.words_before(formula))[-1]
    if not re.search(FIXED, last, re.I) or re.search(NOT_SO, last, re.I):
        return frozenset()
    named = [m for m in re.findall(NAME, last) if "=" not in m]
    return frozenset(family for text in named for family in _families(env, text))


def supposes(env: Environment, formula: Formula, step: Link) -> bool:
    """True for u^T u = 1 in running text, or after "assume that": a link that says how quantities are chosen."""
    cue = re.search(CUE, sentences(formula.before)[-1], re.I) is not None
    if step.left is None or step.relation.sign != "=" or (formula.display and not cue):
        return False
    every = [n for side in (step.left, step.right) for n in walk(side)]
    if any(isinstance(n, Derivative) for n in every) or not _given(env, step):
        return False
    families = {m.family for n in every if isinstance(n, Symbol | Scripts) and (m := env.names.mention(n)) is not None}
    if any(env.definitions.get(f) or f in env.functions for f in families):
        return False
    constant = isinstance(step.right, Number) or step.right == Symbol("I")
    return (constant and env.head(step.left) is None) or _mirrored(env, step)


def is_condition(env: Environment, formula: Formula, step: Link) -> bool:
    """True for an equation that, where it is no identity, says of which point the text speaks.

    A derivative that is set to zero; X^T X b = X^T y after the words "setting this to zero"; w^T x + b = 0 and
    x^2 + y^2 = r^2, of quantities that nothing defines, some of which stand on one side alone.
    """
    assert step.left is not None
    if env.head(step.left) is not None:
        return False
    if Number("0") in (step.left, step.right):
        return True
    if any(isinstance(n, Derivative) for side in (step.left, step.right) for n in walk(side)):
        return False
    if re.search(SOUGHT, " ".join(sentences(formula.before)[-2:]), re.I):
        return True
    one, two = (_names(env, side) for side in (step.left, step.right))
    given = not any(env.definitions.get(f) or f in env.functions for f in one | two)
    constant = all(isinstance(n, Number | Terms) for n in walk(step.right))
    return given and one != two and (bool(one and two) or constant)  # not of tr(K^{-1} K) = n


def _names(env: Environment, side: Node) -> set[str]:
    """The quantities of a side, indices and names of functions aside."""
    others = env.index_letters | env.habits.bound | env.bounds | {"I", "top", "T", "intercal", "1", "pi", "e"}
    mentions = (env.names.mention(n) for n in walk(side) if isinstance(n, Symbol | Scripts))
    return {m.family for m in mentions if m is not None} - others


def _mirrored(env: Environment, step: Link) -> bool:
    """True for w_{ij} = w_{ji} and A = A^T."""
    one, two = (env.names.mention(side) if side is not None else None for side in (step.left, step.right))
    if one is None or two is None or one.family != two.family:
        return False
    swapped = len(one.components) == 2 and one.components == two.components[::-1]
    return swapped or one.transposed != two.transposed


def _given(env: Environment, step: Link) -> set[str]:
    """The quantities of a link, indices and names of functions aside."""
    others = env.index_letters | env.habits.bound | env.bounds | {"I", "top", "T", "intercal", "1"}
    found = set()
    for side in (step.left, step.right):
        for node in walk(side) if side is not None else ():
            mention = env.names.mention(node) if isinstance(node, Symbol | Scripts) else None
            if mention is not None and mention.family not in others:
                found.add(mention.family)
    return found


def _named(env: Environment, sentence: str, word: str = SYMMETRIC) -> set[str]:
    """The matrices that a sentence calls symmetric, or something else.

    It is the one nearest to the word, or several where they share its verb.
    """
    found: set[str] = set()
    for side, other in re.findall(r"\$\s*([^$=]+?)\s*=\s*([^$=]+?)\s*\$", sentence):
        if word == SYMMETRIC:
            found |= _flipped(env, side, other)
    for match in re.finditer(rf"\b(?:{word})\b", sentence, re.I):
        before, after = sentence[: match.start()], sentence[match.end() :]
        if re.search(NOT_SO, re.split(r"[,;]\s|\bbut\b|\band\b(?! \$)", before)[-1], re.I):
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


def _flipped(env: Environment, one: str, other: str) -> set[str]:
    """The matrix of A = A^T or w_{ij} = w_{ji}."""
    first, second = (env.names.mention(parse_expression(text)) for text in (one, other))
    if first is None or second is None or first.family != second.family:
        return set()
    swapped = len(first.components) == 2 and first.components == second.components[::-1]
    return {first.family} if swapped or first.transposed != second.transposed else set()


__all__ = ["Supposed", "Suppositions", "fixed", "is_condition", "special", "supposes"]
