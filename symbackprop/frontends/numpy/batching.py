"""vmap: a function of one example, run once with the example's number as a free index, which becomes an axis.

Whatever the function computes depends on that index, and what it writes down as an equation has an axis for it
(`Session.rounds`). So names and lines are kept, and the number of examples stays symbolic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import Expr, fresh, substitute
from symbackprop.frontends.numpy.array import Array, array
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import current
from symbackprop.frontends.structures import remade

Convert = Callable[[Any], Any]


class _Examples:
    """The examples, which a session takes for the rounds of a loop that carry nothing on.

    Args:
        index: the example's number.
    """

    def __init__(self, index: Any) -> None:
        self.index = index

    def stop(self) -> TraceError:
        """What to say where a loop around it carries something on."""
        return TraceError("vmap inside a loop over a symbolic range cannot be traced")


def batched(function: Callable[..., Any], in_axes: Any, out_axes: Any, bare: Convert, dressed: Convert) -> Any:
    """The function over a new axis of its arguments.

    Args:
        in_axes: the axis of each argument, None for one that all examples share; of nested arguments nested alike.
        out_axes: where the axis stands in what is returned.
        bare, dressed: from a framework's arrays to plain ones, and back.
    """

    def run(*args: Any) -> Any:
        axes = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        parts = [_leaves(a, k, bare) for a, k in zip(args, axes, strict=True)]
        mapped = [leaf for leaves in parts for leaf in leaves if leaf[1] is not None]
        if not mapped:
            raise TraceError("vmap over no argument cannot be traced")
        first, axis = mapped[0]
        example = fresh("e", first.axes[axis])
        running = current().loops
        running.append(_Examples(example))
        try:
            given = [_example(a, k, example, bare, dressed) for a, k in zip(args, axes, strict=True)]
            return _collected(function(*given), out_axes, example, bare, dressed)
        finally:
            running.pop()

    return run


def _leaves(value: Any, axis: Any, bare: Convert) -> list[tuple[Any, int | None]]:
    if isinstance(value, (tuple, list)):
        axes = axis if isinstance(axis, (tuple, list)) else (axis,) * len(value)
        return [leaf for v, k in zip(value, axes, strict=True) for leaf in _leaves(v, k, bare)]
    if isinstance(value, dict):
        return [
            leaf for n, v in value.items() for leaf in _leaves(v, axis[n] if isinstance(axis, dict) else axis, bare)
        ]
    plain = bare(value)
    if axis is None or not isinstance(plain, Array):
        return [(plain, None)]
    return [(plain, int(axis) % plain.ndim)]


def _example(value: Any, axis: Any, example: Expr, bare: Convert, dressed: Convert) -> Any:
    """One example of an argument."""
    if isinstance(value, (tuple, list)):
        axes = axis if isinstance(axis, (tuple, list)) else (axis,) * len(value)
        return remade(value, [_example(v, k, example, bare, dressed) for v, k in zip(value, axes, strict=True)])
    if isinstance(value, dict):
        return {n: _example(v, axis[n] if isinstance(axis, dict) else axis, example, bare, dressed)
                for n, v in value.items()}  # fmt: skip
    plain = bare(value)
    if axis is None or not isinstance(plain, Array):
        return value
    moved = OPERATIONS["moveaxis"](plain, axis, 0)
    content = moved.read()
    return dressed(array(moved.axes[1:], lambda i: content((example, *i)), moved.dtype))


def _collected(value: Any, axis: Any, example: Any, bare: Convert, dressed: Convert) -> Any:
    """What the function returned for one example, for all of them."""
    if isinstance(value, (tuple, list)):
        axes = axis if isinstance(axis, (tuple, list)) else (axis,) * len(value)
        return remade(value, [_collected(v, k, example, bare, dressed) for v, k in zip(value, axes, strict=True)])
    if isinstance(value, dict):
        return {n: _collected(v, axis, example, bare, dressed) for n, v in value.items()}
    plain = as_array(bare(value))
    content = plain.read()
    whole = array(
        (example.size, *plain.axes),
        lambda i: substitute(content(i[1:]), {example: i[0]}),
        plain.dtype,
        summed=plain.buffer.summed,
    )
    return dressed(whole if axis == 0 else OPERATIONS["moveaxis"](whole, 0, axis))


__all__ = ["batched"]
