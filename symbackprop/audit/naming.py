r"""Names of derivatives: "write $dX$ for $\partial L/\partial X$", and \delta X as one name.

Main names: `names_in_words`, `named_gradients`, `has_names`, `as_names`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from symbackprop.audit.definitions import Environment, nodes
from symbackprop.audit.error_terms import the_cost
from symbackprop.audit.extraction import Document
from symbackprop.audit.grammar import parse_expression
from symbackprop.audit.tree import (
    Derivative,
    Differential,
    Display,
    Link,
    Node,
    NotUnderstood,
    Product,
    Scripts,
    Symbol,
    links,
    walk,
    with_parts,
)

COSTS = ("J", "L", "C", "E", "ell", "loss", "Loss")
ONE = r"\$([^$]{1,40})\$"
OF = r"(?:the )?(?:(?:partial )?derivatives? |gradients? |error |shorthand )?"
PATTERNS = (
    rf"{ONE} (?:for|stands for|denotes?|means|to denote|to mean|as (?:a )?shorthand for|(?:as|is) short for) {OF}{ONE}",
    rf"(?:denote|write|abbreviate) by {ONE} {OF}{ONE}",
)
TURNED = rf"(?:denote|write|abbreviate) {OF}{ONE} (?:by|as) {ONE}"

LIKEWISE = (
    r"\$([^$=]+)=([^$]+)\$[^.$]{0,40}\b(?:likewise|similarly|analogously|accordingly|in the same way)\b[^.$]{0,20}"
    r"((?:\$[^$=]+\$(?:,? and |, ?)?)+)"
)


def names_in_words(document: Document) -> list[tuple[Node, Node]]:
    """Names, and the derivatives that they stand for, in the order of the text."""
    found: list[tuple[Node, Node]] = []
    for _, paragraph in document.prose:
        pairs = [m.groups() for pattern in PATTERNS for m in re.finditer(pattern, paragraph, re.I)]
        pairs += [m.groups()[::-1] for m in re.finditer(TURNED, paragraph, re.I)]
        for name, meaning in pairs:
            one, two = parse_expression(name), parse_expression(meaning)
            sound = not any(isinstance(n, NotUnderstood) for side in (one, two) for n in walk(side))
            if sound and isinstance(two, Derivative) and two.of is not None and not isinstance(one, Derivative):
                found.append((one, two))
        found += _likewise(paragraph)
    return found


def _likewise(paragraph: str) -> Iterator[tuple[Node, Node]]:
    """Names that follow another: "let $dO = \\partial L / \\partial O$, and likewise $dV$ and $dP$"."""
    for name, meaning, others in re.findall(LIKEWISE, paragraph, re.I):
        first, slope = parse_expression(name), parse_expression(meaning)
        if not isinstance(first, Differential) or not isinstance(slope, Derivative) or slope.by != (first.of,):
            continue
        for other in map(parse_expression, re.findall(r"\$([^$]+)\$", others)):
            if isinstance(other, Differential) and other.kind == first.kind:
                yield other, replace(slope, by=(other.of,))


def named_gradients(env: Environment) -> tuple[list[tuple[Node, Node]], list[tuple[int, int]]]:
    """What dX may stand for where nothing says so, the derivative of the cost; and the equations for such names."""
    cost = the_cost(env) or _defined_cost(env)
    if cost is None or env.differentials:
        return [], []
    pairs: dict[tuple[str, object], tuple[Node, Node]] = {}
    places = []
    for f, display in enumerate(env.displays):
        for k, step in enumerate(links(display)):
            mention = env.names.mention(step.left) if step.left is not None and step.relation.sign == "=" else None
            if mention is not None and mention.family.startswith("d "):
                places.append((f, k))
    for node in nodes(env):
        mention = env.names.mention(node) if isinstance(node, Differential) and node.kind == "d" else None
        if mention is None or not mention.plain or not isinstance(node, Differential):
            continue
        if mention.components:  # dS_n: a row of dS
            base = node.of.base if isinstance(node.of, Scripts) else node.of
            node = replace(node, of=base)
            mention = replace(mention, components=())
        known = env.definitions.get(mention.family, ())
        if any(d.slope for d in known):
            continue
        pairs.setdefault((mention.family, mention.layer), (node, Derivative("partial", "fraction", cost, (node.of,))))
    return list(pairs.values()), places


def _defined_cost(env: Environment) -> Node | None:
    """The one quantity with the letter of a cost, where no derivative is written out."""
    found = [d for f in COSTS for d in env.definitions.get(f, ()) if not d.slope and d.place[0] >= 0]
    families = {d.head.mention.family for d in found}
    if len(families) != 1 or env.numerators:
        return None
    return Symbol(families.pop()) if found[0].head.mention.plain else None


def has_names(displays: Iterable[Display]) -> bool:
    r"""True for a document in which \delta h = \partial L / \partial h is written: there \delta h is one name."""
    return any(_names(link) for display in displays for link in links(display))


def _names(link: Link) -> bool:
    """True for \\delta h = \\partial L / \\partial h."""
    match link.left, link.right:
        case Product((Symbol("delta", "", ()), quantity), ("",)), Derivative(by=(by,)):
            return bool(quantity == by)
    return False


def as_names(node: Any) -> Any:
    r"""A tree in which \\delta and the letter behind it are one name."""
    made = with_parts(node, as_names)
    if not isinstance(made, Product):
        return made
    factors, operators = [made.factors[0]], list[str]()
    for operator, factor in zip(made.operators, made.factors[1:], strict=True):
        if factors[-1] == Symbol("delta") and not operator and isinstance(factor, Symbol | Scripts):
            factors[-1] = Differential("d", factor, span=(factors[-1].span[0], factor.span[1]))
        else:
            factors.append(factor)
            operators.append(operator)
    return replace(made, factors=tuple(factors), operators=tuple(operators)) if operators else factors[0]


__all__ = ["as_names", "has_names", "named_gradients", "names_in_words"]
