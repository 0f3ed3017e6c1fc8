"""Mathematics of expressions: LaTeX compared whole, MathML checked for form, notations beside each other."""

import xml.etree.ElementTree as ElementTree
from fractions import Fraction

import pytest
from test_text import CASES, B, W, Z, a, b, delta, i, j, k, lam, m, n, s

from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Entry,
    Expr,
    Index,
    Partial,
    Symbol,
    Tensor,
    Total,
    add,
    apply,
    contraction,
    divide,
    extremum,
    kronecker,
    multiply,
    negate,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import FUNCTIONS, LOG, STEP, arbitrary, derivative
from symbackprop.rendering.layout import Glyph, broken, width
from symbackprop.rendering.math import latex, layout_of, mathml
from symbackprop.rendering.notation import NAMES, NIELSEN, THETA, WEIGHTS, Notation, tensor_layout
from symbackprop.rendering.tex import to_tex

J = Entry(Tensor("J"))
y = Tensor("y", (m, s))
z = add(contraction("j", s, lambda j: multiply(Entry(W, (i, j)), Entry(a, (n, j)))), B)
D = multiply(
    contraction("j", s, lambda j: multiply(Entry(W, (j, i)), Entry(delta, (n, j)))), apply(derivative(arbitrary()), Z)
)

WRITTEN = {
    "entry": (Entry(W, (i, j)), r"W^{(1)}_{ij}"),
    "row_of_a_batch": (Z, r"z^{(2)}_{ni}"),
    "error_term": (Entry(delta, (n, i)), r"\delta^{(3)}_{ni}"),
    "cotangent": (Entry(Tensor("dJ_dW1", (s, s)), (i, j)), r"\frac{\partial J}{\partial W^{(1)}_{ij}}"),
    "total": (Total(J, Entry(W, (i, j))), r"\frac{\partial J}{\partial W^{(1)}_{ij}}"),
    "pre_activation": (z, r"\sum_{j=1}^{s_{1}}W^{(1)}_{ij}\,a^{(1)}_{nj} + b^{(1)}_{i}"),
    "recursion": (D, r"\left(\sum_{j=1}^{s_{1}}W^{(1)}_{ji}\,\delta^{(3)}_{nj}\right)f'(z^{(2)}_{ni})"),
    "sum_last_needs_no_brackets": (
        multiply(lam, contraction("j", s, lambda j: Entry(b, (j,)))),
        r"\lambda\sum_{j=1}^{s_{1}}b^{(1)}_{j}",
    ),
    "sum_of_terms_needs_brackets": (
        contraction("j", s, lambda j: add(Entry(b, (j,)), ONE)),
        r"\sum_{j=1}^{s_{1}}(b^{(1)}_{j} + 1)",
    ),
    "kronecker": (kronecker(i, k), r"[i = k]"),
    "indicator": (Compare("<", ZERO, Z), r"[z^{(2)}_{ni} > 0]"),
    "at_least": (Compare("<=", ZERO, Z), r"[z^{(2)}_{ni} \ge 0]"),
    "at_most": (Compare("<=", Z, ZERO), r"[z^{(2)}_{ni} \le 0]"),
    "cases": (
        where(Compare("<", ZERO, Z), Z, ZERO),
        r"\begin{cases} z^{(2)}_{ni} & \text{if }z^{(2)}_{ni} > 0 \\ 0 & \text{otherwise} \end{cases}",
    ),
    "partial_of_an_entry": (
        Partial(Z, Entry(W, (i, j))),
        r"\frac{\hat{\partial}z^{(2)}_{ni}}{\hat{\partial}W^{(1)}_{ij}}",
    ),
    "partial_of_a_sum": (
        Partial(add(B, ONE), B),
        r"\frac{\hat{\partial}}{\hat{\partial}b^{(1)}_{i}}\,(b^{(1)}_{i} + 1)",
    ),
    "constant_fraction_in_front": (
        multiply(lam, power(multiply(number(2), m), -1), contraction("i", s, lambda i: power(Entry(b, (i,)), 2))),
        r"\frac{\lambda}{2m}\sum_{i=1}^{s_{1}}(b^{(1)}_{i})^{2}",
    ),
    "whole_fraction": (divide(subtract(Z, B), m), r"\frac{z^{(2)}_{ni} - b^{(1)}_{i}}{m}"),
    "half": (
        multiply(number(Fraction(1, 2)), power(subtract(Z, B), 2)),
        r"\frac{1}{2}\,(z^{(2)}_{ni} - b^{(1)}_{i})^{2}",
    ),
    "square_brackets_around_round": (
        contraction("j", s, lambda j: add(apply(LOG, Entry(b, (j,))), ONE)),
        r"\sum_{j=1}^{s_{1}}[\log(b^{(1)}_{j}) + 1]",
    ),
    "root_below": (power(add(B, ONE), Fraction(-1, 2)), r"\frac{1}{\sqrt{b^{(1)}_{i} + 1}}"),
    "square_of_a_function": (power(apply(FUNCTIONS["tanh"], B), 2), r"\tanh^{2}(b^{(1)}_{i})"),
    "square_of_a_derivative": (power(apply(derivative(arbitrary()), B), 2), r"f'(b^{(1)}_{i})^{2}"),
    "named_function": (apply(FUNCTIONS["relu"], B), r"\operatorname{relu}(b^{(1)}_{i})"),
    "sigma": (apply(FUNCTIONS["sigmoid"], B), r"\sigma(b^{(1)}_{i})"),
    "step": (apply(STEP, B), r"\operatorname{step}(b^{(1)}_{i})"),
    "second_derivative": (apply(derivative(derivative(arbitrary())), B), r"f''(b^{(1)}_{i})"),
    "first_entry_counts_from_one": (Entry(b, (ZERO,)), r"b^{(1)}_{1}"),
    "maximum": (extremum("max", "k", s, lambda k: Entry(b, (k,))), r"\max_{1 \le k \le s_{1}}b^{(1)}_{k}"),
    "another_letter_for_a_nested_index": (
        contraction("j", s, lambda j: contraction("j", s, lambda k: Entry(W, (j, k)))),
        r"\sum_{j=1}^{s_{1}}\sum_{k=1}^{s_{1}}W^{(1)}_{jk}",
    ),
    "negated_bracket": (negate(add(B, ONE)), r"-(b^{(1)}_{i} + 1)"),
    "subtracted_bracket": (subtract(lam, add(m, B)), r"\lambda - (m + b^{(1)}_{i})"),
    "symbol_with_subscript": (Symbol("s_L"), r"s_{L}"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_latex(name: str) -> None:
    expr, expected = WRITTEN[name]
    assert latex(expr) == expected


@pytest.mark.parametrize(
    ("notation", "expected"),
    [
        (WEIGHTS, r"\left(\sum_{j=1}^{s_{1}}W^{(1)}_{ji}\,\delta^{(3)}_{nj}\right)f'(z^{(2)}_{ni})"),
        (THETA, r"\left(\sum_{q=1}^{s_{1}}\Theta^{(1)}_{qp}\,\delta^{(3)(i)}_{q}\right)f'(z^{(2)(i)}_{p})"),
        (NIELSEN, r"\left(\sum_{k=1}^{s_{1}}w^{2}_{kj}\,\delta^{n,3}_{k}\right)\sigma'(z^{n,2}_{j})"),
        (NAMES, r"\left(\sum_{j=0}^{s_{1}-1}\mathit{W1}_{ji}\,\mathit{delta3}_{nj}\right)f'(\mathit{z2}_{ni})"),
    ],
)
def test_latex_writes_one_recursion_in_each_notation(notation: Notation, expected: str) -> None:
    assert latex(D, notation) == expected


def test_theta_writes_the_bias_as_column_0_and_the_output_as_h() -> None:
    assert latex(B, THETA) == r"\Theta^{(1)}_{p0}"
    assert latex(Entry(Tensor("dJ_db1", (s,)), (i,)), THETA) == r"\frac{\partial J}{\partial\Theta^{(1)}_{p0}}"
    assert latex(Entry(Tensor("h", (m, s)), (n, k)), THETA) == r"h_{\Theta}(x^{(i)})_{k}"


def test_nielsen_numbers_weights_by_the_layer_they_lead_to() -> None:
    assert latex(Entry(Tensor("W_l", (s, s)), (i, j)), NIELSEN) == "w^{l+1}_{jk}"
    assert latex(Entry(Tensor("WL-1", (s, s)), (i, j)), NIELSEN) == "w^{L}_{jk}"


def test_names_keep_accents_and_greek() -> None:
    for name, expected in (("x_hat", r"\hat{x}_{i}"), ("gamma", r"\gamma_{i}"), ("row_max", r"\mathit{row\_max}_{i}")):
        assert latex(Entry(Tensor(name, (s,)), (i,)), NAMES) == expected


@pytest.mark.parametrize("name", CASES)
def test_mathml_is_well_formed_and_every_formula_has_latex(name: str) -> None:
    expr = CASES[name][0]
    root = ElementTree.fromstring(mathml(expr))
    assert root.tag == "math"
    text = latex(expr)
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")


def test_mathml_of_an_entry() -> None:
    expected = (
        "<math><msubsup><mi>W</mi><mrow><mi>i</mi><mi>j</mi></mrow>"
        '<mrow><mo stretchy="false">(</mo><mn>1</mn><mo stretchy="false">)</mo></mrow></msubsup></math>'
    )
    assert mathml(Entry(W, (i, j)), display=False) == expected


def test_mathml_of_a_prime_is_one_name_that_stays_legible_in_a_subscript() -> None:
    primed = Index("i'", s)
    assert '<mi class="primed">i′</mi>' in mathml(Entry(b, (primed,)))
    assert '<mi class="primed">f′</mi>' in mathml(apply(derivative(arbitrary()), B))


def test_broken_breaks_before_a_sign_and_keeps_all_parts() -> None:
    long: Expr = add(*(multiply(Entry(W, (i, j)), Entry(y, (n, j)), number(c * c)) for c in range(2, 12)), negate(B))
    layout = layout_of(long)
    lines = broken(layout, 30.0)
    assert len(lines) > 1
    assert all(width(line) <= 30.0 for line in lines)
    assert sum(len(line.parts) for line in lines) == len(layout.parts)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("W^(2)", "W^{(2)}_{ik}"),
        ("hat y", r"\hat{y}_{ik}"),
        ("hat y^(2)", r"\hat{y}^{(2)}_{ik}"),
        ("a^(n_l)", "a^{(n_{l})}_{ik}"),
        ("y each", "y_{ik}"),
        ("d J/d z^(l+1)", r"\left(\frac{\partial J}{\partial z^{(l+1)}}\right)_{ik}"),
    ],
)
def test_names_that_an_audit_makes_are_written_as_the_document_has_them(name, code):
    layout = tensor_layout(name, [Glyph("i"), Glyph("k")], NAMES)
    assert to_tex(layout).replace(" ", "") == code.replace(" ", "")
