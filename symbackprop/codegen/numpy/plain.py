"""The plain form: a module of straight-line NumPy (or JAX) functions, as one would write them by hand.

One function for each `Form`; it takes the inputs, then the hyper-parameters, and returns the outputs, a single one
as it is. The equations
stand as comments over the statements that compute them.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping

from symbackprop.codegen.lowering.form import Form, Map, reads, size_sources
from symbackprop.codegen.names import Names
from symbackprop.codegen.numpy.expressions import ArrayWriter
from symbackprop.codegen.numpy.helpers import header, helper_text
from symbackprop.expression.build import Symbol, Tensor, entries
from symbackprop.expression.program import Equation
from symbackprop.rendering.text import to_text

LINE = 110


def equation_text(equation: Equation) -> str:
    """The equation on one line, as it stands in comments: letters of its names that could end a comment are dropped."""
    text = f"{to_text(equation.left)} = {to_text(equation.value)}"
    return "".join(c if c.isprintable() else "?" for c in text)


def comment(text: str, indent: str, mark: str = "#") -> list[str]:
    """The lines of a comment, broken at spaces and continued with a deeper indent."""
    lines = textwrap.wrap(
        text, LINE - len(indent), subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return [f"{indent}{mark} {line}" for line in lines]


def print_module(functions: Mapping[str, Form], *, title: str, dtype: str, module: str = "np") -> str:
    """The text of a module with one function for each form.

    Args:
        title: the first line of its docstring.
        dtype: "float64" or "float32".
        module: "np" or "jnp".
    """
    helpers: set[str] = set()
    bodies = [print_function(name, form, module, helpers) for name, form in functions.items()]
    return "\n\n".join([header(title, dtype, module), *(helper_text(h, module) for h in sorted(helpers)), *bodies])


def print_function(name: str, form: Form, module: str, helpers: set[str]) -> str:
    """One function; the helpers that it calls are added to `helpers`."""
    names = names_of(form)
    writer = ArrayWriter(names, module)
    single = _inlinable(form)
    body = list[str]()
    for statement in form.statements:
        tensor = statement.target.tensor
        body += comment(form.comments[tensor], "    ") if tensor in form.comments else []
        text = writer.statement(statement)
        if tensor in single:
            writer.inlined[tensor] = text
        else:
            body.append(f"    {names[tensor]} = {text[0]}")
    helpers |= writer.helpers
    arguments = ", ".join([names[t] for t in form.inputs] + [names[p] for p in form.parameters])
    returned = ", ".join(names[t] for t in form.outputs)
    lines = [f"def {name}({arguments}):", *docstring(form, names), *size_lines(form, names, writer.mentioned), *body]
    return "\n".join([*lines, f"    return {returned}"]) + "\n"


def names_of(form: Form) -> Names:
    """Identifiers for everything in `form`."""
    defined = [s.target.tensor for s in form.statements]
    return Names([*form.inputs, *form.parameters, *size_sources(form.inputs), *form.outputs, *defined])


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


def _inlinable(form: Form) -> set[Tensor]:
    """Temporaries that one elementwise statement reads, once: their text stands there instead of a name."""
    uses = Counter(e.tensor for s in form.statements if isinstance(s, Map) for e in entries(s.value))
    elsewhere = {t for s in form.statements if not isinstance(s, Map) for t in reads(s)}
    temporaries = {s.target.tensor for s in form.statements if not isinstance(s, Map)} - set(form.comments)
    return {t for t in temporaries - elsewhere - set(form.outputs) if uses[t] == 1}


def size_lines(form: Form, names: Names, mentioned: set[Symbol]) -> list[str]:
    """Lines that read the sizes that a function mentions from the shapes of its inputs."""
    sources = size_sources(form.inputs)
    return [f"    {names[s]} = {source_text(place, names)}" for s, place in sources.items() if s in mentioned]


def source_text(place: tuple[Tensor, int, int], names: Names) -> str:
    """The text that reads a size from an input: `x.shape[0]`, or `w.shape[1] // 4` for an axis of size 4*H."""
    tensor, axis, divisor = place
    return f"{names[tensor]}.shape[{axis}]" + (f" // {divisor}" if divisor != 1 else "")
