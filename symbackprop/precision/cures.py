"""Stable lines for a user's backward pass, in the user's own names: proved equal, and searched.

The rows of `proofs.stable_forms` are put to every line of the code. Each change, alone and with the others, is put into
the user's function; only if the changed function is itself PROVED, and nothing was found where the old one failed nor
elsewhere, it is said. Main names: `cure_of`, `cure_of_forward`.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import random
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from symbackprop.checking.budget import Budget
from symbackprop.checking.check import Case, confirmed
from symbackprop.checking.diagnosis.edited_function import as_written, edited, statements_at
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.user_lines import with_parts
from symbackprop.checking.verdict import Verdict
from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    Entry,
    Expr,
    Extremum,
    Sum,
    Tensor,
    nodes_once,
    rewrite,
)
from symbackprop.expression.program import PART, Equation, Program
from symbackprop.expression.recurrence import recurrent
from symbackprop.frontends.numpy.traced import outputs_and_cache
from symbackprop.frontends.numpy.tracer import name_of
from symbackprop.frontends.passes import Pass, framework_of
from symbackprop.normal_form.work_time import worked
from symbackprop.precision.inputs import Inputs
from symbackprop.precision.line_code import line_of
from symbackprop.precision.search import Found, Search
from symbackprop.precision.user_results import ForwardCode, UserCode, listed
from symbackprop.proofs.stable_forms import (
    Context,
    divided_twice,
    exponential,
    joined_log_sum,
    same_choice,
    squares_below,
    stable,
)
from symbackprop.proofs.stable_quotients import quotients
from symbackprop.rendering.text import to_text

MOST_TRIED = 100
MOST_SEARCHED, MOST_PROOFS = 10, 2  # of those that do well where the code failed, and of these with a proof that failed
COMPARED = 80  # points at which each of them is searched
OUTPUT, WEIGHTS = "out", "w_of_symbackprop"  # what a forward pass returns without a name, and what is put before it
SEED = 3
PROOF = 1.0  # seconds for the proof of one changed function
SEARCH = 5.0  # seconds for the search of one, which counts its points: for code that takes very long
CLIMBING = 0.25  # seconds in which its errors are made larger step by step
Lines = Mapping[int, str]


def cure_of(verdict: Verdict, code: UserCode, case: Case, search: Search, found: Found) -> Lines | None:
    """The changed lines by their numbers in the file; None if no stable form was found.

    Of what is lost in an output the lines of the forward pass are changed, else those of the backward pass. How long is
    looked for them is counted: which line is found does not depend on the machine.
    """
    backward = bool(found.loss.name)
    program = verdict.claim if backward else code.question.forward
    if program is None:
        return None
    trials = (_Trials if backward else _ForwardTrials)(code, case, search, found)
    return _lines_that_hold(trials, program, verdict.called, case.backward if backward else case.forward)


def cure_of_forward(
    code: ForwardCode, case: Case, sizes: Mapping[str, int], search: Search, found: Found
) -> Lines | None:
    """The same of a forward pass alone.

    Args:
        sizes: those that are fixed.
    """
    trials = _TrialsAlone(code, case, search, found, sizes=sizes)
    return _lines_that_hold(trials, code.question.forward, {}, case.forward)


def _lines_that_hold(
    trials: _Trials, program: Program, called: Mapping[str, str], function: Callable[..., Any]
) -> Lines | None:
    """The first choice of changed lines of a function with which it is accurate and proved."""
    changes = changed_lines(program, _called(program, called, function), _span(function), _names(function))
    for chosen in itertools.islice(_choices(changes), MOST_TRIED):
        if trials.over:
            return None
        if trials.hold(chosen):
            chosen = _fewer(chosen, trials.hold)
            return {n: as_written(function, n, text, trials.returned) for n, text in sorted(chosen.items())}
    return None


def _names(function: Callable[..., Any]) -> set[str]:
    """The local names of a function, and that of what it returns without a name."""
    return {*getattr(getattr(function, "__code__", None), "co_varnames", ()), OUTPUT}


def _called(program: Program, called: Mapping[str, str], function: Callable[..., Any]) -> dict[str, str]:
    """The user's names by those of the tensors; of the last value of a name, that name, and not that of the result."""
    numbers = [e.note for e in program.equations]
    found = dict(called)
    for equation in program.equations:
        number = re.fullmatch(r"line (\d+)", equation.note)
        if number is not None and numbers.count(equation.note) == 1:
            statement = next(iter(statements_at(function, int(number[1]))), None)
            target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
            while isinstance(target, ast.Subscript):  # p[rows, y] -= 1 is a new p
                target = target.value
            if isinstance(target, ast.Name):
                found[equation.tensor.name] = target.id
    return found


def _choices(changes: Mapping[int, Sequence[str]]) -> Iterator[Lines]:
    """Which lines to change, and how, one or two or all of them: what is soonest read first."""
    single = [{n: form} for n, forms in changes.items() for form in forms]
    pairs = [a | b for a, b in itertools.combinations(single, 2) if a.keys() != b.keys()]
    every = [{n: forms[0] for n, forms in changes.items()}] if len(changes) > 2 else []
    return iter(sorted((*single, *every, *pairs), key=lambda lines: sum(map(len, lines.values()))))


def _fewer(chosen: Lines, holds: Callable[[Lines], bool]) -> Lines:
    """As many of the lines as are needed."""
    for n in sorted(chosen):
        rest = {k: text for k, text in chosen.items() if k != n}
        if len(chosen) > 2 and holds(rest):
            chosen = rest
    return chosen


@dataclass
class _Trials:
    """Changed functions: first run where the old one failed, then searched, and proved at last.

    Attributes:
        searched: how many of them were.
        refused: how many of those had no proof.
        failures: points at which others of them failed.
    """

    code: UserCode
    case: Case
    search: Search
    found: Found
    searched: int = 0
    refused: int = 0
    failures: list[Point] = field(default_factory=list)

    @property
    def returned(self) -> tuple[str, ...]:
        """The names of what the changed function returns."""
        return tuple(self.code.question.pairs)

    @property
    def over(self) -> bool:
        """Whether enough was tried."""
        return self.searched >= MOST_SEARCHED or self.refused >= MOST_PROOFS

    def hold(self, lines: Lines) -> bool:
        """Whether the function with these lines is finite and accurate, and proved."""
        code = self.changed(lines)
        if code is None:
            return False
        other = Search(code, _from_the_start(self.search.inputs), self.search.values, self.search.judge)
        other.truths = self.search.truths
        if self.lost_there(other) or any(self.fails(other, p) for p in self.failures):
            return False
        self.searched += 1
        again = other.run(worked() + SEARCH, climbing=CLIMBING, most=COMPARED)
        lost = [f.point for f in again.lost if self.counts(f)]
        self.failures += lost[:1]
        if lost or not again.compared:
            return False
        if self.proved(code):
            return True
        self.refused += 1
        return False

    def changed(self, lines: Lines) -> UserCode | None:
        """The code with these lines; None if they are no Python."""
        backward = edited(self.case.backward, lines, tuple(self.code.question.pairs))
        return None if backward is None else replace(self.code, backward=backward)

    def lost_there(self, search: Search) -> bool:
        """Whether something is lost where it was."""
        return _still_lost(search, self.found) or _lost(search, self.found.point)

    def fails(self, search: Search, point: Point) -> bool:
        """Whether something is lost at another point."""
        found = search.again(point)
        return found is not None and self.counts(found)

    def counts(self, found: Found) -> bool:
        """Whether what was found says something about the changed lines."""
        return bool(found.loss.name)

    def proved(self, code: UserCode) -> bool:
        """Whether the changed backward pass is proved."""
        try:
            return bool(confirmed(replace(self.case, backward=code.backward), Budget.of(PROOF)))
        except SymbackpropError:
            return False


class _ForwardTrials(_Trials):
    """The same of changed forward passes, which are proved to be the same function."""

    @property
    def returned(self) -> tuple[str, ...]:
        """The outputs; none where a cache stands behind them."""
        return () if "cache" in self.code.roles.values() else tuple(t.name for t in self.code.question.forward.outputs)

    def changed(self, lines: Lines) -> UserCode | None:
        """The code with these lines."""
        forward = edited(self.case.forward, lines, self.returned)
        return None if forward is None else replace(self.code, forward=forward)

    def lost_there(self, search: Search) -> bool:
        """Whether an output is lost where it was."""
        return _outputs_lost(search, self.found.point)

    def counts(self, found: Found) -> bool:
        """Whether an output is lost."""
        return not found.loss.name

    def proved(self, code: UserCode) -> bool:
        """Whether the forward pass is the same function, and, where it hands something on, the gradient still right."""
        forward, budget = code.forward, Budget.of(PROOF)
        try:
            if "cache" in code.roles.values() and not confirmed(replace(self.case, forward=forward), budget):
                return False
            return bool(confirmed(_same_values(self.case, forward, code), budget))
        except (SymbackpropError, NotImplementedError):
            return False


@dataclass
class _TrialsAlone(_Trials):
    """The same of a forward pass alone.

    Attributes:
        sizes: those that are fixed.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)

    def changed(self, lines: Lines) -> UserCode | None:
        """The code with these lines."""
        forward = edited(self.case.forward, lines, self.returned)
        return None if forward is None else replace(self.code, forward=forward, backward=forward)

    def proved(self, code: UserCode) -> bool:
        """Whether it is the same function."""
        try:
            return bool(confirmed(_same_values(self.case, code.forward, code), Budget.of(PROOF), self.sizes))
        except (SymbackpropError, NotImplementedError):
            return False


def _from_the_start(inputs: Inputs) -> Inputs:
    """The same inputs in the same order, whatever was drawn before."""
    sampler = Sampler(inputs.question, random.Random(SEED))
    return Inputs(inputs.question, sampler, inputs.ranges, inputs.dtype, inputs.weights)


def _same_values(case: Case, forward: Callable[..., Any], code: UserCode) -> Case:
    """The question whether another forward pass gives the same: w f has the slope f in w, of each output f."""
    outputs = code.question.forward.outputs
    weights = [WEIGHTS + (f"_{k}" if k else "") for k in range(len(outputs))]
    if not case.shapes.keys().isdisjoint(weights):
        raise NotImplementedError("an input has the name of weights")

    def returned(function: Callable[..., Any], inputs: Mapping[str, Any]) -> list[Any]:
        given = {n: a for n, a in inputs.items() if n not in weights}
        return listed(outputs_and_cache(function(**given), code.roles)[0])

    def weighted(function: Callable[..., Any], **inputs: Any) -> Any:
        found = tuple(inputs[w] * f for w, f in zip(weights, returned(function, inputs), strict=True))
        return found if len(found) > 1 else found[0]

    def slope(function: Callable[..., Any], dout: Any, **inputs: Any) -> Any:
        upstream = dout if len(weights) > 1 else (dout,)
        return {w: d * f for w, d, f in zip(weights, upstream, returned(function, inputs), strict=True)}

    def around(run: Callable[..., Any], function: Callable[..., Any], names: Sequence[str]) -> Pass:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(n, kind) for n in names])
        name, framework = name_of(function), framework_of(function)
        rebuilt = lambda overlay: partial(run, overlay.patch(function))  # noqa: E731
        return Pass(function, name, signature, partial(run, function), rebuilt, framework)

    names = [*case.shapes, *weights]
    before, after = around(weighted, case.forward, names), around(slope, forward, ["dout", *names])
    shapes = dict(case.shapes) | {w: tuple(map(to_text, t.shape)) for w, t in zip(weights, outputs, strict=True)}
    return replace(case, forward=before, backward=after, shapes=shapes)


def _outputs_lost(search: Search, point: Any) -> bool:
    """Whether an output is no number, or has lost its digits."""
    computed, exact = search.code.at(point), search.exact(point)
    if computed.failed or exact is None:
        return True
    for own, true in zip(computed.outputs, exact.outputs, strict=True):
        for place, value in true.items():
            gap = abs(float(own[place]) - float(value.mid()))
            if not gap <= search.judge.unsafe * abs(float(value.mid())) + search.judge.floor:
                return True
    return False


def _still_lost(search: Search, found: Found) -> bool:
    """Whether the entry that was lost still is: this costs one run of the function."""
    computed, (name, place) = search.code.at(found.point), (found.loss.name, found.loss.place)
    if computed.failed or name not in computed.gradients:
        return True
    gap = abs(float(computed.gradients[name][place]) - found.loss.exact)
    return not gap <= 0.5 * search.judge.unsafe * abs(found.loss.exact) + search.judge.floor


def _lost(search: Search, point: Any) -> bool:
    """Whether a gradient is lost at a point; no excuse counts, since another form of the same does better."""
    computed = search.code.at(point)
    exact = search.exact(point)
    if computed.failed or exact is None:
        return True
    losses = search.judge.losses(point, computed, exact)
    return any(loss.name for loss in (*losses, *search.judge.explained))


def _span(function: Callable[..., Any]) -> range:
    """The lines of a function in its file."""
    try:
        source, start = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return range(0)
    return range(start, start + len(source))


def changed_lines(
    backward: Program, called: Mapping[str, str], span: range, names: Collection[str]
) -> dict[int, tuple[str, ...]]:
    """By the number of a line: the line in stable forms, for those of which the tables of forms know one.

    Args:
        span: the lines of the function.
        names: its own; what has none of them is computed by functions that it calls, and is put in.
    """
    parts = {e.tensor: e for e in backward.equations if e.note.startswith(PART)}
    hidden = {e.tensor: e for e in backward.equations if called.get(e.tensor.name, e.tensor.name) not in names}
    hidden = {t: e for t, e in hidden.items() if e.tensor not in backward.outputs} | parts
    context = Context(backward.by_tensor, {a.tensor: a for a in backward.assumptions})
    found: dict[int, list[tuple[str, ...]]] = {}
    for equation in backward.equations:
        number = re.fullmatch(r"line (\d+)", equation.note)
        if number is None or equation.tensor in parts:
            continue
        if int(number[1]) not in span:
            continue
        before = with_parts(equation.value, parts)
        forms = [f for f in _forms(before, equation, backward, context) if f is not before]
        written = (line_of(replace(equation, value=with_parts(f, hidden)), called) for f in forms)
        lines = tuple(dict.fromkeys(code for code in written if code))
        if lines:
            found.setdefault(int(number[1]), []).append(lines)
    return {n: tuple(_together(forms)) for n, forms in found.items()}


def _together(forms: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The forms of a line; where it makes several tensors, the same form of all, and each alone."""
    if len(forms) > 1:
        for every in itertools.zip_longest(*forms):
            yield "\n".join(form or own[-1] for form, own in zip(every, forms, strict=True))
    yield from itertools.chain(*forms)


def _forms(before: Expr, equation: Equation, backward: Program, context: Context) -> Iterator[Expr]:
    """A line by the rows of the table, as another quotient, the same with what it reads put in, and divided twice."""
    yield _shifted(equation, stable(before, context), context)
    yield from (stable(q, context) for q in quotients(before))
    opened, entries = _opened(before, backward.by_tensor)
    opened = stable(opened, context, rows=(same_choice,))
    if opened is not before:
        for form in (stable(opened, context), *(stable(q, context) for q in quotients(opened))):
            yield _with_names(form, entries)
    for form in (before, stable(before, context)):
        yield stable(form, context, rows=(joined_log_sum,))
    yield stable(before, context, rows=(divided_twice,))
    yield stable(before, context, rows=(squares_below, divided_twice))


def _opened(expr: Expr, equations: Mapping[Tensor, Equation]) -> tuple[Expr, dict[Expr, Expr]]:
    """The expression with the equations of tensors put in that are made entry by entry, and what stood for them.

    A running sum or product, whose equation reads itself, stands for itself.
    """
    stood: dict[Expr, Expr] = {}
    running = recurrent(equations.values())

    def value(node: Expr) -> Expr | None:
        if not isinstance(node, Entry) or node.tensor not in equations or node.tensor in running:
            return None
        own = equations[node.tensor].at(node.indices)
        if any(isinstance(n, (Sum, Extremum)) for n in nodes_once(own)):
            return None
        found = rewrite(own, value)
        stood.setdefault(found, node)
        return found

    return rewrite(expr, value), stood


def _with_names(expr: Expr, entries: Mapping[Expr, Expr]) -> Expr:
    """The expression with the user's names for what they stand for."""
    return rewrite(expr, lambda node: entries.get(node))


def _shifted(equation: Equation, value: Expr, context: Context) -> Expr:
    """exp(z), masked or not, with the largest z along an axis subtracted, where its sum along that axis is taken."""
    term = exponential(value, context)
    if term is None or any(isinstance(n, Extremum) for n in nodes_once(value)):
        return value
    sums = [n for e in context.equations.values() for n in nodes_once(e.value) if isinstance(n, Sum)]
    inner = {n.body for n in sums}
    axes = {along for n in sums if n not in inner and (along := _axes_of(n, equation.tensor))}
    if len(axes) != 1:
        return value
    return term.less(term.largest([equation.indices[axis] for axis in axes.pop()]))


def _axes_of(total: Expr, tensor: Tensor) -> tuple[int, ...]:
    """Along which axes of a tensor a sum runs, if its terms are the tensor's entries."""
    indices = []
    while isinstance(total, Sum):
        indices.append(total.index)
        total = total.body
    if not isinstance(total, Entry) or total.tensor is not tensor:
        return ()
    return tuple(k for k, i in enumerate(total.indices) if i in indices)


__all__ = ["changed_lines", "cure_of", "cure_of_forward"]
