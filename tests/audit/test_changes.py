"""What a repair changes: the smallest parts of the formulas that differ, in every form in which a repair is shown."""

import pytest

from symbackprop.audit.audit import audit
from symbackprop.audit.changes import changes, in_words
from symbackprop.audit.grammar import parse_expression
from symbackprop.audit.repairs import tidied
from symbackprop.audit.report import table, to_dict, why
from symbackprop.document.audit_document import audit_document
from symbackprop.document.html import to_html
from symbackprop.document.markdown import to_markdown

# the formula, its repair with the changed parts between « and », and the change in words
CHANGED = [
    (r"w_{jk} x_k", r"w_{«kj»} x_k", "w_{kj} for w_{jk}"),
    (r"x_i y", r"«z_j» y", "z_j for x_i"),
    (r"a^{(l)}_k", r"a^{(l«-1»)}_k", "a^{(l-1)}_k for a^{(l)}_k"),
    (r"W \delta", r"W^«T» \delta", "W^T for W"),
    (r"3 \|r\|^2 r", r"3 \|r\| r", r"\|r\| for \|r\|^2"),
    (r"a - y", r"«2» (a - y)", "with 2"),
    (r"\sum_k d_k w_k", r"\sum_k d_k w_k\, «f'(z_j)»", "with f'(z_j)"),
    (r"\sum_i x_i", r"«\frac{1}{m}» \sum_i x_i", r"with \frac{1}{m}"),
    (r"x_j", r"«\sum_j »x_j", r"with \sum_j"),
    (r"s (1 + s)", r"s (1 «-» s)", "- for +"),
    (r"a + b", r"a", "without + b"),
    (r"A B", r"«B A»", "B A for A B"),
    (r"x a^T", r"«a x^T»", "a x^T for x a^T"),
    (r"y_k - p_k", r"«p_k - y_k»", "p_k - y_k for y_k - p_k"),
    (r"\sum_j y_j + x", r"\sum_j «(y_j + x)»", r"(y_j + x) for \sum_j y_j + x"),
    (r"a b", r"a «\odot» b", r"with \odot"),
    (r"A = B x", r"A^«T» = B^«T» x", "A^T for A; B^T for B"),
    (r"x", r"x", ""),
]


@pytest.mark.parametrize(("formula", "marked", "words"), CHANGED)
def test_the_smallest_parts_that_differ_are_found(formula, marked, words):
    repair = marked.replace("«", "").replace("»", "")
    found = changes(formula, repair)
    shown = repair
    for change in reversed(found):
        start, end = change.span
        shown = shown[:start] + (f"«{shown[start:end]}»" if start < end else "") + shown[end:]
    assert shown == marked and in_words(formula, repair, found) == words


def test_a_long_formula_is_compared_at_once():
    sums = [" + ".join(f"a_{{{k}}} b" for k in range(start, start + 300)) for start in (0, 1)]
    [whole] = changes(*sums)
    assert whole.span == (0, len(sums[1]))


@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        (r"2 2 \|r\|^2", r"4 \|r\|^2"),
        (r"2 \|x\|^1", r"2 \|x\|"),
        (r"x^{1} y_{1}", r"x y_{1}"),
        (r"\frac{1}{2} 2 x", r"x"),
        (r"2 \cdot \frac{3}{4} x", r"\frac{3}{2} x"),
        (r"a / 2 2", r"a / 2 2"),
        (r"0.5 \, 2 x_1", r"x_1"),
        (r"1 - x^2", r"1 - x^2"),
    ],
)
def test_a_repair_is_written_as_people_write(odd, plain):
    assert parse_expression(tidied(odd)) == parse_expression(plain)


PAGE = r"""
Let $r \in \mathbb{R}^n$.

$$\frac{\partial}{\partial r} \|r\|^3 = 3 \|r\|^2 r$$

$$\frac{\partial}{\partial r} \|r\|^4 = 2 \|r\|^2 r$$
"""


def test_the_change_is_marked_wherever_a_repair_is_shown():
    found = audit(PAGE)
    fewer, other = found.judgements[-2:]
    assert fewer.repair == r"3 \|r\| r" and why(fewer).endswith(r"Right: 3 \|r\| r (\|r\| for \|r\|^2)")
    assert other.repair == r"4 \|r\|^2 r"
    entry = to_dict(found)["equations"][-1]["changes"]
    start = other.latex.index("= 2") + 2
    assert entry == [{"was": [start, start + 1], "was_latex": "2", "span": [0, 1], "latex": "4"}]
    cell = list(table(found).columns[3].cells)[-1]
    assert [cell.plain[s.start : s.end] for s in cell.spans] == ["4"]
    page = audit_document(found)
    assert '<mrow class="changed"><mn>4</mn></mrow>' in to_html(page)
    assert r"$=\underline{2} \Vert r\Vert^{2}r$" in to_markdown(page)
    assert r"$\underline{4} \Vert r\Vert^{2}r$" in to_markdown(page)
