"""Text formulas: what is read, and how everything else is refused."""

from fractions import Fraction

import pytest

from symbackprop.errors import FormulaError, IndexNotationError, SymbackpropError
from symbackprop.expression.build import (
    Apply,
    Entry,
    Index,
    Sum,
    Symbol,
    Tensor,
    apply,
    contraction,
    divide,
    free_indices,
    multiply,
    number,
    power,
)
from symbackprop.expression.functions import FUNCTIONS, arbitrary, derivative
from symbackprop.frontends.formula import Scope, left_indices, parse, split_equation
from symbackprop.normal_form.normal_form import Canonical

S1, S2, M, LAM = Symbol("s_1", "size"), Symbol("s_2", "size"), Symbol("m", "size"), Symbol("lam")
W, a, d, J = Tensor("W1", (S2, S1)), Tensor("a1", (M, S1)), Tensor("delta2", (M, S2)), Tensor("J")
n, i, j = Index("n", M), Index("i", S2), Index("j", S1)
f = arbitrary("f")
SCOPE = Scope(
    tensors={"W1": W, "a1": a, "delta2": d, "J": J, "dJ_dW1": Tensor("dJ_dW1", (S2, S1))},
    scalars={"m": M, "lam": LAM, "s_2": S2, "s_1": S1},
    functions={"f": f, "f_prime": derivative(f)},
    indices={"n": n, "i": i},
)


def same(text, expr):
    assert Canonical().equal(parse(text, SCOPE), expr), text


# What is read.


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("lambda/(2*m)", divide(LAM, multiply(number(2), M))),
        ("λ/m", divide(LAM, M)),
        ("0.1", number(Fraction(1, 10))),
        ("0.12345678901234567890123", number(Fraction(12345678901234567890123, 10**23))),
        ("1_000.5e-3", number(Fraction(10005, 10**4))),
        ("2**10", number(1024)),
        ("sqrt(m)**2", M),
        ("square(lam)", power(LAM, 2)),
        ("σ(lam)", apply(FUNCTIONS["sigmoid"], LAM)),
        ("f_prime(delta2[n,i])", apply(derivative(f), Entry(d, (n, i)))),
        ("sum(j, W1[i,j]*a1[n,j])", contraction("j", S1, lambda t: multiply(Entry(W, (i, t)), Entry(a, (n, t))))),
        ("(lam\n + m)", parse("lam + m", SCOPE)),
        ("-lam", multiply(number(-1), LAM)),
        ("+lam", LAM),
    ],
)
def test_parse_reads(text, expr):
    same(text, expr)


def test_summed_indices_are_fresh_and_their_range_is_that_of_their_place():
    total = parse("sum(j, W1[i,j])", SCOPE)
    assert isinstance(total, Sum) and total.index.size is S1 and total.index.uid > 0
    assert free_indices(total) == {i}
    again = parse("sum(j, W1[i,j])", SCOPE)
    assert isinstance(again, Sum) and again.index is not total.index


def test_two_sums_in_a_row_may_use_one_name():
    same("sum(j, W1[i,j]) - sum(j, W1[i,j])", number(0))


def test_a_name_of_a_scalar_can_be_an_index_inside_its_sum():
    total = parse("sum(m, a1[n,m]) * m", SCOPE)
    same("sum(k, a1[n,k]) * m", total)


def test_split_equation_and_left_indices():
    assert split_equation("delta2[n,i] = 1") == ("delta2[n,i]", "1")
    assert split_equation("J = where(lam == 1, 2, 3)") == ("J", "where(lam == 1, 2, 3)")
    name, indices = left_indices("dJ/dW1[p,q]", SCOPE)
    assert name == "dJ_dW1" and [k.name for k in indices] == ["p", "q"] and [k.size for k in indices] == [S2, S1]


@pytest.mark.parametrize("text", ["J", "a = b = c", "x == y", ""])
def test_split_equation_wants_one_sign(text):
    with pytest.raises(FormulaError, match="an equation has one = sign"):
        split_equation(text)


@pytest.mark.parametrize(
    "text", ["delta2[n,n]", "delta2[n,1]", "delta2[n]", "f(n)", "2", "delta2[n+1,i]", "delta3[n,i]"]
)
def test_left_sides_are_one_entry_with_distinct_names(text):
    with pytest.raises((FormulaError, IndexNotationError)):
        left_indices(text, SCOPE)


# What is refused.

HOSTILE = [
    "__import__('os').system('true')",
    "().__class__",
    "m.__class__",
    "lambda x: x",
    "lambda: 1",
    "[x for x in m]",
    "(x for x in m)",
    "{m: m}",
    "f'{m}'",
    "'a'",
    "b'a'",
    "1j",
    "None",
    "...",
    "True",
    "m if m else m",
    "(m := 1)",
    "m; m",
    "m\n+1",
    "[m]",
    "m[0]",
    "m < m < m",
    "m @ m",
    "m // 2",
    "m % 2",
    "m & 1",
    "m ^ 2",
    "m << 40",
    "~m",
    "not m",
    "m and m",
    "await m",
    "yield",
    "print(m)",
    "eval('1')",
    "exp(m, m)",
    "exp()",
    "exp(*m)",
    "exp(x=m)",
    "exp(m)(m)",
    "sum(*m)",
    "sum()",
    "sum(j for j in m)",
    "\x00",
    "m\x00",
    "m\u200b",
    "#",
    "",
    "   ",
    "x" * 20_000,
    "9**9**9",
    "2**100000000",
    "2**-100000000",
    "((9**99)**99)**99",
    "m**1e9",
    "lam**(1/100000)",
    "1e400",
    "1e-400",
    "1e999999999",
    "9" * 3000,
    "0**-1",
    "1/0",
    "m/(1-1)",
    "(" * 3000 + "1" + ")" * 3000,
    "(" * 100_000 + "1" + ")" * 100_000,
    "-" * 5000 + "m",
    "+".join(["m"] * 600),
    "+".join(["m"] * 3000),
    "**".join(["m"] * 300),
    "exp(" * 300 + "m" + ")" * 300,
    "W1[i,j]",
    "W1[i]",
    "W1[i,:]",
    "W1[i,*j]",
    "W1[i,0]",
    "J[n]",
    "a1[n,i]",
    "а1[n,i]",
    "α",
    "sum(j, W1[i,j]*sum(j, W1[i,j]))",
    "sum(i, delta2[n,i])",
    "sum(j,j,W1[i,j])",
    "sum(q, 1)",
    "sum(q, W1[q,q])",
    "sum((q, lam), 1)",
    "sum((q, -3), 1)",
    "sum((q, s_2 - 5), 1)",
    "sum(2, W1[i,j])",
    "sum(j, W1[i,j]) + a1[n,j]",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_refused_with_one_message(text):
    with pytest.raises(SymbackpropError) as error:
        parse(text, SCOPE)
    assert isinstance(error.value, (FormulaError, IndexNotationError)), type(error.value)


def test_depth_that_is_allowed_is_read():
    same("+".join(["m"] * 150), multiply(number(150), M))
    assert isinstance(parse("exp(" * 80 + "m" + ")" * 80, SCOPE), Apply)


def test_the_message_names_the_nearest_and_points_at_the_guilty_part():
    with pytest.raises(FormulaError) as error:
        parse("2*sigmoyd(lam)", SCOPE)
    message = str(error.value)
    assert "unknown function sigmoyd" in message and "help: did you mean sigmoid" in message
    assert message.split("\n")[2] == "      ^^^^^^^^^^^^"


def test_a_look_alike_is_another_name():
    """Python itself reads a full-width m as m; a Cyrillic a stays what it is."""
    same("ｍ", M)
    with pytest.raises(FormulaError, match="unknown name"):
        parse("а", SCOPE)
