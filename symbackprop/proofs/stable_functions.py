"""Scalar functions in a form that stays finite: every function becomes an expression in a few machine functions.

A definition is algebra (sigmoid(z) = 1/(1 + exp(-z)), and its derivative exp(-z)/(1 + exp(-z))^2 is inf/inf at z =
-1000). Here exp(u) in a quotient is written over the bounded generator of its family, s = sigmoid or t = tanh, and
cancelled: the derivative becomes s(1 - s), by computation, for a user's own function as for the built-in ones. A
step becomes a choice of branch, so that the branch not taken cannot spoil the other.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import sympy as sp

from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import (
    ZERO,
    Add,
    Apply,
    Compare,
    Expr,
    Multiply,
    add,
    apply,
    children,
    number,
    rebuild,
    substitute,
    where,
)
from symbackprop.expression.functions import ARGUMENTS, FUNCTIONS, WRITTEN_OUT, Function, is_arbitrary, step
from symbackprop.expression.sympy_bridge import PI, PLACES, from_sympy

# What every printer knows how to write. They are functions of the table with the same names, and sqrt.
MACHINE = ("exp", "log", "erf", "sin", "cos", "sigmoid", "tanh", "relu", "abs")
# softplus(z) = relu(z) + tail(z), and the tail is even: softplus(-z) = relu(-z) + tail(z) = softplus(z) - z.
TAIL = Function("tail", definition=sp.log(1 + sp.exp(-sp.Abs(ARGUMENTS[0]))))
# exp(u) - 1 and log(1 + u), which machines compute with all digits where u is small.
EXPM1, LOG1P = (Function(n, definition=WRITTEN_OUT[n]) for n in ("expm1", "log1p"))
# exp(u) where it must not be infinite: where it is it has the largest value instead of which 1/(1 + exp(u)) is no 0.
FINITE_EXP = Function("finite_exp", definition=sp.exp(ARGUMENTS[0]))
# tanh(z) where sigmoid(2z) and sigmoid(-2z) are there, whose difference it is.
TANH_BESIDE = Function("tanh_beside", 3, sp.tanh(ARGUMENTS[0]))
HYPOT = Function("hypot", 2, sp.sqrt(ARGUMENTS[0] ** 2 + ARGUMENTS[1] ** 2))  # without overflow of the squares
_SIGMOID, _TANH, _SOFTPLUS, _RELU = map(sp.Function, ("sigmoid", "tanh", "softplus", "relu"))
_OWN = ("sigmoid", "tanh", "softplus", "relu")
PI_VALUE = number(Fraction(math.pi))


def machine_form(expr: Expr) -> Expr:
    """`expr` with every function written in machine functions.

    Example:
        >>> from symbackprop.expression.build import Symbol, apply
        >>> from symbackprop.expression.functions import derivative
        >>> machine_form(apply(derivative(FUNCTIONS["relu"]), Symbol("t"))).condition.relation
        '<'

    Raises:
        UnsupportedError: an arbitrary function, known by its name alone.
    """
    parts = children(expr)
    new = tuple(machine_form(p) for p in parts)
    if isinstance(expr, Apply):
        return applied(expr.function, new)
    if expr is PI:
        return PI_VALUE
    if isinstance(expr, Add):  # the small tail last: relu(z) - y z is exact for y = 0 and y = 1, and must not lose it
        new = tuple(sorted(new, key=_has_tail))
    return expr if new == parts else rebuild(expr, new)


def _has_tail(term: Expr) -> bool:
    factors = term.factors if isinstance(term, Multiply) else term.terms if isinstance(term, Add) else (term,)
    return any(isinstance(f, Apply) and f.function is TAIL for f in factors)


def applied(function: Function, arguments: tuple[Expr, ...]) -> Expr:
    """The function in machine functions: written out in them, unless it is one."""
    if (function.name in MACHINE and FUNCTIONS[function.name] == function) or function in (EXPM1, LOG1P):
        return Apply(function, arguments)
    if function == FUNCTIONS["softplus"]:
        return add(apply(FUNCTIONS["relu"], *arguments), apply(TAIL, *arguments))
    if function.name == "step" and function.definition is None:
        return Compare("<", ZERO, arguments[0])
    if function.definition is None and not is_arbitrary(function):
        raise UnsupportedError(f"there is no code for {function.name}")
    if is_arbitrary(function):
        raise UnsupportedError(
            f"{function.name} is an arbitrary function, so there is no code for it",
            help="name an activation, such as sigmoid, before compiling",
        )
    if function.definition is None:
        raise UnsupportedError(f"there is no code for {function.name}")
    return substitute(_definition(function), dict(zip(PLACES, arguments, strict=False)))


@cache
def _definition(function: Function) -> Expr:
    """The stable form of a function's definition in the symbols of `PLACES`."""
    assert function.definition is not None
    return _choice(sp.sympify(function.definition))


def _choice(expr: sp.Expr) -> Expr:
    """Open the first step into a choice between two branches, then read what has none."""
    steps = sorted(expr.atoms(step), key=sp.default_sort_key)
    if steps:
        first = steps[0]
        place = first.args[0]
        then = _choice(_held_at_0(sp.expand(expr.subs(first, 1)), -place))
        otherwise = _choice(_held_at_0(sp.expand(expr.subs(first, 0)), place))
        return where(Compare("<", ZERO, _read(place)), then, otherwise)
    return _read(bounded(expr))


def _held_at_0(expr: sp.Expr, u: sp.Expr) -> sp.Expr:
    """exp(k*u), k > 0, where u < 0 is known: arrays compute it where u > 0, too, and there it must not overflow."""
    return expr.replace(
        lambda e: isinstance(e, sp.exp) and (e.args[0] / u).is_positive and (e.args[0] / u).is_number,
        lambda e: sp.exp(-(e.args[0] / u) * _RELU(-u)),
    )


def bounded(expr: sp.Expr) -> sp.Expr:
    """A quotient of exponentials over sigmoid or tanh of the same argument, log(1 + exp(u)) as softplus(u).

    Example:
        >>> bounded(sp.exp(-sp.Symbol("t")) / (1 + sp.exp(-sp.Symbol("t"))) ** 2)
        (1 - sigmoid(t))*sigmoid(t)
    """
    log_of_sum = sp.Wild("u")
    expr = expr.replace(sp.log(1 + sp.exp(log_of_sum)), _SOFTPLUS(log_of_sum))
    for u in _quotient_exponents(expr):
        expr = _over_generator(expr, u)
    return expr


def _quotient_exponents(expr: sp.Expr) -> list[sp.Expr]:
    """The u, one for each family k*u, whose exp(u) stands in a denominator."""
    found: dict[sp.Expr, sp.Expr] = {}
    for power in expr.atoms(sp.Pow):
        if power.exp.is_negative:
            for exponential in power.base.atoms(sp.exp):
                u = exponential.args[0]
                found.setdefault(-u if u.could_extract_minus_sign() else u, u)
    return sorted(found, key=sp.default_sort_key)


def _over_generator(expr: sp.Expr, u: sp.Expr) -> sp.Expr:
    g = sp.Dummy("g")
    if u.as_coeff_Mul()[0] == 2:  # exp(2w) belongs to tanh(w), so that 1 - tanh(w)^2 comes out as such
        value, exponential = _TANH(u / 2), (1 + g) / (1 - g)
    else:
        value, exponential = _SIGMOID(u), g / (1 - g)
    inside = expr.replace(
        lambda e: isinstance(e, sp.exp) and (e.args[0] / u).is_Integer,
        lambda e: exponential ** int(e.args[0] / u),
    )
    forms = {others: sp.cancel(sp.together(rational)) for others, rational in _by_cofactor(inside, g).items()}
    if any(g in sp.denom(form).free_symbols for form in forms.values()):
        return _over_half(expr, u)
    return sp.Add(*(others * _nested(form, g).subs(g, value) for others, form in forms.items()))


def _by_cofactor(expr: sp.Expr, g: sp.Symbol) -> dict[sp.Expr, sp.Expr]:
    """{c: r} with expr = sum of c*r, where only r has g in it.

    Terms are put together only where they multiply the same function of z: with a polynomial of z pulled through the
    sum, z^3 (1 - t^2) would become z^3 - z^3 t^2, which cancels badly.
    """
    groups: dict[sp.Expr, sp.Expr] = {}
    for term in sp.Add.make_args(sp.expand_mul(expr)):
        outside, rational = term.as_independent(g, as_Add=False)
        factor, others = outside.as_coeff_Mul()
        groups[others] = groups.get(others, 0) + factor * rational
    return groups


def _over_half(expr: sp.Expr, u: sp.Expr) -> sp.Expr:
    """A quotient over exp(u) and exp(-u), such as (exp(u) - exp(-u))/(exp(u) + exp(-u)), in t = tanh(u).

    exp(2u) = (1 + t)/(1 - t): so if only even powers of exp(u) are left. What is no polynomial in t stays as written.
    """
    e, t = sp.Dummy("e"), sp.Dummy("t")
    inside = expr.replace(
        lambda x: isinstance(x, sp.exp) and (x.args[0] / u).is_Integer, lambda x: e ** int(x.args[0] / u)
    )
    total = sp.Integer(0)
    for others, rational in _by_cofactor(inside, e).items():
        above, below = (sp.Poly(p, e) for p in sp.fraction(sp.cancel(sp.together(rational))))
        if any(power % 2 for p in (above, below) for (power,) in p.monoms()):
            return expr
        form = sp.cancel((above / below).as_expr().subs(e, sp.sqrt((1 + t) / (1 - t))))
        if t in sp.denom(form).free_symbols:
            return expr
        total += others * _nested(form, t).subs(t, _TANH(u))
    return total


def _nested(polynomial: sp.Expr, g: sp.Symbol) -> sp.Expr:
    """g - g^2 as g*(1 - g): exact near g = 0 and g = 1."""
    return sp.horner(polynomial, g) if g in polynomial.free_symbols else polynomial


def _read(expr: sp.Expr) -> Expr:
    """SymPy to an expression in machine functions; irrational constants become the nearest double."""
    expr = expr.replace(lambda e: e.is_number and not e.is_Rational and e.is_real, lambda e: sp.Rational(float(e)))
    return _resolve(from_sympy(expr, dict(zip(ARGUMENTS, PLACES, strict=True))))


def _resolve(expr: Expr) -> Expr:
    """The names that `bounded` introduced become functions of the table, everything else machine form."""
    new = tuple(_resolve(p) for p in children(expr))
    if isinstance(expr, Apply):
        name = expr.function.name
        return applied(FUNCTIONS[name] if name in _OWN else expr.function, new)
    if expr is PI:
        return PI_VALUE
    return rebuild(expr, new)
