r"""In which case a formula is said to hold: "if $i = j$, then", "for $i \neq j$" behind it, "unless $i = j$".

What the formula itself says comes first, then the words that lead to it or close its sentence. Only words of known
forms are taken; where indices are compared near a formula in any other way, the case is one of which it may be that it
is meant. Main name: `said_cases`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from symbackprop.audit.definitions import Environment
from symbackprop.audit.extraction import Document, Formula, sentences
from symbackprop.audit.grammar import parse_expression
from symbackprop.audit.tree import Anything, Cases, Chain, Display, Link, Scripts, Symbol, walk

SAYS = (
    r"if|when|whenever|for|where|in (?:the )?case(?: of| that| when| where)?|(?:the )?case(?: \d+[:.]?| \(?[a-z]\))?"
    r"|(?:let|suppose|assume|assuming|consider|provided)(?: that| the case)?"
)
EXCEPTS = r"unless|except(?: for| if| when| where| that)?|apart from|other than|excluding"
SUPPOSES = r"let|suppose|assume|consider|case"
PLAIN = (
    r"and|but|while|whereas|now|then|first|second|finally|next|similarly|again|here|so|hence|thus|therefore|this|that|it"
    r"|we|one|us|let|have|has|get|gets|obtain|obtains|find|finds|consider|take|use|using|by|from|with|respect|to|of|on"
    r"|in|at|the|a|an|is|are|be|becomes|gives|give|yields|reads|equals|holds|vanishes|reduces|simplifies|follows|given"
    r"|derivatives?|partial|jacobian|gradient|slope|entry|entries|elements?|components?|terms?|diagonal|off-diagonal"
    r"|softmax|output|outputs|function|functions|chain|product|quotient|rule|following|result|expression|formula|which"
)
GOES_ON = r"(?:and|but|while|whereas)\b"
FORMULA = r"\$([^$]+)\$"
COMPARES = frozenset(["<", ">", "\u2264", "\u2265", "\u2260"])
OPPOSITE = {"=": "\u2260", "\u2260": "="}


@dataclass(frozen=True)
class SaidCases:
    """The cases of one formula.

    Args:
        sure: those that it is said to hold in.
        possible: where none is sure, those of which the words near it speak, their opposites, and all of them at once.
    """

    sure: tuple[Chain, ...] = ()
    possible: tuple[tuple[Chain, ...], ...] = ()


def said_cases(document: Document, env: Environment, number: int, display: Display, step: Link) -> SaidCases:
    """Which of its indices agree, or do not, where a link of a formula is said to hold."""
    formula = document.formulas[number]
    own, doubtful = _own(env, display, step)
    if own and not doubtful:
        return SaidCases(own)
    ahead = [f for f in document.formulas[:number] if f.display][-1:]
    following = [f for f in document.formulas[number + 1 :] if f.display][:1]
    continues = formula.display and any(f.after == formula.before and not _ended(f) for f in ahead)
    leads_on = formula.display and any(f.before == formula.after for f in following)
    leading = _leading(env, formula.before, continues)
    trailing = _trailing(env, formula, leads_on)
    found = {in_words(case): case for case in (leading, trailing) if case is not None}
    if len(found) == 1 and not doubtful:
        return SaidCases(tuple(found.values()))
    if _tells_both(step):
        return SaidCases()
    near = [*formula.headings[-1:], document.words_before(formula)]
    first, *more = sentences(formula.after)
    if not (leads_on and not more and first[:1].isupper()):  # which leads to the next formula
        near.append(first)
    told = [c for text in near for _, c in _compared(env, text)]
    return SaidCases((), _possible([*own, *told]))


@dataclass(frozen=True)
class Premise:
    """Inequalities between quantities, where a formula is said to hold; `sure` unless the words stand farther off."""

    chains: tuple[Chain, ...]
    sure: bool


def premise(document: Document, env: Environment, formula: Formula, step: Link) -> Premise | None:
    """What is supposed of quantities: "if $T > 0$, then", or behind the formula, "if x > 0"."""
    own = [p for c in step.chain.conditions for p in c.parts if isinstance(p, Chain) and _is_inequality(env, p)]
    if own:
        return Premise(tuple(own), True)
    for text, sure in ((formula.before, True), (document.words_before(formula), False)):
        clause = sentences(text)[-1]
        found = re.search(rf"\b(?:if|when|whenever|where|for|provided that|assuming)\s+{FORMULA}", clause, re.I)
        chain = parse_expression(found[1]) if found is not None else None
        if found is not None and isinstance(chain, Chain) and _is_inequality(env, chain):
            told = [parse_expression(m) for m in re.findall(FORMULA, clause[found.end() :])]
            more = [c for c in told if isinstance(c, Chain) and _is_inequality(env, c)]
            together = all(re.fullmatch(r"[\s,]*and\s*", w) for w in _between(clause[found.end() :], len(more)))
            wider = re.search(r"\b(?:not (?:only|just)|also|both|even|especially)\s*$", clause[: found.start()], re.I)
            return Premise((chain, *more) if together else (chain,), sure and together and wider is None)
    behind = re.match(rf"\s*,?\s*(?:if|when|whenever|provided that)\s+{FORMULA}", formula.after, re.I)
    chain = parse_expression(behind[1]) if behind is not None and not _ended(formula) else None
    return Premise((chain,), True) if isinstance(chain, Chain) and _is_inequality(env, chain) else None


def _between(text: str, count: int) -> list[str]:
    """The words that stand before each of so many formulas."""
    return re.split(FORMULA, text)[: 2 * count : 2]


def _is_inequality(env: Environment, chain: Chain) -> bool:
    """True for T > 0 and 0 < x_i < 1, where quantities are compared and no index, layer or time."""
    counting = env.index_letters | env.bounds | env.habits.bound | env.habits.layer_letters
    if any(isinstance(member, Symbol) and member.name in counting for member in chain.members):
        return False
    letters = {n.name for member in chain.members for n in walk(member) if isinstance(n, Symbol)}
    return bool(chain.relations) and {r.sign for r in chain.relations} <= COMPARES and bool(letters - counting)


def in_words(case: Chain) -> str:
    """Which indices agree, as a condition is told."""
    one, two = (member.name for member in case.members if isinstance(member, Symbol))
    return f"{one} {case.relations[0].sign} {two}"


def _tells_both(step: Link) -> bool:
    r"""True for a formula that is one for all indices: by cases, or with \delta_{ij}."""
    nodes = (n for side in (step.left, step.right) if side is not None for n in walk(side))
    return any(isinstance(n, Cases) or (isinstance(n, Scripts) and n.base == Symbol("delta")) for n in nodes)


def _own(env: Environment, display: Display, step: Link) -> tuple[tuple[Chain, ...], bool]:
    """The cases that stand in the formula, and whether its words leave a doubt."""
    row = next((r for r in display.rows if r.number == step.row), None)
    behind = row.chains[row.chains.index(step.chain) + 1 :] if row is not None else ()
    words = [condition.words for condition in step.chain.conditions if condition.words.strip()]
    found = _cases(env, (part for condition in step.chain.conditions for part in condition.parts))
    found += _cases(env, itertools.takewhile(lambda chain: _compares_indices(env, chain), behind))
    if len(found) == len(words) == 1 and re.fullmatch(rf"\W*(?:{EXCEPTS})\W*", words[0], re.I):
        return (_opposite(found[0]),), False
    understood = all(re.fullmatch(rf"\W*(?:{SAYS}|forall|for all|with|and)?\W*", w, re.I) for w in words)
    told = {in_words(c): c for c in found}
    return tuple(told.values()), not understood or _contradict(told.values())


def _leading(env: Environment, before: str, continues: bool) -> Chain | None:
    """The case of the words that lead to a formula: "If $i = j$, we have", "and for $i = j$".

    Args:
        continues: a formula stands before them, in whose sentence they may be.
    """
    opened = rf"((?:{SUPPOSES})[^$.]*{FORMULA})\.\s+(?=(?:then|here)\b)"  # "Let $i = j$. Then"
    told = sentences(re.sub(opened, r"\1, ", before, flags=re.I))
    clauses = told[-1].split(";")
    clause = clauses[-1]
    continues = continues and len(told) == len(clauses) == 1 and not clause.lstrip()[:1].isupper()
    compared = _compared(env, clause)
    if not compared:
        return None
    match, case = compared[-1]
    others = [m for m in re.finditer(FORMULA, clause) if re.search(r"=|\\neq?\b|\u2260", m[1])]
    if others[-1].start() != match.start():
        return None  # a formula stands between
    if len(others) > 1:
        if _compares_indices(env, parse_expression(others[-2][1])):
            return None
        clause, continues = clause[others[-2].end() :], True
        match = next(m for m in re.finditer(FORMULA, clause) if m[1] == match[1])
    if continues:
        led = re.match(rf"\s*(?:,?\s*{GOES_ON}|[-*]\s)", clause)
        if led is None:
            return None
        clause, match = _cut(clause, match, led.end())
    cue = re.search(rf"(?<![a-z])({SAYS}|{EXCEPTS}),?\s*$", clause[: match.start()], re.I)
    if cue is None:
        return None
    rest = clause[match.end() :]
    closed = re.search(r"[.!?]$", rest.strip()) is not None
    lead = clause[: cue.start()]
    if not (_is_plain(lead) and _is_plain(rest)) or (closed and rest.strip() != "."):
        return None
    follows = rf"[\s,]*(?:{GOES_ON}|(?:so|hence|thus|therefore|which|then|this|that|we)\b)"
    if lead.strip(" ,") and re.match(follows, rest):
        return None  # "it vanishes if $i = j$, and we get"
    return _opposite(case) if re.fullmatch(EXCEPTS, cue[1], re.I) else case


def _trailing(env: Environment, formula: Formula, leads_on: bool) -> Chain | None:
    """The case with which a formula's sentence ends: "for $i = j$."."""
    after = sentences(formula.after)[0]
    found = re.match(rf"[\s,]*({SAYS}|{EXCEPTS})\s*{FORMULA}\s*([.;]|,?\s*(?:{GOES_ON}|otherwise\b)|$)", after)
    if found is None or _ended(formula) or (not found[3] and leads_on):
        return None
    case = parse_expression(found[2])
    behind = after[found.end() :]
    again = re.match(rf"\s*(?:\w+\s+){{0,3}}{FORMULA}", behind)
    if not isinstance(case, Chain) or not _compares_indices(env, case):
        return None
    if again is not None and _compares_indices(env, parse_expression(again[1])):
        return None  # "if $i = j$ and if $i \neq j$"
    return _opposite(case) if re.fullmatch(EXCEPTS, found[1]) else case


def _is_plain(words: str) -> bool:
    """True for words that leave a case as it is: "then we have", "the derivative of $p$"."""
    rest = re.sub(rf"\b(?:of|to) {FORMULA}", "", words)
    return "$" not in rest and all(re.fullmatch(PLAIN, w, re.I) for w in re.findall(r"[A-Za-z][\w'-]*", rest))


def _contradict(cases: Iterable[Chain]) -> bool:
    """True if indices are said to agree and not to agree."""
    pairs = [(frozenset(m.name for m in c.members if isinstance(m, Symbol)), c.relations[0].sign) for c in cases]
    return any(one[0] == two[0] and one[1] != two[1] for one in pairs for two in pairs)


def _cut(clause: str, match: re.Match[str], start: int) -> tuple[str, re.Match[str]]:
    """The clause from a place on, and the formula in it."""
    rest = clause[start:]
    return rest, next(m for m in re.finditer(FORMULA, rest) if m[1] == match[1])


def _ended(formula: Formula) -> bool:
    return formula.latex.rstrip(" ~\\,").endswith(".")


def _compared(env: Environment, text: str) -> list[tuple[re.Match[str], Chain]]:
    """Where a text compares indices."""
    found = ((m, parse_expression(m[1])) for m in re.finditer(FORMULA, text))
    return [(m, c) for m, c in found if isinstance(c, Chain) and _compares_indices(env, c)]


def _compares_indices(env: Environment, node: Anything) -> bool:
    """True for i = j and i \\neq j."""
    match node:
        case Chain((Symbol(one, "", ()), Symbol(two, "", ())), (relation,)) if relation.sign in OPPOSITE:
            return one != two and {one, two} <= env.index_letters
    return False


def _cases(env: Environment, nodes: Iterable[Anything]) -> list[Chain]:
    return [n for n in nodes if isinstance(n, Chain) and _compares_indices(env, n)]


def _opposite(case: Chain) -> Chain:
    (relation,) = case.relations
    return replace(case, relations=(replace(relation, sign=OPPOSITE[relation.sign]),))


def _possible(cases: list[Chain]) -> tuple[tuple[Chain, ...], ...]:
    """Each of some cases, its opposite, and all at once where they leave any entry."""
    told = {in_words(c): c for c in cases}
    each = {in_words(c): c for case in told.values() for c in (case, _opposite(case))}
    single = tuple((case,) for case in each.values())[:4]
    together = len(told) > 1 and not _contradict(told.values())
    return (*single, tuple(told.values())) if together else single


__all__ = ["Premise", "SaidCases", "in_words", "premise", "said_cases"]
