"""A program with one scalar cost: what reverse mode starts from.

Outputs that are arrays are met by upstream gradients, so that the cost is Sum(dout * out). This module derives nothing.
"""

from __future__ import annotations

from dataclasses import replace

from symbackprop.expression.build import Entry, Expr, Tensor, add, close_sum, fresh, multiply
from symbackprop.expression.program import UPSTREAM, Equation, Program


def with_cost(program: Program, given: tuple[Tensor, ...] = ()) -> tuple[Program, tuple[Tensor, ...]]:
    """The program with one scalar cost, and the upstream gradients that it takes; none if it has a cost already.

    Args:
        given: the upstream tensors, one for each output, where they exist already.
    """
    if not given and len(program.outputs) == 1 and not program.outputs[0].shape:
        return program, ()
    upstream, terms = [], []
    for position, output in enumerate(program.outputs, start=1):
        own = Tensor("dout" if len(program.outputs) == 1 else f"dout{position}", output.shape)
        dout = given[position - 1] if given else own
        running = tuple(fresh("pqrstuv"[k] if k < 7 else f"p{k}", size) for k, size in enumerate(output.shape))
        term: Expr = multiply(Entry(dout, running), Entry(output, running))
        for index in reversed(running):
            term = close_sum(index, term)
        upstream.append(dout)
        terms.append(term)
    cost = Tensor("J" if all(t.name != "J" for t in program.tensors) else "J_total")
    equation = Equation(cost, (), add(*terms), UPSTREAM)
    extended = replace(
        program, inputs=(*program.inputs, *upstream), equations=(*program.equations, equation), outputs=(cost,)
    )
    return extended, tuple(upstream)
