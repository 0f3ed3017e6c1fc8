"""What a loop over a symbolic range may go through: ranges, arrays, lists, and these zipped, counted or reversed."""

from typing import Any

from symbackprop.expression.build import (
    ONE,
    ZERO,
    Expr,
)
from symbackprop.frontends.numpy.array import Array, array
from symbackprop.frontends.numpy.creation import progression
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, size_symbols
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import (
    as_int,
    is_so,
    minus,
)
from symbackprop.frontends.numpy.size import SymbolicItems, SymbolicIterator, SymbolicList, SymbolicRange


def items_of_symbolic_length(value: Any) -> SymbolicItems | None:
    """What a loop goes through, if its length is no number."""
    if isinstance(value, SymbolicIterator):
        value = value.taken()
    if isinstance(value, SymbolicItems):
        return value
    if isinstance(value, SymbolicList):
        length = value.length
        return None if as_int(length) is not None else SymbolicItems(length, lambda i: value[number_of(i)])
    if isinstance(value, SymbolicRange):
        start, stop, step = (0, *value.bounds, 1) if len(value.bounds) == 1 else (*value.bounds, 1)[:3]
        length, number_at = progression(start, stop, step)
        first = number_at(ZERO)
        rising = minus(number_at(ONE), first) is ONE
        return SymbolicItems(length, lambda i: number_of(number_at(i)), first if rising else None)
    if isinstance(value, Array) and value.axes and as_int(value.axes[0]) is None:
        return SymbolicItems(value.axes[0], lambda i: value[number_of(i)])
    return None


def number_of(value: Expr) -> Array:
    """An integer expression as a number of Python's."""
    result = array((), lambda _: value, "integer")
    result.buffer.weak = True
    return result


def index_name(session: Any) -> str:
    """How the index of a loop that begins now is called."""
    return f"k{len(session.loops) + 1}" if session.loops else "k"


def _symbolic(values: Any) -> list[SymbolicItems] | None:
    found = [items_of_symbolic_length(v) for v in values]
    if all(f is None for f in found):
        return None
    symbolic = [f for f in found if f is not None]
    if len(symbolic) < len(found) or any(is_so("==", f.length, symbolic[0].length) is not True for f in symbolic):
        lengths = [f.length for f in symbolic]
        raise NeedsConcreteSizes(
            "sequences of lengths that may differ are gone through together", size_symbols(*lengths)
        )
    return symbolic


def _numbers(*values: Any) -> list[Array]:
    """The arrays whose numbers are items of these, or in their items."""
    found: list[Array] = []
    for value in values:
        held = value.whole if isinstance(value, SymbolicList) else value
        if isinstance(held, Array) and held.ndim == 1:
            found.append(held)
        found += value.numbers if isinstance(value, SymbolicIterator) else []
    return found


def zipped(*values: Any, **options: Any) -> Any:
    """zip(*values)."""
    found = _symbolic(values)
    if found is None:
        return zip(*values, **options)  # noqa: B905 (as the user's code has it)
    return SymbolicIterator(
        SymbolicItems(found[0].length, lambda i: tuple(f.item(i) for f in found)), _numbers(*values)
    )


def enumerated(values: Any, start: Any = 0) -> Any:
    """enumerate(values, start)."""
    found = _symbolic([values])
    if found is None:
        return enumerate(values, start)
    numbered = SymbolicItems(found[0].length, lambda i: (OPERATIONS["add"](number_of(i), start), found[0].item(i)))
    return SymbolicIterator(numbered, _numbers(values))


def reversed_items(values: Any) -> Any:
    """reversed(values)."""
    found = _symbolic([values])
    if found is None:
        return reversed(values)
    last = minus(found[0].length, ONE)
    return SymbolicIterator(SymbolicItems(found[0].length, lambda i: found[0].item(minus(last, i))), _numbers(values))
