"""The `out=` form: the same statements with every array in a buffer that is planned here and allocated once.

A contraction of matrices is one `dot(..., out)`, an elementwise statement a sequence of ufunc calls that work in
place as soon as an operand is no longer needed, a sum over an axis a product with a vector of ones. A buffer is
free again after the last reader of what it holds. What has no `out=` form (look-ups, batched contractions) is
written as in the plain form.

Main name: `Plan`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

from symbackprop.codegen.lowering.form import Contract, Form, Gather, Join, Map, Marked, Reduce, Statement, axes, reads
from symbackprop.codegen.lowering.padded import padding
from symbackprop.codegen.lowering.windows import is_window, window_axes
from symbackprop.codegen.names import Names
from symbackprop.codegen.numpy.expressions import ATOM, ArrayWriter, over_and_under
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Power,
    Symbol,
    Tensor,
    Where,
    add,
    entries,
    free_indices,
    multiply,
    negate,
    power,
)
from symbackprop.proofs.stable_functions import TANH_BESIDE

Shape = tuple[Expr, ...]
HALF = Fraction(1, 2)
INTO = ("sigmoid", "tail", "finite_exp")  # helpers with an `out` argument
_NAME = re.compile(r"[A-Za-z_]\w*")
UFUNC = {"exp": "exp", "log": "log", "sin": "sin", "cos": "cos", "tanh": "tanh", "abs": "abs"}
UFUNC |= {"expm1": "expm1", "log1p": "log1p"}


@dataclass
class Plan:
    """The lines of code and the buffers of a list of statements.

    Args:
        kept: tensors read inside a loop: their buffers stay until its last statement, at this position.
        moving: names of what differs from call to call; what has nothing to do with them (views, names and numbers) is
            made once, in `setup`. None if everything does.
        small: of few numbers, so that the fewest calls are the fastest.
        labels: integers that are known to lie in their range.
        copied: tensors that blocks of `rows` rows read again and again: a transpose is worth a copy, made once, in
            `setup`, since BLAS reads it faster; what is the same in each row is repeated, since to broadcast short
            rows costs more than to add.

    Attributes:
        setup: the lines that run once.
    """

    form: Form
    names: Names
    kept: dict[Tensor, int] = field(default_factory=dict)
    moving: set[str] | None = None
    small: bool = False
    labels: frozenset[Tensor] = frozenset()
    copied: frozenset[Tensor] = frozenset()
    rows: Symbol | None = None
    setup: list[str] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)
    called: dict[str, OutBuffer | None] = field(default_factory=dict)
    writer: ArrayWriter = field(init=False)
    lines: list[str] = field(default_factory=list)
    buffers: list[OutBuffer] = field(default_factory=list)
    holds: dict[Tensor, OutBuffer] = field(default_factory=dict)
    free: list[OutBuffer] = field(default_factory=list)
    numbers: dict[str, str] = field(default_factory=dict)
    joined: set[Tensor] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)  # names of what has one value during a call

    def __post_init__(self) -> None:
        self.writer = ArrayWriter(self.names)
        self.last = {t: p for p, s in enumerate(self.form.statements) for t in reads(s)}
        self.last.update(self.kept)
        for tensor in self.form.outputs:
            if tensor.shape:
                self.holds[tensor] = OutBuffer(self.names[tensor], tensor.shape)
        self.given = set(self.holds.values())
        self._coalesce()
        if self.closed:
            self._lead_to_outputs()

    def _coalesce(self) -> None:
        """Give a temporary that one elementwise statement reads its target's name and buffer, if axes agree."""
        defined = {s.target.tensor: s for s in self.form.statements}
        for position, statement in enumerate(self.form.statements):
            if not isinstance(statement, Map) or not statement.target.indices:
                continue
            target = statement.target
            for entry in entries(statement.value):
                maker = defined.get(entry.tensor)
                fits = entry.indices == target.indices and self.last[entry.tensor] == position
                if isinstance(maker, Contract) and fits and entry.tensor not in self.form.comments:
                    self.names.alias(entry.tensor, target.tensor)
                    self.joined.add(target.tensor)
                    if target.tensor in self.holds:
                        self.holds[entry.tensor] = self.holds[target.tensor]
                    break

    def _lead_to_outputs(self) -> None:
        """Let what an output is made of in place live in the output's array from the start."""
        made = {s.target.tensor: s for s in self.form.statements}
        copied = {s.value.tensor for s in made.values() if isinstance(s, Map) and isinstance(s.value, Entry)}
        for position in reversed(range(len(self.form.statements))):
            statement = self.form.statements[position]
            target = statement.target
            if not isinstance(statement, (Map, Marked)) or target.tensor not in self.holds:
                continue
            if target.tensor in self.joined or target.tensor in copied:
                continue
            for entry in entries(statement.value):
                maker = made.get(entry.tensor)
                fits = entry.indices == target.indices and entry.tensor.shape == target.tensor.shape
                ends = self.last[entry.tensor] == position and entry.tensor not in (*self.holds, *copied)
                copy = isinstance(maker, Map) and isinstance(maker.value, Entry)
                if maker is not None and fits and ends and not copy:
                    self.holds[entry.tensor] = self.holds[target.tensor]
                    break

    def statement(self, statement: Statement, position: int) -> None:
        """Write one statement, then free the buffers that it read last."""
        match statement:
            case Map(target, Entry() as same) if same.indices == target.indices and target.tensor not in self.holds:
                self._alias(target.tensor, same.tensor)
            case Map(target, value) if target.indices and free_indices(value):
                Elementwise(self, target, position).run(value)
            case Marked(target, value, _, _, extra) if free_indices(value) and (
                isinstance(extra, Entry) or not self._is_held(extra)
            ):
                Elementwise(self, target, position).run(value)
                self._mark(statement)
            case Gather(target, source, positions, False) if self.are_places(source, positions):
                places = self.places(source.shape[1], positions[0], positions[1])
                self.lines.append(f'{self.names[source]}.take({places}, None, {self.home(target).name}, "clip")')
            case Join():
                self._join(statement)
            case Gather(target) if self.closed and is_window(statement):
                self._window(statement)
            case Contract() if self.is_matrix_product(statement):
                self._dot(statement)
            case Contract(target, left, right, over) if self.closed and self.is_product(statement):
                self._product(statement)
            case Reduce(target, "sum", operand, over) if self.closed and target.indices == tuple(
                i for i in operand.indices if i not in over
            ) and len(over) > 1 and target.indices:  # fmt: skip
                summed = tuple(axes(operand).index(i) for i in over)
                array = self.names[operand.tensor]
                self.lines.append(f"np.add.reduce({array}, {summed}, None, {self.home(target).name})")
            case Reduce(target, "sum", operand, (index,)) if len(operand.indices) == 2:
                self._sum(target, operand, index)
            case Contract(target, left, right, _) if self.closed and not target.indices and axes(left) == axes(right):
                product = f"{self.flat(left)}.dot({self.flat(right)})"
                self.lines.append(f"{self.names[target.tensor]} = {product}")
                self.note_moving(target.tensor)
            case Contract(target, left, right, (index,)) if self.closed and self.are_rows(target, left, right, index):
                self._row_products(statement)
            case Reduce(target, "max" | "min" as kind, operand, (index,)) if target.indices == _without(operand, index):
                function, axis = {"max": "np.maximum", "min": "np.minimum"}[kind], axes(operand).index(index)
                array = self.names[operand.tensor]
                if self.closed and axis == 1 and len(operand.indices) == 2:
                    self._extreme_of_rows(array, kind, target, operand)
                    self.release(statement, position)
                    return
                self.lines.append(f"{function}.reduce({array}, {axis}, None, {self.home(target).name})")
            case Reduce(target, "sum", operand, _) if not target.indices:
                # An inner product with ones costs half of what sum() does.
                self.lines.append(f"{self.names[target.tensor]} = {self.total(operand)}")
            case _:
                self._plainly(statement)
        self.release(statement, position)

    def _extreme_of_rows(self, array: str, kind: str, target: Entry, operand: Entry) -> None:
        """Where it is, and then what is there: of short rows that takes a third of the time; the first NaN is one."""
        rows, columns = (i.size for i in axes(operand))
        starts, places = self.starts(rows, columns), self.names.numbered("places")
        self.lines.append(f"{places} = {array}.arg{kind}(1)")
        self.lines.append(f"np.add({places}, {starts}, {places})")
        self.lines.append(f'{array}.take({places}, None, {self.home(target).name}, "clip")')

    def starts(self, rows: Expr, columns: Expr) -> str:
        """The places at which the rows of a matrix begin."""
        size = self.writer.size(columns)
        count = self.writer.size(rows)
        return self.once(f"np.arange({count}) * {size if size.isidentifier() else f'({size})'}", "starts")

    def are_places(self, source: Tensor, positions: tuple[Expr, ...]) -> bool:
        """True for one place in each row of a matrix, which is known to lie inside."""
        if (
            not self.closed
            or len(positions) != 2
            or not isinstance(positions[0], Index)
            or positions[0].size is not source.shape[0]
        ):
            return False
        place = positions[1]
        return isinstance(place, Entry) and place.tensor in self.labels and place.indices == positions[:1]

    def places(self, columns: Expr, row: Expr, place: Expr) -> str:
        """The places in a matrix, seen as a vector, of one entry in each row."""
        assert isinstance(row, Index) and isinstance(place, Entry), "one place in each row"
        text = f"{self.starts(row.size, columns)} + {self.names[place.tensor]}"
        if text not in self.told:
            self.told[text] = self.names.numbered("places")
            self.lines.append(f"{self.told[text]} = {text}")
        return self.told[text]

    def _mark(self, s: Marked) -> None:
        """Add the extra to an array that holds the value."""
        array = self.holds[s.target.tensor].name
        row = s.target.indices[0]
        if not self.are_places(s.target.tensor, (row, s.place)) or s.target.indices[1] is not s.at:
            self.lines.append(self.writer.marked(s, array))
            return
        assert isinstance(row, Index), "one place in each row"
        extra = self.number(s.extra) if not free_indices(s.extra) else self.writer.value(s.extra, (row,))[0]
        if s.instead:
            self.lines.append(f"{array}.ravel()[{self.places(s.at.size, row, s.place)}] = {extra}")
            return
        self.writer.helpers.add("add_at")
        self.lines.append(f"add_at({array}.ravel(), {self.places(s.at.size, row, s.place)}, {extra})")

    def _is_held(self, value: Expr) -> bool:
        """True if `value` reads a buffer, which may be written over."""
        return any(e.tensor in self.holds for e in entries(value))

    def _alias(self, tensor: Tensor, same: Tensor) -> None:
        """Another name of an array; its buffer is free after the last reader of any of its names."""
        buffer = self.holds.get(same)
        if buffer is None:
            self.lines.append(f"{self.names[tensor]} = {self.names[same]}")
            return
        self.rename(tensor, buffer)
        named = [t for t, b in self.holds.items() if b is buffer and self.last.get(t, -1) >= self.last[same]]
        until = max(self.last.get(t, -1) for t in (tensor, *named))
        self.last.update(dict.fromkeys((tensor, same, *named), until))

    def accumulate(self, statement: Statement, position: int) -> None:
        """Add one block's part to a sum that was set to zero before the loop."""
        tensor = statement.target.tensor
        if not tensor.shape:
            if isinstance(statement, Reduce) and statement.kind == "sum":
                text = self.total(statement.operand)
            else:
                text = self.writer.statement(statement)[0]
            self.lines.append(f"{self.names[tensor]} += {text}")
        else:
            total = self.holds[tensor]
            part = self.holds[tensor] = self.take(tensor.shape)
            before = len(self.lines)
            self.statement(statement, position)
            self.lines = self.lines[:before] + [
                x for x in self.lines[before:] if not x.startswith(f"{self.names[tensor]} = ")
            ]
            self.lines.append(f"np.add({total.name}, {part.name}, {total.name})")
            self.holds[tensor] = total
            self.free.append(part)
        self.release(statement, position)

    def release(self, statement: Statement, position: int) -> None:
        """Give back the buffers of arrays whose last reader this was."""
        kept = self.holds.get(statement.target.tensor)
        for tensor in reads(statement):
            buffer = self.holds.get(tensor)
            if buffer is None or buffer is kept or buffer in self.given or buffer in self.free:
                continue
            if self.last[tensor] == position:
                self.free.append(buffer)

    def take(self, shape: Shape, name: str | None = None) -> OutBuffer:
        """A free buffer of this shape, or a new one."""
        for buffer in self.free:
            if buffer.shape == shape:
                self.free.remove(buffer)
                return buffer
        if name is None or any(name == other.name for other in self.buffers):  # a temporary may share its target's name
            name = self.names.numbered("s")
        buffer = OutBuffer(name, shape)
        self.buffers.append(buffer)
        return buffer

    def home(self, target: Entry) -> OutBuffer:
        """The buffer in which the target's array lives, under the target's own name."""
        tensor = target.tensor
        buffer = self.holds.get(tensor)
        if buffer is None:
            buffer = self.holds[tensor] = self.take(tensor.shape, self.names[tensor])
        self.rename(tensor, buffer)
        return buffer

    def rename(self, tensor: Tensor, buffer: OutBuffer) -> None:
        """Let the code call `buffer` by the name of the tensor that it holds from here on."""
        self.holds[tensor] = buffer
        if self.called.get(self.names[tensor], buffer) is not buffer:  # a temporary had this name, and another buffer
            self.names.again(tensor)
        if self.closed and self.names[tensor] not in self.called:
            self.called[self.names[tensor]] = buffer
        elif self.closed:
            return
        if buffer.name != self.names[tensor]:
            once = self.closed and self.is_steady(buffer.name)
            (self.setup if once else self.lines).append(f"{self.names[tensor]} = {buffer.name}")
            if self.closed and not once:
                self.note_moving(tensor)

    def once(self, text: str, stem: str) -> str:
        """A name for `text`, which has the same value at every call."""
        if text not in self.made:
            self.made[text] = self.names.fresh(stem)
            self.setup.append(f"{self.made[text]} = {text}")
        return self.made[text]

    @property
    def closed(self) -> bool:
        """True if there is a `setup` that runs once."""
        return self.moving is not None

    def is_steady(self, text: str) -> bool:
        """True if `text` has the same value at every call."""
        return self.moving is not None and self.moving.isdisjoint(_NAME.findall(text))

    def note_moving(self, tensor: Tensor) -> None:
        """What this name stands for is set at each call."""
        if self.moving is not None:
            self.moving.add(self.names[tensor])

    def flat(self, operand: Entry) -> str:
        """The array of an entry as a vector."""
        name = self.names[operand.tensor]
        text = f"{name}.ravel()"
        if len(operand.indices) == 1:
            return name
        return self.once(text, f"{name}_flat") if self.is_steady(text) else text

    def constant(self, text: str) -> str:
        """A number as a 0-d array of the module: ufuncs take it twice as fast as a Python number."""
        return {"0": "ZERO", "1": "ONE", "0.5": "HALF", "2": "TWO"}.get(text, text)

    def number(self, expr: Expr) -> str:
        """A number for a ufunc: a constant of the module, or an array without axes that is set here, once."""
        text = self.writer.value(expr, ())[0]
        known = self.constant(text)
        if known != text or any(True for _ in entries(expr)) or (isinstance(expr, Number) and not self.closed):
            return known
        if self.is_steady(text):
            return self.once(f"np.array({text}, DTYPE)", "c")
        name = self.numbers.get(text)
        if name is None:
            buffer = OutBuffer(self.names.numbered("c"), ())
            self.buffers.append(buffer)
            name = self.numbers[text] = buffer.name
            (self.lines if self.rows is None else self.setup).append(f"{name}[()] = {text}")
        return name

    def _plainly(self, statement: Statement) -> None:
        text = self.writer.statement(statement)[0]
        tensor = statement.target.tensor
        buffer = self.holds.get(tensor)
        if buffer is not None and tensor.shape:
            self.rename(tensor, buffer)
            self.lines.append(f"{buffer.name}[...] = {text}")
        else:
            if self.closed:
                self.called[self.names[tensor]] = None
                self.note_moving(tensor)
            self.lines.append(f"{self.names[tensor]} = {text}")

    def is_matrix_product(self, s: Contract) -> bool:
        """True if `dot` computes it."""
        order, left, right = axes(s.target), axes(s.left), axes(s.right)
        shared = [i for i in order if i in left and i in right]
        return bool(order) and len(s.over) == 1 and not shared and len(left) <= 2 and len(right) <= 2

    def _dot(self, s: Contract) -> None:
        text = self.writer.statement(s)[0]
        first, second = (self._transpose(part, s) for part in text.split(" @ "))
        self.lines.append(f"{first}.dot({second}, {self.home(s.target).name})")

    def _transpose(self, text: str, s: Contract) -> str:
        """An operand's text; a transpose that does not change from call to call has a name."""
        name = text.removesuffix(".T")
        if name == text:
            return text
        if self.is_steady(text) and self.called.get(name, True) is not None:
            return self.once(text, f"{name}_T")
        tensor = next(e.tensor for e in (s.left, s.right) if self.names[e.tensor] == name)
        if tensor not in self.copied:
            return text
        return self._copy(text, f"{name}_T", tensor.shape[::-1])

    def repeated(self, entry: Entry, order: tuple[Index, ...]) -> str | None:
        """The array that has `entry` in each row of a block, if that is worth a copy."""
        same = len(order) == 2 and order[0].size is self.rows and entry.indices == order[1:]
        if self.rows is None or not same or entry.tensor not in self.copied:
            return None
        name = self.names[entry.tensor]
        return self._copy(name, f"{name}_rows", (self.rows, *entry.tensor.shape))

    def _copy(self, text: str, name: str, shape: Shape) -> str:
        """The name of a buffer of this shape into which `setup` copies `text`."""
        if text not in self.made:
            buffer = OutBuffer(self.names.fresh(name), shape)
            self.buffers.append(buffer)
            self.made[text] = buffer.name
            self.setup.append(f"np.copyto({buffer.name}, {text})")
        return self.made[text]

    def _join(self, s: Join) -> None:
        """Each part in its place."""
        order, home = axes(s.target), self.home(s.target).name
        start: Expr = ZERO
        for part in s.parts:
            own = next(i for i in axes(part) if i not in order or i is s.along)
            end = add(start, own.size)
            text = self.writer.ordered(part, [own if i is s.along else i for i in order])
            place = ", ".join([":"] * order.index(s.along) + [f"{self.writer.size(start)} : {self.writer.size(end)}"])
            self.lines.append(f"{home}[{place}] = {text}")
            start = end

    def _window(self, s: Gather) -> None:
        """A copy in the order of the target's axes: of a view of the array, or of one with zeros around it.

        Where the target's last axis is not the array's, another copy comes first in which it is: so whole rows are
        copied of what is read once for each place in the window.
        """
        found = padding(s)
        assert found is not None, "a look-up that is a window"
        order, along, size = axes(s.target), window_axes(found), self.writer.size
        last, count = along[order[-1]][0], len(found)
        lies = list(range(count)) if found[last].inner else [*(a for a in range(count) if a != last), last]
        found = [found[a] for a in lies]
        along = window_axes(found)
        sides = [(w.before, w.after) for w in found]
        grows = any(isinstance(n, Number) and n.value > 0 for pair in sides for n in pair)
        turned = lies != sorted(lies)
        array, start = self.names[s.source], [size(negate(w.before)) for w in found]
        if grows or turned:
            extents = [s.source.shape[a] for a in lies]
            room = OutBuffer(self.names.fresh(f"{array}_{'room' if grows else 'rows'}"), tuple(
                add(extent, *(n for n in pair if isinstance(n, Number) and n.value > 0))
                for extent, pair in zip(extents, sides, strict=True)
            ), "zeros" if grows else "empty")  # fmt: skip
            self.buffers.append(room)
            lead = [before if isinstance(before, Number) and before.value > 0 else ZERO for before, _ in sides]
            places = ", ".join(
                f"{size(first)} : {size(add(first, extent))}" for first, extent in zip(lead, extents, strict=True)
            )
            inside = self.once(f"{room.name}[{places}]", f"{array}_inside") if grows else room.name
            moved = f".transpose({', '.join(map(str, lies))})" if turned else ""
            self.lines.append(f"{inside}[...] = {array}{moved}")
            start = [size(add(first, negate(w.before))) for first, w in zip(lead, found, strict=True)]
            array = room.name
        for w_axis, w in enumerate(found):
            if w.inner is not None and w.backwards:
                start[w_axis] = f"{start[w_axis]} + {size(w.inner.size)} - 1"
        shape = ", ".join(size(i.size) for i in order) + "," * (len(order) == 1)
        runs = ", ".join(f"{'~' * along[i][1]}{along[i][0]}" for i in order) + "," * (len(order) == 1)
        self.writer.helpers.add("windows")
        first = ", ".join(start) + "," * (len(start) == 1)
        view = f"windows({array}, ({first}), ({shape}), ({runs}))"
        view = self.once(view, f"{array}_windows") if grows or turned else view
        self.lines.append(f"{self.home(s.target).name}[...] = {view}")

    def is_product(self, s: Contract) -> bool:
        """True if it is a product of matrices, once several axes are seen as one."""
        order, left, right = axes(s.target), axes(s.left), axes(s.right)
        return bool(order) and not any(i in left and i in right for i in order) and all(
            t.kind == "real" for t in (s.left.tensor, s.right.tensor)
        )  # fmt: skip

    def _product(self, s: Contract) -> None:
        """One `dot`, with copies of what does not lie in the order of rows and columns."""
        order, names = axes(s.target), self.names
        first, second = (s.left, s.right) if order[0] in axes(s.left) else (s.right, s.left)
        rows, columns = ([i for i in axes(e) if i not in s.over] for e in (first, second))
        larger = sorted((first, second), key=lambda e: len(axes(e)), reverse=True)
        over = next(
            (o for e in larger if (o := self._together(e, s.over)) is not None), [*s.over]
        )  # the order in which one operand has them: the one whose copy would cost more
        a, b = self._as_matrix(first, rows, over), self._as_matrix(second, columns, over, turned=True)
        if list(order) == rows + columns:
            home = self.home(s.target)
            self.lines.append(f"{a}.dot({b}, {self._reshaped(home.name, rows, columns)})")
            return
        whole = OutBuffer(names.fresh(f"{names[s.target.tensor]}_product"), tuple(i.size for i in rows + columns))
        self.buffers.append(whole)
        self.lines.append(f"{a}.dot({b}, {self._reshaped(whole.name, rows, columns)})")
        turned = f"{whole.name}.transpose({', '.join(str((rows + columns).index(i)) for i in order)})"
        self.lines.append(f"{self.home(s.target).name}[...] = {self.once(turned, f'{whole.name}_turned')}")

    @staticmethod
    def _together(e: Entry, over: tuple[Index, ...]) -> list[Index] | None:
        """The axes summed over, in order, if they are the first or the last ones."""
        own = axes(e)
        found, count = [i for i in own if i in over], len(over)
        return found if found in ([*own[:count]], [*own[len(own) - count :]]) else None

    def _as_matrix(self, e: Entry, rest: list[Index], over: list[Index], turned: bool = False) -> str:
        """The text of rest x over, or over x rest where turned."""
        name, own = self.names[e.tensor], list(axes(e))
        if own == rest + over:
            text = self._reshaped(name, rest, over)
            return f"{text}.T" if turned else text
        if own != over + rest:
            copy = OutBuffer(self.names.fresh(f"{name}_ordered"), tuple(i.size for i in over + rest))
            self.buffers.append(copy)
            self.lines.append(
                f"{copy.name}[...] = {name}.transpose({', '.join(str(own.index(i)) for i in over + rest)})"
            )
            name = copy.name
        text = self._reshaped(name, over, rest)
        return text if turned else f"{text}.T"

    def _reshaped(self, name: str, rows: list[Index], columns: list[Index]) -> str:
        """An array as a matrix; once, if it is the same at each call."""
        if len(rows) == len(columns) == 1:
            return name
        sizes = (self.writer.size(multiply(*(i.size for i in side))) for side in (rows, columns))
        text = f"{name}.reshape({', '.join(sizes)})"
        return self.once(text, f"{name}_matrix") if self.is_steady(name) else text

    def _sum(self, target: Entry, operand: Entry, index: Index) -> None:
        ones = self.ones(index)
        array = self.names[operand.tensor]
        product = f"{ones}.dot({array}, " if axes(operand)[0] is index else f"{array}.dot({ones}, "
        self.lines.append(f"{product}{self.home(target).name})")

    def are_rows(self, target: Entry, left: Entry, right: Entry, index: Index) -> bool:
        """True for inner products of the rows of two matrices, or of their columns."""
        return len(axes(left)) == 2 and axes(left) == axes(right) and target.indices == _without(left, index)

    def _row_products(self, s: Contract) -> None:
        """By one function where each is of a row; of columns by a product and a sum."""
        left, right = self.names[s.left.tensor], self.names[s.right.tensor]
        if axes(s.left)[1] is s.over[0]:
            self.writer.helpers.add("row_products")
            self.lines.append(f"row_products({left}, {right}, out={self.home(s.target).name})")
            return
        work = self.take(tuple(i.size for i in axes(s.left)))
        self.lines.append(f"np.multiply({left}, {right}, {work.name})")
        self.lines.append(f"{self.ones(s.over[0])}.dot({work.name}, {self.home(s.target).name})")
        self.free.append(work)

    def total(self, operand: Entry) -> str:
        """The sum of all entries of an array."""
        if self.closed:
            ones = self.filled((multiply(*(i.size for i in axes(operand))),))
            return f"{self.flat(operand)}.dot({ones})"
        return f"np.vdot({self.names[operand.tensor]}, {self.ones(*axes(operand))})"

    def ones(self, *indices: Index) -> str:
        """The array of ones along some axes."""
        return self.filled(tuple(i.size for i in indices))

    def filled(self, shape: Shape) -> str:
        """The array of ones of this shape."""
        for buffer in self.buffers:
            if buffer.shape == shape and buffer.fill == "ones":
                return buffer.name
        buffer = OutBuffer(self.names.fresh("ones"), shape, "ones")
        self.buffers.append(buffer)
        return buffer.name


def _without(operand: Entry, index: Index) -> tuple[Expr, ...]:
    return tuple(i for i in operand.indices if i is not index)


@dataclass(frozen=True)
class OutBuffer:
    """An array of the workspace: its name in the code and the shape it is allocated with."""

    name: str
    shape: Shape
    fill: str = "empty"


@dataclass
class Operand:
    """A value in the middle of an expression: its text, and the buffer that may be overwritten, if any.

    Args:
        reads: the tensors that the text reads when it is used.
    """

    text: str
    buffer: OutBuffer | None = None
    is_number: bool = False
    reads: tuple[Tensor, ...] = ()


class Elementwise:
    """The ufunc calls of one elementwise statement."""

    def __init__(self, plan: Plan, target: Entry, position: int) -> None:
        self.plan, self.target, self.position = plan, target, position
        self.order = axes(target)
        self.left: Counter[Tensor] = Counter()  # how often each tensor is still to be read
        self.pending: Counter[Tensor] = Counter()  # operands that read it and are not used yet

    def run(self, value: Expr) -> None:
        """Compute `value` into the target."""
        plan, tensor = self.plan, self.target.tensor
        self.left = Counter(e.tensor for e in entries(value))
        result = self.value(value, root=True)
        home = plan.holds.get(tensor)
        if result.buffer is not None and home is None:
            if result.buffer in plan.free:
                plan.free.remove(result.buffer)
            plan.rename(tensor, result.buffer)
        elif result.buffer is None or result.buffer is not home:
            home = plan.home(self.target)
            plan.lines.append(f"np.copyto({home.name}, {result.text})")
            if result.buffer is not None and result.buffer not in plan.given:
                plan.free.append(result.buffer)
        else:
            plan.rename(tensor, result.buffer)

    def value(self, expr: Expr, root: bool = False) -> Operand:
        """The text of an expression, after the calls that compute it; at the root the result goes to the target."""
        if not free_indices(expr):
            return Operand(self.plan.number(expr), is_number=True)
        match expr:
            case Entry():
                return self._entry(expr)
            case Add(terms):
                return self._sum(list(terms), root)
            case Multiply():
                return self._product(expr, root)
            case Power(_, Number(value)) if value.denominator == 2 or value in (2, 3, 4, -1, -2, -3, -4):
                return self._power(expr, root)
            case Apply(function, (argument,)) if function.name in (*UFUNC, *INTO, "relu", "softplus"):
                inner = self.value(argument)
                if function.name == "softplus":
                    return self._call("np.logaddexp", [Operand(self.plan.constant("0"), is_number=True), inner], root)
                if function.name == "sigmoid" and self.plan.small:
                    return self._sigmoid(inner, root)
                if function.name in INTO:
                    self.plan.writer.helpers.add(function.name)
                    return self._call(function.name, [inner], root)
                if function.name == "relu":
                    return self._call("np.maximum", [inner, Operand(self.plan.constant("0"), is_number=True)], root)
                return self._call(f"np.{UFUNC[function.name]}", [inner], root)
            case Apply(function, arguments) if function is TANH_BESIDE and all(map(free_indices, arguments)):
                self.plan.writer.helpers.add(function.name)
                return self._call(function.name, [self.value(a) for a in arguments], root)
            case Where(Compare("<", left, right), then, otherwise) if then is ONE and otherwise is ZERO:
                return self._call("np.less", [self.value(left), self.value(right)], root)
        inside = tuple(e.tensor for e in entries(expr))
        self.left.subtract(inside)
        text = self.plan.writer._wrapped(self.plan.writer.value(expr, self.order), ATOM)
        return self._waiting(Operand(text, reads=inside))

    def _waiting(self, operand: Operand) -> Operand:
        self.pending.update(operand.reads)
        return operand

    def _entry(self, entry: Entry) -> Operand:
        plan, tensor = self.plan, entry.tensor
        self.left[tensor] -= 1
        text = plan.writer.value(entry, self.order)[0]
        buffer = plan.holds.get(tensor)
        # In a * (1 - a) the second a may not be overwritten while the first is still waiting.
        dying = plan.last.get(tensor) == self.position and not self.left[tensor] and not self.pending[tensor]
        own = plan.holds.get(self.target.tensor)
        if buffer is not None and dying and entry.indices == self.order and (buffer not in plan.given or buffer is own):
            return self._waiting(Operand(plan.names[tensor], buffer, reads=(tensor,)))
        repeated = plan.repeated(entry, self.order)
        if repeated is not None:
            return Operand(repeated)
        if (
            plan.is_steady(text)
            and text != plan.names[tensor]
            and plan.called.get(plan.names[tensor], True) is not None
        ):
            text = plan.once(text, f"{plan.names[tensor]}_view")
        return self._waiting(Operand(text, reads=(tensor,)))

    def _call(self, function: str, operands: list[Operand], root: bool) -> Operand:
        """function(operands, out=...), in place in an operand that is no longer needed."""
        plan = self.plan
        for operand in operands:
            self.pending.subtract(operand.reads)
        own = plan.holds.get(self.target.tensor)
        spare = [o.buffer for o in operands if o.buffer is not None]
        if root and own is not None and self._is_safe(own, operands):
            out = own
        elif spare:
            out = spare[0]
        else:
            out = plan.take(tuple(i.size for i in self.order))
        for buffer in spare:
            if buffer is not out and buffer not in plan.free and buffer not in plan.given:
                plan.free.append(buffer)
        name = self._name(out, operands)
        arguments = ", ".join(o.text for o in operands)
        keyword = "out=" if function in ("np.maximum", "np.minimum") else ""
        plan.lines.append(f"{function}({arguments}, {keyword}{name})")
        return Operand(name, out)

    def _sigmoid(self, inner: Operand, root: bool) -> Operand:
        """1/(1 + exp(-z)) with an exponent that cannot overflow: it keeps its digits where it is small."""
        least, one = (Operand(text, is_number=True) for text in ("LEAST", self.plan.constant("1")))
        exponent = self._call("np.negative", [self._call("np.maximum", [inner, least], root)], root)
        total = self._call("np.add", [self._call("np.exp", [exponent], root), one], root)
        return self._call("np.divide", [one, total], root)

    def _is_safe(self, own: OutBuffer, operands: list[Operand]) -> bool:
        """True if nothing that is still to be read lives in the target's buffer."""
        held = [t for t, b in self.plan.holds.items() if b is own and t is not self.target.tensor]
        return all(self.left[t] == 0 for t in held)

    @staticmethod
    def _name(out: OutBuffer, operands: list[Operand]) -> str:
        return next((o.text for o in operands if o.buffer is out), out.name)

    def _sum(self, terms: list[Expr], root: bool) -> Operand:
        minus = [_is_negative(t) for t in terms]
        if minus[0] and not all(minus):  # begin with a term that needs no minus, when the two can change places
            other = minus.index(False)
            if other == 1:
                terms[0], terms[1], minus[0], minus[1] = terms[1], terms[0], minus[1], minus[0]
        total = self.value(terms[0])
        for position, term in enumerate(terms[1:], 1):
            last = root and position == len(terms) - 1
            added = None if minus[position] else self._multiple(total, term, last)
            if added is not None:
                return added
            function = "np.subtract" if minus[position] else "np.add"
            part = self.value(negate(term) if minus[position] else term)
            total = self._call(function, [total, part], last)
        return total

    def _multiple(self, total: Operand, term: Expr, root: bool) -> Operand | None:
        """total + number * matrix, added in place a few rows at a time; None where it is another term, or is small."""
        plan, target = self.plan, self.plan.holds.get(self.target.tensor)
        parts = term.factors if isinstance(term, Multiply) else ()
        arrays = [f for f in parts if free_indices(f)]
        if plan.small or not root or total.buffer is None or total.buffer is not target or len(arrays) != 1:
            return None
        array = arrays[0]
        if not isinstance(array, Entry) or array.indices != self.order or len(self.order) < 2:
            return None
        factor = self.value(multiply(*(f for f in parts if f is not array)))
        plan.writer.helpers.add("add_multiple")
        work = plan.take(tuple(i.size for i in self.order))
        plan.lines.append(f"add_multiple({total.text}, {factor.text}, {self.value(array).text}, {work.name})")
        plan.free.append(work)
        return total

    def _product(self, expr: Multiply, root: bool) -> Operand:
        above, below = over_and_under(expr)
        numbers = [f for f in above if not free_indices(f)]
        arrays = [f for f in above if free_indices(f)]
        coefficient = [power(f, MINUS_ONE) for f in below if not free_indices(f)]
        divisors = [f for f in below if free_indices(f)]
        scale = Multiply((*numbers, *coefficient)) if len(numbers) + len(coefficient) > 1 else None
        single = (numbers + coefficient)[0] if scale is None and numbers + coefficient else scale
        total = self.value(arrays[0]) if arrays else Operand(self.plan.constant("1"), is_number=True)
        steps = [("np.multiply", f) for f in arrays[1:]] + [("np.divide", f) for f in divisors]
        if single is not None:
            is_minus = isinstance(single, Number) and single.value == -1
            steps.append(("np.negative" if is_minus else "np.multiply", single))
        for position, (function, factor) in enumerate(steps):
            last = root and position == len(steps) - 1
            operands = [total] if function == "np.negative" else [total, self.value(factor)]
            total = self._call(function, operands, last)
        return total

    def _power(self, expr: Power, root: bool) -> Operand:
        assert isinstance(expr.exponent, Number)
        value, times = expr.exponent.value, abs(expr.exponent.value.numerator)
        base = self.value(expr.base)
        if times > 4:
            return self._call("np.power", [base, Operand(repr(float(value)), is_number=True)], root)
        if value.denominator == 2:
            base = self._call("np.sqrt", [base], root and value == HALF)
        last = root and value > 0
        if times == 3:  # power takes ten times as long as two products
            square = self._call("np.square", [Operand(base.text)], False)
            base = self._call("np.multiply", [square, base], last)
        elif times > 1:
            for remaining in range(times // 2, 0, -1):
                base = self._call("np.square", [base], last and remaining == 1)
        if value > 0:
            return base
        return self._call("np.divide", [Operand(self.plan.constant("1"), is_number=True), base], root)


def _is_negative(term: Expr) -> bool:
    lead = term.factors[0] if isinstance(term, Multiply) else term
    return isinstance(lead, Number) and lead.value < 0
