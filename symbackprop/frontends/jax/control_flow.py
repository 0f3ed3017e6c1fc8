"""jax.lax's loops and branches, in Python's own: a loop over a symbolic number of steps is one of `numpy.loops`.

Source: the equivalent Python code in JAX's documentation of each function.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, Expr, add, fresh
from symbackprop.frontends.jax.array import bare, dressed
from symbackprop.frontends.jax.functions import LAX
from symbackprop.frontends.numpy.array import Journal, array
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, ShapesDoNotFit, size_symbols
from symbackprop.frontends.numpy.loops import Loop
from symbackprop.frontends.numpy.operands import as_array, integer_of
from symbackprop.frontends.numpy.registry import OPERATIONS as N
from symbackprop.frontends.numpy.session import as_int, current, guarded, is_so, minus, reduced
from symbackprop.frontends.numpy.size import SymbolicItems
from symbackprop.frontends.structures import leaves_of, like

MOST_STEPS = 64


def _enter(name: str) -> Callable[[Any], Any]:
    def enter(make: Any) -> Any:
        LAX[name] = guarded(make)
        return make

    return enter


@_enter("scan")
def scan(
    f: Any, init: Any, xs: Any = None, length: Any = None, reverse: Any = False, unroll: Any = 1, **_: Any
) -> tuple[Any, Any]:
    """(the last carry, what each step gives, stacked)."""
    leaves = list(leaves_of(xs))
    sizes = [as_array(bare(leaf)).axes[0] for leaf in leaves]
    count = sizes[0] if sizes else length
    if any(is_so("==", n, sizes[0]) is not True for n in sizes):
        raise ShapesDoNotFit("jax.lax.scan over arrays of several lengths")
    if _symbolic(count):
        return _recurrence(f, init, SymbolicItems(_size(count), lambda k: _each(xs, lambda v: v[_place(k)])), reverse)
    steps = _steps("scan", count)
    carry, found = init, {}
    for k in reversed(range(steps)) if reverse else range(steps):
        carry, found[k] = f(carry, _each(xs, operator.itemgetter(k)))
    return carry, _together([found[k] for k in range(steps)], N["stack"])


class _Rounds(Loop):
    """A loop of JAX's: what it carries from round to round has names here, in place of the user's code."""

    def __init__(self, items: SymbolicItems, held: dict[str, Any]) -> None:
        super().__init__(items, tuple(held), True, ())
        self.held_here = held

    def _locals(self) -> dict[str, Any]:
        return dict(self.held_here)

    def _find_growing(self) -> None:
        super()._find_growing()
        for name, value in self.held_here.items():
            if isinstance(value, list):  # nothing else holds it
                self.referred[id(value)] = [name]
                self._let_grow(value, known=True)


def _recurrence(f: Any, init: Any, items: SymbolicItems, reverse: bool) -> tuple[Any, Any]:
    """`scan` over a symbolic number of steps: rounds of a loop, the last item first where it runs in reverse."""
    if reverse:
        forwards, last = items.item, minus(items.length, ONE)
        items = SymbolicItems(items.length, lambda k: forwards(minus(last, k)))
    given = _tried(lambda: f(init, items.item(fresh("k", items.length)))[1])  # which arrays a step gives
    word, leaves = _first_argument(f), leaves_of(init)
    starts = {word if len(leaves) == 1 else f"{word}{k + 1}": as_array(bare(v)) for k, v in enumerate(leaves)}
    given_names = [f"given {k}" for k, _ in enumerate(leaves_of(given))]  # no name of the user's
    rounds = _Rounds(items, {**starts, **{n: [] for n in given_names}})
    held = rounds.held_here
    for item in rounds:
        held.update({n: rounds.before(n) for n in held})
        carry, gives = f(like(init, iter([dressed(held[n]) for n in starts])), item)
        if len(leaves_of(carry)) != len(starts) or len(leaves_of(gives)) != len(given_names):
            raise ShapesDoNotFit("jax.lax.scan whose steps give other structures than they take")
        for n, value in zip(starts, leaves_of(carry), strict=True):
            held[n] = as_array(bare(value))
        for n, value in zip(given_names, leaves_of(gives), strict=True):
            held[n].append(as_array(bare(value)))
    stacked = [N["stack"](rounds.after(n)) for n in given_names]
    stacked = [N["flip"](v, 0) for v in stacked] if reverse else stacked
    carried = [dressed(as_array(rounds.after(n))) for n in starts]
    return like(init, iter(carried)), like(given, iter([dressed(v) for v in stacked]))


def _tried(call: Callable[[], Any]) -> Any:
    """What a call gives; the trace does not remember it."""
    session = current()
    memory, journal = session.memory(), Journal(session.place(), settling=True)
    session.journals.append(journal)
    found = call()
    session.journals.remove(journal)
    for buffer, state in journal.before.items():
        buffer.restore(state)
    session.recall(memory)
    return found


def _first_argument(f: Any) -> str:
    """What the user calls the carry."""
    code = getattr(f, "__code__", None)
    return code.co_varnames[0] if code is not None and code.co_argcount else "carry"


def _symbolic(size: Any) -> bool:
    """True of a number of steps that is no known integer."""
    known = _size(size)
    return known is not None and as_int(reduced(known)) is None


def _size(size: Any) -> Any:
    return size if isinstance(size, Expr) else integer_of(bare(size))


def _place(k: Expr) -> Any:
    """An integer of the trace as an index."""
    return array((), lambda _: k, "integer")


@_enter("map")
def _map(f: Any, xs: Any, **_: Any) -> Any:
    return scan(lambda carry, x: (carry, f(x)), None, xs)[1]


@_enter("fori_loop")
def _fori_loop(lower: Any, upper: Any, body_fun: Any, init_val: Any, **_: Any) -> Any:
    if _symbolic(lower) or _symbolic(upper):
        begin = _size(lower)
        items = SymbolicItems(minus(_size(upper), begin), lambda k: dressed(_place(reduced(add(begin, k)))))
        return _recurrence(lambda value, k: (body_fun(k, value), None), init_val, items, False)[0]
    first, last = (_steps("fori_loop", bound) for bound in (lower, upper))
    value = init_val
    for k in range(first, last):
        value = body_fun(k, value)
    return value


@_enter("cond")
def _cond(pred: Any, true_fun: Any, false_fun: Any, *operands: Any, **_: Any) -> Any:
    """Both branches, and of every array the entries of the one that is taken."""
    if isinstance(pred, bool):
        return (true_fun if pred else false_fun)(*operands)
    then, otherwise = true_fun(*operands), false_fun(*operands)
    return _together([then, otherwise], lambda pair: N["where"](bare(pred), *pair))


def _steps(what: str, size: Any) -> int:
    """A number of steps, or a bound.

    Raises:
        NeedsConcreteSizes: it is symbolic.
    """
    known = _size(size)
    steps = None if known is None else as_int(reduced(known))
    if known is None:
        raise TraceError(f"jax.lax.{what} over {type(size).__name__}")
    if steps is None:
        raise NeedsConcreteSizes(f"jax.lax.{what} over a symbolic number of steps", size_symbols(known))
    if steps > MOST_STEPS:
        raise TraceError(f"jax.lax.{what} of more than {MOST_STEPS} steps cannot be traced")
    return steps


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same structure with each leaf changed."""
    if isinstance(value, dict):
        return {n: _each(v, change) for n, v in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [_each(v, change) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return None if value is None else change(value)


def _together(values: list[Any], how: Callable[[list[Any]], Any]) -> Any:
    """Structures of one kind as one of them, each leaf made from theirs."""
    first = values[0] if values else None
    if isinstance(first, dict):
        return {n: _together([v[n] for v in values], how) for n in first}
    if isinstance(first, (tuple, list)):
        parts = [_together([v[k] for v in values], how) for k in range(len(first))]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    if first is None:
        return None
    return dressed(how([as_array(bare(v)) for v in values]))


__all__ = ["scan"]
