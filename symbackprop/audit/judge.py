"""One link of a chain, judged: refuted by exact numbers, or proved for all sizes.

Both sides become expressions over the same indices; the equations that they rest on stand beside them. Numbers look for
a point at which the two differ (`checking.refute`), the normal form for a proof (`normal_form`), and what is proved is
cross-examined by numbers once more.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from symbackprop.audit.arrays import Array, Axis, Misfit, NotRead
from symbackprop.audit.definitions import Environment
from symbackprop.audit.elaborate import Elaborator
from symbackprop.audit.lengths import Key, Lengths, Overlay
from symbackprop.audit.names import LAYER_LETTERS, Layer
from symbackprop.audit.piecewise import mask
from symbackprop.audit.scope import Facts, Instance, Reading, Scope
from symbackprop.audit.tree import Big, Chain, Derivative, Group, Node, Number, Product, Scripts, Terms, walk
from symbackprop.audit.tree import Symbol as Letter
from symbackprop.checking.counterexample import Counterexample
from symbackprop.checking.question import Question, probed
from symbackprop.checking.refute import AT_A_GLANCE, cross_examine, refute, refute_at_small_sizes
from symbackprop.checking.sample_points import STAND_INS, arbitrary_functions
from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.exact import Evaluator, all_symbols
from symbackprop.evaluation.number_types import FLOAT
from symbackprop.expression.build import (
    ZERO,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    Sum,
    Symbol,
    SymmetricTensor,
    Tensor,
    close_sum,
    entries_once,
    free_indices,
    kronecker,
    multiply,
    nodes_once,
    open_binder,
    rewrite,
    tensors_in,
)
from symbackprop.expression.program import Assumption, Equation, Program
from symbackprop.expression.sizes import NO_FACTS
from symbackprop.normal_form.modulo_equations import Resolver
from symbackprop.normal_form.normal_form import Canonical

ELEMENTWISE = "vectors side by side are multiplied entry by entry"
PASSES = 8
SHOWN = 0.3  # seconds to find out which definitions an equality needs


@dataclass(frozen=True)
class Comparison:
    """Two expressions over the same indices, and what they rest on.

    Args:
        places: the free indices.
        equations: of the quantities that occur, in an order in which they can be computed.
        misfits: lengths that the claim takes for equal though the definitions keep them apart; `own_misfits`: those
            that the left side alone does.
        from_zero: free indices that may be 0.
        families: the quantities that occur, down to those that are given.
        conditions: how it was read, where that is not the usual way.
        one_open: one side alone rests on slopes of a cost that nothing defines.
    """

    left: Expr
    right: Expr
    places: tuple[Index, ...]
    equations: tuple[Equation, ...]
    misfits: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    own_misfits: tuple[str, ...] = ()
    from_zero: tuple[str, ...] = ()
    families: frozenset[str] = frozenset()
    one_open: bool = False


@dataclass(frozen=True)
class Ruling:
    """What is known of one link.

    Args:
        status: PROVED, REFUTED, UNDECIDED or NOT UNDERSTOOD.
    """

    status: str
    reason: str = ""
    conditions: tuple[str, ...] = ()
    counterexample: Counterexample | None = None
    comparison: Comparison | None = None


@dataclass(frozen=True)
class Setting:
    """What a link is read under.

    Args:
        key: the number of its formula, and its own.
        restricted: indices that the text says begin with 1.
        symmetric: matrices that the words suppose to be so.
        cases: which of the free indices agree, or do not, where it is said to hold.
        held: quantities that do not change, where differentials are spoken of.
    """

    env: Environment
    facts: Facts
    lengths: Lengths
    reading: Reading
    key: Key
    restricted: tuple[str, ...] = ()
    symmetric: frozenset[str] = frozenset()
    cases: tuple[Chain, ...] = ()
    held: frozenset[str] = frozenset()

    @property
    def scope(self) -> Scope:
        """What its letters mean at first: nothing but that they may be free."""
        return Scope(claim=self.key, stacked=self.reading.stacked)

    def elaborator(self, draft: Lengths, memory: dict[Key, int], frontier: tuple[Instance, ...] | None) -> Elaborator:
        """A reader of its formulas."""
        found = Elaborator(self.env, self.facts, draft, self.reading, memory, frontier or ())
        found.held = self.held
        return found


def compare(setting: Setting, left: Node, right: Node) -> Comparison:
    """Read both sides of a link.

    Raises:
        NotRead: a side has no reading, or the two have different shapes.
    """
    elab, both, places, rested, frontier = read(setting, left, right)
    lengths = setting.lengths
    draft, memory = elab.lengths, elab.memory
    free = (*elab.free.values(), *elab.free_samples.values())
    used = {i for e in both for i in free_indices(e)}
    letters = [getattr(f, "place", f) for f in free]
    indices = tuple(i for i in letters if isinstance(i, Index)) + places
    indices = tuple(dict.fromkeys((*indices, *sorted(used - set(indices), key=lambda i: i.name))))
    misfits = _misfits(lengths, draft)
    own = _misfits_of(setting, left, memory, frontier) if misfits else ()
    from_zero = tuple(name for name, letter in elab.free.items() if letter.origin == 0)
    tensors = {t for e in (*both, *(q.value for q in rested)) for t in tensors_in(e)}
    families = frozenset(elab.instances[t].family for t in tensors if t in elab.instances)
    conditions = tuple(elab.conditions) + ((ELEMENTWISE,) if elab.algebra.read_elementwise else ())
    one_open = _is_open(elab, both[0], rested) != _is_open(elab, both[1], rested)
    return Comparison(
        both[0], both[1], indices, rested, misfits, conditions, own, from_zero, families, one_open
    )  # fmt: skip


def _is_open(elab: Elaborator, side: Expr, equations: Sequence[Equation]) -> bool:
    """True if a side rests on slopes of what nothing defines."""
    found = set(tensors_in(side))
    for equation in reversed(equations):  # each after those that it is made of
        if equation.tensor in found:
            found |= tensors_in(equation.value)
    return any(elab.jets[t][0].name in elab.env.abstract for t in found if t in elab.jets)


def _misfits_of(
    setting: Setting, side: Node, memory: dict[Key, int], frontier: tuple[Instance, ...] | None
) -> tuple[str, ...]:
    """The lengths that one side by itself takes for equal."""
    draft = setting.lengths.copy()
    elab = setting.elaborator(draft, dict(memory), frontier)
    elab.settled = False
    array = elab.array(side, setting.scope)
    array.at(*(Index(f"p{k}", axis.size(draft)) for k, axis in enumerate(array.axes)))
    return _misfits(setting.lengths, draft)


Sides = tuple[Expr, Expr]


def read(
    setting: Setting,
    left: Node,
    right: Node,
    ends: tuple[Instance, ...] | None = None,
    apart: bool = False,
    layer: Layer | None = None,
) -> tuple[Elaborator, Sides, tuple[Index, ...], tuple[Equation, ...], tuple[Instance, ...]]:
    """Both sides as expressions, read again until all lengths and open ends are known; see `compare`.

    Args:
        ends: the open ends, where they are known.
        apart: the two sides are not laid one upon the other: they may have different shapes.
        layer: the layer or time of which they speak, where they are what it adds to a sum.
    """
    draft = setting.lengths.copy()
    left, right, at_layer = each_layer(setting.env, left, right)
    memory: dict[Key, int] = {}
    memory |= {("origin", ("free", setting.key, name)): 1 for name in setting.restricted}
    frontier = ends
    known, settled = -1, False
    for _ in range(PASSES):
        elab = setting.elaborator(draft, memory, frontier)
        elab.settled, elab.at_layer = settled, at_layer or layer
        elab.claimed_layer = _one_layer(setting.env, left)
        sides = elab.array(left, setting.scope), elab.array(right, setting.scope)
        a, b = sides if apart else _aligned(elab, *sides)
        places = tuple(Index("pqrs"[k] if k < 4 else f"p{k}", axis.size(draft)) for k, axis in enumerate(a.axes))
        both = a.at(*places), b.at(*(places if not apart else _places(elab, b)))
        inside: list[Expr] = [
            Compare("<=", ZERO, p) if low else Compare("<", p, axis.size(draft))
            for p, axis in elab.guards
            for low in (True, False)
        ]
        for case in setting.cases:
            letters = {n.name for m in case.members for n in walk(m) if isinstance(n, Letter)}
            if letters & setting.env.index_letters <= set(elab.free):
                inside.append(mask(elab, case, setting.scope).at())
        elab.inside = tuple(inside)
        both = multiply(*inside, both[0]), multiply(*inside, both[1])
        rested = _rested(elab, both)
        frontier = open_ends(elab) if ends is None else ends
        state = hash(
            (
                frontier,
                draft.count(),
                tuple(sorted((repr(k), v) for k, v in memory.items())),
            )
        )
        if settled:
            break
        known, settled = state, state == known
    return elab, both, places, rested, frontier or ()


def each_layer(env: Environment, left: Node, right: Node) -> tuple[Node, Node, Layer | None]:
    r"""The two sides of dL/dW = \sum_t ..., each as what one layer or time adds to the sum, and which that is.

    The parameter is one of all layers; what layer t adds is its slope where its own equation alone counts. Equal parts
    have equal sums; parts that differ have different sums where there is one time alone.
    """
    if not isinstance(left, Derivative) or len(left.by) != 1:
        return left, right, None
    mention = env.names.mention(left.by[0])
    if mention is None or mention.layer is not None or env.definitions.get(mention.family):
        return left, right, None
    body = _summand(env, right)
    return (left, *body) if body is not None else (left, right, None)


def _summand(env: Environment, node: Node) -> tuple[Node, Layer] | None:
    match node:
        case Big("sum", (low,), upper, body) if body is not None:
            letter, start = low, None
            if isinstance(low, Chain) and len(low.members) == 2 and low.relations[0].sign == "=":
                letter, start = low.members
            every = start in (None, Number("1"), Number("0")) and (upper is None or isinstance(upper, Letter | Scripts))
            if isinstance(letter, Letter) and letter.name in env.habits.layer_letters and every:
                mentions = (env.names.mention(n) for n in walk(body) if isinstance(n, Scripts))
                if any(m is not None and m.layer is not None and m.layer.base == letter.name for m in mentions):
                    return body, Layer(letter.name)
        case Terms((inner,), signs) if (found := _summand(env, inner)) is not None:
            return Terms((found[0],), signs), found[1]
        case Group("(" | "[", closing, (inner,)) if (found := _summand(env, inner)) is not None:
            return Group("(", closing, (found[0],)), found[1]
        case Product((*first, last), operators) if (found := _summand(env, last)) is not None:
            return Product((*first, Group("(", ")", (found[0],))), operators), found[1]
    return None


def _one_layer(env: Environment, node: Node) -> Layer | None:
    """The layer of which the left side speaks, if it is one alone."""
    mentions = (env.names.mention(n) for n in walk(node) if isinstance(n, Scripts))
    found = {m.layer for m in mentions if m is not None and m.layer is not None}
    return found.pop() if len(found) == 1 else None


def _places(elab: Elaborator, array: Array) -> tuple[Index, ...]:
    return tuple(Index(f"p{k}", axis.size(elab.lengths)) for k, axis in enumerate(array.axes))


def _aligned(elab: Elaborator, left: Array, right: Array) -> tuple[Array, Array]:
    if left.rank != right.rank:
        if right.rank == 0 and _is_number(right):
            return left, Array(left.axes, lambda *places: right.at(), left.row)
        raise Misfit(f"the left side is {_shape_word(left)}, the right side {_shape_word(right)}", "shape")
    for a, b in zip(left.axes, right.axes, strict=True):
        elab.algebra.meet(a, b)
    return left, right


def _is_number(array: Array) -> bool:
    return not tensors_in(array.at())


def _shape_word(array: Array) -> str:
    return ("a number", "a vector", "a matrix")[array.rank] if array.rank < 3 else f"an array with {array.rank} axes"


def _misfits(lengths: Lengths, draft: Lengths) -> tuple[str, ...]:
    """Lengths that are one in the draft and apart where the document defines them."""
    classes: dict[Key, dict[Key, str]] = {}
    for key in list(lengths.keys()):
        if lengths.name(key) is None:
            continue
        classes.setdefault(draft.root(key), {})[lengths.root(key)] = lengths.name(key) or ""
    return tuple(" = ".join(sorted(names.values())) for names in classes.values() if len(names) > 1)


def open_ends(elab: Elaborator) -> tuple[Instance, ...]:
    """The last tensors that are spoken of: whatever the document leaves open is a function of these."""
    env, found = elab.env, []
    targets = list(elab.targets)
    bases = {i.layer.base for i in (elab.instances[t] for t in targets) if i.layer is not None}
    bases |= {elab.at_layer.base} if elab.at_layer is not None else set()
    made = (d for family, known in env.definitions.items() if not family.startswith("d ") for d in known)
    if bases == {""} and all(d.layer is None for d in made):
        bases = set()  # W_1 and W_2 in one formula are no layers that follow each other
    for base in bases:
        members = _layered_members(elab, base, targets)
        last = _maximal(elab, members)
        inner = [t for t in targets if t not in members] + members
        found += last if elab.reading.at_once else _closed(elab, last, inner)
    if env.abstract and not bases:
        members = [t for t in targets]
        for family, known in env.definitions.items():
            if family.startswith("d ") or any(d.slope or d.layer is not None or d.of_one_entry for d in known):
                continue
            members.append(elab.tensor(Instance(family, None, False)))
        costs = [elab.tensor(Instance(f, None, False)) for f in env.abstract]
        members = [m for m in dict.fromkeys(members) if m not in costs and not any(elab.depends(m, c) for c in costs)]
        named = set().union(*elab.facts.reaches.values()) if set(elab.facts.reaches) >= env.abstract else set()
        last = [m for m in members if elab.instances[m].family in named]
        covered = all(t in last or any(elab.depends(m, t) for m in last) for t in targets)
        last = last if covered else [m for m in last if m not in targets]
        members = last or [m for m in members if m in targets or not _written_out(elab, m)]
        if elab.reading.costs_apart:
            members = [m for m in members if m in targets or elab.instances[m].family not in env.costs]
        found += _maximal(elab, members)
    return tuple(dict.fromkeys(elab.instances[t] for t in found))


def _written_out(elab: Elaborator, tensor: Tensor) -> bool:
    """True for u = W x where another definition has W x in it: u is a name for a part of that."""
    known = elab.env.definitions
    mine = [d.right for d in known.get(elab.instances[tensor].family, ()) if not d.slope]
    others = (d.right for f, ds in known.items() if f != elab.instances[tensor].family for d in ds)
    return any(node in mine for right in others for node in walk(right) if not isinstance(node, Letter))


def _layered_members(elab: Elaborator, base: str, targets: Sequence[Tensor]) -> list[Tensor]:
    """The quantities of these layers, and where parameters go, the quantity made of them."""
    members = []
    for tensor in list(elab.spoken):
        instance = elab.instances[tensor]
        if instance.layer is not None and instance.layer.base == base and _computed(elab, tensor):
            members.append(tensor)
    for target in targets:
        instance = elab.instances[target]
        if instance.layer is None or instance.layer.base != base:
            continue
        members.append(target)
        if any(m is not target and elab.depends(m, target) for m in members):
            continue
        if not _computed(elab, target):
            members += elab.consumers(instance)
    return list(dict.fromkeys(m for m in members if not _is_slope(elab, m)))


def _is_slope(elab: Elaborator, tensor: Tensor) -> bool:
    instance = elab.instances.get(tensor)
    if instance is None:
        return True
    known = elab.env.of(instance.family, instance.layer)
    return (known is not None and known.slope) or instance.family in elab.env.abstract


def _computed(elab: Elaborator, tensor: Tensor) -> bool:
    return not _is_slope(elab, tensor) and elab.equation(tensor) is not None


def _closed(elab: Elaborator, last: list[Tensor], inner: Sequence[Tensor]) -> list[Tensor]:
    """The last tensors with all others by which the cost is reached: o_t and h_{t+1}, where h_t leads to both.

    This is for quantities of times, each of which leads to a cost of its own; a layer leads to the next one alone.
    """
    times = {i.layer.base for t in (*last, *inner) if (i := elab.instances[t]).layer is not None} - LAYER_LETTERS
    if not times or (not elab.layer_sums and not _recurs(elab, last)):
        return last
    found = list(last)
    waiting = [t for t in inner if t not in found]
    seen = set(waiting)
    while waiting:
        tensor = waiting.pop()
        instance = elab.instances[tensor]
        if instance.layer is None or not any(elab.depends(f, tensor) for f in found):
            continue
        for other in elab.consumers(instance):
            if other in found or other in seen or _is_slope(elab, other):
                continue
            if any(elab.depends(f, other) for f in found):
                seen.add(other)
                waiting.append(other)
            else:
                found.append(other)
    return _maximal(elab, found)


def _recurs(elab: Elaborator, tensors: Sequence[Tensor]) -> bool:
    """True if a quantity leads to more than one other, so that not all goes through the last that is spoken of."""
    return any(len(set(elab.consumers(elab.instances[t]))) > 1 for t in tensors)


def _maximal(elab: Elaborator, members: Sequence[Tensor]) -> list[Tensor]:
    return [m for m in members if not any(o is not m and elab.depends(o, m) for o in members)]


def _rested(elab: Elaborator, both: Sequence[Expr]) -> tuple[Equation, ...]:
    """The equations of all quantities in these expressions, down to the lowest layer that they speak of."""
    start = {t for e in both for t in tensors_in(e)}
    lowest: dict[str, int] = {}
    for tensor in start:
        layer = _layer(elab, tensor)
        if layer is not None and layer.base:
            lowest[layer.base] = min(lowest.get(layer.base, layer.offset), layer.offset)
    order: dict[Tensor, Equation] = {}
    state: dict[Tensor, bool] = {}

    def visit(tensor: Tensor) -> None:
        if tensor in state:
            return
        state[tensor] = True
        layer = _layer(elab, tensor)
        if layer is not None and layer.base:
            lowest.setdefault(layer.base, layer.offset)
        if layer is not None and (
            layer.offset < (lowest.get(layer.base, layer.offset) if layer.base else 1)
        ):  # fmt: skip
            return
        equation = elab.equation(tensor)
        if equation is None:
            return
        for other in sorted(tensors_in(equation.value), key=lambda t: t.name):
            visit(other)
        order[tensor] = equation

    for tensor in sorted(start, key=lambda t: t.name):
        visit(tensor)
    return tuple(order.values())


def _layer(elab: Elaborator, tensor: Tensor) -> Layer | None:
    instance = elab.instances.get(tensor)
    return instance.layer if instance is not None and tensor not in elab.jets else None


def square_inputs(comparison: Comparison) -> list[Tensor]:
    """The square matrices that are given."""
    known = {e.tensor for e in comparison.equations}
    every = {
        t for e in (comparison.left, comparison.right, *(q.value for q in comparison.equations)) for t in tensors_in(e)
    }
    square = (t for t in every - known if len(t.shape) == 2 and t.shape[0] is t.shape[1])
    return sorted(square, key=lambda t: t.name)


def in_both_orders(comparison: Comparison, tensor: Tensor) -> bool:
    """True if the left side holds a matrix and its transpose, as the slope of a quadratic form does."""
    free = set(comparison.places)
    found = [e.indices for e in entries_once(comparison.left) if e.tensor is tensor]
    return all(any(i[k] in free and i[1 - k] not in free for i in found) for k in (0, 1))


def with_symmetric(comparison: Comparison, tensor: Tensor) -> Comparison:
    """The same with a matrix that equals its transpose."""
    other = SymmetricTensor(tensor.name, tensor.shape)

    def turned(expr: Expr) -> Expr:
        return rewrite(expr, lambda e: Entry(other, e.indices) if isinstance(e, Entry) and e.tensor is tensor else None)

    equations = tuple(replace(e, value=turned(e.value)) for e in comparison.equations)
    return replace(comparison, left=turned(comparison.left), right=turned(comparison.right), equations=equations)


def with_one_hot(comparison: Comparison, family: str, letter: str, named: bool) -> Comparison | None:
    r"""The same where y_c is 1 and all other entries of y are 0, for any c; None where y is no vector that is given.

    Args:
        named: c stands in the formula; otherwise it is an index of its own.
    """
    values = (comparison.left, comparison.right, *(e.value for e in comparison.equations))
    vectors = [t for t in set().union(*map(tensors_in, values)) if t.name == family and len(t.shape) == 1]
    if len(vectors) != 1 or vectors[0] in {e.tensor for e in comparison.equations}:
        return None
    vector, places = vectors[0], comparison.places
    if not named:
        places = (*places, Index(f"{letter} of {family}", vector.shape[0]))
    here = places[-1] if not named else next((i for i in places if i.name == letter), None)
    if here is None or here.size is not vector.shape[0]:
        return None
    made: dict[Tensor, Equation] = {}  # what is made of the vector has this index too: it is written out

    def entry(node: Expr) -> Expr | None:
        if isinstance(node, Entry) and node.tensor in made:
            return rewrite(made[node.tensor].at(node.indices), entry)
        return kronecker(node.indices[0], here) if isinstance(node, Entry) and node.tensor is vector else None

    for equation in comparison.equations:
        if tensors_in(equation.value) & {vector, *made}:
            made[equation.tensor] = equation
    kept = tuple(e for e in comparison.equations if e.tensor not in made)
    left, right = rewrite(comparison.left, entry), rewrite(comparison.right, entry)
    return replace(comparison, left=left, right=right, places=places, equations=kept)


class Trials:
    """Right sides that are tried in the place of a wrong one: what numbers show at one point, in floating point.

    Nothing is refuted or proved by it: it says which of many are worth asking about.
    """

    def __init__(self, setting: Setting, left: Node, wrong: Node | None = None) -> None:
        ends: tuple[Instance, ...] | None = None
        try:
            if wrong is not None:
                *_, ends = read(setting, left, wrong, apart=True)
        except NotRead:
            pass
        self.setting = setting
        self.at_layer = each_layer(setting.env, left, wrong)[2] if wrong is not None else None
        self.elab, (self.left, _), self.places, _, _ = read(setting, left, left, ends, layer=self.at_layer)
        self.axes = self.elab.array(left, setting.scope).axes

    def agree(self, right: Node) -> bool:
        """True if nothing shows that the two sides differ."""
        elab = self.elab
        known, read_before = set(elab.free), elab.read_so_far()
        before = elab.lengths
        elab.lengths = elab.algebra.lengths = Overlay(before)
        try:
            if self.at_layer is not None:
                summand = _summand(self.setting.env, right)
                if summand is None:
                    return False
                right = summand[0]
            array = elab.array(right, self.setting.scope)
            if array.rank != len(self.axes):
                return False
            for one, two in zip(self.axes, array.axes, strict=True):
                elab.algebra.meet(one, two)
            value = multiply(*elab.inside, array.at(*self.places))
            if set(elab.free) - known:
                return False
            rested = _rested(elab, (self.left, value))
            return self._same(value, rested, self._sizes(before, elab.lengths))
        except (NotRead, SymbackpropError, ArithmeticError, RecursionError, KeyError):
            return False
        finally:
            elab.lengths = elab.algebra.lengths = before
            elab.forget_but(read_before)
            for name in set(elab.free) - known:
                del elab.free[name]

    def _sizes(self, before: Lengths, after: Lengths) -> dict[Symbol, int]:
        """A number for each length; what the right side makes one length is one number."""
        found: dict[Symbol, int] = {}
        numbers: dict[Key, int] = {}
        for key in sorted(after.keys(), key=repr):
            root = after.root(key)
            for lengths in (before, after):
                size = lengths.size(key)
                if isinstance(size, Symbol):
                    found[size] = numbers.setdefault(root, 2 + len(numbers) % 3)
        return found

    def _same(self, value: Expr, equations: tuple[Equation, ...], sizes: dict[Symbol, int]) -> bool:
        """The two sides at one point."""
        free = dict.fromkeys(
            (*sorted(free_indices(self.left) | free_indices(value), key=lambda i: i.name), *self.places)
        )
        if any(i.uid for i in free):
            return False
        indices = tuple(free)
        shape = tuple(i.size for i in indices)
        both = Equation(Tensor("left", shape), indices, self.left), Equation(Tensor("right", shape), indices, value)
        known = {e.tensor for e in equations}
        inputs = dict.fromkeys(
            t for e in (*equations, *both) for t in sorted(tensors_in(e.value), key=lambda t: t.name) if t not in known
        )
        program = Program(tuple(inputs), (*equations, *both), (both[0].tensor, both[1].tensor))
        functions = {f.name: STAND_INS[k % len(STAND_INS)] for k, f in enumerate(arbitrary_functions((program,)))}
        evaluator = Evaluator(program, FLOAT, functions)
        values: dict[Symbol, Any] = {s: sizes.get(s, 3) for s in all_symbols(program) if s.kind == "size"}
        given = {t: self._numbers(t, evaluator.shape(t, values)) for t in inputs}
        arrays = evaluator.run(values, given)
        left, right = arrays[both[0].tensor], arrays[both[1].tensor]
        return all(_near(left[p], right[p]) for p in left)

    def _numbers(self, tensor: Tensor, shape: tuple[int, ...]) -> dict[tuple[int, ...], float]:
        """Numbers between 0 and 1 that depend on the name alone; shares where data add up to 1."""
        rng = random.Random(tensor.name)
        array = np.array([rng.uniform(0.15, 0.85) for _ in range(int(np.prod(shape)))]).reshape(shape)
        instance = self.elab.instances.get(tensor)
        facts = self.setting.facts
        if facts.sums_to_one and instance is not None and instance.family in facts.targets and shape:
            array = array / array.sum(axis=facts.along, keepdims=True)
        if tensor.name in self.setting.symmetric and array.ndim == 2 and array.shape[0] == array.shape[1]:
            array = array + array.T
        return {p: float(array[p]) for p in np.ndindex(*shape)}


def _near(left: Any, right: Any) -> bool:
    try:
        gap = abs(float(left) - float(right))
    except TypeError:
        return True
    return math.isnan(gap) or gap <= 1e-7 * max(1e-3, abs(float(left)))


@dataclass
class Case:
    """A comparison as a question, with what is assumed of the quantities that are given."""

    comparison: Comparison
    assumed: tuple[tuple[str, str, int], ...] = ()
    _made: Question | None = field(default=None, repr=False)

    @property
    def program(self) -> Program:
        """The equations, and the left side as the output."""
        c = self.comparison
        shape = tuple(i.size for i in c.places)
        left = Tensor("left side", shape)
        equations = (*c.equations, Equation(left, c.places, c.left))
        known = {e.tensor for e in equations}
        inputs = dict.fromkeys(
            t for e in (*(q.value for q in equations), c.right) for t in sorted(tensors_in(e), key=lambda t: t.name)
            if t not in known
        )  # fmt: skip
        return Program(tuple(inputs), equations, (left,), assumptions=self.assumptions(inputs))

    def assumptions(self, inputs: Iterable[Tensor]) -> tuple[Assumption, ...]:
        """What is assumed of the inputs."""
        found = []
        for tensor in inputs:
            for family, kind, axis in self.assumed:
                if tensor.name.split("^(")[0].removesuffix(" each") == family and tensor.shape:
                    found.append(Assumption(kind, tensor, axis=axis))  # type: ignore[arg-type]
        return tuple(found)

    def question(self) -> Question:
        """Is the right side the gradient of sum(probe * left side) by the probe?"""
        if self._made is None:
            program, c = self.program, self.comparison
            forward, probe = probed(program, program.outputs[0])
            right = Tensor("right side", program.outputs[0].shape)
            inner = [e.tensor for e in c.equations]
            claimed = Program(
                (*forward.inputs, *inner),
                (Equation(right, c.places, c.right),),
                (right,),
                assumptions=forward.assumptions,
            )
            self._made = Question(forward, claimed, {"left side": (probe, right)})
        return self._made

    def refuted(self, seconds: float, small: bool = True, most: int | None = None) -> Counterexample | None:
        """A point at which the two sides differ; after `most` that show nothing no more are looked at."""
        question = self.question()
        return refute(question, budget_seconds=seconds, stage="first look", small=small, shrink_seconds=0.05, most=most)

    def proved(self) -> tuple[str, ...] | None:
        """What a proof makes use of; None if there is none."""
        c, program = self.comparison, self.program
        if c.left is c.right:
            return ()
        table = Canonical(NO_FACTS, program.known)
        try:
            plain = _plain(c)
            for one, two in dict.fromkeys(((c.left, c.right), plain)):
                if table.equal(one, two):
                    return tuple(table.used)
        except SymbackpropError:
            pass
        right = Tensor("right side", program.outputs[0].shape)
        equations = (*program.equations, Equation(right, c.places, c.right))
        resolver = Resolver(equations, NO_FACTS, program.known, seconds=2.0)
        if resolver.meets(program.outputs[0], right):
            return tuple(resolver.used)
        return None

    def needed(self) -> tuple[Equation, ...] | None:
        """The definitions with which both sides have one normal form: none, or of what they mention; None for more."""
        c = self.comparison
        mentioned = tensors_in(c.left) | tensors_in(c.right)
        found = tuple(e for e in c.equations if e.tensor in mentioned)
        if not self._equal_by(found):
            return None
        for equation in found:
            fewer = tuple(e for e in found if e is not equation)
            found = fewer if self._equal_by(fewer) else found
        return found

    def _equal_by(self, equations: tuple[Equation, ...]) -> bool:
        try:
            table = Resolver(equations, NO_FACTS, self.program.known, seconds=SHOWN)
            return table.equal(self.comparison.left, self.comparison.right)
        except SymbackpropError:
            return False


def _plain(comparison: Comparison) -> Sides:
    """The two sides without names of quantities that hold no sums, nested sums of the left one turned."""
    names = {e.tensor: e for e in comparison.equations if not any(isinstance(n, Sum) for n in nodes_once(e.value))}

    def meaning(node: Expr) -> Expr | None:
        named = isinstance(node, Entry) and node.tensor in names
        return rewrite(names[node.tensor].at(node.indices), meaning) if named else None  # type: ignore[attr-defined]

    return turned_sums(rewrite(comparison.left, meaning)), rewrite(comparison.right, meaning)


def turned_sums(expr: Expr) -> Expr:
    """The same with nested sums in the other order: a delta is solved for an index of the inner one."""

    if not any(isinstance(n, Kronecker) for n in nodes_once(expr)):
        return expr

    def turned(node: Expr) -> Expr | None:
        indices: list[Index] = []
        body = node
        while isinstance(body, Sum):
            index, body = open_binder(body)
            indices.append(index)
        if len(indices) < 2 or not any(isinstance(n, Kronecker) for n in nodes_once(body)):
            return None
        for index in indices:
            body = close_sum(index, body)
        return body

    return rewrite(expr, turned)


def decided(comparison: Comparison, assumed: tuple[tuple[str, str, int], ...] = (), seconds: float = 0.3) -> Ruling:
    """The two sides are equal for all sizes, or differ at a point, or it is not known."""
    case = Case(comparison, assumed)
    try:
        found = case.refuted(seconds, small=seconds > 0.1, most=AT_A_GLANCE)
        used = case.proved() if found is None else None
        if found is None and used is None:  # a proof makes more points needless: they are most of the work
            found = case.refuted(seconds, small=seconds > 0.1)
        if found is not None:
            return Ruling("REFUTED", counterexample=found, comparison=comparison)
        if used is None:
            reason = "numbers agree at every point tried, and no proof was found"
            return Ruling("UNDECIDED", reason, comparison=comparison)
        if comparison.left is not comparison.right:
            found = refute_at_small_sizes(case.question(), seconds)
            if found is not None:
                return Ruling("REFUTED", counterexample=found, comparison=comparison)
            answer = cross_examine(case.question(), points=1)
            if answer is not True:
                return Ruling("UNDECIDED", "the proof and the numbers disagree", comparison=comparison)
        return Ruling("PROVED", conditions=tuple(used), comparison=comparison)
    except (SymbackpropError, ArithmeticError, RecursionError) as error:
        what = getattr(error, "what", str(error))
        return Ruling("UNDECIDED", f"it could not be examined: {what}", comparison=comparison)


__all__ = ["Axis", "Case", "Comparison", "Entry", "NotRead", "Ruling", "compare", "decided"]
