"""Running NumPy functions on symbolic arrays: `trace` for one function, `trace_pair` for a forward and its backward.

`Tracer` is one session: inputs, a list of equations, and `run`. A forward that returns `(out, cache)` and a backward that takes
the cache share a session, so the cache's arrays are tensors of the forward's equations.
"""

from __future__ import annotations

import ctypes
import inspect
import linecache
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from symbackprop.errors import BudgetError, DataError, MalformedError, SymbackpropError, TraceError, nearest
from symbackprop.expression import Compare, Expr, Symbol, Tensor, entries
from symbackprop.program import Assumption, Equation, Program, symbols
from symbackprop.sizes import Facts, decide
from symbackprop.trace.array import Array, Buffer, as_array
from symbackprop.trace.parse import parse_assumption, parse_size, parse_where
from symbackprop.trace.rebuild import Overlay
from symbackprop.trace.session import Session, axis_indices, entry, running
from symbackprop.trace.size import Size
from symbackprop.trace.stops import NeedsConcreteSizes

Shape = Sequence[str | int]


@dataclass(frozen=True)
class Traced:
    """A forward and a backward, as equations.

    Args:
        forward: the forward pass; its outputs are what the function returned (without a cache).
        backward: the backward pass; inputs are the upstream tensors, then the forward's inputs; outputs the gradients.
            With a cache it begins with the forward's equations that it needs.
        upstream: the tensors of `dout`, one for each output; empty if the backward takes none.
        gradients: name of an input -> the tensor that the backward returned for it.
        variables: tensor -> the user's own name for it.
        sizes: the sizes that were fixed to numbers.
    """

    forward: Program
    backward: Program
    upstream: tuple[Tensor, ...]
    gradients: dict[str, Tensor]
    variables: dict[Tensor, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


class Tracer:
    """One session.

    Args:
        shapes: input -> shape; a size is an int, a name, or an expression such as "4*H".
        assume: input -> "labels:C", "onehot", ...
        where: comparisons of sizes that hold, "H >= 2, C % G == 0".
        sizes: sizes that are fixed to numbers; the others stay symbolic.
        attributes: keyword defaults that `where` may mention.
        seconds: how long `run` may take.

    Raises:
        FormulaError: a shape, an assumption or the domain cannot be read.
        DataError: the fixed sizes break the domain.
    """

    def __init__(
        self,
        shapes: Mapping[str, Shape],
        assume: Mapping[str, str] | None = None,
        where: str | None = None,
        sizes: Mapping[str, int] | None = None,
        attributes: Mapping[str, Any] | None = None,
        seconds: float = 20.0,
    ) -> None:
        self.sizes = dict(sizes or {})
        self.deadline = time.monotonic() + seconds
        self.seconds = seconds
        whole = {k: v for k, v in (attributes or {}).items() if isinstance(v, int) and not isinstance(v, bool)}
        assume = dict(assume or {})
        _known_names(assume, shapes, "assume")
        self.inputs: dict[str, Tensor] = {}
        for name, shape in shapes.items():
            axes = tuple(parse_size(n, self.sizes) for n in _as_shape(name, shape))
            kind = "integer" if assume.get(name, "").startswith("label") else "real"
            self.inputs[name] = Tensor(name, axes, kind)  # type: ignore[arg-type]
        _no_clash(self.inputs.values(), whole)
        self.assumptions = tuple(parse_assumption(t, self.inputs[n], self.sizes) for n, t in assume.items())
        relations = parse_where(where or "", whole | self.sizes)
        self.domain = tuple(r for r in relations if not _is_decided(r))
        ranges = {a.tensor: a.size for a in self.assumptions if a.size is not None}
        self.session = Session(Facts(self.domain, ranges))
        self.session.names |= set(shapes)
        self.overlay = Overlay(self.session)
        self.upstream: tuple[Tensor, ...] = ()

    def array(self, tensor: Tensor) -> Array:
        """A tensor as an array with memory of its own."""
        kind = "integer" if tensor.kind == "integer" else "real"
        buffer = Buffer(tensor.shape, entry(tensor), kind)
        buffer.settled = True
        return Array(buffer, scalar=not tensor.shape)

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a user's function on symbolic arrays.

        Returns:
            what it returned, with `Array` and `Size` for arrays and sizes.

        Raises:
            NeedsConcreteSizes: some sizes must be fixed first.
            TraceError: something in it cannot be traced; with the line.
            BudgetError: it ran too long.
        """
        with running(self.session):
            if not inspect.isroutine(function) and not callable(function):
                raise MalformedError(f"a function is needed, not {type(function).__name__}")
            rebuilt = self.overlay.patch(function)
            patched = {k: self.overlay.patch(v) for k, v in options.items()}
            try:
                with _alarm(self.deadline - time.monotonic()):
                    result = rebuilt(*args, **patched)
            except _OutOfTime as stop:
                raise BudgetError(f"{function.__name__} ran for more than {self.seconds:g} s",
                                  where=self._where(stop.__traceback__)) from None  # fmt: skip
            except RecursionError as stop:
                raise TraceError("recursion without an end", where=self._where(stop.__traceback__)) from None
            except SymbackpropError as stop:
                raise self._located(stop) from None
            except Exception as stop:
                what = f"{function.__name__} raises {type(stop).__name__}: {stop}"
                raise TraceError(what, where=self._where(stop.__traceback__)) from stop
        changed = self.overlay.changed_global()
        if changed:
            raise TraceError(f"{function.__name__} changes the global {changed}", help="pass it in and return it")
        return result

    def tensor(self, value: Any, name: str) -> Tensor:
        """The tensor of a returned array; an equation called `name` is written where it has none."""
        with running(self.session):
            values = as_array(value)
            indices = axis_indices(values.axes)
            content = values.read()
            for known in (*self.inputs.values(), *self.upstream, *(e.tensor for e in self.session.equations)):
                if known.shape == values.axes and content(indices) is entry(known)(indices):
                    return known
            kind = "integer" if values.kind == "integer" else "real"
            return self.session.define(values.axes, content, kind, name, values.buffer.line)

    def program(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Program:
        """The program of the equations that the outputs need."""
        equations = _needed(self.session.equations, outputs)
        given = set(inputs)
        used = [e.value for e in equations] + [n for t in (*inputs, *outputs) for n in t.shape]
        parameters = {s: None for v in used for s in symbols(v) if s.kind != "size" and s.name != "pi"}
        return Program(
            tuple(inputs), tuple(equations), tuple(outputs), tuple(parameters),
            tuple(a for a in self.assumptions if a.tensor in given), self.domain, tuple(self.session.conditions),
        )  # fmt: skip

    def _where(self, traceback: TracebackType | None) -> str | None:
        """The innermost line of the user's code in a traceback: "line 14: u, s, v = np.linalg.svd(x)"."""
        found = None
        while traceback is not None:
            if traceback.tb_frame.f_code in self.session.codes:
                found = traceback
            traceback = traceback.tb_next
        if found is None:
            return None
        file, line = found.tb_frame.f_code.co_filename, found.tb_lineno
        return f"line {line}: {linecache.getline(file, line).strip()}".rstrip(": ")

    def _located(self, stop: SymbackpropError) -> SymbackpropError:
        """The same error with the user's line, unless it says where already."""
        where = stop.where or self._where(stop.__traceback__)
        parts: dict[str, Any] = {"where": where, "span": stop.span, "evidence": stop.evidence, "help": stop.help}
        if isinstance(stop, NeedsConcreteSizes):
            return NeedsConcreteSizes(stop.what, stop.symbols, **parts)
        return type(stop)(stop.what, **parts)


# --- one function, or two -----------------------------------------------------------------------------------------


def trace(
    function: Callable[..., Any],
    shapes: Mapping[str, Shape],
    assume: Mapping[str, str] | None = None,
    where: str | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    seconds: float = 20.0,
) -> Program:
    """The program of a NumPy function, for all sizes.

    Args:
        function: takes the arrays of `shapes` by name; further arguments have defaults.
        shapes: input -> shape, e.g. {"x": ("N", "D"), "b": ("4*H",), "s": ()}.
        assume: what is known about inputs: labels:C, onehot, prob, pos, bern, pm1.
        where: comparisons of sizes that hold.
        sizes: sizes to fix to numbers, e.g. {"T": 3}.

    Returns:
        Program whose outputs are what the function returns, an array or a tuple or dictionary of arrays.

    Raises:
        NeedsConcreteSizes: `.symbols` are the sizes that must be fixed.
        TraceError: the function does something that cannot be traced.

    Example:
        >>> import numpy as np
        >>> program = trace(lambda x, w: np.tanh(x @ w), {"x": ("N", "D"), "w": ("D", "M")})
        >>> [e.tensor.name for e in program.equations]
        ['t', 'out']
    """
    attributes = _check_arguments(function, shapes)
    tracer = Tracer(shapes, assume, where, sizes, attributes, seconds)
    result = tracer.run(function, **_arguments(tracer, function))
    named = _named_outputs(result, function)
    outputs = [tracer.tensor(v, n) for n, v in named.items()]
    return tracer.program(tuple(tracer.inputs.values()), outputs)


def trace_pair(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    shapes: Mapping[str, Shape],
    assume: Mapping[str, str] | None = None,
    where: str | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    seconds: float = 20.0,
) -> Traced:
    """A forward and its hand-written backward, in one session.

    forward(**inputs) -> array, tuple of arrays or scalar, or (out, cache).
    backward(dout, **inputs), backward(**inputs) for a scalar, or backward(dout, cache); returns {name: gradient} (with or
    without a leading "d"), or the gradients in the order of the inputs.

    Raises:
        NeedsConcreteSizes, TraceError: as `trace`; the message names the function.
        MalformedError: the arguments or results are not of one of these forms.
    """
    attributes = _check_arguments(forward, shapes)
    tracer = Tracer(shapes, assume, where, sizes, attributes, seconds)
    roles = _roles(backward, shapes)
    result = tracer.run(forward, **_arguments(tracer, forward))
    cache: Any = None
    if "cache" in roles.values() and isinstance(result, tuple) and len(result) == 2:
        result, cache = result
    named = _named_outputs(result, forward)
    outputs = [tracer.tensor(v, n) for n, v in named.items()]
    inputs = tuple(tracer.inputs.values())
    first = tracer.program(inputs, outputs)
    scalar = len(outputs) == 1 and not outputs[0].shape
    upstream: Any = None
    if "upstream" in roles.values():
        label = next(n for n, role in roles.items() if role == "upstream")
        names = [label] if len(outputs) == 1 else [f"{label}_{k + 1}" for k in range(len(outputs))]
        tracer.upstream = tuple(tracer.session.new_tensor(n, t.shape) for n, t in zip(names, outputs, strict=True))
        arrays = tuple(tracer.array(t) for t in tracer.upstream)
        upstream = arrays if len(arrays) > 1 else arrays[0]
    elif not scalar:
        raise MalformedError(f"{backward.__name__} takes no upstream gradient, but the forward returns an array")
    values = _arguments(tracer, backward, {n: upstream if r == "upstream" else cache for n, r in roles.items()})
    returned = tracer.run(backward, **values)
    gradients = {n: tracer.tensor(v, f"d{n}") for n, v in _gradients(returned, tracer, backward).items()}
    second = tracer.program((*tracer.upstream, *inputs), tuple(gradients.values()))
    return Traced(first, second, tracer.upstream, gradients, dict(tracer.session.variables), dict(tracer.sizes))


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        raise MalformedError(f"the arguments of {function!r} cannot be read") from None


def _check_arguments(function: Callable[..., Any], shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """Every argument has a shape or a default; returns the defaults."""
    parameters = _parameters(function)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if not takes_any:
        _known_names(shapes, parameters, "shapes")
    missing = [
        n for n, p in parameters.items()
        if n not in shapes and p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]  # fmt: skip
    if missing:
        raise MalformedError(f"shapes does not say the shape of {', '.join(missing)}")
    return {n: p.default for n, p in parameters.items() if p.default is not p.empty}


def _arguments(
    tracer: Tracer, function: Callable[..., Any], given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Fresh arrays for the inputs that the function takes, beside what is given."""
    parameters = _parameters(function)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    arrays = {n: tracer.array(t) for n, t in tracer.inputs.items() if takes_any or n in parameters}
    return arrays | dict(given or {})


def _roles(backward: Callable[..., Any], shapes: Mapping[str, Shape]) -> dict[str, str]:
    """Which of the backward's own arguments is the upstream gradient, and which the cache."""
    own = [
        n for n, p in _parameters(backward).items()
        if n not in shapes and p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]  # fmt: skip
    if len(own) > 2:
        raise MalformedError(f"{backward.__name__} takes {', '.join(own)}, of which shapes says nothing",
                             help="it takes the upstream gradient, then the inputs or a cache")  # fmt: skip
    if len(own) == 1 and own[0] in ("cache", "ctx", "context", "saved"):
        return {own[0]: "cache"}
    return dict(zip(own, ("upstream", "cache"), strict=False))


def _named_outputs(result: Any, function: Callable[..., Any]) -> dict[str, Any]:
    """The returned arrays, each with a name for its equation."""
    if isinstance(result, dict) and result:
        return {str(k): _output(v, function) for k, v in result.items()}
    if isinstance(result, tuple) and result:
        return {f"out_{k + 1}": _output(v, function) for k, v in enumerate(result)}
    return {"out": _output(result, function)}


def _output(value: Any, function: Callable[..., Any]) -> Any:
    if isinstance(value, (Array, Size, float)):
        return value
    raise MalformedError(f"{function.__name__} returns {_description(value)}, not an array",
                         help="return an array, a tuple of arrays, or a scalar computed from the inputs")  # fmt: skip


def _description(value: Any) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def _gradients(returned: Any, tracer: Tracer, backward: Callable[..., Any]) -> dict[str, Any]:
    """input -> gradient, from a dictionary, or from a tuple in the order of the real inputs."""
    if isinstance(returned, dict):
        named = {}
        for key, value in returned.items():
            plain = key if key in tracer.inputs else str(key).removeprefix("d").lstrip("_")
            named[plain if plain in tracer.inputs else str(key)] = value
        _known_names(named, tracer.inputs, f"the result of {backward.__name__}")
    else:
        values = returned if isinstance(returned, (tuple, list)) else (returned,)
        real = [n for n, t in tracer.inputs.items() if t.kind == "real"]
        if len(values) > len(real):
            raise MalformedError(f"{backward.__name__} returns {len(values)} gradients for {len(real)} inputs")
        named = dict(zip(real, values, strict=False))
    for name, value in named.items():
        if not isinstance(value, (Array, Size, float, int)):
            raise MalformedError(f"{backward.__name__} returns {_description(value)} as the gradient of {name}")
    return named


def _known_names(names: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    for name in names:
        if name not in known:
            near = nearest(name, known)
            raise MalformedError(
                f"{what} names {name!r}, which is no input", evidence=["inputs:  " + ", ".join(known)],
                help=f"did you mean {near!r}" if near else None,
            )  # fmt: skip


def _as_shape(name: str, shape: Any) -> tuple[str | int, ...]:
    if isinstance(shape, (tuple, list)):
        return tuple(shape)
    raise MalformedError(f"the shape of {name} is {shape!r}, not a tuple", help=f"write ({shape!r},)")


def _no_clash(tensors: Any, attributes: Mapping[str, int]) -> None:
    """An axis and a keyword default of the same name would be confused in `where`."""
    axes = {s.name for t in tensors for n in t.shape for s in symbols(n)}
    both = axes & attributes.keys()
    if both:
        raise MalformedError(f"{', '.join(sorted(both))} names an axis and a keyword argument")


def _is_decided(relation: Expr) -> bool:
    """True for a relation between numbers that holds; one that does not is an error."""
    if isinstance(relation, Compare) and not symbols(relation):
        if decide(relation.relation, relation.left, relation.right) is False:
            raise DataError("the fixed sizes are outside the domain")
        return True
    return False


def _needed(equations: Sequence[Equation], outputs: Sequence[Tensor]) -> list[Equation]:
    """The equations that the outputs depend on, in order."""
    wanted = set(outputs)
    kept = []
    for equation in reversed(equations):
        if equation.tensor in wanted:
            kept.append(equation)
            wanted |= {e.tensor for e in _entries_once(equation.value)}
    return kept[::-1]


def _entries_once(value: Expr) -> Iterator[Any]:
    seen: set[Tensor] = set()
    for e in entries(value):
        if e.tensor not in seen:
            seen.add(e.tensor)
            yield e


class _OutOfTime(BaseException):
    """Raised inside the user's code when its time is over."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise `_OutOfTime` in this thread after `seconds`, also inside a loop that calls nothing."""
    thread = ctypes.c_ulong(threading.get_ident())
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    timer = threading.Timer(max(seconds, 0.01), lambda: raise_in(thread, ctypes.py_object(_OutOfTime)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        raise_in(thread, None)


__all__ = ["Assumption", "Symbol", "Traced", "Tracer", "trace", "trace_pair"]
