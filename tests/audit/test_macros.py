"""Macros: definitions are read, put in, and never without end."""

from itertools import pairwise

import pytest

from symbackprop.audit.macros import PACKAGES, Macro, Passage, definitions, expand


def expanded(text: str, *macros: Macro) -> str:
    return expand(Passage(text, range(len(text))), {macro.name: macro for macro in macros})[0].text


@pytest.mark.parametrize(
    "text, expected",
    [
        (r"\newcommand{\a}{x}", Macro(r"\a", 0, "x")),
        (r"\newcommand\a{x}", Macro(r"\a", 0, "x")),
        (r"\newcommand*{\a}[1]{x#1}", Macro(r"\a", 1, "x#1")),
        (r"\renewcommand{\a}[2][q]{#1#2}", Macro(r"\a", 2, "#1#2", "q")),
        (r"\def\a#1#2{#2#1}", Macro(r"\a", 2, "#2#1")),
        (r"\let\a\b", Macro(r"\a", 0, r"\b")),
        (r"\DeclareMathOperator*{\a}{arg\,min}", Macro(r"\a", 0, r"\operatorname{arg\,min}")),
        (r"\DeclarePairedDelimiter{\a}{\lVert}{\rVert}", Macro(r"\a", 1, r"\left\lVert#1\right\rVert")),
        (r"\NewDocumentCommand{\a}{m m}{#1#2}", Macro(r"\a", 2, "#1#2")),
        (r"\newcommand{\a}{\frac{1}{2}}", Macro(r"\a", 0, r"\frac{1}{2}")),
    ],
)
def test_definitions(text, expected):
    macros, spans = definitions(text)
    assert macros == {r"\a": expected} and spans == [(0, len(text))]


@pytest.mark.parametrize(
    "text", [r"\newcommand", r"\newcommand{\a}", r"\def\a", r"\newcommand{\a}{x", r"\def", r"\let\a"]
)
def test_a_definition_that_breaks_off_defines_nothing(text):
    assert definitions(text) == ({}, [])


def test_expansion():
    sub = Macro(r"\s", 2, r"#1_{#2}")
    assert expanded(r"\s{x}{i} + \s yj + \sin", sub) == r"x_{i} + y_{j} + \sin"
    assert expanded(r"\s{\s{x}{i}}{j}", sub) == "x_{i}_{j}"
    assert expanded(r"\g f\g", Macro(r"\g", 0, r"\nabla")) == r"\nabla f\nabla"
    assert expanded(r"\g{}f", Macro(r"\g", 0, r"\nabla")) == r"\nabla{}f"
    assert expanded(r"\norm{\norm{x}}", *PACKAGES.values()) == r"\left\|\left\|x\right\|\right\|"


def test_places_of_arguments_are_their_own():
    text = r"\s{x}{i}"
    passage = expand(Passage(text, range(len(text))), {r"\s": Macro(r"\s", 2, "#1_{#2}")})[0]
    assert dict(zip(passage.text, passage.places, strict=True)) == {"x": 3, "_": 0, "{": 0, "i": 6, "}": 0}


def test_a_macro_that_calls_itself_is_told():
    loop = {r"\a": Macro(r"\a", 0, r"\b"), r"\b": Macro(r"\b", 0, r"1+\a")}
    passage, notes = expand(Passage(r"x=\a", range(4)), loop)
    assert passage.text == r"x=1+\a"
    assert [note.words for note in notes] == [r"the macro \a calls itself"]


def test_macros_that_double_stop():
    names = "abcdefghijklmnopqrstuvwxy"
    doubling = {rf"\{a}": Macro(rf"\{a}", 0, rf"\{b}\{b}") for a, b in pairwise(names)}
    passage, notes = expand(Passage(r"\a", range(2)), doubling)
    assert len(passage.text) < 500_000
    assert any("beyond bounds" in note.words for note in notes)
