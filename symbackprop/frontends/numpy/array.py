"""Symbolic arrays: a buffer whose entries are a function of indices, and views that map their indices to the buffer's.

An operation makes a new buffer and writes no equation. A value becomes an equation of its own (`Buffer.settle`) when it
is used and the user has given it a name, when it is used twice, or when something nonlinear is done with a sum. So the
program has about one equation for each line that assigns. Views share their buffer: what is assigned to one shows in
all, as in NumPy.

Operations look up `registry.OPERATIONS`; this module must not know what they do.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from symbackprop.errors import SymbackpropError, TraceError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Entry,
    Expr,
    Index,
    Kronecker,
    Number,
    add,
    children,
    nodes_once,
    rewrite,
    where,
)
from symbackprop.frontends.numpy.dtypes import EXACT, as_dtype, example, kind_of_type
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, size_symbols
from symbackprop.frontends.numpy.infinity import is_infinite
from symbackprop.frontends.numpy.opaque import NotYetThere, Opaque
from symbackprop.frontends.numpy.pieces import Piece, Pieces
from symbackprop.frontends.numpy.registry import METHODS, OPERATIONS
from symbackprop.frontends.numpy.session import (
    Call,
    Content,
    Instruction,
    Ran,
    Result,
    Session,
    as_int,
    as_numpy,
    asked_by_user,
    axis_indices,
    current,
    entry,
    hands_on,
    minus,
    no_rounds_in,
    product_of,
    reduced,
    running,
    used_as_array,
    user_line,
)
from symbackprop.frontends.numpy.size import size
from symbackprop.frontends.numpy.symbolic import class_of, stands_for

SHARED = "an array is used after another one was changed in place, which may or may not share its memory"
# An expression with more nodes than this becomes an equation as soon as it is used.
LARGE = 60
# Assignments that one equation tells; of a loop that fills an array row by row all rows, since a part of them is what
# no derivative is.
LONGEST, LONGEST_NUMBERED = 8, 64
_births = itertools.count(1)


def _put(value: Expr, node: Expr, other: Expr) -> Expr:
    """An index with one of its nodes as another one."""
    return reduced(rewrite(value, lambda n: other if n is node else None))


@dataclass(frozen=True)
class Order:
    """A permutation along an axis.

    Args:
        rank: where each entry stands in the order.
        is_rank: the array holds the ranks themselves; else their inverse, as an argsort does.
    """

    axis: int
    rank: Content
    is_rank: bool


class Buffer:
    """The memory of an array: shape, entries, and how far it has been written down.

    Args:
        content: the entry at an index tuple.
        kind: "real", "integer" or "bool", or NumPy's type.
        summed: it holds a sum or an extremum that a nonlinear use should name first.
    """

    def __init__(
        self, shape: tuple[Expr, ...], content: Content, kind: str | np.dtype[Any] = "real", summed: bool = False
    ) -> None:
        self.shape, self.content, self.summed = shape, content, summed
        self.dtype = as_dtype(kind)
        self.kind = kind_of_type(self.dtype)
        self.weak = False  # it is a number of Python's own
        self.rounding = EXACT  # how far floats may be from it, where it is a number
        self.settled = False
        self.unsettled = content  # the contents before they were settled
        self.uses = 0
        self.version = 0
        self.doubt: str | None = None  # why its contents are uncertain
        self.order: Order | None = None  # what is known of an argsort
        self.may_be_number = False  # and an array of this shape otherwise
        self.pieces: Pieces[Buffer] | None = None  # of which it consists, as far as `unsettled` is what they say
        self.line: int | None
        self.ran: Ran | None
        self.result_of: Instruction | None  # whose result it is as a whole
        self._runs()
        self.born = next(_births)

    def settle(self, variable: str | None, forced: bool = False) -> None:
        """Write the contents down as an equation, unless they are an entry or hold no data."""
        if self.settled:
            return
        value = self.content(axis_indices(self.shape))
        session = current()
        if is_infinite(value) or session.is_carried(value):
            return
        for journal in session.journals:
            journal.note(self, settled=True)
        self.settled = True
        if not forced and (isinstance(value, Entry) or not has_entry(value)):
            return
        kind = "real" if self.kind == "real" else "integer"  # a mask has no derivative
        written = self.result_of.written if self.result_of and not variable else ""
        tensor = session.define(self.shape, self.content, kind, variable, self.line, self.born, written=written)
        if self.ran is not None:
            self.ran.tensor = tensor
        self.content = entry(tensor, session.rounds.get(tensor, ()))
        self.summed = False

    @property
    def makers(self) -> tuple[Call, ...]:
        """The user's function that computed what it holds, and those that called that one."""
        return () if self.ran is None else self.ran.calls

    def _runs(self) -> None:
        """Note the line of the user's code that computes what it holds from now on."""
        self.line, self.ran, self.result_of = user_line(), None, None
        if self.line is not None:
            session = current()
            # asked by whoever reads the trace once it has ended, and as often as he likes
            idle = functools.cache(lambda: self.ran is ran and self._is_idle(session))
            self.ran = ran = Ran(self.line, idle=idle, calls=session.calls())
            session.ran.append(ran)

    def _is_idle(self, session: Session) -> bool:
        """Whether it holds another array as it is, or a number."""
        with running(session), suppress(SymbackpropError):
            value = self.content(axis_indices(self.shape))
            return isinstance(value, Entry) or not has_entry(value)
        return False

    def write(self, content: Content, numbered: bool = False) -> None:
        """Replace the contents.

        Args:
            numbered: only at one place of an axis, which is a number; elsewhere they are what they were.
        """
        if self.doubt:
            raise TraceError(self.doubt)
        self.changes()
        self.content = self.unsettled = content
        self._runs()
        self.settled = False
        self.order = None
        self.version += 1
        self.uses = 0
        # a long chain of assignments: keep each equation short
        if self.version % (LONGEST_NUMBERED if numbered else LONGEST) == 0:
            self.settle(self._variable())

    def changes(self) -> None:
        """Tell the open branches on data, each of which puts back what its arms change."""
        for journal in current().journals:
            journal.note(self)

    def state(self) -> dict[str, Any]:
        """All that a change in place changes."""
        return {name: getattr(self, name) for name in _CHANGING}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo what has changed since the state was taken."""
        for name, value in state.items():
            setattr(self, name, value)

    def _variable(self) -> str | None:
        return current().variable_of(lambda value: isinstance(value, Array) and value.buffer is self)


_CHANGING = ("content", "unsettled", "settled", "summed", "uses", "version", "doubt", "order", "line", "ran")


class Journal:
    """The arrays that have changed since it was opened, with what they held then. New ones are left out.

    Args:
        place: the line of the user's code.
        settling: whether arrays are entered too that only become an equation.
    """

    def __init__(self, place: str | None, settling: bool = False) -> None:
        self.place, self.settling, self.start = place, settling, next(_births)
        self.before: dict[Buffer, dict[str, Any]] = {}

    def note(self, buffer: Buffer, settled: bool = False) -> None:
        """A buffer is about to change, or to be settled."""
        if settled <= self.settling:
            self.note_as(buffer, None)

    def note_as(self, buffer: Buffer, state: dict[str, Any] | None) -> None:
        """A buffer has changed, which was in this state before."""
        if buffer.born < self.start and buffer not in self.before:
            self.before[buffer] = state or buffer.state()


@dataclass(frozen=True)
class Wrap:
    """A place that counts from the end in some rounds of a loop alone: h[t - 1] is h[-1] where t = 0.

    Args:
        place: in every round, a remainder by the length of the axis.
        negative: the value 0 or 1 of "this round counts from the end".
        from_end: the place in such a round.
        given: the place in the others.
    """

    place: Expr
    negative: Expr
    from_end: Expr
    given: Expr

    def apart(self, content: Content) -> Content:
        """Entries, read in the two kinds of rounds as they are there."""

        def read(indices: tuple[Expr, ...]) -> Expr:
            if not any(n is self.place for i in indices for n in nodes_once(i)):
                return content(indices)
            first, second = (content(tuple(_put(i, self.place, p) for i in indices))
                             for p in (self.from_end, self.given))  # fmt: skip
            return where(self.negative, first, second)

        return read


@dataclass(frozen=True)
class View:
    """How the indices of an array lead to those of its buffer.

    Args:
        forward: array indices -> buffer indices.
        inverse: buffer indices -> (value 0 or 1 of "is seen by the view", array indices); None if it cannot be written.
        wraps: the places among the buffer's indices that count from the end in some rounds.
    """

    forward: Callable[[tuple[Expr, ...]], tuple[Expr, ...]]
    inverse: Callable[[tuple[Expr, ...]], tuple[Expr, tuple[Expr, ...]]] | None
    wraps: tuple[Wrap, ...] = ()


def order_of(values: Array) -> Order | None:
    """The permutation that an integer array is known to be."""
    whole = values.through is IDENTITY and values.axes == values.buffer.shape
    return values.buffer.order if whole else None


IDENTITY = View(lambda indices: indices, lambda indices: (ONE, indices))


def exemplar(value: Array) -> Any:
    """A real value of the same type, of which questions about types are asked."""
    return value.exemplar()


@stands_for(np.ndarray, "a symbolic array")
class Array(Result):
    """A symbolic `numpy.ndarray`, or a NumPy scalar (`scalar`), which is never changed in place."""

    __slots__ = ("absent", "axes", "buffer", "contiguous", "ordered", "scalar", "shared", "through")
    __array_priority__ = 1000
    __class__ = class_of(exemplar)

    def __init__(
        self, buffer: Buffer, shape: tuple[Expr, ...] | None = None, view: View = IDENTITY, *, scalar: bool = False
    ) -> None:
        self.buffer, self.through, self.scalar = buffer, view, scalar
        self.axes = buffer.shape if shape is None else shape
        no_rounds_in(self.axes)
        self.contiguous = True  # False: not known to be C-contiguous
        self.shared: tuple[tuple[Buffer, int], ...] = ()  # may be a view of these buffers, as they are now, or a copy
        self.ordered = True  # its axes come as in memory: what NumPy makes in its layout is C-contiguous
        self.absent: Expr | None = None  # where there is None in its place: in the first round of a loop

    def is_result_of(self, instruction: Instruction) -> None:
        """Note where the user's code computes what the memory holds, if this array is all of it."""
        if self.through is IDENTITY and self.buffer.result_of is None:
            self.buffer.result_of = instruction

    @property
    def may_be_number(self) -> bool:
        """Whether it is a number in the first round, or on one way of a branch."""
        return self.buffer.may_be_number

    @may_be_number.setter
    def may_be_number(self, value: bool) -> None:
        self.buffer.may_be_number = value

    # --- attributes of ndarray

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes of the axes, as ints or `Size`s."""
        self._has_shape()
        return tuple(size(n) for n in self.axes)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        self._has_shape()
        return len(self.axes)

    @property
    def size(self) -> Any:
        """The number of entries."""
        self._has_shape()
        return size(product_of(self.axes))

    @property
    def kind(self) -> str:
        """real, integer or bool."""
        return self.buffer.kind

    @property
    def dtype(self) -> Any:
        """NumPy's type."""
        return self.buffer.dtype

    def exemplar(self) -> Any:
        """A real value of the same type."""
        return example(self.buffer.dtype, self.buffer.weak, -1 if self.scalar else self.ndim)

    def memory(self) -> list[Buffer]:
        """The buffers in which its entries lie, or may lie; none of a number, which never changes."""
        return [] if self.scalar else [self.buffer, *(base for base, _ in self.shared)]

    def plain(self) -> Array:
        """The array as NumPy's, on the same memory: another library's array has names and types of its own."""
        return self

    def like(self, value: Array) -> Array:
        """Another array as one of this array's library."""
        return value

    @property
    def itemsize(self) -> int:
        """The bytes of an entry."""
        return int(self.dtype.itemsize)

    @property
    def nbytes(self) -> Any:
        """The bytes of all entries."""
        self._must_be_array()
        return self.size * self.itemsize

    @property
    def T(self) -> Array:
        """The transposed view."""
        self._must_be_array()
        return OPERATIONS["transpose"](self)  # type: ignore[no-any-return]

    @property
    def mT(self) -> Array:
        """The view with the last two axes exchanged."""
        return OPERATIONS["matrix_transpose"](self)  # type: ignore[no-any-return]

    @property
    def real(self) -> Array:
        """The array itself: there are no complex numbers here."""
        self._must_be_array()
        return self

    @property
    def flat(self) -> Any:
        """All entries in a row."""
        self._must_be_array()
        return OPERATIONS["ravel"](self)

    def _must_be_array(self) -> None:
        if self.buffer.may_be_number:
            raise used_as_array()

    def _has_shape(self) -> None:
        if self.buffer.may_be_number and current().is_users(sys._getframe(2)):
            raise used_as_array()

    def __getattr__(self, name: str) -> Any:
        if name in METHODS:
            method = METHODS[name]
            return functools.partial(method, self)
        if hasattr(exemplar(self), name):
            raise TraceError(f"the array method .{name} cannot be traced")
        kind = type(exemplar(self)).__name__
        raise as_numpy(AttributeError(f"'{kind}' object has no attribute '{name}'"))

    def __repr__(self) -> str:
        if asked_by_user():
            raise TraceError("the text of an array cannot be traced")
        return f"<array of shape {self.shape}>"

    def __hash__(self) -> int:
        if self.scalar:
            raise TraceError("the hash of a number that depends on data cannot be traced")
        raise as_numpy(TypeError("unhashable type: 'numpy.ndarray'"))

    def __copy__(self) -> Array:
        return OPERATIONS["copy"](self)  # type: ignore[no-any-return]

    def __deepcopy__(self, _: Any) -> Array:
        return OPERATIONS["copy"](self)  # type: ignore[no-any-return]

    # --- reading

    def read(self, nonlinear: bool = False) -> Content:
        """The entries as they are now, as a function of the array's own indices.

        Args:
            nonlinear: more is done with them than adding and scaling.
        """
        buffer = self.buffer
        if buffer.doubt:
            raise TraceError(buffer.doubt)
        if any(base.version != version for base, version in self.shared):
            raise TraceError("an array that may or may not be a view is used after its base was changed in place")
        piece = self._in_one_piece()
        if piece is not None:
            return piece.read(nonlinear)
        if not buffer.settled:
            name = current().variable_of(self._is_name, buffer.makers)
            if name or buffer.uses or (nonlinear and buffer.summed) or _large(buffer):
                buffer.settle(name)
        buffer.uses += 1
        content, forward = buffer.content, self.through.forward
        for wrap in self.through.wraps:
            content = wrap.apart(content)
        return content if self.through is IDENTITY else lambda indices: content(forward(indices))

    def definition(self, indices: tuple[Expr, ...]) -> Expr:
        """The entry as it was computed, also where it has become an equation since."""
        return self.buffer.unsettled(self.through.forward(indices))

    def _is_name(self, value: object) -> bool:
        return isinstance(value, Array) and value.buffer is self.buffer

    def constant(self) -> Expr | None:
        """The value of a 0-d array, if it is one."""
        return self.read()(()) if self.ndim == 0 else None

    # --- writing

    def write(self, value: Content, added: bool = False) -> None:
        """Replace each entry seen by this view by `value` at the array's indices, or add `value` to it."""
        buffer, inverse = self.buffer, self.through.inverse
        if inverse is None or self.scalar:
            raise TraceError("assignment to an array that cannot be written (a broadcast view)")
        for base, _ in self.shared:
            base.changes()
            base.doubt = SHARED
        if not added and current().in_steps():
            value = self._named(value)
        old = buffer.content
        if not buffer.settled and buffer.uses:
            buffer.settle(current().variable_of(self._is_name, buffer.makers))
            old = buffer.content

        pieces = self._pieces()
        stretch = None if pieces is None else self._stretch()
        before = pieces.before(*stretch) if pieces is not None and stretch is not None else None
        alone = before is not None and before(axis_indices(buffer.shape)) is ZERO and _is_real(value, self.axes, buffer)

        def new(indices: tuple[Expr, ...]) -> Expr:
            seen, own = inverse(indices)
            there = old(indices)
            if seen is ZERO:
                return there
            return add(there, where(seen, value(own), ZERO)) if added or alone else where(seen, value(own), there)

        def piece(places: tuple[Expr, ...]) -> Expr:
            assert stretch is not None, "it is asked for of a stretch"
            at = (reduced(add(stretch[0], places[0])),)
            own = value(inverse(at)[1])
            return add(before(at), own) if added and before is not None else own

        seen, _ = inverse(axis_indices(buffer.shape))
        numbered = not added and isinstance(seen, Kronecker) and isinstance(seen.right, Number)
        buffer.write(new, numbered)
        if pieces is not None and stretch is not None and before is not None:
            held = Buffer((minus(stretch[1], stretch[0]),), piece, buffer.dtype, summed=True)
            buffer.pieces = pieces.written(new, Piece(*stretch, held))

    def _pieces(self) -> Pieces[Buffer] | None:
        """The pieces of which the vector consists, be it none yet; None where they are not followed."""
        buffer = self.buffer
        if len(buffer.shape) != 1 or self.through is IDENTITY or current().arms:
            return None
        pieces = buffer.pieces
        return pieces if pieces is not None and pieces.whole is buffer.unsettled else Pieces(buffer.content)

    def _stretch(self) -> tuple[Expr, Expr] | None:
        """Where the view of a vector begins and ends in it, if it is without gaps; None else."""
        if self.through is IDENTITY or len(self.buffer.shape) != 1 or not self.contiguous or current().loops:
            return None
        start = reduced(self.through.forward((ZERO,) * self.ndim)[0])
        stop = reduced(add(start, product_of(self.axes)))
        return None if start is ZERO and stop is self.buffer.shape[0] else (start, stop)

    def _in_one_piece(self) -> Array | None:
        """What was written at these places of a vector, where that is known without the rest of it."""
        pieces = self.buffer.pieces
        if pieces is None or pieces.whole is not self.buffer.unsettled:
            return None
        stretch = self._stretch()
        piece = None if stretch is None else pieces.at(*stretch)
        if piece is None:
            return None
        start, forward = piece.start, self.through.forward
        return Array(piece.buffer, self.axes, View(lambda indices: (minus(forward(indices)[0], start),), None))

    def _named(self, value: Content) -> Content:
        """A value as a tensor of its own: what a round of a recurrence writes, later rounds read."""
        session = current()
        entry_ = value(axis_indices(self.axes))
        if isinstance(entry_, Entry) or not has_entry(entry_) or is_infinite(entry_) or session.is_carried(entry_):
            return value
        name = session.variable_of(self._is_name)
        kind = "real" if self.kind == "real" else "integer"
        hint = f"{name}_next" if name else "t"
        tensor = session.define(self.axes, value, kind, None, user_line(), next(_births), hint)
        return entry(tensor, session.rounds.get(tensor, ()))

    # --- Python's protocols

    def __len__(self) -> int:
        self._must_be_array()
        if not self.axes:
            raise as_numpy(TypeError("len() of unsized object"))
        known = as_int(self.axes[0])
        if known is None:
            raise NeedsConcreteSizes("len() of an axis of symbolic size", size_symbols(self.axes[0]))
        return known

    def __iter__(self) -> Iterator[Array]:
        self._must_be_array()
        if not self.axes:
            raise as_numpy(TypeError("iteration over a 0-d array"))
        if as_int(self.axes[0]) is None:
            raise NeedsConcreteSizes("a loop over an axis of symbolic size", size_symbols(self.axes[0]))
        return iter([self[k] for k in range(len(self))])

    def __bool__(self) -> bool:
        value = self.constant()
        if isinstance(value, Number):
            return value.value != 0
        if value is not None and size_symbols(value) and not has_entry(value):
            raise NeedsConcreteSizes("a branch that depends on the sizes", size_symbols(value))
        help = "use np.where"
        if not current().has_source():
            help += ", or put the code into a file: its source was not found, and such branches are followed by it"
        raise TraceError("a branch that depends on the data, not only on sizes", help=help)

    def __int__(self) -> int:
        return int(self._number())

    def __index__(self) -> int:
        value = self._number()
        if self.kind == "real":
            raise as_numpy(TypeError("only integer scalar arrays can be converted to an index"))
        return int(value)

    def __float__(self) -> float:
        return float(self._number())

    def _number(self) -> Fraction:
        value = self.constant()
        if isinstance(value, Number):
            return value.value
        if value is not None and size_symbols(value) and not has_entry(value):
            raise NeedsConcreteSizes("a number is needed here, not a symbolic size", size_symbols(value))
        raise TraceError("an array's value is needed as a Python number")

    def __getitem__(self, key: Any) -> Any:
        self._must_be_array()
        return OPERATIONS["getitem"](self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(value) is not NotYetThere:
            OPERATIONS["setitem"](self, key, value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        return _operation(name)(*inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        module = function.__module__.removeprefix("numpy").strip(".")
        return _operation(f"{module}.{function.__name__}".strip("."))(*args, **options)


def _operation(name: str) -> Callable[..., Any]:
    if name not in OPERATIONS:
        raise TraceError(f"np.{name} cannot be traced")
    return OPERATIONS[name]


def _binary(name: str, swapped: bool = False) -> Callable[[Array, Any], Any]:
    @hands_on
    def operator(self: Array, other: Any) -> Any:
        if issubclass(type(other), Opaque):
            return other
        return OPERATIONS[name](other, self) if swapped else OPERATIONS[name](self, other)

    return operator


def _unary(name: str) -> Callable[[Array], Any]:
    return hands_on(lambda self: OPERATIONS[name](self))


def _inplace(name: str) -> Callable[[Array, Any], Any]:
    def operator(self: Array, other: Any) -> Any:
        if type(other) is NotYetThere:
            return self
        return OPERATIONS[name](self, other) if self.scalar else OPERATIONS["inplace"](name, self, other)

    return operator


_OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
}
for _symbol, _name in _OPERATORS.items():
    setattr(Array, f"__{_symbol}__", _binary(_name))
    setattr(Array, f"__r{_symbol}__", _binary(_name, swapped=True))
    setattr(Array, f"__i{_symbol}__", _inplace(_name))
for _symbol, _name in {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}.items():
    setattr(Array, f"__{_symbol}__", _binary(_name))
for _symbol, _name in {"eq": "equal", "ne": "not_equal"}.items():
    setattr(Array, f"__{_symbol}__", _binary(_name))
for _symbol, _name in {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}.items():
    setattr(Array, f"__{_symbol}__", _unary(_name))


# --- making arrays ------------------------------------------------------------------------------------------------


def array(
    shape: tuple[Expr, ...], content: Content, kind: str | np.dtype[Any] = "real", *, summed: bool = False
) -> Array:
    """A new array of its own memory; 0-d results are scalars, as in NumPy."""
    return Array(Buffer(shape, content, kind, summed), scalar=not shape)


def scalar(value: Expr, kind: str | np.dtype[Any] = "real", *, weak: bool = False, rounding: int = EXACT) -> Array:
    """A NumPy scalar, or a number of Python's own (`weak`)."""
    result = array((), lambda _: value, kind)
    result.buffer.weak, result.buffer.rounding = weak, rounding
    return result


def has_entry(expr: Expr) -> bool:
    """True if an expression depends on data."""
    return any(isinstance(n, Entry) for n in nodes_once(expr))


def _is_real(value: Content, axes: tuple[Expr, ...], buffer: Buffer) -> bool:
    """True for real numbers, of which the sum with 0 is what is written."""
    return buffer.kind == "real" and not is_infinite(value(axis_indices(axes)))


def _large(buffer: Buffer) -> bool:
    """True if one entry has more than LARGE nodes."""
    stack, count = [buffer.content(axis_indices(buffer.shape))], 0
    while stack and count <= LARGE:
        node = stack.pop()
        count += not isinstance(node, (Number, Index))
        if not isinstance(node, Entry):
            stack += children(node)
    return count > LARGE


__all__ = ["IDENTITY", "Array", "Buffer", "Journal", "View", "array", "has_entry", "scalar"]
