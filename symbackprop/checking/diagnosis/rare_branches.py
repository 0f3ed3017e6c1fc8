"""Branches that no ordinary point takes: x / max(|x|, 1e-12) is x / |x| but for a spot around 0.

A claim that knows nothing of them is wrong there and right elsewhere, and whoever reads that it is wrong wants to hear
that. Whether a branch is rare, numbers show; that a claim is right without it, is proved as anything else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from symbackprop.checking.diagnosis.numeric_filter import FAILURES
from symbackprop.checking.diagnosis.vocabulary import short, value_nodes
from symbackprop.checking.question import Question
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.user_lines import with_parts, with_users_names
from symbackprop.evaluation.arrays import Vectors
from symbackprop.expression.build import ONE, ZERO, Compare, Expr, Number, free_indices, mentioned, rewrite
from symbackprop.expression.program import PART, Program
from symbackprop.frontends.numpy.traced import Traced

DRAWN, ENOUGH = 12, 6  # points, and how many of them must have numbers
BOTH = 2  # answers
_OPPOSITE = {"<": ">=", "<=": ">"}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True)
class RareBranch:
    """A comparison with a constant that comes out alike at every ordinary point.

    Args:
        condition: the comparison.
        text: what holds there, in the user's names.
        place: its line.
        of_forward: False for one that the backward pass alone makes.
    """

    condition: Compare
    text: str
    place: str
    of_forward: bool = True


def rare_branches(traced: Traced, question: Question) -> dict[RareBranch, bool]:
    """The branches of both passes that no ordinary point takes, with how each is decided there; none if the forward
    pass has none."""
    comparisons = {
        c: e.note.removeprefix(PART)
        for p in (traced.backward, traced.forward)
        for e in p.equations
        for c in _compared(e.value)
    }
    if not comparisons:
        return {}
    known = _answers(list(comparisons), traced, question)
    own = {c for e in traced.forward.equations for c in _compared(e.value)}
    parts = {e.tensor: e for p in (traced.backward, traced.forward) for e in p.equations if e.note.startswith(PART)}
    called = {t.name: name for t, name in traced.variables.items()}
    rare = {}
    for condition, holds in known.items():
        left, right = (
            _told(_decided(with_users_names(with_parts(s, parts), called), known))
            for s in (condition.left, condition.right)
        )
        relation = condition.relation if holds else _OPPOSITE[condition.relation]
        if isinstance(condition.left, Number):
            left, relation, right = right, _TURNED[relation], left
        text = f"{left} {relation} {right}"
        rare[RareBranch(condition, text, comparisons[condition], condition in own)] = holds
    return rare if any(b.of_forward for b in rare) else {}


def without(traced: Traced, branches: Mapping[RareBranch, bool]) -> Traced:
    """Both passes as they are where these branches are not taken."""
    known = {b.condition: holds for b, holds in branches.items()}

    def of(program: Program) -> Program:
        return replace(program, equations=tuple(replace(e, value=_decided(e.value, known)) for e in program.equations))

    return replace(traced, forward=of(traced.forward), backward=of(traced.backward))


def _decided(expr: Expr, known: Mapping[Compare, bool]) -> Expr:
    """An expression with the answers of comparisons put in."""

    def visit(node: Expr) -> Expr | None:
        holds = known.get(node) if isinstance(node, Compare) else None
        return None if holds is None else ONE if holds else ZERO

    return rewrite(expr, visit)


def _told(side: Expr) -> str:
    """One side of a comparison for a sentence: 1e-12 rather than a fraction."""
    if isinstance(side, Number):
        text = f"{float(side.value):.12g}"
        return text if Fraction(text) == side.value else short(side)
    return short(side)


def _compared(expr: Expr) -> Iterator[Compare]:
    """Comparisons of what is computed with a constant."""
    for node in value_nodes(expr):
        if isinstance(node, Compare) and node.relation != "==":
            sides = [bool(mentioned(s)) for s in (node.left, node.right)]
            constant = node.right if sides[0] else node.left
            if any(sides) and isinstance(constant, Number):
                yield node


def _answers(comparisons: list[Compare], traced: Traced, question: Question) -> dict[Compare, bool]:
    """How comparisons come out, of those that come out alike for every entry at every point."""
    sampler = Sampler(question, random.Random(23))
    choices = [s for s in sampler.size_choices() if min(s.values(), default=2) >= 2][:3]
    lines = tuple(dict.fromkeys((*traced.forward.equations, *traced.backward.equations)))
    found: dict[Compare, set[bool]] = {c: set() for c in comparisons}
    seen = 0
    with np.errstate(all="ignore"):
        for k in range(DRAWN if choices else 0):
            open = {c: answers for c, answers in found.items() if len(answers) < BOTH}
            if not open:  # nor is any of them rare
                return {}
            bench = Vectors(sampler.point(choices[k % len(choices)]), beyond=0.0, guarded=True)
            try:
                bench.run(lines)
                for condition, answers in open.items():
                    places = tuple(sorted(free_indices(condition), key=lambda i: i.uid))
                    answers |= {bool(v) for v in np.unique(bench.over(condition, places) != 0)}
            except FAILURES:
                continue
            seen += 1
    return {c: next(iter(a)) for c, a in found.items() if len(a) == 1} if seen >= ENOUGH else {}


__all__ = ["RareBranch", "rare_branches", "without"]
