"""One session: inputs from the texts of their shapes, functions run on symbolic arrays, and the resulting program."""

from __future__ import annotations

import dis
import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, TracebackType
from typing import Any

from symbackprop.errors import (
    BudgetError,
    DataError,
    IndexNotationError,
    MalformedError,
    SymbackpropError,
    TraceError,
    UnsupportedError,
    nearest,
)
from symbackprop.expression.build import ONE, Compare, Entry, Expr, SymmetricTensor, Tensor, entries_once, mentioned
from symbackprop.expression.program import Equation, Program, symbols
from symbackprop.expression.recurrence import in_order
from symbackprop.expression.sizes import Facts, decide
from symbackprop.frontends.numpy.array import IDENTITY, Array, Buffer
from symbackprop.frontends.numpy.errors import CodeRaisesError, NeedsConcreteSizes, ShapesDoNotFit, size_symbols
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.rebind import Overlay
from symbackprop.frontends.numpy.session import Session, axis_indices, entry, line_text, running
from symbackprop.frontends.numpy.state import Place
from symbackprop.frontends.numpy.time_limit import OutOfTime, alarm
from symbackprop.frontends.size_text import parse_assumption, parse_size, parse_where
from symbackprop.normal_form.work_time import worked
from symbackprop.rendering.text import to_text

Shape = Sequence[str | int]
ANOTHER_MACHINE = ("cuda", "gpu")  # in what a line asks, or says when it raises


class Tracer:
    """One session.

    Args:
        shapes: input -> shape; a size is an int, a name, or an expression such as "4*H".
        assume: input -> "labels:C", "onehot", ...
        where: comparisons of sizes that hold, "H >= 2, C % G == 0".
        sizes: sizes that are fixed to numbers; the others stay symbolic.
        attributes: keyword defaults that `where` may mention.
        seconds: how long `run` may take.
        unknown: places of the user's objects whose first contents no result may depend on.

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
        unknown: Sequence[Place] = (),
    ) -> None:
        self.sizes = dict(sizes or {})
        self.deadline = worked() + seconds
        self.seconds = seconds
        whole = {k: v for k, v in (attributes or {}).items() if isinstance(v, int) and not isinstance(v, bool)}
        if not isinstance(assume or {}, Mapping):
            raise MalformedError("assume is no dictionary", help='write {"y": "labels:C"}')
        assume = dict(assume or {})
        known_names(assume, shapes, "assume")
        self.inputs: dict[str, Tensor] = {}
        for name, shape in shapes.items():
            axes = tuple(parse_size(n, self.sizes) for n in _as_shape(name, shape))
            kind = "integer" if str(assume.get(name, "")).startswith("label") else "real"
            sort = SymmetricTensor if assume.get(name) in ("symmetric", "spd") else Tensor
            self.inputs[name] = sort(name, axes, kind)  # type: ignore[arg-type]
        _no_clash(self.inputs.values(), whole)
        _positive_sizes(self.inputs.values())
        self.assumptions = tuple(parse_assumption(t, self.inputs[n], self.sizes) for n, t in assume.items())
        relations = parse_where(where or "", whole | self.sizes)
        self.domain = tuple(r for r in relations if not _is_decided(r))
        sizes_used = [n for t in self.inputs.values() for n in t.shape] + [a.size for a in self.assumptions if a.size]
        _sensible(self.domain, sizes_used, where or "")
        ranges = {a.tensor: a.size for a in self.assumptions if a.size is not None}
        self.session = Session(Facts(self.domain, ranges))
        self.session.names |= dict.fromkeys(shapes, 1)
        self.session.sizes = size_symbols(*(n for t in self.inputs.values() for n in t.shape))
        kinds = {"bern": (0, 1), "onehot": (0, 1), "pm1": (-1, 1)}
        self.session.two_valued = {a.tensor: kinds[a.kind] for a in self.assumptions if a.kind in kinds}
        self.overlay = Overlay(self.session, unknown)
        self.upstream: tuple[Tensor, ...] = ()

    def array(self, tensor: Tensor) -> Array:
        """A tensor as an array with memory of its own."""
        kind = "integer" if tensor.kind == "integer" else "real"
        buffer = Buffer(tensor.shape, entry(tensor), kind)
        buffer.settled = True
        return Array(buffer, scalar=not tensor.shape)

    def run(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
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
                with alarm(self.deadline - worked()):
                    result = rebuilt(*args, **patched)
            except BaseException as stop:
                if isinstance(stop, KeyboardInterrupt):
                    raise
                raise self._failed(stop, function) from (stop if isinstance(stop, Exception) else None)
        if self.session.stop is not None:
            raise self._swallowed(self.session.stop, function)
        if self.session.journals:
            raise TraceError("an exception on one way of a branch on data is caught",
                             where=self.session.journals[-1].place)  # fmt: skip
        changed = self.overlay.changed_global()
        if changed:
            raise TraceError(f"{name_of(function)} changes the global {changed}", help="pass it in and return it")
        return result

    def _failed(self, stop: BaseException, function: Callable[..., Any]) -> SymbackpropError:
        """What to say of an exception that ended a run."""
        if self.session.loops and not isinstance(stop, OutOfTime):
            return self._in_a_loop(stop)
        first = self.session.stop
        if first is not None and stop is not first and not isinstance(stop, OutOfTime):
            return self._swallowed(first, function)
        where = self._where(stop.__traceback__)
        if isinstance(stop, OutOfTime):
            return BudgetError(f"{name_of(function)} ran for more than {self.seconds:g} s", where=where)
        if isinstance(stop, RecursionError):
            return TraceError("recursion without an end", where=where)
        if isinstance(stop, SymbackpropError):
            return self._located(stop)
        what = f"{name_of(function)} raises {type(stop).__name__}: {stop}"
        if self.session.journals:
            help = "keep such inputs out by assume= or where=, or use np.where"
            return TraceError(f"{what}, on one way of a branch on data", where=where, help=help)
        if isinstance(stop, ImportError):
            missing = f"{name_of(function)} imports {stop.name or 'what is not there'}, which is not installed here"
            return TraceError(missing, where=where, help="write the formula in functions that are there")
        if any(word in f"{stop} {where}".lower() for word in ANOTHER_MACHINE):
            return TraceError(f"{what.rstrip(': ')}: it asks for a GPU, which is not followed here", where=where,
                              help="leave the question out: the formulas are the same on any machine")  # fmt: skip
        return CodeRaisesError(what, type(stop).__name__, where=where, help=who_sets(stop))

    def _in_a_loop(self, stop: BaseException) -> SymbackpropError:
        """What to say of anything that ends a run inside a loop over a symbolic range: a concrete one tells more."""
        sizes = [loop.index.size for loop in self.session.loops]
        what, where = "a loop over a symbolic range", self.session.loops[0].place
        if isinstance(stop, SymbackpropError) and what in stop.what:
            what = stop.what
        elif isinstance(stop, SymbackpropError):
            what = f"{what} cannot be followed: {stop.what}"
        questions = stop.questions if isinstance(stop, NeedsConcreteSizes) else ()
        return NeedsConcreteSizes(what, size_symbols(*sizes), questions, where=where)

    def _swallowed(self, stop: BaseException, function: Callable[..., Any]) -> SymbackpropError:
        """What to say where the user's code caught a stop and went on: NumPy would have given it something else."""
        where = self.session.stopped_at
        if self.session.loops and not isinstance(stop, OutOfTime):
            return self._in_a_loop(stop)
        if isinstance(stop, OutOfTime):
            return BudgetError(f"{name_of(function)} ran for more than {self.seconds:g} s", where=where)
        if isinstance(stop, SymbackpropError):
            return self._located(stop, where)
        return TraceError(f"{name_of(function)} catches {type(stop).__name__}: {stop}", where=where)

    def tensor(self, value: Any, name: str) -> Tensor:
        """The tensor of a returned array; an equation called `name` is written where it has none."""
        with running(self.session):
            values = as_array(value)
            if values.through is IDENTITY:  # the array itself becomes the tensor, for whoever holds it in a cache
                values.buffer.settle(name, forced=True)
            indices = axis_indices(values.axes)
            content = values.read()
            value = content(indices)
            if isinstance(value, Entry) and self._is_known(value.tensor):
                known = value.tensor
                if known.shape == values.axes and value is entry(known)(indices):
                    return known
            kind = "integer" if values.kind == "integer" else "real"
            return self.session.define(values.axes, content, kind, name, values.buffer.line)

    def _is_known(self, tensor: Tensor) -> bool:
        """True for an input and for what an equation defines."""
        defined = tensor in self.session.values and tensor not in self.session.carried
        return defined or tensor in self.upstream or self.inputs.get(tensor.name) is tensor

    def program(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Program:
        """The program of the equations that the outputs need."""
        equations = _needed(self.session.equations, outputs)
        for tensor in (t for e in equations for t in {read.tensor for read in entries_once(e.value)}):
            if tensor in self.session.drawn:
                raise self.session.drawn[tensor]
        given = set(inputs)
        used = [e.value for e in equations] + [n for t in (*inputs, *outputs) for n in t.shape]
        parameters = {s: None for v in used for s in symbols(v) if s.kind != "size" and s.name != "pi"}
        try:
            return Program(
                tuple(inputs), tuple(equations), tuple(outputs), tuple(parameters),
                tuple(a for a in self.assumptions if a.tensor in given), self.domain, tuple(self.session.conditions),
            )  # fmt: skip
        except IndexNotationError as error:  # our fault: the user has written none of these equations
            raise UnsupportedError(f"internal error: {error.what}", help="please report this case") from error

    def _where(self, traceback: TracebackType | None) -> str | None:
        """The innermost line of the user's code in a traceback: "line 14: u, s, v = np.linalg.svd(x)"."""
        found = None
        while traceback is not None:
            if id(traceback.tb_frame.f_code) in self.session.codes:
                found = traceback
            traceback = traceback.tb_next
        if found is None:
            return None
        return line_text(found.tb_frame.f_code.co_filename, found.tb_lineno)

    def _located(self, stop: SymbackpropError, where: str | None = None) -> SymbackpropError:
        """The same error with the user's line, unless it says where already."""
        where = stop.where or where or self._where(stop.__traceback__)
        parts: dict[str, Any] = {"where": where, "span": stop.span, "evidence": stop.evidence, "help": stop.help}
        if isinstance(stop, NeedsConcreteSizes):
            return NeedsConcreteSizes(stop.what, stop.symbols, stop.questions, **parts)
        if isinstance(stop, ShapesDoNotFit):
            return type(stop)(stop.what, stop.raised, stop.sizes, stop.questions, **parts)
        return type(stop)(stop.what, **parts)


def who_sets(stop: BaseException) -> str | None:
    """What to do about an attribute that is not there: the method that sets it has not run."""
    kind, wanted = type(getattr(stop, "obj", None)), getattr(stop, "name", None)
    if not isinstance(stop, AttributeError) or wanted is None:
        return None
    for owner in kind.__mro__:
        for name, method in vars(owner).items():
            steps = dis.get_instructions(method) if isinstance(method, FunctionType) else ()
            if any(step.opname == "STORE_ATTR" and step.argval == wanted for step in steps):
                return f"{owner.__name__}.{name} sets it: call that first, on the same object"
    return None


def name_of(function: Any) -> str:
    """What a user calls a function: its name, that of the function inside a partial one, or of an object's class."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def known_names(names: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    """Refuse a name that is not known, and say which was probably meant."""
    for name in names:
        if name not in known:
            near = nearest(str(name), known)
            raise MalformedError(
                f"{what} names {name!r}, which is no input", evidence=["inputs:  " + ", ".join(known)],
                help=f"did you mean {near!r}" if near else None,
            )  # fmt: skip


def _as_shape(name: str, shape: Any) -> tuple[str | int, ...]:
    if isinstance(shape, (tuple, list)):
        return tuple(shape)
    axes = re.findall(r"[^\s,()\[\]]+", shape) if isinstance(shape, str) else [shape]
    written = ", ".join(f'"{axis}"' if isinstance(axis, str) and not axis.isdigit() else str(axis) for axis in axes)
    help = f"write ({written}{',' if len(axes) == 1 else ''})"
    raise MalformedError(f"the shape of {name} is {shape!r}, not a tuple", help=help)


def _no_clash(tensors: Any, attributes: Mapping[str, int]) -> None:
    """An axis and a keyword default of the same name would be confused in `where`."""
    axes = {s.name for t in tensors for n in t.shape for s in symbols(n)}
    if "pi" in axes:
        raise MalformedError("an axis is called pi, which is a number", help="give the axis another name")
    both = axes & attributes.keys()
    if both:
        raise MalformedError(f"{', '.join(sorted(both))} names an axis and a keyword argument")


def _positive_sizes(tensors: Any) -> None:
    """A size that is a number is at least 1."""
    for tensor in tensors:
        for size in tensor.shape:
            if decide("<=", ONE, size) is False:
                raise MalformedError(f"the shape of {tensor.name} has an axis of size {to_text(size)}")


def _sensible(domain: tuple[Expr, ...], sizes: Sequence[Expr], text: str) -> None:
    """The domain speaks of sizes that occur in shapes, and its comparisons do not contradict each other."""
    known = {s.name: s for n in sizes for s in symbols(n)}
    for relation in domain:
        for symbol in symbols(relation):
            if symbol.name not in known:
                near = nearest(symbol.name, known)
                raise MalformedError(
                    f"where names {symbol.name!r}, which is no size and no whole keyword default", where=text,
                    evidence=["sizes:  " + ", ".join(known)], help=f"did you mean {near!r}" if near else None,
                )  # fmt: skip
    for k, relation in enumerate(domain):
        others = Facts(domain[:k] + domain[k + 1 :])
        if isinstance(relation, Compare) and decide(relation.relation, relation.left, relation.right, others) is False:
            raise MalformedError("no sizes are as the domain says", where=text)


def _is_decided(relation: Expr) -> bool:
    """True for a relation between numbers that holds; one that does not is an error."""
    if isinstance(relation, Compare) and not symbols(relation):
        if decide(relation.relation, relation.left, relation.right) is False:
            raise DataError("the fixed sizes are outside the domain")
        return True
    return False


def _needed(equations: Sequence[Equation], outputs: Sequence[Tensor]) -> list[Equation]:
    """The equations that the outputs depend on, in an order in which they can be computed."""
    defined = {e.tensor: e for e in equations}
    wanted: set[Tensor] = set()
    waiting = list(outputs)
    while waiting:
        tensor = waiting.pop()
        if tensor not in wanted:
            wanted.add(tensor)
            waiting += mentioned(defined[tensor].value) if tensor in defined else ()
    return list(in_order(e for e in equations if e.tensor in wanted))
