"""A proof as a document: what is claimed, the network, the rules, every derivation line by line, and how it was
checked.

Every displayed equality is taken from the derivations or from the program, never typed; `unbacked` finds one that
is not. Main names: `proof_document`, `numpy_lines`, `unbacked`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from symbackprop.codegen.code_lines import code_lines
from symbackprop.codegen.program import plain_source
from symbackprop.document import closing_sections as supplements
from symbackprop.document import opening_sections as overview
from symbackprop.document.any_depth_code import loop_lines
from symbackprop.document.context import Context, index_letters
from symbackprop.document.derivation_section import DerivationSections
from symbackprop.document.exercises import exercise_sections
from symbackprop.document.model import Block, DisplayedEquality, Document, equations
from symbackprop.document.protocols import ProofLike
from symbackprop.document.recurrence_section import first_and_later, recurrence_section
from symbackprop.document.worked_example import worked_example
from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import Expr, Tensor
from symbackprop.frontends.network import Network
from symbackprop.proofs.theorem import Detail, Paper, Proof
from symbackprop.rendering.notation import WEIGHTS, Notation

MOST_EQUATIONS = 30  # a longer program is not printed as code


def proof_document(
    proof: ProofLike,
    *,
    detail: Detail = "full",
    notation: Notation = WEIGHTS,
    code: Mapping[Tensor, str] | None = None,
    command: str = "",
    checks: Sequence[str] = (),
    paper: Paper = "a4",
    example: bool = False,
    exercises: bool = False,
) -> Document:
    """The document of a proof.

    Args:
        detail: brief is one page, with one derivation for all layers that share it; full answers every "why".
        code: for each tensor the generated line that computes it.
        command: what to type to run the proof again.
        checks: further checks that were made, one sentence each.
        paper: the size of the pages.
        example, exercises: whether to add a worked example, and exercises with their solutions; for networks.

    Raises:
        UnsupportedError: an example or exercises for a proof that is about no network.
    """
    if notation.bias_column and proof.network is not None:  # h(x) is the name of the last activation
        notation = replace(notation, output_layer=proof.network.depth or str(len(proof.network.layers)))
    if not notation.layered:
        notation = replace(notation, rename={**notation.rename, **index_letters(proof.program)})
    about = Context(proof, notation)
    told = DerivationSections(about)
    if detail == "brief":
        chains = () if about.bars else told.derivations(brief=True)  # of a user's program the results, on a page
        body = (
            *overview.forward(about, brief=True),
            *(chains or overview.claims(about, brief=True)),
            *supplements.checked(about, command, (), chains, brief=True),
        )
        body += handout(proof, notation, example, exercises)
        return Document(about.title(), about.lead(brief=True), body, notation, compact=True, paper=paper)
    derivations = told.derivations()
    body = (
        *overview.setting(about),
        *overview.claims(about),
        *overview.notation_table(about),
        *overview.forward(about),
        *overview.functions(about),
        *overview.rules(about, derivations),
        *derivations,
        *supplements.induction(about),
        *recurrence_section(about),
        *supplements.batch(about),
        *supplements.listing(about, code or {}),
        *supplements.questions(about),
        *supplements.conditions(about),
        *supplements.checked(about, command, checks, derivations),
        *handout(proof, notation, example, exercises),
    )
    return Document(about.title(), about.lead(), body, notation, paper=paper)


def handout(proof: ProofLike, notation: Notation, example: bool, exercises: bool) -> tuple[Block, ...]:
    """What is added for a class: a worked example, exercises and, last, their solutions."""
    if not (example or exercises):
        return ()
    if not isinstance(proof.network, Network):
        raise UnsupportedError(
            "a worked example and exercises are made for networks, not for traced programs",
            help="leave out example and exercises",
        )
    sections = [worked_example(proof.network, notation)] if example else []
    return (*sections, *(exercise_sections(proof.network, notation) if exercises else ()))


def numpy_lines(proof: Proof) -> Mapping[Tensor, str]:
    """For each tensor the generated NumPy that computes it; none where no code can be generated."""
    if proof.parts:
        return loop_lines(proof)
    if proof.gradient is None or len(proof.program.equations) > MOST_EQUATIONS:
        return {}
    try:
        source = plain_source(proof.gradient.adjoint)
    except UnsupportedError:
        return {}
    return code_lines(source, [e.tensor for e in proof.gradient.adjoint.equations])


def unbacked(document: Document, *proofs: ProofLike) -> tuple[DisplayedEquality, ...]:
    """The displayed equalities that are no theorem, no equation of a program, no part of a chain: should be none.

    Args:
        proofs: what the document is about; for one with exercises also `exercises.changed_proofs`.
    """
    known: set[tuple[Expr, Expr]] = set()
    for proof in proofs:
        known |= {(e.left, e.value) for e in proof.program.equations} | set(overview.definitions(proof))
        known |= set(first_and_later(proof))
        lemmas = proof.gradient.derivations.values() if proof.gradient is not None else ()
        for derivation in (*(t.derivation for t in proof.theorems), *lemmas):
            chain = [derivation.left, *(s.after for s in derivation.steps)]
            known |= set(itertools.combinations(chain, 2)) | {(derivation.left, derivation.right)}
            known |= {(e.left, e.value) for e in derivation.program.equations}
    return tuple(e for e in equations(document) if (e.left, e.right) not in known)
