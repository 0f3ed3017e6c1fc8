"""Derivations as data: a statement, and the chain of equalities that proves it.

A `Step` rewrites the expression so far into the next, names the rule that allows it and says why in one plain sentence.
`reverse_mode` and the room `proofs` make them, `kernel` replays them, `document` prints them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from symbackprop.expression.build import Entry, Expr, Tensor
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.shown import Shown

THE_COST = Entry(Tensor("J"))


@dataclass(frozen=True, repr=False)
class Step(Shown):
    """before = after, by the rule called `rule` (a row of `rules.RULES`).

    Args:
        reason: one plain sentence for the reader: why this line follows from the last.
        uses: the tensors whose equation ("equation") or earlier result ("earlier_result") is put in.
    """

    before: Expr
    after: Expr
    rule: str
    reason: str
    uses: tuple[Tensor, ...] = ()


@dataclass(frozen=True, repr=False)
class Derivation(Shown):
    """left = right, by a chain of steps; `steps[0].before` is `left` and `steps[-1].after` is `right`.

    Args:
        name: a short title, "error term of layer 2".
        program: the equations that the steps may use.
        definitions: names for derivatives: delta2 stands for dJ/dz2, so delta2[n,i] = Total(J, z2[n,i]).
        conditions: what is assumed, in words: "z2[n,i] != 0", "Sum(k, y[n,k]) = 1".
        cost: the quantity that is differentiated.
    """

    name: str
    program: Program
    left: Expr
    right: Expr
    steps: tuple[Step, ...]
    definitions: dict[Tensor, Tensor] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    cost: Entry = THE_COST


@dataclass(frozen=True, repr=False)
class Gradient:
    """A program, and for each tensor that the cost depends on its cotangent, derived.

    Args:
        program: the forward equations; its single output is the cost, of shape ().
        cotangents: for each tensor the name of dJ/d(tensor): z2 -> delta2, W1 -> dJ_dW1.
        adjoint: forward equations followed by one equation for each cotangent; outputs are the cost and the
        cotangents of
            the inputs asked for. This is the program that becomes code.
        derivations: for each tensor the proof that its cotangent's equation is right.
    """

    program: Program
    cotangents: dict[Tensor, Tensor]
    adjoint: Program
    derivations: dict[Tensor, Derivation]

    def __repr__(self) -> str:
        return f"Gradient({', '.join(bar.name for bar in self.cotangents.values())})"

    def cotangent(self, entry: Entry) -> Entry:
        """dJ/d(entry), by name."""
        return Entry(self.cotangents[entry.tensor], entry.indices)


@dataclass(frozen=True)
class Lemma:
    """One link of a composed proof: what a tensor is.

    Args:
        equation: the tensor and what it equals, usually another tensor up to the order of axes and a factor; its note
            is the user's line.
        opened: the tensors whose definitions are put in after that of the tensor itself, in this order.
        ahead: whether the first of these is put in on the right side alone, before the sides are compared: of a
            recurrence the same step on both sides.
        beside: the other tensors of its recurrence of which lemmas are supposed to hold at earlier steps.
        alone: whether it is shown from the equations as they are written: without induction, and without what other
            lemmas say of the tensors in them.
        inductive: whether one that is shown alone is supposed to hold at earlier steps of its recurrence.
        definitions: all that was put in, in order, with what earlier lemmas say: with these the lemma can be checked
            by itself. Said by the replay.
        conditions: what it makes use of, in words. Said by the replay.
    """

    equation: Equation
    opened: tuple[Tensor, ...] = ()
    ahead: bool = False
    beside: tuple[Tensor, ...] = ()
    alone: bool = False
    inductive: bool = False
    definitions: tuple[Equation, ...] = field(default=(), compare=False)
    conditions: tuple[str, ...] = field(default=(), compare=False)
