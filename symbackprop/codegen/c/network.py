"""The C backend: a network's kernels compiled, and called through one array of slots.

Main names: `CNetwork`, `CRunner`.
"""

from __future__ import annotations

import ctypes
import signal
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cython_blas

from symbackprop.codegen.arguments import Array, size_value
from symbackprop.codegen.c.arrays import WHERE, aligned, has_fields
from symbackprop.codegen.c.build import build
from symbackprop.codegen.c.prelude import epoch, head
from symbackprop.codegen.c.printer import CKernel, print_kernel
from symbackprop.codegen.choice import c_block_rows
from symbackprop.codegen.flat_parameters import FlatLayout
from symbackprop.codegen.lowering.form import Form, soon
from symbackprop.codegen.numpy.plain import names_of
from symbackprop.codegen.plain_call import Quick, number_names, quick_call
from symbackprop.codegen.results import Results, is_kept
from symbackprop.codegen.runner import drop_oldest
from symbackprop.errors import UnsupportedError

KERNELS = ("cost_and_gradient", "gradient", "cost")


class Slot(ctypes.Union):
    """One argument of a kernel: a pointer, a size or a number."""

    _fields_ = (("p", ctypes.c_void_p), ("n", ctypes.c_long), ("v", ctypes.c_double))


class CNetwork:
    """The compiled kernels of a network.

    Attributes:
        source: the text of the C file.
        runners: those of `KERNELS`.
        plain_call: as of the runner for both; None if C cannot look at arrays.
    """

    def __init__(self, forms: Mapping[str, Form], layout: FlatLayout) -> None:
        if None in layout.shapes:
            raise UnsupportedError("the C backend needs the width of every layer", help="give the widths as numbers")
        single = layout.dtype == np.float32
        both = forms["cost_and_gradient"]
        inner = (layout.rows, layout.known, single, layout.parameters)
        kernels = {n: print_kernel(n, soon(forms[n]), *inner) for n in KERNELS}
        step = print_kernel("cost_and_step", both, *inner, step=True)
        names = names_of(both)
        sizes = {names[s]: w for s, w in layout.known.items() if hasattr(s, "kind")}
        before = len(layout.parameters) * 2 + 2 + len(step.work)
        assert layout.inputs is not None and layout.units is not None
        parts = [
            head(single, sizes),
            *(k.text for k in kernels.values()),
            step.text,
            epoch(layout.inputs, layout.units, before),
        ]
        self.source = "\n".join(parts)
        library = build(self.source)
        use_blas(library, single)
        library.on_held.restype = ctypes.c_double
        library.on_held.argtypes = [ctypes.c_void_p]
        library.on_fitting.restype, library.on_fitting.argtypes = ctypes.c_double, [ctypes.c_void_p] * 3
        self.runners = {n: CRunner(getattr(library, n), library, k, layout) for n, k in kernels.items()}
        self.plain_call = self.runners["cost_and_gradient"].plain_call() if has_fields() else None
        self._step = CRunner(library.cost_and_step, library, step, layout, in_blocks=False)
        self._epoch = library.epoch
        self._epoch.restype = ctypes.c_double
        self.layout = layout

    def epoch(
        self, theta: Array, X: Array, Y: Array, order: Array, batch: int, rate: float, numbers: Sequence[float]
    ) -> float:
        """One epoch of gradient descent in place; Ctrl-C stops it after the batch at hand."""
        layout = self.layout
        batch = min(batch, len(order))
        rows = [aligned((batch, a.shape[1]), layout.dtype) for a in (X, Y)]
        parameters = layout.views(theta)
        own = [aligned(p.shape, layout.dtype) for p in parameters]
        for array, parameter in zip(own, parameters, strict=True):
            np.copyto(array, parameter)
        gradient = [aligned(p.shape, layout.dtype) for p in own]
        slots, kept = self._step.slots([*rows, *own], [*numbers, rate], gradient, batch)
        stop = ctypes.c_int(0)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (X, Y, order)]
        sizes = [ctypes.c_long(len(order)), ctypes.c_long(batch)]
        call = partial(self._epoch, slots, *pointers, *sizes, ctypes.byref(stop))
        with _stopped_by_ctrl_c(stop):
            result: list[float] = []
            worker = threading.Thread(target=lambda: result.append(call()))
            worker.start()
            worker.join()
            for array, parameter in zip(own, parameters, strict=True):
                np.copyto(parameter, array)
            del kept
        return result[0]


@contextmanager
def _stopped_by_ctrl_c(stop: ctypes.c_int) -> Iterator[None]:
    """Ctrl-C sets `stop` instead of raising at once, which would free arrays that the C code is at work in.

    KeyboardInterrupt is raised at the end. Python looks at signals in its main thread alone, between two of its own
    instructions: so the C code must run beside it.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    caught: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        stop.value = 1
        caught.append((number, frame))

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if caught:
        before(*caught[0])


class Call(ctypes.Structure):
    """What C is told at each call: a kernel, its slots, and where it is said what goes into them."""

    _fields_ = (
        ("kernel", ctypes.c_void_p), ("slots", ctypes.c_void_p), ("held", ctypes.c_void_p),
        ("arrays", ctypes.c_long), ("count", ctypes.c_long), ("numbers", ctypes.c_long),
    )  # fmt: skip


class Asking(ctypes.Structure):
    """A call for arrays at which C looks itself.

    Args:
        kinds: of each of the first arrays, the inputs, the type of its numbers.
        shapes: how many axes it has and their sizes.
        unfit: whether one of them did not fit, at the last call.
    """

    _fields_ = (
        ("call", Call), ("type", ctypes.c_void_p), ("kinds", ctypes.c_void_p), ("shapes", ctypes.c_void_p),
        ("inputs", ctypes.c_long), ("unfit", ctypes.c_long),
    )  # fmt: skip


def asking_for(call: Call, arrays: Sequence[Array], kinds: Sequence[np.dtype[Any]]) -> tuple[Asking, Any]:
    """What C is asked for arrays like these, and what must live as long as it does."""
    said = [n for a in arrays for n in (a.ndim, *a.shape)]
    shapes, types = (ctypes.c_long * len(said))(*said), (ctypes.c_void_p * len(kinds))(*map(id, kinds))
    asking = Asking(call, id(np.ndarray), ctypes.addressof(types), ctypes.addressof(shapes), len(arrays))
    return asking, (shapes, types, kinds)


class _Ready(NamedTuple):
    """A call for a certain number of rows; `held` is where it is said for which arrays and with which numbers.

    Its address is that of an `Asking`, which begins with the `Call`.
    """

    held: bytearray
    pack: Callable[..., None]
    pack_numbers: Callable[..., None]
    numbers: list[float]
    call: int
    asking: Asking
    results: Results
    kept: list[Any]


class CRunner:
    """One kernel, called like a printed NumPy function, with the workspaces of recent batch sizes."""

    def __init__(
        self, function: Any, library: Any, kernel: CKernel, layout: FlatLayout, in_blocks: bool = True
    ) -> None:
        self.function, self.kernel, self.layout, self.in_blocks = function, kernel, layout, in_blocks
        function.restype = ctypes.c_double
        function.argtypes = [ctypes.c_void_p]
        self.on_held, self.on_fitting = library.on_held, library.on_fitting
        self.kernel_address = ctypes.cast(function, ctypes.c_void_p).value
        self.idle: dict[int, _Ready] = {}

    def __call__(self, arrays: Sequence[Array], numbers: Sequence[float], out: Sequence[Array]) -> float:
        """Run on these arrays."""
        rows = len(arrays[0])
        ready = self.idle.pop(rows, None) or self._prepared(arrays, numbers, out, rows)
        ready.pack(ready.held, 0, *map(WHERE, arrays), *map(WHERE, out), *numbers)
        ready.numbers[:] = numbers
        cost: float = self.on_held(ready.call)
        self.idle[rows] = ready
        drop_oldest(self.idle)
        return cost

    def plain_call(self) -> Quick:
        """A function of arguments at which nobody has looked: the cost, and the gradients by name.

        It gives None, and does nothing, if they are not like those of a call of the runner. It does no more than it
        must, since the work of a small network takes less time than the lines here.
        """
        layout = self.layout
        numbers = number_names(layout.hyper)
        made = [f"g{k}" for k in range(len(layout.named_shapes))]
        pairs = zip(layout.named_shapes, made, strict=True)
        place = 8 * (2 + 2 * len(made))  # of the numbers, behind all arrays
        large = any(is_kept(shape, layout.dtype) for _, shape in layout.named_shapes)
        lines = [
            "if type(X) is not Array or not X.ndim:",
            "    return None",
            "rows = len(X)",
            "ready = idle.pop(rows, None)",
            "if ready is None:",
            "    return None",
        ]
        if numbers:
            lines += [
                f"if ready.numbers != [{', '.join(numbers)}]:",
                f"    ready.pack_numbers(ready.held, {place}, {', '.join(numbers)})",
                f"    ready.numbers[:] = [{', '.join(numbers)}]",
            ]
        if large:
            lines.append(f"out = {', '.join(made)}, = ready.results.arrays(())")
            lines.append("out = (*out,)")
        else:
            lines += [f"{g} = empty({shape}, DTYPE)" for (_, shape), g in zip(layout.named_shapes, made, strict=True)]
            lines.append(f"out = {', '.join(made)},")
        lines += [
            "cost = on_fitting(ready.call, id(given), id(out))",
            "idle[rows] = ready",
            "if cost != cost and ready.asking.unfit:",
            "    return None",
            f"return cost, {{{', '.join(f'{name!r}: {g}' for (name, _), g in pairs)}}}",
        ]
        known = {"Array": np.ndarray, "idle": self.idle, "on_fitting": self.on_fitting, "empty": np.empty}
        return quick_call(layout.names, layout.hyper, lines, {**known, "DTYPE": layout.dtype})

    def _prepared(self, arrays: Sequence[Array], numbers: Sequence[float], out: Sequence[Array], rows: int) -> _Ready:
        slots, kept = self.slots(arrays, numbers, out, rows)
        count = len(arrays) + len(out)
        held = bytearray(8 * (count + len(numbers)))
        view = (ctypes.c_char * len(held)).from_buffer(held)
        call = Call(
            self.kernel_address, ctypes.addressof(slots), ctypes.addressof(view), count, len(slots), len(numbers)
        )
        asking, said = asking_for(call, arrays, [self.layout.dtype] * len(arrays))
        pack = struct.Struct(f"={count}q{len(numbers)}d").pack_into
        held_on: list[Any] = [*kept[count:], slots, view, said]
        pack_numbers = struct.Struct(f"={len(numbers)}d").pack_into
        results = Results([(name, shape, self.layout.dtype) for name, shape in self.layout.named_shapes])
        unknown = [np.nan] * len(numbers)
        return _Ready(held, pack, pack_numbers, unknown, ctypes.addressof(asking), asking, results, held_on)

    def slots(
        self, arrays: Sequence[Array], numbers: Sequence[float], out: Sequence[Array], rows: int
    ) -> tuple[Any, list[Array]]:
        """The kernel's arguments, and the arrays that must live as long as they do."""
        block = c_block_rows(rows, sum(a.size for a in arrays[2:])) if self.in_blocks else rows
        sizes = self.layout.known | {self.layout.rows: block}
        work = [aligned([size_value(s, sizes) or 0 for s in t.shape], self.layout.dtype) for t in self.kernel.work]
        everything = [*arrays, *out, *work]
        slots = (Slot * (len(everything) + 2 + len(numbers)))()
        for position, array in enumerate(everything):
            slots[position].p = array.ctypes.data
        slots[len(everything)].n, slots[len(everything) + 1].n = rows, block
        for position, number in enumerate(numbers, len(everything) + 2):
            slots[position].v = number
        return slots, everything

    def bound(
        self, arrays: Sequence[Array], numbers: Sequence[float], out: Sequence[Array], theta: Array, gradient: Array
    ) -> Callable[[], float]:
        """The kernel with its arguments, called without any further work."""
        slots, kept = self.slots(arrays, numbers, out, len(arrays[0]))
        call = Bound(self.function, ctypes.c_void_p(ctypes.addressof(slots)))
        call.kept = (slots, kept)
        return call


class Bound(partial):  # type: ignore[type-arg]
    """A call with its arguments, and what must live as long as it does: the slots hold bare addresses."""

    kept: tuple[Any, list[Array]]


@cache
def _address(name: str) -> int:
    """The address of a BLAS function in the library that SciPy has loaded."""
    get_name, get_pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsules: dict[str, Any] = dict(cython_blas.__pyx_capi__)
    capsule = capsules[name]
    address = get_pointer(capsule, get_name(capsule))
    assert isinstance(address, int), "SciPy's BLAS has an address"
    return address


def use_blas(library: ctypes.CDLL, single: bool) -> None:
    """Tell a library where SciPy's matrix product is."""
    library.use_blas.argtypes = [ctypes.c_void_p]
    library.use_blas.restype = None
    library.use_blas(_address("sgemm" if single else "dgemm"))
