"""Statements in the order in which they run, those of recurrences in loops.

A recurrence is lowered as if its arrays were there as a whole: in `u[k,n] = t1[k,n] + h[k - 1,n]` the round k is an
axis like any other. So what does not depend on the recurrence is told by what it reads: it is computed before the
loop, for all steps at once. The rest is written for one round: k becomes the step of the loop. An array that nothing
but its own round reads is known for that round alone. Main names: `needed`, `scheduled`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from symbackprop.codegen.lowering.form import (
    Form,
    Gather,
    Loop,
    Statement,
    entries_read,
    equation_text,
    reads,
    rewritten,
)
from symbackprop.codegen.lowering.loop import LoopPlan
from symbackprop.expression.build import Entry, Expr, Symbol, Tensor, rewrite, substitute

Plans = Sequence[LoopPlan]


def needed(form: Form, plans: Plans) -> Form:
    """The form without what its outputs do not need."""
    stored = {left.tensor: right.tensor for plan in plans for left, right in plan.places}
    wanted, before = set(form.outputs), -1
    while len(wanted) > before:
        before = len(wanted)
        wanted |= {stored[t] for t in wanted if t in stored}
        for statement in reversed(form.statements):
            tensor = statement.target.tensor
            if tensor in wanted or stored.get(tensor) in wanted:
                wanted.update(reads(statement))
                wanted.add(tensor)
    kept = tuple(s for s in form.statements if s.target.tensor in wanted)
    return replace(form, statements=kept)


def scheduled(form: Form, plans: Plans) -> Form:
    """The form with its recurrences as loops."""
    for plan in plans:
        form = _Schedule(form, plan).run()
    return form


class _Schedule:
    """One recurrence among the statements."""

    def __init__(self, form: Form, plan: LoopPlan) -> None:
        self.form, self.plan = form, plan
        self.stored = {left.tensor: right for left, right in plan.places}
        self.step = Symbol(plan.index.name, "size")
        self.local: dict[Tensor, int] = {}  # arrays of one round, with the axis that they do not have
        self.axes = dict(plan.axes)

    def run(self) -> Form:
        own = {a.tensor for a in self.plan.body}
        order = self.form.statements
        last = max((p for p, s in enumerate(order) if s.target.tensor in own), default=-1)
        moving = own | set(self.plan.axes)
        before, starts, body = list[Statement](), list[Statement](), list[Statement]()
        for statement in order[: last + 1]:
            tensor = statement.target.tensor
            if tensor in own or not moving.isdisjoint(reads(statement)):
                moving.add(tensor)
                body.append(statement)
            else:
                (starts if tensor in moving else before).append(statement)
        after = order[last + 1 :]
        outside = {t for s in after for t in reads(s)} | set(self.form.outputs)
        views = [Gather(a, b.tensor, b.indices) for a, b in self.plan.places if a.tensor in outside and a != b]
        sources = [s.target.tensor for s in body]
        body = [rewritten(s, self._in_storage, self._values_in_storage) for s in body]
        self._find_local(body, outside | {v.source for v in views} | {s.target.tensor for s in starts})
        rounds = [rewritten(s, self._now, self._values_now) for s in body]
        first = len(before) + len(starts)
        filled = {s.target.tensor for s in rounds if s.target.tensor in self.axes} | {s.target.tensor for s in starts}
        axes = {t: axis for t, axis in self.axes.items() if t in filled}
        loop = Loop(self.step, self.plan.index.size, self.plan.backwards, first, first + len(rounds), axes)
        statements = (*before, *starts, *rounds, *views, *after)
        loops = (*self.form.loops, loop) if rounds else self.form.loops
        comments = self._comments(dict(zip(sources, (s.target for s in rounds), strict=True)))
        return replace(self.form, statements=statements, loops=loops, comments=comments)

    def _comments(self, rounds: Mapping[Tensor, Entry]) -> dict[Tensor | Entry, str]:
        """The equations beside the statements that compute them: of the first steps, and of one step."""
        found = dict(self.form.comments)
        texts = {a.tensor: found.pop(a.equation.tensor, None) for a in self.plan.body}
        found |= {rounds[t]: text for t, text in texts.items() if text is not None and t in rounds}
        for target, value, equation in self.plan.starts if self.form.comments else ():
            found.pop(equation.tensor, None)
            found[target] = equation_text(Entry(equation.tensor, target.indices), value)
        return found

    def _in_storage(self, entry: Entry) -> Entry:
        """An array of the recurrence in the place where it lies."""
        place = self.stored.get(entry.tensor)
        if place is None:
            return entry
        axis = self.plan.axes[place.tensor]
        return Entry(place.tensor, (*entry.indices[:axis], place.indices[axis], *entry.indices[axis + 1 :]))

    def _values_in_storage(self, value: Expr) -> Expr:
        return rewrite(value, lambda e: self._in_storage(e) if isinstance(e, Entry) else None)

    def _find_local(self, body: Sequence[Statement], outside: set[Tensor]) -> None:
        """What only its own round reads; of everything else, the axis of steps."""
        index, places = self.plan.index, dict[Tensor, Expr]()
        for target in (s.target for s in body):
            if target.tensor not in self.axes:
                self.axes[target.tensor] = target.indices.index(index)
            places[target.tensor] = target.indices[self.axes[target.tensor]]
        others = set(outside)
        for entry in (e for s in body for e in entries_read(s) if e.tensor in places):
            if entry.indices[self.axes[entry.tensor]] is not places[entry.tensor]:
                others.add(entry.tensor)
        self.local = {t: self.axes.pop(t) for t in places if t not in others}

    def _now(self, entry: Entry) -> Entry:
        """The entry in the present round."""
        indices = tuple(map(self._values_now, entry.indices))
        axis = self.local.get(entry.tensor)
        if axis is None:
            return Entry(entry.tensor, indices)
        shape = (*entry.tensor.shape[:axis], *entry.tensor.shape[axis + 1 :])
        return Entry(Tensor(entry.tensor.name, shape, entry.tensor.kind), (*indices[:axis], *indices[axis + 1 :]))

    def _values_now(self, value: Expr) -> Expr:
        found = rewrite(value, lambda e: self._now(e) if isinstance(e, Entry) else None)
        return substitute(found, {self.plan.index: self.step})
