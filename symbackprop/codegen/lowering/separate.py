"""The data's part and the regulariser's part of a network's cost and gradient, as two Programs.

A regulariser is no mean over shards of a batch: code that runs on several devices must average the data's part over
them and add the regulariser's once, for the size of the whole batch. A term belongs to the data if x or y has any
influence on it. This module must not know about printers.
"""

from __future__ import annotations

from dataclasses import replace

from symbackprop.expression.build import Add, Expr, Tensor, add, entries
from symbackprop.expression.program import Equation, Program, symbols

DATA = ("x", "y")


def separated(adjoint: Program) -> tuple[Program, Program]:
    """(the data's part, the regulariser's part); their outputs have the same names and add up to the adjoint's.

    In the regulariser's part the number of examples is a symbol that no input tells.
    """
    touched = {t for t in adjoint.inputs if t.name in DATA}
    data, rest = list[Equation](), list[Equation]()
    for equation in adjoint.equations:
        terms = equation.value.terms if isinstance(equation.value, Add) else (equation.value,)
        mine = [t for t in terms if not touched.isdisjoint(e.tensor for e in entries(t))]
        others = [t for t in terms if not any(t is m for m in mine)]
        if equation.tensor in adjoint.outputs:
            data.append(replace(equation, value=add(*mine)))
            rest.append(replace(equation, value=add(*others)))
        else:
            data.append(equation)
        if mine:
            touched.add(equation.tensor)
    parameters = tuple(t for t in adjoint.inputs if t.name not in DATA)
    return _of(adjoint, adjoint.inputs, data), _of(adjoint, parameters, _closed(adjoint, rest))


def _closed(adjoint: Program, equations: list[Equation]) -> list[Equation]:
    """The equations with those that they use, in the program's order."""
    needed: set[Tensor] = {e.tensor for e in equations}
    own = {e.tensor: e for e in equations}
    found = list[Equation]()
    for equation in reversed(adjoint.equations):
        if equation.tensor in needed:
            found.append(own.get(equation.tensor, equation))
            needed |= {e.tensor for e in entries(found[-1].value)}
    return list(reversed(found))


def _of(adjoint: Program, inputs: tuple[Tensor, ...], equations: list[Equation]) -> Program:
    used: set[Expr] = {s for e in equations for s in symbols(e.value)}
    parameters = tuple(p for p in adjoint.parameters if p in used)
    return replace(adjoint, inputs=inputs, equations=tuple(equations), parameters=parameters, assumptions=())
