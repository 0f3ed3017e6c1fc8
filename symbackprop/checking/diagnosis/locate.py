"""Where a backward pass goes wrong, as far as numbers show it, when no cure was found.

Three things can be said without one: at which entries alone a gradient is wrong, which named intermediate is not what
its name says, and which line would do if it had other values. Each is what was seen at every point tried, no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from symbackprop.checking.diagnosis.compare import Diagnosis
from symbackprop.checking.diagnosis.numeric_filter import FAILURES, PLAIN, Refuted, Trials, same
from symbackprop.checking.diagnosis.search import EditSearch, defined
from symbackprop.evaluation.arrays import Numbers, Vectors
from symbackprop.expression.build import Compare, Expr, Index, Tensor, free_indices, mentioned, nodes_once, substitute
from symbackprop.expression.program import Equation
from symbackprop.rendering.text import to_text

LIKE = 1e-6  # a relative difference of entries that is no rounding
MAXIMUM_CONDITION = 80
LEAST_EVIDENCE = 4  # points at which a gradient must be wrong before a rule is seen in where
_NAMES_OF_GRADIENTS = (r"d_?(.+)", r"grad_?(.+)", r"(.+)_grad", r"d[A-Z]_?d(.+)", r"(.+)_bar", r"delta_?(.+)")


def located(case: Refuted, trials: Trials, own: EditSearch) -> Diagnosis | None:
    """The fault as far as it can be placed."""
    found = [_region(case, trials, name) for name in case.wrong] + [_first_difference(case, trials)]
    line = line_that_mends(trials, own) if case.formula is None else ""
    lines = (
        [f"as far as numbers show, the fault can be mended in {line} alone, with other values there"] if line else []
    )
    words = [w for w in found if w] or lines
    return Diagnosis("; ".join(words)) if words else None


# --- entries


def _region(case: Refuted, trials: Trials, name: str) -> str:
    """The entries of a gradient that alone are wrong, in words; "" if they are all wrong or follow no simple rule."""
    claimed, derived = case.traced.gradients[name], case.derived[name]
    masks = [(b, _differing(b.arrays[claimed], b.arrays[derived])) for b in (*trials.benches, *trials.larger)]
    telling = [(b, m) for b, m in masks if m.any()]
    if not telling or not telling[0][1].shape or all(m.all() for _, m in telling):
        return ""
    if len(telling) < LEAST_EVIDENCE:
        return ""
    words = _condition(case, name, masks) or _positions([m for _, m in telling])
    return f"{name}: wrong only {words}, at every point tried" if words else ""


def _differing(left: Numbers, right: Numbers) -> Numbers:
    scale = max(float(np.max(np.abs(right), initial=0.0)), float(np.max(np.abs(left), initial=0.0)))
    return np.asarray(np.abs(left - right) > LIKE * scale)


def _positions(masks: list[Numbers]) -> str:
    """ "at the last place of axis 1", if that is where all masks are, wholly."""
    for axis in range(masks[0].ndim):
        along = [np.atleast_1d(m.any(axis=tuple(k for k in range(m.ndim) if k != axis))) for m in masks]
        if any(len(a) < 2 or a.all() for a in along) or max(map(len, along)) < 3:
            continue
        sets = [set(np.flatnonzero(a).tolist()) for a in along]
        ordinal = f"of axis {axis}"
        for words, meant in (
            ("at the first place", lambda n: {0}),
            ("at the last place", lambda n: {n - 1}),
            ("beyond the first place", lambda n: set(range(1, n))),
            ("before the last place", lambda n: set(range(n - 1))),
        ):
            if all(s == meant(len(a)) for s, a in zip(sets, along, strict=True)):
                return f"{words} {ordinal}"
    for first in range(masks[0].ndim):
        for second in range(first + 1, masks[0].ndim):
            if all(m.shape[first] == m.shape[second] for m in masks):
                diagonals = [np.equal.outer(*(np.arange(m.shape[first]),) * 2) for m in masks]
                planes = [m.any(axis=tuple(k for k in range(m.ndim) if k not in (first, second))) for m in masks]
                if all(not (p & ~d).any() for p, d in zip(planes, diagonals, strict=True)):
                    return f"on the diagonal of axes {first} and {second}"
                if all(not (p & d).any() for p, d in zip(planes, diagonals, strict=True)):
                    return f"off the diagonal of axes {first} and {second}"
    return ""


def _condition(case: Refuted, name: str, masks: list[tuple[Vectors, Numbers]]) -> str:
    """ "where 0 < z[n,i]", if the gradient is right wherever that comparison of the forward pass does not hold."""
    tensor = case.question.pairs[name][0]
    places = next((e.indices for e in case.derived_lines if e.tensor is case.derived[name]), ())
    for condition in _comparisons(case.traced.forward.equations, tensor, places):
        for holds, words in ((True, "where"), (False, "where not")):
            if all(_inside(bench, mask, condition, places, holds) for bench, mask in masks):
                assert isinstance(condition, Compare)
                text = f"{to_text(condition.left)} {condition.relation} {to_text(condition.right)}"
                return f"{words} {text}" if len(text) <= MAXIMUM_CONDITION else ""
    return ""


def _comparisons(equations: tuple[Equation, ...], tensor: Tensor, places: tuple[Index, ...]) -> Iterator[Expr]:
    """Comparisons of the forward pass over the axes of a gradient."""
    for equation in equations:
        for node in nodes_once(equation.value):
            running = sorted(free_indices(node), key=lambda i: i.uid) if isinstance(node, Compare) else []
            sizes = [i.size for i in running]
            if (
                running
                and mentioned(node)
                and len(set(sizes)) == len(sizes)
                and all(any(p.size is s for p in places) for s in sizes)
            ):
                yield substitute(node, {i: next(p for p in places if p.size is i.size) for i in running})


def _inside(bench: Vectors, mask: Numbers, condition: Expr, places: tuple[Index, ...], holds: bool) -> bool:
    """True if every wrong entry is where the condition holds, and not every entry is."""
    try:
        where = bench.over(condition, places) != 0
    except FAILURES:
        return False
    region = where if holds else ~where
    return not (mask & ~region).any() and not region.all()


# --- intermediates


def _first_difference(case: Refuted, trials: Trials) -> str:
    """The first line of the backward pass whose value is not what its name says."""
    forward = {t.name: t for t in case.traced.forward.tensors}
    own = set(forward.values())
    for equation in case.own_lines:
        tensor = equation.tensor
        if tensor in own or tensor not in case.traced.variables or tensor in case.traced.gradients.values():
            continue  # a name that the user did not choose says nothing; a gradient that is wrong is known to be
        for right, meaning in _meanings(case, tensor):
            if right.shape == tensor.shape and _differ(trials, tensor, right):
                called = case.traced.variables[tensor]
                return f"the first intermediate that differs is {called} ({equation.note}): it is not {meaning}"
    return ""


def _differ(trials: Trials, left: Tensor, right: Tensor) -> bool:
    return all(not same(b.arrays[left], b.arrays[right], PLAIN) for b in trials.benches)


def _meanings(case: Refuted, tensor: Tensor) -> Iterator[tuple[Tensor, str]]:
    """What a tensor of the backward pass should be, judging by a name that the user gave to one thing only."""
    names = list(case.traced.variables.values())
    called = case.traced.variables[tensor]
    computed = {e.tensor for e in case.traced.forward.equations}
    by_user = {user: t for t, user in case.traced.variables.items() if t in computed}
    if called in by_user and names.count(called) == 2:
        yield by_user[called], f"the {called} of the forward pass"
    for pattern in _NAMES_OF_GRADIENTS:
        match = re.fullmatch(pattern, called)
        source = by_user.get(match[1]) if match else None
        bar = case.gradient.cotangents.get(source) if source is not None else None
        if match and bar is not None and names.count(called) == 1 and names.count(match[1]) == 1:
            yield bar, f"the derivative with respect to {match[1]}"
            return


# --- lines


def line_that_mends(trials: Trials, own: EditSearch) -> str:
    """The line that would do with other values: the one with the fewest entries, if the goals outnumber them; or ""."""
    best: tuple[int, str] | None = None
    for group, response in own.responses():
        entries, goals = response.rows.shape
        if defined(group) <= own.trusted:
            continue
        if response.curable and entries < goals and (best is None or entries < best[0]):
            names = sorted({own.variables.get(t, "") for t in defined(group)} - {""})
            best = entries, f"{group[0].note}" + (f" ({', '.join(names)})" if names else "")
    return "" if best is None else best[1]


__all__ = ["line_that_mends", "located"]
