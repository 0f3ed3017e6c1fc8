"""What is wrong with a backward pass that was refuted, in words, and the edit that would make it right.

The claimed gradients are compared with the derived ones, then the lines are searched: which edit of a line of the
backward pass makes it right, which slip in the derivation leads to what is claimed, which other forward pass has these
gradients? Numbers choose the candidates, a cure is said only if it is proved. Where there is none, the fault is named
as far as it is known.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from symbackprop.calculus.equality import WRITTEN_OUT
from symbackprop.calculus.lemmas import is_view
from symbackprop.checking.budget import SHARES, Budget
from symbackprop.checking.diagnosis.compare import Comparison, Diagnosis, compared
from symbackprop.checking.diagnosis.corrected_line import cured_lines
from symbackprop.checking.diagnosis.cut_fault import CutFault, cut_fault, search_between
from symbackprop.checking.diagnosis.interchanged import interchanged
from symbackprop.checking.diagnosis.line_edits import Edit
from symbackprop.checking.diagnosis.locate import line_that_mends, located
from symbackprop.checking.diagnosis.misread_names import misread_name
from symbackprop.checking.diagnosis.named_arguments import with_named_arguments
from symbackprop.checking.diagnosis.named_views import with_named_views
from symbackprop.checking.diagnosis.numeric_filter import FAILURES, PLAIN, Refuted, Trials, same
from symbackprop.checking.diagnosis.other_forward import of_another_forward
from symbackprop.checking.diagnosis.search import EditSearch, Stage, folded
from symbackprop.checking.diagnosis.skipped_lines import skipped_lines
from symbackprop.checking.other_rounds import Names, renamed
from symbackprop.checking.proof_search import EXPLICIT, Sides, Strategy, search_proof
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.user_lines import BEFORE, numbered, with_parts
from symbackprop.errors import SymbackpropError, UnsupportedError
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Apply,
    Entry,
    Expr,
    SymmetricTensor,
    Tensor,
    add,
    entries_once,
    mentioned,
    multiply,
    nodes_once,
    rewrite,
    substitute,
)
from symbackprop.expression.functions import CONSTANT_LOCALLY, STOP_GRADIENT, Function
from symbackprop.expression.program import PART, Equation, defined_once, unused
from symbackprop.expression.recurrence import in_order, recurrent
from symbackprop.expression.shown import enumerated
from symbackprop.expression.sizes import decided
from symbackprop.normal_form.modulo_equations import UNLIMITED, Resolver
from symbackprop.proofs.shortening.factor import gathered
from symbackprop.proofs.shortening.unit_axes import factored
from symbackprop.rendering.text import to_text

MAXIMUM_CURE = 320  # longer formulas cure nothing
SHORT_CURE = 80  # what a line lacks is then a better answer than the whole line as other rounds have it
MAXIMUM_NAME = 40
MOST_BEGINNINGS = 2  # of the wrong gradients: where neither has a fault of its own that is cured, none is sought
SHORT, LONG, FAR_TOO_LONG = 12, 30, 120  # lines of a backward pass: from LONG on a fault is first sought at cut points
MAXIMUM_NODES = 60_000  # of both passes: beyond that a proof would take too long
PROOFS = (Strategy(UNLIMITED, "whole cure"), Strategy(0, "composed cure"))
AS_SHOWN = " (numbers agree at every point tried; this is no proof)"


def diagnoses(case: Refuted, budget: Budget, several: Budget | None = None) -> Diagnosis | None:
    """A cure of a backward pass with wrong gradients, or the best that can be said about its fault.

    Args:
        several: for where one fault is not all; None for what the budget has left.
    """
    for name in case.wrong:
        if case.question.pairs[name][0] not in case.gradient.cotangents:
            return Diagnosis(f"{name}: the output does not depend on {name}, so its gradient is 0", f"d{name} = 0")
    vanishing = set[Tensor]() if case.formula is not None else _vanishing(case)
    for name in case.wrong:
        if case.derived[name] in vanishing:
            how = "detaches" if STOP_GRADIENT in _functions(case) else "rounds"
            return Diagnosis(f"{name}: the forward pass {how} it, so its gradient is 0", f"d{name} = 0")
    case = with_named_views(_apart(case))
    try:
        trials = Trials(case)
    except UnsupportedError:
        return _first(itertools.chain(of_another_forward(case, _points(case), budget), _compared(case, budget)))
    fault = None
    if len(case.own_lines) > LONG or _has_rounds(case):
        case, trials, fault = _placed(case, trials)
    if fault is not None and len(case.own_lines) <= LONG:
        if _does_less(case, fault.line):
            ways = (_in_other_rounds(case, fault, budget), _times_factor(case, fault, _goals(case), budget))
            cause = next(itertools.chain(*ways), None)
            if cause is not None:
                return cause
        fault = None
    misread = _misread(case, trials, budget) if fault is not None and fault.again else None
    if misread is not None:  # in one round, which is less than what several would have to say
        return misread
    if fault is not None:
        cause = _between_cuts(case, trials, fault, budget)
        if cause.text or len(case.own_lines) > FAR_TOO_LONG:
            return cause
    misread = _misread(case, trials, budget) if fault is None and case.formula is None else None
    if misread is not None:
        return misread
    if len(case.own_lines) > LONG and fault is None:  # no value of one tensor makes it right
        swapped = next((c for c in _in_each_others_place(case, trials, budget) if c.text), None)
        if swapped is not None:
            return swapped
    own, derivation = _own_search(case, trials), _derivation_search(case, trials)
    searches: tuple[Callable[[], Iterator[Diagnosis]], ...] = (
        lambda: _by_independent_entries(case, budget),
        lambda: _interchanged(case, trials),
        lambda: _cures(case, own, "likely", budget),
        lambda: _cures(case, own, "plausible", budget),
        lambda: of_another_forward(case, _points(case), budget),
        lambda: _slips(case, derivation, "likely", budget),
        lambda: _in_each_others_place(case, trials, budget) if len(case.own_lines) <= LONG else iter(()),
        lambda: _at_cut(case, trials, budget) if fault is None else iter(()),
        lambda: _cures(case, own, "several", budget),
        lambda: _several_faults(case, trials, own, several or budget) if fault is None else iter(()),
        lambda: _compared(case, budget),
        lambda: _cures(case, own, "unlikely", budget),
        lambda: _slips(case, derivation, "several", budget),
        lambda: _cures(case, own, "double", budget) if case.formula is not None else iter(()),
    )
    fallback: Diagnosis | None = None
    for search in searches:
        for cause in search():
            if cause.text and _can_be_told(case, cause):
                # what was proved in names that the user does not have is said all the same
                return _with_words(cause, fallback) if fallback is not None and fallback.text else cause
            if fallback is None or (cause.text and not fallback.text):
                fallback = cause
    if fault is not None:
        return fallback or cause
    fault = cut_fault(case, trials) if not case.set_aside and case.formula is None else None
    if fault is not None:
        cause = _between_cuts(case, trials, fault, budget)
        if cause.text and not case.unknown(cause.text):
            return cause if fallback is None else _with_words(cause, fallback)
    return fallback or _each(case, budget) or located(case, trials, own)


def _with_words(cause: Diagnosis, before: Diagnosis) -> Diagnosis:
    """A cause with what was found before it, said once."""
    known = before.words.rpartition(": ")[2] in cause.words
    return cause if known else replace(cause, words=f"{before.words}; {cause.words}")


def _placed(case: Refuted, trials: Trials) -> tuple[Refuted, Trials, CutFault | None]:
    """The place of the fault, as it is told where the arguments of functions have names, if it is not told else."""
    fault = cut_fault(case, trials)
    named = with_named_arguments(case) if fault is None else None
    if named is not None:
        try:
            more = Trials(named)
        except UnsupportedError:
            return case, trials, None
        fault = cut_fault(named, more)
        if fault is not None:
            return named, more, fault
    return case, trials, fault


def _vanishing(case: Refuted) -> set[Tensor]:
    """Derivatives that are 0 wherever they exist: each path goes through what is detached or rounded."""
    flat = {f"{f.name}_prime" for f in CONSTANT_LOCALLY}
    nothing, before = set[Tensor](), -1

    def visit(node: Expr) -> Expr | None:
        gone = isinstance(node, Entry) and node.tensor in nothing
        return ZERO if gone or (isinstance(node, Apply) and node.function.name in flat) else None

    while len(nothing) > before:
        before = len(nothing)
        nothing |= {e.tensor for e in case.derived_lines if rewrite(e.value, visit) is ZERO}
    return nothing


def _functions(case: Refuted) -> set[Function]:
    """The functions that the forward pass applies."""
    lines = case.traced.forward.equations
    return {n.function for e in lines for n in nodes_once(e.value) if isinstance(n, Apply)}


def _apart(case: Refuted) -> Refuted:
    """The same with lines of their own for wrong gradients that are returned for other inputs too: of `return g, g`
    one may be right, and no edit of g makes the other one so."""
    claimed, backward = case.traced.gradients, case.traced.backward
    lines, users = backward.by_tensor, Counter(claimed.values())
    taken = {t.name for t in (*backward.tensors, *case.sides.derived.tensors)}
    own: dict[str, Equation] = {}
    for name in case.wrong:
        line = lines.get(claimed[name])
        if line is not None and users[line.tensor] > 1:
            called = next(n for n in (f"d{name}", f"d{name}_returned", f"d{name}_of_it") if n not in taken)
            tensor = Tensor(called, line.tensor.shape, line.tensor.kind)
            own[name] = Equation(tensor, line.indices, line.left, name)
    if not own:
        return case
    backward = replace(backward, equations=(*backward.equations, *own.values()))
    gradients = {**claimed, **{name: line.tensor for name, line in own.items()}}
    sides = case.sides.with_views(backward)
    return replace(case, sides=sides, traced=replace(case.traced, backward=backward, gradients=gradients))


def _points(case: Refuted) -> list[Point]:
    """A few points at which gradients may be compared."""
    sampler = Sampler(case.question, random.Random(19))
    choices = sampler.size_choices()[:3]
    return [sampler.point(sizes) for sizes in choices]


def _can_be_told(case: Refuted, cause: Diagnosis) -> bool:
    """True if a cure speaks of what the user has, as it stands or as the whole line that it is a part of."""
    if cause.alone or not case.unknown(cause.text):
        return True
    called = {tensor.name: name for tensor, name in case.traced.variables.items()}
    lines = cured_lines(case.traced.backward, called, cause.lines)
    return bool(lines) and not any(case.unknown(line.text, numbered(called)) for line in lines)


def _between_cuts(case: Refuted, trials: Trials, fault: CutFault, budget: Budget) -> Diagnosis:
    """A cure of the lines between two cut points, or in words what should come out of them."""
    search = search_between(case, trials, fault)
    final = {case.traced.gradients[n]: case.derived[n] for n in case.wrong}
    wrong = f"{fault.line.note}: {_called(case, fault.line)} should be {_meant(case, fault)}"
    words = f"{wrong}, and is not; all that it is computed from is right"
    if fault.again:
        words = f"{wrong}, and is not, in {len(fault.again) + 1} rounds"
        words = f"{words}; the first time all that it is computed from is right"
        stages: tuple[Stage, ...] = ("likely", "plausible", "several")
        edits = (c for stage in stages for c in _cures(case, search, stage, budget, final, fault))
        every = itertools.chain(_in_every_round(case, fault, words, final, budget), edits)
        return next((c for c in every if c.text), Diagnosis(words))
    likely = _cures(case, search, "likely", budget, final, fault)
    left_out = _does_less(case, fault.line)
    others = [_in_other_rounds(case, fault, budget)] if left_out else []
    searches = [*others, likely] if fault.factor is ONE else others
    cure = next((c for found in searches for c in found if c.text), None)
    if cure is not None:
        return cure
    if fault.factor is not ONE:
        ways = (_in_other_rounds(case, fault, budget), _times_factor(case, fault, final, budget))
        return next(itertools.chain(*ways), Diagnosis(words))
    slips = _slips_between(case, trials, fault, budget.half())  # what the derivation tells is tried besides
    proved = (s for s in slips if not s.words.endswith(AS_SHOWN))
    slip = next(proved, Diagnosis(words))
    if slip.words is not words:
        slip = replace(slip, words=f"{wrong}; {slip.words.removeprefix(f'{fault.line.note}: ')}")
    searches_between: tuple[Callable[[], Iterator[Diagnosis]], ...] = (
        lambda: _lacking(case, trials, fault, final, slip.words, budget, SHORT_CURE),
        lambda: _in_other_rounds(case, fault, budget) if not left_out else iter(()),
        lambda: _lacking(case, trials, fault, final, slip.words, budget),
        lambda: iter([slip]),
        lambda: _cures(case, search, "plausible", budget, final, fault),
        lambda: _cures(case, search, "several", budget, final, fault),
    )
    for find in searches_between:
        for cause in find():
            if cause.text:
                return cause
    return slip


def _misread(case: Refuted, trials: Trials, budget: Budget) -> Diagnosis | None:
    """The cure of a name that is bound to the tensor of another, if that is the fault."""
    found = None if case.set_aside else misread_name(case, trials)
    if found is None:
        return None
    try:
        cause = _between_cuts(found[0], Trials(found[0]), found[1], budget)
    except UnsupportedError:
        return None
    return cause if cause.text else None


def _does_less(case: Refuted, line: Equation) -> bool:
    """True if the round of a loop leaves out what the others do: the line is a part of an array, or a line before it is
    missing."""
    return is_view(line.value) or bool(skipped_lines(case.traced.ran, [line.tensor]).lines)


def _has_rounds(case: Refuted) -> bool:
    """True if some line of the backward pass runs more than once."""
    notes = [line.note for line in case.own_lines if not line.note.startswith(PART)]
    return len(set(notes)) < len(notes) and case.formula is None


def _called(case: Refuted, line: Equation) -> str:
    return case.traced.variables.get(line.tensor, line.tensor.name)


def _meant(case: Refuted, fault: CutFault) -> str:
    """What should come out of the lines with the fault, in words."""
    source = _source(case, fault.right)
    what = f"the derivative with respect to {_described(case, source)}" if source else _unnamed(case, fault)
    if fault.factor in (ONE, MINUS_ONE):
        return what if fault.factor is ONE else f"minus {what}"
    return f"{to_text(fault.factor)} times {what}"


def _source(case: Refuted, bar: Tensor) -> Tensor | None:
    """What a cotangent is the derivative with respect to."""
    return next((t for t, other in case.gradient.cotangents.items() if other is bar), None)


def _in_other_rounds(case: Refuted, fault: CutFault, budget: Budget) -> Iterator[Diagnosis]:
    """The cure that computes what other rounds of the loop do, where they are right."""
    line, others = fault.line, [bar for bar in _cotangents_alike(case, fault.right) if bar is not fault.right]
    if not others:
        return
    final = {case.traced.gradients[n]: case.derived[n] for n in case.wrong}
    words = f"{line.note}: {_called(case, line)} should be {_meant(case, fault)}"
    composition = case.sides.walked(budget.part("composed cure"))
    skipped = skipped_lines(case.traced.ran, [line.tensor])
    for other, names, value in composition.in_other_rounds(line, fault.right, fault.factor, others):
        cured = replace(line, value=value)
        text, before = _shown(case, cured, value)
        left_out = [_of_round(case, other, f"line {number}", names) for number in skipped.lines]
        told = "; ".join(left_out)
        if left_out and all(left_out) and not case.unknown(told):
            text, before = f"as in the other rounds, {told}", ""
        edit = Edit(words, "", (cured,))
        if len(text) <= MAXIMUM_CURE and _proved(case, edit, final, budget, fault):
            yield Diagnosis(f"{words}{before}", text, (cured,))
            return


def _times_factor(
    case: Refuted, fault: CutFault, final: Mapping[Tensor, Tensor], budget: Budget
) -> Iterator[Diagnosis]:
    """The cure that multiplies a line by the factor that it lacks."""
    line = fault.line
    cured = replace(line, value=multiply(line.value, fault.factor))
    words = f"{line.note}: {_called(case, line)} should be {_meant(case, fault)}"
    text, before = _shown(case, cured, cured.value)
    if len(text) <= MAXIMUM_CURE and _proved(case, Edit(words, "", (cured,)), final, budget, fault):
        yield Diagnosis(f"{words}{before}", text, (cured,))


def _in_every_round(
    case: Refuted, fault: CutFault, words: str, final: Mapping[Tensor, Tensor], budget: Budget
) -> Iterator[Diagnosis]:
    """The cure of a line that is wrong in several rounds: one after another, what right rounds of it compute.

    What the second of them reads is right only once the first is.
    """
    sides, cured = case.sides, list[Equation]()
    for line, right in ((fault.line, fault.right), *fault.again):
        composition = sides.walked(budget.part("composed cure"))
        others = [bar for bar in _cotangents_alike(case, right) if bar is not right]
        told = (value for _, _, value in composition.in_other_rounds(line, right, fault.factor, others))
        value = next(told, None) or composition.derivative(line, right)
        if value is None or budget.spent:
            return
        cured.append(replace(line, value=value))
        edited = _sides_with(case, cured)
        if edited is None:
            return
        sides = edited
    text, before = _shown(case, cured[0], cured[0].value)
    if len(text) <= MAXIMUM_CURE and _proved(case, Edit(words, "", tuple(cured)), final, budget, fault):
        yield Diagnosis(f"{words}{before}", text, tuple(cured))


def _cotangents_alike(case: Refuted, right: Tensor) -> list[Tensor]:
    """The derivatives with respect to what the same line of the forward pass computes in all rounds."""
    forward, source = case.gradient.program.by_tensor, _source(case, right)
    if source is None or source not in forward:
        return []
    note, axes = forward[source].note, len(source.shape)
    alike = (t for t, e in forward.items() if e.note == note and len(t.shape) == axes)
    return [case.gradient.cotangents[t] for t in alike if t in case.gradient.cotangents]


def _of_round(case: Refuted, last: Tensor, place: str, names: Names) -> str:
    """What a line computes in the round that ends with this tensor, in the names of another round; "" if nothing."""
    lines, reached = {e.tensor: e for e in case.own_lines}, [last]
    users = case.traced.variables
    for tensor in reached:
        if tensor not in lines:
            continue
        line = lines[tensor]
        if line.note == place:
            value = with_parts(line.value, _parts(case, place))
            here: Names = {**{t: t for t in (tensor, *mentioned(value))}, **names}
            left, right = renamed(line.left, here) or line.left, renamed(value, here) or value
            tensors = {t: old for old, t in here.items() if isinstance(t, Tensor) and isinstance(old, Tensor)}
            called = {**{t: users[old] for t, old in tensors.items() if old in users}, **users}
            older = _before(users.get(tensor, tensor.name), called, right)
            return f"{place}: {to_text(_renamed(left, called))} = {to_text(_renamed(right, called | older))}"
        reached += sorted(mentioned(line.value) - set(reached), key=lambda t: t.name)
    return ""


def _shown(case: Refuted, line: Equation, value: Expr) -> tuple[str, str]:
    """What a line computes, or a part of it, in the user's names, and what is said of an older value of its name."""
    own, value = _called(case, line), with_parts(value, _parts(case, line.note))
    names = _told_apart(case, replace(line, value=value))
    text = to_text(_renamed(value, names))
    before = f"; {own}{BEFORE} is the {own} that this line reads" if f"{own}{BEFORE}" in text else ""
    return f"{own}[{','.join(i.name for i in line.indices)}] = {text}", before


def _told_apart(case: Refuted, line: Equation) -> dict[Tensor, str]:
    """The user's names of what a line reads, without that of the line itself."""
    return _plainly_named(case, line) | {
        t: name
        for t, name in _before(_called(case, line), case.traced.variables, line.value).items()
        if t is not line.tensor  # of other steps
    }


def _before(own: str, called: Mapping[Tensor, str], value: Expr) -> dict[Tensor, str]:
    """d_before for what a line that computes d reads under this name."""
    return {t: f"{own}{BEFORE}" for t in mentioned(value) if called.get(t, t.name) == own}


def _slips_between(case: Refuted, trials: Trials, fault: CutFault, budget: Budget) -> Iterator[Diagnosis]:
    """Slips in what the derivation says between cut points."""
    lines = [e for e in _plain_derivation(case, trials) if e.tensor in fault.absent]
    goals = {fault.right: fault.line.tensor}
    search = EditSearch(case, trials, lines, goals, _derivation_variables(case), derivation=True)
    own = {fault.right: case.traced.variables.get(fault.line.tensor, fault.line.tensor.name)}
    yield from _slips(case, search, "likely", budget, own)


def _unnamed(case: Refuted, fault: CutFault) -> str:
    """What a derived tensor is that is no cotangent: the symmetric part of one, or some of the terms of a sum."""
    whole = next((n for n, derived in case.derived.items() if derived is fault.right), None)
    return "a part of a derivative" if whole is None else f"the derivative with respect to {whole}"


def _at_cut(case: Refuted, trials: Trials, budget: Budget) -> Iterator[Diagnosis]:
    """The cure of the first line without a counterpart, of a backward pass that is long enough to have cut points."""
    if len(case.own_lines) > SHORT and not case.set_aside and case.formula is None:
        fault = cut_fault(case, trials)
        cause = None if fault is None else _between_cuts(case, trials, fault, budget)
        if cause is not None and cause.text:
            yield cause


def _lacking(
    case: Refuted,
    trials: Trials,
    fault: CutFault,
    final: Mapping[Tensor, Tensor],
    words: str,
    budget: Budget,
    longest: int = MAXIMUM_CURE,
) -> Iterator[Diagnosis]:
    """The cure that adds what the line lacks, or else the whole line, worked out from the derivation.

    Args:
        longest: characters of a cure.
    """
    line, own = fault.line, _called(case, fault.line)
    composition = case.sides.walked(budget.part("composed cure"))
    lacking = composition.lack(line, fault.right)
    for lack in dict.fromkeys((lacking and _short(_without_nothing(lacking, line, trials)), None)):
        right = composition.derivative(line, fault.right) if lack is None else add(line.value, lack)
        if right is None:
            continue
        if lack is None:
            right = _short(right)
        cured = replace(line, value=right)
        text, before = _shown(case, cured, right if lack is None else lack)
        if lack is not None:
            left, _, more = text.partition(" = ")
            text = f"{left} = ({own} as claimed) {f'- {more[1:]}' if more.startswith('-') else f'+ {more}'}"
        edit = Edit(words, "", (cured,))
        if len(text) <= longest and _proved(case, edit, final, budget, fault):
            yield Diagnosis(f"{words}{before}", text, (cured,))
            return


def _short(expr: Expr) -> Expr:
    """`expr`, or with factors in front of its sums, whichever is shorter."""
    return min(expr, gathered(factored(expr)), key=lambda e: len(to_text(e)))


def _without_nothing(expr: Expr, line: Equation, trials: Trials) -> Expr:
    """`expr`, a part of a line, without terms that come to nothing."""
    terms = expr.terms if isinstance(expr, Add) else (expr,)
    return add(*(t for t in terms if not trials.nothing(t, line.indices, line.tensor)))


def _several_faults(case: Refuted, trials: Trials, own: EditSearch, budget: Budget) -> Iterator[Diagnosis]:
    """The faults of a backward pass that no single change makes right, one after another.

    What is wrong nearest to the output is wrong by one fault, as far as can be: its cause is sought alone. With that
    mended, of what is still wrong the same is asked.
    """
    if len(case.wrong) < 2 or case.set_aside or case.formula is not None or line_that_mends(trials, own):
        return
    for name in _nearest_first(case)[:MOST_BEGINNINGS]:
        if budget.spent:
            return
        alone = replace(case, wrong=(name,), set_aside=frozenset(case.wrong) - {name})
        cause = diagnoses(alone, budget.half())
        if cause is None or not cause.text or not _is_one_line(case, cause):
            continue
        claimed = case.traced.gradients
        left = [n for n in case.wrong if not trials.agree(cause.lines, case.own_lines, {claimed[n]: case.derived[n]})]
        sides = _sides_with(case, cause.lines)
        if sides is None or name in left:
            continue
        if left:
            mended = replace(case.traced, backward=sides.claimed)
            more = replace(case, sides=sides, traced=mended, wrong=tuple(left), suspected=[])
            rest = diagnoses(more, budget.half(), budget)
            yield _together(case, cause, rest, left)
        elif _proved(case, Edit("", "", cause.lines), _goals(case), budget):
            yield cause
        return


def _is_one_line(case: Refuted, cause: Diagnosis) -> bool:
    """True of a cure that changes one line of the user's: what changes more may be right for one gradient by chance."""
    before = case.traced.backward.by_tensor
    changed = [e for e in cause.lines if e.tensor in before and e.value is not before[e.tensor].value]
    return len({e.note.removeprefix(PART) for e in changed}) == 1


def _together(case: Refuted, cause: Diagnosis, rest: Diagnosis | None, left: Sequence[str]) -> Diagnosis:
    """A fault, and what is wrong once it is mended."""
    if rest is None:
        rest = Diagnosis(f"with that mended, {enumerated(left)} {'is' if len(left) == 1 else 'are'} still wrong")
    lines = {e.tensor: e for e in (*cause.lines, *rest.lines)}
    text = "; ".join(filter(None, (cause.text, rest.text)))
    return replace(cause, text=text, lines=tuple(lines.values()), others=rest.faults)


def _nearest_first(case: Refuted) -> list[str]:
    """The wrong gradients, by how much of the derivation each is computed from."""
    lines = {e.tensor: e for e in case.derived_lines}

    def depth(name: str) -> int:
        reached = [case.derived[name]]
        found = set(reached)
        for tensor in reached:
            new = (mentioned(lines[tensor].value) & lines.keys()) - found if tensor in lines else set()
            found |= new
            reached += new
        return len(found)

    return sorted(case.wrong, key=depth)


def _goals(case: Refuted) -> dict[Tensor, Tensor]:
    return {case.traced.gradients[n]: case.derived[n] for n in case.wrong}


def _each(case: Refuted, budget: Budget) -> Diagnosis | None:
    """A cure of some of the wrong gradients, each on its own: there may be several faults."""
    if len(case.wrong) < 2 or case.set_aside:
        return None
    found: dict[str, tuple[list[str], Diagnosis]] = {}
    for name in case.wrong:
        if budget.spent:
            break
        alone = replace(case, wrong=(name,), set_aside=frozenset(case.wrong) - {name})
        cause = diagnoses(alone, budget)
        if cause is not None and cause.text:
            found.setdefault(cause.words, ([], cause))[0].append(name)
    if not found:
        return None
    causes = [
        cause if any(words.startswith(f"{n}:") for n in names) else replace(cause, words=f"{', '.join(names)}: {words}")
        for words, (names, cause) in found.items()
    ]
    lines = tuple({e.tensor: e for m in causes for e in m.lines}.values())
    return replace(causes[0], text="; ".join(m.text for m in causes), lines=lines, others=tuple(causes[1:]))


def _first(found: Iterator[Diagnosis]) -> Diagnosis | None:
    """The first with a cure, or the first."""
    every = list(found)
    return next((m for m in every if m.text), every[0] if every else None)


def _by_independent_entries(case: Refuted, budget: Budget) -> Iterator[Diagnosis]:
    """Gradients by a symmetric matrix of which each entry beside the diagonal counts for its mirror image, too."""
    names = [n for n in case.wrong if isinstance(case.question.pairs[n][0], SymmetricTensor)]
    if not names:
        return
    lines = (*case.derived_lines, *case.traced.backward.equations)
    resolver = _resolver(case, lines, budget.part("comparison").left, UNLIMITED)
    comparison = Comparison(resolver, case.traced, case.gradient, case.derived)
    for name in names:
        try:
            cause = comparison.independent_entries(name)
        except SymbackpropError:
            continue
        if cause is not None:
            yield cause


def _compared(case: Refuted, budget: Budget) -> Iterator[Diagnosis]:
    seconds = budget.part("comparison").left
    resolver = _resolver(case, (*case.derived_lines, *case.traced.backward.equations), seconds, UNLIMITED)
    for cause in compared(Comparison(resolver, case.traced, case.gradient, case.derived), case.wrong):
        yield cause if case.formula is None else Diagnosis(cause.words)  # a cure of a formula is a formula


# --- searches


def _interchanged(case: Refuted, trials: Trials) -> Iterator[Diagnosis]:
    """Gradients that are those of another input."""
    if not trials.telling:
        return
    for name in case.wrong:
        claimed = case.traced.gradients[name]
        for other, (tensor, _) in case.question.pairs.items():
            bar = case.gradient.cotangents.get(tensor)
            if other == name or bar is None or not trials.equal(bar, claimed):
                continue
            lines = (*case.traced.forward.equations, *case.derived_lines, *case.own_lines)
            resolver = _resolver(case, lines, SHARES["whole cure"].seconds, UNLIMITED)
            try:
                proved = resolver.meets(claimed, bar)
            except SymbackpropError:
                proved = False
            yield Diagnosis(f"{name}: this is the gradient of {other}{'' if proved else AS_SHOWN}")


def _in_each_others_place(case: Refuted, trials: Trials, budget: Budget) -> Iterator[Diagnosis]:
    """Two names that stand for each other's tensors."""
    if case.set_aside or case.formula is not None:
        return
    for found in interchanged(case, trials):
        one, other = found.names
        words = f"{found.place}: {one} and {other} are interchanged"
        if _proved(case, Edit(words, "", found.lines), _goals(case), budget):
            text = f"{other} belongs where {one} stands, and {one} where {other} stands"
            yield Diagnosis(words, text, found.lines)
        elif trials.telling:
            yield Diagnosis(f"{words}{AS_SHOWN}")


def _own_search(case: Refuted, trials: Trials) -> EditSearch:
    goals = {case.traced.gradients[n]: case.derived[n] for n in case.wrong}
    goals |= {t: t for n, t in case.traced.gradients.items() if n in case.right}
    forward, derived = trials.like(case.traced.forward.tensors), trials.like(e.tensor for e in case.derived_lines)
    return EditSearch(case, trials, folded(case, trials), goals, case.traced.variables, forward, derived)


def _derivation_search(case: Refuted, trials: Trials) -> EditSearch:
    user = case.traced.variables
    if case.formula is not None:
        goals = {case.derived[n]: t for n, t in case.traced.gradients.items()}
        line = case.gradient.adjoint.by_tensor[case.formula.tensor]
        return EditSearch(case, trials, (line,), goals, user, derivation=True)
    variables = _derivation_variables(case)
    goals = {case.derived[n]: t for n, t in case.traced.gradients.items() if n in case.wrong}
    goals |= {t: t for n, t in _right(case) if n in case.right}
    return EditSearch(case, trials, _plain_derivation(case, trials), goals, variables, derivation=True)


def _derivation_variables(case: Refuted) -> dict[Tensor, str]:
    """The user's names, and dh for the derivative with respect to each tensor h that the user has."""
    user, sources = case.traced.variables, {bar: t for t, bar in case.gradient.cotangents.items()}
    own = {t: name for t, name in user.items() if t in case.traced.forward.by_tensor}
    return own | {bar: f"d{_round_name(case, t)}" for bar, t in sources.items() if t in user or t in case.inputs}


def _round_name(case: Refuted, tensor: Tensor) -> str:
    """The name of a tensor; for an output that is the last round of a variable, that of the variable."""
    user, lines = case.traced.variables, case.traced.forward.by_tensor
    name = user.get(tensor, tensor.name)
    if tensor not in case.traced.forward.outputs or tensor not in lines:
        return name
    note = lines[tensor].note
    alike = [t for t, line in lines.items() if line.note == note and t.shape == tensor.shape]
    others = {user[t] for t in alike if t in user} - {name}
    return others.pop() if len(others) == 1 else name


def _cures(
    case: Refuted,
    search: EditSearch,
    stage: Stage,
    budget: Budget,
    final: Mapping[Tensor, Tensor] | None = None,
    fault: CutFault | None = None,
) -> Iterator[Diagnosis]:
    """Lines of the backward pass that can be made right.

    Args:
        final: what must come out in the end, where the search looks at a part alone.
        fault: that part.
    """
    for edit, share in search.agreeing(stage, budget):
        line = search.changed(edit)
        if case.formula is not None and case.formula.tensor in mentioned(line.value):
            continue  # delta2 = delta2 is no cure
        called = case.traced.variables.get(line.tensor, line.tensor.name)
        right = to_text(_renamed(line.value, _told_apart(case, line)))
        left = f"{called}[{','.join(i.name for i in line.indices)}]"
        lines = edit.equations
        if case.unknown(right):  # what has no name is written out
            facts = case.gradient.program.facts
            lines = tuple(replace(e, value=decided(with_parts(e.value, _parts(case)), facts)) for e in lines)
            line = next(e for e in lines if e.tensor is line.tensor)
            right = to_text(_renamed(line.value, _told_apart(case, line)))
        text = f"{left} = {right}"
        notes = dict.fromkeys(e.note for e in edit.equations if e.note)
        place = " and ".join(notes if len(notes) == 1 else dict.fromkeys(n.removeprefix(PART) for n in notes))
        words = f"{place}: {edit.words}" if place else edit.words
        if final is not None and not search.trials.agree(edit.equations, case.own_lines, final):
            continue
        _suspect(case, search, words)
        if _proved(case, edit, final or search.goals, share, fault):
            plain = (len(text) <= MAXIMUM_CURE and text.partition(" = ")[0] != right) or case.formula is not None
            alone = str(edit.kind).startswith("overwritten")
            yield Diagnosis(words, text if plain else f"{called} with that changed", lines, alone)
        elif search.trials.telling:
            yield Diagnosis(f"{words}{AS_SHOWN}")


def _suspect(case: Refuted, search: EditSearch, words: str) -> None:
    """Keep what numbers show, before a proof is tried that may not end in time."""
    if search.trials.telling:
        case.suspected.append(f"{words}{AS_SHOWN}")


def _parts(case: Refuted, place: str = "") -> dict[Tensor, Equation]:
    """What lines, or this one alone, compute on the way, under no name of the user's."""
    every = (*case.traced.forward.equations, *case.traced.backward.equations)
    return {e.tensor: e for e in every if e.note.startswith(PART) and e.note.endswith(place)}


def _slips(
    case: Refuted, search: EditSearch, stage: Stage, budget: Budget, own: Mapping[Tensor, str] | None = None
) -> Iterator[Diagnosis]:
    """Slips in the derivation that lead to what is claimed.

    Args:
        own: what the user calls derivatives that he claims wrongly.
    """
    if case.formula is not None:
        yield from _left_behind(case, search, stage, budget)
        return
    known = {e.tensor: e for e in case.derived_lines}
    for edit, share in search.agreeing(stage, budget):
        line = search.changed(edit)
        words = _slip(case, edit, search)
        place = _place_of_slip(case, edit, search)
        words = f"{place.note.removeprefix(PART)}: {words}" if place is not None else words
        names = _derivative_names(case) | dict(own or {})
        right = _renamed(known[line.tensor].value, names)
        called = names.get(line.tensor, line.tensor.name)
        text = f"{called}[{','.join(i.name for i in line.indices)}] = {to_text(right)}"
        path = _missing_path(case, edit, search)
        if path is not None and not mentioned(known[line.tensor].value) & set(known) <= set(names):
            # derivatives that the user has no name for would say nothing: claimed is derived without these terms
            step = _step_after(case, path[0], path[1])
            through = f"step {step} + 1" if step else _described(case, path[1])
            back = case.traced.variables.get(path[0], path[0].name)
            at = f"step {step}: " if step else ""
            text = f"{at}{called} = ({called} as claimed) + what {through} sends back to {back}"
        left, _, right_side = text.partition(" = ")
        says_something = left != right_side and len(text) <= MAXIMUM_CURE
        _suspect(case, search, words)
        there = () if place is None else (place.tensor,)
        if _proved(case, edit, search.goals, share):
            yield Diagnosis(words, text if says_something else "", at=there)
        elif search.trials.telling:
            yield Diagnosis(f"{words}{AS_SHOWN}", at=there)


def _left_behind(case: Refuted, search: EditSearch, stage: Stage, budget: Budget) -> Iterator[Diagnosis]:
    """What was left out of the derived formula, or put into it, so that it became what is claimed."""
    (right,), claimed = search.lines, case.own_lines[-1]
    value = substitute(right.value, dict(zip(right.indices, claimed.indices, strict=True)))
    cure = replace(claimed, value=value)
    left = Entry(right.tensor, claimed.indices)
    for edit, share in search.agreeing(stage, budget):
        if _proved(case, edit, search.goals, share):
            yield Diagnosis(edit.reverse, f"{to_text(left)} = {to_text(value)}", (cure,))
        elif search.trials.telling:
            yield Diagnosis(f"{edit.reverse}{AS_SHOWN}")


def _derivative_names(case: Refuted) -> dict[Tensor, str]:
    """dh for the derivative with respect to h, where one tensor alone is called so."""
    user = case.traced.variables
    sources = {bar: user.get(t, t.name) for t, bar in case.gradient.cotangents.items() if t in user or t in case.inputs}
    names = list(sources.values())
    tensors = {bar: t.name for t, bar in case.gradient.cotangents.items()}
    taken = {t.name for t in case.traced.backward.tensors}  # the third dx of the pass may be called dx_3 there
    numbered = {bar: unused(f"d{tensors[bar]}", taken) for bar in sources}
    return {bar: f"d{name}" if names.count(name) == 1 else numbered[bar] for bar, name in sources.items()}


def _slip(case: Refuted, edit: Edit, search: EditSearch) -> str:
    """What was left out, or put in, on the way to the claimed gradients."""
    sources = {bar: t for t, bar in case.gradient.cotangents.items()}
    line = search.changed(edit)
    source = sources.get(line.tensor, line.tensor)
    here = _described(case, source)
    if edit.kind in ("weights", "carry"):
        return f"{', '.join(case.wrong)}: {edit.reverse}"
    if line.value is ZERO:
        return f"the path through {here} is missing"
    path = _missing_path(case, edit, search)
    if path is not None:
        there = _described(case, path[1])
        step = _step_after(case, path[0], path[1])
        if step:
            part = "a part of " if path[2] else ""
            return f"step {step}: {part}what step {step} + 1 sends back to {here} is missing"
        if here == there:
            return f"the path from {here} of one round to that of the next is missing"
        return f"{'a part of ' if path[2] else ''}the path from {here} through {there} is missing"
    return f"in the derivative with respect to {here}, {edit.reverse}"


def _place_of_slip(case: Refuted, edit: Edit, search: EditSearch) -> Equation | None:
    """The user's line that has the numbers of the slip: what it computes is what the derivation gives with it.

    If there is none, the first that should be a derivative and is not; None if that is not known either.
    """
    table, changed = {e.tensor: e for e in edit.equations}, search.changed(edit).tensor
    found = [line for line in case.own_lines if line.note]
    with np.errstate(all="ignore"):
        try:
            for bench in search.trials.benches:
                right = bench.edited(table, search.lines).arrays[changed]
                found = [line for line in found if same(bench.arrays[line.tensor], right, PLAIN)]
        except FAILURES:
            return None
    if found:
        return found[-1]
    fault = None if case.set_aside else cut_fault(case, search.trials)
    return None if fault is None else fault.line


def _missing_path(case: Refuted, edit: Edit, search: EditSearch) -> tuple[Tensor, Tensor, bool] | None:
    """(x, y, rest) if the edit leaves out what y sends back to x; `rest` if y still sends back something."""
    sources = {bar: t for t, bar in case.gradient.cotangents.items()}
    line = search.changed(edit)
    before = next(e for e in search.lines if e.tensor is line.tensor)
    old = before.value.terms if isinstance(before.value, Add) else (before.value,)
    new = line.value.terms if isinstance(line.value, Add) else (line.value,)
    gone = [t for t in old if t not in new]
    forward = case.gradient.program.by_tensor
    through = {sources[t] for g in gone for t in mentioned(g) if t in sources and sources[t] in forward}
    source = sources.get(line.tensor, line.tensor)
    if not gone or not set(new) < set(old) or len(through) != 1:
        return None
    rest = any(sources.get(t) in through for n in new for t in mentioned(n))
    (through_one,) = through
    return source, through_one if rest else _by_user(case, source, through_one), rest


def _step_after(case: Refuted, source: Tensor, through: Tensor) -> str:
    """The letter of the steps, if what the path goes through is what the next step of a recurrence finds of the source.

    "" if it is anything else.
    """
    lines = case.gradient.program.by_tensor
    steps = recurrent(lines.values())
    if source not in steps or through not in steps:
        return ""
    line, axis = lines[through], steps[source]
    step = line.indices[steps[through]]
    there = [e.indices[axis] for e in entries_once(line.value) if e.tensor is source]
    return step.name if there and all(p is not step for p in there) else ""


def _by_user(case: Refuted, source: Tensor, through: Tensor) -> Tensor:
    """The tensor that the user's line gives a name to, if all that goes through `through` goes through it, and only so.

    The path of x through (x - mean)**2, a part of std = np.sqrt(x.var(axis=1)), is the path of x through std.
    """
    lines = case.gradient.program.by_tensor
    place = lines[through].note.removeprefix(PART)
    if through in case.traced.variables:
        return through
    outputs, sent = set(case.gradient.program.outputs), _reached(case, through, set())
    named = [
        t
        for t in lines
        if lines[t].note == place
        and t in case.traced.variables
        and t in sent
        and t not in _reached(case, source, {through})
        and not outputs & _reached(case, through, {t})
    ]
    return named[0] if len(named) == 1 else through


def _reached(case: Refuted, start: Tensor, without: set[Tensor]) -> set[Tensor]:
    """What depends on a tensor by ways that go through none of the others."""
    found = {start}
    for line in case.gradient.program.equations:
        if line.tensor not in without and mentioned(line.value) & found:
            found.add(line.tensor)
    return found


def _described(case: Refuted, tensor: Tensor) -> str:
    """A tensor of the forward pass by the user's name and line."""
    lines = case.gradient.program.by_tensor
    note = lines[tensor].note if tensor in lines else ""
    name = case.traced.variables.get(tensor)
    if name is None and note.startswith(PART):
        text = lines[tensor].written or to_text(lines[tensor].value)
        return f"{text} ({note} of the forward pass)" if len(text) <= MAXIMUM_NAME else f"{note} of the forward pass"
    return f"{name or tensor.name} ({note} of the forward pass)" if note else name or tensor.name


def _plain_derivation(case: Refuted, trials: Trials) -> tuple[Equation, ...]:
    """The derived lines with the user's line numbers, without terms that come to nothing: the shift by a maximum."""
    sources = {bar: t for t, bar in case.gradient.cotangents.items()}
    forward = case.gradient.program.by_tensor
    lines = []
    for line in case.derived_lines:
        value, source = line.value, sources.get(line.tensor, line.tensor)
        if isinstance(value, Add):
            kept = _without_nothing(value, line, trials)
            value = value if kept is ZERO else kept
        note = forward[source].note if source in forward else ""
        lines.append(Equation(line.tensor, line.indices, value, note))
    return tuple(lines)


def _right(case: Refuted) -> Iterator[tuple[str, Tensor]]:
    """The derived tensors of the gradients that are right."""
    for name, (tensor, _) in case.question.pairs.items():
        bar = case.gradient.cotangents.get(tensor)
        if bar is not None:
            yield name, bar


def _plainly_named(case: Refuted, line: Equation) -> dict[Tensor, str]:
    """The user's names of the tensors in a line, where no two share one."""
    used = (line.tensor, *sorted(mentioned(line.value) - {line.tensor}, key=lambda t: t.name))
    names = [case.traced.variables.get(t, t.name) for t in used]
    return {t: n for t, n in zip(used, names, strict=True) if names.count(n) == 1}


def _renamed(expr: Expr, names: Mapping[Tensor, str]) -> Expr:
    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Entry) and node.tensor in names:
            return Entry(Tensor(names[node.tensor], node.tensor.shape, node.tensor.kind), node.indices)
        return None

    return rewrite(expr, visit)


# --- proofs


def _proved(
    case: Refuted,
    edit: Edit,
    goals: Mapping[Tensor, Tensor],
    budget: Budget,
    fault: CutFault | None = None,
) -> bool:
    """True if with the edit every goal has the normal form of its value.

    Args:
        fault: what must come out of the edited line itself: where that is not seen, the long way is not gone.
    """
    if budget.spent:
        return False
    line = None if fault is None else next((e for e in edit.equations if e.tensor is fault.line.tensor), None)
    if line is not None and fault is not None:
        walked = case.sides.walked(budget.part("composed cure"))
        if not walked.shows(line, multiply(fault.factor, Entry(fault.right, line.indices))):
            return False
    if sum(len(list(nodes_once(e.value))) for e in (*case.derived_lines, *case.own_lines)) > MAXIMUM_NODES:
        return False
    sides = _sides_with(case, edit.equations)
    if sides is None:
        return False  # it speaks of what the pass does not have
    # A goal that is its own value is a right gradient, and must stay so.
    stay = {case.traced.gradients[n]: bar for n, bar in _right(case) if n in case.right}
    goals = {**{a: b for a, b in goals.items() if a is not b}, **stay}
    pairs = {f"{a.name} is {b.name}": (a, b) for a, b in goals.items()}
    strategies: tuple[Strategy, ...] = PROOFS[::-1] if sides.is_long else PROOFS  # a whole model tensor by tensor
    if sides.is_recurrent:
        strategies = (*strategies, EXPLICIT)  # what an accumulation adds up to is a sum
    return not search_proof(sides, pairs, strategies, budget).unproved


def _sides_with(case: Refuted, edits: Iterable[Equation]) -> Sides | None:
    """Both programs with some lines changed; None if these speak of what the pass does not have."""
    table = {e.tensor: e for e in edits}
    adjoint, claimed = case.sides.derived, case.traced.backward
    derived = replace(adjoint, equations=in_order(table.get(e.tensor, e) for e in adjoint.equations))
    every = (*case.traced.forward.equations, *case.own_lines)  # an edit may speak of any forward tensor
    own = [table.get(e.tensor, e) for e in every]
    known = {*claimed.inputs, *(e.tensor for e in own)}
    if any(not mentioned(e.value) <= known for e in own):
        return None
    return case.sides.edited(derived, replace(claimed, equations=in_order(own)))


def _resolver(case: Refuted, equations: Iterable[Equation], seconds: float, limit: int) -> Resolver:
    program = case.gradient.program
    kinds = program.known
    expanded = WRITTEN_OUT if case.traced.sizes else 0
    table = defined_once(equations)
    return Resolver(table.values(), program.facts, kinds, limit=limit, expanded=expanded, seconds=seconds)


__all__ = ["PART", "Diagnosis", "Refuted", "diagnoses"]
