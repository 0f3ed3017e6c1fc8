"""The line of a hand-written backward pass as it would be right: as mathematics, and as code.

A cure changes an equation of the traced program, maybe one that is only a part of the user's line. Here the whole line
is put together again, in the user's names, once in index notation and once as NumPy. Main name:
`cured_lines`. Whether a cure is right has been decided before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from symbackprop.checking.user_lines import BEFORE, told_apart, with_parts, with_users_names
from symbackprop.checking.verdict import CuredLine
from symbackprop.codegen.code_lines import code_lines
from symbackprop.codegen.program import plain_source
from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import Expr, Tensor, entries_once, tensors_in
from symbackprop.expression.program import PART, Equation, Program, symbols
from symbackprop.proofs.shortening.unit_axes import factored, squeezed
from symbackprop.rendering.text import to_text


def cured_lines(backward: Program, called: Mapping[str, str], changed: Sequence[Equation]) -> tuple[CuredLine, ...]:
    """The user's lines with the changed equations in them.

    Args:
        called: a tensor's name -> the user's own name for it.
        changed: equations of the program as they would be right.
    """
    new = {e.tensor: e for e in changed}
    if not new.keys() <= {e.tensor for e in backward.equations}:
        return ()
    try:
        program = replace(backward, equations=tuple(new.get(e.tensor, e) for e in backward.equations))
        plain, old = squeezed(program), squeezed(backward)
    except SymbackpropError:
        return ()
    found: dict[int, CuredLine] = {}
    for place, equation in enumerate(program.equations):
        line = re.search(r"line (\d+)", equation.note)
        target = _whole_line(program.equations, place) if equation.tensor in new and line else None
        if target is None or line is None:
            continue
        shown, before = plain.equations[target], old.equations[target]
        value = factored(with_parts(shown.value, _parts(plain)))
        if value is factored(with_parts(before.value, _parts(old))):
            continue  # what is shown would be the line that it replaces
        apart = told_apart(called, plain, value)
        older = _told_from_own(shown.tensor, apart, value)
        found[target] = CuredLine(
            int(line[1]),
            with_users_names(shown.left, called),
            with_users_names(value, apart),
            _code(program, program.equations[target], called) if apart == called else "",
            target == place,
            with_users_names(value, older),
        )
    return tuple(found.values())


def _told_from_own(own: Tensor, called: Mapping[str, str], value: Expr) -> dict[str, str]:
    """The names, with s_before for another tensor that is called s as the line's own one."""
    name = called.get(own.name, own.name)
    others = {t.name for t in tensors_in(value)} - {own.name}
    return {**called, **{t: f"{name}{BEFORE}" for t in others if called.get(t, t) == name}}


def _whole_line(equations: Sequence[Equation], place: int) -> int | None:
    """The place of the named equation that an equation is a part of; its own if it has a name."""
    if not equations[place].note.startswith(PART):
        return place
    reached = {equations[place].tensor}
    for k, equation in enumerate(equations[place + 1 :], place + 1):
        if tensors_in(equation.value) & reached:
            if not equation.note.startswith(PART):
                return k
            reached.add(equation.tensor)
    return None


def _parts(program: Program) -> dict[Tensor, Equation]:
    return {e.tensor: e for e in program.equations if e.note.startswith(PART)}


def _code(program: Program, equation: Equation, called: Mapping[str, str]) -> str:
    """The line as NumPy; "" where the names do not allow it, or where it takes several statements."""
    value = with_users_names(with_parts(equation.value, _parts(program)), called)
    name = called.get(equation.tensor.name, equation.tensor.name)
    left = Tensor(name, equation.tensor.shape, equation.tensor.kind)
    inputs = tuple(dict.fromkeys(e.tensor for e in entries_once(value)))
    if left.name in {t.name for t in inputs}:
        return ""
    parameters = tuple(s for s in symbols(value) if s.kind != "size" and s.name != "pi")
    try:
        alone = Program(inputs, (Equation(left, equation.indices, value),), (left,), parameters)
        source = plain_source(alone)
    except SymbackpropError:
        return ""
    line = _shortened(code_lines(source, [left]).get(left, ""))
    if "; " in line:
        return ""
    names = {t.name for t in inputs} | {p.name for p in parameters} | {name}
    line = re.sub(r"\b(\w+)_\b", lambda m: m[1] if m[1] in names and m[0] not in names else m[0], line)
    used = set(re.findall(r"(?<![\w.\"'])[A-Za-z_]\w*(?!\w*=[^=])", line)) - {"np", "None", "True"}
    lengths = {to_text(n): f"{t.name}.shape[{k}]" for t in inputs for k, n in reversed(list(enumerate(t.shape)))}
    if used - names - lengths.keys():  # a name that the user does not have
        return ""
    for size in used - names:  # the user need not have a name for a size
        line = re.sub(rf"(?<![\w.\"']){size}(?!\w*=[^=])\b", lengths[size], line)
    return line


# What code generation writes for axes of length 1, as one writes it with keepdims.
_SPELLINGS = (
    (r"np\.array\((\w+)\[:, 0\]\)\[:, None\]", r"\1"),
    (r'np\.einsum\("ab,ab->a", (\w+), (\w+)\)\[:, None\]', r"(\1 * \2).sum(axis=1, keepdims=True)"),
    (r'np\.einsum\("ab,ab->b", (\w+), (\w+)\)', r"(\1 * \2).sum(axis=0)"),
    (r"\.sum\(axis=1\)\[:, None\]", ".sum(axis=1, keepdims=True)"),
)


def _shortened(line: str) -> str:
    for pattern, shorter in _SPELLINGS:
        line = re.sub(pattern, shorter, line)
    return line
