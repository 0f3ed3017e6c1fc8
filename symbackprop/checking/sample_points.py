"""Points worth looking at: sizes that tell axes apart, and exact numbers that hide nothing.

Sizes are small and unequal with a batch of at least 2 first, since square shapes let a transposed factor pass; then
each size 1, all equal, larger. Numbers are dyadic (floats are them exactly), never 0, all different within a tensor so
that no maximum is tied, and keep to what is assumed of an input. This module must not know what is examined at a point.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.question import Question
from symbackprop.checking.regions import ANY, Assignment, finite_regions, may_have_no_value
from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.arrays import Vectors
from symbackprop.evaluation.compile import Compiler, OutOfRangeError, State
from symbackprop.evaluation.exact import Evaluator, all_symbols, array_of
from symbackprop.evaluation.number_types import FLOAT, TooCloseError
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    Apply,
    Expr,
    Index,
    Number,
    Quotient,
    Symbol,
    Tensor,
    nodes_once,
    number,
    substitute,
)
from symbackprop.expression.functions import FUNCTIONS, Function, defined, is_arbitrary, y, z
from symbackprop.expression.program import Assumption, Program
from symbackprop.expression.sizes import simplify

Sizes = dict[Symbol, int]
LARGEST, SAMPLED, MANY = 8, 600, 12
LONGEST = 400  # places by which an axis grows so that there are several tiles of it
MOST_ENTRIES = 4000  # of all tensors at such a point
# What an arbitrary function may stand for. Two in a row share no identity such as f' = f (1 - f).
STAND_INS = tuple(FUNCTIONS[name] for name in ("sigmoid", "softplus", "tanh", "silu"))
TWO_ARGUMENT_STAND_INS = (defined("z**2*y + z + y**3", z**2 * y + z + y**3), defined("z*y**2 + z**3", z * y**2 + z**3))


class Sampler:
    """Draws points for a question; the same seed draws the same points."""

    def __init__(self, question: Question, rng: random.Random) -> None:
        self.question, self.rng = question, rng
        programs = (question.forward, question.claimed)
        found = dict.fromkeys(s for p in programs for s in all_symbols(p))
        labels = [a.size for p in programs for a in p.assumptions if a.size is not None]
        found |= {s: None for n in labels for s in nodes_once(n) if isinstance(s, Symbol)}
        self.symbols = tuple(s for s in found if s.kind == "size")
        self.parameters = tuple(s for s in found if s.kind != "size" and s.name != "pi")
        self.kinds: dict[Tensor, Assumption] = {a.tensor: a for p in programs for a in p.assumptions}
        self._arbitrary = arbitrary_functions(programs)
        compiler = Compiler(FLOAT)
        self._shapes = {t: [compiler.compile(n) for n in t.shape] for p in programs for t in p.tensors}
        self._lengths = {n: compiler.compile(n) for t in self._shapes for n in t.shape}
        self._held = {n for t in (*question.given, *question.forward.outputs) for n in t.shape}
        self._alike = Counter(t.shape for t in self._shapes)
        self._labels = {t: compiler.compile(a.size) for t, a in self.kinds.items() if a.size is not None}
        self._domain = [compiler.compile(c) for p in programs for c in p.domain]
        self.drawn = 0
        self.regions: list[Assignment] | None = None  # None until they are asked for; empty where none is needed

    def shape(self, tensor: Tensor, sizes: Sizes) -> tuple[int, ...]:
        """The concrete shape of a tensor of either program."""
        state = State(dict(sizes))
        return tuple(int(n(state)) for n in self._shapes[tensor])

    def allowed(self, sizes: Sizes) -> bool:
        """True if the sizes are in the domain and no input or output is empty; what is computed on the way may be."""
        state = State(dict(sizes))
        try:
            fits = (n(state) >= (1 if axis in self._held else 0) for axis, n in self._lengths.items())
            return all(c(state) for c in self._domain) and all(fits)
        except (KeyError, ZeroDivisionError):
            return False

    def entries(self, sizes: Sizes) -> int:
        """How many numbers both programs hold at these sizes: what a point costs."""
        state = State(dict(sizes))
        lengths = {n: int(closure(state)) for n, closure in self._lengths.items()}
        return sum(count * math.prod(lengths[n] for n in shape) for shape, count in self._alike.items())

    def size_choices(self) -> list[Sizes]:
        """Sizes in the order in which they are worth trying; empty if none is in the domain."""
        known = self.question.told_sizes
        if not known:
            known += telling_sizes(self.symbols, self.allowed, self.entries, self.rng)
            for count in self._tiles() if known else ():
                longer = with_tiles(known[0], [count], 2, self.allowed)
                if self.entries(longer) <= MOST_ENTRIES and not any(_counted(count, sizes) > 1 for sizes in known):
                    known.append(longer)
        return [dict(sizes) for sizes in known]

    def _tiles(self) -> list[Expr]:
        """How many tiles there are, of each kind, where either program walks in tiles."""
        programs = (self.question.forward, self.question.claimed)
        values = (e.value for p in programs for e in p.equations)
        ranges = dict.fromkeys(n.size for v in values for n in nodes_once(v) if isinstance(n, Index))
        return [n for n in ranges if any(isinstance(part, Quotient) for part in nodes_once(n))]

    def point(self, sizes: Sizes, *, scale: float = 1.0, spread: bool = False) -> Point:
        """A random point: entries of size about `scale`; with `spread` each tensor has a scale of its own."""
        if self.regions is None:
            self.regions = self._finite_regions(sizes)
        self.drawn += 1
        inputs = {}
        for tensor in self.question.given:
            own = scale * 2.0 ** self.rng.randint(-3, 3) if spread else scale
            inputs[tensor] = self.draw(tensor, sizes, own)
        parameters = {s: self.rng.choice((0.75, 1.375, 0.625)) for s in self.parameters}
        point = Point(sizes, inputs, parameters, self._stand_ins())
        return self.moved(point, self.regions[self.drawn % len(self.regions)]) if self.regions else point

    def moved(self, point: Point, regions: Assignment) -> Point:
        """The point with its inputs brought to these regions, as far as what is assumed of them allows it."""
        inputs = dict(point.inputs)
        for tensor, region in regions.items():
            kind = self.kinds[tensor].kind if tensor in self.kinds else None
            if region is not ANY and movable(kind, inputs[tensor]):
                there = region.moved(inputs[tensor])
                inputs[tensor] = there if movable(kind, there) else inputs[tensor]
        return replace(point, inputs=inputs)

    @property
    def real_inputs(self) -> tuple[Tensor, ...]:
        """The inputs of the forward program that may be moved."""
        kinds, given = {t: a.kind for t, a in self.kinds.items()}, {*self.question.given}
        return tuple(
            t for t in self.question.forward.inputs
            if t.kind == "real" and kinds.get(t) in (None, "pos", "prob") and t in given
        )  # fmt: skip

    def _finite_regions(self, sizes: Sizes) -> list[Assignment]:
        """Regions of the inputs in which the forward program has finite values; empty if it has them anywhere."""
        self.regions = []
        forward = self.question.forward
        if not may_have_no_value(forward):
            return []
        rng = random.Random(3)
        own = Sampler(self.question, rng)
        own.regions = []
        evaluators: dict[tuple[str, ...], Evaluator] = {}

        def finite(assignment: Assignment) -> bool:
            point = own.moved(own.point(sizes), assignment)
            if has_values_as_arrays(forward, point):
                return True
            key = tuple(f.name for f in point.functions.values())
            if key not in evaluators:
                evaluators[key] = Evaluator(forward, FLOAT, point.functions)
            return has_values(evaluators[key], point)

        if finite({}) and finite({}):
            return []
        return finite_regions(self.real_inputs, self.question.constants, finite, rng)

    def _stand_ins(self) -> dict[str, Function]:
        chosen = {}
        for place, function in enumerate(self._arbitrary):
            table = STAND_INS if function.arity == 1 else TWO_ARGUMENT_STAND_INS
            chosen[function.name] = table[(place + self.drawn - 1) % len(table)]
        return chosen

    def classes(self, tensor: Tensor, sizes: Sizes) -> int | None:
        """How many values an integer input may have; None for a real one."""
        if tensor in self._labels:
            return int(self._labels[tensor](State(dict(sizes))))
        return 3 if tensor.kind == "integer" else None

    def draw(self, tensor: Tensor, sizes: Sizes, scale: float = 1.0) -> NDArray[Any]:
        """Random entries for one input."""
        shape = self.shape(tensor, sizes)
        count, classes = int(np.prod(shape)), self.classes(tensor, sizes)
        kind = self.kinds[tensor].kind if tensor in self.kinds else None
        if classes is not None:
            return np.array(self._integers(count, classes), dtype=np.int64).reshape(shape)
        if kind in ("onehot", "simplex"):
            axis = self.kinds[tensor].axis
            rows = np.moveaxis(np.empty(shape), axis, -1).shape
            return np.moveaxis(self._onehot(rows) if kind == "onehot" else self._simplex(rows), -1, axis).copy()
        if kind in ("symmetric", "spd"):
            return _symmetric(np.array(_real(self.rng, count, scale)).reshape(shape), kind == "spd")
        return np.array(_DRAW[kind](self.rng, count, scale), dtype=np.float64).reshape(shape)

    def _integers(self, count: int, classes: int) -> list[int]:
        """Labels: by turns any, all the same, and as different as they can be."""
        turn = self.drawn % 4
        if turn == 2:
            return [self.rng.randrange(classes)] * count
        if turn == 3:
            order = self.rng.sample(range(classes), classes)
            return [order[k % classes] for k in range(count)]
        return [self.rng.randrange(classes) for _ in range(count)]

    def _onehot(self, shape: tuple[int, ...]) -> NDArray[Any]:
        rows = np.zeros(shape)
        for position in np.ndindex(*shape[:-1]):
            rows[(*position, self.rng.randrange(shape[-1]))] = 1.0
        return rows

    def _simplex(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """Rows of exact numbers, none of them 0, that add up to 1."""
        rows = np.empty(shape)
        for position in np.ndindex(*shape[:-1]):
            row = _different(self.rng, shape[-1], 4, 64, 2 ** (8 + shape[-1].bit_length()))
            row[0] = 1.0 - sum(row[1:])
            rows[position] = row
        return rows


def has_values(evaluator: Evaluator, point: Point) -> bool:
    """True if every entry of a program's outputs is finite at a point."""
    values = dict(point.values(FLOAT))
    given = {t: array_of(t, point.inputs[t], point.inputs[t].shape, FLOAT) for t in evaluator.program.inputs}
    try:
        arrays = evaluator.run(values, given)
    except (TooCloseError, OutOfRangeError, ZeroDivisionError, OverflowError):
        return False
    return all(math.isfinite(v) for t in evaluator.program.outputs for v in arrays[t].values())


def has_values_as_arrays(program: Program, point: Point) -> bool:
    """True if a program is seen to have finite values all the way, as arrays; what is False tells nothing."""
    vectors = Vectors(point)
    try:
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            vectors.run(program.equations)
    except (SymbackpropError, ArithmeticError, LookupError):
        return False
    return all(np.isfinite(vectors.arrays[t]).all() for t in program.outputs)


def with_tiles(
    sizes: Mapping[Symbol, int], counts: Iterable[Expr], least: int, allowed: Callable[[Any], bool]
) -> dict[Symbol, int]:
    """Sizes that are large enough for several tiles of many places each.

    Args:
        counts: how many tiles there are.
        least: how many there should be.
    """
    result = dict(sizes)
    for count in counts:
        inside = [n for n in nodes_once(count) if isinstance(n, Symbol) and n in result]
        if not inside or not any(isinstance(n, Quotient) for n in nodes_once(count)):
            continue
        wider = ({**result, **{n: result[n] + more for n in inside}} for more in range(LONGEST))
        result = next((w for w in wider if _counted(count, w) >= least and allowed(w)), result)
    return result


def _counted(count: Expr, sizes: Mapping[Symbol, int]) -> int:
    """A size as a number; 0 where it is none."""
    value = simplify(substitute(count, {s: number(n) for s, n in sizes.items()}))
    return int(value.value) if isinstance(value, Number) else 0


def telling_sizes(
    symbols: Sequence[Symbol],
    allowed: Callable[[Sizes], bool],
    cost: Callable[[Sizes], float],
    rng: random.Random,
) -> list[Sizes]:
    """Sizes in the order in which they tell most: unequal and at least 2, reordered, each 1 in turn, equal, larger.

    Where many sizes are 1 at once, as among a thousand of them, one choice is the turn of them all.

    Args:
        allowed: whether sizes are in the domain.
        cost: what a point of these sizes costs; cheap ones come first.
    """
    pool = [sizes for sizes in _assignments(symbols, SAMPLED, rng) if allowed(sizes)]
    if len(pool) < 5:
        pool += [s for s in _assignments(symbols, 10 * SAMPLED, rng) if s not in pool and allowed(s)]
    if not pool or not symbols:
        return pool[:1]
    ranks = {id(s): (len(s) - len(set(s.values())), cost(s)) for s in pool}

    def order(sizes: Sizes) -> tuple[int, float]:
        return ranks[id(sizes)]

    unequal = sorted((s for s in pool if min(s.values()) >= 2), key=order) or sorted(pool, key=order)
    first = unequal[0]
    others = [s for s in unequal[1:] if _reordered(s, first)] or [s for s in _turned(first) if allowed(s)]
    same = [pair for pair in itertools.combinations(first, 2) if len({first[n] for n in pair}) == 1]
    apart = [s for s in unequal if not any(s[a] == s[b] for a, b in same)]  # of axes as long one may stand for another
    chosen = [first, *(apart[:1] if same else ()), *others[:2]]
    ones = {id(s): list(s.values()).count(1) for s in pool}
    singles: list[Sizes] = []
    for symbol in symbols:
        if not any(s[symbol] == 1 for s in singles):
            found = (s for s in pool if s[symbol] == 1)
            singles += sorted(found, key=lambda s: (ones[id(s)], *order(s)))[:1]
    chosen += singles
    for value in (2, 3, 1):
        chosen += [s for s in pool if set(s.values()) == {value}][:1]
    larger = [s for s in unequal if ranks[id(s)][1] <= 12 * ranks[id(first)][1]]
    chosen += rng.sample(larger, min(6, len(larger)))
    return [s for k, s in enumerate(chosen) if s not in chosen[:k]]


def _assignments(symbols: Sequence[Symbol], limit: int, rng: random.Random) -> Iterator[Sizes]:
    """All small sizes if they are few, else some at random and those with one size for all axes."""
    largest = LARGEST
    while largest > 4 and largest ** len(symbols) > limit:
        largest -= 1
    if largest ** len(symbols) <= limit:
        for values in itertools.product(range(1, largest + 1), repeat=len(symbols)):
            yield dict(zip(symbols, values, strict=True))
    else:
        yield from (dict.fromkeys(symbols, value) for value in (1, 2, 3, 4))
        for _ in range(limit):
            yield {s: rng.randint(1, 6) for s in symbols}
        for _ in range(limit if len(symbols) > MANY else 0):  # of so many one is 1 by chance, nearly always
            yield {s: rng.randint(2, 4) for s in symbols}


def _turned(first: Sizes) -> Iterator[Sizes]:
    """Sizes each of which is another one than it was, where there are too many to be put in another order by chance."""
    for k in (1, 2):
        yield {s: 2 + (n - 2 + k) % 5 for s, n in first.items()}


def _different(rng: random.Random, count: int, low: int, high: int, denominator: int) -> list[float]:
    """`count` different odd numbers between low and high, over a power of two; finer if there are too few."""
    while (high - low) // 2 < 2 * count:
        low, high, denominator = 2 * low, 2 * high, 2 * denominator
    return [(2 * k + 1) / denominator for k in rng.sample(range(low // 2, high // 2), count)]


def _real(rng: random.Random, count: int, scale: float) -> list[float]:
    return [v * scale * rng.choice((-1, 1)) for v in _different(rng, count, 64, 512, 256)]


def _symmetric(entries: NDArray[Any], definite: bool) -> NDArray[Any]:
    """Symmetric matrices with these entries below the diagonal; positive definite ones are their squares and more.

    All of them are dyadic, so that no rounding makes [i,j] differ from [j,i].
    """
    turned = np.swapaxes(entries, -1, -2)
    if not definite:
        return np.asarray(np.tril(entries) + np.triu(turned, 1))
    factor = np.round(entries * 32) / 32
    return np.asarray(factor @ np.swapaxes(factor, -1, -2) + 0.5 * np.eye(entries.shape[-1]))


_DRAW: dict[str | None, Callable[[random.Random, int, float], Sequence[float]]] = {
    None: _real,
    "pos": lambda rng, count, scale: [v * scale for v in _different(rng, count, 64, 640, 256)],
    "prob": lambda rng, count, scale: _different(rng, count, 20, 236, 256),
    "bern": lambda rng, count, scale: [float(rng.random() < 0.6) for _ in range(count)],
    "pm1": lambda rng, count, scale: [rng.choice((-1.0, 1.0)) for _ in range(count)],
}


def movable(kind: str | None, values: NDArray[Any]) -> bool:
    """True if values are allowed for an input of this kind and none is 0."""
    if kind in ("labels", "onehot", "simplex", "bern", "pm1", "symmetric", "spd") or values.dtype.kind != "f":
        return False
    if kind == "prob":
        return bool(np.all((values > 0) & (values < 1)))
    return bool(np.all(values > 0)) if kind == "pos" else bool(np.all(np.isfinite(values)) and np.all(values))


def _reordered(sizes: Mapping[Symbol, int], first: Mapping[Symbol, int]) -> bool:
    """True if the sizes stand in another order: what was the larger of two axes is now the smaller."""
    pairs = itertools.combinations(first, 2)
    return all((sizes[a] - sizes[b]) * (first[a] - first[b]) < 0 or first[a] == first[b] for a, b in pairs)


def arbitrary_functions(programs: Sequence[Program]) -> list[Function]:
    """The arbitrary functions of programs, f for its derivatives f' and f''."""
    found: dict[str, Function] = {}
    for program in programs:
        for equation in program.equations:
            for node in nodes_once(equation.value):
                if isinstance(node, Apply) and is_arbitrary(node.function):
                    root = node.function
                    while root.primitive_of is not None:
                        root = root.primitive_of[0]
                    if is_arbitrary(root):
                        found[root.name] = root
    return list(found.values())
