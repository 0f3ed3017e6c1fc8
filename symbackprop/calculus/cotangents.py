"""A program with one scalar cost: what reverse mode starts from.

Outputs that are arrays are met by upstream gradients, so that the cost is Sum(dout * out). This module derives nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from symbackprop.expression.build import Entry, Expr, Tensor, add, close_sum, fresh, multiply
from symbackprop.expression.program import UPSTREAM, Equation, Program, unused


def with_cost(
    program: Program, given: tuple[Tensor, ...] = (), others: Iterable[Tensor] = ()
) -> tuple[Program, tuple[Tensor, ...]]:
    """The program with one scalar cost, and the upstream gradients that it takes; none if it has a cost already.

    Args:
        given: the upstream tensors, one for each output, where they exist already.
        others: tensors of programs that this one will be joined with, whose names are not to be used again.
    """
    if not given and len(program.outputs) == 1 and not program.outputs[0].shape:
        return program, ()
    upstream, terms = list[Tensor](), list[Expr]()
    taken = {t.name for t in (*program.tensors, *given, *others)} | {s.name for s in program.parameters}
    for position, output in enumerate(program.outputs, start=1):
        name = unused("dout" if len(program.outputs) == 1 else f"dout{position}", taken)
        own = Tensor(name, output.shape)
        dout = given[position - 1] if given else own
        running = tuple(fresh("pqrstuv"[k] if k < 7 else f"p{k}", size) for k, size in enumerate(output.shape))
        term: Expr = multiply(Entry(dout, running), Entry(output, running))
        for index in reversed(running):
            term = close_sum(index, term)
        upstream.append(dout)
        taken.add(dout.name)
        terms.append(term)
    cost = Tensor(unused("J", taken))
    equation = Equation(cost, (), add(*terms), UPSTREAM)
    extended = replace(
        program, inputs=(*program.inputs, *upstream), equations=(*program.equations, equation), outputs=(cost,)
    )
    return extended, tuple(upstream)
