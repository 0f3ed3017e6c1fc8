"""Rules for indices in one term: Kronecker deltas, inequalities, ranges and indices that do not occur.

An index that a delta determines is solved for; an inequality for a bound index becomes a shorter range. A range never
depends on another index: sizes are not renamed, so such an inequality stays what it is.

A sum that runs backwards is turned: over i < N, f(N - 1 - i) is summed as f(i). Reversed slices, flipped kernels and
cumulative sums from the end read N - 1 - i; the way is kept in which an index runs the way of the entries that it
reads, and against the other side of the inequalities that it stands in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from symbackprop.expression.build import ZERO, Compare, Expr, Index, Number, Quotient, Remainder, number
from symbackprop.expression.sizes import Facts, decide
from symbackprop.normal_form.data import (
    ONE,
    UNIT,
    Atom,
    Factors,
    Mono,
    Poly,
    Rational,
    as_atom,
    as_constant,
    as_index,
    combine,
    constant,
    exact,
    magnitude,
    of_atom,
    of_index,
    scale,
    subtract,
)
from symbackprop.normal_form.rewriter import TermRules, Terms, between_indices, solve_for, spare

MOST_EDGES = 2  # steps at either end that are told one by one
MOST_BETWEEN = 4  # places between two inequalities that are brought together
MOST_WRITTEN_OUT = 8  # values of an index, beside recurrences


def contract_delta(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """Sum over a bound index by a Kronecker delta that carries it; the value must lie in the index's range."""
    for atom in factors:
        if atom.kind != "delta":
            continue
        (gap,) = atom.args
        solved = [(i, value) for i in bound if (value := solve_for(gap, i)) is not None]
        if solved:
            index, value = max(solved, key=lambda s: _eliminated_first(rules, s[0], s[1])) if solved[1:] else solved[0]
            rest = {a: e for a, e in factors.items() if a is not atom}
            remaining = tuple(i for i in bound if i is not index)
            terms = rules.substitute_factors(rest, remaining, {index: value})
            return rules.times(terms, rules.in_range(value, index.size))
        turned = _round_the_end(rules, gap, bound)
        if turned is not None:
            index, value, place = turned
            rest = {a: e for a, e in factors.items() if a is not atom}
            terms = rules.substitute_factors(rest, tuple(i for i in bound if i is not index), {index: value})
            return rules.times(terms, rules.in_range(place, index.size))
        split = _mixed_radix(rules, gap)
        if split is not None:
            rest = {a: e for a, e in factors.items() if a is not atom}
            return rules.times(rules.times([(1, rest, bound)], rules.delta(split[0])), rules.delta(split[1]))
        divided = _divided(rules, gap, bound)
        if divided is not None:
            index, value, remainder = divided
            rest = {a: e for a, e in factors.items() if a is not atom}
            remaining = tuple(i for i in bound if i is not index)
            terms = rules.substitute_factors(rest, remaining, {index: value})
            return rules.times(rules.times(terms, rules.in_range(value, index.size)), rules.delta(remainder))
    return None


def _round_the_end(rules: TermRules, gap: Poly, bound: tuple[Index, ...]) -> tuple[Index, Poly, Poly] | None:
    """(i, its value, p) if gap = 0 says (i + c) % M = p, or (c - i) % M = p, for a bound index i that runs through M:
    i is (p - c) % M, or (c - p) % M, where p is from 0 to M - 1, and nothing else is."""
    for index in bound:
        length = rules.size_of(index.size)
        own = of_index(index).terms[0][0]
        sign = dict(gap.terms).get(own, 0)
        if abs(sign) != 1 or not rules.decided(">", rules.size_expression(length)):
            continue
        for atom in dict.fromkeys(a for m, _ in gap.terms for a, _ in m.factors if a.kind == "quotient"):
            whole, by = atom.args
            slope = dict(whole.terms).get(own, 0)
            shift = combine([(1, whole), (-slope, of_index(index))])
            if by != length or abs(slope) != 1 or index in shift.free:
                continue
            digit = subtract(whole, rules.multiply(length, of_atom(atom)))
            place = combine([(1, digit), (-sign * slope, gap)])
            if index not in place.free:
                turned = combine([(slope, place), (-slope, shift)])
                value = rules.size_of(Remainder(rules.size_expression(turned), index.size))
                return index, value, place
    return None


def _divided(rules: TermRules, gap: Poly, bound: tuple[Index, ...]) -> tuple[Index, Poly, Poly] | None:
    """(i, its value, r) if gap = 0 says k*i = j + c for a bound index i and numbers k, c: that is where r = 0.

    i is j // k and a number, and r says which remainder j must have: the quotient is that of j, whatever c is. Or c is
    a digit below k. An index that a sum around this one runs through is solved for there, where that needs no division.
    """
    if any(i.uid > 0 and i not in bound and solve_for(gap, i) is not None for i in gap.free):
        return None
    for index in bound:
        own = of_index(index).terms[0][0]
        coefficient = dict(gap.terms).get(own, 0)
        rest = Poly.make({m: c for m, c in gap.terms if m is not own})
        if not isinstance(coefficient, int) or abs(coefficient) < 2:
            continue
        by, sign = abs(coefficient), -1 if coefficient > 0 else 1
        if index in rest.free:
            found = _low_digit(rules, index, by, scale(rest, sign))
            if found is None:
                continue
            return index, *found
        shift = sign * dict(rest.terms).get(UNIT, 0)
        whole = combine([(sign, rest), (-shift, ONE)])
        quotient = rules.size_of(Quotient(rules.size_expression(whole), number(by)))
        remainder = -shift % by
        value = combine([(1, quotient), (exact(Fraction(remainder + shift) / by), ONE)])
        return index, value, combine([(1, whole), (-by, quotient), (-remainder, ONE)])
    return None


def _low_digit(rules: TermRules, index: Index, by: int, value: Poly) -> tuple[Poly, Poly] | None:
    """(j // by, r) where by*i = j - d says it, for a d from 0 to by - 1 that depends on i: the place in a block i.

    r = 0 where d is the remainder of j.
    """
    digit = Poly.make({m: -c for m, c in value.terms if index in m.free})
    whole = combine([(1, value), (1, digit)])
    place, beyond = rules.size_expression(digit), rules.size_expression(combine([(1, digit), (-by, ONE)]))
    if not (rules.decided(">=", place) and rules.decided("<", beyond)):
        return None
    quotient = rules.size_of(Quotient(rules.size_expression(whole), number(by)))
    own = rules.substitute(digit, {index: quotient})
    return quotient, combine([(1, whole), (-by, quotient), (-1, own)])


def _eliminated_first(rules: TermRules, index: Index, value: Poly) -> tuple[bool, bool]:
    """Of several indices that a delta determines: one whose value is in range anyway, then one of a long axis.

    Where a window of 3 slides along an axis of length N, what is left is then a sum over the window, whoever wrote it.
    """
    return rules.in_range(value, index.size) is ONE, not isinstance(index.size, Number)


def _mixed_radix(rules: TermRules, gap: Poly) -> tuple[Poly, Poly] | None:
    """(a, b) if gap = E*a + b with -E < b < E, so that gap = 0 exactly where a = 0 and b = 0."""
    for mono, coefficient in gap.terms:
        indices = [a for a, e in mono.factors if a.kind != "symbol"]
        if len(indices) != 1 or len(mono.factors) + (magnitude(coefficient) != 1) < 2:
            continue
        unit = tuple(f for f in mono.factors if f[0].kind == "symbol")
        radix = Poly.make({Mono.make(unit): magnitude(coefficient)})
        quotient: dict[Mono, Rational] = {}
        rest: dict[Mono, Rational] = {}
        for m, c in gap.terms:
            others = tuple(f for f in m.factors if f not in unit)
            if len(others) + len(unit) == len(m.factors) and c % magnitude(coefficient) == 0 and (others or c == 0):
                quotient[Mono.make(others)] = exact(Fraction(c) / magnitude(coefficient))
            else:
                rest[m] = c
        b = Poly.make(rest)
        if not rest or b is gap:
            continue
        low, high = (
            rules.size_expression(combine([(1, b), (1, radix)])),
            rules.size_expression(combine([(1, radix), (-1, b)])),
        )
        if rules.decided(">", low) and rules.decided(">", high):
            return Poly.make(quotient), b
    return None


def use_delta_of_sizes(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """Where a delta speaks of sizes alone, say the places and comparisons beside it more shortly: [T = 1] f(T - 1) is
    [T = 1] f(0)."""
    for atom in factors:
        if atom.kind != "delta" or atom.free:
            continue
        (gap,) = atom.args
        shorter: dict[Atom, tuple[Poly, ...]] = {}
        for other in factors:
            if other is not atom and other.kind in ("delta", "nonneg", "entry"):
                args = tuple(_less_or_same(arg, gap) for arg in other.args)
                if args != other.args:
                    shorter[other] = args
        if shorter:
            terms: Terms = [(1, {a: e for a, e in factors.items() if a not in shorter}, bound)]
            taken = frozenset().union(*(a.free for a in factors))
            for other, args in shorter.items():
                changed = rules.rebuilt(other, args, lambda template: template)
                terms = rules.times(terms, rules.power(changed, factors[other]), taken)
            return terms
    return None


def _less_or_same(value: Poly, gap: Poly) -> Poly:
    """`value`, or what it is where gap = 0 if that has fewer terms."""
    ways = [combine([(1, value), (sign, gap)]) for sign in (1, -1)]
    least = min(ways, key=lambda way: len(way.terms))
    return least if len(least.terms) < len(value.terms) else value


def use_delta(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """Where a delta of free indices stands, write its other factors with one of the two equal indices.

    Two deltas that say different things of the same, i % 2 == 0 and i % 2 == 1, exclude each other.
    """
    deltas = [a for a in factors if a.kind == "delta"]
    for one, other in itertools.combinations(deltas, 2):
        apart = (as_constant(combine([(1, one.args[0]), (sign, other.args[0])])) for sign in (1, -1))
        if one.free == other.free and any(apart):
            return []
    for atom in sorted(deltas, key=lambda a: not between_indices(a.args[0])):  # the simplest equality first
        (gap,) = atom.args
        for index in sorted(gap.free - set(bound), key=lambda i: (i.name, i.uid), reverse=True):
            value = solve_for(gap, index)
            rest = {a: e for a, e in factors.items() if a is not atom}
            within = None if value is None else _block_of(value, bound)
            if within is not None:
                terms = _by_block(rules, rest, bound, index, *within)
                if terms is not None:
                    return rules.times(terms, rules.single(atom))
                break
            if value is not None and any(index in a.free for a in rest):
                terms = rules.substitute_factors(rest, bound, {index: value})
                return rules.times(terms, rules.single(atom))
            if value is not None:
                break
    return None


def _block_of(value: Poly, bound: tuple[Index, ...]) -> tuple[Index, Poly] | None:
    """(i, E) for the block i // E of a bound index."""
    atom = as_atom(value)
    if atom is None or atom.kind != "quotient":
        return None
    index = as_index(atom.args[0])
    return (index, atom.args[1]) if index in bound and index is not None and not atom.args[1].free else None


def _by_block(
    rules: TermRules, factors: Factors, bound: tuple[Index, ...], block: Index, index: Index, length: Poly
) -> Terms | None:
    """The product with i // E as the number of the block in which a delta says that i is; None if it reads none."""
    place = spare(rules.size_expression(length), {*bound, *(i for a in factors for i in a.free)})
    first = rules.multiply(length, of_index(block))
    others = tuple(i for i in bound if i is not index)
    terms: Terms = []
    for c, f, b in rules.substitute_factors(
        factors, (*others, place), {index: combine([(1, first), (1, of_index(place))])}
    ):
        inner = tuple(i for i in b if i is not place)
        back = rules.substitute_factors(f, inner, {place: subtract(of_index(index), first)})
        terms += [(c * d, g, (*e, index)) for d, g, e in back]
    return None if len(terms) == 1 and terms[0][0] == 1 and terms[0][1] == factors else terms


def one_of_equal_labels(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """Where a delta says that two labels are equal, the other factors are written with the one that depends on fewer
    bound indices: [p = q_i] f(q_i) = [p = q_i] f(p)."""
    for atom in factors:
        pair = _equal_labels(atom, bound) if atom.kind == "delta" else None
        if pair is None:
            continue
        kept, left = pair
        place = spare(number(0), frozenset().union(*(a.free for a in factors), bound))
        changed: dict[Atom, Rational] = {}
        for other, exponent in factors.items():
            args = other.args if other is atom else tuple(_with_place(arg, left, place) for arg in other.args)
            moved = other if args == other.args else Atom.make(other.kind, other.data, args)
            changed[moved] = changed.get(moved, 0) + exponent
        if changed.keys() != factors.keys():
            return rules.substitute_factors(changed, bound, {place: of_atom(kept)})
    return None


def _equal_labels(atom: Atom, bound: tuple[Index, ...]) -> tuple[Atom, Atom] | None:
    """(the one to keep, the other) of two entries that a delta says to be equal."""
    terms = atom.args[0].terms
    if len(terms) != 2 or terms[0][1] + terms[1][1] != 0:
        return None
    first, second = (as_atom(Poly.make({mono: 1})) for mono, _ in terms)
    if first is None or second is None or first.kind != "entry" or second.kind != "entry":
        return None
    depends = [len(a.free.intersection(bound)) for a in (first, second)]
    if depends[0] == depends[1]:  # both ways are alike, and neither is the form of all
        return None
    return (first, second) if depends[0] < depends[1] else (second, first)


def _with_place(value: Poly, atom: Atom, place: Index) -> Poly:
    """A value with an index in the place of an entry that it adds."""
    slope = dict(value.terms).get(Mono.make(((atom, 1),)), 0)
    return combine([(1, value), (-slope, of_atom(atom)), (slope, of_index(place))]) if slope else value


def decide_by_delta(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """An inequality that holds, or fails, once an index is replaced by what a delta says that it equals."""
    for atom, other in itertools.product(factors, factors):
        if atom.kind != "delta" or other.kind != "nonneg":
            continue
        for index in atom.args[0].free & other.free:
            value = solve_for(atom.args[0], index)
            if value is None:
                continue
            verdict = rules.nonneg(rules.substitute(other.args[0], {index: value}))
            if as_constant(verdict) is not None:
                return rules.times([(1, {a: e for a, e in factors.items() if a is not other}, bound)], verdict)
    return None


def at_edges(rules: TermRules, poly: Poly) -> Poly:
    """`poly` with what is said of first and last steps said in one way.

    Of free indices an inequality that holds at one or two values alone is written by equalities: [i <= 0] is [i = 0].
    Of two indices it is brought to one place, so that a sum over all earlier steps, and one over those up to this one,
    differ by a term: [i <= t] is [i < t] + [i = t].
    """
    terms: Terms = []
    for mono, coefficient in poly.terms:
        factors, bound = rules.open_mono(mono)
        if _excluded(rules, [a for a, _ in factors if a.kind == "delta"]):
            continue
        part: Terms = [(coefficient, dict(factors), bound)]
        for atom in dict(factors):
            if atom.kind == "nonneg" and atom.free and not (atom.free <= set(bound) and _is_plain(atom.args[0])):
                (value,) = atom.args
                within = atom.free.intersection(bound)
                equal = None if within and _is_plain(value) else _as_equality(rules, value)
                if equal is None and len(atom.free) > 1:
                    equal = _in_one_place(rules, value, within or atom.free)
                if equal is not None:
                    part = rules.times(
                        [(c, {a: e for a, e in f.items() if a is not atom}, b) for c, f, b in part], equal
                    )
        terms += part
    result = rules.collect(terms)
    return result if result == poly else at_edges(rules, result)  # a sum over one place leaves what it asks of it


def _excluded(rules: TermRules, deltas: list[Atom]) -> bool:
    """True if an index can have the place that one equality names only where another one does not hold: for i below
    T - 1, i = T - 2 and T = 1."""
    pinned = [(a, next(iter(a.free))) for a in deltas if len(a.free) == 1]
    about_sizes = [a.args[0] for a in deltas if not a.free]
    for atom, index in pinned if about_sizes else ():
        (value,) = atom.args
        slope = dict(value.terms).get(of_index(index).terms[0][0], 0)
        if abs(slope) != 1:
            continue
        place = rules.size_expression(combine([(1, of_index(index)), (-int(slope), value)]))
        inside = (Compare("<=", ZERO, place), Compare("<", place, index.size))
        facts = Facts((*rules.facts.domain, *inside), rules.facts.ranges)
        if any(decide("==", rules.size_expression(other), ZERO, facts) is False for other in about_sizes):
            return True
    return False


def _is_plain(value: Poly) -> bool:
    """True if indices stand in it by themselves, in no block i // 4."""
    return all(a.kind in ("index", "symbol") for m, _ in value.terms for a, _ in m.factors)


def _as_equality(rules: TermRules, value: Poly) -> Poly | None:
    """[value >= 0] by the few values at which it holds, where there are no more; `nonneg` keeps that one of two."""
    for most in range(1, MOST_EDGES + 1):
        if rules.decided(">=", rules.size_expression(combine([(-1, value), (most - 1, ONE)]))):
            return combine([(1, rules.delta(combine([(1, value), (-k, ONE)]))) for k in range(most)])
    return None


def _in_one_place(rules: TermRules, value: Poly, indices: frozenset[Index]) -> Poly | None:
    """[v + c >= 0] by [v >= 0] and the places between, for a small number c; [-v >= 0] by what it leaves."""
    offset = Fraction(dict(value.terms).get(UNIT, 0))
    if abs(offset) > MOST_BETWEEN or offset.denominator > 1:
        return None
    base = combine([(1, value), (-int(offset), ONE)])
    slopes = [c for i in sorted(indices, key=lambda i: i.name) for m, c in base.terms if m is of_index(i).terms[0][0]]
    slopes = slopes or [s for i in sorted(indices, key=lambda i: i.name) if (s := _sign(base, i))]  # of tiles, 4*i
    slopes = slopes or [c for i in sorted(indices, key=lambda i: i.name) if (c := _slope_of_block(base, i))]
    if slopes and slopes[0] < 0:
        opposite = combine([(-1, value), (-1, ONE)])
        return subtract(ONE, _in_one_place(rules, opposite, indices) or rules.nonneg(opposite))
    if not offset:
        return None
    sign, between = (1, range(1, int(offset) + 1)) if offset > 0 else (-1, range(int(offset) + 1, 1))
    return combine([(1, rules.nonneg(base)), *((sign, rules.delta(combine([(1, base), (k, ONE)]))) for k in between)])


def _slope_of_block(value: Poly, index: Index) -> Rational:
    """What the block of an index, i // 4, is multiplied with in an integer; 0 where it does not stand alone."""
    parts = ((as_atom(Poly.make({m: 1})), c) for m, c in value.terms)
    return next((c for a, c in parts if a is not None and a.kind == "quotient" and as_index(a.args[0]) is index), 0)


def by_either(rules: TermRules, poly: Poly) -> Poly:
    """`poly` with [a >= 0] [b >= 0] as [a >= 0] + [b >= 0] - 1 where one of them holds at every place.

    Both ends of a range are asked of one place in either way: a sum that is turned has them apart.
    """
    terms: Terms = []
    found = False
    for mono, coefficient in poly.terms:
        factors, bound = rules.open_mono(mono)
        pair = _one_holds(rules, [a for a, e in factors if a.kind == "nonneg" and e == 1])
        if pair is None:
            terms.append((coefficient, dict(factors), bound))
            continue
        found = True
        rest: Terms = [(coefficient, {a: e for a, e in factors if a not in pair}, bound)]
        terms += rules.times(rest, combine([*((1, of_atom(a)) for a in pair), (-1, ONE)]))
    return by_either(rules, rules.collect(terms)) if found else poly


def _one_holds(rules: TermRules, inequalities: list[Atom]) -> tuple[Atom, Atom] | None:
    """Two of some inequalities that are not both false anywhere: a + b is never below -1."""
    for one, other in itertools.combinations(inequalities, 2):
        both = combine([(1, one.args[0]), (1, other.args[0]), (1, ONE)])
        if not both.free and rules.decided(">=", rules.size_expression(both)):
            return one, other
    return None


def by_blocks(rules: TermRules, poly: Poly) -> Poly:
    """`poly` with the order of two places told by that of their blocks, and by theirs within one block.

    Where blocks of length E are told apart, [i <= j] is [i // E < j // E] + [i // E = j // E] [i <= j]: what tiles
    before have added up, and a tile up to a place, is what all places up to there add up.
    """
    opened = [(c, *rules.open_mono(m)) for m, c in poly.terms]
    lengths = dict.fromkeys(e for _, factors, _ in opened for a, _ in factors for e in _block_lengths(a))
    terms: Terms = []
    for coefficient, factors, bound in opened if lengths else ():
        part: Terms = [(coefficient, dict(factors), bound)]
        for atom, _ in factors:
            order = _order_of_places(atom)
            for length in lengths if order is not None else ():
                low, high = (rules.size_of(Quotient(i, rules.size_expression(length))) for i in order or ())
                gap = subtract(high, low)
                equal = rules.delta(gap)
                if not as_constant(gap) and not any(rules.single(a) == equal for a, _ in factors):
                    told = combine([(1, rules.nonneg(subtract(gap, ONE))), (1, rules.multiply(equal, of_atom(atom)))])
                    rest = [(c, {a: e for a, e in f.items() if a is not atom}, b) for c, f, b in part]
                    part = rules.times(rest, told)
                    break
        terms += part
    return rules.collect(terms) if terms else poly


def _block_lengths(atom: Atom) -> Iterator[Poly]:
    """The numbers by which indices are divided in what an indicator asks."""
    for place in atom.args if atom.kind in ("delta", "nonneg") else ():
        for mono, _ in place.terms:
            for part, _ in mono.factors:
                if (
                    part.kind == "quotient"
                    and as_index(part.args[0]) is not None
                    and (as_constant(part.args[1]) or 0) > 0
                ):
                    yield part.args[1]  # divided by less than 0, the order of blocks is the other one


def _order_of_places(atom: Atom) -> tuple[Index, Index] | None:
    """(i, j) if an atom is [i <= j]."""
    if atom.kind != "nonneg" or len(atom.args[0].terms) != 2:
        return None
    sides = {c: as_index(Poly.make({m: 1})) for m, c in atom.args[0].terms}
    low, high = sides.get(-1), sides.get(1)
    return None if low is None or high is None else (low, high)


def in_line(rules: TermRules, poly: Poly, tells: Callable[[Atom], bool] = lambda _: True) -> Poly:
    """`poly` with sums over shifted places, or over a few places less, as sums over one range and what that adds.

    sum(i < N - 1, f[i + 1]) is sum(i < N, f[i]) - f[0], whatever f is: also beyond its ends, where no tensor has
    entries, so that a value which is put there cancels.

    Args:
        tells: whether the places of an atom say how far a sum is shifted.
    """
    terms: Terms = []
    for mono, coefficient in poly.terms:
        factors, bound = rules.open_mono(mono)
        terms += [(coefficient * c, f, b) for c, f, b in _in_line(rules, dict(factors), bound, tells)]
    return rules.collect(terms)


def _in_line(rules: TermRules, factors: Factors, bound: tuple[Index, ...], tells: Callable[[Atom], bool]) -> Terms:
    for index in bound:
        size = rules.size_of(index.size)
        more, shift = dict(size.terms).get(UNIT, 0), _farthest_place([a for a in factors if tells(a)], index)
        base = combine([(1, size), (-more, ONE)])
        if (
            not (more or shift)
            or not base.terms
            or not isinstance(more, int)
            or max(abs(more), abs(shift)) > MOST_EDGES
        ):
            continue
        others = tuple(i for i in bound if i is not index)
        own = spare(rules.size_expression(base), {*bound, *(i for a in factors for i in a.free)})

        def at(place: Poly, others: tuple[Index, ...] = others, index: Index = index) -> Terms:
            return rules.substitute_factors(factors, others, {index: place})

        terms = rules.substitute_factors(factors, (*others, own), {index: subtract(of_index(own), constant(shift))})
        # from `shift` to `size + shift`, instead of from 0 to `base`
        for end, count, sign in ((constant(0), shift, -1), (base, more + shift, 1)):
            for k in range(min(count, 0), max(count, 0)):
                edge = at(combine([(1, end), (k - shift, ONE)]))
                terms = [*terms, *((c * sign * (1 if count > 0 else -1), f, b) for c, f, b in edge)]
        if not others:
            return terms
        return [(c * d, g, e) for c, f, b in terms for d, g, e in _in_line(rules, dict(f), b, tells)]
    return [(1, factors, bound)]


def entry_by_entry(rules: TermRules, poly: Poly) -> Poly:
    """`poly` with its sums over a few values written out: a window beside the places that it covers."""
    terms: Terms = []
    for mono, coefficient in poly.terms:
        factors, bound = rules.open_mono(mono)
        terms += [(coefficient * c, f, b) for c, f, b in _entry_by_entry(rules, dict(factors), bound)]
    return rules.collect(terms)


def _entry_by_entry(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms:
    index = next((i for i in bound if isinstance(i.size, Number) and i.size.value <= MOST_WRITTEN_OUT), None)
    if index is None:
        return [(1, factors, bound)]
    others = tuple(i for i in bound if i is not index)
    terms: Terms = []
    for k in range(int(index.size.value)):  # type: ignore[attr-defined]
        for c, f, b in rules.substitute_factors(factors, others, {index: constant(k)}):
            terms += [(c * d, g, e) for d, g, e in _entry_by_entry(rules, dict(f), b)]
    return terms


def _farthest_place(factors: Iterable[Atom], index: Index) -> int:
    """k, if i + k is the last place that is read beside a bound index i, and nothing is read at other distances."""
    own = of_index(index)
    gaps = [
        as_constant(subtract(a, own))
        for atom in factors
        if atom.kind not in ("delta", "nonneg")
        for a in atom.args
        if index in a.free
    ]
    known = [int(g) for g in gaps if g is not None and Fraction(g).denominator == 1]
    return max(known, default=0)


def joined_complements(rules: TermRules, index: Index, body: Poly) -> dict[Mono, Rational]:
    """The terms of a body that is about to be summed, with f - [v]*f as [not v]*f where that shortens the range.

    Of v and its complement the normal form keeps one, whichever way round the code has it. Summed term by term,
    f - [v]*f would split into a sum over the whole range, with entries that the code never reads, and one over the
    rest.
    """
    terms, pending = dict(body.terms), [m for m, _ in body.terms]
    while pending:
        mono = pending.pop()
        found = _complement(rules, index, mono, terms)
        if found is not None:
            whole, joined = found
            coefficient = terms.pop(whole)
            del terms[mono]
            terms[joined] = exact(terms.get(joined, 0) + coefficient)
            pending.append(joined)
    return terms


def _complement(rules: TermRules, index: Index, mono: Mono, terms: dict[Mono, Rational]) -> tuple[Mono, Mono] | None:
    """(f, [not v]*f) if `mono` is [v]*f and the terms hold c*f - c*[v]*f; f may hold [u], which [v] implies."""
    for atom, _ in mono.factors:
        if atom.kind == "nonneg" and index in atom.free and mono in terms:
            rest = tuple(f for f in mono.factors if f[0] is not atom)
            opposite = combine([(-1, atom.args[0]), (-1, ONE)])
            shorter = [rest] if _shortens(rules, opposite, index) else []
            shorter += [
                tuple(sorted((*rest, (u, 1)), key=lambda f: f[0].id)) for u in _begins(rules, index, atom, terms)
            ]
            for factors in shorter:
                whole = Mono.make(factors, mono.bound)
                if terms.get(whole) == -terms[mono]:
                    indicator = Atom.make("nonneg", None, (opposite,))
                    joined = tuple(sorted((*factors, (indicator, 1)), key=lambda f: f[0].id))
                    return whole, Mono.make(joined, mono.bound)
    return None


def _begins(rules: TermRules, index: Index, end: Atom, terms: dict[Mono, Rational]) -> list[Atom]:
    """The atoms [u] of which [u] - [end] is 1 in a window of a plainer length than that of a bound index."""
    atoms = {a: None for m in terms for a, _ in m.factors if a.kind == "nonneg" and a is not end}
    found = []
    for atom in atoms:
        length = subtract(atom.args[0], end.args[0])
        if length.free or not rules.decided(">", rules.size_expression(length)):
            continue
        if _plainness(rules, rules.size_expression(length)) < _plainness(rules, index.size):
            found.append(atom)
    return found


def _shortens(rules: TermRules, value: Poly, index: Index) -> bool:
    new = _shorter(rules, value, index)
    return new is not None and not new[0].free


def narrow_range(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """An inequality for a bound index becomes a shorter range; one that another implies is dropped."""
    inequalities = [a for a in factors if a.kind == "nonneg"]
    for atom in inequalities:
        rest = {a: e for a, e in factors.items() if a is not atom}
        for index in bound:
            new = _shorter(rules, atom.args[0], index)
            if new is not None:
                length, shift = new
                others = tuple(i for i in bound if i is not index)
                if not any(index in a.free for a in rest):
                    return rules.times([(1, rest, others)], length)
                if length.free:
                    continue  # a range that depends on an index stays an inequality: sizes are never renamed
                fresh_index = spare(rules.size_expression(length), {*bound, *(i for a in factors for i in a.free)})
                remaining = (*others, fresh_index)
                return rules.substitute_factors(
                    rest, remaining, {index: combine([(1, of_index(fresh_index)), (1, shift)])}
                )
        for other in inequalities:
            if other is not atom and rules.decided(">=", rules.size_expression(subtract(atom.args[0], other.args[0]))):
                return [(1, rest, bound)]
            both = combine([(1, atom.args[0]), (1, other.args[0])])
            if other is not atom and rules.decided("<", rules.size_expression(both)):
                return []
    return None


def name_block(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """0 <= p - E*k < E says which block of length E an index is in: k = p // E."""
    inequalities = [a for a in factors if a.kind == "nonneg"]
    for above, below in itertools.permutations(inequalities, 2):
        length = combine([(1, above.args[0]), (1, below.args[0]), (1, ONE)])
        if length.free or length is ONE or not rules.decided(">", rules.size_expression(length)):
            continue
        block = rules.digit(above.args[0], length)
        if block is not None:
            rest = {a: e for a, e in factors.items() if a not in (above, below)}
            return rules.times([(1, rest, bound)], block)
    return None


def in_first_block(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """x // E is 0 where inequalities say 0 <= x < E: where a window is laid back, they say it and no range does."""
    told = [a.args[0] for a in factors if a.kind == "nonneg"]
    read = {a for f in factors if f.kind == "entry" for arg in f.args for m, _ in arg.terms for a, _ in m.factors}
    for atom in (a for a in read if a.kind == "quotient" and a.free):
        value, size = atom.args[0], rules.size_expression(atom.args[1])
        below = combine([(1, atom.args[1]), (-1, ONE), (-1, value)])
        if not all(
            rules.decided(">=", rules.size_expression(least))
            or any(rules.decided(">=", rules.size_expression(subtract(least, known))) for known in told)
            for least in (value, below)
        ):
            continue
        place = spare(size, {*bound, *(i for a in factors for i in a.free)})
        gap = subtract(of_index(place), value)
        index = next((i for i in sorted(value.free, key=lambda i: (i.name, i.uid)) if solve_for(gap, i)), None)
        if index is None:
            continue
        solved = solve_for(gap, index)
        assert solved is not None
        others = tuple(i for i in bound if i is not index)
        terms: Terms = []
        for c, f, b in rules.substitute_factors(factors, (*others, place), {index: solved}):
            inner = tuple(i for i in b if i is not place)
            terms += [(c * d, g, e) for d, g, e in rules.substitute_factors(f, inner, {place: value})]
        terms = [(c, f, (*b, *(i for i in bound if i is index))) for c, f, b in terms]
        return rules.times(rules.times(terms, rules.nonneg(value)), rules.nonneg(below))
    return None


def slide_window(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """A sum over a long axis within 0 <= c - i < L, for a short L, is a sum over the window: i = c - k with k < L."""
    inequalities = [a for a in factors if a.kind == "nonneg"]
    for above, below in itertools.permutations(inequalities, 2):
        last = combine([(1, above.args[0]), (1, below.args[0])])  # (c - i) + (i - c + L - 1)
        if last.free or not rules.decided(">=", rules.size_expression(last)):
            continue
        length = rules.size_expression(combine([(1, last), (1, ONE)]))
        for index in bound:
            value = solve_for(above.args[0], index)
            rising = solve_for(below.args[0], index)
            if value is None or rising is None or dict(above.args[0].terms)[of_index(index).terms[0][0]] != -1:
                continue
            if _plainness(rules, length) >= _plainness(rules, index.size):
                continue
            step = spare(length, {*bound, *(i for a in factors for i in a.free)})
            place = subtract(value, of_index(step))
            rest = {a: e for a, e in factors.items() if a not in (above, below)}
            remaining = (*(i for i in bound if i is not index), step)
            terms = rules.substitute_factors(rest, remaining, {index: place})
            return rules.times(terms, rules.in_range(place, index.size))
    return None


def _plainness(rules: TermRules, size: Expr) -> tuple[bool, int]:
    """A number before a symbol before a sum: windows are written with the plainer of two lengths."""
    return not isinstance(size, Number), len(rules.size_of(size).terms)


def _shorter(rules: TermRules, value: Poly, index: Index) -> tuple[Poly, Poly] | None:
    """(length, shift) of the range that value >= 0 leaves to the index, if it is a proved part of the old one."""
    bound = solve_for(value, index)
    if bound is None:
        return None
    rising = dict(value.terms)[of_index(index).terms[0][0]] == 1
    size = rules.size_of(index.size)
    inside = bound if rising else combine([(1, bound), (1, ONE)])
    low, high = rules.size_expression(inside), rules.size_expression(subtract(size, inside))
    if not (rules.decided(">=", low) and rules.decided(">=", high)):
        return None
    return (subtract(size, inside), inside) if rising else (inside, constant(0))


def unused_index(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """A sum over an index that does not occur is a factor: the size of its axis."""
    for index in bound:
        if not any(index in a.free for a in factors):
            remaining = tuple(i for i in bound if i is not index)
            return rules.times([(1, factors, remaining)], rules.size_of(index.size))
    return None


def first_value(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """A sum over N + 1 values is its first term and a sum over N; one over a single value is its only term."""
    for index in bound:
        size = rules.size_of(index.size)
        if dict(size.terms).get(UNIT, 0) < 1 or any(c < 0 for _, c in size.terms):
            continue
        rest = subtract(size, ONE)
        if as_constant(rest):
            continue  # a sum over three values stays a sum
        others = tuple(i for i in bound if i is not index)
        terms = rules.substitute_factors(factors, others, {index: constant(0)})
        if rest.terms:
            shorter = spare(rules.size_expression(rest), {*bound, *(i for a in factors for i in a.free)})
            following = combine([(1, of_index(shorter)), (1, ONE)])
            terms += rules.substitute_factors(factors, (*others, shorter), {index: following})
        return terms
    return None


_ALIGNMENTS: dict[tuple[Atom | Poly, Index], int] = {}


def reflect(rules: TermRules, factors: Factors, bound: tuple[Index, ...]) -> Terms | None:
    """A bound index that runs backwards more often than forwards is reflected.

    If it is as often the one as the other, the first tensor that tells decides. A reflection turns all signs, so no
    index is reflected twice, and the sum of all alignments never falls: the rule comes to an end.
    """
    for index in bound:
        if (sum(alignment(atom, index) for atom in factors) or _of_first_tensor(factors, index)) < 0:
            fresh = spare(index.size, {*bound, *(i for a in factors for i in a.free)})
            mirrored = combine([(1, rules.size_of(index.size)), (-1, ONE), (-1, of_index(fresh))])
            others = tuple(i for i in bound if i is not index)
            return rules.substitute_factors(factors, (*others, fresh), {index: mirrored})
    return None


def _of_first_tensor(factors: Factors, index: Index) -> int:
    """The alignment in the entries of one tensor, the first by name in which the index has one."""
    totals: dict[str, int] = {}
    for atom in factors:
        if atom.kind == "entry":
            totals[atom.data.name] = totals.get(atom.data.name, 0) + alignment(atom, index)
    return next((totals[name] for name in sorted(totals) if totals[name]), 0)


def alignment(atom: Atom, index: Index) -> int:
    """Above 0 if the index runs forwards in the atom, below 0 if it runs backwards, 0 if neither can be said."""
    if index not in atom.free:
        return 0
    if (atom, index) not in _ALIGNMENTS:
        _ALIGNMENTS[atom, index] = _alignment(atom, index)
    return _ALIGNMENTS[atom, index]


def _alignment(atom: Atom, index: Index) -> int:
    if atom.kind in ("delta", "nonneg"):
        (gap,) = atom.args
        own = _sign(gap, index)
        return _of_labels(gap, index) - own * sum(_sign(gap, other) for other in gap.free if other is not index)
    if atom.kind == "entry":
        return sum(_sign(a, index) + _of_labels(a, index) for a in atom.args)
    signs = {k: _sign(a, index) for k, a in enumerate(atom.args)}
    templates = [t for t in (atom.data if isinstance(atom.data, tuple) else ()) if isinstance(t, Poly)]
    templates += [t for group in _groups(atom) for t in group if isinstance(t, Poly)]
    return sum(sign * _within(t, f"p{k}") for k, sign in signs.items() if sign for t in templates)


def _of_labels(place: Poly, index: Index) -> int:
    """The alignment in the labels of which a place is made: y[i] in [k = y[i]] or w[y[i]]."""
    return sum(alignment(a, index) for m, _ in place.terms for a, _ in m.factors if a.kind == "entry")


def _groups(atom: Atom) -> list[tuple[object, ...]]:
    """The tuples inside the data of an atom: the templates of a function's arguments."""
    return [part for part in atom.data if isinstance(part, tuple)] if isinstance(atom.data, tuple) else []


def _within(template: Poly, name: str) -> int:
    """The way in which a parameter runs in a template, as -1, 0 or 1."""
    parameter = next((i for i in template.free if i.name == name), None)
    if parameter is None:
        return 0
    if (template, parameter) not in _ALIGNMENTS:
        total = sum(alignment(atom, parameter) for mono, _ in template.terms for atom, _ in mono.factors)
        _ALIGNMENTS[template, parameter] = (total > 0) - (total < 0)
    return _ALIGNMENTS[template, parameter]


def _sign(poly: Poly, index: Index) -> int:
    """The sign with which the index stands in an integer polynomial, on its own or times a size.

    0 inside a label, an indicator or a quotient: a reflection does not turn the sign of what stands around those.
    """
    own = [(m, c) for m, c in poly.terms if index in m.free]
    if any(a.kind != "index" and index in a.free for m, _ in own for a, _ in m.factors):
        return 0
    signs = {1 if c > 0 else -1 for _, c in own}
    return signs.pop() if len(signs) == 1 else 0
