"""What each line of a backward pass written by hand computes, in terms of the derivation: a chain of local equalities.

    root[n] = sqrt(var[n] + 1/100000),   g[n,d] = x_hat_bar[n,d],   dx[n,d] = x_bar[n,d]

Numbers propose: at one small point the line's values are compared with those of the derived tensors and of the parts
that their equations are made of. The normal form decides, with the lines before put in by what they have been shown
to be; so each equality is a small one. Main name: `identities`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.exact import evaluate, evaluate_expression
from symbackprop.expression.build import (
    Entry,
    Expr,
    Index,
    Number,
    Power,
    Tensor,
    free_indices,
    nodes_once,
    power,
    rewrite,
    substitute,
)
from symbackprop.expression.program import Equation, Program
from symbackprop.normal_form.definitions import Definitions
from symbackprop.normal_form.work_time import counted

SECONDS = 2.0  # for one line, in counted work
_MOST_LINES, _MOST_TRIED = 60, 4
_LENGTHS = (2, 3, 4, 5, 6, 7)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Identity:
    """What a tensor of the claim equals.

    Args:
        claimed: its equation.
        value: the same in terms of the derivation.
        conditions: what the equality assumes.
    """

    claimed: Equation
    value: Expr
    conditions: tuple[str, ...] = ()


def identities(claim: Program, truth: Program) -> tuple[Identity, ...]:
    """For the equations of a claim, in order, what each was proved equal to; left out where nothing was found.

    Args:
        claim: a backward pass; its inputs are inputs of `truth` or tensors that `truth` defines.
        truth: the forward equations and the derived cotangents.
    """
    if len(claim.equations) > _MOST_LINES:
        return ()
    with counted():  # a document is the same wherever it is made
        try:
            found = _Search(claim, truth)
        except SymbackpropError:
            return ()
        return tuple(found.identities())


class _Search:
    """The values of both programs at one point, and what has been identified so far."""

    def __init__(self, claim: Program, truth: Program) -> None:
        self.claim, self.truth = claim, truth
        sizes = dict.fromkeys((*truth.sizes, *claim.sizes))
        self.sizes = {s.name: _LENGTHS[k % len(_LENGTHS)] for k, s in enumerate(sizes)}
        rng = np.random.default_rng(0)
        shapes = {t: tuple(self._length(n) for n in t.shape) for t in truth.inputs}
        inputs = {t.name: rng.uniform(0.2, 1.0, shapes[t]) for t in truth.inputs}
        self.parameters = {p.name: 0.7 for p in (*truth.parameters, *claim.parameters)}
        derived = evaluate(truth, self.sizes, inputs, self.parameters)
        self.values = {t: derived[t.name] for t in truth.tensors}
        known = {t.name: derived[t.name] for t in claim.inputs}
        computed = evaluate(claim, self.sizes, known, self.parameters)
        self.claimed = {e.tensor: computed[e.tensor.name] for e in claim.equations}
        self.definitions = Definitions(truth, truth.equations, SECONDS)
        self.meaning: dict[Tensor, tuple[tuple[Index, ...], Expr]] = {}

    def _length(self, size: Expr) -> int:
        return int(evaluate_expression(size, (), self.sizes, {}))

    def identities(self) -> Iterator[Identity]:
        """The equations of the claim with what they are, each proved with those before it put in."""
        for equation in self.claim.equations:
            value = _with(equation.value, self.meaning)
            for candidate in self._candidates(equation):
                answer = self.definitions.equal(value, candidate)
                if answer.equal:
                    self.meaning[equation.tensor] = (equation.indices, candidate)
                    yield Identity(equation, candidate, answer.used)
                    break
            else:  # what has no short name is put in as it is
                self.meaning[equation.tensor] = (equation.indices, value)

    def _candidates(self, equation: Equation) -> list[Expr]:
        """Derived tensors, the latest first, then parts of their equations, that have these values at the point."""
        wanted = self.claimed[equation.tensor]
        found: dict[Expr, None] = {}
        for tensor in reversed(self.truth.tensors):
            if tensor.shape == equation.tensor.shape and _close(self.values[tensor], wanted):
                found[Entry(tensor, equation.indices)] = None
        if not found:
            for part in self._parts(equation.indices):
                here = self._value(part, equation.indices)
                if here is not None and _close(here, wanted):
                    found[part] = None
        return list(found)[:_MOST_TRIED]

    def _parts(self, indices: tuple[Index, ...]) -> Iterator[Expr]:
        """What the derived equations are made of, over these indices."""
        for equation in self.truth.equations:
            for node in nodes_once(equation.value):
                free = sorted(
                    free_indices(node), key=lambda i: equation.indices.index(i) if i in equation.indices else 99
                )
                if [i.size for i in free] != [i.size for i in indices] or isinstance(node, Index):
                    continue
                part = substitute(node, dict(zip(free, indices, strict=True)))
                yield part
                if isinstance(part, Power) and isinstance(part.exponent, Number):
                    yield power(part.base, -part.exponent.value)

    def _value(self, part: Expr, indices: tuple[Index, ...]) -> Array | None:
        try:
            return evaluate_expression(part, indices, self.sizes, self.values, self.parameters)
        except SymbackpropError:
            return None


def _close(one: Array, other: Array) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-9, atol=1e-12))


def _with(expr: Expr, meaning: Mapping[Tensor, tuple[tuple[Index, ...], Expr]]) -> Expr:
    """`expr` with the identified tensors put in."""

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Entry) and node.tensor in meaning:
            indices, value = meaning[node.tensor]
            places = tuple(_with(i, meaning) for i in node.indices)
            return substitute(value, dict(zip(indices, places, strict=True)))
        return None

    return rewrite(expr, visit)
