"""From step to step: the recurrences of a traced program as one writes them, and why all their steps are right.

A recurrence has its first step, which reads nothing of it, and the step that leads on. That of the derivatives runs the
other way. Main names: `recurrence_section`, `first_and_later`.
"""

from __future__ import annotations

from collections.abc import Sequence

from symbackprop.document.context import Context, joined
from symbackprop.document.model import Block, Display, DisplayedEquality, Paragraph, Section, Strong, Symbolic, Text
from symbackprop.document.protocols import ProofLike
from symbackprop.expression.build import ONE, ZERO, Expr, Index, add, mentioned, substitute, subtract
from symbackprop.expression.equation import Equation
from symbackprop.expression.program import Program
from symbackprop.expression.recurrence import Recurrence
from symbackprop.expression.sizes import Facts, decided, simplify
from symbackprop.rendering.text import to_text

Line = tuple[Expr, Expr]


def recurrence_section(about: Context) -> tuple[Block, ...]:
    """The recurrences, and the induction over their steps; nothing for a program without."""
    gradient = about.proof.gradient
    if gradient is None or about.proof.network is not None:
        return ()
    given = set(about.proof.program.by_tensor)
    found = [b for b in gradient.adjoint.blocks if isinstance(b, Recurrence)]
    forward = [b for b in found if any(e.tensor in given for e in b.equations)]
    back = [b for b in found if b not in forward]
    if not found:
        return ()
    facts = gradient.adjoint.facts
    body = [b for block in forward for b in _told(about, block, facts, "is a recurrence")]
    for block in back:
        body += _told(about, block, facts, "is one too, which runs the other way" if forward else "is a recurrence")
        body += _induction(about, block)
    return (Section("From step to step", tuple(body)),)


def first_and_later(proof: ProofLike) -> list[Line]:
    """The first and the later steps of every equation of a recurrence, with what it asks about the step answered."""
    gradient = proof.gradient
    programs: list[Program] = [proof.program, *([gradient.adjoint] if gradient is not None else [])]
    found = list[Line]()
    for program in programs:
        for block in program.blocks:
            if isinstance(block, Recurrence):
                found += [line for e in block.equations for line in _lines(e, block, program.facts)]
    return found


def _lines(equation: Equation, block: Recurrence, facts: Facts) -> list[Line]:
    """(the first step, any later one) where the first reads nothing of the recurrence; else the equation alone."""
    clock = block.clocks[equation.tensor]
    step = equation.indices[clock.axis]
    last = simplify(subtract(step.size, ONE), facts)
    first = ZERO if clock.sign > 0 else last
    at_first = decided(substitute(equation.value, {step: first}), facts)
    if mentioned(at_first) & set(block.clocks):
        return [(equation.left, decided(equation.value, facts))]
    others = Index(step.name, last)
    later = add(others, ONE) if clock.sign > 0 else others
    return [
        (substitute(equation.left, {step: first}), at_first),
        (substitute(equation.left, {step: later}), decided(substitute(equation.value, {step: later}), facts)),
    ]


def _told(about: Context, block: Recurrence, facts: Facts, words: str) -> list[Block]:
    """One recurrence: its tensors, its first step and its later ones."""
    names: list[Symbolic] = [Symbolic(about.name(e.tensor)) for e in block.equations]
    step, last = _steps(block, facts)
    forwards = block.clocks[block.equations[0].tensor].sign > 0
    order = f"{step} = 0, 1, 2, \\ldots, {last}" if forwards else f"{step} = {last}, \\ldots, 1, 0"
    side = "before" if forwards else "after"
    sentence = f" {words}: they read each other. Step ${step}$ is computed from the step {side} it, for ${order}$."
    head: Text = ("What defines ", *_and(names), *about.words(sentence))
    lines = [line for e in block.equations for line in _lines(e, block, facts)]
    return [Paragraph(head), Display(tuple((DisplayedEquality(*line), ()) for line in lines))]


def _steps(block: Recurrence, facts: Facts) -> tuple[str, str]:
    """(the letter of the steps, the last of them) of the tensors that have the fewest."""
    places = [e.indices[block.clocks[e.tensor].axis] for e in block.equations]
    shortest = min(places, key=lambda i: len(to_text(i.size)))
    return shortest.name, to_text(simplify(subtract(shortest.size, ONE), facts))


def _induction(about: Context, block: Recurrence) -> list[Block]:
    """Why the recurrence of the derivatives gives the derivatives, at every step."""
    step, last = _steps(block, Facts())
    names = [Symbolic(about.name(e.tensor)) for e in block.equations]
    claim: Text = (
        *about.words(f"Let $P({step})$ be the statement that what these equations give at step ${step}$ is the "),
        *about.words("derivative of the cost by the entries of that step, along every path from them to the cost."),
    )
    base = (
        f"After step ${last}$ there is no further step, so the first of the equations above are what the chain rule "
        f"gives there, and $P({last})$ holds."
    )
    on = (
        f"Let $P$ hold for all steps after ${step}$. An entry of step ${step}$ is read in equations of step ${step}$, "
        f"of the next step and outside of the recurrence alone. The derivations above have worked out by the chain "
        f"rule what each of these sends back; derivatives by later steps stand in it for themselves, and are known. So "
        f"$P({step})$ holds."
    )
    end = f"By induction, downwards from ${last}$, $P({step})$ holds for every step, whatever the number of steps is."
    return [
        Paragraph((Strong("Induction. "), *claim)),
        Paragraph((Strong("Base. "), *about.words(base))),
        Paragraph((Strong("Step. "), *about.words(on))),
        Paragraph((Strong("Conclusion. "), *about.words(end), " This is so for ", *_and(names), ".")),
    ]


def _and(parts: Sequence[Symbolic]) -> Text:
    """a, b and c."""
    return (*joined(parts[:-1], ", "), " and ", parts[-1]) if len(parts) > 1 else tuple(parts)
