"""Verdicts: PROVED, REFUTED with a counterexample, UNDECIDED with what was tried, MALFORMED with what does not fit.

A Verdict is data that prints as a story of a screenful. This module must not know how a verdict is reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from symbackprop.calculus import derivation
from symbackprop.calculus.derivation import Gradient
from symbackprop.checking.counterexample import Counterexample
from symbackprop.checking.question import Question
from symbackprop.expression.build import Expr, Tensor, entries_once
from symbackprop.expression.program import Program
from symbackprop.expression.shown import Shown, enumerated, in_a_line, row, saved
from symbackprop.proofs.theorem import Status
from symbackprop.rendering.text import to_text

GIVEN_SIZES = "the sizes given"  # the scope where the user left none open
SURROGATE = "surrogate"  # a backward pass that is declared to be another one than the gradient
LONG_NOTE = 360  # characters on the screen
MOST_ARRAYS = 12  # that are shown of a counterexample
MAXIMUM_ENTRIES = 12  # arrays larger than this are shown by their shape


@dataclass(frozen=True)
class CuredLine:
    """A line as it would be right.

    Args:
        number: the line in its file.
        left, right: what it would compute.
        code: how it could be written, "" if no code for it was found.
        whole: False if the cure changed only a part of the line.
        told: the right side for plain text, with d_before for an older value of the name d that the line gives; what
            is typeset has an arrow instead.
    """

    number: int
    left: Expr
    right: Expr
    code: str = ""
    whole: bool = True
    told: Expr | None = None

    @property
    def text(self) -> str:
        """The equation in plain text."""
        return f"{to_text(self.left)} = {to_text(self.told or self.right)}"


@dataclass(frozen=True)
class Lemma(derivation.Lemma):
    """One link of a composed proof, as it is told: what a tensor of the user's, or a derived one, is."""

    @property
    def text(self) -> str:
        """In plain text: "d[n,h] = z_bar[n,h]"."""
        return f"{to_text(self.equation.left)} = {to_text(self.equation.value)}"

    def to_dict(self) -> dict[str, Any]:
        """For machines: with the definitions put in, in this order, both sides of the equation are the same."""
        told = {
            "equation": self.text,
            "line": self.equation.note,
            "definitions": [f"{to_text(d.left)} = {to_text(d.value)}" for d in self.definitions],
            "conditions": list(self.conditions),
        }
        return {**told, "induction": [t.name for t in self.beside]} if self.beside else told


@dataclass(frozen=True)
class Precision:
    """What floating point makes of a backward pass that is right over the reals, or of a forward pass alone.

    Args:
        safe: False if `witness` was seen to fail; True if a search found nothing, which is no proof; None if it was not
            decided.
        worst: the largest relative error that was seen; inf where the code gives no finite number.
        witness: the inputs at which it is lost, by name, and `dout`; None if nothing was found.
        line: the expression that loses the digits, as the user wrote it.
        stable: the changed line with which the function is proved equal and was searched without a finding; None if
            none was found.
        number: of the line in its file; 0 if it is not known.
        dtype: in which it was run.
        name, place, computed, exact: the entry that is lost: of this input's gradient, or, where the name is "", of
            what the forward returns.
        output: which of several values that the forward returns, where it is one of a forward pass alone.
        over: the ranges of the inputs.
        points: how many points were compared with true values.
        finite: the sizes at which intervals prove that all results are finite numbers, for all inputs in the ranges;
            "" if they do not.
        reason: why it was not decided.
        curve: along the way to the witness: (factor of the witness, relative error there).
    """

    safe: bool | None
    worst: float = 0.0
    witness: Mapping[str, Any] | None = None
    line: str = ""
    stable: str | None = None
    number: int = 0
    dtype: str = "float64"
    name: str = ""
    place: tuple[int, ...] = ()
    computed: float = 0.0
    exact: float = 0.0
    output: str = ""
    over: str = ""
    points: int = 0
    finite: str = ""
    reason: str = ""
    curve: tuple[tuple[float, float], ...] = ()

    @property
    def lost(self) -> str:
        """How much is lost, in words: "no number", "all digits lost", "12 of 16 digits lost"."""
        if math.isinf(self.worst):
            return "no finite number"
        digits = 16 if self.dtype == "float64" else 7
        kept = max(0, math.floor(-math.log10(self.worst))) if self.worst > 0 else digits
        return "all digits lost" if kept == 0 else f"{kept} of {digits} digits left"

    @property
    def entry(self) -> str:
        """What is lost, by name and place: "dx[0]", "out"."""
        name = f"d{self.name}" if self.name else self.output or "out"
        return name + (f"[{','.join(map(str, self.place))}]" if self.place else "")

    @property
    def text(self) -> str:
        """The row of a printed verdict."""
        if self.safe is None:
            return f"not decided: {self.reason}"
        if self.safe:
            bound = f"proved finite by intervals (where {self.finite}); " if self.finite else ""
            found = f"{bound}no digits were seen to be lost in {self.dtype} at {self.points} points, {self.over}"
            return f"{found}\n(largest relative error {self.worst:.2g}; a search is no proof of safety)"
        error = self.lost if math.isinf(self.worst) else f"{self.worst:.2g} ({self.lost})"
        at = ", ".join(f"{n}={_array(v)}" for n, v in (self.witness or {}).items())
        where = (f", line {self.number}: " if self.number else ", ") + self.line if self.line else ""
        entry = self.name or self.output or "the forward"
        lines = [f"{entry}: {error} in {self.dtype} at {at}{where}"]
        lines.append(f"{self.entry}:  computed {self.computed:.9g}    correct {self.exact:.9g}")
        if self.stable:
            lines.append(f"stable (proved equal, and searched):  {self.stable}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """For machines; numbers that are not finite are text."""
        witness = {n: np.asarray(v).tolist() for n, v in (self.witness or {}).items()}
        return {
            "safe": self.safe,
            "worst": self.worst if math.isfinite(self.worst) else str(self.worst),
            "witness": witness if self.witness is not None else None,
            "line": self.line,
            "number": self.number,
            "stable": self.stable,
            "dtype": self.dtype,
            "gradient": self.name,
            "output": self.output,
            "entry": list(self.place),
            "computed": self.computed if math.isfinite(self.computed) else str(self.computed),
            "exact": self.exact,
            "over": self.over,
            "points": self.points,
            "finite": self.finite,
            "reason": self.reason,
        }


@dataclass(frozen=True, repr=False)
class Verdict(Shown):
    """What is true of a claim about gradients.

    Args:
        status: PROVED, REFUTED, UNDECIDED or MALFORMED; SURROGATE for what was declared not to be the gradient, and is
            not.
        subject: what the claim is about: "delta2[n,i]", "gradients of layernorm".
        claimed: the claim as it was read.
        derived: what was derived instead, in the same syntax.
        scope: "all sizes", or the sizes for which it is proved.
        conditions: what a proof assumes.
        wrong: names of the gradients that are wrong.
        diagnosis: what is wrong and what would make it right, "" if nothing was found.
        cure: the right formula, if an edit of the claim was proved.
        counterexample: numbers at which claim and truth differ.
        reason: why it is undecided or malformed.
        formulas: claim and derived formula as expressions, each with what it is, its left and its right side.
        program: the forward equations and the derived cotangents, for a backward pass.
        written: the user's backward pass.
        claim: the equations that the user's backward pass was traced to.
        claims: the tensors of these equations that are claimed to be gradients, by the names of the inputs.
        called: for its tensors, by their names, the user's own names.
        cured: the user's lines as they would be right.
        evidence: of a backward pass, what was derived and the question put: certificates are made of it.
        unjudged: inputs of which no gradient was returned, so that nothing is said about it.
        cure_scope: the sizes for which a cure holds, "" for all.
        lemmas: of a composed proof, what each of the user's tensors is, in the order of the program.
        precision: what floating point makes of it, where that was asked.
    """

    status: Status
    subject: str
    claimed: str = ""
    derived: str = ""
    scope: str = ""
    conditions: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    diagnosis: str = ""
    cure: str = ""
    counterexample: Counterexample | None = None
    reason: str = ""
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default_factory=tuple)
    formulas: tuple[tuple[str, Expr, Expr], ...] = field(default=(), repr=False, compare=False)
    program: Program | None = field(default=None, repr=False, compare=False)
    written: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    claim: Program | None = field(default=None, repr=False, compare=False)
    claims: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)
    called: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    cured: tuple[CuredLine, ...] = field(default=(), repr=False, compare=False)
    cure_scope: str = ""
    lemmas: tuple[Lemma, ...] = field(default=(), repr=False, compare=False)
    evidence: tuple[Gradient, Question] | None = field(default=None, repr=False, compare=False)
    unjudged: tuple[str, ...] = ()
    precision: Precision | None = None

    def __bool__(self) -> bool:
        """True only if PROVED."""
        return self.status == "PROVED"

    @property
    def for_all_sizes(self) -> bool:
        """True if what is proved holds for all sizes that were left open, not only for some stated in the scope."""
        return self.status == "PROVED" and (not self.scope or self.scope.startswith(("all sizes", GIVEN_SIZES)))

    def save(self, path: str | Path) -> Path:
        """Write the verdict as a document; the ending picks the format: .tex, .pdf, .html, .md, or .json for machines.

        With the ending .sbp the proof of a PROVED backward pass is written as a certificate, which
        `symbackprop/certificate/check_proof.py` checks without anything else of symbackprop (docs/certificate.md); with
        .v as theorems about the same equations, with their proofs, for Coq.

        Raises:
            UnsupportedError: another ending, .pdf without an installed LaTeX, or no certificate of this verdict.
            DataError: the file cannot be written there.
        """
        return saved(self, path)

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "status": self.status,
            "subject": self.subject,
            "claimed": self.claimed,
            "derived": self.derived,
            "scope": self.scope,
            "conditions": list(self.conditions),
            "wrong": list(self.wrong),
            "unjudged": list(self.unjudged),
            "diagnosis": self.diagnosis,
            "cure": self.cure,
            "counterexample": None if self.counterexample is None else self.counterexample.to_dict(),
            "reason": self.reason,
            "notes": list(self.notes),
            "lemmas": [m.to_dict() for m in self.lemmas],
            "tensors": _shapes(self.lemmas),
            "seconds": round(self.seconds, 4),
            **({"precision": self.precision.to_dict()} if self.precision is not None else {}),
        }

    def __repr__(self) -> str:
        why = self.diagnosis or self.reason or self.scope
        return f"Verdict({in_a_line(f'{self.status}: {self.subject}' + (f'; {why}' if why else ''))})"

    def __str__(self) -> str:
        lines = [f"{self.status}  {self.subject}" + (f"   ({self.scope})" if self.scope else "")]
        lines += row("unjudged", f"no gradient was returned of {enumerated(self.unjudged)}" if self.unjudged else "")
        lines += row("claimed", self.claimed)
        if self.status != "PROVED":
            lines += row("derived", self.derived)
        for condition in self.conditions:
            lines += row("if", condition)
        if self.counterexample is not None:
            lines += _numbers(self.counterexample)
        lines += row("wrong", enumerated(self.wrong) if len(self.wrong) > 1 else "")
        lines += row("diagnosis", self.diagnosis)
        proved = f"proved, {self.cure_scope}" if self.cure_scope else "proved"
        lines += row("right", f"{self.cure}   ({proved})" if self.cure else "")
        for line in self.cured:
            lines += row("as code", f"line {line.number}:  {line.code}" if line.code else "")
        lines += row("because", self.reason)
        lines += row("precision", self.precision.text if self.precision is not None else "")
        for note in self.notes:
            lines += row("note", _cut(note))
        return "\n".join(lines)


def _shapes(lemmas: Iterable[Lemma]) -> dict[str, list[str]]:
    """The shape of each tensor that some lemmas speak of, by name."""
    equations = [e for lemma in lemmas for e in (*lemma.definitions, lemma.equation)]
    tensors = {t for e in equations for t in (e.tensor, *(entry.tensor for entry in entries_once(e.value)))}
    return {t.name: [to_text(n) for n in t.shape] for t in sorted(tensors, key=lambda t: t.name)}


def _cut(note: str) -> str:
    """A note of reasonable length: of a model of a dozen blocks it lists hundreds of arrays."""
    if len(note) <= LONG_NOTE:
        return note
    head, _, _ = note[:LONG_NOTE].rpartition(", ")
    return f"{head}, ... (Verdict.notes has all of it)"


def _numbers(found: Counterexample) -> list[str]:
    """The counterexample: where, and both values side by side."""
    sizes = ", ".join(f"{name}={size}" for name, size in found.sizes.items())
    arrays = {**found.inputs, **found.given}
    values = [f"{name}={_array(value)}" for name, value in list(arrays.items())[:MOST_ARRAYS]]
    if len(arrays) > MOST_ARRAYS:
        values.append(f"and {len(arrays) - MOST_ARRAYS} more arrays (counterexample.save writes all)")
    values += [f"{name}={value:g}" for name, value in found.parameters.items()]
    values += [f"{name} is {other}" for name, other in found.functions.items()]
    entry = found.entry
    place = f"{entry.name}[{','.join(str(i + 1) for i in entry.index)}]" if entry.index else entry.name
    digits = _digits(entry.claimed, entry.correct)
    lines = row("example", ", ".join([sizes, *values]) if sizes else ", ".join(values))
    lines.append(f"             {place}:  claimed {entry.claimed:.{digits}g}    correct {entry.correct:.{digits}g}")
    if entry.claimed == entry.correct:
        how = "interval arithmetic proves it, float64 does not show it"
        lines.append(f"             they differ by {entry.difference:.3g}: {how}")
    return lines


def _digits(claimed: float, correct: float) -> int:
    """As many digits as tell the two apart, at least 6."""
    for digits in range(6, 18):
        if f"{claimed:.{digits}g}" != f"{correct:.{digits}g}":
            return digits
    return 17


def _array(value: Any) -> str:
    array = np.asarray(value)
    if array.size > MAXIMUM_ENTRIES:
        return "array of shape " + "x".join(str(n) for n in array.shape)
    return _short(array.tolist())


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_short(v) for v in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
