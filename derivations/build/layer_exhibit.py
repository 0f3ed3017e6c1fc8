"""An exhibit about NumPy code: a file with a forward and a backward pass, as `symbackprop check` takes it.

    layer_exhibit(Path("layernorm.py"), "Layer normalisation", "Three paths ...", [Form("x_bar[n,d] = ...", "why")])

The forward pass is traced and its gradients are derived; further theorems bring them to the form that is used by
hand; the backward pass is compared with them. This module knows no particular layer.
"""

from __future__ import annotations

import runpy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from symbackprop.api import check, prove, trace
from symbackprop.checking.claims import Claims, Exhibit
from symbackprop.errors import ProofError
from symbackprop.expression.build import Entry
from symbackprop.proofs.theorem import Proof, Theorem

NO_REMARKS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Form:
    """A derived gradient in other words.

    Args:
        statement: x_bar[n,d] = ...
        why: why it equals the line before.
        lines: formulas on the way, each with the reason why the one before equals it.
        remark: what a reader should know about it.
    """

    statement: str
    why: str
    lines: Sequence[tuple[str, str]] = ()
    remark: str = ""


def layer_exhibit(
    file: Path,
    title: str,
    line: str,
    forms: Sequence[Form] = (),
    *,
    data: Sequence[str] = (),
    remarks: Mapping[str, str] = NO_REMARKS,
) -> Exhibit:
    """The gradients of the forward pass in a file, derived and proved, and the verdict on the file's backward pass.

    Args:
        file: defines forward, backward, SHAPES and, where needed, ASSUME and WHERE.
        line: what is claimed, in one sentence.
        forms: gradients in other words, x_bar[n,d] = ..., each shown after the gradient that it is a form of.
        data: inputs whose gradients nobody asks for.
        remarks: for a gradient, by its name, what a reader should know about it.

    Raises:
        ProofError: a form could not be shown, or the backward pass was not proved.
    """
    module = runpy.run_path(str(file))
    options = {"shapes": module["SHAPES"], "assume": module.get("ASSUME"), "where": module.get("WHERE")}
    verdict = check(module["forward"], module["backward"], **options)
    if not verdict:
        raise ProofError(f"the backward pass of {file.name} is not proved", evidence=str(verdict).split("\n"))
    proof = prove(trace(module["forward"], **options))
    unasked = {f"{name}_bar" for name in data}
    theorems = (replace(t, remark=remarks.get(_name(t), t.remark)) for t in proof.theorems if _name(t) not in unasked)
    proof = replace(proof, title=title, theorems=tuple(theorems))
    return Exhibit(title, line, (_with_forms(proof, forms),), verdicts=(replace(verdict, subject=file.name),))


def _with_forms(proof: Proof, forms: Sequence[Form]) -> Proof:
    """The proof with each further form after the gradient that it is a form of."""
    if not forms:
        return proof
    assert proof.gradient is not None, "a program's proof has its gradient"
    shown = {t.derivation.left: t.derivation for t in proof.theorems}
    derivations = {t: shown.get(d.left, d) for t, d in proof.gradient.derivations.items()}
    claims = Claims(proof.gradient.program, derived=replace(proof.gradient, derivations=derivations))
    theorems = list(proof.theorems)
    for form in forms:
        name = form.statement.partition("[")[0]
        place = next(k for k, t in enumerate(theorems) if _name(t) == name)
        proved = claims.theorem(
            f"{theorems[place].name}, simplified", form.statement, *form.lines, why=form.why, remark=form.remark
        )
        theorems.insert(place + 1, proved)
    return replace(proof, theorems=tuple(theorems))


def _name(theorem: Theorem) -> str:
    left = theorem.derivation.left
    assert isinstance(left, Entry), "gradients are entries"
    return left.tensor.name
