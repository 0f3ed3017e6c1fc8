"""Optimizers: the update rules of training, a table, and the schedules of the learning rate.

A rule changes the flat vector theta in place, by a few operations on whole vectors and without new arrays. Its memory
(velocities, moments) is a `OptimizerState`, which a checkpoint can store. A new rule is a new row of `RULES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from symbackprop.errors import MalformedError, nearest
from symbackprop.training.parameters import Array

Row = TypeVar("Row")

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's constants, as its paper has them."""


@dataclass
class OptimizerState:
    """What a rule remembers from step to step.

    Attributes:
        slots: (number of the rule's vectors, parameters); zero at the start.
        steps: steps done.
        momentum: the share of the velocity that stays, for momentum and nesterov.
        decay: (parameters,) how much each shrinks a step, times the rate, for adamw; zero at biases.
        work: (parameters,) room for intermediate results.
    """

    slots: Array
    steps: int
    momentum: float
    decay: Array
    work: Array


@dataclass(frozen=True)
class UpdateRule:
    """A row of the table of update rules.

    Attributes:
        step: changes theta, given the gradient, the state (its `steps` already counts this step) and the rate.
        slots: vectors that it remembers.
        rate: the learning rate if the user names none.
        source: where the rule is from.
    """

    step: Callable[[Array, Array, OptimizerState, float], None]
    slots: int
    rate: float
    source: str

    def start(self, like: Array, *, momentum: float, decay: Array) -> OptimizerState:
        """The state before the first step, for a vector of parameters such as `like`."""
        slots = np.zeros((self.slots, like.size), dtype=like.dtype)
        return OptimizerState(slots, 0, momentum, decay.astype(like.dtype), np.empty_like(like))


def _sgd(theta: Array, gradient: Array, state: OptimizerState, rate: float) -> None:
    """theta - rate g."""
    np.multiply(gradient, rate, out=state.work)
    theta -= state.work


def _momentum(theta: Array, gradient: Array, state: OptimizerState, rate: float) -> None:
    """v = mu v + g, theta - rate v."""
    velocity = state.slots[0]
    velocity *= state.momentum
    velocity += gradient
    np.multiply(velocity, rate, out=state.work)
    theta -= state.work


def _nesterov(theta: Array, gradient: Array, state: OptimizerState, rate: float) -> None:
    """v = mu v + g, theta - rate (g + mu v): the gradient is that of the point one step of v ahead."""
    velocity, work = state.slots[0], state.work
    velocity *= state.momentum
    velocity += gradient
    np.multiply(velocity, state.momentum, out=work)
    work += gradient
    work *= rate
    theta -= work


def _adam(theta: Array, gradient: Array, state: OptimizerState, rate: float) -> None:
    """m, v = running means of g, g^2; theta - rate m' / (sqrt(v') + eps), with the means' start-up bias divided out."""
    mean, square, work = state.slots[0], state.slots[1], state.work
    np.subtract(gradient, mean, out=work)
    work *= 1 - BETA1
    mean += work
    np.multiply(gradient, gradient, out=work)
    work -= square
    work *= 1 - BETA2
    square += work
    np.sqrt(square, out=work)
    work *= 1 / math.sqrt(1 - BETA2**state.steps)
    work += EPSILON
    np.divide(mean, work, out=work)
    work *= rate / (1 - BETA1**state.steps)
    theta -= work


def _adamw(theta: Array, gradient: Array, state: OptimizerState, rate: float) -> None:
    """Adam, after the weights (not the biases) have shrunk by rate * weight_decay."""
    np.multiply(theta, state.decay, out=state.work)
    state.work *= rate
    theta -= state.work
    _adam(theta, gradient, state, rate)


RULES: Mapping[str, UpdateRule] = {
    "adam": UpdateRule(_adam, slots=2, rate=0.02, source="Kingma and Ba 2015, algorithm 1"),
    "adamw": UpdateRule(_adamw, slots=2, rate=0.02, source="Loshchilov and Hutter 2019, algorithm 2"),
    "momentum": UpdateRule(
        _momentum, slots=1, rate=0.1, source="Polyak 1964, eq. 9, with the step size outside the velocity"
    ),
    "nesterov": UpdateRule(
        _nesterov, slots=1, rate=0.1, source="Sutskever et al. 2013, eqs. 3-4, in terms of theta + mu v"
    ),
    "sgd": UpdateRule(_sgd, slots=0, rate=1.0, source="Robbins and Monro 1951"),
}
"""Update rules by name."""

Schedule = Callable[[float], float]
"""The share of the training that lies behind, in [0, 1), to the factor of the learning rate."""


def _constant(done: float) -> float:
    """The same rate throughout."""
    return 1.0


def _linear(done: float) -> float:
    """Down to 0 in a straight line."""
    return 1.0 - done


def _cosine(done: float) -> float:
    """Down to 0 along half a cosine: slow, fast, slow."""
    return 0.5 * (1.0 + math.cos(math.pi * done))


def _exponential(done: float) -> float:
    """Down to a hundredth, by the same factor each epoch."""
    return float(0.01**done)


def _step(done: float) -> float:
    """A tenth after half of the epochs, a hundredth after three quarters."""
    return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01


SCHEDULES: Mapping[str, Schedule] = {
    "constant": _constant,
    "cosine": _cosine,
    "exponential": _exponential,
    "linear": _linear,
    "step": _step,
}
"""Learning-rate schedules by name."""


def choose(table: Mapping[str, Row], name: str, kind: str) -> Row:
    """The row `name` of `table`.

    Raises:
        MalformedError: there is none; the message lists what there is.
    """
    if name in table:
        return table[name]
    meant = nearest(name, table)
    raise MalformedError(
        f"unknown {kind}",
        where=name,
        evidence=["known: " + ", ".join(table)],
        help=f"did you mean {meant}?" if meant else None,
    )
