"""A network's cost and gradient as one C function.

Matrix products are calls (`c_products`, BLAS where they are large), unrolled where a layer is tiny; everything else is
fused loops (`c_loops`). The rows of the batch are worked on in blocks whose number of rows the caller chooses.
Arguments come in one array of slots: pointers, sizes and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod

from symbackprop.codegen.arguments import size_value
from symbackprop.codegen.c.expressions import CWriter
from symbackprop.codegen.c.loops import Nest, as_product, folded, is_product, nests
from symbackprop.codegen.choice import C_FUSED_PENALTY
from symbackprop.codegen.lowering.form import (
    Contract,
    Form,
    Gather,
    Join,
    Map,
    Marked,
    Reduce,
    Statement,
    axes,
    comment_of,
    reads,
)
from symbackprop.codegen.lowering.penalty import Penalty, without_penalty
from symbackprop.codegen.lowering.row_blocks import Split, split_rows
from symbackprop.codegen.numpy.body import comment
from symbackprop.codegen.numpy.plain import names_of
from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import ZERO, Entry, Expr, Index, Symbol, Tensor, add

# Layers with at most so many weights have their products unrolled for their widths.
SMALL_LAYER = 400


@dataclass
class CKernel:
    """What a printed C function takes and needs.

    Args:
        work: arrays of the workspace; an axis of the rows has the size of a block.
    """

    text: str
    work: tuple[Tensor, ...]


def print_kernel(
    name: str,
    form: Form,
    rows: Symbol,
    known: Mapping[Symbol, int],
    single: bool,
    parameters: Sequence[Tensor],
    step: bool = False,
) -> CKernel:
    """The C function `name(slots)`; slots: inputs, array outputs, workspace arrays, sizes m and block,
    hyper-parameters.

    Args:
        parameters: one for each array output, in the same order.
        step: the function goes a step down the gradient. It has one more slot, the rate, and all rows must be one
            block.

    Raises:
        UnsupportedError: rows cannot be worked on in blocks, or a statement has no C form.
    """
    split = split_rows(form, rows)
    if split is None:
        raise UnsupportedError("no C form for a program whose rows depend on each other")
    kernel = KernelPrinter(name, form, rows, known, single)
    found = _penalty(form, parameters, known, step)
    if found is not None:
        split = split_rows(found.form, rows)
        assert split is not None, "a penalty does not depend on rows"
        kernel = KernelPrinter(name, found.form, rows, known, single)
        kernel.endings = _endings(found, parameters, split, known, step)
    return kernel.run(split)


@dataclass(frozen=True)
class Ending:
    """What becomes of a gradient T without its penalty: gradient := T + factor * parameter, or a step down.

    Args:
        step: parameter := parameter - rate * (T + factor * parameter), and the gradient itself is not needed.
        inside: the matrix product T ends in it.
    """

    parameter: Tensor
    factor: Expr
    step: bool
    inside: bool


def _penalty(form: Form, parameters: Sequence[Tensor], known: Mapping[Symbol, int], step: bool) -> Penalty | None:
    """The form without its penalty, where products are to add it; a step down always ends in the products.

    Of large parameters it is a pass of its own, since the cost makes that pass anyway and BLAS adds to what is there.
    """
    bare = Penalty(form, (ZERO,) * len(parameters), False)
    if step:
        return without_penalty(form, parameters, cost=False) or bare
    largest = max(_weights(p.shape, known) for p in parameters)
    return without_penalty(form, parameters, cost=False) if SMALL_LAYER < largest <= C_FUSED_PENALTY else None


def _weights(shape: Sequence[Expr], known: Mapping[Symbol, int]) -> float:
    """How many numbers a parameter has, as far as that is known."""
    sizes = [size_value(s, known) for s in shape]
    return prod(inf if s is None else s for s in sizes)


def _endings(
    found: Penalty, parameters: Sequence[Tensor], split: Split, known: Mapping[Symbol, int], step: bool
) -> dict[Tensor, Ending]:
    """By gradient; a product ends in a step only if nothing reads the parameter later."""
    endings = {}
    gradients = [t for t in found.form.outputs if t.shape]
    for gradient, parameter, factor in zip(gradients, parameters, found.factors, strict=True):
        if not step and factor is ZERO:
            continue
        maker = next(s for s in (*split.loop, *split.after) if s.target.tensor is gradient)
        inside = maker in split.loop and is_product(maker)
        if inside and step:
            later = [*split.loop[split.loop.index(maker) + 1 :], *split.after]
            inside = bool(later) and all(parameter not in reads(s) for s in later)
        elif inside:
            inside = _weights(parameter.shape, known) > SMALL_LAYER  # where it is small, its loops are unrolled
        endings[gradient] = Ending(parameter, factor, step, inside)
    return endings


class KernelPrinter:
    """The lines of one function, statement by statement; `rows` is the axis that is worked on in blocks, if any."""

    def __init__(self, name: str, form: Form, rows: Symbol | None, known: Mapping[Symbol, int], single: bool) -> None:
        self.name, self.form, self.rows, self.known = name, form, rows, known
        self.names = names_of(form)
        self.c = CWriter(self.names, single, {})
        self.work: list[Tensor] = []
        self.sums: frozenset[Tensor] = frozenset()  # what is added up over the blocks
        self.endings: dict[Tensor, Ending] = {}  # by gradient
        self.lines: list[str] = []
        self.aparts: dict[Tensor, str] = {}

    def run(self, split: Split) -> CKernel:
        """The function whose statements are split like this."""
        assert self.rows is not None, "blocks are of rows"
        before, loop, after, sums = split.before, split.loop, split.after, split.sums
        late = set(sums) | {s.target.tensor for s in (*loop, *after)}
        starts, self.c.into = folded(self.form, sums, late)
        moved = {s.target.tensor for s in starts}
        self.sums = sums
        self._zero([s for s in loop if s.target.tensor in sums])
        self.tasks([*before, *starts], "    ")
        self.lines += [
            f"    for (long start = 0; start < {self.names[self.rows]}; start += block) {{",
            f"        const long rest = {self.names[self.rows]} - start, count = rest < block ? rest : block;",
        ]
        tall = [t for t in self.form.inputs if t.shape and t.shape[0] is self.rows]
        for t in tall:
            stride = " * ".join(["start", *(self.c.integer(s) for s in t.shape[1:])])
            self.lines.append(f"        const real *restrict {self.names[t]} = {self.names[t]}_all + {stride};")
        self.c.rows = self.rows
        self.tasks(loop, "        ")
        self.c.rows = None
        self.lines.append("    }")
        self.tasks([s for s in after if s.target.tensor not in moved], "    ")
        self._plain_endings()
        return CKernel(self._function(tall), tuple(self.work))

    def _plain_endings(self) -> None:
        """What no product has done, after the rows."""
        for gradient, ending in self.endings.items():
            if ending.inside:
                continue
            g, p = self.names[gradient], self.names[ending.parameter]
            end = f"{g}[p] += {self.c.value(ending.factor)} * {p}[p];"
            if ending.step:
                end = f"{p}[p] = {self._kept(ending)} * {p}[p] - rate * {g}[p];"
            count = " * ".join(map(self.c.integer, gradient.shape))
            self.lines.append(f"    for (long p = 0; p < {count}; p++) {end}")

    def _kept(self, ending: Ending) -> str:
        """What a parameter is multiplied by in a step."""
        return self.c.number(1.0) if ending.factor is ZERO else f"(1 - rate * {self.c.value(ending.factor)})"

    def _zero(self, sums: list[Statement]) -> None:
        for statement in sums:
            tensor = statement.target.tensor
            if not tensor.shape:
                self.lines.append(f"    real {self.names[tensor]} = 0;")
            elif tensor not in self.c.into and not self._ends_inside(tensor):
                count = " * ".join(self.c.integer(s) for s in tensor.shape)
                self._array(tensor)
                self.lines.append(f"    memset({self.names[tensor]}, 0, sizeof(real) * {count});")

    def _ends_inside(self, tensor: Tensor) -> bool:
        return tensor in self.endings and self.endings[tensor].inside

    def _array(self, tensor: Tensor) -> None:
        if tensor not in self.form.outputs and tensor not in self.work and tensor not in self.c.into:
            self.work.append(tensor)

    def tasks(self, statements: list[Statement] | tuple[Statement, ...], indent: str) -> None:
        """Append the lines of these statements."""
        tasks = nests(statements)
        readers: dict[Tensor, set[int]] = {}
        inner = set(map(id, statements))
        for position, task in enumerate(tasks):
            for s in task.statements if isinstance(task, Nest) else [task]:
                for t in reads(s):
                    readers.setdefault(t, set()).add(position)
        outside = {t for s in self.form.statements if id(s) not in inner for t in reads(s)} | set(self.form.outputs)
        outside |= {t for loop in self.form.loops for t in loop.axes}  # other rounds read it
        for position, task in enumerate(tasks):
            if isinstance(task, Join):
                self._join(task, indent)
            elif isinstance(task, Nest):
                here = {s.target.tensor for s in task.statements if isinstance(s, (Map, Gather))}
                here -= {
                    s.target.tensor for t in tasks if isinstance(t, Nest) for s in t.statements if isinstance(s, Marked)
                }
                self.c.local = {t for t in here if readers.get(t, set()) <= {position} and t not in outside and t.shape}
                self._nest(task, indent)
            else:
                self._product(task, indent)
        self.c.local = set()

    def _nest(self, nest: Nest, indent: str) -> None:
        for s in nest.statements:
            said = comment_of(self.form, s)
            self.lines += comment(said, indent, "//") if said else []
            self._prepare(s, indent)
        if self._is_square(nest):
            (s,) = nest.statements
            count = " * ".join(self.c.extent(i.size) for i in nest.order)
            self.lines.append(f"{indent}{self.c.entry(s.target)} += squares({count}, {self.names[reads(s)[0]]});")
            return
        if self._is_row_extreme(nest):
            (s,) = nest.statements
            assert isinstance(s, Reduce), "an extremum is a reduction"
            operand = Entry(s.operand.tensor, tuple(ZERO if i is nest.order[-1] else i for i in s.operand.indices))
            function = {"max": "largest", "min": "smallest"}[s.kind]
            call = f"{function}({self.c.extent(nest.order[-1].size)}, &{self.c.entry(operand)})"
            self._over(nest.order[:-1], [f"{self.c.entry(s.target)} = {call};"], indent)
            return
        inner = [self._inner(s) for s in nest.statements]
        self._over(nest.order, inner, indent)
        for s in nest.statements:
            if self._is_summed_apart(s):
                self.lines.append(f"{indent}{self.c.entry(s.target)} = {self._apart(s)};")

    def _is_summed_apart(self, s: Statement) -> bool:
        """True if one place of an array is a sum over all axes of its nest: a variable of its own is faster."""
        plain = isinstance(s, (Contract, Reduce)) and s.target.tensor.kind == "real"
        return plain and bool(s.target.indices) and not axes(s.target) and s.target.tensor not in self.sums

    def _apart(self, s: Statement) -> str:
        """The variable that holds such a sum."""
        return self.aparts.setdefault(s.target.tensor, self.names.numbered("sum"))

    def _is_row_extreme(self, nest: Nest) -> bool:
        """True for the largest or the smallest entry of rows as they lie in memory."""
        match nest.statements:
            case [Reduce(target, "max" | "min", operand, (over,))]:
                last = operand.indices[-1] is over and over is nest.order[-1] and over not in target.indices
                return last and operand.tensor not in self.c.local and operand.tensor.kind == "real"
        return False

    def _over(self, order: Sequence[Index], inner: Sequence[str], indent: str) -> None:
        """Loops over these axes, and what the innermost does."""
        for depth, index in enumerate(order):
            v = self.c.index(index)
            pad = indent + "    " * depth
            self.lines.append(f"{pad}for (long {v} = 0; {v} < {self.c.extent(index.size)}; {v}++) {{")
        self.lines += [indent + "    " * len(order) + line for line in inner]
        self.lines += [indent + "    " * depth + "}" for depth in reversed(range(len(order)))]

    def _join(self, s: Join, indent: str) -> None:
        said = comment_of(self.form, s)
        self.lines += comment(said, indent, "//") if said else []
        self._array(s.target.tensor)
        order = axes(s.target)
        start: Expr = ZERO
        place = order.index(s.along)
        for part in s.parts:
            own = next(i for i in axes(part) if i not in order or i is s.along)
            inside = [*order[:place], own, *order[place + 1 :]]
            there = [add(own, start) if i is s.along else i for i in s.target.indices]
            line = f"{self.c.entry(Entry(s.target.tensor, tuple(there)))} = {self.c.entry(part)};"
            self._over(inside, [line], indent)
            start = add(start, own.size)

    def _is_square(self, nest: Nest) -> bool:
        """True if the nest is the sum of squares of one large array, as it lies in memory."""
        match nest.statements:
            case [Contract(Entry(indices=()), left, right, _)] if left is right and left.indices == nest.order:
                large = self.rows is None or _weights(left.tensor.shape, self.known) > SMALL_LAYER
                return large and left.tensor not in self.c.into and left.tensor not in self.c.local
        return False

    def _prepare(self, s: Statement, indent: str) -> None:
        """Make room for a target, and set what is added up to its starting value."""
        tensor = s.target.tensor
        if tensor.shape:
            if tensor not in self.c.local:
                self._array(tensor)
        elif tensor not in self.sums and not isinstance(s, Map | Gather):
            self.lines.append(f"{indent}{type_of(tensor)} {self.names[tensor]} = {_start(s)};")
        if isinstance(s, Map | Gather | Marked) or tensor in self.sums or not tensor.shape:
            return
        if self._is_summed_apart(s):
            self.lines.append(f"{indent}real {self._apart(s)} = {_start(s)};")
            return
        if len(axes(s.target)) < len(tensor.shape):  # one step of a loop
            self._over(axes(s.target), [f"{self.c.entry(s.target)} = {_start(s)};"], indent)
            return
        count = " * ".join(self.c.extent(size) for size in tensor.shape)
        self.lines.append(f"{indent}for (long p = 0; p < {count}; p++) {self.names[tensor]}[p] = {_start(s)};")

    def _inner(self, s: Statement) -> str:
        tensor = s.target.tensor
        is_local = tensor in self.c.local or (isinstance(s, Map | Gather) and not tensor.shape)
        fixed = "" if tensor in self.c.into.values() else "const "  # to a starting value the rows' sum is added
        left = f"{fixed}{type_of(tensor)} {self.names[tensor]}" if is_local else self.c.entry(s.target)
        if self._is_summed_apart(s):
            left = self._apart(s)
        match s:
            case Map(_, value):
                return f"{left} = {self.c.value(value)};"
            case Marked(target, _, at, place, extra, instead):
                there = Entry(tensor, tuple(place if i is at else i for i in target.indices))
                return f"{self.c.entry(there)} {'=' if instead else '+='} {self.c.value(extra)};"
            case Gather(_, source, positions, guarded):
                there = Entry(source, positions)
                return f"{left} = {self.c.guarded(there) if guarded else self.c.entry(there)};"
            case Contract(_, a, b, _):
                return f"{left} += {self.c.entry(a)} * {self.c.entry(b)};"
            case Reduce(_, "sum", operand, _):
                return f"{left} += {self.c.entry(operand)};"
            case Reduce(_, "max" | "min" as kind, operand, _):
                sign = ">" if kind == "max" else "<"
                new = self.c.entry(operand)
                return f"{left} = {new} {sign} {left} || {new} != {new} ? {new} : {left};"
            case Reduce(_, kind, operand, (over,)):
                sign = ">" if kind == "argmax" else "<"
                new = self.c.entry(operand)
                best = self.c.entry(Entry(operand.tensor, tuple(s.target if i is over else i for i in operand.indices)))
                first_nan = f"({new} != {new} && {best} == {best})"
                return f"{left} = {new} {sign} {best} || {first_nan} ? {self.c.index(over)} : {left};"
        raise UnsupportedError("an extremum over several axes has no C form")

    def _product(self, s: Contract, indent: str) -> None:
        tensor = self.c.into.get(s.target.tensor, s.target.tensor)
        self._array(tensor)
        found = as_product(s)
        assert found is not None, "a product is one of matrices"
        target, first, second = found
        ta, tb = int(first.above != target.above), int(second.across != target.across)
        over = first.above if ta else first.across
        groups = (target.above, target.across, over)
        sizes = [" * ".join(self.c.extent(i.size) for i in group) for group in groups]
        lead = [" * ".join(map(self.c.extent, side.lead)) for side in (first, second)]
        goal, alpha, beta = self._at(Entry(tensor, target.offset.indices)), "1", str(int(s.target.tensor in self.sums))
        before = goal
        if self._ends_inside(tensor):
            ending = self.endings[tensor]
            parameter = self.names[ending.parameter]
            if ending.step:
                before = goal = parameter
                alpha, beta = "-rate", self._kept(ending)
            else:
                before, beta = f"start ? {goal} : {parameter}", f"start ? 1 : {self.c.value(ending.factor)}"
        said = self.form.comments.get(tensor) or comment_of(self.form, s)
        self.lines += comment(said, indent, "//") if said else []
        a, b = self._at(first.offset), self._at(second.offset)
        known = [1 if i.size is self.rows else size_value(i.size, self.known) for group in groups for i in group]
        is_small = prod(SMALL_LAYER + 1 if k is None else k for k in known) <= SMALL_LAYER
        name = "small_product" if is_small else "product"
        operands = f"{a}, {lead[0]}, {b}, {lead[1]}"
        call = f"{name}({ta}, {tb}, {', '.join(sizes)}, {operands}, {alpha}, {beta}, {before}, {goal});"
        self.lines.append(indent + call)

    def _at(self, offset: Entry) -> str:
        """The address of an entry."""
        plain = all(i is ZERO for i in offset.indices)
        return self.names[offset.tensor] if plain else f"&{self.c.entry(offset)}"

    def _function(self, tall: list[Tensor]) -> str:
        n, rows = self.names, self.rows
        assert rows is not None, "blocks are of rows"
        changed = {ending.parameter for ending in self.endings.values() if ending.step}
        kinds = ["real" if t in changed else "const real" for t in self.form.inputs]
        slots = [
            (f"{kind} *restrict {n[t]}{'_all' if t in tall else ''}", "p")
            for kind, t in zip(kinds, self.form.inputs, strict=True)
        ]
        slots += [(f"real *restrict {n[t]}", "p") for t in self.form.outputs if t.shape]
        slots += [(f"real *restrict {n[t]}", "p") for t in self.work]
        slots += [(f"const long {n[rows]}", "n"), ("const long block", "n")]
        slots += [(f"const real {n[p]}", "v") for p in self.form.parameters]
        slots += [("const real rate", "v")] if changed else []
        head = [f"    {text} = slots[{k}].{member};" for k, (text, member) in enumerate(slots)]
        scalar = next((n[t] for t in self.form.outputs if not t.shape), "0")
        used = [x for x in head if _is_used(x, self.lines)]
        return (
            "\n".join([f"double {self.name}(const slot *slots) {{", *used, *self.lines, f"    return {scalar};", "}"])
            + "\n"
        )


def type_of(tensor: Tensor) -> str:
    """The C type of a tensor's entries."""
    return "long" if tensor.kind == "integer" else "real"


def _start(s: Statement) -> str:
    """What a reduction starts from."""
    return {"max": "-BIGGEST", "min": "BIGGEST"}.get(s.kind, "0") if isinstance(s, Reduce) else "0"


def _is_used(declaration: str, lines: list[str]) -> bool:
    name = declaration.split(" = ")[0].split()[-1].lstrip("*")
    name = name.removeprefix("restrict")
    return any(name in line for line in lines if not line.lstrip().startswith("//"))
