"""Stable lines for a user's backward pass, in the user's own names: proved equal, and searched.

The rows of `proofs.stable_forms` are put to every line of the code. Each change, alone and with the others, is put into
the user's function; only if the changed function is itself PROVED, and nothing was found where the old one failed nor
elsewhere, it is said. Main name: `cure_of`.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from symbackprop.checking.budget import Budget
from symbackprop.checking.check import Case, confirmed
from symbackprop.checking.diagnosis.edited_function import as_written, edited, statements_at
from symbackprop.checking.user_lines import with_parts
from symbackprop.checking.verdict import Verdict
from symbackprop.errors import SymbackpropError
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
from symbackprop.normal_form.work_time import worked
from symbackprop.precision.line_code import line_of
from symbackprop.precision.search import Found, Search
from symbackprop.precision.user_results import UserCode
from symbackprop.proofs.stable_forms import (
    Context,
    divided_twice,
    exponential,
    same_choice,
    stable,
)
from symbackprop.proofs.stable_quotients import quotients
from symbackprop.rendering.text import to_text

MOST_TRIED = 100
OUTPUT, WEIGHTS = "out", "w_of_symbackprop"  # what a forward pass returns without a name, and what is put before it
PROOF = 1.0  # seconds for the proof of one changed function
LEAST = 0.2  # for that, and for the search of it, which comes first: most that fail do so there
Lines = Mapping[int, str]


def cure_of(verdict: Verdict, code: UserCode, case: Case, search: Search, found: Found, end: float) -> Lines | None:
    """The changed lines by their numbers in the file; None if no stable form was found.

    Of what is lost in an output the lines of the forward pass are changed, else those of the backward pass.

    Args:
        end: on the clock of work.
    """
    backward = bool(found.loss.name)
    program = verdict.claim if backward else code.question.forward
    function = case.backward if backward else case.forward
    if program is None:
        return None
    changes = changed_lines(program, _called(program, verdict.called, function), _span(function), _names(function))
    test = _holds if backward else _forward_holds

    def holds(chosen: Lines) -> bool:
        return test(code, case, search, found, chosen, end)

    for chosen in itertools.islice(_choices(changes), MOST_TRIED):
        if worked() > end:
            return None
        if holds(chosen):
            chosen = _fewer(chosen, holds, end)
            returned = tuple(code.question.pairs) if backward else ()
            return {n: as_written(function, n, text, returned) for n, text in sorted(chosen.items())}
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


def _fewer(chosen: Lines, holds: Callable[[Lines], bool], end: float) -> Lines:
    """As many of the lines as are needed."""
    for n in sorted(chosen):
        rest = {k: text for k, text in chosen.items() if k != n}
        if len(chosen) > 2 and worked() < end and holds(rest):
            chosen = rest
    return chosen


def _holds(code: UserCode, case: Case, search: Search, found: Found, lines: Lines, end: float) -> bool:
    """Whether the function with these lines is finite and accurate, and proved."""
    backward = edited(case.backward, lines, tuple(code.question.pairs))
    if backward is None:
        return False
    other = Search(replace(code, backward=backward), search.inputs, search.values, search.judge)
    if _still_lost(other, found) or _lost(other, found.point):
        return False
    again = other.run(worked() + LEAST)
    if not again.compared or any(f.loss.name for f in again.lost):
        return False
    try:
        return bool(confirmed(replace(case, backward=backward), Budget.of(min(PROOF, max(LEAST, end - worked())))))
    except SymbackpropError:
        return False


def _forward_holds(code: UserCode, case: Case, search: Search, found: Found, lines: Lines, end: float) -> bool:
    """Whether the forward pass with these lines is finite and accurate there, and proved to be the same function."""
    forward = edited(case.forward, lines)
    if forward is None:
        return False
    other = Search(replace(code, forward=forward), search.inputs, search.values, search.judge)
    if _outputs_lost(other, found.point):
        return False
    again = other.run(worked() + LEAST)
    if not again.compared or not all(f.loss.name for f in again.lost):
        return False
    budget = Budget.of(min(PROOF, max(LEAST, end - worked())))
    try:
        if "cache" in code.roles.values() and not confirmed(replace(case, forward=forward), budget):
            return False
        return bool(confirmed(_same_values(case, forward, code), budget))
    except (SymbackpropError, NotImplementedError):
        return False


def _same_values(case: Case, forward: Callable[..., Any], code: UserCode) -> Case:
    """The question whether another forward pass gives the same: w f has the slope f in w."""
    outputs = code.question.forward.outputs
    if len(outputs) != 1 or WEIGHTS in case.shapes:
        raise NotImplementedError("several outputs")
    cached = "cache" in code.roles.values()

    def weighted(**inputs: Any) -> Any:
        w = inputs.pop(WEIGHTS)
        result = case.forward(**inputs)
        return w * (result[0] if cached else result)

    def slope(dout: Any, **inputs: Any) -> Any:
        inputs.pop(WEIGHTS)
        result = forward(**inputs)
        return {WEIGHTS: dout * (result[0] if cached else result)}

    names = [*case.shapes, WEIGHTS]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    weighted.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])  # type: ignore[attr-defined]
    slope.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in ("dout", *names)])  # type: ignore[attr-defined]
    shapes = {**case.shapes, WEIGHTS: tuple(to_text(n) for n in outputs[0].shape)}
    return replace(case, forward=weighted, backward=slope, shapes=shapes)


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
    yield stable(before, context, rows=(divided_twice,))


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


__all__ = ["changed_lines", "cure_of"]
