"""Plain text of expressions: compared whole; every text is Python syntax."""

import ast
from fractions import Fraction

import pytest

from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Compare,
    Entry,
    Expr,
    Index,
    Partial,
    Position,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    Total,
    add,
    apply,
    contraction,
    divide,
    extremum,
    fresh,
    kronecker,
    multiply,
    negate,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import LOG, arbitrary, derivative
from symbackprop.rendering.text import to_text

m, K, s = Symbol("m", "size"), Symbol("K", "size"), Symbol("s_1", "size")
lam = Symbol("lam")
n, i, j, k = Index("n", m), Index("i", s), Index("j", s), Index("k", s)
W, b = Tensor("W1", (s, s)), Tensor("b1", (s,))
a, z, delta = Tensor("a1", (m, s)), Tensor("z2", (m, s)), Tensor("delta3", (m, s))
J = Entry(Tensor("J"))
B, Z = Entry(b, (i,)), Entry(z, (n, i))


def total(name: str = "j") -> Expr:
    return contraction(name, s, lambda j: multiply(Entry(W, (j, i)), Entry(delta, (n, j))))


CASES = {
    "sum_then_slope": (
        multiply(total(), apply(derivative(arbitrary()), Z)),
        "sum(j, W1[j,i]*delta3[n,j])*f_prime(z2[n,i])",
    ),
    "entry_plus_bias": (
        add(contraction("j", s, lambda j: multiply(Entry(W, (i, j)), Entry(a, (n, j)))), B),
        "sum(j, W1[i,j]*a1[n,j]) + b1[i]",
    ),
    "minus_leads_only_if_it_must": (subtract(ONE, B), "1 - b1[i]"),
    "difference_of_entries": (add(negate(B), Z), "z2[n,i] - b1[i]"),
    "all_negative": (negate(add(B, ONE)), "-(b1[i] + 1)"),
    "subtracted_sum": (subtract(lam, add(m, K)), "lam - (m + K)"),
    "quotient": (divide(subtract(Z, B), m), "(z2[n,i] - b1[i])/m"),
    "two_denominators": (
        multiply(lam, power(multiply(number(2), m), -1), power(B, 2)),
        "lam*b1[i]**2/(2*m)",
    ),
    "rational": (multiply(number(Fraction(-3, 4)), B), "-3*b1[i]/4"),
    "half": (number(Fraction(-1, 2)), "-1/2"),
    "rational_exponent": (power(B, Fraction(3, 4)), "b1[i]**(3/4)"),
    "odd_power_of_a_negative": (power(negate(B), 3), "-b1[i]**3"),
    "negative_base": (power(negate(B), lam), "(-b1[i])**lam"),
    "minus_goes_before_a_sum": (contraction("j", s, lambda j: negate(Entry(b, (j,)))), "-sum(j, b1[j])"),
    "negative_number_base": (power(number(-2), lam), "(-2)**lam"),
    "root": (power(add(B, ONE), Fraction(1, 2)), "sqrt(b1[i] + 1)"),
    "one_over_root": (power(add(B, ONE), Fraction(-1, 2)), "1/sqrt(b1[i] + 1)"),
    "symbolic_negative_exponent": (power(B, negate(lam)), "1/b1[i]**lam"),
    "total_first": (multiply(Total(J, Z), B), "dJ/dz2[n,i]*b1[i]"),
    "total_second": (multiply(B, Total(J, Z)), "b1[i]*(dJ/dz2[n,i])"),
    "partial": (Partial(Z, Entry(W, (i, j))), "diff(z2[n,i], W1[i,j])"),
    "kronecker": (multiply(kronecker(i, k), MINUS_ONE), "-kronecker(i, k)"),
    "indicator": (multiply(Compare("<", ZERO, Z), B), "where(0 < z2[n,i], 1, 0)*b1[i]"),
    "where": (where(Compare("<=", ZERO, Z), Z, ZERO), "where(0 <= z2[n,i], z2[n,i], 0)"),
    "maximum": (extremum("max", "k", s, lambda k: Entry(b, (k,))), "max(k, b1[k])"),
    "argmax": (Position("max", (p := fresh("k", s)), Entry(b, (p,))), "argmax(k, b1[k])"),
    "index_arithmetic": (Entry(b, (add(i, number(2)),)), "b1[i + 2]"),
    "subtracted_quotient": (subtract(K, Quotient(K, number(2))), "K - K//2"),
    "negated_quotient_alone": (Entry(b, (negate(Quotient(i, number(2))),)), "b1[-(i//2)]"),
    "division_of_indices": (Entry(b, (Quotient(i, number(2)),)), "b1[i//2]"),
    "remainder_of_sum": (Entry(b, (Remainder(add(i, j), s),)), "b1[(i + j)%s_1]"),
    "range_named_when_no_entry_shows_it": (contraction("j", K, lambda j: ONE), "sum(j < K, 1)"),
    "log": (multiply(B, apply(LOG, subtract(ONE, B))), "b1[i]*log(1 - b1[i])"),
    "scalar": (J, "J"),
    "cost_keeps_its_order": (
        add(negate(contraction("i", s, lambda i: Entry(b, (i,)))), lam),
        "-sum(i, b1[i]) + lam",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_to_text(name: str) -> None:
    expr, text = CASES[name]
    assert to_text(expr) == text
    ast.parse(text, mode="eval")


def test_to_text_renames_nested_binder_of_the_same_name() -> None:
    square = contraction("j", s, lambda j: contraction("j", s, lambda k: multiply(Entry(b, (j,)), Entry(b, (k,)))))
    assert to_text(square) == "sum(j, sum(j_1, b1[j]*b1[j_1]))"


def test_to_text_renames_binder_that_hides_a_free_index_or_a_symbol() -> None:
    assert to_text(contraction("i", s, lambda j: Entry(W, (i, j)))) == "sum(i_1, W1[i,i_1])"
    assert to_text(contraction("m", m, lambda j: multiply(m, Entry(Tensor("v", (m,)), (j,))))) == "sum(m_1, m*v[m_1])"


def test_to_text_gives_sums_beside_each_other_the_same_name() -> None:
    one = contraction("j", s, lambda j: Entry(b, (j,)))
    other = contraction("j", s, lambda j: power(Entry(b, (j,)), 2))
    assert to_text(add(one, other)) == "sum(j, b1[j]) + sum(j, b1[j]**2)"
