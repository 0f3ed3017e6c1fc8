"""Derivatives along all paths through a document's equations, down to what it leaves open.

Main name: `Paths.total`. What is open, a cost that is only named or the layers above, is an arbitrary function of the
last tensors that are spoken of (`frontier`): its slopes are tensors of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symbackprop.audit.arrays import Array, NotRead
from symbackprop.audit.definitions import Environment
from symbackprop.audit.names import Layer
from symbackprop.audit.scope import Facts, Instance, Scope
from symbackprop.audit.tree import Node, Scripts, walk
from symbackprop.calculus.pull_back import Contribution, arrive, pull_back
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Tensor,
    Where,
    add,
    fresh,
    multiply,
    nodes_once,
    substitute,
    tensors_in,
)
from symbackprop.expression.equation import Equation

DEEPEST = 60
DIFFERENTIABLE = "no quantity lies at a kink"


class Unconnected(NotRead):
    """No path leads from what is differentiated to what it is differentiated by."""


class Paths:
    """The part of an `Elaborator` that differentiates: which tensor leads to which, and by what."""

    env: Environment
    facts: Facts
    instances: dict[Tensor, Instance]
    jets: dict[Tensor, tuple[Tensor, Tensor]]
    layer_sums: dict[Tensor, tuple[Node, str, Scope]]
    conditions: dict[str, None]
    settled: bool
    at_layer: Layer | None
    frontier: tuple[Tensor, ...] | None
    _equations: dict[Tensor, Equation | None]
    _known_paths: dict[tuple[Tensor, Tensor], bool]
    _known_at: int

    def equation(self, tensor: Tensor) -> Equation | None:
        """What the document makes of a tensor; None for one that is given."""
        raise NotImplementedError

    def array(self, node: Node, scope: Scope) -> Array:
        """What a formula is."""
        raise NotImplementedError

    def total(self, expr: Expr, by: Tensor, places: Sequence[Expr], again: bool = True) -> Expr:
        """The derivative of an expression by one entry, along every path through the document's equations.

        Args:
            again: whether 0 is a fair answer where no path is known: not for what the document differentiates.
        """
        indices = [
            p if isinstance(p, Index) and p.size is n else fresh("p", n) for p, n in zip(places, by.shape, strict=True)
        ]
        found: list[Expr] = []
        if (
            self.settled
            and not again
            and by not in tensors_in(expr)
            and not any(self.depends(t, by) for t in tensors_in(expr))
        ):
            raise Unconnected(f"nothing says how it depends on {by.name}")
        self._follow(expr, ONE, (), by, indices, found, 0, None)
        result = add(*found)
        moved: dict[Expr, Expr] = {i: p for i, p in zip(indices, places, strict=True) if i is not p}
        return substitute(result, moved) if moved else result

    def _follow(
        self,
        expr: Expr,
        weight: Expr,
        running: tuple[Index, ...],
        by: Tensor,
        places: list[Index],
        found: list[Expr],
        depth: int,
        owner: Tensor | None,
    ) -> None:
        """Add what an expression, that of `owner`, sends back to one tensor."""
        if depth > DEEPEST:
            raise NotRead("the way back through the definitions does not end")
        self._kinks(expr)
        if by in tensors_in(expr) and self._is_counted(owner, by):
            for part in pull_back(expr, weight, by, running):
                found.append(arrive(part, places))
        for tensor in sorted(tensors_in(expr), key=lambda t: t.name):
            if tensor is by or self._is_too_early(tensor, by) or not self.depends(tensor, by):
                continue
            for part in pull_back(expr, weight, tensor, running):
                self._through(tensor, part, by, places, found, depth)

    def _is_counted(self, owner: Tensor | None, by: Tensor) -> bool:
        """False for a parameter of all layers in another layer than the one of which a claim about a sum speaks."""
        mine, its = self.instances.get(owner) if owner is not None else None, self.instances.get(by)
        if self.at_layer is None or mine is None or mine.layer is None or its is None or its.layer is not None:
            return True
        return mine.layer == self.at_layer

    def _is_too_early(self, tensor: Tensor, by: Tensor) -> bool:
        """True for layers before the one of which a claim about a sum speaks."""
        mine, its = self.instances.get(tensor), self.instances.get(by)
        if self.at_layer is None or mine is None or mine.layer is None or its is None or its.layer is not None:
            return False
        return mine.layer.base == self.at_layer.base and mine.layer.offset < self.at_layer.offset

    def _carries_on(self, tensor: Tensor, by: Tensor) -> bool:
        """True if a sum over layers, or times, is one of quantities that layers before them have made."""
        its = self.instances.get(by)
        layered = its is not None and its.layer is not None and bool(its.layer.base) and its.layer.base != "\u00a7"
        if tensor not in self.layer_sums or not (layered or self.at_layer is not None):
            return False
        body, _, _ = self.layer_sums[tensor]
        mentions = (self.env.names.mention(n) for n in walk(body) if isinstance(n, Scripts))
        made = {m.family for m in mentions if m is not None and m.layer is not None}
        return any(f in self.env.abstract or self.env.definitions.get(f) for f in made)

    def _kinks(self, expr: Expr) -> None:
        """Note that what is differentiated has kinks: there nothing is said."""
        for node in nodes_once(expr):
            cut = isinstance(node, Where) and any(isinstance(n, Compare) for n in nodes_once(node.condition))
            if cut or isinstance(node, Extremum) or (isinstance(node, Apply) and node.function.kinks):
                self.conditions[DIFFERENTIABLE] = None

    def _through(
        self, tensor: Tensor, part: Contribution, by: Tensor, places: list[Index], found: list[Expr], depth: int
    ) -> None:
        if tensor in self.layer_sums and not self._carries_on(tensor, by):
            inner = self._part_of_layer(tensor, by)
            self._follow(inner, part.cotangent, part.running, by, places, found, depth + 1, None)
            return
        if self.is_open(tensor, by):
            for last in self.frontier or ():
                if last is not by and not self.depends(last, by):
                    continue
                self._through_open(tensor, last, part, by, places, found, depth)
            return
        equation = self.equation(tensor)
        assert equation is not None
        there = equation.at(part.indices)
        self._follow(there, part.cotangent, part.running, by, places, found, depth + 1, tensor)

    def _through_open(
        self,
        tensor: Tensor,
        last: Tensor,
        part: Contribution,
        by: Tensor,
        places: list[Index],
        found: list[Expr],
        depth: int,
    ) -> None:
        """An arbitrary function of the last tensor: its slopes are tensors of their own."""
        if tensor in self.layer_sums and self._own_layer_alone(last):
            inner = self._part_of_layer(tensor, last)
            self._follow(inner, part.cotangent, part.running, by, places, found, depth + 1, None)
            return
        mine, its = self._instance(tensor), self._instance(last)
        shared = 1 if mine is not None and mine.lifted and its is not None and its.lifted else 0
        jet = Tensor(f"d {tensor.name}/d {last.name}", (*tensor.shape, *last.shape[shared:]))
        self.jets[jet] = (tensor, last)
        if its is not None:
            self.instances.setdefault(jet, Instance(jet.name, its.layer, shared == 1))
        running = tuple(fresh("q", n) for n in last.shape[shared:])
        there = (*part.indices[:shared], *running)
        weight = multiply(part.cotangent, Entry(jet, (*part.indices, *running)))
        moved = Contribution(there, weight, (*part.running, *running))
        if last is by:
            found.append(arrive(moved, places))
        else:
            equation = self.equation(last)
            assert equation is not None
            self._follow(equation.at(there), weight, moved.running, by, places, found, depth + 1, last)

    def _own_layer_alone(self, tensor: Tensor) -> bool:
        """True if no later layer is made of a tensor: what a sum over layers makes of it stands in its own layer."""
        instance = self.instances.get(tensor)
        return instance is not None and not self.is_carried(instance)

    def is_carried(self, instance: Instance) -> bool:
        """True if a quantity leads on to a later layer."""
        raise NotImplementedError

    def _instance(self, tensor: Tensor) -> Instance | None:
        return self.instances.get(tensor)

    def _part_of_layer(self, tensor: Tensor, by: Tensor) -> Expr:
        """What a sum over layers says of the layer of a tensor."""
        body, name, scope = self.layer_sums[tensor]
        instance = self.instances[by]
        assert instance.layer is not None
        if self._carries_on(tensor, by):
            return self.array(body, replace(scope, layers={**scope.layers, name: instance.layer})).at()
        for inner in walk(body):
            mention = self.env.names.mention(inner) if isinstance(inner, Scripts) else None
            if (
                mention is not None
                and mention.family == instance.family
                and mention.layer is not None
                and mention.layer.base == name
            ):
                layer = instance.layer.shifted(-mention.layer.offset)
                return self.array(body, replace(scope, layers={**scope.layers, name: layer})).at()
        return ZERO

    def depends(self, tensor: Tensor, by: Tensor) -> bool:
        """True if some path of equations leads from one tensor to another."""
        if self._known_at != len(self._equations):  # what was found out before an equation was read is out of date
            self._known_paths, self._known_at = {}, len(self._equations)
        known = self._known_paths.get((tensor, by))
        if known is None:
            known = self._depends(tensor, by, set())
            if self._known_at == len(self._equations):
                self._known_paths[tensor, by] = known
        return known

    def _depends(self, tensor: Tensor, by: Tensor, seen: set[object]) -> bool:
        if tensor is by:
            return True
        mark = self._mark(tensor, by)
        if mark in seen:
            return False
        seen.add(mark)
        if tensor in self.layer_sums and not self._carries_on(tensor, by):
            mine = self.instances[by]
            return mine.layer is not None and self._speaks_of(tensor, mine.family)
        if self.is_open(tensor, by):
            return any(last is by or self._depends(last, by, seen) for last in self.frontier or ())
        if self._is_below(tensor, by):
            return False
        equation = self.equation(tensor)
        if equation is None:
            return False
        return any(self._depends(t, by, seen) for t in tensors_in(equation.value))

    def _is_below(self, tensor: Tensor, by: Tensor) -> bool:
        """True if a tensor's layer comes before that of another, or is numbered otherwise."""
        mine, its = self.instances.get(tensor), self.instances.get(by)
        if mine is None or its is None or mine.layer is None or its.layer is None or not mine.layer.base:
            return False
        if mine.layer.base == its.layer.base:
            return mine.layer.offset < its.layer.offset - 1
        return bool(its.layer.base)

    def _mark(self, tensor: Tensor, by: Tensor) -> object:
        """Layers go on without end: what has none is met at all of them or at none."""
        mine, its = self.instances.get(tensor), self.instances.get(by)
        if mine is None or mine.layer is None or (its is not None and its.layer is not None):
            return tensor
        if mine.layer.base:
            return (mine.family, mine.layer.base, mine.lifted)
        return tensor if mine.layer.offset >= 0 else (mine.family, mine.lifted)

    def _speaks_of(self, tensor: Tensor, family: str) -> bool:
        body, _, _ = self.layer_sums[tensor]
        for inner in walk(body):
            mention = self.env.names.mention(inner) if isinstance(inner, Scripts) else None
            if mention is not None and self.facts.aliases.get(mention.family, mention.family) == family:
                return True
        return False

    def is_open(self, tensor: Tensor, by: Tensor) -> bool:
        """True if a tensor depends on another by ways that the document leaves open.

        So does a cost that is only named, and one of layers above, of which nothing is said but that they are there.
        """
        instance, its = self.instances.get(tensor), self.instances.get(by)
        if tensor in self.jets or self._carries_on(tensor, by):
            return True
        if instance is None:
            return False
        if instance.family in self.env.abstract and self.equation(tensor) is None:
            return True
        if its is None or its.layer is None or not its.layer.base or its.layer.base == "\u00a7":
            return False
        return self._ends_above(tensor, its.layer.base, set())

    def _ends_above(self, tensor: Tensor, base: str, seen: set[Tensor]) -> bool:
        """True if a tensor without a layer is computed from layers that are numbered otherwise."""
        if tensor in seen:
            return False
        seen.add(tensor)
        instance = self.instances.get(tensor)
        if instance is None:
            return False
        if instance.layer is not None:
            return instance.layer.base != base and bool(instance.layer.base)
        equation = self.equation(tensor)
        if equation is None:
            return False
        direct = [t for t in tensors_in(equation.value) if t not in self.layer_sums]
        if any(
            self.instances.get(t) is not None and self.instances[t].layer is None and self.instances[t].lifted
            for t in direct
        ):
            return False
        return any(self._ends_above(t, base, seen) for t in direct)
