r"""Names that words give to derivatives: "write $dX$ for $\partial L/\partial X$".

Main name: `names_in_words`.
"""

from __future__ import annotations

import re

from symbackprop.audit.extraction import Document
from symbackprop.audit.grammar import parse_expression
from symbackprop.audit.tree import Derivative, Node, NotUnderstood, walk

ONE = r"\$([^$]{1,40})\$"
OF = r"(?:the )?(?:(?:partial )?derivatives? |gradients? |error |shorthand )?"
PATTERNS = (
    rf"{ONE} (?:for|stands for|denotes|means|to denote|to mean|as (?:a )?shorthand for|(?:as|is) short for) {OF}{ONE}",
    rf"(?:denote|write|abbreviate) by {ONE} {OF}{ONE}",
)
TURNED = rf"(?:denote|write|abbreviate) {OF}{ONE} (?:by|as) {ONE}"


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
    return found


__all__ = ["names_in_words"]
