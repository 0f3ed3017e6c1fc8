"""LaTeX as people write it, read into layouts: the same mathematics comes out again."""

import pytest

from symbackprop.document.audit_document import shown
from symbackprop.document.model import Code, Symbolic
from symbackprop.rendering.tex import to_tex
from symbackprop.rendering.tex_reader import read_tex

READ = {
    r"\boldsymbol{\delta}^l \odot \boldsymbol z": r"\boldsymbol{\delta}^{l} \odot \mathbf{z}",
    r"\mathcal{C}(\boldsymbol{W^L})": r"C(W^{L})",
    r"{\cal C} \approx \Bigl(a\Bigr)": r"C \approx (a)",
    r"f \circ g": r"f \circ g",
    r"\mathit{x_hat}": r"\mathit{x\_hat}",
    r"A^\intercal \tag{3}": r"A^{\top}",
    r"\underbrace{a + b}": r"a + b",
    r"\frac14 x^10": r"\frac{1}{4} x^{1}0",
    r"\int_0^1 f": r"\int_{0}^{1} f",
}


@pytest.mark.parametrize("written", READ)
def test_commands_of_documents_are_read(written):
    def plain(text):
        return text.replace(" ", "").replace(r"\boldsymbol", r"\mathbf")

    assert plain(to_tex(read_tex(written))) == plain(READ[written])


def test_an_audit_shows_formulas_in_pieces_between_which_a_line_may_end():
    pieces = shown(r"\frac{\partial J}{\partial W} &= \delta a^T \nonumber")
    assert [type(p) for p in pieces] == [Symbolic, str, Symbolic]
    assert to_tex(pieces[2].layout).startswith("=")
    assert shown(r"\begin{cases} 1 & x > 0 \\ 0 \end{cases}") == (Code(r"\begin{cases} 1 x > 0 \\ 0 \end{cases}"),)
