"""What a derivative adds up, one user after another: a weight that many layers share, a memory that all of them read.

A backward pass adds up as it goes, last layer first. The sums up to there are named, so that each of the user's is
found among them, and what is added next is all that a proof looks at. The derived equation stays as it is; that it is
the last of these sums is a lemma.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from symbackprop.expression.build import Add, Entry, Tensor, add
from symbackprop.expression.program import Equation, Program, unused
from symbackprop.expression.recurrence import recurrent

MANY = 5  # terms: fewer are compared at once


def with_partial_sums(derived: Program, forward: Collection[Tensor]) -> Program:
    """The program with names for the partial sums of long derivatives, each before the derivative itself.

    Args:
        forward: the tensors of the forward pass, whose sums are left alone.
    """
    if recurrent(derived.equations):
        return derived
    used = {t.name for t in derived.tensors}
    equations: list[Equation] = []
    for equation in derived.equations:
        if equation.tensor not in forward:
            equations += _partial_sums(equation, used)
        equations.append(equation)
    return replace(derived, equations=tuple(equations))


def _partial_sums(equation: Equation, used: set[str]) -> Iterator[Equation]:
    """The sums of the last two terms, of the last three, ..., of all."""
    terms = equation.value.terms if isinstance(equation.value, Add) else ()
    if len(terms) < MANY:
        return
    *rest, sum_so_far = terms
    for term in reversed(rest):
        name = unused(f"{equation.tensor.name}_sum", used)
        used.add(name)
        tensor = Tensor(name, equation.tensor.shape)
        yield Equation(tensor, equation.indices, add(sum_so_far, term), equation.note)
        sum_so_far = Entry(tensor, equation.indices)
