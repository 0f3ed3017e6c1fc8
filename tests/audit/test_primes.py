"""Primes as transposes: only where a document writes quadratic forms with them."""

import pytest

from symbackprop.audit.grammar import parse
from symbackprop.audit.latex import to_tex
from symbackprop.audit.primes import with_transposes


@pytest.mark.parametrize(
    "formulas, expected",
    [
        (["s = (y - Xb)'(y - Xb)", "g = -2X'y"], [r"s = (y - X b)^{\top} (y - X b)", r"g = -2 X^{\top} y"]),
        (["q = x'Ax", "A = A'"], [r"q = x^{\top} A x", r"A = A^{\top}"]),
        (
            ["b = (X'X)^{-1}X'y", "h_i' = f'(z) f(z)"],
            [r"b = (X^{\top} X)^{-1} X^{\top} y", r"h_{i}^{\top} = f'(z) f(z)"],
        ),
        (["p = f'(x) f(x)", "W' = W - g"], ["p = f'(x) f(x)", "W' = W - g"]),
        (["(uv)' = u'v + uv'"], ["(u v)' = u' v + u v'"]),
        (["p = 2u'u"], ["p = 2 u' u"]),
        ([r"\delta = \sigma'(z) \sigma(z) W"], [r"\delta = \sigma'(z) \sigma(z) W"]),
    ],
)
def test_primes_of_a_document(formulas, expected):
    assert [to_tex(display) for display in with_transposes(tuple(map(parse, formulas)))] == expected
