"""The edits that people get wrong: proposals for what would make a claim right.

`cures` only proposes, cheapest first; "right if ..." is said by the caller, and only of an edit that it has proved. The
table knows the usual slips: sign, factor, 1/m, swapped index, missing or misplaced f', a neighbouring layer, a
dropped or spurious term, a missing sum.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from symbackprop.expression.build import (
    MINUS_ONE,
    Add,
    Apply,
    Entry,
    Expr,
    Index,
    Multiply,
    Sum,
    Tensor,
    add,
    apply,
    children,
    close_sum,
    entries,
    free_indices,
    fresh,
    multiply,
    number,
    power,
    rebuild,
    rewrite,
    substitute,
)
from symbackprop.expression.functions import derivative
from symbackprop.frontends.network import M, Network
from symbackprop.rendering.text import to_text


@dataclass(frozen=True)
class Cure:
    """An edit of a claim.

    Args:
        words: what is wrong, in words.
        value: the edited right side.
    """

    words: str
    value: Expr


def cures(left: Entry, claim: Expr, strays: tuple[Index, ...], network: Network) -> Iterator[Cure]:
    """Edited claims, the likeliest first; those whose indices do not fit are left out."""
    for cure in _sums(claim, strays):
        yield cure
        claim_with_sum = cure.value
        for factor in _factors(left, claim_with_sum, network):
            yield Cure(f"{cure.words}, and {factor.words}", factor.value)
    yield from _factors(left, claim, network)
    yield from _terms(left, claim, network)
    yield from _places(claim)
    yield from _arguments(claim)
    yield from _layers(claim, network)
    yield from _dropped(claim)
    for place in _places(claim):
        yield from (Cure(f"{place.words}, and {f.words}", f.value) for f in _factors(left, place.value, network))


def _sums(claim: Expr, strays: tuple[Index, ...]) -> Iterator[Cure]:
    if strays:
        value = claim
        for index in strays:
            bound = fresh(index.name, index.size)
            value = close_sum(bound, substitute(value, {index: bound}))
        yield Cure("missing sum over " + ", ".join(i.name for i in strays), value)


def _factors(left: Entry, claim: Expr, network: Network) -> Iterator[Cure]:
    """A factor too many or too few in front of everything."""
    yield Cure("wrong sign", multiply(MINUS_ONE, claim))
    yield Cure("missing factor 1/m: the cost is a mean over the m examples", multiply(power(M, -1), claim))
    yield Cure("factor 1/m too many", multiply(M, claim))
    yield Cure("missing factor 1/2", multiply(power(number(2), -1), claim))
    yield Cure("missing factor 2", multiply(number(2), claim))
    slope = _slope(left, network)
    if slope is not None:
        yield Cure("missing factor f'(z)", multiply(claim, slope))
        yield Cure("wrong sign and missing factor f'(z)", multiply(MINUS_ONE, claim, slope))
    factors = claim.factors if isinstance(claim, Multiply) else ()
    for k, factor in enumerate(factors):
        yield Cure(f"the factor {to_text(factor)} does not belong there", multiply(*factors[:k], *factors[k + 1 :]))


def _slope(left: Entry, network: Network) -> Expr | None:
    """f'(z) of the layer that the left side speaks of."""
    match = re.fullmatch(r"delta(\d+)|dJ_d[Wb](\d+)", left.tensor.name)
    if match is None:
        return None
    number_ = int(match[1]) if match[1] else int(match[2]) + 1
    function = network.layers[number_ - 1].function
    if function is None or match[1] is None:
        return None
    return apply(derivative(function), Entry(network.pre_activation(number_), left.indices))


def _terms(left: Entry, claim: Expr, network: Network) -> Iterator[Cure]:
    """One term of a sum wrong: sign, factor, missing or too many; and the derivative of a penalty."""
    terms = claim.terms if isinstance(claim, Add) else (claim,)
    scales = (
        ("wrong sign", MINUS_ONE),
        ("missing factor 1/m", power(M, -1)),
        ("factor 1/m too many", M),
        ("missing factor 1/2", power(number(2), -1)),
        ("missing factor 2", number(2)),
    )
    for k, term in enumerate(terms):
        others = (*terms[:k], *terms[k + 1 :])
        if others:
            yield Cure(f"term {k + 1} does not belong there", add(*others))
            for words, scale in scales:
                yield Cure(f"{words} in term {k + 1}", add(*others, multiply(scale, term)))
    weight = re.fullmatch(r"dJ_d(W\d+)", left.tensor.name)
    if weight and network.l2 is not None:
        entry = Entry(Tensor(weight[1], left.tensor.shape), left.indices)
        slope = multiply(number(2), network.l2, entry)
        yield Cure("missing derivative of the penalty", add(claim, slope))
        for scale in (MINUS_ONE, number(-2), power(number(-2), -1)):
            yield Cure("wrong factor in the derivative of the penalty", add(claim, multiply(scale, slope)))


def _everywhere(claim: Expr, edit: object) -> Iterator[tuple[Expr, Expr, Expr]]:
    """(old node, new node, whole claim with it) for every node that `edit` changes."""
    for k, child in enumerate(children(claim)):
        for old, new, changed in _everywhere(child, edit):
            parts = children(claim)
            yield old, new, rebuild(claim, (*parts[:k], changed, *parts[k + 1 :]))
    for new in edit(claim):  # type: ignore[operator]
        yield claim, new, new


def _places(claim: Expr) -> Iterator[Cure]:
    """Two indices of an entry swapped."""

    def swapped(node: Expr) -> Iterator[Expr]:
        if isinstance(node, Entry) and len(node.indices) == 2 and node.indices[0] is not node.indices[1]:
            yield Entry(node.tensor, node.indices[::-1])

    for old, _, changed in _everywhere(claim, swapped):
        assert isinstance(old, Entry)
        right = resized(changed)
        if fits(right):
            yield Cure(f"the indices of {old.tensor.name} are swapped", right)


def _arguments(claim: Expr) -> Iterator[Cure]:
    """f'(a) where f'(z) belongs."""

    def at_z(node: Expr) -> Iterator[Expr]:
        if isinstance(node, Apply) and node.function.primitive_of is not None and isinstance(node.arguments[0], Entry):
            entry = node.arguments[0]
            if entry.tensor.name[0] == "a":
                yield Apply(
                    node.function, (Entry(Tensor("z" + entry.tensor.name[1:], entry.tensor.shape), entry.indices),)
                )

    for _, _, changed in _everywhere(claim, at_z):
        yield Cure("f' must be taken at z, not at a", changed)


def _layers(claim: Expr, network: Network) -> Iterator[Cure]:
    """A tensor of a neighbouring layer."""
    by_name = {t.name: t for t in network.program.tensors} | {"a1": network.x}

    def neighbour(node: Expr) -> Iterator[Expr]:
        match = re.fullmatch(r"(delta|[Wza])(\d+)|(x)", node.tensor.name) if isinstance(node, Entry) else None
        if match is None or not isinstance(node, Entry):
            return
        stem, here = (match[1], int(match[2])) if match[1] else ("a", 1)
        for other in (here + 1, here - 1):
            source = by_name.get(f"{'z' if stem == 'delta' else stem}{other}")
            if source is not None:
                name = source.name if stem != "delta" else f"delta{other}"
                yield Entry(Tensor(name, source.shape), node.indices)

    for old, new, changed in _everywhere(claim, neighbour):
        assert isinstance(old, Entry) and isinstance(new, Entry)
        right = resized(changed)
        if fits(right):
            yield Cure(f"{new.tensor.name} belongs where {old.tensor.name} stands", right)


def _dropped(claim: Expr) -> Iterator[Cure]:
    """A factor inside that does not belong there."""

    def without(node: Expr) -> Iterator[Expr]:
        if isinstance(node, Multiply):
            for k in range(len(node.factors)):
                yield multiply(*node.factors[:k], *node.factors[k + 1 :])

    for old, new, changed in _everywhere(claim, without):
        assert isinstance(old, Multiply)
        kept = new.factors if isinstance(new, Multiply) else (new,)
        gone = next((f for f in old.factors if f not in kept), None)
        name = gone.tensor.name if isinstance(gone, Entry) else "a factor"
        yield Cure(f"{name} does not belong there", resized(changed))


def resized(expr: Expr) -> Expr:
    """Each sum over the axis at which its index stands now, where all its places agree."""

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Sum):
            return None
        sizes = {
            size
            for e in entries(node.body)
            for i, size in zip(e.indices, e.tensor.shape, strict=True)
            if i is node.index
        }
        size = sizes.pop() if len(sizes) == 1 else node.index.size
        if size is node.index.size:
            return Sum(node.index, resized(node.body))
        index = fresh(node.index.name, size)
        return Sum(index, resized(substitute(node.body, {node.index: index})))

    return rewrite(expr, visit)


def fits(expr: Expr) -> bool:
    """True if every plain index stands on an axis of its own size."""
    if isinstance(expr, Entry) and any(
        isinstance(i, Index) and i.size is not s for i, s in zip(expr.indices, expr.tensor.shape, strict=False)
    ):
        return False
    return all(fits(c) for c in children(expr))


__all__ = ["Cure", "cures", "fits", "free_indices"]
