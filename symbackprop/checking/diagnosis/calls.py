"""In which helper of the user's a line with a fault stands, in which of its calls the fault is, and where results go.

A helper is called for several layers: that its line is wrong says half of it where one call alone goes wrong, since
then what it was given may be the fault. What is put into a list has no name of its own: it is told by the statement.
Main names: `with_calls`, `destination`.
"""

from __future__ import annotations

import ast
import linecache
import re
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from symbackprop.expression.build import Tensor
from symbackprop.frontends.numpy.session import Ran

_LINE = re.compile(r"\bline (\d+)(?=:|\))(?! of the forward)")


class _Run(NamedTuple):
    """One call of a helper, as far as one of its lines tells.

    Args:
        caller: the line that calls it.
        tensors: what its line computes.
    """

    caller: int
    tensors: list[Tensor]


def with_calls(words: str, ran: Sequence[Ran], wrong: Collection[Tensor]) -> str:
    """A diagnosis with the helper that the first line it names stands in.

    Args:
        ran: the lines that computed something, in the order in which they ran.
        wrong: what is computed otherwise in the pass as it would be right.

    Example:
        >>> from symbackprop.frontends.numpy.session import Call
        >>> first, second = Tensor("d", ()), Tensor("d_2", ())
        >>> def called(line, tensor): return Ran(3, tensor, calls=(Call("slope", 3), Call("backward", line)))
        >>> ran = [called(8, first), Ran(9, calls=(Call("backward", 9),)), called(10, second)]
        >>> with_calls("line 3: the sign is wrong", ran, [first, second])
        'line 3, in each of the 2 calls of slope: the sign is wrong'
        >>> with_calls("line 3: the sign is wrong", ran, [second])
        'line 3, in the call of slope in line 10: the sign is wrong'
    """
    told = _LINE.search(words)
    helper, runs = _runs(ran, int(told[1])) if told else ("", [])
    if told is None or not helper:
        return words
    return f"{words[: told.end()]}, {_which(helper, runs, wrong)}{words[told.end() :]}"


def _which(helper: str, runs: Sequence[_Run], wrong: Collection[Tensor]) -> str:
    """ "in call 2 of 6 of slope, from line 12"."""
    hit = [k for k, run in enumerate(runs) if not set(wrong).isdisjoint(run.tensors)]
    if not hit or len(runs) == 1:
        return f"in {helper}"
    if len(hit) == len(runs):
        return f"in each of the {len(runs)} calls of {helper}"
    if len(hit) > 1:
        return f"in {len(hit)} of the {len(runs)} calls of {helper}"
    caller = runs[hit[0]].caller
    if [run.caller for run in runs].count(caller) == 1:
        return f"in the call of {helper} in line {caller}"
    return f"in call {hit[0] + 1} of {len(runs)} of {helper}, from line {caller}"


def _runs(ran: Iterable[Ran], line: int) -> tuple[str, list[_Run]]:
    """The helper that a line stands in, and its calls; no helper for a line of the pass itself."""
    helper, runs, inside = "", list[_Run](), False
    for r in ran:
        own = r.line == line and len(r.calls) > 1
        if own:
            if not inside or runs[-1].caller != r.calls[1].line or r.calls[0].function != helper:
                runs.append(_Run(r.calls[1].line, []))
            helper, inside = r.calls[0].function, True
            if r.tensor is not None:
                runs[-1].tensors.append(r.tensor)
        elif helper not in (call.function for call in r.calls):
            inside = False
    return helper, [run for run in runs if run.tensors]  # what nobody uses has no tensor


def destination(ran: Iterable[Ran], tensor: Tensor, written: str) -> str:
    """Where a statement puts what it computes, for a sentence: "deltas[k] of line 12"; "" if that is not known.

    Args:
        written: the expression that is worked out; where it is only a part of the statement, nothing is told.
    """
    run = next((r for r in ran if r.tensor is tensor and r.calls), None)
    statement = _statement(run.calls[0].file, run.line) if run is not None else None
    match statement:
        case ast.Assign(targets=[ast.Subscript() as target], value=value) if ast.unparse(value) == _plain(written):
            return f"{ast.unparse(target)} of line {statement.lineno}"
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=target, attr="append"), args=[value])) if ast.unparse(
            value
        ) == _plain(written):
            return f"what line {statement.lineno} appends to {ast.unparse(target)}"
        case _:
            return ""


def _plain(written: str) -> str:
    """An expression as Python would print it."""
    try:
        return ast.unparse(ast.parse(written, mode="eval"))
    except (SyntaxError, ValueError, RecursionError):
        return ""


def _statement(file: str, line: int) -> ast.stmt | None:
    """The simple statement of a file that a line belongs to."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError, RecursionError):
        return None
    around = (n for n in ast.walk(tree) if isinstance(n, ast.stmt) and n.lineno <= line <= (n.end_lineno or n.lineno))
    return max(around, key=lambda n: n.lineno, default=None)
