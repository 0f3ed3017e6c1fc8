"""What a round of a loop does to an entry, read off what it leaves there: adds to it, keeps the larger, sets it.

Nothing here knows of arrays: an entry is an expression of the number that it held before the round.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Number,
    Tensor,
    Where,
    add,
    multiply,
    nodes_once,
    rewrite,
    subtract,
    where,
)
from symbackprop.frontends.numpy.recurrences import (
    Scattered,
)
from symbackprop.frontends.numpy.session import (
    holds,
    is_so,
    value_of,
)

Extreme = Literal["max", "min"]

MOST_GATHERED = 500  # cases of what a round adds at places that may be one


def reads(node: Expr, tensor: Tensor) -> bool:
    """True for an entry of the tensor."""
    return isinstance(node, Entry) and node.tensor is tensor


def increment(value: Expr, old: Entry) -> Expr | None:
    """What is added to the old number, where something is; None else."""
    if value is old:
        return ZERO
    if not any(n is old for n in nodes_once(value)):
        return None
    if isinstance(value, Add):
        holding = [t for t in value.terms if any(n is old for n in nodes_once(t))]
        inner = increment(holding[0], old) if len(holding) == 1 else None
        return None if inner is None else add(*(t for t in value.terms if t is not holding[0]), inner)
    if isinstance(value, Where) and not any(n is old for n in nodes_once(value.condition)):
        then, other = increment(value.then, old), increment(value.otherwise, old)
        if then is None or other is None:
            return None
        more = _beyond(then, other)  # what is added at one place, and at another one, are two terms
        return where(value.condition, then, other) if more is None else add(other, where(value.condition, more, ZERO))
    return None


def gathered(value: Expr, old: Entry) -> Expr | None:
    """What a round adds to the old number at several places that may be one: out[t] += a, out[t - 1] += b.

    The second sum reads what the first one has left, at a place of another name: equal places are named alike where
    tests say that they are, and what tests around a test have told is not asked again.
    """
    return _gathered(value, old, {}, {}, itertools.count())


def _gathered(
    value: Expr, old: Entry, told: Mapping[Expr, Expr], equal: Mapping[Expr, Expr], steps: Iterator[int]
) -> Expr | None:
    """What is added, where tests have the values `told`, and places are those of the entry by the names `equal`."""
    if next(steps) > MOST_GATHERED:
        return None
    match value:
        case Where(condition, then, otherwise):
            if isinstance(condition, Where):
                first, second = (where(c, then, otherwise) for c in (condition.then, condition.otherwise))
                return _gathered(where(condition.condition, first, second), old, told, equal, steps)
            test = rewrite(condition, lambda n: told.get(n, _at_places(n, old, equal)))
            test = told.get(test, test)
            if isinstance(test, Number):
                return _gathered(then if test is ONE else otherwise, old, told, equal, steps)
            named = dict(_named(test, old))
            inside = {**told, **dict.fromkeys(_tests(test), ONE), **dict.fromkeys(_tests(condition), ONE)}
            more = _gathered(then, old, inside, {**equal, **named}, steps)
            less = _gathered(otherwise, old, {**told, test: ZERO, condition: ZERO}, equal, steps)
            return None if more is None or less is None else _in_two_cases(test, more, less)
        case Add(terms):
            holding = [t for t in terms if any(reads(n, old.tensor) for n in nodes_once(t))]
            inner = _gathered(holding[0], old, told, equal, steps) if len(holding) == 1 else None
            return None if inner is None else add(*(t for t in terms if t is not holding[0]), inner)
        case Entry(tensor, indices) if tensor is old.tensor:
            pairs = zip(old.indices, indices, strict=True)
            return ZERO if all(i is own or equal.get(i) is own for own, i in pairs) else None
    return None


def _named(test: Expr, old: Entry) -> Iterator[tuple[Expr, Expr]]:
    """(a place, the index of the entry that is equal to it) where a test holds."""
    for f in _tests(test):
        if isinstance(f, Kronecker):
            yield from ((p, i) for i, p in ((f.left, f.right), (f.right, f.left)) if i in old.indices)


def _at_places(node: Expr, old: Entry, equal: Mapping[Expr, Expr]) -> Expr | None:
    """Whether two places are equal, asked of the index that is equal to one of them."""
    if not isinstance(node, Kronecker) or any(i in old.indices for i in (node.left, node.right)):
        return None
    sides = ((node.left, node.right), (node.right, node.left))
    return next((holds("==", equal[place], other) for place, other in sides if place in equal), None)


def _in_two_cases(test: Expr, then: Expr, otherwise: Expr) -> Expr:
    """One value or another one, with the terms that they share beside, each as often as both have it."""
    first, second = (Counter(v.terms if isinstance(v, Add) else (v,)) for v in (then, otherwise))
    shared = first & second
    return add(*shared.elements(), where(test, *(add(*(terms - shared).elements()) for terms in (first, second))))


def added_to(value: Expr, old: Entry, found: Scattered, given: frozenset[Expr] = frozenset()) -> Expr | None:
    """What is added to the old numbers, where a round has read what it found at the places to which it adds.

    Args:
        given: tests that hold there.
    """
    if not isinstance(value, Where):
        return increment(value, old)
    tests = _tests(value.condition)
    pairs = [p for f in tests if isinstance(f, Kronecker) for p in ((f.left, f.right), (f.right, f.left))]
    there = {i: place for i, place in pairs if i in old.indices}
    read = found.found(tuple(there.get(i, i) for i in old.indices))
    inside = given.union(tests)
    known = value_of(value.then)
    while isinstance(known, Where) and inside.issuperset(_tests(known.condition)):
        known = known.then
    then = next((more for v in (value.then, known) if (more := _beyond(v, read)) is not None), None)
    then = added_to(value.then, old, found, inside) if then is None else then
    other = added_to(value.otherwise, old, found, given)
    return None if then is None or other is None else where(value.condition, then, other)


def _tests(condition: Expr) -> tuple[Expr, ...]:
    """The tests that must all hold."""
    return condition.factors if isinstance(condition, Multiply) else (condition,)


def cases(value: Expr, own: tuple[Index, ...]) -> Iterator[Expr]:
    """Terms that add up to a value: those of a sum, and cases that exclude each other."""
    match value:
        case Add(terms):
            for term in terms:
                yield from cases(term, own)
        case Where(condition, then, otherwise):
            inside, outside = list(cases(then, own)), list(cases(otherwise, own))
            if not any(isinstance(t, Where) for t in inside):
                inside = [t for t in (then,) if t is not ZERO]
            yield from (t for t in inside if t in outside)
            yield from (_guarded(condition, t) for t in inside if t not in outside)
            for term in outside:
                if isinstance(term, Where) and _exclude(condition, term.condition, own):
                    yield term
                elif term not in inside:
                    yield _guarded(subtract(ONE, condition), term)
        case _ if value is not ZERO:
            yield value


def _guarded(condition: Expr, term: Expr) -> Expr:
    """A term that is there under a condition alone."""
    if isinstance(term, Where) and term.otherwise is ZERO:
        return where(multiply(condition, term.condition), term.then, ZERO)
    return where(condition, term, ZERO)


def _exclude(condition: Expr, other: Expr, own: tuple[Index, ...]) -> bool:
    """Whether two conditions name different places along an axis."""
    named: list[dict[Expr, Expr]] = []
    for c in (condition, other):
        tests = [f for f in _tests(c) if isinstance(f, Kronecker)]
        named.append({i: p for f in tests for i, p in ((f.left, f.right), (f.right, f.left)) if i in own})
    return any(i in named[1] and is_so("==", p, named[1][i]) is False for i, p in named[0].items())


def _beyond(value: Expr, less: Expr) -> Expr | None:
    """What a sum has beside the terms of another one; None where it lacks one of them."""
    terms = list(value.terms) if isinstance(value, Add) else [value]
    for term in less.terms if isinstance(less, Add) else () if less is ZERO else (less,):
        if term not in terms:
            return None
        terms.remove(term)
    return add(*terms)


def as_running(value: Expr, old: Entry) -> tuple[Extreme, Expr] | None:
    """(max or min, what each round has) where a round keeps the larger, or the smaller, of that and the old number."""
    if not isinstance(value, Where) or not isinstance(value.condition, Compare) or value.condition.relation == "==":
        return None
    pair = {value.condition.left, value.condition.right}
    if old not in pair or {value.then, value.otherwise} != pair or len(pair) < 2:
        return None
    (new,) = pair - {old}
    if any(n is old for n in nodes_once(new)):
        return None
    return ("max" if value.then is value.condition.right else "min"), new


def as_latched(value: Expr, old: Entry) -> tuple[Expr, Expr] | None:
    """(the condition under which a round sets the number, what it is set to)."""
    if not isinstance(value, Where) or any(n is old for n in nodes_once(value.condition)):
        return None
    condition, then, other = value.condition, value.then, value.otherwise
    if then is old:
        condition, then, other = subtract(ONE, condition), other, then
    if other is old and not any(n is old for n in nodes_once(then)):
        return condition, then
    inner = as_latched(then, old) if other is old else None
    return None if inner is None else (multiply(condition, inner[0]), inner[1])
