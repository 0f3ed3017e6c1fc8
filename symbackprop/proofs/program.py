"""The backward pass of a program as one reads it: cotangents called x_bar, each last line tidied, closed forms.

Main names: `readable_gradient`, `tidied`, `short_backward`. What is proved about a backward pass is told elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from symbackprop.calculus.derivation import Derivation, Gradient, Step
from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.reverse_mode import differentiate
from symbackprop.calculus.rules import tensors_in
from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import Tensor
from symbackprop.expression.program import UPSTREAM, Program
from symbackprop.frontends.numpy.session import axis_indices
from symbackprop.proofs.shortening.closed_forms import short_adjoint, shortened
from symbackprop.proofs.shortening.unit_axes import factored, folded, index_names, squeezed


def readable_gradient(program: Program, upstream: Iterable[Tensor]) -> Gradient:
    """The cotangents of a program with a cost, without axes of length 1; x_bar is the cotangent of x."""
    readable = squeezed(program)
    taken = {t.name for t in readable.tensors}
    places = {t: index_names(axis_indices(t.shape), taken) for t in readable.inputs}
    given = {t.name for t in upstream}  # nobody asks for the derivative by the upstream gradient
    wanted = [t for t in readable.inputs if t.kind == "real" and t.name not in given]
    return differentiate(readable, name=lambda t: f"{t.name}_bar", wanted=wanted, places=places)


def short_backward(adjoint: Program) -> Program:
    """A program with its cotangents, once more and with these in closed form; as it was if that cannot be had.

    Args:
        adjoint: forward equations, the cost first among the outputs, then equations of cotangents.
    """
    cost = adjoint.outputs[0]
    if cost not in adjoint.by_tensor:
        return adjoint
    forward = adjoint.equations[: adjoint.equations.index(adjoint.by_tensor[cost]) + 1]
    upstream = {t for e in forward if e.note == UPSTREAM for t in tensors_in(e.value) if t in adjoint.inputs}
    upstream -= {t for e in forward if e.note != UPSTREAM for t in tensors_in(e.value)}
    try:
        gradient = readable_gradient(replace(adjoint, equations=forward, outputs=(cost,)), upstream)
        kernel = Kernel(gradient.program)
        for derivation in gradient.derivations.values():
            kernel.replay(derivation)
        plain = {t: tidied(kernel, d) for t, d in gradient.derivations.items()}
        forms = shortened(replace(gradient, derivations=plain), kernel)
        return short_adjoint(replace(gradient, derivations=forms))
    except SymbackpropError:
        return adjoint


def tidied(kernel: Kernel, derivation: Derivation) -> Derivation:
    """The derivation with its last line as one would write it, where the kernel accepts that."""
    after, named = folded(derivation.right, kernel.program)
    if named:
        names = " and ".join(t.name for t in named)
        derivation = _extended(
            kernel,
            derivation,
            Step(derivation.right, after, "equation", f"This is {names}, known from the forward pass.", named),
        )
    outside = factored(derivation.right)
    if outside is derivation.right:
        return derivation
    reason = "What does not depend on the summed index stands in front of the sum."
    return _extended(kernel, derivation, Step(derivation.right, outside, "algebra", reason))


def _extended(kernel: Kernel, derivation: Derivation, step: Step) -> Derivation:
    """The derivation with one more step, or as it was if the kernel does not accept that."""
    longer = replace(derivation, right=step.after, steps=(*derivation.steps, step))
    return longer if kernel.accepts(step, longer) else derivation
