"""Printed Python keeps its meaning when long lines are broken."""

import ast

import pytest

import symbackprop as sb
from symbackprop.codegen.numpy.line_breaks import LINE, wrapped

LONG = "abcdefghijklmnop" * 2
TEXTS = {
    "call": f"y = f({', '.join(f'{LONG}{k}' for k in range(6))})",
    "unpacking": f"{', '.join(f'{LONG}{k}' for k in range(6))} = work",
    "one of one": f"({', '.join(f'{LONG}{k}' for k in range(6))},), (a,), b = work",
    "tuple of tuples": f"def f():\n    return (np.empty(({LONG}, {LONG}), D), np.empty(({LONG},), D),), (g({LONG}),), x",
    "sum": "J = " + " + ".join(f"0.5 * {LONG}{k}.dot(-{LONG}) / m" for k in range(5)) + " - 1",
    "strings": f"y = np.einsum('ij,jk,kl->il', {LONG}, {LONG}, {LONG}, {LONG}, optimize=[(0, 1), 'a, b'])",
    "choice": f"{LONG}, {LONG}1 = {LONG}2 if len(x) == rows else [buffer[: len(x)] for buffer in {LONG}3]",
    "signature": f"def f({', '.join(f'{LONG}{k}' for k in range(6))}):\n    return 1",
    "return": f"def f():\n    return {', '.join(f'{LONG}{k}' for k in range(6))}",
    "no place": f"{LONG * 5} = 1",
    "comment": f"# {LONG}, {LONG}, {LONG}, {LONG}, ({LONG}, {LONG})",
    "sum of calls": f"y = ({LONG} - {LONG} * {LONG} + where(i < 3, {', '.join(f'{LONG}{k}' for k in range(6))}))",
    "calls": f"y = (f({LONG}, 0) - f({LONG}, 1) * {LONG} + f(i < 3, {', '.join(f'{LONG}{k}' for k in range(6))}))[0]",
    "late": f"y = f({LONG}, 0) - g({LONG}, 1) * {LONG}.real + h(i < 3, -h({LONG}, {LONG}[min({LONG}, 1)]), 0)",
    "loop": f"for ({', '.join(f'{LONG}{k}' for k in range(6))},) in zip(x, strict=True):\n    y = 1",
}


@pytest.mark.parametrize("name", TEXTS)
def test_broken_text_means_the_same(name):
    text = TEXTS[name]
    assert ast.dump(ast.parse(wrapped(text))) == ast.dump(ast.parse(text))
    if name not in ("no place", "comment"):
        assert max(map(len, text.splitlines())) > LINE
        assert max(map(len, wrapped(text).splitlines())) <= LINE


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("widths", [[2, 2, 1], [784, 30, 10], [64] * 12])
def test_printed_modules_have_no_long_lines(widths, backend):
    if backend == "jax":
        pytest.importorskip("jax")
    source = sb.compile(sb.Network(widths, cost="cross_entropy", l2="lambda/(2*m)"), backend).source
    assert [line for line in source.splitlines() if len(line) > 120] == []


def test_docstrings_are_left_alone():
    text = f'def f():\n    """Text, {LONG}, {LONG}, {LONG}, {LONG}\n\n    More, {LONG}, {LONG}, {LONG}, {LONG}\n    """\n    return 3\n'
    assert wrapped(text) == text
