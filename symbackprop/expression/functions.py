"""Scalar functions: what each one is, where it is defined, where it has a kink.

A `Function` is a name and a definition, a SymPy expression in the symbols `z` (and `y`, for functions of two
arguments). No derivative is typed by hand: `derivative(function, k)` is SymPy's `diff` of the definition. An arbitrary
differentiable function, such as the activation `f` of a theorem, has no definition; its derivative is a new name.

`BASIC` functions are those that later modules take as given (exp, log, erf, ...): every other definition is written
in terms of them. This module must not know about indices, tensors or proofs.

Source: definitions as in Goodfellow, Bengio & Courville, Deep Learning (2016), sections 3.10 and 6.3; GELU: Hendrycks &
Gimpel (2016), equation (1) and its tanh approximation; SiLU: Elfwing, Uchibe & Doya (2018); ELU: Clevert et al. (2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import sympy as sp

from symbackprop.errors import NetworkError, nearest

z, y = sp.Symbol("z", real=True), sp.Symbol("y", real=True)
ARGUMENTS = (z, y)
# The unit step: 1 where its argument is positive, else 0. SymPy's Heaviside needs its value at 0 said aloud.
step = sp.Function("step")


@dataclass(frozen=True)
class Function:
    """A scalar function of one or two real arguments.

    Args:
        name: how it is called in formulas and code.
        arity: number of arguments, 1 or 2.
        definition: SymPy expression in `ARGUMENTS[:arity]`, or None for a basic or an arbitrary function.
        kinks: points (SymPy expressions that vanish there) at which it is not differentiable.
        latex: how it is written; "f" for an arbitrary one.
        primitive_of: for a derivative: the function that was differentiated and the number of the argument.
        source: where the definition comes from.
    """

    name: str
    arity: int = 1
    definition: sp.Expr | None = None
    kinks: tuple[sp.Expr, ...] = ()
    latex: str = ""
    primitive_of: tuple[Function, int] | None = None
    source: str = ""

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        """Read from a pickle, a function of the table is that of the table."""
        return _known, tuple(getattr(self, name) for name in self.__dataclass_fields__)


def known(function: Function) -> Function:
    """The function of the table that is equal, else the function itself."""
    own = FUNCTIONS.get(function.name)
    return own if own == function else function


def _known(*fields: Any) -> Function:
    return known(Function(*fields))


def basic(name: str, latex: str = "") -> Function:
    """A function that is taken as given: its algebra is known to the normal form, its derivative to SymPy."""
    return Function(name, latex=latex or rf"\{name}")


EXP, LOG, ERF = basic("exp"), basic("log"), basic("erf", r"\operatorname{erf}")
SIN, COS, ATAN = basic("sin"), basic("cos"), basic("atan", r"\arctan")
# The logarithm of the gamma function and its first two derivatives, here for positive arguments alone.
LGAMMA, DIGAMMA, TRIGAMMA = basic("lgamma", r"\ln\Gamma"), basic("digamma", r"\psi"), basic("trigamma", r"\psi_1")
OF_POSITIVE = (LOG, LGAMMA, DIGAMMA, TRIGAMMA)
STEP = basic("step", r"\operatorname{step}")
FLOOR, ROUND = basic("floor", r"\operatorname{floor}"), basic("round", r"\operatorname{round}")  # halves: to even
BASIC = {f.name: f for f in (EXP, LOG, ERF, SIN, COS, ATAN, LGAMMA, DIGAMMA, TRIGAMMA, STEP, FLOOR, ROUND)}
# The value of its argument, with derivative 0: what code takes out of differentiation (detach, lax.stop_gradient).
STOP_GRADIENT = Function("stop_gradient", 1, z, latex=r"\operatorname{sg}")
CONSTANT_LOCALLY = (STEP, FLOOR, ROUND, STOP_GRADIENT)
_SYMPY_BASIC = {
    "exp": sp.exp(z), "log": sp.log(z), "erf": sp.erf(z), "sin": sp.sin(z), "cos": sp.cos(z), "atan": sp.atan(z),
    "lgamma": sp.loggamma(z), "digamma": sp.polygamma(0, z), "trigamma": sp.polygamma(1, z),
}  # fmt: skip


def _positive_part(expr: sp.Expr) -> sp.Expr:
    """expr where z > 0, else 0."""
    return expr * step(z)


_SIGMOID = 1 / (1 + sp.exp(-z))
# tanh is written with exp(-2z): SymPy would keep `tanh` as a function of its own, and relations with exp would be lost.
_TANH = (1 - sp.exp(-2 * z)) / (1 + sp.exp(-2 * z))
_GELU_ARGUMENT = sp.sqrt(2 / sp.pi) * (z + sp.Rational(44715, 10**6) * z**3)

_TABLE = (
    Function("identity", 1, z, latex=r"\operatorname{id}"),
    Function("sigmoid", 1, _SIGMOID, latex=r"\sigma"),
    Function("tanh", 1, _TANH, latex=r"\tanh"),
    Function("relu", 1, _positive_part(z), (z,), latex=r"\operatorname{relu}"),
    Function("leaky_relu", 1, z / 100 + _positive_part(sp.Rational(99, 100) * z), (z,), r"\operatorname{lrelu}"),
    Function("softplus", 1, sp.log(1 + sp.exp(z)), latex=r"\operatorname{softplus}"),
    Function("elu", 1, sp.exp(z) - 1 + _positive_part(z - sp.exp(z) + 1), latex=r"\operatorname{elu}"),
    Function("gelu", 1, z * (1 + sp.erf(z / sp.sqrt(2))) / 2, latex=r"\operatorname{gelu}"),
    Function("gelu_tanh", 1, z * (1 + _TANH.subs(z, _GELU_ARGUMENT)) / 2, latex=r"\operatorname{gelu}_{\tanh}"),
    Function("silu", 1, z * _SIGMOID, latex=r"\operatorname{silu}"),
    Function("abs", 1, _positive_part(2 * z) - z, (z,), latex=r"\operatorname{abs}"),
)
FUNCTIONS: dict[str, Function] = {f.name: f for f in (*_TABLE, STOP_GRADIENT)} | BASIC
# What SymPy and NumPy have names for, in terms of the others; formulas may use them, no proof needs to know them.
WRITTEN_OUT: dict[str, sp.Expr] = {
    "sinh": (sp.exp(z) - sp.exp(-z)) / 2,
    "cosh": (sp.exp(z) + sp.exp(-z)) / 2,
    "coth": (1 + sp.exp(-2 * z)) / (1 - sp.exp(-2 * z)),
    "sech": 2 / (sp.exp(z) + sp.exp(-z)),
    "csch": 2 / (sp.exp(z) - sp.exp(-z)),
    "asinh": sp.log(z + sp.sqrt(z**2 + 1)),
    "acosh": sp.log(z + sp.sqrt(z - 1) * sp.sqrt(z + 1)),
    "atanh": sp.log((1 + z) / (1 - z)) / 2,
    "tan": sp.sin(z) / sp.cos(z),
    "cot": sp.cos(z) / sp.sin(z),
    "sec": 1 / sp.cos(z),
    "csc": 1 / sp.sin(z),
    "erfc": 1 - sp.erf(z),
    "ln": sp.log(z),
    "log2": sp.log(z) / sp.log(2),
    "log10": sp.log(z) / sp.log(10),
    "log1p": sp.log(1 + z),
    "expm1": sp.exp(z) - 1,
    "exp2": sp.exp(z * sp.log(2)),
}
WRITTEN_OUT |= {f"arc{name[1:]}": WRITTEN_OUT[name] for name in ("asinh", "acosh", "atanh")}
ACTIVATIONS = tuple(f.name for f in _TABLE if f.name != "abs")


def arbitrary(name: str = "f", arity: int = 1) -> Function:
    """An arbitrary differentiable function, known by its name alone."""
    return Function(name, arity, latex=name)


def is_arbitrary(function: Function) -> bool:
    """True for a function without a definition that is not basic: f, f', f'' ..."""
    return function.definition is None and function.name not in BASIC


def defined(name: str, definition: sp.Expr, *, kinks: tuple[sp.Expr, ...] = (), latex: str = "") -> Function:
    """A user's own function, from a SymPy expression in `z` (and `y`)."""
    arity = 2 if definition.has(y) else 1
    return Function(name, arity, definition, kinks, latex or rf"\operatorname{{{name}}}")


def activation(name: str) -> Function:
    """The activation called `name`.

    Raises:
        NetworkError: no such activation; names the nearest.
    """
    if name in ACTIVATIONS:
        return FUNCTIONS[name]
    near = nearest(name, ACTIVATIONS)
    raise NetworkError(
        f"unknown activation {name!r}",
        evidence=[
            "known:  " + ", ".join(ACTIVATIONS),
            "also:   softmax at the output, f (arbitrary), or a SymPy expression",
        ],
        help=f"did you mean {near!r}" if near else None,
    )


@cache
def derivative(function: Function, argument: int = 0) -> Function:
    """The derivative of `function` with respect to its argument number `argument`, by SymPy's `diff`.

    Functions that are `CONSTANT_LOCALLY` have derivative 0: a jump is reported by whoever introduced the function.

    Example:
        >>> derivative(FUNCTIONS["relu"]).definition
        step(z)
    """
    prime = function.name + ("_prime" if function.arity == 1 else f"_prime{argument + 1}")
    if is_arbitrary(function):
        mark = "'" if function.arity == 1 else f"_{{,{argument + 1}}}"
        return Function(prime, function.arity, latex=f"{function.latex}{mark}", primitive_of=(function, argument))
    if function in CONSTANT_LOCALLY:
        return Function(prime, definition=sp.Integer(0), latex="0", primitive_of=(function, argument))
    definition = function.definition if function.definition is not None else _SYMPY_BASIC[function.name]
    slope = _without_step_slopes(sp.diff(definition, ARGUMENTS[argument]))
    return Function(prime, function.arity, slope, function.kinks, f"{function.latex}'", (function, argument))


def _without_step_slopes(expr: sp.Expr) -> sp.Expr:
    """Replace the derivative of `step` by 0, which it is away from the jump."""
    return expr.replace(lambda e: isinstance(e, (sp.Derivative, sp.Subs)) and e.has(step), lambda e: sp.Integer(0))
