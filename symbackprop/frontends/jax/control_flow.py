"""jax.lax's loops and branches, in Python's own: a loop over a symbolic number of steps asks for that number.

Source: the equivalent Python code in JAX's documentation of each function.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import Expr
from symbackprop.frontends.jax.array import bare, dressed
from symbackprop.frontends.jax.functions import LAX
from symbackprop.frontends.jax.rounds import MOST_LEAVES, one_by_one
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, ShapesDoNotFit, size_symbols
from symbackprop.frontends.numpy.operands import as_array, integer_of
from symbackprop.frontends.numpy.registry import OPERATIONS as N
from symbackprop.frontends.numpy.session import as_int, current, guarded, is_so, reduced
from symbackprop.frontends.numpy.size import size

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
    leaves = list(_leaves(xs))
    sizes = [as_array(bare(leaf)).axes[0] for leaf in leaves]
    if sizes and as_int(reduced(sizes[0])) is None and all(is_so("==", n, sizes[0]) is True for n in sizes):
        return _over_any_number(f, init, xs, sizes[0], bool(reverse))
    steps = _steps("scan", sizes[0] if sizes else length)
    if any(as_int(reduced(n)) != steps for n in sizes):
        raise ShapesDoNotFit("jax.lax.scan over arrays of several lengths")
    carry, found = init, {}
    for k in reversed(range(steps)) if reverse else range(steps):
        carry, found[k] = f(carry, _each(xs, operator.itemgetter(k)))
    return carry, _together([found[k] for k in range(steps)], N["stack"])


def _over_any_number(f: Any, init: Any, xs: Any, length: Expr, reverse: bool) -> tuple[Any, Any]:
    """A scan over a symbolic number of steps, as the loop that it is."""
    steps = size(length)

    def item(k: Any) -> Any:
        place = steps - 1 - k if reverse else k
        return _each(xs, lambda leaf: leaf[place])

    def whole(*state: Any) -> Any:
        parts = iter(state)
        return _each(init, lambda _: dressed(as_array(next(parts))))

    def leaf(value: Any, place: int) -> Any:
        leaves = _leaves(value)
        return as_array(bare(leaves[place])) if place < len(leaves) else 0.0

    shown = f(init, item(0))[1]  # what a step gives, before there is a loop
    if max(len(_leaves(init)), len(_leaves(shown))) > MOST_LEAVES:
        raise NeedsConcreteSizes("jax.lax.scan over a symbolic number of steps", size_symbols(length))
    start = (leaf(init, k) for k in range(MOST_LEAVES))
    rounds = current().rebuild(one_by_one)
    state, made = rounds(f, *start, steps, guarded(whole), guarded(leaf), guarded(item))
    given = iter(made)

    def stacked(_: Any) -> Any:
        outs = N["stack"](next(given))
        return dressed(N["flip"](outs, 0) if reverse else outs)

    return whole(*state), _each(shown, stacked)


@_enter("map")
def _map(f: Any, xs: Any, **_: Any) -> Any:
    return scan(lambda carry, x: (carry, f(x)), None, xs)[1]


@_enter("fori_loop")
def _fori_loop(lower: Any, upper: Any, body_fun: Any, init_val: Any, **_: Any) -> Any:
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
    known = size if isinstance(size, Expr) else integer_of(bare(size))
    steps = None if known is None else as_int(reduced(known))
    if known is None:
        raise TraceError(f"jax.lax.{what} over {type(size).__name__}")
    if steps is None:
        raise NeedsConcreteSizes(f"jax.lax.{what} over a symbolic number of steps", size_symbols(known))
    if steps > MOST_STEPS:
        raise TraceError(f"jax.lax.{what} of more than {MOST_STEPS} steps cannot be traced")
    return steps


def _leaves(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return [leaf for n in sorted(value) for leaf in _leaves(value[n])]
    if isinstance(value, (tuple, list)):
        return [leaf for v in value for leaf in _leaves(v)]
    return [] if value is None else [value]


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
