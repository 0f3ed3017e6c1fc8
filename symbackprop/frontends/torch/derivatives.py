"""Derivatives that torch code asks for itself: requires_grad_, torch.autograd.grad, .backward() and .grad.

Source: the documentation of torch.autograd. A tensor that is told to require a gradient becomes a leaf; where torch is
asked of another tensor, as of an intermediate one, there is none, and it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE
from symbackprop.frontends.numpy.array import Array, array
from symbackprop.frontends.numpy.inner_derivatives import Leaf, leaf_of, pulled_back
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import as_numpy, current
from symbackprop.frontends.torch.tensor import function


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _upstream(outputs: Sequence[Array], given: Any) -> list[Array]:
    """The gradients of the outputs: of a scalar it is 1 where none is given."""
    found = _listed(given) if given is not None else [None] * len(outputs)
    if len(found) != len(outputs):
        raise as_numpy(RuntimeError(f"got {len(outputs)} tensors and {len(found)} gradients"))
    if any(g is None and o.ndim for g, o in zip(found, outputs, strict=True)):
        raise as_numpy(RuntimeError("grad can be implicitly created only for scalar outputs"))
    pairs = zip(found, outputs, strict=True)
    return [array(o.axes, lambda _: ONE) if g is None else as_array(g) for g, o in pairs]


@function("autograd.grad")
def _grad(
    outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: Any = None, create_graph: Any = False,
    allow_unused: Any = None, **_: Any,
) -> tuple[Any, ...]:  # fmt: skip
    ends = [as_array(o) for o in _listed(outputs)]
    found = pulled_back(ends, _upstream(ends, grad_outputs), [_leaf(i) for i in _listed(inputs)])
    if not allow_unused and any(g is None for g in found):
        raise as_numpy(RuntimeError("One of the differentiated Tensors appears to not have been used in the graph."))
    return tuple(found)


def _leaf(value: Any) -> Leaf:
    known = leaf_of(value) if isinstance(value, Array) else None
    if known is None:
        raise TraceError("torch.autograd.grad by a tensor that was not told to require a gradient cannot be traced",
                         help="make it x = x.detach().requires_grad_() before")  # fmt: skip
    return known


@function("autograd.backward", "backward")
def _backward(tensors: Any, grad_tensors: Any = None, *_: Any, gradient: Any = None, **__: Any) -> None:
    ends = [as_array(o) for o in _listed(tensors)]
    leaves = [one for one in current().leaves if not one.hidden]
    given = _upstream(ends, grad_tensors if gradient is None else gradient)
    for one, found in zip(leaves, pulled_back(ends, given, leaves), strict=True):
        if found is not None:
            one.gradient = found if one.gradient is None else OPERATIONS["add"](one.gradient, found)


__all__ = ["Leaf"]
