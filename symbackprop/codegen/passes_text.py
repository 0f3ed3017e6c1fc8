"""What the printers of the two passes of a function share: its names, its arguments, its sizes and its docstring.

PyTorch and JAX have words of their own for a function with its own backward pass; what stands in it is the same.
Main name: `PassesText`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from symbackprop.codegen.lowering.form import Form, size_sources
from symbackprop.codegen.lowering.passes import Passes
from symbackprop.codegen.names import Names
from symbackprop.codegen.numpy.body import LINE
from symbackprop.codegen.numpy.expressions import ArrayWriter
from symbackprop.codegen.numpy.plain import shape_text, source_text
from symbackprop.expression.build import Symbol, Tensor

BLANKS = "    "


class PassesText:
    """The names in both passes, and lines that both libraries have.

    Args:
        name: of the function.
        reserved: what nothing in it may be called.
    """

    def __init__(self, name: str, passes: Passes, reserved: Iterable[str]) -> None:
        self.name, self.passes = name, passes
        forward, backward = passes.forward, passes.backward
        made = [s.target.tensor for form in (forward, backward) for s in form.statements]
        steps = [loop.step for form in (forward, backward) for loop in form.loops]
        sizes = [*size_sources(forward.inputs), *size_sources(backward.inputs)]
        things: list[Tensor | Symbol] = [*passes.inputs, *passes.parameters, *passes.upstream, *passes.outputs]
        self.names = Names([*things, *sizes, *made, *steps], {*reserved, name})

    @property
    def arguments(self) -> str:
        """The arguments of the function."""
        taken: list[Tensor | Symbol] = [*self.passes.inputs, *self.passes.parameters]
        return self.listed(taken)

    def listed(self, things: Iterable[Tensor | Symbol]) -> str:
        """Names with commas between them."""
        return ", ".join(self.names[t] for t in things)

    def bars(self) -> str:
        """What the backward pass returns, in the order of the inputs; None where there is no gradient."""
        gradients = self.passes.gradients
        return ", ".join(self.names[gradients[t]] if t in gradients else "None" for t in self.passes.inputs)

    def docstring(self) -> list[str]:
        """What the function is, and the shapes."""
        text = f"{self.name}({self.arguments}), with the backward pass that symbackprop derived."
        tensors = dict.fromkeys((*self.passes.inputs, *self.passes.outputs))
        shapes = ", ".join(f"{self.names[t]} {shape_text(t)}" for t in tensors) + "."
        first, *rest = textwrap.wrap(text, LINE - 7)
        lines = [f'"""{first}', *rest, "", "Shapes:", *(BLANKS + line for line in textwrap.wrap(shapes, LINE - 8))]
        return indented([*lines, '"""'])

    def sizes(self, form: Form, writer: ArrayWriter, more: Iterable[Symbol] = ()) -> list[str]:
        """Lines that read the sizes that are mentioned from what the form takes."""
        wanted = {*writer.mentioned, *more}
        sources = size_sources(form.inputs)
        return [f"{BLANKS}{self.names[s]} = {source_text(p, self.names)}" for s, p in sources.items() if s in wanted]

    def first_real(self, tensors: Iterable[Tensor]) -> str:
        """The name of the first of these that holds real numbers."""
        return next(self.names[t] for t in tensors if t.kind == "real")


def indented(lines: Iterable[str]) -> list[str]:
    """The lines one level deeper."""
    return [BLANKS + line if line else line for line in lines]
