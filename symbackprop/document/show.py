"""Expressions, equalities and documents inside a notebook: what `_repr_html_` and `_repr_latex_` return.

MathML needs no script, so a saved notebook shows it too. This module must not know about proofs.
"""

from __future__ import annotations

from symbackprop.document.html import fragment
from symbackprop.document.model import Document
from symbackprop.expression.build import Expr
from symbackprop.rendering.math import equality_mathml, latex
from symbackprop.rendering.notation import WEIGHTS, Notation


def equality_latex(left: Expr, right: Expr, notation: Notation = WEIGHTS) -> str:
    """left = right between dollar signs, for `_repr_latex_`."""
    return rf"$\displaystyle {latex(left, notation)} = {latex(right, notation)}$"


def equality_html(left: Expr, right: Expr, notation: Notation = WEIGHTS) -> str:
    """left = right as MathML, for `_repr_html_`."""
    return equality_mathml(left, right, notation)


def document_html(document: Document) -> str:
    """A whole document inside a notebook cell; the notebook's own style sets it."""
    return f'<div class="symbackprop">{fragment(document)}</div>'
