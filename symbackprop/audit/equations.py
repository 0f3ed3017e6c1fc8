"""What quantities are: the equations that a document's definitions make, at each layer and example.

Main name: `Equations.equation`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

from symbackprop.audit.arrays import Array, Axis, Misfit, NotRead
from symbackprop.audit.definitions import Definition, Environment
from symbackprop.audit.lengths import Key, Lengths
from symbackprop.audit.quantities import Quantities
from symbackprop.audit.scope import Facts, Instance, Letter, Reading, Scope
from symbackprop.audit.tree import (
    Node,
    Script,
    Scripts,
    Symbol,
)
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Entry,
    Expr,
    Index,
    Tensor,
    kronecker,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.equation import Equation


class Equations(Quantities, ABC):
    """The equations of one document; their formulas are read by `array`, which an `Elaborator` has."""

    def __init__(
        self, env: Environment, facts: Facts, lengths: Lengths, reading: Reading, memory: dict[Key, int]
    ) -> None:
        super().__init__(env, facts, lengths, reading, memory)
        self.jets: dict[Tensor, tuple[Tensor, Tensor]] = {}  # slopes of what is left open: of which tensor by which
        self._equations: dict[Tensor, Equation | None] = {}

    @abstractmethod
    def array(self, node: Node, scope: Scope) -> Array:
        """What a formula is."""

    def equation(self, tensor: Tensor) -> Equation | None:
        """What the document makes of a tensor; None for one that is given."""
        if tensor not in self._equations:
            self._equations[tensor] = None  # while it is being read it is given
            self._equations[tensor] = self._defined(tensor)
        return self._equations[tensor]

    def read_so_far(self) -> frozenset[Tensor]:
        """The tensors whose equations have been read."""
        return frozenset(self._equations)

    def forget_but(self, known: frozenset[Tensor]) -> None:
        """Read all other equations anew: they were read while lengths were joined that are no longer."""
        self._equations = {tensor: e for tensor, e in self._equations.items() if tensor in known}

    def _defined(self, tensor: Tensor) -> Equation | None:
        instance = self.instances.get(tensor)
        if instance is None or tensor in self.jets:
            return None
        family = instance.family
        if instance.layer is not None and instance.layer.base == "\u00a7":
            return None
        axes = self.axes(instance)
        indices = tuple(
            Index(f"{'tijkpq'[k] if instance.lifted else 'ijkpqr'[k]}", n) for k, n in enumerate(tensor.shape)
        )
        definition = self._definition_of(instance)
        value: Expr | None = None
        if definition is not None and definition.layer != instance.layer and family in self.env.endless:
            self._leads_to_an_end(instance)
        if definition is not None:
            value = self._value(definition, instance, axes, indices)
        own = axes[1:] if instance.lifted else axes
        if family in self.facts.ones and len(own) == 1 and own[0].origin == 0:
            place = indices[-1]
            rest = (
                value if value is not None else Entry(Tensor(f"free {tensor.name}", tensor.shape, tensor.kind), indices)
            )
            value = where(kronecker(place, ZERO), ONE, rest)
        return None if value is None else Equation(tensor, indices, value)

    def _leads_to_an_end(self, instance: Instance) -> None:
        """Raises NotRead unless a later layer's equation ends the way through the next layers."""
        here = instance.layer
        known = (d.layer for d in self.env.definitions[instance.family] if d is not self.env.endless[instance.family])
        if here is None or not any(d is not None and d.base == here.base and d.offset > here.offset for d in known):
            raise NotRead(
                f"{instance.family} is given by itself at the next layer alone: nothing says what it is at the last one"
            )

    def _definition_of(self, instance: Instance) -> Definition | None:
        base, _, count = instance.family.partition("(")
        definition = self.env.of(instance.family, instance.layer)
        if count:
            known = [d for d in self.env.definitions.get(base, ()) if len(d.head.arguments) == int(count[:-1])]
            return known[0] if known else None
        if (
            definition is not None
            and len({len(d.head.arguments) for d in self.env.definitions[base] if d.head.arguments}) > 1
        ):
            most = max(len(d.head.arguments) for d in self.env.definitions[base])
            return next(d for d in self.env.definitions[base] if len(d.head.arguments) == most)
        return definition

    def _value(
        self, definition: Definition, instance: Instance, axes: tuple[Axis, ...], indices: tuple[Index, ...]
    ) -> Expr | None:
        mention = definition.head.mention
        scope = Scope(sample=indices[0] if instance.lifted else None)
        places: tuple[Index, ...] = indices[1:] if instance.lifted else indices
        own = axes[1:] if instance.lifted else axes
        if mention.layer is not None and mention.layer.base in self.env.habits.layer_letters:
            assert instance.layer is not None
            scope = replace(scope, layers={mention.layer.base: instance.layer.shifted(-mention.layer.offset)})
        if isinstance(mention.sample, Symbol) and instance.lifted:
            scope = replace(scope, samples={mention.sample.name: indices[0]})
        letters: dict[str, Letter] = {}
        moved: dict[Expr, Expr] = {}
        items: tuple[Node, ...] = mention.components or tuple(
            Symbol(i) for i in self.facts.implicit.get(instance.family, ())
        )
        for item, axis, place in zip(items, own, places, strict=False):
            name = _letter_name(item)
            if name is None:
                continue
            if axis.origin == 0 and instance.family in self.facts.ones:
                # the entry for the bias is 1: the equation speaks of the others
                there = Index(place.name, self.lengths.size(axis.key))
                letters[name] = Letter(there, axis.key, 1)
                moved[there] = subtract(place, ONE)
            else:
                letters[name] = Letter(place, axis.key, axis.origin)
        scope = replace(scope, letters=letters)
        found = self.array(definition.right, scope)
        if found.rank and not own and instance.family in self.env.costs and self.reading.elementwise:
            return self.algebra.summed(found).at()
        if items:
            if found.rank:
                raise Misfit("an entry is said to be an array")
            return substitute(found.at(), moved) if moved else found.at()
        if found.rank == 0:
            return found.at()
        if found.rank != len(own):
            raise Misfit(f"an array of rank {len(own)} is said to be one of rank {found.rank}")
        for a, b in zip(own, found.axes, strict=True):
            self.algebra.meet(a, b)
        return found.at(*places)


def _letter_name(item: Node) -> str | None:
    match item:
        case Symbol(name):
            return name
        case Scripts(Symbol(name), None, None, primes) if primes:
            return name + "'" * primes
        case Scripts(Symbol(name), Script((Symbol(sub),)), None, 0):
            return f"{name}_{sub}"
    return None


__all__ = ["Equations"]
