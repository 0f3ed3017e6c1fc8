"""A program's values at one point as NumPy arrays, and what they become when lines are changed.

`evaluate` is the referee: entry by entry, exact. This is the scout: every expression is one array over its free
indices, remembered, so that a changed line costs only what depends on it, and thousands of changes can be looked at in
a second. What it says is in floating point and proves nothing.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from symbackprop.errors import UnsupportedError
from symbackprop.evaluation.matrices import ROUNDING
from symbackprop.evaluation.number_types import FLOAT
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Family,
    Index,
    Kronecker,
    MatrixEntry,
    Multiply,
    Number,
    Position,
    Power,
    Quotient,
    Remainder,
    Sum,
    Symbol,
    Tensor,
    Where,
    mentioned,
    number,
    substitute,
)
from symbackprop.expression.functions import ARGUMENTS, FUNCTIONS, Function, derivative, is_arbitrary
from symbackprop.expression.program import Equation
from symbackprop.expression.recurrence import Block, Recurrence, blocks, equations_of

Numbers = NDArray[Any]
Axes = tuple[Index, ...]
LARGEST = 400_000  # entries of one array: more is not worth a scout's while
EXACT_INTEGER = 2**31
REMEMBERED = 2**14  # sets of axes: a whole model has some thousand
TRIAL = Index("trial", Symbol("trials", "size"))  # the axis of values that are tried side by side
_DIRECT: dict[str, Callable[..., Numbers]] = {
    "exp": np.exp, "log": np.log, "sin": np.sin, "cos": np.cos, "tanh": np.tanh,
    "sigmoid": lambda z: 0.5 * (1 + np.tanh(0.5 * z)),
    "abs": np.abs, "relu": lambda z: np.maximum(z, 0.0), "step": lambda z: (z > 0) * 1.0,
    "erf": np.vectorize(math.erf, otypes=[float]), "floor": np.floor, "round": np.rint, "atan": np.arctan,
}  # fmt: skip
# As they are defined these are inf/inf where they have levelled off.
_SLOPES: dict[str, Callable[..., Numbers]] = {
    "tanh": lambda z: 1 / np.cosh(z) ** 2,
    "sigmoid": lambda z: 0.25 / np.cosh(0.5 * z) ** 2,
}
_DIRECT |= {n: np.vectorize(FLOAT.functions[n], otypes=[float]) for n in ("lgamma", "digamma", "trigamma")}


class Vectors:
    """Arrays by tensor, at one point; `changed` makes another set of values that shares what is not touched.

    Args:
        beyond: what is read beyond the ends of an axis. A derivative may read there beside the guard that makes the
            product 0; with 0 it has a number there, as any number would do.
        guarded: whether 0 times what has no value is 0: what a guard leaves out of a sum over pairs may be the slope at
            a pair of one and the same.

    Shapes: an array has the axes of its tensor; one that holds trials has one more in front, and so has whatever is
    computed from it.
    """

    def __init__(self, point: Point, beyond: float = np.nan, *, guarded: bool = False) -> None:
        self._beyond, self._guarded = beyond, guarded
        self.arrays: dict[Tensor, Numbers] = {t: np.asarray(a) for t, a in point.inputs.items()}
        self.trials: set[Tensor] = set()
        self._symbols = {**point.sizes, **{s: float(v) for s, v in point.parameters.items()}}
        self._functions = point.functions
        self._parent: Vectors | None = None
        self._touched: frozenset[Tensor] = frozenset()
        self._memo: dict[Expr, tuple[Numbers, Axes]] = {}
        self._lengths: dict[Index, int] = {}
        self._of_steps: dict[tuple[Expr, tuple[tuple[Index, int], ...]], Expr] = {}

    @classmethod
    def of_all(cls, points: Sequence[Point], beyond: float = np.nan, *, guarded: bool = False) -> Vectors:
        """Several points side by side, as trials: what they have in common is worked out once for all of them.

        Raises:
            UnsupportedError: they differ in more than their inputs.
        """
        first = points[0]
        if any(
            (p.sizes, p.parameters, p.functions) != (first.sizes, first.parameters, first.functions) for p in points
        ):
            raise UnsupportedError("points of different sizes or functions have no values side by side")
        found = cls(first, beyond, guarded=guarded)
        found.arrays = {t: np.stack([np.asarray(p.inputs[t]) for p in points]) for t in first.inputs}
        found.trials = set(found.arrays)
        return found

    def only(self, trial: int) -> Vectors:
        """The values of one of the trials."""
        other = self._child()
        other._parent = None
        other.arrays = {t: a[trial] if t in self.trials else a for t, a in self.arrays.items()}
        other.trials = set()
        return other

    def run(self, equations: Iterable[Equation]) -> None:
        """Give every equation's tensor its value, in order; those that have one keep it.

        Raises:
            UnsupportedError: an array would be very large, or a function has no numbers.
        """
        for block in blocks(equations):
            if isinstance(block, Recurrence):
                if any(e.tensor not in self.arrays for e in block.equations):
                    self._step(block, {})
            elif block.tensor not in self.arrays:
                self._define(block)

    def changed(self, given: Mapping[Tensor, Numbers], equations: Iterable[Equation], trials: bool = False) -> Vectors:
        """Other values for some tensors or equations, and for all that is computed from them.

        Args:
            given: arrays that replace the value of a tensor.
            equations: the lines in order; those whose tensor is in `given` are passed over, others that read a changed
                tensor, or that are not the equation that this object knows, are evaluated.
            trials: `given` arrays have the axis of trials in front.
        """
        other = self._child()
        other.arrays.update(given)
        if trials:
            other.trials |= set(given)
        other._again(blocks(equations), set(given), given)
        return other

    def edited(self, edits: Mapping[Tensor, Equation], equations: Iterable[Equation]) -> Vectors:
        """The values with some equations replaced by others."""
        other = self._child()
        other._again(blocks(edits.get(e.tensor, e) for e in equations), set(edits), {})
        return other

    def _child(self) -> Vectors:
        """The same values, of which some will be others; what does not depend on them is looked up here."""
        other = Vectors.__new__(Vectors)
        other.__dict__.update(self.__dict__)
        other._parent, other._memo = self, {}
        other.arrays, other.trials = dict(self.arrays), set(self.trials)
        return other

    def _again(self, lines: Iterable[Block], touched: set[Tensor], given: Mapping[Tensor, Numbers]) -> None:
        """Compute what is touched, and all that reads it, but for what is given."""
        run = []
        for block in lines:
            own = {e.tensor for e in equations_of(block)}
            if own <= given.keys():
                continue
            if own & touched or any(mentioned(e.value) & touched for e in equations_of(block)):
                touched |= own
                run.append(block)
        self._touched = frozenset(touched)
        for block in run:
            if isinstance(block, Recurrence):
                self._step(block, given)
            else:
                self._define(block)

    def _define(self, equation: Equation) -> None:
        tensor, indices = equation.tensor, equation.indices
        array = self.arrays[tensor] = self.over(equation.value, indices)
        if array.ndim > len(indices):
            self.trials.add(tensor)

    def _step(self, block: Recurrence, given: Mapping[Tensor, Numbers]) -> None:
        """Compute a recurrence, entry after entry along its steps; what is given stays."""
        own = [e for e in block.equations if e.tensor not in given]
        tried = [t for e in block.equations for t in (*mentioned(e.value), e.tensor) if t in self.trials]
        count = len(self.arrays[tried[0]]) if tried else 0
        lead = (count,) if tried else ()
        for equation in own:
            self.arrays[equation.tensor] = np.full((*lead, *(self._length(i) for i in equation.indices)), np.nan)
            if tried:
                self.trials.add(equation.tensor)
        clocks = block.clocks
        lengths = {e.tensor: tuple(self._length(e.indices[k]) for k in clocks[e.tensor].axes) for e in block.equations}
        origins = {t: int(self.value(clock.origin)[0]) for t, clock in clocks.items()}
        for equation, steps in block.slices(lengths, origins):
            if equation.tensor in given:
                continue
            at = dict(zip(clocks[equation.tensor].axes, steps, strict=True))
            rest = tuple(i for k, i in enumerate(equation.indices) if k not in at)
            here = equation.value, tuple((equation.indices[k], n) for k, n in at.items())
            if here not in self._of_steps:  # for other values a step reads the same entries
                self._of_steps[here] = substitute(equation.value, {i: number(n) for i, n in here[1]})
            value = self.over(self._of_steps[here], rest)
            if tried and value.ndim == len(rest):
                value = np.broadcast_to(value, (count, *value.shape))
            places = tuple(at.get(k, slice(None)) for k in range(len(equation.indices)))
            self.arrays[equation.tensor][(slice(None),) * len(lead) + places] = value

    def over(self, expr: Expr, indices: Axes) -> Numbers:
        """An expression as an array over these indices, with the axis of trials in front where there are any."""
        array, axes = self.value(expr)
        full = (TRIAL, *indices) if axes and axes[0] is TRIAL else indices
        if axes != full:
            missing = [i for i in full if i not in axes]
            array = array.reshape((*array.shape, *(1 for _ in missing)))
            array = array.transpose([(*axes, *missing).index(i) for i in full])
            shape = tuple(self._length(i) if i is not TRIAL else array.shape[0] for i in full)
            if array.shape != shape:
                array = np.broadcast_to(array, shape)
        return array

    # --- expressions

    def value(self, expr: Expr) -> tuple[Numbers, Axes]:
        """An array over the free indices of `expr`, and which these are."""
        found = self._memo.get(expr)
        if found is None:
            if self._parent is not None and not mentioned(expr) & self._touched:
                found = self._parent.value(expr)
            else:
                found = self._compute(expr)
            self._memo[expr] = found
        return found

    def _compute(self, expr: Expr) -> tuple[Numbers, Axes]:
        match expr:
            case Number(value):
                whole = value.denominator == 1 and abs(value) < EXACT_INTEGER
                return np.asarray(int(value) if whole else float(value)), ()
            case Symbol(name, _):
                return np.asarray(math.pi if name == "pi" else self._symbols[expr]), ()
            case Index():
                return np.arange(self._length(expr)), (expr,)
            case Entry(tensor, indices):
                return self._entry(tensor, indices)
            case Add(terms):
                parts, axes = self._aligned(terms)
                total = parts[0]
                for part in parts[1:]:
                    total = total + part
                return total, axes
            case Multiply(factors):
                return self._multiply(factors)
            case Power(base, exponent):
                (b, e), axes = self._aligned((base, exponent))
                whole = b.dtype.kind in "iu" and e.dtype.kind in "iu" and bool(np.all(e >= 0))
                return (b**e if whole else np.asarray(b, dtype=float) ** e), axes
            case Sum(index, body):
                array, axes = self.value(body)
                if index not in axes:
                    return array * self._length(index), axes
                place = axes.index(index)
                return array.sum(axis=place), axes[:place] + axes[place + 1 :]
            case Extremum(kind, index, body) | Position(kind, index, body):
                return self._extreme(expr, kind, index, body)
            case Kronecker(left, right):
                (a, b), axes = self._aligned((left, right))
                return (a == b) * 1, axes
            case Compare(relation, left, right):
                (a, b), axes = self._aligned((left, right))
                holds = a == b if relation == "==" else a < b if relation == "<" else a <= b
                return holds * 1, axes
            case Where(condition, then, otherwise):
                (c, a, b), axes = self._aligned((condition, then, otherwise))
                return np.where(c != 0, a, b), axes
            case Quotient(left, right):
                (a, b), axes = self._aligned((left, right))
                return a // b, axes
            case Remainder(left, right):
                (a, b), axes = self._aligned((left, right))
                return a % b, axes
            case MatrixEntry():
                return self._matrix_entry(expr)
            case Apply(function, arguments):
                parts, axes = self._aligned(arguments)
                return np.asarray(_numeric(self._meaning(function))(*(np.asarray(p, dtype=float) for p in parts))), axes
        raise UnsupportedError(f"no numbers for {type(expr).__name__}")

    def _length(self, index: Index) -> int:
        known = self._lengths.get(index)
        if known is None:
            known = self._lengths[index] = int(self.value(index.size)[0])
        return known

    def _aligned(self, parts: tuple[Expr, ...]) -> tuple[list[Numbers], Axes]:
        """The arrays over all indices of the parts."""
        values = [self.value(p) for p in parts]
        first = values[0][1]
        if all(axes == first for _, axes in values):
            return [a for a, _ in values], first
        union, spread = _united(tuple([axes for _, axes in values]))
        if math.prod([self._length(i) for i in union if i is not TRIAL]) > LARGEST:
            raise UnsupportedError("an array would be very large")
        return [a if key is None else a[key] for (a, _), key in zip(values, spread, strict=True)], union

    def _multiply(self, factors: tuple[Expr, ...]) -> tuple[Numbers, Axes]:
        parts, axes = self._aligned(factors)
        gates = [p for p, f in zip(parts, factors, strict=True) if isinstance(f, Kronecker)]
        product: Numbers | None = None
        for part, factor in zip(parts, factors, strict=True):
            if not isinstance(factor, Kronecker):
                product = part if product is None else product * part
        # a sum of numbers of which one is not finite is not finite, and quicker to see than each of them
        if self._guarded and product is not None and not math.isfinite(np.add.reduce(product, axis=None)):
            nothing = np.any(np.broadcast_arrays(*(p == 0 for p in parts)), axis=0)
            product = np.where(nothing, 0, product)
        for gate in gates:  # where a delta is 0 the other factors need not exist
            product = gate if product is None else np.where(gate != 0, product, 0)
        assert product is not None
        return product, axes

    def _entry(self, tensor: Tensor, indices: tuple[Expr, ...]) -> tuple[Numbers, Axes]:
        array, trials = self.arrays[tensor], tensor in self.trials
        plain = _axes_of_plain(indices, tensor.shape, trials)
        if plain is not None:
            axes, order = plain
            return (array if order is None else array.transpose(order)), axes
        places, axes = self._aligned(indices)
        inside = np.asarray(True)
        clipped = []
        lengths = array.shape[1:] if trials else array.shape
        for place, length in zip(places, lengths, strict=True):
            good = (place >= 0) & (place < length)
            if not good.all():
                inside = inside & good
                place = np.clip(place, 0, length - 1)
            clipped.append(place.astype(np.intp))
        if not trials:
            found = array[tuple(clipped)]
        elif axes and axes[0] is TRIAL:
            rows = np.arange(len(array)).reshape((-1, *(1 for _ in axes[1:])))
            found = array[(rows, *clipped)]
        else:
            found = array[(slice(None), *clipped)]  # type: ignore[arg-type]
            axes = (TRIAL, *axes)
        return (found if inside.all() else np.where(inside, found, self._beyond)), axes

    def _extreme(self, expr: Expr, kind: str, index: Index, body: Expr) -> tuple[Numbers, Axes]:
        array, axes = self.value(body)
        position = isinstance(expr, Position)
        if index not in axes:
            return (np.zeros(array.shape, dtype=int) if position else array), axes
        place = axes.index(index)
        rest = axes[:place] + axes[place + 1 :]
        if position:
            return (array.argmax(axis=place) if kind == "max" else array.argmin(axis=place)), rest
        return (array.max(axis=place) if kind == "max" else array.min(axis=place)), rest

    def _matrix_entry(self, expr: MatrixEntry) -> tuple[Numbers, Axes]:
        """All entries at once as an array of its own, and that looked up at the places."""
        row, inner = expr.matrix.index, expr.matrix.body
        assert isinstance(inner, Family), "a matrix is a family of rows, each a family of entries"
        _, axes = self.value(inner.body)
        outside = tuple(i for i in axes if i not in (row, inner.index))
        lead = tuple(i for i in outside if i is not TRIAL)
        matrices = np.asarray(self.over(inner.body, (*lead, row, inner.index)), dtype=float)
        made = _MATRIX[expr.kind](matrices)
        sizes = tuple(i.size for i in lead)
        whole = Tensor(f"{expr.kind} of a matrix", (*sizes, row.size, row.size) if expr.places else sizes)
        self.arrays[whole] = made
        self.trials.discard(whole)
        if TRIAL in outside:
            self.trials.add(whole)
        return self._entry(whole, (*lead, *expr.places))

    def _meaning(self, function: Function) -> Function:
        """The function itself; for an arbitrary one what it stands for at this point."""
        if not is_arbitrary(function):
            return function
        if function.primitive_of is not None:
            source, argument = function.primitive_of
            return derivative(self._meaning(source), argument)
        if function.name not in self._functions:
            raise UnsupportedError(f"function {function.name} is arbitrary")
        return self._functions[function.name]


_ORDER: dict[Index, int] = {TRIAL: -1}  # of axes: as they were first seen; indices are nodes, which live for good


def _sorted(axes: Iterable[Index]) -> Axes:
    for index in axes:
        _ORDER.setdefault(index, len(_ORDER))
    return tuple(sorted(axes, key=_ORDER.__getitem__))


@lru_cache(maxsize=REMEMBERED)
def _united(each: tuple[Axes, ...]) -> tuple[Axes, tuple[Any, ...]]:
    """All the axes of several arrays, and for each array the key that gives it the axes that it lacks; None for none.

    The same equations are worked out at many points.
    """
    union = _sorted({i: None for axes in each for i in axes})
    keys = (tuple(slice(None) if i in axes else None for i in union) for axes in each)
    return union, tuple(k if axes and axes != union else None for axes, k in zip(each, keys, strict=True))


@lru_cache(maxsize=REMEMBERED)
def _axes_of_plain(
    indices: tuple[Expr, ...], shape: tuple[Expr, ...], trials: bool
) -> tuple[Axes, tuple[int, ...] | None] | None:
    """The axes of an entry whose places are indices of its axes, each another one, and how its array is turned for
    them; None of other entries."""
    if not all(isinstance(i, Index) and i.size is s for i, s in zip(indices, shape, strict=True)):
        return None
    if len(set(indices)) < len(indices):
        return None
    axes: Axes = (*((TRIAL,) if trials else ()), *indices)  # type: ignore[arg-type]
    union = _sorted(axes)
    return union, None if union == axes else tuple(axes.index(i) for i in union)


def _lower_factor(matrices: Numbers) -> Numbers:
    """The Cholesky factors; nan where a matrix has none."""
    factors = np.full(matrices.shape, np.nan)
    for place in np.ndindex(matrices.shape[:-2]):
        with contextlib.suppress(np.linalg.LinAlgError):
            factors[place] = np.linalg.cholesky(matrices[place])
    return factors


def _inverted(matrices: Numbers) -> Numbers:
    """The inverses; nan where a matrix has none, or may have none but for rounding."""
    found = np.full(matrices.shape, np.nan)
    largest = np.prod(np.linalg.norm(matrices, axis=-1), axis=-1)  # that a determinant can be, by Hadamard's inequality
    regular = np.abs(np.linalg.det(matrices)) > ROUNDING * largest
    for place in np.ndindex(matrices.shape[:-2]):
        with contextlib.suppress(np.linalg.LinAlgError):
            if regular[place]:
                found[place] = np.linalg.inv(matrices[place])
    return found


_MATRIX: dict[str, Callable[[Numbers], Numbers]] = {
    "inverse": _inverted,
    "cholesky": _lower_factor,
    "determinant": lambda m: np.asarray(np.linalg.det(m)),
    "logdet": lambda m: np.asarray(np.linalg.slogdet(m)[1]),
}


def _polygamma(order: int, x: Numbers) -> Numbers:
    return _DIRECT[("digamma", "trigamma")[order]](x)


@cache
def _numeric(function: Function) -> Callable[..., Numbers]:
    """A function on arrays."""
    if function.name in _DIRECT and FUNCTIONS.get(function.name) == function:
        return _DIRECT[function.name]
    source = function.primitive_of[0] if function.primitive_of is not None else None
    if source is not None and source.name in _SLOPES and FUNCTIONS.get(source.name) == source:
        return _SLOPES[source.name]
    if function.definition is None:
        raise UnsupportedError(f"no numbers for {function.name}")
    own = {"step": _DIRECT["step"], "erf": _DIRECT["erf"], "loggamma": _DIRECT["lgamma"], "polygamma": _polygamma}
    modules: list[Any] = [own, "numpy"]
    made = sp.lambdify(ARGUMENTS[: function.arity], function.definition, modules=modules, cse=True)

    def run(*arguments: Numbers) -> Numbers:
        return np.asarray(made(*arguments)) + np.zeros(np.broadcast_shapes(*(a.shape for a in arguments)))

    return run


__all__ = ["TRIAL", "Numbers", "Vectors"]
