"""What is written into a vector piece by piece, as the gradients of all layers into one buffer.

A piece is a range of places. As long as no two of them overlap, what is read of a piece is what was written there:
nobody asks about the others, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from symbackprop.expression.build import Expr
from symbackprop.frontends.numpy.session import Content, is_so, minus


class HasContent(Protocol):
    """The memory of an array."""

    content: Content


Held = TypeVar("Held", bound=HasContent)


@dataclass(frozen=True)
class Piece(Generic[Held]):
    """The places from start up to stop of a vector.

    Args:
        buffer: what stands there, counted from start.
    """

    start: Expr
    stop: Expr
    buffer: Held

    def content(self, indices: tuple[Expr, ...]) -> Expr:
        """The entry at a place of the vector."""
        return self.buffer.content((minus(indices[0], self.start),))


class Pieces(Generic[Held]):
    """Pieces of a vector that do not overlap, in their order.

    Args:
        whole: the contents of the vector of which this is known.
        rest: what stands beside the pieces; where there are none yet, all of it.
    """

    def __init__(self, whole: Content, rest: Content | None = None, pieces: Iterable[Piece[Held]] = ()) -> None:
        self.whole, self._rest, self._pieces = whole, rest or whole, tuple(pieces)

    def at(self, start: Expr, stop: Expr) -> Piece[Held] | None:
        """The piece in which a range of places is known to lie."""
        k = self._last_before(start)
        piece = self._pieces[k] if k >= 0 else None
        inside = piece is not None and (stop is piece.stop or is_so("<=", stop, piece.stop) is True)
        return piece if inside else None

    def before(self, start: Expr, stop: Expr) -> Content | None:
        """What stands in a range of places that is a piece or lies between pieces; None where that is not known."""
        k = self._last_before(start)
        if k >= 0 and self._pieces[k].start is start and self._pieces[k].stop is stop:
            return self._pieces[k].content
        apart = [(p.stop, start) for p in self._pieces[: k + 1][-1:]] + [
            (stop, p.start) for p in self._pieces[k + 1 :][:1]
        ]
        return self._rest if all(a is b or is_so("<=", a, b) is True for a, b in apart) else None

    def written(self, whole: Content, piece: Piece[Held]) -> Pieces[Held]:
        """With one more piece, in such a range.

        Args:
            whole: the contents of the vector from then on.
        """
        k = self._last_before(piece.start)
        same = k >= 0 and self._pieces[k].start is piece.start and self._pieces[k].stop is piece.stop
        return Pieces(whole, self._rest, (*self._pieces[: k + 1 - same], piece, *self._pieces[k + 1 :]))

    def _last_before(self, place: Expr) -> int:
        """The number of the last piece that is known to begin there, or before; -1 if there is none."""
        for k, piece in enumerate(self._pieces):
            if piece.start is place:
                return k
        if self._pieces and place is self._pieces[-1].stop:
            return len(self._pieces) - 1
        low, high = 0, len(self._pieces)
        while low < high:
            middle = (low + high) // 2
            if is_so("<=", self._pieces[middle].start, place) is True:
                low = middle + 1
            else:
                high = middle
        return low - 1
