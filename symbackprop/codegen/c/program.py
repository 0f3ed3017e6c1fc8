"""Any Program in C: all statements one after the other, products of matrices by BLAS, everything else in fused loops.

Sizes are arguments, so one library serves all of them. Main name: `program_function`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symbackprop.codegen.arguments import Array, Shapes, Signature, size_value
from symbackprop.codegen.c.arrays import WHERE, aligned
from symbackprop.codegen.c.build import build
from symbackprop.codegen.c.calls import Idle, Ready, kernel_of, plain_call, ready_for
from symbackprop.codegen.c.network import use_blas
from symbackprop.codegen.c.prelude import head
from symbackprop.codegen.c.printer import KernelPrinter, type_of
from symbackprop.codegen.c.rows import rowwise
from symbackprop.codegen.c.turned import turned
from symbackprop.codegen.lowering.form import Form, Gather, Loop, OfMatrix
from symbackprop.codegen.lowering.logistic import with_one_exponential
from symbackprop.codegen.lowering.marked import in_place, marked
from symbackprop.codegen.lowering.tidy import tidied
from symbackprop.codegen.lowering.windows import as_it_lies, windowed
from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import Entry, Expr, Symbol, Tensor, entries
from symbackprop.expression.program import Assumption, symbols

NO_END = 1 << 63  # of labels of which it is only known that none is below 0
SPARE = 2  # workspaces that are kept for the next calls


def program_function(name: str, form: Form, signature: Signature) -> tuple[str, Callable[..., Any], Callable[..., Any]]:
    """(source, the function of inputs and hyper-parameters in order, the same).

    Raises:
        UnsupportedError: a statement has no C form, or there is no compiler.
    """
    function = CProgram(name, form, signature)
    return function.source, function, function


class CProgram:
    """A compiled function of arrays and numbers that returns new arrays, as a printed NumPy function does."""

    def __init__(self, name: str, form: Form, signature: Signature) -> None:
        whole = windowed(with_one_exponential(marked(form, signature.assumptions)), as_it_lies)
        form = rowwise(turned(in_place(tidied(whole))))
        known = {(a.tensor, a.size) for a in signature.assumptions if a.kind == "labels"}
        for statement in form.statements:
            if isinstance(statement, OfMatrix):
                raise UnsupportedError(f"the {statement.kind} of a matrix has no C form",
                                       help='take the code for NumPy: backend="numpy"')  # fmt: skip
            if isinstance(statement, Gather) and not statement.guarded:
                _check_positions(statement, known)
        self.form, self.signature, self.count = form, signature, len(form.inputs)
        self.made = list(dict.fromkeys(form.outputs))
        self.given = {t: form.inputs.index(t) for t in form.outputs if t in form.inputs}
        single = signature.dtype == np.float32
        self.labels = [a for a in signature.assumptions if a.kind == "labels"]
        printer = _Printer(name, form, None, {}, single)
        self.sizes = list(
            dict.fromkeys(s for t in (*form.inputs, *printer.defined) for size in t.shape for s in symbols(size))
        )
        self.telling = [k for k, p in enumerate(form.parameters) if p in self.sizes]  # numbers that are sizes
        text = printer.program(self.sizes, self.labels)
        self.work = printer.work
        self.idle = Idle(SPARE)
        self.source = "\n".join([head(single, {}), text])
        library = build(self.source)
        use_blas(library, single)
        self._kernel = kernel_of(library, name)
        self.names = [t.name for t in self.made]
        self.plain = len(self.made) == len(form.outputs) and not self.given
        self.quick = self._quick() if self.plain else None

    def __call__(self, *arguments: Any) -> Any:
        """The outputs; a single one as it is."""
        inputs, numbers = arguments[: self.count], arguments[self.count :]
        made = self._run(tuple([a.shape for a in inputs]), inputs, numbers, {})
        found = dict(zip(self.made, made, strict=True))
        found |= {t: inputs[k].copy() for t, k in self.given.items()}
        results = tuple([found[t] for t in self.form.outputs])
        return results if len(results) > 1 else results[0]

    def run(
        self, shapes: Shapes, arrays: Sequence[Array], numbers: Sequence[float], places: Mapping[str, Array]
    ) -> dict[str, Array]:
        """The outputs by name, in arrays of their own or in the places that are given."""
        if self.plain:
            return dict(zip(self.names, self._run(shapes, arrays, numbers, places), strict=True))
        results = self(*arrays, *numbers)
        listed = results if len(self.form.outputs) > 1 else (results,)
        return {t.name: r for t, r in zip(self.form.outputs, listed, strict=True)}

    def _quick(self) -> Callable[..., Any] | None:
        """A function of arguments by name at which nobody has looked: the outputs by name. It gives None, and does
        nothing, if they are not like those of a call before, or labels lie outside.
        """
        inputs = [(t.name, self._type(t)) for t in self.signature.inputs]
        made = [(t.name, self._type(t)) for t in self.made]
        return plain_call(self.idle, [], inputs, self.signature.parameters, made, cost=False)

    def _run(
        self, shapes: Shapes, inputs: Sequence[Array], numbers: Sequence[float], places: Mapping[str, Array]
    ) -> list[Array]:
        key = (shapes, *[numbers[k] for k in self.telling])
        ready = self.idle.taken(key) or self._prepared(key, inputs, numbers)
        made = ready.results.arrays(places)
        ready.pack(ready.held, 0, *map(WHERE, inputs), *map(WHERE, made), *numbers)
        ready.call()
        self.idle.keep(ready)
        return made

    def _prepared(self, key: tuple[Any, ...], inputs: Sequence[Array], numbers: Sequence[float]) -> Ready:
        sizes = self._sizes(inputs, numbers)
        outputs = [(t.name, self._shape(t, sizes), self._type(t)) for t in self.made]
        work = [aligned(self._shape(t, sizes), self._type(t)) for t in self.work]
        place = len(inputs) + len(outputs)
        first = place + len(numbers)
        slots = np.zeros(first + len(work) + len(self.sizes), np.int64)
        slots[first : first + len(work)] = [a.ctypes.data for a in work]
        slots[first + len(work) :] = [sizes[s] for s in self.sizes]
        fixed = [n if k in self.telling else np.nan for k, n in enumerate(numbers)]
        bounds = [self._bound(t, sizes) for t in self.signature.inputs]
        where = slots.ctypes.data, place
        return ready_for(key, self._kernel, where, inputs, outputs, fixed, bounds, (slots, work))

    def _sizes(self, inputs: Sequence[Array], numbers: Sequence[float]) -> dict[Symbol, int]:
        """The size of every axis; one that no input tells is a hyper-parameter."""
        sizes = self.signature.sizes(inputs)
        named = {p: int(n) for p, n in zip(self.form.parameters, numbers, strict=True) if p in self.sizes}
        return sizes | named

    def _bound(self, tensor: Tensor, sizes: Mapping[Symbol, int]) -> int:
        """Below what the labels of an input lie; 0 if nothing is said."""
        ends = [None if a.size is None else size_value(a.size, sizes) for a in self.labels if a.tensor is tensor]
        return min((NO_END if end is None else end for end in ends), default=0)

    def _shape(self, tensor: Tensor, sizes: Mapping[Symbol, int]) -> tuple[int, ...]:
        return tuple(size_value(s, sizes) or 0 for s in tensor.shape)

    def _type(self, tensor: Tensor) -> np.dtype[Any]:
        return np.dtype(np.int64) if tensor.kind == "integer" else self.signature.dtype


def _check_positions(gather: Gather, known: set[tuple[Tensor, Expr | None]]) -> None:
    """C looks at whatever it is told to, so a position must be known to lie inside: an index, or a label of which it is
    checked that it is below the size of this axis."""
    for position, size in zip(gather.positions, gather.source.shape, strict=True):
        inside = list(entries(position))
        if inside and not (isinstance(position, Entry) and (position.tensor, size) in known):
            names = ", ".join(dict.fromkeys(e.tensor.name for e in inside))
            raise UnsupportedError(f"a look-up by {names} has no C form: it might lie outside")


class _Printer(KernelPrinter):
    """The function `name(slots)`; slots: inputs, outputs, hyper-parameters, workspace, sizes."""

    @property
    def defined(self) -> list[Tensor]:
        return [s.target.tensor for s in self.form.statements]

    def program(self, sizes: list[Symbol], labels: Sequence[Assumption]) -> str:
        """Its text."""
        form, n = self.form, self.names
        given = self._integers(sizes, labels)
        done = 0
        for loop in form.loops:
            self.tasks(form.statements[done : loop.first], "    ")
            self._loop(loop)
            done = loop.last
        self.tasks(form.statements[done:], "    ")
        places: list[tuple[str, str]] = []
        for t in form.inputs:
            kind, name = f"const {type_of(t)}", given.get(t, n[t])
            places.append((f"{kind} *restrict {name}", "p") if t.shape else (f"{kind} {name}", "*p"))
        outputs = list(dict.fromkeys(form.outputs))
        last = []
        for t in outputs:
            own = t.shape and t not in form.inputs
            name = n[t] if own else n.numbered("result")
            places.append((f"{type_of(t)} *restrict {name}", "p"))
            if not t.shape and t not in form.inputs:
                last.append(f"    {name}[0] = {n[t]};")
        places += [("" if p in sizes else f"const real {n[p]}", "v") for p in form.parameters]
        places += [(f"{type_of(t)} *restrict {n[t]}", "p") for t in self.work]
        places += [(f"const long {n[s]}", "n") for s in sizes]
        taken, handed = list[str](), list[str]()
        for k, (declaration, member) in enumerate(places):
            if not declaration:
                continue  # a size, which has a slot of its own
            kind = declaration.removeprefix("const ").split()[0]
            cast = f"({kind} *)" if member.endswith("p") else ""
            taken.append(declaration)
            handed.append(f"{'*' * (member == '*p')}{cast}slots[{k}].{member.lstrip('*')}")
        # compilers believe what is said of arguments, not of variables: that no two arrays share memory
        inner = f"static __attribute__((noinline)) void {self.name}_with({', '.join(taken)}) {{"
        call = f"    {self.name}_with({', '.join(handed)});"
        outer = [f"double {self.name}(const slot *slots) {{", call, "    return 0;", "}"]
        return "\n".join([inner, *self.lines, *last, "}", *outer]) + "\n"

    def _integers(self, sizes: list[Symbol], labels: Sequence[Assumption]) -> dict[Tensor, str]:
        """Copies of the integers that are given, under whose names what is given stands.

        Another thread may write there after labels were looked at, and what is looked up must lie inside all the same.
        """
        found = dict[Tensor, str]()
        for t in self.form.inputs:
            if t.kind != "integer":
                continue
            found[t] = name = self.names.numbered(f"{self.names[t]}_given")
            own, ends = self.names[t], [a.size for a in labels if a.tensor is t and a.size is not None]
            told = [self.c.integer(end) for end in ends if {*symbols(end)} <= {*sizes}]
            if t.shape:
                self.work.append(t)
                at = self.names.numbered("at")
                count = " * ".join(map(self.c.integer, t.shape))
                self.lines += [f"    for (long p = 0; p < {count}; p++) {{",
                               f"        const long {at} = ((const volatile long *){name})[p];",
                               f"        {own}[p] = {_inside(at, told)};", "    }"]  # fmt: skip
            else:
                self.lines.append(f"    const long {own} = {_inside(name, told)};")
        return found

    def _loop(self, loop: Loop) -> None:
        """The statements of a recurrence, step by step."""
        step, count = self.names[loop.step], self.c.integer(loop.count)
        inside = self.form.statements[loop.first : loop.last]
        before, self.sums = self.sums, loop.sums
        self._zero([s for s in inside if s.target.tensor in loop.sums])
        head = f"long {step} = {count} - 1; {step} >= 0; {step}--" if loop.backwards else ""
        self.lines.append(f"    for ({head or f'long {step} = 0; {step} < {count}; {step}++'}) {{")
        self.tasks(inside, "        ")
        self.lines.append("    }")
        self.sums = before


def _inside(name: str, ends: Sequence[str]) -> str:
    """The number of this name, or 0 where it is not from 0 to these ends."""
    inside = " && ".join(f"(unsigned long){name} < (unsigned long){end}" for end in ends)
    return f"{inside} ? {name} : 0" if inside else name
