"""The slow, obvious evaluator: every entry of every equation, from the definition, with any kind of number.

`evaluate` runs a Program at concrete sizes, `evaluate_expression` gives one expression as an array over its indices. It
is the referee of tests and of refutation, so it follows the definitions word by word: a sum is a loop, an extremum
looks at every value, and only the branch that `Where` takes is evaluated.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from symbackprop.errors import DataError
from symbackprop.evaluation.compile import Array, Compiler, State
from symbackprop.evaluation.number_types import FLOAT, Field, Value
from symbackprop.expression.build import BINDERS, Expr, Index, Symbol, Tensor, children, free_indices
from symbackprop.expression.functions import Function
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.recurrence import Recurrence, equations_of


class Evaluator:
    """A program compiled for one field; `run` it at as many points as you like."""

    def __init__(
        self, program: Program, number_field: Field = FLOAT, functions: Mapping[str, Function] | None = None
    ) -> None:
        self.program, self.field = program, number_field
        with number_field.working():
            compiler = Compiler(number_field, functions)
            self._values = {e.tensor: compiler.compile(e.value) for e in program.equations}
            self._origins = {
                block: {t: compiler.compile(clock.origin) for t, clock in block.clocks.items()}
                for block in program.blocks
                if isinstance(block, Recurrence)
            }
            tensors = [e.tensor for e in program.equations]
            self._shapes = {t: [compiler.compile(n) for n in t.shape] for t in (*program.inputs, *tensors)}

    def shape(self, tensor: Tensor, values: Mapping[Symbol, Value]) -> tuple[int, ...]:
        """The concrete shape of a tensor of the program."""
        state = State(dict(values))
        return tuple(int(n(state)) for n in self._shapes[tensor])

    def run(
        self,
        values: Mapping[Symbol, Value],
        inputs: Mapping[Tensor, Array],
        moved: Callable[[Tensor, Array], Array] = lambda tensor, entries: entries,
        needed: Container[Tensor] | None = None,
    ) -> dict[Tensor, Array]:
        """All tensors, entry by entry.

        Args:
            values: sizes and hyper-parameters, as numbers of the field.
            needed: the only equations to evaluate; it must hold all that they read.
            moved: called with every tensor and its entries before anything reads them, in a recurrence step by step;
                returns the entries to go on with. This is how a tensor in the middle of a program is given directions
                of differentiation.
        """
        state = State(dict(values))
        with self.field.working():
            for tensor in self.program.inputs:
                state.arrays[tensor] = moved(tensor, inputs[tensor])
            for block in self.program.blocks:
                own = equations_of(block)
                if needed is not None and not any(e.tensor in needed for e in own):
                    continue
                ranges = {e.tensor: [range(int(n(state))) for n in self._shapes[e.tensor]] for e in own}
                if not isinstance(block, Recurrence):
                    entries = self._entries(block, ranges[block.tensor], state)
                    state.arrays[block.tensor] = moved(block.tensor, entries)
                    continue
                state.arrays |= {e.tensor: {} for e in own}
                lengths = {t: tuple(len(every[k]) for k in block.clocks[t].axes) for t, every in ranges.items()}
                origins = {t: int(origin(state)) for t, origin in self._origins[block].items()}
                for equation, steps in block.slices(lengths, origins):
                    tensor = equation.tensor
                    at = [*ranges[tensor]]
                    for axis, step in zip(block.clocks[tensor].axes, steps, strict=True):
                        at[axis] = range(step, step + 1)
                    state.arrays[tensor] |= moved(tensor, self._entries(equation, at, state))
        return state.arrays

    def _entries(self, equation: Equation, ranges: Sequence[range], state: State) -> Array:
        """The entries of an equation's tensor at these places."""
        value = self._values[equation.tensor]
        entries: Array = {}
        for position in itertools.product(*ranges):
            state.index.update(zip(equation.indices, position, strict=True))
            entries[position] = value(state)
        return entries


def evaluate(
    program: Program,
    sizes: Mapping[str, int],
    inputs: Mapping[str, ArrayLike],
    parameters: Mapping[str, Any] | None = None,
    *,
    field: Field = FLOAT,
    functions: Mapping[str, Function] | None = None,
) -> dict[str, NDArray[Any]]:
    """Evaluate every equation of a program at concrete sizes.

    Args:
        sizes: a positive integer for each size symbol.
        inputs: an array, a nested list or a number for each input.
        parameters: a number for each hyper-parameter; floats are taken exactly.
        functions: a concrete function for each arbitrary one, {"f": FUNCTIONS["tanh"]}; f' follows by differentiation.

    Returns:
        All tensors by name, inputs first; dtype float64 or int64 for `FLOAT`, object for the other fields.

    Raises:
        DataError: an input, a size or a parameter is missing, or an input has a shape that its tensor has not.
        UnsupportedError: an arbitrary function without a concrete one, or a number that the field cannot hold.

    Example:
        >>> from symbackprop.expression.build import Entry, contraction
        >>> from symbackprop.expression.program import Equation
        >>> n = Symbol("n", "size")
        >>> x, s = Tensor("x", (n,)), Tensor("s")
        >>> total = Equation(s, (), contraction("i", n, lambda i: Entry(x, (i,))))
        >>> float(evaluate(Program((x,), (total,), (s,)), {"n": 3}, {"x": [1, 2, 4]})["s"])
        7.0
    """
    evaluator = Evaluator(program, field, functions)
    values = _values(program, sizes, parameters or {}, field)
    given = {}
    for tensor in program.inputs:
        if tensor.name not in inputs:
            raise DataError(f"no value for the input {tensor.name}")
        given[tensor] = array_of(tensor, inputs[tensor.name], evaluator.shape(tensor, values), field)
    arrays = evaluator.run(values, given)
    return {t.name: to_numpy(a, evaluator.shape(t, values), field) for t, a in arrays.items()}


def _values(
    program: Program, sizes: Mapping[str, int], parameters: Mapping[str, Any], field: Field
) -> dict[Symbol, Value]:
    """Sizes and hyper-parameters by symbol, for every symbol that the evaluation will read."""
    values: dict[Symbol, Value] = {}
    with field.working():
        for symbol in all_symbols(program):
            source: Mapping[str, Any] = sizes if symbol.kind == "size" else parameters
            if symbol.name in source:
                given = source[symbol.name]
                values[symbol] = int(given) if symbol.kind == "size" else _number(given, field)
            elif symbol.name != "pi":
                raise DataError(f"no value for {symbol.name}")
    return values


def all_symbols(program: Program) -> list[Symbol]:
    """Every symbol of a program, those in the sizes of bound indices included, in order of first use."""
    roots = [size for tensor in program.tensors for size in tensor.shape]
    stack: list[Expr] = [*roots, *program.parameters, *(e.value for e in program.equations)][::-1]
    seen: dict[Expr, None] = {}
    while stack:
        node = stack.pop()
        if node not in seen:
            seen[node] = None
            stack.extend(reversed(children(node)))
            if isinstance(node, BINDERS):
                stack.append(node.index.size)
    return [node for node in seen if isinstance(node, Symbol)]


def _number(value: Any, field: Field) -> Value:
    """A number of the field from whatever the caller has; numbers that the field already has pass."""
    if isinstance(value, (bool, int, float, Fraction, np.number, np.bool_)):
        return field.number(value.item() if isinstance(value, np.generic) else value)
    return value


def array_of(tensor: Tensor, value: ArrayLike, shape: tuple[int, ...], field: Field) -> Array:
    """The entries of an input as numbers of the field, integers for an integer tensor.

    Raises:
        DataError: the value has another shape.
    """
    array = np.asarray(value) if not isinstance(value, np.ndarray) else value
    if array.shape != shape:
        raise DataError(
            f"the input {tensor.name} has the wrong shape", evidence=[f"given:   {array.shape}", f"needed:  {shape}"]
        )
    with field.working():
        if tensor.kind == "integer":
            return {p: int(v) for p, v in zip(np.ndindex(*shape), array.ravel().tolist(), strict=True)}
        return {p: _number(v, field) for p, v in zip(np.ndindex(*shape), array.ravel().tolist(), strict=True)}


def to_numpy(entries: Array, shape: tuple[int, ...], field: Field) -> NDArray[Any]:
    """Entries as an array: float64 or int64 for `FLOAT`, else objects."""
    result = np.empty(shape, dtype=object)
    for position, value in entries.items():
        result[position] = value
    if field is FLOAT:
        whole = all(isinstance(v, int) for v in entries.values())
        return result.astype(np.int64 if whole and entries else np.float64)
    return result


def evaluate_expression(
    expr: Expr,
    indices: Sequence[Index],
    sizes: Mapping[str, int],
    tensors: Mapping[Tensor, ArrayLike],
    parameters: Mapping[str, Any] | None = None,
    *,
    field: Field = FLOAT,
    functions: Mapping[str, Function] | None = None,
) -> NDArray[Any]:
    """One expression as an array over `indices`, which must include its free indices.

    Args:
        tensors: values of the tensors that occur in it.

    Raises:
        DataError: a size, parameter or tensor is missing, or a shape does not fit.
        UnsupportedError: as for `evaluate`.

    Shapes: the result has one axis for each index, in their order.
    """
    stray = free_indices(expr) - set(indices)
    if stray:
        raise DataError(f"no range for the index {', '.join(sorted(i.name for i in stray))}")
    result = Tensor("the value of the expression", tuple(i.size for i in indices))
    single = Program(tuple(tensors), (Equation(result, tuple(indices), expr),), (result,))
    named = {t.name: v for t, v in tensors.items()}
    return evaluate(single, sizes, named, parameters, field=field, functions=functions)[result.name]
