"""Functions in the `out=` form: for a batch at once, and for blocks of rows.

For a batch the printed function makes a function that keeps its buffers (`print_kept`). For blocks (`print_blocks`) it
takes the inputs, the hyper-parameters, the arrays for the outputs and a workspace, which the printed function
`name_work` allocates. Both return the outputs that are numbers.
"""

from __future__ import annotations

from dataclasses import replace

from symbackprop.codegen.lowering.form import Form, Statement, reads, size_sources
from symbackprop.codegen.lowering.row_blocks import Split
from symbackprop.codegen.names import Names
from symbackprop.codegen.numpy.body import comment
from symbackprop.codegen.numpy.buffer_plan import OutBuffer, Plan
from symbackprop.codegen.numpy.expressions import ArrayWriter
from symbackprop.codegen.numpy.plain import docstring, names_of, size_lines, source_text
from symbackprop.expression.build import Symbol, Tensor
from symbackprop.expression.program import symbols

INDENT = "    "


def print_kept(name: str, form: Form, helpers: set[str], labels: frozenset[Tensor] = frozenset()) -> str:
    """The function that makes a function for inputs of certain shapes, with the buffers and views that it keeps.

    `name(inputs)` returns run(inputs, hyper-parameters, arrays for the outputs), which returns the outputs that are
    numbers.

    Args:
        labels: integers that are known to lie in their range.
    """
    names = names_of(form)
    outputs = [names[t] for t in form.outputs if t.shape]
    given = [names[t] for t in form.inputs] + [names[p] for p in form.parameters]
    plan = Plan(form, names, moving={*given, *outputs}, labels=labels)
    for position, statement in enumerate(form.statements):
        plan.lines += equation_comment(plan, statement)
        plan.statement(statement, position)
    helpers |= plan.writer.helpers
    buffers = [f"{b.name} = {_allocations([b], names, None).removesuffix(',')}" for b in plan.buffers]
    scalars = ", ".join(names[t] for t in form.outputs if not t.shape)
    body = [*plan.lines, *([f"return {scalars}"] if scalars else [])]
    lines = [f"def {name}({', '.join(names[t] for t in form.inputs)}):", *docstring(form, names)]
    lines += size_lines(
        form, names, plan.writer.mentioned | {s for b in plan.buffers for z in b.shape for s in symbols(z)}
    )
    lines += [INDENT + line for line in [*buffers, *plan.setup]]
    lines += ["", f"{INDENT}def run({', '.join([*given, *outputs])}):", *(2 * INDENT + line for line in body)]
    return "\n".join([*lines, "", f"{INDENT}return run"]) + "\n"


def print_blocks(name: str, form: Form, split: Split, rows: Symbol, helpers: set[str]) -> str:
    """The function that works on a block of rows at a time."""
    order = (*split.before, *split.loop, *split.after)
    form = replace(form, statements=order)
    names = names_of(form)
    first, last = len(split.before), len(split.before) + len(split.loop) - 1
    outside = {t for s in split.loop for t in reads(s)} - {s.target.tensor for s in split.loop}
    small = {t for t in outside if rows not in t.shape}
    plan = Plan(form, names, {t: last for t in outside}, copied=frozenset(small), rows=rows)
    for position, statement in enumerate(split.before):
        plan.lines += equation_comment(plan, statement)
        plan.statement(statement, position)
    for statement in split.loop:
        if statement.target.tensor in split.sums:
            home = plan.home(statement.target).name if statement.target.tensor.shape else None
            plan.lines.append(f"{home}.fill(0)" if home else f"{names[statement.target.tensor]} = 0.0")
    start, plan.lines = plan.lines, []
    plan.free = []  # a buffer of the loop must have the block's number of rows
    for position, statement in enumerate(split.loop, first):
        plan.lines += equation_comment(plan, statement)
        (plan.accumulate if statement.target.tensor in split.sums else plan.statement)(statement, position)
    loop, plan.lines = plan.lines, []
    for position, statement in enumerate(split.after, last + 1):
        plan.lines += equation_comment(plan, statement)
        plan.statement(statement, position)
    helpers |= plan.writer.helpers
    tall = [b for b in plan.buffers if rows in b.shape]
    flat = [b for b in plan.buffers if rows not in b.shape]
    sliced = [t for t in form.inputs if t.shape and t.shape[0] is rows]
    plan.writer.mentioned.add(rows)
    part = [f"{names[t]} = {names[t]}_all[start : start + rows]" for t in sliced]
    count = f"len({names[sliced[0]]})"
    whole = _unpacked("row_work", [b.name for b in tall])
    unpack = [f"{line} if {count} == rows else [buffer[:{count}] for buffer in row_work]" for line in whole]
    if not {b.name for b in tall} & set(plan.made.values()):
        whole = []  # no line before the loop fills one of them
    keep = [f"{names[t]}_all = {names[t]}" for t in sliced]
    body = [
        *_unpacked("out", [names[t] for t in form.outputs if t.shape]),
        "work, row_work, rows = work",
        *_unpacked("work", [b.name for b in flat]),
        *start,
        *whole,
        *plan.setup,
        *keep,
        f"for start in range(0, {names[rows]}, rows):",
        *(INDENT + line for line in [*part, *unpack, *loop]),
        *plan.lines,
    ]
    return _function(name, form, names, plan, body) + "\n\n" + _workspace(name, form, names, flat, tall, rows)


def equation_comment(plan: Plan, statement: Statement) -> list[str]:
    """The equation that begins with this statement, as a comment."""
    tensor = statement.target.tensor
    if tensor in plan.joined:
        return []  # it stands over the first of its statements
    whole = next((t for t in plan.joined if plan.names[t] == plan.names[tensor]), tensor)
    text = plan.form.comments.get(whole)
    return comment(text, "") if text else []


def _unpacked(tuple_name: str, names: list[str]) -> list[str]:
    return [f"{', '.join(names)}{',' * (len(names) == 1)} = {tuple_name}"] if names else []


def _function(name: str, form: Form, names: Names, plan: Plan, body: list[str]) -> str:
    arguments = [names[t] for t in form.inputs] + [names[p] for p in form.parameters] + ["out", "work"]
    scalars = ", ".join(names[t] for t in form.outputs if not t.shape)
    text = docstring(form, names)
    lines = [f"def {name}({', '.join(arguments)}):", *text, *size_lines(form, names, plan.writer.mentioned)]
    lines += [INDENT + line for line in body]
    return "\n".join(lines + ([f"    return {scalars}"] if scalars else [])) + "\n"


def _workspace(
    name: str, form: Form, names: Names, buffers: list[OutBuffer], tall: list[OutBuffer], rows: Symbol
) -> str:
    """The function that allocates the buffers for inputs of these shapes."""
    needed = {s for b in (*buffers, *tall) for size in b.shape for s in symbols(size)} - {rows}
    sources = {s: p for s, p in size_sources(form.inputs).items() if s in needed}
    arguments = ", ".join(names[t] for t in form.inputs)
    lines = [f"def {name}_work({arguments}, rows):", f'    """The buffers of {name} for inputs of these shapes."""']
    lines += [f"    {names[s]} = {source_text(p, names)}" for s, p in sources.items()]
    flat, blocks = _allocations(buffers, names, None), _allocations(tall, names, rows)
    return "\n".join([*lines, f"    return ({flat}), ({blocks}), rows"]) + "\n"


def _allocations(buffers: list[OutBuffer], names: Names, rows: Symbol | None) -> str:
    writer = ArrayWriter(names)
    made = []
    for buffer in buffers:
        shape = "".join(("rows" if size is rows else writer.size(size)) + ", " for size in buffer.shape)
        made.append(f"np.{buffer.fill}(({shape.rstrip() if len(buffer.shape) == 1 else shape[:-2]}), DTYPE), ")
    return "".join(made).rstrip()
