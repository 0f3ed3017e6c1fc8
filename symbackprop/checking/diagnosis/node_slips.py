"""Slips inside an expression: a sign, a factor or a term too many, a wrong exponent, threshold, number or size, indices
swapped, an assignment for an addition.

Each slip is a function of a node that yields what might have been meant.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from symbackprop.checking.diagnosis.vocabulary import Change, Vocabulary, Wording, inside_abs, short
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Number,
    Position,
    Power,
    Sum,
    Symbol,
    Where,
    add,
    close_sum,
    entries_once,
    free_indices,
    fresh,
    mentioned,
    multiply,
    negate,
    nodes_once,
    number,
    power,
    rewrite,
    substitute,
    where,
)
from symbackprop.expression.sizes import decide
from symbackprop.expression.sympy_bridge import slope


def terms(node: Expr, v: Vocabulary) -> Iterator[Change]:
    """A wrong sign of a term, a term too many, or the terms of all rounds where that of one belongs."""
    if isinstance(node, Add):
        alike: dict[Hashable, set[int]] = {}
        for k, term in enumerate(node.terms):
            alike.setdefault(v.key(term), set()).add(k)
        choices = [(key, ks) for key, ks in alike.items()]
        choices += [((key, n), {k}) for key, ks in alike.items() if len(ks) > 1 for n, k in enumerate(sorted(ks))]
        for key, ks in choices:
            kept = [t for k, t in enumerate(node.terms) if k not in ks]
            gone = [t for k, t in enumerate(node.terms) if k in ks]
            words = both(f"a sign is wrong: that of the term {v.text(gone[0])}")
            yield ("sign of a term", key), words, add(*kept, *(negate(t) for t in gone))
            words = extra(f"the term {v.text(gone[0])}") if mentioned(node) else _instead("size", node, add(*kept))
            yield ("term", key), words, add(*kept)
        for key, ks in alike.items():
            for n, k in enumerate(sorted(ks) if len(ks) > 1 else ()):
                only = add(*(t for j, t in enumerate(node.terms) if j == k or j not in ks))
                words = (
                    f"of the terms of all rounds only {v.text(node.terms[k])} belongs there",
                    f"the terms of the rounds are not added up: only {v.text(node.terms[k])} is there",
                )
                yield ("only", key, n), words, only


def _factors(node: Expr, v: Vocabulary) -> Iterator[Change]:
    if isinstance(node, Multiply):
        for k, factor in enumerate(node.factors):
            rest = (*node.factors[:k], *node.factors[k + 1 :])
            tag = ("factor", v.key(factor), sum(v.key(f) == v.key(factor) for f in node.factors[:k]))
            right, wrong = extra(f"the factor {v.text(factor)}")
            why = ": the sign is wrong" if factor is MINUS_ONE else ""
            yield tag, (right + why, wrong + why), multiply(*rest)
            for m in range(k + 1, len(node.factors)):
                second = node.factors[m]
                others = (*node.factors[:k], *node.factors[k + 1 : m], *node.factors[m + 1 :])
                words = (
                    f"the factors {v.text(factor)} and {v.text(second)} do not belong there",
                    f"the factors {v.text(factor)} and {v.text(second)} are missing",
                )
                yield ("factors", v.key(factor), v.key(second)), words, multiply(*others)
            if not isinstance(factor, Number):
                words = both(f"the factor {v.text(factor)} stands on the wrong side of a fraction")
                yield (*tag, "inverted"), words, multiply(*rest, power(factor, -1))


def _standing_alone(node: Expr, v: Vocabulary) -> Iterator[Change]:
    """p*(1 - p)*g for p*(g - sum(p*g)): the slope of a sigmoid where a softmax is."""
    factors = node.factors if isinstance(node, Multiply) else ()
    for p in factors:
        complement = add(ONE, negate(p))
        if isinstance(p, Number) or complement not in factors:
            continue
        g = multiply(*(f for f in factors if f is not p and f is not complement))
        for index in sorted(free_indices(p) & free_indices(g), key=lambda i: i.uid):
            running = fresh(index.name, index.size)
            total = close_sum(running, substitute(multiply(p, g), {index: running}))
            words = (
                f"{v.text(p)} is differentiated as if its entries stood alone: the sum over {index.name} is missing",
                f"the sum over {index.name} does not belong there",
            )
            yield ("alone", index.size), words, multiply(p, add(g, negate(total)))


def _backwards(node: Expr, v: Vocabulary) -> Iterator[Change]:
    """An axis is read from its other end."""
    if isinstance(node, Entry):
        for k, (index, size) in enumerate(zip(node.indices, node.tensor.shape, strict=True)):
            if isinstance(size, Number) and size.value > 1 and not isinstance(index, Index):
                other = add(size, MINUS_ONE, negate(index))
                turned = Entry(node.tensor, (*node.indices[:k], other, *node.indices[k + 1 :]))
                words = both(f"axis {k} of {v.called(node.tensor)} is read backwards")
                yield ("backwards", v.label(node.tensor), k), words, turned


def _unflipped(node: Expr, v: Vocabulary) -> Iterator[Change]:
    """A kernel that slides over something is read from its other end in a backward pass, and from the first in a
    forward pass: along all axes along which it slides, or along one of them."""
    factors = node.factors if isinstance(node, Multiply) else ()
    read = [f for f in factors if isinstance(f, Entry)]
    slides = {i for f in read for place in f.indices if not isinstance(place, Index) for i in free_indices(place)}
    for k, factor in enumerate(factors):
        if not isinstance(factor, Entry):
            continue
        pairs = enumerate(zip(factor.indices, factor.tensor.shape, strict=True))
        axes = {a: p for a, (p, n) in pairs if isinstance(p, Index) and p in slides and p.size is n}
        for chosen in [list(axes), *([a] for a in axes if len(axes) > 1)] if axes else []:
            table = {a: add(axes[a].size, MINUS_ONE, negate(axes[a])) for a in chosen}
            turned = Entry(factor.tensor, tuple(table.get(a, place) for a, place in enumerate(factor.indices)))
            told = f"{'axes' if len(chosen) > 1 else 'axis'} {' and '.join(map(str, chosen))}"
            words = (
                f"{v.called(factor.tensor)} must be read backwards along {told}: a kernel that slides is flipped",
                f"{v.called(factor.tensor)} is read backwards along {told}, where it slides forwards",
            )
            tag = ("unflipped", v.label(factor.tensor), *chosen)
            yield tag, words, multiply(*factors[:k], turned, *factors[k + 1 :])


def _complements(node: Expr, v: Vocabulary) -> Iterator[Change]:
    """1 - p for p; -p is a part of 1 - p, for which p belongs there."""
    factors = node.factors if isinstance(node, Multiply) and node.factors[:-1] != (MINUS_ONE,) else ()
    for k, factor in enumerate(factors):
        if isinstance(factor, Entry):
            other = add(ONE, negate(factor))
            words = stands(v.text(other), v.text(factor))
            yield ("complement", v.key(factor)), words, multiply(*factors[:k], other, *factors[k + 1 :])
        plain = add(ONE, *(negate(t) for t in factor.terms)) if isinstance(factor, Add) else factor
        if isinstance(factor, Add) and isinstance(plain, Entry):
            words = stands(v.text(plain), v.text(factor))
            yield ("complement", v.key(plain)), words, multiply(*factors[:k], plain, *factors[k + 1 :])


def exponents(node: Expr, v: Vocabulary) -> Iterator[Change]:
    """A wrong exponent."""
    if isinstance(node, Entry) and node.tensor.kind == "real":
        for other in (Fraction(2), Fraction(1, 2)):
            what = "squared" if other == 2 else "under a root"
            words = (f"{v.text(node)} is to be {what}", f"{v.text(node)} is not to be {what}")
            yield ("exponent", other), words, power(node, other)
    if isinstance(node, Power):
        for value in v.numbers:  # a small constant that keeps a quotient finite
            if 0 < abs(value) < 1:
                words = (
                    f"{v.text(number(value))} is to be added to {v.text(node.base)}",
                    f"{v.text(number(value))} is not to be added to {v.text(node.base)}",
                )
                yield ("shifted", value), words, power(add(node.base, number(value)), node.exponent)
    if isinstance(node, Power) and isinstance(node.exponent, Number):
        e = node.exponent.value
        for other in dict.fromkeys((e - 1, e + 1, e / 2, 2 * e, -e, e - 2, e + Fraction(1, 2), e - Fraction(1, 2))):
            if other not in (e, 0):
                words = _instead("exponent", node.exponent, number(other))
                if isinstance(node.base, Symbol) and abs(other - e) == 1 and e * other > 0:
                    words = _once_more(node.base, e, other)
                yield ("exponent", other), words, power(node.base, other)
    elif isinstance(node, Power):
        for step in (ONE, MINUS_ONE):
            other_exponent = add(node.exponent, step)
            words = _instead("exponent", node.exponent, other_exponent)
            yield ("exponent", step), words, power(node.base, other_exponent)


def _once_more(base: Symbol, old: Fraction, new: Fraction) -> Wording:
    """1/m for 1/m**2: one factor is too many."""
    factor = base.name if old > 0 else f"1/{base.name}"
    missing, much = f"a factor {factor} is missing", f"a factor {factor} is too many"
    return (missing, much) if abs(new) > abs(old) else (much, missing)


def _swapped(node: Expr, v: Vocabulary) -> Iterator[Change]:
    if isinstance(node, Entry):
        for k in range(len(node.indices)):
            for m in range(k + 1, len(node.indices)):
                if node.tensor.shape[k] is node.tensor.shape[m] and node.indices[k] is not node.indices[m]:
                    order = list(node.indices)
                    order[k], order[m] = order[m], order[k]
                    words = both(f"two indices of {v.called(node.tensor)} are swapped")
                    yield ("swapped", k, m), words, Entry(node.tensor, tuple(order))


def _thresholds(node: Expr, v: Vocabulary) -> Iterator[Change]:
    if isinstance(node, Compare):
        if node.relation != "==":
            relation: Literal["<", "<="] = "<" if node.relation == "<=" else "<="
            yield "strict", both("strict and loose comparison are confused"), Compare(relation, node.left, node.right)
            words = both("the comparison points the wrong way")
            yield "turned", words, Compare(node.relation, node.right, node.left)
        sides = (node.left, node.right) if node.relation != "==" else ()
        for k, side in enumerate(sides):
            if isinstance(side, Number):
                for other in dict.fromkeys((Fraction(0), -side.value, *v.numbers)):
                    if other != side.value:
                        words = _instead("threshold", side, number(other))
                        ends = (number(other), node.right) if k == 0 else (node.left, number(other))
                        yield ("threshold", other), words, Compare(node.relation, *ends)
        if node.relation != "==" and isinstance(node.right, Number) and node.right is not ZERO:
            words = (f"a tolerance, {v.text(node.right)}, takes the place of equality", "equality is wrong")
            inner = inside_abs(node.left) or node.left
            yield "tolerance", words, Compare("==", inner, ZERO)
    if isinstance(node, Where):
        inner, gates = _ungated(node)
        if len(gates) > 1:
            told = " or ".join(v.text(g) for g in gates)
            yield "bounds", (f"no 0 belongs where {told}", f"it is 0 where {told}, which is missing"), inner
        yield "branches", both("the branches are interchanged"), Where(node.condition, node.otherwise, node.then)
        condition = v.text(node.condition)
        then, otherwise = (not _needs_a_test(part) for part in (node.then, node.otherwise))
        if node.otherwise is ZERO:
            if then:
                yield "then", _nothing(f"not {condition}"), node.then
        else:
            if then:
                yield "then", _exception(f"not {condition}"), node.then
            yield "masked", _zero(f"not {condition}"), Where(node.condition, node.then, ZERO)
            if node.then is not ZERO:  # h[t - 1] where t = 0 is the last of all
                yield "nothing", _zero(condition), Where(node.condition, ZERO, node.otherwise)
        if otherwise:
            left_out = _nothing(condition) if node.then is ZERO else _exception(condition)
            yield "otherwise", left_out, node.otherwise


@lru_cache(maxsize=1024)  # each visit of a branch asks again
def _needs_a_test(branch: Expr) -> bool:
    """True if a branch reads at places that may lie outside of an array, so that it has no value everywhere."""
    places = (p for e in entries_once(branch) for p in zip(e.indices, e.tensor.shape, strict=True))
    return any(
        not (mentioned(i) or (decide("<=", ZERO, i) and decide("<", i, size)))
        for i, size in places
        if not isinstance(i, Index)
    )


def _ungated(node: Expr) -> tuple[Expr, list[Expr]]:
    """What a value is outside of all conditions under which it is 0, and these conditions."""
    gates: list[Expr] = []
    while isinstance(node, Where) and node.then is ZERO:
        gates.append(node.condition)
        node = node.otherwise
    return node, gates


def assignments(node: Where) -> Iterator[Change]:
    """An assignment that should add to what stands there."""
    words = ("an assignment overwrites what stands there already: += belongs there", "+= is wrong")
    chain = _accumulated(node)
    if chain is not None:
        yield "overwritten", words, chain
    total = _added_up(node)
    if total is not None:
        yield "overwritten by rounds", words, total
    for tag, gathered in _gathered(node):
        words = (
            "a place that is named more than once counts once: np.add.at belongs there",
            "every place is counted as often as it is named",
        )
        yield tag, words, gathered


def _accumulated(node: Expr) -> Expr | None:
    """Assignments to places one after another, added up: where(c, a, where(d, b, 0)) is where(c, a, 0) + ..."""
    terms, rest = [], node
    while isinstance(rest, Where):
        terms.append(Where(rest.condition, rest.then, ZERO))
        rest = rest.otherwise
    if len(terms) < 2 and rest is ZERO:
        return None
    return add(*terms, rest)


def _added_up(node: Where) -> Expr | None:
    """What the rounds of a loop write at places that overlap, added up, where only the last of them stays."""

    def meaning(inner: Expr) -> Expr | None:
        if not isinstance(inner, Sum) or not isinstance(inner.body, Where):
            return None
        next_round, gate = add(inner.index, ONE), inner.body.condition
        factors = gate.factors if isinstance(gate, Multiply) else (gate,)
        kept = [f for f in factors if not (isinstance(f, Add) and any(n is next_round for n in nodes_once(f)))]
        if len(kept) == len(factors):
            return None
        index = fresh(inner.index.name, inner.index.size)
        body = where(multiply(*kept), rewrite(inner.body.then, meaning), ZERO)
        return close_sum(index, substitute(body, {inner.index: index}))

    total = rewrite(node.then, meaning)
    if total is node.then:
        return None
    factors = node.condition.factors if isinstance(node.condition, Multiply) else (node.condition,)
    others = [f for f in factors if not (isinstance(f, Compare) and isinstance(f.right, Sum))]  # that any round writes
    return add(where(multiply(*others), total, ZERO), node.otherwise)


def _gathered(node: Where) -> Iterator[tuple[str, Expr]]:
    """An assignment at an array of places, of which the last one counts, with all of them added up."""
    last = next((p for p in nodes_once(node.then) if isinstance(p, Position) and p.kind == "max"), None)
    if last is None or not isinstance(last.body, Multiply):
        return
    gates = [f for f in last.body.factors if isinstance(f, Kronecker)]
    if gates:
        index, old = fresh(last.index.name, last.index.size), node.otherwise
        named = multiply(*(substitute(g, {last.index: index}) for g in gates))
        each = substitute(node.then, {last: index})
        if old is not ZERO:
            yield "added there", add(old, close_sum(index, multiply(named, add(each, negate(old)))))
        yield "added", add(old, close_sum(index, multiply(named, each)))


def constants(node: Expr, v: Vocabulary) -> Iterator[Change]:
    """A wrong number or size."""
    if isinstance(node, Number) and node.value:
        c = node.value
        near = (c + 1, c - 1, 2 * c, c / 2, -c, 1 / c, *(n for n in v.numbers if abs(n) not in (0, 1)))
        for other in dict.fromkeys(near):
            if other not in (c, 0):
                words = both("a sign is wrong") if other == -c else _instead("number", node, number(other))
                yield ("number", other), words, number(other)
    if isinstance(node, Symbol) and node.kind == "size":
        for value in (add(node, MINUS_ONE), add(node, ONE), *(s for s in v.sizes if s is not node), ONE):
            words = _instead("size", node, value)
            yield ("size", value), words, value
    if isinstance(node, Power) and node in v.plain:  # by the number of channels, where that of a group belongs
        for divisor in v.divisors:
            if divisor.exponent is node.exponent and divisor is not node:
                yield ("divisor", divisor), _instead("size", node.base, divisor.base), divisor


def _functions(node: Expr, v: Vocabulary) -> Iterator[Change]:
    if isinstance(node, Apply):
        name = node.function.name
        if len(node.arguments) == 1:
            yield "bare", (f"{name} does not belong there, only its argument", f"{name} is missing"), node.arguments[0]
            if node.function.primitive_of is not None:
                source = node.function.primitive_of[0]
                yield from _arguments(node, source.name, v)
                words = (f"{source.name} belongs there, not its slope", f"the slope of {source.name} belongs there")
                yield "function", words, Apply(source, node.arguments)
            else:
                prime = slope(node.function, 0, node.arguments)
                yield "slope", (f"the slope of {name} belongs there", f"{name} belongs there, not its slope"), prime


def _arguments(node: Apply, source: str, v: Vocabulary) -> Iterator[Change]:
    """A slope that is taken at the value of a function, and belongs at its argument."""
    (argument,) = node.arguments
    if isinstance(argument, Entry) and argument.tensor in v.arguments:
        tensor = v.arguments[argument.tensor]
        here, there = v.called(argument.tensor), v.called(tensor)
        words = (f"{source}' must be taken at {there}, not at {here}", f"{source}' is taken at {there}, not at {here}")
        yield "argument", words, Apply(node.function, (Entry(tensor, argument.indices),))


def reordered(node: Expr, v: Vocabulary) -> Iterator[Change]:
    """Axes split or merged in the order of another array of the same shape."""
    if isinstance(node, Entry) and not all(isinstance(i, Index) for i in node.indices):
        mine = sorted(set().union(*(free_indices(i) for i in node.indices)), key=lambda i: i.uid)
        for indices in v.layouts.get(node.tensor.shape, ()):
            theirs = sorted(set().union(*(free_indices(i) for i in indices)), key=lambda i: i.uid)
            left, table = list(mine), dict[Expr, Expr]()
            for i in theirs:
                fitting = [j for j in left if j.size is i.size]
                if fitting:
                    table[i] = fitting[0]
                    left.remove(fitting[0])
            if not left and len(table) == len(theirs):
                new = Entry(node.tensor, tuple(substitute(i, table) for i in indices))
                words = both(f"{v.called(node.tensor)} is reshaped with its axes in the wrong order")
                yield ("layout", tuple(map(v.key, indices))), words, new


SLIPS: tuple[Callable[[Expr, Vocabulary], Iterator[Change]], ...] = (
    terms,
    _standing_alone,
    _complements,
    _backwards, _unflipped, reordered, _factors, _swapped, exponents, _thresholds, constants, _functions,
)  # fmt: skip


def both(words: str) -> Wording:
    """What is wrong, whichever of the two is right."""
    return words, words


def stands(right: str, wrong: str) -> Wording:
    """One thing in the place of another."""
    return f"{right} belongs where {wrong} stands", f"{wrong} belongs where {right} stands"


def extra(what: str) -> Wording:
    """Something that should go."""
    return f"{what} does not belong there", f"{what} is missing"


def _instead(what: str, old: Expr, new: Expr) -> Wording:
    a, b = short(old), short(new)
    return f"the {what} {a} is wrong: {b} belongs there", f"the {what} {b} is wrong: {a} belongs there"


def _exception(condition: str) -> Wording:
    return f"no exception belongs where {condition}", f"it is an exception where {condition}, which is missing"


def _nothing(condition: str) -> Wording:
    return f"no 0 belongs where {condition}", f"0 belongs where {condition}"


def _zero(condition: str) -> Wording:
    return f"0 belongs where {condition}", f"it should not be 0 where {condition}"
