"""The lines of a function in the plain form: assignments, and loops for recurrences.

Main name: `Body`.
"""

from __future__ import annotations

import textwrap
from collections import Counter

from symbackprop.codegen.lowering.form import (
    Form,
    Gather,
    Loop,
    Map,
    Statement,
    comment_of,
    entries_read,
    reads,
)
from symbackprop.codegen.names import Names
from symbackprop.codegen.numpy.expressions import ArrayWriter
from symbackprop.expression.build import MINUS_ONE, ONE, ZERO, Tensor, add, entries, substitute, subtract
from symbackprop.expression.sizes import simplify

LINE = 110


def comment(text: str, indent: str, mark: str = "#") -> list[str]:
    """The lines of a comment, broken at spaces and continued with a deeper indent."""
    lines = textwrap.wrap(
        text, LINE - len(indent), subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return [f"{indent}{mark} {line}" for line in lines]


class Body:
    """The lines of a function, statement by statement.

    Attributes:
        fills: whether arrays are filled place by place.
    """

    fills = True

    def __init__(self, form: Form, names: Names, writer: ArrayWriter) -> None:
        self.form, self.names, self.writer = form, names, writer
        self.single = _inlinable(form)
        for loop in form.loops if self.fills else ():
            writer.rolling.update({t: axis for t, axis in loop.axes.items() if _is_rolling(form, loop, t, axis)})
        self.filled = {tensor for loop in form.loops for tensor in loop.axes if tensor not in writer.rolling}

    def lines(self) -> list[str]:
        """All of them; a loop's arrays are made before the first line that fills them."""
        first = {loop.first: loop for loop in self.form.loops}
        inside = {p: loop for loop in self.form.loops for p in range(loop.first, loop.last)}
        found, made = list[str](), set[Tensor]()
        for position, statement in enumerate(self.form.statements):
            tensor = statement.target.tensor
            if position in first:
                loop = first[position]
                found += [self._empty(t) for t in loop.axes if t in self.filled and t not in made]
                made.update(loop.axes)
                found.append(f"    for {self.names[loop.step]} in {self._range(loop)}:")
            elif tensor in self.filled and tensor not in made:
                made.add(tensor)
                found.append(self._empty(tensor))
            found += self.statement(statement, "        " if position in inside else "    ")
        return found

    def _range(self, loop: Loop) -> str:
        steps = f"range({self.writer.size(loop.count)})"
        return f"reversed({steps})" if loop.backwards else steps

    def _empty(self, tensor: Tensor) -> str:
        sizes = ", ".join(map(self.writer.size, tensor.shape)) + "," * (len(tensor.shape) == 1)
        kind = "np.int64" if tensor.kind == "integer" else "DTYPE"
        return f"    {self.names[tensor]} = np.empty(({sizes}), {kind})"

    def statement(self, statement: Statement, indent: str) -> list[str]:
        """The lines of one statement."""
        target, said = statement.target, comment_of(self.form, statement)
        found = comment(said, indent) if said else []
        text = self.writer.statement(statement)
        if target.tensor in self.single:
            self.writer.inlined[target.tensor] = text
            return found
        return [*found, f"{indent}{self.writer.array(target)[0]} = {text[0]}"]


def _is_rolling(form: Form, loop: Loop, tensor: Tensor, axis: int) -> bool:
    """True if no more than the present step of an array is ever needed: each replaces the one before it."""
    body = form.statements[loop.first : loop.last]
    starts = [s for s in form.statements[: loop.first] if s.target.tensor is tensor]
    writes = [p for p, s in enumerate(body) if s.target.tensor is tensor]
    if tensor in form.outputs or len(writes) != 1 or len(starts) != 1:
        return False
    target = body[writes[0]].target
    last = ZERO if loop.backwards else subtract(loop.count, ONE)
    step_before = add(target.indices[axis], ONE if loop.backwards else MINUS_ONE)
    for position, statement in enumerate(body):
        wanted = target.indices[axis] if position > writes[0] else simplify(step_before)
        here = [e for e in entries_read(statement) if e.tensor is tensor]
        if any(e.indices[axis] is not wanted for e in here) or (here and isinstance(statement, Gather)):
            return False
    final = simplify(substitute(target.indices[axis], {loop.step: last}))
    for statement in form.statements[loop.last :]:
        for entry in entries_read(statement):
            if entry.tensor is tensor and not (isinstance(statement, Gather) and entry.indices[axis] is final):
                return False
    return True


def _inlinable(form: Form) -> set[Tensor]:
    """Temporaries that one elementwise statement reads, once: their text stands there instead of a name."""
    uses = Counter(e.tensor for s in form.statements if isinstance(s, Map) for e in entries(s.value))
    elsewhere = {t for s in form.statements if not isinstance(s, Map) for t in reads(s)}
    told = {s.target.tensor for s in form.statements if comment_of(form, s)}
    temporaries = {s.target.tensor for s in form.statements if not isinstance(s, Map)} - told
    temporaries -= {t for loop in form.loops for t in (*loop.axes, *_across(form, loop))}
    return {t for t in temporaries - elsewhere - set(form.outputs) if uses[t] == 1}


def _across(form: Form, loop: Loop) -> set[Tensor]:
    """What is computed outside of a loop and read inside: it is not computed again in each round."""
    inside = form.statements[loop.first : loop.last]
    return {t for s in inside for t in reads(s)} - {s.target.tensor for s in inside}
