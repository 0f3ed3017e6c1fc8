"""How data show themselves at a prompt and in a notebook, and are saved: registered here, for each class.

MathML needs no script, so a saved notebook shows it too.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from symbackprop.calculus.derivation import Derivation, Step
from symbackprop.certificate.coq import ENDING as COQ
from symbackprop.certificate.coq import coq_of
from symbackprop.certificate.emit import ENDING, certificate_of, certificate_of_proof
from symbackprop.checking.verdict import Verdict
from symbackprop.document.html import fragment
from symbackprop.document.proof_document import numpy_lines, proof_document
from symbackprop.document.reproduce import command_for
from symbackprop.document.save import save
from symbackprop.document.verdict_document import verdict_document
from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import Expr
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.shown import in_a_line, register, row
from symbackprop.files import write_file
from symbackprop.frontends.network import Network
from symbackprop.proofs.program import short_backward
from symbackprop.proofs.theorem import PAPERS, Detail, Paper, Proof, Theorem
from symbackprop.rendering.math import chain_latex, equality_mathml, latex
from symbackprop.rendering.notation import NAMES, NOTATIONS, WEIGHTS, Notation
from symbackprop.rendering.text import to_text


def equality_latex(left: Expr, right: Expr, notation: Notation = WEIGHTS) -> str:
    """left = right between dollar signs, for `_repr_latex_`."""
    return rf"$\displaystyle {latex(left, notation)} = {latex(right, notation)}$"


def in_notebook(html: str) -> str:
    """HTML for a cell of a notebook, with the few rules that set formulas and reasons apart, in this cell alone."""
    style = resources.files("symbackprop.document").joinpath("notebook.css").read_text(encoding="utf-8")
    return f'<div class="symbackprop">\n<style>\n{style}</style>\n{html}\n</div>'


def _notation(program: Program) -> Notation:
    """A user's names as they are; else z2 is the z of layer 2."""
    return NAMES if program.lines or program.name else WEIGHTS


def _program_latex(program: Program) -> str:
    return chain_latex([(e.left, e.value) for e in program.equations], _notation(program))


def _program_html(program: Program) -> str:
    equations = [equality_mathml(e.left, e.value, _notation(program)) for e in program.equations]
    found = [] if program.precision is None else [f"<p>In floating point: {escape(program.precision.text)}</p>"]
    return in_notebook("".join([*equations, *found]))


def _derivation_latex(derivation: Derivation) -> str:
    """The chain of equalities."""
    first = (derivation.left, derivation.steps[0].after if derivation.steps else derivation.right)
    return chain_latex([first, *((None, step.after) for step in derivation.steps[1:])])


def _derivation_html(derivation: Derivation) -> str:
    """Each step as an equality, with its reason."""
    lines = [f"{equality_mathml(s.before, s.after)}<p><em>{escape(s.reason)}</em></p>" for s in derivation.steps]
    return in_notebook("".join(lines) or equality_mathml(derivation.left, derivation.right))


def _proof_notation(proof: Proof, wanted: str) -> Notation:
    return NOTATIONS["names" if proof.network is None else wanted]


def _proof_latex(proof: Proof) -> str:
    """The theorems below each other: what fits into the text of a notebook that is turned into LaTeX."""
    return chain_latex(
        [(t.derivation.left, t.derivation.right) for t in proof.theorems], _proof_notation(proof, "weights")
    )


def _proof_html(proof: Proof) -> str:
    return in_notebook(fragment(proof_document(proof, detail="brief", notation=_proof_notation(proof, "weights"))))


def _save_proof(
    proof: Proof,
    path: str | Path,
    *,
    detail: Detail,
    notation: str,
    paper: Paper,
    fragment: bool,
    example: bool,
    exercises: bool,
) -> Path:
    for given, known, what in ((notation, tuple(NOTATIONS), "notation"), (paper, PAPERS, "paper")):
        if given not in known:
            raise UnsupportedError(f"unknown {what} {given!r}", evidence=["known:  " + ", ".join(known)])
    if Path(path).suffix.lower() == COQ and proof.parts:
        raise UnsupportedError("there is no file for Coq for any depth yet", help="give the number of layers")
    if Path(path).suffix.lower() in (ENDING, COQ):
        return _write_certificate(certificate_of_proof(proof), path)
    document = proof_document(
        proof,
        detail=detail,
        notation=_proof_notation(proof, notation),
        code=numpy_lines(proof) if detail == "full" else {},
        command=command_for(proof),
        paper=paper,
        example=example,
        exercises=exercises,
    )
    return save(document, path, fragment=fragment)


def _verdict_latex(verdict: Verdict) -> str | None:
    """Claim, truth and cure as formulas, as far as there are any."""
    notation = NAMES if verdict.cured else WEIGHTS
    pairs = [(left, right) for _, left, right in verdict.formulas] + [(c.left, c.right) for c in verdict.cured]
    return chain_latex(pairs, notation) if pairs else None


def _with_closed_forms(verdict: Verdict) -> Verdict:
    """The verdict with the derived gradients as short as a document shows them."""
    return verdict if verdict.program is None else replace(verdict, program=short_backward(verdict.program))


def _save_verdict(verdict: Verdict, path: str | Path) -> Path:
    """As a document, a certificate, a file for Coq, or JSON, in which a number that is none, or infinite, is null."""
    if Path(path).suffix.lower() in (ENDING, COQ):
        return _write_certificate(certificate_of(verdict), path)
    if Path(path).suffix.lower() != ".json":
        return save(verdict_document(_with_closed_forms(verdict)), path)
    text = json.dumps(_without_nan(verdict.to_dict()), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(path, lambda stream: stream.write(text.encode()))
    return Path(path)


def _write_certificate(certificate: str, path: str | Path) -> Path:
    text = coq_of(certificate) if Path(path).suffix.lower() == COQ else certificate
    write_file(path, lambda stream: stream.write(text.encode()))
    return Path(path)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _equation_text(equation: Equation) -> str:
    return f"{to_text(equation.left)} = {to_text(equation.value)}"


def _program_text(program: Program) -> str:
    """What goes in and out, every equation, and what floating point makes of it, where that was asked."""
    equations = [f"  {_equation_text(e)}" for e in program.equations]
    found = row("precision", "" if program.precision is None else program.precision.text)
    return "\n".join([_program_brief(program), *equations, *found])


def _program_brief(program: Program) -> str:
    given = ", ".join([t.name for t in program.inputs] + [p.name for p in program.parameters])
    count = f"{len(program.equations)} equation{'' if len(program.equations) == 1 else 's'}"
    name = f"{program.name}: " if program.name else ""
    return f"Program({in_a_line(f'{name}{given} -> ' + ', '.join(t.name for t in program.outputs))}; {count})"


def _derivation_text(derivation: Derivation) -> str:
    """The chain of equalities, each with its reason."""
    lines = [f"{derivation.name}: {to_text(derivation.left)}"]
    return "\n".join(lines + [line for step in derivation.steps for line in _step_lines(step)])


def _step_lines(step: Step) -> list[str]:
    return [f"  = {to_text(step.after)}", f"      {step.reason}"]


def _derivation_brief(derivation: Derivation) -> str:
    statement = in_a_line(f"{to_text(derivation.left)} = {to_text(derivation.right)}")
    return f"Derivation({statement}; {len(derivation.steps)} steps)"


register(Program, _program_html, _program_latex, text=_program_text, brief=_program_brief)
register(Network, lambda n: _program_html(n.program), lambda n: _program_latex(n.program))
register(
    Equation,
    lambda e: in_notebook(equality_mathml(e.left, e.value)),
    lambda e: chain_latex([(e.left, e.value)]),
    text=_equation_text,
    brief=lambda e: f"Equation({in_a_line(_equation_text(e))})",
)
register(
    Step,
    lambda s: in_notebook(equality_mathml(s.before, s.after)),
    lambda s: chain_latex([(s.before, s.after)]),
    text=lambda s: f"{to_text(s.before)}\n" + "\n".join(_step_lines(s)),
    brief=lambda s: f"Step({s.rule}: {in_a_line(f'{to_text(s.before)} = {to_text(s.after)}')})",
)
register(Derivation, _derivation_html, _derivation_latex, text=_derivation_text, brief=_derivation_brief)
register(
    Theorem,
    lambda t: in_notebook(equality_mathml(t.derivation.left, t.derivation.right)),
    lambda t: equality_latex(t.derivation.left, t.derivation.right),
)
register(Proof, _proof_html, _proof_latex, _save_proof)
register(
    Verdict,
    lambda v: in_notebook(fragment(verdict_document(_with_closed_forms(v)))),
    _verdict_latex,
    _save_verdict,
)
