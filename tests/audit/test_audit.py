"""Whole documents: every claim is marked, in order: T proved, C proved under a condition, W refuted.

`SUBJECTS` are documents whose words count: layouts, symmetric matrices, sizes, what a cost is a function of.
"""

import importlib
import re
import threading
from pathlib import Path

import pytest
import typer
from command_line import run_here
from thinning import EVERYTHING

from symbackprop.audit.audit import Judge, audit
from symbackprop.audit.report import github_lines, to_dict, why
from symbackprop.document.audit_document import audit_document
from symbackprop.document.html import to_html
from symbackprop.document.markdown import to_markdown
from symbackprop.errors import MalformedError

command = importlib.import_module("symbackprop.cli.audit")
FOLDER = Path(__file__).parent / "judged"
JUDGED = {
    "attn.md": "TTWTTWT",
    "bernoulli.tex": "TTTTW",
    "deep.md": "TTWWTWTT",
    "gru.md": "TTWTT",
    "ln.md": "TTTTTWTT",
    "matcalc.md": "TWTWTTTTTTTTWTWTTWT",
    "rnn.md": "TTWTT",
    "small.md": "TTTWTTW",
    "softmax_col.md": "TTWTTTWTTTW",
    "stats.md": "TTWTWTTW",
}
SUBJECTS = {
    "attention_bars.md": "TTTWTTW",
    "attention_rows.md": "TTTWTTW",
    "bn.md": "TTWTTWT",
    "cases.md": "CCCWW",
    "cases_in_doubt.md": "UUUCUUUUUU",
    "cases_said.md": "CCCW",
    "cases_told.md": "WCCCWCCCWWCC",
    "conditions.md": "T",
    "contrastive.md": "TWW",
    "convolution.md": "TTTTWW",
    "cosine.md": "TTTWWT",
    "diagonal.md": "TUU",
    "differentials.md": "TTTWTWTTW",
    "einstein.md": "TTTTWTWWT",
    "factors.md": "TTTTTWW",
    "focal.md": "TWT",
    "gp.md": "TWT",
    "gp_parameters.tex": "TTTWWCTW",
    "hinge.md": "CCWW",
    "images.md": "TW",
    "jac.md": "CTT",
    "layernorm_vector.md": "TWT",
    "layouts.md": "CCTW",
    "logreg_rows.md": "TTWTTW",
    "lstm.md": "TTWTTWTTW",
    "mask.md": "TTTTW",
    "masks.md": "CCW",
    "matrix.md": "TTWTWTTTWTC",
    "mvn.md": "TWT",
    "named_likewise.md": "TTTWTTWT",
    "names_delta.md": "TTW",
    "named_in_words.md": "TTTTTTWWWW",
    "normal_equations.md": "TCC",
    "notation_changes.md": "TTTWTW",
    "numerator.md": "TTTTTWTWT",
    "numl.md": "TWTTTW",
    "one_hot_entries.md": "CWCWCWCWC",
    "optimum.tex": "TCTTW",
    "other_form.md": "TTTTTWW",
    "patterns.md": "TTTW",
    "partial_differentials.md": "TCCCUWTUUT",
    "poisson.md": "TWTN",
    "premises.md": "CCWCCWU",
    "premises_of_entries.md": "CCWCU",
    "primes.md": "TWTTTWCWU",
    "primes_of_functions.md": "CWCTTWU",
    "regression.md": "TTWTTW",
    "residual.md": "TWTT",
    "ridge.md": "TWTT",
    "rms.md": "TTWW",
    "rnn.md": "TW",
    "shares_of_times.md": "TW",
    "sizes_in_words.md": "TCWT",
    "sqn.md": "TTTWTW",
    "supposed.md": "TUU",
    "symmetry.md": "WTWCU",
    "symmetry_supposed.md": "CUCWC",
    "terms_of_a_cost.md": "TTWTW",
    "through_time.md": "TTTTTTTWWW",
    "trace.md": "TTTTWTWTCW",
    "units.md": "TTTTTWW",
    "update.md": "W",
    "vae.md": "TTW",
    "word2vec.md": "TUUWTT",
    "written_matrices.md": "TTTWTW",
}
TWINS = {"convolution.tex": "TTTWWW", "units.tex": "TTTWWW"}
STATUS = {"T": "PROVED", "C": "PROVED IF", "W": "REFUTED", "N": "NOT UNDERSTOOD", "U": "UNDECIDED"}


@pytest.mark.parametrize("name", sorted(JUDGED))
def test_claims_are_judged_as_marked(name):
    judged = [j for j in audit(FOLDER / name, patience=8).judgements if j.status not in ("DEFINITION", "NOTATION")]
    assert [j.status for j in judged] == [STATUS[mark] for mark in JUDGED[name]]
    assert all(j.repair or j.reason.startswith("true if") for j in judged if j.status == "REFUTED")


def are_judged(name: str, marks: str) -> bool:
    judged = [j.status for j in audit(FOLDER.parent / "subjects" / name).judgements]
    return [s for s in judged if s not in ("DEFINITION", "NOTATION")] == [STATUS[mark] for mark in marks]


@pytest.mark.parametrize("name", sorted(SUBJECTS))
def test_the_words_around_claims_count(name):
    assert are_judged(name, SUBJECTS[name])


@pytest.mark.skipif(not EVERYTHING, reason="runs with SYMBACKPROP_EVERYTHING=1")
@pytest.mark.parametrize("name", sorted(TWINS))
def test_other_dresses_of_the_same_are_judged_alike(name):
    assert are_judged(name, TWINS[name])


def test_a_counterexample_tells_sizes_as_the_document_does():
    named = r"Let $X \in \mathbb{R}^{n \times d}$. $$ J = \|X\|_F^2 $$ $$ \frac{\partial J}{\partial X} = X $$"
    assert "n = 1" in why(audit(named).judgements[-1]) and "axis" not in why(audit(named).judgements[-1])
    unnamed = r"$$ J = \|X\|_F^2 $$ $$ \frac{\partial J}{\partial X} = X $$"
    assert "X is 1 by 1" in why(audit(unnamed).judgements[-1])


def test_the_layout_that_most_claims_show_rules_out_the_other():
    text = r"$$ \frac{\partial}{\partial A} \log\det A = A^{-1} $$"
    assert audit(text).judgements[-1].status == "PROVED IF"
    shown = text + r" $$ \frac{\partial}{\partial A} \operatorname{tr}(B A) = B^\top $$"
    assert [j.status for j in audit(shown).judgements] == ["REFUTED", "PROVED"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("Let $A$ be a symmetric matrix.", "PROVED"),
        ("If $A$ is symmetric,", "PROVED IF"),
        ("For symmetric $A$,", "PROVED IF"),
        ("Here $A = A^T$ is supposed.", "PROVED IF"),
        ("Let $A$ be a matrix that need not be symmetric.", "REFUTED"),
        ("Let $B$ be symmetric.", "REFUTED"),
        ("Symmetric matrices $A$ have real eigenvalues.", "PROVED IF"),
    ],
)
def test_a_matrix_is_symmetric_where_the_words_suppose_it(words, status):
    text = f"Text.\n\n{words}\n\n" + r"$$ \frac{\partial}{\partial x} x^T A x = 2 A x $$"
    assert audit(text).judgements[-1].status == status


LAYERS = r"""
$$ z^l_j = \sum_k w^l_{jk} a^{l-1}_k + b^l_j $$
$$ a^l_j = f(z^l_j) $$
$$ \delta^l_j = \frac{\partial C}{\partial z^l_j} $$
"""


def statuses(text: str) -> list[str]:
    return [j.status for j in audit(text).judgements]


@pytest.mark.parametrize(
    ("claim", "status", "repair"),
    [
        (r"\delta^l_j = \sum_k w^{l+1}_{kj} \delta^{l+1}_k f'(z^l_j)", "PROVED", None),
        (r"\delta^l_j = \sum_k w^{l+1}_{jk} \delta^{l+1}_k f'(z^l_j)", "REFUTED", "w^{l+1}_{kj}"),
        (r"\frac{\partial C}{\partial w^l_{jk}} = a^l_k \delta^l_j", "REFUTED", "a^{l-1}_k"),
        (r"\frac{\partial C}{\partial b^l_j} = -\delta^l_j", "REFUTED", r"\delta^l_j"),
        (r"\frac{\partial z^{l+1}_k}{\partial z^l_j} = w^{l+1}_{kj} f'(a^l_j)", "REFUTED", "f'(z^l_j)"),
    ],
)
def test_any_depth_is_judged_with_layers_as_symbols(claim, status, repair):
    found = audit(f"{LAYERS}$$ {claim} $$").judgements[-1]
    assert found.status == status
    assert (found.repair is None) if repair is None else (repair in (found.repair or ""))


def test_a_cost_that_depends_on_nothing_known_proves_nothing():
    text = r"$$ C = \sum_i (y_i - t_i)^2 $$ $$ z_j = \sum_i w_{ij} x_i $$ $$ \frac{\partial C}{\partial w_{ij}} = 0 $$"
    assert statuses(text) == ["DEFINITION", "DEFINITION", "NOT UNDERSTOOD"]


def test_an_update_is_no_claim():
    assert (
        statuses(r"$$ w = w - \eta \frac{\partial J}{\partial w} $$ $$ b \leftarrow b - \eta g $$") == ["NOTATION"] * 2
    )


def test_the_bias_of_a_sum_from_0_is_one():
    text = r"""
With $x_0 = 1$:
$$ s = \sum_{j=0}^n w_j x_j $$
$$ E = \frac12 (s - t)^2 + \frac{\lambda}{2} \sum_{j=1}^n w_j^2 $$
$$ \frac{\partial E}{\partial w_0} = s - t $$
$$ \frac{\partial E}{\partial w_j} = (s - t) x_j + \lambda w_j $$
"""
    found = audit(text).judgements[-2:]
    assert [j.status for j in found] == ["PROVED", "PROVED IF"] and found[1].conditions == ("j >= 1",)


def test_data_that_add_up_to_one_are_a_condition_unless_the_text_says_so():
    text = r"""
$$ p_k = \frac{e^{s_k}}{\sum_j e^{s_j}} $$
$$ L = -\sum_k y_k \log p_k $$
$$ \frac{\partial L}{\partial s_k} = p_k - y_k $$
"""
    found = audit(text).judgements[-1]
    assert found.status == "PROVED IF" and "add up to 1" in found.conditions[0]
    assert audit(f"Here $y$ is one-hot.\n{text}").judgements[-1].status == "PROVED"


def test_a_sum_that_binds_the_row_index_is_read_as_another_index():
    text = r"""
$$ J = \frac{1}{m} \sum_{i=1}^m E^{(i)} $$
$$ E = \frac12 \sum_k (\sum_j W_{kj} x_j - y_k)^2 $$
$$ \frac{\partial J}{\partial W_{ij}} = \frac{1}{m} \sum_{i=1}^m \frac{\partial E^{(i)}}{\partial W_{ij}} $$
"""
    found = audit(text).judgements[-1]
    assert found.status == "PROVED IF" and "another one" in found.conditions[0]


def test_a_definition_that_is_0_is_noticed():
    text = r"$$ \mu = \frac1N \sum_{i=1}^N x_i $$ $$ v = \frac1N \sum_{i=1}^N (x_i - \mu) $$"
    found = audit(text).judgements[-1]
    assert found.status == "DEFINITION" and "0 for all values" in found.reason


def test_a_notation_that_is_given_counts():
    text = r"$$ a = \sigma(z) $$ $$ \frac{da}{dz} = a (1 - a) $$"
    assert audit(text).judgements[-1].conditions == ("sigma is the function sigmoid",)
    assert audit(text, notation={"sigma": "sigmoid"}).judgements[-1].status == "PROVED"
    front = f"---\nnotation:\n  sigma: sigmoid\n---\n\n{text}"
    assert audit(front).judgements[-1].status == "PROVED"
    with pytest.raises(MalformedError, match="the notation sigma=nothing is not known"):
        audit(text, notation={"sigma": "nothing"})


def test_reports_hold_what_was_judged():
    found = audit(FOLDER / "gru.md")
    entry = next(e for e in to_dict(found)["equations"] if e["status"] == "REFUTED")
    assert entry["line"] == 8 and entry["repair"] == "r (1 - c^2)" and entry["counterexample"]["left"] is not None
    assert [line for line in github_lines(found) if line.startswith("::error file=")]
    page = to_markdown(audit_document(found))
    assert "REFUTED" in page and "How it was read" in page


def test_each_equation_of_a_report_leads_to_its_reading_and_to_what_it_rests_on():
    text = (
        r"$$ z^{(2)} = W^{(2)} x,\quad J = \tfrac12 \|z^{(2)} - y\|^2 $$"
        r"$$ \delta^{(2)} = \frac{\partial J}{\partial z^{(2)}} $$ $$ \delta^{(2)} = z^{(2)} - y $$"
    )
    page = to_html(audit_document(audit(text)))
    (reference,) = re.findall(r'<a href="#(equation-\d+)">1</a>', page)
    explained = page[page.index(f'<section id="{reference}">') :]
    assert "In index notation it says" in explained and "one and the same normal form" in explained
    assert "^(" not in explained and "<msqrt>" not in explained  # a squared norm is a sum of squares


def test_a_counterexample_keeps_all_sizes():
    text = r"$$ s = \sum_i \sum_j u_i v_j $$ $$ \frac{\partial s}{\partial u_i} = 2 \sum_j v_j $$"
    entry = to_dict(audit(text))["equations"][-1]
    found = audit(text).judgements[-1].counterexample
    assert found is not None and len(entry["counterexample"]["sizes"]) == len(found.sizes) == 2


def test_a_function_with_a_kink_is_differentiated_away_from_it():
    text = r"$$ y = \max(0, x) $$ $$ \frac{dy}{dx} = \mathbb{1}[x > 0] $$"
    assert audit(text).judgements[-1].conditions == ("no quantity lies at a kink",)


def test_entries_beyond_an_end_of_a_convolution_count_as_0():
    start = r"Let $L$ be a loss of $y$. $$ y_i = \sum_k w_k x_{i+k-1} $$ $$ \frac{\partial L}{\partial x_j} ="
    assert statuses(rf"{start} \sum_k w_k \frac{{\partial L}}{{\partial y_{{j-k+1}}}} $$")[-1] == "PROVED"
    assert statuses(rf"{start} \sum_k w_k \frac{{\partial L}}{{\partial y_{{j+k-1}}}} $$")[-1] == "REFUTED"


def test_what_no_formula_defines_is_not_refuted():
    text = r"$$ a = \sigma(z) $$ The loss is that of Bernoulli. $$ \frac{\partial L}{\partial a} = \frac{a - y}{a (1 - a)} $$"
    found = audit(text).judgements[-1]
    assert found.status == "UNDECIDED" and found.reason.startswith("no formula says what is differentiated")
    chain = r"$$ \frac{\partial L}{\partial z} = 2 \frac{\partial L}{\partial a} \sigma'(z) $$"
    assert statuses(text + chain)[-1] == "REFUTED"


def test_a_function_of_what_stands_in_bars_is_one_of_its_determinant_or_norm():
    text = r"Let $S \in \mathbb{R}^{n \times n}$. $$ f = \log |S| $$ $$ \frac{\partial f}{\partial S} = S^{-T} $$"
    assert statuses(text)[-1] == "PROVED"
    text = r"$$ f = \log \|x\| $$ $$ \frac{\partial f}{\partial x} = \frac{x}{\|x\|^2} $$"
    assert statuses(text)[-1] == "PROVED"


@pytest.mark.parametrize(("choice", "status"), [({}, "PROVED"), ({"einstein": "no"}, "NOT UNDERSTOOD")])
def test_repeated_indices_are_summed_where_no_sums_are_written(choice, status):
    text = r"$$ y_i = W_{ij} x_j $$ $$ s_k = V_{ki} y_i $$ $$ \frac{\partial s_k}{\partial x_j} = V_{ki} W_{ij} $$"
    assert [j.status for j in audit(text, notation=choice).judgements][-1] == status


def test_the_gradients_of_a_program_are_no_differentials():
    text = r"$$ Z = W A $$ $$ dW = \frac{1}{m} dZ A^T $$ $$ dZ = A - Y $$"
    assert not {"PROVED", "REFUTED"} & set(statuses(text))


@pytest.mark.parametrize("claim", [r"\frac{dy}{dx} = 1", r"\frac{dy}{dx} = \frobnicate{1} + 1"])
def test_an_unknown_command_with_an_argument_is_a_function_that_is_not_known(claim):
    found = audit(rf"$$ y = \frobnicate{{x}} + x $$ $$ {claim} $$").judgements[-1]
    assert found.status == "NOT UNDERSTOOD" and "frobnicate" in found.reason


def test_a_document_is_gone_through_when_its_time_is_up(monkeypatch):
    monkeypatch.setattr("symbackprop.audit.audit.ALL", 0.0)
    done = []
    found = audit(r"$$ y = x^2 $$ $$ \frac{dy}{dx} = x $$" * 200, observer=lambda stage, k, of: done.append((k, of)))
    assert len(done) == 400 and {j.reason for j in found.judgements if j.status == "UNDECIDED"} == {
        "the time for the document was up"
    }


def test_what_follows_from_a_condition_is_proved_under_it():
    text = r"$$ J = \|y - X b\|^2 $$ Set $\nabla_b J = 0$, hence $$ X^T X b = X^T y $$"
    found = audit(text).judgements[-1]
    assert found.status == "PROVED IF" and "line 1" in found.conditions[-1]


def test_a_second_definition_is_a_claim_unless_the_words_say_that_it_is_new():
    again = r"$$ J = x^3 $$ $$ \frac{dJ}{dx} = 3 x^2 $$"
    assert statuses(f"$$ J = x^2 $$ {again}") == ["DEFINITION", "REFUTED", "REFUTED"]
    assert statuses(f"$$ J = x^2 $$\n\nNow let\n\n{again}") == ["DEFINITION", "DEFINITION", "PROVED"]


@pytest.mark.parametrize(
    "text",
    [
        r"\newcommand{\again}{\again x} $$ \again = 1 $$",
        r"\def\one{\two}\def\two{\one\one} $$ \one = 2 $$",
        r"$$ y = \frac{1}{x $$",
        r"$$ J = \left( x - y $$ $$ \left. x \right) = y $$",
        "$$ y = " + "(" * 2000 + "x" + ")" * 2000 + " $$",
        r"$$ \int_0^1 x^2 dx = \frac14 $$ $$ e^{i\pi} = -1 $$",
    ],
)
@pytest.mark.parametrize("kind", ["md", "tex"])
def test_broken_formulas_prove_and_refute_nothing(text, kind):
    assert not {j.status for j in audit(text, kind).judgements} & {"PROVED", "REFUTED"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_texts_in_other_encodings_are_read(encoding, tmp_path):
    page = tmp_path / "notes.md"
    page.write_bytes("# Übung\n\n$$ E = x^2 $$\n\n$$ \\frac{dE}{dx} = 2 x $$\n".encode(encoding))
    assert [j.status for j in audit(page).judgements] == ["DEFINITION", "PROVED"]


@pytest.mark.parametrize(
    "text", ["", "no equations here", "$$ x $$", "$$ a = $$", "$$ = b $$", r"$$ \foo = \bar $$", "$" * 7]
)
def test_odd_documents_have_an_answer(text):
    assert "REFUTED" not in statuses(text) and "PROVED" not in statuses(text)


def test_a_formula_that_is_too_long_is_not_read():
    found = audit("$$ y = " + " + ".join("x" for _ in range(20_000)) + " $$").judgements
    assert [j.status for j in found] == ["NOT UNDERSTOOD"] and "characters" in found[0].reason


def test_a_document_without_equations_is_told_so(tmp_path):
    (tmp_path / "notes.md").write_text("Nothing but words.\n")
    said = run_here(["audit", "notes.md"], tmp_path)
    assert said.returncode == 0 and said.stdout.startswith("notes.md holds no equations")


def test_a_watched_document_is_audited_again_when_it_changes(tmp_path, monkeypatch, capsys):
    page = tmp_path / "notes.md"
    page.write_text(r"$$ y = x^2 $$ $$ \frac{dy}{dx} = 2 x $$")

    def changed(paths, since):
        assert paths == [page]
        if "3 x" in page.read_text():
            raise KeyboardInterrupt
        page.write_text(page.read_text().replace("2 x", "3 x"))

    monkeypatch.setattr(command, "_await_change", changed)
    with pytest.raises(typer.Exit) as ended:
        command.audit(page, form="github", watch=True)
    said = capsys.readouterr()
    assert ended.value.exit_code == 0 and said.out.count("::error file=notes.md") == 1
    assert said.err.count("waiting for notes.md to change") == 2


def test_a_change_is_one_after_a_point_in_time(tmp_path):
    page = tmp_path / "notes.md"
    page.write_text("old")
    command._await_change([page], page.stat().st_mtime_ns - 1)  # it was saved while it was read
    timer = threading.Timer(0.2, page.write_text, ["new"])
    timer.start()
    command._await_change([page], page.stat().st_mtime_ns, pause=0.02)
    assert page.read_text() == "new"


def test_a_claim_that_is_made_again_is_judged_once(monkeypatch):
    judged = []
    once = Judge._ruled
    monkeypatch.setattr(Judge, "_ruled", lambda self, *claim: judged.append(claim) or once(self, *claim))
    found = audit(r"$$ y = x^2 $$" + r" $$ \frac{dy}{dx} = 2 x $$ $$ \frac{dy}{dx} = 3 x $$" * 3)
    assert [j.status for j in found.judgements] == ["DEFINITION", *["PROVED", "REFUTED"] * 3] and len(judged) == 2


def test_words_of_symmetry_are_read_once_and_hold_from_there_on():
    claim = "$$ \\nabla_x (x^T A x) = 2 A x $$\n\n"
    found = audit("Let $x \\in \\mathbb{R}^n$.\n\n" + claim + "Let $A$ be symmetric.\n\n" + claim)
    assert [j.status for j in found.judgements[-2:]] == ["REFUTED", "PROVED"]


@pytest.mark.parametrize(
    ("claim", "status"),
    [(r"\frac{d}{dx} x^3 = 3x^2", "PROVED IF"), (r"\frac{d}{dx} e^x = e^x", "PROVED IF"),
     (r"\frac{d}{dx} x^3 = 2x^2", "REFUTED"), (r"\nabla \|x\|^2 = 2x", "PROVED")],
)  # fmt: skip
def test_a_vector_may_be_a_number_in_a_claim_of_its_own(claim, status):
    found = audit(rf"Let $x \in \mathbb{{R}}^n$, and $f(x) = \|x\|^2$. For a scalar, ${claim}$.").judgements[-1]
    assert found.status == status
    assert ("x is a number here" in found.conditions) is (status == "PROVED IF")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            r"Let $s(x) = \frac{1}{1 + e^{-x}}$. Then $$ s'(x) = s(x) (1 - s(x)) $$",
            r"Let $s(x) = \tanh(x)$. Then $$ s'(x) = s(x) (1 - s(x)) $$",
        ),
        (
            r"Let $$ z = w x $$ and $$ L = \frac{1}{2} (z - y)^2. $$ Then $$ \frac{\partial L}{\partial w} = (z - y) x $$",
            r"Let $$ z = w x $$ and $$ L = (z - y)^2. $$ Then $$ \frac{\partial L}{\partial w} = (z - y) x $$",
        ),
    ],
)
def test_a_section_that_defines_a_quantity_anew_is_judged_by_its_own_definition(one, other):
    found = statuses(f"# One\n\n{one}\n\n# Two\n\n{other}\n")
    assert found.count("PROVED") == found.count("REFUTED") == 1 and found[-1] == "REFUTED"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("If $x > 0$,", "PROVED IF"),
        ("If $x > 0$ and $y > 0$,", "PROVED IF"),
        ("For $x > 0$ and for $x < 0$,", "UNDECIDED"),
        ("If $x > 0$ or $y > 0$,", "UNDECIDED"),
        ("Not only for $x > 0$,", "UNDECIDED"),
        ("If $x > 0$ and $x < 0$,", "UNDECIDED"),
    ],
)
def test_a_premise_is_all_that_its_clause_says(words, status):
    assert statuses(f"{words} we have\n\n$$ |x| + y = x + y $$")[-1] == status
