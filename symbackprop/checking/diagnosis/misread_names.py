"""A name that is bound to what another name has: du = dh, where du should be dh times a slope.

Both names are one tensor then, and no equation stands for the second. Some of what reads it is right, since it means
the first name, and nothing right comes of the rest. Given a line of its own, what these read is a line like others.
"""

from __future__ import annotations

import ast
import itertools
import linecache
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from symbackprop.checking.diagnosis.cut_fault import CutFault, faults_at, readers_of, right_with
from symbackprop.checking.diagnosis.named_views import name_elsewhere, read_instead
from symbackprop.checking.diagnosis.numeric_filter import Refuted, Trials
from symbackprop.expression.build import ONE, Entry, Expr, Tensor, mentioned, rewrite
from symbackprop.expression.program import Equation, unused
from symbackprop.expression.recurrence import in_order
from symbackprop.frontends.numpy.session import Ran

MOST_MISREAD = 6  # of whose readers other rounds tell that they mean another name


def misread_name(case: Refuted, trials: Trials) -> tuple[Refuted, CutFault] | None:
    """The same with a line for a name that is bound to the tensor of another, and that as the place of the fault.

    None where numbers show no derivative that this name should have.
    """
    called = case.traced.variables
    for tensor, name, other, note, readers in (*_by_bindings(case), *_by_rounds(case, trials)):
        taken = {t.name for t in (*case.sides.derived.tensors, *case.traced.backward.tensors)}
        own = Tensor(unused(name, taken), tensor.shape)
        first = case.traced.backward.by_tensor[tensor]
        line = Equation(own, first.indices, first.left, note)
        changed = {e.tensor: replace(e, value=_read_as(e.value, tensor, own)) for e in readers}
        lines = [changed.get(e.tensor, e) for e in case.own_lines]
        faults = faults_at(case, line, case.own_lines)
        fault = next((f for f in faults if right_with(case, trials, lines, [(own, f.right, ONE)])), None)
        if fault is None:
            continue
        backward = case.traced.backward
        equations = in_order((*(changed.get(e.tensor, e) for e in backward.equations), line))
        backward = replace(backward, equations=equations)
        sides = case.sides.with_views(backward)
        traced = replace(case.traced, backward=backward, variables={**called, tensor: other, own: name})
        return replace(case, sides=sides, traced=traced), fault
    return None


Misread = tuple[Tensor, str, str, str, list[Equation]]  # a tensor, two names, the line of the first, what means that


def _by_bindings(case: Refuted) -> Iterator[Misread]:
    """Names that are bound to the tensor of another, with readers of which nothing right comes, unlike of others."""
    called, ran = case.traced.variables, case.traced.ran
    named = [line.tensor for line in case.own_lines if line.tensor in called]
    bound = {t: found for t in named if (found := next(_bindings(ran, t, called), None))}
    for tensor, readers in readers_of(case, case.own_lines) if bound else ():
        if tensor in bound:
            name, other, number = bound[tensor]
            yield tensor, name, other, f"line {number}", readers


def _by_rounds(case: Refuted, trials: Trials) -> Iterator[Misread]:
    """Tensors in whose place some lines read, in other rounds of a loop, what another line computes of it."""
    called, lines = case.traced.variables, {e.tensor: e for e in case.own_lines}
    rounds: dict[str, list[Equation]] = {}
    for line in lines.values():
        rounds.setdefault(line.note, []).append(line)
    found: dict[tuple[Tensor, str], tuple[Tensor, list[Equation]]] = {}
    forward = trials.like(case.traced.forward.tensors)
    for line in lines.values():
        for tensor in sorted(mentioned(line.value) & lines.keys() - forward, key=lambda t: t.name):
            named = read_instead(tensor, line, rounds[line.note], lines) if tensor in called else None
            if named is not None and named in called and named.shape == tensor.shape:
                found.setdefault((tensor, lines[named].note), (named, []))[1].append(line)
    for (tensor, note), (named, readers) in itertools.islice(found.items(), MOST_MISREAD):
        if len(readers) < sum(tensor in mentioned(e.value) for e in lines.values()):
            other = name_elsewhere(tensor, lines, called).get(tensor, called[tensor])
            yield tensor, called[named], other, note, readers


def _read_as(value: Expr, tensor: Tensor, other: Tensor) -> Expr:
    """What a line computes, of another tensor."""

    def visit(node: Expr) -> Expr | None:
        return Entry(other, node.indices) if isinstance(node, Entry) and node.tensor is tensor else None

    return rewrite(value, visit)


def _bindings(ran: Sequence[Ran], tensor: Tensor, called: Mapping[Tensor, str]) -> Iterator[tuple[str, str, int]]:
    """The names that the function which computes a tensor gives to it besides, each with the first one and the line.

    A name that is given to what another line computes, in the same round, does not stay bound to this.
    """
    turn = next((k for k, r in enumerate(ran) if r.tensor is tensor and r.calls), None)
    if turn is None:
        return
    run = ran[turn]
    later = itertools.takewhile(
        lambda r: (r.line, r.calls) != (run.line, run.calls) or r.tensor is None, ran[turn + 1 :]
    )
    computed = {called.get(r.tensor, "") for r in later if r.tensor is not None}
    for node in statements_around(run):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=other)) if name != other:
                if called[tensor] in (name, other) and name not in computed:
                    yield name, other, node.lineno


def statements_around(run: Ran) -> Iterator[ast.AST]:
    """What the function consists of that a line ran in."""
    functions = _functions("".join(linecache.getlines(run.calls[0].file)))
    around = [f for f in functions if f.lineno <= run.line <= (f.end_lineno or 0)]
    return ast.walk(max(around, key=lambda f: f.lineno)) if around else iter(())


@lru_cache(maxsize=4)
def _functions(source: str) -> tuple[ast.FunctionDef, ...]:
    try:
        return tuple(n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef))
    except (SyntaxError, ValueError, RecursionError):
        return ()
