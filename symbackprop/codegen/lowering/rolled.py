"""Sums whose terms differ in whole numbers alone, as sums over an index more: what a loop over a kernel wrote out.

    sum_c x[c,i]*w[c,0] + sum_c x[c,i + 1]*w[c,1] + ...    ->    sum over c, k of x[c,i + k]*w[c,k]
    [i = 0]*sum_n g[n]*x[n] + [i = 1]*sum_n g[n]*x[n + 1]  ->    sum_n g[n]*x[n + i]
    where(0 <= i - 1, g[i - 1]*w[1], 0) + ...              ->    sum over k of g[i - k]*w[k], 0 beyond the ends of g

Each sum of products is one product then instead of as many as there are terms. Main name: `rolled`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod

from symbackprop.codegen.lowering.passes import copies_read_through
from symbackprop.expression.build import (
    ZERO,
    Add,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Number,
    Sum,
    Tensor,
    Where,
    add,
    close_sum,
    entries,
    fresh,
    multiply,
    negate,
    number,
    open_binder,
    substitute,
    where,
)
from symbackprop.expression.program import Equation, Program

LEAST_TERMS = 3  # fewer are as fast written out
Place = tuple[Expr, int]  # a position, and the whole number in it


@dataclass
class _Term:
    """A product that is summed, its entries' positions apart from the whole numbers in them.

    Args:
        over: the indices that it is summed over.
        reads: tensors and positions.
        deltas: indices of the target that must have a value.
        guarded: the positions at which 0 is read beyond the array, as (number of the entry, axis).
    """

    coefficient: Fraction = Fraction(1)
    over: list[Index] = field(default_factory=list)
    reads: list[tuple[Tensor, tuple[Place, ...]]] = field(default_factory=list)
    deltas: dict[Index, int] = field(default_factory=dict)
    guarded: set[tuple[int, int]] = field(default_factory=set)


def rolled(program: Program) -> Program:
    """The program with such sums rolled up; as it is if it has none, or a recurrence."""
    if any(not isinstance(block, Equation) for block in program.blocks):
        return program
    whole = copies_read_through(program)
    read: dict[Tensor, int] = {}
    for equation in whole.equations:
        for entry in entries(equation.value):
            read[entry.tensor] = read.get(entry.tensor, 0) + 1
    inside = {e.tensor: e for e in whole.equations if read.get(e.tensor) == 1 and e.tensor not in whole.outputs}
    opened: set[Tensor] = set()  # sums that a later one was seen to continue
    found = [e if e.tensor in opened else _rolled(e, inside, opened) for e in reversed(whole.equations)][::-1]
    if all(new is old for new, old in zip(found, whole.equations, strict=True)):
        return program
    needed, kept = set(whole.outputs), list[Equation]()
    for equation in reversed(found):
        if equation.tensor in needed:
            kept.append(equation)
            needed.update(e.tensor for e in entries(equation.value))
    return replace(whole, equations=tuple(reversed(kept)))


def _rolled(equation: Equation, inside: dict[Tensor, Equation], opened: set[Tensor]) -> Equation:
    if not isinstance(equation.value, Add):
        return equation
    terms, rest = _flat(equation.value, inside, opened), list[Expr]()
    groups: dict[object, list[tuple[_Term, Expr]]] = {}
    for expr in terms:
        term = _parsed(expr, set(equation.indices))
        if term is None:
            rest.append(expr)
        else:
            groups.setdefault(_kind(term), []).append((term, expr))
    done = False
    for group in groups.values():
        new = _together([t for t, _ in group]) if len(group) >= LEAST_TERMS else None
        done = done or new is not None
        rest += [e for _, e in group] if new is None else [new]
    return replace(equation, value=add(*rest)) if done else equation


def _flat(value: Add, inside: dict[Tensor, Equation], opened: set[Tensor]) -> list[Expr]:
    """The terms, those of a sum that has a name and is read here alone among them; that name is noted."""
    found, waiting = list[Expr](), list(reversed(value.terms))
    while waiting:
        term = waiting.pop()
        if isinstance(term, Entry) and term.tensor in inside:
            opened.add(term.tensor)
            own = inside[term.tensor].at(term.indices)
            waiting += reversed(own.terms) if isinstance(own, Add) else ()
            found += [] if isinstance(own, Add) else [own]
        else:
            found.append(term)
    return found


def _parsed(expr: Expr, target: set[Index]) -> _Term | None:
    """A term's parts; None if it has others, or a question that zeros beyond an array do not answer."""
    term, asked = _Term(), list[Expr]()
    waiting = [expr]
    while waiting:
        node = waiting.pop(0)
        match node:
            case Number(value):
                term.coefficient *= value
            case Multiply(factors):
                waiting = [*factors, *waiting]
            case Sum():
                bound, body = open_binder(node)
                term.over.append(bound)
                waiting.insert(0, body)
            case Where(condition, then, otherwise) if otherwise is ZERO:
                asked += condition.factors if isinstance(condition, Multiply) else (condition,)
                waiting.insert(0, then)
            case Kronecker(left, right):
                index, place = (left, right) if isinstance(left, Index) else (right, left)
                if index not in target or not isinstance(index, Index) or not isinstance(place, Number):
                    return None
                if index in term.deltas:
                    return None
                term.deltas[index] = int(place.value)
            case Entry(tensor, indices) if indices and not any(True for p in indices for _ in entries(p)):
                term.reads.append((tensor, tuple(map(_parted, indices))))
            case _:
                return None
    term.reads.sort(key=lambda r: r[0].name)
    for question in asked:
        answered = next((p for p in _places(term) if question in _inside(term, p)), None)
        if answered is None:
            return None
        term.guarded.add(answered)
    return term if term.reads else None


def _places(term: _Term) -> Iterable[tuple[int, int]]:
    return ((k, axis) for k, (tensor, _) in enumerate(term.reads) for axis in range(len(tensor.shape)))


def _inside(term: _Term, place: tuple[int, int]) -> tuple[Expr, Expr]:
    """What holds of a position inside its array."""
    tensor, places = term.reads[place[0]]
    position, size = _whole(places[place[1]]), tensor.shape[place[1]]
    return Compare("<=", ZERO, position), Compare("<", position, size)


def _parted(position: Expr) -> Place:
    terms = position.terms if isinstance(position, Add) else (position,)
    numbers = [t for t in terms if isinstance(t, Number)]
    return add(*(t for t in terms if not isinstance(t, Number))), sum(int(t.value) for t in numbers)


def _whole(place: Place) -> Expr:
    return add(place[0], number(place[1]))


def _kind(term: _Term) -> object:
    """What terms have in common that differ in whole numbers alone."""
    bound: dict[Expr, Expr] = {i: Index(f"_{k}", i.size, -1 - k) for k, i in enumerate(term.over)}
    reads = tuple((tensor, tuple(substitute(rest, bound) for rest, _ in places)) for tensor, places in term.reads)
    return term.coefficient, tuple(i.size for i in term.over), reads, frozenset(term.deltas)


def _together(terms: Sequence[_Term]) -> Expr | None:
    """Their sum as one term; None unless their numbers are all those of a grid."""
    first = terms[0]
    if not first.over:  # passes over arrays, which windows of them would only make larger
        return None
    columns: dict[object, tuple[int, ...]] = {i: tuple(t.deltas[i] for t in terms) for i in first.deltas}
    for k, (_, places) in enumerate(first.reads):
        for axis in sorted(range(len(places)), key=lambda a: places[a][0] is not ZERO):
            columns[k, axis] = tuple(t.reads[k][1][axis][1] for t in terms)
    order = sorted(columns, key=lambda c: not isinstance(c, Index))  # numbers that an index of the target has lead
    order.sort(key=lambda c: not isinstance(c, Index) and first.reads[c[0]][1][c[1]][0] is not ZERO)  # type: ignore[index]
    variables: list[tuple[tuple[int, ...], Expr]] = []
    new, values = list[Index](), dict[object, Expr]()
    for column in order:
        numbers = columns[column]
        if len(set(numbers)) == 1:
            values[column] = number(numbers[0])
            continue
        known = next((e for vector, variable in variables if (e := _by(vector, variable, numbers)) is not None), None)
        if known is None:
            least, count = min(numbers), len(set(numbers))
            if max(numbers) - least != count - 1:
                return None
            if isinstance(column, Index):
                if least or column.size is not number(count):
                    return None
                known = column
            else:
                new.append(fresh("k", number(count)))
                known = add(new[-1], number(least))
            variables.append((numbers, known))
        values[column] = known
    grid = set(zip(*(vector for vector, _ in variables), strict=True))
    if len(grid) != len(terms) or len(terms) != prod(len(set(vector)) for vector, _ in variables):
        return None
    guarded = set[tuple[int, int]]().union(*(t.guarded for t in terms))
    for k, axis in guarded:
        size = first.reads[k][0].shape[axis]
        if isinstance(size, Number) and size.value < len(set(columns[k, axis])):
            return None  # most of what would be read are zeros
    factors = list[Expr]()
    for k, (tensor, places) in enumerate(first.reads):
        positions = tuple(add(rest, values[k, axis]) for axis, (rest, _) in enumerate(places))
        value: Expr = Entry(tensor, positions)
        for axis, position in enumerate(positions):
            if (k, axis) in guarded:
                value = where(Compare("<=", ZERO, position), value, ZERO)
                value = where(Compare("<", position, tensor.shape[axis]), value, ZERO)
        factors.append(value)
    fixed = [Kronecker(i, values[i]) for i in first.deltas if values[i] is not i]
    body = multiply(number(first.coefficient), *fixed, *factors)
    for index in (*reversed(new), *reversed(first.over)):
        body = close_sum(index, body)
    return body


def _by(vector: tuple[int, ...], variable: Expr, numbers: tuple[int, ...]) -> Expr | None:
    """The numbers by a variable: it or its negative, and a number more."""
    for sign in (1, -1):
        offsets = {n - sign * v for n, v in zip(numbers, vector, strict=True)}
        if len(offsets) == 1:
            return add(variable if sign > 0 else negate(variable), number(offsets.pop()))
    return None


__all__ = ["rolled"]
