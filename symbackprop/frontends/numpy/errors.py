"""Why a trace stops: sizes that must be numbers, shapes that do not fit, and whatever cannot be followed at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import Expr, Quotient, Remainder, Symbol, free_indices, nodes_once
from symbackprop.expression.program import symbols
from symbackprop.rendering.text import to_text


class NeedsConcreteSizes(TraceError):
    """The function cannot be followed for all sizes, but it can where `symbols` are fixed to numbers.

    `Tracer(..., sizes={"T": 3})` fixes a size; the others stay symbolic.

    Args:
        questions: relations between sizes that would tell, each with its opposite, as `where` takes them.
    """

    def __init__(
        self, what: str, symbols: Iterable[str] = (), questions: Sequence[tuple[str, str]] = (), **parts: Any
    ) -> None:
        self.symbols, self.questions = tuple(symbols), tuple(questions)
        super().__init__(what, **parts)


class ShapesDoNotFit(TraceError):
    """NumPy would refuse these shapes, unless some sizes happen to be equal or 1.

    Args:
        raised: what NumPy raises then.
        sizes: those that do not fit.
        questions: which of them must divide, each with its opposite: they fit in halves, it may be, of an even size.
    """

    def __init__(
        self,
        what: str,
        raised: type[Exception] = ValueError,
        sizes: Iterable[Expr] = (),
        questions: Sequence[tuple[str, str]] = (),
        **parts: Any,
    ) -> None:
        self.raised, self.sizes = raised, tuple(sizes)
        self.symbols = size_symbols(*self.sizes)
        self.questions = tuple(questions) or divisions(*self.sizes)
        super().__init__(what, **{"help": dividing(self.questions), **parts})


class NeverFits(ShapesDoNotFit):
    """NumPy refuses these shapes at all sizes of the domain."""


class CodeRaisesError(TraceError):
    """The function raised an exception: by its own fault, or because a symbolic array is no real one.

    Args:
        kind: the name of the exception's class.
    """

    def __init__(self, what: str, kind: str = "", **parts: Any) -> None:
        self.kind = kind
        super().__init__(what, **parts)


def divisions(*sizes: Expr) -> tuple[tuple[str, str], ...]:
    """Whether each of the divisions in sizes goes without a remainder, and the opposite, as `where` takes them."""
    parts = [n for size in sizes for n in nodes_once(size) if isinstance(n, (Quotient, Remainder))]
    rests = dict.fromkeys(to_text(Remainder(n.left, n.right)) for n in parts if not free_indices(n))
    return tuple((f"{rest} == 0", f"{rest} > 0") for rest in rests)


def dividing(questions: Sequence[tuple[str, str]]) -> str | None:
    """What to do about sizes that may have to divide."""
    return f'if sizes divide, say so: where="{", ".join(holds for holds, _ in questions)}"' if questions else None


def size_symbols(*expressions: Expr) -> tuple[str, ...]:
    """The names of the size symbols inside, in order of first use."""
    found = [s.name for e in expressions for s in symbols(e) if isinstance(s, Symbol) and s.kind == "size"]
    return tuple(dict.fromkeys(found))
