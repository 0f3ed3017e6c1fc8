"""Printed functions with the workspaces of recent shapes.

Main names: `Runner` for a network's functions in the `out=` form, `Kept` for those of a traced program.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from symbackprop.codegen.arguments import Array, Shapes, Signature, size_value
from symbackprop.codegen.choice import block_rows, bound_form
from symbackprop.codegen.results import Results
from symbackprop.expression.build import Tensor

# The outputs by name; some are written to the places that the last argument gives by name.
Run = Callable[[Shapes, Sequence[Array], Sequence[float], Mapping[str, Array]], dict[str, Array]]

WORKSPACES = 8  # arrays of that many different shapes keep their buffers


def drop_oldest(kept: dict[Any, Any]) -> None:
    """Keep what belongs to a few shapes; another thread may be at it as well."""
    if len(kept) > WORKSPACES:
        for key in [*kept][:-WORKSPACES]:
            kept.pop(key, None)


class Runner:
    """One function of a network in its two forms, with the workspaces of recent shapes.

    A workspace is taken out while it is in use, so threads never share one.
    """

    def __init__(self, name: str, module: Mapping[str, Any]) -> None:
        self.name, self.module = name, module
        self.idle: dict[Shapes, tuple[Callable[..., Any], Any]] = {}

    def __call__(self, arrays: Sequence[Array], numbers: Sequence[float], out: Sequence[Array]) -> Any:
        """Run on these arrays, with a workspace for their shapes."""
        shapes = tuple([a.shape for a in arrays])
        found = self.idle.pop(shapes, None) or self.prepare(arrays)
        function, work = found
        result = function(*arrays, *numbers, *out) if work is None else function(*arrays, *numbers, out, work)
        self.idle[shapes] = found
        drop_oldest(self.idle)
        return result

    def prepare(self, arrays: Sequence[Array]) -> tuple[Callable[..., Any], Any]:
        """The form for arrays of these shapes, and the buffers that it takes, if it has none of its own."""
        sizes = [a.size for a in arrays[2:]]
        rows = block_rows(len(arrays[0]), sum(sizes), max(sizes, default=1))
        if rows is None or f"{self.name}_blocks" not in self.module:
            return self.module[f"{self.name}_for"](*arrays), None
        return self.module[f"{self.name}_blocks"], self.module[f"{self.name}_blocks_work"](*arrays, rows)

    def bound(
        self, arrays: Sequence[Array], numbers: Sequence[float], out: Sequence[Array], theta: Array, gradient: Array
    ) -> Callable[[], float]:
        """A function without arguments, and a workspace of its own."""
        rows, widest = len(arrays[0]), max([len(a) for a in arrays[2:]], default=1)
        wanted = bound_form(rows, widest, theta.size)
        for form in ("unrolled", "bound") if wanted == "unrolled" else (wanted,):
            if f"{self.name}_{form}" in self.module and form != "kept":
                run: Callable[[], float] = self.module[f"{self.name}_{form}"](*arrays, *numbers, out, theta, gradient)
                return run
        function, work = self.prepare(arrays)
        if work is None:
            return partial(function, *arrays, *numbers, *out)
        return partial(function, *arrays, *numbers, out, work)


class Bound(NamedTuple):
    """A network's bound function and the arrays that it reads and writes, which are its own.

    Args:
        own: the parameters, or their vector.
        run: takes x and y by name, fills the gradient and returns the cost.
        call: calls it with floating-point warnings off.
        gradient: as one vector.
        parts: the gradients of the parameters, as parts of it.
    """

    own: list[Array]
    run: Callable[[], float]
    call: Callable[..., float]
    gradient: Array
    parts: list[Array]

    def filled(self, arrays: Sequence[Array]) -> float:
        """The cost at these arrays."""
        x, y, *parameters = arrays
        for own, array in zip(self.own, parameters, strict=True):
            own[...] = array  # half the time of np.copyto
        return float(self.call(self.run, x=x, y=y))


class Copying:
    """A network's function for few numbers: to copy them into arrays that are bound costs less than to look at them.

    What is bound is taken out while it is in use, so threads never share one.

    Args:
        names: of the parameters.
    """

    def __init__(self, make: Callable[[], Bound], names: Sequence[str]) -> None:
        self.make, self.names = make, names
        self.idle: deque[Bound] = deque(maxlen=2)

    def __call__(self, arrays: Sequence[Array], numbers: Sequence[float]) -> tuple[float, dict[str, Array]]:
        """The cost and the gradients by name, in arrays of their own; the numbers are bound already."""
        bound = self._taken()
        cost = bound.filled(arrays)
        found = {name: part.copy() for name, part in zip(self.names, bound.parts, strict=True)}
        self.idle.append(bound)
        return cost, found

    def flat(self, arrays: Sequence[Array]) -> tuple[float, Array]:
        """The cost and the gradient, one vector of its own."""
        bound = self._taken()
        cost, found = bound.filled(arrays), bound.gradient.copy()
        self.idle.append(bound)
        return cost, found

    def _taken(self) -> Bound:
        try:
            return self.idle.pop()
        except IndexError:
            return self.make()


def copying_lines(names: Sequence[str] | None, arrays: Sequence[str], otherwise: str) -> list[str]:
    """What a `Copying` called `run` does, as lines of a plain call: they take half the time.

    Args:
        names: of the parameters; None if they are one vector, and the gradient too.
        arrays: the names of X, Y and the parameters in these lines.
        otherwise: the line for when all that is bound is in use.
    """
    x, y, *parameters = arrays
    own = [f"own_{a}" for a in parameters]
    parts = [f"bar_{a}" for a in parameters]
    each = [f"{name!r}: {part}.copy()" for name, part in zip(names or (), parts, strict=names is not None)]
    made = "gradient.copy()" if names is None else f"{{{', '.join(each)}}}"
    results = "gradient, _" if names is None else f"_, ({', '.join(parts)},)"
    return [
        "try:",
        "    ready = run.idle.pop()",
        "except IndexError:",
        f"    {otherwise}",
        f"({', '.join(own)},), function, call, {results} = ready",
        *(f"{o}[...] = {a}" for o, a in zip(own, parameters, strict=True)),
        f"cost = call(function, x={x}, y={y})",
        f"found = {made}",
        "run.idle.append(ready)",
        "return float(cost), found",
    ]


class InPlace:
    """A network's function in the `out=` form for arrays of certain shapes, which it reads where they are.

    What is prepared is taken out while it is in use, so threads never share one.

    Args:
        prepare: makes a function of arrays and its buffers, if it takes them.
        places: the parameters' names and shapes.
    """

    def __init__(
        self, prepare: Callable[..., Any], places: Sequence[tuple[str, tuple[int, ...]]], dtype: np.dtype[Any]
    ) -> None:
        self.prepare, self.places = prepare, [(name, shape, dtype) for name, shape in places]
        self.names = [name for name, _ in places]
        self.idle: deque[tuple[Callable[..., Any], Any, Results]] = deque(maxlen=2)

    def __call__(self, arrays: Sequence[Array], numbers: Sequence[float]) -> tuple[float, dict[str, Array]]:
        """The cost and the gradients by name, in new arrays."""
        try:
            function, work, results = ready = self.idle.pop()
        except IndexError:
            function, work, results = ready = (*self.prepare(arrays), Results(self.places))
        out = results.arrays({})
        cost = function(*arrays, *numbers, *out) if work is None else function(*arrays, *numbers, out, work)
        self.idle.append(ready)
        return float(cost), dict(zip(self.names, out, strict=True))


class Ready(NamedTuple):
    """A function for arrays of certain shapes, with its own buffers, and the arrays that it fills.

    Args:
        run: takes inputs, hyper-parameters and arrays for the outputs, and returns the outputs that are numbers.
        call: calls it with floating-point warnings off.
    """

    call: Callable[..., Any]
    run: Callable[..., Any]
    results: Results


class Kept:
    """A traced program's function, made ready once for arrays of its shapes.

    What is ready is taken out while it is in use, so threads never share one.

    Args:
        make: takes the inputs and makes a function for their shapes.
    """

    def __init__(self, outputs: Sequence[Tensor], signature: Signature, make: Callable[..., Any]) -> None:
        self.signature, self.make, self.dtype = signature, make, signature.dtype
        self.arrays = [t for t in outputs if t.shape]
        self.names = [t.name for t in outputs]
        self.numbers = [k for k, t in enumerate(outputs) if not t.shape]
        self.idle: dict[Shapes, Ready] = {}

    def __call__(
        self, shapes: Shapes, arrays: Sequence[Array], numbers: Sequence[float], places: Mapping[str, Array]
    ) -> dict[str, Array]:
        """The outputs by name, in arrays of their own or in the places that are given."""
        ready = self.idle.pop(shapes, None) or self._prepared(arrays)
        call, run, results = ready
        out = results.arrays(places)
        said = call(run, *arrays, *numbers, *out)
        self.idle[shapes] = ready
        if len(self.idle) > WORKSPACES:
            drop_oldest(self.idle)
        if len(self.numbers) == 1:
            out.insert(self.numbers[0], np.array(said, self.dtype))
        else:
            for position, value in zip(self.numbers, said or (), strict=True):
                out.insert(position, np.array(value, self.dtype))
        return dict(zip(self.names, out))  # noqa: B905 - as many, by how both are made

    def _prepared(self, arrays: Sequence[Array]) -> Ready:
        sizes = self.signature.sizes(arrays)
        places = [(t.name, tuple(size_value(s, sizes) or 0 for s in t.shape), self.dtype) for t in self.arrays]
        with np.errstate(all="ignore"):
            return Ready(quiet_caller(), self.make(*arrays), Results(places))


def quiet_caller() -> Callable[..., Any]:
    """What calls a function with NumPy's warnings about floating-point numbers off; not for two threads at once.

    A context in which they are off is entered twenty times as fast as `np.errstate`.
    """
    if not _has_own_state():
        return _with_errstate
    context = Context()
    context.run(np.seterr, all="ignore")
    return context.run


@cache
def _has_own_state() -> bool:
    """True if what NumPy is told about warnings in one context is not heard outside, as from version 2 on."""
    before = np.geterr()
    Context().run(np.seterr, divide="ignore" if before["divide"] != "ignore" else "warn")
    heard = np.geterr() != before
    if heard:
        np.seterr(**before)
    return not heard


def _with_errstate(function: Callable[..., Any], *arguments: Any, **data: Any) -> Any:
    with np.errstate(all="ignore"):
        return function(*arguments, **data)
