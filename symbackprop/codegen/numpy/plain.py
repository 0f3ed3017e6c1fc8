"""The plain form: a module of straight-line NumPy (or JAX) functions, as one would write them by hand.

One function for each `Form`; it takes the inputs, then the hyper-parameters, and returns the outputs, a single one
as it is. The equations
stand as comments over the statements that compute them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from symbackprop.codegen.lowering.form import Form, size_sources
from symbackprop.codegen.names import RESERVED, Names
from symbackprop.codegen.numpy.body import LINE, Body
from symbackprop.codegen.numpy.expressions import ArrayWriter
from symbackprop.codegen.numpy.scan import ScanBody
from symbackprop.expression.build import Symbol, Tensor
from symbackprop.rendering.text import to_text


def print_function(name: str, form: Form, module: str, helpers: set[str]) -> str:
    """One function; the helpers that it calls are added to `helpers`."""
    names = names_of(form)
    writer = ArrayWriter(names, module, form.outputs)
    body = (Body if module == "np" else ScanBody)(form, names, writer).lines()
    helpers |= writer.helpers
    arguments = ", ".join([names[t] for t in form.inputs] + [names[p] for p in form.parameters])
    returned = ", ".join(names[t] for t in form.outputs)
    lines = [f"def {name}({arguments}):", *docstring(form, names), *size_lines(form, names, writer.mentioned), *body]
    return "\n".join([*lines, f"    return {returned}"]) + "\n"


def names_of(form: Form, reserved: Iterable[str] = RESERVED) -> Names:
    """Identifiers for everything in `form`."""
    defined: list[Tensor | Symbol] = [s.target.tensor for s in form.statements]
    defined += [loop.step for loop in form.loops]
    return Names([*form.inputs, *form.parameters, *size_sources(form.inputs), *form.outputs, *defined], reserved)


def docstring(form: Form, names: Names) -> list[str]:
    """The docstring of a printed function: what it computes, and the shapes."""
    returned = ", ".join(names[t] for t in form.outputs)
    shapes = ", ".join(f"{names[t]} {shape_text(t)}" for t in dict.fromkeys((*form.inputs, *form.outputs)))
    wrapped = textwrap.wrap(shapes + ".", LINE - 8)
    head = textwrap.wrap(f"Compute {returned}.", LINE - 7)
    return [
        f'    """{head[0]}',
        *(f"    {line}" for line in head[1:]),
        "",
        "    Shapes:",
        *(f"        {w}" for w in wrapped),
        '    """',
    ]


def shape_text(tensor: Tensor) -> str:
    """(m, s_1), or "a number"."""
    return f"({', '.join(to_text(s) for s in tensor.shape)}{',' * (len(tensor.shape) == 1)})" if tensor.shape else "()"


def size_lines(form: Form, names: Names, mentioned: set[Symbol]) -> list[str]:
    """Lines that read the sizes that a function mentions from the shapes of its inputs."""
    sources = size_sources(form.inputs)
    return [f"    {names[s]} = {source_text(place, names)}" for s, place in sources.items() if s in mentioned]


def source_text(place: tuple[Tensor, int, int], names: Names) -> str:
    """The text that reads a size from an input: `x.shape[0]`, or `w.shape[1] // 4` for an axis of size 4*H."""
    tensor, axis, divisor = place
    return f"{names[tensor]}.shape[{axis}]" + (f" // {divisor}" if divisor != 1 else "")
