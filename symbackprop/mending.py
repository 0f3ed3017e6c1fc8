"""What is wrong with a gradient that was refuted, in words, and the edit that would make it right.

An edit is said only if the edited gradient has the same normal form as the derived one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from symbackprop.canonical.polynomial import Poly, constant, of_atom, of_index, scale
from symbackprop.canonical.polynomial import Atom as AtomNode
from symbackprop.derivation import Gradient
from symbackprop.expression import Tensor
from symbackprop.resolve import Resolver
from symbackprop.trace import Traced


@dataclass(frozen=True)
class Mend:
    """A fault and its cure.

    Args:
        words: what is wrong.
        text: the gradients as they would be right.
    """

    words: str
    text: str


def mends(resolver: Resolver, traced: Traced, gradient: Gradient, wrong: list[str], derived: Mapping[str, Tensor]) -> Mend | None:
    """The first edit that makes the first wrong gradient right."""
    for name in wrong:
        claimed = traced.gradients[name]
        places = tuple(of_index(p) for p in resolver._places(claimed)) if claimed in resolver.equations else ()
        a, b = resolver.entry(claimed, places), resolver.entry(derived[name], places)
        for words, text, factor in _factors(resolver, claimed):
            if resolver.vanishes(resolver.difference(resolver.multiply(factor, a), b)):
                return Mend(f"{name}: {words}", f"d{name} = {text.format(claimed.name)}")
    return None


def _factors(resolver: Resolver, claimed: Tensor) -> list[tuple[str, str, Poly]]:
    table = [("wrong sign", "-{}", constant(-1)), ("missing factor 2", "2*{}", constant(2)),
             ("factor 2 too many", "{}/2", resolver.power(constant(2), -1))]
    return table


__all__ = ["AtomNode", "Mend", "mends", "of_atom", "scale"]
