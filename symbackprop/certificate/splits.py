"""How the indices of a certificate are written: the axes that a program takes apart, and sizes that are multiples.

Where a program reads x[k // W, k % W], the checker is told that indices of that size are W a + d; where an axis of
length 4*H has parts of length H, also that a is 0, 1, 2 or 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from symbackprop.expression.build import (
    ZERO,
    Compare,
    Expr,
    Index,
    Number,
    Quotient,
    Remainder,
    Symbol,
    add,
    entries_once,
    free_indices,
    multiply,
    negate,
    nodes_once,
    number,
    substitute,
    subtract,
)
from symbackprop.expression.equation import Equation
from symbackprop.expression.program import unused
from symbackprop.expression.sizes import Facts, decide, simplify

Split = tuple[Expr, str, Expr | None]
MOST_WRITTEN_OUT = 40


def multiples_of(domain: Iterable[Expr], taken: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The sizes that are assumed to be multiples: of what, and a name for how many times."""
    found: dict[str, tuple[str, str]] = {}
    for fact in domain:
        match fact:
            case Compare("==", Remainder(Symbol(name), Symbol() | Number() as q), Number(v)) if v == 0:
                text = q.name if isinstance(q, Symbol) else str(q.value)
                if name not in found and text not in found:
                    found[name] = text, unused(f"{name}_{text}", {*taken, *(m for _, m in found.values())})
    return found


def splits_of(equations: Iterable[Equation], domain: Iterable[Expr]) -> list[Split]:
    """How indices of some sizes are written: in order, each of a size that is there or was made by those before."""
    divisors, turns, compared = dict[Expr, set[Expr]](), dict[Expr, set[Expr]](), set[Quotient]()
    facts = Facts(tuple(domain))
    nodes = dict.fromkeys(n for e in equations for n in nodes_once(e.value))
    for node in nodes:
        match node:
            case Quotient(Index() as i, q) | Remainder(Index() as i, q):
                divisors.setdefault(simplify(i.size, facts), set()).add(simplify(q, facts))
            case Compare():
                compared |= {n for n in nodes_once(node) if isinstance(n, Quotient)}
                for i, turn in _turns(node):
                    size, turn = simplify(i.size, facts), simplify(turn, facts)
                    inside = decide("<", ZERO, turn, facts) and decide("<", turn, size, facts)
                    turns.setdefault(size, set()).update([turn] if inside else [])
    found: list[Split] = []
    for size, sizes in divisors.items():
        found += _digits(size, sizes, facts)
    for quotient in compared:
        match quotient:
            case Quotient(Index() as i, q):
                times = _ratio(simplify(i.size, facts), simplify(q, facts), facts)
                if isinstance(times, Number) and times.value <= MOST_WRITTEN_OUT and (times, "all", None) not in found:
                    found.append((times, "all", None))
    for size, places in turns.items():
        if size not in divisors and places:
            found += _parts(size, places, facts)
    return found


def _ratio(size: Expr, part: Expr, facts: Facts) -> Expr | None:
    """How many times a part goes into a size, if it does."""
    times = simplify(Quotient(size, part), facts)
    return times if simplify(subtract(multiply(part, times), size), facts) is ZERO else None


def _digits(size: Expr, divisors: set[Expr], facts: Facts) -> Iterator[Split]:
    """The size by the divisor that divides the others, and what is left by the rest."""
    left = {q for q in divisors if _ratio(size, q, facts) is not None and q is not size}
    first = next((q for q in left if all(_ratio(p, q, facts) is not None for p in left)), None)
    if first is not None:
        yield size, "by", first
        rest = {_ratio(q, first, facts) for q in left - {first}}
        yield from _digits(_ratio(size, first, facts) or size, {q for q in rest if q is not None}, facts)


def _parts(size: Expr, places: set[Expr], facts: Facts) -> Iterator[Split]:
    """The size by equal parts, if all places are multiples of one; a number written out."""
    if isinstance(size, Number):
        yield from [(size, "all", None)] if size.value <= MOST_WRITTEN_OUT else []
        return
    for part in places:
        times = _ratio(size, part, facts)
        few = isinstance(times, Number) and times.value <= MOST_WRITTEN_OUT
        if few and times is not None and all(_ratio(p, part, facts) is not None for p in places):
            yield size, "by", part
            yield times, "all", None
            return


def _turns(test: Compare) -> Iterator[tuple[Index, Expr]]:
    """The value from which on a comparison of an index with a size is another one."""
    gap = simplify(subtract(test.right, test.left))
    indices = free_indices(gap)
    if len(indices) != 1 or any(True for _ in entries_once(gap)):
        return
    (i,) = indices
    rest = simplify(substitute(gap, {i: ZERO}))
    slope = simplify(subtract(gap, rest))
    if test.relation in ("<", "<=") and slope is negate(i):  # i < rest, or i <= rest
        yield i, rest if test.relation == "<" else add(rest, number(1))
    if test.relation in ("<", "<=") and slope is i:  # -rest < i, or -rest <= i
        yield i, negate(rest) if test.relation == "<=" else subtract(number(1), rest)
