"""Any Program in C: all statements one after the other, products of matrices by BLAS, everything else in fused loops.

Sizes are arguments, so one library serves all of them. Main name: `program_function`.
"""

from __future__ import annotations

import ctypes
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from symbackprop.codegen.arguments import Array, Shapes, Signature, size_value
from symbackprop.codegen.c.arrays import WHERE, aligned, has_fields
from symbackprop.codegen.c.build import build
from symbackprop.codegen.c.network import Asking, Call, asking_for, use_blas
from symbackprop.codegen.c.prelude import head
from symbackprop.codegen.c.printer import KernelPrinter, type_of
from symbackprop.codegen.c.rows import rowwise
from symbackprop.codegen.c.turned import turned
from symbackprop.codegen.lowering.form import Form, Gather, Loop, OfMatrix
from symbackprop.codegen.lowering.logistic import with_one_exponential
from symbackprop.codegen.lowering.marked import in_place, marked
from symbackprop.codegen.lowering.tidy import tidied
from symbackprop.codegen.lowering.windows import as_it_lies, windowed
from symbackprop.codegen.plain_call import QuickProgram, number_names, quick_program, variables
from symbackprop.codegen.results import Results
from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import Entry, Expr, Symbol, Tensor, entries
from symbackprop.expression.program import symbols

HELD = """
// The same for arrays as Python holds them: the first slots say where, and then come numbers.
void {name}_held(slot *slots, const slot *held, long arrays, long count) {{
    for (long k = 0; k < arrays; k++) slots[k].p = DATA;
    for (long k = arrays; k < count; k++) slots[k] = held[k];
    {name}(slots);
}}
double {name}_kernel(const slot *slots) {{ {name}(slots); return 0; }}
"""
SPARE = 2  # workspaces that are kept for the next calls


def program_function(name: str, form: Form, signature: Signature) -> tuple[str, Callable[..., Any], Callable[..., Any]]:
    """(source, the function of inputs and hyper-parameters in order, the same).

    Raises:
        UnsupportedError: a statement has no C form, or there is no compiler.
    """
    function = CProgram(name, form, signature)
    return function.source, function, function


class _Ready(NamedTuple):
    """A call for arrays of certain shapes, but for where they are: its slots, and the workspace that some point to.

    The first slots are those of arrays, then come those of numbers: both may be others at each call. `held` is where
    they are said. `asked` is the address of `asking`; `bounds` are those of labels.
    """

    key: tuple[Any, ...]
    held: bytearray
    pack: Callable[..., None]
    call: Callable[[], Any]
    results: Results
    asking: Asking
    asked: int
    pack_numbers: Callable[..., None]
    bounds: list[int]
    kept: tuple[Any, ...]


class CProgram:
    """A compiled function of arrays and numbers that returns new arrays, as a printed NumPy function does."""

    def __init__(self, name: str, form: Form, signature: Signature) -> None:
        whole = windowed(with_one_exponential(marked(form, signature.assumptions)), as_it_lies)
        form = rowwise(turned(in_place(tidied(whole))))
        known = {a.tensor for a in signature.assumptions if a.kind == "labels"}
        for statement in form.statements:
            if isinstance(statement, OfMatrix):
                raise UnsupportedError(f"the {statement.kind} of a matrix has no C form",
                                       help='take the code for NumPy: backend="numpy"')  # fmt: skip
            if isinstance(statement, Gather) and not statement.guarded:
                _check_positions(statement.positions, known)
        self.form, self.signature, self.count = form, signature, len(form.inputs)
        self.made = list(dict.fromkeys(form.outputs))
        self.given = {t: form.inputs.index(t) for t in form.outputs if t in form.inputs}
        single = signature.dtype == np.float32
        printer = _Printer(name, form, None, {}, single)
        self.sizes = list(
            dict.fromkeys(s for t in (*form.inputs, *printer.defined) for size in t.shape for s in symbols(size))
        )
        self.telling = [k for k, p in enumerate(form.parameters) if p in self.sizes]  # numbers that are sizes
        text = printer.program(self.sizes)
        self.work = printer.work
        self.spare: deque[_Ready] = deque(maxlen=SPARE)
        self.source = "\n".join([head(single, {}), text])
        library = build(self.source)
        use_blas(library, single)
        self._call = getattr(library, f"{name}_held")
        self._call.restype, self._call.argtypes = None, [ctypes.c_void_p] * 2 + [ctypes.c_long] * 2
        self.names = [t.name for t in self.made]
        self.plain = len(self.made) == len(form.outputs) and not self.given
        integers = np.dtype(np.int64)
        self.kinds = [integers if t.kind == "integer" else signature.dtype for t in signature.inputs]
        self.labels = [a for a in signature.assumptions if a.kind == "labels" and a.tensor in signature.inputs]
        self._kernel = ctypes.cast(getattr(library, f"{name}_kernel"), ctypes.c_void_p).value
        library.on_fitting.restype, library.on_fitting.argtypes = ctypes.c_double, [ctypes.c_void_p] * 3
        self.quick = self._quick(library.on_fitting) if self.plain and not self.telling and has_fields() else None

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

    def _quick(self, on_fitting: Callable[..., float]) -> QuickProgram:
        """A function of arguments at which nobody has looked, which C does: the outputs by name. It gives None, and
        does nothing, if they are not like those of the call before, or labels lie outside.
        """
        inputs, hyper = [t.name for t in self.signature.inputs], self.signature.parameters
        arrays, numbers = variables(inputs), number_names(hyper)
        made = [f"m{k}" for k in range(len(self.made))]
        pairs = zip(self.names, made, strict=True)
        places = [self.signature.inputs.index(a.tensor) for a in self.labels]
        lines = [
            *(f"if type({arrays[k]}) is not Array or {arrays[k]}.dtype is not INTEGERS or not {arrays[k]}.size:\n"
              "        return None" for k in places),
            "try:",
            "    ready = spare.pop()",  # taken out while it is in use, so threads never share one
            "except IndexError:",
            "    return None",
        ]  # fmt: skip
        for position, (k, assumption) in enumerate(zip(places, self.labels, strict=True)):
            if assumption.size is not None:
                lines += [
                    f"flat = {arrays[k]}.ravel().view(NATURALS)",  # in which what is below 0 is very large
                    f"if flat[flat.argmax()] >= ready.bounds[{position}]:",
                    "    spare.append(ready)",
                    "    return None",
                ]
        if numbers:
            place = 8 * (len(inputs) + len(made))  # behind all arrays
            lines.append(f"ready.pack_numbers(ready.held, {place}, {', '.join(numbers)})")
        lines += [
            f"out = {', '.join(made)}, = ready.results.arrays(())",
            "on_fitting(ready.asked, id(given), id((out := (*out,))))",
            "unfit = ready.asking.unfit",
            "spare.append(ready)",
            f"return None if unfit else {{{', '.join(f'{name!r}: {m}' for name, m in pairs)}}}",
        ]
        known = {"Array": np.ndarray, "INTEGERS": np.dtype(np.int64), "NATURALS": np.dtype(np.uint64)}
        return quick_program(inputs, hyper, lines, {**known, "spare": self.spare, "on_fitting": on_fitting})

    def _run(
        self, shapes: Shapes, inputs: Sequence[Array], numbers: Sequence[float], places: Mapping[str, Array]
    ) -> list[Array]:
        key = (shapes, *[numbers[k] for k in self.telling]) if self.telling else shapes
        ready = self._taken(key) or self._prepared(key, inputs, numbers)
        made = ready.results.arrays(places)
        ready.pack(ready.held, 0, *map(WHERE, inputs), *map(WHERE, made), *numbers)
        ready.call()
        self.spare.append(ready)
        return made

    def _taken(self, key: tuple[Any, ...]) -> _Ready | None:
        """What is ready for these sizes, and in no other call's hands; what is ready for others goes."""
        try:
            ready = self.spare.pop()  # taken out while it is in use, so threads never share one
        except IndexError:
            return None
        return ready if ready.key == key else None

    def _prepared(self, key: tuple[Any, ...], inputs: Sequence[Array], numbers: Sequence[float]) -> _Ready:
        sizes = self._sizes(inputs, numbers)
        outputs = [self._empty(t, sizes) for t in self.made]
        work = [aligned(a.shape, a.dtype) for a in (self._empty(t, sizes) for t in self.work)]
        arrays = len(inputs) + len(outputs)
        first = arrays + len(numbers)
        slots = np.zeros(first + len(work) + len(self.sizes), np.int64)
        slots[first : first + len(work)] = [a.ctypes.data for a in work]
        slots[first + len(work) :] = [sizes[s] for s in self.sizes]
        held = bytearray(8 * first)
        view = (ctypes.c_char * len(held)).from_buffer(held)
        told = Call(self._kernel, slots.ctypes.data, ctypes.addressof(view), arrays, first, len(numbers))
        asking, said = asking_for(told, inputs, self.kinds)
        bounds = [size_value(a.size, sizes) or 0 for a in self.labels if a.size is not None]
        call = partial(self._call, slots.ctypes.data, ctypes.addressof(view), arrays, first)
        pack = struct.Struct(f"={arrays}q{len(numbers)}d").pack_into
        results = Results([(name, a.shape, a.dtype) for name, a in zip(self.names, outputs, strict=True)])
        pack_numbers = struct.Struct(f"={len(numbers)}d").pack_into
        held_on = (slots, work, view, said)
        return _Ready(key, held, pack, call, results, asking, ctypes.addressof(asking), pack_numbers, bounds, held_on)

    def _sizes(self, inputs: Sequence[Array], numbers: Sequence[float]) -> dict[Symbol, int]:
        """The size of every axis; one that no input tells is a hyper-parameter."""
        sizes = self.signature.sizes(inputs)
        named = {p: int(n) for p, n in zip(self.form.parameters, numbers, strict=True) if p in self.sizes}
        return sizes | named

    def _empty(self, tensor: Tensor, sizes: Mapping[Symbol, int]) -> Array:
        shape = [size_value(s, sizes) for s in tensor.shape]
        dtype = np.dtype(np.int64) if tensor.kind == "integer" else self.signature.dtype
        return np.empty([0 if s is None else s for s in shape], dtype)


def _check_positions(positions: tuple[Expr, ...], known: set[Tensor]) -> None:
    """C looks at whatever it is told to, so a position must be known to lie inside: an index, or a checked label."""
    for position in positions:
        inside = list(entries(position))
        if inside and not (isinstance(position, Entry) and position.tensor in known):
            names = ", ".join(dict.fromkeys(e.tensor.name for e in inside))
            raise UnsupportedError(f"a look-up by {names} has no C form: it might lie outside")


class _Printer(KernelPrinter):
    """The function `name(slots)`; slots: inputs, outputs, hyper-parameters, workspace, sizes."""

    @property
    def defined(self) -> list[Tensor]:
        return [s.target.tensor for s in self.form.statements]

    def program(self, sizes: list[Symbol]) -> str:
        """Its text."""
        form, n = self.form, self.names
        done = 0
        for loop in form.loops:
            self.tasks(form.statements[done : loop.first], "    ")
            self._loop(loop)
            done = loop.last
        self.tasks(form.statements[done:], "    ")
        places: list[tuple[str, str]] = []
        for t in form.inputs:
            kind = f"const {type_of(t)}"
            places.append((f"{kind} *restrict {n[t]}", "p") if t.shape else (f"{kind} {n[t]}", "*p"))
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
        taken, given = list[str](), list[str]()
        for k, (declaration, member) in enumerate(places):
            if not declaration:
                continue  # a size, which has a slot of its own
            kind = declaration.removeprefix("const ").split()[0]
            cast = f"({kind} *)" if member.endswith("p") else ""
            taken.append(declaration)
            given.append(f"{'*' * (member == '*p')}{cast}slots[{k}].{member.lstrip('*')}")
        # compilers believe what is said of arguments, not of variables: that no two arrays share memory
        inner = f"static __attribute__((noinline)) void {self.name}_with({', '.join(taken)}) {{"
        call = f"    {self.name}_with({', '.join(given)});"
        outer = [f"void {self.name}(const slot *slots) {{", call, "}"]
        return "\n".join([inner, *self.lines, *last, "}", *outer]) + "\n" + HELD.format(name=self.name)

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
