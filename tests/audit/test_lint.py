"""What can be said by form alone."""

import pytest

from symbackprop.audit.grammar import parse
from symbackprop.audit.lint import bound, bound_names, free_indices, oddities, one_sided, undefined
from symbackprop.audit.tree import Big, links, walk


def link(formula: str):
    return links(parse(formula))[0]


@pytest.mark.parametrize(
    "formula, expected",
    [
        (r"\delta_j = \sum_k w_{kj} \delta_k", []),
        (r"\delta_j = \sum_k w_{kj} \delta_k x_i", [("one side", "i")]),
        (r"\delta_j = w_{kj} \delta_k", [("one side", "k")]),
        (r"\delta_i^{(l)} = f'(z_i^{(l)})", []),
        (r"a_j = x_i", [("one side", "j"), ("one side", "i")]),
        (r"\delta = W_{ij} \delta_j", []),
        (r"\frac{\partial z_j}{\partial w_{jk}} = a_k", []),
        (r"\frac{\partial J}{\partial w_i} = \sum_i x_i y_k", [("captured", "i"), ("one side", "k")]),
        (r"x_i = y_j \quad \text{for } i = j", []),
        (r"x_{i+1} = x_i", []),
        (r"x_i = (x_1, \dots, x_n)", []),
        (r"x_i \in A_j", []),
    ],
)
def test_indices_of_one_side(formula, expected):
    assert [(finding.kind, finding.name) for finding in one_sided(link(formula))] == expected


@pytest.mark.parametrize(
    "formula, expected",
    [
        (r"\sum_k w_k x_k", []),
        (r"\sum_k w_j x_j", [("unused", "k")]),
        (r"\sum_i x_i \sum_i y_i", [("captured", "i")]),
        (r"\sum_i x_i + \sum_i y_i", []),
        (r"\sum_{i,j} w_{ij}", []),
        (r"\sum_{x \in S} f(x)", []),
        (r"\sum_{i=1}^n 1", [("unused", "i")]),
        (r"\left( \sum_k w_k \right) \sum_k x_k", []),
        (r"\sum_{i \ne j} w_{ij}", []),
        (r"\sum_{l=1}^{L} \sum_{i=1}^{s_l} W^{(l)}_{i}", []),
    ],
)
def test_bound_indices(formula, expected):
    assert [(finding.kind, finding.name) for finding in bound(parse(formula))] == expected


@pytest.mark.parametrize(
    "lower, names",
    [
        ("k", ("k",)),
        ("i=1", ("i",)),
        ("i, j", ("i", "j")),
        ("ij", ("i", "j")),
        (r"n \in N", ("n",)),
        ("i < j", ("i", "j")),
        (r"\substack{i=1 \\ i \ne j}", ("i", "j")),
        (r"(i,j) \in E", ("i", "j")),
        (r"x, y \in S", ("x", "y")),
    ],
)
def test_what_a_sum_binds(lower, names):
    [big] = [node for node in walk(parse(rf"\sum_{{{lower}}} a")) if isinstance(node, Big)]
    assert bound_names(big) == names


def test_free_indices_have_places():
    text = r"\sum_k w_{jk} x_k + b_j"
    assert free_indices(parse(text)) == {"j": (text.index("j"), text.index("j") + 1)}


def test_undefined_symbols_are_told_once():
    displays = [parse(r"z = W x + b"), parse(r"a = f(z)"), parse(r"J = \sum_i (a_i - t_i)^2 + t_1 + \mu")]
    found = [(number, finding.name) for number, finding in undefined(displays, known={"W", "x", "b", "f"})]
    assert found == [(2, "t"), (2, "mu")]


def test_slips_are_findings():
    [row] = parse(r"a^(l) = (b + \foo").rows
    assert {finding.kind for finding in oddities(row)} == {"script", "bracket", "command"}
    for finding in oddities(row):
        assert 0 <= finding.span[0] < finding.span[1]
