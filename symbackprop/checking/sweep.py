"""Proofs of long backward passes by sweeping: equal intermediates are proved equal first, in order, and then shared.

At one random point every tensor of both sides gets its numbers. Two tensors with the same numbers are probably equal;
each such guess is put to the normal form, which sees what earlier guesses have identified as one atom and so stays
small. Numbers only propose here: what is identified was proved.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.question import Question
from symbackprop.checking.sample_points import Sampler
from symbackprop.errors import BudgetError, SymbackpropError, UnsupportedError
from symbackprop.evaluation.exact import evaluate
from symbackprop.expression.build import Tensor
from symbackprop.expression.program import Program, defined_once
from symbackprop.normal_form.modulo_equations import Resolver

TOLERANCE = 1e-9
MAXIMUM_OPENED, MAXIMUM_TERMS = 30, 600


def sweep(resolver: Resolver, question: Question, derived: Program, claimed: Program) -> int:
    """Identify tensors of the claimed backward pass with derived ones where that can be proved; returns how many."""
    values = numbers(question, derived, claimed)
    known = [e.tensor for e in derived.equations if e.tensor in values]
    found = 0
    for equation in claimed.equations:
        tensor = equation.tensor
        if tensor in known or tensor not in values or tensor.kind != "real":
            continue
        for other in _alike(tensor, known, values):
            if _proved(resolver, tensor, other):
                resolver.identify(tensor, other)
                found += 1
                break
    return found


def _proved(resolver: Resolver, tensor: Tensor, other: Tensor) -> bool:
    try:
        return resolver.meets(tensor, other, opened=MAXIMUM_OPENED, terms=MAXIMUM_TERMS)
    except (BudgetError, UnsupportedError):
        return False


def _alike(tensor: Tensor, known: Iterable[Tensor], values: dict[Tensor, NDArray[np.float64]]) -> list[Tensor]:
    """Tensors of the same shape with the same numbers."""
    own = values[tensor]
    scale = float(np.max(np.abs(own))) if own.size else 0.0
    return [
        t for t in known
        if t.shape == tensor.shape and np.allclose(values[t], own, rtol=TOLERANCE, atol=TOLERANCE * scale)
    ]  # fmt: skip


def numbers(question: Question, derived: Program, claimed: Program) -> dict[Tensor, NDArray[np.float64]]:
    """Every tensor's value at one random point of small unequal sizes; nothing where none can be had."""
    sampler = Sampler(question, random.Random(7))
    own = {e.tensor for e in derived.equations}
    equations = tuple(defined_once((*derived.equations, *claimed.equations)).values())
    inputs = tuple(dict.fromkeys((*derived.inputs, *claimed.inputs)))
    whole = Program(inputs, equations, (), derived.parameters, derived.assumptions, derived.domain)
    for sizes in sampler.size_choices()[:2]:
        point = sampler.point(sizes)
        try:
            found = evaluate(
                whole,
                {s.name: n for s, n in point.sizes.items()},
                {t.name: a for t, a in point.inputs.items()},
                {s.name: v for s, v in point.parameters.items()},
            )
        except (SymbackpropError, ArithmeticError, LookupError, ValueError):
            continue
        return {
            t: np.asarray(found[t.name], dtype=np.float64)
            for t in own | {e.tensor for e in equations}
            if t.name in found
        }
    return {}
