"""The place of a fault in a long backward pass: the first of the user's tensors that should be a derivative and is not.

A tensor that has the numbers of a derived one, or from which such a one is computed, is right as far as numbers tell.
Among those after which nothing is right any more, the first is sought that, given the numbers of a derivative, makes
every gradient right. The fault lies between the last right tensors and this one, however deep the model is.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np

from symbackprop.checking.diagnosis.numeric_filter import FAILURES, FAINT, Refuted, Trials
from symbackprop.checking.diagnosis.search import EditSearch
from symbackprop.evaluation.arrays import Numbers
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    Expr,
    Multiply,
    Sum,
    Tensor,
    free_indices,
    mentioned,
    multiply,
)
from symbackprop.expression.program import Equation, Program

MOST_SUSPECTS, MOST_DERIVATIVES = 12, 12
CLOSE = 1e-4  # relative: what saturates loses digits on the way through many layers


@dataclass(frozen=True)
class CutFault:
    """A fault between cut points.

    Args:
        line: of the user's tensor that is wrong.
        right: the derivative that it should be, times the factor.
        lines: the user's lines from the last right tensors to this one.
        near: what the derivation speaks of between derivatives that the user has and this one.
        absent: the derivatives among these that the user does not have.
        again: where the line is wrong in several rounds of a loop, the later ones, each with what it should be.
    """

    line: Equation
    right: Tensor
    lines: tuple[Equation, ...]
    near: frozenset[Tensor] = frozenset()
    absent: frozenset[Tensor] = frozenset()
    factor: Expr = ONE
    again: tuple[tuple[Equation, Tensor], ...] = ()


def cut_fault(case: Refuted, trials: Trials) -> CutFault | None:
    """Where the backward pass leaves the derivation, as far as numbers tell."""
    if trials not in _FOUND:  # several searches ask
        _FOUND[trials] = _cut_fault(case, trials, case.own_lines)
    return _FOUND[trials]


_FOUND: WeakKeyDictionary[Trials, CutFault | None] = WeakKeyDictionary()


def _cut_fault(case: Refuted, trials: Trials, lines: Sequence[Equation]) -> CutFault | None:
    found = _likenesses(case, lines)
    leads = set(found)
    for line in reversed(lines):
        if line.tensor in leads:
            leads |= mentioned(line.value)
    suspects = [line for line in lines if line.tensor not in leads][:MOST_SUSPECTS]
    absent = [e for e in case.derived_lines if not any(e.tensor in others for others in found.values())]
    lines_of = {e.tensor: e for e in absent}
    for line, right, scale in _without_factor(case, lines, found):
        if right_with(case, trials, lines, [(line.tensor, right, scale)]):
            return CutFault(line, right, _between(lines, line, frozenset(found)), frozenset({right}), factor=scale)
    strays = _strays(case)
    ways = [(line, _missing(absent, line.tensor, strays)) for line in suspects]
    multiples = [line for line in lines if found.get(line.tensor) and ONE not in found[line.tensor].values()]
    ways += [(line, _of_shape(found[line.tensor], line.tensor)) for line in multiples[:MOST_SUSPECTS]]
    ways += _one_step_short(lines, absent, found, strays)
    hidden = _hidden(case, lines, leads - found.keys())
    ways = [*_right_elsewhere(case, lines, hidden, absent, found), *ways]
    ways += [(line, _missing(absent, line.tensor, strays)) for line in hidden[-MOST_SUSPECTS:]]
    for factor in (ONE, MINUS_ONE):  # of 1/(1 + exp(-z)) the derivation knows the derivative with respect to -z
        for line, right in ((line, right) for line, derivatives in ways for right in derivatives):
            if _mends(case, trials, lines, line.tensor, right, factor):
                near, between = _region(right, lines_of), _between(lines, line, frozenset(found))
                return CutFault(line, right, between, near, near & lines_of.keys(), factor)
    wrong = [line for line in lines if line.tensor not in leads]
    return _in_several_rounds(case, trials, lines, wrong, absent, found)


def _in_several_rounds(
    case: Refuted,
    trials: Trials,
    lines: Sequence[Equation],
    wrong: Sequence[Equation],
    absent: Sequence[Equation],
    found: Mapping[Tensor, Mapping[Tensor, Expr]],
) -> CutFault | None:
    """A line that goes wrong more than once, as the steps of one layer do.

    From where it goes wrong first, each round of it stands for one of the derivatives with respect to what one line of
    the forward pass computes; backward passes go through them in the order of the derivation. Those are left that no
    round of the line has.

    Args:
        wrong: the lines from which nothing right is computed.
    """
    forward, sources = case.gradient.program.by_tensor, {bar: t for t, bar in case.gradient.cotangents.items()}
    called = case.traced.variables

    def place(tensor: Tensor, note: str) -> tuple[str, str, tuple[Expr, ...]]:
        return note, called.get(tensor, ""), tensor.shape

    lines_of = {e.tensor: e for e in absent}
    kinds: dict[Hashable, list[Tensor]] = {}
    for line in case.derived_lines:
        source = sources.get(line.tensor)
        if source is not None and source in forward and forward[source].note:
            kinds.setdefault(place(source, forward[source].note), []).append(line.tensor)
    suspects = {place(line.tensor, line.note) for line in wrong[:MOST_SUSPECTS]}
    places = (place(line.tensor, line.note) for line in lines)  # in the order in which a round goes through them
    for first in dict.fromkeys(p for p in places if p in suspects):
        every = [line for line in lines if place(line.tensor, line.note) == first]
        unlike = [line for line in every if line.tensor not in found]
        for kind in kinds.values():
            bars = [bar for bar in kind if bar in lines_of]
            # without its slope a derivative is another one, so what is like one may be wrong, too
            others = [line for line in every if not found.get(line.tensor, {}).keys() & set(kind)]
            ways = [list(zip(rounds, bars, strict=True)) for rounds in (unlike, others) if len(rounds) == len(bars) > 1]
            fitting = (way for way in ways if all(line.tensor.shape == bar.shape for line, bar in way))
            pairs = next((way for way in fitting if _mend(case, trials, lines, way)), None)
            if pairs is None:
                continue
            few = next(k for k in range(1, len(pairs) + 1) if _mend(case, trials, lines, pairs[:k]))
            pairs = pairs[:few]
            regions = [_region(right, lines_of) for _, right in pairs]
            near = frozenset[Tensor]().union(*regions)
            own = {e.tensor for line, _ in pairs for e in _between(lines, line, frozenset(found))}
            between = tuple(e for e in lines if e.tensor in own)
            (line, right), *again = pairs
            return CutFault(line, right, between, near, near & lines_of.keys(), ONE, tuple(again))
    return None


def _mend(case: Refuted, trials: Trials, lines: Sequence[Equation], pairs: Sequence[tuple[Equation, Tensor]]) -> bool:
    """True if every gradient is right where these tensors have the values of these derivatives, at every point."""
    return right_with(case, trials, lines, [(line.tensor, right, ONE) for line, right in pairs])


def _likenesses(case: Refuted, lines: Sequence[Equation]) -> dict[Tensor, dict[Tensor, Expr]]:
    """The user's tensors that are like some of the forward pass or like some derivatives, with these and the factors.

    What is a multiple of a derivative may be right: 1/N comes later. Or a factor is missing there: so these are
    suspected last.
    """
    alike = case.sides.alike.afresh()
    for line in (*case.traced.forward.equations, *case.derived_lines):
        alike.add(line.tensor)
    found = {line.tensor: {like.other: like.factor for like in alike.of(line.tensor)} for line in lines}
    return {tensor: others for tensor, others in found.items() if others}


def _one_step_short(
    lines: Sequence[Equation],
    absent: Sequence[Equation],
    found: Mapping[Tensor, Mapping[Tensor, Expr]],
    strays: Mapping[Tensor, int],
) -> list[tuple[Equation, list[Tensor]]]:
    """Lines that compute a derivative where one that is computed from it is needed: a slope was forgotten."""
    nearest = sorted(absent, key=lambda e: strays.get(e.tensor, 0))[:MOST_DERIVATIVES]
    return [
        (line, [after.tensor])
        for after in nearest
        for line in lines
        if line.tensor.shape == after.tensor.shape and mentioned(after.value) & found.get(line.tensor, {}).keys()
    ]


def _without_factor(
    case: Refuted, lines: Sequence[Equation], found: Mapping[Tensor, Mapping[Tensor, Expr]]
) -> Iterator[tuple[Equation, Tensor, Expr]]:
    """Lines that compute a derivative, with it and the factor that all that is computed from it has: the user may have
    meant to multiply by it once.

    Of scores q @ k.T / sqrt(d) the derivatives with respect to q and to k have the factor 1/sqrt(d), and no tensor of
    the derivation is what both are computed from with it.
    """
    have = {t for others in found.values() for t, factor in others.items() if factor is ONE}
    readers: dict[Tensor, list[Equation]] = {}
    for line in case.derived_lines:
        for tensor in mentioned(line.value):
            readers.setdefault(tensor, []).append(line)
    for line in lines:
        for right, multiple in found.get(line.tensor, {}).items():
            after = readers.get(right, [])
            if multiple is not ONE or len(after) < 2 or any(e.tensor in have for e in after):
                continue
            first, *others = (_constant_factor(e.value) for e in after)
            if first is not ONE and all(f is first for f in others):
                yield line, right, first


def _constant_factor(expr: Expr) -> Expr:
    """The factors of a product, or of a sum of products, that are made of sizes and other scalars alone."""
    while isinstance(expr, Sum):
        expr = expr.body
    factors = expr.factors if isinstance(expr, Multiply) else ()
    return multiply(*(f for f in factors if not mentioned(f) and not free_indices(f)))


def _hidden(case: Refuted, lines: Sequence[Equation], unlike: Set[Tensor]) -> list[Equation]:
    """Lines that may be wrong though something right is computed from them: all wrong gradients are, too.

    What a normalization sends back has the sum 0, so the gradient of a bias that is added beside it is right whatever
    came in.
    """
    wrong = frozenset(case.traced.gradients[n] for n in case.wrong)
    reached: dict[Tensor, frozenset[Tensor]] = {}
    for line in reversed(lines):
        own = reached[line.tensor] = reached.get(line.tensor, frozenset()) | (wrong & {line.tensor})
        for tensor in mentioned(line.value):
            reached[tensor] = reached.get(tensor, frozenset()) | own
    return [line for line in lines if line.tensor in unlike and reached[line.tensor] == wrong]


def _right_elsewhere(
    case: Refuted,
    lines: Sequence[Equation],
    suspects: Iterable[Equation],
    absent: Sequence[Equation],
    found: Mapping[Tensor, Mapping[Tensor, Expr]],
) -> Iterator[tuple[Equation, list[Tensor]]]:
    """Lines that compute a derivative in other rounds of a loop, with those of its kind that no line computes."""
    forward, sources = case.gradient.program.by_tensor, {bar: t for t, bar in case.gradient.cotangents.items()}

    def kind(bar: Tensor) -> tuple[str, tuple[Expr, ...]] | None:
        line = forward.get(sources.get(bar, bar))
        return None if line is None else (line.note, bar.shape)

    kinds: dict[str, set[Hashable]] = {}
    for line in lines:
        if line.note:
            kinds.setdefault(line.note, set()).update(filter(None, map(kind, found.get(line.tensor, ()))))
    for line in suspects:
        bars = [e.tensor for e in absent if e.tensor.shape == line.tensor.shape]
        fitting = [bar for bar in bars if kind(bar) in kinds.get(line.note, ())]
        if fitting:
            yield line, fitting[:MOST_DERIVATIVES]


def _of_shape(others: Iterable[Tensor], tensor: Tensor) -> list[Tensor]:
    return [other for other in others if other.shape == tensor.shape]


def _strays(case: Refuted) -> dict[Tensor, int]:
    """For each derived tensor, how many wrong gradients do not depend on it, and how many right ones do.

    What the fault should have been is what all wrong gradients are computed from, and few others.
    """
    wrong = {case.derived[n] for n in case.wrong}
    known = case.gradient.cotangents
    every = frozenset(known[t] for t, _ in case.question.pairs.values() if t in known) | wrong
    reached: dict[Tensor, frozenset[Tensor]] = {}
    for line in reversed(case.derived_lines):
        own = reached.get(line.tensor, frozenset()) | (every & {line.tensor})
        reached[line.tensor] = own
        for tensor in mentioned(line.value):
            reached[tensor] = reached.get(tensor, frozenset()) | own
    return {tensor: len(own ^ wrong) for tensor, own in reached.items()}


def _missing(absent: Sequence[Equation], tensor: Tensor, strays: Mapping[Tensor, int]) -> list[Tensor]:
    """Derivatives of this shape that no tensor of the user's is: what the wrong gradients alone depend on first, of
    these those whose parts are all there."""
    missing = {e.tensor for e in absent}
    fitting = [e for e in absent if e.tensor.shape == tensor.shape]
    fitting.sort(key=lambda e: (strays.get(e.tensor, 0), len(mentioned(e.value) & missing)))
    return [e.tensor for e in fitting[:MOST_DERIVATIVES]]


def wrong_readers(case: Refuted, lines: Sequence[Equation]) -> dict[Tensor, list[Equation]]:
    """Tensors that are right, as far as what is computed of them tells, with those of their readers that lead to
    nothing right."""
    found = _likenesses(case, lines)
    leads = set(found)
    for line in reversed(lines):
        if line.tensor in leads:
            leads |= mentioned(line.value)
    wrong: dict[Tensor, list[Equation]] = {line.tensor: [] for line in lines}
    for line in lines:
        for tensor in mentioned(line.value) & leads & wrong.keys() if line.tensor not in leads else ():
            wrong[tensor].append(line)
    return {tensor: readers for tensor, readers in wrong.items() if readers}


def readers_of(case: Refuted, lines: Sequence[Equation]) -> list[tuple[Tensor, list[Equation]]]:
    """Tensors that are right and of whose readers some lead to nothing right, with these."""
    wrong = wrong_readers(case, lines)
    read = {t: sum(t in mentioned(line.value) for line in lines) for t in wrong}
    return [(t, readers) for t, readers in wrong.items() if len(readers) < read[t]]


def faults_at(case: Refuted, line: Equation, lines: Sequence[Equation]) -> Iterator[CutFault]:
    """A line as the place of the fault, for each derivative that it may have been meant for and no other line is.

    Args:
        lines: all the user's lines.
    """
    found = _likenesses(case, lines)
    absent = [e for e in case.derived_lines if not any(e.tensor in others for others in found.values())]
    lines_of = {e.tensor: e for e in absent}
    for right in _missing(absent, line.tensor, _strays(case)):
        near = _region(right, lines_of)
        yield CutFault(line, right, (line,), near, near & lines_of.keys())


def _mends(
    case: Refuted, trials: Trials, lines: Sequence[Equation], tensor: Tensor, right: Tensor, factor: Expr
) -> bool:
    """True if every gradient is right where the tensor has the values of this derivative, at every point."""
    return right_with(case, trials, lines, [(tensor, right, factor)])


def right_with(
    case: Refuted, trials: Trials, lines: Sequence[Equation], values: Sequence[tuple[Tensor, Tensor, Expr]]
) -> bool:
    """True if every gradient is right where tensors are multiples of derivatives, at every point."""
    goals = {case.traced.gradients[n]: case.derived[n] for n in case.wrong}
    told = False
    with np.errstate(all="ignore"):
        try:
            for bench in trials.benches:
                given = {
                    tensor: float(bench.over(factor, ())) * bench.arrays[right] for tensor, right, factor in values
                }
                after = bench.changed(given, lines)
                pairs = [(after.arrays[a], bench.arrays[b]) for a, b in goals.items()]
                largest = max(float(np.max(np.abs(b), initial=0.0)) for _, b in pairs)
                if largest < FAINT:
                    continue
                told = True
                if not all(_near(a, b, CLOSE * largest) for a, b in pairs):
                    return False
        except FAILURES:
            return False
    return told


def _near(left: Numbers, right: Numbers, nothing: float) -> bool:
    """True if two arrays agree but for what many layers lose; a gradient that is 0 is so up to rounding alone."""
    if left.shape != right.shape:
        return False
    allowed = CLOSE * max(float(np.max(np.abs(right), initial=0.0)), CLOSE * nothing)
    return bool(np.all(np.abs(left - right) <= allowed))


def _between(lines: Sequence[Equation], last: Equation, right: frozenset[Tensor]) -> tuple[Equation, ...]:
    """The lines that lead to the last one from tensors that are right, and those of the last right ones.

    What is one derivative may be meant for another: without its factor 1/sqrt(d) the gradient of the scores is that of
    the scaled scores.
    """
    wanted, found = {last.tensor}, []
    for line in reversed(lines):
        if line.tensor in wanted:
            found.append(line)
            if line is last or line.tensor not in right:
                wanted |= mentioned(line.value)
    return tuple(reversed(found))


def _region(right: Tensor, absent: Mapping[Tensor, Equation]) -> frozenset[Tensor]:
    """All that a derivative is computed from, back to derivatives that the user has too."""
    found, new = {right}, [right]
    while new:
        line = absent.get(new.pop())
        more = mentioned(line.value) - found if line is not None else frozenset()
        found |= more
        new += more
    return frozenset(found)


def search_between(case: Refuted, trials: Trials, fault: CutFault) -> EditSearch:
    """A search for edits of these lines alone, that speak of what stands near the derivative."""
    derived, forward = [e.tensor for e in case.derived_lines], case.traced.forward.by_tensor
    wanted = set(fault.near) | {t for line in fault.lines for t in mentioned(line.value)}
    sources = {bar: t for t, bar in case.gradient.cotangents.items()}
    wanted |= {sources[t] for t in fault.near if t in sources}
    wanted |= {t for w in wanted if w in forward for t in mentioned(forward[w].value)}
    kept = tuple(e for e in case.traced.forward.equations if e.tensor in wanted)
    near = replace(case, traced=replace(case.traced, forward=_cut_off(case.traced.forward, kept, wanted)))
    return EditSearch(
        near,
        trials,
        fault.lines,
        {line.tensor: right for line, right in ((fault.line, fault.right), *fault.again)},
        case.traced.variables,
        trials.like(case.traced.forward.tensors),
        trials.like(derived),
    )


def _cut_off(forward: Program, kept: tuple[Equation, ...], wanted: set[Tensor]) -> Program:
    """These equations alone, what they read as inputs."""
    own = {e.tensor for e in kept}
    read = {t for e in kept for t in mentioned(e.value)} | {t for t in forward.inputs if t in wanted}
    return replace(forward, inputs=tuple(t for t in forward.tensors if t in read - own), equations=kept, outputs=())
