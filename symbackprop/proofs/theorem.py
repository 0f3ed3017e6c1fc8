"""Theorems and proofs as a user meets them: a statement, its status, its steps.

    proof.status                 "PROVED"
    proof.theorems[0].statement  a SymPy equation
    proof.theorems[0].steps      the chain of equalities

A Proof is data: the rooms of proofs make it, `document` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import sympy as sp

from symbackprop.calculus.derivation import Derivation, Gradient, Step
from symbackprop.calculus.rules import RULES, Rule
from symbackprop.expression.build import Expr
from symbackprop.expression.program import Program
from symbackprop.expression.shown import Shown, in_a_line, saved
from symbackprop.expression.sympy_bridge import to_sympy
from symbackprop.rendering.text import to_text

Status = Literal["PROVED", "REFUTED", "UNDECIDED", "MALFORMED", "SURROGATE"]
Detail = Literal["brief", "full"]
Paper = Literal["a4", "letter"]
PAPERS: tuple[Paper, ...] = get_args(Paper)


@dataclass(frozen=True, repr=False)
class Theorem(Shown):
    """An equation and the derivation that the kernel has replayed.

    Args:
        name: a short title.
        derivation: left, right and the steps between.
        status: PROVED only if the kernel accepted every step.
        scope: for which sizes it holds.
        conditions: what it assumes, in words.
        remark: what a reader should know about it, one or two sentences.
        layer: the layer it speaks of, if it speaks of one.
    """

    name: str
    derivation: Derivation
    status: Status
    scope: str
    conditions: tuple[str, ...] = ()
    remark: str = ""
    layer: int | str | None = None

    @property
    def statement(self) -> sp.Eq:
        """The equation in SymPy; sums run from 1."""
        return sp.Eq(to_sympy(self.derivation.left), to_sympy(self.derivation.right), evaluate=False)

    @property
    def text(self) -> str:
        """The equation in the plain syntax that `verify` reads."""
        return f"{to_text(self.derivation.left)} = {to_text(self.derivation.right)}"

    @property
    def steps(self) -> tuple[Step, ...]:
        """The chain of equalities."""
        return self.derivation.steps

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        steps = [
            {"before": to_text(s.before), "after": to_text(s.after), "rule": s.rule, "reason": s.reason}
            for s in self.steps
        ]
        return {
            "name": self.name,
            "statement": self.text,
            "status": self.status,
            "scope": self.scope,
            "conditions": list(self.conditions),
            "remark": self.remark,
            "steps": steps,
        }

    def __repr__(self) -> str:
        return f"Theorem({self.status}: {in_a_line(self.text)})"

    def __str__(self) -> str:
        lines = [f"{self.status}  {self.name}   ({self.scope})", f"  {self.text}"]
        lines += [f"      if {condition}" for condition in self.conditions]
        for step in self.steps:
            lines += [f"  = {to_text(step.after)}", f"      {step.reason}"]
        return "\n".join(lines)


@dataclass(frozen=True, repr=False)
class Proof(Shown):
    """Theorems about one program.

    Args:
        title: what is proved, in a line.
        program: the forward equations; the cost is its output J.
        cost: the right side of the equation of J.
        theorems: in the order in which they rest on each other.
        gradient: the program's cotangents and the adjoint program that becomes code.
        network: the network it is about, or None for a traced program.
        parts: the fragments of a proof for any depth: the output layer, then a general layer.
        seconds: how long derivation and replay took.
    """

    title: str
    program: Program
    cost: Expr
    theorems: tuple[Theorem, ...]
    gradient: Gradient | None = None
    network: Any = None
    parts: tuple[Program, ...] = ()
    seconds: float = 0.0
    conditions: tuple[str, ...] = ()
    code: str = field(default="", repr=False)

    @property
    def status(self) -> Status:
        """PROVED if there are theorems and every one is."""
        return "PROVED" if self.theorems and all(t.status == "PROVED" for t in self.theorems) else "UNDECIDED"

    def save(
        self,
        path: str | Path,
        *,
        detail: Detail = "full",
        notation: str = "weights",
        paper: Paper = "a4",
        fragment: bool = False,
        example: bool = False,
        exercises: bool = False,
    ) -> Path:
        """Write the proof; the ending picks the format: .tex, .pdf, .html or .md, .sbp for a certificate, .v for Coq.

        Args:
            detail: "full" answers every why, "brief" is a page.
            notation: "weights", "theta" or "nielsen".
            paper: "a4" or "letter".
            fragment: for .tex: without a preamble, to be put into a document of your own with \\input.
            example: add a worked example: a 2-2-1 network like this one, with numbers forward, backward and through
                a step.
            exercises: add exercises, with their solutions at the end.

        Raises:
            UnsupportedError: another ending, notation or paper; .pdf without an installed LaTeX; a fragment that is
                no .tex; an example or exercises for a traced program.
            DataError: the file cannot be written there.
        """
        return saved(
            self,
            path,
            detail=detail,
            notation=notation,
            paper=paper,
            fragment=fragment,
            example=example,
            exercises=exercises,
        )

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The rules that the steps use, in the order of first use."""
        names = dict.fromkeys(step.rule for theorem in self.theorems for step in theorem.steps)
        return {name: RULES[name] for name in names}

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "title": self.title,
            "status": self.status,
            "theorems": [t.to_dict() for t in self.theorems],
            "conditions": list(self.conditions),
            "seconds": round(self.seconds, 3),
        }

    def __repr__(self) -> str:
        return f"Proof({self.status}: {self.title}; {len(self.theorems)} theorems)"

    def __str__(self) -> str:
        lines = [f"{self.status}  {self.title}"]
        for theorem in self.theorems:
            lines.append(f"  {theorem.text}")
            if theorem.conditions:
                lines.append("      if " + ", ".join(theorem.conditions))
        counts = {s: sum(t.status == s for t in self.theorems) for s in ("PROVED", "UNDECIDED")}
        lines.append(
            f"{counts['PROVED']} proved, {counts['UNDECIDED']} undecided; "
            "every step replayed by the kernel, for all sizes"
        )
        return "\n".join(lines)
