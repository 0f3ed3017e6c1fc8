r"""Text of users is inert in every document: it ends no listing, starts no command and no tag."""

import re
import shutil
import subprocess

import pytest

import symbackprop as sb
from symbackprop.document.markdown import to_markdown
from symbackprop.document.model import Code, Document, Listing, Paragraph
from symbackprop.document.tex import to_latex_document
from symbackprop.rendering.notation import NAMES

EVIL = [
    r"s = '\end{lstlisting}\input{/etc/passwd}'",
    "s = '^^5cend{lstlisting}^^5cinput{x}'",
    "s = '```\n<script>alert(1)</script>\n```'",
    "s = '$\\write18{ls}$ % & # _ {'",
]


def document(code):
    return Document(
        "Title", ("lead",), (Listing(code, "python"), Paragraph(("see ", Code(code.splitlines()[0])))), NAMES
    )


@pytest.mark.parametrize("code", EVIL)
def test_a_listing_in_tex_holds_no_command_of_its_text(code):
    tex = to_latex_document(document(code))
    body = tex[tex.index(r"\begin{document}") :]
    assert "^^" not in body
    inside = re.findall(r"\\begin\{lstlisting\}(.*?)\\end\{lstlisting\}", body, flags=re.S)
    outside = re.sub(r"\\begin\{lstlisting\}.*?\\end\{lstlisting\}", "", body, flags=re.S)
    assert not re.search(r"\\(input|write18)\b", outside)
    assert all(r"\end{lstlisting}" not in text for text in inside)


@pytest.mark.parametrize("code", EVIL)
def test_a_listing_in_markdown_ends_where_its_fence_does(code):
    text = to_markdown(document(code))
    fence = re.search(r"^(`{3,})python$", text, flags=re.M)[1]
    block = text.split(f"{fence}python\n")[1].split(f"\n{fence}\n")[0]
    assert block == code


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX")
def test_evil_code_is_typeset_as_it_stands(tmp_path):
    (tmp_path / "d.tex").write_text(to_latex_document(document(EVIL[0] + "\n" + EVIL[1])))
    run = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "d.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-800:]


def test_a_users_string_is_inert_in_the_documents_of_a_verdict(tmp_path):
    source = (
        "import numpy as np\n\n\ndef forward(x):\n    return x**2\n\n\ndef backward(dout, x):\n"
        "    note = r'\\end{lstlisting}\\input{evil} <b>`$'\n    return {'x': dout * x}\n"
    )
    (tmp_path / "evil.py").write_text(source)
    space = {}
    exec(compile(source, str(tmp_path / "evil.py"), "exec"), space)
    verdict = sb.check(space["forward"], space["backward"], shapes={"x": ("N",)})
    assert verdict.status == "REFUTED"
    tex = verdict.save(tmp_path / "v.tex").read_text()
    assert r"\input{evil}" not in re.sub(r"\\begin\{lstlisting\}.*?\\end\{lstlisting\}", "", tex, flags=re.S)
    assert "<b>" not in verdict.save(tmp_path / "v.html").read_text().replace("&lt;b&gt;", "")
