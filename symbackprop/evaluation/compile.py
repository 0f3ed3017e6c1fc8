"""Expressions as closures: the part of the evaluator that follows the definitions.

Each node becomes a function of a `State` once. Binders, applied functions and shared parts are remembered by the values
of their free indices, so that a softmax row or a quotient rule's common factor is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from symbackprop.errors import DataError, UnsupportedError
from symbackprop.evaluation.matrices import entries_of
from symbackprop.evaluation.number_types import Field, Value, as_place, exists
from symbackprop.evaluation.scalar_functions import Scalars
from symbackprop.expression.build import (
    BINDERS,
    MINUS_ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
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
    add,
    children,
    free_indices,
    multiply,
    nodes_once,
    number,
    open_matrix,
)
from symbackprop.expression.functions import Function

Array = dict[tuple[int, ...], Value]  # entries by position: a position out of range is a KeyError, never a wrap-around


class OutOfRangeError(DataError):
    """An entry outside its tensor was read, or the extremum over an empty axis was asked for."""


@dataclass(slots=True)
class State:
    """What the closures read: values of indices and symbols, entries of tensors, and what was computed already."""

    symbols: dict[Symbol, Value]
    arrays: dict[Tensor, Array] = field(default_factory=dict)
    index: dict[Index, int] = field(default_factory=dict)
    memo: dict[Any, Value] = field(default_factory=dict)


Closure = Callable[[State], Value]


class Compiler:
    """Turns expressions into closures over `State`, for one field and one choice of the arbitrary functions."""

    def __init__(self, number_field: Field, functions: Mapping[str, Function] | None = None) -> None:
        self.field = number_field
        self._scalars = Scalars(number_field, functions)
        self._closures: dict[Expr, Closure] = {}
        self._shared: set[Expr] = set()
        self._seen: set[Expr] = set()

    def compile(self, expr: Expr) -> Closure:
        """The closure of `expr`; shared parts are found first, so that they are computed once."""
        stack = [expr]
        while stack:
            node = stack.pop()
            if node in self._seen:
                self._shared.add(node)
            else:
                self._seen.add(node)
                stack.extend(children(node))
        return self._of(expr)

    def _of(self, expr: Expr) -> Closure:
        known = self._closures.get(expr)
        if known is None:
            known = self._node(expr)
            heavy = isinstance(expr, (*BINDERS, Apply, MatrixEntry))
            if heavy or (expr in self._shared and children(expr) and not isinstance(expr, Entry)):
                known = _remembered(expr, known)
            self._closures[expr] = known
        return known

    def _node(self, expr: Expr) -> Closure:
        match expr:
            case Number(value):
                constant = value.numerator if value.denominator == 1 else self.field.number(value)
                return lambda s: constant
            case Symbol("pi"):
                pi = self.field.pi()
                return lambda s: pi
            case Symbol():
                return lambda s: s.symbols[expr]
            case Index():
                return lambda s: s.index[expr]
            case Entry(tensor, indices):
                return self._entry(tensor, indices)
            case Add(terms):
                return self._add(terms)
            case Multiply(factors):
                return self._multiply(factors)
            case Power(base, exponent):
                return self._power(base, exponent)
            case Sum(index, body):
                return self._sum(index, body)
            case Extremum() | Position():
                return self._extreme(expr)
            case Apply(function, arguments):
                return self._apply(function, arguments)
            case MatrixEntry():
                return self._matrix_entry(expr)
            case Kronecker(left, right):
                return self._compare("==", left, right)
            case Compare(relation, left, right):
                return self._compare(relation, left, right)
            case Where():
                return self._where(expr)
            case Quotient(left, right):
                a, b = self._of(left), self._of(right)
                return lambda s: a(s) // b(s)
            case Remainder(left, right):
                a, b = self._of(left), self._of(right)
                return lambda s: a(s) % b(s)
        raise UnsupportedError(f"a node of kind {type(expr).__name__} has no value of its own")

    def _entry(self, tensor: Tensor, indices: tuple[Expr, ...]) -> Closure:
        if all(isinstance(i, Index) for i in indices):
            return _plain_entry(tensor, indices)  # type: ignore[arg-type]
        positions = [self._of(i) for i in indices]

        def run(s: State) -> Value:
            place = tuple([as_place(p(s)) for p in positions])
            try:
                return s.arrays[tensor][place]
            except KeyError:
                raise OutOfRangeError(f"{tensor.name} has no entry at {place}") from None

        return run

    def _add(self, terms: tuple[Expr, ...]) -> Closure:
        """A sum; x - y with x and y the same value is an exact 0, so that a shift by a maximum leaves no doubt."""
        if len(terms) == 2 and (subtrahend := _subtracted(terms[1])) is not None:
            left, right = self._of(terms[0]), self._of(subtrahend)

            def difference(s: State) -> Value:
                a, b = left(s), right(s)
                return 0 if a is b and exists(a) else a - b

            return difference
        sizes = [t for t in terms if _is_of_sizes(t)] if len(terms) > 2 else []
        if 1 < len(sizes) < len(terms):  # where a slice begins: the same number at every place
            total = add(*sizes)
            self._closures[total] = _remembered(total, self._of(total))
            terms = (*(t for t in terms if t not in sizes), total)
        first, *rest = [self._of(t) for t in terms]
        if len(rest) == 1:
            second = rest[0]
            return lambda s: first(s) + second(s)

        def run(s: State) -> Value:
            total = first(s)
            for part in rest:
                total = total + part(s)
            return total

        return run

    def _multiply(self, factors: tuple[Expr, ...]) -> Closure:
        """A product; guards come first, since where one is 0 the other factors need not exist."""
        deltas = [self._of(f) for f in factors if isinstance(f, Kronecker)]
        guarded = [self._of(f) for f in factors if _is_guard(f)]
        parts = [self._of(f) for f in factors if not isinstance(f, Kronecker) and not _is_guard(f)]
        if not deltas and not guarded and len(parts) == 2:
            left, right = parts
            return lambda s: left(s) * right(s)

        def run(s: State) -> Value:
            for delta in deltas:
                if not delta(s):
                    return 0
            product: Value = 1
            for guard in guarded:
                value = guard(s)
                if isinstance(value, int) and not value:
                    return 0
                product = product * value
            for part in parts:
                product = product * part(s)
            return product

        return run

    def _power(self, base: Expr, exponent: Expr) -> Closure:
        power, f, b = self.field.power, self.field.functions, self._of(base)
        if isinstance(exponent, Number):
            fixed = exponent.value
            if fixed.denominator == 1 and fixed > 0:
                return lambda s: _whole_power(b(s), fixed, power)
            return lambda s: power(b(s), fixed)
        e = self._of(exponent)

        def run(s: State) -> Value:
            x, n = b(s), e(s)
            return power(x, Fraction(n)) if isinstance(n, (int, Fraction)) else f["exp"](f["log"](x) * n)

        return run

    def _sum(self, index: Index, body: Expr) -> Closure:
        size = self._of(index.size)
        if picked := _picked(index, body):
            place, rest = self._of(picked[0]), self._of(picked[1])

            def pick(s: State) -> Value:
                at = place(s)
                if not 0 <= at < size(s):
                    return 0
                s.index[index] = int(at)
                return rest(s)

            return pick
        term = self._of(body)

        def run(s: State) -> Value:
            places, length = s.index, size(s)
            if length < 1:
                return 0
            places[index] = 0
            total = term(s)
            for value in range(1, length):
                places[index] = value
                total = total + term(s)
            return total

        return run

    def _extreme(self, expr: Extremum | Position) -> Closure:
        """The extremum is one of the values themselves, so that comparing it with its source is decided by identity."""
        size, body, compare = self._of(expr.index.size), self._of(expr.body), self.field.compare
        sign, index, position = (1 if expr.kind == "max" else -1), expr.index, isinstance(expr, Position)

        def run(s: State) -> Value:
            best, at = None, 0
            for value in range(size(s)):
                s.index[index] = value
                candidate = body(s)
                if best is None or sign * compare(candidate, best) > 0:
                    best, at = candidate, value
            if best is None:
                raise OutOfRangeError(f"the {expr.kind} over an empty axis {index.name}")
            return at if position else best

        return run

    def _matrix_entry(self, expr: MatrixEntry) -> Closure:
        """The matrix is worked out once for each value of the indices that stand around it."""
        row, column, body = open_matrix(expr)
        outside, size = tuple(free_indices(expr.matrix)), self._of(row.size)
        entry, places = self._of(body), [self._of(p) for p in expr.places]

        def run(s: State) -> Value:
            key = (expr.kind, expr.matrix, *[s.index[i] for i in outside])
            found = s.memo.get(key)
            if found is None:
                matrix = [[_at(s, entry, {row: i, column: j}) for j in range(size(s))] for i in range(size(s))]
                found = s.memo[key] = entries_of(expr.kind, matrix, self.field)
            place = tuple([as_place(p(s)) for p in places])
            if place not in found:
                raise OutOfRangeError(f"the matrix has no entry at {place}")
            return found[place]

        return run

    def _compare(self, relation: str, left: Expr, right: Expr) -> Closure:
        a, b, compare = self._of(left), self._of(right), self.field.compare

        def run(s: State) -> int:
            x, y = a(s), b(s)
            order = (x > y) - (x < y) if isinstance(x, int) and isinstance(y, int) else compare(x, y)
            return int(order == 0 if relation == "==" else order < 0 if relation == "<" else order <= 0)

        return run

    def _where(self, expr: Where) -> Closure:
        condition, then, otherwise = self._of(expr.condition), self._of(expr.then), self._of(expr.otherwise)
        compare = self.field.compare

        def run(s: State) -> Value:
            c = condition(s)
            true = c != 0 if isinstance(c, int) else compare(c, 0) != 0
            return then(s) if true else otherwise(s)

        return run

    def _apply(self, function: Function, arguments: tuple[Expr, ...]) -> Closure:
        parts, scalar = [self._of(a) for a in arguments], self._scalars.of(function)
        if len(parts) == 1:
            only = parts[0]
            return lambda s: scalar((only(s),))
        return lambda s: scalar(tuple([p(s) for p in parts]))


def _at(s: State, value: Closure, places: Mapping[Index, int]) -> Value:
    s.index.update(places)
    return value(s)


def _subtracted(term: Expr) -> Expr | None:
    """y if the term is -y, for a product or a number that is no integer; else None."""
    if isinstance(term, Number) and term.value < 0 and term.value.denominator > 1:
        return number(-term.value)
    return multiply(*term.factors[1:]) if isinstance(term, Multiply) and term.factors[0] is MINUS_ONE else None


def _plain_entry(tensor: Tensor, indices: tuple[Index, ...]) -> Closure:
    """An entry at indices that stand by themselves, which is nearly every one."""

    def missing(place: tuple[int, ...]) -> OutOfRangeError:
        return OutOfRangeError(f"{tensor.name} has no entry at {place}")

    if len(indices) == 2:
        first, second = indices

        def pair(s: State) -> Value:
            place = s.index[first], s.index[second]
            try:
                return s.arrays[tensor][place]
            except KeyError:
                raise missing(place) from None

        return pair

    def run(s: State) -> Value:
        place = tuple([s.index[i] for i in indices])
        try:
            return s.arrays[tensor][place]
        except KeyError:
            raise missing(place) from None

    return run


def _whole_power(base: Value, exponent: Fraction, power: Callable[[Value, Fraction], Value]) -> Value:
    """Squares and the like of integers stay integers: they may be positions or sizes."""
    return base**exponent.numerator if isinstance(base, int) else power(base, exponent)


def _picked(index: Index, body: Expr) -> tuple[Expr, Expr] | None:
    """(e, rest) if the body is Kronecker(index, e) * rest and e is free of the index: then the sum has one term."""
    factors = body.factors if isinstance(body, Multiply) else (body,)
    for place, factor in enumerate(factors):
        if isinstance(factor, Kronecker):
            for one, other in ((factor.left, factor.right), (factor.right, factor.left)):
                if one is index and index not in free_indices(other):
                    return other, multiply(*factors[:place], *factors[place + 1 :])
    return None


def _is_guard(expr: Expr) -> bool:
    """True for what is 0 where a condition on places does not hold: there the other factors read outside.

    One on data is none: 0 times nan is nan, as in NumPy.
    """
    if not isinstance(expr, Where) or ZERO not in (expr.then, expr.otherwise):
        return False
    return not any(isinstance(n, Entry) for n in nodes_once(expr.condition))


def _is_of_sizes(expr: Expr) -> bool:
    """True for whole numbers made of sizes alone, which are exact and the same at every place."""
    for node in nodes_once(expr):
        match node:
            case Add() | Multiply() | Symbol(kind="size"):
                continue
            case Number(value) if value.denominator == 1:
                continue
            case Power(_, Number(value)) if value.denominator == 1 and value > 0:
                continue
        return False
    return True


def _remembered(expr: Expr, run: Closure) -> Closure:
    free = tuple(free_indices(expr))

    def recall(s: State) -> Value:
        places, memo = s.index, s.memo
        key = (expr, *[places[i] for i in free])
        value = memo.get(key)
        if value is None:
            value = memo[key] = run(s)
        return value

    return recall
