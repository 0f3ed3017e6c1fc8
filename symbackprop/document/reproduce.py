"""How to do it again: the lines of Python that trace a user's function with the same shapes and assumptions.

Main name: `arguments_of`. This module must not know what is proved.
"""

from __future__ import annotations

from collections.abc import Container

from symbackprop.calculus.rules import tensors_in
from symbackprop.expression.build import Tensor
from symbackprop.expression.program import UPSTREAM, Program
from symbackprop.rendering.text import to_text


def arguments_of(program: Program, left_out: Container[Tensor] = ()) -> str:
    """The keywords `shapes`, `assume` and `where` as they stand in a call of `trace`, `check` or `assert_proved`.

    Args:
        left_out: inputs that are no arguments of the user's function.

    Example:
        >>> from symbackprop.expression.build import Symbol
        >>> n = Symbol("N", "size")
        >>> arguments_of(Program((Tensor("x", (n,)),), (), ()))
        'shapes={"x": ("N",)}'
    """
    inputs = [t for t in program.inputs if t not in left_out and t not in handed_in(program)]
    shapes = {t.name: tuple(to_text(n).replace(" ", "") for n in t.shape) for t in inputs}
    assume = {
        a.tensor.name: a.kind if a.size is None else f"{a.kind}:{to_text(a.size)}"
        for a in program.assumptions
        if a.tensor in inputs
    }
    words = [f"shapes={shapes}"]
    words += [f"assume={assume}"] if assume else []
    conditions = [to_text(c).removeprefix("where(").removesuffix(", 1, 0)") for c in program.domain]
    words += [f"where={', '.join(conditions)!r}"] if conditions else []
    return ", ".join(words).replace("'", '"')


def handed_in(program: Program) -> set[Tensor]:
    """The upstream gradients: inputs that only that cost reads which stands for what is computed later."""
    forward = [e for e in program.equations if not e.tensor.name.endswith("_bar")]
    last = {t for e in forward if e.note == UPSTREAM for t in tensors_in(e.value)}
    read = {t for e in forward if e.note != UPSTREAM for t in tensors_in(e.value)}
    return {t for t in program.inputs if t in last - read}
