"""The grammar: what people write, as trees; slips that are read all the same; nothing that stops it."""

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_text import tree_text

from symbackprop.audit.extraction import extract
from symbackprop.audit.grammar import flat, parse, parse_expression
from symbackprop.audit.latex import to_tex
from symbackprop.audit.tokens import tokens_of
from symbackprop.audit.tree import Big, Display, NotUnderstood, Product, Symbol, links, walk

HERE = Path(__file__).parent
LINES = (HERE / "trees.txt").read_text().splitlines()
TREES = list(zip(LINES[::2], LINES[1::2], strict=True))
DOCUMENTS = sorted(p for p in (HERE / "documents").iterdir() if p.suffix in (".md", ".tex", ".ipynb"))


@pytest.mark.parametrize("formula, expected", TREES, ids=[formula for formula, _ in TREES])
def test_a_formula_is_read_as_people_mean_it(formula, expected):
    assert tree_text(parse(formula)) == expected.strip()


@pytest.mark.parametrize("formula", [formula for formula, _ in TREES])
def test_what_is_written_of_a_tree_reads_as_the_tree(formula):
    display = parse(formula)
    if not any(isinstance(node, NotUnderstood) for node in walk(display)) and "If" not in formula:
        assert chains(parse(to_tex(display))) == chains(display)


def chains(display: Display) -> list[object]:
    return [row.chains for row in display.rows]


def test_spans_point_at_what_was_read():
    text = r"a = \frac{\partial J}{\partial W} + f(x_i)"
    for node in walk(parse(text)):
        start, end = node.span
        if isinstance(node, Symbol):
            assert text[start:end].strip("\\") == node.name
        assert 0 <= start <= end <= len(text)


# --- rows and links


@pytest.mark.parametrize(
    "formula, expected",
    [
        (r"a = b = c", [(0, 0, "a", "b"), (0, 1, "b", "c")]),
        (r"a = b, \quad c = d", [(0, 0, "a", "b"), (0, 1, "c", "d")]),
        (r"a &= b \\ &= c \\ d &= e", [(0, 0, "a", "b"), (1, 0, "b", "c"), (2, 0, "d", "e")]),
        (r"\begin{aligned} a &= b \\ &= c = d \end{aligned}", [(0, 0, "a", "b"), (1, 0, "b", "c"), (1, 1, "c", "d")]),
        (r"= a \\ = b", [(0, 0, None, "a"), (1, 0, "a", "b")]),
        (r"a = b \\[2pt] = c", [(0, 0, "a", "b"), (1, 0, "b", "c")]),
        (
            r"a = \begin{pmatrix} b \\ c \end{pmatrix} \\ = d",
            [(0, 0, "a", "pmatrix[b // c]"), (1, 0, "pmatrix[b // c]", "d")],
        ),
        (r"a & = & b \\ & = & c", [(0, 0, "a", "b"), (1, 0, "b", "c")]),
        (r"a &= b & c &= d \\ e &= f", [(0, 0, "a", "b"), (0, 1, "c", "d"), (1, 0, "e", "f")]),
        (r"a = b + \\ c \\ = d", [(0, 0, "a", "T<+ b + c>"), (2, 0, "T<+ b + c>", "d")]),
        (r"a \Rightarrow b = c", [(0, 0, "b", "c")]),
        (r"\left\{ \begin{aligned} a &= b \\ c &= d \end{aligned} \right.", [(0, 0, "a", "b"), (1, 0, "c", "d")]),
        (r"a = b \\ \text{Then} \\ c = d", [(0, 0, "a", "b"), (2, 0, "c", "d")]),
        (
            r"\begin{equation} \begin{split} a &= b \\ &= c \end{split} \end{equation}",
            [(0, 0, "a", "b"), (1, 0, "b", "c")],
        ),
    ],
)
def test_rows_and_links_are_numbered_as_the_audit_answers(formula, expected):
    found = [
        (link.row, link.link, None if link.left is None else tree_text(link.left), tree_text(link.right))
        for link in links(parse(formula))
    ]
    assert found == expected


def test_a_wrong_member_spoils_only_its_links():
    shown = [tree_text(link.right) for link in links(parse(r"a = b + = c = d"))]
    assert shown == ["NOT UNDERSTOOD(nothing stands after +: b +)", "c", "d"]


# --- helpers on trees


def test_flat_puts_all_factors_on_one_level():
    product = parse_expression(r"A B \odot C \cdot D")
    assert isinstance(product, Product) and len(product.factors) == 2
    assert tree_text(flat(product)) == "<A·B odot C cdot D>"


def test_the_body_of_a_sum_stops_at_plus():
    terms = parse_expression(r"\sum_k w_k a_k + b")
    big = terms.terms[0]
    assert isinstance(big, Big) and tree_text(big.body) == "<w_{k}·a_{k}>"


# --- what stops nothing


@pytest.mark.parametrize(
    "formula, reason",
    [
        ("", "the formula is empty"),
        (r"\quad", "no formula stands here"),
        ("(" * 5000, "nested more than 40 deep"),
        ("{" * 5000 + "}" * 5000, "nested more than 40 deep"),
        (r"\sum " * 5000, "nested more than 40 deep"),
        (r"\frac" * 5000, "nested more than 40 deep"),
        ("x^{" * 5000, "nested more than 40 deep"),
        ("x" + "_a" * 5000, "too many scripts after one another"),
        (r"\begin{cases}" * 500, "nested more than 40 deep"),
        ("x^", "nothing follows ^"),
        (r"\frac{a}", "the formula ends too early"),
        (r"a = \hat", "the formula ends too early"),
    ],
    ids=lambda value: value[:20],
)
def test_what_cannot_be_read_is_told(formula, reason):
    reasons = {node.reason for node in walk(parse(formula)) if isinstance(node, NotUnderstood)}
    assert reason in reasons


@pytest.mark.parametrize(
    "piece", ["a&", r"\\", "(}", r"\tag{", "x_i ", r"\text{for }", "a:", "a=b,", "Σ_i x", "d", r"\quad "]
)
def test_work_grows_with_length(piece):
    """Calls of functions, and steps of generators, for eight times the text: no piece takes them to the square."""

    def calls(length: int) -> int:
        count = 0

        def counted(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += 1

        text = piece * (length // len(piece))
        sys.setprofile(counted)
        try:
            parse(text)
        finally:
            sys.setprofile(None)
        return count

    assert calls(4000) < 12 * calls(500) + 1000


SOURCES = [f.latex for path in DOCUMENTS for f in extract(path).formulas if len(f.latex) > 8]
PIECES = sorted({token.text for source in SOURCES for token in tokens_of(source)})


@pytest.mark.parametrize("seed", range(150))
def test_broken_formulas_are_answered(seed):
    """Tokens lost, added and exchanged: there is always a display, its LaTeX and its links."""
    rng = random.Random(seed)
    pieces = [token.text for token in tokens_of(rng.choice(SOURCES))]
    for _ in range(rng.randint(1, 5)):
        place = rng.randrange(len(pieces) + 1)
        if rng.random() < 0.5:
            pieces.insert(place, rng.choice(PIECES))
        elif len(pieces) > 1:
            del pieces[min(place, len(pieces) - 1)]
    display = parse(" ".join(pieces))
    assert isinstance(parse(to_tex(display)), Display)
    assert all(0 <= link.span[0] <= link.span[1] for link in links(display))


@given(st.text(max_size=60))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_text_is_answered(text):
    assert isinstance(parse(text), Display)
    parse_expression(text)


# --- trees that are made up


ATOMS = st.sampled_from(
    ["x", "W", "7", r"\theta", r"\hat{y}", r"\mathbf{a}", r"\delta", "0.5", r"\mathcal{L}", r"\mathrm{net}"]
)
MARKS = st.sampled_from(
    ["", "_i", "_{ij}", "^{(l)}", "_j^{l+1}", "^T", "'", "^{[l]T}", "_{i,j}^2", r"^{\top}", "_{k=1}"]
)


def formulas(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, inner).map(lambda p: rf"\frac{{{p[0]}}}{{{p[1]}}}"),
        st.tuples(inner, inner).map(lambda p: f"{p[0]} + {p[1]}"),
        st.tuples(inner, inner).map(lambda p: f"{p[0]} - ({p[1]})"),
        st.tuples(inner, inner).map(lambda p: rf"({p[0]}) ({p[1]})"),
        st.tuples(inner, inner).map(lambda p: rf"({p[0]}) \odot ({p[1]})"),
        st.tuples(inner, inner).map(lambda p: rf"({p[0]}) \cdot ({p[1]})"),
        st.tuples(inner, inner).map(lambda p: rf"\frac{{\partial ({p[0]})}}{{\partial ({p[1]})}}"),
        inner.map(lambda p: rf"\frac{{\partial}}{{\partial x}} {p}"),
        inner.map(lambda p: rf"\sum_{{k=1}}^{{n}} {p}"),
        inner.map(lambda p: rf"\log ({p})"),
        inner.map(lambda p: rf"\sqrt{{{p}}}"),
        inner.map(lambda p: rf"\left\| {p} \right\|^2"),
        inner.map(lambda p: f"f'({p})"),
        inner.map(lambda p: f"-{p}"),
        inner.map(lambda p: rf"\max_k [{p}]"),
        inner.map(lambda p: rf"\nabla_W ({p})"),
        st.tuples(inner, inner).map(
            lambda p: rf"\begin{{cases}} {p[0]} & \text{{if }} x > 0 \\ {p[1]} & \text{{otherwise}} \end{{cases}}"
        ),
    )


FORMULAS = st.recursive(st.tuples(ATOMS, MARKS).map("".join), formulas, max_leaves=8)


@given(FORMULAS, FORMULAS)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_formulas_that_are_right_are_read_and_written(left, right):
    display = parse(f"{left} = {right}")
    assert not any(isinstance(node, NotUnderstood) for node in walk(display))
    assert not any(row.notes for row in display.rows)
    written = to_tex(display)
    assert chains(parse(written)) == chains(display), written
    assert to_tex(parse(written)) == written
