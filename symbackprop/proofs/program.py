"""The gradients of a program: derived, replayed, made short; and the theorems that they are.

    proved = proved_gradient(program)      # once for each program: `prove`, `compile` and documents ask for the same
    proved.gradient.adjoint                # the equations that become code
    proved.short.gradient                  # the same as one reads them

Main names: `proved_gradient`, `prove_program`, `short_backward`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from symbackprop.calculus.derivation import Derivation, Gradient, Step
from symbackprop.calculus.equality import WRITTEN_OUT
from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.reverse_mode import differentiate, with_cost
from symbackprop.errors import ProofError, SymbackpropError
from symbackprop.expression.build import Tensor, tensors_in
from symbackprop.expression.program import UPSTREAM, Program
from symbackprop.frontends.equations import renamed
from symbackprop.frontends.numpy.session import axis_indices
from symbackprop.proofs.network import ALL_SIZES
from symbackprop.proofs.shortening.closed_forms import short_adjoint, shortened
from symbackprop.proofs.shortening.unit_axes import factored, folded, index_names, letters_for, squeezed
from symbackprop.proofs.theorem import Proof, Theorem

Conditions = Mapping[Tensor, tuple[str, ...]]


@dataclass(frozen=True)
class ProvedGradient:
    """Cotangents of which the kernel has replayed every step.

    Args:
        gradient: the cotangents; x_bar is that of x.
        upstream: the upstream gradients, which nobody asks the derivative by.
        kernel: the one that replayed them; it goes on with what rests on them.
        conditions: for each tensor what its derivation assumes.
    """

    gradient: Gradient
    upstream: tuple[Tensor, ...]
    kernel: Kernel
    conditions: Conditions

    @cached_property
    def short(self) -> ProvedGradient:
        """The same in closed forms, as one reads them; replayed once more."""
        plain = {t: tidied(self.kernel, d) for t, d in self.gradient.derivations.items()}
        short = shortened(replace(self.gradient, derivations=plain), self.kernel)
        again = replayed(short, self.kernel)
        conditions = {t: tuple(dict.fromkeys((*self.conditions[t], *again[t]))) for t in short}
        gradient = replace(self.gradient, derivations=short)
        return replace(self, gradient=replace(gradient, adjoint=short_adjoint(gradient)), conditions=conditions)


def proved_gradient(program: Program, upstream: tuple[Tensor, ...] = ()) -> ProvedGradient:
    """The cotangents of every tensor of a program, derived and replayed; the same program is not derived twice.

    Args:
        program: outputs that are arrays are met by upstream gradients, if it has no cost.
        upstream: which of its inputs are upstream gradients, if it has a cost that meets them.

    Raises:
        UnsupportedError: something has no derivative rule.
        ProofError: the kernel refused a step: a fault of this package.
    """
    # programs are equal whatever the user's function is called and says, but a proof shows both
    return _proved_gradient(program, upstream, (program.name, *program.lines.items(), id(program.function)))


@lru_cache(maxsize=64)
def _proved_gradient(program: Program, upstream: tuple[Tensor, ...], written: tuple[object, ...]) -> ProvedGradient:
    if not upstream:
        program, upstream = with_cost(program)
    gradient = _readable_gradient(program, upstream)
    for expanded in (0, WRITTEN_OUT):
        kernel = Kernel(gradient.program, expanded=expanded)
        try:
            return ProvedGradient(gradient, upstream, kernel, replayed(gradient.derivations, kernel))
        except ProofError:
            if expanded:
                raise
    raise AssertionError("the last kernel accepts the derivations, or what it raises is told")


def replayed(derivations: Mapping[Tensor, Derivation], kernel: Kernel) -> Conditions:
    """Have the kernel replay each derivation, in order; for each what it assumes."""
    return {tensor: tuple(kernel.replay(derivation)) for tensor, derivation in derivations.items()}


def _readable_gradient(program: Program, upstream: Iterable[Tensor]) -> Gradient:
    """The cotangents of a program with a cost, without axes of length 1; x_bar is the cotangent of x."""
    readable = squeezed(program)
    axes = {t: axis_indices(t.shape) for t in readable.inputs}
    letters = letters_for(program, readable.tensors, (i for indices in axes.values() for i in indices))
    places = {t: index_names(indices, letters) for t, indices in axes.items()}
    given = {t.name for t in upstream}  # nobody asks for the derivative by the upstream gradient
    wanted = [t for t in readable.inputs if t.kind == "real" and t.name not in given]
    return differentiate(readable, name=lambda t: f"{t.name}_bar", wanted=wanted, places=places)


def prove_program(program: Program) -> Proof:
    """Theorems about all cotangents of a program."""
    start = time.perf_counter()
    proved = proved_gradient(_with_users_names(program)).short
    theorems = []
    for tensor, derivation in proved.gradient.derivations.items():
        if tensor in proved.upstream:
            continue
        conditions = tuple(dict.fromkeys((*program.conditions, *proved.conditions[tensor])))
        kind = "gradient with respect to" if tensor in program.inputs else "back to"
        named: Derivation = replace(derivation, name=f"{kind} {tensor.name}", conditions=conditions)
        theorems.append(Theorem(named.name, named, "PROVED", ALL_SIZES, conditions))
    title = f"The backward pass of {program.name}" if program.name.isidentifier() else "A backward pass"
    forward = proved.gradient.program
    seconds = time.perf_counter() - start
    cost = forward.equations[-1].value
    return Proof(title, forward, cost, tuple(theorems), proved.gradient, None, (), seconds, program.conditions)


def short_backward(adjoint: Program) -> Program:
    """A program with its cotangents, once more and with these in closed form; as it was if that cannot be had.

    Args:
        adjoint: forward equations, the cost first among the outputs, then equations of cotangents.
    """
    cost = adjoint.outputs[0]
    if cost not in adjoint.by_tensor:
        return adjoint
    forward = adjoint.equations[: adjoint.equations.index(adjoint.by_tensor[cost]) + 1]
    met = {t for e in forward if e.note == UPSTREAM for t in tensors_in(e.value) if t in adjoint.inputs}
    met -= {t for e in forward if e.note != UPSTREAM for t in tensors_in(e.value)}
    upstream = tuple(t for t in adjoint.inputs if t in met)
    try:
        return proved_gradient(replace(adjoint, equations=forward, outputs=(cost,)), upstream).short.gradient.adjoint
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


def _with_users_names(program: Program) -> Program:
    """The program with what it returns called as the user calls it, and a cost that has no name called J."""
    names = {t: _assigned(program, t) for t in program.outputs if t not in program.inputs}
    if [(t.name, t.shape) for t in program.outputs] == [("out", ())]:
        names = {t: name or "J" for t, name in names.items()}
    taken = {t.name for t in program.tensors}
    chosen = {t: name for t, name in names.items() if name and name not in taken}
    if len(set(chosen.values())) < len(chosen):
        return program
    return renamed(program, lambda t: chosen.get(t, t.name)) if chosen else program


def _assigned(program: Program, tensor: Tensor) -> str:
    """The name to which the user's line assigns the tensor; "" if it assigns several or none."""
    line = re.fullmatch(r"line (\d+)", program.by_tensor[tensor].note) if tensor in program.by_tensor else None
    assigned = re.match(r"(\w+) = (?!\w+ = )", program.lines.get(int(line[1]), "")) if line else None
    return assigned[1] if assigned else ""
