"""Expressions to SymPy and back.

`to_sympy` gives a SymPy expression that a user can print, substitute into and take away: sums run from 1 to the size
over a fresh Dummy, so nothing can be captured. `from_sympy` reads scalar SymPy expressions (costs, activations,
penalties). This module knows both languages and no rule of either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache

import sympy as sp

from symbackprop.errors import FormulaError
from symbackprop.expression.build import (
    ONE,
    ZERO,
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
    Partial,
    Position,
    Power,
    Quotient,
    Remainder,
    Sum,
    Symbol,
    Total,
    Where,
    add,
    apply,
    multiply,
    number,
    power,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.functions import (
    ARGUMENTS,
    ATAN,
    BASIC,
    COS,
    DIGAMMA,
    ERF,
    EXP,
    FUNCTIONS,
    LGAMMA,
    LOG,
    SIN,
    STEP,
    TRIGAMMA,
    WRITTEN_OUT,
    Function,
    arbitrary,
    derivative,
    is_arbitrary,
    step,
)

PI = Symbol("pi", "positive")
_BASIC = {sp.exp: EXP, sp.log: LOG, sp.erf: ERF, sp.sin: SIN, sp.cos: COS, sp.atan: ATAN, sp.loggamma: LGAMMA,
          step: STEP}  # fmt: skip
_POLYGAMMA = {sp.Integer(0): DIGAMMA, sp.Integer(1): TRIGAMMA}
_SYMPY = {"exp": sp.exp, "log": sp.log, "erf": sp.erf, "sin": sp.sin, "cos": sp.cos, "atan": sp.atan, "step": step,
          "lgamma": sp.loggamma, "digamma": lambda z: sp.polygamma(0, z), "trigamma": lambda z: sp.polygamma(1, z),
          "floor": sp.floor, "round": sp.Function("round")}  # fmt: skip
# SymPy has names of its own for these; a user knows what to do with them.
_WRITTEN: dict[str, Callable[[sp.Expr], sp.Expr]] = {"tanh": sp.tanh, "relu": lambda z: sp.Max(0, z), "abs": sp.Abs}


def from_sympy(expression: sp.Expr, names: Mapping[sp.Basic, Expr]) -> Expr:
    """A scalar SymPy expression as an expression of ours.

    Args:
        names: what each free symbol stands for; others become real hyper-parameters of the same name.

    Raises:
        FormulaError: a function or construct that has no counterpart here.

    Example:
        >>> t = sp.Symbol("t")
        >>> from_sympy(3 * t, {t: Symbol("t")})
        Multiply(factors=(Number(value=Fraction(3, 1)), Symbol(name='t', kind='real')))
    """
    e = sp.sympify(expression) if isinstance(expression, (int, float)) else expression
    if e in names:
        return names[e]
    if e.is_Rational:
        return number(Fraction(int(e.p), int(e.q)))
    if e.is_Float:
        return number(Fraction(str(e)))
    if e is sp.pi:
        return PI
    if e is sp.E:
        return apply(EXP, ONE)
    if e.is_Symbol:
        return Symbol(e.name, "positive" if e.is_positive else "real")
    if e.is_Add or e.is_Mul or isinstance(e, sp.Pow):
        parts = [from_sympy(a, names) for a in e.args]
        return add(*parts) if e.is_Add else multiply(*parts) if e.is_Mul else power(parts[0], parts[1])
    return _function_from_sympy(e, names)


def _function_from_sympy(e: sp.Expr, names: Mapping[sp.Basic, Expr]) -> Expr:
    if isinstance(e, sp.Piecewise):
        value: Expr = ZERO
        for branch, condition in reversed(e.args):
            value = where(_condition(condition, names), from_sympy(branch, names), value)
        return value
    if isinstance(e, sp.polygamma) and e.args[0] in _POLYGAMMA:
        return apply(_POLYGAMMA[e.args[0]], from_sympy(e.args[1], names))
    arguments = [from_sympy(a, names) for a in e.args]
    if e.func.__name__ in WRITTEN_OUT and len(arguments) == 1:
        return written_out(e.func.__name__, arguments[0])
    if e.func in _BASIC:
        return apply(_BASIC[e.func], *arguments)
    if isinstance(e, (sp.Max, sp.Min)):
        value = arguments[0]
        for other in arguments[1:]:
            gap = subtract(other, value) if isinstance(e, sp.Max) else subtract(value, other)
            value = where(apply(STEP, gap), other, value)
        return value
    if isinstance(e, sp.Heaviside):
        return apply(STEP, arguments[0])
    if isinstance(e, sp.sign):
        return subtract(multiply(number(2), apply(STEP, arguments[0])), ONE)
    if isinstance(e, sp.core.function.AppliedUndef):
        return apply(arbitrary(e.func.__name__, len(arguments)), *arguments)
    # Not inside the arguments: there z**2 would become exp(2*log(z)), again and again, and for positive z alone.
    rewritten = e.rewrite(sp.exp, deep=False) if e.is_Function else e
    if rewritten != e and not rewritten.has(sp.I):
        return from_sympy(rewritten, names)
    if isinstance(e, sp.Abs):
        return apply(FUNCTIONS["abs"], arguments[0])
    raise FormulaError(without_counterpart(e.func.__name__), where=str(e))


def written_out(name: str, argument: Expr) -> Expr:
    """A function of `WRITTEN_OUT` at `argument`, in terms of the functions that proofs know."""
    return from_sympy(WRITTEN_OUT[name], {ARGUMENTS[0]: argument})


def without_counterpart(name: str) -> str:
    """What to say of a function that SymPy has and that cannot be written in terms of known ones."""
    return f"{name} has no counterpart here: it cannot be written in terms of {', '.join(BASIC)} and powers"


def _condition(condition: sp.Basic, names: Mapping[sp.Basic, Expr]) -> Expr:
    if condition is sp.true:
        return ONE
    if isinstance(condition, (sp.StrictGreaterThan, sp.GreaterThan, sp.StrictLessThan, sp.LessThan)):
        left, right = from_sympy(condition.gts, names), from_sympy(condition.lts, names)
        strict = isinstance(condition, (sp.StrictGreaterThan, sp.StrictLessThan))
        return Compare("<", right, left) if strict else Compare("<=", right, left)
    raise FormulaError("a condition of a Piecewise must compare two values", where=str(condition))


@cache
def definition(function: Function) -> Expr | None:
    """The definition of `function` in the symbols z and y, as an expression of ours; None if it has none."""
    if function.definition is None:
        return None
    return from_sympy(function.definition, dict(zip(ARGUMENTS, PLACES, strict=True)))


PLACES = (Symbol("z"), Symbol("y"))


def to_sympy(expr: Expr, names: Mapping[Expr, sp.Basic] | None = None) -> sp.Expr:
    """`expr` in SymPy: tensors become `Indexed`, sums run from 1 to the size over a Dummy.

    Args:
        names: replacements for symbols and indices, such as {Symbol("s_1", "size"): 784}.
    """
    return _SympyWriter(dict(names or {})).run(expr)


class _SympyWriter:
    def __init__(self, names: dict[Expr, sp.Basic]) -> None:
        self.names = names
        self.written: dict[str, int] = {}  # how many bound indices of a name there are, to tell them apart in print
        self.memo: dict[Expr, sp.Expr] = {}

    def run(self, expr: Expr) -> sp.Expr:
        if expr in self.names:
            return sp.sympify(self.names[expr])
        if expr not in self.memo:
            self.memo[expr] = self._write(expr)
        return self.memo[expr]

    def _write(self, expr: Expr) -> sp.Expr:
        match expr:
            case Number(value):
                return sp.Rational(value.numerator, value.denominator)
            case Symbol(name, kind):
                return sp.pi if expr is PI else sp.Symbol(name, **_SORTS[kind])
            case Index(name, _, uid):
                return sp.Symbol(name, integer=True) if uid == 0 else self._dummy(name)
            case Entry(tensor, indices):
                return (
                    sp.IndexedBase(tensor.name)[tuple(map(self.run, indices))]
                    if indices
                    else sp.Symbol(tensor.name, real=True)
                )
            case Add(terms):
                return sp.Add(*map(self.run, terms))
            case Multiply(factors):
                return sp.Mul(*map(self.run, factors))
            case Power(base, exponent):
                return sp.Pow(self.run(base), self.run(exponent))
            case Sum(index, body):
                return sp.Sum(self.run(body), (self.run(index), 1, self.run(index.size)))
            case Apply(function, arguments):
                return _apply(function, [self.run(a) for a in arguments])
            case Kronecker(left, right):
                return sp.KroneckerDelta(self.run(left), self.run(right))
            case Where(condition, then, otherwise):
                return sp.Piecewise((self.run(then), self._relation(condition)), (self.run(otherwise), True))
            case Compare():
                return sp.Piecewise((1, self._relation(expr)), (0, True))
            case Quotient(left, right):
                return sp.floor(self.run(left) / self.run(right))
            case Remainder(left, right):
                return sp.Mod(self.run(left), self.run(right))
            case Partial(inner, variable) | Total(inner, variable):
                return sp.Function("D")(self.run(inner), self.run(variable))
            case MatrixEntry(kind, matrix, places):
                return sp.Function(kind)(self.run(matrix), *(self.run(p) for p in places))
            case Family(index, body):
                return sp.Function("matrix")(self.run(index), self.run(body))
            case Extremum(kind, index, body) | Position(kind, index, body):
                name = kind if isinstance(expr, Extremum) else "arg" + kind
                return sp.Function(name)(self.run(body), self.run(index))
        raise AssertionError(f"no SymPy form for {type(expr).__name__}")

    def _dummy(self, name: str) -> sp.Dummy:
        count = self.written[name] = self.written.get(name, 0) + 1
        return sp.Dummy(name if count == 1 else f"{name}{count}", integer=True)

    def _relation(self, condition: Expr) -> sp.Basic:
        if isinstance(condition, Compare):
            left, right = self.run(condition.left), self.run(condition.right)
            return {"<": sp.Lt, "<=": sp.Le, "==": sp.Eq}[condition.relation](left, right)
        return sp.Gt(self.run(condition), 0)


_SORTS = {"size": {"integer": True, "positive": True}, "real": {"real": True}, "positive": {"positive": True}}


def _apply(function: Function, arguments: list[sp.Expr]) -> sp.Expr:
    if function.name in _SYMPY:
        return _SYMPY[function.name](*arguments)
    if function.name in _WRITTEN:
        return _WRITTEN[function.name](*arguments)
    if is_arbitrary(function):
        return sp.Function(function.name)(*arguments)
    assert function.definition is not None
    return function.definition.subs(dict(zip(ARGUMENTS, arguments, strict=False)), simultaneous=True)


def slope(function: Function, argument: int, arguments: tuple[Expr, ...]) -> Expr:
    """The derivative of `function` by one argument, at `arguments`; a basic one is written out: 1/z for log."""
    prime = derivative(function, argument)
    written = definition(prime) if function.name in BASIC else None
    if written is None:
        return apply(prime, *arguments)
    return substitute(written, dict(zip(PLACES, arguments, strict=False)))


__all__ = ["PI", "PLACES", "definition", "from_sympy", "slope", "to_sympy", "without_counterpart", "written_out"]
