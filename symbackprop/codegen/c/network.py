"""The C backend: a network's kernels compiled, and called through one array of slots.

Main names: `CNetwork`, `CRunner`.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from types import FrameType
from typing import Any

import numpy as np
from scipy.linalg import cython_blas

from symbackprop.codegen.arguments import Array, size_value
from symbackprop.codegen.c.arrays import WHERE, aligned
from symbackprop.codegen.c.build import build
from symbackprop.codegen.c.calls import Idle, Ready, kernel_of, plain_call, ready_for
from symbackprop.codegen.c.prelude import epoch, head
from symbackprop.codegen.c.printer import CKernel, print_kernel
from symbackprop.codegen.choice import c_block_rows
from symbackprop.codegen.flat_parameters import FlatLayout
from symbackprop.codegen.lowering.form import Form, soon
from symbackprop.codegen.numpy.plain import names_of
from symbackprop.codegen.runner import WORKSPACES
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
        self.runners = {n: CRunner(n, library, k, layout) for n, k in kernels.items()}
        self.plain_call = self.runners["cost_and_gradient"].plain_call()
        self._step = CRunner("cost_and_step", library, step, layout, in_blocks=False)
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


class CRunner:
    """One kernel, called like a printed NumPy function, with the workspaces of recent batch sizes."""

    def __init__(
        self, name: str, library: ctypes.CDLL, kernel: CKernel, layout: FlatLayout, in_blocks: bool = True
    ) -> None:
        self.kernel, self.layout, self.in_blocks = kernel, layout, in_blocks
        self.function = getattr(library, name)
        self.function.restype, self.function.argtypes = ctypes.c_double, [ctypes.c_void_p]
        self.found = kernel_of(library, name)
        self.idle = Idle(WORKSPACES)

    def __call__(self, arrays: Sequence[Array], numbers: Sequence[float], out: Sequence[Array]) -> float:
        """Run on these arrays."""
        rows = len(arrays[0])
        ready = self.idle.taken(rows) or self._prepared(arrays, numbers, out, rows)
        ready.pack(ready.held, 0, *map(WHERE, arrays), *map(WHERE, out), *numbers)
        cost = ready.call()
        self.idle.keep(ready)
        return cost

    def plain_call(self) -> Callable[..., Any] | None:
        """A function of the parameters, X, Y and the numbers at which nobody has looked: the cost, and the gradients by
        name. It gives None, and does nothing, if they are not like those of a call of the runner.
        """
        layout = self.layout
        parameters = [(name, layout.dtype) for name in layout.names]
        return plain_call(self.idle, [layout.dtype] * 2, parameters, layout.hyper, parameters, cost=True)

    def _prepared(self, arrays: Sequence[Array], numbers: Sequence[float], out: Sequence[Array], rows: int) -> Ready:
        slots, kept = self.slots(arrays, numbers, out, rows)
        names = self.layout.names if out else []
        outputs = [(name, a.shape, self.layout.dtype) for name, a in zip(names, out, strict=True)]
        where, work = (ctypes.addressof(slots), len(slots) - len(numbers)), kept[len(arrays) + len(out) :]
        anything, anywhere = [np.nan] * len(numbers), [0] * len(arrays)
        return ready_for(rows, self.found, where, arrays, outputs, anything, anywhere, (slots, work))

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
