r"""Layouts of derivatives: d det X/dX is (det X) X^{-T}, or its transpose, as a document chooses.

A derivative of a number by a matrix X has the shape of X, or in numerator layout that of its transpose; the Jacobian
dy/dx has the axis of y first, or in denominator layout that of x. A document seldom says which; its claims show it.

Main names: `LAYOUTS`, `turns` (which layouts a claim leaves open), `said` (what the words choose), `keeps_shape`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from symbackprop.audit.definitions import Environment
from symbackprop.audit.scope import Reading
from symbackprop.audit.tree import Derivative, Link, Node, walk

SAME_SHAPE = r"(?:same|its own) (?:shape|size|dimensions?) as|has the (?:shape|size|dimensions?) of"


@dataclass(frozen=True)
class Layout:
    """The other of two ways to lay out a derivative.

    Args:
        words: what is said of a claim that is true in it.
        choice: the field of `Reading` that chooses it.
    """

    words: str
    choice: str

    def other(self, reading: Reading) -> Reading:
        """The reading with this choice made otherwise."""
        chosen: dict[str, Any] = {self.choice: not getattr(reading, self.choice)}
        return replace(reading, **chosen)


BY_MATRIX = Layout("derivatives by a matrix X have the shape of X transposed (numerator layout)", "turned")
OF_VECTORS = Layout("the derivative dy/dx has the axis of x first (denominator layout)", "lower_first")
BY_MATRIX_BACK = Layout("derivatives by a matrix have its shape (denominator layout)", "turned")
OF_VECTORS_BACK = Layout("the derivative dy/dx has the axis of y first (numerator layout)", "lower_first")


def layouts(reading: Reading) -> tuple[Layout, ...]:
    """The layouts that a reading does not take."""
    return (
        BY_MATRIX_BACK if reading.turned else BY_MATRIX,
        OF_VECTORS_BACK if reading.lower_first else OF_VECTORS,
    )


def turns(*sides: Node | None) -> bool:
    """True if a derivative stands in a claim that may be laid out otherwise: a gradient has the shape of its place."""
    nodes = (n for side in sides if side is not None for n in walk(side))
    return any(isinstance(n, Derivative) and n.kind != "nabla" and len(n.by) == 1 for n in nodes)


def said(text: str, reading: Reading) -> set[str]:
    """What the words choose: the choices are made in the reading, and their names returned."""
    numerator = re.search(r"\bnumerator[ -](?:layout|convention)", text, re.I) is not None
    denominator = re.search(r"\bdenominator[ -](?:layout|convention)", text, re.I) is not None
    if numerator != denominator:
        reading.turned, reading.lower_first = numerator, denominator
        return {"turned", "lower_first"}
    return {"turned"} if re.search(SAME_SHAPE, text, re.I) else set()


def updates(env: Environment, steps: Iterable[tuple[tuple[int, int], Link]]) -> bool:
    """True if a matrix is moved along a derivative by it, W <- W - eta dJ/dW: so that has its shape."""
    for place, step in steps:
        head = env.head(step.left) if step.left is not None else None
        if env.roles.get(place) != "NOTATION" or head is None:
            continue
        for node in walk(step.right):
            if isinstance(node, Derivative) and any(env.names.mention(by) == head.mention for by in node.by):
                return True
    return False
