r"""Total differentials, as matrix calculus is done with them: J = \frac12 tr(R^T R), so dJ = tr(R^T dR).

Main name: `with_differentials`. A document speaks so where the differential of a cost, of what stands in brackets, or
with a trace is said to be something made of other differentials; the dW of a program, a name for \partial J/\partial W,
is none. Only the formulas are looked at; `derivatives` says what a differential is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from symbackprop.audit.tree import (
    Application,
    Derivative,
    Differential,
    Display,
    Group,
    Link,
    Node,
    Product,
    Scripts,
    Symbol,
    links,
    walk,
    with_parts,
)


def with_differentials(displays: Sequence[Display]) -> tuple[Display, ...] | None:
    r"""The formulas with d(A^{-1}) read as a differential; None where the document does not speak of differentials."""
    written = tuple(_rewritten(display) for display in displays)
    steps = [step for display in written for step in links(display)]
    claims = [step for step in steps if isinstance(step.left, Differential) and step.left.kind == "d"]
    made = {name for step in steps if step.left is not None and (name := _name(step.left))}
    costs = {_name(n.of) for d in written for n in walk(d) if isinstance(n, Derivative) and n.of is not None}
    for step in claims:
        assert isinstance(step.left, Differential)
        name = _name(step.left.of)
        if not any(_differentials(step.right)) or (name and name not in made):
            return None  # dW = \frac1m dZ A^T, in which nothing says what W is: a name for a derivative
    return written if any(_is_total(step, costs) for step in claims) else None


def _is_total(step: Link, costs: set[str]) -> bool:
    assert isinstance(step.left, Differential)
    traced = any(
        isinstance(n, Application) and isinstance(n.function, Symbol) and n.function.name.lower() in ("tr", "trace")
        and any(_differentials(n)) for n in walk(step.right)
    )  # fmt: skip
    return traced or isinstance(step.left.of, Group | Application) or _name(step.left.of) in costs - {""}


def _differentials(node: Node) -> Iterator[Differential]:
    return (n for n in walk(node) if isinstance(n, Differential) and n.kind == "d")


def _name(node: Node) -> str:
    """The letter of a quantity, whatever its scripts and arguments; "" for anything else."""
    match node:
        case Scripts(base):
            return _name(base)
        case Product((first, Group()), ("",)):
            return _name(first)
        case Symbol(name, _, accents):
            return " ".join((*accents, name))
    return ""


def _rewritten(value: Any) -> Any:
    """The tree with differentials of brackets; no deeper than the grammar lets trees be nested."""
    made = with_parts(value, _rewritten)
    match made:
        case Product((Symbol("d", "" | "roman", ()), Group("(" | "[") as group, *rest), ("", *operators)):
            taken = Differential("d", group, span=(made.span[0], group.span[1]))
            return replace(made, factors=(taken, *rest), operators=tuple(operators)) if rest else taken
    return made


__all__ = ["with_differentials"]
