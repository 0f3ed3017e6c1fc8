"""What a claim about gradients says, a point at which it can be examined, and what examining it shows.

A `Question` puts a forward program beside a program that claims its gradients. `Examiner` evaluates both at a `Point`:
the claim as it stands, the truth by dual numbers through the forward program's own equations, never through a derived
adjoint. With balls for numbers each value is enclosed, so two values whose enclosures are disjoint differ for certain,
and rounding refutes nothing. A point on a kink of the forward program, where any convention is right, raises
`TooCloseError`. This module must not know how points are chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import flint
import numpy as np

from symbackprop.checking.recipes import Recipes
from symbackprop.errors import DataError, MalformedError
from symbackprop.evaluation.compile import Array
from symbackprop.evaluation.exact import Evaluator, array_of
from symbackprop.evaluation.number_types import Dual, Field, Missing, Value, ball, dual
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    Entry,
    Expr,
    Index,
    Number,
    Symbol,
    SymmetricTensor,
    Tensor,
    fresh,
    multiply,
    nodes_once,
    sum_over,
    tensors_in,
)
from symbackprop.expression.functions import Function
from symbackprop.expression.program import Equation, Program

SLOPES_LIMIT = 1_500_000  # numbers held at once: fewer directions where there are many entries
DIRECTION_LIMIT = 512  # slopes are dense vectors: beyond this a tensor's entries are examined in part
MOST_NUMBERS, LEAST_TENSORS = 6_000_000, 32  # at once, one direction a tensor: beyond this some of the tensors are

INFINITE, NOTHING = 1e4, 2.0**-1020


@dataclass(frozen=True)
class Question:
    """Are the claimed tensors the gradients of the forward program?

    Args:
        claimed: its inputs are those of `forward`, the upstream tensors, those of `truths`, or tensors that `forward`
            defines, which then have the value that `forward` gives them.
        pairs: by name: a tensor of `forward`, input or defined, and the tensor of `claimed` said to be its gradient.
        upstream: the gradient with respect to each output, inputs of `claimed`; empty if the only output is a cost.
        truths: inputs of `claimed` that hold the true gradient of a tensor of `forward`: delta3 -> z3.
        told_sizes: the sizes at which numbers tell most, once they have been sought.
        told_entries: of a tensor, the entry whose gradient is probably wrong: examined first where not all can be.
        told_lemmas: how lemmas of composed proofs were proved.
        told_points: what was seen at points to which several searches come back, each with the point that the key names
            by its identity; beside it the precision and the pairs.
        told_floats: both sides in floating point at points at which they were compared as arrays, by the identity of
            the point.
    """

    forward: Program
    claimed: Program
    pairs: Mapping[str, tuple[Tensor, Tensor]]
    upstream: tuple[Tensor, ...] = ()
    truths: Mapping[Tensor, Tensor] = field(default_factory=dict)
    told_sizes: list[dict[Symbol, int]] = field(default_factory=list, repr=False, compare=False)
    told_entries: dict[Tensor, tuple[int, ...]] = field(default_factory=dict, repr=False, compare=False)
    told_lemmas: Recipes = field(default_factory=Recipes, repr=False, compare=False)
    told_points: dict[tuple[int, int, tuple[str, ...]], tuple[Point, Examination | None]] = field(
        default_factory=dict, repr=False, compare=False
    )
    told_floats: dict[int, Examination] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.upstream and len(self.upstream) != len(self.forward.outputs):
            raise MalformedError(f"{len(self.upstream)} upstream gradients for {len(self.forward.outputs)} outputs")

    @cached_property
    def given(self) -> tuple[Tensor, ...]:
        """The tensors that a point gives values: inputs of either program that nothing determines."""
        settled = set(self.truths) | {e.tensor for e in self.forward.equations}
        rest = (*self.forward.inputs, *self.upstream, *self.claimed.inputs)
        return tuple(dict.fromkeys(t for t in rest if t not in settled))

    @cached_property
    def constants(self) -> list[float]:
        """Sizes of the numbers in either program, smallest first: epsilons, margins, tolerances, clip bounds."""
        values = [e.value for program in (self.forward, self.claimed) for e in program.equations]
        found = {abs(nearest(n.value)) for value in values for n in nodes_once(value) if isinstance(n, Number)}
        return sorted(found - {0.0, math.inf})

    @cached_property
    def rounded(self) -> dict[float, Fraction]:
        """The numbers of either program that no float is, by the float that the user's code holds: 0.1 for 1/10."""
        values = [e.value for program in (self.forward, self.claimed) for e in program.equations]
        numbers = {n.value for value in values for n in nodes_once(value) if isinstance(n, Number)}
        found = {sign * nearest(n): sign * n for n in numbers for sign in (1, -1)}
        return {near: n for near, n in found.items() if math.isfinite(near) and Fraction(near) != n}

    @property
    def infinities(self) -> list[float]:
        """Constants that stand for infinity, such as 1e9 in a mask: larger than anything, and exp(-1e9) is nothing."""
        return [c for c in self.constants if c >= INFINITE]

    def only(self, names: Iterable[str]) -> Question:
        """The same question about some of the pairs."""
        kept = {name: self.pairs[name] for name in names}
        return replace(self, pairs=kept)


def probed(program: Program, tensor: Tensor) -> tuple[Program, Tensor]:
    """A program in which the value of `tensor` is a gradient: that of Sum(probe * value) by the new input."""
    probe, total = Tensor("probe", tensor.shape), Tensor("probed")
    running = tuple(fresh("p", size) for size in tensor.shape)
    body = multiply(Entry(probe, running), Entry(tensor, running))
    body = sum_over(running, body)
    equations = (*program.equations, Equation(total, (), body))
    return replace(program, inputs=(*program.inputs, probe), equations=equations, outputs=(total,)), probe


def question_of_formula(
    program: Program, left: Entry, value: Expr, derived: Mapping[Tensor, Tensor], domain: tuple[Expr, ...] = ()
) -> Question:
    """Is `left` what a formula says? As a program of one line beside the forward program.

    A claim about a value, not a derivative, becomes one: the value is the gradient of Sum(t * value) by t.

    Args:
        derived: the tensors that stand for a derivative, each with the tensor that it is the derivative by.
        domain: further relations between sizes under which the formula can be read.
    """
    name = left.tensor.name
    forward, target = (program, derived[left.tensor]) if left.tensor in derived else probed(program, left.tensor)
    output = Tensor(f"claimed_{name}", left.tensor.shape)
    used = sorted(tensors_in(value), key=lambda t: t.name)
    inputs = (*forward.inputs, *(t for t in used if t not in forward.inputs))
    line = Equation(output, tuple(i for i in left.indices if isinstance(i, Index)), value)
    domain = (*program.domain, *domain)
    claimed = Program(inputs, (line,), (output,), program.parameters, forward.assumptions, domain)
    return Question(forward, claimed, {name: (target, output)}, truths={t: derived[t] for t in used if t in derived})


@dataclass(frozen=True)
class Examination:
    """Both sides at one point, by name and entry, as numbers of `number_field`.

    Args:
        settled: the inputs of the claim that the forward program determines.
        negligible: differences up to this size show nothing: 0, unless a constant stands for infinity.
        misshapen: by name, the shape of a claimed gradient and the shape it should have, where they differ; such a name
            is in neither `claimed` nor `correct`.
    """

    point: Point
    number_field: Field
    claimed: Mapping[str, Array]
    correct: Mapping[str, Array]
    settled: Mapping[Tensor, Array]
    negligible: float = 0.0
    misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    def disagreements(self) -> list[str]:
        """The names with an entry whose two enclosures are disjoint, or whose claim is no number where the truth is."""
        return [name for name in self.correct if any(self._differ(name, p) for p in self.correct[name])]

    def _differ(self, name: str, position: tuple[int, ...]) -> bool:
        left, right = _ball(self.claimed[name][position]), _ball(self.correct[name][position])
        if isinstance(self.claimed[name][position], Missing):
            return bool(right.is_finite())
        if not left.is_finite() or not right.is_finite() or left.overlaps(right):
            return False
        return not self.negligible or bool(abs(left - right) > self.negligible)

    def finite(self) -> bool:
        """True if every value on both sides exists: code that also divides by zero there shows nothing to a reader."""
        return all(
            _ball(v).is_finite() for side in (self.claimed, self.correct) for a in side.values() for v in a.values()
        )

    def tells(self) -> bool:
        """True if every gradient has an entry whose true value exists: at other points nothing is examined."""
        return all(any(_ball(v).is_finite() for v in a.values()) for a in self.correct.values() if a)

    def gap(self, name: str) -> tuple[float, tuple[int, ...]]:
        """The largest difference of an entry, relative to the gradient's largest, and where it is."""
        claimed, correct = self.claimed[name], self.correct[name]
        gaps = {p: _distance(claimed[p], correct[p]) for p in correct if self._differ(name, p)}
        if not gaps:
            return 0.0, ()
        where = max(gaps, key=lambda p: gaps[p])
        largest = max(abs(to_float(v)) for v in correct.values())
        return gaps[where] / max(1e-3, largest), where

    def worst(self, name: str) -> float:
        """The claimed value where it differs most; nan where it has none."""
        where = self.gap(name)[1]
        return to_float(self.claimed[name][where]) if name in self.claimed and self.gap(name)[0] else math.nan

    def vague(self, bits: int = 100) -> bool:
        """True if some enclosure is too wide to notice a relative error of 2**-bits."""
        with self.number_field.working():
            for side in (self.claimed, self.correct):
                for array in side.values():
                    balls = [_ball(v) for v in array.values() if not isinstance(v, Missing)]
                    scale = max((to_float(b.abs_upper()) for b in balls if b.is_finite()), default=0.0) or 1.0
                    if any(not b.is_finite() or to_float(b.rad()) > scale * 2.0**-bits for b in balls):
                        return True
        return False


def nearest(value: Fraction) -> float:
    """The nearest float; infinity where there is none."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def to_float(value: Value) -> float:
    """The nearest float to the middle of a number."""
    if isinstance(value, Missing):
        return math.nan
    return float(value.mid()) if isinstance(value, flint.arb) else float(value)


def _ball(value: Value) -> flint.arb:
    """A number as a ball; floats and integers are exact."""
    if isinstance(value, Missing):
        return flint.arb.nan()
    return value if isinstance(value, flint.arb) else flint.arb(value)


def _distance(claimed: Value, correct: Value) -> float:
    """How far a claimed number is from the true one; infinitely far if it is none."""
    distance = abs(to_float(claimed - correct))
    return math.inf if math.isnan(distance) else distance


class Examiner:
    """Both programs of a question, compiled for one field and one choice of functions."""

    def __init__(
        self, question: Question, number_field: Field, functions: Mapping[str, Function] | None = None
    ) -> None:
        self.question, self.base, self.field = question, number_field, dual(number_field)
        self._forward = Evaluator(question.forward, self.field, functions)
        self._negligible = NOTHING if question.infinities else 0.0
        self._claimed = Evaluator(question.claimed, number_field, functions)

    def examine(self, point: Point) -> Examination:
        """Evaluate claim and truth at a point.

        Raises:
            TooCloseError: the point is on, or too near to, a kink of either program.
            OutOfRangeError: one of the programs reads outside a tensor at these sizes.
        """
        question = self.question
        wanted = dict.fromkeys([t for t, _ in question.pairs.values()] + list(question.truths.values()))
        with self.base.working():
            values = point.values(self.base)
            arrays, gradients = slopes(self._forward, point, values, wanted, question.upstream, question.told_entries)
            settled = {t: gradients[source] for t, source in question.truths.items()}
            settled |= {t: _still(arrays[t]) for t in question.claimed.inputs if t in arrays and t not in point.inputs}
            inputs = {
                t: settled[t] if t in settled else given_entries(t, point, self.base) for t in question.claimed.inputs
            }
            claims = self._claimed.run(values, inputs)
        claimed, correct, misshapen = {}, {}, {}
        for name, (tensor, claim) in question.pairs.items():
            if claims[claim].keys() == arrays[tensor].keys():
                claimed[name], correct[name] = claims[claim], self._judged(tensor, gradients[tensor])
            else:
                misshapen[name] = (self._claimed.shape(claim, values), self._forward.shape(tensor, values))
        return Examination(point, self.base, claimed, correct, settled, self._negligible, misshapen)

    def _judged(self, tensor: Tensor, gradient: Array) -> Array:
        """What of a gradient is judged: of that by a symmetric matrix the symmetric part."""
        if not isinstance(tensor, SymmetricTensor):
            return gradient
        with self.base.working():
            half = self.base.number(Fraction(1, 2))
            turned = {p: (*p[:-2], p[-1], p[-2]) for p in gradient}
            return {p: (g + gradient[turned[p]]) * half for p, g in gradient.items() if turned[p] in gradient}


def slopes(
    forward: Evaluator,
    point: Point,
    values: Mapping[Symbol, Value],
    wanted: Iterable[Tensor],
    upstream: tuple[Tensor, ...],
    first: Mapping[Tensor, tuple[int, ...]] | None = None,
) -> tuple[dict[Tensor, Array], dict[Tensor, Array]]:
    """All tensors of the forward program, and the derivative of its cost with respect to the entries of `wanted`.

    A tensor in the middle is moved after its equation, so the derivative runs along every path that starts there.

    Args:
        first: for some tensors an entry that is among those examined.
    """
    places = _places(forward, values, list(wanted), first or {})
    base_unit = forward.field.unit
    assert base_unit is not None, "a field of dual numbers has directions"
    count = len(places)

    def moved(tensor: Tensor, entries: Array) -> Array:
        if tensor not in wanted:
            return entries
        return {
            p: _nudged(v, base_unit(places[tensor, p], count)) if (tensor, p) in places else v
            for p, v in entries.items()
        }

    inputs = {t: given_entries(t, point, forward.field) for t in forward.program.inputs}
    arrays = forward.run(values, inputs, moved)
    total: Any = base_unit(0, max(count, 1)) * 0  # a row of at least one number: there may be no direction at all
    for place, output in enumerate(forward.program.outputs):
        weights = given_entries(upstream[place], point, forward.field) if upstream else None
        for position, entry in arrays[output].items():
            if isinstance(entry, Missing):
                total = entry
            elif isinstance(entry, Dual):
                slope = entry.slope if _exists(entry.value) else _lost(entry.slope, base_unit)
                total = total + (slope * weights[position] if weights else slope)
    gradients: dict[Tensor, Array] = {t: {} for t in wanted}
    for (tensor, position), k in places.items():
        gradients[tensor][position] = total[0, k]
    return arrays, gradients


def _exists(value: Value) -> bool:
    """True for a finite number."""
    if isinstance(value, Missing):
        return False
    return bool(value.is_finite()) if isinstance(value, flint.arb) else math.isfinite(value)


def _lost(slope: Any, base_unit: Callable[[int, int], Any]) -> Any:
    """The slope of a value that does not exist: nan along every direction that moves it."""
    if isinstance(slope, Missing):
        return slope
    count = slope.ncols() if isinstance(slope, flint.arb_mat) else slope.shape[1]
    result = base_unit(0, count) * 0
    for k in range(count):
        still = slope[0, k] == 0  # only of an exact zero: a ball that may be 0, or is nan, moves
        if not still:
            result[0, k] = math.nan
    return result


def _places(
    forward: Evaluator,
    values: Mapping[Symbol, Value],
    wanted: list[Tensor],
    first: Mapping[Tensor, tuple[int, ...]],
) -> dict[tuple[Tensor, tuple[int, ...]], int]:
    """A number for each direction; of a tensor with too many entries, an even selection; of too many tensors, too."""
    entries = sum(math.prod(forward.shape(t, values)) for t in forward.program.tensors)
    wanted = _some(wanted, first, max(LEAST_TENSORS, MOST_NUMBERS // max(1, entries)))
    limit = min(DIRECTION_LIMIT, max(len(wanted), SLOPES_LIMIT // max(1, entries)))
    share = max(1, limit // max(1, len(wanted)))
    found: dict[tuple[Tensor, tuple[int, ...]], int] = {}
    for tensor in wanted:
        positions = list(np.ndindex(*forward.shape(tensor, values)))
        stride = -(-len(positions) // share)
        chosen = positions[::stride]
        if stride > 1 and first.get(tensor) in positions:
            chosen = [first[tensor], *(p for p in chosen[1:] if p != first[tensor])]
        for position in chosen:
            found[tensor, position] = len(found)
    return found


def _some(wanted: list[Tensor], first: Container[Tensor], most: int) -> list[Tensor]:
    """At most so many of these, evenly: half of them of those in `first`, as far as there are any."""
    if len(wanted) <= most:
        return wanted
    told = [t for t in wanted if t in first]
    chosen = set(told[:: -(-2 * len(told) // most) or 1])
    rest = [t for t in wanted if t not in chosen]
    chosen |= set(rest[:: -(-len(rest) // (most - len(chosen)))])
    return [t for t in wanted if t in chosen]


def _nudged(value: Value, unit: Any) -> Dual:
    return Dual(value.value, value.slope + unit) if isinstance(value, Dual) else Dual(value, unit)


def _still(entries: Array) -> Array:
    """The values without their slopes."""
    return {p: v.value if isinstance(v, Dual) else v for p, v in entries.items()}


def given_entries(tensor: Tensor, point: Point, number_field: Field) -> Array:
    """The entries of an input at a point, as numbers of a field."""
    if tensor not in point.inputs:
        raise DataError(f"the point has no value for {tensor.name}")
    array = point.inputs[tensor]
    entries = array_of(tensor, array, array.shape, number_field)
    for place in np.argwhere(np.isin(array, list(point.exact))) if point.exact else ():
        entries[tuple(place.tolist())] = number_field.number(point.exact[float(array[tuple(place)])])
    return entries


def true_gradient(
    program: Program,
    point: Point,
    wrt: Tensor,
    upstream: tuple[Tensor, ...] = (),
    *,
    bits: int = 128,
) -> dict[tuple[int, ...], Value]:
    """Enclosures of the derivative of the cost, or of sum(upstream * outputs), with respect to a tensor's entries.

    Args:
        wrt: an input or a defined tensor; a defined one is moved after its equation.
        point: gives values to the program's inputs and to `upstream`.

    Raises:
        TooCloseError: the point is on, or too near to, a kink.
    """
    number_field = ball(bits)
    forward = Evaluator(program, dual(number_field), point.functions)
    with number_field.working():
        return slopes(forward, point, point.values(number_field), [wrt], upstream)[1][wrt]
