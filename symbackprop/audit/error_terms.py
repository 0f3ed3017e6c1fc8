r"""Error terms that a document gives by the next layer's alone: delta^l = (W^{l+1})^T delta^{l+1} * f'(z^l).

Such an equation defines nothing by itself: what stands at the last layer decides. People mean the derivative of the
cost by a quantity of the layer, and this is what is supposed where the equation, or the one at the last layer, is
proved for it. By induction from the last layer both equations say no more. The equation alone is as true of the
opposite of a derivative; that is meant where more of what the document says of it is proved so. Main names:
`recursions`, `meanings`, `opposite`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from symbackprop.audit.definitions import Definition, Environment, nodes
from symbackprop.audit.latex import to_tex
from symbackprop.audit.tree import Derivative, Node, Scripts, Terms, walk

Pair = tuple[Node, Node]  # a name, and the derivative that it stands for


@dataclass(frozen=True)
class Recursion:
    """A quantity that is given by itself at the next layer.

    Args:
        general: that equation.
        last: the equations at single layers, which it goes on from.
    """

    family: str
    general: Definition
    last: tuple[Definition, ...]


@dataclass(frozen=True)
class Meaning:
    """What an error term may stand for.

    Args:
        pairs: its name with a derivative, at all layers, and at those at which it has another equation.
        said: the document calls it so at the last layer.
        told: what is supposed, where nothing says what it is at the last layer.
    """

    pairs: tuple[Pair, ...]
    said: bool = False
    told: str = ""


def recursions(env: Environment) -> list[Recursion]:
    """The quantities that lead on to the next layer's, and on, where nothing says what they are at all layers."""
    return [Recursion(f, general, _last(env, f, general)) for f, general in env.endless.items()]


def meanings(env: Environment, recursion: Recursion) -> Iterator[Meaning]:
    """The derivatives that an error term may be: those of which the document says so first."""
    cost = the_cost(env)
    head = _name(env, recursion.general)
    if cost is None or head is None:
        return
    for d in recursion.last:
        right, name = d.right, _name(env, d)
        if not d.slope or not isinstance(right, Derivative) or len(right.by) != 1:
            continue
        by = right.by[0]
        if isinstance(by, Scripts) and name is not None and (by.below, by.above) == (name.below, name.above):
            there = replace(head, base=by.base)
            yield Meaning(((head, replace(right, by=(there,))),), True)
            return
    for node in _layered(env, recursion):
        there = replace(head, base=node.base)
        names = (head, *(n for d in recursion.last if not d.slope and (n := _name(env, d)) is not None))
        slopes = (Derivative("partial", "fraction", cost, (replace(n, base=node.base),)) for n in names)
        told = f"{to_tex(head)} is the derivative by {to_tex(there)}, which nothing says of the last layer"
        yield Meaning(tuple(zip(names, slopes, strict=True)), told="" if recursion.last else told)


def opposite(meaning: Meaning) -> Meaning:
    """The derivative with the other sign, y - a: errors are what is still missing to some authors."""
    pairs = tuple((name, Terms((slope,), ("-",))) for name, slope in meaning.pairs)
    told = "; ".join(f"{to_tex(name)} stands for {to_tex(slope)}" for name, slope in pairs[:1])
    return replace(meaning, pairs=pairs, told=told)


def _last(env: Environment, family: str, general: Definition) -> tuple[Definition, ...]:
    return tuple(d for d in env.definitions[family] if d is not general and d.layer is not None)


def _name(env: Environment, definition: Definition) -> Scripts | None:
    """The quantity as it is written at its definition."""
    if definition.place[0] < 0:
        return None
    left = env.link(definition.place).left
    return left if isinstance(left, Scripts) else None


def the_cost(env: Environment) -> Node | None:
    """What is differentiated, if that is one cost alone."""
    found: dict[str, Node] = {}
    for node in nodes(env):
        head = env.head(node.of) if isinstance(node, Derivative) and node.of is not None else None
        if isinstance(node, Derivative) and node.of is not None and head is not None:
            found.setdefault(head.mention.family, node.of)
    found = {family: node for family, node in found.items() if family in env.costs}
    return next(iter(found.values())) if len(found) == 1 else None


def _layered(env: Environment, recursion: Recursion) -> list[Scripts]:
    """Quantities with a definition at each layer; those first that the recursion is made of."""
    found: dict[str, Scripts] = {}
    every = [n for n in walk(recursion.general.right) if isinstance(n, Scripts)]
    every += [n for n in nodes(env) if isinstance(n, Scripts)]
    for node in every:
        mention = env.names.mention(node)
        if mention is None or not mention.plain or mention.family == recursion.family:
            continue
        known = env.definitions.get(mention.family, ())
        everywhere = (d.layer is not None and d.layer.base in env.habits.layer_letters and not d.slope for d in known)
        as_long = len(mention.components) == len(recursion.general.head.mention.components)
        if mention.layer is not None and as_long and any(everywhere):
            found.setdefault(mention.family, node)
    return list(found.values())


__all__ = ["Meaning", "Recursion", "meanings", "opposite", "recursions", "the_cost"]
