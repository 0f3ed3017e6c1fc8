"""Formulas of documents: where they stand, what is around them, and what must not stop the reading."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbackprop.audit.extraction import Document, extract, position
from symbackprop.audit.grammar import parse
from symbackprop.audit.tree import NotUnderstood, links, walk

DOCUMENTS = Path(__file__).parent / "documents"
# Displays, inline formulas, links of all displays.
COUNTS = {
    "article.tex": (4, 1, 8),
    "attention.md": (4, 7, 8),
    "bishop.md": (7, 6, 10),
    "coursera.md": (5, 5, 7),
    "forum.md": (8, 0, 8),
    "goodfellow.md": (11, 1, 13),
    "kinks.md": (5, 5, 7),
    "layernorm.md": (6, 4, 10),
    "matrix_calculus.tex": (4, 5, 8),
    "murphy.md": (6, 5, 10),
    "nielsen.md": (13, 7, 16),
    "notebook.ipynb": (3, 3, 5),
    "physics.md": (5, 4, 10),
    "slips.md": (6, 3, 7),
    "statistics.md": (9, 8, 14),
}


def found(text: str, kind: str = "md") -> list[tuple[str, str, int, int]]:
    return [(f.delimiter, f.latex.strip(), f.line, f.col) for f in extract(text, kind).formulas]


@pytest.mark.parametrize("name", COUNTS)
def test_documents_have_their_formulas(name):
    document = extract(DOCUMENTS / name)
    displays = [formula for formula in document.formulas if formula.display]
    steps = sum(len(links(parse(formula.latex))) for formula in displays)
    assert (len(displays), len(document.formulas) - len(displays), steps) == COUNTS[name]


@pytest.mark.parametrize("name", [name for name in COUNTS if name != "slips.md"])
def test_every_formula_of_the_documents_is_understood(name):
    for formula in extract(DOCUMENTS / name).formulas:
        display = parse(formula.latex)
        assert not any(isinstance(node, NotUnderstood) for node in walk(display)), formula
        assert not any(note.kind != "word" for row in display.rows for note in row.notes), formula


@pytest.mark.parametrize("name", COUNTS)
def test_labels_stand_at_formulas(name):
    """Each label's line, row and link is one of the document's, and says the same LaTeX."""
    document = extract(DOCUMENTS / name)
    labels = json.loads((DOCUMENTS / name).with_suffix(".labels.json").read_text())["labels"]
    steps = {
        (formula.file, formula.line, formula.col, link.row, link.link): formula.latex[slice(*link.span)]
        for formula in document.formulas
        for link in links(parse(formula.latex))
    }
    assert labels
    for label in labels:
        if label["truth"] != "syntax":
            place = (label.get("file", name), label["line"], label["col"], label["row"], label["link"])
            assert steps[place] == label["latex"]
        assert label["truth"] != "wrong" or label["fix"] or name == "layernorm.md"


# --- Markdown


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a $x$ b $y+1$", [("$", "x", 1, 3), ("$", "y+1", 1, 9)]),
        ("$$\nx = 1\n$$", [("$$", "x = 1", 1, 1)]),
        ("It is $$x = 1$$ here", [("$$", "x = 1", 1, 7)]),
        (r"\(x\) and \[y\]", [(r"\(", "x", 1, 1), (r"\[", "y", 1, 11)]),
        (r"\\(x\\) and \\[y \\\\ z\\]", [(r"\(", "x", 1, 1), (r"\[", r"y \\ z", 1, 13)]),
        ("```math\nx = 1\n```", [("```math", "x = 1", 1, 1)]),
        ("```latex\nx = 1\n```", [("```latex", "x = 1", 1, 1)]),
        ("```python\n$x$\n```\n$y$", [("$", "y", 4, 1)]),
        ("~~~\n$x$\n~~~\n$y$", [("$", "y", 4, 1)]),
        ("`$x$` and $`y_1`$", [("$", "y_1", 1, 11)]),
        (
            "\\begin{align}\nx &= 1 \\\\\n&= 2\n\\end{align}",
            [("align", "\\begin{align}\nx &= 1 \\\\\n&= 2\n\\end{align}", 1, 1)],
        ),
        ("costs $5 and $6 today", []),
        ("costs $5, \\$6 and $x$", [("$", "x", 1, 19)]),
        ("<!-- $x$ --> $y$", [("$", "y", 1, 14)]),
        ("<pre>$x$</pre>$y$", [("$", "y", 1, 15)]),
        ("| $x$ | $|y|$ |\n|---|---|", [("$", "x", 1, 3), ("$", "|y|", 1, 9)]),
        (r"$a\_i \* b$", [("$", "a_i * b", 1, 1)]),
        (r"$a \\[2pt] b \text{x\_y}$", [("$", r"a \\[2pt] b \text{x\_y}", 1, 1)]),
        ("$a &lt; b &amp;= c$", [("$", "a < b &= c", 1, 1)]),
        ("> $$\n> x = 1\n> $$", [("$$", "x = 1", 1, 3)]),
        ("---\nnotation: $x$\n---\n$y$", [("$", "y", 4, 1)]),
        ("$x$\r\n$y$\r\n", [("$", "x", 1, 1), ("$", "y", 2, 1)]),
        ("an $x without end\n\n$y$", [("$", "y", 3, 1)]),
        ("$$x = 1\n\nand many words of running text follow here $$y$$", [("$$", "x = 1", 1, 1), ("$$", "y", 3, 44)]),
        ("∂J/∂W_ij = δ_i a_j", [("plain", "∂J/∂W_{ij} = δ_i a_j", 1, 1)]),
        ("the loss = something_else that is no formula at all", []),
        ("2. δ_i = (Σ_j W_ji δ_j) f'(z_i)", [("plain", "2. δ_i = (Σ_j W_{ji} δ_j) f'(z_i)", 1, 1)]),
    ],
)
def test_markdown(text, expected):
    assert found(text) == expected


def test_what_stands_around_a_formula():
    text = "# A\n\nlong ago\n\n## B\n\nThe **cost** [of](http://x.y) $m$ examples is\n\n$$J$$\n\nwhere $x$ is\ngiven.\n\n$$K$$"
    m, j, x, k = extract(text).formulas
    assert (m.before, m.after) == ("The cost of", "examples is")
    assert (j.before, j.after) == ("The cost of $m$ examples is", "where $x$ is given.")
    assert (x.before, x.after) == ("where", "is given.")
    assert (k.before, k.after) == ("where $x$ is given.", "")
    assert j.headings == ("A", "B")
    assert [line for line, _ in extract(text).prose] == [3, 7, 11]


def test_places_lead_back_through_macros_and_escapes():
    text = "\\newcommand{\\w}{W^{(l)}}\n\nso\n$$\na\\_i = \\w + b\n$$"
    document = extract(text)
    formula = document.formulas[-1]
    assert formula.latex == "\na_i = W^{(l)} + b\n"
    assert position(document, formula, formula.latex.index("=")) == (5, 6)
    assert position(document, formula, formula.latex.index("W")) == position(
        document, formula, formula.latex.index("l")
    )
    assert position(document, formula, formula.latex.index("b")) == (5, 13)


def test_pictures_are_told():
    notes = extract("![formula](eq.png) and <img src='x.png'>").notes
    assert [note.kind for note in notes] == ["picture", "picture"]


# --- LaTeX


@pytest.mark.parametrize(
    "text, expected",
    [
        ("%$x$\n$y$ \\% $z$", [("$", "y", 2, 1), ("$", "z", 2, 8)]),
        ("\\begin{document}$x$\\end{document}$y$", [("$", "x", 1, 17)]),
        ("\\begin{verbatim}$x$\\end{verbatim}\\verb|$y$|$z$", [("$", "z", 1, 44)]),
        (
            "\\begin{equation}\\label{a}x\\end{equation}",
            [("equation", "\\begin{equation}\\label{a}x\\end{equation}", 1, 1)],
        ),
        ("\\iffalse $x$ \\fi $y$", [("$", "y", 1, 18)]),
        ("\\def\\be{\\begin{equation}}\\def\\ee{\\end{equation}}\n\\be x \\ee", [(r"\[", "x", 2, 1)]),
        ("\\newcommand{\\f}[2][a]{#1+#2}$\\f{b}\\f[c]{d}$", [("$", "a+bc+d", 1, 29)]),
        ("\\DeclareMathOperator{\\relu}{ReLU}$\\relu x$", [("$", r"\operatorname{ReLU} x", 1, 34)]),
        ("\\begin{align*}x\\end{align*}", [("align*", "\\begin{align*}x\\end{align*}", 1, 1)]),
    ],
)
def test_latex(text, expected):
    assert found(text, "tex") == expected


def test_files_are_put_in_and_guarded(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.tex").write_text("$secret$")
    main = tmp_path / "in" / "main.tex"
    main.write_text("\\input{part}\n$x$\n\\input{../secret}\n\\include{missing}")
    (tmp_path / "in" / "part.tex").write_text("$p = \\m$\n\\input{main}\n\\newcommand{\\m}{7}")
    document = extract(main)
    assert [(f.latex, f.file, f.line) for f in document.formulas] == [("p = 7", "part.tex", 1), ("x", "main.tex", 2)]
    words = " | ".join(note.words for note in document.notes)
    assert "main" in words and "itself" in words
    assert "../secret} is not followed: it is not in the document's folder" in words
    assert "missing} is not followed: there is no such file" in words
    assert position(document, document.formulas[0], 4) == (1, 6)


def test_a_text_follows_no_file():
    assert "no folder" in extract("\\input{x}", "tex").notes[0].words


# --- notebooks


def test_notebook_says_cell_and_line():
    cells = [
        {"cell_type": "code", "source": ["a\n", "b = '$x$'"]},
        {"cell_type": "markdown", "source": "one\n$y$"},
        {"cell_type": "markdown", "source": ["$$\n", "z\n", "$$"]},
    ]
    formulas = extract(json.dumps({"cells": cells}), "ipynb").formulas
    assert [(f.latex.strip(), f.line, f.cell, f.cell_line) for f in formulas] == [("y", 4, 1, 2), ("z", 5, 2, 1)]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"cells": 3}', '{"cells": [3]}', "[" * 100_000])
def test_what_is_no_notebook_is_told(text):
    document = extract(text, "ipynb")
    assert document.formulas == () and document.notes[0].kind == "file"


# --- encodings and sizes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "notes.md"
    path.write_bytes("für $\\beta$ é".encode(encoding))
    document = extract(path)
    assert [(f.latex, f.col) for f in document.formulas] == [("\\beta", 5)]
    assert bool(document.notes) == (encoding == "latin-1")


def test_what_is_no_text_is_told(tmp_path):
    path = tmp_path / "x.md"
    path.write_bytes(b"\x00\x01$x$")
    assert [note.kind for note in extract(path).notes] == ["file"]
    assert [note.kind for note in extract(tmp_path / "none.md").notes] == ["file"]


def test_many_formulas():
    text = "\n\n".join(f"so $x_{{{k}}}$ is\n\n$$\nx_{{{k}}} = {k}\n$$" for k in range(1500))
    document = extract(text)
    assert len(document.formulas) == 3000
    assert document.formulas[-1].line == 1500 * 6 - 3


def test_a_document_without_formulas():
    assert extract("only words").formulas == () and extract("").formulas == ()


@given(st.lists(st.sampled_from(["$", "$$", "\\(", "\\)", "\\[", "\\]", "`", "```\n", "\n", "\n\n", "x", " ", "\\", "{", "}", "#", ">",
                                 "\\begin{align}", "\\end{align}", "%", "\\input{a}", "<!--", "-->", "_", "=", "∂"]), max_size=30),
       st.sampled_from(["md", "tex"]))  # fmt: skip
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_text_is_answered(pieces, kind):
    document = extract("".join(pieces), kind)
    assert isinstance(document, Document)
    for formula in document.formulas:
        assert len(formula.places) == len(formula.latex)
        line, col = position(document, formula, 0)
        assert line >= formula.line >= 1 and col >= 1
