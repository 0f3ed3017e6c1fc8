r"""Presentation trees -> arrays in index notation, under what a document defines.

    \delta^{(l)}_i = \frac{\partial J}{\partial z^{(l)}_i}

An `Elaborator` reads formulas as arrays. A quantity stays an entry of a tensor that has its name; `equation` says what
the document makes of it, at that layer and example. Derivatives are taken along all
paths through these equations (`paths`); what letters mean, and what is known of the document, stands in `scope`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from symbackprop.audit.arrays import Algebra, Array, Axis, Misfit, NotRead, scalar
from symbackprop.audit.definitions import Definition, Environment
from symbackprop.audit.grammar import flat
from symbackprop.audit.lengths import Key, Lengths
from symbackprop.audit.names import Layer, Mention, layer_of
from symbackprop.audit.paths import DEEPEST, Paths, Unconnected
from symbackprop.audit.piecewise import (
    by_cases,
    indicator_of,
    mask,
    relation_in,
    subscripted_indicator,
    written_matrix,
)
from symbackprop.audit.scope import SAMPLES, Facts, Instance, Letter, Reading, Scope
from symbackprop.audit.tree import (
    Annotated,
    Application,
    Big,
    Cases,
    Chain,
    Derivative,
    Differential,
    Group,
    Matrix,
    Node,
    Number,
    Product,
    Root,
    Script,
    Scripts,
    Symbol,
    Terms,
    Text,
    walk,
)
from symbackprop.audit.tree import (
    Fraction as Ratio,
)
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Entry,
    Expr,
    Extremum,
    Index,
    Tensor,
    add,
    apply,
    close_sum,
    divide,
    fresh,
    kronecker,
    matrix_entry,
    multiply,
    negate,
    number,
    power,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.equation import Equation
from symbackprop.expression.functions import (
    ATAN,
    COS,
    ERF,
    EXP,
    FUNCTIONS,
    LOG,
    SIN,
    WRITTEN_OUT,
    Function,
    arbitrary,
    derivative,
)
from symbackprop.expression.sympy_bridge import PI, written_out
from symbackprop.normal_form.normal_form import Canonical

NAMED: dict[str, Function] = {
    "exp": EXP, "log": LOG, "ln": LOG, "erf": ERF, "sin": SIN, "cos": COS, "atan": ATAN, "arctan": ATAN,
    **{n: FUNCTIONS[n] for n in ("sigmoid", "tanh", "relu", "softplus", "elu", "gelu", "silu", "abs")},
    "ReLU": FUNCTIONS["relu"], "sigm": FUNCTIONS["sigmoid"], "logistic": FUNCTIONS["sigmoid"],
    "swish": FUNCTIONS["silu"],
}  # fmt: skip


class Elaborator(Paths):
    """Reads the formulas of one document.

    Args:
        lengths: joined as the formulas demand; what was made before the last join is to be made again.
        memory: what earlier passes found out: origins of indices.
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
        self.env, self.facts, self.lengths, self.reading, self.memory = env, facts, lengths, reading, memory
        self.algebra = Algebra(lengths, elementwise=reading.elementwise, rows=reading.rows)
        self.instances: dict[Tensor, Instance] = {}
        self.spoken: dict[Tensor, None] = {}
        self.conditions: dict[str, None] = {}
        self.targets: dict[Tensor, None] = {}
        self.seen_layers: dict[str, set[int]] = {}
        self.jets: dict[Tensor, tuple[Tensor, Tensor]] = {}
        self.layer_sums: dict[Tensor, tuple[Node, str, Scope]] = {}
        self._sums: list[tuple[str, Expr, Tensor]] = []
        self._equations: dict[Tensor, Equation | None] = {}
        self._known_paths: dict[tuple[Tensor, Tensor], bool] = {}
        self._known_at = 0
        self._depth = 0
        self._of_matrix = False  # inside a trace or determinant, where X^2 is a product
        self.free: dict[str, Letter] = {}
        self.free_samples: dict[str, Expr] = {}
        self.at_layer: Layer | None = None  # what this layer adds to a sum over layers is what is claimed
        self.guards: list[tuple[Expr, Axis]] = []
        self.claimed_layer: Layer | None = None  # the one layer of which a claim speaks
        self.open_ends, self.settled = frontier, True
        self.frontier = tuple(map(self.tensor, frontier)) if frontier is not None else None

    # What names mean.

    def tensor(self, instance: Instance, spoken: bool = True) -> Tensor:
        """The tensor of a family at a layer; `spoken` where a formula names it."""
        axes = self.axes(instance)
        name = instance.family + (f"^({instance.layer})" if instance.layer is not None else "")
        name += " each" if instance.lifted else ""
        found = Tensor(name, tuple(a.size(self.lengths) for a in axes))
        self.instances[found] = instance
        if spoken:
            self.spoken[found] = None
        if instance.layer is not None:
            self.seen_layers.setdefault(instance.layer.base, set()).add(instance.layer.offset)
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
        if family in self.env.indexed_vectors and found.rank == 1 and len(items) == 1:
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

    def entry(self, array: Array, items: Sequence[Node], scope: Scope) -> Array:
        """An array with some of its axes put in: x_j, W_{ij}, W_{i:}."""
        if len(items) != array.rank:
            if array.rank == 2 and len(items) == 1:
                first = self.place(items[0], array.axes[0], scope)
                return Array((array.axes[1],), lambda j: array.at(first, j), True)
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

    # Formulas.

    def array(self, node: Node, scope: Scope) -> Array:
        """What a formula is.

        Raises:
            NotRead: it has no reading, or its shapes do not fit.
        """
        self._depth += 1
        if self._depth > DEEPEST:
            self._depth = 0
            raise NotRead("definitions lead into each other too deeply")
        try:
            return self._array(node, scope)
        finally:
            self._depth -= 1

    def _array(self, node: Node, scope: Scope) -> Array:
        match node:
            case Number(text):
                return scalar(number(Fraction(text.replace(",", ""))))
            case Symbol():
                return self._symbol(node, scope)
            case Scripts():
                return self._scripts(node, scope)
            case Group():
                return self._group(node, scope)
            case Ratio(top, bottom):
                return self._quotient(self.array(top, scope), self.array(bottom, scope))
            case Root(body, degree):
                exponent = Fraction(1, 2) if degree is None else Fraction(1, self._integer(degree))
                return self.algebra.each(lambda x: power(x, exponent), self.array(body, scope))
            case Terms(terms, signs):
                return self._terms(terms, signs, scope)
            case Product():
                return self._product(node, scope)
            case Application(function, argument):
                return self._application(function, argument, scope)
            case Big():
                return self._big(node, scope)
            case Derivative():
                return self._derivative(node, scope)
            case Differential(kind, Product((first, *rest), ("", *operators)), order):
                return self.array(Product((Differential(kind, first, order), *rest), ("", *operators)), scope)
            case Differential():
                mention = self.env.names.mention(node)
                if mention is None or not self._known(mention.family):
                    raise NotRead("a differential stands by itself")
                return self._mentioned(mention, scope)
            case Annotated(_, body, _):
                return self.array(body, scope)
            case Cases():
                return by_cases(self, node, scope)
            case Matrix():
                return written_matrix(self, node, scope)
            case Chain() if (chain := relation_in(node)) is not None:
                return scalar(mask(self, chain, scope))
            case Text(words):
                raise NotRead(f"the words \u201c{words.strip()}\u201d stand in the formula")
        raise NotRead(f"{type(node).__name__.lower()} is not read")

    def _integer(self, node: Node) -> int:
        if isinstance(node, Number) and node.text.isdigit():
            return int(node.text)
        raise NotRead("the degree of a root is no number")

    def _symbol(self, node: Symbol, scope: Scope) -> Array:
        name = node.name
        mention = self.env.names.mention(node)
        assert mention is not None
        family = mention.family
        if name in scope.letters and family not in self.env.definitions:
            letter = scope.letters[name]
            return scalar(add(letter.place, number(letter.origin)))
        if name == "pi" and not self._known(family):
            return scalar(PI)
        if name == "e" and not node.accents and not self._known(family) and not self.facts.ranks.get("e"):
            return scalar(apply(EXP, ONE))
        if name == "I" and not self._known(family) and self.facts.ranks.get(family, 2) == 2:
            return self.algebra.identity(("identity", id(node)))
        if family in self.env.bounds and not self._known(family):
            key = ("size", name)
            self.lengths.call(key, name)
            return scalar(self.lengths.size(key))
        if name in ("infty", "emptyset"):
            raise NotRead("infinity is no number")
        return self._mentioned(mention, scope)

    def _known(self, family: str) -> bool:
        return family in self.env.definitions and bool(self.env.definitions[family])

    def _mentioned(self, mention: Mention, scope: Scope) -> Array:
        """A decorated letter with its transpose and power."""
        family = mention.family
        if mention.primes:
            raise NotRead(f"{family}' stands without an argument")
        if family.rsplit(" ", 1)[-1] == "1":
            ones = Array((Axis(("ones", id(mention), *scope.layers.items())),), lambda i: ONE)
            return self.algebra.transposed(ones) if mention.transposed else ones
        if (
            family == "delta"
            and len(mention.components) == 2
            and mention.layer is None
            and not self._entries_of_delta()
        ):
            return self._kronecker(mention, scope)
        if family in self.env.squared:
            return self._of_square(mention, scope)
        if family in self.env.functions and family not in self.env.definitions:
            raise NotRead(f"the function {family} stands without an argument")
        found = self.quantity(replace(mention, transposed=False, power=None, primes=0), scope)
        if mention.transposed:
            found = self.algebra.transposed(found)
        return self.raised(found, mention.power, scope) if mention.power is not None else found

    def _entries_of_delta(self) -> bool:
        return any(len(d.head.mention.components) == 2 for d in self.env.definitions.get("delta", ()))

    def _kronecker(self, mention: Mention, scope: Scope) -> Array:
        one, two = mention.components
        return scalar(self.equal_indices(one, two, scope))

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

    def _of_square(self, mention: Mention, scope: Scope) -> Array:
        """sigma where the document speaks of sigma^2 as a quantity."""
        square = self.quantity(replace(mention, family=mention.family + "^2", power=None, transposed=False), scope)
        exponent = Fraction(1)
        if mention.power is not None:
            if not isinstance(mention.power, Number):
                raise NotRead("an exponent that is no number")
            exponent = Fraction(mention.power.text)
        return self.algebra.each(lambda x: power(x, exponent / 2), square)

    def raised(self, array: Array, exponent: Node, scope: Scope) -> Array:
        """A power, entry by entry for a vector; a matrix to the power -1 is its inverse."""
        if array.rank == 2 and self._is_minus_one(exponent):
            return self._inverse(array)
        if array.rank == 2 and isinstance(exponent, Terms):
            match exponent:
                case Terms((Symbol(name) | Group(_, _, (Symbol(name),)),), ("-",)) if name in ("T", "top"):
                    return self.algebra.transposed(self._inverse(array))
        if isinstance(exponent, Symbol) and exponent.name in ("T", "top", "intercal"):
            return self.algebra.transposed(array)
        product = array.rank == 2 and (self.reading.powers or self._of_matrix)
        if product and isinstance(exponent, Number) and exponent.text in ("2", "3"):
            return functools.reduce(self.algebra.times, [array] * int(exponent.text))
        shown = self.array(exponent, scope)
        if shown.rank:
            raise Misfit("an exponent is no array")
        return self.algebra.each(lambda x: power(x, shown.at()), array)

    def _is_minus_one(self, node: Node) -> bool:
        match node:
            case Terms((Number("1"),), ("-",)) | Number("-1"):
                return True
        return False

    def _inverse(self, array: Array) -> Array:
        axis = self.algebra.meet(array.axes[0], array.axes[1])
        return Array((axis, axis), lambda i, j: matrix_entry("inverse", axis.size(self.lengths), array.at, (i, j)))

    def _scripts(self, node: Scripts, scope: Scope) -> Array:
        if (
            isinstance(node.base, Symbol)
            and node.base.name == "e"
            and node.below is None
            and not node.primes
            and node.above is not None
            and not self._known("e")
        ):
            return self._exponential(node.above, scope)
        held = subscripted_indicator(node)
        if held is not None:
            return scalar(mask(self, held, scope))
        mention = self.env.names.mention(node)
        if mention is not None:
            return self._mentioned(mention, scope)
        if node.primes:
            raise NotRead("a prime that belongs to no function")
        if isinstance(node.base, Group) and node.base.opening == "\u2016" and node.below is not None:
            return self._scripted(self._norm(node.base, node.below, scope), None, node.above, scope)
        return self._scripted(self.array(node.base, scope), node.below, node.above, scope)

    def _exponential(self, above: Script, scope: Scope) -> Array:
        inner = above.items[0] if len(above.items) == 1 else Product(above.items, ("",) * (len(above.items) - 1))
        return self.algebra.each(lambda x: apply(EXP, x), self.array(inner, scope))

    def _scripted(self, array: Array, below: Script | None, above: Script | None, scope: Scope) -> Array:
        """Scripts on something in brackets: (h(x))_k, (a + b)^2, (AB)^T."""
        if below is not None:
            array = self.entry(array, below.items, scope)
        for item in above.items if above is not None else ():
            array = self.raised(array, item, scope)
        return array

    def _group(self, node: Group, scope: Scope) -> Array:
        if len(node.items) != 1:
            raise NotRead("several items in brackets are no number")
        inner = node.items[0]
        if isinstance(inner, Chain):
            return self._iverson(inner, scope)
        found = self.array(inner, scope)
        if node.opening == "|":
            if found.rank == 2:
                return self._determinant(found)
            return self.algebra.each(lambda x: apply(FUNCTIONS["abs"], x), found)
        if node.opening == "\u2016":
            total = self.algebra.summed(self.algebra.each(lambda x: power(x, 2), found)).at()
            return scalar(power(total, Fraction(1, 2)))
        return found

    def _norm(self, group: Group, below: Script, scope: Scope) -> Array:
        """The norm that a subscript names: of Frobenius, 2 or 1."""
        match below.items:
            case (Symbol("F"),) | (Number("2"),):
                return self._group(group, scope)
            case (Number("1"),):
                inner = self.array(group.items[0], scope)
                return self.algebra.summed(self.algebra.each(lambda x: apply(FUNCTIONS["abs"], x), inner))
        raise NotRead("a norm that is not known")

    def _iverson(self, chain: Chain, scope: Scope) -> Array:
        if len(chain.members) == 1:
            return self.array(chain.members[0], scope)
        return scalar(mask(self, chain, scope))

    def _determinant(self, array: Array) -> Array:
        axis = self.algebra.meet(array.axes[0], array.axes[1])
        return scalar(matrix_entry("determinant", axis.size(self.lengths), array.at))

    def _quotient(self, top: Array, bottom: Array) -> Array:
        return self.algebra.over(top, bottom)

    def _terms(self, terms: Sequence[Node], signs: Sequence[str], scope: Scope) -> Array:
        arrays = []
        for k, (term, sign) in enumerate(zip(terms, signs, strict=True)):
            if k + 1 < len(terms):
                longer = self._reaching_on(term, terms[k + 1 :], signs[k + 1 :], scope)
                if longer is not None:
                    found = self.array(longer, scope)
                    arrays.append(self._negated(found) if sign == "-" else found)
                    break
            if sign not in "+-":
                raise NotRead(f"the sign {sign} leaves two values")
            found = self.array(term, scope)
            arrays.append(self._negated(found) if sign == "-" else found)
        return arrays[0] if len(arrays) == 1 else self.algebra.plus(*arrays)

    def _reaching_on(self, term: Node, rest: Sequence[Node], signs: Sequence[str], scope: Scope) -> Node | None:
        """A sum whose index stands in the terms behind it too: it is meant to reach over them."""
        last = term.factors[-1] if isinstance(term, Product) else term
        if not isinstance(last, Big) or last.operator != "sum" or last.body is None:
            return None
        try:
            names, _ = self._bound_names(last)
        except NotRead:
            return None
        loose = {n for n in names if n not in scope.letters and n not in scope.samples and n not in self.free}
        if not any(loose & self._open_letters(t) for t in rest):
            return None
        body = Terms((last.body, *rest), ("+", *signs))
        whole = replace(last, body=body)
        if scope.claim is not None:
            self.conditions["a sum reaches over the terms behind it, in which its index stands"] = None
        return replace(term, factors=(*term.factors[:-1], whole)) if isinstance(term, Product) else whole

    def _open_letters(self, node: Node) -> set[str]:
        """The letters of entries and examples in a formula that no sum in it binds."""
        found: set[str] = set()
        bound: set[str] = set()
        for inner in walk(node):
            if isinstance(inner, Big):
                bound |= {s.name for low in inner.lower for s in walk(low) if isinstance(s, Symbol)}
            mention = self.env.names.mention(inner) if isinstance(inner, Scripts) else None
            if mention is not None:
                marks = (*mention.components, *((mention.sample,) if mention.sample is not None else ()))
                found |= {m.name for m in marks if isinstance(m, Symbol)}
        return found - bound

    def _negated(self, array: Array) -> Array:
        return replace(array, at=lambda *places: negate(array.at(*places)))

    # Products: function on argument, matrix product, Hadamard product.

    def _product(self, node: Product, scope: Scope) -> Array:
        first = node.factors[0]
        if (
            isinstance(first, Derivative)
            and first.form == "subscript"
            and first.of is not None
            and _is_constant(first.of)
        ):
            rest = Product((first.of, *node.factors[1:]), node.operators)
            return self.array(replace(first, of=rest), scope)
        if all(o in ("", "cdot", "times", "/", "div", "@") for o in node.operators):
            return self._run(self._applied(node.factors, node.operators, scope), scope)
        try:
            parts = [self.array(f, scope) for f in node.factors]
            found = parts[0]
            for operator, part in zip(node.operators, parts[1:], strict=True):
                found = self._operated(found, operator, part)
            return found
        except Misfit:
            whole = flat(node)
            if whole == node:
                raise
            return self._run(self._applied(whole.factors, whole.operators, scope), scope)

    def _operated(self, left: Array, operator: str, right: Array) -> Array:
        match operator:
            case "odot" | "circ" | "ast" | "star" | "bullet":
                return self.algebra.hadamard(left, right)
            case "/" | "div" | "oslash":
                return self._quotient(left, right)
            case "cdot":
                return self.algebra.times(left, right, dot=True)
            case "" | "times" | "@":
                return self.algebra.times(left, right)
            case "otimes":
                return self.algebra.outer(left, right)
        raise NotRead(f"the operation {operator} is not read")

    def _applied(self, factors: Sequence[Node], operators: Sequence[str], scope: Scope) -> list[tuple[str, Array]]:
        """The factors as arrays, with the operator before each; a function takes the bracket behind it."""
        found: list[tuple[str, Array]] = []
        k = 0
        while k < len(factors):
            operator = operators[k - 1] if k else ""
            following = factors[k + 1] if k + 1 < len(factors) and operators[k] == "" else None
            taken = self._call(factors[k], following, scope) if following is not None else None
            if taken is not None:
                found.append((operator, taken))
                k += 2
            else:
                found.append((operator, self.array(factors[k], scope)))
                k += 1
        return found

    def _run(self, factors: list[tuple[str, Array]], scope: Scope) -> Array:
        """Factors multiplied from the left, or from the right where the first two do not fit: A (B x)."""
        try:
            return self._from_left(factors)
        except Misfit:
            if len(factors) < 3:
                raise
            for k in range(len(factors) - 1, 0, -1):
                if factors[k][0] in ("/", "div"):
                    raise
                try:
                    joined = self._operated(factors[k - 1][1], factors[k][0], factors[k][1])
                except Misfit:
                    continue
                rest = [*factors[: k - 1], (factors[k - 1][0], joined), *factors[k + 1 :]]
                try:
                    return self._run(rest, scope)
                except Misfit:
                    continue
            raise

    def _from_left(self, factors: list[tuple[str, Array]]) -> Array:
        found = factors[0][1]
        slash = False
        for operator, part in factors[1:]:
            if operator in ("/", "div"):
                slash = True
                found = self._quotient(found, part)
            elif slash and operator == "":
                found = self._quotient(found, part)  # 1/2m
            else:
                slash = False
                found = self._operated(found, operator, part)
        return found

    def _call(self, node: Node, following: Node, scope: Scope) -> Array | None:
        """A function on the bracket behind it, with the scripts of that bracket; None if this is a product."""
        below = above = None
        group = following
        if isinstance(following, Scripts) and isinstance(following.base, Group) and not following.primes:
            group, below, above = following.base, following.below, following.above
        held = relation_in(group) if isinstance(group, Group) and indicator_of(node) else None
        if held is not None:
            return self._scripted(scalar(mask(self, held, scope)), below, above, scope)
        if not isinstance(group, Group) or group.opening not in "([":
            return None
        mention = self.env.names.mention(node)
        if mention is None or mention.transposed:
            return None
        family = mention.family
        if family in self.env.functions or (family in self.facts.named_functions and mention.primes):
            if len(group.items) != 1:
                return None
            value = self._function(mention, self.array(group.items[0], scope), scope)
        elif self._lists_arguments(mention, group):
            value = self._with_arguments(mention, group, scope)
        else:
            return None
        return self._scripted(value, below, above, scope)

    def _lists_arguments(self, mention: Mention, group: Group) -> bool:
        """True where brackets name what a quantity depends on: J(W, b; x, y), h_\\theta(x^{(i)})."""
        family = mention.family
        if not mention.plain or not all(self._is_argument(i) for i in group.items):
            return False
        known = self.env.definitions.get(family, ())
        if any(d.head.arguments for d in known) or len(group.items) > 1:
            return True
        if family in self.env.abstract or family in self.env.numerators:
            return True
        inner = [self.env.names.mention(i) for i in group.items]
        return family.startswith("h") and all(m is not None and m.family in ("x", "X") for m in inner)

    def _is_argument(self, node: Node) -> bool:
        mention = self.env.names.mention(node)
        return mention is not None and mention.plain and not mention.components

    def _with_arguments(self, mention: Mention, group: Group, scope: Scope) -> Array:
        inner = [self.env.names.mention(i) for i in group.items]
        marks = {m.sample for m in inner if m is not None and m.sample is not None}
        known = [d for d in self.env.definitions.get(mention.family, ()) if d.head.arguments]
        if len(known) > 1 and all(len(d.head.arguments) != len(group.items) for d in known):
            raise NotRead(f"{mention.family} is defined for other arguments")
        family = self.signature(mention.family, len(group.items))
        named = replace(mention, family=family)
        if len(marks) == 1 and mention.sample is None:
            named = replace(named, sample=next(iter(marks)))
        return self._mentioned(named, scope)

    def signature(self, family: str, count: int) -> str:
        """The name of what a family with so many arguments means, where it has two meanings."""
        known = [d for d in self.env.definitions.get(family, ()) if d.head.arguments]
        numbers = sorted({len(d.head.arguments) for d in known})
        return family if len(numbers) < 2 or count == numbers[-1] else f"{family}({count})"

    def _function(self, mention: Mention, argument: Array, scope: Scope) -> Array:
        """A function of one argument, or a derivative of it, entry by entry."""
        family = mention.family
        definition = self.env.functions.get(family)
        if definition is not None:
            formula = self._formula(definition, mention.primes)
            found = self.algebra.each(formula, argument)
        else:
            function = self.facts.named_functions.get(family) or arbitrary(family)
            for _ in range(mention.primes):
                function = derivative(function)
            found = self.algebra.each(lambda x: apply(function, x), argument)
        if mention.power is not None:
            found = self.raised(found, mention.power, scope)
        return found

    def _formula(self, definition: Definition, primes: int) -> Callable[[Expr], Expr]:
        """A function that the document defines, differentiated so many times."""
        place = Tensor(f"argument of {definition.head.mention.family}")
        symbol = definition.head.arguments[0]
        mention = self.env.names.mention(symbol)
        assert mention is not None
        bound = _Bound(self, mention, place)
        value = bound.array(definition.right, Scope())
        if value.rank:
            raise NotRead("a function of one number has an array for its value")
        expr = value.at()
        for _ in range(primes):
            expr = self.total(expr, place, ())
        return lambda x: substitute(expr, {Entry(place): x})

    def _application(self, function: Node, argument: Node | None, scope: Scope) -> Array:
        exponent: Node | None = None
        symbol = function
        primes = 0
        base: Node | None = None
        if isinstance(function, Scripts):
            symbol, primes = function.base, function.primes
            if function.above is not None and len(function.above.items) == 1:
                exponent = function.above.items[0]
            if function.below is not None and len(function.below.items) == 1:
                base = function.below.items[0]
        if not isinstance(symbol, Symbol) or argument is None:
            raise NotRead("a function without an argument")
        name = symbol.name
        items = argument.items if isinstance(argument, Group) else (argument,)
        found = self._named(name, items, argument, base, primes, scope)
        return self.raised(found, exponent, scope) if exponent is not None else found

    def _named(
        self, name: str, items: Sequence[Node], argument: Node, base: Node | None, primes: int, scope: Scope
    ) -> Array:
        if name in ("max", "min") and len(items) == 2:
            pair = [self.array(i, scope) for i in items]
            return self.algebra.each(lambda a, b: _larger(a, b, name == "max"), *pair)
        if len(items) != 1:
            raise NotRead(f"{name} of several arguments is not read")
        lower = name.lower()
        outer, self._of_matrix = self._of_matrix, self._of_matrix or lower in ("tr", "trace", "det")
        value = self.array(items[0], scope)
        self._of_matrix = outer
        if name in self.env.functions or (name in NAMED or lower in NAMED):
            function = self.facts.named_functions.get(name) or NAMED.get(name) or NAMED.get(lower)
            if self.env.functions.get(name) is not None or function is None:
                return self._function(Mention(name, primes=primes), value, scope)
            if isinstance(base, Number) and function is LOG:
                scale = apply(LOG, number(int(base.text)))
                return self.algebra.each(lambda x: divide(apply(LOG, x), scale), value)
            for _ in range(primes):
                function = derivative(function)
            return self.algebra.each(lambda x: apply(function, x), value)
        if lower in WRITTEN_OUT:
            return self.algebra.each(lambda x: written_out(lower, x), value)
        match lower:
            case "softmax":
                return self._softmax(value)
            case "tr" | "trace":
                axis = self.algebra.meet(*self._square(value))
                return scalar(self.algebra.contracted(axis, lambda k: value.at(k, k)))
            case "det":
                self._square(value)
                return self._determinant(value)
            case "diag":
                return self._diagonal(value)
            case "sum":
                return self.algebra.summed(value)
            case "sqrt":
                return self.algebra.each(lambda x: power(x, Fraction(1, 2)), value)
        raise NotRead(f"the function {name} is not known")

    def _square(self, value: Array) -> tuple[Axis, Axis]:
        if value.rank != 2:
            raise Misfit("a trace or determinant is one of a matrix")
        return value.axes[0], value.axes[1]

    def _diagonal(self, value: Array) -> Array:
        if value.rank == 1:
            axis = value.axes[0]
            return Array((axis, axis), lambda i, j: multiply(kronecker(i, j), value.at(i)))
        axis = self.algebra.meet(*self._square(value))
        return Array((axis,), lambda i: value.at(i, i))

    def _softmax(self, value: Array) -> Array:
        if not value.rank:
            raise Misfit("softmax is one of a vector")
        along = 0 if self.facts.columns and value.rank == 2 else value.rank - 1
        axis = value.axes[along]

        def at(*places: Expr) -> Expr:
            def exponential(k: Expr) -> Expr:
                return apply(EXP, value.at(*places[:along], k, *places[along + 1 :]))

            return divide(exponential(places[along]), self.algebra.contracted(axis, exponential))

        return Array(value.axes, at, value.row)

    # Sums.

    def _big(self, node: Big, scope: Scope) -> Array:
        if node.body is None:
            raise NotRead("a sum of nothing")
        if node.operator not in ("sum", "max", "min"):
            raise NotRead(f"the operator {node.operator} is not read")
        names, lower = self._bound_names(node)
        for name in names:
            if name in self.env.habits.layer_letters and self._numbers_layers(name, node.body):
                return self._sum_of_layers(node, name, scope)
        body: Node = node.body
        inner = scope
        keys: list[tuple[str, Letter | None, Expr | None]] = []
        for name in names:
            samples, entries = self._uses(name, body, scope)
            key = ("sum", id(node), name, tuple(sorted((k, str(v)) for k, v in scope.layers.items())))
            origin = 1
            if samples:
                self._bounded(SAMPLES, node, scope)
                index = fresh(name, self.lengths.size(SAMPLES))
                inner = replace(inner, samples={**inner.samples, name: index})
                if entries and name not in self.free and name not in inner.letters:
                    inner = replace(inner, letters={**inner.letters, name: Letter(index, SAMPLES)})
                elif entries:
                    self.conditions["the sum's index is another one than the free index of that name"] = None
                keys.append((name, None, index))
                continue
            origin = self._origin(lower, key)
            self._bounded(key, node, scope, origin)
            size = self.lengths.size(key)
            index = fresh(name, add(size, ONE) if origin == 0 else size)
            letter = Letter(index, key, origin)
            inner = replace(inner, letters={**inner.letters, name: letter})
            keys.append((name, letter, index))
        value = self.array(body, inner)
        indices = [k[2] for k in keys]
        condition = self._exclusion(node, inner)

        def at(*places: Expr) -> Expr:
            summand = value.at(*places)
            if condition is not None:
                summand = multiply(condition, summand)
            for index in reversed(indices):
                assert isinstance(index, Index)
                summand = _bound(node.operator, index, summand)
            return summand

        return Array(value.axes, at, value.row)

    def _exclusion(self, node: Big, scope: Scope) -> Expr | None:
        """k \\ne j below a sum: 0 where the two agree."""
        for low in node.lower:
            if isinstance(low, Chain) and len(low.members) == 2 and low.relations[0].sign == "≠":
                return subtract(ONE, self.equal_indices(low.members[0], low.members[1], scope))
        return None

    def _bound_names(self, node: Big) -> tuple[list[str], Node | None]:
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

    def _uses(self, name: str, body: Node, scope: Scope) -> tuple[bool, bool]:
        """Whether a sum's letter counts examples in its body, and whether it stands for entries."""
        samples = entries = False
        for inner in walk(body):
            if not isinstance(inner, Scripts | Symbol):
                continue
            mention = self.env.names.mention(inner)
            if mention is None:
                continue
            if mention.sample is not None and any(
                isinstance(s, Symbol) and s.name == name for s in walk(mention.sample)
            ):
                samples = True
            entries |= any(isinstance(s, Symbol) and s.name == name for c in mention.components for s in walk(c))
        return samples, entries

    def _origin(self, lower: Node | None, key: Key) -> int:
        if isinstance(lower, Number):
            if lower.text == "0":
                return 0 if self._zero_based(key) else 1
            if lower.text == "1":
                return 1
            raise NotRead("a sum that starts elsewhere than at 0 or 1")
        if lower is not None and not isinstance(lower, Number):
            raise NotRead("a sum whose first index is no number")
        return self.memory.get(("origin", key), 1)

    def _zero_based(self, key: Key) -> bool:
        return self.memory.get(("origin", key), 0) == 0

    def _bounded(self, key: Key, node: Big, scope: Scope, origin: int = 1) -> None:
        """Join a sum's range with the length that its bound names."""
        upper = node.upper
        if upper is None:
            for low in node.lower:
                if isinstance(low, Chain) and low.relations and low.relations[0].sign == "∈":
                    named = self.length(low.members[1], scope)
                    if named is not None:
                        self.lengths.join(key, named)
            return
        starts_at_0 = any(
            isinstance(low, Chain) and isinstance(low.members[-1], Number) and low.members[-1].text == "0"
            for low in node.lower
        )
        match upper:
            case Terms((first, Number("1")), ("+", "-")) if starts_at_0:
                upper = first
            case Number(text) if text.isdigit():
                self.lengths.fix(key, int(text))
                return
        named = self.length(upper, scope)
        if named is not None:
            self.lengths.join(key, named)

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

    def _numbers_layers(self, name: str, body: Node) -> bool:
        for inner in walk(body):
            mention = self.env.names.mention(inner) if isinstance(inner, Scripts) else None
            if mention is not None and mention.layer is not None and mention.layer.base == name:
                return True
        return False

    def _sum_of_layers(self, node: Big, name: str, scope: Scope) -> Array:
        """A sum over all layers: a number of its own, of which each layer's part is known."""
        assert node.body is not None
        generic = Layer("\u00a7")
        value = self.array(node.body, replace(scope, layers={**scope.layers, name: generic}))
        if value.rank:
            raise NotRead("a sum of arrays over layers")
        body = value.at()
        range_name = repr((node.lower, node.upper))
        for known_range, known, tensor in self._sums:
            if known_range == range_name and Canonical().equal(known, body):
                return scalar(Entry(tensor))
        tensor = Tensor(f"sum over layers {len(self._sums) + 1}")
        self._sums.append((range_name, body, tensor))
        self.layer_sums[tensor] = (node.body, name, scope)
        return scalar(Entry(tensor))

    # Derivatives.

    def _derivative(self, node: Derivative, scope: Scope) -> Array:
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
            variables += [variable] * (1 if exponent is None else self._integer(exponent))
        once = not any(powers) and (node.kind == "nabla" or not node.powers)  # the Hessian is \nabla^2 f
        if once and node.order is not None and len(variables) == 1:
            variables *= self._integer(node.order)
        found = self._slopes(value, of, variables, scope)
        if len(variables) == 1:
            found = replace(found, upper=upper, lower=self._family(variables[0]), split=value.rank)
            if value.rank == 1 and found.rank == 2 and self.reading.lower_first and not self.reading.rows:
                found = self.algebra.transposed(found)
            if value.rank == 0 and found.rank == 2 and self.reading.turned and node.kind != "nabla":
                found = self.algebra.transposed(found)
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
            times = [1 if p is None else self._integer(p) for p in powers]
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

    # What quantities are.

    def equation(self, tensor: Tensor) -> Equation | None:
        """What the document makes of a tensor; None for one that is given."""
        if tensor not in self._equations:
            self._equations[tensor] = None  # while it is being read it is given
            self._equations[tensor] = self._defined(tensor)
        return self._equations[tensor]

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
        if definition is not None:
            value = self._value(definition, instance, axes, indices)
        own = axes[1:] if instance.lifted else axes
        if family in self.facts.ones and len(own) == 1 and own[0].origin == 0:
            place = indices[-1]
            rest = value if value is not None else Entry(replace_name(tensor, f"free {tensor.name}"), indices)
            value = where(kronecker(place, ZERO), ONE, rest)
        return None if value is None else Equation(tensor, indices, value)

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
        try:
            found = self.array(definition.right, scope)
        except NotRead:
            if self.frontier is not None:
                raise
            raise
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


def untransposed(node: Node) -> Node:
    r"""A variable of \partial\beta \partial\beta^T: the transpose says how the Hessian lies, and it is symmetric."""
    match node:
        case Scripts(base, below, Script((Symbol("T" | "top" | "intercal"),)), 0):
            return base if below is None else Scripts(base, below)
    return node


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


def replace_name(tensor: Tensor, name: str) -> Tensor:
    """A tensor of this shape with another name."""
    return Tensor(name, tensor.shape, tensor.kind)


def _letter_name(item: Node) -> str | None:
    match item:
        case Symbol(name):
            return name
        case Scripts(Symbol(name), None, None, primes) if primes:
            return name + "'" * primes
        case Scripts(Symbol(name), Script((Symbol(sub),)), None, 0):
            return f"{name}_{sub}"
    return None


def _bound(operator: str, index: Index, body: Expr) -> Expr:
    """A sum, or the largest or smallest value, over an index."""
    if operator == "sum":
        return close_sum(index, body)
    return Extremum("max" if operator == "max" else "min", index, body)


def _is_constant(node: Node) -> bool:
    """True for a number as it is written, 1/2."""
    return all(isinstance(n, Number | Ratio | Product | Group) for n in walk(node))


def _larger(left: Expr, right: Expr, larger: bool) -> Expr:
    """max or min of two numbers, by the positive part of their difference."""
    relu = FUNCTIONS["relu"]
    if left is ZERO and larger:
        return apply(relu, right)
    if right is ZERO and larger:
        return apply(relu, left)
    gap = subtract(left, right)
    return add(right, apply(relu, gap)) if larger else subtract(left, apply(relu, gap))


class _Bound(Elaborator):
    """Reads the right side of a function's definition, where a letter stands for the argument."""

    def __init__(self, outer: Elaborator, parameter: Mention, place: Tensor) -> None:
        super().__init__(outer.env, outer.facts, outer.lengths, outer.reading, outer.memory, outer.open_ends)
        self.outer, self.parameter, self.place_of_argument = outer, parameter, place

    def quantity(self, mention: Mention, scope: Scope) -> Array:
        if mention == self.parameter:
            return scalar(Entry(self.place_of_argument))
        return super().quantity(mention, scope)


__all__ = ["Elaborator"]
