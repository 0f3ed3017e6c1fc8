"""Documents: the model, the four writers, and the document of a proof."""

import re
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from sample_proofs import layer_norm_proof
from thinning import thinned

from symbackprop.api import check, prove, trace, verify
from symbackprop.calculus.rules import RULES
from symbackprop.document import reasons
from symbackprop.document import save as saving
from symbackprop.document.html import to_html
from symbackprop.document.layer_families import families
from symbackprop.document.markdown import to_markdown
from symbackprop.document.matrix_form import entry, form_layout, matrix_form
from symbackprop.document.model import Chain, Document, Paragraph, Section, Strong, Table, blocks, equations
from symbackprop.document.proof_document import proof_document, unbacked
from symbackprop.document.reproduce import command_of
from symbackprop.document.save import save
from symbackprop.document.show import equality_latex
from symbackprop.document.tex import to_latex_document
from symbackprop.errors import DataError, UnsupportedError
from symbackprop.expression.build import Entry, negate, number
from symbackprop.frontends.network import Network
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.proofs.network import prove_network
from symbackprop.proofs.theorem import PAPERS, Proof
from symbackprop.rendering.math import latex
from symbackprop.rendering.mathml import to_mathml
from symbackprop.rendering.notation import NAMES, NOTATIONS, WEIGHTS
from symbackprop.rendering.tex import to_tex
from symbackprop.rendering.tex_reader import read_tex

GOLDEN = Path(__file__).parent / "golden"
COMMAND = "symbackprop prove --layers s_1,s_2,K --activation f --cost squared-error --l2 lambda/2 -o proof.pdf"
NETWORKS = {
    "two_layers": Network(["s_1", "s_2", "K"], activation="f", cost="squared_error", l2="lambda/2"),
    "any_depth": Network(depth="L", activation="f", cost="squared_error", l2="lambda/2"),
    "cross_entropy": Network([3, 5, 5, 4], activation="sigmoid", cost="cross_entropy", l2="lambda/(2*m)"),
    "softmax": Network([64] * 63 + [10], activation="relu", cost="softmax_cross_entropy"),
}
EXAMPLE = Document(
    "50 % of <this> & that_",
    (Strong("PROVED"), ": a $ and a | and `x`."),
    (Section("Ends", (Paragraph(("½ of δ — done.",)), Table(("Name", "Value"), ((("a",), ("b | c",)),)))),),
)


@pytest.fixture(scope="session")
def proofs() -> dict[str, Proof]:
    return {name: prove_network(net) for name, net in NETWORKS.items()}


class _Well(HTMLParser):
    """Every element is closed in order, no id twice, nothing is loaded, headings do not skip a level."""

    void = frozenset(["meta", "line", "circle", "path", "polyline", "br", "hr", "img"])

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.level = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "img")
        assert not {"src", "href", "onload"} & {name for name, _ in attrs}
        if re.fullmatch("h[1-6]", tag):
            assert int(tag[1]) <= self.level + 1
            self.level = int(tag[1])
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag if tag not in self.void else True


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("detail", ["brief", "full"])
def test_every_displayed_equality_is_backed_by_the_proof(proofs, name, detail) -> None:
    document = proof_document(proofs[name], detail=detail)
    assert len(equations(document)) > 5
    assert unbacked(document, proofs[name]) == ()


def test_unbacked_finds_one_changed_sign(proofs) -> None:
    proof = proofs["two_layers"]
    document = proof_document(proof)
    chain = next(b for b in blocks(document.body) if isinstance(b, Chain))
    line = chain.lines[-1]
    wrong = Chain((*chain.lines[:-1], replace(line, after=negate(line.after))))
    changed = replace(document, body=(wrong,))
    assert [(e.left, e.right) for e in unbacked(changed, proof)] == [(line.before, negate(line.after))]


def test_chain_states_each_line_with_its_rule_and_reason(proofs) -> None:
    for block in blocks(proof_document(proofs["cross_entropy"]).body):
        if isinstance(block, Chain):
            assert all(line.label and line.reason for line in block.lines)
            assert all(a.after is b.before for a, b in zip(block.lines, block.lines[1:], strict=False))


def test_theorems_that_differ_in_layer_numbers_share_one_derivation(proofs) -> None:
    groups = families(proofs["softmax"].theorems, lambda t: (t.derivation.left, t.derivation.right))
    assert max(len(g) for g in groups) >= 61
    assert len(groups) < 12


@pytest.mark.parametrize("notation", ["weights", "theta", "nielsen"])
def test_notations_change_no_equation(proofs, notation) -> None:
    plain = equations(proof_document(proofs["any_depth"]))
    assert equations(proof_document(proofs["any_depth"], notation=NOTATIONS[notation])) == plain


@pytest.mark.parametrize(("name", "ending"), [("any_depth", "tex"), ("any_depth", "md"), ("two_layers", "tex")])
def test_document_is_the_golden_one(proofs, name, ending) -> None:
    detail = "brief" if name == "any_depth" else "full"
    document = proof_document(proofs[name], detail=detail, command=COMMAND)
    text = saving.FORMATS["." + ending](document)
    assert text == (GOLDEN / f"proof_{name}.{ending}").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NETWORKS)
def test_html_is_well_formed_and_small_and_loads_nothing(proofs, name) -> None:
    page = to_html(proof_document(proofs[name], command=COMMAND))
    parser = _Well()
    parser.feed(page)
    assert parser.open == []
    assert len(page.encode()) < 300_000
    assert "http" not in page and "url(" not in page


def test_special_characters_are_escaped_in_each_format() -> None:
    assert r"50 \% of \textless{}this\textgreater{} \& that\_" in to_latex_document(EXAMPLE)
    assert r"$\tfrac12$ of $\delta$ — done." in to_latex_document(EXAMPLE)
    assert "<h1>50 % of &lt;this&gt; &amp; that_</h1>" in to_html(EXAMPLE)
    assert r"**PROVED**: a \$ and a \| and \`x\`." in to_markdown(EXAMPLE)
    assert r"| a | b \| c |" in to_markdown(EXAMPLE)


def _compiled(source: str, engine: str, folder: Path) -> tuple[str, int]:
    (folder / "document.tex").write_text(source, encoding="utf-8")
    for _ in range(2):
        run = subprocess.run(
            [engine, "-interaction=nonstopmode", "document.tex"], cwd=folder, capture_output=True, check=False
        )
    log = (folder / "document.log").read_text(encoding="utf-8", errors="replace")
    assert run.returncode == 0, log[-2000:]
    pages = re.search(r"Output written on document.pdf \((\d+) page", log.replace("\n", ""))
    assert pages is not None
    return log, int(pages[1])


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        *((n, "pdflatex") for n in (*NETWORKS, "traced")),
        *thinned(
            [(f"{n} brief on {p}", "pdflatex") for n in ("any_depth", "softmax", "cross_entropy") for p in PAPERS], 3
        ),
        ("any_depth brief on a4", "lualatex"),
    ],
)
def test_latex_compiles_without_a_warning_that_a_reader_would_see(proofs, name, engine, tmp_path) -> None:
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is not installed")
    of, brief, paper = name.partition(" brief on ")
    if brief:
        document = proof_document(proofs[of], detail="brief", command=COMMAND, paper=paper)
    elif name == "traced":
        document = proof_document(layer_norm_proof(), notation=NAMES)
    else:
        document = proof_document(proofs[name], command=COMMAND)
    log, pages = _compiled(to_latex_document(document), engine, tmp_path)
    too_wide = [float(w) for w in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert all(w <= 2.0 for w in too_wide), too_wide
    assert "undefined" not in log
    assert "Missing character" not in log
    assert pages == 1 or not brief


def test_save_writes_each_format_and_leaves_nothing_else(tmp_path) -> None:
    for ending in (".tex", ".html", ".md"):
        assert save(EXAMPLE, tmp_path / f"out{ending}").read_text(encoding="utf-8") == saving.FORMATS[ending](EXAMPLE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.html", "out.md", "out.tex"]


def test_save_refuses_an_unknown_ending(tmp_path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        save(EXAMPLE, tmp_path / "out.htm")
    assert str(caught.value) == (
        f"no document format for the ending '.htm'\n    {tmp_path / 'out.htm'}\n"
        "  known:  .html, .md, .pdf, .tex\nhelp: did you mean '.html'"
    )


def test_save_names_a_folder_that_does_not_exist(tmp_path) -> None:
    with pytest.raises(DataError, match="cannot write the file"):
        save(EXAMPLE, tmp_path / "no" / "out.tex")


def test_save_keeps_the_source_where_no_latex_is_installed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(saving.shutil, "which", lambda name: None)
    with pytest.raises(UnsupportedError, match="no LaTeX is installed"):
        save(EXAMPLE, tmp_path / "out.pdf")
    assert [p.name for p in tmp_path.iterdir()] == ["out.tex"]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_save_makes_a_pdf(tmp_path) -> None:
    assert save(EXAMPLE, tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")
    assert [p.name for p in tmp_path.iterdir()] == ["out.pdf"]


def test_matrix_form_reads_back_as_the_index_form(proofs) -> None:
    same = Canonical()
    seen = 0
    for theorem in proofs["two_layers"].theorems:
        left, right = theorem.derivation.left, theorem.derivation.right
        assert isinstance(left, Entry)
        form = matrix_form(right, left.indices) if left.indices else None
        if form is not None:
            seen += 1
            assert same.equal(entry(form, *(*left.indices, None)[:2]), right), theorem.name
    assert seen >= 6


def test_matrix_form_of_the_recursion(proofs) -> None:
    theorem = next(t for t in proofs["two_layers"].theorems if t.name == "error term of layer 2")
    form = matrix_form(theorem.derivation.right, theorem.derivation.left.indices)  # type: ignore[attr-defined]
    assert form is not None
    assert to_tex(form_layout(form, WEIGHTS)) == r"(\Delta^{(3)}\,W^{(2)}) \odot f'(Z^{(2)})"


@pytest.mark.parametrize("rule", [r.name for r in RULES.values() if r.latex])
def test_formulas_of_the_rules_are_read(rule) -> None:
    layout = read_tex(RULES[rule].latex)
    assert to_tex(read_tex(to_tex(layout))) == to_tex(layout)
    assert "\\" not in to_mathml(layout)


def test_read_tex_reads_back_what_latex_writes(proofs) -> None:
    for theorem in proofs["cross_entropy"].theorems:
        code = latex(theorem.derivation.right)
        again = to_tex(read_tex(code))
        assert again.replace(" ", "") == code.replace(" ", "")


def test_proof_of_a_traced_program_keeps_the_users_names() -> None:
    proof = layer_norm_proof()
    document = proof_document(proof, notation=NAMES)
    assert unbacked(document, proof) == ()
    source = to_latex_document(document)
    assert r"\hat{x}_{ni} = \frac{x_{ni} - \mu_{n}}{\sqrt{\mathit{var}_{n} + \varepsilon}}" in source
    assert "layer" not in source.replace("layer normalisation", "")


def test_networks_and_theorems_show_themselves_as_mathematics(proofs) -> None:
    assert NETWORKS["two_layers"]._repr_html_().count("<math") == len(proofs["two_layers"].program.equations)
    theorem = proofs["two_layers"].theorems[-2]
    assert theorem._repr_latex_().startswith(r"$\displaystyle ")
    assert theorem._repr_html_().count('<math display="block">') == 1


def test_all_that_a_notebook_shows_is_mathematics_in_html_and_in_latex(proofs, traced) -> None:
    verdict = verify(NETWORKS["two_layers"], "delta2[n,i]", "sum(j, W2[j,i]*delta3[n,j])")
    proof = proofs["two_layers"]
    program = traced["layernorm"].program
    derivation = proof.theorems[0].derivation
    for thing in (NETWORKS["two_layers"], prove(NETWORKS["two_layers"]), traced["layernorm"], derivation, program):
        assert thing._repr_html_().count("<math") >= 3
        assert re.fullmatch(r"\$\\displaystyle \\begin\{aligned\}.*\\end\{aligned\}\$", thing._repr_latex_())
    assert verdict._repr_latex_().count(r"\\") == 2  # claim, truth and cure
    assert derivation._repr_latex_().count("&=") == len(derivation.steps)
    assert r"\mathit{xc}_{nd}" in program._repr_latex_()


def test_notebook_forms(proofs) -> None:
    derivation = proofs["two_layers"].theorems[0].derivation
    assert equality_latex(derivation.left, derivation.right).startswith(r"$\displaystyle \delta^{(3)}_{nk} = ")
    shown = proofs["two_layers"]._repr_html_()
    assert shown.startswith('<div class="symbackprop">') and shown.count("<style>") == 1
    style = shown.partition("<style>")[2].partition("</style>")[0]
    assert all(rule.startswith(".symbackprop ") for rule in style.strip().splitlines())  # no other cell is touched
    assert "<h1>" in shown and "<script" not in shown


def layernorm(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=1, keepdims=True)
    xc = x - mu
    var = (xc**2).mean(axis=1, keepdims=True)
    x_hat = xc / np.sqrt(var + eps)
    return gamma * x_hat + beta


def batchnorm(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=0)
    var = x.var(axis=0)
    x_hat = (x - mu) / np.sqrt(var + eps)
    return gamma * x_hat + beta


def attention(x, Wq, Wk, Wv):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    s = q @ k.T / np.sqrt(q.shape[1])
    e = np.exp(s - s.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p @ v


def softmax_cross_entropy(x, y):
    z = x - x.max(axis=1, keepdims=True)
    e = np.exp(z)
    p = e / e.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(y)), y]).mean()


HEAD = {w: ("D", "H") for w in ("Wq", "Wk", "Wv")}
TRACED = {
    "layernorm": lambda: trace(layernorm, {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}),
    "batchnorm": lambda: trace(batchnorm, {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}),
    "attention": lambda: trace(attention, {"x": ("T", "D"), **HEAD}),
    "softmax": lambda: trace(softmax_cross_entropy, {"x": ("N", "C"), "y": ("N",)}, {"y": "labels:C"}),
}


@pytest.fixture(scope="session")
def traced() -> dict[str, Proof]:
    return {name: prove(program()) for name, program in TRACED.items()}


@pytest.mark.parametrize("name", TRACED)
def test_proof_of_a_traced_program_is_backed_and_has_no_axes_of_length_one(traced, name) -> None:
    proof = traced[name]
    document = proof_document(proof, notation=NAMES)
    assert proof.status == "PROVED"
    assert unbacked(document, proof) == ()
    assert not any(1 in [getattr(n, "value", 0) for n in e.tensor.shape] for e in proof.gradient.adjoint.equations)
    chain = next(b for b in blocks(document.body) if isinstance(b, Chain))
    wrong = replace(chain.lines[-1], after=negate(chain.lines[-1].after))
    assert len(unbacked(replace(document, body=(Chain((*chain.lines[:-1], wrong)),)), proof)) == 1


def test_backward_pass_of_layernorm_reads_as_a_textbook_has_it(traced) -> None:
    assert [t.text for t in traced["layernorm"].theorems] == [
        "out_bar[n,d] = dout[n,d]",
        "x_hat_bar[n,d] = out_bar[n,d]*gamma[d]",
        "var_bar[n] = -sum(d, x_hat_bar[n,d]*x_hat[n,d])/(2*(var[n] + 1/100000))",
        "xc_bar[n,d] = 2*var_bar[n]*xc[n,d]/D + x_hat_bar[n,d]/sqrt(var[n] + 1/100000)",
        "mu_bar[n] = -sum(d, x_hat_bar[n,d])/sqrt(var[n] + 1/100000)",
        "beta_bar[d] = sum(n, out_bar[n,d])",
        "gamma_bar[d] = sum(n, out_bar[n,d]*x_hat[n,d])",
        "x_bar[n,d] = (x_hat_bar[n,d] - sum(d_1, x_hat_bar[n,d_1])/D"
        " - x_hat[n,d]*sum(d_1, x_hat_bar[n,d_1]*x_hat[n,d_1])/D)/sqrt(var[n] + 1/100000)",
    ]


@pytest.mark.parametrize("name", TRACED)
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_of_a_traced_program_fits_its_pages(traced, name, tmp_path) -> None:
    log, _ = _compiled(to_latex_document(proof_document(traced[name], notation=NAMES)), "pdflatex", tmp_path)
    assert all(float(w) <= 2.0 for w in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log))
    assert "undefined" not in log
    assert "Missing character" not in log


def wrong_backward(dout, x, w):
    dx = dout @ w.T
    dw = 2 * x.T @ dout
    return {"x": dx, "w": dw}


def test_verdict_saves_the_claim_as_written_the_counterexample_and_the_cure(tmp_path) -> None:
    verdict = check(lambda x, w: x @ w, wrong_backward, shapes={"x": ("N", "D"), "w": ("D", "M")})
    text = verdict.save(tmp_path / "verdict.md").read_text(encoding="utf-8")
    here = "**the first difference**"
    assert rf"`dw = 2 * x.T @ dout` | {here} $\mathit{{dw}} = 2x^{{\top}}\,\mathit{{dout}}$ |" in text
    assert "`return {'x': dx, 'w': dw}` | — |" in text
    assert "With this change the claim was proved:" in text
    assert r"\mathit{dw}_{dm} = \sum_{n=0}^{N-1}x_{nd}\,\mathit{dout}_{nm}" in text
    assert "- dw = 2 * x.T @ dout\n+ dw = x.T @ dout\n" in text
    assert r"\bar{w}_{dm} = \sum_{n=0}^{N-1}\overline{\mathit{out}}_{nm}\,x_{nd}" in text
    assert "<math" in verdict._repr_html_()
    assert verdict.save(tmp_path / "verdict.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def scaled_backward(dout, x, w):
    total = dout.sum(axis=1, keepdims=True)
    dx = dout @ w.T + 0 * total
    dx *= 3
    return {"x": dx / 3, "w": x.T @ dout}


def test_verdict_shows_each_line_of_the_code_in_index_notation(tmp_path) -> None:
    verdict = check(lambda x, w: x @ w, scaled_backward, shapes={"x": ("N", "D"), "w": ("D", "M")})
    assert verdict.status == "PROVED"
    text = verdict.save(tmp_path / "verdict.md").read_text(encoding="utf-8")
    part = text[text.index("In index notation") :].split("\n## ")[0]
    shown = re.findall(r"\$\$\n(.+?)\n\$\$\n\nLine (\d+)", part, re.DOTALL)
    first = scaled_backward.__code__.co_firstlineno
    assert [(int(line) - first, formula) for formula, line in shown] == [
        (2, r"\mathit{dx}_{nd} = \sum_{m=0}^{M-1}\mathit{dout}_{nm}\,w_{dm}"),
        (3, r"\mathit{dx}_{nd} \leftarrow 3\,\mathit{dx}_{nd}"),
        (4, r"\mathit{dx}_{nd} \leftarrow \frac{\mathit{dx}_{nd}}{3}"),
        (4, r"\mathit{dw}_{dm} = \sum_{n=0}^{N-1}x_{nd}\,\mathit{dout}_{nm}"),
    ]


def scaled_back_by(dy, g):
    d = dy * g
    return d


def helped_forward(x, g, h):
    return np.tanh(np.tanh(x * g) * h) * g


def helped_backward(dout, x, g, h):
    t = np.tanh(x * g)
    u = np.tanh(t * h)
    d = scaled_back_by(dout, g)
    ds = d * (1 - u * u)
    d = scaled_back_by(ds, h)
    d = d * (1 - t)
    return {"x": d * g, "h": (ds * t).sum(axis=0)}


def test_verdict_shows_what_helpers_compute_and_no_equality_where_a_name_gets_a_new_value(tmp_path) -> None:
    verdict = check(helped_forward, helped_backward, shapes={"x": ("N", "D"), "g": ("D",), "h": ("D",)})
    text = verdict.save(tmp_path / "verdict.md").read_text(encoding="utf-8")
    helpers = text[text.index("The functions that they call for gradients compute") :].split("\n## ")[0]
    assert re.findall(r"\$\$\n(.+?)\n\$\$\n\n(.+)", helpers) == [
        (
            r"d_{ni} = \mathit{dout}_{ni}\,g_{i}",
            f"Line {scaled_back_by.__code__.co_firstlineno + 1}. So in each of 2 calls.",
        )
    ]
    assert r"d_{ni} \leftarrow d_{ni}\,(1 - t_{ni}\,t_{ni})" in text[text.index("With this change") :]


def test_verdict_on_a_formula_shows_claim_and_truth_as_mathematics(tmp_path) -> None:
    verdict = verify(Network([3, 5, 4]), "delta2[n,i]", "sum(j, W2[j,i]*delta3[n,j])")
    text = verdict.save(tmp_path / "verdict.tex").read_text(encoding="utf-8")
    assert r"\delta^{(2)}_{ni} = \sum_{j=1}^{s_{3}}W^{(2)}_{ji}\,\delta^{(3)}_{nj}" in text
    assert r"\sigma'(z^{(2)}_{ni})" in text


@pytest.mark.parametrize("name", [*NETWORKS, *TRACED])
def test_html_passes_a_strict_parser(proofs, traced, name) -> None:
    html5lib = pytest.importorskip("html5lib")
    proof = proofs.get(name) or traced[name]
    html5lib.HTMLParser(strict=True).parse(
        to_html(proof_document(proof, notation=NAMES if proof.network is None else WEIGHTS))
    )


@pytest.mark.parametrize(
    ("network", "command"),
    [
        (
            NETWORKS["two_layers"],
            'symbackprop prove --layers s_1,s_2,K --activation f --cost squared-error --l2 "lam/2"',
        ),
        (NETWORKS["any_depth"], 'symbackprop prove --depth L --activation f --cost squared-error --l2 "lam/2"'),
        (
            Network([3, 4, 2], activation=["tanh", "sigmoid"]),
            "symbackprop prove --layers 3,4,2 --activation tanh,sigmoid --cost cross-entropy",
        ),
        (
            Network([3, 2], activation="z**3 + z", cost=sp.Symbol("h") ** 4),
            'symbackprop prove --layers 3,2 --activation "z + z**3" --cost "h**4"',
        ),
        (
            Network([3, 5, 4], activation=["relu", "softmax"], cost="squared_error"),
            "symbackprop prove --layers 3,5,4 --activation relu,softmax --cost squared-error",
        ),
    ],
)
def test_command_proves_the_same_network_again(network, command) -> None:
    assert command_of(network) == command


def test_code_stands_beside_the_equality_that_it_computes(tmp_path) -> None:
    text = prove(Network([3, 5, 4])).save(tmp_path / "proof.md").read_text(encoding="utf-8")
    part = text[text.index("The same equations as code") :]
    assert r"\delta^{(3)}_{nk} = \frac{a^{(3)}_{nk} - y_{nk}}{m}" in part
    assert "`delta3 = (a3 - y) / m`" in part


@pytest.mark.parametrize("notation", ["weights", "theta", "nielsen"])
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_brief_proof_for_any_depth_is_one_page_in_each_notation(proofs, notation, tmp_path) -> None:
    document = proof_document(proofs["any_depth"], detail="brief", notation=NOTATIONS[notation], command=COMMAND)
    assert _compiled(to_latex_document(document), "pdflatex", tmp_path)[1] == 1


def test_theta_writes_the_output_as_the_hypothesis(proofs) -> None:
    source = to_latex_document(proof_document(proofs["cross_entropy"], notation=NOTATIONS["theta"]))
    assert r"\delta^{(4)(i)}_{k} = \frac{h_{\Theta}(x^{(i)})_{k} - y^{(i)}_{k}}{m}" in source
    assert not re.search(r"(?<!delt)a^{\(4\)", source)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        (
            "any_depth",
            [
                "factor ½",
                "average",
                "penalty on the weights",
                "output layer come from",
                "sum over the later layer",
                "collapse",
            ],
        ),
        ("cross_entropy", ["average", "penalty on the weights", "no slope", "sum over the later layer", "collapse"]),
    ],
)
def test_full_document_answers_what_the_readers_of_tutorials_ask(proofs, name, asked) -> None:
    text = to_markdown(proof_document(proofs[name]))
    part = text[text.index("## Questions") :]
    assert [a for a in asked if a not in part] == []


def test_any_depth_derives_every_derivative_that_it_puts_in(proofs) -> None:
    source = to_markdown(proof_document(proofs["any_depth"]))
    assert source.count("**Lemma") == 2


def test_symbolic_widths_are_drawn_with_dots(proofs) -> None:
    page = to_html(proof_document(proofs["any_depth"]))
    assert "any number of layers" in page
    assert 'class="dot"' in page


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_brief_proof_of_a_deep_network_with_a_penalty_is_one_page(tmp_path) -> None:
    net = Network([10] * 64, activation="sigmoid", cost="cross_entropy", l2="lambda/(2*m)")
    text = to_latex_document(proof_document(prove(net), detail="brief"))
    assert text.count(r"\cdots") == 1  # of the 63 penalties the first two and the last are shown
    _, pages = _compiled(text, "pdflatex", tmp_path)
    assert pages == 1


def said_slopes() -> list[tuple[str, str]]:
    """(function, derivative) of every sentence "the derivative of $A$ is $B$" that a reason may hold."""
    powers = (2, 3, -1, -2, Fraction(1, 2), Fraction(-1, 2))
    words = [reasons._SLOPES.get(number(p)) or reasons._of_power(number(p)) for p in powers]
    words += reasons._OF_FUNCTIONS.values()
    return [m.groups() for w in words if (m := re.fullmatch(r"the derivative of \$(.+)\$ is \$(.+)\$", w))]


@pytest.mark.parametrize(("function", "derivative"), said_slopes())
def test_derivative_that_a_reason_states_is_the_derivative(function: str, derivative: str) -> None:
    u = sp.Symbol("u", positive=True)

    def read(latex: str) -> sp.Expr:
        plain = re.sub(r"\\(log|tanh)(\^2)? u", r"\1(u)\2", latex.replace(r"\sqrt{u}", "sqrt(u)"))
        return sp.sympify(plain.replace("2sqrt", "2*sqrt").replace("^", "**"), locals={"u": u})

    assert sp.simplify(sp.diff(read(function), u) - read(derivative)) == 0


def test_reasons_state_derivatives() -> None:
    assert len(said_slopes()) == 3
