"""A loop over the steps of a recurrence as `jax.lax.scan`: the printed function stays pure.

What a round reads of earlier ones is carried, as many steps back as it looks; what is read after the loop is stacked.

Main name: `ScanBody`.
"""

from __future__ import annotations

from symbackprop.codegen.lowering.form import Loop, axes, entries_read, reads
from symbackprop.codegen.numpy.body import Body
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Entry,
    Expr,
    Number,
    Tensor,
    nodes_once,
    number,
    substitute,
    subtract,
)
from symbackprop.expression.sizes import simplify

BLANKS = "    "


class ScanBody(Body):
    """The lines of a function for JAX."""

    fills = False

    def lines(self) -> list[str]:
        """All of them."""
        found, done = list[str](), 0
        if self.form.loops:  # a step of NumPy's arrays cannot be looked up by a step of the scan
            arrays = [self.names[t] for t in self.form.inputs if t.shape]
            found += [f"{BLANKS}{name} = jnp.asarray({name})" for name in arrays]
        for loop in self.form.loops:
            starts = {s.target for s in self.form.statements[: loop.first] if s.target.tensor in loop.axes}
            for statement in self.form.statements[done : loop.first]:
                if statement.target in starts:
                    name = self.names.fresh(f"{statement.target.tensor.name}_start")
                    self.writer.present[self.key(statement.target, loop)] = name
                found += self.statement(statement, BLANKS)
                if statement.target in starts and not axes(statement.target):  # a number, which has no type yet
                    found.append(f"{BLANKS}{name} = jnp.asarray({name}, DTYPE)")
            found += _Scan(self, loop).lines()
            done = loop.last
            for tensor in loop.axes:
                self.writer.present = {k: v for k, v in self.writer.present.items() if k[0] is not tensor}
        return found + [line for s in self.form.statements[done:] for line in self.statement(s, BLANKS)]

    @staticmethod
    def key(entry: Entry, loop: Loop) -> tuple[Tensor, int, Expr]:
        """What the writer knows a step by."""
        axis = loop.axes[entry.tensor]
        return entry.tensor, axis, entry.indices[axis]


class _Scan:
    """One loop: `present` of the writer says under which name a round knows an entry."""

    def __init__(self, body: ScanBody, loop: Loop) -> None:
        self.body, self.loop = body, loop
        self.names, self.writer, self.form = body.names, body.writer, body.form
        self.statements = self.form.statements[loop.first : loop.last]
        self.targets = {s.target.tensor: s.target for s in self.statements if s.target.tensor in loop.axes}

    def lines(self) -> list[str]:
        names, loop = self.names, self.loop
        step, carry = names.fresh("step"), names.fresh("carry")
        carried = {t: self._reach(t) for t in self.targets}
        after = {t for s in self.form.statements[loop.last :] for t in reads(s)} | set(self.form.outputs)
        kept = [t for t in self.targets if t in after]
        before = {t: [names.fresh(f"{t.name}_{k + 1}_back") for k in range(n)] for t, n in carried.items()}
        starts = {t: self._starts(t) for t in self.targets}
        first = {t: self._first(t, len(before[t]), starts[t]) for t in self.targets}
        now = {t: names.fresh(f"{t.name}_now") for t in self.targets}
        for tensor, target in self.targets.items():
            self.writer.present[self.body.key(target, loop)] = now[tensor]
            for back, name in enumerate(before[tensor], 1):
                self.writer.present[self.body.key(self._earlier(target, back), loop)] = name
        handed = self._handed()
        for (tensor, axis), name in handed.items():
            self.writer.present[tensor, axis, loop.step] = name
        inside = [line for s in self.statements for line in self.body.statement(s, 2 * BLANKS)]
        for tensor, axis in handed:
            del self.writer.present[tensor, axis, loop.step]
        taken = [name for t in self.targets for name in before[t]]
        given = [name for t in self.targets for name in [now[t], *before[t]][: len(before[t])]]
        opened = f"{_tuple(taken)[1:-1]} = {carry}"
        ys = [now[t] for t in kept]
        stacks = [names.fresh(f"{t.name}_steps") for t in kept]
        values = [text for t in self.targets for text in first[t]]
        steps = [f"jnp.arange({self.writer.size(loop.count)})"]
        steps += [f"jnp.moveaxis({names[t]}, {a}, 0)" if a else names[t] for t, a in handed]
        own = [names[loop.step], *handed.values()]
        each = own[0] if not handed else names.fresh("own")
        opened += f"\n{2 * BLANKS}{', '.join(own)} = {each}" if handed else ""
        found = [f"{BLANKS}def {step}({carry}, {each}):"]
        found += [f"{2 * BLANKS}{opened}"] if taken else []
        found += [*inside, f"{2 * BLANKS}return {_tuple(given)}, {_tuple(ys)}", ""]
        ended = names.fresh("_")  # what is carried out of the last round, for nobody
        left = f"{ended}, {_tuple(stacks)}" if stacks else ended
        turned = ", reverse=True" if loop.backwards else ""
        given_to_each = _tuple(steps) if handed else steps[0]
        found.append(f"{BLANKS}{left} = jax.lax.scan({step}, {_tuple(values)}, {given_to_each}{turned})")
        found += [self._whole(t, stack, starts[t]) for t, stack in zip(kept, stacks, strict=True)]
        return found

    def _handed(self) -> dict[tuple[Tensor, int], str]:
        """Arrays with a place for each round, which it is handed: where there is none, nothing can be looked up."""
        found = dict[tuple[Tensor, int], str]()
        for entry in (e for s in self.statements for e in entries_read(s) if e.tensor not in self.targets):
            there = [a for a, place in enumerate(entry.indices) if self.loop.step in nodes_once(place)]
            if len(there) != 1 or (entry.tensor, there[0]) in found:
                continue
            if (entry.indices[there[0]], entry.tensor.shape[there[0]]) == (self.loop.step, self.loop.count):
                found[entry.tensor, there[0]] = self.names.fresh(f"{entry.tensor.name}_now")
        return found

    def _rising(self, target: Entry) -> bool:
        """True if later rounds fill later places."""
        place = target.indices[self.loop.axes[target.tensor]]
        gap = simplify(subtract(substitute(place, {self.loop.step: ONE}), substitute(place, {self.loop.step: ZERO})))
        return (isinstance(gap, Number) and gap.value > 0) != self.loop.backwards

    def _earlier(self, target: Entry, back: int) -> Entry:
        """The entry that the round so many rounds before this one has filled."""
        axis = self.loop.axes[target.tensor]
        shift = number(back if self._rising(target) else -back)
        place = simplify(subtract(target.indices[axis], shift))
        return Entry(target.tensor, (*target.indices[:axis], place, *target.indices[axis + 1 :]))

    def _reach(self, tensor: Tensor) -> int:
        """How many rounds back a round looks."""
        target, axis, most = self.targets[tensor], self.loop.axes[tensor], 0
        for entry in (e for s in self.statements for e in entries_read(s) if e.tensor is tensor):
            gap = simplify(subtract(target.indices[axis], entry.indices[axis]))
            assert isinstance(gap, Number), "a recurrence looks back a fixed number of steps"
            most = max(most, int(gap.value) if self._rising(target) else -int(gap.value))
        return most

    def _starts(self, tensor: Tensor) -> list[tuple[Expr, str]]:
        """The places that are filled before the loop, the last of them first."""
        axis = self.loop.axes[tensor]
        found = [s.target for s in self.form.statements[: self.loop.first] if s.target.tensor is tensor]
        return [(e.indices[axis], self.writer.present[self.body.key(e, self.loop)]) for e in reversed(found)]

    def _first(self, tensor: Tensor, reach: int, starts: list[tuple[Expr, str]]) -> list[str]:
        """What the first round finds; what it does not use may be anything."""
        axis = self.loop.axes[tensor]
        sizes = [self.writer.size(s) for a, s in enumerate(tensor.shape) if a != axis]
        blank = f"jnp.zeros(({', '.join(sizes)}{',' * (len(sizes) == 1)}), DTYPE)"
        return [name for _, name in starts[:reach]] + [blank] * (reach - len(starts))

    def _whole(self, tensor: Tensor, stack: str, starts: list[tuple[Expr, str]]) -> str:
        """The array of all places, from the first steps and the stacked ones."""
        axis, target = self.loop.axes[tensor], self.targets[tensor]
        rising = self._rising(target)
        flipped = f"jnp.flip({stack}, 0)" if rising == self.loop.backwards else stack
        text = f"jnp.moveaxis({flipped}, 0, {axis})" if axis else flipped
        parts = [f"{name}[{':, ' * axis}None]" for _, name in starts]
        ordered = [*reversed(parts), text] if rising else [text, *parts]
        joined = f"jnp.concatenate([{', '.join(ordered)}], axis={axis})" if parts else text
        return f"{BLANKS}{self.names[tensor]} = {joined}"


def _tuple(parts: list[str]) -> str:
    return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
