"""The user's own functions, run by NumPy, beside what was traced.

A verdict speaks of the traced equations; this module makes sure that they say what NumPy does. Both functions run on
copies of a few small arrays, and their results must be those of the equations. A difference is a fault of the trace, or
code whose results depend on more than its arguments; either way nothing may be said. This module must not know how
functions are traced, or what is claimed.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.lookalikes import small
from symbackprop.checking.overflow import overflow
from symbackprop.checking.question import Question
from symbackprop.checking.regions import ANY, CONSTANTS, Region, assignments, regions
from symbackprop.checking.rounded_branches import BITS, RoundedBranches
from symbackprop.checking.sample_points import Sampler, Sizes
from symbackprop.checking.unwritten import unwritten_as
from symbackprop.checking.user_run import handed, numbers_written, quietly, run
from symbackprop.errors import MalformedError, SymbackpropError, UnsupportedError
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.compile import Array, OutOfRangeError
from symbackprop.evaluation.exact import Evaluator, array_of, to_numpy
from symbackprop.evaluation.number_types import FLOAT, Field, Missing, TooCloseError, Value, ball
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Kronecker,
    Multiply,
    Power,
    Sum,
    Symbol,
    Tensor,
    children,
    nodes_once,
)
from symbackprop.expression.functions import OF_POSITIVE
from symbackprop.expression.program import Equation, Program, defined_once
from symbackprop.expression.shown import in_a_line
from symbackprop.frontends.numpy.traced import Traced, beside_inputs, outputs_and_cache, roles_as_traced, unwritten
from symbackprop.frontends.numpy.tracer import name_of
from symbackprop.frontends.passes import framework_of
from symbackprop.frontends.structures import by_input

CHOICES = 4  # sizes that are tried: unequal ones first, then some with a size of 1
LENGTHS = 3  # of every axis, where its domain has so many
LARGEST, OF_EACH = 100_000, 25  # numbers, and of each tensor: larger points are left out, since the referee is slow
FAR = 0.1  # of the largest entry: that is no rounding error, but another branch
CLOSE = 1e-4  # relative to the largest entry: user code may work in float32
TRIES = 3  # points at one choice of sizes, until both functions have finite values
SOUGHT = 150  # points at which NumPy is asked for finite values where the equations have none
MAGNITUDES = (2.0**-40, 2.0**-20, 2.0**-12, 2.0**20, 2.0**40)
SATURATED = (2.0**7, 2.0**12)  # tanh and exp round to what they tend to, on one side each
SEVERAL = 200  # numbers, each of which rounding may take another way
ALL_DIGITS = 2.0**-10  # how far a number is moved that is to have all of them
SCALES = (1.0, 2.0**-4, 2.0**-8, 2.0**-11, 2.0**-30)  # of such numbers: the last is CLOSE to 0, but for gradients
NUDGES = 3  # by rounding errors, to see whether rounding decides
ROUNDING = 2.0**-51  # relative, of what a line computes: two libraries differ by that
COMPUTED = (Add, Multiply, Power, Sum, Apply)  # of other lines, as of a largest entry, nothing is rounded
EXTREME_ENTRIES = 100_000  # numbers that may be computed at extreme points, beyond the first few
Floats = NDArray[Any]


class TraceDiffersError(UnsupportedError):
    """The equations are not what NumPy computes."""


@dataclass
class _Pair:
    """The user's functions, the question that their trace answers, and the sizes at which NumPy has been asked."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    traced: Traced
    roles: Mapping[str, str]
    floor: float
    asked: list[Sizes] = field(default_factory=list)
    stopped: str = ""  # what the forward raised last
    _enclosures: list[tuple[Program, Point, dict[Tensor, Array]]] = field(default_factory=list)

    @property
    def programs(self) -> tuple[Program, Program]:
        """What was traced."""
        return self.traced.forward, self.traced.backward

    @cached_property
    def evaluators(self) -> tuple[Evaluator, Evaluator]:
        """The referee of both programs; made where it is asked, since arrays tell most of the time."""
        forward, backward = self.programs
        return Evaluator(forward, FLOAT), Evaluator(backward, FLOAT)

    @cached_property
    def equations(self) -> tuple[Equation, ...]:
        """Those of both programs."""
        return tuple(defined_once(e for p in self.programs for e in p.equations).values())

    def enclosed(self, program: Program, point: Point) -> dict[Tensor, Array]:
        """Every entry of a program with its error bounds; empty where there are none. The last point is remembered."""
        for own, place, arrays in self._enclosures:
            if own is program and place is point:
                return arrays
        self._enclosures[:] = [e for e in self._enclosures if e[1] is point]
        arrays = _enclosed(program, point)
        self._enclosures.append((program, point, arrays))
        return arrays


def agree_with_numpy(
    traced: Traced, forward: Callable[..., Any], backward: Callable[..., Any], *, choices: int = CHOICES
) -> str:
    """Run both functions by NumPy at a few points and compare the results with the traced equations.

    Args:
        choices: how many choices of sizes are tried.

    Returns:
        "" if NumPy could be asked at enough sizes, else why it could not: then nothing may be called proved.

    Raises:
        TraceDiffersError: they differ.
        MalformedError: the backward fails where its trace does not, or reads what np.empty left there.
    """
    inputs = {t.name: t for t in traced.forward.inputs}
    pairs = {name: (inputs[name], tensor) for name, tensor in traced.gradients.items()}
    question = Question(traced.forward, traced.backward, pairs, traced.upstream, told_sizes=traced.telling)
    sampler = Sampler(question, random.Random(7))
    floor = CLOSE * min([1.0, *question.constants[:1]])
    roles = roles_as_traced(forward, backward, list(inputs), traced.upstream)
    pair = _Pair(forward, backward, traced, roles, floor)
    try:
        return _examine(pair, sampler, choices)
    except (MalformedError, TraceDiffersError) as error:
        fixed = [f"where   {', '.join(f'{name} = {n}' for name, n in traced.sizes.items())}"] if traced.sizes else []
        raise type(error)(error.what, evidence=[*fixed, *error.evidence], help=error.help) from None


def compared_with_numpy(program: Program, sizes: Mapping[str, int]) -> Program:
    """A traced program, after NumPy has run the user's function beside its equations.

    Where NumPy could not be asked, that is a condition of whatever is said about the program.

    Args:
        sizes: those that were fixed.

    Raises:
        TraceDiffersError: they differ.
    """
    assert program.function is not None, "a traced program knows its function"
    alone = Traced(program, replace(program, equations=(), outputs=()), (), {}, sizes=dict(sizes))
    unasked = agree_with_numpy(alone, program.function, program.function)
    return replace(program, conditions=(*program.conditions, unasked)) if unasked else program


def _examine(pair: _Pair, sampler: Sampler, choices: int) -> str:
    tensors = sum(len(p.tensors) for p in pair.programs)
    largest = max(LARGEST, OF_EACH * tensors)
    telling = [s for s in sampler.size_choices() if sampler.entries(s) <= largest]
    if any(map(unwritten, pair.programs)):
        for sizes in telling:
            _only_written(pair.evaluators, sampler.point(sizes))
    lengths = 1 if pair.traced.sizes else LENGTHS
    for k, sizes in enumerate(telling):
        missing = _missing(pair.asked, telling, lengths)
        if k >= choices and not missing:
            break
        if k < choices or any(sizes[s] not in {a[s] for a in pair.asked} for s in missing):
            _ask_at(pair, sampler, sizes)
    if not pair.asked and telling:
        _seek(pair, sampler, telling)
    by_rounding = ""
    if pair.asked:
        asked = sorted(pair.asked, key=sampler.entries)
        _only_written_by_numpy(pair, sampler.point(asked[0]))
        several = [s for s in asked if sampler.entries(s) <= SEVERAL] or asked[:1]
        by_rounding = _ask_with_all_digits(pair, sampler, several[-1]) or _extremes(pair, sampler, asked[0])
    return _unasked(pair, sampler, telling, lengths) or by_rounding


def _missing(asked: list[Sizes], telling: list[Sizes], lengths: int) -> list[Symbol]:
    """The size symbols of which too few values have been asked."""
    symbols = dict.fromkeys(s for sizes in telling for s in sizes)
    return [s for s in symbols if len({a[s] for a in asked}) < min(lengths, len({t[s] for t in telling}))]


def _unasked(pair: _Pair, sampler: Sampler, telling: list[Sizes], lengths: int) -> str:
    """Why NumPy has not been asked enough; "" if it has."""
    functions = f"{name_of(pair.forward)} and {name_of(pair.backward)} do what their lines say"
    if pair.forward is pair.backward:
        functions = f"{name_of(pair.forward)} does what its lines say"
    what = f"{framework_of(pair.forward)} could not be asked whether {functions}"
    if not telling:
        return f"{what}: no sizes were found that are small enough"
    if not pair.asked and pair.stopped:
        return f"{what}: {name_of(pair.forward)} raises {pair.stopped}"
    missing = _missing(pair.asked, telling, lengths)
    too_large = _too_large(pair, sampler, telling) if missing else ""
    if not pair.asked:
        return f"{what}: {too_large or 'no point was found at which all values are finite'}"
    elsewhere = f"it raises {pair.stopped}" if pair.stopped else too_large or "no finite values were found"
    if missing:
        return f"{what}, but at {' and at '.join(_sizes(a) for a in pair.asked)}: elsewhere {elsewhere}"
    return ""


def _too_large(pair: _Pair, sampler: Sampler, telling: list[Sizes]) -> str:
    """Where numbers overflow at sizes at which NumPy could not be asked; "" if nowhere."""
    points = (sampler.point(sizes) for sizes in telling if sizes not in pair.asked)
    return next(filter(None, (overflow(pair.equations, pair.traced.variables, p) for p in points)), "")


def _ask_at(pair: _Pair, sampler: Sampler, sizes: Sizes) -> None:
    """Compare at these sizes, at the first point where both functions have finite values: layer upon layer, numbers
    may run out of range where inputs are not small."""
    points = (sampler.point(sizes) for _ in range(TRIES))
    nearer = (small(sampler.point(sizes), sampler.question) for _ in range(1))
    if any(_compare(pair, point, needed=_as_arrays(pair, point)) for point in itertools.chain(points, nearer)):
        pair.asked.append(sizes)


def _ask_with_all_digits(pair: _Pair, sampler: Sampler, sizes: Sizes) -> str:
    """Compare at inputs that fill their 53 bits: of short numbers x/49*49 == x holds, and float32 holds them.

    Of (x + 0.1) - 0.1 == x equations know nothing, since it is true of real numbers. Of numbers near 1 most meet it, of
    small ones, which lose digits beside 0.1, next to none.

    Returns:
        why the equations do not tell what NumPy computes: numbers that are equal are not after rounding.
    """
    compares = any(RoundedBranches(p).sides for p in pair.programs)
    for seed, scale in enumerate(SCALES[: 1 + SEVERAL // sampler.entries(sizes)]):
        point, rng, moved = sampler.point(sizes), np.random.default_rng(seed), dict[Tensor, Floats]()
        for t in sampler.real_inputs:
            moved[t] = scale * point.inputs[t] * (1 - ALL_DIGITS * rng.random(point.inputs[t].shape))
        point = replace(point, inputs={**point.inputs, **moved})
        if not _compare(pair, point, extreme=True, needed=_as_arrays(pair, point)):
            continue
        if compares and not seed and not _as_real_numbers(pair, point, _or_equal(ball(BITS))):
            return "rounding decides whether numbers are equal that are so exactly: NumPy returns another value there"
    return ""


def _or_equal(balls: Field) -> Field:
    """The field in which what no digit tells apart is equal."""

    def compare(left: Value, right: Value) -> int:
        try:
            return balls.compare(left, right)
        except TooCloseError:
            return 0

    return replace(balls, compare=compare)


def _seek(pair: _Pair, sampler: Sampler, telling: list[Sizes]) -> None:
    """Where the equations have no finite values NumPy may have some: let it tell where, and compare there."""
    rng, sizes = random.Random(5), telling[0]
    ways = assignments(sampler.real_inputs, sampler.question.constants[:CONSTANTS], rng)
    for assignment in itertools.islice(ways, SOUGHT):
        point = sampler.moved(sampler.point(sizes), assignment)
        if _forward_is_finite(pair, point) and _compare(pair, point):
            sampler.regions = [assignment]
            for other in telling[: 2 * CHOICES]:
                _ask_at(pair, sampler, other)
            return


def _forward_is_finite(pair: _Pair, point: Point) -> bool:
    with quietly():
        try:
            result = run(pair.forward, pair.traced.forward.inputs, point)
            return all(np.isfinite(_plain(v)).all() for v in _listed(outputs_and_cache(result, pair.roles)[0]))
        except Exception:
            return False


def _extremes(pair: _Pair, sampler: Sampler, sizes: Sizes) -> str:
    """Compare on either side of every constant, and at large and small magnitudes: code may do something else there.

    What overflows there shows nothing.

    Returns:
        why the equations do not tell what NumPy computes: rounding decides a branch. "" if none was found.
    """
    written = [c for f in (pair.forward, pair.backward) for c in numbers_written(f)]
    constants = dict.fromkeys(c for c in (*sampler.question.constants, *sorted(written)) if c < 2.0**40)
    sides = [r for r in regions(list(constants)[: 2 * CONSTANTS]) if r is not ANY]
    sides += [Region(f"near {m:g}", 0, m) for m in MAGNITUDES]
    sides += [Region(f"near {sign * m:g}", sign, m) for m in SATURATED for sign in (1, -1)]
    tensors, branches = sampler.real_inputs, [RoundedBranches(p) for p in pair.programs]
    sides = sides[: max(8, EXTREME_ENTRIES // sampler.entries(sizes))]
    points = [sampler.moved(sampler.point(sizes), dict.fromkeys(tensors, region)) for region in sides]
    for asked in () if any(map(_counts, pair.programs)) else branches:
        asked.expect(points)
    for region, point, needed in zip(sides, points, _side_by_side(pair, points), strict=True):
        if _compare(pair, point, extreme=True, needed=needed):
            told = next(filter(None, (b.at(point) for b in branches)), "")
            if told and not _as_real_numbers(pair, point):
                return f"rounding decides {told}, where inputs are {region.name}: NumPy returns another value there"
    return ""


def _as_real_numbers(pair: _Pair, point: Point, balls: Field | None = None) -> bool:
    """Whether all results in floating point are those of the equations in real numbers, by and large."""
    for program in pair.evaluators:
        near, exact = _evaluated(program, point), _enclosed(program.program, point, balls or ball(BITS))
        if near is None:
            continue
        for tensor in program.program.outputs:
            numbers = _floats(exact.get(tensor, {}), near[tensor].shape)
            known = np.isfinite(numbers) & np.isfinite(near[tensor])
            scale = float(np.abs(numbers[known]).max(initial=0.0))
            if (np.abs(near[tensor] - numbers)[known] > FAR * scale + pair.floor).any():
                return False
    return True


def _only_written(programs: tuple[Evaluator, Evaluator], point: Point) -> None:
    """Whatever np.empty arrays hold, the results are the same.

    Raises:
        MalformedError: they are not.
    """
    for evaluator in programs:
        garbage = unwritten(evaluator.program)
        first, second = (
            _evaluated(evaluator, replace(point, parameters={**point.parameters, **dict.fromkeys(garbage, value)}))
            for value in (0.0, 1.75)
        )
        if first is None or second is None:
            continue
        for tensor in evaluator.program.outputs:
            if not np.array_equal(first[tensor], second[tensor], equal_nan=True):
                raise _read_before(tensor.name, point)


def _read_before(name: str, point: Point) -> MalformedError:
    what = f"entries of an np.empty array are read before they are written: {name}"
    return MalformedError(what, evidence=[f"sizes:  {_sizes(point.sizes)}"], help="use np.zeros")


def _only_written_by_numpy(pair: _Pair, point: Point) -> None:
    """The same of the functions as NumPy runs them: 0 times what is not written is 0 in the equations, and may be NaN.

    Raises:
        MalformedError: they are not.
    """
    with unwritten_as(0.0):
        first = _results(pair, point)
    if first is None:
        return
    with unwritten_as(np.nan):
        second = _results(pair, point)
    for name, array in first.items():
        if np.isfinite(array).all() and (second is None or not _is_near(pair, array, second[name])):
            raise _read_before(name, point)


def _results(pair: _Pair, point: Point) -> dict[str, Floats] | None:
    """What both functions return, by name; None where one of them fails."""
    with quietly():
        try:
            outputs, cache = outputs_and_cache(run(pair.forward, pair.traced.forward.inputs, point), pair.roles)
            returned = _by_name(_run_backward(pair, point, cache), pair.traced)
        except Exception:
            return None
        named = {t.name: v for t, v in zip(pair.traced.forward.outputs, _listed(outputs), strict=False)}
        gradients = {t.name: returned[n] for n, t in pair.traced.gradients.items() if returned.get(n) is not None}
        return {name: _plain(value) for name, value in (named | gradients).items()}


def _compare(
    pair: _Pair, point: Point, *, extreme: bool = False, needed: Mapping[Tensor, Floats] | None = None
) -> bool:
    """Whether NumPy was asked; a point at which a function fails, or rounding decides, says nothing."""
    try:
        return _run_both(pair, point, needed)
    except TraceDiffersError:
        if all(_steady(p, point) for p in pair.evaluators):
            raise
        return False
    except MalformedError:
        if not extreme:
            raise
        return False


def _steady(evaluator: Evaluator, point: Point) -> bool:
    """False if inputs, or results of lines, that differ by a rounding error give quite another result.

    So it is with code that divides by x - x, and with 1 - tanh(x)**2 where tanh has levelled off; and with a line that
    cancels within itself, as lgamma(x + 1) - lgamma(x) at large x: there floats are not the real numbers.
    """
    first = _evaluated(evaluator, point)
    if first is not None and _loses_digits(evaluator, point, first):
        return False
    for seed in range(NUDGES):
        random_ = np.random.default_rng(seed)
        factors = {t: 1 + 2.0**-40 * random_.uniform(-1, 1, a.shape) for t, a in point.inputs.items()}
        nudged = {t: a * factors[t] if a.dtype.kind == "f" else a for t, a in point.inputs.items()}
        others = _evaluated(evaluator, replace(point, inputs=nudged)), _evaluated(evaluator, point, random_)
        if first is None or None in others:
            return first is None and others == (None, None)
        if not all(_near(first[t], other[t]) for other in others if other for t in evaluator.program.outputs):
            return False
    return True


def _loses_digits(evaluator: Evaluator, point: Point, floats: Mapping[Tensor, Floats]) -> bool:
    """True if an output of the equations is another number in floats than it is in real numbers."""
    exact = _enclosed(evaluator.program, point)
    for tensor in evaluator.program.outputs:
        numbers = _floats(exact.get(tensor, {}), floats[tensor].shape)
        known = np.isfinite(numbers) & np.isfinite(floats[tensor])
        if not _near(numbers[known], floats[tensor][known]):
            return True
    return False


def _near(left: Floats, right: Floats) -> bool:
    exists = np.isfinite(left)
    scale = float(np.abs(left[exists]).max(initial=0.0))
    return bool(np.all(np.abs(left[exists] - right[exists]) <= CLOSE * scale))


def _run_both(pair: _Pair, point: Point, needed: Mapping[Tensor, Floats] | None = None) -> bool:
    """True if both functions have finite values at the point, which are those of the equations.

    Args:
        needed: what the equations give as arrays. Where the functions do not give that, the referee is asked.
    """
    with quietly():
        try:
            result = run(pair.forward, pair.traced.forward.inputs, point)
        except Exception as error:
            pair.stopped = in_a_line(f"{type(error).__name__}: {error}")
            return False
        outputs, cache = outputs_and_cache(result, pair.roles)
        plain = [_plain(v) for v in _listed(outputs)]
        if not all(np.isfinite(v).all() for v in plain):
            return False
        if needed and _seen_alike(pair, point, plain, cache, needed):
            return True
        forward, backward = pair.evaluators
        expected = _evaluated(forward, point)
        if expected is None:
            _must_read_inside(pair.forward, forward, point)
            return False
        same = [
            _same(pair, pair.forward, forward, point, tensor, tensor.name, given, expected[tensor])
            for given, tensor in zip(plain, pair.traced.forward.outputs, strict=False)
        ]
        expected = _evaluated(backward, point)
        if expected is None:
            _run_backward(pair, point, cache)
            _must_read_inside(pair.backward, backward, point)
            return False
        returned = _by_name(_run_backward(pair, point, cache), pair.traced)
        for name, tensor in pair.traced.gradients.items():
            value = returned.get(name)
            if value is not None:
                same.append(_same(pair, pair.backward, backward, point, tensor, name, _plain(value), expected[tensor]))
        return all(same)


def _side_by_side(pair: _Pair, points: Sequence[Point]) -> list[Mapping[Tensor, Floats]]:
    """What the equations give at each of these points, evaluated as arrays at all of them at once; empty where not.

    The points have the same sizes.
    """
    nothing: list[Mapping[Tensor, Floats]] = [{} for _ in points]
    if any(map(_counts, pair.programs)):
        return nothing
    try:
        with quietly():
            every = Vectors.of_all(points)
            every.run(pair.equations)
    except (SymbackpropError, ArithmeticError, IndexError):
        return nothing
    outputs = {t: np.asarray(every.arrays[t], dtype=np.float64) for p in pair.programs for t in p.outputs}
    return [{t: a[k] if t in every.trials else a for t, a in outputs.items()} for k in range(len(points))]


def _as_arrays(pair: _Pair, point: Point) -> Mapping[Tensor, Floats]:
    """What the equations give at an ordinary point, evaluated as arrays; empty where anything has no finite value."""
    if any(map(_counts, pair.programs)):
        return {}
    try:
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            vectors = Vectors(point)
            vectors.run(pair.equations)
    except (SymbackpropError, ArithmeticError, IndexError):
        return {}
    return {t: np.asarray(vectors.arrays[t], dtype=np.float64) for p in pair.programs for t in p.outputs}


def _seen_alike(pair: _Pair, point: Point, outputs: list[Floats], cache: Any, needed: Mapping[Tensor, Floats]) -> bool:
    """True if what the equations were seen to give are finite numbers, and those of both functions."""
    given = [*zip(outputs, pair.traced.forward.outputs, strict=False)]
    if not all(_is_near(pair, array, needed[t]) for array, t in given):
        return False
    returned = _by_name(_run_backward(pair, point, cache), pair.traced)
    own = ((_plain(returned[n]), t) for n, t in pair.traced.gradients.items() if returned.get(n) is not None)
    return all(_is_near(pair, array, needed[t]) for array, t in own)


def _is_near(pair: _Pair, given: Floats, needed: Floats) -> bool:
    """True for finite numbers that are as close as the referee asks for."""
    if given.shape != needed.shape or not (np.isfinite(given).all() and np.isfinite(needed).all()):
        return False
    scale = max(float(np.abs(a).max(initial=0.0)) for a in (given, needed))
    return not (np.abs(given - needed) > CLOSE * scale + pair.floor).any()


@lru_cache(maxsize=4)
def _counts(program: Program) -> bool:
    """True if a program computes with integers: arrays of them may run over, where the referee's do not."""
    stack, seen = [e.value for e in program.equations], set[Expr]()
    while stack:
        node = stack.pop()
        if isinstance(node, (Entry, Kronecker, Compare)):  # places are small, and so are labels
            if isinstance(node, Entry) and node.tensor.kind == "integer":
                return True
        elif node not in seen:
            seen.add(node)
            stack += children(node)
    return False


def _run_backward(pair: _Pair, point: Point, cache: Any) -> Any:
    upstream = tuple(handed(t, point) for t in pair.traced.upstream)
    given = beside_inputs(pair.roles, upstream, cache)
    try:
        return run(pair.backward, pair.traced.forward.inputs, point, **given)
    except Exception as error:
        by = framework_of(pair.backward)
        what = f"{name_of(pair.backward)} fails when {by} runs it: {type(error).__name__}: {error}"
        raise MalformedError(what, evidence=[f"sizes:  {_sizes(point.sizes)}"]) from None


def _evaluated(
    evaluator: Evaluator, point: Point, rounding: np.random.Generator | None = None
) -> dict[Tensor, Floats] | None:
    """What a program gives, as floats; None where it has no value.

    Args:
        rounding: draws other rounding errors for what lines compute; what they take from elsewhere is as it is.
    """
    lines = evaluator.program.by_tensor

    def rounded(tensor: Tensor, entries: Array) -> Array:
        if rounding is None or tensor not in lines or not isinstance(lines[tensor].value, COMPUTED):
            return entries
        errors = 1 + ROUNDING * rounding.uniform(-1, 1, len(entries))
        return {p: v * e if isinstance(v, float) else v for (p, v), e in zip(entries.items(), errors, strict=True)}

    values = dict(point.values(FLOAT))
    given = {t: array_of(t, point.inputs[t], point.inputs[t].shape, FLOAT) for t in evaluator.program.inputs}
    try:
        arrays: dict[Tensor, Array] = evaluator.run(values, given, rounded)
    except (TooCloseError, OutOfRangeError, ZeroDivisionError, OverflowError):
        return None
    return {t: to_numpy(arrays[t], evaluator.shape(t, values), FLOAT) for t in evaluator.program.outputs}


def _must_read_inside(function: Callable[..., Any], evaluator: Evaluator, point: Point) -> None:
    """Raise where the equations read outside a tensor though the code, which has run, does not: at x[-1], say."""
    given = {t: array_of(t, point.inputs[t], point.inputs[t].shape, FLOAT) for t in evaluator.program.inputs}
    try:
        evaluator.run(point.values(FLOAT), given)
    except OutOfRangeError as error:
        what = f"{name_of(function)} has a result when {framework_of(function)} runs it, and its lines have none"
        raise TraceDiffersError(what, evidence=[f"sizes:  {_sizes(point.sizes)}", f"as traced:  {error}"]) from None
    except (TooCloseError, ZeroDivisionError, OverflowError):
        return


def _listed(result: Any) -> list[Any]:
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _by_name(returned: Any, traced: Traced) -> dict[str, Any]:
    """The gradients, by the names of inputs, or by their places."""
    returned = by_input(returned, [t.name for t in traced.forward.inputs])
    if isinstance(returned, dict):
        return returned
    return dict(zip(traced.gradients, _listed(returned), strict=False))


def _plain(value: Any) -> Floats:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TraceDiffersError(f"the result is no array of numbers: {value!r}") from None


def _same(
    pair: _Pair,
    function: Callable[..., Any],
    program: Evaluator,
    point: Point,
    tensor: Tensor,
    name: str,
    given: Floats,
    needed: Floats,
) -> bool:
    """Raise unless both have the same shape and nearly the same entries; True if all of them are finite."""
    by = framework_of(function)
    if np.isnan(given).any() and given.shape == needed.shape and np.isfinite(needed).all():
        what = f"{name_of(function)} gives nan for {name} when {by} runs it"
        raise MalformedError(what, evidence=[f"sizes:  {_sizes(point.sizes)}"])
    what = f"the result of {name_of(function)} when {by} runs it is not what its lines say: {name}"
    help = "a result must depend on the arguments alone; if it does, please report this case"
    if given.shape != needed.shape:
        raise TraceDiffersError(
            what,
            evidence=[f"sizes:  {_sizes(point.sizes)}", f"shape:  {given.shape} by {by}, {needed.shape} as traced"],
            help=help,
        )
    exists = np.isfinite(needed)
    scale = max(float(np.abs(a[exists & np.isfinite(a)]).max(initial=0.0)) for a in (given, needed))
    far = exists & ~(np.abs(given - needed) <= CLOSE * scale + pair.floor)
    far |= _missing_there(pair, program, point, tensor, np.isfinite(given) & ~exists)
    if far.any():  # floats of the equations may overflow where those of the code do not: balls tell
        balls = _by_balls(pair, program, point, tensor, given.shape)
        far &= ~(np.abs(given - balls) <= CLOSE * scale + pair.floor)
    if far.any():
        if np.isnan(needed[far]).any() and _has_gamma(program.program):
            raise UnsupportedError("gammaln and its derivatives are read at positive numbers alone",
                                   help='say that they are: assume={"x": "pos"}')  # fmt: skip
        at = tuple(int(k) for k in np.argwhere(far)[0])
        values = f"{name}{list(at) if at else ''}:  {given[at]:.6g} by {by}, {needed[at]:.6g} as traced"
        raise TraceDiffersError(what, evidence=[f"sizes:  {_sizes(point.sizes)}", values], help=help)
    return bool(exists.all() and np.isfinite(given).all())


def _has_gamma(program: Program) -> bool:
    nodes = (n for e in program.equations for n in nodes_once(e.value))
    return any(isinstance(n, Apply) and n.function in OF_POSITIVE[1:] for n in nodes)


def _by_balls(pair: _Pair, program: Evaluator, point: Point, tensor: Tensor, shape: tuple[int, ...]) -> Floats:
    """The entries of a tensor, which no overflow spoils; nan where the enclosures tell nothing."""
    return _floats(pair.enclosed(program.program, point).get(tensor, {}), shape)


def _floats(entries: Array, shape: tuple[int, ...]) -> Floats:
    """Enclosed entries as floats; nan where there is none."""
    found = np.full(shape, np.nan)
    for place, value in entries.items():
        found[place] = np.nan if isinstance(value, Missing) else float(value)
    return found


def _missing_there(pair: _Pair, program: Evaluator, point: Point, tensor: Tensor, asked: NDArray[Any]) -> NDArray[Any]:
    """Of these entries, which NumPy has a number for, those that are certainly none by the equations.

    A float that is none may also be the overflow of a way to compute it; enclosures tell.
    """
    found = np.zeros_like(asked)
    if not asked.any():
        return found
    entries = pair.enclosed(program.program, point).get(tensor, {})
    for position in np.argwhere(asked):  # of a scalar, too
        where = tuple(int(k) for k in position)
        found[where] = isinstance(entries.get(where), Missing)
    return found


def _enclosed(program: Program, point: Point, field_: Field | None = None) -> dict[Tensor, Array]:
    balls = Evaluator(program, field_ or ball(128), point.functions)
    with balls.field.working():
        given = {t: array_of(t, point.inputs[t], point.inputs[t].shape, balls.field) for t in program.inputs}
        try:
            return balls.run(point.values(balls.field), given)
        except (TooCloseError, OutOfRangeError, ZeroDivisionError, OverflowError):
            return {}


def _sizes(sizes: Mapping[Any, int]) -> str:
    return ", ".join(f"{s.name} = {n}" for s, n in sizes.items()) or "those given"


__all__ = ["TraceDiffersError", "agree_with_numpy"]
