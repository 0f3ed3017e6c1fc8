"""The true values at a point: outputs and gradients in ball arithmetic, with as many bits as they need.

What is enclosed is the claim itself, which is proved equal to the derived gradient; where the claim has no number, as 0
times log(0) has none, the derived gradient is asked; where both have none, the limit from all sides, if these agree.
Exponents are not bounded, so nothing overflows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import flint

from symbackprop.calculus.derivation import Gradient
from symbackprop.checking.question import Question, given_entries, true_gradient
from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.compile import Array
from symbackprop.evaluation.exact import Evaluator
from symbackprop.evaluation.number_types import Missing, TooCloseError, Value, ball
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import Expr, Sum, Tensor, apply, close_sum, factors_of, multiply, open_binder
from symbackprop.expression.functions import FUNCTIONS
from symbackprop.expression.program import Equation, Program, unused

BITS = (160, 1280, 5120)  # the second resolves 1 - s where 1 - s is the smallest number of float64
ENOUGH = 2.0**-48  # relative width of an enclosure that tells how many digits a float64 has
NEAR, NEAR_BITS = -2000, 4600  # a zero is approached at 2**NEAR
NOTHING = 2.0**-900  # what counts as 0 there
SAME = 2.0**-90
LARGEST_LIMIT = 1e30
Entries = dict[tuple[int, ...], flint.arb]


@dataclass(frozen=True)
class Exact:
    """True values at a point.

    Args:
        outputs: of the forward pass, in their order.
        gradients: by the names of the inputs.
        limit: whether they are limits.
    """

    outputs: tuple[Entries, ...]
    gradients: Mapping[str, Entries]
    limit: bool = False


class ExactValues:
    """A question's true values at points.

    Args:
        question: forward and claim.
        gradient: what was derived; None of a forward pass alone.
        least: errors up to this size count as none.

    Attributes:
        moved: the inputs whose zeros are approached where there is a limit.
    """

    def __init__(self, question: Question, gradient: Gradient | None, least: float) -> None:
        self.question, self.gradient, self.least = question, gradient, least
        self.moved = frozenset(t for t, _ in question.pairs.values())
        self._evaluators: dict[tuple[int, int], Evaluator] = {}
        self._bits = BITS[0]  # those that the last point needed

    @cached_property
    def _claims(self) -> dict[str, Tensor]:
        return {name: claim for name, (_, claim) in self.question.pairs.items()}

    @cached_property
    def _derived(self) -> dict[str, Tensor | None]:
        gradient = self.gradient
        return {name: gradient.cotangents.get(t) if gradient else None for name, (t, _) in self.question.pairs.items()}

    def at(self, point: Point, *, one_sided: bool = False) -> Exact | None:
        """The true values; None where there are none, or where they cannot be told.

        Args:
            one_sided: zeros are approached from above alone.
        """
        for bits in BITS:
            if bits < self._bits:
                continue
            try:
                found = self._with(point, bits, None)
            except TooCloseError:
                if self._zeros(point):
                    break
                continue
            if found is None:
                break
            if self._precise(found):
                return found
        return self._limit(point, one_sided) if self._zeros(point) else None

    def gradients_at(self, point: Point, bits: int = BITS[1]) -> Mapping[str, Entries] | None:
        """The gradients alone, of the claim as it stands: for many upstream gradients and inputs near a point."""
        try:
            found = self._run(self.question.claimed, point, bits, None)
            values = {name: _numbers(found[t]) for name, t in self._claims.items()}
        except (TooCloseError, SymbackpropError, ArithmeticError):
            return None
        return None if any(v is None for v in values.values()) else {n: v for n, v in values.items() if v is not None}

    @cached_property
    def _magnitudes(self) -> tuple[Program, dict[str, Tensor]]:
        """The claim with, for each gradient that is a sum, the sum of the absolute values of what is added up."""
        program, found, equations = self.question.claimed, dict[str, Tensor](), list[Equation]()
        for name, claim in self._claims.items():
            equation = program.by_tensor.get(claim)
            if equation is None or not any(isinstance(f, Sum) for f in factors_of(equation.value)):
                continue
            found[name] = Tensor(f"{claim.name}_magnitude", claim.shape)
            equations.append(
                replace(equation, tensor=found[name], value=multiply(*map(_magnitude, factors_of(equation.value))))
            )
        return replace(program, equations=(*program.equations, *equations), outputs=tuple(found.values())), found

    def magnitudes(self, point: Point) -> Mapping[str, Entries]:
        """Of the gradients that are sums: the sums of the absolute values of their terms."""
        program, own = self._magnitudes
        if not own:
            return {}
        try:
            found = self._run(program, point, BITS[0], None)
            values = {name: _numbers(found[t]) for name, t in own.items()}
        except (TooCloseError, SymbackpropError, ArithmeticError):
            return {}
        return {n: v for n, v in values.items() if v is not None}

    def agrees(self, point: Point, exact: Exact) -> bool:
        """False on a kink where the claim's convention is not that of the derivation: no error can be told there."""
        if exact.limit or self.gradient is None:  # a value has no convention
            return True
        try:
            found = self._run(self.gradient.adjoint, point, BITS[1], None)
            derived = {n: _numbers(found[t]) if t is not None else None for n, t in self._derived.items()}
        except (TooCloseError, SymbackpropError, ArithmeticError):
            return True  # the derived formula has no number where the claim has one
        for name, entries in derived.items():
            for place, value in (entries or {}).items():
                own = exact.gradients[name].get(place)
                if own is not None and not _alike(own, value, self.least):
                    return False
        return True

    def _with(self, point: Point, bits: int, shift: Callable[[int], Value] | None) -> Exact | None:
        """All values at this precision; None where there is no number.

        Raises:
            TooCloseError: more bits may tell.
        """
        forward = self._run(self.question.forward, point, bits, shift)
        outputs = [_numbers(forward[t]) for t in self.question.forward.outputs]
        if any(o is None for o in outputs):
            return None
        try:
            claimed = self._run(self.question.claimed, point, bits, shift)
            gradients = {name: _numbers(claimed[t]) for name, t in self._claims.items()}
        except TooCloseError:
            if bits < BITS[-1]:
                raise
            gradients = dict.fromkeys(self._claims)
        if any(g is None for g in gradients.values()) and self.gradient is not None:
            derived = self._run(self.gradient.adjoint, point, bits, shift)
            for name, entries in gradients.items():
                tensor = self._derived[name]
                if entries is None and tensor is not None:
                    gradients[name] = _numbers(derived[tensor])
        if any(g is None for g in gradients.values()) and shift is None:
            gradients = {n: self._forwards(n, point, bits) if g is None else g for n, g in gradients.items()}
        if any(g is None for g in gradients.values()):
            return None
        own = {n: g for n, g in gradients.items() if g is not None}
        return Exact(tuple(o for o in outputs if o is not None), own, shift is not None)

    def _forwards(self, name: str, point: Point, bits: int) -> Entries | None:
        """The gradient by dual numbers along the forward pass, in which a branch that is not taken has no value."""
        target, upstream = self.question.pairs[name][0], self.question.upstream
        return _numbers(true_gradient(self.question.forward, point, target, upstream, bits=bits))

    def _precise(self, found: Exact) -> bool:
        every = (*found.outputs, *found.gradients.values())
        return all(_narrow(v, self.least) for entries in every for v in entries.values())

    def _run(
        self, program: Program, point: Point, bits: int, shift: Callable[[int], Value] | None
    ) -> dict[Tensor, Array]:
        field = ball(bits)
        key = id(program), bits
        if key not in self._evaluators:
            self._evaluators[key] = Evaluator(program, field, point.functions)
        with field.working():
            inputs = {t: given_entries(t, point, field) for t in program.inputs}
            if shift is not None:
                inputs = {t: self._shifted(t, a, shift) for t, a in inputs.items()}
            return self._evaluators[key].run(point.values(field), inputs)

    def _shifted(self, tensor: Tensor, entries: Array, shift: Callable[[int], Value]) -> Array:
        """The entries of a differentiated input with something else for its zeros."""
        if tensor not in self.moved:
            return entries
        return {p: shift(k) if v == 0 else v for k, (p, v) in enumerate(entries.items())}

    def _zeros(self, point: Point) -> bool:
        """Whether some differentiated input has a 0, which can be approached."""
        return any((point.inputs[t] == 0).any() for t in self.moved if t in point.inputs)

    def _limit(self, point: Point, one_sided: bool) -> Exact | None:
        """The limit as all zeros of differentiated inputs are approached from above, from below, and from both."""
        found: list[Exact] = []
        with ball(NEAR_BITS).working():
            near = flint.arb(2) ** NEAR
        sides: list[Callable[[int], Value]] = [lambda k: near, lambda k: near * (2 + k % 3)]
        if not one_sided:
            sides += [lambda k: -near, lambda k: near if k % 2 else -near]
        for side in sides:
            try:
                value = self._with(point, NEAR_BITS, side)
            except (TooCloseError, SymbackpropError, ArithmeticError):
                return None
            if value is None or (found and not _same(found[0], value)):
                return None
            found.append(value)
        return _cleaned(found[0])


class OutputValues(ExactValues):
    """The true values of a forward pass alone: its outputs in the place of gradients."""

    def __init__(self, program: Program, least: float) -> None:
        super().__init__(question_of_outputs(program), None, least)

    def _with(self, point: Point, bits: int, shift: Callable[[int], Value] | None) -> Exact | None:
        found = self._run(self.question.forward, point, bits, shift)
        outputs = {name: _numbers(found[t]) for name, t in self._claims.items()}
        if any(o is None for o in outputs.values()):
            return None
        return Exact((), {n: o for n, o in outputs.items() if o is not None}, shift is not None)


def question_of_outputs(program: Program) -> Question:
    """Whether each output is what the program says, by a name of its own: two may be one tensor."""
    pairs: dict[str, tuple[Tensor, Tensor]] = {}
    for tensor in program.outputs:
        pairs[unused(tensor.name, pairs)] = tensor, tensor
    return Question(program, program, pairs)


def _magnitude(factor: Expr) -> Expr:
    """A sum with the absolute values of its terms; of anything else the absolute value."""
    if isinstance(factor, Sum):
        index, body = open_binder(factor)
        return close_sum(index, apply(FUNCTIONS["abs"], body))
    return apply(FUNCTIONS["abs"], factor)


def _numbers(entries: Array) -> Entries | None:
    """The entries as balls; None if one of them is certainly no number.

    Raises:
        TooCloseError: an enclosure that tells nothing.
    """
    found: Entries = {}
    for place, value in entries.items():
        if isinstance(value, Missing):
            return None
        one = value if isinstance(value, flint.arb) else flint.arb(value)
        if not one.is_finite():
            raise TooCloseError("an enclosure that tells nothing")
        found[place] = one
    return found


def _narrow(value: flint.arb, least: float) -> bool:
    radius = value.rad()
    return bool(radius <= abs(value.mid()) * ENOUGH) or bool(radius <= least * ENOUGH)


def _alike(left: flint.arb, right: flint.arb, least: float) -> bool:
    gap = abs(left.mid() - right.mid())
    return bool(gap <= 1e-12 * abs(left.mid()) + least) or bool(left.overlaps(right))


def _same(first: Exact, second: Exact) -> bool:
    pairs = [*zip(first.outputs, second.outputs, strict=True)]
    pairs += [(g, second.gradients[n]) for n, g in first.gradients.items()]
    return all(
        abs(v.mid()) < LARGEST_LIMIT and bool(abs(v.mid() - b[p].mid()) <= SAME * (1 + abs(v.mid())))
        for a, b in pairs
        for p, v in a.items()
    )


def _cleaned(exact: Exact) -> Exact:
    """What is nearly 0 beside a zero is 0 on it."""

    def clean(entries: Entries) -> Entries:
        return {p: flint.arb(0) if abs(v.mid()) < NOTHING else v for p, v in entries.items()}

    return replace(
        exact, outputs=tuple(map(clean, exact.outputs)), gradients={n: clean(g) for n, g in exact.gradients.items()}
    )
