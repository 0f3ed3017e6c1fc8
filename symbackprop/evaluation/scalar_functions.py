"""Scalar functions on the evaluator's numbers: a `Function`'s SymPy definition as a closure over values.

An arbitrary function has to be given a concrete one, and its derivatives follow by differentiation. This module must
not know about expressions or indices.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import sympy as sp

from symbackprop.errors import UnsupportedError
from symbackprop.evaluation.number_types import Field, Value, held
from symbackprop.expression.functions import (
    ARGUMENTS,
    BASIC,
    STOP_GRADIENT,
    Function,
    derivative,
    is_arbitrary,
    step,
)

Arguments = tuple[Value, ...]
Scalar = Callable[[Arguments], Value]
_Part = Callable[[Sequence[Value]], Value]


class Scalars:
    """The functions of one field, made on demand; `chosen` says what each arbitrary function stands for."""

    def __init__(self, number_field: Field, chosen: Mapping[str, Function] | None = None) -> None:
        self.field, self.functions = number_field, dict(chosen or {})
        self._scalar: dict[Function, Scalar] = {}

    def of(self, function: Function) -> Scalar:
        """The function on a tuple of values: basic, chosen for an arbitrary one, or from its SymPy definition."""
        known = self._scalar.get(function)
        if known is None:
            known = self._scalar[function] = self._scalar_of(function)
        return known

    def _scalar_of(self, function: Function) -> Scalar:
        if is_arbitrary(function):
            return self.of(self._chosen(function))
        if function is STOP_GRADIENT:
            return lambda args: held(args[0])
        if function.definition is not None:
            return self._definition(function.definition)
        if function is BASIC["step"]:
            compare = self.field.compare
            return lambda args: int(compare(args[0], 0) > 0)
        call = self.field.functions[function.name]
        return lambda args: call(args[0])

    def _chosen(self, function: Function) -> Function:
        if function.primitive_of is not None:
            source, argument = function.primitive_of
            return derivative(self._chosen(source), argument)
        if function.name in self.functions:
            return self.functions[function.name]
        if not is_arbitrary(function):
            return function
        raise UnsupportedError(
            f"function {function.name} is arbitrary",
            help=f"say what it stands for: functions={{{function.name!r}: ...}}",
        )

    def _definition(self, definition: sp.Expr) -> Scalar:
        """A SymPy expression in z and y, its common parts computed once."""
        shared, last = _with_common_parts(definition)
        names = {symbol: place for place, symbol in enumerate(ARGUMENTS)}
        program = []
        for symbol, part in shared:
            program.append(self._sympy(part, names))
            names[symbol] = len(ARGUMENTS) + len(program) - 1
        result = self._sympy(last, names)

        def run(args: Arguments) -> Value:
            values = [*args, *[None] * (len(ARGUMENTS) - len(args))]
            for part in program:
                values.append(part(values))
            return result(values)

        return run

    def _sympy(self, expr: sp.Expr, names: Mapping[sp.Symbol, int]) -> _Part:
        """A closure over the list of values that `names` speaks of."""
        f = self.field
        if expr.is_Symbol:
            place = names[expr]
            return lambda v: v[place]
        if expr.is_Rational:
            exact = Fraction(int(expr.p), int(expr.q))
            constant = exact.numerator if exact.denominator == 1 else f.number(exact)
            return lambda v: constant
        if expr is sp.pi or expr is sp.E:
            constant = f.pi() if expr is sp.pi else f.functions["exp"](1)
            return lambda v: constant
        if expr.func in (sp.sinh, sp.cosh, sp.tanh, sp.coth):
            return self._sympy(expr.rewrite(sp.exp), names)
        if isinstance(expr, sp.Piecewise):
            return self._piecewise(expr, names)
        if isinstance(expr, sp.polygamma) and expr.args[0] in (0, 1):
            name, inside = ("digamma", "trigamma")[int(expr.args[0])], self._sympy(expr.args[1], names)
            return lambda v: f.functions[name](inside(v))
        parts = [self._sympy(a, names) for a in expr.args]
        if expr.is_Pow:
            return self._sympy_power(expr, parts)
        if expr.is_Add:
            return lambda v: sum((p(v) for p in parts[1:]), start=parts[0](v))
        if expr.is_Mul:
            return lambda v: _product([p(v) for p in parts])
        if expr.func is step:
            return lambda v: int(f.compare(parts[0](v), 0) > 0)
        if expr.func is sp.Abs:
            return lambda v: _product([f.compare(parts[0](v), 0), parts[0](v)])
        if expr.func is sp.sign:
            return lambda v: f.compare(parts[0](v), 0)
        name = {"loggamma": "lgamma"}.get(expr.func.__name__, expr.func.__name__)
        if name in f.functions:
            call = f.functions[name]
            return lambda v: call(parts[0](v))
        raise UnsupportedError(f"a definition with {expr.func.__name__} cannot be evaluated", where=str(expr))

    def _piecewise(self, expr: sp.Piecewise, names: Mapping[sp.Symbol, int]) -> _Part:
        """The first branch whose condition holds; conditions compare two values."""
        branches = []
        for value, condition in expr.args:
            if condition is not sp.true and not isinstance(condition, sp.core.relational._Inequality):
                raise UnsupportedError("a condition of a Piecewise must compare two values", where=str(condition))
            sides = (
                None if condition is sp.true else (self._sympy(condition.gts, names), self._sympy(condition.lts, names))
            )
            branches.append((self._sympy(value, names), sides, isinstance(condition, sp.Gt | sp.Lt)))

        def run(values: Sequence[Value]) -> Value:
            for value, sides, strict in branches:
                order = 1 if sides is None else self.field.compare(sides[0](values), sides[1](values))
                if order > 0 or (order == 0 and not strict):
                    return value(values)
            raise UnsupportedError("no branch of a Piecewise holds", where=str(expr))

        return run

    def _sympy_power(self, expr: sp.Expr, parts: list[_Part]) -> _Part:
        f, (base, exponent) = self.field, parts
        if expr.exp.is_Rational:
            fixed = Fraction(int(expr.exp.p), int(expr.exp.q))
            return lambda v: f.power(base(v), fixed)
        return lambda v: f.functions["exp"](f.functions["log"](base(v)) * exponent(v))


def _product(values: list[Value]) -> Value:
    product = values[0]
    for value in values[1:]:
        product = product * value
    return product


@functools.cache
def _with_common_parts(definition: sp.Expr) -> tuple[list[tuple[sp.Symbol, sp.Expr]], sp.Expr]:
    """The parts that occur more than once, each with a name, and what is left."""
    if definition.has(sp.Piecewise):
        return [], definition
    shared, (last,) = sp.cse(definition)
    return shared, last
