r"""Derivatives as they are written, \frac{\partial J}{\partial z_i}, along all paths through a document's equations.

Main names: `Derivatives.derivative`, `Derivatives.total`. What is open, a cost that is only named or the layers above,
is an arbitrary function of the last tensors that are spoken of (`frontier`): its slopes are tensors of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symbackprop.audit.arrays import Array, NotRead
from symbackprop.audit.definitions import Environment, given_changes
from symbackprop.audit.equations import Equations
from symbackprop.audit.lengths import Key, Lengths
from symbackprop.audit.names import Layer, Mention
from symbackprop.audit.quantities import is_computed
from symbackprop.audit.scope import Facts, Instance, Letter, Reading, Scope
from symbackprop.audit.tree import (
    Derivative,
    Group,
    Node,
    Number,
    Product,
    Script,
    Scripts,
    Symbol,
    walk,
)
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
    close_sum,
    fresh,
    multiply,
    nodes_once,
    substitute,
    tensors_in,
)

DEEPEST = 60
DIFFERENTIABLE = "no quantity lies at a kink"


class Unconnected(NotRead):
    """No path leads from what is differentiated to what it is differentiated by."""


class Derivatives(Equations):
    """Differentiates the quantities of one document: which tensor leads to which, and by what.

    Args:
        frontier: the tensors of which whatever is left open is a function.
    """

    def __init__(
        self,
        env: Environment,
        facts: Facts,
        lengths: Lengths,
        reading: Reading,
        memory: dict[Key, int],
        frontier: Sequence[Instance] | None = None,
    ) -> None:
        super().__init__(env, facts, lengths, reading, memory)
        self.targets: dict[Tensor, None] = {}
        self.layer_sums: dict[Tensor, tuple[Node, str, Scope]] = {}
        self.known_sums: list[tuple[str, Expr, Tensor]] = []  # sums over layers: over which, of what
        self.at_layer: Layer | None = None  # what this layer adds to a sum over layers is what is claimed
        self.claimed_layer: Layer | None = None  # the one layer of which a claim speaks
        self.held: frozenset[str] = frozenset()  # quantities whose differentials are 0
        self._known_paths: dict[tuple[Tensor, Tensor], bool] = {}
        self._known_at = 0
        self.open_ends = frontier
        self.frontier = tuple(map(self.tensor, frontier)) if frontier is not None else None

    # Derivatives as they are written.

    def derivative(self, node: Derivative, scope: Scope) -> Array:
        """The derivative of a quantity by others, one after the other."""
        if node.kind in ("delta", "Delta"):
            raise NotRead("a quotient of differences")
        if node.of is None:
            raise NotRead("a derivative of nothing")
        of, by = node.of, list(node.by)
        if not by:
            by = [self._only_argument(of)]
        value = self.array(of, scope)
        upper: object = self._family(of)
        powers = self._exponents(node, by)
        variables: list[Node] = []
        for variable, exponent in zip(by, powers, strict=True):
            variables += [variable] * (1 if exponent is None else integer(exponent))
        once = not any(powers) and (node.kind == "nabla" or not node.powers)  # the Hessian is \nabla^2 f
        if once and node.order is not None and len(variables) == 1:
            variables *= integer(node.order)
        found = self._slopes(value, of, variables, scope)
        if len(variables) == 1:
            found = replace(found, upper=upper, lower=self._family(variables[0]), split=value.rank)
            if value.rank == 1 and found.rank == 2 and self.reading.lower_first and not self.reading.rows:
                found = self.algebra.transposed(found)
            if value.rank == 0 and found.rank == 2 and self.reading.turned and node.kind != "nabla":
                found = self.algebra.transposed(found)
            if value.rank == 0 and found.rank == 1 and self.reading.turned and node.kind != "nabla":
                found = replace(found, row=True)
        return found

    def _slopes(self, value: Array, of: Node, variables: Sequence[Node], scope: Scope) -> Array:
        """Differentiate by one variable after the other; a quantity in the form in which it depends on them."""

        def along(found: Array) -> Array:
            for turn, variable in enumerate(reversed(variables)):
                found = self.slope(found, untransposed(variable) if len(variables) > 1 else variable, scope, turn > 0)
            return found

        head = self.env.head(of)
        other = self.env.other_forms.get(head.mention.family, ()) if head is not None else ()
        found = along(value)
        if not other or (self.settled and self._is_connected(found)):
            return found  # until all is settled the other forms are read for the lengths that they make one
        forms = [along(self.array(form, Scope(claim=scope.claim, stacked=scope.stacked))) for form in other]
        connected = [form for form in forms if self._is_connected(form)]
        return connected[0] if self.settled and connected else found

    def _is_connected(self, array: Array) -> bool:
        """False if what is differentiated does not depend on what it is differentiated by."""
        try:
            array.at(*(Index(f"p{k}", axis.size(self.lengths)) for k, axis in enumerate(array.axes)))
        except Unconnected:
            return False
        return True

    def _exponents(self, node: Derivative, by: list[Node]) -> list[Node | None]:
        r"""How often it is differentiated by each variable; the 2 of \partial\mu\partial\sigma^2 is the variable's."""
        powers = list(node.powers or (None,) * len(by))
        if isinstance(node.order, Number) and node.order.text.isdigit() and len(by) > 1:
            times = [1 if p is None else integer(p) for p in powers]
            if sum(times) > int(node.order.text):
                for k, (variable, power) in enumerate(zip(by, powers, strict=True)):
                    mention = self.env.names.mention(variable)
                    if power == Number("2") and mention is not None and mention.family in self.env.squared:
                        by[k] = Scripts(variable, None, Script((power,))) if isinstance(variable, Symbol) else variable
                        powers[k] = None
        return powers

    def _family(self, node: Node) -> object:
        mention = self.env.names.mention(node)
        if mention is None:
            head = self.env.head(node)
            mention = head.mention if head is not None else None
        return None if mention is None else (mention.family, mention.layer, mention.sample, mention.components)

    def _only_argument(self, of: Node) -> Node:
        match of:
            case Product((_, Group(_, _, (inner,))), ("",)):
                return inner
        head = self.env.head(of)
        if head is not None:
            for d in self.env.definitions.get(head.mention.family, ()):
                if len(d.head.arguments) == 1:
                    return d.head.arguments[0]
        named = {
            m.family: n for n in walk(of) if isinstance(n, Symbol) and (m := self.env.names.mention(n)) is not None
        }
        if head is None and len(named) == 1:  # of |x|^2
            return next(iter(named.values()))
        raise NotRead("a gradient that does not say by what")

    def slope(self, value: Array, by: Node, scope: Scope, again: bool = False) -> Array:
        """The derivative of each entry of an array by each entry of what is named."""
        mention = self.env.names.mention(by)
        if mention is None:
            head = self.env.head(by)
            mention = head.mention if head is not None else None
        if isinstance(by, Symbol) and by.name in scope.letters:
            mention = None
        if mention is None or mention.transposed or mention.primes:
            raise NotRead("a derivative by something that is no quantity")
        if mention.power is not None:
            if not (
                isinstance(mention.power, Number) and mention.power.text == "2" and mention.family in self.env.squared
            ):
                raise NotRead("a derivative by a power")
            mention = replace(mention, family=mention.family + "^2", power=None)
        elif mention.family in self.env.squared:
            raise NotRead("a derivative by a root")
        if mention.family in self.env.functions:
            raise NotRead("a derivative by a function")
        if mention.layer is None and mention.family in self.env.habits.layered and self.claimed_layer is not None:
            mention = replace(mention, layer=self.claimed_layer)  # \nabla_a C beside a^L
        if any(is_computed(item) for item in mention.components):
            return self._slope_there(value, mention, scope, again)
        return self._slope_by(value, mention, scope, again)

    def _slope_by(self, value: Array, mention: Mention, scope: Scope, again: bool) -> Array:
        target = self.quantity(mention, scope)
        axes = target.axes
        count = value.rank

        def at(*places: Expr) -> Expr:
            entry = target.at(*places[count:])
            if not isinstance(entry, Entry):
                raise NotRead("a derivative by something that is no entry")
            self.targets[entry.tensor] = None
            return self.total(value.at(*places[:count]), entry.tensor, entry.indices, again)

        probe = target.at(*(Index(f"p{k}", a.size(self.lengths)) for k, a in enumerate(axes)))
        if isinstance(probe, Entry):
            self.targets[probe.tensor] = None
        return Array((*value.axes, *axes), at, target.row if not count else value.row)

    def _slope_there(self, value: Array, mention: Mention, scope: Scope, again: bool) -> Array:
        """The derivative by an entry whose number is computed, dL/dy_{i-k+1}: 0 where there is no such entry."""
        every = {f"any {k}": item for k, item in enumerate(mention.components)}
        letters = dict(scope.letters)
        target = self.quantity(replace(mention, components=()), scope)
        indices = []
        for name, axis in zip(every, target.axes, strict=True):
            indices.append(fresh("p", axis.size(self.lengths)))
            letters[name] = Letter(indices[-1], axis.key, axis.origin)
        anywhere = replace(mention, components=tuple(Symbol(name) for name in every))
        there = self._slope_by(value, anywhere, replace(scope, letters=letters), again)
        found = Array(
            (*there.axes, *target.axes),
            lambda *places: substitute(
                there.at(*places[: there.rank]), dict(zip(indices, places[there.rank :], strict=True))
            ),
        )
        whole = tuple(Symbol(":") for _ in there.axes)
        return self.entry(found, (*whole, *every.values()), scope)

    # Total differentials.

    def differential(self, value: Array) -> Array:
        """What each entry of an array changes by as the quantities that are given change by their differentials."""

        def at(*places: Expr) -> Expr:
            expr = value.at(*places)
            found: list[Expr] = []
            for tensor in self._varied(expr):
                change = Tensor(f"d {tensor.name}", tensor.shape)
                running = [fresh("k", n) for n in tensor.shape]
                term = multiply(self.total(expr, tensor, running), Entry(change, tuple(running)))
                for index in reversed(running):
                    term = close_sum(index, term)
                found.append(term)
            return add(*found)

        return Array(value.axes, at, value.row)

    def _varied(self, expr: Expr) -> list[Tensor]:
        """The given quantities of which an expression is made: those whose differentials are written, if any are."""
        given: dict[Tensor, None] = {}
        waiting, seen = list(tensors_in(expr)), set(tensors_in(expr))
        while waiting:
            tensor = waiting.pop()
            equation = self.equation(tensor)
            if equation is None:
                given[tensor] = None
                continue
            waiting += [t for t in tensors_in(equation.value) if t not in seen]
            seen |= tensors_in(equation.value)
        written = given_changes(self.env, self.env.displays)
        chosen = [t for t in given if self.instances[t].family in written] if written else list(given)
        return sorted((t for t in chosen if self.instances[t].family not in self.held), key=lambda t: t.name)

    # Along all paths.

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
        # in one order: which layers are spoken of, and so what is open, must not hang on chance
        return any(self._depends(t, by, seen) for t in sorted(tensors_in(equation.value), key=lambda t: t.name))

    def _is_below(self, tensor: Tensor, by: Tensor) -> bool:
        """True if a tensor's layer comes before that of another, or is numbered otherwise."""
        mine, its = self.instances.get(tensor), self.instances.get(by)
        if mine is None or its is None or mine.layer is None or its.layer is None:
            return False
        if not mine.layer.base and not any(d.layer and d.layer.base for d in self.env.definitions.get(mine.family, ())):
            return False  # z_1 and z_2 have equations of their own, which say what they depend on: w_{11} as well
        if mine.layer.base == its.layer.base:
            return mine.layer.offset < its.layer.offset - 1
        return bool(mine.layer.base and its.layer.base)

    def _mark(self, tensor: Tensor, by: Tensor) -> object:
        """Layers go on without end: what has none is met at all of them or at none."""
        mine, its = self.instances.get(tensor), self.instances.get(by)
        if mine is not None and mine.layer is not None and not mine.layer.base and mine.layer.offset < 0:
            return (mine.family, mine.lifted)  # before the first time there is none
        if mine is None or mine.layer is None or (its is not None and its.layer is not None):
            return tensor
        if mine.layer.base:
            return (mine.family, mine.layer.base, mine.lifted)
        return tensor

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
            own = self.env.arguments.get(instance.family)
            return own is None or (its is not None and its.family in own)
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


def untransposed(node: Node) -> Node:
    r"""A variable of \partial\beta \partial\beta^T: the transpose says how the Hessian lies, and it is symmetric."""
    match node:
        case Scripts(base, below, Script((Symbol("T" | "top" | "intercal"),)), 0):
            return base if below is None else Scripts(base, below)
    return node


def integer(node: Node) -> int:
    """A number of times, or the degree of a root."""
    if isinstance(node, Number) and node.text.isdigit():
        return int(node.text)
    raise NotRead("the degree of a root is no number")


__all__ = ["DEEPEST", "Derivatives", "integer"]
