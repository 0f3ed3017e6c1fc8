"""A user's backward pass in index notation, line by line as it was traced, with the user's own names.

What a line computes on the way is put in, so that a line of code is one equation; a name that is assigned again is
shown with an arrow. These are claims: nothing here has been proved. Main names: `claimed_lines`, `helper_lines`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from symbackprop.expression.build import Entry, Expr, Tensor, children, mentioned, rewrite, tensors_in
from symbackprop.expression.program import PART, Equation, Program
from symbackprop.normal_form.renaming import Pattern, pattern
from symbackprop.proofs.shortening.unit_axes import factored, squeezed
from symbackprop.rendering.layout import Layout, relation, row
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.notation import NAMES

BEFORE = "_before"  # d_before is what a line that computes d reads under this name
_MOST = 60  # nodes of a formula that is still read


@dataclass(frozen=True)
class ClaimedLine:
    """What one line of the code computes.

    Args:
        number: the line in its file.
        again: whether it gives a new value to a name in use.
        look: the same for lines that differ in names alone, as the rounds of a loop do.
    """

    number: int
    mathematics: Layout
    again: bool = False
    look: Pattern = ()


def claimed_lines(backward: Program, called: Mapping[str, str], lines: range) -> tuple[ClaimedLine, ...]:
    """The traced equations of some lines of code, in the order of the lines.

    Args:
        called: a tensor's name -> the user's own name for it.
        lines: the lines of the function; `helper_lines` has what is computed elsewhere.
    """
    program = squeezed(backward)
    own = [(n, e) for e in program.equations if (n := _line(e)) in lines]
    return _as_told(program, own, called, dict.fromkeys((t.name for t in program.inputs), -1))


def helper_lines(
    backward: Program, called: Mapping[str, str], lines: range, upstream: Collection[str]
) -> tuple[ClaimedLine, ...]:
    """The traced equations of functions that are called to send a gradient back, in their own names.

    Args:
        lines: of the function that calls them.
        upstream: the names of the gradients that are handed in.
    """
    program = squeezed(backward)
    sent = {t for t in program.inputs if t.name in upstream}
    for equation in program.equations:
        if mentioned(equation.value) & sent:
            sent.add(equation.tensor)
    others = [(n, e) for e in program.equations if (n := _line(e)) not in lines and n >= 0 and e.tensor in sent]
    return _as_told(program, others, called, {}, calls=True)


def _as_told(
    program: Program,
    numbered: Iterable[tuple[int, Equation]],
    called: Mapping[str, str],
    known: dict[str, int],
    *,
    calls: bool = False,
) -> tuple[ClaimedLine, ...]:
    """Equations with the numbers of their lines, as mathematics; what was known by a name before has an arrow.

    Args:
        known: names, with the lines that gave them a value.
        calls: whether a line that comes again belongs to another call, which has names of its own.
    """
    parts = {e.tensor: e for e in program.equations if e.note.startswith(PART)}
    found: list[ClaimedLine] = []
    for number, equation in sorted(
        numbered, key=lambda pair: pair[0]
    ):  # a stable sort: the trace's order within a line
        value = factored(with_parts(equation.value, parts))
        name = called.get(equation.tensor.name, equation.tensor.name)
        if _size(value) <= _MOST:
            left, right = (layout_of(with_users_names(e, called), NAMES) for e in (equation.left, value))
            again = name in known and not (calls and known[name] == number)
            found.append(ClaimedLine(number, told_as(left, right, again=again), again, pattern(equation.left, value)))
        known.setdefault(name, number)
    return tuple(found)


def told_as(left: Layout, right: Layout, *, again: bool) -> Layout:
    """What a name stands for, with an arrow where it stood for something else before."""
    return row(left, relation("←" if again else "="), right)


def _line(equation: Equation) -> int:
    match = re.fullmatch(r"line (\d+)", equation.note)
    return int(match[1]) if match else -1


def with_parts(expr: Expr, parts: Mapping[Tensor, Equation]) -> Expr:
    """`expr` with what a line computes on the way put in."""

    def value(node: Expr) -> Expr | None:
        equation = parts.get(node.tensor) if isinstance(node, Entry) else None
        if equation is None or not isinstance(node, Entry):
            return None
        return with_parts(equation.at(node.indices), parts)

    return rewrite(expr, value)


def with_users_names(expr: Expr, called: Mapping[str, str]) -> Expr:
    """`expr` with the tensors called as the user calls them."""

    def name(node: Expr) -> Expr | None:
        if not isinstance(node, Entry) or node.tensor.name not in called:
            return None
        tensor = node.tensor
        indices = tuple(with_users_names(i, called) for i in node.indices)
        return Entry(Tensor(called[tensor.name], tensor.shape, tensor.kind), indices)

    return rewrite(expr, name)


def told_apart(called: Mapping[str, str], program: Program, *expressions: Expr) -> dict[str, str]:
    """The user's names, numbered in the order of computation where one stands for several tensors of an expression."""
    used = {t.name for e in expressions for t in tensors_in(e)}
    names = dict(called)
    for name in {called[t] for t in used & called.keys()}:
        values = [t.name for t in program.tensors if called.get(t.name) == name]
        if len(used.intersection(values)) > 1:
            names |= {value: f"{name}_{k}" for k, value in enumerate(values, 1)}
    return names


def numbered(called: Mapping[str, str]) -> set[str]:
    """What `told_apart` may call tensors: z_2 is the second z, whatever the program has under this name. Parts of
    lines without a name of the user's are called t_2."""
    several = Counter(called.values())
    return {f"{name}_{k}" for name, count in several.items() if name != "t" for k in range(1, count + 1) if count > 1}


def _size(expr: Expr) -> int:
    return 1 + sum(map(_size, children(expr)))
