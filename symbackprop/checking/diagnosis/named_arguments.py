"""Names for what functions are applied to: of y = tanh(conv(h, v)) the derivative with respect to conv(h, v).

A forward pass that gives no name to the argument of a function has no derivative with respect to it either, only those
with the slope in them. A backward pass computes it all the same, and where it forgets the slope, that is the derivative
which is missing. Given a name, the argument is a tensor like others. Main name: `with_named_arguments`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from symbackprop.calculus.reverse_mode import differentiate, with_cost
from symbackprop.checking.diagnosis.numeric_filter import Refuted
from symbackprop.checking.diagnosis.vocabulary import value_nodes
from symbackprop.checking.partial_sums import with_inner_sums, with_partial_sums
from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import (
    Apply,
    Compare,
    Entry,
    Expr,
    Number,
    Tensor,
    Where,
    free_indices,
    mentioned,
    substitute,
)
from symbackprop.expression.program import PART, Equation, Program, unused
from symbackprop.expression.recurrence import recurrent


def with_named_arguments(case: Refuted) -> Refuted | None:
    """The same, derived from a forward pass with an equation for each argument; None if all have names."""
    forward, backward = case.traced.forward, case.traced.backward
    if recurrent(forward.equations) or case.formula is not None:
        return None
    taken = {t.name for t in (*case.sides.derived.tensors, *backward.tensors)}
    told: dict[Tensor, list[Equation]] = {}
    for line in forward.equations:
        lines = _told(line, taken)
        if len(lines) > 1:
            told[line.tensor] = lines
    if not told:
        return None
    traced = replace(case.traced, forward=_with(forward, told), backward=_with(backward, told))
    taken = {t.name for t in (*traced.forward.tensors, *backward.tensors)}
    try:
        program, _ = with_cost(traced.forward, traced.upstream, backward.tensors)
        gradient = differentiate(
            program, name=lambda t: unused(f"{t.name}_bar", taken | {e.name for e in program.tensors})
        )
    except SymbackpropError:
        return None
    known = gradient.adjoint.by_tensor
    added = (e for e in case.sides.derived.equations if e.tensor in case.derived.values() and e.tensor not in known)
    adjoint = replace(gradient.adjoint, equations=(*gradient.adjoint.equations, *added))
    derived = with_inner_sums(with_partial_sums(adjoint, program.by_tensor), program.by_tensor)
    return replace(case, traced=traced, gradient=gradient, sides=case.sides.edited(derived, traced.backward))


def _with(program: Program, told: dict[Tensor, list[Equation]]) -> Program:
    return replace(program, equations=tuple(e for line in program.equations for e in told.get(line.tensor, [line])))


def _told(line: Equation, taken: set[str]) -> list[Equation]:
    """The line after equations for the arguments in it."""
    parts, value = list[Equation](), line.value
    for argument in dict.fromkeys(_arguments(line.value)):
        if free_indices(argument) == set(line.indices) and argument is not line.value:
            own = Tensor(unused(f"{line.tensor.name}_argument", taken), line.tensor.shape)
            taken.add(own.name)
            note = line.note if line.note.startswith(PART) else f"{PART}{line.note}"
            parts.append(Equation(own, line.indices, argument, note))
            value = substitute(value, {argument: parts[-1].left})
    return [*parts, replace(line, value=value)]


def _arguments(expr: Expr) -> Iterator[Expr]:
    """What stands in functions and on one side of comparisons, but for what is a tensor already."""
    for node in value_nodes(expr):
        match node:
            case Apply(_, (argument,)):
                found = [argument]
            case Where(Compare(left=left, right=right)):
                found = [side for side, other in ((left, right), (right, left)) if isinstance(other, Number)]
            case _:
                continue
        yield from (a for a in found if not isinstance(a, Entry) and mentioned(a))
