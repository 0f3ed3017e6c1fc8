"""The `out=` form: the same statements with every array in a buffer that is planned here and allocated once.

A contraction of matrices is one `dot(..., out)`, an elementwise statement a sequence of ufunc calls that work in
place as soon as an operand is no longer needed, a sum over an axis a product with a vector of ones. A buffer is
free again after the last reader of what it holds. What has no `out=` form (look-ups, batched contractions) is
written as in the plain form.

Main name: `Plan`. This module must not know how functions and modules are put together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from symbackprop.codegen.lowering.form import Contract, Form, Map, Reduce, Statement, axes, reads
from symbackprop.codegen.names import Names
from symbackprop.codegen.numpy.expressions import Writer
from symbackprop.codegen.numpy.in_place import Buffer, Elementwise, Shape
from symbackprop.expression.build import Entry, Expr, Index, Number, Symbol, Tensor, entries, free_indices


@dataclass
class Plan:
    """The lines of code and the buffers of a list of statements.

    Args:
        kept: tensors read inside a loop: their buffers stay until its last statement, at this position.
        fixed: the arrays are the same at every call, so views, names and numbers are made once, in `setup`.
        copied: tensors that blocks of `rows` rows read again and again: a transpose is worth a copy, made once, in
            `setup`, since BLAS reads it faster; what is the same in each row is repeated, since to broadcast short
            rows costs more than to add.

    Attributes:
        setup: the lines that run once.
    """

    form: Form
    names: Names
    kept: dict[Tensor, int] = field(default_factory=dict)
    fixed: bool = False
    copied: frozenset[Tensor] = frozenset()
    rows: Symbol | None = None
    setup: list[str] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)
    called: dict[str, Buffer | None] = field(default_factory=dict)
    writer: Writer = field(init=False)
    lines: list[str] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    holds: dict[Tensor, Buffer] = field(default_factory=dict)
    free: list[Buffer] = field(default_factory=list)
    numbers: dict[str, str] = field(default_factory=dict)
    joined: set[Tensor] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.writer = Writer(self.names)
        self.last = {t: p for p, s in enumerate(self.form.statements) for t in reads(s)}
        self.last.update(self.kept)
        for tensor in self.form.outputs:
            if tensor.shape:
                self.holds[tensor] = Buffer(self.names[tensor], tensor.shape)
        self.given = set(self.holds.values())
        self._coalesce()

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

    def statement(self, statement: Statement, position: int) -> None:
        """Write one statement, then free the buffers that it read last."""
        match statement:
            case Map(target, value) if target.indices and free_indices(value):
                Elementwise(self, target, position).run(value)
            case Contract() if self.is_matrix_product(statement):
                self._dot(statement)
            case Reduce(target, "sum", operand, (index,)) if len(operand.indices) == 2:
                self._sum(target, operand, index)
            case Contract(target, left, right, _) if self.fixed and not target.indices and axes(left) == axes(right):
                product = f"{self.flat(self.names[left.tensor])}.dot({self.flat(self.names[right.tensor])})"
                self.lines.append(f"{self.names[target.tensor]} = {product}")
            case Reduce(target, "max" | "min" as kind, operand, (index,)) if target.indices == _without(operand, index):
                function, axis = {"max": "np.maximum", "min": "np.minimum"}[kind], axes(operand).index(index)
                array = self.names[operand.tensor]
                self.lines.append(f"{function}.reduce({array}, {axis}, None, {self.home(target).name})")
            case Reduce(target, "sum", operand, _) if not target.indices:
                # An inner product with ones costs half of what sum() does.
                self.lines.append(f"{self.names[target.tensor]} = {self.total(operand)}")
            case _:
                self._plainly(statement)
        self.release(statement, position)

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

    def take(self, shape: Shape, name: str | None = None) -> Buffer:
        """A free buffer of this shape, or a new one."""
        for buffer in self.free:
            if buffer.shape == shape:
                self.free.remove(buffer)
                return buffer
        buffer = Buffer(name or self.names.numbered("s"), shape)
        self.buffers.append(buffer)
        return buffer

    def home(self, target: Entry) -> Buffer:
        """The buffer in which the target's array lives, under the target's own name."""
        tensor = target.tensor
        buffer = self.holds.get(tensor)
        if buffer is None:
            buffer = self.holds[tensor] = self.take(tensor.shape, self.names[tensor])
        self.rename(tensor, buffer)
        return buffer

    def rename(self, tensor: Tensor, buffer: Buffer) -> None:
        """Let the code call `buffer` by the name of the tensor that it holds from here on."""
        self.holds[tensor] = buffer
        if self.called.get(self.names[tensor], buffer) is not buffer:  # a temporary had this name, and another buffer
            self.names.again(tensor)
        if self.fixed and self.names[tensor] not in self.called:
            self.called[self.names[tensor]] = buffer
        elif self.fixed:
            return
        if buffer.name != self.names[tensor]:
            (self.setup if self.fixed else self.lines).append(f"{self.names[tensor]} = {buffer.name}")

    def once(self, text: str, stem: str) -> str:
        """A name for `text`, which has the same value at every call."""
        if text not in self.made:
            self.made[text] = self.names.fresh(stem)
            self.setup.append(f"{self.made[text]} = {text}")
        return self.made[text]

    def flat(self, array: str) -> str:
        """The array of this name as a vector."""
        return self.once(f"{array}.ravel()", f"{array}_flat")

    def constant(self, text: str) -> str:
        """A number as a 0-d array of the module: ufuncs take it twice as fast as a Python number."""
        return {"0": "ZERO", "1": "ONE", "0.5": "HALF", "2": "TWO"}.get(text, text)

    def number(self, expr: Expr) -> str:
        """A number for a ufunc: a constant of the module, or an array without axes that is set here, once."""
        text = self.writer.value(expr, ())[0]
        if isinstance(expr, Number) or any(True for _ in entries(expr)):
            return self.constant(text)
        if self.fixed:
            return self.once(f"np.array({text}, DTYPE)", "c")
        name = self.numbers.get(text)
        if name is None:
            buffer = Buffer(self.names.numbered("c"), ())
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
            if self.fixed:
                self.called[self.names[tensor]] = None
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
        if self.fixed and self.called.get(name, True) is not None:
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
            buffer = Buffer(self.names.fresh(name), shape)
            self.buffers.append(buffer)
            self.made[text] = buffer.name
            self.setup.append(f"np.copyto({buffer.name}, {text})")
        return self.made[text]

    def _sum(self, target: Entry, operand: Entry, index: Index) -> None:
        ones = self.ones(index)
        array = self.names[operand.tensor]
        product = f"{ones}.dot({array}, " if axes(operand)[0] is index else f"{array}.dot({ones}, "
        self.lines.append(f"{product}{self.home(target).name})")

    def total(self, operand: Entry) -> str:
        """The sum of all entries of an array."""
        if self.fixed:
            return f"{self.flat(self.names[operand.tensor])}.dot({self.flat(self.ones(*axes(operand)))})"
        return f"np.vdot({self.names[operand.tensor]}, {self.ones(*axes(operand))})"

    def ones(self, *indices: Index) -> str:
        """The array of ones along some axes."""
        shape = tuple(i.size for i in indices)
        for buffer in self.buffers:
            if buffer.shape == shape and buffer.fill == "ones":
                return buffer.name
        buffer = Buffer(self.names.fresh("ones"), shape, "ones")
        self.buffers.append(buffer)
        return buffer.name


def _without(operand: Entry, index: Index) -> tuple[Expr, ...]:
    return tuple(i for i in operand.indices if i is not index)
