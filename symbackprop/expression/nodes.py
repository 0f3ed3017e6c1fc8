"""The nodes of expressions: frozen, interned data without behaviour.

Two nodes with the same contents are the same object, so `is`, `==` and hashing cost nothing. Equality of nodes is
equality of *representation*; equality of meaning is `normal_form.Canonical.equal`. How nodes are made and walked is in
`build`.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeVar

from symbackprop.expression.functions import Function, known

T = TypeVar("T")
_TABLE: dict[Any, Any] = {}
_counter = itertools.count(1)


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection inside: interned nodes live for good, so the collector would walk them all in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Interned(type):
    """Makes a class return the same object for the same arguments."""

    def __call__(cls: type[T], *args: Any) -> T:
        fields = cls.__dataclass_fields__  # type: ignore[attr-defined]
        if len(args) < len(fields):  # the same contents with or without defaults are one node
            args += tuple(f.default for f in list(fields.values())[len(args) :])
        key = (cls, *args)
        node = _TABLE.get(key)
        if node is None:
            node = _TABLE[key] = type.__call__(cls, *args)
        return node  # type: ignore[no-any-return]


class _Node(metaclass=_Interned):
    """What is compared by identity: read from a pickle, it is the node that there is already."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), _fields(self)


class Expr(_Node):
    """Base of all nodes."""

    __slots__ = ()


@dataclass(frozen=True, eq=False)
class Number(Expr):
    """An exact rational."""

    value: Fraction


@dataclass(frozen=True, eq=False)
class Symbol(Expr):
    """A scalar without indices: the size of an axis (an integer >= 1), a real hyper-parameter, or a positive one."""

    name: str
    kind: Literal["size", "real", "positive"] = "real"


@dataclass(frozen=True, eq=False)
class Index(Expr):
    """An integer from 0 to size - 1; `uid` tells bound indices (> 0) of the same name apart, free ones have 0."""

    name: str
    size: Expr
    uid: int = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """A bound index that is read from a pickle is fresh here; in one pickle it is one index."""
        return (fresh, (self.name, self.size)) if self.uid else super().__reduce__()


def fresh(name: str, size: Expr) -> Index:
    """A new bound index: no other has its uid. Only constructors and code that opens a binder call it."""
    return Index(name, size, next(_counter))


@dataclass(frozen=True, eq=False)
class Tensor(_Node):
    """A named array; `shape` holds integer expressions, `kind` says whether its entries are reals or integers."""

    name: str
    shape: tuple[Expr, ...] = ()
    kind: Literal["real", "integer"] = "real"


@dataclass(frozen=True, eq=False)
class SymmetricTensor(Tensor):
    """An input whose matrices, along its last two axes, are symmetric: entries [i,j] and [j,i] are one number."""


def alike(tensor: Tensor, name: str, shape: tuple[Expr, ...]) -> Tensor:
    """A tensor of the same kind under another name or of another shape."""
    return (SymmetricTensor if isinstance(tensor, SymmetricTensor) else Tensor)(name, shape, tensor.kind)


@dataclass(frozen=True, eq=False)
class Entry(Expr):
    """One entry of a tensor; the indices are integer expressions: i, i + H, y[n] ..."""

    tensor: Tensor
    indices: tuple[Expr, ...] = ()


@dataclass(frozen=True, eq=False)
class Add(Expr):
    """A sum of at least two terms."""

    terms: tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Multiply(Expr):
    """A product of at least two factors."""

    factors: tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Power(Expr):
    """base ** exponent; a root is a power with a fraction, a quotient one with a negative exponent."""

    base: Expr
    exponent: Expr


@dataclass(frozen=True, eq=False)
class Sum(Expr):
    """The contraction of `body` over all values of the bound index."""

    index: Index
    body: Expr


@dataclass(frozen=True, eq=False)
class Extremum(Expr):
    """The largest ("max") or smallest ("min") value of `body` over the bound index."""

    kind: Literal["max", "min"]
    index: Index
    body: Expr


@dataclass(frozen=True, eq=False)
class Position(Expr):
    """The first value of the bound index at which `body` is largest ("max") or smallest ("min"): an integer."""

    kind: Literal["max", "min"]
    index: Index
    body: Expr


@dataclass(frozen=True, eq=False)
class Family(Expr):
    """The values that `body` takes over the bound index, all together: no number, only a part of a `MatrixEntry`."""

    index: Index
    body: Expr


@dataclass(frozen=True, eq=False)
class MatrixEntry(Expr):
    """What is made of a whole square matrix: an entry of its inverse or of its Cholesky factor, or its determinant.

    Args:
        kind: "inverse" and "cholesky" (the lower factor; what stands above the diagonal is not read) have an entry at
            two `places`; "determinant" and "logdet", the logarithm of its magnitude, have none.
        matrix: a family of rows, each a family of entries.
    """

    kind: Literal["inverse", "cholesky", "determinant", "logdet"]
    matrix: Family
    places: tuple[Expr, ...] = ()


@dataclass(frozen=True, eq=False)
class Apply(Expr):
    """A scalar function of one or two expressions."""

    function: Function
    arguments: tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Kronecker(Expr):
    """1 if the two integers are equal, else 0."""

    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False)
class Compare(Expr):
    """1 if the relation holds between two values, else 0."""

    relation: Literal["<", "<=", "=="]
    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False)
class Where(Expr):
    """`then` where the condition (a value 0 or 1) is 1, else `otherwise`; the other branch is not evaluated."""

    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, eq=False)
class Quotient(Expr):
    """The integer quotient left // right, rounded down."""

    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False)
class Remainder(Expr):
    """The remainder left % right, with 0 <= remainder < right."""

    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False)
class Partial(Expr):
    """The partial derivative of an expression with respect to one entry, all other tensors held fixed."""

    expression: Expr
    variable: Entry


@dataclass(frozen=True, eq=False)
class Total(Expr):
    """The derivative of the cost with respect to one entry of a tensor, along every path through the program."""

    cost: Entry
    variable: Entry


def _fields(node: _Node) -> tuple[Any, ...]:
    return tuple(getattr(node, name) for name in node.__dataclass_fields__)  # type: ignore[attr-defined]


def interned(value: Any) -> Any:
    """Nodes, functions and tuples of them as this process has them, whatever made the given ones.

    Pickles of before nodes took care of that themselves hold nodes that equal no other.
    """
    if isinstance(value, _Node):
        return type(value)(*map(interned, _fields(value)))
    if isinstance(value, tuple):
        return tuple(map(interned, value))
    return known(value) if isinstance(value, Function) else value
