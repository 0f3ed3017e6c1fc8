"""Derivatives that JAX code asks for itself: vjp, grad, value_and_grad, jvp, linearize.

Source: JAX's documentation of each function. Forward mode is reverse mode twice: what is sent back depends linearly on
the cotangent, and the derivative by the cotangent, along the tangents, is the tangent of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, ZERO, Expr
from symbackprop.frontends.jax.array import bare, dressed
from symbackprop.frontends.numpy.array import Array, array
from symbackprop.frontends.numpy.inner_derivatives import Leaf, leaf, pulled_back
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.session import as_numpy, guarded
from symbackprop.frontends.structures import leaves_of, like

TRANSFORMS: dict[str, Callable[..., Any]] = {}  # by their names in jax


def _enter(function: Callable[..., Any]) -> Callable[..., Any]:
    TRANSFORMS[function.__name__] = guarded(function)
    return function


class _Run:
    """One run of a function, of which derivatives may be asked.

    Args:
        arguments: trees of arrays.
        has_aux: it returns something beside, that has no derivative.
    """

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any], has_aux: bool) -> None:
        self.arguments = tuple(arguments)
        given = [as_array(bare(v)) for v in leaves_of(self.arguments)]
        if any(v.kind != "real" for v in given):
            raise TraceError("a derivative with respect to integers cannot be traced")
        self.leaves: list[Leaf] = [leaf(v) for v in given]
        moved = like(self.arguments, iter([dressed(one.values) for one in self.leaves]))
        result = function(*moved)
        self.aux: Any = None
        if has_aux:
            result, self.aux = result
        self.result = result
        self.outputs = [as_array(bare(v)) for v in leaves_of(result)]

    def pull(self, cotangents: Sequence[Any]) -> list[Array]:
        """The gradients by the arguments' arrays."""
        found = pulled_back(self.outputs, [as_array(bare(c)) for c in cotangents], self.leaves)
        return [_filled(one.values, ZERO) if g is None else g for g, one in zip(found, self.leaves, strict=True)]


@_enter
def vjp(fun: Any, *primals: Any, has_aux: bool = False, **_: Any) -> Any:
    """What a function returns, and what pulls cotangents back through it."""
    run = _Run(fun, primals, has_aux)

    def pull(cotangent: Any) -> Any:
        return like(run.arguments, iter([dressed(g) for g in run.pull(leaves_of(cotangent))]))

    return (run.result, guarded(pull), run.aux) if has_aux else (run.result, guarded(pull))


@_enter
def value_and_grad(fun: Any, argnums: Any = 0, has_aux: bool = False, **_: Any) -> Any:
    """A function that returns the value and the gradient of another one."""
    several = isinstance(argnums, (tuple, list))

    def both(*args: Any, **options: Any) -> Any:
        wanted = [k % len(args) for k in (argnums if several else (argnums,))]

        def of(*moved: Any) -> Any:
            at = dict(zip(wanted, moved, strict=True))
            return fun(*(at.get(k, a) for k, a in enumerate(args)), **options)

        run = _Run(of, [args[k] for k in wanted], has_aux)
        if len(run.outputs) != 1 or run.outputs[0].ndim:
            raise as_numpy(TypeError("Gradient only defined for scalar-output functions."))
        gradients = like(run.arguments, iter([dressed(g) for g in run.pull([_filled(run.outputs[0], ONE)])]))
        value = (run.result, run.aux) if has_aux else run.result
        return value, (gradients if several else gradients[0])

    return guarded(both)


@_enter
def grad(fun: Any, argnums: Any = 0, has_aux: bool = False, **options: Any) -> Any:
    """A function that returns the gradient of another one."""
    both = value_and_grad(fun, argnums, has_aux, **options)

    def gradient(*args: Any, **others: Any) -> Any:
        value, found = both(*args, **others)
        return (found, value[1]) if has_aux else found

    return guarded(gradient)


@_enter
def jvp(fun: Any, primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """What a function returns, and its tangent along the tangents of its arguments."""
    run = _Run(fun, primals, has_aux)
    pushed = _pushed(run, leaves_of(tangents))
    return (run.result, pushed, run.aux) if has_aux else (run.result, pushed)


@_enter
def linearize(fun: Any, *primals: Any, has_aux: bool = False) -> Any:
    """What a function returns, and what sends tangents through it."""
    run = _Run(fun, primals, has_aux)

    def push(*tangents: Any) -> Any:
        return _pushed(run, leaves_of(tangents))

    return (run.result, guarded(push), run.aux) if has_aux else (run.result, guarded(push))


def _pushed(run: _Run, tangents: Sequence[Any]) -> Any:
    """The tangents of the outputs."""
    cotangents = [leaf(_filled(o, ONE)) for o in run.outputs]
    sent = run.pull([one.values for one in cotangents])
    along = pulled_back(sent, [as_array(bare(t)) for t in tangents], cotangents)
    filled = [_filled(o, ZERO) if t is None else t for t, o in zip(along, run.outputs, strict=True)]
    return like(run.result, iter([dressed(v) for v in filled]))


def _filled(value: Array, content: Expr) -> Array:
    """An array of the same shape with one number in it."""
    return array(value.axes, lambda _: content)


__all__ = ["TRANSFORMS"]
