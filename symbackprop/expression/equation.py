"""One equation: a tensor, entry by entry."""

from __future__ import annotations

from dataclasses import dataclass, field

from symbackprop.expression.build import Entry, Expr, Index, Tensor, substitute
from symbackprop.expression.shown import Shown


@dataclass(frozen=True, repr=False)
class Equation(Shown):
    """tensor[indices] = value, for all values of the indices, which are free in `value`.

    Args:
        note: where it comes from, in the user's words: a variable name, "line 12", "layer 2".
        written: the user's expression that computes the tensor, where it has no name: "w.sum()"; "" if not known.
    """

    tensor: Tensor
    indices: tuple[Index, ...]
    value: Expr
    note: str = ""
    written: str = field(default="", compare=False)

    @property
    def left(self) -> Entry:
        """The entry that is defined."""
        return Entry(self.tensor, self.indices)

    def at(self, indices: tuple[Expr, ...]) -> Expr:
        """The value of the entry with these indices."""
        return substitute(self.value, dict(zip(self.indices, indices, strict=True)))
