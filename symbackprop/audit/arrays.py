"""Arrays in index notation: axes, and the entry at given places. The algebra of scalars, vectors and matrices.

An array knows no numbers and no names: `at(i, j)` is the expression of an entry. What does not fit raises `Misfit`,
which says how it was read; lengths are joined in a `Lengths` as the operations demand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from symbackprop.audit.lengths import Key, Lengths
from symbackprop.expression.build import (
    ONE,
    Expr,
    Number,
    add,
    close_sum,
    divide,
    fresh,
    kronecker,
    multiply,
    number,
)


class NotRead(Exception):
    """A formula that has no reading: why."""


class Misfit(NotRead):
    """Arrays whose shapes do not fit: `hint` names the convention under which they would."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True)
class Axis:
    """An axis: the class of its length, and the number of its first entry.

    With the origin 0 an entry for the bias stands before the entries that `key` counts.
    """

    key: Key
    origin: int = 1

    def size(self, lengths: Lengths) -> Expr:
        """How many entries it has."""
        size = lengths.size(self.key)
        return add(size, ONE) if self.origin == 0 else size


At = Callable[..., Expr]


@dataclass(frozen=True)
class Array:
    """Entries over some axes.

    Args:
        row: of a vector: it is a row.
        upper, lower: of a derivative: what was differentiated, and by what; the last axes are those of `lower`.
    """

    axes: tuple[Axis, ...]
    at: At
    row: bool = False
    upper: object = None
    lower: object = None
    split: int = 0

    @property
    def rank(self) -> int:
        """0 for a scalar, 1 for a vector, 2 for a matrix."""
        return len(self.axes)


def scalar(value: Expr) -> Array:
    """A number."""
    return Array((), lambda: value)


class Algebra:
    """Operations on arrays, which join the lengths of the axes that meet.

    Args:
        elementwise: two vectors side by side, or two matrices that do not fit, are multiplied entry by entry.
        rows: vectors that are not marked are rows.
    """

    def __init__(self, lengths: Lengths, *, elementwise: bool = False, rows: bool = False) -> None:
        self.lengths, self.elementwise, self.rows = lengths, elementwise, rows
        self.read_elementwise = False
        self.grown: list[tuple[Key, Key]] = []  # axes of one length of which one alone has an entry for the bias

    def meet(self, left: Axis, right: Axis) -> Axis:
        """The two axes are one."""
        sizes = self.lengths.size(left.key), self.lengths.size(right.key)
        if sizes[0] is not sizes[1] and all(isinstance(s, Number) for s in sizes):
            raise Misfit(f"an axis of length {sizes[0]} meets one of length {sizes[1]}", "shape")
        self.lengths.join(left.key, right.key)
        if left.origin != right.origin:
            self.grown.append((left.key, right.key))
            raise Misfit("an axis with an entry for the bias meets one without")
        return left

    def each(self, function: Callable[..., Expr], *arrays: Array) -> Array:
        """A function of entries at the same place; scalars go everywhere, vectors along the rows of a matrix."""
        rank = max(a.rank for a in arrays)
        full = [a for a in arrays if a.rank == rank]
        for other in full[1:]:
            for a, b in zip(full[0].axes, other.axes, strict=True):
                self.meet(a, b)
        takes: list[Callable[[tuple[Expr, ...]], Expr]] = [self._taken(a, full[0]) for a in arrays]

        def at(*places: Expr) -> Expr:
            return function(*(take(places) for take in takes))

        return Array(full[0].axes, at, all(a.row for a in full))

    def _taken(self, array: Array, full: Array) -> Callable[[tuple[Expr, ...]], Expr]:
        if array.rank == full.rank:
            return lambda places: array.at(*places)
        if array.rank == 0:
            return lambda places: array.at()
        if array.rank == 1 and full.rank == 2:
            axis = 1 if array.row or self.rows else 0
            self.meet(array.axes[0], full.axes[axis])
            return lambda places: array.at(places[axis])
        raise Misfit(f"arrays of rank {array.rank} and {full.rank} do not go together")

    def plus(self, *arrays: Array) -> Array:
        """The sum."""
        return self.each(add, *arrays)

    def hadamard(self, left: Array, right: Array) -> Array:
        """The product entry by entry."""
        return self.each(multiply, left, right)

    def over(self, left: Array, right: Array) -> Array:
        """The quotient, entry by entry."""
        return self.each(divide, left, right)

    def contracted(self, axis: Axis, body: Callable[[Expr], Expr]) -> Expr:
        """The sum of `body` over the places of an axis."""
        index = fresh("k", axis.size(self.lengths))
        return close_sum(index, body(index))

    def times(self, left: Array, right: Array, *, dot: bool = False) -> Array:
        """The product of scalars, vectors and matrices side by side."""
        if not left.rank or not right.rank:
            full, other = (left, right) if left.rank else (right, left)
            return replace(full, at=lambda *places: multiply(other.at(), full.at(*places)), upper=None, lower=None)
        chained = self._chained(left, right)
        if chained is not None:
            return chained
        if left.rank == right.rank == 1:
            return self._vectors(left, right, dot)
        if left.rank == 2 and right.rank == 2:
            axis = self.meet(left.axes[1], right.axes[0])

            def at(i: Expr, j: Expr) -> Expr:
                return self.contracted(axis, lambda k: multiply(left.at(i, k), right.at(k, j)))

            return Array((left.axes[0], right.axes[1]), at)
        if left.rank == 2 and right.rank == 1:
            if right.row and not self.rows:
                raise Misfit("a matrix stands before a row")
            axis = self.meet(left.axes[1], right.axes[0])
            return Array(
                (left.axes[0],), lambda i: self.contracted(axis, lambda k: multiply(left.at(i, k), right.at(k)))
            )
        if left.rank == 1 and right.rank == 2:
            if not left.row and not self.rows:
                raise Misfit("a column stands before a matrix", "vectors are rows")
            axis = self.meet(left.axes[0], right.axes[0])
            return Array(
                (right.axes[1],),
                lambda j: self.contracted(axis, lambda k: multiply(left.at(k), right.at(k, j))),
                True,
            )
        raise Misfit(f"arrays of rank {left.rank} and {right.rank} cannot be multiplied")

    def _vectors(self, left: Array, right: Array, dot: bool) -> Array:
        if (left.row and not right.row) or (dot and left.row == right.row):
            axis = self.meet(left.axes[0], right.axes[0])
            return scalar(self.contracted(axis, lambda k: multiply(left.at(k), right.at(k))))
        if right.row and not left.row:
            return Array((left.axes[0], right.axes[0]), lambda i, j: multiply(left.at(i), right.at(j)))
        if self.elementwise:
            layers = {
                a.key[3] for a in (left.axes[0], right.axes[0]) if isinstance(a.key, tuple) and a.key[0] == "axis"
            }
            if len(layers - {None}) > 1:  # layers need not be equally wide: a weight is meant, and no matrix was seen
                raise Misfit("vectors of two layers stand side by side")
            self.read_elementwise = True
            return self.hadamard(left, right)
        raise Misfit("two columns stand side by side", "vectors side by side are multiplied entry by entry")

    def _chained(self, left: Array, right: Array) -> Array | None:
        """A product of derivatives, dA/dB times dB/dC in either order: summed over the entries of B."""
        for one, two in ((left, right), (right, left)):
            if one.lower is not None and one.lower == two.upper and two.lower is not None:
                count = one.rank - one.split
                if count == 0 or count != two.split:
                    continue
                shared = [self.meet(a, b) for a, b in zip(one.axes[one.split :], two.axes[: two.split], strict=True)]
                return self._chain(one, two, shared)
        return None

    def _chain(self, one: Array, two: Array, shared: list[Axis]) -> Array:
        def at(*places: Expr) -> Expr:
            running = [fresh("k", axis.size(self.lengths)) for axis in shared]
            body = multiply(one.at(*places[: one.split], *running), two.at(*running, *places[one.split :]))
            for index in reversed(running):
                body = close_sum(index, body)
            return body

        axes = (*one.axes[: one.split], *two.axes[two.split :])
        return Array(axes, at, one.row, one.upper, two.lower, one.split)

    def outer(self, left: Array, right: Array) -> Array:
        """The outer product of two vectors."""
        if left.rank != 1 or right.rank != 1:
            raise Misfit("an outer product is one of vectors")
        return Array((left.axes[0], right.axes[0]), lambda i, j: multiply(left.at(i), right.at(j)))

    def transposed(self, array: Array) -> Array:
        """The transpose; of a vector a row."""
        if array.rank == 0:
            return array
        if array.rank == 1:
            return Array(array.axes, array.at, not array.row)
        if array.rank == 2:
            return Array((array.axes[1], array.axes[0]), lambda i, j: array.at(j, i))
        raise Misfit(f"no transpose of an array of rank {array.rank}")

    def summed(self, array: Array) -> Array:
        """The sum of all entries."""
        running = [fresh("k", axis.size(self.lengths)) for axis in array.axes]
        body = array.at(*running)
        for index in reversed(running):
            body = close_sum(index, body)
        return scalar(body)

    def identity(self, key: Key) -> Array:
        """The identity matrix."""
        axis = Axis(key)
        return Array((axis, axis), kronecker)


def constant_of(expr: Expr) -> int | None:
    """The integer that an expression is."""
    return int(expr.value) if isinstance(expr, Number) and expr.value.denominator == 1 else None


__all__ = ["Algebra", "Array", "Axis", "Misfit", "NotRead", "constant_of", "number", "scalar"]
