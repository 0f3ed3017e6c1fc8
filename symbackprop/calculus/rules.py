"""The named rules of proof, and the derivative of an expression with respect to one entry of a tensor.

`RULES` is a table: adding a rule means adding a row. `partial` applies the rules of differentiation, node by node,
forwards; it is what a reader would do on paper and it is deliberately simple, since the kernel relies on it. Slopes
of scalar functions come from `primitives.derivative`, that is from SymPy.
"""

from __future__ import annotations

from dataclasses import dataclass

from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Multiply,
    Power,
    Sum,
    Tensor,
    Where,
    add,
    apply,
    children,
    close_sum,
    kronecker,
    multiply,
    open_binder,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import LOG
from symbackprop.expression.sympy_bridge import slope


@dataclass(frozen=True)
class Rule:
    """A named rule.

    Args:
        name: as it stands in a `Step`.
        statement: one sentence for the reader.
        condition: when it may be used; "" if always.
        latex: the rule as a formula.
        source: a book, or "definition".
    """

    name: str
    statement: str
    condition: str = ""
    latex: str = ""
    source: str = "definition"


_TABLE = (
    Rule(
        "definition_of_delta",
        "The error term is the name of a derivative: the rate at which the cost changes with the pre-activation.",
        latex=r"\delta^{(l)}_{ni} = \frac{\partial J}{\partial z^{(l)}_{ni}}",
    ),
    Rule(
        "chain_rule",
        "A quantity moves the cost only through the equations in which it occurs: "
        "multiply along each path, add over all paths.",
        "the functions on the path are differentiable at the point",
        r"\frac{\partial J}{\partial x_p} = \sum_y \sum_q "
        r"\frac{\partial J}{\partial y_q}\frac{\partial y_q}{\partial x_p}",
        "Goodfellow, Bengio & Courville, Deep Learning (2016), equation (6.46)",
    ),
    Rule("definition", "The derivative of a tensor is the derivative of the right side of its equation."),
    Rule("equation", "A tensor may be replaced by the right side of its own equation."),
    Rule(
        "derivative",
        "Differentiate term by term: sums, products and functions by their rules; "
        "an entry with respect to itself gives 1, "
        "with respect to any other 0, which is a Kronecker delta.",
        "the functions are differentiable at the point",
        r"\frac{\partial x_q}{\partial x_p} = \delta_{qp},\quad (uv)' = u'v + uv',\quad "
        r"\frac{\partial f(u)}{\partial x_p} = f'(u)\,\frac{\partial u}{\partial x_p}",
        "Spivak, Calculus (2008), chapter 10",
    ),
    Rule(
        "contract_delta",
        "In a sum, a Kronecker delta keeps the one term in which its two indices agree.",
        "both indices range over the same axis",
        r"\sum_{j} \delta_{ji}\, A_j = A_i",
    ),
    Rule("algebra", "Both sides have the same normal form: rearranged, factored or renamed, nothing more."),
    Rule("earlier_result", "A derivative that has been worked out above is put in."),
    Rule("induction", "The result for layer l + 1 is the hypothesis from which the result for layer l follows."),
)
RULES: dict[str, Rule] = {rule.name: rule for rule in _TABLE}


def partial(expr: Expr, variable: Entry) -> Expr:
    """The derivative of `expr` with respect to one entry, all other tensors held fixed.

    Kronecker deltas say which entries agree; nothing is contracted. At kinks the slope of the branch that the
    condition picks is used, and an extremum passes its slope to the entries that attain it.

    Raises:
        UnsupportedError: the expression holds a node that has no derivative rule.

    Example:
        >>> from symbackprop.expression.build import Index, Symbol, Tensor, number
        >>> n = Symbol("n", "size")
        >>> x, i, j = Tensor("x", (n,)), Index("i", n), Index("j", n)
        >>> partial(power(Entry(x, (i,)), 2), Entry(x, (j,))) is multiply(number(2), Entry(x, (i,)), kronecker(i, j))
        True
    """
    if not mentions(expr, variable):
        return ZERO
    match expr:
        case Entry(_, indices):
            return multiply(*(kronecker(i, p) for i, p in zip(indices, variable.indices, strict=True)))
        case Add(terms):
            return add(*(partial(t, variable) for t in terms))
        case Multiply(factors):
            return add(
                *(
                    multiply(*factors[:k], partial(f, variable), *factors[k + 1 :])
                    for k, f in enumerate(factors)
                    if mentions(f, variable)
                )
            )
        case Power(base, exponent):
            return _partial_of_power(base, exponent, variable)
        case Sum():
            index, body = open_binder(expr)
            return close_sum(index, partial(body, variable))
        case Apply(function, arguments):
            return add(
                *(multiply(slope(function, k, arguments), partial(a, variable)) for k, a in enumerate(arguments))
            )
        case Where(condition, then, otherwise):
            return where(condition, partial(then, variable), partial(otherwise, variable))
        case Extremum():
            index, body = open_binder(expr)
            return close_sum(index, multiply(Compare("==", body, expr), partial(body, variable)))
        case Compare():
            return ZERO  # constant on both sides of its border
    raise UnsupportedError(f"no derivative rule for {type(expr).__name__}")


def _partial_of_power(base: Expr, exponent: Expr, variable: Entry) -> Expr:
    falling = multiply(exponent, power(base, subtract(exponent, ONE)), partial(base, variable))
    if not mentions(exponent, variable):
        return falling
    return add(falling, multiply(power(base, exponent), apply(LOG, base), partial(exponent, variable)))


def mentions(expr: Expr, variable: Entry) -> bool:
    """True if an entry of the variable's tensor occurs in `expr` as a value (not as an index)."""
    if isinstance(expr, Entry):
        return expr.tensor is variable.tensor
    return variable.tensor in tensors_in(expr)


_TENSORS: dict[Expr, frozenset[Tensor]] = {}


def tensors_in(expr: Expr) -> frozenset[Tensor]:
    """The tensors whose entries occur in `expr` as values, not as indices."""
    known = _TENSORS.get(expr)
    if known is None:
        own: frozenset[Tensor] = frozenset([expr.tensor]) if isinstance(expr, Entry) else frozenset()
        parts = () if isinstance(expr, Entry) else children(expr)
        known = _TENSORS[expr] = own.union(*(tensors_in(c) for c in parts))
    return known
