"""Stable lines for a user's backward pass, in the user's own names: proved equal, and searched.

The rows of `proofs.stable_forms` are put to every line of the code. Each change, alone and with the others, is put into
the user's function; only if the changed function is itself PROVED, and nothing was found where the old one failed nor
elsewhere, it is said. Main name: `cure_of`.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from symbackprop.checking.budget import Budget
from symbackprop.checking.check import Case, confirmed
from symbackprop.checking.diagnosis.edited_function import edited
from symbackprop.checking.user_lines import with_parts
from symbackprop.checking.verdict import Verdict
from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import (
    Apply,
    Entry,
    Expr,
    Extremum,
    Index,
    Sum,
    Tensor,
    apply,
    extremum,
    nodes_once,
    rewrite,
    substitute,
    subtract,
)
from symbackprop.expression.functions import EXP
from symbackprop.expression.program import PART, Equation, Program
from symbackprop.normal_form.work_time import worked
from symbackprop.precision.line_code import line_of
from symbackprop.precision.search import Found, Search
from symbackprop.precision.user_results import UserCode
from symbackprop.proofs.stable_forms import Context, same_choice, stable
from symbackprop.proofs.stable_quotients import quotients

MOST_TRIED = 32
PROOF = 1.0  # seconds for the proof of one changed function
LEAST = 0.2  # for that, and for the search of it
Lines = Mapping[int, str]


def cure_of(
    verdict: Verdict, code: UserCode, case: Case, search: Search, found: Found, line: int, end: float
) -> Lines | None:
    """The changed lines by their numbers in the file; None if no stable form was found.

    Args:
        line: the guilty one, which is tried first; 0 if it is not known.
        end: on the clock of work.
    """
    if verdict.claim is None or not found.loss.name:
        return None
    names = set(getattr(getattr(case.backward, "__code__", None), "co_varnames", ()))
    changes = changed_lines(verdict.claim, verdict.called, _span(case.backward), names)
    for chosen in itertools.islice(_choices(changes, line), MOST_TRIED):
        if worked() > end:
            return None
        if _holds(code, case, search, found, chosen, end):
            return chosen
    return None


def _choices(changes: Mapping[int, Sequence[str]], line: int) -> Iterator[Lines]:
    """Which lines to change, and how: the guilty one in each of its forms, any other, two, all."""
    numbers = sorted(changes, key=lambda n: (n != line, n))
    for n in numbers:
        yield from ({n: form} for form in changes[n])
    if len(numbers) > 2:
        yield {n: changes[n][0] for n in numbers}
    for pair in itertools.combinations(numbers, 2):
        for forms in itertools.product(*(changes[n] for n in pair)):
            yield dict(zip(pair, forms, strict=True))


def _holds(code: UserCode, case: Case, search: Search, found: Found, lines: Lines, end: float) -> bool:
    """Whether the function with these lines is finite and accurate, and proved."""
    backward = edited(case.backward, lines)
    if backward is None:
        return False
    other = Search(replace(code, backward=backward), search.inputs, search.values, search.judge)
    if _still_lost(other, found) or _lost(other, found.point):
        return False
    try:
        if not confirmed(replace(case, backward=backward), Budget.of(min(PROOF, max(LEAST, end - worked())))):
            return False
    except SymbackpropError:
        return False
    again = other.run(max(end, worked() + LEAST))
    return again.compared > 0 and all(not f.loss.name for f in again.lost)


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
    """A line by the rows of the table, as another quotient, and the same with what it reads put in."""
    yield _shifted(equation, stable(before, context), backward.equations)
    yield from (stable(q, context) for q in quotients(before))
    opened, entries = _opened(before, backward.by_tensor)
    opened = stable(opened, context, rows=(same_choice,))
    if opened is not before:
        for form in (stable(opened, context), *(stable(q, context) for q in quotients(opened))):
            yield _with_names(form, entries)


def _opened(expr: Expr, equations: Mapping[Tensor, Equation]) -> tuple[Expr, dict[Expr, Expr]]:
    """The expression with the equations of tensors put in that are made entry by entry, and what stood for them."""
    stood: dict[Expr, Expr] = {}

    def value(node: Expr) -> Expr | None:
        if not isinstance(node, Entry) or node.tensor not in equations:
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


def _shifted(equation: Equation, value: Expr, equations: Sequence[Equation]) -> Expr:
    """exp(z) with the largest z along an axis subtracted, where its sum along that axis is taken."""
    if not (isinstance(value, Apply) and value.function is EXP) or any(
        isinstance(n, Extremum) for n in nodes_once(value)
    ):
        return value
    axes = [
        a for e in equations for n in nodes_once(e.value) if isinstance(n, Sum) for a in _axes_of(n, equation.tensor)
    ]
    if len(set(axes)) != 1:
        return value
    index, exponent = equation.indices[axes[0]], value.arguments[0]
    largest = extremum("max", "j", index.size, lambda j: substitute(exponent, {index: j}))
    return apply(EXP, subtract(exponent, largest))


def _axes_of(total: Sum, tensor: Tensor) -> Iterator[int]:
    """Along which axes of a tensor a sum runs, if its terms are the tensor's entries."""
    if isinstance(total.body, Entry) and total.body.tensor is tensor:
        yield from (k for k, i in enumerate(total.body.indices) if isinstance(i, Index) and i is total.index)


__all__ = ["changed_lines", "cure_of"]
