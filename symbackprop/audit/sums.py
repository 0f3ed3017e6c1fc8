r"""Sums and extrema as they are written: \sum_{j=1}^n, \sum_i without bounds, \max_k, sums over layers or times.

Main names: `collected`, `bound_names`.
"""

from __future__ import annotations

from dataclasses import replace

from symbackprop.audit.arrays import Array, NotRead, scalar
from symbackprop.audit.derivatives import Derivatives
from symbackprop.audit.lengths import Key
from symbackprop.audit.names import Layer
from symbackprop.audit.scope import SAMPLES, Letter, Scope
from symbackprop.audit.tree import (
    Big,
    Chain,
    Group,
    Node,
    Number,
    Product,
    Script,
    Scripts,
    Symbol,
    Terms,
    walk,
)
from symbackprop.expression.build import (
    ONE,
    Entry,
    Expr,
    Extremum,
    Index,
    Tensor,
    add,
    close_sum,
    fresh,
    multiply,
    subtract,
)
from symbackprop.normal_form.normal_form import Canonical


def collected(reader: Derivatives, node: Big, scope: Scope) -> Array:
    """The sum, or the largest or smallest value, over the letters below the sign."""
    if node.body is None:
        raise NotRead("a sum of nothing")
    if node.operator not in ("sum", "max", "min"):
        raise NotRead(f"the operator {node.operator} is not read")
    names, lower = bound_names(node)
    for name in names:
        if name in reader.env.habits.layer_letters and _numbers_layers(reader, name, node.body):
            return _sum_of_layers(reader, node, name, scope)
    body: Node = node.body
    inner = scope
    keys: list[tuple[str, Letter | None, Expr | None]] = []
    for name in names:
        samples, entries = _uses(reader, name, body, scope)
        key = ("sum", id(node), name, tuple(sorted((k, str(v)) for k, v in scope.layers.items())))
        origin = 1
        if samples:
            _bounded(reader, SAMPLES, node, scope)
            index = fresh(name, reader.lengths.size(SAMPLES))
            inner = replace(inner, samples={**inner.samples, name: index})
            if entries and name not in reader.free and name not in inner.letters:
                inner = replace(inner, letters={**inner.letters, name: Letter(index, SAMPLES)})
            elif entries:
                reader.conditions["the sum's index is another one than the free index of that name"] = None
            keys.append((name, None, index))
            continue
        origin = _origin(reader, lower, key)
        _bounded(reader, key, node, scope, origin)
        size = reader.lengths.size(key)
        index = fresh(name, add(size, ONE) if origin == 0 else size)
        letter = Letter(index, key, origin)
        inner = replace(inner, letters={**inner.letters, name: letter})
        keys.append((name, letter, index))
    value = reader.array(body, inner)
    indices = [k[2] for k in keys]
    condition = _exclusion(reader, node, inner)

    def at(*places: Expr) -> Expr:
        summand = value.at(*places)
        if condition is not None:
            summand = multiply(condition, summand)
        for index in reversed(indices):
            assert isinstance(index, Index)
            summand = _bound(node.operator, index, summand)
        return summand

    return Array(value.axes, at, value.row)


def _exclusion(reader: Derivatives, node: Big, scope: Scope) -> Expr | None:
    """k \\ne j below a sum: 0 where the two agree."""
    for low in node.lower:
        if isinstance(low, Chain) and len(low.members) == 2 and low.relations[0].sign == "≠":
            return subtract(ONE, reader.equal_indices(low.members[0], low.members[1], scope))
    return None


def bound_names(node: Big) -> tuple[list[str], Node | None]:
    """The letters that a sum binds, and where they start."""
    names: list[str] = []
    lower: Node | None = None
    for low in node.lower:
        match low:
            case Chain((Symbol(name), start), (relation,)) if relation.sign == "=":
                names.append(name)
                lower = start
            case Chain((Symbol(name), _), (relation,)) if relation.sign in ("∈", "≠"):
                names.append(name)
            case Symbol(name):
                names.append(name)
            case Group(_, _, items) if all(isinstance(i, Symbol) for i in items):
                names += [i.name for i in items if isinstance(i, Symbol)]
            case Product(factors) if all(isinstance(i, Symbol) for i in factors):
                names += [i.name for i in factors if isinstance(i, Symbol)]
            case Scripts(Symbol(name), None, None, primes) if primes:
                names.append(name + "'" * primes)
            case Scripts(Symbol(name), Script((Symbol(sub),)), None, 0):
                names.append(f"{name}_{sub}")
            case _:
                raise NotRead("the bounds of a sum are not understood")
    if not names:
        raise NotRead("a sum without an index")
    return names, lower


def _uses(reader: Derivatives, name: str, body: Node, scope: Scope) -> tuple[bool, bool]:
    """Whether a sum's letter counts examples in its body, and whether it stands for entries."""
    samples = entries = False
    for inner in walk(body):
        if not isinstance(inner, Scripts | Symbol):
            continue
        mention = reader.env.names.mention(inner)
        if mention is None:
            continue
        if mention.sample is not None and any(isinstance(s, Symbol) and s.name == name for s in walk(mention.sample)):
            samples = True
        entries |= any(isinstance(s, Symbol) and s.name == name for c in mention.components for s in walk(c))
    return samples, entries


def _origin(reader: Derivatives, lower: Node | None, key: Key) -> int:
    if isinstance(lower, Number):
        if lower.text == "0":
            return 0 if _zero_based(reader, key) else 1
        if lower.text == "1":
            return 1
        raise NotRead("a sum that starts elsewhere than at 0 or 1")
    if lower is not None and not isinstance(lower, Number):
        raise NotRead("a sum whose first index is no number")
    return reader.memory.get(("origin", key), 1)


def _zero_based(reader: Derivatives, key: Key) -> bool:
    return reader.memory.get(("origin", key), 0) == 0


def _bounded(reader: Derivatives, key: Key, node: Big, scope: Scope, origin: int = 1) -> None:
    """Join a sum's range with the length that its bound names."""
    upper = node.upper
    if upper is None:
        for low in node.lower:
            if isinstance(low, Chain) and low.relations and low.relations[0].sign == "∈":
                named = reader.length(low.members[1], scope)
                if named is not None:
                    reader.lengths.join(key, named)
        return
    starts_at_0 = any(
        isinstance(low, Chain) and isinstance(low.members[-1], Number) and low.members[-1].text == "0"
        for low in node.lower
    )
    match upper:
        case Terms((first, Number("1")), ("+", "-")) if starts_at_0:
            upper = first
        case Number(text) if text.isdigit():
            reader.lengths.fix(key, int(text))
            return
    named = reader.length(upper, scope)
    if named is not None:
        reader.lengths.join(key, named)


def _numbers_layers(reader: Derivatives, name: str, body: Node) -> bool:
    for inner in walk(body):
        mention = reader.env.names.mention(inner) if isinstance(inner, Scripts) else None
        if mention is not None and mention.layer is not None and mention.layer.base == name:
            return True
    return False


def _sum_of_layers(reader: Derivatives, node: Big, name: str, scope: Scope) -> Array:
    """A sum over all layers: a number of its own, of which each layer's part is known."""
    assert node.body is not None
    generic = Layer("\u00a7")
    value = reader.array(node.body, replace(scope, layers={**scope.layers, name: generic}))
    if value.rank:
        raise NotRead("a sum of arrays over layers")
    body = value.at()
    range_name = repr((node.lower, node.upper))
    for known_range, known, tensor in reader.known_sums:
        if known_range == range_name and Canonical().equal(known, body):
            return scalar(Entry(tensor))
    tensor = Tensor(f"sum over layers {len(reader.known_sums) + 1}")
    reader.known_sums.append((range_name, body, tensor))
    reader.layer_sums[tensor] = (node.body, name, scope)
    return scalar(Entry(tensor))


def _bound(operator: str, index: Index, body: Expr) -> Expr:
    """A sum, or the largest or smallest value, over an index."""
    if operator == "sum":
        return close_sum(index, body)
    return Extremum("max" if operator == "max" else "min", index, body)


__all__ = ["bound_names", "collected"]
