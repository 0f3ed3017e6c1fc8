r"""What names mean: a decorated letter as an array over the entries of a tensor, at its layer and example.

    W^{(l)}_{ij} is an entry of the tensor W at layer l; i and j are places on its two axes

Main name: `Quantities`. What the document makes of a quantity is said by `equations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symbackprop.audit.arrays import Algebra, Array, Axis, Misfit, NotRead
from symbackprop.audit.definitions import Environment
from symbackprop.audit.lengths import Key, Lengths
from symbackprop.audit.names import Layer, Mention, layer_of
from symbackprop.audit.scope import SAMPLES, Facts, Instance, Letter, Reading, Scope
from symbackprop.audit.tree import (
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
    Index,
    Tensor,
    add,
    close_sum,
    fresh,
    kronecker,
    multiply,
    negate,
    number,
    subtract,
)


class Quantities:
    """The quantities of one document, as the formulas name them.

    Args:
        lengths: joined as the formulas demand; what was made before the last join is to be made again.
        memory: what earlier passes found out: origins of indices.
    """

    def __init__(
        self, env: Environment, facts: Facts, lengths: Lengths, reading: Reading, memory: dict[Key, int]
    ) -> None:
        self.env, self.facts, self.lengths, self.reading, self.memory = env, facts, lengths, reading, memory
        self.algebra = Algebra(lengths, elementwise=reading.elementwise, rows=reading.rows)
        self.instances: dict[Tensor, Instance] = {}
        self.spoken: dict[Tensor, None] = {}
        self.conditions: dict[str, None] = {}
        self.free: dict[str, Letter] = {}
        self.free_samples: dict[str, Expr] = {}
        self.guards: list[tuple[Expr, Axis]] = []
        self.inside: tuple[Expr, ...] = ()  # 1 where what is claimed is about entries that there are, in its cases
        self.settled = True

    def tensor(self, instance: Instance, spoken: bool = True) -> Tensor:
        """The tensor of a family at a layer; `spoken` where a formula names it."""
        axes = self.axes(instance)
        name = instance.family + (f"^({instance.layer})" if instance.layer is not None else "")
        name += " each" if instance.lifted else ""
        found = Tensor(name, tuple(a.size(self.lengths) for a in axes))
        self.instances[found] = instance
        if spoken:
            self.spoken[found] = None
        return found

    def axes(self, instance: Instance) -> tuple[Axis, ...]:
        """The axes of a family at a layer."""
        own = tuple(
            Axis(("axis", instance.family, k, instance.layer), 0 if (instance.family, k) in self.facts.zeros else 1)
            for k in range(self.rank(instance.family))
        )
        return (Axis(SAMPLES), *own) if instance.lifted else own

    def rank(self, family: str) -> int:
        """How many axes an entry of the family needs, the example aside."""
        return self.facts.ranks.get(family, 0)

    def layer(self, layer: Layer | None, scope: Scope) -> Layer | None:
        """A layer's number where its letter stands for another."""
        if layer is None or layer.base not in scope.layers:
            return layer
        return scope.layers[layer.base].shifted(layer.offset)

    def quantity(self, mention: Mention, scope: Scope) -> Array:
        """The array that a decorated letter names, entries put in; transposes and powers are the caller's."""
        family = self.facts.aliases.get(mention.family, mention.family)
        layer = self.layer(mention.layer, scope)
        if mention.family in self.facts.stacks:
            return self._stack(self.facts.stacks[mention.family], layer, mention, scope)
        sample = self._sample(mention, family, scope)
        lifted = sample is not None
        stacked = not lifted and scope.stacked and family in self.facts.per_sample and mention.sample is None
        instance = Instance(family, layer, lifted or stacked)
        tensor = self.tensor(instance)
        axes = self.axes(instance)
        if lifted:
            assert sample is not None
            whole = Array(axes[1:], lambda *places: Entry(tensor, (sample, *places)), self.reading.rows)
        else:
            whole = Array(axes, lambda *places: Entry(tensor, places), self.reading.rows)
        if stacked and self.facts.columns and whole.rank == 2:
            whole = self.algebra.transposed(whole)
        if stacked and whole.rank == 1:
            whole = replace(whole, row=self.facts.columns)
        implied = self.facts.implicit.get(family, ())
        items: tuple[Node, ...] = mention.components
        if items and family not in self.facts.ones and self._entry_by_itself(family, items):
            raise NotRead(f"single entries of {family} have definitions of their own")
        if (
            not items
            and implied
            and len(implied) == whole.rank
            and all(i in scope.letters or scope.claim for i in implied)
        ):
            items = tuple(Symbol(i) for i in implied)
        found = self.entry(whole, items, scope) if items else whole
        if family in self.env.indexed_vectors and found.rank == 1 and items:
            found = replace(found, row=self.reading.rows)
        return found

    def _entry_by_itself(self, family: str, items: tuple[Node, ...]) -> bool:
        return any(d.of_one_entry and d.head.mention.components == items for d in self.env.definitions.get(family, ()))

    def _stack(self, family: str, layer: Layer | None, mention: Mention, scope: Scope) -> Array:
        """All examples of a quantity as a matrix: a row each, or a column."""
        instance = Instance(family, layer, True)
        tensor = self.tensor(instance)
        whole = Array(self.axes(instance), lambda *places: Entry(tensor, places))
        if self.facts.columns and whole.rank == 2:
            whole = self.algebra.transposed(whole)
        return self.entry(whole, mention.components, scope) if mention.components else whole

    def _sample(self, mention: Mention, family: str, scope: Scope) -> Expr | None:
        node = mention.sample
        if node is None:
            return scope.sample if family in self.facts.per_sample else None
        match node:
            case Symbol(name) if name in scope.samples:
                return scope.samples[name]
            case Symbol(name) if scope.claim is not None:
                if name not in self.free_samples:
                    self.free_samples[name] = Index(name, self.lengths.size(SAMPLES))
                return self.free_samples[name]
            case Number(text) if text.isdigit():
                return number(int(text) - 1)
        raise NotRead("an example's number that is not understood")

    # Entries and indices.

    def entry(self, array: Array, items: Sequence[Node], scope: Scope) -> Array:
        """An array with some of its axes put in: x_j, W_{ij}, W_{i:}."""
        if len(items) != array.rank:
            if array.rank > 1 and len(items) == array.rank - 1:
                first = [self.place(item, axis, scope) for item, axis in zip(items, array.axes, strict=False)]
                return Array(array.axes[-1:], lambda j: array.at(*first, j), True)
            raise Misfit(f"{len(items)} indices on an array with {array.rank} axes")
        places: list[Expr | None] = []
        far: dict[int, Axis] = {}  # places that are computed may lie beyond an end: there is nothing, which counts as 0
        for k, (item, axis) in enumerate(zip(items, array.axes, strict=True)):
            whole = isinstance(item, Symbol) and item.name in (":", "cdot", "bullet", "ast")
            places.append(None if whole else self.place(item, axis, scope))
            if is_computed(item):
                far[k] = axis
                self._guard(item, places[k], axis, scope)
        left = tuple(axis for axis, p in zip(array.axes, places, strict=True) if p is None)

        def at(*given: Expr) -> Expr:
            rest = iter(given)
            there = [p if p is not None else next(rest) for p in places]
            met: list[Expr] = []
            running: list[Index] = []
            for k, axis in far.items():
                running.append(fresh("p", axis.size(self.lengths)))
                met.append(kronecker(running[-1], there[k]))
                there[k] = running[-1]
            found = multiply(*met, array.at(*there))
            for index in reversed(running):
                found = close_sum(index, found)
            return found

        return Array(left, at, array.rank == 2 and bool(places) and places[0] is not None)

    def _guard(self, item: Node, place: Expr | None, axis: Axis, scope: Scope) -> None:
        """A claim about an entry that it computes, x_{i+1}, is one about those i for which there is such an entry."""
        letters = [n.name for n in walk(item) if isinstance(n, Symbol)]
        if scope.claim is not None and place is not None and all(n in self.free for n in letters):
            self.guards.append((place, axis))

    def place(self, item: Node, axis: Axis, scope: Scope) -> Expr:
        """The place, counted from 0, that an index names on an axis."""
        match item:
            case Symbol(name, _, ()):
                letter = self.letter(name, axis, scope)
                self.lengths.join(axis.key, letter.key)
                offset = letter.origin - axis.origin
                if offset < 0 and not self.settled:
                    offset = 0  # where the index starts is not known yet
                if offset < 0:
                    raise NotRead(f"the index {name} may be 0, and nothing stands there")
                return add(letter.place, number(offset)) if offset else letter.place
            case Number(text) if text.isdigit():
                value = int(text) - axis.origin
                if value < 0:
                    raise NotRead(f"there is no entry {text}")
                return number(value)
            case Terms() | Product() | Group() if is_computed(item):
                return subtract(self._computed_place(item, axis, scope), number(axis.origin))
            case Scripts(Symbol(name), None, None, primes) if primes:
                return self.place(Symbol(name + "'" * primes), axis, scope)
            case Scripts(Symbol(name), Script((low,)), None, 0) if isinstance(low, Symbol | Number):
                text = low.name if isinstance(low, Symbol) else low.text
                return self.place(Symbol(f"{name}_{text}"), axis, scope)
        raise NotRead("an index that is not understood")

    def _computed_place(self, item: Node, axis: Axis, scope: Scope) -> Expr:
        """The number of an entry, i + k - 1 or 2i, as it is written."""
        match item:
            case Number(text) if text.isdigit():
                return number(int(text))
            case Symbol(name, _, ()):
                letter = self.letter(name, Axis(("computed", axis.key, name), axis.origin), scope)
                return add(letter.place, number(letter.origin))
            case Terms(terms, signs) if set(signs) <= {"+", "-"}:
                parts = [self._computed_place(t, axis, scope) for t in terms]
                return add(*(p if sign == "+" else negate(p) for p, sign in zip(parts, signs, strict=True)))
            case Product((Number(text), factor), ("" | "cdot" | "times",)) if text.isdigit():
                return multiply(number(int(text)), self._computed_place(factor, axis, scope))
            case Group("(", ")", (inner,)):
                return self._computed_place(inner, axis, scope)
        raise NotRead("an index that is not understood")

    def letter(self, name: str, axis: Axis, scope: Scope) -> Letter:
        """An index by its name; a free one of a claim is made when it is first met."""
        if name in scope.letters:
            found = scope.letters[name]
            if isinstance(found.key, tuple) and found.key and found.key[0] in ("sum", "free"):
                self._met(found.key, axis.origin)
            return found
        if scope.claim is None:
            raise NotRead(f"the index {name} stands on one side alone")
        key = ("free", scope.claim, name)
        self._met(key, axis.origin)
        if name not in self.free:
            origin = self.memory.get(("origin", key), axis.origin)
            size = self.lengths.size(key)
            self.free[name] = Letter(Index(name, add(size, ONE) if origin == 0 else size), key, origin)
        return self.free[name]

    def _met(self, key: Key, origin: int) -> None:
        """An index without bounds starts where all axes that it runs over do."""
        known = ("origin", key)
        self.memory[known] = max(self.memory.get(known, 0), origin)

    def is_index(self, node: Node, scope: Scope) -> bool:
        """True for a letter that numbers entries."""
        if not isinstance(node, Symbol) or node.accents or self.env.definitions.get(node.name):
            return False
        known = self.env.index_letters | self.env.habits.bound
        return node.name in scope.letters or (node.name in known and node.name not in self.env.denominators)

    def equal_indices(self, left: Node, right: Node, scope: Scope) -> Expr:
        """1 where two indices agree."""
        axis = Axis(("met", id(left), id(right), scope.claim), 1)
        first, second = (self.index_value(item, axis, scope) for item in (left, right))
        return kronecker(first, second)

    def index_value(self, item: Node, axis: Axis, scope: Scope) -> Expr:
        """The number that an index is."""
        if isinstance(item, Symbol) and (item.name in scope.letters or scope.claim is not None):
            letter = self.letter(item.name, Axis(axis.key, 0), scope)
            self.lengths.join(axis.key, letter.key)
            return add(letter.place, number(letter.origin)) if letter.origin else letter.place
        if isinstance(item, Number) and item.text.isdigit():
            return number(int(item.text))
        raise NotRead("an index that is not understood")

    # Lengths.

    def length(self, node: Node, scope: Scope) -> Key | None:
        """The class of a length that has a name: n, s_{l+1}, |S|."""
        match node:
            case Symbol(name):
                key: Key = ("size", name)
                self.lengths.call(key, name)
                return key
            case Scripts(Symbol(name), Script((below,)), None, 0):
                layer = self.layer(layer_of(below), scope)
                if layer is None:
                    return None
                key = ("size", name, layer)
                self.lengths.call(key, f"{name}_{layer}")
                return key
            case Scripts(Symbol(name), None, Script((above,)), 0):
                layer = self.layer(layer_of(above), scope)
                if layer is None:
                    return None
                key = ("size", name, layer)
                self.lengths.call(key, f"{name}_{layer}")
                return key
            case Group(_, _, (inner,)):
                return self.length(inner, scope)
            case Terms((first, Number(text)), ("+", sign)):
                inside = self.length(first, scope)
                if inside is None:
                    return None
                key = ("size", inside, sign + text)
                self.lengths.call(key, f"{self.lengths.name(inside)}{sign}{text}")
                return key
        return None

    # Layers.

    def consumers(self, instance: Instance) -> list[Tensor]:
        """The quantities whose equation reads this one, at the layers at which they do."""
        found = []
        for family, known in self.env.definitions.items():
            for definition in known:
                layer = definition.layer
                if definition.slope or layer is None or instance.layer is None:
                    continue
                general = layer.base in self.env.habits.layer_letters
                for node in walk(definition.right):
                    mention = self.env.names.mention(node) if isinstance(node, Scripts) else None
                    if mention is None or mention.layer is None:
                        continue
                    if self.facts.aliases.get(mention.family, mention.family) != instance.family:
                        continue
                    if general and mention.layer.base == layer.base:
                        if layer.offset < mention.layer.offset:
                            continue  # a recurrence that runs back without end
                        there = instance.layer.shifted(layer.offset - mention.layer.offset)
                        some = any(i.lifted for i in self.instances.values())
                        lifted = instance.lifted or (family in self.facts.per_sample and some)
                        found.append(self.tensor(Instance(family, there, lifted), False))
                    elif mention.layer == instance.layer:
                        found.append(self.tensor(Instance(family, layer, instance.lifted), False))
        return found

    def is_carried(self, instance: Instance) -> bool:
        """True if a quantity leads on to a later layer."""
        waiting, seen = [instance], {instance}
        while waiting:
            for tensor in self.consumers(waiting.pop()):
                other = self.instances[tensor]
                if other.layer is not None and instance.layer is not None and other.layer.base == instance.layer.base:
                    if other.layer.offset > instance.layer.offset:
                        return True
                    if other not in seen:
                        seen.add(other)
                        waiting.append(other)
        return False


def is_computed(item: Node) -> bool:
    """True for an index that is computed, i + 1 or 2i."""
    match item:
        case Terms(terms):
            return any(isinstance(n, Symbol) for t in terms for n in walk(t))
        case Product((Number(), _), _):
            return True
        case Group("(", ")", (inner,)):
            return is_computed(inner)
    return False


__all__ = ["Quantities", "is_computed"]
