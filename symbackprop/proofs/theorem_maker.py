"""A kernel that makes theorems of what it has accepted. Main name: `TheoremMaker`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import sympy as sp

from symbackprop.calculus.derivation import Derivation, Step
from symbackprop.calculus.kernel import Kernel
from symbackprop.expression.build import Apply, Entry, Expr, Tensor, nodes_once, rewrite, substitute, tensors_in
from symbackprop.expression.functions import ARGUMENTS
from symbackprop.expression.program import Program
from symbackprop.proofs.theorem import Theorem
from symbackprop.rendering.text import to_text

ALL_SIZES = "all sizes"


class TheoremMaker:
    """A kernel with its program, and the making of theorems from what it has accepted.

    Args:
        hypotheses: what may be used without proof, as `Kernel` has it.
    """

    def __init__(self, program: Program, hypotheses: Mapping[Tensor, Derivation] | None = None) -> None:
        self.program, self.kernel = program, Kernel(program, hypotheses)
        self.kinks: dict[Tensor, tuple[str, ...]] = {}  # where the derivative with this name does not exist

    def replay(self, derivation: Derivation) -> tuple[str, ...]:
        """Have the kernel accept a derivation; returns the conditions that it makes use of."""
        return self.kernel.replay(derivation)

    def theorem(self, name: str, remark: str, derivation: Derivation, *, layer: int | str | None = None) -> Theorem:
        """A theorem, after the kernel has accepted every step."""
        used = self.replay(derivation)
        kinks = dict.fromkeys(_kinks(derivation))
        for tensor in tensors_in(derivation.right):
            kinks.update(dict.fromkeys(self.kinks.get(tensor, ())))
        if isinstance(derivation.left, Entry):
            self.kinks[derivation.left.tensor] = tuple(kinks)
        conditions = tuple(dict.fromkeys((*kinks, *used)))
        return Theorem(
            name, replace(derivation, name=name, conditions=conditions), "PROVED", ALL_SIZES, conditions, remark, layer
        )

    def is_unconditional(self, theorem: Theorem) -> bool:
        """True if the theorem excludes kinks at most, and takes nothing about the inputs for granted."""
        kinks = {k for known in self.kinks.values() for k in known}
        return set(theorem.conditions) <= kinks | set(_kinks(theorem.derivation))

    def result(self, entry: Entry) -> Expr:
        """What the kernel has accepted of the tensor, at the indices of `entry`."""
        known = self.kernel.accepted[entry.tensor]
        assert isinstance(known.left, Entry), "an accepted result defines an entry"
        return substitute(known.right, dict(zip(known.left.indices, entry.indices, strict=True)))

    def put_in(
        self, derivation: Derivation, bars: Sequence[Tensor], named: Sequence[Tensor] | None = None
    ) -> Derivation:
        """The derivation with accepted results in the place of these derivatives.

        Args:
            named: those of them that the reason names; default: all.
        """

        def earlier(node: Expr) -> Expr | None:
            return rewrite(self.result(node), earlier) if isinstance(node, Entry) and node.tensor in bars else None

        names = " and ".join(t.name.replace("dJ_d", "dJ/d") for t in named or bars)
        after, reason = rewrite(derivation.right, earlier), f"Put in {names}, worked out above."
        longer = self.extend(derivation, after, "earlier_result", reason, bars)
        assert longer is not None, "an accepted result put into itself"
        return longer

    def extend(
        self, derivation: Derivation, after: Expr, rule: str, reason: str, uses: Sequence[Tensor] = ()
    ) -> Derivation | None:
        """The derivation with one more step, or None if the kernel does not accept it."""
        step = Step(derivation.right, after, rule, reason, tuple(uses))
        longer = replace(derivation, right=after, steps=(*derivation.steps, step))
        return longer if self.kernel.accepts(step, longer) else None


def _kinks(derivation: Derivation) -> tuple[str, ...]:
    """The points that the functions in a derivation exclude."""
    found: dict[str, None] = {}
    for expr in (derivation.left, *(s.after for s in derivation.steps)):
        for node in (n for n in nodes_once(expr) if isinstance(n, Apply)):
            if node.function.primitive_of is None or not all(isinstance(a, Entry) for a in node.arguments):
                continue
            places = {s: sp.Symbol(to_text(a)) for s, a in zip(ARGUMENTS, node.arguments, strict=False)}
            found.update(dict.fromkeys(f"{k.subs(places, simultaneous=True)} != 0" for k in node.function.kinks))
    return tuple(found)
