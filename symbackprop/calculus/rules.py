"""The named rules of proof, and the derivative of an expression with respect to one entry of a tensor.

`RULES` is a table: adding a rule means adding a row. `partial` applies the rules of differentiation, node by node,
forwards; it is what a reader would do on paper and it is deliberately simple, since the kernel relies on it. Slopes
of scalar functions come from `functions.derivative`, that is from SymPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    MatrixEntry,
    Multiply,
    Power,
    Sum,
    Where,
    add,
    apply,
    close_sum,
    fresh,
    kronecker,
    matrix_entry,
    multiply,
    number,
    open_binder,
    open_matrix,
    power,
    substitute,
    subtract,
    sum_over,
    tensors_in,
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
        "multiply along each path, add over all paths. The sum over $u$ runs over all tensors whose equation contains "
        "the tensor $v$; $p$ and $q$ stand for all their indices; where the cost itself is such a $u$, the factor is "
        "1.",
        "the functions on the path are differentiable at the point",
        r"\frac{\partial J}{\partial v_p} = \sum_u \sum_q "
        r"\frac{\partial J}{\partial u_q}\frac{\hat{\partial} u_q}{\hat{\partial} v_p}",
        "Goodfellow, Bengio & Courville, Deep Learning (2016), section 6.5.2",
    ),
    Rule(
        "definition",
        "The direct derivative of a tensor is that of the right side of its equation, of which the terms without "
        "the variable may be left out: their derivative is 0. A derivative that has a name is called by it.",
    ),
    Rule("equation", "A tensor may be replaced by the right side of its own equation, and the other way round."),
    Rule(
        "function",
        "A function, or its derivative, may be replaced by what it is: its definition, or what a lemma about it says "
        "for every argument; an activation $a = f(z)$ stands for its value.",
    ),
    Rule(
        "derivative",
        "Differentiate term by term: sums, products and functions by their rules; "
        "an entry with respect to itself gives 1, "
        "with respect to any other 0, which a bracket says: $[q = p]$ is 1 if the two agree and 0 otherwise.",
        "the functions are differentiable at the point",
        r"\frac{\hat{\partial} v_q}{\hat{\partial} v_p} = [q = p],\quad (gh)' = g'h + gh',\quad "
        r"\frac{\hat{\partial} f(g)}{\hat{\partial} v_p} = f'(g)\,\frac{\hat{\partial} g}{\hat{\partial} v_p}",
        "Spivak, Calculus (2008), chapter 10",
    ),
    Rule(
        "contract_delta",
        "In a sum, a bracket $[j = i]$ (a Kronecker delta) keeps the one term in which its two indices agree.",
        "both indices range over the same axis",
        r"\sum_{j} [j = i]\, A_j = A_i",
    ),
    Rule(
        "algebra",
        "The laws of real numbers and finite sums, of exponentials and logarithms: both sides have the same normal "
        "form. A factor is cancelled only where it is not 0.",
    ),
    Rule(
        "assumption",
        "What is taken for granted about the data is put in; the theorem says that it assumes it.",
    ),
    Rule("earlier_result", "A derivative that has been worked out above is put in."),
    Rule(
        "induction",
        "The statement for layer $l+1$ is the hypothesis from which the statement for layer $l$ follows.",
        "it has been proved for the last layer",
    ),
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
        case MatrixEntry():
            over, local, entry = matrix_slope(expr)
            return sum_over(over, multiply(local, partial(entry, variable)))
        case Compare():
            return ZERO  # constant on both sides of its border
    raise UnsupportedError(f"no derivative rule for {type(expr).__name__}")


def _partial_of_power(base: Expr, exponent: Expr, variable: Entry) -> Expr:
    falling = multiply(exponent, power(base, subtract(exponent, ONE)), partial(base, variable))
    if not mentions(exponent, variable):
        return falling
    return add(falling, multiply(power(base, exponent), apply(LOG, base), partial(exponent, variable)))


def matrix_slope(expr: MatrixEntry) -> tuple[tuple[Index, ...], Expr, Expr]:
    """How what is made of a matrix A moves with its entries: the sum over the indices of local * d(entry).

    inverse      d inv(A)[i,j] = -sum(p, q, inv(A)[i,p] * inv(A)[q,j] * dA[p,q]), from d(A inv(A)) = 0
    determinant  d det(A) = sum(p, q, det(A) * inv(A)[q,p] * dA[p,q])
    logdet       d log|det(A)| = sum(p, q, inv(A)[q,p] * dA[p,q])
    cholesky     A = L L': dL = L T(inv(L) dA inv(L)'), where T keeps what is below the diagonal and half of it

    Source: Giles, An extended collection of matrix derivative results (2008), sections 2.2.3 and 2.2.4; Murray,
    Differentiation of the Cholesky decomposition (2016), equation (8).
    """
    row, column, entry = open_matrix(expr)

    def inverse_at(i: Expr, j: Expr) -> Expr:
        return MatrixEntry("inverse", expr.matrix, (i, j))

    match expr.kind:
        case "inverse":
            i, j = expr.places
            return (row, column), multiply(MINUS_ONE, inverse_at(i, row), inverse_at(column, j)), entry
        case "determinant":
            return (row, column), multiply(expr, inverse_at(column, row)), entry
        case "logdet":
            return (row, column), inverse_at(column, row), entry
        case "cholesky":
            return _cholesky_slope(expr, row, column, entry)


def _cholesky_slope(expr: MatrixEntry, row: Index, column: Index, entry: Expr) -> tuple[tuple[Index, ...], Expr, Expr]:
    (i, j), between = expr.places, fresh("k", row.size)

    def factor_at(p: Expr, q: Expr) -> Expr:
        return MatrixEntry("cholesky", expr.matrix, (p, q))

    def inverse_at(p: Expr, q: Expr) -> Expr:
        return matrix_entry("inverse", row.size, factor_at, (p, q))

    kept = add(Compare("<", j, between), multiply(number(Fraction(1, 2)), kronecker(between, j)))
    local = multiply(factor_at(i, between), kept, inverse_at(between, row), inverse_at(j, column))
    mirrored = substitute(entry, {row: column, column: row})
    return (between, row, column), local, where(Compare("<=", column, row), entry, mirrored)


def mentions(expr: Expr, variable: Entry) -> bool:
    """True if an entry of the variable's tensor occurs in `expr` as a value (not as an index)."""
    if isinstance(expr, Entry):
        return expr.tensor is variable.tensor
    return variable.tensor in tensors_in(expr)
